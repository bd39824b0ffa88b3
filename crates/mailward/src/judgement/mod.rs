//! One judgement for every way in: [`Incoming`] becomes [`Judged`].
//!
//! A listener, `scan`, or whatever else has a message says what it knows of it: who sent it, for whom, and its content,
//! which may be absent where only an envelope is judged. [`Judgement::judge`] lets [`judge::verdict::decide`] say which
//! facts it needs, asks for those, all at once, and lets it decide again. So nothing is asked that no verdict needs. What
//! follows from a verdict (a reply, relaying, a header) is a second step, and another's.
//!
//! Each purpose has its own time and its own number of questions, so that a sender who makes one of them slow or costly
//! gains nothing for another; what comes late is trouble, and the policy decides what that means.
//!
//! - `origin`: DNS for who really sent it. `dnsbl`: DNS lists. `memory`: what is remembered of the sender, and how often
//!   they come. `content`: the content filter, links, the virus scanner.
//! - [`headers`]: what becomes of the header, as a list of changes. `foreign`: which fields that came with a message go.
//!   `proofs`: what was proven, as fields.
//! - `correspondents`: by which names senders and recipients are remembered.

mod content;
mod correspondents;
mod dnsbl;
mod foreign;
pub mod headers;
mod incoming;
mod memory;
mod origin;
mod proofs;

pub use foreign::FilterField;
pub use incoming::{Content, Incoming, Judged, JudgedRecipient, Recipient};
pub use memory::reputation_of;

use crate::config::Config;
use crate::dns::{Dns, Settings};
use crate::filter::Filters;
use crate::virus::Clamd;
use crate::zones::ZoneHealth;
use futures_util::future::{join, join_all, join4};
use headers::OwnNames;
use incoming::Subject;
use judge::auth::author;
use judge::auth::org::PublicSuffixes;
use judge::evidence::{Fact, Group, MessageFacts, Needs};
use judge::resolver::Resolver;
use judge::verdict::{Step, conclude, decide};
use judge::zone::ZoneFile;
use mail::Line;
use std::net::IpAddr;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::available_parallelism;
use std::time::Duration;
use store::Store;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Each round asks for at least one group of facts that was not asked for, so there are no more rounds than groups.
const ROUNDS_MAX: usize = 9;

/// Whom we ask. Shared by all messages.
pub struct Judgement {
    dns: Option<Dns>,
    dns_settings: Settings,
    zones: Arc<ZoneHealth>,
    clamd: Clamd,
    /// It was in trouble when it was asked last.
    clamd_in_trouble: AtomicBool,
    suffixes: Arc<PublicSuffixes>,
    own: OwnNames,
    /// Who reads a message for its links: no more at one time than there are processors.
    link_readers: Arc<Semaphore>,
    /// Whether mailboxes hear from others what they themselves do not know.
    shared_history: bool,
    /// Whether they hear what others' words mean.
    shared_words: bool,
    /// Octets of the models in memory.
    models_memory: u64,
    times: Times,
    /// For each kind of proof.
    questions_max: u32,
}

/// How long answers are waited for. Each purpose has a time of its own, so that who makes one of them slow gains nothing
/// for another.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// The reverse name, which is asked first.
    reverse: Duration,
    /// SPF, DKIM, ARC and the MX, all at once. The sender's own servers answer many of these.
    proofs: Duration,
    /// What DMARC asks behind them, from its beginning on; and DNS lists.
    wishes: Duration,
}

/// Who answers questions about names.
#[derive(Clone, Copy)]
pub enum Names<'a> {
    /// Name servers.
    Network(&'a Dns),
    /// A zone file, at once.
    File(&'a ZoneFile),
}

impl Names<'_> {
    /// For one purpose of one message: no answer comes later than `time` from now on.
    fn within(&self, time: Duration, client: Option<IpAddr>) -> Box<dyn Resolver + '_> {
        match self {
            Names::Network(dns) => Box::new(dns.within(Instant::now() + time, client)),
            Names::File(zone) => Box::new(*zone),
        }
    }
}

