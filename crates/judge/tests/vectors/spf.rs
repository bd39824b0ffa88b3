//! The openspf suites for RFC 7208 and RFC 4408, and pyspf's own.
//!
//! Each document of a suite is a zone and tests over it. By the suite's convention a record of the withdrawn type SPF
//! stands for a TXT record wherever its name has no TXT entry; `TXT: NONE` is an entry that is no record. `TIMEOUT` is
//! the answer to every question that a name has no record for.

use crate::support::vectors;
use judge::auth::spf::{Ask, Identity, Spf, check, check_sender};
use judge::resolver::{Answer, BoxFuture, Kind, Name, Outcome, Question, Record, Resolver, Security, Trouble};
use mail::auth_results::Encoding;
use mail::{Line, ReversePath};
use std::collections::HashMap;
use std::fs;
use yaml_rust2::{Yaml, YamlLoader};

/// More aliases than any zone has.
const CNAMES_MAX: usize = 8;

/// A test whose expectation is not ours, and the clause that says so.
struct Deviation {
    test: &'static str,
    result: &'static str,
    why: &'static str,
}

/// What becomes of a name in a test's zone.
enum Entry {
    Timeout,
    Cname(Option<Name>),
    Record(Kind, Record),
}

struct Zone(HashMap<String, Vec<Entry>>);

impl Resolver for Zone {
    fn ask(&self, question: Question) -> BoxFuture<'_, Answer> {
        let outcome = self.answer(question.name, question.kind);
        let security = Security::Insecure;
        Box::pin(std::future::ready(Answer { outcome, security }))
    }
}

impl Zone {
    fn answer(&self, mut name: Name, kind: Kind) -> Outcome {
        for _ in 0..=CNAMES_MAX {
            let Some(entries) = self.0.get(name.as_str()) else {
                return Outcome::NoName;
            };
            let records: Vec<Record> = entries
                .iter()
                .filter_map(|entry| match entry {
                    Entry::Record(of, record) => (*of == kind).then(|| record.clone()),
                    Entry::Timeout | Entry::Cname(_) => None,
                })
                .collect();
            if !records.is_empty() {
                return Outcome::Records(records.into());
            }
            let mut cname = None;
            for entry in entries {
                match entry {
                    Entry::Timeout => return Outcome::Unavailable(Trouble::Timeout),
                    Entry::Cname(to) => cname = Some(to),
                    Entry::Record(..) => {}
                }
            }
            match cname {
                Some(Some(to)) => name = to.clone(),
                // An alias of the root, which has no such records.
                Some(None) | None => return Outcome::NoRecords,
            }
        }
        Outcome::Unavailable(Trouble::Malformed)
    }

    fn parse(zonedata: &Yaml) -> Zone {
        let names = zonedata.as_hash().expect("zonedata");
        let zone = names.iter().map(|(name, entries)| {
            let entries = entries.as_vec().expect("entries");
            let has_txt = entries.iter().any(|entry| !entry["TXT"].is_badvalue());
            let entries = entries.iter().filter_map(|entry| parse_entry(entry, has_txt)).collect();
            (text(name).to_ascii_lowercase(), entries)
        });
        Zone(zone.collect())
    }
}

fn parse_entry(entry: &Yaml, has_txt: bool) -> Option<Entry> {
    if entry.as_str() == Some("TIMEOUT") {
        return Some(Entry::Timeout);
    }
    let (kind, value) = entry.as_hash().and_then(|hash| hash.iter().next()).expect("a record");
    let name = |value: &Yaml| Name::parse(text(value)).ok();
    Some(match text(kind) {
        "A" => Entry::Record(Kind::A, Record::A(text(value).parse().expect("an IPv4 address"))),
        "AAAA" => Entry::Record(Kind::Aaaa, Record::Aaaa(text(value).parse().expect("an IPv6 address"))),
        "PTR" => Entry::Record(Kind::Ptr, Record::Ptr(name(value).expect("a name"))),
        "CNAME" => Entry::Cname(name(value)),
        "MX" => {
            let preference = value[0]
                .as_i64()
                .and_then(|n| u16::try_from(n).ok())
                .expect("a preference");
            Entry::Record(Kind::Mx, Record::Mx(preference, name(&value[1])))
        }
        "TXT" if value.as_str() == Some("NONE") => return None,
        "SPF" if has_txt => return None,
        "TXT" | "SPF" => {
            let strings = match value {
                Yaml::Array(strings) => strings.iter().map(text).collect(),
                one => vec![text(one)],
            };
            // `\x80` in the YAML stands for an octet.
            let octet = |c: char| u8::try_from(u32::from(c)).expect("an octet");
            let octets: Vec<u8> = strings.concat().chars().map(octet).collect();
            Entry::Record(Kind::Txt, Record::Txt(octets.into()))
        }
        other => panic!("no such record: {other}"),
    })
}

