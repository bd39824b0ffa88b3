//! The PROXY protocol, versions 1 and 2 (HAProxy's `proxy-protocol.txt`): what a balancer says of a connection before
//! the first octet of the client.
//!
//! [`Parser`] consumes the header and nothing behind it. Whoever reads by it must know that the peer is such a
//! balancer: the header is never guessed, and anything else in its place is an error that ends the connection.
//! Names within a version 2 header (TLVs) are passed over.

use crate::domain::canonical_ip;
use crate::limits::PROXY_HEADER_OCTETS_MAX;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// `UNKNOWN`, `LOCAL`, or a family that is not ours: the addresses of the socket count. They are the balancer's
    /// own, so whoever gives rights to addresses gives none here.
    Unproxied,
    /// The connection comes from elsewhere. IPv4 addresses that are mapped into IPv6 are IPv4.
    Proxied {
        /// The client.
        source: SocketAddr,
        /// What it connected to.
        destination: SocketAddr,
    },
}

/// Why octets are no header. The connection is of no further use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyError {
    /// Neither version's first octets.
    NotProxy,
    /// A version 1 line without CRLF in its first 107 octets, or a version 2 header of more than
    /// [`PROXY_HEADER_OCTETS_MAX`].
    TooLong,
    /// A version 1 line of another form.
    Line,
    /// A version 2 signature, but another version.
    Version(u8),
    /// A command of version 2 that is neither LOCAL nor PROXY.
    Command(u8),
    /// A family or transport of version 2 that is none, or no stream.
    Family(u8),
    /// A version 2 header that is too short for the addresses of its family.
    TooShort,
}

/// Reads one header, in pieces of any size.
#[derive(Debug, Default)]
pub struct Parser {
    /// The beginning of the header; what stands behind the addresses is not kept.
    kept: Vec<u8>,
    length: usize,
    outcome: Option<Result<Header, ProxyError>>,
}

/// `proxy-protocol.txt` 2.1: the longest line of version 1, with its CRLF.
const LINE_OCTETS_MAX: usize = 107;
/// `proxy-protocol.txt` 2.2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and transport, length.
const FIXED_OCTETS: usize = 16;

impl Parser {
    /// Consumes from `input` through the end of the header; all of it, with `Ok(None)`, if the header goes on. After
    /// the end, or an error, consumes nothing and gives the same answer.
    pub fn feed(&mut self, input: &mut &[u8]) -> Result<Option<Header>, ProxyError> {
        while self.outcome.is_none() {
            let Some((&octet, rest)) = input.split_first() else {
                return Ok(None);
            };
            *input = rest;
            self.outcome = self.octet(octet).transpose();
        }
        self.outcome.transpose()
    }

    fn octet(&mut self, octet: u8) -> Result<Option<Header>, ProxyError> {
        self.length = self.length.saturating_add(1);
        if self.kept.len() < LINE_OCTETS_MAX {
            self.kept.push(octet);
        }
        match self.kept.first() {
            Some(b'P') => self.line(),
            Some(b'\r') => self.binary(),
            _ => Err(ProxyError::NotProxy),
        }
    }

    /// Version 1, as far as it has come.
    fn line(&mut self) -> Result<Option<Header>, ProxyError> {
        let begin = b"PROXY ";
        if !begin.starts_with(self.kept.get(..begin.len()).unwrap_or(&self.kept)) {
            return Err(ProxyError::NotProxy);
        }
        match self.kept.as_slice() {
            [line @ .., b'\r', b'\n'] => parse_line(line).map(Some),
            [.., b'\n'] | [.., b'\r', _] => Err(ProxyError::Line),
            line if line.len() >= LINE_OCTETS_MAX => Err(ProxyError::TooLong),
            _ => Ok(None),
        }
    }

