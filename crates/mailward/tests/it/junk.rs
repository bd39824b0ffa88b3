//! The content filter at the door: what people label is learned, refuses what is like it, and is unlearned again.

use std::fs;

use crate::support::boxes;
use crate::support::client::{Client, Mail, Reply};
use crate::support::daemon::said;
use crate::support::gateway::{Gateway, Setup};
use crate::support::sink::Sink;

const FOO: &str = "foo@example.com";
const PRIVATE: &str = "refused by the recipient's mail policy";
/// Mail to `bar` names nobody, so less would be enough for it; here both thresholds are one.
const CHECK: &str = "threshold = 0.9\nstrict_threshold = 0.9\n";

const JUNK: [&str; 8] = [
    "Cheap replica watches, order today and save big",
    "Your cheap pharmacy: pills without prescription, order today",
    "Replica watches at cheap prices, limited offer",
    "Order pills today, cheap pharmacy ships worldwide",
    "Last chance: replica handbags, cheap and discreet shipping",
    "Save big on pills, limited offer, order now",
    "Cheap watches and pills, order today, discreet shipping",
    "Limited offer: cheap replica watches, save big today",
];

const WANTED: [&str; 8] = [
    "Minutes of the board meeting on Tuesday are attached",
    "Could you bring the projector to the meeting on Friday",
    "The draft of the annual report is ready for your comments",
    "Lunch on Thursday with Anna and the new colleague",
    "Please review the budget before the board meeting",
    "The train to Vienna leaves at nine, see you at the station",
    "Thanks for your comments on the draft, I changed the budget",
    "Anna asks whether the meeting on Friday can be moved",
];

fn gateway(sink: &Sink) -> Gateway {
    let users = ["example.com/users/valid/foo", "example.com/users/valid/bar"];
    Setup::new()
        .srv(&users)
        .before_sink(sink)
        .file("example.com/checks/junk", CHECK)
        .start()
}

fn mail(name: &str, rcpt: &str, text: &str) -> Mail {
    let message = format!(
        "From: Alice <alice@sender.example>\r\nTo: {rcpt}\r\nDate: Mon, 02 Nov 2026 10:00:00 +0000\r\n\
         Subject: {text}\r\nMessage-Id: <{name}@sender.example>\r\n\r\nHello,\r\n{text}.\r\n"
    );
    Mail {
        message: message.into_bytes(),
        ..Mail::new(name, &[rcpt])
    }
}

fn send(gateway: &Gateway, mail: &Mail) -> Reply {
    let answers = Client::deliver(gateway.addr(), mail).expect("the session is kept up to QUIT");
    answers.decisive().clone()
}

fn id(reply: &Reply) -> String {
    reply.id().expect("the reply names the message")
}

/// Delivers the examples and labels them by their ids; the ids of the junk.
fn taught(gateway: &Gateway, rcpt: &str) -> Vec<String> {
    let deliver = |texts: &[&str], kind: &str| {
        let send_one = |(n, text): (usize, &&str)| {
            let reply = send(gateway, &mail(&format!("{kind}{n}"), rcpt, text));
            assert_eq!(reply.code, 250, "{reply:?}");
            id(&reply)
        };
        texts.iter().enumerate().map(send_one).collect::<Vec<_>>()
    };
    let (junk, wanted) = (deliver(&JUNK, "j"), deliver(&WANTED, "w"));
    label(gateway, "junk", &junk);
    label(gateway, "notjunk", &wanted);
    junk
}

fn label(gateway: &Gateway, what: &str, ids: &[String]) {
    let mut args = vec!["label", what];
    args.extend(ids.iter().map(String::as_str));
    said(gateway, &args);
}

fn new_junk(n: u32, rcpt: &str) -> Mail {
    mail(
        &format!("new{n}"),
        rcpt,
        "Cheap replica watches and pills, order today, limited offer",
    )
}

fn is_refused(reply: &Reply) -> bool {
    match reply.code {
        250 => false,
        550 => {
            assert!(reply.text().contains(PRIVATE), "{reply:?}");
            true
        }
        _ => panic!("{reply:?}"),
    }
}

