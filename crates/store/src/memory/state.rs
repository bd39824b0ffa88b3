//! What is held in memory, and how it is written.

use super::MemoryDisk;
use super::lessons::Lessons;
use crate::error::{OpenError, StoreError};
use crate::greylist::{GreylistKey, Greylisted};
use crate::history::{CorrespondentKey, IdentityKey, SentRow};
use crate::id::MailwardId;
use crate::kept::{Kept, KeptKey};
use crate::label::{Label, LabelRow, Labelled};
use crate::ledger::{Entry, Ledger, LedgerKey};
use crate::rows::{self, EndingRow, RecordRows};
use crate::shared::scopes;
use crate::writer::{Done, Expire, Job, Memory, Told, Trouble, Work};
use judge::reputation::Scope;
use mail::{Domain, MailboxId};
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::RandomState;
use std::ops::Bound;
use std::sync::Arc;

/// Things that one step of expiry removes.
const EXPIRE_STEP: usize = 200;
/// The same, where the size tells when it is enough.
const SIZE_STEP: usize = 16;
/// What a row of history counts for, about as on disk.
const HISTORY_OCTETS: u64 = 60;

/// A row of history: mailbox, identity, then the newest first.
pub(super) type HistoryKey = (String, IdentityKey, Reverse<i64>, Reverse<i64>);
/// Mailbox, domain, local part, organization.
pub(super) type SentKey = (String, String, String, String);

/// What mailboxes say: scope and identity, then each mailbox with its newest message.
pub(super) type Shared = BTreeMap<(Option<Domain>, IdentityKey), BTreeMap<String, Vote>>;
/// When the newest message came, its number, and whether it is junk.
pub(super) type Vote = (i64, i64, bool);

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) fail_writes: Option<String>,
    pub(super) fail_reads: Option<String>,
    pub(super) delay_polls: u32,
    in_use: bool,
    pub(super) messages: BTreeMap<MailwardId, Message>,
    ledger: HashMap<LedgerKey, Entry>,
    pub(super) labels: BTreeMap<(String, MailwardId), LabelRow>,
    pub(super) sent: BTreeMap<SentKey, i64>,
    pub(super) history: BTreeMap<HistoryKey, (bool, String)>,
    pub(super) correspondents: BTreeMap<(String, CorrespondentKey), i64>,
    folds: Vec<Fold>,
    pub(super) greylist: BTreeMap<GreylistKey, Greylisted>,
    pub(super) shared: Shared,
    pub(super) kept: BTreeMap<(MailboxId, KeptKey), Kept>,
    pub(super) cursors: BTreeMap<String, Vec<u8>>,
    pub(super) lessons: Lessons,
    /// Chance, made with the disk, of which the key of shared models is drawn.
    pub(super) chance: RandomState,
}

#[derive(Debug)]
pub(super) struct Message {
    pub(super) rows: RecordRows,
    pub(super) ending: Option<EndingRow>,
}

/// What is still to be folded.
#[derive(Debug)]
enum Fold {
    /// A register changed; what it was before.
    Label(String, MailwardId, Option<LabelRow>),
    /// Mail was sent.
    Sent(SentKey),
}

/// The handle of the writing thread.
#[derive(Debug)]
pub(crate) struct Database {
    disk: MemoryDisk,
    ledger: Arc<Ledger>,
}

impl Database {
    pub(crate) fn open(disk: &MemoryDisk, ledger: Arc<Ledger>) -> Result<Database, OpenError> {
        let mut state = disk.lock();
        if std::mem::replace(&mut state.in_use, true) {
            return Err(OpenError::InUse);
        }
        for (key, entry) in &state.ledger {
            ledger.load(*key, entry.clone());
        }
        state.settle_lessons();
        drop(state);
        let disk = disk.clone();
        Ok(Database { disk, ledger })
    }

    /// Writes a group and answers all who wait; or leaves the lazy jobs, and says why.
    pub(crate) fn write(&mut self, group: &mut Vec<Job>) -> Trouble {
        let mut state = self.disk.lock();
        if let Some(why) = state.fail_writes.clone() {
            drop(state);
            let (lazy, synced) = std::mem::take(group).into_iter().partition(|job| job.work.is_lazy());
            *group = lazy;
            let synced: Vec<Job> = synced;
            for job in synced {
                job.work.answer(Err(StoreError::Unavailable(why.clone())));
            }
            return Some(why);
        }
        let done: Vec<Done> = group.iter().map(|job| state.apply(&job.work, &self.ledger)).collect();
        drop(state);
        for (job, done) in group.drain(..).zip(done) {
            job.work.answer(Ok(done));
        }
        None
    }
}

