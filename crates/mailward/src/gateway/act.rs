//! Acting on verdicts: hold first, relay second, and one reply for all recipients.
//!
//! The order keeps the promise that what is answered with 250 is never lost: the intent is synced; what is refused or
//! held is copied to the quarantine; then the next hop gets its message; and only then the sender gets an answer.
//! If anything of it must be tried again, the answer is 4xx, the copies are withdrawn, and a synced ledger remembers
//! who has the message already, so that the sender's next try does not give it to them twice.

use super::case::{Case, Progress, Target};
use super::copies::Copies;
use super::headers::Frame;
use super::{Gateway, chance};
use crate::body::Content;
use crate::judgement::headers::{Mark, kept_fields};
use crate::metrics::METRICS;
use crate::quarantine::KeepError;
use crate::relay::{Delay, Delivery, Destination, Durable, Parcel};
use judge::reason::Source;
use judge::verdict::Disposition;
use mail::{Address, Line, Reply};
use std::sync::Arc;
use store::{Ending, MailwardId, StoreError};
use tokio::time::timeout_at;

/// How many ids are made for one message before it is deferred. Two messages of one minute share an id once in 34
/// milliards of pairs.
const IDS_TRIED: usize = 3;

impl Gateway {
    pub(super) async fn act(&self, mut case: Case<'_>) -> Reply {
        let recorded = !case.envelope.is_relayed();
        let reply = match self.begin(&mut case).await {
            Ok(()) => self.carry_out(&mut case).await,
            Err(error) => {
                tracing::error!(id = %case.id, %error, "the message cannot be recorded and is deferred");
                case.later("Mail cannot be recorded now, please try again later")
            }
        };
        let took_ms = u32::try_from(case.started.elapsed().as_millis()).unwrap_or(u32::MAX);
        case.log(&reply, took_ms);
        if recorded {
            let outcomes = case.targets.iter().map(|target| target.outcome(&reply)).collect();
            let ending = Ending {
                outcomes,
                reply: reply.clone(),
                took_ms,
            };
            if let Err(error) = self.store.finish(case.id, ending).await {
                // The message is where it shall be; only `why` will say less.
                tracing::error!(id = %case.id, %error, "the outcome was not recorded");
            }
        }
        reply
    }

    /// Records the intent; nothing for mail that was not judged. An id that is taken is replaced by another.
    async fn begin(&self, case: &mut Case<'_>) -> Result<(), StoreError> {
        for _ in 0..IDS_TRIED {
            let Some(record) = case.record()? else { return Ok(()) };
            let started = std::time::Instant::now();
            let begun = timeout_at(case.deadline.answer, self.store.begin_with(record, case.features)).await;
            let begun = begun.unwrap_or_else(|_| Err(StoreError::Unavailable("it took too long".into())));
            METRICS.store_began(started.elapsed(), begun.is_ok());
            match begun {
                Err(StoreError::IdTaken) => case.id = MailwardId::new(case.facts.received_s, chance()),
                begun => return begun,
            }
        }
        Err(StoreError::IdTaken)
    }

    async fn carry_out(&self, case: &mut Case<'_>) -> Reply {
        let key = case.ledger_key();
        let before = self.store.ledger_delivered(key, case.facts.received_s).await;
        for target in &mut case.targets {
            if let Some(proof) = Durable::in_ledger(&before, target.address) {
                target.progress = Progress::Taken(proof, Line::literal("delivered before"));
            }
        }
        let is_deferred = |target: &Target<'_>| target.is_open() && target.verdict.disposition == Disposition::Defer;
        if let Some(&first) = case.which(is_deferred).first() {
            self.keep_deferred(case).await;
            self.remember_kept(case).await;
            let target = &case.targets[first];
            let (code, enhanced) = target.deferral();
            return Reply::new(code, enhanced, case.with_id(target.told().as_str()));
        }
        let refused = case.which(|target| target.is_open() && !target.verdict.disposition.is_delivered());
        let refused = self.not_yet_kept(case, refused).await;
        if let Err(reply) = self.keep(case, &refused).await {
            return self.undo(case, reply).await;
        }
        self.relay(case).await;
        let refused = case.which(|target| matches!(target.progress, Progress::RefusedByHop(_)));
        let kept = self.keep(case, &refused).await;
        let late = case.targets.iter().find_map(|target| match &target.progress {
            Progress::Later(why) => {
                Some(case.later(&format!("Not delivered yet, please try again later: {}", why.told)))
            }
            _ => None,
        });
        if let Some(reply) = late.or(kept.err()) {
            self.remember_delivered(case, key).await;
            return self.undo(case, reply).await;
        }
        // The sender may split its next tries by recipient: the entry goes when all of it is covered by this one.
        let covered = |name: &String| case.targets.iter().any(|target| target.address.exact() == *name);
        if !before.is_empty()
            && before.iter().all(covered)
            && let Err(error) = self.store.ledger_drop(key).await
        {
            tracing::warn!(id = %case.id, %error, "a ledger entry stays until it expires");
        }
        let reply = case.answer();
        // A copy that stands for a 250 is kept like all held mail: its sender never comes again, so nothing may displace it.
        match reply.code() / 100 {
            2 => self.forget_kept(case),
            _ => self.remember_kept(case).await,
        }
        reply
    }

