//! One message: gather, decide, act.
//!
//! The doors ask here. [`Gateway::recipient`] answers each RCPT from memory; [`Gateway::message`] judges a message for
//! each recipient and sees to it that what is answered with 250 is at the next hop or on stable storage.

mod act;
mod admit;
mod case;
mod copies;
mod envelope;
mod headers;
mod proofs;
mod rejects;
mod sent;

pub use admit::{BodyRoom, Doors, Ticket};
pub use envelope::{Envelope, Guest, Recipient};
pub use headers::Seal;
pub use rejects::released;
pub use sent::is_automatic;

use crate::body::{Body, Spool};
use crate::config::Config;
use crate::domains::{Domains, Roll, Roots};
use crate::filter::Filters;
use crate::inquiry::{Inquiry, Seat, Subject};
use crate::metrics::METRICS;
use crate::quarantine::{Budget, Quarantine};
use crate::relay::{Deadline, Relays};
use case::{Case, Progress, Target};
use jiff::Zoned;
use judge::evidence::{ContentFacts, Fact, MessageFacts, Origin};
use judge::verdict::{Disposition, Verdict};
use mail::{Line, Message, Reply};
use rejects::GreylistedOctets;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;
use store::{MailwardId, Store};
use tokio::time::Instant;

/// RFC 5321 §6.3: a message with more Received fields than this goes in circles.
const RECEIVED_MAX: usize = 100;

/// What a reload of the configuration replaces as a whole.
pub struct Runtime {
    /// The configuration it was made from.
    pub config: Config,
    /// The domains' tree.
    pub domains: Domains,
    /// The quarantine.
    pub quarantine: Arc<Quarantine>,
    /// Where large messages are while they come in.
    pub spool_dir: Arc<std::path::PathBuf>,
    /// Whom we ask about a message.
    pub inquiry: Arc<Inquiry>,
    /// What all SMTP sessions share.
    pub session: Arc<mail::smtp::server::Settings>,
}

/// The heart of the daemon, shared by all connections.
pub struct Gateway {
    runtime: RwLock<Arc<Runtime>>,
    relays: Relays,
    store: Arc<Store>,
    filters: Filters,
    seal: Seal,
    roll: Roll,
    doors: Arc<Doors>,
    greylisted: GreylistedOctets,
}

/// A message that has arrived whole.
pub struct Arrival {
    /// Who sent it, to whom.
    pub envelope: Envelope,
    /// Its octets, with CRLF line ends.
    pub body: Arc<Body>,
    /// When its last octet came.
    pub now: Zoned,
}

impl Runtime {
    /// Opens what the configuration names. A quarantine whose settings are those of `before` is taken over, so that
    /// there is one count of what is used, and not a second look through all of it.
    ///
    /// # Errors
    /// A message for the operator, and a hint.
    pub fn open(config: Config, before: Option<&Runtime>) -> Result<Runtime, (String, Option<String>)> {
        let roots = Roots {
            domains: config.paths.domains.clone(),
            blacklist_d: config.paths.blacklist_d.clone(),
        };
        let domains =
            Domains::open(roots, config.domain_defaults()).map_err(|error| (error.to_string(), Some(error.hint())))?;
        let settings = quarantine_settings(&config);
        let same = before.filter(|before| quarantine_settings(&before.config) == settings);
        let quarantine = match same {
            Some(before) => before.quarantine.clone(),
            None => Arc::new(Quarantine::open(settings).map_err(|error| (error.to_string(), None))?),
        };
        let inquiry = Arc::new(Inquiry::open(&config, before.map(|before| before.inquiry.clone()))?);
        let session = Arc::new(session_settings(&config));
        let spool_dir = Arc::new(config.paths.state.clone());
        Ok(Runtime {
            config,
            spool_dir,
            domains,
            quarantine,
            inquiry,
            session,
        })
    }
}

