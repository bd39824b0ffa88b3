//! Storing, noting, withdrawing, budgets.

use super::super::fixture::{UNLIMITED, copy, noon, open, open_with};
use super::super::{Budget, Copy, KeepError, Limit, Network, Noted, Quarantine, Settings};
use super::{DAY, entries, files, store, tree};
use mail::{Address, Domain};
use std::os::unix::fs::PermissionsExt;
use tempfile::tempdir;

#[test]
fn a_copy_stands_where_the_original_program_put_it() {
    let root = tempdir().unwrap();
    let quarantine = open(&root.path().join("a/spam"));
    let root = root.path().join("a/spam");
    let reference = store(&quarantine, DAY);
    let name = reference.strip_prefix("212/example.com/").unwrap();
    assert_eq!(
        tree(&root),
        [
            "212",
            "212/.date",
            "212/example.com",
            "212/example.com/cur",
            "212/example.com/index",
            "212/example.com/index.json",
            "212/example.com/new",
            &format!("212/example.com/new/{name}"),
            "212/example.com/tmp",
            "today",
            "yesterday",
        ]
    );
    let seconds = noon(DAY).timestamp().as_second();
    assert!(
        name.starts_with(&format!("{seconds}.P{}M0Q", std::process::id())) && name.ends_with(".mx.example.example.com")
    );
    assert_eq!(
        std::fs::read(root.join("212/example.com/new").join(name)).unwrap(),
        b"Recipient: Ann@Example.com\r\nSubject: Hello\r\n\r\nHi there.\r\n"
    );
    assert_eq!(
        std::fs::read_to_string(root.join("212/example.com/index")).unwrap(),
        format!("<Bob@b.example>\tAnn@Example.com\tHello\t{name}\n")
    );
    assert_eq!(std::fs::read_to_string(root.join("212/.date")).unwrap(), "2025-07-31\n");
    assert_eq!(std::fs::read_link(root.join("today")).unwrap().to_str(), Some("212"));
    let mode = |path: &str| std::fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o027;
    for path in [
        "",
        "212",
        "212/example.com/new",
        "212/example.com/index.json",
        &format!("212/example.com/new/{name}"),
    ] {
        assert_eq!(
            mode(path),
            0,
            "others, or the group, may do more than they should: `{path}`"
        );
    }
}

#[test]
fn days_are_counted_from_zero_on_demand() {
    let root = tempdir().unwrap();
    let settings = Settings {
        root: root.path().to_owned(),
        hostname: "mx.example".into(),
        budget: UNLIMITED,
        zero_based_days: true,
    };
    let quarantine = Quarantine::open(settings).unwrap();
    assert!(store(&quarantine, "2025-01-01").starts_with("0/example.com/"));
    assert_eq!(
        std::fs::read_link(root.path().join("yesterday")).unwrap().to_str(),
        Some("365")
    );
}

#[test]
fn copies_of_one_message_are_kept_together() {
    let root = tempdir().unwrap();
    let quarantine = open(root.path());
    let others: Vec<Address> = (0..150)
        .map(|n| Address::parse(&format!("u{n}@b.example")).unwrap())
        .collect();
    let domain = Domain::parse("b.example").unwrap();
    let mut copies = vec![copy()];
    copies.extend(others.iter().map(|recipient| Copy {
        recipient,
        domain: &domain,
        ..copy()
    }));
    let held = quarantine.store_all(&copies, &noon(DAY)).unwrap();
    assert_eq!(held.len(), copies.len());
    assert_eq!(files(root.path(), "212/b.example/new").len(), 150);
    let found = super::find(&quarantine, "7QK2M9");
    assert_eq!(found.len(), 151);
    assert!(held.iter().zip(&copies).all(|(held, copy)| {
        let one = super::find(&quarantine, &held.reference().to_string());
        one.len() == 1 && one[0].address.as_ref() == Some(copy.recipient) && held.id() == "7QK2M9"
    }));
}

