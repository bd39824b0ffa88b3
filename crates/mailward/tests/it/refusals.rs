//! What sessions refuse by themselves: each refusal is one line and one count, and a whole message leaves a copy.

use std::time::Instant;

use serde_json::Value;

use crate::support::PATIENCE;
use crate::support::boxes;
use crate::support::client::{Client, Mail, Reply};
use crate::support::gateway::{Gateway, Setup};
use crate::support::sink::{Act, Script, Sink, Stage};

fn setup(sink: &Sink) -> Setup {
    Setup::new()
        .srv(&[
            "example.com/users/valid/foo",
            "example.com/users/valid/bar",
            "broken.example/users/valid/*",
            "other.example/users/valid/*",
        ])
        .file("broken.example/deliver", "nowhere at all\n")
        .file("other.example/deliver", "smtp:127.0.0.1:9\n")
        .set("log.format", "\"json\"")
        .before_sink(sink)
}

/// The lines of the log with this message.
fn lines(log: &str, message: &str) -> Vec<Value> {
    let lines = log.lines().map(serde_json::from_str::<Value>);
    let lines = lines.map(|line| line.unwrap_or_else(|error| panic!("{error}:\n{log}")));
    lines.filter(|line| line["message"] == message).collect()
}

fn status(gateway: &Gateway) -> Value {
    let output = gateway.command(&["status", "--json"]);
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Ends the gateway once nobody is connected any more; its last status and its whole log.
fn settled(gateway: &mut Gateway) -> (Value, String) {
    let deadline = Instant::now() + PATIENCE;
    let last = loop {
        let status = status(gateway);
        if status["connections"]["now"] == 0 {
            break status;
        }
        assert!(Instant::now() < deadline, "somebody stays connected");
    };
    gateway.signal(rustix::process::Signal::TERM);
    gateway.await_log("\"stopped\"");
    let log = gateway.log();
    assert!(gateway.wait().success());
    (last, log)
}

/// Something that a session refuses.
struct Provocation {
    settings: &'static [(&'static str, &'static str)],
    talk: fn(&mut Client),
    stage: &'static str,
    reason: &'static str,
    /// 0 where no reply can be given.
    reply: u16,
    reverse_path: Option<&'static str>,
    recipients: u64,
}

const FROM: Option<&str> = Some("<alice@sender.example>");

fn say(client: &mut Client, commands: &[&str]) {
    for command in commands {
        client.command(command).expect("a reply");
    }
}

fn to(client: &mut Client, recipients: &[&str]) {
    client.command("MAIL FROM:<alice@sender.example>").expect("a reply");
    for recipient in recipients {
        client.command(&format!("RCPT TO:<{recipient}>")).expect("a reply");
    }
}

fn data(client: &mut Client, message: &[u8]) {
    client.begin_data(&Mail::new("", &["foo@example.com"]));
    client.send(message).expect("it is read");
    client.reply().expect("an answer");
}

const PLAIN: Provocation = Provocation {
    settings: &[],
    talk: |_| {},
    stage: "RCPT",
    reason: "",
    reply: 0,
    reverse_path: FROM,
    recipients: 0,
};

/// At RCPT.
fn recipients() -> Vec<Provocation> {
    let rcpt = |reason, reply, recipients, talk| Provocation {
        talk,
        reason,
        reply,
        recipients,
        ..PLAIN
    };
    vec![
        rcpt("relay", 550, 1, |client| {
            to(client, &["foo@example.com", "x@elsewhere.example"])
        }),
        rcpt("relay", 550, 0, |client| to(client, &["x@[192.0.2.1]"])),
        rcpt("recipient", 553, 0, |client| to(client, &["@"])),
        rcpt("recipient", 555, 0, |client| {
            to(client, &[]);
            say(client, &["RCPT TO:<foo@example.com> NOTIFY=NEVER"]);
        }),
        rcpt("unknown_recipient", 550, 0, |client| to(client, &["postmaster"])),
        rcpt("domain_unavailable", 451, 0, |client| to(client, &["x@broken.example"])),
        rcpt("other_next_hop", 452, 1, |client| {
            to(client, &["foo@example.com", "x@other.example"])
        }),
        Provocation {
            settings: &[("limits.recipients", "1")],
            ..rcpt("too_many_recipients", 452, 1, |client| {
                to(client, &["foo@example.com", "bar@example.com"])
            })
        },
    ]
}

/// At MAIL.
fn senders() -> Vec<Provocation> {
    let mail = |reason, reply, reverse_path, talk| Provocation {
        stage: "MAIL",
        talk,
        reason,
        reply,
        reverse_path: Some(reverse_path),
        ..PLAIN
    };
    vec![
        mail("sender", 553, "<a@@b>", |client| say(client, &["MAIL FROM:<a@@b>"])),
        mail("sender", 555, "<a@b.example> RET=HDRS", |client| {
            say(client, &["MAIL FROM:<a@b.example> RET=HDRS"])
        }),
        mail("too_large", 552, "<a@b.example>", |client| {
            say(client, &["MAIL FROM:<a@b.example> SIZE=99999999999"])
        }),
        mail("out_of_order", 503, "<a@b.example>", |client| {
            to(client, &[]);
            say(client, &["MAIL FROM:<a@b.example>"]);
        }),
    ]
}

fn nul() -> Provocation {
    Provocation {
        settings: &[("smtp.nul", "\"refuse\"")],
        stage: "end of message",
        talk: |client| data(client, b"Subject: a\r\n\r\none\0two\r\n.\r\n"),
        reason: "nul",
        reply: 554,
        recipients: 1,
        ..PLAIN
    }
}

/// Whole messages, and one that is not.
fn messages() -> Vec<Provocation> {
    let whole = |reason, talk| Provocation {
        stage: "end of message",
        talk,
        reason,
        reply: 554,
        recipients: 1,
        ..PLAIN
    };
    vec![
        whole("bare_line_break", |client| {
            data(client, b"Subject: a\r\n\r\none\ntwo\r\n.\r\n")
        }),
        whole("bare_line_break", |client| {
            data(client, b"Subject: a\r\n\r\none\rtwo\r\n.\r\n")
        }),
        nul(),
        whole("too_many_hops", |client| {
            let hops = "Received: from a by b; x\r\n".repeat(101);
            data(client, format!("{hops}\r\nx\r\n.\r\n").as_bytes());
        }),
        whole("header_too_large", |client| {
            let header = "A: b\r\n".repeat(10_001);
            data(client, format!("{header}\r\nx\r\n.\r\n").as_bytes());
        }),
        Provocation {
            settings: &[("limits.text_line_length", "1000")],
            ..whole("line_too_long", |client| {
                data(
                    client,
                    format!("Subject: a\r\n\r\n{}\r\n.\r\n", "x".repeat(1001)).as_bytes(),
                );
            })
        },
        Provocation {
            settings: &[("limits.text_line_length", "1000")],
            ..whole("line_too_long", |client| {
                client.begin(&Mail::new("", &["foo@example.com"]));
                let message = format!("Subject: a\r\n\r\n{}\r\n", "x".repeat(1001));
                client.bdat(message.as_bytes(), &[600, 600]).expect("replies");
            })
        },
        Provocation {
            settings: &[("smtp.bdat_bare_lf", "\"refuse\"")],
            ..whole("bare_line_break", |client| {
                client.begin(&Mail::new("", &["foo@example.com"]));
                client.bdat(b"Subject: a\r\n\r\none\ntwo\r\n", &[20]).expect("replies");
            })
        },
        Provocation {
            settings: &[("limits.message_size", "65536")],
            stage: "DATA",
            reply: 552,
            ..whole("too_large", |client| {
                data(client, &[&b"0123456789\r\n".repeat(6000)[..], b".\r\n"].concat());
            })
        },
        Provocation {
            settings: &[("limits.body_memory", "1")],
            stage: "DATA",
            reply: 452,
            ..whole("no_room", |client| {
                data(client, &[&b"0123456789\r\n".repeat(20_000)[..], b".\r\n"].concat());
            })
        },
    ]
}

/// What ends a connection, and XCLIENT.
fn connections() -> Vec<Provocation> {
    let ends = |reason, reply, talk| Provocation {
        stage: "HELO",
        reverse_path: None,
        talk,
        reason,
        reply,
        ..PLAIN
    };
    vec![
        Provocation {
            stage: "XCLIENT",
            ..ends("xclient", 550, |client| say(client, &["XCLIENT ADDR=192.0.2.1"]))
        },
        Provocation {
            stage: "BDAT",
            ..ends("chunk_length", 501, |client| say(client, &["BDAT x LAST"]))
        },
        Provocation {
            stage: "BDAT",
            reverse_path: FROM,
            recipients: 1,
            ..ends("too_large", 552, |client| {
                to(client, &["foo@example.com"]);
                say(client, &["BDAT 18446744073709551617 LAST"]);
            })
        },
        Provocation {
            settings: &[("limits.commands", "10")],
            ..ends("too_many_commands", 421, |client| say(client, &["NOOP"; 10]))
        },
        Provocation {
            settings: &[("limits.errors", "1")],
            ..ends("too_many_errors", 421, |client| {
                say(client, &["DATA", "DATA"]);
                client.reply().expect("a last word");
            })
        },
        Provocation {
            settings: &[("limits.unrecognized_commands", "1")],
            ..ends("too_many_unrecognized", 521, |client| say(client, &["FOO"]))
        },
        Provocation {
            settings: &[("limits.command_timeout_s", "1")],
            stage: "RCPT",
            recipients: 1,
            reverse_path: FROM,
            ..ends("timeout", 421, |client| {
                to(client, &["foo@example.com"]);
                client.rest();
            })
        },
        Provocation {
            stage: "STARTTLS",
            ..ends("tls_handshake", 0, |client| {
                say(client, &["STARTTLS"]);
                client.send(b"no handshake\r\n").expect("the kernel takes it");
                client.rest();
            })
        },
    ]
}

fn check(provocation: &Provocation) {
    let sink = Sink::start();
    let setup = provocation
        .settings
        .iter()
        .fold(setup(&sink), |setup, (name, value)| setup.set(name, value));
    let mut gateway = setup.start();
    let mut client = Client::greeted(gateway.addr());
    (provocation.talk)(&mut client);
    drop(client);
    let (status, log) = settled(&mut gateway);
    let reason = provocation.reason;
    let lines = lines(&log, "refused");
    assert_eq!(lines.len(), 1, "{reason}:\n{log}");
    let line = &lines[0];
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["client"], "127.0.0.1");
    assert_eq!(line["reason"], reason);
    assert_eq!(line["recipients"], provocation.recipients, "{line}");
    assert_eq!(line["stage"], provocation.stage, "{line}");
    assert_eq!(status["refusals"][reason], 1, "{status}");
    match provocation.reply {
        0 => assert!(line["error"].is_string() && line["reply"].is_null(), "{line}"),
        reply => {
            assert_eq!(line["reply"], reply, "{line}");
            assert_eq!(line["helo"], "mx.sender.example");
            let text = line["text"].as_str().expect("the whole reply");
            assert!(text.starts_with(&reply.to_string()), "{text}");
        }
    }
    assert_eq!(line["reverse_path"].as_str(), provocation.reverse_path, "{line}");
    assert_eq!(
        line["recipient"].is_string(),
        provocation.stage == "RCPT" && reason != "timeout",
        "{line}"
    );
    assert_eq!(line["id"].is_string(), provocation.stage == "end of message", "{line}");
    assert!(sink.taken().is_empty());
}

