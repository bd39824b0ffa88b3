//! The checks that rest on proven facts: `rdns`, `dkim_check`, `spf`, `tls`, `dmarc`, `clamav`, and the DNS lists of the
//! file `zones`.

use super::{Answer, Evidence, Opinion, Terms};
use crate::auth::author::Author;
use crate::auth::dkim::{Dkim, DkimResult};
use crate::auth::dmarc::{self, Dmarc, DmarcResult, Wish};
use crate::auth::iprev::IprevResult;
use crate::auth::spf::{Spf, SpfResult};
use crate::disposition::Rejection;
use crate::dnsbl::{Effect, Zone, ZoneFact, ZoneFinding};
use crate::evidence::{Fact, Group, Origin};
use crate::rule::OnTrouble;
use crate::settings::DmarcQuarantine;
use crate::virus::VirusScan;
use mail::{Domain, Line};
use std::net::IpAddr;

/// What is known, or why nothing is.
pub(super) fn known<T>(fact: &Fact<T>, group: Group) -> Result<&T, Opinion> {
    match fact {
        Fact::Found(value) => Ok(value),
        Fact::NotAsked => Err(Opinion::Open(group)),
        Fact::Skipped(_) => Err(Opinion::Passes),
        Fact::Unavailable(why) => Err(Opinion::Trouble(why.clone())),
    }
}

/// Replies are ASCII, and a question mark is no section.
fn text(text: String) -> Line {
    Line::reason(text.replace('§', "section ").as_bytes())
}

