//! SPF records: what any zone makes of a check.

use crate::Input;
use judge::auth::spf::{Ask, Identity, Spf, SpfResult, check};
use judge::resolver::{Answer, BoxFuture, Kind, Name, Outcome, Question, Record, Resolver, Security, Trouble};
use mail::ReversePath;
use mail::auth_results::Encoding;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

/// The record, ten terms with ten hosts each, the client's names and what they lead to, and an explanation.
const QUESTIONS_MAX: usize = 1 + 10 * 11 + 1 + 10 + 1;
/// RFC 1035 §2.3.4, as text.
const NAME_OCTETS_MAX: usize = 253;

/// Answers with the lines of a text: with the first of them about the sender, with any about others.
struct Zone<'a> {
    lines: Vec<&'a [u8]>,
    asked: AtomicUsize,
}

/// A check ends, asks no more than it may, says the same twice, and what is said of it is one bounded line. The octets
/// tell of the client, then of HELO and of the zone, one text a line.
pub fn spf_record(octets: &[u8]) {
    let mut input = Input(octets);
    let bits = input.number();
    let client = match bits & 1 {
        0 => IpAddr::V4(Ipv4Addr::new(192, 0, 2, input.number() as u8)),
        _ => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, input.number() as u16)),
    };
    let mut lines: Vec<&[u8]> = input.rest().split(|&octet| octet == b'\n').collect();
    let helo = String::from_utf8_lossy(lines.remove(0));
    let path = ReversePath::parse(["bob@s.example", "", "\"a.b c-d\"@s.example", "b\u{f6}b@s.example"][bits >> 1 & 3]);
    let path = path.expect("a reverse-path");
    let identity = if bits & 8 == 0 {
        Identity::MailFrom(&path)
    } else {
        Identity::Helo
    };
    let ask = Ask {
        client,
        helo: &helo,
        identity,
        receiver: "site.example",
        now_s: 1_700_000_000,
    };
    let zone = Zone {
        lines,
        asked: AtomicUsize::new(0),
    };
    let spf = at_once(&ask, &zone);
    assert!(zone.asked.load(Ordering::Relaxed) <= QUESTIONS_MAX);
    assert_eq!(at_once(&ask, &zone), spf);
    check_result(&ask, &path, &spf);
    // A HELO name that is none can look like one when it is told, but nobody is asked about it.
    if spf.domain.as_str() == "s.example" && zone.asked.load(Ordering::Relaxed) > 0 {
        check_sender(&zone, &spf);
    }
}

/// Nothing in a zone of ours has to be waited for.
fn at_once(ask: &Ask<'_>, zone: &Zone<'_>) -> Spf {
    zone.asked.store(0, Ordering::Relaxed);
    let mut checked = pin!(check(ask, zone));
    match checked.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(spf) => spf,
        Poll::Pending => panic!("waits for an answer that is there"),
    }
}

fn check_result(ask: &Ask<'_>, path: &ReversePath, spf: &Spf) {
    let is_decided = matches!(spf.result, SpfResult::Pass | SpfResult::Fail | SpfResult::SoftFail);
    assert!(!is_decided || !spf.term.as_str().is_empty(), "no term decided");
    let is_wrong = matches!(
        spf.result,
        SpfResult::None | SpfResult::TempError | SpfResult::PermError
    );
    assert!(!is_wrong || spf.term.as_str().is_empty());
    assert!(!is_wrong || !spf.explanation.as_str().is_empty(), "nobody says why");
    assert!(spf.explanation.as_str().chars().count() <= mail::REASON_CHARS_MAX);
    assert!(spf.result == SpfResult::Fail || is_wrong || spf.explanation.as_str().is_empty());
    let field = spf.received(ask, path, Encoding::Ascii);
    assert!(field.bytes().all(|octet| octet.is_ascii_graphic() || octet == b' '));
    assert!(field.starts_with(spf.result.word()) && field.len() < 4000);
    assert!(
        field.split(' ').all(|word| word.len() < 998),
        "a word is longer than a line"
    );
    assert_eq!(quotes_and_comments(&field), (0, 0), "{field}");
    let sentence = spf.sentence(ask.identity);
    assert!(sentence.as_str().starts_with("SPF for ") && sentence.as_str().chars().count() <= 1000);
}

