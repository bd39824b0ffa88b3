//! The author (RFC 5322 §3.6.2): whom the From field names, and the one domain that DMARC asks.
//!
//! What mail programs show as the author must be what DMARC asks about. So this reads the syntax leniently where all
//! programs read the same author: obsolete white space and comments, empty list elements, groups (RFC 6854), display
//! names with commas, dots or colons without quotes. Where they differ it does not guess, the author is
//! [`Author::Unreadable`]: a source route (RFC 5322 §4.4), an encoded word or a quoted `@` in a local part, comments
//! within an address or with another address in them, white space within a domain, control characters, a second address
//! without a comma between.
//!
//! It takes one pass, whatever the sender nests or repeats.

use mail::limits::{DOMAIN_OCTETS_MAX, LOCAL_PART_OCTETS_MAX};
use mail::{Domain, Field, Line, Message};
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
    /// Several From fields, or addresses of several domains: RFC 7489 §6.6.1, RFC 9989 §11.5. The distinct domains in
    /// their order, at most ten.
    Several(Vec<Domain>),
    /// Something that no address can be read from.
    Unreadable(Line),
}

/// Reads all From fields of a message.
pub fn read(message: &Message<'_>) -> Author {
    let mut found = Found::default();
    let mut count = 0_usize;
    for field in message.fields().iter().filter(|field| field.is("From")) {
        count += 1;
        if let Err(fault) = (Reader::new(field)).list(&mut found) {
            found.fault.get_or_insert(fault);
        }
    }
    let Found {
        first,
        domains,
        has_hidden_words,
        fault,
    } = found;
    match (fault, first) {
        // Which of several fields a program shows is its choice, so they are no better if one cannot be read.
        (_, Some(_)) if count > 1 => Author::Several(domains),
        (Some(fault), _) => fault.author(),
        (None, Some(_)) if domains.len() > 1 => Author::Several(domains),
        (None, Some((address, domain))) => Author::One { address, domain },
        (None, None) if has_hidden_words => Fault::NoAddress.author(),
        (None, None) => Author::None,
    }
}

