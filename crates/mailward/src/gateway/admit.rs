//! Who may come in: connections in all, of one client network, and the machine's load.
//!
//! That clients are turned away is logged when it begins and, with their number, when it has ended; so whoever knocks
//! without end writes no log without end.

use crate::config::Limits;
use crate::metrics::{METRICS, TurnedAway};
use crate::quarantine::Network;
use mail::{Line, Reply};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a reading of the load average serves; the system updates it every five seconds.
const LOAD_READING_LIFE: Duration = Duration::from_secs(1);

/// How long nobody must have been turned away before that is said to have ended.
const SPELL_QUIET: Duration = Duration::from_secs(2);
/// How often that is looked at.
const SPELL_LOOK: Duration = Duration::from_secs(1);
/// Client networks that are turned away at one time and told apart in the log; past it they are counted only.
const SPELLS_MAX: usize = 1000;

/// Counts who is connected.
#[derive(Debug, Default)]
pub struct Doors {
    state: Mutex<State>,
    body_octets: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    total: u32,
    by_network: HashMap<Network, u32>,
    load: Option<(Instant, u32)>,
    spells: HashMap<Bar, Spell>,
}

/// What keeps clients out, and whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Bar {
    why: TurnedAway,
    network: Option<Network>,
}

/// A time in which clients are turned away.
#[derive(Debug)]
struct Spell {
    begun: Instant,
    last: Instant,
    turned_away: u64,
    /// The limit that was reached.
    limit: u32,
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub struct Ticket {
    doors: Arc<Doors>,
    /// The client network it counts for; `None` while nobody knows who comes.
    network: Option<Network>,
}

impl Doors {
    /// A place for a client, or the reply that turns it away.
    pub fn enter(self: &Arc<Doors>, client: IpAddr, limits: &Limits) -> Result<Ticket, Reply> {
        let mut ticket = self.enter_unnamed(limits)?;
        ticket.name(client, limits)?;
        Ok(ticket)
    }

    /// A place for somebody for whom a balancer speaks, before it has said who that is.
    pub fn enter_unnamed(self: &Arc<Doors>, limits: &Limits) -> Result<Ticket, Reply> {
        let mut state = self.lock();
        if let Some(reply) = overload(&mut state, limits) {
            self.turn_away(&mut state, TurnedAway::Load, None, limits.load);
            return Err(reply);
        }
        if state.total >= limits.connections {
            self.turn_away(&mut state, TurnedAway::Connections, None, limits.connections);
            return Err(Reply::new(
                421,
                (4, 3, 2),
                Line::literal("Too many connections, please try again later"),
            ));
        }
        state.total += 1;
        Ok(Ticket {
            doors: self.clone(),
            network: None,
        })
    }

    /// Octets of all messages that are being received now.
    pub fn body_octets(&self) -> u64 {
        self.body_octets.load(Ordering::Relaxed)
    }

    /// Connections now.
    pub fn count(&self) -> u32 {
        self.lock().total
    }

    /// What is still going on is logged as ended, because the daemon ends.
    pub fn end_spells(&self) {
        self.lock().spells.drain().for_each(|(bar, spell)| spell.log_end(bar));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a client that is turned away; the first one of a spell is logged.
    fn turn_away(self: &Arc<Doors>, state: &mut State, why: TurnedAway, network: Option<Network>, limit: u32) {
        METRICS.turned_away(why);
        let (bar, now) = (Bar { why, network }, Instant::now());
        let is_first = state.spells.is_empty();
        if let Some(spell) = state.spells.get_mut(&bar) {
            (spell.last, spell.limit) = (now, limit);
            spell.turned_away += 1;
            return;
        }
        if state.spells.len() >= SPELLS_MAX {
            return;
        }
        let load = state.load.filter(|_| why == TurnedAway::Load).map(|(_, load)| load);
        tracing::warn!(
            reason = why.word(),
            network = network.map(tracing::field::display),
            load,
            limit,
            "clients are turned away"
        );
        let spell = Spell {
            begun: now,
            last: now,
            turned_away: 1,
            limit,
        };
        state.spells.insert(bar, spell);
        if is_first && let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(self.clone().watch_spells());
        }
    }

