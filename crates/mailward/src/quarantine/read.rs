//! Listing, searching, showing and releasing.
//!
//! The truth is the message file: an index line whose file is gone is no entry. Index content is foreign text; it
//! leaves here as [`mail::Line`], or as an address that parsed. Damaged lines are passed over and counted.
//!
//! Memory is bounded by the limit that the caller gives, not by the size of the tree; released mail of a domain and
//! day (`cur`) is held as a list of names.

use super::Quarantine;
use super::days::{self, INDEX_JSON, is_dir};
use super::disk::{Dir, failed};
use super::entry::{Entry, RECIPIENT_FIELD, Record, State};
use super::error::{ReadError, Trouble};
use super::lines::{Backwards, IndexLine, forwards};
use super::name::{DayName, FileName, Reference};
use super::usage::{Cost, Network, Usage, line_cost};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
use mail::{Address, Domain, Message, ReversePath, mbox_lines};
use rustix::fs::FileType;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Header fields of ours that say why a message was refused; they go when it is released.
const REFUSAL_FIELDS: [&str; 2] = ["X-REJECT-REASON", "X-REJECT-PLUGIN"];

/// Which days are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Days {
    /// All there are.
    #[default]
    All,
    /// Today and the days before it, so many in all. Days ahead of the clock are among them.
    Last(u16),
    /// One day.
    On(Date),
}

/// Which entries are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Which days.
    pub days: Days,
    /// Only entries of this recipient domain.
    pub domain: Option<Domain>,
    /// Only entries of this recipient, compared in lower case.
    pub recipient: Option<Address>,
    /// How many at most.
    pub limit: usize,
}

impl Filter {
    /// What fits on a few screens.
    pub const LIMIT: usize = 100;
}

impl Default for Filter {
    fn default() -> Filter {
        Filter {
            days: Days::All,
            domain: None,
            recipient: None,
            limit: Filter::LIMIT,
        }
    }
}

/// Entries, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Index lines that were met and could not be read.
    pub damaged: u64,
    /// Whether there are more entries than the limit let through.
    pub more: bool,
}

/// A message to be delivered after all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// What MAIL FROM carried when the message came.
    pub reverse_path: ReversePath,
    /// Whom the message was for, in the case in which it was given.
    pub recipient: Address,
    /// The message without what the quarantine added.
    pub octets: Vec<u8>,
}

impl Quarantine {
    /// Lists entries, newest first.
    pub fn list(&self, filter: &Filter, now: &Zoned) -> Result<Listing, ReadError> {
        self.gather(filter, now, |_| true)
    }

    /// Lists entries any of whose texts has `text` as a part, in any case.
    pub fn search(&self, text: &str, filter: &Filter, now: &Zoned) -> Result<Listing, ReadError> {
        let folded = text.to_lowercase();
        self.gather(filter, now, |entry| entry.has_text(&folded))
    }

    /// Lists entries of those that `wanted` lets through, newest first; with a text, those of them that have it as a
    /// part, in any case.
    pub fn list_where(
        &self,
        text: Option<&str>,
        filter: &Filter,
        now: &Zoned,
        wanted: impl Fn(&Entry) -> bool,
    ) -> Result<Listing, ReadError> {
        let folded = text.map(str::to_lowercase);
        let has_text = |entry: &Entry| folded.as_ref().is_none_or(|text| entry.has_text(text));
        self.gather(filter, now, |entry| has_text(entry) && wanted(entry))
    }

    /// The entries that a reference names, newest first: one for a path, one for each recipient for an id, none if
    /// there is no such entry, or its file is gone.
    pub fn find(&self, reference: &Reference, now: &Zoned) -> Result<Vec<Entry>, ReadError> {
        let root = Dir::open_root(&self.root)?;
        let mut found = Listing {
            entries: Vec::new(),
            damaged: 0,
            more: false,
        };
        match reference {
            Reference::Path { day, domain, file } => {
                if let Some(dir) = domain_dir(&self.root, day, domain)? {
                    let wanted = |entry: &Entry| entry.filename.as_ref() == Some(file);
                    read_domain(&dir, (day, domain), file.as_str(), 1, &mut found, wanted)?;
                }
            }
            Reference::Id(id) => {
                for day in days::all(&root, now.time_zone())? {
                    read_day(&root, &day.name, None, id, usize::MAX, &mut found, &|entry| {
                        entry.id.as_str() == id
                    })?;
                    // All copies of a message are of one day.
                    if !found.entries.is_empty() {
                        break;
                    }
                }
            }
        }
        Ok(found.entries)
    }

