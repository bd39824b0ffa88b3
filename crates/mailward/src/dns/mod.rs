//! DNS over the network: the [`Resolver`] of the daemon.
//!
//! It asks the name servers of the operator, or the system's, which resolve for us; it does not resolve or validate by
//! itself. Names are absolute: there is no search list and no hosts file. A question costs one query however many ask it
//! at once, and none while its answer holds. An asker that goes away changes nothing for the others. All of it is bounded:
//! the time and the number of queries, what is kept, and how much one message may ask at a time ([`Dns::within`]).
//!
//! Trouble is an answer, and never a reason to refuse by itself: a validating server says SERVFAIL of a forgery, and other
//! servers say it of many things.
//!
//! - `wire`: messages; the only file that knows hickory. - `exchange`: one query on the network. - `system`: resolv.conf.
//! - `cache`: answers that still hold. - `breaker`: whether the DNS is down. - `shares`: what each
//!   client network may have under way. - `limits`: what bounds all this.

mod breaker;
mod cache;
mod exchange;
mod limits;
mod shares;
mod system;
mod wire;

use crate::quarantine::Network;
use breaker::{Breaker, Gate};
use cache::Cache;
use exchange::{Fault, Servers};
use judge::resolver::{Answer, BoxFuture, Outcome, Question, Resolver, Security, Trouble};
use limits::{
    ALIASES_MAX, FLIGHTS_MAX, NEGATIVE_TTL_MAX_S, QUERIES_MAX, TIMEOUT_MAX_MS, TROUBLE_TTL_S, TTL_MAX_S, TTL_MIN_S,
};
use shares::Shares;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout_at};
use wire::{Found, Query};

/// What an operator can set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whom to ask, the preferred one first; nobody is the system's servers. More than eight are not all asked in time.
    pub servers: Vec<SocketAddr>,
    /// Without it every answer is [`Trouble::NoServer`].
    pub enabled: bool,
    /// The servers validate, and nobody can change what they say on its way here: they are on this machine or behind a
    /// trusted network (RFC 4035 §4.9.3). Then AD in their answers is believed.
    pub trust_ad: bool,
    /// For one question in all, in milliseconds: every server, every retry, TCP and CNAMEs included.
    pub timeout_ms: u64,
    /// How many answers are kept. One of more than 1 KiB counts as several.
    pub cache_entries: u64,
}

/// What has been asked, and what became of it, since the start. Questions that are in none of `cached`, `shared` and
/// `queried` were answered at once: there are no servers, or they are down, or far too many questions are under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Questions.
    pub asked: u64,
    /// Answered from memory.
    pub cached: u64,
    /// Answered by the query of another asker.
    pub shared: u64,
    /// Sent to a server; more than one query if there are CNAMEs or more servers.
    pub queried: u64,
    /// Sent, and answered by nobody in time.
    pub timed_out: u64,
    /// Sent, and in trouble otherwise.
    pub failed: u64,
}

/// The resolver. Cheap to clone; the clones share all they know. To be asked within a tokio runtime.
#[derive(Clone)]
pub struct Dns {
    inner: Arc<Inner>,
}

struct Inner {
    /// Empty: nobody is to be asked.
    servers: Servers,
    trust_ad: bool,
    timeout: Duration,
    cache: Cache,
    breaker: Breaker,
    /// Questions under way. Whoever waits for one has a receiver.
    flights: Mutex<HashMap<Question, watch::Receiver<Option<Answer>>>>,
    queries: Semaphore,
    shares: Shares,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    asked: AtomicU64,
    cached: AtomicU64,
    shared: AtomicU64,
    queried: AtomicU64,
    timed_out: AtomicU64,
    failed: AtomicU64,
}

/// The resolver for one purpose of one message: so many questions at a time, until then.
pub struct ForMessage<'a> {
    dns: &'a Dns,
    deadline: Instant,
    places: Semaphore,
    /// Those of all messages of the client's network; `None` for what is no client's.
    share: Option<Arc<Semaphore>>,
}

/// What one question has come to.
struct Landed {
    answer: Answer,
    ttl_s: u32,
    heard: Heard,
}

/// Whether there are servers that speak.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heard {
    Something,
    Nothing,
    /// Nobody was asked.
    NotAsked,
}

impl Dns {
    /// Opens a resolver. Without servers it opens too, and has no answer to anything.
    ///
    /// # Errors
    /// Settings that cannot work, in words.
    pub fn open(settings: &Settings) -> Result<Dns, String> {
        if !(1..=TIMEOUT_MAX_MS).contains(&settings.timeout_ms) {
            let given = settings.timeout_ms;
            return Err(format!(
                "the time for a DNS question is 1 to {TIMEOUT_MAX_MS} ms, not {given}"
            ));
        }
        let servers = match (settings.enabled, &*settings.servers) {
            (false, _) => Vec::new(),
            (true, []) => system_servers(),
            (true, servers) => servers.to_vec(),
        };
        let inner = Inner {
            servers: Servers::new(servers),
            trust_ad: settings.trust_ad,
            timeout: Duration::from_millis(settings.timeout_ms),
            cache: Cache::new(settings.cache_entries),
            breaker: Breaker::new(),
            flights: Mutex::default(),
            queries: Semaphore::new(QUERIES_MAX),
            shares: Shares::default(),
            counts: Counts::default(),
        };
        Ok(Dns { inner: Arc::new(inner) })
    }

