//! Lessons of the content filter. They change with their labels, not late: on any back-end both are of one partition.

use super::state::State;
use crate::id::MailwardId;
use crate::label::{Label, LabelRow};
use crate::lesson::{FeaturesRow, KeptLesson, Taught};
use judge::junk::{Lesson, Seen};
use std::collections::BTreeMap;

/// By mailbox and message.
pub(super) type Lessons = BTreeMap<Key, LessonRow>;
type Key = (String, MailwardId);

#[derive(Debug, Clone)]
pub(super) struct LessonRow {
    pub(super) received_s: i64,
    pub(super) said: Option<Label>,
    pub(super) taught: Option<Lesson>,
    pub(super) features: FeaturesRow,
}

impl LessonRow {
    /// `None` if its features are of no use.
    pub(super) fn read(&self, id: MailwardId) -> Option<KeptLesson> {
        Some(KeptLesson {
            id,
            received_s: self.received_s,
            said: self.said,
            taught: self.taught,
            features: self.features.read()?,
        })
    }

    pub(super) fn is_open(&self) -> bool {
        let taught = self.taught.map(|lesson| lesson.is_junk);
        self.said.map(|label| label == Label::Junk) != taught
    }
}

impl State {
    /// A label holds. Whether it held before tells whether what was recorded counts.
    pub(super) fn say(&mut self, register: &LabelRow, is_new: bool) {
        let key = (register.mailbox.clone(), register.id);
        if register.said.label.is_none() {
            return self.forget_lesson(&key);
        }
        let recorded = self.messages.get(&register.id).filter(|_| is_new);
        let recorded = recorded.and_then(|message| message.rows.features.clone());
        let given = register.features.clone().or(recorded);
        let (said, received_s) = (register.said.label, register.received_s);
        if let Some(lesson) = self.lessons.get_mut(&key)
            && (lesson.said.is_some() || given.is_some())
        {
            (lesson.said, lesson.received_s) = (said, received_s);
        } else if let Some(features) = given {
            let lesson = LessonRow {
                received_s,
                said,
                taught: None,
                features,
            };
            self.lessons.insert(key, lesson);
        }
    }

    pub(super) fn forget_lesson(&mut self, key: &Key) {
        if let Some(lesson) = self.lessons.get_mut(key) {
            lesson.said = None;
            if lesson.taught.is_none() {
                self.lessons.remove(key);
            }
        }
    }

    pub(super) fn teach(&mut self, mailbox: &str, all: &[Taught]) -> Vec<bool> {
        let mut teach_one = |taught: &Taught| {
            let key = (mailbox.to_owned(), taught.id);
            let known = self.lessons.get_mut(&key).filter(|row| row.taught == taught.before);
            let Some(lesson) = known else { return false };
            lesson.taught = taught.after;
            if lesson.said.is_none() && lesson.taught.is_none() {
                self.lessons.remove(&key);
            }
            true
        };
        all.iter().map(&mut teach_one).collect()
    }

    /// All in one step.
    pub(super) fn fade(&mut self, mailbox: &str, keep: u32) -> u64 {
        let of_mailbox = self
            .lessons
            .iter()
            .filter(|(key, row)| key.0 == mailbox && row.said.is_some());
        let mut by_age: Vec<(i64, Key)> = of_mailbox.map(|(key, row)| (row.received_s, key.clone())).collect();
        by_age.sort();
        let past = by_age.len().saturating_sub(keep as usize);
        by_age.truncate(past);
        by_age.iter().for_each(|(_, key)| self.forget_lesson(key));
        past as u64
    }

    pub(super) fn expire_lessons(&mut self, count: usize) -> usize {
        let mut by_age: Vec<(i64, Key)> = self
            .lessons
            .iter()
            .map(|(key, row)| (row.received_s, key.clone()))
            .collect();
        by_age.sort();
        by_age.truncate(count);
        for (_, key) in &by_age {
            self.lessons.remove(key);
        }
        by_age.len()
    }

    /// No model is in memory.
    pub(super) fn settle_lessons(&mut self) {
        self.lessons.retain(|_, lesson| lesson.said.is_some());
        let open = self.lessons.values_mut().filter(|lesson| lesson.is_open());
        open.for_each(|lesson| lesson.taught = None);
    }

    pub(super) fn rebuild_lessons(&mut self) {
        let labels = &self.labels;
        self.lessons.retain(|key, lesson| {
            let label = labels.get(key).filter(|label| label.said.label.is_some());
            if let (Some(label), Some(_)) = (label, lesson.said) {
                (lesson.said, lesson.received_s, lesson.taught) = (label.said.label, label.received_s, None);
                return true;
            }
            false
        });
    }

    pub(super) fn lesson_octets(&self) -> u64 {
        self.lessons
            .values()
            .map(|lesson| lesson.features.octets.len() as u64)
            .sum()
    }

    pub(super) fn learners(&self) -> BTreeMap<&str, Seen> {
        let mut all: BTreeMap<&str, Seen> = BTreeMap::new();
        for ((mailbox, _), lesson) in &self.lessons {
            match lesson.said {
                Some(Label::Junk) => all.entry(mailbox).or_default().junk += 1,
                Some(Label::NotJunk) => all.entry(mailbox).or_default().wanted += 1,
                None => {}
            }
        }
        all
    }
}
