//! The message behind DATA (RFC 5321 §4.1.1.4, §4.5.2).
//!
//! One sequence ends it: `CRLF . CRLF`. A CR or LF that stands alone is no line end (§2.3.8) and ends nothing. Whoever
//! reads such octets otherwise can be made to see a second message, with an envelope that nobody checked, in the text of
//! the first. So what is given out never holds one: a bare LF comes out as CRLF, a bare CR as a space, as Postfix does it
//! since 3.9. Whether the message is refused for a bare LF is said by [`BareLf`]; for a bare CR it always is. A NUL comes out
//! as a space too ([`Nul`]).
//!
//! A message with a fault is read to its end too. It is whole unless it is too large; then nothing more of it is given
//! out, so memory is bounded by `size_octets_max`.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::nul::{Nul, Nuls};
use memchr::memchr2;

/// What becomes of a message with an LF that stands without a CR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BareLf {
    /// It is refused.
    Refuse,
    /// It is taken, with CRLF in the place of each.
    Normalize,
}

/// Takes the dots off and finds the end, in pieces of any size.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    bare_lf: BareLf,
    tally: Tally,
}

/// What of a message is counted, and what is wrong with it so far.
#[derive(Debug)]
pub(super) struct Tally {
    fault: Option<DataFault>,
    is_whole: bool,
    octets: u64,
    line_octets: usize,
    size_octets_max: u64,
    line_octets_max: usize,
    nul: Nul,
    nuls: Nuls,
}

/// Whether the message is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Its end has not come.
    More,
    /// It has ended, and is to be taken or refused.
    End(Result<(), DataFault>),
}

/// Why a message is refused when it ends. Of several faults the greatest is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DataFault {
    /// A NUL (RFC 5322 §2.3), where that is refused.
    Nul,
    /// A line is longer than the limit (RFC 5321 §4.5.3.1.6).
    LineTooLong,
    /// More octets than the limit (RFC 1870 §6.1).
    TooLarge,
    /// A CR without LF or an LF without CR.
    BareLineBreak,
}

/// What the octets so far end in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// CRLF, or nothing: the CRLF of the DATA command counts (RFC 5321 §4.1.1.4).
    LineStart,
    /// CRLF and a dot, which is held back.
    Dot,
    /// CRLF, dot, CR; dot and CR are held back.
    DotCr,
    /// A bare LF. A line begins as behind CRLF, but none that could end the message.
    BareStart,
    /// A bare LF and a dot, which is held back.
    BareDot,
    /// A bare LF, dot, CR; dot and CR are held back.
    BareDotCr,
    /// Text.
    Text,
    /// Text and a CR, which is held back.
    Cr,
    /// CRLF, dot, CRLF.
    End,
}

