//! By which names senders and recipients are remembered.

use super::Judgement;
use judge::evidence::{MessageFacts, RecipientFacts};
use judge::reputation::{AuthorClaim, Letter, ReversePathClaim, Sender, networks};
use mail::{Address, Line, MailboxId};
use std::net::IpAddr;
use store::Sent;

/// As [`Sender`] has them: nothing is cut of a local part.
const LOCAL_CHARS_MAX: usize = 1000;

impl Judgement {
    /// By which names a message is known, and the author's local part: what a label of it is filed under.
    pub fn sender(&self, facts: &MessageFacts, recipient: &RecipientFacts) -> Sender {
        let forwarded = recipient.forwarder.as_ref().is_some_and(|hit| hit.is_proven);
        Sender::of(&facts.sender_evidence(), &self.suffixes, forwarded)
    }

    /// The same of a letter that came before the gateway did.
    pub fn sender_of(&self, letter: &Letter) -> Sender {
        letter.sender(&self.suffixes)
    }

    /// Somebody to whom only these things are known: for questions of people about a sender.
    pub fn supposed(&self, address: &Address, client: Option<IpAddr>, is_proven: bool) -> Option<Sender> {
        let domain = address.domain()?.clone();
        let line = |text: &str| Line::clean(text.as_bytes(), LOCAL_CHARS_MAX);
        let (local, written) = (line(&address.local().folded()), line(address.local().as_str()));
        Some(Sender {
            author: Some(AuthorClaim {
                local: local.clone(),
                written,
                organization: self.suffixes.organizational(&domain),
                domain: domain.clone(),
                is_validated: is_proven,
            }),
            reverse_path: Some(ReversePathClaim {
                local,
                domain: domain.clone(),
                is_validated: is_proven,
            }),
            helo: None,
            dkim: if is_proven { vec![domain] } else { Vec::new() },
            networks: client.map_or([None; 3], |client| networks(client).map(Some)),
        })
    }

    /// That a mailbox's owner wrote to somebody; nothing for an address literal.
    pub fn sent_to(&self, mailbox: &MailboxId, address: &Address, at_s: i64) -> Option<Sent> {
        let domain = address.domain()?;
        Some(Sent {
            mailbox: mailbox.clone(),
            local: Line::clean(address.local().as_str().as_bytes(), LOCAL_CHARS_MAX),
            domain: domain.clone(),
            organization: Some(self.suffixes.organizational(domain)),
            at_s,
        })
    }
}
