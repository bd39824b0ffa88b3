//! A Received field (RFC 5321 §4.4) as others write it: who gave a message to whom, and when.
//!
//! The grammar leaves the important part, who the client really was, to a comment, and every program has a form of its
//! own for it. What a client could choose (its HELO name, a name in its certificate) may stand beside what the host found
//! out, so an address is only told where the field names no other one: of two nobody can say which the host meant.
//!
//! Never panics, takes one pass, and reads no field that is longer than [`RECEIVED_OCTETS_MAX`].

use crate::address::Host;
use crate::text::Line;
use std::net::IpAddr;

#[cfg(test)]
mod tests;

/// A longer field is a mistake or an attack; it is not read.
pub const RECEIVED_OCTETS_MAX: usize = 16 * 1024;
/// A name is not longer than this: RFC 5321 §4.5.3.1.2 says 255. A cut one would be another name.
const NAME_OCTETS_MAX: usize = 255;
/// So much of a date is kept; the longest that is written has less than half of it, its comment included.
const DATE_CHARS_MAX: usize = 100;

/// What a field says. Everything in it was written by the host that it names behind `by`, if it is not forged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Received {
    /// It says from whom the message came (`from`).
    pub has_from: bool,
    /// What the client called itself in HELO or EHLO; its choice.
    pub helo: Option<Line>,
    /// The client's name by reverse lookup, where the form is one of a host that confirms such names forward.
    pub reverse_name: Option<Line>,
    /// The client's address. None where the field names several.
    pub address: Option<IpAddr>,
    /// Who took the message and wrote this, as written.
    pub by: Option<Line>,
    /// How it came, in capital letters: `ESMTPS`, `LMTP`.
    pub protocol: Option<Line>,
    /// What stands behind the last semicolon.
    pub date: Line,
}

/// Reads the value of a Received field, with or without its line ends. `None` where it is too long or a comment is not
/// closed.
pub fn parse(value: &[u8]) -> Option<Received> {
    if value.len() > RECEIVED_OCTETS_MAX {
        return None;
    }
    let mut scan = Scan {
        rest: value,
        is_behind: false,
    };
    let mut found = Received::default();
    let mut from = From::default();
    let mut clause = Clause::Other;
    let mut is_first = false;
    let mut date: &[u8] = &[];
    while let Some(item) = scan.next()? {
        match item {
            // The date is all that stands behind one; where a client's name has one in it, nothing behind it counts.
            Item::Semicolon => {
                date = scan.last();
                break;
            }
            Item::Glued => {}
            Item::Word(word) if is_first => {
                is_first = false;
                match clause {
                    Clause::From => from.name = Some(word),
                    Clause::By => found.by = name(word),
                    Clause::With => found.protocol = name(&word.to_ascii_uppercase()),
                    Clause::Other => {}
                }
            }
            Item::Word(word) => match Clause::begun_by(word) {
                Some(next) => {
                    is_first = match next {
                        Clause::From => !std::mem::replace(&mut found.has_from, true) && found.by.is_none(),
                        Clause::By => found.by.is_none(),
                        Clause::With => found.protocol.is_none(),
                        Clause::Other => false,
                    };
                    clause = next;
                }
                // Some hosts write the address without a comment.
                None if clause == Clause::From => from.addresses.extend(bracketed(word)),
                None => {}
            },
            Item::Comment(text) if clause == Clause::From && found.by.is_none() => from.comment(text),
            Item::Comment(_) => {}
        }
    }
    found.date = Line::clean(date, DATE_CHARS_MAX);
    if found.has_from {
        from.tell(&mut found);
    }
    Some(found)
}

impl Received {
    /// Whether it names neither from whom nor by whom the message came, as the notes of qmail about itself.
    pub fn is_note(&self) -> bool {
        !self.has_from && self.by.is_none()
    }
}

/// A part of the field, begun by its keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clause {
    From,
    By,
    With,
    Other,
}

