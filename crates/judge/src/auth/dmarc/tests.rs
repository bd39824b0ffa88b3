//! Whole evaluations under small zones.

mod readings;

use super::*;
use crate::auth::arc::ArcSet;
use crate::resolver::{Answer, BoxFuture, Kind, Outcome, Question, Record as DnsRecord, Trouble};
use DmarcResult::{Fail, Pass, TempError};
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Mutex;

/// A zone of texts. A name without a record does not exist. `!timeout` is no answer; `!` is a name without texts.
struct Zone {
    texts: HashMap<String, Vec<&'static str>>,
    asked: Mutex<Vec<String>>,
}

impl Zone {
    fn new(records: &[(&str, &'static str)]) -> Zone {
        let mut texts: HashMap<String, Vec<&'static str>> = HashMap::new();
        for (name, text) in records {
            texts.entry((*name).to_owned()).or_default().push(text);
        }
        Zone {
            texts,
            asked: Mutex::new(Vec::new()),
        }
    }
}

impl Resolver for Zone {
    fn ask(&self, question: Question) -> BoxFuture<'_, Answer> {
        let name = question.name.to_string();
        self.asked.lock().unwrap().push(name.clone());
        let outcome = match self.texts.get(&name).map(Vec::as_slice) {
            None => Outcome::NoName,
            Some(["!timeout"]) => Outcome::Unavailable(Trouble::Timeout),
            Some(["!"]) => Outcome::NoRecords,
            Some(_) if question.kind != Kind::Txt => Outcome::NoRecords,
            Some(texts) => Outcome::Records(
                texts
                    .iter()
                    .map(|text| DnsRecord::Txt(text.as_bytes().into()))
                    .collect(),
            ),
        };
        let security = match outcome {
            Outcome::Records(_) => Security::Secure,
            _ => Security::Insecure,
        };
        Box::pin(std::future::ready(Answer { outcome, security }))
    }
}

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

fn author(text: &str) -> Author {
    Author::One {
        address: Line::reason(format!("a@{text}").as_bytes()),
        domain: domain(text),
    }
}

fn dkim((name, result): (&str, DkimResult)) -> Dkim {
    Dkim {
        result,
        domain: Domain::parse(name).ok(),
        selector: Line::literal("s"),
        identity: None,
        algorithm: Line::literal("rsa-sha256"),
        key_bits: None,
        start: Line::default(),
        is_testing: false,
        why: Line::default(),
        security: Security::Unknown,
    }
}

fn spf(result: SpfResult) -> Spf {
    Spf {
        result,
        domain: Line::default(),
        term: Line::default(),
        explanation: Line::default(),
        security: Security::Unknown,
    }
}

/// `co.example` and `pub.example` are public suffixes, as is every name of one label.
fn suffixes() -> PublicSuffixes {
    PublicSuffixes::parse("example\nco.example\npub.example\n").unwrap()
}

type Signatures<'a> = &'a [(&'a str, DkimResult)];

fn judge(zone: &Zone, from: &str, signatures: Signatures<'_>, path: (&str, SpfResult), lot: u8) -> Dmarc {
    let dkim: Vec<Dkim> = signatures.iter().copied().map(dkim).collect();
    let spf_domain = Domain::parse(path.0).ok();
    let evidence = Evidence {
        author: &author(from),
        spf: &spf(path.1),
        spf_domain: spf_domain.as_ref(),
        dkim: &dkim,
        lot,
    };
    pollster::block_on(evaluate(&evidence, &suffixes(), zone))
}

/// One message under one zone, and what comes of it.
struct Case {
    records: &'static [(&'static str, &'static str)],
    from: &'static str,
    signatures: Signatures<'static>,
    path: (&'static str, SpfResult),
    result: DmarcResult,
    /// Record's name, what it asks, what it comes to.
    policy: (&'static str, Wish, Wish),
    organization: Option<&'static str>,
}

fn run(cases: &[Case]) {
    for (n, case) in cases.iter().enumerate() {
        let zone = Zone::new(case.records);
        let found = judge(&zone, case.from, case.signatures, case.path, 50);
        let at = format!("case {n}: {} {:?}: {found:?}", case.from, case.records);
        assert_eq!(found.result, case.result, "{at}");
        let policy = (found.record_at.as_str(), found.published, found.wish);
        assert_eq!(policy, case.policy, "{at}");
        assert_eq!(found.organization, case.organization.map(domain), "{at}");
        assert_eq!(found.author, Some(domain(case.from)));
        let is_aligned = !found.aligned_dkim.is_empty() || found.aligned_spf.is_some();
        assert_eq!(is_aligned, found.result == Pass, "{at}");
        assert!(!found.why.as_str().is_empty() && !found.why.as_str().ends_with('.'));
    }
}

const NO_PATH: (&str, SpfResult) = ("", SpfResult::None);
const NO_RECORD: (&str, Wish, Wish) = ("", Wish::None, Wish::None);

fn simple(
    records: &'static [(&'static str, &'static str)],
    from: &'static str,
    policy: (&'static str, Wish, Wish),
) -> Case {
    Case {
        records,
        from,
        signatures: &[],
        path: NO_PATH,
        result: Fail,
        policy,
        organization: Some("x.example"),
    }
}

fn none(records: &'static [(&'static str, &'static str)], from: &'static str, organization: &'static str) -> Case {
    Case {
        result: DmarcResult::None,
        organization: Some(organization),
        ..simple(records, from, NO_RECORD)
    }
}

const REJECT: (&str, Wish, Wish) = ("_dmarc.x.example", Wish::Reject, Wish::Reject);

#[test]
fn the_record_is_found() {
    run(&[
        none(&[], "x.example", "x.example"),
        none(&[("_dmarc.x.example", "v=spf1 -all")], "x.example", "x.example"),
        simple(&[("_dmarc.x.example", "v=DMARC1; p=reject")], "x.example", REJECT),
        simple(&[("_dmarc.x.example", "v=DMARC1; p=reject")], "c.b.x.example", REJECT),
        // RFC 9989 §4.10: several records are none, and the walk goes on.
        none(
            &[
                ("_dmarc.x.example", "v=DMARC1; p=reject"),
                ("_dmarc.x.example", "v=DMARC1; p=none"),
            ],
            "x.example",
            "x.example",
        ),
        simple(
            &[
                ("_dmarc.x.example", "v=DMARC1; p=reject"),
                ("_dmarc.x.example", "other text"),
                ("_dmarc.a.x.example", "v=DMARC1; p=none"),
                ("_dmarc.a.x.example", "v=DMARC1; p=none"),
            ],
            "a.x.example",
            REJECT,
        ),
        // RFC 9989 §4.10.1: the domain's own `p`, and `sp` of the organization.
        simple(
            &[
                ("_dmarc.x.example", "v=DMARC1; p=reject; sp=none"),
                ("_dmarc.a.x.example", "v=DMARC1; p=quarantine; sp=reject"),
            ],
            "a.x.example",
            ("_dmarc.a.x.example", Wish::Quarantine, Wish::Quarantine),
        ),
        simple(
            &[("_dmarc.x.example", "v=DMARC1; p=reject; sp=quarantine")],
            "a.x.example",
            ("_dmarc.x.example", Wish::Quarantine, Wish::Quarantine),
        ),
        // RFC 9989 §4.10.2: the shortest name with a record.
        simple(
            &[
                ("_dmarc.a.x.example", "v=DMARC1; p=quarantine"),
                ("_dmarc.x.example", "v=DMARC1; p=reject"),
            ],
            "b.a.x.example",
            REJECT,
        ),
        simple(
            &[("_dmarc.a.x.example", "v=DMARC1; p=quarantine")],
            "b.a.x.example",
            ("_dmarc.a.x.example", Wish::Quarantine, Wish::Quarantine),
        ),
        // A record that cannot be used ends it: RFC 9989 §4.10.1.
        none(
            &[
                ("_dmarc.x.example", "v=DMARC1; p=reject"),
                ("_dmarc.a.x.example", "v=DMARC1; p=refuse"),
            ],
            "a.x.example",
            "x.example",
        ),
        simple(
            &[("_dmarc.x.example", "v=DMARC1; rua=mailto:r@x.example")],
            "x.example",
            ("_dmarc.x.example", Wish::None, Wish::None),
        ),
    ]);
}

#[test]
fn public_suffixes_speak_for_others_only_if_they_say_so() {
    run(&[
        none(
            &[("_dmarc.co.example", "v=DMARC1; p=reject")],
            "a.co.example",
            "a.co.example",
        ),
        none(
            &[("_dmarc.example", "v=DMARC1; p=reject")],
            "a.co.example",
            "a.co.example",
        ),
        none(&[("_dmarc.example", "v=DMARC1; p=reject")], "b.a.example", "a.example"),
        Case {
            organization: Some("co.example"),
            ..simple(
                &[("_dmarc.co.example", "v=DMARC1; p=reject")],
                "co.example",
                ("_dmarc.co.example", Wish::Reject, Wish::Reject),
            )
        },
        Case {
            organization: Some("a.co.example"),
            ..simple(
                &[
                    ("_dmarc.co.example", "v=DMARC1; p=reject; sp=quarantine; psd=y"),
                    ("a.co.example", "!"),
                ],
                "a.co.example",
                ("_dmarc.co.example", Wish::Quarantine, Wish::Quarantine),
            )
        },
        // RFC 9091's case: names below a public suffix that do not exist.
        Case {
            organization: Some("a.co.example"),
            ..simple(
                &[("_dmarc.co.example", "v=DMARC1; p=none; np=reject; psd=y")],
                "b.a.co.example",
                ("_dmarc.co.example", Wish::Reject, Wish::Reject),
            )
        },
        // An organization with a record of its own is not spoken for.
        Case {
            organization: Some("a.co.example"),
            ..simple(
                &[
                    ("_dmarc.co.example", "v=DMARC1; p=reject; psd=y"),
                    ("_dmarc.a.co.example", "v=DMARC1; p=none"),
                ],
                "b.a.co.example",
                ("_dmarc.a.co.example", Wish::None, Wish::None),
            )
        },
    ]);
}

#[test]
fn psd_n_marks_an_organization() {
    run(&[
        // `psd=n` at what the list calls a public suffix: the owner knows better.
        Case {
            organization: Some("pub.example"),
            ..simple(
                &[("_dmarc.pub.example", "v=DMARC1; p=reject; psd=n")],
                "a.pub.example",
                ("_dmarc.pub.example", Wish::Reject, Wish::Reject),
            )
        },
        // `psd=n` ends the walk below the organization.
        Case {
            organization: Some("b.x.example"),
            ..simple(
                &[
                    ("_dmarc.b.x.example", "v=DMARC1; p=quarantine; psd=n"),
                    ("_dmarc.x.example", "v=DMARC1; p=reject"),
                ],
                "a.b.x.example",
                ("_dmarc.b.x.example", Wish::Quarantine, Wish::Quarantine),
            )
        },
    ]);
}

#[test]
fn np_is_for_names_that_do_not_exist() {
    const NP: &str = "v=DMARC1; p=none; sp=quarantine; np=reject";
    run(&[
        simple(&[("_dmarc.x.example", NP)], "a.x.example", REJECT),
        simple(
            &[("_dmarc.x.example", NP), ("a.x.example", "!")],
            "a.x.example",
            ("_dmarc.x.example", Wish::Quarantine, Wish::Quarantine),
        ),
        // A name below it exists, and so does it: RFC 8020.
        simple(
            &[("_dmarc.x.example", NP), ("_dmarc.a.x.example", "!")],
            "a.x.example",
            ("_dmarc.x.example", Wish::Quarantine, Wish::Quarantine),
        ),
        simple(
            &[("_dmarc.x.example", NP)],
            "x.example",
            ("_dmarc.x.example", Wish::None, Wish::None),
        ),
        Case {
            result: TempError,
            ..simple(
                &[("_dmarc.x.example", NP), ("a.x.example", "!timeout")],
                "a.x.example",
                ("_dmarc.x.example", Wish::Quarantine, Wish::None),
            )
        },
    ]);
}

#[test]
fn identities_are_aligned() {
    use DkimResult::{Fail as Bad, Pass as Good, Policy};
    const PLAIN: &[(&str, &str)] = &[("_dmarc.x.example", "v=DMARC1; p=reject")];
    const STRICT: &[(&str, &str)] = &[("_dmarc.x.example", "v=DMARC1; p=reject; adkim=s; aspf=s")];
    let of = |records, from, signatures, path, result| Case {
        signatures,
        path,
        result,
        ..simple(records, from, REJECT)
    };
    let path = |name| (name, SpfResult::Pass);
    run(&[
        of(PLAIN, "x.example", &[("x.example", Good)], NO_PATH, Pass),
        of(PLAIN, "x.example", &[("x.example", Bad)], NO_PATH, Fail),
        of(PLAIN, "x.example", &[("x.example", Policy)], NO_PATH, Fail),
        of(
            PLAIN,
            "x.example",
            &[("y.example", Good), ("x.example", Good)],
            NO_PATH,
            Pass,
        ),
        of(PLAIN, "x.example", &[("y.example", Good)], NO_PATH, Fail),
        of(PLAIN, "x.example", &[("xx.example", Good)], NO_PATH, Fail),
        of(PLAIN, "x.example", &[("example", Good)], path("example"), Fail),
        of(PLAIN, "x.example", &[("_", Good)], path("x.example"), Pass),
        of(PLAIN, "x.example", &[], ("x.example", SpfResult::SoftFail), Fail),
        of(PLAIN, "x.example", &[], ("x.example", SpfResult::PermError), Fail),
        // RFC 9989 §B.1.1 and §B.1.2, their three examples.
        of(PLAIN, "x.example", &[], path("x.example"), Pass),
        of(PLAIN, "x.example", &[], path("child.x.example"), Pass),
        of(PLAIN, "child.x.example", &[], path("y.example"), Fail),
        of(PLAIN, "child.x.example", &[("x.example", Good)], NO_PATH, Pass),
        of(PLAIN, "child.x.example", &[("y.example", Good)], NO_PATH, Fail),
        of(PLAIN, "a.x.example", &[("b.x.example", Good)], NO_PATH, Pass),
        of(STRICT, "x.example", &[("x.example", Good)], NO_PATH, Pass),
        of(STRICT, "x.example", &[("a.x.example", Good)], path("a.x.example"), Fail),
        of(STRICT, "x.example", &[], path("x.example"), Pass),
        of(STRICT, "a.x.example", &[("x.example", Good)], path("x.example"), Fail),
    ]);
}

#[test]
fn organizations_are_told_apart_by_psd() {
    use DkimResult::Pass as Good;
    let of = |records, signatures, result, at, organization| Case {
        signatures,
        result,
        organization: Some(organization),
        ..simple(records, "a.x.example", (at, Wish::Reject, Wish::Reject))
    };
    const UNIT: &[(&str, &str)] = &[
        ("_dmarc.x.example", "v=DMARC1; p=reject"),
        ("_dmarc.unit.x.example", "v=DMARC1; p=reject; psd=n"),
    ];
    const REGISTRY: &[(&str, &str)] = &[
        ("_dmarc.x.example", "v=DMARC1; p=none; psd=y"),
        ("_dmarc.a.x.example", "v=DMARC1; p=reject"),
    ];
    run(&[
        of(UNIT, &[("unit.x.example", Good)], Fail, "_dmarc.x.example", "x.example"),
        of(
            UNIT,
            &[("b.unit.x.example", Good)],
            Fail,
            "_dmarc.x.example",
            "x.example",
        ),
        of(UNIT, &[("b.x.example", Good)], Pass, "_dmarc.x.example", "x.example"),
        of(
            REGISTRY,
            &[("b.x.example", Good)],
            Fail,
            "_dmarc.a.x.example",
            "a.x.example",
        ),
        of(
            REGISTRY,
            &[("x.example", Good)],
            Fail,
            "_dmarc.a.x.example",
            "a.x.example",
        ),
        of(
            REGISTRY,
            &[("c.a.x.example", Good)],
            Pass,
            "_dmarc.a.x.example",
            "a.x.example",
        ),
    ]);
}

/// RFC 9989 §B.4; `example.com` of its examples is `x.example`.
#[test]
fn rfc9989_appendix_b_4() {
    use DkimResult::Pass as Good;
    const BOTH: &[(&str, &str)] = &[
        ("_dmarc.x.example", "v=DMARC1; p=reject"),
        ("_dmarc.signing.x.example", "v=DMARC1; p=none"),
    ];
    const BANKS: &[(&str, &str)] = &[
        ("_dmarc.bank.example", "v=DMARC1; p=reject; psd=y"),
        ("_dmarc.giant.bank.example", "v=DMARC1; p=quarantine"),
    ];
    let deep = "a.b.c.d.e.f.g.h.i.j.k.x.example";
    for (records, from, signer, path, dkim, spf, organization, at) in [
        (
            BOTH,
            "x.example",
            "signing.x.example",
            "x.example",
            true,
            true,
            "x.example",
            "x.example",
        ),
        (
            BOTH,
            deep,
            "signing.x.example",
            "x.example",
            true,
            true,
            "x.example",
            "x.example",
        ),
        (
            BANKS,
            "giant.bank.example",
            "mail.mega.bank.example",
            "mail.giant.bank.example",
            false,
            true,
            "giant.bank.example",
            "giant.bank.example",
        ),
    ] {
        let zone = Zone::new(records);
        let found = judge(&zone, from, &[(signer, Good)], (path, SpfResult::Pass), 0);
        assert_eq!(found.result, Pass);
        assert_eq!(found.aligned_dkim, if dkim { vec![domain(signer)] } else { vec![] });
        assert_eq!(found.aligned_spf, spf.then(|| domain(path)));
        assert_eq!(found.organization, Some(domain(organization)));
        assert_eq!(found.record_at.as_str(), format!("_dmarc.{at}"));
        let asked = zone.asked.lock().unwrap();
        let mut distinct = asked.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), asked.len(), "asked twice: {asked:?}");
        assert!(asked.len() <= 8 + 3, "{asked:?}");
    }
}

const OWN: &[(&str, &str)] = &[("_dmarc.x.example", "v=DMARC1; p=reject")];

const OPEN_ABOVE: &[(&str, &str)] = &[
    ("_dmarc.a.x.example", "v=DMARC1; p=reject"),
    ("_dmarc.x.example", "!timeout"),
];

#[test]
fn trouble_is_no_failure() {
    use DkimResult::{Pass as Good, TempError as Open};
    const OPEN_BESIDE: &[(&str, &str)] = &[
        ("_dmarc.x.example", "v=DMARC1; p=reject"),
        ("_dmarc.b.x.example", "!timeout"),
    ];
    let at = ("_dmarc.x.example", Wish::Reject, Wish::None);
    let above = ("_dmarc.a.x.example", Wish::Reject, Wish::None);
    let of = |records, from, signatures, path, policy, organization| Case {
        signatures,
        path,
        result: TempError,
        organization,
        ..simple(records, from, policy)
    };
    let open = SpfResult::TempError;
    let x = Some("x.example");
    run(&[
        of(
            &[("_dmarc.x.example", "!timeout")],
            "x.example",
            &[("x.example", Good)],
            NO_PATH,
            NO_RECORD,
            None,
        ),
        of(
            &[("_dmarc.x.example", "!timeout")],
            "a.x.example",
            &[],
            NO_PATH,
            NO_RECORD,
            None,
        ),
        of(OWN, "x.example", &[("x.example", Open)], NO_PATH, at, x),
        of(OWN, "x.example", &[], ("b.x.example", open), at, x),
        of(OPEN_BESIDE, "x.example", &[("b.x.example", Good)], NO_PATH, at, x),
        of(OPEN_ABOVE, "a.x.example", &[("x.example", Good)], NO_PATH, above, None),
    ]);
}

#[test]
fn trouble_that_cannot_matter_does_not() {
    use DkimResult::{Pass as Good, TempError as Open};
    let open = SpfResult::TempError;
    run(&[
        Case {
            signatures: &[("y.example", Open)],
            path: ("y.example", open),
            ..simple(OWN, "x.example", REJECT)
        },
        Case {
            signatures: &[("x.example", Open), ("x.example", Good)],
            result: Pass,
            ..simple(OWN, "x.example", REJECT)
        },
        Case {
            signatures: &[("a.x.example", Good)],
            result: Pass,
            organization: None,
            ..simple(
                OPEN_ABOVE,
                "a.x.example",
                ("_dmarc.a.x.example", Wish::Reject, Wish::Reject),
            )
        },
        Case {
            signatures: &[("y.test", Good)],
            organization: None,
            ..simple(
                OPEN_ABOVE,
                "a.x.example",
                ("_dmarc.a.x.example", Wish::Reject, Wish::Reject),
            )
        },
    ]);
}

#[test]
fn pct_and_testing_soften_by_lot() {
    let zone = |text| Zone::new(&[("_dmarc.x.example", text)]);
    for (text, lot, wish) in [
        ("v=DMARC1; p=reject; pct=30", 29, Wish::Reject),
        ("v=DMARC1; p=reject; pct=30", 30, Wish::Quarantine),
        ("v=DMARC1; p=quarantine; pct=30", 99, Wish::None),
        ("v=DMARC1; p=reject; pct=0", 0, Wish::Quarantine),
        ("v=DMARC1; p=reject; t=y", 0, Wish::Quarantine),
    ] {
        let found = judge(&zone(text), "x.example", &[], NO_PATH, lot);
        assert_ne!(found.published, Wish::None);
        assert_eq!(found.wish, wish, "{text}");
    }
}

#[test]
fn without_one_author_nothing_is_asked() {
    let zone = Zone::new(&[("_dmarc.x.example", "v=DMARC1; p=reject")]);
    for (author, result) in [
        (Author::None, DmarcResult::None),
        (
            Author::Several(vec![domain("x.example"), domain("y.example")]),
            DmarcResult::PermError,
        ),
        (Author::Several(vec![domain("x.example")]), DmarcResult::PermError),
        (
            Author::Unreadable(Line::literal("the From field has no address")),
            DmarcResult::PermError,
        ),
    ] {
        let spf_domain = domain("x.example");
        let evidence = Evidence {
            author: &author,
            spf: &spf(SpfResult::Pass),
            spf_domain: Some(&spf_domain),
            dkim: &[],
            lot: 0,
        };
        let found = pollster::block_on(evaluate(&evidence, &suffixes(), &zone));
        assert_eq!((found.result, found.wish, found.author), (result, Wish::None, None));
        assert!(!found.why.as_str().is_empty());
    }
    assert!(zone.asked.lock().unwrap().is_empty());
}

#[test]
fn the_reason_is_a_sentence() {
    use DkimResult::{Fail as Bad, Pass as Good};
    let zone = Zone::new(&[("_dmarc.x.example", "v=DMARC1; p=reject; sp=quarantine; pct=10")]);
    let why = |from, signatures, path| judge(&zone, from, signatures, path, 50).why.to_string();
    assert_eq!(
        why("x.example", &[("x.example", Good)], ("b.x.example", SpfResult::Pass)),
        "_dmarc.x.example asks for p=reject; DKIM of x.example and SPF of b.x.example are aligned"
    );
    assert_eq!(
        why("a.x.example", &[("y.example", Good)], ("z.example", SpfResult::Pass)),
        "_dmarc.x.example asks for sp=quarantine, but not for this share of mail; DKIM of y.example is not aligned, \
         SPF of z.example is not aligned"
    );
    assert_eq!(
        why("x.example", &[("x.example", Bad)], ("x.example", SpfResult::SoftFail)),
        "_dmarc.x.example asks for p=reject, but not for this share of mail; no DKIM signature passes, SPF says softfail"
    );
    assert_eq!(why("y.example", &[], NO_PATH), "there is no DMARC record for y.example");
    let zone = Zone::new(&[("_dmarc.x.example", "!timeout")]);
    assert_eq!(
        judge(&zone, "a.x.example", &[], NO_PATH, 0).why.as_str(),
        "no name server answered in time: the record at _dmarc.x.example"
    );
}

#[test]
fn security_is_that_of_the_record() {
    let zone = Zone::new(&[("_dmarc.x.example", "v=DMARC1; p=reject")]);
    assert_eq!(judge(&zone, "a.x.example", &[], NO_PATH, 0).security, Security::Secure);
    assert_eq!(judge(&zone, "y.example", &[], NO_PATH, 0).security, Security::Insecure);
}

#[test]
fn a_sender_cannot_buy_many_questions() {
    let zone = Zone::new(&[("_dmarc.x.example", "v=DMARC1; p=reject")]);
    let names: Vec<String> = (0..50).map(|n| format!("a.b.c.d.e.f.g.h.i.s{n}.x.example")).collect();
    let signatures: Vec<_> = names.iter().map(|name| (name.as_str(), DkimResult::Pass)).collect();
    let found = judge(&zone, "a.b.c.d.e.f.g.h.i.j.x.example", &signatures, NO_PATH, 0);
    assert_eq!((found.result, found.aligned_dkim.len()), (Pass, 10));
    assert!(zone.asked.lock().unwrap().len() <= 11 * 8);
}

/// Sealers from the oldest to the newest, with the domains for which they say dmarc, dkim and spf pass.
fn chain(sets: &[(&str, &str, &str, &str)]) -> Arc {
    let sets = sets.iter().map(|(sealer, dmarc, dkim, spf)| ArcSet {
        sealer: Domain::parse(sealer).ok(),
        selector: Line::literal("s"),
        dmarc_pass: Domain::parse(dmarc).ok(),
        dkim_pass: Domain::parse(dkim).into_iter().collect(),
        spf_pass: Domain::parse(spf).ok(),
    });
    Arc {
        result: ArcResult::Pass,
        sets: sets.collect(),
        why: Line::default(),
    }
}

#[test]
fn a_trusted_sealer_mends_a_failure() {
    let zone = Zone::new(&[("_dmarc.x.example", "v=DMARC1; p=reject")]);
    let failed = judge(&zone, "a.x.example", &[], NO_PATH, 0);
    let trusted = [domain("list.example"), domain("box.example")];
    let sealer = |arc: &Arc| mended_by(&failed, arc, &trusted).map(ToString::to_string);
    for (sets, expected) in [
        (vec![("list.example", "a.x.example", "", "")], Some("list.example")),
        (
            vec![("arc.list.example", "a.x.example", "", "")],
            Some("arc.list.example"),
        ),
        (vec![("list.example", "", "x.example", "")], Some("list.example")),
        (vec![("list.example", "", "", "b.x.example")], Some("list.example")),
        (vec![("list.example", "x.example", "y.example", "y.example")], None),
        (vec![("evil.example", "a.x.example", "x.example", "x.example")], None),
        (vec![("evillist.example", "a.x.example", "", "")], None),
        (vec![("", "a.x.example", "", "")], None),
        (vec![], None),
        // The newest that says so, below others that are trusted.
        (
            vec![("list.example", "a.x.example", "", ""), ("box.example", "", "", "")],
            Some("list.example"),
        ),
        (
            vec![("list.example", "a.x.example", "", ""), ("evil.example", "", "", "")],
            None,
        ),
        (
            vec![("evil.example", "a.x.example", "", ""), ("box.example", "", "", "")],
            None,
        ),
    ] {
        assert_eq!(sealer(&chain(&sets)).as_deref(), expected, "{sets:?}");
    }
    let mut arc = chain(&[("list.example", "a.x.example", "", "")]);
    for result in [ArcResult::Fail, ArcResult::None, ArcResult::TempError] {
        arc.result = result;
        assert_eq!(sealer(&arc), None);
    }
    arc.result = ArcResult::Pass;
    let passed = judge(&zone, "x.example", &[("x.example", DkimResult::Pass)], NO_PATH, 0);
    assert_eq!(mended_by(&passed, &arc, &trusted), None);
}

proptest! {
    /// Whoever controls names outside of the author's organization gets no pass, whatever he publishes there.
    #[test]
    fn strangers_never_align(
        psd in "(psd=[ynu]|p=none|adkim=r|np=none|t=y)(; (psd=[ynu]|aspf=r)){0,2}",
        stranger in "([a-c]\\.){0,3}y\\.example", victim in "([a-c]\\.){0,3}x\\.example",
    ) {
        let record: &'static str = Box::leak(format!("v=DMARC1; p=none; {psd}").into_boxed_str());
        let zone = Zone::new(&[
            ("_dmarc.x.example", "v=DMARC1; p=reject"),
            ("_dmarc.y.example", record), ("_dmarc.a.y.example", record), ("_dmarc.b.a.y.example", record),
        ]);
        let found = judge(&zone, &victim, &[(&stranger, DkimResult::Pass)], (&stranger, SpfResult::Pass), 0);
        prop_assert_eq!((found.result, found.wish), (Fail, Wish::Reject));
    }
}
