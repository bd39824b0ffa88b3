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
