//! What ARC (RFC 8617) says of a message, as a fact: what do those say who passed it on?
//!
//! The chain is verified by the crate `signatures`, which has the keys and the hashes.

use mail::{Domain, Line};
use serde::{Deserialize, Serialize};
use std::fmt;

/// RFC 8617 §4.4: the chain validation status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArcResult {
    /// No ARC fields.
    None,
    /// The whole chain verifies, and the newest signature fits the message.
    Pass,
    /// It does not.
    Fail,
    /// DNS trouble; may be otherwise later. RFC 8617 has no word for it; whoever must write one writes `fail`.
    TempError,
}

/// The chain of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arc {
    /// The chain validation status.
    pub result: ArcResult,
    /// The sets in order of instance, the oldest first. Empty where the chain cannot be read; without what they say that
    /// passed where it does not verify.
    pub sets: Vec<ArcSet>,
    /// Why this result; a sentence without a full stop.
    pub why: Line,
}

/// One set: who sealed it, and what he says that he found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ArcSet {
    /// `d=` of the seal.
    pub sealer: Option<Domain>,
    /// `s=` of the seal.
    pub selector: Line,
    /// For which author domain (`header.from`) its ARC-Authentication-Results says `dmarc=pass`.
    pub dmarc_pass: Option<Domain>,
    /// Domains (`header.d`, or those of `header.i`) for which it says `dkim=pass`; at most ten.
    pub dkim_pass: Vec<Domain>,
    /// The reverse-path's domain (`smtp.mailfrom`) for which it says `spf=pass`.
    pub spf_pass: Option<Domain>,
}

impl ArcResult {
    /// The word of RFC 8617 §4.4.
    pub fn word(self) -> &'static str {
        match self {
            ArcResult::None => "none",
            ArcResult::Pass => "pass",
            ArcResult::Fail | ArcResult::TempError => "fail",
        }
    }
}

impl fmt::Display for ArcResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
