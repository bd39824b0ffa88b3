//! Bad input: any octets on the port, messages of monstrous form, names that would like to be paths.
//!
//! No panic, no growth past the limits, a clear reply; and the next hop sees exactly the messages that were judged.

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use crate::support::boxes;
use crate::support::client::{Client, Mail, Reply};
use crate::support::gateway::{Gateway, Setup};
use crate::support::sink::Sink;
use crate::support::{Dice, outside};

fn setup(sink: &Sink) -> Setup {
    Setup::new().srv(&["example.com/users/valid/*"]).before_sink(sink)
}

fn send(gateway: &Gateway, mail: &Mail) -> Reply {
    let answers = Client::deliver(gateway.addr(), mail).expect("the session is kept up to QUIT");
    answers.decisive().clone()
}

fn to_foo(message: Vec<u8>) -> Mail {
    Mail {
        message,
        ..Mail::new("", &["foo@example.com"])
    }
}

/// Nothing of ours broke: that would be said in the log.
fn assert_well(gateway: &mut Gateway) {
    assert!(!gateway.has_ended());
    let log = gateway.log();
    assert!(!log.contains("a fault of ours") && !log.contains("panicked"), "{log}");
}

/// The ends that smugglers have used, and whether a text that holds one is refused for its bare CR or LF.
const ENDS: [(&str, bool); 17] = [
    ("\n.\n", true),
    ("\n.\r\n", true),
    ("\r.\r", true),
    ("\r.\r\n", true),
    ("\r\n.\n", true),
    ("\r\n.\r", true),
    ("\n.\r", true),
    ("\r.\n", true),
    ("\n\n.\n\n", true),
    ("\n\n.\r\n", true),
    ("\r\n\r.\r\n", true),
    ("\r\r\n.\r\r\n", true),
    ("\r\n.\r\r\n", true),
    ("\r\n\0.\r\n", false),
    ("\r\n.\0\r\n", false),
    ("\r\n. \r\n", false),
    ("\r\n..\r\n", false),
];

/// The message whose text tries to be the end of itself and the beginning of a second one.
fn smuggling(end: &str) -> Vec<u8> {
    let second =
        "MAIL FROM:<evil@attacker.example>\r\nRCPT TO:<boss@example.com>\r\nDATA\r\nSubject: second\r\n\r\nevil";
    format!("Subject: first\r\nDate: x\r\nFrom: a@b.example\r\n\r\ntext{end}{second}\r\n.\r\n").into_bytes()
}

#[test]
fn the_next_hop_sees_exactly_the_messages_that_were_judged() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let mut ids = Vec::new();
    for bytewise in [false, true] {
        for (end, refused) in ENDS {
            let before = sink.taken().len();
            let mut client = Client::greeted(gateway.addr());
            client.begin_data(&Mail::new("", &["foo@example.com"]));
            let octets = smuggling(end);
            let sent = match bytewise {
                false => client.send(&octets),
                true => client.send_bytewise(&octets),
            };
            sent.expect("it is read to its end");
            let reply = client.reply().expect("one answer");
            let expected = if refused { (554, "5.5.2") } else { (250, "2.0.0") };
            assert_eq!((reply.code, &reply.text()[..5]), expected, "{end:?}: {reply:?}");
            ids.extend(reply.id().filter(|_| refused));
            assert_eq!(client.command("QUIT").expect("no second answer").code, 221, "{end:?}");
            let taken = sink.taken();
            assert_eq!(taken.len() - before, usize::from(!refused), "{end:?}");
            assert!(
                taken.iter().all(|taken| taken.from == "alice@sender.example"),
                "{end:?}"
            );
            assert!(taken.iter().all(|taken| taken.rcpts == ["foo@example.com"]), "{end:?}");
        }
    }
    // What was refused is kept, and is one message again when it is released.
    let refused = ids.len();
    assert_eq!(boxes::held(&gateway.spam()).len(), refused);
    let before = sink.taken().len();
    let release: Vec<&str> = ["quarantine", "release"]
        .into_iter()
        .chain(ids.iter().map(String::as_str))
        .collect();
    assert!(gateway.command(&release).status.success());
    let taken = sink.taken();
    assert_eq!(taken.len() - before, refused);
    assert!(
        taken
            .iter()
            .all(|taken| taken.from == "alice@sender.example" && taken.rcpts == ["foo@example.com"])
    );
}

