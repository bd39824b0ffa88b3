//! Greylist, cursors, retention, export; and what happens when nothing can be written.

use crate::common::{NOW_S, id, record};
use crate::{Place, suite};
use judge::reputation::{Correspondent, History, Identity};
use mail::{Domain, Line, MailboxId};
use std::time::Duration;
use store::{
    GreylistKey, Kept, KeptKey, Label, LabelRequest, LedgerKey, MemoryDisk, Remembered, Said, Sent, Store, StoreError,
};

const DAY_S: i64 = 24 * 60 * 60;

fn mailbox(n: u64) -> MailboxId {
    MailboxId::try_from(format!("user{n}@example.com")).unwrap()
}

fn identity() -> Identity {
    Identity::Dkim(Domain::parse("shop.example").unwrap())
}

/// Every third one was forgotten.
fn label(n: u64, received_s: i64) -> Remembered {
    let labelled = !n.is_multiple_of(3);
    Remembered::Label(LabelRequest {
        mailbox: mailbox(n % 2),
        id: id(n),
        said: Said {
            label: labelled.then_some(Label::Junk),
            at_s: received_s + 60,
            source: Line::literal("import"),
            by: Line::literal("ann"),
        },
        received_s,
        author_local: if labelled {
            Line::literal("bob")
        } else {
            Line::default()
        },
        identities: if labelled { vec![identity()] } else { Vec::new() },
        features: None,
    })
}

fn sent(n: u64, at_s: i64) -> Remembered {
    Remembered::Sent(Sent {
        mailbox: mailbox(n % 2),
        local: Line::clean(format!("user{n}").as_bytes(), 99),
        domain: Domain::parse("shop.example").unwrap(),
        organization: n.is_multiple_of(2).then(|| Domain::parse("shop.example").unwrap()),
        at_s,
    })
}

async fn export(store: &Store, limit: usize) -> Vec<Remembered> {
    let (mut all, mut from) = (Vec::new(), None);
    for _ in 0..1000 {
        let page = store.reader().export(from, limit).await.unwrap();
        all.extend(page.remembered);
        from = page.next;
        if from.is_none() {
            return all;
        }
    }
    panic!("the pages never end");
}

suite! {
    a_greylist_entry_counts_tries_until_it_ends,
    a_greylist_entry_that_passed_lives_longer_and_never_shorter,
    greylist_entries_that_ended_are_forgotten,
    a_copy_is_known_by_its_message_and_by_its_place,
    a_mailbox_keeps_its_newest_copies,
    copies_end_at_their_time,
    a_greylist_entry_outlives_a_clock_that_jumps,
    cursors_are_kept_by_name,
    what_is_exported_can_be_imported_and_is_the_same,
    labels_and_sent_mail_are_forgotten_by_age,
    history_goes_last_when_the_store_is_too_large,
    a_closed_store_refuses_labels,
}

async fn a_greylist_entry_counts_tries_until_it_ends(place: Place) {
    let store = place.open();
    let key = GreylistKey::new([7; 16]);
    let first = store.greylist_seen(key, NOW_S, NOW_S + 100).await.unwrap();
    assert_eq!((first.first_s, first.tries, first.passed_s), (NOW_S, 1, None));
    drop(store);
    let store = place.open();
    let second = store.greylist_seen(key, NOW_S + 99, NOW_S + 999).await.unwrap();
    assert_eq!((second.first_s, second.last_s, second.tries), (NOW_S, NOW_S + 99, 2));
    // A clock that is set back changes no order.
    let third = store.greylist_seen(key, NOW_S - 50, NOW_S).await.unwrap();
    assert_eq!((third.first_s, third.last_s, third.tries), (NOW_S, NOW_S + 99, 3));
    assert_eq!(third.expires_s, NOW_S + 100);
    let anew = store.greylist_seen(key, NOW_S + 100, NOW_S + 200).await.unwrap();
    assert_eq!((anew.first_s, anew.tries), (NOW_S + 100, 1));
}

