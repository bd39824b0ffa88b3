//! SPF (RFC 7208): may this client send with this HELO name, with this reverse-path?

use crate::resolver::Security;
use mail::Line;
use serde::{Deserialize, Serialize};
use std::fmt;

/// RFC 7208 §2.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpfResult {
    /// No record, or no domain to ask.
    None,
    /// The owner says nothing of this client.
    Neutral,
    /// The client may.
    Pass,
    /// The client may not.
    Fail,
    /// The client probably may not.
    SoftFail,
    /// DNS trouble; may be otherwise later.
    TempError,
    /// The record is wrong.
    PermError,
}

/// What SPF says of one identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spf {
    /// The result.
    pub result: SpfResult,
    /// The domain that was asked.
    pub domain: Line,
    /// The term that matched, as written in the record: `ip4:192.0.2.0/24`, `-all`; with the domain whose record holds
    /// it, where an `include` led there. Empty where none matched.
    pub term: Line,
    /// What was wrong, or how the owner explains a failure (RFC 7208 §6.2); empty otherwise.
    pub explanation: Line,
    /// How far all answers that led to the result are proven.
    pub security: Security,
}

impl SpfResult {
    /// The word of RFC 8601 §2.7.2.
    pub fn word(self) -> &'static str {
        match self {
            SpfResult::None => "none",
            SpfResult::Neutral => "neutral",
            SpfResult::Pass => "pass",
            SpfResult::Fail => "fail",
            SpfResult::SoftFail => "softfail",
            SpfResult::TempError => "temperror",
            SpfResult::PermError => "permerror",
        }
    }
}

impl fmt::Display for SpfResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
