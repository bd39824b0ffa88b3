//! A message as received (RFC 5322): its header fields and its body, as slices of the received octets.
//!
//! Reading is lenient, because a broken message must be judged too: lines may end in CRLF or LF, and a line that is
//! no header field ends the header.

use crate::limits::{HEADER_FIELDS_MAX, HEADER_OCTETS_MAX};
use memchr::memchr;

/// One header field, folded lines included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    name: &'a [u8],
    value: &'a [u8],
    raw: &'a [u8],
}

/// Header and body, borrowed from the received octets.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    fields: Vec<Field<'a>>,
    octets: &'a [u8],
    body: &'a [u8],
    oversized: bool,
}

impl<'a> Field<'a> {
    /// The name, as written.
    pub fn name(&self) -> &'a [u8] {
        self.name
    }

    /// Whether the field has this name, in any case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The whole field with its line ends, as received.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The value on one line (RFC 5322 §2.2.3 unfolding: line ends go, the white space behind them stays),
    /// trimmed at both ends.
    pub fn value(&self) -> std::borrow::Cow<'a, [u8]> {
        let trimmed = self.value.trim_ascii();
        if memchr(b'\n', trimmed).is_none() {
            return trimmed.into();
        }
        let mut value = Vec::with_capacity(trimmed.len());
        for line in trimmed.split(|b| matches!(b, b'\r' | b'\n')) {
            value.extend_from_slice(line);
        }
        value.into()
    }
}

/// Whether the first line of some octets parts the messages of an mbox: `From ` and what is no field. `From : Bob` is one
/// (RFC 5322 §4.5).
pub fn is_mbox_separator(octets: &[u8]) -> bool {
    let Some(behind) = octets.strip_prefix(b"From ") else {
        return false;
    };
    let line = behind.split(|&octet| octet == b'\n').next().unwrap_or_default();
    !line.trim_ascii_start().starts_with(b":")
}

/// How many octets the lines have that some programs put before the first field of a message: separators of an mbox, quoted
/// (`>From `) or not (RFC 976 §2.4). Postfix passes over any number of them, too.
pub fn mbox_lines(octets: &[u8]) -> usize {
    let mut rest = octets;
    loop {
        let quotes = rest.iter().take_while(|&&octet| octet == b'>').count();
        if !is_mbox_separator(rest.get(quotes..).unwrap_or_default()) {
            return octets.len() - rest.len();
        }
        rest = split_line(rest).1;
    }
}

impl<'a> Message<'a> {
    /// Splits header and body. Lines of an mbox before the first field ([`mbox_lines`]) are passed over.
    pub fn parse(octets: &'a [u8]) -> Message<'a> {
        let mut message = Message {
            fields: Vec::with_capacity(24),
            octets,
            body: &[],
            oversized: false,
        };
        let mut rest = octets.get(mbox_lines(octets)..).unwrap_or_default();
        let start = rest.len();
        loop {
            let (line, _) = split_line(rest);
            if line.trim_ascii_end().is_empty() {
                // The blank line, or the end of the octets.
                message.body = split_line(rest).1;
                return message;
            }
            let Some((field, after)) = split_field(rest) else {
                message.body = rest;
                return message;
            };
            if message.fields.len() == HEADER_FIELDS_MAX || start - after.len() > HEADER_OCTETS_MAX {
                message.oversized = true;
                message.body = rest;
                return message;
            }
            message.fields.push(field);
            rest = after;
        }
    }

    /// All fields, from the top.
    pub fn fields(&self) -> &[Field<'a>] {
        &self.fields
    }

    /// The first field of this name, in any case.
    pub fn first(&self, name: &str) -> Option<&Field<'a>> {
        self.fields.iter().find(|f| f.is(name))
    }

    /// All of it, as received.
    pub fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// What stands behind the blank line.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Whether the header is past [`HEADER_FIELDS_MAX`] or [`HEADER_OCTETS_MAX`]; what is past them counts as body.
    pub fn header_is_oversized(&self) -> bool {
        self.oversized
    }
}

/// The header of a part as those read it who go on behind lines that are no field, up to a blank line: the fields that say
/// something about a part (RFC 2045 §9; of too many the first ones and the last), and what stands behind. Blanks in front of
/// a field's name are passed over, too. Nothing if there is no blank line: then there is nothing to show behind it.
pub(crate) fn read_past_lines(octets: &[u8]) -> Option<(Vec<Field<'_>>, &[u8])> {
    let (mut fields, mut rest): (Vec<Field<'_>>, _) = (Vec::new(), octets);
    let is_wanted = |field: &Field<'_>| {
        let start = field.name().get(..8).unwrap_or_default();
        start.eq_ignore_ascii_case(b"content-")
    };
    loop {
        let (line, after) = split_line(rest);
        if line.is_empty() {
            return None;
        }
        if line.trim_ascii().is_empty() {
            return Some((fields, after));
        }
        rest = match split_field(rest.trim_ascii_start()) {
            Some((field, after)) => {
                if is_wanted(&field) {
                    // The first of a name counts, or the last.
                    fields.truncate(HEADER_FIELDS_MAX);
                    fields.push(field);
                }
                after
            }
            None => after,
        };
    }
}

