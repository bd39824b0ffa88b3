//! The tree of plain files that decides per domain (`/srv`), watched.
//!
//! Each directory below the root stands for one local domain; what it holds is the table in [`audit`]. A change takes
//! effect on the next message, without a restart; a lookup costs no disk access when nothing changed. Two walls hold:
//!
//! - Nothing from a message is ever made part of a path. Directories are listed, their names normalised into sets,
//!   and names from outside are looked up in those sets.
//! - What a stranger asks for leaves no trace: domains are read at their first use, and only those that stand in the
//!   root's listing.
//!
//! A directory counts for a domain if it resolves inside the root, or to a directory of root's, of the root
//! directory's owner, or of our own user: operators link domains to each other, but nobody else shall add one. Where
//! two directories stand for one domain (`Example.com`, `example.com`), the first in sort order that resolves counts.
//! Names led by a dot or ending in `~` or `.swp` count nowhere.
//!
//! Lookups block for a moment when something changed: a directory is read again, under a lock of its domain.
//! [`Domains::is_fresh`] tells those that will not. What is wrong with a domain is logged when it is read: once for each
//! change, not for each message.
//!
//! - [`audit`]: what an operator got wrong in the tree.
//! - `census`, `roll`: which domains there are, and which there were a moment ago: [`Roll`].
//! - `view`: one domain's immutable snapshot, [`DomainView`].
//! - `users`, `lists`, `zones`, `checks`, `routing`: what each directory and file means.
//! - `names`: names of files, made comparable.
//! - `told`: what was logged of them already.
//! - `tree`, `watch`: files read once, and again when the kernel says that they changed.

pub mod audit;
mod census;
mod checks;
mod lists;
mod names;
mod roll;
mod routing;
#[cfg(test)]
mod tests;
mod told;
mod tree;
mod users;
mod view;
mod watch;
mod zones;

pub use audit::{Finding, Severity, audit};
pub use census::{Census, MissedUser, UsersSeen};
pub use roll::{Missing, Roll, RollError};
pub use routing::DeliverError;
pub use view::{BoxName, DomainView};

use audit::Fault;
use lists::ListCache;
use mail::Domain;
use names::Sort;
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use told::Told;
use tree::{Disk, Kind, Listing, Tree, Unreadable, Way};
use view::{Everywhere, Parts, Site};
use watch::Watcher;

/// The directory below the root that holds lists for all domains; never a domain itself.
const GLOBAL: &str = "_global_";

/// Where the tree stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// One directory for each domain: `/srv`.
    pub domains: PathBuf,
    /// Addresses that are blacklisted for all domains: `/etc/blacklist.d`. May be absent.
    pub blacklist_d: PathBuf,
}

/// The server's switches that go into the policy of each domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// Every domain only watches.
    pub shadow: bool,
    /// Whether a whitelist entry other than one of `recipients/` lets mail for unknown users pass.
    pub whitelist_unknown_users: bool,
    /// Checks that `checks/all` switches on beside those of the original.
    pub all_adds: Vec<String>,
    /// Whose ARC results may mend a broken DMARC.
    pub trusted_sealers: Vec<Domain>,
}

impl Default for Defaults {
    /// Those of the original.
    fn default() -> Defaults {
        Defaults {
            shadow: false,
            whitelist_unknown_users: true,
            all_adds: Vec::new(),
            trusted_sealers: Vec::new(),
        }
    }
}

/// All local domains. One for the whole server, shared by all connections.
#[derive(Debug)]
pub struct Domains {
    roots: Roots,
    defaults: Defaults,
    disk: Arc<Disk>,
    state: Mutex<State>,
}

/// What the tree says of a domain.
#[derive(Debug, Clone)]
pub enum Found {
    /// No directory stands for it: mail for it would be relayed.
    NotLocal,
    /// Nor for any other: the root has no domain in it, so nothing is known of any.
    NoDomains,
    /// A link stands for it that leads nowhere.
    Dangling {
        /// The link.
        path: PathBuf,
    },
    /// It is local.
    Local(Arc<DomainView>),
    /// It may be local, but something that must be read cannot be; mail for it has to wait (451).
    Unreadable {
        /// What cannot be read.
        path: PathBuf,
        /// The system's words.
        why: String,
    },
}

