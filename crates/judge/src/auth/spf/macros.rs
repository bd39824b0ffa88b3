//! Macros (RFC 7208 §7): texts in which the record's owner lets the client's address, the sender and the like be put.
//!
//! A text is checked once, by [`MacroString::parse`] or [`DomainSpec::parse`]; expanding then cannot fail, and its
//! result is bounded however often a macro stands in the text.

use crate::resolver::{Name, reversed};
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

/// RFC 7208 §7.3: longer names lose labels at their left.
const NAME_OCTETS_MAX: usize = 253;
/// An expanded name is cut at its left when it grows past this; only its end counts.
const EXPANDED_OCTETS_MAX: usize = 2048;

/// Where a text stands, which decides on what may stand in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A domain to be asked: without the letters `c`, `r` and `t`.
    Domain,
    /// The value of a modifier that nobody knows.
    Unknown,
    /// What an `exp` modifier leads to: with blanks.
    Explanation,
}

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MacroFault {
    /// A `%` that begins no macro, or a macro that is not closed or has something odd in it.
    Syntax,
    /// A letter that stands for nothing.
    Letter,
    /// RFC 7208 §7.2: `c`, `r` or `t` outside of an explanation.
    ExplanationOnly,
    /// RFC 7208 §7.3: the number of parts must not be zero.
    NoParts,
    /// A control character, or one outside of ASCII.
    Character,
    /// No domain where one must be.
    Empty,
    /// A domain ends in a macro or in a dot and a top label (RFC 7208 §7.1).
    TopLabel,
    /// The same, and what stands there is an IPv4 address.
    Address,
}

/// A text whose macros are well-formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MacroString<'a>(&'a str);

/// A `domain-spec` (RFC 7208 §7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DomainSpec<'a>(MacroString<'a>);

/// What the letters stand for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Values<'a> {
    /// `i`, `c` and `v`; never an IPv4-mapped address.
    pub client: IpAddr,
    /// `l`, and part of `s`.
    pub local: &'a str,
    /// `o`, and part of `s`.
    pub origin: &'a str,
    /// `h`.
    pub helo: &'a str,
    /// `r`.
    pub receiver: &'a str,
    /// `t`.
    pub now_s: i64,
}

/// One piece of a text.
#[derive(Debug, Clone, Copy)]
enum Part<'a> {
    /// As written.
    Literal(&'a str),
    /// What `%%`, `%_` or `%-` stands for.
    Constant(&'static str),
    Macro(Macro<'a>),
}

/// `%{d2r-}`.
#[derive(Debug, Clone, Copy)]
struct Macro<'a> {
    /// In lower case.
    letter: u8,
    /// It was written in upper case (RFC 7208 §7.3).
    is_escaped: bool,
    parts_max: Option<usize>,
    is_reversed: bool,
    delimiters: &'a str,
}

/// The pieces of a text, up to and with the first that is wrong.
struct Parts<'a>(&'a str);

