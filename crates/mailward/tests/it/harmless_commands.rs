//! The commands beside the daemon: what they print of foreign text, for programs, and when nobody reads it.

use std::fs;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::process::{Output, Stdio};
use std::time::Instant;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::PATIENCE;
use crate::support::boxes;
use crate::support::client::{Client, Mail};
use crate::support::gateway::{Gateway, Setup, mailward};
use crate::support::sink::Sink;

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).expect("text")
}

fn json(output: &Output) -> Vec<Value> {
    let lines = text(&output.stdout);
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
    lines.lines().map(parse).collect()
}

/// Panics if a terminal would obey or hide something of it.
fn assert_harmless(output: &Output) {
    let all = text(&output.stdout) + &text(&output.stderr);
    let harmful = |c: char| c != '\n' && c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2028}');
    assert!(!all.contains(harmful), "{all:?}");
}

#[test]
fn the_name_of_a_file_cannot_write_to_the_terminal() {
    let dir = tempfile::tempdir().expect("a directory");
    let name = std::ffi::OsStr::from_bytes(b"a\nok \x1b[31m\xe2\x80\xae\xff");
    fs::create_dir(dir.path().join("mails")).expect("a directory");
    for file in [name, "b".as_ref()] {
        let message = Mail::new("1@load.example", &[]).message;
        fs::write(dir.path().join("mails").join(file), message).expect("a file");
    }
    std::os::unix::fs::symlink("nowhere", dir.path().join("mails\x1b[31m")).expect("a link");
    for args in [&["scan", "mails"][..], &["scan", "--json", "mails"]] {
        let output = mailward(dir.path(), args, b"");
        assert_harmless(&output);
        assert!(text(&output.stdout).contains("[31m"), "{output:?}");
    }
    fs::remove_file(dir.path().join("mails/b")).expect("a file");
    let single = mailward(dir.path(), &["scan", "mails"], b"");
    assert_harmless(&single);
    assert!(
        text(&single.stdout)
            .lines()
            .next()
            .expect("a line")
            .ends_with("[31m\\u{202e}\u{fffd}")
    );
    let missing = mailward(dir.path(), &["scan", "mails\x1b[31m"], b"");
    assert_harmless(&missing);
    assert_eq!(missing.status.code(), Some(2));
}

#[test]
fn an_address_cannot_write_to_the_terminal() {
    let sink = Sink::start();
    let gateway = Setup::new()
        .srv(&["example.com/users/valid/*"])
        .before_sink(&sink)
        .start();
    let mut client = Client::greeted(gateway.addr());
    let mail = client
        .command("MAIL FROM:<\"\u{202e}moc\"@b.example> SMTPUTF8")
        .expect("a reply");
    assert_eq!(mail.code, 250, "{mail:?}");
    let rcpt = client
        .command("RCPT TO:<\"\u{202e}nna\"@example.com>")
        .expect("a reply");
    assert_eq!(rcpt.code, 250, "{rcpt:?}");
    assert_eq!(client.command("DATA").expect("a reply").code, 354);
    let reply = client.data(&Mail::new("1@load.example", &[]).message).expect("a reply");
    assert_eq!(reply.code, 250, "{reply:?}");
    let id = reply.id().expect("an id");
    for args in [&["why"][..], &["why", "--json"], &["why", &id], &["why", "--json", &id]] {
        let output = gateway.command(args);
        assert_harmless(&output);
        let said = text(&output.stdout);
        assert!(said.contains("\\u{202e}moc") || said.contains("\\u202emoc"), "{said}");
    }
}

#[test]
fn scan_reads_a_pipe_that_it_is_named() {
    // It looked ahead for a second message, and what it looked at was gone.
    let dir = tempfile::tempdir().expect("a directory");
    let message = Mail::new("1@load.example", &[]).message;
    let output = mailward(dir.path(), &["scan", "--json", "/dev/stdin"], &message);
    assert_eq!(json(&output)[0]["facts"]["content"]["subject"], "hello", "{output:?}");
}

/// People were shown `=?utf-8?Q?Gr=C3=BC=C3=9Fe?=`.
#[test]
fn subjects_and_names_are_shown_decoded() {
    let dir = tempfile::tempdir().expect("a directory");
    let message =
        b"From: =?iso-8859-1?Q?J=F6rg?= <joerg@b.example>\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe=1B[31m?=\r\n\r\nx\r\n";
    let output = mailward(dir.path(), &["scan", "/dev/stdin"], message);
    assert_harmless(&output);
    let said = text(&output.stdout);
    for shown in ["J\u{f6}rg <joerg@b.example>", "subject   Gr\u{fc}\u{df}e [31m"] {
        assert!(said.contains(shown), "{shown:?} is not in\n{said}");
    }
}

/// A gateway that refuses what calls itself `localhost`.
fn strict(sink: &Sink) -> Setup {
    let files = ["example.com/users/valid/foo", "example.com/checks/helo"];
    Setup::new().srv(&files).before_sink(sink)
}

/// The id of a message that was refused.
fn refuse(gateway: &Gateway, to: &str) -> String {
    let mail = Mail {
        helo: "localhost".into(),
        ..Mail::new("1@load.example", &[to])
    };
    let answers = Client::deliver(gateway.addr(), &mail.padded(10_000)).expect("a session");
    assert_eq!(answers.decisive().code, 550, "{answers:?}");
    answers.decisive().id().expect("an id")
}

