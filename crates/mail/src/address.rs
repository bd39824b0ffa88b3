//! Mail addresses and the two paths of an envelope (RFC 5321 §4.1.2).

use crate::domain::{Domain, canonical_ip};
use crate::limits::LOCAL_PART_OCTETS_MAX;
use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The part before the `@`, without quotes.
///
/// It keeps the case in which it was written (RFC 5321 §2.4); [`LocalPart::folded`] is what the gateway compares.
/// It may hold any printable character, `/` among them: it is **no** path component.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LocalPart(Box<str>);

/// The part after the `@`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A domain.
    Domain(Domain),
    /// An address literal, `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 §4.1.3).
    Literal(IpAddr),
}

/// `local-part@domain`. [`fmt::Display`] gives it as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    written: Box<str>,
    local: LocalPart,
    host: Host,
}

/// What MAIL FROM carries.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ReversePath {
    /// `<>`: a notification (RFC 5321 §4.5.5); not a missing path.
    Null,
    /// `<local>`: no domain, against RFC 5321; taken and judged, because hosts of that kind exist.
    Unqualified(LocalPart),
    /// `<local@domain>`.
    Address(Address),
}

/// What RCPT TO carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardPath {
    /// `<postmaster>` without a domain (RFC 5321 §4.1.1.3).
    Postmaster,
    /// `<local@domain>`.
    Address(Address),
}

/// One user's box, the unit of history and learning: folded local part without `+extension`, and the domain.
/// Recipients that are listed nowhere in a domain that accepts anyone share [`MailboxId::others`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MailboxId {
    local: Box<str>,
    domain: Domain,
}

/// Why a text is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressError {
    /// No `@`, or nothing before or after it.
    Incomplete,
    /// The local part is longer than [`LOCAL_PART_OCTETS_MAX`].
    TooLong,
    /// A character or form that the grammar does not know.
    Syntax,
    /// The part after the `@` is neither a host name nor an address literal.
    Host,
}

impl LocalPart {
    /// Parses a dot-string or a quoted-string (RFC 5321 §4.1.2, RFC 6531 §3.3). Lenient with dots: `a..b` and
    /// `.a` are sent by real hosts.
    pub fn parse(text: &str) -> Result<LocalPart, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Incomplete);
        }
        if text.len() > LOCAL_PART_OCTETS_MAX {
            return Err(AddressError::TooLong);
        }
        let plain = match text.strip_prefix('"') {
            Some(rest) => unquote(rest.strip_suffix('"').ok_or(AddressError::Syntax)?)?,
            None if text.chars().all(is_atom_or_dot) => text.to_owned(),
            None => return Err(AddressError::Syntax),
        };
        Ok(LocalPart(plain.into_boxed_str()))
    }

    /// The text without quotes, in its own case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Lower-cased, as users and lists are compared.
    pub fn folded(&self) -> Cow<'_, str> {
        fold(&self.0)
    }

    /// Whether a mail server may take it for a route that the sender chose: `user%elsewhere`, `elsewhere!user`,
    /// `"user@elsewhere"` (RFC 5321 §3.6.1 and §F.2: MUST NOT be relayed on such a word), the same in the characters
    /// that Unicode makes equal to these, or an address in the encapsulation of Exchange (`IMCEASMTP-`). Anywhere: what
    /// stands behind a `+` is part of the address too.
    pub fn names_route(&self) -> bool {
        let is_encapsulated = self
            .0
            .get(..ENCAPSULATED.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(ENCAPSULATED));
        is_encapsulated || self.0.contains(ROUTES)
    }
}

/// What divides a user from a host in a local part, and what compatibility normalisation (NFKC) makes of it: full-width
/// and small forms, and double exclamation marks.
const ROUTES: [char; 12] = [
    '@', '%', '!', '\u{ff20}', '\u{fe6b}', '\u{ff05}', '\u{fe6a}', '\u{ff01}', '\u{fe57}', '\u{203c}', '\u{2048}',
    '\u{2049}',
];
/// What stands before an SMTP address that Exchange took apart to be a local part (`IMCEASMTP-user+40elsewhere`).
const ENCAPSULATED: &str = "IMCEASMTP-";

fn fold(text: &str) -> Cow<'_, str> {
    // Not `is_uppercase`, because a title-case letter (`ǅ`) is none and has a lower case all the same.
    if text.chars().any(|c| !c.to_lowercase().eq([c])) {
        text.to_lowercase().into()
    } else {
        text.into()
    }
}

/// RFC 5322 §3.2.3 `atext` and the dot; RFC 6531 adds everything outside of ASCII.
fn is_atom_or_dot(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c) || (!c.is_ascii() && !c.is_control())
}

