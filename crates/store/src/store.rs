//! The intents, and which of them are synced.

use crate::back_end::{self, BackEnd, Intent, Location, Rows};
use crate::error::{OpenError, StoreError};
use crate::id::MailwardId;
use crate::ledger::{Ledger, LedgerKey};
use crate::memory::MemoryDisk;
use crate::rates::Rates;
use crate::record::{Ending, Page, Record, Since, Stored, Summary, Which};
use crate::rows::{EndingRow, RecordRow, SHADOWED, ended, judged};
use crate::rules::records::{self, Begin, Finish};
use crate::rules::retention::Expire;
use crate::rules::small::{SyncDelivered, SyncDeliveredLater};
use crate::rules::{care, lessons};
use crate::table::Delivered;
use crate::views::Views;
use judge::content::Features;
use std::cmp::Reverse;
use std::path::Path;
use std::sync::Arc;

/// The store of a running gateway. One process has it open for writing; any number may read beside it.
///
/// Many tasks share one store, and their synced writes share one transaction. No intent hangs: where nothing can be
/// written, the answer is [`StoreError::Unavailable`], and the store works again once its cause is gone. An intent
/// that is dropped before it answers may or may not have taken place.
///
/// Dropping the store writes what is still to be written and waits for it; [`Store::close`] also tells how it went.
#[derive(Debug)]
pub struct Store {
    // Dropped before the writer, which closes the database last and so leaves no log behind.
    pub(crate) reader: Reader,
    pub(crate) back_end: BackEnd,
    ledger: Arc<Ledger>,
    pub(crate) rates: Rates,
}

/// Reads a store, also beside the process that writes to it. What was synced before a question was asked is in the
/// answer; what is written lazily may be up to 100 ms late.
#[derive(Debug)]
pub struct Reader {
    pub(crate) views: Views,
}

impl Store {
    /// Opens the store at `path`, creates it (for the owner only) if there is none, and brings an older layout up to
    /// date. Blocks; takes milliseconds, also after a crash. What was taught of lessons that say otherwise by now is
    /// forgotten, since no model is in memory; the same when it is closed.
    pub fn open(path: &Path) -> Result<Store, OpenError> {
        Store::at(Location::Sqlite(path.to_owned()))
    }

    /// Opens a store that lives in memory, for tests: see [`MemoryDisk`].
    pub fn open_in_memory(disk: &MemoryDisk) -> Result<Store, OpenError> {
        Store::at(Location::Memory(disk.clone()))
    }

    fn at(location: Location) -> Result<Store, OpenError> {
        let back_end = location.open(lessons::settle, care::rederive)?;
        let reader = Reader::at(location)?;
        let ledger = Arc::new(Ledger::default());
        let delivered = reader.views.at_once(|rows| Box::pin(rows.delivered()));
        for (key, entry) in delivered.map_err(|why| OpenError::Database(why.to_string()))? {
            ledger.load(key, entry);
        }
        Ok(Store {
            back_end,
            reader,
            ledger,
            rates: Rates::default(),
        })
    }

    /// Opens the store at `path` for reading, as commands do beside a running gateway. Never creates or changes it.
    pub fn open_read_only(path: &Path) -> Result<Reader, OpenError> {
        Reader::at(Location::Sqlite(path.to_owned()))
    }

    /// As [`Store::open_read_only`], of a store that lives in memory.
    pub fn open_in_memory_read_only(disk: &MemoryDisk) -> Result<Reader, OpenError> {
        Reader::at(Location::Memory(disk.clone()))
    }

    /// Writes the store at `path` anew without the space that is free, while nobody has it open for writing. Gives
    /// the octets of the file before and after. For a while it needs as much free space as the store has. Blocks.
    pub fn compact(path: &Path) -> Result<(u64, u64), OpenError> {
        back_end::compact(path, care::rederive)
    }

    /// Records the intent for a message. **Synced**: once this answers `Ok`, the record outlives a crash.
    ///
    /// [`StoreError::IdTaken`] concerns this record only: the caller makes another id and begins anew.
    pub async fn begin(&self, record: Record) -> Result<(), StoreError> {
        self.begin_with(record, None).await
    }

    /// As [`Store::begin`], with what the message is made of, so that it can be labelled later by its id alone. Its
    /// features go with the record.
    pub async fn begin_with(&self, record: Record, features: Option<&Features>) -> Result<(), StoreError> {
        let id = record.id;
        let (record, policies) = RecordRow::of(record, features)?;
        let begin = Begin { id, record, policies };
        self.back_end.perform(begin).await
    }

