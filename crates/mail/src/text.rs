//! Foreign text made safe for one line.
//!
//! Whatever a peer sent reaches a log, a reply, a header or a terminal only as a [`Line`]: no line break, no control
//! character, nothing that reorders or hides text, and no more than a given number of characters.

use std::borrow::Cow;
use std::fmt;

/// Longest reason that is shown to a sender or written to a header, in characters.
pub const REASON_CHARS_MAX: usize = 200;

/// One line of harmless text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Line(Cow<'static, str>);

impl Line {
    /// Text of our own.
    pub const fn literal(text: &'static str) -> Line {
        Line(Cow::Borrowed(text))
    }

    /// Foreign octets, cleaned and cut to [`REASON_CHARS_MAX`] characters.
    pub fn reason(octets: &[u8]) -> Line {
        Line::clean(octets, REASON_CHARS_MAX)
    }

    /// Foreign octets, cleaned and cut to `chars_max` characters: runs of white space, line breaks and control
    /// characters become one blank, invalid UTF-8 becomes `U+FFFD`, and characters that reorder or hide text are
    /// written as `\u{...}`. Blanks at both ends go.
    pub fn clean(octets: &[u8], chars_max: usize) -> Line {
        // All of it is gone through, until the line is full: however many blanks stand in between, they count as one.
        let chars = octets.utf8_chunks().flat_map(|chunk| {
            let invalid = (!chunk.invalid().is_empty()).then_some(char::REPLACEMENT_CHARACTER);
            chunk.valid().chars().chain(invalid)
        });
        let mut out = String::with_capacity(octets.len().min(chars_max));
        let (mut room, mut blank) = (chars_max, false);
        for c in chars {
            if c.is_control() || c.is_whitespace() {
                blank = true;
                continue;
            }
            let apart = std::mem::take(&mut blank) && !out.is_empty();
            let chars = if is_invisible(c) { c.escape_unicode().len() } else { 1 };
            // An escape that is cut would be another character, or none.
            match room.checked_sub(chars + usize::from(apart)) {
                Some(left) => room = left,
                None => break,
            }
            if apart {
                out.push(' ');
            }
            if is_invisible(c) {
                out.extend(c.escape_unicode());
            } else {
                out.push(c);
            }
        }
        Line(Cow::Owned(out))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text with everything outside of ASCII written as `?`, for a peer that did not ask for SMTPUTF8.
    pub fn to_ascii(&self) -> Cow<'_, str> {
        if self.0.is_ascii() {
            return Cow::Borrowed(&self.0);
        }
        Cow::Owned(self.0.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect())
    }
}

/// Characters that a terminal or a browser shows as nothing, or that change the direction of what follows
/// (Unicode's Default_Ignorable_Code_Point, roughly, and the bidirectional controls).
pub fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// What a reader sees nothing of between other characters: those, and more of Default_Ignorable_Code_Point that are harmless
/// in a line (Unicode 16, chapter 5.21), such as the combining grapheme joiner and variation selectors.
pub fn is_ignorable(c: char) -> bool {
    is_invisible(c)
        || matches!(c,
            '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}')
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Cleans; a stored line is foreign text again when it is read back.
impl From<String> for Line {
    fn from(text: String) -> Line {
        Line::clean(text.as_bytes(), usize::MAX / 8)
    }
}

impl From<Line> for String {
    fn from(line: Line) -> String {
        line.0.into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Blanks counted towards what is looked at, so that many of them hid the rest.
    #[test]
    fn blanks_hide_nothing_behind_them_however_many() {
        let text = ["a", &" ".repeat(10_000), "b\u{1f}", &"\r\n\t".repeat(9_000), "c"].concat();
        assert_eq!(Line::clean(text.as_bytes(), 5).as_str(), "a b c");
        assert_eq!(Line::clean(text.as_bytes(), 4).as_str(), "a b");
        assert_eq!(
            Line::clean(b" \xff\xfe \xe2\x82 x ", 9).as_str(),
            String::from_utf8_lossy(b"\xff\xfe \xe2\x82 x")
        );
    }

    #[test]
    fn line_breaks_and_controls_become_one_blank() {
        assert_eq!(
            Line::reason(b"a\r\nX-Evil: 1\0\x1b[31m b\t c ").as_str(),
            "a X-Evil: 1 [31m b c"
        );
        assert_eq!(Line::reason("abc\u{202e}fed".as_bytes()).as_str(), "abc\\u{202e}fed");
        assert_eq!(Line::reason(b"\xff\xfe").as_str(), "\u{fffd}\u{fffd}");
        assert_eq!(Line::clean("äöü".as_bytes(), 2).as_str(), "äö");
        // A blank and what follows it were one character too many.
        assert_eq!(Line::clean(b"a b c", 4).as_str(), "a b");
        assert_eq!(Line::clean(b"a b c", 5).as_str(), "a b c");
    }

    /// A blank before the last character, and an escape, were not counted in full, so a line could be longer than asked.
    #[test]
    fn blanks_and_escapes_count_as_they_are_written() {
        for (chars_max, expected) in [
            (0, ""),
            (1, "a"),
            (2, "a"),
            (3, "a b"),
            (11, "a b"),
            (12, "a b \\u{200b}"),
        ] {
            let line = Line::clean("a b \u{200b}c".as_bytes(), chars_max);
            assert_eq!(line.as_str(), expected);
        }
        assert_eq!(Line::clean("\u{200b}\u{200b}".as_bytes(), 9).as_str(), "\\u{200b}");
    }

    proptest! {
        #[test]
        fn any_octets_give_one_bounded_line(octets in proptest::collection::vec(any::<u8>(), 0..2000), max in 0usize..300) {
            let line = Line::clean(&octets, max);
            prop_assert!(!line.as_str().chars().any(|c| c.is_control() || is_invisible(c)));
            prop_assert!(line.as_str().chars().count() <= max);
            prop_assert!(line.to_ascii().is_ascii());
        }

        #[test]
        fn a_clean_line_stays_as_it_is(text in "\\PC{0,100}") {
            let once = Line::clean(text.as_bytes(), 10_000);
            prop_assert_eq!(Line::from(once.as_str().to_owned()), once);
        }
    }
}
