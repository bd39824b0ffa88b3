//! DNS that is down, silent or switched off stops no mail, unless the operator would rather wait.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use super::{BANK, STRANGER, facts, field, fields, mail_from, send, setup, signed_mail_from, why};
use crate::support::client::Mail;
use crate::support::daemon;
use crate::support::gateway::{Gateway, Setup};
use crate::support::sink::Sink;

/// How long one message may wait for DNS in these tests.
const MESSAGE_S: u64 = 2;
/// Past which a message has not been answered in bounded time. Tests are no stopwatches: the machine may be busy.
const BOUND: Duration = Duration::from_secs(30);

/// A domain that passes over what it cannot know, and one that would rather wait.
const FILES: [&str; 9] = [
    "example.com/checks/spf",
    "example.com/checks/dmarc",
    "example.com/checks/rdns=confirmed = true",
    "example.com/checks/dkim_check=soft = false",
    "example.com/zones=bl.example",
    "wait.example/users/valid/foo",
    "wait.example/checks/spf=unavailable = \"defer\"",
    "wait.example/blacklisted/ips/198.51.100.66",
    // Those who certainly have no name; not those whose name nobody can tell.
    "wait.example/blacklisted/tld/unknown",
];

/// Two seconds for a message, one for a query.
fn hurried(setup: Setup, server: SocketAddr) -> Gateway {
    setup
        .set("dns.enabled", "true")
        .set("dns.servers", &format!("[\"{server}\"]"))
        .set("dns.timeout_ms", "1000")
        .set("dns.message_s", &MESSAGE_S.to_string())
        .start()
}

/// Mail passes, the verdict says that nothing was proven, and who would rather wait waits.
fn is_passed_over(gateway: &Gateway, sink: &Sink, because: &str) {
    let begun = Instant::now();
    let reply = send(gateway, STRANGER, &signed_mail_from("ann@bank.example"));
    assert_eq!(reply.code, 250, "{reply:?}");
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    let why = why(gateway, &reply);
    assert!(why.contains(because), "{why}");
    let message = sink.taken().last().expect("it is delivered").message.clone();
    assert_eq!(field(&message, "X-REMOTE-HOST"), "Unknown");
    assert!(
        !String::from_utf8_lossy(&message).contains("spf=pass"),
        "nothing is proven"
    );
    let to_wait = Mail {
        rcpts: vec!["foo@wait.example".into()],
        ..mail_from("ann@bank.example")
    };
    let reply = send(gateway, BANK, &to_wait);
    assert!(reply.code == 451 && reply.text().starts_with("4.3.0 "), "{reply:?}");
    assert!(begun.elapsed() < 2 * BOUND, "{:?}", begun.elapsed());
    // Whatever does not need DNS is decided all the same.
    assert_eq!(send(gateway, STRANGER, &to_wait).code, 550, "blacklisted");
}

#[test]
fn nobody_listens_where_dns_should_be() {
    let sink = Sink::start();
    // The system gives no such port to anybody by itself.
    let gateway = hurried(setup(&sink, &FILES), SocketAddr::from(([127, 0, 0, 1], 1)));
    is_passed_over(&gateway, &sink, "no name server can be reached");
}

#[test]
fn a_server_that_never_answers_holds_mail_up_for_a_bounded_time() {
    let sink = Sink::start();
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let addr = silent.local_addr().expect("it is bound");
    let _deaf = TcpListener::bind(addr);
    let gateway = hurried(setup(&sink, &FILES), addr);
    is_passed_over(&gateway, &sink, "no name server answered in time");
    let facts = facts(&gateway, &send(&gateway, BANK, &mail_from("ann@bank.example")));
    assert_eq!(facts["origin"]["dmarc"]["Found"]["result"], "temperror", "{facts}");
}

#[test]
fn a_server_that_answers_nonsense_is_as_good_as_none() {
    let sink = Sink::start();
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let addr = socket.local_addr().expect("it is bound");
    socket
        .set_read_timeout(Some(Duration::from_millis(50)))
        .expect("not zero");
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let liar = std::thread::spawn(move || {
        let mut query = [0; 4096];
        let mut turn = 0_u8;
        // Until the other end is dropped.
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            let Ok((size, from)) = socket.recv_from(&mut query) else {
                continue;
            };
            turn = turn.wrapping_add(1);
            let mut answer = query[..size].to_vec();
            // QR, RD, RA; then one thing or another is wrong.
            answer[2] = 0x81;
            answer[3] = 0x80;
            match turn % 5 {
                0 => answer.truncate(7),
                1 => answer[7] = 200,
                2 => answer.extend([0xc0, 12].repeat(300)),
                3 => answer[3] = 0x85,
                _ => answer = vec![0xff; 60],
            }
            // Who asked may have gone.
            let _ = socket.send_to(&answer, from);
        }
    });
    let gateway = hurried(setup(&sink, &FILES), addr);
    let begun = Instant::now();
    for n in 0..5 {
        let reply = send(&gateway, STRANGER, &mail_from(&format!("ann@bank{n}.example")));
        assert_eq!(reply.code, 250, "{reply:?}");
    }
    assert!(begun.elapsed() < 5 * BOUND);
    drop(stop);
    liar.join().expect("the liar ends");
}

#[test]
fn without_dns_nothing_is_proven_and_everything_else_works() {
    let sink = Sink::start();
    let gateway = setup(&sink, &FILES).start();
    is_passed_over(&gateway, &sink, "DNS is not asked");
    let status = daemon::said(&gateway, &["status"]);
    assert!(status.contains("not asked (`[dns] enabled = false`)"), "{status}");
    let message = sink.taken().last().expect("it is delivered").message.clone();
    assert!(
        fields(&message, "Received-SPF").is_empty(),
        "nothing was asked, so nothing is said"
    );
}

#[test]
fn a_server_that_comes_back_is_asked_again() {
    let sink = Sink::start();
    if !crate::support::private_dns::is_there("a_server_that_comes_back_is_asked_again") {
        return;
    }
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let mut gateway = hurried(setup(&sink, &FILES), silent.local_addr().expect("it is bound"));
    assert_eq!(send(&gateway, BANK, &mail_from("ann@bank.example")).code, 250);
    // The operator names another server, without a restart.
    let dns = crate::support::private_dns::PrivateDns::start(&[super::bank("v=DMARC1; p=reject"), super::reverse()]);
    gateway.set("dns.servers", &dns.servers());
    assert_eq!(gateway.reload(), crate::support::gateway::Reloaded::Yes);
    let reply = send(&gateway, BANK, &mail_from("ann@bank.example"));
    assert_eq!(
        facts(&gateway, &reply)["origin"]["spf_mail_from"]["Found"]["result"],
        "pass"
    );
    let status = daemon::said(&gateway, &["status"]);
    assert!(status.contains("questions: "), "{status}");
}