#[test]
fn each_refused_recipient_leaves_one_line_and_one_count() {
    // Relay attempts and the like left no trace at any level.
    recipients().iter().for_each(check);
}

#[test]
fn each_refused_sender_leaves_one_line_and_one_count() {
    senders().iter().for_each(check);
}

#[test]
fn each_message_that_a_session_refuses_leaves_one_line_and_one_count() {
    messages().iter().for_each(check);
}

#[test]
fn each_connection_that_is_ended_leaves_one_line_and_one_count() {
    connections().iter().for_each(check);
}

#[test]
fn an_error_of_one_command_is_counted_and_not_logged_and_foreign_text_is_escaped() {
    let sink = Sink::start();
    let mut gateway = setup(&sink).start();
    let mut client = Client::greeted(gateway.addr());
    say(&mut client, &["FOO", "DATA", "RCPT TO:<foo@example.com>", "RSET x"]);
    to(&mut client, &["a\x1b[31m\u{202e}@x\"y"]);
    client.command("QUIT").expect("a reply");
    drop(client);
    let (status, log) = settled(&mut gateway);
    assert_eq!(
        status["refusals"],
        serde_json::json!({"unrecognized": 1, "out_of_order": 2, "syntax": 1, "recipient": 1})
    );
    let lines = lines(&log, "refused");
    assert_eq!(lines.len(), 1, "{log}");
    let recipient = lines[0]["recipient"].as_str().expect("what was said");
    assert!(!recipient.contains(['\x1b', '\u{202e}']), "{recipient:?}");
}

