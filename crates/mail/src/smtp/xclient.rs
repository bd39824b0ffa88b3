//! XCLIENT (Postfix's `XCLIENT_README`): a proxy that is trusted says who the client really is.
//!
//! Strict, because rights follow from it: an attribute that is unknown, given twice, empty or of another form refuses
//! the whole command, and nothing of it counts.

use super::command::Dialect;
use crate::domain::{Domain, canonical_ip};
use crate::limits::{HELO_OCTETS_MAX, LOGIN_OCTETS_MAX};
use crate::text::Line;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What one XCLIENT command said. `None`: it did not say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct XclientAttributes {
    /// `NAME`: the client's reverse name.
    pub name: Option<Told<Domain>>,
    /// `ADDR`: the client's address, IPv4 where it is mapped into IPv6.
    pub addr: Option<Told<IpAddr>>,
    /// `PORT`: the client's port.
    pub port: Option<Told<u16>>,
    /// `PROTO`: how the client greeted the proxy.
    pub proto: Option<Dialect>,
    /// `HELO`: what it greeted with.
    pub helo: Option<Told<Line>>,
    /// `LOGIN`: as whom it logged in, octet for octet.
    pub login: Option<Told<Line>>,
    /// `DESTADDR`: the address it connected to.
    pub dest_addr: Option<Told<IpAddr>>,
    /// `DESTPORT`: the port it connected to.
    pub dest_port: Option<Told<u16>>,
}

/// What a proxy tells of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told<T> {
    /// Its value.
    Known(T),
    /// `[UNAVAILABLE]`: there is none.
    Unavailable,
    /// `[TEMPUNAVAIL]`: it could not be found out at this time.
    TemporarilyUnavailable,
}

/// Why attributes are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum XclientError {
    /// No attribute, or one without `=` or value.
    Syntax,
    /// An attribute that is not offered.
    UnknownAttribute,
    /// An attribute was given twice.
    Repeated,
    /// A value of another form.
    Value,
}

impl<T> Told<T> {
    /// The value, if there is one.
    pub fn known(&self) -> Option<&T> {
        match self {
            Told::Known(value) => Some(value),
            Told::Unavailable | Told::TemporarilyUnavailable => None,
        }
    }
}

impl XclientAttributes {
    /// What EHLO says of it.
    pub(super) const KEYWORD: &'static str = "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT";

    /// Parses what stands behind the verb.
    pub fn parse(text: &[u8]) -> Result<XclientAttributes, XclientError> {
        let mut attributes = XclientAttributes::default();
        let mut words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let mut word = Some(words.next().ok_or(XclientError::Syntax)?);
        while let Some(attribute) = word {
            attributes.add(attribute)?;
            word = words.next();
        }
        Ok(attributes)
    }

    /// Takes over what a later command said (a proxy may say all in several).
    pub fn update(&mut self, later: XclientAttributes) {
        let XclientAttributes {
            name,
            addr,
            port,
            proto,
            helo,
            login,
            dest_addr,
            dest_port,
        } = later;
        self.name = name.or(self.name.take());
        self.addr = addr.or(self.addr.take());
        self.port = port.or(self.port.take());
        self.proto = proto.or(self.proto.take());
        self.helo = helo.or(self.helo.take());
        self.login = login.or(self.login.take());
        self.dest_addr = dest_addr.or(self.dest_addr.take());
        self.dest_port = dest_port.or(self.dest_port.take());
    }

    fn add(&mut self, word: &[u8]) -> Result<(), XclientError> {
        let at = word.iter().position(|&b| b == b'=').ok_or(XclientError::Syntax)?;
        let (name, value) = word.split_at_checked(at).ok_or(XclientError::Syntax)?;
        let value = xtext(value.get(1..).unwrap_or_default()).ok_or(XclientError::Value)?;
        if value.is_empty() {
            return Err(XclientError::Syntax);
        }
        match name.to_ascii_uppercase().as_slice() {
            b"NAME" => set(&mut self.name, told(&value, domain)),
            b"ADDR" => set(&mut self.addr, told(&value, address)),
            b"PORT" => set(&mut self.port, told(&value, port)),
            b"PROTO" => set(&mut self.proto, protocol(&value)),
            b"HELO" => set(&mut self.helo, told(&value, |text| line(text, HELO_OCTETS_MAX))),
            b"LOGIN" => set(&mut self.login, told(&value, |text| line(text, LOGIN_OCTETS_MAX))),
            b"DESTADDR" => set(&mut self.dest_addr, told(&value, address)),
            b"DESTPORT" => set(&mut self.dest_port, told(&value, port)),
            _ => Err(XclientError::UnknownAttribute),
        }
    }
}

