//! The server's side of an SMTP session (RFC 5321), without sockets, clock or async.
//!
//! The driver feeds octets to [`Session::advance`], sends what gathers in [`Session::output`], and answers each
//! [`Ask`]. Input may come in pieces of any size: the same octets give the same output and the same asks. Only
//! [`Conduct`] knows of pieces.
//!
//! Promises: commands come in their order or are refused; a message ends at `CRLF . CRLF` alone (see
//! [`super::data`]), or behind the octets of the last chunk (see [`super::bdat`]); nothing that a client sends makes the
//! session hold more than one command line, the recipients it is allowed and one message. It knows no policy: who may
//! be a recipient, and what becomes of a message, is asked. What it refuses by itself, and why, is told
//! ([`Session::take_refused`]).

use super::bdat;
use super::bdat::Chunk;
use super::command;
use super::command::{Command, CommandError, Dialect, Hello, MailParams, Verb};
use super::conduct::{Conduct, Group};
use super::data;
use super::data::BareLf;
use super::incoming::Incoming;
pub use super::incoming::{MessageNumber, Part};
use super::line::{LineReader, RawLine};
use super::nul::{Nul, Nuls};
use super::refusal;
use super::refusal::{Parties, Refusal, Refused};
use super::replies;
use super::xclient::XclientAttributes;
use crate::address::{ForwardPath, ReversePath};
use crate::limits::{COMMAND_OCTETS_MAX, REFUSALS_HELD_MAX};
use crate::reply::{Reply, Severity};
use crate::text::Line;
use std::sync::Arc;

#[cfg(test)]
mod properties;
mod receive;
mod refuse;
#[cfg(test)]
mod tests;

/// What all sessions of a server share.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name in the greeting.
    pub hostname: Line,
    /// Largest message, in octets (RFC 1870).
    pub size_max: u64,
    /// Recipients of one message. RFC 5321 §4.5.3.1.8 asks for 100 at least.
    pub recipients_max: usize,
    /// Commands of one connection; the next one is answered 421.
    pub commands_max: u32,
    /// The unknown verb of one connection that is answered 521.
    pub unrecognized_max: u32,
    /// Refused commands of one connection; behind the next one stands 421.
    pub errors_max: u32,
    /// Longest line of a message, in octets with its CRLF. RFC 5321 §4.5.3.1.6 asks for 1000 at least.
    pub text_line_max: usize,
    /// What becomes of a message by DATA with a bare LF. One with a bare CR is refused.
    pub bare_lf: BareLf,
    /// What becomes of a message by BDAT with a bare CR or LF.
    pub bdat_bare_lf: BareLf,
    /// What becomes of a message with a NUL.
    pub nul: Nul,
}

/// One mail transaction (RFC 5321 §3.3), from MAIL on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// How the client greeted.
    pub hello: Hello,
    /// What MAIL carried.
    pub reverse_path: ReversePath,
    /// The parameters of MAIL.
    pub params: MailParams,
    /// The recipients that were accepted, in order.
    pub recipients: Vec<ForwardPath>,
    /// How the client has kept to the order of speech, up to this ask.
    pub conduct: Conduct,
}

