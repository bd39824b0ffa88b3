//! NUL octets in messages: a space for each, never nothing; refused with a copy where the operator says so, or where a
//! signature that verifies would break.

use crate::origin::{BANK, World, bank, mail_from};
use crate::support::boxes;
use crate::support::client::{Client, Mail, Reply};
use crate::support::dkim;
use crate::support::gateway::{Gateway, Setup};
use crate::support::private_dns::is_there;
use crate::support::sink::Sink;

/// With what a program that leaves NULs out would take for the end of the message.
const TEXT: &[u8] = b"Subject: a\0b\r\nX\0-Mailward-Verdict: no\r\n\r\none\0\0two\r\n\0.\r\n.\0\r\nMAIL FROM:<evil@attacker.example>\r\nend\r\n";

fn setup(sink: &Sink) -> Setup {
    Setup::new().srv(&["example.com/users/valid/foo"]).before_sink(sink)
}

fn by_data(gateway: &Gateway, message: &[u8]) -> Reply {
    let mut client = Client::greeted(gateway.addr());
    client.begin_data(&Mail::new("", &["foo@example.com"]));
    client.send(message).expect("it is read");
    client.command(".").expect("one answer")
}

fn by_bdat(gateway: &Gateway, message: &[u8], cut: usize) -> Reply {
    let mut client = Client::greeted(gateway.addr());
    client.begin(&Mail::new("", &["foo@example.com"]));
    client.bdat(message, &[cut]).expect("replies")
}

/// A next hop that leaves NULs out before it looks for the dot saw the end of the message, and commands of the sender's.
#[test]
fn a_nul_is_passed_on_as_a_space() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    assert_eq!(by_data(&gateway, TEXT).code, 250);
    for cut in 0..TEXT.len() {
        assert_eq!(by_bdat(&gateway, TEXT, cut).code, 250);
    }
    let taken = sink.taken();
    assert_eq!(taken.len(), TEXT.len() + 1);
    for (n, taken) in taken.into_iter().enumerate() {
        let text = String::from_utf8(taken.message).expect("text");
        // By DATA a dot that begins a line was doubled by the sender, or goes.
        let dot = if n == 0 { "" } else { "." };
        let body = format!("one  two\r\n .\r\n{dot} \r\nMAIL FROM:<evil@attacker.example>\r\nend\r\n");
        assert!(text.ends_with(&format!("\r\n\r\n{body}")), "{text:?}");
        assert!(text.contains("Subject: a b\r\n") && !text.contains('\0'), "{text:?}");
    }
}

#[test]
fn where_nuls_are_refused_a_copy_is_kept_that_has_none() {
    let sink = Sink::start();
    let gateway = setup(&sink).set("smtp.nul", "\"refuse\"").start();
    for reply in [by_data(&gateway, TEXT), by_bdat(&gateway, TEXT, 20)] {
        let text = reply.text();
        assert!(
            reply.code == 554 && text.starts_with("5.6.0 Message has NUL octets"),
            "{reply:?}"
        );
    }
    assert!(sink.taken().is_empty());
    let held = boxes::held(&gateway.spam());
    assert_eq!(held.len(), 2);
    for file in held {
        let octets = file.message;
        assert!(!octets.contains(&0) && octets.windows(8).any(|w| w == b"one  two"));
    }
}

/// Signed with NULs, over the wire in chunks and through a file.
#[test]
fn a_signature_that_verifies_is_not_broken_but_refused_with_a_copy() {
    if !is_there("a_signature_that_verifies_is_not_broken_but_refused_with_a_copy") {
        return;
    }
    let world = World::start(&[bank("v=DMARC1; p=none")], &[]);
    let send = |mail: &Mail| {
        let mut client = Client::greeted(world.gateway.addr());
        client.begin(mail);
        client.bdat(&mail.message, &[100_000]).expect("replies")
    };
    let plain = mail_from("ann@bank.example");
    for unsigned in [plain.clone(), plain.padded(700 << 10)] {
        // At its end, so in the part that lies in a file where there is one.
        let message = [&unsigned.message[..], b"one\0two\r\n"].concat();
        let before = boxes::held(&world.gateway.spam()).len();
        let signed = Mail {
            message: dkim::signed(&message, "bank.example", "s1"),
            ..unsigned.clone()
        };
        let reply = send(&signed);
        assert!(
            reply.code == 554 && reply.text().starts_with("5.6.0 Message has NUL octets"),
            "{reply:?}"
        );
        assert_eq!(boxes::held(&world.gateway.spam()).len(), before + 1, "a copy is kept");
        // What does not verify, because another key or another text was signed, has nothing to lose.
        for (domain, change) in [("silent.example", 0), ("bank.example", 1)] {
            let mut broken = Mail {
                message: dkim::signed(&message, domain, "s1"),
                ..unsigned.clone()
            };
            let at = broken.message.len() - 4;
            broken.message[at] ^= change;
            let reply = send(&broken);
            assert_eq!(reply.code, 250, "{reply:?}");
            assert!(world.last().windows(5).any(|w| w == b"one t"));
        }
        // Nor has what nobody signed.
        let passed_on = world.deliver(BANK, &Mail { message, ..unsigned });
        assert!(passed_on.windows(7).any(|w| w == b"one two"));
    }
    // More NULs than are known: nobody can tell, so the signature counts.
    let many = [
        &mail_from("ann@bank.example").message[..],
        &b"a\0".repeat(5000),
        b"\r\n",
    ]
    .concat();
    let signed = Mail {
        message: dkim::signed(&many, "bank.example", "s1"),
        ..mail_from("ann@bank.example")
    };
    assert_eq!(send(&signed).code, 554);
    let unsigned = Mail {
        message: many,
        ..mail_from("ann@bank.example")
    };
    assert_eq!(send(&unsigned).code, 250);
}
