//! What each name in the tree means.

use super::super::{Bounds, BoxName, DeliverError, OpenError};
use super::*;
use crate::relay::next_hop::NextHopError;
use UserStanding::{Anyone, Invalid, NotFromClient, Unknown, Valid};
use judge::checks::{Check, InAll, Recommended, Spec, table};
use judge::greylist::GreylistTimes;
use judge::links::LinkSettings;
use judge::lists::{BlacklistHit, WhitelistHit};
use judge::policy::{Action, Checks, Folder, Rule};
use judge::rates::RateLimits;
use mail::{Address, Line, MailboxId};
use proptest::prelude::*;

/// Names that would leave the tree, or mean something other than a name, were they made part of a path.
const HOSTILE: [&str; 9] = [
    "\"..\"",
    "\"../../etc/passwd\"",
    "_global_",
    "*",
    "\".\"",
    "/",
    "\"a/b\"",
    "valid/ann",
    "~",
];

fn rule(action: Action) -> Option<Rule> {
    Some(Rule {
        action,
        ..Rule::default()
    })
}

fn checks(site: &Site) -> Checks {
    view(&site.open(), "d.example").policy().checks.clone()
}

#[test]
fn users_are_asked_from_the_most_specific_entry_on() {
    in_all_modes(|site| {
        let users = "srv/d.example/users";
        site.touch(&[&format!("{users}/valid/*"), &format!("{users}/valid/Ann")]);
        site.touch(&[&format!("{users}/valid/acl/192.0.2.9"), &format!("{users}/valid/both")]);
        site.touch(&[&format!("{users}/invalid/both"), &format!("{users}/invalid/ann+shop")]);
        site.mkdir(&format!("{users}/invalid/dir"));
        site.touch(&[&format!("{users}/invalid/gone"), &format!("{users}/valid/gone+keep")]);
        let domains = site.open();
        for (name, standing) in [
            ("ann", Valid),
            ("ANN", Valid),
            ("ann+x", Valid),
            ("ann+shop", Invalid),
            ("acl", NotFromClient),
            ("acl+x", NotFromClient),
            ("both", Invalid),
            ("both+x", Invalid),
            ("dir", Invalid),
            ("gone+keep", Valid),
            ("gone+x", Invalid),
            ("*", Anyone),
            ("*+x", Anyone),
            ("nobody", Anyone),
            ("+x", Anyone),
        ] {
            assert_eq!(user(&domains, name), standing, "{name}");
        }
        site.remove(&format!("{users}/valid/*"));
        for name in ["nobody", "*", "*+x", "+x"] {
            assert_eq!(user(&domains, name), Unknown, "{name}");
        }
    });
}

#[test]
fn a_wildcard_directory_admits_its_clients_only() {
    let site = Site::new(Mode::Watches);
    site.touch(&["srv/d.example/users/valid/*/192.0.2.1"]);
    let view = view(&site.open(), "d.example");
    assert_eq!(view.user(&local("x"), ip("192.0.2.1")), Anyone);
    assert_eq!(view.user(&local("x"), ip("192.0.2.2")), NotFromClient);
}

#[test]
fn a_domain_without_users_accepts_nothing() {
    let site = Site::new(Mode::Watches);
    site.mkdir("srv/d.example");
    site.touch(&["srv/e.example/users"]);
    let domains = site.open();
    assert_eq!(user(&domains, "ann"), Unknown);
    assert_eq!(view(&domains, "e.example").user(&local("ann"), ip(CLIENT)), Unknown);
}

#[test]
fn an_acl_knows_each_address_in_every_spelling() {
    let site = Site::new(Mode::Watches);
    site.touch(&[
        "srv/d.example/users/valid/ann/2001:0DB8::0001",
        "srv/d.example/users/valid/ann/192.0.2.1",
    ]);
    let view = view(&site.open(), "d.example");
    for client in ["2001:db8::1", "192.0.2.1", "::ffff:192.0.2.1"] {
        assert_eq!(view.user(&local("ann"), ip(client)), Valid, "{client}");
    }
    assert_eq!(view.user(&local("ann"), ip("2001:db8::2")), NotFromClient);
}

