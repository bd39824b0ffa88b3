//! The message behind BDAT (RFC 3030): chunks whose octets are counted, not searched for an end.
//!
//! No dot is taken off and nothing within a chunk ends the message: `CRLF . CRLF` is text like any other. But the
//! message goes on to a next hop that reads it by DATA, so it must be one that DATA could have carried: an LF that stands
//! alone comes out as CRLF, a CR as a space, also where its other half would stand in the next chunk and does not; and its
//! last line gets a CRLF if it has none. No octet within a chunk can smuggle anything, so neither is a fault unless
//! [`BareLf::Refuse`] says so. BINARYMIME, which would allow other octets, is not offered.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::data::{BareLf, DataFault, Tally};
use super::nul::{Nul, Nuls};
use memchr::memchr2;

/// How much of a message a BDAT command brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// The octets that follow the command.
    pub octets: u64,
    /// `LAST`: they are the last of the message.
    pub is_last: bool,
}

/// Checks the octets of one message, in pieces of any size.
#[derive(Debug)]
pub struct Decoder {
    after: After,
    bare_lf: BareLf,
    tally: Tally,
}

/// What the octets so far end in, across chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// CRLF, or nothing.
    LineEnd,
    /// Text.
    Text,
    /// A CR, which is held back.
    Cr,
}

impl Decoder {
    /// `line_octets_max` counts the CRLF. `bare_lf` stands for a bare CR too.
    pub fn new(size_octets_max: u64, line_octets_max: usize, bare_lf: BareLf) -> Decoder {
        Decoder {
            after: After::LineEnd,
            bare_lf,
            tally: Tally::new(size_octets_max, line_octets_max),
        }
    }

    /// What becomes of a NUL; without it, it is replaced.
    pub fn with_nul(mut self, nul: Nul) -> Decoder {
        self.tally.set_nul(nul);
        self
    }

    /// Where NULs stood in what was given out.
    pub fn take_nuls(&mut self) -> Nuls {
        self.tally.take_nuls()
    }

    /// A chunk of so many octets begins. One that goes past the limit is a fault at once, so that nothing is kept of it.
    pub fn announce(&mut self, octets: u64) {
        self.tally.announce(octets);
    }

    /// Appends octets of a chunk to `out`. Unless [`Self::is_whole`], `out` is of no further use.
    pub fn feed(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        let mut rest = octets;
        while let Some((&first, after)) = rest.split_first() {
            match (self.after, first) {
                (After::Cr, b'\n') => {
                    self.tally.keep(b"\r\n", out);
                    self.tally.end_line();
                    (self.after, rest) = (After::LineEnd, after);
                }
                (After::Cr, _) => {
                    self.bare_cr(out);
                    self.after = After::Text;
                }
                (_, b'\r') => (self.after, rest) = (After::Cr, after),
                (_, b'\n') => {
                    self.found_bare();
                    self.tally.keep(b"\r\n", out);
                    self.tally.end_line();
                    (self.after, rest) = (After::LineEnd, after);
                }
                (After::LineEnd | After::Text, _) => rest = self.text(rest, out),
            }
        }
    }

