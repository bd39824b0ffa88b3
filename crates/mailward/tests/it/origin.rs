//! Who really sent it, from the outside: the real program, asking name servers of our own on loopback, one of which
//! validates DNSSEC.
//!
//! Clients with any address are played by XCLIENT from a trusted one.

mod alike;
mod claims;
mod dmarc;
mod dnssec;
mod headers;
mod hostile_zones;
mod lists;
mod names;
mod scans;
mod signatures;
mod spf;
mod trouble;

use std::net::SocketAddr;

use serde_json::Value;

use crate::support::boxes;
use crate::support::client::{Client, Mail, Reply};
use crate::support::daemon;
use crate::support::dkim;
use crate::support::gateway::{Gateway, Setup};
use crate::support::private_dns::{PrivateDns, Zone};
use crate::support::sink::Sink;

/// Who may say for whom it speaks.
pub const TRUSTED: &str = "127.0.0.2";
/// The address of the bank's server, and of one that has nothing to do with it.
pub const BANK: &str = "192.0.2.25";
pub const STRANGER: &str = "198.51.100.66";

/// A gateway between name servers and a next hop.
pub struct World {
    pub gateway: Gateway,
    pub sink: Sink,
    /// Ends with the others.
    _dns: PrivateDns,
}

impl World {
    /// With the domain `example.com` and its user `foo`; `files` are below the domains root, as `PATH` or `PATH=CONTENT`.
    pub fn start(zones: &[Zone], files: &[&str]) -> Self {
        Self::start_with(zones, files, |setup| setup)
    }

    pub fn start_with(zones: &[Zone], files: &[&str], settings: impl FnOnce(Setup) -> Setup) -> Self {
        let dns = PrivateDns::start(zones);
        let sink = Sink::start();
        let setup = asking(setup(&sink, files), &dns);
        Self {
            gateway: settings(setup).start(),
            sink,
            _dns: dns,
        }
    }

    /// Sends a message as the client at `addr`; the reply to it.
    pub fn send(&self, addr: &str, mail: &Mail) -> Reply {
        send(&self.gateway, addr, mail)
    }

    /// The same, which must be welcome; what the next hop got.
    pub fn deliver(&self, addr: &str, mail: &Mail) -> Vec<u8> {
        let reply = self.send(addr, mail);
        assert_eq!(reply.code, 250, "{reply:?}");
        self.last()
    }

    /// The same, which must be refused; the reply's text.
    pub fn refused(&self, addr: &str, mail: &Mail) -> String {
        let reply = self.send(addr, mail);
        assert_eq!(reply.code, 550, "{reply:?}\n{}", self.why(&reply));
        reply.text()
    }

    /// What the next hop got last.
    pub fn last(&self) -> Vec<u8> {
        self.sink
            .taken()
            .last()
            .expect("something was delivered")
            .message
            .clone()
    }

    pub fn why(&self, reply: &Reply) -> String {
        why(&self.gateway, reply)
    }

    fn facts(&self, reply: &Reply) -> Value {
        facts(&self.gateway, reply)
    }

    /// A proof of a message's origin.
    fn proof(&self, reply: &Reply, name: &str) -> Value {
        self.facts(reply)["origin"][name]["Found"].clone()
    }
}

/// Before a next hop, and trusting [`TRUSTED`].
pub fn setup(sink: &Sink, files: &[&str]) -> Setup {
    let setup = Setup::new().file("example.com/users/valid/foo", "").before_sink(sink);
    let file = |setup: Setup, line: &&str| {
        let (path, content) = line.split_once('=').unwrap_or((line, ""));
        setup.file(path, content)
    };
    let trusted = format!("[\"{TRUSTED}/32\"]");
    files.iter().fold(setup, file).set("smtp.trusted", &trusted)
}

/// Asks these servers, and believes what they say of DNSSEC.
pub fn asking(setup: Setup, dns: &PrivateDns) -> Setup {
    setup
        .set("dns.enabled", "true")
        .set("dns.servers", &dns.servers())
        .set("dns.trust_ad", "true")
}

