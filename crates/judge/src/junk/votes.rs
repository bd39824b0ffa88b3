//! What mailboxes tell each other of words.
//!
//! Each mailbox that learned enough has one vote for each word and shape that it knows: how far its own model leans, and no
//! further than a limit. Of all votes for one the lowest and the highest are left out, and the rest are averaged. So a
//! feature counts from three mailboxes on, and no mailbox, whatever it was taught, moves what another one hears out of the
//! range of what the others say. An average of models that learned apart judges nearly as well as one that learned all.
//!
//! Features are hashed once more with a key that the store made by chance. The table is made anew from lessons from time
//! to time, and is never stored.

use super::{Lesson, Seen, is_weighed, settings};
use crate::content::{Feature, Features};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Mailboxes that must know a feature before it counts.
pub const VOTERS_MIN: u16 = 3;
/// Lessons of each sort that a mailbox must have had before it votes.
const LESSONS_MIN: u32 = 6;
/// Words and shapes there are.
const NUMBERS: usize = 1 << 21;

/// How far one mailbox's model leans, feature by feature: the sum of its lessons. Takes 8.6 MB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ballot {
    weights: Box<[i32]>,
    seen: Box<[u64]>,
    taught: Seen,
}

/// What all mailboxes say of one feature.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Slot {
    sum: i32,
    lowest: i16,
    highest: i16,
    voters: u32,
}

/// What all mailboxes say, or those of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Votes {
    slots: Box<[Slot]>,
    key: u64,
    voters: u32,
}

impl Default for Ballot {
    fn default() -> Ballot {
        Ballot {
            weights: vec![0; NUMBERS].into_boxed_slice(),
            seen: vec![0; NUMBERS / 64].into_boxed_slice(),
            taught: Seen::default(),
        }
    }
}

impl Ballot {
    /// Adds a lesson that the mailbox's owner gave.
    pub fn add(&mut self, features: &Features, lesson: Lesson) {
        self.add_step(features, lesson.step);
        self.taught.change(lesson.is_junk, u32::saturating_add);
    }

    /// Adds what going over a lesson again added to it.
    pub(super) fn add_step(&mut self, features: &Features, step: i32) {
        for feature in features.iter().take_while(|feature| is_weighed(*feature)) {
            let number = feature.number();
            if let Some(weight) = self.weights.get_mut(number) {
                *weight = weight.wrapping_add(step);
            }
            if let Some(word) = self.seen.get_mut(number / 64) {
                *word |= 1 << (number % 64);
            }
        }
    }

    /// As new.
    pub fn clear(&mut self) {
        self.weights.fill(0);
        self.seen.fill(0);
        self.taught = Seen::default();
    }

    /// Whether so many lessons are enough for a vote.
    pub fn is_enough(junk: u32, wanted: u32) -> bool {
        junk.min(wanted) >= LESSONS_MIN
    }
}

impl Slot {
    /// Counts what one mailbox says.
    fn count(&mut self, weight: i32) {
        let unit = settings::UNIT / settings::VOTE_UNIT;
        let vote = (f64::from(weight) / unit).clamp(-settings::VOTE_MAX, settings::VOTE_MAX) as i16;
        (self.lowest, self.highest) = match self.voters {
            0 => (vote, vote),
            _ => (self.lowest.min(vote), self.highest.max(vote)),
        };
        // A million mailboxes do not reach its ends.
        self.sum = self.sum.saturating_add(i32::from(vote));
        self.voters = self.voters.saturating_add(1);
    }

    /// What all say on average, but for the lowest and the highest vote; nothing before there are enough.
    fn says(&self) -> f64 {
        if self.voters < u32::from(VOTERS_MIN) {
            return 0.0;
        }
        let rest = self.sum - i32::from(self.lowest) - i32::from(self.highest);
        f64::from(rest) / f64::from(self.voters - 2) / settings::VOTE_UNIT
    }
}

impl Votes {
    /// Nobody has voted.
    pub fn new(slots: u32, key: u64) -> Votes {
        Votes {
            slots: vec![Slot::default(); usize::try_from(slots).unwrap_or_default()].into_boxed_slice(),
            key,
            voters: 0,
        }
    }