/// What only the gateway can decide. The session waits for [`Session::answer`].
#[derive(Debug, PartialEq, Eq)]
pub enum Ask {
    /// May this recipient be added? A positive reply adds it.
    Recipient(ForwardPath),
    /// The message is complete: what becomes of it? The reply stands for all recipients. The transaction is over for
    /// the session, so its parts are handed out.
    Message {
        /// The envelope.
        transaction: Transaction,
        /// Which message it is. Parts of it that were taken before have this number; parts with another one belong to
        /// a message that was never completed.
        message: MessageNumber,
        /// The message with the dots taken off, without the parts that [`Session::take_body`] gave; every line ends in
        /// CRLF, and a space stands for each NUL.
        body: Vec<u8>,
        /// Where NULs stood, in octets of all of the message.
        nuls: Nuls,
    },
    /// The message is complete, and is refused for a fault of its own: may a copy be kept? [`Session::answer`] with
    /// `reply`, or with one that says more, or with a transient one.
    Faulty {
        /// The envelope.
        transaction: Transaction,
        /// As in [`Ask::Message`].
        message: MessageNumber,
        /// As in [`Ask::Message`], with CRLF for a bare LF and a space for a bare CR.
        body: Vec<u8>,
        /// Why it is refused.
        why: Refusal,
        /// What the client is to be told.
        reply: Reply,
    },
    /// The client starts TLS; the output ends in the 220. The driver sends it, throws away **all** input that it has
    /// already read, and hands over to TLS; then it calls [`Session::tls_started`]. `advance` has consumed the
    /// STARTTLS line and nothing behind it: what stands there was not protected, and whoever put it there must not be
    /// taken for the peer of the TLS session (RFC 3207 §6, §4.2). If TLS fails, the connection is closed.
    StartTls,
    /// A proxy says who the client is. [`Session::greet`] takes it: the session begins anew and greets as it would
    /// greet that client. [`Session::answer`] refuses it, and all is as it was. The attributes are the driver's to
    /// keep: HELO and PROTO among them stand for what the client said, whatever the proxy says in its own EHLO.
    Xclient(Box<XclientAttributes>),
}

/// What the session waits for, so that the driver knows how long it may take (RFC 5321 §4.5.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expects {
    /// [`Session::greet`] or [`Session::refuse`].
    Greeting,
    /// A command, the answer to an [`Ask`], or the start of TLS.
    Command,
    /// More of a message: its text, or between two chunks of it, the next BDAT.
    Data,
    /// Nothing: output is to be sent, then the connection closed.
    Close,
}

/// Whether the session has TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tls {
    Absent,
    Offered,
    Active,
}

/// One session. Small while idle: buffers exist only while a line or a message is incomplete.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    stage: Stage,
    line: LineReader,
    output: Vec<u8>,
    tls: Tls,
    trusts_xclient: bool,
    hello: Option<Hello>,
    transaction: Option<Transaction>,
    /// The message of this transaction, if it comes by BDAT and its last chunk has not come.
    chunks: Option<Box<Incoming<bdat::Decoder>>>,
    /// A chunk was refused so; the chunks behind it, up to LAST, are part of what was refused.
    chunks_refused: Option<Box<Reply>>,
    recipient_refused: bool,
    refused: Vec<Refused>,
    conduct: Conduct,
    messages: u32,
    commands: u32,
    unrecognized: u32,
    errors: u32,
}

#[derive(Debug)]
enum Stage {
    Greeting,
    Command,
    AskedRecipient(ForwardPath),
    Data(Incoming<data::Decoder>),
    /// Octets of a chunk are due.
    Chunk {
        chunk: Chunk,
        left: u64,
        /// They are to be passed over (RFC 3030 §2), then this is said.
        refusal: Option<ChunkRefusal>,
    },
    AskedMessage {
        utf8: bool,
        /// It is refused, which counts as an error of the client.
        is_faulty: bool,
        /// Whose it is.
        parties: Box<Parties>,
    },
    AskedStartTls,
    AskedXclient,
    Closing,
}

/// Why a chunk is refused.
#[derive(Debug)]
enum ChunkRefusal {
    /// The client's error.
    Error(Refusal, Box<Reply>),
    /// The client is not to blame.
    GivenUp(Box<Reply>),
    /// No new error: a chunk before it was refused so.
    Told(Box<Reply>),
}

impl Session {
    /// A session that has not greeted. It offers no TLS and trusts nobody.
    pub fn new(settings: Arc<Settings>) -> Session {
        Session {
            settings,
            stage: Stage::Greeting,
            line: LineReader::default(),
            output: Vec::new(),
            tls: Tls::Absent,
            trusts_xclient: false,
            hello: None,
            transaction: None,
            chunks: None,
            chunks_refused: None,
            recipient_refused: false,
            refused: Vec::new(),
            conduct: Conduct::default(),
            messages: 0,
            commands: 0,
            unrecognized: 0,
            errors: 0,
        }
    }

    /// Offers STARTTLS (RFC 3207) from the next EHLO on, unless TLS is active.
    pub fn offer_tls(&mut self) {
        if self.tls == Tls::Absent {
            self.tls = Tls::Offered;
        }
    }

