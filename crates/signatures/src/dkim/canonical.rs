//! Canonical forms (RFC 6376 §3.4): what of a header field and of a body a signature speaks of.
//!
//! The body comes in pieces that may end anywhere; nothing of it is kept but a count of line ends that may turn out to be
//! the last ones. A CR or LF that stands alone is no line end (RFC 5322 §2.3) but an octet like others.

use super::tags::trim;
use mail::Field;
use std::ops::Range;

/// How a header or a body is made canonical.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Canonicalization {
    /// As it is (RFC 6376 §3.4.1, §3.4.3).
    Simple,
    /// White space does not count (RFC 6376 §3.4.2, §3.4.4).
    Relaxed,
}

const CRLF: &[u8] = b"\r\n";

impl Canonicalization {
    /// Appends the canonical field with its line end.
    pub fn field(self, field: &Field<'_>, out: &mut Vec<u8>) {
        self.write(field, 0..0, out);
        out.extend_from_slice(CRLF);
    }

    /// Appends the canonical form of a signature's own field: without what stands at `blank` in [`Field::raw`], and
    /// without its line end (RFC 6376 §3.7).
    pub fn signature_field(self, field: &Field<'_>, blank: Range<usize>, out: &mut Vec<u8>) {
        self.write(field, blank, out);
    }

    fn write(self, field: &Field<'_>, blank: Range<usize>, out: &mut Vec<u8>) {
        let raw = field.raw();
        let end = raw.strip_suffix(CRLF).map_or(raw.len(), <[u8]>::len);
        let (before, after) = (
            raw.get(..blank.start).unwrap_or_default(),
            raw.get(blank.end..end).unwrap_or_default(),
        );
        match self {
            Canonicalization::Simple => {
                out.extend_from_slice(before);
                out.extend_from_slice(after);
            }
            Canonicalization::Relaxed => {
                let colon = value_start(field);
                out.extend(field.name().iter().map(u8::to_ascii_lowercase));
                out.push(b':');
                let (before, after) = match before.get(colon..) {
                    Some(before) => (before, after),
                    None => (&[][..], after.get(colon - before.len()..).unwrap_or_default()),
                };
                relax_value(before, after, out);
            }
        }
    }
}

/// Where the value of a field begins in its raw octets: behind the colon.
pub(crate) fn value_start(field: &Field<'_>) -> usize {
    let raw = field.raw();
    // A name has no colon.
    raw.iter()
        .position(|&octet| octet == b':')
        .map_or(raw.len(), |at| at + 1)
}

/// RFC 6376 §3.4.2: unfolded, white space as one blank, none at the ends.
fn relax_value(before: &[u8], after: &[u8], out: &mut Vec<u8>) {
    let (mut is_blank, start) = (false, out.len());
    for part in [before, after] {
        let mut rest = part;
        while let Some((&octet, others)) = rest.split_first() {
            rest = others;
            match octet {
                b'\r' if rest.first() == Some(&b'\n') => rest = rest.get(1..).unwrap_or_default(),
                b' ' | b'\t' => is_blank = true,
                _ => {
                    if is_blank && out.len() > start {
                        out.push(b' ');
                    }
                    is_blank = false;
                    out.push(octet);
                }
            }
        }
    }
}

/// Makes a body canonical while it comes, and hands the canonical octets on in pieces.
#[derive(Debug)]
pub(crate) struct BodyForm {
    form: Canonicalization,
    /// Line ends that count only if something follows them.
    line_ends: u64,
    /// White space that counts only if something follows it in its line.
    is_blank: bool,
    /// The last octet was a CR, whose LF may come.
    is_after_cr: bool,
    /// Something was handed on.
    has_begun: bool,
    /// What will be handed on next.
    ready: Vec<u8>,
}

/// Hashing is fastest in pieces of some size.
const PIECE_OCTETS: usize = 4096;

impl BodyForm {
    pub fn new(form: Canonicalization) -> BodyForm {
        BodyForm {
            form,
            line_ends: 0,
            is_blank: false,
            is_after_cr: false,
            has_begun: false,
            ready: Vec::with_capacity(PIECE_OCTETS + 2),
        }
    }

