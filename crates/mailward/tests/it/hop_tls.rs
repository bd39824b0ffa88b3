//! STARTTLS towards next hops (RFC 3207): used where it is offered, without it where that may be, and never fooled by
//! what stands in plaintext behind it.

use tempfile::TempDir;

use crate::nexthop::{held, send};
use crate::support::boxes;
use crate::support::certificates::Authority;
use crate::support::client::Mail;
use crate::support::gateway::{Gateway, Setup};
use crate::support::outside::servers;
use crate::support::private_postfix::{PROGRAMS, PrivatePostfix};
use crate::support::sink::{Act, Script, Sink, Stage};

/// What an operator asks of next hops.
enum Wish<'a> {
    Default,
    Off,
    /// With the authority's certificate beside the system's.
    Verify(Option<&'a Authority>),
}

fn gateway(target: &str, wish: Wish<'_>) -> (Gateway, TempDir) {
    let dir = TempDir::new().expect("a temporary directory");
    let setup = Setup::new()
        .srv(&["example.com/users/valid/*"])
        .before(target)
        .set("limits.next_hop_connect_s", "2");
    let setup = match wish {
        Wish::Default => setup,
        Wish::Off => setup.set("tls.next_hop_tls", "\"off\""),
        Wish::Verify(authority) => {
            let setup = setup.set("tls.next_hop_tls", "\"verify\"");
            match authority {
                None => setup,
                Some(authority) => setup.set("tls.ca_file", &format!("{:?}", authority.write(dir.path()))),
            }
        }
    };
    (setup.start(), dir)
}

pub(crate) fn script(authority: &Authority, name: &str) -> Script {
    Script::default().starttls(authority.pair(name).server())
}

fn mail(n: usize) -> Mail {
    Mail::new(&format!("{n}@load.example"), &["foo@example.com"])
}

/// Whether each message came by TLS.
fn secure(sink: &Sink) -> Vec<bool> {
    sink.taken().iter().map(|taken| taken.is_secure).collect()
}

#[test]
fn tls_is_used_where_it_is_offered_whatever_the_certificate() {
    let authority = Authority::new();
    for (sink, name) in [
        (Sink::scripted(script(&authority, "elsewhere.example")), "smtp"),
        (Sink::lmtp(script(&authority, "elsewhere.example")), "lmtp"),
    ] {
        let (gateway, _dir) = gateway(&sink.target(), Wish::Default);
        for n in 0..3 {
            assert_eq!(send(&gateway, &mail(n)).code, 250, "{name}");
        }
        assert_eq!(secure(&sink), [true; 3], "{name}");
        assert_eq!(sink.connections(), 1, "{name}: it is kept");
        sink.hang_up();
        assert_eq!(send(&gateway, &mail(3)).code, 250, "{name}: and replaced");
    }
}

#[test]
fn a_large_message_passes_tls_unchanged() {
    let sink = Sink::scripted(script(&Authority::new(), "elsewhere.example"));
    let (gateway, _dir) = gateway(&sink.target(), Wish::Default);
    let mut mail = mail(1).padded(10_000_000);
    mail.message.extend_from_slice(b".\r\n..\r\n");
    assert_eq!(send(&gateway, &mail).code, 250);
    let taken = &sink.taken()[0];
    let body = |message: &[u8]| {
        let at = message.windows(4).position(|end| end == b"\r\n\r\n");
        message[at.expect("a header")..].to_vec()
    };
    assert!(taken.is_secure && body(&taken.message) == body(&mail.message));
}

#[test]
fn tls_that_is_off_is_not_used() {
    let sink = Sink::scripted(script(&Authority::new(), "127.0.0.1"));
    let (gateway, _dir) = gateway(&sink.target(), Wish::Off);
    assert_eq!(send(&gateway, &mail(1)).code, 250);
    assert_eq!(secure(&sink), [false]);
}

#[test]
fn a_next_hop_without_tls_gets_mail_in_plaintext_unless_tls_is_a_must() {
    let sink = Sink::start();
    let (lenient, _dir) = gateway(&sink.target(), Wish::Default);
    assert_eq!(send(&lenient, &mail(1)).code, 250);
    let (strict, _dir) = gateway(&sink.target(), Wish::Verify(Some(&Authority::new())));
    let reply = send(&strict, &mail(2));
    assert_eq!(reply.class(), 4, "{reply:?}");
    assert!(reply.text().contains("STARTTLS"), "{reply:?}");
    assert_eq!(secure(&sink), [false]);
    assert_eq!(held(&strict), [""; 0]);
}

#[test]
fn verification_wants_a_known_authority_and_the_right_name() {
    let (ours, other) = (Authority::new(), Authority::new());
    for (name, known, is_good) in [
        ("127.0.0.1", Some(&ours), true),
        ("127.0.0.2", Some(&ours), false),
        ("mx.example", Some(&ours), false),
        ("127.0.0.1", Some(&other), false),
        ("127.0.0.1", None, false),
    ] {
        let sink = Sink::scripted(script(&ours, name));
        let (gateway, _dir) = gateway(&sink.target(), Wish::Verify(known));
        let reply = send(&gateway, &mail(1));
        assert_eq!(reply.class(), if is_good { 2 } else { 4 }, "{name}: {reply:?}");
        assert_eq!(secure(&sink), vec![true; usize::from(is_good)], "{name}");
    }
}

