//! The embedded back-end: one SQLite database.
//!
//! - `layout`: tables, versions, and how a file is opened and brought up to date.
//! - `db`: a connection. `rows`: the same, as rules ask and change it. `table`: how each table stands in it.
//! - `scans`: what is asked over many partitions. `audit`: counts, and the database's own check.
//! - `writer`: the thread that writes, many intents in one transaction.
//!
//! The write-ahead log is synced by each commit (`synchronous = FULL`), so what was acknowledged outlives a crash of
//! the process and of the machine. Not for network file systems, whose locks SQLite cannot trust.

mod audit;
#[cfg(test)]
mod compiled;
mod db;
mod layout;
mod rows;
mod scans;
mod table;
mod writer;

pub(crate) use layout::compact;
pub(crate) use rows::Rows;
pub(crate) use table::SqlTable;
pub(crate) use writer::{Duties, Job, Writer};

use crate::error::OpenError;
use std::path::Path;

/// A connection that reads.
pub(crate) fn view(path: &Path) -> Result<Rows, OpenError> {
    layout::open_read_only(path).map(Rows::over)
}
