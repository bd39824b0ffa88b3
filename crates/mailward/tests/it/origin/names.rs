//! The client's name counts where it leads back to the client, and only there.

use super::{BANK, STRANGER, World, bank, field, mail_from, reverse};
use crate::support::boxes;
use crate::support::client::Mail;
use crate::support::private_dns::{Zone, is_there};

const V6_ZONE: &str = "8.b.d.0.1.0.0.2.ip6.arpa";
/// `2001:db8::25` below its zone.
const V6: &str = "5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0";

fn zones() -> [Zone; 4] {
    [
        bank("v=DMARC1; p=none"),
        reverse(),
        Zone::new("spam.example", "pc A 192.0.2.29\n"),
        Zone::new(V6_ZONE, &format!("{V6} PTR six.bank.example.\n")),
    ]
}

#[test]
fn a_reverse_name_counts_where_it_leads_back() {
    if !is_there("a_reverse_name_counts_where_it_leads_back") {
        return;
    }
    let world = World::start(&zones(), &[]);
    let of = |addr: &str| {
        let reply = world.send(addr, &mail_from("ann@bank.example"));
        let iprev = world.proof(&reply, "iprev");
        let field = field(&world.last(), "X-REMOTE-HOST");
        (iprev["result"].as_str().unwrap_or_default().to_owned(), field)
    };
    let expected = |result: &str, name: &str| (result.to_owned(), name.to_owned());
    assert_eq!(of(BANK), expected("pass", "mx.bank.example"));
    assert_eq!(
        of("::ffff:192.0.2.25"),
        expected("pass", "mx.bank.example"),
        "the same address"
    );
    assert_eq!(of("192.0.2.26"), expected("fail", "Unknown"), "anybody can write it");
    assert_eq!(of("192.0.2.27"), expected("fail", "Unknown"), "the name leads nowhere");
    assert_eq!(of("192.0.2.28"), expected("permerror", "Unknown"), "there is no name");
    assert_eq!(of(STRANGER), expected("permerror", "Unknown"), "there is no such zone");
    let reply = world.send("192.0.2.26", &mail_from("ann@bank.example"));
    let why = world.why(&reply);
    assert!(
        why.contains("192.0.2.26 is called mx.bank.example, which does not lead back to it"),
        "{why}"
    );
}

#[test]
fn the_check_rdns_refuses_who_has_no_name_and_with_confirmed_who_lies() {
    if !is_there("the_check_rdns_refuses_who_has_no_name_and_with_confirmed_who_lies") {
        return;
    }
    let files = [
        "example.com/checks/rdns",
        "example.com/whitelisted/senders/vip@silent.example",
        "strict.example/users/valid/foo",
        "strict.example/checks/rdns=confirmed = true",
        "four.example/users/valid/foo",
        "four.example/checks/rdns4",
        "six.example/users/valid/foo",
        "six.example/checks/rdns6",
    ];
    let world = World::start(&zones(), &files);
    let to = |addr: &str, domain: &str| {
        let mut mail = mail_from("ann@bank.example");
        mail.rcpts = vec![format!("foo@{domain}")];
        let reply = world.send(addr, &mail);
        (reply.code, reply.text())
    };
    let accepted = |addr: &str, domain: &str| assert_eq!(to(addr, domain).0, 250, "{addr} for {domain}");
    let refused = |addr: &str, domain: &str, text: &str| {
        let (code, said) = to(addr, domain);
        assert!(code == 550 && said.contains(text), "{addr} for {domain}: {code} {said}");
    };
    accepted(BANK, "example.com");
    accepted("192.0.2.26", "example.com");
    refused(
        "192.0.2.28",
        "example.com",
        "Missing reverse DNS for IP:192.0.2.28 [Unknown]",
    );
    accepted(BANK, "strict.example");
    refused(
        "192.0.2.26",
        "strict.example",
        "Reverse DNS does not lead back to IP:192.0.2.26 [mx.bank.example]",
    );
    // Each family has a check of its own.
    refused("192.0.2.28", "four.example", "Missing reverse DNS");
    accepted("2001:db8::28", "four.example");
    accepted("192.0.2.28", "six.example");
    refused("2001:db8::28", "six.example", "Missing reverse DNS for IP:2001:db8::28");
    // A whitelist entry overrides it, by a name of which SPF does not say that it is forged.
    let vip = world.send("192.0.2.28", &mail_from("vip@silent.example"));
    assert_eq!(vip.code, 250, "{vip:?}");
}

