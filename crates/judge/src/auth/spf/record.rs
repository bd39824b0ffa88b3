//! SPF records (RFC 7208 §3, §4.5, §4.6.1, §12): which of a name's texts is one, and its terms.
//!
//! Terms are slices of the record as it was answered. [`check`] looks at all of them before one is evaluated, since
//! RFC 7208 §4.6 wants a syntax error anywhere to be seen.

use super::macros::{DomainSpec, MacroFault, MacroString, Place};
use crate::resolver::Record;
use mail::Line;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest record that is evaluated. RFC 7208 §3.4 wants 450 octets and knows no limit; what is longer than a DNS
/// answer commonly is, is a mistake or an attack.
pub(super) const RECORD_OCTETS_MAX: usize = 16 * 1024;
/// RFC 7208 §4.5.
const VERSION: &[u8] = b"v=spf1";
/// Longest term that is quoted in a sentence, in characters.
pub(super) const TERM_CHARS_MAX: usize = 120;

/// One term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Term<'a> {
    /// Says what shall come of a client.
    Directive(Qualifier, Mechanism<'a>),
    /// Another record says what shall come of the client (RFC 7208 §6.1).
    Redirect(DomainSpec<'a>),
    /// Where a failure is explained (RFC 7208 §6.2).
    Exp(DomainSpec<'a>),
    /// RFC 7208 §6: a modifier that nobody knows says nothing.
    Unknown,
}

/// RFC 7208 §4.6.2: what a match comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Qualifier {
    Pass,
    Fail,
    SoftFail,
    Neutral,
}

/// RFC 7208 §5: which clients a directive speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mechanism<'a> {
    All,
    Include(DomainSpec<'a>),
    A(Option<DomainSpec<'a>>, Prefixes),
    Mx(Option<DomainSpec<'a>>, Prefixes),
    Ptr(Option<DomainSpec<'a>>),
    Ip(Network),
    Exists(DomainSpec<'a>),
}

/// Prefix lengths for both families.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prefixes {
    v4: u8,
    v6: u8,
}

/// An address with a prefix length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    ip: IpAddr,
    prefix: u8,
}

/// Why a record is a `permerror`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// RFC 7208 §4.5: more than one record.
    Several(usize),
    /// Longer than [`RECORD_OCTETS_MAX`].
    TooLong(usize),
    /// RFC 7208 §3.1.
    NotAscii,
    /// RFC 7208 §6: `redirect` or `exp` twice.
    Twice(&'static str),
    /// A term is wrong; as written.
    Term(Line, TermFault),
}

/// What is wrong with a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TermFault {
    /// RFC 7208 §5 knows no such mechanism.
    Mechanism,
    /// RFC 7208 §12: a name begins with a letter.
    Name,
    /// `all` takes nothing.
    Argument,
    /// No IPv4 or IPv6 address.
    Address,
    /// No prefix length, or one past 32 or 128.
    Prefix,
    /// Of a domain, or another text with macros.
    Macro(MacroFault),
}

/// Which of a name's records is its SPF record; `None` if none is (RFC 7208 §4.5).
pub(super) fn select(records: &[Record]) -> Result<Option<usize>, Fault> {
    let text = |record: &Record| match record {
        Record::Txt(text) => is_spf(text).then_some(text.len()),
        Record::A(_) | Record::Aaaa(_) | Record::Mx(..) | Record::Ptr(_) => None,
    };
    let mut found = records
        .iter()
        .enumerate()
        .filter_map(|(at, record)| text(record).map(|octets| (at, octets)));
    match (found.next(), found.count()) {
        (None, _) => Ok(None),
        (Some((_, octets)), 0) if octets > RECORD_OCTETS_MAX => Err(Fault::TooLong(octets)),
        (Some((at, _)), 0) => Ok(Some(at)),
        (Some(_), more) => Err(Fault::Several(more + 1)),
    }
}

/// The version, in any case, and then a blank or the end.
fn is_spf(text: &[u8]) -> bool {
    let version = text.get(..VERSION.len());
    version.is_some_and(|version| version.eq_ignore_ascii_case(VERSION))
        && matches!(text.get(VERSION.len()), None | Some(b' '))
}

/// Looks at all terms of a record.
pub(super) fn check(record: &[u8]) -> Result<(), Fault> {
    if !record.is_ascii() {
        return Err(Fault::NotAscii);
    }
    let (mut redirects, mut explanations) = (0, 0);
    let mut done = 0;
    while let Some(written) = next_term(record, &mut done) {
        match Term::parse(written).map_err(|why| Fault::Term(quoted(written), why))? {
            Term::Redirect(_) => redirects += 1,
            Term::Exp(_) => explanations += 1,
            Term::Directive(..) | Term::Unknown => {}
        }
    }
    for (name, times) in [("redirect", redirects), ("exp", explanations)] {
        if times > 1 {
            return Err(Fault::Twice(name));
        }
    }
    Ok(())
}

/// A term as sentences show it.
pub(super) fn quoted(term: &str) -> Line {
    Line::clean(term.as_bytes(), TERM_CHARS_MAX)
}

/// The next term of a record, of which `done` octets were read before.
pub(super) fn next_term<'a>(record: &'a [u8], done: &mut usize) -> Option<&'a str> {
    let from = (*done).max(VERSION.len());
    let rest = record.get(from..)?;
    let start = rest.iter().position(|&octet| octet != b' ')?;
    let rest = rest.get(start..)?;
    let end = rest.iter().position(|&octet| octet == b' ').unwrap_or(rest.len());
    *done = from + start + end;
    // Who asks for terms has seen that all is ASCII.
    std::str::from_utf8(rest.get(..end)?).ok()
}