#[test]
fn hostile_names_match_nothing() {
    in_all_modes(|site| {
        site.touch(&[
            "srv/d.example/users/valid/ann",
            "srv/_global_/users/valid/ann",
            "etc/passwd",
        ]);
        site.touch(&["srv/d.example/whitelisted/recipients/ann"]);
        let domains = site.open();
        let seen = view(&domains, "d.example");
        for name in HOSTILE {
            let name = local(name);
            assert_eq!(seen.user(&name, ip(CLIENT)), Unknown, "{name}");
            assert_eq!(seen.mailbox(&name), MailboxId::others(seen.name()), "{name}");
            assert_eq!(
                seen.box_name(&MailboxId::new(&name, seen.name()))
                    .map(|b| b.as_str() == "_others_"),
                match name.as_str() {
                    "*" => Some(true),
                    _ => None,
                }
            );
            assert_eq!(seen.whitelisted(&name, &probe(&ReversePath::Null)), None, "{name}");
        }
        let long = local(&"x".repeat(255));
        assert_eq!(seen.user(&long, ip(CLIENT)), Unknown);
        assert!(LocalPart::parse(&"x".repeat(300)).is_err() && LocalPart::parse("a\0b").is_err());
        for name in ["..", "_global_", "*", "../d.example", "d.example/users", "a\0b"] {
            assert!(Domain::parse(name).is_err(), "{name:?} never reaches the tree");
        }
        assert_eq!(domains.names(), [domain("d.example")]);
    });
}

#[test]
fn spellings_of_one_domain_are_one_and_the_first_that_resolves_counts() {
    in_all_modes(|site| {
        site.touch(&["srv/bücher.example/users/valid/ann", "srv/D.Example/users/valid/ann"]);
        site.touch(&["srv/d.example/users/valid/bob"]);
        let domains = site.open();
        assert!(is_local(&domains, "xn--bcher-kva.example"));
        assert_eq!((user(&domains, "ann"), user(&domains, "bob")), (Valid, Unknown));
        assert_eq!(domains.names(), [domain("d.example"), domain("bücher.example")]);
        site.remove("srv/D.Example");
        site.link("nowhere", "srv/D.Example");
        assert_eq!((user(&domains, "ann"), user(&domains, "bob")), (Unknown, Valid));
        site.touch(&["srv/nowhere/users/valid/ann"]);
        assert_eq!((user(&domains, "ann"), user(&domains, "bob")), (Valid, Unknown));
    });
}

#[test]
fn names_are_those_that_resolve() {
    let site = Site::new(Mode::Watches);
    site.mkdir("srv/b.example");
    site.mkdir("srv/_global_");
    site.mkdir("srv/.hidden");
    site.mkdir("srv/lost+found");
    site.touch(&["srv/README"]);
    site.link("b.example", "srv/a.example");
    site.link("nowhere", "srv/c.example");
    assert_eq!(site.open().names(), [domain("a.example"), domain("b.example")]);
}

#[test]
fn a_directory_outside_the_tree_counts_for_trusted_owners_only() {
    let bounds = Bounds {
        resolved: "/srv".into(),
        owner: 1000,
    };
    let own = rustix::process::geteuid().as_raw();
    assert!(bounds.trusts(0) && bounds.trusts(1000) && bounds.trusts(own));
    assert!(!bounds.trusts(12_345));

    let site = Site::new(Mode::Watches);
    site.touch(&["outside/users/valid/ann"]);
    site.link("../outside", "srv/d.example");
    let domains = site.open();
    assert_eq!(user(&domains, "ann"), Valid);
    // Only root can give a directory away.
    if std::os::unix::fs::chown(site.path("outside"), Some(12_345), None).is_ok() {
        assert!(!is_local(&domains, "d.example"));
        assert!(domains.names().is_empty());
        std::os::unix::fs::chown(site.path("outside"), Some(0), None).unwrap();
        assert!(is_local(&domains, "d.example"));
    }
}

#[test]
fn a_missing_root_is_an_error_with_a_hint_and_missing_lists_are_none() {
    let site = Site::new(Mode::Watches);
    site.remove("srv");
    let defaults = Defaults::default();
    let error = Domains::open(site.roots(), defaults).unwrap_err();
    assert_eq!(error, OpenError::NoRoot(site.path("srv")));
    assert!(error.hint().contains("mkdir -p"));
    site.mkdir("srv/d.example");
    assert!(Domains::open(site.roots(), Defaults::default()).is_ok());
}