#[test]
fn dots_arrive_as_they_were_meant() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let body = b"From: a@b.example\r\nDate: x\r\n\r\n.\r\n..\r\n...\r\n.a\r\n\r\n.\r\n";
    assert_eq!(send(&gateway, &to_foo(body.to_vec())).code, 250);
    assert!(
        sink.taken()[0]
            .message
            .ends_with(b"\r\n\r\n.\r\n..\r\n...\r\n.a\r\n\r\n.\r\n")
    );
}

#[test]
fn a_header_past_its_limits_is_refused() {
    let sink = Sink::start();
    let mut gateway = setup(&sink).start();
    let lines = [b"X-Line: y\r\n".repeat(100_000), b"\r\nbody\r\n".to_vec()].concat();
    let folded = [
        b"Subject: x\r\n".to_vec(),
        b" y\r\n".repeat(2_000_000),
        b"\r\nbody\r\n".to_vec(),
    ]
    .concat();
    for message in [lines, folded] {
        let reply = send(&gateway, &to_foo(message));
        assert_eq!((reply.code, &reply.text()[..5]), (554, "5.6.0"), "{reply:?}");
    }
    let received = [b"Received: from a by b\r\n".repeat(101), b"\r\nbody\r\n".to_vec()].concat();
    let reply = send(&gateway, &to_foo(received));
    assert_eq!((reply.code, &reply.text()[..5]), (554, "5.4.6"), "{reply:?}");
    assert!(sink.taken().is_empty());
    assert_well(&mut gateway);
}

#[test]
fn a_header_of_many_lines_within_the_limits_arrives_whole() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let message = [b"X-Line: y\r\n".repeat(9_000), b"\r\nbody\r\n".to_vec()].concat();
    assert_eq!(send(&gateway, &to_foo(message)).code, 250);
    let count = boxes::headers(&sink.taken()[0].message)
        .iter()
        .filter(|(name, _)| name == "X-Line")
        .count();
    assert_eq!(count, 9_000);
}

/// A message of parts within parts.
fn nested(depth: usize) -> Vec<u8> {
    let mut message = String::from("From: a@b.example\r\nDate: x\r\nMIME-Version: 1.0\r\n");
    for n in 0..depth {
        message.push_str(&format!(
            "Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n"
        ));
    }
    message.push_str("\r\ntext\r\n");
    (0..depth)
        .rev()
        .for_each(|n| message.push_str(&format!("--b{n}--\r\n")));
    message.into_bytes()
}

#[test]
fn odd_contents_are_judged_and_arrive_octet_by_octet() {
    let sink = Sink::start();
    let mut gateway = setup(&sink).srv(&["example.com/checks/all"]).start();
    let head = b"From: a@b.example\r\nDate: x\r\n";
    let long_line = [&head[..], b"\r\n", &vec![b'x'; 60_000], b"\r\n"].concat();
    let messages = [
        nested(10_000),
        [&head[..], b"Subject: a\0b\r\n\r\nnul \0 nul\0\r\n"].concat(),
        [
            &head[..],
            b"Subject: caf\xe9 \xff\xfe \xf0\x9f\x98\x80\r\n\r\n8-bit \x80\r\n",
        ]
        .concat(),
        long_line,
    ];
    for (n, message) in messages.into_iter().enumerate() {
        let body = message.windows(4).position(|w| w == b"\r\n\r\n").expect("a body");
        // No NUL is passed on.
        let body: Vec<u8> = message[body..].iter().map(|&b| if b == 0 { b' ' } else { b }).collect();
        let reply = send(&gateway, &to_foo(message));
        assert_eq!(reply.code, 250, "message {n}: {reply:?}");
        let taken = sink.taken();
        assert!(taken[n].message.ends_with(&body), "message {n}");
    }
    assert_well(&mut gateway);
}

#[test]
fn contents_without_a_header_are_judged_too() {
    let sink = Sink::start();
    let mut gateway = setup(&sink).srv(&["example.com/checks/all"]).start();
    let bodies: [&[u8]; 6] = [
        b"",
        b"\r\n",
        b"no header at all\r\n",
        b":\r\n",
        b" x: y\r\n\r\n",
        b"\0\0\0\r\n",
    ];
    for body in bodies {
        let reply = send(&gateway, &to_foo(body.to_vec()));
        assert_eq!(reply.code, 550, "{body:?}: {reply:?}");
        assert!(reply.text().contains("Missing header - Date:"), "{body:?}: {reply:?}");
    }
    assert_eq!(boxes::held(&gateway.spam()).len(), 6);
    assert_well(&mut gateway);
}

