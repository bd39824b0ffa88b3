//! The virus scanner: clamd, by its command INSTREAM, over a Unix socket or TCP.
//!
//! The message is streamed as it lies, its start from memory and the rest from its file; no second copy is made, and the
//! scanner needs no access to our files. A scanner that is down, slow or talks nonsense is an error in plain words, never
//! a clean message; so is one that says «clean» before it has seen all of it.

mod address;
#[cfg(test)]
mod tests;

pub use address::{ClamdAddress, ClamdAddressError};
pub use judge::virus::VirusScan;

use crate::body::{BLOCK_OCTETS, Body};
use mail::Line;
use std::fmt;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// Commands that begin with `z` end with NUL, and so do their answers, which may therefore hold anything else.
const COMMAND: &[u8] = b"zINSTREAM\0";
/// clamd's own limit for one chunk is that for the stream, 25 MiB or more.
const CHUNK_OCTETS_MAX: usize = BLOCK_OCTETS;
/// A chunk without octets ends the stream.
const END: [u8; 4] = [0; 4];
/// Longest answer: names of signatures have some dozens of octets.
const ANSWER_OCTETS_MAX: usize = 4096;
/// What clamd answers once there was more than its `StreamMaxLength`.
const LIMIT_EXCEEDED: &str = "INSTREAM size limit exceeded. ERROR";

/// A scanner, and what it may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clamd {
    /// Where it listens.
    pub address: ClamdAddress,
    /// Messages with more octets are not scanned.
    pub size_max: u64,
    /// For one message, from connecting to the whole answer.
    pub timeout: Duration,
}

/// Why there was no answer that means anything.
enum Trouble {
    Connect(io::Error),
    /// The message cannot be read back from its file: not the scanner's fault.
    Spool(io::Error),
    Send(io::Error),
    Receive(io::Error),
    /// The scanner closed the connection before its answer was whole.
    Closed,
    /// An answer that does not end.
    Endless,
    /// It found nothing in a part of the message.
    Early,
    /// Any other answer.
    Odd(String),
}

/// The scanner's answer, without its end.
struct Answer {
    text: String,
    /// It had the whole message before.
    is_of_all: bool,
}

impl Clamd {
    /// Lets the scanner look at a message.
    ///
    /// # Errors
    /// Whatever keeps it from saying what it found, in words for people; the scanner's address is among them.
    pub async fn scan(&self, body: &Arc<Body>) -> Result<VirusScan, Line> {
        let octets = body.octets();
        if octets > self.size_max {
            return Ok(VirusScan::TooLarge { octets });
        }
        let found = match tokio::time::timeout(self.timeout, self.ask(body)).await {
            Ok(answer) => answer
                .and_then(|answer| answer.read(octets))
                .map_err(|why| why.to_string()),
            Err(_) => Err(format!("no answer within {:?}", self.timeout)),
        };
        found.map_err(|why| Line::reason(format!("clamd at {}: {why}", self.address).as_bytes()))
    }

    async fn ask(&self, body: &Arc<Body>) -> Result<Answer, Trouble> {
        match &self.address {
            ClamdAddress::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(Trouble::Connect)?;
                converse(stream, body).await
            }
            ClamdAddress::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port))
                    .await
                    .map_err(Trouble::Connect)?;
                // The last chunk must not wait for company.
                stream.set_nodelay(true).map_err(Trouble::Connect)?;
                converse(stream, body).await
            }
        }
    }
}

/// Reads while it writes: clamd answers and closes the connection in the middle of a message that is too large for it.
async fn converse(stream: impl AsyncRead + AsyncWrite, body: &Arc<Body>) -> Result<Answer, Trouble> {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut answer = pin!(receive(reader));
    let sent = tokio::select! {
        biased;
        early = &mut answer => return early.map(|text| Answer { text, is_of_all: false }),
        sent = send(&mut writer, body) => sent,
    };
    match sent {
        Ok(()) => answer.await.map(|text| Answer { text, is_of_all: true }),
        Err(Trouble::Send(error)) => match answer.await {
            Ok(text) => Ok(Answer { text, is_of_all: false }),
            Err(_) => Err(Trouble::Send(error)),
        },
        Err(trouble) => Err(trouble),
    }
}

