//! Counts, and what is wrong with the database itself. They take long and are asked of a connection of their own.

use super::db::used_octets;
use super::rows::Rows;
use crate::audit::{Stats, Verified};
use crate::error::StoreError;

/// Lines of SQLite's own check.
const CHECK_LINES_MAX: u32 = 20;

impl Rows {
    /// How much there is of everything.
    pub(crate) fn stats(&self) -> Result<Stats, StoreError> {
        self.ask(|db| {
            let moment = db.connection.transaction()?;
            let count =
                |sql: &str| moment.query_row(&format!("SELECT count(*) FROM {sql}"), [], |row| row.get::<_, i64>(0));
            let count = |sql: &str| count(sql).map(i64::cast_unsigned);
            let lesson_octets = "SELECT coalesce(sum(length(features)), 0) FROM lesson_features";
            Ok(Stats {
                layout: moment.query_row("PRAGMA user_version", [], |row| row.get(0))?,
                used_octets: used_octets(&moment)?,
                messages: count("messages")?,
                deliveries: count("recipients")?,
                mailboxes: count("mailboxes")?,
                junk: count("labels WHERE label = 1")?,
                not_junk: count("labels WHERE label = 0")?,
                forgotten: count("labels WHERE label IS NULL")?,
                history: count("history")?,
                sent: count("sent")?,
                correspondents: count("correspondents")?,
                greylist: count("greylist")?,
                shared: count("shared")?,
                kept: count("kept")?,
                lessons: count("lessons WHERE said IS NOT NULL")?,
                lesson_octets: moment
                    .query_row(lesson_octets, [], |row| row.get::<_, i64>(0))?
                    .cast_unsigned(),
                cursors: count("cursors")?,
            })
        })
    }

    /// What SQLite says of its file, and what rows cannot show of themselves.
    pub(crate) fn verify_layout(&self, verified: &mut Verified) -> Result<(), StoreError> {
        self.ask(|db| {
            let mut check = db
                .connection
                .prepare(&format!("PRAGMA integrity_check({CHECK_LINES_MAX})"))?;
            let mut lines = check.query([])?;
            while let Some(line) = lines.next()? {
                let line: String = line.get(0)?;
                if line != "ok" {
                    verified.fault(format!("the database says: {line}"));
                }
            }
            let mut check = db.connection.prepare("PRAGMA foreign_key_check")?;
            let mut lines = check.query([])?;
            while let Some(line) = lines.next()? {
                let table: String = line.get(0)?;
                verified.fault(format!("a row of `{table}` belongs to no message"));
            }
            let count = |sql: &str| db.connection.query_row(sql, [], |row| row.get::<_, i64>(0));
            let lost = count("SELECT count(*) FROM lesson_features WHERE n NOT IN (SELECT features FROM lessons)")?;
            let twice = count("SELECT count(*) - count(DISTINCT features) FROM lessons")?;
            let unnamed = count("SELECT count(*) FROM lessons WHERE mailbox NOT IN (SELECT n FROM mailboxes)")?;
            for (number, what) in [
                (lost, "features that belong to no lesson"),
                (twice, "lessons that share their features"),
                (unnamed, "lessons that belong to no mailbox"),
            ] {
                if number > 0 {
                    verified.fault(format!("there are {what}: {number}"));
                }
            }
            Ok(())
        })
    }
}
