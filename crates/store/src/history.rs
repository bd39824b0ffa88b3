//! What makes history: labels, and whom owners wrote to.

use crate::error::StoreError;
use crate::keys::CorrespondentKey;
use mail::{Domain, Line, MailboxId};
use serde::{Deserialize, Serialize};

/// The owner of a mailbox wrote to somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Whose mailbox.
    pub mailbox: MailboxId,
    /// The recipient's local part, compared as text.
    pub local: Line,
    /// The recipient's domain.
    pub domain: Domain,
    /// Its organizational domain, where it has one.
    pub organization: Option<Domain>,
    /// When: seconds since 1970.
    pub at_s: i64,
}

/// What makes history: the truth, as it is exported and imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remembered {
    /// A register of labels.
    Label(crate::label::LabelRequest),
    /// Mail that was sent.
    Sent(Sent),
}

/// [`Sent`] as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SentRow {
    pub(crate) mailbox: String,
    pub(crate) local: String,
    pub(crate) domain: String,
    /// Empty for none.
    pub(crate) organization: String,
    pub(crate) at_s: i64,
}

impl SentRow {
    pub(crate) fn of(sent: Sent) -> SentRow {
        SentRow {
            mailbox: sent.mailbox.to_string(),
            local: String::from(sent.local),
            domain: sent.domain.to_string(),
            organization: sent.organization.map(String::from).unwrap_or_default(),
            at_s: sent.at_s,
        }
    }

    pub(crate) fn read(self) -> Result<Sent, StoreError> {
        let domain = |text: &str| {
            Domain::parse(text).map_err(|why| StoreError::Unavailable(format!("a sent address is unreadable: {why}")))
        };
        let organization = match self.organization.as_str() {
            "" => None,
            text => Some(domain(text)?),
        };
        Ok(Sent {
            mailbox: MailboxId::try_from(self.mailbox)
                .map_err(|why| StoreError::Unavailable(format!("a mailbox is unreadable: {why}")))?,
            local: Line::from(self.local),
            domain: domain(&self.domain)?,
            organization,
            at_s: self.at_s,
        })
    }

    /// The correspondents that it speaks of.
    pub(crate) fn correspondents(&self) -> impl Iterator<Item = CorrespondentKey> {
        let organization = (!self.organization.is_empty()).then(|| CorrespondentKey::organization(&self.organization));
        [
            CorrespondentKey::address(&self.local, &self.domain),
            CorrespondentKey::domain(&self.domain),
        ]
        .into_iter()
        .chain(organization)
    }
}