impl Decoder {
    /// `line_octets_max` counts the CRLF, but not a dot that is taken off.
    pub fn new(size_octets_max: u64, line_octets_max: usize, bare_lf: BareLf) -> Decoder {
        Decoder {
            state: State::LineStart,
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

    /// Consumes `input` up to the end of the message and appends what it stands for to `out`. Returns the number of
    /// octets consumed: all of them, unless the message ended. Unless [`Self::is_whole`], `out` is of no further use.
    pub fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) -> (usize, Progress) {
        let mut rest = input;
        while self.state != State::End {
            let Some((&first, after)) = rest.split_first() else {
                return (input.len(), Progress::More);
            };
            match (self.state, first) {
                (State::Text, _) => rest = self.text(rest, out),
                (State::LineStart, b'.') => (self.state, rest) = (State::Dot, after),
                (State::BareStart, b'.') => (self.state, rest) = (State::BareDot, after),
                (State::Dot, b'\r') => (self.state, rest) = (State::DotCr, after),
                (State::BareDot, b'\r') => (self.state, rest) = (State::BareDotCr, after),
                (State::DotCr, b'\n') => (self.state, rest) = (State::End, after),
                // A dot that is all of its line, and yet no end, is text.
                (State::Dot | State::BareDot, b'\n') => {
                    self.tally.keep_in_line(b".", out);
                    self.bare_lf(out);
                    rest = after;
                }
                (State::BareDotCr, b'\n') => {
                    self.tally.keep_in_line(b".", out);
                    self.line_end(out);
                    rest = after;
                }
                (State::Cr, b'\n') => {
                    self.line_end(out);
                    rest = after;
                }
                (State::Cr | State::DotCr | State::BareDotCr, _) => {
                    self.tally.bare_cr(out);
                    self.tally.found(DataFault::BareLineBreak);
                    self.state = State::Text;
                }
                // RFC 5321 §4.5.2: a dot that begins a longer line goes.
                (State::LineStart | State::BareStart | State::Dot | State::BareDot | State::End, _) => {
                    self.state = State::Text;
                }
            }
        }
        let consumed = input.len().saturating_sub(rest.len());
        (consumed, Progress::End(self.tally.verdict()))
    }

    /// The fault known so far.
    pub fn fault(&self) -> Option<DataFault> {
        self.tally.fault
    }

    /// Whether all of the message so far was given out; with a fault too it may be.
    pub fn is_whole(&self) -> bool {
        self.tally.is_whole
    }

    fn line_end(&mut self, out: &mut Vec<u8>) {
        self.tally.keep(b"\r\n", out);
        self.tally.end_line();
        self.state = State::LineStart;
    }

    fn bare_lf(&mut self, out: &mut Vec<u8>) {
        self.line_end(out);
        self.state = State::BareStart;
        if self.bare_lf == BareLf::Refuse {
            self.tally.found(DataFault::BareLineBreak);
        }
    }

    /// Takes lines from `rest` until one begins with a dot or something is left to say for the next octet.
    fn text<'a>(&mut self, rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let mut unread = rest;
        loop {
            let at = memchr2(b'\r', b'\n', unread).unwrap_or(unread.len());
            let (run, after) = unread.split_at_checked(at).unwrap_or((unread, &[]));
            self.tally.count_line(run.len());
            unread = after;
            match after {
                [b'\r', b'\n', next @ ..] => {
                    self.tally.end_line();
                    unread = next;
                    if next.is_empty() || next.starts_with(b".") {
                        self.state = State::LineStart;
                        break;
                    }
                }
                [b'\r', next @ ..] => {
                    self.state = State::Cr;
                    self.tally.keep(before(rest, after), out);
                    return next;
                }
                [b'\n', next @ ..] => {
                    self.tally.keep(before(rest, after), out);
                    self.bare_lf(out);
                    return next;
                }
                _ => break,
            }
        }
        self.tally.keep(before(rest, unread), out);
        unread
    }
}

impl Tally {
    pub fn new(size_octets_max: u64, line_octets_max: usize) -> Tally {
        Tally {
            fault: None,
            is_whole: true,
            octets: 0,
            line_octets: 0,
            size_octets_max,
            line_octets_max,
            nul: Nul::default(),
            nuls: Nuls::default(),
        }
    }

    pub fn set_nul(&mut self, nul: Nul) {
        self.nul = nul;
    }

    pub fn take_nuls(&mut self) -> Nuls {
        std::mem::take(&mut self.nuls)
    }

    pub fn fault(&self) -> Option<DataFault> {
        self.fault
    }

    /// Whether nothing was left out for its size.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// What becomes of the message, were this its end.
    pub fn verdict(&self) -> Result<(), DataFault> {
        self.fault.map_or(Ok(()), Err)
    }

    /// Counts octets of a line, without its CRLF.
    pub fn count_line(&mut self, octets: usize) {
        self.line_octets = self.line_octets.saturating_add(octets);
        if self.line_octets.saturating_add(2) > self.line_octets_max {
            self.found(DataFault::LineTooLong);
        }
    }

    pub fn end_line(&mut self) {
        self.line_octets = 0;
    }

