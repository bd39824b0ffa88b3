//! One message for one recipient under one policy, as tests change it.

pub use crate::auth::dmarc::Wish;
pub use crate::checks::Check;
pub use crate::evidence::{Fact, ListHit, ListProof, UserStanding};
pub use crate::policy::{Action, DmarcQuarantine, Folder, OnTrouble};
pub use crate::reputation::Standing;
pub use mail::Line;

use super::super::*;
use crate::auth::author::Author;
use crate::auth::dmarc::{Dmarc, DmarcResult};
use crate::auth::org::PublicSuffixes;
use crate::auth::spf::{Spf, SpfResult};
use crate::dnsbl::{ZoneFact, ZoneFinding, parse_zones};
use crate::evidence::{ContentFacts, Origin};
use crate::greylist::{GreylistFact, Stranger};
use crate::junk::{JunkFact, Seen};
use crate::links::{Links, no_codes};
use crate::lists::BlacklistHit;
use crate::rates::{Amount, Rate, RateNetwork};
use crate::reputation::{Method, Repute};
use crate::resolver::Security;
use crate::virus::VirusScan;
use mail::{Address, Domain, MailboxId, Message, ReversePath};

pub const ORIGIN: Needs = Needs::of(Group::Origin);
pub const ZONES: Needs = Needs::of(Group::Zones);
pub const VIRUS: Needs = Needs::of(Group::Virus);
pub const STANDING: Needs = Needs::of(Group::Standing);
pub const RATES: Needs = Needs::of(Group::Rates);
pub const GREYLIST: Needs = Needs::of(Group::Greylist);
pub const LINKS: Needs = Needs::of(Group::Links);

pub fn both(a: Needs, b: Needs) -> Needs {
    a.or(b)
}

/// One message for one recipient under one policy. At first everything is known and nothing speaks against it, and no
/// check is switched on.
#[derive(Debug, Clone)]
pub struct Case {
    pub message: MessageFacts,
    pub recipient: RecipientFacts,
    pub policy: Policy,
}

pub fn line(text: &'static str) -> Line {
    Line::literal(text)
}

pub fn spf(result: SpfResult) -> Fact<Spf> {
    Fact::Found(Spf {
        result,
        domain: line("ann.example"),
        term: Line::default(),
        explanation: Line::default(),
        security: Security::Unknown,
    })
}

pub fn dmarc(result: DmarcResult, published: Wish) -> Fact<Dmarc> {
    let wish = if result == DmarcResult::TempError {
        Wish::None
    } else {
        published
    };
    Fact::Found(Dmarc {
        result,
        author: Domain::parse("ann.example").ok(),
        organization: None,
        record_at: Line::default(),
        published,
        wish,
        aligned_dkim: Vec::new(),
        aligned_spf: None,
        why: line("so it is"),
        security: Security::Unknown,
    })
}

pub fn standing(verdict: Option<Repute>, is_conclusive: bool) -> Fact<Standing> {
    Fact::Found(Standing {
        verdict,
        is_conclusive,
        method: Method::MsgFromFull,
        walk: Vec::new(),
        shared: None,
    })
}

/// Of somebody who came now for the first time, or has passed before.
pub fn greylist(has_passed: bool) -> Fact<GreylistFact> {
    Fact::Found(GreylistFact {
        stranger: Stranger::Domain(Domain::parse("ann.example").unwrap()),
        first_s: 0,
        tries: 1,
        has_passed,
    })
}

/// Those of a page.
pub fn links(html: &str) -> Fact<Links> {
    let octets = ["Content-Type: text/html\r\n\r\n", html].concat();
    Fact::Found(Links::read(octets.as_bytes(), &PublicSuffixes::BuiltIn, &no_codes))
}

/// A message that is junk with a probability, in percent.
pub fn junk(percent: u8) -> Fact<JunkFact> {
    let odds = f64::from(percent) / f64::from(100 - percent);
    Fact::Found(JunkFact {
        log_odds_milli: (odds.ln() * 1000.0) as i32,
        is_significant: true,
        own: Seen { junk: 50, wanted: 50 },
        voters: 0,
        is_addressed: true,
        is_plaintext: false,
        pulls: Vec::new(),
    })
}

/// Nobody has such a link who does not deceive.
pub const DECEIT: &str = "<a href='http://203.0.113.5/'>https://bank.com/</a>";
/// Many have such a link who count clicks.
pub const ELSEWHERE: &str = "<a href='https://bit.ly/a'>https://ann.com/</a>";

/// So many messages within a minute from the client.
pub fn rates(messages: u64) -> Fact<Vec<(RateNetwork, Rate)>> {
    let network = RateNetwork {
        width: 1,
        address: "192.0.2.1".parse().unwrap(),
    };
    let minute = Amount { messages, octets: 0 };
    let day = Amount::default();
    Fact::Found(vec![(network, Rate { minute, day })])
}

