//! TLS at the door: STARTTLS (RFC 3207), the implicit listener, and our certificate.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Instant;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::support::PATIENCE;
use crate::support::boxes;
use crate::support::certificates::Authority;
use crate::support::client::{Client, Mail, Reply};
use crate::support::gateway::{Gateway, Setup, quoted};
use crate::support::outside::{need, servers};
use crate::support::sink::Sink;
use crate::support::wire::TlsClient;

const BOTH: &str = r#"[{ address = "127.0.0.1:0", tls = "implicit" }, { address = "127.0.0.1:0", tls = "off" }]"#;

fn setup(sink: &Sink) -> Setup {
    Setup::new().srv(&["example.com/users/valid/*"]).before_sink(sink)
}

fn mail() -> Mail {
    Mail::new("1@load.example", &["foo@example.com"])
}

fn hello(client: &mut Client) -> Reply {
    let reply = client.command("EHLO mx.sender.example").expect("a reply");
    assert_eq!(reply.code, 250, "{reply:?}");
    reply
}

fn offers_tls(reply: &Reply) -> bool {
    reply.lines.iter().any(|line| line == "STARTTLS")
}

fn deliver(client: &mut Client) -> Reply {
    client.transaction(&mail()).expect("a transaction").decisive().clone()
}

fn message_facts(gateway: &Gateway, reply: &Reply) -> serde_json::Value {
    let id = reply.id().expect("the reply names the message");
    let output = gateway.command(&["why", "--json", &id]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("`why --json` is JSON");
    json["facts"].clone()
}

#[test]
fn starttls_is_offered_once_and_the_facts_of_it_are_kept() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    for (version, name) in [(&rustls::version::TLS13, "TLS1.3"), (&rustls::version::TLS12, "TLS1.2")] {
        let mut client = Client::connect(gateway.addr()).expect("a connection");
        client.reply().expect("a greeting");
        assert!(offers_tls(&hello(&mut client)));
        client.start_tls(&TlsClient::speaking("mx.example.com", &[version]));
        assert!(!offers_tls(&hello(&mut client)), "it is there already");
        let reply = deliver(&mut client);
        assert_eq!(reply.code, 250, "{reply:?}");
        let tls = &message_facts(&gateway, &reply)["tls"];
        assert_eq!((&tls["version"], &tls["sni"]), (&name.into(), &"mx.example.com".into()));
        let cipher = tls["cipher"].as_str().expect("a cipher").to_owned();
        assert!(cipher.starts_with("TLS"), "{cipher}");
        let received = boxes::header(&sink.taken().last().expect("it is delivered").message, "Received");
        let received = received.expect("our trace");
        assert!(
            received.contains("with ESMTPS") && received.contains(&format!("({name} with {cipher})")),
            "{received}"
        );
    }
    let reply = deliver(&mut Client::greeted(gateway.addr()));
    assert_eq!(message_facts(&gateway, &reply)["tls"], serde_json::Value::Null);
    let received = boxes::header(&sink.taken()[2].message, "Received").expect("our trace");
    assert!(
        received.contains("with ESMTP ") && !received.contains("TLS"),
        "{received}"
    );
}

#[test]
fn swaks_and_openssl_speak_tls_with_us() {
    const TEST: &str = "swaks_and_openssl_speak_tls_with_us";
    let has_tls = || Command::new("perl").args(["-MNet::SSLeay", "-e", "1"]).output();
    if !servers(TEST, &["swaks", "openssl"])
        || !need(
            TEST,
            has_tls().is_ok_and(|output| output.status.success()),
            "swaks lacks Net::SSLeay",
        )
    {
        return;
    }
    let sink = Sink::start();
    let gateway = setup(&sink).set("smtp.listener", BOTH).start();
    for (flag, addr) in [
        ("--tls", gateway.addr()),
        ("--tls-on-connect", gateway.addr_of("smtp, TLS")),
    ] {
        let args = [
            "--to",
            "foo@example.com",
            "--from",
            "a@b.example",
            "--helo",
            "b.example",
            flag,
        ];
        let output = Command::new("swaks")
            .args(["--server", &addr.to_string()])
            .args(args)
            .output();
        let output = output.expect("swaks can be run");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{flag}: {said}");
    }
    assert_eq!(sink.taken().len(), 2);
    let line = format!(
        "printf 'QUIT\\n' | openssl s_client -quiet -starttls smtp -crlf -connect {} 2>&1",
        gateway.addr()
    );
    let output = Command::new("sh")
        .args(["-c", &line])
        .output()
        .expect("openssl can be run");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("221"), "{said}");
}

