//! Lines that end in CRLF, cut from a stream that arrives in pieces of any size.
//!
//! A CR or LF that stands alone ends nothing (RFC 5321 §2.3.8): it stays in the line, for the caller to refuse. So no
//! part of a line can pass for a second one. A line past its limit is read to its end and not kept.

use crate::limits::SKIPPED_OCTETS_MAX;
use memchr::memchr_iter;

/// Gathers one line at a time; holds no memory between lines.
#[derive(Debug, Default)]
pub(super) struct LineReader {
    octets: Vec<u8>,
    length: usize,
    ends_in_cr: bool,
}

/// What [`LineReader::take`] found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RawLine {
    /// A line without its CRLF.
    Complete(Vec<u8>),
    /// A line with more octets than asked for; it was passed over.
    TooLong,
    /// [`SKIPPED_OCTETS_MAX`] octets without CRLF: this peer does not speak in lines.
    Endless,
}

impl LineReader {
    /// Consumes from `input` through the end of the line; all of it, with `None`, if the line goes on.
    /// `octets_max` counts the CRLF.
    pub fn take(&mut self, input: &mut &[u8], octets_max: usize) -> Option<RawLine> {
        let room = SKIPPED_OCTETS_MAX.saturating_sub(self.length);
        let window = input.get(..room).unwrap_or(input);
        let end = line_end(window, self.ends_in_cr);
        let (taken, rest) = input.split_at_checked(end.unwrap_or(window.len()))?;
        *input = rest;
        self.length += taken.len();
        self.ends_in_cr = taken.last() == Some(&b'\r');
        if self.length <= octets_max {
            self.octets.extend_from_slice(taken);
        } else {
            self.octets = Vec::new();
        }
        if end.is_none() && self.length < SKIPPED_OCTETS_MAX {
            return None;
        }
        let line = std::mem::take(self);
        Some(if end.is_none() {
            RawLine::Endless
        } else if line.length > octets_max {
            RawLine::TooLong
        } else {
            let mut octets = line.octets;
            octets.truncate(line.length.saturating_sub(2));
            RawLine::Complete(octets)
        })
    }
}

/// Where the first CRLF ends. `after_cr`: the octet before the window was a CR.
fn line_end(window: &[u8], after_cr: bool) -> Option<usize> {
    memchr_iter(b'\n', window)
        .find(|&at| match at.checked_sub(1) {
            Some(before) => window.get(before) == Some(&b'\r'),
            None => after_cr,
        })
        .map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8], piece: usize, octets_max: usize) -> Vec<RawLine> {
        let (mut reader, mut found) = (LineReader::default(), Vec::new());
        for mut piece in input.chunks(piece) {
            while !piece.is_empty() {
                found.extend(reader.take(&mut piece, octets_max));
            }
        }
        found
    }

    #[test]
    fn only_crlf_ends_a_line() {
        let complete = |t: &str| RawLine::Complete(t.as_bytes().to_vec());
        for piece in 1..20 {
            assert_eq!(
                lines(b"a\nb\rc\r\r\n\r\n\n\r\nrest", piece, 100),
                [complete("a\nb\rc\r"), complete(""), complete("\n")]
            );
        }
    }

    #[test]
    fn a_long_line_is_passed_over_and_the_next_one_is_read() {
        let input = b"12345678\r\n123456789\r\nok\r\n";
        for piece in 1..25 {
            let found = lines(input, piece, 10);
            assert_eq!(found[0], RawLine::Complete(b"12345678".to_vec()));
            assert_eq!(found[1], RawLine::TooLong);
            assert_eq!(found[2], RawLine::Complete(b"ok".to_vec()));
        }
    }

    #[test]
    fn a_line_without_end_is_told_at_the_same_octet_however_it_arrives() {
        let mut input = vec![b'x'; SKIPPED_OCTETS_MAX - 2];
        input.extend_from_slice(b"\r\n");
        assert_eq!(lines(&input, 1, 10), [RawLine::TooLong]);
        assert_eq!(lines(&input, 70_000, 10), [RawLine::TooLong]);
        input.insert(0, b'x');
        assert_eq!(lines(&input, 1, 10), [RawLine::Endless]);
        assert_eq!(lines(&input, 70_000, 10), [RawLine::Endless]);
    }

    #[test]
    fn no_more_than_the_limit_is_kept() {
        let mut reader = LineReader::default();
        for _ in 0..50 {
            assert_eq!(reader.take(&mut &[b'x'; 1000][..], 2048), None);
            assert!(reader.octets.capacity() <= 4096);
        }
    }
}
