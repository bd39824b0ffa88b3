//! What headers of old mail tell, and what they do not.

use super::super::*;
use super::domain;
use crate::auth::author::Author;
use crate::auth::org::PublicSuffixes;
use mail::{Line, Message};
use proptest::prelude::*;

/// Hosts of ours: `mx.site.example` in front, `*.in.site.example` behind it, and one that writes its results beneath.
fn trust() -> Trust {
    let mut trust = Trust::default();
    for name in ["MX.site.example.", "*.in.site.example", "203.0.113.9"] {
        trust.host(name).unwrap();
    }
    trust.host_with_results_beneath("old.site.example").unwrap();
    trust
}

fn open(header: &str) -> Opened {
    Letter::open(&Message::parse(format!("{header}\n\nx").as_bytes()), &trust())
}

/// Author, dkim, reverse-path, HELO name and client; what is proven in capital letters, `-` for what is not known.
fn told(header: &str) -> String {
    let sender = open(&format!("{header}\nFrom: <ann@shop.example>"))
        .letter
        .sender(&PublicSuffixes::BuiltIn);
    let case = |text: String, is_proven: bool| if is_proven { text.to_uppercase() } else { text };
    let author = sender
        .author
        .map(|author| case(author.local.to_string(), author.is_validated));
    let path = sender.reverse_path;
    let path = path.map(|path| case(format!("{}@{}", path.local, path.domain), path.is_validated));
    let helo = sender.helo.map(|helo| case(helo.domain.to_string(), helo.is_validated));
    let dkim: Vec<_> = sender.dkim.iter().map(|domain| domain.as_str()).collect();
    let client = sender.networks[0].map(|network| network.to_string());
    let or_none = |text: Option<String>| text.unwrap_or("-".into());
    let dkim = if dkim.is_empty() {
        "-".to_owned()
    } else {
        dkim.join("+")
    };
    format!(
        "{} {dkim} {} {} {}",
        or_none(author),
        or_none(path),
        or_none(helo),
        or_none(client)
    )
}

const PATH: &str = "Return-Path: <Bounce@shop.example>";
const LMTP: &str = "Received: from mx.site.example by imap.else.example with LMTP id 1; x";
const RESULTS: &str = "Authentication-Results: mx.site.example; dkim=pass header.d=shop.example; spf=pass \
    smtp.mailfrom=bounce@shop.example";
const BORDER: &str =
    "Received: from mail.shop.example (x.shop.example [192.0.2.77]) by mx.site.example with ESMTP id 1; x";
const FORGED: &str = "Received: from mail.bank.example ([192.0.2.1]) by mx.site.example with ESMTP id 2; x";
/// [`RESULTS`] and [`BORDER`] believed.
const ALL: &str = "ANN shop.example BOUNCE@SHOP.EXAMPLE mail.shop.example 192.0.2.77";
/// Nothing proven, but for who the client was.
const CLIENT: &str = "ann - bounce@shop.example mail.shop.example 192.0.2.77";
const NOTHING: &str = "ann - bounce@shop.example - -";

#[test]
fn results_count_where_no_stranger_can_have_written_them() {
    let border_of_old = BORDER.replace("mx.site", "old.site");
    let results_of_old = RESULTS.replace("mx.site", "old.site");
    for (header, expected) in [
        // As our own gateway writes, and what a delivery agent puts on top.
        ([PATH, RESULTS, BORDER].join("\n"), ALL),
        ([PATH, LMTP, RESULTS, BORDER].join("\n"), ALL),
        (
            [PATH, "Received: (qmail 1 invoked by uid 8); x", RESULTS, BORDER].join("\n"),
            ALL,
        ),
        (
            [PATH, "Received: by 2001:db8::5 with SMTP id 1; x", RESULTS, BORDER].join("\n"),
            ALL,
        ),
        // Beneath, everybody can write.
        ([PATH, BORDER, RESULTS].join("\n"), CLIENT),
        ([PATH, BORDER, RESULTS, FORGED].join("\n"), CLIENT),
        ([PATH, BORDER, FORGED, RESULTS].join("\n"), CLIENT),
        // Unless a host is known to take out what others write in its name.
        ([PATH, &border_of_old, &results_of_old, FORGED].join("\n"), ALL),
        ([PATH, &border_of_old, FORGED, &results_of_old].join("\n"), CLIENT),
        ([PATH, &border_of_old, RESULTS].join("\n"), CLIENT),
        // In the name of somebody else, or of nobody.
        (
            [PATH, &RESULTS.replace("mx.site", "mx.else"), BORDER].join("\n"),
            CLIENT,
        ),
        (
            [PATH, &RESULTS.replace("mx.site.example; ", ""), BORDER].join("\n"),
            CLIENT,
        ),
        // The host that took it is not known: all below may be forged.
        (
            [PATH, &BORDER.replace("mx.site", "mx.else"), RESULTS, FORGED].join("\n"),
            NOTHING,
        ),
        ([PATH, RESULTS].join("\n"), NOTHING),
        (PATH.to_owned(), NOTHING),
        ([RESULTS, BORDER, PATH].join("\n"), ALL),
        ([BORDER, PATH].join("\n"), "ann - - mail.shop.example 192.0.2.77"),
    ] {
        assert_eq!(told(&header), expected, "{header}");
    }
}

