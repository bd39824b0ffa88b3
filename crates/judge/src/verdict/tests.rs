//! The order of judgement, case by case.

mod case;
mod properties;
mod replay;
mod surroundings;
mod white;

use super::*;
use crate::auth::author::Author;
use crate::auth::dmarc::DmarcResult;
use crate::reputation::Repute;
use crate::virus::VirusScan;
use case::*;
use mail::{Domain, ReversePath};

#[track_caller]
fn expect(cases: Vec<(&str, Case, Disposition, &str)>) {
    for (name, case, disposition, expected) in cases {
        let verdict = case.verdict();
        assert_eq!(verdict.disposition, disposition, "{name}: {:?}", verdict.reasons);
        assert_eq!(reasons(&verdict), expected, "{name}");
        assert_eq!(case.step(), Step::Done(verdict), "{name}");
    }
}

#[test]
fn ranks_follow_one_another() {
    let r = Rule::default;
    let virus = || new().virus(r());
    let (lists, facts) = (
        "bl.example\nmild.example score\n",
        [("bl.example", true), ("mild.example", true)],
    );
    let score = ("mild.example score\n", [("mild.example", true)]);
    expect(vec![
        ("nothing", new(), Disposition::Accept, ""),
        (
            "virus, whitelist",
            virus().white_ip().black().unknown(),
            POLICY,
            "clamav decisive, white_list overruled, black_list overruled, test_recipient overruled",
        ),
        (
            "whitelist",
            new()
                .white_ip()
                .black()
                .unknown()
                .helo(r())
                .forged(r())
                .stands(Repute::Junk, true),
            Disposition::Accept,
            "white_list decisive, black_list overruled, test_recipient overruled, helo overruled, dmarc overruled, \
             reputation overruled",
        ),
        (
            "blacklist",
            virus().black().unknown().helo(r()),
            POLICY,
            "black_list decisive, test_recipient overruled, helo overruled, clamav overruled",
        ),
        (
            "recipient",
            virus().unknown().helo(r()),
            UNKNOWN,
            "test_recipient decisive, helo overruled, clamav overruled",
        ),
        (
            "plain checks in order",
            virus().helo(r()).date(r()).zones(lists, &facts),
            POLICY,
            "dnsbl decisive, helo overruled, date overruled, clamav overruled, dnsbl evidence",
        ),
        (
            "virus, then dmarc",
            virus().forged(r()).stands(Repute::Junk, true),
            POLICY,
            "clamav decisive, dmarc overruled, reputation overruled",
        ),
        (
            "dmarc, then reputation",
            new().forged(r()).stands(Repute::Junk, true),
            FORGED,
            "dmarc decisive, reputation overruled",
        ),
        (
            "reputation",
            new().stands(Repute::Junk, true),
            POLICY,
            "reputation decisive",
        ),
        (
            "junk seen, not for certain",
            new().stands(Repute::Junk, false),
            Disposition::Accept,
            "reputation evidence",
        ),
        (
            "a mild list",
            new().zones(score.0, &score.1),
            Disposition::Accept,
            "dnsbl evidence",
        ),
        (
            "listed nowhere",
            new().zones(score.0, &[("mild.example", false)]),
            Disposition::Accept,
            "",
        ),
    ]);
}

