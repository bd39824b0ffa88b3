//! What a relaying client writes (RFC 5321 §4.1) and how it reads the replies (§4.2), without sockets.
//!
//! Nothing here sends a line break that the other side could take for another one than we mean: paths are typed, and
//! a message leaves with CRLF at the end of each line.

use super::command::MailParams;
use super::line::{LineReader, RawLine};
use crate::address::{ForwardPath, ReversePath};
use crate::limits::{REPLY_LINE_OCTETS_MAX, REPLY_LINES_MAX};
use crate::reply::Reply;
use crate::text::Line;
use memchr::memchr2;
use std::fmt::Write;
use std::net::IpAddr;

/// RFC 5321 §4.5.3.1.5: a reply line has at most 512 octets; so much of it is kept.
const REPLY_TEXT_CHARS_MAX: usize = 512;

/// A value of XCLIENT that is longer in its encoded form is sent as unknown, so that a command with all of them stays
/// below the 2,048 octets that Postfix reads. (RFC 5321 §4.5.3.1.4 would have 512 for the whole; XCLIENT is no part of
/// it.)
const XCLIENT_VALUE_OCTETS_MAX: usize = 255;

/// Class, subject and detail of an enhanced status code (RFC 3463).
type Enhanced = (u8, u16, u16);

/// A whole reply of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The three digits, 200 to 599.
    pub code: u16,
    /// The enhanced status code (RFC 2034), if the first line that has one agrees with the code.
    pub enhanced: Option<Enhanced>,
    /// The text of each line, without the codes; one line at least.
    pub lines: Vec<Line>,
}

/// Reads replies, in pieces of any size.
#[derive(Debug, Default)]
pub struct ReplyParser {
    line: LineReader,
    begun: Option<Answer>,
}

/// Why octets are no reply. The connection is of no further use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplyError {
    /// A line that does not begin as a reply does.
    Syntax,
    /// The lines of one reply have different codes (RFC 5321 §4.2.1).
    CodeChanged,
    /// A line is longer than [`REPLY_LINE_OCTETS_MAX`].
    LineTooLong,
    /// More lines than [`REPLY_LINES_MAX`].
    TooManyLines,
}

/// What a server offers (RFC 5321 §4.1.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extensions {
    /// Commands may be sent without waiting (RFC 2920).
    pub pipelining: bool,
    /// MAIL may say the size.
    pub size: SizeOffer,
    /// Octets above 127 may stand in a message (RFC 6152).
    pub body8bit: bool,
    /// Addresses and header fields may be UTF-8 (RFC 6531).
    pub smtputf8: bool,
    /// The rest may be encrypted (RFC 3207).
    pub starttls: bool,
    /// We may say for whom we speak.
    pub xclient: XclientOffer,
}

/// The attributes that a server takes by XCLIENT (Postfix's XCLIENT_README); none if it does not offer it to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct XclientOffer {
    /// NAME: the client's reverse name.
    pub name: bool,
    /// ADDR: its address.
    pub addr: bool,
    /// HELO: what it called itself.
    pub helo: bool,
    /// PROTO: whether it said EHLO or HELO.
    pub proto: bool,
    /// LOGIN: as whom it authenticated.
    pub login: bool,
}

/// The client that a message came from, for XCLIENT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin<'a> {
    /// Its address, where that is known.
    pub addr: Option<IpAddr>,
    /// Its reverse name, where one was found.
    pub name: Option<&'a str>,
    /// What it called itself; empty is unknown.
    pub helo: &'a str,
    /// It said EHLO, not HELO.
    pub esmtp: bool,
    /// As whom it authenticated, where that is known.
    pub login: Option<&'a str>,
}

/// What a server says of sizes (RFC 1870 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SizeOffer {
    /// No SIZE.
    #[default]
    Absent,
    /// SIZE without a limit, or with 0.
    Unlimited,
    /// The largest message it takes, in octets.
    Max(u64),
}

/// The server offers no SMTPUTF8, and this mail cannot go without it (RFC 6531 §3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeedsSmtputf8;