    /// The message ends here. One that does not end in CRLF gets it, counted like its own octets: SMTP knows no other
    /// end of a line, and DATA could not carry it to the next hop otherwise.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), DataFault> {
        match std::mem::replace(&mut self.after, After::LineEnd) {
            After::LineEnd => {}
            After::Text => self.tally.keep(b"\r\n", out),
            After::Cr => {
                self.bare_cr(out);
                self.tally.keep(b"\r\n", out);
            }
        }
        self.tally.verdict()
    }

    /// The fault known so far.
    pub fn fault(&self) -> Option<DataFault> {
        self.tally.fault()
    }

    /// Whether all of the message so far was given out; with a fault too it may be.
    pub fn is_whole(&self) -> bool {
        self.tally.is_whole()
    }

    fn bare_cr(&mut self, out: &mut Vec<u8>) {
        self.found_bare();
        self.tally.bare_cr(out);
    }

    fn found_bare(&mut self) {
        if self.bare_lf == BareLf::Refuse {
            self.tally.found(DataFault::BareLineBreak);
        }
    }

    /// Takes whole lines and the text behind them, up to a CR or LF that needs a second look.
    fn text<'a>(&mut self, rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let mut unread = rest;
        loop {
            let at = memchr2(b'\r', b'\n', unread).unwrap_or(unread.len());
            let (run, after) = unread.split_at_checked(at).unwrap_or((unread, &[]));
            self.tally.count_line(run.len());
            if !run.is_empty() {
                self.after = After::Text;
            }
            unread = after;
            let [b'\r', b'\n', next @ ..] = after else { break };
            self.tally.end_line();
            self.after = After::LineEnd;
            unread = next;
        }
        let length = rest.len().saturating_sub(unread.len());
        self.tally.keep(rest.get(..length).unwrap_or(rest), out);
        unread
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What chunks mean, told in the plainest way.
    fn reference(message: &[u8]) -> (Vec<u8>, bool) {
        let text = String::from_utf8(message.to_vec()).unwrap().replace('\0', " ");
        let is_bare = text.replace("\r\n", "").contains(['\r', '\n']);
        let plain = |line: &str| {
            let line = line.strip_suffix("\r\n").or(line.strip_suffix('\n')).unwrap_or(line);
            line.replace('\r', " ") + "\r\n"
        };
        let text: String = text.split_inclusive('\n').map(plain).collect();
        (text.into_bytes(), is_bare)
    }

    fn decode<'a>(
        pieces: impl IntoIterator<Item = &'a [u8]>,
        mut decoder: Decoder,
    ) -> (Vec<u8>, Result<(), DataFault>) {
        let mut out = Vec::new();
        for piece in pieces {
            decoder.feed(piece, &mut out);
        }
        let verdict = decoder.finish(&mut out);
        (out, verdict)
    }

    fn check<'a>(message: &[u8], pieces: impl IntoIterator<Item = &'a [u8]>) {
        let pieces: Vec<_> = pieces.into_iter().collect();
        let (text, is_bare) = reference(message);
        for bare_lf in [BareLf::Refuse, BareLf::Normalize] {
            let (out, verdict) = decode(pieces.iter().copied(), Decoder::new(u64::MAX, usize::MAX, bare_lf));
            let refused = is_bare && bare_lf == BareLf::Refuse;
            let expected = (!refused).then_some(()).ok_or(DataFault::BareLineBreak);
            assert_eq!((verdict, &out), (expected, &text), "{message:?}");
        }
    }

    /// Every sequence of up to eight of these, cut in two anywhere and fed octet by octet.
    #[test]
    fn every_variant_of_an_end_is_text_or_a_fault_and_never_an_end() {
        let alphabet = b"\r\n.a";
        for length in 0..=8u32 {
            for n in 0..4usize.pow(length) {
                let message: Vec<u8> = (0..length).map(|digit| alphabet[n / 4usize.pow(digit) % 4]).collect();
                for cut in 0..=message.len() {
                    let (a, b) = message.split_at(cut);
                    check(&message, [a, b]);
                }
                check(&message, message.chunks(1));
            }
        }
    }

    #[test]
    fn a_fault_is_known_before_the_end_but_for_a_cr_at_the_edge_of_a_chunk() {
        let mut decoder = Decoder::new(100, 100, BareLf::Refuse);
        let mut out = Vec::new();
        decoder.feed(b"a\r", &mut out);
        assert_eq!((decoder.fault(), &*out), (None, &b"a"[..]));
        decoder.feed(b"\nb\r", &mut out);
        assert_eq!(decoder.fault(), None);
        decoder.feed(b"c", &mut out);
        assert_eq!(decoder.fault(), Some(DataFault::BareLineBreak));
        assert!(decoder.is_whole());
    }

    #[test]
    fn sizes_hold_across_chunks_and_count_the_crlf_that_is_added() {
        for (message, size, line, expected) in [
            (&b"12345678\r\n"[..], 10, 10, Ok(())),
            (b"12345678\r\n", 9, 10, Err(DataFault::TooLarge)),
            (b"12345678", 10, 10, Ok(())),
            (b"12345678", 9, 10, Err(DataFault::TooLarge)),
            (b"12345678\r\n", 10, 9, Err(DataFault::LineTooLong)),
            (b"a\r\n..345678\r\n", 99, 10, Ok(())),
            (b"a\r\n..3456789\r\n", 99, 10, Err(DataFault::LineTooLong)),
        ] {
            for piece in 1..=message.len() {
                let (out, verdict) = decode(message.chunks(piece), Decoder::new(size, line, BareLf::Refuse));
                assert_eq!(verdict, expected, "{message:?}");
                assert!(out.len() as u64 <= size);
            }
        }
    }

    #[test]
    fn a_nul_is_a_space_or_a_fault() {
        let message = b"a\0\r\n\0.\r\n";
        for (nul, verdict) in [(Nul::Replace, Ok(())), (Nul::Refuse, Err(DataFault::Nul))] {
            for piece in 1..=message.len() {
                let decoder = Decoder::new(100, 100, BareLf::Refuse).with_nul(nul);
                let (out, found) = decode(message.chunks(piece), decoder);
                assert_eq!((&*out, found), (&b"a \r\n .\r\n"[..], verdict));
            }
        }
    }

    #[test]
    fn a_chunk_that_is_too_large_is_known_before_it_comes() {
        let mut decoder = Decoder::new(10, 100, BareLf::Refuse);
        let mut out = Vec::new();
        decoder.announce(6);
        decoder.feed(b"1234\r\n", &mut out);
        decoder.announce(4);
        assert_eq!(decoder.fault(), None);
        decoder.announce(5);
        assert_eq!(decoder.fault(), Some(DataFault::TooLarge));
        let mut decoder = Decoder::new(10, 100, BareLf::Refuse);
        decoder.announce(u64::MAX);
        assert_eq!(decoder.fault(), Some(DataFault::TooLarge));
    }

    proptest! {
        #[test]
        fn pieces_mean_what_the_whole_means(
            message in proptest::collection::vec(proptest::sample::select(&b"\r\n.ab\0"[..]), 0..80),
            piece in 1usize..20,
        ) {
            check(&message, [&*message]);
            check(&message, message.chunks(piece));
            let limited = || Decoder::new(20, 8, BareLf::Normalize);
            let (out, verdict) = decode([&*message], limited());
            let (out_too, verdict_too) = decode(message.chunks(piece), limited());
            prop_assert_eq!(verdict, verdict_too);
            prop_assert!(verdict.is_err() || out == out_too);
        }
    }
}
