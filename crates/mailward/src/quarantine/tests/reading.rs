//! Listing, searching, showing, releasing.

use super::super::fixture::{at, copy, noon, open};
use super::super::{Copy, Days, Filter, KeepError, Noted, Quarantine, ReadError, Reference, State};
use super::{DAY, entries, find, store};
use mail::{Address, Domain, Line, ReversePath};
use std::io::Read;
use tempfile::tempdir;

/// The ids `a1` to `a6`, an hour apart, in two domains by turns, over the turn of a year; stored out of order, as by
/// several processes. Gives what a filter lets through, and whether there is more.
fn listed(filter: Filter) -> (String, bool) {
    let root = tempdir().unwrap();
    let quarantine = open(root.path());
    let (recipient, domain) = (Address::parse("U@b.example").unwrap(), domain("b.example"));
    for n in [3, 1, 2, 4, 6, 5] {
        let id = format!("a{n}");
        let mut copy = Copy { id: &id, ..copy() };
        if n % 2 == 0 {
            (copy.recipient, copy.domain) = (&recipient, &domain);
        }
        let date = if n <= 2 { "2024-12-31" } else { "2025-01-01" };
        drop(quarantine.store(&copy, &at(date, n)).unwrap());
    }
    let listing = quarantine.list(&filter, &noon("2025-01-01")).unwrap();
    let ids: Vec<String> = listing.entries.iter().map(|entry| entry.id.to_string()).collect();
    (ids.join(" "), listing.more)
}

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

#[test]
fn entries_are_listed_newest_first_up_to_the_limit() {
    for (limit, ids, more) in [
        (Filter::LIMIT, "a6 a5 a4 a3 a2 a1", false),
        (usize::MAX, "a6 a5 a4 a3 a2 a1", false),
        (6, "a6 a5 a4 a3 a2 a1", false),
        (5, "a6 a5 a4 a3 a2", true),
        (2, "a6 a5", true),
        (0, "", true),
    ] {
        let filter = Filter {
            limit,
            ..Filter::default()
        };
        assert_eq!(listed(filter), (ids.into(), more), "{limit}");
    }
}

#[test]
fn entries_are_chosen_by_day_domain_and_recipient() {
    let all = Filter::default;
    let days = |days| listed(Filter { days, ..all() }).0;
    assert_eq!(days(Days::Last(1)), "a6 a5 a4 a3");
    assert_eq!(days(Days::Last(2)), "a6 a5 a4 a3 a2 a1");
    assert_eq!(days(Days::On("2024-12-31".parse().unwrap())), "a2 a1");
    let of = |name| {
        let domain = Some(domain(name));
        listed(Filter { domain, ..all() }).0
    };
    assert_eq!((of("b.example"), of("c.example")), ("a6 a4 a2".into(), String::new()));
    let filter = Filter {
        recipient: Some(Address::parse("u@B.example").unwrap()),
        limit: 2,
        ..all()
    };
    assert_eq!(listed(filter), ("a6 a4".into(), true));
}

#[test]
fn a_search_looks_at_all_texts_in_any_case() {
    let root = tempdir().unwrap();
    let quarantine = open(root.path());
    let subject = "Ärger \"quoted\" \\ offer".as_bytes();
    drop(
        quarantine
            .store(
                &Copy {
                    subject: Some(subject),
                    message_id: Some(b"<XyZ@b.example>"),
                    ..copy()
                },
                &noon(DAY),
            )
            .unwrap(),
    );
    drop(
        quarantine
            .store(&Copy { id: "OTHER", ..copy() }, &noon("2025-07-29"))
            .unwrap(),
    );
    let count = |text: &str, days| {
        let filter = Filter {
            days,
            ..Filter::default()
        };
        quarantine.search(text, &filter, &noon(DAY)).unwrap().entries.len()
    };
    for text in ["ÄRGER", "\"QUOTED\" \\", "xyz@", "7qk2m9"] {
        assert_eq!(count(text, Days::All), 1, "{text}");
    }
    for text in [
        "ann@example",
        "192.0.2.1",
        "client.B",
        "qualified",
        "<bob@",
        "checks/helo",
        "REJECT",
        "",
    ] {
        assert_eq!((count(text, Days::All), count(text, Days::Last(2))), (2, 1), "{text}");
    }
    assert_eq!(count("nothing of the kind", Days::All), 0);
}

/// `search` found no subject with a letter outside of ASCII, and `list` showed `=?utf-8?B?TcO8bmNoZW4=?=`.
#[test]
fn subjects_are_decoded_for_people_and_stay_as_they_came_in_the_index() {
    for (subject, index) in [
        (
            &b"=?utf-8?B?R3LDvMOfZSBhdXM=?=\r\n =?utf-8?Q?_M=C3=BCnchen?="[..],
            "=?utf-8?B?R3LDvMOfZSBhdXM=?=",
        ),
        (b"=?iso-8859-1?Q?Gr=FC=DFe_aus_M=FCnchen?=", "=?iso-8859-1?Q?"),
        (b"Gr\xfc\xdfe aus M\xfcnchen", "Gr\u{fc}\u{df}e"),
        ("Gr\u{fc}\u{df}e aus M\u{fc}nchen".as_bytes(), "Gr\u{fc}\u{df}e"),
    ] {
        let root = tempdir().unwrap();
        let quarantine = open(root.path());
        let copy = Copy {
            subject: Some(subject),
            ..copy()
        };
        drop(quarantine.store(&copy, &noon(DAY)).unwrap());
        let found = quarantine
            .search("M\u{dc}NCHEN", &Filter::default(), &noon(DAY))
            .unwrap();
        let subjects: Vec<&str> = found.entries.iter().map(|entry| entry.subject.as_str()).collect();
        assert_eq!(subjects, ["Gr\u{fc}\u{df}e aus M\u{fc}nchen"], "{index}");
        for name in ["index", "index.json"] {
            let text = std::fs::read_to_string(root.path().join("212/example.com").join(name)).unwrap();
            assert!(text.contains(index), "{text}");
        }
    }
}

