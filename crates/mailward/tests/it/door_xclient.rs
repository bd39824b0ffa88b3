//! XCLIENT from those who are trusted with it: the client that they name is judged, and it alone.

use serde_json::Value;

use crate::support::boxes;
use crate::support::client::{Client, Mail, Reply};
use crate::support::gateway::{Gateway, Setup};
use crate::support::sink::{Script, Sink};
use crate::support::wire::TlsClient;

const TRUSTED: &str = "127.0.0.2";

fn setup(sink: &Sink) -> Setup {
    Setup::new()
        .srv(&[
            "example.com/users/valid/foo",
            "example.com/users/valid/inner/127.0.0.2",
            "example.com/users/valid/outer/192.0.2.60",
            "example.com/whitelisted/ips/127.0.0.2",
            "example.com/whitelisted/ips/192.0.2.50",
            "example.com/blacklisted/ips/192.0.2.70",
        ])
        .before_sink(sink)
        .set("smtp.trusted", r#"["127.0.0.2/32"]"#)
        .set("smtp.relay_networks", r#"["127.0.0.2/32", "192.0.2.40/32"]"#)
}

/// A session for another client.
fn session_for(gateway: &Gateway, attributes: &str) -> Client {
    let mut client = Client::greeted_from(TRUSTED, gateway.addr());
    let reply = client.command(&format!("XCLIENT {attributes}")).expect("a reply");
    assert_eq!(reply.code, 220, "{reply:?}");
    assert_eq!(client.command("EHLO proxy.example").expect("a reply").code, 250);
    client
}

fn deliver(client: &mut Client, rcpt: &str) -> Reply {
    let mail = Mail::new("1@load.example", &[rcpt]);
    client.transaction(&mail).expect("a transaction").decisive().clone()
}

fn facts(gateway: &Gateway, reply: &Reply) -> Value {
    let id = reply.id().expect("the reply names the message");
    let output = gateway.command(&["why", "--json", &id]);
    let json: Value = serde_json::from_slice(&output.stdout).expect("`why --json` is JSON");
    json["facts"].clone()
}

#[test]
fn only_those_who_are_trusted_are_offered_it_and_may_use_it() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let offer = |source: &str| {
        let mut client =
            Client::connect_from(source.parse().expect("an address"), gateway.addr()).expect("a connection");
        client.reply().expect("a greeting");
        let hello = client.command("EHLO x.example").expect("a reply");
        let offered = hello.lines.iter().any(|line| line.starts_with("XCLIENT "));
        (offered, client.command("XCLIENT ADDR=192.0.2.7").expect("a reply").code)
    };
    assert_eq!(offer(TRUSTED), (true, 220));
    assert_eq!(offer("127.0.0.3"), (false, 550));
    let mut client = Client::greeted_from("127.0.0.3", gateway.addr());
    for line in [
        "XCLIENT",
        "XCLIENT ADDR=x",
        "XCLIENT FOO=BAR",
        "XCLIENT ADDR=[UNAVAILABLE]",
    ] {
        assert_eq!(client.command(line).expect("a reply").code, 550, "{line}");
    }
    assert_eq!(deliver(&mut client, "foo@example.com").code, 250);
    let message = &sink.taken()[0].message;
    assert_eq!(boxes::header(message, "X-Remote-IP").as_deref(), Some("127.0.0.3"));
}

#[test]
fn what_it_says_is_what_is_judged_recorded_and_written() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let mut client = session_for(
        &gateway,
        "ADDR=192.0.2.7 HELO=real.client.example PROTO=SMTP LOGIN=ann+2Btag NAME=x.example PORT=4000",
    );
    let reply = deliver(&mut client, "foo@example.com");
    assert_eq!(reply.code, 250, "{reply:?}");
    let message = &sink.taken()[0].message;
    let field = |name| boxes::header(message, name).unwrap_or_default();
    assert_eq!(
        (field("X-Remote-IP"), field("X-HELO")),
        ("192.0.2.7".into(), "real.client.example".into())
    );
    let received = field("Received");
    assert!(
        received.contains("from real.client.example ([192.0.2.7])"),
        "{received}"
    );
    assert!(received.contains(" with SMTP "), "{received}");
    let facts = facts(&gateway, &reply);
    assert_eq!(
        (&facts["client"], &facts["login"]),
        (&"192.0.2.7".into(), &"ann+tag".into())
    );
    // Another client by the same connection: nothing of the first is left.
    assert_eq!(
        client
            .command("XCLIENT ADDR=IPV6:2001:db8::7 HELO=[UNAVAILABLE] PROTO=ESMTP LOGIN=[UNAVAILABLE]")
            .expect("a reply")
            .code,
        220
    );
    assert_eq!(client.command("EHLO second.example").expect("a reply").code, 250);
    let reply = deliver(&mut client, "foo@example.com");
    let message = &sink.taken()[1].message;
    let field = |name| boxes::header(message, name).unwrap_or_default();
    assert_eq!(
        (field("X-Remote-IP"), field("X-HELO")),
        ("2001:db8::7".into(), "second.example".into())
    );
    assert!(field("Received").contains(" with ESMTP "), "{}", field("Received"));
    assert_eq!(self::facts(&gateway, &reply)["login"], Value::Null);
}

