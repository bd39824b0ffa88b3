//! Which domains there were a moment ago: a domain that is missing is trouble, not an answer.
//!
//! A directory that is gone may be on its way (`mv`, `rsync`), or on a file system that is not mounted. So the last list
//! of domains is kept in `[paths] state`, with whether each had users. For 24 hours after one was first missed, or until
//! a person says that it is gone for good, mail for it is deferred; after that it is a name like any that never was
//! ours. The same holds for the users of a domain, and for links that lead nowhere. While the tree has no domain at all,
//! nobody's day passes.
//!
//! Times are arguments. Lookups change memory only; [`Roll::save`] writes what changed, durably, and nobody waits for it
//! but who forgets. One process has the list, and a lock; others [`Roll::look`] at it. Bounded by the tree: names from
//! outside never come into it.

use super::census::Seen;
use super::{Census, Domains, MissedUser, UsersSeen};
use mail::Domain;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// For how long what is missing is trouble.
const DAY_S: i64 = 24 * 3600;
/// The form of the file.
const VERSION: u32 = 1;
const FILE: &str = "domains.json";
const LOCK: &str = "domains.lock";
/// How often the log says that there are no domains, while mail is turned away.
const EMPTY_SAID: Duration = Duration::from_secs(60);

/// The list, as the process has it that takes mail.
#[derive(Debug)]
pub struct Roll {
    state_dir: PathBuf,
    /// Held as long as the list is ours; the kernel lets go of it even after a crash.
    _lock: File,
    book: Mutex<Book>,
    /// One at a time, so that what was written last is the newest.
    saving: Mutex<()>,
    changed: Notify,
    empty_said: Mutex<Option<Instant>>,
}

/// What is missing, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Of which domain.
    pub domain: Domain,
    /// Its users are; else its directory.
    pub is_users: bool,
    /// When it was first missed, in seconds since 1970.
    pub since_s: i64,
}

/// Why the list cannot be had. The operator's to mend.
#[derive(Debug)]
#[non_exhaustive]
pub enum RollError {
    /// The file cannot be read or written.
    Io(PathBuf, io::Error),
    /// It is not what we write.
    Damaged(PathBuf, String),
    /// A newer version wrote it.
    Newer(PathBuf, u32),
    /// Another process has it.
    InUse(PathBuf),
}

/// The list itself.
#[derive(Debug, Default)]
struct Book {
    entries: BTreeMap<Domain, Entry>,
    /// Since when the tree has no domain at all, as far as it was looked at; not kept over a restart.
    empty_since_s: Option<i64>,
    is_dirty: bool,
}

#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// Its directory is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    missing: Option<Gone>,
    /// It had users.
    #[serde(default)]
    users: bool,
    /// And they are missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    users_missing: Option<Gone>,
    /// Links in `users/` that lead nowhere, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    dangling: BTreeMap<String, Gone>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Gone {
    since_s: i64,
    /// A person said that it is gone for good.
    #[serde(default)]
    is_forgotten: bool,
}

#[derive(Serialize, Deserialize)]
struct Written {
    version: u32,
    domains: BTreeMap<Domain, Entry>,
}

impl Gone {
    fn now(now_s: i64) -> Gone {
        Gone {
            since_s: now_s,
            is_forgotten: false,
        }
    }

    /// Whether it is trouble still. A clock that was set back makes the day longer by no more than itself.
    fn is_trouble(&self, now_s: i64) -> bool {
        !self.is_forgotten && now_s.saturating_sub(self.since_s) < DAY_S
    }

    fn not_after(self, now_s: i64) -> Gone {
        Gone {
            since_s: self.since_s.min(now_s),
            ..self
        }
    }
}

impl Entry {
    fn miss(&mut self, now_s: i64) -> bool {
        let gone = self.missing.unwrap_or(Gone::now(now_s)).not_after(now_s);
        self.missing = Some(gone);
        gone.is_trouble(now_s)
    }

