//! A session driven by rote: no sockets, and a gateway of fixed opinions. For tests and fuzz targets; the daemon does
//! not use it.
//!
//! The gateway takes all recipients but `unknown@` (550), `later@` (450) and `overload@` (421), all messages but those
//! that hold `refuse me`, and all that XCLIENT says but an address that is not known. TLS always succeeds: what was
//! fed in one go with STARTTLS is thrown away behind it, what is fed next is taken as protected.
//!
//! A fuzz target compares [`run`] in several manners. The other targets need no driver: [`super::data::Decoder`],
//! [`super::bdat::Decoder`], [`super::xclient::XclientAttributes::parse`], [`super::command::Command::parse`],
//! [`crate::proxy::Parser`], [`crate::Address::parse`] and [`crate::Message`] take octets or text as they are.
//!
//! Panics where the session breaks a promise.

use super::data::BareLf;
use super::nul::Nul;
use super::refusal::{Refusal, Refused};
use super::server::{Ask, Expects, MessageNumber, Part, Session, Settings, Transaction};
use super::xclient::{Told, XclientAttributes};
use crate::reply::Reply;
use crate::text::Line;
use std::sync::Arc;

/// How a replay is done, which must change nothing of what comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manner {
    /// Octets given to the session at once; 1 at least.
    pub piece: usize,
    /// Whether the parts of messages stay in the session or are taken as they come.
    pub bodies: Bodies,
}

/// Where the parts of a message are kept until it is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bodies {
    /// In the session.
    Left,
    /// With the driver ([`Session::take_body`]).
    Taken,
}

/// What a dialogue comes to.
#[derive(Debug, PartialEq, Eq)]
pub struct Record {
    /// All that the session said.
    pub output: Vec<u8>,
    /// The messages that were handed over, without the conduct of the client, which depends on the pieces.
    pub messages: Vec<(Transaction, Vec<u8>)>,
    /// The messages that were refused though they are whole.
    pub faulty: Vec<(Refusal, Vec<u8>)>,
    /// What was refused, in order.
    pub refused: Vec<Refused>,
    /// What XCLIENT said.
    pub clients: Vec<XclientAttributes>,
    /// What the session expects next.
    pub expects: Expects,
}

/// A session with its driver and gateway.
#[derive(Debug)]
pub struct Replay {
    /// The session.
    pub session: Session,
    /// What it said since this was last emptied.
    pub output: Vec<u8>,
    /// The messages that were handed over.
    pub messages: Vec<(Transaction, Vec<u8>)>,
    /// The messages that were refused though they are whole.
    pub faulty: Vec<(Refusal, Vec<u8>)>,
    /// What was refused, in order.
    pub refused: Vec<Refused>,
    /// What XCLIENT said.
    pub clients: Vec<XclientAttributes>,
    spool: Option<Part>,
    size_max: u64,
}

/// Small limits, so that short input reaches them.
pub fn narrow_settings() -> Settings {
    Settings {
        hostname: Line::literal("mx.example"),
        size_max: 60,
        recipients_max: 5,
        commands_max: 25,
        unrecognized_max: 3,
        errors_max: 6,
        text_line_max: 30,
        bare_lf: BareLf::Refuse,
        bdat_bare_lf: BareLf::Normalize,
        nul: Nul::Replace,
    }
}

/// Runs a dialogue from the greeting on, with TLS offered and XCLIENT trusted.
pub fn run<'a>(settings: Settings, inputs: impl IntoIterator<Item = &'a [u8]>, manner: Manner) -> Record {
    let mut replay = Replay::new(settings);
    replay.session.offer_tls();
    replay.session.trust_xclient();
    replay.session.greet();
    for input in inputs {
        replay.feed(input, manner);
    }
    let mut messages = replay.messages;
    for (transaction, _) in &mut messages {
        transaction.conduct = Default::default();
    }
    Record {
        expects: replay.session.expects(),
        output: replay.output,
        messages,
        faulty: replay.faulty,
        refused: replay.refused,
        clients: replay.clients,
    }
}

