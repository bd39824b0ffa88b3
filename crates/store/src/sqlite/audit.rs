//! Counts, export and verification. They take long and are asked of a connection of their own.

use super::history::{REGISTER, SENT, register, sent_row};
use super::read::View;
use super::{layout, lessons, shared, unavailable};
use crate::audit::{After, ExportMark, ExportPage, Mark, Stats, Verified};
use crate::error::StoreError;
use crate::history::{CorrespondentKey, Remembered, SentRow};
use crate::label::LabelRow;
use crate::lesson::FeaturesRow;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::HashMap;

/// Octets of features after which a page of an export ends.
const EXPORT_OCTETS_MAX: usize = 4 << 20;
/// Lines of SQLite's own check.
const CHECK_LINES_MAX: u32 = 20;

impl View {
    pub(crate) fn stats(&mut self) -> Result<Stats, rusqlite::Error> {
        let moment = self.db.transaction()?;
        let count =
            |sql: &str| moment.query_row(&format!("SELECT count(*) FROM {sql}"), [], |row| row.get::<_, i64>(0));
        let count = |sql: &str| count(sql).map(i64::cast_unsigned);
        Ok(Stats {
            layout: moment.query_row("PRAGMA user_version", [], |row| row.get(0))?,
            used_octets: layout::used_octets(&moment)?,
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
                .query_row(
                    "SELECT coalesce(sum(length(features)), 0) FROM lesson_features",
                    [],
                    |row| row.get::<_, i64>(0),
                )?
                .cast_unsigned(),
            cursors: count("cursors")?,
        })
    }

    /// One mailbox or a part of it.
    pub(crate) fn export(&mut self, from: Option<ExportMark>, limit: usize) -> Result<ExportPage, StoreError> {
        let moment = self.db.transaction().map_err(unavailable)?;
        let mark = match from {
            Some(mark) => Some(mark.0),
            None => mailbox_after(&moment, "").map_err(unavailable)?,
        };
        let Some(mark) = mark else {
            return Ok(ExportPage::default());
        };
        let limit = limit.max(1);
        match &mark.after {
            After::Label(number) => {
                let (rows, is_full) = labels(&moment, &mark.mailbox, *number, limit).map_err(unavailable)?;
                let next = match rows.last() {
                    Some(last) if is_full => Mark::label(mark.mailbox, last.id),
                    _ => Mark::sent(mark.mailbox),
                };
                let read = |row: LabelRow| row.read().map(Remembered::Label);
                Ok(ExportPage {
                    remembered: rows.into_iter().map(read).collect::<Result<_, _>>()?,
                    next: Some(ExportMark(next)),
                })
            }
            After::Sent(domain, local, organization) => {
                let rows = sent(&moment, &mark.mailbox, [domain, local, organization], limit).map_err(unavailable)?;
                let next = match rows.last() {
                    Some(last) if rows.len() == limit => Some(Mark {
                        mailbox: mark.mailbox,
                        after: After::Sent(last.domain.clone(), last.local.clone(), last.organization.clone()),
                    }),
                    _ => mailbox_after(&moment, &mark.mailbox).map_err(unavailable)?,
                };
                let read = |row: SentRow| row.read().map(Remembered::Sent);
                Ok(ExportPage {
                    remembered: rows.into_iter().map(read).collect::<Result<_, _>>()?,
                    next: next.map(ExportMark),
                })
            }
        }
    }

    /// SQLite's own check, and whether what is derived is what the truth makes.
    pub(crate) fn verify(&mut self) -> Result<Verified, rusqlite::Error> {
        let moment = self.db.transaction()?;
        let mut verified = Verified::default();
        let mut check = moment.prepare(&format!("PRAGMA integrity_check({CHECK_LINES_MAX})"))?;
        let mut lines = check.query([])?;
        while let Some(line) = lines.next()? {
            let line: String = line.get(0)?;
            if line != "ok" {
                verified.fault(format!("the database says: {line}"));
            }
        }
        let mut check = moment.prepare("PRAGMA foreign_key_check")?;
        let mut lines = check.query([])?;
        while let Some(line) = lines.next()? {
            let table: String = line.get(0)?;
            verified.fault(format!("a row of `{table}` belongs to no message"));
        }
        verify_history(&moment, &mut verified)?;
        verify_sent(&moment, &mut verified)?;
        shared::verify(&moment, &mut verified)?;
        lessons::verify(&moment, &mut verified)?;
        Ok(verified)
    }
}

/// The mailbox that comes after a name.
fn mailbox_after(db: &Connection, name: &str) -> Result<Option<Mark>, rusqlite::Error> {
    db.prepare_cached("SELECT name FROM mailboxes WHERE name > ?1 ORDER BY name LIMIT 1")?
        .query_row([name], |row| row.get(0).map(Mark::begin))
        .optional()
}