/// Why the tree cannot be used at all. The operator's to mend.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// No directory where the domains should be.
    NoRoot(PathBuf),
    /// Something that every lookup needs cannot be read.
    Unreadable {
        /// What cannot be read.
        path: PathBuf,
        /// The system's words.
        why: String,
    },
}

/// What holds for all domains, and the domains that were asked for.
#[derive(Debug)]
struct State {
    tree: Tree,
    listing: Option<Arc<Listing>>,
    /// The root without links.
    resolved: PathBuf,
    /// Which directories stand for which domain, in sort order; one but for mistakes.
    dirs: HashMap<Domain, Vec<OsString>>,
    /// No directory stands for any domain. Where only links stand for some, as it was when they were last looked at.
    is_empty: bool,
    /// Those that were asked for, with the directories that they were made for.
    slots: HashMap<Domain, (Vec<OsString>, Arc<Mutex<Slot>>)>,
    disk: Arc<Disk>,
    shared_tree: Tree,
    shared_lists: ListCache,
    everywhere: Option<Arc<Everywhere>>,
    told: Told,
}

/// One domain that was asked for.
#[derive(Debug)]
struct Slot {
    dirs: Vec<OsString>,
    tree: Tree,
    lists: ListCache,
    /// The directory that counts and what it says; `None` before the first lookup and after trouble.
    read: Option<(PathBuf, Parts)>,
    /// It was read, and no directory counts.
    is_absent: bool,
    /// And a link that leads nowhere stands for it.
    dangling: Option<PathBuf>,
    view: Option<Arc<DomainView>>,
    told: Told,
}

/// A domain's slot, the lists for all, and which directories may stand for a domain.
type Looked = (Arc<Mutex<Slot>>, Arc<Everywhere>, Bounds);