/// What an SMTP session needs of the configuration.
fn session_settings(config: &Config) -> mail::smtp::server::Settings {
    let limits = &config.limits;
    mail::smtp::server::Settings {
        hostname: Line::reason(config.smtp.hostname.as_bytes()),
        size_max: limits.message_size,
        recipients_max: limits.recipients as usize,
        commands_max: limits.commands,
        unrecognized_max: limits.unrecognized_commands,
        errors_max: limits.errors,
        text_line_max: usize::try_from(limits.text_line_length).unwrap_or(usize::MAX),
    }
}

/// What the quarantine needs of the configuration.
fn quarantine_settings(config: &Config) -> crate::quarantine::Settings {
    let limits = &config.limits;
    crate::quarantine::Settings {
        root: config.paths.spam.clone(),
        hostname: config.smtp.hostname.clone(),
        budget: Budget {
            total_octets: limits.quarantine_size,
            per_domain_octets: limits.quarantine_domain_size,
            per_client_network_octets: limits.quarantine_client_size,
            free_floor_octets: limits.quarantine_free,
        },
        zero_based_days: config.quarantine.zero_based_days,
    }
}

impl Gateway {
    /// Takes over what was opened.
    pub fn new(runtime: Runtime, store: Store, seal: Seal, roll: Roll) -> Gateway {
        let (runtime, store) = (RwLock::new(Arc::new(runtime)), Arc::new(store));
        Gateway {
            runtime,
            relays: Relays::default(),
            filters: Filters::over(Arc::clone(&store)),
            store,
            seal,
            roll,
            doors: Arc::default(),
            greylisted: GreylistedOctets::default(),
        }
    }

    /// What holds now. A connection keeps what it began with.
    pub fn runtime(&self) -> Arc<Runtime> {
        self.runtime.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces it; connections that run keep the old one.
    pub fn reload(&self, runtime: Runtime) {
        *self.runtime.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(runtime);
    }

    /// Who is connected.
    pub fn doors(&self) -> &Arc<Doors> {
        &self.doors
    }

    /// The context store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Which domains there were a moment ago.
    pub fn roll(&self) -> &Roll {
        &self.roll
    }

    /// What mailboxes learned of content.
    pub fn filters(&self) -> &Filters {
        &self.filters
    }

    /// The connections to next hops.
    pub fn relays(&self) -> &Relays {
        &self.relays
    }

    /// Judges a message for each of its recipients and acts. The reply stands for all of them.
    pub async fn message(&self, runtime: &Runtime, arrival: Arrival) -> Reply {
        let (started, octets) = (Instant::now(), arrival.body.octets());
        let reply = self.judge(runtime, arrival, started).await;
        METRICS.answered(&reply, octets, started.elapsed());
        reply
    }

    async fn judge(&self, runtime: &Runtime, arrival: Arrival, started: Instant) -> Reply {
        let Arrival {
            mut envelope,
            body,
            now,
        } = arrival;
        let message = Message::parse(&body.head);
        if let Some(reply) = unfit(&message) {
            return reply;
        }
        let mut facts = MessageFacts {
            received_s: now.timestamp().as_second(),
            client: envelope.client(),
            helo: envelope.helo().clone(),
            reverse_path: envelope.reverse_path().clone(),
            tls: envelope.tls().cloned(),
            login: envelope.login().cloned(),
            conduct: envelope.conduct(),
            content: content_facts(&message, &body),
            origin: Origin::default(),
            virus: Fact::NotAsked,
            links: Fact::NotAsked,
        };
        let subject = Subject {
            message: &message,
            body: &body,
            is_client_unknown: envelope.is_client_unknown(),
            memory: Some(&self.store),
            filters: Some(&self.filters),
            is_plaintext: envelope.is_plaintext(),
            features: OnceLock::new(),
            names: OnceLock::new(),
        };
        let verdicts = verdicts(&runtime.inquiry, &mut envelope, &subject, &mut facts).await;
        let features = learnable(&envelope).then(|| subject.features());
        let targets = targets(&envelope, verdicts);
        let sent_s = facts.received_s;
        let id = MailwardId::new(facts.received_s, chance());
        let case = Case {
            runtime,
            envelope: &envelope,
            facts,
            targets,
            message: &message,
            body: &body,
            id,
            now: &now,
            started,
            features,
            deadline: Deadline::within(started, Duration::from_secs(runtime.config.limits.answer_s)),
        };
        let reply = self.act(case).await;
        if envelope.is_relayed() && reply.code() == 250 {
            self.remember_sent(runtime, &envelope, &message, sent_s).await;
        }
        reply
    }
}

/// The head of a large message tells almost all; only whether the body is blank needs the rest.
fn content_facts(message: &Message<'_>, body: &Body) -> ContentFacts {
    let mut facts = ContentFacts::gather(message, body.octets());
    facts.body_is_blank &= body.tail.as_ref().is_none_or(Spool::is_blank);
    facts
}

/// One verdict for each local recipient. Mail from `relay_networks` is not judged, and nothing is asked about it.
async fn verdicts(
    inquiry: &Inquiry,
    envelope: &mut Envelope,
    subject: &Subject<'_>,
    facts: &mut MessageFacts,
) -> Vec<Verdict> {
    let mut seats: Vec<Seat<'_>> = envelope
        .recipients_mut()
        .iter_mut()
        .map(|recipient| Seat {
            facts: &mut recipient.facts,
            policy: recipient.domain.policy(),
            view: Some(&recipient.domain),
        })
        .collect();
    if seats.is_empty() {
        return Vec::new();
    }
    inquiry.judge(subject, facts, &mut seats).await
}

/// Whether somebody may label the message later, so that its features are worth keeping: a user whose domain asks the
/// content filter.
fn learnable(envelope: &Envelope) -> bool {
    let mut recipients = envelope.recipients().iter();
    recipients.any(|one| one.facts.user.is_accepted() && one.domain.policy().checks.junk.is_some())
}

/// Every recipient with its verdict.
fn targets(envelope: &Envelope, verdicts: Vec<Verdict>) -> Vec<Target<'_>> {
    let unjudged = || Verdict {
        disposition: Disposition::Accept,
        reasons: Vec::new(),
    };
    let foreign = envelope.foreign().iter().map(|address| Target {
        address,
        local: None,
        verdict: unjudged(),
        progress: Progress::Open,
    });
    let local = envelope
        .recipients()
        .iter()
        .zip(verdicts)
        .map(|(recipient, verdict)| Target {
            address: &recipient.facts.address,
            local: Some((&recipient.facts.mailbox, &recipient.domain)),
            verdict,
            progress: Progress::Open,
        });
    foreign.chain(local).collect()
}

