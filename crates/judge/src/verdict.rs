//! The verdict: one order for every door.
//!
//! Whitelist, blacklist, recipient, then the operator's plain checks in their order. Limits, load, relay attempts and
//! syntax are answered by the doors before a message is judged. The order and the texts are the project's
//! specification; what a reason of higher rank overrules is kept, because `why` shows it.

use crate::checks::{Answers, Check, run};
use crate::evidence::{MessageFacts, RecipientFacts, UserStanding};
use crate::lists::{BlacklistHit, WhitelistHit};
use crate::policy::{Action, Checks, Folder, Policy, Rule};
use crate::reason::{Effect, Reason, Source};
use mail::Line;
use serde::{Deserialize, Serialize};

/// What becomes of a message for one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// 250, to the next hop.
    Accept,
    /// 250, to the next hop with a mark.
    Tag,
    /// 250, to the next hop with a mark and a folder's name.
    File(Folder),
    /// 250, kept in the quarantine, releasable.
    Hold,
    /// 5xx, kept in the quarantine, releasable.
    Reject(Rejection),
    /// 4xx.
    Defer,
    /// 250, kept for the retention time, then gone.
    Discard,
}

/// Which permanent reply a refusal gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rejection {
    /// 550 5.1.1: no such user.
    UnknownUser,
    /// 550 5.7.1: the recipient's rules.
    Policy,
}

/// A disposition and all the reasons that were found, decisive or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What becomes of the message.
    pub disposition: Disposition,
    /// Why, in the order of rank.
    pub reasons: Vec<Reason>,
}

impl Disposition {
    /// One word, as in logs and reports.
    pub fn word(&self) -> &'static str {
        match self {
            Disposition::Accept => "accept",
            Disposition::Tag => "tag",
            Disposition::File(_) => "file",
            Disposition::Hold => "hold",
            Disposition::Reject(_) => "reject",
            Disposition::Defer => "defer",
            Disposition::Discard => "discard",
        }
    }

    /// Whether the next hop gets the message.
    pub fn is_delivered(&self) -> bool {
        matches!(self, Disposition::Accept | Disposition::Tag | Disposition::File(_))
    }
}

impl Verdict {
    /// The reason that decided; none for mail that nothing speaks against.
    pub fn decisive(&self) -> Option<&Reason> {
        self.reasons.iter().find(|reason| reason.effect == Effect::Decisive)
    }
}

/// Judges one message for one recipient. Pure: the same arguments give the same verdict.
pub fn decide(message: &MessageFacts, recipient: &RecipientFacts, policy: &Policy) -> Verdict {
    let RecipientFacts {
        address,
        mailbox: _,
        user,
        blacklisted,
        whitelisted,
    } = recipient;
    let Policy {
        shadow,
        whitelist_unknown_users,
        checks,
    } = policy;
    let user_fault = user_reason(*user, address, message);
    let pass = whitelisted
        .as_ref()
        .filter(|hit| user_fault.is_none() || *whitelist_unknown_users || matches!(hit, WhitelistHit::Recipient(_)));

    // Highest rank first. The first one that acts decides; the rest are kept as overruled.
    let mut court = Court {
        reasons: Vec::new(),
        decided: None,
    };
    if let Some(hit) = pass {
        court.hear(Source::WhiteList, whitelist_text(hit), Disposition::Accept, false);
    }
    if let Some(hit) = blacklisted {
        court.hear(
            Source::BlackList,
            blacklist_text(hit),
            Disposition::Reject(Rejection::Policy),
            *shadow,
        );
    }
    if let Some(text) = user_fault {
        // Never shadowed: the next hop would have to bounce it.
        court.hear(
            Source::Recipient,
            text,
            Disposition::Reject(Rejection::UnknownUser),
            false,
        );
    }
    court.hear_checks(plain_checks(message, checks), *shadow);
    Verdict {
        disposition: court.decided.unwrap_or(Disposition::Accept),
        reasons: court.reasons,
    }
}

/// Collects reasons in the order of rank.
struct Court {
    reasons: Vec<Reason>,
    decided: Option<Disposition>,
}

impl Court {
    fn hear(&mut self, source: Source, text: Line, disposition: Disposition, shadow: bool) {
        let effect = match (&self.decided, shadow) {
            (Some(_), _) => Effect::Overruled,
            (None, true) => Effect::Shadowed,
            (None, false) => Effect::Decisive,
        };
        if effect == Effect::Decisive {
            self.decided = Some(disposition);
        }
        self.reasons.push(Reason { source, text, effect });
    }

