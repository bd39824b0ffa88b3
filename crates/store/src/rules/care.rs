//! Everything made anew, exported, verified.

use super::labels::{correspond, derive};
use super::lessons::{change, rebuilt};
use crate::audit::{After, ExportMark, ExportPage, Mark, Stats, Verified};
use crate::back_end::{Intent, Rows};
use crate::error::StoreError;
use crate::history::{Remembered, SentRow};
use crate::id::MailwardId;
use crate::keys::{CorrespondentKey, IdentityKey};
use crate::label::{Label, LabelRow};
use crate::shared::{SharedKey, scopes, voter};
use crate::table::{Correspondents, History, LessonRow, Register, Registers, Vote, Votes};
use judge::content::VERSION;
use judge::resolver::BoxFuture;
use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

/// Rows that are asked for at one time.
const PAGE: u32 = 500;
/// Octets of features after which a page of an export ends.
const EXPORT_OCTETS_MAX: usize = 4 << 20;

/// Makes what is derived anew from the truth, and lessons untaught.
#[derive(Debug)]
pub(crate) struct Rebuild;

impl Intent for Rebuild {
    type Answer = ();

    fn run<'a>(&'a self, rows: Rows<'a>) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            rows.mend()?;
            let mut walk = Walk::default();
            while let Some((partition, _)) = walk.next_register(rows).await? {
                change(rows, &partition, |register| Some(rebuilt(register))).await?;
            }
            rederive(rows).await
        })
    }
}

