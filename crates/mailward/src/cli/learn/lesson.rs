//! What the store is told of old mail, a batch at a time, and what it makes of that.
//!
//! A batch may come from any user of the machine, of their own mailbox. So everything in it is of a type that proved it,
//! and bounded; which organizations there are, what is ours and what was said before is looked up here.

use super::page::Skipped;
use crate::cli::Trouble;
use crate::cli::desk::{Desk, Out};
use crate::cli::label;
use judge::content::Features;
use judge::reputation::{Correspondent, Letter};
use mail::{Address, Line, MailboxId};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use store::{Label, LabelRequest, MailwardId, Reader, Remembered, Said, Sent, Stored};

/// Messages of one batch, each of which is one row and some rows of history, all of them synced at once.
pub(super) const BATCH_MAX: usize = 300;
/// Octets of one batch, as JSON: a question to the daemon has 64 KiB.
pub(super) const BATCH_OCTETS_MAX: usize = 56 * 1024;
/// Whose labels these are.
const SOURCE: &str = "learn";
const DAY_S: i64 = 24 * 60 * 60;

/// A batch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::cli) struct LearnAsk {
    mailbox: String,
    is_dry: bool,
    labels: Vec<Marked>,
    sent: Vec<Posted>,
}

/// A message that came.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Marked {
    /// By which it is known again, unless the gateway's own id shows.
    pub id: MailwardId,
    /// The gateway's id as the message shows it, and its seal.
    pub sealed: Option<(String, String)>,
    pub label: Label,
    pub received_s: i64,
    pub letter: Letter,
    /// What it was made of when it came.
    pub features: Option<Features>,
}

/// A message that was sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Posted {
    /// Who must be the owner; none where the caller vouches for it.
    pub author: Option<Address>,
    pub to: Vec<Address>,
    pub at_s: i64,
    /// More recipients of the message before it, which is counted once.
    pub is_more: bool,
}

/// What came of a batch.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    /// Messages that are junk now, and were not known before.
    pub junk: u64,
    /// The same of welcome ones.
    pub not_junk: u64,
    /// Addresses that were not known before, or not that late.
    pub addresses: u64,
    pub known: u64,
    pub known_addresses: u64,
    /// Messages of which a person has said something.
    pub said_before: u64,
    pub too_old: u64,
    pub not_by_owner: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answered {
    pub mailbox: MailboxId,
    pub counts: Counts,
    /// For how long anything is remembered.
    pub history_days: u32,
}

impl LearnAsk {
    pub(super) fn new(mailbox: &str, is_dry: bool, labels: Vec<Marked>, sent: Vec<Posted>) -> LearnAsk {
        LearnAsk {
            mailbox: mailbox.to_owned(),
            is_dry,
            labels,
            sent,
        }
    }

    /// Learns it; tells what came of it as a line of JSON.
    pub(in crate::cli) fn answer(&self, desk: &Desk, out: &mut Out<'_>) -> Result<u8, Trouble> {
        let mailbox = desk.mailbox_of(&self.mailbox)?;
        if !desk.may_see(&mailbox) {
            return Err(Trouble::new(format!("{mailbox} is not your mailbox")));
        }
        let is_bounded = self.labels.iter().all(|marked| marked.letter.is_bounded());
        if !is_bounded || self.labels.len() + self.sent.len() > BATCH_MAX {
            return Err(Trouble::new("more in one batch than `mailward learn` sends"));
        }
        let now_s = jiff::Timestamp::now().as_second();
        let history_days = desk.config().store.history_days;
        let mut lesson = Lesson {
            desk,
            mailbox: &mailbox,
            reader: desk.reader()?,
            now_s,
            oldest_s: now_s.saturating_sub(DAY_S * i64::from(history_days)),
            counts: Counts::default(),
        };
        let mut remembered = Vec::new();
        for marked in &self.labels {
            remembered.extend(lesson.label(marked)?.map(Remembered::Label));
        }
        remembered.extend(lesson.sent(&self.sent)?.into_iter().map(Remembered::Sent));
        let counts = lesson.counts;
        if !self.is_dry && !remembered.is_empty() {
            desk.wait(desk.store()?.remember(remembered)).map_err(Trouble::new)?;
            desk.teach(&mailbox);
        }
        let answered = Answered {
            mailbox,
            counts,
            history_days,
        };
        writeln!(out.text, "{}", serde_json::to_string(&answered).map_err(Trouble::new)?)?;
        Ok(0)
    }
}

/// A batch on its way into the store.
struct Lesson<'a> {
    desk: &'a Desk,
    mailbox: &'a MailboxId,
    reader: Reader,
    now_s: i64,
    /// What is older is forgotten at once.
    oldest_s: i64,
    counts: Counts,
}