impl<'a> MacroString<'a> {
    /// Checks a text.
    pub fn parse(text: &'a str, place: Place) -> Result<MacroString<'a>, MacroFault> {
        for part in Parts(text) {
            match part? {
                Part::Literal(literal) => {
                    let may_stand =
                        |octet: u8| octet.is_ascii_graphic() || octet == b' ' && place == Place::Explanation;
                    if !literal.bytes().all(may_stand) {
                        return Err(MacroFault::Character);
                    }
                }
                Part::Constant(_) => {}
                Part::Macro(Macro { letter, .. }) => {
                    if matches!(letter, b'c' | b'r' | b't') && place == Place::Domain {
                        return Err(MacroFault::ExplanationOnly);
                    }
                }
            }
        }
        Ok(MacroString(text))
    }

    /// Whether one of these letters, in lower case, is in it.
    pub fn uses(self, letters: &[u8]) -> bool {
        self.0.contains('%')
            && Parts(self.0)
                .flatten()
                .any(|part| matches!(part, Part::Macro(Macro { letter, .. }) if letters.contains(&letter)))
    }

    /// The text with its macros replaced, cut where it grows past `octets_max`.
    pub fn expand(self, values: &Values<'_>, domain: &Name, proven: &str, octets_max: usize) -> String {
        let mut out = String::new();
        for part in Parts(self.0).flatten() {
            part.expand(values, domain, proven, &mut out);
            if out.len() > octets_max {
                out.truncate(out.floor_char_boundary(octets_max));
                break;
            }
        }
        out
    }
}

impl<'a> DomainSpec<'a> {
    /// Checks a text.
    pub fn parse(text: &'a str) -> Result<DomainSpec<'a>, MacroFault> {
        if text.is_empty() {
            return Err(MacroFault::Empty);
        }
        let checked = MacroString::parse(text, Place::Domain)?;
        match Parts(text).flatten().last() {
            Some(Part::Literal(literal)) if !ends_in_top_label(literal) => Err(if is_ip4_like(text) {
                MacroFault::Address
            } else {
                MacroFault::TopLabel
            }),
            _ => Ok(DomainSpec(checked)),
        }
    }

    /// Whether one of these letters, in lower case, is in it.
    pub fn uses(self, letters: &[u8]) -> bool {
        self.0.uses(letters)
    }

    /// The name with its macros replaced; `None` if that is no name (RFC 7208 §4.8, §7.3).
    pub fn expand(self, values: &Values<'_>, domain: &Name, proven: &str) -> Option<Name> {
        let text = self.0.0;
        if !text.contains('%') {
            return name(text);
        }
        let mut out = String::new();
        for part in Parts(text).flatten() {
            part.expand(values, domain, proven, &mut out);
            if out.len() > EXPANDED_OCTETS_MAX {
                // More than the longest name and the dots around it: that is all that can count.
                let from = out.floor_char_boundary(out.len().saturating_sub(2 * NAME_OCTETS_MAX));
                out.drain(..from);
            }
        }
        name(&out)
    }
}

/// RFC 7208 §7.3: what is longer than a name loses labels at its left.
fn name(text: &str) -> Option<Name> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let Some(too_long) = text.len().checked_sub(NAME_OCTETS_MAX).filter(|&octets| octets > 0) else {
        return Name::expanded(text).ok();
    };
    let mut dots = text.bytes().enumerate().skip(too_long - 1);
    let (dot, _) = dots.find(|&(_, octet)| octet == b'.')?;
    Name::expanded(text.get(dot + 1..)?).ok()
}

/// RFC 7208 §7.1 `domain-end`, where it is written out.
fn ends_in_top_label(literal: &str) -> bool {
    let literal = literal.strip_suffix('.').unwrap_or(literal);
    let Some((_, label)) = literal.rsplit_once('.') else {
        return false;
    };
    let edge = |octet: Option<u8>| octet.is_some_and(|octet| octet.is_ascii_alphanumeric());
    edge(label.bytes().next())
        && edge(label.bytes().next_back())
        && label
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
        && label.bytes().any(|octet| !octet.is_ascii_digit())
}

fn is_ip4_like(text: &str) -> bool {
    text.parse::<std::net::Ipv4Addr>().is_ok()
}

impl<'a> Iterator for Parts<'a> {
    type Item = Result<Part<'a>, MacroFault>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.0;
        let Some(after) = text.strip_prefix('%') else {
            let end = text.find('%').unwrap_or(text.len());
            let (literal, rest) = text.split_at_checked(end)?;
            self.0 = rest;
            return (!literal.is_empty()).then_some(Ok(Part::Literal(literal)));
        };
        for (mark, literal) in [('%', "%"), ('_', " "), ('-', "%20")] {
            if let Some(rest) = after.strip_prefix(mark) {
                self.0 = rest;
                return Some(Ok(Part::Constant(literal)));
            }
        }
        let inside = after.strip_prefix('{').and_then(|inside| inside.split_once('}'));
        let Some((inside, rest)) = inside else {
            self.0 = "";
            return Some(Err(MacroFault::Syntax));
        };
        self.0 = rest;
        Some(Macro::parse(inside).map(Part::Macro))
    }
}

