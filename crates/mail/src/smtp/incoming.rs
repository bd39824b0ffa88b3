//! The message that a session is receiving: its decoder, what is held of it, and whether it was given up.

use super::bdat;
use super::data;
use super::data::{DataFault, Progress};
use super::nul::Nuls;
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
    /// The client's fault; the message is whole all the same.
    Faulty(DataFault, Vec<u8>),
    /// The client's fault, and the message is not whole.
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

    /// A message of which nobody will get anything takes no memory.
    fn drop_unless(&mut self, is_whole: bool) {
        if !is_whole || self.given_up.is_some() {
            self.body = Vec::new();
        }
    }

    /// The message has ended. The client's own fault goes before ours.
    fn end(&mut self, verdict: Result<(), DataFault>, is_whole: bool) -> Result<Vec<u8>, Failure> {
        let given_up = self.given_up.take();
        let body = std::mem::take(&mut self.body);
        match (verdict, given_up) {
            (Err(fault), None) if is_whole => Err(Failure::Faulty(fault, body)),
            (Err(fault), _) => Err(Failure::Fault(fault)),
            (Ok(()), Some(reply)) => Err(Failure::GivenUp(reply)),
            (Ok(()), None) => Ok(body),
        }
    }
}

impl Incoming<data::Decoder> {
    /// Where NULs stood in the message.
    pub fn take_nuls(&mut self) -> Nuls {
        self.decoder.take_nuls()
    }

    /// Consumes from `input`; at the end of the message, the rest of its body or why it fails.
    pub fn feed(&mut self, input: &mut &[u8]) -> Option<Result<Vec<u8>, Failure>> {
        let (consumed, progress) = self.decoder.feed(input, &mut self.body);
        *input = input.get(consumed..).unwrap_or_default();
        let is_whole = self.decoder.is_whole();
        self.drop_unless(is_whole);
        match progress {
            Progress::More => None,
            Progress::End(verdict) => Some(self.end(verdict, is_whole)),
        }
    }
}

impl Incoming<bdat::Decoder> {
    /// Where NULs stood in the message.
    pub fn take_nuls(&mut self) -> Nuls {
        self.decoder.take_nuls()
    }

    /// A chunk begins.
    pub fn begin_chunk(&mut self, octets: u64) {
        self.decoder.announce(octets);
        self.drop_unless(self.decoder.is_whole());
    }

    /// Takes octets of a chunk.
    pub fn feed(&mut self, octets: &[u8]) {
        self.decoder.feed(octets, &mut self.body);
        self.drop_unless(self.decoder.is_whole());
    }

    /// A chunk ends that is not the last. Only what can never be whole is refused here.
    pub fn end_chunk(&mut self) -> Result<(), Failure> {
        match (self.decoder.fault(), self.given_up.take()) {
            (Some(fault), _) if !self.decoder.is_whole() => Err(Failure::Fault(fault)),
            (_, Some(reply)) => Err(Failure::GivenUp(reply)),
            (_, None) => Ok(()),
        }
    }

    /// The last chunk ends: the rest of the body.
    pub fn finish(&mut self) -> Result<Vec<u8>, Failure> {
        let verdict = self.decoder.finish(&mut self.body);
        self.end(verdict, self.decoder.is_whole())
    }
}
