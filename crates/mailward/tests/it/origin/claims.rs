//! What a message claims can be written in many ways, and who connected may not be known: neither is a way around.

use super::{BANK, STRANGER, TRUSTED, World, bank, facts, field, fields, mail_from, reverse, signed_mail_from};
use crate::support::client::{Client, Mail};
use crate::support::private_dns::{Zone, is_there};

const CHECK: &str = "example.com/checks/dmarc";

#[test]
fn no_way_of_writing_from_is_a_way_around_its_owners_policy() {
    if !is_there("no_way_of_writing_from_is_a_way_around_its_owners_policy") {
        return;
    }
    let umlauts = Zone::new("xn--bcher-kva.example", "_dmarc TXT \"v=DMARC1; p=reject\"\n");
    let eve = Zone::new("eve.example", "@ TXT \"v=spf1 +all\"\n");
    let world = World::start(&[bank("v=DMARC1; p=reject"), umlauts, eve], &[CHECK]);
    let rest = "To: foo@example.com\r\nDate: Mon, 02 Nov 2026 10:00:00 +0000\r\nSubject: x\r\n\r\nx\r\n";
    let send = |header: &str| {
        let mut client = super::session(world.gateway.addr(), STRANGER, "mx.eve.example");
        let from = client.command("MAIL FROM:<eve@eve.example> SMTPUTF8").expect("a reply");
        assert_eq!(from.code, 250, "{from:?}");
        assert_eq!(client.command("RCPT TO:<foo@example.com>").expect("a reply").code, 250);
        assert_eq!(client.command("DATA").expect("a reply").code, 354);
        client.data(format!("{header}{rest}").as_bytes()).expect("a reply")
    };
    for header in [
        "From: ann@bank.example\r\n",
        "From: ann@BANK.Example\r\n",
        "From: ann@bank.example.\r\n",
        "FROM: Ann <ann@bank.example>\r\n",
        "From : ann@bank.example\r\n",
        "From:\r\n\tann@bank.example\r\n",
        "From: \"eve@eve.example\" <ann@bank.example>\r\n",
        "From: eve@eve.example <ann@bank.example>\r\n",
        "From: <ann@(eve.example)bank.example>\r\n",
        "From: ann (eve@eve.example) @ bank . example\r\n",
        "From: <@eve.example:ann@bank.example>\r\n",
        "From: \"ann\"@bank.example\r\n",
        "From: \"@eve.example\"@bank.example\r\n",
        "From: eve@eve.example, ann@bank.example\r\n",
        "From: eve@eve.example; ann@bank.example\r\n",
        "From: eve@eve.example ann@bank.example\r\n",
        "From: us: eve@eve.example, ann@bank.example;\r\n",
        "From: us: ann@bank.example;\r\n",
        "From: eve@eve.example\r\nFrom: ann@bank.example\r\n",
        "From: ann@bank.example\r\nFrom: eve@eve.example\r\n",
        "From: eve@eve.example\r\nfrom : ann@bank.example\r\n",
        "From: eve@eve.example\r\nFrom:ann@bank.example\r\n",
        "From: ann@bücher.example\r\n",
        "From: ann@BÜCHER.example\r\n",
        "From: ann@xn--bcher-kva.example\r\n",
        "From: ann@bank\u{3002}example\r\n",
        "From: ann@ｂａｎｋ.example\r\n",
        "From: <ann@bank.example\r\n",
        "From: ann@bank.example>\r\n",
        "From: \"ann <ann@bank.example>\r\n",
        "From: =?utf-8?q?ann=40bank.example?=\r\n",
        "From:\r\n",
        "",
    ] {
        let reply = send(header);
        assert!(
            reply.code == 550 && reply.text().starts_with("5."),
            "{header:?} is no way around: {reply:?}\n{}",
            world.why(&reply)
        );
    }
    for header in [
        "From: eve@eve.example\r\n",
        "From: \"ann@bank.example\" <eve@eve.example>\r\n",
        "From: Eve (ann@bank.example) <eve@eve.example>\r\n",
        "X-From: ann@bank.example\r\nFrom: eve@eve.example\r\n",
    ] {
        let reply = send(header);
        assert_eq!(reply.code, 250, "{header:?}: {reply:?}");
    }
}

