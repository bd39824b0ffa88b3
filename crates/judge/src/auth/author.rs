//! The author (RFC 5322 §3.6.2): whom the From field names, and the one domain that DMARC asks.
//!
//! What mail programs show as the author must be what DMARC asks about. So this reads the syntax leniently where all
//! programs read the same author: obsolete white space and comments, empty list elements, groups (RFC 6854), display
//! names with commas, dots or colons without quotes. Where they differ it does not guess: a source route (RFC 5322 §4.4),
//! an encoded word or a quoted `@` in a local part, comments within an address or with another address in them, white space
//! within a domain, control characters, a second address without a comma between. If all that they could find there can be
//! told ([`lenient`]), the author is the one whose domain all of that has, or [`Author::Disputed`]; else
//! [`Author::Unreadable`].
//!
//! It takes one pass, whatever the sender nests or repeats.

mod lenient;
#[cfg(test)]
mod tests;

use mail::limits::{DOMAIN_OCTETS_MAX, LOCAL_PART_OCTETS_MAX};
use mail::{Address, Domain, Field, Line, Message};
use serde::{Deserialize, Serialize};

/// Of more domains than these none is kept.
const DOMAINS_MAX: usize = 10;

/// What the From fields of a message say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Author {
    /// Exactly one From field, all of whose addresses are of one domain: the first address (lower-cased domain, local
    /// part as written), its domain.
    One {
        /// The first address, `local-part@domain`.
        address: Line,
        /// Its domain, as A-labels.
        domain: Domain,
    },
    /// No From field, or one without an address, such as `<MAILER-DAEMON>`.
    None,
    /// Several From fields with different addresses, or addresses of several domains: RFC 7489 §6.6.1, RFC 9989 §11.5. The
    /// distinct domains in their order, at most ten.
    Several(Vec<Domain>),
    /// Something that no address can be read from.
    Unreadable(Line),
    /// One From field that mail programs read differently: the domains of all authors that they may show.
    Disputed(Vec<Domain>),
}

/// Reads all From fields of a message.
pub fn read(message: &Message<'_>) -> Author {
    let mut found = Found::default();
    let mut count = 0_usize;
    let mut value: &[u8] = &[];
    let mut is_empty = false;
    for field in message.fields().iter().filter(|field| field.is("From")) {
        count += 1;
        value = value_of(field);
        let before = found.count;
        if let Err(fault) = (Reader { rest: value }).list(&mut found) {
            found.fault.get_or_insert(fault);
        }
        is_empty |= found.count == before;
    }
    let is_repeated = !is_empty && !found.differ && !found.has_hidden_words;
    let Found {
        first,
        domains,
        has_hidden_words,
        fault,
        ..
    } = found;
    let unreadable = |fault: Fault| match lenient::read(value) {
        Some(author) if count == 1 => author,
        _ => fault.author(),
    };
    match (fault, first) {
        // Programs that write the field twice write the same: whichever is shown, it is no other author.
        (None, Some((address, domain))) if count > 1 && is_repeated => Author::One { address, domain },
        // Which of several fields a program shows is its choice, so they are no better if one cannot be read.
        (_, Some(_)) if count > 1 => Author::Several(domains),
        (Some(fault), _) => unreadable(fault),
        (None, Some(_)) if domains.len() > 1 => Author::Several(domains),
        // Words without an address hide another one, which a program may show.
        (None, Some((_, domain))) if has_hidden_words && has_another(value, &domain) => unreadable(Fault::NoAddress),
        (None, Some((address, domain))) => Author::One { address, domain },
        (None, None) if has_hidden_words => unreadable(Fault::NoAddress),
        (None, None) => Author::None,
    }
}

/// The addresses of a To, Cc or Bcc field, which have the syntax of a From field; at most `count_max`. Of a field that
/// cannot be read those before the fault: what somebody's own program wrote about his own mail hides nobody.
pub fn addresses(field: &Field<'_>, count_max: usize) -> Vec<Address> {
    let mut found = Found {
        all: Some((Vec::new(), count_max)),
        ..Found::default()
    };
    // What stands behind the fault is lost, and nothing else.
    let _ = (Reader { rest: value_of(field) }).list(&mut found);
    let (all, _) = found.all.unwrap_or_default();
    all
}

/// Whether something that looks like an address may be of another domain.
fn has_another(value: &[u8], domain: &Domain) -> bool {
    let several = value.iter().filter(|&&octet| octet == b'@').count() > 1;
    several && !matches!(lenient::read(value), Some(Author::One { domain: of_all, .. }) if of_all == *domain)
}

