//! What becomes of a message's header: a list of fields that are taken out, and of fields that are added. A listener that
//! relays writes the block itself; one that cannot, such as a milter, passes the list on.
//!
//! On top: what was proven (Authentication-Results, Received-SPF). At the end of the header block, in the order of the
//! original: `X-HELO`, `X-REMOTE-IP`, ... and the verdict. Fields that come with a message and would be believed to be ours,
//! or a filter's, are taken out (`foreign`). The trace field of RFC 5321 §4.4 is for whoever relays.

use super::foreign::{FilterField, Sieve};
use super::proofs;
use crate::client::Client;
use judge::evidence::MessageFacts;
use judge::virus::VirusScan;
use mail::{Address, Domain, Field, Line, Message, ReversePath};
use std::fmt::Display;

/// By which names this server is known in header fields, and which fields filters write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnNames {
    /// RFC 8601 §2.5.
    pub authserv_id: String,
    /// Its host name.
    pub hostname: String,
    /// `[smtp] filter_fields`.
    pub filter_fields: Vec<FilterField>,
}

/// One change to the header of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderChange {
    /// Takes out the field that has this place among those that came, counted from 0.
    Remove(usize),
    /// Adds a field above those that came; several in their order.
    Prepend(HeaderField),
    /// Adds a field below those that came; several in their order.
    Append(HeaderField),
}

/// A whole field, folded, with its final CRLF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderField(String);

impl HeaderField {
    /// `name: value`. The value is a text of ours or was made harmless.
    fn new(name: &str, value: impl Display) -> HeaderField {
        HeaderField(format!("{name}: {value}\r\n"))
    }

    /// The field as it stands in a header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What one copy is marked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// Nothing.
    None,
    /// `X-Mailward-Verdict` and `X-Spam-Flag`, and a folder's name for Sieve.
    Junk {
        /// Why.
        reasons: Line,
        /// `X-Mailward-Folder`.
        folder: Option<String>,
    },
    /// `X-REJECT-REASON` and `X-REJECT-PLUGIN`: a copy for the quarantine.
    Kept {
        /// Why.
        reason: Line,
        /// Which component says so.
        plugin: String,
    },
}

/// The fields that are taken out of a message of which nothing is proven, by their places among those that came.
pub fn removals(message: &Message<'_>, own: &OwnNames, client: &Client) -> Vec<HeaderChange> {
    removals_by(&Sieve::new(own, client), message)
}

pub(super) fn removals_by(sieve: &Sieve<'_>, message: &Message<'_>) -> Vec<HeaderChange> {
    let fields = message.fields().iter().enumerate();
    let removed = fields.filter(|(place, field)| sieve.removes(*place, field));
    removed.map(|(place, _)| HeaderChange::Remove(place)).collect()
}

/// The fields that came with the message and stay.
fn kept<'a>(message: &'a Message<'a>, removals: &[HeaderChange]) -> impl Iterator<Item = &'a Field<'a>> + use<'a> {
    let mut stays = vec![true; message.fields().len()];
    for change in removals {
        if let HeaderChange::Remove(place) = change
            && let Some(stays) = stays.get_mut(*place)
        {
            *stays = false;
        }
    }
    let fields = message.fields().iter().zip(stays);
    fields.filter(|(_, stays)| *stays).map(|(field, _)| field)
}

/// Octets of the message without the fields that are taken out; `octets` are those of all of it.
pub(super) fn kept_octets(message: &Message<'_>, removals: &[HeaderChange], octets: u64) -> u64 {
    let all: usize = message.fields().iter().map(|field| field.raw().len()).sum();
    let kept: usize = kept(message, removals).map(|field| field.raw().len()).sum();
    octets.saturating_sub((all - kept) as u64)
}

/// The fields that came with the message and stay, each with a CRLF.
pub fn kept_fields(message: &Message<'_>, removals: &[HeaderChange]) -> Vec<u8> {
    let mut fields = Vec::with_capacity(message.fields().iter().map(|field| field.raw().len()).sum());
    for field in kept(message, removals) {
        fields.extend_from_slice(field.raw());
        if !field.raw().ends_with(b"\n") {
            fields.extend_from_slice(b"\r\n");
        }
    }
    fields
}

