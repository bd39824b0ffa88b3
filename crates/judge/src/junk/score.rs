//! What the learner says of a message, and what moved it.

use super::arithmetic::sigmoid;
use super::{Model, Seen, settings};
use crate::content::{Features, Names};
use mail::Line;

/// Lessons of each sort before a model's word counts.
const LESSONS_MIN: u32 = 6;

/// What a message is thought to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    log_odds: f64,
    taught: Seen,
}

/// One feature that moved a score.
#[derive(Debug, Clone, PartialEq)]
pub struct Reason {
    /// The feature in words.
    pub text: Line,
    /// How far it moved the log-odds; positive towards junk.
    pub pull: f64,
}

impl Score {
    pub(super) fn new(mixed: f64, taught: Seen) -> Score {
        Score {
            log_odds: mixed * settings::CALIBRATION,
            taught,
        }
    }

    /// The probability that the message is junk.
    pub fn probability(self) -> f64 {
        sigmoid(self.log_odds)
    }

    /// The same as log-odds: these still differ where probabilities are all but 0 or 1.
    pub fn log_odds(self) -> f64 {
        self.log_odds
    }

    /// Whether enough mail of both sorts was learned from for this to mean something.
    pub fn is_significant(self) -> bool {
        self.taught.junk.min(self.taught.wanted) >= LESSONS_MIN
    }
}

impl Model {
    /// What moved a message's score most, at most `count_max` reasons, the strongest first. The names must be those of the
    /// same message's features.
    pub fn reasons(&self, features: &Features, names: &Names, count_max: usize) -> Vec<Reason> {
        let bend = self.opinions(features).bend();
        let mut reasons: Vec<Reason> = features
            .iter()
            .filter_map(|feature| {
                let name = names.get(&feature)?;
                let pull = self.pull(feature, bend) * settings::CALIBRATION;
                Some(Reason {
                    text: Line::reason(name.as_bytes()),
                    pull,
                })
            })
            .filter(|reason| reason.pull != 0.0)
            .collect();
        reasons.sort_by(|a, b| {
            b.pull
                .abs()
                .total_cmp(&a.pull.abs())
                .then_with(|| a.text.as_str().cmp(b.text.as_str()))
        });
        reasons.truncate(count_max);
        reasons
    }
}
