//! Lessons of the content filter: small rows by mailbox and message, and their features apart.
//!
//! A lesson changes in the transaction of its label.

use super::read::View;
use crate::audit::Verified;
use crate::id::MailwardId;
use crate::label::{Label, LabelRow};
use crate::lesson::{FeaturesRow, KeptLesson, Taught};
use crate::shared::Secret;
use crate::writer::Done;
use judge::content::{Features, VERSION};
use judge::junk::{Lesson, Seen};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// Lessons that one step of fading marks.
const FADE_STEP: u32 = 200;
/// What [`kept`] reads, in the order of [`lesson`].
const KEPT: &str = "l.id, l.received_s, l.said, l.taught, l.step, l.counted, f.version, f.features";

/// A lesson as a label finds it.
struct Found {
    is_said: bool,
    is_taught: bool,
    /// Where its features are.
    features: i64,
    /// `None` if they are not there.
    version: Option<u32>,
}

/// Makes the lesson of a message say what its label says; repeatable. The features are those that came
/// with the label, or, if it is new, those of the record.
///
/// The features of a lesson stay, since what was taught was taught of them. One that was forgotten lends none: it is as if
/// it had never been. One of another version is in no model.
pub(super) fn say(db: &Connection, mailbox: i64, register: &LabelRow, is_new: bool) -> Result<(), rusqlite::Error> {
    let Some(label) = register.said.label else {
        return forget(db, mailbox, register.id.number());
    };
    let id = register.id.number();
    let found = find(db, mailbox, id)?;
    let (is_of_use, is_said) = match &found {
        Some(found) => (found.version == Some(VERSION), found.is_said),
        None => (false, false),
    };
    if is_of_use && is_said {
        return update(db, mailbox, register, label);
    }
    let given = match &register.features {
        Some(given) => Some(given.clone()),
        None if is_new => contents(db, id)?,
        None => None,
    };
    match (given, found) {
        (Some(_), Some(_)) if is_of_use => update(db, mailbox, register, label),
        (Some(given), found) => {
            if let Some(found) = found {
                remove(db, mailbox, id, found.features)?;
            }
            insert(db, mailbox, register, label, &given)
        }
        (None, Some(found)) if found.is_said => update(db, mailbox, register, label),
        (None, _) => Ok(()),
    }
}

/// There is no label any more: what was never taught goes, what was waits to be taken back. Repeatable.
pub(super) fn forget(db: &Connection, mailbox: i64, id: i64) -> Result<(), rusqlite::Error> {
    match find(db, mailbox, id)? {
        Some(found) if found.is_taught => {
            db.prepare_cached("UPDATE lessons SET said = NULL WHERE mailbox = ?1 AND id = ?2")?
                .execute([mailbox, id])?;
            Ok(())
        }
        Some(found) => remove(db, mailbox, id, found.features),
        None => Ok(()),
    }
}

fn find(db: &Connection, mailbox: i64, id: i64) -> Result<Option<Found>, rusqlite::Error> {
    db.prepare_cached(
        "SELECT l.said IS NOT NULL, l.taught IS NOT NULL, l.features, f.version
         FROM lessons l LEFT JOIN lesson_features f ON f.n = l.features WHERE l.mailbox = ?1 AND l.id = ?2",
    )?
    .query_row([mailbox, id], |row| {
        Ok(Found {
            is_said: row.get(0)?,
            is_taught: row.get(1)?,
            features: row.get(2)?,
            version: row.get(3)?,
        })
    })
    .optional()
}

/// What was recorded with a message, if this version reads it.
fn contents(db: &Connection, id: i64) -> Result<Option<FeaturesRow>, rusqlite::Error> {
    let recorded = db
        .prepare_cached("SELECT version, features FROM contents WHERE id = ?1")?
        .query_row([id], |row| features(row, 0))
        .optional()?;
    Ok(recorded.filter(|recorded| recorded.read().is_some()))
}

fn features(row: &Row<'_>, column: usize) -> Result<FeaturesRow, rusqlite::Error> {
    Ok(FeaturesRow {
        version: row.get(column)?,
        octets: row.get(column + 1)?,
    })
}