impl Database {
    pub(crate) fn close(&self) -> Result<(), StoreError> {
        let mut state = self.disk.lock();
        if let Some(why) = &state.fail_writes {
            return Err(StoreError::Unavailable(why.clone()));
        }
        state.settle_lessons();
        Ok(())
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.disk.lock().in_use = false;
    }
}

impl State {
    fn apply(&mut self, work: &Work, ledger: &Ledger) -> Done {
        match work {
            Work::Begin(rows, _) => return self.begin(rows),
            Work::Finish(id, row) => {
                if let Some(message) = self.messages.get_mut(id) {
                    message.ending = Some(row.clone());
                }
            }
            Work::LedgerSync(keys, _) => keys.iter().for_each(|key| self.ledger_sync(*key, ledger)),
            Work::LedgerDrop(key) => self.ledger_sync(*key, ledger),
            Work::Remember(memories, _) => return Done::Told(memories.iter().map(|m| self.remember(m)).collect()),
            Work::Settle(_) => self.settle(),
            Work::Rebuild(_) => self.rebuild(),
            Work::GreylistSeen(key, times, _) => {
                let seen = |entry: &mut Greylisted| {
                    entry.seen(times.now_s);
                    *entry
                };
                let alive = self.greylist.get_mut(key).filter(|entry| entry.expires_s > times.now_s);
                let entry = alive.map_or_else(|| Greylisted::new(*times), seen);
                self.greylist.insert(*key, entry);
                return Done::Greylisted(Some(entry));
            }
            Work::GreylistPass(key, times, _) => {
                let alive = self.greylist.get_mut(key).filter(|entry| entry.expires_s > times.now_s);
                return Done::Greylisted(alive.map(|entry| {
                    entry.passed(*times);
                    *entry
                }));
            }
            Work::Keep(new, count_max, _) => return Done::Kept(self.keep(new, *count_max)),
            Work::KeptTake(mailbox, key, _) => {
                let taken = self.kept.remove(&(mailbox.clone(), *key));
                return Done::Kept(taken.into_iter().collect());
            }
            Work::KeptExpire(now_s, _) => {
                let ended = self.kept.extract_if(.., |_, kept| kept.expires_s <= *now_s);
                return Done::Kept(ended.map(|(_, kept)| kept).collect());
            }
            Work::Teach(mailbox, taught, _) => return Done::Taught(self.teach(mailbox, taught)),
            Work::Fade(mailbox, keep, _) => return Done::Expired(self.fade(mailbox, *keep)),
            Work::Cursor(name, Some(value), _) => {
                self.cursors.insert(name.clone(), value.clone());
            }
            Work::Cursor(name, None, _) => {
                self.cursors.remove(name);
            }
            Work::Expire(what, _) => return Done::Expired(self.expire(*what) as u64),
            Work::Close(_) => {}
        }
        Done::Written
    }

    fn keep(&mut self, new: &Kept, count_max: u32) -> Vec<Kept> {
        let before = self.kept.insert((new.mailbox.clone(), new.key), new.clone());
        let mut gone: Vec<Kept> = before
            .into_iter()
            .filter(|before| before.reference != new.reference)
            .collect();
        let is_other = |kept: &&Kept| kept.mailbox == new.mailbox && kept.key != new.key;
        let mut others: Vec<&Kept> = self.kept.values().filter(is_other).collect();
        others.sort_by_key(|kept| {
            (
                kept.is_deferred,
                kept.at_s > new.ahead_s(),
                Reverse(kept.at_s),
                kept.key,
            )
        });
        let left = count_max.saturating_sub(1) as usize;
        let past: Vec<KeptKey> = others.iter().skip(left).map(|kept| kept.key).collect();
        gone.extend(
            past.iter()
                .filter_map(|key| self.kept.remove(&(new.mailbox.clone(), *key))),
        );
        gone
    }

    fn begin(&mut self, rows: &RecordRows) -> Done {
        if self.messages.contains_key(&rows.id) {
            return Done::IdTaken;
        }
        let (rows, ending) = (rows.clone(), None);
        self.messages.insert(rows.id, Message { rows, ending });
        Done::Written
    }

    fn ledger_sync(&mut self, key: LedgerKey, ledger: &Ledger) {
        match ledger.entry(key) {
            Some(entry) => self.ledger.insert(key, entry),
            None => self.ledger.remove(&key),
        };
    }

