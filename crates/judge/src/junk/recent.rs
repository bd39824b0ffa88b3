//! Which of the last lessons are gone over again.

use super::{Seen, settings};

/// The last lessons of a model, by the names that its owner gave them.
#[derive(Debug, Clone)]
pub struct Recent<K> {
    held: Vec<K>,
    room: usize,
    next: usize,
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
    /// Holds a new lesson. Given is the one that is held no longer for it.
    pub fn push(&mut self, name: K) -> Option<K> {
        let gone = match self.held.get_mut(self.next) {
            Some(oldest) => Some(std::mem::replace(oldest, name)),
            None if self.room > 0 => {
                self.held.push(name);
                None
            }
            None => Some(name),
        };
        self.next = (self.next + 1) % self.room.max(1);
        gone
    }

    /// Holds a lesson no longer, because it was taken out of the model.
    pub fn remove(&mut self, name: &K) {
        if let Some(at) = self.held.iter().position(|held| held == name) {
            // The oldest stays where it is looked for.
            if self.held.len() == self.room {
                self.held.rotate_left(self.next);
                self.held.remove((at + self.room - self.next) % self.room);
            } else {
                self.held.remove(at);
            }
            self.next = self.held.len();
        }
    }

    /// Those to be gone over now, each once: the same ones after the same number of lessons.
    pub fn rehearsed(&self, taught: Seen) -> Vec<K> {
        let mut names: Vec<K> = Vec::with_capacity(settings::REHEARSALS);
        for at in drawn(taught, self.held.len()) {
            if let Some(name) = self.held.get(at).filter(|name| !names.contains(name)) {
                names.push(name.clone());
            }
        }
        names
    }
}

/// Numbers below `held`, the same for the same number of lessons taught.
fn drawn(taught: Seen, held: usize) -> impl Iterator<Item = usize> {
    let mut state = u64::from(taught.junk) << 32 | u64::from(taught.wanted);
    (0..settings::REHEARSALS).filter(move |_| held > 0).map(move |_| {
        // The generator splitmix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ mixed >> 31) % held.max(1) as u64).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first_also_after_some_were_removed() {
        let mut recent = Recent::new(3);
        assert_eq!([1, 2, 3, 4].map(|name| recent.push(name)), [None, None, None, Some(1)]);
        recent.remove(&3);
        recent.remove(&9);
        assert_eq!([5, 6, 7].map(|name| recent.push(name)), [None, Some(2), Some(4)]);
        assert_eq!(Recent::new(0).push(1), Some(1));
    }

    #[test]
    fn the_same_number_of_lessons_draws_the_same_and_each_once() {
        let mut recent = Recent::new(500);
        assert!(recent.rehearsed(Seen::default()).is_empty());
        (0..500).for_each(|name| {
            recent.push(name);
        });
        let seen = Seen { junk: 7, wanted: 9 };
        let names = recent.rehearsed(seen);
        assert_eq!(names, recent.rehearsed(seen));
        let each: std::collections::BTreeSet<_> = names.iter().collect();
        assert!(each.len() == names.len() && (1..=settings::REHEARSALS).contains(&names.len()));
    }
}