/// What is added to one copy. `recipients` are those that get it: only when there is one is it named, since the others
/// would see it. Only a message that came by SMTPUTF8 (`is_utf8`) may have octets outside of ASCII in its header (RFC 6532).
pub fn additions(
    facts: &MessageFacts,
    own: &OwnNames,
    recipients: &[&Address],
    mark: &Mark,
    is_utf8: bool,
) -> Vec<HeaderChange> {
    let text = |line: &Line| match is_utf8 {
        true => line.to_string(),
        false => line.to_ascii().into_owned(),
    };
    let mut changes: Vec<HeaderChange> = proofs::fields(facts, own, is_utf8)
        .into_iter()
        .map(|field| HeaderChange::Prepend(HeaderField(field)))
        .collect();
    let mut append = |name: &str, value: &dyn Display| {
        changes.push(HeaderChange::Append(HeaderField::new(name, value)));
    };
    append("X-HELO", &text(&facts.helo));
    append("X-REMOTE-IP", &facts.client);
    append("X-REMOTE-HOST", &remote_host(facts));
    append("X-MAIL-FROM", &bracketed(&facts.reverse_path));
    if let [only] = recipients {
        append("X-RCPT-TO", &format_args!("<{}>", only.folded()));
    }
    if let Some(domain) = common_domain(recipients) {
        append("X-DOMAIN", &domain);
    }
    if let [only] = recipients {
        append("X-LOCALPART", &only.local().folded());
    }
    if let Some(word) = proofs::dkim_word(&facts.origin) {
        append("X-DKIM-RESULT", &word);
    }
    if let Some(VirusScan::Infected(virus)) = facts.virus.found() {
        append("X-MS.com-Virus", &text(virus));
    }
    match mark {
        Mark::None => {}
        Mark::Junk { reasons, folder } => {
            append("X-Mailward-Verdict", &format_args!("junk; {}", text(reasons)));
            append("X-Spam-Flag", &"YES");
            if let Some(folder) = folder {
                append("X-Mailward-Folder", folder);
            }
        }
        Mark::Kept { reason, plugin } => {
            append("X-REJECT-REASON", reason);
            append("X-REJECT-PLUGIN", plugin);
        }
    }
    changes
}

/// The client's proven name; `Unknown`, as in the original, without one.
pub fn remote_host(facts: &MessageFacts) -> Line {
    let name = facts.origin.iprev.found().and_then(|iprev| iprev.name.as_ref());
    name.map_or(Line::literal("Unknown"), |name| Line::reason(name.as_str().as_bytes()))
}

/// A message that this gateway delivered, as it came: without what delivery put on top of it and what is taken out of mail
/// of such a client, which was added behind us. `None` for any other message: our Received field must name the id of the
/// `X-Mailward-Id` below it.
pub fn as_it_came(message: &Message<'_>, own: &OwnNames, client: &Client) -> Option<Vec<u8>> {
    let fields = message.fields();
    let last = fields.iter().position(|field| field.is("X-Mailward-Id"))?;
    let (top, rest) = fields.split_at_checked(last + 1)?;
    let value = top.last()?.value().into_owned();
    let id = value.split(|octet| *octet == b' ').next().filter(|id| !id.is_empty())?;
    let ours = [b"by ", own.hostname.as_bytes(), b" with "].concat();
    let named = [b" id ", id].concat();
    let has = |value: &[u8], text: &[u8]| memchr::memmem::find(value, text).is_some();
    let is_ours = |field: &&Field<'_>| {
        let value = field.value();
        field.is("Received") && has(&value, &ours) && has(&value, &named)
    };
    top.iter().find(is_ours)?;
    let sieve = Sieve::new(own, client).delivered(message);
    let kept = (last + 1..)
        .zip(rest)
        .filter(|(place, field)| !sieve.removes(*place, field));
    let fields: Vec<&[u8]> = kept.map(|(_, field)| field.raw()).collect();
    Some([&fields.concat(), b"\r\n".as_slice(), message.body()].concat())
}

/// `<path>`, as it was written.
pub fn bracketed(path: &ReversePath) -> Line {
    Line::clean(format!("<{path}>").as_bytes(), 600)
}

fn common_domain<'a>(recipients: &[&'a Address]) -> Option<&'a Domain> {
    let first = recipients.first()?.domain()?;
    recipients.iter().all(|r| r.domain() == Some(first)).then_some(first)
}
