//! DKIM: signatures made by the test, whole and broken, of small and large messages.

use super::{BANK, STRANGER, World, bank, field, fields, mail_from, signed_mail_from};
use crate::support::client::{Client, Mail};
use crate::support::dkim;
use crate::support::private_dns::is_there;

const ACTS: &str = "example.com/checks/dkim_check=soft = false";

/// One octet of the body is another.
fn changed(mail: &Mail) -> Mail {
    let mut mail = mail.clone();
    let at = mail.message.len() - 4;
    mail.message[at] ^= 1;
    mail
}

#[test]
fn a_signature_passes_and_a_broken_one_is_refused_where_the_operator_says_so() {
    if !is_there("a_signature_passes_and_a_broken_one_is_refused_where_the_operator_says_so") {
        return;
    }
    let files = [ACTS, "soft.example/users/valid/foo", "soft.example/checks/dkim_check"];
    let world = World::start(&[bank("v=DMARC1; p=none")], &files);
    let mail = signed_mail_from("ann@bank.example");
    let message = world.deliver(STRANGER, &mail);
    assert_eq!(field(&message, "X-DKIM-RESULT"), "pass");
    let results = field(&message, "Authentication-Results");
    assert!(
        results.contains("dkim=pass") && results.contains("header.d=bank.example"),
        "{results}"
    );

    let said = world.refused(STRANGER, &changed(&mail));
    assert!(said.contains("No DKIM signature verifies"), "{said}");
    let mut soft = changed(&mail);
    soft.rcpts = vec!["foo@soft.example".into()];
    let message = world.deliver(STRANGER, &soft);
    assert_eq!(field(&message, "X-DKIM-RESULT"), "fail");

    // Nothing is said of a message without any.
    let message = world.deliver(STRANGER, &mail_from("ann@bank.example"));
    assert!(fields(&message, "X-DKIM-RESULT").is_empty());
    assert!(field(&message, "Authentication-Results").contains("dkim=none"));

    // A key that is not there.
    let unsigned = mail_from("ann@bank.example");
    let no_key = Mail {
        message: dkim::signed(&unsigned.message, "bank.example", "s2"),
        ..unsigned
    };
    let reply = world.send(STRANGER, &no_key);
    assert_eq!(
        (reply.code, world.proof(&reply, "dkim")[0]["result"].as_str()),
        (550, Some("permerror"))
    );
}

#[test]
fn a_message_that_lies_in_a_file_is_verified_to_its_last_octet() {
    if !is_there("a_message_that_lies_in_a_file_is_verified_to_its_last_octet") {
        return;
    }
    let world = World::start(&[bank("v=DMARC1; p=none")], &[ACTS]);
    let unsigned = mail_from("ann@bank.example").padded(700 << 10);
    let mail = Mail {
        message: dkim::signed(&unsigned.message, "bank.example", "s1"),
        ..unsigned
    };
    let message = world.deliver(BANK, &mail);
    assert_eq!(field(&message, "X-DKIM-RESULT"), "pass");
    assert!(message.len() > 700 << 10);
    let said = world.refused(BANK, &changed(&mail));
    assert!(said.contains("No DKIM signature verifies"), "{said}");
    // The same in pieces that end anywhere.
    let mut client = Client::greeted(world.gateway.addr());
    client.begin(&mail);
    let reply = client
        .bdat(&mail.message, &[1000, 255 << 10, 300_001])
        .expect("a reply");
    assert_eq!(reply.code, 250, "{reply:?}");
    assert_eq!(field(&world.last(), "X-DKIM-RESULT"), "pass");
}

