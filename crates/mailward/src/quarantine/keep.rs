//! Storing copies, noting refusals, withdrawing and marking.
//!
//! A copy is written in `tmp`, synced, renamed to `new`, and `new` is synced; then a line goes to each index, under
//! a lock on `index.json` that other processes honour, and both are synced. Only then is it [`Held`]. A crash in
//! between leaves at most a file that no index names, or a torn line: neither is ever shown, and the sender, who got
//! no 250, comes again.
//!
//! Nothing is ever taken out of an index. A line whose file is gone is passed over by all readers; so a withdrawal,
//! or a failure after the line was written, needs to remove the file only, which is one step that no crash can halve.

use super::days::{self, INDEX, INDEX_JSON, MAILDIR, MARKER};
use super::disk::{Dir, failed, lock};
use super::entry::{Copy, Entry, Held};
use super::error::{KeepError, Trouble};
use super::name::{DayName, FileName, Reference, Stamp};
use super::usage::{Cost, Network, Sort, line_cost};
use super::{Quarantine, ReadError, expire, read};
use jiff::Zoned;
use jiff::civil::Date;
use mail::limits::HEADER_OCTETS_MAX;
use mail::{Domain, Message};
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many files are written before they are synced together, which is how many stay open at once.
const FILES_OPEN_MAX: usize = 64;
/// How many directories are remembered as synced; past it, all are forgotten and synced again when next used.
const SYNCED_MAX: usize = 10_000;

/// So much of a copy has its header, with the fields that are ours.
const START_OCTETS_MAX: u64 = HEADER_OCTETS_MAX as u64 + 64 * 1024;

/// Tells names of this process apart, whatever the clock says.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// What became of metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// They stand in the indexes.
    Written,
    /// Twice the budget is used up, so they were counted only ([`Quarantine::notes_unwritten`]).
    Counted,
}

/// The Maildir of one domain on one day.
struct Place {
    dir: Dir,
    new: Dir,
    tmp: Dir,
}

/// Files to remove again unless all goes well.
struct Undo<'a>(Vec<(&'a Dir, &'a str)>);

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        for (dir, name) in &self.0 {
            if let Err(trouble) = dir.remove(name) {
                tracing::warn!(%trouble, "a copy that was not kept is left over");
            }
        }
    }
}

/// A copy made ready to be written.
struct Prepared<'a> {
    copy: &'a Copy<'a>,
    name: FileName,
    json: Vec<u8>,
    text: Vec<u8>,
    cost: Cost,
}

impl Quarantine {
    /// Keeps one copy. When it returns `Ok`, the copy is on stable storage.
    pub fn store(&self, copy: &Copy<'_>, now: &Zoned) -> Result<Held, KeepError> {
        let held = self.store_all(std::slice::from_ref(copy), now)?.pop();
        // One copy went in, so one comes out.
        held.ok_or_else(|| failed("store", self.root.clone())(io::ErrorKind::Other.into()).into())
    }