/// `checks/rdns`: the client has a reverse name; with `confirmed`, one that leads back to it.
pub fn no_reverse_name(known: &Evidence<'_>) -> Opinion {
    let (client, confirmed) = (known.message.client, known.settings.rdns_confirmed);
    let iprev = match self::known(&known.message.origin.iprev, Group::ReverseName) {
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
/// such domain. Those who forward mail send for everybody's domain. [`as_recommended`] says
/// what `recommended` leaves alone.
pub fn spf_failure(known: &Evidence<'_>) -> Answer {
    let (path, origin) = (&known.message.reverse_path, &known.message.origin);
    if path.is_null() {
        return Answer::default();
    }
    let spf = match self::known(&origin.spf_mail_from, Group::Origin) {
        Ok(spf) => spf,
        Err(opinion) => return opinion.into(),
    };
    match spf.result {
        SpfResult::TempError => return Opinion::Trouble(spf_trouble(spf)).into(),
        SpfResult::Fail | SpfResult::PermError => {}
        SpfResult::None | SpfResult::Neutral | SpfResult::Pass | SpfResult::SoftFail => return Answer::default(),
    }
    let forwarder = known.recipient.forwarder.as_ref();
    if let Some(hit) = forwarder.filter(|hit| hit.is_proven || !is_forged(origin)) {
        let (result, path) = (spf.result, path.folded());
        return Opinion::Excused(text(format!("SPF {result} for {path}, but {} forwards mail", hit.name))).into();
    }
    let why = text(format!(
        "SPF failure {} - {} - {}",
        path.folded(),
        spf.result,
        spf_words(spf)
    ));
    match known.as_recommended {
        true => as_recommended(spf, why, &origin.dmarc),
        false => Opinion::Fails(why).into(),
    }
}

/// An SPF failure where `checks/recommended` asks. A permanent error is a fault of the domain's record, not of the client,
/// so it is evidence. A forwarded message fails SPF though the author's signature verifies, so where DMARC passes the failure
/// proves nothing (RFC 7489 §10.1). If DNS does not say whether DMARC passes, the message must wait: DNS trouble refuses
/// nothing, and a forger who causes such trouble gets nothing in by it.
fn as_recommended(spf: &Spf, why: Line, dmarc: &Fact<Dmarc>) -> Answer {
    if spf.result == SpfResult::PermError {
        return Answer::evidence(why);
    }
    let trouble = match known(dmarc, Group::Origin) {
        Ok(dmarc) => match dmarc.result {
            DmarcResult::Pass => {
                let author = dmarc.author.as_ref().map_or("", Domain::as_str);
                return Opinion::Excused(text(format!("{why}, but DMARC passes for {author}"))).into();
            }
            DmarcResult::TempError => Opinion::Trouble(dmarc.why.clone()),
            DmarcResult::None | DmarcResult::Fail | DmarcResult::PermError => return Opinion::Fails(why).into(),
        },
        Err(Opinion::Passes) => return Opinion::Fails(why).into(),
        Err(opinion) => opinion,
    };
    let mut answer = Answer::from(trouble);
    answer.terms.unavailable = Some(OnTrouble::Defer);
    answer
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
pub fn plaintext(known: &Evidence<'_>) -> Opinion {
    let domains = known.settings.tls_domains.as_deref();
    let Some(domain) = known.message.reverse_path.domain() else {
        return Opinion::Passes;
    };
    let is_below = |listed: &Domain| {
        let rest = domain.as_str().strip_suffix(listed.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let is_listed = domains.is_none_or(|domains| domains.iter().any(is_below));
    match (is_listed, &known.message.tls) {
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

/// `checks/dmarc`: the author domain's owner vouches for the message, or does not mind.
pub fn dmarc_failure(known: &Evidence<'_>) -> Answer {
    let (path, origin) = (&known.message.reverse_path, &known.message.origin);
    // Needs no DNS.
    if let Some(fault) = origin.author.found().and_then(author_fault) {
        // Servers of old write `From: <MAILER-DAEMON>`, and what they say of our own mail is worth having. An author who
        // cannot be read is another matter: programs may show one, and anybody can send with a null reverse-path.
        if path.is_null() && matches!(origin.author.found(), Some(Author::None)) {
            return unproven(Opinion::Excused(fault));
        }
        return refused(fault);
    }
    let dmarc = match self::known(&origin.dmarc, Group::Origin) {
        Ok(dmarc) => dmarc,
        Err(opinion) => return unproven(opinion),
    };
    match dmarc.result {
        DmarcResult::None | DmarcResult::Pass | DmarcResult::PermError => return Answer::default(),
        DmarcResult::TempError => return in_trouble(dmarc),
        DmarcResult::Fail => {}
    }
    let author = dmarc.author.as_ref().map_or("", Domain::as_str);
    if dmarc.wish == Wish::None {
        return unproven(Opinion::Excused(text(format!(
            "DMARC fails for {author}, whose owner asks for nothing"
        ))));
    }
    if let Some(excuse) = excuse(dmarc, known) {
        return unproven(Opinion::Excused(excuse));
    }
    let failure = |asks: &str| {
        text(format!(
            "DMARC: not authenticated as from {author}, whose owner asks to {asks} such mail"
        ))
    };
    match dmarc.wish {
        Wish::Reject => refused(failure("refuse")),
        Wish::Quarantine | Wish::None => suspected(failure("suspect"), &known.settings.dmarc_quarantine),
    }
}

/// Nothing to refuse the message for, and still no whitelist entry by name stands above whatever is said.
fn unproven(opinion: Opinion) -> Answer {
    let terms = Terms {
        disproves_name: true,
        ..Terms::default()
    };
    Answer { opinion, terms }
}

/// DNS trouble leaves open whether the message passes. Where the owner asks to refuse what does not, a forger can make such
/// trouble, who chooses the selector, the subdomain and their servers. So it must wait, whatever else trouble leads to.
fn in_trouble(dmarc: &Dmarc) -> Answer {
    let must_wait = dmarc.published == Wish::Reject;
    let mut answer = unproven(Opinion::Trouble(dmarc.why.clone()));
    answer.terms.unavailable = must_wait.then_some(OnTrouble::Defer);
    answer
}

/// The owner asks to refuse it, or it has no author whose owner could be asked.
fn refused(why: Line) -> Answer {
    let mut answer = unproven(Opinion::Fails(why));
    answer.terms.rejection = Rejection::Unauthenticated;
    answer
}

/// The owner asks for suspicion only, so the check's own action is too much.
fn suspected(why: Line, quarantine: &DmarcQuarantine) -> Answer {
    let mut answer = Answer::from(Opinion::Fails(why));
    match quarantine {
        DmarcQuarantine::Act(action) => answer.terms.action = Some(action.clone()),
        DmarcQuarantine::Nothing => answer.terms.is_evidence = true,
    }
    answer
}

/// RFC 7489 §6.6.1, RFC 9989 §5.3.1: a message must have one author domain; what has none or several is refused.
fn author_fault(author: &Author) -> Option<Line> {
    Some(match author {
        Author::One { .. } | Author::Disputed(_) => return None,
        Author::None => Line::literal("DMARC: the message names no author"),
        Author::Several(_) => Line::literal("DMARC: the message names several authors"),
        Author::Unreadable(what) => text(format!("DMARC: the author cannot be read: {what}")),
    })
}

/// What mends a failure: a forwarder of this domain's users, or a trusted sealer's ARC results.
fn excuse(dmarc: &Dmarc, known: &Evidence<'_>) -> Option<Line> {
    let author = dmarc.author.as_ref().map_or("", Domain::as_str);
    if let Some(hit) = known.recipient.forwarder.as_ref().filter(|hit| hit.is_proven) {
        return Some(text(format!(
            "DMARC fails for {author}, but {} forwards mail",
            hit.name
        )));
    }
    let trusted: Vec<Domain> = [known.trusted_sealers, &known.settings.dmarc_sealers].concat();
    let sealer = dmarc::mended_by(dmarc, known.message.origin.arc.found()?, &trusted)?;
    Some(text(format!(
        "DMARC fails for {author}, but the trusted sealer {sealer} says that it passed before"
    )))
}

/// The file `zones`, as far as its lists refuse. The first list that refuses gives the reason; a list of those who are
/// welcome outranks them all, if it speaks of the client, or of a domain that is proven: anybody can write a welcome one.
pub fn zones(known: &Evidence<'_>) -> Opinion {
    let (zones, origin) = (known.zones, &known.message.origin);
    if !zones.iter().any(|zone| zone.effect == Effect::Refuse) {
        return Opinion::Passes;
    }
    let facts = match self::known(&known.recipient.zones, Group::Zones) {
        Ok(facts) => facts,
        Err(opinion) => return opinion,
    };
    match (
        listed(zones, facts, Effect::Refuse).next(),
        welcome(zones, facts, origin).next(),
    ) {
        (Some(_), None) if origin.is_open() && listed(zones, facts, Effect::Allow).next().is_some() => {
            Opinion::Open(Group::Origin)
        }
        (Some((subject, zone)), None) => Opinion::Fails(refusal(&subject, &zone)),
        (Some((_, zone)), Some(why)) => Opinion::Excused(text(format!("listed in DNS blacklist {zone}, but {why}"))),
        (None, _) => trouble(zones, facts),
    }
}

/// The file `zones`, as far as its lists are mild signals, for or against. `None`: the lists were not asked yet.
pub(crate) fn zone_signals(zones: &[Zone], facts: &Fact<Vec<ZoneFact>>, origin: &Origin) -> Option<Vec<Line>> {
    let facts = match facts {
        _ if zones.is_empty() => return Some(Vec::new()),
        Fact::Found(facts) => facts,
        Fact::NotAsked => return None,
        Fact::Skipped(_) | Fact::Unavailable(_) => return Some(Vec::new()),
    };
    let scored = listed(zones, facts, Effect::Score)
        .map(|(subject, zone)| text(format!("{subject} listed in DNS blacklist {zone}")));
    Some(scored.chain(welcome(zones, facts, origin)).collect())
}

/// Whom the lists with an effect name: what is listed, and the list.
fn listed<'a>(zones: &'a [Zone], facts: &'a [ZoneFact], effect: Effect) -> impl Iterator<Item = (String, String)> + 'a {
    let of = zones.iter().filter(move |zone| zone.effect == effect);
    of.filter_map(move |zone| listing(zone, facts))
}

/// Lists of those who are welcome that speak of the client or of a proven domain.
fn welcome<'a>(zones: &'a [Zone], facts: &'a [ZoneFact], origin: &'a Origin) -> impl Iterator<Item = Line> + 'a {
    listed(zones, facts, Effect::Allow)
        .filter(|(subject, _)| is_client(subject) || is_proven(subject, origin))
        .map(|(subject, zone)| text(format!("{subject} stands in the allow list {zone}")))
}

/// Whether a list speaks of the client's address, not of a domain.
fn is_client(subject: &str) -> bool {
    subject.parse::<IpAddr>().is_ok()
}

/// Whether a domain has vouched for the message.
fn is_proven(domain: &str, origin: &Origin) -> bool {
    let spf = origin.spf_mail_from.found();
    let mut dkim = origin.dkim.found().into_iter().flatten();
    let dmarc = origin.dmarc.found().filter(|dmarc| dmarc.result == DmarcResult::Pass);
    spf.is_some_and(|spf| spf.result == SpfResult::Pass && spf.domain.as_str() == domain)
        || dkim
            .any(|dkim| dkim.result == DkimResult::Pass && dkim.domain.as_ref().is_some_and(|d| d.as_str() == domain))
        || dmarc.is_some_and(|dmarc| dmarc.author.as_ref().is_some_and(|author| author.as_str() == domain))
}

/// The text of the original for clients.
fn refusal(subject: &str, zone: &str) -> Line {
    match is_client(subject) {
        true => text(format!("IP listed in DNS blacklist {zone}")),
        false => text(format!("Domain {subject} listed in DNS blacklist {zone}")),
    }
}

fn finding<'a>(zone: &Zone, facts: &'a [ZoneFact]) -> Option<&'a ZoneFact> {
    facts.iter().find(|fact| *fact.zone == *zone.name.as_str())
}

fn listing(zone: &Zone, facts: &[ZoneFact]) -> Option<(String, String)> {
    let fact = finding(zone, facts)?;
    match &fact.finding {
        ZoneFinding::Listed { subject, .. } => Some((subject.to_string(), fact.zone.to_string())),
        ZoneFinding::NotListed | ZoneFinding::Unavailable(_) | ZoneFinding::Off(_) => None,
    }
}

/// The first list that could have refused, and did not answer.
fn trouble(zones: &[Zone], facts: &[ZoneFact]) -> Opinion {
    let mut refusing = zones.iter().filter(|zone| zone.effect == Effect::Refuse);
    let first = refusing.find_map(|zone| {
        let fact = finding(zone, facts)?;
        match &fact.finding {
            ZoneFinding::Unavailable(why) => Some(text(format!("{} cannot be asked: {why}", fact.zone))),
            ZoneFinding::Listed { .. } | ZoneFinding::NotListed | ZoneFinding::Off(_) => None,
        }
    });
    first.map_or(Opinion::Passes, Opinion::Trouble)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dnsbl::parse_zones;
    use crate::resolver::Security;
    use crate::settings::CheckSettings;

    /// What the lists say of `subject` and of the client: all those of `words`.
    fn opinion(words: &[(&str, ZoneFinding)], origin: &Origin) -> Opinion {
        let text: String = words.iter().map(|(line, _)| format!("{line}\n")).collect();
        let (zones, bad) = parse_zones(&text);
        assert_eq!(bad, []);
        let fact = |(zone, (_, finding)): (&Zone, &(&str, ZoneFinding))| ZoneFact {
            zone: zone.name.as_str().into(),
            finding: finding.clone(),
        };
        let facts = zones.iter().zip(words).map(fact).collect();
        let (mut message, mut recipient) = crate::evidence::unasked();
        message.origin = origin.clone();
        recipient.zones = Fact::Found(facts);
        super::zones(&Evidence {
            message: &message,
            recipient: &recipient,
            settings: &CheckSettings::default(),
            zones: &zones,
            trusted_sealers: &[],
            as_recommended: false,
        })
    }

    fn lists(subject: &str) -> ZoneFinding {
        ZoneFinding::Listed {
            subject: Line::reason(subject.as_bytes()),
            codes: Vec::new(),
            text: Line::default(),
        }
    }

    fn spf(result: SpfResult) -> Origin {
        let spf = Spf {
            result,
            domain: Line::literal("good.example"),
            term: Line::default(),
            explanation: Line::default(),
            security: Security::Unknown,
        };
        Origin {
            spf_mail_from: Fact::Found(spf),
            ..Origin::default()
        }
    }

    /// Mail that was passed on with its signature was refused for SPF, and so was mail of domains with a slip in their record.
    #[test]
    fn recommended_refuses_for_spf_only_what_certainly_proves_nothing() {
        use SpfResult::{Fail, PermError};
        let dmarc = |result| {
            Fact::Found(Dmarc {
                result,
                author: Domain::parse("good.example").ok(),
                organization: None,
                record_at: Line::default(),
                published: Wish::None,
                wish: Wish::None,
                aligned_dkim: Vec::new(),
                aligned_spf: None,
                why: Line::literal("no answer"),
                security: Security::Unknown,
            })
        };
        let answer = |result, dmarc: &Fact<Dmarc>, as_recommended| {
            let (mut message, recipient) = crate::evidence::unasked();
            message.reverse_path = mail::ReversePath::parse("ann@good.example").unwrap();
            message.origin = Origin {
                dmarc: dmarc.clone(),
                ..spf(result)
            };
            let Answer { opinion, terms } = spf_failure(&Evidence {
                message: &message,
                recipient: &recipient,
                settings: &CheckSettings::default(),
                zones: &[],
                trusted_sealers: &[],
                as_recommended,
            });
            match opinion {
                Opinion::Fails(_) if terms.is_evidence => "evidence",
                Opinion::Fails(_) => "fails",
                Opinion::Excused(_) => "excused",
                Opinion::Trouble(_) if terms.unavailable == Some(OnTrouble::Defer) => "waits",
                Opinion::Open(Group::Origin) => "open",
                _ => "other",
            }
        };
        let late = Fact::Unavailable(Line::literal("too late"));
        for (result, dmarc, recommended) in [
            (Fail, dmarc(DmarcResult::Pass), "excused"),
            (Fail, dmarc(DmarcResult::Fail), "fails"),
            (Fail, dmarc(DmarcResult::None), "fails"),
            (Fail, dmarc(DmarcResult::TempError), "waits"),
            (Fail, late, "waits"),
            (Fail, Fact::Skipped(Line::default()), "fails"),
            (Fail, Fact::NotAsked, "open"),
            (PermError, dmarc(DmarcResult::Pass), "evidence"),
            (PermError, Fact::NotAsked, "evidence"),
        ] {
            assert_eq!(answer(result, &dmarc, true), recommended, "{result:?} {dmarc:?}");
            assert_eq!(answer(result, &dmarc, false), "fails", "{result:?} {dmarc:?}");
        }
    }

    #[test]
    fn only_a_proven_domain_is_welcome() {
        // Whoever wrote a welcome domain into MAIL FROM was not refused by any list.
        let said = [
            ("bl.example", lists("192.0.2.1")),
            ("good.test allow domain", lists("good.example")),
        ];
        assert!(matches!(opinion(&said, &spf(SpfResult::Pass)), Opinion::Excused(_)));
        assert!(matches!(opinion(&said, &spf(SpfResult::SoftFail)), Opinion::Fails(_)));
        assert_eq!(opinion(&said, &Origin::default()), Opinion::Open(Group::Origin));
        let of_client = [
            ("bl.example", lists("192.0.2.1")),
            ("good.test allow", lists("192.0.2.1")),
        ];
        assert!(matches!(opinion(&of_client, &Origin::default()), Opinion::Excused(_)));
    }

    #[test]
    fn only_a_list_that_could_refuse_is_missed() {
        let down = || ZoneFinding::Unavailable(Line::literal("no answer"));
        let said = [
            ("bl.example", ZoneFinding::NotListed),
            ("mild.example score", down()),
            ("good.test allow", down()),
        ];
        assert_eq!(opinion(&said, &Origin::default()), Opinion::Passes);
        assert!(matches!(
            opinion(&[("bl.example", down())], &Origin::default()),
            Opinion::Trouble(_)
        ));
    }
}