#[test]
fn sets_switch_on_what_the_table_says() {
    let site = Site::new(Mode::Watches);
    site.touch(&["srv/d.example/checks/recommended"]);
    let recommended = checks(&site).rules;
    assert_eq!(
        (
            recommended.get(Check::Helo).cloned(),
            recommended.get(Check::Sender).cloned()
        ),
        (Some(Rule::soft()), rule(Action::Reject))
    );
    site.remove("srv/d.example/checks/recommended");
    site.touch(&["srv/d.example/checks/all"]);
    let all = checks(&site).rules;
    assert_eq!(all.get(Check::Helo).cloned(), rule(Action::Reject));
    for spec in table() {
        assert_eq!(all.has(spec.check), spec.in_all == InAll::Always, "{}", spec.name);
        assert_eq!(
            recommended.has(spec.check),
            spec.recommended != Recommended::No,
            "{}",
            spec.name
        );
    }
    site.remove("srv/d.example/checks");
    assert_eq!(checks(&site), Checks::default());
}

/// What the set spares is spared by the set alone: `checks/all` and a file of the check's own are meant to the letter.
#[test]
fn only_recommended_spares_what_it_leaves_alone() {
    let site = Site::new(Mode::Watches);
    let spares = || {
        let rules = checks(&site).rules;
        let is_spared = |spec: &&Spec| rules.get(spec.check).is_some_and(|rule| rule.as_recommended);
        let names: Vec<_> = table().iter().filter(is_spared).map(|spec| spec.name).collect();
        names.join(" ")
    };
    site.touch(&["srv/d.example/checks/recommended"]);
    assert_eq!(spares(), "address spf");
    site.write("srv/d.example/checks/recommended", "action = \"tag\"");
    assert_eq!(spares(), "address spf");
    site.write("srv/d.example/checks/recommended", "soft = false");
    assert_eq!(spares(), "", "who writes that wants all of it to act");
    site.touch(&["srv/d.example/checks/recommended", "srv/d.example/checks/spf"]);
    site.write("srv/d.example/checks/recommended", "");
    assert_eq!(spares(), "address");
    site.touch(&["srv/d.example/checks/all"]);
    assert_eq!(spares(), "");
}

#[test]
fn a_file_of_its_own_outranks_all_and_all_outranks_recommended() {
    let site = Site::new(Mode::Watches);
    site.write("srv/d.example/checks/recommended", "action = \"tag\"\nsoft = false");
    assert_eq!(checks(&site).rules.get(Check::Helo).cloned(), rule(Action::Tag));
    site.write("srv/d.example/checks/all", "action = \"hold\"");
    assert_eq!(checks(&site).rules.get(Check::Helo).cloned(), rule(Action::Hold));
    site.write("srv/d.example/checks/helo", "soft = true");
    assert_eq!(
        (
            checks(&site).rules.get(Check::Helo).cloned(),
            checks(&site).rules.get(Check::Date).cloned()
        ),
        (Some(Rule::soft()), rule(Action::Hold))
    );
}

#[test]
fn reputation_brings_along_what_surrounds_it() {
    let site = Site::new(Mode::Watches);
    site.touch(&["srv/d.example/checks/reputation"]);
    let found = checks(&site);
    assert_eq!(
        (
            found.rules.get(Check::Rate).cloned(),
            found.rules.get(Check::Strangers).cloned()
        ),
        (rule(Action::Defer), rule(Action::Defer))
    );
    assert_eq!(found.rules.get(Check::Greylisting).cloned(), None, "never implied");
    // As evidence where it is evidence itself; what it does when it acts is its own.
    site.write("srv/d.example/checks/reputation", "soft = true\naction = \"tag\"");
    let soft = Rule {
        soft: true,
        ..rule(Action::Defer).unwrap()
    };
    assert_eq!(checks(&site).rules.get(Check::Strangers).cloned(), Some(soft));
    site.write("srv/d.example/checks/strangers", "action = \"tag\"");
    assert_eq!(checks(&site).rules.get(Check::Strangers).cloned(), rule(Action::Tag));
    site.remove("srv/d.example/checks/reputation");
    assert_eq!(checks(&site).rules.get(Check::Rate).cloned(), None);
}