    /// Takes XCLIENT from this peer. The trust is in the peer's own address, so it outlives XCLIENT and STARTTLS.
    pub fn trust_xclient(&mut self) {
        self.trusts_xclient = true;
    }

    /// TLS is active, after [`Ask::StartTls`] or, before the greeting, from the first octet on. RFC 3207 §4.2: what the
    /// client said before is forgotten, its greeting too; what bounds the connection (commands, errors) still counts,
    /// and so does its conduct. At any other time, does nothing.
    pub fn tls_started(&mut self) {
        match self.stage {
            Stage::Greeting => self.tls = Tls::Active,
            Stage::AskedStartTls => {
                self.tls = Tls::Active;
                self.begin_anew();
                self.stage = Stage::Command;
            }
            _ => {}
        }
    }

    /// The client spoke before it was greeted.
    pub fn note_early_talk(&mut self) {
        self.conduct.spoke_early = true;
    }

    /// How the client has kept to the order of speech.
    pub fn conduct(&self) -> Conduct {
        self.conduct
    }

    /// Greets (220). Before it, [`Session::advance`] consumes nothing: a client must not speak first
    /// (RFC 5321 §4.3.1). After [`Ask::Xclient`], greets anew: another client stands behind the proxy now, of whose
    /// conduct nothing is known.
    pub fn greet(&mut self) {
        match self.stage {
            Stage::Greeting => {}
            Stage::AskedXclient => {
                self.begin_anew();
                self.conduct = Conduct::default();
            }
            _ => return,
        }
        self.say(&replies::greeting(&self.settings.hostname));
        self.stage = Stage::Command;
    }

    /// Says `reply` instead of what was due, and closes. The caller knows why; nothing is told of it.
    pub fn refuse(&mut self, reply: &Reply) {
        if !self.is_closing() {
            self.say(reply);
            self.close();
        }
    }

    /// The client took too long: 421 4.4.2, and closes.
    pub fn timed_out(&mut self) {
        self.end(Refusal::Timeout, replies::timed_out());
    }

    /// The client sends too slowly: 421 4.4.2, and closes.
    pub fn too_slow(&mut self) {
        self.end(Refusal::TooSlow, replies::timed_out());
    }

    /// A fault of the server's own ends the connection, with `reply`.
    pub fn fail(&mut self, reply: Reply) {
        self.end(Refusal::Internal, reply);
    }

    /// The server ends: 421 4.3.2, and closes. An [`Ask`] that waits needs no answer any more.
    pub fn shutdown(&mut self) {
        self.end(Refusal::Stopping, replies::shutting_down());
    }

    /// Consumes from `input` until it is empty, a decision is needed, or the session closes. Consumes nothing before
    /// the greeting, while an [`Ask`] waits for its answer, or after closing.
    pub fn advance(&mut self, input: &mut &[u8]) -> Option<Ask> {
        while !input.is_empty() {
            let ask = match self.stage {
                Stage::Command => {
                    let line = self.line.take(input, COMMAND_OCTETS_MAX)?;
                    self.line(line, !input.is_empty())
                }
                Stage::Data(_) => self.data(input),
                Stage::Chunk { .. } => self.chunk(input),
                Stage::Greeting
                | Stage::AskedRecipient(_)
                | Stage::AskedMessage { .. }
                | Stage::AskedStartTls
                | Stage::AskedXclient
                | Stage::Closing => return None,
            };
            if ask.is_some() {
                return ask;
            }
        }
        None
    }

    /// Answers the [`Ask`] that waits; without one, or while TLS is due, does nothing. A reply of 421 or 521 closes the
    /// session (RFC 5321 §3.8, RFC 7504).
    pub fn answer(&mut self, reply: &Reply) {
        match std::mem::replace(&mut self.stage, Stage::Command) {
            Stage::AskedRecipient(path) => match reply.severity() {
                Severity::Positive => {
                    self.say(reply);
                    if let Some(transaction) = &mut self.transaction {
                        transaction.recipients.push(path);
                    }
                }
                Severity::Permanent => {
                    self.recipient_refused = true;
                    self.say(reply);
                    self.count_error();
                }
                Severity::Transient | Severity::Intermediate => {
                    self.recipient_refused = true;
                    self.say(reply);
                }
            },
            Stage::AskedMessage { utf8, is_faulty, .. } => {
                reply.write(&mut self.output, utf8);
                if is_faulty {
                    self.count_error();
                }
            }
            Stage::AskedXclient if reply.severity() == Severity::Positive => {
                self.stage = Stage::AskedXclient;
                self.greet();
            }
            Stage::AskedXclient => {
                self.say(reply);
                self.count_error();
            }
            other => {
                self.stage = other;
                return;
            }
        }
        if matches!(reply.code(), 421 | 521) {
            self.close();
        }
    }

