//! The checks that rest on proven facts: `rdns`, `dkim_check`, `spf`, `tls`, `dmarc`, `clamav`, and the DNS lists of the
//! file `zones`.

use super::{Group, Opinion};
use crate::auth::author::Author;
use crate::auth::dkim::{Dkim, DkimResult};
use crate::auth::dmarc::{self, Dmarc, DmarcResult, Wish};
use crate::auth::iprev::{Iprev, IprevResult};
use crate::auth::spf::{Spf, SpfResult};
use crate::dnsbl::{Effect, Zone, ZoneFact, ZoneFinding};
use crate::evidence::{Fact, ForwarderHit, Origin, TlsFacts};
use crate::virus::VirusScan;
use mail::{Domain, Line, ReversePath};
use std::net::IpAddr;

/// What is known, or why nothing is.
fn known<T>(fact: &Fact<T>, group: Group) -> Result<&T, Opinion> {
    match fact {
        Fact::Found(value) => Ok(value),
        Fact::NotAsked => Err(Opinion::Open(group)),
        Fact::Skipped(_) => Err(Opinion::Passes),
        Fact::Unavailable(why) => Err(Opinion::Trouble(why.clone())),
    }
}

fn text(text: String) -> Line {
    Line::reason(text.as_bytes())
}

/// `checks/rdns`: the client has a reverse name; with `confirmed`, one that leads back to it.
pub fn no_reverse_name(client: IpAddr, iprev: &Fact<Iprev>, confirmed: bool) -> Opinion {
    let iprev = match known(iprev, Group::Origin) {
        Ok(iprev) => iprev,
        Err(opinion) => return opinion,
    };
    match iprev.result {
        IprevResult::Pass => Opinion::Passes,
        IprevResult::TempError => Opinion::Trouble(iprev.why.clone()),
        IprevResult::Fail if !confirmed => Opinion::Passes,
        IprevResult::Fail => Opinion::Fails(text(format!(
            "Reverse DNS does not lead back to IP:{client} [{}]",
            iprev.claimed.as_ref().map_or("Unknown", Line::as_str)
        ))),
        IprevResult::PermError => Opinion::Fails(text(format!("Missing reverse DNS for IP:{client} [Unknown]"))),
    }
}

/// `checks/dkim_check`: where there are signatures, one of them verifies.
pub fn no_valid_signature(dkim: &Fact<Vec<Dkim>>) -> Opinion {
    let signatures = match known(dkim, Group::Origin) {
        Ok(signatures) => signatures,
        Err(opinion) => return opinion,
    };
    let is = |result: DkimResult| signatures.iter().find(|signature| signature.result == result);
    if is(DkimResult::Pass).is_some() {
        return Opinion::Passes;
    }
    if let Some(broken) = is(DkimResult::TempError) {
        return Opinion::Trouble(broken.why.clone());
    }
    match signatures.iter().find(|signature| !signature.is_testing) {
        Some(broken) => Opinion::Fails(text(format!("No DKIM signature verifies: {}", broken.why))),
        None => Opinion::Passes,
    }
}

/// `checks/spf`: the reverse-path's domain does not say that this client may not send for it. A notification has no
/// such domain. Those who forward mail send for everybody's domain.
pub fn spf_failure(path: &ReversePath, origin: &Origin, forwarder: Option<&ForwarderHit>) -> Opinion {
    if path.is_null() {
        return Opinion::Passes;
    }
    let spf = match known(&origin.spf_mail_from, Group::Origin) {
        Ok(spf) => spf,
        Err(opinion) => return opinion,
    };
    match spf.result {
        SpfResult::TempError => Opinion::Trouble(spf_trouble(spf)),
        SpfResult::Fail | SpfResult::PermError => match forwarder {
            Some(hit) if hit.is_proven || !is_forged(origin) => Opinion::Excused(text(format!(
                "SPF {} for {}, but {} forwards mail",
                spf.result,
                path.folded(),
                hit.name
            ))),
            _ => Opinion::Fails(text(format!(
                "SPF failure {} - {} - {}",
                path.folded(),
                spf.result,
                spf_words(spf)
            ))),
        },
        SpfResult::None | SpfResult::Neutral | SpfResult::Pass | SpfResult::SoftFail => Opinion::Passes,
    }
}

fn spf_trouble(spf: &Spf) -> Line {
    text(format!("SPF of {} cannot be checked: {}", spf.domain, spf.explanation))
}

