//! Labels, sent mail, and the history that is derived from them.

use crate::common::{NOW_S, features, id, record};
use crate::{Place, block_on, suite};
use judge::reputation::{Correspondent, History, HistoryRow, Identity, Scope, Votes};
use judge::resolver::BoxFuture;
use mail::{Domain, Line, MailboxId};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::task::{Context, Waker};
use store::{ExportMark, Label, LabelRequest, Labelled, MailwardId, Reader, Remembered, Said, Sent, Store, StoreError};

pub const DAY_S: i64 = 24 * 60 * 60;

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

pub fn mailbox(n: usize) -> MailboxId {
    MailboxId::try_from(format!("user{n}@example.com")).unwrap()
}

fn author(local: &'static str) -> Identity {
    Identity::Author {
        local: Line::literal(local),
        domain: domain("shop.example"),
        validated: true,
    }
}

fn said(label: Option<Label>, at_s: i64) -> Said {
    Said {
        label,
        at_s,
        source: Line::literal("command"),
        by: Line::literal("ann"),
    }
}

/// A saying of user 0 about the `n`th message of the minute.
pub fn request(n: u64, label: Option<Label>, at_s: i64) -> LabelRequest {
    LabelRequest {
        mailbox: mailbox(0),
        id: id(n),
        said: said(label, at_s),
        received_s: NOW_S + n as i64,
        author_local: Line::literal("bob"),
        identities: vec![author("bob"), Identity::Dkim(domain("shop.example"))],
        features: None,
    }
}

pub const JUNK: Option<Label> = Some(Label::Junk);
pub const NOT_JUNK: Option<Label> = Some(Label::NotJunk);

async fn rows(reader: &Reader, identity: &Identity, since_s: i64, limit: u32) -> Vec<HistoryRow> {
    reader.newest(&mailbox(0), identity, since_s, limit).await.unwrap()
}

