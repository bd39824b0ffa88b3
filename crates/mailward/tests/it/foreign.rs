//! Fields that came with a message and claim to be ours or a filter's: strangers' go, and are recorded; those that a client of
//! `relay_networks` brings stay, and which client that is follows XCLIENT.

use serde_json::Value;

use crate::support::client::{Client, Mail, Reply};
use crate::support::gateway::{Gateway, Setup, quoted};
use crate::support::sink::Sink;

/// May say for whom it speaks, and is itself one of `relay_networks`.
const TRUSTED: &str = "127.0.0.2";
/// One of `relay_networks`, behind it.
const OURS: &str = "192.0.2.40";
const STRANGER: &str = "198.51.100.66";

/// Everybody's, with the host name of `Setup`.
const CLAIMS: &[&str] = &[
    "X-Mailward: no",
    "X-Mailward-Verdict: fine",
    "Authentication-Results: ; mx.example.com; dmarc=pass",
    "Received-SPF: pass (x) receiver=mx(c).example.com; identity=mailfrom",
];
/// Those that a filter before us may have written.
const OF_FILTERS: &[&str] = &[
    "X-Spam-Flag: NO",
    "X-Spam-Status: No, score=-9.9",
    "X-Spam-Level:",
    "X-Spamd-Result: default: False",
    "ARC-Authentication-Results: i=1; mx.example.com; dmarc=pass",
    "BIMI-Indicator: PHN2Zz4=",
    "BIMI-Location: https://evil.example/logo.svg",
];
const OTHERS: &[&str] = &[
    "Delivered-To: foo@example.com",
    "BIMI-Selector: v=BIMI1; s=default",
    "Authentication-Results: relay.example; spf=pass",
];

fn setup(sink: &Sink) -> Setup {
    Setup::new()
        .srv(&["example.com/users/valid/foo"])
        .before_sink(sink)
        .set("smtp.trusted", &format!("[\"{TRUSTED}\"]"))
        .set("smtp.relay_networks", &format!("[\"{TRUSTED}\", \"{OURS}\"]"))
        .set("relay.to", &quoted(&sink.target()))
}

/// Sends a message for a client; the reply, and what the next hop got.
fn sent(gateway: &Gateway, sink: &Sink, attributes: &str, message: Vec<u8>) -> (Reply, String) {
    let mut client = Client::greeted_from(TRUSTED, gateway.addr());
    assert_eq!(
        client.command(&format!("XCLIENT {attributes}")).expect("a reply").code,
        220
    );
    assert_eq!(client.command("EHLO mx.sender.example").expect("a reply").code, 250);
    let mut mail = Mail::new("1@load.example", &["foo@example.com"]);
    mail.message = message;
    let reply = client.transaction(&mail).expect("a transaction").decisive().clone();
    assert_eq!(reply.code, 250, "{reply:?}");
    let taken = sink.taken();
    let last = &taken.last().expect("a message").message;
    (reply, String::from_utf8_lossy(last).into_owned())
}

fn message(fields: &[&[&str]]) -> Vec<u8> {
    let fields: String = fields.concat().iter().map(|field| format!("{field}\r\n")).collect();
    format!("{fields}From: Ann <ann@sender.example>\r\nSubject: the minutes\r\n\r\nHello\r\n").into_bytes()
}

fn facts(gateway: &Gateway, reply: &Reply) -> Value {
    let id = reply.id().expect("the reply names the message");
    let output = gateway.command(&["why", "--json", &id]);
    let json: Value = serde_json::from_slice(&output.stdout).expect("`why --json` is JSON");
    json["facts"].clone()
}

/// `X-Spam-Status: No` of a stranger was passed on, and a filter behind that trusts it let the message through.
#[test]
fn fields_that_strangers_write_for_filters_go_and_are_recorded() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let text = || message(&[CLAIMS, OF_FILTERS, OTHERS]);
    // A proxy that names nobody lends nobody its own rights.
    for attributes in [format!("ADDR={STRANGER}"), "ADDR=[UNAVAILABLE]".to_owned()] {
        let (reply, passed_on) = sent(&gateway, &sink, &attributes, text());
        for field in [CLAIMS, OF_FILTERS].concat() {
            assert!(!passed_on.contains(field), "{attributes}, {field}: {passed_on}");
        }
        for field in OTHERS {
            assert!(passed_on.contains(field), "{attributes}, {field}: {passed_on}");
        }
        let facts = facts(&gateway, &reply);
        let removed = facts["removed"].as_array().expect("a list");
        assert_eq!(removed.len(), CLAIMS.len() + OF_FILTERS.len(), "{removed:?}");
        assert_eq!(removed[5], "X-Spam-Status: No, score=-9.9");
        let why = gateway.command(&["why", &reply.id().expect("an id")]).stdout;
        let why = String::from_utf8_lossy(&why).into_owned();
        assert!(why.contains("X-Spam-Status: No, score=-9.9"), "{why}");
    }
}

#[test]
fn what_our_own_networks_wrote_for_filters_stays() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let text = message(&[CLAIMS, OF_FILTERS, OTHERS]);
    let (_, passed_on) = sent(&gateway, &sink, &format!("ADDR={OURS}"), text);
    for field in CLAIMS {
        assert!(!passed_on.contains(field), "{field}: {passed_on}");
    }
    for field in [OF_FILTERS, OTHERS].concat() {
        assert!(passed_on.contains(field), "{field}: {passed_on}");
    }
}

#[test]
fn the_list_of_fields_is_the_operators() {
    let sink = Sink::start();
    let gateway = setup(&sink).set("smtp.filter_fields", "[\"X-Foo-*\"]").start();
    let fields: &[&str] = &["X-Spam-Status: No", "x-foo-bar: 1", "X-Spam-Flag: NO"];
    let (_, passed_on) = sent(&gateway, &sink, &format!("ADDR={STRANGER}"), message(&[fields]));
    assert!(passed_on.contains("X-Spam-Status: No"), "{passed_on}");
    assert!(
        !passed_on.contains("x-foo-bar") && !passed_on.contains("X-Spam-Flag"),
        "{passed_on}"
    );
}

/// Our own id comes off like all that only we may write, and is read before: with our seal it says that the message was here.
#[test]
fn a_sealed_id_is_read_before_it_goes() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let attributes = format!("ADDR={STRANGER}");
    let (first, passed_on) = sent(&gateway, &sink, &attributes, message(&[]));
    let id = first.id().expect("an id");
    let (again, passed_on) = sent(&gateway, &sink, &attributes, passed_on.into_bytes());
    assert_eq!(facts(&gateway, &again)["passed_before"], id.as_str());
    assert!(!passed_on.contains(&format!("X-Mailward-Id: {id}")), "{passed_on}");
    let why = gateway.command(&["why", &again.id().expect("an id")]).stdout;
    assert!(String::from_utf8_lossy(&why).contains(&format!("through this gateway, as {id}")));
    // Anybody can write an id.
    let forged = format!("X-Mailward-Id: {id} 00000000000000000000");
    let (third, _) = sent(&gateway, &sink, &attributes, message(&[&[&forged]]));
    assert_eq!(facts(&gateway, &third)["passed_before"], Value::Null);
}