#[test]
fn an_ipv6_client_has_a_name_too() {
    if !is_there("an_ipv6_client_has_a_name_too") {
        return;
    }
    let bank = Zone::new(
        "bank.example",
        "six AAAA 2001:db8::25\n@ TXT \"v=spf1 a:six.bank.example -all\"\n",
    );
    let [_, reverse, _, v6] = zones();
    let world = World::start(
        &[bank, reverse, v6],
        &["example.com/checks/rdns6=confirmed = true", "example.com/checks/spf"],
    );
    let message = world.deliver("2001:db8::25", &mail_from("ann@bank.example"));
    assert_eq!(field(&message, "X-REMOTE-HOST"), "six.bank.example");
    assert!(field(&message, "Received-SPF").starts_with("pass "));
}

#[test]
fn blacklists_of_hosts_and_tlds_go_by_the_proven_name() {
    if !is_there("blacklists_of_hosts_and_tlds_go_by_the_proven_name") {
        return;
    }
    let files = [
        "example.com/blacklisted/hosts/pc.spam.example",
        "tld.example/users/valid/foo",
        "tld.example/blacklisted/tld/unknown",
        "example.com/blacklisted/hosts/mx.bank.example",
    ];
    let world = World::start(&zones(), &files);
    let said = world.refused("192.0.2.29", &mail_from("ann@bank.example"));
    assert!(said.contains("Hostname pc.spam.example locally blacklisted"), "{said}");
    let index = boxes::index(&world.gateway.spam());
    assert_eq!(index.last().expect("a copy was kept").field("host"), "pc.spam.example");
    let copy = boxes::held(&world.gateway.spam()).remove(0).message;
    assert_eq!(field(&copy, "X-REMOTE-HOST"), "pc.spam.example");
    // A name that somebody only claims is not his, for better and for worse.
    assert_eq!(world.send("192.0.2.26", &mail_from("ann@bank.example")).code, 250);
    let mut mail = mail_from("ann@bank.example");
    mail.rcpts = vec!["foo@tld.example".into()];
    assert_eq!(world.send(BANK, &mail).code, 250);
    for nameless in ["192.0.2.26", "192.0.2.28"] {
        let said = world.refused(nameless, &mail);
        assert!(said.contains("Blacklisted TLD: unknown"), "{said}");
    }
}

/// Each message had its client's reverse name asked, also where nothing needed it.
#[test]
fn the_reverse_name_is_asked_only_where_something_needs_it() {
    if !is_there("the_reverse_name_is_asked_only_where_something_needs_it") {
        return;
    }
    let lists = "other.example/blacklisted/hosts/mx.bank.example";
    let world = World::start(
        &[bank("v=DMARC1; p=none"), reverse()],
        &["other.example/users/valid/foo", lists],
    );
    let asked = || {
        let status = crate::support::daemon::said(&world.gateway, &["status", "--json"]);
        let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
        status["dns"]["asked"].as_u64().expect("a number")
    };
    let to = |rcpt: &str| Mail {
        rcpts: vec![rcpt.to_owned()],
        ..mail_from("ann@bank.example")
    };
    assert_eq!(world.send(BANK, &to("nobody@example.com")).code, 550);
    assert_eq!(asked(), 0, "nobody gets it, and no list names hosts");
    // Of a list of hosts the name decides, before it is known that there is no such user.
    let refused = world.refused(BANK, &to("nobody@other.example"));
    assert!(
        refused.contains("Hostname mx.bank.example locally blacklisted"),
        "{refused}"
    );
    let after_list = asked();
    assert!(after_list > 0);
    // Whoever gets mail sees who sent it.
    assert_eq!(world.send(BANK, &to("foo@example.com")).code, 250);
    assert!(asked() > after_list);
}
