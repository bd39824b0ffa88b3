//! What is logged of the tree, and which lookups need the disk.

use super::*;
use crate::log_of_tests;

/// What is logged while `domains` is asked three times for `d.example`.
fn logged(domains: &Domains) -> Vec<String> {
    log_of_tests::logged(|| {
        for _ in 0..3 {
            let _ = domains.find(&domain("d.example"));
        }
    })
}

fn assert_logged(domains: &Domains, expected: &[&str]) {
    let lines = logged(domains);
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for text in expected {
        assert!(lines.iter().any(|line| line.contains(text)), "{text}: {lines:#?}");
    }
}

#[test]
fn a_wrong_file_is_logged_once_a_change_and_not_once_a_lookup() {
    in_all_modes(|site| {
        site.touch(&["srv/d.example/users/valid/ann"]);
        let domains = site.open();
        assert_logged(&domains, &[]);
        site.write("srv/d.example/deliver", "smtp:mx.example");
        assert_logged(&domains, &["the next hop has no port"]);
        site.touch(&["srv/d.example/users/valid/bob"]);
        assert_logged(&domains, &[]);
        replace_by_rename(site, "srv/d.example/deliver", "smtp:mx.example:25");
        assert_logged(&domains, &[]);
        replace_by_rename(site, "srv/d.example/deliver", "smtp:mx.example");
        assert_logged(&domains, &["the next hop has no port"]);
    });
}

#[test]
fn a_bad_line_of_zones_is_logged_once_a_change() {
    in_all_modes(|site| {
        site.write("srv/d.example/zones", "zen.example scor");
        site.write("srv/_global_/zones", "score zen.example");
        let domains = site.open();
        assert_logged(
            &domains,
            &["unknown word: `scor`", "where the zone's name should stand"],
        );
        site.touch(&[
            "srv/d.example/users/valid/bob",
            "srv/_global_/blacklisted/ips/192.0.2.7",
        ]);
        assert_logged(&domains, &[]);
        replace_by_rename(site, "srv/_global_/zones", "zen.example scores");
        assert_logged(&domains, &["unknown word: `scores`"]);
    });
}

#[test]
fn a_domain_that_cannot_be_read_is_logged_once_and_when_it_can_be_again() {
    in_all_modes(|site| {
        site.touch(&["srv/d.example/users/valid/ann"]);
        site.write("srv/d.example/checks/helo", "acton = \"tag\"");
        site.write("srv/d.example/mailboxes/sales", "nobody");
        // A circle of links cannot be read by anybody.
        site.link("whitelisted", "srv/d.example/whitelisted");
        let domains = site.open();
        assert_logged(&domains, &["cannot be read; mail for it is deferred", "acton"]);
        site.remove("srv/d.example/whitelisted");
        assert_logged(
            &domains,
            &["can be read again domain=\"d.example\"", "its line is no mail address"],
        );
        site.rename("srv", "gone");
        assert_logged(&domains, &["cannot be read; mail for it is deferred domain=\"all\""]);
        site.rename("gone", "srv");
        assert_logged(
            &domains,
            &["can be read again domain=\"all\"", "acton", "no mail address"],
        );
    });
}

#[test]
fn a_lookup_that_needs_the_disk_is_known_before() {
    let site = Site::new(Mode::Watches);
    site.touch(&["srv/d.example/users/valid/ann"]);
    let domains = site.open();
    let is_fresh = |name: &str| domains.is_fresh(&domain(name));
    assert!(!is_fresh("d.example"), "never asked for");
    assert!(is_fresh("foreign.example"), "stands in no listing");
    let changes: [&dyn Fn(); 4] = [
        &|| site.touch(&["srv/d.example/users/valid/bob"]),
        &|| site.write("srv/d.example/checks/helo", "soft = true"),
        &|| site.touch(&["srv/_global_/blacklisted/ips/192.0.2.7"]),
        &|| site.touch(&["srv/e.example/users/valid/ann"]),
    ];
    for change in changes {
        view(&domains, "d.example");
        let before = domains.disk_accesses();
        assert!(is_fresh("d.example"));
        view(&domains, "d.example");
        assert_eq!(domains.disk_accesses(), before);
        change();
        assert!(!is_fresh("d.example"));
        assert!(!is_fresh("d.example"), "asking changes nothing");
    }
    assert!(!is_fresh("foreign.example"), "the listing changed");
    // Whoever reads now is not waited for.
    let _reading = super::super::lock(&domains.state);
    assert!(!is_fresh("d.example"));
}

#[test]
fn without_watches_every_lookup_needs_the_disk() {
    let site = Site::new(Mode::Timestamps);
    site.touch(&["srv/d.example/users/valid/ann"]);
    let domains = site.open();
    view(&domains, "d.example");
    assert!(!domains.is_fresh(&domain("d.example")));
}
