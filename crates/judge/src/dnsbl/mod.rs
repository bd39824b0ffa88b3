//! DNS lists of addresses and of domains (RFC 5782), to refuse by or to trust.
//!
//! A [`Zone`] is one line of the file `zones`; [`parse_zones`] reads them. [`look_up`] asks a zone what it says of a
//! message; [`probe`] asks whether it works at all, since one that has died may list everybody.
//!
//! Only answers that a list would give count (see [`Codes`]): the holder of an expired name answers with addresses of
//! its own, and a list that refuses to serve us says so by an answer too.

mod codes;
mod health;
mod lines;
mod query;
#[cfg(test)]
mod tests;

pub use codes::{CodeRange, Codes, is_refusal};
pub use health::{Health, probe};
pub use lines::{BadLine, WORDS, ZONES_MAX, parse_zones};
pub use query::{DOMAINS_MAX, look_up};

use crate::resolver::Name;
use mail::Line;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// A list, and what is made of its answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// Below which name it is asked.
    pub name: Name,
    /// What it is asked about.
    pub target: Target,
    /// What a listing means.
    pub effect: Effect,
    /// Which answers are listings.
    pub codes: Codes,
}

/// What a zone is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The client's address (RFC 5782 §2.1, §2.4).
    Client,
    /// The domains that a message comes from (RFC 5782 §3), as RHSBLs are.
    Domain,
}

/// What a listing means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The message is refused.
    Refuse,
    /// A mild signal among others.
    Score,
    /// It speaks for the message.
    Allow,
}

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
