//! What the suites do not ask: hostile records and zones, trouble, what is said of a result, and at what cost.

use super::*;
use crate::resolver::{Answer, BoxFuture, Budgeted, Kind, Outcome, Question, Record, Trouble};
use mail::auth_results::Encoding;
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Mutex;

/// What one check may ask at most: the record, ten terms with ten hosts each, the client's names and what they lead
/// to, and the explanation.
const QUESTIONS_MAX: usize = 1 + 10 * 11 + 1 + 10 + 1;

/// A zone of lines `NAME KIND VALUE`, and what was asked of it.
struct Zone {
    answers: HashMap<(Name, Kind), Answer>,
    asked: Mutex<Vec<Question>>,
}

impl Zone {
    fn new(lines: &str) -> Zone {
        let mut zone = Zone {
            answers: HashMap::new(),
            asked: Mutex::default(),
        };
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (name, rest) = line.split_once(' ').unwrap();
            let (kind, value) = rest.split_once(' ').unwrap();
            zone.add(name, kind, value);
        }
        zone
    }

    fn add(&mut self, name: &str, kind: &str, value: &str) {
        let name = Name::parse(name).unwrap();
        let (kind, record) = match kind {
            "A" => (Kind::A, Record::A(value.parse().unwrap())),
            "AAAA" => (Kind::Aaaa, Record::Aaaa(value.parse().unwrap())),
            "MX" => (Kind::Mx, Record::Mx(10, Name::parse(value).ok())),
            "PTR" => (Kind::Ptr, Record::Ptr(Name::parse(value).unwrap())),
            "TXT" => (Kind::Txt, Record::Txt(value.as_bytes().into())),
            other => panic!("{other}"),
        };
        let security = if name.as_str().starts_with("signed") {
            Security::Secure
        } else {
            Security::Insecure
        };
        let answer = self.answers.entry((name, kind)).or_insert(Answer {
            outcome: Outcome::NoRecords,
            security,
        });
        answer.outcome = Outcome::Records(answer.records().iter().cloned().chain([record]).collect());
    }

    fn fail(mut self, name: &str, kind: Kind, trouble: Trouble) -> Zone {
        let name = Name::parse(name).unwrap();
        self.answers.insert((name, kind), Answer::unavailable(trouble));
        self
    }

    fn questions(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

impl Resolver for Zone {
    fn ask(&self, question: Question) -> BoxFuture<'_, Answer> {
        let is_name = self.answers.keys().any(|(name, _)| *name == question.name);
        let outcome = if is_name { Outcome::NoRecords } else { Outcome::NoName };
        let known = self.answers.get(&(question.name.clone(), question.kind)).cloned();
        self.asked.lock().unwrap().push(question);
        let security = Security::Insecure;
        Box::pin(std::future::ready(known.unwrap_or(Answer { outcome, security })))
    }
}

fn ask<'a>(client: &str, path: &'a ReversePath) -> Ask<'a> {
    Ask {
        client: client.parse().unwrap(),
        helo: "mx.sender.example",
        identity: Identity::MailFrom(path),
        receiver: "site.example",
        now_s: 1_700_000_000,
    }
}

fn path(text: &str) -> ReversePath {
    ReversePath::parse(text).unwrap()
}

/// Of `bob@sender.example` from 192.0.2.1.
fn spf(zone: &Zone) -> Spf {
    let path = path("bob@sender.example");
    let spf = pollster::block_on(check(&ask("192.0.2.1", &path), zone));
    assert!(zone.questions() <= QUESTIONS_MAX, "{} questions", zone.questions());
    assert!(spf.explanation.as_str().chars().count() <= mail::REASON_CHARS_MAX);
    spf
}

fn told(zone: &str) -> (SpfResult, String, String) {
    let spf = spf(&Zone::new(zone));
    (spf.result, spf.term.to_string(), spf.explanation.to_string())
}