pub fn listed(zones: &[(&'static str, bool)]) -> Fact<Vec<ZoneFact>> {
    let fact = |(zone, is_listed): &(&'static str, bool)| ZoneFact {
        zone: (*zone).into(),
        finding: match is_listed {
            true => ZoneFinding::Listed {
                subject: line("192.0.2.1"),
                codes: Vec::new(),
                text: Line::default(),
            },
            false => ZoneFinding::NotListed,
        },
    };
    Fact::Found(zones.iter().map(fact).collect())
}

pub fn new() -> Case {
    let text = b"From: Ann <ann@ann.example>\r\nDate: today\r\n\r\nHello.\r\n";
    let origin = Origin {
        iprev: Fact::Unavailable(line("no DNS")),
        spf_helo: spf(SpfResult::None),
        spf_mail_from: spf(SpfResult::None),
        dkim: Fact::Found(Vec::new()),
        arc: Fact::Skipped(line("none")),
        author: Fact::Found(Author::One {
            address: line("ann@ann.example"),
            domain: Domain::parse("ann.example").unwrap(),
        }),
        dmarc: dmarc(DmarcResult::Pass, Wish::Reject),
        mx: Fact::Skipped(line("none")),
    };
    Case {
        message: MessageFacts {
            content: Some(ContentFacts::gather(&Message::parse(text), text.len() as u64)),
            origin,
            virus: Fact::Found(VirusScan::Clean),
            links: Fact::Found(Links::default()),
            ..MessageFacts::unasked(
                0,
                "192.0.2.1".parse().unwrap(),
                line("localhost"),
                ReversePath::parse("ann@ann.example").unwrap(),
            )
        },
        recipient: RecipientFacts {
            zones: Fact::Found(Vec::new()),
            rates: Fact::Found(Vec::new()),
            standing: standing(None, false),
            greylist: greylist(false),
            ..RecipientFacts::unasked(
                Address::parse("bob@our.example").unwrap(),
                MailboxId::try_from("bob@our.example".to_owned()).unwrap(),
                UserStanding::Valid,
            )
        },
        policy: Policy::default(),
    }
}

pub fn action(action: Action) -> Rule {
    Rule {
        action,
        ..Rule::default()
    }
}

pub fn defers() -> Rule {
    Rule {
        unavailable: OnTrouble::Defer,
        ..Rule::default()
    }
}

pub fn shadowed() -> Rule {
    Rule {
        shadow: true,
        ..Rule::default()
    }
}

pub fn passes_known() -> Rule {
    Rule {
        known_passes: true,
        ..Rule::default()
    }
}

pub const POLICY: Disposition = Disposition::Reject(Rejection::Policy);
pub const FORGED: Disposition = Disposition::Reject(Rejection::Unauthenticated);
pub const UNKNOWN: Disposition = Disposition::Reject(Rejection::UnknownUser);

impl Case {
    pub fn with(mut self, change: impl FnOnce(&mut Case)) -> Case {
        change(&mut self);
        self
    }

    pub fn content(&mut self) -> &mut ContentFacts {
        self.message.content.as_mut().unwrap()
    }

    /// Switches a check on.
    pub fn check(self, name: &str, rule: Rule) -> Case {
        self.with(|case| case.policy.checks.rules.set(Check::by_name(name).unwrap(), Some(rule)))
    }

    /// A check that fails: the HELO name is `localhost`.
    pub fn helo(self, rule: Rule) -> Case {
        self.check("helo", rule)
    }

    /// A check that fails, and stands behind `helo`.
    pub fn date(self, rule: Rule) -> Case {
        self.with(|case| case.content().has_date = false).check("date", rule)
    }

    pub fn virus(self, rule: Rule) -> Case {
        self.with(|case| case.message.virus = Fact::Found(VirusScan::Infected(line("Eicar"))))
            .check("clamav", rule)
    }

    pub fn dmarc(self, result: DmarcResult, published: Wish, rule: Rule) -> Case {
        self.with(|case| case.message.origin.dmarc = dmarc(result, published))
            .check("dmarc", rule)
    }

    pub fn forged(self, rule: Rule) -> Case {
        self.dmarc(DmarcResult::Fail, Wish::Reject, rule)
    }

    pub fn stands(self, verdict: Repute, is_conclusive: bool) -> Case {
        self.with(|case| case.recipient.standing = standing(Some(verdict), is_conclusive))
            .check("reputation", defers())
    }

    /// Too much mail from the client's network.
    pub fn flood(self) -> Case {
        self.with(|case| case.recipient.rates = rates(500))
            .check("rate", Check::by_name("rate").unwrap().spec().default_rule())
    }

    /// SPF says that the client may not send for a sender of whom nothing is known.
    pub fn strange(self) -> Case {
        self.with(|case| case.message.origin.spf_mail_from = spf(SpfResult::SoftFail))
            .check("strangers", Check::by_name("strangers").unwrap().spec().default_rule())
            .little(None)
    }

    /// No more is known of the sender than his network.
    pub fn little(self, verdict: Option<Repute>) -> Case {
        self.with(|case| {
            case.recipient.standing = Fact::Found(Standing {
                verdict,
                is_conclusive: false,
                method: Method::Ip3,
                walk: Vec::new(),
                shared: None,
            });
        })
    }

    /// A first try.
    pub fn greylisted(self) -> Case {
        self.check(
            "greylisting",
            Check::by_name("greylisting").unwrap().spec().default_rule(),
        )
    }

    /// It has a link.
    pub fn links_to(self, html: &str) -> Case {
        self.with(|case| case.message.links = links(html))
            .check("links", Check::by_name("links").unwrap().spec().default_rule())
    }

    /// Its content is that of junk, with a probability in percent.
    pub fn looks_like_junk(self, percent: u8) -> Case {
        self.with(|case| case.recipient.junk = junk(percent))
            .check("junk", Check::by_name("junk").unwrap().spec().default_rule())
    }

    /// A mailing list vouches for it.
    pub fn of_list(self) -> Case {
        self.with(|case| {
            case.recipient.listed = Some(ListHit {
                domain: Domain::parse("list.example").unwrap(),
                proof: ListProof::Dkim,
            });
        })
    }

    pub fn white_ip(self) -> Case {
        self.with(|case| case.recipient.whitelisted = Some(WhitelistHit::Ip(case.message.client)))
    }

    pub fn white_name(self) -> Case {
        self.with(|case| case.recipient.whitelisted = Some(WhitelistHit::Sender(line("ann@ann.example"))))
    }

    /// By a name that counts only where SPF does not disprove it.
    pub fn white_if_not_disproven(self) -> Case {
        self.white_name().with(|case| case.recipient.whitelist_needs_spf = true)
    }

    pub fn black(self) -> Case {
        self.with(|case| case.recipient.blacklisted = Some(BlacklistHit::Ip(case.message.client)))
    }

    pub fn unknown(self) -> Case {
        self.with(|case| case.recipient.user = UserStanding::Unknown)
    }

    pub fn shadow(self) -> Case {
        self.with(|case| case.policy.shadow = true)
    }

    pub fn zones(self, lines: &str, facts: &[(&'static str, bool)]) -> Case {
        self.with(|case| {
            let (zones, bad) = parse_zones(lines);
            assert_eq!(bad, []);
            case.policy.zones = zones;
            case.recipient.zones = listed(facts);
        })
    }

    /// Nothing was asked yet; the author is read off the message.
    pub fn unasked(self) -> Case {
        self.with(|case| {
            let author = std::mem::take(&mut case.message.origin.author);
            case.message.origin = Origin {
                author,
                ..Origin::default()
            };
            case.message.virus = Fact::NotAsked;
            case.message.links = Fact::NotAsked;
            case.recipient.zones = Fact::NotAsked;
            case.recipient.standing = Fact::NotAsked;
            case.recipient.rates = Fact::NotAsked;
            case.recipient.greylist = Fact::NotAsked;
            case.recipient.junk = Fact::NotAsked;
        })
    }

    pub fn evidence(&self) -> Evidence<'_> {
        evidence(&self.message, &self.recipient, &self.policy)
    }

    pub fn step(&self) -> Step {
        decide(&self.message, &self.recipient, &self.policy)
    }

    pub fn verdict(&self) -> Verdict {
        conclude(&self.message, &self.recipient, &self.policy)
    }

    pub fn needs(&self) -> Needs {
        match self.step() {
            Step::Need(needs) => needs,
            Step::Done(_) => Needs::default(),
        }
    }

    /// Takes over from another case what is needed.
    pub fn fill(&mut self, needs: Needs, from: &Case) {
        if needs.has(Group::ReverseName) {
            self.message.origin.iprev = from.message.origin.iprev.clone();
        }
        if needs.has(Group::Origin) {
            self.message.origin = from.message.origin.clone();
        }
        if needs.has(Group::Virus) {
            self.message.virus = from.message.virus.clone();
        }
        if needs.has(Group::Links) {
            self.message.links = from.message.links.clone();
        }
        if needs.has(Group::Zones) {
            self.recipient.zones = from.recipient.zones.clone();
        }
        if needs.has(Group::Standing) {
            self.recipient.standing = from.recipient.standing.clone();
        }
        if needs.has(Group::Rates) {
            self.recipient.rates = from.recipient.rates.clone();
        }
        if needs.has(Group::Greylist) {
            self.recipient.greylist = from.recipient.greylist.clone();
        }
        if needs.has(Group::Junk) {
            self.recipient.junk = from.recipient.junk.clone();
        }
    }
}

/// `helo decisive, date overruled`
pub fn reasons(verdict: &Verdict) -> String {
    let reason = |reason: &Reason| {
        let source = reason.source.to_string();
        let name = source.rsplit('/').next().unwrap_or_default().to_owned();
        format!("{name} {:?}", reason.effect).to_lowercase()
    };
    verdict.reasons.iter().map(reason).collect::<Vec<_>>().join(", ")
}