fn spf_words(spf: &Spf) -> String {
    match (spf.explanation.as_str(), spf.term.as_str()) {
        ("", "") => format!("the record of {}", spf.domain),
        // A term behind an `include` says whose it is.
        ("", term) if term.contains(' ') => term.to_owned(),
        ("", term) => format!("{term} in the record of {}", spf.domain),
        (explanation, _) => explanation.to_owned(),
    }
}

/// Whether the HELO name is said not to be the client's, by the name's owner.
fn is_forged(origin: &Origin) -> bool {
    origin.spf_helo.found().is_some_and(|spf| spf.result == SpfResult::Fail)
}

/// `checks/tls`: mail of listed domains comes encrypted.
pub fn plaintext(path: &ReversePath, tls: Option<&TlsFacts>, domains: Option<&[Domain]>) -> Opinion {
    let Some(domain) = path.domain() else {
        return Opinion::Passes;
    };
    let is_below = |listed: &Domain| {
        let rest = domain.as_str().strip_suffix(listed.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let is_listed = domains.is_none_or(|domains| domains.iter().any(is_below));
    match (is_listed, tls) {
        (true, None) => Opinion::Fails(text(format!("Mail from {domain} must come encrypted (STARTTLS)"))),
        _ => Opinion::Passes,
    }
}

/// `checks/clamav`: no virus.
pub fn virus(scan: &Fact<VirusScan>) -> Opinion {
    match known(scan, Group::Virus) {
        Ok(VirusScan::Clean) => Opinion::Passes,
        Ok(VirusScan::Infected(name)) => Opinion::Fails(text(format!("virus:{name}"))),
        Ok(VirusScan::TooLarge { octets }) => Opinion::Excused(text(format!(
            "not scanned for viruses: {octets} octets are more than the scanner takes"
        ))),
        Err(opinion) => opinion,
    }
}

/// What `checks/dmarc` makes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DmarcOpinion {
    /// The answer.
    pub opinion: Opinion,
    /// What the owner wishes, where it fails.
    pub wish: Wish,
}

impl DmarcOpinion {
    fn of(opinion: Opinion) -> DmarcOpinion {
        DmarcOpinion {
            opinion,
            wish: Wish::None,
        }
    }
}

/// `checks/dmarc`: the author domain's owner vouches for the message, or does not mind. `trusted` are the sealers whose
/// ARC results may mend a failure.
pub fn dmarc_failure(
    path: &ReversePath,
    origin: &Origin,
    forwarder: Option<&ForwarderHit>,
    trusted: impl Iterator<Item = Domain>,
) -> DmarcOpinion {
    let dmarc = match known(&origin.dmarc, Group::Origin) {
        Ok(dmarc) => dmarc,
        Err(opinion) => return DmarcOpinion::of(opinion),
    };
    if let Some(fault) = origin.author.found().and_then(author_fault) {
        // Servers of old write `From: <MAILER-DAEMON>`, and what they say of our own mail is worth having. An author who
        // cannot be read is another matter: programs may show one, and anybody can send with a null reverse-path.
        if path.is_null() && matches!(origin.author.found(), Some(Author::None)) {
            return DmarcOpinion::of(Opinion::Excused(fault));
        }
        return DmarcOpinion {
            opinion: Opinion::Fails(fault),
            wish: Wish::Reject,
        };
    }
    match dmarc.result {
        DmarcResult::None | DmarcResult::Pass | DmarcResult::PermError => return DmarcOpinion::of(Opinion::Passes),
        DmarcResult::TempError => return DmarcOpinion::of(Opinion::Trouble(dmarc.why.clone())),
        DmarcResult::Fail => {}
    }
    let author = dmarc.author.as_ref().map_or("", Domain::as_str);
    if dmarc.wish == Wish::None {
        return DmarcOpinion::of(Opinion::Excused(text(format!(
            "DMARC fails for {author}, whose owner asks for nothing"
        ))));
    }
    if let Some(excuse) = excuse(dmarc, origin, forwarder, trusted) {
        return DmarcOpinion::of(Opinion::Excused(excuse));
    }
    let asks = match dmarc.wish {
        Wish::Reject => "refuse",
        Wish::Quarantine | Wish::None => "suspect",
    };
    DmarcOpinion {
        opinion: Opinion::Fails(text(format!(
            "DMARC: not authenticated as from {author}, whose owner asks to {asks} such mail"
        ))),
        wish: dmarc.wish,
    }
}

/// RFC 7489 §6.6.1, RFC 9989 §5.3.1: a message must have one author domain; what has none or several is refused.
fn author_fault(author: &Author) -> Option<Line> {
    Some(match author {
        Author::One { .. } => return None,
        Author::None => Line::literal("DMARC: the message names no author"),
        Author::Several(_) => Line::literal("DMARC: the message names authors of several domains"),
        Author::Unreadable(what) => text(format!("DMARC: the author cannot be read: {what}")),
    })
}

fn excuse(
    dmarc: &Dmarc,
    origin: &Origin,
    forwarder: Option<&ForwarderHit>,
    trusted: impl Iterator<Item = Domain>,
) -> Option<Line> {
    let author = dmarc.author.as_ref().map_or("", Domain::as_str);
    if let Some(hit) = forwarder.filter(|hit| hit.is_proven) {
        return Some(text(format!(
            "DMARC fails for {author}, but {} forwards mail",
            hit.name
        )));
    }
    let trusted: Vec<Domain> = trusted.collect();
    let sealer = dmarc::mended_by(dmarc, origin.arc.found()?, &trusted)?;
    Some(text(format!(
        "DMARC fails for {author}, but the trusted sealer {sealer} says that it passed before"
    )))
}

/// What the DNS lists say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ZonesOpinion {
    /// What the lists that refuse make of it.
    pub plain: Opinion,
    /// Listings that count as mild signals, for or against.
    pub signals: Vec<Line>,
    /// Lists that must be asked for `signals`, and were not.
    pub is_open: bool,
}