    /// Takes the next octets of the body.
    pub fn update(&mut self, octets: &[u8], hand_on: &mut impl FnMut(&[u8])) {
        let mut rest = octets;
        while let Some(&octet) = rest.first() {
            if std::mem::take(&mut self.is_after_cr) {
                if octet == b'\n' {
                    (self.line_ends, self.is_blank) = (self.line_ends + 1, false);
                    rest = rest.get(1..).unwrap_or_default();
                } else {
                    self.text(b"\r", hand_on);
                }
                continue;
            }
            let is_relaxed = self.form == Canonicalization::Relaxed;
            let plain = |octet: &u8| *octet != b'\r' && !(is_relaxed && matches!(octet, b' ' | b'\t'));
            let length = rest.iter().position(|octet| !plain(octet)).unwrap_or(rest.len());
            let (text, others) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            self.text(text, hand_on);
            rest = others;
            if let Some((&special, others)) = rest.split_first() {
                rest = others;
                match special {
                    b'\r' => self.is_after_cr = true,
                    _ => self.is_blank = true,
                }
            }
        }
    }

    /// The body is over.
    pub fn finish(&mut self, hand_on: &mut impl FnMut(&[u8])) {
        if std::mem::take(&mut self.is_after_cr) {
            self.text(b"\r", hand_on);
        }
        // §3.4.3: an empty body is one line end; §3.4.4: nothing at all. Else the last line ends.
        if self.has_begun || self.form == Canonicalization::Simple {
            self.ready.extend_from_slice(CRLF);
        }
        hand_on(&self.ready);
        self.ready.clear();
    }

    /// Text within a line, and what was held back before it.
    fn text(&mut self, text: &[u8], hand_on: &mut impl FnMut(&[u8])) {
        if text.is_empty() {
            return;
        }
        self.has_begun = true;
        for _ in 0..std::mem::take(&mut self.line_ends) {
            self.put(CRLF, hand_on);
        }
        if std::mem::take(&mut self.is_blank) {
            self.put(b" ", hand_on);
        }
        self.put(text, hand_on);
    }

    fn put(&mut self, octets: &[u8], hand_on: &mut impl FnMut(&[u8])) {
        if self.ready.len() + octets.len() > PIECE_OCTETS {
            hand_on(&self.ready);
            self.ready.clear();
        }
        if octets.len() > PIECE_OCTETS {
            hand_on(octets);
        } else {
            self.ready.extend_from_slice(octets);
        }
    }
}

/// `c=`: header, body (RFC 6376 §3.5). `None` if it is unknown.
pub(crate) fn parse_pair(text: Option<&[u8]>) -> Option<(Canonicalization, Canonicalization)> {
    let Some(text) = text else {
        return Some((Canonicalization::Simple, Canonicalization::Simple));
    };
    let one = |text: &[u8]| match trim(text) {
        b"simple" => Some(Canonicalization::Simple),
        b"relaxed" => Some(Canonicalization::Relaxed),
        _ => None,
    };
    let mut parts = text.splitn(2, |&octet| octet == b'/');
    let header = one(parts.next()?)?;
    match parts.next() {
        Some(body) => Some((header, one(body)?)),
        None => Some((header, Canonicalization::Simple)),
    }
}

#[cfg(test)]
mod tests {
    use super::Canonicalization::{Relaxed, Simple};
    use super::*;
    use mail::Message;
    use proptest::prelude::*;

    fn body(form: Canonicalization, pieces: &[&[u8]]) -> Vec<u8> {
        let (mut state, mut out) = (BodyForm::new(form), Vec::new());
        let mut hand_on = |octets: &[u8]| out.extend_from_slice(octets);
        for piece in pieces {
            state.update(piece, &mut hand_on);
        }
        state.finish(&mut hand_on);
        out
    }

