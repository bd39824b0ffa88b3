//! The context store: what is remembered, for how long, in which layout.
//!
//! [`Store`] offers named intents, not keys and values: each intent touches the rows of one message or of one ledger
//! entry, so that a distributed back-end can keep the same promises. What must outlive a crash is on stable storage
//! before the intent returns; the rest is written soon after. The store knows no thresholds and reads no clock.
//!
//! - [`Store`], [`Reader`]: the intents. The back-end is an SQLite database; tests have one in memory
//!   ([`MemoryDisk`]), which passes the same suite.
//! - [`Record`]: one message with what was known and decided; [`Ending`]: what became of it.
//! - [`SealedPolicy`]: a policy, stored once however many verdicts it gave.
//! - [`MailwardId`]: the name of a message in replies, logs and headers.
//! - [`Label`], [`Said`], [`LabelRequest`]: what a person says of a delivery. [`Sent`]: whom he wrote to. Both are the
//!   truth, from which the history that reputation asks for is derived; [`Remembered`] is either, as exported.
//! - [`KeptLesson`], [`Taught`]: what the content filter learned from which label.
//! - [`GreylistKey`], [`Greylisted`]: who tried when. Rates are counted in memory.
//! - [`Kept`]: copies in the quarantine that a sender may come back about.
//! - [`Stats`], [`Verified`], [`ExportPage`]: the store as a whole.
//! - [`LedgerKey`]: which message of which sender a partial delivery belongs to.
//! - [`OpenError`], [`StoreError`]: what can be wrong.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod audit;
mod back_end;
mod error;
mod features;
mod greylist;
mod history;
mod id;
mod intents;
mod kept;
mod keys;
mod label;
mod ledger;
mod lesson;
mod memory;
mod policy;
mod rates;
mod record;
mod rows;
mod rules;
mod shared;
mod sqlite;
mod store;
mod table;
mod views;

pub use audit::{ExportMark, ExportPage, FAULTS_MAX, Stats, Verified};
pub use error::{OpenError, StoreError};
pub use greylist::{GreylistKey, Greylisted};
pub use history::{Remembered, Sent};
pub use id::{IdError, MailwardId};
pub use kept::{Kept, KeptKey};
pub use label::{Label, LabelRequest, Labelled, Said};
pub use ledger::{LEDGER_LIFE_S, LEDGER_RECIPIENTS_MAX, LedgerKey};
pub use lesson::{KeptLesson, LESSONS_MAX, Learner, Taught};
pub use memory::MemoryDisk;
pub use policy::{PolicyDigest, SealedPolicy};
pub use rates::RATES_MAX;
pub use record::{Ending, Judged, Outcome, Page, RecipientRecord, Record, Since, Stored, Summary, Which};
pub use store::{Reader, Store};