async fn send(mut writer: impl AsyncWrite + Unpin, body: &Arc<Body>) -> Result<(), Trouble> {
    // One buffer, so that a small message leaves in one piece.
    let mut buffer = COMMAND.to_vec();
    for chunk in body.head.chunks(CHUNK_OCTETS_MAX) {
        put(&mut buffer, chunk);
        writer.write_all(&buffer).await.map_err(Trouble::Send)?;
        buffer.clear();
    }
    let (mut at, mut block) = (0, Vec::new());
    loop {
        block = read_tail(body, at, block).await.map_err(Trouble::Spool)?;
        if block.is_empty() {
            break;
        }
        at += block.len() as u64;
        put(&mut buffer, &block);
        writer.write_all(&buffer).await.map_err(Trouble::Send)?;
        buffer.clear();
    }
    buffer.extend_from_slice(&END);
    writer.write_all(&buffer).await.map_err(Trouble::Send)?;
    writer.flush().await.map_err(Trouble::Send)
}

/// A chunk that is not empty, behind its length.
fn put(buffer: &mut Vec<u8>, chunk: &[u8]) {
    debug_assert!((1..=CHUNK_OCTETS_MAX).contains(&chunk.len()));
    buffer.extend_from_slice(&(chunk.len() as u32).to_be_bytes());
    buffer.extend_from_slice(chunk);
}

/// What lies in a file from `at` on, read where waiting for the disk holds nobody up; empty at the end. `block` is
/// used again.
async fn read_tail(body: &Arc<Body>, at: u64, mut block: Vec<u8>) -> io::Result<Vec<u8>> {
    if body.tail.as_ref().is_none_or(|tail| at >= tail.octets()) {
        return Ok(Vec::new());
    }
    let body = Arc::clone(body);
    let read = move || {
        body.tail
            .as_ref()
            .map_or(Ok(false), |tail| tail.read_block(at, &mut block))?;
        Ok(block)
    };
    tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
}

async fn receive(mut reader: impl AsyncRead + Unpin) -> Result<String, Trouble> {
    let mut answer = Vec::new();
    let mut block = [0; 512];
    loop {
        let octets = reader.read(&mut block).await.map_err(Trouble::Receive)?;
        let new = &block[..octets];
        if let Some(end) = memchr::memchr(0, new) {
            answer.extend_from_slice(&new[..end]);
            return Ok(String::from_utf8_lossy(&answer).trim().to_owned());
        }
        answer.extend_from_slice(new);
        match octets {
            0 => return Err(Trouble::Closed),
            _ if answer.len() > ANSWER_OCTETS_MAX => return Err(Trouble::Endless),
            _ => {}
        }
    }
}

impl Answer {
    /// What it means: `stream: OK`, `stream: NAME FOUND`, or that there was too much.
    fn read(self, octets: u64) -> Result<VirusScan, Trouble> {
        let Answer { text, is_of_all } = self;
        if text == LIMIT_EXCEEDED {
            return Ok(VirusScan::TooLarge { octets });
        }
        let found = text.strip_prefix("stream: ");
        if let Some(name) = found.and_then(|found| found.strip_suffix(" FOUND"))
            && !name.trim().is_empty()
        {
            return Ok(VirusScan::Infected(Line::reason(name.as_bytes())));
        }
        match found {
            Some("OK") if is_of_all => Ok(VirusScan::Clean),
            Some("OK") => Err(Trouble::Early),
            _ => Err(Trouble::Odd(text)),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Connect(error) => write!(f, "cannot connect: {error}"),
            Trouble::Spool(error) => write!(f, "the message cannot be read back: {error}"),
            Trouble::Send(error) => write!(f, "the message cannot be sent: {error}"),
            Trouble::Receive(error) => write!(f, "no answer: {error}"),
            Trouble::Closed => f.write_str("closed the connection without an answer"),
            Trouble::Endless => write!(f, "an answer of more than {ANSWER_OCTETS_MAX} octets"),
            Trouble::Early => f.write_str("found nothing before it had the whole message"),
            Trouble::Odd(text) => write!(f, "an answer that is none of a scan: {text}"),
        }
    }
}
