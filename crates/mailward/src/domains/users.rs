//! `users/`: whom a domain accepts mail for, from whom, and whose box it is.
//!
//! The name as given outranks the name without its extension, and for each of them `invalid/` outranks `valid/`:
//! `invalid/ann+shop` refuses one burnt address of a valid `ann`, `valid/ann` accepts `ann+anything`. Only what is
//! listed neither way falls to the wildcard, the entry `valid/*`. A user `*` from outside is listed nowhere.

use super::census::{MissedUser, UsersSeen};
use super::names::{Sort, base};
use super::tree::{Kind, Listing, Tree, Unreadable, Way};
use judge::evidence::UserStanding;
use judge::lists::Names;
use mail::LocalPart;
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

/// The wildcard's name in `users/valid/`.
pub(super) const WILDCARD: &str = "*";

/// The users of a domain.
#[derive(Debug, Default, Clone)]
pub(super) struct Users {
    invalid: Arc<Named>,
    /// Entries that are links to nothing are not in here.
    invalid_links: Arc<HashSet<Box<str>>>,
    valid: Arc<Named>,
    /// Valid users whose entry is a link to something other than a directory.
    valid_links: Arc<HashSet<Box<str>>>,
    /// Valid users whose entry is a directory of client addresses.
    acls: Arc<HashMap<Box<str>, Names>>,
    /// Users whose entry, valid or invalid, is a link to nothing.
    dangling: Arc<HashSet<Box<str>>>,
    /// `users/` itself, or `valid` or `invalid` in it, is a link to nothing.
    dangles: bool,
}

/// The names of one directory by what they are; folded.
#[derive(Debug, Default)]
struct Named {
    source: Option<Arc<Listing>>,
    plain: HashSet<Box<str>>,
    dirs: Vec<(Box<str>, OsString)>,
    links: Vec<(Box<str>, OsString)>,
    /// Names without extension of those that are listed with one.
    bases: HashSet<Box<str>>,
}

impl Users {
    /// Reads `users/` of the domain at `top`; what did not change is taken from `before`.
    pub(super) fn read(tree: &mut Tree, top: &Path, before: Option<&Users>) -> Result<Users, Unreadable> {
        let Some(_) = tree.subdir(top, "users")? else {
            return Ok(Users {
                dangles: tree.dangles(top, "users")?,
                ..Users::default()
            });
        };
        let dir = top.join("users");
        let dangles = tree.dangles(&dir, "valid")? || tree.dangles(&dir, "invalid")?;
        let invalid = Named::of(tree.subdir(&dir, "invalid")?, before.map(|users| &users.invalid));
        let valid = Named::of(tree.subdir(&dir, "valid")?, before.map(|users| &users.valid));
        let mut users = Users {
            invalid,
            valid,
            dangles,
            ..Users::default()
        };
        let (mut invalid_links, mut valid_links, mut acls) = (HashSet::new(), HashSet::new(), HashMap::new());
        let mut dangling = HashSet::new();
        for (name, written) in &users.invalid.links {
            match exists(tree, &dir.join("invalid"), written)? {
                Some(_) => invalid_links.insert(name.clone()),
                None => dangling.insert(name.clone()),
            };
        }
        let dir = dir.join("valid");
        for (name, written) in &users.valid.links {
            match exists(tree, &dir, written)? {
                Some(Kind::Dir) => add_acl(tree, &dir, name, written, &mut acls)?,
                Some(_) => drop(valid_links.insert(name.clone())),
                None => drop(dangling.insert(name.clone())),
            }
        }
        for (name, written) in &users.valid.dirs {
            add_acl(tree, &dir, name, written, &mut acls)?;
        }
        users.invalid_links = Arc::new(invalid_links);
        users.valid_links = Arc::new(valid_links);
        users.acls = Arc::new(acls);
        users.dangling = Arc::new(dangling);
        Ok(users)
    }

    /// Whether mail from `client` is accepted for `local`.
    pub(super) fn standing(&self, local: &LocalPart, client: IpAddr) -> UserStanding {
        let folded = local.folded();
        let wanted = [Some(&*folded), base(&folded)];
        for name in wanted.into_iter().flatten().filter(|name| *name != WILDCARD) {
            if self.is_invalid(name) {
                return UserStanding::Invalid;
            }
            if let Some(allowed) = self.valid_from(name, client) {
                return match allowed {
                    true => UserStanding::Valid,
                    false => UserStanding::NotFromClient,
                };
            }
        }
        match self.valid_from(WILDCARD, client) {
            Some(true) => UserStanding::Anyone,
            Some(false) => UserStanding::NotFromClient,
            None => UserStanding::Unknown,
        }
    }

