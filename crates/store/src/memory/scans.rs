//! What is asked over many partitions. Each answer is as of one moment, which a distributed store would not have.

use super::rows::Rows;
use super::state::State;
use crate::audit::{Stats, Verified};
use crate::error::StoreError;
use crate::greylist::GreylistKey;
use crate::history::SentRow;
use crate::id::MailwardId;
use crate::kept::KeptKey;
use crate::label::Label;
use crate::ledger::{Entry, LedgerKey};
use crate::policy::PolicyDigest;
use crate::table::{
    Copies, Correspondents, Cursors, Delivered, Endings, Greylist, History, LessonRow, Policies, Records, Registers,
    SentMail, Votes,
};
use judge::junk::Seen;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// What a row of history counts for, about as on disk.
const HISTORY_OCTETS: u64 = 60;

type Delivery = (String, MailwardId);
type Lessons = Vec<(MailwardId, LessonRow)>;

impl Rows {
    pub(crate) async fn messages(
        &self,
        from: MailwardId,
        below: Option<MailwardId>,
        limit: u32,
    ) -> Result<Vec<(MailwardId, i64)>, StoreError> {
        let state = self.read().await?;
        let mut found: Vec<_> = state
            .all::<Records>()
            .map(|(id, (), row)| (*id, row.received_s))
            .collect();
        found.retain(|(id, _)| *id >= from && below.is_none_or(|below| *id < below));
        found.reverse();
        found.truncate(limit as usize);
        Ok(found)
    }

    pub(crate) async fn oldest_messages(
        &self,
        below: Option<MailwardId>,
        limit: u32,
    ) -> Result<Vec<MailwardId>, StoreError> {
        let state = self.read().await?;
        let ids = state.all::<Records>().map(|(id, ..)| *id);
        Ok(ids
            .take_while(|id| below.is_none_or(|below| *id < below))
            .take(limit as usize)
            .collect())
    }

    pub(crate) async fn policy_day(&self, digest: PolicyDigest) -> Result<Option<i64>, StoreError> {
        let policy = self.get::<Policies>(&digest, &()).await?;
        Ok(policy.map(|policy| policy.used_day))
    }

    pub(crate) async fn policies_before(&self, day: i64) -> Result<Vec<PolicyDigest>, StoreError> {
        let state = self.read().await?;
        let old = state.all::<Policies>().filter(|(.., policy)| policy.used_day < day);
        Ok(old.map(|(digest, ..)| *digest).collect())
    }

    pub(crate) async fn oldest_labels(&self, before_s: i64, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        let state = self.read().await?;
        let labels = state.all::<Registers>();
        let aged = labels.filter_map(|(key, (), row)| Some((row.label.as_ref()?.received_s, key)));
        Ok(oldest(aged.filter(|(at_s, _)| *at_s < before_s), limit))
    }

    pub(crate) async fn oldest_sent(&self, before_s: i64, limit: u32) -> Result<Vec<SentRow>, StoreError> {
        let state = self.read().await?;
        let mut times: Vec<i64> = state.all::<SentMail>().map(|(.., at_s)| *at_s).collect();
        times.retain(|at_s| *at_s < before_s);
        times.sort_unstable();
        let last_s = times.get((limit as usize).min(times.len()).saturating_sub(1)).copied();
        let mut sent = sent_rows(&state);
        sent.retain(|row| last_s.is_some_and(|last_s| row.at_s <= last_s));
        Ok(sent)
    }

    pub(crate) async fn oldest_lessons(&self, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        let state = self.read().await?;
        let lessons = state.all::<Registers>();
        let aged = lessons.filter_map(|(key, (), row)| Some((row.lesson.as_ref()?.received_s, key)));
        Ok(oldest(aged, limit))
    }

    pub(crate) async fn lessons_past(
        &self,
        mailbox: &str,
        keep: u32,
        limit: u32,
    ) -> Result<Vec<MailwardId>, StoreError> {
        let state = self.read().await?;
        let mut newest: Vec<_> = lessons(&state, mailbox)
            .filter(|(_, lesson)| lesson.said.is_some())
            .map(|(id, lesson)| Reverse((lesson.received_s, id)))
            .collect();
        newest.sort_unstable();
        let past = newest.into_iter().skip(keep as usize).take(limit as usize);
        Ok(past.map(|Reverse((_, id))| id).collect())
    }

    pub(crate) async fn stale_lessons(&self, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        let state = self.read().await?;
        let is_stale = |lesson: &LessonRow| lesson.is_open() && (lesson.taught.is_some() || lesson.said.is_none());
        let stale = state
            .all::<Registers>()
            .filter(|(.., row)| row.lesson.as_ref().is_some_and(is_stale));
        Ok(stale.map(|(key, ..)| key.clone()).take(limit as usize).collect())
    }

