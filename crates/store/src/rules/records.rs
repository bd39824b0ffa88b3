//! Records, and what became of them.

use crate::back_end::{Intent, Rows};
use crate::error::StoreError;
use crate::id::MailwardId;
use crate::policy::SealedPolicy;
use crate::record::Stored;
use crate::rows::{EndingRow, PolicyRow, RecordRow};
use crate::table::{Endings, Policies, Records};
use judge::resolver::BoxFuture;
use std::collections::HashMap;

/// Writes a record, with the policies that it needs, unless its id is taken.
#[derive(Debug)]
pub(crate) struct Begin {
    pub(crate) id: MailwardId,
    pub(crate) record: RecordRow,
    pub(crate) policies: Vec<SealedPolicy>,
}

impl Intent for Begin {
    type Answer = ();

    fn run<'a>(&'a self, rows: Rows<'a>) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            for policy in &self.policies {
                keep_policy(rows, policy, self.id.day()).await?;
            }
            match rows
                .swap::<Records>(&self.id, (), None, Some(self.record.clone()))
                .await?
            {
                true => Ok(()),
                false => Err(StoreError::IdTaken),
            }
        })
    }
}

/// Writes a policy once, and once a day that it is still needed.
async fn keep_policy(rows: Rows<'_>, policy: &SealedPolicy, used_day: i64) -> Result<(), StoreError> {
    let digest = policy.digest();
    if rows
        .policy_day(digest)
        .await?
        .is_some_and(|written| written >= used_day)
    {
        return Ok(());
    }
    let row = PolicyRow {
        used_day,
        text: policy.text().to_owned(),
    };
    rows.set::<Policies>(&digest, (), Some(row), used_day).await
}

/// Writes what became of a message, if it is there.
#[derive(Debug)]
pub(crate) struct Finish(pub(crate) MailwardId, pub(crate) EndingRow);

impl Intent for Finish {
    type Answer = ();
    const IS_LAZY: bool = true;

    fn run<'a>(&'a self, rows: Rows<'a>) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            match rows.count::<Records>(&self.0).await? {
                0 => Ok(()),
                _ => rows.set::<Endings>(&self.0, (), Some(self.1.clone()), 0).await,
            }
        })
    }
}

/// A message with what became of it, as it is stored.
pub(crate) async fn find(rows: Rows<'_>, id: MailwardId) -> Result<Option<(RecordRow, Option<EndingRow>)>, StoreError> {
    let Some(record) = rows.get::<Records>(&id, &()).await? else {
        return Ok(None);
    };
    Ok(Some((record, rows.get::<Endings>(&id, &()).await?)))
}

/// The same with its policies, as it was recorded.
pub(crate) async fn read(
    rows: Rows<'_>,
    id: MailwardId,
    record: RecordRow,
    ending: Option<&EndingRow>,
) -> Result<Stored, StoreError> {
    let mut policies = HashMap::new();
    for recipient in &record.recipients {
        if !policies.contains_key(&recipient.policy)
            && let Some(policy) = rows.get::<Policies>(&recipient.policy, &()).await?
        {
            policies.insert(recipient.policy, policy.text);
        }
    }
    record.read(id, ending, &policies)
}
