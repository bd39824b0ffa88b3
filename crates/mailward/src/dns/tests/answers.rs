//! What servers answer, and for how long it holds.

use super::server::{Way, denial, empty, record, with};
use super::*;
use hickory_proto::op::ResponseCode;

#[tokio::test]
async fn records_of_each_kind_are_read() {
    let server = Server::replying(|query, _| {
        let records: &[&str] = match query.queries[0].name.to_string().as_str() {
            "txt.example." => &[
                "txt.example. 60 TXT v=spf1 |ip4:192.0.2.0/24| -all",
                "TXT.Example. 60 TXT ",
                "other.example. 60 TXT not asked for",
                "txt.example. 60 A 192.0.2.1",
            ],
            "mx.example." => &["mx.example. 60 MX 10 MX1.example.", "mx.example. 60 MX 5 mx2.example."],
            "null.example." => &["null.example. 60 MX 0 ."],
            "1.2.0.192.in-addr.arpa." => &["1.2.0.192.in-addr.arpa. 60 PTR host.example."],
            _ => &["a.example. 60 A 192.0.2.1", "a.example. 60 A 192.0.2.2"],
        };
        with(query, records)
    })
    .await;
    let dns = dns(&[&server], PATIENT_MS);
    let name = |text| Name::parse(text).unwrap();
    let text = |text: &[u8]| Record::Txt(text.into());
    for (asked, kind, expected) in [
        (
            "txt.example",
            Kind::Txt,
            records([text(b"v=spf1 ip4:192.0.2.0/24 -all"), text(b"")]),
        ),
        (
            "mx.example",
            Kind::Mx,
            records([
                Record::Mx(10, Some(name("mx1.example"))),
                Record::Mx(5, Some(name("mx2.example"))),
            ]),
        ),
        ("null.example", Kind::Mx, records([Record::Mx(0, None)])),
        (
            "1.2.0.192.in-addr.arpa",
            Kind::Ptr,
            records([Record::Ptr(name("host.example"))]),
        ),
        (
            "a.example",
            Kind::A,
            records([Record::A([192, 0, 2, 1].into()), Record::A([192, 0, 2, 2].into())]),
        ),
    ] {
        assert_eq!(ask(&dns, asked, kind).await, expected, "{asked}");
    }
}

#[tokio::test]
async fn a_thousand_records_come_by_tcp() {
    let server = Server::replying(|query, way| match way {
        Way::Udp => empty(query, ResponseCode::NoError).truncate(),
        Way::Tcp => {
            let mut reply = empty(query, ResponseCode::NoError);
            let count = if query.queries[0].name.to_string() == "many.example." {
                1000
            } else {
                2000
            };
            reply.add_answers((0..count).map(|number: u16| {
                let [high, low] = number.to_be_bytes();
                record(&format!("{} 60 A 198.51.{high}.{low}", query.queries[0].name))
            }));
            reply
        }
    })
    .await;
    let dns = dns(&[&server], PATIENT_MS);
    let answer = ask(&dns, "many.example", Kind::A).await;
    assert_eq!(answer.records().len(), 1000);
    assert_eq!(answer.records()[999], Record::A([198, 51, 3, 231].into()));
    assert_eq!(
        ask(&dns, "more.example", Kind::A).await.records().len(),
        limits::RECORDS_MAX
    );
    assert_eq!(server.seen()[..2], ["many.example. A Udp", "many.example. A Tcp"]);
}

#[tokio::test]
async fn aliases_are_followed_but_not_in_circles() {
    let server = Server::replying(|query, _| {
        let records: &[&str] = match query.queries[0].name.to_string().as_str() {
            "whole.example." => &["b.example. 60 A 192.0.2.1", "whole.example. 60 CNAME B.example."],
            "part.example." => &["part.example. 60 CNAME far.example."],
            "far.example." => &["far.example. 60 A 192.0.2.2"],
            "ring.example." => &[
                "ring.example. 60 CNAME ring2.example.",
                "ring2.example. 60 CNAME ring.example.",
            ],
            "self.example." => &["self.example. 60 CNAME self.example."],
            "odd.example." => &["odd.example. 60 CNAME a\\.b.example."],
            "a\\.b.example." => &["a\\.b.example. 60 A 192.0.2.3"],
            "slow1.example." => &["slow1.example. 60 CNAME slow2.example."],
            "slow2.example." => &["slow2.example. 60 CNAME slow1.example."],
            "gone.example." => {
                let mut reply = denial(query, ResponseCode::NXDomain, 60, 60);
                reply.add_answer(record("gone.example. 60 CNAME nowhere.example."));
                return reply;
            }
            "none.example." => {
                let mut reply = denial(query, ResponseCode::NoError, 60, 60);
                reply.add_answer(record("none.example. 60 CNAME nothing.example."));
                return reply;
            }
            other => panic!("{other}"),
        };
        with(query, records)
    })
    .await;
    let dns = dns(&[&server], PATIENT_MS);
    for (asked, expected, queries) in [
        ("whole.example", address([192, 0, 2, 1]), 1),
        ("part.example", address([192, 0, 2, 2]), 2),
        ("odd.example", address([192, 0, 2, 3]), 2),
        ("ring.example", trouble(Trouble::Malformed), 1),
        ("self.example", trouble(Trouble::Malformed), 1),
        ("slow1.example", trouble(Trouble::Malformed), 9),
        ("gone.example", unproven(Outcome::NoName), 1),
        ("none.example", unproven(Outcome::NoRecords), 1),
    ] {
        let before = server.seen().len();
        assert_eq!(ask(&dns, asked, Kind::A).await, expected, "{asked}");
        assert_eq!(server.seen().len() - before, queries, "{asked}");
    }
    assert_eq!((dns.stats().queried, dns.stats().failed), (8, 3));
}

