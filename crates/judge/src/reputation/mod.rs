//! Reputation: what a mailbox's own history says of whoever wrote now.
//!
//! - `history`: by what correspondents are known, and how a mailbox's memory of them is asked.
//! - `sender`: who wrote now, as far as it is proven. `letter`: who wrote before there was a gateway.
//! - `table`: the decision table: which memory speaks first. `thresholds`: what the rows that were found come to.
//! - `shared`: what other mailboxes say where this one knows nothing.
//! - `standing`: the answer, and each question on the way to it.
//! - `plain`: a history in memory. `case`: cases for the table, as a file holds them.

mod case;
mod history;
mod letter;
mod plain;
mod sender;
mod shared;
mod standing;
mod table;
#[cfg(test)]
mod tests;
mod thresholds;

pub use case::{Case, Outcome};
pub use history::{Correspondent, History, HistoryRow, HistoryUnavailable, Identity, Repute, Scope, Votes};
pub use letter::{Letter, Opened, Trust};
pub use plain::PlainHistory;
pub(crate) use sender::mask_bits;
pub use sender::{AuthorClaim, HeloClaim, ReversePathClaim, Sender, SenderEvidence, networks};
pub use shared::{Shared, shared};
pub use standing::{Answer, Method, Standing, Step};
pub use table::{QUESTIONS_MAX, standing};
