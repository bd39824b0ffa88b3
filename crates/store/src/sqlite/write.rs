//! Many writes in one transaction.

use super::{history, kept, layout, lessons, small};
use crate::error::{OpenError, StoreError};
use crate::id::MailwardId;
use crate::ledger::{Entry, Ledger, LedgerKey};
use crate::policy::{PolicyDigest, SealedPolicy};
use crate::rows::{EndingRow, RecordRows};
use crate::writer::{Done, Expire, Job, Trouble, Work};
use rusqlite::{Connection, ErrorCode, ffi, params};
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Messages that one step of expiry removes: a few milliseconds of work.
const EXPIRE_STEP: u32 = 200;
/// The same, where the size tells when it is enough: so no more is forgotten than must be.
const SIZE_STEP: u32 = 16;

/// The database, as the thread that writes has it.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    /// `None` after trouble that a new connection may mend.
    db: Option<Connection>,
    /// Which policies are stored, and the day that is written with each; `None` when it has to be read anew.
    policies: Option<HashMap<PolicyDigest, i64>>,
    ledger: Arc<Ledger>,
    /// Held as long as the database is open.
    _lock: File,
}

impl Database {
    /// Locks and opens the database, and loads the ledger.
    pub(crate) fn open(path: &Path, ledger: Arc<Ledger>) -> Result<Database, OpenError> {
        let lock = layout::lock(path)?;
        let db = layout::open(path)?;
        load_ledger(&db, &ledger)?;
        lessons::settle(&db)?;
        Ok(Database {
            path: path.to_owned(),
            db: Some(db),
            policies: None,
            ledger,
            _lock: lock,
        })
    }

    /// Writes a group in one transaction and answers all who wait; or, where that is impossible, answers so, leaves
    /// the lazy jobs, and says why.
    pub(crate) fn write(&mut self, group: &mut Vec<Job>) -> Trouble {
        match self.transact(group) {
            Ok(done) => {
                for (job, done) in group.drain(..).zip(done) {
                    job.work.answer(Ok(done));
                }
                None
            }
            Err(why) => {
                for job in std::mem::take(group) {
                    if job.work.is_lazy() {
                        group.push(job);
                    } else {
                        job.work.answer(Err(StoreError::Unavailable(why.clone())));
                    }
                }
                Some(why)
            }
        }
    }

    /// Forgets what only a model in memory needs, moves the log into the database and syncs it.
    pub(crate) fn close(&self) -> Result<(), StoreError> {
        let Some(db) = &self.db else {
            return Ok(());
        };
        lessons::settle(db)
            .and_then(|()| db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())))
            .map_err(|why| StoreError::Unavailable(why.to_string()))
    }

    fn transact(&mut self, group: &[Job]) -> Result<Vec<Done>, String> {
        let db = match self.db.take() {
            Some(db) => db,
            None => layout::open(&self.path).map_err(|why| why.to_string())?,
        };
        let result = self.write_all(&db, group);
        match &result {
            Ok(_) => self.db = Some(db),
            Err(why) => {
                self.policies = None;
                self.db = recovered(db, why);
            }
        }
        result.map_err(|why| why.to_string())
    }

    fn write_all(&mut self, db: &Connection, group: &[Job]) -> Result<Vec<Done>, rusqlite::Error> {
        let mut policies = match self.policies.take() {
            Some(policies) => policies,
            None => load_policies(db)?,
        };
        db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut done = Vec::with_capacity(group.len());
        for job in group {
            done.push(match &job.work {
                Work::Begin(rows, _) => begin(db, rows, &mut policies)?,
                Work::Finish(id, row) => finish(db, *id, row)?,
                Work::LedgerSync(keys, _) => {
                    keys.iter()
                        .try_for_each(|key| ledger_sync(db, *key, self.ledger.entry(*key)))?;
                    Done::Written
                }
                Work::LedgerDrop(key) => {
                    ledger_sync(db, *key, self.ledger.entry(*key))?;
                    Done::Written
                }
                Work::Remember(memories, _) => {
                    let told: Result<_, _> = memories.iter().map(|memory| history::remember(db, memory)).collect();
                    Done::Told(told?)
                }
                // Folds run with what they fold.
                Work::Settle(_) | Work::Close(_) => Done::Written,
                Work::Rebuild(_) => history::rebuild(db).map(|()| Done::Written)?,
                Work::GreylistSeen(key, times, _) => small::greylist_seen(db, *key, *times)?,
                Work::GreylistPass(key, times, _) => small::greylist_pass(db, *key, *times)?,
                Work::Keep(new, count_max, _) => kept::keep(db, new, *count_max)?,
                Work::KeptTake(mailbox, key, _) => kept::take(db, mailbox, *key)?,
                Work::KeptExpire(now_s, _) => kept::expire(db, *now_s)?,
                Work::Teach(mailbox, taught, _) => lessons::teach(db, mailbox, taught)?,
                Work::Fade(mailbox, keep, _) => lessons::fade(db, mailbox, *keep)?,
                Work::Cursor(name, value, _) => small::cursor(db, name, value.as_deref())?,
                Work::Expire(Expire::Records(below), _) => expire(db, *below, &mut policies)?,
                Work::Expire(Expire::ToSize(octets_max), _) => expire_to_size(db, *octets_max, &mut policies)?,
                Work::Expire(Expire::History(before_s), _) => {
                    Done::Expired(history::expire(db, *before_s, EXPIRE_STEP)?)
                }
                Work::Expire(Expire::Greylist(now_s), _) => {
                    Done::Expired(small::greylist_expire(db, *now_s, EXPIRE_STEP)?)
                }
            });
        }
        db.prepare_cached("COMMIT")?.execute([])?;
        self.policies = Some(policies);
        Ok(done)
    }
}