#[test]
fn a_message_that_a_check_judged_is_not_told_twice() {
    let sink = Sink::start();
    let mut gateway = setup(&sink).start();
    let answers = Client::deliver(gateway.addr(), &Mail::new("1@load.example", &["nobody@example.com"]));
    assert_eq!(answers.expect("a session").decisive().code, 550);
    let (status, log) = settled(&mut gateway);
    assert_eq!(status["refusals"], serde_json::json!({}));
    assert_eq!(
        (lines(&log, "refused").len(), lines(&log, "message").len()),
        (0, 1),
        "{log}"
    );
}

#[test]
fn clients_that_a_limit_turns_away_are_told_when_it_begins_and_when_it_ends() {
    let sink = Sink::start();
    let mut gateway = setup(&sink).set("limits.connections_per_client", "1").start();
    let first = Client::greeted(gateway.addr());
    for _ in 0..3 {
        let mut turned_away = Client::connect(gateway.addr()).expect("a connection");
        assert_eq!(turned_away.reply().expect("a reply").code, 421);
    }
    let text = String::from_utf8(gateway.command(&["status"]).stdout).expect("text");
    assert!(text.contains("3 (connections of one network 3)"), "{text}");
    assert_eq!(status(&gateway)["connections"]["turned_away_by"]["client_network"], 3);
    assert!(!gateway.log().contains("clients are let in again"));
    drop(first);
    gateway.await_log("clients are let in again");
    let (_, log) = settled(&mut gateway);
    let begun = lines(&log, "clients are turned away");
    assert_eq!(begun.len(), 1, "{log}");
    assert_eq!(
        (&begun[0]["network"], &begun[0]["limit"]),
        (&"127.0.0.0/24".into(), &1.into())
    );
    let ended = lines(&log, "clients are let in again");
    assert_eq!(ended.len(), 1, "{log}");
    assert_eq!(
        (&ended[0]["turned_away"], &ended[0]["reason"]),
        (&3.into(), &"client_network".into())
    );
    assert!(lines(&log, "refused").is_empty(), "{log}");
}