#[test]
fn plaintext_behind_starttls_is_never_obeyed() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let injected =
        "MAIL FROM:<evil@attacker.example>\r\nRCPT TO:<foo@example.com>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\n";
    for injected in ["RSET\r\n", "NOOP\r\nNOOP\r\n", "EHLO evil.example\r\n", injected] {
        let mut client = Client::greeted(gateway.addr());
        client
            .send(format!("STARTTLS\r\n{injected}").as_bytes())
            .expect("it is read");
        let reply = client.reply().expect("a reply");
        assert_eq!(reply.code, 220, "{reply:?}");
        client.encrypt(&TlsClient::new("mx.example.com")).expect("a handshake");
        // What was injected would be answered before these.
        let reply = client.command("MAIL FROM:<a@b.example>").expect("a reply");
        assert_eq!(reply.code, 503, "{injected:?}: {reply:?}");
        hello(&mut client);
        let reply = client.command("RCPT TO:<foo@example.com>").expect("a reply");
        assert_eq!(reply.code, 503, "{injected:?}: {reply:?}");
        assert_eq!(client.command("QUIT").expect("a reply").code, 221, "{injected:?}");
    }
    assert!(sink.taken().is_empty());
}

#[test]
fn plaintext_that_comes_after_the_reply_is_a_failed_handshake() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let mut client = Client::greeted(gateway.addr());
    assert_eq!(client.command("STARTTLS").expect("a reply").code, 220);
    client
        .send(b"EHLO evil.example\r\nMAIL FROM:<>\r\nRCPT TO:<foo@example.com>\r\n")
        .expect("the kernel takes it");
    let said = client.rest();
    // A TLS alert at most; no word of SMTP.
    assert!(
        !said.windows(3).any(|w| [&b"250"[..], b"220", b"421"].contains(&w)),
        "{said:?}"
    );
    gateway.await_log("TLS handshake failed");
    let mut other = Client::greeted(gateway.addr());
    assert_eq!(deliver(&mut other).code, 250);
}

#[test]
fn what_was_said_before_the_handshake_is_forgotten_and_a_second_one_is_refused() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let mut client = Client::greeted(gateway.addr());
    client.begin(&mail());
    client.start_tls(&TlsClient::new("mx.example.com"));
    assert_eq!(
        client.command("DATA").expect("a reply").code,
        503,
        "the transaction is gone"
    );
    let reply = client.command("MAIL FROM:<a@b.example>").expect("a reply");
    assert_eq!(reply.code, 503, "EHLO is due: {reply:?}");
    hello(&mut client);
    assert_eq!(client.command("STARTTLS").expect("a reply").code, 503);
    assert_eq!(deliver(&mut client).code, 250);
    assert_eq!(client.command("QUIT").expect("a reply").code, 221);
    assert!(client.closed());
}

#[test]
fn what_is_wrong_with_starttls_is_said_and_where_it_is_off_it_is_unknown() {
    let sink = Sink::start();
    let gateway = setup(&sink).set("smtp.listener", BOTH).start();
    let mut client = Client::greeted(gateway.addr());
    assert_eq!(client.command("STARTTLS now").expect("a reply").code, 501);
    let mut client = Client::connect(gateway.addr_of("smtp")).expect("a connection");
    client.reply().expect("a greeting");
    assert!(offers_tls(&hello(&mut client)));
    let listening = gateway.addresses_of("smtp");
    let mut client = Client::connect(listening[1]).expect("a connection");
    client.reply().expect("a greeting");
    assert!(!offers_tls(&hello(&mut client)));
    assert_eq!(client.command("STARTTLS").expect("a reply").code, 500);
    assert_eq!(deliver(&mut client).code, 250);
}

#[test]
fn by_the_implicit_listener_nothing_is_said_before_the_handshake() {
    let sink = Sink::start();
    let gateway = setup(&sink).set("smtp.listener", BOTH).start();
    let mut client = Client::connect(gateway.addr_of("smtp, TLS")).expect("a connection");
    client.encrypt(&TlsClient::new("mx.example.com")).expect("a handshake");
    assert_eq!(client.reply().expect("a greeting").code, 220);
    assert!(!offers_tls(&hello(&mut client)));
    assert_eq!(client.command("STARTTLS").expect("a reply").code, 503);
    let reply = deliver(&mut client);
    assert_eq!(message_facts(&gateway, &reply)["tls"]["version"], "TLS1.3");
    let mut plain = Client::connect(gateway.addr_of("smtp, TLS")).expect("a connection");
    plain.send(b"EHLO plain.example\r\n").expect("the kernel takes it");
    let said = plain.rest();
    assert!(!said.starts_with(b"2") && !said.starts_with(b"4"), "{said:?}");
}