#[test]
fn a_copy_that_waits_tells_all_of_itself_without_an_index() {
    let root = tempdir().unwrap();
    let quarantine = open(root.path());
    let message: &[&[u8]] = &[
        b"X-Mailward-Id: 7QK2M9 mac\r\nSubject: Hello\r\n",
        b"X-REMOTE-IP: 192.0.2.1\r\n\r\nHi there.\r\n",
    ];
    let held = quarantine.store(&Copy { message, ..copy() }, &noon(DAY)).unwrap();
    let reference = held.reference();
    assert_eq!(quarantine.waiting(&reference).unwrap(), Some(held));
    let entry = quarantine.find(&reference, &noon(DAY)).unwrap().remove(0);
    std::fs::write(root.path().join("212/example.com/index.json"), "").unwrap();
    let held = quarantine.waiting(&reference).unwrap().unwrap();
    quarantine.mark_released(&entry).unwrap();
    assert_eq!(quarantine.waiting(&reference).unwrap(), None, "released");
    quarantine.withdraw(&held).unwrap();
    assert_eq!(quarantine.waiting(&reference).unwrap(), None, "gone");
}

#[test]
fn when_one_copy_cannot_be_kept_none_is() {
    let root = tempdir().unwrap();
    let quarantine = open(root.path());
    let (recipient, domain) = (
        Address::parse("u@b.example").unwrap(),
        Domain::parse("b.example").unwrap(),
    );
    let both = [
        copy(),
        Copy {
            recipient: &recipient,
            domain: &domain,
            ..copy()
        },
    ];
    drop(quarantine.store_all(&both, &noon(DAY)).unwrap());
    let used = quarantine.used_octets();
    // In the way of the second copy, each in its turn.
    for name in ["index.json", "index", "tmp", "new"] {
        let path = root.path().join("212/b.example").join(name);
        let aside = root.path().join("aside");
        std::fs::rename(&path, &aside).unwrap();
        match name.starts_with("index") {
            true => std::fs::create_dir(&path).unwrap(),
            false => std::fs::write(&path, "").unwrap(),
        }
        assert!(
            matches!(quarantine.store_all(&both, &noon(DAY)), Err(KeepError::Io(_))),
            "{name}"
        );
        assert!(
            if path.is_dir() {
                std::fs::remove_dir(&path)
            } else {
                std::fs::remove_file(&path)
            }
            .is_ok()
        );
        std::fs::rename(&aside, &path).unwrap();
        assert_eq!(entries(&quarantine).len(), 2, "{name}");
        assert_eq!(quarantine.used_octets(), used, "{name}");
        for domain in ["b.example", "example.com"] {
            assert_eq!(files(root.path(), &format!("212/{domain}/tmp")).len(), 0, "{name}");
            assert_eq!(files(root.path(), &format!("212/{domain}/new")).len(), 1, "{name}");
        }
    }
}

#[test]
fn what_stands_in_the_way_of_a_directory_is_an_error() {
    for name in ["212", "212/example.com", "212/example.com/new"] {
        let root = tempdir().unwrap();
        let quarantine = open(root.path());
        std::fs::create_dir_all(root.path().join(name).parent().unwrap()).unwrap();
        std::fs::write(root.path().join(name), "mine").unwrap();
        assert!(
            matches!(quarantine.store(&copy(), &noon(DAY)), Err(KeepError::Io(_))),
            "{name}"
        );
        assert_eq!(std::fs::read_to_string(root.path().join(name)).unwrap(), "mine");
        assert_eq!(quarantine.used_octets(), 0);
    }
    // The root went away.
    let root = tempdir().unwrap();
    let quarantine = open(&root.path().join("spam"));
    std::fs::remove_dir(root.path().join("spam")).unwrap();
    assert!(matches!(quarantine.store(&copy(), &noon(DAY)), Err(KeepError::Io(_))));
}

#[test]
fn a_withdrawn_copy_is_gone_and_its_room_is_free() {
    let root = tempdir().unwrap();
    let quarantine = open(root.path());
    let held = quarantine.store(&copy(), &noon(DAY)).unwrap();
    let stays = store(&quarantine, DAY);
    let used = quarantine.used_octets();
    quarantine.withdraw(&held).unwrap();
    quarantine.withdraw(&held).unwrap();
    assert!(super::find(&quarantine, &held.reference().to_string()).is_empty());
    assert_eq!(entries(&quarantine).len(), 1);
    assert_eq!(super::find(&quarantine, &stays).len(), 1);
    assert_eq!(used - quarantine.used_octets(), 29 + 28);
    assert_eq!(open(root.path()).used_octets(), quarantine.used_octets());
}

