//! What mailboxes tell each other: counted from their lessons, one mailbox after the other.

use judge::junk::{Ballot, VOTERS_MIN, Votes};
use mail::{Domain, MailboxId};
use std::collections::HashMap;
use store::{LESSONS_MAX, Store, StoreError};

/// Slots of the server's votes: 4.7 MB.
pub const SERVER_SLOTS: u32 = 393_216;
/// Slots of a domain's: 1.6 MB.
const DOMAIN_SLOTS: u32 = 131_072;
/// Domains that have votes of their own: those where most mailboxes learn.
const DOMAINS_MAX: usize = 8;
/// Mailboxes that are asked for at once; their lessons are counted then, while others wait.
pub(super) const PAGE: u32 = 20;
/// Mailboxes that are counted; past it the rest is passed over.
const VOTERS_MAX: usize = 100_000;

/// What all mailboxes say, and those of some domains.
#[derive(Debug, Default)]
pub(super) struct Shared {
    server: Option<Votes>,
    domains: HashMap<Domain, Votes>,
}

impl Shared {
    pub fn server(&self) -> Option<&Votes> {
        self.server.as_ref()
    }

    /// None where the domain's mailboxes are all there are, or few.
    pub fn of_domain(&self, domain: &Domain) -> Option<&Votes> {
        self.domains.get(domain)
    }

    /// Octets of the tables.
    pub fn octets(&self) -> usize {
        self.server.iter().chain(self.domains.values()).map(Votes::octets).sum()
    }
}

/// Counts the votes of all mailboxes that learned.
pub(super) async fn count(store: &Store) -> Result<Shared, StoreError> {
    let voters = voters(store).await?;
    if voters.len() < usize::from(VOTERS_MIN) {
        return Ok(Shared::default());
    }
    let secret = store.reader().model_secret().await?;
    let key = secret.first_chunk().map_or(0, |octets| u64::from_le_bytes(*octets));
    let mut shared = Shared {
        server: Some(Votes::new(SERVER_SLOTS, key)),
        domains: largest(&voters)
            .into_iter()
            .map(|domain| (domain, Votes::new(DOMAIN_SLOTS, key)))
            .collect(),
    };
    let mut ballot = Ballot::default();
    for mailbox in &voters {
        ballot.clear();
        fill(&mut ballot, store, mailbox).await?;
        let own = shared.domains.get_mut(mailbox.domain());
        for votes in shared.server.iter_mut().chain(own) {
            votes.cast(&ballot);
        }
        // Mail that is being judged goes first.
        tokio::task::yield_now().await;
    }
    Ok(shared)
}

/// The mailboxes that learned enough for a vote.
async fn voters(store: &Store) -> Result<Vec<MailboxId>, StoreError> {
    let (mut voters, mut after) = (Vec::new(), None);
    loop {
        let page = store.reader().learners(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.mailbox.clone());
        let enough = page
            .into_iter()
            .filter(|learner| Ballot::is_enough(learner.junk, learner.wanted));
        voters.extend(enough.map(|learner| learner.mailbox));
        if voters.len() >= VOTERS_MAX {
            tracing::warn!(
                voters = VOTERS_MAX,
                "more mailboxes learn than are counted; the rest has no vote"
            );
            voters.truncate(VOTERS_MAX);
            break;
        }
    }
    Ok(voters)
}

/// The domains with most voters, unless there is one only.
fn largest(voters: &[MailboxId]) -> Vec<Domain> {
    let mut counts: HashMap<&Domain, usize> = HashMap::new();
    for mailbox in voters {
        *counts.entry(mailbox.domain()).or_default() += 1;
    }
    if counts.len() == 1 {
        return Vec::new();
    }
    let mut counts: Vec<(&Domain, usize)> = counts
        .into_iter()
        .filter(|(_, count)| *count >= usize::from(VOTERS_MIN))
        .collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.as_str().cmp(b.0.as_str())));
    counts
        .into_iter()
        .take(DOMAINS_MAX)
        .map(|(domain, _)| domain.clone())
        .collect()
}

async fn fill(ballot: &mut Ballot, store: &Store, mailbox: &MailboxId) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let lessons = store.reader().lessons(mailbox, after, LESSONS_MAX).await?;
        let Some(last) = lessons.last() else { return Ok(()) };
        after = Some(last.id);
        for lesson in &lessons {
            // What is no longer said counts no longer, though it was not taken back yet.
            if let (Some(taught), Some(_)) = (lesson.taught, lesson.said) {
                ballot.add(&lesson.features, taught);
            }
        }
    }
}
