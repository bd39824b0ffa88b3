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
mod refuse;
mod rejects;
mod sent;

pub use admit::{BodyRoom, Doors, Ticket};
pub use envelope::{Envelope, Guest};
pub use headers::Seal;
pub use refuse::log_refused;
pub use rejects::released;
pub use sent::is_automatic;

use crate::body::Body;
use crate::config::Config;
use crate::domains::{Domains, Roll, Roots};
use crate::filter::Filters;
use crate::judgement::{Content, Incoming, JudgedRecipient, Judgement};
use crate::metrics::METRICS;
use crate::quarantine::{Budget, Quarantine};
use crate::relay::{Deadline, Relays};
use case::{Case, Progress, Target};
use jiff::Zoned;
use judge::verdict::{Disposition, Verdict};
use mail::smtp::nul::Nuls;
use mail::smtp::refusal::Refusal;
use mail::{Line, Message, Reply};
use rejects::{GreylistedOctets, KeptDomains};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use store::{MailwardId, Store};
use tokio::time::Instant;

/// What is said of a message that was signed with its NULs, which nobody should pass on.
const SIGNED_NUL: &str = "Message has NUL octets, and a signature that holds only with them";

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
    /// Who judges a message.
    pub judgement: Arc<Judgement>,
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
    kept_domains: KeptDomains,
    name: String,
}

/// A message that has arrived whole.
pub struct Arrival {
    /// Who sent it, to whom.
    pub envelope: Envelope,
    /// Its octets, with CRLF line ends, and a space for each NUL.
    pub body: Arc<Body>,
    /// Where NULs stood in it.
    pub nuls: Nuls,
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
        let judgement = Arc::new(Judgement::open(&config, before.map(|before| before.judgement.clone()))?);
        let session = Arc::new(session_settings(&config));
        let spool_dir = Arc::new(config.paths.state.clone());
        Ok(Runtime {
            config,
            spool_dir,
            domains,
            quarantine,
            judgement,
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
        bare_lf: config.smtp.bare_lf,
        bdat_bare_lf: config.smtp.bdat_bare_lf,
        nul: config.smtp.nul,
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
        let name = format!(
            "{} {} {}",
            runtime.config.smtp.hostname,
            std::process::id(),
            jiff::Timestamp::now()
        );
        let (runtime, store) = (RwLock::new(Arc::new(runtime)), Arc::new(store));
        Gateway {
            name,
            runtime,
            relays: Relays::default(),
            filters: Filters::over(Arc::clone(&store)),
            store,
            seal,
            roll,
            doors: Arc::default(),
            greylisted: GreylistedOctets::default(),
            kept_domains: KeptDomains::default(),
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

    /// What tells this gateway from others that share its store, and from the process before it.
    pub fn name(&self) -> &str {
        &self.name
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
            nuls,
            now,
        } = arrival;
        let message = Message::parse(&body.head);
        if let Some((why, reply)) = unfit(&message) {
            return self.refuse(runtime, &envelope, &body, &now, why, reply).await;
        }
        let received_s = now.timestamp().as_second();
        let content = Content {
            message: &message,
            body: &body,
        };
        let judgement = &runtime.judgement;
        let client = envelope.client();
        if !nuls.is_empty() && judgement.breaks_signature(client, &content, &nuls, received_s).await {
            let reply = Reply::new(554, (5, 6, 0), Line::literal(SIGNED_NUL));
            return self.refuse(runtime, &envelope, &body, &now, Refusal::Nul, reply).await;
        }
        let incoming = Incoming {
            passed_before: self.seal.id_of(&message),
            ..envelope.incoming(received_s, content)
        };
        let sources = runtime.judgement.sources(&self.store, &self.filters);
        let judged = runtime.judgement.judge(incoming, sources).await;
        let case = Case {
            runtime,
            envelope: &envelope,
            targets: targets(&envelope, &judged.recipients),
            facts: judged.facts,
            removals: judged.removals,
            message: &message,
            body: &body,
            id: MailwardId::new(received_s, chance()),
            now: &now,
            started,
            features: judged.features.as_ref(),
            deadline: Deadline::within(started, Duration::from_secs(runtime.config.limits.answer_s)),
        };
        let reply = self.act(case).await;
        if envelope.is_relayed() && reply.code() == 250 {
            self.remember_sent(runtime, &envelope, &message, received_s).await;
        }
        reply
    }
}

/// Mail from `relay_networks` is not judged.
static UNJUDGED: Verdict = Verdict {
    disposition: Disposition::Accept,
    reasons: Vec::new(),
};

/// Every recipient with its verdict.
fn targets<'a>(envelope: &'a Envelope, judged: &'a [JudgedRecipient]) -> Vec<Target<'a>> {
    let foreign = envelope.foreign().iter().map(|address| Target {
        address,
        local: None,
        verdict: &UNJUDGED,
        progress: Progress::Open,
    });
    let local = judged.iter().map(|recipient| Target {
        address: &recipient.facts.address,
        local: Some(recipient),
        verdict: &recipient.verdict,
        progress: Progress::Open,
    });
    foreign.chain(local).collect()
}

/// A message that is refused whoever it is for.
pub(crate) fn unfit(message: &Message<'_>) -> Option<(Refusal, Reply)> {
    if message.header_is_oversized() {
        let reply = Reply::new(554, (5, 6, 0), Line::literal("The message's header is too large"));
        return Some((Refusal::HeaderTooLarge, reply));
    }
    let hops = message.fields().iter().filter(|field| field.is("Received")).count();
    (hops > RECEIVED_MAX).then(|| {
        let text = Line::literal("Too many hops: the message goes in circles");
        (Refusal::TooManyHops, Reply::new(554, (5, 4, 6), text))
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
