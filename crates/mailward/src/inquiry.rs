//! Asks what a verdict needs: DNS for the origin, DNS lists, the virus scanner, what is remembered of the sender, and what
//! the message's links are like.
//!
//! [`Inquiry::judge`] lets [`judge::verdict::decide`] say what it needs, asks for it, and lets it decide again. So
//! nothing is asked that no verdict needs. Each purpose has its own time and its own number of questions, so that a
//! sender who makes one of them slow or costly gains nothing for another; what comes late is trouble, and the policy
//! decides what that means.

mod content;

use crate::body::Body;
use crate::config::Config;
use crate::dns::{Dns, Settings};
use crate::domains::DomainView;
use crate::filter::Filters;
use crate::virus::Clamd;
use crate::zones::ZoneHealth;
use futures_util::future::{join, join_all, join3, join4};
use judge::auth::author;
use judge::auth::dkim::DkimResult;
use judge::auth::dmarc::DmarcResult;
use judge::auth::iprev;
use judge::auth::org::PublicSuffixes;
use judge::auth::spf::SpfResult;
use judge::content::{Features, Names as FeatureNames};
use judge::dnsbl::{Target, Zone, ZoneFact};
use judge::evidence::{Fact, ForwarderHit, ListHit, ListProof, MessageFacts, Origin, RecipientFacts};
use judge::greylist::{GreylistFact, Stranger};
use judge::lists::Probe;
use judge::policy::Policy;
use judge::rates::{Rate, RateNetwork};
use judge::reputation::{
    self, AuthorClaim, History, HistoryUnavailable, Letter, Method, Repute, ReversePathClaim, Sender, Standing,
    networks,
};
use judge::resolver::Resolver;
use judge::verdict::{Needs, Step, Verdict, conclude, decide};
use judge::zone::ZoneFile;
use mail::{Address, Domain, Line, MailboxId, Message};
use signatures::gather::{self, Asked, Claims};
use signatures::{BodyHashes, Sealed};
use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::thread::available_parallelism;
use std::time::Duration;
use store::{GreylistKey, Sent, Store, StoreError};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

/// There are eight groups of facts; a verdict that still needs some after they were asked for never ends.
const ROUNDS_MAX: usize = 8;

/// How long memory may take for one question; it takes microseconds.
const MEMORY_MAX: Duration = Duration::from_secs(20);

/// Why nothing is asked of an author.
const UNPROVEN: &str = "it could not be proven who sent it";

/// As [`Sender`] has them: nothing is cut of a local part.
const LOCAL_CHARS_MAX: usize = 1000;

/// Whom we ask. Shared by all messages.
pub struct Inquiry {
    dns: Option<Dns>,
    dns_settings: Settings,
    zones: Arc<ZoneHealth>,
    clamd: Clamd,
    /// It was in trouble when it was asked last.
    clamd_in_trouble: AtomicBool,
    suffixes: Arc<PublicSuffixes>,
    receiver: String,
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

/// One message that is asked about.
pub struct Subject<'a> {
    /// Its header.
    pub message: &'a Message<'a>,
    /// All of it.
    pub body: &'a Arc<Body>,
    /// The client's address is that of a proxy that could not say who the client is.
    pub is_client_unknown: bool,
    /// What is remembered of correspondents, and where it is counted how often they come; nobody asks it, if `None`.
    pub memory: Option<&'a Store>,
    /// What mailboxes learned of content; nobody asks it, if `None`.
    pub filters: Option<&'a Filters>,
    /// It certainly came without encryption.
    pub is_plaintext: bool,
    /// What it is made of, once somebody asked.
    pub features: OnceLock<Features>,
    /// The same in words.
    pub names: OnceLock<FeatureNames>,
}

impl Subject<'_> {
    /// What it is made of, as far as its first octets tell.
    pub fn features(&self) -> &Features {
        self.features.get_or_init(|| Features::read(&self.body.head))
    }
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

