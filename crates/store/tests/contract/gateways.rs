//! Several gateways on one store: whatever one of them is in the middle of, nothing is lost and nothing is there twice.
//!
//! A schedule says who takes the next step; each question and each commit of the back-end in memory is one. Writes fail at
//! any of them, and whoever hears of it does it again.

use crate::common::{NOW_S, key, record};
use crate::history::{DAY_S, answers, any_request, dump, learn, mailbox};
use crate::{Place, block_on, common};
use judge::reputation::Scope;
use mail::Line;
use proptest::collection::vec;
use proptest::prelude::*;
use std::pin::Pin;
use std::task::{Context, Waker};
use store::{GreylistKey, Kept, KeptKey, LabelRequest, LedgerKey, MemoryDisk, Remembered, Store, StoreError};

/// What one gateway does.
type Step<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Takes steps of some futures until all have come to their end.
fn interleave(mut futures: Vec<Step<'_>>, schedule: &[usize]) {
    let mut context = Context::from_waker(Waker::noop());
    let mut turns = schedule.iter().copied().cycle().chain(0..);
    while !futures.is_empty() {
        let turn = turns.next().expect("turns without end") % futures.len();
        if futures[turn].as_mut().poll(&mut context).is_ready() {
            drop(futures.remove(turn));
        }
    }
}

/// Does something until it is done.
async fn insist<T>(mut once: impl AsyncFnMut() -> Result<T, StoreError>) -> T {
    loop {
        match once().await {
            Ok(done) => return done,
            Err(StoreError::Unavailable(_)) => {}
            Err(why) => panic!("{why}"),
        }
    }
}

/// A disk with each step of an intent apart from the others.
fn disk(folds_at_once: bool) -> MemoryDisk {
    let disk = MemoryDisk::new();
    disk.delay_answers(1);
    if folds_at_once {
        disk.fold_at_once();
    }
    disk
}

fn any_schedule() -> impl Strategy<Value = Vec<usize>> {
    // Never empty, or nobody would have a turn.
    vec(0..100_usize, 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_label_of_several_gateways_is_lost_or_doubled(
        requests in vec(any_request(), 1..12),
        schedule in any_schedule(),
        folds_at_once in any::<bool>(),
        failures in vec(0..30_u32, 0..6),
    ) {
        let mut requests = requests;
        for request in &mut requests {
            // Where a message is not always shown, whether it is a lesson depends on when it was.
            request.features = Some(common::features(request.received_s.abs_diff(NOW_S)));
        }
        let disk = disk(folds_at_once);
        let stores = [0, 1, 2].map(|_| Store::open_in_memory(&disk).unwrap());
        let label = |(n, request): (usize, &LabelRequest)| -> Step<'_> {
            let (store, request, disk) = (&stores[n % 3], request.clone(), &disk);
            let fails = failures.get(n).copied();
            Box::pin(async move {
                if let Some(after) = fails {
                    disk.fail_write_after(after);
                }
                let again = || store.remember(vec![Remembered::Label(request.clone())]);
                insist(async || again().await).await;
            })
        };
        interleave(requests.iter().enumerate().map(label).collect(), &schedule);
        block_on(async {
            insist(async || stores[0].settle().await).await;
            let alone = Place::embedded();
            let alone = alone.open();
            learn(&alone, &requests).await;
            let reader = stores[1].reader();
            assert_eq!(reader.verify().await.unwrap().faults, Vec::<String>::new());
            assert_eq!(dump(reader).await, dump(alone.reader()).await);
            assert_eq!(answers(reader).await, answers(alone.reader()).await);
        });
    }

    #[test]
    fn tries_and_deliveries_of_several_gateways_add_up(
        gateways in vec(0..3_usize, 1..10), schedule in any_schedule(), failure in 0..20_u32,
    ) {
        let disk = disk(true);
        let stores = [0, 1, 2].map(|_| Store::open_in_memory(&disk).unwrap());
        let tries = gateways.iter().enumerate().map(|(n, gateway)| -> Step<'_> {
            let store = &stores[*gateway];
            Box::pin(async move {
                insist(async || store.greylist_seen(GreylistKey::new([1; 16]), n as i64, 1000).await).await;
                insist(async || store.ledger_add(key(1), vec![format!("{n}")], NOW_S).await).await;
            })
        });
        interleave(tries.collect(), &schedule);
        // One that fails is not counted.
        disk.fail_write_after(0);
        let failed = block_on(stores[0].greylist_seen(GreylistKey::new([1; 16]), 0, 1000));
        prop_assert!(failed.is_err());
        let _ = failure;
        block_on(async {
            let entry = stores[2].greylist_pass(GreylistKey::new([1; 16]), 500, 2000).await.unwrap().unwrap();
            assert_eq!((entry.tries, entry.first_s.min(9)), (gateways.len() as u32, entry.first_s));
            for store in &stores {
                let mut all = store.ledger_delivered(key(1), NOW_S).await;
                all.sort();
                let mut expected: Vec<String> = (0..gateways.len()).map(|n| n.to_string()).collect();
                expected.sort();
                assert_eq!(all, expected);
            }
        });
    }

    #[test]
    fn a_lease_has_one_holder_and_its_number_grows(
        asks in vec((0..3_usize, 0..40_i64), 1..20), schedule in any_schedule(),
    ) {
        let disk = disk(true);
        let stores = [0, 1, 2].map(|_| Store::open_in_memory(&disk).unwrap());
        let granted = std::sync::Mutex::new(Vec::new());
        let ask = |(gateway, now_s): &(usize, i64)| -> Step<'_> {
            let (store, holder, now_s) = (&stores[*gateway], gateway.to_string(), *now_s);
            let granted = &granted;
            Box::pin(async move {
                if let Some(token) = store.lease("expiry", &holder, now_s, now_s + 10).await.unwrap() {
                    granted.lock().unwrap().push((token, holder));
                }
            })
        };
        interleave(asks.iter().map(ask).collect(), &schedule);
        let granted = granted.into_inner().unwrap();
        prop_assert!(!granted.is_empty());
        for pair in granted.iter().flat_map(|one| granted.iter().map(move |two| (one, two))) {
            // One number, one holder.
            prop_assert!(pair.0.0 != pair.1.0 || pair.0.1 == pair.1.1, "{:?}", granted);
        }
    }
}

