//! What other mailboxes here say of a sender of whom a mailbox knows nothing itself. A mild signal, and never more: it
//! decides nothing, however many agree.
//!
//! Nobody is named: each mailbox has one vote, and fewer than three say nothing.

use super::history::{History, HistoryUnavailable, Identity, Repute, Scope, Votes};
use super::sender::Sender;
use mail::{Line, MailboxId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Mailboxes that must have a vote before it counts.
const VOTERS_MIN: u32 = 3;
/// How far back votes on names count: half a year.
const WINDOW_S: i64 = 365 * 24 * 60 * 60 / 2;
/// And those on addresses: a quarter. Neither is longer than a mailbox's own memory of the like in the table, so that whoever
/// is told of three hears nothing of himself.
const ADDRESS_WINDOW_S: i64 = WINDOW_S / 2;
/// Signing domains that are asked about.
const SIGNERS_MAX: usize = 2;

/// What other mailboxes say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shared {
    /// Junk if more than three quarters of them say so, not junk if fewer than one quarter do.
    pub verdict: Option<Repute>,
    /// Of what, and whom, in words.
    pub asked: Line,
    /// What they said.
    pub votes: Votes,
}

/// In words: `junk, a mild signal: mail signed by a.example, by mailboxes here: 3 of 4 say junk`.
impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Some(Repute::Junk) => "junk, a mild signal",
            Some(Repute::NotJunk) => "not junk, a mild signal",
            None => "some of both",
        };
        let Votes { junk, not_junk } = self.votes;
        let all = junk.saturating_add(not_junk);
        write!(f, "{verdict}: {}: {junk} of {all} say junk", self.asked)
    }
}

/// Asks the mailboxes of the domain, then all of the server, of the sender's proven names and address, the narrowest
/// first. The first of which enough of them know something speaks.
///
/// # Errors
/// If the history cannot be asked.
pub async fn shared(
    sender: &Sender,
    mailbox: &MailboxId,
    history: &dyn History,
    now_s: i64,
) -> Result<Option<Shared>, HistoryUnavailable> {
    let identities = identities(sender);
    for scope in [Scope::Domain(mailbox.domain().clone()), Scope::Server] {
        for (identity, what) in &identities {
            let window_s = match identity {
                Identity::Network { .. } => ADDRESS_WINDOW_S,
                _ => WINDOW_S,
            };
            let since_s = now_s.saturating_sub(window_s);
            let votes = history.votes(&scope, identity, since_s).await?;
            if votes.junk.saturating_add(votes.not_junk) < VOTERS_MIN {
                continue;
            }
            let whom = match &scope {
                Scope::Domain(domain) => format!("mailboxes of {domain}"),
                Scope::Server => "mailboxes here".to_owned(),
            };
            return Ok(Some(Shared {
                verdict: verdict(votes),
                asked: Line::reason(format!("{what}, by {whom}").as_bytes()),
                votes,
            }));
        }
    }
    Ok(None)
}

fn verdict(votes: Votes) -> Option<Repute> {
    let (junk, all) = (u64::from(votes.junk), u64::from(votes.junk) + u64::from(votes.not_junk));
    if 4 * junk > 3 * all {
        Some(Repute::Junk)
    } else if 4 * junk < all {
        Some(Repute::NotJunk)
    } else {
        None
    }
}

fn identities(sender: &Sender) -> Vec<(Identity, String)> {
    let mut all = Vec::new();
    if let Some(author) = sender.author.as_ref().filter(|author| author.is_validated) {
        let (address, domain) = (author.address(true), author.of_domain(true));
        all.push((address, format!("mail of {}@{}", author.local, author.domain)));
        all.push((domain, format!("mail of anybody at {}", author.domain)));
    }
    let signers = sender.dkim.iter().take(SIGNERS_MAX);
    all.extend(signers.map(|domain| (Identity::Dkim(domain.clone()), format!("mail signed by {domain}"))));
    let [address, ..] = sender.networks;
    all.extend(address.map(|address| (Identity::Network { width: 1, address }, format!("mail from {address}"))));
    all
}