impl ReplyParser {
    /// Consumes from `input` through the end of a reply; all of it, with `Ok(None)`, if the reply goes on.
    pub fn feed(&mut self, input: &mut &[u8]) -> Result<Option<Answer>, ReplyError> {
        while let Some(line) = self.line.take(input, REPLY_LINE_OCTETS_MAX) {
            let RawLine::Complete(line) = line else {
                return Err(ReplyError::LineTooLong);
            };
            if self.add(&line)? {
                return Ok(self.begun.take());
            }
        }
        Ok(None)
    }

    /// Adds a line; whether it was the last one.
    fn add(&mut self, line: &[u8]) -> Result<bool, ReplyError> {
        let (code, last, text) = split_reply_line(line).ok_or(ReplyError::Syntax)?;
        let answer = self.begun.get_or_insert(Answer {
            code,
            enhanced: None,
            lines: Vec::new(),
        });
        if answer.code != code {
            return Err(ReplyError::CodeChanged);
        }
        if answer.lines.len() >= REPLY_LINES_MAX {
            return Err(ReplyError::TooManyLines);
        }
        let (enhanced, text) = match split_enhanced(code, text) {
            Some((enhanced, text)) => (Some(enhanced), text),
            None => (None, text),
        };
        answer.enhanced = answer.enhanced.or(enhanced);
        answer.lines.push(Line::clean(text, REPLY_TEXT_CHARS_MAX));
        Ok(last)
    }
}

/// RFC 5321 §4.2: three digits; then `-` before all lines but the last; then text.
fn split_reply_line(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (digits, rest) = line.split_at_checked(3)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code: u16 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    if !(200..600).contains(&code) {
        return None;
    }
    match rest.split_first() {
        None => Some((code, true, rest)),
        Some((b' ', text)) => Some((code, true, text)),
        Some((b'-', text)) => Some((code, false, text)),
        Some(_) => None,
    }
}

/// RFC 2034 §3: `class.subject.detail` and a blank, of the same class as the code.
fn split_enhanced(code: u16, text: &[u8]) -> Option<(Enhanced, &[u8])> {
    let end = text.iter().position(|&b| b == b' ').unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end)?;
    let mut parts = std::str::from_utf8(word).ok()?.split('.');
    let mut number = |digits_max: usize| {
        let part = parts.next()?;
        let plain = part.len() <= digits_max && part.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| part.parse::<u16>().ok()).flatten()
    };
    let (class, subject, detail) = (number(1)?, number(3)?, number(3)?);
    if parts.next().is_some() || class != code / 100 || class == 3 {
        return None;
    }
    Some(((u8::try_from(class).ok()?, subject, detail), rest))
}

impl Answer {
    /// The reply to hand on to our own client.
    pub fn into_reply(self) -> Reply {
        Reply::passed_on(self.code, self.enhanced, self.lines)
    }
}

impl Extensions {
    /// Reads the answer to EHLO. Keywords that are not known are passed over.
    pub fn parse(answer: &Answer) -> Extensions {
        let mut offered = Extensions::default();
        for line in answer.lines.iter().skip(1) {
            let mut words = line.as_str().split(' ');
            let keyword = words.next().unwrap_or_default().to_ascii_uppercase();
            match keyword.as_str() {
                "PIPELINING" => offered.pipelining = true,
                "8BITMIME" => offered.body8bit = true,
                "SMTPUTF8" => offered.smtputf8 = true,
                "STARTTLS" => offered.starttls = true,
                "XCLIENT" => offered.xclient = XclientOffer::parse(words),
                "SIZE" => {
                    offered.size = match words.next().and_then(|n| n.parse().ok()) {
                        None | Some(0) => SizeOffer::Unlimited,
                        Some(n) => SizeOffer::Max(n),
                    };
                }
                _ => {}
            }
        }
        offered
    }
}

impl XclientOffer {
    fn parse<'a>(words: impl Iterator<Item = &'a str>) -> XclientOffer {
        let mut offer = XclientOffer::default();
        for word in words {
            match word.to_ascii_uppercase().as_str() {
                "NAME" => offer.name = true,
                "ADDR" => offer.addr = true,
                "HELO" => offer.helo = true,
                "PROTO" => offer.proto = true,
                "LOGIN" => offer.login = true,
                _ => {}
            }
        }
        offer
    }

    /// Whether the server takes any of it.
    pub fn is_any(self) -> bool {
        self != XclientOffer::default()
    }
}

