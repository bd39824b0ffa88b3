//! The log costs nobody his mail: whatever becomes of standard error, mail is answered and a stop is heard.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::support::client::{Client, Mail};
use crate::support::gateway::{Gateway, Setup};
use crate::support::sink::Sink;

fn gateway(sink: &Sink, stderr: Stdio) -> Gateway {
    let setup = Setup::new().srv(&["example.com/users/valid/*"]).before_sink(sink);
    let mut gateway = setup.stopped();
    gateway.start_logging_to(stderr);
    gateway
}

/// Sends a message; panics unless it is taken and answered.
fn send(gateway: &Gateway, rcpts: &[&str]) {
    let answers = Client::deliver(gateway.addr(), &Mail::new("1@load.example", rcpts)).expect("answers");
    assert_eq!(answers.decisive().code, 250, "{answers:?}");
}

#[test]
fn a_log_on_a_full_disk_costs_no_mail() {
    // Each line that could not be written made its connection panic, after the message was delivered and before it was
    // answered: the sender sent it again and again.
    let sink = Sink::start();
    let full = OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let mut gateway = gateway(&sink, full.into());
    for _ in 0..3 {
        send(&gateway, &["foo@example.com"]);
    }
    assert!(gateway.stop().success());
    assert_eq!(sink.taken().len(), 3);
}

#[test]
fn a_log_whose_reader_has_gone_costs_no_mail() {
    let sink = Sink::start();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut gateway = gateway(&sink, writer.into());
    send(&gateway, &["foo@example.com"]);
    assert!(gateway.stop().success());
    assert_eq!(sink.taken().len(), 1);
}

#[test]
fn a_log_that_nobody_reads_stops_neither_mail_nor_a_stop_and_says_later_what_is_missing() {
    // A full pipe stopped one worker after the other, and at last the one that should have heard SIGTERM.
    let sink = Sink::start();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut stalled = gateway(&sink, writer.into());
    let rcpts: Vec<String> = (0..100).map(|n| format!("user-{n}@example.com")).collect();
    let rcpts: Vec<&str> = rcpts.iter().map(String::as_str).collect();
    // A line for each recipient: more than pipe and queue together hold.
    for _ in 0..60 {
        send(&stalled, &rcpts);
    }
    let mut lines = BufReader::new(reader).lines().map(|line| line.expect("text"));
    let mut messages = 0;
    let missing = lines
        .by_ref()
        .inspect(|line| messages += usize::from(line.contains("disposition=")))
        .find(|line| line.contains("lines are missing here"))
        .expect("it is said");
    let missing = missing
        .rsplit("lines=")
        .next()
        .and_then(|n| n.trim().parse::<usize>().ok());
    assert_eq!(messages + missing.expect("a number"), 6000);
    // Whoever reads again hears what comes.
    send(&stalled, &["foo@example.com"]);
    assert!(stalled.stop().success());
    let rest: Vec<String> = lines.collect();
    assert!(rest[0].contains("disposition="), "{rest:?}");
    assert!(rest.last().expect("lines").contains("stopped"), "{rest:?}");

    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut stalled = gateway(&sink, writer.into());
    for _ in 0..5 {
        send(&stalled, &rcpts);
    }
    assert!(stalled.stop().success(), "though nobody reads");
    drop(reader);
}
