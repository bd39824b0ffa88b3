//! Copies in the quarantine that a sender may come back about.

use super::history::number;
use crate::kept::{Kept, KeptKey};
use crate::ledger::LedgerKey;
use crate::writer::Done;
use mail::{Line, MailboxId};
use rusqlite::{Connection, Row, params};

/// Rows that one step removes.
const EXPIRE_STEP: u32 = 200;
/// The columns, in the order in which [`kept`] reads them.
const COLUMNS: &str =
    "b.name, k.key, k.at_s, k.expires_s, k.octets, k.is_deferred, k.source, k.ledger, k.recipient, k.reference";

/// Puts a row; gives those that it displaces.
pub(super) fn keep(db: &Connection, new: &Kept, count_max: u32) -> Result<Done, rusqlite::Error> {
    let mailbox = number(db, &new.mailbox.to_string())?;
    let mut gone = take_where(db, "k.mailbox = ?1 AND k.key = ?2", params![mailbox, new.key.0])?;
    gone.retain(|before| before.reference != new.reference);
    db.prepare_cached(
        "INSERT INTO kept (mailbox, key, at_s, expires_s, octets, is_deferred, source, ledger, recipient, reference)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        mailbox,
        new.key.0,
        new.at_s,
        new.expires_s,
        new.octets.cast_signed(),
        new.is_deferred,
        new.source.as_str(),
        new.ledger.0,
        new.recipient,
        new.reference,
    ])?;
    // Never the new one, whatever the clock says.
    gone.extend(take_where(
        db,
        "k.mailbox = ?1 AND k.key IN
         (SELECT key FROM kept WHERE mailbox = ?1 AND key <> ?2
          ORDER BY is_deferred, at_s > ?3, at_s DESC, key LIMIT -1 OFFSET ?4)",
        params![mailbox, new.key.0, new.ahead_s(), count_max.saturating_sub(1)],
    )?);
    Ok(Done::Kept(gone))
}

/// Removes the row of a message.
pub(super) fn take(db: &Connection, mailbox: &MailboxId, key: KeptKey) -> Result<Done, rusqlite::Error> {
    let taken = take_where(
        db,
        "k.mailbox = (SELECT n FROM mailboxes WHERE name = ?1) AND k.key = ?2",
        params![mailbox.to_string(), key.0],
    )?;
    Ok(Done::Kept(taken))
}

/// Removes rows that end at a time or before, those that end first.
pub(super) fn expire(db: &Connection, now_s: i64) -> Result<Done, rusqlite::Error> {
    let gone = take_where(
        db,
        "(k.mailbox, k.key) IN
         (SELECT mailbox, key FROM kept WHERE expires_s <= ?1 ORDER BY expires_s LIMIT ?2)",
        params![now_s, EXPIRE_STEP],
    )?;
    Ok(Done::Kept(gone))
}

fn take_where(db: &Connection, condition: &str, params: &[&dyn rusqlite::ToSql]) -> Result<Vec<Kept>, rusqlite::Error> {
    let found = find(db, condition, params)?;
    for kept in &found {
        db.prepare_cached("DELETE FROM kept WHERE mailbox = (SELECT n FROM mailboxes WHERE name = ?1) AND key = ?2")?
            .execute(params![kept.mailbox.to_string(), kept.key.0])?;
    }
    Ok(found)
}

/// The rows that a condition names.
pub(super) fn find(
    db: &Connection,
    condition: &str,
    params: &[&dyn rusqlite::ToSql],
) -> Result<Vec<Kept>, rusqlite::Error> {
    let sql = format!("SELECT {COLUMNS} FROM kept k JOIN mailboxes b ON b.n = k.mailbox WHERE {condition}");
    db.prepare_cached(&sql)?.query_map(params, kept)?.collect()
}

/// Octets of all copies that a check kept.
pub(super) fn octets(db: &Connection, source: &str) -> Result<u64, rusqlite::Error> {
    db.prepare_cached("SELECT coalesce(sum(octets), 0) FROM kept WHERE source = ?1")?
        .query_row([source], |row| row.get::<_, i64>(0))
        .map(i64::cast_unsigned)
}

fn kept(row: &Row<'_>) -> Result<Kept, rusqlite::Error> {
    let unreadable =
        |why: String| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, why.into());
    let mailbox: String = row.get(0)?;
    Ok(Kept {
        mailbox: MailboxId::try_from(mailbox).map_err(|why| unreadable(why.to_string()))?,
        key: KeptKey(row.get(1)?),
        at_s: row.get(2)?,
        expires_s: row.get(3)?,
        octets: row.get::<_, i64>(4)?.cast_unsigned(),
        is_deferred: row.get(5)?,
        source: Line::from(row.get::<_, String>(6)?),
        ledger: LedgerKey(row.get(7)?),
        recipient: row.get(8)?,
        reference: row.get(9)?,
    })
}
