//! A change takes effect on the next lookup; without one, a lookup costs nothing.

use super::*;
use UserStanding::{Anyone, NotFromClient, Unknown, Valid};
use judge::checks::Check;

#[test]
fn a_user_who_comes_or_goes_is_seen_at_once() {
    in_all_modes(|site| {
        site.mkdir("srv/d.example/users/valid");
        let domains = site.open();
        assert_eq!(user(&domains, "ann"), Unknown);
        site.touch(&["srv/d.example/users/valid/ann"]);
        assert_eq!(user(&domains, "ann"), Valid);
        site.remove("srv/d.example/users/valid/ann");
        assert_eq!(user(&domains, "ann"), Unknown);
        site.touch(&["srv/d.example/users/valid/*"]);
        assert_eq!(user(&domains, "ann"), Anyone);
        site.rename("srv/d.example/users", "srv/d.example/users.old");
        assert_eq!(user(&domains, "ann"), Unknown);
    });
}

#[test]
fn the_first_users_directory_is_seen_at_once() {
    in_all_modes(|site| {
        site.mkdir("srv/d.example");
        let domains = site.open();
        assert_eq!(user(&domains, "ann"), Unknown);
        site.touch(&["srv/d.example/users/valid/ann"]);
        assert_eq!(user(&domains, "ann"), Valid);
    });
}

#[test]
fn a_client_added_to_a_users_directory_is_seen_at_once() {
    in_all_modes(|site| {
        site.touch(&["srv/d.example/users/valid/ann/192.0.2.9"]);
        let domains = site.open();
        assert_eq!(user(&domains, "ann"), NotFromClient);
        site.touch(&["srv/d.example/users/valid/ann/::ffff:192.0.2.1"]);
        assert_eq!(user(&domains, "ann"), Valid);
        site.remove("srv/d.example/users/valid/ann");
        site.touch(&["srv/d.example/users/valid/ann"]);
        assert_eq!(user(&domains, "ann"), Valid);
        site.remove("srv/d.example/users/valid/ann");
        site.mkdir("srv/d.example/users/valid/ann");
        assert_eq!(user(&domains, "ann"), NotFromClient);
    });
}

#[test]
fn a_check_file_rewritten_in_place_or_replaced_is_seen_at_once() {
    in_all_modes(|site| {
        site.write("srv/d.example/checks/helo", "action = \"tag\"");
        let domains = site.open();
        assert_eq!(helo(&domains).as_deref(), Some("Tag"));
        // Of the same length, within the same tick of the clock.
        site.write("srv/d.example/checks/helo", "soft   =  true");
        assert_eq!(helo(&domains).as_deref(), Some("Reject"));
        replace_by_rename(site, "srv/d.example/checks/helo", "action = \"hold\"");
        assert_eq!(helo(&domains).as_deref(), Some("Hold"));
        site.remove("srv/d.example/checks/helo");
        assert_eq!(helo(&domains), None);
        site.mkdir("srv/d.example/checks/helo");
        assert_eq!(helo(&domains).as_deref(), Some("Reject"));
    });
}

#[test]
fn a_check_file_written_by_another_of_its_names_is_seen_at_once() {
    in_all_modes(|site| {
        site.write("srv/d.example/checks/helo", "action = \"tag\"");
        site.mkdir("elsewhere");
        let domains = site.open();
        assert_eq!(helo(&domains).as_deref(), Some("Tag"));
        hard_link(site, "srv/d.example/checks/helo", "elsewhere/helo");
        assert_eq!(helo(&domains).as_deref(), Some("Tag"));
        site.write("elsewhere/helo", "action = \"hold\"");
        assert_eq!(helo(&domains).as_deref(), Some("Hold"));
    });
}

