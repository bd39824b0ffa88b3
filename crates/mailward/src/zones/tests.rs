//! The health of lists, with a clock and lists that the tests turn.

use super::*;
use crate::log_of_tests::logged;
use futures_util::FutureExt;
use judge::dnsbl::parse_zones;
use judge::resolver::{Answer, BoxFuture, Outcome, Question, Record, Security, Trouble};
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;

/// Lists that answer 127.0.0.2 for the names below, and what was asked of them.
struct Lists {
    listed: Mutex<HashSet<String>>,
    is_down: Mutex<bool>,
    asked: AtomicUsize,
    /// Each answer takes one.
    answers: Semaphore,
}

impl Lists {
    fn new(listed: &[&str]) -> Lists {
        let lists = Lists {
            listed: Mutex::default(),
            is_down: Mutex::new(false),
            asked: AtomicUsize::new(0),
            answers: Semaphore::new(10_000),
        };
        lists.list(listed);
        lists
    }

    fn list(&self, listed: &[&str]) {
        *lock(&self.listed) = listed.iter().map(|&name| name.to_owned()).collect();
    }

    fn set_down(&self, is_down: bool) {
        *lock(&self.is_down) = is_down;
    }

    /// How many questions there were since this was asked last.
    fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::Relaxed)
    }
}

impl Resolver for Lists {
    fn ask(&self, question: Question) -> BoxFuture<'_, Answer> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            self.answers.acquire().await.unwrap().forget();
            let outcome = if *lock(&self.is_down) {
                Outcome::Unavailable(Trouble::Timeout)
            } else if lock(&self.listed).contains(question.name.as_str()) {
                Outcome::Records([Record::A([127, 0, 0, 2].into())].into())
            } else {
                Outcome::NoName
            };
            let security = Security::Unknown;
            Answer { outcome, security }
        })
    }
}

const HEALTHY: [&str; 1] = ["2.0.0.127.z.example"];
const EVERYTHING: [&str; 2] = ["2.0.0.127.z.example", "1.0.0.127.z.example"];

