//! What the mailbox's own memory keeps out, or the message's content, and yet may be had: copies of what `reputation`,
//! `strangers`, `greylisting`, `junk` and `links` refuse or defer.
//!
//! A copy is known by its message, so that a sender who comes again makes no second one, and the one there is goes as
//! soon as the mailbox has got the message. Whoever releases a copy gets it once: when the sender comes again, he is told
//! 250, and the message is dropped.

use super::case::{Case, Progress, Target};
use super::copies::Copies;
use super::{Gateway, Runtime};
use crate::quarantine::{Held, Quarantine, Reference};
use judge::checks::{Check, KeptCopy, Spec, table};
use judge::reason::Source;
use judge::verdict::Disposition;
use mail::{Domain, Line, MailboxId};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use store::{Kept, KeptKey, Store, StoreError};
use tokio::sync::OnceCell;
use tokio::time::timeout_at;

/// Octets of a greylisted message of which a copy is kept.
const GREYLISTED_OCTETS_MAX: u64 = 256 * 1024;
/// All copies of greylisted messages together have this part of the quarantine.
const GREYLISTED_SHARE: u64 = 100;
const DAY_S: i64 = 24 * 60 * 60;

/// Octets of all copies of greylisted messages, once they were counted.
#[derive(Debug, Clone, Default)]
pub(super) struct GreylistedOctets(Arc<OnceCell<AtomicU64>>);

impl GreylistedOctets {
    async fn get(&self, store: &Store) -> Result<u64, StoreError> {
        let count = || async {
            store
                .reader()
                .kept_octets(Check::Greylisting.name())
                .await
                .map(AtomicU64::new)
        };
        let octets = self.0.get_or_try_init(count).await?;
        Ok(octets.load(Ordering::Relaxed))
    }

    /// Before the first count there is nothing to keep up to date.
    fn change(&self, kept: &Kept, change: fn(u64, u64) -> u64) {
        if kept.source.as_str() == Check::Greylisting.name()
            && let Some(octets) = self.0.get()
        {
            let new = |old| Some(change(old, kept.octets));
            // It always gives a new value.
            let _ = octets.fetch_update(Ordering::Relaxed, Ordering::Relaxed, new);
        }
    }
}

/// Domains of ours in which copies were kept since the start: what may have to go though no check keeps any now. After a
/// restart such copies go by age.
#[derive(Debug, Default)]
pub(super) struct KeptDomains(RwLock<HashSet<Domain>>);

impl KeptDomains {
    fn has(&self, domain: &Domain) -> bool {
        let domains = self.0.read().unwrap_or_else(PoisonError::into_inner);
        domains.contains(domain)
    }

    fn add(&self, domain: &Domain) {
        if !self.has(domain) {
            let mut domains = self.0.write().unwrap_or_else(PoisonError::into_inner);
            domains.insert(domain.clone());
        }
    }
}

/// The check for whose sake a copy is kept.
fn keeper(target: &Target<'_>) -> Option<Check> {
    let Source::Check(check) = target.verdict.decisive()?.source else {
        return None;
    };
    let disposition = &target.verdict.disposition;
    let is_kept = match check.spec().copy {
        KeptCopy::None => false,
        KeptCopy::OfRefused => matches!(disposition, Disposition::Reject(_) | Disposition::Defer),
        KeptCopy::OfGreylisted => *disposition == Disposition::Defer,
    };
    (is_kept && !target.waits_for_trouble()).then_some(check)
}

impl Case<'_> {
    /// Names this message of this recipient within a mailbox, whichever way it comes again. Those who share a mailbox
    /// because they are listed nowhere are different people, so that one of them has it is no comfort to another.
    fn kept_key(&self, n: usize) -> KeptKey {
        let mut hasher = blake3::Hasher::new();
        let message_id = self.facts.message_id();
        hasher.update(message_id.as_bytes()).update(&[0]);
        hasher.update(self.targets[n].address.folded().as_bytes()).update(&[0]);
        hasher.update(self.body.digest().as_bytes());
        let mut key = [0; 16];
        hasher.finalize_xof().fill(&mut key);
        KeptKey::new(key)
    }

    fn kept(&self, n: usize, check: Check, held: &Held) -> Option<Kept> {
        let target = &self.targets[n];
        let local = target.local?;
        let at_s = self.facts.received_s;
        let days = i64::from(self.runtime.config.quarantine.rejects_days);
        let life_s = match check.spec().copy {
            KeptCopy::OfGreylisted => i64::from(local.policy.checks.settings.greylist_times.window_s),
            KeptCopy::OfRefused | KeptCopy::None => days.saturating_mul(DAY_S),
        };
        Some(Kept {
            mailbox: local.facts.mailbox.clone(),
            key: self.kept_key(n),
            at_s,
            expires_s: at_s.saturating_add(life_s),
            octets: self.body.octets(),
            is_deferred: target.verdict.disposition == Disposition::Defer,
            source: Line::literal(check.name()),
            ledger: self.ledger_key(),
            recipient: target.address.exact(),
            reference: held.reference().to_string(),
        })
    }
}