#[test]
fn a_linked_check_file_is_followed_when_its_target_changes() {
    in_all_modes(|site| {
        site.write("common/strict", "action = \"hold\"");
        site.link("../../../common/current", "srv/d.example/checks/helo");
        let domains = site.open();
        assert_eq!(helo(&domains), None, "the link dangles");
        site.link("strict", "common/current");
        assert_eq!(helo(&domains).as_deref(), Some("Hold"));
        site.write("common/strict", "action = \"tag\"");
        assert_eq!(helo(&domains).as_deref(), Some("Tag"));
        site.write("common/mild", "soft = true");
        site.remove("common/current");
        site.link("mild", "common/current");
        assert_eq!(helo(&domains).as_deref(), Some("Reject"));
        site.rename("common", "common.old");
        assert_eq!(helo(&domains), None);
    });
}

#[test]
fn a_linked_check_directory_is_followed() {
    in_all_modes(|site| {
        site.write("common/checks/helo", "action = \"tag\"");
        site.mkdir("srv/d.example");
        let domains = site.open();
        assert_eq!(helo(&domains), None);
        site.link("../../common/checks", "srv/d.example/checks");
        assert_eq!(helo(&domains).as_deref(), Some("Tag"));
        site.write("common/checks/helo", "action = \"hold\"");
        assert_eq!(helo(&domains).as_deref(), Some("Hold"));
        site.touch(&["common/checks/date"]);
        assert!(view(&domains, "d.example").policy().checks.rules.has(Check::Date));
        site.rename("common/checks", "common/checks.old");
        assert_eq!(helo(&domains), None);
    });
}

#[test]
fn linked_users_come_and_go_with_their_targets() {
    in_all_modes(|site| {
        site.link("../../../../people/ann", "srv/d.example/users/valid/ann");
        site.mkdir("people");
        let domains = site.open();
        assert_eq!(user(&domains, "ann"), Unknown);
        site.touch(&["people/ann"]);
        assert_eq!(user(&domains, "ann"), Valid);
        site.remove("people/ann");
        assert_eq!(user(&domains, "ann"), Unknown);
        site.touch(&["people/ann/192.0.2.9"]);
        assert_eq!(user(&domains, "ann"), NotFromClient);
        site.touch(&["people/ann/192.0.2.1"]);
        assert_eq!(user(&domains, "ann"), Valid);
    });
}

#[test]
fn a_linked_domain_changes_with_its_target() {
    in_all_modes(|site| {
        site.touch(&["srv/other.example/users/valid/ann"]);
        let domains = site.open();
        assert!(!is_local(&domains, "d.example"));
        site.link("other.example", "srv/d.example");
        assert_eq!(user(&domains, "ann"), Valid);
        assert_eq!(user(&domains, "bob"), Unknown);
        site.touch(&["srv/other.example/users/valid/bob"]);
        assert_eq!(user(&domains, "bob"), Valid);
        assert_eq!(view(&domains, "d.example").name(), &domain("d.example"));
        site.rename("srv/other.example", "srv/third.example");
        assert!(!is_local(&domains, "d.example"));
        assert!(is_local(&domains, "third.example"));
        site.rename("srv/third.example", "srv/other.example");
        assert_eq!(user(&domains, "bob"), Valid);
        site.remove("srv/d.example");
        assert!(!is_local(&domains, "d.example"));
    });
}

#[test]
fn a_domain_that_is_made_removed_or_renamed_is_seen_at_once() {
    in_all_modes(|site| {
        let domains = site.open();
        assert!(!is_local(&domains, "d.example"));
        site.touch(&["srv/d.example/users/valid/ann"]);
        assert_eq!(user(&domains, "ann"), Valid);
        site.rename("srv/d.example", "srv/e.example");
        assert!(!is_local(&domains, "d.example"));
        assert!(is_local(&domains, "e.example"));
        site.touch(&["srv/d.example/users/valid/bob"]);
        assert_eq!((user(&domains, "ann"), user(&domains, "bob")), (Unknown, Valid));
        site.remove("srv/d.example");
        site.touch(&["srv/d.example/users/valid/ann"]);
        assert_eq!((user(&domains, "ann"), user(&domains, "bob")), (Valid, Unknown));
        site.remove("srv/d.example");
        assert!(!is_local(&domains, "d.example"));
        site.touch(&["srv/d.example"]);
        assert!(!is_local(&domains, "d.example"), "a file is no domain");
    });
}