    fn remember(&mut self, memory: &Memory) -> Told {
        let (row, recorded) = match memory {
            Memory::Sent(row) => return self.remember_sent(row),
            Memory::Label(row, mailbox) => (row, Some(mailbox)),
            Memory::Learnt(row) => (row, None),
        };
        let key = (row.mailbox.clone(), row.id);
        let before = self.labels.get(&key).cloned();
        if let (None, Some(mailbox)) = (&before, recorded) {
            let message = self.messages.get(&row.id);
            let recipients = message
                .map(|message| message.rows.recipients.as_slice())
                .unwrap_or_default();
            if !recipients
                .iter()
                .any(|r| rows::mailbox(&r.facts).as_ref() == Some(mailbox))
            {
                let (id, mailbox) = (row.id, mailbox.clone());
                return Told::Failed(StoreError::UnknownDelivery { id, mailbox });
            }
        }
        match before.as_ref().map_or(Ordering::Greater, |before| row.rank(before)) {
            Ordering::Less => {
                let said = before.map_or_else(|| row.said.clone(), |before| before.said);
                return Told::Labelled(Labelled::Outranked(said));
            }
            Ordering::Equal => {
                self.say(row, false);
                return Told::Labelled(Labelled::Holds);
            }
            Ordering::Greater => {}
        }
        self.say(row, true);
        self.folds.push(Fold::Label(key.0.clone(), key.1, before));
        let features = None;
        self.labels.insert(
            key,
            LabelRow {
                features,
                ..row.clone()
            },
        );
        Told::Labelled(Labelled::Holds)
    }

    fn remember_sent(&mut self, row: &SentRow) -> Told {
        let key = (
            row.mailbox.clone(),
            row.domain.clone(),
            row.local.clone(),
            row.organization.clone(),
        );
        let at_s = self.sent.entry(key.clone()).or_insert(row.at_s);
        *at_s = row.at_s.max(*at_s);
        self.folds.push(Fold::Sent(key));
        Told::Kept
    }

    /// The last fold first: each reads what is true now, so their order must not matter.
    fn settle(&mut self) {
        for fold in std::mem::take(&mut self.folds).into_iter().rev() {
            match fold {
                Fold::Label(mailbox, id, before) => {
                    for key in before.iter().flat_map(history_rows).map(|(key, _)| key) {
                        self.history.remove(&key);
                    }
                    let rows = self.labels.get(&(mailbox, id)).map(history_rows);
                    self.history.extend(rows.unwrap_or_default());
                }
                Fold::Sent(key) => {
                    let Some(&at_s) = self.sent.get(&key) else { continue };
                    self.fold_sent(&sent_row(&key, at_s));
                }
            }
        }
        self.shared = shared_rows(self.labels.values());
    }

    fn fold_sent(&mut self, row: &SentRow) {
        for who in row.correspondents() {
            let last_s = self
                .correspondents
                .entry((row.mailbox.clone(), who))
                .or_insert(row.at_s);
            *last_s = row.at_s.max(*last_s);
        }
    }

    fn rebuild(&mut self) {
        self.folds.clear();
        self.history = self.labels.values().flat_map(history_rows).collect();
        self.correspondents.clear();
        for row in self
            .sent
            .iter()
            .map(|(key, at_s)| sent_row(key, *at_s))
            .collect::<Vec<_>>()
        {
            self.fold_sent(&row);
        }
        self.shared = shared_rows(self.labels.values());
        self.rebuild_lessons();
    }

    fn expire(&mut self, what: Expire) -> usize {
        match what {
            Expire::Records(below) => self.expire_records(Some(below), EXPIRE_STEP),
            Expire::History(before_s) => self.expire_history(before_s, EXPIRE_STEP),
            Expire::Greylist(now_s) => self.expire_greylist(now_s, EXPIRE_STEP),
            Expire::ToSize(octets_max) if self.used_octets() <= octets_max => 0,
            Expire::ToSize(_) => {
                let records = self.expire_records(None, SIZE_STEP);
                match records + self.expire_greylist(i64::MAX, SIZE_STEP) {
                    0 => match self.expire_lessons(SIZE_STEP) {
                        0 => self.expire_history(i64::MAX, SIZE_STEP),
                        some => some,
                    },
                    some => some,
                }
            }
        }
    }