/// Labels with the features of their lessons, and whether there may be more.
fn labels(db: &Connection, mailbox: &str, after: i64, limit: usize) -> Result<(Vec<LabelRow>, bool), rusqlite::Error> {
    let mut labels = db.prepare_cached(&format!(
        "SELECT {REGISTER}, f.version, f.features FROM mailboxes b JOIN labels l ON l.mailbox = b.n
         LEFT JOIN lessons s ON s.mailbox = l.mailbox AND s.id = l.id AND s.said IS NOT NULL
         LEFT JOIN lesson_features f ON f.n = s.features
         WHERE b.name = ?1 AND l.id > ?2 ORDER BY l.id"
    ))?;
    let (mut rows, mut found, mut octets) = (labels.query(params![mailbox, after])?, Vec::new(), 0);
    while found.len() < limit && octets < EXPORT_OCTETS_MAX {
        let Some(row) = rows.next()? else {
            return Ok((found, false));
        };
        let features = match row.get(9)? {
            Some(version) => Some(FeaturesRow {
                version,
                octets: row.get(10)?,
            }),
            None => None,
        };
        octets += features.as_ref().map_or(0, |features| features.octets.len());
        found.push(LabelRow {
            features,
            ..register(row)?
        });
    }
    Ok((found, true))
}

fn sent(
    db: &Connection,
    mailbox: &str,
    [domain, local, organization]: [&String; 3],
    limit: usize,
) -> Result<Vec<SentRow>, rusqlite::Error> {
    db.prepare_cached(&format!(
        "SELECT {SENT} FROM mailboxes b JOIN sent s ON s.mailbox = b.n
         WHERE b.name = ?1 AND (s.domain, s.local, s.organization) > (?2, ?3, ?4)
         ORDER BY s.domain, s.local, s.organization LIMIT ?5"
    ))?
    .query_map(params![mailbox, domain, local, organization, limit as i64], sent_row)?
    .collect()
}

/// Each row that labels make is there, and there are no more.
fn verify_history(db: &Connection, verified: &mut Verified) -> Result<(), rusqlite::Error> {
    let mut exists = db.prepare(
        "SELECT 1 FROM history WHERE mailbox = ?1 AND identity = ?2 AND received_s = ?3 AND number = ?4
         AND is_junk = ?5 AND author_local = ?6",
    )?;
    let mut labels = db.prepare(&format!(
        "SELECT {REGISTER}, l.mailbox FROM labels l JOIN mailboxes b ON b.n = l.mailbox"
    ))?;
    let mut rows = labels.query([])?;
    while let Some(row) = rows.next()? {
        let (label, mailbox): (LabelRow, i64) = (register(row)?, row.get(9)?);
        verified.labels += 1;
        let Ok(derived) = label.derived() else {
            verified.fault(format!("the label of {} in {} is unreadable", label.id, label.mailbox));
            continue;
        };
        for row in derived {
            verified.history += 1;
            let key = params![
                mailbox,
                row.identity.0,
                row.received_s,
                row.number,
                row.is_junk,
                row.author_local
            ];
            if !exists.exists(key)? {
                verified.fault(format!(
                    "history lacks a row of the label of {} in {}",
                    label.id, label.mailbox
                ));
            }
        }
    }
    let found: i64 = db.query_row("SELECT count(*) FROM history", [], |row| row.get(0))?;
    if found.cast_unsigned() > verified.history {
        let more = found.cast_unsigned() - verified.history;
        verified.fault(format!("history has rows that no label makes: {more}"));
    }
    Ok(())
}

/// The last time of each correspondent is the last of the mail that speaks of him.
fn verify_sent(db: &Connection, verified: &mut Verified) -> Result<(), rusqlite::Error> {
    let mut last: HashMap<(i64, CorrespondentKey), i64> = HashMap::new();
    let mut sent = db.prepare(&format!(
        "SELECT {SENT}, s.mailbox FROM sent s JOIN mailboxes b ON b.n = s.mailbox"
    ))?;
    let mut rows = sent.query([])?;
    while let Some(row) = rows.next()? {
        let (sent, mailbox): (SentRow, i64) = (sent_row(row)?, row.get(5)?);
        verified.sent += 1;
        for who in sent.correspondents() {
            let at_s = last.entry((mailbox, who)).or_insert(sent.at_s);
            *at_s = sent.at_s.max(*at_s);
        }
    }
    let mut correspondents = db.prepare("SELECT mailbox, who, at_s FROM correspondents")?;
    let mut rows = correspondents.query([])?;
    while let Some(row) = rows.next()? {
        let key = (row.get(0)?, CorrespondentKey(row.get(1)?));
        if last.remove(&key) != Some(row.get(2)?) {
            verified.fault("a correspondent has another time than the mail that was sent".to_owned());
        }
    }
    for _ in last {
        verified.fault("a correspondent is missing".to_owned());
    }
    Ok(())
}