impl<'a> Macro<'a> {
    /// Parses what stands between the braces.
    fn parse(inside: &'a str) -> Result<Macro<'a>, MacroFault> {
        let first = inside.bytes().next().ok_or(MacroFault::Syntax)?;
        let letter = first.to_ascii_lowercase();
        if !b"slodiphcrtv".contains(&letter) {
            return Err(MacroFault::Letter);
        }
        let rest = inside.get(1..).unwrap_or_default();
        let digits_end = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = rest.split_at_checked(digits_end).unwrap_or_default();
        let parts_max = match digits {
            "" => None,
            // More digits than a number has stand for more parts than there are.
            digits => Some(digits.parse::<usize>().unwrap_or(usize::MAX)),
        };
        if parts_max == Some(0) {
            return Err(MacroFault::NoParts);
        }
        let reversed = rest.strip_prefix(['r', 'R']);
        let delimiters = reversed.unwrap_or(rest);
        if !delimiters.bytes().all(|octet| b".-+,/_=".contains(&octet)) {
            return Err(MacroFault::Syntax);
        }
        Ok(Macro {
            letter,
            is_escaped: first.is_ascii_uppercase(),
            parts_max,
            is_reversed: reversed.is_some(),
            delimiters,
        })
    }

    fn value<'v>(self, values: &Values<'v>, domain: &'v Name, proven: &'v str) -> Cow<'v, str> {
        match self.letter {
            b's' => format!("{}@{}", values.local, values.origin).into(),
            b'l' => values.local.into(),
            b'o' => values.origin.into(),
            b'd' => domain.as_str().into(),
            b'i' => dotted(values.client).into(),
            b'p' => proven.into(),
            b'h' => values.helo.into(),
            b'c' => values.client.to_string().into(),
            b'r' => values.receiver.into(),
            b't' => values.now_s.to_string().into(),
            // `v`; others are no macros.
            _ if values.client.is_ipv4() => "in-addr".into(),
            _ => "ip6".into(),
        }
    }

    fn expand(self, value: &str, out: &mut String) {
        let mut push = |text: &str| match self.is_escaped {
            true => push_escaped(text, out),
            false => out.push_str(text),
        };
        if self.parts_max.is_none() && !self.is_reversed && self.delimiters.is_empty() {
            return push(value);
        }
        let delimiters = if self.delimiters.is_empty() {
            "."
        } else {
            self.delimiters
        };
        let parts = || value.split(|c| delimiters.contains(c));
        let count = parts().count();
        let skipped = count.saturating_sub(self.parts_max.unwrap_or(count));
        let mut is_first = true;
        let mut push_part = |part: &str| {
            if !std::mem::take(&mut is_first) {
                push(".");
            }
            push(part);
        };
        match self.is_reversed {
            true => parts().rev().skip(skipped).for_each(&mut push_part),
            false => parts().skip(skipped).for_each(&mut push_part),
        }
    }
}

impl Part<'_> {
    fn expand(self, values: &Values<'_>, domain: &Name, proven: &str, out: &mut String) {
        match self {
            Part::Literal(literal) | Part::Constant(literal) => out.push_str(literal),
            Part::Macro(found) => found.expand(&found.value(values, domain, proven), out),
        }
    }
}

/// RFC 7208 §7.3: everything but RFC 3986's unreserved characters is escaped.
fn push_escaped(text: &str, out: &mut String) {
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            out.push(char::from(octet));
        } else {
            out.push('%');
            for nibble in [octet >> 4, octet & 15] {
                let digit = char::from_digit(u32::from(nibble), 16).unwrap_or('0');
                out.push(digit.to_ascii_uppercase());
            }
        }
    }
}

/// RFC 7208 §7.3: the address with a dot behind each part; of IPv6 each nibble is one.
fn dotted(client: IpAddr) -> String {
    match client {
        IpAddr::V4(ip) => ip.to_string(),
        // The reverse zone has the same nibbles from the other end.
        IpAddr::V6(_) => reversed(client).to_ascii_uppercase().chars().rev().collect(),
    }
}

