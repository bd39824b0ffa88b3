//! Which domains there are now, and whether they have users: looked at from time to time, so that a domain that goes
//! before it gets any mail is missed too. Reads no file and keeps no watch.

use super::names::Sort;
use super::{Domains, Standing};
use mail::Domain;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::DirEntry;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Entries of `valid/` and of `invalid/` that are looked at. What is behind them is told by the next message.
const ENTRIES_MAX: usize = 1000;

/// What stands in the tree.
#[derive(Debug, Default)]
pub struct Census(pub(super) BTreeMap<Domain, Seen>);

/// What stands for one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// A directory, with such users.
    Here(UsersSeen),
    /// A link to nothing.
    Dangling,
    /// What cannot be read: nothing follows.
    Unreadable,
}

/// How `users/` of a domain stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsersSeen {
    /// Somebody is valid.
    Some,
    /// Nobody is.
    Nobody,
    /// Links in it lead nowhere.
    Dangling {
        /// Somebody is valid all the same.
        somebody: bool,
        /// The names that are such links; empty for `users/` or `valid/` itself.
        names: BTreeSet<String>,
    },
    /// Somebody is valid; not every entry was looked at.
    Many,
    /// It could not be read.
    Unknown,
}

/// What is missing of `users/`, of those that may decide of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MissedUser {
    /// It names nobody.
    Everybody,
    /// The link of this name; empty for `users/` or `valid/` itself.
    Link(String),
}

impl Census {
    /// Whether no directory stands for any domain.
    pub fn is_empty(&self) -> bool {
        !self.0.values().any(|seen| matches!(seen, Seen::Here(_)))
    }
}

impl Domains {
    /// Looks at each domain; `None` while the root cannot be read.
    pub fn census(&self) -> Option<Census> {
        let standing = self.standing()?;
        let seen = standing.into_iter().filter_map(|(name, standing)| {
            let seen = match standing {
                Standing::At(path) => Seen::Here(users(&path)),
                Standing::Dangling => Seen::Dangling,
                Standing::Unreadable => Seen::Unreadable,
                Standing::Absent => return None,
            };
            Some((name, seen))
        });
        Some(Census(seen.collect()))
    }
}

/// The users of the domain at `top`, as [`super::users::Users::seen`] has them.
fn users(top: &Path) -> UsersSeen {
    let dir = top.join("users");
    let (valid, mut names) = entries(&dir.join("valid"));
    let (invalid, more) = entries(&dir.join("invalid"));
    names.extend(more);
    if leads_nowhere(&dir) {
        names.insert(String::new());
    }
    if !names.is_empty() {
        let somebody = matches!(valid, UsersSeen::Some | UsersSeen::Many);
        return UsersSeen::Dangling { somebody, names };
    }
    match (valid, invalid) {
        (UsersSeen::Some, UsersSeen::Many | UsersSeen::Unknown) => UsersSeen::Many,
        (valid, _) => valid,
    }
}

/// Whether somebody is named in a directory, and the links that lead nowhere.
fn entries(dir: &Path) -> (UsersSeen, BTreeSet<String>) {
    let mut names = BTreeSet::new();
    let listing = match std::fs::read_dir(dir) {
        Ok(listing) => listing,
        Err(error) if is_absence(&error) => {
            names.extend(leads_nowhere(dir).then(String::new));
            return (UsersSeen::Nobody, names);
        }
        Err(_) => return (UsersSeen::Unknown, names),
    };
    let mut seen = UsersSeen::Nobody;
    for (count, entry) in listing.enumerate() {
        let Ok(entry) = entry else {
            return (UsersSeen::Unknown, names);
        };
        if count >= ENTRIES_MAX {
            return (UsersSeen::Many, names);
        }
        if let Ok(name) = Sort::Local.normalise(&entry.file_name()) {
            match is_dangling(&entry) {
                true => drop(names.insert(name.to_string())),
                false => seen = UsersSeen::Some,
            }
        }
    }
    (seen, names)
}

fn is_dangling(entry: &DirEntry) -> bool {
    entry.file_type().is_ok_and(|file_type| file_type.is_symlink()) && leads_nowhere(&entry.path())
}

/// Whether a link stands there and nothing at its end.
fn leads_nowhere(path: &Path) -> bool {
    let is_link = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink());
    is_link && std::fs::metadata(path).is_err_and(|error| is_absence(&error))
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}