fn insert(
    db: &Connection,
    mailbox: i64,
    register: &LabelRow,
    label: Label,
    features: &FeaturesRow,
) -> Result<(), rusqlite::Error> {
    db.prepare_cached("INSERT INTO lesson_features (version, features) VALUES (?1, ?2)")?
        .execute(params![features.version, features.octets])?;
    let n = db.last_insert_rowid();
    db.prepare_cached(
        "INSERT INTO lessons (mailbox, id, received_s, said, taught, step, counted, features)
         VALUES (?1, ?2, ?3, ?4, NULL, 0, 0, ?5)",
    )?
    .execute(params![
        mailbox,
        register.id.number(),
        register.received_s,
        label == Label::Junk,
        n
    ])?;
    Ok(())
}

fn update(db: &Connection, mailbox: i64, register: &LabelRow, label: Label) -> Result<(), rusqlite::Error> {
    let key = (mailbox, register.id.number());
    db.prepare_cached("UPDATE lessons SET said = ?3, received_s = ?4 WHERE mailbox = ?1 AND id = ?2")?
        .execute(params![key.0, key.1, label == Label::Junk, register.received_s])?;
    Ok(())
}

fn remove(db: &Connection, mailbox: i64, id: i64, features: i64) -> Result<(), rusqlite::Error> {
    db.prepare_cached("DELETE FROM lessons WHERE mailbox = ?1 AND id = ?2")?
        .execute([mailbox, id])?;
    db.prepare_cached("DELETE FROM lesson_features WHERE n = ?1")?
        .execute([features])?;
    Ok(())
}

/// Writes what a record is made of.
pub(super) fn begin(db: &Connection, id: i64, features: &FeaturesRow) -> Result<(), rusqlite::Error> {
    db.prepare_cached("INSERT INTO contents (id, version, features) VALUES (?1, ?2, ?3)")?
        .execute(params![id, features.version, features.octets])?;
    Ok(())
}

/// Keeps what a model has, where the store knows what it had before.
pub(super) fn teach(db: &Connection, mailbox: &str, all: &[Taught]) -> Result<Done, rusqlite::Error> {
    let mailbox: Option<i64> = db
        .prepare_cached("SELECT n FROM mailboxes WHERE name = ?1")?
        .query_row([mailbox], |row| row.get(0))
        .optional()?;
    let mut taken = Vec::with_capacity(all.len());
    for taught in all {
        taken.push(match mailbox {
            Some(mailbox) => teach_one(db, mailbox, taught)?,
            None => false,
        });
    }
    Ok(Done::Taught(taken))
}

fn teach_one(db: &Connection, mailbox: i64, taught: &Taught) -> Result<bool, rusqlite::Error> {
    let columns = |lesson: Option<Lesson>| match lesson {
        Some(lesson) => (Some(lesson.is_junk), lesson.step, lesson.is_counted),
        None => (None, 0, false),
    };
    let (before, after, id) = (columns(taught.before), columns(taught.after), taught.id.number());
    let changed = db
        .prepare_cached(
            "UPDATE lessons SET taught = ?3, step = ?4, counted = ?5
             WHERE mailbox = ?1 AND id = ?2 AND taught IS ?6 AND step = ?7 AND counted = ?8",
        )?
        .execute(params![
            mailbox, id, after.0, after.1, after.2, before.0, before.1, before.2
        ])?;
    if changed > 0
        && taught.after.is_none()
        && let Some(found) = find(db, mailbox, id)?
        && !found.is_said
    {
        remove(db, mailbox, id, found.features)?;
    }
    Ok(changed > 0)
}

