//! Servers that are silent, slow, gone, forged or broken.

use super::server::{Way, empty, with};
use super::*;
use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, RecordType};
use std::sync::atomic::AtomicBool;

fn good(query: &Message) -> Message {
    with(query, &[&format!("{} 60 A 192.0.2.1", query.queries[0].name)])
}

#[tokio::test]
async fn a_late_answer_is_none() {
    let server = Server::replying(|query, _| good(query)).await;
    server.hold();
    let dns = dns(&[&server], IMPATIENT_MS);
    let started = Instant::now();
    assert_eq!(ask(&dns, "a.example", Kind::A).await, trouble(Trouble::Timeout));
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(IMPATIENT_MS), "{took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    // It is not asked again at once, though it would answer now.
    server.permits.add_permits(100);
    assert_eq!(ask(&dns, "a.example", Kind::A).await, trouble(Trouble::Timeout));
    assert_eq!(ask(&dns, "b.example", Kind::A).await, address([192, 0, 2, 1]));
    let stats = dns.stats();
    assert_eq!(
        (stats.asked, stats.cached, stats.queried, stats.timed_out),
        (3, 1, 2, 1)
    );
}

#[tokio::test]
async fn a_lost_packet_is_sent_again() {
    let was_asked = AtomicBool::new(false);
    let server = Server::start(move |query, _| match was_asked.swap(true, Ordering::Relaxed) {
        false => Vec::new(),
        true => vec![good(query).to_vec().unwrap()],
    })
    .await;
    let dns = dns(&[&server], 4000);
    assert_eq!(ask(&dns, "a.example", Kind::A).await, address([192, 0, 2, 1]));
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn what_one_server_cannot_say_another_may() {
    let good = Server::replying(|query, _| good(query)).await;
    let silent = Server::start(|_, _| Vec::new()).await;
    let refusing = Server::replying(|query, _| empty(query, ResponseCode::Refused)).await;
    let confused = Server::start(|query, _| vec![[&query.metadata.id.to_be_bytes()[..], &[0x80; 30]].concat()]).await;
    let gone = Server::start(|_, _| Vec::new()).await.address;
    for (bad, is_silent) in [
        (silent.address, true),
        (refusing.address, false),
        (confused.address, false),
        (gone, false),
    ] {
        let mut settings = settings(&[&good], if is_silent { 2000 } else { PATIENT_MS });
        settings.servers.insert(0, bad);
        let dns = Dns::open(&settings).unwrap();
        let started = Instant::now();
        assert_eq!(ask(&dns, "a.example", Kind::A).await, address([192, 0, 2, 1]), "{bad}");
        assert!(
            is_silent || started.elapsed() < Duration::from_secs(2),
            "{:?}",
            started.elapsed()
        );
        // The next question begins with the one that answered.
        let before = [&silent, &refusing, &confused].map(|server| server.seen().len());
        assert_eq!(ask(&dns, "b.example", Kind::A).await, address([192, 0, 2, 1]));
        assert_eq!(
            [&silent, &refusing, &confused].map(|server| server.seen().len()),
            before
        );
    }
}

#[tokio::test]
async fn each_sort_of_trouble_has_its_word() {
    let failing = Server::replying(|query, _| empty(query, ResponseCode::ServFail)).await;
    let silent = Server::start(|_, _| Vec::new()).await;
    let garbage = Server::start(|query, _| vec![[&query.metadata.id.to_be_bytes()[..], &[0x80; 40]].concat()]).await;
    let noise = Server::start(|_, _| vec![vec![], vec![0], vec![0xff; 512]]).await;
    let referring = Server::replying(|query, _| {
        let mut reply = empty(query, ResponseCode::NoError);
        reply.metadata.recursion_available = false;
        reply.add_authority(server::record("example. 60 CNAME x.example."));
        reply.authorities[0].data =
            hickory_proto::rr::RData::NS(hickory_proto::rr::rdata::NS(server::name("ns.example.")));
        reply
    })
    .await;
    let extended = Server::replying(|query, _| {
        // BADVERS is 16: its higher bits stand in OPT (RFC 6891 §6.1.3), and without them it is no error.
        let mut reply = empty(query, ResponseCode::BADVERS);
        reply.set_edns(Edns::new());
        reply
    })
    .await;
    let cut_off = Server::start(|query, way| match way {
        Way::Udp => vec![empty(query, ResponseCode::NoError).truncate().to_vec().unwrap()],
        Way::Tcp => Vec::new(),
    })
    .await;
    for (servers, timeout_ms, expected) in [
        (vec![&failing], PATIENT_MS, Trouble::ServerFailure),
        (vec![&failing, &failing], PATIENT_MS, Trouble::ServerFailure),
        (vec![&silent, &failing], 2000, Trouble::ServerFailure),
        (vec![&failing, &silent], 2000, Trouble::ServerFailure),
        (vec![&silent], IMPATIENT_MS, Trouble::Timeout),
        (vec![&garbage], PATIENT_MS, Trouble::Malformed),
        (vec![&noise], IMPATIENT_MS, Trouble::Timeout),
        (vec![&referring], PATIENT_MS, Trouble::ServerFailure),
        (vec![&extended], PATIENT_MS, Trouble::ServerFailure),
        (vec![&cut_off], PATIENT_MS, Trouble::ServerFailure),
    ] {
        let names: Vec<_> = servers.iter().map(|server| server.address).collect();
        let dns = dns(&servers, timeout_ms);
        assert_eq!(ask(&dns, "a.example", Kind::A).await, trouble(expected), "{names:?}");
    }
    let gone = Server::start(|_, _| Vec::new()).await.address;
    let mut settings = settings(&[], 1000);
    settings.servers.push(gone);
    let dns = Dns::open(&settings).unwrap();
    assert_eq!(ask(&dns, "a.example", Kind::A).await, trouble(Trouble::NoServer));
}

#[tokio::test]
async fn forged_answers_are_passed_over() {
    let server = Server::start(|query, _| {
        let forged = |change: &dyn Fn(&mut Message)| {
            let mut reply = with(query, &["a.example. 60 A 203.0.113.66"]);
            change(&mut reply);
            reply.to_vec().unwrap()
        };
        let other = |name: &str, kind, class| {
            let mut other = Query::query(server::name(name), kind);
            other.set_query_class(class);
            other
        };
        vec![
            forged(&|reply| reply.metadata.id ^= 1),
            forged(&|reply| reply.queries[0] = other("b.example.", RecordType::A, DNSClass::IN)),
            forged(&|reply| reply.queries[0] = other("a.example.", RecordType::TXT, DNSClass::IN)),
            forged(&|reply| reply.queries[0] = other("a.example.", RecordType::A, DNSClass::CH)),
            forged(&|reply| reply.queries.clear()),
            // The query itself, as from a mirror.
            query.to_vec().unwrap(),
            good(query).to_vec().unwrap(),
        ]
    })
    .await;
    let dns = dns(&[&server], PATIENT_MS);
    assert_eq!(ask(&dns, "a.example", Kind::A).await, address([192, 0, 2, 1]));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn without_servers_there_is_no_answer_and_no_wait() {
    let server = Server::replying(|query, _| good(query)).await;
    let off = Settings {
        enabled: false,
        ..settings(&[&server], PATIENT_MS)
    };
    let dns = Dns::open(&off).unwrap();
    assert_eq!(ask(&dns, "a.example", Kind::A).await, trouble(Trouble::NoServer));
    assert_eq!((dns.stats().asked, dns.stats().queried, server.seen().len()), (1, 0, 0));
    for timeout_ms in [0, limits::TIMEOUT_MAX_MS + 1, u64::MAX] {
        assert!(Dns::open(&settings(&[&server], timeout_ms)).is_err());
    }
}

/// How often our own question was seen.
fn doubts(server: &Server) -> usize {
    server.seen().iter().filter(|seen| seen.starts_with(". NS")).count()
}

/// Asks different questions, which go unanswered, until the DNS is doubted once more.
async fn doubt(dns: &Dns, server: &Server) {
    let (before, started) = (doubts(server), Instant::now());
    while doubts(server) == before {
        assert!(started.elapsed() < Duration::from_secs(60), "it is never doubted");
        let asked = (0..limits::SILENT_MAX).map(|number| {
            let (dns, name) = (dns.clone(), format!("n{number}.n{}.example", dns.stats().asked));
            tokio::spawn(async move { ask(&dns, &name, Kind::A).await })
        });
        for asked in asked.collect::<Vec<_>>() {
            assert_eq!(asked.await.unwrap(), trouble(Trouble::Timeout));
        }
    }
}

async fn gate(dns: &Dns, wanted: Gate) {
    let started = Instant::now();
    while dns.inner.breaker.gate(Instant::now()) != wanted {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "the gate never says {wanted:?}"
        );
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn when_nobody_answers_nobody_waits_until_somebody_does() {
    let server = Server::replying(|query, _| good(query)).await;
    server.hold();
    let dns = dns(&[&server], IMPATIENT_MS);
    doubt(&dns, &server).await;
    gate(&dns, Gate::Refuse).await;
    let (before, started) = (dns.stats(), Instant::now());
    for number in 0..1000 {
        let answer = ask(&dns, &format!("m{number}.example"), Kind::A).await;
        assert_eq!(answer, trouble(Trouble::Timeout));
    }
    let took = started.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    // One a second is sent all the same, and nobody has waited for it.
    let sent = dns.stats().queried - before.queried;
    assert!(sent <= 1 + took.as_secs(), "{sent} in {took:?}");
    assert_eq!(dns.stats().asked - before.asked, 1000);
    // The server is back: the next one that is sent shows it.
    server.permits.add_permits(Semaphore::MAX_PERMITS / 2);
    let (mut number, started) = (0, Instant::now());
    while !matches!(
        ask(&dns, &format!("r{number}.example"), Kind::A).await.outcome,
        Outcome::Records(_)
    ) {
        assert!(started.elapsed() < Duration::from_secs(60), "it never comes back");
        number += 1;
        tokio::task::yield_now().await;
    }
    gate(&dns, Gate::Ask).await;
}

#[tokio::test]
async fn dead_domains_do_not_switch_the_dns_off() {
    let server = Server::start(|query, _| match query.queries[0].name.is_root() {
        true => vec![empty(query, ResponseCode::Refused).to_vec().unwrap()],
        false => Vec::new(),
    })
    .await;
    let dns = dns(&[&server], IMPATIENT_MS);
    // That it can be doubted again shows that it was not taken to be down.
    for _ in 0..3 {
        doubt(&dns, &server).await;
    }
    assert_eq!(dns.inner.breaker.gate(Instant::now()), Gate::Ask);
}