async fn a_greylist_entry_that_passed_lives_longer_and_never_shorter(place: Place) {
    let store = place.open();
    let key = GreylistKey::new([7; 16]);
    assert_eq!(store.greylist_pass(key, NOW_S, NOW_S + 500).await, Ok(None));
    store.greylist_seen(key, NOW_S, NOW_S + 100).await.unwrap();
    let passed = store
        .greylist_pass(key, NOW_S + 50, NOW_S + 500)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((passed.passed_s, passed.expires_s), (Some(NOW_S + 50), NOW_S + 500));
    let again = store
        .greylist_pass(key, NOW_S + 60, NOW_S + 400)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((again.passed_s, again.expires_s), (Some(NOW_S + 60), NOW_S + 500));
    assert_eq!(store.greylist_pass(key, NOW_S + 500, NOW_S + 900).await, Ok(None));
}

async fn a_greylist_entry_outlives_a_clock_that_jumps(place: Place) {
    let store = place.open();
    let (key, life_s) = (GreylistKey::new([7; 16]), 30 * DAY_S);
    store.greylist_seen(key, NOW_S, NOW_S + life_s).await.unwrap();
    // A year back: it is known, and nothing comes to lie before its first try.
    let back_s = NOW_S - 365 * DAY_S;
    let seen = store.greylist_seen(key, back_s, back_s + life_s).await.unwrap();
    assert_eq!((seen.first_s, seen.last_s, seen.tries), (NOW_S, NOW_S, 2));
    assert_eq!(store.expire_greylist(back_s).await, Ok(0));
    let passed = store
        .greylist_pass(key, back_s, back_s + life_s)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((passed.passed_s, passed.expires_s), (Some(back_s), NOW_S + life_s));
    // Ten years ahead it has ended, and whoever tries is new; when the clock is back he is still known.
    let ahead_s = NOW_S + 3650 * DAY_S;
    assert_eq!(store.greylist_pass(key, ahead_s, ahead_s + life_s).await, Ok(None));
    let anew = store.greylist_seen(key, ahead_s, ahead_s + life_s).await.unwrap();
    assert_eq!((anew.first_s, anew.tries, anew.passed_s), (ahead_s, 1, None));
    let seen = store.greylist_seen(key, NOW_S, NOW_S + life_s).await.unwrap();
    assert_eq!((seen.first_s, seen.last_s, seen.tries), (ahead_s, ahead_s, 2));
    // The ends of time are times.
    let ends = GreylistKey::new([8; 16]);
    store.greylist_seen(ends, i64::MIN, i64::MAX).await.unwrap();
    let last = store.greylist_seen(ends, i64::MAX - 1, i64::MAX).await.unwrap();
    assert_eq!((last.first_s, last.last_s, last.tries), (i64::MIN, i64::MAX - 1, 2));
    assert_eq!(store.expire_greylist(i64::MAX).await, Ok(2));
}

async fn greylist_entries_that_ended_are_forgotten(place: Place) {
    let store = place.open();
    for n in 0..=250u8 {
        let key = GreylistKey::new([n; 16]);
        store.greylist_seen(key, NOW_S, NOW_S + i64::from(n)).await.unwrap();
    }
    assert_eq!(store.expire_greylist(NOW_S + 219).await, Ok(220));
    assert_eq!(store.reader().stats().await.unwrap().greylist, 31);
}

/// The `n`th message of a mailbox, kept at `NOW_S + n` for a minute.
fn kept(user: u64, n: u8) -> Kept {
    Kept {
        mailbox: mailbox(user),
        key: KeptKey::new([n; 16]),
        at_s: NOW_S + i64::from(n),
        expires_s: NOW_S + i64::from(n) + 60,
        octets: 100,
        is_deferred: false,
        source: Line::literal(if n.is_multiple_of(2) {
            "reputation"
        } else {
            "greylisting"
        }),
        ledger: LedgerKey::new([n; 32]),
        recipient: format!("user{user}@example.com"),
        reference: format!("325/example.com/{user}.{n}"),
    }
}

