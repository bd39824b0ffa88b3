//! The learner: is this message junk, judged by what people said of others?
//!
//! Two learners share one table and their log-odds are averaged, because they fail on different mail:
//!
//! - a logistic one: each word or shape has a weight, and a lesson moves all weights of its message by one step, the
//!   more the further it was from the truth;
//! - one that counts in how many messages of either sort a feature stood, and believes a feature the more, the more often
//!   and the more one-sidedly it was seen (the confidence factor of OSBF). It counts a message only if it was not sure of
//!   it, so a hundred copies of one message weigh as a few.
//!
//! What a lesson added is integers: one step and one count. So [`Model::untrain`] takes away exactly that, whatever came
//! between and in whichever order, and the table is bit for bit as if the lesson had never been added to it.
//!
//! Scores are computed with additions, multiplications and divisions of IEEE 754 only, in a fixed order, and never with the
//! machine's own logarithm. So the same lessons make the same table everywhere.

mod arithmetic;
mod plain;
mod recent;
mod score;
mod settings;
#[cfg(test)]
mod stories;
#[cfg(test)]
mod tests;
mod told;
mod votes;

use crate::content::{Feature, Features, Kind, SLOT_BITS};
use arithmetic::{LogProduct, sigmoid};
pub use plain::Learner;
pub use recent::Recent;
pub use score::{Filter, JunkFact, JunkRules, Pull, Score};
use serde::{Deserialize, Serialize};
pub use votes::{Ballot, VOTERS_MIN, Votes};

/// Lessons of one mailbox that are kept; past it the oldest [`EPOCH`] of them fade.
pub const LESSONS_KEPT: u32 = 30_000;
/// Lessons that fade together.
pub const EPOCH: u32 = 5_000;

/// In how many messages of either sort a slot's features stood.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    junk: u16,
    wanted: u16,
}

/// What is known of the words and shapes of one slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Slot {
    counts: Counts,
    weight: i32,
}

/// How much a model can tell apart. Features share slots where there are more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Slots of words and shapes, of 8 octets each.
    pub words: u32,
    /// Slots of pairs, of 4 octets each.
    pub pairs: u32,
}

impl Size {
    /// One mailbox: 983,040 octets.
    pub const MAILBOX: Size = Size {
        words: 81_920,
        pairs: 81_920,
    };

    /// Octets of a table.
    pub fn octets(self) -> usize {
        let [words, pairs] = [self.words, self.pairs].map(|slots| usize::try_from(slots).unwrap_or(usize::MAX));
        words
            .saturating_mul(size_of::<Slot>())
            .saturating_add(pairs.saturating_mul(size_of::<Counts>()))
    }
}

/// How many messages of either sort.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Junk.
    pub junk: u32,
    /// Wanted mail.
    pub wanted: u32,
}

/// What one message added to a model; with its features it is all that undoing needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lesson {
    /// What the message was said to be.
    pub is_junk: bool,
    /// Whether its features were counted.
    pub is_counted: bool,
    /// What was added to their weights.
    pub step: i32,
}

/// All that was learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    words: Box<[Slot]>,
    pairs: Box<[Counts]>,
    /// Lessons.
    taught: Seen,
    /// Lessons that were counted.
    counted: Seen,
}

impl Default for Model {
    fn default() -> Model {
        Model::new(Size::MAILBOX)
    }
}

/// What both learners say of a message, as log-odds.
#[derive(Debug, Clone, Copy)]
struct Opinions {
    weights: f64,
    counts: f64,
}

impl Model {
    /// Knows nothing.
    pub fn new(size: Size) -> Model {
        let slots = |count: u32| usize::try_from(count).unwrap_or_default();
        Model {
            words: vec![Slot::default(); slots(size.words)].into_boxed_slice(),
            pairs: vec![Counts::default(); slots(size.pairs)].into_boxed_slice(),
            taught: Seen::default(),
            counted: Seen::default(),
        }
    }

    /// Octets of the tables.
    pub fn octets(&self) -> usize {
        size_of_val(&*self.words) + size_of_val(&*self.pairs)
    }

    /// How many lessons stand in it.
    pub fn taught(&self) -> Seen {
        self.taught
    }

    /// Takes in a message of which it is known what it is.
    pub fn train(&mut self, features: &Features, is_junk: bool) -> Lesson {
        let opinions = self.opinions(features);
        let mut lesson = Lesson {
            is_junk,
            is_counted: false,
            step: 0,
        };
        let is_sure = opinions.counts * sign(is_junk) >= settings::SURE;
        let room = self.counted.of(is_junk) < u32::from(u16::MAX);
        lesson.is_counted = room && !is_sure;
        lesson.step = self.step(features, is_junk, opinions.weights);
        self.add(features, lesson);
        lesson
    }

