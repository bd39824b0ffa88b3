//! What surrounds reputation: rates, strangers, greylisting, allowed lists, content.

use super::case::*;
use super::*;
use crate::auth::iprev::{Iprev, IprevResult};
use crate::auth::spf::SpfResult;
use crate::evidence::ForwarderHit;
use crate::reputation::Repute;

fn no_reverse_name() -> Fact<Iprev> {
    Fact::Found(Iprev {
        result: IprevResult::PermError,
        name: None,
        claimed: None,
        security: crate::resolver::Security::Unknown,
        why: line("no name"),
    })
}

#[test]
fn what_surrounds_reputation_has_its_place() {
    let r = Rule::default;
    expect(vec![
        (
            "rates behind the plain checks",
            new().helo(r()).flood(),
            POLICY,
            "helo decisive, rate overruled",
        ),
        (
            "rates before viruses",
            new().flood().virus(r()).forged(r()),
            Disposition::Defer,
            "rate decisive, clamav overruled, dmarc overruled",
        ),
        (
            "rates, whitelisted",
            new().flood().white_ip(),
            Disposition::Accept,
            "white_list decisive, rate overruled",
        ),
        (
            "rates, in shadow",
            new().flood().shadow(),
            Disposition::Accept,
            "rate shadowed",
        ),
        (
            "strangers behind reputation",
            new().strange().stands(Repute::Junk, true),
            POLICY,
            "reputation decisive",
        ),
        (
            "strangers before greylisting",
            new().strange().greylisted(),
            Disposition::Defer,
            "strangers decisive, greylisting overruled",
        ),
        (
            "a stranger without a reverse name, of whose network junk is known",
            new().strange().little(Some(Repute::Junk)).with(|case| {
                case.message.origin.spf_mail_from = spf(SpfResult::Pass);
                case.message.origin.iprev = no_reverse_name();
            }),
            Disposition::Defer,
            "strangers decisive",
        ),
        (
            "a stranger without a reverse name",
            new().strange().with(|case| {
                case.message.origin.spf_mail_from = spf(SpfResult::Pass);
                case.message.origin.iprev = no_reverse_name();
            }),
            Disposition::Accept,
            "",
        ),
    ]);
}

#[test]
fn greylisting_comes_last_before_content() {
    let mild = ("mild.example score\n", [("mild.example", true)]);
    expect(vec![
        (
            "greylisting",
            new().greylisted().zones(mild.0, &mild.1),
            Disposition::Defer,
            "greylisting decisive, dnsbl evidence",
        ),
        (
            "greylisting, come again",
            new().greylisted().with(|case| case.recipient.greylist = greylist(true)),
            Disposition::Accept,
            "",
        ),
        (
            "greylisting, waited long enough",
            new().greylisted().with(|case| case.message.received_s = 300),
            Disposition::Accept,
            "",
        ),
    ]);
}

#[test]
fn a_good_standing_and_a_proven_forwarder_are_no_strangers() {
    let strange = || new().strange().greylisted();
    let forwarder = |is_proven| {
        strange().with(|case| {
            let name = line("mx.forward.example");
            case.recipient.forwarder = Some(ForwarderHit { name, is_proven });
        })
    };
    expect(vec![
        (
            "known",
            strange().stands(Repute::NotJunk, true),
            Disposition::Accept,
            "reputation evidence",
        ),
        (
            "known, though reputation is off",
            strange().with(|case| case.recipient.standing = standing(Some(Repute::NotJunk), true)),
            Disposition::Accept,
            "",
        ),
        (
            "seen before, not for certain: no stranger to SPF, and yet greylisted",
            strange().stands(Repute::NotJunk, false),
            Disposition::Defer,
            "reputation evidence, greylisting decisive",
        ),
        ("a forwarder", forwarder(true), Disposition::Accept, ""),
        (
            "who only says so",
            forwarder(false),
            Disposition::Defer,
            "strangers decisive, greylisting overruled",
        ),
    ]);
}

#[test]
fn trouble_makes_no_stranger_and_no_friend() {
    let strange = || new().strange().greylisted();
    expect(vec![
        (
            "signed by the author's domain, by another way",
            strange().with(|case| {
                let Fact::Found(dmarc) = &mut case.message.origin.dmarc else {
                    panic!("a known DMARC")
                };
                dmarc.aligned_dkim = vec![Domain::parse("ann.example").unwrap()];
                case.recipient.greylist = greylist(true);
            }),
            Disposition::Accept,
            "",
        ),
        (
            "whoever makes DNS fail is no friend for it",
            strange().with(|case| {
                case.message.origin.dmarc = dmarc(DmarcResult::TempError, Wish::None);
                case.recipient.standing = Fact::Skipped(line("it could not be proven"));
            }),
            Disposition::Defer,
            "strangers decisive, greylisting overruled",
        ),
        (
            "where no history is asked nobody is a stranger",
            new()
                .strange()
                .with(|case| case.recipient.standing = Fact::Skipped(line("none"))),
            Disposition::Accept,
            "",
        ),
        (
            "nobody is a stranger because the store is down",
            strange().with(|case| {
                case.recipient.standing = Fact::Unavailable(line("no store"));
                case.recipient.greylist = Fact::Unavailable(line("no store"));
            }),
            Disposition::Accept,
            "greylisting evidence",
        ),
    ]);
}

