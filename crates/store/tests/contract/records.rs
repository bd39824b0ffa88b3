//! Deliveries, endings and the ledger.

use crate::common::{NOW_S, any_ending, any_record, ending, id, key, record};
use crate::{Place, block_on, suite};
use judge::policy::Policy;
use judge::reason::Effect;
use judge::verdict::{Disposition, Rejection};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{LEDGER_LIFE_S, MailwardId, Outcome, Page, Reader, SealedPolicy, Since, StoreError, Which};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_record_and_ending_read_back_equal(record in any_record(), ending in any_ending()) {
        for place in Place::each() {
            let found = block_on(async {
                let store = place.open();
                store.begin(record.clone()).await.unwrap();
                store.finish(record.id, ending.clone()).await.unwrap();
                store.close().await.unwrap();
                place.open_read_only().find(record.id).await.unwrap().unwrap()
            });
            prop_assert_eq!(&found.record, &record);
            prop_assert_eq!(found.ending.as_ref(), Some(&ending));
        }
    }
}

suite! {
    what_was_never_begun_is_not_found,
    a_taken_id_fails_its_second_record_only,
    many_begin_at_once_and_each_is_there,
    an_ending_is_visible_after_the_next_synced_write,
    an_ending_is_written_soon_though_nobody_else_writes,
    dropping_the_store_writes_what_is_left,
    a_closed_store_answers_unavailable_and_never_hangs,
    the_ledger_gathers_recipients_for_seven_days,
    the_ledger_outlives_a_restart_and_forgets_what_is_dropped,
    concurrent_adds_to_one_entry_are_all_kept,
    recent_lists_the_newest_first_with_the_reason_that_decided,
    expire_forgets_what_is_older_and_keeps_every_policy_that_is_needed,
    expire_to_size_forgets_the_oldest_until_the_rest_fits,
    a_reader_beside_the_writer_sees_what_was_synced,
    what_came_since_a_time_is_given_in_pages_each_message_once,
    only_messages_with_a_reason_in_shadow_are_given_when_those_are_asked_for,
}

async fn what_was_never_begun_is_not_found(place: Place) {
    let store = place.open();
    assert_eq!(store.find(id(1)).await, Ok(None));
    assert_eq!(store.recent(10).await, Ok(Vec::new()));
}

async fn a_taken_id_fails_its_second_record_only(place: Place) {
    let store = place.open();
    store.begin(record(id(1), NOW_S, 1)).await.unwrap();
    let (again, other) = tokio::join!(
        store.begin(record(id(1), NOW_S + 1, 2)),
        store.begin(record(id(2), NOW_S, 1))
    );
    assert_eq!(again, Err(StoreError::IdTaken));
    assert_eq!(other, Ok(()));
    assert_eq!(
        store.find(id(1)).await.unwrap().unwrap().record,
        record(id(1), NOW_S, 1)
    );
}

async fn many_begin_at_once_and_each_is_there(place: Place) {
    let store = Arc::new(place.open());
    // More than there are places in the queue; every id is tried twice.
    let begin = |n: u64| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.begin(record(id(n / 2), NOW_S, 1)).await })
    };
    let tasks: Vec<_> = (0..3000).map(begin).collect();
    let mut taken = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(()) => {}
            Err(StoreError::IdTaken) => taken += 1,
            Err(why) => panic!("{why}"),
        }
    }
    assert_eq!(taken, 1500);
    for n in 0..1500 {
        assert!(store.find(id(n)).await.unwrap().is_some(), "{n}");
    }
}

async fn an_ending_is_visible_after_the_next_synced_write(place: Place) {
    let store = place.open();
    store.begin(record(id(1), NOW_S, 2)).await.unwrap();
    let found = store.find(id(1)).await.unwrap().unwrap();
    assert_eq!(
        (found.outcome(0), found.outcome(1)),
        (&Outcome::Unknown, &Outcome::Unknown)
    );
    store.finish(id(1), ending(1)).await.unwrap();
    store.begin(record(id(2), NOW_S, 1)).await.unwrap();
    let found = store.find(id(1)).await.unwrap().unwrap();
    assert_eq!(found.ending, Some(ending(1)));
    assert!(matches!(found.outcome(0), Outcome::Delivered { .. }));
    assert_eq!(found.outcome(1), &Outcome::Unknown);
}

