//! The evaluation of a record (RFC 7208 §4.6, §5, §6): its terms from left to right, until one decides.
//!
//! Records that records include lie on a stack of our own. Each of them costs one of the ten terms that may ask DNS, so
//! it stays low, and no circle of them is followed far.

use super::SpfResult;
use super::macros::{DomainSpec, MacroString, Place, Values};
use super::record::{self, Mechanism, Prefixes, Qualifier, Term};
use crate::resolver::{Answer, Kind, Name, Outcome, Question, Record, Resolver, Security, Trouble};
use futures_util::future::join_all;
use mail::Line;
use std::net::IpAddr;
use std::sync::Arc;

/// RFC 7208 §4.6.4: an eleventh term that asks DNS is a permerror.
const LOOKUP_TERMS_MAX: u32 = 10;
/// RFC 7208 §4.6.4: so is a third question without an answer.
const VOID_LOOKUPS_MAX: u32 = 2;
/// RFC 7208 §4.6.4: so is an `mx` of more hosts than this.
const MX_HOSTS_MAX: usize = 10;
/// RFC 7208 §4.6.4: the client's names past this number are not looked at.
const CLIENT_NAMES_MAX: usize = 10;
/// RFC 7208 §7.3: what `p` stands for where the client has no name that leads back to it.
const NO_PROVEN_NAME: &str = "unknown";
/// An explanation is not expanded further: no more of it is shown.
const EXPLANATION_OCTETS_MAX: usize = 1000;

/// What came of it.
pub(super) struct Ending {
    pub result: SpfResult,
    pub term: Option<Matched>,
    /// What was wrong, or how a failure is explained; foreign text.
    pub explanation: String,
}

/// The term that decided.
pub(super) struct Matched {
    /// As written.
    pub term: Line,
    /// Whose record holds it.
    pub holder: Name,
}

/// Nothing more is evaluated (RFC 7208 §2.6.6, §2.6.7); why.
enum Stop {
    Temporary(String),
    Permanent(String),
}

/// One record that is being evaluated.
struct Frame {
    domain: Name,
    /// The answer that the record is in, and where.
    answer: Arc<[Record]>,
    at: usize,
    /// Octets of the record that are evaluated.
    done: usize,
    /// What a pass of this record comes to for the one that included it.
    qualifier: Qualifier,
}

/// What comes next.
enum Step {
    /// A term matched, or none.
    Decided(Qualifier, Option<Line>),
    /// Another record is to be evaluated first.
    Include(Frame),
    /// Another record takes the place of this one.
    Redirect(Frame),
}

/// A record, or why there is none.
enum Found {
    Record(Frame),
    NoName,
    NoRecord,
}

/// A name behind the client.
struct ClientName {
    name: Name,
    /// Whether it leads back to the client, once that was asked.
    leads_back: Option<bool>,
}

/// What an evaluation knows and has spent.
pub(super) struct Evaluation<'a> {
    values: Values<'a>,
    resolver: &'a dyn Resolver,
    lookup_terms: u32,
    void_lookups: u32,
    /// Of all answers so far.
    security: Option<Security>,
    /// The names behind the client, once they were asked for, in the order of the alphabet.
    client_names: Option<Vec<ClientName>>,
}

