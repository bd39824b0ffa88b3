//! Encoded words in headers (RFC 2047).

use super::charset::decode as decode_charset;
use super::transfer;
use crate::text::Line;
use memchr::memmem;
use std::borrow::Cow;

/// RFC 2047 §2 says 75; many programs write more. The end of a word is searched no further, since a line may begin
/// thousands of words and end none.
const WORD_OCTETS_MAX: usize = 4096;

/// A header's value with its encoded words decoded. White space between two of them goes (§6.2); octets of one charset
/// that were cut apart between two words are put together, as most programs do.
pub fn decode_words(value: &[u8]) -> Cow<'_, str> {
    if memmem::find(value, b"=?").is_none() {
        return decode_charset("", value);
    }
    let mut out = String::with_capacity(value.len());
    let (mut charset, mut octets) = (String::new(), Vec::new());
    let mut rest = value;
    while let Some(at) = memmem::find(rest, b"=?") {
        let (before, from) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        let Some((word, after)) = Word::parse(from) else {
            let (literal, after) = rest.split_at_checked(at + 2).unwrap_or((rest, &[]));
            flush(&mut out, &charset, &mut octets);
            out.push_str(&decode_charset("", literal));
            rest = after;
            continue;
        };
        let is_apart = octets.is_empty() || !before.trim_ascii().is_empty();
        if is_apart || charset != word.charset {
            flush(&mut out, &charset, &mut octets);
            charset = word.charset;
        }
        if is_apart {
            out.push_str(&decode_charset("", before));
        }
        octets.extend(word.octets);
        rest = after;
    }
    flush(&mut out, &charset, &mut octets);
    out.push_str(&decode_charset("", rest));
    Cow::Owned(out)
}

/// The same as people shall read it: one line, made safe, of at most `chars_max` characters. A value that is decoded already
/// stays what it is.
pub fn readable(value: &[u8], chars_max: usize) -> Line {
    Line::clean(decode_words(value).as_bytes(), chars_max)
}

fn flush(out: &mut String, charset: &str, octets: &mut Vec<u8>) {
    out.push_str(&decode_charset(charset, octets));
    octets.clear();
}

struct Word {
    charset: String,
    octets: Vec<u8>,
}

impl Word {
    /// One encoded word at the start, and what follows it.
    fn parse(from: &[u8]) -> Option<(Word, &[u8])> {
        let text = from.strip_prefix(b"=?")?;
        let (charset, text) = until(text, 64)?;
        let (encoding, text) = until(text, 2)?;
        let end = memmem::find(text.get(..WORD_OCTETS_MAX).unwrap_or(text), b"?=")?;
        let (data, after) = text.split_at_checked(end)?;
        let octets = match encoding {
            b"b" | b"B" => transfer::base64(data),
            b"q" | b"Q" => transfer::q_word(data),
            _ => return None,
        };
        // RFC 2231 §5: a language may stand behind the charset.
        let charset = charset.split(|&b| b == b'*').next().unwrap_or_default();
        let charset = String::from_utf8_lossy(charset).to_ascii_lowercase();
        Some((Word { charset, octets }, after.get(2..)?))
    }
}

/// What stands before the next `?`, if that is near.
fn until(text: &[u8], octets_max: usize) -> Option<(&[u8], &[u8])> {
    let end = text.iter().take(octets_max).position(|&b| b == b'?')?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}
