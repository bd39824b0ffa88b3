//! One deadline for the answer (`[limits] answer_s`): however slow the next hop is, the sender has it in time; and what
//! the sender was asked to bring again is not delivered after all.

use std::time::{Duration, Instant};

use crate::nexthop::delivered;
use crate::support::PATIENCE;
use crate::support::client::{Client, Mail, Reply};
use crate::support::gateway::{Gateway, NEXT_HOP_TIMEOUT, Setup};
use crate::support::sink::{Act, Script, Sink, Stage};

fn gateway(sink: &Sink, answer_s: u32, reply_s: u32) -> Gateway {
    Setup::new()
        .srv(&["example.com/users/valid/*"])
        .before_sink(sink)
        .set("limits.answer_s", &answer_s.to_string())
        .set(NEXT_HOP_TIMEOUT, &reply_s.to_string())
        .start()
}

fn timed(gateway: &Gateway, mail: &Mail) -> (Reply, Duration) {
    let started = Instant::now();
    let answers = Client::deliver(gateway.addr(), mail).expect("a session");
    (answers.decisive().clone(), started.elapsed())
}

/// Waits until the next hop has seen the end of every connection, and whatever it still wanted to do is done.
fn await_silence(sink: &Sink) {
    let deadline = Instant::now() + PATIENCE;
    while sink.open_connections() > 0 {
        assert!(Instant::now() < deadline, "a connection stays open");
        std::thread::sleep(Duration::from_millis(10));
    }
}

const THREE: [&str; 3] = ["foo@example.com", "bar@example.com", "baz@example.com"];

#[test]
fn a_next_hop_that_is_late_at_each_stage_cannot_make_the_answer_late() {
    use Stage::*;
    let all = [Greeting, Ehlo, Mail, Rcpt, Data, Dot];
    for sink in [Sink::start(), Sink::lmtp(Script::default())] {
        let script = all
            .iter()
            .fold(Script::default(), |script, &stage| script.at(stage, Act::Late(900)));
        sink.play(script);
        let gateway = gateway(&sink, 3, 1);
        let mail = self::Mail::new("1@load.example", &["foo@example.com"]);
        let (reply, took) = timed(&gateway, &mail);
        assert_eq!(reply.code, 451, "{reply:?}");
        assert!(
            (Duration::from_millis(2500)..Duration::from_millis(4500)).contains(&took),
            "{took:?}"
        );
        await_silence(&sink);
        assert!(sink.taken().is_empty(), "delivered after the 451");
        sink.play(Script::default());
        assert_eq!(timed(&gateway, &mail).0.code, 250);
        assert_eq!(sink.taken().len(), 1);
    }
}

#[test]
fn the_end_of_a_message_is_not_sent_when_there_is_no_time_for_its_answer() {
    // It went out a moment before the deadline; the next hop took the message, and the sender was told to come again.
    let script = Script::default()
        .at(Stage::Rcpt, Act::Late(1200))
        .at(Stage::Data, Act::Late(1200))
        .at(Stage::Dot, Act::Late(1200));
    let sink = Sink::scripted(script);
    let gateway = gateway(&sink, 3, 10);
    let mail = Mail::new("1@load.example", &["foo@example.com"]).padded(300_000);
    let (reply, took) = timed(&gateway, &mail);
    assert_eq!(reply.code, 451, "{reply:?}");
    assert!(took < Duration::from_millis(4000), "{took:?}");
    await_silence(&sink);
    assert!(sink.taken().is_empty(), "delivered after the 451");
    sink.play(Script::default());
    assert_eq!(timed(&gateway, &mail).0.code, 250);
    assert_eq!(sink.taken().len(), 1);
}

#[test]
fn who_was_answered_before_the_deadline_does_not_get_it_again() {
    // All answers of an LMTP server were lost with the one that came too late.
    let sink = Sink::lmtp(Script::default().at(Stage::End(2), Act::Hang));
    let gateway = gateway(&sink, 2, 60);
    let mail = Mail::new("1@load.example", &THREE);
    let (reply, took) = timed(&gateway, &mail);
    assert_eq!(reply.code, 451, "{reply:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(delivered(&sink), ["bar@example.com", "foo@example.com"]);
    sink.play(Script::default());
    assert_eq!(timed(&gateway, &mail).0.code, 250);
    assert_eq!(
        delivered(&sink),
        ["bar@example.com", "baz@example.com", "foo@example.com"]
    );
}

#[test]
fn who_waits_when_the_drain_ends_is_told_421_and_comes_again() {
    let sink = Sink::scripted(Script::default().at(Stage::Data, Act::Hang));
    let mut gateway = gateway(&sink, 60, 60);
    gateway.set("limits.drain_s", "1");
    gateway.reload();
    let mail = Mail::new("1@load.example", &["foo@example.com"]);
    let mut waiting = Client::greeted(gateway.addr());
    waiting.begin_data(&mail);
    waiting
        .send(&crate::support::client::stuffed(&mail.message))
        .expect("it is read");
    let deadline = Instant::now() + PATIENCE;
    while sink.connections() == 0 {
        assert!(Instant::now() < deadline, "it does not reach the next hop");
    }
    let mut half = Client::greeted(gateway.addr());
    half.begin(&mail);
    half.send(b"BDAT 100\r\nSubject: x\r\n").expect("it is read");
    half.await_read();
    let mut idle = Client::greeted(gateway.addr());
    let started = Instant::now();
    assert!(gateway.stop().success());
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    for client in [&mut waiting, &mut half, &mut idle] {
        assert_eq!(client.reply().expect("a last word").code, 421);
        assert!(client.closed());
    }
    await_silence(&sink);
    assert!(sink.taken().is_empty());
    sink.play(Script::default());
    gateway.start_again();
    assert_eq!(timed(&gateway, &mail).0.code, 250);
    assert_eq!(sink.taken().len(), 1);
}