    /// The stored file of an entry: the line `Recipient: ADDRESS`, then the message. To show it to a person, use
    /// [`super::print::message`].
    pub fn open_message(&self, entry: &Entry) -> Result<File, ReadError> {
        let Some(name) = &entry.filename else {
            return Err(ReadError::MetadataOnly);
        };
        if let Some(dir) = domain_dir(&self.root, &entry.day, &entry.domain)?
            && let Some((part, name)) = Files::of(&dir)?.find(name)?
            && let Some(file) = part.find_file(&name)?
        {
            return Ok(file);
        }
        let reference = Reference::Path {
            day: entry.day.clone(),
            domain: entry.domain.clone(),
            file: name.clone(),
        };
        Err(ReadError::Gone {
            reference: reference.to_string(),
        })
    }

    /// The message of an entry as it should be delivered. When that is done, call [`Quarantine::mark_released`].
    /// All of it is in memory; it was no larger when the gateway took it.
    pub fn release(&self, entry: &Entry) -> Result<Released, ReadError> {
        let mut file = self.open_message(entry)?;
        let mut octets = Vec::new();
        file.read_to_end(&mut octets)
            .map_err(failed("read", self.root.join(entry.day.as_str())))?;
        let (recipient, message) = split_recipient(&octets).ok_or(ReadError::NoRecipient)?;
        Ok(Released {
            reverse_path: entry.reverse_path.clone().ok_or(ReadError::NoReversePath)?,
            recipient,
            octets: without_refusal(message),
        })
    }

    fn gather(&self, filter: &Filter, now: &Zoned, wanted: impl Fn(&Entry) -> bool) -> Result<Listing, ReadError> {
        let Filter {
            days,
            domain,
            recipient,
            limit,
        } = filter;
        let recipient = recipient.as_ref().map(Address::folded);
        let wanted = |entry: &Entry| {
            let of = || entry.address.as_ref().map(Address::folded);
            (recipient.is_none() || of() == recipient) && wanted(entry)
        };
        let root = Dir::open_root(&self.root)?;
        let mut listing = Listing::default();
        for day in days::all(&root, now.time_zone())? {
            if !days.include(day.date, now.date()) {
                continue;
            }
            let before = listing.entries.len();
            // One more than wanted tells whether there are more.
            let room = limit.saturating_add(1).saturating_sub(before);
            let mut today = Listing::default();
            read_day(&root, &day.name, domain.as_ref(), "", room, &mut today, &wanted)?;
            listing.damaged += today.damaged;
            listing.entries.append(&mut today.entries);
            if listing.entries.len() > *limit {
                listing.entries.truncate(*limit);
                listing.more = true;
                break;
            }
        }
        Ok(listing)
    }
}

impl Days {
    fn include(self, date: Date, today: Date) -> bool {
        match self {
            Days::All => true,
            Days::Last(0) => false,
            Days::Last(days) => today
                .checked_sub(i32::from(days - 1).days())
                .is_ok_and(|first| date >= first),
            Days::On(day) => date == day,
        }
    }
}

/// The newest `limit` entries of a day that are wanted, newest first. `part` is a text that each of their index lines
/// has; it spares reading the others.
fn read_day(
    root: &Dir,
    name: &DayName,
    domain: Option<&Domain>,
    part: &str,
    limit: usize,
    found: &mut Listing,
    wanted: &dyn Fn(&Entry) -> bool,
) -> Result<(), Trouble> {
    let Some(day) = root.find(name.as_str())? else {
        return Ok(());
    };
    let domains = match domain {
        Some(domain) if is_dir(&day, domain.as_str())? => vec![domain.clone()],
        Some(_) => Vec::new(),
        None => days::domains(&day)?,
    };
    for domain in &domains {
        let Some(dir) = day.find(domain.as_str())? else {
            continue;
        };
        // One index that cannot be read must not hide the others.
        if let Err(trouble) = read_domain(&dir, (name, domain), part, limit, found, wanted) {
            tracing::warn!(%trouble, "an index is passed over");
            found.damaged += 1;
        }
        // Stable: entries of one time stay as their index has them, the later first.
        found
            .entries
            .sort_by_key(|entry| std::cmp::Reverse(entry.time.unwrap_or(Timestamp::MIN)));
        found.entries.truncate(limit);
    }
    Ok(())
}