/// The inside of a quoted-string; RFC 5321 §4.1.2 `QcontentSMTP`.
fn unquote(inside: &str) -> Result<String, AddressError> {
    let mut plain = String::with_capacity(inside.len());
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        let c = match c {
            '\\' => chars.next().ok_or(AddressError::Syntax)?,
            '"' => return Err(AddressError::Syntax),
            c => c,
        };
        if c.is_control() {
            return Err(AddressError::Syntax);
        }
        plain.push(c);
    }
    if plain.is_empty() {
        Err(AddressError::Incomplete)
    } else {
        Ok(plain)
    }
}

impl Host {
    /// Parses a domain or an address literal.
    pub fn parse(text: &str) -> Result<Host, AddressError> {
        let Some(inside) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) else {
            return Domain::parse(text).map(Host::Domain).map_err(|_| AddressError::Host);
        };
        let ip = match inside.get(..5) {
            Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => {
                inside.get(5..).and_then(|t| t.parse::<Ipv6Addr>().ok()).map(IpAddr::V6)
            }
            _ => inside.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        };
        ip.map(|ip| Host::Literal(canonical_ip(ip))).ok_or(AddressError::Host)
    }
}

impl Address {
    /// Parses `local-part@domain` without angle brackets.
    pub fn parse(text: &str) -> Result<Address, AddressError> {
        let at = text.rfind('@').ok_or(AddressError::Incomplete)?;
        let (local, host) = (text.get(..at).unwrap_or(""), text.get(at + 1..).unwrap_or(""));
        if host.is_empty() {
            return Err(AddressError::Incomplete);
        }
        Ok(Address {
            written: text.into(),
            local: LocalPart::parse(local)?,
            host: Host::parse(host)?,
        })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The part before the `@`.
    pub fn local(&self) -> &LocalPart {
        &self.local
    }

    /// The part after the `@`.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The domain, unless the address ends in an address literal.
    pub fn domain(&self) -> Option<&Domain> {
        match &self.host {
            Host::Domain(domain) => Some(domain),
            Host::Literal(_) => None,
        }
    }

    /// `local@domain`: the local part in its own case (RFC 5321 §2.4 leaves its meaning to its host), the domain
    /// normalised. Two addresses that are equal so are one for every host.
    pub fn exact(&self) -> String {
        format!("{}@{}", self.local, self.host)
    }

    /// `local@domain`, lower-cased and normalised, as lists are compared.
    pub fn folded(&self) -> String {
        format!("{}@{}", self.local.folded(), self.host)
    }
}

/// Takes the text between the angle brackets, and drops a source route (`@a,@b:user@c`; RFC 5321 §4.1.1.3 says
/// to ignore it).
fn without_route(text: &str) -> Result<&str, AddressError> {
    if !text.starts_with('@') {
        return Ok(text);
    }
    let colon = text.find(':').ok_or(AddressError::Syntax)?;
    text.get(colon + 1..).ok_or(AddressError::Syntax)
}

impl ReversePath {
    /// Parses what stands between the angle brackets.
    pub fn parse(inside: &str) -> Result<ReversePath, AddressError> {
        match without_route(inside)? {
            "" if inside.is_empty() => Ok(ReversePath::Null),
            text if text.contains('@') => Address::parse(text).map(ReversePath::Address),
            text => LocalPart::parse(text).map(ReversePath::Unqualified),
        }
    }

    /// The address, if it has one.
    pub fn address(&self) -> Option<&Address> {
        match self {
            ReversePath::Address(address) => Some(address),
            ReversePath::Null | ReversePath::Unqualified(_) => None,
        }
    }

    /// The domain, if it has one.
    pub fn domain(&self) -> Option<&Domain> {
        self.address().and_then(Address::domain)
    }

    /// Whether it is `<>`.
    pub fn is_null(&self) -> bool {
        matches!(self, ReversePath::Null)
    }

    /// Lower-cased, without brackets; empty for the null reverse-path.
    pub fn folded(&self) -> String {
        match self {
            ReversePath::Null => String::new(),
            ReversePath::Unqualified(local) => local.folded().into_owned(),
            ReversePath::Address(address) => address.folded(),
        }
    }
}

impl ForwardPath {
    /// Parses what stands between the angle brackets.
    pub fn parse(inside: &str) -> Result<ForwardPath, AddressError> {
        let text = without_route(inside)?;
        if text.eq_ignore_ascii_case("postmaster") {
            return Ok(ForwardPath::Postmaster);
        }
        Address::parse(text).map(ForwardPath::Address)
    }
}

impl MailboxId {
    /// The box of `local` at `domain`: folded, and cut at the first `+` unless that would leave nothing.
    pub fn new(local: &LocalPart, domain: &Domain) -> MailboxId {
        let folded = local.folded();
        let user = match folded.find('+') {
            Some(at) if at > 0 => folded.get(..at).unwrap_or(&folded),
            _ => &folded,
        };
        MailboxId {
            local: user.into(),
            domain: domain.clone(),
        }
    }

