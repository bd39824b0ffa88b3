//! The questions, asked of one connection.

use super::{history, kept, layout, shared};
use crate::error::OpenError;
use crate::history::{CorrespondentKey, IdentityKey};
use crate::id::MailwardId;
use crate::kept::{Kept, KeptKey};
use crate::label::LabelRow;
use crate::policy::PolicyDigest;
use crate::record::{Since, Summary, Which};
use crate::rows::{EndingRow, FoundRecipient, FoundRows, PageRows, ended, judged};
use crate::shared::Secret;
use judge::reputation::{HistoryRow, Scope, Votes};
use mail::{Line, MailboxId};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::path::Path;

/// What the text of a verdict with a reason in shadow mode holds. In the texts of senders quotes are escaped.
const SHADOWED: &str = "\"effect\":\"shadowed\"";

/// A connection that reads.
#[derive(Debug)]
pub(crate) struct View {
    pub(super) db: Connection,
    /// The mailbox that was asked of last, and its number, which never changes: a walk asks of one mailbox only.
    last_mailbox: Option<(String, i64)>,
    /// The key of shared evidence, which never changes, once it was read.
    secret: Option<Secret>,
}

impl View {
    pub(crate) fn open(path: &Path) -> Result<View, OpenError> {
        Ok(View {
            db: layout::open_read_only(path)?,
            last_mailbox: None,
            secret: None,
        })
    }

    /// All questions until [`View::end_any_moment`] are as of now. That also saves each of them from locking the log and
    /// from reading anew what the one before had read.
    pub(crate) fn begin_moment(&mut self) -> Result<(), rusqlite::Error> {
        self.db.prepare_cached("BEGIN")?.execute([]).map(|_| ())
    }

    /// Whether no moment is begun any more.
    pub(crate) fn end_any_moment(&mut self) -> bool {
        let end = |db: &Connection| db.prepare_cached("COMMIT")?.execute([]);
        self.db.is_autocommit() || end(&self.db).is_ok()
    }

    /// The number of a mailbox that has any rows.
    pub(super) fn number(&mut self, mailbox: &str) -> Result<Option<i64>, rusqlite::Error> {
        if let Some((last, number)) = &self.last_mailbox
            && last == mailbox
        {
            return Ok(Some(*number));
        }
        let found: Option<i64> = self
            .db
            .prepare_cached("SELECT n FROM mailboxes WHERE name = ?1")?
            .query_row([mailbox], |row| row.get(0))
            .optional()?;
        if let Some(number) = found {
            self.last_mailbox = Some((mailbox.to_owned(), number));
        }
        Ok(found)
    }

    pub(crate) fn find(&mut self, id: MailwardId) -> Result<Option<FoundRows>, rusqlite::Error> {
        find(&mut self.db, id)
    }

    pub(crate) fn recent(&mut self, limit: usize) -> Result<Vec<Summary>, rusqlite::Error> {
        recent(&mut self.db, limit)
    }

    pub(crate) fn since(&mut self, since: Since) -> Result<PageRows, rusqlite::Error> {
        page(&mut self.db, since)
    }

    pub(crate) fn used_octets(&mut self) -> Result<u64, rusqlite::Error> {
        // As of one moment.
        layout::used_octets(&*self.db.transaction()?)
    }

    pub(crate) fn newest(
        &mut self,
        mailbox: &str,
        identity: IdentityKey,
        since_s: i64,
        limit: u32,
    ) -> Result<Vec<HistoryRow>, rusqlite::Error> {
        let Some(mailbox) = self.number(mailbox)? else {
            return Ok(Vec::new());
        };
        self.db
            .prepare_cached(
                "SELECT received_s, number, is_junk, author_local FROM history
                 WHERE mailbox = ?1 AND identity = ?2 AND received_s >= ?3
                 ORDER BY received_s DESC, number DESC LIMIT ?4",
            )?
            .query_map(params![mailbox, identity.0, since_s, limit], |row| {
                Ok(HistoryRow {
                    received_s: row.get(0)?,
                    number: row.get::<_, i64>(1)?.cast_unsigned(),
                    is_junk: row.get(2)?,
                    author_local: Line::from(row.get::<_, String>(3)?),
                })
            })?
            .collect()
    }

    pub(crate) fn wrote_to(
        &mut self,
        mailbox: &str,
        who: CorrespondentKey,
        since_s: i64,
    ) -> Result<bool, rusqlite::Error> {
        let Some(mailbox) = self.number(mailbox)? else {
            return Ok(false);
        };
        self.db
            .prepare_cached(
                "SELECT 1 FROM correspondents
                 WHERE mailbox = ?1 AND who = ?2 AND at_s >= ?3",
            )?
            .exists(params![mailbox, who.0, since_s])
    }

    pub(crate) fn label(&mut self, mailbox: &str, id: MailwardId) -> Result<Option<LabelRow>, rusqlite::Error> {
        history::find(&self.db, mailbox, id)
    }

    pub(crate) fn votes(
        &mut self,
        scope: &Scope,
        identity: IdentityKey,
        since_s: i64,
    ) -> Result<Votes, rusqlite::Error> {
        let secret = match self.secret {
            Some(secret) => secret,
            None => shared::secret(&self.db)?,
        };
        self.secret = Some(secret);
        shared::votes(&self.db, &secret, scope, identity, since_s)
    }

    pub(crate) fn kept(&mut self, mailbox: &MailboxId, key: KeptKey) -> Result<Option<Kept>, rusqlite::Error> {
        let by_key = "b.name = ?1 AND k.key = ?2";
        kept::find(&self.db, by_key, params![mailbox.to_string(), key.0]).map(|mut found| found.pop())
    }

