//! What one client network may have under way at one time, so that nobody fills all places with names that never answer.

use super::limits::CLIENT_AT_ONCE_MAX;
use crate::quarantine::Network;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::Semaphore;

/// Networks with fewer entries than this are not looked through for those that have gone.
const SWEEP_FROM: usize = 64;

/// The places of each client network that has a message in work.
#[derive(Default)]
pub(super) struct Shares(Mutex<HashMap<Network, Weak<Semaphore>>>);

impl Shares {
    /// The places that all messages of a network share, as long as there are any.
    pub(super) fn of(&self, network: Network) -> Arc<Semaphore> {
        let mut shares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(&network).and_then(Weak::upgrade) {
            return share;
        }
        if shares.len() >= SWEEP_FROM && shares.len() == shares.capacity() {
            shares.retain(|_, share| share.strong_count() > 0);
        }
        let share = Arc::new(Semaphore::new(CLIENT_AT_ONCE_MAX));
        shares.insert(network, Arc::downgrade(&share));
        share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(n: u32) -> Network {
        Network::of(std::net::Ipv4Addr::from_bits(n << 8).into())
    }

    #[test]
    fn messages_of_one_network_share_and_those_of_others_do_not() {
        let shares = Shares::default();
        let first = shares.of(network(1));
        assert!(Arc::ptr_eq(&first, &shares.of(network(1))));
        assert!(!Arc::ptr_eq(&first, &shares.of(network(2))));
        drop(first);
        assert_eq!(shares.of(network(1)).available_permits(), CLIENT_AT_ONCE_MAX);
    }

    #[test]
    fn networks_that_have_gone_are_forgotten() {
        let shares = Shares::default();
        let kept = shares.of(network(0));
        for n in 1..100_000 {
            drop(shares.of(network(n)));
        }
        assert!(shares.0.lock().unwrap().len() <= 4 * SWEEP_FROM);
        assert!(Arc::ptr_eq(&kept, &shares.of(network(0))));
    }
}
