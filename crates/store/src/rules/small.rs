//! Who has a message already, the greylist, cursors, leases.

use super::{TRIES_MAX, too_busy};
use crate::back_end::{Intent, Rows};
use crate::error::StoreError;
use crate::greylist::{GreylistKey, GreylistTimes, Greylisted};
use crate::ledger::{Entry, Ledger, LedgerKey};
use crate::table::{Cursors, Delivered, Greylist, Lease, Leases};
use judge::resolver::BoxFuture;
use std::sync::Arc;

/// Makes stored entries what this process knows of them, and what others do.
#[derive(Debug)]
pub(crate) struct SyncDelivered {
    pub(crate) keys: Vec<LedgerKey>,
    pub(crate) ledger: Arc<Ledger>,
}

/// The same, lazily.
#[derive(Debug)]
pub(crate) struct SyncDeliveredLater(pub(crate) SyncDelivered);

impl SyncDelivered {
    /// Memory is never behind what is stored, so whatever order they come in, the last leaves them equal.
    async fn sync(&self, rows: Rows<'_>) -> Result<(), StoreError> {
        for key in &self.keys {
            match self.ledger.entry(*key) {
                entry if rows.is_alone() => rows.set::<Delivered>(key, (), entry, 0).await?,
                Some(entry) => add(rows, *key, &entry).await?,
                None => rows.set::<Delivered>(key, (), None, 0).await?,
            }
        }
        Ok(())
    }
}

async fn add(rows: Rows<'_>, key: LedgerKey, entry: &Entry) -> Result<(), StoreError> {
    for _ in 0..TRIES_MAX {
        let stored = rows.get::<Delivered>(&key, &()).await?;
        let entry = match &stored {
            Some(stored) => entry.with(stored),
            None => entry.clone(),
        };
        if rows.swap::<Delivered>(&key, (), stored, Some(entry)).await? {
            return Ok(());
        }
    }
    Err(too_busy())
}

impl Intent for SyncDelivered {
    type Answer = ();

    fn run<'a>(&'a self, rows: Rows<'a>) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.sync(rows))
    }
}

impl Intent for SyncDeliveredLater {
    type Answer = ();
    const IS_LAZY: bool = true;

    fn run<'a>(&'a self, rows: Rows<'a>) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.0.sync(rows))
    }
}

/// A try: makes the entry if there is none, or only one that has ended.
#[derive(Debug)]
pub(crate) struct Seen(pub(crate) GreylistKey, pub(crate) GreylistTimes);

impl Intent for Seen {
    type Answer = Greylisted;

    fn run<'a>(&'a self, rows: Rows<'a>) -> BoxFuture<'a, Result<Greylisted, StoreError>> {
        let times = self.1;
        let seen = move |entry: Option<Greylisted>| match entry {
            Some(mut entry) => {
                entry.seen(times.now_s);
                Some(entry)
            }
            None => Some(Greylisted::new(times)),
        };
        Box::pin(async move {
            let entry = touch(rows, self.0, times, seen).await?;
            Ok(entry.unwrap_or_else(|| Greylisted::new(times)))
        })
    }
}

/// A try that came in time: the entry lives on. `None` if there is no entry.
#[derive(Debug)]
pub(crate) struct Pass(pub(crate) GreylistKey, pub(crate) GreylistTimes);

impl Intent for Pass {
    type Answer = Option<Greylisted>;

    fn run<'a>(&'a self, rows: Rows<'a>) -> BoxFuture<'a, Result<Option<Greylisted>, StoreError>> {
        let times = self.1;
        let passed = move |entry: Option<Greylisted>| {
            let mut entry = entry?;
            entry.passed(times);
            Some(entry)
        };
        Box::pin(touch(rows, self.0, times, passed))
    }
}

/// Changes the entry that lives; `None` leaves what is there.
async fn touch(
    rows: Rows<'_>,
    key: GreylistKey,
    times: GreylistTimes,
    change: impl Fn(Option<Greylisted>) -> Option<Greylisted>,
) -> Result<Option<Greylisted>, StoreError> {
    for _ in 0..TRIES_MAX {
        let before = rows.get::<Greylist>(&key, &()).await?;
        let alive = before.filter(|entry| entry.expires_s > times.now_s);
        let Some(after) = change(alive) else { return Ok(None) };
        if rows.swap::<Greylist>(&key, (), before, Some(after)).await? {
            return Ok(Some(after));
        }
    }
    Err(too_busy())
}

/// Sets or removes a cursor.
#[derive(Debug)]
pub(crate) struct SetCursor(pub(crate) String, pub(crate) Option<Vec<u8>>);

impl Intent for SetCursor {
    type Answer = ();

    fn run<'a>(&'a self, rows: Rows<'a>) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(rows.set::<Cursors>(&self.0, (), self.1.clone(), 0))
    }
}

/// Asks for what only one may do.
#[derive(Debug)]
pub(crate) struct Acquire {
    pub(crate) name: String,
    pub(crate) holder: String,
    pub(crate) now_s: i64,
    pub(crate) until_s: i64,
}

impl Intent for Acquire {
    type Answer = Option<i64>;

    fn run<'a>(&'a self, rows: Rows<'a>) -> BoxFuture<'a, Result<Option<i64>, StoreError>> {
        Box::pin(async move {
            for _ in 0..TRIES_MAX {
                let before = rows.get::<Leases>(&self.name, &()).await?;
                let Some(lease) = self.granted(before.as_ref(), rows.is_alone()) else {
                    return Ok(None);
                };
                let token = lease.token;
                if rows.swap::<Leases>(&self.name, (), before, Some(lease)).await? {
                    return Ok(Some(token));
                }
            }
            Err(too_busy())
        })
    }
}

impl Acquire {
    /// Whoever has it may go on; somebody else once it has ended. Where one process writes, the one before is gone.
    fn granted(&self, before: Option<&Lease>, is_alone: bool) -> Option<Lease> {
        let token = match before {
            None => 1,
            Some(lease) if lease.holder == self.holder => lease.token,
            Some(lease) if is_alone || lease.until_s <= self.now_s => lease.token.saturating_add(1),
            Some(_) => return None,
        };
        Some(Lease {
            holder: self.holder.clone(),
            until_s: self.until_s,
            token,
        })
    }
}
