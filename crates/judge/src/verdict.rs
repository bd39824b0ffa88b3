//! The verdict: one order for every door.
//!
//! Virus, whitelist, blacklist, recipient, then the operator's plain checks in their order, rates, allowed lists,
//! DMARC, reputation, what is held against strangers, content, then what DNS lists say as mild signals. Limits, load, relay
//! attempts and syntax are answered by the doors before a message is judged. The order and the texts are the project's
//! specification; what a reason of higher rank overrules is kept, because `why` shows it.
//!
//! [`decide`] asks for no more facts than the verdict needs: it names what is missing ([`Step::Need`]), and is asked
//! again with it. [`conclude`] makes do with what is known, so that a stored verdict can be replayed.

#[cfg(test)]
mod tests;

use crate::auth::dmarc::Wish;
use crate::checks::{Answers, Check, Group, Opinion, ZonesOpinion, is_known, rdns_rule, run};
use crate::evidence::{Fact, ListHit, ListProof, MessageFacts, RecipientFacts, UserStanding};
use crate::lists::{BlacklistHit, WhitelistHit};
use crate::policy::{Action, DmarcQuarantine, Folder, OnTrouble, Policy, Rule};
use crate::reason::{Effect, Reason, Source};
use crate::reputation::Standing;
use mail::Line;
use serde::{Deserialize, Serialize};

/// What becomes of a message for one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// 250, to the next hop.
    Accept,
    /// 250, to the next hop with a mark.
    Tag,
    /// 250, to the next hop with a mark and a folder's name.
    File(Folder),
    /// 250, kept in the quarantine, releasable.
    Hold,
    /// 5xx, kept in the quarantine, releasable.
    Reject(Rejection),
    /// 4xx.
    Defer,
    /// 250, kept for the retention time, then gone.
    Discard,
}

/// Which permanent reply a refusal gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rejection {
    /// 550 5.1.1: no such user.
    UnknownUser,
    /// 550 5.7.1: the recipient's rules.
    Policy,
    /// 550 5.7.26 (RFC 7372): not authenticated as from whom it claims to be.
    Unauthenticated,
}

/// A disposition and all the reasons that were found, decisive or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What becomes of the message.
    pub disposition: Disposition,
    /// Why, in the order of rank.
    pub reasons: Vec<Reason>,
}

impl Disposition {
    /// One word, as in logs and reports.
    pub fn word(&self) -> &'static str {
        match self {
            Disposition::Accept => "accept",
            Disposition::Tag => "tag",
            Disposition::File(_) => "file",
            Disposition::Hold => "hold",
            Disposition::Reject(_) => "reject",
            Disposition::Defer => "defer",
            Disposition::Discard => "discard",
        }
    }

    /// Whether the next hop gets the message.
    pub fn is_delivered(&self) -> bool {
        matches!(self, Disposition::Accept | Disposition::Tag | Disposition::File(_))
    }
}

impl Verdict {
    /// The reason that decided; none for mail that nothing speaks against.
    pub fn decisive(&self) -> Option<&Reason> {
        self.reasons.iter().find(|reason| reason.effect == Effect::Decisive)
    }
}

/// A verdict, or what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Ask for these facts, then decide again.
    Need(Needs),
    /// Nothing that could still be asked for would change it.
    Done(Verdict),
}

/// Facts that a verdict needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// [`MessageFacts::origin`].
    pub origin: bool,
    /// [`RecipientFacts::zones`].
    pub zones: bool,
    /// [`MessageFacts::virus`].
    pub virus: bool,
    /// [`RecipientFacts::standing`].
    pub standing: bool,
    /// [`RecipientFacts::rates`].
    pub rates: bool,
    /// [`RecipientFacts::greylist`].
    pub greylist: bool,
    /// [`RecipientFacts::junk`].
    pub junk: bool,
    /// [`MessageFacts::links`].
    pub links: bool,
}

impl Needs {
    /// Whether nothing is needed.
    pub fn is_empty(self) -> bool {
        self == Needs::default()
    }

    fn add(&mut self, group: Group) {
        match group {
            Group::Origin => self.origin = true,
            Group::Zones => self.zones = true,
            Group::Virus => self.virus = true,
            Group::Standing => self.standing = true,
            Group::Rates => self.rates = true,
            Group::Greylist => self.greylist = true,
            Group::Junk => self.junk = true,
            Group::Links => self.links = true,
        }
    }
}

