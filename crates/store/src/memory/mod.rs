//! The back-end for tests: it holds everything in memory, as a distributed store would, and misbehaves on command.
//!
//! Any number of stores may have one disk open for writing. A commit changes one partition, under its condition; there is
//! nothing over two of them. What is derived comes late and in reverse. Answers may take time, reads of whoever only reads
//! may lag behind, and commits may fail in the middle of what somebody does.
//!
//! - `state`: what is held. `rows`: how rules ask and change it. `scans`: what is asked over many partitions.

mod rows;
mod scans;
mod state;

pub(crate) use rows::Rows;
pub(crate) use state::MemoryTable;

use state::State;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

/// What outlives a store in memory, as a disk would.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<State>>);

impl MemoryDisk {
    /// An empty one.
    pub fn new() -> MemoryDisk {
        MemoryDisk::default()
    }

    /// From now on every write fails for this reason; `None` ends it.
    pub fn fail_writes(&self, why: Option<&str>) {
        self.lock().fail_writes = why.map(str::to_owned);
    }

    /// The write after so many more fails, and no other: what an intent writes in several partitions is then there in
    /// part.
    pub fn fail_write_after(&self, writes: u32) {
        self.lock().fail_after = Some(writes);
    }

    /// From now on every question fails for this reason; `None` ends it.
    pub fn fail_reads(&self, why: Option<&str>) {
        self.lock().fail_reads = why.map(str::to_owned);
    }

    /// From now on an answer comes only after the caller was asked again so many times.
    pub fn delay_answers(&self, polls: u32) {
        self.lock().delay_polls = polls;
    }

    /// From now on whoever only reads is told of each row what stood there before it changed last.
    pub fn lag_reads(&self, lags: bool) {
        self.lock().lags = lags;
    }

    /// What is derived is made with what it is derived from, no longer late.
    pub fn fold_at_once(&self) {
        self.lock().folds_at_once = true;
    }

    /// How many partitions of which table were asked or changed since this was asked last; the first time, none.
    pub fn partitions_touched(&self) -> BTreeMap<&'static str, usize> {
        let touched = self.lock().touched.replace(BTreeMap::new()).unwrap_or_default();
        touched
            .into_iter()
            .map(|(table, partitions)| (table, partitions.len()))
            .collect()
    }

    /// Somebody opens it for writing. Whether nobody else has it open.
    pub(crate) fn begin_writing(&self) -> bool {
        let mut state = self.lock();
        state.writers += 1;
        state.writers == 1
    }

    /// Somebody has closed it. Whether nobody else has it open.
    pub(crate) fn end_writing(&self) -> bool {
        let mut state = self.lock();
        state.writers = state.writers.saturating_sub(1);
        state.writers == 0
    }

    pub(crate) async fn pause(&self) {
        let mut left = self.lock().delay_polls;
        std::future::poll_fn(|context| {
            if left == 0 {
                return Poll::Ready(());
            }
            left -= 1;
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// No code that holds the lock can leave the state half changed in a way that matters to a test.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