#[test]
fn a_line_past_the_limit_is_refused() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let message = [&b"From: a@b.example\r\n\r\n"[..], &vec![b'x'; 70_000], b"\r\n"].concat();
    let reply = send(&gateway, &to_foo(message));
    assert_eq!((reply.code, &reply.text()[..5]), (554, "5.6.0"), "{reply:?}");
}

/// What may stand in RCPT, and the code it gets where anyone of `example.com` is accepted.
const NAMES: [(&str, u16); 44] = [
    ("../../x@example.com", 250),
    ("\"../../x\"@example.com", 250),
    ("/etc/passwd@example.com", 250),
    ("\"a/b\"@example.com", 250),
    (".@example.com", 250),
    ("..@example.com", 250),
    ("\"..\"@example.com", 250),
    ("*@example.com", 250),
    ("\"*\"@example.com", 250),
    ("%00@example.com", 550),
    ("a%00b@example.com", 550),
    ("foo%attacker.example@example.com", 550),
    ("_others_@example.com", 250),
    ("_global_@example.com", 250),
    ("new@example.com", 250),
    ("tmp@example.com", 250),
    (".Junk@example.com", 250),
    ("x@example.com.", 250),
    ("x@EXAMPLE.COM", 250),
    ("\"a b\"@example.com", 250),
    ("\"a\\\"b\"@example.com", 250),
    ("+x@example.com", 250),
    ("a+../b@example.com", 250),
    ("{domain}@example.com", 250),
    ("@relay.example,@b.example:x@example.com", 250),
    ("x@_global_", 550),
    ("x@_GLOBAL_.", 550),
    ("x@../example.com", 550),
    ("x@example.com/..", 550),
    ("x@example.com..", 550),
    ("x@.example.com", 550),
    ("x@..", 550),
    ("x@.", 550),
    ("x@-a.example.com", 550),
    ("x@*", 550),
    ("x@sub.example.com", 550),
    ("x@com", 550),
    ("x@attacker.example", 550),
    ("x@[127.0.0.1]", 550),
    ("x@[IPv6:::1]", 550),
    ("x@[IPv6:::ffff:127.0.0.1]", 550),
    ("x@[not an address]", 550),
    ("@example.com", 553),
    ("postmaster", 550),
];

/// One transaction for one name in RCPT; its decisive reply.
fn try_name(gateway: &Gateway, name: &str) -> Reply {
    let mail = Mail::new("1@load.example", &[name]);
    Client::deliver(gateway.addr(), &mail)
        .expect("a session")
        .decisive()
        .clone()
}

#[test]
fn no_name_from_outside_becomes_a_path() {
    let gateway = Setup::new()
        .srv(&["example.com/users/valid/*", "_global_/blacklisted/senders/x@y.example"])
        .before_maildirs()
        .start();
    let domains = boxes::everything(&gateway.domains());
    for (name, code) in NAMES {
        assert_eq!(try_name(&gateway, name).code, code, "{name}");
    }
    let taken = NAMES.iter().filter(|(_, code)| *code == 250).count();
    assert_eq!(boxes::maildir(&gateway.maildir("example.com", "_others_")).len(), taken);
    assert_eq!(boxes::everything(&gateway.domains()), domains);
    assert!(boxes::held(&gateway.spam()).is_empty());
    let reply = try_name(&gateway, "x@_global_");
    assert_eq!(reply.text(), "5.7.1 Relay attempt for _global_");
    let mail = boxes::everything(&gateway.dir().join("mail"));
    let dirs: Vec<&String> = mail.iter().filter(|path| !path.contains(",S=")).collect();
    let all =
        "example.com example.com/_others_ example.com/_others_/cur example.com/_others_/new example.com/_others_/tmp";
    assert_eq!(dirs, all.split(' ').collect::<Vec<_>>());
    let top: Vec<String> = fs::read_dir(gateway.dir())
        .expect("our directory")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(top.len(), 6, "domains, spam, state, bl.d, mail, mailward.toml: {top:?}");
}

