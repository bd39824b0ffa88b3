//! `mailward learn`: mail that came before the gateway did, and what it makes of the next sender.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::control::{NOBODY, for_users};
use crate::origin::{BANK, World, bank, mail_from, reverse};
use crate::support::boxes;
use crate::support::client::{Client, Mail};
use crate::support::daemon::{mailward_as, output, said};
use crate::support::gateway::{Gateway, Setup};
use crate::support::private_dns::is_there;
use crate::support::sink::Sink;

const FOO: &str = "foo@example.com";
const ANN: &str = "ann@bank.example";

/// A gateway that has run once, so that there is a store, and stands still.
fn stopped() -> (Sink, Gateway) {
    let (sink, mut gateway) = running();
    gateway.stop();
    (sink, gateway)
}

fn running() -> (Sink, Gateway) {
    let sink = Sink::start();
    let setup = Setup::new()
        .srv(&["example.com/users/valid/foo", "example.com/users/valid/bar"])
        .before_sink(&sink);
    (sink, setup.start())
}

/// Some days ago, as a header has it.
fn date(days: i64) -> String {
    let then = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * days);
    jiff::fmt::rfc2822::to_string(&then.to_zoned(jiff::tz::TimeZone::UTC)).expect("a date")
}

const RESULTS: &str = "Authentication-Results: mx.old.example;\r\n\tdkim=pass (2048-bit key) header.d=bank.example \
                       header.b=abc;\r\n\tspf=pass smtp.mailfrom=ann@bank.example\r\n";

fn received(days: i64) -> String {
    format!(
        "Received: from mx.bank.example (mx.bank.example [{BANK}])\r\n\tby mx.old.example (Postfix) with ESMTPS id 4X1\r\n\t\
         for <{FOO}>; {}\r\n",
        date(days)
    )
}

/// A message of Ann, `days` old, as a Postfix with OpenDKIM left it that is called `mx.old.example`.
fn old(number: usize, days: i64) -> String {
    let date = date(days);
    format!(
        "Return-Path: <{ANN}>\r\n{RESULTS}{}Message-ID: <{number}@bank.example>\r\nDate: {date}\r\nFrom: Ann <{ANN}>\r\n\
         To: <{FOO}>\r\n\r\nThe minutes.\r\n",
        received(days)
    )
}

/// The same with the results where the sender could have written them.
fn results_beneath(message: &str, days: i64) -> String {
    let received = received(days);
    let without = message.replace(RESULTS, "");
    without.replace(&received, &format!("{received}{RESULTS}"))
}

/// A message that the owner sent.
fn posted(from: &str, to: &str, extra: &str) -> String {
    format!(
        "Date: {}\r\nFrom: <{from}>\r\nTo: {to}\r\n{extra}Message-ID: <{to}>\r\n\r\nhi\r\n",
        date(9)
    )
}

/// A Maildir of the test's own.
fn maildir(gateway: &Gateway, name: &str, messages: &[String]) -> String {
    let dir: PathBuf = gateway.dir().join(name);
    for sub in ["new", "cur", "tmp"] {
        fs::create_dir_all(dir.join(sub)).expect("our own directory");
    }
    for (number, message) in messages.iter().enumerate() {
        fs::write(dir.join(format!("cur/{number}.m:2,S")), message).expect("our own directory");
    }
    dir.to_str().expect("a plain path").to_owned()
}

fn learn<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [&["learn", "--mailbox", FOO], args].concat()
}

