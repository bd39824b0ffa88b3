//! What was there a moment ago: a missing domain, and missing users, are trouble for 24 hours.

use super::super::{MissedUser, Roll, RollError, UsersSeen};
use super::*;

const DAY_S: i64 = 24 * 3600;
const T: i64 = 1_800_000_000;

fn dangling(somebody: bool, names: &[&str]) -> UsersSeen {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    UsersSeen::Dangling { somebody, names }
}

fn roll(site: &Site, now_s: i64) -> Roll {
    Roll::open(&site.path("state"), &site.open(), now_s).unwrap()
}

fn site() -> Site {
    let site = Site::new(Mode::Watches);
    site.mkdir("state");
    site.touch(&["srv/a.example/users/valid/ann", "srv/b.example/users/valid/bob"]);
    site
}

/// What is missing, as `DOMAIN WHAT SINCE`, the time counted from [`T`].
fn missing(roll: &Roll, now_s: i64) -> Vec<String> {
    let missing = roll.missing(now_s);
    let shown = missing
        .iter()
        .map(|one| format!("{} {} {}", one.domain, one.what(), one.since_s - T));
    shown.collect()
}

fn look(roll: &Roll, site: &Site, now_s: i64) {
    roll.take(&site.open().census().unwrap(), now_s);
}

#[test]
fn a_domain_that_was_there_is_missed_for_24_hours_and_a_name_that_never_was_is_not() {
    let site = site();
    let roll = roll(&site, T);
    site.rename("srv/a.example", "away");
    let (gone, never) = (domain("a.example"), domain("x.example"));
    assert!(roll.absent(&gone, false, T + 10));
    assert!(!roll.absent(&never, false, T + 10));
    assert!(roll.absent(&gone, false, T + 10 + DAY_S - 1));
    assert_eq!(missing(&roll, T + DAY_S), ["a.example directory 10"]);
    assert!(!roll.absent(&gone, false, T + 10 + DAY_S));
    assert_eq!(missing(&roll, T + 10 + DAY_S), [""; 0]);
    // It counts as never having been ours; and as ours once it is there again.
    assert!(!roll.absent(&gone, false, T));
    assert!(!roll.present(&gone, &UsersSeen::Some, T + 2 * DAY_S));
    assert!(roll.absent(&gone, false, T + 2 * DAY_S));
}

/// One that gets no mail is missed too, and its day begins then.
#[test]
fn a_look_at_the_tree_misses_what_got_no_mail() {
    let site = site();
    let roll = roll(&site, T);
    site.rename("srv/a.example", "away");
    site.remove("srv/b.example/users/valid/bob");
    look(&roll, &site, T + 5);
    assert_eq!(missing(&roll, T + 6), ["a.example directory 5", "b.example users 5"]);
    look(&roll, &site, T + 50);
    assert_eq!(missing(&roll, T + 50), ["a.example directory 5", "b.example users 5"]);
    site.rename("away", "srv/a.example");
    site.touch(&["srv/b.example/users/valid/eve"]);
    look(&roll, &site, T + 60);
    assert_eq!(missing(&roll, T + 60), [""; 0]);
}

#[test]
fn a_restart_neither_forgets_nor_begins_the_day_anew() {
    let site = site();
    let first = roll(&site, T);
    site.rename("srv/a.example", "away");
    assert!(first.absent(&domain("a.example"), false, T));
    first.save().unwrap();
    drop(first);
    let second = roll(&site, T + DAY_S - 1);
    assert!(second.absent(&domain("a.example"), false, T + DAY_S - 1));
    drop(second);
    let third = roll(&site, T + DAY_S);
    assert!(!third.absent(&domain("a.example"), false, T + DAY_S));
}

/// A file system that is not mounted for two days, and comes back directory by directory.
#[test]
fn nobodys_day_passes_while_there_is_no_domain_at_all() {
    let site = site();
    let roll = roll(&site, T);
    site.rename("srv", "mounted");
    site.mkdir("srv/lost+found");
    site.touch(&["srv/_global_/blacklisted/ips/192.0.2.1"]);
    let domains = site.open();
    assert!(matches!(domains.find(&domain("a.example")), Found::NoDomains));
    assert!(matches!(domains.find(&domain("x.example")), Found::NoDomains));
    look(&roll, &site, T);
    assert_eq!(missing(&roll, T), [""; 0]);
    site.mkdir("srv/b.example");
    assert!(matches!(domains.find(&domain("a.example")), Found::NotLocal));
    assert!(roll.absent(&domain("a.example"), false, T + 2 * DAY_S));
}

