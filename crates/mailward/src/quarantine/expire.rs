//! Removing what is past its time, and the links `today` and `yesterday`.
//!
//! Today and the 33 days before it stay. A day directory goes when both its own date and the date of its newest
//! content are older, so neither a touched file nor a wrong marker alone removes anything. Only what we make is
//! removed: message files by their names, indexes, markers, and directories once they are empty. A day that holds
//! anything else stays with that. No link is followed.
//!
//! A clock far ahead would make everything old. So each expiry records its day, and one that comes more than
//! [`CLOCK_JUMP_DAYS`] after the last (or, for want of a record, after the newest day there is) does nothing until a
//! person says that the clock is right. A smaller jump ahead cannot be told from a gateway that stood still. Content
//! dated ahead of the clock stays until its date is past.

use super::days::{self, Day, INDEX, INDEX_JSON, MAILDIR, MARKER};
use super::disk::Dir;
use super::error::{ExpireError, KeepError, Trouble};
use super::name::{DayName, FileName, Numbering};
use super::{Quarantine, read};
use jiff::civil::Date;
use jiff::{ToSpan, Zoned};
use mail::Domain;
use rustix::fs::FileType;
use std::io::Read;
use std::path::PathBuf;

/// How many days before today are kept: 34 directories with today's, which is a month and some, whatever its length.
pub const DAYS_BEFORE_KEPT: i32 = 33;
/// How long expiry may have stood still before it asks whether the clock is right, in days. Longer than a year, so
/// that a gateway which is started once a year expires.
pub const CLOCK_JUMP_DAYS: i32 = 400;
/// Holds the date of the last expiry.
const RECORD: &str = ".expired";
/// How many names are listed before they are removed, so that a directory of a million files costs no memory.
const BATCH: usize = 1_000;

/// How to expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expiry {
    /// Say what would go, and change nothing.
    pub dry_run: bool,
    /// The clock is right, however far it is ahead.
    pub force: bool,
}

/// What an expiry removed, or would.
#[derive(Debug, Default)]
pub struct Expired {
    /// The days, oldest first.
    pub days: Vec<ExpiredDay>,
    /// Day directories that stay because of something in them that is not ours. Not known of a dry run.
    pub kept: Vec<PathBuf>,
    /// What could not be removed or renewed; the rest was.
    pub troubles: Vec<Trouble>,
}

/// One day that went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiredDay {
    /// Its directory.
    pub name: DayName,
    /// Its date.
    pub date: Date,
    /// How many messages went.
    pub messages: u64,
    /// Their octets.
    pub octets: u64,
}

impl Quarantine {
    /// Removes what is past its time, renews the links, and counts anew what is used.
    pub fn expire(&self, now: &Zoned, how: Expiry) -> Result<Expired, ExpireError> {
        let root = Dir::open_root(&self.root)?;
        let today = now.date();
        let days = days::all(&root, now.time_zone())?;
        if !how.force {
            check_clock(&root, &days, today)?;
        }
        let first_kept = today.saturating_sub(DAYS_BEFORE_KEPT.days());
        let mut expired = Expired::default();
        for day in days.iter().rev() {
            if let Err(trouble) = expire_day(&root, day, first_kept, now, how.dry_run, &mut expired) {
                expired.troubles.push(trouble);
            }
        }
        if !how.dry_run {
            let renewed = [
                relink(&root, today, self.numbering),
                days::write_small(&root, RECORD, &format!("{today}\n")),
                read::count(&root).map(|usage| self.ledger.replace(usage)),
            ];
            expired.troubles.extend(renewed.into_iter().filter_map(Result::err));
        }
        Ok(expired)
    }

    /// Whether the clock is where the last expiry leaves it to be.
    ///
    /// # Errors
    /// If it seems to have jumped ahead, or the tree cannot be read.
    pub fn trusts_clock(&self, now: &Zoned) -> Result<(), ExpireError> {
        let root = Dir::open_root(&self.root)?;
        let days = days::all(&root, now.time_zone())?;
        check_clock(&root, &days, now.date())
    }

    /// Counts anew what is used: for a process that stores, while another one expires.
    pub fn recount(&self) -> Result<(), Trouble> {
        let usage = read::count(&Dir::open_root(&self.root)?)?;
        self.ledger.replace(usage);
        Ok(())
    }
}

fn check_clock(root: &Dir, days: &[Day], today: Date) -> Result<(), ExpireError> {
    let record = root.find_file(RECORD)?.and_then(|file| {
        let mut text = String::new();
        file.take(64).read_to_string(&mut text).ok()?;
        text.trim().parse().ok()
    });
    // Days come newest first.
    match record.or(days.first().map(|day| day.date)) {
        Some(last) if last < today.saturating_sub(CLOCK_JUMP_DAYS.days()) => {
            Err(ExpireError::ClockJump { last, today })
        }
        _ => Ok(()),
    }
}