#[test]
fn hosts_of_ours_pass_mail_on_to_each_other() {
    let hop = |from: &str, by: &str| {
        told(&format!(
            "{PATH}\nReceived: from {from} by {by} with ESMTP id 1; x\n{RESULTS}\n{BORDER}"
        ))
    };
    const INSIDE: &str = "a.in.site.example";
    for (from, by, expected) in [
        ("mx (unknown [10.0.0.1])", INSIDE, ALL),
        ("mx (unknown [IPv6:fd00::1])", INSIDE, ALL),
        ("mx (mx.site.example [203.0.113.1])", INSIDE, ALL),
        ("mx (unknown [203.0.113.9])", INSIDE, ALL),
        // A HELO name proves nothing, nor does a name that is not confirmed.
        (
            "mx.site.example (unknown [203.0.113.1])",
            INSIDE,
            "ann - bounce@shop.example mx.site.example 203.0.113.1",
        ),
        (
            "mx.x.example (mx.site.example [203.0.113.1] (may be forged))",
            INSIDE,
            "ann - bounce@shop.example mx.x.example 203.0.113.1",
        ),
        ("mx.site.example", INSIDE, "ann - bounce@shop.example mx.site.example -"),
        // A name that only begins or ends alike is another one.
        ("mx (unknown [10.0.0.1])", "xin.site.example", NOTHING),
        ("mx (unknown [10.0.0.1])", "in.site.example", NOTHING),
    ] {
        assert_eq!(hop(from, by), expected, "{from} {by}");
    }
}

/// A filter beside a host calls that host `localhost`; nobody else's `localhost` counts.
#[test]
fn a_filter_gives_mail_back_to_its_host() {
    let filter = |first: &str| {
        told(&format!(
            "{PATH}\nReceived: from a.b.example (a [{first}]) by mx.site.example; x\nReceived: from mx.site.example \
             ([127.0.0.1]) by localhost (mx.site.example [127.0.0.1]) (amavisd-new) with ESMTP; x\n{RESULTS}\n{BORDER}"
        ))
    };
    assert_eq!(filter("127.0.0.1"), ALL);
    assert_eq!(filter("192.0.2.5"), "ann - bounce@shop.example a.b.example 192.0.2.5");
}

#[test]
fn each_pass_proves_one_name() {
    let of = |path: &str, results: &str| {
        told(&format!(
            "Return-Path: <{path}>\nAuthentication-Results: mx.site.example; {results}\n{BORDER}"
        ))
    };
    let rest = "mail.shop.example 192.0.2.77";
    for (path, results, expected) in [
        (
            "a@esp.example",
            "spf=pass smtp.mailfrom=esp.example",
            "ann - A@ESP.EXAMPLE",
        ),
        (
            "a@esp.example",
            "spf=pass smtp.mailfrom=other.example",
            "ann - a@esp.example",
        ),
        (
            "srs0=x=esp.example=a@site.example",
            "spf=pass smtp.mailfrom=a@esp.example",
            "ann - A@ESP.EXAMPLE",
        ),
        (
            "a@www.shop.example",
            "spf=pass smtp.mailfrom=<a@www.shop.example>",
            "ANN - A@WWW.SHOP.EXAMPLE",
        ),
        (
            "a@esp.example",
            "spf=fail smtp.mailfrom=a@esp.example",
            "ann - a@esp.example",
        ),
        ("", "spf=pass smtp.mailfrom=postmaster@mail.shop.example", "ANN - -"),
        ("", "dkim=pass header.i=@news.shop.example", "ANN news.shop.example -"),
        (
            "",
            "dkim=pass header.d=a.example header.i=@b.example; dkim=pass header.d=A.example",
            "ann a.example -",
        ),
        (
            "",
            "dkim=fail header.d=shop.example; dkim=pass header.d=co.uk",
            "ann co.uk -",
        ),
        ("", "dmarc=pass header.from=shop.example", "ANN - -"),
        (
            "",
            "dmarc=pass header.from=other.example; dmarc=fail header.from=shop.example",
            "ann - -",
        ),
        ("", "dkim=pass", "ann - -"),
    ] {
        assert_eq!(of(path, results), format!("{expected} {rest}"), "{results}");
    }
    let helo = of("", "spf=pass smtp.helo=Mail.shop.example");
    assert_eq!(helo, "ann - - MAIL.SHOP.EXAMPLE 192.0.2.77");
}

