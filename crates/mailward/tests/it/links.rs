//! The check `links` from the outside: what is refused and what the sender is told, the copy, what `why` and `scan` say.

use std::fs;

use serde_json::Value;

use crate::support::boxes;
use crate::support::client::{Client, Mail, Reply};
use crate::support::daemon::said;
use crate::support::gateway::{Gateway, Setup};
use crate::support::sink::Sink;

const LINKS: &str = "example.com/checks/links";
const DECEIT: &str = "<a href=\"http://203.0.113.5/login\">https://www.bank.example.com/</a>";

fn setup(sink: &Sink) -> Setup {
    Setup::new().srv(&["example.com/users/valid/foo"]).before_sink(sink)
}

/// A page in a message.
fn page(html: &str) -> Mail {
    let head = "From: ann@shop.example\r\nTo: foo@example.com\r\nSubject: news\r\nDate: Fri, 15 Jan 2027 08:00:00 +0000\r\n\
        Message-Id: <page@shop.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n";
    Mail {
        message: [head, html, "\r\n"].concat().into_bytes(),
        ..Mail::new("page@shop.example", &["foo@example.com"])
    }
}

fn send(gateway: &Gateway, mail: &Mail) -> Reply {
    let answers = Client::deliver(gateway.addr(), mail).expect("the session is kept up to QUIT");
    answers.decisive().clone()
}

#[test]
fn a_deceiving_link_is_refused_in_private_and_explained_to_the_operator() {
    let sink = Sink::start();
    let gateway = setup(&sink).srv(&[LINKS]).start();
    let reply = send(&gateway, &page(DECEIT));
    let id = reply.id().expect("an id");
    assert_eq!(
        (reply.code, reply.text()),
        (550, format!("5.7.1 refused by the recipient's mail policy (id {id})"))
    );
    let held = boxes::held(&gateway.spam());
    assert_eq!((held.len(), sink.taken().len()), (1, 0));
    let text = "shows www.bank.example.com, leads to 203.0.113.5";
    assert_eq!(
        boxes::header(&held[0].message, "X-REJECT-REASON").as_deref(),
        Some(text)
    );
    assert_eq!(
        boxes::header(&held[0].message, "X-REJECT-PLUGIN").as_deref(),
        Some("checks/links")
    );
    let why = said(&gateway, &["why", &id]);
    assert!(
        why.contains(&format!("Check `links` says: {text} (this decided).")),
        "{why}"
    );
    assert!(why.contains(&format!("  links     {text}\n")), "{why}");
    // The copy is there already when it comes again.
    assert_eq!(send(&gateway, &page(DECEIT)).code, 550);
    assert_eq!(boxes::held(&gateway.spam()).len(), 1);
}

#[test]
fn a_counter_of_clicks_is_let_in_and_noted() {
    let sink = Sink::start();
    let gateway = setup(&sink).srv(&[LINKS]).start();
    let reply = send(
        &gateway,
        &page("<a href='https://click.example.net/x'>https://www.shop.example.org/</a>"),
    );
    assert_eq!((reply.code, sink.taken().len()), (250, 1));
    let why = said(&gateway, &["why", &reply.id().expect("an id")]);
    let noted = "Check `links` says: shows www.shop.example.org, leads to click.example.net (evidence only).";
    assert!(why.contains(noted), "{why}");
    let reply = send(&gateway, &page("<p>no link at all"));
    assert!(!said(&gateway, &["why", &reply.id().expect("an id")]).contains("links"));
}

#[test]
fn a_code_behind_what_stays_in_memory_is_found() {
    let sink = Sink::start();
    let gateway = setup(&sink).file(LINKS, "threshold = 7\n").start();
    let code = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/links/plain.png")).expect("a picture");
    let coded = data_encoding::BASE64.encode(&code);
    let padding = "a long story\r\n".repeat(30_000);
    let mail = page("");
    let head = String::from_utf8(mail.message.clone()).expect("text");
    let head = head.replace("text/html; charset=utf-8", "multipart/mixed; boundary=b");
    let message = format!(
        "{head}--b\r\n\r\n{padding}--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n{coded}\r\n--b--\r\n"
    );
    let mail = Mail {
        message: message.into_bytes(),
        ..mail
    };
    let reply = send(&gateway, &mail);
    assert_eq!(reply.code, 550);
    let why = said(&gateway, &["why", &reply.id().expect("an id")]);
    assert!(why.contains("a QR code leads to 203.0.113.5"), "{why}");
}

#[test]
fn what_the_operator_says_of_links_counts() {
    for (toml, code) in [
        ("", 550),
        ("ignore = [\"203.0.113.5\"]\n", 250),
        ("threshold = 14\n", 250),
        ("action = \"defer\"\n", 451),
        ("soft = true\n", 250),
    ] {
        let sink = Sink::start();
        let gateway = setup(&sink).file(LINKS, toml).start();
        assert_eq!(send(&gateway, &page(DECEIT)).code, code, "{toml}");
    }
    let sink = Sink::start();
    let gateway = setup(&sink).file(LINKS, "tresholds = 5\n").start();
    let out = gateway.command(&["check"]);
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(text.contains("checks/links:1: unknown key: `tresholds`"), "{text}");
}

#[test]
fn scan_reads_links_without_asking_anybody() {
    let sink = Sink::start();
    let gateway = setup(&sink).srv(&["example.com/checks/recommended"]).start();
    let out = gateway.command_with(&["scan", "--json", "--rcpt", "foo@example.com"], &page(DECEIT).message);
    let found: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert!(found.to_string().contains("leads to 203.0.113.5"), "{found}");
    assert!(found.to_string().contains("reject"), "{found}");
}