/// The first line with its line end, and what follows.
fn split_line(octets: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr(b'\n', octets).map_or(octets.len(), |at| at + 1);
    octets.split_at_checked(end).unwrap_or((octets, &[]))
}

/// The first field with its folded lines, and what follows; `None` if the line is no field.
fn split_field(octets: &[u8]) -> Option<(Field<'_>, &[u8])> {
    let (first, mut rest) = split_line(octets);
    let colon = memchr(b':', first)?;
    let (name, _) = first.split_at_checked(colon)?;
    let name = name.trim_ascii_end();
    // RFC 5322 §2.2: printable ASCII but the colon. §4.5.3 lets white space stand before the colon.
    if name.is_empty() || !name.iter().all(|b| (33..=126).contains(b)) {
        return None;
    }
    while rest.starts_with(b" ") || rest.starts_with(b"\t") {
        let (line, after) = split_line(rest);
        // A folded line of white space only (RFC 5322 §4.2) still belongs to the field.
        if line.is_empty() {
            break;
        }
        rest = after;
    }
    let raw = octets.get(..octets.len() - rest.len())?;
    Some((
        Field {
            name,
            value: raw.get(colon + 1..)?,
            raw,
        },
        rest,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_are_unfolded_and_found_in_any_case() {
        let m = Message::parse(b"Subject: one\r\n two\r\nsubject: other\r\n\r\nbody\r\n");
        assert_eq!(&*m.first("SUBJECT").unwrap().value(), b"one two");
        assert_eq!(m.fields().len(), 2);
        assert_eq!(m.body(), b"body\r\n");
        assert_eq!(m.fields()[0].raw(), b"Subject: one\r\n two\r\n");
    }

    #[test]
    fn a_line_that_is_no_field_ends_the_header() {
        let m = Message::parse(b"A: b\nnot a field\nC: d\n\nbody");
        assert_eq!(m.fields().len(), 1);
        assert_eq!(m.body(), b"not a field\nC: d\n\nbody");
        let m = Message::parse(b"\r\nonly body");
        assert_eq!((m.fields().len(), m.body()), (0, &b"only body"[..]));
        assert_eq!(Message::parse(b"").body(), b"");
        assert_eq!(Message::parse(b"From x Mon\nA: b\n\nc").fields().len(), 1);
    }

    #[test]
    fn a_header_past_its_limits_is_said_to_be() {
        let octets = b"X: y\r\n".repeat(100_000);
        let m = Message::parse(&octets);
        assert!(m.header_is_oversized());
        assert_eq!(m.fields().len(), HEADER_FIELDS_MAX);
        let long = [b"X: ".to_vec(), vec![b'a'; HEADER_OCTETS_MAX], b"\r\n\r\n".to_vec()].concat();
        assert!(Message::parse(&long).header_is_oversized());
    }

    /// `From : Bob` lost its author, and mail with `>From ` in front its whole header.
    #[test]
    fn lines_of_an_mbox_are_no_fields_and_fields_no_lines_of_an_mbox() {
        for (text, fields) in [
            ("From bob Mon\nA: b\n\nx", "A: b\n"),
            ("From bob Mon\r\n>From ann Tue\r\n>>From x\r\nA: b\r\n\r\nx", "A: b\r\n"),
            (">From bob\nA: b\n\nx", "A: b\n"),
            ("From : bob@b.example\nA: b\n\nx", "From : bob@b.example\nA: b\n"),
            ("From \t: bob@b.example\n\nx", "From \t: bob@b.example\n"),
        ] {
            let message = Message::parse(text.as_bytes());
            let header: Vec<u8> = message.fields().iter().flat_map(|field| field.raw()).copied().collect();
            assert_eq!(String::from_utf8_lossy(&header), fields, "{text}");
            assert_eq!(message.body(), b"x", "{text}");
        }
    }

    proptest! {
        #[test]
        fn fields_and_body_are_the_octets_in_order(octets in proptest::collection::vec(
            prop_oneof![Just(b'\r'), Just(b'\n'), Just(b':'), Just(b' '), Just(b'a'), any::<u8>()], 0..300)) {
            prop_assume!(mbox_lines(&octets) == 0);
            let m = Message::parse(&octets);
            let header: Vec<u8> = m.fields().iter().flat_map(|f| f.raw()).copied().collect();
            prop_assert!(octets.starts_with(&header));
            prop_assert!(octets.ends_with(m.body()));
            prop_assert!(header.len() + m.body().len() <= octets.len());
            for f in m.fields() {
                prop_assert!(!f.value().contains(&b'\n'));
            }
        }
    }
}
