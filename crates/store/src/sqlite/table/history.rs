//! Rows that are derived: history, votes, correspondents; and sent mail, of which the last come.

use super::super::db::Db;
use super::{SqlTable, only};
use crate::keys::{CorrespondentKey, IdentityKey};
use crate::shared::SharedKey;
use crate::table::{Correspondents, History, Labelling, SentMail, Vote, Votes};
use rusqlite::{OptionalExtension, params};
use std::cmp::Reverse;

type Newest = (Reverse<i64>, Reverse<i64>);

impl SqlTable for History {
    fn get(
        db: &mut Db,
        (mailbox, identity): &(String, IdentityKey),
        (received_s, number): &Newest,
    ) -> Result<Option<Labelling>, rusqlite::Error> {
        let Some(mailbox) = db.number(mailbox)? else {
            return Ok(None);
        };
        db.connection
            .prepare_cached(
                "SELECT is_junk, author_local FROM history
                 WHERE mailbox = ?1 AND identity = ?2 AND received_s = ?3 AND number = ?4",
            )?
            .query_row(params![mailbox, identity.0, received_s.0, number.0], |row| {
                Ok(Labelling {
                    is_junk: row.get(0)?,
                    author_local: row.get(1)?,
                })
            })
            .optional()
    }

    fn first(
        db: &mut Db,
        (mailbox, identity): &(String, IdentityKey),
        limit: u32,
    ) -> Result<Vec<(Newest, Labelling)>, rusqlite::Error> {
        let Some(mailbox) = db.number(mailbox)? else {
            return Ok(Vec::new());
        };
        db.connection
            .prepare_cached(
                "SELECT received_s, number, is_junk, author_local FROM history
                 WHERE mailbox = ?1 AND identity = ?2 ORDER BY received_s DESC, number DESC LIMIT ?3",
            )?
            .query_map(params![mailbox, identity.0, limit], |row| {
                let labelling = Labelling {
                    is_junk: row.get(2)?,
                    author_local: row.get(3)?,
                };
                Ok(((Reverse(row.get(0)?), Reverse(row.get(1)?)), labelling))
            })?
            .collect()
    }

    fn put(
        db: &mut Db,
        (mailbox, identity): &(String, IdentityKey),
        (received_s, number): &Newest,
        row: &Labelling,
        _: Option<Option<&Labelling>>,
    ) -> Result<(), rusqlite::Error> {
        let mailbox = db.number_for(mailbox)?;
        db.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO history (mailbox, identity, received_s, number, is_junk, author_local)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                mailbox,
                identity.0,
                received_s.0,
                number.0,
                row.is_junk,
                row.author_local
            ])?;
        Ok(())
    }

    fn remove(
        db: &mut Db,
        (mailbox, identity): &(String, IdentityKey),
        (received_s, number): &Newest,
    ) -> Result<(), rusqlite::Error> {
        let mailbox = db.number(mailbox)?;
        db.connection
            .prepare_cached(
                "DELETE FROM history WHERE mailbox = ?1 AND identity = ?2 AND received_s = ?3 AND number = ?4",
            )?
            .execute(params![mailbox, identity.0, received_s.0, number.0])?;
        Ok(())
    }
}

impl SqlTable for Votes {
    fn get(db: &mut Db, identity: &SharedKey, voter: &[u8; 8]) -> Result<Option<Vote>, rusqlite::Error> {
        db.connection
            .prepare_cached("SELECT received_s, number, is_junk FROM shared WHERE identity = ?1 AND voter = ?2")?
            .query_row(params![identity.0, voter], |row| {
                Ok(Vote {
                    received_s: row.get(0)?,
                    number: row.get(1)?,
                    is_junk: row.get(2)?,
                })
            })
            .optional()
    }

    fn first(db: &mut Db, identity: &SharedKey, limit: u32) -> Result<Vec<([u8; 8], Vote)>, rusqlite::Error> {
        db.connection
            .prepare_cached(
                "SELECT voter, received_s, number, is_junk FROM shared WHERE identity = ?1 ORDER BY voter LIMIT ?2",
            )?
            .query_map(params![identity.0, limit], |row| {
                let vote = Vote {
                    received_s: row.get(1)?,
                    number: row.get(2)?,
                    is_junk: row.get(3)?,
                };
                Ok((row.get(0)?, vote))
            })?
            .collect()
    }

