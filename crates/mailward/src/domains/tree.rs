//! Directories and small files, read once and again only when they changed.
//!
//! A [`Tree`] remembers what it read by path and watches it through [`super::watch`]. [`Tree::refresh`] forgets what
//! changed since; what is asked for after that is answered from memory or read from disk. The paths it is asked for
//! are made of the operator's configuration and of names that stand in listings, never of names from a message.
//!
//! Links are followed. Each directory that the way through a link passes is watched for the one name that the way
//! takes, so a link that is pointed elsewhere, and a target that comes or goes, are seen. What cannot be watched is
//! compared by its timestamps at each refresh; a timestamp that was young when the file was read is not trusted,
//! since a second change may have got the same one.

use super::watch::{Hold, Marks, Watcher};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{FileType, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What is read of one file, in octets. Nothing that an operator writes into a check file comes near it.
pub(super) const TEXT_OCTETS_MAX: usize = 64 * 1024;
/// Files of a directory that has more are not watched one by one, because watches cost the kernel memory: one that
/// gets a second name only after it was read, and is written by that name, is then not seen.
const FILES_WATCHED_MAX: usize = 256;
/// As many links in one path as Linux follows.
const LINKS_MAX: u32 = 40;
/// The coarsest timestamps of file systems in use (FAT) have two seconds.
const TIMESTAMP_GRAIN: Duration = Duration::from_secs(2);

/// The file system, counting how often it is asked.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) watcher: Watcher,
    accesses: AtomicU64,
}

/// What is known of a set of paths.
#[derive(Debug)]
pub(super) struct Tree {
    disk: Arc<Disk>,
    marks: Arc<Marks>,
    nodes: BTreeMap<(PathBuf, Ask), Node>,
    /// Some node is not watched.
    comparing: bool,
}

/// Something that is there and cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) path: PathBuf,
    pub(super) why: String,
}

pub(super) type Answer<T> = Result<Option<T>, Unreadable>;

/// What stands in a directory, sorted by name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listing {
    /// Device and inode.
    pub(super) identity: (u64, u64),
    /// Octal permissions and such, as in `st_mode`.
    pub(super) mode: u32,
    /// Owner.
    pub(super) uid: u32,
    pub(super) entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: OsString,
    pub(super) kind: Kind,
}

/// What an entry is by itself, links not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A directory.
    Dir,
    /// A link to anything or nothing.
    Link,
    /// A file, or what else may stand there (a socket, a device): it exists.
    File,
}

/// A file's octets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Text {
    /// No more than [`TEXT_OCTETS_MAX`].
    pub(super) octets: Vec<u8>,
    /// There is more.
    pub(super) is_cut: bool,
    /// As in `st_mode`.
    pub(super) mode: u32,
}

/// How a path's way is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Each directory from `/` on.
    Root,
    /// The directory it stands in.
    Parent,
    /// The listing of the directory it stands in, which this tree holds, tells of it.
    Listing,
}

/// What of a path is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ask {
    Listing,
    Text,
    Kind,
}

#[derive(Debug)]
struct Node {
    value: Value,
    trust: Trust,
    holds: Vec<Hold>,
    /// To be read again when it is asked for; until then its watches stay, so that nothing in between is missed.
    is_stale: bool,
}

#[derive(Debug, Clone)]
enum Value {
    Absent,
    Listing(Arc<Listing>),
    Text(Arc<Text>),
    Kind(Kind),
    Failed(Unreadable),
}

/// Until when a value holds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Trust {
    /// Until a mark says otherwise.
    Watched,
    /// As long as the path has this stamp.
    Stamp(Option<Stamp>),
    /// Not beyond this lookup.
    Once,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    identity: (u64, u64),
    mode: u32,
    uid: u32,
    links: u64,
    size: u64,
    changed_ns: i128,
    written_ns: i128,
}

impl Disk {
    pub(super) fn new(watcher: Watcher) -> Arc<Disk> {
        Arc::new(Disk {
            watcher,
            accesses: AtomicU64::new(0),
        })
    }

