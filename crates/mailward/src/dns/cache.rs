//! Answers that still hold, so many and no more.
//!
//! Our own, not hickory's: a hit is one lookup in a map, for answers of all sorts (denials and trouble too), keyed by the
//! [`Question`] as it is, and its size is bounded by what answers weigh, as senders choose how large theirs are.
//!
//! Each shard is two generations. New answers go to the young one. When that is full it becomes the old one, and the old
//! one is dropped; what is asked for in the meantime moves back. So what is used stays, and nothing has to be searched.

use judge::resolver::{Answer, Outcome, Question, Record};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use tokio::time::Instant;

/// Parts with a lock each, so that threads seldom wait for each other.
const SHARDS: u64 = 16;
/// Below this, one part is enough, and its size is more exact.
const ENTRIES_SHARDED_MIN: u64 = 1024;
/// What one entry may weigh. Larger answers count as several.
const ENTRY_OCTETS: usize = 1024;

/// The cache.
pub(super) struct Cache {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
}

struct Shard {
    young: Generation,
    old: Generation,
    /// Greatest weight of one generation; 0 keeps nothing.
    weight_max: u64,
}

#[derive(Default)]
struct Generation {
    entries: HashMap<Question, Entry>,
    weight: u64,
}

struct Entry {
    answer: Answer,
    until: Instant,
    weight: u64,
}

impl Cache {
    /// For about so many answers of up to 1 KiB; 0 keeps none.
    pub(super) fn new(entries_max: u64) -> Cache {
        let shards = if entries_max < ENTRIES_SHARDED_MIN { 1 } else { SHARDS };
        let weight_max = entries_max.div_ceil(2 * shards);
        let shard = |_| {
            Mutex::new(Shard {
                young: Generation::default(),
                old: Generation::default(),
                weight_max,
            })
        };
        Cache {
            shards: (0..shards).map(shard).collect(),
            hasher: RandomState::new(),
        }
    }

    /// The answer, if it is known and still holds.
    pub(super) fn get(&self, question: &Question, now: Instant) -> Option<Answer> {
        let mut shard = self.shard(question);
        if let Some(entry) = shard.young.entries.get(question) {
            return (now < entry.until).then(|| entry.answer.clone());
        }
        let (question, entry) = shard.old.remove(question)?;
        let answer = (now < entry.until).then(|| entry.answer.clone())?;
        shard.put(question, entry);
        Some(answer)
    }

    /// From now on this is the answer.
    pub(super) fn put(&self, question: Question, answer: Answer, until: Instant) {
        let weight = weight(&answer);
        let mut shard = self.shard(&question);
        shard.old.remove(&question);
        let entry = Entry { answer, until, weight };
        shard.put(question, entry);
    }

    fn shard(&self, question: &Question) -> std::sync::MutexGuard<'_, Shard> {
        let hash = self.hasher.hash_one(question);
        let shard = usize::try_from(hash % self.shards.len() as u64).unwrap_or(0);
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn put(&mut self, question: Question, entry: Entry) {
        if entry.weight > self.weight_max {
            // No room for it, even alone.
            self.young.remove(&question);
            return;
        }
        if self.young.weight + entry.weight > self.weight_max {
            self.old = std::mem::take(&mut self.young);
            // The one that it replaces.
            self.old.remove(&question);
        }
        self.young.put(question, entry);
    }
}

impl Generation {
    fn put(&mut self, question: Question, entry: Entry) {
        self.weight += entry.weight;
        if let Some(replaced) = self.entries.insert(question, entry) {
            self.weight -= replaced.weight;
        }
    }

    fn remove(&mut self, question: &Question) -> Option<(Question, Entry)> {
        let (question, entry) = self.entries.remove_entry(question)?;
        self.weight -= entry.weight;
        Some((question, entry))
    }
}

fn weight(answer: &Answer) -> u64 {
    let octets = match &answer.outcome {
        Outcome::Records(records) => records.iter().map(octets).sum(),
        Outcome::NoRecords | Outcome::NoName | Outcome::Unavailable(_) => 0,
    };
    1 + (octets / ENTRY_OCTETS) as u64
}

