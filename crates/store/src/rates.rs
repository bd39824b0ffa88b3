//! Rates: how many messages, and how large, a mailbox got from a network within a minute and a day.
//!
//! Asked and counted for every message, so it is held in memory, and only there: a restart forgets it, which lets
//! through once what a day allows. Times are rounded to buckets, so a window is a little longer than its name: up to
//! five seconds for a minute, up to an hour for a day.

use crate::keys::key;
use judge::rates::{Amount, Rate, RateNetwork};
use mail::MailboxId;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Mailboxes times networks that are counted; about 10 MB of memory. Past it those go that got nothing for longest.
pub const RATES_MAX: usize = 20_000;

/// A window and its buckets, in seconds.
const MINUTE: Window = Window {
    length_s: 60,
    bucket_s: 5,
};
const DAY: Window = Window {
    length_s: 24 * 60 * 60,
    bucket_s: 60 * 60,
};

/// The counters of all mailboxes.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<Counters>);

type Key = [u8; 16];

#[derive(Debug, Default)]
struct Counters {
    by_key: HashMap<Key, Counter>,
    by_time: BTreeSet<(i64, Key)>,
}

#[derive(Debug, Default)]
struct Counter {
    last_s: i64,
    minute: Buckets,
    day: Buckets,
}

struct Window {
    length_s: i64,
    bucket_s: i64,
}

/// Numbers of buckets with what came in them, oldest first.
#[derive(Debug, Default)]
struct Buckets(VecDeque<(i64, Amount)>);

impl Rates {
    /// Counts a message for all networks if `admits` says so of their rates before it, in the order of `networks`.
    pub(crate) fn count(
        &self,
        mailbox: &MailboxId,
        networks: &[RateNetwork],
        now_s: i64,
        octets: u64,
        admits: impl FnOnce(&[Rate]) -> bool,
    ) -> bool {
        let mailbox = mailbox.to_string();
        let keys: Vec<Key> = networks.iter().map(|network| key_of(network, &mailbox)).collect();
        // No code that holds the lock leaves the counters half changed; `admits` runs before anything is.
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rates: Vec<Rate> = keys.iter().map(|key| counters.rate(key, now_s)).collect();
        let admitted = admits(&rates);
        if admitted {
            keys.iter().for_each(|key| counters.add(*key, now_s, octets));
        }
        admitted
    }
}

fn key_of(network: &RateNetwork, mailbox: &str) -> Key {
    match network.address {
        IpAddr::V4(v4) => key(network.width, &[mailbox.as_bytes(), &v4.octets()]),
        IpAddr::V6(v6) => key(network.width, &[mailbox.as_bytes(), &v6.octets()]),
    }
}

impl Counters {
    fn rate(&self, key: &Key, now_s: i64) -> Rate {
        self.by_key.get(key).map_or_else(Rate::default, |counter| Rate {
            minute: counter.minute.sum(&MINUTE, now_s),
            day: counter.day.sum(&DAY, now_s),
        })
    }

    fn add(&mut self, key: Key, now_s: i64, octets: u64) {
        let counter = self.by_key.entry(key).or_default();
        self.by_time.remove(&(counter.last_s, key));
        counter.last_s = now_s;
        counter.minute.add(&MINUTE, now_s, octets);
        counter.day.add(&DAY, now_s, octets);
        self.by_time.insert((now_s, key));
        while self.by_key.len() > RATES_MAX
            && let Some((_, oldest)) = self.by_time.pop_first()
        {
            self.by_key.remove(&oldest);
        }
    }
}

impl Window {
    /// The buckets that a window ending at `now_s` touches.
    fn buckets(&self, now_s: i64) -> std::ops::RangeInclusive<i64> {
        let bucket = |at_s: i64| at_s.div_euclid(self.bucket_s);
        bucket(now_s.saturating_sub(self.length_s))..=bucket(now_s)
    }
}

impl Buckets {
    fn sum(&self, window: &Window, now_s: i64) -> Amount {
        let buckets = window.buckets(now_s);
        let counted = self.0.iter().filter(|(bucket, _)| buckets.contains(bucket));
        counted.fold(Amount::default(), |sum, (_, amount)| Amount {
            messages: sum.messages.saturating_add(amount.messages),
            octets: sum.octets.saturating_add(amount.octets),
        })
    }