fn answer(result: SpfResult, term: &str, explanation: &str) -> (SpfResult, String, String) {
    (result, term.to_owned(), explanation.to_owned())
}

mod identities {
    use super::*;

    const ZONE: &str = "mx.sender.example TXT v=spf1 exists:%{l}.%{o} -all
        postmaster.mx.sender.example A 127.0.0.2";

    #[test]
    fn rfc7208_2_4_null_reverse_path_is_postmaster_at_the_helo_name() {
        for identity in [Identity::MailFrom(&ReversePath::Null), Identity::Helo] {
            let ask = Ask {
                identity,
                ..ask("192.0.2.1", &ReversePath::Null)
            };
            let spf = pollster::block_on(check(&ask, &Zone::new(ZONE)));
            assert_eq!(spf.result, SpfResult::Pass);
            assert_eq!(spf.domain.as_str(), "mx.sender.example");
        }
    }

    #[test]
    fn what_is_no_domain_is_none_and_asks_nothing() {
        let zone = Zone::new(ZONE);
        for helo in [
            "",
            "[192.0.2.1]",
            "[IPv6:2001:db8::1]",
            "192.0.2.1",
            "2001:db8::1",
            "localhost",
            "localhost.",
            "a..b",
            "a b.example",
            "\r\nX: y",
            "\u{202e}ä.example",
            &"a.".repeat(5000),
            &format!("{}.example", "a".repeat(64)),
        ] {
            let ask = Ask {
                helo,
                ..ask("192.0.2.1", &ReversePath::Null)
            };
            let spf = pollster::block_on(check(&ask, &zone));
            assert_eq!(spf.result, SpfResult::None, "{helo}");
            assert!(!spf.explanation.as_str().is_empty() && spf.term.as_str().is_empty());
            assert!(spf.received(&ask, &ReversePath::Null, Encoding::Ascii).len() < 2000);
        }
        for (from, explanation) in [
            ("bob@[192.0.2.1]", "`[192.0.2.1]` is an address literal"),
            ("bob", "`bob` is a name without a domain"),
            ("bob@local", "`local` is not a fully qualified domain name"),
        ] {
            let spf = pollster::block_on(check(&ask("192.0.2.1", &path(from)), &zone));
            assert_eq!((spf.result, spf.explanation.as_str()), (SpfResult::None, explanation));
        }
        assert_eq!(zone.questions(), 0);
    }

    #[test]
    fn no_record_and_no_name_are_told_apart() {
        assert_eq!(told(""), answer(SpfResult::None, "", "there is no name sender.example"));
        let other = "sender.example TXT v=spf10 -all\nsender.example TXT google-site-verification=x";
        assert_eq!(
            told(other),
            answer(SpfResult::None, "", "sender.example has no SPF record")
        );
        let no_text = "sender.example A 192.0.2.9";
        assert_eq!(
            told(no_text),
            answer(SpfResult::None, "", "sender.example has no SPF record")
        );
    }

    #[test]
    fn an_ipv4_mapped_client_is_ipv4() {
        let zone =
            Zone::new("sender.example TXT v=spf1 ip6:::/0 a:mx.sender.example -all\nmx.sender.example A 192.0.2.1");
        let path = path("bob@sender.example");
        let spf = pollster::block_on(check(&ask("::ffff:192.0.2.1", &path), &zone));
        assert_eq!(
            (spf.result, spf.term.as_str()),
            (SpfResult::Pass, "a:mx.sender.example")
        );
    }

    /// RFC 8616 §4: no name in the DNS has such a local part.
    #[test]
    fn a_local_part_outside_of_ascii_matches_no_term_that_uses_it() {
        let zone = Zone::new(
            "sender.example TXT v=spf1 -include:%{L}.x.example -exists:%{S}.x.example ?exists:x.example redirect=%{l}
            x.example A 192.0.2.7",
        );
        let path = path("böb@sender.example");
        let spf = pollster::block_on(check(&ask("192.0.2.1", &path), &zone));
        assert_eq!(
            (spf.result, spf.term.as_str()),
            (SpfResult::Neutral, "?exists:x.example")
        );
    }