    /// Its directory is there, with such users.
    fn see(&mut self, users: &UsersSeen, now_s: i64) {
        self.missing = None;
        match users {
            UsersSeen::Some => (self.users, self.users_missing, self.dangling) = (true, None, BTreeMap::new()),
            UsersSeen::Many => self.users = true,
            UsersSeen::Unknown => {}
            UsersSeen::Nobody => {
                self.dangling.clear();
                self.miss_everybody(now_s);
                if self.users_missing.is_some_and(|gone| !gone.is_trouble(now_s)) {
                    // As if it had never had any.
                    (self.users, self.users_missing) = (false, None);
                }
            }
            UsersSeen::Dangling { somebody, names } => {
                self.dangling.retain(|name, _| names.contains(name));
                for name in names {
                    let gone = self.dangling.entry(name.clone()).or_insert(Gone::now(now_s));
                    *gone = gone.not_after(now_s);
                }
                match somebody {
                    true => (self.users, self.users_missing) = (true, None),
                    false => self.miss_everybody(now_s),
                }
            }
        }
    }

    /// Nobody is valid. One that never had users misses none.
    fn miss_everybody(&mut self, now_s: i64) {
        if self.users || self.users_missing.is_some() {
            let gone = self.users_missing.unwrap_or(Gone::now(now_s)).not_after(now_s);
            self.users_missing = Some(gone);
        }
    }

    /// Since when users are missing that are trouble.
    fn users_missed_since_s(&self, now_s: i64) -> Option<i64> {
        let all = self.users_missing.iter().chain(self.dangling.values());
        all.filter(|gone| gone.is_trouble(now_s)).map(|gone| gone.since_s).min()
    }

    fn misses(&self, user: &MissedUser, now_s: i64) -> bool {
        let gone = match user {
            MissedUser::Everybody => self.users_missing.as_ref(),
            MissedUser::Link(name) => self.dangling.get(name),
        };
        gone.is_some_and(|gone| gone.is_trouble(now_s))
    }

    /// A person says that the users that are missing are gone for good. Whether any were.
    fn forget_users(&mut self) -> bool {
        let mut any = false;
        for gone in self.users_missing.iter_mut().chain(self.dangling.values_mut()) {
            any |= !std::mem::replace(&mut gone.is_forgotten, true);
        }
        any
    }
}

impl Book {
    /// A domain's directory is there; whether it is trouble that users are not.
    fn present(&mut self, domain: &Domain, users: &UsersSeen, now_s: i64) -> bool {
        let before = self.entries.get(domain).cloned();
        let mut entry = before.clone().unwrap_or_default();
        entry.see(users, now_s);
        let is_trouble = entry.users_missed_since_s(now_s).is_some();
        self.put(domain, before, Some(entry));
        is_trouble
    }

    /// No directory is there for a name; whether that is trouble.
    fn absent(&mut self, domain: &Domain, dangles: bool, now_s: i64) -> bool {
        let before = self.entries.get(domain).cloned();
        let Some(mut entry) = before.clone().or(dangles.then(Entry::default)) else {
            return false;
        };
        let is_trouble = entry.miss(now_s);
        // A link that leads nowhere would be missed anew.
        let after = (is_trouble || dangles).then_some(entry);
        self.put(domain, before, after);
        is_trouble
    }

    /// Takes over what was looked at. Nobody is missed in a tree without domains: all of it is.
    fn take(&mut self, census: &Census, now_s: i64) {
        if census.is_empty() {
            self.empty_since_s.get_or_insert(now_s);
            return;
        }
        if let Some(since_s) = self.empty_since_s.take() {
            self.delay(now_s.saturating_sub(since_s).max(0));
        }
        for (domain, seen) in &census.0 {
            match seen {
                Seen::Here(users) => drop(self.present(domain, users, now_s)),
                Seen::Dangling => drop(self.absent(domain, true, now_s)),
                Seen::Unreadable => {}
            }
        }
        let gone: Vec<_> = self
            .entries
            .keys()
            .filter(|name| !census.0.contains_key(name))
            .cloned()
            .collect();
        for domain in gone {
            self.absent(&domain, false, now_s);
        }
    }