#[test]
fn mail_for_names_that_are_nobodys_is_held_under_its_domain_only() {
    let gateway = Setup::new()
        .srv(&["example.com/users/valid/ann"])
        .before_maildirs()
        .start();
    let mut unknown = 0;
    for (name, code) in NAMES {
        let reply = try_name(&gateway, name);
        match code {
            250 => {
                assert_eq!((reply.code, &reply.text()[..5]), (550, "5.1.1"), "{name}: {reply:?}");
                unknown += 1;
            }
            _ => assert_eq!(reply.code, code, "{name}: {reply:?}"),
        }
    }
    let held = boxes::held(&gateway.spam());
    assert_eq!(held.len(), unknown);
    assert!(held.iter().all(|held| held.domain == "example.com"));
    let spam = boxes::everything(&gateway.spam());
    let depth = spam.iter().map(|path| path.matches('/').count()).max();
    assert_eq!(depth, Some(3), "DAY/DOMAIN/new/FILE");
    assert!(!gateway.dir().join("mail").exists());
    assert!(!gateway.dir().join("x").exists());
}

#[test]
fn a_name_outside_of_ascii_needs_smtputf8_and_equals_its_a_label() {
    let gateway = Setup::new()
        .srv(&["xn--bcher-kva.example/users/valid/*"])
        .before_maildirs()
        .start();
    let mut client = Client::greeted(gateway.addr());
    client.command("MAIL FROM:<a@b.example>").expect("a reply");
    assert_eq!(client.command("RCPT TO:<x@bücher.example>").expect("a reply").code, 553);
    client.command("RSET").expect("a reply");
    client.command("MAIL FROM:<a@b.example> SMTPUTF8").expect("a reply");
    for name in [
        "x@bücher.example",
        "x@BÜCHER.example",
        "ü@xn--bcher-kva.example",
        "x@XN--BCHER-KVA.example.",
    ] {
        assert_eq!(
            client.command(&format!("RCPT TO:<{name}>")).expect("a reply").code,
            250,
            "{name}"
        );
    }
    assert_eq!(
        client
            .command("RCPT TO:<x@büche\u{301}r.example>")
            .expect("a reply")
            .code,
        550
    );
    client.command("DATA").expect("a reply");
    let reply = client
        .data(b"From: a@b.example\r\nDate: x\r\n\r\nx\r\n")
        .expect("an answer");
    assert_eq!(reply.code, 250, "{reply:?}");
    let boxes = boxes::everything(&gateway.dir().join("mail"));
    assert!(
        boxes.iter().all(|path| path.starts_with("xn--bcher-kva.example")),
        "{boxes:?}"
    );
}

#[test]
fn senders_and_helo_names_of_any_form_are_no_paths_and_match_no_list() {
    let sink = Sink::start();
    let mut gateway = setup(&sink)
        .srv(&[
            "example.com/blacklisted/senders/x",
            "example.com/whitelisted/domains/y.example",
        ])
        .start();
    let before = boxes::everything(&gateway.domains());
    for helo in [
        "../../..",
        "/",
        "..",
        "*",
        "[127.0.0.1]",
        "[IPv6:::1]",
        "a/b/c",
        "%s%n",
        "-",
        "_global_",
    ] {
        for from in [
            "",
            "../../x@b.example",
            "\"x/../../..\"@b.example",
            "..@b.example",
            "x@[127.0.0.1]",
        ] {
            let mail = Mail {
                helo: helo.into(),
                from: from.into(),
                ..Mail::new("1@load.example", &["foo@example.com"])
            };
            let reply = send(&gateway, &mail);
            assert_eq!(reply.code, 250, "{helo} <{from}>: {reply:?}");
        }
    }
    assert_eq!(boxes::everything(&gateway.domains()), before);
    assert_well(&mut gateway);
}

#[test]
fn an_http_request_is_told_what_this_is_and_nothing_in_its_body_is_obeyed() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    for method in ["GET / HTTP/1.1", "POST /x HTTP/1.0", "CONNECT a:25 HTTP/1.1"] {
        let mut client = Client::connect(gateway.addr()).expect("a connection");
        let body = "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<foo@example.com>\r\nDATA\r\nx\r\n.\r\n";
        client
            .send(format!("{method}\r\nHost: x\r\n\r\n{body}").as_bytes())
            .expect("the kernel takes it");
        let said = String::from_utf8_lossy(&client.rest()).into_owned();
        assert_eq!(said.lines().count(), 2, "{said}");
        assert!(said.contains("\r\n521 5.5.1 This is an SMTP server"), "{said}");
    }
    assert!(sink.taken().is_empty());
}

