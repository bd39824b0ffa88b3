//! What a label does: to its register, and to what is derived from it.

use super::lessons::{forgotten, said};
use super::register::kept;
use super::{TRIES_MAX, too_busy};
use crate::back_end::{Intent, Rows};
use crate::error::StoreError;
use crate::features::FeaturesRow;
use crate::history::SentRow;
use crate::id::MailwardId;
use crate::keys::IdentityKey;
use crate::label::{Label, LabelRow, Labelled};
use crate::shared::{SharedKey, scopes, voter};
use crate::table::{
    Change, Condition, Correspondents, History, Labelling, Records, Register, Registers, SentMail, Vote, Votes,
};
use judge::resolver::BoxFuture;
use mail::{Line, MailboxId};
use std::cmp::{Ordering, Reverse};
use std::collections::BTreeSet;

/// One thing that makes history.
#[derive(Debug)]
pub(crate) enum Memory {
    /// Of a delivery that was recorded here, or is labelled already.
    Label(LabelRow, MailboxId),
    /// Of whatever delivery.
    Learnt(LabelRow),
    Sent(SentRow),
}

/// Takes what makes history; of each, what came of it, if it is a label.
#[derive(Debug)]
pub(crate) struct Remember(pub(crate) Vec<Memory>);

impl Intent for Remember {
    type Answer = Vec<Result<Option<Labelled>, StoreError>>;

    fn run<'a>(&'a self, rows: Rows<'a>) -> BoxFuture<'a, Result<Self::Answer, StoreError>> {
        Box::pin(async move {
            let mut all = Vec::with_capacity(self.0.len());
            for memory in &self.0 {
                let done = match memory {
                    Memory::Label(row, mailbox) => say(rows, row, Some(mailbox)).await.map(Some),
                    Memory::Learnt(row) => say(rows, row, None).await.map(Some),
                    Memory::Sent(row) => sent(rows, row).await.map(|()| None),
                };
                match done {
                    Err(why @ StoreError::Unavailable(_)) => return Err(why),
                    done => all.push(done),
                }
            }
            Ok(all)
        })
    }
}

/// Folds what is still to be folded.
#[derive(Debug)]
pub(crate) struct Settle;

impl Intent for Settle {
    type Answer = ();

    /// The last first: each reads what is true now, so their order must not matter.
    fn run<'a>(&'a self, rows: Rows<'a>) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            for (mailbox, id) in rows.unfolded().await?.into_iter().rev() {
                fold(rows, &(mailbox, id)).await?;
            }
            Ok(())
        })
    }
}

/// Takes a saying: of all about one delivery the greatest holds. `recorded` is whose mailbox the message must have been
/// recorded for, unless it was labelled while it was known.
async fn say(rows: Rows<'_>, row: &LabelRow, recorded: Option<&MailboxId>) -> Result<Labelled, StoreError> {
    let partition = (row.mailbox.clone(), row.id);
    for _ in 0..TRIES_MAX {
        let found = rows.get::<Registers>(&partition, &()).await?;
        let before = found.clone().unwrap_or_default();
        let order = before
            .label
            .as_ref()
            .map_or(Ordering::Greater, |before| row.rank(before));
        let needs_delivery = before.label.is_none() && recorded.is_some();
        let needs_features = order == Ordering::Greater && row.said.label.is_some() && row.features.is_none();
        let record = match needs_delivery || needs_features {
            true => rows.get::<Records>(&row.id, &()).await?,
            false => None,
        };
        if let (true, Some(mailbox)) = (needs_delivery, recorded)
            && !record.as_ref().is_some_and(|record| record.is_for(mailbox))
        {
            let (id, mailbox) = (row.id, mailbox.clone());
            return Err(StoreError::UnknownDelivery { id, mailbox });
        }
        if order == Ordering::Less {
            let said = before.label.map_or_else(|| row.said.clone(), |before| before.said);
            return Ok(Labelled::Outranked(said));
        }
        let recorded_features = record.and_then(|record| record.features);
        let after = labelled(&before, row, order == Ordering::Greater, recorded_features)?;
        // What is derived may still lack it, if whoever said so before went down.
        let is_whole = after == before && before.unfolded.is_none();
        if is_whole || commit(rows, &partition, found, after).await? {
            return Ok(Labelled::Holds);
        }
    }
    Err(too_busy())
}