/// All that makes history, without what was forgotten.
pub async fn dump(reader: &Reader) -> Vec<Remembered> {
    let (mut all, mut from): (Vec<Remembered>, Option<ExportMark>) = (Vec::new(), None);
    loop {
        let page = reader.export(from, 3).await.unwrap();
        all.extend(page.remembered);
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    all.retain(|one| !matches!(one, Remembered::Label(request) if request.said.label.is_none()));
    all
}

suite! {
    a_label_makes_history_and_forgetting_takes_it_away,
    the_greatest_saying_holds_in_whatever_order_they_come,
    ties_are_broken_by_source_then_by_its_id_then_by_the_label,
    a_label_of_an_unknown_delivery_says_so,
    a_delivery_that_was_labelled_can_be_labelled_again_when_its_record_is_gone,
    labels_outlive_a_restart,
    the_edge_of_a_window_is_in_it,
    of_one_time_the_higher_number_is_newer,
    mailboxes_and_identities_do_not_mix,
    an_identity_named_twice_counts_once,
    forgetting_takes_what_was_recorded_though_it_is_said_with_other_identities,
    whom_the_owner_wrote_to_is_known_by_address_domain_and_organization,
    a_walk_asks_the_same_in_one_visit,
    labels_of_many_at_once_are_all_kept,
    mailboxes_have_one_vote_each_in_their_domain_and_on_the_server,
    sayings_of_two_gateways_commute_whatever_their_clocks_say,
    a_clock_far_off_costs_no_label,
}

async fn mailboxes_have_one_vote_each_in_their_domain_and_on_the_server(place: Place) {
    let store = place.open();
    let names = ["ann@a.example", "bob@a.example", "eve@b.example"];
    let shop = Identity::Dkim(domain("shop.example"));
    let say = |user: usize, n, label, at_s| LabelRequest {
        mailbox: MailboxId::try_from(names[user].to_owned()).unwrap(),
        ..request(n, label, at_s)
    };
    let sayings = [
        say(0, 1, JUNK, 1),
        // Her newest counts.
        say(0, 2, NOT_JUNK, 2),
        say(1, 1, JUNK, 3),
        say(2, 3, JUNK, 4),
    ];
    learn(&store, &sayings).await;
    let in_a = Scope::Domain(domain("a.example"));
    let votes = |scope: Scope, since_s: i64| {
        let (reader, shop) = (store.reader(), &shop);
        async move {
            let votes = reader.votes(&scope, shop, since_s).await.unwrap();
            (votes.junk, votes.not_junk)
        }
    };
    assert_eq!(votes(in_a.clone(), 0).await, (1, 1));
    assert_eq!(votes(Scope::Server, 0).await, (2, 1));
    // A window's edge is within it.
    assert_eq!(votes(Scope::Server, NOW_S + 3).await, (1, 0));
    assert_eq!(votes(Scope::Server, NOW_S + 4).await, (0, 0));
    assert_eq!(votes(Scope::Domain(domain("c.example")), 0).await, (0, 0));
    // Forgetting the newest brings back the vote before it.
    learn(&store, &[say(0, 2, None, 5)]).await;
    assert_eq!(votes(in_a.clone(), 0).await, (2, 0));
    learn(&store, &[say(0, 1, None, 6), say(1, 1, None, 7)]).await;
    assert_eq!(votes(in_a, 0).await, (0, 0));
    assert_eq!(
        store.reader().stats().await.unwrap().shared,
        4,
        "two identities, two scopes"
    );
    // What goes by age takes its vote with it.
    store.expire_history(NOW_S + 99).await.unwrap();
    store.settle().await.unwrap();
    assert_eq!(store.reader().stats().await.unwrap().shared, 0);
    assert_eq!(store.reader().verify().await.unwrap().faults, Vec::<String>::new());
}

/// All orders of some things.
fn orders<T: Clone>(things: &[T]) -> Vec<Vec<T>> {
    if things.is_empty() {
        return vec![Vec::new()];
    }
    let with_first = |n: usize| {
        let rest = [&things[..n], &things[n + 1..]].concat();
        let first = things[n].clone();
        orders(&rest)
            .into_iter()
            .map(move |order| [vec![first.clone()], order].concat())
    };
    (0..things.len()).flat_map(with_first).collect()
}

async fn sayings_of_two_gateways_commute_whatever_their_clocks_say(place: Place) {
    let store = place.open();
    let said = |n, label, at_s, source| {
        let mut request = request(n, label, at_s);
        request.said.source = Line::literal(source);
        Remembered::Label(request)
    };
    // The clocks agree; or one is set back, or is far ahead; and the same is heard twice.
    for (round, times) in [[10, 10, 10, 10], [10, -10, 10, -9], [10, i64::MAX, 11, i64::MIN]]
        .into_iter()
        .enumerate()
    {
        let sayings = |n| {
            [
                said(n, JUNK, times[0], "one"),
                said(n, NOT_JUNK, times[1], "two"),
                said(n, None, times[2], "one"),
                said(n, JUNK, times[3], "two"),
            ]
        };
        let mut held = Vec::new();
        for (n, order) in (0..).zip(orders(&[0, 1, 2, 3])) {
            let n = round as u64 * 1000 + n;
            for which in order.into_iter().chain([0]) {
                store.remember(vec![sayings(n)[which].clone()]).await.unwrap();
            }
            let label = store.reader().label(&mailbox(0), id(n)).await.unwrap().unwrap();
            held.push((label.said, label.identities));
        }
        assert_eq!(held.len(), 24);
        assert!(held.iter().all(|one| *one == held[0]), "{times:?}: {held:?}");
    }
    store.settle().await.unwrap();
    assert_eq!(store.reader().verify().await.unwrap().faults, Vec::<String>::new());
}

async fn a_clock_far_off_costs_no_label(place: Place) {
    let store = place.open();
    let far = [i64::MIN, -1, 0, NOW_S, 4_102_444_800, i64::MAX];
    for (n, at_s) in (0..).zip(far) {
        let label = LabelRequest {
            received_s: at_s,
            ..request(n, JUNK, at_s)
        };
        assert_eq!(store.remember(vec![Remembered::Label(label)]).await, Ok(0));
    }
    store.settle().await.unwrap();
    let received = async |since_s| -> Vec<i64> {
        let rows = rows(store.reader(), &author("bob"), since_s, 99).await;
        rows.iter().map(|row| row.received_s).collect()
    };
    let newest_first: Vec<i64> = far.into_iter().rev().collect();
    assert_eq!(received(i64::MIN).await, newest_first);
    assert_eq!(received(NOW_S).await, newest_first[..3]);
    // A clock that is back says what it likes, and whoever hears that he is outranked can always speak last.
    for (n, at_s) in (0..).zip(far) {
        let opposite = store
            .remember(vec![Remembered::Label(request(n, NOT_JUNK, NOW_S))])
            .await;
        assert_eq!(opposite, Ok(u64::from(at_s >= NOW_S)), "{at_s}");
    }
    let after = |at_s: i64| request(4, None, at_s + 1);
    assert_eq!(store.label(after(far[4])).await, Ok(Labelled::Holds));
    // Letting go of what is old by a clock that is far behind lets go of nothing; by one far ahead, of what is
    // before it; and when it is back the store takes what comes.
    assert_eq!(store.expire_history(i64::MIN).await, Ok(0));
    assert_eq!(store.expire_history(i64::MAX).await, Ok(5));
    store.begin(record(id(9), NOW_S, 1)).await.unwrap();
    assert_eq!(store.expire(i64::MIN).await, Ok(0));
    assert_eq!(store.label(request(9, JUNK, NOW_S)).await, Ok(Labelled::Holds));
    store.settle().await.unwrap();
    assert_eq!(received(NOW_S).await, [i64::MAX, NOW_S + 9]);
    assert_eq!(store.expire(i64::MAX).await, Ok(1));
    assert_eq!(store.label(request(9, NOT_JUNK, NOW_S + 1)).await, Ok(Labelled::Holds));
    store.begin(record(id(9), NOW_S, 1)).await.unwrap();
    store.settle().await.unwrap();
    assert_eq!(store.reader().verify().await.unwrap().faults, Vec::<String>::new());
}

async fn a_label_makes_history_and_forgetting_takes_it_away(place: Place) {
    let store = place.open();
    store.begin(record(id(1), NOW_S, 1)).await.unwrap();
    let before = dump(store.reader()).await;
    assert_eq!(store.label(request(1, JUNK, 10)).await, Ok(Labelled::Holds));
    // Twice changes nothing.
    assert_eq!(store.label(request(1, JUNK, 10)).await, Ok(Labelled::Holds));
    store.settle().await.unwrap();
    let row = |is_junk| HistoryRow {
        received_s: NOW_S + 1,
        number: 1,
        is_junk,
        author_local: Line::literal("bob"),
    };
    // Of the number only what `id` chose.
    let strip = |mut rows: Vec<HistoryRow>| {
        rows.iter_mut().for_each(|row| row.number &= 0xffff);
        rows
    };
    let found = rows(store.reader(), &author("bob"), 0, 9).await;
    assert_eq!(strip(found), [row(true)]);
    assert_eq!(
        store.reader().label(&mailbox(0), id(1)).await,
        Ok(Some(request(1, JUNK, 10)))
    );
    assert_eq!(store.label(request(1, NOT_JUNK, 11)).await, Ok(Labelled::Holds));
    store.settle().await.unwrap();
    for identity in request(1, JUNK, 0).identities {
        let found = rows(store.reader(), &identity, 0, 9).await;
        assert_eq!(strip(found), [row(false)]);
    }
    assert_eq!(store.label(request(1, None, 12)).await, Ok(Labelled::Holds));
    store.settle().await.unwrap();
    assert_eq!(rows(store.reader(), &author("bob"), 0, 9).await, []);
    assert_eq!(dump(store.reader()).await, before);
    let stats = store.reader().stats().await.unwrap();
    assert_eq!(
        (stats.junk, stats.not_junk, stats.forgotten, stats.history),
        (0, 0, 1, 0)
    );
}

async fn the_greatest_saying_holds_in_whatever_order_they_come(place: Place) {
    let store = place.open();
    store.begin(record(id(1), NOW_S, 1)).await.unwrap();
    assert_eq!(store.label(request(1, None, 30)).await, Ok(Labelled::Holds));
    let outranked = Ok(Labelled::Outranked(said(None, 30)));
    assert_eq!(store.label(request(1, JUNK, 20)).await, outranked);
    store.settle().await.unwrap();
    assert_eq!(rows(store.reader(), &author("bob"), 0, 9).await, []);
    assert_eq!(store.label(request(1, NOT_JUNK, 31)).await, Ok(Labelled::Holds));
    store.settle().await.unwrap();
    assert_eq!(rows(store.reader(), &author("bob"), 0, 9).await.len(), 1);
    // A clock was set back; whoever knows says it again with a later time.
    let Ok(Labelled::Outranked(before)) = store.label(request(1, JUNK, 5)).await else {
        panic!("a saying of before holds");
    };
    assert_eq!(
        store.label(request(1, JUNK, before.at_s + 1)).await,
        Ok(Labelled::Holds)
    );
}

async fn ties_are_broken_by_source_then_by_its_id_then_by_the_label(place: Place) {
    let store = place.open();
    store.begin(record(id(1), NOW_S, 1)).await.unwrap();
    let say = |label, source, by| {
        let mut request = request(1, label, 10);
        request.said.source = Line::literal(source);
        request.said.by = Line::literal(by);
        store.label(request)
    };
    assert_eq!(say(JUNK, "a", "z").await, Ok(Labelled::Holds));
    assert_eq!(say(NOT_JUNK, "b", "a").await, Ok(Labelled::Holds));
    assert!(matches!(say(JUNK, "a", "zz").await, Ok(Labelled::Outranked(_))));
    assert_eq!(say(None, "b", "b").await, Ok(Labelled::Holds));
    assert_eq!(say(NOT_JUNK, "b", "b").await, Ok(Labelled::Holds));
    assert_eq!(say(JUNK, "b", "b").await, Ok(Labelled::Holds));
    assert!(matches!(say(NOT_JUNK, "b", "b").await, Ok(Labelled::Outranked(_))));
}

async fn a_label_of_an_unknown_delivery_says_so(place: Place) {
    let store = place.open();
    store.begin(record(id(1), NOW_S, 1)).await.unwrap();
    let why = store.label(request(2, JUNK, 10)).await.unwrap_err();
    assert_eq!(
        why.to_string(),
        format!("no delivery of {} to user0@example.com is recorded", id(2))
    );
    // Another's message is as unknown.
    let mut other = request(1, JUNK, 10);
    other.mailbox = mailbox(1);
    let (id, mailbox) = (id(1), mailbox(1));
    assert_eq!(
        store.label(other).await,
        Err(StoreError::UnknownDelivery { id, mailbox })
    );
    assert_eq!(dump(store.reader()).await, []);
}

async fn a_delivery_that_was_labelled_can_be_labelled_again_when_its_record_is_gone(place: Place) {
    let store = place.open();
    store.begin(record(id(1), NOW_S, 1)).await.unwrap();
    store.label(request(1, JUNK, 10)).await.unwrap();
    store.expire(NOW_S + DAY_S).await.unwrap();
    assert_eq!(store.label(request(1, NOT_JUNK, 11)).await, Ok(Labelled::Holds));
    assert_eq!(store.label(request(1, None, 12)).await, Ok(Labelled::Holds));
    assert_eq!(store.label(request(1, JUNK, 13)).await, Ok(Labelled::Holds));
}

async fn labels_outlive_a_restart(place: Place) {
    let store = place.open();
    store.begin(record(id(1), NOW_S, 1)).await.unwrap();
    store.label(request(1, JUNK, 10)).await.unwrap();
    store.settle().await.unwrap();
    let before = dump(store.reader()).await;
    drop(store);
    let reader = place.open_read_only();
    assert_eq!(dump(&reader).await, before);
    assert_eq!(rows(&reader, &author("bob"), 0, 9).await.len(), 1);
}

async fn the_edge_of_a_window_is_in_it(place: Place) {
    let store = place.open();
    let learnt = |n| Remembered::Label(request(n, JUNK, 10));
    store.remember((0..5).map(learnt).collect()).await.unwrap();
    store.settle().await.unwrap();
    let received = async |since_s, limit| {
        let rows = rows(store.reader(), &author("bob"), since_s, limit).await;
        rows.iter().map(|row| row.received_s - NOW_S).collect::<Vec<_>>()
    };
    assert_eq!(received(i64::MIN, 9).await, [4, 3, 2, 1, 0]);
    assert_eq!(received(NOW_S + 2, 9).await, [4, 3, 2]);
    assert_eq!(received(NOW_S + 3, 9).await, [4, 3]);
    assert_eq!(received(NOW_S + 2, 2).await, [4, 3]);
    assert_eq!(received(NOW_S + 5, 9).await, [0; 0]);
    assert_eq!(received(NOW_S, 0).await, [0; 0]);
    let sent = Sent {
        mailbox: mailbox(0),
        local: Line::literal("bob"),
        domain: domain("shop.example"),
        organization: None,
        at_s: NOW_S,
    };
    store.sent(vec![sent]).await.unwrap();
    store.settle().await.unwrap();
    let to = Correspondent::Domain(domain("shop.example"));
    assert_eq!(store.reader().wrote_to(&mailbox(0), &to, NOW_S).await, Ok(true));
    assert_eq!(store.reader().wrote_to(&mailbox(0), &to, NOW_S + 1).await, Ok(false));
}

async fn of_one_time_the_higher_number_is_newer(place: Place) {
    let store = place.open();
    let learnt = |n| {
        let received_s = NOW_S;
        Remembered::Label(LabelRequest {
            received_s,
            ..request(n, JUNK, 10)
        })
    };
    store.remember([3, 1, 4, 2].map(learnt).to_vec()).await.unwrap();
    store.settle().await.unwrap();
    let found = rows(store.reader(), &author("bob"), NOW_S, 3).await;
    let numbers: Vec<u64> = found.iter().map(|row| row.number).collect();
    assert!(numbers.is_sorted_by(|a, b| a > b));
    assert_eq!(numbers[0] - numbers[2], 2);
}

async fn mailboxes_and_identities_do_not_mix(place: Place) {
    let store = place.open();
    let mut other = request(1, JUNK, 10);
    other.mailbox = mailbox(1);
    store.remember(vec![Remembered::Label(other)]).await.unwrap();
    store.settle().await.unwrap();
    let reader = store.reader();
    assert_eq!(rows(reader, &author("bob"), 0, 9).await, []);
    assert_eq!(reader.newest(&mailbox(1), &author("bob"), 0, 9).await.unwrap().len(), 1);
    let shop = domain("shop.example");
    let others = [
        author("bo"),
        author("Bob"),
        Identity::Author {
            local: Line::literal("bob"),
            domain: shop.clone(),
            validated: false,
        },
        Identity::Helo(shop.clone()),
        Identity::ReversePathDomain(shop),
    ];
    for identity in others {
        assert_eq!(
            reader.newest(&mailbox(1), &identity, 0, 9).await,
            Ok(Vec::new()),
            "{identity:?}"
        );
    }
}

async fn an_identity_named_twice_counts_once(place: Place) {
    let store = place.open();
    let mut twice = request(1, JUNK, 10);
    twice.identities.extend(twice.identities.clone());
    store.remember(vec![Remembered::Label(twice)]).await.unwrap();
    store.settle().await.unwrap();
    assert_eq!(rows(store.reader(), &author("bob"), 0, 9).await.len(), 1);
    let verified = store.reader().verify().await.unwrap();
    assert_eq!((verified.history, verified.faults_count), (2, 0));
}

async fn forgetting_takes_what_was_recorded_though_it_is_said_with_other_identities(place: Place) {
    let store = place.open();
    store
        .remember(vec![Remembered::Label(request(1, JUNK, 10))])
        .await
        .unwrap();
    let mut forget = request(1, None, 11);
    forget.identities = vec![author("eve")];
    forget.received_s += 7;
    assert_eq!(store.label(forget).await, Ok(Labelled::Holds));
    store.settle().await.unwrap();
    assert_eq!(rows(store.reader(), &author("bob"), 0, 9).await, []);
    assert_eq!(store.reader().stats().await.unwrap().history, 0);
}

async fn whom_the_owner_wrote_to_is_known_by_address_domain_and_organization(place: Place) {
    let store = place.open();
    let to = |local, at_s| Sent {
        mailbox: mailbox(0),
        local: Line::literal(local),
        domain: domain("mail.shop.example"),
        organization: Some(domain("shop.example")),
        at_s,
    };
    // The last time counts, in whatever order they come.
    let all = vec![to("Ann", NOW_S), to("Ann", NOW_S - DAY_S), to("eve", NOW_S - 2 * DAY_S)];
    store.sent(all).await.unwrap();
    store.settle().await.unwrap();
    let address = |local| Correspondent::Address {
        local: Line::literal(local),
        domain: domain("mail.shop.example"),
    };
    let reader = store.reader();
    let asked = [
        (address("Ann"), NOW_S, true),
        (address("ann"), 0, false),
        (address("eve"), NOW_S - 2 * DAY_S, true),
        (address("eve"), NOW_S - DAY_S, false),
        (Correspondent::Domain(domain("mail.shop.example")), NOW_S, true),
        (Correspondent::Organization(domain("shop.example")), NOW_S, true),
        (Correspondent::Domain(domain("shop.example")), 0, false),
        (Correspondent::Organization(domain("mail.shop.example")), 0, false),
    ];
    for (who, since_s, expected) in asked {
        assert_eq!(
            reader.wrote_to(&mailbox(0), &who, since_s).await,
            Ok(expected),
            "{who:?}"
        );
        assert_eq!(reader.wrote_to(&mailbox(1), &who, since_s).await, Ok(false));
    }
}

async fn a_walk_asks_the_same_in_one_visit(place: Place) {
    let store = place.open();
    store
        .remember(vec![Remembered::Label(request(1, JUNK, 10))])
        .await
        .unwrap();
    store.settle().await.unwrap();
    async fn walk(history: &dyn History) -> (usize, bool) {
        let (mailbox, identity) = (mailbox(0), author("bob"));
        let rows = history.newest(&mailbox, &identity, 0, 9).await.unwrap();
        let to = Correspondent::Domain(domain("shop.example"));
        (rows.len(), history.wrote_to(&mailbox, &to, 0).await.unwrap())
    }
    fn breaks(history: &dyn History) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            walk(history).await;
            std::panic::resume_unwind(Box::new("broken"));
        })
    }
    assert_eq!(walk(store.reader()).await, (1, false));
    assert_eq!(
        store.reader().consult(|history| Box::pin(walk(history))).await,
        Ok((1, false))
    );
    // One that is given up in the middle, or breaks, leaves nothing behind, however many there are of it.
    for _ in 0..20 {
        let waits = store.reader().consult(|history| {
            Box::pin(async move {
                walk(history).await;
                std::future::pending::<()>().await;
            })
        });
        let mut waits = std::pin::pin!(waits);
        for _ in 0..20 {
            let mut context = Context::from_waker(Waker::noop());
            assert!(waits.as_mut().poll(&mut context).is_pending());
        }
    }
    let store = std::sync::Arc::new(store);
    for _ in 0..20 {
        let broken = std::sync::Arc::clone(&store);
        let broken = tokio::spawn(async move { broken.reader().consult(breaks).await });
        assert!(broken.await.unwrap_err().is_panic());
    }
    assert_eq!(
        store.reader().consult(|history| Box::pin(walk(history))).await,
        Ok((1, false))
    );
}

