//! How rules ask and change what is in memory.

use super::MemoryDisk;
use super::state::{MemoryTable, State};
use crate::error::StoreError;
use crate::shared::Secret;
use crate::table::{Change, Condition, Found};
use std::hash::BuildHasher;
use std::sync::MutexGuard;

/// A handle of a disk.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(super) disk: MemoryDisk,
    /// It only reads, and may be told what was so a moment ago.
    reads_only: bool,
}

impl Rows {
    pub(crate) fn new(disk: &MemoryDisk, reads_only: bool) -> Rows {
        Rows {
            disk: disk.clone(),
            reads_only,
        }
    }

    /// What is derived is to be made with what it is derived from.
    pub(crate) fn folds_at_once(&self) -> bool {
        self.disk.lock().folds_at_once
    }

    /// What is held, once that takes no more time.
    pub(super) async fn read(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        self.disk.pause().await;
        let state = self.disk.lock();
        match &state.fail_reads {
            Some(why) => Err(StoreError::Unavailable(why.clone())),
            None => Ok(state),
        }
    }

    fn lags(&self, state: &State) -> bool {
        self.reads_only && state.lags
    }

    pub(crate) async fn get<T: MemoryTable>(
        &self,
        partition: &T::Partition,
        key: &T::Key,
    ) -> Result<Option<T::Row>, StoreError> {
        let mut state = self.read().await?;
        state.touch::<T>(partition);
        let cell = T::rows(&state).get(partition).and_then(|rows| rows.get(key));
        Ok(match cell {
            Some(cell) if self.lags(&state) => cell.before.clone(),
            Some(cell) => cell.row.clone(),
            None => None,
        })
    }

    pub(crate) async fn first<T: MemoryTable>(
        &self,
        partition: &T::Partition,
        limit: u32,
    ) -> Result<Found<T>, StoreError> {
        let mut state = self.read().await?;
        state.touch::<T>(partition);
        let lags = self.lags(&state);
        let rows = T::rows(&state).get(partition).into_iter().flatten();
        let there = rows.filter_map(|(key, cell)| {
            let row = if lags { &cell.before } else { &cell.row };
            Some((key.clone(), row.clone()?))
        });
        Ok(there.take(limit as usize).collect())
    }

    pub(crate) async fn count<T: MemoryTable>(&self, partition: &T::Partition) -> Result<u32, StoreError> {
        let rows = self.first::<T>(partition, u32::MAX).await?;
        Ok(u32::try_from(rows.len()).unwrap_or(u32::MAX))
    }

    /// Changes rows of one partition, if the condition holds.
    pub(crate) async fn commit<T: MemoryTable>(
        &self,
        partition: &T::Partition,
        condition: &Condition<T>,
        changes: &[Change<T>],
    ) -> Result<bool, StoreError> {
        self.disk.pause().await;
        let mut state = self.disk.lock();
        if let Some(why) = &state.fail_writes {
            return Err(StoreError::Unavailable(why.clone()));
        }
        match state.fail_after {
            Some(0) => {
                state.fail_after = None;
                return Err(StoreError::Unavailable("the write failed".to_owned()));
            }
            Some(left) => state.fail_after = Some(left - 1),
            None => {}
        }
        state.touch::<T>(partition);
        let rows = T::rows_mut(&mut state).entry(partition.clone()).or_default();
        if let Condition::Unchanged(key, before) = condition
            && rows.get(key).and_then(|cell| cell.row.as_ref()) != before.as_ref()
        {
            return Ok(false);
        }
        for change in changes {
            let cell = rows.entry(change.key.clone()).or_insert(super::state::Cell {
                row: None,
                before: None,
                stamp: i64::MIN,
            });
            if change.stamp >= cell.stamp || *condition != Condition::Always {
                cell.before = std::mem::replace(&mut cell.row, change.row.clone());
                cell.stamp = change.stamp;
            }
        }
        Ok(true)
    }

    /// A key that was made with the disk.
    pub(crate) async fn secret(&self, name: &'static str) -> Result<Secret, StoreError> {
        let state = self.read().await?;
        let mut secret = Secret::default();
        for (n, octets) in (0..4_u64).zip(secret.chunks_mut(8)) {
            octets.copy_from_slice(&state.chance.hash_one((name, n)).to_le_bytes());
        }
        Ok(secret)
    }
}
