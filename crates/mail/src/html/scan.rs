//! A page as a run of texts and tags. Comments, declarations, scripts and styles are passed over.

use memchr::{memchr, memmem};

/// Attributes of one tag that are looked at.
const ATTRIBUTES_MAX: usize = 64;

pub(super) enum Piece<'a> {
    /// Entities and all.
    Text(&'a str),
    Open(Tag<'a>),
    /// By its name.
    Close(&'a [u8]),
}

pub(super) struct Tag<'a> {
    pub name: &'a [u8],
    /// `<x/>`
    pub is_empty: bool,
    attributes: &'a str,
}

impl<'a> Tag<'a> {
    /// Names and values, without quotes.
    pub fn attributes(&self) -> impl Iterator<Item = (&'a [u8], &'a str)> + use<'a> {
        Attributes(self.attributes).take(ATTRIBUTES_MAX)
    }
}

pub(super) struct Scan<'a> {
    rest: &'a str,
    /// What ends a comment is not there any more, so it is not searched again.
    is_open_ended: bool,
    /// Nor is any `>`.
    is_tagless: bool,
}

impl<'a> Scan<'a> {
    pub fn new(html: &'a str) -> Scan<'a> {
        Scan {
            rest: html,
            is_open_ended: false,
            is_tagless: false,
        }
    }

    /// Goes on behind so many octets.
    fn skip(&mut self, octets: usize) -> &'a str {
        let (skipped, rest) = self.rest.split_at_checked(octets).unwrap_or((self.rest, ""));
        self.rest = rest;
        skipped
    }

    /// Goes on behind a text, if it comes.
    fn skip_past(&mut self, end: &[u8]) -> bool {
        match memmem::find(self.rest.as_bytes(), end) {
            Some(at) => !self.skip(at + end.len()).is_empty(),
            None => false,
        }
    }

    /// `<!--`, `<!doctype`, `<?xml`: up to its end. Of a comment that never ends only the first tag is passed over:
    /// programs differ in what they show of the rest.
    fn declaration(&mut self) {
        if self.rest.starts_with("<!--") {
            // `<!-->` and `<!--->` are whole comments.
            self.skip(2);
            if self.rest.starts_with("-->") {
                self.skip(3);
            } else if self.rest.starts_with("--->") {
                self.skip(4);
            } else if self.is_open_ended || !self.skip_past(b"-->") {
                self.is_open_ended = true;
                self.is_tagless = self.is_tagless || !self.skip_past(b">");
            }
        } else if !self.skip_past(b">") {
            self.rest = "";
        }
    }

    /// A tag at the start of what is left, which goes to its `>`, quotes respected.
    fn tag(&mut self) -> Option<Piece<'a>> {
        let octets = self.rest.as_bytes();
        let is_close = octets.get(1) == Some(&b'/');
        let from = if is_close { 2 } else { 1 };
        let is_name = |b: &u8| !matches!(b, b'>' | b'/' | b' ' | b'\t' | b'\r' | b'\n' | b'\x0c');
        let name_len = octets.get(from..)?.iter().take_while(|b| is_name(b)).count();
        let name = octets.get(from..from + name_len)?;
        let behind = from + name_len;
        let end = behind + tag_end(octets.get(behind..)?);
        let inside = self.rest.get(behind..end).unwrap_or_default();
        self.skip(end + 1);
        if is_close {
            return Some(Piece::Close(name));
        }
        let is_empty = inside.ends_with('/');
        if [&b"script"[..], b"style"]
            .iter()
            .any(|raw| name.eq_ignore_ascii_case(raw))
            && !is_empty
        {
            self.skip_raw(name);
        }
        Some(Piece::Open(Tag {
            name,
            is_empty,
            attributes: inside,
        }))
    }

    /// Passes over a script or a style up to its end tag.
    fn skip_raw(&mut self, name: &[u8]) {
        let octets = self.rest.as_bytes();
        let mut ends = memmem::find_iter(octets, b"</");
        let is_end = |at: &usize| {
            let found = octets.get(at + 2..at + 2 + name.len());
            found.is_some_and(|found| found.eq_ignore_ascii_case(name))
        };
        let at = ends.find(is_end).unwrap_or(octets.len());
        self.skip(at);
    }
}

/// Where a tag's `>` stands, or all that is there. Only a value may be quoted (`a="x > y"`).
fn tag_end(octets: &[u8]) -> usize {
    /// A quote that is not closed by then is none.
    const QUOTED_OCTETS_MAX: usize = 16 * 1024;
    let (mut at, mut is_value) = (0, false);
    while let Some(&octet) = octets.get(at) {
        match octet {
            b'>' => return at,
            b'"' | b'\'' if is_value => {
                let rest = octets.get(at + 1..).unwrap_or_default();
                let rest = rest.get(..QUOTED_OCTETS_MAX).unwrap_or(rest);
                at += memchr(octet, rest).map_or(0, |end| end + 1);
                is_value = false;
            }
            b'=' => is_value = true,
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => is_value = false,
        }
        at += 1;
    }
    octets.len()
}

impl<'a> Iterator for Scan<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        loop {
            let octets = self.rest.as_bytes();
            let first = *octets.first()?;
            if first != b'<' {
                let end = memchr(b'<', octets).unwrap_or(octets.len());
                return Some(Piece::Text(self.skip(end)));
            }
            match octets.get(1) {
                Some(b'!' | b'?') => self.declaration(),
                Some(b'/') if octets.get(2).is_some_and(u8::is_ascii_alphabetic) => return self.tag(),
                Some(b'/') => {
                    if !self.skip_past(b">") {
                        self.rest = "";
                    }
                }
                Some(next) if next.is_ascii_alphabetic() => return self.tag(),
                // A `<` that begins no tag is one.
                _ => {
                    let behind = octets.get(1..).unwrap_or_default();
                    let end = memchr(b'<', behind).map_or(octets.len(), |at| at + 1);
                    return Some(Piece::Text(self.skip(end)));
                }
            }
        }
    }
}

struct Attributes<'a>(&'a str);

impl<'a> Iterator for Attributes<'a> {
    type Item = (&'a [u8], &'a str);

    fn next(&mut self) -> Option<(&'a [u8], &'a str)> {
        let is_space = |c: char| c.is_ascii_whitespace() || c == '/';
        let text = self.0.trim_start_matches(is_space);
        if text.is_empty() {
            return None;
        }
        // A name may begin with `=`, and then has that letter.
        let name_end = text
            .bytes()
            .enumerate()
            .position(|(at, b)| b.is_ascii_whitespace() || b == b'/' || (b == b'=' && at > 0))
            .unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(name_end).unwrap_or((text, ""));
        let Some(value) = rest.trim_start().strip_prefix('=') else {
            self.0 = rest;
            return Some((name.as_bytes(), ""));
        };
        let value = value.trim_start();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (value, rest) = match quote.and_then(|quote| value.get(1..)?.split_once(quote)) {
            Some(found) => found,
            None => {
                let end = value.find(|c: char| c.is_ascii_whitespace()).unwrap_or(value.len());
                value.split_at_checked(end).unwrap_or((value, ""))
            }
        };
        self.0 = rest;
        Some((name.as_bytes(), value))
    }
}