    #[test]
    fn a_check_can_be_sent_to_another_thread() {
        fn is_send<T: Send>(_: T) {}
        let (zone, path) = (Zone::new(""), path("bob@sender.example"));
        is_send(check(&ask("192.0.2.1", &path), &zone));
    }
}

mod limits {
    use super::*;
    use SpfResult::{Fail, Neutral, Pass, PermError};

    #[test]
    fn rfc7208_4_6_4_eleventh_lookup_is_permerror() {
        let terms = |count: usize| {
            format!(
                "sender.example TXT v=spf1 {}ip4:192.0.2.1 -all\nsender.example A 192.0.2.9",
                "a ".repeat(count)
            )
        };
        assert_eq!(told(&terms(10)).0, Pass);
        let why = "more than 10 terms ask DNS (RFC 7208 §4.6.4); the record of sender.example has the one too many";
        assert_eq!(told(&terms(11)), answer(PermError, "", why));
    }

    #[test]
    fn records_that_include_or_follow_themselves_end() {
        for record in [
            "v=spf1 include:sender.example -all",
            "v=spf1 redirect=sender.example",
            "v=spf1 ?include:%{d} ?include:%{d} -all",
            "v=spf1 include:SENDER.example. include:sender.example redirect=sender.example",
        ] {
            let zone = Zone::new(&format!("sender.example TXT {record}"));
            assert_eq!(spf(&zone).result, PermError, "{record}");
            assert_eq!(zone.questions(), 11, "{record}");
        }
        let tree = (0..20).map(|n| {
            let (a, b) = (2 * n + 1, 2 * n + 2);
            format!("r{n}.example TXT v=spf1 include:r{a}.example include:r{b}.example\n")
        });
        let zone =
            Zone::new(&("sender.example TXT v=spf1 redirect=r0.example\n".to_owned() + &tree.collect::<String>()));
        assert_eq!(spf(&zone).result, PermError);
    }

    #[test]
    fn a_record_of_4_kb_is_evaluated_and_one_past_the_limit_is_not() {
        let record = |count: usize| format!("sender.example TXT v=spf1 {}-all", "ip4:203.0.113.10 ".repeat(count));
        assert_eq!(told(&record(240)), answer(Fail, "-all", ""));
        let (result, _, why) = told(&record(1000));
        assert_eq!(result, PermError);
        assert_eq!(
            why,
            "SPF of sender.example: the record has 17011 octets, more than 16384"
        );
    }

    #[test]
    fn ten_void_answers_are_permerror_at_the_third() {
        let terms: String = (0..10).map(|n| format!("exists:x{n}.example ")).collect();
        let zone = Zone::new(&format!("sender.example TXT v=spf1 {terms} +all"));
        let found = spf(&zone);
        assert_eq!(found.result, PermError);
        assert_eq!(
            found.explanation.as_str(),
            "more than 2 DNS lookups find nothing (RFC 7208 §4.6.4), the last of them of x2.example"
        );
        assert_eq!(zone.questions(), 4);
    }

    #[test]
    fn void_hosts_of_an_mx_and_void_explanations_do_not_count() {
        let zone = "sender.example TXT v=spf1 mx exists:x.example exists:y.example exp=z.example -all
            sender.example MX a.example\nsender.example MX b.example\nsender.example MX c.example";
        assert_eq!(told(zone), answer(Fail, "-all", ""));
    }

    /// It is the client's owner who has no name, and the question is asked once.
    #[test]
    fn a_client_without_name_is_one_void_lookup() {
        let zone = "sender.example TXT v=spf1 ptr ptr:a.example ptr:b.example ptr:c.example -all";
        assert_eq!(told(zone), answer(Fail, "-all", ""));
    }

