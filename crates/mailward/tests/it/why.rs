//! `mailward why`: verdicts in sentences, and judged again.

use serde_json::Value;

use crate::support::PATIENCE;
use crate::support::boxes;
use crate::support::client::{Client, Mail, Reply};
use crate::support::gateway::{Gateway, Setup};
use crate::support::sink::{Act, Script, Sink, Stage};

fn gateway(sink: &Sink) -> Gateway {
    let srv = ["example.com/users/valid/foo", "example.com/checks/all"];
    Setup::new().srv(&srv).before_sink(sink).start()
}

fn send(gateway: &Gateway, mail: &Mail) -> Reply {
    let answers = Client::deliver(gateway.addr(), mail).expect("the session is kept up to QUIT");
    answers.decisive().clone()
}

/// Standard output, standard error and exit code.
fn why(gateway: &Gateway, args: &[&str]) -> (String, String, Option<i32>) {
    let output = gateway.command(&[&["why"], args].concat());
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

#[test]
fn an_id_from_the_reply_tells_the_verdict_and_its_replay() {
    let sink = Sink::start();
    let gateway = gateway(&sink);
    let mail = Mail {
        helo: "localhost".into(),
        ..Mail::new("1@load.example", &["foo@example.com", "nobody@example.com"])
    };
    let reply = send(&gateway, &mail);
    assert_eq!(reply.code, 550);
    let id = reply.id().expect("an id");
    let (said, _, code) = why(&gateway, &[&id]);
    assert_eq!(code, Some(0));
    for text in [
        &*format!("message {id}"),
        "127.0.0.1, which called itself `localhost`",
        "<alice@sender.example>",
        "<1@load.example>",
        "550 5.7.1 HELO should be qualified",
        "<foo@example.com>, a listed user",
        "reject: refused (550 5.7.1)",
        "<nobody@example.com>, not listed",
        "Mail for nobody not accepted at example.com",
        "kept in the quarantine as ",
    ] {
        assert!(said.contains(text), "{text:?} is not in\n{said}");
    }
    assert_eq!(
        said.matches("judged again by this version: the same").count(),
        2,
        "{said}"
    );
}

#[test]
fn an_id_from_the_header_field_does_as_well_in_any_case() {
    let sink = Sink::start();
    let gateway = gateway(&sink);
    assert_eq!(
        send(&gateway, &Mail::new("1@load.example", &["foo@example.com"])).code,
        250
    );
    let field = boxes::header(&sink.taken()[0].message, "X-Mailward-Id").expect("our id");
    let (id, mac) = field.split_once(' ').expect("an id and a MAC");
    assert_eq!((id.len(), mac.len()), (12, 20));
    for id in [id, &id.to_lowercase()] {
        let (said, _, code) = why(&gateway, &[id]);
        assert_eq!(code, Some(0), "{id}");
        assert!(
            said.contains("accept: delivered") && said.contains("delivered; "),
            "{said}"
        );
    }
}

#[test]
fn json_holds_facts_verdicts_policies_and_the_replay() {
    let sink = Sink::start();
    let gateway = gateway(&sink);
    let mail = Mail::new("1@load.example", &["foo@example.com", "nobody@example.com"]);
    let id = send(&gateway, &mail).id().expect("an id");
    let (said, _, code) = why(&gateway, &["--json", &id]);
    assert_eq!(code, Some(0));
    let json: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(json["id"], *id);
    assert_eq!(json["facts"]["helo"], "mx.sender.example");
    assert!(json["reply"].as_str().expect("a reply").starts_with("250 2.0.0"));
    let recipients = json["recipients"].as_array().expect("recipients");
    assert_eq!(recipients.len(), 2);
    for recipient in recipients {
        assert_eq!(recipient["replay_is_same"], true);
        assert_eq!(recipient["verdict"], recipient["replay"]);
        assert!(recipient["policy"].is_object() && recipient["policy_digest"].is_string());
    }
    let (said, _, _) = why(&gateway, &["--json"]);
    let lines: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines[0]["id"], *id);
}

#[test]
fn a_later_change_of_the_tree_does_not_change_what_was_decided() {
    let sink = Sink::start();
    let gateway = gateway(&sink);
    let id = send(&gateway, &Mail::new("1@load.example", &["nobody@example.com"]))
        .id()
        .expect("an id");
    std::fs::write(gateway.domains().join("example.com/users/valid/nobody"), "").expect("a user");
    let (said, _, _) = why(&gateway, &[&id]);
    assert!(
        said.contains("<nobody@example.com>, not listed") && said.contains("the same"),
        "{said}"
    );
}

