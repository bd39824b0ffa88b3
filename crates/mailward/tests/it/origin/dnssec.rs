//! What is proven by DNSSEC, and how a client encrypts, are facts; what is forged is not believed and nobody's fault.

use std::process::Command;

use super::{BANK, STRANGER, World, bank, field, mail_from, reverse, signed_mail_from};
use crate::support::daemon;
use crate::support::outside::{find_program, need};
use crate::support::private_dns::{PrivateDns, Zone, is_there};
use crate::support::wire::TlsClient;

/// The bank's zone and its reverse zone, both signed.
fn signed() -> [Zone; 2] {
    [bank("v=DMARC1; p=reject").signed(), reverse().signed()]
}

#[test]
fn what_stands_in_a_signed_zone_is_known_to_be_proven() {
    if !is_there("what_stands_in_a_signed_zone_is_known_to_be_proven") {
        return;
    }
    let securities = |zones: &[Zone], trust_ad: &str| {
        let world = World::start_with(zones, &[], |setup| setup.set("dns.trust_ad", trust_ad));
        let reply = world.send(BANK, &signed_mail_from("ann@bank.example"));
        assert_eq!(reply.code, 250, "{reply:?}");
        let origin = &world.facts(&reply)["origin"];
        let of = |name: &str| {
            origin[name]["Found"]["security"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let key = origin["dkim"]["Found"][0]["security"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let mut all = ["iprev", "spf_helo", "spf_mail_from", "dmarc", "mx"].map(of).to_vec();
        all.push(key);
        let why = world.why(&reply);
        for proof in ["spf", "dkim", "dmarc"] {
            assert!(
                field(&world.last(), "Authentication-Results").contains(&format!("{proof}=pass")),
                "{why}"
            );
        }
        (all, why)
    };
    let each = |word: &str| vec![word.to_owned(); 6];
    let (all, why) = securities(&signed(), "true");
    assert_eq!(all, each("secure"), "{why}");
    assert!(
        why.contains("(signed by DNSSEC)") && !why.contains("(not signed by DNSSEC)"),
        "{why}"
    );
    let unsigned = [bank("v=DMARC1; p=reject"), reverse()];
    let (all, why) = securities(&unsigned, "true");
    assert_eq!(all, each("insecure"), "{why}");
    assert!(why.contains("(not signed by DNSSEC)"), "{why}");
    // Nobody who could say was asked.
    let (all, why) = securities(&signed(), "false");
    assert_eq!(all, each("unknown"), "{why}");
    assert!(!why.contains("DNSSEC"), "{why}");
    // Both ways count: the name is signed, the reverse zone is not.
    let (all, _) = securities(&[bank("v=DMARC1; p=reject").signed(), reverse()], "true");
    assert_eq!(all[0], "insecure");
    assert_eq!(all[1..], each("secure")[1..]);
}

#[test]
fn absence_is_proven_too() {
    if !is_there("absence_is_proven_too") {
        return;
    }
    let quiet = Zone::new("quiet.example", "mx A 192.0.2.25\n");
    let world = World::start(&[quiet.signed(), reverse()], &[]);
    let reply = world.send(BANK, &mail_from("ann@quiet.example"));
    let mx = world.proof(&reply, "mx");
    assert_eq!((&mx["exchange"], &mx["security"]), (&"none".into(), &"secure".into()));
    let reply = world.send(BANK, &mail_from("ann@nosuch.quiet.example"));
    let mx = world.proof(&reply, "mx");
    assert_eq!(
        (&mx["exchange"], &mx["security"]),
        (&"no_domain".into(), &"secure".into())
    );
}

#[test]
fn what_is_forged_is_neither_believed_nor_refused() {
    if !is_there("what_is_forged_is_neither_believed_nor_refused") {
        return;
    }
    // As `p=reject` and `-all` of a zone whose signatures are wrong: the validating server says SERVFAIL.
    let files = [
        "example.com/checks/spf",
        "example.com/checks/dmarc",
        "example.com/checks/dkim_check=soft = false",
        "named.example/users/valid/foo",
        "named.example/checks/rdns=confirmed = true",
        "careful.example/users/valid/foo",
        "careful.example/checks/spf=unavailable = \"defer\"",
    ];
    let world = World::start(&[bank("v=DMARC1; p=reject").broken(), reverse().broken()], &files);
    let reply = world.send(STRANGER, &signed_mail_from("ann@bank.example"));
    assert_eq!(reply.code, 250, "{}", world.why(&reply));
    for proof in ["spf_mail_from", "dmarc"] {
        assert_eq!(world.proof(&reply, proof)["result"], "temperror", "{proof}");
    }
    assert_eq!(world.proof(&reply, "dkim")[0]["result"], "temperror");
    let mut to_named = mail_from("ann@bank.example");
    to_named.rcpts = vec!["foo@named.example".into()];
    let reply = world.send(BANK, &to_named);
    assert_eq!(
        (reply.code, world.proof(&reply, "iprev")["result"].as_str()),
        (250, Some("temperror"))
    );
    assert_eq!(field(&world.last(), "X-REMOTE-HOST"), "Unknown");
    let mut careful = mail_from("ann@bank.example");
    careful.rcpts = vec!["foo@careful.example".into()];
    let reply = world.send(STRANGER, &careful);
    assert_eq!(reply.code, 451, "{reply:?}");
    // The server is alive: a zone beside it answers.
    let elsewhere = world.send(STRANGER, &mail_from("ann@elsewhere.example"));
    assert_eq!(world.proof(&elsewhere, "spf_mail_from")["result"], "none");
}

#[test]
fn an_answer_larger_than_a_datagram_comes_by_tcp() {
    if !is_there("an_answer_larger_than_a_datagram_comes_by_tcp") {
        return;
    }
    // SPF finds its record among others of 12 KB in all; one without it has none.
    let noise: String = (0..60)
        .map(|n| format!("@ TXT \"verification-{n}={}\"\n", "x".repeat(190)))
        .collect();
    let zone = Zone::new("noisy.example", &format!("{noise}@ TXT \"v=spf1 ip4:{BANK} -all\"\n"));
    let world = World::start(&[zone], &["example.com/checks/spf"]);
    let reply = world.send(BANK, &mail_from("ann@noisy.example"));
    assert_eq!(
        world.proof(&reply, "spf_mail_from")["result"],
        "pass",
        "{}",
        world.why(&reply)
    );
    assert_eq!(world.send(STRANGER, &mail_from("ann@noisy.example")).code, 550);
}

#[test]
fn the_check_tls_wants_listed_domains_encrypted() {
    if !is_there("the_check_tls_wants_listed_domains_encrypted") {
        return;
    }
    let files = [
        "example.com/checks/tls=domains = [\"bank.example\"]",
        "every.example/users/valid/foo",
        "every.example/checks/tls",
    ];
    let world = World::start(&signed(), &files);
    let to = |rcpt: &str, author: &str| {
        let mut mail = mail_from(author);
        mail.rcpts = vec![rcpt.into()];
        mail
    };
    let said = world.refused(BANK, &mail_from("ann@bank.example"));
    assert!(
        said.contains("Mail from bank.example must come encrypted (STARTTLS)"),
        "{said}"
    );
    world.refused(BANK, &mail_from("ann@sub.bank.example"));
    assert_eq!(world.send(BANK, &mail_from("ann@notbank.example")).code, 250);
    world.refused(BANK, &to("foo@every.example", "ann@elsewhere.example"));
    let mut bounce = to("foo@every.example", "ann@elsewhere.example");
    bounce.from.clear();
    assert_eq!(world.send(BANK, &bounce).code, 250, "a notification has no domain");

    let mut client = crate::support::client::Client::greeted(world.gateway.addr());
    client.start_tls(&TlsClient::speaking("mx.example.com", &[&rustls::version::TLS12]));
    assert_eq!(client.command("EHLO mx.bank.example").expect("a reply").code, 250);
    let answers = client
        .transaction(&mail_from("ann@bank.example"))
        .expect("a transaction");
    let reply = answers.decisive();
    assert_eq!(reply.code, 250, "{reply:?}");
    let why = world.why(reply);
    assert!(why.contains("encrypted, TLS1.2 with TLS_ECDHE_"), "{why}");
    assert!(why.contains("asking for mx.example.com"), "{why}");
    let plain = world.send(BANK, &mail_from("ann@elsewhere.example"));
    assert!(world.why(&plain).contains("not encrypted"));
}

#[test]
fn swaks_comes_by_starttls_from_a_signed_zone() {
    const TEST: &str = "swaks_comes_by_starttls_from_a_signed_zone";
    let has_tls = || Command::new("perl").args(["-MNet::SSLeay", "-e", "1"]).output();
    if !is_there(TEST)
        || !need(TEST, find_program("swaks").is_some(), "`swaks` is not installed")
        || !need(
            TEST,
            has_tls().is_ok_and(|output| output.status.success()),
            "swaks lacks Net::SSLeay",
        )
    {
        return;
    }
    let home = Zone::new(
        "home.example",
        "@ TXT \"v=spf1 a:mx.home.example -all\"\n@ MX 1 mx\nmx A 127.0.0.1\n_dmarc TXT \"v=DMARC1; p=reject\"\n",
    );
    let loopback = Zone::new("127.in-addr.arpa", "1.0.0 PTR mx.home.example.\n");
    let files = [
        "example.com/checks/recommended",
        "example.com/checks/tls",
        "example.com/checks/rdns=confirmed = true",
    ];
    let world = World::start(&[home.signed(), loopback.signed()], &files);
    let addr = world.gateway.addr().to_string();
    let swaks = |more: &[&str]| {
        let mut command = Command::new("swaks");
        command.args([
            "--server",
            &addr,
            "--to",
            "foo@example.com",
            "--from",
            "ann@home.example",
        ]);
        command.args(["--helo", "mx.home.example", "--header", "From: Ann <ann@home.example>"]);
        let output = command.args(more).output().expect("swaks can be run");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let said = swaks(&["--tls"]);
    assert!(said.contains("250 2.0.0 accepted"), "{said}");
    let message = world.last();
    let results = field(&message, "Authentication-Results");
    for proof in ["iprev=pass", "spf=pass", "dmarc=pass"] {
        assert!(results.contains(proof), "{results}");
    }
    assert_eq!(field(&message, "X-REMOTE-HOST"), "mx.home.example");
    let id = field(&message, "X-Mailward-Id");
    let id = id.split(' ').next().expect("an id");
    let why = daemon::said(&world.gateway, &["why", id]);
    assert!(
        why.contains("encrypted, TLS1.3") && why.contains("home.example takes mail (signed by DNSSEC)"),
        "{why}"
    );
    let said = swaks(&[]);
    assert!(
        said.contains("550 5.7.1 Mail from home.example must come encrypted (STARTTLS)"),
        "{said}"
    );
}

#[test]
fn one_server_of_two_is_enough() {
    if !is_there("one_server_of_two_is_enough") {
        return;
    }
    let dns = PrivateDns::start(&signed());
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let servers = format!(
        "[\"{}\", \"{}\"]",
        silent.local_addr().expect("it is bound"),
        dns.addr()
    );
    let world = World::start_with(&signed(), &[], |setup| setup.set("dns.servers", &servers));
    let reply = world.send(BANK, &mail_from("ann@bank.example"));
    assert_eq!(
        world.proof(&reply, "spf_mail_from")["result"],
        "pass",
        "{}",
        world.why(&reply)
    );
}