#[test]
fn actions_rank_by_whether_they_deliver() {
    let tag = || action(Action::Tag);
    let junk = || Disposition::File(Folder::junk());
    expect(vec![
        (
            "tag, reject",
            new().helo(tag()).date(Rule::default()),
            POLICY,
            "helo overruled, date decisive",
        ),
        (
            "tag, hold",
            new().helo(tag()).date(action(Action::Hold)),
            Disposition::Hold,
            "helo overruled, date decisive",
        ),
        (
            "hold, reject",
            new().helo(action(Action::Hold)).date(Rule::default()),
            Disposition::Hold,
            "helo decisive, date overruled",
        ),
        (
            "tag, file",
            new().helo(tag()).date(action(Action::File(Folder::junk()))),
            Disposition::Tag,
            "helo decisive, date overruled",
        ),
        (
            "file",
            new().helo(action(Action::File(Folder::junk()))),
            junk(),
            "helo decisive",
        ),
        (
            "defer",
            new().helo(action(Action::Defer)),
            Disposition::Defer,
            "helo decisive",
        ),
        (
            "discard",
            new().helo(action(Action::Discard)),
            Disposition::Discard,
            "helo decisive",
        ),
        (
            "soft",
            new().helo(Rule::soft()).date(tag()),
            Disposition::Tag,
            "helo evidence, date decisive",
        ),
        // Above a whitelist as below it: a virus that is only marked does not shield a forged name.
        (
            "tagged virus, forged",
            new().virus(tag()).forged(Rule::default()).white_name(),
            FORGED,
            "clamav overruled, dmarc decisive, white_list overruled",
        ),
        (
            "tagged virus",
            new().virus(tag()).white_ip(),
            Disposition::Tag,
            "clamav decisive, white_list overruled",
        ),
    ]);
}

#[test]
fn shadow_spares_all_but_viruses_and_unknown_users() {
    let r = Rule::default;
    expect(vec![
        (
            "server",
            new().shadow().black().helo(r()).forged(r()),
            Disposition::Accept,
            "black_list shadowed, helo shadowed, dmarc shadowed",
        ),
        (
            "check",
            new().helo(shadowed()).date(r()),
            POLICY,
            "helo shadowed, date decisive",
        ),
        (
            "behind",
            new().helo(r()).date(shadowed()),
            POLICY,
            "helo decisive, date overruled",
        ),
        (
            "virus",
            new().shadow().helo(r()).virus(shadowed()),
            POLICY,
            "helo shadowed, clamav decisive",
        ),
        (
            "whitelisted virus",
            new().shadow().virus(shadowed()).white_ip(),
            POLICY,
            "clamav decisive, white_list overruled",
        ),
        (
            "unknown user",
            new().shadow().black().unknown(),
            UNKNOWN,
            "black_list shadowed, test_recipient decisive",
        ),
        (
            "whitelisted forger",
            new().shadow().forged(r()).white_name(),
            Disposition::Accept,
            "dmarc shadowed, white_list decisive",
        ),
        (
            "bad standing",
            new().shadow().stands(Repute::Junk, true),
            Disposition::Accept,
            "reputation shadowed",
        ),
        (
            "good standing in shadow spares nothing",
            new()
                .shadow()
                .stands(Repute::NotJunk, true)
                .zones("mild.example score\n", &[("mild.example", true)]),
            Disposition::Accept,
            "reputation evidence, dnsbl evidence",
        ),
    ]);
}

