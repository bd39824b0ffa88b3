//! SPF (RFC 7208): may this client send with this HELO name, with this reverse-path?
//!
//! Never fails: trouble is an answer (`temperror`, `permerror`). DNS is asked only through [`Resolver`], and no more
//! often than RFC 7208 §4.6.4 allows, whatever a record says.
//!
//! - `record`: which text is the record, and its terms. `macros`: what its owner lets be put into names and texts.
//! - `evaluate`: the terms one after the other, until one decides.
//! - `header`: the value of a Received-SPF field.

mod evaluate;
mod header;
mod macros;
mod record;
#[cfg(test)]
mod tests;

use crate::resolver::{Name, Resolver, Security};
use evaluate::{Ending, Evaluation};
use macros::Values;
use mail::{Host, Line, ReversePath};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// Longest sentence about a result, in characters: a term and two names are told whole.
const SENTENCE_CHARS_MAX: usize = 1000;
/// Longest `term` and `domain`, in characters: a term that is quoted, some words and the longest name.
const TERM_CHARS_MAX: usize = 400;
/// What stands in [`Spf::term`] between a term and the domain whose record holds it.
const HELD_BY: &str = " in the record of ";
/// RFC 7208 §4.3: who is meant where a sender has no local part.
const POSTMASTER: &str = "postmaster";

/// Who asks, and for whom.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Who connected. An IPv4-mapped address is the IPv4 address (RFC 7208 §5).
    pub client: IpAddr,
    /// What HELO or EHLO said, as given: may be an address literal, or anything.
    pub helo: &'a str,
    /// What is to be proven.
    pub identity: Identity<'a>,
    /// Our host name, for the macro `r`.
    pub receiver: &'a str,
    /// Seconds since 1970, for the macro `t`.
    pub now_s: i64,
}

/// What is to be proven (RFC 7208 §2.3, §2.4).
#[derive(Debug, Clone, Copy)]
pub enum Identity<'a> {
    /// The HELO name.
    Helo,
    /// The reverse-path; `postmaster` at the HELO name where that is null.
    MailFrom(&'a ReversePath),
}

/// RFC 7208 §2.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpfResult {
    /// No record, or no domain to ask.
    None,
    /// The owner says nothing of this client.
    Neutral,
    /// The client may.
    Pass,
    /// The client may not.
    Fail,
    /// The client probably may not.
    SoftFail,
    /// DNS trouble; may be otherwise later.
    TempError,
    /// The record is wrong.
    PermError,
}

/// What SPF says of one identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spf {
    /// The result.
    pub result: SpfResult,
    /// The domain that was asked.
    pub domain: Line,
    /// The term that matched, as written in the record: `ip4:192.0.2.0/24`, `-all`; with the domain whose record holds
    /// it, where an `include` led there. Empty where none matched.
    pub term: Line,
    /// What was wrong, or how the owner explains a failure (RFC 7208 §6.2); empty otherwise.
    pub explanation: Line,
    /// How far all answers that led to the result are proven.
    pub security: Security,
}

/// What SPF says of the identity that `ask` names.
///
/// Asks for the record, and then at most for what ten terms need: ten hosts for each `mx` and `ptr` among them.
pub async fn check(ask: &Ask<'_>, resolver: &dyn Resolver) -> Spf {
    match ask.identity {
        Identity::Helo | Identity::MailFrom(ReversePath::Null) => {
            check_sender(ask, POSTMASTER, ask.helo, resolver).await
        }
        Identity::MailFrom(ReversePath::Address(address)) => match address.host() {
            Host::Domain(domain) => check_sender(ask, address.local().as_str(), domain.as_str(), resolver).await,
            Host::Literal(_) => no_domain(&address.host().to_string(), "an address literal"),
        },
        Identity::MailFrom(ReversePath::Unqualified(local)) => no_domain(&local.to_string(), "a name without a domain"),
    }
}

