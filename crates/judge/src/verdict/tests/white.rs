//! Whitelist entries that go by a name which SPF may disprove.

use super::*;
use crate::auth::spf::SpfResult;

const GOOD: &str = "white_list decisive, helo overruled";

fn says(result: SpfResult) -> Case {
    let spf = spf(result);
    let case = new().helo(Rule::default()).white_if_not_disproven();
    case.with(|case| case.message.origin.spf_mail_from = spf)
}

/// Who knew one whitelisted address passed all checks by writing it in MAIL FROM, although SPF had just said that the client
/// may not send with it.
#[test]
fn an_entry_by_name_does_not_count_where_spf_disproves_the_name() {
    let refused = Disposition::Reject(Rejection::Policy);
    let dropped = "white_list evidence, helo decisive";
    for result in [SpfResult::Fail, SpfResult::SoftFail] {
        let forged = |case: Case| case.with(|case| case.recipient.passes_forged = true);
        let address = says(result).white_ip();
        expect(vec![
            ("sender", says(result), refused.clone(), dropped),
            ("its file says so", forged(says(result)), Disposition::Accept, GOOD),
            ("address", address, Disposition::Accept, GOOD),
            (
                "blacklisted",
                says(result).black(),
                refused.clone(),
                "white_list evidence, black_list decisive, helo overruled",
            ),
            (
                "unknown user",
                says(result).unknown(),
                Disposition::Reject(Rejection::UnknownUser),
                "white_list evidence, test_recipient decisive, helo overruled",
            ),
            (
                "as older versions judged",
                says(result).with(|case| case.recipient.whitelist_needs_spf = false),
                Disposition::Accept,
                GOOD,
            ),
        ]);
    }
    for result in [
        SpfResult::None,
        SpfResult::Neutral,
        SpfResult::Pass,
        SpfResult::PermError,
    ] {
        expect(vec![("not disproven", says(result), Disposition::Accept, GOOD)]);
    }
}

#[test]
fn an_entry_by_name_waits_where_spf_is_in_trouble() {
    let trouble = || says(SpfResult::TempError);
    expect(vec![
        (
            "trouble",
            trouble(),
            Disposition::Defer,
            "white_list decisive, white_list evidence, white_list overruled, helo overruled",
        ),
        (
            "in shadow",
            trouble().shadow(),
            Disposition::Accept,
            "white_list shadowed, white_list evidence, white_list decisive, helo overruled",
        ),
        (
            "a virus is known already",
            trouble().virus(Rule::default()),
            Disposition::Reject(Rejection::Policy),
            "clamav decisive, white_list overruled, white_list evidence, white_list overruled, helo overruled",
        ),
        (
            "DNS is switched off",
            trouble().with(|case| case.message.origin.spf_mail_from = Fact::Unavailable(line("DNS is not asked"))),
            Disposition::Accept,
            GOOD,
        ),
    ]);
}

/// Where the entry fails, blacklists of hosts speak before any check, so the reverse name must be known by then.
#[test]
fn spf_is_asked_before_an_entry_by_name_counts() {
    let hosts = |case: Case| case.with(|case| case.recipient.has_host_blacklist = true);
    for case in [
        says(SpfResult::Fail),
        hosts(says(SpfResult::Fail)),
        says(SpfResult::Fail).unknown(),
    ] {
        assert_eq!(case.clone().unasked().needs(), ORIGIN);
        // Where nobody can be asked, nobody disproves it.
        assert_eq!(case.unasked().verdict().disposition, Disposition::Accept);
    }
    assert_eq!(says(SpfResult::Fail).shadow().unasked().needs(), ORIGIN);
    let listed = says(SpfResult::Pass).black().unasked();
    assert_eq!(listed.needs(), ORIGIN, "it may overrule the blacklist");
}
