//! `checks/junk`: what the content filter says of a message.

use super::origin::known;
use super::{Group, Opinion};
use crate::auth::iprev::IprevResult;
use crate::evidence::{Origin, RecipientFacts};
use crate::junk::{JunkFact, JunkRules, Pull};
use mail::Line;

/// What moved the filter most, as told in a sentence.
const TOLD_MAX: usize = 4;

/// More probable than the threshold is junk, once enough was learned.
pub fn content(recipient: &RecipientFacts, origin: &Origin, rules: &JunkRules) -> Opinion {
    let fact = match known(&recipient.junk, Group::Junk) {
        Ok(fact) => fact,
        Err(opinion) => return opinion,
    };
    let is_forwarded = recipient.forwarder.as_ref().is_some_and(|hit| hit.is_proven);
    let suspicion = suspicion(fact, origin, is_forwarded);
    let threshold_milli = match suspicion {
        Some(_) => rules.strict_milli.min(rules.threshold_milli),
        None => rules.threshold_milli,
    };
    let is_junk = fact.is_above(threshold_milli);
    let mut text = format!("{} % junk by its content", percent(fact.probability()));
    if is_junk {
        text += &format!(", more than {} %", percent(f64::from(threshold_milli) / 1000.0));
        if let Some(suspicion) = suspicion.filter(|_| !fact.is_above(rules.threshold_milli)) {
            text += &format!(", which is enough as {suspicion}");
        }
    }
    text += &told(&fact.pulls, is_junk);
    match (is_junk, fact.is_significant) {
        (true, true) => Opinion::Fails(Line::reason(text.as_bytes())),
        (true, false) => Opinion::Excused(Line::reason(
            format!("{text}; but too little was learned yet for that to count").as_bytes(),
        )),
        // Of what nothing was learned yet there is nothing to say.
        (false, false) => Opinion::Passes,
        (false, true) => Opinion::Excused(Line::reason(text.as_bytes())),
    }
}

/// What else speaks against the message, so that less is enough.
fn suspicion(fact: &JunkFact, origin: &Origin, is_forwarded: bool) -> Option<&'static str> {
    let iprev = origin.iprev.found().map(|iprev| iprev.result);
    match iprev {
        Some(IprevResult::Fail | IprevResult::PermError) => Some("the client has no confirmed reverse name"),
        _ if fact.is_plaintext => Some("it came without encryption"),
        _ if !fact.is_addressed && !is_forwarded => Some("neither To nor Cc names the recipient"),
        _ => None,
    }
}

/// Of two digits where that tells enough, of more towards the ends.
fn percent(probability: f64) -> String {
    let percent = probability * 100.0;
    match percent {
        1.0..=99.0 => format!("{percent:.0}"),
        0.1..=99.9 => format!("{percent:.1}"),
        _ if percent > 50.0 => format!("{:.2}", percent.min(99.99)),
        _ => format!("{:.2}", percent.max(0.01)),
    }
}

/// What moved it to where it is.
fn told(pulls: &[Pull], is_junk: bool) -> String {
    let towards = pulls.iter().filter(|pull| (pull.milli > 0) == is_junk);
    let texts: Vec<String> = towards.take(TOLD_MAX).map(|pull| format!("`{}`", pull.text)).collect();
    match texts.is_empty() {
        true => String::new(),
        false => format!(" (most of all {})", texts.join(", ")),
    }
}
