//! Lists as a fixture of records, and the lines of `zones` files.

use super::*;
use crate::resolver::{Answer, BoxFuture, Kind, Outcome, Question, Record, Resolver, Security, Trouble, reversed};
use mail::Domain;
use pollster::block_on;
use proptest::prelude::*;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;

/// `NAME A ADDRESS`, `NAME TXT TEXT` or `NAME FAIL`, and what was asked of it.
#[derive(Default)]
struct Records {
    records: HashMap<(String, Kind), Vec<Record>>,
    failing: Vec<String>,
    asked: Mutex<Vec<String>>,
}

impl Records {
    fn parse(text: &str) -> Records {
        let mut all = Records::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut words = line.splitn(3, ' ');
            let (name, kind) = (words.next().unwrap().to_owned(), words.next().unwrap());
            let rest = words.next().unwrap_or_default();
            let (kind, record) = match kind {
                "A" => (Kind::A, Record::A(rest.parse().unwrap())),
                "TXT" => (Kind::Txt, Record::Txt(rest.as_bytes().into())),
                "FAIL" => {
                    all.failing.push(name);
                    continue;
                }
                other => panic!("{other}"),
            };
            all.records.entry((name, kind)).or_default().push(record);
        }
        all
    }

    fn questions(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
        asked.sort();
        asked
    }
}

impl Resolver for Records {
    fn ask(&self, question: Question) -> BoxFuture<'_, Answer> {
        let Question { name, kind } = question;
        self.asked.lock().unwrap().push(format!("{name} {kind}"));
        let under = |parent: &String| name.as_str() == parent || name.as_str().ends_with(&format!(".{parent}"));
        // `*.z.example` speaks for all below it.
        let of_any = || {
            let at = name.as_str().match_indices('.').rev().nth(1)?.0;
            self.records.get(&(format!("*{}", &name.as_str()[at..]), kind))
        };
        let outcome = if self.failing.iter().any(under) {
            Outcome::Unavailable(Trouble::Timeout)
        } else {
            let own = self.records.get(&(name.to_string(), kind));
            match own.or_else(of_any) {
                Some(records) => Outcome::Records(records.as_slice().into()),
                None => Outcome::NoName,
            }
        };
        let security = Security::Unknown;
        Box::pin(std::future::ready(Answer { outcome, security }))
    }
}

const RECORDS: &str = "
    1.2.0.192.bl.example A 127.0.0.4
    1.2.0.192.bl.example A 127.0.0.2
    1.2.0.192.bl.example A 127.0.0.2
    1.2.0.192.bl.example TXT https://bl.example/192.0.2.1
    1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.example A 127.0.0.3
    1.2.0.192.odd.example A 127.0.0.1
    1.2.0.192.sold.example A 198.51.100.7
    1.2.0.192.refusing.example A 127.255.255.254
    1.2.0.192.refusing.example TXT Error: open resolver
    1.2.0.192.silent.example A 127.255.255.255
    1.2.0.192.both.example A 127.255.255.254
    1.2.0.192.both.example A 127.0.0.9
    down.example FAIL
    spam.example.rhs.example A 127.0.1.2
    spam.example.rhs.example TXT b
    spam.example.rhs.example TXT a
    worse.example.rhs.example A 127.0.1.3
    late.example.rhs.example FAIL
";

fn zone(line: &str) -> Zone {
    let (mut zones, bad) = parse_zones(line);
    assert!(zones.len() == 1 && bad.is_empty(), "{line}: {bad:?}");
    zones.remove(0)
}

/// What a finding says, in short.
fn said(finding: &ZoneFinding) -> String {
    match finding {
        ZoneFinding::Listed { subject, codes, text } => format!("{subject} {codes:?} {text}").trim().into(),
        ZoneFinding::NotListed => "no".into(),
        ZoneFinding::Unavailable(why) => format!("unavailable: {why}"),
        ZoneFinding::Off(why) => format!("off: {why}"),
    }
}

