//! What is read off one message that lies in a folder.

use super::lesson::{Marked, Posted};
use crate::cli::label;
use crate::gateway::is_automatic;
use jiff::fmt::rfc2822::DateTimeParser;
use judge::auth::author::{self, Author};
use judge::content::Features;
use judge::reputation::{Letter, Opened, Trust};
use mail::{Address, Line, MailboxId, Message};
use std::collections::HashSet;
use store::{Label, MailwardId};

/// Of a message to more addresses than these the others are left out.
const RECIPIENTS_MAX: usize = 1000;
/// So many of them are told at one time.
const RECIPIENTS_AT_ONCE: usize = 50;
/// Features of more octets than these do not fit in a batch, with the rest of a message, in base64.
const FEATURES_OCTETS_MAX: usize = 24 * 1024;
/// Fields that tell one message from all others; mail programs change none of them.
const TELLING: [&str; 4] = ["Message-ID", "Date", "From", "Received"];

/// A message that was junk or not.
pub(super) struct Page {
    /// By which it is known again.
    pub hash: u64,
    pub opened: Opened,
    id: MailwardId,
    received_s: i64,
    sealed: Option<(String, String)>,
}

/// Why a message tells nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Skipped {
    NoDate,
    Automatic,
    NotByOwner,
}

impl Page {
    /// `None` without any date: history is asked by time.
    pub fn read(message: &Message<'_>, trust: &Trust, mailbox: Option<&MailboxId>) -> Option<Page> {
        let opened = Letter::open(message, trust);
        let [trusted, top, written] =
            [&opened.trusted_date, &opened.top_date, &opened.written_date].map(|date| time_s(date.as_ref()?));
        let hash = hash(message, mailbox);
        Some(Page {
            hash,
            id: MailwardId::learnt(hash),
            received_s: trusted.or(top).or(written)?,
            opened,
            sealed: label::sealed(message),
        })
    }

    /// What the store is told.
    pub fn marked(self, message: &Message<'_>, label: Label) -> Marked {
        Marked {
            features: features(message, self.opened.outside),
            id: self.id,
            sealed: self.sealed,
            label,
            received_s: self.received_s,
            letter: self.opened.letter,
        }
    }
}

/// What the message was made of when it came from outside. None of one that is made of so much that it fits in no batch.
fn features(message: &Message<'_>, outside: usize) -> Option<Features> {
    let fields = message.fields().get(outside..).unwrap_or_default();
    let mut octets: Vec<u8> = fields.iter().flat_map(|field| field.raw()).copied().collect();
    octets.extend_from_slice(b"\n");
    octets.extend_from_slice(message.body());
    let features = Features::read(&octets);
    (features.to_octets().len() <= FEATURES_OCTETS_MAX).then_some(features)
}

/// To whom the owner wrote a message, in parts.
pub(super) fn posted(message: &Message<'_>, sent_as: &HashSet<String>) -> Result<Vec<Posted>, Skipped> {
    if is_automatic(message) {
        return Err(Skipped::Automatic);
    }
    let Author::One { address, .. } = author::read(message) else {
        return Err(Skipped::NotByOwner);
    };
    let author = Address::parse(address.as_str()).map_err(|_| Skipped::NotByOwner)?;
    let author = (!sent_as.contains(&author.folded())).then_some(author);
    let date = |name: &str| message.first(name).map(|field| Line::reason(&field.value()));
    let received = || {
        let received = mail::received::parse(&message.first("Received")?.value())?;
        time_s(&received.date)
    };
    let at_s = date("Date").and_then(|date| time_s(&date)).or_else(received);
    let at_s = at_s.ok_or(Skipped::NoDate)?;
    let mut to = Vec::new();
    for field in message.fields() {
        if ["To", "Cc", "Bcc"].iter().any(|name| field.is(name)) {
            to.extend(author::addresses(field, RECIPIENTS_MAX - to.len()));
        }
    }
    // Who wrote it is looked at even where it names nobody.
    let (first, rest) = to.split_at(to.len().min(RECIPIENTS_AT_ONCE));
    let parts = std::iter::once(first)
        .chain(rest.chunks(RECIPIENTS_AT_ONCE))
        .enumerate();
    let posted = parts.map(|(n, part)| Posted {
        author: author.clone(),
        to: part.to_vec(),
        at_s,
        is_more: n > 0,
    });
    Ok(posted.collect())
}

/// Each field has its length before it, so that no two lists of fields are one.
fn hash(message: &Message<'_>, mailbox: Option<&MailboxId>) -> u64 {
    let mut hasher = blake3::Hasher::new();
    let mut add = |octets: &[u8]| {
        hasher.update(&(octets.len() as u64).to_le_bytes());
        hasher.update(octets);
    };
    add(mailbox.map(ToString::to_string).unwrap_or_default().as_bytes());
    for name in TELLING {
        for field in message.fields().iter().filter(|field| field.is(name)) {
            add(name.as_bytes());
            add(&field.value());
        }
    }
    let mut first = [0; 8];
    hasher.finalize_xof().fill(&mut first);
    u64::from_le_bytes(first)
}