impl Clause {
    fn begun_by(word: &[u8]) -> Option<Clause> {
        let is = |keyword: &[u8]| word.eq_ignore_ascii_case(keyword);
        match () {
            () if is(b"from") => Some(Clause::From),
            () if is(b"by") => Some(Clause::By),
            () if is(b"with") => Some(Clause::With),
            () if is(b"via") || is(b"id") || is(b"for") => Some(Clause::Other),
            () => None,
        }
    }
}

/// What the part `from` has.
#[derive(Default)]
struct From<'a> {
    name: Option<&'a [u8]>,
    /// What the client called itself, where the form says so.
    helo: Option<&'a [u8]>,
    /// The name that stands before an address.
    reverse_name: Option<&'a [u8]>,
    addresses: Vec<IpAddr>,
    /// Exim's form, in which the name before the comment is the one that it looked up and confirmed.
    is_exim: bool,
    /// qmail's form, in which that name is looked up but not confirmed.
    is_qmail: bool,
    /// Such a comment has the HELO name and nothing else. Yahoo and CommuniGate write the address before it instead.
    is_helo_alone: bool,
    may_be_forged: bool,
}

impl<'a> From<'a> {
    fn comment(&mut self, text: &'a [u8]) {
        self.may_be_forged |= memchr::memmem::find(text, b"forged").is_some();
        let mut words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let first = words.next().unwrap_or_default();
        if first.eq_ignore_ascii_case(b"HELO") || first.eq_ignore_ascii_case(b"EHLO") {
            self.is_qmail = true;
            let helo = words.next();
            // A reverse name of one label may read `EHLO`: in front of it stands what the client called itself.
            self.is_helo_alone = words.next().is_none() && helo.is_some_and(|helo| !helo.starts_with(b"["));
            self.helo = self.helo.or(helo);
            return;
        }
        let mut before: Option<&[u8]> = None;
        for word in std::iter::once(first).chain(words) {
            if let Some(helo) = word.strip_prefix(b"helo=") {
                self.is_exim = true;
                self.helo = self.helo.or(Some(helo));
            } else if word.starts_with(b"port=") || word.starts_with(b"ident=") {
                self.is_exim = true;
            } else if let Some(address) = bracketed(word) {
                self.addresses.push(address);
                self.reverse_name = self.reverse_name.or(before);
            } else if before.is_none()
                && let Some(address) = bare(word)
            {
                self.addresses.push(address);
            }
            before = Some(word);
        }
    }

    fn tell(mut self, found: &mut Received) {
        let of_name = self.name.and_then(bracketed);
        // The name is the address only where the host, and not the client, put it there.
        if self.is_exim && self.addresses.is_empty() {
            self.addresses.extend(of_name);
        }
        if self.is_helo_alone && self.addresses.is_empty() {
            self.addresses.extend(of_name.or_else(|| self.name.and_then(bare)));
        }
        // A semicolon in the client's own name ends the field before its host says anything.
        let first = self.addresses.first().copied().filter(|_| found.by.is_some());
        found.address = first.filter(|first| self.addresses.iter().all(|other| other == first));
        let (helo, reverse_name) = match (self.is_exim, self.is_qmail) {
            (true, _) if self.helo.is_some() => (self.helo, self.name.filter(|_| of_name.is_none())),
            (false, true) => (self.helo, None),
            _ => (self.name, self.reverse_name),
        };
        found.helo = helo.and_then(name);
        if !self.may_be_forged && found.address.is_some() {
            found.reverse_name = reverse_name.and_then(confirmed);
        }
    }
}

/// A name, unless it is too long to be one.
fn name(word: &[u8]) -> Option<Line> {
    let fits = !word.is_empty() && word.len() <= NAME_OCTETS_MAX;
    // An escape is ten characters at most.
    fits.then(|| Line::clean(word, 10 * NAME_OCTETS_MAX))
}

