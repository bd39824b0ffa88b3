//! What follows from a failed check: every action, soft and shadow; several recipients of one message; and the header
//! fields that only we may write.

use std::fs;

use crate::support::boxes;
use crate::support::client::{Client, Mail, Reply};
use crate::support::gateway::{Gateway, Setup};
use crate::support::sink::Sink;

const USERS: [&str; 3] = [
    "example.com/users/valid/foo",
    "example.com/users/valid/bar",
    "example.com/users/valid/baz",
];

fn setup(sink: &Sink) -> Setup {
    Setup::new().srv(&USERS).before_sink(sink)
}

/// A message that fails `checks/helo`, and no other.
fn unqualified(rcpts: &[&str]) -> Mail {
    Mail {
        helo: "localhost".into(),
        ..Mail::new("1@load.example", rcpts)
    }
}

const WHY: &str = "HELO should be qualified";

fn send(gateway: &Gateway, mail: &Mail) -> Reply {
    let answers = Client::deliver(gateway.addr(), mail).expect("the session is kept up to QUIT");
    answers.decisive().clone()
}

/// The reply and the gateway, with `checks/helo` holding `toml`.
fn with_helo_check(sink: &Sink, toml: &str) -> (Reply, Gateway) {
    let gateway = setup(sink).file("example.com/checks/helo", toml).start();
    let reply = send(&gateway, &unqualified(&["foo@example.com"]));
    (reply, gateway)
}

fn marks(message: &[u8]) -> Vec<(String, String)> {
    let marks = [
        "X-Mailward-Verdict",
        "X-Spam-Flag",
        "X-Mailward-Folder",
        "X-REJECT-REASON",
        "X-REJECT-PLUGIN",
    ];
    let found = boxes::headers(message).into_iter();
    found.filter(|(name, _)| marks.contains(&name.as_str())).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect()
}

/// (taken by the next hop, held).
fn counts(sink: &Sink, gateway: &Gateway) -> (usize, usize) {
    (sink.taken().len(), boxes::held(&gateway.spam()).len())
}

#[test]
fn reject_refuses_with_the_reason_and_keeps_a_copy() {
    for toml in ["", "yes", "action = \"reject\"", "this is = no toml ="] {
        let sink = Sink::start();
        let (reply, gateway) = with_helo_check(&sink, toml);
        let id = reply.id().expect("an id");
        assert_eq!(
            (reply.code, reply.text()),
            (550, format!("5.7.1 {WHY} (id {id})")),
            "{toml}"
        );
        assert_eq!(counts(&sink, &gateway), (0, 1), "{toml}");
        let held = &boxes::held(&gateway.spam())[0];
        let reject = pairs(&[("X-REJECT-REASON", WHY), ("X-REJECT-PLUGIN", "checks/helo")]);
        assert_eq!(marks(&held.message), reject);
        let line = &boxes::index(&gateway.spam())[0];
        assert_eq!((line.field("reason"), line.field("id")), (WHY.into(), id));
    }
}

#[test]
fn tag_delivers_with_a_mark() {
    let sink = Sink::start();
    let (reply, gateway) = with_helo_check(&sink, "action = \"tag\"");
    assert_eq!((reply.code, counts(&sink, &gateway)), (250, (1, 0)));
    let verdict = format!("junk; {WHY}");
    let tagged = pairs(&[("X-Mailward-Verdict", &verdict), ("X-Spam-Flag", "YES")]);
    assert_eq!(marks(&sink.taken()[0].message), tagged);
}

#[test]
fn file_names_the_folder_for_the_next_hop() {
    for (toml, folder) in [
        ("action = \"file\"", "Junk"),
        ("action = \"file\"\nfolder = \"Lists.Ads\"", "Lists.Ads"),
        ("action = \"file\"\nfolder = \"../up\"", "Junk"),
    ] {
        let sink = Sink::start();
        let (reply, gateway) = with_helo_check(&sink, toml);
        assert_eq!((reply.code, counts(&sink, &gateway)), (250, (1, 0)), "{toml}");
        let verdict = format!("junk; {WHY}");
        let filed = [
            ("X-Mailward-Verdict", &*verdict),
            ("X-Spam-Flag", "YES"),
            ("X-Mailward-Folder", folder),
        ];
        assert_eq!(marks(&sink.taken()[0].message), pairs(&filed), "{toml}");
    }
}

#[test]
fn hold_takes_the_message_and_keeps_it() {
    let sink = Sink::start();
    let (reply, gateway) = with_helo_check(&sink, "action = \"hold\"");
    assert_eq!((reply.code, counts(&sink, &gateway)), (250, (0, 1)));
    assert_eq!(
        reply.text(),
        format!("2.0.0 accepted (id {})", reply.id().expect("an id"))
    );
}

