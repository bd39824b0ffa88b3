//! Text in its charset, decoded as browsers and mail readers do.

use super::transfer;
use encoding_rs::{Encoding, REPLACEMENT, UTF_16BE, UTF_16LE, WINDOWS_1252};
use std::borrow::Cow;

/// Octets of UTF-16 in which is looked for zeros.
const GUESS_OCTETS_MAX: usize = 4096;

/// Text in a charset. A byte order mark outweighs what is said of it (the Encoding standard, 6: "decode"). Where no charset
/// is named, or one that nobody knows, or plain ASCII that is none, it is UTF-8 if it can be, and otherwise the charset that
/// old programs write without saying so.
pub(super) fn decode<'a>(charset: &str, octets: &'a [u8]) -> Cow<'a, str> {
    if let Some((encoding, mark)) = Encoding::for_bom(octets) {
        let text = octets.get(mark..).unwrap_or_default();
        return encoding.decode_without_bom_handling(text).0;
    }
    if is_utf_7(charset) {
        return Cow::Owned(utf_7(octets));
    }
    if octets.is_ascii() && !charset.starts_with("iso-2022-jp") && !is_utf_16(charset) {
        return String::from_utf8_lossy(octets);
    }
    let is_vague = charset.is_empty() || charset.contains("ascii");
    let encoding = Encoding::for_label(charset.as_bytes());
    // Some charsets are known and not decoded, since browsers do not.
    match encoding.filter(|encoding| !is_vague && *encoding != REPLACEMENT) {
        Some(encoding) if encoding == UTF_16LE && charset.trim() != "utf-16le" => {
            order_of(octets).decode_without_bom_handling(octets).0
        }
        Some(encoding) => encoding.decode_without_bom_handling(octets).0,
        None => match std::str::from_utf8(octets) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => WINDOWS_1252.decode_without_bom_handling(octets).0,
        },
    }
}

fn is_utf_16(charset: &str) -> bool {
    let encoding = Encoding::for_label(charset.as_bytes());
    encoding.is_some_and(|encoding| encoding == UTF_16LE || encoding == UTF_16BE)
}

/// The order of octets in UTF-16 without a mark: of Latin text every second octet is zero. RFC 2781 §4.3 says that it is
/// the big-endian one; where nothing tells, mail readers take the other.
fn order_of(octets: &[u8]) -> &'static Encoding {
    let (mut high, mut low) = (0, 0);
    for pair in octets.chunks_exact(2).take(GUESS_OCTETS_MAX / 2) {
        high += usize::from(pair.first() == Some(&0));
        low += usize::from(pair.last() == Some(&0));
    }
    if high > low { UTF_16BE } else { UTF_16LE }
}

fn is_utf_7(charset: &str) -> bool {
    matches!(charset.trim(), "utf-7" | "unicode-1-1-utf-7" | "csunicode11utf7")
}

/// RFC 2152: UTF-16 in base64 between `+` and what is no letter of it. Older readers decode it.
fn utf_7(octets: &[u8]) -> String {
    let mut out = String::with_capacity(octets.len());
    let mut rest = octets;
    while let Some(at) = memchr::memchr(b'+', rest) {
        let (before, from) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        out.push_str(&String::from_utf8_lossy(before));
        let coded = from.get(1..).unwrap_or_default();
        let is_digit = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
        let end = coded.iter().position(|b| !is_digit(b)).unwrap_or(coded.len());
        let (coded, after) = coded.split_at_checked(end).unwrap_or_default();
        rest = after.strip_prefix(b"-").unwrap_or(after);
        if coded.is_empty() {
            out.push('+');
            continue;
        }
        let pairs = transfer::base64(coded);
        let units = pairs
            .chunks_exact(2)
            .map(|pair| pair.iter().fold(0, |unit, octet| unit << 8 | u16::from(*octet)));
        out.extend(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)));
    }
    out.push_str(&String::from_utf8_lossy(rest));
    out
}