/// Lets some of the lessons fade that come after the newest `keep` of a mailbox; how many.
pub(super) fn fade(db: &Connection, mailbox: &str, keep: u32) -> Result<Done, rusqlite::Error> {
    let past: Vec<(i64, i64)> = db
        .prepare_cached(
            "SELECT mailbox, id FROM lessons
             WHERE mailbox = (SELECT n FROM mailboxes WHERE name = ?1) AND said IS NOT NULL
             ORDER BY received_s DESC, id DESC LIMIT ?2 OFFSET ?3",
        )?
        .query_map(params![mailbox, FADE_STEP, keep], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    past.iter().try_for_each(|(mailbox, id)| forget(db, *mailbox, *id))?;
    Ok(Done::Expired(past.len() as u64))
}

/// Removes the lessons of the oldest messages, `count` at most, whatever was taught of them: space is needed now. How
/// many there were.
pub(super) fn expire(db: &Connection, count: u32) -> Result<u64, rusqlite::Error> {
    let oldest: Vec<(i64, i64, i64)> = db
        .prepare_cached("SELECT mailbox, id, features FROM lessons ORDER BY received_s LIMIT ?1")?
        .query_map([count], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for (mailbox, id, features) in &oldest {
        remove(db, *mailbox, *id, *features)?;
    }
    Ok(oldest.len() as u64)
}

/// No model is in memory: so nothing waits to be taken back, and what says otherwise than was taught is to be taught.
pub(super) fn settle(db: &Connection) -> Result<(), rusqlite::Error> {
    let is_open = "SELECT 1 FROM lessons WHERE said IS NOT taught AND taught IS NOT NULL";
    if !db.prepare(is_open)?.exists([])? {
        return Ok(());
    }
    let all = db.unchecked_transaction()?;
    all.execute_batch(
        "DELETE FROM lesson_features WHERE n IN
             (SELECT features FROM lessons WHERE said IS NOT taught AND said IS NULL);
         DELETE FROM lessons WHERE said IS NOT taught AND said IS NULL;
         UPDATE lessons SET taught = NULL, step = 0, counted = 0
             WHERE said IS NOT taught AND taught IS NOT NULL;",
    )?;
    all.commit()
}

/// What labels make of the lessons that there are, and nothing of it taught. What a label lacks it does not get back: it
/// may have faded.
pub(super) fn rebuild(db: &Connection) -> Result<(), rusqlite::Error> {
    db.execute_batch(
        "DELETE FROM lessons WHERE said IS NULL
             OR features NOT IN (SELECT n FROM lesson_features)
             OR features IN (SELECT features FROM lessons GROUP BY features HAVING count(*) > 1)
             OR NOT EXISTS (SELECT 1 FROM labels l
                            WHERE l.mailbox = lessons.mailbox AND l.id = lessons.id AND l.label IS NOT NULL);
         UPDATE lessons SET taught = NULL, step = 0, counted = 0, said = l.label, received_s = l.received_s
             FROM labels l WHERE l.mailbox = lessons.mailbox AND l.id = lessons.id;",
    )?;
    for (mailbox, id, features) in unreadable(db)? {
        remove(db, mailbox, id, features)?;
    }
    db.execute_batch("DELETE FROM lesson_features WHERE n NOT IN (SELECT features FROM lessons)")
}

/// Lessons of this version whose features are damaged.
fn unreadable(db: &Connection) -> Result<Vec<(i64, i64, i64)>, rusqlite::Error> {
    let mut all = db.prepare(
        "SELECT l.mailbox, l.id, l.features, f.version, f.features
         FROM lessons l JOIN lesson_features f ON f.n = l.features WHERE f.version = ?1",
    )?;
    let (mut rows, mut found) = (all.query([VERSION])?, Vec::new());
    while let Some(row) = rows.next()? {
        if features(row, 3)?.read().is_none() {
            found.push((row.get(0)?, row.get(1)?, row.get(2)?));
        }
    }
    Ok(found)
}

/// Each lesson says what its label says, and its features are there and its own.
pub(super) fn verify(db: &Connection, verified: &mut Verified) -> Result<(), rusqlite::Error> {
    let mut all = db.prepare(
        "SELECT coalesce(b.name, '?'), s.id, s.said, s.taught, l.label, f.version
         FROM lessons s LEFT JOIN mailboxes b ON b.n = s.mailbox
         LEFT JOIN labels l ON l.mailbox = s.mailbox AND l.id = s.id
         LEFT JOIN lesson_features f ON f.n = s.features",
    )?;
    let mut rows = all.query([])?;
    while let Some(row) = rows.next()? {
        verified.lessons += 1;
        let (mailbox, id): (String, i64) = (row.get(0)?, row.get(1)?);
        let (said, taught): (Option<bool>, Option<bool>) = (row.get(2)?, row.get(3)?);
        let (label, version): (Option<bool>, Option<u32>) = (row.get(4)?, row.get(5)?);
        let mut fault = |what: &str| {
            let id = MailwardId::from_number(id);
            verified.fault(format!("the lesson of {id} in {mailbox} {what}"));
        };
        if said.is_some() && said != label {
            fault("says what no label says");
        }
        if said.is_none() && taught.is_none() {
            fault("is none any more, and is there");
        }
        if version.is_none() {
            fault("has no features");
        }
    }
    for (_, id, _) in unreadable(db)? {
        let id = MailwardId::from_number(id);
        verified.fault(format!("the lesson of {id} has features that are damaged"));
    }
    let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0));
    let lost = count("SELECT count(*) FROM lesson_features WHERE n NOT IN (SELECT features FROM lessons)")?;
    let twice = count("SELECT count(*) - count(DISTINCT features) FROM lessons")?;
    if lost > 0 {
        verified.fault(format!("there are features that belong to no lesson: {lost}"));
    }
    if twice > 0 {
        verified.fault(format!("there are lessons that share their features: {twice}"));
    }
    Ok(())
}

