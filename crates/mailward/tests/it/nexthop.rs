//! A next hop that refuses, hangs or breaks at any stage costs the sender a retry, never a message.
//!
//! The sender gets 4xx; 5xx only when the next hop said 5xx. What a refusal left behind must not stand in the way of
//! the retry, and a retry must not deliver again to those who have the message.

use std::net::TcpListener;

use crate::support::boxes;
use crate::support::client::{Client, Mail, Reply};
use crate::support::gateway::{Gateway, NEXT_HOP_TIMEOUT, Setup};
use crate::support::sink::{Act, Script, Sink, Stage};

pub(crate) const STAGES: [Stage; 8] = [
    Stage::Connect,
    Stage::Greeting,
    Stage::Ehlo,
    Stage::Mail,
    Stage::Rcpt,
    Stage::Data,
    Stage::Body,
    Stage::Dot,
];

/// A domain with three users that exist, before the given next hop.
pub(crate) fn gateway(sink: &Sink) -> Gateway {
    let users = [
        "example.com/users/valid/foo",
        "example.com/users/valid/bar",
        "example.com/users/valid/baz",
    ];
    Setup::new().srv(&users).before_sink(sink).start()
}

/// As [`gateway`], and it waits for the next hop a second at most.
pub(crate) fn hasty_gateway(sink: &Sink) -> Gateway {
    let setup = Setup::new().srv(&["example.com/users/valid/foo"]).before_sink(sink);
    setup.set(NEXT_HOP_TIMEOUT, "1").start()
}

pub(crate) fn send(gateway: &Gateway, mail: &Mail) -> Reply {
    let answers = Client::deliver(gateway.addr(), mail).expect("the session is kept up to QUIT");
    answers.decisive().clone()
}

/// The recipients of everything the sink took, sorted.
pub(crate) fn delivered(sink: &Sink) -> Vec<String> {
    let mut rcpts: Vec<String> = sink.taken().into_iter().flat_map(|taken| taken.rcpts).collect();
    rcpts.sort();
    rcpts
}

/// The recipients in the quarantine, sorted.
pub(crate) fn held(gateway: &Gateway) -> Vec<String> {
    let mut rcpts: Vec<String> = boxes::held(&gateway.spam())
        .into_iter()
        .map(|held| held.recipient)
        .collect();
    rcpts.sort();
    rcpts
}

/// Plays `act` at `stage` against one message, and then lets the next hop be well again for the retry.
pub(crate) fn trouble_then_retry(gateway: &Gateway, sink: &Sink, stage: Stage, act: Act) {
    sink.hang_up();
    sink.play(Script::default().at(stage, act));
    let before = sink.taken().len();
    let mail = Mail::new(&format!("{before}-{stage:?}@load.example"), &["foo@example.com"]).padded(20_000);
    let reply = send(gateway, &mail);
    assert_eq!(reply.class(), 4, "{stage:?} {act:?}: {reply:?}");
    assert_eq!(sink.taken().len(), before, "{stage:?} {act:?}: taken after all");
    assert_eq!(held(gateway), [""; 0], "{stage:?} {act:?}: a 4xx leaves nothing held");
    sink.play(Script::default());
    let reply = send(gateway, &mail);
    assert_eq!(reply.class(), 2, "the retry after {stage:?} {act:?}: {reply:?}");
    assert_eq!(sink.taken().len(), before + 1, "the retry after {stage:?} {act:?}");
}

#[test]
fn a_next_hop_that_resets_at_any_stage_is_a_4xx_and_the_retry_passes() {
    let sink = Sink::start();
    let gateway = gateway(&sink);
    STAGES
        .iter()
        .for_each(|&stage| trouble_then_retry(&gateway, &sink, stage, Act::Reset));
}

#[test]
fn a_next_hop_that_closes_at_any_stage_is_a_4xx_and_the_retry_passes() {
    let sink = Sink::start();
    let gateway = gateway(&sink);
    STAGES
        .iter()
        .for_each(|&stage| trouble_then_retry(&gateway, &sink, stage, Act::Close));
}

#[test]
fn a_next_hop_that_hangs_at_any_stage_is_a_4xx_and_the_retry_passes() {
    let sink = Sink::start();
    let gateway = hasty_gateway(&sink);
    STAGES
        .iter()
        .for_each(|&stage| trouble_then_retry(&gateway, &sink, stage, Act::Hang));
}

#[test]
fn a_next_hop_that_stops_reading_is_a_4xx_and_the_retry_passes() {
    let sink = Sink::scripted(Script::default().at(Stage::Body, Act::Stall));
    let gateway = hasty_gateway(&sink);
    let mail = Mail::new("1@load.example", &["foo@example.com"]).padded(8_000_000);
    let reply = send(&gateway, &mail);
    assert_eq!(reply.class(), 4, "{reply:?}");
    sink.play(Script::default());
    let reply = send(&gateway, &mail);
    assert_eq!(reply.class(), 2, "the retry: {reply:?}");
}