#[test]
fn names_in_any_script_are_those_that_the_dns_knows() {
    if !is_there("names_in_any_script_are_those_that_the_dns_knows") {
        return;
    }
    let books = Zone::new(
        "xn--bcher-kva.example",
        &format!("@ TXT \"v=spf1 ip4:{BANK} -all\"\n_dmarc TXT \"v=DMARC1; p=reject\"\n"),
    );
    let world = World::start(&[books], &[CHECK, "example.com/checks/spf"]);
    let rest = "To: foo@example.com\r\nDate: Mon, 02 Nov 2026 10:00:00 +0000\r\nSubject: x\r\n\r\nx\r\n";
    for (sender, smtputf8) in [
        ("jürgen@bücher.example", " SMTPUTF8"),
        ("juergen@xn--bcher-kva.example", " SMTPUTF8"),
        ("juergen@XN--BCHER-KVA.example", ""),
    ] {
        for author in ["jürgen@bücher.example", "juergen@xn--bcher-kva.example"] {
            let mut client = super::session(world.gateway.addr(), BANK, "mx.example");
            let from = client
                .command(&format!("MAIL FROM:<{sender}>{smtputf8}"))
                .expect("a reply");
            assert_eq!(from.code, 250, "{from:?}");
            assert_eq!(client.command("RCPT TO:<foo@example.com>").expect("a reply").code, 250);
            assert_eq!(client.command("DATA").expect("a reply").code, 354);
            let reply = client
                .data(format!("From: <{author}>\r\n{rest}").as_bytes())
                .expect("a reply");
            assert_eq!(reply.code, 250, "{sender} {author}: {reply:?}\n{}", world.why(&reply));
            let results = field(&world.last(), "Authentication-Results");
            assert!(
                results.contains("spf=pass")
                    && results.contains("dmarc=pass")
                    && results.contains("header.from=xn--bcher-kva.example"),
                "{results}"
            );
            // Only where the client said so may a header hold more than ASCII (RFC 6532).
            assert!(!smtputf8.is_empty() || results.is_ascii(), "{results}");
            let received = field(&world.last(), "Received-SPF");
            assert!(received.contains(&format!("envelope-from=\"{sender}\"")), "{received}");
        }
    }
}

#[test]
fn nothing_is_proven_by_the_address_of_a_proxy() {
    if !is_there("nothing_is_proven_by_the_address_of_a_proxy") {
        return;
    }
    // The proxy's own address may send for home.example and has a name; the client behind it is unknown.
    let home = Zone::new(
        "home.example",
        "@ TXT \"v=spf1 ip4:127.0.0.0/8 -all\"\nmx A 127.0.0.2\n_dmarc TXT \"v=DMARC1; p=reject\"\n",
    );
    let loopback = Zone::new("127.in-addr.arpa", "2.0.0 PTR mx.home.example.\n");
    let files = ["example.com/checks/spf", CHECK, "example.com/zones=bl.example"];
    let list = Zone::new("bl.example", "2.0.0.127 A 127.0.0.2\n");
    let world = World::start(&[home, loopback, list, bank("v=DMARC1; p=reject")], &files);
    let mut client = Client::greeted_from(TRUSTED, world.gateway.addr());
    assert_eq!(client.command("XCLIENT ADDR=[UNAVAILABLE]").expect("a reply").code, 220);
    assert_eq!(client.command("EHLO mx.home.example").expect("a reply").code, 250);
    let mut send = |mail: &Mail| client.transaction(mail).expect("a transaction").decisive().clone();
    let reply = send(&mail_from("ann@home.example"));
    assert!(
        reply.code == 550 && reply.text().starts_with("5.7.26 "),
        "{reply:?}: {}",
        world.why(&reply)
    );
    // What does not go by the address is proven all the same.
    let reply = send(&signed_mail_from("ann@bank.example"));
    assert_eq!(reply.code, 250, "{}", world.why(&reply));
    let facts = world.facts(&reply);
    for skipped in ["iprev", "spf_helo", "spf_mail_from"] {
        assert!(facts["origin"][skipped]["Skipped"].is_string(), "{skipped}: {facts}");
    }
    let results = field(&world.last(), "Authentication-Results");
    assert!(
        results.contains("dmarc=pass") && !results.contains("spf=pass"),
        "{results}"
    );
    assert_eq!(field(&world.last(), "X-REMOTE-HOST"), "Unknown");
}