    /// `*@domain`: all recipients together that are listed nowhere in a domain that accepts anyone.
    pub fn others(domain: &Domain) -> MailboxId {
        MailboxId {
            local: "*".into(),
            domain: domain.clone(),
        }
    }

    /// Whether this is the box of all unlisted recipients.
    pub fn is_others(&self) -> bool {
        &*self.local == "*"
    }

    /// The user's name, lower-cased. No path component by itself.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The domain.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }
}

/// Lower-casing a character makes at most three of it, in octets.
const FOLDED_GROWTH_MAX: usize = 3;

impl fmt::Display for LocalPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.chars().all(is_atom_or_dot) {
            return f.write_str(&self.0);
        }
        f.write_str("\"")?;
        for c in self.0.chars() {
            if matches!(c, '"' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        f.write_str("\"")
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Domain(domain) => domain.fmt(f),
            Host::Literal(IpAddr::V4(ip)) => write!(f, "[{ip}]"),
            Host::Literal(IpAddr::V6(ip)) => write!(f, "[IPv6:{ip}]"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// Without angle brackets; nothing for the null reverse-path.
impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReversePath::Null => Ok(()),
            ReversePath::Unqualified(local) => local.fmt(f),
            ReversePath::Address(address) => address.fmt(f),
        }
    }
}

/// Without angle brackets.
impl fmt::Display for ForwardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ForwardPath::Postmaster => f.write_str("postmaster"),
            ForwardPath::Address(address) => address.fmt(f),
        }
    }
}

impl fmt::Display for MailboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressError::Incomplete => "the address is incomplete",
            AddressError::TooLong => "the local part is too long",
            AddressError::Syntax => "the address has a character or form that is not allowed",
            AddressError::Host => "the part after the `@` is not a domain",
        })
    }
}

impl std::error::Error for AddressError {}

impl TryFrom<String> for Address {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, AddressError> {
        Address::parse(&text)
    }
}

impl From<Address> for String {
    fn from(address: Address) -> String {
        address.written.into()
    }
}

impl TryFrom<String> for ReversePath {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, AddressError> {
        ReversePath::parse(&text)
    }
}

impl From<ReversePath> for String {
    fn from(path: ReversePath) -> String {
        path.to_string()
    }
}

impl TryFrom<String> for MailboxId {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, AddressError> {
        let (local, domain) = text.rsplit_once('@').ok_or(AddressError::Incomplete)?;
        if local.is_empty() || local.len() > FOLDED_GROWTH_MAX * LOCAL_PART_OCTETS_MAX {
            return Err(AddressError::Syntax);
        }
        let domain = Domain::parse(domain).map_err(|_| AddressError::Host)?;
        Ok(MailboxId {
            local: fold(local).into(),
            domain,
        })
    }
}

