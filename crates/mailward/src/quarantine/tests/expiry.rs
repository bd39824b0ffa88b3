//! Days, years, clocks, and what goes and what stays.

use super::super::fixture::{at, copy, noon, open, zone};
use super::super::print::expired_json;
use super::super::{Days, ExpireError, Expired, Expiry, Filter, Quarantine};
use super::{DAY, age, entries, files, find, store, tree};
use jiff::{ToSpan, Zoned};
use std::path::Path;
use tempfile::tempdir;

fn expire(quarantine: &Quarantine, now: &Zoned) -> Expired {
    let expired = quarantine.expire(now, Expiry::default()).unwrap();
    assert!(expired.troubles.is_empty(), "{:?}", expired.troubles);
    expired
}

/// Stores one message as on a day, with the file times of that day.
fn stored_on(root: &Path, quarantine: &Quarantine, date: &str) {
    let reference = store(quarantine, date);
    age(&root.join(reference.split('/').next().unwrap()), date);
}

fn link(root: &Path, name: &str) -> String {
    std::fs::read_link(root.join(name))
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned()
}

fn days(root: &Path) -> Vec<String> {
    tree(root)
        .into_iter()
        .filter(|name| !name.contains('/') && name.parse::<u16>().is_ok())
        .collect()
}

#[test]
fn today_and_the_33_days_before_stay() {
    for today in ["2025-01-01", "2024-03-01", "2025-03-31", "2025-10-27"] {
        let root = tempdir().unwrap();
        let quarantine = open(root.path());
        let now = noon(today);
        for back in [39, 35, 34, 33, 32, 31, 30, 15, 1, 0] {
            let day = now.date().saturating_sub(back.days()).to_string();
            stored_on(root.path(), &quarantine, &day);
        }
        let expired = expire(&quarantine, &now);
        assert_eq!(days(root.path()).len(), 7, "{today}");
        assert_eq!(expired.days.len(), 3);
        assert_eq!(expired.days[2].date, now.date().saturating_sub(34.days()));
        assert_eq!(expired.days[2].messages, 1);
        assert_eq!(quarantine.list(&Filter::default(), &now).unwrap().entries.len(), 7);
        assert_eq!(open(root.path()).ledger.snapshot(), quarantine.ledger.snapshot());
        assert!(expire(&quarantine, &now).days.is_empty());
    }
}

#[test]
fn an_expiry_for_programs_has_a_line_for_each_day() {
    let root = tempdir().unwrap();
    let quarantine = open(root.path());
    for date in ["2025-06-01", "2025-06-02", DAY] {
        stored_on(root.path(), &quarantine, date);
    }
    std::fs::write(root.path().join("153/mine"), "").unwrap();
    age(&root.path().join("153"), "2025-06-02");
    let lines = |dry_run| {
        let how = Expiry {
            dry_run,
            ..Expiry::default()
        };
        let expired = quarantine.expire(&noon(DAY), how).unwrap();
        expired_json(&expired, how).replace(&format!("{}/", root.path().display()), "")
    };
    let days = |removed: bool| {
        [("2025-06-01", "152"), ("2025-06-02", "153")].map(|(date, day)| {
            let octets = 57;
            format!(
                "{{\"date\":\"{date}\",\"day\":\"{day}\",\"messages\":1,\"octets\":{octets},\"removed\":{removed}}}\n"
            )
        })
    };
    assert_eq!(lines(true), days(false).concat());
    assert_eq!(lines(false), days(true).concat() + "{\"kept\":\"153\"}\n");
}

#[test]
fn the_links_are_right_on_the_first_of_january() {
    let root = tempdir().unwrap();
    let quarantine = open(root.path());
    for (date, today, yesterday) in [
        ("2025-01-01", "1", "366"),
        ("2026-01-01", "1", "365"),
        ("2024-03-01", "61", "60"),
        ("2025-03-01", "60", "59"),
        ("2024-12-31", "366", "365"),
    ] {
        let how = Expiry {
            force: true,
            ..Expiry::default()
        };
        assert!(quarantine.expire(&noon(date), how).unwrap().troubles.is_empty());
        assert_eq!(
            (link(root.path(), "today"), link(root.path(), "yesterday")),
            (today.into(), yesterday.into())
        );
    }
}