fn set<T>(place: &mut Option<T>, value: Option<T>) -> Result<(), XclientError> {
    let value = value.ok_or(XclientError::Value)?;
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(XclientError::Repeated),
    }
}

/// RFC 3461 §4: `+` and two hexadecimal digits stand for an octet. Lower-case digits are taken too.
fn xtext(text: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        rest = match (first, after) {
            (b'+', [high, low, after @ ..]) => {
                plain.push(hex(*high)? << 4 | hex(*low)?);
                after
            }
            (b'+', _) => return None,
            _ => {
                plain.push(first);
                after
            }
        };
    }
    Some(plain)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|n| u8::try_from(n).ok())
}

fn told<T>(value: &[u8], parse: impl Fn(&str) -> Option<T>) -> Option<Told<T>> {
    if value.eq_ignore_ascii_case(b"[UNAVAILABLE]") {
        Some(Told::Unavailable)
    } else if value.eq_ignore_ascii_case(b"[TEMPUNAVAIL]") {
        Some(Told::TemporarilyUnavailable)
    } else {
        std::str::from_utf8(value).ok().and_then(parse).map(Told::Known)
    }
}

fn domain(text: &str) -> Option<Domain> {
    Domain::parse(text).ok()
}

/// IPv4, or `IPV6:` and IPv6. The prefix may be missing: some proxies leave it out.
fn address(text: &str) -> Option<IpAddr> {
    let ip = match text.split_at_checked(5) {
        Some((tag, rest)) if tag.eq_ignore_ascii_case("IPV6:") => IpAddr::V6(rest.parse::<Ipv6Addr>().ok()?),
        _ => match text.parse::<Ipv4Addr>() {
            Ok(ip) => IpAddr::V4(ip),
            Err(_) => IpAddr::V6(text.parse::<Ipv6Addr>().ok()?),
        },
    };
    Some(canonical_ip(ip))
}

fn port(text: &str) -> Option<u16> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

fn protocol(value: &[u8]) -> Option<Dialect> {
    if value.eq_ignore_ascii_case(b"ESMTP") {
        Some(Dialect::Esmtp)
    } else {
        value.eq_ignore_ascii_case(b"SMTP").then_some(Dialect::Smtp)
    }
}