    /// How often the disk was asked for anything.
    pub(super) fn accesses(&self) -> u64 {
        self.accesses.load(Ordering::Relaxed)
    }

    fn count(&self) {
        self.accesses.fetch_add(1, Ordering::Relaxed);
    }

    /// What stands at the end of all links; `None` when nothing does.
    pub(super) fn stat(&self, path: &Path) -> io::Result<Option<Metadata>> {
        self.count();
        absent_is_none(std::fs::metadata(path))
    }

    /// What stands there itself.
    pub(super) fn lstat(&self, path: &Path) -> io::Result<Option<Metadata>> {
        self.count();
        absent_is_none(std::fs::symlink_metadata(path))
    }

    /// The path without links.
    pub(super) fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.count();
        std::fs::canonicalize(path)
    }

    fn link(&self, path: &Path) -> io::Result<PathBuf> {
        self.count();
        std::fs::read_link(path)
    }

    fn entries(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.count();
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            let name = entry.file_name();
            match entry.file_type() {
                Ok(file_type) => entries.push(Entry {
                    name,
                    kind: kind(file_type),
                }),
                // It went while we read.
                Err(error) if is_absence(&error) => {}
                Err(error) => return Err(error),
            }
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Never waits: a pipe or a device counts as empty.
    fn text(&self, path: &Path, meta: &Metadata) -> io::Result<Text> {
        let mut text = Text {
            mode: meta.mode(),
            ..Text::default()
        };
        if !meta.is_file() {
            return Ok(text);
        }
        self.count();
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let file = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(nonblocking)
            .open(path)?;
        if !file.metadata()?.is_file() {
            return Ok(text);
        }
        file.take(TEXT_OCTETS_MAX as u64 + 1).read_to_end(&mut text.octets)?;
        text.is_cut = text.octets.len() > TEXT_OCTETS_MAX;
        text.octets.truncate(TEXT_OCTETS_MAX);
        Ok(text)
    }
}

/// A dangling link, and a path that leads through a file, lead to nothing. A circle of links is an error: the operator
/// meant something to be there.
fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn kind(file_type: FileType) -> Kind {
    if file_type.is_dir() {
        Kind::Dir
    } else if file_type.is_symlink() {
        Kind::Link
    } else {
        Kind::File
    }
}

impl Unreadable {
    /// A link that leads nowhere, where something must be.
    pub(super) fn dangling(path: &Path) -> Unreadable {
        Unreadable {
            path: path.to_path_buf(),
            why: "the link leads nowhere".into(),
        }
    }

    pub(super) fn new(path: &Path, error: &io::Error) -> Unreadable {
        Unreadable {
            path: path.to_path_buf(),
            why: error.to_string(),
        }
    }
}

impl Listing {
    /// Whether a name stands here.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    /// The entry of a name.
    pub(super) fn entry(&self, name: &str) -> Option<&Entry> {
        let at = self
            .entries
            .binary_search_by(|entry| entry.name.as_os_str().cmp(name.as_ref()));
        at.ok().and_then(|at| self.entries.get(at))
    }
}

impl Tree {
    pub(super) fn new(disk: &Arc<Disk>) -> Tree {
        Tree {
            disk: Arc::clone(disk),
            marks: Arc::default(),
            nodes: BTreeMap::new(),
            comparing: false,
        }
    }

    /// The directory at `path`; `None` when there is none.
    pub(super) fn list(&mut self, path: &Path, way: Way) -> Answer<Arc<Listing>> {
        match self.value(path, Ask::Listing, way) {
            Value::Listing(listing) => Ok(Some(listing)),
            Value::Failed(unreadable) => Err(unreadable),
            _ => Ok(None),
        }
    }

    /// The directory `name` in `dir`, whose listing this tree holds or reads.
    pub(super) fn subdir(&mut self, dir: &Path, name: &str) -> Answer<Arc<Listing>> {
        match self.list(dir, Way::Listing)? {
            Some(listing) if listing.has(name) => self.list(&dir.join(name), Way::Listing),
            _ => Ok(None),
        }
    }

