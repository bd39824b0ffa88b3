//! How a session receives a message: DATA, or BDAT chunk by chunk.

use super::{Ask, ChunkRefusal, MessageNumber, Session, Stage, Transaction};
use crate::limits::{CHUNK_OCTETS_READ_MAX, CHUNK_OCTETS_UNCOUNTED};
use crate::reply::Reply;
use crate::smtp::bdat;
use crate::smtp::bdat::Chunk;
use crate::smtp::command::Dialect;
use crate::smtp::conduct::Group;
use crate::smtp::data;
use crate::smtp::data::DataFault;
use crate::smtp::incoming::{Failure, Incoming};
use crate::smtp::nul::Nuls;
use crate::smtp::refusal::{Parties, Refusal};
use crate::smtp::replies;

impl Session {
    /// Why no message may begin now.
    fn message_refusal(&self) -> Option<(Refusal, Reply)> {
        match &self.transaction {
            None => Some((Refusal::OutOfOrder, replies::mail_first())),
            // RFC 5321 §3.3 allows 503 or 554; 554 when the client did give recipients.
            Some(transaction) if transaction.recipients.is_empty() => Some(if self.recipient_refused {
                (Refusal::NoRecipients, replies::no_recipients())
            } else {
                (Refusal::OutOfOrder, replies::rcpt_first())
            }),
            Some(_) => None,
        }
    }

    fn next_message(&mut self) -> MessageNumber {
        self.messages = self.messages.saturating_add(1);
        MessageNumber(self.messages)
    }

    pub(super) fn data_command(&mut self) {
        match self.message_refusal() {
            None => {}
            // Whoever has no recipient left goes.
            Some((why @ Refusal::NoRecipients, reply)) => return self.reject_at("DATA", why, reply),
            Some((why, reply)) => return self.reject(why, reply),
        }
        if self.chunks.is_some() {
            return self.reject(Refusal::OutOfOrder, replies::chunks_begun());
        }
        self.say(&replies::send_message());
        let settings = &self.settings;
        let decoder =
            data::Decoder::new(settings.size_max, settings.text_line_max, settings.bare_lf).with_nul(settings.nul);
        self.stage = Stage::Data(Incoming::new(decoder, self.next_message()));
    }

    pub(super) fn data(&mut self, input: &mut &[u8]) -> Option<Ask> {
        let Stage::Data(incoming) = &mut self.stage else {
            return None;
        };
        let number = incoming.number();
        let end = incoming.feed(input)?;
        let nuls = incoming.take_nuls();
        // RFC 2920 §3.1: the end of a message may begin a group.
        self.pipelined(Group::GoesOn, !input.is_empty());
        match end {
            Ok(body) => return self.hand_over(number, body, nuls),
            Err(Failure::Faulty(fault, body)) => return self.hand_over_faulty(number, body, fault),
            Err(Failure::Fault(fault)) => {
                let reply = replies::message_refused(fault, self.settings.size_max);
                self.reject_finally(fault.into(), reply);
            }
            Err(Failure::GivenUp(reply)) => {
                self.say(&reply);
                self.tell(self.refusal(Refusal::NoRoom, *reply));
            }
        }
        if !self.is_closing() {
            self.stage = Stage::Command;
        }
        self.transaction = None;
        None
    }

    fn ended(&mut self, is_faulty: bool) -> Option<Transaction> {
        self.stage = Stage::Command;
        let mut transaction = self.transaction.take()?;
        transaction.conduct = self.conduct;
        self.stage = Stage::AskedMessage {
            utf8: transaction.params.smtputf8,
            is_faulty,
            parties: Box::new(Parties::of(&transaction)),
        };
        Some(transaction)
    }

    fn hand_over(&mut self, message: MessageNumber, body: Vec<u8>, nuls: Nuls) -> Option<Ask> {
        Some(Ask::Message {
            transaction: self.ended(false)?,
            message,
            body,
            nuls,
        })
    }

    fn hand_over_faulty(&mut self, message: MessageNumber, body: Vec<u8>, fault: DataFault) -> Option<Ask> {
        Some(Ask::Faulty {
            transaction: self.ended(true)?,
            message,
            body,
            why: fault.into(),
            reply: replies::message_refused(fault, self.settings.size_max),
        })
    }

