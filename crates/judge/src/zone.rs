//! A resolver that answers from a zone file: for tests, and for `mailward scan --dns FILE`.
//!
//! [`ZoneFile::parse`] reads master files (RFC 1035 §5.1; see `read` for the subset and for the lines of our own, which
//! make trouble or say what is signed); [`ZoneFile::insert`] builds the same by hand. All zones of one file are one tree of
//! names: delegations are not followed. A name above another one exists (RFC 8020 §2), wildcards stand for names that do
//! not (RFC 4592), and CNAMEs are followed, so many and no more.
//!
//! It refuses what would be answered otherwise than it reads: unknown types and directives, DNAME, other classes.

mod read;

use crate::resolver::{Answer, BoxFuture, Kind, Name, Outcome, Question, Record, Resolver, Security, Trouble};
use mail::Line;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// How many CNAMEs are followed for one question, as in the network's resolver.
const ALIASES_MAX: usize = 8;

/// All that a zone file says.
#[derive(Debug, Clone, Default)]
pub struct ZoneFile {
    /// Every name that exists, also for the sake of one below it.
    nodes: HashMap<Name, Node>,
    /// Names at the top of signed zones.
    signed: Vec<Name>,
}

/// What one name has.
#[derive(Debug, Clone, Default)]
struct Node {
    /// In the order of the file.
    records: Vec<Record>,
    /// Where its CNAME leads.
    alias: Option<Name>,
    /// What goes wrong: for one kind, or for all.
    troubles: Vec<(Option<Kind>, Trouble)>,
}

/// Why a text is no zone file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneError {
    /// In which line, the first being 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: Line,
}

impl ZoneFile {
    /// Reads a zone file.
    ///
    /// # Errors
    /// The first line that is no part of one.
    pub fn parse(text: &str) -> Result<ZoneFile, ZoneError> {
        read::read(text)
    }

    /// One more record of a name, which is answered after those that it has.
    pub fn insert(&mut self, name: &Name, record: Record) {
        self.node(name).records.push(record);
    }

    /// The name is another name for `target`. Records of the name's own go before its alias, though the DNS allows only
    /// one of both (RFC 1034 §3.6.2).
    pub fn insert_alias(&mut self, name: &Name, target: &Name) {
        self.node(name).alias = Some(target.clone());
    }

    /// Questions for the name fail so: those for one kind, or all.
    pub fn insert_trouble(&mut self, name: &Name, kind: Option<Kind>, trouble: Trouble) {
        self.node(name).troubles.push((kind, trouble));
    }

    /// The name exists, with or without records.
    pub fn insert_name(&mut self, name: &Name) {
        self.node(name);
    }

    /// Answers for names in this zone are proven; all others are proven not to be signed.
    pub fn insert_signed(&mut self, zone: &Name) {
        self.signed.push(zone.clone());
    }

    /// The node of a name, which exists from now on, as do the names above it.
    fn node(&mut self, name: &Name) -> &mut Node {
        let mut above = name.parent();
        while let Some(parent) = above {
            if self.nodes.contains_key(&parent) {
                break;
            }
            above = parent.parent();
            self.nodes.insert(parent, Node::default());
        }
        self.nodes.entry(name.clone()).or_default()
    }

    /// The node that answers for a name: its own, or that of the wildcard below its closest encloser
    /// (RFC 4592 §3.3.1).
    fn find(&self, name: &Name) -> Option<&Node> {
        if let Some(node) = self.nodes.get(name) {
            return Some(node);
        }
        let mut above = name.parent();
        while let Some(parent) = above {
            if self.nodes.contains_key(&parent) {
                return self.nodes.get(&parent.below("*")?);
            }
            above = parent.parent();
        }
        None
    }

    fn security_of(&self, name: &Name) -> Security {
        if self.signed.is_empty() {
            return Security::Unknown;
        }
        match self.signed.iter().any(|zone| name.is_within(zone)) {
            true => Security::Secure,
            false => Security::Insecure,
        }
    }

    fn answer(&self, question: &Question) -> Answer {
        let mut name = &question.name;
        let mut security = self.security_of(name);
        for _ in 0..=ALIASES_MAX {
            let answered = |outcome| Answer { outcome, security };
            let Some(node) = self.find(name) else {
                return answered(Outcome::NoName);
            };
            if let Some(trouble) = node.trouble(question.kind) {
                return Answer::unavailable(trouble);
            }
            let records = node.records.iter().filter(|record| record.kind() == question.kind);
            let records: Arc<[Record]> = records.cloned().collect();
            if !records.is_empty() {
                return answered(Outcome::Records(records));
            }
            let Some(target) = &node.alias else {
                return answered(Outcome::NoRecords);
            };
            name = target;
            security = security.and(self.security_of(name));
        }
        // A circle, or a chain that nobody would follow.
        Answer::unavailable(Trouble::Malformed)
    }
}

impl Node {
    fn trouble(&self, asked: Kind) -> Option<Trouble> {
        let concerns = |kind: &Option<Kind>| kind.is_none_or(|kind| kind == asked);
        let found = self.troubles.iter().find(|(kind, _)| concerns(kind));
        found.map(|(_, trouble)| *trouble)
    }
}

impl Resolver for ZoneFile {
    fn ask(&self, question: Question) -> BoxFuture<'_, Answer> {
        Box::pin(std::future::ready(self.answer(&question)))
    }
}

impl fmt::Display for ZoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

impl std::error::Error for ZoneError {}

#[cfg(test)]
mod tests;