#[test]
fn a_domain_directory_swapped_for_another_is_seen_at_once() {
    in_all_modes(|site| {
        site.touch(&["srv/d.example/users/valid/ann", "srv/staged/users/valid/bob"]);
        let domains = site.open();
        assert_eq!(user(&domains, "ann"), Valid);
        site.rename("srv/d.example", "srv/old");
        site.rename("srv/staged", "srv/d.example");
        assert_eq!((user(&domains, "ann"), user(&domains, "bob")), (Unknown, Valid));
    });
}

#[test]
fn the_whole_tree_swapped_for_another_is_seen_at_once() {
    in_all_modes(|site| {
        site.touch(&["one/d.example/users/valid/ann", "two/d.example/users/valid/bob"]);
        site.touch(&["two/_global_/blacklisted/senders/s@s.example"]);
        site.remove("srv");
        site.link("one", "srv");
        let domains = site.open();
        assert_eq!(user(&domains, "ann"), Valid);
        assert!(!blacklists(&domains, "s@s.example"));
        site.link("two", "srv.new");
        site.rename("srv.new", "srv");
        assert_eq!((user(&domains, "ann"), user(&domains, "bob")), (Unknown, Valid));
        assert!(blacklists(&domains, "s@s.example"));
        site.rename("two", "three");
        assert!(matches!(domains.find(&domain("d.example")), Found::Unreadable { .. }));
        site.rename("three", "two");
        assert_eq!(user(&domains, "bob"), Valid);
    });
}

#[test]
fn lists_of_one_domain_and_of_all_are_seen_at_once() {
    in_all_modes(|site| {
        site.mkdir("srv/d.example");
        let domains = site.open();
        assert!(!blacklists(&domains, "s@s.example"));
        site.touch(&["srv/d.example/blacklisted/senders/S@S.Example"]);
        assert!(blacklists(&domains, "s@s.example"));
        site.remove("srv/d.example/blacklisted/senders/S@S.Example");
        assert!(!blacklists(&domains, "s@s.example"));
        site.touch(&["srv/_global_/blacklisted/domains/s.example"]);
        assert!(blacklists(&domains, "s@s.example"));
        site.remove("srv/_global_");
        assert!(!blacklists(&domains, "s@s.example"));
        site.touch(&["blacklist.d/192.0.2.1"]);
        assert!(blacklists(&domains, "s@s.example"));
        site.remove("blacklist.d/192.0.2.1");
        assert!(!blacklists(&domains, "s@s.example"));
        site.remove("blacklist.d");
        site.link("blocked", "blacklist.d");
        assert!(!blacklists(&domains, "s@s.example"));
        site.touch(&["blocked/::ffff:192.0.2.1"]);
        assert!(blacklists(&domains, "s@s.example"));
    });
}

#[test]
fn next_hop_owner_and_shadow_are_seen_at_once() {
    in_all_modes(|site| {
        site.mkdir("srv/d.example");
        let domains = site.open();
        let seen = || {
            let view = view(&domains, "d.example");
            let hop = view.next_hop().map(|hop| hop.as_ref().ok().map(ToString::to_string));
            (hop, view.mailbox(&local("sales")).to_string(), view.policy().shadow)
        };
        assert_eq!(seen(), (None, "*@d.example".into(), false));
        site.write("srv/d.example/deliver", "smtp:mx.example:25\n");
        site.write("srv/d.example/mailboxes/sales", "ann@d.example\n");
        site.touch(&["srv/d.example/shadow"]);
        let hop = Some(Some("smtp:mx.example:25".into()));
        assert_eq!(seen(), (hop, "ann@d.example".into(), true));
        site.write("srv/d.example/deliver", "smtp:mx.example\n");
        site.write("srv/d.example/mailboxes/sales", "bob@d.example\n");
        site.remove("srv/d.example/shadow");
        assert_eq!(seen(), (Some(None), "bob@d.example".into(), false));
        site.remove("srv/d.example/deliver");
        site.remove("srv/d.example/mailboxes");
        assert_eq!(seen(), (None, "*@d.example".into(), false));
    });
}

