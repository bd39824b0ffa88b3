//! Labels, sent mail, and the rows that are derived from them.
//!
//! The fold runs in the transaction of what it folds. So a crash leaves both or neither.

use super::{lessons, shared};
use crate::error::StoreError;
use crate::history::SentRow;
use crate::id::MailwardId;
use crate::label::{Label, LabelRow, Labelled, Said};
use crate::rows;
use crate::writer::{Memory, Told};
use mail::{Line, MailboxId};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::cmp::Ordering;

/// The columns of a register, in the order in which [`register`] reads them.
pub(super) const REGISTER: &str =
    "b.name, l.id, l.said_s, l.source, l.said_by, l.label, l.received_s, l.author_local, l.identities";

/// Writes one thing, and what is derived from it.
pub(super) fn remember(db: &Connection, memory: &Memory) -> Result<Told, rusqlite::Error> {
    match memory {
        Memory::Label(row, mailbox) => label(db, row, Some(mailbox)),
        Memory::Learnt(row) => label(db, row, None),
        Memory::Sent(row) => sent(db, row),
    }
}

fn label(db: &Connection, row: &LabelRow, recorded: Option<&MailboxId>) -> Result<Told, rusqlite::Error> {
    let before = find(db, &row.mailbox, row.id)?;
    if let Some(mailbox) = recorded
        && before.is_none()
        && !is_recorded(db, row.id, mailbox)?
    {
        let (id, mailbox) = (row.id, mailbox.clone());
        return Ok(Told::Failed(StoreError::UnknownDelivery { id, mailbox }));
    }
    match before.as_ref().map_or(Ordering::Greater, |before| row.rank(before)) {
        Ordering::Less => {
            let said = before.map_or_else(|| row.said.clone(), |before| before.said);
            return Ok(Told::Labelled(Labelled::Outranked(said)));
        }
        Ordering::Equal => {
            // The message may be shown only now.
            lessons::say(db, number(db, &row.mailbox)?, row, false)?;
            return Ok(Told::Labelled(Labelled::Holds));
        }
        Ordering::Greater => {}
    }
    let mailbox = number(db, &row.mailbox)?;
    let folded = match &before {
        Some(before) => unfold(db, mailbox, before)?,
        None => Ok(()),
    };
    if let Err(failed) = folded {
        return Ok(failed);
    }
    if let Err(failed) = fold(db, mailbox, row)? {
        return Ok(failed);
    }
    let mut identities = row.shared();
    identities.extend(before.iter().flat_map(LabelRow::shared));
    shared::vote(db, mailbox, &row.mailbox, &identities)?;
    db.prepare_cached(
        "INSERT OR REPLACE INTO labels
         (mailbox, id, said_s, source, said_by, label, received_s, author_local, identities)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        mailbox,
        row.id.number(),
        row.said.at_s,
        row.said.source.as_str(),
        row.said.by.as_str(),
        row.said.label.map(|label| label == Label::Junk),
        row.received_s,
        row.author_local,
        row.identities,
    ])?;
    lessons::say(db, mailbox, row, true)?;
    Ok(Told::Labelled(Labelled::Holds))
}