/// Judges one message for one recipient, or says what must be known first. Pure: the same arguments give the same step.
pub fn decide(message: &MessageFacts, recipient: &RecipientFacts, policy: &Policy) -> Step {
    let (verdict, needs) = weigh(message, recipient, policy);
    if needs.is_empty() {
        Step::Done(verdict)
    } else {
        Step::Need(needs)
    }
}

/// Judges by what is known; a check whose facts nobody asked for passes.
pub fn conclude(message: &MessageFacts, recipient: &RecipientFacts, policy: &Policy) -> Verdict {
    weigh(message, recipient, policy).0
}

/// The verdict by what is known, and what must be known before it stands.
fn weigh(message: &MessageFacts, recipient: &RecipientFacts, policy: &Policy) -> (Verdict, Needs) {
    let RecipientFacts {
        address,
        mailbox: _,
        user,
        blacklisted,
        whitelisted,
        passes_forged,
        forwarder: _,
        zones: _,
        listed,
        rates: _,
        standing,
        greylist: _,
        junk: _,
    } = recipient;
    let Policy {
        shadow,
        whitelist_unknown_users,
        checks: _,
        zones: _,
        trusted_sealers: _,
    } = policy;
    let user_fault = user_reason(*user, address, message);
    let pass = whitelisted
        .as_ref()
        .filter(|hit| user_fault.is_none() || *whitelist_unknown_users || matches!(hit, WhitelistHit::Recipient(_)));
    let (mut opinions, mut signals) = opinions(run(message, recipient, policy), message, policy);
    spare(&mut opinions, &mut signals, acquaintance(standing, policy), message);
    spare_list(&mut opinions, &mut signals, listed.as_ref());

    // Highest rank first. The first one that acts decides; the rest are kept as overruled.
    let mut court = Court::default();
    if pass.is_some() {
        court.hear_above_whitelist(&opinions, is_by_name(pass) && !*passes_forged, *shadow);
    }
    if let Some(hit) = pass {
        court.hear(Source::WhiteList, whitelist_text(hit), Disposition::Accept, false);
    }
    if let Some(hit) = blacklisted {
        let refuse = Disposition::Reject(Rejection::Policy);
        court.hear(Source::BlackList, blacklist_text(hit), refuse, *shadow);
    }
    if let Some(text) = user_fault {
        // Never shadowed: the next hop would have to bounce it.
        let refuse = Disposition::Reject(Rejection::UnknownUser);
        court.hear(Source::Recipient, text, refuse, false);
    }
    court.hear_checks(&opinions, *shadow);
    court.hear_signals(signals);
    if let Some(hit) = listed {
        court.hear(Source::List, list_text(hit), Disposition::Accept, false);
    }
    // Whoever gets the message shall see who sent it, and it will be remembered with it.
    if court.decided.as_ref().is_none_or(Disposition::is_delivered) && message.origin.is_open() {
        court.needs.origin = true;
    }
    let verdict = Verdict {
        disposition: court.decided.unwrap_or(Disposition::Accept),
        reasons: court.reasons,
    };
    (verdict, court.needs)
}

/// A whitelist entry of a sender or domain speaks for a name that may be forged.
fn is_by_name(hit: Option<&WhitelistHit>) -> bool {
    matches!(hit, Some(WhitelistHit::Sender(_) | WhitelistHit::Domain(_)))
}

/// One check that is switched on, and what it says.
#[derive(Debug, Clone)]
struct Heard {
    check: Check,
    opinion: Opinion,
    rule: Rule,
    /// What a failure leads to.
    disposition: Disposition,
    /// What the author domain's owner wishes; nothing but for `dmarc`.
    wish: Wish,
    /// It fails, and waits for what the mailbox knows of the sender.
    waiting: Option<Line>,
}

impl Heard {
    fn new(check: Check, opinion: Opinion, rule: Rule, wish: Wish, quarantine: &DmarcQuarantine) -> Heard {
        let (rule, disposition) = match check {
            Check::Dmarc => dmarc_rule(rule, wish, quarantine),
            _ => {
                let action = rule.action.clone();
                (rule, disposition(action))
            }
        };
        Heard {
            check,
            opinion,
            rule,
            disposition,
            wish,
            waiting: None,
        }
    }