/// What may be asked about a message. At a listener everything; `scan` has no memory, and perhaps no DNS.
#[derive(Clone, Copy)]
pub struct FactSources<'a> {
    /// Who answers questions about names.
    pub names: Option<Names<'a>>,
    /// What follows where nobody answers them.
    pub without_names: WithoutNames,
    /// What is remembered of senders, and where it is counted how often they come.
    pub memory: Option<&'a Store>,
    /// What mailboxes learned of content.
    pub filters: Option<&'a Filters>,
    /// Whether the virus scanner is asked.
    pub scanner: bool,
}

/// What follows where nobody answers questions about names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum WithoutNames {
    /// They count as asked and not answered: DNS is switched off.
    Unavailable,
    /// They are left open, so no check that needs them says anything: nobody wanted to know.
    LeftOpen,
}

impl Judgement {
    /// Opens what the configuration names. What is known of DNS lists is taken over from `before`, and what DNS remembers
    /// where its settings are the same.
    ///
    /// # Errors
    /// A message for the operator, and a hint.
    pub fn open(config: &Config, before: Option<Arc<Judgement>>) -> Result<Judgement, (String, Option<String>)> {
        let dns_settings = dns_settings(config);
        let dns = match config.dns.enabled {
            false => None,
            true => match before.as_ref().filter(|before| before.dns_settings == dns_settings) {
                Some(before) => before.dns.clone(),
                None => Some(Dns::open(&dns_settings).map_err(|error| (error, None))?),
            },
        };
        Ok(Judgement {
            dns,
            dns_settings,
            zones: before.as_ref().map_or_else(Arc::default, |before| before.zones.clone()),
            clamd: Clamd {
                address: config.clamav.address.clone(),
                size_max: config.clamav.size_max,
                timeout: Duration::from_secs(config.clamav.timeout_s),
            },
            clamd_in_trouble: AtomicBool::new(false),
            suffixes: Arc::new(suffixes(config.auth.public_suffix_file.as_deref())?),
            own: OwnNames {
                authserv_id: config.authserv_id().to_owned(),
                hostname: config.smtp.hostname.clone(),
                filter_fields: config.smtp.filter_fields.clone(),
            },
            link_readers: Arc::new(Semaphore::new(available_parallelism().map_or(1, NonZero::get))),
            shared_history: config.reputation.shared,
            shared_words: config.junk.shared,
            models_memory: config.junk.memory,
            times: Times {
                reverse: Duration::from_millis(config.dns.timeout_ms).min(Duration::from_secs(config.dns.message_s)),
                proofs: Duration::from_secs(config.dns.message_s),
                wishes: Duration::from_secs(config.dns.message_s) * 2,
            },
            questions_max: config.dns.message_queries,
        })
    }

    /// DNS lists that are switched off, and why.
    pub fn zones(&self) -> &ZoneHealth {
        &self.zones
    }

    /// DNS, where it is asked.
    pub fn dns(&self) -> Option<&Dns> {
        self.dns.as_ref()
    }

    /// By which names we are known in header fields.
    pub fn own_names(&self) -> &OwnNames {
        &self.own
    }