    /// What was missed before a time in which there was no domain has that time yet.
    fn delay(&mut self, by_s: i64) {
        for entry in self.entries.values_mut() {
            let Entry {
                missing,
                users_missing,
                dangling,
                ..
            } = entry;
            for gone in missing.iter_mut().chain(users_missing).chain(dangling.values_mut()) {
                gone.since_s = gone.since_s.saturating_add(by_s);
                self.is_dirty = true;
            }
        }
    }

    /// Whether there was anything to forget.
    fn forget(&mut self, domain: &Domain, users: bool) -> bool {
        let before = self.entries.get(domain).cloned();
        let mut entry = before.clone().unwrap_or_default();
        let was_missing = match (users, &mut entry.missing) {
            (true, _) => entry.forget_users(),
            (false, Some(gone)) => !std::mem::replace(&mut gone.is_forgotten, true),
            (false, None) => false,
        };
        if was_missing {
            self.put(domain, before, Some(entry));
        }
        was_missing
    }

    fn missing(&self, now_s: i64) -> Vec<Missing> {
        let mut all = Vec::new();
        for (domain, entry) in &self.entries {
            let directory = entry.missing.filter(|gone| gone.is_trouble(now_s));
            let directory = directory.map(|gone| gone.since_s);
            for (since_s, is_users) in [(directory, false), (entry.users_missed_since_s(now_s), true)] {
                if let Some(since_s) = since_s {
                    all.push(Missing {
                        domain: domain.clone(),
                        is_users,
                        since_s,
                    });
                }
            }
        }
        all
    }

    fn put(&mut self, domain: &Domain, before: Option<Entry>, after: Option<Entry>) {
        if before == after {
            return;
        }
        tell(domain, &before.unwrap_or_default(), after.as_ref());
        self.is_dirty = true;
        match after {
            Some(entry) => drop(self.entries.insert(domain.clone(), entry)),
            None => drop(self.entries.remove(domain)),
        }
    }
}

/// What changed, for the log.
fn tell(domain: &Domain, before: &Entry, after: Option<&Entry>) {
    let is_over = "it was missing for 24 hours or was forgotten; its mail is refused";
    let Some(after) = after else {
        return tracing::warn!(%domain, "no domain of ours any more: {is_over}");
    };
    match (before.missing, after.missing) {
        (None, Some(_)) => tracing::error!(
            %domain, hint = format!("`mailward domains forget {domain}` if it is gone for good"),
            "the domain's directory is missing; its mail is deferred for 24 hours"
        ),
        (Some(_), None) => tracing::info!(%domain, "the domain's directory is there again"),
        _ => {}
    }
    let is_missed = |entry: &Entry| entry.users_missing.is_some() || !entry.dangling.is_empty();
    let is_new = |name: &&String| !before.dangling.contains_key(*name);
    if let Some(name) = after.dangling.keys().find(is_new).filter(|_| is_missed(before)) {
        tracing::error!(%domain, name, "another link of the domain's users leads nowhere; mail for it is deferred for 24 hours");
    }
    match (is_missed(before), is_missed(after)) {
        (false, true) => tracing::error!(
            %domain, hint = format!("`mailward domains forget {domain} --users` if that is meant"),
            "the domain's users are missing; mail for them is deferred for 24 hours"
        ),
        (true, false) if after.users => tracing::info!(%domain, "the domain's users are there again"),
        (true, false) => tracing::warn!(%domain, "the domain has no users any more: {is_over}"),
        _ => {}
    }
}

