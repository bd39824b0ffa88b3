//! What a virus scanner found.

use mail::Line;
use serde::{Deserialize, Serialize};

/// The scanner's answer. That it gave none is not among these: see [`crate::evidence::Fact`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum VirusScan {
    /// Nothing was found.
    Clean,
    /// The name that the scanner gives it.
    Infected(Line),
    /// Larger than what is scanned, here or there, so nobody looked.
    TooLarge {
        /// Octets of the message.
        octets: u64,
    },
}