    #[test]
    fn a_thousand_records_are_read_or_refused() {
        let mut zone = Zone::new("sender.example TXT v=spf1 a mx -all");
        for n in 0..1000 {
            zone.add("sender.example", "A", &format!("198.51.{}.{}", n / 250, n % 250));
            zone.add("sender.example", "MX", &format!("mx{n}.example"));
        }
        let found = spf(&zone);
        assert_eq!(found.result, PermError);
        assert_eq!(
            found.explanation.as_str(),
            "sender.example has 1000 MX hosts, more than 10 (RFC 7208 §4.6.4)"
        );
        assert_eq!(zone.questions(), 3);
        zone.add("sender.example", "A", "192.0.2.1");
        assert_eq!(spf(&zone).term.as_str(), "a");
    }

    #[test]
    fn of_a_thousand_names_behind_the_client_ten_are_looked_at_once() {
        let mut zone =
            Zone::new("sender.example TXT v=spf1 ptr ptr:x.example a:%{p}.y.example -exists:%{p}.y.example ?all");
        for n in 0..1000 {
            zone.add("1.2.0.192.in-addr.arpa", "PTR", &format!("h{n}.sender.example"));
        }
        assert_eq!(spf(&zone).result, Neutral);
        assert_eq!(zone.questions(), 1 + 1 + 10 + 2);
    }

    #[test]
    fn a_thousand_texts_with_two_records_are_permerror() {
        let mut zone = Zone::new("sender.example TXT v=spf1 -all");
        for n in 0..1000 {
            zone.add("sender.example", "TXT", &format!("text {n}"));
        }
        assert_eq!(spf(&zone).result, Fail);
        zone.add("sender.example", "TXT", "v=spf1 +all");
        assert_eq!(spf(&zone).result, PermError);
    }

    #[test]
    fn hostile_macros_make_one_bounded_name() {
        for spec in [
            "%{s}",
            "%{S}",
            "%{lr/}",
            "%{h1}",
            "%{i}",
            "%{ir}.%{v}.",
            "%{d99999999999999999999r}",
            "%_",
            "%%.",
            "%-",
        ] {
            let record = format!("sender.example TXT v=spf1 exists:{}x.example ?all", spec.repeat(400));
            let zone = Zone::new(&record);
            let long = path(&format!("\"{}\"@sender.example", ".@ %{s}".repeat(30)));
            let found = pollster::block_on(check(&ask("2001:db8::1", &long), &zone));
            assert_eq!((found.result, found.term.as_str()), (Neutral, "?all"), "{spec}");
            assert!(zone.questions() <= 2);
            for question in zone.asked.lock().unwrap().iter() {
                assert!(question.name.as_str().len() <= 253, "{spec}");
            }
        }
    }

    #[test]
    fn a_long_explanation_is_cut_and_a_hostile_one_is_dropped() {
        let zone = |text: &str| {
            let mut zone = Zone::new("sender.example TXT v=spf1 -all exp=why.example");
            zone.add("why.example", "TXT", text);
            spf(&zone).explanation.to_string()
        };
        assert_eq!(zone(&"%{s} ".repeat(1000)).chars().count(), 200);
        for text in ["a\r\nX-Evil: y", "a\tb", "naïve", "%{x}", "%"] {
            assert_eq!(zone(text), "", "{text}");
        }
        assert_eq!(
            zone("See http://x.example/?s=%{S}&i=%{C}&t=%{t}&r=%{r}"),
            "See http://x.example/?s=bob%40sender.example&i=192.0.2.1&t=1700000000&r=site.example"
        );
    }
}

mod trouble {
    use super::*;
    use SpfResult::{Fail, Pass, TempError};

