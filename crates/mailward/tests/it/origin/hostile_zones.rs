//! What a stranger's zone says costs a bounded number of questions and a bounded amount of memory, and ends with the
//! result that the RFC names.

use super::{STRANGER, World, mail_from};
use crate::support::client::Mail;
use crate::support::daemon;
use crate::support::private_dns::{Zone, is_there};

/// Most questions that one message of these may cost: two SPF checks of ten terms each, some of which take more than one
/// question, the reverse names, keys, policies, and the walk up from the author's domain.
const QUESTIONS_MAX: u64 = 150;

fn repeated(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect()
}

/// A text in character-strings of at most 255 octets each (RFC 1035 §3.3).
fn txt(text: &str) -> String {
    let strings = text
        .as_bytes()
        .chunks(200)
        .map(|part| format!("\"{}\"", String::from_utf8_lossy(part)));
    format!("TXT {}\n", strings.collect::<Vec<_>>().join(" "))
}

/// Each sender's domain, its SPF record, what else is in its zone, and the result of its mail.
fn senders() -> [(&'static str, String, String, &'static str); 9] {
    let none = String::new;
    let each = |term: &str, count: usize| repeated(count, |n| term.replace('#', &n.to_string()));
    [
        (
            "many.example",
            each(" include:i#.many.example", 12) + " -all",
            each("i# TXT \"v=spf1 ?all\"\n", 12),
            "permerror",
        ),
        (
            "circle.example",
            " include:circle.example -all".into(),
            none(),
            "permerror",
        ),
        (
            "redirects.example",
            " redirect=redirects.example".into(),
            none(),
            "permerror",
        ),
        // RFC 7208 §4.6.4: more than two names that do not exist are an error.
        (
            "void.example",
            each(" exists:%{ir}.%{l1r-}.e#.void.example", 10) + " -all",
            none(),
            "permerror",
        ),
        (
            "mxes.example",
            " mx -all".into(),
            each("@ MX # mx#\nmx# A 203.0.113.#\n", 40),
            "permerror",
        ),
        (
            "addresses.example",
            " a:host.addresses.example -all".into(),
            each(
                "host A 10.0.1.#\nhost A 10.0.2.#\nhost A 10.0.3.#\nhost A 10.0.4.#\n",
                250,
            ),
            "fail",
        ),
        (
            "long.example",
            " ip4:203.0.113.1 ip6:2001:db8::1".repeat(130),
            none(),
            "neutral",
        ),
        (
            "aliases.example",
            " a:a.aliases.example -all".into(),
            "a CNAME b\nb CNAME a\n".into(),
            "temperror",
        ),
        (
            "macros.example",
            format!(" exists:{}%{{d}} -all", "%{s}.%{h}.%{l}.".repeat(12)),
            none(),
            "fail",
        ),
    ]
}

fn zones() -> Vec<Zone> {
    let senders = senders().into_iter();
    let zone = |(name, terms, more, _): (&str, String, String, &str)| {
        Zone::new(name, &format!("@ {}{more}", txt(&format!("v=spf1{terms}"))))
    };
    senders.map(zone).collect()
}

#[test]
fn a_hostile_zone_costs_a_bounded_number_of_questions() {
    if !is_there("a_hostile_zone_costs_a_bounded_number_of_questions") {
        return;
    }
    let mut zones = zones();
    // A thousand names behind one address.
    let names = repeated(1000, |n| format!("66 PTR host{n}.many.example.\n"));
    zones.push(Zone::new("100.51.198.in-addr.arpa", &names));
    let world = World::start(&zones, &["example.com/checks/dmarc", "example.com/checks/rdns"]);
    let asked = || {
        let status = daemon::said(&world.gateway, &["status", "--json"]);
        let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
        status["dns"]["asked"].as_u64().expect("a count")
    };
    for (name, _, _, expected) in senders() {
        let before = asked();
        let reply = world.send(STRANGER, &mail_from(&format!("ann@{name}")));
        assert_eq!(reply.code, 250, "{name}: {reply:?}");
        let spf = world.proof(&reply, "spf_mail_from");
        assert_eq!(spf["result"], expected, "{name}: {}", world.why(&reply));
        let questions = asked() - before;
        assert!(questions <= QUESTIONS_MAX, "{name}: {questions} questions");
        assert!(world.why(&reply).len() < 16 << 10, "{name}");
    }
    for (name, mail) in messages() {
        let before = asked();
        let reply = world.send(STRANGER, &mail);
        assert_eq!(reply.code, 250, "{name}: {reply:?}");
        let questions = asked() - before;
        assert!(questions <= QUESTIONS_MAX, "{name}: {questions} questions");
        assert_ne!(world.proof(&reply, "arc")["result"], "pass", "{name}");
        assert!(world.why(&reply).len() < 64 << 10, "{name}");
    }
}

/// Messages that would have many questions asked.
fn messages() -> [(&'static str, Mail); 3] {
    let plain = mail_from("ann@many.example");
    let text = String::from_utf8(plain.message.clone()).expect("text");
    let of = |message: String| Mail {
        message: message.into_bytes(),
        ..plain.clone()
    };
    let signatures = repeated(50, |n| {
        format!(
            "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=many.example; s=k{n}; h=from;\r\n\t\
             bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\r\n"
        )
    });
    let set = |n: usize| {
        format!(
            "ARC-Seal: i={n}; a=rsa-sha256; cv={}; d=many.example; s=k{n}; b=AAAA\r\n\
             ARC-Message-Signature: i={n}; a=rsa-sha256; c=relaxed/relaxed; d=many.example; s=k{n}; h=from;\r\n\t\
             bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\r\n\
             ARC-Authentication-Results: i={n}; mx.many.example; dmarc=pass header.from=many.example\r\n",
            if n == 1 { "none" } else { "pass" }
        )
    };
    let sets: Vec<String> = (1..=60).rev().map(set).collect();
    let deep = format!("{}many.example", "a.".repeat(100));
    [
        (
            "an author whose domain has a hundred labels",
            of(text.replace("From: <ann@many.example>", &format!("From: <ann@{deep}>"))),
        ),
        ("fifty signatures, each with a key of its own", of(signatures + &text)),
        ("sixty seals, each with a key of its own", of(sets.concat() + &text)),
    ]
}

#[test]
fn a_message_that_may_ask_little_is_not_refused_for_it() {
    if !is_there("a_message_that_may_ask_little_is_not_refused_for_it") {
        return;
    }
    let files = ["example.com/checks/spf", "example.com/checks/dmarc"];
    let world = World::start_with(&zones(), &files, |setup| setup.set("dns.message_queries", "10"));
    let reply = world.send(STRANGER, &mail_from("ann@many.example"));
    assert_eq!(reply.code, 250, "{}", world.why(&reply));
    let why = world.why(&reply);
    assert!(why.contains("too many or too slow DNS lookups"), "{why}");
}
