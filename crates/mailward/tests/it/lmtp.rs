//! LMTP next hops (RFC 2033): each recipient has an answer of its own after the final dot, and what was taken before
//! trouble is not delivered again.

use tempfile::TempDir;

use crate::nexthop::{STAGES, delivered, gateway, hasty_gateway, held, send, trouble_then_retry};
use crate::support::boxes;
use crate::support::certificates::Authority;
use crate::support::client::{Client, Mail};
use crate::support::gateway::{Gateway, Setup};
use crate::support::outside::servers;
use crate::support::private_dovecot::{PROGRAMS, PrivateDovecot};
use crate::support::sink::{Act, Script, Sink, Stage};

const THREE: [&str; 3] = ["foo@example.com", "bar@example.com", "baz@example.com"];

#[test]
fn every_recipient_gets_the_message_over_one_kept_connection() {
    let sink = Sink::lmtp(Script::default());
    let gateway = gateway(&sink);
    for n in 0..3 {
        let mail = Mail::new(&format!("{n}@load.example"), &THREE).padded(200_000);
        assert_eq!(send(&gateway, &mail).code, 250);
    }
    assert_eq!(sink.taken().len(), 9);
    assert_eq!(sink.connections(), 1);
    let taken = &sink.taken()[8];
    assert!(
        taken
            .message
            .ends_with(&Mail::new("x", &THREE).padded(200_000).message[300..])
    );
}

#[test]
fn a_server_without_pipelining_is_served_step_by_step() {
    let sink = Sink::lmtp(Script::default().without_extensions());
    let gateway = gateway(&sink);
    assert_eq!(send(&gateway, &Mail::new("1@load.example", &THREE)).code, 250);
    assert_eq!(delivered(&sink).len(), 3);
}

#[test]
fn a_recipient_refused_after_the_dot_is_held_and_the_rest_delivered() {
    let sink = Sink::lmtp(Script::default().end("bar@example.com", "552 5.2.2 mailbox full"));
    let gateway = gateway(&sink);
    let reply = send(&gateway, &Mail::new("1@load.example", &THREE));
    assert_eq!(reply.code, 250, "{reply:?}");
    assert_eq!(delivered(&sink), ["baz@example.com", "foo@example.com"]);
    assert_eq!(held(&gateway), ["bar@example.com"]);
}

#[test]
fn if_all_are_refused_after_the_dot_the_sender_hears_the_first_reason() {
    let script = Script::default()
        .end("foo@example.com", "552 5.2.2 mailbox full")
        .end("bar@example.com", "550 5.2.1 disabled");
    let sink = Sink::lmtp(script);
    let gateway = gateway(&sink);
    let reply = send(
        &gateway,
        &Mail::new("1@load.example", &["foo@example.com", "bar@example.com"]),
    );
    assert_eq!(reply.code, 552, "{reply:?}");
    assert!(reply.text().contains("mailbox full"), "{reply:?}");
}

#[test]
fn answers_belong_to_the_accepted_recipients_in_their_order() {
    // The first is refused at RCPT, so the first answer after the dot is the second recipient's.
    let script = Script::default()
        .rcpt("foo@example.com", "550 5.1.1 unknown")
        .end("baz@example.com", "451 4.2.0 busy");
    let sink = Sink::lmtp(script);
    let gateway = gateway(&sink);
    let mail = Mail::new("1@load.example", &THREE);
    let reply = send(&gateway, &mail);
    assert_eq!(reply.code, 451, "{reply:?}");
    assert_eq!(delivered(&sink), ["bar@example.com"]);
    sink.play(Script::default().rcpt("foo@example.com", "550 5.1.1 unknown"));
    assert_eq!(send(&gateway, &mail).code, 250);
    assert_eq!(delivered(&sink), ["bar@example.com", "baz@example.com"]);
    assert_eq!(held(&gateway), ["foo@example.com"]);
}

#[test]
fn a_recipient_deferred_after_the_dot_comes_again_alone() {
    let sink = Sink::lmtp(Script::default().end("bar@example.com", "451 4.2.1 busy"));
    let mut gateway = gateway(&sink);
    let mail = Mail::new("1@load.example", &THREE);
    for _ in 0..2 {
        assert_eq!(send(&gateway, &mail).code, 451);
        assert_eq!(delivered(&sink), ["baz@example.com", "foo@example.com"]);
    }
    gateway.kill();
    gateway.start_again();
    sink.play(Script::default());
    assert_eq!(send(&gateway, &mail).code, 250);
    let mut all = THREE.to_vec();
    all.sort_unstable();
    assert_eq!(delivered(&sink), all);
    assert_eq!(held(&gateway), [""; 0]);
}