/// What a saying that holds makes of a register. The message may be shown only with a later saying of the same.
fn labelled(
    before: &Register,
    row: &LabelRow,
    is_new: bool,
    recorded: Option<FeaturesRow>,
) -> Result<Register, StoreError> {
    let given = row.features.clone().or(recorded.filter(|_| is_new));
    let lesson = said(before.lesson.clone(), row, given);
    if !is_new {
        return Ok(Register {
            lesson,
            ..before.clone()
        });
    }
    for label in before.label.iter().chain([row]) {
        label.derived().map_err(|_| unreadable(label))?;
    }
    Ok(Register {
        label: Some(LabelRow {
            features: None,
            ..row.clone()
        }),
        lesson,
        ..relabelled(before)
    })
}

/// The register without its label: what that made is to be taken away.
fn relabelled(before: &Register) -> Register {
    let mut unfolded = before.unfolded.clone().unwrap_or_default();
    unfolded.extend(before.label.clone());
    Register {
        label: None,
        lesson: before.lesson.clone(),
        version: before.version + 1,
        unfolded: Some(unfolded),
    }
}

/// The register of a label that goes by age, and takes its lesson along.
fn aged(before: &Register) -> Register {
    Register {
        lesson: forgotten(before.lesson.clone()),
        ..relabelled(before)
    }
}

fn unreadable(register: &LabelRow) -> StoreError {
    StoreError::UnreadableLabel {
        id: register.id,
        mailbox: Line::reason(register.mailbox.as_bytes()),
        why: "its identities are not what this version writes".to_owned(),
    }
}

/// Forgets a label with all that it made. Whether there was one.
pub(super) async fn forget(rows: Rows<'_>, partition: &(String, MailwardId)) -> Result<bool, StoreError> {
    for _ in 0..TRIES_MAX {
        let Some(before) = rows.get::<Registers>(partition, &()).await? else {
            return Ok(false);
        };
        let after = aged(&before);
        if commit(rows, partition, Some(before), after).await? {
            return Ok(true);
        }
    }
    Err(too_busy())
}

/// Changes a register, and what is derived from it, now or later. Whether the register was as it was read.
async fn commit(
    rows: Rows<'_>,
    partition: &(String, MailwardId),
    before: Option<Register>,
    after: Register,
) -> Result<bool, StoreError> {
    let Some(unfolded) = after.unfolded.clone() else {
        return rows.swap::<Registers>(partition, (), before, kept(rows, after)).await;
    };
    if rows.is_alone() {
        // All of it is written, or nothing.
        let (label, version) = (after.label.clone(), after.version);
        let folded = Register {
            unfolded: None,
            ..after
        };
        rows.swap::<Registers>(partition, (), before, kept(rows, folded))
            .await?;
        derive(rows, &partition.0, label.as_ref(), version, &unfolded).await?;
        return Ok(true);
    }
    let is_done = rows.swap::<Registers>(partition, (), before, Some(after)).await?;
    if is_done && rows.folds_at_once() {
        fold(rows, partition).await?;
    }
    Ok(is_done)
}

/// Makes what is derived from a register fit it; may be done by several at once, and any number of times.
async fn fold(rows: Rows<'_>, partition: &(String, MailwardId)) -> Result<(), StoreError> {
    for _ in 0..TRIES_MAX {
        let Some(register) = rows.get::<Registers>(partition, &()).await? else {
            return Ok(());
        };
        let Some(unfolded) = register.unfolded.clone() else {
            return Ok(());
        };
        derive(rows, &partition.0, register.label.as_ref(), register.version, &unfolded).await?;
        let folded = Register {
            unfolded: None,
            ..register.clone()
        };
        if rows
            .swap::<Registers>(partition, (), Some(register), Some(folded))
            .await?
        {
            return Ok(());
        }
    }
    Err(too_busy())
}

