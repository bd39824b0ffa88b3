//! DNS as the judgement asks it: a question, an answer, and how far the answer is proven.
//!
//! Whoever judges asks only through [`Resolver`], so budgets, zone files and explanations are the same for all. An answer
//! never fails: trouble is an [`Outcome`] like any other, and the policy decides what it means.
//!
//! - [`Name`]: a name as the DNS compares it, which may hold what no host name does (`_dmarc.example`).
//! - [`Budgeted`]: no more than so many questions for one message.

use mail::{Domain, Line};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A future that may be kept behind a `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Longest name as text without the final dot (RFC 1035 §2.3.4).
const NAME_OCTETS_MAX: usize = 253;
/// RFC 1035 §2.3.4.
const LABEL_OCTETS_MAX: usize = 63;

/// Something that answers questions about names.
pub trait Resolver: Send + Sync {
    /// Answers within a time of its own; never fails.
    fn ask(&self, question: Question) -> BoxFuture<'_, Answer>;
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    /// Of which name.
    pub name: Name,
    /// For which kind of record.
    pub kind: Kind,
}

/// The kinds of records that the judgement knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Mail exchangers.
    Mx,
    /// The name behind an address.
    Ptr,
    /// Texts.
    Txt,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// A mail exchanger; `None` is the null MX, `.` (RFC 7505).
    Mx(u16, Option<Name>),
    /// A name.
    Ptr(Name),
    /// A text: its character-strings joined (RFC 7208 §3.3).
    Txt(Box<[u8]>),
}

/// What was answered, and how far that is proven. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What was answered.
    pub outcome: Outcome,
    /// How far it is proven.
    pub security: Security,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// At least one record of the kind, CNAMEs followed.
    Records(Arc<[Record]>),
    /// The name exists, but has no such record.
    NoRecords,
    /// No such name (NXDOMAIN).
    NoName,
    /// Nobody could say.
    Unavailable(Trouble),
}

/// Why nobody could say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// No server answered in time.
    Timeout,
    /// SERVFAIL, REFUSED and their like; a validating server says so of forged answers too.
    ServerFailure,
    /// An answer that makes no sense: a circle of CNAMEs, octets that are no message.
    Malformed,
    /// The message has asked enough, or long enough.
    Budget,
    /// There is no server to ask.
    NoServer,
}

/// How far an answer is proven by DNSSEC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Security {
    /// A validating resolver that the operator trusts says that it is authentic.
    Secure,
    /// Such a resolver says nothing of the kind: the zone is not signed.
    Insecure,
    /// Nobody who could say was asked.
    #[default]
    Unknown,
}

/// A name as the DNS compares it: lower-cased, without the final dot. Any printable ASCII may stand in a label, since
/// SPF macros and DKIM selectors make names that no host has, and blanks by [`Name::expanded`]. Not for paths: that is
/// [`Domain`]. A backslash is an octet like others, no escape.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Box<str>);

/// The text is no name: empty, a label that is empty or longer than 63 octets, more than 253 octets in all, or an octet
/// that is not printable ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAName;

impl Name {
    /// Parses and normalises a name. One final dot is dropped.
    ///
    /// # Errors
    /// See [`NotAName`].
    pub fn parse(text: &str) -> Result<Name, NotAName> {
        Name::of_octets(text, |octet| octet.is_ascii_graphic())
    }

    /// The same for a name that an SPF macro made, where blanks may stand too (RFC 7208 §7.1: `%_`, or a HELO name that
    /// is none).
    ///
    /// # Errors
    /// See [`NotAName`].
    pub fn expanded(text: &str) -> Result<Name, NotAName> {
        Name::of_octets(text, |octet| octet.is_ascii_graphic() || octet == b' ')
    }

    fn of_octets(text: &str, may_stand: impl Fn(u8) -> bool) -> Result<Name, NotAName> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let label = |label: &str| (1..=LABEL_OCTETS_MAX).contains(&label.len());
        let is_name = text.len() <= NAME_OCTETS_MAX && text.bytes().all(may_stand) && text.split('.').all(label);
        is_name
            .then(|| Name(text.to_ascii_lowercase().into_boxed_str()))
            .ok_or(NotAName)
    }

    /// The name of an address in `in-addr.arpa` or `ip6.arpa`. An IPv4-mapped address is the IPv4 address.
    pub fn reverse(ip: IpAddr) -> Name {
        let zone = match ip.to_canonical() {
            IpAddr::V4(_) => "in-addr.arpa",
            IpAddr::V6(_) => "ip6.arpa",
        };
        Name(format!("{}.{zone}", reversed(ip)).into_boxed_str())
    }

    /// `prefix.self`; `None` if that is too long or `prefix` is no name.
    pub fn below(&self, prefix: &str) -> Option<Name> {
        Name::parse(&format!("{prefix}.{}", self.0)).ok()
    }

    /// The name without its first label; `None` of a name with one label.
    pub fn parent(&self) -> Option<Name> {
        let (_, rest) = self.0.split_once('.')?;
        Some(Name(rest.into()))
    }

    /// How many labels it has.
    pub fn label_count(&self) -> usize {
        self.0.split('.').count()
    }

    /// Whether it is `other` or stands below it.
    pub fn is_within(&self, other: &Name) -> bool {
        match self.0.strip_suffix(&*other.0) {
            Some(rest) => rest.is_empty() || rest.ends_with('.'),
            None => false,
        }
    }

    /// The normalised name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same as a host's name, if a host could be called so.
    pub fn to_domain(&self) -> Option<Domain> {
        Domain::parse(&self.0).ok()
    }
}

/// The digits of an address in reverse order, as blacklists and reverse zones have them: `1.2.0.192`, or 32 nibbles
/// (RFC 3596 §2.5, RFC 5782 §2.4).
pub fn reversed(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}")
        }
        IpAddr::V6(ip) => {
            let nibbles = ip
                .octets()
                .iter()
                .rev()
                .flat_map(|octet| [octet & 15, octet >> 4])
                .map(|nibble| format!("{nibble:x}"))
                .collect::<Vec<_>>();
            nibbles.join(".")
        }
    }
}

impl From<&Domain> for Name {
    fn from(domain: &Domain) -> Name {
        // Every host name is a name.
        Name(domain.as_str().into())
    }
}

impl TryFrom<String> for Name {
    type Error = NotAName;
    fn try_from(text: String) -> Result<Name, NotAName> {
        Name::expanded(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0.into()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for NotAName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a DNS name")
    }
}

impl std::error::Error for NotAName {}

impl Record {
    /// Of which kind it is.
    pub fn kind(&self) -> Kind {
        match self {
            Record::A(_) => Kind::A,
            Record::Aaaa(_) => Kind::Aaaa,
            Record::Mx(..) => Kind::Mx,
            Record::Ptr(_) => Kind::Ptr,
            Record::Txt(_) => Kind::Txt,
        }
    }
}

impl Answer {
    /// Nobody could say.
    pub fn unavailable(trouble: Trouble) -> Answer {
        Answer {
            outcome: Outcome::Unavailable(trouble),
            security: Security::Unknown,
        }
    }

    /// All records; none where there are none.
    pub fn records(&self) -> &[Record] {
        match &self.outcome {
            Outcome::Records(records) => records,
            Outcome::NoRecords | Outcome::NoName | Outcome::Unavailable(_) => &[],
        }
    }

    /// The addresses among the records.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.records().iter().filter_map(|record| match record {
            Record::A(ip) => Some(IpAddr::V4(*ip)),
            Record::Aaaa(ip) => Some(IpAddr::V6(*ip)),
            Record::Mx(..) | Record::Ptr(_) | Record::Txt(_) => None,
        })
    }

    /// The texts among the records.
    pub fn texts(&self) -> impl Iterator<Item = &[u8]> + '_ {
        self.records().iter().filter_map(|record| match record {
            Record::Txt(text) => Some(&**text),
            Record::A(_) | Record::Aaaa(_) | Record::Mx(..) | Record::Ptr(_) => None,
        })
    }

    /// The names of PTR records.
    pub fn names(&self) -> impl Iterator<Item = &Name> + '_ {
        self.records().iter().filter_map(|record| match record {
            Record::Ptr(name) => Some(name),
            Record::A(_) | Record::Aaaa(_) | Record::Mx(..) | Record::Txt(_) => None,
        })
    }

    /// Why nobody could say, if so.
    pub fn trouble(&self) -> Option<Trouble> {
        match self.outcome {
            Outcome::Unavailable(trouble) => Some(trouble),
            Outcome::Records(_) | Outcome::NoRecords | Outcome::NoName => None,
        }
    }
}

impl Security {
    /// What two answers together are worth.
    pub fn and(self, other: Security) -> Security {
        match (self, other) {
            (Security::Secure, Security::Secure) => Security::Secure,
            (Security::Unknown, _) | (_, Security::Unknown) => Security::Unknown,
            (Security::Insecure, _) | (_, Security::Insecure) => Security::Insecure,
        }
    }
}

impl Trouble {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Trouble::Timeout => "no name server answered in time",
            Trouble::ServerFailure => "the name server could not answer",
            Trouble::Malformed => "the name server's answer made no sense",
            Trouble::Budget => "the message needed too many or too slow DNS lookups",
            Trouble::NoServer => "no name server can be reached",
        }
    }

    /// The same as a line.
    pub fn line(self) -> Line {
        Line::literal(self.text())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::A => "A",
            Kind::Aaaa => "AAAA",
            Kind::Mx => "MX",
            Kind::Ptr => "PTR",
            Kind::Txt => "TXT",
        })
    }
}

impl<R: Resolver + ?Sized> Resolver for &R {
    fn ask(&self, question: Question) -> BoxFuture<'_, Answer> {
        R::ask(self, question)
    }
}

/// A resolver that answers no more than so many questions; the rest are [`Trouble::Budget`].
pub struct Budgeted<'a> {
    inner: &'a dyn Resolver,
    left: AtomicU32,
}

impl<'a> Budgeted<'a> {
    /// For one message: `questions_max` of `inner`.
    pub fn new(inner: &'a dyn Resolver, questions_max: u32) -> Budgeted<'a> {
        Budgeted {
            inner,
            left: AtomicU32::new(questions_max),
        }
    }
}

impl Resolver for Budgeted<'_> {
    fn ask(&self, question: Question) -> BoxFuture<'_, Answer> {
        let take = |left: u32| left.checked_sub(1);
        match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_) => self.inner.ask(question),
            Err(_) => Box::pin(std::future::ready(Answer::unavailable(Trouble::Budget))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_as_the_dns_does() {
        let name = |text: &str| Name::parse(text).unwrap();
        assert_eq!(name("_DMARC.Example.com."), name("_dmarc.example.com"));
        assert!(name("a.example.com").is_within(&name("example.com")));
        assert!(name("example.com").is_within(&name("example.com")));
        assert!(!name("badexample.com").is_within(&name("example.com")));
        assert_eq!(name("a.b.c").parent().unwrap(), name("b.c"));
        assert_eq!(name("c").parent(), None);
        for text in ["", ".", "a..b", "a b", "ä.example", "a\0.example"] {
            assert!(Name::parse(text).is_err(), "{text:?}");
        }
        assert!(Name::parse(&"a.".repeat(200)).is_err());
        assert!(Name::parse(&"a".repeat(64)).is_err());
        assert_eq!(Name::expanded("A b.Example").unwrap().as_str(), "a b.example");
        assert!(Name::expanded("a\tb.example").is_err());
    }

    #[test]
    fn addresses_are_reversed_as_their_zones_want_them() {
        let reverse = |ip: &str| Name::reverse(ip.parse().unwrap()).to_string();
        assert_eq!(reverse("192.0.2.1"), "1.2.0.192.in-addr.arpa");
        assert_eq!(reverse("::ffff:192.0.2.1"), "1.2.0.192.in-addr.arpa");
        assert_eq!(
            reverse("2001:db8::1"),
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
        );
    }

    #[test]
    fn two_answers_are_worth_what_the_weaker_is() {
        use Security::{Insecure, Secure, Unknown};
        assert_eq!(Secure.and(Secure), Secure);
        assert_eq!(Secure.and(Insecure), Insecure);
        assert_eq!(Insecure.and(Unknown), Unknown);
    }
}