    #[test]
    fn every_trouble_is_temperror_and_says_so() {
        for trouble in [
            Trouble::Timeout,
            Trouble::ServerFailure,
            Trouble::Malformed,
            Trouble::Budget,
            Trouble::NoServer,
        ] {
            let found = spf(&Zone::new("").fail("sender.example", Kind::Txt, trouble));
            assert_eq!(found.result, TempError);
            assert_eq!(
                found.explanation.to_string(),
                format!("TXT of sender.example: {trouble}")
            );
            for term in [
                "a:x.example",
                "mx:x.example",
                "mx:y.example",
                "exists:x.example",
                "include:x.example",
                "redirect=x.example",
            ] {
                let zone = Zone::new(&format!("sender.example TXT v=spf1 {term}\ny.example MX x.example"));
                let zone = [Kind::A, Kind::Mx, Kind::Txt]
                    .into_iter()
                    .fold(zone, |zone, kind| zone.fail("x.example", kind, trouble));
                assert_eq!(spf(&zone).result, TempError, "{term}");
            }
        }
    }

    #[test]
    fn a_message_that_asked_enough_is_temperror_wherever_that_is() {
        let zone = Zone::new(
            "sender.example TXT v=spf1 ptr mx -all
            sender.example MX a.sender.example\nsender.example MX b.sender.example
            1.2.0.192.in-addr.arpa PTR h.sender.example",
        );
        let path = path("bob@sender.example");
        for questions in 0..7 {
            let budgeted = Budgeted::new(&zone, questions);
            let found = pollster::block_on(check(&ask("192.0.2.1", &path), &budgeted));
            let expected = if questions < 6 { TempError } else { Fail };
            assert_eq!(found.result, expected, "{questions}");
            let sentence = found.sentence(Identity::MailFrom(&path)).to_string();
            assert_eq!(sentence.contains(Trouble::Budget.text()), questions < 6, "{sentence}");
        }
    }

    #[test]
    fn rfc7208_5_5_trouble_with_the_clients_names_is_no_match() {
        let record = "sender.example TXT v=spf1 ptr -all";
        let zone = Zone::new(record).fail("1.2.0.192.in-addr.arpa", Kind::Ptr, Trouble::ServerFailure);
        assert_eq!(spf(&zone).result, Fail);
        let names = "1.2.0.192.in-addr.arpa PTR a.sender.example\n1.2.0.192.in-addr.arpa PTR b.sender.example";
        let zone = Zone::new(&format!("{record}\n{names}\nb.sender.example A 192.0.2.1"));
        let zone = zone.fail("a.sender.example", Kind::A, Trouble::Timeout);
        assert_eq!(spf(&zone).result, Pass);
    }

    #[test]
    fn a_matching_mx_host_counts_beside_one_in_trouble() {
        let zone = Zone::new(
            "sender.example TXT v=spf1 mx -all
            sender.example MX a.example\nsender.example MX b.example\nb.example A 192.0.2.1",
        );
        assert_eq!(spf(&zone.fail("a.example", Kind::A, Trouble::Timeout)).result, Pass);
    }

    #[test]
    fn trouble_with_an_explanation_changes_nothing() {
        let zone = Zone::new("sender.example TXT v=spf1 -all exp=why.example");
        let found = spf(&zone.fail("why.example", Kind::Txt, Trouble::Timeout));
        assert_eq!((found.result, found.explanation.as_str()), (Fail, ""));
        assert_eq!(found.security, Security::Insecure);
    }
}

mod results {
    use super::*;
    use SpfResult::{Fail, Neutral, Pass, PermError, SoftFail};