/// The first term of a record that is wanted.
pub(super) fn find<'a, T>(record: &'a [u8], wanted: impl Fn(Term<'a>) -> Option<T>) -> Option<T> {
    let mut done = 0;
    while let Some(written) = next_term(record, &mut done) {
        if let Some(found) = Term::parse(written).ok().and_then(&wanted) {
            return Some(found);
        }
    }
    None
}

impl<'a> Term<'a> {
    /// Parses a term (RFC 7208 §4.6.1, §12).
    pub fn parse(text: &'a str) -> Result<Term<'a>, TermFault> {
        let is_name = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
        let name_end = text.bytes().position(|octet| !is_name(octet)).unwrap_or(text.len());
        match text.split_at_checked(name_end) {
            Some((name, rest)) if rest.starts_with('=') => Term::modifier(name, rest.get(1..).unwrap_or_default()),
            _ => Term::directive(text),
        }
    }

    fn modifier(name: &'a str, value: &'a str) -> Result<Term<'a>, TermFault> {
        if name.eq_ignore_ascii_case("redirect") {
            return Ok(Term::Redirect(DomainSpec::parse(value)?));
        }
        if name.eq_ignore_ascii_case("exp") {
            return Ok(Term::Exp(DomainSpec::parse(value)?));
        }
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Err(TermFault::Name);
        }
        MacroString::parse(value, Place::Unknown)?;
        Ok(Term::Unknown)
    }

    fn directive(text: &'a str) -> Result<Term<'a>, TermFault> {
        let qualifiers = [
            ('+', Qualifier::Pass),
            ('-', Qualifier::Fail),
            ('~', Qualifier::SoftFail),
            ('?', Qualifier::Neutral),
        ];
        let written = qualifiers
            .into_iter()
            .find_map(|(mark, qualifier)| text.strip_prefix(mark).map(|rest| (qualifier, rest)));
        let (qualifier, text) = written.unwrap_or((Qualifier::Pass, text));
        Ok(Term::Directive(qualifier, Mechanism::parse(text)?))
    }
}

impl<'a> Mechanism<'a> {
    fn parse(text: &'a str) -> Result<Mechanism<'a>, TermFault> {
        let name_end = text.find([':', '/']).unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(name_end).unwrap_or_default();
        let argument = rest.strip_prefix(':');
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        let needed = || argument.ok_or(TermFault::Macro(MacroFault::Empty));
        if is("all") {
            return if rest.is_empty() {
                Ok(Mechanism::All)
            } else {
                Err(TermFault::Argument)
            };
        }
        if is("ip4") {
            return Network::parse::<Ipv4Addr>(argument, 32).map(Mechanism::Ip);
        }
        if is("ip6") {
            return Network::parse::<Ipv6Addr>(argument, 128).map(Mechanism::Ip);
        }
        if is("include") {
            return Ok(Mechanism::Include(DomainSpec::parse(needed()?)?));
        }
        if is("exists") {
            return Ok(Mechanism::Exists(DomainSpec::parse(needed()?)?));
        }
        if is("a") || is("mx") {
            let (rest, prefixes) = Prefixes::split(rest)?;
            let domain = domain(rest)?;
            let make = if is("a") { Mechanism::A } else { Mechanism::Mx };
            return Ok(make(domain, prefixes));
        }
        if is("ptr") {
            return Ok(Mechanism::Ptr(domain(rest)?));
        }
        Err(TermFault::Mechanism)
    }
}

/// `[ ":" domain-spec ]`, and nothing behind it.
fn domain(rest: &str) -> Result<Option<DomainSpec<'_>>, TermFault> {
    if rest.is_empty() {
        return Ok(None);
    }
    let argument = rest.strip_prefix(':').ok_or(TermFault::Prefix)?;
    Ok(Some(DomainSpec::parse(argument)?))
}

