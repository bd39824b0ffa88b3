//! The plain checks: each a function of what it needs, giving the reason text when the message fails.
//!
//! None of them asks a network. The texts are those of the original (`ms-lite`), which operators search their logs for.

mod content;
mod helo;
mod protocol;
mod sender;

use crate::evidence::{ContentFacts, MessageFacts};
use crate::policy::Checks;
use mail::Line;
use serde::{Deserialize, Serialize};

/// A plain check that is built, in the order in which they are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// The reverse-path has a domain with a dot.
    Sender,
    /// The HELO name is one that a mail host of the Internet has.
    Helo,
    /// The client kept to the order of speech.
    Protocol,
    /// There is a Date field.
    Date,
    /// No moderation request of a mailing list manager.
    Mailman,
    /// The From field holds addresses.
    Address,
    /// No mailer that only junk uses.
    Mailers,
    /// There is a body.
    EmptyBody,
    /// A signature is there, where the domain always signs.
    Dkim,
}

impl Check {
    /// The name of its file below `checks/`.
    pub fn name(self) -> &'static str {
        match self {
            Check::Sender => "sender",
            Check::Helo => "helo",
            Check::Protocol => "protocol",
            Check::Date => "date",
            Check::Mailman => "mailman",
            Check::Address => "address",
            Check::Mailers => "mailers",
            Check::EmptyBody => "empty_body",
            Check::Dkim => "dkim",
        }
    }
}

/// The answer of every check that is switched on: the reason if the message fails it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answers {
    pub(crate) sender: Option<Line>,
    pub(crate) helo: Option<Line>,
    pub(crate) protocol: Option<Line>,
    pub(crate) date: Option<Line>,
    pub(crate) mailman: Option<Line>,
    pub(crate) address: Option<Line>,
    pub(crate) mailers: Option<Line>,
    pub(crate) empty_body: Option<Line>,
    pub(crate) dkim: Option<Line>,
}

/// Asks every check that is switched on. They are cheap, and the reasons of all of them are worth showing.
pub fn run(facts: &MessageFacts, checks: &Checks) -> Answers {
    let MessageFacts {
        received_s: _,
        client,
        helo,
        reverse_path,
        tls: _,
        login: _,
        conduct,
        content,
    } = facts;
    let ContentFacts {
        size_octets: _,
        message_id: _,
        subject: _,
        asks_moderation,
        has_date,
        author,
        mailer,
        is_junk_mailer,
        has_signature,
        body_is_blank,
    } = content;
    let Checks {
        sender,
        helo: helo_rule,
        protocol,
        date,
        mailman,
        address,
        mailers,
        empty_body,
        dkim,
        dkim_domains,
    } = checks;
    Answers {
        sender: sender.as_ref().and_then(|_| sender::bogus(reverse_path)),
        helo: helo_rule.as_ref().and_then(|_| helo::fault(helo, *client)),
        protocol: protocol.as_ref().and_then(|_| protocol::fault(*conduct)),
        date: date.as_ref().and_then(|_| content::no_date(*has_date)),
        mailman: mailman
            .as_ref()
            .and_then(|_| content::moderation_request(*asks_moderation)),
        address: address.as_ref().and_then(|_| content::bogus_author(author)),
        mailers: mailers
            .as_ref()
            .and_then(|_| content::bad_mailer(*is_junk_mailer, mailer.as_ref())),
        empty_body: empty_body.as_ref().and_then(|_| content::blank_body(*body_is_blank)),
        dkim: dkim
            .as_ref()
            .and_then(|_| sender::unsigned(reverse_path, *has_signature, dkim_domains.as_deref())),
    }
}
