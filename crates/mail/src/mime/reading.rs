//! In what mail readers differ where a message can be read in two ways.
//!
//! Whoever writes two boundaries may count on a filter that takes the one and a reader that takes the other. So a message
//! is read as most readers do, and once more for each difference that would matter: see [`Reading::others`].

/// A set of differences from what most readers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Reading(u8);

impl Reading {
    /// Of two Content-Type fields (or others of the kind) the last one counts, not the first.
    pub const LAST_FIELD: Reading = Reading(1);
    /// Of two parameters of one name the last one counts, not the first.
    pub const LAST_PARAMETER: Reading = Reading(2);
    /// `name` counts before what RFC 2231 writes beside it (`name*`, `name*0`), not after.
    pub const PLAIN_FIRST: Reading = Reading(4);
    /// Parameters end at semicolons only, and a comment is part of the value.
    pub const VERBATIM: Reading = Reading(8);
    /// A line that goes on behind the boundary is a delimiter, too (RFC 2046 §5.1.1 allows it; Dovecot and mutt do so).
    pub const PREFIX: Reading = Reading(16);
    /// A part's header goes on behind a line that is no field.
    pub const PAST_LINES: Reading = Reading(32);
    /// An unquoted value ends at its first blank or comment, as RFC 2045 §5.1 has it.
    pub const TOKEN: Reading = Reading(64);
    const ALL: Reading = Reading(127);
    /// Differences that one reader may have at the same time: mail-parser has so many.
    const AT_ONE_TIME: u32 = 5;

    /// All readings but the usual one, those with fewer differences first.
    pub fn others() -> impl Iterator<Item = Reading> {
        (1..=Reading::AT_ONE_TIME)
            .flat_map(|count| (1..=Reading::ALL.0).filter(move |bits| bits.count_ones() == count))
            .map(Reading)
    }

    /// Whether it has all of these differences.
    pub fn has(self, differences: Reading) -> bool {
        self.0 & differences.0 == differences.0
    }

    /// Adds a difference if it would matter.
    pub fn note(&mut self, difference: Reading, matters: bool) {
        if matters {
            self.0 |= difference.0;
        }
    }
}