fn octets(record: &Record) -> usize {
    let outside = match record {
        Record::A(_) | Record::Aaaa(_) | Record::Mx(_, None) => 0,
        Record::Mx(_, Some(name)) | Record::Ptr(name) => name.as_str().len(),
        Record::Txt(text) => text.len(),
    };
    size_of::<Record>() + outside
}

#[cfg(test)]
mod tests {
    use super::*;
    use judge::resolver::{Kind, Name, Security};
    use proptest::prelude::*;
    use std::time::Duration;

    fn question(number: u32) -> Question {
        Question {
            name: Name::parse(&format!("n{number}.example")).unwrap(),
            kind: Kind::Txt,
        }
    }

    fn answer(octets: usize) -> Answer {
        Answer {
            outcome: Outcome::Records([Record::Txt(vec![b'x'; octets].into())].into()),
            security: Security::Unknown,
        }
    }

    fn total(cache: &Cache) -> u64 {
        let shard = |shard: &Mutex<Shard>| {
            let shard = shard.lock().unwrap();
            for generation in [&shard.young, &shard.old] {
                let sum: u64 = generation.entries.values().map(|entry| entry.weight).sum();
                assert_eq!(sum, generation.weight);
            }
            shard.young.weight + shard.old.weight
        };
        cache.shards.iter().map(shard).sum()
    }

    #[test]
    fn an_answer_holds_until_its_time_and_no_longer() {
        let (cache, now) = (Cache::new(10), Instant::now());
        let until = now + Duration::from_secs(5);
        cache.put(question(1), answer(1), until);
        assert_eq!(cache.get(&question(1), now), Some(answer(1)));
        assert_eq!(cache.get(&question(1), until), None);
        assert_eq!(cache.get(&question(2), now), None);
        cache.put(question(1), answer(2), until + Duration::from_secs(5));
        assert_eq!(cache.get(&question(1), until), Some(answer(2)));
    }

    #[test]
    fn what_is_asked_for_stays_and_the_rest_goes() {
        let (cache, now) = (Cache::new(100), Instant::now());
        let until = now + Duration::from_secs(5);
        for number in 0..10_000 {
            cache.put(question(number), answer(1), until);
            assert!(cache.get(&question(0), now).is_some(), "after {number}");
        }
        assert!(total(&cache) <= 100);
        assert_eq!(cache.get(&question(1), now), None);
        assert!(cache.get(&question(9_999), now).is_some());
    }

    #[test]
    fn large_answers_take_the_room_of_many() {
        let (cache, now) = (Cache::new(200), Instant::now());
        let until = now + Duration::from_secs(5);
        for number in 0..100 {
            cache.put(question(number), answer(60_000), until);
        }
        let kept = (0..100).filter(|number| cache.get(&question(*number), now).is_some());
        assert!(kept.count() <= 3);
        // One that would fill it alone is not kept, nor is the one before it.
        let small = Cache::new(10);
        small.put(question(1), answer(1), until);
        small.put(question(1), answer(60_000), until);
        assert_eq!(small.get(&question(1), now), None);
        let none = Cache::new(0);
        none.put(question(1), answer(1), until);
        assert_eq!(none.get(&question(1), now), None);
    }

    proptest! {
        #[test]
        fn whatever_is_kept_is_the_newest_and_within_bounds(
            steps in prop::collection::vec((0u32..40, 0usize..3000, any::<bool>()), 0..300),
            entries_max in 0u64..40,
        ) {
            let (cache, now) = (Cache::new(entries_max), Instant::now());
            let mut newest = HashMap::new();
            for (number, octets, is_put) in steps {
                if is_put {
                    cache.put(question(number), answer(octets), now + Duration::from_secs(1));
                    newest.insert(number, octets);
                } else if let Some(found) = cache.get(&question(number), now) {
                    prop_assert_eq!(found, answer(newest[&number]));
                }
                prop_assert!(total(&cache) <= entries_max + 1);
            }
        }
    }
}
