//! Every way in judges alike: what the SMTP listener stored of a message is what `scan` says of the delivered file.

use std::fs;

use serde_json::Value;

use super::{BANK, STRANGER, World, bank, mail_from, reverse, signed_mail_from};
use crate::support::Dice;
use crate::support::client::Mail;
use crate::support::daemon;
use crate::support::gateway::Setup;
use crate::support::private_dns::is_there;

/// Messages that are sent.
const MESSAGES: usize = 48;

/// Fields that come with a message: those of strangers that claim to be ours, and whatever checks look at.
const FIELDS: [&str; 7] = [
    "",
    "X-HELO: mx.forged.example\r\nX-Mailward-Verdict: fine\r\nX-REJECT-REASON: none\r\n",
    "Authentication-Results: mx.example.com; spf=pass\r\nReceived-SPF: pass receiver=mx.example.com\r\n",
    "Return-Path: <x@y.example>\r\nDelivered-To: foo@example.com\r\n",
    "X-Mailward-Id: 0E8WJ8R6EWAD 00000000000000000000\r\nReceived: from a by mx.example.com with SMTP id 1; now\r\n",
    "X-Mailer: The Bat! 1.0\r\n",
    "Received: from a.example ([192.0.2.7])\r\n\tby b.example with ESMTP id 7; Mon, 02 Nov 2026 09:59:00 +0000\r\n",
];

/// What is sent besides text.
fn body(number: u64) -> (&'static str, Vec<u8>) {
    const LINK: &str = "<a href=\"https://www.bank.example@192.0.2.9/\">https://www.bank.example/</a>";
    match number {
        0 => ("", b"The minutes are ready.\r\n.. and more\r\n".to_vec()),
        1 => (
            "Content-Type: text/html\r\n",
            format!("<p>Hello {LINK}\r\n").into_bytes(),
        ),
        2 => ("Content-Type: text/html\r\n", b"<p>Hello\r\n".to_vec()),
        3 => ("", b" \r\n\t\r\n".to_vec()),
        // Past what stays in memory.
        _ => (
            "",
            b"a line of sixty octets, which is written again and again..\r\n".repeat(6000),
        ),
    }
}

/// One of very many messages, and the client that sends it.
fn draw(dice: &mut Dice) -> (&'static str, Mail) {
    let client = [BANK, STRANGER, "192.0.2.26", "192.0.2.27"][dice.below(4) as usize];
    let author = ["ann@bank.example", "bob@nowhere.example"][dice.below(2) as usize];
    let mut mail = match dice.below(2) {
        0 => mail_from(author),
        _ => signed_mail_from(author),
    };
    let text = String::from_utf8(mail.message).expect("it is text");
    let (header, _) = text.split_once("\r\n\r\n").expect("a header");
    let (kind, body) = body(dice.below(5));
    let fields = FIELDS[dice.below(FIELDS.len() as u64) as usize];
    let mut message = [fields, header, "\r\n", kind, "\r\n"].concat().into_bytes();
    message.extend(body);
    mail.message = message;
    if dice.below(4) == 0 {
        mail.helo = "localhost".into();
    }
    (client, mail)
}

/// With checks that mark and refuse nothing, so that every message is delivered, and that need no memory.
fn world() -> World {
    let tag = "action = \"tag\"";
    let files = [
        format!("example.com/checks/all={tag}"),
        format!("example.com/checks/dmarc={tag}\nquarantine = \"none\""),
        format!("example.com/checks/rdns={tag}\nconfirmed = true"),
        format!("example.com/checks/links={tag}"),
        format!("example.com/checks/protocol={tag}"),
    ];
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let named = |setup: Setup| setup.set("smtp.hostname", "\"mx.example.com\"");
    World::start_with(&[bank("v=DMARC1; p=reject"), reverse()], &files, named)
}

/// What `scan` says of a file, with the envelope that the listener stored.
fn scanned(world: &World, stored: &Value, file: &[u8]) -> Value {
    let path = world.gateway.dir().join("delivered");
    fs::write(&path, file).expect("our own directory");
    let facts = &stored["facts"];
    let text = |name: &str| facts[name].as_str().expect("a text").to_owned();
    let (client, helo, from) = (text("client"), text("helo"), text("reverse_path"));
    let time = facts["received_s"].to_string();
    let args = [
        "scan",
        "--online",
        "--json",
        "--client-ip",
        &client,
        "--helo",
        &helo,
        "--from",
        &from,
        "--rcpt",
        "foo@example.com",
        "--time",
        &time,
        &path.to_string_lossy(),
    ];
    let output = world.gateway.command(&args);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn what_the_listener_stored_is_what_scan_says_of_the_delivered_file() {
    if !is_there("what_the_listener_stored_is_what_scan_says_of_the_delivered_file") {
        return;
    }
    let world = world();
    let mut dice = Dice::new(14);
    let mut dispositions = std::collections::BTreeSet::new();
    for _ in 0..MESSAGES {
        let (client, mail) = draw(&mut dice);
        let reply = world.send(client, &mail);
        assert_eq!(reply.code, 250, "{reply:?}\n{}", world.why(&reply));
        let id = reply.id().expect("the reply names the message");
        let mut stored: Value =
            serde_json::from_str(&daemon::said(&world.gateway, &["why", "--json", &id])).expect("JSON");
        let scanned = scanned(&world, &stored, &world.last());
        let told = || {
            format!(
                "{client} {}",
                String::from_utf8_lossy(&mail.message[..mail.message.len().min(900)])
            )
        };
        // What was taken out is in no delivered file.
        if let Some(facts) = stored["facts"].as_object_mut() {
            facts.remove("removed");
        }
        assert_eq!(scanned["facts"], stored["facts"], "{}", told());
        let recipient = &stored["recipients"][0];
        assert_eq!(scanned["recipient"], recipient["facts"], "{}", told());
        assert_eq!(scanned["verdict"], recipient["verdict"], "{}", told());
        dispositions.insert(scanned["disposition"].to_string());
    }
    assert!(dispositions.len() > 1, "all were judged alike: {dispositions:?}");
}