async fn an_ending_is_written_soon_though_nobody_else_writes(place: Place) {
    let store = place.open();
    store.begin(record(id(1), NOW_S, 1)).await.unwrap();
    store.finish(id(1), ending(1)).await.unwrap();
    let begun = Instant::now();
    while store.find(id(1)).await.unwrap().unwrap().ending.is_none() {
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}

async fn dropping_the_store_writes_what_is_left(place: Place) {
    let store = place.open();
    for n in 0..5000 {
        store.finish(id(n), ending(1)).await.unwrap();
    }
    store.begin(record(id(1), NOW_S, 1)).await.unwrap();
    store.begin(record(id(2), NOW_S, 1)).await.unwrap();
    store.finish(id(1), ending(1)).await.unwrap();
    drop(store);
    let store = place.open();
    assert_eq!(store.find(id(1)).await.unwrap().unwrap().ending, Some(ending(1)));
    // An ending of before its message was begun is none; and a message without one stays so.
    assert_eq!(store.find(id(2)).await.unwrap().unwrap().outcome(0), &Outcome::Unknown);
}

async fn a_closed_store_answers_unavailable_and_never_hangs(place: Place) {
    let store = place.open();
    store.begin(record(id(1), NOW_S, 1)).await.unwrap();
    store.close().await.unwrap();
    let unavailable = |result| assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
    unavailable(store.begin(record(id(2), NOW_S, 1)).await);
    unavailable(store.finish(id(1), ending(1)).await);
    unavailable(store.ledger_add(key(1), vec!["a".into()], NOW_S).await);
    unavailable(store.expire(NOW_S).await.map(|_| ()));
    unavailable(store.expire_to_size(0).await.map(|_| ()));
    unavailable(store.close().await);
    assert!(store.find(id(1)).await.unwrap().is_some());
}

async fn the_ledger_gathers_recipients_for_seven_days(place: Place) {
    let store = place.open();
    assert!(store.ledger_delivered(key(1), NOW_S).await.is_empty());
    store
        .ledger_add(key(1), vec!["ann@example.com".into()], NOW_S)
        .await
        .unwrap();
    let both = vec!["ann@example.com".into(), "bob@example.com".into()];
    store.ledger_add(key(1), both.clone(), NOW_S + 10).await.unwrap();
    assert_eq!(
        store.ledger_delivered(key(1), NOW_S + 10 + LEDGER_LIFE_S - 1).await,
        both
    );
    assert!(
        store
            .ledger_delivered(key(1), NOW_S + 10 + LEDGER_LIFE_S)
            .await
            .is_empty()
    );
    assert!(store.ledger_delivered(key(2), NOW_S).await.is_empty());
}

async fn the_ledger_outlives_a_restart_and_forgets_what_is_dropped(place: Place) {
    let store = place.open();
    for n in 1..=3 {
        store
            .ledger_add(key(n), vec![format!("user{n}@example.com")], NOW_S)
            .await
            .unwrap();
    }
    store.ledger_drop(key(2)).await.unwrap();
    assert!(store.ledger_delivered(key(2), NOW_S).await.is_empty());
    drop(store);
    let store = place.open();
    assert_eq!(store.ledger_delivered(key(1), NOW_S).await, ["user1@example.com"]);
    assert!(store.ledger_delivered(key(2), NOW_S).await.is_empty());
    // Its time over, an entry leaves memory and disk with the next one that comes.
    store
        .ledger_add(key(4), vec!["d".into()], NOW_S + LEDGER_LIFE_S)
        .await
        .unwrap();
    drop(store);
    let store = place.open();
    assert!(store.ledger_delivered(key(1), NOW_S).await.is_empty());
    assert_eq!(store.ledger_delivered(key(4), NOW_S).await, ["d"]);
}

async fn concurrent_adds_to_one_entry_are_all_kept(place: Place) {
    let store = Arc::new(place.open());
    let add = |n: usize| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.ledger_add(key(1), vec![format!("{n:02}")], NOW_S).await })
    };
    for task in (0..50).map(add).collect::<Vec<_>>() {
        task.await.unwrap().unwrap();
    }
    drop(store);
    let mut kept = place.open().ledger_delivered(key(1), NOW_S).await;
    kept.sort();
    assert_eq!(kept, (0..50).map(|n| format!("{n:02}")).collect::<Vec<_>>());
}

