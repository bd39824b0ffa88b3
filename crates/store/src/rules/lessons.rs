//! What labels and models do to lessons.

use super::register::kept;
use super::{TRIES_MAX, too_busy};
use crate::back_end::{Intent, Rows};
use crate::error::StoreError;
use crate::features::FeaturesRow;
use crate::id::MailwardId;
use crate::label::LabelRow;
use crate::lesson::Taught;
use crate::table::{LessonRow, Register, Registers};
use judge::content::VERSION;
use judge::junk::Seen;
use judge::resolver::BoxFuture;

/// Lessons that one step of fading or settling changes.
const STEP: u32 = 200;

/// What a label that holds makes of the lesson that there is. `given` are the features that came with it, or were recorded
/// with the message.
///
/// The features of a lesson stay, since what was taught was taught of them. One that was forgotten lends none: it is as if
/// it had never been. One of another version is in no model.
pub(super) fn said(before: Option<LessonRow>, label: &LabelRow, given: Option<FeaturesRow>) -> Option<LessonRow> {
    if label.said.label.is_none() {
        return forgotten(before);
    }
    let given = given.filter(|given| label.features.is_some() || given.read().is_some());
    let is_of_use = |lesson: &LessonRow| lesson.features.as_ref().is_some_and(|f| f.version == VERSION);
    let says = |lesson: LessonRow| LessonRow {
        said: label.said.label,
        received_s: label.received_s,
        ..lesson
    };
    match (before, given) {
        (Some(lesson), given) if is_of_use(&lesson) && (lesson.said.is_some() || given.is_some()) => Some(says(lesson)),
        (_, Some(features)) => Some(LessonRow {
            received_s: label.received_s,
            said: label.said.label,
            taught: None,
            features: Some(features),
        }),
        (Some(lesson), None) if lesson.said.is_some() => Some(says(lesson)),
        (before, None) => before,
    }
}

/// There is no label any more: what was never taught goes, what was waits to be taken back.
pub(super) fn forgotten(before: Option<LessonRow>) -> Option<LessonRow> {
    let taught = before.filter(|lesson| lesson.taught.is_some())?;
    Some(LessonRow { said: None, ..taught })
}

/// No model is in memory: nothing waits to be taken back, and what says otherwise than was taught is to be taught.
fn settled(lesson: LessonRow) -> Option<LessonRow> {
    let lesson = Some(lesson).filter(|lesson| lesson.said.is_some())?;
    Some(match lesson.is_open() {
        true => LessonRow { taught: None, ..lesson },
        false => lesson,
    })
}

/// What the label makes of the lesson that there is, and nothing of it taught. What a label lacks it does not get back: it
/// may have faded.
pub(super) fn rebuilt(register: &Register) -> Option<LessonRow> {
    let label = register.label.as_ref().filter(|label| label.said.label.is_some())?;
    let lesson = register.lesson.clone().filter(|lesson| lesson.said.is_some())?;
    let is_damaged = lesson
        .features
        .as_ref()
        .is_none_or(|f| f.version == VERSION && f.read().is_none());
    (!is_damaged).then_some(LessonRow {
        received_s: label.received_s,
        said: label.said.label,
        taught: None,
        ..lesson
    })
}

/// Changes the lesson of a register. `None` if `change` says that it is not to be.
pub(super) async fn change(
    rows: Rows<'_>,
    partition: &(String, MailwardId),
    change: impl Fn(&Register) -> Option<Option<LessonRow>>,
) -> Result<bool, StoreError> {
    for _ in 0..TRIES_MAX {
        let Some(before) = rows.get::<Registers>(partition, &()).await? else {
            return Ok(false);
        };
        let Some(lesson) = change(&before) else {
            return Ok(false);
        };
        let after = Register {
            lesson,
            ..before.clone()
        };
        if rows
            .swap::<Registers>(partition, (), Some(before), kept(rows, after))
            .await?
        {
            return Ok(true);
        }
    }
    Err(too_busy())
}

/// Keeps what a model has of lessons of a mailbox; of each, whether what it had before is what is known.
#[derive(Debug)]
pub(crate) struct Teach(pub(crate) String, pub(crate) Vec<Taught>);

impl Intent for Teach {
    type Answer = Vec<bool>;

    fn run<'a>(&'a self, rows: Rows<'a>) -> BoxFuture<'a, Result<Vec<bool>, StoreError>> {
        Box::pin(async move {
            let mut all = Vec::with_capacity(self.1.len());
            for taught in &self.1 {
                let partition = (self.0.clone(), taught.id);
                all.push(change(rows, &partition, |register| learnt(register, taught)).await?);
            }
            Ok(all)
        })
    }
}

/// A lesson that says nothing goes once nothing of it is taught.
fn learnt(register: &Register, taught: &Taught) -> Option<Option<LessonRow>> {
    let lesson = register
        .lesson
        .clone()
        .filter(|lesson| lesson.taught == taught.before)?;
    let lesson = LessonRow {
        taught: taught.after,
        ..lesson
    };
    Some(Some(lesson).filter(|lesson| lesson.said.is_some() || lesson.taught.is_some()))
}

/// Lets some lessons of a mailbox fade that come after the newest; how many.
#[derive(Debug, Clone)]
pub(crate) struct Fade {
    pub(crate) mailbox: String,
    pub(crate) keep: u32,
}

impl Intent for Fade {
    type Answer = u64;

    fn run<'a>(&'a self, rows: Rows<'a>) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            let past = rows.lessons_past(&self.mailbox, self.keep, STEP).await?;
            for id in &past {
                let partition = (self.mailbox.clone(), *id);
                change(rows, &partition, |register| Some(forgotten(register.lesson.clone()))).await?;
            }
            Ok(past.len() as u64)
        })
    }
}

/// No model is in memory.
pub(crate) fn settle(rows: Rows<'_>) -> BoxFuture<'_, Result<(), StoreError>> {
    Box::pin(async move {
        loop {
            let stale = rows.stale_lessons(STEP).await?;
            for partition in &stale {
                change(rows, partition, |register| {
                    Some(register.lesson.clone().and_then(settled))
                })
                .await?;
            }
            if stale.is_empty() {
                return Ok(());
            }
        }
    })
}

/// Mailboxes past a name with lessons that say something, some of them: how many say what.
#[derive(Debug)]
pub(crate) struct Learners(pub(crate) String, pub(crate) u32);

impl Intent for Learners {
    type Answer = Vec<(String, Seen)>;

    fn run<'a>(&'a self, rows: Rows<'a>) -> BoxFuture<'a, Result<Self::Answer, StoreError>> {
        Box::pin(rows.learners(&self.0, self.1))
    }
}
