//! What a virus scanner says of a message.

use mail::Line;
use serde::{Deserialize, Serialize};

/// What a scanner found. That it could not be asked is no finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VirusScan {
    /// Nothing.
    Clean,
    /// A virus, by the name of its signature.
    Infected(Line),
    /// It was not looked at: the message is larger than the operator, or the scanner, allows.
    TooLarge {
        /// Of the message.
        octets: u64,
    },
}