/// Domains go one by one, the tree is empty for two days, and one comes back.
#[test]
fn the_day_of_what_was_missed_goes_on_behind_the_time_without_any_domain() {
    let site = site();
    let roll = roll(&site, T);
    site.rename("srv/a.example", "a");
    look(&roll, &site, T + 10);
    site.rename("srv/b.example", "b");
    look(&roll, &site, T + 20);
    look(&roll, &site, T + DAY_S);
    site.rename("b", "srv/b.example");
    look(&roll, &site, T + 2 * DAY_S);
    assert_eq!(missing(&roll, T + 2 * DAY_S), ["a.example directory 172790"]);
    assert!(roll.absent(&domain("a.example"), false, T + 2 * DAY_S + 3600));
}

#[test]
fn users_that_were_there_are_missed_and_a_domain_that_never_had_any_is_as_it_was() {
    let site = site();
    let roll = roll(&site, T);
    let a = domain("a.example");
    assert!(roll.present(&a, &UsersSeen::Nobody, T));
    assert!(roll.present(&a, &UsersSeen::Nobody, T + DAY_S - 1));
    assert!(!roll.present(&a, &UsersSeen::Nobody, T + DAY_S));
    assert!(!roll.present(&a, &UsersSeen::Nobody, T + DAY_S + 1));
    assert!(!roll.present(&domain("new.example"), &UsersSeen::Nobody, T));
    assert!(!roll.present(&a, &UsersSeen::Some, T + DAY_S + 2));
    assert!(roll.present(&a, &UsersSeen::Nobody, T + DAY_S + 3));
}

#[test]
fn what_a_person_forgets_is_an_answer_until_it_is_there_again() {
    let site = site();
    let roll = roll(&site, T);
    let (a, b) = (domain("a.example"), domain("b.example"));
    assert!(!roll.forget(&a, false).unwrap(), "it is there");
    assert!(roll.absent(&a, false, T));
    assert!(roll.forget(&a, false).unwrap());
    assert!(!roll.absent(&a, false, T + 1));
    assert!(roll.present(&b, &dangling(false, &["bob"]), T));
    assert!(roll.forget(&b, true).unwrap());
    assert!(
        !roll.present(&b, &dangling(false, &["bob"]), T + 1),
        "the link still leads nowhere"
    );
    assert!(!roll.present(&b, &UsersSeen::Nobody, T + 2));
    assert!(!roll.present(&b, &UsersSeen::Some, T + 3));
    assert!(roll.present(&b, &dangling(false, &["bob"]), T + 4));
}

/// A stale link was missed long ago, or is forgotten; what goes later has a day of its own.
#[test]
fn each_link_and_everybody_have_a_day_of_their_own() {
    let site = site();
    let roll = roll(&site, T);
    let a = domain("a.example");
    let link = |name: &str| MissedUser::Link(name.to_owned());
    assert!(roll.present(&a, &dangling(true, &["old"]), T));
    let later = T + DAY_S + 1;
    assert!(!roll.present(&a, &dangling(true, &["old"]), later));
    assert!(roll.present(&a, &dangling(true, &["carl", "old"]), later));
    assert!(roll.misses(&a, &link("carl"), later) && !roll.misses(&a, &link("old"), later));
    assert_eq!(missing(&roll, later), ["a.example users 86401"]);
    assert!(roll.present(&a, &dangling(false, &["carl", "old"]), later + 5));
    assert!(roll.misses(&a, &MissedUser::Everybody, later + 5));
    assert!(roll.present(&a, &UsersSeen::Nobody, later + 6));
    assert!(!roll.present(&a, &UsersSeen::Some, later + 7));
    // What is said of one that is gone holds for no other.
    assert!(roll.present(&a, &dangling(true, &["old"]), later + 8));
    assert!(roll.forget(&a, true).unwrap());
    assert!(!roll.present(&a, &dangling(true, &["old"]), later + 9));
    assert!(roll.present(&a, &dangling(true, &["dora", "old"]), later + 10));
    assert!(
        roll.present(&a, &dangling(false, &["old"]), later + 11),
        "nobody is left"
    );
    // A domain that had no users before a link dangled has some all the same.
    let new = domain("new.example");
    assert!(roll.present(&new, &dangling(true, &["x"]), T));
    assert!(roll.present(&new, &UsersSeen::Nobody, T + 1));
}

