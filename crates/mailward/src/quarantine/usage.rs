//! The budgets: octets in all, of each domain and from each network of clients, and a floor of free space.
//!
//! Usage is kept in memory and counted anew from the index files when the quarantine is opened and after each
//! expiry. A copy costs the octets of its file; an entry, with or without file, costs its line of `index.json`
//! twice, which covers both indexes. What other processes removed meanwhile is seen at the next count.
//!
//! Metadata count too. They may go on to twice the budget, and on the file system to half of the floor; past that
//! nothing is written, and what was not is only counted. So an attacker who is refused fills neither.

use super::error::Limit;
use mail::Domain;
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How much may be kept. `u64::MAX` is no limit. What holds by default is the configuration's affair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Octets in all.
    pub total_octets: u64,
    /// Octets of each domain.
    pub per_domain_octets: u64,
    /// Octets from each [`Network`] of clients.
    pub per_client_network_octets: u64,
    /// Octets that stay free on the file system.
    pub free_floor_octets: u64,
}

/// A network that counts as one client: 24 bits of an IPv4 address, 64 of an IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network(IpAddr);

impl Network {
    /// The network of a client.
    pub fn of(client: IpAddr) -> Network {
        Network(match client.to_canonical() {
            IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() & !0xff).into(),
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(ip) => write!(f, "{ip}/24"),
            IpAddr::V6(ip) => write!(f, "{ip}/64"),
        }
    }
}

/// What an entry costs.
#[derive(Debug, Clone)]
pub(super) struct Cost {
    pub domain: Domain,
    /// Absent where an index does not say who connected.
    pub network: Option<Network>,
    pub octets: u64,
}

/// What a line of `index.json` of `octets` costs, its line end included: twice that.
pub(super) fn line_cost(octets: usize) -> u64 {
    octets as u64 * 2
}

/// What is used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Usage {
    total: u64,
    domains: HashMap<Domain, u64>,
    networks: HashMap<Network, u64>,
}

/// Whether a copy or only metadata are to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Copy,
    Note,
}

impl Usage {
    pub fn add(&mut self, cost: &Cost) {
        self.total = self.total.saturating_add(cost.octets);
        let domain = self.domains.entry(cost.domain.clone()).or_default();
        *domain = domain.saturating_add(cost.octets);
        if let Some(network) = cost.network {
            let network = self.networks.entry(network).or_default();
            *network = network.saturating_add(cost.octets);
        }
    }

    pub fn subtract(&mut self, cost: &Cost) {
        self.total = self.total.saturating_sub(cost.octets);
        lower(&mut self.domains, &cost.domain, cost.octets);
        if let Some(network) = &cost.network {
            lower(&mut self.networks, network, cost.octets);
        }
    }

    /// Which budget is overdrawn, of those that `cost` touches.
    fn overdrawn(&self, cost: &Cost, budget: &Budget, sort: Sort) -> Option<Limit> {
        let room = |limit: u64| match sort {
            Sort::Copy => limit,
            Sort::Note => limit.saturating_mul(2),
        };
        if self.total > room(budget.total_octets) {
            return Some(Limit::Total);
        }
        if self
            .domains
            .get(&cost.domain)
            .is_some_and(|used| *used > room(budget.per_domain_octets))
        {
            return Some(Limit::Domain(cost.domain.clone()));
        }
        let network = cost.network?;
        let used = self.networks.get(&network)?;
        (*used > room(budget.per_client_network_octets)).then_some(Limit::ClientNetwork(network))
    }
}

/// So that a map does not keep what is used up to nothing.
fn lower<K: std::hash::Hash + Eq>(map: &mut HashMap<K, u64>, key: &K, octets: u64) {
    if let Some(used) = map.get_mut(key) {
        *used = used.saturating_sub(octets);
        if *used == 0 {
            map.remove(key);
        }
    }
}

/// The usage that all threads share.
#[derive(Debug)]
pub(super) struct Ledger {
    budget: Budget,
    usage: Mutex<Usage>,
}

/// Room that was taken, and goes back unless it is kept.
pub(super) struct Reservation<'a> {
    ledger: &'a Ledger,
    costs: Vec<Cost>,
}

impl Ledger {
    pub fn new(budget: Budget, usage: Usage) -> Ledger {
        Ledger {
            budget,
            usage: Mutex::new(usage),
        }
    }