#[test]
fn a_stop_says_how_many_were_turned_away_and_whom_it_cut() {
    let sink = Sink::start();
    let mut gateway = setup(&sink).set("limits.connections", "1").start();
    let mut first = Client::greeted(gateway.addr());
    to(&mut first, &["foo@example.com"]);
    let mut second = Client::connect(gateway.addr()).expect("a connection");
    assert_eq!(second.reply().expect("a reply").code, 421);
    gateway.signal(rustix::process::Signal::TERM);
    assert_eq!(first.reply().expect("a last word").code, 421);
    gateway.await_log("\"stopped\"");
    let log = gateway.log();
    assert!(gateway.wait().success());
    let ended = lines(&log, "clients are let in again");
    assert_eq!((ended.len(), &ended[0]["turned_away"]), (1, &1.into()), "{log}");
    let refused = lines(&log, "refused");
    assert_eq!(refused.len(), 1, "{log}");
    assert_eq!(
        (&refused[0]["reason"], &refused[0]["recipients"]),
        (&"stopping".into(), &1.into())
    );
}

/// DATA after nothing but refused recipients was counted and left no line.
#[test]
fn a_transaction_that_ends_without_a_recipient_leaves_one_line_and_one_count() {
    let sink = Sink::start();
    let mut gateway = setup(&sink).start();
    for end in ["DATA", "BDAT 0 LAST"] {
        let mut client = Client::greeted(gateway.addr());
        to(&mut client, &["x@elsewhere.example"]);
        assert_eq!(client.command(end).expect("a reply").code, 554);
    }
    let (status, log) = settled(&mut gateway);
    assert_eq!(
        status["refusals"],
        serde_json::json!({"relay": 2, "no_recipients": 2}),
        "{log}"
    );
    let lines = lines(&log, "refused");
    let ends: Vec<_> = lines.iter().filter(|line| line["reason"] == "no_recipients").collect();
    assert_eq!((lines.len(), ends.len()), (4, 2), "{log}");
    for (line, stage) in ends.into_iter().zip(["DATA", "BDAT"]) {
        assert_eq!((&line["stage"], &line["reply"]), (&stage.into(), &554.into()), "{line}");
        assert_eq!(line["reverse_path"].as_str(), FROM, "{line}");
        assert_eq!(line["recipients"], 0, "{line}");
    }
}

