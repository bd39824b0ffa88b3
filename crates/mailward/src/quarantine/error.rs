//! What can go wrong in the quarantine, as facts. No variant loses the path or the system's own word.

use mail::Domain;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// A file or directory that could not be used.
#[derive(Debug)]
pub struct Trouble {
    /// What was tried: `open`, `write`, `sync` and so on.
    pub doing: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// What the system said.
    pub why: io::Error,
}

/// Which budget has no room left.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// Octets in all.
    Total,
    /// Octets of one domain.
    Domain(Domain),
    /// Octets that came from one network of clients.
    ClientNetwork(super::Network),
    /// The floor of free space on the file system.
    FreeFloor,
}

/// Why a copy was not kept. In each case nothing of it is left that a reader would show.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeepError {
    /// No room: answer 452, or 550 with a note only where the specification allows that.
    OverBudget {
        /// The budget that is used up.
        which: Limit,
    },
    /// Another process held a lock for longer than [`super::LOCK_WAIT_S`] seconds: answer 451.
    Busy {
        /// The locked file or directory.
        path: PathBuf,
    },
    /// The disk, or something in the way of a file or directory of ours: answer 451.
    Io(Trouble),
}

/// Why an entry was not read.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// Its file is gone: withdrawn, expired or removed by hand.
    Gone {
        /// `DAY/DOMAIN/FILENAME`.
        reference: String,
    },
    /// Only metadata were kept, so there is no message.
    MetadataOnly,
    /// The entry does not say who sent the message, or says it unreadably, so it cannot be released.
    NoReversePath,
    /// The stored file does not begin with the line that names its recipient.
    NoRecipient,
    /// The disk.
    Io(Trouble),
}

/// Why nothing was expired.
#[derive(Debug)]
#[non_exhaustive]
pub enum ExpireError {
    /// The clock stands more than [`super::CLOCK_JUMP_DAYS`] days after anything seen before. Either the gateway
    /// stood still for so long, or the clock is wrong; a person must say which.
    ClockJump {
        /// The last day that is known: of the last expiry, or of the newest content.
        last: jiff::civil::Date,
        /// What the clock says.
        today: jiff::civil::Date,
    },
    /// The disk.
    Io(Trouble),
}

/// Why a text names no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReferenceError {
    /// Nothing there.
    Empty,
    /// A backslash, `..`, a control character or another character that no name of ours has.
    Character,
    /// Slashes, but not the form `DAY/DOMAIN/FILENAME`.
    Form,
}

impl KeepError {
    /// What to do about it, for the operator.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            KeepError::OverBudget {
                which: Limit::FreeFloor,
            } => Some("free space on the quarantine's file system"),
            KeepError::OverBudget { .. } => Some("raise the quarantine's size in `[limits]`, or expire earlier"),
            KeepError::Busy { .. } => Some("look for a process that hangs with the file open"),
            KeepError::Io(_) => None,
        }
    }
}

impl ExpireError {
    /// What to do about it, for the operator.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            ExpireError::ClockJump { .. } => Some("if the clock is right, run `mailward quarantine expire --force`"),
            ExpireError::Io(_) => None,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} `{}`: {}", self.doing, self.path.display(), self.why)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Total => f.write_str("the quarantine is full"),
            Limit::Domain(domain) => write!(f, "the quarantine is full for the domain: `{domain}`"),
            Limit::ClientNetwork(network) => write!(f, "the quarantine is full for the network: `{network}`"),
            Limit::FreeFloor => f.write_str("the quarantine's file system has too little free space"),
        }
    }
}

impl fmt::Display for KeepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeepError::OverBudget { which } => which.fmt(f),
            KeepError::Busy { path } => write!(f, "another process keeps it locked: `{}`", path.display()),
            KeepError::Io(trouble) => trouble.fmt(f),
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Gone { reference } => write!(f, "the message is gone: `{reference}`"),
            ReadError::MetadataOnly => f.write_str("only metadata were kept of this message"),
            ReadError::NoReversePath => f.write_str("the entry does not say who sent the message"),
            ReadError::NoRecipient => f.write_str("the file does not say whom the message was for"),
            ReadError::Io(trouble) => trouble.fmt(f),
        }
    }
}

impl fmt::Display for ExpireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExpireError::ClockJump { last, today } => write!(
                f,
                "nothing was expired, because the clock may be wrong: it says {today}, and the last known day is {last}"
            ),
            ExpireError::Io(trouble) => trouble.fmt(f),
        }
    }
}

impl fmt::Display for ReferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReferenceError::Empty => "the name of the entry is empty",
            ReferenceError::Character => "the name of the entry has a character that no entry has",
            ReferenceError::Form => "the name of the entry is neither an id nor `DAY/DOMAIN/FILENAME`",
        })
    }
}

impl std::error::Error for Trouble {}
impl std::error::Error for KeepError {}
impl std::error::Error for ReadError {}
impl std::error::Error for ExpireError {}
impl std::error::Error for ReferenceError {}

impl From<Trouble> for KeepError {
    fn from(trouble: Trouble) -> KeepError {
        KeepError::Io(trouble)
    }
}

impl From<Trouble> for ReadError {
    fn from(trouble: Trouble) -> ReadError {
        ReadError::Io(trouble)
    }
}

impl From<Trouble> for ExpireError {
    fn from(trouble: Trouble) -> ExpireError {
        ExpireError::Io(trouble)
    }
}
