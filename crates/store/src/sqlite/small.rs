//! Greylist and cursors.

use crate::greylist::{GreylistKey, Greylisted};
use crate::writer::{Done, GreylistTimes};
use rusqlite::{Connection, OptionalExtension, params};

/// A try: makes the entry if there is none, or only one that has ended.
pub(super) fn greylist_seen(db: &Connection, key: GreylistKey, times: GreylistTimes) -> Result<Done, rusqlite::Error> {
    let entry = match greylist_find(db, key, times.now_s)? {
        Some(mut entry) => {
            entry.seen(times.now_s);
            entry
        }
        None => Greylisted::new(times),
    };
    greylist_put(db, key, &entry)?;
    Ok(Done::Greylisted(Some(entry)))
}

/// A try that came in time: the entry lives on. `None` if there is no entry.
pub(super) fn greylist_pass(db: &Connection, key: GreylistKey, times: GreylistTimes) -> Result<Done, rusqlite::Error> {
    let Some(mut entry) = greylist_find(db, key, times.now_s)? else {
        return Ok(Done::Greylisted(None));
    };
    entry.passed(times);
    greylist_put(db, key, &entry)?;
    Ok(Done::Greylisted(Some(entry)))
}

fn greylist_find(db: &Connection, key: GreylistKey, now_s: i64) -> Result<Option<Greylisted>, rusqlite::Error> {
    db.prepare_cached(
        "SELECT first_s, last_s, tries, passed_s, expires_s FROM greylist WHERE key = ?1 AND expires_s > ?2",
    )?
    .query_row(params![key.0, now_s], |row| {
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

fn greylist_put(db: &Connection, key: GreylistKey, entry: &Greylisted) -> Result<(), rusqlite::Error> {
    db.prepare_cached(
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

/// Removes entries that end at a time or before, those that end first, `count` at most.
pub(super) fn greylist_expire(db: &Connection, now_s: i64, count: u32) -> Result<u64, rusqlite::Error> {
    let gone = db
        .prepare_cached(
            "DELETE FROM greylist WHERE key IN
             (SELECT key FROM greylist WHERE expires_s <= ?1 ORDER BY expires_s LIMIT ?2)",
        )?
        .execute(params![now_s, count])?;
    Ok(gone as u64)
}

/// Sets or removes a cursor.
pub(super) fn cursor(db: &Connection, name: &str, value: Option<&[u8]>) -> Result<Done, rusqlite::Error> {
    match value {
        Some(value) => db
            .prepare_cached("INSERT OR REPLACE INTO cursors (name, value) VALUES (?1, ?2)")?
            .execute(params![name, value])?,
        None => db
            .prepare_cached("DELETE FROM cursors WHERE name = ?1")?
            .execute([name])?,
    };
    Ok(Done::Written)
}