impl Roll {
    /// Takes the list, and what the tree holds now into it. The first time there is none.
    ///
    /// # Errors
    /// It cannot be read, another process has it, or it cannot be written.
    pub fn open(state_dir: &Path, domains: &Domains, now_s: i64) -> Result<Roll, RollError> {
        let lock = lock(state_dir)?;
        let roll = Roll {
            state_dir: state_dir.to_owned(),
            _lock: lock,
            book: Mutex::new(read(state_dir)?),
            saving: Mutex::new(()),
            changed: Notify::new(),
            empty_said: Mutex::new(None),
        };
        if let Some(census) = domains.census() {
            roll.take(&census, now_s);
        }
        roll.save()
            .map_err(|error| RollError::Io(state_dir.join(FILE), error))?;
        Ok(roll)
    }

    /// What is missing by the list as it lies there, and the tree as it is; changes nothing.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn look(state_dir: &Path, domains: &Domains, now_s: i64) -> Result<Vec<Missing>, RollError> {
        let mut book = read(state_dir)?;
        if let Some(census) = domains.census() {
            book.take(&census, now_s);
        }
        Ok(book.missing(now_s))
    }

    /// A domain's directory is there, with such users; whether it is trouble that some are missing.
    pub fn present(&self, domain: &Domain, users: &UsersSeen, now_s: i64) -> bool {
        self.with(|book| book.present(domain, users, now_s))
    }

    /// Whether it is trouble that what decides of somebody is missing, as far as [`Roll::present`] was told.
    pub fn misses(&self, domain: &Domain, user: &MissedUser, now_s: i64) -> bool {
        let book = self.book();
        book.entries.get(domain).is_some_and(|entry| entry.misses(user, now_s))
    }

    /// No directory is there for a name, or a link that leads nowhere; whether that is trouble.
    pub fn absent(&self, domain: &Domain, dangles: bool, now_s: i64) -> bool {
        self.with(|book| book.absent(domain, dangles, now_s))
    }

    /// Takes over what was looked at.
    pub fn take(&self, census: &Census, now_s: i64) {
        self.with(|book| book.take(census, now_s));
    }

    /// A person says that a domain, or its users, are gone for good. Whether they were missing; it is written then.
    ///
    /// # Errors
    /// It could not be written.
    pub fn forget(&self, domain: &Domain, users: bool) -> io::Result<bool> {
        let was_missing = self.with(|book| book.forget(domain, users));
        self.save()?;
        Ok(was_missing)
    }

    /// What is missing.
    pub fn missing(&self, now_s: i64) -> Vec<Missing> {
        self.book().missing(now_s)
    }

    /// Mail was turned away because there are no domains: says so in the log, once a minute.
    pub fn turned_away(&self, root: &Path) {
        let now = Instant::now();
        let mut said = self.empty_said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|said| now.duration_since(said) >= EMPTY_SAID) {
            *said = Some(now);
            tracing::error!(
                path = %root.display(),
                hint = "mount what belongs there, or make a directory for each domain",
                "there is no domain; all mail is deferred"
            );
        }
    }

    /// Waits until something changed.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Writes what changed since the last time. After an error it is tried again with the next one.
    ///
    /// # Errors
    /// It is not on stable storage.
    pub fn save(&self) -> io::Result<()> {
        let _one = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = {
            let mut book = self.book();
            if !std::mem::take(&mut book.is_dirty) {
                return Ok(());
            }
            book.entries.clone()
        };
        let written = write(&self.state_dir, entries);
        if written.is_err() {
            self.book().is_dirty = true;
        }
        written
    }

    fn with<T>(&self, change: impl FnOnce(&mut Book) -> T) -> T {
        let mut book = self.book();
        let done = change(&mut book);
        if book.is_dirty {
            self.changed.notify_one();
        }
        done
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock(state_dir: &Path) -> Result<File, RollError> {
    let path = state_dir.join(LOCK);
    let file = OpenOptions::new().create(true).append(true).mode(0o640).open(&path);
    let file = file.and_then(|file| give(file, state_dir));
    let file = file.map_err(|error| RollError::Io(path.clone(), error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RollError::InUse(path)),
        Err(TryLockError::Error(error)) => Err(RollError::Io(path, error)),
    }
}

/// What root's command makes belongs to whom the directory does, so that the daemon can go on with it.
fn give(file: File, state_dir: &Path) -> io::Result<File> {
    let (dir, now) = (std::fs::metadata(state_dir)?, file.metadata()?);
    if (dir.uid(), dir.gid()) != (now.uid(), now.gid()) && rustix::process::geteuid().is_root() {
        fchown(&file, Some(dir.uid()), Some(dir.gid()))?;
    }
    Ok(file)
}

fn read(state_dir: &Path) -> Result<Book, RollError> {
    let path = state_dir.join(FILE);
    let octets = match std::fs::read(&path) {
        Ok(octets) => octets,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Book::default()),
        Err(error) => return Err(RollError::Io(path, error)),
    };
    /// Read first: of a newer version's file nothing else is known.
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let version = serde_json::from_slice::<Version>(&octets).map(|written| written.version);
    match version {
        Ok(version) if version > VERSION => return Err(RollError::Newer(path, version)),
        Ok(_) => {}
        Err(error) => return Err(RollError::Damaged(path, error.to_string())),
    }
    let written: Written =
        serde_json::from_slice(&octets).map_err(|error| RollError::Damaged(path, error.to_string()))?;
    Ok(Book {
        entries: written.domains,
        empty_since_s: None,
        is_dirty: false,
    })
}

