//! What an operator got wrong in the tree, for `mailward check`.
//!
//! Reads everything once, from disk, with the same code as the gateway. These names are known below a domain:
//!
//! | path | meaning |
//! |---|---|
//! | `users/valid/L` | accept mail for `L`; a directory holds the client addresses that may write to `L`; `*` is anyone |
//! | `users/invalid/L` | refuse mail for `L` |
//! | `checks/NAME`, `checks/all`, `checks/recommended` | switch checks on |
//! | `blacklisted/{ips,hosts,senders,domains,tld}/X` | refuse |
//! | `whitelisted/{ips,senders,domains,recipients}/X` | accept |
//! | `mailboxes/L` | holds the address of the owner of `L` |
//! | `deliver` | holds the next hop |
//! | `shadow` | judge and record only |
//! | `zones` | holds the DNS lists that are asked |
//! | `forwarders/X` | servers that pass on mail: an address, a host with all below it, or, led by a dot, all below a name |
//! | `lists/X` | mailing lists that may write here, by domain |
//!
//! Below `_global_` stand `blacklisted`, `whitelisted`, `zones`, `forwarders` and `lists`, for all domains; its `zones`
//! count for domains that have a file `zones`.

use super::lists::LOOKED_INTO_MAX;
use super::names::{BLACKLISTED, FORWARDERS, LISTS, NameFault, Sort, WHITELISTED, nearest};
use super::tree::{Disk, Entry, Kind, Listing, Tree, Unreadable, Way};
use super::users::WILDCARD;
use super::view::BoxName;
use super::watch::Watcher;
use super::zones::{self, ZONES};
use super::{Bounds, GLOBAL, Roots, absolute, checks, domain_of, routing};
use crate::relay::next_hop::NextHop;
use mail::{Domain, Line};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest path or message that is shown, in characters.
const SHOWN_CHARS_MAX: usize = 4096;
/// `st_mode`: others than owner and group may write.
const WORLD_WRITABLE: u32 = 0o002;

/// Names below a domain that are files or directories with a meaning.
const KNOWN: [&str; 10] = [
    "users",
    "checks",
    "blacklisted",
    "whitelisted",
    "mailboxes",
    "deliver",
    "shadow",
    ZONES,
    FORWARDERS,
    LISTS,
];
/// Names below `_global_` with a meaning.
const KNOWN_GLOBAL: [&str; 5] = ["blacklisted", "whitelisted", ZONES, FORWARDERS, LISTS];

/// Something to tell the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub path: PathBuf,
    /// In which line, counted from 1; `None` for the whole file or directory.
    pub line: Option<u32>,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// The next step, where there is one.
    pub hint: Option<String>,
}

/// How bad a finding is; the worst is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// It has no effect, or hardly the one that was meant.
    Warning,
    /// Mail waits, or goes where nobody wanted it.
    Error,
}

/// A finding before it is known in which file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) line: Option<u32>,
    pub(super) severity: Severity,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// Looks through the whole tree. Findings come in the order of the tree; nothing is changed. `is_ourselves` knows next
/// hops that lead back to the gateway.
pub fn audit(roots: &Roots, is_ourselves: &dyn Fn(&NextHop) -> bool) -> Vec<Finding> {
    let disk = Disk::new(Watcher::none());
    let mut audit = Audit {
        tree: Tree::new(&disk),
        disk,
        is_ourselves,
        root: PathBuf::new(),
        has_global_zones: false,
        findings: Vec::new(),
    };
    match absolute(roots.clone()) {
        Ok(roots) => audit.roots(&roots),
        Err(error) => audit.report(&roots.domains, Fault::error(error.to_string())),
    }
    audit.findings
}

/// The entries of a list by their normalised names: where they stand, and what they are.
type Names = BTreeMap<Box<str>, (PathBuf, Kind)>;

struct Audit<'a> {
    disk: Arc<Disk>,
    is_ourselves: &'a dyn Fn(&NextHop) -> bool,
    tree: Tree,
    root: PathBuf,
    /// `_global_/zones` names some.
    has_global_zones: bool,
    findings: Vec<Finding>,
}

