//! Mail from `relay_networks` passes unjudged to `[relay] to`; nobody else's does.

use crate::support::boxes;
use crate::support::client::{Answers, Client, Mail};
use crate::support::gateway::{Gateway, Setup, quoted};
use crate::support::sink::{Script, Sink};

/// Ours comes from 127.0.5.0/24 and goes to `out`; the world's goes to `inside`.
fn gateway(inside: &Sink, out: &Sink) -> Gateway {
    Setup::new()
        .srv(&[
            "example.com/users/valid/foo",
            "example.com/checks/all",
            "_global_/blacklisted/senders/alice@sender.example",
        ])
        .before_sink(inside)
        .set("smtp.relay_networks", r#"["127.0.5.0/24", "::1"]"#)
        .set("relay.to", &quoted(&out.target()))
        .start()
}

fn send(gateway: &Gateway, source: &str, rcpts: &[&str]) -> Answers {
    let mut client = Client::greeted_from(source, gateway.addr());
    let mut mail = Mail::new("1@load.example", rcpts);
    mail.message = b"From: |x\r\nX-HELO: forged\r\n\r\n".to_vec();
    client.transaction(&mail).expect("a transaction")
}

#[test]
fn mail_from_our_networks_passes_unjudged_wherever_it_goes() {
    let (inside, out) = (Sink::start(), Sink::start());
    let gateway = gateway(&inside, &out);
    let rcpts = [
        "ann@far.example",
        "nobody@example.com",
        "foo@example.com",
        "ann@[192.0.2.1]",
    ];
    let answers = send(&gateway, "127.0.5.9", &rcpts[..3]);
    assert_eq!(answers.decisive().code, 250, "{answers:?}");
    let taken = out.taken();
    assert_eq!(taken[0].rcpts, &rcpts[..3]);
    assert_eq!(
        boxes::header(&taken[0].message, "X-HELO").as_deref(),
        Some("mx.sender.example")
    );
    assert!(inside.taken().is_empty() && boxes::held(&gateway.spam()).is_empty());
    assert_eq!(send(&gateway, "127.0.5.9", &rcpts[3..]).decisive().code, 250);
    // The log is written a moment after the answer.
    gateway.await_log("disposition=\"relay\"");
}

#[test]
fn mail_from_elsewhere_is_judged_and_not_relayed() {
    let (inside, out) = (Sink::start(), Sink::start());
    let gateway = gateway(&inside, &out);
    let answers = send(&gateway, "127.0.6.1", &["ann@far.example"]);
    assert_eq!(answers.decisive().text(), "5.7.1 Relay attempt for far.example");
    let answers = send(&gateway, "127.0.6.1", &["foo@example.com"]);
    assert_eq!(answers.decisive().code, 550);
    assert!(inside.taken().is_empty() && out.taken().is_empty());
}

#[test]
fn what_the_next_hop_says_to_relayed_mail_is_passed_on() {
    let (inside, out) = (Sink::start(), Sink::start());
    let gateway = gateway(&inside, &out);
    out.play(
        Script::default()
            .rcpt("no@far.example", "550 5.1.1 unknown there")
            .rcpt("later@far.example", "451 4.2.1 busy there"),
    );
    let answers = send(&gateway, "127.0.5.1", &["no@far.example"]);
    assert!(
        answers.decisive().code == 550 && answers.decisive().text().contains("unknown there"),
        "{answers:?}"
    );
    let answers = send(&gateway, "127.0.5.1", &["ann@far.example", "later@far.example"]);
    assert_eq!(answers.decisive().code, 451);
    let answers = send(&gateway, "127.0.5.1", &["ann@far.example", "no@far.example"]);
    assert_eq!(answers.decisive().code, 250, "who was refused is held");
    let held: Vec<String> = boxes::held(&gateway.spam())
        .into_iter()
        .map(|held| held.recipient)
        .collect();
    assert_eq!(held, ["no@far.example", "no@far.example"]);
}

#[test]
fn a_refused_address_literal_is_never_lost_beside_one_that_is_taken() {
    // The quarantine is kept by domain, so it had no place for `ann@[192.0.2.1]`: refused by the next hop beside a
    // recipient that was taken, it was answered with 250 and kept nowhere.
    let (inside, out) = (Sink::start(), Sink::start());
    let gateway = gateway(&inside, &out);
    out.play(
        Script::default()
            .rcpt("ann@[192.0.2.1]", "550 5.1.1 unknown there")
            .rcpt("no@far.example", "550 no"),
    );
    let answers = send(
        &gateway,
        "127.0.5.1",
        &["ann@[192.0.2.1]", "no@far.example", "ann@far.example"],
    );
    assert_eq!(answers.decisive().code, 250, "{answers:?}");
    let mut held: Vec<_> = boxes::held(&gateway.spam())
        .into_iter()
        .map(|held| held.recipient)
        .collect();
    held.sort();
    assert_eq!(held, ["ann@[192.0.2.1]", "no@far.example"]);
    let answers = send(&gateway, "127.0.5.1", &["ann@[192.0.2.1]"]);
    assert!(
        answers.decisive().code == 550 && answers.decisive().text().contains("unknown there"),
        "{answers:?}"
    );
}

#[test]
fn relay_networks_without_a_target_are_a_fault_of_the_configuration() {
    let sink = Sink::start();
    let stopped = Setup::new().before_sink(&sink).stopped();
    stopped.write_config("[smtp]\nrelay_networks = [\"127.0.0.0/8\"]\n");
    let output = stopped.command(&["check"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("hint: set `[relay] to = \"smtp:HOST:PORT\"`"), "{said}");
}

/// A vacation reply answers whoever writes; if that counted, any spammer could make himself welcome.
#[test]
fn whom_our_users_write_to_is_welcome_to_answer_and_whom_programs_answer_is_not() {
    let (inside, out) = (Sink::start(), Sink::start());
    let gateway = Setup::new()
        .srv(&["example.com/users/valid/foo", "example.com/users/valid/bar"])
        .before_sink(&inside)
        .set("smtp.relay_networks", r#"["127.0.5.0/24"]"#)
        .set("relay.to", &quoted(&out.target()))
        .set("relay.speaks_for", r#"["example.com"]"#)
        .start();
    let send = |from: &str, header: &str, to: &str| {
        let mut client = Client::greeted_from("127.0.5.9", gateway.addr());
        let mut mail = Mail::new("1@load.example", &[to]);
        mail.from = from.to_owned();
        mail.message = format!("From: <{from}>\r\n{header}\r\nHello.\r\n").into_bytes();
        let answers = client.transaction(&mail).expect("a transaction");
        assert_eq!(answers.decisive().code, 250, "{answers:?}");
    };
    send("foo@example.com", "", "ann@far.example");
    send(
        "foo@example.com",
        "Auto-Submitted: auto-replied\r\n",
        "spammer@away.example",
    );
    send("nobody@example.com", "", "eve@third.example");
    let history = |mailbox: &str, sender: &str| {
        let output = gateway.command(&["reputation", mailbox, sender]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let known = history("foo@example.com", "ann@far.example");
    assert!(known.contains("not junk, conclusive (msgtofull)"), "{known}");
    for (mailbox, sender) in [
        ("foo@example.com", "spammer@away.example"),
        ("bar@example.com", "ann@far.example"),
        ("foo@example.com", "eve@third.example"),
    ] {
        let unknown = history(mailbox, sender);
        assert!(unknown.contains("no verdict"), "{mailbox} {sender}: {unknown}");
    }
}
