//! What holds for any facts under any policy.

use super::super::*;
use super::case::*;
use crate::auth::dmarc::{Dmarc, DmarcResult};
use crate::auth::spf::SpfResult;
use crate::reputation::Repute;
use crate::virus::VirusScan;
use proptest::prelude::*;

fn any_fact<T: Clone + std::fmt::Debug + 'static>(found: Vec<Fact<T>>) -> impl Strategy<Value = Fact<T>> {
    let other = vec![Fact::Skipped(line("skipped")), Fact::Unavailable(line("unavailable"))];
    proptest::sample::select([found, other].concat())
}

fn any_rule() -> impl Strategy<Value = Option<Rule>> {
    let actions = [
        Action::Reject,
        Action::Tag,
        Action::File(Folder::junk()),
        Action::Hold,
        Action::Defer,
        Action::Discard,
    ];
    let flags = proptest::array::uniform5(proptest::bool::weighted(0.2));
    let rule = (proptest::sample::select(actions.to_vec()), flags);
    let rule = rule.prop_map(|(action, [soft, shadow, defers, known_passes, as_recommended])| Rule {
        action,
        soft,
        shadow,
        unavailable: if defers { OnTrouble::Defer } else { OnTrouble::Pass },
        known_passes,
        as_recommended,
    });
    proptest::option::weighted(0.4, rule)
}

fn any_dmarc() -> impl Strategy<Value = Fact<Dmarc>> {
    let results = [
        DmarcResult::Pass,
        DmarcResult::Fail,
        DmarcResult::TempError,
        DmarcResult::None,
    ];
    let wishes = [Wish::None, Wish::Quarantine, Wish::Reject];
    let found = results
        .iter()
        .flat_map(|result| wishes.iter().map(|wish| dmarc(*result, *wish)));
    any_fact(found.collect())
}

const LINES: &str = "bl.example\nmild.example score\ngood.example allow\n";
prop_compose! {
    /// Everything is known, whatever it is.
    fn any_case()(
        spf in any_fact(vec![spf(SpfResult::Pass), spf(SpfResult::Fail), spf(SpfResult::SoftFail), spf(SpfResult::TempError)]),
        dmarc in any_dmarc(),
        virus in any_fact(vec![Fact::Found(VirusScan::Clean), Fact::Found(VirusScan::Infected(line("Eicar")))]),
        standing in any_fact(vec![standing(None, false), standing(Some(Repute::Junk), true),
            standing(Some(Repute::NotJunk), true), standing(Some(Repute::NotJunk), false),
            new().little(None).recipient.standing, new().little(Some(Repute::Junk)).recipient.standing]),
        rates in any_fact(vec![rates(0), rates(500)]),
        (greylist, links) in (any_fact(vec![greylist(false), greylist(true)]),
            any_fact(vec![links(""), links(DECEIT), links(ELSEWHERE)])),
        junk in any_fact(vec![junk(1), junk(90), junk(99)]),
        are_listed in any::<[bool; 3]>(),
        white in 0..6_u8,
        [is_black, is_unknown, has_shadow, of_list] in proptest::array::uniform4(proptest::bool::weighted(0.15)),
        [passes_forged, whitelist_unknown_users, good_helo, has_date, has_zones] in any::<[bool; 5]>(),
        rules in proptest::collection::vec(any_rule(), Check::ALL.len()),
    ) -> Case {
        let [bl, mild, good] = are_listed;
        let lines = if has_zones { LINES } else { "" };
        let mut case = new().zones(lines, &[("bl.example", bl), ("mild.example", mild), ("good.example", good)]);
        for (check, rule) in Check::ALL.into_iter().zip(rules) {
            case.policy.checks.rules.set(check, rule);
        }
        case = match white {
            0 => case.white_ip(),
            1 => case.white_name(),
            2 => case.white_if_not_disproven(),
            _ => case,
        };
        if is_black {
            case = case.black();
        }
        if is_unknown {
            case = case.unknown();
        }
        if of_list {
            case = case.of_list();
        }
        case.message.origin.spf_mail_from = spf;
        case.message.origin.dmarc = dmarc;
        case.message.virus = virus;
        case.message.links = links;
        case.content().has_date = has_date;
        case.message.helo = line(if good_helo { "mx.ann.example" } else { "localhost" });
        case.recipient.standing = standing;
        case.recipient.rates = rates;
        case.recipient.greylist = greylist;
        case.recipient.junk = junk;
        case.recipient.passes_forged = passes_forged;
        case.policy.shadow = has_shadow;
        case.policy.whitelist_unknown_users = whitelist_unknown_users;
        case
    }
}