    /// Keeps several copies, those of one message for several recipients, or none of them. Directories and indexes
    /// are synced once for all that share them.
    pub fn store_all(&self, copies: &[Copy<'_>], now: &Zoned) -> Result<Vec<Held>, KeepError> {
        let root = Dir::open_root(&self.root)?;
        let prepared: Vec<Prepared> = copies.iter().map(|copy| self.prepare(copy, now)).collect();
        let costs = prepared.iter().map(|one| one.cost.clone()).collect();
        let room = self.ledger.reserve(costs, Sort::Copy, root.free_octets()?);
        let room = room.map_err(|which| KeepError::OverBudget { which })?;

        let (day, day_name) = self.day(&root, now)?;
        let mut groups: Vec<(Place, Vec<&Prepared>)> = Vec::new();
        for one in &prepared {
            match groups
                .iter_mut()
                .find(|(_, others)| others[0].copy.domain == one.copy.domain)
            {
                Some((_, others)) => others.push(one),
                None => groups.push((self.place(&root, &day, now.date(), one.copy.domain)?, vec![one])),
            }
        }
        let mut undo = Undo(Vec::with_capacity(prepared.len()));
        for (place, group) in &groups {
            write_files(place, group, &mut undo)?;
        }
        for (place, group) in &groups {
            let json: Vec<u8> = group.iter().flat_map(|one| one.json.iter().copied()).collect();
            let text: Vec<u8> = group.iter().flat_map(|one| one.text.iter().copied()).collect();
            let (json, text) = append(&place.dir, &json, &text)?;
            json.sync_data()
                .map_err(failed("sync", place.dir.path().join(INDEX_JSON)))?;
            text.sync_data().map_err(failed("sync", place.dir.path().join(INDEX)))?;
        }
        undo.0.clear();
        room.keep();
        Ok(prepared.iter().map(|one| one.held(&day_name)).collect())
    }

    /// Keeps metadata of a refusal without its message. They are not synced: they promise nothing to anyone.
    /// Each costs twice its line of `index.json` of the budgets, and may go on to twice of them.
    pub fn note(&self, copy: &Copy<'_>, now: &Zoned) -> Result<Noted, KeepError> {
        let root = Dir::open_root(&self.root)?;
        let record = copy.record(None, now);
        let (json, text) = (record.json_line(), record.text_line());
        let cost = cost(copy, line_cost(json.len()));
        let Ok(room) = self.ledger.reserve(vec![cost], Sort::Note, root.free_octets()?) else {
            self.notes_unwritten.fetch_add(1, Ordering::Relaxed);
            return Ok(Noted::Counted);
        };
        let (day, _) = self.day(&root, now)?;
        let place = self.place(&root, &day, now.date(), copy.domain)?;
        append(&place.dir, &json, &text)?;
        room.keep();
        Ok(Noted::Written)
    }

    /// A copy that waits under a reference, on stable storage since it was stored. `None` where it was released or is
    /// gone, and where it does not say who connected. It is read off the copy itself: senders choose how often this is
    /// asked, and an index may be long.
    pub fn waiting(&self, reference: &Reference) -> Result<Option<Held>, ReadError> {
        let Reference::Path { day, domain, file } = reference else {
            return Ok(None);
        };
        let Some(dir) = read::domain_dir(&self.root, day, domain)? else {
            return Ok(None);
        };
        let Some((part, name)) = read::Files::of(&dir)?.find(file)? else {
            return Ok(None);
        };
        let is_released = FileName::parse_flagged(&name).is_some_and(|(_, flags)| read::is_seen(flags));
        let (false, Some(stat), Some(copy)) = (is_released, part.stat(&name)?, part.find_file(&name)?) else {
            return Ok(None);
        };
        let mut start = Vec::new();
        let read = copy.take(START_OCTETS_MAX).read_to_end(&mut start);
        read.map_err(failed("read", part.path().join(&name)))?;
        let first_line = start.iter().position(|&octet| octet == b'\n').map_or(0, |end| end + 1);
        let message = Message::parse(&start[first_line..]);
        let value = |name| {
            let value = message.first(name)?.value().into_owned();
            String::from_utf8(value).ok()
        };
        let Some(Ok(client)) = value("X-REMOTE-IP").map(|text| text.trim().parse()) else {
            return Ok(None);
        };
        let id = value("X-Mailward-Id").unwrap_or_default();
        Ok(Some(Held {
            id: id.split_whitespace().next().unwrap_or_default().to_owned(),
            day: day.clone(),
            domain: domain.clone(),
            file: file.clone(),
            client,
            file_octets: stat.octets,
        }))
    }

    /// Takes a copy back, because its transaction ended in 4xx. That it is gone already is no error.
    pub fn withdraw(&self, held: &Held) -> Result<(), KeepError> {
        let root = Dir::open_root(&self.root)?;
        let Some(day) = root.find(held.day.as_str())? else {
            return Ok(());
        };
        let Some(dir) = day.find(held.domain.as_str())? else {
            return Ok(());
        };
        let Some((part, name)) = read::Files::of(&dir)?.find(&held.file)? else {
            return Ok(());
        };
        if part.remove(&name)? {
            part.sync()?;
            self.ledger.release(&Cost {
                domain: held.domain.clone(),
                network: Some(Network::of(held.client)),
                octets: held.file_octets,
            });
        }
        Ok(())
    }

    /// Marks an entry as released: its file moves from `new` to `cur` with the flag for a message that was seen.
    /// It expires as before. Twice changes nothing.
    pub fn mark_released(&self, entry: &Entry) -> Result<(), ReadError> {
        let Some(file) = &entry.filename else {
            return Err(ReadError::MetadataOnly);
        };
        let gone = || ReadError::Gone {
            reference: entry
                .reference()
                .map(|reference| reference.to_string())
                .unwrap_or_default(),
        };
        let dir = read::domain_dir(&self.root, &entry.day, &entry.domain)?.ok_or_else(gone)?;
        let (part, name) = read::Files::of(&dir)?.find(file)?.ok_or_else(gone)?;
        let flags = FileName::parse_flagged(&name).map_or("", |(_, flags)| flags);
        if read::is_seen(flags) {
            return Ok(());
        }
        // Maildir wants flags in the order of the alphabet.
        let mut letters: Vec<char> = flags.trim_start_matches("2,").chars().chain(['S']).collect();
        letters.sort_unstable();
        let (cur, _) = dir.make("cur")?;
        part.rename_new(&name, &cur, &format!("{file}:2,{}", letters.iter().collect::<String>()))?;
        cur.sync()?;
        Ok(part.sync()?)
    }

    fn prepare<'a>(&self, copy: &'a Copy<'a>, now: &Zoned) -> Prepared<'a> {
        let time = now.timestamp();
        let stamp = Stamp {
            seconds: time.as_second().max(0),
            micros: u32::try_from(time.subsec_microsecond()).unwrap_or(0),
            pid: std::process::id(),
            counter: COUNTER.fetch_add(1, Ordering::Relaxed),
        };
        let name = FileName::new(&stamp, &self.hostname, copy.domain);
        let record = copy.record(Some(&name), now);
        let json = record.json_line();
        let octets = record.file_octets().saturating_add(line_cost(json.len()));
        Prepared {
            copy,
            name,
            text: record.text_line(),
            json,
            cost: cost(copy, octets),
        }
    }

    /// Today's directory. A new one is a new day, so the links `today` and `yesterday` follow.
    fn day(&self, root: &Dir, now: &Zoned) -> Result<(Dir, DayName), KeepError> {
        let (day, name, new) = days::open(root, now.date(), self.numbering, now.time_zone())?;
        if new && let Err(trouble) = expire::relink(root, now.date(), self.numbering) {
            tracing::warn!(%trouble, "`today` and `yesterday` stay as they are");
        }
        Ok((day, name))
    }

    /// The domain's Maildir. When it is returned, all names from the root down to the Maildir's directories and the
    /// indexes are on stable storage, whoever made them: another thread may have, and not have synced them yet.
    fn place(&self, root: &Dir, day: &Dir, date: Date, domain: &Domain) -> Result<Place, KeepError> {
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        let (dir, mut fresh) = day.make(domain.as_str())?;
        for name in MAILDIR {
            fresh |= dir.make(name)?.1;
        }
        for name in [INDEX_JSON, INDEX] {
            fresh |= dir.append(name)?.1;
        }
        // By inode too: the directory may have been removed and made anew by hand.
        let key = (date, domain.clone(), dir.stat_self()?.inode);
        if fresh || !synced.contains(&key) {
            if let Some(marker) = day.find_file(MARKER)? {
                marker.sync_all().map_err(failed("sync", day.path().join(MARKER)))?;
            }
            dir.sync()?;
            day.sync()?;
            root.sync()?;
            if synced.len() >= SYNCED_MAX {
                synced.clear();
            }
            synced.insert(key);
        }
        Ok(Place {
            new: dir.open("new")?,
            tmp: dir.open("tmp")?,
            dir,
        })
    }
}

impl Prepared<'_> {
    fn held(&self, day: &DayName) -> Held {
        Held {
            id: self.copy.id.to_owned(),
            day: day.clone(),
            domain: self.copy.domain.clone(),
            file: self.name.clone(),
            client: self.copy.client,
            file_octets: self.cost.octets.saturating_sub(line_cost(self.json.len())),
        }
    }