impl From<MailboxId> for String {
    fn from(id: MailboxId) -> String {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_keep_their_spelling_and_compare_folded() {
        let a = Address::parse("FOO@Example.COM").unwrap();
        assert_eq!(a.to_string(), "FOO@Example.COM");
        assert_eq!(a.folded(), "foo@example.com");
        assert_eq!(a.domain().unwrap().as_str(), "example.com");
    }

    #[test]
    fn quoted_local_parts_lose_their_quotes() {
        let a = Address::parse(r#""a\"b c@d"@example.com"#).unwrap();
        assert_eq!(a.local().as_str(), r#"a"b c@d"#);
        assert_eq!(a.local().to_string(), r#""a\"b c@d""#);
        assert_eq!(
            Address::parse("a@[IPv6:::ffff:192.0.2.1]").unwrap().folded(),
            "a@[192.0.2.1]"
        );
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "@",
            "a@",
            "@b",
            "a b@c.example",
            "a@b c",
            "\"a@b.example",
            "a\r\n@b.example",
            "\"\"@b.example",
            "a@[1.2.3]",
            "a@_global_",
        ] {
            assert!(Address::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(
            Address::parse(&format!("{}@b.example", "a".repeat(256))),
            Err(AddressError::TooLong)
        );
    }

    #[test]
    fn paths_know_null_unqualified_postmaster_and_routes() {
        assert_eq!(ReversePath::parse("").unwrap(), ReversePath::Null);
        assert!(matches!(
            ReversePath::parse("bob").unwrap(),
            ReversePath::Unqualified(_)
        ));
        assert_eq!(
            ReversePath::parse("@a.example,@b.example:c@d.example")
                .unwrap()
                .to_string(),
            "c@d.example"
        );
        assert!(ReversePath::parse("@a.example:").is_err());
        assert_eq!(ForwardPath::parse("PostMaster").unwrap(), ForwardPath::Postmaster);
        assert!(ForwardPath::parse("").is_err());
        assert!(ForwardPath::parse("bob").is_err());
    }

    /// Through a server behind that obeys them, each of these made the pair an open relay.
    #[test]
    fn a_local_part_that_names_a_route_is_known_however_it_is_written() {
        for text in [
            "user%elsewhere.example",
            "elsewhere.example!user",
            "a!b!user",
            r#""user@elsewhere.example""#,
            r#""user\@elsewhere.example""#,
            r#""u\s\e\r\%elsewhere""#,
            r#""@a.example,@b.example:user""#,
            r#""user%elsewhere""#,
            "ann+x%elsewhere.example",
            r#""ann+x@elsewhere.example""#,
            "ann+elsewhere!x",
            "%",
            "!user",
            "user%",
            "user\u{ff05}elsewhere",
            "user\u{ff20}elsewhere",
            "elsewhere\u{203c}user",
            "imceasmtp-user+40elsewhere+2Eexample",
        ] {
            assert!(LocalPart::parse(text).unwrap().names_route(), "{text}");
        }
    }

    #[test]
    fn what_only_looks_unusual_names_no_route() {
        for text in [
            "ann",
            "ann+elsewhere.example",
            "list-bounces+user=elsewhere.example",
            "SRS0=HHH=TT=elsewhere.example=user",
            "prvs=1234567890=user",
            "/G=Ann/S=Example/O=Org",
            "|ann",
            r#""ann example""#,
            r#""a:b""#,
            "ann.imceasmtp-x",
            "büro",
        ] {
            assert!(!LocalPart::parse(text).unwrap().names_route(), "{text}");
        }
    }

    /// RFC 5321 §4.1.1.3 lets a source route be dropped: what is left is the address, and its domain the one that is asked.
    #[test]
    fn of_a_source_route_only_its_end_counts() {
        let end = |text: &str| ForwardPath::parse(text).map(|path| path.to_string());
        assert_eq!(
            end("@ours.example:user@elsewhere.example").unwrap(),
            "user@elsewhere.example"
        );
        assert_eq!(
            end("@a.example,@ours.example:u%e@ours.example").unwrap(),
            "u%e@ours.example"
        );
        for text in [
            "@a.example:@b.example:user@ours.example",
            "user@elsewhere.example@ours.example",
            "@a.example:postmaster@",
            "a.example:user@ours.example",
        ] {
            assert!(end(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_mailbox_has_no_extension_and_no_case() {
        let d = Domain::parse("example.com").unwrap();
        let id = |t| MailboxId::new(&LocalPart::parse(t).unwrap(), &d).to_string();
        assert_eq!(id("Ann+news+x"), "ann@example.com");
        assert_eq!(id("+x"), "+x@example.com");
        assert_eq!(MailboxId::others(&d).to_string(), "*@example.com");
        assert_eq!(
            MailboxId::try_from("*@example.com".to_owned()).unwrap(),
            MailboxId::others(&d)
        );
    }

    /// `İ` folds to three octets from two, so a box's name can be longer than any local part that is written.
    #[test]
    fn a_mailbox_whose_name_grew_by_folding_reads_back() {
        let local = LocalPart::parse(&"İ".repeat(127)).unwrap();
        let id = MailboxId::new(&local, &Domain::parse("example.com").unwrap());
        assert_eq!(MailboxId::try_from(id.to_string()).unwrap(), id);
    }

    /// `ǅ` alone stayed as it was, and became `ǆ` beside a capital: two users out of one.
    #[test]
    fn title_case_letters_fold_whatever_stands_beside_them() {
        let folded = |text: &str| LocalPart::parse(text).unwrap().folded().into_owned();
        assert_eq!([folded("ǅ"), folded("ǆ"), folded("Ǆ")], ["ǆ", "ǆ", "ǆ"]);
        assert_eq!([folded("aǅ"), folded("Aǅ")], ["aǆ", "aǆ"]);
    }

    proptest! {
        #[test]
        fn an_address_reads_back_as_itself(text in "[ -~]{0,40}@[a-zA-Z0-9.\\[\\]:-]{0,20}") {
            if let Ok(address) = Address::parse(&text) {
                prop_assert_eq!(&Address::parse(&address.to_string()).unwrap(), &address);
                let rebuilt = format!("{}@{}", address.local(), address.host());
                let again = Address::parse(&rebuilt).unwrap();
                prop_assert_eq!(again.local(), address.local());
                prop_assert_eq!(again.folded(), address.folded());
            }
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,80}") {
            let _ = Address::parse(&text);
            let _ = ReversePath::parse(&text);
            let _ = ForwardPath::parse(&text);
        }
    }
}