/// Takes away what labels of a register made before, and adds what the one makes now. Versions stamp both, so that whoever
/// is late changes nothing.
pub(super) async fn derive(
    rows: Rows<'_>,
    mailbox: &str,
    label: Option<&LabelRow>,
    version: i64,
    before: &[LabelRow],
) -> Result<(), StoreError> {
    // One that cannot be read made nothing that is known; what it made is for `rebuild`.
    let rows_of = |label: &LabelRow| -> BTreeSet<(IdentityKey, Reverse<i64>, Reverse<i64>)> {
        let derived = label.derived().unwrap_or_default();
        let key = |row: &crate::label::DerivedRow<'_>| (row.identity, Reverse(row.received_s), Reverse(row.number));
        derived.iter().map(key).collect()
    };
    let now = label.map(rows_of).unwrap_or_default();
    let gone: BTreeSet<_> = before
        .iter()
        .flat_map(rows_of)
        .filter(|key| !now.contains(key))
        .collect();
    for (identity, received_s, number) in gone {
        let partition = (mailbox.to_owned(), identity);
        rows.set::<History>(&partition, (received_s, number), None, version)
            .await?;
    }
    if let Some(label) = label {
        let labelling = Labelling {
            is_junk: label.said.label == Some(Label::Junk),
            author_local: label.author_local.clone(),
        };
        for (identity, received_s, number) in now {
            let partition = (mailbox.to_owned(), identity);
            let row = Some(labelling.clone());
            rows.set::<History>(&partition, (received_s, number), row, version)
                .await?;
        }
    }
    let shared: BTreeSet<IdentityKey> = before.iter().chain(label).flat_map(LabelRow::shared).collect();
    for identity in shared {
        vote(rows, mailbox, identity).await?;
    }
    Ok(())
}

/// Makes the votes of a mailbox on an identity what its history says. Whoever changes history does this after; so whoever
/// was faster is read, or is met.
async fn vote(rows: Rows<'_>, mailbox: &str, identity: IdentityKey) -> Result<(), StoreError> {
    let secret = rows.secret("shared").await?;
    let voter = voter(&secret, mailbox);
    let history = (mailbox.to_owned(), identity);
    for scope in scopes(mailbox) {
        let partition = SharedKey::of(&secret, &scope, identity);
        let mut tries = 0..TRIES_MAX;
        loop {
            tries.next().ok_or_else(too_busy)?;
            let condition = match rows.is_alone() {
                true => Condition::Always,
                false => Condition::Unchanged(voter, rows.get::<Votes>(&partition, &voter).await?),
            };
            let newest = rows.first::<History>(&history, 1).await?;
            let newest = newest.first().map(|((received_s, number), labelling)| Vote {
                received_s: received_s.0,
                number: number.0,
                is_junk: labelling.is_junk,
            });
            let change = Change {
                key: voter,
                row: newest,
                stamp: 0,
            };
            if rows.commit::<Votes>(&partition, &condition, &[change]).await? {
                break;
            }
        }
    }
    Ok(())
}

/// The last time counts, so this may be done in any order.
async fn sent(rows: Rows<'_>, row: &SentRow) -> Result<(), StoreError> {
    let partition = (row.mailbox.clone(), row.domain.clone());
    let key = (row.local.clone(), row.organization.clone());
    rows.set::<SentMail>(&partition, key, Some(row.at_s), row.at_s).await?;
    correspond(rows, row).await
}

/// Makes of mail that was sent what is derived from it.
pub(super) async fn correspond(rows: Rows<'_>, row: &SentRow) -> Result<(), StoreError> {
    for who in row.correspondents() {
        let partition = (row.mailbox.clone(), who);
        rows.set::<Correspondents>(&partition, (), Some(row.at_s), row.at_s)
            .await?;
    }
    Ok(())
}

/// Forgets mail that was sent, and that somebody was written to, unless that was later.
pub(super) async fn forget_sent(rows: Rows<'_>, row: &SentRow) -> Result<(), StoreError> {
    let partition = (row.mailbox.clone(), row.domain.clone());
    let key = (row.local.clone(), row.organization.clone());
    rows.set::<SentMail>(&partition, key, None, row.at_s).await?;
    for who in row.correspondents() {
        let partition = (row.mailbox.clone(), who);
        let last_s = rows.get::<Correspondents>(&partition, &()).await?;
        if last_s.is_some_and(|last_s| last_s <= row.at_s) {
            rows.set::<Correspondents>(&partition, (), None, row.at_s).await?;
        }
    }
    Ok(())
}
