//! The parts of a message (RFC 2045, 2046), as a flat list in the order in which they stand.
//!
//! Reading is lenient, because what a mail program shows of broken mail must be judged too: a multipart whose boundary
//! never comes is text, an encoding that breaks off is decoded as far as it goes, a charset that nobody knows is
//! guessed. Nothing is decoded before it is asked for.
//!
//! One pass, no recursion: multiparts and attached messages are levels on a stack of [`DEPTH_MAX`]; deeper ones are
//! leaves. At most [`PARTS_MAX`] parts are told apart.
//!
//! - `parameters`: what stands behind the first word of Content-Type and Content-Disposition (RFC 2045 §5.1, RFC 2231).
//! - `transfer`: base64 and quoted-printable.
//! - `words`: charsets, and encoded words in headers (RFC 2047).

mod parameters;
#[cfg(test)]
mod tests;
mod transfer;
mod words;

use crate::message::{Field, Message};
use memchr::memmem;
use parameters::Parameters;
use std::borrow::Cow;
pub use words::decode_words;

/// Levels of nesting that are looked into.
pub const DEPTH_MAX: usize = 32;
/// Parts that are told apart; what stands behind the last one belongs to it.
pub const PARTS_MAX: usize = 500;
/// Media types, file names and charsets are cut to so many characters.
const NAME_CHARS_MAX: usize = 255;

/// One part: a multipart (which has nothing of its own), an attached message's header, or a leaf.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    /// 0 for the message itself.
    pub depth: usize,
    /// In lower case: `text/plain` where nothing or nonsense is said.
    pub media: String,
    /// As said; in lower case.
    pub charset: Option<String>,
    /// How the octets were made fit for transport.
    pub encoding: Encoding,
    /// Whether it asks to be shown apart (Content-Disposition: attachment).
    pub is_attachment: bool,
    /// What it would be called as a file, decoded.
    pub name: Option<String>,
    body: &'a [u8],
}

/// A content transfer encoding (RFC 2045 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// 7bit, 8bit, binary; or none that is known.
    Identity,
    /// RFC 2045 §6.8.
    Base64,
    /// RFC 2045 §6.7.
    QuotedPrintable,
}

impl<'a> Part<'a> {
    /// Whether other parts stand in it rather than content.
    pub fn is_container(&self) -> bool {
        self.body.is_empty() && (self.media.starts_with("multipart/") || self.media == "message/rfc822")
    }

    /// The octets as they came.
    pub fn raw(&self) -> &'a [u8] {
        self.body
    }

    /// The octets as they were before they were made fit for transport.
    pub fn octets(&self) -> Cow<'a, [u8]> {
        match self.encoding {
            Encoding::Identity => Cow::Borrowed(self.body),
            Encoding::Base64 => Cow::Owned(transfer::base64(self.body)),
            Encoding::QuotedPrintable => Cow::Owned(transfer::quoted_printable(self.body)),
        }
    }

    /// The text, whatever its charset.
    pub fn text(&self) -> String {
        words::decode_charset(self.charset.as_deref().unwrap_or_default(), &self.octets()).into_owned()
    }

    /// Reads what the fields of a part say.
    fn read(fields: &[Field<'a>], depth: usize, body: &'a [u8]) -> (Part<'a>, Option<Vec<u8>>) {
        let value = |name| fields.iter().find(|field| field.is(name)).map(Field::value);
        let kind = Parameters::parse(&value("Content-Type").unwrap_or_default());
        let disposition = Parameters::parse(&value("Content-Disposition").unwrap_or_default());
        let encoding = match value("Content-Transfer-Encoding") {
            Some(word) if starts_with_ignore_case(&word, b"base64") => Encoding::Base64,
            Some(word) if starts_with_ignore_case(&word, b"quoted-printable") => Encoding::QuotedPrintable,
            _ => Encoding::Identity,
        };
        let media = match kind.first.split_once('/') {
            Some((kind, sort)) if !kind.is_empty() && !sort.is_empty() => kind_and_sort(kind, sort),
            _ => "text/plain".to_owned(),
        };
        let is_multipart = media.starts_with("multipart/");
        let boundary = kind.octets("boundary").filter(|b| is_multipart && !b.is_empty());
        let part = Part {
            depth,
            media,
            charset: kind.text("charset").map(|name| name.to_ascii_lowercase()),
            encoding,
            is_attachment: disposition.first.eq_ignore_ascii_case("attachment"),
            name: disposition.text("filename").or_else(|| kind.text("name")),
            body,
        };
        (part, boundary)
    }
}

