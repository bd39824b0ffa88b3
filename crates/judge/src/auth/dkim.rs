//! What DKIM (RFC 6376, RFC 8301, RFC 8463) says of a message, as a fact: whose signatures verify?
//!
//! They are verified by the crate `signatures`, which has the keys and the hashes.

use crate::resolver::Security;
use mail::{Domain, Line};
use serde::{Deserialize, Serialize};
use std::fmt;

/// RFC 8601 §2.7.1; `none` is a message without signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DkimResult {
    /// It verifies.
    Pass,
    /// It does not.
    Fail,
    /// It cannot be read.
    Neutral,
    /// It verifies, but not in a way that is acceptable here: a key too short (RFC 8301), a body signed in part.
    Policy,
    /// DNS trouble; may be otherwise later.
    TempError,
    /// It can never verify: no key, a tag missing.
    PermError,
}

/// One signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dkim {
    /// The result.
    pub result: DkimResult,
    /// `d=`: who takes responsibility. `None` where it cannot be read.
    pub domain: Option<Domain>,
    /// `s=`: which key.
    pub selector: Line,
    /// `i=`: on whose behalf, where said.
    pub identity: Option<Line>,
    /// `a=`: `rsa-sha256`.
    pub algorithm: Line,
    /// Bits of an RSA key, where one was found.
    pub key_bits: Option<u32>,
    /// The first characters of `b=`, which tell signatures apart (RFC 6008).
    pub start: Line,
    /// The key's owner is testing (`t=y`), so that a failure means nothing.
    pub is_testing: bool,
    /// Why this result; a sentence without a full stop.
    pub why: Line,
    /// How far the key is proven.
    pub security: Security,
}

impl DkimResult {
    /// The word of RFC 8601 §2.7.1.
    pub fn word(self) -> &'static str {
        match self {
            DkimResult::Pass => "pass",
            DkimResult::Fail => "fail",
            DkimResult::Neutral => "neutral",
            DkimResult::Policy => "policy",
            DkimResult::TempError => "temperror",
            DkimResult::PermError => "permerror",
        }
    }
}

impl fmt::Display for DkimResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