impl Replay {
    /// A session that has not greeted.
    pub fn new(settings: Settings) -> Replay {
        Replay {
            size_max: settings.size_max,
            session: Session::new(Arc::new(settings)),
            output: Vec::new(),
            messages: Vec::new(),
            faulty: Vec::new(),
            refused: Vec::new(),
            clients: Vec::new(),
            spool: None,
        }
    }

    /// Feeds octets that arrive together.
    pub fn feed(&mut self, octets: &[u8], manner: Manner) {
        for mut piece in octets.chunks(manner.piece.max(1)) {
            while let Some(ask) = self.session.advance(&mut piece) {
                if ask == Ask::StartTls {
                    self.send();
                    self.session.tls_started();
                    return;
                }
                self.decide(ask);
            }
            assert!(
                piece.is_empty() || matches!(self.session.expects(), Expects::Close | Expects::Greeting),
                "input was left behind"
            );
            if manner.bodies == Bodies::Taken {
                self.take_body();
            }
            self.send();
        }
        self.send();
    }

    fn send(&mut self) {
        self.refused.append(&mut self.session.take_refused());
        self.output.append(self.session.output());
    }

    fn take_body(&mut self) {
        let Some(part) = self.session.take_body() else { return };
        assert!(
            self.session.body_octets() == 0,
            "memory is held of a body that was taken"
        );
        match &mut self.spool {
            Some(spool) if spool.message == part.message => spool.octets.extend(part.octets),
            spool => *spool = Some(part),
        }
    }

    fn whole(&mut self, message: MessageNumber, rest: Vec<u8>) -> Vec<u8> {
        let body = match self.spool.take() {
            Some(spool) if spool.message == message => [spool.octets, rest].concat(),
            _ => rest,
        };
        assert!(body.len() as u64 <= self.size_max, "a message past the limit");
        assert!(
            body.is_empty() || body.ends_with(b"\r\n"),
            "a message without its last line end"
        );
        let breaks = body.windows(2).filter(|pair| pair == b"\r\n").count();
        let loose = body.iter().filter(|octet| matches!(octet, b'\r' | b'\n')).count();
        assert_eq!(loose, 2 * breaks, "a bare CR or LF is left");
        assert!(!body.contains(&0), "a NUL is left");
        body
    }

    fn decide(&mut self, ask: Ask) {
        let reply = |code, enhanced, text| Reply::new(code, enhanced, Line::literal(text));
        let reply = match ask {
            Ask::Recipient(path) => {
                assert!(self.session.transaction().is_some(), "a recipient without a sender");
                match path.to_string().split('@').next() {
                    Some("unknown") => reply(550, (5, 1, 1), "No such user"),
                    Some("later") => reply(450, (4, 2, 0), "Later"),
                    Some("overload") => reply(421, (4, 3, 0), "Overloaded"),
                    _ => reply(250, (2, 1, 5), "Recipient ok"),
                }
            }
            Ask::Message {
                transaction,
                message,
                body,
                nuls: _,
            } => {
                assert!(self.session.transaction().is_none(), "the transaction is not over");
                let body = self.whole(message, body);
                let refused = body.windows(9).any(|w| w == b"refuse me");
                self.messages.push((transaction, body));
                if refused {
                    reply(550, (5, 7, 1), "Zurückgewiesen")
                } else {
                    reply(250, (2, 0, 0), "Queued")
                }
            }
            Ask::Faulty {
                message,
                body,
                why,
                reply,
                ..
            } => {
                assert!(self.session.transaction().is_none(), "the transaction is not over");
                let body = self.whole(message, body);
                self.faulty.push((why, body));
                reply
            }
            Ask::Xclient(attributes) if attributes.addr == Some(Told::Unavailable) => {
                reply(550, (5, 7, 1), "Who is it?")
            }
            Ask::Xclient(attributes) => {
                self.clients.push(*attributes);
                return self.session.greet();
            }
            Ask::StartTls => return,
        };
        self.session.answer(&reply);
    }
}
