//! Logs: one line for each message and recipient, and no sender writes any of it.

use serde_json::Value;

use crate::support::client::{Client, Mail};
use crate::support::gateway::{Gateway, Setup};
use crate::support::sink::Sink;

fn gateway(sink: &Sink, format: &str) -> Gateway {
    Setup::new()
        .srv(&["example.com/users/valid/foo", "example.com/checks/all"])
        .before_sink(sink)
        .set("log.format", &format!("\"{format}\""))
        .set("log.level", "\"debug\"")
        .start()
}

/// Ends the gateway, so that the log is whole.
fn whole_log(gateway: &mut Gateway) -> String {
    let log = gateway.log();
    gateway.signal(rustix::process::Signal::TERM);
    gateway.await_log("stopped");
    let whole = gateway.log();
    assert!(gateway.wait().success());
    assert!(whole.starts_with(&log));
    whole
}

#[test]
fn each_message_has_one_line_for_each_recipient() {
    let sink = Sink::start();
    let mut gateway = gateway(&sink, "json");
    let mail = Mail::new("1@load.example", &["foo@example.com", "nobody@example.com"]);
    let answers = Client::deliver(gateway.addr(), &mail).expect("a session");
    let id = answers.decisive().id().expect("an id");
    let log = whole_log(&mut gateway);
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    let lines: Vec<&Value> = lines.iter().filter(|line| line["message"] == "message").collect();
    assert_eq!(lines.len(), 2, "{log}");
    for (line, (recipient, disposition)) in lines
        .iter()
        .zip([("foo@example.com", "accept"), ("nobody@example.com", "reject")])
    {
        assert_eq!(line["id"], *id);
        assert_eq!(line["client"], "127.0.0.1");
        assert_eq!(line["helo"], "mx.sender.example");
        assert_eq!(line["reverse_path"], "<alice@sender.example>");
        assert_eq!(line["recipient"], recipient);
        assert_eq!(line["disposition"], disposition);
        assert_eq!(line["reply"], 250);
        assert!(line["took_ms"].is_u64(), "{line}");
        assert_eq!(line["level"], "INFO");
    }
    let reasons = lines[1]["reasons"].as_str().expect("reasons");
    assert!(
        reasons.contains("Mail for nobody not accepted at example.com"),
        "{reasons}"
    );
}

/// What senders would like to see in a log.
const FORGERIES: [&str; 5] = [
    "x\u{85}2026-01-01T00:00:00Z  INFO message id=FORGED",
    "x\u{2028}2026-01-01T00:00:00Z INFO message id=FORGED",
    "\u{202e}gnihton",
    "a\" id=\"FORGED\" b",
    "{\"message\":\"message\",\"id\":\"FORGED\"}",
];

#[test]
fn no_helo_sender_or_header_writes_a_line_or_paints_the_terminal() {
    for format in ["text", "json"] {
        let sink = Sink::start();
        let mut gateway = gateway(&sink, format);
        let mut sent = 0;
        for forgery in FORGERIES {
            let mut client = Client::connect(gateway.addr()).expect("a connection");
            client.reply().expect("a greeting");
            client.command(&format!("EHLO {forgery}")).expect("a reply");
            let quoted = forgery.replace('"', "\\\"");
            for from in [format!("\"{quoted}\"@b.example"), String::new()] {
                let mut mail = Mail::new("1@load.example", &["foo@example.com"]);
                mail.message = format!(
                    "From: |\x1b[31m{forgery}\r\nSubject: \x1b[2J secret {forgery}\r\nX-Mailer: the bat\x07\r\nDate:\r\n\r\nsecret\r\n"
                )
                .into_bytes();
                let opened = client
                    .command(&format!("MAIL FROM:<{from}> SMTPUTF8"))
                    .expect("a reply");
                if opened.code != 250 {
                    continue;
                }
                client.command("RCPT TO:<foo@example.com>").expect("a reply");
                client.command("DATA").expect("a reply");
                assert_eq!(client.data(&mail.message).expect("an answer").code, 550);
                sent += 1;
            }
        }
        assert!(sent >= FORGERIES.len(), "{sent}");
        let log = whole_log(&mut gateway);
        assert!(!log.contains(|c: char| c.is_control() && c != '\n'), "{log:?}");
        assert!(!log.contains(['\u{202e}', '\u{2028}']), "{log:?}");
        let lines: Vec<&str> = log.lines().filter(|line| line.contains("took_ms")).collect();
        assert_eq!(lines.len(), sent, "{log}");
        for line in log.lines() {
            match format {
                "json" => drop(serde_json::from_str::<Value>(line).unwrap_or_else(|e| panic!("{e}: {line}"))),
                _ => assert!(
                    line.len() > 28 && &line[4..5] == "-" && &line[26..27] == "Z",
                    "no time before {line}"
                ),
            }
        }
        for line in lines {
            let id = match format {
                "json" => serde_json::from_str::<Value>(line).expect("JSON")["id"]
                    .as_str()
                    .expect("an id")
                    .to_owned(),
                // Our id comes before all foreign text, which stands in quotes.
                _ => line
                    .split("id=")
                    .nth(1)
                    .expect("an id")
                    .split(' ')
                    .next()
                    .expect("an id")
                    .to_owned(),
            };
            assert!(id.len() == 12 && id != "FORGED", "{line}");
        }
        assert!(!log.contains("secret"), "subject and body are never logged: {log}");
    }
}

#[test]
fn control_characters_in_commands_are_refused_at_once() {
    let sink = Sink::start();
    let gateway = gateway(&sink, "text");
    let mut client = Client::connect(gateway.addr()).expect("a connection");
    client.reply().expect("a greeting");
    for octet in [0u8, 7, 8, 0x1b, 0x7f, b'\r', b'\n'] {
        client
            .send(&[b"EHLO a", &[octet][..], b"b.example\r\n"].concat())
            .expect("it is read");
        assert_eq!(client.reply().expect("one reply").code, 500, "{octet}");
    }
    assert_eq!(client.command("EHLO c.example").expect("a reply").code, 250);
    for octet in [0u8, 0x1b, b'\n'] {
        client
            .send(&[b"MAIL FROM:<\"a", &[octet][..], b"b\"@b.example>\r\n"].concat())
            .expect("it is read");
        assert_eq!(client.reply().expect("one reply").code, 500, "{octet}");
    }
}

#[test]
fn who_is_turned_away_is_logged_and_what_the_next_hop_says_is_one_line() {
    use crate::support::sink::{Act, Script, Stage};
    let sink = Sink::scripted(Script::default().at(Stage::Dot, Act::Answer("550-5.7.1 a\x1b[31m\r\n550 5.7.1 b\tc")));
    let mut gateway = gateway(&sink, "text");
    gateway.set("limits.connections", "1");
    gateway.reload();
    let mail = Mail::new("1@load.example", &["foo@example.com"]);
    let mut client = Client::greeted(gateway.addr());
    let mut second = Client::connect(gateway.addr()).expect("a connection");
    assert_eq!(second.reply().expect("a reply").code, 421);
    let answers = client.transaction(&mail).expect("a transaction");
    assert_eq!(answers.decisive().code, 550);
    assert!(!answers.decisive().text().contains('\x1b'), "{answers:?}");
    let log = whole_log(&mut gateway);
    assert!(
        log.contains("turned away") && log.contains("disposition=\"refused by next hop\""),
        "{log}"
    );
    assert!(!log.contains(|c: char| c.is_control() && c != '\n'), "{log:?}");
}
