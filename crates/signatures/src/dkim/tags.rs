//! Tag lists (RFC 6376 §3.2): `a=1; b=two`, as in signatures and in key records.
//!
//! A list is read whole or not at all: what is no tag, or a tag that is given twice, spoils it. Values stay slices of
//! what was received, so that a signature can be hashed without its `b=`.

use data_encoding::BASE64_MIME_PERMISSIVE;
use std::ops::Range;

/// Signatures have about twelve tags.
const TAGS_MAX: usize = 64;

/// One tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tag<'a> {
    name: &'a [u8],
    /// Without white space at its ends.
    pub value: &'a [u8],
    /// Where all stands that is between `=` and `;`, in the text that was parsed.
    pub span: Range<usize>,
}

/// A list of tags, each of another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tags<'a>(Vec<Tag<'a>>);

/// Why a text is no list of tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TagError {
    /// Something between two semicolons is no tag.
    Syntax(String),
    /// A name is given twice (RFC 6376 §3.2: the entire list is invalid).
    Twice(String),
    /// More tags than anybody needs.
    TooMany,
}

impl<'a> Tags<'a> {
    /// Reads a list. One semicolon at its end is allowed.
    pub fn parse(text: &'a [u8]) -> Result<Tags<'a>, TagError> {
        let mut tags: Vec<Tag<'a>> = Vec::with_capacity(12);
        let mut start = 0;
        while let Some(rest) = text.get(start..) {
            let length = rest.iter().position(|&octet| octet == b';').unwrap_or(rest.len());
            let spec = rest.get(..length).unwrap_or(rest);
            let is_last = length == rest.len();
            if is_last && trim(spec).is_empty() {
                break;
            }
            let tag = parse_tag(spec, start).ok_or_else(|| TagError::Syntax(shown(spec)))?;
            if tags.iter().any(|other| other.name == tag.name) {
                return Err(TagError::Twice(shown(tag.name)));
            }
            if tags.len() == TAGS_MAX {
                return Err(TagError::TooMany);
            }
            tags.push(tag);
            start += length + 1;
        }
        Ok(Tags(tags))
    }

    /// The tag of this name; names are case-sensitive (RFC 6376 §3.2).
    pub fn get(&self, name: &str) -> Option<&Tag<'a>> {
        self.0.iter().find(|tag| tag.name == name.as_bytes())
    }

    /// The value of this name.
    pub fn value(&self, name: &str) -> Option<&'a [u8]> {
        self.get(name).map(|tag| tag.value)
    }

    /// Whether this name comes first.
    pub fn begins_with(&self, name: &str) -> bool {
        self.0.first().is_some_and(|tag| tag.name == name.as_bytes())
    }
}

/// `start` is where the tag begins in the whole text.
fn parse_tag(spec: &[u8], start: usize) -> Option<Tag<'_>> {
    let equals = spec.iter().position(|&octet| octet == b'=')?;
    let (name, value) = (trim(spec.get(..equals)?), spec.get(equals + 1..)?);
    let (first, others) = name.split_first()?;
    let is_name = first.is_ascii_alphabetic()
        && others
            .iter()
            .all(|octet| octet.is_ascii_alphanumeric() || *octet == b'_');
    // RFC 6376 §2.10, with the octets of UTF-8 that RFC 8616 adds.
    let is_value = value.iter().all(|&octet| !octet.is_ascii_control() || is_fws(octet));
    (is_name && is_value).then(|| Tag {
        name,
        value: trim(value),
        span: start + equals + 1..start + spec.len(),
    })
}

/// What folding white space is made of (RFC 6376 §2.8).
pub(crate) fn is_fws(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n')
}

/// Without folding white space at the ends.
pub(crate) fn trim(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|&octet| !is_fws(octet)).unwrap_or(text.len());
    let end = text
        .iter()
        .rposition(|&octet| !is_fws(octet))
        .map_or(start, |at| at + 1);
    text.get(start..end).unwrap_or_default()
}

/// Without any folding white space.
pub(crate) fn without_fws(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|&octet| !is_fws(octet)).collect()
}