/// A panic in one connection leaves at worst a tree that reads something twice.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Domains {
    /// Reads the root's listing and the lists that hold for all domains.
    pub fn open(roots: Roots, defaults: Defaults) -> Result<Domains, OpenError> {
        Domains::watched_by(Watcher::new(), roots, defaults)
    }

    fn watched_by(watcher: Watcher, roots: Roots, defaults: Defaults) -> Result<Domains, OpenError> {
        let domains = Domains::unread(watcher, roots, defaults)?;
        {
            let mut state = lock(&domains.state);
            state.refresh(&domains.roots)?;
            if state.listing.is_none() {
                return Err(OpenError::NoRoot(domains.roots.domains.clone()));
            }
            state.everywhere(&domains.roots)?;
        }
        Ok(domains)
    }

    fn unread(watcher: Watcher, roots: Roots, defaults: Defaults) -> Result<Domains, OpenError> {
        let disk = Disk::new(watcher);
        Ok(Domains {
            roots: absolute(roots)?,
            state: Mutex::new(State::new(&disk)),
            defaults,
            disk,
        })
    }

    /// What the tree says of `domain` now.
    pub fn find(&self, domain: &Domain) -> Found {
        match self.try_find(domain) {
            Ok(found) => found,
            Err(Unreadable { path, why }) => Found::Unreadable { path, why },
        }
    }

    /// Whether [`Domains::find`] would answer from memory alone. If not, it asks the disk, or waits for somebody who
    /// does, and had better be called where that holds nobody up. Never waits itself. A change in between makes the
    /// answer wrong, and costs time only.
    pub fn is_fresh(&self, domain: &Domain) -> bool {
        self.disk.watcher.drain();
        let Ok(state) = self.state.try_lock() else {
            return false;
        };
        if state.listing.is_none() || !state.tree.is_fresh() {
            return false;
        }
        if !state.dirs.contains_key(domain) {
            return true;
        }
        let Some((_, slot)) = state.slots.get(domain) else {
            return false;
        };
        state.everywhere.is_some() && state.shared_tree.is_fresh() && slot.try_lock().is_ok_and(|slot| slot.is_fresh())
    }

    fn try_find(&self, domain: &Domain) -> Result<Found, Unreadable> {
        self.disk.watcher.drain();
        let (slot, everywhere, bounds, nowhere) = {
            let mut state = lock(&self.state);
            let looked = state.look(&self.roots, domain);
            state.told.trouble(None, looked.as_ref().err());
            let looked = looked?;
            let nowhere = match state.is_empty {
                true => Found::NoDomains,
                false => Found::NotLocal,
            };
            match looked {
                Some((slot, everywhere, bounds)) => (slot, everywhere, bounds, nowhere),
                None => return Ok(nowhere),
            }
        };
        let mut slot = lock(&slot);
        let refreshed = slot.refresh(&self.roots.domains, &bounds, &self.defaults, &self.disk);
        slot.told.trouble(Some(domain), refreshed.as_ref().err());
        refreshed?;
        Ok(match (slot.view(domain, &everywhere), &slot.dangling) {
            (Some(view), _) => Found::Local(view),
            (None, Some(path)) => Found::Dangling { path: path.clone() },
            (None, None) => nowhere,
        })
    }

    /// All local domains, in alphabetical order. Looks at each link; empty while the root cannot be read.
    pub fn names(&self) -> Vec<Domain> {
        let standing = self.standing().unwrap_or_default();
        let mut names: Vec<_> = standing
            .into_iter()
            .filter(|(_, standing)| matches!(standing, Standing::At(_)))
            .map(|(name, _)| name)
            .collect();
        names.sort();
        names
    }

    /// What stands for each name in the root's listing; `None` while the root cannot be read.
    fn standing(&self) -> Option<Vec<(Domain, Standing)>> {
        self.disk.watcher.drain();
        let mut state = lock(&self.state);
        state.refresh(&self.roots).ok()?;
        let bounds = Bounds {
            resolved: state.resolved.clone(),
            owner: state.listing.as_ref()?.uid,
        };
        let standing: Vec<_> = state
            .dirs
            .iter()
            .map(|(name, dirs)| (name.clone(), bounds.standing(&self.disk, &self.roots.domains, dirs)))
            .collect();
        state.is_empty = !standing.iter().any(|(_, standing)| matches!(standing, Standing::At(_)));
        Some(standing)
    }

    /// Forgets all that was read. Only needed after what no watch tells: a file system mounted over the tree.
    pub fn reload(&self) {
        self.disk.watcher.reset();
    }

    /// How often the disk was asked for anything since the start; stands still while nothing changes.
    pub fn disk_accesses(&self) -> u64 {
        self.disk.accesses()
    }
}

fn absolute(roots: Roots) -> Result<Roots, OpenError> {
    let absolute = |path: PathBuf| {
        std::path::absolute(&path).map_err(|error| OpenError::Unreadable {
            path,
            why: error.to_string(),
        })
    };
    Ok(Roots {
        domains: absolute(roots.domains)?,
        blacklist_d: absolute(roots.blacklist_d)?,
    })
}

impl State {
    fn new(disk: &Arc<Disk>) -> State {
        State {
            tree: Tree::new(disk),
            listing: None,
            resolved: PathBuf::new(),
            dirs: HashMap::new(),
            is_empty: true,
            slots: HashMap::new(),
            disk: Arc::clone(disk),
            shared_tree: Tree::new(disk),
            shared_lists: ListCache::default(),
            everywhere: None,
            told: Told::default(),
        }
    }

