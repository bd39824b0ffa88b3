//! The embedded back-end: one SQLite database.
//!
//! - `layout`: tables, versions, and how a file is opened and brought up to date.
//! - `write`: many writes in one transaction.
//! - `history`: labels, sent mail, and the rows that are derived from them.
//! - `shared`: what mailboxes tell each other, derived from history.
//! - `lessons`: what the content filter learned from labels.
//! - `small`: greylist and cursors. `kept`: copies in the quarantine.
//! - `read`: the questions.
//! - `audit`: counts, export and verification.
//!
//! The write-ahead log is synced by each commit (`synchronous = FULL`), so what was acknowledged outlives a crash of
//! the process and of the machine. Not for network file systems, whose locks SQLite cannot trust.

mod audit;
#[cfg(test)]
mod compiled;
mod history;
mod kept;
mod layout;
mod lessons;
mod read;
mod shared;
mod small;
mod write;

pub(crate) use layout::compact;
pub(crate) use read::View;
pub(crate) use write::Database;

use crate::error::StoreError;

/// No impl of `From`: the dependency shall not show.
pub(crate) fn unavailable(why: rusqlite::Error) -> StoreError {
    StoreError::Unavailable(why.to_string())
}
