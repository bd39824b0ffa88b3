//! The learner's numbers. They were chosen by measurement; `docs/junk-filter.md` says what others scored.

use crate::content::Kind;

/// A log-odd of 1 as a weight.
pub(super) const UNIT: f64 = (1 << 20) as f64;
/// How far a lesson moves the weights in the long run.
pub(super) const RATE: f64 = 0.5;
/// At first by so much more, in multiples of that,
pub(super) const HASTE: f64 = 2.0;
/// and half of that after so many lessons.
pub(super) const HASTE_LESSONS: f64 = 2000.0;
/// Lessons that are gone over again after each.
pub(super) const REHEARSALS: usize = 16;
/// Out of so many last ones.
pub(super) const REHEARSAL_LESSONS: usize = 1000;

/// A feature that was seen once is doubted by this much.
pub(super) const DOUBT: f64 = 0.15;
/// One that was seen so often is half believed.
pub(super) const SELDOM: f64 = 8.0;
/// No feature is believed further.
pub(super) const LEAN_MAX: f64 = 0.4999;
/// Counted features are not independent of each other; so their sum is made smaller.
pub(super) const COUNTS_SCALE: f64 = 0.1;
/// A message that is judged rightly by so much is not counted.
pub(super) const SURE: f64 = 3.0;
/// What counts can say at most.
pub(super) const COUNTS_MAX: f64 = 4.0;
/// The part of the logistic learner in the average.
pub(super) const WEIGHTS_SHARE: f64 = 0.3;

/// How much a kind of feature is believed, against single words.
pub(super) fn trust(kind: Kind) -> f64 {
    match kind {
        Kind::Word | Kind::Shape | Kind::Apart => 1.0,
        Kind::Pair => 2.0,
    }
}

/// The average of the learners is this much less sure than its errors are rare.
pub(super) const CALIBRATION: f64 = 1.7;

/// A log-odd of 1 as a vote,
pub(super) const VOTE_UNIT: f64 = 4096.0;
/// and what one mailbox can say of one feature at most: half a log-odd.
pub(super) const VOTE_MAX: f64 = 2048.0;
/// With so many lessons of either sort a mailbox hears half of what others say.
pub(super) const OWN_HALF: f64 = 100.0;
/// The word of its own domain's mailboxes counts so much more than that of the server's.
pub(super) const DOMAIN_SHARE: f64 = 2.0;