/// What the fields hold.
#[derive(Default)]
struct Found {
    first: Option<(Line, Domain)>,
    /// How many addresses there are.
    count: usize,
    /// They are not all the same.
    differ: bool,
    /// Distinct, in their order, at most [`DOMAINS_MAX`].
    domains: Vec<Domain>,
    /// Words that belong to no address, and in which a program may find one: encoded words, or a quoted `@`.
    has_hidden_words: bool,
    fault: Option<Fault>,
    /// All addresses that an envelope could carry, and how many are kept; where they are asked for.
    all: Option<(Vec<Address>, usize)>,
}

/// Why an author cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Control,
    Quote,
    Comment,
    Literal,
    Route,
    Local,
    Encoded,
    Domain,
    Trailing,
    NoAddress,
}

impl Fault {
    fn author(self) -> Author {
        Author::Unreadable(Line::literal(match self {
            Fault::Control => "the From field has a control character",
            Fault::Quote => "the From field has a quoted string that is not closed",
            Fault::Comment => "the From field has a comment that is not closed, or where programs read it differently",
            Fault::Literal => "the From field has an address literal instead of a domain",
            Fault::Route => "the From field has a source route, which programs read differently",
            Fault::Local => "the From field has an address whose part before the `@` cannot be read",
            Fault::Encoded => "the From field has an encoded word or a quoted `@` in an address",
            Fault::Domain => "the From field has an address whose domain is none",
            Fault::Trailing => "the From field has something behind an address that does not belong there",
            Fault::NoAddress => "the From field has no address, only words that may hide one",
        }))
    }
}

/// The words before an `@`, `<` or `:`, which are a display name or a local part.
#[derive(Default)]
struct Words {
    any: bool,
    /// As a local part is written, without what stands between the words; cut past its limit.
    text: Vec<u8>,
    /// They are words with single dots between (RFC 5322 §3.4.1, `obs-local-part`).
    is_local: bool,
    ends_in_dot: bool,
    /// An encoded word (RFC 2047), or a quoted `@` or bracket.
    is_ambiguous: bool,
}

/// What stands between words.
#[derive(Default, Clone, Copy)]
struct Gap<'a> {
    comment: bool,
    named: Named<'a>,
}

/// The domains of addresses within comments, which a program may show as the author.
#[derive(Default, Clone, Copy)]
enum Named<'a> {
    #[default]
    None,
    One(&'a [u8]),
    Several,
}

impl<'a> Named<'a> {
    fn and(self, other: Named<'a>) -> Named<'a> {
        match (self, other) {
            (Named::None, named) | (named, Named::None) => named,
            (Named::One(a), Named::One(b)) if a.eq_ignore_ascii_case(b) => self,
            _ => Named::Several,
        }
    }

    /// Whether no other domain is named. `a@x.example (a@x.example)` is an old form that names the author twice.
    fn is_none_but(self, domain: &Domain) -> bool {
        match self {
            Named::None => true,
            Named::One(name) => std::str::from_utf8(name).is_ok_and(|name| Domain::parse(name).as_ref() == Ok(domain)),
            Named::Several => false,
        }
    }

    fn is_none(self) -> bool {
        matches!(self, Named::None)
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

/// What stands behind the field's name, as received.
fn value_of<'a>(field: &Field<'a>) -> &'a [u8] {
    let raw = field.raw();
    let colon = raw.iter().position(|&b| b == b':').unwrap_or(raw.len());
    raw.get(colon + 1..).unwrap_or_default()
}

impl<'a> Reader<'a> {
    /// `address-list`, with obsolete empty elements, and `;` allowed at the end.
    fn list(&mut self, found: &mut Found) -> Result<(), Fault> {
        if has_control(self.rest) {
            return Err(Fault::Control);
        }
        let mut in_group = false;
        loop {
            let gap = self.gap()?;
            match self.rest.first() {
                None | Some(b',') if !gap.named.is_none() => return Err(Fault::Comment),
                None => return Ok(()),
                Some(b',') => self.bump(),
                Some(b';') => {
                    self.bump();
                    let after = self.gap()?;
                    let ends = matches!(self.rest.first(), None | Some(b','));
                    if !ends || !after.named.is_none() || !in_group && !self.rest.is_empty() {
                        return Err(Fault::Trailing);
                    }
                    in_group = false;
                }
                Some(_) => self.element(gap, &mut in_group, found)?,
            }
        }
    }