    /// Answers [`Ask::Recipient`] with a reply that is not positive, and tells why.
    pub fn refuse_recipient(&mut self, why: Refusal, reply: &Reply) {
        if let Stage::AskedRecipient(path) = &self.stage {
            let path = refusal::text(path.to_string().as_bytes());
            self.tell(self.rcpt_refusal(why, reply.clone(), path));
        }
        self.answer(reply);
    }

    /// The octets to send. The driver sends and clears them.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// The transaction, from an accepted MAIL until the message is handed out or the transaction is dropped.
    pub fn transaction(&self) -> Option<&Transaction> {
        self.transaction.as_ref()
    }

    /// Whether the connection is to be closed once the output is sent.
    pub fn is_closing(&self) -> bool {
        matches!(self.stage, Stage::Closing)
    }

    /// Octets of memory that the message takes which is being received; 0 without one.
    pub fn body_octets(&self) -> u64 {
        match (&self.stage, &self.chunks) {
            (Stage::Data(incoming), _) => incoming.octets_held(),
            (_, Some(incoming)) => incoming.octets_held(),
            _ => 0,
        }
    }

    /// Takes what has gathered of the message that is being received, so that the driver can keep it elsewhere than in
    /// memory; `None` if there is nothing. Sizes are counted as if it were still here. A message may yet be refused:
    /// only [`Ask::Message`] of the same number completes it, and a part of another number begins another message.
    pub fn take_body(&mut self) -> Option<Part> {
        match (&mut self.stage, &mut self.chunks) {
            (Stage::Data(incoming), _) => incoming.take(),
            (_, Some(incoming)) => incoming.take(),
            _ => None,
        }
    }

    /// Gives up the message that is being received: nothing of it is kept, and at its end, or that of the chunk, it is
    /// answered with `reply`, unless it has a fault of its own. Without a message, does nothing.
    pub fn give_up_message(&mut self, reply: Reply) {
        match (&mut self.stage, &mut self.chunks) {
            (Stage::Data(incoming), _) => incoming.give_up(reply),
            (_, Some(incoming)) => incoming.give_up(reply),
            _ => {}
        }
    }

    /// What the session waits for.
    pub fn expects(&self) -> Expects {
        match self.stage {
            Stage::Greeting => Expects::Greeting,
            Stage::Data(_) | Stage::Chunk { .. } => Expects::Data,
            Stage::Command if self.chunks.is_some() => Expects::Data,
            Stage::Command
            | Stage::AskedRecipient(_)
            | Stage::AskedMessage { .. }
            | Stage::AskedStartTls
            | Stage::AskedXclient => Expects::Command,
            Stage::Closing => Expects::Close,
        }
    }

    /// RFC 6531 §3.7.4.2: text outside of ASCII only for a client that asked for SMTPUTF8.
    fn say(&mut self, reply: &Reply) {
        let utf8 = self.transaction.as_ref().is_some_and(|t| t.params.smtputf8);
        reply.write(&mut self.output, utf8);
    }

    fn close(&mut self) {
        self.stage = Stage::Closing;
        self.reset();
    }

    fn reset(&mut self) {
        self.transaction = None;
        self.chunks = None;
        self.chunks_refused = None;
        self.recipient_refused = false;
    }

    /// As after the first greeting, but for what counts for the whole connection.
    fn begin_anew(&mut self) {
        self.reset();
        self.hello = None;
        self.line = LineReader::default();
    }