#[test]
fn the_day_is_the_local_one_also_when_the_clocks_change() {
    let root = tempdir().unwrap();
    let quarantine = open(root.path());
    // 30 March has 23 hours, 26 October 25; midnight is at 23:00 UTC in winter and at 22:00 in summer.
    for (time, day) in [
        ("2025-03-29T22:59:59Z", "88"),
        ("2025-03-29T23:00:00Z", "89"),
        ("2025-03-30T21:59:59Z", "89"),
        ("2025-03-30T22:00:00Z", "90"),
        ("2025-10-26T00:30:00Z", "299"),
        ("2025-10-26T22:59:59Z", "299"),
        ("2025-10-26T23:00:00Z", "300"),
        ("2024-12-31T22:59:59Z", "366"),
        ("2024-12-31T23:00:00Z", "1"),
    ] {
        let now = time.parse::<jiff::Timestamp>().unwrap().to_zoned(zone());
        let held = quarantine.store(&copy(), &now).unwrap().reference().to_string();
        assert_eq!(held.split('/').next(), Some(day), "{time}");
    }
    // The hour that comes twice is told apart by its offset.
    let twice = ["2025-10-26T00:30:00Z", "2025-10-26T01:30:00Z"].map(|t| t.parse::<jiff::Timestamp>().unwrap());
    for time in twice {
        drop(quarantine.store(&copy(), &time.to_zoned(zone())).unwrap());
    }
    let filter = Filter {
        days: Days::On("2025-10-26".parse().unwrap()),
        ..Filter::default()
    };
    let times: Vec<_> = quarantine
        .list(&filter, &noon(DAY))
        .unwrap()
        .entries
        .iter()
        .map(|e| e.time.unwrap())
        .collect();
    assert!(times.is_sorted_by(|a, b| a >= b) && times.contains(&twice[0]) && times.contains(&twice[1]));
}

#[test]
fn last_years_directory_of_the_same_number_is_never_mixed_in() {
    let root = tempdir().unwrap();
    let quarantine = open(root.path());
    // Day 60 is 29 February in one year and 1 March in the next.
    let old = store(&quarantine, "2024-02-29");
    age(&root.path().join("60"), "2024-02-29");
    let new = store(&quarantine, "2025-03-01");
    assert_eq!(files(root.path(), "60/example.com/new").len(), 1);
    assert_eq!(files(root.path(), ".aside-2024-02-29-60/example.com/new").len(), 1);
    assert_eq!(find(&quarantine, &new).len(), 1);
    assert!(find(&quarantine, &old).is_empty());
    // What was set aside can still be read and counts, until it expires by its own date.
    let now = noon("2025-03-01");
    let all = quarantine.list(&Filter::default(), &now).unwrap().entries;
    assert_eq!(all.len(), 2);
    assert!(all[1].day.is_aside() && quarantine.release(&all[1]).is_ok());
    assert_eq!(find(&quarantine, &all[1].reference().unwrap().to_string()).len(), 1);
    assert_eq!(open(root.path()).used_octets(), quarantine.used_octets());
    assert_eq!(expire(&quarantine, &now).days.len(), 1);
    assert_eq!(quarantine.list(&Filter::default(), &now).unwrap().entries.len(), 1);
    assert!(!root.path().join(".aside-2024-02-29-60").exists());
}

#[test]
fn a_number_may_come_round_several_times() {
    let root = tempdir().unwrap();
    let quarantine = open(root.path());
    for date in ["2025-07-31", "2026-07-31", "2025-07-31", "2026-07-31", "2025-07-31"] {
        drop(store(&quarantine, date));
    }
    assert_eq!(entries(&quarantine).len(), 5);
    assert!(root.path().join(".aside-2025-07-31-212-1").exists());
}