    /// Goes over an earlier lesson again, for what was learned since may have moved the model away from it. The lesson
    /// then holds all that stands in the model because of it.
    pub fn rehearse(&mut self, features: &Features, lesson: &mut Lesson) {
        let step = self.step(features, lesson.is_junk, self.weight(features));
        if step != 0 {
            self.add_step(features, step);
            lesson.step = lesson.step.wrapping_add(step);
        }
    }

    /// Trains with a message, then goes over earlier lessons again; these hold then what stands in the model because of
    /// them.
    pub fn teach<'a>(
        &mut self,
        features: &Features,
        is_junk: bool,
        rehearsed: impl IntoIterator<Item = (&'a Features, &'a mut Lesson)>,
    ) -> Lesson {
        let lesson = self.train(features, is_junk);
        for (features, lesson) in rehearsed {
            self.rehearse(features, lesson);
        }
        lesson
    }

    /// Takes away what a lesson added.
    pub fn untrain(&mut self, features: &Features, lesson: Lesson) {
        self.add_step(features, lesson.step.wrapping_neg());
        self.taught.change(lesson.is_junk, u32::wrapping_sub);
        if lesson.is_counted {
            self.counted.change(lesson.is_junk, u32::wrapping_sub);
            self.count(features, lesson.is_junk, u16::wrapping_sub);
        }
    }

    /// Adds what a lesson amounts to, as it was told when it was taught. A model is nothing but the sum of its lessons.
    pub fn add(&mut self, features: &Features, lesson: Lesson) {
        self.add_step(features, lesson.step);
        self.taught.change(lesson.is_junk, u32::wrapping_add);
        if lesson.is_counted {
            self.counted.change(lesson.is_junk, u32::wrapping_add);
            self.count(features, lesson.is_junk, u16::wrapping_add);
        }
    }

    /// Wrapping, so that taking away is exact even where a weight went past its range.
    fn add_step(&mut self, features: &Features, step: i32) {
        for feature in features.iter().take_while(|feature| is_weighed(*feature)) {
            let at = place(feature, self.words.len());
            if let Some(slot) = self.words.get_mut(at) {
                slot.weight = slot.weight.wrapping_add(step);
            }
        }
    }

    fn count(&mut self, features: &Features, is_junk: bool, change: fn(u16, u16) -> u16) {
        for feature in features.iter() {
            let counts = match is_weighed(feature) {
                true => {
                    let at = place(feature, self.words.len());
                    self.words.get_mut(at).map(|slot| &mut slot.counts)
                }
                false => {
                    let at = place(feature, self.pairs.len());
                    self.pairs.get_mut(at)
                }
            };
            if let Some(counts) = counts {
                let count = if is_junk { &mut counts.junk } else { &mut counts.wanted };
                *count = change(*count, 1);
            }
        }
    }

    /// How far a lesson moves each weight. Early lessons move them further, since nothing better is known.
    fn step(&self, features: &Features, is_junk: bool, weights: f64) -> i32 {
        let truth = f64::from(u8::from(is_junk));
        let weighed = features.iter().take_while(|feature| is_weighed(*feature)).count();
        let lessons = f64::from(self.taught.junk) + f64::from(self.taught.wanted);
        let haste = 1.0 + settings::HASTE * settings::HASTE_LESSONS / (settings::HASTE_LESSONS + lessons);
        let size = settings::RATE * haste / (weighed.max(1) as f64).sqrt();
        ((truth - sigmoid(weights)) * size * settings::UNIT) as i32
    }

    /// The sum of weights, as log-odds.
    fn weight(&self, features: &Features) -> f64 {
        let weighed = features.iter().take_while(|feature| is_weighed(*feature));
        let sum: i64 = weighed.map(|feature| i64::from(self.slot(feature).weight)).sum();
        sum as f64 / settings::UNIT
    }

    fn slot(&self, feature: Feature) -> Slot {
        match is_weighed(feature) {
            true => {
                let at = place(feature, self.words.len());
                self.words.get(at).copied().unwrap_or_default()
            }
            false => Slot {
                counts: self
                    .pairs
                    .get(place(feature, self.pairs.len()))
                    .copied()
                    .unwrap_or_default(),
                weight: 0,
            },
        }
    }

    fn opinions(&self, features: &Features) -> Opinions {
        let (mut sum, mut product) = (0_i64, LogProduct::new());
        let belief = Belief::new(self.counted);
        for feature in features.iter() {
            let slot = self.slot(feature);
            sum += i64::from(slot.weight);
            if let Some(lean) = belief
                .as_ref()
                .and_then(|belief| belief.lean(slot.counts, feature.kind()))
            {
                product.multiply(0.5 + lean, 0.5 - lean);
            }
        }
        Opinions {
            weights: sum as f64 / settings::UNIT,
            counts: product.ln() * settings::COUNTS_SCALE,
        }
    }

    /// How far one feature moves a message's log-odds; positive towards junk.
    fn pull(&self, feature: Feature, bend: f64) -> f64 {
        let slot = self.slot(feature);
        let weight = f64::from(slot.weight) / settings::UNIT;
        let mut product = LogProduct::new();
        let belief = Belief::new(self.counted);
        if let Some(lean) = belief.and_then(|belief| belief.lean(slot.counts, feature.kind())) {
            product.multiply(0.5 + lean, 0.5 - lean);
        }
        let counts = product.ln() * settings::COUNTS_SCALE * bend;
        weight * settings::WEIGHTS_SHARE + counts * (1.0 - settings::WEIGHTS_SHARE)
    }
}

