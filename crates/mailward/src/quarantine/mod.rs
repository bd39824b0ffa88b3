//! The quarantine: the tree of refused and held mail, `ROOT/DAY/DOMAIN/{new,cur,tmp}`, one Maildir for each day and
//! recipient domain, with an index in two forms beside the messages.
//!
//! It promises that what [`Quarantine::store`] answered with [`Held`] outlives a crash, that no more than the budget
//! is used, and that nothing is ever read, written or removed through a symbolic link below the root. It refuses to
//! touch files that are not its own.
//!
//! All of it blocks on the disk; the gateway calls it on threads that may block. The clock is an argument.
//!
//! - `name`: day directories, file names, references; each proves itself harmless.
//! - `entry`: what is kept of a message, and the index lines it becomes.
//! - `lines`: index files read line by line, from either end.
//! - `disk`: directories and files opened below an open directory, never through a link.
//! - `days`: which directory belongs to which date, and what happens when a number comes round again.
//! - `usage`: the budgets.
//! - `keep`: storing, noting, withdrawing.
//! - `read`: listing, searching, showing, releasing.
//! - `expire`: removing what is past its time.
//! - [`mod@print`]: all of it for people and for programs.

mod days;
mod disk;
mod entry;
mod error;
mod expire;
#[cfg(test)]
mod fixture;
mod keep;
mod lines;
mod name;
pub mod print;
mod read;
#[cfg(test)]
mod tests;
mod usage;

pub use disk::LOCK_WAIT_S;
pub use entry::{Copy, Entry, Held, State};
pub use error::{ExpireError, KeepError, Limit, ReadError, ReferenceError, Trouble};
pub use expire::{CLOCK_JUMP_DAYS, DAYS_BEFORE_KEPT, Expired, ExpiredDay, Expiry};
pub use keep::Noted;
pub use name::{DayName, FileName, Numbering, Reference};
pub use read::{Days, Filter, Listing, Released};
pub use usage::{Budget, Network};

use disk::{Dir, failed};
use jiff::civil::Date;
use mail::Domain;
use name::HostName;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where the quarantine is and how much it may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The root, made if absent. It may be a symbolic link; nothing below it may.
    pub root: PathBuf,
    /// The gateway's name, a part of each file's name.
    pub hostname: String,
    /// How much may be kept.
    pub budget: Budget,
    /// Whether 1 January is day 0, as in the original program, and not day 1.
    pub zero_based_days: bool,
}

/// The tree, open for storing and reading. Several processes may have one open.
#[derive(Debug)]
pub struct Quarantine {
    root: PathBuf,
    hostname: HostName,
    numbering: Numbering,
    ledger: usage::Ledger,
    /// Directories whose names are known to be on stable storage, up to the root: date, domain, inode.
    synced: Mutex<HashSet<(Date, Domain, u64)>>,
    notes_unwritten: AtomicU64,
}

impl Quarantine {
    /// Opens the tree, makes its root if need be, and counts what is used: one pass over all index files.
    pub fn open(settings: Settings) -> Result<Quarantine, Trouble> {
        make_root(&settings.root)?;
        let used = read::count(&Dir::open_root(&settings.root)?)?;
        Ok(Quarantine::new(settings, used))
    }

    fn new(settings: Settings, used: usage::Usage) -> Quarantine {
        let Settings {
            root,
            hostname,
            budget,
            zero_based_days,
        } = settings;
        Quarantine {
            root,
            hostname: HostName::escape(&hostname),
            numbering: if zero_based_days {
                Numbering::FromZero
            } else {
                Numbering::FromOne
            },
            ledger: usage::Ledger::new(budget, used),
            synced: Mutex::default(),
            notes_unwritten: AtomicU64::new(0),
        }
    }

    /// Opens a tree for the commands that list, show, release and expire: neither makes the root nor counts what is
    /// used. Its budget is nothing, so nothing can be stored through it.
    pub fn open_to_read(root: PathBuf, zero_based_days: bool) -> Result<Quarantine, Trouble> {
        Dir::open_root(&root)?;
        let none = Budget {
            total_octets: 0,
            per_domain_octets: 0,
            per_client_network_octets: 0,
            free_floor_octets: u64::MAX,
        };
        let settings = Settings {
            root,
            hostname: String::new(),
            budget: none,
            zero_based_days,
        };
        Ok(Quarantine::new(settings, usage::Usage::default()))
    }

    /// Octets that are used of the budget.
    pub fn used_octets(&self) -> u64 {
        self.ledger.total()
    }

    /// How many refusals left not even metadata since the start, because twice the budget was used up.
    pub fn notes_unwritten(&self) -> u64 {
        self.notes_unwritten.load(Ordering::Relaxed)
    }
}

/// Makes the root and what is missing above it, each name synced before the next is made.
fn make_root(root: &std::path::Path) -> Result<(), Trouble> {
    if root.is_dir() {
        return Ok(());
    }
    let parent = match root.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => std::path::Path::new("."),
    };
    make_root(parent)?;
    let parent = Dir::open_root(parent)?;
    match root.file_name().and_then(|name| name.to_str()) {
        Some(name) => {
            parent.make_through(name)?;
            parent.sync()
        }
        None => std::fs::create_dir_all(root).map_err(failed("make", root.to_owned())),
    }
}
