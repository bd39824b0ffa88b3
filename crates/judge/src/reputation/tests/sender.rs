//! Who wrote, read off the facts.

use super::super::*;
use super::domain;
use crate::auth::author::Author;
use crate::auth::dkim::{Dkim, DkimResult};
use crate::auth::dmarc::{Dmarc, DmarcResult, Wish};
use crate::auth::iprev::{Iprev, IprevResult};
use crate::auth::org::PublicSuffixes;
use crate::auth::spf::{Spf, SpfResult};
use crate::evidence::{Fact, MessageFacts, Origin};
use crate::resolver::Security;
use mail::{Line, ReversePath};
use proptest::prelude::*;
use std::net::IpAddr;

fn spf(result: SpfResult) -> Fact<Spf> {
    Fact::Found(Spf {
        result,
        domain: Line::default(),
        term: Line::default(),
        explanation: Line::default(),
        security: Security::Unknown,
    })
}

fn signature(name: &str, result: DkimResult) -> Dkim {
    Dkim {
        result,
        domain: Some(domain(name)),
        selector: Line::default(),
        identity: None,
        algorithm: Line::default(),
        key_bits: None,
        start: Line::default(),
        is_testing: false,
        why: Line::default(),
        security: Security::Unknown,
    }
}

fn dmarc(result: DmarcResult) -> Fact<Dmarc> {
    Fact::Found(Dmarc {
        result,
        author: None,
        organization: None,
        record_at: Line::default(),
        published: Wish::None,
        wish: Wish::None,
        aligned_dkim: Vec::new(),
        aligned_spf: None,
        why: Line::default(),
        security: Security::Unknown,
    })
}

fn iprev(name: &str) -> Fact<Iprev> {
    Fact::Found(Iprev {
        result: IprevResult::Pass,
        name: Some(domain(name)),
        claimed: None,
        why: Line::default(),
        security: Security::Unknown,
    })
}

/// Ann of a shop, by a mail service; nothing is proven.
fn facts() -> MessageFacts {
    MessageFacts {
        origin: Origin {
            spf_helo: spf(SpfResult::None),
            spf_mail_from: spf(SpfResult::SoftFail),
            dkim: Fact::Found(Vec::new()),
            author: Fact::Found(Author::One {
                address: Line::literal("Ann@www.shop.example"),
                domain: domain("www.shop.example"),
            }),
            dmarc: dmarc(DmarcResult::None),
            ..Origin::default()
        },
        ..MessageFacts::unasked(
            0,
            "::ffff:192.0.2.77".parse().unwrap(),
            Line::literal("MX.esp.example."),
            ReversePath::parse("Bounce@esp.example").unwrap(),
        )
    }
}

fn of(facts: &MessageFacts) -> Sender {
    Sender::of(&facts.sender_evidence(), &PublicSuffixes::BuiltIn, false)
}

fn is_validated(facts: &MessageFacts) -> bool {
    of(facts).author.unwrap().is_validated
}

#[test]
fn names_are_read_as_history_knows_them() {
    let sender = of(&facts());
    let author = sender.author.as_ref().unwrap();
    assert_eq!((author.local.as_str(), author.written.as_str()), ("ann", "Ann"));
    assert_eq!(author.organization, domain("shop.example"));
    assert!(!author.is_validated);
    let path = sender.reverse_path.as_ref().unwrap();
    assert_eq!((path.local.as_str(), path.is_validated), ("bounce", false));
    assert_eq!(
        sender.helo,
        Some(HeloClaim {
            domain: domain("mx.esp.example"),
            is_validated: false
        })
    );
    let masked = ["192.0.2.77", "192.0.2.64", "192.0.0.0"];
    assert_eq!(sender.networks, masked.map(|ip| Some(ip.parse::<IpAddr>().unwrap())));
    // Author, domain, organization; reverse-path and its domain; HELO; three networks.
    assert_eq!(sender.identities().len(), 9);
    assert!(sender.identities().contains(&Identity::AuthorOrganization {
        domain: domain("shop.example"),
        validated: false
    }));
}

#[test]
fn masks_of_both_families() {
    for (client, masked) in [
        ("203.0.113.255", ["203.0.113.255", "203.0.113.192", "203.0.112.0"]),
        ("0.0.0.0", ["0.0.0.0", "0.0.0.0", "0.0.0.0"]),
        (
            "2001:db8:ffff:ffff:1::1",
            ["2001:db8:ffff:ffff::", "2001:db8:ffff::", "2001:db8::"],
        ),
    ] {
        let masked = masked.map(|ip| ip.parse::<IpAddr>().unwrap());
        assert_eq!(networks(client.parse().unwrap()), masked);
    }
}