async fn a_copy_is_known_by_its_message_and_by_its_place(place: Place) {
    let store = place.open();
    assert_eq!(store.keep(kept(0, 1), 9).await, Ok(Vec::new()));
    assert_eq!(store.keep(kept(0, 2), 9).await, Ok(Vec::new()));
    assert_eq!(store.keep(kept(1, 1), 9).await, Ok(Vec::new()));
    drop(store);
    let store = place.open();
    let reader = store.reader();
    let key = kept(0, 1).key;
    assert_eq!(reader.kept(&mailbox(0), key).await, Ok(Some(kept(0, 1))));
    assert_eq!(reader.kept(&mailbox(2), key).await, Ok(None));

    assert_eq!(
        reader.kept_at(&mailbox(0), kept(0, 2).reference).await,
        Ok(Some(kept(0, 2)))
    );
    assert_eq!(reader.kept_at(&mailbox(1), kept(0, 2).reference).await, Ok(None));
    assert_eq!(reader.kept_octets("greylisting").await, Ok(200));
    assert_eq!(reader.stats().await.unwrap().kept, 3);

    // The same message kept elsewhere displaces the copy before; at the same place it displaces nothing.
    let elsewhere = Kept {
        reference: "326/example.com/0.1".to_owned(),
        ..kept(0, 1)
    };
    assert_eq!(store.keep(elsewhere.clone(), 9).await, Ok(vec![kept(0, 1)]));
    assert_eq!(store.keep(elsewhere.clone(), 9).await, Ok(Vec::new()));
    assert_eq!(store.kept_take(&mailbox(0), key).await, Ok(Some(elsewhere)));
    assert_eq!(store.kept_take(&mailbox(0), key).await, Ok(None));
    assert_eq!(store.kept_take(&mailbox(7), key).await, Ok(None));
    assert_eq!(reader.kept(&mailbox(0), key).await, Ok(None));
    assert_eq!(reader.kept(&mailbox(1), key).await, Ok(Some(kept(1, 1))));
}

async fn a_mailbox_keeps_its_newest_copies(place: Place) {
    let store = place.open();
    for n in [3, 1, 2] {
        assert_eq!(store.keep(kept(0, n), 3).await, Ok(Vec::new()));
    }
    assert_eq!(store.keep(kept(1, 9), 3).await, Ok(Vec::new()));
    assert_eq!(store.keep(kept(0, 4), 3).await, Ok(vec![kept(0, 1)]));
    // Whoever was asked to come again has the message himself, so those go first, however new they are.
    let deferred = |n| Kept {
        is_deferred: true,
        ..kept(3, n)
    };
    for kept in [kept(3, 1), deferred(2), deferred(3)] {
        assert_eq!(store.keep(kept, 3).await, Ok(Vec::new()));
    }
    assert_eq!(store.keep(deferred(4), 3).await, Ok(vec![deferred(2)]));
    assert_eq!(store.keep(kept(3, 5), 3).await, Ok(vec![deferred(3)]));
    // A number that was lowered holds with the next copy.
    let mut gone = store.keep(kept(0, 5), 2).await.unwrap();
    gone.sort_by_key(|kept| kept.at_s);
    assert_eq!(gone, [kept(0, 2), kept(0, 3)]);
    // A new one stays, whatever the clock says; once it was set back, those of before go first.
    assert_eq!(store.keep(kept(0, 1), 2).await, Ok(vec![kept(0, 4)]));
    let back = |n| Kept {
        at_s: kept(0, n).at_s - 2 * DAY_S,
        ..kept(0, n)
    };
    assert_eq!(store.keep(back(6), 2).await, Ok(vec![kept(0, 1)]));
    assert_eq!(store.keep(back(7), 2).await, Ok(vec![kept(0, 5)]));
    assert_eq!(store.keep(back(8), 2).await, Ok(vec![back(6)]));
    assert_eq!(store.reader().stats().await.unwrap().kept, 6);
}