#[test]
fn a_date_is_of_our_host_and_else_of_any() {
    let dates = |header: &str| {
        let opened = open(header);
        let dates = [opened.trusted_date, opened.top_date, opened.written_date];
        dates.iter().flatten().map(Line::as_str).collect::<Vec<_>>().join("|")
    };
    let two = "Received: from a by imap.else.example with LMTP; 3\nReceived: from b by mx.site.example; 2\nDate: 1";
    assert_eq!(dates(two), "2|3|1");
    assert_eq!(dates("Received: from b by c; 2\nDate: 1"), "2|1");
    assert_eq!(dates("Date: 1"), "1");
    assert_eq!(dates("Subject: 1"), "");
}

#[test]
fn what_was_seen_is_told_for_a_hint() {
    let header = format!("{LMTP}\n{}\n{BORDER}\n{RESULTS}", RESULTS.replace("mx.site", "mx.else"));
    let opened = open(&header);
    assert!(opened.has_border && !opened.has_results && opened.has_results_beneath);
    let ids: Vec<_> = opened.authserv_ids.iter().map(Line::as_str).collect();
    assert_eq!(ids, ["mx.else.example", "mx.site.example"]);
    assert_eq!(opened.top_by.unwrap().as_str(), "imap.else.example");
    for text in ["", "a b", "*.", "*", "a..b"] {
        assert!(Trust::default().host(text).is_none(), "{text}");
    }
}

#[test]
fn ten_thousand_fields_cost_little_and_a_letter_is_bounded() {
    let many = [
        "Received: from a (a [10.0.0.1]) by mx.site.example; x\n".repeat(9_000),
        format!("{RESULTS}\n").repeat(900),
        BORDER.to_owned(),
    ];
    assert!(open(&many.concat()).letter.is_bounded());
    let signers: String = (0..90).map(|n| format!("; dkim=pass header.d=s{n}.example")).collect();
    let letter = open(&format!("Authentication-Results: mx.site.example{signers}\n{BORDER}")).letter;
    assert!(letter.is_bounded() && letter.dkim.len() == 10 && letter.dkim[0] == domain("s0.example"));
    let mut large = letter.clone();
    large.dkim.push(domain("one.example"));
    assert!(!large.is_bounded());
    let author = Author::One {
        address: Line::from("a".repeat(5000)),
        domain: domain("shop.example"),
    };
    assert!(
        !Letter {
            author,
            ..letter.clone()
        }
        .is_bounded()
    );
    let json = serde_json::to_string(&letter).unwrap();
    assert_eq!(serde_json::from_str::<Letter>(&json).unwrap(), letter);
}

proptest! {
    /// Whatever a sender writes beneath the border, it proves nothing.
    #[test]
    fn nothing_beneath_the_border_proves_anything(pieces in proptest::collection::vec(proptest::sample::select(&[
        RESULTS, BORDER, FORGED, LMTP, PATH, "Received: from x ([127.0.0.1]) by mx.site.example with LMTP; x",
        "Received: (note)", "Received: from ( by mx.site.example; x", "X: y",
    ][..]), 0..8)) {
        let below: String = pieces.iter().map(|piece| format!("\n{piece}")).collect();
        prop_assert_eq!(told(&format!("{PATH}\n{BORDER}{below}")), CLIENT);
        let foreign = BORDER.replace("mx.site", "mx.else");
        prop_assert_eq!(told(&format!("{PATH}\n{foreign}{below}")), NOTHING);
    }

    #[test]
    fn any_header_is_a_letter(octets in proptest::collection::vec(
        prop_oneof![any::<u8>(), proptest::sample::select(&b"()[];\r\n .:=@"[..])], 0..300)) {
        let header = [&b"Received: from a ([10.0.0.1]) by mx.site.example; x\r\nAuthentication-Results: "[..], &octets].concat();
        let opened = Letter::open(&Message::parse(&header), &trust());
        prop_assert!(opened.letter.is_bounded());
        let _ = opened.letter.sender(&PublicSuffixes::BuiltIn);
    }
}
