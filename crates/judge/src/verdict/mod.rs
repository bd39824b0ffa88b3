//! The verdict: one order for every way in.
//!
//! Virus, whitelist, blacklist, recipient, then the checks in the order of their table, allowed lists, and last what DNS
//! lists say as mild signals. Limits, load, relay attempts and syntax are answered by the listeners before a message is
//! judged. The order and the texts are the project's specification; what a reason of higher rank overrules is kept,
//! because `why` shows it.
//!
//! [`decide`] asks for no more facts than the verdict needs: it names what is missing ([`Step::Need`]), and is asked
//! again with it. [`conclude`] makes do with what is known, so that a stored verdict can be replayed.
//!
//! - `order`: which reason decides.
//! - `spare`: what a known sender or an allowed list is spared.
//! - `texts`: reasons in words.
//! - `white`: whether a whitelist entry that goes by a name counts.

mod order;
mod spare;
#[cfg(test)]
mod tests;
mod texts;
mod white;

pub use crate::disposition::{Disposition, Rejection};
pub use crate::evidence::Needs;

use crate::checks::{Evidence, Opinion, Spec, SwitchedOn, table, zone_signals};
use crate::evidence::{Group, MessageFacts, RecipientFacts};
use crate::lists::WhitelistHit;
use crate::policy::{Policy, Rule};
use crate::reason::{Effect, Reason, Source};
use order::{Court, Heard};
use serde::{Deserialize, Serialize};
use spare::{acquaintance, spare, spare_list};
use std::borrow::Cow;
use texts::{blacklist_text, disproven_text, list_text, trouble_text, user_reason, whitelist_text};
use white::{NameProof, name_proof};

/// A disposition and all the reasons that were found, decisive or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What becomes of the message.
    pub disposition: Disposition,
    /// Why, in the order of rank.
    pub reasons: Vec<Reason>,
}

impl Verdict {
    /// The reason that decided; none for mail that nothing speaks against.
    pub fn decisive(&self) -> Option<&Reason> {
        self.reasons.iter().find(|reason| reason.effect == Effect::Decisive)
    }
}

/// A verdict, or what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Ask for these facts, then decide again.
    Need(Needs),
    /// Nothing that could still be asked for would change it.
    Done(Verdict),
}

/// Judges one message for one recipient, or says what must be known first. Pure: the same arguments give the same step.
pub fn decide(message: &MessageFacts, recipient: &RecipientFacts, policy: &Policy) -> Step {
    let (verdict, needs) = weigh(message, recipient, policy);
    if needs.is_empty() {
        Step::Done(verdict)
    } else {
        Step::Need(needs)
    }
}

/// Judges by what is known; a check whose facts nobody asked for passes.
pub fn conclude(message: &MessageFacts, recipient: &RecipientFacts, policy: &Policy) -> Verdict {
    weigh(message, recipient, policy).0
}

/// The verdict by what is known, and what must be known before it stands.
fn weigh(message: &MessageFacts, recipient: &RecipientFacts, policy: &Policy) -> (Verdict, Needs) {
    let shadow = policy.shadow;
    let user_fault = user_reason(recipient.user, &recipient.address, message);
    let pass = recipient.whitelisted.as_ref().filter(|hit| {
        user_fault.is_none() || policy.whitelist_unknown_users || matches!(hit, WhitelistHit::Recipient(_))
    });
    let mut checks = hear(message, recipient, policy);
    let mut signals = zone_signals(&policy.zones, &recipient.zones, &message.origin);
    spare(
        &mut checks,
        &mut signals,
        acquaintance(&recipient.standing, policy),
        message,
    );
    spare_list(&mut checks, &mut signals, recipient.listed.as_ref());

    // Highest rank first. The first one that acts decides; the rest are kept as overruled.
    let mut court = Court::default();
    let pass = pass.filter(|hit| hear_whitelist(&mut court, hit, &checks, (message, recipient), shadow));
    if let Some(hit) = &recipient.blacklisted {
        let refuse = Disposition::Reject(Rejection::Policy);
        court.hear(Source::BlackList, blacklist_text(hit), refuse, shadow);
    } else if pass.is_none() && recipient.has_host_blacklist && message.origin.iprev.is_open() {
        // If a blacklist names the client, nothing else is asked.
        court.needs = Needs::of(Group::ReverseName);
        return court.conclude();
    }
    if let Some(text) = user_fault {
        // Never shadowed: the next hop would have to bounce it.
        let refuse = Disposition::Reject(Rejection::UnknownUser);
        court.hear(Source::Recipient, text, refuse, false);
    }
    court.hear_checks(&checks, shadow);
    court.hear_signals(signals);
    if let Some(hit) = &recipient.listed {
        court.hear(Source::List, list_text(hit), Disposition::Accept, false);
    }
    // Whoever gets the message shall see who sent it, and it will be remembered with it.
    if court.decided.as_ref().is_none_or(Disposition::is_delivered) && message.origin.is_open() {
        court.needs.add(Group::Origin);
    }
    court.conclude()
}