    /// Whether a whitelist entry cannot overrule it: a virus; and, where the entry goes `by_name`, the proof that the
    /// name is forged, whatever the operator makes of that.
    fn outranks_whitelist(&self, by_name: bool) -> bool {
        match self.check {
            Check::Clamav => true,
            Check::Dmarc => by_name && (self.wish == Wish::Reject || !matches!(self.opinion, Opinion::Fails(_))),
            _ => false,
        }
    }

    /// One of the operator's plain checks, which stand before rates, viruses, DMARC and reputation.
    fn is_plain(&self) -> bool {
        !matches!(self.check, Check::Rate | Check::Clamav) && !self.is_about_sender() && !self.is_about_content()
    }

    /// One of those that judge what a message holds, and so come behind what is known of its sender.
    fn is_about_content(&self) -> bool {
        matches!(self.check, Check::Junk | Check::Links)
    }

    /// One of those that an allowed list is spared: who it is and what is known of him is the list's business.
    fn is_about_sender(&self) -> bool {
        matches!(
            self.check,
            Check::Dmarc | Check::Reputation | Check::Strangers | Check::Greylisting
        )
    }

    /// Whether a failure has a consequence.
    fn acts(&self, shadow: bool) -> bool {
        let never_shadowed = self.check == Check::Clamav;
        !self.rule.soft && (never_shadowed || !self.rule.shadow && !shadow)
    }

    /// What it comes to; `None` where nothing is to be said against the message, or not yet.
    fn fault(&self) -> Option<(Line, Disposition)> {
        match &self.opinion {
            Opinion::Fails(text) => Some((text.clone(), self.disposition.clone())),
            // What is down, and where, is nobody else's business.
            Opinion::Trouble(_) if self.rule.unavailable == OnTrouble::Defer && !self.rule.soft => {
                let text = format!(
                    "The check {} cannot be made now, please try again later",
                    self.check.name()
                );
                Some((Line::reason(text.as_bytes()), Disposition::Defer))
            }
            Opinion::Passes | Opinion::Excused(_) | Opinion::Mentions(_) | Opinion::Trouble(_) | Opinion::Open(_) => {
                None
            }
        }
    }
}

/// Which of some faults decides: the first one that keeps the message from the next hop; where all of them would deliver
/// (tag, file), the first of those. So a check that only tags never shields a message from one that refuses.
struct Lead {
    /// The first that acts and keeps the message from the next hop.
    keeper: Option<usize>,
    decisive: Option<usize>,
}

impl Lead {
    fn of<'a>(opinions: impl Iterator<Item = &'a Heard> + Clone, shadow: bool) -> Lead {
        let acting = |keeps: bool| {
            opinions.clone().position(|heard| {
                let fault = heard.fault();
                fault.is_some_and(|(_, disposition)| heard.acts(shadow) && !(keeps && disposition.is_delivered()))
            })
        };
        let keeper = acting(true);
        Lead {
            keeper,
            decisive: keeper.or_else(|| acting(false)),
        }
    }

    /// What stands before the one that decides must be known; what stands behind it need not.
    fn needs(&self, at: usize) -> bool {
        self.keeper.is_none_or(|keeper| at < keeper)
    }
}

/// Collects reasons in the order of rank.
#[derive(Default)]
struct Court {
    reasons: Vec<Reason>,
    decided: Option<Disposition>,
    needs: Needs,
}

impl Court {
    fn hear(&mut self, source: Source, text: Line, disposition: Disposition, shadow: bool) {
        let effect = match (&self.decided, shadow) {
            (Some(_), _) => Effect::Overruled,
            (None, true) => Effect::Shadowed,
            (None, false) => Effect::Decisive,
        };
        if effect == Effect::Decisive {
            self.decided = Some(disposition);
        }
        self.note(source, text, effect);
    }

    fn note(&mut self, source: Source, text: Line, effect: Effect) {
        self.reasons.push(Reason { source, text, effect });
    }