    /// Brings `listing` and `dirs` up to date.
    fn refresh(&mut self, roots: &Roots) -> Result<(), Unreadable> {
        if self.tree.refresh().is_empty() && self.listing.is_some() {
            return Ok(());
        }
        // Gone until all of this succeeds, so that trouble makes the next lookup try again.
        let before = self.listing.take();
        let listing = self.tree.list(&roots.domains, Way::Root)?;
        match (&before, &listing) {
            (Some(before), Some(now)) if Arc::ptr_eq(before, now) => {
                self.listing = listing;
                return Ok(());
            }
            (Some(before), Some(now)) if before.identity == now.identity && before.uid == now.uid => {}
            // Another directory stands here: what was read below the old one says nothing of it.
            _ => {
                self.slots.clear();
                self.shared_tree.clear();
                self.everywhere = None;
            }
        }
        if listing.is_some() {
            let unreadable = |error| Unreadable::new(&roots.domains, &error);
            self.resolved = self.disk.resolve(&roots.domains).map_err(unreadable)?;
        }
        self.dirs = listing.as_deref().map(domain_dirs).unwrap_or_default();
        let dirs = &self.dirs;
        self.slots
            .retain(|name, (made_for, _)| dirs.get(name) == Some(made_for));
        self.is_empty = listing.as_ref().is_none_or(|listing| !self.has_domain(roots, listing));
        self.listing = listing;
        Ok(())
    }

    /// Whether any name has a directory that counts: no link is looked at where some directory stands in the root.
    fn has_domain(&self, roots: &Roots, listing: &Listing) -> bool {
        let is_dir = |dir: &OsString| {
            dir.to_str()
                .and_then(|dir| listing.entry(dir))
                .is_some_and(|entry| entry.kind == Kind::Dir)
        };
        let bounds = Bounds {
            resolved: self.resolved.clone(),
            owner: listing.uid,
        };
        let counts = |dir: &OsString| bounds.admit(&self.disk, &roots.domains.join(dir)).unwrap_or(false);
        self.dirs.values().flatten().any(is_dir) || self.dirs.values().flatten().any(counts)
    }

    /// What a lookup needs of what holds for all domains; `None` for a name that stands in no listing.
    fn look(&mut self, roots: &Roots, domain: &Domain) -> Result<Option<Looked>, Unreadable> {
        self.refresh(roots)?;
        let Some(listing) = self.listing.clone() else {
            return Err(Unreadable {
                path: roots.domains.clone(),
                why: "no such directory".into(),
            });
        };
        let Some(slot) = self.slot(domain) else {
            return Ok(None);
        };
        let bounds = Bounds {
            resolved: self.resolved.clone(),
            owner: listing.uid,
        };
        Ok(Some((slot, self.everywhere(roots)?, bounds)))
    }

    /// Names that stand in no listing make no slot.
    fn slot(&mut self, domain: &Domain) -> Option<Arc<Mutex<Slot>>> {
        let dirs = self.dirs.get(domain)?;
        if let Some((_, slot)) = self.slots.get(domain) {
            return Some(Arc::clone(slot));
        }
        let slot = Arc::new(Mutex::new(Slot::new(dirs.clone(), &self.disk)));
        self.slots.insert(domain.clone(), (dirs.clone(), Arc::clone(&slot)));
        Some(slot)
    }

    /// The lists of `_global_` and the addresses that are blacklisted everywhere.
    fn everywhere(&mut self, roots: &Roots) -> Result<Arc<Everywhere>, Unreadable> {
        let is_same = self.shared_tree.refresh().is_empty();
        if let Some(everywhere) = &self.everywhere
            && is_same
        {
            return Ok(Arc::clone(everywhere));
        }
        self.everywhere = None;
        let State {
            shared_tree: tree,
            shared_lists: lists,
            told,
            ..
        } = self;
        let mut everywhere = Everywhere::default();
        let mut faults = Vec::new();
        let global = roots.domains.join(GLOBAL);
        if tree.list(&global, Way::Parent)?.is_some() {
            everywhere.blacklist = lists.blacklist(tree, &global)?;
            everywhere.whitelist = lists.whitelist(tree, &global)?;
            everywhere.forwarders = lists.forwarders(tree, &global)?;
            everywhere.lists = lists.allowed(tree, &global)?;
            let (zones, found) = zones::read(tree, &global)?;
            everywhere.zones = zones.unwrap_or_default();
            faults = found;
        }
        told.faults(faults, |_| true);
        let ips = tree.list(&roots.blacklist_d, Way::Root)?;
        everywhere.ips = lists.names(tree, &roots.blacklist_d, ips, Sort::Ip)?;
        let everywhere = Arc::new(everywhere);
        self.everywhere = Some(Arc::clone(&everywhere));
        Ok(everywhere)
    }
}

