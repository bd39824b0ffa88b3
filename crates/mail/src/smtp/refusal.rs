//! Why a server refuses: one name for each reason, by which it is logged and counted.

use super::command::{CommandError, Verb};
use super::data::DataFault;
use super::server::Transaction;
use crate::address::ReversePath;
use crate::reply::Reply;
use crate::text::Line;

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// Why a command, a message or a connection is refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Refusal {
            $($(#[$doc])* $name,)*
        }

        impl Refusal {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Refusal] = &[$(Refusal::$name),*];

            /// Its name in logs and counts.
            pub fn word(self) -> &'static str {
                match self {
                    $(Refusal::$name => $word,)*
                }
            }
        }
    };
}

refusals! {
    /// The verb is unknown, or not offered.
    Unrecognized = "unrecognized",
    /// The arguments of a command are wrong; those of MAIL and RCPT have names of their own.
    Syntax = "syntax",
    /// A line of commands is longer than the limit.
    CommandTooLong = "command_too_long",
    /// A command stands where it must not.
    OutOfOrder = "out_of_order",
    /// The peer may not say for whom it speaks, or says it wrongly.
    Xclient = "xclient",
    /// What MAIL says is no reverse-path, or has parameters that are not offered.
    Sender = "sender",
    /// What RCPT says is no forward-path, or has parameters that are not offered.
    Recipient = "recipient",
    /// The recipient's domain is none of ours.
    Relay = "relay",
    /// A recipient that nobody is.
    UnknownRecipient = "unknown_recipient",
    /// More recipients than one message may have.
    TooManyRecipients = "too_many_recipients",
    /// Mail for this recipient goes elsewhere than mail for the others of the transaction.
    OtherNextHop = "other_next_hop",
    /// The recipient's domain is ours, but nothing can be known of it now.
    DomainUnavailable = "domain_unavailable",
    /// No recipient was accepted.
    NoRecipients = "no_recipients",
    /// There is no room for the message now.
    NoRoom = "no_room",
    /// The message is larger than the limit, or is said to be.
    TooLarge = "too_large",
    /// A line of the message is longer than the limit.
    LineTooLong = "line_too_long",
    /// The message has a CR or LF that stands alone.
    BareLineBreak = "bare_line_break",
    /// The message has a NUL.
    Nul = "nul",
    /// The header of the message is larger than the limit.
    HeaderTooLarge = "header_too_large",
    /// The message goes in circles.
    TooManyHops = "too_many_hops",
    /// The client said nothing, or not enough of it, in its time.
    Timeout = "timeout",
    /// The message came too slowly.
    TooSlow = "too_slow",
    /// More commands than a connection may have.
    TooManyCommands = "too_many_commands",
    /// More refused commands than a connection may have.
    TooManyErrors = "too_many_errors",
    /// More unknown verbs than a connection may have.
    TooManyUnrecognized = "too_many_unrecognized",
    /// The client speaks HTTP.
    Http = "http",
    /// How long a chunk is cannot be known.
    ChunkLength = "chunk_length",
    /// The handshake of TLS failed.
    TlsHandshake = "tls_handshake",
    /// A load balancer does not say for whom it speaks.
    ProxyHeader = "proxy_header",
    /// The server ends.
    Stopping = "stopping",
    /// A fault of the server's own.
    Internal = "internal",
}

impl From<DataFault> for Refusal {
    fn from(fault: DataFault) -> Refusal {
        match fault {
            DataFault::Nul => Refusal::Nul,
            DataFault::LineTooLong => Refusal::LineTooLong,
            DataFault::TooLarge => Refusal::TooLarge,
            DataFault::BareLineBreak => Refusal::BareLineBreak,
        }
    }
}

impl Refusal {
    /// Why a line is no command. `verb` is what it begins with.
    pub(super) fn of(error: &CommandError, verb: Option<Verb>) -> Refusal {
        match (error, verb) {
            (CommandError::UnknownVerb | CommandError::Http, _) => Refusal::Unrecognized,
            (CommandError::LineTooLong, _) => Refusal::CommandTooLong,
            (CommandError::RecipientHost(_), _) => Refusal::Relay,
            (CommandError::Xclient(_), _) => Refusal::Xclient,
            (_, Some(Verb::Mail)) => Refusal::Sender,
            (_, Some(Verb::Rcpt)) => Refusal::Recipient,
            (_, _) => Refusal::Syntax,
        }
    }
}

/// One refusal, with what was known of the client when it was given. A server says it, and nobody needs to read the
/// reply to know what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub why: Refusal,
    /// It ends a connection, a transaction or a recipient's part in one. One that does not is an error of a command,
    /// after which the client may go on.
    pub is_final: bool,
    /// The command, or what the client was about.
    pub stage: &'static str,
    /// What the client is told.
    pub reply: Reply,
    /// What the client said of itself in its greeting.
    pub helo: Option<Line>,
    /// What MAIL carried, also where that is what is refused.
    pub reverse_path: Option<Line>,
    /// The recipient that is refused.
    pub recipient: Option<Line>,
    /// How many recipients were accepted before.
    pub recipients: usize,
    /// The first of them.
    pub first_recipients: Vec<Line>,
}

/// So many recipients are told by their addresses.
const RECIPIENTS_TOLD: usize = 3;
/// Longest address that is told, in characters.
const PATH_CHARS_MAX: usize = 300;

/// Who writes to whom, as a refusal tells it.
#[derive(Debug, Clone, Default)]
pub(super) struct Parties {
    pub(super) helo: Option<Line>,
    pub(super) reverse_path: Option<Line>,
    pub(super) recipients: usize,
    pub(super) first_recipients: Vec<Line>,
}

impl Parties {
    /// Those of a transaction, with its recipients so far.
    pub(super) fn of(transaction: &Transaction) -> Parties {
        let paths = &transaction.recipients;
        let told = paths.iter().take(RECIPIENTS_TOLD);
        Parties {
            helo: Some(transaction.hello.name.clone()),
            reverse_path: Some(reverse_path(&transaction.reverse_path)),
            recipients: paths.len(),
            first_recipients: told.map(|path| text(path.to_string().as_bytes())).collect(),
        }
    }
}

/// A reverse-path with its brackets.
pub(super) fn reverse_path(path: &ReversePath) -> Line {
    text(format!("<{path}>").as_bytes())
}

/// A path, or what stands in the place of one.
pub(super) fn text(octets: &[u8]) -> Line {
    Line::clean(octets, PATH_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_number_and_a_word_of_its_own() {
        let words: std::collections::BTreeSet<_> = Refusal::ALL.iter().map(|why| why.word()).collect();
        assert_eq!(words.len(), Refusal::ALL.len());
        for (n, why) in Refusal::ALL.iter().enumerate() {
            assert_eq!(*why as usize, n);
        }
    }
}
