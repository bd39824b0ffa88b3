//! What is forgotten, in steps, by age and by size.

use super::labels::{forget, forget_sent};
use super::lessons;
use crate::back_end::{Intent, Rows};
use crate::error::StoreError;
use crate::id::MailwardId;
use crate::table::{Endings, Greylist, Policies, Records};
use judge::resolver::BoxFuture;

/// Things that one step removes: a few milliseconds of work.
const STEP: u32 = 200;
/// The same, where the size tells when it is enough: so no more is forgotten than must be.
const SIZE_STEP: u32 = 16;

/// One step of forgetting. Gives the number of things that went; none once there are no more.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expire {
    /// Messages below the id, and then the policies that none needs any more.
    Records(MailwardId),
    /// The oldest things, if more than so many octets are used.
    ToSize(u64),
    /// Labels of messages that came before this time, and mail that was sent before it.
    History(i64),
    /// Greylist entries that end at this time or before.
    Greylist(i64),
}

impl Intent for Expire {
    type Answer = u64;

    fn run<'a>(&'a self, rows: Rows<'a>) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            match *self {
                Expire::Records(below) => {
                    let gone = records(rows, Some(below), STEP).await?;
                    if gone == 0 {
                        policies(rows, below.day()).await?;
                    }
                    Ok(gone)
                }
                Expire::ToSize(octets_max) => to_size(rows, octets_max).await,
                Expire::History(before_s) => history(rows, before_s, STEP).await,
                Expire::Greylist(now_s) => greylist(rows, now_s, STEP).await,
            }
        })
    }
}

async fn records(rows: Rows<'_>, below: Option<MailwardId>, count: u32) -> Result<u64, StoreError> {
    let oldest = rows.oldest_messages(below, count).await?;
    for id in &oldest {
        rows.set::<Endings>(id, (), None, 0).await?;
        rows.set::<Records>(id, (), None, 0).await?;
    }
    Ok(oldest.len() as u64)
}

/// The policies that no message of a day or later needs.
async fn policies(rows: Rows<'_>, day: i64) -> Result<(), StoreError> {
    for digest in rows.policies_before(day).await? {
        let before = rows.get::<Policies>(&digest, &()).await?;
        if before.as_ref().is_some_and(|policy| policy.used_day < day) {
            // Whoever needs it by now has changed it.
            rows.swap::<Policies>(&digest, (), before, None).await?;
        }
    }
    Ok(())
}

async fn greylist(rows: Rows<'_>, now_s: i64, count: u32) -> Result<u64, StoreError> {
    let ended = rows.ended_greylist(now_s, count).await?;
    for key in &ended {
        rows.set::<Greylist>(key, (), None, 0).await?;
    }
    Ok(ended.len() as u64)
}

async fn history(rows: Rows<'_>, before_s: i64, count: u32) -> Result<u64, StoreError> {
    let oldest = rows.oldest_labels(before_s, count).await?;
    for partition in &oldest {
        forget(rows, partition).await?;
    }
    let sent = rows.oldest_sent(before_s, count).await?;
    for row in &sent {
        forget_sent(rows, row).await?;
    }
    Ok((oldest.len() + sent.len()) as u64)
}

/// Lessons of the oldest messages, whatever was taught of them: space is needed now.
async fn oldest_lessons(rows: Rows<'_>, count: u32) -> Result<u64, StoreError> {
    let oldest = rows.oldest_lessons(count).await?;
    for partition in &oldest {
        lessons::change(rows, partition, |_| Some(None)).await?;
    }
    Ok(oldest.len() as u64)
}

/// Lessons go when there is nothing else left, and then history: it is small for what it knows. Policies go as soon as no
/// message needs them, because they count too.
async fn to_size(rows: Rows<'_>, octets_max: u64) -> Result<u64, StoreError> {
    if rows.used_octets().await? <= octets_max {
        return Ok(0);
    }
    let mut count = records(rows, None, SIZE_STEP).await?;
    // Strangers make these; a flood of them shall not cost records only.
    count += greylist(rows, i64::MAX, SIZE_STEP).await?;
    if count == 0 {
        count = oldest_lessons(rows, SIZE_STEP).await?;
    }
    if count == 0 {
        count = history(rows, i64::MAX, SIZE_STEP).await?;
    }
    let oldest = rows.oldest_messages(None, 1).await?;
    policies(rows, oldest.first().map_or(i64::MAX, |id| id.day())).await?;
    Ok(count)
}
