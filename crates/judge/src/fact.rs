//! Something that must be asked for, and may not be had.

use mail::Line;
use serde::{Deserialize, Serialize};

/// Something that must be asked for, and may not be had.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Fact<T> {
    /// Nobody asked, for no verdict needed it.
    #[default]
    NotAsked,
    /// It is known.
    Found(T),
    /// It was not asked for, and why.
    Skipped(Line),
    /// It was asked for, and whoever could say did not.
    Unavailable(Line),
}

impl<T> Fact<T> {
    /// What is known.
    pub fn found(&self) -> Option<&T> {
        match self {
            Fact::Found(value) => Some(value),
            Fact::NotAsked | Fact::Skipped(_) | Fact::Unavailable(_) => None,
        }
    }

    /// Whether nobody asked yet.
    pub fn is_open(&self) -> bool {
        matches!(self, Fact::NotAsked)
    }
}
