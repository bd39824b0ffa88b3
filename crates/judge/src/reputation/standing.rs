//! What the table says, and each question on the way to it.

use super::history::{HistoryRow, Repute};
use super::shared::Shared;
use mail::Line;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Which memory decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Mail of the author's address (rows 1 and 2).
    MsgFromFull,
    /// Mail to the author's address (row 3).
    MsgToFull,
    /// Mail of the author's domain (rows 4 and 5).
    MsgFromDomain,
    /// Mail to the author's domain (row 6).
    MsgToDomain,
    /// Mail of the author's organizational domain (rows 7 and 8).
    MsgFromOrgDomain,
    /// Mail to the author's organizational domain (row 9).
    MsgToOrgDomain,
    /// Mail with the same signatures or names that SPF proves (row 10).
    DkimSpf,
    /// Mail from the same address: /32 of IPv4, /64 of IPv6 (row 11).
    Ip1,
    /// Mail from its network: /26 of IPv4, /48 of IPv6.
    Ip2,
    /// Mail from a wider network: /21 of IPv4, /32 of IPv6.
    Ip3,
    /// None: nothing is known.
    None,
}

/// What a mailbox's history says of a sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// `None` where there is no history, or it has some of both.
    pub verdict: Option<Repute>,
    /// It decides by itself; there is a verdict then. Otherwise it is evidence.
    pub is_conclusive: bool,
    /// Which memory decided.
    pub method: Method,
    /// Each question, in order. The last one decided, unless the method is [`Method::None`].
    pub walk: Vec<Step>,
    /// What other mailboxes say, where this one knows nothing and they were asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<Shared>,
}

/// One question, and what followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Row of the table, 1 to 11.
    pub row: u8,
    /// What was asked, in words.
    pub asked: Line,
    /// What was found.
    pub answer: Answer,
    /// What follows from it, in words.
    pub concluded: Line,
}

/// What a question found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Labelled messages.
    Messages {
        /// How many there are, of those that were asked for.
        found: u32,
        /// How many of them are junk.
        junk: u32,
        /// The newest ten, newest first.
        newest: Vec<HistoryRow>,
    },
    /// Whether the owner wrote to them.
    WroteTo(bool),
}

impl Standing {
    /// Whether the mailbox knows the sender and welcomes him, for certain.
    pub fn is_welcome(&self) -> bool {
        self.is_conclusive && self.verdict == Some(Repute::NotJunk)
    }

    /// Whether junk is known of the sender, be it for certain or not, here or in other mailboxes.
    pub fn is_junk_known(&self) -> bool {
        let shared = self.shared.as_ref().and_then(|shared| shared.verdict);
        self.verdict.or(shared) == Some(Repute::Junk)
    }
}

/// `junk, conclusive`
pub(super) fn in_words(verdict: Option<Repute>, is_conclusive: bool) -> String {
    let verdict = match verdict {
        Some(Repute::Junk) => "junk",
        Some(Repute::NotJunk) => "not junk",
        None => "no verdict",
    };
    match is_conclusive {
        true => format!("{verdict}, conclusive"),
        false => format!("{verdict}, inconclusive"),
    }
}

impl Method {
    /// All, in the order of the table.
    pub const ALL: [Method; 11] = [
        Method::MsgFromFull,
        Method::MsgToFull,
        Method::MsgFromDomain,
        Method::MsgToDomain,
        Method::MsgFromOrgDomain,
        Method::MsgToOrgDomain,
        Method::DkimSpf,
        Method::Ip1,
        Method::Ip2,
        Method::Ip3,
        Method::None,
    ];

    /// The word by which it is known in logs, records and cases.
    pub fn word(self) -> &'static str {
        match self {
            Method::MsgFromFull => "msgfromfull",
            Method::MsgToFull => "msgtofull",
            Method::MsgFromDomain => "msgfromdomain",
            Method::MsgToDomain => "msgtodomain",
            Method::MsgFromOrgDomain => "msgfromorgdomain",
            Method::MsgToOrgDomain => "msgtoorgdomain",
            Method::DkimSpf => "dkimspf",
            Method::Ip1 => "ip1",
            Method::Ip2 => "ip2",
            Method::Ip3 => "ip3",
            Method::None => "none",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// `junk, conclusive (msgfromfull)`
impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer = in_words(self.verdict, self.is_conclusive);
        write!(f, "{answer} ({})", self.method)
    }
}

/// `mail of ann@shop.example, proven, of the last 3 years: 2, of which 1 junk; the newest is not junk: ...`
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.asked, self.answer, self.concluded)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Messages { found: 0, .. } => f.write_str("none"),
            Answer::Messages { found, junk, .. } => write!(f, "{found}, of which {junk} junk"),
            Answer::WroteTo(true) => f.write_str("yes"),
            Answer::WroteTo(false) => f.write_str("no"),
        }
    }
}
