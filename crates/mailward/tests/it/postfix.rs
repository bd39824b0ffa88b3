//! Real servers: Postfix as next hop, swaks and Postfix's own `smtp-source` as clients.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::PATIENCE;
use crate::support::boxes;
use crate::support::gateway::{Gateway, Setup};
use crate::support::outside::{find_program, servers};
use crate::support::private_postfix::{PROGRAMS, PrivatePostfix};
use crate::support::sink::Sink;

/// A gateway that accepts every local part of `example.com` and leaves it to Postfix which of them exist.
fn gateway_before(postfix: &PrivatePostfix) -> Gateway {
    let setup = Setup::new()
        .srv(&["example.com/users/valid/*"])
        .before(&postfix.target());
    setup.set("limits.connections_per_client", "100").start()
}

/// The code of a swaks run's last reply to the transaction, and all that it printed.
fn swaks(gateway: &Gateway, message_id: &str, to: &str, body_octets: usize) -> (u16, String) {
    let port = gateway.addr().port().to_string();
    let message_id = format!("Message-Id: <{message_id}>");
    let line = "The quick brown fox jumps over the lazy dog, and once more over it.\n";
    let output = run("swaks", |command| {
        command.args(["--server", "127.0.0.1", "--port", &port, "--helo", "mx.sender.example"]);
        command.args(["--from", "alice@sender.example", "--to", to, "--header", &message_id]);
        command.args(["--body", &line.repeat(body_octets / line.len() + 1)]);
    });
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    // swaks marks a reply `<-  `, or `<** ` when it is a refusal; the last but QUIT's decides.
    let replies = printed
        .lines()
        .filter_map(|line| line.strip_prefix("<-  ").or(line.strip_prefix("<** ")));
    let mut codes = replies.filter_map(|reply| reply.get(..3)?.parse().ok());
    let code = codes.rfind(|&code| code != 221);
    (code.unwrap_or_else(|| panic!("no reply:\n{printed}")), printed)
}

fn run(program: &str, arguments: impl FnOnce(&mut Command)) -> Output {
    let mut command = Command::new(find_program(program).expect("it is installed"));
    arguments(&mut command);
    command.stdin(Stdio::null()).output().expect("it can be run")
}

#[test]
fn mail_from_swaks_arrives_in_postfixs_maildir_with_our_id() {
    if !servers("mail_from_swaks_arrives_in_postfixs_maildir_with_our_id", &PROGRAMS) {
        return;
    }
    let postfix = PrivatePostfix::start(&["foo", "bar"], "");
    let gateway = gateway_before(&postfix);
    let (code, printed) = swaks(&gateway, "1@sender.example", "foo@example.com,bar@example.com", 100);
    assert_eq!(code, 250, "{printed}");
    for local in ["foo", "bar"] {
        let mail = postfix.await_mail(local, 1);
        assert_eq!(mail.len(), 1);
        let ours = boxes::header(&mail[0], "X-Mailward-Id").expect("our id");
        let id = ours.split(' ').next().expect("an id and a MAC");
        assert!(printed.contains(&format!("(id {id})")), "{ours} in\n{printed}");
        assert_eq!(boxes::message_id(&mail[0]), "1@sender.example");
        assert_eq!(boxes::header(&mail[0], "X-HELO").as_deref(), Some("mx.sender.example"));
    }
}

#[test]
fn a_recipient_whom_postfix_does_not_know_is_held_and_alone_refused() {
    if !servers(
        "a_recipient_whom_postfix_does_not_know_is_held_and_alone_refused",
        &PROGRAMS,
    ) {
        return;
    }
    let postfix = PrivatePostfix::start(&["foo"], "");
    let gateway = gateway_before(&postfix);
    let (code, printed) = swaks(&gateway, "1@sender.example", "foo@example.com,bar@example.com", 100);
    assert_eq!(code, 250, "{printed}");
    assert_eq!(postfix.await_mail("foo", 1).len(), 1);
    let held: Vec<String> = boxes::held(&gateway.spam())
        .into_iter()
        .map(|held| held.recipient)
        .collect();
    assert_eq!(held, ["bar@example.com"]);
    let (code, printed) = swaks(&gateway, "2@sender.example", "bar@example.com", 100);
    assert_eq!(code / 100, 5, "{printed}");
}

