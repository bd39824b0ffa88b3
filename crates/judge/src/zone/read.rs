//! Reads zone files: octets to tokens, tokens to entries, entries to records.
//!
//! Of RFC 1035 §5.1: `$ORIGIN` and `$TTL` (RFC 2308 §4), comments, parentheses, `@`, blank owners, relative names, quoted
//! strings, `\X` and `\DDD`, TTLs (also `1h30m`) and the class IN, which both may be left out. A, AAAA, MX, PTR, TXT and
//! CNAME are kept; of the other known types only the name is, because nobody asks for them here.
//!
//! Of our own:
//! - `NAME TIMEOUT [TYPE]` and `NAME SERVFAIL [TYPE]`: questions for the name, or for one type of it, fail so.
//! - `$SECURE ZONE`: answers for names in this zone are proven; those for all other names are unsigned.

use super::{ZoneError, ZoneFile};
use crate::resolver::{Kind, Name, Record, Trouble};
use mail::Line;
use std::str::{Chars, FromStr};

/// Longest character-string (RFC 1035 §3.3).
const STRING_OCTETS_MAX: usize = 255;
/// What fits into one record (RFC 1035 §3.2.1: RDLENGTH).
const TEXT_OCTETS_MAX: usize = u16::MAX as usize;

/// Types of which only the owner's name is kept. DNAME is not here, as it would have to be followed.
const OTHER_TYPES: [&str; 29] = [
    "AFSDB",
    "APL",
    "CAA",
    "CDNSKEY",
    "CDS",
    "CERT",
    "CSYNC",
    "DNSKEY",
    "DS",
    "HINFO",
    "HTTPS",
    "LOC",
    "NAPTR",
    "NS",
    "NSEC",
    "NSEC3",
    "NSEC3PARAM",
    "OPENPGPKEY",
    "RP",
    "RRSIG",
    "SMIMEA",
    "SOA",
    "SPF",
    "SRV",
    "SSHFP",
    "SVCB",
    "TLSA",
    "URI",
    "ZONEMD",
];
/// The numbers of the types that are kept; in their general form (RFC 3597 §5) they are refused.
const KEPT_TYPES: [u16; 6] = [1, 5, 12, 15, 16, 28];

/// Reads a whole file.
pub(super) fn read(text: &str) -> Result<ZoneFile, ZoneError> {
    let mut reader = Reader::default();
    let mut tokens = Tokens::new(text);
    while let Some(entry) = tokens.entry()? {
        reader.entry(&entry)?;
    }
    Ok(reader.zone)
}

/// One word, its escapes resolved.
struct Token {
    octets: Vec<u8>,
    line: usize,
    /// In quotes.
    is_quoted: bool,
    /// Had an escape: then `@` and `$` are only themselves.
    is_escaped: bool,
    /// Has a dot that is no end of a label, so it is no [`Name`].
    has_inner_dot: bool,
}

/// One entry: a line, or several in parentheses.
struct Entry {
    /// Begins with a blank: the owner is that of the entry before.
    has_no_owner: bool,
    tokens: Vec<Token>,
}

fn error(line: usize, why: &str) -> ZoneError {
    ZoneError {
        line,
        why: Line::reason(why.as_bytes()),
    }
}

impl Token {
    fn new(line: usize, is_quoted: bool) -> Token {
        Token {
            octets: Vec::new(),
            line,
            is_quoted,
            is_escaped: false,
            has_inner_dot: false,
        }
    }

    fn push(&mut self, c: char) {
        self.octets.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }

    fn push_escaped(&mut self, octet: u8) {
        self.octets.push(octet);
        self.is_escaped = true;
        self.has_inner_dot |= octet == b'.';
    }

    /// A word without quotes and escapes; empty if it had some.
    fn word(&self) -> &str {
        match self.is_quoted || self.is_escaped {
            true => "",
            false => std::str::from_utf8(&self.octets).unwrap_or_default(),
        }
    }

    fn is(&self, word: &str) -> bool {
        self.word().eq_ignore_ascii_case(word)
    }

    fn error(&self, why: &str) -> ZoneError {
        let text = String::from_utf8_lossy(&self.octets);
        error(self.line, &format!("{why}: `{text}`"))
    }

    fn value<T: FromStr>(&self, what: &str) -> Result<T, ZoneError> {
        self.word().parse().map_err(|_| self.error(what))
    }
}

/// Cuts a text into entries.
struct Tokens<'a> {
    left: Chars<'a>,
    line: usize,
}

