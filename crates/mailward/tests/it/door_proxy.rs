//! Listeners behind a balancer: the PROXY protocol, versions 1 and 2. Rights follow the address that the balancer names,
//! never the balancer's own.

use std::net::{IpAddr, Ipv6Addr};

use crate::support::boxes;
use crate::support::client::{Client, Mail, Reply};
use crate::support::gateway::{Gateway, Setup};
use crate::support::sink::Sink;
use crate::support::wire::TlsClient;

const LISTENERS: &str = r#"[
    { address = "127.0.0.1:0", proxy = true },
    { address = "127.0.0.1:0", proxy = true, tls = "implicit" },
]"#;

fn setup(sink: &Sink) -> Setup {
    Setup::new()
        .srv(&["example.com/users/valid/foo"])
        .before_sink(sink)
        .set("smtp.listener", &LISTENERS.replace('\n', " "))
}

fn v1(family: &str, source: &str, destination: &str) -> Vec<u8> {
    format!("PROXY {family} {source} {destination} 40000 25\r\n").into_bytes()
}

fn v2(source: &str) -> Vec<u8> {
    let (family, addresses) = match source.parse().expect("an address") {
        IpAddr::V4(ip) => (0x11, [ip.octets(), [192, 0, 2, 99]].concat()),
        IpAddr::V6(ip) => (0x21, [ip.octets(), Ipv6Addr::LOCALHOST.octets()].concat()),
    };
    v2_raw(0x21, family, &[&addresses[..], &[0x9c, 0x40, 0, 25]].concat())
}

fn v2_raw(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("a short header").to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, rest].concat()
}

/// A client behind the balancer, greeted.
fn behind(gateway: &Gateway, header: &[u8]) -> Client {
    let mut client = Client::connect(gateway.addr_of("smtp, PROXY")).expect("a connection");
    client.send(header).expect("the kernel takes it");
    greeted(client)
}

fn greeted(mut client: Client) -> Client {
    let greeting = client.reply().expect("a greeting");
    assert_eq!(greeting.code, 220, "{greeting:?}");
    assert_eq!(client.command("EHLO mx.sender.example").expect("a reply").code, 250);
    client
}

fn deliver(client: &mut Client, rcpt: &str) -> Reply {
    let mail = Mail::new("1@load.example", &[rcpt]);
    client.transaction(&mail).expect("a transaction").decisive().clone()
}

fn remote_ip(sink: &Sink) -> String {
    let taken = sink.taken();
    boxes::header(&taken.last().expect("it is delivered").message, "X-Remote-IP").expect("our field")
}

#[test]
fn the_named_address_is_the_clients_by_both_versions_and_families() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    for (header, expected) in [
        (v1("TCP4", "192.0.2.7", "192.0.2.99"), "192.0.2.7"),
        (v1("TCP6", "2001:db8::7", "2001:db8::99"), "2001:db8::7"),
        (v1("TCP6", "::ffff:192.0.2.8", "::ffff:192.0.2.99"), "192.0.2.8"),
        (v2("192.0.2.9"), "192.0.2.9"),
        (v2("2001:db8::9"), "2001:db8::9"),
        (v1("UNKNOWN", "x", "y"), "127.0.0.1"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (v2_raw(0x20, 0, b""), "127.0.0.1"),
    ] {
        let reply = deliver(&mut behind(&gateway, &header), "foo@example.com");
        assert_eq!(reply.code, 250, "{reply:?}");
        assert_eq!(remote_ip(&sink), expected);
        let id = reply.id().expect("an id");
        let why = String::from_utf8(gateway.command(&["why", &id]).stdout).expect("text");
        assert!(why.contains(expected), "{why}");
    }
}

#[test]
fn a_header_divided_at_any_octet_is_one_header() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    for header in [v1("TCP4", "192.0.2.7", "192.0.2.99"), v2("192.0.2.7")] {
        for cut in 1..header.len() {
            let mut client = Client::connect(gateway.addr_of("smtp, PROXY")).expect("a connection");
            client.send(&header[..cut]).expect("the kernel takes it");
            client.await_read();
            client.send(&header[cut..]).expect("the kernel takes it");
            assert_eq!(client.reply().expect("a greeting").code, 220, "divided at {cut}");
        }
        let mut client = Client::connect(gateway.addr_of("smtp, PROXY")).expect("a connection");
        client.send_bytewise(&header).expect("the kernel takes it");
        assert_eq!(deliver(&mut greeted(client), "foo@example.com").code, 250);
        assert_eq!(remote_ip(&sink), "192.0.2.7");
    }
}