fn zone(line: &str) -> Zone {
    parse_zones(line).0.remove(0)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

/// A health whose clock the test turns.
struct Watch {
    health: ZoneHealth,
    now: Instant,
    zone: Zone,
}

impl Watch {
    fn new() -> Watch {
        Watch {
            health: ZoneHealth::default(),
            now: Instant::now(),
            zone: zone("z.example"),
        }
    }

    fn passes(&mut self, time: Duration) {
        self.now += time;
    }

    /// Whether it is switched off, and how many questions that took.
    fn is_off(&self, lists: &Lists) -> (bool, usize) {
        lists.asked();
        let off = block_on(self.health.standing_at(&self.zone, lists, self.now));
        (off.is_some(), lists.asked())
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_healthy_list_is_tested_every_four_hours() {
    let (mut watch, lists) = (Watch::new(), Lists::new(&HEALTHY));
    assert_eq!(watch.is_off(&lists), (false, 2));
    lists.list(&EVERYTHING);
    watch.passes(239 * MINUTE);
    assert_eq!(watch.is_off(&lists), (false, 0));
    watch.passes(MINUTE);
    assert_eq!(watch.is_off(&lists), (true, 2));
}

#[test]
fn a_sick_list_is_off_for_an_hour_and_then_tested_again() {
    let (mut watch, lists) = (Watch::new(), Lists::new(&EVERYTHING));
    assert_eq!(watch.is_off(&lists), (true, 2));
    let off = watch.health.switched_off_at(watch.now);
    let why = "it answers 127.0.0.2 for 127.0.0.1, which no list may list (RFC 5782 §5)";
    assert_eq!(off, [(Name::parse("z.example").unwrap(), Line::literal(why))]);
    lists.list(&HEALTHY);
    watch.passes(59 * MINUTE);
    assert_eq!(watch.is_off(&lists), (true, 0));
    watch.passes(MINUTE);
    assert_eq!(watch.is_off(&lists), (false, 2));
    assert_eq!(watch.health.switched_off_at(watch.now), []);
}

#[test]
fn dns_trouble_leaves_a_list_as_it_was_for_five_minutes() {
    let (mut watch, lists) = (Watch::new(), Lists::new(&HEALTHY));
    lists.set_down(true);
    assert_eq!(watch.is_off(&lists), (false, 2));
    watch.passes(4 * MINUTE);
    assert_eq!(watch.is_off(&lists), (false, 0));
    lists.set_down(false);
    lists.list(&EVERYTHING);
    watch.passes(MINUTE);
    assert_eq!(watch.is_off(&lists), (true, 2));
    lists.set_down(true);
    watch.passes(60 * MINUTE);
    assert_eq!(watch.is_off(&lists), (true, 2));
    lists.set_down(false);
    lists.list(&HEALTHY);
    watch.passes(5 * MINUTE);
    assert_eq!(watch.is_off(&lists), (false, 2));
}

#[test]
fn each_change_is_logged_once() {
    let (mut watch, lists) = (Watch::new(), Lists::new(&HEALTHY));
    let mut steps = Vec::new();
    let mut step = |listed: &[&str], is_down| {
        lists.list(listed);
        lists.set_down(is_down);
        watch.passes(HEALTHY_FOR);
        let twice = || {
            watch.is_off(&lists);
            watch.is_off(&lists);
        };
        steps.push(logged(twice).join("\n"));
    };
    step(&HEALTHY, false);
    step(&EVERYTHING, false);
    step(&[], false);
    step(&[], true);
    step(&HEALTHY, false);
    step(&HEALTHY, true);
    let why = "it answers 127.0.0.2 for 127.0.0.1, which no list may list (RFC 5782 §5)";
    let off = format!("WARN a DNS list does not work: switched off zone=z.example why={why}");
    let on = "INFO a DNS list works again: switched on zone=z.example".to_owned();
    assert_eq!(
        steps,
        [String::new(), off, String::new(), String::new(), on, String::new()]
    );
}

#[test]
fn a_list_that_nobody_asks_any_more_is_not_shown_for_ever() {
    let (mut watch, lists) = (Watch::new(), Lists::new(&EVERYTHING));
    assert_eq!(watch.is_off(&lists), (true, 2));
    watch.passes(24 * 60 * MINUTE);
    assert_eq!(watch.health.switched_off_at(watch.now).len(), 1);
    watch.passes(60 * MINUTE);
    assert_eq!(watch.health.switched_off_at(watch.now), []);
}

#[test]
fn one_tests_and_the_others_wait_for_it_only_where_nothing_is_known() {
    let watch = Arc::new(Watch::new());
    let lists = Arc::new(Lists::new(&EVERYTHING));
    let ask = |now: Instant| {
        let (watch, lists) = (watch.clone(), lists.clone());
        async move { watch.health.standing_at(&watch.zone, &*lists, now).await.is_some() }
    };
    block_on(async {
        lists.answers.forget_permits(10_000);
        let first: Vec<_> = (0..10).map(|_| tokio::spawn(ask(watch.now))).collect();
        tokio::task::yield_now().await;
        assert_eq!(lists.asked(), 2);
        lists.answers.add_permits(2);
        for task in first {
            assert!(task.await.unwrap());
        }
        assert_eq!(lists.asked(), 0);
        // An hour later one tests again; whoever comes meanwhile is told at once what was known.
        lists.list(&HEALTHY);
        let later = watch.now + UNHEALTHY_FOR;
        let testing = tokio::spawn(ask(later));
        tokio::task::yield_now().await;
        assert_eq!(lists.asked(), 2);
        assert!(ask(later).await);
        lists.answers.add_permits(2);
        assert!(!testing.await.unwrap());
        assert!(!ask(later).await);
        assert_eq!(lists.asked(), 0);
    });
}

#[test]
fn who_gives_up_while_testing_leaves_the_test_to_the_next() {
    let (watch, lists) = (Watch::new(), Lists::new(&HEALTHY));
    block_on(async {
        lists.answers.forget_permits(10_000);
        let mut given_up = Box::pin(watch.health.standing_at(&watch.zone, &lists, watch.now));
        let mut waiting = Box::pin(watch.health.standing_at(&watch.zone, &lists, watch.now));
        assert!((&mut given_up).now_or_never().is_none());
        assert!((&mut waiting).now_or_never().is_none());
        drop(given_up);
        lists.answers.add_permits(2);
        assert_eq!(waiting.await, None);
    });
}

#[test]
fn a_name_is_tested_as_what_it_is_asked_for() {
    let (watch, lists) = (Watch::new(), Lists::new(&["2.0.0.127.z.example", "invalid.z.example"]));
    let domains = zone("z.example domain");
    let off = block_on(watch.health.standing_at(&domains, &lists, watch.now));
    assert!(off.is_some() && !watch.is_off(&lists).0);
    assert_eq!(watch.health.switched_off_at(watch.now).len(), 1);
}

#[test]
fn only_so_many_lists_are_remembered() {
    let (mut watch, lists) = (Watch::new(), Lists::new(&[]));
    for n in 0..ZONES_MAX + 10 {
        watch.passes(Duration::from_secs(1));
        let zone = zone(&format!("z{n}.example"));
        assert!(block_on(watch.health.standing_at(&zone, &lists, watch.now)).is_some());
    }
    let off = watch.health.switched_off_at(watch.now);
    assert_eq!(off.len(), ZONES_MAX);
    let has = |name: &str| off.iter().any(|(zone, _)| zone.as_str() == name);
    assert!(!has("z9.example") && has("z10.example") && has("z1009.example"));
}

#[test]
fn a_list_that_is_off_is_not_asked_and_the_message_says_why() {
    let lists = Arc::new(Lists::new(&[
        "2.0.0.127.z.example",
        "2.0.0.127.dead.example",
        "1.0.0.127.dead.example",
        "1.2.0.192.dead.example",
        "1.2.0.192.z.example",
    ]));
    let facts = block_on(async {
        // On any thread.
        let asking = tokio::spawn(async move {
            let (zones, _) = parse_zones("dead.example\nz.example score\n");
            let client = IpAddr::from([192, 0, 2, 1]);
            let health = ZoneHealth::default();
            health.look_up_all(&zones, client, &[], &*lists, &*lists).await
        });
        asking.await.unwrap()
    });
    let [dead, alive] = &facts[..] else {
        panic!("{facts:?}");
    };
    assert!(matches!(&dead.finding, ZoneFinding::Off(why) if why.as_str().contains("for 127.0.0.1")));
    assert!(matches!(&alive.finding, ZoneFinding::Listed { .. }));
    assert_eq!((&*dead.zone, &*alive.zone), ("dead.example", "z.example"));
}
