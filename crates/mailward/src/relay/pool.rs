//! The connections to one mail server: so many at one time and no more, and kept to be used again.

use super::connection::{Connection, Dialect, Settings, Trouble};
use super::transaction::{Envelope, failed};
use super::{Delay, Delivery, Parcel, tls};
use crate::metrics::METRICS;
use mail::Severity;
use mail::smtp::client::Origin;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

/// A kept connection is closed after this much silence; servers end theirs after 5 minutes or less.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// One that can serve a single client only (XCLIENT) is of use if that client has more mail just now.
const IDLE_BOUND_MAX: Duration = Duration::from_secs(5);
/// Exim delivers at once what comes first over a connection, and leaves the rest to its queue runner
/// (`smtp_accept_queue_per_connection`, 10 by default), half an hour later with Debian's settings.
const TRANSACTIONS_MAX: u32 = 10;

#[derive(Debug)]
pub(super) struct Pool {
    settings: Arc<Settings>,
    /// Made at the first connection, since it reads files. Not kept if that fails: the operator may mend them.
    tls: OnceLock<Option<tls::Client>>,
    idle: Mutex<Vec<Connection>>,
    room: Semaphore,
    is_failing: Change,
    is_plain: Change,
}

impl Pool {
    pub(super) fn new(settings: Settings) -> Pool {
        Pool {
            tls: OnceLock::new(),
            idle: Mutex::default(),
            room: Semaphore::new(settings.connections_max),
            settings: Arc::new(settings),
            is_failing: Change::default(),
            is_plain: Change::default(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.idle().is_empty()
    }

    pub(super) fn close_idle(&self) {
        self.idle().retain(is_fresh);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One answer for each recipient.
    pub(super) async fn deliver(&self, parcel: Parcel<'_>) -> Vec<Delivery> {
        let until = parcel.deadline.answer.min(Instant::now() + self.settings.reply);
        let Ok(_room) = timeout_at(until, self.room.acquire()).await else {
            return parcel.all(|| Delivery::Later(Delay::literal("all connections to the next hop are busy")));
        };
        match self.transact(&parcel).await {
            Ok((deliveries, broken)) => {
                self.note(broken.as_ref());
                deliveries
            }
            Err(Trouble::Answered(reply)) => {
                self.note(None);
                match reply.severity() {
                    Severity::Permanent => parcel.all(|| Delivery::Refused(reply.clone())),
                    _ => parcel.all(|| Delivery::Later(Delay::said(&reply))),
                }
            }
            Err(Trouble::Broken(error)) => {
                self.note(Some(&error));
                parcel.all(|| Delivery::Later(failed(&error)))
            }
            Err(Trouble::Unsafe(error)) => {
                self.note(Some(&error));
                parcel.all(|| Delivery::Later(Delay::failed("the next hop cannot be spoken to by TLS", &error)))
            }
        }
    }

    /// One line in the log when the next hop fails, and one when it is well again; not one for each message.
    fn note(&self, error: Option<&io::Error>) {
        let next_hop = &self.settings.endpoint;
        match (error, self.is_failing.set(error.is_some())) {
            (Some(error), true) => tracing::warn!(%next_hop, %error, "the next hop failed"),
            (Some(error), false) => tracing::debug!(%next_hop, %error, "the next hop failed again"),
            (None, true) => tracing::info!(%next_hop, "the next hop is well again"),
            (None, false) => {}
        }
    }

    /// Runs the transaction, on a kept connection if there is one. A kept connection that the server closed in the
    /// meantime is noticed before the message was sent, and replaced by a new one.
    async fn transact(&self, parcel: &Parcel<'_>) -> Result<(Vec<Delivery>, Option<io::Error>), Trouble> {
        if let Some(mut connection) = self.take_idle(parcel.origin.as_ref()) {
            match begin(&mut connection, parcel).await {
                Ok(envelope) => {
                    let ended = connection.finish(parcel, envelope).await;
                    self.keep(connection);
                    return Ok(ended);
                }
                Err(Trouble::Broken(error) | Trouble::Unsafe(error)) => {
                    tracing::debug!(%error, "a kept connection was gone");
                }
                // 421: the server closes; anything else is its answer.
                Err(Trouble::Answered(reply)) if reply.code() == 421 => {}
                Err(trouble) => {
                    self.keep(connection);
                    return Err(trouble);
                }
            }
        }
        let failed = |_: &Trouble| METRICS.hops.connect_failed();
        let mut connection = in_time(parcel, self.connect()).await.inspect_err(failed)?;
        match begin(&mut connection, parcel).await {
            Ok(envelope) => {
                let ended = connection.finish(parcel, envelope).await;
                self.keep(connection);
                Ok(ended)
            }
            Err(Trouble::Answered(reply)) => {
                self.keep(connection);
                Err(Trouble::Answered(reply))
            }
            Err(trouble) => Err(trouble),
        }
    }

    fn keep(&self, mut connection: Connection) {
        connection.transactions += 1;
        let is_spent = self.settings.dialect == Dialect::Smtp && connection.transactions >= TRANSACTIONS_MAX;
        if !is_spent && connection.is_quiet() {
            connection.touch();
            self.idle().push(connection);
        }
    }

    /// A kept connection, one that speaks for the same client if there is one: XCLIENT costs two round trips.
    fn take_idle(&self, origin: Option<&Origin<'_>>) -> Option<Connection> {
        let mut idle = self.idle();
        loop {
            let same = idle.iter().rposition(|connection| connection.knows(origin));
            let at = same.or_else(|| idle.iter().rposition(|connection| connection.can_be_told_of(origin)))?;
            let mut connection = idle.remove(at);
            if is_fresh(&connection) && connection.is_quiet() {
                return Some(connection);
            }
        }
    }

    /// Closes the kept connections that were used least lately, so that with those in use and the one to come there
    /// are not more than the next hop shall have.
    fn make_room(&self) {
        let in_use = self.settings.connections_max - self.room.available_permits().min(self.settings.connections_max);
        let mut idle = self.idle();
        let excess = (idle.len() + in_use).saturating_sub(self.settings.connections_max);
        let excess = excess.min(idle.len());
        idle.drain(..excess);
    }

    /// RFC 3207 §4.1 leaves to the client what it does when TLS cannot be had. Where the certificate does not matter,
    /// mail in plaintext is better than no mail; the handshake has spoilt the connection, so on another one.
    async fn connect(&self) -> Result<Connection, Trouble> {
        self.make_room();
        let client = self.tls().await.map_err(Trouble::Unsafe)?;
        let next_hop = &self.settings.endpoint;
        match Connection::open(&self.settings, client).await {
            Err(Trouble::Unsafe(error)) if !self.settings.tls.is_strict() => {
                if self.is_plain.set(true) {
                    tracing::warn!(%next_hop, %error, "STARTTLS failed; mail goes to the next hop in plaintext");
                }
                Connection::open(&self.settings, None).await
            }
            opened => {
                if opened.is_ok() && self.is_plain.set(false) {
                    tracing::info!(%next_hop, "STARTTLS works again");
                }
                opened
            }
        }
    }

    async fn tls(&self) -> io::Result<Option<&tls::Client>> {
        if let Some(client) = self.tls.get() {
            return Ok(client.as_ref());
        }
        let policy = self.settings.tls.clone();
        let made = tokio::task::spawn_blocking(move || tls::Client::new(&policy)).await;
        let client = made.unwrap_or_else(|_| Err(io::Error::other("the certificates cannot be read")))?;
        Ok(self.tls.get_or_init(|| client).as_ref())
    }
}

async fn begin(connection: &mut Connection, parcel: &Parcel<'_>) -> Result<Envelope, Trouble> {
    in_time(parcel, connection.begin(parcel)).await
}

/// As long as nothing of the message was sent, being late loses nothing.
async fn in_time<T>(parcel: &Parcel<'_>, step: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, "it took too long");
    timeout_at(parcel.deadline.answer, step).await.map_err(|_| late())?
}

fn is_fresh(connection: &Connection) -> bool {
    let most = if connection.is_bound() {
        IDLE_BOUND_MAX
    } else {
        IDLE_MAX
    };
    connection.idle_time() < most
}

/// A state whose changes are told, and nothing in between.
#[derive(Debug, Default)]
struct Change(AtomicBool);

impl Change {
    /// Whether it was different before.
    fn set(&self, now: bool) -> bool {
        self.0.swap(now, Ordering::Relaxed) != now
    }
}