#[test]
fn who_is_in_a_handshake_has_a_place_like_everybody_else() {
    // The place was taken only after the handshake: any number of silent connections to the implicit listener held a file
    // each for a minute.
    let sink = Sink::start();
    let gateway = setup(&sink)
        .set("smtp.listener", BOTH)
        .set("limits.connections_per_client", "3")
        .start();
    let sockets = gateway.sockets();
    let silent: Vec<Client> = (0..3)
        .map(|_| Client::connect(gateway.addr_of("smtp, TLS")).expect("a connection"))
        .collect();
    gateway.await_sockets(sockets + 3);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut client = Client::connect(gateway.addr()).expect("a connection");
        if client.reply().expect("a reply").code == 421 {
            break;
        }
        assert!(Instant::now() < deadline, "they are not counted");
    }
    drop(silent);
    let mut client = loop {
        let mut client = Client::connect(gateway.addr()).expect("a connection");
        if client.reply().expect("a reply").code == 220 {
            break client;
        }
        assert!(Instant::now() < deadline, "the places were not given back");
    };
    hello(&mut client);
    assert_eq!(deliver(&mut client).code, 250);
}

#[test]
fn a_handshake_that_hangs_does_not_hold_up_the_stop() {
    let sink = Sink::start();
    let mut gateway = setup(&sink).set("smtp.listener", BOTH).start();
    let mut begun = Client::greeted(gateway.addr());
    assert_eq!(begun.command("STARTTLS").expect("a reply").code, 220);
    let _silent = Client::connect(gateway.addr_of("smtp, TLS")).expect("a connection");
    let started = Instant::now();
    assert!(gateway.stop().success());
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}

/// Connects until the server shows this certificate.
fn await_certificate(gateway: &Gateway, pem: &str) {
    let wanted = CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut client = Client::greeted(gateway.addr());
        client.start_tls(&TlsClient::new("mx.example.com"));
        if client.certificate().as_deref() == Some(wanted.as_ref()) {
            return;
        }
        assert!(Instant::now() < deadline, "the new certificate is not served");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn a_certificate_that_is_replaced_is_served_and_a_broken_one_is_not() {
    let sink = Sink::start();
    let authority = Authority::new();
    let setup = setup(&sink);
    let path = authority.pair("one.example").write(setup.dir());
    let gateway = setup.set("tls.certificate", &quoted(&path.to_string_lossy())).start();
    let kept = Client::greeted(gateway.addr());
    let two = authority.pair("two.example");
    two.write(gateway.dir());
    await_certificate(&gateway, &two.certificate);
    fs::write(&path, "broken").expect("our own file");
    gateway.await_log_while("the old certificate goes on serving", || {
        let mut client = Client::greeted(gateway.addr());
        client.start_tls(&TlsClient::new("mx.example.com"));
    });
    await_certificate(&gateway, &two.certificate);
    drop(kept);
}

#[test]
fn without_a_certificate_a_pair_is_made_once_and_kept_private() {
    let sink = Sink::start();
    let mut gateway = setup(&sink).start();
    let dir = gateway.state().join("tls");
    let pem = fs::read_to_string(dir.join("cert.pem")).expect("a certificate was made");
    for (path, mode) in [
        (dir.clone(), 0o700),
        (dir.join("key.pem"), 0o600),
        (dir.join("cert.pem"), 0o600),
    ] {
        let found = fs::metadata(&path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(found, mode, "{}", path.display());
    }
    assert_eq!(boxes::everything(&dir), ["cert.pem", "key.pem"]);
    gateway.await_log("a self-signed certificate was made");
    assert!(gateway.stop().success());
    gateway.start_again();
    assert_eq!(fs::read_to_string(dir.join("cert.pem")).expect("it is there"), pem);
    assert!(!gateway.log().contains("a self-signed certificate was made"));
    await_certificate(&gateway, &pem);
}

#[test]
fn a_start_that_was_killed_while_the_pair_was_made_does_not_keep_the_next_from_starting() {
    let sink = Sink::start();
    let mut gateway = setup(&sink).start();
    assert!(gateway.stop().success());
    let dir = gateway.state().join("tls");
    // What a crash can leave: one of the two, and a part of a file under a name that is not its own yet.
    fs::rename(dir.join("cert.pem"), dir.join("cert.new")).expect("our own file");
    fs::write(dir.join("cert.new"), "-----BEGIN").expect("our own file");
    gateway.start_again();
    assert_eq!(deliver(&mut Client::greeted(gateway.addr())).code, 250);
    assert_eq!(boxes::everything(&dir), ["cert.pem", "key.pem"]);
}

#[test]
fn a_broken_certificate_at_the_start_is_an_error_with_a_hint() {
    let sink = Sink::start();
    let setup = setup(&sink);
    let path = setup.dir().join("server.pem");
    let foreign = format!(
        "{}{}",
        Authority::new().pair("a").certificate,
        Authority::new().pair("b").key
    );
    for content in ["broken", &foreign, ""] {
        fs::write(&path, content).expect("our own file");
        let sink = Sink::start();
        let gateway = self::setup(&sink)
            .set("tls.certificate", &quoted(&path.to_string_lossy()))
            .stopped();
        let output = gateway.command(&["serve"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("server.pem") && said.contains("\nhint: "), "{said}");
    }
}