    /// What a whitelist entry cannot overrule.
    fn hear_above_whitelist(&mut self, opinions: &[Heard], by_name: bool, shadow: bool) {
        let outranking = |heard: &&Heard| !heard.rule.soft && heard.outranks_whitelist(by_name);
        let outranking = opinions.iter().filter(outranking);
        let lead = Lead::of(outranking.clone(), shadow);
        for (at, heard) in outranking.enumerate() {
            match (&heard.opinion, heard.fault()) {
                (Opinion::Open(group), _) if lead.needs(at) => self.needs.add(*group),
                (_, Some((text, disposition))) => {
                    self.hear_fault(heard, text, disposition, lead.decisive == Some(at), shadow)
                }
                _ => {}
            }
        }
    }

    fn hear_checks(&mut self, opinions: &[Heard], shadow: bool) {
        let concluded = self.decided.is_some();
        let lead = Lead::of(opinions.iter(), shadow);
        for (at, heard) in opinions.iter().enumerate() {
            let source = Source::Check(heard.check);
            match (&heard.opinion, heard.fault()) {
                (Opinion::Open(group), _) if !concluded && lead.needs(at) => self.needs.add(*group),
                (Opinion::Open(_), _) => match &heard.waiting {
                    Some(text) if heard.rule.soft => self.note(source, text.clone(), Effect::Evidence),
                    Some(text) => self.note(source, text.clone(), Effect::Overruled),
                    None => {}
                },
                (_, Some(_)) if self.has_said(heard.check) => {}
                (_, Some((text, _))) if heard.rule.soft => self.note(source, text, Effect::Evidence),
                (_, Some((text, disposition))) => {
                    self.hear_fault(heard, text, disposition, lead.decisive == Some(at), shadow)
                }
                (Opinion::Excused(text) | Opinion::Mentions(text) | Opinion::Trouble(text), None) => {
                    self.note(source, text.clone(), Effect::Evidence);
                }
                (Opinion::Passes | Opinion::Fails(_), None) => {}
            }
            // What the sender is not told.
            if let (Opinion::Trouble(why), Some(_)) = (&heard.opinion, heard.fault()) {
                self.note(source, why.clone(), Effect::Evidence);
            }
        }
    }

    /// A failed check that is not soft.
    fn hear_fault(&mut self, heard: &Heard, text: Line, disposition: Disposition, is_decisive: bool, shadow: bool) {
        let source = Source::Check(heard.check);
        match !heard.acts(shadow) {
            true => self.hear(source, text, disposition, true),
            false if is_decisive => self.hear(source, text, disposition, false),
            false => self.note(source, text, Effect::Overruled),
        }
    }

    /// Whether a check was heard above the whitelist.
    fn has_said(&self, check: Check) -> bool {
        let is_its = |reason: &&Reason| reason.source == Source::Check(check) && reason.effect != Effect::Evidence;
        self.reasons.iter().any(|reason| is_its(&reason))
    }

    /// DNS lists as mild signals, asked only for what is not refused already.
    fn hear_signals(&mut self, signals: Signals) {
        if signals.is_open && self.decided.is_none() {
            self.needs.zones = true;
        }
        for text in signals.texts {
            self.note(Source::Check(Check::Dnsbl), text, Effect::Evidence);
        }
    }
}

/// Whether the mailbox welcomes the sender for certain, as far as the operator lets that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Acquaintance {
    Known,
    Stranger,
    /// Nobody asked yet.
    Open,
}

fn acquaintance(standing: &Fact<Standing>, policy: &Policy) -> Acquaintance {
    let acts = |rule: &Rule| !rule.soft && !rule.shadow && !policy.shadow;
    if !policy.checks.reputation.as_ref().is_some_and(acts) {
        return Acquaintance::Stranger;
    }
    match standing {
        Fact::NotAsked => Acquaintance::Open,
        standing if is_known(standing) => Acquaintance::Known,
        Fact::Found(_) | Fact::Skipped(_) | Fact::Unavailable(_) => Acquaintance::Stranger,
    }
}

