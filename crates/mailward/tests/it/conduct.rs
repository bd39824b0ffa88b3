//! The check `protocol`: clients that do not keep to the order of speech are noted, and refused where it is switched on.

use crate::support::client::{Client, Mail, Reply};
use crate::support::gateway::{Gateway, Setup};
use crate::support::sink::Sink;

/// Long enough for a client on the same machine to speak within it.
const DELAY_MS: &str = "1500";

fn gateway(sink: &Sink, check: &str) -> Gateway {
    Setup::new()
        .srv(&["example.com/users/valid/foo", check])
        .set("smtp.greet_delay_ms", DELAY_MS)
        .before_sink(sink)
        .start()
}

fn mail() -> Mail {
    Mail::new("1@load.example", &["foo@example.com"])
}

/// Says EHLO before the greeting, then sends a message as everybody does.
fn speak_early(gateway: &Gateway) -> Reply {
    let mut client = Client::connect(gateway.addr()).expect("a connection");
    client.send(b"EHLO mx.sender.example\r\n").expect("it is read");
    assert_eq!(client.reply().expect("the greeting").code, 220);
    assert_eq!(client.reply().expect("an answer").code, 250);
    client.transaction(&mail()).expect("a transaction").decisive().clone()
}

#[test]
fn a_client_that_speaks_before_the_greeting_fails_the_check_and_a_patient_one_passes() {
    let sink = Sink::start();
    let gateway = gateway(&sink, "example.com/checks/protocol");
    let reply = speak_early(&gateway);
    assert!(
        reply.code == 550 && reply.text().contains("Client spoke before the greeting"),
        "{reply:?}"
    );
    let answers = Client::deliver(gateway.addr(), &mail()).expect("a session");
    assert_eq!(answers.decisive().code, 250);
    assert_eq!(sink.taken().len(), 1);
}

#[test]
fn among_the_recommended_checks_it_is_evidence_only() {
    let sink = Sink::start();
    let gateway = gateway(&sink, "example.com/checks/recommended");
    let reply = speak_early(&gateway);
    assert_eq!(reply.code, 250, "{reply:?}");
    let id = reply.id().expect("an id");
    let said = String::from_utf8(gateway.command(&["why", &id]).stdout).expect("UTF-8");
    assert!(
        said.contains("Client spoke before the greeting (evidence only)"),
        "{said}"
    );
}