impl fmt::Display for MacroFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MacroFault::Syntax => "a `%` begins no macro (RFC 7208 §7.1)",
            MacroFault::Letter => "a macro letter stands for nothing",
            MacroFault::ExplanationOnly => "the macro letters `c`, `r` and `t` are for explanations only",
            MacroFault::NoParts => "a macro takes zero parts",
            MacroFault::Character => "a character is not printable ASCII",
            MacroFault::Empty => "a domain is missing",
            MacroFault::TopLabel => "the domain does not end in a top-level domain",
            MacroFault::Address => "a domain must stand there, and an address does; `ip4:` takes addresses",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values<'a>() -> Values<'a> {
        Values {
            client: "192.0.2.3".parse().unwrap(),
            local: "strong-bad",
            origin: "email.example.com",
            helo: "mx.example.org",
            receiver: "site.example",
            now_s: 1_700_000_000,
        }
    }

    fn text(text: &str, values: &Values<'_>) -> String {
        let domain = Name::parse("email.example.com").unwrap();
        let parsed = MacroString::parse(text, Place::Explanation).unwrap();
        parsed.expand(values, &domain, "mx.example.org", 2000)
    }

    /// The table of RFC 7208 §7.4.
    #[test]
    fn rfc7208_7_4_examples_expand_as_given() {
        for (from, to) in [
            ("%{s}", "strong-bad@email.example.com"),
            ("%{o}", "email.example.com"),
            ("%{d}", "email.example.com"),
            ("%{d4}", "email.example.com"),
            ("%{d3}", "email.example.com"),
            ("%{d2}", "example.com"),
            ("%{d1}", "com"),
            ("%{dr}", "com.example.email"),
            ("%{d2r}", "example.email"),
            ("%{l}", "strong-bad"),
            ("%{l-}", "strong.bad"),
            ("%{lr}", "strong-bad"),
            ("%{lr-}", "bad.strong"),
            ("%{l1r-}", "strong"),
            ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
            ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
            (
                "%{lr-}.lp.%{ir}.%{v}._spf.%{d2}",
                "bad.strong.lp.3.2.0.192.in-addr._spf.example.com",
            ),
            (
                "%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}",
                "3.2.0.192.in-addr.strong.lp._spf.example.com",
            ),
            (
                "%{d2}.trusted-domains.example.net",
                "example.com.trusted-domains.example.net",
            ),
            (
                "%{h} %{p} %{r} %{c} %{t}",
                "mx.example.org mx.example.org site.example 192.0.2.3 1700000000",
            ),
            ("%%%_%-", "% %20"),
            ("%{S}", "strong-bad%40email.example.com"),
            ("%{DR2}", ""),
        ] {
            if from == "%{DR2}" {
                assert_eq!(MacroString::parse(from, Place::Explanation), Err(MacroFault::Syntax));
            } else {
                assert_eq!(text(from, &values()), to, "{from}");
            }
        }
        let six = Values {
            client: "2001:db8::cb01".parse().unwrap(),
            ..values()
        };
        assert_eq!(
            text("%{ir}.%{v}._spf.%{d2}", &six).to_lowercase(),
            "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com"
        );
        assert_eq!(text("%{c}", &six), "2001:db8::cb01");
    }

    #[test]
    fn escapes_are_of_octets() {
        let odd = Values {
            local: "ä b",
            ..values()
        };
        assert_eq!(text("%{L}", &odd), "%C3%A4%20b");
    }

    #[test]
    fn malformed_macros_are_known() {
        for (text, fault) in [
            ("%", MacroFault::Syntax),
            ("%a", MacroFault::Syntax),
            ("%{", MacroFault::Syntax),
            ("%{}", MacroFault::Syntax),
            ("%{d", MacroFault::Syntax),
            ("%(d)", MacroFault::Syntax),
            ("%{d2r*}", MacroFault::Syntax),
            ("%{dr2}", MacroFault::Syntax),
            ("%{x}", MacroFault::Letter),
            ("%{d0}", MacroFault::NoParts),
            ("%{d000r}", MacroFault::NoParts),
            ("a\tb", MacroFault::Character),
            ("ä", MacroFault::Character),
        ] {
            assert_eq!(MacroString::parse(text, Place::Explanation), Err(fault), "{text}");
        }
        assert_eq!(MacroString::parse("a b", Place::Unknown), Err(MacroFault::Character));
        assert_eq!(
            MacroString::parse("%{t}", Place::Domain),
            Err(MacroFault::ExplanationOnly)
        );
        assert!(MacroString::parse("%{d99999999999999999999999999}", Place::Domain).is_ok());
    }

    #[test]
    fn a_domain_ends_in_a_macro_or_a_top_label() {
        for text in [
            "a.example",
            "a.example.",
            ".example",
            "a.%{d}",
            "%{d}",
            "x%%",
            "x%_",
            "a.1-2",
            "foo:bar/baz.example",
            "a.xn--zckzah",
        ] {
            assert!(DomainSpec::parse(text).is_ok(), "{text}");
        }
        for text in [
            "example", "example.", "a.123", "a.-b", "a.b-", "a.b_c", "%{d}.", "%{d}x", "a.", "a..", ".",
        ] {
            assert_eq!(DomainSpec::parse(text), Err(MacroFault::TopLabel), "{text}");
        }
        assert_eq!(DomainSpec::parse("192.0.2.1"), Err(MacroFault::Address));
        assert_eq!(DomainSpec::parse(""), Err(MacroFault::Empty));
    }

    #[test]
    fn rfc7208_7_3_long_names_lose_labels_at_their_left() {
        let domain = Name::parse("email.example.com").unwrap();
        let expand = |text: &str| DomainSpec::parse(text).unwrap().expand(&values(), &domain, "unknown");
        let label = "a".repeat(49);
        let long = format!("x.{}{}.example", format!("{label}.").repeat(4), "b".repeat(44));
        assert_eq!(long.len(), 2 + 200 + 44 + 8);
        assert_eq!(expand(&long).unwrap().as_str(), long.strip_prefix("x.").unwrap());
        let fits = long.strip_prefix('x').unwrap().replacen('.', "x.", 1);
        let fits = fits.strip_prefix("x.").unwrap();
        assert_eq!(expand(fits).unwrap().as_str(), fits);
        assert_eq!(
            expand(&format!("{}.example", "a".repeat(300))),
            Name::parse("example").ok()
        );
        assert_eq!(
            expand(&format!("{}%{{d}}", "a".repeat(300))),
            Name::parse("example.com").ok()
        );
        assert_eq!(expand("a..example"), None);
        assert_eq!(expand(&format!("{}.example", "a".repeat(64))), None);
        // A thousand macros are one name in the end.
        let many = "%{s}".repeat(1000) + ".example";
        let name = expand(&many).unwrap();
        assert!(name.as_str().len() <= 253 && name.as_str().ends_with("@email.example.com.example"));
    }

    proptest! {
        #[test]
        fn any_text_expands_within_bounds(
            text in "[ -~]{0,60}|(%[{%_-]?[a-zA-Z0-9.,=}-]{0,6}){0,40}",
            local in "\\PC{0,40}",
            helo in "\\PC{0,60}",
        ) {
            let values = Values { local: &local, helo: &helo, ..values() };
            let domain = Name::parse("email.example.com").unwrap();
            if let Ok(parsed) = MacroString::parse(&text, Place::Explanation) {
                prop_assert!(parsed.expand(&values, &domain, "unknown", 100).len() <= 100);
            }
            if let Ok(parsed) = DomainSpec::parse(&text) {
                let _ = parsed.expand(&values, &domain, "unknown");
                prop_assert!(MacroString::parse(&text, Place::Unknown).is_ok());
            }
        }

        #[test]
        fn cutting_while_expanding_changes_no_name(text in "(%\\{[slodh][1-3]?r?\\}|[a-z.]){1,120}\\.example") {
            let domain = Name::parse("email.example.com").unwrap();
            let whole = MacroString::parse(&text, Place::Domain).unwrap().expand(&values(), &domain, "", 100_000);
            let cut = DomainSpec::parse(&text).unwrap().expand(&values(), &domain, "");
            prop_assert_eq!(cut, name(&whole));
        }
    }
}