    fn put(
        db: &mut Db,
        identity: &SharedKey,
        voter: &[u8; 8],
        vote: &Vote,
        _: Option<Option<&Vote>>,
    ) -> Result<(), rusqlite::Error> {
        db.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO shared (identity, voter, received_s, number, is_junk)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![identity.0, voter, vote.received_s, vote.number, vote.is_junk])?;
        Ok(())
    }

    fn remove(db: &mut Db, identity: &SharedKey, voter: &[u8; 8]) -> Result<(), rusqlite::Error> {
        db.connection
            .prepare_cached("DELETE FROM shared WHERE identity = ?1 AND voter = ?2")?
            .execute(params![identity.0, voter])?;
        Ok(())
    }
}

type Address = (String, String);

impl SqlTable for SentMail {
    fn get(
        db: &mut Db,
        (mailbox, domain): &(String, String),
        (local, organization): &Address,
    ) -> Result<Option<i64>, rusqlite::Error> {
        let mailbox = db.number(mailbox)?;
        db.connection
            .prepare_cached(
                "SELECT at_s FROM sent WHERE mailbox = ?1 AND domain = ?2 AND local = ?3 AND organization = ?4",
            )?
            .query_row(params![mailbox, domain, local, organization], |row| row.get(0))
            .optional()
    }

    fn first(
        db: &mut Db,
        (mailbox, domain): &(String, String),
        limit: u32,
    ) -> Result<Vec<(Address, i64)>, rusqlite::Error> {
        let mailbox = db.number(mailbox)?;
        db.connection
            .prepare_cached(
                "SELECT local, organization, at_s FROM sent WHERE mailbox = ?1 AND domain = ?2
                 ORDER BY local, organization LIMIT ?3",
            )?
            .query_map(params![mailbox, domain, limit], |row| {
                Ok(((row.get(0)?, row.get(1)?), row.get(2)?))
            })?
            .collect()
    }

    fn put(
        db: &mut Db,
        (mailbox, domain): &(String, String),
        (local, organization): &Address,
        at_s: &i64,
        _: Option<Option<&i64>>,
    ) -> Result<(), rusqlite::Error> {
        let mailbox = db.number_for(mailbox)?;
        db.connection
            .prepare_cached(
                "INSERT INTO sent (mailbox, domain, local, organization, at_s) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET at_s = excluded.at_s WHERE excluded.at_s > at_s",
            )?
            .execute(params![mailbox, domain, local, organization, at_s])?;
        Ok(())
    }

    fn remove(
        db: &mut Db,
        (mailbox, domain): &(String, String),
        (local, organization): &Address,
    ) -> Result<(), rusqlite::Error> {
        let mailbox = db.number(mailbox)?;
        db.connection
            .prepare_cached("DELETE FROM sent WHERE mailbox = ?1 AND domain = ?2 AND local = ?3 AND organization = ?4")?
            .execute(params![mailbox, domain, local, organization])?;
        Ok(())
    }
}

impl SqlTable for Correspondents {
    fn get(db: &mut Db, (mailbox, who): &(String, CorrespondentKey), (): &()) -> Result<Option<i64>, rusqlite::Error> {
        let Some(mailbox) = db.number(mailbox)? else {
            return Ok(None);
        };
        db.connection
            .prepare_cached("SELECT at_s FROM correspondents WHERE mailbox = ?1 AND who = ?2")?
            .query_row(params![mailbox, who.0], |row| row.get(0))
            .optional()
    }

    fn first(
        db: &mut Db,
        partition: &(String, CorrespondentKey),
        limit: u32,
    ) -> Result<Vec<((), i64)>, rusqlite::Error> {
        only::<Correspondents>(db, partition, limit)
    }

    fn put(
        db: &mut Db,
        (mailbox, who): &(String, CorrespondentKey),
        (): &(),
        at_s: &i64,
        _: Option<Option<&i64>>,
    ) -> Result<(), rusqlite::Error> {
        let mailbox = db.number_for(mailbox)?;
        db.connection
            .prepare_cached(
                "INSERT INTO correspondents (mailbox, who, at_s) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET at_s = excluded.at_s WHERE excluded.at_s > at_s",
            )?
            .execute(params![mailbox, who.0, at_s])?;
        Ok(())
    }

    fn remove(db: &mut Db, (mailbox, who): &(String, CorrespondentKey), (): &()) -> Result<(), rusqlite::Error> {
        let mailbox = db.number(mailbox)?;
        db.connection
            .prepare_cached("DELETE FROM correspondents WHERE mailbox = ?1 AND who = ?2")?
            .execute(params![mailbox, who.0])?;
        Ok(())
    }
}