#[test]
fn rights_and_lists_are_those_of_the_named_address() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let from = |addr: &str, rcpt: &str| deliver(&mut session_for(&gateway, &format!("ADDR={addr}")), rcpt).code;
    assert_eq!(from("192.0.2.40", "x@elsewhere.example"), 250, "a relay network");
    assert_eq!(from("192.0.2.42", "x@elsewhere.example"), 550);
    assert_eq!(from("192.0.2.50", "nobody@example.com"), 250, "whitelisted");
    assert_eq!(from("192.0.2.51", "nobody@example.com"), 550);
    assert_eq!(from("192.0.2.60", "outer@example.com"), 250, "its file is there");
    assert_eq!(from("192.0.2.60", "inner@example.com"), 550);
    assert_eq!(from("192.0.2.70", "foo@example.com"), 550, "blacklisted");
    // The proxy speaks for itself.
    let mut own = Client::greeted_from(TRUSTED, gateway.addr());
    assert_eq!(deliver(&mut own, "x@elsewhere.example").code, 250);
}

#[test]
fn a_client_whose_address_is_unavailable_has_no_rights() {
    // It kept the proxy's address, and was in the lists that the proxy is in.
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    for word in ["[UNAVAILABLE]", "[TEMPUNAVAIL]"] {
        let from = |rcpt| deliver(&mut session_for(&gateway, &format!("ADDR={word}")), rcpt).code;
        assert_eq!(from("x@elsewhere.example"), 550, "no relay");
        assert_eq!(from("nobody@example.com"), 550, "not whitelisted");
        assert_eq!(from("inner@example.com"), 550, "no file of its own");
        assert_eq!(from("foo@example.com"), 250);
    }
}

#[test]
fn a_next_hop_hears_that_the_address_is_not_known() {
    let sink = Sink::scripted(Script::default().offering("XCLIENT ADDR HELO"));
    let gateway = setup(&sink).start();
    let mut client = session_for(&gateway, "ADDR=[UNAVAILABLE] HELO=x.example");
    assert_eq!(deliver(&mut client, "foo@example.com").code, 250);
    let said = sink.taken()[0].xclient.clone();
    assert_eq!(said.as_deref(), Some("XCLIENT ADDR=[UNAVAILABLE] HELO=x.example"));
}

#[test]
fn connections_are_counted_for_the_client_that_is_named() {
    let sink = Sink::start();
    let gateway = setup(&sink).set("limits.connections_per_client", "2").start();
    let kept: Vec<Client> = (0..2).map(|_| session_for(&gateway, "ADDR=192.0.2.7")).collect();
    let mut third = Client::greeted_from(TRUSTED, gateway.addr());
    let reply = third.command("XCLIENT ADDR=192.0.2.8").expect("a reply");
    assert_eq!((reply.code, &reply.text()[..5]), (421, "4.7.0"), "{reply:?}");
    assert!(third.closed());
    // The proxy itself counts no more than the clients it speaks for.
    let _others: Vec<Client> = (0..4)
        .map(|n| session_for(&gateway, &format!("ADDR=198.51.{n}.1")))
        .collect();
    drop(kept);
}

#[test]
fn it_is_refused_within_a_transaction_and_with_a_wrong_form() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let mut client = Client::greeted_from(TRUSTED, gateway.addr());
    client.begin(&Mail::new("1@load.example", &["foo@example.com"]));
    assert_eq!(client.command("XCLIENT ADDR=192.0.2.7").expect("a reply").code, 503);
    assert_eq!(client.command("RSET").expect("a reply").code, 250);
    for line in [
        "XCLIENT",
        "XCLIENT ADDR=x",
        "XCLIENT FOO=BAR",
        "XCLIENT ADDR=192.0.2.7 ADDR",
    ] {
        assert_eq!(client.command(line).expect("a reply").code, 501, "{line}");
    }
    assert_eq!(client.command("XCLIENT ADDR=192.0.2.7").expect("a reply").code, 220);
    let reply = client.command("MAIL FROM:<a@b.example>").expect("a reply");
    assert_eq!(reply.code, 503, "EHLO is due: {reply:?}");
}

#[test]
fn the_proxys_encryption_is_not_taken_for_the_clients() {
    // What was known of the proxy's own TLS was recorded, and written into Received, as if it were the client's.
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let mut client = Client::greeted_from(TRUSTED, gateway.addr());
    client.start_tls(&TlsClient::new("mx.example.com"));
    assert_eq!(client.command("EHLO proxy.example").expect("a reply").code, 250);
    assert_eq!(client.command("XCLIENT ADDR=192.0.2.7").expect("a reply").code, 220);
    assert_eq!(client.command("EHLO client.example").expect("a reply").code, 250);
    let reply = deliver(&mut client, "foo@example.com");
    assert_eq!(facts(&gateway, &reply)["tls"], Value::Null);
    let received = boxes::header(&sink.taken()[0].message, "Received").expect("our trace");
    assert!(!received.contains("TLS"), "{received}");
}
