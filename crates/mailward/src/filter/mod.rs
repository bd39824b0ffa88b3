//! The content filters of mailboxes: each the sum of its lessons, in memory as long as mail comes for it.
//!
//! The store keeps lessons. A mailbox's model is loaded by adding them up, when the first message comes for it, and is let
//! go when others need its room. What a label said is learned at once where the daemon runs, and otherwise when the model
//! is loaded next; a crash between the two loses nothing, for the store knows what was taught and what was not.
//!
//! What mailboxes tell each other ([`votes`]) is counted anew from all lessons from time to time, and never stored.

mod mailbox;
#[cfg(test)]
mod tests;
mod votes;

use judge::content::{Features, Names};
use judge::evidence::Fact;
use judge::junk::{Filter, JunkFact};
use mail::{Line, MailboxId};
use mailbox::Mailbox;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use store::{Store, StoreError};
use tokio::sync::RwLock as AsyncLock;
pub use votes::SERVER_SLOTS;
use votes::Shared;

/// Mailboxes of which is known what they learned, which may be nothing.
const MAILBOXES_MAX: usize = 4096;
/// From this probability on the words that moved it are told, which takes as long again.
const TOLD_FROM: f64 = 0.1;

/// The filters of all mailboxes.
#[derive(Debug)]
pub struct Filters {
    store: Arc<Store>,
    held: Mutex<Held>,
    shared: RwLock<Arc<Shared>>,
    /// Something was learned since votes were counted.
    is_stale: AtomicBool,
}

/// What is in memory.
#[derive(Debug, Default)]
struct Held {
    mailboxes: HashMap<MailboxId, Place>,
    /// Grows with each use.
    clock: u64,
}

#[derive(Debug)]
struct Place {
    mailbox: Arc<AsyncLock<Mailbox>>,
    used: u64,
    octets: usize,
}

/// One message, as the filters see it.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// What it is made of.
    pub features: &'a Features,
    /// Its first octets.
    pub octets: &'a [u8],
    /// Words for its features, once somebody asked for them.
    pub names: &'a OnceLock<Names>,
    /// Whether To or Cc names the recipient.
    pub is_addressed: bool,
    /// Whether it certainly came without encryption.
    pub is_plaintext: bool,
}

impl Filters {
    /// Over a store. Nothing is loaded yet.
    pub fn over(store: Arc<Store>) -> Filters {
        Filters {
            store,
            held: Mutex::default(),
            shared: RwLock::default(),
            is_stale: AtomicBool::new(true),
        }
    }

    /// What the filter of a mailbox says of a message. `memory` bounds the models that stay loaded, in octets.
    pub async fn judge(&self, mailbox: &MailboxId, seen: Seen<'_>, hears_others: bool, memory: u64) -> Fact<JunkFact> {
        let place = self.place(mailbox);
        let mut own = place.read().await;
        if !own.is_loaded() {
            drop(own);
            match place.write().await.load(&self.store, mailbox).await {
                Ok(learned) => self.note(learned),
                Err(error) => return Fact::Unavailable(Line::reason(error.to_string().as_bytes())),
            }
            own = place.read().await;
            if !own.is_loaded() {
                return Fact::Unavailable(Line::literal("what this mailbox learned changes at this moment"));
            }
            self.make_room(mailbox, own.octets(), memory);
        }
        let shared = match hears_others {
            true => self.shared(),
            false => Arc::default(),
        };
        let filter = Filter {
            own: own.model(),
            domain: shared.of_domain(mailbox.domain()),
            server: shared.server(),
        };
        Fact::Found(fact(&filter, seen))
    }

    /// Learns what labels of a mailbox say that it has not learned yet, and takes back what they say no longer. `memory`
    /// bounds the models that stay loaded, in octets.
    ///
    /// # Errors
    /// If the store cannot be asked; what is left is learned when the model is loaded next.
    pub async fn learn(&self, mailbox: &MailboxId, memory: u64) -> Result<(), StoreError> {
        let place = self.place(mailbox);
        let mut own = place.write().await;
        let loaded = own.load(&self.store, mailbox).await?;
        let settled = own.settle(&self.store, mailbox).await;
        self.make_room(mailbox, own.octets(), memory);
        self.note(loaded + settled?);
        Ok(())
    }

