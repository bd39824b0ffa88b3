//! DMARC (RFC 9989, which replaces RFC 7489): does the author domain's owner vouch for the message, and what does he
//! wish if not?

use crate::resolver::Security;
use mail::{Domain, Line};
use serde::{Deserialize, Serialize};
use std::fmt;

/// RFC 8601 §2.7, RFC 7489 §11.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DmarcResult {
    /// No record, or no one author domain to ask.
    None,
    /// An aligned SPF or DKIM result passes.
    Pass,
    /// None does.
    Fail,
    /// DNS trouble; may be otherwise later.
    TempError,
    /// The record is wrong.
    PermError,
}

/// What a domain's owner wishes for mail that fails (RFC 9989 §4.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wish {
    /// Nothing.
    None,
    /// To be treated with suspicion.
    Quarantine,
    /// To be refused.
    Reject,
}

/// What DMARC says of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dmarc {
    /// The result.
    pub result: DmarcResult,
    /// The author domain, where there is exactly one.
    pub author: Option<Domain>,
    /// The author domain's organizational domain.
    pub organization: Option<Domain>,
    /// Where the record stands, `_dmarc.example.com`; empty without one.
    pub record_at: Line,
    /// What the record asks for in this case, before testing mode and sampling are taken into account.
    pub published: Wish,
    /// What it comes to: one step milder in testing mode (`t=y`) or for a message that `pct` leaves out.
    pub wish: Wish,
    /// Domains whose aligned DKIM signature passes.
    pub aligned_dkim: Vec<Domain>,
    /// The domain whose aligned SPF result passes.
    pub aligned_spf: Option<Domain>,
    /// Why this result; a sentence without a full stop.
    pub why: Line,
    /// How far the record is proven.
    pub security: Security,
}

impl DmarcResult {
    /// The word of RFC 8601 §2.7.
    pub fn word(self) -> &'static str {
        match self {
            DmarcResult::None => "none",
            DmarcResult::Pass => "pass",
            DmarcResult::Fail => "fail",
            DmarcResult::TempError => "temperror",
            DmarcResult::PermError => "permerror",
        }
    }
}

impl Wish {
    /// The word of RFC 9989 §4.7.
    pub fn word(self) -> &'static str {
        match self {
            Wish::None => "none",
            Wish::Quarantine => "quarantine",
            Wish::Reject => "reject",
        }
    }
}

impl fmt::Display for DmarcResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// PLACEHOLDER until merged.
pub fn mended_by<'a>(_dmarc: &Dmarc, _arc: &'a super::arc::Arc, _trusted: &[Domain]) -> Option<&'a Domain> {
    None
}
