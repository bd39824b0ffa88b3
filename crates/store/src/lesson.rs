//! Lessons of the content filter: the features of a message, what a person says it is, and what a model has of it.
//!
//! The filter of a mailbox is the sum over its lessons, so the store keeps rows and never a model: a model is loaded by
//! adding up what was taught, and what one lesson added can be taken away again exactly. What a lesson adds is computed
//! by whoever has the model, and only kept here.

use crate::id::MailwardId;
use crate::label::Label;
use judge::content::Features;
use judge::junk::Lesson;
use mail::MailboxId;

/// Lessons that one question gives, whatever it asks for: of usual messages about a megabyte.
pub const LESSONS_MAX: u32 = 256;

/// A lesson as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptLesson {
    /// Of which message.
    pub id: MailwardId,
    /// When the message came: seconds since 1970.
    pub received_s: i64,
    /// What its label says; `None` if there is no label any more, or the lesson has faded, so that what was taught is
    /// to be taken back.
    pub said: Option<Label>,
    /// What the model has of it; `None` for nothing yet.
    pub taught: Option<Lesson>,
    /// What the message is made of.
    pub features: Features,
}

/// What a model has of a lesson now, and had before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taught {
    /// Of which message.
    pub id: MailwardId,
    /// What the model had, as far as whoever has it knows; if the store knows otherwise, nothing is changed.
    pub before: Option<Lesson>,
    /// What it has now.
    pub after: Option<Lesson>,
}

/// A mailbox with lessons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learner {
    /// Whose they are.
    pub mailbox: MailboxId,
    /// Lessons of which the label says junk.
    pub junk: u32,
    /// Lessons of which it says the opposite.
    pub wanted: u32,
}