/// Once what `recommended` says of them stood above that, so they deferred mail while `reputation` was only looked at.
#[test]
fn what_surrounds_reputation_is_in_shadow_with_it_though_it_is_recommended() {
    let site = Site::new(Mode::Watches);
    site.touch(&["srv/d.example/checks/recommended"]);
    assert_eq!(checks(&site).rules.get(Check::Strangers).cloned(), rule(Action::Defer));
    site.write("srv/d.example/checks/reputation", "shadow = true");
    let shadowed = Rule {
        shadow: true,
        ..rule(Action::Defer).unwrap()
    };
    let found = checks(&site);
    assert_eq!(
        (
            found.rules.get(Check::Rate).cloned(),
            found.rules.get(Check::Strangers).cloned()
        ),
        (Some(shadowed.clone()), Some(shadowed.clone()))
    );
    site.write("srv/d.example/checks/rate", "shadow = false");
    let found = checks(&site);
    assert_eq!(
        (
            found.rules.get(Check::Rate).cloned(),
            found.rules.get(Check::Strangers).cloned()
        ),
        (rule(Action::Defer), Some(shadowed))
    );
}

#[test]
fn rates_and_waits_are_read_and_the_rest_keeps_its_default() {
    let site = Site::new(Mode::Watches);
    site.write(
        "srv/d.example/checks/rate",
        "messages_minute = 5\nmessages_day = 50\nmebibytes_day = 0x10\nmebibytes_minute = \"7\"",
    );
    site.write("srv/d.example/checks/greylisting", "delay_s = 60");
    let found = checks(&site);
    let RateLimits { minute, day } = found.settings.rate_limits;
    assert_eq!(
        (minute.messages, minute.octets),
        (5, RateLimits::default().minute.octets)
    );
    assert_eq!((day.messages, day.octets), (50, 16 << 20));
    let expected = GreylistTimes {
        delay_s: 60,
        ..GreylistTimes::default()
    };
    assert_eq!(
        (
            found.settings.greylist_times,
            found.rules.get(Check::Greylisting).cloned()
        ),
        (expected, rule(Action::Defer))
    );
}

#[test]
fn what_an_operator_says_of_links_is_read() {
    let site = Site::new(Mode::Watches);
    site.touch(&["srv/d.example/checks/recommended"]);
    let found = checks(&site);
    assert_eq!(
        (found.rules.get(Check::Links).cloned(), found.settings.link_settings),
        (rule(Action::Reject), LinkSettings::default())
    );
    site.write(
        "srv/d.example/checks/links",
        "threshold = 13\naction = \"tag\"\nshorteners = [\"Go.Example\", 5]\nignore = [\"click.esp.example\", \"203.0.113.5\"]",
    );
    let found = checks(&site);
    assert_eq!(found.rules.get(Check::Links).cloned(), rule(Action::Tag));
    assert_eq!(
        found.settings.link_settings,
        LinkSettings {
            threshold: 13,
            shorteners: vec![domain("go.example")],
            ignore: vec![domain("click.esp.example"), domain("203.0.113.5")],
        }
    );
}

#[test]
fn lists_are_those_of_the_domain_and_of_all() {
    in_all_modes(|site| {
        let own = "srv/d.example/lists/Lists.A.example";
        site.touch(&[own, "srv/_global_/lists/b.example", "srv/d.example/lists/x y"]);
        let domains = site.open();
        let allows = |name: &str| view(&domains, "d.example").allows_list(&domain(name));
        assert_eq!(
            ["lists.a.example", "b.example", "x.lists.a.example", "a.example"].map(allows),
            [true, true, false, false]
        );
    });
}