/// A message that was being worked on when a second signal came left a line that did not say whose it was.
#[test]
fn a_message_that_is_cut_off_while_it_is_judged_leaves_a_line_with_sender_and_recipients() {
    let sink = Sink::scripted(Script::default().at(Stage::Data, Act::Hang));
    let mut gateway = setup(&sink).start();
    let mut client = Client::greeted(gateway.addr());
    client.begin_data(&Mail::new("", &["foo@example.com", "bar@example.com"]));
    client.send(b"Subject: a\r\n\r\nx\r\n.\r\n").expect("it is read");
    let deadline = Instant::now() + PATIENCE;
    while sink.connections() == 0 {
        assert!(Instant::now() < deadline, "nothing goes to the next hop");
        std::thread::yield_now();
    }
    gateway.signal(rustix::process::Signal::TERM);
    gateway.await_log("\"stopping\"");
    gateway.signal(rustix::process::Signal::TERM);
    assert_eq!(client.reply().expect("a last word").code, 421);
    gateway.await_log("\"stopped\"");
    let log = gateway.log();
    assert!(gateway.wait().success());
    let lines = lines(&log, "refused");
    assert_eq!(lines.len(), 1, "{log}");
    let line = &lines[0];
    assert_eq!(
        (&line["reason"], &line["stage"]),
        (&"stopping".into(), &"end of message".into())
    );
    assert_eq!(line["reverse_path"].as_str(), FROM, "{line}");
    assert_eq!(line["helo"], "mx.sender.example", "{line}");
    assert_eq!(
        (&line["recipients"], &line["to"]),
        (&2.into(), &"foo@example.com, bar@example.com".into())
    );
}

/// A whole message that is refused: its octets by DATA, and what of its body is delivered when it is released.
const REFUSED: [(&str, &str, &str); 4] = [
    (
        "Subject: a\nX-Mailward-Verdict: forged\n\none\n.\ntwo\n\nthree\r\n",
        "Bare CR or LF in message; lines end in CRLF",
        "\r\n\r\none\r\n.\r\ntwo\r\n\r\nthree\r\n",
    ),
    (
        "Subject: a\rX-Spam-Flag: YES\r\n\r\none\r.\rtwo\r\n",
        "Bare CR or LF in message; lines end in CRLF",
        "\r\n\r\none . two\r\n",
    ),
    (
        "Subject: a\r\n\r\nLONG\r\n",
        "Message has too long a line",
        "\r\n\r\nLONG\r\n",
    ),
    (
        "HOPSSubject: a\r\n\r\none\r\n",
        "Too many hops: the message goes in circles",
        "\r\n\r\none\r\n",
    ),
];

