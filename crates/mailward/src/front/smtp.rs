//! The SMTP door: sockets and timeouts around [`mail::smtp::server::Session`].
//!
//! A connection that waits costs little: it holds no buffer, since octets are read into one that belongs to the thread.
//! Whatever goes wrong in one connection ends that connection alone, with a reply. A panic of ours does so too: while a
//! message is worked on it is answered 421; while octets are read, the connection is closed without a word.

use super::intake::{Intake, TAKE_FROM_OCTETS};
use super::tls::Tls;
use super::wire::Wire;
use crate::body::Body;
use crate::config::{Limits, Listener, ListenerTls};
use crate::gateway::{Arrival, BodyRoom, Envelope, Gateway, Guest, Runtime, Ticket, log_refused};
use crate::metrics::METRICS;
use crate::observe::Turned;
use jiff::Zoned;
use mail::proxy;
use mail::smtp::nul::Nuls;
use mail::smtp::refusal::Refusal;
use mail::smtp::server::{Ask, Expects, MessageNumber, Session, Transaction};
use mail::smtp::xclient::XclientAttributes;
use mail::{Line, Reply};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// How long a client that is turned away may take to read why.
const FAREWELL: Duration = Duration::from_secs(2);
/// How many clients may be read why at one time; past it they are cut off.
const FAREWELLS_MAX: usize = 100;
/// Pause after the system could not accept a connection (no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often that is logged while it lasts.
const FAILURES_EVERY: Duration = Duration::from_secs(60);
/// Transfers shorter than this are not measured.
const RATE_GRACE: Duration = Duration::from_secs(60);
/// Time for a balancer to say for whom it speaks.
const PROXY_HEADER: Duration = Duration::from_secs(10);

/// What all connections shall do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Go on.
    No,
    /// Finish the message that is on its way, begin nothing.
    Drain,
    /// End, with an answer.
    Now,
}

/// One open door.
pub struct Door {
    /// Where clients come in.
    pub listener: TcpListener,
    /// What it is configured to be.
    pub kind: Listener,
    /// Our certificate.
    pub tls: Tls,
}

