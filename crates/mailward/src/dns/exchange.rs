//! One query on the network: by UDP, by TCP if the answer is too large, at all servers until one answers.
//!
//! Each attempt has a socket and an id of its own, both by chance (RFC 5452 §9.2). The socket is connected, so the kernel
//! drops what comes from elsewhere. What has another id or another question is not looked at, and the right answer is
//! waited for. An attempt goes on while later ones are made, so a slow server is still heard.

use super::limits::{ROUNDS_MAX, TIME_PARTS, UDP_OCTETS_MAX};
use super::wire::{Query, Read, Reply};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, sleep_until};

/// Whom to ask.
pub(super) struct Servers {
    addresses: Vec<SocketAddr>,
    /// The one that answered last is asked first.
    preferred: AtomicUsize,
}

/// Why there is no answer; the last is the most telling one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// No server could be reached.
    Unreachable,
    /// None answered in time.
    Silent,
    /// What came made no sense.
    Garbage,
    /// The servers cannot or will not answer.
    Failed,
}

impl Servers {
    pub(super) fn new(addresses: Vec<SocketAddr>) -> Servers {
        Servers {
            addresses,
            preferred: AtomicUsize::new(0),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// Asks until one server answers, all have refused, or the time is over.
    pub(super) async fn exchange(&self, query: &Query, mut deadline: Instant) -> Result<Reply, Fault> {
        let count = self.addresses.len();
        let part = deadline.saturating_duration_since(Instant::now()) / TIME_PARTS;
        let first = self.preferred.load(Ordering::Relaxed);
        // In the order in which they are asked. Who cannot answer is not asked again.
        let mut waiting: VecDeque<usize> = (0..count).map(|n| (first + n) % count).collect();
        let mut attempts = FuturesUnordered::new();
        let (mut sent, mut next) = (0, Instant::now());
        let mut fault = None;
        loop {
            let may_send = sent < count * ROUNDS_MAX && !waiting.is_empty();
            if attempts.is_empty() && !may_send {
                return Err(fault.unwrap_or(Fault::Unreachable));
            }
            // Not left to the timer when it is time already: a timer fires a millisecond late.
            if may_send && Instant::now() >= next {
                let Some(server) = waiting.pop_front() else { continue };
                waiting.push_back(server);
                attempts.push(self.attempt(server, query));
                next = Instant::now() + gap(part, sent / count);
                sent += 1;
                continue;
            }
            tokio::select! {
                biased;
                Some((server, outcome)) = attempts.next() => {
                    let new = match outcome {
                        Ok(reply) => {
                            self.preferred.store(server, Ordering::Relaxed);
                            return Ok(reply);
                        }
                        Err(new) => new,
                    };
                    fault = fault.max(Some(new));
                    if new > Fault::Silent {
                        waiting.retain(|waiting| *waiting != server);
                    }
                    let now = Instant::now();
                    if sent < count {
                        next = now;
                    }
                    if new > Fault::Silent || (attempts.is_empty() && sent >= count) {
                        // One says that there is no answer, or all are gone: not worth all of a message's time.
                        deadline = deadline.min(now + 2 * part);
                    }
                }
                () = sleep_until(deadline) => {
                    let silent = (!attempts.is_empty()).then_some(Fault::Silent);
                    return Err(fault.max(silent).unwrap_or(Fault::Silent));
                }
                () = sleep_until(next), if may_send => {}
            }
        }
    }

    async fn attempt(&self, server: usize, query: &Query) -> (usize, Result<Reply, Fault>) {
        let address = self.addresses[server];
        let outcome = ask(address, query).await;
        if let Err(fault) = &outcome {
            tracing::debug!(server = %address, ?fault, "a name server did not answer");
        }
        (server, outcome)
    }
}

/// How long to wait before the next attempt: twice as long in each round.
fn gap(part: Duration, round: usize) -> Duration {
    part * 2u32.saturating_pow(u32::try_from(round).unwrap_or(u32::MAX))
}

async fn ask(server: SocketAddr, query: &Query) -> Result<Reply, Fault> {
    match ask_udp(server, query).await? {
        Some(reply) => Ok(reply),
        // It has answered, so whatever is wrong now is not that nobody is there.
        None => ask_tcp(server, query).await,
    }
}

fn unreachable<E>(_: E) -> Fault {
    Fault::Unreachable
}

/// `None` is an answer that was too large.
async fn ask_udp(server: SocketAddr, query: &Query) -> Result<Option<Reply>, Fault> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await.map_err(unreachable)?;
    socket.connect(server).await.map_err(unreachable)?;
    let id = random_id()?;
    socket.send(&query.octets(id)).await.map_err(unreachable)?;
    let mut buffer = vec![0; UDP_OCTETS_MAX];
    loop {
        // "Connection refused" comes back this way, too.
        let length = socket.recv(&mut buffer).await.map_err(unreachable)?;
        return match query.read(id, &buffer[..length]) {
            Read::NotOurs => continue,
            Read::Truncated => Ok(None),
            Read::Garbage => Err(Fault::Garbage),
            Read::Failure => Err(Fault::Failed),
            Read::Reply(reply) => Ok(Some(reply)),
        };
    }
}

/// RFC 7766; one query a connection.
async fn ask_tcp(server: SocketAddr, query: &Query) -> Result<Reply, Fault> {
    let failed = |_| Fault::Failed;
    let mut stream = TcpStream::connect(server).await.map_err(failed)?;
    let id = random_id()?;
    let octets = query.octets(id);
    let length = u16::try_from(octets.len()).map_err(|_| Fault::Failed)?;
    let framed = [&length.to_be_bytes()[..], &octets].concat();
    stream.write_all(&framed).await.map_err(failed)?;
    let length = stream.read_u16().await.map_err(failed)?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await.map_err(failed)?;
    match query.read(id, &answer) {
        Read::NotOurs | Read::Garbage => Err(Fault::Garbage),
        Read::Truncated | Read::Failure => Err(Fault::Failed),
        Read::Reply(reply) => Ok(reply),
    }
}

fn random_id() -> Result<u16, Fault> {
    let mut id = [0; 2];
    getrandom::fill(&mut id).map_err(unreachable)?;
    Ok(u16::from_be_bytes(id))
}