/// Makes what is derived anew from the truth.
pub(crate) fn rederive(rows: Rows<'_>) -> BoxFuture<'_, Result<(), StoreError>> {
    Box::pin(async move {
        rows.clear_derived().await?;
        let mut walk = Walk::default();
        while let Some(((mailbox, _), register)) = walk.next_register(rows).await? {
            derive(rows, &mailbox, register.label.as_ref(), register.version, &[]).await?;
        }
        let mut walk = Walk::default();
        while let Some(row) = walk.next_sent(rows).await? {
            correspond(rows, &row).await?;
        }
        Ok(())
    })
}

/// A walk over all mailboxes, and what each has, in pages.
#[derive(Debug)]
struct Walk<T, K> {
    mailbox: Option<String>,
    /// Up to where the mailbox was read.
    last: Option<K>,
    page: VecDeque<T>,
}

impl<T, K> Default for Walk<T, K> {
    fn default() -> Walk<T, K> {
        Walk {
            mailbox: None,
            last: None,
            page: VecDeque::new(),
        }
    }
}

impl<T, K> Walk<T, K> {
    /// The page is used up and nothing comes after it: goes on to the next mailbox, if there is one.
    async fn next_mailbox(&mut self, rows: Rows<'_>) -> Result<bool, StoreError> {
        let before = self.mailbox.take().unwrap_or_default();
        self.mailbox = rows.mailbox_after(&before).await?;
        self.last = None;
        Ok(self.mailbox.is_some())
    }
}

impl Walk<MailwardId, MailwardId> {
    /// The next delivery of which something was said.
    async fn next_register(&mut self, rows: Rows<'_>) -> Result<Option<((String, MailwardId), Register)>, StoreError> {
        loop {
            if let (Some(mailbox), Some(id)) = (&self.mailbox, self.page.pop_front()) {
                let partition = (mailbox.clone(), id);
                match rows.get::<Registers>(&partition, &()).await? {
                    Some(register) => return Ok(Some((partition, register))),
                    None => continue,
                }
            }
            if let Some(mailbox) = &self.mailbox {
                self.page = rows.labelled(mailbox, self.last, PAGE).await?.into();
                self.last = self.page.back().copied().or(self.last);
            }
            if self.page.is_empty() && !self.next_mailbox(rows).await? {
                return Ok(None);
            }
        }
    }
}

impl Walk<SentRow, [String; 3]> {
    /// The next mail that was sent.
    async fn next_sent(&mut self, rows: Rows<'_>) -> Result<Option<SentRow>, StoreError> {
        loop {
            if let Some(row) = self.page.pop_front() {
                return Ok(Some(row));
            }
            if let Some(mailbox) = &self.mailbox {
                let after = self.last.clone().unwrap_or_default();
                self.page = rows
                    .sent(mailbox, after.each_ref().map(String::as_str), PAGE)
                    .await?
                    .into();
                let key = |row: &SentRow| [&row.domain, &row.local, &row.organization].map(String::clone);
                self.last = self.page.back().map(key).or(self.last.take());
            }
            if self.page.is_empty() && !self.next_mailbox(rows).await? {
                return Ok(None);
            }
        }
    }
}

impl Walk<(MailwardId, LessonRow), MailwardId> {
    /// The next lesson, and whose it is.
    async fn next_lesson(&mut self, rows: Rows<'_>) -> Result<Option<((String, MailwardId), LessonRow)>, StoreError> {
        loop {
            if let (Some(mailbox), Some((id, lesson))) = (&self.mailbox, self.page.pop_front()) {
                return Ok(Some(((mailbox.clone(), id), lesson)));
            }
            if let Some(mailbox) = &self.mailbox {
                self.page = rows.lessons(mailbox, self.last, PAGE).await?.into();
                self.last = self.page.back().map(|(id, _)| *id).or(self.last);
            }
            if self.page.is_empty() && !self.next_mailbox(rows).await? {
                return Ok(None);
            }
        }
    }
}

/// A page of what makes history: one mailbox or a part of it.
pub(crate) async fn export(rows: Rows<'_>, from: Option<ExportMark>, limit: usize) -> Result<ExportPage, StoreError> {
    let mark = match from {
        Some(mark) => Some(mark.0),
        None => rows.mailbox_after("").await?.map(Mark::begin),
    };
    let Some(mark) = mark else {
        return Ok(ExportPage::default());
    };
    let limit = u32::try_from(limit.max(1)).unwrap_or(u32::MAX);
    match mark.after {
        After::Label(after) => export_labels(rows, mark.mailbox, after, limit).await,
        After::Sent(domain, local, organization) => {
            let sent = rows
                .sent(&mark.mailbox, [&domain, &local, &organization], limit)
                .await?;
            let next = match sent.last() {
                Some(last) if sent.len() == limit as usize => Some(Mark {
                    mailbox: mark.mailbox,
                    after: After::Sent(last.domain.clone(), last.local.clone(), last.organization.clone()),
                }),
                _ => rows.mailbox_after(&mark.mailbox).await?.map(Mark::begin),
            };
            let read = |row: SentRow| row.read().map(Remembered::Sent);
            Ok(ExportPage {
                remembered: sent.into_iter().map(read).collect::<Result<_, _>>()?,
                next: next.map(ExportMark),
            })
        }
    }
}

/// Labels with the features of their lessons.
async fn export_labels(
    rows: Rows<'_>,
    mailbox: String,
    after: Option<MailwardId>,
    limit: u32,
) -> Result<ExportPage, StoreError> {
    let ids = rows.labelled(&mailbox, after, limit).await?;
    let (mut remembered, mut octets, mut last) = (Vec::new(), 0, None);
    for id in &ids {
        let partition = (mailbox.clone(), *id);
        last = Some(*id);
        let Some(register) = rows.get::<Registers>(&partition, &()).await? else {
            continue;
        };
        let lesson = register.lesson.filter(|lesson| lesson.said.is_some());
        let features = lesson.and_then(|lesson| lesson.features);
        octets += features.as_ref().map_or(0, |features| features.octets.len());
        if let Some(label) = register.label {
            remembered.push(Remembered::Label(LabelRow { features, ..label }.read()?));
        }
        if octets >= EXPORT_OCTETS_MAX {
            break;
        }
    }
    let is_whole = ids.len() < limit as usize && last == ids.last().copied();
    let next = match last {
        Some(last) if !is_whole => Mark::label(mailbox, last),
        _ => Mark::sent(mailbox),
    };
    Ok(ExportPage {
        remembered,
        next: Some(ExportMark(next)),
    })
}

/// How much there is of everything.
#[derive(Debug)]
pub(crate) struct Count;

impl Intent for Count {
    type Answer = Stats;

    fn run<'a>(&'a self, rows: Rows<'a>) -> BoxFuture<'a, Result<Stats, StoreError>> {
        Box::pin(rows.stats())
    }
}

/// Whether what is derived is what the truth makes, each row of it and no others, and each lesson says what its label says.
#[derive(Debug)]
pub(crate) struct Verify;

impl Intent for Verify {
    type Answer = Verified;

    fn run<'a>(&'a self, rows: Rows<'a>) -> BoxFuture<'a, Result<Verified, StoreError>> {
        Box::pin(verify(rows))
    }
}

async fn verify(rows: Rows<'_>) -> Result<Verified, StoreError> {
    let mut verified = Verified::default();
    rows.verify_layout(&mut verified).await?;
    let stats = rows.stats().await?;
    let (mut votes, mut walk) = (0, Walk::default());
    while let Some((partition, register)) = walk.next_register(rows).await? {
        verify_label(rows, &partition, &register, &mut verified, &mut votes).await?;
    }
    verify_sent(rows, &stats, &mut verified).await?;
    verify_lessons(rows, &mut verified).await?;
    for (found, expected, what) in [
        (stats.history, verified.history, "history has rows"),
        (stats.shared, votes, "shared evidence has votes"),
    ] {
        if found > expected {
            verified.fault(format!("{what} that no label makes: {}", found - expected));
        }
    }
    Ok(verified)
}

async fn verify_label(
    rows: Rows<'_>,
    (mailbox, id): &(String, MailwardId),
    register: &Register,
    verified: &mut Verified,
    votes: &mut u64,
) -> Result<(), StoreError> {
    let Some(label) = &register.label else { return Ok(()) };
    verified.labels += 1;
    let Ok(derived) = label.derived() else {
        verified.fault(format!("the label of {id} in {mailbox} is unreadable"));
        return Ok(());
    };
    for row in derived {
        verified.history += 1;
        let partition = (mailbox.clone(), row.identity);
        let found = rows
            .get::<History>(&partition, &(Reverse(row.received_s), Reverse(row.number)))
            .await?;
        if !found.is_some_and(|found| found.is_junk == row.is_junk && found.author_local == row.author_local) {
            verified.fault(format!("history lacks a row of the label of {id} in {mailbox}"));
        }
    }
    for identity in label.shared() {
        verify_vote(rows, label, identity, verified, votes).await?;
    }
    Ok(())
}

/// Each pair of mailbox and identity is looked at once: where its newest message is.
async fn verify_vote(
    rows: Rows<'_>,
    label: &LabelRow,
    identity: IdentityKey,
    verified: &mut Verified,
    votes: &mut u64,
) -> Result<(), StoreError> {
    let newest = rows.first::<History>(&(label.mailbox.clone(), identity), 1).await?;
    let expected = Vote {
        received_s: label.received_s,
        number: label.id.number(),
        is_junk: label.said.label == Some(Label::Junk),
    };
    let is_newest = newest
        .first()
        .is_some_and(|((received_s, number), _)| (received_s.0, number.0) == (expected.received_s, expected.number));
    if !is_newest {
        return Ok(());
    }
    let secret = rows.secret("shared").await?;
    for scope in scopes(&label.mailbox) {
        let key = SharedKey::of(&secret, &scope, identity);
        *votes += 1;
        if rows.get::<Votes>(&key, &voter(&secret, &label.mailbox)).await? != Some(expected) {
            let (id, mailbox) = (label.id, &label.mailbox);
            verified.fault(format!("shared evidence lacks a vote of {id} in {mailbox}"));
        }
    }
    Ok(())
}

/// The last time of each correspondent is the last of the mail that speaks of them.
async fn verify_sent(rows: Rows<'_>, stats: &Stats, verified: &mut Verified) -> Result<(), StoreError> {
    let mut last: BTreeMap<(String, CorrespondentKey), i64> = BTreeMap::new();
    let mut walk = Walk::default();
    while let Some(row) = walk.next_sent(rows).await? {
        verified.sent += 1;
        for who in row.correspondents() {
            let at_s = last.entry((row.mailbox.clone(), who)).or_insert(row.at_s);
            *at_s = row.at_s.max(*at_s);
        }
    }
    for (partition, at_s) in &last {
        match rows.get::<Correspondents>(partition, &()).await? {
            Some(found) if found == *at_s => {}
            Some(_) => verified.fault("a correspondent has another time than the mail that was sent".to_owned()),
            None => verified.fault("a correspondent is missing".to_owned()),
        }
    }
    let more = stats.correspondents.saturating_sub(last.len() as u64);
    if more > 0 {
        verified.fault(format!("there are correspondents that nobody wrote to: {more}"));
    }
    Ok(())
}

/// Each lesson says what its label says, and its features are there.
async fn verify_lessons(rows: Rows<'_>, verified: &mut Verified) -> Result<(), StoreError> {
    let mut walk = Walk::default();
    while let Some((partition, lesson)) = walk.next_lesson(rows).await? {
        verified.lessons += 1;
        let register = rows.get::<Registers>(&partition, &()).await?;
        let label = register.and_then(|register| register.label?.said.label);
        let (mailbox, id) = &partition;
        let mut fault = |what: &str| verified.fault(format!("the lesson of {id} in {mailbox} {what}"));
        if lesson.said.is_some() && lesson.said != label {
            fault("says what no label says");
        }
        if lesson.said.is_none() && lesson.taught.is_none() {
            fault("is none any more, and is there");
        }
        match &lesson.features {
            None => fault("has no features"),
            Some(features) if features.version == VERSION && features.read().is_none() => {
                fault("has features that are damaged");
            }
            Some(_) => {}
        }
    }
    Ok(())
}
