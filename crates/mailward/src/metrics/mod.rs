//! What the daemon counts of its work, and how it is shown: as Prometheus text, and by `mailward status`.
//!
//! All numbers are atomics in one static, so counting costs a few nanoseconds, needs no plumbing and cannot fail.
//! Labels come from closed sets of our own; nothing that a client sent ever becomes one. Counters begin at 0 with the
//! process.
//!
//! - `hops`: how each next hop fares.
//! - `text`: the exposition format.
//! - [`http`]: the listener that serves it.

mod hops;
pub mod http;
mod text;

pub use hops::{HopHealth, Hops};
pub use text::{Door, Readings, exposition};

use judge::checks::Check;
use judge::reason::Source;
use mail::Reply;
use mail::smtp::refusal::Refusal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The counts of this process.
pub static METRICS: Metrics = Metrics::new();

/// What becomes of a message for one recipient, as [`crate::observe::Disposed`] says it; the last one is for any word
/// that is missing here.
const DISPOSITIONS: [&str; 10] = [
    "accept",
    "tag",
    "file",
    "hold",
    "reject",
    "defer",
    "discard",
    "relay",
    "refused by next hop",
    "other",
];
/// Who decides, before the checks.
const DECIDERS: [&str; 5] = ["none", "recipient", "black_list", "white_list", "lists"];
/// From the last octet of a message to its reply, in seconds. Below a second what we do by ourselves, above it what
/// next hops take; RFC 5321 §4.5.3.2.6 gives them ten minutes.
const MESSAGE_BOUNDS_S: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];
/// Recording an intent waits for one sync of the disk, in seconds.
const STORE_BOUNDS_S: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0];

/// Why a client was turned away at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TurnedAway {
    /// The machine's load.
    Load,
    /// Too many connections in all.
    Connections,
    /// Too many from one network.
    ClientNetwork,
}

const TURNED_AWAY: [&str; 3] = ["load", "connections", "client_network"];

impl TurnedAway {
    /// Its name in logs and counts.
    pub fn word(self) -> &'static str {
        TURNED_AWAY[self as usize]
    }
}

/// A number that only grows.
#[derive(Debug)]
pub struct Counter(AtomicU64);

impl Counter {
    const fn new() -> Counter {
        Counter(AtomicU64::new(0))
    }

    /// Adds.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// The number.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often something took how long.
#[derive(Debug)]
pub struct Histogram<const BOUNDS: usize> {
    bounds_s: [f64; BOUNDS],
    /// How many lie within each bound and above the one before.
    within: [Counter; BOUNDS],
    count: Counter,
    sum_us: Counter,
}

impl<const BOUNDS: usize> Histogram<BOUNDS> {
    const fn new(bounds_s: [f64; BOUNDS]) -> Histogram<BOUNDS> {
        Histogram {
            bounds_s,
            within: [const { Counter::new() }; BOUNDS],
            count: Counter::new(),
            sum_us: Counter::new(),
        }
    }

    /// Adds one.
    pub fn took(&self, time: Duration) {
        let bounds = self.bounds_s.iter().zip(&self.within);
        if let Some((_, within)) = bounds.into_iter().find(|(bound, _)| time.as_secs_f64() <= **bound) {
            within.add(1);
        }
        self.count.add(1);
        self.sum_us.add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }
}

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    dispositions: [Counter; DISPOSITIONS.len()],
    deciders: [Counter; DECIDERS.len() + Check::ALL.len()],
    /// Replies to the end of a message: 2xx, 4xx, 5xx.
    replies: [Counter; 3],
    message_octets: Counter,
    message_time: Histogram<{ MESSAGE_BOUNDS_S.len() }>,
    connections: Counter,
    turned_away: [Counter; TURNED_AWAY.len()],
    refusals: [Counter; Refusal::ALL.len()],
    store_begin_time: Histogram<{ STORE_BOUNDS_S.len() }>,
    store_begin_failures: Counter,
    /// How each next hop fares.
    pub hops: Hops,
}

impl Metrics {
    const fn new() -> Metrics {
        Metrics {
            dispositions: [const { Counter::new() }; DISPOSITIONS.len()],
            deciders: [const { Counter::new() }; DECIDERS.len() + Check::ALL.len()],
            replies: [const { Counter::new() }; 3],
            message_octets: Counter::new(),
            message_time: Histogram::new(MESSAGE_BOUNDS_S),
            connections: Counter::new(),
            turned_away: [const { Counter::new() }; TURNED_AWAY.len()],
            refusals: [const { Counter::new() }; Refusal::ALL.len()],
            store_begin_time: Histogram::new(STORE_BOUNDS_S),
            store_begin_failures: Counter::new(),
            hops: Hops::new(),
        }
    }

