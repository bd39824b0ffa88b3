//! What is asked over many partitions: what is oldest, what has ended, what comes next.

use super::rows::Rows;
use super::table::{LESSON, entry, lesson};
use crate::error::StoreError;
use crate::greylist::GreylistKey;
use crate::history::SentRow;
use crate::id::MailwardId;
use crate::kept::KeptKey;
use crate::ledger::{Entry, LedgerKey};
use crate::policy::PolicyDigest;
use crate::table::LessonRow;
use judge::junk::Seen;
use rusqlite::{OptionalExtension, Params, Row, params};

/// The columns of mail that was sent, in the order in which [`sent`] reads them.
const SENT: &str = "b.name, s.local, s.domain, s.organization, s.at_s";

type Delivery = (String, MailwardId);

impl Rows {
    fn list<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<Vec<T>, StoreError> {
        self.ask(|db| db.connection.prepare_cached(sql)?.query_map(params, read)?.collect())
    }

    /// Messages with ids from one on and below another, the highest first, and when they came.
    pub(crate) fn messages(
        &self,
        from: MailwardId,
        below: Option<MailwardId>,
        limit: u32,
    ) -> Result<Vec<(MailwardId, i64)>, StoreError> {
        let below = below.map_or(i64::MAX, MailwardId::number);
        self.list(
            "SELECT id, received_s FROM messages WHERE id >= ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3",
            params![from.number(), below, limit],
            |row| Ok((MailwardId::from_number(row.get(0)?), row.get(1)?)),
        )
    }

    /// Messages below an id, the lowest first.
    pub(crate) fn oldest_messages(&self, below: Option<MailwardId>, limit: u32) -> Result<Vec<MailwardId>, StoreError> {
        let below = below.map_or(i64::MAX, MailwardId::number);
        self.list(
            "SELECT id FROM messages WHERE id < ?1 ORDER BY id LIMIT ?2",
            params![below, limit],
            |row| Ok(MailwardId::from_number(row.get(0)?)),
        )
    }

    /// The day that stands with a policy, where whoever writes knows it.
    pub(crate) fn policy_day(&self, digest: PolicyDigest) -> Result<Option<i64>, StoreError> {
        self.ask(|db| {
            if db.policies.is_none() {
                db.policies = Some(super::table::days(&db.connection)?);
            }
            Ok(db.policies.as_ref().and_then(|days| days.get(&digest).copied()))
        })
    }

    /// Policies that no record of a day or later needs.
    pub(crate) fn policies_before(&self, day: i64) -> Result<Vec<PolicyDigest>, StoreError> {
        self.list("SELECT digest FROM policies WHERE used_day < ?1", [day], |row| {
            Ok(PolicyDigest(row.get(0)?))
        })
    }

    /// Labels of messages that came before a time, the oldest first.
    pub(crate) fn oldest_labels(&self, before_s: i64, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        self.list(
            "SELECT b.name, l.id FROM labels l JOIN mailboxes b ON b.n = l.mailbox
             WHERE l.received_s < ?1 ORDER BY l.received_s LIMIT ?2",
            params![before_s, limit],
            delivery,
        )
    }

    /// Mail that was sent before a time, the oldest first; of those that were sent at one time all or none.
    pub(crate) fn oldest_sent(&self, before_s: i64, limit: u32) -> Result<Vec<SentRow>, StoreError> {
        let last_s: Option<i64> = self.ask(|db| {
            db.connection
                .prepare_cached("SELECT max(at_s) FROM (SELECT at_s FROM sent WHERE at_s < ?1 ORDER BY at_s LIMIT ?2)")?
                .query_row(params![before_s, limit], |row| row.get(0))
        })?;
        let Some(last_s) = last_s else { return Ok(Vec::new()) };
        let sql = format!("SELECT {SENT} FROM sent s JOIN mailboxes b ON b.n = s.mailbox WHERE s.at_s <= ?1");
        self.list(&sql, [last_s], sent)
    }

    /// Lessons of the oldest messages.
    pub(crate) fn oldest_lessons(&self, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        self.list(
            "SELECT b.name, s.id FROM lessons s JOIN mailboxes b ON b.n = s.mailbox ORDER BY s.received_s LIMIT ?1",
            [limit],
            delivery,
        )
    }