/// Base64 with white space anywhere (RFC 6376 §2.10). Bits that are left over at the end are not looked at.
pub(crate) fn base64(text: &[u8]) -> Option<Vec<u8>> {
    BASE64_MIME_PERMISSIVE.decode(&without_fws(text)).ok()
}

/// A number of digits only; one that is too large is the largest.
pub(crate) fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(std::str::from_utf8(text).ok()?.parse().unwrap_or(u64::MAX))
}

/// The texts between colons, without white space at their ends.
pub(crate) fn colon_list(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&octet| octet == b':').map(trim)
}

/// DKIM-Quoted-Printable (RFC 6376 §2.11) decoded; `None` if it is none.
pub(crate) fn quoted_printable(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut octets = text.iter().copied().filter(|&octet| !is_fws(octet));
    while let Some(octet) = octets.next() {
        if octet != b'=' {
            out.push(octet);
            continue;
        }
        let digit = |octet: u8| {
            char::from(octet)
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        };
        out.push(digit(octets.next()?)? * 16 + digit(octets.next()?)?);
    }
    Some(out)
}

/// So much of a foreign text as a sentence can hold.
pub(crate) fn shown(text: &[u8]) -> String {
    const CHARS_MAX: usize = 60;
    mail::Line::clean(text, CHARS_MAX).as_str().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tags_are_read_with_white_space_around_them() {
        let tags = Tags::parse(b" v=1;\r\n\ta = rsa-sha256 ; empty=; b=a b\r\n c= ;").unwrap();
        assert_eq!(tags.value("v"), Some(&b"1"[..]));
        assert_eq!(tags.value("a"), Some(&b"rsa-sha256"[..]));
        assert_eq!(tags.value("empty"), Some(&b""[..]));
        assert_eq!(tags.value("A"), None);
        assert_eq!(without_fws(tags.value("b").unwrap()), b"abc=");
        assert!(tags.begins_with("v") && !tags.begins_with("a"));
        assert_eq!(Tags::parse(b" ").unwrap().value("v"), None);
    }

    #[test]
    fn what_is_no_list_is_refused_whole() {
        for text in ["v=1;;a=b", ";", "v", "=1", "1v=1", "v v=1", "v=\x01", "v=1; ; "] {
            let found = Tags::parse(text.as_bytes());
            assert!(matches!(found, Err(TagError::Syntax(_))), "{text:?}");
        }
        assert_eq!(Tags::parse(b"v=1; a=2; v=1"), Err(TagError::Twice("v".to_owned())));
        let many: String = (0..65).map(|n| format!("t{n}=1;")).collect();
        assert_eq!(Tags::parse(many.as_bytes()), Err(TagError::TooMany));
    }

    #[test]
    fn values_are_decoded() {
        assert_eq!(quoted_printable(b"=6Aoe=\r\n 40a =2E b").unwrap(), b"joe@a.b");
        assert_eq!(quoted_printable(b"=4"), None);
        assert_eq!(quoted_printable(b"=zz"), None);
        assert_eq!(base64(b"aGV\r\n sbG8=").unwrap(), b"hello");
        assert_eq!(base64(b"aGVsbG8"), None);
        assert_eq!(number(b"12"), Some(12));
        assert_eq!(number(b"99999999999999999999999"), Some(u64::MAX));
        assert_eq!(
            (number(b""), number(b"1 2"), number(b"-1"), number(b"+1")),
            (None, None, None, None)
        );
    }

    proptest! {
        #[test]
        fn any_octets_are_a_list_of_slices_or_none(octets in proptest::collection::vec(
            prop_oneof![Just(b';'), Just(b'='), Just(b' '), Just(b'a'), Just(b'\r'), any::<u8>()], 0..200)) {
            let _ = (quoted_printable(&octets), base64(&octets), number(&octets));
            if let Ok(Tags(tags)) = Tags::parse(&octets) {
                prop_assert!(tags.len() <= TAGS_MAX);
                for tag in tags {
                    prop_assert_eq!(trim(&octets[tag.span]), tag.value);
                }
            }
        }
    }
}
