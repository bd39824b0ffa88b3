//! The tree of domains against real files, by watches and by timestamps.

mod audit;
mod changes;
mod random;
mod roll;
mod rules;
mod told;

use super::watch::Watcher;
use super::{Defaults, DomainView, Domains, Found, Roots};
use judge::evidence::UserStanding;
use judge::lists::Probe;
use mail::{Domain, LocalPart, ReversePath};
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

const CLIENT: &str = "192.0.2.1";

/// How changes are noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Watches,
    Timestamps,
    /// The limit of watches is reached after so many, so that some of a tree is watched and some is not.
    Few(usize),
}

/// A tree in a directory of its own; paths are relative to it, and `srv` is the root.
struct Site {
    dir: TempDir,
    mode: Mode,
}

/// Runs a test in every mode, each with a tree of its own.
fn in_all_modes(test: impl Fn(&Site)) {
    let few = [2, 4, 5, 6, 8, 11].map(Mode::Few);
    for mode in [Mode::Watches, Mode::Timestamps].into_iter().chain(few) {
        println!("{mode:?}");
        test(&Site::new(mode));
    }
}

impl Site {
    fn new(mode: Mode) -> Site {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("srv")).unwrap();
        Site { dir, mode }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn roots(&self) -> Roots {
        Roots {
            domains: self.path("srv"),
            blacklist_d: self.path("blacklist.d"),
        }
    }

    fn open(&self) -> Domains {
        let domains = unread(self.mode, self.roots());
        assert!(super::lock(&domains.state).refresh(&domains.roots).is_ok());
        domains
    }

    /// Writes a file in place, making its directory where needed.
    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn touch(&self, paths: &[&str]) {
        for path in paths {
            self.write(path, "");
        }
    }

    fn mkdir(&self, path: &str) {
        fs::create_dir_all(self.path(path)).unwrap();
    }

    fn link(&self, target: &str, path: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn remove(&self, path: &str) {
        let path = self.path(path);
        match path.is_dir() && !path.is_symlink() {
            true => fs::remove_dir_all(path).unwrap(),
            false => fs::remove_file(path).unwrap(),
        }
    }
}

fn unread(mode: Mode, roots: Roots) -> Domains {
    let defaults = Defaults::default();
    let watcher = match mode {
        Mode::Watches => Watcher::new(),
        Mode::Timestamps => Watcher::none(),
        Mode::Few(watches) => Watcher::at_most(watches),
    };
    Domains::unread(watcher, roots, defaults).unwrap()
}

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

fn local(name: &str) -> LocalPart {
    LocalPart::parse(name).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn view(domains: &Domains, name: &str) -> Arc<DomainView> {
    match domains.find(&domain(name)) {
        Found::Local(view) => view,
        other => panic!("{name}: {other:?}"),
    }
}

fn is_local(domains: &Domains, name: &str) -> bool {
    match domains.find(&domain(name)) {
        Found::Local(_) => true,
        Found::NotLocal | Found::NoDomains | Found::Dangling { .. } => false,
        Found::Unreadable { path, why } => panic!("{}: {why}", path.display()),
    }
}

/// What `d.example` says of a user, for [`CLIENT`].
fn user(domains: &Domains, name: &str) -> UserStanding {
    view(domains, "d.example").user(&local(name), ip(CLIENT))
}

fn probe(path: &ReversePath) -> Probe<'_> {
    Probe {
        client: ip(CLIENT),
        reverse_name: None,
        reverse_path: path,
    }
}

/// Whether `d.example` blacklists a sender.
fn blacklists(domains: &Domains, sender: &str) -> bool {
    let path = ReversePath::parse(sender).unwrap();
    view(domains, "d.example").blacklisted(&probe(&path)).is_some()
}

/// The action of the check `helo` of `d.example`, as a debug word; none when it is off.
fn helo(domains: &Domains) -> Option<String> {
    let view = view(domains, "d.example");
    let rule = view.policy().checks.rules.get(judge::checks::Check::Helo);
    rule.map(|rule| format!("{:?}", rule.action))
}

fn replace_by_rename(site: &Site, path: &str, text: &str) {
    let fresh = format!("{path}.new");
    site.write(&fresh, text);
    site.rename(&fresh, path);
}

fn hard_link(site: &Site, old: &str, new: &str) {
    fs::hard_link(site.path(old), site.path(new)).unwrap();
}
