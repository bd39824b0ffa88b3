//! Any facts of a message's origin.

use super::{domain, line};
use judge::auth::arc::{Arc, ArcResult, ArcSet};
use judge::auth::author::Author;
use judge::auth::dkim::{Dkim, DkimResult};
use judge::auth::dmarc::{Dmarc, DmarcResult, Wish};
use judge::auth::iprev::{Iprev, IprevResult};
use judge::auth::spf::{Spf, SpfResult};
use judge::dnsbl::{Zone, ZoneFact, ZoneFinding, parse_zones};
use judge::evidence::{Fact, ForwarderHit, MxExchange, MxFact, Origin};
use judge::resolver::Security;
use judge::virus::VirusScan;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

fn fact<T: Clone + std::fmt::Debug + 'static>(value: impl Strategy<Value = T> + 'static) -> BoxedStrategy<Fact<T>> {
    prop_oneof![
        Just(Fact::NotAsked),
        value.prop_map(Fact::Found),
        line().prop_map(Fact::Skipped),
        line().prop_map(Fact::Unavailable),
    ]
    .boxed()
}

fn security() -> impl Strategy<Value = Security> {
    select(&[Security::Secure, Security::Insecure, Security::Unknown][..])
}

fn iprev() -> impl Strategy<Value = Iprev> {
    let result = select(
        &[
            IprevResult::Pass,
            IprevResult::Fail,
            IprevResult::TempError,
            IprevResult::PermError,
        ][..],
    );
    (result, option::of(domain()), option::of(line()), line(), security()).prop_map(
        |(result, name, claimed, why, security)| Iprev {
            result,
            name,
            claimed,
            why,
            security,
        },
    )
}

fn spf() -> impl Strategy<Value = Spf> {
    let result = select(
        &[
            SpfResult::None,
            SpfResult::Neutral,
            SpfResult::Pass,
            SpfResult::Fail,
            SpfResult::SoftFail,
            SpfResult::TempError,
            SpfResult::PermError,
        ][..],
    );
    (result, line(), line(), line(), security()).prop_map(|(result, domain, term, explanation, security)| Spf {
        result,
        domain,
        term,
        explanation,
        security,
    })
}

fn dkim() -> impl Strategy<Value = Dkim> {
    let result = select(
        &[
            DkimResult::Pass,
            DkimResult::Fail,
            DkimResult::Neutral,
            DkimResult::Policy,
            DkimResult::TempError,
            DkimResult::PermError,
        ][..],
    );
    let names = (option::of(domain()), line(), option::of(line()), line(), line(), line());
    (result, names, option::of(any::<u32>()), any::<bool>(), security()).prop_map(
        |(result, (domain, selector, identity, algorithm, start, why), key_bits, is_testing, security)| Dkim {
            result,
            domain,
            selector,
            identity,
            algorithm,
            key_bits,
            start,
            is_testing,
            why,
            security,
        },
    )
}

fn arc() -> impl Strategy<Value = Arc> {
    let set = (
        option::of(domain()),
        line(),
        option::of(domain()),
        vec(domain(), 0..3),
        option::of(domain()),
    )
        .prop_map(|(sealer, selector, dmarc_pass, dkim_pass, spf_pass)| ArcSet {
            sealer,
            selector,
            dmarc_pass,
            dkim_pass,
            spf_pass,
        });
    let result = select(&[ArcResult::None, ArcResult::Pass, ArcResult::Fail, ArcResult::TempError][..]);
    (result, vec(set, 0..3), line()).prop_map(|(result, sets, why)| Arc { result, sets, why })
}

fn author() -> impl Strategy<Value = Author> {
    prop_oneof![
        (line(), domain()).prop_map(|(address, domain)| Author::One { address, domain }),
        Just(Author::None),
        vec(domain(), 0..4).prop_map(Author::Several),
        line().prop_map(Author::Unreadable),
        vec(domain(), 0..4).prop_map(Author::Disputed),
    ]
}

fn dmarc() -> impl Strategy<Value = Dmarc> {
    let result = select(
        &[
            DmarcResult::None,
            DmarcResult::Pass,
            DmarcResult::Fail,
            DmarcResult::TempError,
            DmarcResult::PermError,
        ][..],
    );
    let wish = || select(&[Wish::None, Wish::Quarantine, Wish::Reject][..]);
    let names = (
        option::of(domain()),
        option::of(domain()),
        line(),
        vec(domain(), 0..3),
        option::of(domain()),
    );
    (result, names, wish(), wish(), line(), security()).prop_map(
        |(result, (author, organization, record_at, aligned_dkim, aligned_spf), published, wish, why, security)| {
            Dmarc {
                result,
                author,
                organization,
                record_at,
                published,
                wish,
                aligned_dkim,
                aligned_spf,
                why,
                security,
            }
        },
    )
}

fn mx() -> impl Strategy<Value = MxFact> {
    let exchange = select(
        &[
            MxExchange::Named,
            MxExchange::None,
            MxExchange::Null,
            MxExchange::NoDomain,
        ][..],
    );
    (domain(), exchange, security()).prop_map(|(domain, exchange, security)| MxFact {
        domain,
        exchange,
        security,
    })
}

/// Any origin.
pub fn origin() -> impl Strategy<Value = Origin> {
    (
        fact(iprev()),
        fact(spf()),
        fact(spf()),
        fact(vec(dkim(), 0..3)),
        fact(arc()),
        fact(author()),
        fact(dmarc()),
        fact(mx()),
    )
        .prop_map(
            |(iprev, spf_helo, spf_mail_from, dkim, arc, author, dmarc, mx)| Origin {
                iprev,
                spf_helo,
                spf_mail_from,
                dkim,
                arc,
                author,
                dmarc,
                mx,
            },
        )
}

/// What any scanner says.
pub fn virus() -> impl Strategy<Value = Fact<VirusScan>> {
    fact(prop_oneof![
        Just(VirusScan::Clean),
        line().prop_map(VirusScan::Infected),
        any::<u64>().prop_map(|octets| VirusScan::TooLarge { octets }),
    ])
}

/// What any DNS lists say.
pub fn zone_facts() -> impl Strategy<Value = Fact<Vec<ZoneFact>>> {
    let finding = prop_oneof![
        (line(), vec(any::<std::net::Ipv4Addr>(), 0..3), line())
            .prop_map(|(subject, codes, text)| { ZoneFinding::Listed { subject, codes, text } }),
        Just(ZoneFinding::NotListed),
        line().prop_map(ZoneFinding::Unavailable),
        line().prop_map(ZoneFinding::Off),
    ];
    let zone = ("[a-z]{1,9}\\.example", finding).prop_map(|(zone, finding)| ZoneFact {
        zone: zone.into(),
        finding,
    });
    fact(vec(zone, 0..3))
}

/// By what any forwarder is known.
pub fn forwarder() -> impl Strategy<Value = Option<ForwarderHit>> {
    option::of((line(), any::<bool>()).prop_map(|(name, is_proven)| ForwarderHit { name, is_proven }))
}

/// Any lines of a file `zones`.
pub fn zones() -> impl Strategy<Value = Vec<Zone>> {
    let line = concat!(
        "[a-z]{1,9}\\.example",
        "( score| allow)?( domain)?( 127\\.0\\.0\\.[2-9]| 127\\.0\\.1\\.0/24| 127\\.0\\.0\\.4-7)?"
    );
    vec(line, 0..3).prop_map(|lines| parse_zones(&lines.join("\n")).0)
}