    /// What is outside of the window goes: before it, or after it because the clock was set back.
    fn add(&mut self, window: &Window, now_s: i64, octets: u64) {
        let buckets = window.buckets(now_s);
        let now = *buckets.end();
        self.0.retain(|(bucket, _)| buckets.contains(bucket));
        match self.0.back_mut().filter(|(bucket, _)| *bucket == now) {
            Some((_, amount)) => {
                amount.messages = amount.messages.saturating_add(1);
                amount.octets = amount.octets.saturating_add(octets);
            }
            None => self.0.push_back((now, Amount { messages: 1, octets })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn mailbox() -> MailboxId {
        MailboxId::try_from("ann@example.com".to_owned()).unwrap()
    }

    fn network(last: u32) -> RateNetwork {
        RateNetwork {
            width: 1,
            address: std::net::Ipv4Addr::from(0xc000_0200 + last).into(),
        }
    }

    fn look(rates: &Rates, network: RateNetwork, now_s: i64) -> Rate {
        let mut found = Rate::default();
        rates.count(&mailbox(), &[network], now_s, 0, |rates| {
            found = rates[0];
            false
        });
        found
    }

    #[test]
    fn what_is_not_admitted_is_not_counted() {
        let rates = Rates::default();
        let networks = [network(1), network(2)];
        let admit = |now_s| rates.count(&mailbox(), &networks, now_s, 10, |before| before[0].minute.messages < 2);
        assert_eq!([admit(0), admit(1), admit(2), admit(2)], [true, true, false, false]);
        let two = Amount {
            messages: 2,
            octets: 20,
        };
        assert_eq!(look(&rates, network(2), 2), Rate { minute: two, day: two });
        assert_eq!(look(&rates, network(3), 2), Rate::default());
        // A minute later there is room again; the day remembers.
        assert_eq!(look(&rates, network(1), 70).minute, Amount::default());
        assert_eq!(look(&rates, network(1), 70).day, two);
        assert!(admit(70));
        assert_eq!(look(&rates, network(1), 26 * 60 * 60).day, Amount::default());
    }

    #[test]
    fn a_clock_that_is_set_back_begins_anew() {
        let rates = Rates::default();
        for now_s in [1_000_000, 1_000_001, 0, 1] {
            rates.count(&mailbox(), &[network(1)], now_s, 1, |_| true);
        }
        assert_eq!(look(&rates, network(1), 1).day.messages, 2);
    }

    #[test]
    fn the_networks_that_got_nothing_for_longest_go_first() {
        let rates = Rates::default();
        for n in 0..=RATES_MAX as u32 {
            rates.count(&mailbox(), &[network(n)], i64::from(n / 100), 1, |_| true);
            if n % 100 == 0 {
                rates.count(&mailbox(), &[network(7)], i64::from(n / 100), 1, |_| true);
            }
        }
        let counters = rates.0.lock().unwrap();
        assert_eq!((counters.by_key.len(), counters.by_time.len()), (RATES_MAX, RATES_MAX));
        drop(counters);
        let now_s = (RATES_MAX / 100) as i64;
        assert!(look(&rates, network(7), now_s).day.messages > 0);
        let first = (0..100).filter(|n| look(&rates, network(*n), now_s).day.messages > 0);
        assert_eq!(first.count(), 99);
    }

    proptest! {
        #[test]
        fn a_window_is_never_shorter_than_its_name_and_little_longer(
            mut times in vec(-200i64..100_000, 0..60), after in 0i64..200,
        ) {
            let rates = Rates::default();
            times.sort_unstable();
            for at_s in &times {
                rates.count(&mailbox(), &[network(1)], *at_s, 3, |_| true);
            }
            let now_s = times.last().unwrap_or(&0) + after;
            let found = look(&rates, network(1), now_s);
            let since = |from_s: i64| times.iter().filter(|at_s| **at_s >= now_s - from_s).count() as u64;
            prop_assert!((since(60)..=since(65)).contains(&found.minute.messages));
            prop_assert!((since(86_400)..=since(90_000)).contains(&found.day.messages));
            prop_assert_eq!(found.minute.octets, 3 * found.minute.messages);
        }
    }
}