fn text(yaml: &Yaml) -> &str {
    yaml.as_str().unwrap_or_else(|| panic!("not a text: {yaml:?}"))
}

/// Asks as a session would; where no session could have the sender, as RFC 7208 §4.1 says.
fn ask(test: &Yaml, zone: &Zone) -> Spf {
    let from = text(&test["mailfrom"]);
    let (local, domain) = from.rsplit_once('@').unwrap_or(("", from));
    // The suite has no quotes around a local part that needs them.
    let written = ReversePath::parse(from).or_else(|_| ReversePath::parse(&format!("\"{local}\"@{domain}")));
    let path = written.as_ref().unwrap_or(&ReversePath::Null);
    let ask = Ask {
        client: text(&test["host"]).parse().expect("an address"),
        helo: text(&test["helo"]),
        identity: Identity::MailFrom(path),
        receiver: test["receiver"].as_str().unwrap_or("receiver.example"),
        now_s: 1_700_000_000,
    };
    let spf = match written {
        Ok(_) => pollster::block_on(check(&ask, zone)),
        Err(_) => pollster::block_on(check_sender(&ask, local, domain, zone)),
    };
    let (sentence, header) = (spf.sentence(ask.identity), spf.received(&ask, path, Encoding::Ascii));
    assert!(sentence.as_str().starts_with("SPF for "), "{sentence}");
    assert!(header.starts_with(spf.result.word()) && header.is_ascii(), "{header}");
    spf
}

/// Why an answer is not what the suite expects; `None` if it is.
fn difference(test: &Yaml, spf: &Spf) -> Option<String> {
    let expected = match &test["result"] {
        Yaml::Array(results) => results.iter().map(text).collect(),
        one => vec![text(one)],
    };
    let result = spf.result.word();
    if !expected.contains(&result) {
        return Some(format!("{result} instead of {expected:?}: {}", spf.explanation));
    }
    // The suite has a default explanation where we have none. Ours is a `Line`, which knows single blanks only.
    let expected = match test["explanation"].as_str()? {
        "DEFAULT" => Line::default(),
        text => Line::reason(text.as_bytes()),
    };
    (spf.explanation != expected).then(|| format!("explained as `{}` instead of `{expected}`", spf.explanation))
}

/// Runs all tests of a suite, and says how many.
fn run(suite: &str, count: usize, deviations: &[Deviation]) {
    let Some(dir) = vectors(suite) else {
        return;
    };
    let yaml = fs::read_to_string(dir.join("spf/test").join(suite)).expect("the suite");
    let documents = YamlLoader::load_from_str(&yaml).expect("YAML");
    let (mut ran, mut deviated, mut wrong) = (0, Vec::new(), Vec::new());
    for document in &documents {
        let zone = Zone::parse(&document["zonedata"]);
        for (name, test) in document["tests"].as_hash().expect("tests") {
            let spf = ask(test, &zone);
            ran += 1;
            let Some(difference) = difference(test, &spf) else {
                continue;
            };
            let name = text(name);
            match deviations.iter().find(|deviation| deviation.test == name) {
                Some(deviation) if deviation.result == spf.result.word() => {
                    println!("{suite}: {name}: {difference}; {}", deviation.why);
                    deviated.push(name);
                }
                _ => wrong.push(format!("{name}: {difference}")),
            }
        }
    }
    println!("{suite}: {ran} tests, {} deviations", deviated.len());
    assert!(wrong.is_empty(), "{suite}:\n{}", wrong.join("\n"));
    assert_eq!(ran, count, "{suite}");
    assert_eq!(
        deviated.len(),
        deviations.len(),
        "{suite}: a deviation is none any more: {deviated:?}"
    );
}

#[test]
fn the_suite_for_rfc_7208() {
    run("rfc7208-tests.yml", 203, &[]);
}

#[test]
fn the_suite_for_rfc_4408() {
    run("rfc4408-tests.yml", 191, &[]);
}

#[test]
fn the_suite_of_pyspf() {
    let why = "RFC 7208 §6: a modifier that nobody knows is ignored, and pyspf's lax and harsh modes are its own";
    let neutral = |test| Deviation {
        test,
        result: "neutral",
        why,
    };
    run(
        "test.yml",
        16,
        &["default-modifier", "default-modifier-harsh"].map(neutral),
    );
}
