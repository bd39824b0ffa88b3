//! What intents do to rows: written once, over any back-end.
//!
//! What decides is a function of rows that were read; what reads and commits goes round again where somebody else was
//! faster. Nothing needs two partitions to change as one.
//!
//! - `labels`: what a label does to its register, and what is derived from it. `lessons`: what it does to its lesson.
//! - `records`, `copies`, `small` (who has a message already, the greylist, cursors, leases).
//! - `retention`: what goes by age and by size. `care`: everything made anew, exported, verified.

pub(crate) mod care;
pub(crate) mod copies;
pub(crate) mod labels;
pub(crate) mod lessons;
pub(crate) mod records;
mod register;
pub(crate) mod retention;
pub(crate) mod small;

use crate::error::StoreError;

/// How often somebody else may be faster before it is taken for trouble.
const TRIES_MAX: u32 = 1000;

fn too_busy() -> StoreError {
    StoreError::Unavailable("others change the same rows all the time".to_owned())
}
