//! The smuggling matrix: every end of data that any server was ever seen to take for one, by DATA and by BDAT, divided
//! at every octet of it; through the gateway into real servers. They never see more messages than were judged.
//!
//! Each text tries to be the end of itself and the beginning of a second message, for another mailbox. A piece that is
//! sent apart is read apart: the next is sent when the gateway has taken it from its socket.

use std::collections::BTreeSet;

use crate::support::boxes;
use crate::support::client::{Client, Mail, Reply};
use crate::support::gateway::{Gateway, Setup};
use crate::support::outside::servers;
use crate::support::private_dovecot::{self, PrivateDovecot};
use crate::support::private_exim::{self, PrivateExim};
use crate::support::private_postfix::{self, PrivatePostfix};
use crate::support::sink::{Script, Sink};

/// The ends, and whether a text that holds one is refused by DATA for its bare CR or LF. By BDAT none is.
const ENDS: [(&str, bool); 24] = [
    ("\n.\n", true),
    ("\n.\r\n", true),
    ("\r.\r", true),
    ("\r.\r\n", true),
    ("\r.\n", true),
    ("\r\n.\n", true),
    ("\r\n.\r", true),
    ("\n.\r", true),
    ("\n\n.\n\n", true),
    ("\n\n.\r\n", true),
    ("\r\n\r.\r\n", true),
    ("\r\r\n.\r\r\n", true),
    ("\r\n.\r\r\n", true),
    ("\r\n.\n\r\n", true),
    ("\r\n.\r\0\n", true),
    ("\r\0\n.\r\n", true),
    ("\r\n\0.\r\n", false),
    ("\r\n.\0\r\n", false),
    ("\r\n\x08.\r\n", false),
    ("\r\n.\x1a\r\n", false),
    ("\r\n. \r\n", false),
    ("\r\n .\r\n", false),
    ("\r\n..\r\n", false),
    ("\r\n\u{85}.\u{85}\r\n", false),
];

/// Ends a message by DATA, and is text in a chunk.
const REAL: &str = "\r\n.\r\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Data,
    Bdat,
}

/// The message, and where its false end stands.
fn smuggling(name: &str, end: &str) -> (Vec<u8>, usize) {
    let first = format!("Message-Id: <{name}>\r\nSubject: first\r\nDate: x\r\nFrom: a@b.example\r\n\r\ntext");
    let second = format!(
        "MAIL FROM:<evil@attacker.example>\r\nRCPT TO:<boss@example.com>\r\nDATA\r\nMessage-Id: <evil.{name}>\r\n\
         Subject: second\r\n\r\nevil\r\n"
    );
    (format!("{first}{end}{second}").into_bytes(), first.len())
}

/// Sends it divided at `cut`.
fn send(gateway: &Gateway, by: By, message: &[u8], cut: usize) -> Reply {
    let mut client = Client::greeted(gateway.addr());
    let mail = Mail::new("", &["foo@example.com"]);
    let reply = match by {
        By::Bdat => {
            client.begin(&mail);
            client.bdat(message, &[cut]).expect("replies")
        }
        By::Data => {
            client.begin_data(&mail);
            let octets = [message, b".\r\n"].concat();
            client.send(&octets[..cut]).expect("it is read");
            client.await_read();
            client.send(&octets[cut..]).expect("it is read");
            client.reply().expect("one answer")
        }
    };
    assert_eq!(client.command("QUIT").expect("no second answer").code, 221);
    reply
}

fn has_bare_cr(text: &str) -> bool {
    text.replace("\r\n", "").contains('\r')
}

/// Sends the whole matrix; the names of what was taken. By DATA a bare LF is refused.
fn run(gateway: &Gateway) -> BTreeSet<String> {
    run_all(gateway, false)
}

/// The same where a bare LF by DATA may be normalized.
fn run_all(gateway: &Gateway, normalizes: bool) -> BTreeSet<String> {
    let mut taken = BTreeSet::new();
    for by in [By::Data, By::Bdat] {
        let real = (by == By::Bdat).then_some((REAL, false));
        for (n, (end, refused)) in ENDS.into_iter().chain(real).enumerate() {
            for offset in 0..=end.len() {
                let name = format!("{by:?}.{n}.{offset}@load.example");
                let (message, at) = smuggling(&name, end);
                let reply = send(gateway, by, &message, at + offset);
                let refused = refused && by == By::Data && (!normalizes || has_bare_cr(end));
                let expected = if refused { (554, "5.5.2") } else { (250, "2.0.0") };
                assert_eq!(
                    (reply.code, &reply.text()[..5]),
                    expected,
                    "{by:?} {end:?} at {offset}: {reply:?}"
                );
                if !refused {
                    taken.insert(name);
                }
            }
        }
    }
    taken
}