#[test]
fn trouble_passes_or_waits() {
    let down = |case: Case| case.with(|case| case.message.origin.spf_mail_from = Fact::Unavailable(line("no DNS")));
    let dead = || new().with(|case| case.message.virus = Fact::Unavailable(line("no clamd")));
    let open = |published, rule| new().dmarc(DmarcResult::TempError, published, rule);
    expect(vec![
        (
            "pass",
            down(new()).check("spf", Rule::default()),
            Disposition::Accept,
            "spf evidence",
        ),
        (
            "defer",
            down(new()).check("spf", defers()),
            Disposition::Defer,
            "spf decisive, spf evidence",
        ),
        (
            "defer, soft",
            down(new()).check("spf", Rule { soft: true, ..defers() }),
            Disposition::Accept,
            "spf evidence",
        ),
        (
            "defer, shadow",
            down(new()).shadow().check("spf", defers()),
            Disposition::Accept,
            "spf shadowed, spf evidence",
        ),
        (
            "virus, whitelisted",
            dead().check("clamav", defers()).white_ip(),
            Disposition::Defer,
            "clamav decisive, white_list overruled, clamav evidence",
        ),
        (
            "virus, shadow",
            dead().check("clamav", defers()).shadow(),
            Disposition::Defer,
            "clamav decisive, clamav evidence",
        ),
        (
            "store",
            new()
                .check("reputation", defers())
                .with(|case| case.recipient.standing = Fact::Unavailable(line("no store"))),
            Disposition::Defer,
            "reputation decisive, reputation evidence",
        ),
        // A forger can make the trouble himself.
        (
            "reject waits",
            open(Wish::Reject, Rule::default()),
            Disposition::Defer,
            "dmarc decisive, dmarc evidence",
        ),
        (
            "reject waits, whitelisted",
            open(Wish::Reject, Rule::default()).white_name(),
            Disposition::Defer,
            "dmarc decisive, white_list overruled, dmarc evidence",
        ),
        (
            "quarantine",
            open(Wish::Quarantine, Rule::default()),
            Disposition::Accept,
            "dmarc evidence",
        ),
        (
            "none",
            open(Wish::None, Rule::default()),
            Disposition::Accept,
            "dmarc evidence",
        ),
        (
            "none, defer",
            open(Wish::None, defers()),
            Disposition::Defer,
            "dmarc decisive, dmarc evidence",
        ),
    ]);
}

#[test]
fn dmarc_leads_to_what_the_owner_wishes() {
    let fails = |wish| new().dmarc(DmarcResult::Fail, wish, Rule::default());
    let quarantine = |what: DmarcQuarantine| {
        fails(Wish::Quarantine).with(|case| case.policy.checks.settings.dmarc_quarantine = what)
    };
    let author = |author: Author| {
        new()
            .check("dmarc", Rule::default())
            .with(|case| case.message.origin.author = Fact::Found(author))
    };
    expect(vec![
        ("reject", fails(Wish::Reject), FORGED, "dmarc decisive"),
        (
            "reject, held",
            new().forged(action(Action::Hold)),
            Disposition::Hold,
            "dmarc decisive",
        ),
        (
            "quarantine",
            fails(Wish::Quarantine),
            Disposition::File(Folder::junk()),
            "dmarc decisive",
        ),
        (
            "quarantine, rejected",
            quarantine(DmarcQuarantine::Act(Action::Reject)),
            POLICY,
            "dmarc decisive",
        ),
        (
            "quarantine, nothing",
            quarantine(DmarcQuarantine::Nothing),
            Disposition::Accept,
            "dmarc evidence",
        ),
        ("none", fails(Wish::None), Disposition::Accept, "dmarc evidence"),
        (
            "several authors",
            author(Author::Several(Vec::new())),
            FORGED,
            "dmarc decisive",
        ),
        ("no author", author(Author::None), FORGED, "dmarc decisive"),
        (
            "no author of a notification",
            author(Author::None).with(|case| case.message.reverse_path = ReversePath::Null),
            Disposition::Accept,
            "dmarc evidence",
        ),
    ]);
}

