//! Filters over a store in memory.

use super::*;
use judge::junk::{LESSONS_KEPT, Model};
use proptest::prelude::*;
use std::future::poll_fn;
use std::task::Poll;
use store::{Label, LabelRequest, MailwardId, MemoryDisk, Remembered, Said};

/// Of eight models.
const MEMORY: u64 = 8 << 20;

fn features(text: &str) -> Features {
    Features::read(message(text).as_bytes())
}

fn message(text: &str) -> String {
    format!("Subject: {text}\n\n{text}\n")
}

fn mailbox(name: &str) -> MailboxId {
    MailboxId::try_from(name.to_owned()).unwrap()
}

fn id(n: u32) -> MailwardId {
    MailwardId::new(1_800_000_000 + 60 * i64::from(n), 0)
}

/// A saying of the `n`th message, later than all before.
fn says(mailbox: &MailboxId, n: u32, text: &str, label: Option<Label>, at_s: i64) -> Remembered {
    Remembered::Label(LabelRequest {
        mailbox: mailbox.clone(),
        id: id(n),
        said: Said {
            label,
            at_s,
            source: Line::literal("test"),
            by: Line::literal("ann"),
        },
        received_s: i64::from(n),
        author_local: Line::default(),
        identities: Vec::new(),
        features: Some(features(text)),
    })
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(future)
}

fn store() -> Arc<Store> {
    Arc::new(Store::open_in_memory(&MemoryDisk::default()).unwrap())
}

/// As many of either sort as it takes, and some more.
async fn teach(store: &Store, who: &MailboxId, junk: &str, wanted: &str) {
    let said = (0..16).map(|n| {
        let (text, label) = match n % 2 {
            0 => (junk, Label::Junk),
            _ => (wanted, Label::NotJunk),
        };
        says(who, n, &format!("{text} {n}"), Some(label), 1)
    });
    store.remember(said.collect()).await.unwrap();
}

async fn judged(filters: &Filters, who: &MailboxId, text: &str) -> JunkFact {
    let (features, message) = (features(text), message(text));
    let seen = Seen {
        features: &features,
        octets: message.as_bytes(),
        names: &OnceLock::new(),
        is_addressed: true,
        is_plaintext: false,
    };
    match filters.judge(who, seen, true, MEMORY).await {
        Fact::Found(fact) => fact,
        other => panic!("{other:?}"),
    }
}

#[test]
fn labels_that_nobody_learned_yet_are_learned_with_the_first_message() {
    run(async {
        let (store, ann) = (store(), mailbox("ann@a.example"));
        teach(&store, &ann, "cheap pills", "lunch with bob").await;
        let filters = Filters::over(Arc::clone(&store));
        let fact = judged(&filters, &ann, "cheap pills").await;
        assert!(fact.is_significant && fact.probability() > 0.8, "{fact:?}");
        assert!(
            fact.pulls
                .iter()
                .any(|pull| pull.text.as_str().contains("pills") && pull.milli > 0),
            "{fact:?}"
        );
        // It is kept what each lesson amounts to, so another process has the same model.
        assert!(store.reader().open_lessons(&ann, 9).await.unwrap().is_empty());
        assert_eq!(
            judged(&Filters::over(Arc::clone(&store)), &ann, "cheap pills").await,
            fact
        );
        let stranger = judged(&filters, &mailbox("bob@a.example"), "cheap pills").await;
        assert!(!stranger.is_significant && stranger.log_odds_milli == 0, "{stranger:?}");
    });
}

#[test]
fn models_that_were_not_used_for_long_make_room() {
    run(async {
        let store = store();
        let filters = Filters::over(Arc::clone(&store));
        for n in 0..20 {
            let who = mailbox(&format!("u{n}@a.example"));
            teach(&store, &who, "cheap pills", "lunch with bob").await;
            judged(&filters, &who, "cheap pills").await;
            assert!(filters.octets() <= 8 << 20, "{}", filters.octets());
        }
        let first = judged(&filters, &mailbox("u0@a.example"), "cheap pills").await;
        assert!(first.probability() > 0.8);
    });
}

/// What is in memory of a mailbox, and what another process would have of it.
async fn models(filters: &Filters, store: &Store, who: &MailboxId) -> (Option<Model>, Option<Model>) {
    let mut anew = Mailbox::default();
    anew.load(store, who).await.unwrap();
    let place = filters.place(who);
    let own = place.read().await;
    (own.model().cloned(), anew.model().cloned())
}

