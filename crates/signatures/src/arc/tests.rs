//! Chains made here and read again.

use crate::fixture::*;
use judge::auth::arc::ArcResult;
use judge::resolver::Trouble;

const MESSAGE: &str = "From: Ann <ann@news.example>\r\nTo: list@list.example\r\nSubject: one\r\n\r\nHello\r\n";
const RESULTS: &str = "mx.list.example; dmarc=pass header.from=news.example; spf=pass smtp.mailfrom=ann@news.example;\r\n\
                       \tdkim=pass header.d=news.example";

fn by(domain: &str) -> Signing {
    Signing {
        domain: domain.to_owned(),
        ..Signing::default()
    }
}

fn zone() -> Zone {
    Zone::default().with_keys("list.example").with_keys("fwd.example")
}

/// Two sets, by two sealers.
fn chain() -> String {
    let first = seal(MESSAGE, 1, "none", RESULTS, &by("list.example"));
    let second = Signing {
        selector: "ed".to_owned(),
        ..by("fwd.example")
    };
    seal(&first, 2, "pass", "fwd.example; arc=pass", &second)
}

fn found(message: &str, zone: &Zone) -> (ArcResult, String) {
    let found = verify_arc(message.as_bytes(), zone);
    (found.result, found.why.to_string())
}

#[test]
fn a_whole_chain_passes_and_tells_who_says_what() {
    let arc = verify_arc(chain().as_bytes(), &zone());
    assert_eq!(arc.result, ArcResult::Pass, "{arc:?}");
    assert_eq!(arc.why.as_str(), "2 ARC sets verify, the newest of fwd.example");
    let [first, second] = &arc.sets[..] else {
        panic!("{arc:?}")
    };
    assert_eq!(first.sealer.as_ref().unwrap().as_str(), "list.example");
    assert_eq!(first.selector.as_str(), "rsa");
    for domain in [&first.dmarc_pass, &first.spf_pass, &first.dkim_pass.first().cloned()] {
        assert_eq!(domain.as_ref().unwrap().as_str(), "news.example");
    }
    assert_eq!(second.sealer.as_ref().unwrap().as_str(), "fwd.example");
    assert_eq!((&second.dmarc_pass, second.dkim_pass.len()), (&None, 0));
}

#[test]
fn a_message_without_arc_has_none() {
    assert_eq!(
        found(MESSAGE, &zone()),
        (ArcResult::None, "there are no ARC fields".to_owned())
    );
}

#[test]
fn what_was_changed_fails() {
    for (old, new, reason) in [
        (
            "\r\n\r\nHello",
            "\r\n\r\nHullo",
            "ARC set 2: of its signature, the body was changed",
        ),
        (
            "Subject: one",
            "Subject: two",
            "ARC set 2: of its signature, the header was changed",
        ),
        (
            "dmarc=pass",
            "dmarc=none",
            "ARC set 2: of its seal, the sets were changed",
        ),
        ("arc=pass", "arc=none", "ARC set 2: of its seal, the sets were changed"),
        (
            "cv=none",
            "cv=pass",
            "ARC set 1: its seal speaks of a chain before the first",
        ),
        (
            "cv=pass",
            "cv=none",
            "ARC set 2: its seal says that there was no chain before it",
        ),
        (
            "cv=pass",
            "cv=fail",
            "ARC set 2: its sealer found the chain broken (cv=fail)",
        ),
        ("cv=none", "cv=fail", "and others went on"),
        ("cv=none", "cv=what", "cv= is unknown: `what`"),
        ("cv=none; ", "", "its tag cv= is missing"),
        ("cv=none", "cv=none; h=from", "there is a tag h="),
        ("ARC-Seal: i=1", "ARC-Seal: i=3", "ARC set 1: there is no ARC-Seal"),
        (
            "ARC-Seal: i=1",
            "ARC-Seal: i=2",
            "ARC set 2: there are two ARC-Seal fields",
        ),
        ("ARC-Seal: i=1", "ARC-Seal: i=0", "does not say of which set it is"),
        ("ARC-Seal: i=1", "ARC-Seal: i=51", "ARC set 51: a chain has at most 50"),
        ("ARC-Seal: i=1", "X-Seal: i=1", "ARC set 1: there is no ARC-Seal"),
        ("Results: i=1;", "Results: mx;", "does not say of which set it is"),
        ("ARC-Seal: i=1", "ARC-Seal: i=1; ;", "is no tag"),
    ] {
        let message = chain();
        assert!(message.contains(old), "{old}");
        let (result, why) = found(&message.replacen(old, new, 1), &zone());
        assert_eq!(result, ArcResult::Fail, "{old} {new}: {why}");
        assert!(why.contains(reason), "{new}: {why}");
    }
}