    /// `more`: octets stand behind the line.
    fn line(&mut self, line: RawLine, more: bool) -> Option<Ask> {
        let first = self.commands == 0;
        self.commands = self.commands.saturating_add(1);
        if self.commands > self.settings.commands_max {
            self.end(Refusal::TooManyCommands, replies::too_many_commands());
            return None;
        }
        let (octets, command) = match line {
            RawLine::Complete(octets) => {
                let command = Command::parse(&octets);
                (octets, command)
            }
            RawLine::TooLong => (Vec::new(), Err(CommandError::LineTooLong)),
            RawLine::Endless => {
                self.end(Refusal::TooManyErrors, replies::too_many_errors());
                return None;
            }
        };
        self.note(&command, more);
        match command {
            Ok(command) => return self.command(command),
            // An HTTP client is often turned on us by someone else, whose commands follow in the body of its request.
            Err(CommandError::Http) if first => self.end(Refusal::Http, replies::not_smtp()),
            Err(CommandError::UnknownVerb | CommandError::Http) => self.unrecognized(),
            // STARTTLS that is not offered is no command here, with or without an argument.
            Err(CommandError::ArgumentUnexpected(Verb::StartTls)) if self.tls == Tls::Absent => self.unrecognized(),
            Err(CommandError::Xclient(_)) if !self.trusts_xclient => {
                self.reject_at("XCLIENT", Refusal::Xclient, replies::xclient_denied());
            }
            // How long the chunk is cannot be known, so what follows cannot be told from commands.
            Err(CommandError::Argument(Verb::Bdat)) => {
                self.end_at("BDAT", Refusal::ChunkLength, replies::bdat_syntax());
            }
            Err(error) => self.reject_line(&octets, &error),
        }
        None
    }

    /// Notes how the client keeps to the order of speech.
    fn note(&mut self, command: &Result<Command, CommandError>, more: bool) {
        self.conduct.spoke_http |= matches!(command, Err(CommandError::Http));
        let is_none = matches!(
            command,
            Err(CommandError::UnknownVerb
                | CommandError::Http
                | CommandError::NoVerb
                | CommandError::ControlOctet(_)
                | CommandError::LineTooLong)
        );
        if is_none && self.hello.is_none() {
            self.conduct.unknown_before_hello();
        }
        let group = match command {
            // What follows is the chunk.
            Ok(Command::Bdat(chunk)) if chunk.octets > 0 => return,
            // RFC 2920 §3.1, RFC 3207 §4. HELO is like EHLO.
            Ok(
                Command::Hello(_)
                | Command::Data
                | Command::Vrfy
                | Command::Expn
                | Command::Noop
                | Command::Quit
                | Command::StartTls,
            ) => Group::Ends,
            Ok(_) | Err(_) => Group::GoesOn,
        };
        self.pipelined(group, more);
    }

    fn pipelined(&mut self, group: Group, more: bool) {
        if more {
            let greeted = self.hello.as_ref().map(|hello| hello.dialect);
            self.conduct.pipelined(greeted, group);
        }
    }

    fn unrecognized(&mut self) {
        self.unrecognized = self.unrecognized.saturating_add(1);
        if self.unrecognized >= self.settings.unrecognized_max {
            let reply = replies::last_unrecognized(self.unrecognized);
            self.end(Refusal::TooManyUnrecognized, reply);
        } else {
            let mut refused = self.refusal(Refusal::Unrecognized, replies::unrecognized());
            refused.is_final = false;
            self.say(&refused.reply);
            self.tell(refused);
        }
    }

    fn command(&mut self, command: Command) -> Option<Ask> {
        match command {
            Command::Hello(hello) => self.hello(hello),
            Command::Mail { path, params } => self.mail(path, params),
            Command::Rcpt { path } => return self.rcpt(path),
            Command::Data => self.data_command(),
            Command::Bdat(chunk) => return self.bdat(chunk),
            Command::StartTls => return self.start_tls(),
            Command::Xclient(attributes) => return self.xclient(attributes),
            Command::Rset => {
                self.reset();
                self.say(&replies::reset());
            }
            Command::Noop => self.say(&replies::noop()),
            Command::Vrfy => self.say(&replies::vrfy()),
            Command::Expn => self.reject(Refusal::Unrecognized, replies::expn()),
            Command::Help => self.say(&replies::help()),
            Command::Quit => self.refuse(&replies::bye()),
        }
        None
    }

