//! Plain models of RFC 5321: slow, and easy to be sure of.

use mail::smtp::data::DataFault;

/// Where `wanted` begins in `octets`.
pub fn find(octets: &[u8], wanted: &[u8]) -> Option<usize> {
    octets.windows(wanted.len()).position(|window| window == wanted)
}

/// The lines, without their CRLF; what stands behind the last CRLF is no line.
pub fn lines(octets: &[u8]) -> Vec<&[u8]> {
    let (mut found, mut rest) = (Vec::new(), octets);
    while let Some(end) = find(rest, b"\r\n") {
        found.push(&rest[..end]);
        rest = &rest[end + 2..];
    }
    found
}

/// A CR without LF behind it, or an LF without CR before it.
fn has_bare_line_break(octets: &[u8]) -> bool {
    (0..octets.len()).any(|at| match octets[at] {
        b'\r' => octets.get(at + 1) != Some(&b'\n'),
        b'\n' => at == 0 || octets[at - 1] != b'\r',
        _ => false,
    })
}

/// What bounds a message.
#[derive(Clone, Copy)]
pub struct Bounds {
    /// Octets.
    pub size: u64,
    /// Octets of a line with its CRLF.
    pub line: usize,
}

/// What becomes of a text that is complete, with the dots taken off.
fn verdict(text: &[u8], stands_bare: bool, bounds: Bounds) -> Result<Vec<u8>, DataFault> {
    if stands_bare {
        Err(DataFault::BareLineBreak)
    } else if text.len() as u64 > bounds.size {
        Err(DataFault::TooLarge)
    } else if lines(text).iter().any(|line| line.len() + 2 > bounds.line) {
        Err(DataFault::LineTooLong)
    } else {
        Ok(without_nul(text))
    }
}

/// A space for each NUL.
pub fn without_nul(text: &[u8]) -> Vec<u8> {
    text.iter()
        .map(|&octet| if octet == 0 { b' ' } else { octet })
        .collect()
}

/// The octets behind DATA: the first `CRLF . CRLF` ends the message, where a CRLF stands before the octets. What it
/// comes to, and how many octets it takes; `None` if it has no end.
pub fn by_data(octets: &[u8], bounds: Bounds) -> Option<(Result<Vec<u8>, DataFault>, usize)> {
    let stream = [b"\r\n", octets].concat();
    let end = find(&stream, b"\r\n.\r\n")?;
    let text = &stream[2..end + 2];
    let plain: Vec<u8> = lines(text)
        .into_iter()
        .flat_map(|line| [line.strip_prefix(b".").unwrap_or(line), b"\r\n"].concat())
        .collect();
    Some((verdict(&plain, has_bare_line_break(text), bounds), end + 3))
}

/// The octets of all chunks: nothing in them ends the message, and its last line gets a CRLF if it has none.
pub fn by_bdat(octets: &[u8], bounds: Bounds) -> Result<Vec<u8>, DataFault> {
    let mut text = octets.to_vec();
    if !text.is_empty() && !text.ends_with(b"\r\n") {
        text.extend(b"\r\n");
    }
    verdict(&text, has_bare_line_break(octets), bounds)
}

/// A text as it must arrive when it is sent by DATA: each CR, LF or CRLF is one CRLF, and the last line has one.
pub fn normalised(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, octet) in text.iter().enumerate() {
        match octet {
            b'\n' if at > 0 && text[at - 1] == b'\r' => {}
            b'\r' | b'\n' => out.extend(b"\r\n"),
            octet => out.push(*octet),
        }
    }
    if !out.is_empty() && !out.ends_with(b"\r\n") {
        out.extend(b"\r\n");
    }
    out
}
