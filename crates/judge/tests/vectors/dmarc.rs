//! DMARC: aggregate reports hold what other receivers found of real messages, and the suites' messages have authors.

use crate::support::vectors;
use judge::auth::author::{Author, read};
use judge::auth::dkim::{Dkim, DkimResult};
use judge::auth::dmarc::{DmarcResult, Evidence, Wish, evaluate};
use judge::auth::org::PublicSuffixes;
use judge::auth::spf::{Spf, SpfResult};
use judge::resolver::{Answer, BoxFuture, Kind, Name, Outcome, Question, Record, Resolver, Security};
use mail::{Domain, Line, Message};
use std::fs;
use std::path::{Path, PathBuf};

/// One record at one name; nothing else exists.
struct OneRecord {
    at: Name,
    text: String,
}

impl Resolver for OneRecord {
    fn ask(&self, question: Question) -> BoxFuture<'_, Answer> {
        let is_here = question.name == self.at && question.kind == Kind::Txt;
        let outcome = match is_here {
            true => Outcome::Records([Record::Txt(self.text.as_bytes().into())].into()),
            false => Outcome::NoName,
        };
        Box::pin(std::future::ready(Answer {
            outcome,
            security: Security::Unknown,
        }))
    }
}

/// The texts between `<tag>` and `</tag>`. The reports are plain XML, without attributes or nesting of equal tags.
fn all<'a>(xml: &'a str, tag: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    let parts = xml.split(&open).skip(1);
    parts
        .filter_map(|part| part.split_once(&close).map(|(text, _)| text.trim()))
        .collect()
}

fn first<'a>(xml: &'a str, tag: &str) -> &'a str {
    all(xml, tag).first().copied().unwrap_or_default()
}

