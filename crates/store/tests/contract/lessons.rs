//! Lessons of the content filter: made and unmade by labels, taught by whoever has a model.

use crate::common::{NOW_S, features, id, record};
use crate::history::{DAY_S, JUNK, NOT_JUNK, dump, mailbox, request};
use crate::{Place, suite};
use judge::content::Features;
use judge::junk::Lesson;
use mail::MailboxId;
use store::{
    KeptLesson, LESSONS_MAX, Label, LabelRequest, Labelled, Learner, MailwardId, MemoryDisk, Reader, Remembered, Store,
    StoreError, Taught,
};

suite! {
    a_label_of_a_shown_message_makes_a_lesson_and_forgetting_takes_it_away,
    a_recorded_message_is_a_lesson_by_its_id_alone,
    a_message_that_is_shown_later_is_a_lesson_then,
    an_outranked_label_changes_no_lesson,
    the_features_of_a_lesson_stay,
    what_was_taught_waits_to_be_taken_back,
    what_was_taught_is_kept_only_where_it_is_known_what_was_before,
    a_lesson_that_is_forgotten_lends_no_features,
    a_store_that_is_opened_anew_forgets_what_only_a_model_in_memory_needs,
    rebuilding_makes_all_lessons_untaught,
    the_oldest_lessons_fade_and_their_labels_stay,
    lessons_come_in_pages_in_order_of_ids,
    lessons_are_found_by_their_ids,
    learners_come_in_order_of_names,
    the_secret_of_models_is_made_once_with_the_store,
    lessons_go_with_labels_that_go_by_age,
    lessons_go_before_labels_when_the_store_is_too_large,
    lessons_are_exported_with_their_labels,
    a_closed_store_takes_no_lessons,
}

/// As [`request`], of a message that is shown.
fn shown(n: u64, label: Option<Label>, at_s: i64) -> LabelRequest {
    LabelRequest {
        features: Some(features(n)),
        ..request(n, label, at_s)
    }
}

pub async fn learn(store: &Store, requests: impl IntoIterator<Item = LabelRequest>) {
    let all = requests.into_iter().map(Remembered::Label).collect();
    store.remember(all).await.unwrap();
}

pub fn lesson(is_junk: bool, step: i32) -> Lesson {
    Lesson {
        is_junk,
        is_counted: step % 2 == 0,
        step,
    }
}

pub fn taught(n: u64, before: Option<Lesson>, after: Option<Lesson>) -> Taught {
    let id = id(n);
    Taught { id, before, after }
}

async fn teach(store: &Store, n: u64, before: Option<Lesson>, after: Option<Lesson>) -> bool {
    let taken = store.teach(&mailbox(0), vec![taught(n, before, after)]).await.unwrap();
    assert_eq!(taken.len(), 1);
    taken[0]
}