async fn labels_of_many_at_once_are_all_kept(place: Place) {
    let store = std::sync::Arc::new(place.open());
    let one = |n: u64| {
        let store = std::sync::Arc::clone(&store);
        tokio::spawn(async move {
            store.begin(record(id(n), NOW_S, 1)).await.unwrap();
            store.label(request(n, JUNK, 10)).await.unwrap();
        })
    };
    for task in (0..300).map(one).collect::<Vec<_>>() {
        task.await.unwrap();
    }
    store.settle().await.unwrap();
    assert_eq!(rows(store.reader(), &author("bob"), 0, 1000).await.len(), 300);
}

/// A small world, so that random sayings meet: three deliveries, few identities, few times.
pub fn any_request() -> impl Strategy<Value = LabelRequest> {
    let label = prop_oneof![Just(None), Just(JUNK), Just(NOT_JUNK)];
    let ranks = (0..6i64, 0..2usize, 0..2usize);
    (0..2usize, 0..3u64, label, ranks, any::<bool>()).prop_map(|(user, n, label, (at_s, source, by), is_shown)| {
        let mut request = request(n, label, at_s);
        request.said.source = Line::literal(["command", "imap"][source]);
        request.mailbox = mailbox(user);
        request.said.by = Line::literal(["ann", "bob"][by]);
        request.identities = identities(n);
        request.features = is_shown.then(|| features(n));
        request
    })
}