/// How many quoted strings and comments stay open, as a reader of RFC 5322 sees them.
fn quotes_and_comments(field: &str) -> (u32, u32) {
    let (mut quoted, mut depth, mut octets) = (0, 0, field.bytes());
    while let Some(octet) = octets.next() {
        match octet {
            b'\\' => assert!(octets.next().is_some()),
            b'"' if depth == 0 => quoted = 1 - quoted,
            b'(' if quoted == 0 => depth += 1,
            b')' if quoted == 0 => depth -= 1,
            _ => {}
        }
    }
    (quoted, depth)
}

/// What can be said of the sender's record without evaluating it.
fn check_sender(zone: &Zone<'_>, spf: &Spf) {
    let Some(record) = zone.lines.first() else { return };
    let rest = record
        .get(..6)
        .filter(|version| version.eq_ignore_ascii_case(b"v=spf1"))
        .map(|_| &record[6..]);
    match rest {
        Some(rest) if rest.is_empty() || rest.starts_with(b" ") => {
            assert_ne!(spf.result, SpfResult::None);
            assert!(record.is_ascii() || spf.result == SpfResult::PermError);
            if rest.iter().all(|&octet| octet == b' ') {
                assert_eq!(spf.result, SpfResult::Neutral);
            }
        }
        _ => assert_eq!(spf.result, SpfResult::None),
    }
}

impl Resolver for Zone<'_> {
    fn ask(&self, question: Question) -> BoxFuture<'_, Answer> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let name = question.name.as_str();
        assert!(name.len() <= NAME_OCTETS_MAX && !name.contains(|c: char| !c.is_ascii_graphic() && c != ' '));
        let sum = name
            .bytes()
            .fold(7, |sum: usize, octet| sum * 31 % 997 + usize::from(octet));
        let record = |n: usize| match question.kind {
            Kind::Txt => self.text(name, sum + n).map(|text| Record::Txt(text.into())),
            Kind::A => Some(Record::A(Ipv4Addr::new(192, 0, 2, (sum + n) as u8))),
            Kind::Aaaa => Some(Record::Aaaa(Ipv6Addr::new(
                0x2001,
                0xdb8,
                0,
                0,
                0,
                0,
                0,
                (sum + n) as u16,
            ))),
            Kind::Mx => Some(Record::Mx(0, Name::parse(["a.example", "b.s.example", ""][n % 3]).ok())),
            Kind::Ptr => Some(Record::Ptr(
                Name::parse(["s.example", "b.s.example"][n % 2]).expect("a name"),
            )),
        };
        // Of the sender there is one text; of others there may be more, or trouble.
        let count = if name == "s.example" {
            1
        } else {
            [1, 0, 1, 2, 1, 12, 1, 1][sum % 8]
        };
        let records: Vec<Record> = (0..count).filter_map(record).collect();
        let outcome = match (records.is_empty(), sum % 16) {
            (false, _) => Outcome::Records(records.into()),
            (true, 1) => Outcome::Unavailable(Trouble::Timeout),
            (true, _) => Outcome::NoName,
        };
        let security = if sum.is_multiple_of(2) {
            Security::Secure
        } else {
            Security::Insecure
        };
        Box::pin(std::future::ready(Answer { outcome, security }))
    }
}

impl Zone<'_> {
    fn text(&self, name: &str, sum: usize) -> Option<&[u8]> {
        let at = if name == "s.example" {
            0
        } else {
            sum % self.lines.len().max(1)
        };
        self.lines.get(at).copied()
    }
}