    /// Counts octets of the message, and appends them to `out` unless it is too large.
    pub fn keep(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        let from = self.octets;
        self.octets = from.saturating_add(octets.len() as u64);
        if self.octets > self.size_octets_max {
            self.found(DataFault::TooLarge);
        }
        if !self.is_whole {
            return;
        }
        let start = out.len();
        out.extend_from_slice(octets);
        let has_nul = self.nuls.replace(from, out.get_mut(start..).unwrap_or_default());
        if has_nul && self.nul == Nul::Refuse {
            self.found(DataFault::Nul);
        }
    }

    /// The same, for octets of a line that were not counted yet.
    pub fn keep_in_line(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        self.count_line(octets.len());
        self.keep(octets, out);
    }

    /// A CR that stands alone comes out as a space.
    pub fn bare_cr(&mut self, out: &mut Vec<u8>) {
        self.keep_in_line(b" ", out);
    }

    /// So many octets are to come.
    pub fn announce(&mut self, octets: u64) {
        if self.octets.saturating_add(octets) > self.size_octets_max {
            self.found(DataFault::TooLarge);
        }
    }

    pub fn found(&mut self, fault: DataFault) {
        self.is_whole &= fault != DataFault::TooLarge;
        self.fault = self.fault.max(Some(fault));
    }
}