    pub(crate) async fn lessons(
        &self,
        mailbox: &str,
        after: Option<MailwardId>,
        limit: u32,
    ) -> Result<Lessons, StoreError> {
        let state = self.read().await?;
        let past = lessons(&state, mailbox).filter(|(id, _)| after.is_none_or(|after| *id > after));
        Ok(past
            .map(|(id, lesson)| (id, lesson.clone()))
            .take(limit as usize)
            .collect())
    }

    pub(crate) async fn open_lessons(
        &self,
        mailbox: &str,
        after: Option<MailwardId>,
        limit: u32,
    ) -> Result<Lessons, StoreError> {
        let mut open = self.lessons(mailbox, after, u32::MAX).await?;
        open.retain(|(_, lesson)| lesson.is_open());
        open.truncate(limit as usize);
        Ok(open)
    }

    pub(crate) async fn learners(&self, after: &str, limit: u32) -> Result<Vec<(String, Seen)>, StoreError> {
        let state = self.read().await?;
        let mut all: BTreeMap<&str, Seen> = BTreeMap::new();
        for ((mailbox, _), (), row) in state.all::<Registers>() {
            match row.lesson.as_ref().and_then(|lesson| lesson.said) {
                Some(Label::Junk) => all.entry(mailbox).or_default().junk += 1,
                Some(Label::NotJunk) => all.entry(mailbox).or_default().wanted += 1,
                None => {}
            }
        }
        let past = all.into_iter().filter(|(mailbox, _)| *mailbox > after);
        Ok(past
            .map(|(mailbox, seen)| (mailbox.to_owned(), seen))
            .take(limit as usize)
            .collect())
    }

    pub(crate) async fn ended_greylist(&self, now_s: i64, limit: u32) -> Result<Vec<GreylistKey>, StoreError> {
        let state = self.read().await?;
        let ends = state.all::<Greylist>().map(|(key, (), entry)| (entry.expires_s, key));
        Ok(oldest(ends.filter(|(ends_s, _)| *ends_s <= now_s), limit))
    }

    pub(crate) async fn ended_copies(&self, now_s: i64, limit: u32) -> Result<Vec<(String, KeptKey)>, StoreError> {
        let state = self.read().await?;
        let mut ended: Vec<_> = state
            .all::<Copies>()
            .filter(|(.., kept)| kept.expires_s <= now_s)
            .map(|(mailbox, key, kept)| (kept.expires_s, mailbox.clone(), *key))
            .collect();
        ended.sort_unstable();
        ended.truncate(limit as usize);
        Ok(ended.into_iter().map(|(_, mailbox, key)| (mailbox, key)).collect())
    }

    pub(crate) async fn copies_octets(&self, source: &str) -> Result<u64, StoreError> {
        let state = self.read().await?;
        let of_source = state
            .all::<Copies>()
            .filter(|(.., kept)| kept.source.as_str() == source);
        Ok(of_source.map(|(.., kept)| kept.octets).sum())
    }

    pub(crate) async fn delivered(&self) -> Result<Vec<(LedgerKey, Entry)>, StoreError> {
        let state = self.read().await?;
        Ok(state
            .all::<Delivered>()
            .map(|(key, (), entry)| (*key, entry.clone()))
            .collect())
    }

    pub(crate) async fn mailbox_after(&self, name: &str) -> Result<Option<String>, StoreError> {
        let state = self.read().await?;
        let mut past = mailboxes(&state).into_iter().filter(|mailbox| mailbox.as_str() > name);
        Ok(past.next())
    }

    pub(crate) async fn labelled(
        &self,
        mailbox: &str,
        after: Option<MailwardId>,
        limit: u32,
    ) -> Result<Vec<MailwardId>, StoreError> {
        let state = self.read().await?;
        let of_mailbox = state
            .all::<Registers>()
            .filter(|((of, _), _, row)| of == mailbox && row.label.is_some());
        let ids = of_mailbox.map(|((_, id), ..)| *id);
        Ok(ids
            .filter(|id| after.is_none_or(|after| *id > after))
            .take(limit as usize)
            .collect())
    }

    pub(crate) async fn sent(
        &self,
        mailbox: &str,
        [domain, local, organization]: [&str; 3],
        limit: u32,
    ) -> Result<Vec<SentRow>, StoreError> {
        let state = self.read().await?;
        let mut sent = sent_rows(&state);
        let key = |row: &SentRow| (row.domain.clone(), row.local.clone(), row.organization.clone());
        let mark = (domain.to_owned(), local.to_owned(), organization.to_owned());
        sent.retain(|row| row.mailbox == mailbox && key(row) > mark);
        sent.sort_by_key(key);
        sent.truncate(limit as usize);
        Ok(sent)
    }

    /// Deliveries whose label is not folded yet.
    pub(crate) async fn unfolded(&self) -> Result<Vec<Delivery>, StoreError> {
        let state = self.read().await?;
        let open = state.all::<Registers>().filter(|(.., row)| row.unfolded.is_some());
        Ok(open.map(|(key, ..)| key.clone()).collect())
    }