#[test]
fn directories_removed_by_hand_are_made_again() {
    let root = tempdir().unwrap();
    let quarantine = open(root.path());
    for path in [
        "212/example.com/index.json",
        "212/example.com/index",
        "212/example.com/tmp",
        "212/example.com",
        "212",
    ] {
        drop(store(&quarantine, DAY));
        let path = root.path().join(path);
        assert!(
            if path.is_dir() {
                std::fs::remove_dir_all(&path)
            } else {
                std::fs::remove_file(&path)
            }
            .is_ok()
        );
        let reference = store(&quarantine, DAY);
        assert_eq!(super::find(&quarantine, &reference).len(), 1, "{}", path.display());
    }
}

#[test]
fn past_the_budget_copies_are_refused_and_metadata_are_kept() {
    let root = tempdir().unwrap();
    let one = {
        let quarantine = open(root.path());
        drop(store(&quarantine, DAY));
        quarantine.used_octets()
    };
    let limits = [
        (
            Budget {
                total_octets: one * 2,
                ..UNLIMITED
            },
            Limit::Total,
        ),
        (
            Budget {
                per_domain_octets: one * 2,
                ..UNLIMITED
            },
            Limit::Domain(Domain::parse("example.com").unwrap()),
        ),
        (
            Budget {
                per_client_network_octets: one * 2,
                ..UNLIMITED
            },
            Limit::ClientNetwork(Network::of("192.0.2.200".parse().unwrap())),
        ),
    ];
    for (budget, limit) in limits {
        let root = tempdir().unwrap();
        let quarantine = open_with(root.path(), budget);
        for _ in 0..2 {
            drop(store(&quarantine, DAY));
        }
        let Err(KeepError::OverBudget { which }) = quarantine.store(&copy(), &noon(DAY)) else {
            panic!("past {limit:?}");
        };
        assert_eq!(which, limit);
        assert_eq!(files(root.path(), "212/example.com/new").len(), 2);
        // Metadata go on to twice the budget; then they are only counted.
        let mut written = 0;
        while quarantine.note(&copy(), &noon(DAY)).unwrap() == Noted::Written {
            written += 1;
        }
        assert!(written > 0 && quarantine.used_octets() <= one * 4);
        assert_eq!(quarantine.notes_unwritten(), 1);
        assert_eq!(entries(&quarantine).len(), 2 + written);
        let index = std::fs::metadata(root.path().join("212/example.com/index.json"))
            .unwrap()
            .len();
        assert_eq!(quarantine.note(&copy(), &noon(DAY)).unwrap(), Noted::Counted);
        assert_eq!(
            std::fs::metadata(root.path().join("212/example.com/index.json"))
                .unwrap()
                .len(),
            index
        );
        // The next start counts the same.
        assert_eq!(open(root.path()).used_octets(), quarantine.used_octets());
    }
}

#[test]
fn below_the_floor_of_free_space_nothing_is_kept() {
    let root = tempdir().unwrap();
    let quarantine = open_with(
        root.path(),
        Budget {
            free_floor_octets: u64::MAX,
            ..UNLIMITED
        },
    );
    let Err(error) = quarantine.store(&copy(), &noon(DAY)) else {
        panic!("kept");
    };
    assert!(matches!(
        error,
        KeepError::OverBudget {
            which: Limit::FreeFloor
        }
    ));
    assert!(error.hint().is_some());
    assert_eq!(quarantine.note(&copy(), &noon(DAY)).unwrap(), Noted::Counted);
    assert!(tree(root.path()).is_empty());
}

#[test]
fn usage_counted_anew_equals_usage_kept() {
    let root = tempdir().unwrap();
    let quarantine = open(root.path());
    let (recipient, domain) = (
        Address::parse("u@b.example").unwrap(),
        Domain::parse("b.example").unwrap(),
    );
    for n in 0..10 {
        let client = format!("2001:db8:{n}::1").parse().unwrap();
        let copies = [
            copy(),
            Copy {
                recipient: &recipient,
                domain: &domain,
                client,
                subject: None,
                ..copy()
            },
        ];
        let held = quarantine.store_all(&copies, &noon(DAY)).unwrap();
        quarantine.note(&copies[1], &noon(DAY)).unwrap();
        if n % 3 == 0 {
            quarantine.withdraw(&held[1]).unwrap();
        }
        if n % 4 == 0 {
            let entry = super::find(&quarantine, &held[0].reference().to_string()).remove(0);
            quarantine.mark_released(&entry).unwrap();
        }
    }
    assert_eq!(open(root.path()).ledger.snapshot(), quarantine.ledger.snapshot());
}
