//! The message that a session is receiving: its decoder, what is held of it, and whether it was given up.

use super::bdat;
use super::data;
use super::data::{DataFault, Progress};
use crate::reply::Reply;

/// Which message of a session: parts with different numbers belong to different messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageNumber(pub(super) u32);

/// What was received of a message before its end.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    /// The message it belongs to.
    pub message: MessageNumber,
    /// What follows the parts that were taken before.
    pub octets: Vec<u8>,
}

/// A message whose end has not come. `D` says how it comes.
#[derive(Debug)]
pub(super) struct Incoming<D> {
    decoder: D,
    number: MessageNumber,
    body: Vec<u8>,
    given_up: Option<Box<Reply>>,
}

/// Why a message is not handed over.
#[derive(Debug)]
pub(super) enum Failure {
    /// The client's fault.
    Fault(DataFault),
    /// The driver gave it up.
    GivenUp(Box<Reply>),
}

impl<D> Incoming<D> {
    pub fn new(decoder: D, number: MessageNumber) -> Incoming<D> {
        Incoming {
            decoder,
            number,
            body: Vec::new(),
            given_up: None,
        }
    }

    pub fn number(&self) -> MessageNumber {
        self.number
    }

    /// Octets of memory.
    pub fn octets_held(&self) -> u64 {
        self.body.capacity() as u64
    }

    pub fn take(&mut self) -> Option<Part> {
        let octets = std::mem::take(&mut self.body);
        (!octets.is_empty()).then_some(Part {
            message: self.number,
            octets,
        })
    }

    pub fn give_up(&mut self, reply: Reply) {
        self.body = Vec::new();
        self.given_up = Some(Box::new(reply));
    }

    /// A message that will be refused takes no memory.
    fn drop_if(&mut self, has_fault: bool) {
        if has_fault || self.given_up.is_some() {
            self.body = Vec::new();
        }
    }

    /// What is to be told at an end, of the message or of a chunk. The client's own fault goes before ours.
    fn failure(&mut self, fault: Option<DataFault>) -> Option<Failure> {
        match fault {
            Some(fault) => Some(Failure::Fault(fault)),
            None => self.given_up.take().map(Failure::GivenUp),
        }
    }
}

impl Incoming<data::Decoder> {
    /// Consumes from `input`; at the end of the message, the rest of its body or why it fails.
    pub fn feed(&mut self, input: &mut &[u8]) -> Option<Result<Vec<u8>, Failure>> {
        let (consumed, progress) = self.decoder.feed(input, &mut self.body);
        *input = input.get(consumed..).unwrap_or_default();
        let fault = self.decoder.fault();
        self.drop_if(fault.is_some());
        match progress {
            Progress::More => None,
            Progress::End(verdict) => Some(match self.failure(verdict.err()) {
                Some(failure) => Err(failure),
                None => Ok(std::mem::take(&mut self.body)),
            }),
        }
    }
}

impl Incoming<bdat::Decoder> {
    /// A chunk begins.
    pub fn begin_chunk(&mut self, octets: u64) {
        self.decoder.announce(octets);
        let fault = self.decoder.fault();
        self.drop_if(fault.is_some());
    }

    /// Takes octets of a chunk.
    pub fn feed(&mut self, octets: &[u8]) {
        self.decoder.feed(octets, &mut self.body);
        let fault = self.decoder.fault();
        self.drop_if(fault.is_some());
    }

    /// A chunk ends that is not the last.
    pub fn end_chunk(&mut self) -> Result<(), Failure> {
        let fault = self.decoder.fault();
        self.failure(fault).map_or(Ok(()), Err)
    }

    /// The last chunk ends: the rest of the body.
    pub fn finish(&mut self) -> Result<Vec<u8>, Failure> {
        let verdict = self.decoder.finish(&mut self.body);
        match self.failure(verdict.err()) {
            Some(failure) => Err(failure),
            None => Ok(std::mem::take(&mut self.body)),
        }
    }
}
