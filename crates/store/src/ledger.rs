//! The ledger: who already has a message that must come again.
//!
//! When the next hop took a message for some recipients only, the sender is answered 451 and sends it to all of them
//! once more. The ledger makes that retry skip those who have it. It is small and asked for every message, so it is
//! held in memory; the disk's copy serves the next start. An entry that is lost means a second copy of a message for
//! somebody, never a missing one: so the oldest entries go when there are too many.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How long an entry lives after it was last added to, in seconds: 7 days, longer than senders retry (RFC 5321
/// §4.5.4.1 asks for 4 to 5 days).
pub const LEDGER_LIFE_S: i64 = 7 * 24 * 60 * 60;
/// Recipients in all entries together; about 20 MB of memory. Past it the entries that end first go.
pub const LEDGER_RECIPIENTS_MAX: usize = 100_000;

/// Which message of which sender: a hash over reverse-path, Message-ID and digest of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LedgerKey(pub(crate) [u8; 32]);

impl LedgerKey {
    /// Takes a hash that the caller computed; it shall be one that senders cannot make collide.
    pub fn new(hash: [u8; 32]) -> LedgerKey {
        LedgerKey(hash)
    }
}

/// An entry: who has the message, and until when that is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) expires_s: i64,
    pub(crate) recipients: Vec<String>,
}

impl Entry {
    /// The entry with all that another one of its message knows.
    pub(crate) fn with(&self, other: &Entry) -> Entry {
        let mut recipients = self.recipients.clone();
        let new = other
            .recipients
            .iter()
            .filter(|recipient| !self.recipients.contains(recipient));
        recipients.extend(new.cloned());
        Entry {
            expires_s: self.expires_s.max(other.expires_s),
            recipients,
        }
    }
}

/// The ledger in memory. It is never behind the disk.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    by_key: HashMap<LedgerKey, Entry>,
    by_expiry: BTreeSet<(i64, LedgerKey)>,
    recipients: usize,
}

impl Ledger {
    /// Adds recipients to an entry, and gives the keys of all entries that are changed or gone by it.
    pub(crate) fn add(&self, key: LedgerKey, recipients: Vec<String>, now_s: i64) -> Vec<LedgerKey> {
        let expires_s = now_s.saturating_add(LEDGER_LIFE_S);
        let mut entries = self.lock();
        let mut entry = entries.remove(key).unwrap_or(Entry {
            expires_s,
            recipients: Vec::new(),
        });
        entry.expires_s = entry.expires_s.max(expires_s);
        for recipient in recipients {
            if !entry.recipients.contains(&recipient) {
                entry.recipients.push(recipient);
            }
        }
        entries.insert(key, entry);
        let mut changed = entries.sweep(now_s);
        changed.push(key);
        changed
    }

    /// Takes up an entry that was stored.
    pub(crate) fn load(&self, key: LedgerKey, entry: Entry) {
        let mut entries = self.lock();
        entries.insert(key, entry);
        entries.sweep(i64::MIN);
    }

    /// Who has the message; nobody once the entry is past its time.
    pub(crate) fn delivered(&self, key: LedgerKey, now_s: i64) -> Vec<String> {
        let entries = self.lock();
        let entry = entries.by_key.get(&key).filter(|entry| entry.expires_s > now_s);
        entry.map(|entry| entry.recipients.clone()).unwrap_or_default()
    }

    /// Forgets an entry; false if there is none.
    pub(crate) fn forget(&self, key: LedgerKey) -> bool {
        self.lock().remove(key).is_some()
    }

    /// The entry as it is now.
    pub(crate) fn entry(&self, key: LedgerKey) -> Option<Entry> {
        self.lock().by_key.get(&key).cloned()
    }

    /// No code that holds the lock can leave the entries half changed, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn insert(&mut self, key: LedgerKey, entry: Entry) {
        self.recipients += entry.recipients.len();
        self.by_expiry.insert((entry.expires_s, key));
        self.by_key.insert(key, entry);
    }

    fn remove(&mut self, key: LedgerKey) -> Option<Entry> {
        let entry = self.by_key.remove(&key)?;
        self.by_expiry.remove(&(entry.expires_s, key));
        self.recipients -= entry.recipients.len();
        Some(entry)
    }

    /// Drops what is past its time, and what is too much; gives the keys.
    fn sweep(&mut self, now_s: i64) -> Vec<LedgerKey> {
        let mut gone = Vec::new();
        while let Some(&(expires_s, key)) = self.by_expiry.first()
            && (expires_s <= now_s || self.recipients > LEDGER_RECIPIENTS_MAX)
        {
            self.remove(key);
            gone.push(key);
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u32) -> LedgerKey {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&n.to_be_bytes());
        LedgerKey::new(hash)
    }

    #[test]
    fn the_entries_that_end_first_go_when_there_are_too_many() {
        let ledger = Ledger::default();
        let hundred: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        let full = LEDGER_RECIPIENTS_MAX as u32 / 100;
        for n in 0..full {
            // The third one ends before the others.
            let now_s = if n == 2 { 50 } else { 100 };
            assert_eq!(ledger.add(key(n), hundred.clone(), now_s), [key(n)]);
        }
        assert_eq!(ledger.add(key(full), vec!["a".into()], 100), [key(2), key(full)]);
        assert!(ledger.delivered(key(2), 100).is_empty());
        assert_eq!(ledger.delivered(key(full), 100), ["a"]);
    }

    #[test]
    fn an_add_sweeps_what_is_past_its_time() {
        let ledger = Ledger::default();
        ledger.add(key(1), vec!["a".into()], 0);
        assert_eq!(ledger.add(key(2), vec!["b".into()], LEDGER_LIFE_S - 1), [key(2)]);
        assert_eq!(ledger.add(key(3), vec!["c".into()], LEDGER_LIFE_S), [key(1), key(3)]);
    }
}