/// Adds the newest `limit` entries of a domain's day that are wanted.
fn read_domain(
    dir: &Dir,
    (day, domain): (&DayName, &Domain),
    part: &str,
    limit: usize,
    found: &mut Listing,
    wanted: impl Fn(&Entry) -> bool,
) -> Result<(), Trouble> {
    let path = || dir.path().join(INDEX_JSON);
    let Some(index) = dir.find_file(INDEX_JSON)? else {
        return Ok(());
    };
    let files = Files::of(dir)?;
    let mut lines = Backwards::new(index).map_err(failed("read", path()))?;
    let mut count = 0;
    while count < limit
        && let Some(line) = lines.next().map_err(failed("read", path()))?
    {
        let IndexLine::Whole(line) = line else {
            found.damaged += 1;
            continue;
        };
        if !part.is_empty() && !String::from_utf8_lossy(&line).contains(part) {
            continue;
        }
        let Some(mut entry) = Record::parse(&line).and_then(|record| record.into_entry(day, domain)) else {
            found.damaged += 1;
            continue;
        };
        if !wanted(&entry) {
            continue;
        }
        if let Some(name) = &entry.filename {
            match files.state(name)? {
                Some(state) => entry.state = state,
                None => continue,
            }
        }
        found.entries.push(entry);
        count += 1;
    }
    Ok(())
}

/// The directory of a day's domain; `None` if there is none.
pub(super) fn domain_dir(root: &Path, day: &DayName, domain: &Domain) -> Result<Option<Dir>, Trouble> {
    let root = Dir::open_root(root)?;
    if !is_dir(&root, day.as_str())? {
        return Ok(None);
    }
    match root.find(day.as_str())? {
        Some(day) if is_dir(&day, domain.as_str())? => day.find(domain.as_str()),
        _ => Ok(None),
    }
}

/// The message files of a Maildir.
pub(super) struct Files<'a> {
    dir: &'a Dir,
    new: Option<Dir>,
    /// Names in `cur` without and with flags, read when first asked for.
    cur: OnceCell<HashMap<FileName, String>>,
}

impl Files<'_> {
    pub fn of(dir: &Dir) -> Result<Files<'_>, Trouble> {
        let new = if is_dir(dir, "new")? { dir.find("new")? } else { None };
        Ok(Files {
            dir,
            new,
            cur: OnceCell::new(),
        })
    }

    /// What became of a file; `None` if it is gone.
    pub fn state(&self, name: &FileName) -> Result<Option<State>, Trouble> {
        if self.is_new(name)? {
            return Ok(Some(State::Held));
        }
        let flags = |full: &String| FileName::parse_flagged(full).is_some_and(|(_, flags)| is_seen(flags));
        Ok(self
            .cur()?
            .get(name)
            .map(|full| if flags(full) { State::Released } else { State::Held }))
    }

    /// Where a file is, and its whole name there; `None` if it is gone.
    pub fn find(&self, name: &FileName) -> Result<Option<(Dir, String)>, Trouble> {
        if self.is_new(name)? {
            return Ok(self.dir.find("new")?.map(|new| (new, name.to_string())));
        }
        match self.cur()?.get(name) {
            Some(full) => Ok(self.dir.find("cur")?.map(|cur| (cur, full.clone()))),
            None => Ok(None),
        }
    }

    fn is_new(&self, name: &FileName) -> Result<bool, Trouble> {
        let Some(new) = &self.new else {
            return Ok(false);
        };
        Ok(new
            .stat(name.as_str())?
            .is_some_and(|stat| stat.kind == FileType::RegularFile))
    }

    fn cur(&self) -> Result<&HashMap<FileName, String>, Trouble> {
        if let Some(cur) = self.cur.get() {
            return Ok(cur);
        }
        let mut names = HashMap::new();
        if is_dir(self.dir, "cur")?
            && let Some(cur) = self.dir.find("cur")?
        {
            cur.each(|full| {
                if let Some((name, _)) = FileName::parse_flagged(full)
                    && cur.stat(full)?.is_some_and(|stat| stat.kind == FileType::RegularFile)
                {
                    names.insert(name, full.to_owned());
                }
                Ok(true)
            })?;
        }
        Ok(self.cur.get_or_init(|| names))
    }
}

/// Whether Maildir flags (`2,FS`) say that a message was seen, which is how a released one is marked.
pub(super) fn is_seen(flags: &str) -> bool {
    flags.strip_prefix("2,").is_some_and(|letters| letters.contains('S'))
}

/// Counts what all entries cost whose files exist, and the index lines of the others.
pub(super) fn count(root: &Dir) -> Result<Usage, Trouble> {
    let mut usage = Usage::default();
    for found in days::all(root, &TimeZone::UTC)? {
        let Some(day) = root.find(found.name.as_str())? else {
            continue;
        };
        for domain in days::domains(&day)? {
            // One index that cannot be read must not keep the gateway from starting.
            if let Some(dir) = day.find(domain.as_str())?
                && let Err(trouble) = count_domain(&dir, &domain, &mut usage)
            {
                tracing::warn!(%trouble, "an index is not counted");
            }
        }
    }
    Ok(usage)
}