/// Whole or not at all, also after a crash.
fn write(state_dir: &Path, domains: BTreeMap<Domain, Entry>) -> io::Result<()> {
    let written = Written {
        version: VERSION,
        domains,
    };
    let mut octets = serde_json::to_vec_pretty(&written)?;
    octets.push(b'\n');
    let new = state_dir.join("domains.json.new");
    let options = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o640)
        .open(&new);
    let mut file = give(options?, state_dir)?;
    file.write_all(&octets)?;
    file.sync_all()?;
    std::fs::rename(&new, state_dir.join(FILE))?;
    File::open(state_dir)?.sync_all()
}

impl Missing {
    /// Until when its mail is deferred.
    pub fn until_s(&self) -> i64 {
        self.since_s.saturating_add(DAY_S)
    }

    /// What, in words.
    pub fn what(&self) -> &'static str {
        match self.is_users {
            true => "users",
            false => "directory",
        }
    }

    /// The command for what is gone for good.
    pub fn hint(&self) -> String {
        let users = if self.is_users { " --users" } else { "" };
        format!("`mailward domains forget {}{users}` if that is meant", self.domain)
    }
}

/// `b.example: directory missing since ..., its mail is deferred until ...`.
impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |s| jiff::Timestamp::from_second(s).unwrap_or_default();
        let (what, since, until) = (self.what(), time(self.since_s), time(self.until_s()));
        write!(
            f,
            "{}: {what} missing since {since}, mail is deferred until {until}",
            self.domain
        )
    }
}

impl RollError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            RollError::Io(..) => {
                "let the daemon's user read and write it; set `[paths] state` to a directory that can be written"
            }
            RollError::Damaged(..) => "restore it; or remove it if all domains and their users are there now",
            RollError::Newer(..) => "start the version that wrote it, or a newer one",
            RollError::InUse(_) => "ask it at its control socket: start it with the part `control`",
        }
    }
}

impl fmt::Display for RollError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RollError::Io(path, error) => write!(f, "the list of domains: {}: {error}", path.display()),
            RollError::Damaged(path, why) => write!(f, "the list of domains is damaged: {}: {why}", path.display()),
            RollError::Newer(path, version) => {
                write!(
                    f,
                    "the list of domains has version {version}, which this one does not know: {}",
                    path.display()
                )
            }
            RollError::InUse(path) => write!(
                f,
                "a daemon that does not answer has the list of domains: {}",
                path.display()
            ),
        }
    }
}

impl std::error::Error for RollError {}