impl View {
    pub(crate) fn lessons(
        &mut self,
        mailbox: &str,
        after: Option<MailwardId>,
        limit: u32,
    ) -> Result<Vec<KeptLesson>, rusqlite::Error> {
        let Some(mailbox) = self.number(mailbox)? else {
            return Ok(Vec::new());
        };
        let after = after.map_or(-1, MailwardId::number);
        let past = "lessons l JOIN lesson_features f ON f.n = l.features
             WHERE l.mailbox = ?1 AND l.id > ?2 AND f.version = ?3 ORDER BY l.id";
        kept(&self.db, past, params![mailbox, after, VERSION], limit)
    }

    pub(crate) fn open_lessons(&mut self, mailbox: &str, limit: u32) -> Result<Vec<KeptLesson>, rusqlite::Error> {
        let Some(mailbox) = self.number(mailbox)? else {
            return Ok(Vec::new());
        };
        // The planner would rather look at all lessons of the mailbox.
        let open = "lessons l INDEXED BY lessons_open JOIN lesson_features f ON f.n = l.features
             WHERE l.mailbox = ?1 AND l.said IS NOT l.taught AND f.version = ?2 ORDER BY l.id";
        kept(&self.db, open, params![mailbox, VERSION], limit)
    }

    pub(crate) fn lessons_of(&mut self, mailbox: &str, ids: &[MailwardId]) -> Result<Vec<KeptLesson>, rusqlite::Error> {
        let Some(mailbox) = self.number(mailbox)? else {
            return Ok(Vec::new());
        };
        let mut all = Vec::new();
        for id in ids {
            all.extend(kept(
                &self.db,
                "lessons l JOIN lesson_features f ON f.n = l.features WHERE l.mailbox = ?1 AND l.id = ?2",
                params![mailbox, id.number()],
                1,
            )?);
        }
        Ok(all)
    }

    pub(crate) fn learners(&mut self, after: &str, limit: u32) -> Result<Vec<(String, Seen)>, rusqlite::Error> {
        // Mailboxes first, so that they need no sorting and no more are counted than are given.
        self.db
            .prepare_cached(
                "SELECT b.name, sum(l.said), count(*) FROM mailboxes b CROSS JOIN lessons l ON l.mailbox = b.n
                 WHERE b.name > ?1 AND l.said IS NOT NULL GROUP BY b.name ORDER BY b.name LIMIT ?2",
            )?
            .query_map(params![after, limit], |row| {
                let (junk, all): (u32, u32) = (row.get(1)?, row.get(2)?);
                let wanted = all.saturating_sub(junk);
                Ok((row.get(0)?, Seen { junk, wanted }))
            })?
            .collect()
    }

    pub(crate) fn model_secret(&mut self) -> Result<Secret, rusqlite::Error> {
        self.db
            .prepare_cached("SELECT value FROM secrets WHERE name = 'models'")?
            .query_row([], |row| row.get(0))
    }
}

/// The first `limit` lessons, of those that come from somewhere, that can be read.
fn kept(
    db: &Connection,
    from: &str,
    params: &[&dyn rusqlite::ToSql],
    limit: u32,
) -> Result<Vec<KeptLesson>, rusqlite::Error> {
    let mut lessons = db.prepare_cached(&format!("SELECT {KEPT} FROM {from}"))?;
    let (mut rows, mut all) = (lessons.query(params)?, Vec::new());
    while all.len() < limit as usize
        && let Some(row) = rows.next()?
    {
        if let Some(features) = features(row, 6)?.read() {
            all.push(lesson(row, features)?);
        }
    }
    Ok(all)
}

fn lesson(row: &Row<'_>, features: Features) -> Result<KeptLesson, rusqlite::Error> {
    let (said, taught): (Option<bool>, Option<bool>) = (row.get(2)?, row.get(3)?);
    let (step, is_counted) = (row.get(4)?, row.get(5)?);
    Ok(KeptLesson {
        id: MailwardId::from_number(row.get(0)?),
        received_s: row.get(1)?,
        said: said.map(|is_junk| if is_junk { Label::Junk } else { Label::NotJunk }),
        taught: taught.map(|is_junk| Lesson {
            is_junk,
            is_counted,
            step,
        }),
        features,
    })
}