    #[test]
    fn the_term_says_whose_record_holds_it() {
        let provider = "spf.provider.example TXT v=spf1 ip4:192.0.2.0/24 -all";
        for (record, result, term) in [
            ("v=spf1 IP4:192.0.2.1 -all", Pass, "IP4:192.0.2.1"),
            ("v=spf1 ip4:203.0.113.1", Neutral, ""),
            (
                "v=spf1 include:spf.provider.example -all",
                Pass,
                "ip4:192.0.2.0/24 in the record of spf.provider.example",
            ),
            (
                "v=spf1 ~include:spf.provider.example",
                SoftFail,
                "ip4:192.0.2.0/24 in the record of spf.provider.example",
            ),
            (
                "v=spf1 redirect=spf.provider.example",
                Pass,
                "ip4:192.0.2.0/24 in the record of spf.provider.example",
            ),
            ("v=spf1 include:a.example -all", Fail, "-all"),
            (
                "v=spf1 ?include:b.example -all",
                Neutral,
                "ip4:192.0.2.0/24 in the record of spf.provider.example",
            ),
            ("v=spf1 include:c.example ~all", SoftFail, "~all"),
        ] {
            let zone = format!(
                "sender.example TXT {record}\n{provider}
                a.example TXT v=spf1 -include:spf.provider.example
                b.example TXT v=spf1 include:spf.provider.example
                c.example TXT v=spf1 redirect=a.example"
            );
            let (found, found_term, _) = told(&zone);
            assert_eq!((found, found_term.as_str()), (result, term), "{record}");
        }
    }

    #[test]
    fn a_permerror_says_which_record_and_why() {
        for (zone, why) in [
            (
                "sender.example TXT v=spf1 ipv4:192.0.2.1",
                "SPF of sender.example: `ipv4:192.0.2.1` is wrong: there is no such mechanism",
            ),
            (
                "sender.example TXT v=spf1 a:192.0.2.1",
                "SPF of sender.example: `a:192.0.2.1` is wrong: a domain must stand there, and an address does; `ip4:` takes addresses",
            ),
            (
                "sender.example TXT v=spf1\nsender.example TXT v=spf1",
                "SPF of sender.example: there are 2 SPF records, and only one may be (RFC 7208 §4.5)",
            ),
            (
                "sender.example TXT v=spf1 include:x.example",
                "`include:x.example` leads to x.example, which does not exist",
            ),
            (
                "sender.example TXT v=spf1 redirect=x.example\nx.example A 192.0.2.1",
                "`redirect` leads to x.example, which has no SPF record",
            ),
            (
                "sender.example TXT v=spf1 include:a..example",
                "`include:a..example` leads to a name that is none",
            ),
            (
                "sender.example TXT v=spf1 include:%{d1}",
                "`include:%{d1}` leads to a name that is none",
            ),
            (
                "sender.example TXT v=spf1 include:x.example\nx.example TXT v=spf1 +all mo",
                "SPF of x.example: `mo` is wrong: there is no such mechanism",
            ),
        ] {
            assert_eq!(told(zone), answer(PermError, "", why));
        }
    }

    #[test]
    fn a_result_is_as_proven_as_its_weakest_answer() {
        let security = |zone: &str| {
            let path = path("bob@signed.sender.example");
            pollster::block_on(check(&ask("192.0.2.1", &path), &Zone::new(zone))).security
        };
        let record = "signed.sender.example TXT v=spf1 ip4:192.0.2.2 a:x.example -all exp=x.example";
        assert_eq!(
            security("signed.sender.example TXT v=spf1 ip4:192.0.2.1"),
            Security::Secure
        );
        assert_eq!(security(record), Security::Insecure);
        assert_eq!(
            security("signed.sender.example TXT v=spf1 -all exp=x.example"),
            Security::Secure
        );
        assert_eq!(security(""), Security::Insecure);
        let literal = path("bob@[192.0.2.1]");
        let found = pollster::block_on(check(&ask("192.0.2.1", &literal), &Zone::new("")));
        assert_eq!(found.security, Security::Unknown);
    }