#[test]
fn a_link_that_leads_nowhere_is_trouble_for_24_hours_though_it_never_led_anywhere() {
    let site = site();
    site.link("nowhere", "srv/c.example");
    let roll = roll(&site, T);
    let c = domain("c.example");
    assert!(matches!(site.open().find(&c), Found::Dangling { .. }));
    assert!(roll.absent(&c, true, T + 1));
    assert!(!roll.absent(&c, true, T + DAY_S));
    assert!(!roll.absent(&c, true, T + 2 * DAY_S), "its day does not begin anew");
    site.link("b.example", "srv/d.example");
    look(&roll, &site, T + 2 * DAY_S);
    site.remove("srv/d.example");
    site.link("nowhere", "srv/d.example");
    assert!(roll.absent(&domain("d.example"), true, T + 2 * DAY_S));
}

#[test]
fn of_linked_users_only_those_are_missed_whose_link_leads_nowhere() {
    in_all_modes(|site| {
        site.touch(&["srv/d.example/users/valid/ann", "srv/d.example/users/invalid/eve"]);
        site.link("nowhere", "srv/d.example/users/valid/bob");
        site.link("nowhere", "srv/d.example/users/invalid/kim");
        let domains = site.open();
        let misses = |name: &str| view(&domains, "d.example").missed_user(&local(name)).is_some();
        assert_eq!(
            view(&domains, "d.example").users_seen(),
            dangling(true, &["bob", "kim"])
        );
        assert_eq!(["ann", "ann+x", "eve", "zoe"].map(misses), [false; 4]);
        assert_eq!(["bob", "Bob+x", "kim"].map(misses), [true; 3]);
        site.remove("srv/d.example/users/valid/bob");
        site.remove("srv/d.example/users/invalid/kim");
        assert_eq!(view(&domains, "d.example").users_seen(), UsersSeen::Some);
        site.rename("srv/d.example/users/valid", "valid");
        assert_eq!(view(&domains, "d.example").users_seen(), UsersSeen::Nobody);
        site.link("nowhere", "srv/d.example/users/valid");
        assert_eq!(view(&domains, "d.example").users_seen(), dangling(false, &[""]));
        assert!(misses("ann"));
        site.rename("srv/d.example/users", "users");
        site.link("nowhere", "srv/d.example/users");
        assert_eq!(view(&domains, "d.example").users_seen(), dangling(false, &[""]));
        site.touch(&["srv/d.example/nowhere/valid/ann"]);
        assert_eq!(view(&domains, "d.example").users_seen(), UsersSeen::Some);
        let census = domains.census().unwrap();
        assert!(!census.is_empty());
    });
}

/// Behind each of these links stands what keeps mail from being refused for good, or filed wrongly.
#[test]
fn other_links_that_lead_nowhere_are_trouble_where_mail_would_be_lost_by_them() {
    for path in [
        "whitelisted",
        "whitelisted/senders",
        "mailboxes",
        "forwarders",
        "lists",
        "deliver",
    ] {
        let site = site();
        site.link("nowhere", &format!("srv/a.example/{path}"));
        let domains = site.open();
        for _ in 0..2 {
            assert!(
                matches!(domains.find(&domain("a.example")), Found::Unreadable { .. }),
                "{path}"
            );
        }
        site.remove(&format!("srv/a.example/{path}"));
        assert!(is_local(&domains, "a.example"), "{path}");
    }
}

/// A clock that was set back while something was missing would have made the day as long as it was wrong.
#[test]
fn a_clock_that_is_set_back_makes_no_day_longer() {
    let site = site();
    let roll = roll(&site, T);
    let a = domain("a.example");
    assert!(roll.absent(&a, false, T + 1000 * DAY_S));
    assert!(roll.absent(&a, false, T));
    assert!(!roll.absent(&a, false, T + DAY_S));
}

#[test]
fn a_list_that_cannot_be_read_is_an_error_and_one_of_a_newer_version_is_left_as_it_is() {
    let site = site();
    let open = || Roll::open(&site.path("state"), &site.open(), T);
    let file = site.path("state/domains.json");
    for (text, is_newer) in [
        ("", false),
        ("{}", false),
        ("{\"version\":1}", false),
        ("{\"version\":2,\"x\":[]}", true),
    ] {
        fs::write(&file, text).unwrap();
        match open() {
            Err(RollError::Damaged(..)) => assert!(!is_newer, "{text}"),
            Err(RollError::Newer(_, 2)) => assert!(is_newer, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
    fs::remove_file(&file).unwrap();
    let first = open().unwrap();
    assert!(matches!(open(), Err(RollError::InUse(_))));
    drop(first);
    fs::write(&file, vec![b'['; 100_000]).unwrap();
    assert!(matches!(open(), Err(RollError::Damaged(..))), "nesting without end");
}
