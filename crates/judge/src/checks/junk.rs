//! `checks/junk`: what the content filter says of a message.

use super::origin::known;
use super::{Evidence, Opinion};
use crate::auth::iprev::IprevResult;
use crate::evidence::{Group, Origin};
use crate::junk::{JunkFact, Pull};
use mail::Line;

/// What moved the filter most, as told in a sentence.
const TOLD_MAX: usize = 4;

/// More probable than the threshold is junk, once enough was learned.
pub fn content(evidence: &Evidence<'_>) -> Opinion {
    let (recipient, origin) = (evidence.recipient, &evidence.message.origin);
    let rules = &evidence.settings.junk_rules;
    let fact = match known(&recipient.junk, Group::Junk) {
        Ok(fact) => fact,
        Err(opinion) => return opinion,
    };
    let is_forwarded = recipient.forwarder.as_ref().is_some_and(|hit| hit.is_proven);
    let suspicion = suspicion(fact, origin, is_forwarded);
    // The reverse name matters only between the thresholds.
    let is_between = fact.is_above(rules.strict_milli) && !fact.is_above(rules.threshold_milli);
    if is_between && suspicion.is_none() && origin.iprev.is_open() {
        return Opinion::Open(Group::ReverseName);
    }
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
    let texts: Vec<&str> = towards.take(TOLD_MAX).map(|pull| pull.text.as_str()).collect();
    match texts.is_empty() {
        true => String::new(),
        false => format!("; most of all: {}", texts.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::iprev::Iprev;
    use crate::evidence::{Fact, ForwarderHit, RecipientFacts, unasked};
    use crate::junk::Seen;
    use crate::resolver::Security;
    use crate::settings::CheckSettings;

    /// A message that is junk with this probability, and nothing else speaks against it.
    fn recipient(probability: f64) -> RecipientFacts {
        RecipientFacts {
            junk: Fact::Found(JunkFact {
                log_odds_milli: ((probability / (1.0 - probability)).ln() * 1000.0).round() as i32,
                is_significant: true,
                own: Seen { junk: 9, wanted: 9 },
                voters: 0,
                is_addressed: true,
                is_plaintext: false,
                pulls: vec![Pull {
                    text: Line::literal("word `pills`"),
                    milli: 900,
                }],
            }),
            ..unasked().1
        }
    }

    fn change(mut recipient: RecipientFacts, change: fn(&mut JunkFact)) -> RecipientFacts {
        if let Fact::Found(fact) = &mut recipient.junk {
            change(fact);
        }
        recipient
    }

    fn iprev(result: IprevResult) -> Origin {
        Origin {
            iprev: Fact::Found(Iprev {
                result,
                name: None,
                claimed: None,
                why: Line::default(),
                security: Security::Unknown,
            }),
            ..Origin::default()
        }
    }

    fn says(recipient: &RecipientFacts, origin: &Origin) -> Opinion {
        let mut message = unasked().0;
        message.origin = origin.clone();
        content(&Evidence {
            message: &message,
            recipient,
            settings: &CheckSettings::default(),
            zones: &[],
            trusted_sealers: &[],
            as_recommended: false,
        })
    }

    fn fails(recipient: &RecipientFacts, origin: &Origin) -> bool {
        matches!(says(recipient, origin), Opinion::Fails(_))
    }

    #[test]
    fn more_probable_than_the_threshold_is_junk() {
        let named = iprev(IprevResult::Pass);
        assert!(fails(&recipient(0.96), &named) && !fails(&recipient(0.94), &named));
        assert_eq!(
            says(&recipient(0.96), &named),
            Opinion::Fails(Line::literal(
                "96 % junk by its content, more than 95 %; most of all: word `pills`"
            ))
        );
        assert_eq!(
            says(&recipient(0.3), &named),
            Opinion::Excused(Line::literal("30 % junk by its content"))
        );
    }

    #[test]
    fn less_is_enough_where_something_else_speaks_against_it() {
        let named = iprev(IprevResult::Pass);
        assert!(fails(&recipient(0.76), &iprev(IprevResult::Fail)));
        assert!(!fails(&recipient(0.74), &iprev(IprevResult::Fail)));
        // That DNS does not answer says nothing.
        assert!(!fails(&recipient(0.76), &iprev(IprevResult::TempError)));
        assert_eq!(
            says(&recipient(0.76), &Origin::default()),
            Opinion::Open(Group::ReverseName)
        );
        assert!(fails(&recipient(0.96), &Origin::default()));
        assert!(fails(&change(recipient(0.76), |fact| fact.is_plaintext = true), &named));
        let mut unnamed = change(recipient(0.76), |fact| fact.is_addressed = false);
        assert!(fails(&unnamed, &named));
        unnamed.forwarder = Some(ForwarderHit {
            name: Line::literal("f.example"),
            is_proven: true,
        });
        assert!(!fails(&unnamed, &named));
    }

    #[test]
    fn what_was_hardly_learned_refuses_nothing() {
        let named = iprev(IprevResult::Pass);
        let little = change(recipient(0.99), |fact| fact.is_significant = false);
        assert!(matches!(says(&little, &named), Opinion::Excused(text) if text.as_str().contains("too little")));
        let nothing = change(recipient(0.5), |fact| fact.is_significant = false);
        assert_eq!(says(&nothing, &named), Opinion::Passes);
        let down = RecipientFacts {
            junk: Fact::Unavailable(Line::literal("down")),
            ..recipient(0.99)
        };
        assert_eq!(says(&down, &named), Opinion::Trouble(Line::literal("down")));
        let open = RecipientFacts {
            junk: Fact::NotAsked,
            ..recipient(0.99)
        };
        assert_eq!(says(&open, &named), Opinion::Open(Group::Junk));
    }

    #[test]
    fn percentages_never_say_certain() {
        let told = [0.0, 0.000_01, 0.005, 0.5, 0.985, 0.9949, 0.9995, 1.0].map(percent);
        assert_eq!(told, ["0.01", "0.01", "0.5", "50", "98", "99.5", "99.95", "99.99"]);
    }
}
