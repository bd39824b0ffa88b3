//! Handing accepted mail on: to a mail server by SMTP or LMTP, into Maildirs, or into a program.
//!
//! There is no queue: the sender waits until the next hop has taken the message. So the answer for each recipient is
//! one of three: taken, refused for good, or not now.
//!
//! - [`next_hop`]: where mail goes, as operators write it.
//! - `pool`, `connection`, `transaction`: the client of SMTP and LMTP, from the many to the one message.
//! - `tls`: STARTTLS, and the one cryptographic provider. - `blocks`: a message in pieces of bounded size.
//! - `maildir`, `bsmtp`: into files, and into a program.

mod blocks;
mod bsmtp;
mod connection;
mod maildir;
pub mod next_hop;
mod pool;
pub(crate) mod tls;
mod transaction;

use crate::body::Content;
use crate::config::Config;
use crate::domains::BoxName;
use crate::quarantine::Held;
use bsmtp::Runner;
use connection::{Dialect, Endpoint};
use judge::policy::Folder;
use mail::smtp::client::Origin;
use mail::{Address, Domain, Line, Reply, ReversePath};
use next_hop::{NextHop, Program};
use pool::Pool;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};

/// Proof that a message outlives a crash: the next hop said 250, or a copy is on stable storage. Nothing else makes
/// one, and only with one can a message be answered with 250.
#[must_use]
#[derive(Debug)]
pub struct Durable(());

impl Durable {
    /// A copy in the quarantine is synced before [`Held`] exists.
    pub fn held(_: &Held) -> Durable {
        Durable(())
    }

    /// An earlier try delivered to this recipient, and the ledger was synced before the sender was asked to come again.
    pub fn in_ledger(delivered: &[String], recipient: &Address) -> Option<Durable> {
        delivered.contains(&recipient.exact()).then_some(Durable(()))
    }
}

/// A message on its way to a next hop.
#[derive(Debug, Clone, Copy)]
pub struct Parcel<'a> {
    /// What MAIL FROM shall carry.
    pub reverse_path: &'a ReversePath,
    /// Who shall get it; never empty.
    pub recipients: &'a [Destination<'a>],
    /// The client it came from, for a next hop that wants to know (XCLIENT); `None` if that is not known any more.
    pub origin: Option<Origin<'a>>,
    /// The message, with CRLF line ends.
    pub content: &'a Arc<Content>,
    /// The time there is for it.
    pub deadline: Deadline,
    /// The sender declared 8-bit content (RFC 6152).
    pub body_8bit: bool,
    /// An address or the header needs SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
}

/// How long there is for a message, from its last octet to its answer.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    /// No next hop is given the end of the message after it: it would have no time left to say that it has it, and the
    /// sender, told to come again, would bring it twice.
    pub commit: Instant,
    /// When the sender must have its answer.
    pub answer: Instant,
}

impl Deadline {
    /// So much time from `start` on. A third of it belongs to the next hop's last answer.
    pub fn within(start: Instant, time: Duration) -> Deadline {
        Deadline {
            commit: start + time - time / 3,
            answer: start + time,
        }
    }
}

/// One recipient of a [`Parcel`].
#[derive(Debug, Clone, Copy)]
pub struct Destination<'a> {
    /// What RCPT TO shall carry.
    pub address: &'a Address,
    /// Where a Maildir target puts it; `None` where the recipient has no box of its own kind here.
    pub maildir: Option<(&'a Domain, &'a BoxName)>,
    /// The folder a Maildir target files it in.
    pub folder: Option<&'a Folder>,
}

/// What became of a message for one recipient.
#[derive(Debug)]
pub enum Delivery {
    /// It is at the next hop, on stable storage.
    Taken(Durable, Line),
    /// The next hop refuses it for good.
    Refused(Reply),
    /// Not now; the sender shall try again.
    Later(Delay),
}

/// Why a message was not delivered now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delay {
    /// The next hop's own words, or all that is known of what failed.
    pub words: Line,
    /// The same for the sender, whom it does not concern how things are here.
    pub told: Line,
}

impl Delay {
    /// What both may know.
    pub fn literal(text: &'static str) -> Delay {
        let (words, told) = (Line::literal(text), Line::literal(text));
        Delay { words, told }
    }

    /// The next hop's 4xx.
    fn said(reply: &Reply) -> Delay {
        let words = reply.one_line();
        let told = Line::reason(format!("the next hop said: {words}").as_bytes());
        Delay { words, told }
    }

    /// An error that only the operator can do anything about.
    fn failed(told: &'static str, error: &io::Error) -> Delay {
        Delay {
            words: Line::reason(format!("{told}: {error}").as_bytes()),
            told: Line::literal(told),
        }
    }
}

/// For the operator: what the sender was told, and what else is known.
impl std::fmt::Display for Delay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Delay { words, told } = self;
        if words.as_str().contains(told.as_str()) {
            return write!(f, "{words}");
        }
        match told.as_str().contains(words.as_str()) {
            true => write!(f, "{told}"),
            false => write!(f, "{told}: {words}"),
        }
    }
}

impl Parcel<'_> {
    /// The same answer for each recipient.
    fn all(&self, make: impl Fn() -> Delivery) -> Vec<Delivery> {
        self.recipients.iter().map(|_| make()).collect()
    }
}

/// A stream of octets both ways: TCP, a Unix socket, or TLS over one.
trait Octets: AsyncRead + AsyncWrite + Debug + Send + Unpin {
    /// The socket below.
    fn socket(&self) -> BorrowedFd<'_>;

    /// Whether octets of the other side can be read now, or that it has closed. The system is asked, not the runtime,
    /// which hears of octets some time after they came.
    fn has_more(&mut self) -> bool {
        is_readable(self.socket())
    }

