//! Copies in the quarantine that a sender may come back about.

use super::super::db::Db;
use super::SqlTable;
use crate::kept::{Kept, KeptKey};
use crate::ledger::LedgerKey;
use crate::table::Copies;
use mail::{Line, MailboxId};
use rusqlite::{OptionalExtension, Row, params};

/// The columns, in the order in which [`kept`] reads them.
const COLUMNS: &str = "key, at_s, expires_s, octets, is_deferred, source, ledger, recipient, reference";

impl SqlTable for Copies {
    fn get(db: &mut Db, mailbox: &String, key: &KeptKey) -> Result<Option<Kept>, rusqlite::Error> {
        let Some(number) = db.number(mailbox)? else {
            return Ok(None);
        };
        db.connection
            .prepare_cached(&format!("SELECT {COLUMNS} FROM kept WHERE mailbox = ?1 AND key = ?2"))?
            .query_row(params![number, key.0], |row| kept(mailbox, row))
            .optional()
    }

    fn first(db: &mut Db, mailbox: &String, limit: u32) -> Result<Vec<(KeptKey, Kept)>, rusqlite::Error> {
        let Some(number) = db.number(mailbox)? else {
            return Ok(Vec::new());
        };
        db.connection
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM kept WHERE mailbox = ?1 ORDER BY key LIMIT ?2"
            ))?
            .query_map(params![number, limit], |row| {
                let kept = kept(mailbox, row)?;
                Ok((kept.key, kept))
            })?
            .collect()
    }

    fn count(db: &mut Db, mailbox: &String) -> Result<u32, rusqlite::Error> {
        let Some(number) = db.number(mailbox)? else {
            return Ok(0);
        };
        db.connection
            .prepare_cached("SELECT count(*) FROM kept WHERE mailbox = ?1")?
            .query_row([number], |row| row.get(0))
    }

    fn put(
        db: &mut Db,
        mailbox: &String,
        key: &KeptKey,
        kept: &Kept,
        _: Option<Option<&Kept>>,
    ) -> Result<(), rusqlite::Error> {
        let number = db.number_for(mailbox)?;
        db.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO kept
                 (mailbox, key, at_s, expires_s, octets, is_deferred, source, ledger, recipient, reference)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute(params![
                number,
                key.0,
                kept.at_s,
                kept.expires_s,
                kept.octets.cast_signed(),
                kept.is_deferred,
                kept.source.as_str(),
                kept.ledger.0,
                kept.recipient,
                kept.reference,
            ])?;
        Ok(())
    }

    fn remove(db: &mut Db, mailbox: &String, key: &KeptKey) -> Result<(), rusqlite::Error> {
        let number = db.number(mailbox)?;
        db.connection
            .prepare_cached("DELETE FROM kept WHERE mailbox = ?1 AND key = ?2")?
            .execute(params![number, key.0])?;
        Ok(())
    }
}

fn kept(mailbox: &str, row: &Row<'_>) -> Result<Kept, rusqlite::Error> {
    let unreadable =
        |why: String| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, why.into());
    Ok(Kept {
        mailbox: MailboxId::try_from(mailbox.to_owned()).map_err(|why| unreadable(why.to_string()))?,
        key: KeptKey(row.get(0)?),
        at_s: row.get(1)?,
        expires_s: row.get(2)?,
        octets: row.get::<_, i64>(3)?.cast_unsigned(),
        is_deferred: row.get(4)?,
        source: Line::from(row.get::<_, String>(5)?),
        ledger: LedgerKey(row.get(6)?),
        recipient: row.get(7)?,
        reference: row.get(8)?,
    })
}