#[test]
fn discard_takes_the_message_and_keeps_it_for_the_retention_time_only() {
    let sink = Sink::start();
    let (reply, gateway) = with_helo_check(&sink, "action = \"discard\"");
    assert_eq!((reply.code, counts(&sink, &gateway)), (250, (0, 1)));
}

#[test]
fn defer_asks_to_come_again_and_keeps_nothing() {
    let sink = Sink::start();
    let (reply, gateway) = with_helo_check(&sink, "action = \"defer\"");
    assert_eq!((reply.code, counts(&sink, &gateway)), (451, (0, 0)));
    assert!(reply.text().starts_with(&format!("4.7.1 {WHY} (id ")));
}

#[test]
fn soft_and_shadow_let_pass_unmarked_and_why_knows() {
    for (toml, word) in [
        ("soft = true", "evidence"),
        ("shadow = true\naction = \"hold\"", "shadow"),
    ] {
        let sink = Sink::start();
        let (reply, gateway) = with_helo_check(&sink, toml);
        assert_eq!((reply.code, counts(&sink, &gateway)), (250, (1, 0)), "{toml}");
        assert_eq!(marks(&sink.taken()[0].message), pairs(&[]), "{toml}");
        let why = gateway.command(&["why", &reply.id().expect("an id")]);
        let why = String::from_utf8_lossy(&why.stdout).to_lowercase();
        assert!(why.contains(&WHY.to_lowercase()) && why.contains(word), "{toml}: {why}");
    }
}

#[test]
fn a_key_that_is_wrong_is_logged_and_the_check_keeps_its_default() {
    let sink = Sink::start();
    let (reply, gateway) = with_helo_check(&sink, "acton = \"tag\"\nsoft = \"maybe\"\n");
    assert_eq!((reply.code, counts(&sink, &gateway)), (550, (0, 1)));
    let log = gateway.log();
    assert!(
        log.contains("acton") && log.contains("action") && log.contains("checks/helo"),
        "{log}"
    );
}

#[test]
fn shadow_of_domain_and_server_lets_all_checks_and_lists_pass_but_never_unknown_users() {
    let lists = [
        "example.com/checks/all",
        "example.com/blacklisted/senders/bad@sender.example",
    ];
    for server in [false, true] {
        let sink = Sink::start();
        let setup = setup(&sink).srv(&lists);
        let gateway = match server {
            true => setup.set("policy.shadow", "true").start(),
            false => setup.srv(&["example.com/shadow"]).start(),
        };
        assert_eq!(send(&gateway, &unqualified(&["foo@example.com"])).code, 250);
        let blacklisted = Mail {
            from: "bad@sender.example".into(),
            ..unqualified(&["foo@example.com"])
        };
        assert_eq!(send(&gateway, &blacklisted).code, 250);
        assert_eq!(counts(&sink, &gateway), (2, 0));
        assert!(sink.taken().iter().all(|taken| marks(&taken.message).is_empty()));
        let reply = send(&gateway, &unqualified(&["nobody@example.com"]));
        assert_eq!((reply.code, &reply.text()[..5]), (550, "5.1.1"));
        assert_eq!(send(&gateway, &unqualified(&["foo@elsewhere.example"])).code, 550);
    }
}

#[test]
fn a_check_that_only_tags_does_not_shield_from_one_that_refuses() {
    let sink = Sink::start();
    let gateway = setup(&sink)
        .file("example.com/checks/helo", "action = \"tag\"")
        .srv(&["example.com/checks/date"])
        .start();
    let mut mail = unqualified(&["foo@example.com"]);
    mail.message = b"From: a@b.example\r\n\r\nx\r\n".to_vec();
    let reply = send(&gateway, &mail);
    assert!(reply.text().contains("Missing header - Date:"), "{reply:?}");
    assert_eq!(counts(&sink, &gateway), (0, 1));
}

/// Fields of ours, forged in every spelling, and some that only look alike.
const FORGED: &str = "X-HELO: forged\r\nx-remote-ip: forged\r\nX-REMOTE-HOST : forged\r\nX-Mail-From:\r\n forged\r\n\
    X-RCPT-TO: forged\r\nX-DOMAIN: forged\r\nX-LOCALPART: forged\r\nX-DKIM-RESULT: forged\r\n\
    X-REJECT-REASON: forged\r\nX-Reject-Plugin: forged\r\nX-REJECT-ANYTHING: forged\r\nX-Mailward-Id: forged\r\n\
    X-MAILWARD-Verdict: forged\r\nX-Mailward-Folder: forged\r\nX-Spam-Flag: forged\r\n\tforged\r\n\
    X-Spam-Status: forged\r\nX-HELO2: mine\r\nX-Spamless: mine\r\nX-Mailer: mine\r\n";

