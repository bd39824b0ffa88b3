//! Who really sent it: asks all proofs of a message's origin at once.

use crate::auth::Sealed;
use crate::auth::author::Author;
use crate::auth::dkim::BodyHashes;
use crate::auth::dmarc::{self, Evidence};
use crate::auth::iprev::Iprev;
use crate::auth::org::PublicSuffixes;
use crate::auth::spf::{self, Ask, Identity, Spf, SpfResult};
use crate::auth::{arc, dkim};
use crate::evidence::{Fact, MxExchange, MxFact, Origin};
use crate::resolver::{Kind, Name, Outcome, Question, Record, Resolver, Security};
use futures_util::future::{join, join3};
use mail::{Domain, Host, Line, ReversePath};
use std::net::IpAddr;

/// What a message claims of its origin.
#[derive(Debug, Clone, Copy)]
pub struct Claims<'a> {
    /// Who connected; `None` where a proxy could not say.
    pub client: Option<IpAddr>,
    /// The HELO name, as written.
    pub helo: &'a str,
    /// What MAIL FROM carried.
    pub reverse_path: &'a ReversePath,
    /// Whom the From field names.
    pub author: &'a Author,
    /// Our own host name.
    pub receiver: &'a str,
    /// Seconds since 1970.
    pub now_s: i64,
    /// 0 to 99, drawn from the message's digest: which part of those it is in that DMARC's `pct` leaves out.
    pub lot: u8,
}

/// Proves what can be proven; `iprev` was asked for before. DNS trouble becomes a result, as the RFCs have it.
pub async fn origin(
    claims: Claims<'_>,
    sealed: &Sealed<'_>,
    bodies: &BodyHashes,
    iprev: Fact<Iprev>,
    suffixes: &PublicSuffixes,
    resolver: &dyn Resolver,
) -> Origin {
    let Claims {
        client,
        reverse_path,
        author,
        now_s,
        lot,
        ..
    } = claims;
    let spf = async {
        match client {
            Some(client) => {
                let ask = |identity| Ask {
                    client,
                    helo: claims.helo,
                    identity,
                    receiver: claims.receiver,
                    now_s,
                };
                let (helo, mail_from) = (ask(Identity::Helo), ask(Identity::MailFrom(reverse_path)));
                let (helo, mail_from) = join(spf::check(&helo, resolver), spf::check(&mail_from, resolver)).await;
                (Fact::Found(helo), Fact::Found(mail_from))
            }
            None => {
                let why = Line::literal("the client's address is not known");
                (Fact::Skipped(why.clone()), Fact::Skipped(why))
            }
        }
    };
    let seals = join(
        dkim::verify(sealed, bodies, now_s, resolver),
        arc::verify(sealed, bodies, now_s, resolver),
    );
    let ((spf_helo, spf_mail_from), (dkim, arc), mx) = join3(spf, seals, mx(reverse_path, resolver)).await;
    let unasked = no_spf();
    let helo_domain = Domain::parse(claims.helo).ok();
    let evidence = Evidence {
        author,
        spf: spf_mail_from.found().unwrap_or(&unasked),
        spf_domain: if reverse_path.is_null() {
            helo_domain.as_ref()
        } else {
            reverse_path.domain()
        },
        dkim: &dkim,
        lot,
    };
    let dmarc = dmarc::evaluate(&evidence, suffixes, resolver).await;
    Origin {
        iprev,
        spf_helo,
        spf_mail_from,
        dkim: Fact::Found(dkim),
        arc: Fact::Found(arc),
        author: Fact::Found(author.clone()),
        dmarc: Fact::Found(dmarc),
        mx,
    }
}

fn no_spf() -> Spf {
    Spf {
        result: SpfResult::None,
        domain: Line::default(),
        term: Line::default(),
        explanation: Line::default(),
        security: Security::Unknown,
    }
}

/// Where mail to the sender goes: who cannot be answered is worth knowing, and so is whether his zone is signed.
async fn mx(path: &ReversePath, resolver: &dyn Resolver) -> Fact<MxFact> {
    let domain = match path {
        ReversePath::Address(address) => match address.host() {
            Host::Domain(domain) => domain,
            Host::Literal(_) => return Fact::Skipped(Line::literal("the reverse-path has no domain")),
        },
        ReversePath::Null | ReversePath::Unqualified(_) => {
            return Fact::Skipped(Line::literal("the reverse-path has no domain"));
        }
    };
    let question = Question {
        name: Name::from(domain),
        kind: Kind::Mx,
    };
    let answer = resolver.ask(question).await;
    let is_null = |records: &[Record]| matches!(records, [Record::Mx(_, None)]);
    let exchange = match &answer.outcome {
        Outcome::Records(records) if is_null(records) => MxExchange::Null,
        Outcome::Records(_) => MxExchange::Named,
        Outcome::NoRecords => MxExchange::None,
        Outcome::NoName => MxExchange::NoDomain,
        Outcome::Unavailable(trouble) => return Fact::Unavailable(trouble.line()),
    };
    Fact::Found(MxFact {
        domain: domain.clone(),
        exchange,
        security: answer.security,
    })
}
