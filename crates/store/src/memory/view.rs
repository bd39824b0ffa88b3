//! The questions, asked of memory.

use super::MemoryDisk;
use super::lessons::LessonRow;
use super::state::{Message, State, history_rows, scope_key, sent_row, shared_rows};
use crate::audit::{After, ExportMark, ExportPage, Mark, Stats, Verified};
use crate::error::StoreError;
use crate::history::{CorrespondentKey, IdentityKey, Remembered};
use crate::id::MailwardId;
use crate::kept::{Kept, KeptKey};
use crate::label::{Label, LabelRow};
use crate::lesson::KeptLesson;
use crate::record::{Since, Summary, Which};
use crate::rows::{FoundRecipient, FoundRows, PageRows, ended, judged};
use crate::shared::{Secret, VOTERS_MAX};
use judge::junk::Seen;
use judge::reputation::{HistoryRow, Scope, Votes};
use mail::{Line, MailboxId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::ops::Bound;
use std::sync::MutexGuard;

/// What the text of a verdict with a reason in shadow mode holds.
const SHADOWED: &str = "\"effect\":\"shadowed\"";

#[derive(Debug)]
pub(crate) struct View(pub(crate) MemoryDisk);

impl View {
    fn state(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.0.lock();
        match &state.fail_reads {
            Some(why) => Err(StoreError::Unavailable(why.clone())),
            None => Ok(state),
        }
    }

    pub(crate) fn find(&mut self, id: MailwardId) -> Result<Option<FoundRows>, StoreError> {
        Ok(self.state()?.messages.get(&id).map(found))
    }

    pub(crate) fn recent(&mut self, limit: usize) -> Result<Vec<Summary>, StoreError> {
        let state = self.state()?;
        let mut newest: Vec<&Message> = state.messages.values().collect();
        newest.sort_by_key(|message| Reverse((message.rows.received_s, message.rows.id)));
        let lines = newest.iter().flat_map(|message| {
            let ending = message.ending.as_ref();
            let (outcomes, reply) = (ending.map(|e| e.outcomes.as_str()), ending.map(|e| e.reply.as_str()));
            message
                .rows
                .recipients
                .iter()
                .enumerate()
                .map(move |(n, recipient)| Summary {
                    id: message.rows.id,
                    received_s: message.rows.received_s,
                    judged: judged(
                        &message.rows.facts,
                        &recipient.facts,
                        &recipient.verdict,
                        ended(outcomes, reply, n),
                    ),
                })
        });
        Ok(lines.take(limit).collect())
    }

    pub(crate) fn since(&mut self, since: Since) -> Result<PageRows, StoreError> {
        let state = self.state()?;
        let first = MailwardId::first_of(since.from_s);
        let below = since.below.map_or(Bound::Unbounded, Bound::Excluded);
        let (limit, mut page) = (since.messages_max.max(1), PageRows::default());
        // A mark may lie below the first.
        let newest = state.messages.range((Bound::Unbounded, below)).rev();
        let looked_at: Vec<_> = newest.take_while(|(id, _)| **id >= first).take(limit).collect();
        if looked_at.len() == limit {
            page.next = looked_at.last().map(|(id, _)| **id);
        }
        for (_, message) in looked_at {
            if message.rows.received_s < since.from_s {
                continue;
            }
            page.messages += 1;
            page.deliveries += message.rows.recipients.len() as u64;
            let shadowed = message.rows.recipients.iter().any(|r| r.verdict.contains(SHADOWED));
            if since.which == Which::All || shadowed {
                page.found.push(found(message));
            }
        }
        Ok(page)
    }

    pub(crate) fn used_octets(&mut self) -> Result<u64, StoreError> {
        Ok(self.state()?.used_octets())
    }

    pub(crate) fn newest(
        &mut self,
        mailbox: &str,
        identity: IdentityKey,
        since_s: i64,
        limit: u32,
    ) -> Result<Vec<HistoryRow>, StoreError> {
        let state = self.state()?;
        let first = (mailbox.to_owned(), identity, Reverse(i64::MAX), Reverse(i64::MAX));
        let last = (mailbox.to_owned(), identity, Reverse(since_s), Reverse(i64::MIN));
        let rows = state.history.range(first..=last).take(limit as usize);
        Ok(rows
            .map(|((_, _, received_s, number), (is_junk, author_local))| HistoryRow {
                received_s: received_s.0,
                number: number.0.cast_unsigned(),
                is_junk: *is_junk,
                author_local: Line::from(author_local.clone()),
            })
            .collect())
    }

    pub(crate) fn wrote_to(&mut self, mailbox: &str, who: CorrespondentKey, since_s: i64) -> Result<bool, StoreError> {
        let state = self.state()?;
        let last_s = state.correspondents.get(&(mailbox.to_owned(), who));
        Ok(last_s.is_some_and(|at_s| *at_s >= since_s))
    }

    pub(crate) fn label(&mut self, mailbox: &str, id: MailwardId) -> Result<Option<LabelRow>, StoreError> {
        Ok(self.state()?.labels.get(&(mailbox.to_owned(), id)).cloned())
    }

    pub(crate) fn votes(&mut self, scope: &Scope, identity: IdentityKey, since_s: i64) -> Result<Votes, StoreError> {
        let state = self.state()?;
        let votes = state.shared.get(&(scope_key(scope), identity));
        let votes = votes.into_iter().flat_map(BTreeMap::values);
        let counted: Vec<bool> = votes
            .take(VOTERS_MAX as usize)
            .filter(|(received_s, ..)| *received_s >= since_s)
            .map(|(.., is_junk)| *is_junk)
            .collect();
        let junk = counted.iter().filter(|is_junk| **is_junk).count() as u32;
        Ok(Votes {
            junk,
            not_junk: counted.len() as u32 - junk,
        })
    }

    pub(crate) fn kept(&mut self, mailbox: &MailboxId, key: KeptKey) -> Result<Option<Kept>, StoreError> {
        Ok(self.state()?.kept.get(&(mailbox.clone(), key)).cloned())
    }

    pub(crate) fn kept_at(&mut self, mailbox: &MailboxId, reference: &str) -> Result<Option<Kept>, StoreError> {
        let state = self.state()?;
        let mut all = state.kept.values();
        Ok(all
            .find(|kept| kept.mailbox == *mailbox && kept.reference == reference)
            .cloned())
    }

    pub(crate) fn kept_octets(&mut self, source: &str) -> Result<u64, StoreError> {
        let state = self.state()?;
        let of_source = state.kept.values().filter(|kept| kept.source.as_str() == source);
        Ok(of_source.map(|kept| kept.octets).sum())
    }

    pub(crate) fn lessons(
        &mut self,
        mailbox: &str,
        after: Option<MailwardId>,
        limit: u32,
    ) -> Result<Vec<KeptLesson>, StoreError> {
        let is_past = |id: MailwardId| after.is_none_or(|after| id > after);
        self.lessons_where(mailbox, limit, |id, _| is_past(id))
    }

    pub(crate) fn open_lessons(&mut self, mailbox: &str, limit: u32) -> Result<Vec<KeptLesson>, StoreError> {
        self.lessons_where(mailbox, limit, |_, lesson| lesson.is_open())
    }

    pub(crate) fn lessons_of(&mut self, mailbox: &str, ids: &[MailwardId]) -> Result<Vec<KeptLesson>, StoreError> {
        let state = self.state()?;
        let one = |id: &MailwardId| state.lessons.get(&(mailbox.to_owned(), *id))?.read(*id);
        Ok(ids.iter().filter_map(one).collect())
    }

    fn lessons_where(
        &self,
        of: &str,
        limit: u32,
        is_asked: impl Fn(MailwardId, &LessonRow) -> bool,
    ) -> Result<Vec<KeptLesson>, StoreError> {
        let state = self.state()?;
        let all = state.lessons.iter();
        let asked = all.filter(|((mailbox, id), lesson)| mailbox == of && is_asked(*id, lesson));
        let read = asked.filter_map(|((_, id), lesson)| lesson.read(*id));
        Ok(read.take(limit as usize).collect())
    }

    pub(crate) fn learners(&mut self, after: &str, limit: u32) -> Result<Vec<(String, Seen)>, StoreError> {
        let state = self.state()?;
        let learners = state.learners();
        let past = learners.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
        let past = past.map(|(mailbox, seen)| ((*mailbox).to_owned(), *seen));
        Ok(past.take(limit as usize).collect())
    }

    pub(crate) fn model_secret(&mut self) -> Result<Secret, StoreError> {
        let state = self.state()?;
        let mut secret = Secret::default();
        for (n, octets) in (0..4_u64).zip(secret.chunks_mut(8)) {
            octets.copy_from_slice(&state.chance.hash_one(n).to_le_bytes());
        }
        Ok(secret)
    }

    pub(crate) fn cursor(&mut self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.state()?.cursors.get(name).cloned())
    }

    pub(crate) fn stats(&mut self) -> Result<Stats, StoreError> {
        let state = self.state()?;
        let labels = |label| state.labels.values().filter(|row| row.said.label == label).count() as u64;
        Ok(Stats {
            layout: 0,
            used_octets: state.used_octets(),
            messages: state.messages.len() as u64,
            deliveries: state.messages.values().map(|m| m.rows.recipients.len() as u64).sum(),
            mailboxes: mailboxes(&state).len() as u64,
            junk: labels(Some(Label::Junk)),
            not_junk: labels(Some(Label::NotJunk)),
            forgotten: labels(None),
            history: state.history.len() as u64,
            sent: state.sent.len() as u64,
            correspondents: state.correspondents.len() as u64,
            greylist: state.greylist.len() as u64,
            shared: state.shared.values().map(|votes| votes.len() as u64).sum(),
            kept: state.kept.len() as u64,
            lessons: state.lessons.values().filter(|lesson| lesson.said.is_some()).count() as u64,
            lesson_octets: state.lesson_octets(),
            cursors: state.cursors.len() as u64,
        })
    }

    /// All of one mailbox is a page, whatever the limit.
    pub(crate) fn export(&mut self, from: Option<ExportMark>, _limit: usize) -> Result<ExportPage, StoreError> {
        let state = self.state()?;
        let all = mailboxes(&state);
        let next = |after: &str| {
            let mut rest = all.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
            rest.next().map(|name| (*name).to_owned())
        };
        let mailbox = match from {
            Some(ExportMark(Mark {
                mailbox,
                after: After::Label(_),
            })) => mailbox,
            Some(ExportMark(Mark { mailbox, .. })) => next(&mailbox).unwrap_or_default(),
            None => next("").unwrap_or_default(),
        };
        let labels = state.labels.iter().filter(|((of, _), _)| *of == mailbox);
        let labels = labels.map(|(key, row)| {
            let lesson = state.lessons.get(key).filter(|lesson| lesson.said.is_some());
            let features = lesson.map(|lesson| lesson.features.clone());
            let row = LabelRow {
                features,
                ..row.clone()
            };
            row.read().map(Remembered::Label)
        });
        let sent = state.sent.iter().filter(|(key, _)| key.0 == mailbox);
        let sent = sent.map(|(key, at_s)| sent_row(key, *at_s).read().map(Remembered::Sent));
        Ok(ExportPage {
            remembered: labels.chain(sent).collect::<Result<_, _>>()?,
            next: next(&mailbox).map(|mailbox| ExportMark(Mark::begin(mailbox))),
        })
    }

    pub(crate) fn verify(&mut self) -> Result<Verified, StoreError> {
        let state = self.state()?;
        let history: BTreeMap<_, _> = state.labels.values().flat_map(history_rows).collect();
        let mut correspondents = BTreeMap::new();
        for row in state.sent.iter().map(|(key, at_s)| sent_row(key, *at_s)) {
            for who in row.correspondents() {
                let last_s = correspondents.entry((row.mailbox.clone(), who)).or_insert(row.at_s);
                *last_s = row.at_s.max(*last_s);
            }
        }
        let mut verified = Verified {
            labels: state.labels.len() as u64,
            history: history.len() as u64,
            sent: state.sent.len() as u64,
            lessons: state.lessons.len() as u64,
            ..Verified::default()
        };
        if history != state.history {
            verified.fault("history is not what the labels make".to_owned());
        }
        if correspondents != state.correspondents {
            verified.fault("correspondents are not what was sent".to_owned());
        }
        if shared_rows(state.labels.values()) != state.shared {
            verified.fault("shared evidence is not what the labels make".to_owned());
        }
        for (key, lesson) in &state.lessons {
            let label = state.labels.get(key).and_then(|label| label.said.label);
            if lesson.said.is_some() && lesson.said != label {
                verified.fault(format!("the lesson of {} in {} says what no label says", key.1, key.0));
            }
            if lesson.read(key.1).is_none() {
                verified.fault(format!("the lesson of {} in {} is unreadable", key.1, key.0));
            }
        }
        Ok(verified)
    }
}

fn mailboxes(state: &State) -> BTreeSet<&str> {
    let labelled = state.labels.keys().map(|(mailbox, _)| mailbox.as_str());
    labelled.chain(state.sent.keys().map(|key| key.0.as_str())).collect()
}

fn found(message: &Message) -> FoundRows {
    let recipient = |r: &crate::rows::RecipientRow| FoundRecipient {
        facts: r.facts.clone(),
        verdict: r.verdict.clone(),
        digest: r.policy.digest(),
        policy: r.policy.text().to_owned(),
    };
    FoundRows {
        id: message.rows.id,
        code_version: message.rows.code_version.clone(),
        facts: message.rows.facts.clone(),
        recipients: message.rows.recipients.iter().map(recipient).collect(),
        ending: message.ending.clone(),
    }
}