#[test]
fn a_tree_of_the_original_program_is_taken_over_by_its_dates() {
    let root = tempdir().unwrap();
    let quarantine = open(root.path());
    drop(store(&quarantine, "2024-07-30"));
    age(&root.path().join("212"), "2024-07-30");
    std::fs::remove_file(root.path().join("212/.date")).unwrap();
    drop(store(&quarantine, "2025-07-31"));
    assert_eq!(files(root.path(), ".aside-2024-07-30-212/example.com/new").len(), 1);
    // Of today: it is taken over as it is.
    std::fs::remove_file(root.path().join("212/.date")).unwrap();
    age(&root.path().join("212"), "2025-07-31");
    drop(store(&quarantine, "2025-07-31"));
    assert_eq!(files(root.path(), "212/example.com/new").len(), 2);
    // Without marker, the content alone says when it expires.
    std::fs::remove_file(root.path().join("212/.date")).unwrap();
    age(&root.path().join("212"), "2025-07-31");
    assert_eq!(expire(&quarantine, &noon("2025-09-02")).days.len(), 1);
    assert!(root.path().join("212").exists());
    assert_eq!(expire(&quarantine, &noon("2025-09-03")).days.len(), 1);
    assert!(!root.path().join("212").exists());
}

#[test]
fn content_that_is_newer_than_its_day_keeps_it() {
    let root = tempdir().unwrap();
    let quarantine = open(root.path());
    stored_on(root.path(), &quarantine, DAY);
    for newer in ["212/example.com/new", "212/example.com"] {
        age(&root.path().join(newer), "2025-08-20");
        assert!(expire(&quarantine, &noon("2025-09-10")).days.is_empty(), "{newer}");
        age(&root.path().join("212"), DAY);
    }
    // An old marker or old content alone removes nothing.
    std::fs::write(root.path().join("212/.date"), "2025-08-20\n").unwrap();
    age(&root.path().join("212"), DAY);
    assert!(expire(&quarantine, &noon("2025-09-10")).days.is_empty());
    std::fs::write(root.path().join("212/.date"), "2025-07-31\n").unwrap();
    age(&root.path().join("212"), DAY);
    assert_eq!(expire(&quarantine, &noon("2025-09-10")).days.len(), 1);
}

#[test]
fn foreign_files_stay_wherever_they_are() {
    let root = tempdir().unwrap();
    let quarantine = open(root.path());
    for date in ["2025-07-28", "2025-07-29", "2025-07-30", "2025-07-31"] {
        stored_on(root.path(), &quarantine, date);
    }
    let foreign = [
        "notes",
        "212.old",
        "007/x",
        "367/example.com/new/1.P3M2Q4.mx.example.com",
        "backup/x",
        ".aside-x/y",
        ".aside-2024-07-30-212/example.com/new/1.P3M2Q4.mx.example.com",
        "209/notes",
        "210/example.com/notes",
        "211/example.com/new/dovecot.index",
        "211/example.com/cur/1.P3M2Q4.mx.example.com/x",
        "209/UPPER.example/new/x",
    ];
    for name in foreign {
        std::fs::create_dir_all(root.path().join(name).parent().unwrap()).unwrap();
        std::fs::write(root.path().join(name), "mine").unwrap();
    }
    age(root.path(), DAY);
    let expired = expire(&quarantine, &noon("2025-12-01"));
    for name in foreign {
        assert_eq!(
            std::fs::read_to_string(root.path().join(name)).unwrap(),
            "mine",
            "{name}"
        );
    }
    assert!(!root.path().join("212").exists());
    assert_eq!(expired.kept.len(), 3);
    assert_eq!(expired.days.len(), 4);
    for day in ["209", "210", "211"] {
        assert!(
            tree(root.path())
                .iter()
                .all(|name| !name.starts_with(day) || !name.contains(".mx.example.example.com"))
        );
    }
    // Said each time, but nothing is removed twice.
    let again = expire(&quarantine, &noon("2025-12-01"));
    assert_eq!((again.days.len(), again.kept.len()), (0, 3));
    // The number is used again, with the foreign file beside.
    let now = noon("2026-07-28");
    drop(quarantine.store(&copy(), &now).unwrap());
    assert_eq!(std::fs::read_to_string(root.path().join("209/notes")).unwrap(), "mine");
    assert_eq!(
        std::fs::read_to_string(root.path().join("209/.date")).unwrap(),
        "2026-07-28\n"
    );
}