/// Accepts connections until `stop` says so.
pub async fn listen(door: Door, gateway: Arc<Gateway>, mut stop: watch::Receiver<Stop>) {
    let Door { listener, kind, tls } = door;
    let mut failures = Failures::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop != Stop::No) => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let visit = visit(stream, peer, kind.clone(), tls.clone(), gateway.clone(), stop.clone());
                tokio::spawn(visit);
            }
            Err(error) => {
                failures.tell(&error);
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Connections that the system could not give us. It says so ten times a second while it cannot; the log hears of it once
/// a minute.
#[derive(Default)]
struct Failures {
    told: Option<Instant>,
    untold: u64,
}

impl Failures {
    fn tell(&mut self, error: &io::Error) {
        self.untold += 1;
        if self.told.is_none_or(|told| told.elapsed() >= FAILURES_EVERY) {
            tracing::warn!(%error, failures = self.untold, "cannot accept a connection");
            *self = Failures {
                told: Some(Instant::now()),
                untold: 0,
            };
        }
    }
}

async fn visit(
    stream: TcpStream,
    peer: SocketAddr,
    kind: Listener,
    tls: Tls,
    gateway: Arc<Gateway>,
    mut stop: watch::Receiver<Stop>,
) {
    let runtime = gateway.runtime();
    let _ = stream.set_nodelay(true);
    let (guest, place) = match unless_stopped(&mut stop, received(&stream, peer, &kind, &gateway, &runtime)).await {
        Ok(received) => received,
        Err(error) => {
            let error = Some(format!("no PROXY header: {error}"));
            let turned = Turned::new(Refusal::ProxyHeader, "connect", peer.ip());
            return Turned { error, ..turned }.log();
        }
    };
    let mut visit = Visit::new(stream, guest, tls, gateway, runtime);
    if kind.tls == ListenerTls::Implicit {
        // Who is turned away is not worth a handshake, and without one there is no way to say why.
        if let Err(reply) = place {
            return tracing::debug!(client = %visit.guest.client, reply = reply.text(), "turned away");
        }
        if visit.encrypt(&mut stop).await.is_err() {
            return;
        }
    } else if kind.tls == ListenerTls::Starttls {
        visit.session.offer_tls();
    }
    visit.welcome(place, &mut stop).await;
    // A broken connection needs no answer; the session's own end was answered.
    if Guarded(Box::pin(visit.run(&mut stop))).await.is_err() {
        let text = Line::literal("Internal error, please try again later");
        visit.session.fail(Reply::new(421, (4, 3, 0), text));
        let _ = visit.flush().await;
        tracing::error!(client = %visit.guest.client, "a fault of ours ended this connection; please report it with the lines above");
    }
}

/// What is waited for before the session begins ends when the daemon does.
async fn unless_stopped<T>(
    stop: &mut watch::Receiver<Stop>,
    wait: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    tokio::select! {
        done = wait => done,
        _ = stop.wait_for(|stop| *stop >= Stop::Drain) => Err(io::Error::other("stopping")),
    }
}

/// Who comes in, and its place or why there is none. The place is taken before anything is waited for: those who say
/// nothing are counted too.
async fn received(
    stream: &TcpStream,
    peer: SocketAddr,
    kind: &Listener,
    gateway: &Gateway,
    runtime: &Runtime,
) -> io::Result<(Guest, Result<Ticket, Reply>)> {
    let (doors, limits) = (gateway.doors(), &runtime.config.limits);
    if !kind.proxy {
        return Ok((Guest::new(peer.ip(), &runtime.config), doors.enter(peer.ip(), limits)));
    }
    let mut ticket = match doors.enter_unnamed(limits) {
        Ok(ticket) => ticket,
        Err(reply) => return Ok((Guest::unknown(peer.ip()), Err(reply))),
    };
    let guest = presented(stream, peer, runtime).await?;
    let place = ticket.name(guest.client, limits).map(|()| ticket);
    Ok((guest, place))
}

/// For whom a balancer speaks.
async fn presented(stream: &TcpStream, peer: SocketAddr, runtime: &Runtime) -> io::Result<Guest> {
    match timeout(PROXY_HEADER, proxy_header(stream))
        .await
        .map_err(|_| io::ErrorKind::TimedOut)??
    {
        proxy::Header::Proxied { source, .. } => Ok(Guest::new(source.ip(), &runtime.config)),
        // The balancer's own connection, for its health checks: it has the rights of nobody.
        proxy::Header::Unproxied => Ok(Guest::unknown(peer.ip())),
    }
}

/// Consumes the header and nothing behind it, which may belong to TLS.
async fn proxy_header(stream: &TcpStream) -> io::Result<proxy::Header> {
    let mut parser = proxy::Parser::default();
    let mut peeked = [0; 256];
    loop {
        let there = stream.peek(&mut peeked).await?;
        if there == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut input = &peeked[..there];
        let parsed = parser
            .feed(&mut input)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        let mut used = there - input.len();
        while used > 0 {
            stream.readable().await?;
            match stream.try_read(&mut peeked[..used]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => used -= read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        if let Some(header) = parsed {
            return Ok(header);
        }
    }
}

/// A future whose panic is an error and ends it alone.
struct Guarded<'a>(Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>>);

/// The future panicked; the panic's own message is on standard error.
struct Panicked;

impl Future for Guarded<'_> {
    type Output = Result<io::Result<()>, Panicked>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let future = &mut self.0;
        match std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    }
}

/// One connection.
struct Visit {
    wire: Wire,
    tls: Tls,
    gateway: Arc<Gateway>,
    runtime: Arc<Runtime>,
    session: Session,
    guest: Guest,
    envelope: Envelope,
    intake: Intake,
    room: BodyRoom,
    ticket: Option<Ticket>,
    /// Octets that were read behind something that had to be done first.
    rest: Vec<u8>,
    /// When the message that is being received began, and how much of it came.
    transfer: Option<(Instant, u64)>,
    /// When we last said something, so that a command's time begins.
    spoke: Instant,
    end: Instant,
}

/// What must be done before more octets are consumed.
enum Step {
    /// Nothing.
    None,
    /// The client has gone.
    Closed,
    /// Keep what gathered of a large message elsewhere.
    Take,
    /// A message is whole.
    Message(Box<Whole>),
    /// The client wants TLS.
    Tls,
    /// A trusted proxy says who the client is.
    Xclient(Box<XclientAttributes>),
}

/// A message whose end has come.
struct Whole {
    transaction: Transaction,
    number: MessageNumber,
    last: Vec<u8>,
    /// Where NULs stood in it.
    nuls: Nuls,
    /// Why it is refused, whoever it is for, and the reply.
    fault: Option<(Refusal, Reply)>,
}

impl Visit {
    fn new(stream: TcpStream, guest: Guest, tls: Tls, gateway: Arc<Gateway>, runtime: Arc<Runtime>) -> Visit {
        let now = Instant::now();
        let mut session = Session::new(runtime.session.clone());
        if guest.is_trusted {
            session.trust_xclient();
        }
        Visit {
            wire: Wire::Plain(stream),
            tls,
            envelope: Envelope::new(guest.clone()),
            intake: Intake::new(runtime.spool_dir.clone()),
            room: BodyRoom::new(gateway.doors().clone()),
            end: now + Duration::from_secs(runtime.config.limits.session_timeout_s),
            session,
            guest,
            gateway,
            runtime,
            ticket: None,
            rest: Vec::new(),
            transfer: None,
            spoke: now,
        }
    }

    /// Greets, or turns away. A client that speaks before it is greeted is noted.
    async fn welcome(&mut self, place: Result<Ticket, Reply>, stop: &mut watch::Receiver<Stop>) {
        match place {
            Ok(ticket) => {
                self.ticket = Some(ticket);
                // Who stops it meanwhile has the session say so.
                let _ = unless_stopped(stop, async {
                    self.listen_first().await;
                    Ok(())
                })
                .await;
                self.session.greet();
            }
            Err(reply) => {
                tracing::debug!(client = %self.guest.client, reply = reply.text(), "turned away");
                self.session.refuse(&reply);
            }
        }
    }

    /// RFC 5321 §4.3.1: a client must wait for the greeting. Known hosts need not show it.
    async fn listen_first(&mut self) {
        let delay = Duration::from_millis(self.runtime.config.smtp.greet_delay_ms);
        if self.guest.is_relayed || self.guest.is_trusted {
            return;
        }
        if let Some(stream) = self.wire.plain()
            && let Ok(Ok(1)) = timeout(delay, stream.peek(&mut [0])).await
        {
            self.session.note_early_talk();
        }
    }

    async fn run(&mut self, stop: &mut watch::Receiver<Stop>) -> io::Result<()> {
        loop {
            self.flush().await?;
            if self.session.is_closing() {
                return self.farewell().await;
            }
            let step = if self.rest.is_empty() {
                self.read(stop).await?
            } else {
                let rest = std::mem::take(&mut self.rest);
                self.consume(&rest)
            };
            match step {
                Step::None => {}
                Step::Closed => return Ok(()),
                Step::Take => self.take().await,
                Step::Message(whole) => self.message(*whole, stop).await,
                Step::Tls => self.start_tls(stop).await?,
                Step::Xclient(attributes) => self.xclient(&attributes),
            }
        }
    }

    /// Waits for octets, within the time the session has, and lets it have them. A command has its time as a whole,
    /// however slowly its octets come; in a message each read has it.
    async fn read(&mut self, stop: &mut watch::Receiver<Stop>) -> io::Result<Step> {
        let in_message = self.session.expects() == Expects::Data;
        let from = if in_message { Instant::now() } else { self.spoke };
        let until = from + Duration::from_secs(self.runtime.config.limits.command_timeout_s);
        let until = until.min(self.end);
        // A message that is on its way may arrive; everybody else is sent off.
        let patience = if in_message { Stop::Now } else { Stop::Drain };
        // Taken out, so that what is read can be consumed where it lies.
        let mut wire = std::mem::replace(&mut self.wire, Wire::Broken);
        let read = tokio::select! {
            read = timeout_at(until, wire.read(|octets| self.see(octets))) => read,
            _ = stop.wait_for(|stop| *stop >= patience) => {
                self.session.shutdown();
                Ok(Ok(Step::None))
            }
        };
        self.wire = wire;
        read.unwrap_or_else(|_| {
            self.session.timed_out();
            Ok(Step::None)
        })
    }

    fn see(&mut self, octets: &[u8]) -> Step {
        if octets.is_empty() {
            Step::Closed
        } else {
            self.consume(octets)
        }
    }

    /// Lets the session have octets, and answers what it asks as far as memory can.
    fn consume(&mut self, mut octets: &[u8]) -> Step {
        let before = octets.len();
        while let Some(ask) = self.session.advance(&mut octets) {
            let step = match ask {
                Ask::Recipient(path) => {
                    if let Some(transaction) = self.session.transaction() {
                        self.envelope.begin(transaction);
                    }
                    match self.gateway.recipient(&self.runtime, &mut self.envelope, &path) {
                        Ok(reply) => self.session.answer(&reply),
                        Err((why, reply)) => self.session.refuse_recipient(why, &reply),
                    }
                    continue;
                }
                Ask::Message {
                    transaction,
                    message: number,
                    body: last,
                    nuls,
                } => Step::Message(Box::new(Whole {
                    transaction,
                    number,
                    last,
                    nuls,
                    fault: None,
                })),
                Ask::Faulty {
                    transaction,
                    message: number,
                    body: last,
                    why,
                    reply,
                } => Step::Message(Box::new(Whole {
                    transaction,
                    number,
                    last,
                    nuls: Nuls::default(),
                    fault: Some((why, reply)),
                })),
                // What stands behind it was sent in the clear, by whom nobody knows.
                Ask::StartTls => return Step::Tls,
                Ask::Xclient(attributes) => Step::Xclient(attributes),
            };
            self.rest = octets.to_vec();
            self.tell_refused();
            return step;
        }
        self.tell_refused();
        self.watch_transfer((before - octets.len()) as u64);
        if self.session.body_octets() >= TAKE_FROM_OCTETS {
            Step::Take
        } else {
            Step::None
        }
    }

    /// One line for each refusal that ends something, one count for each.
    fn tell_refused(&mut self) {
        for refused in self.session.take_refused() {
            if !refused.is_final {
                METRICS.refused(refused.why);
                continue;
            }
            let turned = Turned::of(&refused, self.guest.client);
            // What a trusted proxy said that the client said stands above what the proxy says itself.
            let helo = self.guest.hello().or(turned.helo);
            Turned { helo, ..turned }.log();
        }
    }

    /// Slow transfers, and the memory that all of them take together.
    fn watch_transfer(&mut self, octets: u64) {
        if self.session.expects() != Expects::Data {
            self.transfer = None;
            self.intake.clear();
            self.room.give_back();
            return;
        }
        let (since, sum) = self.transfer.get_or_insert_with(|| (Instant::now(), 0));
        *sum += octets;
        let limits = &self.runtime.config.limits;
        let is_slow = is_too_slow(*sum, since.elapsed(), limits.transfer_rate_min);
        let held = self.session.body_octets() + self.intake.octets_held();
        if held == 0 {
            // It has a fault or was given up, and is only read to its end.
            self.room.give_back();
        }
        if !self.room.take(held, limits.body_memory) {
            self.give_up("Too many messages at this time, please try again later");
        }
        if is_slow {
            self.session.too_slow();
        }
    }

    fn give_up(&mut self, why: &'static str) {
        self.intake.clear();
        self.session
            .give_up_message(Reply::new(452, (4, 3, 1), Line::literal(why)));
    }

    async fn take(&mut self) {
        let Some(part) = self.session.take_body() else { return };
        if let Err(error) = self.intake.add(part).await {
            tracing::error!(client = %self.guest.client, %error, "a large message cannot be spooled and is deferred");
            self.give_up("No room for a message of this size now, please try again later");
        }
    }

    async fn message(&mut self, whole: Whole, stop: &mut watch::Receiver<Stop>) {
        let Whole {
            transaction,
            number,
            last,
            nuls,
            fault,
        } = whole;
        self.envelope.begin(&transaction);
        let envelope = self.envelope.take();
        let body = match self.intake.finish(number, last).await {
            Ok(body) => body,
            Err(error) => {
                tracing::error!(client = %self.guest.client, %error, "a large message cannot be spooled and is deferred");
                let text = Line::literal("No room for a message of this size now, please try again later");
                let reply = Reply::new(452, (4, 3, 1), text);
                log_refused(&envelope, Refusal::NoRoom, &reply);
                return self.session.answer(&reply);
            }
        };
        let judged = self.judge(envelope, (body, nuls), fault);
        tokio::select! {
            reply = judged => self.session.answer(&reply),
            _ = stop.wait_for(|stop| *stop == Stop::Now) => self.session.shutdown(),
        }
        self.transfer = None;
        self.room.give_back();
    }

    fn judge(
        &self,
        envelope: Envelope,
        (body, nuls): (Body, Nuls),
        fault: Option<(Refusal, Reply)>,
    ) -> impl Future<Output = Reply> + Send + use<> {
        let (gateway, runtime) = (self.gateway.clone(), self.runtime.clone());
        let arrival = Arrival {
            envelope,
            body: Arc::new(body),
            nuls,
            now: Zoned::now(),
        };
        Box::pin(async move {
            match fault {
                None => gateway.message(&runtime, arrival).await,
                Some((why, reply)) => gateway.refuse_message(&runtime, arrival, why, reply).await,
            }
        })
    }

    /// RFC 3207 §4.2: both sides forget what was said.
    async fn start_tls(&mut self, stop: &mut watch::Receiver<Stop>) -> io::Result<()> {
        self.flush().await?;
        self.rest = Vec::new();
        self.encrypt(stop).await
    }

    /// The handshake. Who fails at it gets no reply: there is no way to say one.
    async fn encrypt(&mut self, stop: &mut watch::Receiver<Stop>) -> io::Result<()> {
        let client = self.guest.client;
        unless_stopped(stop, self.wire.encrypt(&self.tls))
            .await
            .inspect_err(|error| {
                let error = Some(format!("TLS handshake failed: {error}"));
                let turned = Turned::new(Refusal::TlsHandshake, "STARTTLS", client);
                Turned { error, ..turned }.log();
            })?;
        self.session.tls_started();
        self.guest.tls = self.wire.tls_facts();
        self.envelope = Envelope::new(self.guest.clone());
        self.spoke = Instant::now();
        Ok(())
    }

    /// Rights follow the address that the proxy names, never the proxy's own.
    fn xclient(&mut self, attributes: &XclientAttributes) {
        self.guest.apply(attributes, &self.runtime.config);
        self.envelope = Envelope::new(self.guest.clone());
        let limits = &self.runtime.config.limits;
        let named = self
            .ticket
            .as_mut()
            .map_or(Ok(()), |ticket| ticket.name(self.guest.client, limits));
        match named {
            Ok(()) => self.session.greet(),
            Err(reply) => self.session.refuse(&reply),
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.tell_refused();
        let output = std::mem::take(self.session.output());
        if output.is_empty() {
            return Ok(());
        }
        let limits: &Limits = &self.runtime.config.limits;
        let time = Duration::from_secs(limits.command_timeout_s);
        timeout(time, self.wire.write_all(&output))
            .await
            .map_err(|_| io::ErrorKind::TimedOut)??;
        self.spoke = Instant::now();
        Ok(())
    }

    /// Closing with unread input would reset the connection, and the client would not see why; so what it still sends
    /// is read for a moment.
    async fn farewell(&mut self) -> io::Result<()> {
        static FAREWELLS: AtomicUsize = AtomicUsize::new(0);
        self.ticket = None;
        // By TLS it sends something, and the client may not read.
        timeout(FAREWELL, self.wire.finish())
            .await
            .map_err(|_| io::ErrorKind::TimedOut)??;
        if FAREWELLS.fetch_add(1, Ordering::Relaxed) < FAREWELLS_MAX {
            let drain = async { while self.wire.read(|octets| !octets.is_empty()).await.unwrap_or(false) {} };
            let _ = timeout(FAREWELL, drain).await;
        }
        FAREWELLS.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Whether a transfer has come, on the whole, with fewer octets a second than `rate_min`.
fn is_too_slow(octets: u64, elapsed: Duration, rate_min: u64) -> bool {
    elapsed > RATE_GRACE && octets / elapsed.as_secs().max(1) < rate_min
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_is_too_slow_only_after_its_first_minute() {
        let seconds = Duration::from_secs;
        assert!(!is_too_slow(0, seconds(60), 100));
        assert!(is_too_slow(6_099, seconds(61), 100));
        assert!(!is_too_slow(6_100, seconds(61), 100));
        assert!(!is_too_slow(0, seconds(3600), 0), "0 is off");
    }
}