/// Words of the protocol, among which random octets do more harm.
const WORDS: [&[u8]; 14] = [
    b"EHLO c.example\r\n",
    b"MAIL FROM:<a@b.example>\r\n",
    b"RCPT TO:<foo@example.com>\r\n",
    b"DATA\r\n",
    b".\r\n",
    b"\r\n.\r\n",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"<",
    b"\0",
    b"From: a\r\n\r\n",
];

fn noise(dice: &mut Dice) -> Vec<u8> {
    let mut octets = Vec::new();
    for _ in 0..dice.below(60) {
        match dice.below(3) {
            0 => octets.extend((0..dice.below(40)).map(|_| dice.below(256) as u8)),
            _ => octets.extend_from_slice(WORDS[dice.below(WORDS.len() as u64) as usize]),
        }
    }
    octets
}

#[test]
fn any_octets_get_whole_replies_and_end_nobody_elses_session() {
    let sink = Sink::start();
    let mut gateway = setup(&sink).start();
    let mut bystander = Client::greeted(gateway.addr());
    let seed = Dice::seed(7);
    outside::say(&format!("random octets: MAILWARD_SEED={seed}"));
    let mut dice = Dice::new(seed);
    for round in 0..400 {
        let mut client = Client::connect(gateway.addr()).expect("a connection");
        // The gateway may close in the middle.
        let _ = client.send(&noise(&mut dice));
        client.finish();
        let said = client.rest();
        let said = String::from_utf8(said).unwrap_or_else(|e| panic!("round {round}: {e}"));
        for line in said.split_inclusive('\n') {
            let code_ok = line.len() >= 6 && line.as_bytes()[..3].iter().all(u8::is_ascii_digit);
            assert!(
                code_ok && line.ends_with("\r\n") && line.len() <= 512,
                "round {round}: {line:?}"
            );
        }
    }
    assert_eq!(bystander.command("NOOP").expect("it goes on").code, 250);
    assert_well(&mut gateway);
}

/// Writes `octets` again and again until `until`, or until the connection ends.
fn flood(client: &Client, octets: &[u8], until: Instant) -> u64 {
    let mut sender = client.sender();
    let mut sent = 0;
    while Instant::now() < until && sender.write_all(octets).is_ok() {
        sent += octets.len() as u64;
    }
    sent
}

#[test]
fn memory_stays_bounded_while_fifty_clients_send_without_end() {
    let sink = Sink::start();
    let mut gateway = setup(&sink)
        .set("limits.body_memory", "\"16 MiB\"")
        .set("limits.message_size", "\"16 MiB\"")
        .set("limits.connections_per_client", "100")
        .start();
    let mail = Mail::new("1@load.example", &["foo@example.com"]);
    assert_eq!(send(&gateway, &mail).code, 250);
    let before = gateway.rss_kb();
    let until = Instant::now() + Duration::from_secs(4);
    let endless: [&[u8]; 4] = [&[b'x'; 8192], b"0123456789\r\n", b"X-Header: field\r\n", b"NOOP\r\n"];
    let (most, sent) = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..50)
            .map(|n| {
                let mail = &mail;
                let octets = endless[n % 4].repeat(8);
                let addr = gateway.addr();
                scope.spawn(move || {
                    let mut client = Client::greeted(addr);
                    if n % 3 > 0 {
                        client.begin_data(mail);
                    }
                    flood(&client, &octets, until)
                })
            })
            .collect();
        let mut most = 0;
        while Instant::now() < until {
            most = most.max(gateway.rss_kb());
            std::thread::sleep(Duration::from_millis(10));
        }
        let sent: u64 = writers.into_iter().map(|writer| writer.join().expect("no panic")).sum();
        (most, sent)
    });
    outside::say(&format!(
        "50 endless clients sent {} MB: {before} KB before, {most} KB at most",
        sent >> 20
    ));
    assert!(sent > 64 << 20, "too little was sent to show anything: {sent}");
    // The share for messages, what allocators keep, and stacks.
    assert!(most - before < 64 * 1024, "{before} KB before, {most} KB at most");
    assert_eq!(send(&gateway, &mail).code, 250);
    assert_well(&mut gateway);
}