#[test]
fn an_allowed_list_is_spared_what_asks_who_it_is() {
    let r = Rule::default;
    let list = || new().forged(r()).stands(Repute::Junk, true).greylisted().of_list();
    let mild = ("mild.example score\n", [("mild.example", true)]);
    expect(vec![
        (
            "dmarc and all behind it",
            list().zones(mild.0, &mild.1),
            Disposition::Accept,
            "dmarc evidence, reputation evidence, greylisting evidence, lists decisive",
        ),
        (
            "strangers",
            new().strange().of_list(),
            Disposition::Accept,
            "strangers evidence, lists decisive",
        ),
        (
            "never a virus",
            list().virus(r()),
            POLICY,
            "clamav decisive, dmarc evidence, reputation evidence, greylisting evidence, lists overruled",
        ),
        (
            "never a plain check, nor a flood",
            new().helo(r()).flood().of_list(),
            POLICY,
            "helo decisive, rate overruled, lists overruled",
        ),
        (
            "nor a blacklist",
            list().black(),
            POLICY,
            "black_list decisive, dmarc evidence, reputation evidence, greylisting evidence, lists overruled",
        ),
    ]);
}

#[test]
fn links_come_behind_what_is_known_of_the_sender() {
    let unproven = |case: &mut Case| {
        case.message.origin.dmarc = dmarc(DmarcResult::Fail, Wish::None);
        case.message.origin.author = Fact::Found(Author::One {
            address: line("ann@ann.com"),
            domain: mail::Domain::parse("ann.com").unwrap(),
        });
    };
    expect(vec![
        ("deceit", new().links_to(DECEIT), POLICY, "links decisive"),
        (
            "greylisting is first",
            new().greylisted().links_to(DECEIT),
            Disposition::Defer,
            "greylisting decisive, links overruled",
        ),
        (
            "a counter of clicks",
            new().links_to(ELSEWHERE),
            Disposition::Accept,
            "links evidence",
        ),
        (
            "the same in the name of an author whom nothing proves",
            new().links_to(ELSEWHERE).with(unproven),
            POLICY,
            "links decisive",
        ),
        (
            "the same, and nobody could say who wrote it",
            new()
                .links_to(ELSEWHERE)
                .with(unproven)
                .with(|case| case.message.origin.dmarc = dmarc(DmarcResult::TempError, Wish::None)),
            Disposition::Accept,
            "links evidence",
        ),
    ]);
}

#[test]
fn content_comes_behind_what_is_known_of_the_sender() {
    expect(vec![
        ("junk", new().looks_like_junk(99), POLICY, "junk decisive"),
        (
            "hardly",
            new().looks_like_junk(60),
            Disposition::Accept,
            "junk evidence",
        ),
        (
            "whom the mailbox welcomes",
            new().stands(Repute::NotJunk, true).looks_like_junk(99),
            Disposition::Accept,
            "reputation evidence, junk evidence",
        ),
        (
            "whom it does not know for certain",
            new().stands(Repute::NotJunk, false).looks_like_junk(99),
            POLICY,
            "reputation evidence, junk decisive",
        ),
        (
            "greylisting is first",
            new().greylisted().looks_like_junk(99),
            Disposition::Defer,
            "greylisting decisive, junk overruled",
        ),
        (
            "before links",
            new().looks_like_junk(99).links_to(DECEIT),
            POLICY,
            "junk decisive, links overruled",
        ),
        (
            "a list that may write",
            new().of_list().looks_like_junk(99),
            Disposition::Accept,
            "junk evidence, lists decisive",
        ),
        (
            "a whitelist",
            new().white_ip().looks_like_junk(99),
            Disposition::Accept,
            "white_list decisive, junk overruled",
        ),
        (
            "shadow",
            new().shadow().looks_like_junk(99),
            Disposition::Accept,
            "junk shadowed",
        ),
    ]);
}

#[test]
fn whom_the_mailbox_knows_is_spared_what_is_said_of_links() {
    expect(vec![
        (
            "whom the mailbox welcomes",
            new().stands(Repute::NotJunk, true).links_to(DECEIT),
            Disposition::Accept,
            "reputation evidence, links evidence",
        ),
        (
            "the same, where nobody could read it",
            new()
                .stands(Repute::NotJunk, true)
                .check("links", defers())
                .with(|case| case.message.links = Fact::Unavailable(line("too much mail"))),
            Disposition::Accept,
            "reputation evidence",
        ),
        (
            "nobody could read it",
            new()
                .check("links", defers())
                .with(|case| case.message.links = Fact::Unavailable(line("too much mail"))),
            Disposition::Defer,
            "links decisive, links evidence",
        ),
        (
            "whom it does not know for certain",
            new().stands(Repute::NotJunk, false).links_to(DECEIT),
            POLICY,
            "reputation evidence, links decisive",
        ),
        (
            "a list that may write here",
            new().of_list().links_to(DECEIT),
            Disposition::Accept,
            "links evidence, lists decisive",
        ),
        (
            "as evidence",
            new().links_to(DECEIT).check("links", Rule::soft()),
            Disposition::Accept,
            "links evidence",
        ),
    ]);
}

#[test]
fn links_are_read_only_where_they_may_decide() {
    let asked = |case: Case| case.unasked().needs();
    assert_eq!(asked(new().links_to(DECEIT)), both(ORIGIN, LINKS));
    assert_eq!(asked(new().white_ip().links_to(DECEIT)), ORIGIN);
    assert_eq!(asked(new().helo(Rule::default()).links_to(DECEIT)), Needs::default());
    // The mail of friends is not read for it.
    let known = new().stands(Repute::NotJunk, true).links_to(DECEIT);
    let mut case = known.clone().unasked();
    for _ in 0..3 {
        let needs = case.needs();
        assert!(!needs.has(Group::Links), "{needs:?}");
        case.fill(needs, &known);
    }
    assert_eq!(case.verdict().disposition, Disposition::Accept);
    assert!(case.message.links.is_open());
}