impl Gateway {
    /// Those of `who` of whose message no copy is kept yet; the others are told where theirs is. Where anybody gets the
    /// message, or the sender is told so, nobody relies on a copy of an earlier try, which may go at any time.
    pub(super) async fn not_yet_kept(&self, case: &mut Case<'_>, who: Vec<usize>) -> Vec<usize> {
        let is_refused =
            |target: &Target<'_>| target.is_open() && matches!(target.verdict.disposition, Disposition::Reject(_));
        if !case.targets.iter().all(is_refused) {
            return who;
        }
        let mut rest = Vec::new();
        for n in who {
            let before = match keeper(&case.targets[n]) {
                Some(check) => self.kept_before(case, n, check).await,
                None => None,
            };
            match before {
                Some(held) => case.targets[n].progress = Progress::KeptBefore(held),
                None => rest.push(n),
            }
        }
        rest
    }

    /// The copy that an earlier try left for the same reason.
    async fn kept_before(&self, case: &Case<'_>, n: usize, check: Check) -> Option<Held> {
        let mailbox = &case.targets[n].local?.facts.mailbox;
        let kept = in_time(case, self.store.reader().kept(mailbox, case.kept_key(n)));
        let kept = match kept.await {
            Ok(kept) => kept.filter(|kept| kept.source.as_str() == check.name())?,
            Err(error) => {
                tracing::warn!(id = %case.id, %error, "whether a copy is kept already is not known");
                return None;
            }
        };
        waiting(&case.runtime.quarantine, &kept.reference).await
    }

    /// Remembers the copies of a message that was refused or deferred, so that they are found when it comes again.
    pub(super) async fn remember_kept(&self, case: &Case<'_>) {
        for (n, target) in case.targets.iter().enumerate() {
            let (Progress::Kept(held, None) | Progress::Waiting(held), Some(check)) =
                (&target.progress, keeper(target))
            else {
                continue;
            };
            let Some(kept) = case.kept(n, check, held) else {
                continue;
            };
            self.greylisted.change(&kept, u64::saturating_add);
            self.kept_domains.add(kept.mailbox.domain());
            let keep = self.store.keep(kept, case.runtime.config.quarantine.rejects_max);
            match in_time(case, keep).await {
                Ok(displaced) => remove(&case.runtime.quarantine, &self.greylisted, displaced).await,
                Err(error) => {
                    tracing::warn!(id = %case.id, %error, "a copy will not be known when its message comes again")
                }
            }
        }
    }

    /// Keeps copies of a message that is deferred, for those whose memory defers it. That one cannot be kept changes no
    /// answer: the sender has it still.
    pub(super) async fn keep_deferred(&self, case: &mut Case<'_>) {
        let mut who = Vec::new();
        let is_deferred = |target: &Target<'_>| target.is_open() && target.verdict.disposition == Disposition::Defer;
        for n in case.which(is_deferred) {
            let Some(check) = keeper(&case.targets[n]) else {
                continue;
            };
            if let Some(held) = self.kept_before(case, n, check).await {
                case.targets[n].progress = Progress::WaitingBefore(held);
            } else if check != Check::Greylisting || self.has_room_for_greylisted(case, who.len()).await {
                who.push(n);
            }
        }
        if who.is_empty() {
            return;
        }
        let copies = Copies::of(case, &case.trace(&self.seal), &who);
        let quarantine = case.runtime.quarantine.clone();
        match tokio::task::spawn_blocking(move || copies.store(&quarantine)).await {
            Ok(Ok(held)) => {
                for (n, held) in who.into_iter().zip(held) {
                    case.targets[n].progress = Progress::Waiting(held);
                }
            }
            Ok(Err(error)) => tracing::warn!(id = %case.id, %error, "no copy is kept of a deferred message"),
            Err(error) => tracing::error!(id = %case.id, %error, "no copy is kept of a deferred message"),
        }
    }