#[test]
fn what_stands_behind_the_header_is_the_clients() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    // As a balancer may: with the client's first octets in the same segment, after a long header of version 2.
    let header = v2_raw(
        0x21,
        0x11,
        &[&[192, 0, 2, 7, 192, 0, 2, 99, 1, 1, 0, 25][..], &[0xee; 600]].concat(),
    );
    let session = b"EHLO mx.sender.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<foo@example.com>\r\nQUIT\r\n";
    let mut client = Client::connect(gateway.addr_of("smtp, PROXY")).expect("a connection");
    client
        .send(&[&header[..], session].concat())
        .expect("the kernel takes it");
    let codes: Vec<u16> = (0..5).map(|_| client.reply().expect("a reply").code).collect();
    assert_eq!(codes, [220, 250, 250, 250, 221]);
}

#[test]
fn the_header_stands_before_the_handshake_of_the_implicit_listener() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    for header in [v1("TCP4", "192.0.2.7", "192.0.2.99"), v2("192.0.2.7")] {
        let mut client = Client::connect(gateway.addr_of("smtp, TLS, PROXY")).expect("a connection");
        client.send(&header).expect("the kernel takes it");
        client.encrypt(&TlsClient::new("mx.example.com")).expect("a handshake");
        assert_eq!(deliver(&mut greeted(client), "foo@example.com").code, 250);
        assert_eq!(remote_ip(&sink), "192.0.2.7");
        // And before STARTTLS.
        let mut client = behind(&gateway, &header);
        client.start_tls(&TlsClient::new("mx.example.com"));
        assert_eq!(client.command("EHLO mx.sender.example").expect("a reply").code, 250);
        assert_eq!(deliver(&mut client, "foo@example.com").code, 250);
        assert_eq!(remote_ip(&sink), "192.0.2.7");
    }
}

#[test]
fn who_comes_without_a_header_is_turned_away_unheard() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let bad: [&[u8]; 7] = [
        b"EHLO mx.sender.example\r\n",
        b"\r\n",
        b"PROXY TCP4 192.0.2.7\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.9 1 99999\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.9 1 2\nEHLO",
        b"\r\n\r\n\0\r\nQUIT\n\x11\x11\0\x0c",
        b"GET / HTTP/1.1\r\n",
    ];
    for header in bad {
        let mut client = Client::connect(gateway.addr_of("smtp, PROXY")).expect("a connection");
        client.send(header).expect("the kernel takes it");
        assert_eq!(client.rest(), b"", "{header:?}");
    }
    let client = Client::connect(gateway.addr_of("smtp, PROXY")).expect("a connection");
    client.finish();
    gateway.await_log("no PROXY header");
    // Where no balancer stands, its header is no command.
    let mut client = Client::connect(gateway.addr()).expect("a connection");
    client.reply().expect("a greeting");
    let reply = client.command("PROXY TCP4 192.0.2.7 192.0.2.9 1 2").expect("a reply");
    assert_eq!(reply.class(), 5, "{reply:?}");
}

