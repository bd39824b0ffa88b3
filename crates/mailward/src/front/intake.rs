//! A message on its way in: its start in memory, the rest into a file.

use crate::body::{Body, HEAD_OCTETS, Spooler};
use mail::smtp::server::{MessageNumber, Part};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// How much gathers in a session before it is taken from it.
pub const TAKE_FROM_OCTETS: u64 = HEAD_OCTETS as u64;

/// What was taken of the message that a session is receiving.
#[derive(Debug)]
pub struct Intake {
    spool_dir: Arc<PathBuf>,
    message: Option<MessageNumber>,
    head: Vec<u8>,
    spooler: Option<Spooler>,
}

impl Intake {
    /// Nothing yet; files will be in `spool_dir`.
    pub fn new(spool_dir: Arc<PathBuf>) -> Intake {
        Intake {
            spool_dir,
            message: None,
            head: Vec::new(),
            spooler: None,
        }
    }

    /// Octets of memory that are held.
    pub fn octets_held(&self) -> u64 {
        self.head.capacity() as u64
    }

    /// Forgets what was taken.
    pub fn clear(&mut self) {
        self.message = None;
        self.head = Vec::new();
        self.spooler = None;
    }

    /// Adds a part. One of another message begins anew.
    pub async fn add(&mut self, part: Part) -> io::Result<()> {
        if self.message != Some(part.message) {
            self.clear();
            self.message = Some(part.message);
        }
        self.keep(part.octets).await
    }

    /// The last part of a message: all of it.
    pub async fn finish(&mut self, message: MessageNumber, last: Vec<u8>) -> io::Result<Body> {
        if self.message != Some(message) {
            self.clear();
        }
        self.keep(last).await?;
        self.message = None;
        Ok(Body {
            head: std::mem::take(&mut self.head),
            tail: self.spooler.take().map(Spooler::finish),
        })
    }

    /// Into memory until the head is whole; then into the file. However the network divided a message, it is divided
    /// here at the same place: its digest names both parts, and the sender's next try must have the same.
    async fn keep(&mut self, mut octets: Vec<u8>) -> io::Result<()> {
        let room = HEAD_OCTETS.saturating_sub(self.head.len());
        let rest = octets.split_off(room.min(octets.len()));
        if self.head.is_empty() {
            self.head = octets;
        } else {
            self.head.extend_from_slice(&octets);
        }
        if rest.is_empty() {
            return Ok(());
        }
        self.spool(rest).await
    }

    /// Writing may wait for the disk, so it has a thread of its own meanwhile.
    async fn spool(&mut self, octets: Vec<u8>) -> io::Result<()> {
        let (spooler, dir) = (self.spooler.take(), self.spool_dir.clone());
        let write = move || {
            let mut spooler = match spooler {
                Some(spooler) => spooler,
                None => Spooler::new(&dir)?,
            };
            spooler.write(&octets)?;
            Ok(spooler)
        };
        let written: io::Result<Spooler> = tokio::task::spawn_blocking(write).await.map_err(io::Error::other)?;
        self.spooler = Some(written?);
        Ok(())
    }
}