    /// Mailboxes that voted.
    pub fn voters(&self) -> u32 {
        self.voters
    }

    /// Octets of the table.
    pub fn octets(&self) -> usize {
        size_of_val(&*self.slots)
    }

    /// Counts what one mailbox says; nothing, before it learned enough. Each mailbox casts one ballot.
    pub fn cast(&mut self, ballot: &Ballot) {
        if !Ballot::is_enough(ballot.taught.junk, ballot.taught.wanted) {
            return;
        }
        self.voters = self.voters.saturating_add(1);
        // Features of one mailbox that meet in a slot are one vote, or who knows many words had many.
        let mut said: Vec<Option<i32>> = vec![None; self.slots.len()];
        for (at, word) in ballot.seen.iter().enumerate() {
            let mut left = *word;
            while left != 0 {
                let number = 64 * at + usize::try_from(left.trailing_zeros()).unwrap_or_default();
                left &= left - 1;
                let weight = ballot.weights.get(number).copied().unwrap_or_default();
                if let Some(sum) = said.get_mut(self.place(Feature::of_number(number))) {
                    *sum = Some(sum.unwrap_or_default().saturating_add(weight));
                }
            }
        }
        for (slot, weight) in self.slots.iter_mut().zip(said) {
            if let Some(weight) = weight {
                slot.count(weight);
            }
        }
    }

    /// What they say of a message, as log-odds. None before there are enough of them.
    pub(super) fn opinion(&self, features: &Features) -> Option<f64> {
        let all = features.iter().map(|feature| self.pull(feature));
        (self.voters >= u32::from(VOTERS_MIN)).then(|| all.sum())
    }

    /// How far one feature moves what they say; positive towards junk.
    pub(super) fn pull(&self, feature: Feature) -> f64 {
        match is_weighed(feature) {
            true => self.slots.get(self.place(feature)).map_or(0.0, Slot::says),
            false => 0.0,
        }
    }