    /// `mailbox`, or what begins a group.
    fn element(&mut self, before: Gap<'a>, in_group: &mut bool, found: &mut Found) -> Result<(), Fault> {
        let (words, mut gap) = self.words()?;
        gap.named = gap.named.and(before.named);
        match self.rest.first() {
            Some(b'<') => {
                self.bump();
                if let Some(address) = self.angle(found)? {
                    found.add(address);
                }
                self.behind()
            }
            Some(b'@') => {
                self.bump();
                let address = self.address(words, gap)?;
                let after = self.gap()?;
                if self.rest.first() != Some(&b'<') {
                    if !gap.named.and(after.named).is_none_but(&address.1) {
                        return Err(Fault::Comment);
                    }
                    found.add(address);
                    return self.behind();
                }
                // An address without quotes as the display name of an address: both readings must be of one domain.
                self.bump();
                match self.angle(found)? {
                    Some(inner) if inner.1 == address.1 => found.add(inner),
                    _ => return Err(Fault::Trailing),
                }
                self.behind()
            }
            Some(b':') if words.any => {
                self.bump();
                // A colon in a display name looks like a group that is not closed; within one it is neither.
                match std::mem::replace(in_group, true) {
                    true => Err(Fault::Trailing),
                    false => Ok(()),
                }
            }
            None | Some(b',' | b';') if words.any => {
                found.has_hidden_words |= words.is_ambiguous;
                match gap.named.is_none() {
                    true => Ok(()),
                    false => Err(Fault::Comment),
                }
            }
            _ => Err(Fault::Trailing),
        }
    }

    /// Behind an address only white space, comments and what ends it may stand.
    fn behind(&mut self) -> Result<(), Fault> {
        self.gap()?;
        match self.rest.first() {
            None | Some(b',' | b';') => Ok(()),
            Some(_) => Err(Fault::Trailing),
        }
    }

    /// What stands in angle brackets, and the closing one; nothing for `<>` and for `<MAILER-DAEMON>`.
    fn angle(&mut self, found: &mut Found) -> Result<Option<(Line, Domain)>, Fault> {
        let before = self.gap()?;
        let (words, gap) = self.words()?;
        if before.comment {
            return Err(Fault::Comment);
        }
        let address = match (self.rest.first(), words.any) {
            (Some(b'>'), _) => {
                found.has_hidden_words |= words.is_ambiguous;
                None
            }
            (Some(b'@'), false) => return Err(Fault::Route),
            (Some(b'@'), true) => {
                self.bump();
                Some(self.address(words, gap)?)
            }
            _ => return Err(Fault::Local),
        };
        let after = self.gap()?;
        match self.rest.first() {
            Some(b'>') if after.comment => Err(Fault::Comment),
            Some(b'>') => {
                self.bump();
                Ok(address)
            }
            _ => Err(Fault::Trailing),
        }
    }

    /// The rest of an address behind its `@`.
    fn address(&mut self, words: Words, before: Gap<'_>) -> Result<(Line, Domain), Fault> {
        if !words.any || !words.is_local || words.ends_in_dot || words.text.len() > LOCAL_PART_OCTETS_MAX {
            return Err(Fault::Local);
        }
        if words.is_ambiguous {
            return Err(Fault::Encoded);
        }
        let after = self.gap()?;
        if before.comment || after.comment {
            return Err(Fault::Comment);
        }
        if self.rest.first() == Some(&b'[') {
            return Err(Fault::Literal);
        }
        let name = self.take_while(|b| is_word(b) || b == b'.');
        let name = std::str::from_utf8(name).map_err(|_| Fault::Domain)?;
        let domain = Domain::parse(name).map_err(|_| Fault::Domain)?;
        let local = std::str::from_utf8(&words.text).map_err(|_| Fault::Local)?;
        let text = format!("{local}@{domain}");
        let address = Line::clean(text.as_bytes(), LOCAL_PART_OCTETS_MAX + 1 + DOMAIN_OCTETS_MAX);
        Ok((address, domain))
    }

    /// Words with dots and what stands between them, up to something else; and what stands behind the last.
    fn words(&mut self) -> Result<(Words, Gap<'a>), Fault> {
        let mut words = Words {
            is_local: true,
            ..Words::default()
        };
        let mut gap = Gap::default();
        loop {
            match self.rest.first().copied() {
                Some(b'.') => {
                    self.bump();
                    words.dot(gap);
                }
                Some(b'"') => {
                    let quoted = self.quoted()?;
                    words.is_ambiguous |= quoted.iter().any(|b| matches!(b, b'@' | b'<' | b'>'));
                    words.is_ambiguous |= is_encoded(quoted);
                    words.word(quoted, gap);
                }
                Some(octet) if is_word(octet) => {
                    let atom = self.take_while(is_word);
                    words.is_ambiguous |= is_encoded(atom);
                    words.is_local &= !atom.iter().any(|b| matches!(b, b'[' | b']'));
                    words.word(atom, gap);
                }
                _ => return Ok((words, gap)),
            }
            let next = self.gap()?;
            // What stood between words of a display name does not matter for what follows, unless it names an address.
            gap = Gap {
                named: gap.named.and(next.named),
                ..next
            };
        }
    }

