//! `mailward store`: what it says, and what it takes, beside a daemon and without.

use crate::support::client::{Client, Mail};
use crate::support::gateway::{Gateway, Setup};
use crate::support::sink::Sink;
use serde_json::Value;

const LINES: &str = r#"{"label":{"mailbox":"ann@example.com","id":"0E8AG0000001","said":{"label":"junk","at_s":1795262460,"source":"imap","by":"7"},"received_s":1795262400,"author_local":"bob","identities":[{"dkim":"shop.example"}]}}
{"sent":{"mailbox":"ann@example.com","local":"bob","domain":"shop.example","organization":null,"at_s":1795262400}}
"#;

/// Standard output, standard error and exit code.
fn store(gateway: &Gateway, args: &[&str], input: &str) -> (String, String, Option<i32>) {
    let output = gateway.command_with(&[&["store"], args].concat(), input.as_bytes());
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

#[test]
fn the_store_is_counted_beside_the_daemon_and_written_without_it() {
    let sink = Sink::start();
    let mut gateway = Setup::new()
        .srv(&["example.com/users/valid/foo"])
        .before_sink(&sink)
        .start();
    let mail = Mail::new("1@load.example", &["foo@example.com"]);
    assert_eq!(
        Client::deliver(gateway.addr(), &mail)
            .expect("a session")
            .decisive()
            .code,
        250
    );
    let counts = |gateway: &Gateway| -> Value {
        let (said, errors, code) = store(gateway, &["stats", "--json"], "");
        assert_eq!(code, Some(0), "{errors}");
        serde_json::from_str(&said).expect("JSON")
    };
    assert_eq!(counts(&gateway)["deliveries"], 1);
    for args in [&["import"][..], &["rebuild"], &["compact"]] {
        let (said, errors, code) = store(&gateway, args, LINES);
        assert_eq!((said.as_str(), code), ("", Some(2)), "{args:?}");
        assert!(
            errors.contains("another process writes to the store\nhint: stop the other process first"),
            "{errors}"
        );
    }

    gateway.stop();
    let (said, errors, code) = store(&gateway, &["import"], LINES);
    assert_eq!((errors.as_str(), code), ("", Some(0)));
    assert_eq!(said, "2 lines taken, 0 of them outranked by what is known already\n");
    let after = counts(&gateway);
    let found = ["deliveries", "junk", "history", "sent", "correspondents"].map(|name| after[name].as_u64());
    assert_eq!(found, [1, 1, 1, 1, 2].map(Some));
    assert_eq!(store(&gateway, &["export"], "").0, LINES);
    assert_eq!(store(&gateway, &["rebuild"], "").0, "1 rows of history from 1 labels\n");
    let (said, _, code) = store(&gateway, &["verify"], "");
    assert_eq!((said.lines().last(), code), (Some("nothing wrong"), Some(0)));
    assert_eq!(store(&gateway, &["compact"], "").2, Some(0));
    let (_, errors, code) = store(&gateway, &["import"], "{\"label\":7}\n");
    assert_eq!(code, Some(2));
    assert!(errors.starts_with("error: line 1: "), "{errors}");
    gateway.start_again();
    assert_eq!(counts(&gateway), {
        let mut after = after;
        after["used_octets"] = counts(&gateway)["used_octets"].clone();
        after
    });
}

#[test]
fn a_store_that_is_not_there_is_not_made_by_looking_at_it() {
    let gateway = Setup::new()
        .srv(&["example.com/users/valid/foo"])
        .before_maildirs()
        .stopped();
    for args in [
        &["stats"][..],
        &["verify"],
        &["export"],
        &["import"],
        &["rebuild"],
        &["compact"],
    ] {
        let (said, errors, code) = store(&gateway, args, LINES);
        assert_eq!((said.as_str(), code), ("", Some(2)), "{args:?}");
        assert!(errors.contains("there is no store"), "{errors}");
    }
}

/// A machine whose clock battery is dead may start in any year.
#[test]
fn a_clock_that_seems_to_have_jumped_ahead_makes_nobody_forget_anything() {
    let sink = Sink::start();
    let mut gateway = Setup::new()
        .srv(&["example.com/users/valid/foo"])
        .before_sink(&sink)
        .start();
    gateway.stop();
    let old = LINES.replace("\"received_s\":1795262400", "\"received_s\":1000000000");
    assert_eq!(store(&gateway, &["import"], &old).2, Some(0));
    let expired = gateway.spam().join(".expired");
    std::fs::write(&expired, "2020-01-01\n").expect("our own directory");
    gateway.start_again();
    gateway.await_log("no records, labels or copies are forgotten");
    gateway.await_log("if the clock is right, run `mailward quarantine expire --force`");
    assert!(store(&gateway, &["export"], "").0.contains("\"label\":\"junk\""));

    // A person says that it is right.
    let forced = gateway.command(&["quarantine", "expire", "--force"]);
    assert_eq!(forced.status.code(), Some(0), "{forced:?}");
    gateway.stop();
    gateway.start_again();
    gateway.await_log("old history expired");
    assert!(!store(&gateway, &["export"], "").0.contains("\"label\""));
}