#[test]
fn a_file_that_is_no_toml_counts_as_empty() {
    let site = Site::new(Mode::Watches);
    let long = format!("action = \"tag\"\n# {}", "x".repeat(64 * 1024));
    for text in [
        "",
        "yes\n",
        "on since Monday",
        "action = reject",
        "= = =",
        "\u{feff}\0",
        &long,
    ] {
        site.write("srv/d.example/checks/helo", text);
        assert_eq!(
            checks(&site).rules.get(Check::Helo).cloned(),
            rule(Action::Reject),
            "{:.20}",
            text
        );
    }
    fs::write(site.path("srv/d.example/checks/helo"), b"action = \"tag\" # \xff").unwrap();
    assert_eq!(checks(&site).rules.get(Check::Helo).cloned(), rule(Action::Reject));
    site.remove("srv/d.example/checks/helo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        site.path("srv/d.example/checks/helo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
    assert_eq!(
        checks(&site).rules.get(Check::Helo).cloned(),
        rule(Action::Reject),
        "a pipe is not waited for"
    );
}

#[test]
fn each_key_of_a_check_file_is_read_and_a_wrong_one_keeps_its_default() {
    let site = Site::new(Mode::Watches);
    let helo = |text: &str| {
        site.write("srv/d.example/checks/helo", text);
        checks(&site).rules.get(Check::Helo).cloned().unwrap()
    };
    for (word, action) in [
        ("reject", Action::Reject),
        ("tag", Action::Tag),
        ("file", Action::File(Folder::junk())),
        ("hold", Action::Hold),
        ("defer", Action::Defer),
        ("discard", Action::Discard),
    ] {
        assert_eq!(helo(&format!("action = \"{word}\"")).action, action);
    }
    let bulk = Action::File(Folder::parse("Bulk").unwrap());
    assert_eq!(helo("folder = \"Bulk\"\naction = \"file\"").action, bulk);
    assert_eq!(
        helo("action = \"file\"\nfolder = \"../x\"").action,
        Action::File(Folder::junk())
    );
    let wrong = helo("action = \"tagg\"\nsoft = 1\nshadow = true\ncolour = \"red\"");
    let expected = Rule {
        shadow: true,
        ..Rule::default()
    };
    assert_eq!(wrong, expected);
}

#[test]
fn dkim_takes_domains() {
    let site = Site::new(Mode::Watches);
    let domains = |text: &str| {
        site.write("srv/d.example/checks/dkim", text);
        checks(&site).settings.dkim_domains
    };
    assert_eq!(domains(""), None);
    assert_eq!(
        domains("domains = [\"Pay.Example.\", 7]"),
        Some(vec![domain("pay.example")])
    );
    assert_eq!(domains("domains = []"), Some(vec![]));
    assert_eq!(domains("domains = [\"*\"]"), None);
    assert_eq!(domains("domains = \"pay.example\""), None);
}

#[test]
fn leftovers_and_other_cases_switch_nothing_on() {
    let site = Site::new(Mode::Watches);
    site.touch(&[
        "srv/d.example/checks/helo~",
        "srv/d.example/checks/.all",
        "srv/d.example/checks/All",
    ]);
    site.touch(&["srv/d.example/users/valid/ann~", "srv/d.example/users/valid/.bob"]);
    let domains = site.open();
    assert_eq!(view(&domains, "d.example").policy().checks, Checks::default());
    assert_eq!((user(&domains, "ann~"), user(&domains, ".bob")), (Unknown, Unknown));
}

#[test]
fn shadow_holds_for_the_server_or_the_domain() {
    let site = Site::new(Mode::Watches);
    site.touch(&["srv/d.example/shadow", "srv/e.example/users/valid/ann"]);
    site.link("nowhere", "srv/f.example/shadow");
    let shadows = |server| {
        let defaults = Defaults {
            shadow: server,
            whitelist_unknown_users: false,
            ..Defaults::default()
        };
        let domains = Domains::open(site.roots(), defaults).unwrap();
        assert!(!view(&domains, "d.example").policy().whitelist_unknown_users);
        ["d.example", "e.example", "f.example"].map(|name| view(&domains, name).policy().shadow)
    };
    assert_eq!(shadows(false), [true, false, false]);
    assert_eq!(shadows(true), [true, true, true]);
}

#[test]
fn whitelists_know_senders_domains_and_recipients() {
    in_all_modes(|site| {
        site.touch(&["srv/d.example/whitelisted/senders/Bob@Bücher.example"]);
        site.touch(&["srv/_global_/whitelisted/domains/Good.Example."]);
        site.touch(&[
            "srv/d.example/whitelisted/recipients/Postmaster",
            "srv/d.example/whitelisted/hosts/x.example",
        ]);
        site.link("nowhere", "srv/d.example/whitelisted/ips/192.0.2.1");
        let seen = view(&site.open(), "d.example");
        let hit = |path: &str, to: &str| seen.whitelisted(&local(to), &probe(&ReversePath::parse(path).unwrap()));
        let bob = Line::literal("bob@xn--bcher-kva.example");
        assert_eq!(hit("BOB@xn--bcher-kva.example", "x"), Some(WhitelistHit::Sender(bob)));
        assert_eq!(
            hit("x@good.example", "x"),
            Some(WhitelistHit::Domain(domain("good.example")))
        );
        let postmaster = Some(WhitelistHit::Recipient(Line::literal("postmaster")));
        assert_eq!(hit("", "POSTMASTER"), postmaster);
        assert_eq!((hit("", "postmaster+x"), hit("x@sub.good.example", "x")), (None, None));
    });
}

#[test]
fn blacklists_know_reverse_names_and_their_last_labels() {
    let site = Site::new(Mode::Watches);
    site.touch(&[
        "srv/d.example/blacklisted/hosts/MX.Bad.Example",
        "srv/d.example/blacklisted/tld/Test",
    ]);
    let seen = view(&site.open(), "d.example");
    let hit = |host: Option<&Domain>| {
        seen.blacklisted(&Probe {
            client: ip(CLIENT),
            reverse_name: host,
            reverse_path: &ReversePath::Null,
        })
    };
    let host = domain("mx.bad.example");
    assert_eq!(hit(Some(&host)), Some(BlacklistHit::Host(host.clone())));
    assert_eq!(
        hit(Some(&domain("x.test"))),
        Some(BlacklistHit::Tld(Line::literal("test")))
    );
    // The directory itself exists; that must not blacklist who has no reverse name.
    assert_eq!(hit(None), None);
}

#[test]
fn mail_falls_into_the_owners_box_the_users_own_or_the_shared_one() {
    let site = Site::new(Mode::Watches);
    site.touch(&[
        "srv/d.example/users/valid/*",
        "srv/d.example/users/valid/Ann",
        "srv/d.example/users/valid/eve+a",
    ]);
    site.touch(&["srv/d.example/users/invalid/old"]);
    site.write(
        "srv/d.example/mailboxes/Sales",
        "# who answers\n\n Ann+sales@D.Example \n",
    );
    site.write("srv/d.example/mailboxes/sales+big", "boss@other.example");
    site.write("srv/d.example/mailboxes/bad", "nobody at all");
    site.write("srv/d.example/mailboxes/star", "*@other.example");
    site.write("srv/d.example/mailboxes/evil", "\"../x\"@d.example");
    let seen = view(&site.open(), "d.example");
    for (name, mailbox, component) in [
        ("ann", "ann@d.example", Some("ann")),
        ("ANN+x", "ann@d.example", Some("ann")),
        ("sales", "ann@d.example", Some("ann")),
        ("sales+x", "ann@d.example", Some("ann")),
        ("sales+big", "boss@other.example", Some("boss")),
        ("eve+a", "eve@d.example", Some("eve")),
        ("eve", "*@d.example", Some("_others_")),
        ("old", "old@d.example", Some("old")),
        ("bad", "*@d.example", Some("_others_")),
        ("star", "*@d.example", Some("_others_")),
        ("invented", "*@d.example", Some("_others_")),
    ] {
        let found = seen.mailbox(&local(name));
        assert_eq!(found.to_string(), mailbox, "{name}");
        assert_eq!(seen.box_name(&found).as_ref().map(BoxName::as_str), component, "{name}");
    }
    assert_eq!(seen.box_name(&seen.mailbox(&local("evil"))), None);
    for stranger in ["x@d.example", "ann@other.example", "*@other.example"] {
        let address = Address::parse(stranger).unwrap();
        let mailbox = MailboxId::new(address.local(), address.domain().unwrap());
        assert_eq!(seen.box_name(&mailbox), None, "{stranger}");
    }
}

#[test]
fn a_bad_next_hop_is_an_error_and_programs_are_for_the_main_configuration() {
    let site = Site::new(Mode::Watches);
    let hop = |text: &str| {
        site.write("srv/d.example/deliver", text);
        view(&site.open(), "d.example").next_hop().unwrap().clone()
    };
    assert!(hop("# the old server\n smtp:mx.example:25 \r\n").is_ok());
    assert!(hop("maildir:/var/mail/{domain}/{local}").is_ok());
    for text in ["bsmtp:/usr/sbin/rsmtp", "PIPE:/bin/sh", "| /bin/sh", "exec:/bin/sh"] {
        let error = hop(text).unwrap_err();
        assert_eq!(error, DeliverError::NextHop(NextHopError::MainConfigOnly(text.into())));
    }
    assert_eq!(hop(""), Err(DeliverError::Empty));
    assert_eq!(hop("smtp:a:25\nsmtp:b:25"), Err(DeliverError::SeveralLines));
    assert!(matches!(
        hop("smtp:a"),
        Err(DeliverError::NextHop(NextHopError::Port { .. }))
    ));
    site.remove("srv/d.example/deliver");
    site.link("nowhere", "srv/d.example/deliver");
    // Not the server's next hop: the operator meant another one.
    assert!(matches!(
        site.open().find(&domain("d.example")),
        Found::Unreadable { .. }
    ));
}

#[test]
fn only_harmless_names_are_components() {
    for name in ["ann", "a b", "ann@x", "bücher", "a..b", "-x", "*"] {
        assert_eq!(BoxName::parse(name).unwrap().as_str(), name);
    }
    let long = "x".repeat(256);
    for name in ["", ".", "..", ".ann", "a/b", "/", "a\0b", "a\nb", "_others_", &long] {
        assert_eq!(BoxName::parse(name), None, "{name:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A lookup equals: lower-case the names that were written, cut what is asked at the first plus, compare.
    #[test]
    fn users_equal_a_naive_reference(
        valid in prop::collection::btree_set("[a-cA-C*]{1,2}(\\+[a-b])?", 0..6),
        invalid in prop::collection::btree_set("[a-cA-C]{1,2}(\\+[a-b])?", 0..3),
        asked in prop::collection::vec("[a-cA-C*]{1,2}(\\+[a-b])?", 8),
    ) {
        let site = Site::new(Mode::Watches);
        site.mkdir("srv/d.example");
        valid.iter().for_each(|name| site.touch(&[&format!("srv/d.example/users/valid/{name}")]));
        invalid.iter().for_each(|name| site.touch(&[&format!("srv/d.example/users/invalid/{name}")]));
        let listed = |names: &std::collections::BTreeSet<String>, name: &str| {
            name != "*" && names.iter().any(|listed| listed.to_lowercase() == name)
        };
        let domains = site.open();
        for name in asked {
            let lower = name.to_lowercase();
            let base = lower.split('+').next().unwrap().to_owned();
            let levels = [lower, base];
            let expected = levels
                .iter()
                .find_map(|level| match (listed(&invalid, level), listed(&valid, level)) {
                    (true, _) => Some(Invalid),
                    (_, true) => Some(Valid),
                    _ => None,
                })
                .unwrap_or(if valid.contains("*") { Anyone } else { Unknown });
            prop_assert_eq!(user(&domains, &name), expected, "{}", name);
        }
    }

    /// A list of senders equals comparing the spelling that people would call the same.
    #[test]
    fn senders_equal_a_naive_reference(
        listed in prop::collection::btree_set("[a-bA-B]{1,2}@[a-bA-B]\\.[eE]xample\\.?", 0..6),
        asked in prop::collection::vec("[a-bA-B]{1,2}@[a-bA-B]\\.[eE]xample\\.?", 8),
    ) {
        let site = Site::new(Mode::Watches);
        site.mkdir("srv/d.example");
        listed.iter().for_each(|name| site.touch(&[&format!("srv/d.example/blacklisted/senders/{name}")]));
        let same = |a: &str, b: &str| a.trim_end_matches('.').eq_ignore_ascii_case(b.trim_end_matches('.'));
        let domains = site.open();
        for name in asked {
            let expected = listed.iter().any(|entry| same(entry, &name));
            prop_assert_eq!(blacklists(&domains, &name), expected, "{}", name);
        }
    }
}