    fn expire_records(&mut self, below: Option<MailwardId>, count: usize) -> usize {
        let end = below.map_or(Bound::Unbounded, Bound::Excluded);
        let gone: Vec<MailwardId> = self
            .messages
            .range((Bound::Unbounded, end))
            .map(|(id, _)| *id)
            .take(count)
            .collect();
        for id in &gone {
            self.messages.remove(id);
        }
        gone.len()
    }

    fn expire_history(&mut self, before_s: i64, count: usize) -> usize {
        let mut old: Vec<_> = self
            .labels
            .iter()
            .filter(|(_, row)| row.received_s < before_s)
            .collect();
        old.sort_by_key(|(_, row)| row.received_s);
        let old: Vec<_> = old.into_iter().take(count).map(|(key, _)| key.clone()).collect();
        for key in &old {
            let before = self.labels.remove(key);
            self.forget_lesson(key);
            self.folds.push(Fold::Label(key.0.clone(), key.1, before));
        }
        let mut times: Vec<i64> = self.sent.values().copied().filter(|at_s| *at_s < before_s).collect();
        times.sort_unstable();
        let Some(&last_s) = times.iter().take(count).next_back() else {
            return old.len();
        };
        let sent = self.sent.len();
        self.sent.retain(|_, at_s| *at_s > last_s);
        self.correspondents.retain(|_, at_s| *at_s > last_s);
        old.len() + sent - self.sent.len()
    }

    fn expire_greylist(&mut self, now_s: i64, count: usize) -> usize {
        let mut ended: Vec<_> = self
            .greylist
            .iter()
            .map(|(key, entry)| (entry.expires_s, *key))
            .collect();
        ended.retain(|(expires_s, _)| *expires_s <= now_s);
        ended.sort_unstable();
        ended.truncate(count);
        for (_, key) in &ended {
            self.greylist.remove(key);
        }
        ended.len()
    }

    /// About what the embedded back-end would use.
    pub(super) fn used_octets(&self) -> u64 {
        let mut policies = BTreeSet::new();
        let mut octets = self.history.len() as u64 * HISTORY_OCTETS;
        for message in self.messages.values() {
            octets += message.rows.facts.len() as u64;
            octets += message.rows.features.as_ref().map_or(0, |f| f.octets.len()) as u64;
            octets += message.ending.as_ref().map_or(0, |e| e.reply.len() + e.outcomes.len()) as u64;
            for recipient in &message.rows.recipients {
                octets += (recipient.facts.len() + recipient.verdict.len()) as u64;
                policies.insert((recipient.policy.digest().0, recipient.policy.text().len()));
            }
        }
        octets += policies.iter().map(|(_, len)| *len as u64).sum::<u64>();
        let label = |row: &LabelRow| (row.mailbox.len() + row.author_local.len() + row.identities.len()) as u64;
        octets += self.lesson_octets();
        octets + self.labels.values().map(label).sum::<u64>()
    }
}

/// The rows of history that a register makes. All identities here were written by this version.
pub(super) fn history_rows(register: &LabelRow) -> Vec<(HistoryKey, (bool, String))> {
    let derived = register.derived().unwrap_or_default();
    let row = |row: crate::label::DerivedRow<'_>| {
        let newest_first = (Reverse(row.received_s), Reverse(row.number));
        let key = (register.mailbox.clone(), row.identity, newest_first.0, newest_first.1);
        (key, (row.is_junk, row.author_local.to_owned()))
    };
    derived.into_iter().map(row).collect()
}

/// What mailboxes tell each other, of all registers.
pub(super) fn shared_rows<'a>(registers: impl Iterator<Item = &'a LabelRow>) -> Shared {
    let mut all = Shared::new();
    for register in registers {
        let vote = (
            register.received_s,
            register.id.number(),
            register.said.label == Some(Label::Junk),
        );
        for (identity, scope) in register.shared().into_iter().flat_map(|identity| {
            scopes(&register.mailbox)
                .into_iter()
                .map(move |scope| (identity, scope))
        }) {
            let votes = all.entry((scope_key(&scope), identity)).or_default();
            let newest = votes.entry(register.mailbox.clone()).or_insert(vote);
            *newest = vote.max(*newest);
        }
    }
    all
}

pub(super) fn scope_key(scope: &Scope) -> Option<Domain> {
    match scope {
        Scope::Domain(domain) => Some(domain.clone()),
        Scope::Server => None,
    }
}

pub(super) fn sent_row(key: &SentKey, at_s: i64) -> SentRow {
    SentRow {
        mailbox: key.0.clone(),
        domain: key.1.clone(),
        local: key.2.clone(),
        organization: key.3.clone(),
        at_s,
    }
}
