//! Which reason decides: reasons are heard in the order of rank, and the first one that acts makes the verdict.

use super::{Disposition, Needs, Verdict};
use crate::checks::{Answer, Check, Opinion, Place, Spec, Terms};
use crate::evidence::Group;
use crate::policy::{Action, OnTrouble, Rule};
use crate::reason::{Effect, Reason, Source};
use mail::Line;

/// One check that is switched on and says something.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    pub spec: &'static Spec,
    pub opinion: Opinion,
    pub rule: Rule,
    /// What a failure leads to.
    disposition: Disposition,
    /// Whether it shows that a name is forged.
    disproves_name: bool,
    /// It fails, and waits for what the mailbox knows of the sender.
    pub waiting: Option<Line>,
}

impl Heard {
    pub fn new(spec: &'static Spec, answer: Answer, rule: Rule) -> Heard {
        let Answer { opinion, terms } = answer;
        let Terms {
            action,
            is_evidence,
            unavailable,
            rejection,
            disproves_name,
        } = terms;
        let rule = Rule {
            action: action.unwrap_or(rule.action),
            soft: rule.soft || is_evidence,
            unavailable: unavailable.unwrap_or(rule.unavailable),
            ..rule
        };
        let disposition = match rule.action.clone() {
            Action::Reject => Disposition::Reject(rejection),
            Action::Tag => Disposition::Tag,
            Action::File(folder) => Disposition::File(folder),
            Action::Hold => Disposition::Hold,
            Action::Defer => Disposition::Defer,
            Action::Discard => Disposition::Discard,
        };
        Heard {
            spec,
            opinion,
            rule,
            disposition,
            disproves_name,
            waiting: None,
        }
    }

    /// Whether a whitelist entry cannot overrule it: a virus; and, where the entry goes `by_name`, the proof that the
    /// name is forged, whatever the operator makes of that.
    fn outranks_whitelist(&self, by_name: bool) -> bool {
        self.spec.place == Place::Virus || by_name && self.disproves_name
    }

    /// Whether a failure has a consequence.
    fn acts(&self, shadow: bool) -> bool {
        let never_shadowed = self.spec.place == Place::Virus;
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
                    self.spec.name
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
pub(super) struct Court {
    reasons: Vec<Reason>,
    pub decided: Option<Disposition>,
    pub needs: Needs,
}

impl Court {
    /// The verdict by what was heard, and what must be known before it stands.
    pub fn conclude(self) -> (Verdict, Needs) {
        let verdict = Verdict {
            disposition: self.decided.unwrap_or(Disposition::Accept),
            reasons: self.reasons,
        };
        (verdict, self.needs)
    }

    pub fn hear(&mut self, source: Source, text: Line, disposition: Disposition, shadow: bool) {
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

    /// A reason that decides nothing.
    pub fn note(&mut self, source: Source, text: Line, effect: Effect) {
        self.reasons.push(Reason { source, text, effect });
    }

    /// What a whitelist entry cannot overrule.
    pub fn hear_above_whitelist(&mut self, opinions: &[Heard], by_name: bool, shadow: bool) {
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

    pub fn hear_checks(&mut self, opinions: &[Heard], shadow: bool) {
        let concluded = self.decided.is_some();
        let lead = Lead::of(opinions.iter(), shadow);
        for (at, heard) in opinions.iter().enumerate() {
            let source = Source::Check(heard.spec.check);
            match (&heard.opinion, heard.fault()) {
                (Opinion::Open(group), _) if !concluded && lead.needs(at) => self.needs.add(*group),
                (Opinion::Open(_), _) => match &heard.waiting {
                    Some(text) if heard.rule.soft => self.note(source, text.clone(), Effect::Evidence),
                    Some(text) => self.note(source, text.clone(), Effect::Overruled),
                    None => {}
                },
                (_, Some(_)) if self.has_said(heard.spec.check) => {}
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
        let source = Source::Check(heard.spec.check);
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

    /// DNS lists as mild signals, asked only for what is not refused already. `None`: nobody asked yet.
    pub fn hear_signals(&mut self, signals: Option<Vec<Line>>) {
        if signals.is_none() && self.decided.is_none() {
            self.needs.add(Group::Zones);
        }
        for text in signals.into_iter().flatten() {
            self.note(Source::Check(Check::Dnsbl), text, Effect::Evidence);
        }
    }
}
