//! DNS lists of addresses and of domains, those that work and those that do not.

use super::{BANK, STRANGER, World, mail_from};
use crate::support::boxes;
use crate::support::client::Mail;
use crate::support::daemon;
use crate::support::private_dns::{Zone, is_there};

/// The two entries by which a list is known (RFC 5782 §5): one that must be there, and one that is not.
const TEST_ENTRY: &str = "2.0.0.127 A 127.0.0.2\n";

fn zones() -> Vec<Zone> {
    let list = |name: &str, entries: &str| Zone::new(name, &format!("{TEST_ENTRY}{entries}"));
    let six = "6.6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2 A 127.0.0.2\n";
    vec![
        list(
            "bl.example",
            &format!("66.100.51.198 A 127.0.0.2\n66.100.51.198 TXT \"spam, see bl.example\"\n{six}"),
        ),
        list(
            "codes.example",
            "66.100.51.198 A 127.0.0.9\n67.100.51.198 A 127.0.0.4\n",
        ),
        list("friends.example", "66.100.51.198 A 127.0.0.2\n"),
        list(
            "refusing.example",
            "66.100.51.198 A 127.255.255.254\n67.100.51.198 A 127.0.0.1\n68.100.51.198 A 192.0.2.1\n",
        ),
        list(
            "ourselves.example",
            "1.0.0.127 A 127.0.0.2\n66.100.51.198 A 127.0.0.2\n",
        ),
        Zone::new("everybody.example", "* A 127.0.0.2\n"),
        Zone::new("nobody.example", "66.100.51.198 A 127.0.0.2\n"),
        Zone::new("names.example", "test A 127.0.0.2\nspam.example A 127.0.0.2\n"),
    ]
}

/// Lists that list everybody, us, nobody, and nothing at all.
const OFF: [&str; 4] = [
    "everybody.example",
    "ourselves.example",
    "nobody.example",
    "gone.example",
];

/// Sent to the domain's `foo`.
fn to(domain: &str, mail: Mail) -> Mail {
    Mail {
        rcpts: vec![format!("foo@{domain}")],
        ..mail
    }
}

/// A domain with a file `zones`.
fn domain(name: &str, lines: &str) -> [String; 2] {
    [format!("{name}/users/valid/foo"), format!("{name}/zones={lines}")]
}

fn world(domains: &[[String; 2]]) -> World {
    let files: Vec<&str> = domains.iter().flatten().map(String::as_str).collect();
    World::start(&zones(), &files)
}

fn mail() -> Mail {
    mail_from("ann@bank.example")
}

#[test]
fn a_listed_address_is_refused_or_only_noted() {
    if !is_there("a_listed_address_is_refused_or_only_noted") {
        return;
    }
    let world = world(&[
        domain("plain.example", "# ours\n\nbl.example  # careful\n"),
        domain("score.example", "bl.example score\n"),
        domain("allow.example", "bl.example\nfriends.example allow\n"),
        domain("codes.test", "codes.example 127.0.0.2-8\n"),
        domain(
            "order.test",
            "names.example domain\ncodes.example 127.0.0.9\nbl.example\n",
        ),
        domain("tagged.test", "bl.example\n"),
    ]);
    std::fs::create_dir_all(world.gateway.domains().join("tagged.test/checks")).expect("our own tree");
    std::fs::write(
        world.gateway.domains().join("tagged.test/checks/dnsbl"),
        "action = \"tag\"",
    )
    .expect("our own tree");

    let said = world.refused(STRANGER, &to("plain.example", mail()));
    assert!(said.contains("5.7.1 IP listed in DNS blacklist bl.example"), "{said}");
    assert_eq!(world.send(BANK, &to("plain.example", mail())).code, 250);
    let said = world.refused("2001:db8::66", &to("plain.example", mail()));
    assert!(said.contains("IP listed in DNS blacklist bl.example"), "{said}");
    assert_eq!(world.send("2001:db8::67", &to("plain.example", mail())).code, 250);

    let reply = world.send(STRANGER, &to("score.example", mail()));
    assert_eq!(reply.code, 250, "{reply:?}");
    let why = world.why(&reply);
    assert!(
        why.contains("bl.example lists 198.51.100.66 (127.0.0.2): spam, see bl.example")
            && why.contains("198.51.100.66 listed in DNS blacklist bl.example"),
        "{why}"
    );
    let reply = world.send(STRANGER, &to("allow.example", mail()));
    assert!(
        reply.code == 250 && world.why(&reply).contains("stands in the allow list friends.example"),
        "{}",
        world.why(&reply)
    );
    // Only the answers that the line names count.
    assert_eq!(world.send(STRANGER, &to("codes.test", mail())).code, 250);
    assert_eq!(world.send("198.51.100.67", &to("codes.test", mail())).code, 550);
    // Of several lists the first in the file gives the reason.
    let said = world.refused(STRANGER, &to("order.test", mail()));
    assert!(said.contains("DNS blacklist codes.example"), "{said}");
    // `checks/dnsbl` says what follows.
    let message = world.deliver(STRANGER, &to("tagged.test", mail()));
    assert_eq!(boxes::header(&message, "X-Spam-Flag").as_deref(), Some("YES"));
}