/// A session of the client at `addr`, greeted.
fn session(gateway: SocketAddr, addr: &str, helo: &str) -> Client {
    let mut client = Client::greeted_from(TRUSTED, gateway);
    let addr = match addr.contains(':') {
        true => format!("IPV6:{addr}"),
        false => addr.to_owned(),
    };
    let reply = client.command(&format!("XCLIENT ADDR={addr}")).expect("a reply");
    assert_eq!(reply.code, 220, "{reply:?}");
    assert_eq!(client.command(&format!("EHLO {helo}")).expect("a reply").code, 250);
    client
}

pub fn send(gateway: &Gateway, addr: &str, mail: &Mail) -> Reply {
    send_to(gateway.addr(), addr, mail)
}

fn send_to(gateway: SocketAddr, addr: &str, mail: &Mail) -> Reply {
    let answers = session(gateway, addr, &mail.helo).transaction(mail);
    answers.expect("a transaction").decisive().clone()
}

/// `mailward why`, for people. Whatever was decided, stored facts lead to the same again.
pub fn why(gateway: &Gateway, reply: &Reply) -> String {
    let said = daemon::said(gateway, &["why", &reply.id().expect("the reply names the message")]);
    assert!(said.contains("judged again by this version: the same"), "{said}");
    said
}

fn facts(gateway: &Gateway, reply: &Reply) -> Value {
    let id = reply.id().expect("the reply names the message");
    let json = daemon::said(gateway, &["why", "--json", &id]);
    let json: Value = serde_json::from_str(&json).expect("`why --json` is JSON");
    json["facts"].clone()
}

/// An ordinary message of `author`, sent by its own domain's server as far as it says.
pub fn mail_from(author: &str) -> Mail {
    let (_, domain) = author.rsplit_once('@').expect("an address");
    let message = format!(
        "From: <{author}>\r\nTo: foo@example.com\r\nDate: Mon, 02 Nov 2026 10:00:00 +0000\r\n\
         Subject: the minutes\r\nMessage-Id: <1@{domain}>\r\n\r\nThe minutes are ready.\r\n"
    );
    Mail {
        helo: format!("mx.{domain}"),
        from: author.to_owned(),
        rcpts: vec!["foo@example.com".to_owned()],
        message: message.into_bytes(),
    }
}

/// The same with a signature of the author's domain.
fn signed_mail_from(author: &str) -> Mail {
    let mail = mail_from(author);
    let (_, domain) = author.rsplit_once('@').expect("an address");
    Mail {
        message: dkim::signed(&mail.message, domain, "s1"),
        ..mail
    }
}

/// A domain that says who may send for it: its server at [`BANK`], and whoever has its key.
pub fn bank(dmarc: &str) -> Zone {
    let records = format!(
        "@ TXT \"v=spf1 ip4:{BANK} -all\"\n@ MX 10 mx\nmx A {BANK}\nmx TXT \"v=spf1 a -all\"\n_dmarc TXT \"{dmarc}\"\n{}",
        dkim::key_record("s1")
    );
    Zone::new("bank.example", &records)
}

/// The reverse zone of [`BANK`] and its neighbours, some of whom lie or say nothing.
pub fn reverse() -> Zone {
    Zone::new(
        "2.0.192.in-addr.arpa",
        "25 PTR mx.bank.example.\n26 PTR mx.bank.example.\n27 PTR nowhere.bank.example.\n29 PTR pc.spam.example.\n",
    )
}

/// The values of all fields of a name, in their order.
fn fields(message: &[u8], name: &str) -> Vec<String> {
    let all = boxes::headers(message).into_iter();
    let of_name = all.filter(|(other, _)| other.eq_ignore_ascii_case(name));
    of_name.map(|(_, value)| value).collect()
}

/// The one field of a name.
fn field(message: &[u8], name: &str) -> String {
    let mut values = fields(message, name);
    assert_eq!(values.len(), 1, "`{name}` is wanted once: {values:?}");
    values.remove(0)
}