async fn copies_end_at_their_time(place: Place) {
    let store = place.open();
    for n in 0..5 {
        store.keep(kept(u64::from(n % 2), n), 9).await.unwrap();
    }
    let mut gone = store.expire_kept(NOW_S + 62).await.unwrap();
    gone.sort_by_key(|kept| kept.at_s);
    assert_eq!(gone, [kept(0, 0), kept(1, 1), kept(0, 2)]);
    assert_eq!(store.expire_kept(NOW_S + 62).await, Ok(Vec::new()));
    assert_eq!(store.reader().stats().await.unwrap().kept, 2);
}

async fn cursors_are_kept_by_name(place: Place) {
    let store = place.open();
    assert_eq!(store.reader().cursor("imap/ann").await, Ok(None));
    store.set_cursor("imap/ann", Some(b"1:7".to_vec())).await.unwrap();
    store.set_cursor("imap/bob", Some(Vec::new())).await.unwrap();
    store.set_cursor("imap/ann", Some(b"1:9".to_vec())).await.unwrap();
    drop(store);
    let store = place.open();
    assert_eq!(store.reader().cursor("imap/ann").await, Ok(Some(b"1:9".to_vec())));
    assert_eq!(store.reader().cursor("imap/bob").await, Ok(Some(Vec::new())));
    store.set_cursor("imap/ann", None).await.unwrap();
    assert_eq!(store.reader().cursor("imap/ann").await, Ok(None));
}

async fn what_is_exported_can_be_imported_and_is_the_same(place: Place) {
    let store = place.open();
    let all: Vec<_> = (0..20)
        .map(|n| label(n, NOW_S))
        .chain((0..9).map(|n| sent(n, NOW_S)))
        .collect();
    store.remember(all.clone()).await.unwrap();
    let exported = export(&store, 4).await;
    assert_eq!(exported.len(), all.len());
    assert_eq!(export(&store, 1000).await, exported);
    let other = Place::memory().open();
    // Through text, in another order, and twice.
    for one in exported.iter().rev().chain(&exported) {
        let text = serde_json::to_string(one).unwrap();
        other
            .remember(vec![serde_json::from_str(&text).unwrap()])
            .await
            .unwrap();
    }
    assert_eq!(export(&other, 7).await, exported);
}

async fn labels_and_sent_mail_are_forgotten_by_age(place: Place) {
    let store = place.open();
    for n in 0..300 {
        let at_s = NOW_S + n as i64 * DAY_S;
        store.remember(vec![label(n, at_s), sent(n, at_s)]).await.unwrap();
    }
    store.settle().await.unwrap();
    assert_eq!(store.expire_history(NOW_S).await, Ok(0));
    assert_eq!(store.expire_history(NOW_S + 250 * DAY_S).await, Ok(500));
    store.settle().await.unwrap();
    let reader = store.reader();
    let stats = reader.stats().await.unwrap();
    assert_eq!((stats.junk + stats.forgotten, stats.sent, stats.history), (50, 50, 34));
    assert_eq!(reader.newest(&mailbox(1), &identity(), 0, 99).await.unwrap().len(), 17);
    let to = |n: u64| Correspondent::Address {
        local: Line::clean(format!("user{n}").as_bytes(), 99),
        domain: Domain::parse("shop.example").unwrap(),
    };
    assert_eq!(reader.wrote_to(&mailbox(1), &to(249), 0).await, Ok(false));
    assert_eq!(reader.wrote_to(&mailbox(0), &to(250), 0).await, Ok(true));
    let verified = reader.verify().await.unwrap();
    assert_eq!(verified.faults, Vec::<String>::new());
}