    /// A message got its end for one recipient; `decider` is who gave the decisive reason.
    pub fn disposed(&self, disposition: &str, decider: Option<Source>) {
        let last = DISPOSITIONS.len() - 1;
        let slot = DISPOSITIONS
            .iter()
            .position(|word| *word == disposition)
            .unwrap_or(last);
        self.dispositions[slot].add(1);
        self.deciders[decider_slot(decider)].add(1);
    }

    /// A message of `octets` was answered, `took` after its last octet.
    pub fn answered(&self, reply: &Reply, octets: u64, took: Duration) {
        let slot = match reply.code() {
            ..300 => 0,
            300..500 => 1,
            500.. => 2,
        };
        self.replies[slot].add(1);
        self.message_octets.add(octets);
        self.message_time.took(took);
    }

    /// A client came in.
    pub fn connected(&self) {
        self.connections.add(1);
    }

    /// A client was turned away.
    pub fn turned_away(&self, why: TurnedAway) {
        self.turned_away[why as usize].add(1);
    }

    /// A session refused something.
    pub fn refused(&self, why: Refusal) {
        self.refusals[why as usize].add(1);
    }

    /// Clients that were turned away, by reason; those reasons that there were.
    pub fn by_turned_away(&self) -> impl Iterator<Item = (&'static str, u64)> {
        named(TURNED_AWAY.into_iter().zip(&self.turned_away))
    }

    /// What sessions refused, by reason; those reasons that there were.
    pub fn by_refusal(&self) -> impl Iterator<Item = (&'static str, u64)> {
        named(Refusal::ALL.iter().map(|why| why.word()).zip(&self.refusals))
    }

    /// An intent was recorded, or not.
    pub fn store_began(&self, took: Duration, is_recorded: bool) {
        self.store_begin_time.took(took);
        if !is_recorded {
            self.store_begin_failures.add(1);
        }
    }

    /// Messages and recipients by what became of them, those that there were.
    pub fn by_disposition(&self) -> impl Iterator<Item = (&'static str, u64)> {
        named(DISPOSITIONS.into_iter().zip(&self.dispositions))
    }

    /// Clients that came in, and that were turned away.
    pub fn visitors(&self) -> (u64, u64) {
        (
            self.connections.count(),
            self.turned_away.iter().map(Counter::count).sum(),
        )
    }

    /// Intents that were to be recorded, and those of them that could not be.
    pub fn store_begins(&self) -> (u64, u64) {
        (self.store_begin_time.count.count(), self.store_begin_failures.count())
    }
}

/// Those that have counted something.
fn named<'a>(counts: impl Iterator<Item = (&'static str, &'a Counter)>) -> impl Iterator<Item = (&'static str, u64)> {
    counts
        .map(|(word, counter)| (word, counter.count()))
        .filter(|(_, n)| *n > 0)
}

fn decider_slot(decider: Option<Source>) -> usize {
    match decider {
        None => 0,
        Some(Source::Recipient) => 1,
        Some(Source::BlackList) => 2,
        Some(Source::WhiteList) => 3,
        Some(Source::List) => 4,
        Some(Source::Check(check)) => DECIDERS.len() + check as usize,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_decider_is_counted_under_its_own_name() {
        let metrics = Metrics::new();
        metrics.disposed("reject", Some(Source::Check(Check::EmptyBody)));
        metrics.disposed("reject", Some(Source::BlackList));
        metrics.disposed("accept", None);
        metrics.disposed("a word of the future", None);
        let counts: Vec<u64> = metrics.dispositions.iter().map(Counter::count).collect();
        assert_eq!(counts, [1, 0, 0, 0, 2, 0, 0, 0, 0, 1]);
        let place = DECIDERS.len() + Check::EmptyBody as usize;
        assert_eq!(metrics.deciders[place].count(), 1);
        assert_eq!((metrics.deciders[0].count(), metrics.deciders[2].count()), (2, 1));
    }

    #[test]
    fn a_time_falls_into_the_first_bound_that_holds_it() {
        let histogram = Histogram::new([0.01, 0.1]);
        for ms in [10, 11, 100, 101] {
            histogram.took(Duration::from_millis(ms));
        }
        let within: Vec<u64> = histogram.within.iter().map(Counter::count).collect();
        assert_eq!(
            (within, histogram.count.count(), histogram.sum_us.count()),
            (vec![1, 2], 4, 222_000)
        );
    }
}