    /// Lessons of a mailbox that say something, past the newest.
    pub(crate) fn lessons_past(&self, mailbox: &str, keep: u32, limit: u32) -> Result<Vec<MailwardId>, StoreError> {
        self.list(
            "SELECT id FROM lessons
             WHERE mailbox = (SELECT n FROM mailboxes WHERE name = ?1) AND said IS NOT NULL
             ORDER BY received_s DESC, id DESC LIMIT ?2 OFFSET ?3",
            params![mailbox, limit, keep],
            |row| Ok(MailwardId::from_number(row.get(0)?)),
        )
    }

    /// Lessons that were taught and say something else by now, or nothing.
    pub(crate) fn stale_lessons(&self, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        self.list(
            "SELECT b.name, s.id FROM lessons s JOIN mailboxes b ON b.n = s.mailbox
             WHERE s.said IS NOT s.taught AND (s.taught IS NOT NULL OR s.said IS NULL) LIMIT ?1",
            [limit],
            delivery,
        )
    }

    /// Lessons of a mailbox past an id, in order of ids.
    pub(crate) fn lessons(
        &self,
        mailbox: &str,
        after: Option<MailwardId>,
        limit: u32,
    ) -> Result<Vec<(MailwardId, LessonRow)>, StoreError> {
        let from = "lessons s LEFT JOIN lesson_features f ON f.n = s.features WHERE s.mailbox = ?1 AND s.id > ?2";
        self.lessons_of(from, mailbox, after, limit)
    }

    /// The same, only those of which a model has something else than they say.
    pub(crate) fn open_lessons(
        &self,
        mailbox: &str,
        after: Option<MailwardId>,
        limit: u32,
    ) -> Result<Vec<(MailwardId, LessonRow)>, StoreError> {
        // The planner would rather look at all lessons of the mailbox.
        let from = "lessons s INDEXED BY lessons_open LEFT JOIN lesson_features f ON f.n = s.features
             WHERE s.mailbox = ?1 AND s.id > ?2 AND s.said IS NOT s.taught";
        self.lessons_of(from, mailbox, after, limit)
    }

    fn lessons_of(
        &self,
        from: &str,
        mailbox: &str,
        after: Option<MailwardId>,
        limit: u32,
    ) -> Result<Vec<(MailwardId, LessonRow)>, StoreError> {
        let after = after.map_or(-1, MailwardId::number);
        self.ask(|db| {
            let Some(mailbox) = db.number(mailbox)? else {
                return Ok(Vec::new());
            };
            db.connection
                .prepare_cached(&format!("SELECT {LESSON}, s.id FROM {from} ORDER BY s.id LIMIT ?3"))?
                .query_map(params![mailbox, after, limit], |row| {
                    Ok((MailwardId::from_number(row.get(8)?), lesson(row, 0)?))
                })?
                .collect()
        })
    }

    /// Mailboxes past a name with lessons that say something, in order of names: how many say what.
    pub(crate) fn learners(&self, after: &str, limit: u32) -> Result<Vec<(String, Seen)>, StoreError> {
        // Mailboxes first, so that they need no sorting and no more are counted than are given.
        self.list(
            "SELECT b.name, sum(l.said), count(*) FROM mailboxes b CROSS JOIN lessons l ON l.mailbox = b.n
             WHERE b.name > ?1 AND l.said IS NOT NULL GROUP BY b.name ORDER BY b.name LIMIT ?2",
            params![after, limit],
            |row| {
                let (junk, all): (u32, u32) = (row.get(1)?, row.get(2)?);
                let wanted = all.saturating_sub(junk);
                Ok((row.get(0)?, Seen { junk, wanted }))
            },
        )
    }

    /// Entries of the greylist that end at a time or before, those that end first.
    pub(crate) fn ended_greylist(&self, now_s: i64, limit: u32) -> Result<Vec<GreylistKey>, StoreError> {
        self.list(
            "SELECT key FROM greylist WHERE expires_s <= ?1 ORDER BY expires_s LIMIT ?2",
            params![now_s, limit],
            |row| Ok(GreylistKey(row.get(0)?)),
        )
    }

    /// Copies that end at a time or before, those that end first.
    pub(crate) fn ended_copies(&self, now_s: i64, limit: u32) -> Result<Vec<(String, KeptKey)>, StoreError> {
        self.list(
            "SELECT b.name, k.key FROM kept k JOIN mailboxes b ON b.n = k.mailbox
             WHERE k.expires_s <= ?1 ORDER BY k.expires_s LIMIT ?2",
            params![now_s, limit],
            |row| Ok((row.get(0)?, KeptKey(row.get(1)?))),
        )
    }

