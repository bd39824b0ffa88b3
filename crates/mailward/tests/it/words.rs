//! What the next hop said stands where people look for it: in the log, in `why`, in lists and in the quarantine, whole;
//! and the sender hears it, but nothing of how things are here.

use serde_json::Value;

use crate::nexthop::{self, send};
use crate::support::client::{Mail, Reply};
use crate::support::daemon::said;
use crate::support::gateway::{Gateway, Setup};
use crate::support::sink::{Act, Script, Sink, Stage};

const REFUSAL: &str = "550-5.7.1 blocked by rule 7\r\n550-5.7.1 of the list\r\n550 5.7.1 see https://mx.example/7";
const WHOLE: &str = "550 5.7.1 blocked by rule 7 of the list see https://mx.example/7";

fn id(reply: &Reply) -> String {
    reply.id().expect("the reply names the message")
}

/// The log's lines of messages, one for each recipient, of a gateway that logs JSON.
fn lines(gateway: &Gateway, id: &str) -> Vec<Value> {
    gateway.await_log(id);
    let log = gateway.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter(|line| line["message"] == "message" && line["id"] == *id)
        .collect()
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

fn gateway(sink: &Sink) -> Gateway {
    Setup::new()
        .srv(&["example.com/users/valid/*"])
        .before_sink(sink)
        .set("log.format", "\"json\"")
        .start()
}

/// `why` said `accept: delivered` of mail that was not, and the next hop's words stood nowhere but in the quarantine.
#[test]
fn of_one_whom_the_next_hop_refused_its_words_stand_everywhere() {
    let sink = Sink::scripted(Script::default().rcpt("bar@example.com", REFUSAL));
    let gateway = gateway(&sink);
    let reply = send(
        &gateway,
        &Mail::new("1@load.example", &["foo@example.com", "bar@example.com"]),
    );
    assert_eq!(reply.code, 250, "{reply:?}");
    let id = id(&reply);
    let lines = lines(&gateway, &id);
    assert_eq!(lines[0]["next_hop"], "250 2.0.0 Taken");
    assert_eq!(
        (&lines[1]["disposition"], &lines[1]["next_hop"]),
        (&"refused by next hop".into(), &WHOLE.into())
    );
    let why = said(&gateway, &["why", &id]);
    let outcome = why.find(&format!(
        "outcome   refused by the next hop: {WHOLE}; kept in the quarantine as "
    ));
    let verdict = why.find("verdict   accept: to be delivered");
    assert!(outcome.is_some() && outcome < verdict, "{why}");
    assert!(why.contains("outcome   delivered; 250 2.0.0 Taken"), "{why}");
    let list = said(&gateway, &["why"]);
    assert!(
        list.contains(&format!("to <bar@example.com>  refused by the next hop: {WHOLE}")),
        "{list}"
    );
    assert!(
        !list.contains("accept") && list.contains("  delivered  <alice@"),
        "{list}"
    );
    let listed = &json_lines(&said(&gateway, &["why", "--json"]))[1];
    assert_eq!(
        (&listed["outcome"], &listed["next_hop"]),
        (&"refused by the next hop".into(), &WHOLE.into())
    );
    let one: Value = serde_json::from_str(&said(&gateway, &["why", "--json", &id])).expect("JSON");
    assert_eq!(one["recipients"][1]["next_hop"], WHOLE);
    assert_eq!(one["recipients"][1]["outcome"]["held"]["next_hop"], WHOLE);
    let show = said(&gateway, &["quarantine", "show", &id]);
    assert!(
        show.contains(&format!("outcome      refused by the next hop: {WHOLE}\n")),
        "{show}"
    );
    let entry = &json_lines(&said(&gateway, &["quarantine", "list", "--json"]))[0];
    assert_eq!(entry["next_hop"], WHOLE);
}

/// Only the first line went on, and what it spoke of was missing.
#[test]
fn a_refusal_of_several_lines_reaches_the_sender_whole() {
    for stage in [Stage::Rcpt, Stage::Dot] {
        let sink = Sink::scripted(Script::default().at(stage, Act::Answer(REFUSAL)));
        let gateway = nexthop::gateway(&sink);
        let reply = send(&gateway, &Mail::new("1@load.example", &["foo@example.com"]));
        assert_eq!(reply.code, 550);
        let id = id(&reply);
        let last = format!("5.7.1 see https://mx.example/7 (id {id})");
        assert_eq!(reply.lines, ["5.7.1 blocked by rule 7", "5.7.1 of the list", &last]);
    }
}

#[test]
fn a_refusal_of_very_many_and_long_lines_is_cut_and_keeps_our_id() {
    let line = "x\u{e4}".repeat(1000);
    let long: Vec<String> = (0..100)
        .map(|n| format!("550{}5.7.1 {line}", if n == 99 { ' ' } else { '-' }))
        .collect();
    let sink = Sink::scripted(Script::default().at(Stage::Dot, Act::Answer(long.join("\r\n").leak())));
    let gateway = nexthop::gateway(&sink);
    let reply = send(&gateway, &Mail::new("1@load.example", &["foo@example.com"]));
    assert_eq!((reply.code, reply.lines.len()), (550, 16));
    assert!(reply.lines.iter().all(|line| line.len() <= 512), "{reply:?}");
    assert_eq!(reply.text().matches("(id ").count(), 1);
    assert!(said(&gateway, &["why", &id(&reply)]).contains("refused by the next hop: 550 5.7.1 x"));
}

#[test]
fn what_the_next_hop_said_to_defer_stands_in_log_why_and_list() {
    let deferral = "451-4.2.1 mailbox busy\r\n451 4.2.1 until noon";
    let whole = "451 4.2.1 mailbox busy until noon";
    for stage in [Stage::Mail, Stage::Rcpt, Stage::Data, Stage::Dot] {
        let sink = Sink::scripted(Script::default().at(stage, Act::Answer(deferral)));
        let gateway = gateway(&sink);
        let reply = send(&gateway, &Mail::new("1@load.example", &["foo@example.com"]));
        assert!(reply.code == 451 && reply.text().contains(whole), "{reply:?}");
        let id = id(&reply);
        let line = &lines(&gateway, &id)[0];
        assert_eq!(
            (&line["disposition"], &line["next_hop"]),
            (&"defer".into(), &whole.into())
        );
        let why = said(&gateway, &["why", &id]);
        assert!(
            why.contains(&format!("outcome   deferred: the next hop said: {whole}")),
            "{why}"
        );
        let list = said(&gateway, &["why"]);
        assert!(
            list.contains("  deferred ") && list.contains(whole) && !list.contains("accept"),
            "{list}"
        );
    }
}

/// A refusal beside a deferral was forgotten.
#[test]
fn beside_one_who_is_deferred_the_refusal_of_another_is_told() {
    let script = Script::default().rcpt("bar@example.com", REFUSAL);
    let sink = Sink::scripted(script.rcpt("foo@example.com", "450 4.2.1 busy"));
    let gateway = gateway(&sink);
    let reply = send(
        &gateway,
        &Mail::new("1@load.example", &["foo@example.com", "bar@example.com"]),
    );
    assert_eq!(reply.code, 451, "{reply:?}");
    let why = said(&gateway, &["why", &id(&reply)]);
    assert!(
        why.contains("450 4.2.1 busy") && why.contains(&format!("; the next hop: {WHOLE}")),
        "{why}"
    );
}

/// Senders were told `Connection refused (os error 111)`.
#[test]
fn how_things_are_here_is_for_the_log_and_not_for_the_sender() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let closed = format!("smtp:{}", closed.expect("a port"));
    let (socket, tls) = ("lmtp:/nonexistent/socket", "[tls] ca_file");
    for (target, inside) in [
        (&*closed, "os error 111"),
        (socket, "os error 2"),
        ("bsmtp:/nonexistent/program", "os error 2"),
        ("maildir:/dev/null/{domain}/{local}", "os error 20"),
        ("smtp:no-such-host.invalid:25", "the next hop failed"),
        (tls, "/nonexistent/ca.pem"),
    ] {
        let setup = Setup::new().srv(&["example.com/users/valid/*"]);
        let setup = match target == tls {
            true => setup
                .before(&closed)
                .set("tls.next_hop_tls", "\"verify\"")
                .set("tls.ca_file", "\"/nonexistent/ca.pem\""),
            false => setup.set("deliver.to", &format!("{target:?}")),
        };
        let gateway = setup.set("log.format", "\"json\"").start();
        let reply = send(&gateway, &Mail::new("1@load.example", &["foo@example.com"]));
        assert_eq!(reply.code, 451, "{target}: {reply:?}");
        for internal in ["os error", "nonexistent", "lookup"] {
            assert!(!reply.text().contains(internal), "{target}: {reply:?}");
        }
        let id = id(&reply);
        let line = &lines(&gateway, &id)[0];
        assert!(
            line["next_hop"].as_str().is_some_and(|said| said.contains(inside)),
            "{target}: {line}"
        );
        let why = said(&gateway, &["why", &id]);
        assert!(why.contains(inside), "{target}: {why}");
    }
}