async fn history_goes_last_when_the_store_is_too_large(place: Place) {
    let store = place.open();
    for n in 0..200 {
        store.begin(record(id(n), NOW_S, 1)).await.unwrap();
        let at_s = NOW_S + n as i64;
        store.remember(vec![label(n, at_s), sent(n, at_s)]).await.unwrap();
        let key = GreylistKey::new([n as u8; 16]);
        store.greylist_seen(key, NOW_S, NOW_S + 100).await.unwrap();
    }
    store.settle().await.unwrap();
    let full = store.used_octets().await.unwrap();
    store.expire_to_size(full - full / 8).await.unwrap();
    let stats = store.reader().stats().await.unwrap();
    assert!(stats.messages < 200, "{stats:?}");
    assert_eq!((stats.junk + stats.forgotten, stats.sent), (200, 200));
    store.expire_to_size(0).await.unwrap();
    store.settle().await.unwrap();
    let stats = store.reader().stats().await.unwrap();
    let left = (
        stats.messages,
        stats.greylist,
        stats.junk,
        stats.forgotten,
        stats.sent,
        stats.history,
        stats.correspondents,
    );
    assert_eq!(left, (0, 0, 0, 0, 0, 0, 0));
    assert_eq!(store.reader().verify().await.unwrap().faults, Vec::<String>::new());
}

async fn a_closed_store_refuses_labels(place: Place) {
    let store = place.open();
    store.close().await.unwrap();
    let unavailable = |result: Result<(), StoreError>| assert!(matches!(result, Err(StoreError::Unavailable(_))));
    unavailable(store.remember(vec![label(1, NOW_S)]).await.map(|_| ()));
    unavailable(store.settle().await);
    unavailable(store.rebuild().await);
    unavailable(store.set_cursor("a", None).await);
    unavailable(store.expire_history(NOW_S).await.map(|_| ()));
    unavailable(store.greylist_seen(GreylistKey::new([1; 16]), 0, 1).await.map(|_| ()));
}

/// Whatever a back-end does late, it is not seen before it is settled, and nothing that was acknowledged is lost by
/// what fails.
#[tokio::test]
async fn folds_come_late_and_failures_cost_nothing_that_was_acknowledged() {
    let disk = MemoryDisk::new();
    let store = Store::open_in_memory(&disk).unwrap();
    store.remember(vec![label(1, NOW_S)]).await.unwrap();
    let rows = async || store.reader().newest(&mailbox(1), &identity(), 0, 9).await;
    assert_eq!(rows().await.unwrap().len(), 0);
    disk.fail_writes(Some("the disk is full"));
    let full = Err(StoreError::Unavailable("the disk is full".to_owned()));
    assert_eq!(store.remember(vec![label(5, NOW_S)]).await.map(|_| ()), full);
    assert_eq!(store.settle().await, full);
    disk.fail_writes(None);
    store.settle().await.unwrap();
    assert_eq!(rows().await.unwrap().len(), 1);
    disk.fail_reads(Some("no answer"));
    assert_eq!(rows().await, Err(StoreError::Unavailable("no answer".to_owned())));
    let why = History::newest(store.reader(), &mailbox(1), &identity(), 0, 9)
        .await
        .unwrap_err();
    assert_eq!(why.0.as_str(), "the store is unavailable: no answer");
    disk.fail_reads(None);
    // What is lazy waits for the disk.
    store.begin(record(id(1), NOW_S, 1)).await.unwrap();
    disk.fail_writes(Some("the disk is full"));
    store.finish(id(1), crate::common::ending(1)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    disk.fail_writes(None);
    store.begin(record(id(2), NOW_S, 1)).await.unwrap();
    store.begin(record(id(3), NOW_S, 1)).await.unwrap();
    drop(store);
    let reader = Store::open_in_memory_read_only(&disk).unwrap();
    assert!(reader.find(id(1)).await.unwrap().unwrap().ending.is_some());
}
