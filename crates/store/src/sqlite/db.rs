//! A connection, with what was read of it that does not change.

use crate::policy::PolicyDigest;
use crate::shared::Secret;
use rusqlite::{Connection, OptionalExtension};
use std::collections::HashMap;

/// A connection, and what was read of it that does not change.
#[derive(Debug)]
pub(crate) struct Db {
    pub(super) connection: Connection,
    /// The mailbox that was asked of last, and its number: a visit asks of one mailbox only.
    last_mailbox: Option<(String, i64)>,
    secrets: HashMap<&'static str, Secret>,
    /// Which policies are stored, and the day that is written with each. Only whoever writes knows all of them.
    pub(super) policies: Option<HashMap<PolicyDigest, i64>>,
    /// What went wrong last.
    pub(super) trouble: Option<rusqlite::Error>,
}

impl Db {
    pub(super) fn over(connection: Connection) -> Db {
        Db {
            connection,
            last_mailbox: None,
            secrets: HashMap::new(),
            policies: None,
            trouble: None,
        }
    }

    /// A key that was made with the store.
    pub(super) fn secret(&mut self, name: &'static str) -> Result<Secret, rusqlite::Error> {
        if let Some(secret) = self.secrets.get(name) {
            return Ok(*secret);
        }
        let secret = self
            .connection
            .prepare_cached("SELECT value FROM secrets WHERE name = ?1")?
            .query_row([name], |row| row.get(0))?;
        self.secrets.insert(name, secret);
        Ok(secret)
    }

    /// The number of a mailbox that has any rows.
    pub(super) fn number(&mut self, mailbox: &str) -> Result<Option<i64>, rusqlite::Error> {
        if let Some((last, number)) = &self.last_mailbox
            && last == mailbox
        {
            return Ok(Some(*number));
        }
        let found: Option<i64> = self
            .connection
            .prepare_cached("SELECT n FROM mailboxes WHERE name = ?1")?
            .query_row([mailbox], |row| row.get(0))
            .optional()?;
        if let Some(number) = found {
            self.last_mailbox = Some((mailbox.to_owned(), number));
        }
        Ok(found)
    }

    /// The number of a mailbox, which it gets with its first row.
    pub(super) fn number_for(&mut self, mailbox: &str) -> Result<i64, rusqlite::Error> {
        if let Some(number) = self.number(mailbox)? {
            return Ok(number);
        }
        self.connection
            .prepare_cached("INSERT INTO mailboxes (name) VALUES (?1)")?
            .execute([mailbox])?;
        let number = self.connection.last_insert_rowid();
        self.last_mailbox = Some((mailbox.to_owned(), number));
        Ok(number)
    }

    /// A transaction was undone: what it wrote is not there.
    pub(super) fn forget_unwritten(&mut self) {
        self.last_mailbox = None;
        self.policies = None;
    }
}

/// Octets of the pages that are in use, as the connection sees them now; the log is not counted.
pub(super) fn used_octets(db: &Connection) -> Result<u64, rusqlite::Error> {
    let number = |pragma: &str| db.prepare_cached(pragma)?.query_row([], |row| row.get::<_, u32>(0));
    let pages = number("PRAGMA page_count")?.saturating_sub(number("PRAGMA freelist_count")?);
    Ok(u64::from(pages) * u64::from(number("PRAGMA page_size")?))
}