    /// As [`Tree::subdir`], for a directory without which mail would be refused or filed wrongly: a link to nothing in its
    /// place is trouble, not absence.
    pub(super) fn meant_subdir(&mut self, dir: &Path, name: &str) -> Answer<Arc<Listing>> {
        let found = self.subdir(dir, name)?;
        if found.is_none() && self.dangles(dir, name)? {
            return Err(Unreadable::dangling(&dir.join(name)));
        }
        Ok(found)
    }

    /// Whether `name` in `dir`, whose listing this tree holds or reads, is a link to nothing.
    pub(super) fn dangles(&mut self, dir: &Path, name: &str) -> Result<bool, Unreadable> {
        let Some(listing) = self.list(dir, Way::Listing)? else {
            return Ok(false);
        };
        match listing.entry(name) {
            Some(entry) if entry.kind == Kind::Link => Ok(self.kind(dir, entry)?.is_none()),
            _ => Ok(false),
        }
    }

    /// The octets of `name` in `dir`; no octets when it is something other than a file.
    pub(super) fn text(&mut self, dir: &Path, name: &OsStr) -> Answer<Arc<Text>> {
        match self.value(&dir.join(name), Ask::Text, Way::Listing) {
            Value::Text(text) => Ok(Some(text)),
            Value::Failed(unreadable) => Err(unreadable),
            _ => Ok(None),
        }
    }

    /// What `entry` in `dir` is at the end of all links; `None` for a dangling link. Never [`Kind::Link`].
    pub(super) fn kind(&mut self, dir: &Path, entry: &Entry) -> Answer<Kind> {
        if entry.kind != Kind::Link {
            return Ok(Some(entry.kind));
        }
        match self.value(&dir.join(&entry.name), Ask::Kind, Way::Listing) {
            Value::Kind(kind) => Ok(Some(kind)),
            Value::Failed(unreadable) => Err(unreadable),
            _ => Ok(None),
        }
    }

    /// Forgets what changed, and says what did: paths at or below which something may be different. Costs no disk
    /// access when everything is watched.
    pub(super) fn refresh(&mut self) -> Vec<PathBuf> {
        let mut touched = Vec::new();
        if let Some(marks) = self.marks.take() {
            if marks.all {
                touched.extend(self.nodes.keys().map(|(path, _)| path.clone()));
                self.clear();
            }
            for path in marks.listings {
                self.expire(&path);
                touched.push(path);
            }
            for path in marks.replaced {
                self.forget(&path);
                touched.push(path);
            }
        }
        if self.comparing {
            self.compare(&mut touched);
        }
        touched
    }

    /// Whether [`Tree::refresh`] would find nothing changed, without asking the disk.
    pub(super) fn is_fresh(&self) -> bool {
        !self.comparing && self.marks.is_empty()
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        for (_, node) in std::mem::take(&mut self.nodes) {
            self.disk.watcher.release(node.holds);
        }
        self.comparing = false;
    }

    fn expire(&mut self, path: &Path) {
        if let Some(node) = self.nodes.get_mut(&(path.to_path_buf(), Ask::Listing)) {
            node.is_stale = true;
        }
    }

    /// Forgets `path` and all below it.
    fn forget(&mut self, path: &Path) {
        for key in self.below(path) {
            if let Some(node) = self.nodes.remove(&key) {
                self.disk.watcher.release(node.holds);
            }
        }
    }

    /// The keys of `path` and of what is below it: they stand together, since paths are ordered by component.
    fn below(&self, path: &Path) -> Vec<(PathBuf, Ask)> {
        self.nodes
            .range((path.to_path_buf(), Ask::Listing)..)
            .map(|(key, _)| key)
            .take_while(|(below, _)| below.starts_with(path))
            .cloned()
            .collect()
    }

