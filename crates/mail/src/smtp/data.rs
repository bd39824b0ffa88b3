//! The message behind DATA (RFC 5321 §4.1.1.4, §4.5.2).
//!
//! One sequence ends it: `CRLF . CRLF`. A CR or LF that stands alone is no line end (§2.3.8): it ends nothing, no dot
//! behind it is taken off, and the message is refused when its true end has come. Whoever reads such octets otherwise
//! can be made to see a second message, with an envelope that nobody checked, in the text of the first.
//!
//! A message with a fault is read to its end too, but not kept, so memory is bounded by `size_octets_max`.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use memchr::memchr2;

/// Takes the dots off and finds the end, in pieces of any size.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    tally: Tally,
}

/// What of a message is counted, and what is wrong with it so far.
#[derive(Debug)]
pub(super) struct Tally {
    fault: Option<DataFault>,
    octets: u64,
    line_octets: usize,
    size_octets_max: u64,
    line_octets_max: usize,
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
    /// Text.
    Text,
    /// Text and a CR, which is held back.
    Cr,
    /// CRLF, dot, CRLF.
    End,
}

impl Decoder {
    /// `line_octets_max` counts the CRLF, but not a dot that is taken off.
    pub fn new(size_octets_max: u64, line_octets_max: usize) -> Decoder {
        Decoder {
            state: State::LineStart,
            tally: Tally::new(size_octets_max, line_octets_max),
        }
    }

    /// Consumes `input` up to the end of the message and appends what it stands for to `out`. Returns the number of
    /// octets consumed: all of them, unless the message ended. With a fault, `out` is of no further use.
    pub fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) -> (usize, Progress) {
        let mut rest = input;
        while self.state != State::End {
            let Some((&first, after)) = rest.split_first() else {
                return (input.len(), Progress::More);
            };
            match (self.state, first) {
                (State::Text, _) => rest = self.text(rest, out),
                (State::LineStart, b'.') => (self.state, rest) = (State::Dot, after),
                (State::Dot, b'\r') => (self.state, rest) = (State::DotCr, after),
                (State::DotCr, b'\n') => (self.state, rest) = (State::End, after),
                (State::Cr, b'\n') => {
                    self.tally.keep(b"\r\n", out);
                    (self.state, rest) = (State::LineStart, after);
                    self.tally.end_line();
                }
                (State::Cr | State::DotCr, _) => {
                    self.tally.keep(b"\r", out);
                    self.tally.found(DataFault::BareLineBreak);
                    self.state = State::Text;
                }
                // RFC 5321 §4.5.2: a dot that begins a longer line goes.
                (State::LineStart | State::Dot | State::End, _) => self.state = State::Text,
            }
        }
        let consumed = input.len().saturating_sub(rest.len());
        (consumed, Progress::End(self.tally.verdict()))
    }

    /// The fault known so far.
    pub fn fault(&self) -> Option<DataFault> {
        self.tally.fault
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
                    self.tally.found(DataFault::BareLineBreak);
                    unread = next;
                    break;
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
            octets: 0,
            line_octets: 0,
            size_octets_max,
            line_octets_max,
        }
    }

    pub fn fault(&self) -> Option<DataFault> {
        self.fault
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

    /// Counts octets of the message, and appends them to `out` unless it has a fault.
    pub fn keep(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        self.octets = self.octets.saturating_add(octets.len() as u64);
        if self.octets > self.size_octets_max {
            self.found(DataFault::TooLarge);
        }
        if self.fault.is_none() {
            out.extend_from_slice(octets);
        }
    }

    /// So many octets are to come.
    pub fn announce(&mut self, octets: u64) {
        if self.octets.saturating_add(octets) > self.size_octets_max {
            self.found(DataFault::TooLarge);
        }
    }

    pub fn found(&mut self, fault: DataFault) {
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

    /// What a stream means, told in the plainest way: the end is the first `CRLF . CRLF`, where a CRLF stands before
    /// the stream; `None` if there is none. The message, its octets in the stream, and whether a CR or LF is bare.
    fn reference(stream: &[u8]) -> Option<(Vec<u8>, usize, bool)> {
        let stream = [b"\r\n", stream].concat();
        let end = stream.windows(5).position(|w| w == b"\r\n.\r\n")?;
        let text = String::from_utf8(stream[..end + 2].to_vec()).unwrap();
        let bare = text.replace("\r\n", "").contains(['\r', '\n']);
        let text = text.replace("\r\n.", "\r\n");
        Some((text.as_bytes()[2..].to_vec(), end + 3, bare))
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

    fn wide() -> Decoder {
        Decoder::new(u64::MAX, usize::MAX)
    }

    fn check(stream: &[u8], decoded: Decoded) {
        let (out, consumed, progress) = decoded;
        match reference(stream) {
            None => assert_eq!((consumed, progress), (stream.len(), Progress::More)),
            Some((text, length, false)) => {
                assert_eq!((consumed, progress), (length, Progress::End(Ok(()))));
                assert_eq!(out, text);
            }
            Some((_, length, true)) => assert_eq!(
                (consumed, progress),
                (length, Progress::End(Err(DataFault::BareLineBreak)))
            ),
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
                    check(&stream, decode([a, b], wide()));
                }
                check(&stream, decode(stream.chunks(1), wide()));
            }
        }
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
            let (_, consumed, progress) = decode([stream.as_bytes()], wide());
            assert_eq!((consumed, progress), (stream.len(), Progress::More), "{end:?}");
        }
    }

    #[test]
    fn a_dot_at_once_is_the_empty_message() {
        let (out, consumed, progress) = decode([&b".\r\nQUIT\r\n"[..]], wide());
        assert_eq!((&*out, consumed), (&b""[..], 3));
        assert_eq!(progress, Progress::End(Ok(())));
    }

    #[test]
    fn past_the_size_nothing_is_kept_and_the_end_is_still_found() {
        let stream = [b"0123456789\r\n".repeat(1000), b".\r\n".to_vec()].concat();
        for piece in [1, 7, 12, 5000, 20_000] {
            let exact = Decoder::new(12_000, 1000);
            let (out, _, progress) = decode(stream.chunks(piece), exact);
            assert_eq!((out.len(), progress), (12_000, Progress::End(Ok(()))));
            let short = Decoder::new(11_999, 1000);
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
                let (_, _, progress) = decode(stream.as_bytes().chunks(piece), Decoder::new(99, 10));
                let expected = fits.then_some(()).ok_or(DataFault::LineTooLong);
                assert_eq!(progress, Progress::End(expected), "{stream:?}");
            }
        }
    }

    #[test]
    fn of_several_faults_a_bare_line_break_is_told() {
        for piece in 1..40 {
            let stream = b"a line that is long\r\nand\na message that is large\r\n.\r\n";
            let (_, _, progress) = decode(stream.chunks(piece), Decoder::new(30, 10));
            assert_eq!(progress, Progress::End(Err(DataFault::BareLineBreak)));
        }
    }

    proptest! {
        #[test]
        fn pieces_mean_what_the_whole_means(
            stream in proptest::collection::vec(proptest::sample::select(&b"\r\n.ab"[..]), 0..80),
            piece in 1usize..20,
        ) {
            check(&stream, decode([&*stream], wide()));
            check(&stream, decode(stream.chunks(piece), wide()));
            let limited = || Decoder::new(20, 8);
            let (_, consumed, progress) = decode([&*stream], limited());
            let (_, consumed_too, progress_too) = decode(stream.chunks(piece), limited());
            prop_assert_eq!((consumed, progress), (consumed_too, progress_too));
        }
    }
}
