//! What is remembered of the sender: the mailbox's history, greylisting, rates.

use super::Judgement;
use super::incoming::{Recipient, Subject};
use judge::auth::dmarc::DmarcResult;
use judge::evidence::{Fact, MessageFacts};
use judge::greylist::{GreylistFact, Stranger};
use judge::rates::{Rate, RateNetwork};
use judge::reputation::{self, History, HistoryUnavailable, Method, Repute, Sender, Standing, networks};
use mail::{Line, MailboxId};
use std::time::Duration;
use store::{GreylistKey, StoreError};
use tokio::time::timeout;

/// How long memory may take for one question; it takes microseconds.
pub(super) const MEMORY_MAX: Duration = Duration::from_secs(20);

/// Why nothing is asked of an author.
const UNPROVEN: &str = "it could not be proven who sent it";

impl Judgement {
    /// What the recipient's mailbox remembers of the sender. Where DNS could not say who that is, nothing is asked of the
    /// author: a friend must not count as a forger because a server was down.
    pub(super) async fn standing(
        &self,
        subject: &Subject<'_>,
        facts: &MessageFacts,
        recipient: &Recipient,
    ) -> Fact<Standing> {
        let Some(memory) = subject.memory else {
            return Fact::Skipped(Line::literal("no history is asked"));
        };
        let dmarc = facts.origin.dmarc.found().map(|dmarc| dmarc.result);
        let mut sender = self.sender(facts, &recipient.facts);
        let is_proven = match dmarc {
            // An envelope names no author, and claims none.
            None if subject.content.is_none() => true,
            None => return Fact::Skipped(Line::literal(UNPROVEN)),
            Some(DmarcResult::TempError) => false,
            Some(_) => true,
        };
        if !is_proven {
            sender.author = None;
        }
        let (mailbox, now_s) = (recipient.facts.mailbox.clone(), facts.received_s);
        let asks_others = self.shared_history;
        let walked = memory.reader().consult(move |history| {
            Box::pin(async move { reputation_of(&sender, &mailbox, history, now_s, asks_others).await })
        });
        match in_time(walked).await {
            Ok(Ok(standing)) if is_proven => Fact::Found(standing),
            Ok(Ok(standing)) => of_the_unproven(&standing),
            Ok(Err(unavailable)) => Fact::Unavailable(unavailable.0),
            Err(why) => Fact::Unavailable(why),
        }
    }

    /// How often a stranger has come to this mailbox; his try is counted.
    pub(super) async fn greylist(
        &self,
        subject: &Subject<'_>,
        facts: &MessageFacts,
        recipient: &Recipient,
    ) -> Fact<GreylistFact> {
        let Some(memory) = subject.memory else {
            return Fact::Skipped(Line::literal("nobody is counted"));
        };
        let sender = self.sender(facts, &recipient.facts);
        let Some(stranger) = Stranger::of(&sender, &facts.reverse_path) else {
            return Fact::Skipped(Line::literal("nobody can be told from others"));
        };
        let key = greylist_key(&recipient.facts.mailbox, &stranger);
        let (now_s, times) = (facts.received_s, &recipient.policy.checks.settings.greylist_times);
        let until = |seconds: u32| now_s.saturating_add(i64::from(seconds));
        let seen = match in_time(memory.greylist_seen(key, now_s, until(times.window_s))).await {
            Ok(seen) => seen,
            Err(why) => return Fact::Unavailable(why),
        };
        let has_passed = seen.passed_s.is_some();
        if has_passed || times.left_s(seen.first_s, seen.tries, now_s) == 0 {
            let passed = memory.greylist_pass(key, now_s, until(times.lifetime_s));
            if let Err(why) = in_time(passed).await {
                return Fact::Unavailable(why);
            }
        }
        Fact::Found(GreylistFact {
            stranger,
            first_s: seen.first_s,
            tries: seen.tries,
            has_passed,
        })
    }
}

/// A store that does not answer is one that is down.
async fn in_time<T>(asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, Line> {
    match timeout(MEMORY_MAX, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Line::reason(error.to_string().as_bytes())),
        Err(_) => Err(Line::literal("the store does not answer")),
    }
}

/// Whoever makes DNS fail on purpose shall not come in with it: a message of whose author nobody can say whether he is
/// proven waits, if junk is known for certain of what is proven beside him. No good name counts.
fn of_the_unproven(standing: &Standing) -> Fact<Standing> {
    if !(standing.is_conclusive && standing.verdict == Some(Repute::Junk)) {
        return Fact::Skipped(Line::literal(UNPROVEN));
    }
    let text = format!(
        "{UNPROVEN}, and this mailbox knows junk of the same origin ({})",
        standing.method
    );
    Fact::Unavailable(Line::reason(text.as_bytes()))
}

/// The table, and where it knows nothing what other mailboxes say.
pub async fn reputation_of(
    sender: &Sender,
    mailbox: &MailboxId,
    history: &dyn History,
    now_s: i64,
    asks_others: bool,
) -> Result<Standing, HistoryUnavailable> {
    let mut standing = reputation::standing(sender, mailbox, history, now_s).await?;
    if asks_others && standing.method == Method::None {
        standing.shared = reputation::shared(sender, mailbox, history, now_s).await?;
    }
    Ok(standing)
}

/// What the mailbox got from the client's networks before; the message is counted, unless that is too much.
pub(super) fn rates(
    subject: &Subject<'_>,
    facts: &MessageFacts,
    recipient: &Recipient,
) -> Fact<Vec<(RateNetwork, Rate)>> {
    let Some(memory) = subject.memory else {
        return Fact::Skipped(Line::literal("nobody is counted"));
    };
    if subject.client.is_unknown {
        return Fact::Skipped(Line::literal("the client's address is not known"));
    }
    let masked = networks(facts.client).into_iter().zip(1_u8..);
    let networks: Vec<RateNetwork> = masked.map(|(address, width)| RateNetwork { width, address }).collect();
    let (octets, limits) = (facts.octets(), &recipient.policy.checks.settings.rate_limits);
    let mut before = Vec::new();
    memory.rate_count(&recipient.facts.mailbox, &networks, facts.received_s, octets, |rates| {
        before = networks.iter().copied().zip(rates.iter().copied()).collect();
        limits.passed(&before, octets).is_none()
    });
    Fact::Found(before)
}

/// A stranger at a mailbox.
fn greylist_key(mailbox: &MailboxId, stranger: &Stranger) -> GreylistKey {
    let mut hasher = blake3::Hasher::new();
    hasher.update(mailbox.to_string().as_bytes());
    match stranger {
        Stranger::Domain(domain) => hasher.update(b"\0domain\0").update(domain.as_str().as_bytes()),
        Stranger::Network { network, reverse_path } => hasher
            .update(b"\0network\0")
            .update(network.to_string().as_bytes())
            .update(&[0])
            .update(reverse_path.as_str().as_bytes()),
    };
    let mut key = [0; 16];
    hasher.finalize_xof().fill(&mut key);
    GreylistKey::new(key)
}