#[test]
fn an_author_is_proven_by_any_aligned_pass() {
    let with = |change: &dyn Fn(&mut MessageFacts)| {
        let mut facts = facts();
        change(&mut facts);
        is_validated(&facts)
    };
    let signed = |name: &'static str, result| {
        move |facts: &mut MessageFacts| facts.origin.dkim = Fact::Found(vec![signature(name, result)])
    };
    assert!(with(&signed("www.shop.example", DkimResult::Pass)));
    assert!(with(&signed("eu.shop.example", DkimResult::Pass)));
    assert!(!with(&signed("shop.example", DkimResult::Fail)));
    assert!(!with(&signed("esp.example", DkimResult::Pass)));
    assert!(with(&|facts| facts.origin.dmarc = dmarc(DmarcResult::Pass)));
    let passes = |path: &'static str| {
        move |facts: &mut MessageFacts| {
            facts.reverse_path = ReversePath::parse(path).unwrap();
            facts.origin.spf_mail_from = spf(SpfResult::Pass);
        }
    };
    assert!(with(&passes("x@bounces.shop.example")));
    assert!(!with(&passes("x@esp.example")));
    assert!(!with(&passes("x")));
    // A null reverse-path has SPF asked of the HELO name.
    assert!(!with(&passes("")));
    assert!(with(&|facts| {
        passes("")(facts);
        facts.helo = Line::literal("mx.shop.example");
    }));
}

#[test]
fn spf_proves_the_reverse_path_and_the_helo_name_each_by_itself() {
    let mut facts = facts();
    facts.origin.spf_helo = spf(SpfResult::Pass);
    let sender = of(&facts);
    assert!(sender.helo.unwrap().is_validated && !sender.reverse_path.unwrap().is_validated);
    facts.origin.spf_mail_from = spf(SpfResult::Pass);
    assert!(of(&facts).reverse_path.unwrap().is_validated);
    facts.reverse_path = ReversePath::Null;
    assert_eq!(of(&facts).reverse_path, None);
}

#[test]
fn each_domain_that_signed_counts_once_in_the_order_of_the_header() {
    let mut facts = facts();
    let pass = |name| signature(name, DkimResult::Pass);
    facts.origin.dkim = Fact::Found(vec![
        pass("z.example"),
        signature("broken.example", DkimResult::Fail),
        pass("a.example"),
        pass("z.example"),
    ]);
    assert_eq!(of(&facts).dkim, [domain("z.example"), domain("a.example")]);
}

#[test]
fn of_forwarded_mail_nothing_is_the_forwarders() {
    let mut facts = facts();
    facts.origin.iprev = iprev("out.forward.example");
    let pass = |name| signature(name, DkimResult::Pass);
    facts.origin.dkim = Fact::Found(vec![
        pass("forward.example"),
        pass("esp.example"),
        pass("www.shop.example"),
        pass("list.example"),
    ]);
    let sender = Sender::of(&facts.sender_evidence(), &PublicSuffixes::BuiltIn, true);
    assert!(sender.author.as_ref().unwrap().is_validated);
    // By its reverse name the one is the forwarder's, by its HELO name the other.
    assert_eq!(sender.dkim, [domain("www.shop.example"), domain("list.example")]);
    assert_eq!((sender.reverse_path.clone(), sender.helo.clone()), (None, None));
    assert_eq!(sender.networks, [None; 3]);
    assert_eq!(sender.identities().len(), 5);
}

#[test]
fn who_stands_between_does_not_answer_for_an_unknown_client() {
    let mut facts = facts();
    let why = Line::literal("the client's address is not known");
    facts.origin.iprev = Fact::Skipped(why);
    assert_eq!(of(&facts).networks, [None; 3]);
}

#[test]
fn without_one_author_there_is_none() {
    for author in [
        Fact::NotAsked,
        Fact::Found(Author::None),
        Fact::Found(Author::Several(vec![domain("a.example")])),
        Fact::Found(Author::Unreadable(Line::literal("x"))),
    ] {
        let mut facts = facts();
        facts.origin.author = author;
        assert_eq!(of(&facts).author, None);
    }
}

#[test]
fn a_quoted_local_part_is_read_without_its_quotes() {
    let mut facts = facts();
    for (address, local) in [
        ("\"Ann B\"@shop.example", "ann b"),
        ("ANN@shop.example", "ann"),
        // No address of an envelope, but an author all the same.
        ("ann [x]@shop.example", "ann [x]"),
    ] {
        facts.origin.author = Fact::Found(Author::One {
            address: Line::literal(address),
            domain: domain("shop.example"),
        });
        assert_eq!(of(&facts).author.unwrap().local.as_str(), local);
    }
}

proptest! {
    #[test]
    fn any_claim_gives_a_sender(address in "\\PC{0,300}", helo in "\\PC{0,80}", path in "\\PC{0,80}", forwarder: bool) {
        let mut facts = facts();
        facts.origin.author = Fact::Found(Author::One {
            address: Line::reason(address.as_bytes()),
            domain: domain("shop.example"),
        });
        facts.helo = Line::reason(helo.as_bytes());
        if let Ok(path) = ReversePath::parse(&path) {
            facts.reverse_path = path;
        }
        let sender = Sender::of(&facts.sender_evidence(), &PublicSuffixes::BuiltIn, forwarder);
        let identities = sender.identities();
        prop_assert!(identities.len() <= 9);
        let stored = serde_json::to_string(&identities).unwrap();
        prop_assert_eq!(serde_json::from_str::<Vec<Identity>>(&stored).unwrap(), identities);
    }
}