/// A line of `zones`, whom it is asked about (a client, or domains), and what is found.
const LOOK_UPS: &[(&str, &str, &str)] = &[
    (
        "bl.example",
        "192.0.2.1",
        "192.0.2.1 [127.0.0.2, 127.0.0.4] https://bl.example/192.0.2.1",
    ),
    (
        "bl.example",
        "::ffff:192.0.2.1",
        "192.0.2.1 [127.0.0.2, 127.0.0.4] https://bl.example/192.0.2.1",
    ),
    ("bl.example", "192.0.2.2", "no"),
    ("bl.example", "2001:db8::1", "2001:db8::1 [127.0.0.3]"),
    (
        "bl.example 127.0.0.4",
        "192.0.2.1",
        "192.0.2.1 [127.0.0.4] https://bl.example/192.0.2.1",
    ),
    (
        "bl.example 127.0.0.4-7",
        "192.0.2.1",
        "192.0.2.1 [127.0.0.4] https://bl.example/192.0.2.1",
    ),
    (
        "bl.example 127.0.0.0/30",
        "192.0.2.1",
        "192.0.2.1 [127.0.0.2] https://bl.example/192.0.2.1",
    ),
    ("bl.example 127.0.0.8/29", "192.0.2.1", "no"),
    ("odd.example", "192.0.2.1", "no"),
    ("odd.example 127.0.0.1", "192.0.2.1", "192.0.2.1 [127.0.0.1]"),
    ("sold.example", "192.0.2.1", "no"),
    (
        "refusing.example",
        "192.0.2.1",
        "unavailable: the zone refuses our queries (127.255.255.254: Error: open resolver)",
    ),
    (
        "refusing.example 127.0.0.0/8",
        "192.0.2.1",
        "unavailable: the zone refuses our queries (127.255.255.254: Error: open resolver)",
    ),
    (
        "silent.example",
        "192.0.2.1",
        "unavailable: the zone refuses our queries (127.255.255.255)",
    ),
    ("both.example", "192.0.2.1", "192.0.2.1 [127.0.0.9]"),
    (
        "down.example",
        "192.0.2.1",
        "unavailable: no name server answered in time",
    ),
    (
        "rhs.example domain",
        "good.example spam.example",
        "spam.example [127.0.1.2] a; b",
    ),
    (
        "rhs.example domain",
        "worse.example spam.example",
        "worse.example [127.0.1.3]",
    ),
    (
        "rhs.example domain",
        "late.example spam.example",
        "spam.example [127.0.1.2] a; b",
    ),
    (
        "rhs.example domain",
        "good.example late.example",
        "unavailable: no name server answered in time",
    ),
    ("rhs.example domain", "good.example", "no"),
    ("rhs.example domain", "", "no"),
];

#[test]
fn each_zone_says_what_its_records_say() {
    let records = Records::parse(RECORDS);
    for (line, subject, expected) in LOOK_UPS {
        let client = subject.parse().unwrap_or(IpAddr::from([192, 0, 2, 9]));
        let domains: Vec<Domain> = match subject.parse::<IpAddr>() {
            Ok(_) => Vec::new(),
            Err(_) => subject
                .split_whitespace()
                .map(|word| Domain::parse(word).unwrap())
                .collect(),
        };
        let finding = block_on(look_up(&zone(line), client, &domains, &records));
        assert_eq!(said(&finding), *expected, "{line} {subject}");
    }
}

#[test]
fn only_what_a_list_of_domains_can_know_is_asked_and_only_so_much() {
    let records = Records::parse("");
    let names = "example 192.0.2.1 a.example A.example. b.example c.example d.example e.example f.example";
    let domains: Vec<Domain> = names.split(' ').map(|name| Domain::parse(name).unwrap()).collect();
    let finding = block_on(look_up(
        &zone("rhs.example domain"),
        IpAddr::from([192, 0, 2, 1]),
        &domains,
        &records,
    ));
    assert_eq!(finding, ZoneFinding::NotListed);
    let expected = ["a", "b", "c", "d", "e"].map(|label| format!("{label}.example.rhs.example A"));
    assert_eq!(records.questions(), expected);
    // A name that has no room for the zone cannot be in it.
    let long = Domain::parse(&format!("{}example", "a23456789.".repeat(24))).unwrap();
    let finding = block_on(look_up(
        &zone("rhs.example domain"),
        IpAddr::from([192, 0, 2, 1]),
        &[long],
        &records,
    ));
    assert_eq!((finding, records.questions().len()), (ZoneFinding::NotListed, 0));
}