    /// RFC 3030 §2: whatever is wrong with the command, the octets behind it are no commands; they are read, and then
    /// it is answered. A refused chunk ends the transaction, so that no message lacks one.
    ///
    /// Departs from it for a chunk of which no connection lives to see the end: that is answered at once.
    pub(super) fn bdat(&mut self, chunk: Chunk) -> Option<Ask> {
        if chunk.octets > self.settings.size_max.max(CHUNK_OCTETS_READ_MAX) {
            let reply = replies::chunk_too_large(self.settings.size_max);
            self.end_at("BDAT", Refusal::TooLarge, reply);
            return None;
        }
        let refusal = match &self.chunks_refused {
            Some(reply) => Some(ChunkRefusal::Told(reply.clone())),
            None => self
                .chunk_refusal()
                .map(|(why, reply)| ChunkRefusal::Error(why, Box::new(reply))),
        };
        if refusal.is_none() {
            let mut incoming = self.chunks.take().unwrap_or_else(|| {
                let settings = &self.settings;
                let decoder = bdat::Decoder::new(settings.size_max, settings.text_line_max, settings.bdat_bare_lf);
                let decoder = decoder.with_nul(settings.nul);
                Box::new(Incoming::new(decoder, self.next_message()))
            });
            incoming.begin_chunk(chunk.octets);
            self.chunks = Some(incoming);
        }
        if chunk.octets == 0 {
            return self.end_chunk(chunk, refusal);
        }
        self.stage = Stage::Chunk {
            chunk,
            left: chunk.octets,
            refusal,
        };
        None
    }

    fn chunk_refusal(&self) -> Option<(Refusal, Reply)> {
        let offered = |t: &Transaction| t.hello.dialect == Dialect::Esmtp;
        match &self.transaction {
            Some(transaction) if !offered(transaction) => Some((Refusal::OutOfOrder, replies::bdat_needs_ehlo())),
            _ => self.message_refusal(),
        }
    }

    pub(super) fn chunk(&mut self, input: &mut &[u8]) -> Option<Ask> {
        let Stage::Chunk { chunk, left, refusal } = &mut self.stage else {
            return None;
        };
        let wanted = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
        let (octets, rest) = input.split_at_checked(wanted)?;
        *input = rest;
        *left = left.saturating_sub(octets.len() as u64);
        if let (None, Some(incoming)) = (&refusal, &mut self.chunks) {
            incoming.feed(octets);
        }
        if *left > 0 {
            return None;
        }
        let (chunk, refusal) = (*chunk, refusal.take());
        self.end_chunk(chunk, refusal)
    }

    fn end_chunk(&mut self, chunk: Chunk, refusal: Option<ChunkRefusal>) -> Option<Ask> {
        let refusal = match (refusal, &mut self.chunks) {
            (None, Some(incoming)) => {
                let number = incoming.number();
                let end = if chunk.is_last {
                    incoming.finish().map(Some)
                } else {
                    incoming.end_chunk().map(|()| None)
                };
                match end {
                    Ok(None) => {
                        self.stage = Stage::Command;
                        self.chunk_taken(chunk);
                        return None;
                    }
                    Ok(Some(body)) => {
                        let nuls = incoming.take_nuls();
                        self.chunks = None;
                        return self.hand_over(number, body, nuls);
                    }
                    Err(Failure::Faulty(fault, body)) => {
                        self.chunks = None;
                        return self.hand_over_faulty(number, body, fault);
                    }
                    Err(Failure::Fault(fault)) => {
                        let reply = replies::message_refused(fault, self.settings.size_max);
                        ChunkRefusal::Error(fault.into(), Box::new(reply))
                    }
                    Err(Failure::GivenUp(reply)) => ChunkRefusal::GivenUp(reply),
                }
            }
            (Some(refusal), _) => refusal,
            (None, None) => {
                self.stage = Stage::Command;
                return None;
            }
        };
        self.refuse_chunk(chunk, refusal);
        None
    }

    /// Chunks of some size are not counted as commands: the size of the message bounds them, and there may be many.
    fn chunk_taken(&mut self, chunk: Chunk) {
        self.say(&replies::chunk_taken(chunk.octets));
        if chunk.octets >= CHUNK_OCTETS_UNCOUNTED {
            self.commands = self.commands.saturating_sub(1);
        }
    }

    fn refuse_chunk(&mut self, chunk: Chunk, refusal: ChunkRefusal) {
        // A refused chunk ends a transaction, if there is one.
        let ends = self.transaction.is_some();
        let reply = match refusal {
            ChunkRefusal::Error(why, reply) if ends => {
                self.reject_at("BDAT", why, (*reply).clone());
                reply
            }
            ChunkRefusal::Error(why, reply) => {
                self.reject(why, (*reply).clone());
                reply
            }
            ChunkRefusal::GivenUp(reply) => {
                self.say(&reply);
                self.tell(self.refusal(Refusal::NoRoom, (*reply).clone()));
                reply
            }
            ChunkRefusal::Told(reply) => {
                self.say(&reply);
                reply
            }
        };
        if !self.is_closing() {
            self.stage = Stage::Command;
        }
        self.reset();
        self.chunks_refused = (!chunk.is_last && !self.is_closing()).then_some(reply);
    }
}
