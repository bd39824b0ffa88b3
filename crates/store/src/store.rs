//! The intents, and which of them are synced.

use crate::back_end::Location;
use crate::error::{OpenError, StoreError};
use crate::id::MailwardId;
use crate::ledger::{Ledger, LedgerKey};
use crate::memory::MemoryDisk;
use crate::rates::Rates;
use crate::reader::Views;
use crate::record::{Ending, Page, Record, Since, Stored, Summary};
use crate::rows::{EndingRow, RecordRows};
use crate::sqlite;
use crate::writer::{Expire, Writer};
use judge::content::Features;
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
    pub(crate) writer: Writer,
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
        let ledger = Arc::new(Ledger::default());
        let writer = Writer::over(location.open(Arc::clone(&ledger))?)?;
        Ok(Store {
            writer,
            reader: Reader::at(location)?,
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
        sqlite::compact(path)
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
        let rows = RecordRows::of(record, features)?;
        self.writer.begin(rows).await
    }

    /// Records what became of a message that was begun. Lazy: written with the next synced write or within 100 ms,
    /// kept and tried again while nothing can be written. Waits only when some thousands are still to be written,
    /// and then not while the store is unavailable. The last ending of a message counts; one of a message that is
    /// not there is dropped.
    pub async fn finish(&self, id: MailwardId, ending: Ending) -> Result<(), StoreError> {
        let row = EndingRow::of(&ending)?;
        self.writer.finish(id, row).await
    }

    /// Adds recipients who have a message that will come again. **Synced.** The entry lives for
    /// [`LEDGER_LIFE_S`](crate::LEDGER_LIFE_S) from `now_s` (seconds since 1970). Even when this fails, the entry
    /// holds until this process ends.
    pub async fn ledger_add(&self, key: LedgerKey, recipients: Vec<String>, now_s: i64) -> Result<(), StoreError> {
        let changed = self.ledger.add(key, recipients, now_s);
        self.writer.ledger_sync(changed).await
    }

    /// Who already has a message, at `now_s` (seconds since 1970). Asks memory only.
    pub fn ledger_delivered(&self, key: LedgerKey, now_s: i64) -> Vec<String> {
        self.ledger.delivered(key, now_s)
    }

    /// Forgets an entry, because the message has reached everybody. Gone at once, lazily on disk.
    pub async fn ledger_drop(&self, key: LedgerKey) -> Result<(), StoreError> {
        if self.ledger.forget(key) {
            self.writer.ledger_drop(key).await
        } else {
            Ok(())
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
        self.writer
            .expire(Expire::Records(MailwardId::first_of(before_s)))
            .await
    }

    /// How many synced and how many lazy writes wait at this moment.
    pub fn queued(&self) -> (usize, usize) {
        self.writer.queued()
    }

    /// Forgets the oldest messages, the policies that no message needs any more, and the greylist entries that end
    /// first, until no more than `octets_max` octets are used ([`Store::used_octets`]); when none of these is left, the
    /// lessons of the oldest messages, also those that a model in memory has; and when there is none, the labels of the
    /// oldest messages and the oldest mail that was sent. Works in small steps, between which others write. Gives the
    /// number of things that are gone.
    pub async fn expire_to_size(&self, octets_max: u64) -> Result<u64, StoreError> {
        self.writer.expire(Expire::ToSize(octets_max)).await
    }

    /// Octets that are used. What was forgotten is not: its space is used again, though the file does not shrink.
    /// What was written a moment ago may lie beside, in a log, and is bounded apart.
    pub async fn used_octets(&self) -> Result<u64, StoreError> {
        self.reader.used_octets().await
    }

    /// Writes what is still to be written, and closes the store: every later write is answered
    /// [`StoreError::Unavailable`].
    pub async fn close(&self) -> Result<(), StoreError> {
        self.writer.close().await
    }
}

impl Reader {
    fn at(location: Location) -> Result<Reader, OpenError> {
        let views = Views::over(location)?;
        Ok(Reader { views })
    }

    /// As [`Store::find`].
    pub async fn find(&self, id: MailwardId) -> Result<Option<Stored>, StoreError> {
        self.views
            .ask(move |view| view.find(id))
            .await?
            .map(|rows| rows.read())
            .transpose()
    }

    /// As [`Store::used_octets`].
    pub async fn used_octets(&self) -> Result<u64, StoreError> {
        self.views.ask(|view| view.used_octets()).await
    }

    /// As [`Store::recent`].
    pub async fn recent(&self, limit: usize) -> Result<Vec<Summary>, StoreError> {
        self.views.ask(move |view| view.recent(limit)).await
    }

    /// A page of the messages since a time, from the highest ids down. Each page is as of one moment; a message that
    /// comes between two questions for pages is in neither, and none is in both.
    pub async fn since(&self, since: Since) -> Result<Page, StoreError> {
        let rows = self.views.ask(move |view| view.since(since)).await?;
        let mut page = Page {
            messages: rows.messages,
            deliveries: rows.deliveries,
            next: rows.next,
            ..Page::default()
        };
        for message in rows.found {
            match message.read() {
                Ok(stored) => page.found.push(stored),
                Err(StoreError::Unreadable { .. }) => page.unreadable += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(page)
    }
}
