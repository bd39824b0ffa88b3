//! Links and other things planted inside the tree: never written, read or removed through.

use super::super::fixture::{copy, noon, open};
use super::super::{Expiry, Filter};
use super::{DAY, entries, find, store, tree};
use std::os::unix::fs::symlink;
use std::path::Path;
use tempfile::tempdir;

const INDEX: &str = "{\"recipient\":\"a@example.com\",\"filename\":\"1.P3M2Q4.mx.example.com\"}\n";

/// A directory outside with something in it that must stay as it is, and what is in it.
fn outside(path: &Path) -> Vec<String> {
    for dir in [
        "example.com/new",
        "example.com/cur",
        "example.com/tmp",
        "new",
        "cur",
        "tmp",
    ] {
        std::fs::create_dir_all(path.join(dir)).unwrap();
        std::fs::write(
            path.join(dir).join("1.P3M2Q4.mx.example.com"),
            "Recipient: a@example.com\r\n\r\n",
        )
        .unwrap();
    }
    for dir in ["", "example.com"] {
        std::fs::write(path.join(dir).join("index.json"), INDEX).unwrap();
        std::fs::write(path.join(dir).join(".date"), "2025-07-31\n").unwrap();
    }
    tree(path)
}

#[test]
fn a_link_planted_anywhere_is_never_followed() {
    let names = [
        "212",
        "212/example.com",
        "212/example.com/new",
        "212/example.com/cur",
        "212/example.com/tmp",
    ];
    let names = names
        .iter()
        .chain(&["212/example.com/index.json", "212/example.com/index", "212/.date"]);
    for name in names {
        let (root, elsewhere) = (tempdir().unwrap(), tempdir().unwrap());
        let before = outside(elsewhere.path());
        let quarantine = open(root.path());
        drop(store(&quarantine, DAY));
        let path = root.path().join(name);
        assert!(
            if path.is_dir() {
                std::fs::remove_dir_all(&path)
            } else {
                std::fs::remove_file(&path)
            }
            .is_ok()
        );
        let target = if name.contains("index") || name.contains(".date") {
            "index.json"
        } else {
            ""
        };
        symlink(elsewhere.path().join(target), &path).unwrap();

        assert!(quarantine.store(&copy(), &noon(DAY)).is_err(), "stored through {name}");
        assert!(quarantine.note(&copy(), &noon(DAY)).is_err(), "noted through {name}");
        let listing = quarantine.list(&Filter::default(), &noon(DAY)).unwrap();
        assert!(
            listing.entries.iter().all(|entry| entry.id.as_str() == "7QK2M9"),
            "read through {name}"
        );
        open(root.path());
        let forced = Expiry {
            force: true,
            ..Expiry::default()
        };
        let _ = quarantine.expire(&noon("2031-07-31"), forced);
        assert_eq!(tree(elsewhere.path()), before, "removed through {name}");
        let index = std::fs::read(elsewhere.path().join("index.json")).unwrap();
        assert_eq!(index, INDEX.as_bytes(), "written through {name}");
        assert!(path.is_symlink(), "the link at {name} stays");
    }
}

#[test]
fn a_link_in_place_of_a_message_is_no_message() {
    let (root, elsewhere) = (tempdir().unwrap(), tempdir().unwrap());
    let secret = elsewhere.path().join("secret");
    std::fs::write(&secret, "Recipient: a@example.com\r\n\r\nsecret").unwrap();
    let quarantine = open(root.path());
    let reference = store(&quarantine, DAY);
    let entry = find(&quarantine, &reference).remove(0);
    let name = reference.rsplit('/').next().unwrap();
    let file = root.path().join("212/example.com/new").join(name);
    std::fs::remove_file(&file).unwrap();
    for flagged in [name.to_owned(), format!("{name}:2,S")] {
        let part = if flagged == name { "new" } else { "cur" };
        symlink(&secret, root.path().join("212/example.com").join(part).join(&flagged)).unwrap();
        assert!(entries(&quarantine).is_empty());
        assert!(quarantine.open_message(&entry).is_err() && quarantine.release(&entry).is_err());
        assert!(quarantine.mark_released(&entry).is_err());
    }
    assert!(secret.exists());
}

#[test]
fn pipes_and_devices_in_place_of_an_index_hold_nobody_up() {
    let root = tempdir().unwrap();
    let quarantine = open(root.path());
    drop(store(&quarantine, DAY));
    for name in ["index.json", "index", "../.date"] {
        let path = root.path().join("212/example.com").join(name);
        std::fs::remove_file(&path).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
        assert!(quarantine.store(&copy(), &noon(DAY)).is_err(), "{name}");
        quarantine.list(&Filter::default(), &noon(DAY)).unwrap();
        open(root.path());
        std::fs::remove_file(&path).unwrap();
        if name == "../.date" {
            std::fs::write(&path, "2025-07-31\n").unwrap();
        }
        assert!(quarantine.store(&copy(), &noon(DAY)).is_ok(), "{name}");
    }
}

#[test]
fn the_links_today_and_yesterday_replace_links_only() {
    let (root, elsewhere) = (tempdir().unwrap(), tempdir().unwrap());
    let quarantine = open(root.path());
    symlink(elsewhere.path(), root.path().join("today")).unwrap();
    std::fs::write(root.path().join("yesterday"), "mine").unwrap();
    let expired = quarantine.expire(&noon(DAY), Expiry::default()).unwrap();
    assert_eq!(
        std::fs::read_link(root.path().join("today")).unwrap().to_str(),
        Some("212")
    );
    assert_eq!(std::fs::read_to_string(root.path().join("yesterday")).unwrap(), "mine");
    assert_eq!(expired.troubles.len(), 1);
    assert!(elsewhere.path().exists());
    // A store is not held up by it.
    drop(store(&quarantine, DAY));
}