#[test]
fn what_people_label_refuses_what_is_like_it_until_they_take_it_back() {
    let sink = Sink::start();
    let gateway = gateway(&sink);
    assert!(!is_refused(&send(&gateway, &new_junk(0, FOO))));
    let junk = taught(&gateway, FOO);
    let refused = send(&gateway, &new_junk(1, FOO));
    assert!(
        is_refused(&refused),
        "{refused:?}\n{}",
        said(&gateway, &["why", &id(&refused)])
    );
    let wanted = mail("w9", FOO, "Could you send the minutes of the meeting before Friday");
    assert!(!is_refused(&send(&gateway, &wanted)));
    // What the mailbox of one learned is nobody else's business.
    assert!(!is_refused(&send(&gateway, &new_junk(2, "bar@example.com"))));

    let why = said(&gateway, &["why", &id(&refused)]);
    assert!(
        why.contains("Check `junk` says:") && why.contains("% junk by its content"),
        "{why}"
    );
    assert!(
        why.contains("watches") && why.contains("8 junk and 8 wanted lessons of its own"),
        "{why}"
    );
    assert!(!why.contains("today's code"), "a replay says the same:\n{why}");
    assert_eq!(boxes::held(&gateway.spam()).len(), 1);

    // Taken back, it is as if nobody had ever said it; said again, it is known again.
    label(&gateway, "forget", &junk);
    assert!(!is_refused(&send(&gateway, &new_junk(3, FOO))));
    label(&gateway, "junk", &junk);
    assert!(is_refused(&send(&gateway, &new_junk(4, FOO))));
    // The opposite is learned instead.
    label(&gateway, "notjunk", &junk);
    assert!(!is_refused(&send(&gateway, &new_junk(5, FOO))));
}

/// The copies of mail that `junk` refused stayed when the mail was let in, unless a check beside it kept copies too.
#[test]
fn what_junk_refuses_is_kept_once_and_goes_when_it_is_let_in() {
    let sink = Sink::start();
    let gateway = gateway(&sink);
    let junk = taught(&gateway, FOO);
    let comes_back = |n: u32| {
        for _ in 0..3 {
            assert!(is_refused(&send(&gateway, &new_junk(n, FOO))));
        }
        assert_eq!(boxes::held(&gateway.spam()).len(), 1, "one copy of one message");
    };
    let is_let_in = |n: u32| {
        assert!(!is_refused(&send(&gateway, &new_junk(n, FOO))));
        boxes::await_held(&gateway.spam(), 0);
    };
    comes_back(1);
    label(&gateway, "forget", &junk);
    is_let_in(1);
    label(&gateway, "junk", &junk);
    comes_back(2);
    // The check itself may be gone by then.
    fs::remove_file(gateway.domains().join("example.com/checks/junk")).expect("the check");
    is_let_in(2);
}

#[test]
fn what_was_learned_outlives_the_daemon_and_what_was_labelled_without_it_is_learned_later() {
    let sink = Sink::start();
    let mut gateway = gateway(&sink);
    let junk = taught(&gateway, FOO);
    gateway.kill();
    gateway.start_again();
    assert!(is_refused(&send(&gateway, &new_junk(1, FOO))));
    gateway.stop();
    label(&gateway, "forget", &junk);
    gateway.start_again();
    assert!(!is_refused(&send(&gateway, &new_junk(2, FOO))));
    gateway.stop();
    label(&gateway, "junk", &junk);
    gateway.start_again();
    assert!(is_refused(&send(&gateway, &new_junk(3, FOO))));
}

#[test]
fn old_mail_is_learned_from_folders() {
    let sink = Sink::start();
    let gateway = gateway(&sink);
    let folder = |name: &str, texts: &[&str]| {
        let dir = gateway.dir().join(name);
        fs::create_dir(&dir).expect("a new directory");
        for (n, text) in texts.iter().enumerate() {
            let letter = mail(&format!("{name}{n}"), FOO, text).message;
            fs::write(dir.join(format!("{n}.eml")), letter).expect("a new file");
        }
        dir.to_string_lossy().into_owned()
    };
    let (junk, wanted) = (folder("old-junk", &JUNK), folder("old-mail", &WANTED));
    let learn = ["learn", "--mailbox", FOO, "--junk", &junk, "--notjunk", &wanted];
    said(&gateway, &learn);
    assert!(is_refused(&send(&gateway, &new_junk(1, FOO))));
    // Twice changes nothing.
    let before = said(&gateway, &["store", "export"]);
    said(&gateway, &learn);
    assert_eq!(said(&gateway, &["store", "export"]), before);
}

#[test]
fn a_bad_key_is_reported_and_the_default_holds() {
    let sink = Sink::start();
    let gateway = gateway(&sink);
    let file = gateway.domains().join("example.com/checks/junk");
    fs::write(&file, "threshold = 95\nstrict_treshold = 0.5\n").expect("the file");
    let checked = gateway.command(&["check"]);
    let checked = String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()).into_owned();
    assert!(
        checked.contains("`threshold` is not a probability from 0.001 to 1"),
        "{checked}"
    );
    assert!(
        checked.contains("unknown key: `strict_treshold`") && checked.contains("strict_threshold"),
        "{checked}"
    );
}

#[test]
fn a_message_for_two_is_judged_for_each() {
    let sink = Sink::start();
    let gateway = gateway(&sink);
    taught(&gateway, FOO);
    let mut both = new_junk(1, FOO);
    both.rcpts.push("bar@example.com".into());
    let reply = send(&gateway, &both);
    assert_eq!(reply.code, 250, "{reply:?}");
    let held = boxes::held(&gateway.spam());
    assert_eq!(held.len(), 1, "{held:?}");
}