impl<'a> Evaluation<'a> {
    pub fn new(values: Values<'a>, resolver: &'a dyn Resolver) -> Evaluation<'a> {
        Evaluation {
            values,
            resolver,
            lookup_terms: 0,
            void_lookups: 0,
            security: None,
            client_names: None,
        }
    }

    /// Evaluates the record of `domain`; with how far all answers are proven.
    pub async fn run(mut self, domain: Name) -> (Ending, Security) {
        let evaluated = self.evaluate(domain).await;
        // How a failure is explained does not change it.
        let security = self.security.unwrap_or_default();
        let ending = match evaluated {
            Ok((mut ending, Some(frame))) if ending.result == SpfResult::Fail => {
                ending.explanation = self.explain(&frame).await.unwrap_or_default();
                ending
            }
            Ok((ending, _)) => ending,
            Err(Stop::Temporary(why)) => Ending::without_term(SpfResult::TempError, why),
            Err(Stop::Permanent(why)) => Ending::without_term(SpfResult::PermError, why),
        };
        (ending, security)
    }

    /// The ending without explanation, and the record that explains it.
    async fn evaluate(&mut self, domain: Name) -> Result<(Ending, Option<Frame>), Stop> {
        let none = |why: String| Ok((Ending::without_term(SpfResult::None, why), None));
        let mut frame = match self.fetch(&domain, Qualifier::Pass).await? {
            Found::Record(frame) => frame,
            Found::NoName => return none(format!("there is no name {domain}")),
            Found::NoRecord => return none(format!("{domain} has no SPF record")),
        };
        let mut including = Vec::new();
        loop {
            let (mut qualifier, term) = match self.step(&mut frame).await? {
                Step::Include(included) => {
                    including.push(std::mem::replace(&mut frame, included));
                    continue;
                }
                Step::Redirect(other) => {
                    frame = other;
                    continue;
                }
                Step::Decided(qualifier, term) => (qualifier, term),
            };
            let matched = term.map(|term| Matched {
                term,
                holder: frame.domain.clone(),
            });
            // RFC 7208 §5.2: a pass matches in the record that includes this one; anything else does not.
            loop {
                let Some(outer) = including.pop() else {
                    let ending = Ending {
                        result: qualifier.result(),
                        term: matched,
                        explanation: String::new(),
                    };
                    return Ok((ending, Some(frame)));
                };
                let included = std::mem::replace(&mut frame, outer);
                if qualifier != Qualifier::Pass {
                    break;
                }
                qualifier = included.qualifier;
            }
        }
    }

    /// Evaluates terms up to one that decides, or leads to another record.
    async fn step(&mut self, frame: &mut Frame) -> Result<Step, Stop> {
        let Frame {
            domain,
            answer,
            at,
            done,
            qualifier: passed,
        } = frame;
        let text = text(answer, *at);
        while let Some(written) = record::next_term(text, done) {
            let Ok(Term::Directive(qualifier, mechanism)) = Term::parse(written) else {
                continue;
            };
            if let Mechanism::Include(spec) = mechanism {
                self.count_term(domain)?;
                if let Some(target) = self.target_to_follow(spec, domain, written).await? {
                    return Ok(Step::Include(self.follow(target, qualifier, written).await?));
                }
            } else if self.matches(mechanism, domain).await? {
                return Ok(Step::Decided(qualifier, Some(record::quoted(written))));
            }
        }
        let redirect = record::find(text, |term| match term {
            Term::Redirect(spec) => Some(spec),
            Term::Directive(..) | Term::Exp(_) | Term::Unknown => None,
        });
        let Some(spec) = redirect else {
            // RFC 7208 §4.7.
            return Ok(Step::Decided(Qualifier::Neutral, None));
        };
        self.count_term(domain)?;
        let target = self.target_to_follow(spec, domain, "redirect").await?;
        let Some(target) = target else {
            // RFC 8616 §4: the modifier is as if it were not there.
            return Ok(Step::Decided(Qualifier::Neutral, None));
        };
        Ok(Step::Redirect(self.follow(target, *passed, "redirect").await?))
    }

    async fn matches(&mut self, mechanism: Mechanism<'_>, domain: &Name) -> Result<bool, Stop> {
        match mechanism {
            Mechanism::All => Ok(true),
            Mechanism::Ip(network) => Ok(network.holds(self.values.client)),
            Mechanism::A(spec, prefixes) => {
                self.count_term(domain)?;
                let Some(target) = self.target_or(spec, domain).await? else {
                    return Ok(false);
                };
                let answer = self.ask_for_term(target, self.address_kind()).await?;
                Ok(self.has_client(&answer, prefixes))
            }
            Mechanism::Mx(spec, prefixes) => {
                self.count_term(domain)?;
                let Some(target) = self.target_or(spec, domain).await? else {
                    return Ok(false);
                };
                self.matches_mx(target, prefixes).await
            }
            Mechanism::Exists(spec) => {
                self.count_term(domain)?;
                let Some(target) = self.target(spec, domain).await? else {
                    return Ok(false);
                };
                // RFC 7208 §5.7: A, whatever the client's family.
                let answer = self.ask_for_term(target, Kind::A).await?;
                Ok(!answer.records().is_empty())
            }
            Mechanism::Ptr(spec) => {
                self.count_term(domain)?;
                let Some(target) = self.target_or(spec, domain).await? else {
                    return Ok(false);
                };
                Ok(!self.proven_names(Some(&target)).await?.is_empty())
            }
            // Has a record of its own to be evaluated first: see `step`.
            Mechanism::Include(_) => Ok(false),
        }
    }

    /// RFC 7208 §5.4. The hosts' addresses are asked for all at once.
    async fn matches_mx(&mut self, target: Name, prefixes: Prefixes) -> Result<bool, Stop> {
        let exchangers = self.ask_for_term(target.clone(), Kind::Mx).await?;
        let hosts: Vec<&Name> = exchangers
            .records()
            .iter()
            .filter_map(|record| match record {
                Record::Mx(_, host) => host.as_ref(),
                Record::A(_) | Record::Aaaa(_) | Record::Ptr(_) | Record::Txt(_) => None,
            })
            .collect();
        if hosts.len() > MX_HOSTS_MAX {
            return Err(Stop::Permanent(format!(
                "{target} has {} MX hosts, more than {MX_HOSTS_MAX} (RFC 7208 §4.6.4)",
                hosts.len()
            )));
        }
        let kind = self.address_kind();
        let answers = join_all(hosts.iter().map(|&host| self.ask(host.clone(), kind))).await;
        answers.iter().for_each(|answer| self.note(answer));
        // So that the order of the hosts does not matter, a match counts although another host is in trouble.
        if answers.iter().any(|answer| self.has_client(answer, prefixes)) {
            return Ok(true);
        }
        match hosts
            .iter()
            .zip(&answers)
            .find_map(|(host, answer)| Some((host, answer.trouble()?)))
        {
            Some((host, trouble)) => Err(trouble_with(kind, host, trouble)),
            None => Ok(false),
        }
    }

    /// Asks for the names behind the client, once.
    async fn ask_client_names(&mut self) -> Result<(), Stop> {
        if self.client_names.is_some() {
            return Ok(());
        }
        let reverse = Name::reverse(self.values.client);
        let answer = self.ask(reverse.clone(), Kind::Ptr).await;
        self.note(&answer);
        // RFC 7208 §5.5: a DNS error is no match; only that we have asked enough is no answer about the client.
        if answer.trouble() == Some(Trouble::Budget) {
            return Err(trouble_with(Kind::Ptr, &reverse, Trouble::Budget));
        }
        self.count_void(&answer, &reverse)?;
        let mut names: Vec<Name> = answer.names().cloned().collect();
        // Servers change the order; the same facts shall give the same result.
        names.sort();
        names.dedup();
        names.truncate(CLIENT_NAMES_MAX);
        let unproven = |name| ClientName { name, leads_back: None };
        self.client_names = Some(names.into_iter().map(unproven).collect());
        Ok(())
    }

    /// The client's names that lead back to it (RFC 7208 §5.5): those within `zone`, or all. Each is asked about once.
    async fn proven_names(&mut self, zone: Option<&Name>) -> Result<Vec<Name>, Stop> {
        self.ask_client_names().await?;
        let mut names = self.client_names.take().unwrap_or_default();
        let is_wanted = |name: &Name| zone.is_none_or(|zone| name.is_within(zone));
        let kind = self.address_kind();
        let wanted = names.iter_mut().filter(|name| is_wanted(&name.name));
        let mut open: Vec<&mut ClientName> = wanted.filter(|name| name.leads_back.is_none()).collect();
        let answers = join_all(open.iter().map(|name| self.ask(name.name.clone(), kind))).await;
        let mut over_budget = None;
        for (name, answer) in open.iter_mut().zip(&answers) {
            self.note(answer);
            if answer.trouble() == Some(Trouble::Budget) {
                over_budget = Some(trouble_with(kind, &name.name, Trouble::Budget));
            } else {
                name.leads_back = Some(answer.addresses().any(|ip| ip == self.values.client));
            }
        }
        let proven: Vec<Name> = names
            .iter()
            .filter(|name| name.leads_back == Some(true) && is_wanted(&name.name))
            .map(|name| name.name.clone())
            .collect();
        self.client_names = Some(names);
        match over_budget {
            Some(stop) if proven.is_empty() => Err(stop),
            _ => Ok(proven),
        }
    }

    /// What the macro `p` stands for: the domain itself, else a name below it, else any (RFC 7208 §7.3).
    async fn proven_name(&mut self, domain: &Name) -> Result<String, Stop> {
        if self.client_names.is_none() {
            self.count_term(domain)?;
        }
        let proven = self.proven_names(None).await?.into_iter();
        let best = proven.min_by_key(|name| (name != domain, !name.is_within(domain)));
        Ok(best.map_or_else(|| NO_PROVEN_NAME.to_owned(), String::from))
    }

    /// The name that a domain stands for; `None` if it is none, which matches nothing (RFC 7208 §4.8).
    async fn target(&mut self, spec: DomainSpec<'_>, domain: &Name) -> Result<Option<Name>, Stop> {
        if self.is_never_matched(spec) {
            return Ok(None);
        }
        let proven = if spec.uses(b"p") {
            self.proven_name(domain).await?
        } else {
            String::new()
        };
        Ok(spec.expand(&self.values, domain, &proven))
    }

    async fn target_or(&mut self, spec: Option<DomainSpec<'_>>, domain: &Name) -> Result<Option<Name>, Stop> {
        match spec {
            Some(spec) => self.target(spec, domain).await,
            None => Ok(Some(domain.clone())),
        }
    }

    /// The name whose record is to be evaluated; `None` if the term matches nothing. A name that is none has no record,
    /// which is a permerror (RFC 7208 §5.2, §6.1).
    async fn target_to_follow(
        &mut self,
        spec: DomainSpec<'_>,
        domain: &Name,
        written: &str,
    ) -> Result<Option<Name>, Stop> {
        if self.is_never_matched(spec) {
            return Ok(None);
        }
        let target = self.target(spec, domain).await?;
        let target = target.filter(|target| target.label_count() > 1);
        let malformed = || Stop::Permanent(format!("`{}` leads to a name that is none", record::quoted(written)));
        target.map(Some).ok_or_else(malformed)
    }

    /// RFC 8616 §4: a local part outside of ASCII makes every term with `l` or `s` match nothing.
    fn is_never_matched(&self, spec: DomainSpec<'_>) -> bool {
        !self.values.local.is_ascii() && spec.uses(b"ls")
    }

    /// The record that an `include` or `redirect` leads to.
    async fn follow(&mut self, target: Name, qualifier: Qualifier, written: &str) -> Result<Frame, Stop> {
        let what = match self.fetch(&target, qualifier).await? {
            Found::Record(frame) => return Ok(frame),
            Found::NoName => "which does not exist",
            Found::NoRecord => "which has no SPF record",
        };
        let written = record::quoted(written);
        Err(Stop::Permanent(format!("`{written}` leads to {target}, {what}")))
    }

    async fn fetch(&mut self, domain: &Name, qualifier: Qualifier) -> Result<Found, Stop> {
        let answer = self.ask(domain.clone(), Kind::Txt).await;
        self.note(&answer);
        let records = match answer.outcome {
            Outcome::Records(records) => records,
            Outcome::NoRecords => return Ok(Found::NoRecord),
            Outcome::NoName => return Ok(Found::NoName),
            Outcome::Unavailable(trouble) => return Err(trouble_with(Kind::Txt, domain, trouble)),
        };
        let wrong = |fault| Stop::Permanent(format!("SPF of {domain}: {fault}"));
        let Some(at) = record::select(&records).map_err(wrong)? else {
            return Ok(Found::NoRecord);
        };
        record::check(text(&records, at)).map_err(wrong)?;
        Ok(Found::Record(Frame {
            domain: domain.clone(),
            answer: records,
            at,
            done: 0,
            qualifier,
        }))
    }

    /// How the owner explains a failure, if he does (RFC 7208 §6.2). No trouble with it changes the result, and nothing
    /// of it counts.
    async fn explain(&mut self, frame: &Frame) -> Option<String> {
        (self.lookup_terms, self.void_lookups) = (0, 0);
        let spec = record::find(text(&frame.answer, frame.at), |term| match term {
            Term::Exp(spec) => Some(spec),
            Term::Directive(..) | Term::Redirect(_) | Term::Unknown => None,
        })?;
        let target = self.target(spec, &frame.domain).await.ok()??;
        let answer = self.ask(target, Kind::Txt).await;
        let [Record::Txt(text)] = answer.records() else {
            return None;
        };
        let text = std::str::from_utf8(text).ok()?;
        let text = MacroString::parse(text, Place::Explanation).ok()?;
        let proven = match text.uses(b"p") {
            true => self.proven_name(&frame.domain).await.ok()?,
            false => String::new(),
        };
        Some(text.expand(&self.values, &frame.domain, &proven, EXPLANATION_OCTETS_MAX))
    }

    fn ask(&self, name: Name, kind: Kind) -> impl Future<Output = Answer> + Send + use<'a> {
        self.resolver.ask(Question { name, kind })
    }

    /// Asks what a term needs to know; trouble ends the evaluation (RFC 7208 §5).
    async fn ask_for_term(&mut self, name: Name, kind: Kind) -> Result<Answer, Stop> {
        let answer = self.ask(name.clone(), kind).await;
        self.note(&answer);
        if let Some(trouble) = answer.trouble() {
            return Err(trouble_with(kind, &name, trouble));
        }
        self.count_void(&answer, &name)?;
        Ok(answer)
    }

    fn note(&mut self, answer: &Answer) {
        let before = self.security.unwrap_or(answer.security);
        self.security = Some(before.and(answer.security));
    }

    fn count_term(&mut self, domain: &Name) -> Result<(), Stop> {
        self.lookup_terms += 1;
        if self.lookup_terms <= LOOKUP_TERMS_MAX {
            return Ok(());
        }
        Err(Stop::Permanent(format!(
            "more than {LOOKUP_TERMS_MAX} terms ask DNS (RFC 7208 §4.6.4); the record of {domain} has the one too many"
        )))
    }

    /// RFC 7208 §4.6.4 counts terms: what is asked about the hosts of an `mx` or `ptr` is bounded on its own.
    fn count_void(&mut self, answer: &Answer, name: &Name) -> Result<(), Stop> {
        if !matches!(answer.outcome, Outcome::NoRecords | Outcome::NoName) {
            return Ok(());
        }
        self.void_lookups += 1;
        if self.void_lookups <= VOID_LOOKUPS_MAX {
            return Ok(());
        }
        Err(Stop::Permanent(format!(
            "more than {VOID_LOOKUPS_MAX} DNS lookups find nothing (RFC 7208 §4.6.4), the last of them of {name}"
        )))
    }

    fn address_kind(&self) -> Kind {
        if self.values.client.is_ipv4() {
            Kind::A
        } else {
            Kind::Aaaa
        }
    }

    fn has_client(&self, answer: &Answer, prefixes: Prefixes) -> bool {
        let client: IpAddr = self.values.client;
        answer.addresses().any(|ip| prefixes.hold(ip, client))
    }
}

fn text(records: &[Record], at: usize) -> &[u8] {
    match records.get(at) {
        Some(Record::Txt(text)) => text,
        Some(Record::A(_) | Record::Aaaa(_) | Record::Mx(..) | Record::Ptr(_)) | None => &[],
    }
}

fn trouble_with(kind: Kind, name: &Name, trouble: Trouble) -> Stop {
    Stop::Temporary(format!("{kind} of {name}: {trouble}"))
}

impl Ending {
    fn without_term(result: SpfResult, explanation: String) -> Ending {
        Ending {
            result,
            term: None,
            explanation,
        }
    }
}

impl Qualifier {
    fn result(self) -> SpfResult {
        match self {
            Qualifier::Pass => SpfResult::Pass,
            Qualifier::Fail => SpfResult::Fail,
            Qualifier::SoftFail => SpfResult::SoftFail,
            Qualifier::Neutral => SpfResult::Neutral,
        }
    }
}
