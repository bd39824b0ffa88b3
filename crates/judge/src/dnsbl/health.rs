//! Whether a zone works: it lists what every list must, and not what no list may (RFC 5782 §5).
//!
//! A list that has died answers nothing, or, once its name is sold, everything. Both are seen by two queries.

use super::query::{addresses, ask, refusal};
use super::{Codes, Target, Zone, is_refusal};
use crate::resolver::{Answer, Kind, Name, Resolver};
use futures_util::future::join;
use mail::Line;
use std::net::Ipv4Addr;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It works.
    Healthy,
    /// It is not to be asked, and why.
    Unhealthy(Line),
    /// DNS trouble, which says nothing of the zone: it counts as healthy.
    Unknown(Line),
}

/// Two entries by which a list is known.
struct Entries {
    /// What every list must list: how it is called, and before which name of the zone it stands.
    listed: (&'static str, &'static str),
    /// What no list may.
    unlisted: (&'static str, &'static str),
}

const IPV4: Entries = Entries {
    listed: ("127.0.0.2", "2.0.0.127"),
    unlisted: ("127.0.0.1", "1.0.0.127"),
};
/// As IPv4-mapped addresses, which [`crate::resolver::reversed`] would write as IPv4 addresses.
const IPV6: Entries = Entries {
    listed: (
        "::FFFF:7F00:2",
        "2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0",
    ),
    unlisted: (
        "::FFFF:7F00:1",
        "1.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0",
    ),
};
const DOMAINS: Entries = Entries {
    listed: ("TEST", "test"),
    unlisted: ("INVALID", "invalid"),
};

/// What the two entries of one kind say.
enum Seen {
    Answer(Health),
    /// Neither is listed: no list at all, or not one of this kind.
    Nothing,
}

/// Asks for the entries of RFC 5782 §5. A list of IPv6 addresses alone has no entry for 127.0.0.2, but one for
/// ::FFFF:7F00:2. Which answers the operator wants to count does not matter here: the entries may have another.
pub async fn probe(zone: &Zone, resolver: &dyn Resolver) -> Health {
    let (entries, more) = match zone.target {
        Target::Client => (IPV4, Some(IPV6)),
        Target::Domain => (DOMAINS, None),
    };
    for entries in [Some(entries), more].iter().flatten() {
        if let Seen::Answer(health) = look(zone, entries, resolver).await {
            return health;
        }
    }
    // Large lists of domains lack the entry, and one that lists nothing does no harm.
    if zone.target == Target::Domain {
        return Health::Healthy;
    }
    let (entry, _) = IPV4.listed;
    let why = format!("it does not list its test entry {entry}, as every list must (RFC 5782 §5)");
    Health::Unhealthy(Line::reason(why.as_bytes()))
}

async fn look(zone: &Zone, entries: &Entries, resolver: &dyn Resolver) -> Seen {
    let names = (zone.name.below(entries.listed.1), zone.name.below(entries.unlisted.1));
    let (Some(listed), Some(unlisted)) = names else {
        return Seen::Nothing;
    };
    let (yes, no) = join(ask(resolver, &listed, Kind::A), ask(resolver, &unlisted, Kind::A)).await;
    for (name, answer) in [(&listed, &yes), (&unlisted, &no)] {
        if let Some(why) = refused(name, answer, resolver).await {
            return Seen::Answer(Health::Unhealthy(why));
        }
    }
    if let Some(answer) = addresses(&no).first() {
        let (entry, _) = entries.unlisted;
        let why = format!("it answers {answer} for {entry}, which no list may list (RFC 5782 §5)");
        return Seen::Answer(Health::Unhealthy(Line::reason(why.as_bytes())));
    }
    if let Some(trouble) = yes.trouble().or(no.trouble()) {
        return Seen::Answer(Health::Unknown(trouble.line()));
    }
    let answers = addresses(&yes);
    Seen::Answer(match answers.first() {
        None => return Seen::Nothing,
        Some(_) if answers.iter().any(|answer| Codes::Usual.count(*answer)) => Health::Healthy,
        Some(answer) => {
            let (entry, _) = entries.listed;
            let why = format!("it answers {answer} for its test entry {entry}, which is no listing");
            Health::Unhealthy(Line::reason(why.as_bytes()))
        }
    })
}

async fn refused(name: &Name, answer: &Answer, resolver: &dyn Resolver) -> Option<Line> {
    let code: Ipv4Addr = addresses(answer).into_iter().find(|code| is_refusal(*code))?;
    Some(refusal(resolver, name, code).await)
}