/// A message that is refused whoever it is for.
pub(crate) fn unfit(message: &Message<'_>) -> Option<Reply> {
    if message.header_is_oversized() {
        return Some(Reply::new(
            554,
            (5, 6, 0),
            Line::literal("The message's header is too large"),
        ));
    }
    let hops = message.fields().iter().filter(|field| field.is("Received")).count();
    (hops > RECEIVED_MAX).then(|| {
        Reply::new(
            554,
            (5, 4, 6),
            Line::literal("Too many hops: the message goes in circles"),
        )
    })
}

/// Randomness for an id; a broken source of it is no reason to stop, since ids only must not repeat.
fn chance() -> u64 {
    getrandom::u64().unwrap_or_else(|_| {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        u64::from(since.subsec_nanos()) << 20 ^ u64::from(std::process::id())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unchanged_quarantine_is_taken_over_by_a_reload_and_another_is_not() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("domains")).unwrap();
        let mut config = Config::first_run(dir.path());
        let first = Runtime::open(config.clone(), None).ok().unwrap();
        config.limits.recipients += 1;
        let second = Runtime::open(config.clone(), Some(&first)).ok().unwrap();
        assert!(Arc::ptr_eq(&first.quarantine, &second.quarantine));
        assert_eq!(second.session.recipients_max, first.session.recipients_max + 1);
        config.limits.quarantine_size += 1;
        let third = Runtime::open(config, Some(&second)).ok().unwrap();
        assert!(!Arc::ptr_eq(&second.quarantine, &third.quarantine));
    }
}
