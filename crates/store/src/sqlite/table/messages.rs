//! Records, what became of them, and the policies that they name.

use super::super::db::Db;
use super::{SqlTable, only};
use crate::features::FeaturesRow;
use crate::id::MailwardId;
use crate::policy::PolicyDigest;
use crate::rows::{EndingRow, PolicyRow, RecipientRow, RecordRow};
use crate::table::{Endings, Policies, Records};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::HashMap;

impl SqlTable for Records {
    fn get(db: &mut Db, id: &MailwardId, (): &()) -> Result<Option<RecordRow>, rusqlite::Error> {
        let number = id.number();
        let message = db
            .connection
            .prepare_cached("SELECT received_s, code_version, facts FROM messages WHERE id = ?1")?
            .query_row([number], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((received_s, code_version, facts)) = message else {
            return Ok(None);
        };
        let recipients = db
            .connection
            .prepare_cached("SELECT facts, verdict, policy FROM recipients WHERE id = ?1 ORDER BY n")?
            .query_map([number], |row| {
                Ok(RecipientRow {
                    facts: row.get(0)?,
                    verdict: row.get(1)?,
                    policy: PolicyDigest(row.get(2)?),
                })
            })?
            .collect::<Result<_, _>>()?;
        let features = db
            .connection
            .prepare_cached("SELECT version, features FROM contents WHERE id = ?1")?
            .query_row([number], |row| {
                Ok(FeaturesRow {
                    version: row.get(0)?,
                    octets: row.get(1)?,
                })
            })
            .optional()?;
        Ok(Some(RecordRow {
            received_s,
            code_version,
            facts,
            recipients,
            features,
        }))
    }

    fn first(db: &mut Db, id: &MailwardId, limit: u32) -> Result<Vec<((), RecordRow)>, rusqlite::Error> {
        only::<Records>(db, id, limit)
    }

    fn count(db: &mut Db, id: &MailwardId) -> Result<u32, rusqlite::Error> {
        let mut exists = db.connection.prepare_cached("SELECT 1 FROM messages WHERE id = ?1")?;
        exists.exists([id.number()]).map(u32::from)
    }

    fn put(
        db: &mut Db,
        id: &MailwardId,
        (): &(),
        record: &RecordRow,
        _: Option<Option<&RecordRow>>,
    ) -> Result<(), rusqlite::Error> {
        let number = id.number();
        db.connection
            .prepare_cached("INSERT INTO messages (id, received_s, code_version, facts) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![number, record.received_s, record.code_version, record.facts])?;
        let mut insert = db
            .connection
            .prepare_cached("INSERT INTO recipients (id, n, policy, facts, verdict) VALUES (?1, ?2, ?3, ?4, ?5)")?;
        for (n, recipient) in (0i64..).zip(&record.recipients) {
            let (policy, facts, verdict) = (recipient.policy.0, &recipient.facts, &recipient.verdict);
            insert.execute(params![number, n, policy, facts, verdict])?;
        }
        if let Some(features) = &record.features {
            db.connection
                .prepare_cached("INSERT INTO contents (id, version, features) VALUES (?1, ?2, ?3)")?
                .execute(params![number, features.version, features.octets])?;
        }
        Ok(())
    }

    /// Recipients and features go with it.
    fn remove(db: &mut Db, id: &MailwardId, (): &()) -> Result<(), rusqlite::Error> {
        db.connection
            .prepare_cached("DELETE FROM messages WHERE id = ?1")?
            .execute([id.number()])?;
        Ok(())
    }
}

impl SqlTable for Endings {
    fn get(db: &mut Db, id: &MailwardId, (): &()) -> Result<Option<EndingRow>, rusqlite::Error> {
        db.connection
            .prepare_cached("SELECT took_ms, reply, outcomes FROM endings WHERE id = ?1")?
            .query_row([id.number()], |row| {
                Ok(EndingRow {
                    took_ms: row.get(0)?,
                    reply: row.get(1)?,
                    outcomes: row.get(2)?,
                })
            })
            .optional()
    }

    fn first(db: &mut Db, id: &MailwardId, limit: u32) -> Result<Vec<((), EndingRow)>, rusqlite::Error> {
        only::<Endings>(db, id, limit)
    }

    fn put(
        db: &mut Db,
        id: &MailwardId,
        (): &(),
        ending: &EndingRow,
        _: Option<Option<&EndingRow>>,
    ) -> Result<(), rusqlite::Error> {
        db.connection
            .prepare_cached("INSERT OR REPLACE INTO endings (id, took_ms, reply, outcomes) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![id.number(), ending.took_ms, ending.reply, ending.outcomes])?;
        Ok(())
    }

    fn remove(db: &mut Db, id: &MailwardId, (): &()) -> Result<(), rusqlite::Error> {
        db.connection
            .prepare_cached("DELETE FROM endings WHERE id = ?1")?
            .execute([id.number()])?;
        Ok(())
    }
}

impl SqlTable for Policies {
    fn get(db: &mut Db, digest: &PolicyDigest, (): &()) -> Result<Option<PolicyRow>, rusqlite::Error> {
        db.connection
            .prepare_cached("SELECT used_day, text FROM policies WHERE digest = ?1")?
            .query_row([digest.0], |row| {
                Ok(PolicyRow {
                    used_day: row.get(0)?,
                    text: row.get(1)?,
                })
            })
            .optional()
    }

    fn first(db: &mut Db, digest: &PolicyDigest, limit: u32) -> Result<Vec<((), PolicyRow)>, rusqlite::Error> {
        only::<Policies>(db, digest, limit)
    }

    fn put(
        db: &mut Db,
        digest: &PolicyDigest,
        (): &(),
        policy: &PolicyRow,
        _: Option<Option<&PolicyRow>>,
    ) -> Result<(), rusqlite::Error> {
        db.connection
            .prepare_cached(
                "INSERT INTO policies (digest, used_day, text) VALUES (?1, ?2, ?3)
                 ON CONFLICT (digest) DO UPDATE SET used_day = max(used_day, excluded.used_day)",
            )?
            .execute(params![digest.0, policy.used_day, policy.text])?;
        if let Some(policies) = &mut db.policies {
            let day = policies.entry(*digest).or_insert(policy.used_day);
            *day = policy.used_day.max(*day);
        }
        Ok(())
    }

    fn remove(db: &mut Db, digest: &PolicyDigest, (): &()) -> Result<(), rusqlite::Error> {
        db.connection
            .prepare_cached("DELETE FROM policies WHERE digest = ?1")?
            .execute([digest.0])?;
        if let Some(policies) = &mut db.policies {
            policies.remove(digest);
        }
        Ok(())
    }
}

/// The policies that there are, with the day of each.
pub(in crate::sqlite) fn days(db: &Connection) -> Result<HashMap<PolicyDigest, i64>, rusqlite::Error> {
    db.prepare("SELECT digest, used_day FROM policies")?
        .query_map([], |row| Ok((PolicyDigest(row.get(0)?), row.get(1)?)))?
        .collect()
}