#[test]
fn a_whitelist_by_name_does_not_cover_a_forged_one() {
    let r = Rule::default;
    let domain = |case: Case| {
        case.with(|case| case.recipient.whitelisted = Some(WhitelistHit::Domain(Domain::parse("ann.example").unwrap())))
    };
    let recipient =
        |case: Case| case.with(|case| case.recipient.whitelisted = Some(WhitelistHit::Recipient(line("bob"))));
    let strict = |case: Case| case.with(|case| case.policy.whitelist_unknown_users = false);
    expect(vec![
        (
            "sender",
            new().forged(r()).white_name(),
            FORGED,
            "dmarc decisive, white_list overruled",
        ),
        (
            "domain",
            domain(new().forged(r())),
            FORGED,
            "dmarc decisive, white_list overruled",
        ),
        (
            "address",
            new().forged(r()).white_ip(),
            Disposition::Accept,
            "white_list decisive, dmarc overruled",
        ),
        (
            "recipient",
            recipient(new().forged(r())),
            Disposition::Accept,
            "white_list decisive, dmarc overruled",
        ),
        (
            "forged passes",
            new()
                .forged(r())
                .white_name()
                .with(|case| case.recipient.passes_forged = true),
            Disposition::Accept,
            "white_list decisive, dmarc overruled",
        ),
        (
            "suspect only",
            new().dmarc(DmarcResult::Fail, Wish::Quarantine, r()).white_name(),
            Disposition::Accept,
            "white_list decisive, dmarc overruled",
        ),
        (
            "soft",
            new().forged(Rule::soft()).white_name(),
            Disposition::Accept,
            "white_list decisive, dmarc evidence",
        ),
        (
            "unknown user",
            new().unknown().white_ip(),
            Disposition::Accept,
            "white_list decisive, test_recipient overruled",
        ),
        (
            "unknown user, strict",
            strict(new().unknown().white_ip()),
            UNKNOWN,
            "test_recipient decisive",
        ),
        (
            "unknown user, strict, by recipient",
            recipient(strict(new().unknown())),
            Disposition::Accept,
            "white_list decisive, test_recipient overruled",
        ),
    ]);
}

#[test]
fn a_good_standing_spares_signals_and_checks_that_say_so() {
    let known = || new().stands(Repute::NotJunk, true);
    let score = ("mild.example score\n", [("mild.example", true)]);
    expect(vec![
        (
            "signals",
            known().zones(score.0, &score.1),
            Disposition::Accept,
            "reputation evidence",
        ),
        (
            "signals, not for certain",
            new().stands(Repute::NotJunk, false).zones(score.0, &score.1),
            Disposition::Accept,
            "reputation evidence, dnsbl evidence",
        ),
        (
            "a check that says so",
            known().helo(passes_known()),
            Disposition::Accept,
            "helo evidence, reputation evidence",
        ),
        (
            "a check that does not",
            known().helo(Rule::default()),
            POLICY,
            "helo decisive, reputation evidence",
        ),
        (
            "a list that says so",
            known()
                .zones("bl.example\n", &[("bl.example", true)])
                .check("dnsbl", passes_known()),
            Disposition::Accept,
            "dnsbl evidence, reputation evidence",
        ),
        (
            "never dmarc or a virus",
            known().forged(passes_known()).virus(passes_known()),
            POLICY,
            "clamav decisive, dmarc overruled, reputation evidence",
        ),
        (
            "a stranger",
            new().check("reputation", defers()).helo(passes_known()),
            POLICY,
            "helo decisive",
        ),
        (
            "where reputation is evidence only",
            known().check("reputation", Rule::soft()).helo(passes_known()),
            POLICY,
            "helo decisive, reputation evidence",
        ),
    ]);
    // What fails and was not asked further about is shown as overruled, not lost.
    let behind = new()
        .helo(Rule::default())
        .date(passes_known())
        .check("reputation", defers())
        .unasked();
    assert_eq!(reasons(&behind.verdict()), "helo decisive, date overruled");
    assert_eq!(behind.needs(), Needs::default());
}