#[tokio::test]
async fn no_such_name_is_not_no_such_record_and_both_are_remembered() {
    let server = Server::replying(|query, _| match query.queries[0].name.to_string().as_str() {
        "nobody.example." => denial(query, ResponseCode::NXDomain, 60, 60),
        "nothing.example." => denial(query, ResponseCode::NoError, 60, 60),
        "bare.example." => empty(query, ResponseCode::NoError),
        _ => empty(query, ResponseCode::ServFail),
    })
    .await;
    let dns = dns(&[&server], PATIENT_MS);
    for (asked, expected) in [
        ("nobody.example", unproven(Outcome::NoName)),
        ("nothing.example", unproven(Outcome::NoRecords)),
        ("bare.example", unproven(Outcome::NoRecords)),
        ("broken.example", trouble(Trouble::ServerFailure)),
    ] {
        let before = server.seen().len();
        for _ in 0..5 {
            assert_eq!(ask(&dns, asked, Kind::Txt).await, expected, "{asked}");
        }
        // One that is not backed by an SOA holds for a second, during which a busy machine may not get through.
        let queries = server.seen().len() - before;
        assert!(queries == 1 || asked == "bare.example", "{asked}: {queries} queries");
    }
    let stats = dns.stats();
    assert_eq!((stats.asked, stats.cached + stats.queried), (20, 20));
    assert_eq!((stats.timed_out, stats.failed), (0, 1));
}

#[tokio::test]
async fn answers_hold_as_long_as_they_say_within_bounds() {
    let server = Server::replying(|query, _| match query.queries[0].name.to_string().as_str() {
        "never.example." => with(query, &["never.example. 0 A 192.0.2.1"]),
        "ever.example." => with(query, &["ever.example. 9999999 A 192.0.2.1"]),
        "sign.example." => with(query, &["sign.example. 2147483648 A 192.0.2.1"]),
        "chain.example." => with(
            query,
            &["chain.example. 30 CNAME b.example.", "b.example. 300 A 192.0.2.1"],
        ),
        "soa.example." => denial(query, ResponseCode::NXDomain, 300, 40),
        "old.example." => denial(query, ResponseCode::NXDomain, 20, 300),
        "denied.example." => denial(query, ResponseCode::NoError, 9_999_999, 9_999_999),
        _ => empty(query, ResponseCode::Refused),
    })
    .await;
    let dns = dns(&[&server], PATIENT_MS);
    for (asked, expected_s) in [
        ("never.example", 1),
        ("ever.example", 24 * 60 * 60),
        ("sign.example", 1),
        ("chain.example", 30),
        ("soa.example", 40),
        ("old.example", 20),
        ("denied.example", 15 * 60),
        ("refused.example", 5),
    ] {
        let before = Instant::now();
        ask(&dns, asked, Kind::A).await;
        let after = Instant::now();
        let holds_at = |at| dns.inner.cache.get(&question(asked, Kind::A), at).is_some();
        let ttl = Duration::from_secs(expected_s);
        assert!(holds_at(before + ttl - Duration::from_millis(1)), "{asked}");
        assert!(!holds_at(after + ttl), "{asked}");
    }
}

#[tokio::test]
async fn ad_is_asked_for_and_believed_only_if_trusted() {
    let server = Server::replying(|query, _| {
        let mut reply = match query.queries[0].name.to_string().as_str() {
            "nobody.signed.example." => denial(query, ResponseCode::NXDomain, 60, 60),
            "nothing.signed.example." => denial(query, ResponseCode::NoError, 60, 60),
            "a.signed.example." => with(query, &["a.signed.example. 60 A 192.0.2.1"]),
            "out.signed.example." => with(query, &["out.signed.example. 60 CNAME a.example."]),
            "a.example." => with(query, &["a.example. 60 A 192.0.2.1"]),
            "bogus.signed.example." => empty(query, ResponseCode::ServFail),
            _ => denial(query, ResponseCode::NXDomain, 60, 60),
        };
        let is_signed = query.queries[0].name.to_string().ends_with("signed.example.");
        // RFC 6840 §5.8. One that sets it unasked is not believed either.
        let is_unasked = query.queries[0].name.to_string() == "nobody.signed.example.";
        reply.metadata.authentic_data = is_signed && (query.metadata.authentic_data || is_unasked);
        reply
    })
    .await;
    let trusting = Settings {
        trust_ad: true,
        ..settings(&[&server], PATIENT_MS)
    };
    let (trusting, other) = (Dns::open(&trusting).unwrap(), dns(&[&server], PATIENT_MS));
    for (asked, expected) in [
        ("a.signed.example", Security::Secure),
        ("nobody.signed.example", Security::Secure),
        ("nothing.signed.example", Security::Secure),
        ("out.signed.example", Security::Insecure),
        ("a.example", Security::Insecure),
        ("nobody.example", Security::Insecure),
        ("bogus.signed.example", Security::Unknown),
    ] {
        assert_eq!(ask(&trusting, asked, Kind::A).await.security, expected, "{asked}");
        assert_eq!(ask(&other, asked, Kind::A).await.security, Security::Unknown, "{asked}");
    }
    let bogus = ask(&trusting, "bogus.signed.example", Kind::A).await;
    assert_eq!(bogus, trouble(Trouble::ServerFailure));
}
