//! Labels: what a person said of a delivery. They are the truth; history is derived from them.
//!
//! For each delivery the store keeps one register: the greatest thing that was ever said of it, by (time, source, id).
//! So the order in which sayings arrive does not matter, and saying one twice changes nothing. `forget` is a saying
//! too: its register stays, without anything of the message, so that an older label which arrives later stays
//! forgotten.

use crate::error::StoreError;
use crate::features::{self, FeaturesRow};
use crate::id::MailwardId;
use crate::keys::IdentityKey;
use judge::content::Features;
use judge::reputation::Identity;
use mail::{Line, MailboxId};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// What a message is, said by a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// It is welcome.
    NotJunk,
    /// It is not.
    Junk,
}

/// One saying. Of two about one delivery the one with the greater time counts; at one time the greater source, then
/// the greater `by`, both as text; if even those are equal, junk before not junk before forget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The label; `None` forgets.
    pub label: Option<Label>,
    /// When: seconds since 1970, by the clock of the source.
    pub at_s: i64,
    /// Where it was said: say `imap` or `command`.
    pub source: Line,
    /// What tells it from others of its source and time: say a login, or the UID of a message.
    pub by: Line,
}

/// A saying with all that history needs of the message. Identities are those recorded at delivery, never looked up
/// again; they are stored with the label, so that forgetting takes away exactly what it added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelRequest {
    /// Whose message.
    pub mailbox: MailboxId,
    /// Which message.
    pub id: MailwardId,
    /// What is said.
    pub said: Said,
    /// When the message came: seconds since 1970.
    pub received_s: i64,
    /// The author's local part, lower-cased. Whoever read the message bounds its length.
    pub author_local: Line,
    /// By what its sender is known; each counts once. Whoever read the message bounds their number.
    pub identities: Vec<Identity>,
    /// What the message is made of, if it was shown with the label; else what was recorded with it counts.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "features::text")]
    pub features: Option<Features>,
}

/// What came of a saying.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Labelled {
    /// It holds: it is the greatest that was said of the delivery, now or already before.
    Holds,
    /// Something greater was said before, and stays. Whoever knows better (because a clock was set back) says it
    /// again, with a later time.
    Outranked(Said),
}

/// A register as it is stored; texts are made in the caller's task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LabelRow {
    pub(crate) mailbox: String,
    pub(crate) id: MailwardId,
    pub(crate) said: Said,
    pub(crate) received_s: i64,
    pub(crate) author_local: String,
    /// JSON; `[]` when forgotten.
    pub(crate) identities: String,
    /// Those that came with the saying; of a register those of its lesson, where it is exported, else none.
    pub(crate) features: Option<FeaturesRow>,
}

/// One row of history that a label makes, but for its mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DerivedRow<'a> {
    pub(crate) identity: IdentityKey,
    pub(crate) received_s: i64,
    pub(crate) number: i64,
    pub(crate) is_junk: bool,
    pub(crate) author_local: &'a str,
}

impl LabelRow {
    pub(crate) fn of(request: LabelRequest) -> Result<LabelRow, StoreError> {
        let (author_local, identities, features) = match request.said.label {
            Some(_) => (String::from(request.author_local), request.identities, request.features),
            None => (String::new(), Vec::new(), None),
        };
        Ok(LabelRow {
            mailbox: request.mailbox.to_string(),
            id: request.id,
            said: request.said,
            received_s: request.received_s,
            author_local,
            identities: serde_json::to_string(&identities).map_err(|why| StoreError::Unwritable(why.to_string()))?,
            features: features.as_ref().map(FeaturesRow::of),
        })
    }

    pub(crate) fn read(self) -> Result<LabelRequest, StoreError> {
        let unreadable = |why: String| StoreError::UnreadableLabel {
            id: self.id,
            mailbox: Line::reason(self.mailbox.as_bytes()),
            why,
        };
        Ok(LabelRequest {
            mailbox: MailboxId::try_from(self.mailbox.clone()).map_err(|why| unreadable(why.to_string()))?,
            id: self.id,
            identities: serde_json::from_str(&self.identities).map_err(|why| unreadable(why.to_string()))?,
            said: self.said,
            received_s: self.received_s,
            author_local: Line::from(self.author_local),
            features: self.features.as_ref().and_then(FeaturesRow::read),
        })
    }

    /// The order of sayings. What lies past (time, source, id) only makes it an order of all that can be stored.
    pub(crate) fn rank(&self, other: &LabelRow) -> Ordering {
        fn key(row: &LabelRow) -> (i64, &str, &str, Option<Label>, i64, &str, &str) {
            let said = &row.said;
            let saying = (said.at_s, said.source.as_str(), said.by.as_str(), said.label);
            let message = (row.received_s, row.author_local.as_str(), row.identities.as_str());
            (saying.0, saying.1, saying.2, saying.3, message.0, message.1, message.2)
        }
        key(self).cmp(&key(other))
    }

    /// The rows of history that this register makes: none when it is forgotten. Fails where the identities are
    /// unreadable.
    pub(crate) fn derived(&self) -> Result<Vec<DerivedRow<'_>>, serde_json::Error> {
        let Some(label) = self.said.label else {
            return Ok(Vec::new());
        };
        let identities: Vec<Identity> = serde_json::from_str(&self.identities)?;
        let keys: BTreeSet<IdentityKey> = identities.iter().map(IdentityKey::of).collect();
        let row = |identity| DerivedRow {
            identity,
            received_s: self.received_s,
            number: self.id.number(),
            is_junk: label == Label::Junk,
            author_local: &self.author_local,
        };
        Ok(keys.into_iter().map(row).collect())
    }

    /// The identities of which other mailboxes hear. None where they are unreadable; whoever folds says so.
    pub(crate) fn shared(&self) -> BTreeSet<IdentityKey> {
        let identities: Vec<Identity> = match self.said.label {
            Some(_) => serde_json::from_str(&self.identities).unwrap_or_default(),
            None => Vec::new(),
        };
        let shared = identities.iter().filter(|identity| identity.is_shared());
        shared.map(IdentityKey::of).collect()
    }
}