/// Whether a message was recorded for a mailbox.
fn is_recorded(db: &Connection, id: MailwardId, mailbox: &MailboxId) -> Result<bool, rusqlite::Error> {
    let mut facts = db.prepare_cached("SELECT facts FROM recipients WHERE id = ?1")?;
    let mut facts = facts.query([id.number()])?;
    while let Some(row) = facts.next()? {
        if rows::mailbox(row.get_ref(0)?.as_str()?).as_ref() == Some(mailbox) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Adds what a register makes; repeatable.
fn fold(db: &Connection, mailbox: i64, register: &LabelRow) -> Result<Result<(), Told>, rusqlite::Error> {
    let Ok(derived) = register.derived() else {
        return Ok(Err(unreadable(register)));
    };
    let mut insert = db.prepare_cached(
        "INSERT OR REPLACE INTO history (mailbox, identity, received_s, number, is_junk, author_local)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for row in derived {
        insert.execute(params![
            mailbox,
            row.identity.0,
            row.received_s,
            row.number,
            row.is_junk,
            row.author_local,
        ])?;
    }
    Ok(Ok(()))
}

/// Takes away what a register made; repeatable.
fn unfold(db: &Connection, mailbox: i64, register: &LabelRow) -> Result<Result<(), Told>, rusqlite::Error> {
    let Ok(derived) = register.derived() else {
        return Ok(Err(unreadable(register)));
    };
    let mut delete = db.prepare_cached(
        "DELETE FROM history WHERE mailbox = ?1 AND identity = ?2 AND received_s = ?3 AND number = ?4",
    )?;
    for row in derived {
        delete.execute(params![mailbox, row.identity.0, row.received_s, row.number])?;
    }
    Ok(Ok(()))
}

fn unreadable(register: &LabelRow) -> Told {
    Told::Failed(StoreError::UnreadableLabel {
        id: register.id,
        mailbox: Line::reason(register.mailbox.as_bytes()),
        why: "its identities are not what this version writes".to_owned(),
    })
}

fn sent(db: &Connection, row: &SentRow) -> Result<Told, rusqlite::Error> {
    let mailbox = number(db, &row.mailbox)?;
    db.prepare_cached(
        "INSERT INTO sent (mailbox, domain, local, organization, at_s) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET at_s = excluded.at_s WHERE excluded.at_s > at_s",
    )?
    .execute(params![mailbox, row.domain, row.local, row.organization, row.at_s])?;
    fold_sent(db, mailbox, row)?;
    Ok(Told::Kept)
}

/// The last time counts, so this is repeatable in any order.
fn fold_sent(db: &Connection, mailbox: i64, row: &SentRow) -> Result<(), rusqlite::Error> {
    let mut insert = db.prepare_cached(
        "INSERT INTO correspondents (mailbox, who, at_s) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET at_s = excluded.at_s WHERE excluded.at_s > at_s",
    )?;
    for who in row.correspondents() {
        insert.execute(params![mailbox, who.0, row.at_s])?;
    }
    Ok(())
}

/// The number of a mailbox, which it gets with its first row.
pub(super) fn number(db: &Connection, name: &str) -> Result<i64, rusqlite::Error> {
    let known = db
        .prepare_cached("SELECT n FROM mailboxes WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    match known {
        Some(n) => Ok(n),
        None => {
            db.prepare_cached("INSERT INTO mailboxes (name) VALUES (?1)")?
                .execute([name])?;
            Ok(db.last_insert_rowid())
        }
    }
}

/// The register of a delivery.
pub(super) fn find(db: &Connection, mailbox: &str, id: MailwardId) -> Result<Option<LabelRow>, rusqlite::Error> {
    db.prepare_cached(&format!(
        "SELECT {REGISTER} FROM mailboxes b JOIN labels l ON l.mailbox = b.n WHERE b.name = ?1 AND l.id = ?2"
    ))?
    .query_row(params![mailbox, id.number()], register)
    .optional()
}

pub(super) fn register(row: &Row<'_>) -> Result<LabelRow, rusqlite::Error> {
    let line = |column| row.get::<_, String>(column).map(Line::from);
    let label = row.get::<_, Option<bool>>(5)?;
    Ok(LabelRow {
        mailbox: row.get(0)?,
        id: MailwardId::from_number(row.get(1)?),
        said: Said {
            label: label.map(|is_junk| if is_junk { Label::Junk } else { Label::NotJunk }),
            at_s: row.get(2)?,
            source: line(3)?,
            by: line(4)?,
        },
        received_s: row.get(6)?,
        author_local: row.get(7)?,
        identities: row.get(8)?,
        features: None,
    })
}

/// Forgets the oldest labels of messages that came before a time, with what they made, and the oldest mail that was
/// sent before it; `count` of each at most. How many there were.
pub(super) fn expire(db: &Connection, before_s: i64, count: u32) -> Result<u64, rusqlite::Error> {
    let oldest: Vec<(i64, LabelRow)> = db
        .prepare_cached(&format!(
            "SELECT {REGISTER}, l.mailbox FROM labels l JOIN mailboxes b ON b.n = l.mailbox
             WHERE l.received_s < ?1 ORDER BY l.received_s LIMIT ?2"
        ))?
        .query_map(params![before_s, count], |row| Ok((row.get(9)?, register(row)?)))?
        .collect::<Result<_, _>>()?;
    for (mailbox, row) in &oldest {
        // One that cannot be read goes all the same; what it made is for `rebuild`.
        let _ = unfold(db, *mailbox, row)?;
        db.prepare_cached("DELETE FROM labels WHERE mailbox = ?1 AND id = ?2")?
            .execute(params![mailbox, row.id.number()])?;
        lessons::forget(db, *mailbox, row.id.number())?;
        shared::vote(db, *mailbox, &row.mailbox, &row.shared())?;
    }
    Ok(oldest.len() as u64 + expire_sent(db, before_s, count)?)
}

/// All that were sent at one time go together: so whoever was last written to at that time or before has nothing left
/// that speaks of him.
fn expire_sent(db: &Connection, before_s: i64, count: u32) -> Result<u64, rusqlite::Error> {
    let last_s: Option<i64> = db
        .prepare_cached("SELECT max(at_s) FROM (SELECT at_s FROM sent WHERE at_s < ?1 ORDER BY at_s LIMIT ?2)")?
        .query_row([before_s, i64::from(count)], |row| row.get(0))?;
    let Some(last_s) = last_s else {
        return Ok(0);
    };
    let gone = db
        .prepare_cached("DELETE FROM sent WHERE at_s <= ?1")?
        .execute([last_s])?;
    db.prepare_cached("DELETE FROM correspondents WHERE at_s <= ?1")?
        .execute([last_s])?;
    Ok(gone as u64)
}

/// Makes what is derived anew from the truth.
pub(super) fn rebuild(db: &Connection) -> Result<(), rusqlite::Error> {
    db.execute_batch("DELETE FROM history; DELETE FROM correspondents;")?;
    let mut labels = db.prepare(&format!(
        "SELECT {REGISTER}, l.mailbox FROM labels l JOIN mailboxes b ON b.n = l.mailbox WHERE l.label IS NOT NULL"
    ))?;
    let mut rows = labels.query([])?;
    while let Some(row) = rows.next()? {
        // One that cannot be read makes nothing; `verify` says so.
        let _ = fold(db, row.get(9)?, &register(row)?)?;
    }
    let mut sent = db.prepare(&format!(
        "SELECT {SENT}, s.mailbox FROM sent s JOIN mailboxes b ON b.n = s.mailbox"
    ))?;
    let mut rows = sent.query([])?;
    while let Some(row) = rows.next()? {
        fold_sent(db, row.get(5)?, &sent_row(row)?)?;
    }
    shared::rebuild(db)?;
    lessons::rebuild(db)
}

/// The columns of mail that was sent, in the order in which [`sent_row`] reads them.
pub(super) const SENT: &str = "b.name, s.local, s.domain, s.organization, s.at_s";

pub(super) fn sent_row(row: &Row<'_>) -> Result<SentRow, rusqlite::Error> {
    Ok(SentRow {
        mailbox: row.get(0)?,
        local: row.get(1)?,
        domain: row.get(2)?,
        organization: row.get(3)?,
        at_s: row.get(4)?,
    })
}