    /// Ready once [`Octets::has_more`] is so.
    fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<()>;

    /// Takes some of these octets, and hands some of what was taken to the socket, by one system call. Neither need be
    /// all: TLS takes more than the socket does.
    fn poll_write_once(&mut self, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match ready!(Pin::new(self).poll_write(context, octets)) {
            Ok(0) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            taken => Poll::Ready(taken),
        }
    }

    /// Whether all that was taken was handed to the socket.
    fn is_flushed(&self) -> bool {
        true
    }
}

impl Octets for TcpStream {
    fn socket(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }

    fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while ready!(self.poll_read_ready(context)).is_ok() {
            if !is_stale(self.try_io(Interest::READABLE, || readable(self.as_fd()))) {
                break;
            }
        }
        Poll::Ready(())
    }
}

impl Octets for UnixStream {
    fn socket(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }

    fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while ready!(self.poll_read_ready(context)).is_ok() {
            if !is_stale(self.try_io(Interest::READABLE, || readable(self.as_fd()))) {
                break;
            }
        }
        Poll::Ready(())
    }
}

/// What the runtime remembers of a socket may be over. It forgets that, and waits for news, after an operation that
/// would have waited.
fn readable(socket: BorrowedFd<'_>) -> io::Result<()> {
    match is_readable(socket) {
        true => Ok(()),
        false => Err(io::ErrorKind::WouldBlock.into()),
    }
}

fn is_stale(asked: io::Result<()>) -> bool {
    asked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Whether a read would not wait: octets, the end, or an error are there.
fn is_readable(socket: BorrowedFd<'_>) -> bool {
    let mut asked = [PollFd::new(&socket, PollFlags::IN | PollFlags::RDHUP)];
    // That it cannot be asked is trouble too.
    !poll(&mut asked, Some(&Timespec::default())).is_ok_and(|ready| ready == 0)
}

/// How much later than the deadline all is given up.
const NET: Duration = Duration::from_millis(500);

/// All next hops, with their kept connections. Other settings make other pools: after a reload, connections of the old
/// ones are not used again and end when they have been idle.
#[derive(Debug, Default)]
pub struct Relays {
    pools: Mutex<HashMap<connection::Settings, Arc<Pool>>>,
    runners: Mutex<HashMap<bsmtp::Settings, Arc<Runner>>>,
}

impl Relays {
    /// Hands a message to `hop`; one answer for each recipient, in their order, and before the deadline.
    pub async fn deliver(&self, hop: &NextHop, parcel: Parcel<'_>, config: &Config) -> Vec<Delivery> {
        if let NextHop::Maildir(_) = hop {
            // What is being written goes on whoever waits, so it must itself know when it is too late.
            return self.deliver_to(hop, parcel, config).await;
        }
        let late = || Delivery::Later(Delay::literal("the next hop took too long"));
        // What some recipients were answered must not be lost with the rest: a next hop that has the message is bounded
        // where it is read, and this is for all that comes before.
        let delivered = timeout_at(parcel.deadline.answer + NET, self.deliver_to(hop, parcel, config)).await;
        delivered.unwrap_or_else(|_| parcel.all(late))
    }

    async fn deliver_to(&self, hop: &NextHop, parcel: Parcel<'_>, config: &Config) -> Vec<Delivery> {
        match hop {
            NextHop::Smtp { host, port } => {
                let pool = self.pool(Dialect::Smtp, Endpoint::tcp(host, *port), config);
                pool.deliver(parcel).await
            }
            NextHop::Lmtp { host, port } => {
                let pool = self.pool(Dialect::Lmtp, Endpoint::tcp(host, *port), config);
                pool.deliver(parcel).await
            }
            NextHop::LmtpSocket(path) => {
                let pool = self.pool(Dialect::Lmtp, Endpoint::Socket(path.clone()), config);
                pool.deliver(parcel).await
            }
            NextHop::Maildir(template) => maildir::deliver(template, parcel, &config.smtp.hostname).await,
            NextHop::Bsmtp(program) => self.runner(program, config).deliver(parcel).await,
        }
    }

    fn pool(&self, dialect: Dialect, endpoint: Endpoint, config: &Config) -> Arc<Pool> {
        let settings = connection::Settings {
            dialect,
            endpoint,
            helo: config.smtp.hostname.clone(),
            tls: tls::Policy::of(&config.tls),
            connections_max: config.limits.next_hop_connections as usize,
            connect: Duration::from_secs(config.limits.next_hop_connect_s),
            reply: Duration::from_secs(config.limits.next_hop_reply_s),
        };
        one_of(&self.pools, settings, Pool::new)
    }

    fn runner(&self, program: &Program, config: &Config) -> Arc<Runner> {
        let settings = bsmtp::Settings {
            program: program.clone(),
            helo: config.smtp.hostname.clone(),
            runs_max: config.limits.next_hop_connections as usize,
            time: Duration::from_secs(config.limits.next_hop_reply_s),
        };
        one_of(&self.runners, settings, Runner::new)
    }

    /// Ends kept connections that nobody used for a while; to be called now and then.
    pub fn close_idle(&self) {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.values().for_each(|pool| pool.close_idle());
        pools.retain(|_, pool| Arc::strong_count(pool) > 1 || !pool.is_empty());
        let mut runners = self.runners.lock().unwrap_or_else(PoisonError::into_inner);
        runners.retain(|_, runner| Arc::strong_count(runner) > 1);
    }
}

/// The one that has these settings, made if there is none.
fn one_of<S: Clone + Eq + Hash, T>(known: &Mutex<HashMap<S, Arc<T>>>, settings: S, make: fn(S) -> T) -> Arc<T> {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    let entry = known.entry(settings.clone());
    entry.or_insert_with(|| Arc::new(make(settings))).clone()
}