    fn field(form: Canonicalization, raw: &str) -> String {
        let message = Message::parse(raw.as_bytes());
        let mut out = Vec::new();
        form.field(&message.fields()[0], &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rfc6376_3_4_5_examples() {
        let text = b" C \r\nD \t E\r\n\r\n\r\n";
        assert_eq!(body(Relaxed, &[text]), b" C\r\nD E\r\n");
        assert_eq!(body(Simple, &[text]), b" C \r\nD \t E\r\n");
        assert_eq!(field(Relaxed, "A: X\r\n"), "a:X\r\n");
        assert_eq!(field(Relaxed, "B : Y\t\r\n\tZ  \r\n"), "b:Y Z\r\n");
        assert_eq!(field(Simple, "B : Y\t\r\n\tZ  \r\n"), "B : Y\t\r\n\tZ  \r\n");
    }

    #[test]
    fn empty_bodies_are_what_each_form_says() {
        for text in [&b""[..], b"\r\n", b"\r\n\r\n\r\n"] {
            assert_eq!(body(Simple, &[text]), b"\r\n");
            assert_eq!(body(Relaxed, &[text]), b"");
        }
        assert_eq!(body(Relaxed, &[b" \t\r\n  \r\n "]), b"");
        assert_eq!(body(Simple, &[b" "]), b" \r\n");
        assert_eq!(body(Relaxed, &[b"a"]), b"a\r\n");
        assert_eq!(body(Simple, &[b"\r\n\r\na"]), b"\r\n\r\na\r\n");
    }

    #[test]
    fn a_lone_cr_or_lf_is_an_octet_like_others() {
        assert_eq!(body(Simple, &[b"a\rb\nc\r"]), b"a\rb\nc\r\r\n");
        assert_eq!(body(Relaxed, &[b"a \r b \n\r\n\r\n"]), b"a \r b \n\r\n");
        assert_eq!(body(Simple, &[b"\r\r\n"]), b"\r\r\n");
        assert_eq!(field(Relaxed, "A: x\ny: z\r\n"), "a:x\n\r\n");
    }

    #[test]
    fn a_signature_is_hashed_without_its_own_value() {
        let message = Message::parse(b"S: a=1; b= xx\r\n yy ;  c=2 \r\n");
        let found = &message.fields()[0];
        for (form, expected) in [(Simple, "S: a=1; b=;  c=2 "), (Relaxed, "s:a=1; b=; c=2")] {
            let mut out = Vec::new();
            form.signature_field(found, 10..19, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn forms_are_named_in_pairs() {
        assert_eq!(parse_pair(None), Some((Simple, Simple)));
        assert_eq!(parse_pair(Some(b"relaxed")), Some((Relaxed, Simple)));
        assert_eq!(parse_pair(Some(b"simple/relaxed")), Some((Simple, Relaxed)));
        for text in ["", "Relaxed", "relaxed/", "relaxed/simple/simple", "nofws"] {
            assert_eq!(parse_pair(Some(text.as_bytes())), None, "{text}");
        }
    }

    /// The whole body at once, in the plainest way.
    fn model(form: Canonicalization, text: &[u8]) -> Vec<u8> {
        let text: String = text.iter().map(|&octet| char::from(octet)).collect();
        let relax = |line: &str| {
            let mut out = String::new();
            for c in line.chars() {
                match c {
                    ' ' | '\t' if out.ends_with(' ') => {}
                    ' ' | '\t' => out.push(' '),
                    c => out.push(c),
                }
            }
            out.trim_end_matches(' ').to_owned()
        };
        let mut lines: Vec<String> = text
            .split("\r\n")
            .map(|line| if form == Relaxed { relax(line) } else { line.to_owned() })
            .collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        let mut out: Vec<u8> = lines
            .iter()
            .flat_map(|line| line.chars().chain("\r\n".chars()))
            .map(|c| c as u8)
            .collect();
        if out.is_empty() && form == Simple {
            out.extend_from_slice(b"\r\n");
        }
        out
    }

    proptest! {
        #[test]
        fn a_body_in_pieces_is_the_body_at_once(octets in proptest::collection::vec(
            prop_oneof![4 => Just(b'\r'), 4 => Just(b'\n'), 4 => Just(b' '), 1 => Just(b'\t'), 4 => Just(b'a'), 1 => any::<u8>()], 0..200),
            size in 1usize..20) {
            for form in [Simple, Relaxed] {
                let whole = body(form, &[&octets]);
                prop_assert_eq!(&whole, &model(form, &octets));
                prop_assert_eq!(&body(form, &octets.chunks(1).collect::<Vec<_>>()), &whole);
                prop_assert_eq!(&body(form, &octets.chunks(size).collect::<Vec<_>>()), &whole);
            }
        }

        #[test]
        fn long_bodies_are_handed_on_whole(line in 0usize..9000, ends in 0usize..5000) {
            let text = [vec![b'x'; line], b"\r\n".repeat(ends), vec![b'y'; line]].concat();
            prop_assert_eq!(body(Relaxed, &[&text]), model(Relaxed, &text));
        }
    }
}