#[test]
fn a_snapshot_stays_as_it_was() {
    in_all_modes(|site| {
        site.touch(&["srv/d.example/users/valid/ann"]);
        let domains = site.open();
        let before = view(&domains, "d.example");
        site.remove("srv/d.example");
        assert!(!is_local(&domains, "d.example"));
        assert_eq!(before.user(&local("ann"), ip(CLIENT)), Valid);
    });
}

#[test]
fn what_cannot_be_read_is_told_and_mended_at_once() {
    in_all_modes(|site| {
        site.touch(&["srv/d.example/users/valid/ann"]);
        let domains = site.open();
        assert_eq!(user(&domains, "ann"), Valid);
        // A circle of links cannot be read, even by root.
        site.link("checks", "srv/d.example/checks");
        match domains.find(&domain("d.example")) {
            Found::Unreadable { path, .. } => assert_eq!(path, site.path("srv/d.example/checks")),
            other => panic!("{other:?}"),
        }
        assert!(matches!(domains.find(&domain("d.example")), Found::Unreadable { .. }));
        site.remove("srv/d.example/checks");
        assert_eq!(user(&domains, "ann"), Valid);
        site.link("_global_", "srv/_global_");
        assert!(matches!(domains.find(&domain("d.example")), Found::Unreadable { .. }));
        site.remove("srv/_global_");
        assert_eq!(user(&domains, "ann"), Valid);
    });
}

