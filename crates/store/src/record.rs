//! What is remembered of one message: the [`Record`] is written before anything is done, the [`Ending`] after.

use crate::id::MailwardId;
use crate::policy::SealedPolicy;
use judge::evidence::{MessageFacts, RecipientFacts};
use judge::verdict::{Disposition, Verdict};
use mail::{Address, Line, Reply, ReversePath};
use serde::{Deserialize, Serialize};

/// One message: what was known, what was decided, and what shall be done about it. Facts, policy and clock
/// (`facts.received_s`) are all that a verdict was made of, so it can be replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its id.
    pub id: MailwardId,
    /// What was known of the message.
    pub facts: MessageFacts,
    /// Each recipient, in the order of RCPT TO.
    pub recipients: Vec<RecipientRecord>,
    /// The version of the program that decided.
    pub code_version: String,
}

/// One recipient of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientRecord {
    /// What was known of the recipient.
    pub facts: RecipientFacts,
    /// What was decided.
    pub verdict: Verdict,
    /// The policy under which it was decided.
    pub policy: SealedPolicy,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// For each recipient, in the order of the record.
    pub outcomes: Vec<Outcome>,
    /// What the sender was answered.
    pub reply: Reply,
    /// From the last octet of the message to the reply, in milliseconds.
    pub took_ms: u32,
}

/// What became of a message for one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The next hop took it.
    Delivered {
        /// What the next hop said.
        reply: Line,
    },
    /// It lies in the quarantine.
    Held {
        /// Where: the quarantine's name for it.
        quarantine: String,
        /// The next hop's refusal, where that is why. Records of before it was kept have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next_hop: Option<Line>,
    },
    /// The sender was told that it is refused, and there is no copy.
    Refused,
    /// The sender was asked to come again.
    Deferred {
        /// Why.
        why: Line,
        /// A copy is kept meanwhile: the quarantine's name for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        quarantine: Option<String>,
        /// What the next hop said of this recipient, or how it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next_hop: Option<Line>,
    },
    /// There is an intent, and nothing was recorded after it: the gateway was stopped hard, or the store failed.
    Unknown,
}

/// A record as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// What was written before anything was done.
    pub record: Record,
    /// What was written after; `None` if the message never got so far.
    pub ending: Option<Ending>,
}

impl Outcome {
    /// The next hop's words, where it said any.
    pub fn next_hop(&self) -> Option<&Line> {
        match self {
            Outcome::Delivered { reply } => Some(reply),
            Outcome::Held { next_hop, .. } | Outcome::Deferred { next_hop, .. } => next_hop.as_ref(),
            Outcome::Refused | Outcome::Unknown => None,
        }
    }
}

impl Stored {
    /// What became of the message for the `n`th recipient, from 0.
    pub fn outcome(&self, n: usize) -> &Outcome {
        let outcomes = self.ending.as_ref().map(|ending| &ending.outcomes);
        outcomes.and_then(|o| o.get(n)).unwrap_or(&Outcome::Unknown)
    }
}

/// One line of a list of messages: one message and one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The message's id.
    pub id: MailwardId,
    /// Seconds since 1970.
    pub received_s: i64,
    /// What was decided; `None` if it was written in a form that this version cannot read.
    pub judged: Option<Judged>,
}

/// What was decided for one recipient, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// What MAIL FROM carried.
    pub reverse_path: ReversePath,
    /// What RCPT TO carried.
    pub recipient: Address,
    /// What was decided.
    pub disposition: Disposition,
    /// The reason that decided, else the first one that is more than evidence.
    pub reason: Option<Line>,
    /// What did not decide, and was not meant to.
    pub evidence: Vec<Line>,
    /// What became of the message for this recipient.
    pub outcome: Outcome,
    /// What the sender was answered in the end, for all recipients.
    pub reply: Option<Reply>,
}

/// Which messages [`crate::Reader::since`] looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since {
    /// Messages that came at this time or later; seconds since 1970.
    pub from_s: i64,
    /// Only ids below this one: where the page before ended. `None` begins with the newest.
    pub below: Option<MailwardId>,
    /// How many messages are looked at, whether they are given or not; so each question takes bounded time.
    pub messages_max: usize,
    /// Which of them are given whole.
    pub which: Which,
}

/// Which messages are given whole, of those that are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// Those with a reason that would have decided, but is in shadow mode.
    Shadowed,
}

/// The answer to [`Since`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Messages that were looked at.
    pub messages: u64,
    /// Their recipients.
    pub deliveries: u64,
    /// The messages that were asked for, the highest ids first.
    pub found: Vec<Stored>,
    /// How many of those were asked for, but written in a form that this version cannot read.
    pub unreadable: u64,
    /// Where the next page begins; `None` when this was the last.
    pub next: Option<MailwardId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_of_before_the_next_hops_words_were_kept_still_read() {
        let read = |text| serde_json::from_str::<Outcome>(text).unwrap();
        let held = read(r#"{"held":{"quarantine":"335/example.com/1"}}"#);
        assert!(held.next_hop().is_none() && matches!(held, Outcome::Held { .. }));
        let deferred = read(r#"{"deferred":{"why":"the next hop said: 451 no"}}"#);
        assert!(deferred.next_hop().is_none() && matches!(deferred, Outcome::Deferred { .. }));
    }
}
