//! Which directory belongs to which date.
//!
//! A day directory's name is only the number of the day in its year, so a marker file in it, `.date`, holds the
//! whole date. Where the number came round again before the old content expired (the gateway stood still for a
//! year, or the clock was wrong), the old directory is set aside under another name, where it can be read and
//! expires by its own date. Two days are never mixed.
//!
//! A directory without marker and without mail is taken over; one with mail but no marker (the original program made
//! it) is dated by its newest content.

use super::disk::{Dir, failed};
use super::error::{KeepError, Trouble};
use super::name::{DayName, FileName, Numbering};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use mail::Domain;
use rustix::fs::FileType;
use std::io::{Read, Write};

/// The marker's name.
pub(super) const MARKER: &str = ".date";
/// The three directories of a Maildir.
pub(super) const MAILDIR: [&str; 3] = ["new", "cur", "tmp"];
/// The index as JSON lines.
pub(super) const INDEX_JSON: &str = "index.json";
/// The index as the README of the original describes it.
pub(super) const INDEX: &str = "index";
/// How often one number may have come round before anything expired.
const ASIDE_MAX: u32 = 1_000;

/// A day directory that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Day {
    pub name: DayName,
    /// What the marker says.
    pub marker: Option<Date>,
    /// The marker's date, else that of the directory's last change.
    pub date: Date,
}

/// Opens the directory of `date`, made or taken over if need be; the flag says whether it was.
pub(super) fn open(
    root: &Dir,
    date: Date,
    numbering: Numbering,
    tz: &TimeZone,
) -> Result<(Dir, DayName, bool), KeepError> {
    let name = DayName::of(date, numbering);
    if let Some(dir) = root.find(name.as_str())?
        && marker(&dir)? == Some(date)
    {
        return Ok((dir, name, false));
    }
    let _guard = root.lock()?;
    for _ in 0..ASIDE_MAX {
        let (dir, _) = root.make(name.as_str())?;
        let marked = marker(&dir)?;
        if marked != Some(date) {
            // Mail without marker is of the day of its newest; mail under another day's marker is of that day.
            let theirs = newest(&dir, tz)?.map(|newest| marked.unwrap_or(newest));
            if let Some(theirs) = theirs.filter(|theirs| *theirs != date) {
                set_aside(root, dir, &name, theirs)?;
                continue;
            }
            mark(&dir, date)?;
        }
        return Ok((dir, name, true));
    }
    Err(KeepError::Busy {
        path: root.path().join(name.as_str()),
    })
}

fn set_aside(root: &Dir, dir: Dir, name: &DayName, date: Date) -> Result<(), Trouble> {
    mark(&dir, date)?;
    let mut attempt = 0;
    while root.stat(name.aside(date, attempt).as_str())?.is_some() && attempt < ASIDE_MAX {
        attempt += 1;
    }
    root.rename_new(name.as_str(), root, name.aside(date, attempt).as_str())?;
    root.sync()
}

/// What the marker says; `None` if there is none, or nonsense in it.
pub(super) fn marker(day: &Dir) -> Result<Option<Date>, Trouble> {
    let Some(file) = day.find_file(MARKER)? else {
        return Ok(None);
    };
    let mut text = String::new();
    let read = file.take(64).read_to_string(&mut text);
    Ok(read.ok().and_then(|_| text.trim().parse().ok()))
}

/// Writes the marker, synced.
fn mark(day: &Dir, date: Date) -> Result<(), Trouble> {
    write_small(day, MARKER, &format!("{date}\n"))
}

/// Writes a small file, synced, in one step for whoever reads it.
pub(super) fn write_small(dir: &Dir, name: &str, text: &str) -> Result<(), Trouble> {
    let new = format!("{name}.{}", std::process::id());
    dir.remove(&new)?;
    let mut file = dir.create_new(&new)?;
    let write = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    write.map_err(failed("write", dir.path().join(&new)))?;
    dir.replace(&new, name)?;
    dir.sync()
}

/// All day directories, newest first.
pub(super) fn all(root: &Dir, tz: &TimeZone) -> Result<Vec<Day>, Trouble> {
    let mut days = Vec::new();
    for name in root.names()? {
        let Some(name) = DayName::parse(&name) else {
            continue;
        };
        if !is_dir(root, name.as_str())? {
            continue;
        }
        let Some(dir) = root.find(name.as_str())? else {
            continue;
        };
        // Something unreadable in the marker's place says nothing; it must not hide the other days.
        let marker = marker(&dir).unwrap_or(None);
        // A directory that we set aside always has a marker; another of such a name is foreign.
        if name.is_aside() && marker.is_none() {
            continue;
        }
        let date = match marker {
            Some(date) => date,
            None => date_of(dir.stat_self()?.modified_s, tz),
        };
        days.push(Day { name, marker, date });
    }
    days.sort_by(|a, b| (b.date, &b.name).cmp(&(a.date, &a.name)));
    Ok(days)
}

/// The domains of a day, sorted: directories whose names are domains.
pub(super) fn domains(day: &Dir) -> Result<Vec<Domain>, Trouble> {
    let mut domains = Vec::new();
    for name in day.names()? {
        // A name that normalises to another is none that we made.
        if let Ok(domain) = Domain::parse(&name)
            && domain.as_str() == name
            && is_dir(day, &name)?
        {
            domains.push(domain);
        }
    }
    Ok(domains)
}

pub(super) fn is_dir(dir: &Dir, name: &str) -> Result<bool, Trouble> {
    Ok(dir.stat(name)?.is_some_and(|stat| stat.kind == FileType::Directory))
}

/// The date of the newest content of ours; `None` if there is none.
pub(super) fn newest(day: &Dir, tz: &TimeZone) -> Result<Option<Date>, Trouble> {
    let mut newest = None;
    for domain in domains(day)? {
        if let Some(dir) = day.find(domain.as_str())? {
            newest = newest.max(newest_of_domain(&dir)?);
        }
    }
    Ok(newest.map(|seconds| date_of(seconds, tz)))
}

fn newest_of_domain(dir: &Dir) -> Result<Option<i64>, Trouble> {
    let mut newest = None;
    let plain = |stat: Option<super::disk::Stat>| stat.filter(|stat| stat.kind == FileType::RegularFile);
    for name in [INDEX_JSON, INDEX] {
        // An index is made before anything is in it; then it is no content yet.
        let stat = plain(dir.stat(name)?).filter(|stat| stat.octets > 0);
        newest = newest.max(stat.map(|stat| stat.modified_s));
    }
    for part in MAILDIR {
        if !is_dir(dir, part)? {
            continue;
        }
        let Some(part) = dir.find(part)? else {
            continue;
        };
        part.each(|name| {
            if FileName::parse_flagged(name).is_some() {
                newest = newest.max(plain(part.stat(name)?).map(|stat| stat.modified_s));
            }
            Ok(true)
        })?;
    }
    Ok(newest)
}

/// The local date of a time. One that no calendar has counts as far in the future: it never expires by itself.
pub(super) fn date_of(seconds: i64, tz: &TimeZone) -> Date {
    Timestamp::from_second(seconds).map_or(Date::MAX, |time| time.to_zoned(tz.clone()).date())
}
