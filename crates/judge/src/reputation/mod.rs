//! Reputation: what a mailbox's own history says of whoever wrote now.

mod history;

pub use history::{Correspondent, History, HistoryRow, HistoryUnavailable, Identity};