impl<'a> Tokens<'a> {
    fn new(text: &'a str) -> Tokens<'a> {
        Tokens {
            left: text.chars(),
            line: 1,
        }
    }

    fn peek(&self) -> Option<char> {
        self.left.clone().next()
    }

    /// The next entry that has a token.
    fn entry(&mut self) -> Result<Option<Entry>, ZoneError> {
        loop {
            let has_no_owner = matches!(self.peek(), Some(' ' | '\t'));
            let tokens = self.tokens()?;
            if !tokens.is_empty() {
                return Ok(Some(Entry { has_no_owner, tokens }));
            }
            if self.peek().is_none() {
                return Ok(None);
            }
        }
    }

    /// The tokens up to the end of the entry.
    fn tokens(&mut self) -> Result<Vec<Token>, ZoneError> {
        let mut tokens = Vec::new();
        // Parentheses do not nest (RFC 1035 §5.1); here stands the line of the one that is open.
        let mut open: Option<usize> = None;
        while let Some(c) = self.peek() {
            if !matches!(c, ' ' | '\t' | '\r' | '\n' | ';' | '(' | ')') {
                tokens.push(self.token()?);
                continue;
            }
            self.left.next();
            match (c, open) {
                ('\n', None) => {
                    self.line += 1;
                    return Ok(tokens);
                }
                ('\n', Some(_)) => self.line += 1,
                (';', _) => self.skip_comment(),
                ('(', None) => open = Some(self.line),
                (')', Some(_)) => open = None,
                ('(', Some(_)) => return Err(error(self.line, "a parenthesis within parentheses")),
                (')', None) => return Err(error(self.line, "a closing parenthesis without an opening one")),
                _ => {}
            }
        }
        match open {
            Some(line) => Err(error(line, "a parenthesis that is never closed")),
            None => Ok(tokens),
        }
    }

    fn skip_comment(&mut self) {
        while self.peek().is_some_and(|c| c != '\n') {
            self.left.next();
        }
    }

    /// One token; the next character begins it.
    fn token(&mut self) -> Result<Token, ZoneError> {
        let is_quoted = self.peek() == Some('"');
        if is_quoted {
            self.left.next();
        }
        let mut token = Token::new(self.line, is_quoted);
        loop {
            match self.peek() {
                None | Some('\n') if is_quoted => {
                    return Err(error(self.line, "a quote that is not closed in its line"));
                }
                Some('"') if is_quoted => {
                    self.left.next();
                    return Ok(token);
                }
                None => return Ok(token),
                Some(' ' | '\t' | '\r' | '\n' | ';' | '(' | ')' | '"') if !is_quoted => return Ok(token),
                Some('\\') => {
                    self.left.next();
                    token.push_escaped(self.escaped()?);
                }
                Some(c) => {
                    self.left.next();
                    token.push(c);
                }
            }
        }
    }

    /// What follows a backslash: three digits that make an octet, or a character that means only itself.
    fn escaped(&mut self) -> Result<u8, ZoneError> {
        let wrong = || error(self.line, "`\\` wants a character or an octet as three digits after it");
        let first = self
            .left
            .next()
            .filter(|c| c.is_ascii_graphic() || *c == ' ')
            .ok_or_else(wrong)?;
        if !first.is_ascii_digit() {
            return u8::try_from(first).map_err(|_| wrong());
        }
        let digits = [Some(first), self.left.next(), self.left.next()];
        let mut octet: u32 = 0;
        for digit in digits {
            octet = octet * 10 + digit.and_then(|digit| digit.to_digit(10)).ok_or_else(wrong)?;
        }
        u8::try_from(octet).map_err(|_| wrong())
    }
}

/// What is known while entries are read.
#[derive(Default)]
struct Reader {
    zone: ZoneFile,
    /// What relative names stand below; `None` is the root.
    origin: Option<Name>,
    owner: Option<Name>,
}

impl Reader {
    fn entry(&mut self, entry: &Entry) -> Result<(), ZoneError> {
        let Some((first, rest)) = entry.tokens.split_first() else {
            return Ok(());
        };
        if !entry.has_no_owner && first.word().starts_with('$') {
            return self.directive(first, rest);
        }
        if entry.has_no_owner {
            let no_owner = || first.error("no name before this");
            let owner = self.owner.clone().ok_or_else(no_owner)?;
            return self.record(&owner, first, &entry.tokens);
        }
        let owner = self.name(first)?;
        let owner = owner.ok_or_else(|| first.error("the root has no records here"))?;
        self.owner = Some(owner.clone());
        self.record(&owner, first, rest)
    }

    fn directive(&mut self, directive: &Token, arguments: &[Token]) -> Result<(), ZoneError> {
        let [argument] = arguments else {
            return Err(directive.error("this wants one word after it"));
        };
        if directive.is("$ORIGIN") {
            self.origin = self.name(argument)?;
        } else if directive.is("$TTL") {
            if !is_ttl(argument.word()) {
                return Err(argument.error("not a time to live"));
            }
        } else if directive.is("$SECURE") {
            let zone = self.name(argument)?;
            let zone = zone.ok_or_else(|| argument.error("the root cannot be named here"))?;
            self.zone.insert_signed(&zone);
        } else {
            return Err(directive.error("not a known directive"));
        }
        Ok(())
    }

    /// What a name has: `[TTL] [IN] TYPE ...`. `before` is where to point if there is nothing.
    fn record(&mut self, owner: &Name, before: &Token, mut tokens: &[Token]) -> Result<(), ZoneError> {
        let (mut has_ttl, mut has_class) = (false, false);
        while let Some((token, rest)) = tokens.split_first() {
            if !has_ttl && is_ttl(token.word()) {
                has_ttl = true;
            } else if !has_class && token.is("IN") {
                has_class = true;
            } else {
                return self.typed(owner, token, rest);
            }
            tokens = rest;
        }
        Err(before.error("no type of record in this line"))
    }