#[test]
fn fields_that_only_we_may_write_are_taken_out() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let mut mail = Mail::new("1@load.example", &["foo@example.com"]);
    let text = String::from_utf8(mail.message).expect("text");
    mail.message = format!("{FORGED}{text}").into_bytes();
    let reply = send(&gateway, &mail);
    assert_eq!(reply.code, 250);
    let unknown = Mail {
        rcpts: vec!["nobody@example.com".into()],
        ..mail
    };
    assert_eq!(send(&gateway, &unknown).code, 550);
    let taken = sink.taken()[0].message.clone();
    let held = boxes::held(&gateway.spam())[0].message.clone();
    for message in [&taken, &held] {
        let text = String::from_utf8_lossy(message);
        assert!(!text.contains("forged"), "{text}");
        assert_eq!(text.matches(": mine\r\n").count(), 3, "{text}");
    }
    let ours: Vec<(String, String)> = boxes::headers(&taken)
        .into_iter()
        .filter(|(name, value)| name.starts_with("X-") && value != "mine")
        .collect();
    let names: Vec<&str> = ours.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "X-Mailward-Id",
            "X-HELO",
            "X-REMOTE-IP",
            "X-REMOTE-HOST",
            "X-MAIL-FROM",
            "X-RCPT-TO",
            "X-DOMAIN",
            "X-LOCALPART"
        ]
    );
    assert!(ours[0].1.starts_with(&reply.id().expect("an id")));
}

#[test]
fn fields_behind_a_line_that_is_none_are_body_for_everybody() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let mut mail = Mail::new("1@load.example", &["foo@example.com"]);
    mail.message = b"From: a@b.example\r\nDate: x\r\nno field\r\nX-Spam-Flag: NO\r\n\r\nbody\r\n".to_vec();
    assert_eq!(send(&gateway, &mail).code, 250);
    let taken = String::from_utf8(sink.taken()[0].message.clone()).expect("text");
    let (header, body) = taken.split_once("\r\n\r\n").expect("a blank line");
    assert!(!header.contains("X-Spam-Flag"), "{taken}");
    assert!(body.starts_with("no field\r\nX-Spam-Flag: NO\r\n"), "{taken}");
}

#[test]
fn a_copy_for_several_names_none_of_them() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let mut mail = Mail::new(
        "1@load.example",
        &[
            "foo@example.com",
            "bar@example.com",
            "no1@example.com",
            "no2@example.com",
        ],
    );
    mail.message = b"From: a@b.example\r\nTo: list@b.example\r\nDate: x\r\n\r\nx\r\n".to_vec();
    assert_eq!(send(&gateway, &mail).code, 250);
    let taken = sink.taken();
    assert_eq!(taken[0].rcpts, ["foo@example.com", "bar@example.com"]);
    let text = String::from_utf8_lossy(&taken[0].message).into_owned();
    for hidden in ["foo", "bar", "no1", "no2", "X-RCPT-TO", "X-LOCALPART"] {
        assert!(!text.contains(hidden), "{hidden} in\n{text}");
    }
    assert_eq!(
        boxes::header(&taken[0].message, "X-DOMAIN").as_deref(),
        Some("example.com")
    );
    // A copy in the quarantine is one recipient's own.
    let held = boxes::held(&gateway.spam());
    assert_eq!(held.len(), 2);
    for copy in held {
        let text = String::from_utf8_lossy(&copy.message).into_owned();
        let own = copy.recipient.split('@').next().expect("a local part");
        for name in ["foo", "bar", "no1", "no2"] {
            assert_eq!(
                text.contains(name),
                name == own,
                "{name} in the copy for {own}:\n{text}"
            );
        }
        assert_eq!(boxes::header(&copy.message, "X-LOCALPART").as_deref(), Some(own));
    }
}

