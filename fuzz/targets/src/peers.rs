//! What trusted peers say of the client behind them: the PROXY header and XCLIENT.

use crate::{Input, in_pieces, model};
use mail::limits::{COMMAND_OCTETS_MAX, HELO_OCTETS_MAX, LOGIN_OCTETS_MAX, PROXY_HEADER_OCTETS_MAX};
use mail::proxy::{Header, Parser, ProxyError};
use mail::smtp::client::{Origin, XclientOffer, write_xclient};
use mail::smtp::command::{Command, Dialect};
use mail::smtp::xclient::{Told, XclientAttributes};
use mail::{Domain, Line};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A header is the same in pieces of any size, takes nothing of what follows it, and means what it would mean written
/// anew.
pub fn proxy_header(octets: &[u8]) {
    let mut input = Input(octets);
    let piece = input.number();
    let stream = input.rest();
    let [whole, single, sized] = in_pieces(stream, piece).map(read_header);
    assert_eq!(single, whole);
    assert_eq!(sized, whole);
    let (answer, consumed) = whole;
    assert!(consumed <= PROXY_HEADER_OCTETS_MAX);
    match answer {
        Ok(None) => assert_eq!(consumed, stream.len(), "input was left behind"),
        Ok(Some(header)) => {
            assert_eq!(read_header(stream[..consumed].chunks(1)), (answer, consumed));
            for cut in 0..consumed {
                assert_eq!(read_header(stream[..cut].chunks(cut.max(1))), (Ok(None), cut));
            }
            check_meaning(header);
        }
        Err(why) => assert!(!why.to_string().is_empty()),
    }
}

fn read_header<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Result<Option<Header>, ProxyError>, usize) {
    let (mut parser, mut answer, mut consumed) = (Parser::default(), Ok(None), 0);
    for piece in pieces {
        let mut rest = piece;
        let again = parser.feed(&mut rest);
        assert!(
            answer == Ok(None) || (again == answer && rest == piece),
            "the answer changed"
        );
        answer = again;
        consumed += piece.len() - rest.len();
    }
    (answer, consumed)
}

fn check_meaning(header: Header) {
    let Header::Proxied { source, destination } = header else {
        return;
    };
    assert_eq!(source.ip(), source.ip().to_canonical());
    // In one line of version 1 both addresses have one family.
    let family = |a: SocketAddr, b: SocketAddr| if a.is_ipv4() && b.is_ipv4() { "TCP4" } else { "TCP6" };
    let ip = |socket: SocketAddr| match (family(source, destination), socket.ip()) {
        ("TCP6", IpAddr::V4(ip)) => IpAddr::V6(ip.to_ipv6_mapped()),
        (_, ip) => ip,
    };
    let line = format!(
        "PROXY {} {} {} {} {}\r\n",
        family(source, destination),
        ip(source),
        ip(destination),
        source.port(),
        destination.port()
    );
    let (again, consumed) = read_header(line.as_bytes().chunks(7));
    assert_eq!((again, consumed), (Ok(Some(header)), line.len()), "{line:?}");
}

/// Attributes are harmless and within bounds, and what we write of a client is read as we meant it.
pub fn xclient(octets: &[u8]) {
    if let Ok(attributes) = XclientAttributes::parse(octets) {
        check_attributes(&attributes);
        let words = octets.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        assert_eq!(words.count(), said(&attributes), "an attribute was given twice");
        assert_ne!(attributes, XclientAttributes::default());
        let mut updated = attributes.clone();
        updated.update(XclientAttributes::default());
        assert_eq!(updated, attributes);
        let mut empty = XclientAttributes::default();
        empty.update(attributes.clone());
        assert_eq!(empty, attributes);
    }
    write_origin(octets);
}