#[test]
fn foreign_text_in_an_index_is_cleaned_when_it_is_read() {
    let root = tempdir().unwrap();
    let quarantine = open(root.path());
    drop(store(&quarantine, DAY));
    let path = root.path().join("212/example.com/index.json");
    let line = std::fs::read_to_string(&path)
        .unwrap()
        .replace("Hello", "\\u001b[31mred\\u202e\\n");
    std::fs::write(&path, line).unwrap();
    assert_eq!(entries(&quarantine)[0].subject, Line::literal("[31mred\\u{202e}"));
}

#[test]
fn a_released_message_is_delivered_as_it_came_and_shows_as_released() {
    let root = tempdir().unwrap();
    let quarantine = open(root.path());
    let message: &[&[u8]] = &[
        b"Received: by mx\r\nSubject: Hello\r\nX-HELO: b.example\r\n",
        b"X-REJECT-REASON: HELO should be qualified\r\nX-REJECT-PLUGIN: checks/helo\r\n",
        b"\r\n.\r\nbody \xff\0\r\n",
    ];
    let recipient = Address::parse("\"A b\"@Example.com").unwrap();
    for path in ["", "Bob@b.example", "\"a\\\"b  c\"@b.example", "unqualified"] {
        let reverse_path = ReversePath::parse(path).unwrap();
        let copy = Copy {
            message,
            recipient: &recipient,
            reverse_path: &reverse_path,
            ..copy()
        };
        let reference = quarantine.store(&copy, &noon(DAY)).unwrap().reference().to_string();
        let entry = find(&quarantine, &reference).remove(0);
        let released = quarantine.release(&entry).unwrap();
        assert_eq!(
            (&released.reverse_path, &released.recipient),
            (&reverse_path, &recipient)
        );
        assert_eq!(
            released.octets,
            b"Received: by mx\r\nSubject: Hello\r\nX-HELO: b.example\r\n\r\n.\r\nbody \xff\0\r\n"
        );
        assert_eq!(entry.state, State::Held);
        for _ in 0..2 {
            quarantine.mark_released(&entry).unwrap();
            let entry = find(&quarantine, &reference).remove(0);
            assert_eq!(entry.state, State::Released);
            assert_eq!(quarantine.release(&entry).unwrap(), released);
        }
        let name = reference.rsplit('/').next().unwrap();
        assert!(root.path().join(format!("212/example.com/cur/{name}:2,S")).exists());
        assert_eq!(find(&quarantine, &format!("{reference}:2,S")).len(), 1);
    }
}

#[test]
fn mail_that_a_mail_program_moved_is_found_and_released() {
    let root = tempdir().unwrap();
    let quarantine = open(root.path());
    let reference = store(&quarantine, DAY);
    let name = reference.rsplit('/').next().unwrap();
    let dir = root.path().join("212/example.com");
    std::fs::rename(dir.join("new").join(name), dir.join(format!("cur/{name}:2,FT"))).unwrap();
    let entry = find(&quarantine, &reference).remove(0);
    assert_eq!(entry.state, State::Held);
    quarantine.mark_released(&entry).unwrap();
    assert!(dir.join(format!("cur/{name}:2,FST")).exists());
    assert_eq!(entries(&quarantine)[0].state, State::Released);
}

#[test]
fn a_tree_opened_to_read_stores_nothing() {
    let root = tempdir().unwrap();
    let reference = store(&open(root.path()), DAY);
    let quarantine = Quarantine::open_to_read(root.path().to_owned(), false).unwrap();
    let entry = find(&quarantine, &reference).remove(0);
    quarantine.mark_released(&entry).unwrap();
    assert_eq!(entries(&quarantine)[0].state, State::Released);
    assert!(matches!(
        quarantine.store(&copy(), &noon(DAY)),
        Err(KeepError::OverBudget { .. })
    ));
    assert_eq!(quarantine.note(&copy(), &noon(DAY)).unwrap(), Noted::Counted);
    assert!(Quarantine::open_to_read(root.path().join("absent"), false).is_err());
}

#[test]
fn what_has_no_file_can_be_neither_shown_nor_released() {
    let root = tempdir().unwrap();
    let quarantine = open(root.path());
    quarantine.note(&copy(), &noon(DAY)).unwrap();
    let entry = find(&quarantine, "7QK2M9").remove(0);
    assert_eq!((entry.state, entry.reference()), (State::MetadataOnly, None));
    assert!(matches!(quarantine.open_message(&entry), Err(ReadError::MetadataOnly)));
    assert!(matches!(quarantine.mark_released(&entry), Err(ReadError::MetadataOnly)));

    let held = quarantine.store(&copy(), &noon(DAY)).unwrap();
    let entry = find(&quarantine, &held.reference().to_string()).remove(0);
    let mut stored = String::new();
    quarantine
        .open_message(&entry)
        .unwrap()
        .read_to_string(&mut stored)
        .unwrap();
    assert!(stored.starts_with("Recipient: Ann@Example.com\r\nSubject: Hello\r\n"));
    quarantine.withdraw(&held).unwrap();
    assert!(matches!(quarantine.release(&entry), Err(ReadError::Gone { .. })));
    assert!(matches!(quarantine.mark_released(&entry), Err(ReadError::Gone { .. })));
    let elsewhere = Reference::parse("211/example.com/1.P3M2Q4.mx.example.com").unwrap();
    assert!(quarantine.find(&elsewhere, &noon(DAY)).unwrap().is_empty());
}