fn kind_and_sort(kind: &str, sort: &str) -> String {
    format!("{}/{}", kind.trim_ascii(), sort.trim_ascii())
        .chars()
        .take(NAME_CHARS_MAX)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

fn starts_with_ignore_case(octets: &[u8], word: &[u8]) -> bool {
    octets
        .get(..word.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(word))
}

/// The parts of a message, the whole first.
pub fn parts<'a>(message: &Message<'a>) -> Vec<Part<'a>> {
    let mut walk = Walk {
        parts: Vec::with_capacity(4),
        boundaries: Vec::new(),
    };
    let mut next = walk.entity(message.fields(), message.body(), 0);
    while let Some((rest, depth)) = next {
        if walk.parts.len() >= PARTS_MAX {
            break;
        }
        let entity = Message::parse(rest);
        next = walk.entity(entity.fields(), entity.body(), depth);
    }
    walk.parts
}

/// A delimiter that is awaited, and the depth of the parts that it parts.
struct Boundary {
    text: Vec<u8>,
    depth: usize,
}

struct Walk<'a> {
    parts: Vec<Part<'a>>,
    boundaries: Vec<Boundary>,
}

impl<'a> Walk<'a> {
    /// Takes in one part whose fields are read; where the next one begins, and how deep.
    fn entity(&mut self, fields: &[Field<'a>], body: &'a [u8], depth: usize) -> Option<(&'a [u8], usize)> {
        let (mut part, boundary) = Part::read(fields, depth, body);
        let may_nest = self.boundaries.len() < DEPTH_MAX && depth < DEPTH_MAX;
        if let Some(text) = boundary.filter(|_| may_nest) {
            self.boundaries.push(Boundary { text, depth: depth + 1 });
            // Without the first delimiter there is no multipart, whatever it says; so people see its source.
            let (before, after) = self.next_delimiter(body);
            if after.as_ref().is_some_and(|(_, at)| *at == depth + 1) {
                part.body = &[];
                self.parts.push(part);
                return after;
            }
            self.boundaries.retain(|b| b.depth <= depth);
            part.body = before;
            self.parts.push(part);
            return after;
        }
        if part.media == "message/rfc822" && part.encoding == Encoding::Identity && may_nest {
            part.body = &[];
            self.parts.push(part);
            return Some((body, depth + 1));
        }
        let (before, after) = self.next_delimiter(body);
        part.body = before;
        self.parts.push(part);
        after
    }

    /// What stands before the next delimiter, and what behind it if another part begins there.
    fn next_delimiter(&mut self, octets: &'a [u8]) -> (&'a [u8], Option<(&'a [u8], usize)>) {
        let (mut at, mut before) = (0, None);
        while !self.boundaries.is_empty() {
            let Some(rest) = octets.get(at..) else { break };
            let Some(start) = next_dashes(octets, rest, at) else {
                break;
            };
            let line = octets.get(start..).unwrap_or_default();
            let end = memchr::memchr(b'\n', line).map_or(line.len(), |end| end + 1);
            let (line, after) = line.split_at_checked(end).unwrap_or((line, &[]));
            at = start + end;
            let Some((index, is_last)) = self.matching(line) else {
                continue;
            };
            before.get_or_insert(start);
            self.boundaries.truncate(if is_last { index } else { index + 1 });
            if let Some(boundary) = self.boundaries.last().filter(|_| !is_last) {
                return (
                    without_line_end(octets.get(..before.unwrap_or(start))),
                    Some((after, boundary.depth)),
                );
            }
        }
        match before {
            Some(end) => (without_line_end(octets.get(..end)), None),
            None => (octets, None),
        }
    }

    /// Which boundary a line is, the innermost first, and whether it is its last.
    fn matching(&self, line: &[u8]) -> Option<(usize, bool)> {
        let text = line.get(2..)?.trim_ascii_end();
        self.boundaries.iter().enumerate().rev().find_map(|(index, boundary)| {
            match text.strip_prefix(boundary.text.as_slice())? {
                b"" => Some((index, false)),
                rest if rest.starts_with(b"--") => Some((index, true)),
                _ => None,
            }
        })
    }
}

/// Where the next line that begins with `--` stands, from a place on.
fn next_dashes(octets: &[u8], rest: &[u8], at: usize) -> Option<usize> {
    let is_line_start = at == 0 || octets.get(at - 1) == Some(&b'\n');
    if is_line_start && rest.starts_with(b"--") {
        return Some(at);
    }
    memmem::find(rest, b"\n--").map(|found| at + found + 1)
}

/// RFC 2046 §5.1.1: the line end before a delimiter belongs to it.
fn without_line_end(octets: Option<&[u8]>) -> &[u8] {
    let octets = octets.unwrap_or_default();
    let octets = octets.strip_suffix(b"\n").unwrap_or(octets);
    octets.strip_suffix(b"\r").unwrap_or(octets)
}