/// Appends XCLIENT with those attributes that the server takes, and its CRLF; nothing if it takes none.
///
/// What is not known is sent as such (`[UNAVAILABLE]`): left out, it would keep the value of the client before.
pub fn write_xclient(origin: &Origin<'_>, offered: XclientOffer, out: &mut Vec<u8>) {
    let addr = origin.addr.map(|ip| match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("IPV6:{ip}"),
    });
    let values = [
        (offered.name, "NAME", origin.name),
        (offered.addr, "ADDR", addr.as_deref()),
        (offered.helo, "HELO", Some(origin.helo).filter(|name| !name.is_empty())),
        (
            offered.proto,
            "PROTO",
            Some(if origin.esmtp { "ESMTP" } else { "SMTP" }),
        ),
        (offered.login, "LOGIN", origin.login),
    ];
    if !offered.is_any() {
        return;
    }
    out.extend_from_slice(b"XCLIENT");
    for (_, name, value) in values.into_iter().filter(|(wanted, ..)| *wanted) {
        let value = value.map(xtext).filter(|value| value.len() <= XCLIENT_VALUE_OCTETS_MAX);
        let value = value.as_deref().unwrap_or("[UNAVAILABLE]");
        out.extend_from_slice(format!(" {name}={value}").as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

/// RFC 3461 §4: visible ASCII but `+` and `=` stands for itself, any other octet is `+` with two hexadecimal digits.
fn xtext(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'!'..=b'~' if octet != b'+' && octet != b'=' => out.push(char::from(octet)),
            // Writing into a text cannot fail.
            _ => drop(write!(out, "+{octet:02X}")),
        }
    }
    out
}

/// Appends `MAIL FROM:<path>` with those parameters that the server offers and its CRLF.
///
/// Without 8BITMIME on offer the message goes as it is: nobody is known to break on it, and changing the body would
/// break its signatures (departs from RFC 6152 §3).
pub fn write_mail(
    path: &ReversePath,
    params: MailParams,
    offered: Extensions,
    out: &mut Vec<u8>,
) -> Result<(), NeedsSmtputf8> {
    let path = path.to_string();
    let utf8 = params.smtputf8 || !path.is_ascii();
    if utf8 && !offered.smtputf8 {
        return Err(NeedsSmtputf8);
    }
    write_path("MAIL FROM:", &path, out);
    if let (Some(size), true) = (params.size, offered.size != SizeOffer::Absent) {
        out.extend_from_slice(format!(" SIZE={size}").as_bytes());
    }
    if params.body8bit && offered.body8bit {
        out.extend_from_slice(b" BODY=8BITMIME");
    }
    if utf8 {
        out.extend_from_slice(b" SMTPUTF8");
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Appends `RCPT TO:<path>` and its CRLF.
pub fn write_rcpt(path: &ForwardPath, offered: Extensions, out: &mut Vec<u8>) -> Result<(), NeedsSmtputf8> {
    let path = path.to_string();
    if !path.is_ascii() && !offered.smtputf8 {
        return Err(NeedsSmtputf8);
    }
    write_path("RCPT TO:", &path, out);
    out.extend_from_slice(b"\r\n");
    Ok(())
}

fn write_path(command: &str, path: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(command.as_bytes());
    out.push(b'<');
    out.extend_from_slice(path.as_bytes());
    out.push(b'>');
}

/// Appends `message` as it goes behind DATA (RFC 5321 §4.5.2), the final `.` and CRLF included.
///
/// A bare CR or LF becomes CRLF (§2.3.8 forbids sending it), and a last line without end gets one.
pub fn write_dot_stuffed(message: &[u8], out: &mut Vec<u8>) {
    // Few lines of real mail begin with a dot, so this is one allocation for nearly all.
    out.reserve(message.len() + message.len() / 64 + 8);
    let mut stuffer = DotStuffer::default();
    stuffer.feed(message, out);
    stuffer.end(out);
}

/// [`write_dot_stuffed`] in pieces of any size, for messages too large to be copied whole. A line end that is torn
/// between two pieces counts once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DotStuffer {
    at: Place,
}

/// Where in a line the next octet stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    #[default]
    LineStart,
    /// At the start of a line whose predecessor ended in CR; an LF still belongs to that.
    AfterCr,
    Within,
}