    /// Looks every second whether spells have ended, until there are none.
    async fn watch_spells(self: Arc<Doors>) {
        loop {
            tokio::time::sleep(SPELL_LOOK).await;
            let mut state = self.lock();
            state.end_spells(Instant::now());
            if state.spells.is_empty() {
                return;
            }
        }
    }
}

impl Spell {
    fn log_end(&self, bar: Bar) {
        tracing::info!(
            reason = bar.why.word(),
            network = bar.network.map(tracing::field::display),
            turned_away = self.turned_away,
            lasted_s = self.begun.elapsed().as_secs(),
            "clients are let in again"
        );
    }
}

impl Ticket {
    /// From now on it counts for this client's network; or the reply that turns the client away.
    pub fn name(&mut self, client: IpAddr, limits: &Limits) -> Result<(), Reply> {
        let network = Network::of(client);
        let mut state = self.doors.lock();
        let before = self.network.take();
        state.leave(before);
        let here = state.by_network.entry(network).or_default();
        if *here >= limits.connections_per_client {
            let limit = limits.connections_per_client;
            self.doors
                .turn_away(&mut state, TurnedAway::ClientNetwork, Some(network), limit);
            return Err(Reply::new(
                421,
                (4, 7, 0),
                Line::literal("Too many connections from your network"),
            ));
        }
        *here += 1;
        self.network = Some(network);
        if before.is_none() {
            METRICS.connected();
        }
        Ok(())
    }
}

impl State {
    /// Logs and forgets the spells in which nobody was turned away for a while, and nobody would be now.
    fn end_spells(&mut self, now: Instant) {
        let mut spells = std::mem::take(&mut self.spells);
        spells.retain(|bar, spell| {
            let goes_on = now.saturating_duration_since(spell.last) < SPELL_QUIET || self.is_at(*bar, spell.limit);
            if !goes_on {
                spell.log_end(*bar);
            }
            goes_on
        });
        self.spells = spells;
    }

    fn is_at(&mut self, bar: Bar, limit: u32) -> bool {
        match (bar.why, bar.network) {
            (TurnedAway::Load, _) => self.load() >= limit,
            (TurnedAway::ClientNetwork, Some(network)) => self.by_network.get(&network).is_some_and(|n| *n >= limit),
            (TurnedAway::Connections | TurnedAway::ClientNetwork, _) => self.total >= limit,
        }
    }

    /// The load average, read again when the last reading is too old.
    fn load(&mut self) -> u32 {
        match self.load {
            Some((read, load)) if read.elapsed() < LOAD_READING_LIFE => load,
            _ => {
                let load = load_average();
                self.load = Some((Instant::now(), load));
                load
            }
        }
    }

