//! How the next hops fare: sums for the metrics, and each one's own health for `mailward status`.
//!
//! Next hops are named by the operator, so their number is small; it is bounded all the same.

use super::Counter;
use crate::relay::Delivery;
use crate::relay::next_hop::NextHop;
use mail::Line;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Next hops whose health is kept one by one; sums count all.
const HOPS_MAX: usize = 256;

/// All next hops.
#[derive(Debug)]
pub struct Hops {
    pub(super) taken: Counter,
    pub(super) refused: Counter,
    pub(super) later: Counter,
    pub(super) connect_failures: Counter,
    each: Mutex<BTreeMap<String, HopHealth>>,
}

/// One next hop. Counts are of recipients.
#[derive(Debug, Clone, Default)]
pub struct HopHealth {
    /// Recipients whose message it took.
    pub taken: u64,
    /// Those whom it refused for good.
    pub refused: u64,
    /// Those for whom it was not now.
    pub later: u64,
    /// When it last took a message for anybody.
    pub taken_at: Option<Instant>,
    /// When a message last had to wait, and why.
    pub trouble: Option<(Instant, Line)>,
}

impl HopHealth {
    /// Whether the last thing that it did was to take a message.
    pub fn is_well(&self) -> bool {
        let trouble_at = self.trouble.as_ref().map(|(at, _)| *at);
        trouble_at.is_none() || self.taken_at > trouble_at
    }
}

impl Hops {
    pub(super) const fn new() -> Hops {
        Hops {
            taken: Counter::new(),
            refused: Counter::new(),
            later: Counter::new(),
            connect_failures: Counter::new(),
            each: Mutex::new(BTreeMap::new()),
        }
    }

    fn each(&self) -> MutexGuard<'_, BTreeMap<String, HopHealth>> {
        self.each.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message was handed to a next hop.
    pub fn delivered(&self, hop: &NextHop, deliveries: &[Delivery]) {
        let name = hop.to_string();
        let mut each = self.each();
        if each.len() >= HOPS_MAX && !each.contains_key(&name) {
            // One that nobody asks about any more, most likely.
            each.pop_first();
        }
        let health = each.entry(name).or_default();
        for delivery in deliveries {
            match delivery {
                Delivery::Taken(..) => {
                    self.taken.add(1);
                    health.taken += 1;
                    health.taken_at = Some(Instant::now());
                }
                Delivery::Refused(_) => {
                    self.refused.add(1);
                    health.refused += 1;
                }
                Delivery::Later(delay) => {
                    self.later.add(1);
                    health.later += 1;
                    health.trouble = Some((Instant::now(), Line::from(delay.to_string())));
                }
            }
        }
    }

    /// A next hop could not be connected to, or did not greet.
    pub fn connect_failed(&self) {
        self.connect_failures.add(1);
    }

    /// Each next hop that got messages, by name.
    pub fn health(&self) -> Vec<(String, HopHealth)> {
        let each = self.each();
        each.iter()
            .map(|(name, health)| (name.clone(), health.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::Delay;

    #[test]
    fn a_hop_is_well_again_when_it_takes_a_message() {
        let hops = Hops::new();
        let hop: NextHop = "smtp:mx.example:25".parse().unwrap();
        let last = || hops.health()[0].1.clone();
        hops.delivered(&hop, &[Delivery::Later(Delay::literal("no"))]);
        assert!(!last().is_well());
        let reply = mail::Reply::new(550, (5, 1, 1), Line::literal("who?"));
        hops.delivered(&hop, &[Delivery::Refused(reply)]);
        assert!(!last().is_well());
        let proof =
            crate::relay::Durable::in_ledger(&["a@b.example".into()], &mail::Address::parse("a@b.example").unwrap());
        hops.delivered(&hop, &[Delivery::Taken(proof.unwrap(), Line::literal("ok"))]);
        assert!(last().is_well());
        assert_eq!((last().taken, last().refused, last().later), (1, 1, 1));
    }

    #[test]
    fn no_number_of_hops_fills_memory() {
        let hops = Hops::new();
        for port in 1..1000 {
            let hop = format!("smtp:mx.example:{port}").parse().unwrap();
            hops.delivered(&hop, &[Delivery::Later(Delay::literal("no"))]);
        }
        assert_eq!((hops.health().len(), hops.later.count()), (HOPS_MAX, 999));
    }
}