/// Ends the transaction that failed. The connection is kept where it can be: it knows how far the log was synced,
/// and writes over the rest, while a new one would take unsynced pages of the log for good.
fn recovered(db: Connection, why: &rusqlite::Error) -> Option<Connection> {
    let broken = matches!(
        why.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::CannotOpen | ErrorCode::ReadOnly)
    );
    // Some errors have already ended it.
    let ended = db.is_autocommit() || db.execute_batch("ROLLBACK").is_ok();
    (ended && !broken).then_some(db)
}

fn begin(
    db: &Connection,
    rows: &RecordRows,
    policies: &mut HashMap<PolicyDigest, i64>,
) -> Result<Done, rusqlite::Error> {
    let id = rows.id.number();
    let inserted = db
        .prepare_cached("INSERT INTO messages (id, received_s, code_version, facts) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![id, rows.received_s, rows.code_version, rows.facts]);
    match inserted {
        Err(why) if is_constraint(&why, ffi::SQLITE_CONSTRAINT_PRIMARYKEY) => return Ok(Done::IdTaken),
        other => other?,
    };
    let mut insert =
        db.prepare_cached("INSERT INTO recipients (id, n, policy, facts, verdict) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for (n, recipient) in (0i64..).zip(&rows.recipients) {
        keep_policy(db, &recipient.policy, rows.id.day(), policies)?;
        insert.execute(params![
            id,
            n,
            recipient.policy.digest().0,
            recipient.facts,
            recipient.verdict
        ])?;
    }
    if let Some(features) = &rows.features {
        lessons::begin(db, id, features)?;
    }
    Ok(Done::Written)
}

/// Writes a policy once, and once a day that it is still needed.
fn keep_policy(
    db: &Connection,
    policy: &SealedPolicy,
    day: i64,
    policies: &mut HashMap<PolicyDigest, i64>,
) -> Result<(), rusqlite::Error> {
    if policies.get(&policy.digest()).is_some_and(|&written| written >= day) {
        return Ok(());
    }
    db.prepare_cached(
        "INSERT INTO policies (digest, used_day, text) VALUES (?1, ?2, ?3)
         ON CONFLICT (digest) DO UPDATE SET used_day = excluded.used_day",
    )?
    .execute(params![policy.digest().0, day, policy.text()])?;
    policies.insert(policy.digest(), day);
    Ok(())
}

fn finish(db: &Connection, id: MailwardId, row: &EndingRow) -> Result<Done, rusqlite::Error> {
    let inserted = db
        .prepare_cached("INSERT OR REPLACE INTO endings (id, took_ms, reply, outcomes) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![id.number(), row.took_ms, row.reply, row.outcomes]);
    match inserted {
        // The message was never written, or is already gone.
        Err(why) if is_constraint(&why, ffi::SQLITE_CONSTRAINT_FOREIGNKEY) => Ok(Done::Written),
        other => other.map(|_| Done::Written),
    }
}

/// Memory is never behind the disk, so whatever order the jobs come in, the last of them leaves them equal.
fn ledger_sync(db: &Connection, key: LedgerKey, entry: Option<Entry>) -> Result<(), rusqlite::Error> {
    match entry {
        None => db
            .prepare_cached("DELETE FROM ledger WHERE key = ?1")?
            .execute(params![key.0])?,
        Some(entry) => {
            let recipients = serde_json::Value::from(entry.recipients).to_string();
            db.prepare_cached("INSERT OR REPLACE INTO ledger (key, expires_s, recipients) VALUES (?1, ?2, ?3)")?
                .execute(params![key.0, entry.expires_s, recipients])?
        }
    };
    Ok(())
}

/// Recipients, endings and features go with their message. Policies go with the last step, when no message of their day is
/// left.
fn expire(
    db: &Connection,
    below: MailwardId,
    policies: &mut HashMap<PolicyDigest, i64>,
) -> Result<Done, rusqlite::Error> {
    let count = remove_oldest(db, below.number(), EXPIRE_STEP)?;
    if count == 0 {
        drop_policies(db, below.day(), policies)?;
    }
    Ok(Done::Expired(count))
}

/// As [`expire`], but the size tells when it is enough. Lessons go when there is nothing else
/// left, and then history: it is small for what it knows. Policies go as soon as no message needs them, because they
/// count too.
fn expire_to_size(
    db: &Connection,
    octets_max: u64,
    policies: &mut HashMap<PolicyDigest, i64>,
) -> Result<Done, rusqlite::Error> {
    if layout::used_octets(db)? <= octets_max {
        return Ok(Done::Expired(0));
    }
    let mut count = remove_oldest(db, i64::MAX, SIZE_STEP)?;
    // Strangers make these; a flood of them shall not cost records only.
    count += small::greylist_expire(db, i64::MAX, SIZE_STEP)?;
    if count == 0 {
        count = lessons::expire(db, SIZE_STEP)?;
    }
    if count == 0 {
        count = history::expire(db, i64::MAX, SIZE_STEP)?;
    }
    let oldest: Option<i64> = db
        .prepare_cached("SELECT min(id) FROM messages")?
        .query_row([], |row| row.get(0))?;
    let day = oldest.map_or(i64::MAX, |id| MailwardId::from_number(id).day());
    drop_policies(db, day, policies)?;
    Ok(Done::Expired(count))
}

/// Removes the oldest messages below an id, `count` at most; how many there were.
fn remove_oldest(db: &Connection, below: i64, count: u32) -> Result<u64, rusqlite::Error> {
    let count = db
        .prepare_cached(
            "DELETE FROM messages WHERE id IN (SELECT id FROM messages WHERE id < ?1 ORDER BY id LIMIT ?2)",
        )?
        .execute(params![below, count])?;
    Ok(count as u64)
}

/// The policies that no message of `day` or later needs.
fn drop_policies(db: &Connection, day: i64, policies: &mut HashMap<PolicyDigest, i64>) -> Result<(), rusqlite::Error> {
    db.prepare_cached("DELETE FROM policies WHERE used_day < ?1")?
        .execute([day])?;
    policies.retain(|_, used_day| *used_day >= day);
    Ok(())
}

fn load_policies(db: &Connection) -> Result<HashMap<PolicyDigest, i64>, rusqlite::Error> {
    db.prepare("SELECT digest, used_day FROM policies")?
        .query_map([], |row| Ok((PolicyDigest(row.get(0)?), row.get(1)?)))?
        .collect()
}

fn load_ledger(db: &Connection, ledger: &Ledger) -> Result<(), rusqlite::Error> {
    let mut entries = db.prepare("SELECT key, expires_s, recipients FROM ledger")?;
    let mut rows = entries.query([])?;
    while let Some(row) = rows.next()? {
        // An entry that cannot be read costs a second copy of one message at worst.
        if let Ok(recipients) = serde_json::from_str(row.get_ref(2)?.as_str()?) {
            let expires_s = row.get(1)?;
            ledger.load(LedgerKey(row.get(0)?), Entry { expires_s, recipients });
        }
    }
    Ok(())
}

fn is_constraint(why: &rusqlite::Error, code: i32) -> bool {
    why.sqlite_error().is_some_and(|e| e.extended_code == code)
}