#[test]
fn what_was_acknowledged_before_the_connection_broke_is_not_delivered_again() {
    for act in [Act::Close, Act::Reset, Act::Hang, Act::Answer("421 4.3.2 closing")] {
        let sink = Sink::lmtp(Script::default().at(Stage::End(1), act));
        let users = THREE.map(|user| format!("example.com/users/valid/{}", &user[..3]));
        let setup = Setup::new().srv(&users.each_ref().map(String::as_str));
        let gateway = setup.before_sink(&sink).set("limits.next_hop_reply_s", "1").start();
        let mail = Mail::new("1@load.example", &THREE);
        assert_eq!(send(&gateway, &mail).code, 451, "{act:?}");
        assert_eq!(delivered(&sink), ["foo@example.com"], "{act:?}");
        sink.play(Script::default());
        assert_eq!(send(&gateway, &mail).code, 250, "{act:?}");
        let mut all = THREE.to_vec();
        all.sort_unstable();
        assert_eq!(delivered(&sink), all, "{act:?}");
    }
}

#[test]
fn trouble_at_any_stage_is_a_4xx_and_the_retry_passes() {
    let sink = Sink::lmtp(Script::default());
    let gateway = gateway(&sink);
    for &stage in &STAGES {
        trouble_then_retry(&gateway, &sink, stage, Act::Reset);
        trouble_then_retry(&gateway, &sink, stage, Act::Close);
    }
    for &stage in &STAGES[1..] {
        trouble_then_retry(&gateway, &sink, stage, Act::Answer("451 4.3.0 later"));
    }
    for stage in [Stage::Greeting, Stage::Ehlo, Stage::Mail, Stage::Rcpt, Stage::Dot] {
        trouble_then_retry(&gateway, &sink, stage, Act::Answer("354 go ahead"));
    }
}

#[test]
fn a_server_that_hangs_at_any_stage_is_a_4xx_and_the_retry_passes() {
    let sink = Sink::lmtp(Script::default());
    let gateway = hasty_gateway(&sink);
    for stage in [Stage::Ehlo, Stage::Rcpt, Stage::Dot] {
        trouble_then_retry(&gateway, &sink, stage, Act::Hang);
    }
}

#[test]
fn a_unix_socket_is_as_good() {
    let dir = TempDir::new().expect("a temporary directory");
    let socket = dir.path().join("lmtp");
    let sink = Sink::lmtp(Script::default().end("bar@example.com", "552 5.2.2 full"));
    let gateway = Setup::new()
        .srv(&["example.com/users/valid/*"])
        .before(&format!("lmtp:{}", socket.display()))
        .start();
    let mail = Mail::new("1@load.example", &THREE).padded(3_000_000);
    assert_eq!(send(&gateway, &mail).class(), 4, "nobody listens yet");
    sink.open_socket(&socket);
    assert_eq!(send(&gateway, &mail).code, 250);
    assert_eq!(delivered(&sink), ["baz@example.com", "foo@example.com"]);
    assert_eq!(held(&gateway), ["bar@example.com"]);
}

#[test]
fn a_domains_own_deliver_file_may_name_an_lmtp_server() {
    let sink = Sink::lmtp(Script::default());
    let gateway = Setup::new()
        .srv(&["example.com/users/valid/*"])
        .file("example.com/deliver", &format!("{}\n", sink.target()))
        .before("smtp:127.0.0.1:1")
        .start();
    assert_eq!(
        send(&gateway, &Mail::new("1@load.example", &["foo@example.com"])).code,
        250
    );
    assert_eq!(delivered(&sink), ["foo@example.com"]);
}

#[test]
fn recipients_who_are_deferred_now_and_then_get_each_message_once() {
    let sink = Sink::lmtp(Script::default().flaky(3));
    let gateway = gateway(&sink);
    for n in 0..20 {
        let mail = Mail::new(&format!("{n}@load.example"), &THREE);
        let codes: Vec<u16> = std::iter::repeat_with(|| send(&gateway, &mail).code)
            .take(20)
            .take_while(|&code| code == 451)
            .collect();
        assert!(codes.len() < 20, "message {n} never arrives");
    }
    assert_eq!(delivered(&sink).len(), 60);
}

/// A gateway that leaves it to Dovecot which local parts exist.
fn before_dovecot(target: &str) -> Setup {
    Setup::new().srv(&["example.com/users/valid/*"]).before(target)
}

