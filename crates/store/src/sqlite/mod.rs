//! The embedded back-end: one SQLite database.
//!
//! - `layout`: tables, versions, and how a file is opened and brought up to date.
//! - `writer`: the one thread that writes, and the queue before it.
//! - `group`: many writes in one transaction.
//! - `reader`: the thread that reads.
//!
//! The write-ahead log is synced by each commit (`synchronous = FULL`), so what was acknowledged outlives a crash of
//! the process and of the machine. Not for network file systems, whose locks SQLite cannot trust.

mod group;
mod layout;
mod reader;
mod writer;

pub(crate) use reader::Reader;
pub(crate) use writer::Writer;

use crate::error::StoreError;

/// What callers hear when a thread of the store is gone.
fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}