    /// Strangers can send anything, so what is kept of them is small, in all and each. `others` will have a copy of this
    /// message, too.
    async fn has_room_for_greylisted(&self, case: &Case<'_>, others: usize) -> bool {
        let octets = case.body.octets();
        let share = case.runtime.config.limits.quarantine_size / GREYLISTED_SHARE;
        if octets > GREYLISTED_OCTETS_MAX.min(share) {
            return false;
        }
        let used = self.greylisted.get(&self.store).await;
        let wanted = octets.saturating_mul(others as u64 + 1);
        used.is_ok_and(|used| used.saturating_add(wanted) <= share)
    }

    /// The sender was told 250, so who got the message, or has it held for them now, needs no copy of an earlier try,
    /// whichever check it was kept for; that one may be switched off by now. Nobody waits for that. Where none that keeps
    /// copies is on, and none was kept since the start, nothing is asked.
    pub(super) fn forget_kept(&self, case: &Case<'_>) {
        let has_it = |target: &Target<'_>| matches!(target.progress, Progress::Taken(..) | Progress::Kept(..));
        let before = case.which(has_it).into_iter().filter_map(|n| {
            let local = case.targets[n].local?;
            let mailbox = &local.facts.mailbox;
            let rules = &local.policy.checks.rules;
            let keeps = |spec: &Spec| spec.copy != KeptCopy::None && rules.has(spec.check);
            let may_have = table().iter().any(keeps) || self.kept_domains.has(mailbox.domain());
            may_have.then(|| (mailbox.clone(), case.kept_key(n)))
        });
        let before: Vec<(MailboxId, KeptKey)> = before.collect();
        if before.is_empty() {
            return;
        }
        let (store, greylisted) = (self.store.clone(), self.greylisted.clone());
        let quarantine = case.runtime.quarantine.clone();
        tokio::spawn(async move {
            for (mailbox, key) in before {
                // Nearly always there is none, and to ask is cheaper than to write.
                let taken = match store.reader().kept(&mailbox, key).await {
                    Ok(None) => continue,
                    _ => store.kept_take(&mailbox, key).await,
                };
                match taken {
                    Ok(Some(kept)) => remove(&quarantine, &greylisted, vec![kept]).await,
                    Ok(None) => {}
                    Err(error) => tracing::warn!(%mailbox, %error, "the copy of a delivered message stays"),
                }
            }
        });
    }

    /// Lets go of copies whose time is over at `now_s`.
    pub async fn expire_kept(&self, runtime: &Runtime, now_s: i64) {
        loop {
            match self.store.expire_kept(now_s).await {
                Ok(kept) if kept.is_empty() => return,
                Ok(kept) => {
                    tracing::info!(copies = kept.len(), "old copies of refused mail expired");
                    remove(&runtime.quarantine, &self.greylisted, kept).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "old copies of refused mail stay");
                    return;
                }
            }
        }
    }
}

/// The sender has its answer in time, however slow the store is.
async fn in_time<T>(case: &Case<'_>, asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let late = |_| Err(StoreError::Unavailable("it took too long".into()));
    timeout_at(case.deadline.answer, asked).await.unwrap_or_else(late)
}

/// A person released a copy: its sender, who may come again, shall not deliver it once more.
///
/// # Errors
/// If the store cannot be asked or written.
pub async fn released(store: &Store, mailbox: &MailboxId, reference: &Reference, now_s: i64) -> Result<(), StoreError> {
    match store.reader().kept_at(mailbox, reference.to_string()).await? {
        Some(kept) => store.ledger_add(kept.ledger, vec![kept.recipient], now_s).await,
        None => Ok(()),
    }
}

/// Takes the files away. What was released stays, and expires with its day.
async fn remove(quarantine: &Arc<Quarantine>, greylisted: &GreylistedOctets, kept: Vec<Kept>) {
    for kept in kept {
        greylisted.change(&kept, u64::saturating_sub);
        let Some(held) = waiting(quarantine, &kept.reference).await else {
            continue;
        };
        let quarantine = quarantine.clone();
        match tokio::task::spawn_blocking(move || quarantine.withdraw(&held)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(mailbox = %kept.mailbox, %error, "a copy stays in the quarantine"),
            Err(error) => tracing::error!(mailbox = %kept.mailbox, %error, "a copy stays in the quarantine"),
        }
    }
}

async fn waiting(quarantine: &Arc<Quarantine>, reference: &str) -> Option<Held> {
    let reference = Reference::parse(reference).ok()?;
    let quarantine = quarantine.clone();
    let look = move || quarantine.waiting(&reference);
    match tokio::task::spawn_blocking(look).await {
        Ok(Ok(held)) => held,
        Ok(Err(error)) => {
            tracing::warn!(%error, "a copy cannot be looked for in the quarantine");
            None
        }
        Err(error) => {
            tracing::error!(%error, "a copy cannot be looked for in the quarantine");
            None
        }
    }
}
