//! Which DNS lists work: those that fail the test of RFC 5782 §5 are switched off until they pass it again.
//!
//! A list that has died may list nobody or everybody, so each is tested before it is first asked about a message, and from
//! time to time after that. The log tells of each change once; `status` shows what is off. A list that cannot be reached
//! stays as it was: DNS trouble says nothing of it, and its look-ups will tell the same.

#[cfg(test)]
mod tests;

use futures_util::future::join_all;
use judge::dnsbl::{Health, Target, Zone, ZoneFact, ZoneFinding, look_up, probe};
use judge::resolver::{Name, Resolver};
use mail::{Domain, Line};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a list that works is not tested again.
const HEALTHY_FOR: Duration = Duration::from_secs(4 * 60 * 60);
/// How long one that does not is left alone. Shorter: mail that it would have stopped comes in meanwhile.
const UNHEALTHY_FOR: Duration = Duration::from_secs(60 * 60);
/// How long after DNS trouble it is tried again.
const UNKNOWN_FOR: Duration = Duration::from_secs(5 * 60);
/// A list that nobody asked for so long after it was due for a test is no longer shown as switched off: the operator may
/// have taken it out of the files.
const SHOWN_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// Most lists that are remembered; operators name some dozens.
const ZONES_MAX: usize = 1000;

/// What is known of all lists. One for the whole server.
#[derive(Debug, Default)]
pub struct ZoneHealth {
    slots: Mutex<HashMap<Key, Arc<Slot>>>,
}

/// One name may be asked about addresses in one file and about domains in another, and pass one test only.
type Key = (Name, Target);

/// One list.
#[derive(Debug, Default)]
struct Slot {
    known: Mutex<Option<Known>>,
    /// Held by who tests it.
    testing: tokio::sync::Mutex<()>,
}

/// What the last test said.
#[derive(Debug, Clone)]
struct Known {
    /// Why it is switched off; `None` for a list that is asked.
    off: Option<Line>,
    until: Instant,
}

/// A panic in between leaves what was known before.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ZoneHealth {
    /// Why `zone` is switched off; `None` if it is to be asked. Tests it where the last test is too old: one test of a
    /// zone at a time, and whoever comes meanwhile is told what was known before, or waits if nothing was. `resolver` had
    /// better not be under the budget of a single message, since what it says serves all.
    pub async fn standing(&self, zone: &Zone, resolver: &dyn Resolver) -> Option<Line> {
        self.standing_at(zone, resolver, Instant::now()).await
    }

    /// Asks all zones about a message at once, but those that are switched off: their finding is [`ZoneFinding::Off`].
    /// The facts come in the order of `zones`. `tester` is asked for tests, `resolver` about the message.
    pub async fn look_up_all(
        &self,
        zones: &[Zone],
        client: IpAddr,
        domains: &[Domain],
        resolver: &dyn Resolver,
        tester: &dyn Resolver,
    ) -> Vec<ZoneFact> {
        let facts = zones.iter().map(async |zone| ZoneFact {
            zone: zone.name.as_str().into(),
            finding: match self.standing(zone, tester).await {
                Some(why) => ZoneFinding::Off(why),
                None => look_up(zone, client, domains, resolver).await,
            },
        });
        join_all(facts).await
    }

    /// The zones that are switched off, by name, and why.
    pub fn switched_off(&self) -> Vec<(Name, Line)> {
        self.switched_off_at(Instant::now())
    }

    async fn standing_at(&self, zone: &Zone, resolver: &dyn Resolver, now: Instant) -> Option<Line> {
        let slot = self.slot(zone);
        let before = match slot.known() {
            Some(known) if known.until > now => return known.off,
            before => before,
        };
        // Who is dropped while testing lets go of this, so the next one tests.
        let _testing = match (slot.testing.try_lock(), before) {
            (Ok(testing), _) => testing,
            (Err(_), Some(known)) => return known.off,
            (Err(_), None) => slot.testing.lock().await,
        };
        // Somebody may have been quicker.
        let before = match slot.known() {
            Some(known) if known.until > now => return known.off,
            before => before.and_then(|known| known.off),
        };
        let (off, keep) = match probe(zone, resolver).await {
            Health::Healthy => (None, HEALTHY_FOR),
            Health::Unhealthy(why) => (Some(why), UNHEALTHY_FOR),
            Health::Unknown(why) => {
                tracing::debug!(zone = %zone.name, %why, "cannot test a DNS list");
                (before.clone(), UNKNOWN_FOR)
            }
        };
        announce(zone, before.as_ref(), off.as_ref());
        *lock(&slot.known) = Some(Known {
            off: off.clone(),
            until: now + keep,
        });
        off
    }

    fn slot(&self, zone: &Zone) -> Arc<Slot> {
        let mut slots = lock(&self.slots);
        let key = (zone.name.clone(), zone.target);
        if slots.len() >= ZONES_MAX && !slots.contains_key(&key) {
            // What was tested longest ago is wanted least; what was never tested is being tested now.
            let until = |slot: &Slot| slot.known().map(|known| known.until);
            let oldest = slots.iter().min_by_key(|(_, slot)| {
                let until = until(slot);
                (until.is_none(), until)
            });
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                slots.remove(&oldest);
            }
        }
        Arc::clone(slots.entry(key).or_default())
    }

    fn switched_off_at(&self, now: Instant) -> Vec<(Name, Line)> {
        let slots = lock(&self.slots);
        let mut off: Vec<_> = slots
            .iter()
            .filter_map(|((name, _), slot)| {
                let known = slot.known().filter(|known| known.until + SHOWN_FOR > now)?;
                Some((name.clone(), known.off?))
            })
            .collect();
        off.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        off
    }
}

impl Slot {
    fn known(&self) -> Option<Known> {
        lock(&self.known).clone()
    }
}

/// Logs what changed for the operator. Another reason for the same is not worth a line.
fn announce(zone: &Zone, before: Option<&Line>, now: Option<&Line>) {
    let zone = &zone.name;
    match (before, now) {
        (None, Some(why)) => tracing::warn!(%zone, %why, "a DNS list does not work: switched off"),
        (Some(_), None) => tracing::info!(%zone, "a DNS list works again: switched on"),
        (None, None) | (Some(_), Some(_)) => {}
    }
}
