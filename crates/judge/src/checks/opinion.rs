//! What a check is given, and what it answers.

use crate::disposition::Rejection;
use crate::dnsbl::Zone;
use crate::evidence::{ContentFacts, Group, MessageFacts, RecipientFacts};
use crate::rule::{Action, OnTrouble};
use crate::settings::CheckSettings;
use mail::{Domain, Line};

/// All that a check may look at.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// What is known of the message.
    pub message: &'a MessageFacts,
    /// What is known of the recipient's mailbox.
    pub recipient: &'a RecipientFacts,
    /// What the files of the domain's checks say.
    pub settings: &'a CheckSettings,
    /// The domain's DNS lists.
    pub zones: &'a [Zone],
    /// Whose ARC results may mend a failed DMARC, for all domains.
    pub trusted_sealers: &'a [Domain],
    /// The check is switched on by `checks/recommended` and nothing else ([`crate::rule::Rule::as_recommended`]).
    pub as_recommended: bool,
}

impl<'a> Evidence<'a> {
    /// What a check of header and body says; it passes where only an envelope is judged.
    pub(super) fn of_content(&self, check: impl FnOnce(&'a ContentFacts) -> Option<Line>) -> Answer {
        Answer::from(self.message.content.as_ref().and_then(check))
    }
}

/// What a check says of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Opinion {
    /// Nothing against it.
    #[default]
    Passes,
    /// It fails, for this reason.
    Fails(Line),
    /// It would fail, but something speaks for it.
    Excused(Line),
    /// It passes, and yet there is something to tell.
    Mentions(Line),
    /// Nobody could say.
    Trouble(Line),
    /// These facts must be asked for first.
    Open(Group),
}

/// An opinion, and what it changes of the check's rule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// What the check says.
    pub opinion: Opinion,
    /// What this finding changes of the rule.
    pub terms: Terms,
}

/// What a finding changes of its check's rule. Almost always nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// What follows instead of the rule's action.
    pub action: Option<Action>,
    /// It is evidence only.
    pub is_evidence: bool,
    /// What follows trouble, instead of what the rule says.
    pub unavailable: Option<OnTrouble>,
    /// The permanent reply, where the action is to reject.
    pub rejection: Rejection,
    /// It shows that a name is forged, so a whitelist entry that goes by that name does not overrule it.
    pub disproves_name: bool,
}

impl Default for Terms {
    fn default() -> Terms {
        Terms {
            action: None,
            is_evidence: false,
            unavailable: None,
            rejection: Rejection::Policy,
            disproves_name: false,
        }
    }
}

impl Answer {
    /// It fails, and that is evidence only.
    pub(super) fn evidence(why: Line) -> Answer {
        let mut answer = Answer::from(Opinion::Fails(why));
        answer.terms.is_evidence = true;
        answer
    }
}

impl From<Opinion> for Answer {
    fn from(opinion: Opinion) -> Answer {
        Answer {
            opinion,
            terms: Terms::default(),
        }
    }
}

impl From<Option<Line>> for Opinion {
    fn from(fault: Option<Line>) -> Opinion {
        fault.map_or(Opinion::Passes, Opinion::Fails)
    }
}

impl From<Option<Line>> for Answer {
    fn from(fault: Option<Line>) -> Answer {
        Answer::from(Opinion::from(fault))
    }
}