    /// Relays one copy for each kind of mark: recipients of like verdicts share one.
    async fn relay(&self, case: &mut Case<'_>) {
        // Those whose addresses only SMTPUTF8 can carry go apart: not every next hop takes them.
        let mut groups: Vec<((Mark, bool), Vec<usize>)> = Vec::new();
        for n in case.which(|target| target.is_open() && target.verdict.disposition.is_delivered()) {
            let target = &case.targets[n];
            let mark = (target.mark(), target.address.as_str().is_ascii());
            match groups.iter_mut().find(|(other, _)| *other == mark) {
                Some((_, members)) => members.push(n),
                None => groups.push((mark, vec![n])),
            }
        }
        for ((mark, _), members) in groups {
            let deliveries = self.send(case, &mark, &members).await;
            for (n, delivery) in members.into_iter().zip(deliveries) {
                case.targets[n].progress = match delivery {
                    Delivery::Taken(proof, said) => Progress::Taken(proof, said),
                    Delivery::Refused(reply) => Progress::RefusedByHop(reply),
                    Delivery::Later(why) => Progress::Later(why),
                };
            }
        }
    }

    async fn send(&self, case: &Case<'_>, mark: &Mark, members: &[usize]) -> Vec<Delivery> {
        let Some(hop) = case.envelope.hop() else {
            return members
                .iter()
                .map(|_| Delivery::Later(Delay::literal("no next hop")))
                .collect();
        };
        let addresses: Vec<&Address> = members.iter().map(|&n| case.targets[n].address).collect();
        let header =
            Frame::new(&case.trace(&self.seal), &addresses, mark).around(&kept_fields(case.message, &case.removals));
        let smtputf8 = needs_smtputf8(case, &addresses, &header);
        let from = case.body.head.len() - case.message.body().len();
        let content = Arc::new(Content::new(header, case.body.clone(), from));
        let boxes: Vec<_> = members
            .iter()
            .map(|&n| {
                case.targets[n].local.and_then(|local| {
                    let mailbox = &local.facts.mailbox;
                    Some((mailbox.domain(), local.domain.as_ref()?.box_name(mailbox)?))
                })
            })
            .collect();
        let destination = |(&n, maildir): (&usize, _)| {
            let target = &case.targets[n];
            let folder = match &target.verdict.disposition {
                Disposition::File(folder) => Some(folder),
                _ => None,
            };
            Destination {
                address: target.address,
                maildir,
                folder,
            }
        };
        let boxes = boxes
            .iter()
            .map(|found| found.as_ref().map(|(domain, name)| (*domain, name)));
        let recipients: Vec<_> = members.iter().zip(boxes).map(destination).collect();
        let parcel = Parcel {
            reverse_path: case.envelope.reverse_path(),
            recipients: &recipients,
            origin: Some(case.envelope.origin()),
            content: &content,
            deadline: case.deadline,
            body_8bit: case.envelope.body_8bit(),
            smtputf8,
        };
        let deliveries = self.relays.deliver(hop, parcel, &case.runtime.config).await;
        METRICS.hops.delivered(hop, &deliveries);
        deliveries
    }

