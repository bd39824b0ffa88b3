//! Authors whom programs read differently.

use super::*;

/// `carl@bank.example via List <list@list.example>` was refused whatever the owners of both ask for.
#[test]
fn of_several_readings_of_the_author_the_worst_counts() {
    let zone = Zone::new(&[
        ("_dmarc.none.example", "v=DMARC1; p=none"),
        ("_dmarc.quarantine.example", "v=DMARC1; p=quarantine"),
        ("_dmarc.reject.example", "v=DMARC1; p=reject"),
        ("_dmarc.timeout.example", "!timeout"),
        ("_dmarc.list.example", "v=DMARC1; p=reject"),
    ]);
    let judge = |names: &[&str]| {
        let spf_domain = domain("list.example");
        let evidence = Evidence {
            author: &Author::Disputed(names.iter().map(|name| domain(name)).collect()),
            spf: &spf(SpfResult::Pass),
            spf_domain: Some(&spf_domain),
            dkim: &[],
            lot: 0,
        };
        pollster::block_on(evaluate(&evidence, &suffixes(), &zone))
    };
    use DmarcResult::{Fail, None as Nothing, TempError};
    for (worst, result, wish) in [
        ("nothing.example", Nothing, Wish::None),
        ("none.example", Fail, Wish::None),
        ("quarantine.example", Fail, Wish::Quarantine),
        ("reject.example", Fail, Wish::Reject),
        ("timeout.example", TempError, Wish::None),
    ] {
        for names in [["list.example", worst], [worst, "list.example"]] {
            let found = judge(&names);
            assert_eq!((found.result, found.wish), (result, wish), "{names:?}");
            assert_eq!(found.author.as_ref().map(Domain::as_str), Some(worst));
            let told = format!("programs read an author of {} or {}; ", names[0], names[1]);
            assert!(found.why.as_str().starts_with(&told), "{}", found.why);
        }
    }
    assert_eq!(judge(&["list.example", "list.example"]).result, DmarcResult::Pass);
    let found = judge(&[
        "timeout.example",
        "quarantine.example",
        "reject.example",
        "none.example",
    ]);
    assert_eq!(found.author.as_ref().map(Domain::as_str), Some("reject.example"));
}