/// Those who wait for a model give up at any moment: because the store is slow, or the client went away.
#[test]
fn what_is_learned_half_is_not_learned_twice() {
    run(async {
        let mut broken_off = 0;
        // How far a number of polls leads is not always the same.
        for polls in (1..8).cycle().take(56) {
            let (store, ann) = (store(), mailbox("ann@a.example"));
            let filters = Filters::over(Arc::clone(&store));
            teach(&store, &ann, "cheap pills", "lunch with bob").await;
            let mut learns = Box::pin(filters.learn(&ann, MEMORY));
            let mut left = polls;
            let learned = poll_fn(|context| match left {
                0 => Poll::Ready(None),
                _ => {
                    left -= 1;
                    learns.as_mut().poll(context).map(Some)
                }
            });
            broken_off += u32::from(learned.await.is_none());
            drop(learns);
            filters.learn(&ann, MEMORY).await.unwrap();
            let (is, would_be) = models(&filters, &store, &ann).await;
            assert_eq!(
                is.map(|model| model.taught()),
                would_be.as_ref().map(Model::taught),
                "{polls}"
            );
            assert!(models(&filters, &store, &ann).await.0 == would_be, "{polls}");
        }
        assert!(broken_off > 0);
    });
}

#[test]
fn models_that_labels_made_have_no_more_room_than_others() {
    run(async {
        let (store, filters) = {
            let store = store();
            (Arc::clone(&store), Filters::over(store))
        };
        for n in 0..20 {
            let who = mailbox(&format!("u{n}@a.example"));
            // Mail comes first, and nothing is known.
            judged(&filters, &who, "cheap pills").await;
            teach(&store, &who, "cheap pills", "lunch with bob").await;
            filters.learn(&who, MEMORY).await.unwrap();
        }
        let mut octets = 0;
        let places: Vec<_> = filters
            .held
            .lock()
            .unwrap()
            .mailboxes
            .values()
            .map(|place| Arc::clone(&place.mailbox))
            .collect();
        for place in places {
            octets += place.read().await.octets();
        }
        assert!(octets <= 8 << 20, "{octets}");
        assert_eq!(octets, filters.octets());
    });
}

/// Two models of one mailbox would not know what the other learns.
#[test]
fn a_model_that_somebody_works_with_stays() {
    run(async {
        let (store, ann) = (store(), mailbox("ann@a.example"));
        let filters = Filters::over(Arc::clone(&store));
        teach(&store, &ann, "cheap pills", "lunch with bob").await;
        filters.learn(&ann, MEMORY).await.unwrap();
        let works_with = filters.place(&ann);
        let bob = mailbox("bob@a.example");
        teach(&store, &bob, "cheap pills", "lunch with bob").await;
        filters.learn(&bob, 0).await.unwrap();
        assert!(Arc::ptr_eq(&works_with, &filters.place(&ann)));
        drop(works_with);
        filters.learn(&bob, 0).await.unwrap();
        assert!(!filters.place(&ann).read().await.is_loaded());
    });
}

/// Four of one domain, and three of another.
async fn town(store: &Store) -> Vec<MailboxId> {
    let names = [
        "a@a.example",
        "b@a.example",
        "c@a.example",
        "d@a.example",
        "e@b.example",
        "f@b.example",
        "g@b.example",
    ];
    let all = names.map(mailbox);
    for who in &all {
        teach(store, who, "cheap pills", "lunch with bob").await;
    }
    all.to_vec()
}

#[test]
fn a_new_mailbox_hears_what_others_learned_unless_that_is_switched_off() {
    run(async {
        let store = store();
        let filters = Filters::over(Arc::clone(&store));
        for who in town(&store).await {
            filters.learn(&who, MEMORY).await.unwrap();
        }
        assert!(filters.count_votes().await.unwrap());
        assert!(!filters.count_votes().await.unwrap(), "nothing was learned since");
        let new = mailbox("new@a.example");
        let fact = judged(&filters, &new, "cheap pills").await;
        assert!(
            fact.is_significant && fact.log_odds_milli > 500 && fact.voters == 7,
            "{fact:?}"
        );
        let (features, message) = (features("cheap pills"), message("cheap pills"));
        let seen = Seen {
            features: &features,
            octets: message.as_bytes(),
            names: &OnceLock::new(),
            is_addressed: true,
            is_plaintext: false,
        };
        let alone = filters.judge(&new, seen, false, MEMORY).await;
        assert!(
            matches!(
                alone,
                Fact::Found(JunkFact {
                    is_significant: false,
                    log_odds_milli: 0,
                    ..
                })
            ),
            "{alone:?}"
        );
    });
}

/// A thousand labels of one mailbox that say of everybody's wanted mail that it is junk.
#[test]
fn a_poisoned_stream_of_labels_moves_only_its_own_mailbox() {
    run(async {
        let store = store();
        let filters = Filters::over(Arc::clone(&store));
        let town = town(&store).await;
        for who in &town {
            filters.learn(who, MEMORY).await.unwrap();
        }
        filters.count_votes().await.unwrap();
        let new = mailbox("new@a.example");
        let before = (
            judged(&filters, &town[0], "lunch with bob").await,
            judged(&filters, &new, "lunch with bob").await,
        );
        let evil = mailbox("evil@a.example");
        let said: Vec<Remembered> = (0..1000)
            .map(|n| match n % 20 {
                0 => says(&evil, n, "cheap pills", Some(Label::NotJunk), 1),
                _ => says(&evil, n, &format!("lunch with bob {}", n % 7), Some(Label::Junk), 1),
            })
            .collect();
        store.remember(said).await.unwrap();
        filters.learn(&evil, MEMORY).await.unwrap();
        assert!(filters.count_votes().await.unwrap());
        assert!(judged(&filters, &evil, "lunch with bob").await.probability() > 0.9);
        let after = (
            judged(&filters, &town[0], "lunch with bob").await,
            judged(&filters, &new, "lunch with bob").await,
        );
        assert!(before.0.log_odds_milli < 0 && before.1.log_odds_milli < 0, "{before:?}");
        for (was, is) in [(before.0, after.0), (before.1, after.1)] {
            let moved = (was.log_odds_milli - is.log_odds_milli).abs();
            assert!(moved * 10 < was.log_odds_milli.abs(), "{was:?} {is:?}");
        }
    });
}