    #[test]
    fn the_proven_name_is_the_domain_then_one_below_then_any() {
        let pass = |names: &str, expected: &str| {
            let mut zone = Zone::new(&format!(
                "sender.example TXT v=spf1 exists:%{{p}}.p.example -all\n{expected}.p.example A 127.0.0.2"
            ));
            for name in names.split(' ').filter(|name| !name.is_empty()) {
                zone.add("1.2.0.192.in-addr.arpa", "PTR", name);
                if !name.starts_with("forged") {
                    zone.add(name, "A", "192.0.2.1");
                }
            }
            assert_eq!(spf(&zone).result, Pass, "{names}");
        };
        pass("a.example a.sender.example sender.example", "sender.example");
        pass("a.example z.sender.example forged.sender.example", "z.sender.example");
        pass("a.example badsender.example", "a.example");
        pass("forged.example", "unknown");
        pass("", "unknown");
    }

    #[test]
    fn sentences_name_the_record_and_the_term() {
        let zone = "sender.example TXT v=spf1 ip4:192.0.2.1 include:b.example -all exp=why.example
            why.example TXT %{i} is not ours\nb.example TXT v=spf1 ip4:192.0.2.2
            mx.sender.example TXT v=spf1 ?a ?foo=%{d}";
        let sentence = |from: &str, client: &str| {
            let path = path(from);
            let found = pollster::block_on(check(&ask(client, &path), &Zone::new(zone)));
            found.sentence(Identity::MailFrom(&path)).to_string()
        };
        for (from, client, expected) in [
            (
                "Bob@sender.example",
                "192.0.2.1",
                "SPF for Bob@sender.example: pass, `ip4:192.0.2.1` in the record of sender.example",
            ),
            (
                "bob@sender.example",
                "192.0.2.2",
                "SPF for bob@sender.example: pass, `ip4:192.0.2.2` in the record of b.example",
            ),
            (
                "bob@sender.example",
                "192.0.2.3",
                "SPF for bob@sender.example: fail, `-all` in the record of sender.example; its owner explains: 192.0.2.3 is not ours",
            ),
            (
                "bob@b.example",
                "192.0.2.3",
                "SPF for bob@b.example: neutral, no term of the record fits",
            ),
            (
                "bob@c.example",
                "192.0.2.3",
                "SPF for bob@c.example: none, there is no name c.example",
            ),
            (
                "",
                "192.0.2.3",
                "SPF for postmaster@mx.sender.example (the null reverse-path): permerror, SPF of mx.sender.example: `?foo=%{d}` is wrong: there is no such mechanism",
            ),
        ] {
            assert_eq!(sentence(from, client), expected);
        }
        let helo = Ask {
            identity: Identity::Helo,
            ..ask("192.0.2.1", &ReversePath::Null)
        };
        let found = pollster::block_on(check(&helo, &Zone::new("")));
        assert_eq!(
            found.sentence(Identity::Helo).as_str(),
            "SPF for the HELO name mx.sender.example: none, there is no name mx.sender.example"
        );
    }
}

mod fields {
    use super::*;

    fn field(zone: &str, client: &str, helo: &str, from: &str) -> String {
        let path = path(from);
        let ask = Ask {
            helo,
            ..ask(client, &path)
        };
        pollster::block_on(check(&ask, &Zone::new(zone))).received(&ask, &path, Encoding::Ascii)
    }

    /// `j?rg@` is another address, and a valid one.
    #[test]
    fn an_address_of_smtputf8_stays_itself() {
        let path = path("j\u{f6}rg@sender.example");
        let ask = ask("192.0.2.1", &path);
        let spf = pollster::block_on(check(&ask, &Zone::new("sender.example TXT v=spf1 -all")));
        let field = |encoding| spf.received(&ask, &path, encoding);
        assert!(field(Encoding::Utf8).contains("envelope-from=\"j\u{f6}rg@sender.example\";"));
        assert!(field(Encoding::Ascii).is_ascii());
    }