    /// What may be asked at a listener.
    pub fn sources<'a>(&'a self, memory: &'a Store, filters: &'a Filters) -> FactSources<'a> {
        FactSources {
            names: self.dns.as_ref().map(Names::Network),
            without_names: WithoutNames::Unavailable,
            memory: Some(memory),
            filters: Some(filters),
            scanner: true,
        }
    }

    /// One verdict for each recipient, once what they need is known or known not to be had.
    pub async fn judge(&self, incoming: Incoming<'_>, sources: FactSources<'_>) -> Judged {
        let (subject, mut facts, mut recipients) = incoming.begin(sources, &self.own);
        if let Some(content) = subject.content {
            facts.origin.author = Fact::Found(author::read(content.message));
        }
        if subject.client.is_unknown {
            facts.origin.iprev = Fact::Skipped(Line::literal("the client's address is not known"));
        } else if sources.names.is_none() && sources.without_names == WithoutNames::LeftOpen {
            // A list of host names must not wait for what nobody asks.
            facts.origin.iprev = Fact::Skipped(Line::literal("DNS is not asked"));
        }
        for recipient in &mut recipients {
            recipient.look_up(&subject.client, &facts);
        }
        for _ in 0..ROUNDS_MAX {
            let needs: Vec<Needs> = recipients.iter().map(|one| self.needs(one, &facts, &subject)).collect();
            if needs.iter().all(|needs| needs.is_empty()) {
                break;
            }
            self.ask(&subject, &mut facts, &mut recipients, &needs).await;
        }
        let judged = recipients.into_iter().map(|recipient| JudgedRecipient {
            verdict: conclude(&facts, &recipient.facts, &recipient.policy),
            facts: recipient.facts,
            domain: recipient.domain,
            policy: recipient.policy,
        });
        let recipients: Vec<JudgedRecipient> = judged.collect();
        subject.judged(facts, recipients, &self.own, &self.suffixes)
    }

    /// What one recipient's verdict needs, of what can be asked.
    fn needs(&self, recipient: &Recipient, facts: &MessageFacts, subject: &Subject<'_>) -> Needs {
        let needs = match decide(facts, &recipient.facts, &recipient.policy) {
            Step::Need(needs) => needs,
            Step::Done(_) => Needs::default(),
        };
        needs.without(subject.left_open)
    }

    /// Asks for all that is needed at once.
    async fn ask(
        &self,
        subject: &Subject<'_>,
        facts: &mut MessageFacts,
        recipients: &mut [Recipient],
        needs: &[Needs],
    ) {
        let known: &MessageFacts = facts;
        let any = |group: Group| needs.iter().any(|needs| needs.has(group));
        let wants_origin = any(Group::Origin);
        let of_message = join4(
            when(
                any(Group::ReverseName) && !wants_origin,
                self.reverse_name(subject, known),
            ),
            when(wants_origin, self.origin(subject, known)),
            when(any(Group::Virus), self.scan(subject)),
            when(any(Group::Links), self.links(subject)),
        );
        let of_recipients = recipients.iter().zip(needs).map(|(recipient, needs)| {
            join4(
                when(needs.has(Group::Zones), self.listings(subject, known, recipient)),
                when(needs.has(Group::Standing), self.standing(subject, known, recipient)),
                when(needs.has(Group::Greylist), self.greylist(subject, known, recipient)),
                when(needs.has(Group::Junk), self.filtered(subject, recipient)),
            )
        });
        let ((iprev, origin, virus, links), of_recipients) = join(of_message, join_all(of_recipients)).await;
        for ((recipient, needs), (zones, standing, greylist, junk)) in
            recipients.iter_mut().zip(needs).zip(of_recipients)
        {
            if needs.has(Group::Rates) {
                recipient.facts.rates = memory::rates(subject, facts, recipient);
            }
            put(&mut recipient.facts.zones, zones);
            put(&mut recipient.facts.standing, standing);
            put(&mut recipient.facts.greylist, greylist);
            put(&mut recipient.facts.junk, junk);
        }
        put(&mut facts.origin.iprev, iprev);
        put(&mut facts.origin, origin);
        put(&mut facts.virus, virus);
        put(&mut facts.links, links);
        for recipient in recipients {
            recipient.look_up(&subject.client, facts);
        }
    }
}

/// The answer, if somebody asks.
async fn when<T>(asks: bool, answer: impl Future<Output = T>) -> Option<T> {
    match asks {
        true => Some(answer.await),
        false => None,
    }
}

/// What was asked for replaces what was known.
fn put<T>(fact: &mut T, answer: Option<T>) {
    if let Some(answer) = answer {
        *fact = answer;
    }
}

fn no_dns() -> Line {
    Line::literal("DNS is not asked")
}

fn dns_settings(config: &Config) -> Settings {
    let dns = &config.dns;
    Settings {
        servers: dns.servers.clone(),
        enabled: dns.enabled,
        trust_ad: dns.trust_ad,
        timeout_ms: dns.timeout_ms,
        cache_entries: dns.cache_entries,
    }
}

fn suffixes(file: Option<&Path>) -> Result<PublicSuffixes, (String, Option<String>)> {
    let Some(path) = file else {
        return Ok(PublicSuffixes::BuiltIn);
    };
    let hint = || Some("name a list in the form of publicsuffix.org, or leave `[auth] public_suffix_file` out".into());
    let trouble = |error: &dyn std::fmt::Display| (format!("{}: {error}", path.display()), hint());
    let text = std::fs::read_to_string(path).map_err(|error| trouble(&error))?;
    PublicSuffixes::parse(&text).map_err(|error| trouble(&error))
}