    fn usage(&self) -> MutexGuard<'_, Usage> {
        // Numbers that a panicking thread left are still numbers; the next count mends them.
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes room for all of `costs` or for nothing. `free_octets` is what the file system has left.
    pub fn reserve(&self, costs: Vec<Cost>, sort: Sort, free_octets: u64) -> Result<Reservation<'_>, Limit> {
        let octets: u64 = costs.iter().map(|cost| cost.octets).sum();
        let floor = match sort {
            Sort::Copy => self.budget.free_floor_octets,
            Sort::Note => self.budget.free_floor_octets / 2,
        };
        if free_octets.saturating_sub(octets) < floor {
            return Err(Limit::FreeFloor);
        }
        let mut usage = self.usage();
        for cost in &costs {
            usage.add(cost);
        }
        let overdrawn = costs.iter().find_map(|cost| usage.overdrawn(cost, &self.budget, sort));
        drop(usage);
        let reservation = Reservation { ledger: self, costs };
        match overdrawn {
            // Dropping the reservation gives the room back.
            Some(limit) => Err(limit),
            None => Ok(reservation),
        }
    }

    /// Gives room back.
    pub fn release(&self, cost: &Cost) {
        self.usage().subtract(cost);
    }

    /// Puts a new count in place of the old. What is stored or withdrawn while it is made may be counted wrongly
    /// until the next.
    pub fn replace(&self, usage: Usage) {
        *self.usage() = usage;
    }

    /// Octets used in all.
    pub fn total(&self) -> u64 {
        self.usage().total
    }

    /// A copy of all numbers.
    #[cfg(test)]
    pub fn snapshot(&self) -> Usage {
        self.usage().clone()
    }
}

impl Reservation<'_> {
    /// The room stays taken.
    pub fn keep(mut self) {
        self.costs.clear();
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let mut usage = self.ledger.usage();
        for cost in &self.costs {
            usage.subtract(cost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: u64 = u64::MAX;

    fn cost(domain: &str, client: &str, octets: u64) -> Vec<Cost> {
        let domain = Domain::parse(domain).unwrap();
        vec![Cost {
            domain,
            network: Some(Network::of(client.parse().unwrap())),
            octets,
        }]
    }

    fn ledger(total: u64, domain: u64, network: u64, floor: u64) -> Ledger {
        let budget = Budget {
            total_octets: total,
            per_domain_octets: domain,
            per_client_network_octets: network,
            free_floor_octets: floor,
        };
        Ledger::new(budget, Usage::default())
    }

    #[test]
    fn clients_share_the_budget_of_their_network() {
        let of = |ip: &str| Network::of(ip.parse().unwrap()).to_string();
        assert_eq!(of("192.0.2.77"), "192.0.2.0/24");
        assert_eq!(of("::ffff:192.0.2.77"), "192.0.2.0/24");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
    }

    #[test]
    fn the_last_octet_of_each_budget_fits_and_the_next_does_not() {
        let one = |ledger: &Ledger, which| {
            ledger
                .reserve(cost("a.example", "192.0.2.1", 100), Sort::Copy, NONE)
                .unwrap()
                .keep();
            let Err(limit) = ledger.reserve(cost("a.example", "192.0.2.2", 1), Sort::Copy, NONE) else {
                panic!("past {which:?}");
            };
            assert_eq!(limit, which);
            assert_eq!(ledger.total(), 100);
        };
        one(&ledger(100, NONE, NONE, 0), Limit::Total);
        one(
            &ledger(NONE, 100, NONE, 0),
            Limit::Domain(Domain::parse("a.example").unwrap()),
        );
        let network = Network::of("192.0.2.0".parse().unwrap());
        one(&ledger(NONE, NONE, 100, 0), Limit::ClientNetwork(network));
        // Others are not touched by one domain's and one network's budget.
        let ledger = ledger(NONE, 100, 100, 0);
        ledger
            .reserve(cost("a.example", "192.0.2.1", 100), Sort::Copy, NONE)
            .unwrap()
            .keep();
        assert!(
            ledger
                .reserve(cost("b.example", "198.51.100.1", 100), Sort::Copy, NONE)
                .is_ok()
        );
    }

    #[test]
    fn metadata_may_go_on_to_twice_the_budget_and_half_of_the_floor() {
        let ledger = ledger(100, NONE, NONE, 1000);
        assert!(
            ledger
                .reserve(cost("a.example", "192.0.2.1", 200), Sort::Note, NONE)
                .is_ok()
        );
        assert!(
            ledger
                .reserve(cost("a.example", "192.0.2.1", 201), Sort::Note, NONE)
                .is_err()
        );
        let free = |sort, free| ledger.reserve(cost("a.example", "192.0.2.1", 10), sort, free).is_ok();
        assert!(free(Sort::Copy, 1010) && !free(Sort::Copy, 1009));
        assert!(free(Sort::Note, 510) && !free(Sort::Note, 509));
    }

    #[test]
    fn room_comes_back_when_a_reservation_is_not_kept() {
        let ledger = ledger(100, 100, 100, 0);
        drop(ledger.reserve(cost("a.example", "192.0.2.1", 100), Sort::Copy, NONE));
        assert_eq!(ledger.snapshot(), Usage::default());
        ledger
            .reserve(cost("a.example", "192.0.2.1", 100), Sort::Copy, NONE)
            .unwrap()
            .keep();
        ledger.release(&cost("a.example", "192.0.2.1", 100)[0]);
        assert_eq!(ledger.snapshot(), Usage::default());
    }

    #[test]
    fn several_copies_fit_together_or_not_at_all() {
        let ledger = ledger(100, NONE, NONE, 0);
        let both = [cost("a.example", "192.0.2.1", 60), cost("b.example", "192.0.2.1", 60)].concat();
        assert!(ledger.reserve(both, Sort::Copy, NONE).is_err());
        assert_eq!(ledger.total(), 0);
    }
}