    fn leave(&mut self, network: Option<Network>) {
        let Some(network) = network else { return };
        if let Some(here) = self.by_network.get_mut(&network) {
            *here = here.saturating_sub(1);
            if *here == 0 {
                self.by_network.remove(&network);
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.doors.lock();
        state.total = state.total.saturating_sub(1);
        state.leave(self.network);
    }
}

/// One connection's share of the memory for messages that are being received; given back when dropped.
#[derive(Debug)]
pub struct BodyRoom {
    doors: Arc<Doors>,
    octets: u64,
}

impl BodyRoom {
    /// A share of nothing.
    pub fn new(doors: Arc<Doors>) -> BodyRoom {
        BodyRoom { doors, octets: 0 }
    }

    /// Makes it a share of `octets`; false if all shares together would be more than `max`. What a connection has
    /// already stays its own.
    pub fn take(&mut self, octets: u64, max: u64) -> bool {
        let more = octets.saturating_sub(self.octets);
        let before = self.doors.body_octets.fetch_add(more, Ordering::Relaxed);
        if more > 0 && before.saturating_add(more) > max {
            self.doors.body_octets.fetch_sub(more, Ordering::Relaxed);
            return false;
        }
        self.octets += more;
        true
    }

    /// Gives all of it back.
    pub fn give_back(&mut self) {
        let octets = std::mem::take(&mut self.octets);
        if octets > 0 {
            self.doors.body_octets.fetch_sub(octets, Ordering::Relaxed);
        }
    }
}

impl Drop for BodyRoom {
    fn drop(&mut self) {
        self.give_back();
    }
}

fn overload(state: &mut State, limits: &Limits) -> Option<Reply> {
    if limits.load == 0 {
        return None;
    }
    let load = state.load();
    let text = format!("System load too high ({load}) please try again later");
    (load >= limits.load).then(|| Reply::new(421, (4, 3, 2), Line::reason(text.as_bytes())))
}

/// The one-minute load average, truncated; 0 on systems that do not tell.
fn load_average() -> u32 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split('.').next().and_then(|whole| whole.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            load: 0,
            connections: 3,
            connections_per_client: 2,
            ..Limits::default()
        }
    }

    #[test]
    fn places_are_counted_by_network_and_given_back() {
        let doors = Arc::new(Doors::default());
        let ip = |t: &str| t.parse::<IpAddr>().unwrap();
        let one = doors.enter(ip("192.0.2.1"), &limits()).unwrap();
        let _two = doors.enter(ip("::ffff:192.0.2.9"), &limits()).unwrap();
        assert_eq!(doors.enter(ip("192.0.2.3"), &limits()).unwrap_err().code(), 421);
        let _three = doors.enter(ip("2001:db8::1"), &limits()).unwrap();
        assert_eq!(
            doors.enter(ip("198.51.100.1"), &limits()).unwrap_err().enhanced(),
            Some((4, 3, 2))
        );
        drop(one);
        assert!(doors.enter(ip("192.0.2.3"), &limits()).is_ok());
        assert_eq!(doors.count(), 2);
    }

    #[test]
    fn load_is_truncated_before_it_is_compared() {
        let mut state = State {
            load: Some((Instant::now(), 2)),
            ..State::default()
        };
        let limits = Limits { load: 3, ..limits() };
        assert!(overload(&mut state, &limits).is_none());
        state.load = Some((Instant::now(), 3));
        let reply = overload(&mut state, &limits).unwrap();
        assert_eq!(
            (reply.code(), reply.text()),
            (421, "System load too high (3) please try again later")
        );
    }

    #[test]
    fn a_time_of_load_ends_when_it_is_over_and_nobody_was_turned_away_for_a_while() {
        let doors = Arc::new(Doors::default());
        let limits = Limits { load: 3, ..limits() };
        let client: IpAddr = "192.0.2.1".parse().unwrap();
        doors.lock().load = Some((Instant::now(), 3));
        for _ in 0..2 {
            assert_eq!(doors.enter(client, &limits).unwrap_err().code(), 421);
        }
        let counted: Vec<u64> = doors.lock().spells.values().map(|spell| spell.turned_away).collect();
        assert_eq!(counted, [2]);
        let later = Instant::now() + SPELL_QUIET;
        let look = |load| {
            let mut state = doors.lock();
            state.load = Some((Instant::now(), load));
            state.end_spells(later);
            state.spells.len()
        };
        assert_eq!((look(3), look(2)), (1, 0));
    }

    #[test]
    fn load_turns_nobody_away_unless_that_is_wanted() {
        let doors = Arc::new(Doors::default());
        doors.lock().load = Some((Instant::now(), u32::MAX));
        assert!(doors.enter("192.0.2.1".parse().unwrap(), &Limits::default()).is_ok());
    }
}