    /// Looks at the timestamps of all that is not watched.
    fn compare(&mut self, touched: &mut Vec<PathBuf>) {
        let unwatched: Vec<_> = self
            .nodes
            .iter()
            .filter(|(_, node)| node.trust != Trust::Watched && !node.is_stale)
            .map(|((path, ask), node)| (path.clone(), *ask, node.trust.clone()))
            .collect();
        self.comparing = !unwatched.is_empty();
        for (path, ask, trust) in unwatched {
            let now = self.disk.stat(&path).map(|meta| meta.as_ref().map(Stamp::of));
            match (trust, now) {
                (Trust::Stamp(then), Ok(now)) if then == now => continue,
                (Trust::Stamp(Some(then)), Ok(Some(now)))
                    if ask == Ask::Listing && then.identity == now.identity && then.mode == now.mode =>
                {
                    self.expire(&path);
                }
                _ => self.forget(&path),
            }
            touched.push(path);
        }
    }

    fn value(&mut self, path: &Path, ask: Ask, way: Way) -> Value {
        let key = (path.to_path_buf(), ask);
        if let Some(node) = self.nodes.get(&key)
            && !node.is_stale
        {
            return node.value.clone();
        }
        let node = self.read(path, ask, way);
        let (value, is_watched) = (node.value.clone(), node.trust == Trust::Watched);
        self.comparing |= !is_watched;
        if let Some(old) = self.nodes.insert(key, node) {
            self.disk.watcher.release(old.holds);
            if !is_watched {
                // What relied on this listing's watch can do so no longer.
                for key in self.below(path).into_iter().filter(|(below, _)| below != path) {
                    if let Some(node) = self.nodes.get_mut(&key) {
                        node.trust = Trust::Once;
                    }
                }
            }
        }
        value
    }

    /// Watches first, then reads, so that a change while reading is told.
    fn read(&self, path: &Path, ask: Ask, way: Way) -> Node {
        let began = SystemTime::now();
        let at: Arc<Path> = Arc::from(path);
        let mut holds = Vec::new();
        let mut is_watched = self.watch_way(path, way, &at, &mut holds);
        let stat = self.disk.stat(path);
        let stamp = stat.as_ref().ok().map(|meta| meta.as_ref().map(Stamp::of));
        let value = match stat {
            Ok(None) => Ok(Value::Absent),
            Ok(Some(meta)) => {
                // What is written by another of a file's names is told by the file only.
                let itself = match ask {
                    Ask::Listing => meta.is_dir(),
                    Ask::Text => meta.is_file() && (meta.nlink() > 1 || self.is_among_few(path)),
                    Ask::Kind => false,
                };
                if itself {
                    match self.disk.watcher.whole(path, &self.marks, &at) {
                        Some(hold) => holds.push(hold),
                        None => is_watched = false,
                    }
                }
                self.read_value(path, ask, &meta)
            }
            Err(error) => Err(error),
        };
        let value = value.unwrap_or_else(|error| match is_absence(&error) {
            true => Value::Absent,
            false => Value::Failed(Unreadable::new(path, &error)),
        });
        let trust = match (&value, stamp) {
            (Value::Failed(_), _) | (_, None) => Trust::Once,
            _ if is_watched => Trust::Watched,
            (_, Some(Some(stamp))) if stamp.is_young(began) => Trust::Once,
            (_, Some(stamp)) => Trust::Stamp(stamp),
        };
        Node {
            value,
            trust,
            holds,
            is_stale: false,
        }
    }

    fn is_among_few(&self, path: &Path) -> bool {
        let dir = path.parent().unwrap_or(path).to_path_buf();
        match self.nodes.get(&(dir, Ask::Listing)).map(|node| &node.value) {
            Some(Value::Listing(listing)) => listing.entries.len() <= FILES_WATCHED_MAX,
            _ => true,
        }
    }

