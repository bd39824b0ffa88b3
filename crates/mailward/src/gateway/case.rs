//! One message with its verdicts, on its way to an answer.

use super::headers::{Seal, Trace};
use super::{Envelope, Runtime};
use crate::body::Body;
use crate::judgement::JudgedRecipient;
use crate::judgement::headers::{HeaderChange, Mark, bracketed};
use crate::observe::Disposed;
use crate::quarantine::Held;
use crate::relay::{Deadline, Delay, Durable};
use jiff::Zoned;
use judge::checks::SenderReply;
use judge::content::Features;
use judge::evidence::MessageFacts;
use judge::reason::{Effect, Reason, Source};
use judge::verdict::{Disposition, Rejection, Verdict};
use mail::{Address, Line, Message, Reply};
use std::sync::Arc;
use store::{LedgerKey, MailwardId, Outcome, RecipientRecord, Record, StoreError};
use tokio::time::Instant;

/// What senders are told where the reason is not theirs to know.
const PRIVATE: &str = "refused by the recipient's mail policy";
const PRIVATE_DEFERRED: &str = "deferred by the recipient's mail policy, please try again later";
const TOO_MUCH: &str = "Too much mail from your network for this mailbox";
const TOO_MUCH_NOW: &str = "Too much mail from your network for this mailbox, please try again later";

/// How many lines of a next hop's refusal go on to the sender.
const PASSED_LINES_MAX: usize = 16;
/// How much of the last one, so that our id behind it is never cut off. The reply itself bounds the others.
const PASSED_LAST_OCTETS_MAX: usize = 400;

/// One message, judged for each recipient.
pub(super) struct Case<'a> {
    pub runtime: &'a Runtime,
    pub envelope: &'a Envelope,
    pub facts: MessageFacts,
    /// The fields that came with it and are taken out.
    pub removals: Vec<HeaderChange>,
    pub targets: Vec<Target<'a>>,
    pub message: &'a Message<'a>,
    pub body: &'a Arc<Body>,
    pub id: MailwardId,
    pub now: &'a Zoned,
    pub started: Instant,
    /// What the message is made of, where somebody may label it later.
    pub features: Option<&'a Features>,
    /// When the sender must have its answer.
    pub deadline: Deadline,
}

/// One recipient and its verdict.
pub(super) struct Target<'a> {
    pub address: &'a Address,
    /// What is known of one of our own; `None` for mail that passes unjudged from `relay_networks`.
    pub local: Option<&'a JudgedRecipient>,
    pub verdict: &'a Verdict,
    pub progress: Progress,
}

/// What came of a message for one recipient, so far.
#[derive(Debug)]
pub(super) enum Progress {
    /// Nothing yet.
    Open,
    /// The next hop has it, from this try or an earlier one.
    Taken(Durable, Line),
    /// The next hop refuses it.
    RefusedByHop(Reply),
    /// A copy is in the quarantine; with the next hop's refusal, where that was the cause.
    Kept(Held, Option<Reply>),
    /// A copy is in the quarantine since an earlier try.
    KeptBefore(Held),
    /// It is deferred, and a copy is in the quarantine meanwhile.
    Waiting(Held),
    /// The same since an earlier try.
    WaitingBefore(Held),
    /// Refused without a copy: past the quarantine's budget, only the index knows it.
    Noted,
    /// Not now.
    Later(Delay),
}