#[test]
fn a_next_hop_that_answers_4xx_at_any_stage_is_a_4xx_and_the_retry_passes() {
    let sink = Sink::start();
    let gateway = gateway(&sink);
    for &stage in &STAGES[1..] {
        trouble_then_retry(&gateway, &sink, stage, Act::Answer("451 4.3.0 try again later"));
        trouble_then_retry(&gateway, &sink, stage, Act::Answer("421 4.3.2 closing"));
    }
}

#[test]
fn a_stray_354_is_never_an_answer_to_our_client() {
    let sink = Sink::start();
    let gateway = gateway(&sink);
    for stage in [Stage::Greeting, Stage::Ehlo, Stage::Mail, Stage::Rcpt, Stage::Dot] {
        trouble_then_retry(&gateway, &sink, stage, Act::Answer("354 go ahead"));
    }
}

#[test]
fn a_next_hops_5xx_on_a_transaction_is_a_5xx() {
    let sink = Sink::start();
    let gateway = gateway(&sink);
    for stage in [Stage::Mail, Stage::Rcpt, Stage::Data, Stage::Dot] {
        sink.play(Script::default().at(stage, Act::Answer("554 5.7.1 never from you")));
        let mail = Mail::new(&format!("{stage:?}-554@load.example"), &["foo@example.com"]);
        let reply = send(&gateway, &mail);
        assert_eq!(reply.class(), 5, "{stage:?}: {reply:?}");
    }
    assert!(sink.taken().is_empty());
}

#[test]
fn a_next_hop_that_refuses_the_session_for_good_is_not_believed_about_the_message() {
    // A 554 greeting speaks of us, not of the sender's message; but the sender was not lied to if it is passed on.
    for stage in [Stage::Greeting, Stage::Ehlo] {
        let sink = Sink::scripted(Script::default().at(stage, Act::Answer("554 5.3.2 no service")));
        let gateway = gateway(&sink);
        let reply = send(&gateway, &Mail::new("1@load.example", &["foo@example.com"]));
        assert!(matches!(reply.class(), 4 | 5), "{stage:?}: {reply:?}");
    }
}

#[test]
fn a_next_hop_that_is_not_there_is_a_4xx() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("its address");
    let gateway = Setup::new()
        .srv(&["example.com/users/valid/foo"])
        .before(&format!("smtp:{closed}"))
        .start();
    let reply = send(&gateway, &Mail::new("1@load.example", &["foo@example.com"]));
    assert_eq!(reply.class(), 4, "{reply:?}");
    assert_eq!(held(&gateway), [""; 0]);
}

#[test]
fn an_acknowledgement_that_is_lost_is_no_acknowledgement() {
    for act in [Act::Reset, Act::Close] {
        let sink = Sink::scripted(Script::default().at(Stage::Ack, act));
        let gateway = gateway(&sink);
        let reply = send(&gateway, &Mail::new("1@load.example", &["foo@example.com"]));
        assert_eq!(reply.class(), 4, "{act:?}: {reply:?}");
    }
}

#[test]
fn a_kept_connection_that_the_next_hop_closed_is_replaced() {
    let sink = Sink::start();
    let gateway = gateway(&sink);
    for n in 0..5 {
        let reply = send(&gateway, &Mail::new(&format!("{n}@load.example"), &["foo@example.com"]));
        assert_eq!(reply.class(), 2, "message {n}: {reply:?}");
        sink.hang_up();
    }
    assert_eq!(sink.taken().len(), 5);
}

#[test]
fn a_next_hop_without_extensions_gets_the_message_too() {
    let sink = Sink::scripted(Script::default().without_extensions());
    let gateway = gateway(&sink);
    let mail = Mail::new("1@load.example", &["foo@example.com", "bar@example.com"]).padded(300_000);
    let reply = send(&gateway, &mail);
    assert_eq!(reply.class(), 2, "{reply:?}");
    assert_eq!(delivered(&sink), ["bar@example.com", "foo@example.com"]);
}

#[test]
fn a_recipient_whom_the_next_hop_refuses_is_held_and_the_rest_delivered() {
    let sink = Sink::scripted(Script::default().rcpt("bar@example.com", "550 5.1.1 no such user here"));
    let gateway = gateway(&sink);
    let mail = Mail::new(
        "1@load.example",
        &["foo@example.com", "bar@example.com", "baz@example.com"],
    );
    let reply = send(&gateway, &mail);
    assert_eq!(reply.code, 250, "{reply:?}");
    assert_eq!(delivered(&sink), ["baz@example.com", "foo@example.com"]);
    assert_eq!(held(&gateway), ["bar@example.com"]);
    let copy = &boxes::held(&gateway.spam())[0];
    assert_eq!(boxes::message_id(&copy.message), "1@load.example");
}

