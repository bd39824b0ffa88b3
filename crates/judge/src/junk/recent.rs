//! The last lessons, held so that they can be gone over again.

use super::{Lesson, Model, Seen, settings};
use crate::content::Features;

/// The last lessons of a model, by the names that its owner gave them.
#[derive(Debug, Clone)]
pub struct Recent<K> {
    held: Vec<Held<K>>,
    room: usize,
    next: usize,
}

#[derive(Debug, Clone)]
struct Held<K> {
    name: K,
    features: Features,
    lesson: Lesson,
}

impl<K> Default for Recent<K> {
    fn default() -> Recent<K> {
        Recent::new(settings::REHEARSAL_LESSONS)
    }
}

impl<K> Recent<K> {
    /// Holds so many lessons at most.
    pub fn new(room: usize) -> Recent<K> {
        Recent {
            held: Vec::new(),
            room,
            next: 0,
        }
    }
}

impl<K: Clone + PartialEq> Recent<K> {
    /// Trains a model with a message, then goes over some of the lessons held. Told is what each lesson that changed now
    /// amounts to, the new one last: whoever wants to undo lessons keeps these.
    pub fn teach(&mut self, model: &mut Model, name: K, features: Features, is_junk: bool) -> Vec<(K, Lesson)> {
        let lesson = model.train(&features, is_junk);
        let mut changed = Vec::with_capacity(settings::REHEARSALS + 1);
        for index in rehearsed(model.taught(), self.held.len()) {
            if let Some(held) = self.held.get_mut(index) {
                model.rehearse(&held.features, &mut held.lesson);
                changed.retain(|(name, _)| *name != held.name);
                changed.push((held.name.clone(), held.lesson));
            }
        }
        changed.push((name.clone(), lesson));
        let held = Held { name, features, lesson };
        match self.held.get_mut(self.next) {
            Some(oldest) => *oldest = held,
            None if self.room > 0 => self.held.push(held),
            None => {}
        }
        self.next = (self.next + 1) % self.room.max(1);
        changed
    }

    /// Holds a lesson no longer. It is not taken out of the model: [`Model::untrain`] does that.
    pub fn drop_lesson(&mut self, name: &K) {
        self.held.retain(|held| held.name != *name);
        self.next = self.held.len() % self.room.max(1);
    }
}

/// Numbers below `held`, the same for the same number of lessons taught.
fn rehearsed(taught: Seen, held: usize) -> impl Iterator<Item = usize> {
    let mut state = u64::from(taught.junk) << 32 | u64::from(taught.wanted);
    (0..settings::REHEARSALS).filter(move |_| held > 0).map(move |_| {
        // The generator splitmix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ mixed >> 31) % held.max(1) as u64).unwrap_or_default()
    })
}