impl Audit<'_> {
    fn roots(&mut self, roots: &Roots) {
        let root = &roots.domains;
        self.root.clone_from(root);
        match (self.dir(root), self.disk.resolve(root)) {
            (Some(listing), Ok(resolved)) => {
                let bounds = Bounds {
                    resolved,
                    owner: listing.uid,
                };
                self.has_global_zones = self.global_zones(root);
                self.root(root, &listing, &bounds);
            }
            _ if self.findings.is_empty() => {
                let hint = format!("`mkdir -p {}/example.com/users/valid`", root.display());
                self.report(root, Fault::error("no such directory".into()).hint(hint));
            }
            _ => {}
        }
        if let Some(listing) = self.dir(&roots.blacklist_d) {
            self.names(&roots.blacklist_d, &listing, Sort::Ip);
        }
    }

    fn root(&mut self, root: &Path, listing: &Listing, bounds: &Bounds) {
        let mut first: HashMap<Domain, &OsStr> = HashMap::new();
        for entry in &listing.entries {
            let path = root.join(&entry.name);
            if entry.name == GLOBAL {
                self.global(&path);
            } else if entry.name != "lost+found"
                && let Some(domain) = self.domain_name(&path, entry)
                && self.counts(&path, entry, bounds)
            {
                if let Some(other) = first.get(&domain) {
                    let message = format!("stands for `{domain}`, as does `{}`, which counts", other.display());
                    self.report(&path, Fault::error(message).hint("remove one of them".into()));
                } else {
                    self.domain(&path, &domain);
                    first.insert(domain, &entry.name);
                }
            }
            // A tree may hold more domains than memory should.
            self.tree.clear();
        }
        if first.is_empty() {
            let hint = format!(
                "mount what belongs there, or `mkdir -p {}/example.com/users/valid`",
                root.display()
            );
            self.report(
                root,
                Fault::error("no domain in it: all mail is deferred".into()).hint(hint),
            );
        }
    }

    /// The domain that an entry of the root stands for; reports names that stand for none.
    fn domain_name(&mut self, path: &Path, entry: &Entry) -> Option<Domain> {
        match (domain_of(&entry.name), entry.kind) {
            (Ok(domain), Kind::Dir | Kind::Link) => return Some(domain),
            (Err(NameFault::Leftover), _) => {}
            (_, Kind::File) => self.report(path, Fault::note("a file among domains: has no effect".into())),
            (Err(_), _) => {
                let fault = Fault::warning("not the name of a domain: has no effect".into());
                self.report(path, fault.hint_word(nearest(&entry.name.to_string_lossy(), [GLOBAL])));
            }
        }
        None
    }

    fn counts(&mut self, path: &Path, entry: &Entry, bounds: &Bounds) -> bool {
        match bounds.admit(&self.disk, path) {
            Ok(true) => return true,
            Ok(false)
                if self
                    .disk
                    .stat(path)
                    .is_ok_and(|meta| meta.is_some_and(|meta| meta.is_dir())) =>
            {
                let message = "leads out of the tree to a directory of a foreign owner, so it does not count";
                let hint = "let root, or the owner of the tree, own the directory".into();
                self.report(path, Fault::error(message.into()).hint(hint));
            }
            Ok(false) if super::is_dangling(&self.disk, path) => {
                let hint = "point it to the domain's directory; or remove it, and `mailward domains forget` the domain";
                let fault = Fault::error("the link leads nowhere: the domain's mail is deferred".into());
                self.report(path, fault.hint(hint.into()));
            }
            Ok(false) if entry.kind == Kind::Link => {
                self.report(path, Fault::warning("the link leads to no directory".into()));
            }
            Ok(false) => {}
            Err(unreadable) => self.unreadable(&unreadable),
        }
        false
    }

    fn global(&mut self, path: &Path) {
        let Some(listing) = self.dir(path) else { return };
        for (entry, _) in self.live(path, &listing) {
            let below = path.join(&entry.name);
            match &*entry.name.to_string_lossy() {
                "blacklisted" => self.lists(&below, &BLACKLISTED),
                "whitelisted" => self.lists(&below, &WHITELISTED),
                ZONES => _ = self.zones(path),
                FORWARDERS => self.list(&below, Sort::Forwarder),
                LISTS => self.list(&below, Sort::Domain),
                name => {
                    let message = "has no effect: only lists hold for all domains";
                    let right = nearest(name, KNOWN_GLOBAL);
                    self.report(&below, Fault::warning(message.into()).hint_word(right));
                }
            }
        }
    }

    fn domain(&mut self, path: &Path, name: &Domain) {
        let Some(listing) = self.dir(path) else { return };
        let mut has_users = false;
        for (entry, _) in self.live(path, &listing) {
            let below = path.join(&entry.name);
            match &*entry.name.to_string_lossy() {
                "users" => has_users = self.users(&below),
                "checks" => self.checks(path),
                "blacklisted" => self.lists(&below, &BLACKLISTED),
                "whitelisted" => self.lists(&below, &WHITELISTED),
                "mailboxes" => self.mailboxes(path, name),
                "deliver" => self.deliver(path),
                "shadow" => {}
                ZONES => self.own_zones(path),
                FORWARDERS => self.list(&below, Sort::Forwarder),
                LISTS => self.list(&below, Sort::Domain),
                unknown => {
                    let fault = Fault::warning(format!("unknown name: `{unknown}`"));
                    self.report(&below, fault.hint_word(nearest(unknown, KNOWN)));
                }
            }
        }
        if !has_users {
            let hint = format!(
                "`touch {}/users/valid/NAME`; the name `*` accepts anyone",
                path.display()
            );
            self.report(
                path,
                Fault::note("has no users, so it accepts no mail".into()).hint(hint),
            );
        }
    }

    /// Whether anybody is valid.
    fn users(&mut self, path: &Path) -> bool {
        let Some(listing) = self.dir(path) else { return false };
        let (mut valid, mut invalid) = (Names::new(), Names::new());
        for (entry, _) in self.live(path, &listing) {
            let below = path.join(&entry.name);
            match &*entry.name.to_string_lossy() {
                "valid" => valid = self.user_names(&below),
                "invalid" => invalid = self.user_names(&below),
                other => {
                    let fault = Fault::warning(format!("unknown name: `{other}`"));
                    let fault = match nearest(other, ["valid", "invalid"]) {
                        Some(right) => fault.hint_word(Some(right)),
                        None => fault.hint(format!("users stand in `{}`", path.join("valid").display())),
                    };
                    self.report(&below, fault);
                }
            }
        }
        if let Some((path, _)) = invalid.remove(WILDCARD) {
            let message = "has no effect: nobody is called `*`, and who is listed nowhere is refused anyway";
            self.report(&path, Fault::warning(message.into()));
        }
        for (_, (path, _)) in invalid.iter().filter(|(name, _)| valid.contains_key(*name)) {
            self.report(path, Fault::warning("is in `valid` too; `invalid` counts".into()));
        }
        !valid.is_empty()
    }

    fn user_names(&mut self, path: &Path) -> Names {
        let Some(listing) = self.dir(path) else {
            return Names::new();
        };
        let names = self.names(path, &listing, Sort::Local);
        for (name, (below, kind)) in &names {
            if *kind == Kind::Dir && path.ends_with("valid") {
                self.acl(below);
            }
            if &**name != WILDCARD && BoxName::parse(name).is_none() {
                let message = "cannot be the name of a Maildir: mail for it cannot be filed";
                self.report(below, Fault::warning(message.into()));
            }
        }
        names
    }

    fn acl(&mut self, path: &Path) {
        let Some(listing) = self.dir(path) else { return };
        if self.names(path, &listing, Sort::Ip).is_empty() {
            let hint = "put files into it that are called like the clients' addresses, or make it a file".into();
            let message = "an empty directory of client addresses: accepts mail from nobody";
            self.report(path, Fault::warning(message.into()).hint(hint));
        }
    }

    fn checks(&mut self, domain: &Path) {
        let path = domain.join("checks");
        let Some(listing) = self.dir(&path) else { return };
        for (entry, _) in self.live(&path, &listing) {
            let name = entry.name.to_string_lossy();
            let below = path.join(&entry.name);
            if !checks::is_known(&name) {
                let fault = Fault::warning(format!("unknown check: `{name}`"));
                self.report(&below, fault.hint_word(nearest(&name, checks::known())));
            }
            self.file_mode(&below);
        }
        match checks::read(&mut self.tree, domain, &[]) {
            Ok((_, faults)) => faults.into_iter().for_each(|(path, fault)| self.report(&path, fault)),
            Err(unreadable) => self.unreadable(&unreadable),
        }
    }

    fn lists(&mut self, path: &Path, table: &[(&'static str, Sort)]) {
        let Some(listing) = self.dir(path) else { return };
        for (entry, _) in self.live(path, &listing) {
            let below = path.join(&entry.name);
            let name = entry.name.to_string_lossy();
            match table.iter().find(|(known, _)| *known == name) {
                Some((_, sort)) => {
                    self.list(&below, *sort);
                    if path.ends_with("whitelisted") {
                        self.whitelist_entries(&below, matches!(&*name, "senders" | "domains"));
                    }
                }
                None => {
                    let fault = Fault::warning(format!("unknown list: `{name}`"));
                    self.report(
                        &below,
                        fault.hint_word(nearest(&name, table.iter().map(|(known, _)| *known))),
                    );
                }
            }
        }
    }

    fn list(&mut self, path: &Path, sort: Sort) {
        if let Some(listing) = self.dir(path) {
            self.names(path, &listing, sort);
        }
    }

    /// Whether `_global_/zones` names zones; what is wrong with it is said where its turn comes.
    fn global_zones(&mut self, root: &Path) -> bool {
        let global = root.join(GLOBAL);
        let has_zones = matches!(self.tree.list(&global, Way::Parent), Ok(Some(_)))
            && matches!(zones::read(&mut self.tree, &global), Ok((Some(zones), _)) if !zones.is_empty());
        self.tree.clear();
        has_zones
    }

    fn own_zones(&mut self, domain: &Path) {
        let before = self.findings.len();
        let names_none = self.zones(domain);
        if names_none && !self.has_global_zones && self.findings.len() == before {
            let message = "names no zone, and `_global_/zones` names none either: has no effect";
            self.report(&domain.join(ZONES), Fault::note(message.into()));
        }
    }

    /// Whether the file in `top` names no zone.
    fn zones(&mut self, top: &Path) -> bool {
        let path = top.join(ZONES);
        self.file_mode(&path);
        if matches!(self.disk.stat(&path), Ok(Some(meta)) if !meta.is_file()) {
            self.report(&path, Fault::warning("not a file: names no zone".into()));
        }
        match zones::read(&mut self.tree, top) {
            Ok((zones, faults)) => {
                faults.into_iter().for_each(|(path, fault)| self.report(&path, fault));
                zones.is_none_or(|zones| zones.is_empty())
            }
            Err(unreadable) => {
                self.unreadable(&unreadable);
                false
            }
        }
    }

    fn mailboxes(&mut self, domain: &Path, name: &Domain) {
        let path = domain.join("mailboxes");
        let Some(listing) = self.dir(&path) else { return };
        for (file, _) in self.names(&path, &listing, Sort::Local).into_values() {
            self.file_mode(&file);
            if let Some(file_name) = file.file_name()
                && let Ok(Some(text)) = self.tree.text(&path, file_name)
                && let Ok(owner) = routing::owner(&text)
                && !self.is_same_domain(domain, name, owner.domain())
            {
                let message = format!("the owner is of another domain, whose box gets this mail: `{owner}`");
                self.report(&file, Fault::note(message));
            }
        }
        match routing::owners(&mut self.tree, domain) {
            Ok((_, faults)) => faults.into_iter().for_each(|(path, fault)| self.report(&path, fault)),
            Err(unreadable) => self.unreadable(&unreadable),
        }
    }

    /// Whether both names stand for one directory: operators link domains to each other.
    fn is_same_domain(&self, dir: &Path, name: &Domain, other: &Domain) -> bool {
        let resolve = |path: &Path| self.disk.resolve(path).ok();
        let Some(root) = dir.parent() else { return false };
        // A name that the operator wrote, and a `Domain`, so it is one harmless component.
        name == other || resolve(&root.join(other.as_str())).is_some_and(|other| resolve(dir) == Some(other))
    }

    fn deliver(&mut self, domain: &Path) {
        let path = domain.join("deliver");
        self.file_mode(&path);
        match self.tree.text(domain, OsStr::new("deliver")) {
            Ok(Some(text)) => match routing::next_hop(&text) {
                Ok(hop) if (self.is_ourselves)(&hop) => {
                    let message = format!("leads back to `[smtp] listen`, so mail would go in circles: `{hop}`");
                    let hint = "name the mail server behind the gateway, at another address or port";
                    self.report(&path, Fault::error(message).hint(hint.into()));
                }
                Ok(_) => {}
                Err(error) => self.report(&path, Fault::error(error.to_string()).hint(error.hint())),
            },
            Ok(None) => {}
            Err(unreadable) => self.unreadable(&unreadable),
        }
    }

    /// The names of a list, reporting those that can match nothing and those that stand there twice.
    fn names(&mut self, dir: &Path, listing: &Listing, sort: Sort) -> Names {
        let mut names = Names::new();
        for (entry, kind) in self.live_of(dir, listing, &|name| sort.plain(name)) {
            let path = dir.join(&entry.name);
            match sort.normalise(&entry.name) {
                Ok(name) if names.contains_key(&name) => {
                    self.report(&path, Fault::note(format!("stands here twice, as `{name}`")));
                }
                Ok(name) => drop(names.insert(name, (path, kind))),
                Err(NameFault::Sort(sort)) => {
                    self.report(
                        &path,
                        Fault::warning(format!("not {}: matches nothing", sort.expected())),
                    );
                }
                Err(NameFault::Text | NameFault::Leftover) => {
                    self.report(&path, Fault::warning("not UTF-8: matches nothing".into()));
                }
            }
        }
        names
    }

    /// Whether mail waits while this is a link to nothing: what it stands for keeps mail from being refused for good, or
    /// filed wrongly.
    fn defers(&self, path: &Path) -> bool {
        let Ok(below) = path.strip_prefix(&self.root) else {
            return false;
        };
        let names: Vec<_> = below.iter().skip(1).filter_map(OsStr::to_str).collect();
        match *names {
            ["users" | "whitelisted" | "mailboxes" | "deliver" | FORWARDERS | LISTS] => true,
            ["users", "valid" | "invalid"] | ["users", "valid" | "invalid", _] => true,
            ["whitelisted", list] => WHITELISTED.iter().any(|(known, _)| *known == list),
            _ => false,
        }
    }

    /// What stands in a directory on purpose and leads somewhere; reports what does not.
    fn live(&mut self, dir: &Path, listing: &Listing) -> Vec<(Entry, Kind)> {
        self.live_of(dir, listing, &super::names::plain)
    }

    fn live_of(
        &mut self,
        dir: &Path,
        listing: &Listing,
        plain: &dyn Fn(&OsStr) -> Result<&str, NameFault>,
    ) -> Vec<(Entry, Kind)> {
        let mut live = Vec::with_capacity(listing.entries.len());
        for entry in &listing.entries {
            let path = dir.join(&entry.name);
            if plain(&entry.name) == Err(NameFault::Leftover) {
                self.report(&path, Fault::note("looks like a leftover: has no effect".into()));
                continue;
            }
            match self.tree.kind(dir, entry) {
                Ok(Some(kind)) => live.push((entry.clone(), kind)),
                Ok(None) if self.defers(&path) => {
                    let fault = Fault::error("the link leads nowhere: mail is deferred".into());
                    self.report(&path, fault.hint("point it to what it stands for, or remove it".into()));
                }
                Ok(None) => self.report(&path, Fault::warning("the link leads nowhere: has no effect".into())),
                Err(unreadable) => self.unreadable(&unreadable),
            }
        }
        live
    }

    /// The listing of a directory; reports one that cannot be read, or that anybody may write to.
    fn dir(&mut self, path: &Path) -> Option<Arc<Listing>> {
        match self.tree.list(path, Way::Listing) {
            Ok(Some(listing)) => {
                self.mode(path, listing.mode);
                Some(listing)
            }
            Ok(None) => {
                if self
                    .disk
                    .lstat(path)
                    .is_ok_and(|meta| meta.is_some_and(|meta| !meta.is_dir()))
                {
                    self.report(path, Fault::warning("not a directory: has no effect".into()));
                }
                None
            }
            Err(unreadable) => {
                self.unreadable(&unreadable);
                None
            }
        }
    }

    /// What entries of a whitelist say besides their names; `by_name` if they go by the sender's name, which can be forged.
    fn whitelist_entries(&mut self, path: &Path, by_name: bool) {
        let Some(listing) = self.dir(path) else { return };
        let is_file = |kind: &Kind| *kind != Kind::Dir;
        let entries = self
            .live(path, &listing)
            .into_iter()
            .filter(|(entry, _)| is_file(&entry.kind));
        let names: Vec<_> = entries.map(|(entry, _)| entry.name.clone()).collect();
        if names.len() > LOOKED_INTO_MAX {
            let text = format!("more than {LOOKED_INTO_MAX} entries, so none is looked into for `forged = \"pass\"`");
            self.report(path, Fault::note(text));
            return;
        }
        for name in names {
            let Ok(Some(text)) = self.tree.text(path, &name) else {
                continue;
            };
            if let Some(fault) = entry_fault(&text.octets, by_name) {
                self.report(&path.join(&name), fault);
            }
        }
    }

    fn file_mode(&mut self, path: &Path) {
        if let Ok(Some(meta)) = self.disk.stat(path)
            && meta.is_file()
        {
            self.mode(path, std::os::unix::fs::MetadataExt::mode(&meta));
        }
    }

    fn mode(&mut self, path: &Path, mode: u32) {
        if mode & WORLD_WRITABLE != 0 {
            let hint = format!("`chmod o-w {}`", path.display());
            self.report(
                path,
                Fault::warning("any user of this machine may write here".into()).hint(hint),
            );
        }
    }

    fn unreadable(&mut self, unreadable: &Unreadable) {
        let fault = Fault::error(format!("cannot be read: {}", unreadable.why));
        self.report(
            &unreadable.path,
            fault.hint("let the user that the server runs as read it".into()),
        );
    }

    fn report(&mut self, path: &Path, fault: Fault) {
        let Fault {
            line,
            severity,
            message,
            hint,
        } = fault;
        let finding = Finding {
            path: path.to_path_buf(),
            line,
            severity,
            message,
            hint,
        };
        // A directory that several looks pass is told of once.
        if !self.findings.iter().rev().take(16).any(|before| *before == finding) {
            self.findings.push(finding);
        }
    }
}

impl Fault {
    pub(super) fn error(message: String) -> Fault {
        Fault::new(Severity::Error, message)
    }

    pub(super) fn warning(message: String) -> Fault {
        Fault::new(Severity::Warning, message)
    }

    pub(super) fn note(message: String) -> Fault {
        Fault::new(Severity::Note, message)
    }

    fn new(severity: Severity, message: String) -> Fault {
        Fault {
            line: None,
            severity,
            message,
            hint: None,
        }
    }

    pub(super) fn at(self, line: Option<u32>) -> Fault {
        Fault { line, ..self }
    }

    pub(super) fn hint(self, hint: String) -> Fault {
        Fault {
            hint: Some(hint),
            ..self
        }
    }

    pub(super) fn hint_word(self, right: Option<&str>) -> Fault {
        match right {
            Some(right) => self.hint(format!("did you mean `{right}`?")),
            None => self,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

/// `warning: PATH:LINE: MESSAGE`, and the hint on a line of its own. Names of files are cleaned: one may hold a line
/// break.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clean = |text: &str| Line::clean(text.as_bytes(), SHOWN_CHARS_MAX);
        write!(f, "{}: {}", self.severity, clean(&self.path.to_string_lossy()))?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", clean(&self.message))?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {}", clean(hint)),
            None => Ok(()),
        }
    }
}
/// What is wrong with the content of a whitelist's entry. People `touch` and `echo` into them, so what is no TOML and has
/// no `=` is nothing.
fn entry_fault(octets: &[u8], by_name: bool) -> Option<Fault> {
    let text = std::str::from_utf8(octets).ok().filter(|text| text.contains('='))?;
    let Ok(table) = text.parse::<toml::Table>() else {
        return Some(Fault::warning("not TOML, so it counts as empty".into()).hint("write `forged = \"pass\"`".into()));
    };
    if let Some(key) = table.keys().find(|key| *key != "forged") {
        return Some(Fault::warning(format!("unknown key: `{key}`")).hint_word(nearest(key, ["forged"])));
    }
    if table.get("forged").and_then(toml::Value::as_str) != Some("pass") {
        return Some(Fault::warning("`forged` can only be `\"pass\"`".into()));
    }
    (!by_name).then(|| Fault::note("`forged` has no effect here: the entry goes by no sender's name".into()))
}