    /// Whether `folded`, or what stands before its extension, is listed as valid or invalid.
    pub(super) fn lists(&self, folded: &str) -> bool {
        let wanted = [Some(folded), base(folded)];
        wanted
            .into_iter()
            .flatten()
            .any(|name| name != WILDCARD && (self.is_invalid(name) || self.is_valid(name)))
    }

    /// How they stand as a whole.
    pub(super) fn seen(&self) -> UsersSeen {
        if !self.dangles && self.dangling.is_empty() {
            return match self.names_nobody() {
                true => UsersSeen::Nobody,
                false => UsersSeen::Some,
            };
        }
        let whole = self.dangles.then(String::new);
        UsersSeen::Dangling {
            somebody: !self.names_nobody(),
            names: self.dangling.iter().map(|name| name.to_string()).chain(whole).collect(),
        }
    }

    fn names_nobody(&self) -> bool {
        self.acls.is_empty() && self.valid.plain.is_empty() && self.valid_links.is_empty()
    }

    /// What is missing that may decide of `local`, if anything is. Where [`Users::standing`] finds an entry, nothing is.
    pub(super) fn missed(&self, local: &LocalPart) -> Option<MissedUser> {
        if self.dangles {
            return Some(MissedUser::Link(String::new()));
        }
        let folded = local.folded();
        for name in [Some(&*folded), base(&folded)].into_iter().flatten() {
            if self.dangling.contains(name) && name != WILDCARD {
                return Some(MissedUser::Link(name.to_owned()));
            }
            if name != WILDCARD && (self.is_invalid(name) || self.is_valid(name)) {
                return None;
            }
        }
        match self.dangling.contains(WILDCARD) {
            true => Some(MissedUser::Link(WILDCARD.to_owned())),
            false => self.names_nobody().then_some(MissedUser::Everybody),
        }
    }

    /// Whether `users/valid/` has an entry of exactly this name.
    pub(super) fn names_valid(&self, folded: &str) -> bool {
        folded != WILDCARD && self.is_valid(folded)
    }

    /// Whether `user`, a name without extension, is the box of somebody listed.
    pub(super) fn has_box(&self, user: &str) -> bool {
        self.lists(user) || self.valid.bases.contains(user) || self.invalid.bases.contains(user)
    }

    fn is_invalid(&self, name: &str) -> bool {
        let Named { plain, dirs, .. } = &*self.invalid;
        plain.contains(name) || self.invalid_links.contains(name) || dirs.iter().any(|(dir, _)| &**dir == name)
    }

    fn is_valid(&self, name: &str) -> bool {
        self.acls.contains_key(name) || self.valid.plain.contains(name) || self.valid_links.contains(name)
    }

    /// Whether `client` may write to a valid user; `None` for one that is not listed.
    fn valid_from(&self, name: &str, client: IpAddr) -> Option<bool> {
        match self.acls.get(name) {
            Some(allowed) => Some(allowed.contains(&*client.to_canonical().to_string())),
            None => self.is_valid(name).then_some(true),
        }
    }
}

impl Named {
    fn of(listing: Option<Arc<Listing>>, before: Option<&Arc<Named>>) -> Arc<Named> {
        let Some(listing) = listing else { return Arc::default() };
        if let Some(before) = before
            && before
                .source
                .as_ref()
                .is_some_and(|source| Arc::ptr_eq(source, &listing))
        {
            return Arc::clone(before);
        }
        let mut named = Named::default();
        for entry in &listing.entries {
            let Ok(name) = Sort::Local.normalise(&entry.name) else {
                continue;
            };
            if let Some(base) = base(&name) {
                named.bases.insert(base.into());
            }
            match entry.kind {
                Kind::File => drop(named.plain.insert(name)),
                Kind::Dir => named.dirs.push((name, entry.name.clone())),
                Kind::Link => named.links.push((name, entry.name.clone())),
            }
        }
        named.source = Some(listing);
        Arc::new(named)
    }
}

fn exists(tree: &mut Tree, dir: &Path, name: &OsString) -> Result<Option<Kind>, Unreadable> {
    let entry = super::tree::Entry {
        name: name.clone(),
        kind: Kind::Link,
    };
    tree.kind(dir, &entry)
}

/// Two directories that stand for one user (`Ann/`, `ann/`) count together.
fn add_acl(
    tree: &mut Tree,
    dir: &Path,
    name: &str,
    written: &OsString,
    acls: &mut HashMap<Box<str>, Names>,
) -> Result<(), Unreadable> {
    let Some(listing) = tree.list(&dir.join(written), Way::Listing)? else {
        return Ok(());
    };
    let allowed = listing
        .entries
        .iter()
        .filter_map(|entry| Sort::Ip.normalise(&entry.name).ok());
    acls.entry(name.into()).or_default().extend(allowed);
    Ok(())
}