    /// Among failed checks the first one that keeps the message from the next hop decides; where all of them would
    /// deliver (tag, file), the first of those. So a check that only tags never shields a message from one that refuses.
    fn hear_checks(&mut self, failed: Vec<(Check, Line, Rule)>, shadow: bool) {
        let acts = |(_, _, rule): &&(Check, Line, Rule)| !rule.soft && !rule.shadow && !shadow;
        let keeps = |(_, _, rule): &&(Check, Line, Rule)| !matches!(rule.action, Action::Tag | Action::File(_));
        let decisive = failed
            .iter()
            .filter(acts)
            .find(keeps)
            .or_else(|| failed.iter().find(acts))
            .map(|(check, ..)| *check);
        for (check, text, rule) in failed {
            let source = Source::Check(check);
            if rule.soft {
                self.reasons.push(Reason {
                    source,
                    text,
                    effect: Effect::Evidence,
                });
            } else if rule.shadow || shadow || decisive == Some(check) {
                self.hear(source, text, disposition(rule.action), rule.shadow || shadow);
            } else {
                self.reasons.push(Reason {
                    source,
                    text,
                    effect: Effect::Overruled,
                });
            }
        }
    }
}

fn disposition(action: Action) -> Disposition {
    match action {
        Action::Reject => Disposition::Reject(Rejection::Policy),
        Action::Tag => Disposition::Tag,
        Action::File(folder) => Disposition::File(folder),
        Action::Hold => Disposition::Hold,
        Action::Defer => Disposition::Defer,
        Action::Discard => Disposition::Discard,
    }
}

/// Every failed check with its rule, in the order in which they are asked. Both structs are taken apart whole, so
/// that a check that is added cannot be forgotten here.
fn plain_checks(message: &MessageFacts, checks: &Checks) -> Vec<(Check, Line, Rule)> {
    let Answers {
        sender,
        helo,
        protocol,
        date,
        mailman,
        address,
        mailers,
        empty_body,
        dkim,
    } = run(message, checks);
    let rules = checks;
    [
        (Check::Sender, sender, &rules.sender),
        (Check::Helo, helo, &rules.helo),
        (Check::Protocol, protocol, &rules.protocol),
        (Check::Date, date, &rules.date),
        (Check::Mailman, mailman, &rules.mailman),
        (Check::Address, address, &rules.address),
        (Check::Mailers, mailers, &rules.mailers),
        (Check::EmptyBody, empty_body, &rules.empty_body),
        (Check::Dkim, dkim, &rules.dkim),
    ]
    .into_iter()
    .filter_map(|(check, text, rule)| Some((check, text?, rule.clone()?)))
    .collect()
}

fn user_reason(user: UserStanding, address: &mail::Address, message: &MessageFacts) -> Option<Line> {
    let local = address.local().folded();
    let text = match user {
        UserStanding::Valid | UserStanding::Anyone => return None,
        UserStanding::Invalid | UserStanding::Unknown => {
            format!("Mail for {local} not accepted at {}", address.host())
        }
        UserStanding::NotFromClient => {
            format!("Mail for {local} not accepted from {}", message.client)
        }
    };
    Some(Line::reason(text.as_bytes()))
}

fn blacklist_text(hit: &BlacklistHit) -> Line {
    let text = match hit {
        BlacklistHit::Ip(ip) => format!("IP address {ip} locally blacklisted"),
        BlacklistHit::Host(host) => format!("Hostname {host} locally blacklisted"),
        BlacklistHit::Sender(sender) => format!("Mail not accepted, sender {sender}."),
        BlacklistHit::Domain(domain) => format!("Mail not accepted, domain {domain}."),
        BlacklistHit::Tld(tld) => format!("Blacklisted TLD: {tld}"),
    };
    Line::reason(text.as_bytes())
}

fn whitelist_text(hit: &WhitelistHit) -> Line {
    let text = match hit {
        WhitelistHit::Ip(ip) => format!("IP address {ip} locally whitelisted"),
        WhitelistHit::Sender(sender) => format!("Sender {sender} locally whitelisted"),
        WhitelistHit::Domain(domain) => format!("Domain {domain} locally whitelisted"),
        WhitelistHit::Recipient(local) => format!("Recipient {local} accepts all mail"),
    };
    Line::reason(text.as_bytes())
}