/// The domains that the entries of the root stand for.
fn domain_dirs(listing: &Listing) -> HashMap<Domain, Vec<OsString>> {
    let mut dirs: HashMap<Domain, Vec<OsString>> = HashMap::with_capacity(listing.entries.len());
    for entry in listing.entries.iter().filter(|entry| entry.kind != Kind::File) {
        if let Ok(domain) = domain_of(&entry.name) {
            dirs.entry(domain).or_default().push(entry.name.clone());
        }
    }
    dirs
}

fn domain_of(name: &OsStr) -> Result<Domain, names::NameFault> {
    let fault = names::NameFault::Sort(Sort::Domain);
    Domain::parse(names::plain(name)?).map_err(|_| fault)
}

/// Which directories may stand for a domain.
#[derive(Debug)]
struct Bounds {
    resolved: PathBuf,
    owner: u32,
}

impl Bounds {
    /// Whether the directory at `path` counts; false for none at all.
    fn admit(&self, disk: &Disk, path: &Path) -> Result<bool, Unreadable> {
        let unreadable = |error| Unreadable::new(path, &error);
        let Some(meta) = disk.lstat(path).map_err(unreadable)? else {
            return Ok(false);
        };
        if !meta.is_symlink() {
            return Ok(meta.is_dir());
        }
        let Some(meta) = disk.stat(path).map_err(unreadable)? else {
            return Ok(false);
        };
        let resolved = disk.resolve(path).map_err(unreadable)?;
        let uid = std::os::unix::fs::MetadataExt::uid(&meta);
        Ok(meta.is_dir() && (resolved.starts_with(&self.resolved) || self.trusts(uid)))
    }

    /// What the directories of one name come to.
    fn standing(&self, disk: &Disk, root: &Path, dirs: &[OsString]) -> Standing {
        let mut standing = Standing::Absent;
        for dir in dirs {
            let path = root.join(dir);
            match self.admit(disk, &path) {
                Ok(true) => return Standing::At(path),
                Ok(false) if standing == Standing::Absent && is_dangling(disk, &path) => standing = Standing::Dangling,
                Ok(false) => {}
                Err(_) => standing = Standing::Unreadable,
            }
        }
        standing
    }

    fn trusts(&self, uid: u32) -> bool {
        uid == 0 || uid == self.owner || uid == rustix::process::geteuid().as_raw()
    }
}

/// What stands for a name.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    /// This directory.
    At(PathBuf),
    /// None that counts.
    Absent,
    /// None, but a link to nothing.
    Dangling,
    /// What cannot be read.
    Unreadable,
}

/// Whether a link stands there that leads nowhere.
fn is_dangling(disk: &Disk, path: &Path) -> bool {
    let is_link = matches!(disk.lstat(path), Ok(Some(meta)) if meta.is_symlink());
    is_link && matches!(disk.stat(path), Ok(None))
}

impl Slot {
    fn new(dirs: Vec<OsString>, disk: &Arc<Disk>) -> Slot {
        Slot {
            dirs,
            tree: Tree::new(disk),
            lists: ListCache::default(),
            read: None,
            is_absent: false,
            dangling: None,
            view: None,
            told: Told::default(),
        }
    }