#[test]
fn a_seal_by_the_old_key_breaks_the_chain() {
    let other = zone().with("rsa._domainkey.list.example", &["p="]);
    let (result, why) = found(&chain(), &other);
    assert_eq!(result, ArcResult::Fail);
    assert!(
        why.starts_with("ARC set 1: of its seal, the key record at rsa._domainkey.list.example"),
        "{why}"
    );
}

#[test]
fn trouble_with_a_key_is_said_unless_another_seal_is_broken() {
    for name in ["rsa._domainkey.list.example", "ed._domainkey.fwd.example"] {
        let other = zone().with_trouble(name, Trouble::ServerFailure);
        let (result, why) = found(&chain(), &other);
        assert_eq!(result, ArcResult::TempError, "{why}");
        assert!(why.contains("could not be had"), "{why}");
        let changed = chain().replacen("Subject: one", "Subject: two", 1);
        let newest_is_known = name.starts_with("rsa");
        let result = if newest_is_known {
            ArcResult::Fail
        } else {
            ArcResult::TempError
        };
        assert_eq!(found(&changed, &other).0, result);
        let (start, end) = (changed.find("ARC-Seal: i=1").unwrap(), changed.len());
        let sealed_anew = format!(
            "{}{}",
            &changed[..start],
            changed[start..end].replacen(" b=", " b=AAAA", 1)
        );
        assert_eq!(found(&sealed_anew, &other).0, ArcResult::Fail);
    }
}

/// RFC 6376 §5.4 and §8.15, which RFC 8617 §4.1.2 takes over; §8.2.
#[test]
fn a_signature_that_leaves_too_much_open_fails() {
    for (signing, reason) in [
        (
            Signing {
                names: "To:Subject".to_owned(),
                ..by("list.example")
            },
            "it does not sign From",
        ),
        (
            Signing {
                names: "From:ARC-Seal".to_owned(),
                ..by("list.example")
            },
            "it signs ARC-Seal",
        ),
        (
            Signing {
                length: Some(2),
                ..by("list.example")
            },
            "only the first 2 of 7 octets",
        ),
        (
            Signing {
                others: " x=1;".to_owned(),
                ..by("list.example")
            },
            "it expired",
        ),
    ] {
        let (result, why) = found(&seal(MESSAGE, 1, "none", RESULTS, &signing), &zone());
        assert_eq!(result, ArcResult::Fail);
        assert!(why.contains(reason), "{why}");
    }
    let second = format!(
        "From: boss@bank.example\r\n{}",
        seal(MESSAGE, 1, "none", RESULTS, &by("list.example"))
    );
    let (result, why) = found(&second, &zone());
    assert_eq!(result, ArcResult::Fail);
    assert!(why.contains("there are 2 From fields"), "{why}");
}

#[test]
fn fifty_sets_are_read_and_no_more() {
    let mut message = MESSAGE.to_owned();
    for instance in 1..=60 {
        let validation = if instance == 1 { "none" } else { "pass" };
        let signing = Signing {
            selector: "ed".to_owned(),
            ..by("list.example")
        };
        message = seal(&message, instance, validation, "list.example; none", &signing);
        let arc = verify_arc(message.as_bytes(), &zone());
        if instance <= 50 {
            assert_eq!((arc.result, arc.sets.len()), (ArcResult::Pass, instance), "{arc:?}");
        } else {
            assert_eq!((arc.result, arc.sets.len()), (ArcResult::Fail, 0), "{arc:?}");
        }
    }
}

/// RFC 8617 §4.1.3 knows no x= for seals; what is not known is passed over.
#[test]
fn a_seal_does_not_expire() {
    let expiring = Signing {
        others: " x=1;".to_owned(),
        ..by("fwd.example")
    };
    // The older signature is not looked at any more, its seal is.
    let message = seal(MESSAGE, 1, "none", RESULTS, &expiring);
    assert_eq!(found(&message, &zone()).0, ArcResult::Fail);
    let message = seal(&message, 2, "pass", "list.example; none", &by("list.example"));
    assert_eq!(found(&message, &zone()).0, ArcResult::Pass);
}
