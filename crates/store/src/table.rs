//! What the store is made of, as rules see it: tables of rows, in partitions that are read and changed as one.
//!
//! A distributed back-end has the rows of one partition on the same nodes, and changes them as one; never those of two. So
//! no rule needs two partitions to change at one moment: what is derived from another partition is made again until it
//! fits. Partitions are bounded: a mailbox with a hundred thousand labels is as many partitions.

use crate::features::FeaturesRow;
use crate::greylist::{GreylistKey, Greylisted};
use crate::id::MailwardId;
use crate::kept::{Kept, KeptKey};
use crate::keys::{CorrespondentKey, IdentityKey};
use crate::label::{Label, LabelRow};
use crate::ledger::{Entry, LedgerKey};
use crate::lesson::KeptLesson;
use crate::policy::PolicyDigest;
use crate::rows::{EndingRow, PolicyRow, RecordRow};
use crate::shared::SharedKey;
use judge::junk::Lesson;
use std::cmp::Reverse;
use std::fmt::Debug;

/// A kind of rows.
pub(crate) trait Table: Debug + Clone + Copy + PartialEq + Eq + Send + Sync + 'static {
    /// What it is called where partitions are counted.
    const NAME: &'static str;
    /// Names a partition.
    type Partition: Debug + Clone + Ord + Send + Sync + 'static;
    /// Names a row within its partition; rows come in the order of their keys.
    type Key: Debug + Clone + Ord + Send + Sync + 'static;
    /// What a row holds.
    type Row: Debug + Clone + PartialEq + Send + Sync + 'static;
}

/// Rows of a partition, in the order of their keys.
pub(crate) type Found<T> = Vec<(<T as Table>::Key, <T as Table>::Row)>;

/// A row that is put, or removed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change<T: Table> {
    pub(crate) key: T::Key,
    /// `None` removes it.
    pub(crate) row: Option<T::Row>,
    /// Of two changes of one row the one with the greater stamp holds, whichever comes last; of equal ones the later.
    pub(crate) stamp: i64,
}

/// What must be so, or nothing is changed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Condition<T: Table> {
    /// Nothing: stamps decide.
    Always,
    /// The row is as it was read.
    Unchanged(T::Key, Option<T::Row>),
}

macro_rules! tables {
    ($($(#[$doc:meta])* $table:ident: $partition:ty, $key:ty => $row:ty;)*) => {
        $($(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) struct $table;

        impl Table for $table {
            const NAME: &'static str = stringify!($table);
            type Partition = $partition;
            type Key = $key;
            type Row = $row;
        })*
    };
}

tables! {
    /// Messages, without what became of them.
    Records: MailwardId, () => RecordRow;
    /// What became of messages; in the partition of the record.
    Endings: MailwardId, () => EndingRow;
    /// Policies under which verdicts were given.
    Policies: PolicyDigest, () => PolicyRow;
    /// Who has a message that will come again.
    Delivered: LedgerKey, () => Entry;
    /// Of a mailbox and a message: what a person said of it, and its lesson.
    Registers: (String, MailwardId), () => Register;
    /// Of a mailbox and an identity: labelled messages, the newest first; from registers.
    History: (String, IdentityKey), (Reverse<i64>, Reverse<i64>) => Labelling;
    /// Of an identity in its scope: the newest message of each mailbox that labelled one; from history.
    Votes: SharedKey, [u8; 8] => Vote;
    /// Of a mailbox and a domain: when the owner last wrote to whom, by local part and organization.
    SentMail: (String, String), (String, String) => i64;
    /// Of a mailbox and an address, domain or organization: when the owner last wrote there; from sent mail.
    Correspondents: (String, CorrespondentKey), () => i64;
    /// Of a mailbox: copies in the quarantine that a sender may come back about.
    Copies: String, KeptKey => Kept;
    /// Who tried when.
    Greylist: GreylistKey, () => Greylisted;
    /// How far somebody has read something, by a name.
    Cursors: String, () => Vec<u8>;
    /// Who may do what only one may do, by a name.
    Leases: String, () => Lease;
}

/// What is known of a delivery by what people said.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Register {
    /// The greatest saying, without features.
    pub(crate) label: Option<LabelRow>,
    pub(crate) lesson: Option<LessonRow>,
    /// How often the label changed; it stamps what is derived.
    pub(crate) version: i64,
    /// What was said before, and may still stand in history; with it, that what is said now may not stand there yet.
    pub(crate) unfolded: Option<Vec<LabelRow>>,
}

/// A lesson of the content filter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LessonRow {
    pub(crate) received_s: i64,
    pub(crate) said: Option<Label>,
    pub(crate) taught: Option<Lesson>,
    /// `None` if they are lost, as only damage makes it.
    pub(crate) features: Option<FeaturesRow>,
}

impl LessonRow {
    /// `None` if its features are of no use to this version.
    pub(crate) fn read(&self, id: MailwardId) -> Option<KeptLesson> {
        Some(KeptLesson {
            id,
            received_s: self.received_s,
            said: self.said,
            taught: self.taught,
            features: self.features.as_ref()?.read()?,
        })
    }

    /// Whether a model has something else of it than its label says.
    pub(crate) fn is_open(&self) -> bool {
        let taught = self.taught.map(|lesson| lesson.is_junk);
        self.said.map(|label| label == Label::Junk) != taught
    }
}

/// A labelled message, as an identity's history has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Labelling {
    pub(crate) is_junk: bool,
    pub(crate) author_local: String,
}

/// The newest message of a mailbox about an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Vote {
    pub(crate) received_s: i64,
    pub(crate) number: i64,
    pub(crate) is_junk: bool,
}

/// Who may do something, until when; times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) holder: String,
    pub(crate) until_s: i64,
    /// Grows with each holder.
    pub(crate) token: i64,
}