/// Evidence stood beside accepted mail as if it had decided.
#[test]
fn evidence_stands_apart_from_reasons() {
    let sink = Sink::start();
    let gateway = Setup::new()
        .srv(&["example.com/users/valid/foo", "example.com/checks/recommended"])
        .before_sink(&sink)
        .set("log.format", "\"json\"")
        .start();
    let mail = Mail {
        helo: "nodot".into(),
        ..Mail::new("1@load.example", &["foo@example.com"])
    };
    let reply = send(&gateway, &mail);
    assert_eq!(reply.code, 250, "{reply:?}");
    let (id, text) = (id(&reply), "HELO should be qualified");
    let line = &lines(&gateway, &id)[0];
    assert_eq!(line["reasons"], "");
    let evidence = line["evidence"].as_str().expect("evidence");
    assert!(evidence.contains(text), "{line}");
    let why = said(&gateway, &["why", &id]);
    let nothing = "because   Nothing that decides speaks against it.\n  evidence  Check `";
    assert!(
        why.contains(nothing) && why.contains(&format!("Check `helo` says: {text} (evidence only).")),
        "{why}"
    );
    let list = said(&gateway, &["why"]);
    assert!(
        list.contains("<foo@example.com>    (evidence: ") && list.contains(text),
        "{list}"
    );
    let listed = &json_lines(&said(&gateway, &["why", "--json"]))[0];
    assert_eq!(listed["reason"], Value::Null);
    let evidence = listed["evidence"].as_array().expect("evidence");
    assert!(evidence.contains(&text.into()), "{listed}");
    // And beside a reason in the quarantine.
    let nobody = Mail {
        rcpts: vec!["nobody@example.com".into()],
        ..mail
    };
    let reply = send(&gateway, &nobody);
    assert_eq!(reply.code, 550, "{reply:?}");
    let show = said(&gateway, &["quarantine", "show", &reply.id().expect("an id")]);
    assert!(
        !show.contains("outcome ") && show.contains("reason       Mail for nobody") && show.contains(text),
        "{show}"
    );
}