/// A name that a host found by the address. Before it may stand what an ident server said; Google, which does not say
/// whether it confirms names, ends them in a dot.
fn confirmed(word: &[u8]) -> Option<Line> {
    let word = word.rsplit(|&octet| octet == b'@').next()?;
    let is_name = word
        .iter()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
    let is_told = is_name && !word.eq_ignore_ascii_case(b"unknown") && !word.ends_with(b".");
    name(word).filter(|_| is_told)
}

/// `[192.0.2.1]`, `[IPv6:2001:db8::1]`, `[2001:db8::1]`; Exim adds `:port`.
fn bracketed(word: &[u8]) -> Option<IpAddr> {
    let inside = word.strip_prefix(b"[")?;
    let end = inside.iter().position(|&octet| octet == b']')?;
    let (inside, after) = inside.split_at_checked(end)?;
    let is_port = |port: &[u8]| !port.is_empty() && port.iter().all(u8::is_ascii_digit);
    let is_ended = match after.get(1..)? {
        [] | [b','] => true,
        [b':', port @ ..] => is_port(port),
        _ => false,
    };
    is_ended.then(|| bare(inside)).flatten()
}

/// An address as Microsoft and qmail write it; qmail may put what an ident server said before it.
fn bare(word: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(word).ok()?;
    let text = text.rsplit('@').next()?;
    let plain = text.strip_prefix("IPv6:").unwrap_or(text);
    let address = plain.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
    address.or_else(|| match Host::parse(&format!("[{text}]")) {
        Ok(Host::Literal(ip)) => Some(ip.to_canonical()),
        _ => None,
    })
}

/// One piece of the value.
enum Item<'a> {
    /// It stands at the beginning or behind white space.
    Word(&'a [u8]),
    /// A word right behind a comment, which is no word of the host: a HELO name may look so.
    Glued,
    /// What stands between the outer parentheses.
    Comment(&'a [u8]),
    Semicolon,
}

struct Scan<'a> {
    rest: &'a [u8],
    /// A comment has just ended.
    is_behind: bool,
}

impl<'a> Scan<'a> {
    /// The next piece, `Some(None)` at the end; `None` where a comment is not closed. (An `Option` and no error, because
    /// there is nothing else to say.)
    #[allow(clippy::option_option, reason = "the end and a fault are two things")]
    fn next(&mut self) -> Option<Option<Item<'a>>> {
        let blank = self.rest.iter().position(|&octet| !is_blank(octet));
        self.rest = self.rest.get(blank.unwrap_or(self.rest.len())..)?;
        let is_glued = std::mem::take(&mut self.is_behind) && blank == Some(0);
        match self.rest.first() {
            None => Some(None),
            Some(b';') => Some(Some(Item::Semicolon)),
            Some(b'(') => {
                self.is_behind = true;
                self.comment().map(|text| Some(Item::Comment(text)))
            }
            Some(_) => {
                let is_end = |&octet: &u8| is_blank(octet) || matches!(octet, b'(' | b';');
                let end = self.rest.iter().position(is_end).unwrap_or(self.rest.len());
                let (word, rest) = self.rest.split_at_checked(end)?;
                self.rest = rest;
                Some(Some(if is_glued { Item::Glued } else { Item::Word(word) }))
            }
        }
    }

    /// What stands behind the last semicolon.
    fn last(&self) -> &'a [u8] {
        self.rest.rsplit(|&octet| octet == b';').next().unwrap_or_default()
    }

    /// Nesting is counted, not followed.
    fn comment(&mut self) -> Option<&'a [u8]> {
        let inside = self.rest.get(1..)?;
        let (mut depth, mut is_escaped) = (1_usize, false);
        for (at, octet) in inside.iter().enumerate() {
            match octet {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.rest = inside.get(at + 1..)?;
                return inside.get(..at);
            }
        }
        None
    }
}

/// What separates words and folds lines; a form feed is part of a name.
fn is_blank(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n')
}