impl Seen {
    /// Of one sort.
    fn of(self, is_junk: bool) -> u32 {
        if is_junk { self.junk } else { self.wanted }
    }

    fn change(&mut self, is_junk: bool, change: fn(u32, u32) -> u32) {
        let count = if is_junk { &mut self.junk } else { &mut self.wanted };
        *count = change(*count, 1);
    }
}

impl Opinions {
    /// The average. What counts say is bent, so that a near copy of one message outvotes nothing for ever.
    fn mixed(self) -> f64 {
        self.weights * settings::WEIGHTS_SHARE + self.bent() * (1.0 - settings::WEIGHTS_SHARE)
    }

    fn bent(self) -> f64 {
        // tanh(x) = 2 sigmoid(2x) - 1
        settings::COUNTS_MAX * (2.0 * sigmoid(2.0 * self.counts / settings::COUNTS_MAX) - 1.0)
    }

    /// How much of what counts say is left by bending.
    fn bend(self) -> f64 {
        if self.counts.abs() < 0.001 {
            1.0
        } else {
            self.bent() / self.counts
        }
    }
}

/// What makes a count of messages a belief.
struct Belief {
    junk_share: f64,
    wanted_share: f64,
    usual: f64,
}

impl Belief {
    /// None before both sorts were counted.
    fn new(counted: Seen) -> Option<Belief> {
        let (junk, wanted) = (f64::from(counted.junk), f64::from(counted.wanted));
        (junk > 0.0 && wanted > 0.0).then(|| Belief {
            junk_share: 1.0 / junk,
            wanted_share: 1.0 / wanted,
            usual: (junk * wanted).sqrt(),
        })
    }

    /// From -0.5 (wanted) to 0.5 (junk). The confidence is that of OSBF (Siefkes, Assis, Chhabra, Yerazunis 2004): small
    /// for features that were seen seldom, or as often in either sort. None for those never seen.
    fn lean(&self, counts: Counts, kind: Kind) -> Option<f64> {
        if counts == Counts::default() {
            return None;
        }
        let (junk, wanted) = (
            f64::from(counts.junk) * self.junk_share,
            f64::from(counts.wanted) * self.wanted_share,
        );
        let sum = junk + wanted;
        let side = (junk - wanted) / sum;
        let times = sum * self.usual;
        let certain = (side * side - settings::DOUBT / times).max(0.0);
        let fourth = certain * certain * certain * certain;
        let confidence = fourth * fourth / (1.0 + settings::SELDOM / (times * settings::trust(kind)));
        Some((side * confidence * 0.5).clamp(-settings::LEAN_MAX, settings::LEAN_MAX))
    }
}

/// Pairs are only counted: with weights they cost more than they give. In features' order they come last.
fn is_weighed(feature: Feature) -> bool {
    matches!(feature.kind(), Kind::Word | Kind::Shape)
}

/// Which of so many slots is a feature's.
fn place(feature: Feature, slots: usize) -> usize {
    (feature.slot() * slots) >> SLOT_BITS
}

fn sign(is_junk: bool) -> f64 {
    if is_junk { 1.0 } else { -1.0 }
}