/// What a good standing spares its sender: mild signals, what is said of content, and those plain checks whose files say
/// `known = "pass"`.
fn spare(opinions: &mut [Heard], signals: &mut Signals, acquaintance: Acquaintance, message: &MessageFacts) {
    if acquaintance == Acquaintance::Stranger {
        return;
    }
    signals.is_open = false;
    signals.texts.clear();
    for heard in opinions.iter_mut().filter(|heard| heard.is_about_content()) {
        heard.opinion = match (&heard.opinion, acquaintance) {
            (Opinion::Fails(text), Acquaintance::Known) => Opinion::Excused(known_text(text)),
            (Opinion::Open(_) | Opinion::Trouble(_), Acquaintance::Known) => Opinion::Passes,
            (opinion, Acquaintance::Known) => opinion.clone(),
            // Nobody reads the mail of friends for it.
            _ if message.origin.is_open() => Opinion::Open(Group::Origin),
            _ => Opinion::Open(Group::Standing),
        };
    }
    for heard in opinions
        .iter_mut()
        .filter(|heard| heard.rule.known_passes && heard.is_plain())
    {
        let Opinion::Fails(text) = &heard.opinion else { continue };
        heard.waiting = (acquaintance == Acquaintance::Open).then(|| text.clone());
        heard.opinion = match acquaintance {
            Acquaintance::Open if message.origin.is_open() => Opinion::Open(Group::Origin),
            Acquaintance::Open => Opinion::Open(Group::Standing),
            Acquaintance::Known | Acquaintance::Stranger => Opinion::Excused(known_text(text)),
        };
    }
}

fn known_text(text: &Line) -> Line {
    Line::reason(format!("{text}, but this mailbox knows the sender").as_bytes())
}

/// What a list that the operator lets write here is spared: all that asks who the sender is and what is known of him, and
/// what comes behind that.
fn spare_list(opinions: &mut [Heard], signals: &mut Signals, listed: Option<&ListHit>) {
    let Some(hit) = listed else { return };
    signals.is_open = false;
    signals.texts.clear();
    for heard in opinions
        .iter_mut()
        .filter(|heard| heard.is_about_sender() || heard.is_about_content())
    {
        heard.opinion = match &heard.opinion {
            Opinion::Fails(text) => Opinion::Excused(Line::reason(
                format!("{text}, but the list {} may write to this domain", hit.domain).as_bytes(),
            )),
            Opinion::Passes | Opinion::Open(_) | Opinion::Trouble(_) | Opinion::Excused(_) | Opinion::Mentions(_) => {
                Opinion::Passes
            }
        };
    }
}

/// Mild signals.
struct Signals {
    texts: Vec<Line>,
    is_open: bool,
}

fn disposition(action: Action) -> Disposition {
    match action {
        Action::Reject => Disposition::Reject(Rejection::Policy),
        Action::Tag => Disposition::Tag,
        Action::File(folder) => Disposition::File(folder),
        Action::Hold => Disposition::Hold,
        Action::Defer => Disposition::Defer,
        Action::Discard => Disposition::Discard,
    }
}

/// What a failed DMARC leads to. Where the owner asks for suspicion only, the check's own action is too much.
fn dmarc_rule(rule: Rule, wish: Wish, quarantine: &DmarcQuarantine) -> (Rule, Disposition) {
    match (wish, quarantine) {
        (Wish::Reject, _) if rule.action == Action::Reject => (rule, Disposition::Reject(Rejection::Unauthenticated)),
        (Wish::Quarantine, DmarcQuarantine::Act(action)) => (rule, disposition(action.clone())),
        (Wish::Quarantine, DmarcQuarantine::Nothing) => (Rule { soft: true, ..rule }, Disposition::Accept),
        (Wish::Reject | Wish::None, _) => {
            let action = rule.action.clone();
            (rule, disposition(action))
        }
    }
}