#[test]
fn an_entry_of_which_only_metadata_were_kept_is_shown_as_far_as_it_is() {
    let sink = Sink::start();
    let mut gateway = strict(&sink).set("limits.quarantine_client_size", "4000").start();
    let id = refuse(&gateway, "nobody@example.com");
    assert!(boxes::held(&gateway.spam()).is_empty());
    let shown = gateway.command(&["quarantine", "show", &id]);
    assert_eq!(shown.status.code(), Some(0), "{shown:?}");
    let said = text(&shown.stdout);
    assert!(said.contains("nobody@example.com"), "{said}");
    assert!(said.ends_with("\nonly metadata were kept of this message\n"), "{said}");
    // There are no octets to give.
    let raw = gateway.command(&["quarantine", "show", "--raw", &id]);
    assert_eq!(raw.status.code(), Some(2));
    // Outcomes are recorded lazily.
    assert!(gateway.stop().success());
    let why = text(&gateway.command(&["why", &id]).stdout);
    assert!(why.contains("outcome   refused; no copy was kept"), "{why}");
}

#[test]
fn a_release_and_an_expiry_speak_json() {
    let sink = Sink::start();
    let gateway = strict(&sink).start();
    let id = refuse(&gateway, "foo@example.com");
    let release = |args: &[&str]| gateway.command(&[&["quarantine", "release", "--json", &id], args].concat());
    for (args, outcome) in [
        (&[][..], "delivered"),
        (&[], "released before"),
        (&["--again"], "delivered"),
    ] {
        let output = release(args);
        let line = &json(&output)[0];
        assert_eq!(
            (output.status.code(), &line["outcome"]),
            (Some(0), &outcome.into()),
            "{line}"
        );
        assert_eq!(
            (&line["id"], &line["recipient"]),
            (&id.as_str().into(), &"foo@example.com".into())
        );
    }
    drop(sink);
    let output = release(&["--again"]);
    let line = &json(&output)[0];
    assert_eq!(
        (output.status.code(), &line["outcome"]),
        (Some(1), &"not delivered".into()),
        "{line}"
    );
    assert!(
        line["said"]
            .as_str()
            .is_some_and(|why| why.contains("stays in the quarantine")),
        "{line}"
    );

    let expired = gateway.command(&["quarantine", "expire", "--json"]);
    assert_eq!((expired.status.code(), text(&expired.stdout).as_str()), (Some(0), ""));
}

#[test]
fn faults_of_the_configuration_are_json_too() {
    let gateway = Setup::new().stopped();
    gateway.write_config("[limits]\nrecipient = 1\nload = -1\n");
    let output = gateway.command(&["check", "--json"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let faults = json(&output);
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert_eq!(faults[0]["message"], "unknown key in `[limits]`: `recipient`");
    assert_eq!(
        (&faults[0]["line"], &faults[0]["severity"]),
        (&2.into(), &"error".into())
    );
    assert_eq!(faults[0]["hint"], "did you mean `recipients`?");
    assert_eq!(faults[1]["hint"], Value::Null);
}

#[test]
fn a_deliver_file_that_leads_back_to_the_gateway_is_reported() {
    let setup = Setup::new()
        .srv(&["example.com/users/valid/foo"])
        .set("smtp.listen", r#"["0.0.0.0:2525"]"#);
    let gateway = setup.file("example.com/deliver", "smtp:localhost:2525").stopped();
    let output = gateway.command(&["check"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        text(&output.stdout).contains("deliver: leads back to `[smtp] listen`"),
        "{output:?}"
    );
}

/// Standard output as a pipe whose reader has gone.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

#[test]
fn a_daemon_whose_first_words_nobody_reads_serves() {
    // `mailward serve | true` ended in a panic.
    let sink = Sink::start();
    // Of an address that no other test has, so that none takes the port meanwhile.
    let probe = TcpListener::bind("127.77.0.1:0").expect("a free port");
    let addr = probe.local_addr().expect("an address");
    drop(probe);
    let setup = Setup::new().srv(&["example.com/users/valid/*"]).before_sink(&sink);
    let mut gateway = setup.set("smtp.listen", &format!("[\"{addr}\"]")).stopped();
    gateway.start_saying_to(closed(), addr);
    let started = Instant::now();
    while Client::connect(addr).is_err() {
        assert!(
            !gateway.has_ended() && started.elapsed() < PATIENCE,
            "{}",
            gateway.log()
        );
    }
    let answers = Client::deliver(addr, &Mail::new("1@load.example", &["foo@example.com"])).expect("a session");
    assert_eq!(answers.decisive().code, 250);
    gateway.signal(Signal::TERM);
    assert!(gateway.wait().success());
}

#[test]
fn a_release_of_which_nobody_reads_delivers_everything() {
    let sink = Sink::start();
    let gateway = strict(&sink).start();
    let ids = [refuse(&gateway, "foo@example.com"), refuse(&gateway, "foo@example.com")];
    let status = gateway.command_saying_to(closed(), &["quarantine", "release", &ids[0], &ids[1]]);
    assert!(status.success());
    assert_eq!(sink.taken().len(), 2);
}