    /// A quoted string with its quotes.
    fn quoted(&mut self) -> Result<&'a [u8], Fault> {
        let before = self.rest;
        self.bump();
        loop {
            match self.rest.first() {
                None => return Err(Fault::Quote),
                Some(b'"') => {
                    self.bump();
                    let length = before.len() - self.rest.len();
                    return before.get(..length).ok_or(Fault::Quote);
                }
                Some(b'\\') => {
                    self.bump();
                    self.bump();
                }
                Some(_) => self.bump(),
            }
        }
    }

    /// White space, line ends and comments. Nesting is counted, not followed.
    fn gap(&mut self) -> Result<Gap<'a>, Fault> {
        let mut gap = Gap::default();
        let mut depth = 0_usize;
        loop {
            match self.rest.first() {
                None if depth > 0 => return Err(Fault::Comment),
                Some(b'(') => {
                    depth += 1;
                    gap.comment = true;
                    self.bump();
                }
                Some(b')') if depth > 0 => {
                    depth -= 1;
                    self.bump();
                }
                // Programs that look for brackets first would find the author here.
                Some(b'<' | b'>') if depth > 0 => return Err(Fault::Comment),
                Some(b'\\') if depth > 0 => {
                    self.bump();
                    self.bump();
                }
                Some(b'@') if depth > 0 => {
                    self.bump();
                    let name = self.take_while(|b| is_word(b) || b == b'.');
                    let name = name.strip_suffix(b".").unwrap_or(name);
                    gap.named = gap.named.and(Named::One(name));
                }
                Some(_) if depth > 0 => self.bump(),
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.bump(),
                _ => return Ok(gap),
            }
        }
    }

    fn take_while(&mut self, is_of_kind: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self
            .rest
            .iter()
            .position(|&b| !is_of_kind(b))
            .unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, &[]));
        self.rest = rest;
        taken
    }

    fn bump(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }
}

/// Programs end a text at one, drop it or take it for a line end. What folds a line (RFC 5322 §2.2.3) is none.
fn has_control(value: &[u8]) -> bool {
    let is_alone = |&(n, octet): &(usize, &u8)| match octet {
        b'\t' | b'\n' => false,
        b'\r' => value.get(n + 1) != Some(&b'\n'),
        octet => octet.is_ascii_control(),
    };
    value.iter().enumerate().any(|at| is_alone(&at))
}

/// RFC 2047 §5 forbids encoded words in addresses; but there are programs that decode them first.
fn is_encoded(word: &[u8]) -> bool {
    word.windows(2).any(|two| two == b"=?")
}

/// What a word is made of: all but specials (RFC 5322 §3.2.3), white space and control characters. Brackets are in use
/// in display names (`[list] Ann <ann@site.example>`), and octets past ASCII everywhere.
fn is_word(octet: u8) -> bool {
    octet > b' '
        && octet != 0x7f
        && !matches!(
            octet,
            b'(' | b')' | b'<' | b'>' | b':' | b';' | b'@' | b'\\' | b',' | b'.' | b'"'
        )
}

impl Words {
    fn word(&mut self, word: &[u8], gap: Gap<'_>) {
        // Two words without a dot between are a display name.
        self.is_local &= !self.any || self.ends_in_dot;
        self.push(word, gap);
        self.ends_in_dot = false;
    }

    fn dot(&mut self, gap: Gap<'_>) {
        self.is_local &= self.any && !self.ends_in_dot;
        self.push(b".", gap);
        self.ends_in_dot = true;
    }

    fn push(&mut self, octets: &[u8], gap: Gap<'_>) {
        // A program that drops comments only would read another local part than one that stops at them.
        self.is_local &= !gap.comment;
        self.any = true;
        if self.text.len() <= LOCAL_PART_OCTETS_MAX {
            let room = LOCAL_PART_OCTETS_MAX + 1;
            self.text
                .extend_from_slice(octets.get(..octets.len().min(room)).unwrap_or(octets));
        }
    }
}

impl Found {
    fn add(&mut self, (address, domain): (Line, Domain)) {
        if self.domains.len() < DOMAINS_MAX && !self.domains.contains(&domain) {
            self.domains.push(domain.clone());
        }
        if let Some((all, count_max)) = &mut self.all
            && all.len() < *count_max
        {
            all.extend(Address::parse(address.as_str()));
        }
        self.count += 1;
        let found = (address, domain);
        self.differ |= self.first.as_ref().is_some_and(|first| *first != found);
        self.first.get_or_insert(found);
    }
}
