//! A model with its last lessons, in memory.

use super::{Ballot, EPOCH, LESSONS_KEPT, Lesson, Model, Recent, Size};
use crate::content::Features;
use std::collections::BTreeMap;

/// A model that is taught online, with its lessons: as the gateway has them in its store, this has them in memory, for
/// trials.
#[derive(Debug, Clone)]
pub struct Learner {
    model: Model,
    recent: Recent<u64>,
    held: BTreeMap<u64, (Features, Lesson)>,
    next: u64,
    ballot: Option<Ballot>,
}

impl Learner {
    /// Knows nothing.
    pub fn new(size: Size) -> Learner {
        Learner {
            model: Model::new(size),
            recent: Recent::default(),
            held: BTreeMap::new(),
            next: 0,
            ballot: None,
        }
    }

    /// One that also votes.
    pub fn voter(size: Size) -> Learner {
        Learner {
            ballot: Some(Ballot::default()),
            ..Learner::new(size)
        }
    }

    /// What it says to others, if it votes.
    pub fn ballot(&self) -> Option<&Ballot> {
        self.ballot.as_ref()
    }

    /// What it learned.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Teaches one more message.
    pub fn teach(&mut self, features: Features, is_junk: bool) {
        let rehearsed = self.recent.rehearsed(self.model.taught());
        let mut before: Vec<(u64, (Features, Lesson))> = rehearsed
            .iter()
            .filter_map(|name| self.held.remove_entry(name))
            .collect();
        let steps: Vec<i32> = before.iter().map(|(_, (_, lesson))| lesson.step).collect();
        let again = before.iter_mut().map(|(_, (features, lesson))| (&*features, lesson));
        let lesson = self.model.teach(&features, is_junk, again);
        if let Some(ballot) = &mut self.ballot {
            ballot.add(&features, lesson);
            for ((_, (features, lesson)), step) in before.iter().zip(steps) {
                ballot.add_step(features, lesson.step.wrapping_sub(step));
            }
        }
        self.held.extend(before);
        self.held.insert(self.next, (features, lesson));
        self.recent.push(self.next);
        self.next += 1;
        if self.held.len() > usize::try_from(LESSONS_KEPT).unwrap_or(usize::MAX) {
            self.fade();
        }
    }

    /// Takes the oldest lessons back.
    fn fade(&mut self) {
        for _ in 0..EPOCH {
            if let Some((name, (features, lesson))) = self.held.pop_first() {
                self.model.untrain(&features, lesson);
                self.recent.remove(&name);
            }
        }
        if let Some(ballot) = &mut self.ballot {
            ballot.clear();
            self.held
                .values()
                .for_each(|(features, lesson)| ballot.add(features, *lesson));
        }
    }
}
