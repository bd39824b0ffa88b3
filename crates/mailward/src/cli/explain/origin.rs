//! Who really sent it, in sentences: each fact with what it rests on.

use super::line;
use judge::auth::arc::{Arc, ArcResult};
use judge::auth::dkim::Dkim;
use judge::auth::dmarc::{Dmarc, DmarcResult};
use judge::auth::spf::{Identity, Spf};
use judge::dnsbl::{ZoneFact, ZoneFinding};
use judge::evidence::{Fact, MxExchange, MxFact, Origin};
use judge::greylist::{GreylistFact, Stranger};
use judge::links::Links;
use judge::rates::{Rate, RateNetwork};
use judge::reputation::Standing;
use judge::resolver::Security;
use judge::virus::VirusScan;
use mail::ReversePath;

/// All facts of a message's origin; nothing of what nobody asked.
pub(super) fn origin(out: &mut String, origin: &Origin, reverse_path: &ReversePath) {
    let Origin {
        iprev,
        spf_helo,
        spf_mail_from,
        dkim,
        arc,
        author: _,
        dmarc,
        mx,
    } = origin;
    fact(out, "reverse", iprev, |out, iprev| {
        let text = format!("{}: {}{}", iprev.result, iprev.why, signed(iprev.security));
        line(out, "reverse", text);
    });
    fact(out, "spf", spf_helo, |out, spf| self::spf(out, Identity::Helo, spf));
    if let Some(spf) = spf_mail_from.found() {
        self::spf(out, Identity::MailFrom(reverse_path), spf);
    }
    fact(out, "dkim", dkim, |out, signatures| self::dkim(out, signatures));
    fact(out, "arc", arc, self::arc);
    fact(out, "dmarc", dmarc, self::dmarc);
    fact(out, "mx", mx, self::mx);
}

/// What a list of DNS lists said.
pub(super) fn zones(out: &mut String, zones: &Fact<Vec<ZoneFact>>) {
    fact(out, "lists", zones, |out, zones| {
        for (n, ZoneFact { zone, finding }) in zones.iter().enumerate() {
            let label = if n == 0 { "lists" } else { "" };
            let text = match finding {
                ZoneFinding::Listed { subject, codes, text } => {
                    let codes: Vec<String> = codes.iter().map(ToString::to_string).collect();
                    let text = match text.as_str() {
                        "" => String::new(),
                        text => format!(": {text}"),
                    };
                    format!("{zone} lists {subject} ({}){text}", codes.join(", "))
                }
                ZoneFinding::NotListed => format!("{zone} does not list it"),
                ZoneFinding::Unavailable(why) => format!("{zone} cannot be asked: {why}"),
                ZoneFinding::Off(why) => format!("{zone} is switched off: {why}"),
            };
            line(out, label, text);
        }
    });
}

/// What the virus scanner said.
pub(super) fn virus(out: &mut String, virus: &Fact<VirusScan>) {
    fact(out, "virus", virus, |out, scan| match scan {
        VirusScan::Clean => line(out, "virus", "none found"),
        VirusScan::Infected(name) => line(out, "virus", format_args!("{name}, says the scanner")),
        VirusScan::TooLarge { octets } => line(
            out,
            "virus",
            format_args!("not scanned: {octets} octets are more than the scanner takes"),
        ),
    });
}

/// What the mailbox's history said, question by question.
pub(super) fn standing(out: &mut String, standing: &Fact<Standing>) {
    fact(out, "history", standing, |out, standing| {
        line(out, "history", standing);
        for step in &standing.walk {
            line(out, "", step);
        }
        if let Some(shared) = &standing.shared {
            line(out, "others", shared);
        }
    });
}

/// How often a stranger has come.
pub(super) fn greylist(out: &mut String, greylist: &Fact<GreylistFact>) {
    fact(out, "stranger", greylist, |out, fact| {
        let who = match &fact.stranger {
            Stranger::Domain(domain) => format!("known as {domain}, which is proven"),
            Stranger::Network { network, reverse_path } => {
                format!("known as <{reverse_path}> from the network {network}")
            }
        };
        let has_passed = if fact.has_passed { ", has passed before" } else { "" };
        let first = jiff::Timestamp::from_second(fact.first_s).unwrap_or_default();
        line(
            out,
            "stranger",
            format!("{who}: try {}, the first at {first}{has_passed}", fact.tries),
        );
    });
}

