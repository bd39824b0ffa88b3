//! What can be said of a store as a whole: how much there is, whether it is sound, and all of what makes history.

use crate::history::Remembered;
use crate::id::MailwardId;
use serde::Serialize;

/// Faults that [`crate::Reader::verify`] names; more are only counted.
pub const FAULTS_MAX: usize = 100;

/// How much there is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// The layout of the file.
    pub layout: u32,
    /// Octets that are used, as [`crate::Store::used_octets`] tells them.
    pub used_octets: u64,
    /// Messages on record.
    pub messages: u64,
    /// Their recipients.
    pub deliveries: u64,
    /// Mailboxes with a label, with mail that was sent, or with a kept copy, now or once.
    pub mailboxes: u64,
    /// Deliveries labelled as junk.
    pub junk: u64,
    /// Deliveries labelled as not junk.
    pub not_junk: u64,
    /// Deliveries whose label was forgotten.
    pub forgotten: u64,
    /// Rows of history, derived from labels.
    pub history: u64,
    /// Addresses that mailboxes' owners wrote to.
    pub sent: u64,
    /// Addresses, domains and organizations that are derived from them.
    pub correspondents: u64,
    /// Entries of the greylist.
    pub greylist: u64,
    /// Votes that mailboxes have for each other to hear, derived from labels.
    pub shared: u64,
    /// Copies in the quarantine that a sender may come back about.
    pub kept: u64,
    /// Lessons of the content filter that have a label.
    pub lessons: u64,
    /// Octets of the features of all lessons.
    pub lesson_octets: u64,
    /// Cursors.
    pub cursors: u64,
}

/// What [`crate::Reader::verify`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Registers of labels that were read.
    pub labels: u64,
    /// Rows of history that were looked for.
    pub history: u64,
    /// Addresses that mailboxes' owners wrote to.
    pub sent: u64,
    /// Lessons that were read.
    pub lessons: u64,
    /// What is wrong, [`FAULTS_MAX`] of it at most.
    pub faults: Vec<String>,
    /// How much is wrong in all; zero for a sound store.
    pub faults_count: u64,
}

/// Where a page of an export ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportMark(pub(crate) Mark);

/// Mailboxes come by name, and of each first its labels by id, then what was sent by address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) mailbox: String,
    pub(crate) after: After,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum After {
    /// Labels past an id.
    Label(Option<MailwardId>),
    /// Mail sent to addresses past domain, local part and organization.
    Sent(String, String, String),
}

/// A page of an export.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportPage {
    /// What makes history; may be empty though there are more pages.
    pub remembered: Vec<Remembered>,
    /// Where the next page begins; `None` when this was the last.
    pub next: Option<ExportMark>,
}

impl Verified {
    pub(crate) fn fault(&mut self, fault: String) {
        self.faults_count += 1;
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault);
        }
    }
}

impl Mark {
    /// Before all of a mailbox.
    pub(crate) fn begin(mailbox: String) -> Mark {
        Mark {
            mailbox,
            after: After::Label(None),
        }
    }

    /// Before all that its owner sent.
    pub(crate) fn sent(mailbox: String) -> Mark {
        Mark {
            mailbox,
            after: After::Sent(String::new(), String::new(), String::new()),
        }
    }

    pub(crate) fn label(mailbox: String, id: MailwardId) -> Mark {
        Mark {
            mailbox,
            after: After::Label(Some(id)),
        }
    }
}
