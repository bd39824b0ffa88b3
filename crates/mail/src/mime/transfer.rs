//! Transfer encodings, decoded as far as they go: mail programs show what they can.

/// RFC 2045 §6.8: what is no letter of the alphabet is passed over, and so is padding where none can be. Where it can,
/// it ends a group and not the text, since several texts stand one behind the other at times.
pub(super) fn base64(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len() / 4 * 3 + 3);
    let (mut bits, mut count, mut padding) = (0_u32, 0_u32, 0_u32);
    for &octet in octets {
        let value = match octet {
            b'A'..=b'Z' => octet - b'A',
            b'a'..=b'z' => octet - b'a' + 26,
            b'0'..=b'9' => octet - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                padding += 1;
                if count >= 2 && count + padding >= 4 {
                    flush(&mut out, bits, count);
                    (bits, count, padding) = (0, 0, 0);
                }
                continue;
            }
            _ => continue,
        };
        padding = 0;
        bits = bits << 6 | u32::from(value);
        count += 1;
        if count == 4 {
            let [_, group @ ..] = bits.to_be_bytes();
            out.extend_from_slice(&group);
            (bits, count) = (0, 0);
        }
    }
    flush(&mut out, bits, count);
    out
}

/// The octets of a group that is not full.
fn flush(out: &mut Vec<u8>, bits: u32, count: u32) {
    let [_, first, second, _] = (bits << (6 * (4_u32.saturating_sub(count)))).to_be_bytes();
    match count {
        2 => out.push(first),
        3 => out.extend_from_slice(&[first, second]),
        _ => {}
    }
}

/// RFC 2045 §6.7; `=` before what is no number stands for itself. White space at a line's end stays: nobody sees it.
pub(super) fn quoted_printable(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len());
    let mut rest = octets;
    while let Some(at) = memchr::memchr(b'=', rest) {
        let (before, from) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        out.extend_from_slice(before);
        rest = match from {
            [_, b'\r', b'\n', after @ ..] | [_, b'\n', after @ ..] => after,
            [_, high, low, after @ ..] => match octet(*high, *low) {
                Some(octet) => {
                    out.push(octet);
                    after
                }
                None => after_soft_break(from).unwrap_or_else(|| as_itself(&mut out, from)),
            },
            _ => as_itself(&mut out, from),
        };
    }
    out.extend_from_slice(rest);
    out
}

/// A soft line break with white space before the line's end (RFC 2045 §6.7, rule 3).
fn after_soft_break(from: &[u8]) -> Option<&[u8]> {
    let line = from.get(1..)?;
    let end = line.iter().take(80).position(|b| !matches!(b, b' ' | b'\t' | b'\r'))?;
    (line.get(end) == Some(&b'\n')).then(|| line.get(end + 1..)).flatten()
}

fn as_itself<'a>(out: &mut Vec<u8>, from: &'a [u8]) -> &'a [u8] {
    out.push(b'=');
    from.get(1..).unwrap_or_default()
}

/// Lines of uuencode (POSIX.1, `uuencode`) between `begin` and `end`; where no line begins so, all of them. A line says how
/// many octets it has; what is cut off is missing, and what does not fit is passed over.
pub(super) fn uuencode(octets: &[u8]) -> Vec<u8> {
    let begin = octets
        .split_inclusive(|&b| b == b'\n')
        .position(|line| line.starts_with(b"begin "));
    let lines = octets.split(|&b| b == b'\n').skip(begin.map_or(0, |at| at + 1));
    let mut out = Vec::with_capacity(octets.len() / 4 * 3 + 3);
    for line in lines {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line == b"end" {
            break;
        }
        let Some((&length, digits)) = line.split_first().filter(|(length, _)| (b' '..=b'`').contains(length)) else {
            continue;
        };
        let wanted = usize::from(length.wrapping_sub(b' ') & 0x3f);
        let mut wanted = wanted.min(digits.len().div_ceil(4) * 3);
        for group in digits.chunks(4) {
            // Blanks at a line's end get lost on the way.
            let digit = |at: usize| u32::from(group.get(at).map_or(0, |digit| digit.wrapping_sub(b' ') & 0x3f));
            let bits = digit(0) << 18 | digit(1) << 12 | digit(2) << 6 | digit(3);
            let [_, group @ ..] = bits.to_be_bytes();
            out.extend(group.iter().take(wanted));
            wanted = wanted.saturating_sub(3);
        }
    }
    out
}

/// RFC 2047 §4.2: `_` is a blank.
pub(super) fn q_word(octets: &[u8]) -> Vec<u8> {
    let blanks: Vec<u8> = octets.iter().map(|&b| if b == b'_' { b' ' } else { b }).collect();
    quoted_printable(&blanks)
}

/// RFC 3986 §2.1; `%` before what is no number stands for itself.
pub(super) fn percent(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len());
    let mut rest = octets;
    while let [first, after @ ..] = rest {
        rest = after;
        match after {
            [high, low, behind @ ..] if *first == b'%' => match octet(*high, *low) {
                Some(octet) => {
                    out.push(octet);
                    rest = behind;
                }
                None => out.push(*first),
            },
            _ => out.push(*first),
        }
    }
    out
}

fn octet(high: u8, low: u8) -> Option<u8> {
    let high = char::from(high).to_digit(16)?;
    let low = char::from(low).to_digit(16)?;
    u8::try_from(high << 4 | low).ok()
}
