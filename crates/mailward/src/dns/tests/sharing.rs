//! Many askers of one question, and one message's share of the time.

use super::server::with;
use super::*;
use futures_util::FutureExt;
use judge::resolver::Budgeted;

async fn serve() -> Server {
    Server::replying(|query, _| with(query, &[&format!("{} 60 A 192.0.2.1", query.queries[0].name)])).await
}

async fn until(is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(60), "it never is");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn ten_thousand_askers_make_one_query() {
    let server = serve().await;
    server.hold();
    let dns = dns(&[&server], PATIENT_MS);
    let askers: Vec<_> = (0..10_000)
        .map(|_| {
            let dns = dns.clone();
            tokio::spawn(async move { ask(&dns, "a.example", Kind::A).await })
        })
        .collect();
    until(|| dns.stats().shared == 9_999 && server.seen().len() == 1).await;
    server.permits.add_permits(1);
    for asker in askers {
        assert_eq!(asker.await.unwrap(), address([192, 0, 2, 1]));
    }
    assert_eq!(server.seen(), ["a.example. A Udp"]);
    let expected = Stats {
        asked: 10_000,
        shared: 9_999,
        queried: 1,
        ..Stats::default()
    };
    assert_eq!(dns.stats(), expected);
    assert!(dns.inner.flights().is_empty());
}

#[tokio::test]
async fn an_asker_that_leaves_takes_nothing_with_it() {
    let server = serve().await;
    server.hold();
    let dns = dns(&[&server], PATIENT_MS);
    let mut first = dns.ask(question("a.example", Kind::A));
    assert!((&mut first).now_or_never().is_none());
    let mut second = dns.ask(question("a.example", Kind::A));
    assert!((&mut second).now_or_never().is_none());
    until(|| server.seen().len() == 1).await;
    drop(first);
    server.permits.add_permits(1);
    assert_eq!(second.await, address([192, 0, 2, 1]));
    // All may leave: the answer is kept for those to come.
    let mut only = dns.ask(question("b.example", Kind::A));
    assert!((&mut only).now_or_never().is_none());
    drop(only);
    server.permits.add_permits(1);
    until(|| dns.inner.flights().is_empty()).await;
    assert_eq!(
        ask(&dns, "b.example", Kind::A).now_or_never(),
        Some(address([192, 0, 2, 1]))
    );
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn different_questions_are_different() {
    let server = serve().await;
    let dns = dns(&[&server], PATIENT_MS);
    for (name, kind) in [
        ("a.example", Kind::A),
        ("a.example", Kind::Txt),
        ("b.example", Kind::A),
        ("A.Example.", Kind::A),
    ] {
        ask(&dns, name, kind).await;
    }
    assert_eq!(
        server.seen(),
        ["a.example. A Udp", "a.example. TXT Udp", "b.example. A Udp"]
    );
}

#[tokio::test]
async fn one_message_asks_so_many_questions_and_no_more() {
    let server = serve().await;
    let dns = dns(&[&server], PATIENT_MS);
    let patient = dns.within(Instant::now() + Duration::from_secs(600), None);
    let message = Budgeted::new(&patient, 3);
    for name in ["a.example", "b.example", "a.example"] {
        assert_eq!(message.ask(question(name, Kind::A)).await, address([192, 0, 2, 1]));
    }
    let fourth = message.ask(question("a.example", Kind::A)).await;
    assert_eq!(fourth, trouble(Trouble::Budget));
    // Others are not concerned.
    assert_eq!(ask(&dns, "a.example", Kind::A).await, address([192, 0, 2, 1]));
}

#[tokio::test]
async fn past_its_deadline_a_message_gets_no_more_answers() {
    let server = serve().await;
    server.hold();
    let dns = dns(&[&server], PATIENT_MS);
    let deadline = Instant::now() + Duration::from_millis(IMPATIENT_MS);
    let message = dns.within(deadline, None);
    // Under way when it passes; the query goes on for others.
    let answer = message.ask(question("a.example", Kind::A)).await;
    assert_eq!(answer, trouble(Trouble::Budget));
    assert!(Instant::now() >= deadline);
    let asked = dns.stats().asked;
    assert_eq!(
        message.ask(question("b.example", Kind::A)).await,
        trouble(Trouble::Budget)
    );
    assert_eq!(dns.stats().asked, asked);
    server.permits.add_permits(1);
    assert_eq!(ask(&dns, "a.example", Kind::A).await, address([192, 0, 2, 1]));
    assert_eq!(server.seen().len(), 1);
}