/// RFC 5322 §3.3 and §4.3: with comments anywhere, and zones of other times. The day of the week need not be right.
fn time_s(date: &Line) -> Option<i64> {
    let mut plain = String::with_capacity(date.as_str().len());
    let mut depth = 0_usize;
    for c in date.as_str().chars() {
        match c {
            '(' => depth += 1,
            ')' if depth > 0 => {
                depth -= 1;
                plain.push(' ');
            }
            c if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    let parser = DateTimeParser::new().relaxed_weekday(true);
    let time = parser.parse_timestamp(plain.trim()).ok()?;
    Some(time.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash_of(header: &str) -> u64 {
        let mailbox = MailboxId::try_from("ann@example.com".to_owned()).unwrap();
        hash(&Message::parse(format!("{header}\r\n\r\nx").as_bytes()), Some(&mailbox))
    }

    #[test]
    fn a_message_is_known_again_whatever_mail_programs_made_of_it() {
        let header = "Received: from a\r\n\tby b; c\r\nMessage-ID: <1@a>\r\nDate: x\r\nFrom: y";
        let one = hash_of(header);
        assert_eq!(one, hash_of(&header.replace("\r\n", "\n")));
        assert_eq!(
            one,
            hash_of(&format!(
                "Return-Path: <z>\r\n{header}\r\nStatus: RO\r\nX-Keywords: a\r\nX-UID: 7"
            ))
        );
        for other in ["<2@a>", "<1@a>\r\nReceived: d"] {
            assert_ne!(one, hash_of(&header.replace("<1@a>", other)), "{other}");
        }
        assert_ne!(
            hash_of("Message-ID: ab\r\nDate: c"),
            hash_of("Message-ID: a\r\nDate: bc")
        );
        let message = Message::parse(b"\r\n");
        assert_ne!(hash(&message, None), hash_of(""));
    }

    #[test]
    fn dates_are_read_as_they_are_written() {
        let of = |text: &str| time_s(&Line::from(text.to_owned()));
        let noon = of("Mon, 02 Nov 2026 12:00:00 +0000").unwrap();
        for text in [
            "Mon, 2 Nov 2026 13:00:00 +0100 (CET)",
            "Tue, 02 Nov 2026 04:00:00 -0800 (PST)",
            "2 Nov 2026 12:00:00 GMT",
            "Mon, 2 Nov 2026 07:00:00 EST",
            "Mon (a (b) day), 2 Nov 2026 12:00:00 -0000(UTC)",
            "Mon, 2 Nov 26 12:00 +0000",
        ] {
            assert_eq!(of(text), Some(noon), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "Mon, 32 Nov 2026 12:00:00 +0000",
            "(",
            ")",
            "2026-11-02T12:00:00Z",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn who_was_written_to_is_told_in_parts() {
        let of = |header: &str| {
            posted(
                &Message::parse(header.as_bytes()),
                &HashSet::from(["bob@else.example".to_owned()]),
            )
        };
        let many: Vec<String> = (0..1200).map(|n| format!("p{n}@x.example")).collect();
        let header = format!(
            "From: <ann@example.com>\nDate: Mon, 02 Nov 2026 12:00:00 +0000\nTo: a@x.example\nCC: {}\n\n",
            many.join(",\n ")
        );
        let parts = of(&header).unwrap();
        assert_eq!(parts.iter().map(|part| part.to.len()).sum::<usize>(), RECIPIENTS_MAX);
        assert_eq!(parts.iter().filter(|part| !part.is_more).count(), 1);
        assert!(
            parts
                .iter()
                .all(|part| part.to.len() <= RECIPIENTS_AT_ONCE && part.author.is_some())
        );
        let as_bob = of(&header.replace("ann@example.com", "Bob@else.example")).unwrap();
        assert_eq!(as_bob[0].author, None);
        assert_eq!(of(&header.replace("Date:", "X:")).unwrap_err(), Skipped::NoDate);
        assert_eq!(
            of(&format!("Precedence: list\n{header}")).unwrap_err(),
            Skipped::Automatic
        );
        assert_eq!(of(&header.replace("<ann", "<ann@")).unwrap_err(), Skipped::NotByOwner);
        let by_hop = header.replace("Date: ", "Received: by x; ");
        assert_eq!(of(&by_hop).unwrap()[0].at_s, parts[0].at_s);
        assert!(
            of("From: <ann@example.com>\nDate: 2 Nov 2026 12:00 GMT\n\n").unwrap()[0]
                .to
                .is_empty()
        );
    }
}