    fn write(&self, file: &mut File) -> io::Result<()> {
        file.write_all(self.copy.first_line().as_bytes())?;
        for piece in self.copy.message {
            file.write_all(piece)?;
        }
        self.copy
            .tail
            .map_or(Ok(()), |tail| tail.each_block(|block| file.write_all(block)))
    }
}

fn cost(copy: &Copy<'_>, octets: u64) -> Cost {
    Cost {
        domain: copy.domain.clone(),
        network: Some(Network::of(copy.client)),
        octets,
    }
}

/// Writes the files of one Maildir, syncs them, and gives them their names in `new`.
fn write_files<'a>(place: &'a Place, group: &[&'a Prepared<'a>], undo: &mut Undo<'a>) -> Result<(), Trouble> {
    for some in group.chunks(FILES_OPEN_MAX) {
        let mut files = Vec::with_capacity(some.len());
        for one in some {
            let name = one.name.as_str();
            let mut file = place.tmp.create_new(name)?;
            undo.0.push((&place.tmp, name));
            one.write(&mut file)
                .map_err(failed("write", place.tmp.path().join(name)))?;
            files.push(file);
        }
        // Synced only when all are written: the first sync then brings most of the others along.
        for (file, one) in files.iter().zip(some) {
            file.sync_all()
                .map_err(failed("sync", place.tmp.path().join(one.name.as_str())))?;
        }
    }
    for one in group {
        let name = one.name.as_str();
        place.tmp.rename_new(name, &place.new, name)?;
        undo.0.push((&place.new, name));
    }
    place.new.sync()
}