/// What stands before `tail` in `whole`, which ends in it.
fn before<'a>(whole: &'a [u8], tail: &[u8]) -> &'a [u8] {
    let length = whole.len().saturating_sub(tail.len());
    whole.get(..length).unwrap_or(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a stream means, told in the plainest way.
    struct Meaning {
        /// With CRLF for each LF, and a space for a CR that is bare.
        text: String,
        /// In the stream, with the end.
        octets: usize,
        bare_lf: bool,
        bare_cr: bool,
    }

    /// The end is the first `CRLF . CRLF`, where a CRLF stands before the stream; `None` if there is none.
    fn reference(stream: &[u8]) -> Option<Meaning> {
        let stream = [b"\r\n", stream].concat();
        let end = stream.windows(5).position(|w| w == b"\r\n.\r\n")?;
        let received = std::str::from_utf8(&stream[2..end + 2]).unwrap().replace('\0', " ");
        let breaks = received.replace("\r\n", "");
        let mut text = String::new();
        for line in received.split_terminator('\n') {
            let line = line.strip_suffix('\r').unwrap_or(line).replace('\r', " ");
            let line = line.strip_prefix('.').filter(|rest| !rest.is_empty()).unwrap_or(&line);
            text += &format!("{line}\r\n");
        }
        Some(Meaning {
            text,
            octets: end + 3,
            bare_lf: breaks.contains('\n'),
            bare_cr: breaks.contains('\r'),
        })
    }

    type Decoded = (Vec<u8>, usize, Progress);

    fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, mut decoder: Decoder) -> Decoded {
        let (mut out, mut total) = (Vec::new(), 0);
        for piece in pieces {
            let (consumed, progress) = decoder.feed(piece, &mut out);
            total += consumed;
            if progress != Progress::More {
                return (out, total, progress);
            }
            assert_eq!(consumed, piece.len());
        }
        (out, total, Progress::More)
    }

    fn wide(bare_lf: BareLf) -> Decoder {
        Decoder::new(u64::MAX, usize::MAX, bare_lf)
    }

    /// Decodes what `pieces` divides, and compares.
    fn check<'a, I: IntoIterator<Item = &'a [u8]>>(stream: &[u8], pieces: impl Fn() -> I) {
        for bare_lf in [BareLf::Refuse, BareLf::Normalize] {
            let (out, consumed, progress) = decode(pieces(), wide(bare_lf));
            let Some(meaning) = reference(stream) else {
                assert_eq!((consumed, progress), (stream.len(), Progress::More));
                continue;
            };
            let refused = meaning.bare_cr || meaning.bare_lf && bare_lf == BareLf::Refuse;
            let verdict = (!refused).then_some(()).ok_or(DataFault::BareLineBreak);
            assert_eq!(
                (consumed, progress),
                (meaning.octets, Progress::End(verdict)),
                "{stream:?}"
            );
            assert_eq!(String::from_utf8(out).unwrap(), meaning.text, "{stream:?}");
        }
    }

    /// Every sequence of up to eight of these, cut in two anywhere and fed octet by octet.
    #[test]
    fn only_crlf_dot_crlf_ends_a_message_in_every_variant() {
        let alphabet = b"\r\n.a";
        for length in 0..=8u32 {
            for n in 0..4usize.pow(length) {
                let stream: Vec<u8> = (0..length).map(|digit| alphabet[n / 4usize.pow(digit) % 4]).collect();
                for cut in 0..=stream.len() {
                    let (a, b) = stream.split_at(cut);
                    check(&stream, || [a, b]);
                }
                check(&stream, || stream.chunks(1));
            }
        }
    }

    /// The same with NULs in the place of letters: each is a space, never nothing, so `CRLF NUL . CRLF` is no end for whoever
    /// leaves NULs out.
    #[test]
    fn a_nul_is_a_space_in_every_variant() {
        let alphabet = b"\r\n.\0";
        for length in 0..=7u32 {
            for n in 0..4usize.pow(length) {
                let stream: Vec<u8> = (0..length).map(|digit| alphabet[n / 4usize.pow(digit) % 4]).collect();
                check(&stream, || stream.chunks(1));
                check(&stream, || [&*stream]);
            }
        }
    }

    #[test]
    fn a_nul_is_a_fault_where_it_is_refused_and_the_least_of_all() {
        let refusing = |line: usize| Decoder::new(100, line, BareLf::Refuse).with_nul(Nul::Refuse);
        let (out, _, progress) = decode([&b"a\0b\r\n\0.\r\n.\r\n"[..]], refusing(100));
        assert_eq!(
            (&*out, progress),
            (&b"a b\r\n .\r\n"[..], Progress::End(Err(DataFault::Nul)))
        );
        let (_, _, progress) = decode([&b"a\0b\n\r\n.\r\n"[..]], refusing(100));
        assert_eq!(progress, Progress::End(Err(DataFault::BareLineBreak)));
        let mut decoder = Decoder::new(100, 100, BareLf::Refuse);
        let mut out = Vec::new();
        decoder.feed(b"a\0b\r\n.\0\r\n.\r\n", &mut out);
        decoder.take_nuls().restore(0, &mut out);
        assert_eq!(
            out, b"a\0b\r\n\0\r\n",
            "they stand where they stood, with the dots taken off"
        );
    }

    /// The sequences that smugglers have used: inside of a text, none ends it.
    #[test]
    fn no_smuggled_end_is_an_end() {
        for end in [
            "\n.\n",
            "\n.\r\n",
            "\r.\r",
            "\r.\r\n",
            "\r\n.\n",
            "\r\n.\r",
            "\n.\r",
            "\r.\n",
            "\r\n\0.\r\n",
            "\r\n.\0\r\n",
            "\r\r\n.\r\r\n",
            "\r\n.\r\r\n",
            "\r\n. \r\n",
        ] {
            let stream = format!("text{end}MAIL FROM:<x@y.example>");
            let (_, consumed, progress) = decode([stream.as_bytes()], wide(BareLf::Normalize));
            assert_eq!((consumed, progress), (stream.len(), Progress::More), "{end:?}");
        }
    }

    #[test]
    fn a_dot_at_once_is_the_empty_message() {
        let (out, consumed, progress) = decode([&b".\r\nQUIT\r\n"[..]], wide(BareLf::Refuse));
        assert_eq!((&*out, consumed), (&b""[..], 3));
        assert_eq!(progress, Progress::End(Ok(())));
    }

    #[test]
    fn past_the_size_nothing_is_kept_and_the_end_is_still_found() {
        let stream = [b"0123456789\r\n".repeat(1000), b".\r\n".to_vec()].concat();
        for piece in [1, 7, 12, 5000, 20_000] {
            let exact = Decoder::new(12_000, 1000, BareLf::Refuse);
            let (out, _, progress) = decode(stream.chunks(piece), exact);
            assert_eq!((out.len(), progress), (12_000, Progress::End(Ok(()))));
            let short = Decoder::new(11_999, 1000, BareLf::Refuse);
            let (out, consumed, progress) = decode(stream.chunks(piece), short);
            assert!(out.len() <= 11_999);
            assert_eq!(consumed, stream.len());
            assert_eq!(progress, Progress::End(Err(DataFault::TooLarge)));
        }
    }

    #[test]
    fn a_line_may_have_its_limit_and_no_more_and_the_stuffed_dot_does_not_count() {
        for (stream, fits) in [
            ("12345678\r\n.\r\n", true),
            ("a\r\n..2345678\r\n.\r\n", true),
            ("123456789\r\n.\r\n", false),
            ("a\r\n..23456789\r\n.\r\n", false),
        ] {
            for piece in 1..=stream.len() {
                let (_, _, progress) = decode(stream.as_bytes().chunks(piece), Decoder::new(99, 10, BareLf::Refuse));
                let expected = fits.then_some(()).ok_or(DataFault::LineTooLong);
                assert_eq!(progress, Progress::End(expected), "{stream:?}");
            }
        }
    }

    #[test]
    fn of_several_faults_a_bare_line_break_is_told() {
        for piece in 1..40 {
            let stream = b"a line that is long\r\nand\na message that is large\r\n.\r\n";
            let (_, _, progress) = decode(stream.chunks(piece), Decoder::new(30, 10, BareLf::Refuse));
            assert_eq!(progress, Progress::End(Err(DataFault::BareLineBreak)));
        }
    }

    #[test]
    fn a_line_of_bare_crs_or_of_dots_behind_bare_lfs_has_its_limit_too() {
        for (stream, fits) in [
            ("\r\r\r\r\r\r\r\rx\r\n.\r\n", false),
            ("a\n.\n.\n.\n.\n.\n.\n.\r\nb\r\n.\r\n", true),
        ] {
            let (_, _, progress) = decode([stream.as_bytes()], Decoder::new(99, 10, BareLf::Normalize));
            assert_eq!(progress == Progress::End(Ok(())), fits, "{stream:?}");
        }
    }

    #[test]
    fn a_message_with_a_fault_is_whole_unless_it_is_too_large() {
        for (stream, whole) in [
            (
                "a line that is long\r\nb\r\n.\r\n",
                Some("a line that is long\r\nb\r\n"),
            ),
            ("bare\nlf\r\n.\r\n", Some("bare\r\nlf\r\n")),
            ("bare\ncr and\r too large to be kept\r\n.\r\n", None),
        ] {
            for piece in 1..=stream.len() {
                let (mut decoder, mut out) = (Decoder::new(30, 10, BareLf::Refuse), Vec::new());
                for piece in stream.as_bytes().chunks(piece) {
                    decoder.feed(piece, &mut out);
                }
                assert!(decoder.fault().is_some() && out.len() <= 30);
                let found = decoder.is_whole().then(|| String::from_utf8(out).unwrap());
                assert_eq!(found.as_deref(), whole, "{stream:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_mean_what_the_whole_means(
            stream in proptest::collection::vec(proptest::sample::select(&b"\r\n.ab"[..]), 0..80),
            piece in 1usize..20,
        ) {
            check(&stream, || [&*stream]);
            check(&stream, || stream.chunks(piece));
            let limited = || Decoder::new(20, 8, BareLf::Normalize);
            let (_, consumed, progress) = decode([&*stream], limited());
            let (_, consumed_too, progress_too) = decode(stream.chunks(piece), limited());
            prop_assert_eq!((consumed, progress), (consumed_too, progress_too));
        }
    }
}