async fn recent_lists_the_newest_first_with_the_reason_that_decided(place: Place) {
    let store = place.open();
    // Within one minute the ids say nothing about the order.
    for (chance, received_s) in [(9, NOW_S), (5, NOW_S + 2), (7, NOW_S + 1)] {
        store.begin(record(id(chance), received_s, 1)).await.unwrap();
    }
    store
        .begin(record(MailwardId::new(NOW_S + 60, 1), NOW_S + 60, 2))
        .await
        .unwrap();
    let lines = |limit| {
        let list = store.recent(limit);
        async {
            list.await
                .unwrap()
                .into_iter()
                .map(|line| line.received_s - NOW_S)
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(lines(10).await, [60, 60, 2, 1, 0]);
    assert_eq!(lines(4).await, [60, 60, 2, 1]);
    assert_eq!(lines(1).await, [60]);
    assert_eq!(lines(0).await, [0; 0]);
    let newest = &store.recent(2).await.unwrap()[1];
    let judged = newest.judged.as_ref().unwrap();
    assert_eq!(judged.reverse_path.to_string(), "bob@sender.example");
    assert_eq!(judged.recipient.as_str(), "user1@example.com");
    assert_eq!(judged.disposition, Disposition::Reject(Rejection::Policy));
    assert_eq!(judged.reason.as_ref().unwrap().as_str(), "no Date field");
    assert_eq!((&judged.outcome, &judged.reply), (&Outcome::Unknown, &None));
    store.finish(id(9), ending(1)).await.unwrap();
    store
        .begin(record(MailwardId::new(NOW_S + 60, 2), NOW_S + 60, 1))
        .await
        .unwrap();
    let oldest = store.recent(10).await.unwrap().pop().unwrap();
    let judged = oldest.judged.unwrap();
    assert_eq!(
        (&judged.outcome, judged.reply),
        (&ending(1).outcomes[0], Some(ending(1).reply))
    );
}

async fn expire_forgets_what_is_older_and_keeps_every_policy_that_is_needed(place: Place) {
    let store = place.open();
    const DAY_S: i64 = 24 * 60 * 60;
    let at = |day: i64, n| {
        let mut record = record(MailwardId::new(NOW_S + day * DAY_S, n), NOW_S + day * DAY_S, 1);
        // One policy on even days, one on odd days, one on all.
        let shadow = day % 2 == 0;
        let policy = SealedPolicy::new(Policy {
            shadow,
            ..Policy::default()
        })
        .unwrap();
        let second = record.recipients[0].clone();
        record.recipients.push(store::RecipientRecord { policy, ..second });
        record
    };
    for day in 0..4 {
        for n in 0..150 {
            store.begin(at(day, n)).await.unwrap();
            store.finish(at(day, n).id, ending(2)).await.unwrap();
        }
    }
    assert_eq!(store.expire(NOW_S).await, Ok(0));
    assert_eq!(store.expire(NOW_S + 3 * DAY_S).await, Ok(450));
    assert_eq!(store.expire(NOW_S + 3 * DAY_S).await, Ok(0));
    assert_eq!(store.find(at(2, 0).id).await, Ok(None));
    assert_eq!(store.find(at(3, 0).id).await.unwrap().unwrap().record, at(3, 0));
    // A policy that went comes again with the next message that needs it.
    store.begin(at(4, 0)).await.unwrap();
    assert_eq!(store.find(at(4, 0).id).await.unwrap().unwrap().record, at(4, 0));
    assert_eq!(store.expire(NOW_S + 9 * DAY_S).await, Ok(151));
    store.begin(at(4, 0)).await.unwrap();
    assert_eq!(store.find(at(4, 0).id).await.unwrap().unwrap().record, at(4, 0));
}

async fn expire_to_size_forgets_the_oldest_until_the_rest_fits(place: Place) {
    let store = place.open();
    let at = |n: u64| {
        let at_s = NOW_S + n as i64 * 60 * 60;
        let policy = Policy {
            trusted_sealers: vec![mail::Domain::parse(&format!("day{}.example", n / 24)).unwrap()],
            ..Policy::default()
        };
        let mut record = record(MailwardId::new(at_s, n), at_s, 5);
        for recipient in &mut record.recipients {
            recipient.policy = SealedPolicy::new(policy.clone()).unwrap();
        }
        record
    };
    let empty = store.used_octets().await.unwrap();
    for n in 0..1000 {
        store.begin(at(n)).await.unwrap();
        store.finish(at(n).id, ending(5)).await.unwrap();
    }
    // With it goes what is lazy.
    store.settle().await.unwrap();
    let full = store.used_octets().await.unwrap();
    assert!(full > empty + 1_000_000, "{full}");
    assert_eq!(store.expire_to_size(full).await, Ok(0));
    let gone = store.expire_to_size(full / 2).await.unwrap();
    let half = store.used_octets().await.unwrap();
    assert!(half <= full / 2 && half > full / 4, "{half} of {full}");
    assert!((300..800).contains(&gone), "{gone}");
    for n in [0, gone - 1] {
        assert_eq!(store.find(at(n).id).await, Ok(None), "{n}");
    }
    for n in [gone, 999] {
        assert_eq!(store.find(at(n).id).await.unwrap().unwrap().record, at(n), "{n}");
    }
    assert_eq!(place.open_read_only().used_octets().await, Ok(half));
    // Nothing fits, and it ends all the same; what comes then is kept with its policy.
    assert_eq!(store.expire_to_size(0).await, Ok(1000 - gone));
    assert!(store.used_octets().await.unwrap() < empty + 100_000);
    store.begin(at(999)).await.unwrap();
    assert_eq!(store.find(at(999).id).await.unwrap().unwrap().record, at(999));
}

async fn a_reader_beside_the_writer_sees_what_was_synced(place: Place) {
    let store = place.open();
    let reader = place.open_read_only();
    for n in 0..100 {
        store.begin(record(id(n), NOW_S, 1)).await.unwrap();
        assert!(reader.find(id(n)).await.unwrap().is_some(), "{n}");
    }
    assert_eq!(reader.recent(1000).await.unwrap().len(), 100);
    drop(store);
    assert_eq!(reader.recent(1000).await.unwrap().len(), 100);
}

/// All pages of `messages_max` messages each.
async fn pages(reader: &Reader, since: Since) -> Vec<Page> {
    let mut pages = vec![reader.since(since).await.unwrap()];
    while let Some(next) = pages[pages.len() - 1].next {
        assert!(pages.len() < 100, "the pages never end");
        let below = Some(next);
        pages.push(reader.since(Since { below, ..since }).await.unwrap());
    }
    pages
}

async fn what_came_since_a_time_is_given_in_pages_each_message_once(place: Place) {
    let store = place.open();
    // Two minutes; in the first, three messages that came too early.
    for n in 0..10 {
        store.begin(record(id(n), NOW_S + n as i64, 2)).await.unwrap();
        let later = MailwardId::new(NOW_S + 60, n);
        store.begin(record(later, NOW_S + 60, 1)).await.unwrap();
    }
    let reader = place.open_read_only();
    for messages_max in [1, 3, 10, 20, 100] {
        let since = Since {
            from_s: NOW_S + 3,
            below: None,
            messages_max,
            which: Which::All,
        };
        let pages = pages(&reader, since).await;
        let found: Vec<MailwardId> = pages.iter().flat_map(|p| &p.found).map(|s| s.record.id).collect();
        let later = (0..10).map(|n| MailwardId::new(NOW_S + 60, n)).rev();
        let expected: Vec<MailwardId> = later.chain((3..10).map(id).rev()).collect();
        assert_eq!(found, expected, "{messages_max}");
        assert!(pages.iter().all(|page| page.messages <= messages_max as u64));
        let sum = |of: fn(&Page) -> u64| pages.iter().map(of).sum::<u64>();
        assert_eq!((sum(|p| p.messages), sum(|p| p.deliveries)), (17, 10 + 14));
    }
}

async fn only_messages_with_a_reason_in_shadow_are_given_when_those_are_asked_for(place: Place) {
    let store = place.open();
    let mut shadowed = record(id(1), NOW_S, 2);
    shadowed.recipients[1].verdict.reasons[0].effect = Effect::Shadowed;
    // A text that only looks like it.
    let mut decoy = record(id(2), NOW_S, 1);
    decoy.facts.content.as_mut().unwrap().subject = Some(mail::Line::literal("\"effect\":\"shadowed\""));
    decoy.recipients[0].verdict.reasons[0].text = mail::Line::literal("\"effect\":\"shadowed\"");
    for record in [shadowed.clone(), decoy, record(id(3), NOW_S, 3)] {
        store.begin(record).await.unwrap();
    }
    let since = Since {
        from_s: NOW_S,
        below: None,
        messages_max: 10,
        which: Which::Shadowed,
    };
    let page = place.open_read_only().since(since).await.unwrap();
    assert_eq!(
        (page.messages, page.deliveries, page.unreadable, page.next),
        (3, 6, 0, None)
    );
    let found: Vec<_> = page.found.into_iter().map(|stored| stored.record).collect();
    assert_eq!(found, [shadowed]);
}