/// What was recorded of the `n`th message.
fn identities(n: u64) -> Vec<Identity> {
    let network = Identity::Network {
        width: 1,
        address: "192.0.2.9".parse().unwrap(),
    };
    let all = [
        author("ann"),
        author("bob"),
        Identity::Helo(domain("a.example")),
        network,
    ];
    let chosen = all.into_iter().enumerate().filter(|(bit, _)| (5 + n) >> bit & 1 == 1);
    chosen.map(|(_, identity)| identity).collect()
}

/// The model: for each delivery the greatest saying, and no more cleverness than that.
#[derive(Default)]
struct Naive(BTreeMap<(MailboxKey, MailwardId), LabelRequest>);

type MailboxKey = String;

impl Naive {
    fn label(&mut self, request: &LabelRequest) {
        fn rank(said: &Said) -> (i64, &str, &str, Option<Label>) {
            (said.at_s, said.source.as_str(), said.by.as_str(), said.label)
        }
        let held = self
            .0
            .entry((request.mailbox.to_string(), request.id))
            .or_insert_with(|| request.clone());
        if rank(&request.said) > rank(&held.said) {
            *held = request.clone();
        }
    }

    fn newest(&self, mailbox: &MailboxId, identity: &Identity, since_s: i64, limit: u32) -> Vec<(i64, bool)> {
        let of_mailbox = self.0.values().filter(|held| held.mailbox == *mailbox);
        let found = of_mailbox.filter(|held| held.identities.contains(identity) && held.received_s >= since_s);
        let mut rows: Vec<_> = found
            .filter_map(|held| Some((held.received_s, held.said.label? == Label::Junk)))
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.0));
        rows.truncate(limit as usize);
        rows
    }

    /// Each of the two mailboxes has one vote, that of its newest message.
    fn votes(&self, identity: &Identity, since_s: i64) -> Votes {
        let mut votes = Votes::default();
        for user in 0..2 {
            match self.newest(&mailbox(user), identity, i64::MIN, 1).first() {
                Some((received_s, true)) if *received_s >= since_s => votes.junk += 1,
                Some((received_s, false)) if *received_s >= since_s => votes.not_junk += 1,
                _ => {}
            }
        }
        match identity.is_shared() {
            true => votes,
            false => Votes::default(),
        }
    }
}

