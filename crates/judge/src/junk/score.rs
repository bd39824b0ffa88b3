//! What is said of a message by all that was learned, what moved it, and when that is enough to refuse it.

use super::arithmetic::sigmoid;
use super::told::told;
use super::{Model, Seen, VOTERS_MIN, Votes, settings};
use crate::content::{Features, Name, Names};
use mail::Line;
use serde::{Deserialize, Serialize};

/// Lessons of each sort before a mailbox's own model counts.
const LESSONS_MIN: u32 = 6;
/// Reasons that are told.
const PULLS_MAX: usize = 10;
/// A reason that moves log-odds by less is not told.
const PULL_MIN: f64 = 0.01;

/// All that was learned, for one mailbox: what it learned itself, and what those of its domain and of the server did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter<'a> {
    /// The mailbox's own model; `None` where it has learned nothing.
    pub own: Option<&'a Model>,
    /// What its domain's mailboxes say.
    pub domain: Option<&'a Votes>,
    /// What all mailboxes say.
    pub server: Option<&'a Votes>,
}

/// What a message is thought to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    log_odds: f64,
    is_significant: bool,
}

/// One feature that moved a score.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    /// The feature in words.
    pub text: Line,
    /// How far it moved the log-odds, in thousandths; positive towards junk.
    pub milli: i32,
}

/// What the content filter says of a message for one mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JunkFact {
    /// The logarithm of the odds that it is junk, in thousandths.
    pub log_odds_milli: i32,
    /// Whether enough mail of both sorts was learned from for this to mean something.
    pub is_significant: bool,
    /// Lessons that the mailbox's own model had.
    pub own: Seen,
    /// Mailboxes whose votes stood behind it.
    pub voters: u32,
    /// Whether To or Cc names the recipient.
    pub is_addressed: bool,
    /// Whether the client certainly sent it without encryption.
    pub is_plaintext: bool,
    /// What moved it most, the strongest first.
    pub pulls: Vec<Pull>,
}

/// From which probabilities on a message is junk, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JunkRules {
    /// Usually.
    pub threshold_milli: u16,
    /// Where something else speaks against it: no confirmed reverse name, no TLS, or To and Cc that do not name the
    /// recipient.
    pub strict_milli: u16,
}

impl Default for JunkRules {
    fn default() -> JunkRules {
        JunkRules {
            threshold_milli: 950,
            strict_milli: 750,
        }
    }
}

impl Score {
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
        self.is_significant
    }
}

/// How much of what others say is heard.
struct Shares {
    domain: f64,
    server: f64,
}

impl<'a> Filter<'a> {
    /// Of one model alone.
    pub fn of(own: &'a Model) -> Filter<'a> {
        Filter {
            own: Some(own),
            ..Filter::default()
        }
    }

    /// What a message is.
    pub fn classify(&self, features: &Features) -> Score {
        let shares = self.shares();
        let of = |votes: Option<&Votes>| votes.and_then(|votes| votes.opinion(features)).unwrap_or_default();
        let own = self.own.map_or(0.0, |own| own.opinions(features).mixed());
        let mixed = own + of(self.domain) * shares.domain + of(self.server) * shares.server;
        let knows = |seen: Seen| seen.junk.min(seen.wanted) >= LESSONS_MIN;
        Score {
            log_odds: mixed * settings::CALIBRATION,
            is_significant: self.own.is_some_and(|own| knows(own.taught())) || shares.domain + shares.server > 0.0,
        }
    }

    /// A score as it is recorded, with what moved it, told in those names; they must be those of the same message's
    /// features. How the message came is not known here.
    pub fn explain(&self, score: Score, features: &Features, names: &Names) -> JunkFact {
        JunkFact {
            log_odds_milli: milli(score.log_odds),
            is_significant: score.is_significant,
            own: self.own.map(Model::taught).unwrap_or_default(),
            voters: self.server.map_or(0, Votes::voters),
            is_addressed: true,
            is_plaintext: false,
            pulls: self.pulls(features, names, PULLS_MAX),
        }
    }

    /// What moved a message's score most, at most `count_max` features, the strongest first. The names must be those of
    /// the same message's features.
    pub fn pulls(&self, features: &Features, names: &Names, count_max: usize) -> Vec<Pull> {
        let shares = self.shares();
        let bend = self.own.map_or(1.0, |own| own.opinions(features).bend());
        let pull = |feature| {
            let own = self.own.map_or(0.0, |own| own.pull(feature, bend));
            let domain = self.domain.map_or(0.0, |votes| votes.pull(feature)) * shares.domain;
            let server = self.server.map_or(0.0, |votes| votes.pull(feature)) * shares.server;
            (own + domain + server) * settings::CALIBRATION
        };
        let named = features
            .iter()
            .filter_map(|feature| Some((names.get(&feature)?, pull(feature))));
        let pulls: Vec<(&Name, f64)> = named.filter(|(_, pull)| pull.abs() >= PULL_MIN).collect();
        let pull = |(name, pull): (&Name, f64)| Pull {
            text: Line::reason(name.as_str().as_bytes()),
            milli: milli(pull),
        };
        told(pulls, count_max).into_iter().map(pull).collect()
    }

    /// The more lessons a mailbox had, the less others say; and of these, the more there are in its own domain, the less
    /// the rest of the server.
    fn shares(&self) -> Shares {
        let taught = self.own.map(Model::taught).unwrap_or_default();
        let others = settings::OWN_HALF / (settings::OWN_HALF + f64::from(taught.junk.min(taught.wanted)));
        let enough = |votes: &&Votes| votes.voters() >= u32::from(VOTERS_MIN);
        let voters = |votes: Option<&Votes>| votes.filter(enough).map_or(0.0, |votes| f64::from(votes.voters()));
        let (domain, server) = (voters(self.domain) * settings::DOMAIN_SHARE, voters(self.server));
        let all = (domain + server).max(1.0);
        Shares {
            domain: others * domain / all,
            server: others * server / all,
        }
    }
}

impl Model {
    /// What a message is, by this model alone.
    pub fn classify(&self, features: &Features) -> Score {
        Filter::of(self).classify(features)
    }
}

impl JunkFact {
    /// The probability that the message is junk.
    pub fn probability(&self) -> f64 {
        sigmoid(f64::from(self.log_odds_milli) / 1000.0)
    }

    /// Whether that is more than so many thousandths.
    pub fn is_above(&self, threshold_milli: u16) -> bool {
        self.probability() * 1000.0 > f64::from(threshold_milli)
    }
}

/// Thousandths; far less than an `i32` holds.
fn milli(log_odds: f64) -> i32 {
    (log_odds * 1000.0).round() as i32
}
