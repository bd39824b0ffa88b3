//! What a sender whom the mailbox knows is spared, and what a mailing list that the operator lets write here is spared.

use super::order::Heard;
use crate::checks::{Check, Opinion, Place, is_known};
use crate::evidence::{Fact, Group, ListHit, MessageFacts};
use crate::policy::{Policy, Rule};
use crate::reputation::Standing;
use mail::Line;

/// Whether the mailbox welcomes the sender for certain, as far as the operator lets that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Acquaintance {
    Known,
    Stranger,
    /// Nobody asked yet.
    Open,
}

pub(super) fn acquaintance(standing: &Fact<Standing>, policy: &Policy) -> Acquaintance {
    let acts = |rule: &Rule| !rule.soft && !rule.shadow && !policy.shadow;
    if !policy.checks.rules.get(Check::Reputation).is_some_and(acts) {
        return Acquaintance::Stranger;
    }
    match standing {
        Fact::NotAsked => Acquaintance::Open,
        standing if is_known(standing) => Acquaintance::Known,
        Fact::Found(_) | Fact::Skipped(_) | Fact::Unavailable(_) => Acquaintance::Stranger,
    }
}

/// What a good standing spares its sender: mild signals, what is said of content, and those plain checks whose files say
/// `known = "pass"`.
pub(super) fn spare(
    checks: &mut [Heard],
    signals: &mut Option<Vec<Line>>,
    acquaintance: Acquaintance,
    message: &MessageFacts,
) {
    if acquaintance == Acquaintance::Stranger {
        return;
    }
    *signals = Some(Vec::new());
    for heard in checks.iter_mut().filter(|heard| heard.spec.place == Place::Content) {
        heard.opinion = match (&heard.opinion, acquaintance) {
            (Opinion::Fails(text), Acquaintance::Known) => Opinion::Excused(known_text(text)),
            (Opinion::Open(_) | Opinion::Trouble(_), Acquaintance::Known) => Opinion::Passes,
            (opinion, Acquaintance::Known) => opinion.clone(),
            // Nobody reads the mail of friends for it.
            _ if message.origin.is_open() => Opinion::Open(Group::Origin),
            _ => Opinion::Open(Group::Standing),
        };
    }
    for heard in checks
        .iter_mut()
        .filter(|heard| heard.rule.known_passes && heard.spec.place == Place::Plain)
    {
        let Opinion::Fails(text) = &heard.opinion else { continue };
        heard.waiting = (acquaintance == Acquaintance::Open).then(|| text.clone());
        heard.opinion = match acquaintance {
            Acquaintance::Open if message.origin.is_open() => Opinion::Open(Group::Origin),
            Acquaintance::Open => Opinion::Open(Group::Standing),
            Acquaintance::Known | Acquaintance::Stranger => Opinion::Excused(known_text(text)),
        };
    }
}

fn known_text(text: &Line) -> Line {
    Line::reason(format!("{text}, but this mailbox knows the sender").as_bytes())
}

/// What a list that the operator lets write here is spared: all that asks who the sender is and what is known of him, and
/// what comes behind that.
pub(super) fn spare_list(checks: &mut [Heard], signals: &mut Option<Vec<Line>>, listed: Option<&ListHit>) {
    let Some(hit) = listed else { return };
    *signals = Some(Vec::new());
    for heard in checks.iter_mut().filter(|heard| heard.spec.place.spares_lists()) {
        heard.opinion = match &heard.opinion {
            Opinion::Fails(text) => Opinion::Excused(Line::reason(
                format!("{text}, but the list {} may write to this domain", hit.domain).as_bytes(),
            )),
            Opinion::Passes | Opinion::Open(_) | Opinion::Trouble(_) | Opinion::Excused(_) | Opinion::Mentions(_) => {
                Opinion::Passes
            }
        };
    }
}