#[test]
fn permissions_taken_and_given_back_are_seen_at_once() {
    use std::os::unix::fs::PermissionsExt;
    in_all_modes(|site| {
        site.touch(&["srv/d.example/users/valid/ann"]);
        let domains = site.open();
        assert_eq!(user(&domains, "ann"), Valid);
        let set = |mode| {
            let path = site.path("srv/d.example/users/valid");
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        set(0o000);
        // Nothing is closed to root.
        match rustix::process::geteuid().is_root() {
            true => assert_eq!(user(&domains, "ann"), Valid),
            false => assert!(matches!(domains.find(&domain("d.example")), Found::Unreadable { .. })),
        }
        set(0o755);
        assert_eq!(user(&domains, "ann"), Valid);
    });
}

#[test]
fn a_lookup_costs_no_disk_access_when_nothing_changed() {
    let site = Site::new(Mode::Watches);
    site.touch(&["srv/d.example/users/valid/ann/192.0.2.1", "srv/d.example/users/valid/*"]);
    site.touch(&["srv/d.example/checks/all", "srv/_global_/blacklisted/ips/192.0.2.7"]);
    site.touch(&["srv/d.example/whitelisted/senders/s@s.example", "blacklist.d/192.0.2.8"]);
    site.write("srv/d.example/deliver", "smtp:127.0.0.1:25");
    site.link("d.example", "srv/e.example");
    site.link("../../gone", "srv/d.example/blacklisted");
    site.link("nowhere", "srv/f.example");
    let domains = site.open();
    let all = |domains: &Domains| {
        for name in ["d.example", "e.example", "f.example", "stranger.example"] {
            domains.find(&domain(name));
        }
        blacklists(domains, "s@s.example");
    };
    all(&domains);
    let before = domains.disk_accesses();
    for _ in 0..100 {
        all(&domains);
    }
    assert_eq!(domains.disk_accesses(), before);
    assert!(Arc::ptr_eq(&view(&domains, "d.example"), &view(&domains, "d.example")));
}

#[test]
fn only_what_changed_is_read_again() {
    let site = Site::new(Mode::Watches);
    site.touch(&["srv/d.example/users/valid/ann", "srv/d.example/users/invalid/bob"]);
    site.touch(&[
        "srv/d.example/checks/all",
        "srv/d.example/checks/helo",
        "srv/e.example/users/valid/ann",
    ]);
    let domains = site.open();
    let cost = |change: &dyn Fn()| {
        let look = || (view(&domains, "d.example"), view(&domains, "e.example"));
        let (before, _) = look();
        let accesses = domains.disk_accesses();
        change();
        let (after, _) = look();
        let same_policy = Arc::ptr_eq(before.policy(), after.policy());
        (domains.disk_accesses() - accesses, same_policy)
    };
    // A look at the link, one at the directory, one through it.
    assert_eq!(cost(&|| site.touch(&["srv/d.example/users/invalid/eve"])), (3, true));
    // A look at the link, one at the file, one into it.
    assert_eq!(
        cost(&|| site.write("srv/d.example/checks/helo", "soft = true")),
        (3, false)
    );
    assert_eq!(cost(&|| site.write("srv/d.example/users/valid/ann", "Ann")), (0, true));
    assert_eq!(cost(&|| ()), (0, true));
}

#[test]
fn strangers_leave_no_trace() {
    in_all_modes(|site| {
        site.touch(&["srv/d.example/users/valid/ann"]);
        let domains = site.open();
        view(&domains, "d.example");
        let (slots, watches) = (
            super::super::lock(&domains.state).slots.len(),
            domains.disk.watcher.count(),
        );
        for i in 0..1000 {
            assert!(!is_local(&domains, &format!("x{i}.example")));
        }
        assert_eq!(super::super::lock(&domains.state).slots.len(), slots);
        assert_eq!(domains.disk.watcher.count(), watches);
    });
}

#[test]
fn domains_are_read_at_their_first_use_and_forgotten_when_removed() {
    let site = Site::new(Mode::Watches);
    for i in 0..50 {
        site.touch(&[&format!("srv/d{i}.example/users/valid/ann")]);
    }
    let domains = site.open();
    let idle = domains.disk.watcher.count();
    for i in 0..50 {
        view(&domains, &format!("d{i}.example"));
    }
    assert!(domains.disk.watcher.count() >= idle + 150);
    for i in 0..50 {
        site.remove(&format!("srv/d{i}.example"));
    }
    assert!(!is_local(&domains, "d1.example"));
    assert_eq!(domains.disk.watcher.count(), idle);
}

#[test]
fn lost_events_and_a_reload_make_everything_be_read_again() {
    let site = Site::new(Mode::Watches);
    site.write("srv/d.example/checks/helo", "action = \"tag\"");
    site.touch(&["srv/d.example/users/valid/ann"]);
    let domains = site.open();
    assert_eq!((helo(&domains).as_deref(), user(&domains, "ann")), (Some("Tag"), Valid));
    site.write("srv/d.example/checks/helo", "action = \"hold\"");
    site.remove("srv/d.example/users/valid/ann");
    site.touch(&["srv/_global_/blacklisted/ips/192.0.2.1"]);
    domains.reload();
    assert_eq!(
        (helo(&domains).as_deref(), user(&domains, "ann")),
        (Some("Hold"), Unknown)
    );
    assert!(blacklists(&domains, "s@s.example"));
    // The new watches work as the old ones did.
    site.touch(&["srv/d.example/users/valid/ann"]);
    assert_eq!(user(&domains, "ann"), Valid);
    let before = domains.disk_accesses();
    assert_eq!(user(&domains, "ann"), Valid);
    assert_eq!(domains.disk_accesses(), before);
}

#[test]
fn a_bulk_load_is_seen_whole() {
    // More than the marks that are kept one by one; where the kernel's queue is small, more than that holds too.
    let site = Site::new(Mode::Watches);
    site.mkdir("srv/d.example/users/valid");
    let domains = site.open();
    assert_eq!(user(&domains, "u1"), Unknown);
    for i in 0..20_000 {
        fs::File::create(site.path(&format!("srv/d.example/users/valid/u{i}"))).unwrap();
    }
    assert_eq!((user(&domains, "u0"), user(&domains, "u19999")), (Valid, Valid));
}

#[test]
fn each_of_many_threads_sees_its_own_change() {
    let site = Site::new(Mode::Watches);
    site.mkdir("srv/d.example/users/valid");
    let domains = site.open();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (site, domains) = (&site, &domains);
            scope.spawn(move || {
                for i in 0..50 {
                    let name = format!("u{thread}-{i}");
                    site.touch(&[&format!("srv/d.example/users/valid/{name}")]);
                    assert_eq!(user(domains, &name), Valid, "{name}");
                    site.remove(&format!("srv/d.example/users/valid/{name}"));
                    assert_eq!(user(domains, &name), Unknown, "{name}");
                }
            });
        }
    });
}