proptest! {
    #[test]
    fn with_all_facts_there_is_one_verdict(case in any_case()) {
        let verdict = case.verdict();
        prop_assert_eq!(case.step(), Step::Done(verdict.clone()));
        prop_assert_eq!(case.step(), case.step());
        let decisive = verdict.reasons.iter().filter(|reason| reason.effect == Effect::Decisive).count();
        prop_assert!(decisive <= 1);
        prop_assert_eq!(decisive == 0, verdict.decisive().is_none());
        prop_assert!(decisive == 1 || verdict.disposition == Disposition::Accept);
    }

    /// Asking step by step ends soon, and comes to what all the facts would have come to.
    #[test]
    fn three_rounds_come_to_the_same_verdict(full in any_case()) {
        let mut case = full.clone().unasked();
        let mut rounds = 0;
        while let Step::Need(needs) = case.step() {
            rounds += 1;
            prop_assert!(rounds <= 3, "{:?}", needs);
            let before = case.clone();
            case.fill(needs, &full);
            let is_known = before.message.origin == case.message.origin
                && before.message.virus == case.message.virus
                && before.message.links == case.message.links
                && before.recipient.zones == case.recipient.zones
                && before.recipient.standing == case.recipient.standing
                && before.recipient.rates == case.recipient.rates
                && before.recipient.greylist == case.recipient.greylist
                && before.recipient.junk == case.recipient.junk;
            prop_assert!(!is_known, "asked for what is known: {:?}", needs);
        }
        let (gradual, whole) = (case.verdict(), full.verdict());
        prop_assert_eq!(&gradual.disposition, &whole.disposition);
        prop_assert_eq!(gradual.decisive(), whole.decisive());
    }

    /// A row of the table names every group of facts that its check asks for.
    #[test]
    fn a_check_asks_for_no_more_than_its_row_names(case in any_case(), is_asked in any::<[bool; 9]>()) {
        let full = case.clone();
        let mut case = case.unasked();
        let groups = [Group::ReverseName, Group::Origin, Group::Zones, Group::Virus, Group::Standing, Group::Rates,
            Group::Greylist, Group::Junk, Group::Links];
        for (group, _) in groups.into_iter().zip(is_asked).filter(|(_, asked)| *asked) {
            case.fill(Needs::of(group), &full);
        }
        let evidence = case.evidence();
        for spec in table() {
            if let Opinion::Open(group) = (spec.run)(&evidence).opinion {
                prop_assert!(spec.needs.contains(&group), "{} asks for {group:?}", spec.name);
            }
        }
    }

    /// A policy service knows no message, and no check of header or body fails for that.
    #[test]
    fn an_envelope_alone_is_judged(case in any_case()) {
        let case = case.with(|case| case.message.content = None);
        for check in [Check::Date, Check::Mailman, Check::Address, Check::Mailers, Check::EmptyBody, Check::Dkim] {
            prop_assert_eq!((check.spec().run)(&case.evidence()).opinion, Opinion::Passes);
        }
        prop_assert_eq!(case.step(), Step::Done(case.verdict()));
    }

    #[test]
    fn shadow_never_makes_it_worse(case in any_case()) {
        let shadowed = case.clone().shadow().verdict();
        let allowed = matches!(shadowed.decisive().map(|reason| reason.source),
            None | Some(Source::Recipient | Source::WhiteList | Source::List | Source::Check(Check::Clamav)));
        prop_assert!(allowed, "{:?}", shadowed);
    }
}
