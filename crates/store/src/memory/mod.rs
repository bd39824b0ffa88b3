//! The back-end for tests: it holds everything in memory, folds late, and fails on command.
//!
//! What is derived (history, correspondents) is not touched by the write that is acknowledged, only by a later fold,
//! and folds run in the reverse of their order. So whoever passes the tests over this back-end does not rely on a
//! transaction over several partitions, which a distributed back-end does not have.
//!
//! - `state`: what is held, and how it is written. `lessons`: those of the content filter.
//! - `view`: the questions.

mod lessons;
mod state;
mod view;

pub(crate) use state::Database;
pub(crate) use view::View;

use state::State;
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

    /// From now on every question fails for this reason; `None` ends it.
    pub fn fail_reads(&self, why: Option<&str>) {
        self.lock().fail_reads = why.map(str::to_owned);
    }

    /// From now on an answer comes only after the caller was asked again so many times.
    pub fn delay_answers(&self, polls: u32) {
        self.lock().delay_polls = polls;
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
