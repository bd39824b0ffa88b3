//! Records to test with: a plain one, and any.

#![allow(dead_code, reason = "each test binary uses its own part")]

mod origin;

use judge::checks::Check;
use judge::content::Features;
use judge::evidence::{
    AuthorField, ContentFacts, Fact, ListHit, ListProof, MessageFacts, RecipientFacts, TlsFacts, UserStanding,
};
use judge::greylist::{GreylistFact, Stranger};
use judge::lists::{BlacklistHit, WhitelistHit};
use judge::policy::{Action, Checks, Folder, Policy, Rule};
use judge::rates::{Amount, Rate, RateNetwork};
use judge::reason::{Effect, Reason, Source};
use judge::verdict::{Disposition, Rejection, Verdict};
use mail::smtp::conduct::Conduct;
use mail::{Address, Domain, Host, Line, LocalPart, MailboxId, Reply, ReversePath};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use store::{Ending, LedgerKey, MailwardId, OpenError, Outcome, RecipientRecord, Record, SealedPolicy, Store};

/// 2026-11-21 12:00 UTC.
pub const NOW_S: i64 = 1_795_262_400;

/// No wait is longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Opens a store. A process that another test is just starting holds a copy of each lock of this one, until it becomes
/// what it shall be.
pub fn open(path: &Path) -> Store {
    let begun = Instant::now();
    loop {
        match Store::open(path) {
            Err(OpenError::InUse) if begun.elapsed() < PATIENCE => std::thread::yield_now(),
            done => return done.unwrap_or_else(|why| panic!("{}: {why}", path.display())),
        }
    }
}

/// The `n`th id of the minute of [`NOW_S`].
pub fn id(n: u64) -> MailwardId {
    MailwardId::new(NOW_S, n)
}

/// What the `n`th message is made of.
pub fn features(n: u64) -> Features {
    let text = format!("Subject: Offer {n}\r\n\r\nThe figures of quarter {n} are worth a look, says number{n}.\r\n");
    Features::read(text.as_bytes())
}

pub fn key(n: u8) -> LedgerKey {
    LedgerKey::new([n; 32])
}

/// A record as most are: a small message to `recipients` users, with a reason each.
pub fn record(id: MailwardId, received_s: i64, recipients: usize) -> Record {
    let line = |text: &str| Line::clean(text.as_bytes(), 500);
    let policy = SealedPolicy::new(Policy::default()).unwrap();
    Record {
        id,
        facts: MessageFacts {
            content: Some(ContentFacts {
                size_octets: 4096,
                message_id: Some(line("<CAKx93jd8s-84jf@mail.sender.example>")),
                subject: Some(line("The figures for the third quarter")),
                asks_moderation: false,
                has_date: true,
                author: AuthorField::Plain(line("Bob Sender <bob@sender.example>")),
                mailer: None,
                is_junk_mailer: false,
                has_signature: true,
                body_is_blank: false,
            }),
            ..MessageFacts::unasked(
                received_s,
                "192.0.2.9".parse().unwrap(),
                line("mail.sender.example"),
                ReversePath::parse("bob@sender.example").unwrap(),
            )
        },
        recipients: (0..recipients)
            .map(|n| RecipientRecord {
                facts: recipient(&format!("user{n}@example.com")),
                verdict: Verdict {
                    disposition: Disposition::Reject(Rejection::Policy),
                    reasons: vec![
                        reason("HELO is not a host name", Effect::Evidence),
                        reason("no Date field", Effect::Decisive),
                    ],
                },
                policy: policy.clone(),
            })
            .collect(),
        code_version: "0.1.0".to_owned(),
    }
}

fn recipient(address: &str) -> RecipientFacts {
    let address = Address::parse(address).unwrap();
    let mailbox = MailboxId::new(address.local(), address.domain().unwrap());
    RecipientFacts::unasked(address, mailbox, UserStanding::Valid)
}

fn reason(text: &'static str, effect: Effect) -> Reason {
    Reason {
        source: Source::Check(Check::Helo),
        text: Line::literal(text),
        effect,
    }
}

/// The ending of a message that the next hop took for `recipients` users.
pub fn ending(recipients: usize) -> Ending {
    let reply = Line::literal("2.0.0 Ok: queued as 4XyZ");
    Ending {
        outcomes: vec![Outcome::Delivered { reply: reply.clone() }; recipients],
        reply: Reply::new(250, (2, 0, 0), reply),
        took_ms: 17,
    }
}

fn line() -> impl Strategy<Value = Line> {
    "\\PC{0,60}".prop_map(|text| Line::clean(text.as_bytes(), 500))
}

fn domain() -> impl Strategy<Value = Domain> {
    prop_oneof!["[a-z0-9]{1,20}\\.example", "bücher\\.example", "[a-z_]{1,9}"]
        .prop_filter_map("a domain", |text| Domain::parse(&text).ok())
}

fn local() -> impl Strategy<Value = LocalPart> {
    prop_oneof![
        "[A-Za-z0-9+._-]{1,30}",
        "[^\"\\\\\\p{C}]{1,30}",
        "\"[^\"\\\\\\p{C}]{1,30}\""
    ]
    .prop_filter_map("a local part", |text| LocalPart::parse(&text).ok())
}