/// The zones of `d.example`, as lines.
fn zones(domains: &Domains) -> Vec<String> {
    view(domains, "d.example")
        .zones()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn zones_are_those_of_the_domain_and_then_those_of_all_that_it_does_not_name() {
    in_all_modes(|site| {
        site.touch(&["srv/d.example/users/valid/ann"]);
        site.write("srv/_global_/zones", "all.example\nboth.example\n");
        let domains = site.open();
        assert_eq!(zones(&domains), [""; 0]);
        site.write("srv/d.example/zones", "own.example domain\nboth.example score\n");
        assert_eq!(
            zones(&domains),
            ["own.example domain", "both.example score", "all.example"]
        );
        site.write("srv/_global_/zones", "all.example 127.0.0.2");
        assert_eq!(
            zones(&domains),
            ["own.example domain", "both.example score", "all.example 127.0.0.2"]
        );
        replace_by_rename(site, "srv/d.example/zones", "");
        assert_eq!(zones(&domains), ["all.example 127.0.0.2"]);
        site.remove("srv/_global_");
        assert_eq!(zones(&domains), [""; 0]);
        site.write("srv/_global_/zones", "all.example allow");
        assert_eq!(zones(&domains), ["all.example allow"]);
        site.remove("srv/d.example/zones");
        assert_eq!(zones(&domains), [""; 0]);
    });
}

#[test]
fn forwarders_are_those_of_the_domain_and_of_all_and_without_either_the_usual_ones() {
    in_all_modes(|site| {
        site.touch(&["srv/d.example/users/valid/ann"]);
        let domains = site.open();
        let forwards = |name: &str| view(&domains, "d.example").forwarders().matches_name(name);
        assert!(forwards("mx.iki.fi") && !forwards("f.example"));
        site.touch(&["srv/_global_/forwarders/.f.example"]);
        assert!(!forwards("mx.iki.fi") && forwards("a.f.example") && !forwards("f.example"));
        site.touch(&["srv/d.example/forwarders/iki.fi", "srv/d.example/forwarders/192.0.2.1"]);
        assert!(forwards("iki.fi") && forwards("mx.iki.fi") && forwards("a.f.example"));
        let forwards_ip = |text: &str| view(&domains, "d.example").forwarders().matches_ip(ip(text));
        assert!(forwards_ip("192.0.2.1") && !forwards_ip("192.0.2.2"));
        site.remove("srv/d.example/forwarders/iki.fi");
        site.remove("srv/_global_/forwarders");
        // An empty directory names nobody.
        assert!(!forwards("mx.iki.fi") && !forwards("a.f.example") && forwards_ip("192.0.2.1"));
        site.remove("srv/d.example/forwarders");
        assert!(forwards("mx.iki.fi"));
    });
}
