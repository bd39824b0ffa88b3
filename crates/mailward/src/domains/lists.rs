//! `blacklisted/`, `whitelisted/`, `forwarders/` and `lists/` of a domain or of `_global_`, and the directory of addresses that are
//! blacklisted everywhere.

use super::names::{BLACKLISTED, FORWARDERS, LISTS, Sort, WHITELISTED};
use super::tree::{Kind, Listing, Tree, Unreadable};
use judge::lists::{Blacklist, Names, Whitelist};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Entries of a directory that are looked into, for `forged = "pass"`. Lists with more are made by programs, which
/// write names only.
pub(super) const LOOKED_INTO_MAX: usize = 1000;

/// The directory of whitelists.
const WHITELIST: &str = "whitelisted";

/// The names in one directory whose file says `forged = "pass"`: they count even where DMARC or SPF shows them
/// to be forged.
fn forged_in(
    tree: &mut Tree,
    dir: &Path,
    listing: Option<&Listing>,
    sort: Sort,
    forged: &mut Names,
) -> Result<(), Unreadable> {
    let entries = listing.map_or(&[][..], |listing| &listing.entries);
    if entries.len() > LOOKED_INTO_MAX {
        return Ok(());
    }
    for entry in entries {
        let Ok(name) = sort.normalise(&entry.name) else {
            continue;
        };
        if let Some(Kind::File | Kind::Link) = tree.kind(dir, entry)?
            && let Some(text) = tree.text(dir, OsStr::new(&entry.name))?
            && says_forged_pass(&text.octets)
        {
            forged.insert(name);
        }
    }
    Ok(())
}

fn says_forged_pass(octets: &[u8]) -> bool {
    let table = std::str::from_utf8(octets)
        .ok()
        .and_then(|text| text.parse::<toml::Table>().ok());
    table.is_some_and(|table| table.get("forged").and_then(toml::Value::as_str) == Some("pass"))
}

/// Sets of names by the directory that they were read from, so that one changed list leaves the others as they are.
#[derive(Debug, Default)]
pub(super) struct ListCache(HashMap<PathBuf, (Arc<Listing>, Arc<Names>)>);

impl ListCache {
    /// `blacklisted/` below `top`.
    pub(super) fn blacklist(&mut self, tree: &mut Tree, top: &Path) -> Result<Blacklist, Unreadable> {
        let [ips, hosts, senders, domains, tld] = self.sets(tree, top, "blacklisted", BLACKLISTED)?;
        Ok(Blacklist {
            ips,
            hosts,
            senders,
            domains,
            tld,
        })
    }

    /// `whitelisted/` below `top`.
    pub(super) fn whitelist(&mut self, tree: &mut Tree, top: &Path) -> Result<Whitelist, Unreadable> {
        let [ips, senders, domains, recipients] = self.sets(tree, top, WHITELIST, WHITELISTED)?;
        let mut forged = Names::new();
        for (name, sort) in WHITELISTED {
            if matches!(name, "senders" | "domains") && tree.subdir(top, WHITELIST)?.is_some() {
                let dir = top.join(WHITELIST);
                let listing = tree.subdir(&dir, name)?;
                forged_in(tree, &dir.join(name), listing.as_deref(), sort, &mut forged)?;
            }
        }
        Ok(Whitelist {
            ips,
            senders,
            domains,
            recipients,
            forged: Arc::new(forged),
        })
    }

    /// `forwarders/` below `top`; `None` where there is no such directory.
    pub(super) fn forwarders(&mut self, tree: &mut Tree, top: &Path) -> Result<Option<Arc<Names>>, Unreadable> {
        let listing = tree.meant_subdir(top, FORWARDERS)?;
        let is_there = listing.is_some();
        let names = self.names(tree, &top.join(FORWARDERS), listing, Sort::Forwarder)?;
        Ok(is_there.then_some(names))
    }

    /// `lists/` below `top`.
    pub(super) fn allowed(&mut self, tree: &mut Tree, top: &Path) -> Result<Arc<Names>, Unreadable> {
        let listing = tree.meant_subdir(top, LISTS)?;
        self.names(tree, &top.join(LISTS), listing, Sort::Domain)
    }

    /// The sets of all lists in the order of their table. A blacklist behind a link to nothing is none; a whitelist is
    /// trouble, because what it would let pass is refused for good.
    fn sets<const N: usize>(
        &mut self,
        tree: &mut Tree,
        top: &Path,
        colour: &str,
        table: [(&str, Sort); N],
    ) -> Result<[Arc<Names>; N], Unreadable> {
        let mut sets = std::array::from_fn(|_| Arc::default());
        let dir = top.join(colour);
        let look = match colour {
            WHITELIST => Tree::meant_subdir,
            _ => Tree::subdir,
        };
        if look(tree, top, colour)?.is_some() {
            for (set, (name, sort)) in sets.iter_mut().zip(table) {
                let listing = look(tree, &dir, name)?;
                *set = self.names(tree, &dir.join(name), listing, sort)?;
            }
        }
        Ok(sets)
    }

    /// The names that stand in one directory. Links that lead nowhere do not.
    pub(super) fn names(
        &mut self,
        tree: &mut Tree,
        dir: &Path,
        listing: Option<Arc<Listing>>,
        sort: Sort,
    ) -> Result<Arc<Names>, Unreadable> {
        let Some(listing) = listing else {
            self.0.remove(dir);
            return Ok(Arc::default());
        };
        let has_links = listing.entries.iter().any(|entry| entry.kind == Kind::Link);
        if let Some((source, names)) = self.0.get(dir)
            && Arc::ptr_eq(source, &listing)
            && !has_links
        {
            return Ok(Arc::clone(names));
        }
        let mut names = Names::with_capacity(listing.entries.len());
        for entry in &listing.entries {
            if let Ok(name) = sort.normalise(&entry.name)
                && tree.kind(dir, entry)?.is_some()
            {
                names.insert(name);
            }
        }
        let names = Arc::new(names);
        self.0.insert(dir.to_path_buf(), (listing, Arc::clone(&names)));
        Ok(names)
    }
}