    /// Reads what changed. After trouble everything is put together anew, from what was read and did not change.
    fn refresh(&mut self, root: &Path, bounds: &Bounds, defaults: &Defaults, disk: &Disk) -> Result<(), Unreadable> {
        let touched = self.tree.refresh();
        if touched.is_empty() && (self.read.is_some() || self.is_absent) {
            return Ok(());
        }
        (self.view, self.is_absent, self.dangling) = (None, false, None);
        let before = self.read.take();
        let names = before.as_ref().and_then(|(top, _)| below(top, &touched));
        let (top, listing) = match (&before, &names) {
            // The directory itself is as it was.
            (Some((top, _)), Some(_)) => match self.tree.list(top, Way::Parent)? {
                Some(listing) => (top.clone(), listing),
                None => return Ok(()),
            },
            _ => match self.top(root, bounds, disk)? {
                Some(found) => found,
                None => {
                    self.is_absent = true;
                    let mut paths = self.dirs.iter().map(|dir| root.join(dir));
                    self.dangling = paths.find(|path| is_dangling(disk, path));
                    return Ok(());
                }
            },
        };
        let parts = match before {
            Some((before, parts)) if before == top => parts,
            _ => Parts::default(),
        };
        let mut faults = Vec::new();
        let site = Site {
            tree: &mut self.tree,
            lists: &mut self.lists,
            top: &top,
            listing: &listing,
            faults: &mut faults,
        };
        let renewed = parts.renewed(site, defaults, names.as_ref());
        // What stands below names that were not read, or not to their end, is as it was.
        let is_read = |path: &Path| {
            let name = path.strip_prefix(&top).ok().and_then(|below| below.iter().next());
            renewed.is_ok()
                && names
                    .as_ref()
                    .is_none_or(|names| name.is_none_or(|name| names.contains(name)))
        };
        self.told.faults(faults, is_read);
        self.read = Some((top, renewed?));
        Ok(())
    }

    /// Whether a lookup would answer from what was read.
    fn is_fresh(&self) -> bool {
        self.tree.is_fresh() && (self.read.is_some() || self.is_absent)
    }

    /// The first directory that counts.
    fn top(
        &mut self,
        root: &Path,
        bounds: &Bounds,
        disk: &Disk,
    ) -> Result<Option<(PathBuf, Arc<Listing>)>, Unreadable> {
        for dir in &self.dirs {
            let top = root.join(dir);
            if let Some(listing) = self.tree.list(&top, Way::Parent)?
                && bounds.admit(disk, &top)?
            {
                return Ok(Some((top, listing)));
            }
        }
        Ok(None)
    }

    fn view(&mut self, domain: &Domain, everywhere: &Arc<Everywhere>) -> Option<Arc<DomainView>> {
        let (_, parts) = self.read.as_ref()?;
        if let Some(view) = &self.view
            && Arc::ptr_eq(view.everywhere(), everywhere)
        {
            return Some(Arc::clone(view));
        }
        let view = Arc::new(DomainView::new(domain.clone(), parts.clone(), Arc::clone(everywhere)));
        self.view = Some(Arc::clone(&view));
        Some(view)
    }
}

/// The first components below `top` of what was touched; `None` if something else was.
fn below<'a>(top: &Path, touched: &'a [PathBuf]) -> Option<HashSet<&'a OsStr>> {
    let mut names = HashSet::new();
    for path in touched {
        match path.strip_prefix(top).ok()?.components().next() {
            Some(name) => drop(names.insert(name.as_os_str())),
            None => return None,
        }
    }
    Some(names)
}

impl From<Unreadable> for OpenError {
    fn from(Unreadable { path, why }: Unreadable) -> OpenError {
        OpenError::Unreadable { path, why }
    }
}

impl OpenError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            OpenError::NoRoot(path) => format!(
                "make it with one directory for each domain: `mkdir -p {}/example.com/users/valid`",
                path.display()
            ),
            OpenError::Unreadable { .. } => "let the user that the server runs as read it".into(),
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::NoRoot(path) => write!(f, "no directory of domains: `{}`", path.display()),
            OpenError::Unreadable { path, why } => write!(f, "cannot read `{}`: {why}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {}
