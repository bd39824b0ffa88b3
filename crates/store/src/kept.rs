//! Copies in the quarantine that reputation or greylisting put there: which message of which mailbox, so that one that
//! comes again is not kept twice, and goes when the sender gets it through.

use crate::ledger::LedgerKey;
use mail::{Line, MailboxId};

/// Names a message within a mailbox, whichever way it comes again: a hash over Message-ID and content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeptKey(pub(crate) [u8; 16]);

impl KeptKey {
    /// Takes a hash that the caller computed; it shall be one that senders cannot make collide.
    pub fn new(hash: [u8; 16]) -> KeptKey {
        KeptKey(hash)
    }
}

/// One copy. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Whose message.
    pub mailbox: MailboxId,
    /// Which message.
    pub key: KeptKey,
    /// When it was kept.
    pub at_s: i64,
    /// The copy is kept until before this time.
    pub expires_s: i64,
    /// Octets of the copy.
    pub octets: u64,
    /// Its sender was asked to come again, and so has the message himself. Such a copy goes before one of a message
    /// that was refused.
    pub is_deferred: bool,
    /// The check that kept it.
    pub source: Line,
    /// Names the message when its sender comes again, so that a copy that a person released does not come twice.
    pub ledger: LedgerKey,
    /// The recipient, as the ledger names him.
    pub recipient: String,
    /// Where the copy is, as the quarantine names it.
    pub reference: String,
}

/// Two that come at one time may be kept in either order; what is ahead of a new one by more than this was kept before the
/// clock was set back.
const AHEAD_S: i64 = 24 * 60 * 60;

impl Kept {
    /// Copies that were kept after this time are older than this one, for the clock was set back.
    pub(crate) fn ahead_s(&self) -> i64 {
        self.at_s.saturating_add(AHEAD_S)
    }
}
