//! A record as rows of columns: what can be asked for stands in columns of its own, the rest is JSON.
//!
//! Text is made and read in the caller's task, never by the thread that writes.

use crate::error::StoreError;
use crate::id::MailwardId;
use crate::lesson::FeaturesRow;
use crate::policy::{PolicyDigest, SealedPolicy};
use crate::record::{Ending, Judged, Outcome, RecipientRecord, Record, Stored};
use judge::content::Features;
use judge::reason::{Effect, Reason};
use judge::verdict::{Disposition, Verdict};
use mail::{Address, MailboxId, Reply, ReversePath};
use serde::{Deserialize, Serialize};

/// The rows of a record that is to be written.
#[derive(Debug, Clone)]
pub(crate) struct RecordRows {
    pub(crate) id: MailwardId,
    pub(crate) received_s: i64,
    pub(crate) code_version: String,
    pub(crate) facts: String,
    pub(crate) recipients: Vec<RecipientRow>,
    pub(crate) features: Option<FeaturesRow>,
}

/// The row of one recipient that is to be written.
#[derive(Debug, Clone)]
pub(crate) struct RecipientRow {
    pub(crate) facts: String,
    pub(crate) verdict: String,
    pub(crate) policy: SealedPolicy,
}

/// The row of an ending.
#[derive(Debug, Clone)]
pub(crate) struct EndingRow {
    pub(crate) took_ms: u32,
    pub(crate) reply: String,
    pub(crate) outcomes: String,
}

/// The rows of a record as they were found.
#[derive(Debug)]
pub(crate) struct FoundRows {
    pub(crate) id: MailwardId,
    pub(crate) code_version: String,
    pub(crate) facts: String,
    pub(crate) recipients: Vec<FoundRecipient>,
    pub(crate) ending: Option<EndingRow>,
}

/// The messages of a page as they were found.
#[derive(Debug, Default)]
pub(crate) struct PageRows {
    pub(crate) messages: u64,
    pub(crate) deliveries: u64,
    pub(crate) found: Vec<FoundRows>,
    pub(crate) next: Option<MailwardId>,
}

/// The row of one recipient as it was found, with its policy's.
#[derive(Debug)]
pub(crate) struct FoundRecipient {
    pub(crate) facts: String,
    pub(crate) verdict: String,
    pub(crate) digest: PolicyDigest,
    pub(crate) policy: String,
}

impl RecordRows {
    pub(crate) fn of(record: Record, features: Option<&Features>) -> Result<RecordRows, StoreError> {
        let recipient = |r: RecipientRecord| {
            Ok(RecipientRow {
                facts: write(&r.facts)?,
                verdict: write(&r.verdict)?,
                policy: r.policy,
            })
        };
        Ok(RecordRows {
            id: record.id,
            received_s: record.facts.received_s,
            facts: write(&record.facts)?,
            recipients: record
                .recipients
                .into_iter()
                .map(recipient)
                .collect::<Result<_, StoreError>>()?,
            code_version: record.code_version,
            features: features.map(FeaturesRow::of),
        })
    }
}

impl EndingRow {
    pub(crate) fn of(ending: &Ending) -> Result<EndingRow, StoreError> {
        Ok(EndingRow {
            took_ms: ending.took_ms,
            reply: write(&ending.reply)?,
            outcomes: write(&ending.outcomes)?,
        })
    }

    fn read(&self) -> Result<Ending, serde_json::Error> {
        Ok(Ending {
            outcomes: serde_json::from_str(&self.outcomes)?,
            reply: serde_json::from_str(&self.reply)?,
            took_ms: self.took_ms,
        })
    }
}

impl FoundRows {
    pub(crate) fn read(self) -> Result<Stored, StoreError> {
        let (id, code_version) = (self.id, self.code_version.clone());
        self.parse().map_err(|why| StoreError::Unreadable {
            id,
            code_version,
            why: why.to_string(),
        })
    }

    fn parse(self) -> Result<Stored, serde_json::Error> {
        let recipient = |r: FoundRecipient| {
            Ok(RecipientRecord {
                facts: serde_json::from_str(&r.facts)?,
                verdict: serde_json::from_str(&r.verdict)?,
                policy: SealedPolicy::read(r.digest, r.policy)?,
            })
        };
        Ok(Stored {
            record: Record {
                id: self.id,
                facts: serde_json::from_str(&self.facts)?,
                recipients: self
                    .recipients
                    .into_iter()
                    .map(recipient)
                    .collect::<Result<_, serde_json::Error>>()?,
                code_version: self.code_version,
            },
            ending: self.ending.as_ref().map(EndingRow::read).transpose()?,
        })
    }
}

/// Reads of the columns only what a list shows, so that a list outlives changes elsewhere in the facts.
pub(crate) fn judged(
    message_facts: &str,
    recipient_facts: &str,
    verdict: &str,
    ended: (Outcome, Option<Reply>),
) -> Option<Judged> {
    #[derive(Deserialize)]
    struct Sender {
        reverse_path: ReversePath,
    }
    #[derive(Deserialize)]
    struct Recipient {
        address: Address,
    }
    #[derive(Deserialize)]
    struct Decided {
        disposition: Disposition,
        // A reason of a kind that this version does not know is left out, not the whole line.
        #[serde(default)]
        reasons: Vec<serde_json::Value>,
    }
    let decided: Decided = serde_json::from_str(verdict).ok()?;
    let verdict = Verdict {
        disposition: decided.disposition,
        reasons: decided
            .reasons
            .into_iter()
            .filter_map(|r| serde_json::from_value::<Reason>(r).ok())
            .collect(),
    };
    let reason = verdict
        .decisive()
        .or(verdict.reasons.iter().find(|reason| reason.effect != Effect::Evidence))
        .map(|reason| reason.text.clone());
    let evidence = verdict
        .reasons
        .iter()
        .filter(|reason| reason.effect == Effect::Evidence);
    let (outcome, reply) = ended;
    Some(Judged {
        reverse_path: serde_json::from_str::<Sender>(message_facts).ok()?.reverse_path,
        recipient: serde_json::from_str::<Recipient>(recipient_facts).ok()?.address,
        evidence: evidence.map(|reason| reason.text.clone()).collect(),
        disposition: verdict.disposition,
        reason,
        outcome,
        reply,
    })
}

/// What became of a message for its `n`th recipient, from 0, and the answer; as far as this version can read it.
pub(crate) fn ended(outcomes: Option<&str>, reply: Option<&str>, n: usize) -> (Outcome, Option<Reply>) {
    let all: Vec<serde_json::Value> = outcomes
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let outcome = all.into_iter().nth(n).and_then(|one| serde_json::from_value(one).ok());
    let reply = reply.and_then(|text| serde_json::from_str(text).ok());
    (outcome.unwrap_or(Outcome::Unknown), reply)
}

/// Reads of a recipient's facts only whose mailbox it is.
pub(crate) fn mailbox(recipient_facts: &str) -> Option<MailboxId> {
    #[derive(Deserialize)]
    struct Recipient {
        mailbox: MailboxId,
    }
    Some(serde_json::from_str::<Recipient>(recipient_facts).ok()?.mailbox)
}

fn write<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Unwritable(e.to_string()))
}