    /// RFC 5321 §4.1.4: a greeting may come at any time, and resets.
    fn hello(&mut self, hello: Hello) {
        self.reset();
        let settings = &self.settings;
        let reply = match hello.dialect {
            Dialect::Smtp => replies::helo(&settings.hostname),
            Dialect::Esmtp => {
                let offers = replies::Offers {
                    size_octets_max: settings.size_max,
                    recipients_max: settings.recipients_max,
                    tls: self.tls == Tls::Offered,
                    xclient: self.trusts_xclient,
                };
                replies::ehlo(&settings.hostname, &offers)
            }
        };
        self.say(&reply);
        self.hello = Some(hello);
    }

    fn mail(&mut self, reverse_path: ReversePath, params: MailParams) {
        let path = refusal::reverse_path(&reverse_path);
        let Some(hello) = &self.hello else {
            return self.reject_mail(Refusal::OutOfOrder, replies::greet_first(), path);
        };
        // RFC 5321 §4.1.4: MAIL within a transaction is out of order.
        if self.transaction.is_some() {
            return self.reject_mail(Refusal::OutOfOrder, replies::mail_again(), path);
        }
        if hello.dialect == Dialect::Smtp && params != MailParams::default() {
            let reply = replies::command_refused(&CommandError::ParameterWithoutEsmtp);
            return self.reject_mail(Refusal::Sender, reply, path);
        }
        if params.size.is_some_and(|size| size > self.settings.size_max) {
            let reply = replies::too_large(self.settings.size_max);
            return self.reject_mail(Refusal::TooLarge, reply, path);
        }
        let transaction = Transaction {
            hello: hello.clone(),
            reverse_path,
            params,
            recipients: Vec::new(),
            conduct: self.conduct,
        };
        self.reset();
        self.transaction = Some(transaction);
        self.say(&replies::mail_taken());
    }

    fn rcpt(&mut self, path: ForwardPath) -> Option<Ask> {
        let written = || refusal::text(path.to_string().as_bytes());
        let Some(transaction) = &self.transaction else {
            self.reject(Refusal::OutOfOrder, replies::mail_first());
            return None;
        };
        if self.chunks.is_some() {
            let refused = self.rcpt_refusal(Refusal::OutOfOrder, replies::chunks_begun(), written());
            self.reject_as(refused);
            return None;
        }
        if !transaction.params.smtputf8 && !is_ascii(&path) {
            self.recipient_refused = true;
            let reply = replies::command_refused(&CommandError::PathNeedsSmtputf8);
            self.reject_as(self.rcpt_refusal(Refusal::Recipient, reply, written()));
            return None;
        }
        if transaction.recipients.len() >= self.settings.recipients_max {
            let reply = replies::too_many_recipients();
            self.say(&reply);
            self.tell(self.rcpt_refusal(Refusal::TooManyRecipients, reply, written()));
            return None;
        }
        let transaction = self.transaction.as_mut()?;
        transaction.conduct = self.conduct;
        self.stage = Stage::AskedRecipient(path.clone());
        Some(Ask::Recipient(path))
    }

    fn start_tls(&mut self) -> Option<Ask> {
        match self.tls {
            Tls::Absent => self.unrecognized(),
            Tls::Active => self.reject(Refusal::OutOfOrder, replies::tls_active()),
            Tls::Offered => {
                self.say(&replies::start_tls());
                self.stage = Stage::AskedStartTls;
                return Some(Ask::StartTls);
            }
        }
        None
    }

    fn xclient(&mut self, attributes: Box<XclientAttributes>) -> Option<Ask> {
        if !self.trusts_xclient {
            self.reject_at("XCLIENT", Refusal::Xclient, replies::xclient_denied());
            return None;
        }
        if self.transaction.is_some() {
            self.reject_at("XCLIENT", Refusal::Xclient, replies::xclient_in_transaction());
            return None;
        }
        self.stage = Stage::AskedXclient;
        Some(Ask::Xclient(attributes))
    }
}

fn is_ascii(path: &ForwardPath) -> bool {
    match path {
        ForwardPath::Postmaster => true,
        ForwardPath::Address(address) => address.as_str().is_ascii(),
    }
}
