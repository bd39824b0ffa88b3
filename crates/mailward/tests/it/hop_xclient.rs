//! XCLIENT towards next hops (Postfix's XCLIENT_README): a local mail server hears who the client really is, although
//! one kept connection serves them all.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::nexthop::{held, send};
use crate::support::PATIENCE;
use crate::support::boxes;
use crate::support::client::{Client, Mail, Reply};
use crate::support::gateway::{Gateway, Setup};
use crate::support::outside::servers;
use crate::support::private_postfix::{PROGRAMS, PrivatePostfix};
use crate::support::sink::{Act, Script, Sink, Stage};

const OFFER: &str = "XCLIENT NAME ADDR PROTO HELO LOGIN PORT";

fn gateway(target: &str) -> Gateway {
    Setup::new()
        .srv(&["example.com/users/valid/foo"])
        .before(target)
        .start()
}

fn mail() -> Mail {
    Mail::new("1@load.example", &["foo@example.com"])
}

/// Sends from 127.0.0.`last`.
fn send_from(gateway: &Gateway, last: u8, hello: &str) -> Reply {
    let from = IpAddr::from([127, 0, 0, last]);
    let mut client = Client::connect_from(from, gateway.addr()).expect("a connection");
    client.reply().expect("a greeting");
    client.command(hello).expect("a reply");
    let answers = client.transaction(&mail()).expect("a transaction");
    answers.decisive().clone()
}

fn introductions(sink: &Sink) -> Vec<Option<String>> {
    sink.taken().into_iter().map(|taken| taken.xclient).collect()
}

#[test]
fn each_client_is_named_over_one_kept_connection() {
    for sink in [
        Sink::scripted(Script::default().offering(OFFER)),
        Sink::lmtp(Script::default().offering(OFFER)),
    ] {
        let gateway = gateway(&sink.target());
        for (last, hello) in [
            (7, "EHLO a.example"),
            (8, "HELO b.example"),
            (8, "HELO b.example"),
            (7, "EHLO x+y=z"),
        ] {
            assert_eq!(send_from(&gateway, last, hello).code, 250);
        }
        let said = |addr: &str, proto: &str, helo: &str| {
            Some(format!(
                "XCLIENT NAME=[UNAVAILABLE] ADDR={addr} HELO={helo} PROTO={proto} LOGIN=[UNAVAILABLE]"
            ))
        };
        let expected = [
            said("127.0.0.7", "ESMTP", "a.example"),
            said("127.0.0.8", "SMTP", "b.example"),
            said("127.0.0.8", "SMTP", "b.example"),
            said("127.0.0.7", "ESMTP", "x+2By+3Dz"),
        ];
        assert_eq!(introductions(&sink), expected);
        let names: Vec<_> = sink.taken().iter().map(|taken| taken.hello[5..].to_owned()).collect();
        assert_eq!(names, ["a.example", "b.example", "b.example", "mx.example.com"]);
        assert_eq!(sink.connections(), 1);
    }
}

#[test]
fn what_is_not_offered_is_not_said() {
    let sink = Sink::start();
    let before = gateway(&sink.target());
    assert_eq!(send_from(&before, 7, "EHLO a.example").code, 250);
    sink.play(Script::default().offering("XCLIENT ADDR"));
    sink.hang_up();
    assert_eq!(send_from(&before, 7, "EHLO a.example").code, 250);
    assert_eq!(introductions(&sink), [None, Some("XCLIENT ADDR=127.0.0.7".into())]);
}

#[test]
fn xclient_that_is_refused_does_not_keep_mail_back() {
    let script = Script::default().offering(OFFER);
    let sink = Sink::scripted(script.clone().at(Stage::Xclient, Act::Answer("550 5.7.0 not from you")));
    let gateway = gateway(&sink.target());
    for last in [7, 8] {
        assert_eq!(send_from(&gateway, last, "EHLO a.example").code, 250);
    }
    assert_eq!((introductions(&sink), sink.connections()), (vec![None, None], 1));
}

#[test]
fn a_client_is_never_taken_for_the_one_before() {
    // The connection stands for 127.0.0.7, and the server does not take another name any more.
    for act in [
        Act::Answer("550 5.7.0 no more"),
        Act::Answer("421 4.3.2 bye"),
        Act::Close,
        Act::Reset,
    ] {
        let sink = Sink::scripted(Script::default().offering(OFFER));
        let gateway = gateway(&sink.target());
        assert_eq!(send_from(&gateway, 7, "EHLO a.example").code, 250);
        sink.play(Script::default().offering(OFFER).at(Stage::Xclient, act));
        let code = send_from(&gateway, 8, "EHLO b.example").code;
        let said = introductions(&sink);
        assert!(code / 100 == 4 || said[1].is_none(), "{act:?}: {code} {said:?}");
        sink.play(Script::default());
        assert_eq!(send_from(&gateway, 8, "EHLO b.example").code, 250, "{act:?}");
        assert_eq!(introductions(&sink).last(), Some(&None), "{act:?}");
    }
}