#[test]
fn mail_of_our_own_networks_is_asked_nothing() {
    if !is_there("mail_of_our_own_networks_is_asked_nothing") {
        return;
    }
    let world = World::start_with(&[bank("v=DMARC1; p=reject"), reverse()], &[CHECK], |setup| {
        setup.set("smtp.relay_networks", "[\"198.51.100.66/32\"]")
    });
    let mut mail = mail_from("ann@bank.example");
    mail.rcpts = vec!["bob@elsewhere.example".into()];
    let claim = b"Authentication-Results: mx.example.com; dmarc=pass\r\n";
    mail.message = [claim.as_slice(), &mail.message].concat();
    let message = world.deliver(STRANGER, &mail);
    assert!(
        fields(&message, "Authentication-Results").is_empty(),
        "what claims to be ours is taken out, and nothing was asked"
    );
    assert!(fields(&message, "Received-SPF").is_empty());
}

#[test]
fn each_recipient_is_judged_by_its_own_domain() {
    if !is_there("each_recipient_is_judged_by_its_own_domain") {
        return;
    }
    let files = [
        CHECK,
        "lax.example/users/valid/foo",
        "strict.example/users/valid/foo",
        "strict.example/checks/spf",
    ];
    let world = World::start(&[bank("v=DMARC1; p=reject"), reverse()], &files);
    let mut mail = mail_from("ann@bank.example");
    mail.rcpts = ["example.com", "lax.example", "strict.example"]
        .map(|domain| format!("foo@{domain}"))
        .to_vec();
    assert_eq!(world.send(STRANGER, &mail).code, 250, "one of them takes it");
    assert_eq!(world.sink.taken()[0].rcpts, ["foo@lax.example"]);
    let held = crate::support::boxes::held(&world.gateway.spam());
    let mut kept: Vec<(&str, String)> = held
        .iter()
        .map(|copy| (copy.recipient.as_str(), field(&copy.message, "X-REJECT-PLUGIN")))
        .collect();
    kept.sort();
    assert_eq!(
        kept,
        [
            ("foo@example.com", "checks/dmarc".to_owned()),
            ("foo@strict.example", "checks/spf".to_owned())
        ]
    );
}

#[test]
fn many_messages_at_one_time_share_their_questions() {
    if !is_there("many_messages_at_one_time_share_their_questions") {
        return;
    }
    let world = World::start(
        &[bank("v=DMARC1; p=reject"), reverse()],
        &[CHECK, "example.com/checks/spf"],
    );
    let mail = signed_mail_from("ann@bank.example");
    let addr = world.gateway.addr();
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let mail = mail.clone();
            std::thread::spawn(move || {
                for _ in 0..5 {
                    assert_eq!(super::send_to(addr, BANK, &mail).code, 250);
                }
            })
        })
        .collect();
    clients
        .into_iter()
        .for_each(|client| client.join().expect("all are welcome"));
    let status = crate::support::daemon::said(&world.gateway, &["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    let count = |name: &str| {
        status["dns"][name]
            .as_u64()
            .unwrap_or_else(|| panic!("no {name} in {status}"))
    };
    // PTR, A, three of SPF, the key, the policy, MX: far fewer were sent than forty messages asked.
    assert!(count("asked") >= 40 * 6, "{status}");
    assert!(count("queried") <= 20, "{status}");
    // Nothing that is remembered is forgotten to be proven.
    let reply = world.send(BANK, &mail);
    assert_eq!(
        facts(&world.gateway, &reply)["origin"]["spf_mail_from"]["Found"]["security"],
        "insecure"
    );
}