    /// Version 2, as far as it has come.
    fn binary(&mut self) -> Result<Option<Header>, ProxyError> {
        if !SIGNATURE.starts_with(self.kept.get(..SIGNATURE.len()).unwrap_or(&self.kept)) {
            return Err(ProxyError::NotProxy);
        }
        let Some((&[version_command, family, high, low], addresses)) = self
            .kept
            .get(SIGNATURE.len()..)
            .and_then(|rest| rest.split_first_chunk())
        else {
            return Ok(None);
        };
        let kind = kind(version_command, family)?;
        let octets = usize::from(u16::from_be_bytes([high, low]));
        if FIXED_OCTETS + octets > PROXY_HEADER_OCTETS_MAX {
            return Err(ProxyError::TooLong);
        }
        if octets < kind.address_octets() {
            return Err(ProxyError::TooShort);
        }
        if self.length < FIXED_OCTETS + octets {
            return Ok(None);
        }
        let addresses = addresses.get(..kind.address_octets()).unwrap_or_default();
        kind.header(addresses).map(Some).ok_or(ProxyError::TooShort)
    }
}

/// What the addresses of a version 2 header are.
#[derive(Clone, Copy)]
enum Kind {
    None,
    V4,
    V6,
}

/// `proxy-protocol.txt` 2.2: of LOCAL the family is not looked at; families without an Internet address stand for
/// the socket's own.
fn kind(version_command: u8, family: u8) -> Result<Kind, ProxyError> {
    match (version_command >> 4, version_command & 0xf) {
        (2, 0) => Ok(Kind::None),
        (2, 1) => match (family >> 4, family & 0xf) {
            (1, 1) => Ok(Kind::V4),
            (2, 1) => Ok(Kind::V6),
            (0, 0 | 1) | (1..=3, 0) | (3, 1) => Ok(Kind::None),
            _ => Err(ProxyError::Family(family)),
        },
        (2, command) => Err(ProxyError::Command(command)),
        (version, _) => Err(ProxyError::Version(version)),
    }
}

impl Kind {
    fn address_octets(self) -> usize {
        match self {
            Kind::None => 0,
            Kind::V4 => 12,
            Kind::V6 => 36,
        }
    }

    fn header(self, octets: &[u8]) -> Option<Header> {
        let (source, rest, destination, ports): (IpAddr, &[u8], IpAddr, &[u8]);
        match self {
            Kind::None => return Some(Header::Unproxied),
            Kind::V4 => {
                (source, rest) = octets.split_first_chunk::<4>().map(|(ip, r)| ((*ip).into(), r))?;
                (destination, ports) = rest.split_first_chunk::<4>().map(|(ip, r)| ((*ip).into(), r))?;
            }
            Kind::V6 => {
                (source, rest) = octets.split_first_chunk::<16>().map(|(ip, r)| ((*ip).into(), r))?;
                (destination, ports) = rest.split_first_chunk::<16>().map(|(ip, r)| ((*ip).into(), r))?;
            }
        }
        let &[a, b, c, d] = ports else { return None };
        Some(proxied(
            (source, u16::from_be_bytes([a, b])),
            (destination, u16::from_be_bytes([c, d])),
        ))
    }
}

fn proxied(source: (IpAddr, u16), destination: (IpAddr, u16)) -> Header {
    let socket = |(ip, port)| SocketAddr::new(canonical_ip(ip), port);
    Header::Proxied {
        source: socket(source),
        destination: socket(destination),
    }
}

/// `proxy-protocol.txt` 2.1; the line without its CRLF. Fields are parted by one blank each.
fn parse_line(line: &[u8]) -> Result<Header, ProxyError> {
    let text = std::str::from_utf8(line).map_err(|_| ProxyError::Line)?;
    let mut fields = text.split(' ').skip(1);
    let family = fields.next().unwrap_or_default();
    if family == "UNKNOWN" {
        return Ok(Header::Unproxied);
    }
    let mut ip = || -> Option<IpAddr> {
        let text = fields.next()?;
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let ips = ip().zip(ip());
    let ports = fields.next().and_then(port).zip(fields.next().and_then(port));
    match (ips, ports, fields.next()) {
        (Some((source, destination)), Some((from, to)), None) => Ok(proxied((source, from), (destination, to))),
        _ => Err(ProxyError::Line),
    }
}

/// Decimal digits without a zero in front.
fn port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok())?
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProxyError::NotProxy => f.write_str("the connection does not begin with a PROXY header"),
            ProxyError::TooLong => f.write_str("the PROXY header is too long"),
            ProxyError::Line => f.write_str("the PROXY line has a wrong form"),
            ProxyError::Version(version) => write!(f, "unknown version of the PROXY protocol: {version}"),
            ProxyError::Command(command) => write!(f, "unknown command in the PROXY header: {command}"),
            ProxyError::Family(family) => write!(f, "unknown address family in the PROXY header: {family:#04x}"),
            ProxyError::TooShort => f.write_str("the PROXY header is too short for its addresses"),
        }
    }
}