impl Target<'_> {
    /// The reason that the log, headers and the quarantine show.
    pub fn reason(&self) -> Line {
        match &self.progress {
            Progress::RefusedByHop(reply) => {
                Line::reason(format!("The mail server said: {}", reply.one_line()).as_bytes())
            }
            _ => self
                .verdict
                .decisive()
                .map_or_else(|| Line::literal("Unknown reason"), |reason| reason.text.clone()),
        }
    }

    /// What the next hop said of it, whole.
    pub fn next_hop(&self) -> Option<Line> {
        match &self.progress {
            Progress::Taken(_, said) => Some(said.clone()),
            Progress::RefusedByHop(reply) | Progress::Kept(_, Some(reply)) => Some(reply.one_line()),
            Progress::Later(delay) => Some(delay.words.clone()),
            _ => None,
        }
    }

    /// What speaks against it and was not meant to decide.
    pub fn evidence(&self) -> Vec<Line> {
        let is_evidence = |reason: &&Reason| reason.effect == Effect::Evidence;
        let evidence = self.verdict.reasons.iter().filter(is_evidence);
        evidence.map(|reason| reason.text.clone()).collect()
    }

    /// The reason in the reply. What a mailbox remembers, and what gave a deceiver away, is between its owner and the
    /// operator: the sender learns no more than the id, by which they find the rest.
    pub fn told(&self) -> Line {
        let is_deferred = self.verdict.disposition == Disposition::Defer;
        match self.sender_reply() {
            SenderReply::Reason | SenderReply::Greylisted => self.reason(),
            SenderReply::Private if is_deferred => Line::literal(PRIVATE_DEFERRED),
            SenderReply::Private => Line::literal(PRIVATE),
            SenderReply::TooMuch if is_deferred => Line::literal(TOO_MUCH_NOW),
            SenderReply::TooMuch => Line::literal(TOO_MUCH),
        }
    }

    /// The reply to a message that must come again. RFC 3463: x.3.0 is ours to mend, x.7.1 the recipient's wish.
    pub fn deferral(&self) -> (u16, (u8, u16, u16)) {
        match self.sender_reply() {
            _ if self.waits_for_trouble() => (451, (4, 3, 0)),
            SenderReply::TooMuch => (452, (4, 2, 2)),
            SenderReply::Greylisted => (452, (4, 7, 1)),
            SenderReply::Reason | SenderReply::Private => (451, (4, 7, 1)),
        }
    }

    /// What the sender is told of the reason that decided; the reason itself, where no check gave it.
    fn sender_reply(&self) -> SenderReply {
        let decisive = self.verdict.decisive().filter(|_| !self.waits_for_trouble());
        match decisive.map(|reason| reason.source) {
            Some(Source::Check(check)) => check.spec().reply,
            Some(Source::Recipient | Source::BlackList | Source::WhiteList | Source::List) | None => {
                SenderReply::Reason
            }
        }
    }

    /// Whether something that a check needs is down, rather than that it fails: its trouble is told as evidence beside.
    pub fn waits_for_trouble(&self) -> bool {
        let source = self.verdict.decisive().map(|reason| reason.source);
        let mut told = self
            .verdict
            .reasons
            .iter()
            .filter(|reason| reason.effect == Effect::Evidence);
        self.verdict.disposition == Disposition::Defer && told.any(|reason| Some(reason.source) == source)
    }

    /// Which component gives that reason, as in `X-REJECT-PLUGIN`.
    pub fn plugin(&self) -> String {
        match &self.progress {
            Progress::RefusedByHop(_) => "queue/deliver".into(),
            _ => self
                .verdict
                .decisive()
                .map_or_else(|| "Unknown".into(), |reason| reason.source.to_string()),
        }
    }

    /// What marks the copy that the next hop gets.
    pub fn mark(&self) -> Mark {
        let folder = match &self.verdict.disposition {
            Disposition::Tag => None,
            Disposition::File(folder) => Some(folder.as_str().to_owned()),
            _ => return Mark::None,
        };
        Mark::Junk {
            reasons: self.reason(),
            folder,
        }
    }

    /// Whether nothing has come of the message yet.
    pub fn is_open(&self) -> bool {
        matches!(self.progress, Progress::Open)
    }

    /// Whether the sender is told that the message is refused.
    fn is_refused(&self) -> bool {
        match &self.progress {
            Progress::Kept(_, Some(_)) | Progress::Noted | Progress::RefusedByHop(_) => true,
            Progress::Kept(_, None) | Progress::KeptBefore(_) => {
                matches!(self.verdict.disposition, Disposition::Reject(_))
            }
            _ => false,
        }
    }

    /// What is recorded. `reply` is what the sender was told in the end.
    pub fn outcome(&self, reply: &Reply) -> Outcome {
        match &self.progress {
            Progress::Waiting(held) | Progress::WaitingBefore(held) => Outcome::Deferred {
                why: Line::reason(reply.text().as_bytes()),
                quarantine: Some(held.reference().to_string()),
                next_hop: None,
            },
            // A copy that was withdrawn is gone; the sender comes again.
            Progress::Kept(..) | Progress::KeptBefore(_) | Progress::RefusedByHop(_) if reply.code() / 100 == 4 => {
                deferred(reply.text(), self.next_hop())
            }
            Progress::Kept(held, _) | Progress::KeptBefore(held) => Outcome::Held {
                quarantine: held.reference().to_string(),
                next_hop: self.next_hop(),
            },
            Progress::Taken(_, said) => Outcome::Delivered { reply: said.clone() },
            Progress::RefusedByHop(_) | Progress::Noted => Outcome::Refused,
            Progress::Later(delay) => deferred(delay.told.as_str(), self.next_hop()),
            Progress::Open => deferred(reply.text(), None),
        }
    }
}

fn deferred(why: &str, next_hop: Option<Line>) -> Outcome {
    Outcome::Deferred {
        why: Line::reason(why.as_bytes()),
        quarantine: None,
        next_hop,
    }
}