fn setup(target: &str) -> Setup {
    Setup::new()
        .srv(&["example.com/users/valid/*"])
        .before(target)
        .set("limits.connections_per_client", "1000")
}

fn gateway(target: &str) -> Gateway {
    setup(target).start()
}

const LAST: &str = "last@load.example";

/// A last message for both mailboxes: when it is there, so is whatever went before it.
fn send_last(gateway: &Gateway) {
    let mail = Mail::new(LAST, &["foo@example.com", "boss@example.com"]);
    let answers = Client::deliver(gateway.addr(), &mail).expect("a session");
    assert_eq!(answers.decisive().code, 250, "{answers:?}");
}

/// The mailbox holds each of them once and nothing else, and the other one only what was sent last.
fn settle(mut taken: BTreeSet<String>, first: &[Vec<u8>], boss: &[Vec<u8>]) {
    taken.insert(LAST.into());
    let found: BTreeSet<String> = first.iter().map(|message| boxes::message_id(message)).collect();
    assert_eq!(found, taken);
    assert_eq!(first.len(), taken.len(), "one of them is there twice");
    let ids: Vec<String> = boss.iter().map(|message| boxes::message_id(message)).collect();
    assert_eq!(ids, [LAST]);
}

#[test]
fn the_laxest_next_hop_there_could_be_sees_exactly_the_messages_that_were_judged() {
    let sink = Sink::scripted(Script::default().lax());
    let gateway = gateway(&sink.target());
    let taken = run(&gateway);
    send_last(&gateway);
    let of = |rcpt: &str| -> Vec<Vec<u8>> {
        let all = sink.taken().into_iter();
        all.filter(|taken| taken.rcpts.iter().any(|r| r == rcpt))
            .map(|taken| taken.message)
            .collect()
    };
    settle(taken, &of("foo@example.com"), &of("boss@example.com"));
    assert!(sink.taken().iter().all(|taken| taken.from == "alice@sender.example"));
}

#[test]
fn where_a_bare_lf_is_normalized_the_laxest_next_hop_sees_no_more_messages_either() {
    let sink = Sink::scripted(Script::default().lax());
    let gateway = setup(&sink.target()).set("smtp.bare_lf", "\"normalize\"").start();
    let taken = run_all(&gateway, true);
    send_last(&gateway);
    let of = |rcpt: &str| -> Vec<Vec<u8>> {
        let all = sink.taken().into_iter();
        all.filter(|taken| taken.rcpts.iter().any(|r| r == rcpt))
            .map(|taken| taken.message)
            .collect()
    };
    settle(taken, &of("foo@example.com"), &of("boss@example.com"));
}

#[test]
fn postfix_sees_exactly_the_messages_that_were_judged() {
    if !servers(
        "postfix_sees_exactly_the_messages_that_were_judged",
        &private_postfix::PROGRAMS,
    ) {
        return;
    }
    let postfix = PrivatePostfix::start(&["foo", "boss"], "smtpd_forbid_bare_newline = no\n");
    let gateway = gateway(&format!("smtp:{}", postfix.addr()));
    let taken = run(&gateway);
    send_last(&gateway);
    let boss = postfix.await_mail("boss", 1);
    settle(taken.clone(), &postfix.await_mail("foo", taken.len() + 1), &boss);
}

#[test]
fn exim_sees_exactly_the_messages_that_were_judged() {
    const TEST: &str = "exim_sees_exactly_the_messages_that_were_judged";
    if !private_exim::is_there(TEST) {
        return;
    }
    let exim = PrivateExim::start(TEST, &["foo", "boss"]);
    let gateway = gateway(&exim.target());
    let taken = run(&gateway);
    send_last(&gateway);
    let boss = exim.await_mail("boss", 1);
    settle(taken.clone(), &exim.await_mail("foo", taken.len() + 1), &boss);
}

#[test]
fn exim_by_batches_sees_exactly_the_messages_that_were_judged() {
    const TEST: &str = "exim_by_batches_sees_exactly_the_messages_that_were_judged";
    if !private_exim::is_there(TEST) {
        return;
    }
    let exim = PrivateExim::start(TEST, &["foo", "boss"]);
    let gateway = gateway(&exim.batch_target());
    let taken = run(&gateway);
    send_last(&gateway);
    let boss = exim.await_mail("boss", 1);
    settle(taken.clone(), &exim.await_mail("foo", taken.len() + 1), &boss);
}

#[test]
fn dovecot_sees_exactly_the_messages_that_were_judged() {
    if !servers(
        "dovecot_sees_exactly_the_messages_that_were_judged",
        &private_dovecot::PROGRAMS,
    ) {
        return;
    }
    let dovecot = PrivateDovecot::start(&["foo", "boss"], &[], "");
    let gateway = gateway(&dovecot.target());
    let taken = run(&gateway);
    send_last(&gateway);
    settle(taken, &dovecot.mail("foo"), &dovecot.mail("boss"));
}