#[test]
fn a_server_that_offers_no_second_xclient_gets_a_second_connection() {
    let sink = Sink::scripted(Script::default().offering(OFFER));
    let gateway = gateway(&sink.target());
    assert_eq!(send_from(&gateway, 7, "EHLO a.example").code, 250);
    sink.play(Script::default());
    // It learns from the EHLO of the first connection that XCLIENT is possible; the script forgets it at the next.
    assert_eq!(send_from(&gateway, 8, "EHLO a.example").code, 250);
    assert_eq!(send_from(&gateway, 9, "EHLO a.example").code, 250);
    assert_eq!(sink.connections(), 2);
    assert_eq!(introductions(&sink)[2], None);
}

#[test]
fn connections_that_are_kept_for_one_client_each_stay_within_the_limit() {
    let sink = Sink::scripted(Script::default().offering(OFFER).offering_xclient_once());
    let setup = Setup::new().srv(&["example.com/users/valid/foo"]).before_sink(&sink);
    let gateway = setup.set("limits.next_hop_connections", "3").start();
    for last in 2..12 {
        assert_eq!(send_from(&gateway, last, "EHLO a.example").code, 250);
    }
    assert_eq!(sink.connections(), 10);
    let deadline = Instant::now() + PATIENCE;
    while sink.open_connections() > 3 {
        assert!(Instant::now() < deadline, "{} are open", sink.open_connections());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(send_from(&gateway, 11, "EHLO a.example").code, 250);
    assert_eq!(sink.connections(), 10, "the same client's is used again");
    let clients: Vec<_> = introductions(&sink).into_iter().flatten().collect();
    assert_eq!(clients.len(), 11);
    assert!(clients[0].contains("ADDR=127.0.0.2 ") && clients[10].contains("ADDR=127.0.0.11 "));
}

#[test]
fn a_name_that_the_next_hop_does_not_take_is_replaced_by_ours() {
    for hello in ["EHLO a,b", "EHLO \u{e4}", "HELO a b"] {
        let sink = Sink::scripted(Script::default().offering(OFFER));
        let gateway = gateway(&sink.target());
        assert_eq!(send_from(&gateway, 7, hello).code, 250, "{hello}");
        assert_eq!(sink.taken()[0].hello, "EHLO mx.example.com", "{hello}");
    }
}

#[test]
fn what_is_released_from_the_quarantine_comes_from_us() {
    let sink = Sink::scripted(
        Script::default()
            .offering(OFFER)
            .rcpt("foo@example.com", "550 5.1.1 no"),
    );
    let gateway = gateway(&sink.target());
    assert_eq!(send(&gateway, &mail()).class(), 5);
    assert_eq!(held(&gateway), ["foo@example.com"]);
    sink.play(Script::default().offering(OFFER));
    let copy = &boxes::held(&gateway.spam())[0];
    let id = boxes::header(&copy.message, "X-Mailward-Id").expect("our id");
    let id = id.split(' ').next().expect("an id and a MAC");
    let output = gateway.command(&["quarantine", "release", id]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(introductions(&sink), [None]);
}

#[test]
fn postfix_sees_the_real_client() {
    if !servers("postfix_sees_the_real_client", &PROGRAMS) {
        return;
    }
    let postfix = PrivatePostfix::start(&["foo"], "smtpd_authorized_xclient_hosts = 127.0.0.1\n");
    let gateway = gateway(&postfix.target());
    for (last, hello) in [
        (8, "EHLO eight.example"),
        (9, "HELO nine.example"),
        (9, "HELO nine.example"),
    ] {
        assert_eq!(send_from(&gateway, last, hello).code, 250);
    }
    let mut received: Vec<String> = postfix
        .await_mail("foo", 3)
        .iter()
        .map(|mail| boxes::header(mail, "Received").expect("Postfix's Received"))
        .collect();
    received.sort();
    assert!(
        received[0].starts_with("from eight.example (unknown [127.0.0.8])"),
        "{received:?}"
    );
    for field in &received[1..] {
        assert!(
            field.starts_with("from nine.example (unknown [127.0.0.9])"),
            "{received:?}"
        );
    }
}

#[test]
fn postfix_applies_its_own_rules_to_the_real_client() {
    if !servers("postfix_applies_its_own_rules_to_the_real_client", &PROGRAMS) {
        return;
    }
    let settings = "smtpd_authorized_xclient_hosts = 127.0.0.1\n\
        smtpd_client_restrictions = check_client_access inline:{{127.0.0.9 = reject}}\n";
    let postfix = PrivatePostfix::start(&["foo"], settings);
    let gateway = gateway(&postfix.target());
    assert_eq!(send_from(&gateway, 8, "EHLO a.example").code, 250);
    assert_eq!(send_from(&gateway, 9, "EHLO a.example").class(), 5);
    assert_eq!(send_from(&gateway, 8, "EHLO a.example").code, 250);
    assert_eq!(postfix.await_mail("foo", 2).len(), 2);
}