fn address() -> impl Strategy<Value = Address> {
    let host = prop_oneof![domain().prop_map(Host::Domain), any::<IpAddr>().prop_map(Host::Literal)];
    (local(), host).prop_filter_map("an address", |(local, host)| {
        Address::parse(&format!("{local}@{host}")).ok()
    })
}

fn reverse_path() -> impl Strategy<Value = ReversePath> {
    prop_oneof![
        Just(ReversePath::Null),
        address().prop_map(ReversePath::Address),
        local().prop_filter_map("a path", |local| ReversePath::parse(&local.to_string()).ok()),
    ]
}

fn message_facts() -> impl Strategy<Value = MessageFacts> {
    let author = prop_oneof![
        Just(AuthorField::Missing),
        line().prop_map(AuthorField::BogusInitial),
        line().prop_map(AuthorField::TwoAts),
        line().prop_map(AuthorField::Plain),
    ];
    let lines = (option::of(line()), option::of(line()), option::of(line()));
    let content = (any::<u64>(), lines, author, any::<[bool; 5]>()).prop_map(
        |(
            size_octets,
            (message_id, subject, mailer),
            author,
            [has_date, has_signature, body_is_blank, asks_moderation, is_junk_mailer],
        )| ContentFacts {
            size_octets,
            message_id,
            subject,
            asks_moderation,
            has_date,
            author,
            mailer,
            is_junk_mailer,
            has_signature,
            body_is_blank,
        },
    );
    let tls = option::of(
        (line(), line(), option::of(line())).prop_map(|(version, cipher, sni)| TlsFacts { version, cipher, sni }),
    );
    let session = (tls, option::of(line()), any::<(bool, u8)>()).prop_map(|(tls, login, (spoke_early, unknown))| {
        let conduct = Conduct {
            spoke_early,
            unknown_before_hello: unknown,
            ..Conduct::default()
        };
        (tls, login, conduct)
    });
    let proofs = (origin::origin(), origin::virus());
    (
        any::<i64>(),
        any::<IpAddr>(),
        line(),
        reverse_path(),
        session,
        option::of(content),
        proofs,
    )
        .prop_map(
            |(received_s, client, helo, reverse_path, (tls, login, conduct), content, (origin, virus))| MessageFacts {
                tls,
                login,
                conduct,
                content,
                origin,
                virus,
                ..MessageFacts::unasked(received_s, client, helo, reverse_path)
            },
        )
}

fn recipient_facts() -> impl Strategy<Value = RecipientFacts> {
    let mailbox = prop_oneof![
        (local(), domain()).prop_map(|(local, domain)| MailboxId::new(&local, &domain)),
        domain().prop_map(|domain| MailboxId::others(&domain)),
    ];
    let user = prop_oneof![
        Just(UserStanding::Valid),
        Just(UserStanding::Anyone),
        Just(UserStanding::Invalid),
        Just(UserStanding::Unknown),
        Just(UserStanding::NotFromClient),
    ];
    let blacklisted = prop_oneof![
        any::<IpAddr>().prop_map(BlacklistHit::Ip),
        domain().prop_map(BlacklistHit::Host),
        line().prop_map(BlacklistHit::Sender),
        domain().prop_map(BlacklistHit::Domain),
        line().prop_map(BlacklistHit::Tld),
    ];
    let whitelisted = prop_oneof![
        any::<IpAddr>().prop_map(WhitelistHit::Ip),
        line().prop_map(WhitelistHit::Sender),
        domain().prop_map(WhitelistHit::Domain),
        line().prop_map(WhitelistHit::Recipient),
    ];
    (
        address(),
        mailbox,
        user,
        option::of(blacklisted),
        option::of(whitelisted),
        (any::<bool>(), origin::forwarder(), origin::zone_facts()),
        (listed(), rates(), greylist()),
    )
        .prop_map(
            |(address, mailbox, user, blacklisted, whitelisted, (passes_forged, forwarder, zones), surround)| {
                let (listed, rates, greylist) = surround;
                RecipientFacts {
                    blacklisted,
                    whitelisted,
                    passes_forged,
                    whitelist_needs_spf: !passes_forged,
                    forwarder,
                    zones,
                    listed,
                    rates,
                    greylist,
                    ..RecipientFacts::unasked(address, mailbox, user)
                }
            },
        )
}

fn listed() -> impl Strategy<Value = Option<ListHit>> {
    let proof = prop_oneof![Just(ListProof::Dkim), Just(ListProof::Spf)];
    option::of((domain(), proof).prop_map(|(domain, proof)| ListHit { domain, proof }))
}

fn rates() -> impl Strategy<Value = Fact<Vec<(RateNetwork, Rate)>>> {
    let amount = || any::<(u64, u64)>().prop_map(|(messages, octets)| Amount { messages, octets });
    let network = (1..=3_u8, any::<IpAddr>()).prop_map(|(width, address)| RateNetwork { width, address });
    let rate = (amount(), amount()).prop_map(|(minute, day)| Rate { minute, day });
    prop_oneof![
        Just(Fact::NotAsked),
        line().prop_map(Fact::Unavailable),
        vec((network, rate), 0..4).prop_map(Fact::Found)
    ]
}

