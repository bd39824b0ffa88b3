//! Which answers of a list are listings.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::Ipv4Addr;

/// Answers that are listings. Whatever the operator wrote, an answer outside of 127.0.0.0/8 never is, and neither is a
/// refusal ([`is_refusal`]).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Codes {
    /// Any but 127.0.0.1: no list has a reason to give it (RFC 5782 §2.1 has 127.0.0.2 as the customary answer), and some
    /// tell with it that they do not serve us.
    #[default]
    Usual,
    /// Those in one of these ranges.
    Only(Vec<CodeRange>),
}

/// Answers from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeRange {
    /// The least.
    pub first: Ipv4Addr,
    /// The greatest.
    pub last: Ipv4Addr,
}

impl Codes {
    /// Whether `answer` is a listing.
    pub fn count(&self, answer: Ipv4Addr) -> bool {
        answer.is_loopback()
            && !is_refusal(answer)
            && match self {
                Codes::Usual => answer != Ipv4Addr::LOCALHOST,
                Codes::Only(ranges) => ranges.iter().any(|range| range.contains(answer)),
            }
    }
}

impl CodeRange {
    /// Whether `answer` is one of them.
    pub fn contains(&self, answer: Ipv4Addr) -> bool {
        (self.first..=self.last).contains(&answer)
    }
}

/// Whether an answer says that the list does not serve us: 127.255.255.0/24, by a custom that large lists share.
pub fn is_refusal(answer: Ipv4Addr) -> bool {
    matches!(answer.octets(), [127, 255, 255, _])
}

/// As it may stand in the file: an address, a network, or a range of the last octet.
impl fmt::Display for CodeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.first.to_bits(), self.last.to_bits());
        let differ = first ^ last;
        // A network holds all that its first bits allow.
        if differ == 0 {
            write!(f, "{}", self.first)
        } else if differ & differ.wrapping_add(1) == 0 && first & differ == 0 {
            write!(f, "{}/{}", self.first, differ.leading_zeros())
        } else {
            write!(f, "{}-{}", self.first, last & 0xff)
        }
    }
}