/// All lessons of a mailbox.
pub async fn lessons(reader: &Reader, mailbox: &MailboxId) -> Vec<KeptLesson> {
    let mut all: Vec<KeptLesson> = Vec::new();
    loop {
        let after = all.last().map(|lesson| lesson.id);
        let page = reader.lessons(mailbox, after, 3).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// Those of user 0, but for features: which message, what is said, what is taught.
async fn short(store: &Store) -> Vec<(u64, Option<Label>, Option<i32>)> {
    let all = lessons(store.reader(), &mailbox(0)).await;
    all.iter()
        .map(|l| (number(l.id), l.said, l.taught.map(|t| t.step)))
        .collect()
}

async fn open(store: &Store) -> Vec<u64> {
    let open = store.reader().open_lessons(&mailbox(0), 99).await.unwrap();
    open.iter().map(|lesson| number(lesson.id)).collect()
}

/// What [`id`] was made of.
pub fn number(of: MailwardId) -> u64 {
    (0..10_000).find(|n| id(*n) == of).unwrap()
}

async fn faults(store: &Store) -> Vec<String> {
    store.settle().await.unwrap();
    store.reader().verify().await.unwrap().faults
}

async fn a_label_of_a_shown_message_makes_a_lesson_and_forgetting_takes_it_away(place: Place) {
    let store = place.open();
    store.begin(record(id(1), NOW_S, 1)).await.unwrap();
    assert_eq!(store.label(shown(1, JUNK, 10)).await, Ok(Labelled::Holds));
    let mut expected = KeptLesson {
        id: id(1),
        received_s: NOW_S + 1,
        said: JUNK,
        taught: None,
        features: features(1),
    };
    assert_eq!(lessons(store.reader(), &mailbox(0)).await, [expected.clone()]);
    assert_eq!(lessons(store.reader(), &mailbox(1)).await, []);
    assert_eq!(open(&store).await, [1]);
    let stats = store.reader().stats().await.unwrap();
    let octets = features(1).to_octets().len() as u64;
    assert_eq!((stats.lessons, stats.lesson_octets), (1, octets));
    // What was held says nothing of features.
    let held = store.reader().label(&mailbox(0), id(1)).await.unwrap().unwrap();
    assert_eq!(held, request(1, JUNK, 10));

    store.label(shown(1, NOT_JUNK, 11)).await.unwrap();
    expected.said = NOT_JUNK;
    assert_eq!(lessons(store.reader(), &mailbox(0)).await, [expected]);
    store.label(shown(1, None, 12)).await.unwrap();
    assert_eq!(lessons(store.reader(), &mailbox(0)).await, []);
    assert_eq!(open(&store).await, [0; 0]);
    let stats = store.reader().stats().await.unwrap();
    assert_eq!((stats.lessons, stats.lesson_octets), (0, 0));
    assert_eq!(faults(&store).await, Vec::<String>::new());
}

async fn a_recorded_message_is_a_lesson_by_its_id_alone(place: Place) {
    let store = place.open();
    for n in 1..=3 {
        let recorded = features(n);
        store
            .begin_with(record(id(n), NOW_S, 2), Some(&recorded))
            .await
            .unwrap();
    }
    let again = store.begin_with(record(id(1), NOW_S, 2), Some(&features(9))).await;
    assert_eq!(again, Err(StoreError::IdTaken));
    store.label(request(1, JUNK, 10)).await.unwrap();
    // What is shown counts.
    let features_of_8 = Some(features(8));
    store
        .label(LabelRequest {
            features: features_of_8,
            ..request(2, JUNK, 10)
        })
        .await
        .unwrap();
    // Each mailbox has a lesson of its own.
    store
        .label(LabelRequest {
            mailbox: mailbox(1),
            ..request(1, NOT_JUNK, 10)
        })
        .await
        .unwrap();
    let found = lessons(store.reader(), &mailbox(0)).await;
    let found: Vec<_> = found.into_iter().map(|lesson| (lesson.id, lesson.features)).collect();
    assert_eq!(found, [(id(1), features(1)), (id(2), features(8))]);
    assert_eq!(lessons(store.reader(), &mailbox(1)).await[0].features, features(1));

    // The lesson outlives the record; what was recorded does not.
    store.expire(NOW_S + DAY_S).await.unwrap();
    store.label(request(1, NOT_JUNK, 11)).await.unwrap();
    assert_eq!(short(&store).await[0], (1, NOT_JUNK, None));
    store.label(request(1, None, 12)).await.unwrap();
    store.label(request(1, JUNK, 13)).await.unwrap();
    assert_eq!(short(&store).await, [(2, JUNK, None)]);
    learn(&store, [request(3, JUNK, 10)]).await;
    assert_eq!(short(&store).await.len(), 1, "nothing was recorded any more");
    assert_eq!(faults(&store).await, Vec::<String>::new());
}

async fn a_message_that_is_shown_later_is_a_lesson_then(place: Place) {
    let store = place.open();
    learn(&store, [request(1, JUNK, 10)]).await;
    assert_eq!(short(&store).await, []);
    assert_eq!(faults(&store).await, Vec::<String>::new(), "a label without a lesson");
    learn(&store, [request(1, JUNK, 10)]).await;
    assert_eq!(short(&store).await, []);
    for _ in 0..2 {
        learn(&store, [shown(1, JUNK, 10)]).await;
        assert_eq!(short(&store).await, [(1, JUNK, None)]);
    }
    // What is recorded when the label is there already is not asked for; the label is said again to show it.
    learn(&store, [request(2, JUNK, 10)]).await;
    store
        .begin_with(record(id(2), NOW_S, 1), Some(&features(2)))
        .await
        .unwrap();
    store.label(request(2, JUNK, 10)).await.unwrap();
    assert_eq!(short(&store).await, [(1, JUNK, None)]);
    store.label(request(2, JUNK, 11)).await.unwrap();
    assert_eq!(short(&store).await, [(1, JUNK, None), (2, JUNK, None)]);
}

async fn an_outranked_label_changes_no_lesson(place: Place) {
    let store = place.open();
    learn(&store, [shown(1, JUNK, 10), request(2, JUNK, 10), shown(3, None, 10)]).await;
    for label in [JUNK, NOT_JUNK, None] {
        learn(&store, (1..4).map(|n| shown(n, label, 9))).await;
        assert_eq!(short(&store).await, [(1, JUNK, None)]);
    }
}

async fn the_features_of_a_lesson_stay(place: Place) {
    let store = place.open();
    learn(&store, [shown(1, JUNK, 10)]).await;
    assert!(teach(&store, 1, None, Some(lesson(true, 5))).await);
    let other = |label, at_s| LabelRequest {
        features: Some(features(7)),
        received_s: NOW_S + at_s,
        ..request(1, label, at_s)
    };
    for (label, at_s) in [(NOT_JUNK, 11), (JUNK, 12), (None, 13), (NOT_JUNK, 14)] {
        learn(&store, [other(label, at_s)]).await;
        let found = lessons(store.reader(), &mailbox(0)).await;
        assert_eq!(
            (found[0].said, &found[0].features, found[0].taught),
            (label, &features(1), Some(lesson(true, 5)))
        );
    }
    // When the message came is what the label says.
    assert_eq!(lessons(store.reader(), &mailbox(0)).await[0].received_s, NOW_S + 14);
}

async fn what_was_taught_waits_to_be_taken_back(place: Place) {
    let store = place.open();
    learn(&store, [shown(1, JUNK, 10)]).await;
    let junk = Some(lesson(true, -7));
    assert!(teach(&store, 1, None, junk).await);
    assert_eq!(open(&store).await, [0; 0]);
    learn(&store, [request(1, None, 11)]).await;
    assert_eq!(short(&store).await, [(1, None, Some(-7))]);
    assert_eq!(open(&store).await, [1]);
    assert_eq!(store.reader().stats().await.unwrap().lessons, 0);
    assert_eq!(faults(&store).await, Vec::<String>::new());
    // A rehearsal of what is to be taken back changes nothing of that.
    let more = Some(lesson(true, 9));
    assert!(teach(&store, 1, junk, more).await);
    assert_eq!(short(&store).await, [(1, None, Some(9))]);
    assert!(teach(&store, 1, more, None).await);
    assert_eq!(short(&store).await, []);
    assert_eq!(store.reader().stats().await.unwrap().lesson_octets, 0);
    // The opposite is taught instead, in two steps or in one.
    for n in [2, 3] {
        learn(&store, [shown(n, JUNK, 10)]).await;
        assert!(teach(&store, n, None, junk).await);
        learn(&store, [shown(n, NOT_JUNK, 11)]).await;
        assert_eq!(open(&store).await, [n]);
        let wanted = Some(lesson(false, 4));
        if n == 2 {
            assert!(teach(&store, n, junk, None).await);
            assert_eq!(open(&store).await, [n]);
            assert!(teach(&store, n, None, wanted).await);
        } else {
            assert!(teach(&store, n, junk, wanted).await);
        }
        assert_eq!(open(&store).await, [0; 0]);
        assert_eq!(short(&store).await.last(), Some(&(n, NOT_JUNK, Some(4))));
    }
    assert_eq!(faults(&store).await, Vec::<String>::new());
}

async fn what_was_taught_is_kept_only_where_it_is_known_what_was_before(place: Place) {
    let store = place.open();
    learn(&store, [shown(1, JUNK, 10), shown(2, JUNK, 10)]).await;
    let (junk, wanted) = (Some(lesson(true, 4)), Some(lesson(false, 4)));
    // Of several each is told apart.
    let all = vec![taught(1, None, junk), taught(3, None, junk), taught(2, wanted, junk)];
    assert_eq!(store.teach(&mailbox(0), all).await, Ok(vec![true, false, false]));
    assert_eq!(store.teach(&mailbox(0), Vec::new()).await, Ok(Vec::new()));
    for before in [
        None,
        wanted,
        Some(lesson(true, 6)),
        Some(Lesson {
            is_counted: false,
            ..lesson(true, 4)
        }),
    ] {
        assert!(!teach(&store, 1, before, wanted).await, "{before:?}");
    }
    for user in 1..3 {
        let others = store.teach(&mailbox(user), vec![taught(1, junk, wanted)]).await;
        assert_eq!(others, Ok(vec![false]));
    }
    assert_eq!(short(&store).await, [(1, JUNK, Some(4)), (2, JUNK, None)]);
    // All that a lesson can hold is kept.
    for (n, step) in (10..).zip([i32::MIN, -1, 0, i32::MAX]) {
        learn(&store, [shown(n, NOT_JUNK, 10)]).await;
        for is_counted in [true, false] {
            let after = Some(Lesson {
                is_junk: false,
                is_counted,
                step,
            });
            let found = store.reader().lessons_of(&mailbox(0), vec![id(n)]).await.unwrap();
            assert!(teach(&store, n, found[0].taught, after).await);
            let found = store.reader().lessons_of(&mailbox(0), vec![id(n)]).await.unwrap();
            assert_eq!(found[0].taught, after);
        }
    }
}

async fn a_lesson_that_is_forgotten_lends_no_features(place: Place) {
    let store = place.open();
    learn(&store, [shown(1, JUNK, 10)]).await;
    let junk = Some(lesson(true, 4));
    assert!(teach(&store, 1, None, junk).await);
    learn(&store, [request(1, None, 11), request(1, JUNK, 12)]).await;
    assert_eq!(short(&store).await, [(1, None, Some(4))]);
    learn(&store, [shown(1, JUNK, 13)]).await;
    assert_eq!(short(&store).await, [(1, JUNK, Some(4))]);
    assert_eq!(open(&store).await, [0; 0]);
    learn(&store, [request(1, None, 14), request(1, NOT_JUNK, 15)]).await;
    assert!(teach(&store, 1, junk, None).await);
    assert_eq!(short(&store).await, []);
    assert_eq!(faults(&store).await, Vec::<String>::new());
}

async fn a_store_that_is_opened_anew_forgets_what_only_a_model_in_memory_needs(place: Place) {
    let other = match place {
        Place::Embedded(_) => Place::embedded(),
        Place::Memory(_) => Place::memory(),
    };
    for is_closed in [true, false] {
        let (store, alone) = (place.open(), other.open());
        let junk = Some(lesson(true, 4));
        learn(&store, (0..8).map(|n| shown(n, JUNK, 10))).await;
        for n in 0..6 {
            assert!(teach(&store, n, None, junk).await);
        }
        // Of 0 to 7: taught as said; taught and the opposite said since; taught and forgotten; not yet taught.
        learn(&store, (2..4).map(|n| shown(n, NOT_JUNK, 11))).await;
        learn(&store, (4..6).map(|n| shown(n, None, 11))).await;
        let reader = place.open_read_only();
        if is_closed {
            store.close().await.unwrap();
            assert_eq!(lessons(&reader, &mailbox(0)).await.len(), 6);
        }
        drop(store);
        let store = place.open();
        let expected = |n| match n {
            0 | 1 => (n, JUNK, Some(4)),
            2 | 3 => (n, NOT_JUNK, None),
            _ => (n, JUNK, None),
        };
        let expected: Vec<_> = [0, 1, 2, 3, 6, 7].map(expected).to_vec();
        assert_eq!(short(&store).await, expected);
        assert_eq!(faults(&store).await, Vec::<String>::new());
        // As where the labels that were forgotten had never been, but for what a forgotten register has.
        learn(&alone, [0, 1, 6, 7].map(|n| shown(n, JUNK, 10))).await;
        learn(&alone, (2..4).map(|n| shown(n, NOT_JUNK, 11))).await;
        for n in 0..2 {
            assert!(teach(&alone, n, None, junk).await);
        }
        let all = async |store: &Store| {
            store.settle().await.unwrap();
            let (reader, stats) = (store.reader(), store.reader().stats().await.unwrap());
            let lessons = lessons(reader, &mailbox(0)).await;
            (lessons, dump(reader).await, stats.lessons, stats.lesson_octets)
        };
        assert_eq!(all(&store).await, all(&alone).await);
        // For the next round.
        for store in [&store, &alone] {
            learn(store, (0..8).map(|n| shown(n, None, 12))).await;
            store.expire_history(i64::MAX).await.unwrap();
        }
    }
}

async fn rebuilding_makes_all_lessons_untaught(place: Place) {
    let store = place.open();
    learn(&store, (0..5).map(|n| shown(n, JUNK, 10))).await;
    for n in 0..4 {
        assert!(teach(&store, n, None, Some(lesson(true, 4))).await);
    }
    learn(&store, [shown(1, NOT_JUNK, 11), shown(2, None, 11)]).await;
    store.rebuild().await.unwrap();
    let expected = [(0, JUNK, None), (1, NOT_JUNK, None), (3, JUNK, None), (4, JUNK, None)];
    assert_eq!(short(&store).await, expected);
    assert_eq!(faults(&store).await, Vec::<String>::new());
}

async fn the_oldest_lessons_fade_and_their_labels_stay(place: Place) {
    let store = place.open();
    // Ids of mail that was learnt lie behind all others, but tell nothing of when it came.
    let archive = |n: u64| LabelRequest {
        id: MailwardId::learnt(n),
        received_s: NOW_S - DAY_S + n as i64,
        ..shown(n, JUNK, 10)
    };
    learn(&store, (0..450).map(archive)).await;
    learn(&store, (0..30).map(|n| shown(n, JUNK, 10))).await;
    let others = |n| LabelRequest {
        mailbox: mailbox(1),
        ..shown(n, JUNK, 10)
    };
    learn(&store, (0..50).map(others)).await;
    assert!(teach(&store, 3, None, Some(lesson(true, 4))).await);
    let junk = store.reader().stats().await.unwrap().junk;
    assert_eq!(store.fade(&mailbox(0), 480).await, Ok(0));
    assert_eq!(store.fade(&mailbox(0), 31).await, Ok(449));
    let left = lessons(store.reader(), &mailbox(0)).await;
    assert_eq!(left.len(), 31);
    assert_eq!(left[30].id, MailwardId::learnt(449));
    assert_eq!(store.fade(&mailbox(0), 20).await, Ok(11));
    assert_eq!(store.fade(&mailbox(0), 20).await, Ok(0));
    let left = short(&store).await;
    assert_eq!((left.len(), left[0], left[1].0), (21, (3, None, Some(4)), 10));
    assert_eq!(open(&store).await[0], 3);
    assert_eq!(store.fade(&mailbox(7), 0).await, Ok(0));
    assert_eq!(lessons(store.reader(), &mailbox(1)).await.len(), 50);
    let stats = store.reader().stats().await.unwrap();
    assert_eq!((stats.junk, stats.lessons), (junk, 70));
    assert_eq!(faults(&store).await, Vec::<String>::new());
    // Nobody gets a faded lesson back by making things anew, but by showing the message again.
    assert!(teach(&store, 3, Some(lesson(true, 4)), None).await);
    store.rebuild().await.unwrap();
    assert_eq!(lessons(store.reader(), &mailbox(0)).await.len(), 20);
    learn(&store, [request(3, JUNK, 10)]).await;
    assert_eq!(lessons(store.reader(), &mailbox(0)).await.len(), 20);
    learn(&store, [shown(3, JUNK, 10)]).await;
    assert_eq!(lessons(store.reader(), &mailbox(0)).await.len(), 21);
    assert_eq!(store.fade(&mailbox(0), 0).await, Ok(21));
    assert_eq!(lessons(store.reader(), &mailbox(0)).await, []);
}

async fn lessons_come_in_pages_in_order_of_ids(place: Place) {
    let store = place.open();
    let all = u64::from(LESSONS_MAX) + 10;
    learn(&store, (0..all).rev().map(|n| shown(n, JUNK, 10))).await;
    let reader = store.reader();
    let ids = |page: Vec<KeptLesson>| page.iter().map(|lesson| number(lesson.id)).collect::<Vec<_>>();
    let page = async |after, limit| ids(reader.lessons(&mailbox(0), after, limit).await.unwrap());
    assert_eq!(page(None, 3).await, [0, 1, 2]);
    assert_eq!(page(Some(id(2)), 2).await, [3, 4]);
    assert_eq!(page(Some(id(0)), 0).await, [0; 0]);
    assert_eq!(page(Some(id(all - 2)), 9).await, [all - 1]);
    assert_eq!(page(Some(id(all - 1)), 9).await, [0; 0]);
    assert_eq!(page(None, u32::MAX).await.len(), LESSONS_MAX as usize);
    let open = async |limit| ids(reader.open_lessons(&mailbox(0), limit).await.unwrap());
    assert_eq!(open(u32::MAX).await.len(), LESSONS_MAX as usize);
    let taught: Vec<Taught> = (0..all - 3).map(|n| taught(n, None, Some(lesson(true, 2)))).collect();
    let taken = store.teach(&mailbox(0), taught).await.unwrap();
    assert!(taken.iter().all(|taken| *taken));
    assert_eq!(open(2).await, [all - 3, all - 2]);
    assert_eq!(open(9).await.len(), 3);
}

async fn lessons_are_found_by_their_ids(place: Place) {
    let store = place.open();
    learn(&store, (0..5).map(|n| shown(n, JUNK, 10))).await;
    let of = async |user, numbers: &[u64]| {
        let ids = numbers.iter().map(|n| id(*n)).collect();
        let found = store.reader().lessons_of(&mailbox(user), ids).await.unwrap();
        found.iter().map(|lesson| number(lesson.id)).collect::<Vec<_>>()
    };
    assert_eq!(of(0, &[4, 9, 0, 2]).await, [4, 0, 2]);
    assert_eq!(of(1, &[4, 9, 0, 2]).await, [0; 0]);
    assert_eq!(of(0, &[]).await, [0; 0]);
    let many = vec![1; LESSONS_MAX as usize + 5];
    assert_eq!(of(0, &many).await.len(), LESSONS_MAX as usize);
}

async fn learners_come_in_order_of_names(place: Place) {
    let store = place.open();
    let of = |user: usize, n, label| LabelRequest {
        mailbox: mailbox(user),
        ..shown(n, label, 10)
    };
    let all = [
        of(2, 1, JUNK),
        of(0, 1, JUNK),
        of(0, 2, JUNK),
        of(0, 3, NOT_JUNK),
        of(1, 1, NOT_JUNK),
        of(4, 1, JUNK),
    ];
    learn(&store, all).await;
    // One without a lesson, and one that is to be taken back.
    learn(
        &store,
        [LabelRequest {
            mailbox: mailbox(3),
            ..request(1, JUNK, 10)
        }],
    )
    .await;
    let junk = Some(lesson(true, 2));
    assert_eq!(
        store.teach(&mailbox(4), vec![taught(1, None, junk)]).await,
        Ok(vec![true])
    );
    learn(
        &store,
        [LabelRequest {
            mailbox: mailbox(4),
            ..request(1, None, 11)
        }],
    )
    .await;
    let learner = |user, junk, wanted| Learner {
        mailbox: mailbox(user),
        junk,
        wanted,
    };
    let reader = store.reader();
    let expected = [learner(0, 2, 1), learner(1, 0, 1), learner(2, 1, 0)];
    assert_eq!(reader.learners(None, 99).await.unwrap(), expected);
    assert_eq!(reader.learners(None, 2).await.unwrap(), expected[..2]);
    assert_eq!(reader.learners(Some(mailbox(0)), 1).await.unwrap(), expected[1..2]);
    assert_eq!(reader.learners(Some(mailbox(2)), 9).await.unwrap(), []);
}

async fn the_secret_of_models_is_made_once_with_the_store(place: Place) {
    let store = place.open();
    let secret = store.reader().model_secret().await.unwrap();
    drop(store);
    assert_eq!(place.open_read_only().model_secret().await, Ok(secret));
    for other in Place::each() {
        assert_ne!(other.open().reader().model_secret().await, Ok(secret));
    }
    assert_ne!(secret, [0; 32]);
}

async fn lessons_go_with_labels_that_go_by_age(place: Place) {
    let store = place.open();
    learn(&store, (0..6).map(|n| shown(n, JUNK, 10))).await;
    assert!(teach(&store, 1, None, Some(lesson(true, 4))).await);
    assert_eq!(store.expire_history(NOW_S + 4).await, Ok(4));
    assert_eq!(
        short(&store).await,
        [(1, None, Some(4)), (4, JUNK, None), (5, JUNK, None)]
    );
    assert_eq!(faults(&store).await, Vec::<String>::new());
    assert!(teach(&store, 1, Some(lesson(true, 4)), None).await);
    assert_eq!(short(&store).await.len(), 2);
}

async fn lessons_go_before_labels_when_the_store_is_too_large(place: Place) {
    let store = place.open();
    for n in 0..200 {
        store
            .begin_with(record(id(n), NOW_S, 1), Some(&features(n)))
            .await
            .unwrap();
    }
    learn(&store, (0..200).map(|n| shown(n, JUNK, 10))).await;
    for n in 0..100 {
        assert!(teach(&store, n, None, Some(lesson(true, 4))).await);
    }
    learn(&store, [request(150, None, 11), request(3, None, 11)]).await;
    let full = store.used_octets().await.unwrap();
    store.expire_to_size(full - full / 8).await.unwrap();
    let stats = store.reader().stats().await.unwrap();
    assert!(stats.messages < 200, "{stats:?}");
    assert_eq!(stats.lessons, 198);
    // Until no record is left, and some lessons are gone; the oldest went, whatever was taught of them.
    while store.reader().stats().await.unwrap().lessons == 198 {
        let used = store.used_octets().await.unwrap();
        store.expire_to_size(used - 1).await.unwrap();
    }
    let stats = store.reader().stats().await.unwrap();
    assert_eq!((stats.messages, stats.junk, stats.forgotten), (0, 198, 2));
    let left = short(&store).await;
    assert!(left.len() > 100, "{}", left.len());
    assert_eq!((left[0].0, left.last().unwrap().0), (199 - left.len() as u64, 199));
    assert_eq!(faults(&store).await, Vec::<String>::new());
    store.expire_to_size(0).await.unwrap();
    let stats = store.reader().stats().await.unwrap();
    assert_eq!((stats.lessons, stats.lesson_octets, stats.junk), (0, 0, 0));
    assert_eq!(faults(&store).await, Vec::<String>::new());
}

async fn lessons_are_exported_with_their_labels(place: Place) {
    let store = place.open();
    let all = [
        shown(1, JUNK, 10),
        shown(2, NOT_JUNK, 10),
        request(3, JUNK, 10),
        shown(4, None, 10),
    ];
    learn(&store, all).await;
    assert!(teach(&store, 1, None, Some(lesson(true, 4))).await);
    // One that has faded, and waits.
    let faded = LabelRequest {
        received_s: NOW_S - 9,
        ..shown(5, JUNK, 10)
    };
    learn(&store, [faded]).await;
    assert!(teach(&store, 5, None, Some(lesson(true, 4))).await);
    assert_eq!(store.fade(&mailbox(0), 2).await, Ok(1));
    let exported = dump(store.reader()).await;
    let with: Vec<Option<Features>> = exported
        .iter()
        .map(|one| match one {
            Remembered::Label(label) => label.features.clone(),
            Remembered::Sent(_) => None,
        })
        .collect();
    assert_eq!(with, [Some(features(1)), Some(features(2)), None, None]);
    let lines: Vec<String> = exported.iter().map(|one| serde_json::to_string(one).unwrap()).collect();
    assert!(!lines[2].contains("features"), "{}", lines[2]);
    let other = Place::memory().open();
    for line in lines.iter().rev().chain(&lines) {
        let one = serde_json::from_str(line).unwrap();
        other.remember(vec![one]).await.unwrap();
    }
    assert_eq!(short(&other).await, [(1, JUNK, None), (2, NOT_JUNK, None)]);
    assert_eq!(dump(other.reader()).await, exported);

    // Features of another version are none; what is damaged is said.
    let version = format!("\"features\":{{\"version\":{}", judge::content::VERSION);
    let newer = lines[0].replace(&version, "\"features\":{\"version\":99");
    assert_ne!(newer, lines[0]);
    let read: Remembered = serde_json::from_str(&newer).unwrap();
    assert_eq!(read, Remembered::Label(request(1, JUNK, 10)));
    for damaged in ["\"octets\":\"?", "\"octets\":\"gICA"] {
        let line = lines[0].replace("\"octets\":\"", damaged);
        assert!(serde_json::from_str::<Remembered>(&line).is_err(), "{damaged}");
    }
}

async fn a_closed_store_takes_no_lessons(place: Place) {
    let store = place.open();
    learn(&store, [shown(1, JUNK, 10)]).await;
    store.close().await.unwrap();
    let all = vec![taught(1, None, Some(lesson(true, 4)))];
    assert!(matches!(
        store.teach(&mailbox(0), all).await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(matches!(
        store.fade(&mailbox(0), 0).await,
        Err(StoreError::Unavailable(_))
    ));
    assert_eq!(short(&store).await, [(1, JUNK, None)]);
}

#[tokio::test]
async fn what_cannot_be_written_is_not_taught() {
    let disk = MemoryDisk::new();
    let store = Store::open_in_memory(&disk).unwrap();
    learn(&store, [shown(1, JUNK, 10)]).await;
    disk.fail_writes(Some("the disk is full"));
    let all = vec![taught(1, None, Some(lesson(true, 4)))];
    let full = StoreError::Unavailable("the disk is full".to_owned());
    assert_eq!(store.teach(&mailbox(0), all).await, Err(full.clone()));
    assert_eq!(store.fade(&mailbox(0), 0).await, Err(full.clone()));
    disk.fail_writes(None);
    assert_eq!(short(&store).await, [(1, JUNK, None)]);
    disk.fail_reads(Some("no answer"));
    let none = Err(StoreError::Unavailable("no answer".to_owned()));
    assert_eq!(store.reader().lessons(&mailbox(0), None, 9).await, none);
}