#[test]
fn no_more_is_asked_than_the_verdict_needs() {
    let r = Rule::default;
    let all = || {
        let facts = [("bl.example", false), ("mild.example", false)];
        new()
            .zones("bl.example\nmild.example score\n", &facts)
            .virus(r())
            .forged(r())
            .stands(Repute::Junk, true)
    };
    let score = || new().zones("mild.example score\n", &[("mild.example", false)]);
    let clean = |case: Case| case.with(|case| case.message.virus = Fact::Found(VirusScan::Clean));
    let proven = |case: Case| case.with(|case| case.message.origin = new().message.origin);
    for (name, case, expected) in [
        ("delivered", new().unasked(), ORIGIN),
        ("tagged", new().helo(action(Action::Tag)).unasked(), ORIGIN),
        ("refused", new().helo(r()).unasked(), Needs::default()),
        ("held", new().helo(action(Action::Hold)).unasked(), Needs::default()),
        ("blacklisted", all().black().unasked(), Needs::default()),
        (
            "unknown user, and lists of hosts",
            all()
                .unknown()
                .unasked()
                .with(|case| case.recipient.has_host_blacklist = true),
            Needs::of(Group::ReverseName),
        ),
        (
            "blacklisted already, and lists of hosts",
            all()
                .black()
                .unasked()
                .with(|case| case.recipient.has_host_blacklist = true),
            Needs::default(),
        ),
        ("unknown user", all().unknown().unasked(), Needs::default()),
        (
            "in shadow, unknown user",
            all().shadow().black().unknown().unasked(),
            Needs::default(),
        ),
        ("in shadow, blacklisted", new().shadow().black().unasked(), ORIGIN),
        ("whitelisted", all().white_ip().unasked(), both(ORIGIN, VIRUS)),
        (
            "whitelisted, by name",
            all().white_name().unasked(),
            both(ORIGIN, VIRUS),
        ),
        (
            "whitelisted, infected",
            all()
                .white_name()
                .unasked()
                .with(|case| case.message.virus = Fact::Found(VirusScan::Infected(line("Eicar")))),
            Needs::default(),
        ),
        ("everything", all().unasked(), both(both(ORIGIN, ZONES), VIRUS)),
        (
            "standing behind origin",
            clean(proven(score().stands(Repute::Junk, true).unasked())),
            STANDING,
        ),
        (
            "mild lists at once without reputation",
            score().unasked(),
            both(ORIGIN, ZONES),
        ),
        (
            "mild lists behind standing",
            score()
                .stands(Repute::Junk, false)
                .with(|case| case.recipient.zones = Fact::NotAsked),
            ZONES,
        ),
        (
            "no mild lists for the known",
            score()
                .stands(Repute::NotJunk, true)
                .with(|case| case.recipient.zones = Fact::NotAsked),
            Needs::default(),
        ),
        (
            "no mild lists for the refused",
            score().helo(r()).unasked(),
            Needs::default(),
        ),
        ("what stands before a refusal", all().date(r()).unasked(), ZONES),
        (
            "nothing behind one",
            all()
                .check("sender", r())
                .with(|case| {
                    case.message.reverse_path = ReversePath::Unqualified(mail::LocalPart::parse("ann").unwrap())
                })
                .unasked(),
            Needs::default(),
        ),
        (
            "an author who is no author",
            new()
                .check("dmarc", r())
                .unasked()
                .with(|case| case.message.origin.author = Fact::Found(Author::None)),
            Needs::default(),
        ),
        (
            "whom the mailbox may know",
            new().helo(passes_known()).stands(Repute::Junk, true).unasked(),
            ORIGIN,
        ),
        (
            "whom the mailbox may know, proven",
            proven(new().helo(passes_known()).stands(Repute::Junk, true).unasked()),
            STANDING,
        ),
        (
            "rates at once, and who it is",
            new().flood().greylisted().unasked(),
            both(RATES, ORIGIN),
        ),
        (
            "no rates of the refused",
            new().helo(r()).flood().unasked(),
            Needs::default(),
        ),
        (
            "the greylist behind standing",
            proven(new().greylisted().unasked()),
            STANDING,
        ),
        (
            "the greylist last",
            new().greylisted().with(|case| case.recipient.greylist = Fact::NotAsked),
            GREYLIST,
        ),
        (
            "no greylist of the known",
            new()
                .greylisted()
                .stands(Repute::NotJunk, true)
                .with(|case| case.recipient.greylist = Fact::NotAsked),
            Needs::default(),
        ),
        (
            "no greylist of the refused",
            new()
                .greylisted()
                .stands(Repute::Junk, true)
                .with(|case| case.recipient.greylist = Fact::NotAsked),
            Needs::default(),
        ),
    ] {
        assert_eq!(case.needs(), expected, "{name}");
    }
}