#[test]
fn a_message_past_postfixs_size_limit_is_a_5xx() {
    if !servers("a_message_past_postfixs_size_limit_is_a_5xx", &PROGRAMS) {
        return;
    }
    let postfix = PrivatePostfix::start(&["foo"], "message_size_limit = 50000\nmailbox_size_limit = 0");
    let gateway = gateway_before(&postfix);
    let (code, printed) = swaks(&gateway, "1@sender.example", "foo@example.com", 60_000);
    assert_eq!(code / 100, 5, "{printed}");
    let (code, printed) = swaks(&gateway, "2@sender.example", "foo@example.com", 10_000);
    assert_eq!(code, 250, "{printed}");
    assert_eq!(postfix.await_mail("foo", 1).len(), 1);
}

#[test]
fn while_postfix_is_down_mail_is_deferred_and_then_arrives_once() {
    if !servers(
        "while_postfix_is_down_mail_is_deferred_and_then_arrives_once",
        &PROGRAMS,
    ) {
        return;
    }
    let mut postfix = PrivatePostfix::start(&["foo"], "");
    let gateway = gateway_before(&postfix);
    // A first message, so that a kept connection breaks.
    assert_eq!(swaks(&gateway, "1@sender.example", "foo@example.com", 100).0, 250);
    postfix.await_mail("foo", 1);
    postfix.stop();
    let (code, printed) = swaks(&gateway, "2@sender.example", "foo@example.com", 100);
    assert_eq!(code / 100, 4, "{printed}");
    postfix.start_again();
    let (code, printed) = swaks(&gateway, "2@sender.example", "foo@example.com", 100);
    assert_eq!(code, 250, "{printed}");
    assert_eq!(postfix.await_mail("foo", 2).len(), 2);
}

#[test]
fn everything_from_smtp_source_arrives() {
    if !servers("everything_from_smtp_source_arrives", &PROGRAMS) {
        return;
    }
    let postfix = PrivatePostfix::start(&["foo"], "");
    let gateway = gateway_before(&postfix);
    // New sessions, kept sessions, large messages.
    let loads: [(usize, &[&str]); 3] = [
        (200, &["-l", "4096"]),
        (200, &["-l", "4096", "-d"]),
        (20, &["-l", "400000"]),
    ];
    let mut expected = 0;
    for (count, flags) in loads {
        let output = run("smtp-source", |command| {
            command.args(["-s", "20", "-m", &count.to_string(), "-M", "mx.sender.example"]);
            command
                .args(["-f", "alice@sender.example", "-t", "foo@example.com"])
                .args(flags);
            command.arg(gateway.addr().to_string());
        });
        let printed = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "smtp-source {flags:?}: {printed}");
        expected += count;
    }
    assert_eq!(postfix.await_mail("foo", expected).len(), expected);
}

/// Whoever sends mail for a living comes again by itself.
#[test]
fn a_greylisted_message_is_brought_again_by_postfix_and_its_copy_goes() {
    if !servers(
        "a_greylisted_message_is_brought_again_by_postfix_and_its_copy_goes",
        &PROGRAMS,
    ) {
        return;
    }
    let sink = Sink::start();
    let gateway = Setup::new()
        .srv(&["ours.example/users/valid/ann"])
        .file("ours.example/checks/greylisting", "delay_s = 2\nwindow_s = 3600\n")
        .before_sink(&sink)
        .start();
    let settings = format!(
        "relayhost = [127.0.0.1]:{}\nsmtpd_relay_restrictions = permit_mynetworks, reject\nqueue_run_delay = 1s\n\
         minimal_backoff_time = 1s\nmaximal_backoff_time = 2s",
        gateway.addr().port()
    );
    let postfix = PrivatePostfix::start(&["foo"], &settings);
    let (host, port) = (postfix.addr().ip().to_string(), postfix.addr().port().to_string());
    let sent = run("swaks", |command| {
        command.args(["--server", &host, "--port", &port, "--helo", "desk.sender.example"]);
        command.args(["--from", "bob@sender.example", "--to", "ann@ours.example"]);
    });
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stdout));
    let deadline = Instant::now() + PATIENCE;
    while sink.taken().is_empty() || !boxes::held(&gateway.spam()).is_empty() {
        assert!(Instant::now() < deadline, "{}\n{}", gateway.log(), postfix.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(
        postfix.log().contains("452 4.7.1 Greylisting in effect"),
        "{}",
        postfix.log()
    );
    let index = boxes::index(&gateway.spam());
    assert_eq!(index.len(), 1, "one copy, however often it came: {index:?}");
    assert_eq!(sink.taken().len(), 1);
}