    pub(crate) async fn clear_derived(&self) -> Result<(), StoreError> {
        let mut state = self.disk.lock();
        if let Some(why) = &state.fail_writes {
            return Err(StoreError::Unavailable(why.clone()));
        }
        state.history.clear();
        state.correspondents.clear();
        state.votes.clear();
        Ok(())
    }

    pub(crate) async fn used_octets(&self) -> Result<u64, StoreError> {
        Ok(used_octets(&*self.read().await?))
    }

    pub(crate) async fn stats(&self) -> Result<Stats, StoreError> {
        let state = self.read().await?;
        let labels = |label: Option<Label>| {
            let is = |row: &crate::table::Register| row.label.as_ref().is_some_and(|row| row.said.label == label);
            state.all::<Registers>().filter(|(.., row)| is(row)).count() as u64
        };
        let lessons: Vec<&LessonRow> = state
            .all::<Registers>()
            .filter_map(|(.., row)| row.lesson.as_ref())
            .collect();
        Ok(Stats {
            layout: 0,
            used_octets: used_octets(&state),
            messages: state.all::<Records>().count() as u64,
            deliveries: state
                .all::<Records>()
                .map(|(.., row)| row.recipients.len() as u64)
                .sum(),
            mailboxes: mailboxes(&state).len() as u64,
            junk: labels(Some(Label::Junk)),
            not_junk: labels(Some(Label::NotJunk)),
            forgotten: labels(None),
            history: state.all::<History>().count() as u64,
            sent: state.all::<SentMail>().count() as u64,
            correspondents: state.all::<Correspondents>().count() as u64,
            greylist: state.all::<Greylist>().count() as u64,
            shared: state.all::<Votes>().count() as u64,
            kept: state.all::<Copies>().count() as u64,
            lessons: lessons.iter().filter(|lesson| lesson.said.is_some()).count() as u64,
            lesson_octets: lessons.iter().map(|lesson| feature_octets(lesson)).sum(),
            cursors: state.all::<Cursors>().count() as u64,
        })
    }

    pub(crate) async fn verify_layout(&self, _: &mut Verified) -> Result<(), StoreError> {
        Ok(())
    }
}

fn oldest<'a, K: Clone + Ord + 'a>(aged: impl Iterator<Item = (i64, &'a K)>, limit: u32) -> Vec<K> {
    let mut all: Vec<(i64, &K)> = aged.collect();
    all.sort();
    all.into_iter()
        .take(limit as usize)
        .map(|(_, key)| key.clone())
        .collect()
}

fn lessons<'a>(state: &'a State, of: &'a str) -> impl Iterator<Item = (MailwardId, &'a LessonRow)> {
    let registers = state.all::<Registers>().filter(move |((mailbox, _), ..)| mailbox == of);
    registers.filter_map(|((_, id), (), row)| Some((*id, row.lesson.as_ref()?)))
}

fn sent_rows(state: &State) -> Vec<SentRow> {
    let row =
        |((mailbox, domain), (local, organization), at_s): (&(String, String), &(String, String), &i64)| SentRow {
            mailbox: mailbox.clone(),
            domain: domain.clone(),
            local: local.clone(),
            organization: organization.clone(),
            at_s: *at_s,
        };
    state.all::<SentMail>().map(row).collect()
}

fn mailboxes(state: &State) -> BTreeSet<String> {
    let labelled = state.all::<Registers>().map(|((mailbox, _), ..)| mailbox);
    let sent = state.all::<SentMail>().map(|((mailbox, _), ..)| mailbox);
    labelled.chain(sent).cloned().collect()
}

fn feature_octets(lesson: &LessonRow) -> u64 {
    lesson
        .features
        .as_ref()
        .map_or(0, |features| features.octets.len() as u64)
}

/// About what the embedded back-end would use.
fn used_octets(state: &State) -> u64 {
    let mut octets = state.all::<History>().count() as u64 * HISTORY_OCTETS;
    for (.., record) in state.all::<Records>() {
        octets += record.facts.len() as u64 + record.features.as_ref().map_or(0, |f| f.octets.len() as u64);
        let recipients = record.recipients.iter();
        octets += recipients
            .map(|r| (r.facts.len() + r.verdict.len()) as u64)
            .sum::<u64>();
    }
    for (.., ending) in state.all::<Endings>() {
        octets += (ending.reply.len() + ending.outcomes.len()) as u64;
    }
    for (.., policy) in state.all::<Policies>() {
        octets += policy.text.len() as u64;
    }
    for (.., row) in state.all::<Registers>() {
        if let Some(label) = &row.label {
            octets += (label.mailbox.len() + label.author_local.len() + label.identities.len()) as u64;
        }
        octets += row.lesson.as_ref().map_or(0, feature_octets);
    }
    octets
}
