//! Mailboxes that learn beside each other.

use crate::filter::SERVER_SLOTS;
use judge::content::Features;
use judge::junk::{Filter, Learner, Score, Size, Votes};

/// How many lessons pass before votes are counted anew, as the gateway does from time to time.
const COUNT_EVERY: usize = 200;

/// The messages are dealt out to them in turn.
pub(super) struct Mailboxes {
    learners: Vec<Learner>,
    votes: Option<Votes>,
    taught: usize,
}

impl Mailboxes {
    /// So many, at least one. One alone has nobody who votes.
    pub fn new(count: usize) -> Mailboxes {
        let count = count.max(1);
        let learner = match count {
            1 => Learner::new(Size::MAILBOX),
            _ => Learner::voter(Size::MAILBOX),
        };
        Mailboxes {
            learners: vec![learner; count],
            votes: None,
            taught: 0,
        }
    }

    /// What the mailbox of a message says of it.
    pub fn classify(&self, number: usize, features: &Features) -> Score {
        let filter = Filter {
            own: Some(self.learners[number % self.learners.len()].model()),
            domain: None,
            server: self.votes.as_ref(),
        };
        filter.classify(features)
    }

    /// Teaches the mailbox of a message.
    pub fn teach(&mut self, number: usize, features: Features, is_junk: bool) {
        let count = self.learners.len();
        self.learners[number % count].teach(features, is_junk);
        self.taught += 1;
        if count > 1 && self.taught.is_multiple_of(COUNT_EVERY) {
            let mut votes = Votes::new(SERVER_SLOTS, 0);
            let ballots = self.learners.iter().filter_map(Learner::ballot);
            ballots.for_each(|ballot| votes.cast(ballot));
            self.votes = Some(votes);
        }
    }
}