#[test]
fn zones_are_asked_in_the_words_of_the_file_and_a_text_is_asked_for_listings_only() {
    let records = Records::parse(RECORDS);
    let (zones, _) = parse_zones("sold.example\nbl.example score\ndown.example\nrhs.example domain allow\n");
    // Whoever judges on several threads must be able to hold it.
    fn sent<T: Send>(future: T) -> T {
        future
    }
    let client = IpAddr::from([192, 0, 2, 1]);
    let said: Vec<_> = zones
        .iter()
        .map(|zone| {
            let finding = block_on(sent(look_up(zone, client, &[], &records)));
            format!("{} {}", zone.name, said(&finding))
        })
        .collect();
    assert_eq!(
        said,
        [
            "sold.example no",
            "bl.example 192.0.2.1 [127.0.0.2, 127.0.0.4] https://bl.example/192.0.2.1",
            "down.example unavailable: no name server answered in time",
            "rhs.example no",
        ]
    );
    assert_eq!(
        records.questions(),
        [
            "1.2.0.192.bl.example A",
            "1.2.0.192.bl.example TXT",
            "1.2.0.192.down.example A",
            "1.2.0.192.sold.example A",
        ]
    );
}

#[test]
fn a_thousand_answers_and_a_long_text_are_cut() {
    let mut text = String::new();
    for n in 2..=255 {
        text += &format!("1.2.0.192.bl.example A 127.0.0.{n}\n");
        text += &format!("1.2.0.192.bl.example TXT {n} {}\r\x07\n", "x".repeat(300));
    }
    let finding = block_on(look_up(
        &zone("bl.example"),
        IpAddr::from([192, 0, 2, 1]),
        &[],
        &Records::parse(&text),
    ));
    let ZoneFinding::Listed { codes, text, .. } = finding else {
        panic!("{finding:?}");
    };
    assert_eq!((codes.len(), codes[0]), (16, Ipv4Addr::new(127, 0, 0, 2)));
    assert!(text.as_str().starts_with("10 xxx") && text.as_str().chars().count() <= 200);
}

/// The line of a zone, its records, and the health that they show.
const PROBES: &[(&str, &str, &str)] = &[
    ("z.example", "2.0.0.127.z.example A 127.0.0.2", "healthy"),
    // The operator's answers need not be those of the test entry.
    ("z.example 127.0.0.10", "2.0.0.127.z.example A 127.0.0.2", "healthy"),
    (
        "z.example",
        "2.0.0.127.z.example A 127.0.0.4\n2.0.0.127.z.example A 127.0.0.10",
        "healthy",
    ),
    (
        "z.example",
        "",
        "it does not list its test entry 127.0.0.2, as every list must (RFC 5782 §5)",
    ),
    (
        "z.example",
        "*.z.example A 127.0.0.2",
        "it answers 127.0.0.2 for 127.0.0.1, which no list may list (RFC 5782 §5)",
    ),
    (
        "z.example",
        "*.z.example A 198.51.100.7",
        "it answers 198.51.100.7 for 127.0.0.1, which no list may list (RFC 5782 §5)",
    ),
    (
        "z.example",
        "2.0.0.127.z.example A 127.0.0.1",
        "it answers 127.0.0.1 for its test entry 127.0.0.2, which is no listing",
    ),
    (
        "z.example",
        "*.z.example A 127.255.255.254\n*.z.example TXT ask us elsewhere",
        "the zone refuses our queries (127.255.255.254: ask us elsewhere)",
    ),
    (
        "z.example",
        "z.example FAIL",
        "unknown: no name server answered in time",
    ),
    (
        "z.example",
        "2.0.0.127.z.example A 127.0.0.2\n1.0.0.127.z.example FAIL",
        "unknown: no name server answered in time",
    ),
    (
        "z.example",
        "2.0.0.127.z.example FAIL\n1.0.0.127.z.example A 127.0.0.2",
        "it answers 127.0.0.2 for 127.0.0.1, which no list may list (RFC 5782 §5)",
    ),
    (
        "z.example",
        "2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.z.example A 127.0.0.2",
        "healthy",
    ),
    (
        "z.example",
        "2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.z.example A 127.0.0.2
         1.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.z.example A 127.0.0.2",
        "it answers 127.0.0.2 for ::FFFF:7F00:1, which no list may list (RFC 5782 §5)",
    ),
    ("z.example domain", "test.z.example A 127.0.1.2", "healthy"),
    ("z.example domain", "2.0.0.127.z.example A 127.0.0.2", "healthy"),
    (
        "z.example domain",
        "*.z.example A 127.0.1.2",
        "it answers 127.0.1.2 for INVALID, which no list may list (RFC 5782 §5)",
    ),
];

