//! The test rig itself: client against sink, with no gateway between. A rig that cannot tell trouble from success
//! would let every other test pass.

use std::io::ErrorKind;

use crate::support::boxes;
use crate::support::client::{Client, Mail};
use crate::support::outside::servers;
use crate::support::private_postfix::{PROGRAMS, PrivatePostfix};
use crate::support::sink::{Act, Script, Sink, Stage};

#[test]
fn the_sink_takes_what_the_client_sends_dots_and_all() {
    let sink = Sink::start();
    let mut mail = Mail::new("1@load.example", &["foo@example.com", "Bar@Example.COM"]);
    mail.message.extend_from_slice(b".\r\n..\r\n.dot\r\nno final line end");
    let answers = Client::deliver(sink.addr(), &mail).expect("a whole session");
    assert_eq!(answers.decisive().code, 250);
    let taken = sink.taken();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].from, "alice@sender.example");
    assert_eq!(taken[0].rcpts, ["foo@example.com", "Bar@Example.COM"]);
    mail.message.extend_from_slice(b"\r\n");
    assert_eq!(taken[0].message, mail.message);
    assert_eq!(boxes::message_id(&taken[0].message), "1@load.example");
}

#[test]
fn octets_sent_one_by_one_say_the_same() {
    let sink = Sink::start();
    let mut client = Client::greeted(sink.addr());
    let session = b"MAIL FROM:<>\r\nRCPT TO:<foo@example.com>\r\nDATA\r\n";
    client.send_bytewise(session).expect("the sink reads");
    let codes: Vec<u16> = (0..3).map(|_| client.reply().expect("a reply").code).collect();
    assert_eq!(codes, [250, 250, 354]);
    client
        .send_bytewise(b"Subject: x\r\n\r\ny\r\n.\r\n")
        .expect("the sink reads");
    assert_eq!(client.reply().expect("a reply").code, 250);
    assert_eq!(sink.taken()[0].message, b"Subject: x\r\n\r\ny\r\n");
}

#[test]
fn every_act_at_every_stage_is_seen_by_the_client_and_nothing_is_taken() {
    use Stage::*;
    for stage in [Connect, Greeting, Ehlo, Mail, Rcpt, Data, Body, Dot] {
        for act in [
            Act::Reset,
            Act::Close,
            Act::Answer("451 4.3.0 later"),
            Act::Answer("554 5.0.0 no"),
        ] {
            let sink = Sink::scripted(Script::default().at(stage, act));
            let mail = crate::support::client::Mail::new("1@load.example", &["foo@example.com"]);
            let refused = match Client::deliver(sink.addr(), &mail) {
                Ok(answers) => answers.decisive().class() >= 4,
                Err(_) => true,
            };
            // A client that goes on after a refused EHLO is the client's affair.
            let ignored = stage == Ehlo && matches!(act, Act::Answer(_));
            assert!(refused || ignored, "{stage:?} {act:?}");
            assert!(ignored || sink.taken().is_empty(), "{stage:?} {act:?}");
        }
    }
}

#[test]
fn a_reset_is_a_reset_and_a_close_is_a_close() {
    let sink = Sink::scripted(Script::default().at(Stage::Mail, Act::Reset));
    let error = Client::greeted(sink.addr()).command("MAIL FROM:<>").expect_err("reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    sink.play(Script::default().at(Stage::Mail, Act::Close));
    let error = Client::greeted(sink.addr())
        .command("MAIL FROM:<>")
        .expect_err("closed");
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn a_lost_acknowledgement_leaves_the_message_taken() {
    let sink = Sink::scripted(Script::default().at(Stage::Ack, Act::Close));
    let mail = Mail::new("1@load.example", &["foo@example.com"]);
    assert!(Client::deliver(sink.addr(), &mail).is_err());
    assert_eq!(sink.taken().len(), 1);
}

#[test]
fn a_sink_that_hangs_or_stalls_ends_with_the_test() {
    for act in [Act::Hang, Act::Stall] {
        let sink = Sink::scripted(Script::default().at(Stage::Mail, act));
        let mut client = Client::greeted(sink.addr());
        client.send(b"MAIL FROM:<>\r\n").expect("the kernel takes it");
        drop(sink);
        assert!(client.closed(), "{act:?}");
    }
}

#[test]
fn recipients_are_answered_one_by_one() {
    let script = Script::default()
        .rcpt("bar@example.com", "550 5.1.1 unknown")
        .rcpt("baz@example.com", "451 4.2.1 busy");
    let sink = Sink::scripted(script);
    let mail = Mail::new(
        "1@load.example",
        &["foo@example.com", "BAR@example.com", "baz@example.com"],
    );
    let answers = Client::deliver(sink.addr(), &mail).expect("a whole session");
    let codes: Vec<u16> = answers.rcpts.iter().map(|reply| reply.code).collect();
    assert_eq!(codes, [250, 550, 451]);
    assert_eq!(sink.taken()[0].rcpts, ["foo@example.com"]);
}

#[test]
fn the_private_postfix_delivers_into_its_maildirs() {
    if !servers("the_private_postfix_delivers_into_its_maildirs", &PROGRAMS) {
        return;
    }
    let mut postfix = PrivatePostfix::start(&["foo"], "");
    let mail = Mail::new("1@load.example", &["foo@example.com", "nobody@example.com"]);
    let answers = Client::deliver(postfix.addr(), &mail).expect("a whole session");
    let codes: Vec<u16> = answers.rcpts.iter().map(|reply| reply.code).collect();
    assert_eq!((codes, answers.decisive().code), (vec![250, 550], 250));
    assert_eq!(boxes::message_id(&postfix.await_mail("foo", 1)[0]), "1@load.example");
    postfix.stop();
    assert!(Client::connect(postfix.addr()).is_err());
    postfix.start_again();
    assert_eq!(
        Client::greeted(postfix.addr()).command("NOOP").expect("a reply").code,
        250
    );
}
