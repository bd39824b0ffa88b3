//! How each table stands in the database.

mod copies;
mod history;
mod messages;
mod registers;
mod small;

pub(super) use messages::days;
pub(super) use registers::{LESSON, lesson};
pub(super) use small::entry;

use super::db::Db;
use crate::table::{Found, Table};

/// A table as statements.
pub(crate) trait SqlTable: Table {
    /// A row.
    fn get(db: &mut Db, partition: &Self::Partition, key: &Self::Key) -> Result<Option<Self::Row>, rusqlite::Error>;

    /// The first rows of a partition, in the order of their keys.
    fn first(db: &mut Db, partition: &Self::Partition, limit: u32) -> Result<Found<Self>, rusqlite::Error>;

    /// How many rows a partition has.
    fn count(db: &mut Db, partition: &Self::Partition) -> Result<u32, rusqlite::Error> {
        Self::first(db, partition, u32::MAX).map(|rows| u32::try_from(rows.len()).unwrap_or(u32::MAX))
    }

    /// Puts a row; what stood there before may be known.
    fn put(
        db: &mut Db,
        partition: &Self::Partition,
        key: &Self::Key,
        row: &Self::Row,
        before: Option<Option<&Self::Row>>,
    ) -> Result<(), rusqlite::Error>;

    /// Removes a row.
    fn remove(db: &mut Db, partition: &Self::Partition, key: &Self::Key) -> Result<(), rusqlite::Error>;
}

/// The rows of a partition that has one.
fn only<T: SqlTable<Key = ()>>(
    db: &mut Db,
    partition: &T::Partition,
    limit: u32,
) -> Result<Vec<((), T::Row)>, rusqlite::Error> {
    let row = T::get(db, partition, &())?.filter(|_| limit > 0);
    Ok(row.map(|row| ((), row)).into_iter().collect())
}