/// How many attributes were said.
fn said(attributes: &XclientAttributes) -> usize {
    let all = [
        attributes.name.is_some(),
        attributes.addr.is_some(),
        attributes.port.is_some(),
        attributes.proto.is_some(),
        attributes.helo.is_some(),
        attributes.login.is_some(),
        attributes.dest_addr.is_some(),
        attributes.dest_port.is_some(),
    ];
    all.into_iter().filter(|is_said| *is_said).count()
}

fn check_attributes(attributes: &XclientAttributes) {
    for (line, octets_max) in [
        (&attributes.helo, HELO_OCTETS_MAX),
        (&attributes.login, LOGIN_OCTETS_MAX),
    ] {
        let Some(Told::Known(line)) = line else { continue };
        assert!((1..=octets_max).contains(&line.as_str().len()));
        assert_eq!(*line, Line::clean(line.as_str().as_bytes(), octets_max));
    }
    for ip in [&attributes.addr, &attributes.dest_addr] {
        if let Some(Told::Known(ip)) = ip {
            assert_eq!(*ip, ip.to_canonical());
        }
    }
}

/// The octets tell of a client: which attributes are offered, its address, then name, HELO and login, one a line.
fn write_origin(octets: &[u8]) {
    let mut input = Input(octets);
    let bits = input.number();
    let addr = match bits & 0x20 {
        0 => IpAddr::V4(Ipv4Addr::new(192, 0, 2, input.number() as u8)),
        _ => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, input.number() as u16)),
    };
    let text = String::from_utf8_lossy(input.rest()).into_owned();
    let mut words = text.splitn(3, '\n');
    let name = words.next().and_then(|word| Domain::parse(word).ok());
    let helo = Line::clean(words.next().unwrap_or_default().as_bytes(), HELO_OCTETS_MAX);
    let login = words.next().map(|word| Line::clean(word.as_bytes(), LOGIN_OCTETS_MAX));
    let origin = Origin {
        addr: Some(addr),
        name: name.as_ref().map(Domain::as_str),
        helo: helo.as_str(),
        esmtp: bits & 0x40 == 0,
        login: login.as_ref().map(Line::as_str).filter(|login| !login.is_empty()),
    };
    let offered = XclientOffer {
        name: bits & 1 != 0,
        addr: bits & 2 != 0,
        helo: bits & 4 != 0,
        proto: bits & 8 != 0,
        login: bits & 16 != 0,
    };
    let mut line = Vec::new();
    write_xclient(&origin, offered, &mut line);
    if !offered.is_any() {
        return assert!(line.is_empty());
    }
    assert!(line.len() <= COMMAND_OCTETS_MAX && model::lines(&line).len() == 1 && line.ends_with(b"\r\n"));
    let Ok(Command::Xclient(read)) = Command::parse(&line[..line.len() - 2]) else {
        panic!("not read: {line:?}");
    };
    assert_eq!(read.addr, offered.addr.then_some(Told::Known(addr)));
    let proto = if origin.esmtp { Dialect::Esmtp } else { Dialect::Smtp };
    assert_eq!(read.proto, offered.proto.then_some(proto));
    assert_eq!(read.name.is_some(), offered.name);
    told(
        read.name.as_ref().map(|told| told.known().map(Domain::as_str)),
        origin.name,
    );
    assert_eq!(read.helo.is_some(), offered.helo);
    told(
        read.helo.as_ref().map(|told| told.known().map(Line::as_str)),
        Some(origin.helo),
    );
    assert_eq!(read.login.is_some(), offered.login);
    told(
        read.login.as_ref().map(|told| told.known().map(Line::as_str)),
        origin.login,
    );
}

/// What was read is what was meant, or nothing where it is too long or not there. A client can claim the very word that
/// stands for nothing.
fn told(read: Option<Option<&str>>, meant: Option<&str>) {
    let Some(read) = read else { return };
    match (read, meant) {
        (Some(read), meant) => assert_eq!(Some(read), meant),
        (None, Some(meant)) => assert!(
            meant.is_empty() || meant.starts_with('[') || 3 * meant.len() > 255,
            "{meant:?} was lost"
        ),
        (None, None) => {}
    }
}