/// RFC 7208 §4.1 `check_host()`: what SPF says of `local@domain`, whatever [`Ask::identity`] is. For senders that no
/// session has, such as those of test suites; an empty `local` is `postmaster`.
pub async fn check_sender(ask: &Ask<'_>, local: &str, domain: &str, resolver: &dyn Resolver) -> Spf {
    if domain.starts_with('[') {
        return no_domain(domain, "an address literal");
    }
    // RFC 7208 §4.3: two labels at least. An address has some too, but no zone has it.
    let is_address = domain.parse::<IpAddr>().is_ok();
    let name = Name::parse(domain).ok();
    let Some(name) = name.filter(|name| name.label_count() > 1 && !is_address) else {
        return no_domain(domain, "not a fully qualified domain name");
    };
    let values = Values {
        client: ask.client.to_canonical(),
        local: if local.is_empty() { POSTMASTER } else { local },
        origin: name.as_str(),
        helo: ask.helo,
        receiver: ask.receiver,
        now_s: ask.now_s,
    };
    let (ending, security) = Evaluation::new(values, resolver).run(name.clone()).await;
    ending.told(&name, security)
}

fn no_domain(text: &str, what: &str) -> Spf {
    let domain = Line::clean(text.as_bytes(), TERM_CHARS_MAX);
    let explanation = if domain.as_str().is_empty() {
        "there is no name to ask".to_owned()
    } else {
        format!("`{}` is {what}", Line::clean(text.as_bytes(), 100))
    };
    Spf {
        result: SpfResult::None,
        domain,
        term: Line::default(),
        explanation: Line::reason(explanation.as_bytes()),
        security: Security::default(),
    }
}

impl Ending {
    fn told(self, asked: &Name, security: Security) -> Spf {
        let term = self.term.map_or_else(Line::default, |matched| {
            if matched.holder == *asked {
                return matched.term;
            }
            let text = format!("{}{HELD_BY}{}", matched.term, matched.holder);
            Line::clean(text.as_bytes(), TERM_CHARS_MAX)
        });
        Spf {
            result: self.result,
            domain: Line::clean(asked.as_str().as_bytes(), TERM_CHARS_MAX),
            term,
            explanation: Line::reason(self.explanation.as_bytes()),
            security,
        }
    }
}

impl Spf {
    /// Which record and which term decided, in a sentence without a full stop.
    pub fn sentence(&self, identity: Identity<'_>) -> Line {
        let who = match identity {
            Identity::Helo => format!("the HELO name {}", self.domain),
            Identity::MailFrom(ReversePath::Null) => format!("{POSTMASTER}@{} (the null reverse-path)", self.domain),
            Identity::MailFrom(path) => path.to_string(),
        };
        let (term, holder) = self.matched();
        let explanation = self.explanation.as_str();
        let why = match self.result {
            _ if !term.is_empty() => {
                let explained = match explanation {
                    "" => String::new(),
                    text => format!("; its owner explains: {text}"),
                };
                format!("`{term}` in the record of {holder}{explained}")
            }
            _ if !explanation.is_empty() => explanation.to_owned(),
            _ => "no term of the record fits".to_owned(),
        };
        let text = format!("SPF for {who}: {}, {why}", self.result);
        Line::clean(text.as_bytes(), SENTENCE_CHARS_MAX)
    }

    /// The term that matched, and whose record holds it.
    fn matched(&self) -> (&str, &str) {
        let term = self.term.as_str();
        term.split_once(HELD_BY).unwrap_or((term, self.domain.as_str()))
    }
}

impl SpfResult {
    /// The word of RFC 8601 §2.7.2.
    pub fn word(self) -> &'static str {
        match self {
            SpfResult::None => "none",
            SpfResult::Neutral => "neutral",
            SpfResult::Pass => "pass",
            SpfResult::Fail => "fail",
            SpfResult::SoftFail => "softfail",
            SpfResult::TempError => "temperror",
            SpfResult::PermError => "permerror",
        }
    }
}

impl fmt::Display for SpfResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
