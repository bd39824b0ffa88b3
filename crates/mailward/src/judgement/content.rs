//! What a message holds: the content filter of the recipient's mailbox, the links, the virus scanner.

use super::Judgement;
use super::incoming::{NO_CONTENT, Recipient, Subject};
use super::memory::MEMORY_MAX;
use crate::body::Body;
use crate::filter::Seen;
use judge::auth::org::PublicSuffixes;
use judge::evidence::{Fact, RecipientFacts};
use judge::junk::JunkFact;
use judge::links::Links;
use judge::virus::VirusScan;
use mail::{Line, Message};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::timeout;

/// So much of a message is read for its links. Larger ones are large for what is attached to them.
const LINKS_OCTETS_MAX: usize = 4 << 20;
/// How long one message may wait until others were read for their links, which takes milliseconds for each.
const LINKS_WAIT_MAX: Duration = Duration::from_secs(10);

impl Judgement {
    /// What the content filter of the recipient's mailbox says.
    pub(super) async fn filtered(&self, subject: &Subject<'_>, recipient: &Recipient) -> Fact<JunkFact> {
        let Some(filters) = subject.filters else {
            return Fact::Skipped(Line::literal("no content filter is asked"));
        };
        let Some(content) = &subject.content else {
            return Fact::Skipped(Line::literal(NO_CONTENT));
        };
        let seen = Seen {
            features: subject.features(content),
            octets: &content.body.head,
            names: &subject.feature_names,
            is_addressed: is_addressed(content.message, &recipient.facts),
            is_plaintext: subject.is_plaintext,
        };
        let judged = filters.judge(&recipient.facts.mailbox, seen, self.shared_words, self.models_memory);
        match timeout(MEMORY_MAX, judged).await {
            Ok(fact) => fact,
            Err(_) => Fact::Unavailable(Line::literal("the store does not answer")),
        }
    }

    /// Reads a message for its links, where that holds nobody else up.
    pub(super) async fn links(&self, subject: &Subject<'_>) -> Fact<Links> {
        let Some(body) = subject.content.map(|content| content.body) else {
            return Fact::Skipped(Line::literal(NO_CONTENT));
        };
        let wait = timeout(LINKS_WAIT_MAX, Arc::clone(&self.link_readers).acquire_owned());
        let Ok(Ok(permit)) = wait.await else {
            return Fact::Unavailable(Line::literal("too much mail was read for its links at that time"));
        };
        let (body, suffixes) = (Arc::clone(body), Arc::clone(&self.suffixes));
        let read = move || {
            let _permit = permit;
            links_of(&body, &suffixes)
        };
        match tokio::task::spawn_blocking(read).await {
            Ok(links) => links,
            Err(error) => {
                tracing::error!(%error, "a message was not read for its links");
                Fact::Unavailable(Line::literal("the message was not read for its links"))
            }
        }
    }

    /// A scan has a limit of its own.
    pub(super) async fn scan(&self, subject: &Subject<'_>) -> Fact<VirusScan> {
        let Some(body) = subject.content.map(|content| content.body) else {
            return Fact::Skipped(Line::literal(NO_CONTENT));
        };
        match self.clamd.scan(body).await {
            Ok(scan) => {
                if self.clamd_in_trouble.swap(false, Ordering::Relaxed) {
                    tracing::info!("the virus scanner answers again");
                }
                Fact::Found(scan)
            }
            Err(why) => {
                if !self.clamd_in_trouble.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%why, "the virus scanner does not answer; its check does what `unavailable` says");
                }
                Fact::Unavailable(why)
            }
        }
    }
}

/// The links of a message, whose start is in memory.
fn links_of(body: &Body, suffixes: &PublicSuffixes) -> Fact<Links> {
    let Some(tail) = &body.tail else {
        let head = body.head.get(..LINKS_OCTETS_MAX).unwrap_or(&body.head);
        return Fact::Found(Links::read(head, suffixes, &pictures::qr_codes));
    };
    let mut octets = body.head.clone();
    match tail.read_start(&mut octets, LINKS_OCTETS_MAX as u64) {
        Ok(()) => Fact::Found(Links::read(&octets, suffixes, &pictures::qr_codes)),
        Err(error) => {
            tracing::error!(%error, "a message cannot be read back, so its links are not known");
            Fact::Unavailable(Line::literal("the message could not be read back"))
        }
    }
}

/// Whether To or Cc names the recipient, by the address that was given or that of the mailbox.
fn is_addressed(message: &Message<'_>, recipient: &RecipientFacts) -> bool {
    let names = [recipient.address.folded(), recipient.mailbox.to_string()];
    let named = message.fields().iter().filter(|field| field.is("To") || field.is("Cc"));
    let mut values = named.map(|field| String::from_utf8_lossy(&field.value()).to_lowercase());
    values.any(|value| {
        names.iter().any(|name| {
            // No part of a longer address.
            let mut found = value.match_indices(name.as_str());
            found.any(|(at, _)| {
                let (before, after) = (value.get(..at), value.get(at + name.len()..));
                !before.is_some_and(|before| before.ends_with(is_in_address))
                    && !after.is_some_and(|after| after.starts_with(is_in_address))
            })
        })
    })
}

fn is_in_address(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '.' | '-' | '_' | '+')
}

#[cfg(test)]
mod tests {
    use super::*;
    use judge::evidence::UserStanding;
    use mail::{Address, MailboxId};

    #[test]
    fn a_recipient_is_named_by_a_whole_address() {
        let recipient = RecipientFacts::unasked(
            Address::parse("Bob+list@our.example").unwrap(),
            MailboxId::try_from("bob@our.example".to_owned()).unwrap(),
            UserStanding::Valid,
        );
        let named = |header: &str| is_addressed(&Message::parse(format!("{header}\n\n").as_bytes()), &recipient);
        for header in [
            "To: Bob <BOB@our.example>",
            "Cc: a@b.example,\n bob+LIST@our.example",
            "To: bob@our.example",
        ] {
            assert!(named(header), "{header}");
        }
        for header in [
            "To: jim-bob@our.example",
            "To: bob@our.example.net",
            "To: b@our.example",
            "Subject: bob@our.example",
        ] {
            assert!(!named(header), "{header}");
        }
    }
}