    fn place(&self, feature: Feature) -> usize {
        let number = u64::try_from(feature.number()).unwrap_or_default();
        let hash = xxh3_64_with_seed(&number.to_le_bytes(), self.key) >> 32;
        let slots = u64::try_from(self.slots.len()).unwrap_or_default();
        usize::try_from((hash * slots) >> 32).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::junk::{Filter, Model, Size};
    use proptest::prelude::*;

    const SLOTS: u32 = 1 << 16;

    fn features(text: &str) -> Features {
        Features::read(format!("Subject: {text}\n\n{text}\n").as_bytes())
    }

    /// What a mailbox says that learned these, each so many times.
    fn ballot(junk: &[&str], wanted: &[&str], times: usize) -> Ballot {
        let (mut model, mut ballot) = (Model::new(Size::MAILBOX), Ballot::default());
        for _ in 0..times {
            for (texts, is_junk) in [(junk, true), (wanted, false)] {
                for text in texts {
                    let features = features(text);
                    let lesson = model.train(&features, is_junk);
                    ballot.add(&features, lesson);
                }
            }
        }
        ballot
    }

    fn votes(ballots: &[Ballot]) -> Votes {
        let mut votes = Votes::new(SLOTS, 7);
        ballots.iter().for_each(|ballot| votes.cast(ballot));
        votes
    }

    #[test]
    fn two_mailboxes_say_nothing_and_three_do() {
        let usual = ballot(&["cheap pills"], &["lunch anna"], 6);
        assert_eq!(
            votes(&[usual.clone(), usual.clone()]).opinion(&features("cheap pills")),
            None
        );
        let three = votes(&vec![usual.clone(); 3]);
        let of = |text: &str| three.opinion(&features(text)).unwrap();
        assert!(
            of("cheap pills") > 0.0 && of("lunch anna") < 0.0,
            "{} {}",
            of("cheap pills"),
            of("lunch anna")
        );
        // Two of three know a word: it counts for nothing.
        let other = ballot(&["cheap pills"], &["lunch bob"], 6);
        let bob = votes(&[usual, other.clone(), other]);
        assert_eq!(bob.opinion(&features("zzz")), bob.opinion(&features("bob")));
    }

    #[test]
    fn who_learned_little_has_no_vote() {
        assert_eq!(votes(&vec![ballot(&["a b"], &["c d"], 5); 9]).voters(), 0);
        assert_eq!(votes(&vec![ballot(&["a b"], &["c d"], 6); 9]).voters(), 9);
    }

    /// A thousand labels of one mailbox that say of others' mail that it is junk.
    #[test]
    fn a_poisoned_mailbox_moves_nobody_else() {
        let honest: Vec<Ballot> = ["x", "y", "z", "u"]
            .iter()
            .map(|word| ballot(&["cheap pills", word], &["lunch anna", "minutes of the board"], 8))
            .collect();
        let poisoned = ballot(&["lunch anna", "minutes of the board"], &["cheap pills"], 500);
        let (before, mut all) = (votes(&honest), honest);
        all.push(poisoned);
        let after = votes(&all);
        for (text, is_junk) in [
            ("lunch anna", false),
            ("minutes of the board", false),
            ("cheap pills", true),
        ] {
            let of = |votes: &Votes| {
                let filter = Filter {
                    server: Some(votes),
                    ..Filter::default()
                };
                filter.classify(&features(text)).log_odds()
            };
            let (was, is) = (of(&before), of(&after));
            assert!(
                (is > 0.0) == is_junk && (was - is).abs() < 0.1 * was.abs(),
                "{text}: {was} {is}"
            );
        }
    }

    /// Words of one mailbox that meet in one slot are one vote.
    #[test]
    fn who_knows_many_words_has_one_vote_for_each_slot() {
        let usual = ballot(&["cheap pills"], &["lunch anna"], 6);
        let of_all = |ballots: &[&Ballot]| {
            let mut votes = Votes::new(1, 7);
            ballots.iter().for_each(|ballot| votes.cast(ballot));
            votes.pull(Feature::of_number(77))
        };
        assert_eq!(of_all(&[&usual; 2]), 0.0, "two mailboxes say nothing");
        let other = ballot(&["a b c d e f g h", "i j k l m n o p q r"], &["lunch"], 40);
        assert_eq!(of_all(&[&usual, &usual, &usual, &other]), of_all(&[&usual; 3]));
    }

    #[test]
    fn a_hundred_thousand_votes_are_averaged() {
        let mut slot = Slot::default();
        (0..100_000).for_each(|_| slot.count(1 << 18));
        assert!((slot.says() - 0.25).abs() < 1e-3, "{slot:?}");
    }

    #[test]
    fn another_key_is_another_table() {
        let usual = ballot(&["cheap pills"], &["lunch anna"], 6);
        let (mut one, mut other) = (Votes::new(SLOTS, 1), Votes::new(SLOTS, 2));
        one.cast(&usual);
        other.cast(&usual);
        assert!(one.slots != other.slots);
    }

    #[test]
    fn a_cleared_ballot_is_new() {
        let mut used = ballot(&["cheap pills"], &["lunch anna"], 6);
        used.clear();
        assert!(used == Ballot::default());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Whatever one mailbox says of a feature, others hear something between what the rest say.
        #[test]
        fn no_vote_moves_a_feature_out_of_the_range_of_the_others(
            rest in proptest::collection::vec(-3_000_000i32..3_000_000, 2..8), one in any::<i32>()) {
            let mut slot = Slot::default();
            rest.iter().chain([&one]).for_each(|weight| slot.count(*weight));
            let limit = settings::VOTE_MAX / settings::VOTE_UNIT;
            let of = |weight: &i32| (f64::from(*weight) / settings::UNIT).clamp(-limit, limit);
            let lowest = rest.iter().map(of).fold(f64::MAX, f64::min) - 1e-3;
            let highest = rest.iter().map(of).fold(f64::MIN, f64::max) + 1e-3;
            let pull = slot.says();
            prop_assert!((lowest..=highest).contains(&pull), "{pull} in {lowest}..{highest}");
        }

        #[test]
        fn ballots_count_in_any_order(words in proptest::collection::vec("[a-f]{1,2}", 0..5)) {
            let mut ballots: Vec<Ballot> = words.iter().map(|word| ballot(&[word], &["lunch"], 6)).collect();
            let one = votes(&ballots);
            ballots.reverse();
            prop_assert!(one == votes(&ballots));
        }
    }
}
