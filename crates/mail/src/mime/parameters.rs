//! A value with parameters: `text/plain; charset="utf-8"` (RFC 2045 §5.1), with continuations and charsets of RFC 2231.

use super::words::{decode_charset, decode_words};
use super::{NAME_CHARS_MAX, transfer};

/// Parameters past this number are not looked at.
const PARAMETERS_MAX: usize = 32;

/// The first word and the parameters behind it.
pub(super) struct Parameters {
    pub first: String,
    list: Vec<(String, Vec<u8>)>,
}

impl Parameters {
    pub fn parse(value: &[u8]) -> Parameters {
        let mut pieces = Pieces(value);
        let first = pieces.next().unwrap_or_default();
        let mut list = Vec::new();
        for piece in pieces.take(PARAMETERS_MAX) {
            let Some(at) = memchr::memchr(b'=', &piece) else {
                continue;
            };
            let (name, value) = piece.split_at_checked(at).unwrap_or_default();
            let name = String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase();
            list.push((
                name,
                value
                    .trim_ascii_start()
                    .get(1..)
                    .unwrap_or_default()
                    .trim_ascii()
                    .to_vec(),
            ));
        }
        Parameters {
            first: String::from_utf8_lossy(first.trim_ascii()).into_owned(),
            list,
        }
    }

    /// A parameter as it stands.
    pub fn octets(&self, name: &str) -> Option<Vec<u8>> {
        let found = self.list.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.clone())
    }

    /// A parameter as text, decoded and cut. RFC 2231 §3: of `name*0`, `name*1` the pieces are one value, and one whose
    /// name ends with `*` has its charset before it and octets as `%41`.
    pub fn text(&self, name: &str) -> Option<String> {
        let text = match self.octets(name) {
            Some(value) => decode_words(&value).into_owned(),
            None => self.extended(name)?,
        };
        Some(text.trim().chars().take(NAME_CHARS_MAX).collect())
    }

    fn extended(&self, name: &str) -> Option<String> {
        let (mut charset, mut octets, mut is_found) = (String::new(), Vec::new(), false);
        for (found, value) in &self.list {
            let Some(rest) = found.strip_prefix(name).and_then(|rest| rest.strip_prefix('*')) else {
                continue;
            };
            let mut value = value.as_slice();
            if rest.is_empty() || rest.ends_with('*') {
                let mut split = value.splitn(3, |&b| b == b'\'');
                if let (false, Some(set), Some(_), Some(text)) = (is_found, split.next(), split.next(), split.next()) {
                    charset = String::from_utf8_lossy(set).into_owned();
                    value = text;
                }
                octets.extend(transfer::percent(value));
            } else {
                octets.extend_from_slice(value);
            }
            is_found = true;
        }
        is_found.then(|| decode_charset(&charset, &octets).into_owned())
    }
}

/// What stands between semicolons, without quotes and comments around.
struct Pieces<'a>(&'a [u8]);

impl Iterator for Pieces<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.0.is_empty() {
            return None;
        }
        let (mut piece, mut is_quoted, mut is_escaped) = (Vec::new(), false, false);
        let mut rest = self.0.iter();
        for &octet in rest.by_ref() {
            match octet {
                _ if is_escaped => {
                    piece.push(octet);
                    is_escaped = false;
                }
                b'\\' if is_quoted => is_escaped = true,
                b'"' => is_quoted = !is_quoted,
                b';' if !is_quoted => break,
                _ => piece.push(octet),
            }
        }
        self.0 = rest.as_slice();
        Some(piece)
    }
}