impl std::error::Error for ProxyError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Outcome = (Result<Option<Header>, ProxyError>, usize);

    /// What comes of `input` in pieces, and how many octets were left.
    fn parse(input: &[u8], piece: usize) -> Outcome {
        let mut parser = Parser::default();
        let (mut answer, mut left) = (Ok(None), 0);
        for mut piece in input.chunks(piece) {
            answer = parser.feed(&mut piece);
            left += piece.len();
            assert!(parser.kept.len() <= LINE_OCTETS_MAX);
        }
        (answer, left)
    }

    fn from(source: &str, destination: &str) -> Result<Option<Header>, ProxyError> {
        Ok(Some(Header::Proxied {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        }))
    }

    fn v2(version_command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[version_command, family][..], &length, rest].concat()
    }

    #[test]
    fn version_1_gives_both_addresses_and_leaves_what_follows() {
        for (line, expected) in [
            (
                "PROXY TCP4 192.0.2.1 192.0.2.9 4000 25\r\n",
                from("192.0.2.1:4000", "192.0.2.9:25"),
            ),
            (
                "PROXY TCP6 2001:db8::1 2001:DB8::9 65535 0\r\n",
                from("[2001:db8::1]:65535", "[2001:db8::9]:0"),
            ),
            (
                "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.9 1 2\r\n",
                from("192.0.2.1:1", "192.0.2.9:2"),
            ),
            ("PROXY UNKNOWN\r\n", Ok(Some(Header::Unproxied))),
            ("PROXY UNKNOWN what ever\r\n", Ok(Some(Header::Unproxied))),
        ] {
            let input = format!("{line}EHLO c.example\r\n");
            for piece in 1..=input.len() {
                assert_eq!(parse(input.as_bytes(), piece), (expected, 16), "{line:?}");
            }
            for cut in 0..line.len() {
                assert_eq!(parse(&line.as_bytes()[..cut], 100), (Ok(None), 0));
            }
        }
    }

    #[test]
    fn a_line_of_version_1_has_107_octets_at_most() {
        let line = |octets: usize| format!("PROXY UNKNOWN {}\r\n", "f".repeat(octets - 16));
        assert_eq!(parse(line(107).as_bytes(), 200).0, Ok(Some(Header::Unproxied)));
        assert_eq!(parse(line(108).as_bytes(), 200).0, Err(ProxyError::TooLong));
        assert_eq!(
            parse(&[b"PROXY ".to_vec(), vec![b'x'; 9000]].concat(), 7).0,
            Err(ProxyError::TooLong)
        );
    }

    #[test]
    fn a_line_of_another_form_is_refused() {
        for line in [
            "PROXY \r\n",
            "PROXY TCP4\r\n",
            "PROXY TCP5 192.0.2.1 192.0.2.9 4000 25\r\n",
            "PROXY tcp4 192.0.2.1 192.0.2.9 4000 25\r\n",
            "PROXY TCP4 2001:db8::1 2001:db8::9 4000 25\r\n",
            "PROXY TCP6 192.0.2.1 192.0.2.9 4000 25\r\n",
            "PROXY TCP4 192.0.2.01 192.0.2.9 4000 25\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.9 04000 25\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.9 +400 25\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.9 4000 65536\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.9 4000\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.9 4000 25 \r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.9 4000  25\r\n",
            "PROXY TCP4  192.0.2.1 192.0.2.9 4000 25\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.9 4000 25\n",
            "PROXY TCP4 192.0.2.1 192.0.2.9 4000 25\rEHLO",
            "PROXY UNKNOWN\r\r\n",
            "PROXY UNKNOWN \u{e9}\nx\r\n",
            "PROXY UNKNOWNX\r\n",
        ] {
            assert_eq!(parse(line.as_bytes(), 3).0, Err(ProxyError::Line), "{line:?}");
        }
    }

    #[test]
    fn what_begins_otherwise_is_refused_at_its_first_wrong_octet() {
        for (input, left) in [
            ("EHLO c.example\r\n", 15),
            ("PROXY2 x", 2),
            ("\r\nEHLO", 3),
            ("proxy ", 5),
            ("POST /", 4),
        ] {
            assert_eq!(
                parse(input.as_bytes(), 100),
                (Err(ProxyError::NotProxy), left),
                "{input:?}"
            );
        }
    }

    #[test]
    fn version_2_gives_both_addresses_and_passes_over_what_it_does_not_know() {
        let v4 = [
            &[192, 0, 2, 1, 192, 0, 2, 9][..],
            &4000u16.to_be_bytes(),
            &25u16.to_be_bytes(),
        ]
        .concat();
        let ip = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
        let v6 = [&ip("2001:db8::1")[..], &ip("::ffff:192.0.2.9"), &[0, 1, 0, 2]].concat();
        let long = [&v4[..], &[0xff; 300]].concat();
        let unix = [b'u'; 216];
        for (header, expected) in [
            (v2(0x21, 0x11, &v4), from("192.0.2.1:4000", "192.0.2.9:25")),
            (v2(0x21, 0x11, &long), from("192.0.2.1:4000", "192.0.2.9:25")),
            (v2(0x21, 0x21, &v6), from("[2001:db8::1]:1", "192.0.2.9:2")),
            (v2(0x20, 0x00, b""), Ok(Some(Header::Unproxied))),
            (v2(0x20, 0x11, &v4), Ok(Some(Header::Unproxied))),
            (v2(0x20, 0xff, b"any"), Ok(Some(Header::Unproxied))),
            (v2(0x21, 0x00, b"tlv"), Ok(Some(Header::Unproxied))),
            (v2(0x21, 0x31, &unix), Ok(Some(Header::Unproxied))),
        ] {
            let input = [&header[..], b"EHLO"].concat();
            for piece in 1..=input.len() {
                assert_eq!(parse(&input, piece), (expected, 4));
            }
            for cut in 0..header.len() {
                assert_eq!(parse(&header[..cut], 100), (Ok(None), 0));
            }
        }
    }

    #[test]
    fn version_2_refuses_what_it_cannot_mean() {
        for (header, why) in [
            (v2(0x11, 0x11, &[0; 12]), ProxyError::Version(1)),
            (v2(0x22, 0x11, &[0; 12]), ProxyError::Command(2)),
            (v2(0x21, 0x12, &[0; 12]), ProxyError::Family(0x12)),
            (v2(0x21, 0x41, &[0; 12]), ProxyError::Family(0x41)),
            (v2(0x21, 0x13, &[0; 12]), ProxyError::Family(0x13)),
            (v2(0x21, 0x11, &[0; 11]), ProxyError::TooShort),
            (v2(0x21, 0x21, &[0; 35]), ProxyError::TooShort),
            (v2(0x21, 0x11, &[0; PROXY_HEADER_OCTETS_MAX - 15]), ProxyError::TooLong),
        ] {
            assert_eq!(parse(&header, 5).0, Err(why), "{why}");
        }
        assert!(
            parse(&v2(0x21, 0x11, &[0; PROXY_HEADER_OCTETS_MAX - 16]), 100)
                .0
                .is_ok()
        );
    }

    const STARTS: [&[u8]; 3] = [b"", b"PROXY TCP4 192.0.2.1 192.0.2.9 ", SIGNATURE];
    const MIDDLES: [&[u8]; 4] = [b"", b"\x21\x11\0\x0c", b"\x20\0\0\x02", b"1 2\r\n"];

    proptest! {
        #[test]
        fn octet_by_octet_is_the_same_as_at_once(
            start in proptest::sample::select(&STARTS[..]),
            middle in proptest::sample::select(&MIDDLES[..]),
            rest in proptest::collection::vec(any::<u8>(), 0..200),
            piece in 2usize..50,
        ) {
            let input = [start, middle, &rest].concat();
            let whole = parse(&input, usize::MAX);
            prop_assert_eq!(parse(&input, 1), whole);
            prop_assert_eq!(parse(&input, piece), whole);
            // Nothing behind the header was looked at.
            if let (Ok(Some(_)), left) = whole {
                prop_assert_eq!(parse(&input[..input.len() - left], 1), (whole.0, 0));
            }
        }
    }
}
