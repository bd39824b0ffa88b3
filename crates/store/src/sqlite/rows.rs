//! One connection, as rules ask and change it.

use super::db::{Db, used_octets};
use super::table::SqlTable;
use crate::error::StoreError;
use crate::shared::Secret;
use crate::table::{Change, Condition, Found};
use rusqlite::{Connection, ffi};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A connection that one task has at a time.
#[derive(Debug)]
pub(crate) struct Rows(Mutex<Db>);

impl Rows {
    pub(super) fn over(connection: Connection) -> Rows {
        Rows(Mutex::new(Db::over(connection)))
    }

    /// No code that holds the lock can leave it half changed in a way that outlives its transaction.
    pub(super) fn lock(&self) -> MutexGuard<'_, Db> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks something; what goes wrong is remembered for whoever has begun the transaction.
    pub(super) fn ask<T>(&self, question: impl FnOnce(&mut Db) -> Result<T, rusqlite::Error>) -> Result<T, StoreError> {
        let mut db = self.lock();
        question(&mut db).map_err(|why| {
            let unavailable = StoreError::Unavailable(why.to_string());
            db.trouble = Some(why);
            unavailable
        })
    }

    /// Does something in a transaction, which is undone if anything of it went wrong.
    pub(super) fn in_transaction(&self, work: impl FnOnce(&Rows)) -> Result<(), rusqlite::Error> {
        let run = |sql| {
            let db = self.lock();
            db.connection.prepare_cached(sql)?.execute([]).map(|_| ())
        };
        self.lock().trouble = None;
        run("BEGIN IMMEDIATE")?;
        work(self);
        let trouble = self.lock().trouble.take();
        trouble.map_or_else(|| run("COMMIT"), Err)
    }

    /// A row.
    pub(crate) fn get<T: SqlTable>(
        &self,
        partition: &T::Partition,
        key: &T::Key,
    ) -> Result<Option<T::Row>, StoreError> {
        self.ask(|db| T::get(db, partition, key))
    }

    /// The first rows of a partition.
    pub(crate) fn first<T: SqlTable>(&self, partition: &T::Partition, limit: u32) -> Result<Found<T>, StoreError> {
        self.ask(|db| T::first(db, partition, limit))
    }

    /// How many rows a partition has.
    pub(crate) fn count<T: SqlTable>(&self, partition: &T::Partition) -> Result<u32, StoreError> {
        self.ask(|db| T::count(db, partition))
    }

    /// Changes rows. One thread writes, in one transaction with what it read: so nothing has changed meanwhile, and what
    /// comes later is newer.
    pub(crate) fn commit<T: SqlTable>(
        &self,
        partition: &T::Partition,
        condition: &Condition<T>,
        changes: &[Change<T>],
    ) -> Result<bool, StoreError> {
        self.ask(|db| {
            for change in changes {
                let before = match condition {
                    Condition::Unchanged(key, before) if *key == change.key => Some(before.as_ref()),
                    _ => None,
                };
                let done = match &change.row {
                    Some(row) => T::put(db, partition, &change.key, row, before),
                    None => T::remove(db, partition, &change.key),
                };
                match done {
                    // There is such a row: the only one that is not read before it is put.
                    Err(why) if before == Some(None) && is_taken(&why) => return Ok(false),
                    done => done?,
                }
            }
            Ok(true)
        })
    }

    /// All questions until [`Rows::end_moment`] are as of now. That also saves each of them from locking the log and from
    /// reading anew what the one before had read.
    pub(crate) fn begin_moment(&self) -> Result<(), StoreError> {
        self.ask(|db| db.connection.prepare_cached("BEGIN")?.execute([]).map(|_| ()))
    }

    /// Whether no moment is begun any more.
    pub(crate) fn end_moment(&self) -> bool {
        let db = self.lock();
        let end = |db: &Connection| db.prepare_cached("COMMIT")?.execute([]);
        db.connection.is_autocommit() || end(&db.connection).is_ok()
    }

    /// A key that was made with the store.
    pub(crate) fn secret(&self, name: &'static str) -> Result<Secret, StoreError> {
        self.ask(|db| db.secret(name))
    }

    /// As [`crate::Store::used_octets`].
    pub(crate) fn used_octets(&self) -> Result<u64, StoreError> {
        self.ask(|db| used_octets(&db.connection))
    }
}

fn is_taken(why: &rusqlite::Error) -> bool {
    why.sqlite_error()
        .is_some_and(|error| error.extended_code == ffi::SQLITE_CONSTRAINT_PRIMARYKEY)
}
