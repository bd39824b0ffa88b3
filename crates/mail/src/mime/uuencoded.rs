//! Files that stand in a text, as mail programs sent them before MIME: `begin 644 name`, lines of uuencode, `end` (POSIX.1,
//! `uuencode`). Thunderbird and Outlook show each as an attachment, most others as text.

use super::{Encoding, Form, Part, cut_name, words::decode_words};
use memchr::memmem;
use std::borrow::Cow;

/// The files in a text that is not encoded, or quoted-printable.
pub(super) fn files<'a>(part: &Part<'a>) -> Vec<Part<'a>> {
    let is_text = part.form() == Form::Plain && matches!(part.encoding, Encoding::Identity | Encoding::QuotedPrintable);
    if !is_text || memmem::find(part.raw(), b"begin ").is_none() {
        return Vec::new();
    }
    let octets = part.octets();
    let (mut files, mut at) = (Vec::new(), 0);
    while let Some((name, start, end)) = next(&octets, at) {
        at = end;
        let body = match (&part.body, part.encoding) {
            (Cow::Borrowed(body), Encoding::Identity) => body.get(start..end).map(Cow::Borrowed),
            _ => octets.get(start..end).map(|body| Cow::Owned(body.to_vec())),
        };
        files.push(Part {
            depth: part.depth + 1,
            media: "application/octet-stream".to_owned(),
            charset: None,
            encoding: Encoding::Uuencode,
            is_attachment: true,
            name: Some(name),
            base: None,
            is_other: true,
            is_foreign: part.is_foreign,
            is_cut: false,
            second_name: None,
            boundary: None,
            body: body.unwrap_or_default(),
        });
    }
    files
}

/// The next file from a place on: its name, and where its lines begin and end, `begin` and `end` included.
fn next(octets: &[u8], mut at: usize) -> Option<(String, usize, usize)> {
    loop {
        let start = at + memmem::find(octets.get(at..)?, b"begin ")?;
        let line = octets.get(start..)?.split(|&b| b == b'\n').next()?;
        at = start + line.len();
        let is_line = start == 0 || octets.get(start - 1) == Some(&b'\n');
        if let Some(name) = name_of(line).filter(|_| is_line) {
            return Some((name, start, end_of(octets, at)));
        }
    }
}

/// What a file is called, if this is the first line of one: its mode is three octal digits or four.
fn name_of(line: &[u8]) -> Option<String> {
    let rest = line.strip_prefix(b"begin ")?.trim_ascii_start();
    let blank = rest.iter().position(u8::is_ascii_whitespace)?;
    let (mode, name) = rest.split_at_checked(blank)?;
    let is_mode = (3..=4).contains(&mode.len()) && mode.iter().all(|b| (b'0'..=b'7').contains(b));
    let name = cut_name(decode_words(name).trim());
    (is_mode && !name.is_empty()).then_some(name)
}

/// Where the line `end` ends; where there is none, the octets do.
fn end_of(octets: &[u8], mut at: usize) -> usize {
    while let Some(found) = octets.get(at..).and_then(|rest| memmem::find(rest, b"\nend")) {
        at += found + 4;
        let behind = octets.get(at..).unwrap_or_default();
        if behind.is_empty() || behind.starts_with(b"\n") || behind.starts_with(b"\r\n") {
            return at;
        }
    }
    octets.len()
}
