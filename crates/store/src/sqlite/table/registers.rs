//! Registers: a label, and the lesson of it, with its features apart, since they are long.

use super::super::db::Db;
use super::{SqlTable, only};
use crate::features::FeaturesRow;
use crate::id::MailwardId;
use crate::label::{Label, LabelRow, Said};
use crate::table::{LessonRow, Register, Registers};
use judge::junk::Lesson;
use mail::Line;
use rusqlite::{OptionalExtension, Row, params};

/// The columns of a label, in the order in which [`register`] reads them.
const REGISTER: &str =
    "b.name, l.id, l.said_s, l.source, l.said_by, l.label, l.received_s, l.author_local, l.identities";
/// The columns of a lesson, in the order in which [`lesson`] reads them.
pub(in crate::sqlite) const LESSON: &str =
    "s.received_s, s.said, s.taught, s.step, s.counted, f.version, f.features, s.features";

type Partition = (String, MailwardId);

impl SqlTable for Registers {
    fn get(db: &mut Db, (mailbox, id): &Partition, (): &()) -> Result<Option<Register>, rusqlite::Error> {
        let Some(number) = db.number(mailbox)? else {
            return Ok(None);
        };
        let key = [number, id.number()];
        let label = db
            .connection
            .prepare_cached(&format!(
                "SELECT {REGISTER} FROM labels l JOIN mailboxes b ON b.n = l.mailbox
                 WHERE l.mailbox = ?1 AND l.id = ?2"
            ))?
            .query_row(key, register)
            .optional()?;
        let lesson = db
            .connection
            .prepare_cached(&format!(
                "SELECT {LESSON} FROM lessons s LEFT JOIN lesson_features f ON f.n = s.features
                 WHERE s.mailbox = ?1 AND s.id = ?2"
            ))?
            .query_row(key, |row| lesson(row, 0))
            .optional()?;
        let found = Register {
            label,
            lesson,
            ..Register::default()
        };
        Ok((found != Register::default()).then_some(found))
    }

    fn first(db: &mut Db, partition: &Partition, limit: u32) -> Result<Vec<((), Register)>, rusqlite::Error> {
        only::<Registers>(db, partition, limit)
    }

    fn put(
        db: &mut Db,
        partition: &Partition,
        (): &(),
        row: &Register,
        before: Option<Option<&Register>>,
    ) -> Result<(), rusqlite::Error> {
        let none = Register::default();
        let before = before.map(|before| before.unwrap_or(&none));
        let mailbox = db.number_for(&partition.0)?;
        if before.is_none_or(|before| before.label != row.label) {
            put_label(db, mailbox, partition.1, row.label.as_ref())?;
        }
        if before.is_none_or(|before| before.lesson != row.lesson) {
            let known = before.and_then(|before| before.lesson.as_ref());
            put_lesson(db, mailbox, partition.1, row.lesson.as_ref(), known)?;
        }
        Ok(())
    }

    fn remove(db: &mut Db, (mailbox, id): &Partition, (): &()) -> Result<(), rusqlite::Error> {
        let Some(mailbox) = db.number(mailbox)? else {
            return Ok(());
        };
        put_label(db, mailbox, *id, None)?;
        put_lesson(db, mailbox, *id, None, None)
    }
}

fn put_label(db: &Db, mailbox: i64, id: MailwardId, label: Option<&LabelRow>) -> Result<(), rusqlite::Error> {
    let Some(label) = label else {
        db.connection
            .prepare_cached("DELETE FROM labels WHERE mailbox = ?1 AND id = ?2")?
            .execute([mailbox, id.number()])?;
        return Ok(());
    };
    db.connection
        .prepare_cached(
            "INSERT OR REPLACE INTO labels
             (mailbox, id, said_s, source, said_by, label, received_s, author_local, identities)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            mailbox,
            id.number(),
            label.said.at_s,
            label.said.source.as_str(),
            label.said.by.as_str(),
            label.said.label.map(|label| label == Label::Junk),
            label.received_s,
            label.author_local,
            label.identities,
        ])?;
    Ok(())
}

/// The features of a lesson are written once. `known` is the lesson that is there, if that is known.
fn put_lesson(
    db: &Db,
    mailbox: i64,
    id: MailwardId,
    lesson: Option<&LessonRow>,
    known: Option<&LessonRow>,
) -> Result<(), rusqlite::Error> {
    let key = [mailbox, id.number()];
    let columns = lesson.map(|lesson| {
        let said = lesson.said.map(|label| label == Label::Junk);
        let taught = lesson
            .taught
            .map_or((None, 0, false), |t| (Some(t.is_junk), t.step, t.is_counted));
        (said, taught)
    });
    if let (Some(lesson), Some(known), Some((said, taught))) = (lesson, known, columns)
        && lesson.features == known.features
    {
        db.connection
            .prepare_cached(
                "UPDATE lessons SET received_s = ?3, said = ?4, taught = ?5, step = ?6, counted = ?7
                 WHERE mailbox = ?1 AND id = ?2",
            )?
            .execute(params![
                key[0],
                key[1],
                lesson.received_s,
                said,
                taught.0,
                taught.1,
                taught.2
            ])?;
        return Ok(());
    }
    db.connection
        .prepare_cached(
            "DELETE FROM lesson_features WHERE n = (SELECT features FROM lessons WHERE mailbox = ?1 AND id = ?2)",
        )?
        .execute(key)?;
    db.connection
        .prepare_cached("DELETE FROM lessons WHERE mailbox = ?1 AND id = ?2")?
        .execute(key)?;
    let (Some(lesson), Some((said, taught))) = (lesson, columns) else {
        return Ok(());
    };
    // One without features is damaged, and goes.
    let Some(features) = &lesson.features else {
        return Ok(());
    };
    db.connection
        .prepare_cached("INSERT INTO lesson_features (version, features) VALUES (?1, ?2)")?
        .execute(params![features.version, features.octets])?;
    let n = db.connection.last_insert_rowid();
    db.connection
        .prepare_cached(
            "INSERT INTO lessons (mailbox, id, received_s, said, taught, step, counted, features)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            key[0],
            key[1],
            lesson.received_s,
            said,
            taught.0,
            taught.1,
            taught.2,
            n
        ])?;
    Ok(())
}

fn register(row: &Row<'_>) -> Result<LabelRow, rusqlite::Error> {
    let line = |column| row.get::<_, String>(column).map(Line::from);
    Ok(LabelRow {
        mailbox: row.get(0)?,
        id: MailwardId::from_number(row.get(1)?),
        said: Said {
            label: row.get::<_, Option<bool>>(5)?.map(of_bool),
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

/// A lesson whose columns begin somewhere.
pub(in crate::sqlite) fn lesson(row: &Row<'_>, first: usize) -> Result<LessonRow, rusqlite::Error> {
    let taught: Option<bool> = row.get(first + 2)?;
    let (step, is_counted) = (row.get(first + 3)?, row.get(first + 4)?);
    let version: Option<u32> = row.get(first + 5)?;
    let features = match version {
        Some(version) => Some(FeaturesRow {
            version,
            octets: row.get(first + 6)?,
        }),
        None => None,
    };
    Ok(LessonRow {
        received_s: row.get(first)?,
        said: row.get::<_, Option<bool>>(first + 1)?.map(of_bool),
        taught: taught.map(|is_junk| Lesson {
            is_junk,
            is_counted,
            step,
        }),
        features,
    })
}

fn of_bool(is_junk: bool) -> Label {
    if is_junk { Label::Junk } else { Label::NotJunk }
}