    /// Learns whatever labels of any mailbox say that is not learned yet: what was said without a daemon, and all of it
    /// after a rebuild. Mail that comes meanwhile does not wait for it.
    ///
    /// # Errors
    /// As [`Filters::learn`].
    pub async fn catch_up(&self, memory: u64) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let page = self.store.reader().learners(after, votes::PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.mailbox.clone());
            for learner in &page {
                if !self.store.reader().open_lessons(&learner.mailbox, 1).await?.is_empty() {
                    self.learn(&learner.mailbox, memory).await?;
                }
            }
        }
    }

    /// Takes back what labels say no longer that went by their age, as far as it is in memory.
    ///
    /// # Errors
    /// As [`Filters::learn`].
    pub async fn forget_expired(&self, memory: u64) -> Result<(), StoreError> {
        let held: Vec<MailboxId> = {
            let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            held.mailboxes.keys().cloned().collect()
        };
        for mailbox in held {
            self.learn(&mailbox, memory).await?;
        }
        self.is_stale.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Has all models loaded anew, because lessons went for want of room.
    pub async fn unload(&self) {
        let held: Vec<Arc<AsyncLock<Mailbox>>> = {
            let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            held.mailboxes
                .values()
                .map(|place| Arc::clone(&place.mailbox))
                .collect()
        };
        for mailbox in held {
            mailbox.write().await.unload();
        }
        self.is_stale.store(true, Ordering::Relaxed);
    }

    /// That so many lessons were learned.
    fn note(&self, learned: usize) {
        if learned > 0 {
            self.is_stale.store(true, Ordering::Relaxed);
        }
    }

    /// Counts votes anew, if anything was learned since. Whether it did.
    ///
    /// # Errors
    /// If the store cannot be asked; the old count stays.
    pub async fn count_votes(&self) -> Result<bool, StoreError> {
        if !self.is_stale.swap(false, Ordering::Relaxed) {
            return Ok(false);
        }
        let counted = votes::count(&self.store).await;
        match counted {
            Ok(counted) => {
                *self.shared.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(counted);
                Ok(true)
            }
            Err(error) => {
                self.is_stale.store(true, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    /// Octets of all models in memory, those that mailboxes share among them.
    pub fn octets(&self) -> usize {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let own: usize = held.mailboxes.values().map(|place| place.octets).sum();
        own + self.shared().octets()
    }

    fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn place(&self, mailbox: &MailboxId) -> Arc<AsyncLock<Mailbox>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.clock += 1;
        let used = held.clock;
        let place = held.mailboxes.entry(mailbox.clone()).or_insert_with(|| Place {
            mailbox: Arc::default(),
            used,
            octets: 0,
        });
        place.used = used;
        Arc::clone(&place.mailbox)
    }

    /// Lets go of what was used longest ago, but never of this mailbox, nor of one that somebody works with: of two models
    /// of one mailbox neither would have what the other learns.
    fn make_room(&self, mailbox: &MailboxId, octets: usize, memory: u64) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = held.mailboxes.get_mut(mailbox) {
            place.octets = octets;
        }
        let memory = usize::try_from(memory).unwrap_or(usize::MAX);
        loop {
            let all: usize = held.mailboxes.values().map(|place| place.octets).sum();
            let is_crowded = held.mailboxes.len() > MAILBOXES_MAX;
            if all <= memory && !is_crowded {
                return;
            }
            let others = held.mailboxes.iter().filter(|(name, place)| {
                // A model that is small takes no room that others need.
                let is_needed = is_crowded || place.octets > 0;
                is_needed && *name != mailbox && Arc::strong_count(&place.mailbox) == 1
            });
            let Some(oldest) = others.min_by_key(|(_, place)| place.used).map(|(name, _)| name.clone()) else {
                return;
            };
            held.mailboxes.remove(&oldest);
        }
    }
}

/// With the words that moved it, where it may be junk.
fn fact(filter: &Filter<'_>, seen: Seen<'_>) -> JunkFact {
    let score = filter.classify(seen.features);
    let nothing = Names::new();
    let names = match score.probability() >= TOLD_FROM {
        true => seen.names.get_or_init(|| Features::read_named(seen.octets).1),
        false => &nothing,
    };
    JunkFact {
        is_addressed: seen.is_addressed,
        is_plaintext: seen.is_plaintext,
        ..filter.explain(score, seen.features, names)
    }
}
