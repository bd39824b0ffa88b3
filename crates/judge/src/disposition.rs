//! What becomes of a message for one recipient.

use crate::rule::Folder;
use serde::{Deserialize, Serialize};

/// What becomes of a message for one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// 250, to the next hop.
    Accept,
    /// 250, to the next hop with a mark.
    Tag,
    /// 250, to the next hop with a mark and a folder's name.
    File(Folder),
    /// 250, kept in the quarantine, releasable.
    Hold,
    /// 5xx, kept in the quarantine, releasable.
    Reject(Rejection),
    /// 4xx.
    Defer,
    /// 250, kept for the retention time, then gone.
    Discard,
}

/// Which permanent reply a refusal gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rejection {
    /// 550 5.1.1: no such user.
    UnknownUser,
    /// 550 5.7.1: the recipient's rules.
    Policy,
    /// 550 5.7.26 (RFC 7372): not authenticated as from whom it claims to be.
    Unauthenticated,
}

impl Disposition {
    /// One word, as in logs and reports.
    pub fn word(&self) -> &'static str {
        match self {
            Disposition::Accept => "accept",
            Disposition::Tag => "tag",
            Disposition::File(_) => "file",
            Disposition::Hold => "hold",
            Disposition::Reject(_) => "reject",
            Disposition::Defer => "defer",
            Disposition::Discard => "discard",
        }
    }

    /// Whether the next hop gets the message.
    pub fn is_delivered(&self) -> bool {
        matches!(self, Disposition::Accept | Disposition::Tag | Disposition::File(_))
    }
}