#[test]
fn a_zone_is_known_by_what_it_must_list_and_must_not() {
    for (line, records, expected) in PROBES {
        let said = match block_on(probe(&zone(line), &Records::parse(records))) {
            Health::Healthy => "healthy".to_owned(),
            Health::Unhealthy(why) => why.to_string(),
            Health::Unknown(why) => format!("unknown: {why}"),
        };
        assert_eq!(said, *expected, "{line}\n{records}");
    }
}

#[test]
fn the_test_entries_for_ipv6_are_those_of_rfc5782_5() {
    // ::FFFF:7F00:2 differs from ::FFFE:7F00:2 in one nibble, and only the latter is not taken for an IPv4 address.
    let near = reversed("::fffe:7f00:2".parse().unwrap()).replacen('e', "f", 1);
    let records = Records::parse(&format!("{near}.z.example A 127.0.0.2"));
    assert_eq!(block_on(probe(&zone("z.example"), &records)), Health::Healthy);
}

/// A line, and the line that says the same in the form that is shown.
const LINES: &[(&str, &str)] = &[
    ("zen.example", "zen.example"),
    ("  Zen.EXAMPLE.\r", "zen.example"),
    ("\u{feff}zen.example", "zen.example"),
    ("zen.example\t# all of it", "zen.example"),
    ("zen.example SCORE", "zen.example score"),
    ("zen.example domain allow", "zen.example allow domain"),
    ("zen.example score score", "zen.example score"),
    ("bücher.example", "xn--bcher-kva.example"),
    ("zen.example 127.0.0.2", "zen.example 127.0.0.2"),
    ("zen.example 127.0.0.10-11 score", "zen.example score 127.0.0.10/31"),
    (
        "zen.example 127.0.0.0/28 127.0.0.20-22",
        "zen.example 127.0.0.0/28 127.0.0.20-22",
    ),
    ("zen.example 127.0.0.0/8", "zen.example 127.0.0.0/8"),
    ("zen.example 127.0.0.5/32", "zen.example 127.0.0.5"),
];

#[test]
fn lines_are_read_as_operators_write_them() {
    for (line, expected) in LINES {
        assert_eq!(zone(line).to_string(), *expected, "{line}");
    }
    for nothing in ["", " \t\r\n", "#zen.example", "  # zen.example", "\u{feff}\n\n#"] {
        assert_eq!(parse_zones(nothing), (Vec::new(), Vec::new()), "{nothing:?}");
    }
    let (zones, bad) = parse_zones("a.example\r\n\r\nb.example score\r\n# c\r\nc.example");
    let lines: Vec<_> = zones.iter().map(Zone::to_string).collect();
    assert_eq!(lines, ["a.example", "b.example score", "c.example"]);
    assert_eq!(bad, []);
}

/// A line, what is said of it, and the word that may be misspelt.
const BAD_LINES: &[(&str, &str, Option<&str>)] = &[
    ("zen.example Scores", "unknown word: `Scores`", Some("scores")),
    (
        "zen.example =127.0.0.2",
        "unknown word: `=127.0.0.2`",
        Some("=127.0.0.2"),
    ),
    (
        "zen.example=127.0.0.2",
        "not the name of a zone: `zen.example=127.0.0.2`",
        None,
    ),
    (
        "score zen.example",
        "begins with `score`, where the zone's name should stand",
        None,
    ),
    ("zen", "not the whole name of a zone: `zen`", None),
    (
        "127.0.0.2 zen.example",
        "begins with an address, not with a zone: `127.0.0.2`",
        None,
    ),
    (
        "zen.example score allow",
        "both `score` and `allow`: a listing cannot mean both",
        None,
    ),
    (
        "zen.example 127.0.0.256",
        "not an answer, a network or a range of the last octet: `127.0.0.256`",
        None,
    ),
    (
        "zen.example 127.0.0.1/33",
        "not an answer, a network or a range of the last octet: `127.0.0.1/33`",
        None,
    ),
    (
        "zen.example 127.0.0.2-",
        "not an answer, a network or a range of the last octet: `127.0.0.2-`",
        None,
    ),
    (
        "zen.example 127.0.0.2/28",
        "`127.0.0.2/28` is no network: it begins at `127.0.0.0/28`",
        None,
    ),
    ("zen.example 127.0.0.7-4", "an empty range: `127.0.0.7-4`", None),
    (
        "zen.example 192.0.2.1",
        "no list answers outside of 127.0.0.0/8: `192.0.2.1`",
        None,
    ),
    (
        "zen.example 0.0.0.0/0",
        "no list answers outside of 127.0.0.0/8: `0.0.0.0/0`",
        None,
    ),
    (
        "zen.example 127.255.255.252-255",
        "not a listing, but how lists refuse to answer: `127.255.255.252-255`",
        None,
    ),
];