/// Appends to both indexes, so that each gets all of its lines or nothing. The lock is held for the writing only;
/// whoever wants them on stable storage syncs the two files returned, and many may do so at once.
fn append(dir: &Dir, json: &[u8], text: &[u8]) -> Result<(File, File), KeepError> {
    let (json_file, text_file) = locked_indexes(dir)?;
    let json_was = append_lines(&json_file, json).map_err(failed("write", dir.path().join(INDEX_JSON)))?;
    if let Err(why) = append_lines(&text_file, text) {
        // Should this fail too: the line names a file that will be removed, so no reader shows it.
        let _ = json_file.set_len(json_was);
        return Err(failed("write", dir.path().join(INDEX))(why).into());
    }
    flock(&json_file, FlockOperation::Unlock)
        .map_err(|why| failed("unlock", dir.path().join(INDEX_JSON))(why.into()))?;
    Ok((json_file, text_file))
}

/// Both indexes, locked: a lock on `index.json` covers both.
fn locked_indexes(dir: &Dir) -> Result<(File, File), KeepError> {
    let path = dir.path().join(INDEX_JSON);
    for _ in 0..3 {
        let (json, json_made) = dir.append(INDEX_JSON)?;
        lock(&json, &path)?;
        // While we waited, someone may have removed the file by hand.
        if json.metadata().map_err(failed("look at", path.clone()))?.nlink() == 0 {
            continue;
        }
        let (text, text_made) = dir.append(INDEX)?;
        if json_made || text_made {
            dir.sync()?;
        }
        return Ok((json, text));
    }
    Err(KeepError::Busy { path })
}

/// Appends whole lines and gives the length before. After a crash the last line may be torn; then these begin on a
/// fresh one. On failure the file is as it was.
fn append_lines(mut file: &File, lines: &[u8]) -> io::Result<u64> {
    let was = file.metadata()?.len();
    let mut last = [b'\n'];
    if was > 0 {
        file.read_exact_at(&mut last, was - 1)?;
    }
    let fresh: &[u8] = if last == [b'\n'] { b"" } else { b"\n" };
    match file.write_all(&[fresh, lines].concat()) {
        Ok(()) => Ok(was),
        Err(why) => {
            // Should this fail too, a torn line is left, which readers pass over.
            let _ = file.set_len(was);
            Err(why)
        }
    }
}