    fn read_value(&self, path: &Path, ask: Ask, meta: &Metadata) -> io::Result<Value> {
        Ok(match ask {
            Ask::Listing if meta.is_dir() => Value::Listing(Arc::new(Listing {
                identity: (meta.dev(), meta.ino()),
                mode: meta.mode(),
                uid: meta.uid(),
                entries: self.disk.entries(path)?,
            })),
            Ask::Listing => Value::Absent,
            Ask::Text => Value::Text(Arc::new(self.disk.text(path, meta)?)),
            Ask::Kind => Value::Kind(kind(meta.file_type())),
        })
    }

    /// Watches what decides where `path` leads. False when not all of it can be watched.
    fn watch_way(&self, path: &Path, way: Way, at: &Arc<Path>, holds: &mut Vec<Hold>) -> bool {
        let (start, rest) = match way {
            Way::Root => (PathBuf::from("/"), path),
            Way::Parent | Way::Listing => {
                let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                    return false;
                };
                let is_link = self
                    .disk
                    .lstat(path)
                    .ok()
                    .flatten()
                    .is_some_and(|meta| meta.is_symlink());
                if way == Way::Listing && !is_link {
                    let parent = self.nodes.get(&(parent.to_path_buf(), Ask::Listing));
                    return parent.is_some_and(|node| node.trust == Trust::Watched);
                }
                match self.disk.resolve(parent) {
                    Ok(start) => (start, Path::new(name)),
                    Err(_) => return false,
                }
            }
        };
        self.walk(start, rest, at, holds)
    }

    /// Goes from `start`, which has no links, along `rest`, watching each step before it is taken.
    fn walk(&self, start: PathBuf, rest: &Path, at: &Arc<Path>, holds: &mut Vec<Hold>) -> bool {
        let mut here = start;
        let mut links = 0;
        let mut ahead = Vec::new();
        push_reversed(&mut ahead, rest);
        while let Some(step) = ahead.pop() {
            let Step::Into(name) = step else {
                match step {
                    Step::Up => drop(here.pop()),
                    _ => here = PathBuf::from("/"),
                }
                continue;
            };
            match self.disk.watcher.names(&here, &name, ahead.is_empty(), &self.marks, at) {
                Some(hold) => holds.push(hold),
                None => return false,
            }
            let next = here.join(&name);
            match self.disk.lstat(&next) {
                Ok(Some(meta)) if meta.is_symlink() => {
                    links += 1;
                    let Ok(target) = self.disk.link(&next) else {
                        return false;
                    };
                    if links > LINKS_MAX {
                        return false;
                    }
                    push_reversed(&mut ahead, &target);
                }
                Ok(Some(_)) => here = next,
                // Whoever puts it there is told of.
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
        true
    }
}

/// One step of a way.
enum Step {
    Into(OsString),
    Up,
    Root,
}

fn push_reversed(ahead: &mut Vec<Step>, path: &Path) {
    ahead.extend(path.components().rev().filter_map(|component| match component {
        Component::Normal(name) => Some(Step::Into(name.to_owned())),
        Component::ParentDir => Some(Step::Up),
        Component::RootDir => Some(Step::Root),
        Component::CurDir | Component::Prefix(_) => None,
    }));
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Stamp {
    fn of(meta: &Metadata) -> Stamp {
        let ns = |s: i64, ns: i64| i128::from(s) * 1_000_000_000 + i128::from(ns);
        Stamp {
            identity: (meta.dev(), meta.ino()),
            mode: meta.mode(),
            uid: meta.uid(),
            links: meta.nlink(),
            size: meta.size(),
            changed_ns: ns(meta.ctime(), meta.ctime_nsec()),
            written_ns: ns(meta.mtime(), meta.mtime_nsec()),
        }
    }

    /// Whether a change made right after `read` could have left the same timestamps.
    fn is_young(&self, read: SystemTime) -> bool {
        let oldest = read
            .checked_sub(TIMESTAMP_GRAIN)
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .map_or(0, |since| since.as_nanos() as i128);
        self.changed_ns.max(self.written_ns) >= oldest
    }
}
