//! What a row of the table of checks says.

use super::Check;
use super::opinion::{Answer, Evidence};
use crate::evidence::Group;
use crate::rule::Rule;
use std::net::IpAddr;

/// One check. Every column is given in every row: nothing is decided for a check that says nothing of it.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// Which one.
    pub check: Check,
    /// The name of its file below `checks/`, and in records, logs and metrics.
    pub name: &'static str,
    /// Where it stands in the order of judgement. Within one place the order of the rows holds.
    pub place: Place,
    /// Whether `checks/all` implies it.
    pub in_all: InAll,
    /// Whether `checks/recommended` implies it, and as what.
    pub recommended: Recommended,
    /// What switches it on.
    pub switched_on: SwitchedOn,
    /// The check that brings it along: where that one acts, this one does, unless a file of its own says what it shall do.
    pub brought_by: Option<Check>,
    /// Which clients it asks about.
    pub clients: Clients,
    /// Keys that its file may have beside those of every check.
    pub keys: Keys,
    /// How a failure counts where its file says nothing.
    pub default_rule: fn() -> Rule,
    /// What the sender is told of a failure.
    pub reply: SenderReply,
    /// Whether a copy of what it keeps out stays in the quarantine until the mailbox has the message.
    pub copy: KeptCopy,
    /// All facts it may ask for.
    pub needs: &'static [Group],
    /// What it says of what is known.
    pub run: fn(&Evidence<'_>) -> Answer,
}

impl Spec {
    /// How a failure counts where its file says nothing.
    pub fn default_rule(&self) -> Rule {
        (self.default_rule)()
    }
}

/// A place in the order of judgement, first to last, with its number in the specification (`judgement.md` 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The operator's plain checks.
    Plain = 5,
    /// Rates of a client network.
    Rate = 6,
    /// Viruses. Never shadowed, and no whitelist entry overrules it.
    Virus = 8,
    /// What the author domain's owner says.
    Dmarc = 9,
    /// What the mailbox remembers of the sender.
    Reputation = 10,
    /// What is held against a sender of whom little is known.
    Strangers = 11,
    /// First-time senders have to come again.
    Greylisting = 12,
    /// Content and links.
    Content = 13,
}

impl Place {
    /// Whether a mailing list that the operator lets write here is spared it: who it is and what is known of it is the
    /// list's business, and so is what it sends.
    pub fn spares_lists(self) -> bool {
        match self {
            Place::Plain | Place::Rate | Place::Virus => false,
            Place::Dmarc | Place::Reputation | Place::Strangers | Place::Greylisting | Place::Content => true,
        }
    }
}

/// Whether `checks/all` implies a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InAll {
    /// Yes, as in the original: this set never changes.
    Always,
    /// Where the server's configuration adds it (`[policy] all_adds`), as the original's could.
    IfAdded,
    /// No.
    Never,
}

/// What `checks/recommended` makes of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recommended {
    /// Nothing.
    No,
    /// It acts.
    Acts,
    /// It acts, but for what its function leaves alone where [`Evidence::as_recommended`] is set.
    ActsInPart,
    /// It is evidence.
    Evidence,
}

/// What switches a check on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwitchedOn {
    /// Its file, or that of a set it is in.
    ByFile,
    /// The domain's file `zones`; its own file only says what follows.
    ByZones,
}

/// Which clients a check asks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clients {
    /// All.
    All,
    /// Those with an IPv4 address.
    Ipv4,
    /// Those with an IPv6 address.
    Ipv6,
    /// Those about whom none of these checks asks, as far as they are switched on.
    ThoseLeftBy(&'static [Check]),
}

impl Clients {
    /// Whether a client is among them; `is_on` says which checks are switched on.
    pub fn include(self, client: IpAddr, is_on: impl Fn(Check) -> bool) -> bool {
        let is_ipv4 = client.to_canonical().is_ipv4();
        match self {
            Clients::All => true,
            Clients::Ipv4 => is_ipv4,
            Clients::Ipv6 => !is_ipv4,
            Clients::ThoseLeftBy(others) => others.iter().all(|other| match other.spec().clients {
                Clients::Ipv4 => !is_ipv4 || !is_on(*other),
                Clients::Ipv6 => is_ipv4 || !is_on(*other),
                Clients::All | Clients::ThoseLeftBy(_) => !is_on(*other),
            }),
        }
    }
}

/// Keys that a check's file may have beside those of every check (`action`, `soft` ...).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// None.
    None,
    /// `confirmed`.
    Confirmed,
    /// `domains`.
    Domains,
    /// How much one network may send.
    Rate = 6,
    /// What follows where the owner asks for suspicion only, and whose ARC results count.
    Dmarc = 9,
    /// How long strangers wait.
    Greylisting = 12,
    /// From which probabilities on a message is junk.
    Junk,
    /// From what weight on, and which hosts.
    Links,
}

impl Keys {
    /// The keys.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Keys::None => &[],
            Keys::Confirmed => &["confirmed"],
            Keys::Domains => &["domains"],
            Keys::Rate => &["messages_minute", "messages_day", "mebibytes_minute", "mebibytes_day"],
            Keys::Dmarc => &["quarantine", "trusted_sealers"],
            Keys::Greylisting => &["delay_s", "window_s", "lifetime_s"],
            Keys::Junk => &["threshold", "strict_threshold"],
            Keys::Links => &["threshold", "shorteners", "ignore"],
        }
    }
}

/// What the sender is told of a failure. The full reason always stands in `why`, the quarantine and the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SenderReply {
    /// The reason.
    Reason,
    /// That it is the recipient's policy: what people here said of their mail, or what gave a deceiver away, is nobody
    /// else's business.
    Private,
    /// That their network sends too much.
    TooMuch,
    /// The reason, with the reply code of greylisting.
    Greylisted,
}

/// Whether a copy of what a check keeps out stays in the quarantine until the mailbox has the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptCopy {
    /// What is refused has a copy like any other refused message, and what is deferred has none.
    None,
    /// Of refused and deferred messages, found again when the sender tries again.
    OfRefused,
    /// Of deferred messages within their share of the quarantine, until greylisting forgets the sender.
    OfGreylisted,
}