    /// Puts copies for `who` into the quarantine. An error is the 4xx for the whole message.
    async fn keep(&self, case: &mut Case<'_>, who: &[usize]) -> Result<(), Reply> {
        if who.is_empty() {
            return Ok(());
        }
        let copies = Copies::of(case, &case.trace(&self.seal), who);
        // Mail for nobody, or from the blacklisted, is refused all the same; its index line is enough. Where others get
        // the message, the sender would be told 250, and never learn of it.
        let notable = who.len() == case.targets.len() && case.targets.iter().all(is_notable);
        let quarantine = case.runtime.quarantine.clone();
        let store = move || match copies.store(&quarantine) {
            Err(KeepError::OverBudget { .. }) if notable => copies.note(&quarantine).map(|()| None),
            stored => stored.map(Some),
        };
        match tokio::task::spawn_blocking(store).await {
            Ok(Ok(Some(held))) => {
                for (&n, held) in who.iter().zip(held) {
                    let progress = &mut case.targets[n].progress;
                    *progress = match std::mem::replace(progress, Progress::Open) {
                        Progress::RefusedByHop(reply) => Progress::Kept(held, Some(reply)),
                        _ => Progress::Kept(held, None),
                    };
                }
                Ok(())
            }
            Ok(Ok(None)) => {
                who.iter().for_each(|&n| case.targets[n].progress = Progress::Noted);
                Ok(())
            }
            Ok(Err(error @ KeepError::OverBudget { .. })) => {
                tracing::warn!(id = %case.id, %error, hint = error.hint(), "the message is deferred");
                Err(Reply::new(
                    452,
                    (4, 3, 1),
                    case.with_id("No room to keep a copy now, please try again later"),
                ))
            }
            Ok(Err(error)) => Err(keep_failed(case, &error.to_string())),
            Err(_) => Err(keep_failed(case, "the writer died")),
        }
    }

    /// Withdraws the copies of a message that ends in 4xx: the sender still has it.
    async fn undo(&self, case: &Case<'_>, reply: Reply) -> Reply {
        let held: Vec<_> = case
            .targets
            .iter()
            .filter_map(|target| match &target.progress {
                Progress::Kept(held, _) => Some(held.clone()),
                _ => None,
            })
            .collect();
        if !held.is_empty() {
            let quarantine = case.runtime.quarantine.clone();
            let withdraw = move || {
                held.iter()
                    .filter_map(|held| quarantine.withdraw(held).err())
                    .collect::<Vec<_>>()
            };
            match tokio::task::spawn_blocking(withdraw).await {
                Ok(errors) => errors.iter().for_each(|error| {
                    tracing::warn!(id = %case.id, %error, "a copy of a deferred message stays in the quarantine");
                }),
                Err(error) => {
                    tracing::error!(id = %case.id, %error, "copies of a deferred message stay in the quarantine");
                }
            }
        }
        reply
    }

    /// The sender will come again with the message; these have it already.
    async fn remember_delivered(&self, case: &Case<'_>, key: store::LedgerKey) {
        let delivered: Vec<String> = case
            .targets
            .iter()
            .filter(|target| matches!(target.progress, Progress::Taken(..)))
            .map(|target| target.address.exact())
            .collect();
        if delivered.is_empty() {
            return;
        }
        if let Err(error) = self.store.ledger_add(key, delivered, case.facts.received_s).await {
            tracing::error!(id = %case.id, %error, "some recipients will get this message twice");
        }
    }
}

/// RFC 6531 §3.4: whether the message cannot go without it. Many senders ask for it always.
fn needs_smtputf8(case: &Case<'_>, addresses: &[&Address], header: &[u8]) -> bool {
    let is_plain = header.is_ascii()
        && addresses.iter().all(|address| address.as_str().is_ascii())
        && case.envelope.reverse_path().to_string().is_ascii();
    case.envelope.smtputf8() && !is_plain
}

fn keep_failed(case: &Case<'_>, error: &str) -> Reply {
    tracing::error!(id = %case.id, error, "a copy cannot be kept in the quarantine; the message is deferred");
    case.later("No copy can be kept now, please try again later")
}

/// Unknown recipients and blacklisted clients, of whom a copy is kept only while there is room.
fn is_notable(target: &Target<'_>) -> bool {
    let decisive = target.verdict.decisive();
    decisive.is_some_and(|reason| matches!(reason.source, Source::Recipient | Source::BlackList))
}
