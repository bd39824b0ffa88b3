//! DNS lists of addresses and of domains (RFC 5782), to refuse by or to trust.

use mail::Line;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// What one zone says of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneFact {
    /// The zone, as in the file `zones`, lower-cased.
    pub zone: Box<str>,
    /// What was found.
    pub finding: ZoneFinding,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ZoneFinding {
    /// Listed: what was asked about, what was answered, and the zone's text for it, where it has one.
    Listed {
        /// The address or domain.
        subject: Line,
        /// All answers that count as a listing.
        codes: Vec<Ipv4Addr>,
        /// From the zone's TXT record; empty without one.
        text: Line,
    },
    /// Not listed.
    NotListed,
    /// Nobody could say.
    Unavailable(Line),
    /// The zone is switched off, and why.
    Off(Line),
}

/// PLACEHOLDER until the list reader is merged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// Its name.
    pub name: crate::resolver::Name,
    /// What follows.
    pub effect: Effect,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// refuse
    Refuse,
    /// score
    Score,
    /// allow
    Allow,
}