#[test]
fn a_whole_message_that_a_session_refuses_is_kept_for_its_users_and_can_be_released() {
    let write = |text: &str| {
        text.replace("LONG", &"long ".repeat(300))
            .replace("HOPS", &"Received: from a by b; x\r\n".repeat(101))
    };
    for (message, reason, delivered) in REFUSED {
        let sink = Sink::start();
        let gateway = setup(&sink).set("limits.text_line_length", "1000").start();
        let mut client = Client::greeted(gateway.addr());
        client.begin_data(&Mail::new(
            "",
            &["foo@example.com", "nobody@example.com", "bar@example.com"],
        ));
        client.send(write(message).as_bytes()).expect("it is read");
        let reply = client.command(".").expect("an answer");
        assert_eq!((reply.code, reply.text().contains(reason)), (554, true), "{reply:?}");
        let id = reply.id().expect("the reply names the message");
        assert_eq!(
            boxes::held(&gateway.spam()).len(),
            2,
            "one for each user, none for nobody"
        );
        let list = gateway.command(&["quarantine", "list", "--json"]);
        let list = String::from_utf8(list.stdout).expect("text");
        assert!(list.contains(&id) && list.contains(reason), "{list}");
        let shown = String::from_utf8(gateway.command(&["quarantine", "show", &id]).stdout).expect("text");
        assert!(shown.contains(reason), "{shown}");
        assert!(sink.taken().is_empty());
        let output = gateway.command(&["quarantine", "release", &id]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let taken = sink.taken();
        assert_eq!(taken.len(), 2, "each copy is one message");
        for taken in taken {
            let text = String::from_utf8(taken.message).expect("text");
            assert!(text.ends_with(&write(delivered)), "{text}");
            assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{text:?}");
            let forged = ["\r\nX-Mailward-Verdict:", "\r\nX-Spam-Flag:"];
            assert!(!forged.iter().any(|field| text.contains(field)), "{text}");
        }
    }
}

fn refused_without_a_copy(setup: Setup, rcpt: &str, message: &[u8], word: &str) -> Reply {
    let mut gateway = setup.start();
    let mut client = Client::greeted(gateway.addr());
    client.begin_data(&Mail::new("", &[rcpt]));
    client.send(message).expect("it is read");
    let reply = client.command(".").expect("an answer");
    drop(client);
    assert!(boxes::held(&gateway.spam()).is_empty());
    let (_, log) = settled(&mut gateway);
    let copy = &lines(&log, "refused")[0]["copy"];
    assert!(copy.as_str().unwrap_or_default().contains(word), "{copy}");
    reply
}

#[test]
fn where_no_copy_fits_the_message_is_refused_all_the_same_and_the_log_says_so() {
    let sink = Sink::start();
    let bare = b"Subject: a\r\n\r\none\ntwo\r\n";
    let narrow = setup(&sink).set("limits.quarantine_size", "10");
    assert_eq!(
        refused_without_a_copy(narrow, "foo@example.com", bare, "budget").code,
        554
    );
    let reply = refused_without_a_copy(setup(&sink), "nobody@example.com", bare, "no such user");
    assert_eq!(reply.code, 554);
    // Of a message that is too large there is no whole to keep.
    let large = b"0123456789\r\n".repeat(6000);
    let small = setup(&sink).set("limits.message_size", "65536");
    assert_eq!(refused_without_a_copy(small, "foo@example.com", &large, "").code, 552);
}

/// The body of the only message that the next hop got.
fn body_of(sink: &Sink) -> String {
    let taken = sink.taken();
    assert_eq!(taken.len(), 1);
    let text = String::from_utf8(taken[0].message.clone()).expect("text");
    text.split_once("\r\n\r\n").expect("a body").1.to_owned()
}

#[test]
fn a_bare_line_break_by_bdat_is_normalized_and_delivered() {
    // Office 365 sends them; they can smuggle nothing where the octets are counted.
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let message = b"Subject: a\nX-B: c\n\none\n.\ntwo\rthree\r\r\n.\n..\nend";
    for cut in 0..=message.len() {
        let mut client = Client::greeted(gateway.addr());
        client.begin(&Mail::new("", &["foo@example.com"]));
        assert_eq!(client.bdat(message, &[cut]).expect("replies").code, 250);
    }
    let expected = "\r\nX-B: c\r\n";
    for taken in sink.taken() {
        let text = String::from_utf8(taken.message).expect("text");
        assert!(
            text.contains(expected) && text.ends_with("\r\n\r\none\r\n.\r\ntwo three \r\n.\r\n..\r\nend\r\n"),
            "{text}"
        );
    }
    assert_eq!(sink.taken().len(), message.len() + 1);
}

#[test]
fn a_bare_lf_by_data_is_normalized_where_that_is_wanted_and_ends_nothing() {
    let sink = Sink::start();
    let gateway = setup(&sink).set("smtp.bare_lf", "\"normalize\"").start();
    let mut client = Client::greeted(gateway.addr());
    client.begin_data(&Mail::new("", &["foo@example.com"]));
    let smuggled = "MAIL FROM:<evil@attacker.example>\nRCPT TO:<bar@example.com>\nDATA\nevil\n";
    let message = format!("Subject: a\n\none\n.\n{smuggled}.\r\n{smuggled}\r\n.\n..two\n");
    client.send(message.as_bytes()).expect("it is read");
    client.send(b"end\r\n").expect("it is read");
    assert_eq!(client.command(".").expect("one answer").code, 250);
    assert_eq!(client.command("QUIT").expect("no second answer").code, 221);
    let crlf = smuggled.replace('\n', "\r\n");
    assert_eq!(
        body_of(&sink),
        format!("one\r\n.\r\n{crlf}.\r\n{crlf}\r\n.\r\n.two\r\nend\r\n")
    );
    // A bare CR is none of it.
    let mut client = Client::greeted(gateway.addr());
    client.begin_data(&Mail::new("", &["foo@example.com"]));
    client.send(b"Subject: a\r\n\r\none\rtwo\n").expect("it is read");
    assert_eq!(client.command("\r\n.").expect("an answer").code, 554);
}