fn count_domain(dir: &Dir, domain: &Domain, usage: &mut Usage) -> Result<(), Trouble> {
    let Some(index) = dir.find_file(INDEX_JSON)? else {
        return Ok(());
    };
    let files = Files::of(dir)?;
    let mut trouble = None;
    let read = forwards(index, |line, octets| {
        let record = match &line {
            IndexLine::Whole(line) => Record::parse(line),
            IndexLine::TooLong => None,
        };
        let mut cost = Cost {
            domain: domain.clone(),
            network: None,
            octets: line_cost(octets),
        };
        if let Some(record) = record {
            cost.network = record.ip.parse().ok().map(Network::of);
            match FileName::parse(&record.filename).map(|name| files.state(&name)) {
                Some(Ok(Some(_))) => cost.octets = cost.octets.saturating_add(record.file_octets()),
                Some(Ok(None)) | None => {}
                Some(Err(why)) => trouble = Some(why),
            }
        }
        usage.add(&cost);
    });
    read.map_err(failed("read", dir.path().join(INDEX_JSON)))?;
    trouble.map_or(Ok(()), Err)
}

/// The recipient that the first line names, and the message behind it. Lines may end in LF alone, as in files of the
/// original program.
fn split_recipient(octets: &[u8]) -> Option<(Address, &[u8])> {
    let end = octets.iter().position(|b| *b == b'\n')?;
    let line = std::str::from_utf8(&octets[..end]).ok()?;
    let address = Address::parse(line.strip_prefix(RECIPIENT_FIELD)?.trim_end()).ok()?;
    Some((address, &octets[end + 1..]))
}

/// The message without the fields that say why it was refused; all other octets stay as they are.
fn without_refusal(octets: &[u8]) -> Vec<u8> {
    let message = Message::parse(octets);
    let fields: usize = message.fields().iter().map(|field| field.raw().len()).sum();
    // Fields stand in a row. Lines of an mbox before the first are no fields.
    let before = mbox_lines(octets);
    let mut out = Vec::with_capacity(octets.len());
    out.extend_from_slice(&octets[..before]);
    for field in message.fields() {
        if !REFUSAL_FIELDS.iter().any(|name| field.is(name)) {
            out.extend_from_slice(field.raw());
        }
    }
    out.extend_from_slice(&octets[before + fields..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_released_message_loses_what_the_quarantine_added_and_nothing_else() {
        let stored = b"Recipient: Ann@Example.com\r\nSubject: a\r\nX-Reject-Reason: b\r\n c\r\nX-REJECT-PLUGIN: d\r\nX-HELO: e\r\n\r\nX-REJECT-REASON: body\r\n";
        let (recipient, message) = split_recipient(stored).unwrap();
        assert_eq!(recipient.as_str(), "Ann@Example.com");
        assert_eq!(
            without_refusal(message),
            b"Subject: a\r\nX-HELO: e\r\n\r\nX-REJECT-REASON: body\r\n"
        );
        assert_eq!(
            without_refusal(b"From x\nX-Reject-Reason: a\nB: c\n\nd"),
            b"From x\nB: c\n\nd"
        );
        assert!(split_recipient(b"Recipient: nobody\r\n\r\n").is_none());
        assert!(split_recipient(b"Subject: x\r\n\r\n").is_none());
    }

    #[test]
    fn the_last_days_count_today() {
        let date = |text: &str| text.parse::<Date>().unwrap();
        let include = |days: Days, day| days.include(date(day), date("2025-01-01"));
        assert!(include(Days::Last(1), "2025-01-01") && !include(Days::Last(1), "2024-12-31"));
        assert!(include(Days::Last(2), "2024-12-31") && include(Days::Last(1), "2025-01-02"));
        assert!(!include(Days::Last(0), "2025-01-01") && include(Days::On(date("2024-12-31")), "2024-12-31"));
    }

    proptest! {
        #[test]
        fn a_message_without_refusal_fields_is_released_as_it_is(octets in proptest::collection::vec(
            prop_oneof![Just(b'\r'), Just(b'\n'), Just(b':'), Just(b' '), Just(b'a'), any::<u8>()], 0..300)) {
            prop_assert_eq!(without_refusal(&octets), octets);
        }

        #[test]
        fn any_stored_octets_are_read_without_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = split_recipient(&octets);
            let _ = split_recipient(&[b"Recipient: ", &octets[..]].concat());
            let _ = without_refusal(&[b"From ", &octets[..]].concat());
        }
    }
}