#[test]
fn a_bad_line_is_named_and_left_out() {
    for (line, message, word) in BAD_LINES {
        let (zones, bad) = parse_zones(&format!("a.example\n{line}\nb.example"));
        assert_eq!(zones.len(), 2, "{line}");
        let expected = BadLine {
            number: 2,
            message: Line::literal(message),
            word: word.map(Line::literal),
        };
        assert_eq!(bad, [expected], "{line}");
    }
}

#[test]
fn of_a_zone_that_stands_twice_the_first_line_counts() {
    let (zones, bad) = parse_zones("zen.example score\nZEN.example. allow\n");
    assert_eq!(zones, [zone("zen.example score")]);
    assert_eq!(
        bad[0].message.as_str(),
        "`zen.example` stands here twice: the first line counts"
    );
}

#[test]
fn a_file_of_many_lines_is_cut() {
    let text: String = (0..1000).map(|n| format!("z{n}.example\n!\n")).collect();
    let (zones, bad) = parse_zones(&text);
    assert_eq!((zones.len(), bad.len()), (ZONES_MAX, 64));
    let (_, bad) = parse_zones(&format!("zen.example{}", " 127.0.0.2".repeat(33)));
    assert_eq!(bad[0].message.as_str(), "more than 32 answers");
    let (zones, bad) = parse_zones(&"a23456789.".repeat(19));
    assert_eq!((zones.len(), bad.len()), (1, 0));
    let (zones, bad) = parse_zones(&"a23456789.".repeat(20));
    assert_eq!((zones.len(), bad.len()), (0, 1));
}

#[test]
fn what_is_stored_reads_back() {
    for (line, _) in LINES {
        let zone = zone(line);
        let json = serde_json::to_string(&zone).unwrap();
        assert_eq!(serde_json::from_str::<Zone>(&json).unwrap(), zone, "{json}");
    }
}

/// Words that make a line, and what else may stand there.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "(score|allow|domain|[a-z]{1,3}\\.example)",
        4 => "127\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}(/[0-9]{1,2}|-[0-9]{1,3})?",
        1 => "\\PC{0,12}",
        1 => "[\r\n\t# \u{0}]{1,3}",
    ]
}

proptest! {
    #[test]
    fn any_text_is_read_and_a_zone_reads_back_as_it_is_shown(words in prop::collection::vec(word(), 0..40)) {
        let text = words.join(" ").replace("example ", "example\n");
        let (zones, bad) = parse_zones(&text);
        prop_assert!(zones.len() <= ZONES_MAX && bad.len() <= 64);
        for zone in zones {
            let line = zone.to_string();
            prop_assert_eq!(parse_zones(&line), (vec![zone], Vec::new()), "{}", line);
        }
    }

    #[test]
    fn no_refusal_and_no_foreign_address_ever_counts(line in "z\\.example( 127(\\.[0-9]{1,3}){3}(/[0-9]{1,2}|-[0-9]{1,3})?){0,3}", octets: [u8; 4]) {
        for zone in parse_zones(&line).0 {
            let [a, b, c, d] = octets;
            prop_assert!(!zone.codes.count(Ipv4Addr::new(127, 255, 255, d)));
            prop_assert!(a == 127 || !zone.codes.count(Ipv4Addr::new(a, b, c, d)));
        }
    }
}