fn expire_day(
    root: &Dir,
    day: &Day,
    first_kept: Date,
    now: &Zoned,
    dry_run: bool,
    expired: &mut Expired,
) -> Result<(), Trouble> {
    if day.marker.is_some_and(|date| date >= first_kept) {
        return Ok(());
    }
    let Some(dir) = root.find(day.name.as_str())? else {
        return Ok(());
    };
    // Without marker the content alone tells; without content, the directory's last change.
    let newest = days::newest(&dir, now.time_zone())?;
    if newest
        .or(day.marker.is_none().then_some(day.date))
        .is_some_and(|date| date >= first_kept)
    {
        return Ok(());
    }
    let mut gone = ExpiredDay {
        name: day.name.clone(),
        date: day.date,
        messages: 0,
        octets: 0,
    };
    let emptied = empty_day(&dir, dry_run, &mut gone);
    let removed = match dry_run {
        true => emptied.map(|()| false),
        false => emptied.and_then(|()| remove_day(root, &day.name, &dir)),
    };
    if newest.is_some() || matches!(removed, Ok(true)) {
        expired.days.push(gone);
    }
    if !removed? && !dry_run {
        expired.kept.push(dir.path().to_owned());
    }
    Ok(())
}

fn empty_day(dir: &Dir, dry_run: bool, gone: &mut ExpiredDay) -> Result<(), Trouble> {
    for domain in days::domains(dir)? {
        empty_domain(dir, &domain, dry_run, gone)?;
    }
    Ok(())
}

fn empty_domain(day: &Dir, domain: &Domain, dry_run: bool, gone: &mut ExpiredDay) -> Result<(), Trouble> {
    let Some(dir) = day.find(domain.as_str())? else {
        return Ok(());
    };
    for name in MAILDIR {
        if !days::is_dir(&dir, name)? {
            continue;
        }
        let Some(part) = dir.find(name)? else {
            continue;
        };
        empty_part(&part, dry_run, gone)?;
        if !dry_run {
            dir.remove_dir(name)?;
        }
    }
    if dry_run {
        return Ok(());
    }
    for name in [INDEX_JSON, INDEX] {
        if dir.stat(name)?.is_some_and(|stat| stat.kind == FileType::RegularFile) {
            dir.remove(name)?;
        }
    }
    day.remove_dir(domain.as_str())?;
    Ok(())
}

/// Removes message files, by batches.
fn empty_part(part: &Dir, dry_run: bool, gone: &mut ExpiredDay) -> Result<(), Trouble> {
    loop {
        let mut batch = Vec::new();
        part.each(|name| {
            if FileName::parse_flagged(name).is_some()
                && let Some(stat) = part.stat(name)?
                && stat.kind == FileType::RegularFile
            {
                gone.messages += 1;
                gone.octets += stat.octets;
                if !dry_run {
                    batch.push(name.to_owned());
                }
            }
            Ok(batch.len() < BATCH)
        })?;
        if batch.is_empty() {
            return Ok(());
        }
        for name in &batch {
            part.remove(name)?;
        }
    }
}

/// Removes the day directory if nothing but markers is left in it; the flag says whether it is gone.
fn remove_day(root: &Dir, name: &DayName, dir: &Dir) -> Result<bool, Trouble> {
    let names = dir.names()?;
    for name in &names {
        let plain = dir.stat(name)?.is_some_and(|stat| stat.kind == FileType::RegularFile);
        if !plain || !is_marker(name) {
            return Ok(false);
        }
    }
    // The number may be needed for today at this very moment: whoever makes, sets aside or removes a day holds this.
    let _guard = match root.lock() {
        Ok(guard) => guard,
        Err(KeepError::Io(trouble)) => return Err(trouble),
        // The next expiry finds it empty and removes it.
        Err(_) => return Ok(true),
    };
    let same = root
        .stat(name.as_str())?
        .is_some_and(|stat| Ok(stat.inode) == dir.stat_self().map(|own| own.inode).map_err(drop));
    if !same {
        return Ok(true);
    }
    for name in &names {
        dir.remove(name)?;
    }
    root.remove_dir(name.as_str())
}

/// The marker, or `.date.PID`: one that a crash left half made.
fn is_marker(name: &str) -> bool {
    let rest = name
        .strip_prefix(MARKER)
        .map(|rest| rest.strip_prefix('.').unwrap_or(rest));
    rest.is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()))
}

/// Makes `today` and `yesterday` point to the directories of these days, which need not exist yet. Links that are
/// right stay; something else of such a name is left alone and is an error.
pub(super) fn relink(root: &Dir, today: Date, numbering: Numbering) -> Result<(), Trouble> {
    let yesterday = today.saturating_sub(1.day());
    for (name, date) in [("today", today), ("yesterday", yesterday)] {
        let target = DayName::of(date, numbering);
        match root.stat(name)?.map(|stat| stat.kind) {
            Some(FileType::Symlink) if root.link_target(name).as_deref() == Some(target.as_str()) => {}
            Some(FileType::Symlink) | None => root.link(target.as_str(), name)?,
            Some(_) => {
                let why = std::io::Error::new(
                    std::io::ErrorKind::AlreadyExists,
                    "there is something else of this name",
                );
                return Err(Trouble {
                    doing: "link",
                    path: root.path().join(name),
                    why,
                });
            }
        }
    }
    Ok(())
}