    fn typed(&mut self, owner: &Name, kind: &Token, data: &[Token]) -> Result<(), ZoneError> {
        let trouble = match kind.word().to_ascii_uppercase().as_str() {
            "TIMEOUT" => Some(Trouble::Timeout),
            "SERVFAIL" => Some(Trouble::ServerFailure),
            _ => None,
        };
        if let Some(trouble) = trouble {
            let concerned = match data {
                [] => None,
                [token] => Some(known_kind(token.word()).ok_or_else(|| token.error("not a type that is asked for"))?),
                _ => return Err(kind.error("too much after this")),
            };
            self.zone.insert_trouble(owner, concerned, trouble);
            return Ok(());
        }
        if kind.is("CNAME") {
            let [target] = data else {
                return Err(kind.error("this wants one name after it"));
            };
            let target = self
                .name(target)?
                .ok_or_else(|| target.error("the root is no target"))?;
            if self.zone.node(owner).alias.is_some() {
                return Err(kind.error("a name with a CNAME has nothing else"));
            }
            self.zone.insert_alias(owner, &target);
        } else if let Some(known) = known_kind(kind.word()) {
            let record = self.data(known, kind, data)?;
            self.zone.insert(owner, record);
        } else if is_other_type(kind.word()) {
            self.zone.insert_name(owner);
        } else {
            return Err(kind.error("not a known type of record"));
        }
        let node = self.zone.node(owner);
        if node.alias.is_some() && !node.records.is_empty() {
            // RFC 1034 §3.6.2.
            return Err(kind.error("a name with a CNAME has nothing else"));
        }
        Ok(())
    }

    fn data(&self, kind: Kind, at: &Token, data: &[Token]) -> Result<Record, ZoneError> {
        match (kind, data) {
            (Kind::A, [ip]) => Ok(Record::A(ip.value("not an IPv4 address")?)),
            (Kind::Aaaa, [ip]) => Ok(Record::Aaaa(ip.value("not an IPv6 address")?)),
            (Kind::Mx, [preference, host]) => {
                let preference = preference.value("not a preference")?;
                Ok(Record::Mx(preference, self.name(host)?))
            }
            (Kind::Ptr, [host]) => {
                let host = self.name(host)?.ok_or_else(|| host.error("the root is no target"))?;
                Ok(Record::Ptr(host))
            }
            (Kind::Txt, [_, ..]) => text(data).map(Record::Txt),
            _ => Err(at.error("too little or too much after this")),
        }
    }

    /// A name, absolute or below the origin; `None` is the root.
    fn name(&self, token: &Token) -> Result<Option<Name>, ZoneError> {
        let wrong = || token.error("not a DNS name");
        if token.is("@") {
            return Ok(self.origin.clone());
        }
        if token.is(".") {
            return Ok(None);
        }
        if token.is_quoted || token.has_inner_dot {
            return Err(wrong());
        }
        let text = std::str::from_utf8(&token.octets).map_err(|_| wrong())?;
        let name = match (&self.origin, text.ends_with('.')) {
            (Some(origin), false) => origin.below(text).ok_or_else(wrong),
            _ => Name::parse(text).map_err(|_| wrong()),
        };
        name.map(Some)
    }
}

/// The character-strings of a TXT record, joined (RFC 7208 §3.3).
fn text(strings: &[Token]) -> Result<Box<[u8]>, ZoneError> {
    let mut joined = Vec::new();
    for string in strings {
        joined.extend_from_slice(&string.octets);
        if string.octets.len() > STRING_OCTETS_MAX {
            return Err(error(string.line, "a string of more than 255 octets"));
        }
        if joined.len() > TEXT_OCTETS_MAX {
            return Err(error(string.line, "a text of more than 65535 octets"));
        }
    }
    Ok(joined.into_boxed_slice())
}

/// Seconds, or numbers with units as name servers write them.
fn is_ttl(word: &str) -> bool {
    let unit = |c: char| matches!(c.to_ascii_lowercase(), 's' | 'm' | 'h' | 'd' | 'w');
    word.starts_with(|c: char| c.is_ascii_digit()) && word.chars().all(|c| c.is_ascii_digit() || unit(c))
}

fn known_kind(word: &str) -> Option<Kind> {
    let kinds = [Kind::A, Kind::Aaaa, Kind::Mx, Kind::Ptr, Kind::Txt];
    kinds
        .into_iter()
        .find(|kind| kind.to_string().eq_ignore_ascii_case(word))
}

fn is_other_type(word: &str) -> bool {
    let general = word.get(..4).filter(|start| start.eq_ignore_ascii_case("TYPE"));
    let number = general.and(word.get(4..)).and_then(|digits| digits.parse::<u16>().ok());
    match number {
        Some(number) => !KEPT_TYPES.contains(&number),
        None => OTHER_TYPES.iter().any(|known| known.eq_ignore_ascii_case(word)),
    }
}