/// The summary.
fn learnt(gateway: &Gateway, args: &[&str]) -> Value {
    let text = said(gateway, &[&learn(args)[..], &["--json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn counts(summary: &Value, keys: &[&str]) -> Vec<u64> {
    let count = |key: &&str| {
        summary[*key]
            .as_u64()
            .unwrap_or_else(|| panic!("no {key} in {summary}"))
    };
    keys.iter().map(count).collect()
}

fn standing(gateway: &Gateway, flags: &[&str]) -> String {
    let text = said(gateway, &[&["reputation", FOO, ANN], flags].concat());
    let line = text.lines().next().expect("a line");
    line.split_once(": ").expect("a verdict").1.to_owned()
}

/// Standard error of a command that fails.
fn fails(gateway: &Gateway, args: &[&str], exit: i32) -> String {
    let output = gateway.command(args);
    let error = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(exit), "{args:?}: {error}");
    error
}

#[test]
fn what_another_server_found_out_counts_if_it_is_trusted() {
    let (_sink, gateway) = stopped();
    let junk = maildir(&gateway, "junk", &[old(1, 20), old(2, 10)]);
    let args = ["--junk", &junk, "--trust", "mx.old.example"];
    let text = said(&gateway, &learn(&args));
    assert_eq!(
        text,
        "foo@example.com: learnt: 2 junk, 0 not junk, 0 addresses written to\nknown before: 0 messages, 0 addresses\nof 2 \
         messages 2 came through a trusted host, 2 have its Authentication-Results\n"
    );
    assert_eq!(standing(&gateway, &[]), "junk, conclusive (msgfromfull)");
    assert_eq!(standing(&gateway, &["--unproven"]), "junk, conclusive (msgfromfull)");
    let all = said(&gateway, &["store", "export"]);
    for part in [
        r#""source":"learn","by":"operator""#,
        r#"{"author":{"local":"ann","domain":"bank.example","validated":true}}"#,
        r#"{"dkim":"bank.example"}"#,
        r#"{"reverse_path":{"local":"ann","domain":"bank.example"}}"#,
        r#"{"helo":"mx.bank.example"}"#,
        r#"{"network":{"width":1,"address":"192.0.2.25"}}"#,
    ] {
        assert_eq!(all.matches(part).count(), 2, "{part}: {all}");
    }
    assert!(said(&gateway, &["store", "verify"]).ends_with("nothing wrong\n"));
}

#[test]
fn without_trust_nothing_is_proven_and_a_hint_says_whom_to_name() {
    let (_sink, gateway) = stopped();
    let junk = maildir(&gateway, "junk", &[old(1, 20), old(2, 10)]);
    let text = said(&gateway, &learn(&["--junk", &junk]));
    assert!(
        text.ends_with(
            "of 2 messages 0 came through a trusted host, 0 have its Authentication-Results\nhint: if another server took \
             or judged your mail before, name it: `--trust HOST`; there are: Received by mx.old.example (2); results of \
             mx.old.example (2)\n"
        ),
        "{text}"
    );
    assert_eq!(standing(&gateway, &["--unproven"]), "junk, inconclusive (msgfromfull)");
    assert!(!standing(&gateway, &[]).contains("msgfrom"));
    let all = said(&gateway, &["store", "export"]);
    assert!(
        all.contains(r#""validated":false"#) && !all.contains(r#""validated":true"#),
        "{all}"
    );
    assert!(
        !all.contains("network") && !all.contains("helo") && !all.contains("dkim"),
        "{all}"
    );

    // The same messages, better understood.
    let summary = learnt(&gateway, &["--junk", &junk, "--trust", "*.old.example"]);
    assert_eq!(counts(&summary, &["junk", "known"]), [2, 0], "{summary}");
    assert_eq!(said(&gateway, &["store", "export"]).lines().count(), 2);
    assert_eq!(standing(&gateway, &[]), "junk, conclusive (msgfromfull)");
}

#[test]
fn results_beneath_the_border_are_forged_unless_their_host_is_said_to_write_there() {
    let (_sink, gateway) = stopped();
    let messages = [1, 2].map(|n| results_beneath(&old(n, 10), 10));
    assert!(messages[0].find(RESULTS) > messages[0].find("Received:"));
    let junk = maildir(&gateway, "junk", &messages);
    let text = said(&gateway, &learn(&["--junk", &junk, "--trust", "mx.old.example"]));
    assert!(
        text.contains("0 have its Authentication-Results\nhint: 2 have such results beneath"),
        "{text}"
    );
    assert_eq!(standing(&gateway, &["--unproven"]), "junk, inconclusive (msgfromfull)");
    assert!(!said(&gateway, &["store", "export"]).contains(r#""validated":true"#));

    learnt(&gateway, &["--junk", &junk, "--trust-beneath", "mx.old.example"]);
    assert_eq!(standing(&gateway, &[]), "junk, conclusive (msgfromfull)");

    // A whole way that the sender invented.
    let forged: Vec<String> = (3..5)
        .map(|n| {
            let foreign = received(5)
                .replace("mx.old.example", "mx.else.example")
                .replace(BANK, "198.51.100.7");
            format!(
                "{foreign}{}",
                old(n, 5)
                    .replace(ANN, "eve@shop.example")
                    .replace("bank.example", "shop.example")
            )
        })
        .collect();
    let forged = maildir(&gateway, "forged", &forged);
    learnt(&gateway, &["--notjunk", &forged, "--trust", "mx.old.example"]);
    let all = said(&gateway, &["store", "export"]);
    assert!(
        all.contains("shop.example") && !all.contains(r#"{"dkim":"shop.example"}"#),
        "{all}"
    );
}

#[test]
fn to_learn_twice_changes_nothing_whatever_mail_programs_did_meanwhile() {
    let (_sink, gateway) = stopped();
    let future = old(7, 5).replace(&date(5), &date(-300));
    let messages = [
        old(1, 20),
        old(2, 10),
        old(3, 10).replace(FOO, "list@else.example"),
        future,
    ];
    let dir = maildir(&gateway, "box", &messages);
    let sent = maildir(&gateway, "sent", &[posted(FOO, "pat@mill.example", "")]);
    let args = ["--notjunk", &dir, "--sent", &sent, "--trust", "mx.old.example"];
    let keys = ["not_junk", "addresses", "known", "known_addresses"];
    assert_eq!(counts(&learnt(&gateway, &args), &keys), [4, 1, 0, 0]);
    let before = said(&gateway, &["store", "export"]);
    assert_eq!(before.lines().count(), 5);

    // In an mbox, with LF, and with what mail programs add.
    let mut text = String::new();
    for message in &messages {
        let message = message.replace("\r\n", "\n");
        let _ = write!(
            text,
            "From ann Mon Nov  2 10:00:00 2026\nStatus: RO\nX-Keywords: seen\n{message}X-UID: 7\n\n"
        );
    }
    let mbox = gateway.dir().join("mbox");
    fs::write(&mbox, text).expect("our own file");
    let args = [
        "--notjunk",
        mbox.to_str().expect("a plain path"),
        "--sent",
        &sent,
        "--trust",
        "mx.old.example",
    ];
    assert_eq!(counts(&learnt(&gateway, &args), &keys), [0, 0, 4, 1]);
    assert_eq!(said(&gateway, &["store", "export"]), before);

    // It lies there twice, and a message that was moved is what its new folder says.
    let args = [
        "--notjunk",
        &dir,
        "--notjunk",
        mbox.to_str().expect("a plain path"),
        "--trust",
        "mx.old.example",
    ];
    assert_eq!(counts(&learnt(&gateway, &args), &["known", "twice"]), [4, 4]);
    let summary = learnt(&gateway, &["--junk", &dir, "--trust", "mx.old.example"]);
    assert_eq!(counts(&summary, &["junk", "not_junk", "known"]), [4, 0, 0]);
    let after = said(&gateway, &["store", "export"]);
    assert!(after.lines().count() == 5 && !after.contains("not_junk"), "{after}");
}

#[test]
fn what_is_said_to_be_both_is_neither() {
    let (_sink, gateway) = stopped();
    let junk = maildir(&gateway, "junk", &[old(1, 20), old(2, 10)]);
    let welcome = maildir(&gateway, "welcome", &[old(2, 10), old(3, 5), old(3, 5)]);
    let args = ["--junk", &junk, "--notjunk", &welcome];
    let summary = learnt(&gateway, &args);
    let keys = ["junk", "not_junk", "contradictory", "twice"];
    assert_eq!(counts(&summary, &keys), [1, 1, 1, 1], "{summary}");
    let text = said(&gateway, &learn(&args));
    assert!(
        text.contains("known before: 2 messages")
            && text.contains("skipped: 1 that are said to be both junk and not junk, 1"),
        "{text}"
    );
}

/// `Maildir/.Junk` lies below `Maildir`, and is not welcome for that; nor is what is in the bin.
#[test]
fn a_folder_of_a_maildir_is_what_it_is_named_as() {
    let (_sink, gateway) = stopped();
    let inbox = maildir(&gateway, "Maildir", &[old(1, 20)]);
    let junk = maildir(&gateway, "Maildir/.Junk", &[old(2, 10)]);
    maildir(&gateway, "Maildir/.Trash", &[old(3, 10)]);
    let summary = learnt(&gateway, &["--notjunk", &inbox, "--junk", &junk]);
    assert_eq!(
        counts(&summary, &["junk", "not_junk", "contradictory"]),
        [1, 1, 0],
        "{summary}"
    );
    // Folders of a plain folder are all of it, but for those that are named otherwise.
    maildir(&gateway, "all/in", &[old(4, 10)]);
    maildir(&gateway, "all/in/.Trash", &[old(6, 10)]);
    let other = maildir(&gateway, "all/spam", &[old(5, 10)]);
    let all = gateway.dir().join("all");
    let summary = learnt(
        &gateway,
        &["--notjunk", all.to_str().expect("a plain path"), "--junk", &other],
    );
    assert_eq!(
        counts(&summary, &["junk", "not_junk", "contradictory"]),
        [1, 1, 0],
        "{summary}"
    );
}

#[test]
fn sent_mail_makes_those_welcome_who_were_written_to() {
    let (_sink, gateway) = stopped();
    let sent = maildir(
        &gateway,
        "sent",
        &[
            posted(
                "Foo+x@example.com",
                "Friends: \"Pat, A\" <pat@mill.example>, ann@bank.example;",
                "Cc: <bar@example.com>\r\nBcc: bcc@hidden.example\r\n",
            ),
            posted(FOO, "auto@reply.example", "Auto-Submitted: auto-replied\r\n"),
            posted(FOO, "all@list.example", "List-Id: <a.list.example>\r\n"),
            posted("bar@example.com", "bars@friend.example", ""),
            posted("foo@private.example", "other@friend.example", ""),
            posted(FOO, "no@date.example", "").replace("Date:", "X:"),
        ],
    );
    let summary = learnt(&gateway, &["--sent", &sent]);
    let keys = ["addresses", "automatic", "not_by_owner", "no_date"];
    assert_eq!(counts(&summary, &keys), [3, 2, 2, 1], "{summary}");
    assert_eq!(standing(&gateway, &["--unproven"]), "not junk, conclusive (msgtofull)");
    let all = said(&gateway, &["store", "export"]);
    let whom: Vec<&str> = ["pat", "ann", "bcc"]
        .into_iter()
        .filter(|who| all.contains(&format!("\"local\":\"{who}\"")))
        .collect();
    assert!(whom.len() == 3 && all.lines().count() == 3, "{all}");
    // Nobody is welcome for calling himself a neighbour.
    assert!(!all.contains("\"local\":\"bar\""), "{all}");

    let summary = learnt(&gateway, &["--sent", &sent, "--sent-as", "Foo@private.example"]);
    let keys = ["addresses", "known_addresses", "not_by_owner"];
    assert_eq!(counts(&summary, &keys), [1, 3, 1], "{summary}");
}

#[test]
fn a_dry_run_writes_nothing() {
    let (_sink, gateway) = stopped();
    let dir = maildir(&gateway, "box", &[old(1, 20)]);
    let sent = maildir(&gateway, "sent", &[posted(FOO, "pat@mill.example", "")]);
    let args = [
        "--junk",
        &dir,
        "--sent",
        &sent,
        "--trust",
        "mx.old.example",
        "--dry-run",
    ];
    let text = said(&gateway, &learn(&args));
    assert!(
        text.starts_with("foo@example.com: would be learnt: 1 junk, 0 not junk, 1 address written to\n"),
        "{text}"
    );
    assert_eq!(learnt(&gateway, &args)["dry_run"], json!(true));
    assert_eq!(said(&gateway, &["store", "export"]), "");
}

#[test]
fn the_daemon_learns_what_the_command_learns_alone() {
    let (_sink, mut gateway) = running();
    let (_other_sink, alone) = stopped();
    let exported = |gateway: &Gateway| {
        let text = said(gateway, &["store", "export"]);
        let line = |line: &str| {
            let mut value: Value = serde_json::from_str(line).expect("JSON");
            if let Some(said) = value["label"]["said"].as_object_mut() {
                said.remove("at_s");
            }
            value.to_string()
        };
        text.lines().map(line).collect::<Vec<_>>()
    };
    // More than one question holds.
    let days = |n: usize| i64::try_from(n % 900).expect("small");
    let messages: Vec<String> = (0..450)
        .map(|n| old(n, days(n)).replace("Ann <ann@", &format!("<a{n}@")))
        .collect();
    let sent: Vec<String> = (0..30)
        .map(|n| posted(FOO, &format!("p{n}@mill.example"), ""))
        .collect();
    for gateway in [&gateway, &alone] {
        let junk = maildir(gateway, "junk", &messages);
        let sent = maildir(gateway, "sent", &sent);
        let summary = learnt(
            gateway,
            &["--junk", &junk, "--sent", &sent, "--trust", "mx.old.example"],
        );
        assert_eq!(counts(&summary, &["junk", "addresses"]), [450, 30], "{summary}");
    }
    assert_eq!(exported(&gateway).len(), 480);
    assert!(exported(&gateway) == exported(&alone));
    gateway.kill();
    assert!(exported(&gateway) == exported(&alone), "it is on the disk");
    assert!(said(&gateway, &["store", "verify"]).ends_with("nothing wrong\n"));
}

#[test]
fn a_message_of_the_gateway_is_the_one_that_it_recorded_and_a_person_stands_above() {
    if !is_there("a_message_of_the_gateway_is_the_one_that_it_recorded_and_a_person_stands_above") {
        return;
    }
    let world = World::start(
        &[bank("v=DMARC1; p=none"), reverse()],
        &["example.com/checks/reputation"],
    );
    let gateway = &world.gateway;
    let copies = [(); 3].map(|()| String::from_utf8(world.deliver(BANK, &mail_from(ANN))).expect("text"));
    let id = |copy: &String| {
        let field = boxes::header(copy.as_bytes(), "X-Mailward-Id").expect("a field");
        field.split_once(' ').expect("id and seal").0.to_owned()
    };
    said(gateway, &["label", "notjunk", &id(&copies[0])]);
    said(gateway, &["label", "forget", &id(&copies[1])]);
    // What the sender, or a mail program, changed since does not matter; the seal does.
    let changed = copies[2].replace(ANN, "eve@bank.example");
    let forged = copies[2]
        .replace(&id(&copies[2]), "000000000000")
        .replace(ANN, "eve@else.example");
    let dir = maildir(gateway, "box", &[copies[0].clone(), copies[1].clone(), changed, forged]);
    let summary = learnt(gateway, &["--junk", &dir]);
    assert_eq!(counts(&summary, &["junk", "said_before"]), [2, 2], "{summary}");
    let all = said(gateway, &["store", "export"]);
    let of = |id: &str| {
        let line = all
            .lines()
            .find(|line| line.contains(id))
            .unwrap_or_else(|| panic!("{id}: {all}"));
        serde_json::from_str::<Value>(line).expect("JSON")["label"].clone()
    };
    let label = |id: &str| of(id)["said"]["label"].clone();
    assert_eq!(
        (label(&id(&copies[0])), label(&id(&copies[1]))),
        (json!("not_junk"), Value::Null)
    );
    let recorded = of(&id(&copies[2]));
    assert_eq!(
        (&recorded["said"]["source"], &recorded["author_local"]),
        (&json!("learn"), &json!("ann"))
    );
    assert_eq!(
        recorded["identities"],
        of(&id(&copies[0]))["identities"],
        "as it was recorded"
    );
    assert!(!all.contains("\"000000000000\""), "{all}");
    // The other way round a person is heard too, in whichever second.
    said(gateway, &["label", "notjunk", &id(&copies[2])]);
    let summary = learnt(gateway, &["--junk", &dir]);
    assert_eq!(
        counts(&summary, &["junk", "known", "said_before"]),
        [0, 1, 3],
        "{summary}"
    );

    // A new gateway that only has the mail reads from its own fields what it had found out.
    let (_sink, fresh) = stopped();
    let dir = maildir(&fresh, "box", &copies);
    let summary = learnt(&fresh, &["--junk", &dir]);
    assert_eq!(counts(&summary, &["junk", "with_trusted_results"]), [3, 3], "{summary}");
    let read = said(&fresh, &["store", "export"]);
    let first: Value = serde_json::from_str(read.lines().next().expect("a line")).expect("JSON");
    assert_eq!(first["label"]["identities"], of(&id(&copies[0]))["identities"]);
}

#[test]
fn what_cannot_be_learnt_is_said_and_the_rest_is_done() {
    let (_sink, gateway) = stopped();
    let ancient = old(9, 3000);
    let odd = [
        "no header at all".to_owned(),
        String::new(),
        "\0\0\0\0".repeat(1000),
        old(1, 10).replace("\r\n", "\r"),
        "From: <a@b.example>\r\nSubject: no date\r\n\r\n".to_owned(),
        ancient,
        format!("{}{}", received(3).repeat(10_001), old(2, 10)),
        format!("{}\r\n{}", old(3, 10).trim_end(), "x".repeat(3 << 20)),
    ];
    let dir = maildir(&gateway, "odd", &odd);
    std::os::unix::fs::symlink(&dir, gateway.dir().join("odd/cur/loop")).expect("a link");
    let summary = learnt(&gateway, &["--junk", &dir, "--trust", "mx.old.example"]);
    let keys = ["junk", "no_date", "too_old", "unreadable"];
    assert_eq!(counts(&summary, &keys), [2, 5, 1, 0], "{summary}");

    // What is too deep to be looked into keeps nothing else from being learnt.
    let deep = gateway.dir().join("deep");
    fs::create_dir_all(deep.join("d/".repeat(20))).expect("our own directory");
    let dir = maildir(&gateway, "last", &[old(4, 10)]);
    let args = [
        "--notjunk",
        deep.to_str().expect("a plain path"),
        "--notjunk",
        &dir,
        "--junk",
        &dir,
    ];
    let output = gateway.command(&learn(&args));
    let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).expect("text");
    let (text, error) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{text}{error}");
    assert!(
        error.starts_with("error: ") && error.ends_with("/d/d/d: too deep\n"),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(
        text.contains("skipped: 1 that are said to be both junk and not junk, 1 that could not be read"),
        "{text}"
    );
    std::os::unix::fs::symlink("loop", gateway.dir().join("loop")).expect("a link");
    let at = |name: &str| gateway.dir().join(name).to_str().expect("a plain path").to_owned();
    let (loops, nowhere) = (at("loop"), at("nowhere"));
    for (args, told) in [
        (learn(&[]), "--sent <DIR>"),
        (vec!["learn", "--junk", &dir], "--mailbox <ADDRESS>"),
        (learn(&["--junk", &nowhere]), "nowhere: No such file"),
        (learn(&["--junk", &loops]), "loop: Too many levels"),
        (
            learn(&["--junk", "/dev/zero"]),
            "neither a folder nor a file: /dev/zero",
        ),
        (
            learn(&["--junk", &dir, "--trust", "a b"]),
            "neither a name nor an address: `a b`",
        ),
        (learn(&["--junk", &dir, "--sent-as", "ann"]), "`ann`"),
        (
            vec!["learn", "--mailbox", "foo@else.example", "--junk", &dir],
            "no domain of ours: `foo@else.example`",
        ),
    ] {
        let error = fails(&gateway, &args, 2);
        assert!(error.contains(told), "{args:?}: {error}");
    }
}

#[test]
fn a_user_teaches_their_own_mailbox_and_nobody_elses() {
    const TEST: &str = "a_user_teaches_their_own_mailbox_and_nobody_elses";
    let Some((_sink, gateway, daemon, binary)) = for_users(TEST, true) else {
        return;
    };
    let mail = Mail::new("1@load.example", &["daemon@example.com"]);
    Client::deliver(daemon.addr("smtp"), &mail).expect("a session");
    let junk = maildir(&gateway, "junk", &[old(1, 20), old(2, 10)]);
    let sent = maildir(
        &gateway,
        "sent",
        &[posted("webmaster@example.com", "pat@mill.example", "")],
    );
    let run = |mailbox: &str| {
        let args = [
            "learn",
            "--mailbox",
            mailbox,
            "--junk",
            &junk,
            "--sent",
            &sent,
            "--trust",
            "mx.old.example",
        ];
        let output = output(mailward_as(NOBODY, &binary, &gateway, &args));
        let text = |octets: Vec<u8>| String::from_utf8(octets).expect("text");
        (text(output.stdout), text(output.stderr), output.status.code())
    };
    let (text, error, code) = run("daemon@example.com");
    assert_eq!((text.as_str(), code), ("", Some(2)), "{error}");
    assert!(error.contains("daemon@example.com is not your mailbox"), "{error}");
    let (text, error, code) = run("nobody@example.com");
    assert_eq!((error.as_str(), code), ("", Some(0)), "{text}");
    assert!(text.contains("learnt: 2 junk, 0 not junk, 1 address "), "{text}");
    let all = said(&gateway, &["store", "export"]);
    assert_eq!(all.matches(r#""by":"nobody@example.com""#).count(), 2, "{all}");
    assert!(!all.contains("daemon@example.com"), "{all}");
}