/// What every check that is switched on says, in the order in which they are asked. The answers are taken apart whole,
/// so that a check that is added cannot be forgotten here.
fn opinions(answers: Answers, message: &MessageFacts, policy: &Policy) -> (Vec<Heard>, Signals) {
    let Answers {
        sender,
        zones: ZonesOpinion {
            plain,
            signals,
            is_open,
        },
        helo,
        rdns,
        protocol,
        date,
        mailman,
        address,
        mailers,
        empty_body,
        dkim,
        dkim_check,
        spf,
        tls,
        rate,
        clamav,
        dmarc,
        reputation,
        strangers,
        greylisting,
        junk,
        links,
    } = answers;
    let rules = &policy.checks;
    // The file `zones` switches the lists on; `checks/dnsbl` only says what follows.
    let listed = rules.dnsbl.clone().unwrap_or_default();
    let (rdns_check, rdns_rule) = rdns_rule(message.client, rules);
    let heard = [
        (Check::Sender, sender, rules.sender.as_ref()),
        (Check::Dnsbl, plain, Some(&listed)),
        (Check::Helo, helo, rules.helo.as_ref()),
        (rdns_check, rdns, rdns_rule),
        (Check::Protocol, protocol, rules.protocol.as_ref()),
        (Check::Date, date, rules.date.as_ref()),
        (Check::Mailman, mailman, rules.mailman.as_ref()),
        (Check::Address, address, rules.address.as_ref()),
        (Check::Mailers, mailers, rules.mailers.as_ref()),
        (Check::EmptyBody, empty_body, rules.empty_body.as_ref()),
        (Check::Dkim, dkim, rules.dkim.as_ref()),
        (Check::DkimCheck, dkim_check, rules.dkim_check.as_ref()),
        (Check::Spf, spf, rules.spf.as_ref()),
        (Check::Tls, tls, rules.tls.as_ref()),
        (Check::Rate, rate, rules.rate.as_ref()),
        (Check::Clamav, clamav, rules.clamav.as_ref()),
        (Check::Dmarc, dmarc.opinion, rules.dmarc.as_ref()),
        (Check::Reputation, reputation, rules.reputation.as_ref()),
        (Check::Strangers, strangers, rules.strangers.as_ref()),
        (Check::Greylisting, greylisting, rules.greylisting.as_ref()),
        (Check::Junk, junk, rules.junk.as_ref()),
        (Check::Links, links, rules.links.as_ref()),
    ];
    let heard = heard.into_iter().filter_map(|(check, opinion, rule)| {
        let mut rule = rule.filter(|_| opinion != Opinion::Passes)?.clone();
        if check == Check::Dmarc && dmarc.must_wait {
            rule.unavailable = OnTrouble::Defer;
        }
        let wish = if check == Check::Dmarc { dmarc.wish } else { Wish::None };
        Some(Heard::new(check, opinion, rule, wish, &rules.dmarc_quarantine))
    });
    let texts = signals;
    (heard.collect(), Signals { texts, is_open })
}

fn user_reason(user: UserStanding, address: &mail::Address, message: &MessageFacts) -> Option<Line> {
    let local = address.local().folded();
    let text = match user {
        UserStanding::Valid | UserStanding::Anyone => return None,
        UserStanding::Invalid | UserStanding::Unknown => {
            format!("Mail for {local} not accepted at {}", address.host())
        }
        UserStanding::NotFromClient => {
            format!("Mail for {local} not accepted from {}", message.client)
        }
    };
    Some(Line::reason(text.as_bytes()))
}

fn blacklist_text(hit: &BlacklistHit) -> Line {
    let text = match hit {
        BlacklistHit::Ip(ip) => format!("IP address {ip} locally blacklisted"),
        BlacklistHit::Host(host) => format!("Hostname {host} locally blacklisted"),
        BlacklistHit::Sender(sender) => format!("Mail not accepted, sender {sender}."),
        BlacklistHit::Domain(domain) => format!("Mail not accepted, domain {domain}."),
        BlacklistHit::Tld(tld) => format!("Blacklisted TLD: {tld}"),
    };
    Line::reason(text.as_bytes())
}

fn list_text(hit: &ListHit) -> Line {
    let proof = match hit.proof {
        ListProof::Dkim => "its signature verifies",
        ListProof::Spf => "SPF proves its reverse-path",
    };
    Line::reason(format!("The list {} may write to this domain, and {proof}", hit.domain).as_bytes())
}

fn whitelist_text(hit: &WhitelistHit) -> Line {
    let text = match hit {
        WhitelistHit::Ip(ip) => format!("IP address {ip} locally whitelisted"),
        WhitelistHit::Sender(sender) => format!("Sender {sender} locally whitelisted"),
        WhitelistHit::Domain(domain) => format!("Domain {domain} locally whitelisted"),
        WhitelistHit::Recipient(local) => format!("Recipient {local} accepts all mail"),
    };
    Line::reason(text.as_bytes())
}