/// What the fields hold.
#[derive(Default)]
struct Found {
    first: Option<(Line, Domain)>,
    /// Distinct, in their order, at most [`DOMAINS_MAX`].
    domains: Vec<Domain>,
    /// Words that belong to no address, and in which a program may find one: encoded words, or a quoted `@`.
    has_hidden_words: bool,
    fault: Option<Fault>,
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

impl<'a> Reader<'a> {
    fn new(field: &Field<'a>) -> Reader<'a> {
        let raw = field.raw();
        let colon = raw.iter().position(|&b| b == b':').unwrap_or(raw.len());
        Reader {
            rest: raw.get(colon + 1..).unwrap_or_default(),
        }
    }

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
        self.first.get_or_insert((address, domain));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn author(value: &[u8]) -> Author {
        fields(&[value])
    }

    fn fields(values: &[&[u8]]) -> Author {
        let mut octets = b"Subject: x\r\n".to_vec();
        for value in values {
            octets.extend_from_slice(&[b"From: ", *value, b"\r\n"].concat());
        }
        octets.extend_from_slice(b"\r\nFrom: body@body.example\r\n");
        read(&Message::parse(&octets))
    }

    /// Value, first address.
    const ONE: [(&str, &str); 39] = [
        ("a@x.example", "a@x.example"),
        ("a@x.example (a@X.example, or (b@x.example.))", "a@x.example"),
        ("<a@x.example>", "a@x.example"),
        ("Ann <A.b+c@X.Example.>", "A.b+c@x.example"),
        ("\"Ann, B.\" <a@x.example>", "a@x.example"),
        ("\"a@y.example\" <a@x.example>", "a@x.example"),
        ("\"a@y.example\\\" <b@y.example>\" <a@x.example>", "a@x.example"),
        ("a@x.example (Ann (from\r\n work))", "a@x.example"),
        ("(c) Ann (a@y.example) <a@x.example> (c)", "a@x.example"),
        ("a@x.example, b@x.example", "a@x.example"),
        ("a@X.EXAMPLE, b@x.example.", "a@x.example"),
        (",, a@x.example ,\r\n\t,", "a@x.example"),
        ("group: a@x.example, B <b@x.example>;", "a@x.example"),
        ("group: a@x.example;, b@x.example", "a@x.example"),
        ("empty:;, a@x.example", "a@x.example"),
        ("a@x.example;", "a@x.example"),
        ("Re: Ann <a@x.example>", "a@x.example"),
        ("Doe, Ann <a@x.example>", "a@x.example"),
        ("Ann B. Doe <a@x.example>", "a@x.example"),
        (".Ann. <a@x.example>", "a@x.example"),
        ("[list] Ann <a@x.example>", "a@x.example"),
        ("Ann=Doe's (\\) \\( c) <a@x.example>", "a@x.example"),
        ("=?utf-8?q?a=40y.example?= <a@x.example>", "a@x.example"),
        ("=?utf-8?q?Doe, Ann?= <a@x.example>", "a@x.example"),
        ("a@x.example <a2@x.example>", "a2@x.example"),
        ("\"a b\"@x.example", "\"a b\"@x.example"),
        ("\"a\".b@x.example", "\"a\".b@x.example"),
        ("a . b @ x.example", "a.b@x.example"),
        ("< a@x.example >", "a@x.example"),
        ("a!b%c=d/e@x.example", "a!b%c=d/e@x.example"),
        ("Ann <a@b\u{fc}cher.example>", "a@xn--bcher-kva.example"),
        ("\u{e4}@x.example", "\u{e4}@x.example"),
        ("J\u{e4}r <a@x.example>", "a@x.example"),
        ("a@x_y.example", "a@x_y.example"),
        ("a@localhost", "a@localhost"),
        ("a@x.example,", "a@x.example"),
        ("<>, a@x.example", "a@x.example"),
        ("a@192.0.2.1", "a@192.0.2.1"),
        ("a@\u{ff38}.example", "a@x.example"),
    ];

    #[test]
    fn one_author_is_read() {
        for (value, expected) in ONE {
            match author(value.as_bytes()) {
                Author::One { address, domain } => {
                    assert_eq!(address.as_str(), expected, "{value}");
                    assert_eq!(domain.as_str(), expected.rsplit('@').next().unwrap());
                }
                other => panic!("{value}: {other:?}"),
            }
        }
        // Japanese mail of old and broken charsets: no UTF-8, but clear where the address stands.
        assert!(matches!(author(b"\"\xe4\xff\" <a@x.example>"), Author::One { .. }));
    }

    /// Mail programs differ on these, or none can read them.
    const UNREADABLE: [(&str, Fault); 54] = [
        ("<a@x.example> <b@y.example>", Fault::Trailing),
        ("a@x.example <b@y.example>", Fault::Trailing),
        ("a@x.example <>", Fault::Trailing),
        ("a@x.example@y.example", Fault::Trailing),
        ("<a@x.example@y.example>", Fault::Trailing),
        ("a@x.example b@y.example", Fault::Trailing),
        ("a@x.example; b@y.example", Fault::Trailing),
        ("a@x.example;, b@y.example", Fault::Trailing),
        ("g: a@x.example; b@y.example", Fault::Trailing),
        ("a: b: c@x.example;", Fault::Trailing),
        ("Ann <a@x.example> Doe", Fault::Trailing),
        ("Ann <a@x.example>>", Fault::Trailing),
        ("<<a@x.example>>", Fault::Local),
        ("Ann <a@x.example", Fault::Trailing),
        ("Ann a@x.example>", Fault::Local),
        ("a@x.example>", Fault::Trailing),
        (")a@x.example", Fault::Trailing),
        ("a\\@x.example", Fault::Trailing),
        ("a@x .example", Fault::Trailing),
        ("a@x. example", Fault::Trailing),
        ("a@x(c).example", Fault::Trailing),
        ("a@x.example (c) .y.example", Fault::Trailing),
        ("a@\"x.example\"", Fault::Domain),
        ("a@", Fault::Domain),
        ("a@x..example", Fault::Domain),
        ("a@-x.example", Fault::Domain),
        ("a@x=y.example", Fault::Domain),
        ("a@=?utf-8?q?x?=", Fault::Domain),
        ("Ann <a@>", Fault::Domain),
        ("a@[192.0.2.1]", Fault::Literal),
        ("Ann <a@[IPv6:2001:db8::1]>", Fault::Literal),
        ("a@x.example, b@[192.0.2.1]", Fault::Literal),
        ("<@y.example:a@x.example>", Fault::Route),
        ("<@y.example,@z.example:a@x.example>", Fault::Route),
        ("@x.example", Fault::Local),
        ("<\"a@x.example\">", Fault::NoAddress),
        ("a..b@x.example", Fault::Local),
        (".a@x.example", Fault::Local),
        ("a.@x.example", Fault::Local),
        ("Ann Doe a@x.example", Fault::Local),
        ("a(c).b@x.example", Fault::Local),
        ("[a]@x.example", Fault::Local),
        ("\"a@y.example\"@x.example", Fault::Encoded),
        ("=?utf-8?q?a=40y.example=00?=@x.example", Fault::Encoded),
        ("<\"=?utf-8?q?a=40y.example?=\"@x.example>", Fault::Encoded),
        ("\"Ann <a@x.example>", Fault::Quote),
        ("\"Ann\\\" <a@x.example>", Fault::Quote),
        ("Ann (Doe <a@x.example>", Fault::Comment),
        ("((Ann) <a@x.example>", Fault::Comment),
        ("(<b@y.example>) <a@x.example>", Fault::Comment),
        ("a@x.example (b@y.example)", Fault::Comment),
        ("<a@x.example(.y.example)>", Fault::Comment),
        ("\"a@x.example\"", Fault::NoAddress),
        ("=?utf-8?q?a=40x.example?=, <>", Fault::NoAddress),
    ];

    #[test]
    fn what_programs_read_differently_is_not_guessed() {
        for (value, fault) in UNREADABLE {
            assert_eq!(author(value.as_bytes()), fault.author(), "{value}");
        }
        let control: [&[u8]; 6] = [
            b"a@x.example\0@y.example",
            b"a@x.example\0",
            b"\"a\0\" <a@x.example>",
            b"Ann\r<b@y.example> <a@x.example>",
            b"(\x1b) a@x.example",
            b"a@x.example\x7f",
        ];
        for value in control {
            assert_eq!(author(value), Fault::Control.author(), "{}", value.escape_ascii());
        }
        assert_eq!(author(b"a\xff@x.example"), Fault::Local.author());
        assert_eq!(author(b"a@x\xff.example"), Fault::Domain.author());
        let long = format!("{}@x.example", "a".repeat(LOCAL_PART_OCTETS_MAX + 1));
        assert_eq!(author(long.as_bytes()), Fault::Local.author());
    }

    #[test]
    fn several_authors_and_none_are_told_apart() {
        let several = |names: &[&str]| Author::Several(names.iter().map(|n| Domain::parse(n).unwrap()).collect());
        assert_eq!(
            author(b"a@x.example, b@y.example, c@x.example"),
            several(&["x.example", "y.example"])
        );
        assert_eq!(
            author(b"g: a@x.example;, b@y.example"),
            several(&["x.example", "y.example"])
        );
        assert_eq!(
            fields(&[b"a@x.example", b"b@y.example"]),
            several(&["x.example", "y.example"])
        );
        assert_eq!(fields(&[b"a@x.example", b"b@x.example"]), several(&["x.example"]));
        assert_eq!(fields(&[b"a@x.example", b"\"b"]), several(&["x.example"]));
        assert_eq!(fields(&[b"", b"a@x.example"]), several(&["x.example"]));
        assert_eq!(fields(&[b"\"", b"Ann"]), Fault::Quote.author());
        for value in [
            "",
            "<>",
            "Ann <>",
            "undisclosed:;",
            ",,,",
            "(nobody)",
            "Ann",
            "Ann <MAILER-DAEMON>",
        ] {
            assert_eq!(author(value.as_bytes()), Author::None, "{value}");
        }
        assert_eq!(author(b"(a@x.example)"), Fault::Comment.author());
        assert_eq!(fields(&[]), Author::None);
        let many = (0..50).map(|n| format!("a@x{n}.example")).collect::<Vec<_>>().join(",");
        assert!(matches!(author(many.as_bytes()), Author::Several(domains) if domains.len() == DOMAINS_MAX));
    }

    #[test]
    fn a_hundred_thousand_of_anything_are_one_pass() {
        for piece in [
            ",",
            "(",
            "()",
            "\"\"",
            "<",
            "a@x.example,",
            "a.",
            "a ",
            "g:",
            ";",
            "\\",
            "=?",
            "@",
            "g:;,",
        ] {
            let _ = author(piece.repeat(240_000 / piece.len()).as_bytes());
        }
        assert_eq!(author(",".repeat(100_000).as_bytes()), Author::None);
        let value = format!("{}{} a@x.example", "(".repeat(100_000), ")".repeat(100_000));
        assert!(matches!(author(value.as_bytes()), Author::One { .. }));
    }

    proptest! {
        #[test]
        fn any_octets_have_an_author_or_none(value in proptest::collection::vec(
            prop_oneof![any::<u8>(), proptest::sample::select(&b"()<>[]:;@\\,.\" ab=?"[..])], 0..200)) {
            if let Author::One { address, domain } = author(&value) {
                let suffix = format!("@{domain}");
                prop_assert!(address.as_str().ends_with(&suffix));
                prop_assert!(address.as_str().chars().count() <= LOCAL_PART_OCTETS_MAX + 1 + DOMAIN_OCTETS_MAX);
            }
        }

        #[test]
        fn a_plain_author_is_read_whatever_stands_around(
            name in "[A-Za-z ',.]{0,20}", comment in "[a-z ().]{0,10}", local in "[a-z0-9+_-]{1,20}", domain in "[a-z]{1,9}\\.example"
        ) {
            prop_assume!(comment.matches('(').count() == 0 && comment.matches(')').count() == 0);
            let value = format!("{name} ({comment}) <{local}@{domain}>");
            let expected = format!("{local}@{domain}");
            match author(value.as_bytes()) {
                Author::One { address, .. } => prop_assert_eq!(address.as_str(), expected),
                other => prop_assert!(false, "{:?}: {:?}", value, other),
            }
        }
    }
}