#[test]
fn a_dry_run_says_what_would_go_and_changes_nothing() {
    let root = tempdir().unwrap();
    let quarantine = open(root.path());
    stored_on(root.path(), &quarantine, DAY);
    let before = tree(root.path());
    let how = Expiry {
        dry_run: true,
        ..Expiry::default()
    };
    let expired = quarantine.expire(&noon("2025-09-10"), how).unwrap();
    assert_eq!(
        (expired.days.len(), expired.days[0].messages, expired.days[0].octets),
        (1, 1, 57)
    );
    assert_eq!(tree(root.path()), before);
    let said = super::super::print::expired(&expired, how, false);
    assert_eq!(said, "would remove 2025-07-31 (directory 212): 1 messages, 57 octets\n");
}

#[test]
fn a_clock_far_ahead_expires_nothing_until_a_person_says_so() {
    let root = tempdir().unwrap();
    let quarantine = open(root.path());
    stored_on(root.path(), &quarantine, DAY);
    let ahead = noon("2031-01-01");
    let Err(ExpireError::ClockJump { last, today }) = quarantine.expire(&ahead, Expiry::default()) else {
        panic!("expired");
    };
    assert_eq!((last.to_string(), today), (DAY.into(), ahead.date()));
    // The record of the last expiry counts for more than what was stored under the wrong clock since.
    expire(&quarantine, &noon(DAY));
    stored_on(root.path(), &quarantine, "2031-01-01");
    assert!(quarantine.expire(&ahead, Expiry::default()).is_err());
    assert_eq!(entries(&quarantine).len(), 2);
    // The clock is mended: what is dated ahead stays, and so does the rest.
    assert!(expire(&quarantine, &noon("2025-08-01")).days.is_empty());
    assert_eq!(entries(&quarantine).len(), 2);
    // The clock was right.
    let how = Expiry {
        force: true,
        ..Expiry::default()
    };
    assert_eq!(quarantine.expire(&ahead, how).unwrap().days.len(), 1);
    assert!(expire(&quarantine, &ahead).days.is_empty());
}

#[test]
fn a_clock_set_back_expires_nothing() {
    let root = tempdir().unwrap();
    let quarantine = open(root.path());
    stored_on(root.path(), &quarantine, DAY);
    assert!(expire(&quarantine, &noon("1970-01-01")).days.is_empty());
    drop(quarantine.store(&copy(), &at("1970-01-01", 1)).unwrap());
    assert_eq!(entries(&quarantine).len(), 2);
    assert!(expire(&quarantine, &noon("1971-01-01")).days.len() <= 1);
    assert_eq!(files(root.path(), "212/example.com/new").len(), 1);
}

#[test]
fn released_mail_and_what_a_crash_left_expire_too() {
    let root = tempdir().unwrap();
    let quarantine = open(root.path());
    let reference = store(&quarantine, DAY);
    quarantine.mark_released(&find(&quarantine, &reference)[0]).unwrap();
    std::fs::write(root.path().join("212/example.com/tmp/1.P3M2Q4.mx.example.com"), "half").unwrap();
    std::fs::write(root.path().join("212/.date.4711"), "").unwrap();
    age(&root.path().join("212"), DAY);
    assert_eq!(expire(&quarantine, &noon("2025-09-10")).days[0].messages, 2);
    assert!(!root.path().join("212").exists());
}
