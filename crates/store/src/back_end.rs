//! The back-ends: one enum, so that each intent is written once, and each question.

use crate::audit::{ExportMark, ExportPage, Stats, Verified};
use crate::error::{OpenError, StoreError};
use crate::history::{CorrespondentKey, IdentityKey};
use crate::id::MailwardId;
use crate::kept::{Kept, KeptKey};
use crate::label::LabelRow;
use crate::ledger::Ledger;
use crate::lesson::KeptLesson;
use crate::memory::MemoryDisk;
use crate::record::{Since, Summary};
use crate::rows::{FoundRows, PageRows};
use crate::shared::Secret;
use crate::writer::{Job, Trouble};
use crate::{memory, sqlite};
use judge::junk::Seen;
use judge::reputation::{HistoryRow, Scope, Votes};
use mail::MailboxId;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a store is.
#[derive(Debug, Clone)]
pub(crate) enum Location {
    Sqlite(PathBuf),
    Memory(MemoryDisk),
}

/// What the thread that writes has.
#[derive(Debug)]
pub(crate) enum BackEnd {
    Sqlite(sqlite::Database),
    Memory(memory::Database),
}

/// What a thread that reads has.
#[derive(Debug)]
pub(crate) enum View {
    Sqlite(sqlite::View),
    Memory(memory::View),
}

impl Location {
    /// For writing; loads the ledger.
    pub(crate) fn open(&self, ledger: Arc<Ledger>) -> Result<BackEnd, OpenError> {
        Ok(match self {
            Location::Sqlite(path) => BackEnd::Sqlite(sqlite::Database::open(path, ledger)?),
            Location::Memory(disk) => BackEnd::Memory(memory::Database::open(disk, ledger)?),
        })
    }

    /// Before each answer, where it takes time.
    pub(crate) async fn pause(&self) {
        match self {
            Location::Sqlite(_) => {}
            Location::Memory(disk) => disk.pause().await,
        }
    }

    /// For reading.
    pub(crate) fn view(&self) -> Result<View, OpenError> {
        Ok(match self {
            Location::Sqlite(path) => View::Sqlite(sqlite::View::open(path)?),
            Location::Memory(disk) => View::Memory(memory::View(disk.clone())),
        })
    }
}

impl BackEnd {
    /// Writes a group as one and answers all who wait; or, where that is impossible, answers so, leaves the lazy
    /// jobs, and says why.
    pub(crate) fn write(&mut self, group: &mut Vec<Job>) -> Trouble {
        match self {
            BackEnd::Sqlite(database) => database.write(group),
            BackEnd::Memory(database) => database.write(group),
        }
    }

    /// What a clean end does last.
    pub(crate) fn close(&self) -> Result<(), StoreError> {
        match self {
            BackEnd::Sqlite(database) => database.close(),
            BackEnd::Memory(database) => database.close(),
        }
    }
}

impl View {
    pub(crate) fn export(&mut self, from: Option<ExportMark>, limit: usize) -> Result<ExportPage, StoreError> {
        match self {
            View::Sqlite(view) => view.export(from, limit),
            View::Memory(view) => view.export(from, limit),
        }
    }

    /// From now on all questions are as of this moment, where the back-end has such.
    pub(crate) fn begin_moment(&mut self) -> Result<(), StoreError> {
        match self {
            View::Sqlite(view) => view.begin_moment().map_err(sqlite::unavailable),
            View::Memory(_) => Ok(()),
        }
    }

    /// Whether a moment that was begun, if one was, is over.
    pub(crate) fn end_any_moment(&mut self) -> bool {
        match self {
            View::Sqlite(view) => view.end_any_moment(),
            View::Memory(_) => true,
        }
    }
}

/// Asks whichever back-end there is.
macro_rules! questions {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {
        impl View {
            $(pub(crate) fn $name(&mut self, $($argument: $kind),*) -> Result<$answer, StoreError> {
                match self {
                    View::Sqlite(view) => view.$name($($argument),*).map_err(sqlite::unavailable),
                    View::Memory(view) => view.$name($($argument),*),
                }
            })*
        }
    };
}

questions! {
    find(id: MailwardId) -> Option<FoundRows>;
    recent(limit: usize) -> Vec<Summary>;
    since(since: Since) -> PageRows;
    used_octets() -> u64;
    newest(mailbox: &str, identity: IdentityKey, since_s: i64, limit: u32) -> Vec<HistoryRow>;
    wrote_to(mailbox: &str, who: CorrespondentKey, since_s: i64) -> bool;
    label(mailbox: &str, id: MailwardId) -> Option<LabelRow>;
    votes(scope: &Scope, identity: IdentityKey, since_s: i64) -> Votes;
    kept(mailbox: &MailboxId, key: KeptKey) -> Option<Kept>;
    kept_at(mailbox: &MailboxId, reference: &str) -> Option<Kept>;
    kept_octets(source: &str) -> u64;
    lessons(mailbox: &str, after: Option<MailwardId>, limit: u32) -> Vec<KeptLesson>;
    open_lessons(mailbox: &str, limit: u32) -> Vec<KeptLesson>;
    lessons_of(mailbox: &str, ids: &[MailwardId]) -> Vec<KeptLesson>;
    learners(after: &str, limit: u32) -> Vec<(String, Seen)>;
    model_secret() -> Secret;
    cursor(name: &str) -> Option<Vec<u8>>;
    stats() -> Stats;
    verify() -> Verified;
}