fn greylist() -> impl Strategy<Value = Fact<GreylistFact>> {
    let stranger = prop_oneof![
        domain().prop_map(Stranger::Domain),
        (any::<IpAddr>(), line()).prop_map(|(network, reverse_path)| Stranger::Network { network, reverse_path }),
    ];
    let fact = (stranger, any::<i64>(), any::<u32>(), any::<bool>());
    let fact = fact.prop_map(|(stranger, first_s, tries, has_passed)| GreylistFact {
        stranger,
        first_s,
        tries,
        has_passed,
    });
    prop_oneof![
        Just(Fact::NotAsked),
        line().prop_map(Fact::Skipped),
        fact.prop_map(Fact::Found)
    ]
}

fn folder() -> impl Strategy<Value = Folder> {
    "[A-Za-zäöü]{1,20}(\\.[A-Za-z0-9_-]{1,10})?".prop_filter_map("a folder", |name| Folder::parse(&name))
}

fn verdict() -> impl Strategy<Value = Verdict> {
    let disposition = prop_oneof![
        Just(Disposition::Accept),
        Just(Disposition::Tag),
        folder().prop_map(Disposition::File),
        Just(Disposition::Hold),
        Just(Disposition::Reject(Rejection::UnknownUser)),
        Just(Disposition::Reject(Rejection::Policy)),
        Just(Disposition::Defer),
        Just(Disposition::Discard),
    ];
    let source = prop_oneof![
        Just(Source::Recipient),
        Just(Source::BlackList),
        Just(Source::WhiteList),
        Just(Source::Check(Check::EmptyBody)),
    ];
    let effect = prop_oneof![
        Just(Effect::Decisive),
        Just(Effect::Overruled),
        Just(Effect::Evidence),
        Just(Effect::Shadowed),
    ];
    let reason = (source, line(), effect).prop_map(|(source, text, effect)| Reason { source, text, effect });
    (disposition, vec(reason, 0..4)).prop_map(|(disposition, reasons)| Verdict { disposition, reasons })
}

fn policy() -> impl Strategy<Value = SealedPolicy> {
    let action = prop_oneof![
        Just(Action::Reject),
        Just(Action::Tag),
        folder().prop_map(Action::File),
        Just(Action::Hold),
        Just(Action::Defer),
        Just(Action::Discard),
    ];
    let rule = (action, any::<bool>(), any::<bool>()).prop_map(|(action, soft, shadow)| Rule {
        action,
        soft,
        shadow,
        ..Rule::default()
    });
    let rules = (
        option::of(rule.clone()),
        option::of(rule),
        option::of(vec(domain(), 0..3)),
    );
    let lists = (origin::zones(), vec(domain(), 0..3));
    (any::<bool>(), any::<bool>(), rules, lists).prop_map(
        |(shadow, whitelist_unknown_users, (helo, dkim, dkim_domains), (zones, trusted_sealers))| {
            let mut checks = Checks::default();
            checks.rules.set(Check::Helo, helo);
            checks.rules.set(Check::Dkim, dkim);
            checks.settings.dkim_domains = dkim_domains;
            SealedPolicy::new(Policy {
                shadow,
                whitelist_unknown_users,
                checks,
                zones,
                trusted_sealers,
            })
            .unwrap()
        },
    )
}

/// Any record.
pub fn any_record() -> impl Strategy<Value = Record> {
    let recipient = (recipient_facts(), verdict(), policy()).prop_map(|(facts, verdict, policy)| RecipientRecord {
        facts,
        verdict,
        policy,
    });
    (
        any::<i64>(),
        any::<u64>(),
        message_facts(),
        vec(recipient, 0..4),
        "\\PC{0,20}",
    )
        .prop_map(|(now_s, chance, facts, recipients, code_version)| Record {
            id: MailwardId::new(now_s, chance),
            facts,
            recipients,
            code_version,
        })
}

/// Any ending.
pub fn any_ending() -> impl Strategy<Value = Ending> {
    let outcome = prop_oneof![
        line().prop_map(|reply| Outcome::Delivered { reply }),
        ("\\PC{0,40}", option::of(line())).prop_map(|(quarantine, next_hop)| Outcome::Held { quarantine, next_hop }),
        Just(Outcome::Refused),
        (line(), option::of("[a-z0-9/.]{1,20}"), option::of(line())).prop_map(|(why, quarantine, next_hop)| {
            Outcome::Deferred {
                why,
                quarantine,
                next_hop,
            }
        }),
        Just(Outcome::Unknown),
    ];
    let reply = prop_oneof![
        (200u16..600, line()).prop_map(|(code, text)| Reply::new(code, ((code / 100) as u8, 7, 1), text)),
        vec(line(), 0..3).prop_map(|lines| Reply::bare(250, lines)),
    ];
    (vec(outcome, 0..4), reply, any::<u32>()).prop_map(|(outcomes, reply, took_ms)| Ending {
        outcomes,
        reply,
        took_ms,
    })
}
