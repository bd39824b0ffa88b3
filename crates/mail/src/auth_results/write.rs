//! Writing ours (RFC 8601 §2.2), folded as RFC 5322 §2.1.1 and §2.2.3 ask.

use super::VALUE_OCTETS_MAX;
use super::token::is_token;
use crate::text::Line;

/// RFC 5322 §2.1.1: lines should not be longer, their CRLF left out.
const COLUMNS: usize = 78;
/// RFC 5322 §2.1.1: no line may be longer than 998 octets, and a value cannot be broken.
const WORD_OCTETS_MAX: usize = 900;

/// In what a field may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// ASCII only. A value outside of it is left out, since a changed one would be another; texts get `?`.
    Ascii,
    /// UTF-8, for a message that came with SMTPUTF8 (RFC 6532).
    Utf8,
}

/// A field of ours, in the making.
#[derive(Debug, Clone)]
pub struct AuthResults {
    authserv_id: Line,
    findings: Vec<Finding>,
}

/// One result of ours. Methods, results and the names of properties are words of our code, never foreign text.
#[derive(Debug, Clone)]
pub struct Finding {
    method: &'static str,
    result: &'static str,
    comment: Line,
    reason: Line,
    properties: Vec<(&'static str, String)>,
}

impl Finding {
    /// `method=result`, both keywords of RFC 8601 §2.7 and its successors.
    pub fn new(method: &'static str, result: &'static str) -> Finding {
        Finding {
            method,
            result,
            comment: Line::default(),
            reason: Line::default(),
            properties: Vec::new(),
        }
    }

    /// A comment for people behind the result; an empty one is left out.
    pub fn comment(mut self, text: &str) -> Finding {
        self.comment = Line::reason(text.as_bytes());
        self
    }

    /// `reason=`; an empty one is left out.
    pub fn reason(mut self, text: &str) -> Finding {
        self.reason = Line::reason(text.as_bytes());
        self
    }

    /// A property such as `header.d`. Its value is left out where it is empty, too long for a line, or
    /// holds characters that a [`Line`] would change.
    pub fn property(mut self, name: &'static str, value: &str) -> Finding {
        self.properties.push((name, value.to_owned()));
        self
    }
}

impl AuthResults {
    /// A field without results yet, which says `none`.
    pub fn new(authserv_id: &str) -> AuthResults {
        AuthResults {
            authserv_id: Line::clean(authserv_id.as_bytes(), VALUE_OCTETS_MAX),
            findings: Vec::new(),
        }
    }

    /// Adds a result at the end.
    pub fn push(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// The whole field with its name and its CRLF at the end.
    pub fn to_field(&self, encoding: Encoding) -> Vec<u8> {
        let mut folder = Folder::new("Authentication-Results:");
        let id = encoding.text(&self.authserv_id);
        let id = if id.chars().all(is_token) && !id.is_empty() {
            id
        } else {
            quoted(&id)
        };
        folder.word(&format!("{id};"));
        if self.findings.is_empty() {
            folder.word("none");
        }
        for (n, finding) in self.findings.iter().enumerate() {
            let mut words = finding.words(encoding);
            if n + 1 < self.findings.len()
                && let Some(last) = words.last_mut()
            {
                last.push(';');
            }
            words.iter().for_each(|word| folder.word(word));
        }
        folder.end()
    }
}

impl Finding {
    /// What must not be broken across lines, in its order.
    fn words(&self, encoding: Encoding) -> Vec<String> {
        let mut words = vec![format!("{}={}", self.method, self.result)];
        if !self.comment.as_str().is_empty() {
            let text = escaped(&encoding.text(&self.comment), &['(', ')', '\\']);
            words.extend(format!("({text})").split(' ').map(str::to_owned));
        }
        if !self.reason.as_str().is_empty() {
            words.push(format!("reason={}", quoted(&encoding.text(&self.reason))));
        }
        let said = |(name, value): &(&str, String)| Some(format!("{name}={}", encoding.value(value)?));
        words.extend(self.properties.iter().filter_map(said));
        words
    }
}

impl Encoding {
    fn text(self, line: &Line) -> String {
        match self {
            Encoding::Ascii => line.to_ascii().into_owned(),
            Encoding::Utf8 => line.as_str().to_owned(),
        }
    }

    /// RFC 8601 §2.2 `pvalue`: a token, an address or a quoted string; nothing where it cannot be said as it is.
    fn value(self, text: &str) -> Option<String> {
        let is_sayable = !text.is_empty()
            && text.len() <= VALUE_OCTETS_MAX
            && (self == Encoding::Utf8 || text.is_ascii())
            && Line::clean(text.as_bytes(), VALUE_OCTETS_MAX).as_str() == text;
        let written = match text.chars().all(is_token) || is_plain_address(text) {
            true => text.to_owned(),
            false => quoted(text),
        };
        (is_sayable && written.len() <= WORD_OCTETS_MAX).then_some(written)
    }
}

/// `[[local-part] "@"] domain-name`, where no part needs quotes.
fn is_plain_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let is_atom = |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    let is_dot_atom = local.is_empty()
        || local
            .split('.')
            .all(|atom| !atom.is_empty() && atom.chars().all(is_atom));
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    is_dot_atom && !domain.is_empty() && domain.chars().all(is_name)
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text, &['"', '\\']))
}

fn escaped(text: &str, special: &[char]) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if special.contains(&c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Lines of words, broken where the next word would not fit.
struct Folder {
    lines: String,
    column: usize,
}

impl Folder {
    fn new(name: &str) -> Folder {
        Folder {
            lines: name.to_owned(),
            column: name.len(),
        }
    }

    fn word(&mut self, word: &str) {
        if self.column + 1 + word.len() > COLUMNS {
            self.lines.push_str("\r\n\t");
            self.column = 1;
        } else {
            self.lines.push(' ');
            self.column += 1;
        }
        self.lines.push_str(word);
        self.column += word.len();
    }

    fn end(mut self) -> Vec<u8> {
        self.lines.push_str("\r\n");
        self.lines.into_bytes()
    }
}