#[test]
fn the_oldest_lessons_fade() {
    run(async {
        let (store, ann) = (store(), mailbox("ann@a.example"));
        let filters = Filters::over(Arc::clone(&store));
        let all: Vec<Remembered> = (0..=LESSONS_KEPT)
            .map(|n| {
                says(
                    &ann,
                    n,
                    if n < 9 { "old" } else { "new" },
                    Some(if n % 2 == 0 { Label::Junk } else { Label::NotJunk }),
                    1,
                )
            })
            .collect();
        for some in all.chunks(5_000) {
            store.remember(some.to_vec()).await.unwrap();
        }
        filters.learn(&ann, MEMORY).await.unwrap();
        let fact = judged(&filters, &ann, "old").await;
        assert_eq!(
            fact.own.junk + fact.own.wanted,
            LESSONS_KEPT - judge::junk::EPOCH,
            "{fact:?}"
        );
        assert!(store.reader().lessons(&ann, None, 1).await.unwrap()[0].received_s > 9);
    });
}

#[test]
fn what_went_by_age_or_for_want_of_room_is_unlearned_in_memory_too() {
    run(async {
        let (store, ann) = (store(), mailbox("ann@a.example"));
        let filters = Filters::over(Arc::clone(&store));
        teach(&store, &ann, "cheap pills", "lunch with bob").await;
        filters.learn(&ann, MEMORY).await.unwrap();
        // The messages came in the first seconds of 1970.
        assert_eq!(store.expire_history(8).await.unwrap(), 8);
        filters.forget_expired(MEMORY).await.unwrap();
        let fact = judged(&filters, &ann, "lunch").await;
        assert_eq!((fact.own.junk, fact.own.wanted), (4, 4), "{fact:?}");
        store.expire_to_size(0).await.unwrap();
        filters.unload().await;
        let fact = judged(&filters, &ann, "lunch").await;
        assert_eq!((fact.own.junk, fact.own.wanted), (0, 0), "{fact:?}");
    });
}

#[test]
fn what_was_labelled_without_a_daemon_is_caught_up_with() {
    run(async {
        let store = store();
        let town = town(&store).await;
        let filters = Filters::over(Arc::clone(&store));
        filters.catch_up(MEMORY).await.unwrap();
        for who in &town {
            assert!(store.reader().open_lessons(who, 1).await.unwrap().is_empty(), "{who}");
        }
        assert!(filters.count_votes().await.unwrap());
        assert_eq!(
            judged(&filters, &mailbox("new@a.example"), "cheap pills").await.voters,
            7
        );
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is said, forgotten and said otherwise, and whenever it is learned: a model is the sum of the lessons that
    /// hold, and forgetting all leaves nothing.
    #[test]
    fn a_model_is_the_sum_of_the_labels_that_hold(
        sayings in proptest::collection::vec((0u32..12, "[a-c]{1,2}", proptest::option::of(any::<bool>()), any::<bool>()), 1..40),
    ) {
        run(async {
            let (store, ann) = (store(), mailbox("ann@a.example"));
            let filters = Filters::over(Arc::clone(&store));
            for (at_s, (n, text, label, learns)) in (1..).zip(&sayings) {
                let label = label.map(|is_junk| if is_junk { Label::Junk } else { Label::NotJunk });
                store.remember(vec![says(&ann, *n, text, label, at_s)]).await.unwrap();
                if *learns {
                    filters.learn(&ann, MEMORY).await.unwrap();
                }
            }
            filters.learn(&ann, MEMORY).await.unwrap();
            let fact = judged(&filters, &ann, "a b").await;
            // Another process adds the lessons up.
            assert_eq!(judged(&Filters::over(Arc::clone(&store)), &ann, "a b").await, fact);
            let held = store.reader().lessons(&ann, None, 256).await.unwrap();
            let junk = held.iter().filter(|lesson| lesson.said == Some(Label::Junk)).count();
            assert_eq!((fact.own.junk as usize, fact.own.wanted as usize), (junk, held.len() - junk));
            let forget = (0..12).map(|n| says(&ann, n, "x", None, 1_000));
            store.remember(forget.collect()).await.unwrap();
            filters.learn(&ann, MEMORY).await.unwrap();
            let place = filters.place(&ann);
            let model = place.read().await.model().cloned().unwrap_or_default();
            assert_eq!(model, judge::junk::Model::default());
        });
    }
}