    /// The same for one purpose of one message: when `deadline` is past, every answer is [`Trouble::Budget`], also to a
    /// question that is under way then. What `client`'s network has under way at one time is bounded for all its
    /// messages together. How many questions there are in all is for [`judge::resolver::Budgeted`] to bound.
    pub fn within(&self, deadline: Instant, client: Option<IpAddr>) -> ForMessage<'_> {
        ForMessage {
            dns: self,
            deadline,
            places: Semaphore::new(limits::AT_ONCE_MAX),
            share: client.map(|client| self.inner.shares.of(Network::of(client))),
        }
    }

    /// What has been asked so far.
    pub fn stats(&self) -> Stats {
        let counts = &self.inner.counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Stats {
            asked: read(&counts.asked),
            cached: read(&counts.cached),
            shared: read(&counts.shared),
            queried: read(&counts.queried),
            timed_out: read(&counts.timed_out),
            failed: read(&counts.failed),
        }
    }
}

fn system_servers() -> Vec<SocketAddr> {
    let text = std::fs::read_to_string(system::RESOLV_CONF).unwrap_or_default();
    let servers = system::servers(&text);
    if servers.is_empty() {
        tracing::warn!(
            "{} names no name server; mail is judged without DNS",
            system::RESOLV_CONF
        );
    }
    servers
}

fn count(what: &AtomicU64) {
    what.fetch_add(1, Ordering::Relaxed);
}

fn at_once<'a>(answer: Answer) -> BoxFuture<'a, Answer> {
    Box::pin(std::future::ready(answer))
}

impl Resolver for Dns {
    fn ask(&self, question: Question) -> BoxFuture<'_, Answer> {
        let inner = &self.inner;
        count(&inner.counts.asked);
        if inner.servers.is_empty() {
            return at_once(Answer::unavailable(Trouble::NoServer));
        }
        if let Some(answer) = inner.cache.get(&question, Instant::now()) {
            count(&inner.counts.cached);
            return at_once(answer);
        }
        Box::pin(inner.wait_for(question))
    }
}

impl Resolver for ForMessage<'_> {
    fn ask(&self, question: Question) -> BoxFuture<'_, Answer> {
        let late = Answer::unavailable(Trouble::Budget);
        if Instant::now() >= self.deadline {
            return at_once(late);
        }
        let asked = self.dns.ask(question);
        let deadline = self.deadline;
        Box::pin(async move {
            let in_turn = async {
                let _place = self.places.acquire().await;
                let _of_share = match &self.share {
                    Some(share) => share.acquire().await.ok(),
                    None => None,
                };
                asked.await
            };
            timeout_at(deadline, in_turn).await.unwrap_or(late)
        })
    }
}

impl Inner {
    /// The answer that a flight brings.
    async fn wait_for(self: &Arc<Inner>, question: Question) -> Answer {
        let mut told = match self.board(question) {
            Ok(told) => told,
            Err(answer) => return answer,
        };
        match told.wait_for(Option::is_some).await {
            Ok(answer) => answer.clone(),
            // The flight has died of a fault of ours.
            Err(_) => None,
        }
        .unwrap_or(Answer::unavailable(Trouble::ServerFailure))
    }