    /// Records what became of a message that was begun. Lazy: written with the next synced write or within 100 ms,
    /// kept and tried again while nothing can be written. Waits only when some thousands are still to be written,
    /// and then not while the store is unavailable. The last ending of a message counts; one of a message that is
    /// not there is dropped.
    pub async fn finish(&self, id: MailwardId, ending: Ending) -> Result<(), StoreError> {
        let row = EndingRow::of(&ending)?;
        self.back_end.perform_later(Finish(id, row)).await
    }

    /// Adds recipients who have a message that will come again. **Synced.** The entry lives for
    /// [`LEDGER_LIFE_S`](crate::LEDGER_LIFE_S) from `now_s` (seconds since 1970). Even when this fails, the entry
    /// holds until this process ends.
    pub async fn ledger_add(&self, key: LedgerKey, recipients: Vec<String>, now_s: i64) -> Result<(), StoreError> {
        let keys = self.ledger.add(key, recipients, now_s);
        self.back_end.perform(self.synced(keys)).await
    }

    fn synced(&self, keys: Vec<LedgerKey>) -> SyncDelivered {
        let ledger = Arc::clone(&self.ledger);
        SyncDelivered { keys, ledger }
    }

    /// Who already has a message, at `now_s` (seconds since 1970): those of whom this process knows, and those of whom
    /// others do, if they can be asked. Whoever is missed gets a second copy.
    pub async fn ledger_delivered(&self, key: LedgerKey, now_s: i64) -> Vec<String> {
        let mut all = self.ledger.delivered(key, now_s);
        if let Ok(lent) = self.reader.views.lend().await
            && let Ok(rows) = lent.rows()
            && !rows.is_alone()
            && let Ok(Some(stored)) = rows.get::<Delivered>(&key, &()).await
            && stored.expires_s > now_s
        {
            let new = stored
                .recipients
                .into_iter()
                .filter(|recipient| !all.contains(recipient));
            let new: Vec<String> = new.collect();
            all.extend(new);
        }
        all
    }

    /// Forgets an entry, because the message has reached everybody. Gone at once, lazily on disk.
    pub async fn ledger_drop(&self, key: LedgerKey) -> Result<(), StoreError> {
        match self.ledger.forget(key) {
            true => {
                let sync = SyncDeliveredLater(self.synced(vec![key]));
                self.back_end.perform_later(sync).await
            }
            false => Ok(()),
        }
    }

    /// The record of a message, with what became of it.
    ///
    /// [`StoreError::Unreadable`] if a version of the program wrote it whose facts this one does not understand.
    pub async fn find(&self, id: MailwardId) -> Result<Option<Stored>, StoreError> {
        self.reader.find(id).await
    }

    /// The newest messages, newest first, one line for each recipient, at most `limit` lines.
    pub async fn recent(&self, limit: usize) -> Result<Vec<Summary>, StoreError> {
        self.reader.recent(limit).await
    }

    /// Forgets all messages of before the minute of `before_s` (seconds since 1970), by the time in their ids, and
    /// the policies that no message needs any more. Works in small steps, between which others write. Gives the
    /// number of messages. Space is used again, but the file does not shrink.
    pub async fn expire(&self, before_s: i64) -> Result<u64, StoreError> {
        self.in_steps(Expire::Records(MailwardId::first_of(before_s))).await
    }

    /// How many synced and how many lazy writes wait at this moment.
    pub fn queued(&self) -> (usize, usize) {
        self.back_end.queued()
    }

    /// Forgets the oldest messages, the policies that no message needs any more, and the greylist entries that end
    /// first, until no more than `octets_max` octets are used ([`Store::used_octets`]); when none of these is left, the
    /// lessons of the oldest messages, also those that a model in memory has; and when there is none, the labels of the
    /// oldest messages and the oldest mail that was sent. Works in small steps, between which others write. Gives the
    /// number of things that are gone.
    pub async fn expire_to_size(&self, octets_max: u64) -> Result<u64, StoreError> {
        self.in_steps(Expire::ToSize(octets_max)).await
    }

    /// Until a step removes nothing.
    pub(crate) async fn in_steps<I: Intent<Answer = u64> + Clone>(&self, step: I) -> Result<u64, StoreError> {
        let mut total = 0;
        loop {
            match self.back_end.perform(step.clone()).await? {
                0 => return Ok(total),
                some => total += some,
            }
        }
    }

    /// Octets that are used. What was forgotten is not: its space is used again, though the file does not shrink.
    /// What was written a moment ago may lie beside, in a log, and is bounded apart.
    pub async fn used_octets(&self) -> Result<u64, StoreError> {
        self.reader.used_octets().await
    }

