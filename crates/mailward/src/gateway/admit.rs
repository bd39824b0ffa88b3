//! Who may come in: connections in all, of one client network, and the machine's load.

use crate::config::Limits;
use crate::metrics::{METRICS, TurnedAway};
use crate::quarantine::Network;
use mail::{Line, Reply};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a reading of the load average serves; the system updates it every five seconds.
const LOAD_READING_LIFE: Duration = Duration::from_secs(1);

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
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reply) = overload(&mut state, limits) {
            METRICS.turned_away(TurnedAway::Load);
            return Err(reply);
        }
        if state.total >= limits.connections {
            METRICS.turned_away(TurnedAway::Connections);
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
        self.state.lock().unwrap_or_else(PoisonError::into_inner).total
    }
}

impl Ticket {
    /// From now on it counts for this client's network; or the reply that turns the client away.
    pub fn name(&mut self, client: IpAddr, limits: &Limits) -> Result<(), Reply> {
        let network = Network::of(client);
        let mut state = self.doors.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.network.take();
        state.leave(before);
        let here = state.by_network.entry(network).or_default();
        if *here >= limits.connections_per_client {
            METRICS.turned_away(TurnedAway::ClientNetwork);
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
        let mut state = self.doors.state.lock().unwrap_or_else(PoisonError::into_inner);
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
    let load = match state.load {
        Some((read, load)) if read.elapsed() < LOAD_READING_LIFE => load,
        _ => {
            let load = load_average();
            state.load = Some((Instant::now(), load));
            load
        }
    };
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
}
