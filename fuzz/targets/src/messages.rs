//! What ends a message, and what is in it: DATA, BDAT, and what we send by DATA.

use crate::model::{self, Bounds};
use crate::{Input, in_pieces};
use mail::smtp::client::{DotStuffer, write_dot_stuffed};
use mail::smtp::data::{BareLf, DataFault, Progress};
use mail::smtp::{bdat, data};

/// The message behind DATA is what the plain model says, in pieces of any size, and never more than its limit is kept.
pub fn data_decoder(octets: &[u8]) {
    let mut input = Input(octets);
    let (piece, size, line) = (input.number(), input.number(), input.number());
    let stream = input.rest();
    for bounds in bounds(size, line) {
        let expected = model::by_data(stream, bounds);
        for pieces in in_pieces(stream, piece) {
            let mut decoder = data::Decoder::new(bounds.size, bounds.line, BareLf::Refuse);
            let (mut out, mut consumed, mut end) = (Vec::new(), 0, None);
            for piece in pieces {
                let before = decoder.fault();
                let (octets, progress) = decoder.feed(piece, &mut out);
                consumed += octets;
                assert!(decoder.fault() >= before, "a fault was forgotten");
                assert!(out.len() as u64 <= bounds.size, "more is kept than the limit");
                if let Progress::End(verdict) = progress {
                    end = Some(verdict);
                    break;
                }
                assert_eq!(octets, piece.len(), "input was left behind");
            }
            let found = end.map(|verdict| (verdict.map(|()| out), consumed));
            assert_eq!(found, expected);
        }
        normalized_data(stream, piece, bounds, expected);
    }
}

/// What a message comes to, and how many octets it takes.
type Ended = Option<(Result<Vec<u8>, DataFault>, usize)>;

/// Where a bare LF is taken for a line end, the message ends where it would, and none is left in it.
fn normalized_data(stream: &[u8], piece: usize, bounds: Bounds, refusing: Ended) {
    for pieces in in_pieces(stream, piece) {
        let mut decoder = data::Decoder::new(bounds.size, bounds.line, BareLf::Normalize);
        let (mut out, mut consumed, mut end) = (Vec::new(), 0, None);
        for piece in pieces {
            let (octets, progress) = decoder.feed(piece, &mut out);
            consumed += octets;
            if let Progress::End(verdict) = progress {
                end = Some(verdict);
                break;
            }
        }
        assert_eq!(end.map(|_| consumed), refusing.as_ref().map(|(_, octets)| *octets));
        if let (Some(Ok(())), Some((Ok(text), _))) = (end, &refusing) {
            assert_eq!(&out, text);
        }
        assert!(
            !decoder.is_whole() || end.is_none() || is_plain(&out),
            "a bare CR or LF is left"
        );
    }
}

fn is_plain(text: &[u8]) -> bool {
    let loose = text.iter().filter(|octet| matches!(octet, b'\r' | b'\n')).count();
    !text.contains(&0) && loose == 2 * model::lines(text).len() && (text.is_empty() || text.ends_with(b"\r\n"))
}

/// The message behind BDAT is what the plain model says, in pieces of any size and chunks of any size.
pub fn bdat_decoder(octets: &[u8]) {
    let mut input = Input(octets);
    let (piece, size, line, chunk) = (input.number(), input.number(), input.number(), input.number());
    let text = input.rest();
    for bounds in bounds(size, line) {
        let expected = model::by_bdat(text, bounds);
        for chunks in in_pieces(text, chunk) {
            let mut decoder = bdat::Decoder::new(bounds.size, bounds.line, BareLf::Refuse);
            let mut out = Vec::new();
            for chunk in chunks {
                decoder.announce(chunk.len() as u64);
                for piece in chunk.chunks(piece.max(1)) {
                    let before = decoder.fault();
                    decoder.feed(piece, &mut out);
                    assert!(decoder.fault() >= before, "a fault was forgotten");
                    assert!(out.len() as u64 <= bounds.size, "more is kept than the limit");
                }
            }
            assert_eq!(decoder.finish(&mut out).map(|()| out), expected);
            let (mut decoder, mut out) = (
                bdat::Decoder::new(bounds.size, bounds.line, BareLf::Normalize),
                Vec::new(),
            );
            text.chunks(chunk.max(1))
                .for_each(|piece| decoder.feed(piece, &mut out));
            let _ = decoder.finish(&mut out);
            assert!(!decoder.is_whole() || is_plain(&out), "a bare CR or LF is left");
        }
    }
}

/// What we send by DATA is one message for whoever reads it, and the text that was meant.
pub fn dot_stuffing(octets: &[u8]) {
    let mut input = Input(octets);
    let piece = input.number();
    let text = input.rest();
    let mut sent = Vec::new();
    write_dot_stuffed(text, &mut sent);
    for pieces in in_pieces(text, piece) {
        let (mut stuffer, mut out) = (DotStuffer::default(), Vec::new());
        for piece in pieces {
            stuffer.feed(piece, &mut out);
        }
        stuffer.end(&mut out);
        assert_eq!(out, sent, "pieces make another message");
    }
    let wide = Bounds {
        size: u64::MAX,
        line: usize::MAX,
    };
    let expected = model::normalised(text);
    // What leaves by DATA had no NUL when it was taken; one that is read again gets none.
    let expected = model::without_nul(&expected);
    assert_eq!(model::by_data(&sent, wide), Some((Ok(expected.clone()), sent.len())));
    let (mut decoder, mut read) = (data::Decoder::new(u64::MAX, usize::MAX, BareLf::Refuse), Vec::new());
    assert_eq!(decoder.feed(&sent, &mut read), (sent.len(), Progress::End(Ok(()))));
    assert_eq!(read, expected);
    // Also for one who takes a bare CR or LF for a line end, because there is none.
    let loose = sent.iter().filter(|octet| matches!(octet, b'\r' | b'\n')).count();
    assert_eq!(loose, 2 * model::lines(&sent).len(), "a bare CR or LF was sent");
}

/// None, and narrow ones. A line has its CRLF at least.
fn bounds(size: usize, line: usize) -> [Bounds; 2] {
    let wide = Bounds {
        size: u64::MAX,
        line: usize::MAX,
    };
    let narrow = Bounds {
        size: size as u64,
        line: line.max(2),
    };
    [wide, narrow]
}
