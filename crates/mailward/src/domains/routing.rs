//! Two small files: `deliver` names the domain's next hop, `mailboxes/L` the owner of a local part.

use super::Fault;
use super::names::Sort;
use super::tree::{Text, Tree, Unreadable};
use crate::relay::next_hop::{NextHop, NextHopError};
use mail::{Address, MailboxId};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

/// Next hops that run a program. Whoever may write into one domain's directory must not run programs as the gateway.
const PROGRAMS: [&str; 4] = ["bsmtp", "pipe", "exec", "command"];

/// Why the file `deliver` names no next hop.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliverError {
    /// Nothing in it but blanks and comments.
    Empty,
    /// More than one line that is no comment.
    SeveralLines,
    /// Not UTF-8, or larger than any sensible file.
    NotText,
    /// Its line is no next hop.
    NextHop(NextHopError),
}

/// Reads the text of `deliver`: one line, blanks and lines that begin with `#` aside.
pub(super) fn next_hop(text: &Text) -> Result<NextHop, DeliverError> {
    let line = match single_line(text) {
        Ok(line) => line,
        Err(LineFault::NotText) => return Err(DeliverError::NotText),
        Err(LineFault::Empty) => return Err(DeliverError::Empty),
        Err(LineFault::Several) => return Err(DeliverError::SeveralLines),
    };
    let scheme = line.split_once(':').map_or("", |(scheme, _)| scheme);
    if line.starts_with('|') || PROGRAMS.iter().any(|program| program.eq_ignore_ascii_case(scheme)) {
        return Err(DeliverError::NextHop(NextHopError::MainConfigOnly(line.to_owned())));
    }
    line.parse().map_err(DeliverError::NextHop)
}

/// `mailboxes/`: owners by folded local part, and faults by file.
pub(super) type Owners = (HashMap<Box<str>, MailboxId>, Vec<(PathBuf, Fault)>);

/// Reads `mailboxes/` of the domain at `top`. A file that names no owner counts as absent and is a fault. Where two
/// names stand for one local part (`Ann`, `ann`), the first in sort order counts.
pub(super) fn owners(tree: &mut Tree, top: &Path) -> Result<Owners, Unreadable> {
    let (mut owners, mut faults) = (HashMap::new(), Vec::new());
    let dir = top.join("mailboxes");
    if let Some(listing) = tree.meant_subdir(top, "mailboxes")? {
        for entry in &listing.entries {
            let Ok(local) = Sort::Local.normalise(&entry.name) else {
                continue;
            };
            let Some(text) = tree.text(&dir, OsStr::new(&entry.name))? else {
                continue;
            };
            match owner(&text) {
                Ok(owner) => drop(owners.entry(local).or_insert(owner)),
                Err(message) => faults.push((
                    dir.join(&entry.name),
                    Fault::error(message.into()).hint("write the owner's address, `ann@example.com`".into()),
                )),
            }
        }
    }
    Ok((owners, faults))
}

/// The mailbox whose address the file holds.
pub(super) fn owner(text: &Text) -> Result<MailboxId, &'static str> {
    let line = single_line(text).map_err(|fault| match fault {
        LineFault::NotText => "not UTF-8 text",
        LineFault::Empty => "names no owner",
        LineFault::Several => "has more than one line",
    })?;
    let address = Address::parse(line).map_err(|_| "its line is no mail address")?;
    let domain = address.domain().ok_or("its address has no domain")?;
    let owner = MailboxId::new(address.local(), domain);
    match owner.is_others() {
        true => Err("`*` is nobody's address"),
        false => Ok(owner),
    }
}

enum LineFault {
    NotText,
    Empty,
    Several,
}

fn single_line(text: &Text) -> Result<&str, LineFault> {
    let all = std::str::from_utf8(&text.octets).map_err(|_| LineFault::NotText)?;
    if text.is_cut {
        return Err(LineFault::NotText);
    }
    let mut lines = all
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let line = lines.next().ok_or(LineFault::Empty)?;
    match lines.next() {
        None => Ok(line),
        Some(_) => Err(LineFault::Several),
    }
}

impl DeliverError {
    /// What to write instead.
    pub fn hint(&self) -> String {
        match self {
            DeliverError::NextHop(error) => error.hint(),
            _ => "write one line, `smtp:HOST:PORT` or `maildir:/DIR/{domain}/{local}`".into(),
        }
    }
}

impl fmt::Display for DeliverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeliverError::Empty => f.write_str("names no next hop"),
            DeliverError::SeveralLines => f.write_str("has more than one line"),
            DeliverError::NotText => f.write_str("not UTF-8 text"),
            DeliverError::NextHop(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for DeliverError {}