/// One recipient's seat in the court: what is known of him, and his domain's rules.
pub struct Seat<'a> {
    /// What is known of him; grows.
    pub facts: &'a mut RecipientFacts,
    /// The rules.
    pub policy: &'a Policy,
    /// His domain's lists; `None` where nobody's are asked.
    pub view: Option<&'a DomainView>,
}

impl Inquiry {
    /// Opens what the configuration names. What is known of DNS lists is taken over from `before`, and what DNS remembers
    /// where its settings are the same.
    ///
    /// # Errors
    /// A message for the operator, and a hint.
    pub fn open(config: &Config, before: Option<Arc<Inquiry>>) -> Result<Inquiry, (String, Option<String>)> {
        let dns_settings = dns_settings(config);
        let dns = match config.dns.enabled {
            false => None,
            true => match before.as_ref().filter(|before| before.dns_settings == dns_settings) {
                Some(before) => before.dns.clone(),
                None => Some(Dns::open(&dns_settings).map_err(|error| (error, None))?),
            },
        };
        Ok(Inquiry {
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
            receiver: config.smtp.hostname.clone(),
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

    /// One verdict for each recipient, once what they need is known or known not to be had.
    pub async fn judge(&self, subject: &Subject<'_>, facts: &mut MessageFacts, seats: &mut [Seat<'_>]) -> Vec<Verdict> {
        let names = self.dns.as_ref().map(Names::Network);
        self.judge_with(subject, facts, seats, names).await
    }

    /// The same, asking `names`; nobody, if `None`.
    pub async fn judge_with(
        &self,
        subject: &Subject<'_>,
        facts: &mut MessageFacts,
        seats: &mut [Seat<'_>],
        names: Option<Names<'_>>,
    ) -> Vec<Verdict> {
        facts.origin.iprev = match names {
            _ if subject.is_client_unknown => Fact::Skipped(Line::literal("the client's address is not known")),
            Some(names) => {
                let resolver = names.within(self.times.reverse, Some(facts.client));
                Fact::Found(iprev::check(facts.client, &*resolver).await)
            }
            None => Fact::Unavailable(no_dns()),
        };
        facts.origin.author = Fact::Found(author::read(subject.message));
        for seat in &mut *seats {
            seat.relist(subject, facts);
        }
        for _ in 0..ROUNDS_MAX {
            let needs: Vec<Needs> = seats.iter().map(|seat| seat.needs(facts)).collect();
            if needs.iter().all(|needs| needs.is_empty()) {
                break;
            }
            self.ask(subject, facts, seats, &needs, names).await;
        }
        let judged = seats.iter().map(|seat| conclude(facts, seat.facts, seat.policy));
        judged.collect()
    }

    /// Asks for all that is needed at once.
    async fn ask(
        &self,
        subject: &Subject<'_>,
        facts: &mut MessageFacts,
        seats: &mut [Seat<'_>],
        needs: &[Needs],
        names: Option<Names<'_>>,
    ) {
        let known: &MessageFacts = facts;
        let any = |needed: fn(&Needs) -> bool| needs.iter().any(needed);
        let of_message = join3(
            when(any(|needs| needs.origin), self.origin_of(subject, known, names)),
            when(any(|needs| needs.virus), self.scan(subject.body)),
            when(any(|needs| needs.links), self.links(subject.body)),
        );
        let of_seats = seats.iter().zip(needs).map(|(seat, needs)| {
            join4(
                when(needs.zones, self.listings(subject, known, seat, names)),
                when(needs.standing, self.standing(subject, known, seat)),
                when(needs.greylist, self.greylist(subject, known, seat)),
                when(needs.junk, self.filtered(subject, seat)),
            )
        });
        let ((origin, virus, links), of_seats) = join(of_message, join_all(of_seats)).await;
        for ((seat, needs), (zones, standing, greylist, junk)) in seats.iter_mut().zip(needs).zip(of_seats) {
            if needs.rates {
                seat.facts.rates = rates(subject, facts, seat);
            }
            put(&mut seat.facts.zones, zones);
            put(&mut seat.facts.standing, standing);
            put(&mut seat.facts.greylist, greylist);
            put(&mut seat.facts.junk, junk);
        }
        put(&mut facts.origin, origin);
        put(&mut facts.virus, virus);
        put(&mut facts.links, links);
        for seat in seats {
            seat.relist(subject, facts);
        }
    }

    /// Who sent it; nothing can be had where nobody answers questions about names.
    async fn origin_of(&self, subject: &Subject<'_>, facts: &MessageFacts, names: Option<Names<'_>>) -> Origin {
        match names {
            Some(names) => self.origin(subject, facts, names).await,
            None => Origin {
                author: facts.origin.author.clone(),
                ..Origin::unavailable(&no_dns())
            },
        }
    }

    async fn origin(&self, subject: &Subject<'_>, facts: &MessageFacts, names: Names<'_>) -> Origin {
        let sealed = Sealed::read(subject.message);
        let iprev = facts.origin.iprev.clone();
        let bodies = match hash_body(&sealed, subject).await {
            Ok(bodies) => bodies,
            Err(error) => {
                tracing::error!(%error, "a message cannot be read back, so nothing of its origin is proven");
                let why = Line::literal("the message could not be read back");
                return Origin {
                    iprev,
                    ..Origin::unavailable(&why)
                };
            }
        };
        let author = match &facts.origin.author {
            Fact::Found(author) => author.clone(),
            Fact::NotAsked | Fact::Skipped(_) | Fact::Unavailable(_) => author::read(subject.message),
        };
        let claims = Claims {
            client: (!subject.is_client_unknown).then_some(facts.client),
            helo: facts.helo.as_str(),
            reverse_path: &facts.reverse_path,
            author: &author,
            receiver: &self.receiver,
            now_s: facts.received_s,
            lot: lot(subject.body),
        };
        let (proofs, wishes) = (
            names.within(self.times.proofs, Some(facts.client)),
            names.within(self.times.wishes, Some(facts.client)),
        );
        let asked = Asked {
            proofs: &*proofs,
            wishes: &*wishes,
            questions_max: self.questions_max,
        };
        gather::origin(claims, &sealed, &bodies, iprev, &self.suffixes, asked).await
    }

    /// What the recipient's mailbox remembers of the sender. Where DNS could not say who that is, nothing is asked of the
    /// author: a friend must not count as a forger because a server was down.
    async fn standing(&self, subject: &Subject<'_>, facts: &MessageFacts, seat: &Seat<'_>) -> Fact<Standing> {
        let Some(memory) = subject.memory else {
            return Fact::Skipped(Line::literal("no history is asked"));
        };
        let dmarc = facts.origin.dmarc.found().map(|dmarc| dmarc.result);
        let mut sender = self.sender(facts, seat.facts);
        let is_proven = match dmarc {
            None => return Fact::Skipped(Line::literal(UNPROVEN)),
            Some(DmarcResult::TempError) => false,
            Some(_) => true,
        };
        if !is_proven {
            sender.author = None;
        }
        let (mailbox, now_s) = (seat.facts.mailbox.clone(), facts.received_s);
        let asks_others = self.shared_history;
        let walked = memory.reader().consult(move |history| {
            Box::pin(async move { reputation_of(&sender, &mailbox, history, now_s, asks_others).await })
        });
        match in_time(walked).await {
            Ok(Ok(standing)) if is_proven => Fact::Found(standing),
            Ok(Ok(standing)) => of_the_unproven(&standing),
            Ok(Err(unavailable)) => Fact::Unavailable(unavailable.0),
            Err(why) => Fact::Unavailable(why),
        }
    }

    /// What the domain's DNS lists say.
    async fn listings(
        &self,
        subject: &Subject<'_>,
        facts: &MessageFacts,
        seat: &Seat<'_>,
        names: Option<Names<'_>>,
    ) -> Fact<Vec<ZoneFact>> {
        let Some(names) = names else {
            return Fact::Unavailable(no_dns());
        };
        let zones = askable(&seat.policy.zones, subject.is_client_unknown);
        let domains = domains_of(facts);
        // Whether a list works serves all messages, so it is no part of what this one may ask.
        let (resolver, tester) = (
            names.within(self.times.wishes, Some(facts.client)),
            names.within(self.times.wishes, None),
        );
        let listings = self
            .zones
            .look_up_all(&zones, facts.client, &domains, &*resolver, &*tester);
        Fact::Found(listings.await)
    }

    /// How often a stranger has come to this mailbox; his try is counted.
    async fn greylist(&self, subject: &Subject<'_>, facts: &MessageFacts, seat: &Seat<'_>) -> Fact<GreylistFact> {
        let Some(memory) = subject.memory else {
            return Fact::Skipped(Line::literal("nobody is counted"));
        };
        let sender = self.sender(facts, seat.facts);
        let Some(stranger) = Stranger::of(&sender, &facts.reverse_path) else {
            return Fact::Skipped(Line::literal("nobody can be told from others"));
        };
        let key = greylist_key(&seat.facts.mailbox, &stranger);
        let (now_s, times) = (facts.received_s, &seat.policy.checks.greylist_times);
        let until = |seconds: u32| now_s.saturating_add(i64::from(seconds));
        let seen = match in_time(memory.greylist_seen(key, now_s, until(times.window_s))).await {
            Ok(seen) => seen,
            Err(why) => return Fact::Unavailable(why),
        };
        let has_passed = seen.passed_s.is_some();
        if has_passed || times.left_s(seen.first_s, seen.tries, now_s) == 0 {
            let passed = memory.greylist_pass(key, now_s, until(times.lifetime_s));
            if let Err(why) = in_time(passed).await {
                return Fact::Unavailable(why);
            }
        }
        Fact::Found(GreylistFact {
            stranger,
            first_s: seen.first_s,
            tries: seen.tries,
            has_passed,
        })
    }

    /// By which names a message is known, and the author's local part: what a label of it is filed under.
    pub fn sender(&self, facts: &MessageFacts, recipient: &RecipientFacts) -> Sender {
        let forwarded = recipient.forwarder.as_ref().is_some_and(|hit| hit.is_proven);
        Sender::of(facts, &self.suffixes, forwarded)
    }

    /// The same of a letter that came before the gateway did.
    pub fn sender_of(&self, letter: &Letter) -> Sender {
        letter.sender(&self.suffixes)
    }

    /// Somebody to whom only these things are known: for questions of people about a sender.
    pub fn supposed(&self, address: &Address, client: Option<IpAddr>, is_proven: bool) -> Option<Sender> {
        let domain = address.domain()?.clone();
        let line = |text: &str| Line::clean(text.as_bytes(), LOCAL_CHARS_MAX);
        let (local, written) = (line(&address.local().folded()), line(address.local().as_str()));
        Some(Sender {
            author: Some(AuthorClaim {
                local: local.clone(),
                written,
                organization: self.suffixes.organizational(&domain),
                domain: domain.clone(),
                is_validated: is_proven,
            }),
            reverse_path: Some(ReversePathClaim {
                local,
                domain: domain.clone(),
                is_validated: is_proven,
            }),
            helo: None,
            dkim: if is_proven { vec![domain] } else { Vec::new() },
            networks: client.map_or([None; 3], |client| networks(client).map(Some)),
        })
    }

    /// That a mailbox's owner wrote to somebody; nothing for an address literal.
    pub fn sent_to(&self, mailbox: &MailboxId, address: &Address, at_s: i64) -> Option<Sent> {
        let domain = address.domain()?;
        Some(Sent {
            mailbox: mailbox.clone(),
            local: Line::clean(address.local().as_str().as_bytes(), LOCAL_CHARS_MAX),
            domain: domain.clone(),
            organization: Some(self.suffixes.organizational(domain)),
            at_s,
        })
    }
}

impl Seat<'_> {
    fn needs(&self, facts: &MessageFacts) -> Needs {
        match decide(facts, self.facts, self.policy) {
            Step::Need(needs) => needs,
            Step::Done(_) => Needs::default(),
        }
    }

    /// What the lists say, now that more is known of the client.
    fn relist(&mut self, subject: &Subject<'_>, facts: &MessageFacts) {
        let Some(view) = self.view else { return };
        let name = facts.origin.listed_name();
        let client = listed_ip(facts.client, subject.is_client_unknown);
        self.facts.blacklisted = view.blacklisted(&Probe {
            client,
            reverse_name: name.as_ref(),
            reverse_path: &facts.reverse_path,
        });
        self.facts.forwarder = forwarder(view, client, facts);
        self.facts.listed = list(view, facts);
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

/// A store that does not answer is one that is down.
async fn in_time<T>(asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, Line> {
    match timeout(MEMORY_MAX, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Line::reason(error.to_string().as_bytes())),
        Err(_) => Err(Line::literal("the store does not answer")),
    }
}

/// Whoever makes DNS fail on purpose shall not come in with it: a message of whose author nobody can say whether he is
/// proven waits, if junk is known for certain of what is proven beside him. No good name counts.
fn of_the_unproven(standing: &Standing) -> Fact<Standing> {
    if !(standing.is_conclusive && standing.verdict == Some(Repute::Junk)) {
        return Fact::Skipped(Line::literal(UNPROVEN));
    }
    let text = format!(
        "{UNPROVEN}, and this mailbox knows junk of the same origin ({})",
        standing.method
    );
    Fact::Unavailable(Line::reason(text.as_bytes()))
}

/// The table, and where it knows nothing what other mailboxes say.
pub async fn reputation_of(
    sender: &Sender,
    mailbox: &MailboxId,
    history: &dyn History,
    now_s: i64,
    asks_others: bool,
) -> Result<Standing, HistoryUnavailable> {
    let mut standing = reputation::standing(sender, mailbox, history, now_s).await?;
    if asks_others && standing.method == Method::None {
        standing.shared = reputation::shared(sender, mailbox, history, now_s).await?;
    }
    Ok(standing)
}

/// What the mailbox got from the client's networks before; the message is counted, unless that is too much.
fn rates(subject: &Subject<'_>, facts: &MessageFacts, seat: &Seat<'_>) -> Fact<Vec<(RateNetwork, Rate)>> {
    let Some(memory) = subject.memory else {
        return Fact::Skipped(Line::literal("nobody is counted"));
    };
    if subject.is_client_unknown {
        return Fact::Skipped(Line::literal("the client's address is not known"));
    }
    let masked = networks(facts.client).into_iter().zip(1_u8..);
    let networks: Vec<RateNetwork> = masked.map(|(address, width)| RateNetwork { width, address }).collect();
    let (octets, limits) = (facts.content.size_octets, &seat.policy.checks.rate_limits);
    let mut before = Vec::new();
    memory.rate_count(&seat.facts.mailbox, &networks, facts.received_s, octets, |rates| {
        before = networks.iter().copied().zip(rates.iter().copied()).collect();
        limits.passed(&before, octets).is_none()
    });
    Fact::Found(before)
}

/// A stranger at a mailbox.
fn greylist_key(mailbox: &MailboxId, stranger: &Stranger) -> GreylistKey {
    let mut hasher = blake3::Hasher::new();
    hasher.update(mailbox.to_string().as_bytes());
    match stranger {
        Stranger::Domain(domain) => hasher.update(b"\0domain\0").update(domain.as_str().as_bytes()),
        Stranger::Network { network, reverse_path } => hasher
            .update(b"\0network\0")
            .update(network.to_string().as_bytes())
            .update(&[0])
            .update(reverse_path.as_str().as_bytes()),
    };
    let mut key = [0; 16];
    hasher.finalize_xof().fill(&mut key);
    GreylistKey::new(key)
}

/// A mailing list that may write here and vouches for the message.
fn list(view: &DomainView, facts: &MessageFacts) -> Option<ListHit> {
    let origin = &facts.origin;
    let hit = |domain: &Domain, proof| {
        let domain = domain.clone();
        view.allows_list(&domain).then_some(ListHit { domain, proof })
    };
    let signatures = origin.dkim.found().into_iter().flatten();
    let passing = signatures.filter(|signature| signature.result == DkimResult::Pass);
    let mut signers = passing.filter_map(|signature| signature.domain.as_ref());
    let passes = origin
        .spf_mail_from
        .found()
        .is_some_and(|spf| spf.result == SpfResult::Pass);
    // Of a null reverse-path SPF speaks of the HELO name.
    let path = facts.reverse_path.domain().filter(|_| passes);
    signers
        .find_map(|domain| hit(domain, ListProof::Dkim))
        .or_else(|| hit(path?, ListProof::Spf))
}

/// The address by which lists know a client: where a proxy could not say who it is, one that stands in no list, for the
/// proxy's own may stand in some.
pub fn listed_ip(client: IpAddr, is_unknown: bool) -> IpAddr {
    if is_unknown {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        client
    }
}

/// The lists that can be asked: none of addresses where a proxy could not say who the client is, for the proxy's own
/// address may stand in some.
fn askable(zones: &[Zone], is_client_unknown: bool) -> Cow<'_, [Zone]> {
    if !is_client_unknown {
        return Cow::Borrowed(zones);
    }
    let of_domains = zones.iter().filter(|zone| zone.target == Target::Domain);
    Cow::Owned(of_domains.cloned().collect())
}

fn forwarder(view: &DomainView, client: IpAddr, facts: &MessageFacts) -> Option<ForwarderHit> {
    let forwarders = view.forwarders();
    let hit = |name: &str, is_proven| ForwarderHit {
        name: Line::reason(name.as_bytes()),
        is_proven,
    };
    if forwarders.matches_ip(client) {
        return Some(hit(&client.to_string(), true));
    }
    let name = facts.origin.iprev.found().and_then(|iprev| iprev.name.as_ref());
    if let Some(name) = name.filter(|name| forwarders.matches_name(name.as_str())) {
        return Some(hit(name.as_str(), true));
    }
    // Who has another name, and proves it, is not whom it says in HELO.
    let helo = facts.helo.as_str();
    (name.is_none() && forwarders.matches_name(helo)).then(|| hit(helo, false))
}

/// The domains that lists of domains are asked about: the sender's and the author's.
fn domains_of(facts: &MessageFacts) -> Vec<Domain> {
    let author = facts.origin.author.found().and_then(|author| match author {
        author::Author::One { domain, .. } => Some(domain),
        author::Author::None | author::Author::Several(_) | author::Author::Unreadable(_) => None,
    });
    let mut domains: Vec<Domain> = facts.reverse_path.domain().into_iter().chain(author).cloned().collect();
    domains.dedup();
    domains
}

/// A number from 0 to 99 for DMARC's `pct`: the same for one message as long as this process runs, and for nobody else to
/// choose.
fn lot(body: &Body) -> u8 {
    static KEY: OnceLock<[u8; 32]> = OnceLock::new();
    let key = KEY.get_or_init(|| {
        let mut key = [0; 32];
        // Without chance the share is known, and still the share that was asked for.
        let _ = getrandom::fill(&mut key);
        key
    });
    let hash = blake3::keyed_hash(key, body.digest().as_bytes());
    let [a, b, c, d, ..] = *hash.as_bytes();
    (u32::from_le_bytes([a, b, c, d]) % 100) as u8
}

/// What is past the head lies in a file, which is read where waiting for the disk holds nobody up.
async fn hash_body(sealed: &Sealed<'_>, subject: &Subject<'_>) -> std::io::Result<BodyHashes> {
    let mut hasher = sealed.hasher();
    if sealed.is_empty() {
        return Ok(hasher.finish());
    }
    hasher.update(subject.message.body());
    if subject.body.tail.is_none() {
        return Ok(hasher.finish());
    }
    let body = Arc::clone(subject.body);
    let rest = move || {
        if let Some(tail) = &body.tail {
            tail.each_block(|block| {
                hasher.update(block);
                std::io::Result::Ok(())
            })?;
        }
        Ok(hasher.finish())
    };
    tokio::task::spawn_blocking(rest).await.map_err(std::io::Error::other)?
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
