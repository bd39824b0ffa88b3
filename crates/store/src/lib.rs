//! The context store: what is remembered, for how long, in which layout.
//!
//! [`Store`] offers named intents, not keys and values: each intent touches the rows of one message or of one ledger
//! entry, so that a distributed back-end can keep the same promises. What must outlive a crash is on stable storage
//! before the intent returns; the rest is written soon after. The store knows no thresholds and reads no clock.
//!
//! - [`Store`], [`Reader`]: the intents; today's only back-end is an SQLite database.
//! - [`Record`]: one message with what was known and decided; [`Ending`]: what became of it.
//! - [`SealedPolicy`]: a policy, stored once however many verdicts it gave.
//! - [`MailwardId`]: the name of a message in replies, logs and headers.
//! - [`LedgerKey`]: which message of which sender a partial delivery belongs to.
//! - [`OpenError`], [`StoreError`]: what can be wrong.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod error;
mod id;
mod ledger;
mod policy;
mod record;
mod rows;
mod sqlite;
mod store;

pub use error::{OpenError, StoreError};
pub use id::{IdError, MailwardId};
pub use ledger::{LEDGER_LIFE_S, LEDGER_RECIPIENTS_MAX, LedgerKey};
pub use policy::{PolicyDigest, SealedPolicy};
pub use record::{Ending, Judged, Outcome, Page, RecipientRecord, Record, Since, Stored, Summary, Which};
pub use store::{Reader, Store};
