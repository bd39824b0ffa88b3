//! The check `clamav` at the door, with a real clamd: what it finds is refused, whoever sent it, and what nobody has
//! looked at waits, unless the operator lets it pass.

use crate::support::boxes;
use crate::support::client::{Client, Mail, Reply};
use crate::support::daemon;
use crate::support::gateway::{Gateway, Setup, quoted};
use crate::support::outside::{find_program, full_run, need};
use crate::support::private_clamd::{PROGRAMS, PrivateClamd, VIRUS, eicar};
use crate::support::sink::Sink;

/// Is clamd there? It needs no root, unlike other servers.
fn has_clamd(test: &str) -> bool {
    let is_there = || PROGRAMS.iter().all(|program| find_program(program).is_some());
    full_run(test) && need(test, is_there(), "`clamd` is not installed")
}

fn setup(sink: &Sink, address: &str) -> Setup {
    Setup::new()
        .srv(&[
            "example.com/users/valid/foo",
            "example.com/checks/clamav",
            "example.com/whitelisted/senders/alice@sender.example",
            "example.com/whitelisted/ips/127.0.0.5",
            "example.com/whitelisted/recipients/foo",
            "lax.example/users/valid/foo",
            "all.example/users/valid/foo",
            "all.example/checks/all",
            "watch.example/users/valid/foo",
            "watch.example/checks/clamav",
            "watch.example/shadow",
        ])
        .file("lax.example/checks/clamav", "unavailable = \"pass\"")
        .before_sink(sink)
        .set("clamav.address", &quoted(address))
}

/// A message to a domain's `foo` with this text in its body.
fn mail(domain: &str, text: &str) -> Mail {
    let mut mail = Mail::new("1@load.example", &[&format!("foo@{domain}")]);
    mail.message.extend(text.bytes().chain(*b"\r\n"));
    mail
}

fn send(gateway: &Gateway, mail: &Mail) -> Reply {
    let answers = Client::deliver(gateway.addr(), mail).expect("a session");
    answers.decisive().clone()
}

fn why(gateway: &Gateway, reply: &Reply) -> String {
    daemon::said(gateway, &["why", &reply.id().expect("the reply names the message")])
}

#[test]
fn a_virus_is_refused_whoever_sent_it() {
    if !has_clamd("a_virus_is_refused_whoever_sent_it") {
        return;
    }
    let clamd = PrivateClamd::start("");
    for address in [clamd.address(), clamd.tcp_address()] {
        let sink = Sink::start();
        let gateway = setup(&sink, &address).start();
        let reply = send(&gateway, &mail("example.com", "hello"));
        assert_eq!(reply.code, 250, "{reply:?}");
        assert!(
            why(&gateway, &reply).contains("none found"),
            "{}",
            why(&gateway, &reply)
        );
        // Every whitelist fits this one.
        let reply = send(&gateway, &mail("example.com", &eicar()));
        assert!(
            reply.code == 550 && reply.text().contains(&format!("5.7.1 virus:{VIRUS}")),
            "{reply:?}"
        );
        let copy = boxes::held(&gateway.spam()).remove(0).message;
        assert_eq!(boxes::header(&copy, "X-MS.com-Virus").as_deref(), Some(VIRUS));
        // Where it lies past what is kept in memory; and in a domain that only watches.
        let far = mail("lax.example", "").padded(400 << 10);
        let far = Mail {
            message: [far.message, eicar().into_bytes(), b"\r\n".to_vec()].concat(),
            ..far
        };
        assert_eq!(send(&gateway, &far).code, 550);
        assert_eq!(send(&gateway, &mail("watch.example", &eicar())).code, 550);
        // The original's set does not imply it.
        assert_eq!(send(&gateway, &mail("all.example", &eicar())).code, 250);
        assert_eq!(sink.taken().len(), 2);
    }
    let sink = Sink::start();
    let gateway = setup(&sink, &clamd.address())
        .set("policy.all_adds", "[\"clamav\"]")
        .set("clamav.size_max", "\"64 KiB\"")
        .start();
    assert_eq!(send(&gateway, &mail("all.example", &eicar())).code, 550);
    let reply = send(&gateway, &mail("example.com", "").padded(100 << 10));
    assert_eq!(reply.code, 250, "{reply:?}");
    assert!(
        why(&gateway, &reply).contains("not scanned"),
        "{}",
        why(&gateway, &reply)
    );
}

#[test]
fn mail_waits_for_a_scanner_that_is_down() {
    // No real one is needed for that.
    let sink = Sink::start();
    let gateway = setup(&sink, "unix:/nonexistent/clamd.ctl").start();
    let reply = send(&gateway, &mail("example.com", "hello"));
    assert!(
        reply.code == 451 && reply.text().starts_with("4.3.0 The check clamav cannot be made now"),
        "{reply:?}"
    );
    let reply = send(&gateway, &mail("lax.example", "hello"));
    assert_eq!(reply.code, 250, "{reply:?}");
    let why = why(&gateway, &reply);
    assert!(
        why.contains("clamd at unix:/nonexistent/clamd.ctl: cannot connect"),
        "{why}"
    );
    // Of two recipients one waits, so both do.
    let mut both = mail("lax.example", "hello");
    both.rcpts.push("foo@example.com".into());
    assert_eq!(send(&gateway, &both).code, 451);
    assert_eq!(sink.taken().len(), 1);
}

#[test]
fn a_scanner_that_hangs_holds_mail_up_for_a_bounded_time() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("tcp:{}", silent.local_addr().expect("it is bound"));
    let sink = Sink::start();
    let gateway = setup(&sink, &address).set("clamav.timeout_s", "1").start();
    assert_eq!(send(&gateway, &mail("example.com", "hello")).code, 451);
    let reply = send(&gateway, &mail("lax.example", "hello"));
    assert_eq!(reply.code, 250, "{reply:?}");
    assert!(
        why(&gateway, &reply).contains("cannot be had: "),
        "{}",
        why(&gateway, &reply)
    );
}
