//! Who really sent it: asks all proofs of a message's origin at once.

use crate::{BodyHashes, Sealed, arc, dkim};
use futures_util::future::{join, join3};
use judge::auth::author::Author;
use judge::auth::dmarc::{self, Evidence};
use judge::auth::iprev::Iprev;
use judge::auth::org::PublicSuffixes;
use judge::auth::spf::{self, Ask, Identity, Spf, SpfResult};
use judge::evidence::{Fact, MxExchange, MxFact, Origin};
use judge::resolver::{Budgeted, Kind, Name, Outcome, Question, Record, Resolver, Security};
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

/// Who is asked, and how much. Each kind of proof has its own number of questions, and what DMARC asks its own time
/// besides: otherwise a sender could use up with costly proofs of his own what is needed to see that a name is forged.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// For SPF, DKIM, ARC and the MX.
    pub proofs: &'a dyn Resolver,
    /// For DMARC, which comes behind them.
    pub wishes: &'a dyn Resolver,
    /// Questions for each of SPF's two checks, DKIM, ARC and DMARC.
    pub questions_max: u32,
}

/// Proves what can be proven; `iprev` was asked for before. DNS trouble becomes a result, as the RFCs have it.
pub async fn origin(
    claims: Claims<'_>,
    sealed: &Sealed<'_>,
    bodies: &BodyHashes,
    iprev: Fact<Iprev>,
    suffixes: &PublicSuffixes,
    asked: Asked<'_>,
) -> Origin {
    let Asked {
        proofs,
        wishes,
        questions_max,
    } = asked;
    let budget = || Budgeted::new(proofs, questions_max);
    let (of_dkim, of_arc) = (budget(), budget());
    let Claims {
        reverse_path,
        author,
        now_s,
        lot,
        ..
    } = claims;
    let spf = both_spf(claims, [budget(), budget()]);
    let seals = join(
        dkim::verify(sealed, bodies, now_s, &of_dkim),
        arc::verify(sealed, bodies, now_s, &of_arc),
    );
    let ((spf_helo, spf_mail_from), (dkim, arc), mx) = join3(spf, seals, mx(reverse_path, proofs)).await;
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
    let dmarc = dmarc::evaluate(&evidence, suffixes, &Budgeted::new(wishes, questions_max)).await;
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

/// SPF of the HELO name and of the reverse-path, each with its own budget.
async fn both_spf(claims: Claims<'_>, [of_helo, of_path]: [Budgeted<'_>; 2]) -> (Fact<Spf>, Fact<Spf>) {
    let Some(client) = claims.client else {
        let why = Line::literal("the client's address is not known");
        return (Fact::Skipped(why.clone()), Fact::Skipped(why));
    };
    let ask = |identity| Ask {
        client,
        helo: claims.helo,
        identity,
        receiver: claims.receiver,
        now_s: claims.now_s,
    };
    let (helo, path) = (ask(Identity::Helo), ask(Identity::MailFrom(claims.reverse_path)));
    let (helo, path) = join(spf::check(&helo, &of_helo), spf::check(&path, &of_path)).await;
    (Fact::Found(helo), Fact::Found(path))
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

#[cfg(test)]
mod tests {
    use super::*;
    use judge::auth::author;
    use judge::auth::dmarc::DmarcResult;
    use judge::zone::ZoneFile;
    use mail::Message;

    /// A sender's SPF record that costs more than there is used to leave nothing for DMARC, which then could not say that
    /// the author was forged.
    #[test]
    fn a_costly_proof_takes_nothing_from_the_others() {
        let zone = "_dmarc.bank.example TXT \"v=DMARC1; p=reject\"\n\
             costly.example TXT \"v=spf1 include:a.costly.example include:b.costly.example include:c.costly.example -all\"\n\
             a.costly.example TXT \"v=spf1 exists:x.example -all\"\n\
             b.costly.example TXT \"v=spf1 -all\"\n\
             c.costly.example TXT \"v=spf1 ip4:192.0.2.1 -all\"\n";
        let zone = ZoneFile::parse(zone).unwrap();
        let text = b"DKIM-Signature: v=1; a=rsa-sha256; d=bank.example; s=none; h=from; bh=AAAA; b=AAAA\r\n\
            From: Bank <info@bank.example>\r\n\r\nHello.\r\n";
        let message = Message::parse(text);
        let sealed = Sealed::read(&message);
        let mut hasher = sealed.hasher();
        hasher.update(message.body());
        let path = ReversePath::parse("x@costly.example").unwrap();
        let author = author::read(&message);
        let claims = Claims {
            client: Some("192.0.2.1".parse().unwrap()),
            helo: "mx.costly.example",
            reverse_path: &path,
            author: &author,
            receiver: "mx.example.com",
            now_s: 1_795_262_400,
            lot: 0,
        };
        let asked = Asked {
            proofs: &zone,
            wishes: &zone,
            questions_max: 3,
        };
        let origin = pollster::block_on(origin(
            claims,
            &sealed,
            &hasher.finish(),
            Fact::NotAsked,
            &PublicSuffixes::BuiltIn,
            asked,
        ));
        assert_eq!(origin.spf_mail_from.found().unwrap().result, SpfResult::TempError);
        assert_eq!(origin.dmarc.found().unwrap().result, DmarcResult::Fail);
    }
}