    /// Joins the flight for a question, or sends one off, or says at once what there is to say.
    fn board(self: &Arc<Inner>, question: Question) -> Result<watch::Receiver<Option<Answer>>, Answer> {
        let mut flights = self.flights();
        // It may have landed since the cache was asked; a flight lands there first.
        if let Some(answer) = self.cache.get(&question, Instant::now()) {
            count(&self.counts.cached);
            return Err(answer);
        }
        let silence = Answer::unavailable(Trouble::Timeout);
        if !flights.contains_key(&question) && flights.len() >= FLIGHTS_MAX {
            return Err(silence);
        }
        let gate = self.breaker.gate(Instant::now());
        if gate == Gate::Refuse {
            return Err(silence);
        }
        let told = match flights.get(&question) {
            Some(told) => {
                count(&self.counts.shared);
                told.clone()
            }
            None => {
                count(&self.counts.queried);
                let (tell, told) = watch::channel(None);
                flights.insert(question.clone(), told.clone());
                tokio::spawn(fly(self.clone(), question, tell));
                told
            }
        };
        match gate {
            Gate::Probe => Err(silence),
            Gate::Ask | Gate::Refuse => Ok(told),
        }
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Question, watch::Receiver<Option<Answer>>>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the servers, again where CNAMEs lead on.
    async fn look_up(&self, question: &Question) -> Landed {
        let deadline = Instant::now() + self.timeout;
        let Ok(Ok(_slot)) = timeout_at(deadline, self.queries.acquire()).await else {
            return Landed::trouble(Trouble::Timeout, Heard::NotAsked);
        };
        let Some(mut query) = Query::new(&question.name, question.kind, self.trust_ad) else {
            return Landed::trouble(Trouble::Malformed, Heard::NotAsked);
        };
        let (mut aliases, mut ttl_s, mut is_authentic) = (0, TTL_MAX_S, true);
        loop {
            let reply = match self.servers.exchange(&query, deadline).await {
                Ok(reply) => reply,
                // Who has answered the first part is not gone.
                Err(fault) if aliases > 0 => return Landed::trouble(fault.trouble(), Heard::Something),
                Err(fault) => return Landed::trouble(fault.trouble(), fault.heard()),
            };
            ttl_s = ttl_s.min(reply.ttl_s);
            is_authentic &= reply.is_authentic;
            let outcome = match reply.found {
                Found::Records(records) => Outcome::Records(records),
                Found::NoRecords => Outcome::NoRecords,
                Found::NoName => Outcome::NoName,
                Found::Elsewhere { next, followed } if aliases + followed <= ALIASES_MAX => {
                    aliases += followed;
                    query = next;
                    continue;
                }
                Found::Elsewhere { .. } | Found::Circle => {
                    return Landed::trouble(Trouble::Malformed, Heard::Something);
                }
            };
            let security = match (self.trust_ad, is_authentic) {
                (false, _) => Security::Unknown,
                (true, false) => Security::Insecure,
                (true, true) => Security::Secure,
            };
            return Landed::answer(Answer { outcome, security }, ttl_s);
        }
    }

    /// Whether the servers answer anything at all, if that is in doubt.
    async fn check(&self, heard: Heard) {
        match heard {
            Heard::Something => self.breaker.heard(),
            Heard::NotAsked => {}
            Heard::Nothing => {
                if !self.breaker.silent(Instant::now()) {
                    return;
                }
                let Some(query) = Query::root() else { return };
                match self.servers.exchange(&query, Instant::now() + self.timeout).await {
                    Err(fault) if fault.heard() == Heard::Nothing => self.breaker.down(Instant::now()),
                    Ok(_) | Err(_) => self.breaker.heard(),
                }
            }
        }
    }

    fn count_landed(&self, answer: &Answer) {
        match answer.trouble() {
            None => {}
            Some(Trouble::Timeout) => count(&self.counts.timed_out),
            Some(_) => count(&self.counts.failed),
        }
    }
}

/// Takes a question off the list, even if the flight dies.
struct Landing {
    inner: Arc<Inner>,
    question: Question,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.inner.flights().remove(&self.question);
    }
}

/// One question on its way, for all who ask it. It belongs to none of them.
async fn fly(inner: Arc<Inner>, question: Question, tell: watch::Sender<Option<Answer>>) {
    let landing = Landing { inner, question };
    let inner = landing.inner.clone();
    let landed = inner.look_up(&landing.question).await;
    inner.count_landed(&landed.answer);
    if landed.heard != Heard::NotAsked {
        let until = Instant::now() + Duration::from_secs(landed.ttl_s.into());
        inner.cache.put(landing.question.clone(), landed.answer.clone(), until);
    }
    drop(landing);
    // Nobody may be left who wants to know; the cache knows.
    let _ = tell.send(Some(landed.answer));
    inner.check(landed.heard).await;
}

impl Landed {
    fn answer(answer: Answer, ttl_s: u32) -> Landed {
        let ttl_max_s = match answer.outcome {
            Outcome::Records(_) => TTL_MAX_S,
            Outcome::NoRecords | Outcome::NoName | Outcome::Unavailable(_) => NEGATIVE_TTL_MAX_S,
        };
        Landed {
            answer,
            ttl_s: ttl_s.clamp(TTL_MIN_S, ttl_max_s),
            heard: Heard::Something,
        }
    }

    fn trouble(trouble: Trouble, heard: Heard) -> Landed {
        Landed {
            answer: Answer::unavailable(trouble),
            ttl_s: TROUBLE_TTL_S,
            heard,
        }
    }
}

impl Fault {
    fn trouble(self) -> Trouble {
        match self {
            Fault::Unreachable => Trouble::NoServer,
            Fault::Silent => Trouble::Timeout,
            Fault::Garbage => Trouble::Malformed,
            Fault::Failed => Trouble::ServerFailure,
        }
    }

    fn heard(self) -> Heard {
        match self {
            Fault::Unreachable | Fault::Silent => Heard::Nothing,
            Fault::Garbage | Fault::Failed => Heard::Something,
        }
    }
}

#[cfg(test)]
mod tests;
