//! Whole messages that are refused before any check: a bare CR or LF, a NUL, a line or a header that is too long, too many
//! hops.
//!
//! A copy is kept for those who would have been asked whether they want it, where it fits the quarantine's budget: users
//! that there are, and recipients of relayed mail. Past the budget a line in the index is all, and the refusal stands all
//! the same, since no later try could do better. Where the quarantine cannot be written the sender shall come again.

use super::copies::Copies;
use super::headers::Trace;
use super::{Arrival, Envelope, Gateway, Runtime, chance};
use crate::body::Body;
use crate::judgement::headers::bracketed;
use crate::metrics::METRICS;
use crate::observe::Turned;
use crate::quarantine::KeepError;
use jiff::Zoned;
use mail::smtp::refusal::Refusal;
use mail::{Address, Line, Message, Reply};
use std::sync::Arc;
use store::MailwardId;
use tokio::time::Instant;

/// So many recipients are told by their addresses.
const RECIPIENTS_TOLD: usize = 3;
/// What a refused message was about when it was refused.
const STAGE: &str = "end of message";

/// What became of the copy.
enum Copied {
    Kept,
    /// Only the index knows of it.
    Noted,
    /// Nobody is there for whom one could be kept.
    ForNobody,
    Failed(String),
}

impl Gateway {
    /// Refuses a whole message that the session cannot take.
    pub async fn refuse_message(&self, runtime: &Runtime, arrival: Arrival, why: Refusal, reply: Reply) -> Reply {
        let (started, octets) = (Instant::now(), arrival.body.octets());
        let Arrival {
            envelope, body, now, ..
        } = arrival;
        let reply = self.refuse(runtime, &envelope, &body, &now, why, reply).await;
        METRICS.answered(&reply, octets, started.elapsed());
        reply
    }

    /// Keeps copies, and says in one line what was refused.
    pub(super) async fn refuse(
        &self,
        runtime: &Runtime,
        envelope: &Envelope,
        body: &Arc<Body>,
        now: &Zoned,
        why: Refusal,
        reply: Reply,
    ) -> Reply {
        let id = MailwardId::new(now.timestamp().as_second(), chance());
        let (reply, copy) = match self.keep_refused(runtime, envelope, body, now, id, &reply).await {
            Copied::Kept => (reply, "kept"),
            Copied::Noted => (reply, "none: the quarantine is over its budget"),
            Copied::ForNobody => (reply, "none: no such user"),
            Copied::Failed(error) => {
                tracing::error!(%id, error, "a copy cannot be kept in the quarantine; the message is deferred");
                let text = Line::literal("No copy can be kept now, please try again later");
                (Reply::new(451, (4, 3, 0), text), "none: the quarantine failed")
            }
        };
        let told = Line::clean(format!("{} (id {id})", reply.text()).as_bytes(), 300);
        let reply = Reply::passed_on(reply.code(), reply.enhanced(), vec![told]);
        tell(envelope, why, &reply, Some((id, copy)));
        reply
    }

    async fn keep_refused(
        &self,
        runtime: &Runtime,
        envelope: &Envelope,
        body: &Arc<Body>,
        now: &Zoned,
        id: MailwardId,
        reply: &Reply,
    ) -> Copied {
        let whom = envelope.recipients().iter().filter(|one| one.facts.user.is_accepted());
        let whom: Vec<&Address> = whom.map(|one| &one.facts.address).chain(envelope.foreign()).collect();
        if whom.is_empty() {
            return Copied::ForNobody;
        }
        let facts = envelope.facts(now.timestamp().as_second());
        let trace = Trace {
            envelope,
            id,
            mac: self.seal.mac(&id),
            own: runtime.judgement.own_names(),
            facts: &facts,
            now,
        };
        let message = Message::parse(&body.head);
        let reason = Line::reason(reply.text().as_bytes());
        let copies = Copies::of_refused(runtime, &trace, &message, body, &reason, &whom);
        let quarantine = runtime.quarantine.clone();
        let store = move || match copies.store(&quarantine) {
            Ok(_) => Copied::Kept,
            Err(KeepError::OverBudget { .. }) => match copies.note(&quarantine) {
                Ok(()) => Copied::Noted,
                Err(error) => Copied::Failed(error.to_string()),
            },
            Err(error) => Copied::Failed(error.to_string()),
        };
        let stored = tokio::task::spawn_blocking(store).await;
        stored.unwrap_or_else(|_| Copied::Failed("the writer died".into()))
    }
}

/// One line for a message that is not taken, and of which nothing is kept.
pub fn log_refused(envelope: &Envelope, why: Refusal, reply: &Reply) {
    tell(envelope, why, reply, None);
}

fn tell(envelope: &Envelope, why: Refusal, reply: &Reply, message: Option<(MailwardId, &str)>) {
    let local = envelope.recipients().iter().map(|one| &one.facts.address);
    let told = local.chain(envelope.foreign()).take(RECIPIENTS_TOLD);
    let told: Vec<Line> = told.map(|address| Line::reason(address.as_str().as_bytes())).collect();
    Turned {
        helo: Some(envelope.helo()),
        reverse_path: Some(&bracketed(envelope.reverse_path())),
        recipients: envelope.recipients().len() + envelope.foreign().len(),
        first_recipients: &told,
        reply: Some(reply),
        message,
        ..Turned::new(why, STAGE, envelope.client())
    }
    .log();
}
