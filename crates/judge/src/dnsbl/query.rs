//! What a zone says of one message.

use super::lines::is_number;
use super::{Target, Zone, ZoneFinding, is_refusal};
use crate::resolver::{Answer, BoxFuture, Kind, Name, Question, Record, Resolver, reversed};
use futures_util::future::join_all;
use mail::{Domain, Line};
use std::net::{IpAddr, Ipv4Addr};

/// Most domains of one message that a zone is asked about.
pub const DOMAINS_MAX: usize = 5;
/// Most answers that are kept of a listing. A bit for each reason makes seven at most.
const CODES_KEPT_MAX: usize = 16;
/// Most texts of one listing that are shown.
const TEXTS_MAX: usize = 4;
/// What joins them.
const BETWEEN_TEXTS: &[u8] = b"; ";

/// Asks one zone about `client`, or about `domains`: of those, the first [`DOMAINS_MAX`] different ones with a dot in
/// them, and the first that is listed counts. Never [`ZoneFinding::Off`]: who is switched off is not asked.
pub async fn look_up(zone: &Zone, client: IpAddr, domains: &[Domain], resolver: &dyn Resolver) -> ZoneFinding {
    match zone.target {
        Target::Client => {
            let subject = client.to_canonical().to_string();
            look_up_one(zone, &reversed(client), &subject, resolver).await
        }
        Target::Domain => {
            let subjects = subjects(domains);
            let findings = subjects
                .iter()
                .map(|domain| look_up_one(zone, domain.as_str(), domain.as_str(), resolver));
            strongest(join_all(findings).await)
        }
    }
}

/// RFC 5782 §3: names are asked as they are. A last label alone, or an address in a name's place, is nobody's domain;
/// lists answer to the latter with a refusal.
fn subjects(domains: &[Domain]) -> Vec<&Domain> {
    let mut subjects: Vec<&Domain> = Vec::with_capacity(DOMAINS_MAX);
    let is_domain = |domain: &Domain| domain.as_str().contains('.') && !is_number(domain.last_label());
    for domain in domains.iter().filter(|domain| is_domain(domain)) {
        if subjects.len() < DOMAINS_MAX && !subjects.contains(&domain) {
            subjects.push(domain);
        }
    }
    subjects
}

/// The first listing; else the first trouble, since what was not asked may be listed.
fn strongest(findings: Vec<ZoneFinding>) -> ZoneFinding {
    let strength = |finding: &ZoneFinding| match finding {
        ZoneFinding::Listed { .. } => 0,
        ZoneFinding::Unavailable(_) | ZoneFinding::Off(_) => 1,
        ZoneFinding::NotListed => 2,
    };
    // Of equals `min_by_key` takes the first.
    findings
        .into_iter()
        .min_by_key(strength)
        .unwrap_or(ZoneFinding::NotListed)
}

async fn look_up_one(zone: &Zone, prefix: &str, subject: &str, resolver: &dyn Resolver) -> ZoneFinding {
    // What is too long for a name cannot be in the zone.
    let Some(name) = zone.name.below(prefix) else {
        return ZoneFinding::NotListed;
    };
    let answer = ask(resolver, &name, Kind::A).await;
    if let Some(trouble) = answer.trouble() {
        return ZoneFinding::Unavailable(trouble.line());
    }
    let answers = addresses(&answer);
    let codes: Vec<Ipv4Addr> = answers
        .iter()
        .copied()
        .filter(|code| zone.codes.count(*code))
        .take(CODES_KEPT_MAX)
        .collect();
    if !codes.is_empty() {
        return ZoneFinding::Listed {
            subject: Line::reason(subject.as_bytes()),
            codes,
            text: text(resolver, &name).await,
        };
    }
    match answers.into_iter().find(|code| is_refusal(*code)) {
        Some(code) => ZoneFinding::Unavailable(refusal(resolver, &name, code).await),
        None => ZoneFinding::NotListed,
    }
}

pub(super) fn ask<'a>(resolver: &'a dyn Resolver, name: &Name, kind: Kind) -> BoxFuture<'a, Answer> {
    resolver.ask(Question {
        name: name.clone(),
        kind,
    })
}

/// The answers to an A query. Sorted: servers change the order, and the same facts shall give the same verdict.
pub(super) fn addresses(answer: &Answer) -> Vec<Ipv4Addr> {
    let mut addresses: Vec<Ipv4Addr> = answer
        .records()
        .iter()
        .filter_map(|record| match record {
            Record::A(ip) => Some(*ip),
            Record::Aaaa(_) | Record::Mx(..) | Record::Ptr(_) | Record::Txt(_) => None,
        })
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// In words, that the zone does not serve us.
pub(super) async fn refusal(resolver: &dyn Resolver, name: &Name, code: Ipv4Addr) -> Line {
    let text = text(resolver, name).await;
    let why = match text.as_str() {
        "" => format!("the zone refuses our queries ({code})"),
        text => format!("the zone refuses our queries ({code}: {text})"),
    };
    Line::reason(why.as_bytes())
}

/// The zone's own words for what it answered; empty where it has none, or where they cannot be had.
async fn text(resolver: &dyn Resolver, name: &Name) -> Line {
    let answer = ask(resolver, name, Kind::Txt).await;
    let mut texts: Vec<&[u8]> = answer.texts().collect();
    texts.sort_unstable();
    texts.dedup();
    texts.truncate(TEXTS_MAX);
    Line::reason(&texts.join(BETWEEN_TEXTS))
}