fn refused_and_full_are_held(dovecot: &PrivateDovecot, gateway: &Gateway) {
    let rcpts = [
        "nobody@example.com",
        "foo@example.com",
        "full@example.com",
        "bar@example.com",
    ];
    let mut mail = Mail::new("1@load.example", &rcpts).padded(100_000);
    mail.message.extend_from_slice(b".\r\n..\r\n.dots\r\n");
    let reply = send(gateway, &mail);
    assert_eq!(reply.code, 250, "{reply:?}");
    for local in ["foo", "bar"] {
        let found = dovecot.mail(local);
        assert_eq!(found.len(), 1);
        assert_eq!(boxes::message_id(&found[0]), "1@load.example");
        let text = String::from_utf8_lossy(&found[0]).replace("\r\n", "\n");
        assert!(text.ends_with("\n.\n..\n.dots\n"), "{text:?}");
    }
    // Dovecot knows nobody at RCPT, and that there is no room only after the dot.
    assert_eq!(held(gateway), ["full@example.com", "nobody@example.com"]);
    let reply = send(
        gateway,
        &Mail::new("2@load.example", &["full@example.com"]).padded(1000),
    );
    assert_eq!(reply.class(), 5, "{reply:?}");
}

#[test]
fn dovecot_takes_mail_over_tcp_and_what_it_refuses_is_held() {
    if !servers("dovecot_takes_mail_over_tcp_and_what_it_refuses_is_held", &PROGRAMS) {
        return;
    }
    let dovecot = PrivateDovecot::start(&["foo", "bar"], &["full"], "");
    let gateway = before_dovecot(&dovecot.target()).start();
    refused_and_full_are_held(&dovecot, &gateway);
}

#[test]
fn dovecot_takes_mail_by_its_unix_socket_and_what_it_refuses_is_held() {
    if !servers(
        "dovecot_takes_mail_by_its_unix_socket_and_what_it_refuses_is_held",
        &PROGRAMS,
    ) {
        return;
    }
    let dovecot = PrivateDovecot::start(&["foo", "bar"], &["full"], "");
    let gateway = before_dovecot(&dovecot.socket_target()).start();
    refused_and_full_are_held(&dovecot, &gateway);
}

#[test]
fn mail_that_dovecot_defers_for_one_comes_again_for_that_one_alone() {
    if !servers(
        "mail_that_dovecot_defers_for_one_comes_again_for_that_one_alone",
        &PROGRAMS,
    ) {
        return;
    }
    let dovecot = PrivateDovecot::start(&["foo"], &["full"], "quota_full_tempfail = yes");
    let gateway = before_dovecot(&dovecot.target()).start();
    let mail = Mail::new("1@load.example", &["foo@example.com", "full@example.com"]).padded(1000);
    for _ in 0..3 {
        assert_eq!(send(&gateway, &mail).code, 451);
        assert_eq!(dovecot.mail("foo").len(), 1);
    }
    assert_eq!(held(&gateway), [""; 0]);
}

#[test]
fn dovecot_is_spoken_to_by_tls_and_hears_of_the_client() {
    if !servers("dovecot_is_spoken_to_by_tls_and_hears_of_the_client", &PROGRAMS) {
        return;
    }
    let (dir, authority) = (TempDir::new().expect("a temporary directory"), Authority::new());
    let pem = authority.pair("127.0.0.1").write(dir.path());
    let settings = format!(
        "ssl = yes\nssl_cert = <{0}\nssl_key = <{0}\nlogin_trusted_networks = 127.0.0.0/8\n",
        pem.display()
    );
    let dovecot = PrivateDovecot::start(&["foo"], &[], &settings);
    let ca_file = format!("{:?}", authority.write(dir.path()));
    let gateway = before_dovecot(&dovecot.target())
        .set("tls.next_hop_tls", "\"verify\"")
        .set("tls.ca_file", &ca_file)
        .start();
    for last in [8, 9, 9] {
        let mut client = Client::connect_from([127, 0, 0, last].into(), gateway.addr()).expect("a connection");
        client.reply().expect("a greeting");
        client
            .command(&format!("EHLO mx{last}.sender.example"))
            .expect("a reply");
        let answers = client
            .transaction(&Mail::new("1@load.example", &["foo@example.com"]))
            .expect("a transaction");
        assert_eq!(answers.decisive().code, 250, "{answers:?}");
    }
    let mut clients: Vec<String> = dovecot
        .mail("foo")
        .iter()
        .map(|mail| boxes::header(mail, "Received").expect("Dovecot's Received"))
        .collect();
    clients.sort();
    assert!(clients[0].contains("mx8.sender.example ([127.0.0.8])"), "{clients:?}");
    assert!(clients[2].contains("mx9.sender.example ([127.0.0.9])"), "{clients:?}");
    assert!(clients.iter().all(|field| field.contains("LMTPS")), "{clients:?}");
}