/// The record with one id that two gateways made is one.
#[test]
fn an_id_is_taken_once() {
    for first in 0..20 {
        let disk = disk(true);
        let stores = [0, 1].map(|_| Store::open_in_memory(&disk).unwrap());
        let taken = std::sync::Mutex::new(Vec::new());
        let begin = |store| -> Step<'_> {
            let taken = &taken;
            Box::pin(async move {
                let begun = Store::begin(store, record(common::id(1), NOW_S, 1)).await;
                taken.lock().unwrap().push(begun == Err(StoreError::IdTaken));
            })
        };
        interleave(stores.iter().map(begin).collect(), &[first, 1, first / 2, 0, 1]);
        let mut taken = taken.into_inner().unwrap();
        taken.sort_unstable();
        assert_eq!(taken, [false, true]);
    }
}

/// Copies of one mailbox that two gateways keep stay within their number, and what goes is said once.
#[test]
fn copies_of_two_gateways_stay_within_their_number() {
    for seed in 0..20_usize {
        let disk = disk(true);
        let stores = [0, 1].map(|_| Store::open_in_memory(&disk).unwrap());
        let gone = std::sync::Mutex::new(Vec::new());
        let keep = |n: u8| -> Step<'_> {
            let (store, gone) = (&stores[usize::from(n % 2)], &gone);
            let kept = Kept {
                mailbox: mailbox(0),
                key: KeptKey::new([n; 16]),
                at_s: NOW_S + i64::from(n),
                expires_s: NOW_S + DAY_S,
                octets: 1,
                is_deferred: false,
                source: Line::literal("junk"),
                ledger: LedgerKey::new([n; 32]),
                recipient: "user0@example.com".to_owned(),
                reference: n.to_string(),
            };
            Box::pin(async move {
                let displaced = store.keep(kept, 3).await.unwrap();
                gone.lock()
                    .unwrap()
                    .extend(displaced.into_iter().map(|kept| kept.reference));
            })
        };
        interleave((0..8).map(keep).collect(), &[seed, seed / 3, 5, 1, seed * 7]);
        let mut gone = gone.into_inner().unwrap();
        block_on(async {
            let mut left = Vec::new();
            for n in 0..8 {
                let found = stores[1]
                    .reader()
                    .kept(&mailbox(0), KeptKey::new([n; 16]))
                    .await
                    .unwrap();
                left.extend(found.map(|kept| kept.reference));
            }
            // Nobody displaces what they keep themselves, so of several at one time one more may go.
            assert!((1..=3).contains(&left.len()), "{left:?}");
            gone.extend(left);
        });
        gone.sort();
        let all: Vec<String> = (0..8).map(|n: u8| n.to_string()).collect();
        assert_eq!(gone, all);
    }
}

/// Reads of another place may be of a moment ago, and are whole.
#[tokio::test]
async fn reads_that_lag_are_of_a_moment_ago() {
    let disk = disk(true);
    let store = Store::open_in_memory(&disk).unwrap();
    let request = |at_s, label| crate::history::request(1, label, at_s);
    learn(&store, &[request(1, crate::history::JUNK)]).await;
    disk.lag_reads(true);
    learn(&store, &[request(2, crate::history::NOT_JUNK)]).await;
    let identity = &request(1, None).identities[0];
    let rows = store.reader().newest(&mailbox(0), identity, 0, 9).await.unwrap();
    let votes = store.reader().votes_of(identity).await;
    disk.lag_reads(false);
    let now = store.reader().newest(&mailbox(0), identity, 0, 9).await.unwrap();
    assert_eq!((rows.len(), rows[0].is_junk, now[0].is_junk), (1, true, false));
    assert_eq!((votes.junk, votes.not_junk), (1, 0));
}

trait VotesOf {
    async fn votes_of(&self, identity: &judge::reputation::Identity) -> judge::reputation::Votes;
}

impl VotesOf for store::Reader {
    async fn votes_of(&self, identity: &judge::reputation::Identity) -> judge::reputation::Votes {
        judge::reputation::History::votes(self, &Scope::Server, identity, 0)
            .await
            .unwrap()
    }
}