fn files_below(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A row of a report: whether DKIM and SPF were aligned and passed, as it says and as we find. `None` where it does not
/// say enough.
fn row(policy: &str, xml: &str) -> Option<([bool; 2], [bool; 2])> {
    let (at, from) = (Domain::parse(first(policy, "domain")).ok()?, first(xml, "header_from"));
    let (evaluated, results) = (first(xml, "policy_evaluated"), first(xml, "auth_results"));
    let tags = ["p", "sp", "adkim", "aspf"].map(|tag| match first(policy, tag) {
        "" => String::new(),
        value => format!("; {tag}={value}"),
    });
    let zone = OneRecord {
        at: Name::from(&at).below("_dmarc")?,
        text: format!("v=DMARC1{}", tags.concat()),
    };
    let signatures = all(results, "dkim").into_iter().map(|xml| Dkim {
        result: match first(xml, "result") {
            "pass" => DkimResult::Pass,
            _ => DkimResult::Fail,
        },
        domain: Domain::parse(first(xml, "domain")).ok(),
        selector: Line::default(),
        identity: None,
        algorithm: Line::default(),
        key_bits: None,
        start: Line::default(),
        is_testing: false,
        why: Line::default(),
        security: Security::Unknown,
    });
    let spf = first(results, "spf");
    let spf_domain = Domain::parse(first(spf, "domain")).ok();
    let evidence = Evidence {
        author: &Author::One {
            address: Line::default(),
            domain: Domain::parse(from).ok()?,
        },
        spf: &Spf {
            result: match first(spf, "result") {
                "pass" => SpfResult::Pass,
                _ => SpfResult::Fail,
            },
            domain: Line::default(),
            term: Line::default(),
            explanation: Line::default(),
            security: Security::Unknown,
        },
        spf_domain: spf_domain.as_ref(),
        dkim: &signatures.collect::<Vec<_>>(),
        lot: 0,
    };
    let found = pollster::block_on(evaluate(&evidence, &PublicSuffixes::BuiltIn, &zone));
    let ours = [!found.aligned_dkim.is_empty(), found.aligned_spf.is_some()];
    assert_eq!(found.result == DmarcResult::Pass, ours[0] || ours[1], "{}", found.why);
    assert_eq!(found.wish, found.published);
    assert!(found.wish == Wish::None || first(policy, "p") != "none" || !first(policy, "sp").is_empty());
    let theirs = ["dkim", "spf"].map(|tag| match first(evaluated, tag) {
        "pass" => Some(true),
        "fail" => Some(false),
        _ => None,
    });
    Some(([theirs[0]?, theirs[1]?], ours))
}

/// Its names were made anonymous, so that an aligned signature that passes is said to be none.
const ANONYMOUS: &str = "ikea.com!example.de!1538690400!1538776800.xml";
/// Its column for SPF, of 2012, is the result of SPF whether aligned or not (RFC 7489 §7.2 wants aligned).
const SPF_UNALIGNED: &str = "good.com!example.com!1337270400!1337356799.xml";

#[test]
fn aggregate_reports_found_what_we_find() {
    let Some(dir) = vectors("aggregate_reports_found_what_we_find") else {
        return;
    };
    let (mut same, mut different) = (0, Vec::new());
    for suite in ["opendmarc", "dmarc-reports", "mail-auth"] {
        for path in files_below(&dir.join(suite), "xml") {
            let octets = fs::read(&path).unwrap();
            let xml = String::from_utf8_lossy(&octets);
            let policy = first(&xml, "policy_published");
            if path.ends_with(ANONYMOUS) {
                continue;
            }
            for record in all(&xml, "record") {
                let compared = row(policy, record).map(|(theirs, ours)| match path.ends_with(SPF_UNALIGNED) {
                    true => ([theirs[0], ours[1]], ours),
                    false => (theirs, ours),
                });
                match compared {
                    Some((theirs, ours)) if theirs == ours => same += 1,
                    Some((theirs, ours)) => {
                        different.push(format!("{}: {theirs:?} {ours:?} {record}", path.display()));
                    }
                    None => {}
                }
            }
        }
    }
    assert!(
        different.is_empty() && same > 500,
        "{same} same, {}: {different:#?}",
        different.len()
    );
}

#[test]
fn messages_of_the_suites_have_their_authors() {
    let Some(dir) = vectors("messages_of_the_suites_have_their_authors") else {
        return;
    };
    let dir = dir.join("authheaders/authheaders/test");
    let domains = |names: &[&str]| {
        names
            .iter()
            .map(|name| Domain::parse(name).unwrap())
            .collect::<Vec<_>>()
    };
    let several = |author| match author {
        Author::One { domain, .. } => vec![domain],
        Author::Several(domains) | Author::Disputed(domains) => domains,
        Author::None | Author::Unreadable(_) => Vec::new(),
    };
    for (file, expected) in [
        ("test.message", vec!["example.com"]),
        ("test.message_sub", vec!["sub.example.net"]),
        ("test_nop.message", vec!["nop.example.org"]),
        ("testcomma.message", vec!["example.com"]),
        ("test.message_multi", vec!["example.org", "example.com"]),
        ("test.message_multi2", vec!["example.com", "example.org"]),
        ("test.nofrom.message", vec![]),
    ] {
        let octets = fs::read(dir.join(file)).unwrap();
        assert_eq!(several(read(&Message::parse(&octets))), domains(&expected), "{file}");
    }
}

/// Bounces and broken messages of all kinds: most have an author, and none is too much.
#[test]
fn authors_of_all_messages_are_read_or_not() {
    let Some(dir) = vectors("authors_of_all_messages_are_read_or_not") else {
        return;
    };
    let (mut one, mut other) = (0, Vec::new());
    for path in files_below(dir, "eml") {
        let octets = fs::read(&path).unwrap();
        let message = Message::parse(&octets);
        match read(&message) {
            Author::One { .. } => one += 1,
            Author::None => {}
            author => other.push(format!(
                "{author:?} {:?}",
                message.first("From").map(|f| f.raw().escape_ascii().to_string())
            )),
        }
    }
    assert!(
        one > 900 && other.len() * 20 < one,
        "{one} one, {} others: {other:#?}",
        other.len()
    );
}