/// The file `zones`. The first list that refuses gives the reason; a list of those who are welcome outranks them all.
pub fn zones(zones: &[Zone], facts: &Fact<Vec<ZoneFact>>) -> ZonesOpinion {
    let refusing = zones.iter().any(|zone| zone.effect == Effect::Refuse);
    let off = ZonesOpinion::default();
    if zones.is_empty() {
        return off;
    }
    let facts = match known(facts, Group::Zones) {
        Ok(facts) => facts,
        Err(opinion) => {
            let is_open = matches!(opinion, Opinion::Open(_));
            let plain = if refusing { opinion } else { Opinion::Passes };
            return ZonesOpinion { plain, is_open, ..off };
        }
    };
    let listed = |effect: Effect| {
        let of = move |zone: &&Zone| zone.effect == effect;
        zones.iter().filter(of).filter_map(move |zone| listing(zone, facts))
    };
    let welcome: Vec<Line> = listed(Effect::Allow)
        .map(|(subject, zone)| text(format!("{subject} stands in the allow list {zone}")))
        .collect();
    let plain = match (listed(Effect::Refuse).next(), welcome.first()) {
        (Some((subject, zone)), None) => Opinion::Fails(refusal(&subject, &zone)),
        (Some((_, zone)), Some(why)) => Opinion::Excused(text(format!("listed in DNS blacklist {zone}, but {why}"))),
        (None, _) if refusing && facts.iter().any(is_trouble) => trouble(facts),
        (None, _) => Opinion::Passes,
    };
    let scored = listed(Effect::Score).map(|(subject, zone)| text(format!("{subject} listed in DNS blacklist {zone}")));
    ZonesOpinion {
        plain,
        signals: scored.chain(welcome).collect(),
        is_open: false,
    }
}

/// The text of the original for clients.
fn refusal(subject: &str, zone: &str) -> Line {
    match subject.parse::<IpAddr>() {
        Ok(_) => text(format!("IP listed in DNS blacklist {zone}")),
        Err(_) => text(format!("Domain {subject} listed in DNS blacklist {zone}")),
    }
}

fn listing(zone: &Zone, facts: &[ZoneFact]) -> Option<(String, String)> {
    let fact = facts.iter().find(|fact| *fact.zone == *zone.name.as_str())?;
    match &fact.finding {
        ZoneFinding::Listed { subject, .. } => Some((subject.to_string(), fact.zone.to_string())),
        ZoneFinding::NotListed | ZoneFinding::Unavailable(_) | ZoneFinding::Off(_) => None,
    }
}

fn is_trouble(fact: &ZoneFact) -> bool {
    matches!(fact.finding, ZoneFinding::Unavailable(_))
}

fn trouble(facts: &[ZoneFact]) -> Opinion {
    let first = facts.iter().find_map(|fact| match &fact.finding {
        ZoneFinding::Unavailable(why) => Some(text(format!("{} cannot be asked: {why}", fact.zone))),
        ZoneFinding::Listed { .. } | ZoneFinding::NotListed | ZoneFinding::Off(_) => None,
    });
    first.map_or(Opinion::Passes, Opinion::Trouble)
}
