//! Text cut into words, as people see them: lower case, without what nobody sees, with letters that look like Latin ones
//! as Latin ones where they stand among such.

/// A longer word is told by its shape only.
const WORD_CHARS_MAX: usize = 30;
/// So much of a longer word is looked at.
const WORD_OCTETS_MAX: usize = 256;

/// What a character is to a word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// Belongs to a word.
    Letter(char),
    /// Of a script that has no blanks between words: two neighbours make a word.
    Dense(char),
    /// Is not seen, and parts nothing.
    Nothing,
    /// A picture, a word by itself.
    Symbol(char),
    /// Parts words.
    Gap,
}

/// Calls for each word of a text, in order.
pub(super) fn each(text: &str, mut found: impl FnMut(&str)) {
    let mut cut = Cutter::default();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        // Most text is ASCII.
        let run = rest.bytes().take_while(|&b| b.is_ascii_alphanumeric()).count();
        if run > 0 {
            let (letters, after) = rest.split_at_checked(run).unwrap_or((rest, ""));
            cut.letters(letters);
            rest = after;
            continue;
        }
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        match sort(c) {
            Sort::Letter(c) => cut.letter(c),
            Sort::Nothing => {}
            Sort::Gap if is_inner(c) && cut.is_inside() && rest.starts_with(|c: char| c.is_alphanumeric()) => {
                cut.letter(c);
            }
            Sort::Gap => cut.end(&mut found),
            Sort::Dense(c) => cut.dense(c, &mut found),
            Sort::Symbol(c) => {
                cut.end(&mut found);
                found(c.encode_utf8(&mut [0; 4]));
            }
        }
    }
    cut.end(&mut found);
}

/// What may stand within a word: `don't`, `e-mail`, `9.99`.
fn is_inner(c: char) -> bool {
    matches!(c, '\'' | '-' | '.' | '’' | '_' | '@')
}

#[derive(Default)]
struct Cutter {
    word: String,
    chars: usize,
    has_ascii: bool,
    has_alike: bool,
    last_dense: Option<char>,
}

impl Cutter {
    fn is_inside(&self) -> bool {
        self.chars > 0
    }

    fn letters(&mut self, ascii: &str) {
        self.has_ascii = true;
        self.last_dense = None;
        self.chars += ascii.len();
        if self.word.len() < WORD_OCTETS_MAX {
            let kept = ascii.get(..ascii.len().min(WORD_OCTETS_MAX)).unwrap_or(ascii);
            let at = self.word.len();
            self.word.push_str(kept);
            if let Some(added) = self.word.get_mut(at..) {
                added.make_ascii_lowercase();
            }
        }
    }

    fn letter(&mut self, c: char) {
        self.last_dense = None;
        self.chars += 1;
        self.has_alike |= latin_twin(c).is_some();
        self.has_ascii |= c.is_ascii_alphanumeric();
        if self.word.len() < WORD_OCTETS_MAX {
            self.word.push(c);
        }
    }

    fn dense(&mut self, c: char, found: &mut impl FnMut(&str)) {
        if self.is_inside() {
            self.end(found);
        }
        let mut pair = String::with_capacity(8);
        pair.extend(self.last_dense);
        pair.push(c);
        found(&pair);
        self.last_dense = Some(c);
    }

    fn end(&mut self, found: &mut impl FnMut(&str)) {
        self.last_dense = None;
        if self.chars == 0 {
            return;
        }
        // Letters of two scripts in one word are there to deceive.
        if self.has_alike && self.has_ascii {
            self.word = self.word.chars().map(|c| latin_twin(c).unwrap_or(c)).collect();
            found("\u{fffd}mixed");
        }
        if self.chars > WORD_CHARS_MAX {
            found(if self.chars > 60 {
                "\u{fffd}very-long"
            } else {
                "\u{fffd}long"
            });
        } else {
            found(&self.word);
        }
        self.word.clear();
        (self.chars, self.has_ascii, self.has_alike) = (0, false, false);
    }
}

/// Whether a character belongs to a script that has no blanks between words.
pub(super) fn is_dense(c: char) -> bool {
    matches!(sort(c), Sort::Dense(_))
}

fn sort(c: char) -> Sort {
    match c {
        '$' | '€' | '£' | '¥' | '%' | '!' => Sort::Symbol(c),
        '\0'..='\x7f' => {
            if c.is_ascii_alphanumeric() {
                Sort::Letter(c.to_ascii_lowercase())
            } else {
                Sort::Gap
            }
        }
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}'
        // Marks that stand on the letter before them.
        | '\u{300}'..='\u{36f}' => Sort::Nothing,
        // Full-width forms of ASCII.
        '\u{ff01}'..='\u{ff5e}' => match u8::try_from(u32::from(c) - 0xfee0).map(char::from) {
            Ok(ascii) => sort_ascii(ascii),
            Err(_) => Sort::Gap,
        },
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{20000}'..='\u{2fa1f}' => Sort::Dense(c),
        // Letters as mathematical signs: bold, italic, script and so on, in rows of 52.
        '\u{1d400}'..='\u{1d6a3}' => {
            let at = u8::try_from((u32::from(c) - 0x1d400) % 26).unwrap_or_default();
            Sort::Letter(char::from(b'a' + at))
        }
        '\u{2190}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}' => Sort::Symbol(c),
        _ if c.is_alphanumeric() => Sort::Letter(c.to_lowercase().next().unwrap_or(c)),
        _ => Sort::Gap,
    }
}

fn sort_ascii(c: char) -> Sort {
    match c.is_ascii_alphanumeric() {
        true => Sort::Letter(c.to_ascii_lowercase()),
        false => Sort::Gap,
    }
}

/// The Latin letter that a Cyrillic or Greek one looks like.
fn latin_twin(c: char) -> Option<char> {
    const TWINS: [(char, char); 28] = [
        ('а', 'a'),
        ('с', 'c'),
        ('е', 'e'),
        ('о', 'o'),
        ('р', 'p'),
        ('х', 'x'),
        ('у', 'y'),
        ('і', 'i'),
        ('ј', 'j'),
        ('ѕ', 's'),
        ('ԁ', 'd'),
        ('һ', 'h'),
        ('в', 'b'),
        ('к', 'k'),
        ('м', 'm'),
        ('н', 'h'),
        ('т', 't'),
        ('α', 'a'),
        ('ο', 'o'),
        ('ρ', 'p'),
        ('ε', 'e'),
        ('ι', 'i'),
        ('κ', 'k'),
        ('ν', 'v'),
        ('τ', 't'),
        ('υ', 'u'),
        ('χ', 'x'),
        ('ı', 'i'),
    ];
    TWINS.iter().find(|(alike, _)| *alike == c).map(|(_, latin)| *latin)
}

/// A text's build, without its letters: runs of small letters as `a`, of capitals as `A`, of digits as `9`; other
/// characters as they stand. At most so many characters.
pub(super) fn shape(text: &str, chars_max: usize) -> String {
    let mut out = String::new();
    let mut last = None;
    for c in text.chars() {
        let sort = match c {
            'a'..='z' => 'a',
            'A'..='Z' => 'A',
            '0'..='9' => '9',
            c if c.is_alphabetic() => 'ä',
            c => c,
        };
        if last != Some(sort) {
            if out.len() >= chars_max {
                break;
            }
            out.push(sort);
            last = Some(sort);
        }
    }
    out
}