impl DotStuffer {
    /// Appends the next piece of the message.
    pub fn feed(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let mut rest = piece;
        if let (Place::AfterCr, [b'\n', next @ ..]) = (self.at, rest) {
            self.at = Place::LineStart;
            rest = next;
        }
        while let Some(first) = rest.first() {
            if self.at != Place::Within && *first == b'.' {
                out.push(b'.');
            }
            let at = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
            let (line, end) = rest.split_at_checked(at).unwrap_or((rest, &[]));
            out.extend_from_slice(line);
            (self.at, rest) = match end {
                [] => (Place::Within, &[][..]),
                [b'\r'] => (Place::AfterCr, &[][..]),
                [b'\r', b'\n', next @ ..] | [_, next @ ..] => (Place::LineStart, next),
            };
            if self.at != Place::Within {
                out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Appends the end of the message: the end of its last line if it has none, then `.` and CRLF.
    pub fn end(self, out: &mut Vec<u8>) {
        if self.at == Place::Within {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::super::data::{BareLf, Decoder, Progress};
    use super::*;
    use proptest::prelude::*;

    fn answers(octets: &[u8], piece: usize) -> Result<Vec<Answer>, ReplyError> {
        let (mut parser, mut found) = (ReplyParser::default(), Vec::new());
        for mut piece in octets.chunks(piece) {
            while !piece.is_empty() {
                found.extend(parser.feed(&mut piece)?);
            }
        }
        Ok(found)
    }

    fn answer(octets: &str) -> Answer {
        let mut found = answers(octets.as_bytes(), 1000).unwrap();
        assert_eq!(found.len(), 1, "{octets:?}");
        found.remove(0)
    }

    #[test]
    fn replies_are_read_in_pieces_of_any_size() {
        let octets = b"220 mx.example ESMTP\r\n250-2.1.0 one\r\n250-\r\n250 2.1.0 two\r\n354\r\n";
        for piece in 1..octets.len() {
            let found = answers(octets, piece).unwrap();
            assert_eq!(found.len(), 3);
            assert_eq!((found[0].code, found[0].enhanced), (220, None));
            assert_eq!(found[1].enhanced, Some((2, 1, 0)));
            let texts: Vec<_> = found[1].lines.iter().map(Line::as_str).collect();
            assert_eq!(texts, ["one", "", "two"]);
            assert_eq!((found[2].code, found[2].lines.len()), (354, 1));
        }
    }

    #[test]
    fn an_enhanced_code_agrees_with_the_code_or_is_text() {
        for (octets, enhanced, text) in [
            ("550 5.1.1 no\r\n", Some((5, 1, 1)), "no"),
            ("550 5.1.1\r\n", Some((5, 1, 1)), ""),
            ("550 4.1.1 no\r\n", None, "4.1.1 no"),
            ("550 5.1 no\r\n", None, "5.1 no"),
            ("550 5.1.1.1 no\r\n", None, "5.1.1.1 no"),
            ("550 5.+1.1 no\r\n", None, "5.+1.1 no"),
            ("550 5..1 no\r\n", None, "5..1 no"),
            ("550 5.1.1234 no\r\n", None, "5.1.1234 no"),
            ("354 3.0.0 go\r\n", None, "3.0.0 go"),
        ] {
            let answer = answer(octets);
            assert_eq!((answer.enhanced, answer.lines[0].as_str()), (enhanced, text));
        }
        assert_eq!(
            answer("550-5.1.1 no\r\n550 5.1.1 box\r\n").into_reply().to_string(),
            "550-5.1.1 no\r\n550 5.1.1 box"
        );
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        for (octets, error) in [
            ("hello\r\n", ReplyError::Syntax),
            ("\r\n", ReplyError::Syntax),
            ("25\r\n", ReplyError::Syntax),
            ("2500 x\r\n", ReplyError::Syntax),
            ("+50 x\r\n", ReplyError::Syntax),
            ("199 x\r\n", ReplyError::Syntax),
            ("600 x\r\n", ReplyError::Syntax),
            ("250-a\r\n251 b\r\n", ReplyError::CodeChanged),
        ] {
            assert_eq!(answers(octets.as_bytes(), 1), Err(error), "{octets:?}");
        }
        let long = format!("250 {}\r\n", "x".repeat(REPLY_LINE_OCTETS_MAX));
        assert_eq!(answers(long.as_bytes(), 99), Err(ReplyError::LineTooLong));
        let many = "250-x\r\n".repeat(REPLY_LINES_MAX + 1);
        assert_eq!(answers(many.as_bytes(), 99), Err(ReplyError::TooManyLines));
    }

    #[test]
    fn extensions_are_what_ehlo_lists() {
        let offered = |t| Extensions::parse(&answer(t));
        assert_eq!(
            offered("250-mx\r\n250-size 1000\r\n250-8BitMime\r\n250-X-NEW a b\r\n250-SMTPUTF8\r\n250 PIPELINING\r\n"),
            Extensions {
                pipelining: true,
                size: SizeOffer::Max(1000),
                body8bit: true,
                smtputf8: true,
                ..Extensions::default()
            }
        );
        let offer = offered("250-mx\r\n250-starttls\r\n250 XCLIENT name ADDR PORT\r\n");
        assert!(offer.starttls);
        let only = XclientOffer {
            name: true,
            addr: true,
            ..XclientOffer::default()
        };
        assert_eq!(offer.xclient, only);
        assert!(!offered("250-mx\r\n250 XCLIENT\r\n").xclient.is_any());
        assert_eq!(offered("250 PIPELINING\r\n"), Extensions::default());
        assert_eq!(offered("250-x\r\n250 SIZE\r\n").size, SizeOffer::Unlimited);
        assert_eq!(offered("250-x\r\n250 SIZE 0\r\n").size, SizeOffer::Unlimited);
    }

    fn all() -> Extensions {
        Extensions {
            pipelining: true,
            size: SizeOffer::Unlimited,
            body8bit: true,
            smtputf8: true,
            starttls: true,
            xclient: XclientOffer {
                name: true,
                addr: true,
                helo: true,
                proto: true,
                login: true,
            },
        }
    }

    fn xclient(origin: Origin<'_>, offered: XclientOffer) -> String {
        let mut out = Vec::new();
        write_xclient(&origin, offered, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn xclient_says_what_is_known_and_names_what_is_not() {
        let origin = Origin {
            addr: Some("192.0.2.9".parse().unwrap()),
            name: None,
            helo: "a+b =\u{e4}",
            esmtp: true,
            login: None,
        };
        assert_eq!(
            xclient(origin, all().xclient),
            "XCLIENT NAME=[UNAVAILABLE] ADDR=192.0.2.9 HELO=a+2Bb+20+3D+C3+A4 PROTO=ESMTP LOGIN=[UNAVAILABLE]\r\n"
        );
        let six = Origin {
            addr: Some("2001:db8::1".parse().unwrap()),
            name: Some("mx.example"),
            helo: "",
            esmtp: false,
            login: Some("ann@site.example"),
        };
        assert_eq!(
            xclient(six, all().xclient),
            "XCLIENT NAME=mx.example ADDR=IPV6:2001:db8::1 HELO=[UNAVAILABLE] PROTO=SMTP LOGIN=ann@site.example\r\n"
        );
        let mapped = Origin {
            addr: Some("::ffff:192.0.2.9".parse().unwrap()),
            ..six
        };
        let only = XclientOffer {
            addr: true,
            ..XclientOffer::default()
        };
        assert_eq!(xclient(mapped, only), "XCLIENT ADDR=192.0.2.9\r\n");
        assert_eq!(xclient(six, XclientOffer::default()), "");
    }

    #[test]
    fn commands_carry_what_the_server_offers_and_no_more() {
        let mail = |path, params, offered| {
            let mut out = Vec::new();
            let path = ReversePath::parse(path).unwrap();
            write_mail(&path, params, offered, &mut out).map(|()| String::from_utf8(out).unwrap())
        };
        let params = MailParams {
            size: Some(7),
            body8bit: true,
            smtputf8: false,
        };
        assert_eq!(
            mail("a@b.example", params, all()).unwrap(),
            "MAIL FROM:<a@b.example> SIZE=7 BODY=8BITMIME\r\n"
        );
        let none = Extensions::default();
        assert_eq!(mail("", params, none).unwrap(), "MAIL FROM:<>\r\n");
        assert_eq!(mail("ä@b.example", params, none), Err(NeedsSmtputf8));
        assert_eq!(
            mail("ä@b.example", MailParams::default(), all()).unwrap(),
            "MAIL FROM:<ä@b.example> SMTPUTF8\r\n"
        );
        let mut out = Vec::new();
        write_rcpt(&ForwardPath::Postmaster, none, &mut out).unwrap();
        assert_eq!(out, b"RCPT TO:<postmaster>\r\n");
        let path = ForwardPath::parse("ä@b.example").unwrap();
        assert_eq!(write_rcpt(&path, none, &mut out), Err(NeedsSmtputf8));
    }

    #[test]
    fn line_breaks_leave_as_crlf_and_dots_are_doubled() {
        for (message, expected) in [
            ("", ".\r\n"),
            (".", "..\r\n.\r\n"),
            ("a", "a\r\n.\r\n"),
            ("a\n.\nb\r.\r\r\n", "a\r\n..\r\nb\r\n..\r\n\r\n.\r\n"),
        ] {
            let mut out = Vec::new();
            write_dot_stuffed(message.as_bytes(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    /// With the NULs that were there.
    fn decoded(octets: &[u8]) -> Vec<u8> {
        let (mut out, mut decoder) = (Vec::new(), Decoder::new(u64::MAX, usize::MAX, BareLf::Refuse));
        let end = decoder.feed(octets, &mut out);
        assert_eq!(end, (octets.len(), Progress::End(Ok(()))));
        decoder.take_nuls().restore(0, &mut out);
        out
    }

    proptest! {
        #[test]
        fn any_split_of_a_message_is_stuffed_as_the_whole(message in proptest::collection::vec(
            prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), Just(b'a')], 0..60),
            cuts in proptest::collection::vec(0usize..60, 0..8)) {
            let mut whole = Vec::new();
            write_dot_stuffed(&message, &mut whole);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(message.len())).collect();
            cuts.extend([0, message.len()]);
            cuts.sort_unstable();
            let (mut stuffer, mut pieces) = (DotStuffer::default(), Vec::new());
            for pair in cuts.windows(2) {
                stuffer.feed(&message[pair[0]..pair[1]], &mut pieces);
            }
            stuffer.end(&mut pieces);
            prop_assert_eq!(pieces, whole);
        }

        #[test]
        fn xclient_is_one_line_of_bounded_length(name in ".{0,300}", helo in ".{0,300}", login in ".{0,300}") {
            let origin = Origin {
                addr: Some("2001:db8::1".parse().unwrap()),
                name: Some(&name),
                helo: &helo,
                esmtp: true,
                login: Some(&login),
            };
            let line = xclient(origin, all().xclient);
            prop_assert!(line.len() < 1000 && line.ends_with("\r\n"));
            prop_assert!(line.trim_end().bytes().all(|b| (b' '..=b'~').contains(&b)));
            prop_assert_eq!(line.split(' ').count(), 6);
        }

        #[test]
        fn what_is_stuffed_decodes_to_itself(lines in proptest::collection::vec("[.a\\x00-\\x09\u{e9}]{0,6}", 0..20)) {
            let message: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let mut out = Vec::new();
            write_dot_stuffed(message.as_bytes(), &mut out);
            prop_assert_eq!(decoded(&out), message.as_bytes());
        }

        #[test]
        fn any_octets_leave_as_one_message(message in proptest::collection::vec(
            prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), any::<u8>()], 0..100)) {
            let mut out = Vec::new();
            write_dot_stuffed(&message, &mut out);
            let once = decoded(&out);
            let text = |octets: &[u8]| octets.iter().copied().filter(|b| !b"\r\n".contains(b)).collect::<Vec<u8>>();
            prop_assert_eq!(text(&once), text(&message));
        }

        #[test]
        fn any_octets_are_replies_or_an_error(octets in proptest::collection::vec(
            prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'-'), Just(b' '), Just(b'2'), Just(b'5'), any::<u8>()], 0..300),
            piece in 1usize..50) {
            prop_assert_eq!(answers(&octets, piece), answers(&octets, 1000));
        }

        #[test]
        fn our_own_replies_read_back(code in 200u16..600, text in "[ -~]{0,80}") {
            let reply = Reply::new(code, ((code / 100) as u8, 1, 2), Line::clean(text.as_bytes(), 100));
            let mut out = Vec::new();
            reply.write(&mut out, false);
            let back = answers(&out, 7).unwrap().remove(0).into_reply();
            prop_assert_eq!(back.to_string(), reply.to_string());
        }
    }
}
