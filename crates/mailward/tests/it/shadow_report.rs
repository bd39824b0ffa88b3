//! Shadow modes and their report: what would have been refused, and by which check.

use std::fs;

use serde_json::Value;

use crate::support::client::{Client, Mail};
use crate::support::daemon::{mailward, refused, said};
use crate::support::gateway::{Gateway, Setup};
use crate::support::sink::Sink;

/// Three domains: the first only watches, the second has one check in shadow, the third acts.
fn gateway(sink: &Sink) -> Gateway {
    Setup::new()
        .srv(&[
            "watch.example/users/valid/*",
            "watch.example/checks/helo",
            "watch.example/checks/date",
            "watch.example/shadow",
            "one.example/users/valid/*",
            "one.example/checks/date",
            "act.example/users/valid/*",
            "act.example/checks/date",
        ])
        .file("one.example/checks/helo", "shadow = true\n")
        .file("watch.example/checks/mailers", "action = \"tag\"\n")
        .before_sink(sink)
        .start()
}

/// Sends a message with a HELO name and extra or fewer header fields; the code of the reply.
fn send(gateway: &Gateway, name: &str, to: &str, helo: &str, edit: (&str, &str)) -> u16 {
    let mut mail = Mail::new(name, &[to]);
    mail.helo = helo.into();
    let text = String::from_utf8(mail.message).expect("text");
    mail.message = text.replace(edit.0, edit.1).into_bytes();
    let answers = Client::deliver(gateway.addr(), &mail).expect("a session");
    answers.decisive().code
}

const GOOD: &str = "mx.sender.example";
const NONE: (&str, &str) = ("Subject", "Subject");
const NO_DATE: (&str, &str) = ("Date:", "X-Date:");

fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().expect("a list");
    let found = checks.iter().find(|check| check["check"] == name);
    found.unwrap_or_else(|| panic!("{name} is missing: {report}"))
}

/// Eleven deliveries: seven pass only because of a shadow mode.
fn send_all(gateway: &Gateway) {
    for n in 0..5 {
        let name = format!("{n}@load.example");
        assert_eq!(send(gateway, &name, "ann@watch.example", "nodot", NONE), 250);
    }
    assert_eq!(send(gateway, "5@load.example", "ann@watch.example", GOOD, NO_DATE), 250);
    let bad_mailer = ("Subject:", "X-Mailer: The Bat! (v2.00.1) Personal\r\nSubject:");
    send(gateway, "6@load.example", "ann@watch.example", GOOD, bad_mailer);
    assert_eq!(send(gateway, "7@load.example", "ann@watch.example", GOOD, NONE), 250);
    assert_eq!(send(gateway, "8@load.example", "bob@one.example", "nodot", NONE), 250);
    // Refused all the same: its shadow mode changed nothing.
    assert_eq!(
        send(gateway, "9@load.example", "bob@one.example", "nodot", NO_DATE),
        550
    );
    assert_eq!(send(gateway, "10@load.example", "eve@act.example", GOOD, NO_DATE), 550);
    // Never shadowed.
    assert_eq!(send(gateway, "11@load.example", "x@nowhere.example", GOOD, NONE), 550);
}

#[test]
fn what_shadow_modes_let_pass_is_reported_by_check_with_samples() {
    let sink = Sink::start();
    let mut gateway = gateway(&sink);
    send_all(&gateway);
    let by_daemon = said(&gateway, &["report", "shadow", "--json"]);
    let report: Value = serde_json::from_str(&by_daemon).expect("JSON");
    assert_eq!(report["deliveries"], 11, "{report}");
    assert_eq!(report["same"], 1);
    let helo = check(&report, "checks/helo");
    assert_eq!(
        (&helo["count"], &helo["dispositions"]["reject"]),
        (&6.into(), &6.into())
    );
    assert_eq!(check(&report, "checks/date")["count"], 1);
    let samples = helo["samples"].as_array().expect("a list");
    assert_eq!(samples.len(), 3);
    assert_eq!(
        (&samples[0]["from"], &samples[0]["disposition"]),
        (&"<alice@sender.example>".into(), &"reject".into())
    );
    let times: Vec<i64> = samples
        .iter()
        .map(|s| s["received_s"].as_i64().expect("a time"))
        .collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "the newest first: {times:?}");

    let one = said(
        &gateway,
        &[
            "report",
            "shadow",
            "--json",
            "--domain",
            "one.example",
            "--samples",
            "0",
        ],
    );
    let one: Value = serde_json::from_str(&one).expect("JSON");
    assert_eq!((&one["passed"], &one["same"]), (&1.into(), &1.into()));
    assert_eq!(check(&one, "checks/helo")["samples"], Value::Array(Vec::new()));

    let text = said(&gateway, &["report", "shadow", "--since", "2w"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].contains(" of 11 deliveries passed only because of a shadow mode"),
        "{text}"
    );
    assert!(
        lines[1].starts_with("  6  checks/helo") && lines[1].contains('█'),
        "{text}"
    );
    assert!(text.contains("\nchecks/helo, the newest:\n"), "{text}");
    assert!(
        text.contains("would have ended the same without a shadow mode: 1"),
        "{text}"
    );

    gateway.stop();
    let alone: Value = serde_json::from_str(&said(&gateway, &["report", "shadow", "--json"])).expect("JSON");
    assert_eq!((&alone["checks"], &alone["same"]), (&report["checks"], &report["same"]));
}

#[test]
fn a_tag_in_shadow_would_have_been_a_tag() {
    let sink = Sink::start();
    let gateway = Setup::new()
        .srv(&["watch.example/users/valid/*", "watch.example/shadow"])
        .file("watch.example/checks/date", "action = \"tag\"\n")
        .before_sink(&sink)
        .start();
    assert_eq!(
        send(&gateway, "1@load.example", "ann@watch.example", GOOD, NO_DATE),
        250
    );
    let report: Value = serde_json::from_str(&said(&gateway, &["report", "shadow", "--json"])).expect("JSON");
    assert_eq!(check(&report, "checks/date")["dispositions"]["tag"], 1);
}

#[test]
fn a_time_that_is_none_is_told_what_to_write() {
    let gateway = Setup::new().stopped();
    fs::remove_dir(gateway.state()).expect("an empty directory");
    let error = refused(mailward(&gateway, &["report", "shadow", "--since", "1 day"]), 2);
    assert!(
        error.contains("not a time: `1 day`") && error.contains("hint: write `90m`"),
        "{error}"
    );
    let error = refused(mailward(&gateway, &["report", "shadow"]), 2);
    assert!(error.contains("there is no store"), "{error}");
}
