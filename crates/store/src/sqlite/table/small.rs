//! Tables of one row a partition: who has a message already, the greylist, cursors, leases.

use super::super::db::Db;
use super::{SqlTable, only};
use crate::greylist::{GreylistKey, Greylisted};
use crate::ledger::{Entry, LedgerKey};
use crate::table::{Cursors, Delivered, Greylist, Lease, Leases};
use rusqlite::{OptionalExtension, params};

impl SqlTable for Delivered {
    /// An entry that cannot be read is none: it costs a second copy of one message at worst.
    fn get(db: &mut Db, key: &LedgerKey, (): &()) -> Result<Option<Entry>, rusqlite::Error> {
        let found: Option<(i64, String)> = db
            .connection
            .prepare_cached("SELECT expires_s, recipients FROM ledger WHERE key = ?1")?
            .query_row([key.0], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        Ok(found.and_then(|(expires_s, recipients)| entry(expires_s, &recipients)))
    }

    fn first(db: &mut Db, key: &LedgerKey, limit: u32) -> Result<Vec<((), Entry)>, rusqlite::Error> {
        only::<Delivered>(db, key, limit)
    }

    fn put(
        db: &mut Db,
        key: &LedgerKey,
        (): &(),
        entry: &Entry,
        _: Option<Option<&Entry>>,
    ) -> Result<(), rusqlite::Error> {
        let recipients = serde_json::Value::from(entry.recipients.clone()).to_string();
        db.connection
            .prepare_cached("INSERT OR REPLACE INTO ledger (key, expires_s, recipients) VALUES (?1, ?2, ?3)")?
            .execute(params![key.0, entry.expires_s, recipients])?;
        Ok(())
    }

    fn remove(db: &mut Db, key: &LedgerKey, (): &()) -> Result<(), rusqlite::Error> {
        db.connection
            .prepare_cached("DELETE FROM ledger WHERE key = ?1")?
            .execute([key.0])?;
        Ok(())
    }
}

/// An entry as it is stored.
pub(in crate::sqlite) fn entry(expires_s: i64, recipients: &str) -> Option<Entry> {
    let recipients = serde_json::from_str(recipients).ok()?;
    Some(Entry { expires_s, recipients })
}

impl SqlTable for Greylist {
    fn get(db: &mut Db, key: &GreylistKey, (): &()) -> Result<Option<Greylisted>, rusqlite::Error> {
        db.connection
            .prepare_cached("SELECT first_s, last_s, tries, passed_s, expires_s FROM greylist WHERE key = ?1")?
            .query_row([key.0], |row| {
                Ok(Greylisted {
                    first_s: row.get(0)?,
                    last_s: row.get(1)?,
                    tries: row.get(2)?,
                    passed_s: row.get(3)?,
                    expires_s: row.get(4)?,
                })
            })
            .optional()
    }

    fn first(db: &mut Db, key: &GreylistKey, limit: u32) -> Result<Vec<((), Greylisted)>, rusqlite::Error> {
        only::<Greylist>(db, key, limit)
    }

    fn put(
        db: &mut Db,
        key: &GreylistKey,
        (): &(),
        entry: &Greylisted,
        _: Option<Option<&Greylisted>>,
    ) -> Result<(), rusqlite::Error> {
        db.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO greylist (key, first_s, last_s, tries, passed_s, expires_s)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                key.0,
                entry.first_s,
                entry.last_s,
                entry.tries,
                entry.passed_s,
                entry.expires_s,
            ])?;
        Ok(())
    }

    fn remove(db: &mut Db, key: &GreylistKey, (): &()) -> Result<(), rusqlite::Error> {
        db.connection
            .prepare_cached("DELETE FROM greylist WHERE key = ?1")?
            .execute([key.0])?;
        Ok(())
    }
}

impl SqlTable for Cursors {
    fn get(db: &mut Db, name: &String, (): &()) -> Result<Option<Vec<u8>>, rusqlite::Error> {
        db.connection
            .prepare_cached("SELECT value FROM cursors WHERE name = ?1")?
            .query_row([name], |row| row.get(0))
            .optional()
    }

    fn first(db: &mut Db, name: &String, limit: u32) -> Result<Vec<((), Vec<u8>)>, rusqlite::Error> {
        only::<Cursors>(db, name, limit)
    }

    fn put(
        db: &mut Db,
        name: &String,
        (): &(),
        value: &Vec<u8>,
        _: Option<Option<&Vec<u8>>>,
    ) -> Result<(), rusqlite::Error> {
        db.connection
            .prepare_cached("INSERT OR REPLACE INTO cursors (name, value) VALUES (?1, ?2)")?
            .execute(params![name, value])?;
        Ok(())
    }

    fn remove(db: &mut Db, name: &String, (): &()) -> Result<(), rusqlite::Error> {
        db.connection
            .prepare_cached("DELETE FROM cursors WHERE name = ?1")?
            .execute([name])?;
        Ok(())
    }
}

impl SqlTable for Leases {
    fn get(db: &mut Db, name: &String, (): &()) -> Result<Option<Lease>, rusqlite::Error> {
        db.connection
            .prepare_cached("SELECT holder, until_s, token FROM leases WHERE name = ?1")?
            .query_row([name], |row| {
                Ok(Lease {
                    holder: row.get(0)?,
                    until_s: row.get(1)?,
                    token: row.get(2)?,
                })
            })
            .optional()
    }

    fn first(db: &mut Db, name: &String, limit: u32) -> Result<Vec<((), Lease)>, rusqlite::Error> {
        only::<Leases>(db, name, limit)
    }

    fn put(
        db: &mut Db,
        name: &String,
        (): &(),
        lease: &Lease,
        _: Option<Option<&Lease>>,
    ) -> Result<(), rusqlite::Error> {
        db.connection
            .prepare_cached("INSERT OR REPLACE INTO leases (name, holder, until_s, token) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![name, lease.holder, lease.until_s, lease.token])?;
        Ok(())
    }

    fn remove(db: &mut Db, name: &String, (): &()) -> Result<(), rusqlite::Error> {
        db.connection
            .prepare_cached("DELETE FROM leases WHERE name = ?1")?
            .execute([name])?;
        Ok(())
    }
}
