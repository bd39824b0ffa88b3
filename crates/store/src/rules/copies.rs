//! Copies in the quarantine: which of them go for a new one.

use super::{TRIES_MAX, too_busy};
use crate::back_end::{Intent, Rows};
use crate::error::StoreError;
use crate::kept::{Kept, KeptKey};
use crate::table::Copies;
use judge::resolver::BoxFuture;
use mail::MailboxId;
use std::cmp::Reverse;

/// Copies that one step of expiry removes.
const EXPIRE_STEP: u32 = 200;

/// Remembers a copy; gives those that it displaces.
#[derive(Debug)]
pub(crate) struct Keep {
    pub(crate) new: Kept,
    pub(crate) count_max: u32,
}

impl Intent for Keep {
    type Answer = Vec<Kept>;

    fn run<'a>(&'a self, rows: Rows<'a>) -> BoxFuture<'a, Result<Vec<Kept>, StoreError>> {
        Box::pin(async move {
            let (new, mailbox) = (&self.new, self.new.mailbox.to_string());
            let before = replace(rows, &mailbox, new.key, Some(new)).await?;
            let mut gone: Vec<Kept> = before
                .into_iter()
                .filter(|before| before.reference != new.reference)
                .collect();
            if rows.count::<Copies>(&mailbox).await? > self.count_max.max(1) {
                let all = rows.first::<Copies>(&mailbox, u32::MAX).await?;
                for past in displaced(all, new, self.count_max) {
                    // Whoever else displaces it says so.
                    if rows
                        .swap::<Copies>(&mailbox, past.key, Some(past.clone()), None)
                        .await?
                    {
                        gone.push(past);
                    }
                }
            }
            Ok(gone)
        })
    }
}

/// The copies of a mailbox that a new one displaces: of those that were deferred first, then those that were kept before
/// the clock was set back, then the oldest. Never the new one, whatever the clock says.
fn displaced(all: Vec<(KeptKey, Kept)>, new: &Kept, count_max: u32) -> Vec<Kept> {
    let mut others: Vec<Kept> = all
        .into_iter()
        .filter(|(key, _)| *key != new.key)
        .map(|(_, kept)| kept)
        .collect();
    others.sort_by_key(|kept| {
        let is_ahead = kept.at_s > new.ahead_s();
        (kept.is_deferred, is_ahead, Reverse(kept.at_s), kept.key)
    });
    let left = others.len().min(count_max.saturating_sub(1) as usize);
    others.split_off(left)
}

/// Forgets the copy of a message; gives it, if there was one.
#[derive(Debug)]
pub(crate) struct Take(pub(crate) MailboxId, pub(crate) KeptKey);

impl Intent for Take {
    type Answer = Option<Kept>;
    const IS_LAZY: bool = true;

    fn run<'a>(&'a self, rows: Rows<'a>) -> BoxFuture<'a, Result<Option<Kept>, StoreError>> {
        Box::pin(async move { replace(rows, &self.0.to_string(), self.1, None).await })
    }
}

/// Puts a copy, or removes it; gives the one that was there.
async fn replace(
    rows: Rows<'_>,
    mailbox: &String,
    key: KeptKey,
    kept: Option<&Kept>,
) -> Result<Option<Kept>, StoreError> {
    for _ in 0..TRIES_MAX {
        let before = rows.get::<Copies>(mailbox, &key).await?;
        let changes_nothing = before.is_none() && kept.is_none();
        if changes_nothing || rows.swap::<Copies>(mailbox, key, before.clone(), kept.cloned()).await? {
            return Ok(before);
        }
    }
    Err(too_busy())
}

/// Forgets some copies that end at a time or before; gives them.
#[derive(Debug)]
pub(crate) struct Expire(pub(crate) i64);

impl Intent for Expire {
    type Answer = Vec<Kept>;

    fn run<'a>(&'a self, rows: Rows<'a>) -> BoxFuture<'a, Result<Vec<Kept>, StoreError>> {
        Box::pin(async move {
            let mut gone = Vec::new();
            for (mailbox, key) in rows.ended_copies(self.0, EXPIRE_STEP).await? {
                gone.extend(replace(rows, &mailbox, key, None).await?);
            }
            Ok(gone)
        })
    }
}

/// Octets of all copies that a check kept.
#[derive(Debug)]
pub(crate) struct CopiesOctets(pub(crate) String);

impl Intent for CopiesOctets {
    type Answer = u64;

    fn run<'a>(&'a self, rows: Rows<'a>) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(rows.copies_octets(&self.0))
    }
}
