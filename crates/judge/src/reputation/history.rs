//! What is remembered of a mailbox's correspondents, and how it is asked.
//!
//! Each question is one short read: the newest rows of one identity in one mailbox. Whoever remembers keeps the rows of
//! an identity together, newest first.

use crate::resolver::BoxFuture;
use mail::{Domain, Line, MailboxId};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What a sender is held to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repute {
    /// Its mail is junk.
    Junk,
    /// Its mail is welcome.
    NotJunk,
}

/// By what somebody who wrote is known. Values are compared as they stand here: domains as A-labels, local parts
/// lower-cased, addresses masked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    /// The author's address, and whether it was proven (`validated`).
    Author {
        /// Local part, lower-cased.
        local: Line,
        /// Its domain.
        domain: Domain,
        /// An aligned SPF or DKIM result passed.
        validated: bool,
    },
    /// The author's domain.
    AuthorDomain {
        /// The domain.
        domain: Domain,
        /// An aligned SPF or DKIM result passed.
        validated: bool,
    },
    /// The author's organizational domain.
    AuthorOrganization {
        /// The organizational domain.
        domain: Domain,
        /// An aligned SPF or DKIM result passed.
        validated: bool,
    },
    /// A domain whose DKIM signature verified.
    Dkim(Domain),
    /// The reverse-path.
    ReversePath {
        /// Local part, lower-cased.
        local: Line,
        /// Its domain.
        domain: Domain,
    },
    /// The reverse-path's domain.
    ReversePathDomain(Domain),
    /// The HELO name.
    Helo(Domain),
    /// The client's address: /32, /26 or /21 of IPv4; /64, /48 or /32 of IPv6. The mask and the masked address.
    Network {
        /// 1 is the narrowest mask, 3 the widest.
        width: u8,
        /// The address, masked.
        address: IpAddr,
    },
}

/// One message that was labelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryRow {
    /// When it came: seconds since 1970.
    pub received_s: i64,
    /// Of two that came at one time the one with the higher number is newer.
    pub number: u64,
    /// Junk; otherwise not junk.
    pub is_junk: bool,
    /// The author's local part, lower-cased.
    pub author_local: Line,
}

/// Whom the owner of a mailbox wrote to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Correspondent {
    /// This address.
    Address {
        /// Local part, as text.
        local: Line,
        /// Its domain.
        domain: Domain,
    },
    /// Somebody of this domain.
    Domain(Domain),
    /// Somebody of this organizational domain.
    Organization(Domain),
}

/// Whose memory is asked together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All mailboxes of a domain.
    Domain(Domain),
    /// All mailboxes here.
    Server,
}

/// What mailboxes say of an identity: each has one vote, that of its newest labelled message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Votes {
    /// Those whose newest message is junk.
    pub junk: u32,
    /// Those whose newest one is not.
    pub not_junk: u32,
}

impl Identity {
    /// Whether other mailboxes may hear, without names, what was said of it: only what a forger cannot borrow, and what
    /// shows nothing of whom somebody writes with.
    pub fn is_shared(&self) -> bool {
        match self {
            Identity::Author { validated, .. } | Identity::AuthorDomain { validated, .. } => *validated,
            Identity::Dkim(_) => true,
            Identity::Network { width, .. } => *width == 1,
            Identity::AuthorOrganization { .. }
            | Identity::ReversePath { .. }
            | Identity::ReversePathDomain(_)
            | Identity::Helo(_) => false,
        }
    }
}

/// Nobody could say: the store is down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryUnavailable(pub Line);

/// Whoever remembers.
pub trait History: Send + Sync {
    /// The newest labelled messages of an identity in a mailbox, newest first: received at `since_s` or later, and no
    /// more than `limit`.
    fn newest<'a>(
        &'a self,
        mailbox: &'a MailboxId,
        identity: &'a Identity,
        since_s: i64,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<HistoryRow>, HistoryUnavailable>>;

    /// Whether the mailbox's owner wrote to a correspondent at `since_s` or later.
    fn wrote_to<'a>(
        &'a self,
        mailbox: &'a MailboxId,
        correspondent: &'a Correspondent,
        since_s: i64,
    ) -> BoxFuture<'a, Result<bool, HistoryUnavailable>>;

    /// What the mailboxes of a scope say of an identity: one vote each, of messages received at `since_s` or later. Of
    /// very many mailboxes a thousand are asked.
    fn votes<'a>(
        &'a self,
        scope: &'a Scope,
        identity: &'a Identity,
        since_s: i64,
    ) -> BoxFuture<'a, Result<Votes, HistoryUnavailable>>;
}