#[test]
fn each_recipient_has_a_verdict_of_its_own() {
    let sink = Sink::start();
    let gateway = setup(&sink)
        .srv(&[
            "tag.example/users/valid/a",
            "hold.example/users/valid/a",
            "reject.example/users/valid/a",
        ])
        .file("tag.example/checks/helo", "action = \"tag\"")
        .file("hold.example/checks/helo", "action = \"hold\"")
        .srv(&["reject.example/checks/helo"])
        .start();
    let rcpts = [
        "a@reject.example",
        "a@tag.example",
        "foo@example.com",
        "a@hold.example",
        "nobody@example.com",
    ];
    let reply = send(&gateway, &unqualified(&rcpts));
    assert_eq!(reply.code, 250, "{reply:?}");
    let mut taken: Vec<(Vec<String>, usize)> = sink
        .taken()
        .into_iter()
        .map(|taken| (taken.rcpts.clone(), marks(&taken.message).len()))
        .collect();
    taken.sort();
    assert_eq!(
        taken,
        [
            (vec!["a@tag.example".to_owned()], 2),
            (vec!["foo@example.com".to_owned()], 0)
        ]
    );
    let mut held: Vec<String> = boxes::held(&gateway.spam())
        .into_iter()
        .map(|held| held.recipient)
        .collect();
    held.sort();
    assert_eq!(held, ["a@hold.example", "a@reject.example", "nobody@example.com"]);
}

#[test]
fn when_all_are_refused_the_first_reason_is_told_and_each_has_a_copy() {
    let sink = Sink::start();
    let gateway = setup(&sink).srv(&["example.com/checks/helo"]).start();
    let reply = send(&gateway, &unqualified(&["foo@example.com", "nobody@example.com"]));
    assert!(
        reply.code == 550 && reply.text().starts_with(&format!("5.7.1 {WHY}")),
        "{reply:?}"
    );
    let reply = send(&gateway, &unqualified(&["nobody@example.com", "foo@example.com"]));
    assert!(
        reply.code == 550 && reply.text().starts_with("5.1.1 Mail for nobody"),
        "{reply:?}"
    );
    assert_eq!(counts(&sink, &gateway), (0, 4));
}

#[test]
fn one_who_is_deferred_defers_all_before_anything_is_done() {
    let sink = Sink::start();
    let gateway = setup(&sink)
        .srv(&["defer.example/users/valid/a"])
        .file("defer.example/checks/helo", "action = \"defer\"")
        .start();
    let rcpts = ["foo@example.com", "nobody@example.com", "a@defer.example"];
    assert_eq!(send(&gateway, &unqualified(&rcpts)).code, 451);
    assert_eq!(counts(&sink, &gateway), (0, 0));
    fs::remove_file(gateway.domains().join("defer.example/checks/helo")).expect("a file");
    assert_eq!(send(&gateway, &unqualified(&rcpts)).code, 250);
    assert_eq!(counts(&sink, &gateway), (1, 1));
}

#[test]
fn a_recipient_given_twice_gets_one_copy() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let rcpts = ["foo@example.com", "FOO@Example.COM", "foo@example.com."];
    assert_eq!(send(&gateway, &Mail::new("1@load.example", &rcpts)).code, 250);
    assert_eq!(sink.taken()[0].rcpts, ["foo@example.com"]);
    let rcpts = ["nobody@example.com", "Nobody@example.com"];
    assert_eq!(send(&gateway, &Mail::new("2@load.example", &rcpts)).code, 550);
    assert_eq!(counts(&sink, &gateway), (1, 1));
}

#[test]
fn a_refused_recipient_leaves_the_transaction_as_it_was() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let rcpts = [
        "x@attacker.example",
        "foo@example.com",
        "x@_global_",
        "y@attacker.example",
    ];
    let answers = Client::deliver(gateway.addr(), &Mail::new("1@load.example", &rcpts)).expect("a session");
    let codes: Vec<u16> = answers.rcpts.iter().map(|reply| reply.code).collect();
    assert_eq!(codes, [550, 250, 550, 550]);
    assert_eq!(answers.decisive().code, 250);
    assert_eq!(sink.taken()[0].rcpts, ["foo@example.com"]);
    assert_eq!(counts(&sink, &gateway), (1, 0));
}

#[test]
fn a_dropped_transaction_leaves_nothing_to_the_next_one() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    for between in ["RSET", "EHLO again.example"] {
        let mut client = Client::greeted(gateway.addr());
        client.command("MAIL FROM:<old@b.example>").expect("a reply");
        client.command("RCPT TO:<bar@example.com>").expect("a reply");
        client.command(between).expect("a reply");
        let before = sink.taken().len();
        let answers = client
            .transaction(&Mail::new("1@load.example", &["foo@example.com"]))
            .expect("a transaction");
        assert_eq!(answers.decisive().code, 250, "{between}");
        let taken = &sink.taken()[before];
        assert_eq!(
            (taken.rcpts.len(), &*taken.rcpts[0], &*taken.from),
            (1, "foo@example.com", "alice@sender.example")
        );
    }
}