/// The whitelist entry that fits, and what stands above it. False where its name is disproven, so that it does not count.
fn hear_whitelist(
    court: &mut Court,
    hit: &WhitelistHit,
    checks: &[Heard],
    (message, recipient): (&MessageFacts, &RecipientFacts),
    shadow: bool,
) -> bool {
    let proof = name_proof(hit, recipient, message);
    if let NameProof::Disproven(result) = proof {
        court.note(Source::WhiteList, disproven_text(hit, result), Effect::Evidence);
        return false;
    }
    court.hear_above_whitelist(checks, is_by_name(Some(hit)) && !recipient.passes_forged, shadow);
    match proof {
        NameProof::Open => court.needs.add(Group::Origin),
        NameProof::Trouble(why) => {
            court.hear(Source::WhiteList, trouble_text(), Disposition::Defer, shadow);
            // What the sender is not told.
            court.note(Source::WhiteList, why, Effect::Evidence);
        }
        NameProof::Holds | NameProof::Disproven(_) => {}
    }
    court.hear(Source::WhiteList, whitelist_text(hit), Disposition::Accept, false);
    true
}

/// A whitelist entry of a sender or domain speaks for a name that may be forged.
fn is_by_name(hit: Option<&WhitelistHit>) -> bool {
    matches!(hit, Some(WhitelistHit::Sender(_) | WhitelistHit::Domain(_)))
}

/// What every check that is switched on says, if it says anything. They are cheap, and the reasons of all of them are
/// worth showing.
fn hear(message: &MessageFacts, recipient: &RecipientFacts, policy: &Policy) -> Vec<Heard> {
    let evidence = evidence(message, recipient, policy);
    let said = table().iter().filter_map(|spec| {
        let rule = rule(spec, message, policy)?;
        let answer = (spec.run)(&Evidence {
            as_recommended: rule.as_recommended,
            ..evidence
        });
        (answer.opinion != Opinion::Passes).then(|| Heard::new(spec, answer, rule.into_owned()))
    });
    said.collect()
}

fn evidence<'a>(message: &'a MessageFacts, recipient: &'a RecipientFacts, policy: &'a Policy) -> Evidence<'a> {
    Evidence {
        message,
        recipient,
        settings: &policy.checks.settings,
        zones: &policy.zones,
        trusted_sealers: &policy.trusted_sealers,
        as_recommended: false,
    }
}

/// The rule of a check, if it is switched on and asks about this client.
fn rule<'a>(spec: &Spec, message: &MessageFacts, policy: &'a Policy) -> Option<Cow<'a, Rule>> {
    let rules = &policy.checks.rules;
    let own = rules.get(spec.check).map(Cow::Borrowed);
    let rule = match spec.switched_on {
        SwitchedOn::ByFile => own,
        SwitchedOn::ByZones if policy.zones.is_empty() => None,
        SwitchedOn::ByZones => own.or_else(|| Some(Cow::Owned(spec.default_rule()))),
    };
    rule.filter(|_| spec.clients.include(message.client, |other| rules.has(other)))
}
