//! What mailboxes tell each other: derived from history, in the transaction that changes it.

use super::history::{REGISTER, register};
use crate::audit::Verified;
use crate::history::IdentityKey;
use crate::label::{Label, LabelRow};
use crate::shared::{Secret, SharedKey, VOTERS_MAX, scopes, voter};
use judge::reputation::{Scope, Votes};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeSet;

/// The key of the hashes.
pub(super) fn secret(db: &Connection) -> Result<Secret, rusqlite::Error> {
    db.prepare_cached("SELECT value FROM secrets WHERE name = 'shared'")?
        .query_row([], |row| row.get(0))
}

/// Makes the votes of a mailbox on some identities anew from its history; repeatable.
pub(super) fn vote(
    db: &Connection,
    mailbox: i64,
    name: &str,
    identities: &BTreeSet<IdentityKey>,
) -> Result<(), rusqlite::Error> {
    if identities.is_empty() {
        return Ok(());
    }
    let secret = secret(db)?;
    let voter = voter(&secret, name);
    for identity in identities {
        let newest = newest(db, mailbox, *identity)?;
        for scope in scopes(name) {
            let key = SharedKey::of(&secret, &scope, *identity);
            match newest {
                Some((received_s, number, is_junk)) => db
                    .prepare_cached(
                        "INSERT OR REPLACE INTO shared (identity, voter, received_s, number, is_junk)
                         VALUES (?1, ?2, ?3, ?4, ?5)",
                    )?
                    .execute(params![key.0, voter, received_s, number, is_junk])?,
                None => db
                    .prepare_cached("DELETE FROM shared WHERE identity = ?1 AND voter = ?2")?
                    .execute(params![key.0, voter])?,
            };
        }
    }
    Ok(())
}

/// Time, number and label of the newest message.
fn newest(db: &Connection, mailbox: i64, identity: IdentityKey) -> Result<Option<(i64, i64, bool)>, rusqlite::Error> {
    db.prepare_cached(
        "SELECT received_s, number, is_junk FROM history WHERE mailbox = ?1 AND identity = ?2
         ORDER BY received_s DESC, number DESC LIMIT 1",
    )?
    .query_row(params![mailbox, identity.0], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    })
    .optional()
}

/// Makes all votes anew from the labels.
pub(super) fn rebuild(db: &Connection) -> Result<(), rusqlite::Error> {
    db.execute_batch("DELETE FROM shared")?;
    let secret = secret(db)?;
    let mut insert = db.prepare(
        "INSERT INTO shared (identity, voter, received_s, number, is_junk) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET
             received_s = excluded.received_s, number = excluded.number, is_junk = excluded.is_junk
         WHERE (excluded.received_s, excluded.number) > (received_s, number)",
    )?;
    each_label(db, |row| {
        let voter = voter(&secret, &row.mailbox);
        let is_junk = row.said.label == Some(Label::Junk);
        for identity in row.shared() {
            for scope in scopes(&row.mailbox) {
                let key = SharedKey::of(&secret, &scope, identity);
                insert.execute(params![key.0, voter, row.received_s, row.id.number(), is_junk])?;
            }
        }
        Ok(())
    })
}

/// Each vote that labels make is there, and there are no more.
pub(super) fn verify(db: &Connection, verified: &mut Verified) -> Result<(), rusqlite::Error> {
    let secret = secret(db)?;
    let mut exists = db.prepare(
        "SELECT 1 FROM shared WHERE identity = ?1 AND voter = ?2 AND received_s = ?3 AND number = ?4 AND is_junk = ?5",
    )?;
    let mut mailbox_number = db.prepare("SELECT n FROM mailboxes WHERE name = ?1")?;
    let mut expected: u64 = 0;
    each_label(db, |row| {
        let (voter, number) = (voter(&secret, &row.mailbox), row.id.number());
        let is_junk = row.said.label == Some(Label::Junk);
        let mailbox = mailbox_number.query_row([&row.mailbox], |row| row.get(0))?;
        for identity in row.shared() {
            // Each pair of mailbox and identity is looked at once: where its newest message is.
            let newest = newest(db, mailbox, identity)?;
            if newest.is_none_or(|(received_s, newest, _)| (received_s, newest) != (row.received_s, number)) {
                continue;
            }
            for scope in scopes(&row.mailbox) {
                let key = SharedKey::of(&secret, &scope, identity);
                expected += 1;
                if !exists.exists(params![key.0, voter, row.received_s, number, is_junk])? {
                    verified.fault(format!("shared evidence lacks a vote of {} in {}", row.id, row.mailbox));
                }
            }
        }
        Ok(())
    })?;
    let found: i64 = db.query_row("SELECT count(*) FROM shared", [], |row| row.get(0))?;
    if found.cast_unsigned() > expected {
        let more = found.cast_unsigned() - expected;
        verified.fault(format!("shared evidence has votes that no label makes: {more}"));
    }
    Ok(())
}

/// Of very many voters those with the smallest hashes, which is a fair lot.
pub(super) fn votes(
    db: &Connection,
    secret: &Secret,
    scope: &Scope,
    identity: IdentityKey,
    since_s: i64,
) -> Result<Votes, rusqlite::Error> {
    db.prepare_cached(
        "SELECT coalesce(sum(is_junk), 0), count(*) FROM
         (SELECT is_junk, received_s FROM shared WHERE identity = ?1 LIMIT ?3) WHERE received_s >= ?2",
    )?
    .query_row(
        params![SharedKey::of(secret, scope, identity).0, since_s, VOTERS_MAX],
        |row| {
            let (junk, all): (u32, u32) = (row.get(0)?, row.get(1)?);
            Ok(Votes {
                junk,
                not_junk: all.saturating_sub(junk),
            })
        },
    )
}

fn each_label(
    db: &Connection,
    mut see: impl FnMut(LabelRow) -> Result<(), rusqlite::Error>,
) -> Result<(), rusqlite::Error> {
    let mut labels = db.prepare(&format!(
        "SELECT {REGISTER} FROM labels l JOIN mailboxes b ON b.n = l.mailbox WHERE l.label IS NOT NULL"
    ))?;
    let mut rows = labels.query([])?;
    while let Some(row) = rows.next()? {
        see(register(row)?)?;
    }
    Ok(())
}