#[test]
fn an_id_that_is_unknown_or_none_is_trouble_with_a_hint() {
    let sink = Sink::start();
    let gateway = gateway(&sink);
    for id in [
        "000000000000",
        "0E8WS473BB3B",
        "not-an-id",
        "",
        "../../etc",
        "0E8WS473BB3Bx",
    ] {
        let (said, error, code) = why(&gateway, &[id]);
        assert_eq!((code, &*said), (Some(2), ""), "{id}");
        assert!(
            error.starts_with("error: ") && error.contains("\nhint: "),
            "{id}: {error}"
        );
    }
    let (said, _, code) = why(&gateway, &[]);
    assert_eq!((code, &*said), (Some(0), "no message was judged yet\n"));
}

#[test]
fn without_a_store_it_says_so() {
    let stopped = Setup::new().stopped();
    let (said, error, code) = why(&stopped, &[]);
    assert_eq!((code, &*said), (Some(2), ""));
    assert!(error.starts_with("error: "), "{error}");
}

#[test]
fn foreign_text_in_a_record_cannot_paint_the_terminal() {
    let sink = Sink::start();
    let gateway = gateway(&sink);
    let mut mail = Mail::new("1@load.example", &["foo@example.com"]);
    mail.helo = "a\u{202e}b.example".into();
    mail.message =
        b"From: |\x1b[31m\x07x\r\nSubject: \x1b]0;title\x07 red\r\nDate: x\r\nMessage-Id: <\x1b[2J>\r\n\r\nx\r\n"
            .to_vec();
    let id = send(&gateway, &mail).id().expect("an id");
    for args in [vec!["why", &*id], vec!["why"], vec!["why", "--json", &*id]] {
        let output = gateway.command(&args);
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(
            !text.contains(|c: char| c.is_control() && c != '\n'),
            "{args:?}: {text:?}"
        );
        assert!(!text.contains('\u{202e}'), "{args:?}: {text:?}");
    }
}

/// The id in the first line of the list of the last messages, which has `DAY MONTH TIME  ID  `.
fn last_id(gateway: &Gateway) -> Option<String> {
    let (said, _, _) = why(gateway, &[]);
    said.lines().next()?.split("  ").nth(1).map(str::to_owned)
}

#[test]
fn a_message_that_a_kill_cut_off_is_said_to_be_not_recorded() {
    let sink = Sink::scripted(Script::default().at(Stage::Dot, Act::Hang));
    let mut gateway = gateway(&sink);
    let mut client = Client::greeted(gateway.addr());
    let mail = Mail::new("1@load.example", &["foo@example.com"]);
    client.begin_data(&mail);
    client.send(&mail.message).expect("it is read");
    client.send(b".\r\n").expect("it is read");
    // The intent is on disk before the next hop hears of the message.
    let started = std::time::Instant::now();
    while sink.connections() == 0 {
        assert!(started.elapsed() < PATIENCE, "the next hop never heard of it");
        std::thread::yield_now();
    }
    gateway.kill();
    let id = last_id(&gateway).expect("the message is known, with nobody running");
    gateway.start_again();
    let (said, _, code) = why(&gateway, &[&id]);
    assert_eq!(code, Some(0));
    assert!(
        said.contains("not recorded: the gateway is at work on the message, or was stopped while it was"),
        "{said}"
    );
    assert!(said.contains("accept: delivered"), "the verdict is known: {said}");
    let (json, _, _) = why(&gateway, &["--json", &id]);
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert!(json["reply"].is_null());
    sink.play(Script::default());
    assert_eq!(send(&gateway, &mail).code, 250);
}

/// Records, policies and labels of a store that 0.1.0 wrote are read, and each verdict is judged again as it was.
#[test]
fn a_store_of_0_1_0_is_read_and_replays() {
    let gateway = Setup::new().srv(&["example.com/users/valid/*"]).stopped();
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/stores/0.1.0.db");
    std::fs::create_dir_all(gateway.state()).expect("our own directory");
    std::fs::copy(kept, gateway.state().join("mailward.db")).expect("the fixture");
    let mut gateway = gateway;
    gateway.start_again();
    let (list, _, code) = why(&gateway, &["--json"]);
    assert_eq!(code, Some(0), "{list}");
    let entries: Vec<Value> = list
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(entries.len(), 9, "{list}");
    for entry in &entries {
        let id = entry["id"].as_str().expect("an id");
        let (said, _, code) = why(&gateway, &["--json", id]);
        assert_eq!(code, Some(0), "{said}");
        let told: Value = serde_json::from_str(&said).expect("JSON");
        for recipient in told["recipients"].as_array().expect("recipients") {
            assert_eq!(recipient["replay_is_same"], true, "{id}: {recipient}");
        }
    }
    let stats = gateway.command(&["store", "stats", "--json"]);
    let stats: Value = serde_json::from_slice(&stats.stdout).expect("JSON");
    assert_eq!((&stats["messages"], &stats["junk"]), (&9.into(), &3.into()), "{stats}");
}