#[test]
fn a_name_is_verified_as_the_operator_wrote_it() {
    let authority = Authority::new();
    let sink = Sink::scripted(script(&authority, "localhost"));
    let target = format!("smtp:localhost:{}", sink.addr().port());
    let (gateway, _dir) = gateway(&target, Wish::Verify(Some(&authority)));
    assert_eq!(send(&gateway, &mail(1)).code, 250);
    assert_eq!(secure(&sink), [true]);
}

#[test]
fn a_handshake_that_fails_is_followed_by_plaintext_unless_tls_is_a_must() {
    let authority = Authority::new();
    for act in [
        Act::Close,
        Act::Reset,
        Act::Hang,
        Act::Answer("220 no TLS here at all, but a line of text"),
    ] {
        let sink = Sink::scripted(script(&authority, "127.0.0.1").at(Stage::Handshake, act));
        let (lenient, _dir) = gateway(&sink.target(), Wish::Default);
        assert_eq!(send(&lenient, &mail(1)).code, 250, "{act:?}");
        assert_eq!(secure(&sink), [false], "{act:?}");
        assert_eq!(sink.connections(), 2, "{act:?}: one more and no third");
        let (strict, _dir) = gateway(&sink.target(), Wish::Verify(Some(&authority)));
        assert_eq!(send(&strict, &mail(2)).class(), 4, "{act:?}");
        assert_eq!(sink.taken().len(), 1, "{act:?}");
    }
}

#[test]
fn rfc3207_6_plaintext_behind_the_reply_to_starttls_is_no_reply() {
    // Whoever can write on the line would have his words taken for the server's, spoken under TLS.
    let authority = Authority::new();
    let injected = Act::Answer("220 2.0.0 go ahead\r\n250-sink.example\r\n250 XCLIENT NAME ADDR");
    let sink = Sink::scripted(script(&authority, "127.0.0.1").at(Stage::StartTls, injected));
    let (strict, _dir) = gateway(&sink.target(), Wish::Verify(Some(&authority)));
    let reply = send(&strict, &mail(1));
    assert_eq!(reply.class(), 4, "{reply:?}");
    assert!(sink.taken().is_empty());
    let (lenient, _dir) = gateway(&sink.target(), Wish::Default);
    assert_eq!(send(&lenient, &mail(2)).code, 250);
    assert_eq!(secure(&sink), [false]);
}

#[test]
fn starttls_that_is_refused_leaves_plaintext_unless_tls_is_a_must() {
    let authority = Authority::new();
    for reply in ["454 4.7.0 TLS not available", "501 5.5.4 no"] {
        let sink = Sink::scripted(script(&authority, "127.0.0.1").at(Stage::StartTls, Act::Answer(reply)));
        let (lenient, _dir) = gateway(&sink.target(), Wish::Default);
        assert_eq!(send(&lenient, &mail(1)).code, 250, "{reply}");
        assert_eq!((secure(&sink), sink.connections()), (vec![false], 1), "{reply}");
        let (strict, _dir) = gateway(&sink.target(), Wish::Verify(Some(&authority)));
        assert_eq!(send(&strict, &mail(2)).class(), 4, "{reply}");
    }
}

#[test]
fn an_acknowledgement_that_is_lost_under_tls_is_no_acknowledgement() {
    for act in [Act::Reset, Act::Close] {
        let script = script(&Authority::new(), "127.0.0.1").at(Stage::Ack, act);
        let sink = Sink::scripted(script);
        let (gateway, _dir) = gateway(&sink.target(), Wish::Default);
        assert_eq!(send(&gateway, &mail(1)).class(), 4, "{act:?}");
    }
}

#[test]
fn a_file_of_authorities_that_is_missing_defers_mail_until_it_is_there() {
    let authority = Authority::new();
    let sink = Sink::scripted(script(&authority, "127.0.0.1"));
    let dir = TempDir::new().expect("a temporary directory");
    let gateway = Setup::new()
        .srv(&["example.com/users/valid/*"])
        .before(&sink.target())
        .set("tls.next_hop_tls", "\"verify\"")
        .set("tls.ca_file", &format!("{:?}", dir.path().join("ca.pem")))
        .start();
    assert_eq!(send(&gateway, &mail(1)).class(), 4);
    authority.write(dir.path());
    assert_eq!(send(&gateway, &mail(1)).code, 250);
}

#[test]
fn postfix_with_a_certificate_of_its_own_making_gets_mail_by_tls() {
    if !servers(
        "postfix_with_a_certificate_of_its_own_making_gets_mail_by_tls",
        &PROGRAMS,
    ) {
        return;
    }
    let (dir, authority) = (TempDir::new().expect("a temporary directory"), Authority::new());
    let pem = authority.pair("127.0.0.1").write(dir.path());
    let settings = format!(
        "smtpd_tls_security_level = encrypt\nsmtpd_tls_chain_files = {}\nsmtpd_tls_received_header = yes\n",
        pem.display()
    );
    let postfix = PrivatePostfix::start(&["foo"], &settings);
    for (n, wish) in [Wish::Default, Wish::Verify(Some(&authority))].into_iter().enumerate() {
        let (gateway, _dir) = gateway(&postfix.target(), wish);
        for _ in 0..2 {
            let reply = send(&gateway, &mail(n).padded(100_000));
            assert_eq!(reply.code, 250, "{reply:?}");
        }
    }
    for mail in postfix.await_mail("foo", 4) {
        let received = boxes::header(&mail, "Received").expect("Postfix's Received");
        assert!(received.contains("TLSv1."), "{received}");
    }
    let (strict, _dir) = gateway(&postfix.target(), Wish::Verify(None));
    assert_eq!(send(&strict, &mail(9)).class(), 4);
}