impl Lesson<'_> {
    /// The label that is new, if one is.
    fn label(&mut self, marked: &Marked) -> Result<Option<LabelRequest>, Trouble> {
        let sealed = self.sealed(marked)?;
        let stored = match sealed {
            Some(id) => self.desk.wait(self.reader.find(id)).map_err(Trouble::new)?,
            None => None,
        };
        let id = sealed.unwrap_or(marked.id);
        let known = self
            .desk
            .wait(self.reader.label(self.mailbox, id))
            .map_err(Trouble::new)?;
        if known.as_ref().is_some_and(|known| known.said.source.as_str() != SOURCE) {
            self.counts.said_before += 1;
            return Ok(None);
        }
        let said = Said {
            label: Some(marked.label),
            // Whoever says something in this second, while this is under way, speaks later.
            at_s: known
                .as_ref()
                .map_or(i64::MIN, |known| known.said.at_s.saturating_add(1))
                .max(self.now_s - 1),
            source: Line::literal(SOURCE),
            by: self.desk.caller().name(),
        };
        let request = self.request(marked, id, stored.as_ref(), said)?;
        if request.received_s < self.oldest_s {
            self.counts.too_old += 1;
            return Ok(None);
        }
        // Names that another trust found are new; those that were recorded are better than any that are read again.
        let is_same = |known: &LabelRequest| {
            let is_recorded = sealed.is_some() && stored.is_none();
            known.said.label == Some(marked.label) && (is_recorded || known.identities == request.identities)
        };
        match (known.as_ref().is_some_and(is_same), marked.label) {
            (true, _) => self.counts.known += 1,
            (false, Label::Junk) => self.counts.junk += 1,
            (false, Label::NotJunk) => self.counts.not_junk += 1,
        }
        let is_news = !known.as_ref().is_some_and(is_same) || self.lacks_lesson(&request)?;
        Ok(is_news.then_some(request))
    }

    /// Whether the content filter has not seen the message, and could now.
    fn lacks_lesson(&self, request: &LabelRequest) -> Result<bool, Trouble> {
        let lessons = self.reader.lessons_of(self.mailbox, vec![request.id]);
        Ok(request.features.is_some() && self.desk.wait(lessons).map_err(Trouble::new)?.is_empty())
    }

    /// The gateway's own id, where the message shows one with its seal.
    fn sealed(&self, marked: &Marked) -> Result<Option<MailwardId>, Trouble> {
        let Some((id, seal)) = &marked.sealed else {
            return Ok(None);
        };
        let Ok(id) = id.parse() else { return Ok(None) };
        Ok((self.desk.seal()?.mac(&id) == *seal).then_some(id))
    }

    /// With the names that were recorded when it came, or those of its header.
    fn request(
        &self,
        marked: &Marked,
        id: MailwardId,
        stored: Option<&Stored>,
        said: Said,
    ) -> Result<LabelRequest, Trouble> {
        let recorded = match stored {
            Some(stored) => label::one_recipient(self.desk, stored, Some(self.mailbox)).map_err(Trouble::new)?,
            None => None,
        };
        if let (Some(stored), Some(facts)) = (stored, recorded) {
            // What was seen at the door is better than what is left of it.
            return label::request(self.desk, stored, facts, id, said).map_err(Trouble::new);
        }
        let sender = self.desk.judgement()?.sender_of(&marked.letter);
        Ok(LabelRequest {
            mailbox: self.mailbox.clone(),
            id,
            said,
            received_s: marked.received_s.min(self.now_s),
            author_local: sender
                .author
                .as_ref()
                .map_or_else(Line::default, |author| author.local.clone()),
            identities: sender.identities(),
            features: marked.features.clone(),
        })
    }

    /// To whom the owner wrote, outside of our own domains: whoever forges one of us has never been written to.
    fn sent(&mut self, all: &[Posted]) -> Result<Vec<Sent>, Trouble> {
        let mut latest: HashMap<(Line, mail::Domain), Sent> = HashMap::new();
        for posted in all {
            if let Some(author) = &posted.author
                && self.desk.own_mailbox(author)?.as_ref() != Some(self.mailbox)
            {
                self.counts.not_by_owner += u64::from(!posted.is_more);
                continue;
            }
            let at_s = posted.at_s.min(self.now_s);
            if at_s < self.oldest_s {
                self.counts.too_old += u64::from(!posted.is_more);
                continue;
            }
            for address in &posted.to {
                if self.desk.own_mailbox(address)?.is_some() {
                    continue;
                }
                let Some(sent) = self.desk.judgement()?.sent_to(self.mailbox, address, at_s) else {
                    continue;
                };
                let one = latest
                    .entry((sent.local.clone(), sent.domain.clone()))
                    .or_insert_with(|| sent.clone());
                one.at_s = one.at_s.max(at_s);
            }
        }
        let mut fresh = Vec::new();
        for ((local, domain), sent) in latest {
            let to = Correspondent::Address { local, domain };
            let is_known = self.reader.wrote_to(self.mailbox, &to, sent.at_s);
            match self.desk.wait(is_known).map_err(Trouble::new)? {
                true => self.counts.known_addresses += 1,
                false => fresh.push(sent),
            }
        }
        self.counts.addresses += fresh.len() as u64;
        Ok(fresh)
    }
}

impl Counts {
    pub(super) fn add(&mut self, other: &Counts) {
        let Counts {
            junk,
            not_junk,
            addresses,
            known,
            known_addresses,
            said_before,
            too_old,
            not_by_owner,
        } = other;
        self.junk += junk;
        self.not_junk += not_junk;
        self.addresses += addresses;
        self.known += known;
        self.known_addresses += known_addresses;
        self.said_before += said_before;
        self.too_old += too_old;
        self.not_by_owner += not_by_owner;
    }
}

impl super::Tally {
    /// A message that tells nothing.
    pub(super) fn skip(&mut self, why: Skipped) {
        match why {
            Skipped::NoDate => self.no_date += 1,
            Skipped::Automatic => self.automatic += 1,
            Skipped::NotByOwner => self.counts.not_by_owner += 1,
        }
    }
}