    pub(crate) fn kept_at(&mut self, mailbox: &MailboxId, reference: &str) -> Result<Option<Kept>, rusqlite::Error> {
        let by_reference = "b.name = ?1 AND k.reference = ?2";
        kept::find(&self.db, by_reference, params![mailbox.to_string(), reference]).map(|mut found| found.pop())
    }

    pub(crate) fn kept_octets(&mut self, source: &str) -> Result<u64, rusqlite::Error> {
        kept::octets(&self.db, source)
    }

    pub(crate) fn cursor(&mut self, name: &str) -> Result<Option<Vec<u8>>, rusqlite::Error> {
        self.db
            .prepare_cached("SELECT value FROM cursors WHERE name = ?1")?
            .query_row([name], |row| row.get(0))
            .optional()
    }
}

/// All rows of one message as of one moment.
fn find(db: &mut Connection, id: MailwardId) -> Result<Option<FoundRows>, rusqlite::Error> {
    whole(&*db.transaction()?, id)
}

fn whole(moment: &Connection, id: MailwardId) -> Result<Option<FoundRows>, rusqlite::Error> {
    let message = moment
        .prepare_cached("SELECT code_version, facts FROM messages WHERE id = ?1")?
        .query_row([id.number()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((code_version, facts)) = message else {
        return Ok(None);
    };
    let recipients = moment
        .prepare_cached(
            "SELECT r.facts, r.verdict, r.policy, p.text FROM recipients r
             LEFT JOIN policies p ON p.digest = r.policy WHERE r.id = ?1 ORDER BY r.n",
        )?
        .query_map([id.number()], recipient)?
        .collect::<Result<_, _>>()?;
    let ending = moment
        .prepare_cached("SELECT took_ms, reply, outcomes FROM endings WHERE id = ?1")?
        .query_row([id.number()], ending)
        .optional()?;
    Ok(Some(FoundRows {
        id,
        code_version,
        facts,
        recipients,
        ending,
    }))
}

fn recipient(row: &Row<'_>) -> Result<FoundRecipient, rusqlite::Error> {
    Ok(FoundRecipient {
        facts: row.get(0)?,
        verdict: row.get(1)?,
        digest: PolicyDigest(row.get(2)?),
        // A policy that is missing reads as no JSON, and is reported as such.
        policy: row.get::<_, Option<String>>(3)?.unwrap_or_default(),
    })
}

fn ending(row: &Row<'_>) -> Result<EndingRow, rusqlite::Error> {
    Ok(EndingRow {
        took_ms: row.get(0)?,
        reply: row.get(1)?,
        outcomes: row.get(2)?,
    })
}

/// Ids tell the minute; within it `received_s` does. So the minute of the last line is read whole.
fn recent(db: &mut Connection, limit: usize) -> Result<Vec<Summary>, rusqlite::Error> {
    db.prepare_cached(
        "SELECT m.id, m.received_s, m.facts, r.facts, r.verdict, r.n, e.outcomes, e.reply
         FROM (SELECT id, received_s, facts FROM messages
               WHERE id >= (SELECT min(id) FROM (SELECT id FROM messages ORDER BY id DESC LIMIT ?1)) & ~0x7ffffffff
               ORDER BY received_s DESC, id DESC LIMIT ?1) m
         JOIN recipients r ON r.id = m.id
         LEFT JOIN endings e ON e.id = m.id
         ORDER BY m.received_s DESC, m.id DESC, r.n LIMIT ?1",
    )?
    .query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
        let text = |column| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
        let optional = |column| row.get_ref(column)?.as_str_or_null().map_err(rusqlite::Error::from);
        let n: u32 = row.get(5)?;
        let ended = ended(optional(6)?, optional(7)?, n as usize);
        Ok(Summary {
            id: MailwardId::from_number(row.get(0)?),
            received_s: row.get(1)?,
            judged: judged(text(2)?, text(3)?, text(4)?, ended),
        })
    })?
    .collect()
}

/// The next messages below an id. Ids tell the minute, `received_s` tells which of its messages came too early.
fn page(db: &mut Connection, since: Since) -> Result<PageRows, rusqlite::Error> {
    let moment = db.transaction()?;
    let first = MailwardId::first_of(since.from_s).number();
    let below = since.below.map_or(i64::MAX, MailwardId::number);
    let limit = i64::try_from(since.messages_max.max(1)).unwrap_or(i64::MAX);
    let ids: Vec<(i64, i64)> = moment
        .prepare_cached("SELECT id, received_s FROM messages WHERE id >= ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3")?
        .query_map([first, below, limit], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut page = PageRows {
        next: (ids.len() as i64 == limit)
            .then(|| ids.last().map(|(id, _)| MailwardId::from_number(*id)))
            .flatten(),
        ..PageRows::default()
    };
    for (id, _) in ids.into_iter().filter(|(_, received_s)| *received_s >= since.from_s) {
        page.messages += 1;
        let (deliveries, shadowed): (u32, bool) = moment
            .prepare_cached("SELECT count(*), coalesce(max(instr(verdict, ?2) > 0), 0) FROM recipients WHERE id = ?1")?
            .query_row((id, SHADOWED), |row| Ok((row.get(0)?, row.get(1)?)))?;
        page.deliveries += u64::from(deliveries);
        if since.which == Which::All || shadowed {
            page.found.extend(whole(&moment, MailwardId::from_number(id))?);
        }
    }
    Ok(page)
}