    /// Octets of all copies that a check kept.
    pub(crate) fn copies_octets(&self, source: &str) -> Result<u64, StoreError> {
        self.ask(|db| {
            db.connection
                .prepare_cached("SELECT coalesce(sum(octets), 0) FROM kept WHERE source = ?1")?
                .query_row([source], |row| row.get::<_, i64>(0))
                .map(i64::cast_unsigned)
        })
    }

    /// All of who has a message that will come again.
    pub(crate) fn delivered(&self) -> Result<Vec<(LedgerKey, Entry)>, StoreError> {
        let found = self.list("SELECT key, expires_s, recipients FROM ledger", [], |row| {
            let (expires_s, recipients): (i64, String) = (row.get(1)?, row.get(2)?);
            Ok((LedgerKey(row.get(0)?), entry(expires_s, &recipients)))
        })?;
        Ok(found
            .into_iter()
            .filter_map(|(key, entry)| Some((key, entry?)))
            .collect())
    }

    /// The mailbox past a name that has, or had, rows.
    pub(crate) fn mailbox_after(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.ask(|db| {
            db.connection
                .prepare_cached("SELECT name FROM mailboxes WHERE name > ?1 ORDER BY name LIMIT 1")?
                .query_row([name], |row| row.get(0))
                .optional()
        })
    }

    /// Deliveries of a mailbox past an id of which something was said, in order of ids.
    pub(crate) fn labelled(
        &self,
        mailbox: &str,
        after: Option<MailwardId>,
        limit: u32,
    ) -> Result<Vec<MailwardId>, StoreError> {
        let after = after.map_or(-1, MailwardId::number);
        self.list(
            "SELECT l.id FROM labels l WHERE l.mailbox = (SELECT n FROM mailboxes WHERE name = ?1) AND l.id > ?2
             ORDER BY l.id LIMIT ?3",
            params![mailbox, after, limit],
            |row| Ok(MailwardId::from_number(row.get(0)?)),
        )
    }

    /// Mail that a mailbox's owner sent, past a domain, local part and organization.
    pub(crate) fn sent(
        &self,
        mailbox: &str,
        [domain, local, organization]: [&str; 3],
        limit: u32,
    ) -> Result<Vec<SentRow>, StoreError> {
        let sql = format!(
            "SELECT {SENT} FROM mailboxes b JOIN sent s ON s.mailbox = b.n
             WHERE b.name = ?1 AND (s.domain, s.local, s.organization) > (?2, ?3, ?4)
             ORDER BY s.domain, s.local, s.organization LIMIT ?5"
        );
        self.list(&sql, params![mailbox, domain, local, organization, limit], sent)
    }

    /// Takes away all that is derived.
    pub(crate) fn clear_derived(&self) -> Result<(), StoreError> {
        self.ask(|db| {
            db.connection
                .execute_batch("DELETE FROM history; DELETE FROM correspondents; DELETE FROM shared;")
        })
    }

    /// Takes away what only damage leaves: lessons that share their features, and features that belong to none.
    pub(crate) fn mend(&self) -> Result<(), StoreError> {
        self.ask(|db| {
            db.connection.execute_batch(
                "DELETE FROM lessons WHERE features NOT IN (SELECT n FROM lesson_features)
                     OR features IN (SELECT features FROM lessons GROUP BY features HAVING count(*) > 1)
                     OR NOT EXISTS (SELECT 1 FROM labels l
                                    WHERE l.mailbox = lessons.mailbox AND l.id = lessons.id AND l.label IS NOT NULL);
                 DELETE FROM lesson_features WHERE n NOT IN (SELECT features FROM lessons);",
            )
        })
    }
}

fn delivery(row: &Row<'_>) -> Result<Delivery, rusqlite::Error> {
    Ok((row.get(0)?, MailwardId::from_number(row.get(1)?)))
}

fn sent(row: &Row<'_>) -> Result<SentRow, rusqlite::Error> {
    Ok(SentRow {
        mailbox: row.get(0)?,
        local: row.get(1)?,
        domain: row.get(2)?,
        organization: row.get(3)?,
        at_s: row.get(4)?,
    })
}
