//! A record as rows of columns: what can be asked for stands in columns of its own, the rest is JSON.
//!
//! Text is made and read in the caller's task, never by the thread that writes.

use crate::error::StoreError;
use crate::features::FeaturesRow;
use crate::id::MailwardId;
use crate::policy::{PolicyDigest, SealedPolicy};
use crate::record::{Ending, Judged, Outcome, RecipientRecord, Record, Stored};
use judge::content::Features;
use judge::reason::{Effect, Reason};
use judge::verdict::{Disposition, Verdict};
use mail::{Address, MailboxId, Reply, ReversePath};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// What the text of a verdict with a reason in shadow mode holds. In the texts of senders quotes are escaped.
pub(crate) const SHADOWED: &str = "\"effect\":\"shadowed\"";

/// A record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RecordRow {
    pub(crate) received_s: i64,
    pub(crate) code_version: String,
    /// JSON.
    pub(crate) facts: String,
    pub(crate) recipients: Vec<RecipientRow>,
    pub(crate) features: Option<FeaturesRow>,
}

/// One recipient of a record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RecipientRow {
    /// JSON.
    pub(crate) facts: String,
    /// JSON.
    pub(crate) verdict: String,
    pub(crate) policy: PolicyDigest,
}

/// A policy.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PolicyRow {
    /// The day (since 2026) of the youngest record that needs it.
    pub(crate) used_day: i64,
    /// JSON.
    pub(crate) text: String,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EndingRow {
    pub(crate) took_ms: u32,
    /// JSON.
    pub(crate) reply: String,
    /// JSON.
    pub(crate) outcomes: String,
}

impl RecordRow {
    /// The row of a record, and the policies that it names.
    pub(crate) fn of(
        record: Record,
        features: Option<&Features>,
    ) -> Result<(RecordRow, Vec<SealedPolicy>), StoreError> {
        let mut policies = Vec::with_capacity(record.recipients.len());
        let mut recipient = |r: RecipientRecord| {
            let row = RecipientRow {
                facts: write(&r.facts)?,
                verdict: write(&r.verdict)?,
                policy: r.policy.digest(),
            };
            policies.push(r.policy);
            Ok(row)
        };
        let recipients = record.recipients.into_iter().map(&mut recipient);
        let row = RecordRow {
            received_s: record.facts.received_s,
            facts: write(&record.facts)?,
            recipients: recipients.collect::<Result<_, StoreError>>()?,
            code_version: record.code_version,
            features: features.map(FeaturesRow::of),
        };
        Ok((row, policies))
    }

    /// Whether it was recorded for a mailbox.
    pub(crate) fn is_for(&self, mailbox: &MailboxId) -> bool {
        let mut recipients = self.recipients.iter();
        recipients.any(|recipient| self::mailbox(&recipient.facts).as_ref() == Some(mailbox))
    }

    /// The record, with what became of it. A policy that is missing reads as no JSON, and is reported as such.
    pub(crate) fn read(
        self,
        id: MailwardId,
        ending: Option<&EndingRow>,
        policies: &HashMap<PolicyDigest, String>,
    ) -> Result<Stored, StoreError> {
        let code_version = self.code_version.clone();
        self.parse(id, ending, policies).map_err(|why| StoreError::Unreadable {
            id,
            code_version,
            why: why.to_string(),
        })
    }

    fn parse(
        self,
        id: MailwardId,
        ending: Option<&EndingRow>,
        policies: &HashMap<PolicyDigest, String>,
    ) -> Result<Stored, serde_json::Error> {
        let recipient = |r: RecipientRow| {
            Ok(RecipientRecord {
                facts: serde_json::from_str(&r.facts)?,
                verdict: serde_json::from_str(&r.verdict)?,
                policy: SealedPolicy::read(r.policy, policies.get(&r.policy).cloned().unwrap_or_default())?,
            })
        };
        let recipients = self.recipients.into_iter().map(recipient);
        Ok(Stored {
            record: Record {
                id,
                facts: serde_json::from_str(&self.facts)?,
                recipients: recipients.collect::<Result<_, serde_json::Error>>()?,
                code_version: self.code_version,
            },
            ending: ending.map(EndingRow::read).transpose()?,
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
fn mailbox(recipient_facts: &str) -> Option<MailboxId> {
    #[derive(Deserialize)]
    struct Recipient {
        mailbox: MailboxId,
    }
    Some(serde_json::from_str::<Recipient>(recipient_facts).ok()?.mailbox)
}

fn write<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Unwritable(e.to_string()))
}