/// What is to be said of the message's links.
pub(super) fn links(out: &mut String, links: &Fact<Links>) {
    fact(out, "links", links, |out, links| {
        for (n, finding) in links.findings.iter().enumerate() {
            line(out, if n == 0 { "links" } else { "" }, &finding.text);
        }
    });
}

/// How much came from the client's networks before.
pub(super) fn rates(out: &mut String, rates: &Fact<Vec<(RateNetwork, Rate)>>) {
    fact(out, "rate", rates, |out, rates| {
        let is_telling = |(_, rate): &&(RateNetwork, Rate)| rate.day.messages > 0;
        for (n, (network, rate)) in rates.iter().filter(is_telling).enumerate() {
            let text = format!(
                "{} messages before from {} (mask {}) within a day, {} within a minute",
                rate.day.messages, network.address, network.width, rate.minute.messages
            );
            line(out, if n == 0 { "rate" } else { "" }, text);
        }
    });
}

pub(super) fn fact<T>(out: &mut String, label: &str, fact: &Fact<T>, found: impl FnOnce(&mut String, &T)) {
    match fact {
        Fact::NotAsked => {}
        Fact::Found(value) => found(out, value),
        Fact::Skipped(why) => line(out, label, format_args!("not asked: {why}")),
        Fact::Unavailable(why) => line(out, label, format_args!("cannot be had: {why}")),
    }
}

fn signed(security: Security) -> &'static str {
    match security {
        Security::Secure => " (signed by DNSSEC)",
        Security::Insecure => " (not signed by DNSSEC)",
        Security::Unknown => "",
    }
}

fn spf(out: &mut String, identity: Identity<'_>, spf: &Spf) {
    let text = format!("{}: {}{}", spf.result, spf.sentence(identity), signed(spf.security));
    line(out, "spf", text);
}

fn dkim(out: &mut String, signatures: &[Dkim]) {
    if signatures.is_empty() {
        line(out, "dkim", "no signature");
    }
    for (n, signature) in signatures.iter().enumerate() {
        let label = if n == 0 { "dkim" } else { "" };
        let testing = if signature.is_testing {
            " (its owner is testing)"
        } else {
            ""
        };
        let text = format!(
            "{}: {}{testing}{}",
            signature.result,
            signature.why,
            signed(signature.security)
        );
        line(out, label, text);
    }
}

fn arc(out: &mut String, arc: &Arc) {
    if arc.result == ArcResult::None {
        return;
    }
    let sealers: Vec<&str> = arc
        .sets
        .iter()
        .map(|set| set.sealer.as_ref().map_or("?", |sealer| sealer.as_str()))
        .collect();
    let by = match sealers.is_empty() {
        true => String::new(),
        false => format!("; sealed by {}", sealers.join(", then ")),
    };
    line(out, "arc", format_args!("{}: {}{by}", arc.result, arc.why));
}

fn dmarc(out: &mut String, dmarc: &Dmarc) {
    let wish = match dmarc.result {
        DmarcResult::Fail => format!("; what to do, says the owner: {}", dmarc.wish),
        _ => String::new(),
    };
    line(
        out,
        "dmarc",
        format_args!("{}: {}{wish}{}", dmarc.result, dmarc.why, signed(dmarc.security)),
    );
}

fn mx(out: &mut String, mx: &MxFact) {
    let MxFact {
        domain,
        exchange,
        security,
    } = mx;
    let text = match exchange {
        MxExchange::Named => format!("{domain} takes mail"),
        MxExchange::None => format!("{domain} names no mail exchanger"),
        MxExchange::Null => format!("{domain} says that it takes no mail (RFC 7505)"),
        MxExchange::NoDomain => format!("there is no domain {domain}"),
    };
    line(out, "mx", text + signed(*security));
}