/// The balancer's address in every list there is.
fn favoured(sink: &Sink) -> Gateway {
    setup(sink)
        .srv(&[
            "example.com/whitelisted/ips/127.0.0.1",
            "example.com/whitelisted/ips/192.0.2.50",
            "example.com/users/valid/inner/127.0.0.1",
            "example.com/users/valid/outer/192.0.2.60",
            "example.com/blacklisted/ips/192.0.2.70",
            "/etc/blacklist.d/2001:db8::66",
        ])
        .set("smtp.relay_networks", r#"["127.0.0.0/8", "192.0.2.40/32"]"#)
        .set("smtp.trusted", r#"["127.0.0.0/8", "192.0.2.41/32"]"#)
        .start()
}

#[test]
fn rights_and_lists_follow_the_named_address() {
    let sink = Sink::start();
    let gateway = favoured(&sink);
    let from = |source: &str, rcpt: &str| deliver(&mut behind(&gateway, &v2(source)), rcpt).code;
    assert_eq!(from("192.0.2.40", "x@elsewhere.example"), 250, "a relay network");
    assert_eq!(from("192.0.2.42", "x@elsewhere.example"), 550, "none");
    assert_eq!(from("192.0.2.50", "nobody@example.com"), 250, "whitelisted");
    assert_eq!(from("192.0.2.51", "nobody@example.com"), 550);
    assert_eq!(from("192.0.2.60", "outer@example.com"), 250, "its file is there");
    assert_eq!(from("192.0.2.61", "outer@example.com"), 550);
    assert_eq!(
        from("192.0.2.61", "inner@example.com"),
        550,
        "the balancer's file is not the client's"
    );
    assert_eq!(from("192.0.2.70", "foo@example.com"), 550, "blacklisted");
    assert_eq!(from("2001:db8::66", "foo@example.com"), 550, "blacklisted for all");
    assert_eq!(from("192.0.2.71", "foo@example.com"), 250);
    let mut trusted = behind(&gateway, &v2("192.0.2.41"));
    assert_eq!(trusted.command("XCLIENT ADDR=192.0.2.1").expect("a reply").code, 220);
    let mut other = behind(&gateway, &v2("192.0.2.42"));
    assert_eq!(other.command("XCLIENT ADDR=192.0.2.1").expect("a reply").code, 550);
}

#[test]
fn a_client_that_is_not_named_has_nothing_of_the_balancers_rights() {
    // The balancer's address stood for the client's: whoever came by LOCAL or UNKNOWN was in the lists that the balancer
    // is in.
    let sink = Sink::start();
    let gateway = favoured(&sink);
    for header in [
        b"PROXY UNKNOWN\r\n".to_vec(),
        v2_raw(0x20, 0, b""),
        v2_raw(0x21, 0, b""),
    ] {
        let deliver = |rcpt| deliver(&mut behind(&gateway, &header), rcpt).code;
        assert_eq!(deliver("x@elsewhere.example"), 550, "no relay");
        assert_eq!(deliver("nobody@example.com"), 550, "not whitelisted");
        assert_eq!(deliver("inner@example.com"), 550, "no file of its own");
        assert_eq!(deliver("foo@example.com"), 250);
        let mut client = behind(&gateway, &header);
        assert_eq!(client.command("XCLIENT ADDR=192.0.2.40").expect("a reply").code, 550);
    }
}

#[test]
fn connections_are_counted_for_the_named_network() {
    let sink = Sink::start();
    let gateway = setup(&sink).set("limits.connections_per_client", "2").start();
    let open: Vec<Client> = ["192.0.2.1", "192.0.2.2", "198.51.100.1", "198.51.100.2"]
        .iter()
        .map(|source| behind(&gateway, &v2(source)))
        .collect();
    let refused = |source: &str| {
        let mut client = Client::connect(gateway.addr_of("smtp, PROXY")).expect("a connection");
        client.send(&v2(source)).expect("the kernel takes it");
        client.reply().expect("a reply")
    };
    let reply = refused("192.0.2.3");
    assert_eq!((reply.code, &reply.text()[..5]), (421, "4.7.0"), "{reply:?}");
    assert_eq!(refused("203.0.113.1").code, 220);
    drop(open);
}

#[test]
fn who_has_not_said_a_header_has_a_place_in_the_house() {
    // Silent connections to such a listener were counted nowhere.
    let sink = Sink::start();
    let gateway = setup(&sink).set("limits.connections", "3").start();
    let sockets = gateway.sockets();
    let silent: Vec<Client> = (0..3)
        .map(|_| Client::connect(gateway.addr_of("smtp, PROXY")).expect("a connection"))
        .collect();
    gateway.await_sockets(sockets + 3);
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    while Client::connect(gateway.addr())
        .and_then(|mut client| client.reply())
        .expect("a reply")
        .code
        != 421
    {
        assert!(std::time::Instant::now() < deadline, "they are not counted");
    }
    let reply = Client::connect(gateway.addr_of("smtp, PROXY"))
        .and_then(|mut client| client.reply())
        .expect("a word, without a header too");
    assert_eq!(reply.code, 421);
    drop(silent);
}