impl Prefixes {
    /// Takes a `dual-cidr-length` off the end (RFC 7208 §5.3). A domain can hold slashes, but not end in one with digits
    /// behind it, so nothing of it is taken.
    fn split(text: &str) -> Result<(&str, Prefixes), TermFault> {
        let mut prefixes = Prefixes { v4: 32, v6: 128 };
        let mut rest = text;
        if let Some((before, digits)) = ending_in_digits(rest)
            && let Some(before) = before.strip_suffix('/')
        {
            prefixes.v6 = prefix(digits, 128)?;
            rest = before;
        }
        if let Some((before, digits)) = ending_in_digits(rest) {
            prefixes.v4 = prefix(digits, 32)?;
            rest = before;
        }
        Ok((rest, prefixes))
    }

    /// Whether the client is in the network of this size around `ip`.
    pub fn hold(self, ip: IpAddr, client: IpAddr) -> bool {
        let prefix = if ip.is_ipv4() { self.v4 } else { self.v6 };
        Network { ip, prefix }.holds(client)
    }
}

/// What stands before a final `/` with digits behind it, and the digits.
fn ending_in_digits(text: &str) -> Option<(&str, &str)> {
    let (before, digits) = text.rsplit_once('/')?;
    let is_number = !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
    is_number.then_some((before, digits))
}