impl<'a> Case<'a> {
    /// Those for whom `wanted` holds, by number.
    pub fn which(&self, wanted: impl Fn(&Target<'_>) -> bool) -> Vec<usize> {
        (0..self.targets.len()).filter(|&n| wanted(&self.targets[n])).collect()
    }

    pub fn trace<'t>(&'t self, seal: &Seal) -> Trace<'t> {
        Trace {
            envelope: self.envelope,
            facts: &self.facts,
            id: self.id,
            mac: seal.mac(&self.id),
            own: self.runtime.judgement.own_names(),
            now: self.now,
        }
    }

    /// Names this message of this sender across tries.
    pub fn ledger_key(&self) -> LedgerKey {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.facts.reverse_path.folded().as_bytes()).update(&[0]);
        let message_id = self.facts.message_id();
        hasher.update(message_id.as_bytes()).update(&[0]);
        hasher.update(self.body.digest().as_bytes());
        LedgerKey::new(*hasher.finalize().as_bytes())
    }

    /// What `why` needs; nothing for mail that was not judged.
    pub fn record(&self) -> Result<Option<Record>, StoreError> {
        if self.envelope.is_relayed() {
            return Ok(None);
        }
        let recipients = self.targets.iter().filter_map(|target| target.local).map(|recipient| {
            Ok::<_, StoreError>(RecipientRecord {
                facts: recipient.facts.clone(),
                verdict: recipient.verdict.clone(),
                policy: recipient.stored_policy()?,
            })
        });
        Ok(Some(Record {
            id: self.id,
            facts: self.facts.clone(),
            recipients: recipients.collect::<Result<_, _>>()?,
            code_version: env!("CARGO_PKG_VERSION").into(),
        }))
    }

    /// One line for each recipient.
    pub fn log(&self, reply: &Reply, took_ms: u32) {
        let reverse_path = bracketed(&self.facts.reverse_path);
        for target in &self.targets {
            let judged = target.local.is_some();
            Disposed {
                id: self.id,
                client: self.facts.client,
                helo: &self.facts.helo,
                reverse_path: &reverse_path,
                recipient: target.address.as_str(),
                disposition: match &target.progress {
                    _ if reply.code() / 100 == 4 => "defer",
                    Progress::Kept(_, Some(_)) | Progress::RefusedByHop(_) => "refused by next hop",
                    _ if judged => target.verdict.disposition.word(),
                    _ => "relay",
                },
                verdict: judged.then_some(target.verdict),
                next_hop: target.next_hop().as_ref(),
                reply,
                took_ms,
            }
            .log();
        }
    }

    /// A text for the sender, with our id.
    pub fn with_id(&self, text: &str) -> Line {
        let text = Line::reason(text.as_bytes());
        Line::clean(format!("{text} (id {})", self.id).as_bytes(), 300)
    }

    /// 451, with why.
    pub fn later(&self, text: &str) -> Reply {
        Reply::new(451, (4, 3, 0), self.with_id(text))
    }

    /// The one reply for all recipients, once none of them has to wait: 5xx with the first reason if all are refused,
    /// else 250.
    pub fn answer(&self) -> Reply {
        if let Some(first) = self.targets.first()
            && self.targets.iter().all(Target::is_refused)
        {
            return self.refusal(first);
        }
        for target in &self.targets {
            match &target.progress {
                Progress::Taken(proof, _) => return self.accepted(proof),
                Progress::Kept(held, _) | Progress::KeptBefore(held) => return self.accepted(&Durable::held(held)),
                _ => {}
            }
        }
        // Somebody is neither refused nor has it: cannot be, and without proof there is no 250.
        self.later("Not delivered yet, please try again later")
    }

    /// The one way to 250: with proof.
    fn accepted(&self, _proof: &Durable) -> Reply {
        Reply::new(250, (2, 0, 0), self.with_id("accepted"))
    }

    /// The next hop's refusal with all its lines, as far as a client has to read them, and our id behind them.
    fn passed_on(&self, reply: &Reply) -> Reply {
        let mut lines = reply.lines().to_vec();
        let last = lines.pop().unwrap_or_default();
        lines.truncate(PASSED_LINES_MAX - 1);
        let text = last.as_str();
        let text = &text[..text.floor_char_boundary(PASSED_LAST_OCTETS_MAX)];
        lines.push(Line::from(format!("{text} (id {})", self.id)));
        Reply::passed_on(reply.code(), reply.enhanced(), lines)
    }

    fn refusal(&self, target: &Target<'_>) -> Reply {
        match (&target.progress, &target.verdict.disposition) {
            (Progress::Kept(_, Some(reply)) | Progress::RefusedByHop(reply), _) => self.passed_on(reply),
            (_, Disposition::Reject(Rejection::UnknownUser)) => {
                Reply::new(550, (5, 1, 1), self.with_id(target.told().as_str()))
            }
            // RFC 7372 §3.3.
            (_, Disposition::Reject(Rejection::Unauthenticated)) => {
                Reply::new(550, (5, 7, 26), self.with_id(target.told().as_str()))
            }
            _ => Reply::new(550, (5, 7, 1), self.with_id(target.told().as_str())),
        }
    }
}