pub async fn learn(store: &Store, requests: &[LabelRequest]) {
    for request in requests {
        store.remember(vec![Remembered::Label(request.clone())]).await.unwrap();
    }
    store.settle().await.unwrap();
}

/// What all questions answer.
pub async fn answers(reader: &Reader) -> (Vec<Vec<HistoryRow>>, Vec<Votes>) {
    let (mut answers, mut votes) = (Vec::new(), Vec::new());
    for scope in scopes() {
        for identity in identities(10) {
            votes.push(reader.votes(&scope, &identity, 0).await.unwrap());
        }
    }
    for user in 0..2 {
        for identity in identities(10) {
            answers.push(reader.newest(&mailbox(user), &identity, 0, 99).await.unwrap());
        }
    }
    (answers, votes)
}

fn scopes() -> [Scope; 2] {
    [Scope::Domain(domain("example.com")), Scope::Server]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_history_equals_that_of_a_naive_model(
        requests in vec(any_request(), 0..24), since in 0..4i64, limit in 0..4u32,
    ) {
        for place in Place::each() {
            let store = place.open();
            block_on(learn(&store, &requests));
            let mut naive = Naive::default();
            requests.iter().for_each(|request| naive.label(request));
            for user in 0..2 {
                for identity in identities(10) {
                    let (user, since_s) = (mailbox(user), NOW_S + since);
                    let rows = block_on(store.reader().newest(&user, &identity, since_s, limit)).unwrap();
                    let rows: Vec<_> = rows.iter().map(|row| (row.received_s, row.is_junk)).collect();
                    prop_assert_eq!(rows, naive.newest(&user, &identity, since_s, limit));
                }
            }
            for (scope, identity) in scopes().iter().flat_map(|scope| identities(10).into_iter().map(move |i| (scope, i))) {
                let votes = block_on(store.reader().votes(scope, &identity, NOW_S + since)).unwrap();
                prop_assert_eq!(votes, naive.votes(&identity, NOW_S + since), "{:?} {:?}", scope, identity);
            }
            prop_assert_eq!(block_on(store.reader().verify()).unwrap().faults, Vec::<String>::new());
        }
    }

    #[test]
    fn sayings_commute(mut requests in vec(any_request(), 0..16), seed in any::<u64>()) {
        // Where a message is not always shown, whether it is a lesson depends on when it was.
        for request in &mut requests {
            request.features = Some(features(request.received_s.abs_diff(NOW_S)));
        }
        for place in Place::each() {
            let other = match place { Place::Embedded(_) => Place::embedded(), Place::Memory(_) => Place::memory() };
            let (one, two) = (place.open(), other.open());
            block_on(learn(&one, &requests));
            requests.sort_by_key(|r| (r.said.at_s.wrapping_mul(7) ^ seed as i64, r.id, r.said.label));
            block_on(learn(&two, &requests));
            prop_assert_eq!(block_on(dump(one.reader())), block_on(dump(two.reader())));
            prop_assert_eq!(block_on(answers(one.reader())), block_on(answers(two.reader())));
        }
    }

    #[test]
    fn forgetting_restores_and_the_opposite_equals_it_alone(
        requests in vec(any_request(), 0..12), which in any::<bool>(), n in 0..3u64,
    ) {
        let (label, opposite) = if which { (JUNK, NOT_JUNK) } else { (NOT_JUNK, JUNK) };
        let of_n = |label, at_s| LabelRequest { identities: identities(n), ..request(n, label, at_s) };
        // The delivery was not labelled before.
        let others: Vec<_> = requests.into_iter().filter(|r| r.id != id(n)).collect();
        for place in Place::each() {
            let other = match place { Place::Embedded(_) => Place::embedded(), Place::Memory(_) => Place::memory() };
            let (store, alone) = (place.open(), other.open());
            block_on(async {
                learn(&store, &others).await;
                let before = (dump(store.reader()).await, answers(store.reader()).await);
                learn(&store, &[of_n(label, 100)]).await;
                learn(&store, &[of_n(None, 101)]).await;
                assert_eq!((dump(store.reader()).await, answers(store.reader()).await), before);

                learn(&alone, &others).await;
                learn(&alone, &[of_n(opposite, 103)]).await;
                learn(&store, &[of_n(label, 102), of_n(opposite, 103)]).await;
                assert_eq!(dump(store.reader()).await, dump(alone.reader()).await);
                assert_eq!(answers(store.reader()).await, answers(alone.reader()).await);
            });
        }
    }

    #[test]
    fn rebuilding_a_sound_store_changes_nothing(requests in vec(any_request(), 0..24)) {
        for place in Place::each() {
            let store = place.open();
            block_on(async {
                learn(&store, &requests).await;
                let before = (dump(store.reader()).await, answers(store.reader()).await);
                store.rebuild().await.unwrap();
                assert_eq!((dump(store.reader()).await, answers(store.reader()).await), before);
                assert_eq!(store.reader().verify().await.unwrap().faults_count, 0);
            });
        }
    }
}