#[test]
fn a_list_of_domains_is_asked_about_sender_and_author() {
    if !is_there("a_list_of_domains_is_asked_about_sender_and_author") {
        return;
    }
    let world = world(&[domain("example.com", "names.example domain\n")]);
    let said = world.refused(BANK, &mail_from("ann@spam.example"));
    assert!(
        said.contains("Domain spam.example listed in DNS blacklist names.example"),
        "{said}"
    );
    let mut by_author = mail_from("ann@spam.example");
    by_author.from = "ann@bank.example".into();
    assert_eq!(world.send(BANK, &by_author).code, 550);
    assert_eq!(world.send(BANK, &mail()).code, 250);
}

#[test]
fn lists_that_do_not_work_are_switched_off_and_announced() {
    if !is_there("lists_that_do_not_work_are_switched_off_and_announced") {
        return;
    }
    let world = world(&[domain(
        "example.com",
        "everybody.example\nourselves.example\nnobody.example\nrefusing.example\ngone.example\n",
    )]);
    let reply = world.send(STRANGER, &mail());
    assert_eq!(reply.code, 250, "{}", world.why(&reply));
    let why = world.why(&reply);
    for list in OFF {
        assert!(why.contains(&format!("{list} is switched off: ")), "{why}");
    }
    // Addresses that speak of us, or that a list would not give, are no listings.
    for addr in ["198.51.100.67", "198.51.100.68"] {
        assert_eq!(world.send(addr, &mail()).code, 250, "{addr}");
    }
    let status = daemon::said(&world.gateway, &["status"]);
    for list in OFF {
        let line = format!("a DNS list does not work: switched off zone={list} ");
        world.gateway.await_log(&line);
        assert_eq!(world.gateway.log().matches(&line).count(), 1, "announced once");
        assert!(status.contains(list), "{status}");
    }
    assert!(!status.contains("list off  refusing.example"), "{status}");
    let json: serde_json::Value =
        serde_json::from_str(&daemon::said(&world.gateway, &["status", "--json"])).expect("JSON");
    assert_eq!(json["lists_off"].as_array().map(Vec::len), Some(OFF.len()), "{json}");
}

#[test]
fn lists_of_all_domains_serve_those_that_have_a_file() {
    if !is_there("lists_of_all_domains_serve_those_that_have_a_file") {
        return;
    }
    let world = World::start(
        &zones(),
        &[
            "_global_/zones=bl.example\n",
            "example.com/zones",
            "without.example/users/valid/foo",
        ],
    );
    assert_eq!(world.send(STRANGER, &mail()).code, 550);
    assert_eq!(world.send(STRANGER, &to("without.example", mail())).code, 250);
}
