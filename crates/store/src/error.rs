//! What can be wrong: [`OpenError`] is the operator's to mend, [`StoreError`] is answered to the sender as
//! "try again later".

use crate::id::MailwardId;
use mail::{Line, MailboxId};
use std::fmt;
use std::io;

/// Why a store cannot be opened. The messages do not name the file; whoever shows them does.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// Nothing there (only where a store is opened for reading).
    Missing,
    /// A file, but no database.
    NotADatabase,
    /// A database of which a part is missing, or wrong; what SQLite says.
    Damaged(String),
    /// A database of another program.
    Foreign,
    /// Written by a newer version.
    NewerLayout {
        /// The layout that the file has.
        found: u32,
        /// The newest layout that this version knows.
        known: u32,
    },
    /// Written by an older version, and opened for reading only, so that it cannot be brought up to date.
    OlderLayout {
        /// The layout that the file has.
        found: u32,
        /// The layout that this version reads.
        known: u32,
    },
    /// Another process writes to it.
    InUse,
    /// The file system's trouble.
    Io(io::Error),
    /// The database's trouble, in its words.
    Database(String),
}

/// Why an intent failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// There is a message of that id; the caller makes another id.
    IdTaken,
    /// Nothing can be written or read at the moment: a full disk, an I/O error, a store that is closed. Text for
    /// the log.
    Unavailable(String),
    /// The record is there, but not in a form that this version reads.
    Unreadable {
        /// Which record.
        id: MailwardId,
        /// The version that wrote it.
        code_version: String,
        /// Where reading broke.
        why: String,
    },
    /// The record cannot be put into words; a fault of ours.
    Unwritable(String),
    /// Nothing is known of such a delivery: never recorded, forgotten by age, or another mailbox's.
    UnknownDelivery {
        /// Which message.
        id: MailwardId,
        /// Whose.
        mailbox: MailboxId,
    },
    /// A label is there, but not in a form that this version reads.
    UnreadableLabel {
        /// Of which message.
        id: MailwardId,
        /// In whose mailbox.
        mailbox: Line,
        /// Where reading broke.
        why: String,
    },
}

impl StoreError {
    /// What callers hear when the store is closed.
    pub(crate) fn closed() -> StoreError {
        StoreError::Unavailable("the store is closed".to_owned())
    }
}

impl OpenError {
    /// The operator's next step.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            OpenError::Missing => Some("`mailward serve` creates it"),
            OpenError::NotADatabase | OpenError::Foreign => {
                Some("move the file away, or let `url` in `[store]` name another one")
            }
            OpenError::Damaged(_) => Some(
                "put a backup of it back; or move it away, with the files of its name that end in `-wal` and `-shm`, \
                 and begin with an empty store",
            ),
            OpenError::NewerLayout { .. } => {
                Some("run the version that wrote it, or a newer one; older versions would lose what they do not know")
            }
            OpenError::OlderLayout { .. } => Some("start `mailward serve` once, which brings it up to date"),
            OpenError::InUse => Some("stop the other process first"),
            OpenError::Io(_) | OpenError::Database(_) => None,
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Missing => f.write_str("there is no store"),
            OpenError::NotADatabase => f.write_str("the file is not a database"),
            OpenError::Damaged(why) => write!(f, "the store is damaged: {why}"),
            OpenError::Foreign => f.write_str("the file is a database of another program"),
            OpenError::NewerLayout { found, known } => {
                write!(
                    f,
                    "the store has layout {found}, this version knows layouts up to {known}"
                )
            }
            OpenError::OlderLayout { found, known } => {
                write!(f, "the store has layout {found}, this version reads layout {known}")
            }
            OpenError::InUse => f.write_str("another process writes to the store"),
            OpenError::Io(why) => why.fmt(f),
            OpenError::Database(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<io::Error> for OpenError {
    fn from(why: io::Error) -> OpenError {
        OpenError::Io(why)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::IdTaken => f.write_str("the id is taken"),
            StoreError::Unavailable(why) => write!(f, "the store is unavailable: {why}"),
            StoreError::Unreadable { id, code_version, why } => {
                write!(
                    f,
                    "record {id} was written by version {code_version} in a form that this version cannot read: {why}"
                )
            }
            StoreError::Unwritable(why) => write!(f, "the record cannot be written: {why}"),
            StoreError::UnknownDelivery { id, mailbox } => {
                write!(f, "no delivery of {id} to {mailbox} is recorded")
            }
            StoreError::UnreadableLabel { id, mailbox, why } => {
                write!(
                    f,
                    "the label of {id} in {mailbox} is in a form that this version cannot read: {why}"
                )
            }
        }
    }
}

impl std::error::Error for StoreError {}