/// RFC 7208 §12: no leading zeros.
fn prefix(digits: &str, max: u8) -> Result<u8, TermFault> {
    let is_plain = digits.bytes().all(|octet| octet.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    let number = digits.parse::<u8>().ok().filter(|&number| is_plain && number <= max);
    number.ok_or(TermFault::Prefix)
}

impl Network {
    fn parse<T: std::str::FromStr + Into<IpAddr>>(argument: Option<&str>, max: u8) -> Result<Network, TermFault> {
        let text = argument.ok_or(TermFault::Address)?;
        let (ip, digits) = text
            .split_once('/')
            .map_or((text, None), |(ip, digits)| (ip, Some(digits)));
        let ip: T = ip.parse().map_err(|_| TermFault::Address)?;
        Ok(Network {
            ip: ip.into(),
            prefix: digits.map_or(Ok(max), |digits| prefix(digits, max))?,
        })
    }

    /// Whether it has the client. RFC 7208 §5: an IPv4-mapped network has no IPv4 client.
    pub fn holds(self, client: IpAddr) -> bool {
        match (self.ip, client) {
            (IpAddr::V4(ip), IpAddr::V4(client)) => {
                let shift = 32_u32.saturating_sub(u32::from(self.prefix));
                (ip.to_bits() ^ client.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(ip), IpAddr::V6(client)) => {
                let shift = 128_u32.saturating_sub(u32::from(self.prefix));
                (ip.to_bits() ^ client.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl From<MacroFault> for TermFault {
    fn from(fault: MacroFault) -> TermFault {
        TermFault::Macro(fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Several(count) => write!(f, "there are {count} SPF records, and only one may be (RFC 7208 §4.5)"),
            Fault::TooLong(octets) => write!(f, "the record has {octets} octets, more than {RECORD_OCTETS_MAX}"),
            Fault::NotAscii => f.write_str("the record has characters outside of ASCII (RFC 7208 §3.1)"),
            Fault::Twice(name) => write!(f, "`{name}` stands in the record twice (RFC 7208 §6)"),
            Fault::Term(term, why) => write!(f, "`{term}` is wrong: {why}"),
        }
    }
}

impl fmt::Display for TermFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TermFault::Mechanism => "there is no such mechanism",
            TermFault::Name => "the name of a modifier begins with a letter",
            TermFault::Argument => "`all` takes nothing",
            TermFault::Address => "an address of the right kind is missing",
            TermFault::Prefix => "the length of the network is none",
            TermFault::Macro(fault) => return fault.fmt(f),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn txt(text: &str) -> Record {
        Record::Txt(text.as_bytes().into())
    }

    #[test]
    fn a_record_has_the_very_version() {
        for text in ["v=spf1", "v=spf1 ", "V=SpF1 -all", "v=spf1 \u{e4}"] {
            assert_eq!(select(&[txt("other"), txt(text)]), Ok(Some(1)), "{text}");
        }
        for text in [
            "",
            "v=spf",
            "v=spf10",
            "v=spf1mx",
            "v=spf1\t-all",
            " v=spf1",
            "v=spf2.0/pra -all",
        ] {
            assert_eq!(select(&[txt(text)]), Ok(None), "{text}");
        }
        assert_eq!(
            select(&[txt("v=spf1"), txt("v=spf1"), txt("x")]),
            Err(Fault::Several(2))
        );
        let long = format!("v=spf1 {}", "x=y ".repeat(5000));
        assert_eq!(select(&[txt(&long)]), Err(Fault::TooLong(20_007)));
    }

    #[test]
    fn terms_that_are_well_formed() {
        for term in [
            "all",
            "-ALL",
            "~all",
            "?all",
            "+a",
            "A",
            "a/24",
            "a//64",
            "a/24//64",
            "a/0",
            "a//0",
            "a:a.example",
            "a:a.example/24//64",
            "a:foo:bar/baz.example",
            "a:foo:bar/24/baz.example/32",
            "a:%{d}/24",
            "a:%{d/}",
            "mx:%{ir}.x.example//128",
            "ptr",
            "ptr:a.example",
            "ip4:192.0.2.0/24",
            "ip4:0.0.0.0/0",
            "ip4:192.0.2.1",
            "ip6:2001:db8::/32",
            "ip6:::1.1.1.1/0",
            "IP6:::/0",
            "include:a.example",
            "exists:%{i}._x.example",
            "redirect=a.example",
            "REDIRECT=%{d}",
            "exp=a.example",
            "x=",
            "moo.cow-far_out=man:dog/cat",
            "x=%{t}",
            "x==",
            "default=+",
            "op=auth",
        ] {
            assert!(Term::parse(term).is_ok(), "{term}: {:?}", Term::parse(term));
        }
    }

    #[test]
    fn terms_that_are_not() {
        use TermFault::*;
        for (term, fault) in [
            ("moo", Mechanism),
            ("--all", Mechanism),
            ("-", Mechanism),
            ("all.", Mechanism),
            ("redirect:a.example", Mechanism),
            ("+redirect=a.example", Mechanism),
            ("moo.cow:far_out=man", Mechanism),
            ("spf2.0/pra", Mechanism),
            ("all:a.example", Argument),
            ("all/8", Argument),
            ("1up=foo", Name),
            ("=all", Name),
            ("-x=y", Name),
            ("ip4", Address),
            ("ip4:", Address),
            ("ip4/24", Address),
            ("ip4:192.0.2", Address),
            ("ip4:192.0.2.01", Address),
            ("ip4:192.0.2.1:25", Address),
            ("ip4:2001:db8::1", Address),
            ("ip6:192.0.2.1", Address),
            ("ip6:fe80::1%eth0", Address),
            ("ip4:192.0.2.1/33", Prefix),
            ("ip4:192.0.2.1/032", Prefix),
            ("ip4:192.0.2.1//32", Prefix),
            ("ip4:192.0.2.1/", Prefix),
            ("ip4:192.0.2.1/+8", Prefix),
            ("ip6:::/129", Prefix),
            ("a/33", Prefix),
            ("a//129", Prefix),
            ("a/24/64", Prefix),
            ("a/024", Prefix),
            ("a/", Prefix),
            ("a:a.example/999999999999", Prefix),
            ("ptr/0", Prefix),
            ("a:", Macro(MacroFault::Empty)),
            ("a:/24", Macro(MacroFault::Empty)),
            ("include", Macro(MacroFault::Empty)),
            ("include/24", Macro(MacroFault::Empty)),
            ("exists:", Macro(MacroFault::Empty)),
            ("redirect=", Macro(MacroFault::Empty)),
            ("exp=-all", Macro(MacroFault::TopLabel)),
            ("a:a.example/24/64", Prefix),
            ("a:a.example:8080", Macro(MacroFault::TopLabel)),
            ("include:a.example/24", Macro(MacroFault::TopLabel)),
            ("a:192.0.2.1", Macro(MacroFault::Address)),
            ("a:a.example\0", Macro(MacroFault::Character)),
            ("x=%abc", Macro(MacroFault::Syntax)),
            ("exp=%{t}", Macro(MacroFault::ExplanationOnly)),
        ] {
            let found = Term::parse(term);
            assert_eq!(found, Err(fault), "{term}");
        }
    }

    #[test]
    fn a_wrong_term_anywhere_is_seen_and_quoted() {
        let fault = check(b"v=spf1 ip4:192.0.2.1  -all moo ").unwrap_err();
        assert_eq!(fault.to_string(), "`moo` is wrong: there is no such mechanism");
        assert_eq!(check(b"v=spf1 exp=a.b redirect=a.b exp=a.b"), Err(Fault::Twice("exp")));
        assert_eq!(
            check(b"v=spf1 REDIRECT=a.b redirect=a.b"),
            Err(Fault::Twice("redirect"))
        );
        assert_eq!(check(b"v=spf1 \x80"), Err(Fault::NotAscii));
        assert_eq!(check(b"v=spf1"), Ok(()));
        assert_eq!(check(b"v=spf1  "), Ok(()));
    }

    #[test]
    fn networks_hold_their_own_family_only() {
        let holds = |term: &str, client: &str| match Term::parse(term) {
            Ok(Term::Directive(_, Mechanism::Ip(network))) => network.holds(client.parse().unwrap()),
            other => panic!("{other:?}"),
        };
        assert!(holds("ip4:192.0.2.0/24", "192.0.2.255"));
        assert!(!holds("ip4:192.0.2.0/24", "192.0.3.0"));
        assert!(holds("ip4:192.0.2.77/24", "192.0.2.1"));
        assert!(holds("ip4:192.0.2.1/0", "203.0.113.9"));
        assert!(holds("ip4:192.0.2.1", "192.0.2.1") && !holds("ip4:192.0.2.1", "192.0.2.0"));
        assert!(holds("ip6:2001:db8::/33", "2001:db8:7fff::1"));
        assert!(!holds("ip6:2001:db8::/33", "2001:db8:8000::1"));
        assert!(holds("ip6:::/0", "2001:db8::1") && !holds("ip6:::/0", "192.0.2.1"));
        assert!(!holds("ip6:::ffff:192.0.2.1", "192.0.2.1"));
        assert!(!holds("ip4:0.0.0.0/0", "2001:db8::1"));
    }

    proptest! {
        #[test]
        fn any_octets_are_a_record_or_not(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut record = b"v=spf1 ".to_vec();
            record.extend(octets);
            if let Err(fault) = check(&record) {
                prop_assert!(fault.to_string().chars().count() < 250);
            }
        }

        #[test]
        fn the_terms_are_the_words(words in proptest::collection::vec("[!-~]{1,20}", 0..20), gaps in 1usize..4) {
            let record = format!("v=spf1{}{}", " ".repeat(gaps), words.join(&" ".repeat(gaps)));
            let (mut done, mut found) = (0, Vec::new());
            while let Some(term) = next_term(record.as_bytes(), &mut done) {
                found.push(term);
            }
            prop_assert_eq!(found, words);
        }

        #[test]
        fn any_network_holds_itself(ip in any::<u32>(), prefix in 0u8..=32, other in any::<u32>()) {
            let written = format!("ip4:{}/{prefix}", Ipv4Addr::from_bits(ip));
            let Ok(Term::Directive(_, Mechanism::Ip(network))) = Term::parse(&written) else {
                panic!("{written}");
            };
            prop_assert!(network.holds(Ipv4Addr::from_bits(ip).into()));
            let mask = if prefix == 0 { 0 } else { u32::MAX << (32 - prefix) };
            let is_in = ip & mask == other & mask;
            prop_assert_eq!(network.holds(Ipv4Addr::from_bits(other).into()), is_in);
        }
    }
}