/// `foo` stands, `bar` is deferred by the next hop.
fn one_deferred() -> Script {
    Script::default().rcpt("bar@example.com", "451 4.2.1 mailbox busy")
}

#[test]
fn a_recipient_whom_the_next_hop_defers_defers_all_and_the_retry_delivers_to_each_once() {
    let sink = Sink::scripted(one_deferred());
    let gateway = gateway(&sink);
    let mail = Mail::new("1@load.example", &["foo@example.com", "bar@example.com"]);
    let reply = send(&gateway, &mail);
    assert_eq!(reply.code, 451, "{reply:?}");
    let reply = send(&gateway, &mail);
    assert_eq!(reply.code, 451, "the retry comes too early: {reply:?}");
    assert!(!delivered(&sink).contains(&"bar@example.com".to_owned()));
    sink.play(Script::default());
    let reply = send(&gateway, &mail);
    assert_eq!(reply.code, 250, "{reply:?}");
    assert_eq!(delivered(&sink), ["bar@example.com", "foo@example.com"]);
    assert_eq!(held(&gateway), [""; 0]);
}

#[test]
fn the_ledger_outlives_a_kill() {
    let sink = Sink::scripted(one_deferred());
    let mut gateway = gateway(&sink);
    let mail = Mail::new("1@load.example", &["foo@example.com", "bar@example.com"]);
    assert_eq!(send(&gateway, &mail).code, 451);
    gateway.kill();
    gateway.start_again();
    sink.play(Script::default());
    assert_eq!(send(&gateway, &mail).code, 250);
    assert_eq!(delivered(&sink), ["bar@example.com", "foo@example.com"]);
}

#[test]
fn the_ledger_knows_a_message_by_sender_id_and_body() {
    let sink = Sink::scripted(one_deferred());
    let gateway = gateway(&sink);
    let rcpts = ["foo@example.com", "bar@example.com"];
    let first = Mail::new("1@load.example", &rcpts);
    assert_eq!(send(&gateway, &first).code, 451);
    let before = delivered(&sink).len();
    sink.play(Script::default());
    let other_body = Mail::new("1@load.example", &rcpts).padded(100);
    let other_sender = Mail {
        from: "bob@sender.example".into(),
        ..Mail::new("1@load.example", &rcpts)
    };
    let other_id = Mail::new("2@load.example", &rcpts);
    for (n, mail) in [other_body, other_sender, other_id].iter().enumerate() {
        assert_eq!(send(&gateway, mail).code, 250);
        assert_eq!(
            delivered(&sink).len(),
            before + 2 * (n + 1),
            "another message goes to both"
        );
    }
}

#[test]
fn a_message_that_was_acknowledged_may_be_sent_again_on_purpose() {
    // The ledger is for what ended in 4xx. Whoever sends a message again after a 250 means it.
    let sink = Sink::start();
    let gateway = gateway(&sink);
    let mail = Mail::new("1@load.example", &["foo@example.com"]);
    assert_eq!(send(&gateway, &mail).code, 250);
    assert_eq!(send(&gateway, &mail).code, 250);
    assert_eq!(delivered(&sink), ["foo@example.com", "foo@example.com"]);
}

#[test]
fn the_holds_of_a_deferred_transaction_are_withdrawn() {
    let sink = Sink::scripted(one_deferred());
    let gateway = gateway(&sink);
    let mail = Mail::new(
        "1@load.example",
        &["nobody@example.com", "foo@example.com", "bar@example.com"],
    );
    let reply = send(&gateway, &mail);
    assert_eq!(reply.code, 451, "{reply:?}");
    assert_eq!(held(&gateway), [""; 0], "a 4xx leaves nothing held");
    sink.play(Script::default());
    let reply = send(&gateway, &mail);
    assert_eq!(reply.code, 250, "{reply:?}");
    assert_eq!(held(&gateway), ["nobody@example.com"]);
    assert_eq!(delivered(&sink), ["bar@example.com", "foo@example.com"]);
}

#[test]
fn refused_and_deferred_recipients_together_defer_the_message() {
    let script = one_deferred().rcpt("baz@example.com", "550 5.1.1 no such user here");
    let sink = Sink::scripted(script);
    let gateway = gateway(&sink);
    let mail = Mail::new(
        "1@load.example",
        &["foo@example.com", "bar@example.com", "baz@example.com"],
    );
    let reply = send(&gateway, &mail);
    assert_eq!(reply.code, 451, "{reply:?}");
    assert_eq!(held(&gateway), [""; 0], "a 4xx leaves nothing held");
    sink.play(Script::default().rcpt("baz@example.com", "550 5.1.1 no such user here"));
    assert_eq!(send(&gateway, &mail).code, 250);
    assert_eq!(delivered(&sink), ["bar@example.com", "foo@example.com"]);
    assert_eq!(held(&gateway), ["baz@example.com"]);
}