/// Text that is one harmless line as it stands. Another is refused rather than cleaned: two logins that differ must
/// not become one.
fn line(text: &str, octets_max: usize) -> Option<Line> {
    let line = Line::clean(text.as_bytes(), octets_max);
    (text.len() <= octets_max && line.as_str() == text).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> XclientAttributes {
        XclientAttributes::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e:?}"))
    }

    #[test]
    fn all_attributes_are_read() {
        let attributes = parsed(
            "NAME=mx.client.example addr=IPV6:2001:db8::1 Port=4000 PROTO=esmtp HELO=[192.0.2.1] \
             LOGIN=ann+40site.example DESTADDR=192.0.2.9 DESTPORT=25",
        );
        assert_eq!(
            attributes,
            XclientAttributes {
                name: Some(Told::Known(Domain::parse("mx.client.example").unwrap())),
                addr: Some(Told::Known("2001:db8::1".parse().unwrap())),
                port: Some(Told::Known(4000)),
                proto: Some(Dialect::Esmtp),
                helo: Some(Told::Known(Line::literal("[192.0.2.1]"))),
                login: Some(Told::Known(Line::literal("ann@site.example"))),
                dest_addr: Some(Told::Known("192.0.2.9".parse().unwrap())),
                dest_port: Some(Told::Known(25)),
            }
        );
    }

    #[test]
    fn an_address_has_one_form_however_it_is_written() {
        for text in [
            "192.0.2.1",
            "IPV6:::ffff:192.0.2.1",
            "ipv6:::ffff:c000:201",
            "::ffff:192.0.2.1",
            "192.0.2.+31",
        ] {
            let ip = parsed(&format!("ADDR={text}")).addr.unwrap();
            assert_eq!(ip, Told::Known("192.0.2.1".parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn what_is_not_known_is_told_apart() {
        let attributes = parsed("NAME=[tempunavail] ADDR=[UNAVAILABLE] LOGIN=[Unavailable] HELO=+5BUNAVAILABLE+5D");
        assert_eq!(attributes.name, Some(Told::TemporarilyUnavailable));
        assert_eq!(attributes.addr, Some(Told::Unavailable));
        assert_eq!(attributes.login, Some(Told::Unavailable));
        assert_eq!(attributes.helo, Some(Told::Unavailable));
        assert_eq!(attributes.port, None);
        assert_eq!(attributes.name.unwrap().known(), None);
    }

    #[test]
    fn a_value_of_another_form_refuses_the_command() {
        use XclientError::{Repeated, Syntax, UnknownAttribute, Value};
        for (text, why) in [
            ("", Syntax),
            ("  ", Syntax),
            ("ADDR", Syntax),
            ("ADDR=", Syntax),
            ("ADDR=192.0.2.1 LOGIN=", Syntax),
            ("ADDR = 192.0.2.1", Syntax),
            ("=x", UnknownAttribute),
            ("IDENT=x", UnknownAttribute),
            ("ADDR=192.0.2.1 ADDR=192.0.2.1", Repeated),
            ("ADDR=[192.0.2.1]", Value),
            ("ADDR=192.0.2.01", Value),
            ("ADDR=IPV6:192.0.2.1", Value),
            ("ADDR=IPV6:fe80::1%eth0", Value),
            ("ADDR=mx.example", Value),
            ("PORT=65536", Value),
            ("PORT=+2B25", Value),
            ("PORT=-1", Value),
            ("PROTO=LMTP", Value),
            ("PROTO=[UNAVAILABLE]", Value),
            ("NAME=_x.example", Value),
            ("NAME=a+20b", Value),
            ("LOGIN=a+", Value),
            ("LOGIN=a+4", Value),
            ("LOGIN=a+4g", Value),
            ("LOGIN=a+00", Value),
            ("LOGIN=a+0D+0A", Value),
            ("LOGIN=+20a", Value),
            ("LOGIN=a+20+20b", Value),
            ("LOGIN=+FF", Value),
            ("LOGIN=+E2+80+AE", Value),
        ] {
            assert_eq!(XclientAttributes::parse(text.as_bytes()), Err(why), "{text:?}");
        }
        let long = |n: usize| XclientAttributes::parse(format!("LOGIN={}", "a".repeat(n)).as_bytes());
        assert!(long(LOGIN_OCTETS_MAX).is_ok());
        assert_eq!(long(LOGIN_OCTETS_MAX + 1), Err(Value));
    }

    #[test]
    fn a_later_command_adds_and_replaces() {
        let mut attributes = parsed("ADDR=192.0.2.1 NAME=a.example");
        attributes.update(parsed("NAME=[UNAVAILABLE] HELO=h"));
        assert_eq!(attributes, parsed("ADDR=192.0.2.1 NAME=[UNAVAILABLE] HELO=h"));
    }

    proptest! {
        #[test]
        fn any_octets_are_parsed_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = XclientAttributes::parse(&octets);
        }

        #[test]
        fn xtext_carries_any_login_that_is_one_line(login in "[ -~\u{e0}-\u{ff}]{1,60}") {
            let encoded: String = login.bytes().map(|b| format!("+{b:02X}")).collect();
            let exact = Line::reason(login.as_bytes()).as_str() == login;
            match XclientAttributes::parse(format!("LOGIN={encoded}").as_bytes()) {
                Ok(attributes) => {
                    let Some(Told::Known(line)) = attributes.login else { return Ok(()) };
                    prop_assert!(exact && line.as_str() == login);
                }
                Err(why) => prop_assert!(!exact && why == XclientError::Value),
            }
        }
    }
}