    /// Writes what is still to be written, and closes the store: every later write is answered
    /// [`StoreError::Unavailable`].
    pub async fn close(&self) -> Result<(), StoreError> {
        self.back_end.close().await
    }
}

impl Reader {
    fn at(location: Location) -> Result<Reader, OpenError> {
        let views = Views::over(location)?;
        Ok(Reader { views })
    }

    /// As [`Store::find`].
    pub async fn find(&self, id: MailwardId) -> Result<Option<Stored>, StoreError> {
        let lent = self.views.lend().await?;
        lent.begin_moment()?;
        let rows = lent.rows()?;
        match records::find(rows, id).await? {
            Some((record, ending)) => records::read(rows, id, record, ending.as_ref()).await.map(Some),
            None => Ok(None),
        }
    }

    /// As [`Store::used_octets`].
    pub async fn used_octets(&self) -> Result<u64, StoreError> {
        let lent = self.views.lend().await?;
        // As of one moment.
        lent.begin_moment()?;
        lent.rows()?.used_octets().await
    }

    /// As [`Store::recent`].
    pub async fn recent(&self, limit: usize) -> Result<Vec<Summary>, StoreError> {
        let lent = self.views.lend().await?;
        lent.begin_moment()?;
        let rows = lent.rows()?;
        let mut lines = Vec::new();
        for id in newest(rows, limit).await? {
            if lines.len() >= limit {
                break;
            }
            let Some((record, ending)) = records::find(rows, id).await? else {
                continue;
            };
            lines.extend(summaries(id, &record, ending.as_ref()));
        }
        lines.truncate(limit);
        Ok(lines)
    }

    /// A page of the messages since a time, from the highest ids down. Each page is as of one moment; a message that
    /// comes between two questions for pages is in neither, and none is in both.
    pub async fn since(&self, since: Since) -> Result<Page, StoreError> {
        let lent = self.views.lend().await?;
        lent.begin_moment()?;
        let rows = lent.rows()?;
        let limit = u32::try_from(since.messages_max.max(1)).unwrap_or(u32::MAX);
        let first = MailwardId::first_of(since.from_s);
        // Ids tell the minute, `received_s` tells which of its messages came too early.
        let looked_at = rows.messages(first, since.below, limit).await?;
        let is_full = looked_at.len() == limit as usize;
        let mut page = Page {
            next: looked_at.last().map(|(id, _)| *id).filter(|_| is_full),
            ..Page::default()
        };
        for (id, _) in looked_at
            .into_iter()
            .filter(|(_, received_s)| *received_s >= since.from_s)
        {
            let Some((record, ending)) = records::find(rows, id).await? else {
                continue;
            };
            page.messages += 1;
            page.deliveries += record.recipients.len() as u64;
            let is_shadowed = record.recipients.iter().any(|r| r.verdict.contains(SHADOWED));
            if since.which == Which::All || is_shadowed {
                match records::read(rows, id, record, ending.as_ref()).await {
                    Ok(stored) => page.found.push(stored),
                    Err(StoreError::Unreadable { .. }) => page.unreadable += 1,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(page)
    }
}

/// Ids tell the minute; within it `received_s` does. So the minute of the last one is looked at whole.
async fn newest(rows: Rows<'_>, limit: usize) -> Result<Vec<MailwardId>, StoreError> {
    let count = u32::try_from(limit).unwrap_or(u32::MAX);
    let mut found = rows.messages(MailwardId::first_of(0), None, count).await?;
    if let Some((last, _)) = found.last().copied()
        && found.len() >= limit
    {
        found.extend(rows.messages(last.first_of_minute(), Some(last), u32::MAX).await?);
    }
    found.sort_by_key(|(id, received_s)| Reverse((*received_s, *id)));
    Ok(found.into_iter().map(|(id, _)| id).take(limit).collect())
}

/// A line for each recipient.
fn summaries(id: MailwardId, record: &RecordRow, ending: Option<&EndingRow>) -> Vec<Summary> {
    let (outcomes, reply) = (ending.map(|e| e.outcomes.as_str()), ending.map(|e| e.reply.as_str()));
    let line = |(n, recipient): (usize, &crate::rows::RecipientRow)| Summary {
        id,
        received_s: record.received_s,
        judged: judged(
            &record.facts,
            &recipient.facts,
            &recipient.verdict,
            ended(outcomes, reply, n),
        ),
    };
    record.recipients.iter().enumerate().map(line).collect()
}