#[test]
fn fifty_signatures_take_no_longer_than_they_may() {
    if !is_there("fifty_signatures_take_no_longer_than_they_may") {
        return;
    }
    let world = World::start(&[bank("v=DMARC1; p=none")], &[]);
    let mail = mail_from("ann@bank.example");
    let whole = dkim::signed(&mail.message, "bank.example", "s1");
    let signature = &whole[..whole.len() - mail.message.len()];
    let other = String::from_utf8_lossy(signature).replace("s=s1", "s=nobody");
    // Each other signature asks for a key of its own.
    let many: String = (0..50)
        .map(|n| other.replace("nobody", &format!("nobody{n}")))
        .collect();
    let mail = Mail {
        message: [many.as_bytes(), &whole].concat(),
        ..mail
    };
    let reply = world.send(BANK, &mail);
    assert_eq!(reply.code, 250, "{reply:?}");
    let signatures = world.proof(&reply, "dkim");
    let count = signatures.as_array().expect("a list").len();
    assert!((1..=51).contains(&count), "{count}");
    let why = world.why(&reply);
    assert!(why.len() < 64 << 10, "{} octets", why.len());
}

/// What is kept of a message in memory; the rest lies in a file.
const HEAD_OCTETS: usize = 256 << 10;

#[test]
fn a_body_is_the_same_however_it_comes_and_wherever_it_is_cut() {
    if !is_there("a_body_is_the_same_however_it_comes_and_wherever_it_is_cut") {
        return;
    }
    let world = World::start(&[bank("v=DMARC1; p=none")], &[ACTS]);
    let plain = mail_from("ann@bank.example");
    let (header, _) = split(&plain.message);
    let mut bodies: Vec<Vec<u8>> = [
        "",
        "\r\n",
        ".\r\n..\r\n.leading\r\n",
        "blanks \t \r\n\t leading\tand  within \r\n",
        "empty lines at the end\r\n\r\n \r\n\t\r\n\r\n",
        "8 bit \u{e4}\u{20ac}\r\n",
        "From the beginning\r\n",
    ]
    .map(|body| body.as_bytes().to_vec())
    .to_vec();
    // A line's end, a run of blanks, and empty lines at the end, on both sides of where the file begins. The signature's
    // length is known only when it is made, and is the same for all.
    let length = signed(header, b"x\r\n").len() - b"x\r\n".len();
    for early in 0..5 {
        for seam in ["\r\n", "a \t b\r\n", "\r\n\r\n\r\n\r\n", "\r\n.\r\n"] {
            let mut body = vec![b'x'; HEAD_OCTETS - length - early];
            // Lines of an ordinary length.
            body.chunks_exact_mut(78)
                .for_each(|line| line[76..].copy_from_slice(b"\r\n"));
            let end = body.len();
            if body[end - 1] == b'\r' {
                body[end - 1] = b'x';
            }
            body.extend_from_slice(seam.as_bytes());
            bodies.push(body);
        }
    }
    for body in bodies {
        let mail = Mail {
            message: signed(header, &body),
            ..plain.clone()
        };
        let about = format!(
            "{} octets, ending in {:?}",
            body.len(),
            &body[body.len().saturating_sub(12)..]
        );
        let message = world.deliver(BANK, &mail);
        assert_eq!(field(&message, "X-DKIM-RESULT"), "pass", "by DATA: {about}");
        let mut client = Client::greeted(world.gateway.addr());
        client.begin(&mail);
        let reply = client
            .bdat(&mail.message, &[mail.message.len() / 2, 1])
            .expect("a reply");
        assert_eq!(reply.code, 250, "by BDAT: {about}: {reply:?}");
        assert_eq!(field(&world.last(), "X-DKIM-RESULT"), "pass", "by BDAT: {about}");
    }
}

/// The header with its empty line, and the body.
fn split(message: &[u8]) -> (&[u8], &[u8]) {
    let end = message.windows(4).position(|four| four == b"\r\n\r\n");
    message.split_at(end.expect("a header ends") + 4)
}

fn signed(header: &[u8], body: &[u8]) -> Vec<u8> {
    dkim::signed(&[header, body].concat(), "bank.example", "s1")
}