    #[test]
    fn rfc7208_9_1_fields_read_like_its_examples() {
        let zone = "sender.example TXT v=spf1 ip4:192.0.2.1 ip6:2001:db8::/32 ~all\nbad.example TXT v=spf1 foo";
        assert_eq!(
            field(zone, "192.0.2.1", "mx.sender.example", "bob@sender.example"),
            "pass (site.example: domain of sender.example designates 192.0.2.1 as permitted sender) client-ip=192.0.2.1; \
             envelope-from=\"bob@sender.example\"; helo=mx.sender.example; receiver=site.example; identity=mailfrom; \
             mechanism=\"ip4:192.0.2.1\""
        );
        assert_eq!(
            field(zone, "2001:db8::1", "[IPv6:2001:db8::1]", "bob@sender.example"),
            "pass (site.example: domain of sender.example designates 2001:db8::1 as permitted sender) \
             client-ip=\"2001:db8::1\"; envelope-from=\"bob@sender.example\"; helo=\"[IPv6:2001:db8::1]\"; \
             receiver=site.example; identity=mailfrom; mechanism=\"ip6:2001:db8::/32\""
        );
        assert_eq!(
            field(zone, "192.0.2.9", "x", "bob@bad.example"),
            "permerror (site.example: permanent error in processing domain of bad.example) client-ip=192.0.2.9; \
             envelope-from=\"bob@bad.example\"; helo=x; receiver=site.example; identity=mailfrom; \
             problem=\"SPF of bad.example: `foo` is wrong: there is no such mechanism\""
        );
        assert_eq!(
            field(zone, "192.0.2.9", "x", ""),
            "none (site.example: `x` is not a fully qualified domain name) client-ip=192.0.2.9; envelope-from=\"\"; \
             helo=x; receiver=site.example; identity=mailfrom"
        );
    }

    #[test]
    fn foreign_text_stays_within_its_quotes() {
        let helo = "x\";\r\nX-Evil: (a\\b)\u{202e}\u{e4}";
        let field = field("", "192.0.2.1", helo, r#""a\"; b\\"@sender.example"#);
        assert!(field.is_ascii() && !field.contains(['\r', '\n']));
        assert!(field.contains(r#"helo="x\"; X-Evil: (a\\b)\\u{202e}?"; "#), "{field}");
        assert!(
            field.contains(r#"envelope-from="\"a\\\"; b\\\\\"@sender.example"; "#),
            "{field}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever the records say, the questions are bounded, and so is what is said.
    #[test]
    fn any_records_are_evaluated_within_bounds(
        records in proptest::collection::vec(
            proptest::collection::vec(
                "[-~?+]?(a|mx|ptr|include|exists|ip4|ip6|all|redirect|exp|x)[:=/]?(%\\{[slodiphv][1-3]?r?[.-]?\\}[.]?|[a-d]\\.example|192\\.0\\.2\\.1|/24|//64){0,3}",
                0..8,
            ),
            1..6,
        ),
        client in prop_oneof![Just("192.0.2.1"), Just("2001:db8::1")],
        local in "[a-z.-]{1,20}",
    ) {
        let mut zone = Zone::new(
            "a.example A 192.0.2.7\nb.example AAAA 2001:db8::7\nc.example MX a.example\nd.example MX b.example
            1.2.0.192.in-addr.arpa PTR a.example",
        );
        for (record, name) in records.iter().zip(["sender.example", "a.example", "b.example", "c.example", "d.example"]) {
            zone.add(name, "TXT", &format!("v=spf1 {}", record.join(" ")));
        }
        let path = path(&format!("{local}@sender.example"));
        let ask = ask(client, &path);
        let found = pollster::block_on(check(&ask, &zone));
        prop_assert!(zone.questions() <= QUESTIONS_MAX);
        prop_assert!(found.term.as_str().chars().count() <= TERM_CHARS_MAX);
        let field = found.received(&ask, &path, Encoding::Ascii);
        prop_assert!(field.is_ascii() && !field.contains('\n') && field.len() < 3000);
        let field = found.received(&ask, &path, Encoding::Utf8);
        prop_assert!(!field.contains('\n') && field.len() < 4000);
        let again = pollster::block_on(check(&ask, &zone));
        prop_assert_eq!(again, found);
    }
}
