//! Copies of one message for the quarantine, made whole before they go to a thread that may wait for the disk.

use super::Runtime;
use super::case::{Case, Progress};
use super::headers::{Frame, Trace};
use crate::body::Body;
use crate::judgement::headers::{Mark, kept_fields, remote_host, removals};
use crate::quarantine::{Copy, Held, KeepError, Quarantine};
use jiff::Zoned;
use mail::{Address, Domain, Line, Message, ReversePath};
use std::net::IpAddr;
use std::sync::Arc;

/// What gives the reason of a refusal that is no check's.
const PLUGIN_OF_SESSION: &str = "smtp";

/// One message for some of its recipients.
pub(super) struct Copies {
    id: String,
    client: IpAddr,
    host: Line,
    helo: Line,
    reverse_path: ReversePath,
    subject: Option<Vec<u8>>,
    message_id: Option<Vec<u8>>,
    fields: Vec<u8>,
    body: Arc<Body>,
    /// Where the header ends in the message's head.
    header_end: usize,
    now: Zoned,
    each: Vec<Each>,
}

/// What differs from recipient to recipient.
struct Each {
    recipient: Address,
    domain: Domain,
    reason: Line,
    next_hop: Option<Line>,
    evidence: Vec<Line>,
    plugin: String,
    disposition: &'static str,
    frame: Frame,
}

impl Copies {
    /// The copies for the recipients `who`, by number; one for each. Those of an address literal stand below our own
    /// name.
    pub fn of(case: &Case<'_>, trace: &Trace<'_>, who: &[usize]) -> Copies {
        let own = own_domain(&case.runtime.config.smtp.hostname);
        let each = |&n: &usize| {
            let target = &case.targets[n];
            let (reason, plugin) = (target.reason(), target.plugin());
            let mark = Mark::Kept {
                reason: reason.clone(),
                plugin: plugin.clone(),
            };
            Each {
                recipient: target.address.clone(),
                domain: target.address.domain().unwrap_or(&own).clone(),
                reason,
                next_hop: target.next_hop(),
                evidence: target.evidence(),
                plugin,
                disposition: match target.progress {
                    Progress::RefusedByHop(_) => "reject",
                    _ => target.verdict.disposition.word(),
                },
                frame: Frame::new(trace, &[target.address], &mark),
            }
        };
        let raw = |name| case.message.first(name).map(|field| field.value().into_owned());
        Copies {
            id: case.id.to_string(),
            client: case.facts.client,
            host: remote_host(&case.facts),
            helo: case.facts.helo.clone(),
            reverse_path: case.facts.reverse_path.clone(),
            subject: raw("Subject"),
            message_id: raw("Message-ID"),
            fields: kept_fields(case.message, &case.removals),
            body: case.body.clone(),
            header_end: case.body.head.len() - case.message.body().len(),
            now: case.now.clone(),
            each: who.iter().map(each).collect(),
        }
    }

    /// The copies of a message that no check has seen, for the recipients `whom`; one for each.
    pub fn of_refused(
        runtime: &Runtime,
        trace: &Trace<'_>,
        message: &Message<'_>,
        body: &Arc<Body>,
        reason: &Line,
        whom: &[&Address],
    ) -> Copies {
        let own = own_domain(&runtime.config.smtp.hostname);
        let each = |address: &&Address| {
            let mark = Mark::Kept {
                reason: reason.clone(),
                plugin: PLUGIN_OF_SESSION.into(),
            };
            Each {
                recipient: (*address).clone(),
                domain: address.domain().unwrap_or(&own).clone(),
                reason: reason.clone(),
                next_hop: None,
                evidence: Vec::new(),
                plugin: PLUGIN_OF_SESSION.into(),
                disposition: "reject",
                frame: Frame::new(trace, &[address], &mark),
            }
        };
        let raw = |name| message.first(name).map(|field| field.value().into_owned());
        Copies {
            id: trace.id.to_string(),
            client: trace.envelope.client(),
            host: remote_host(trace.facts),
            helo: trace.envelope.helo().clone(),
            reverse_path: trace.envelope.reverse_path().clone(),
            subject: raw("Subject"),
            message_id: raw("Message-ID"),
            fields: kept_fields(message, &removals(message, trace.own, &trace.envelope.judged_client())),
            body: body.clone(),
            header_end: body.head.len() - message.body().len(),
            now: trace.now.clone(),
            each: whom.iter().map(each).collect(),
        }
    }

    /// Stores all of them or none; in their order.
    pub fn store(&self, quarantine: &Quarantine) -> Result<Vec<Held>, KeepError> {
        self.with(|copies| quarantine.store_all(copies, &self.now))
    }

    /// Notes that they were refused, without keeping them.
    pub fn note(&self, quarantine: &Quarantine) -> Result<(), KeepError> {
        self.with(|copies| {
            copies
                .iter()
                .try_for_each(|copy| quarantine.note(copy, &self.now).map(drop))
        })
    }

    fn with<T>(&self, act: impl FnOnce(&[Copy<'_>]) -> T) -> T {
        let body = &self.body.head[self.header_end..];
        let parts: Vec<[&[u8]; 4]> = self
            .each
            .iter()
            .map(|Each { frame, .. }| [frame.top.as_bytes(), &self.fields, frame.bottom.as_bytes(), body])
            .collect();
        let copies = self.each.iter().zip(&parts).map(|(each, parts)| Copy {
            id: &self.id,
            recipient: &each.recipient,
            domain: &each.domain,
            client: self.client,
            host: self.host.as_str(),
            helo: &self.helo,
            reverse_path: &self.reverse_path,
            reason: &each.reason,
            next_hop: each.next_hop.as_ref(),
            evidence: &each.evidence,
            plugin: Some(&each.plugin),
            subject: self.subject.as_deref(),
            message_id: self.message_id.as_deref(),
            disposition: each.disposition,
            message: parts,
            tail: self.body.tail.as_ref(),
        });
        act(&copies.collect::<Vec<_>>())
    }
}

/// Our own name as a domain.
fn own_domain(hostname: &str) -> Domain {
    let fallback = || Domain::parse("localhost").unwrap_or_else(|_| unreachable!("a literal that is a domain"));
    Domain::parse(hostname).unwrap_or_else(|_| fallback())
}
