//! The table against a second reading of it, edges, and what must hold for any history.

mod letter;
mod model;
mod sender;
mod shared;

use super::history::{Correspondent, History, HistoryRow, HistoryUnavailable, Identity};
use super::*;
use crate::resolver::BoxFuture;
use mail::{Domain, Line, MailboxId};
use model::{Memory, a_memory, a_sender};
use pollster::block_on;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::collections::{HashMap, HashSet};
use std::future::ready;
use std::sync::Mutex;

const DAY_S: i64 = 24 * 3600;
const YEAR_S: i64 = 365 * DAY_S;
const NOW_S: i64 = 2_000_000_000;

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

fn mailbox() -> MailboxId {
    MailboxId::try_from("me@home.example".to_owned()).unwrap()
}

fn ann(is_validated: bool) -> Sender {
    let author = AuthorClaim {
        local: Line::literal("ann"),
        written: Line::literal("Ann"),
        domain: domain("www.shop.example"),
        organization: domain("shop.example"),
        is_validated,
    };
    Sender {
        author: Some(author),
        ..Sender::default()
    }
}

/// Everything about it is known and proven, but the author.
fn whole() -> Sender {
    Sender {
        reverse_path: Some(ReversePathClaim {
            local: Line::literal("b"),
            domain: domain("esp.example"),
            is_validated: true,
        }),
        helo: Some(HeloClaim {
            domain: domain("mx.esp.example"),
            is_validated: true,
        }),
        dkim: ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]
            .map(|name| domain(&format!("{name}.example")))
            .into(),
        networks: networks("192.0.2.77".parse().unwrap()).map(Some),
        ..ann(false)
    }
}

/// Another history, whose questions are counted; fails from one of them on.
struct Watched<'a> {
    history: &'a PlainHistory,
    asked: Mutex<Vec<String>>,
    fails_at: usize,
}

impl<'a> Watched<'a> {
    fn new(history: &'a PlainHistory) -> Watched<'a> {
        Watched {
            history,
            asked: Mutex::default(),
            fails_at: usize::MAX,
        }
    }

    fn note(&self, question: String) -> bool {
        let mut asked = self.asked.lock().unwrap();
        asked.push(question);
        asked.len() <= self.fails_at
    }

    fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

fn down<T: Send>() -> Result<T, HistoryUnavailable> {
    Err(HistoryUnavailable(Line::literal("down")))
}

impl History for Watched<'_> {
    fn newest<'a>(
        &'a self,
        mailbox: &'a MailboxId,
        identity: &'a Identity,
        since_s: i64,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<HistoryRow>, HistoryUnavailable>> {
        match self.note(format!("{identity:?}")) {
            true => self.history.newest(mailbox, identity, since_s, limit),
            false => Box::pin(ready(down())),
        }
    }

    fn wrote_to<'a>(
        &'a self,
        mailbox: &'a MailboxId,
        correspondent: &'a Correspondent,
        since_s: i64,
    ) -> BoxFuture<'a, Result<bool, HistoryUnavailable>> {
        match self.note(format!("{correspondent:?}")) {
            true => self.history.wrote_to(mailbox, correspondent, since_s),
            false => Box::pin(ready(down())),
        }
    }

    fn votes<'b>(
        &'b self,
        scope: &'b Scope,
        identity: &'b Identity,
        since_s: i64,
    ) -> BoxFuture<'b, Result<Votes, HistoryUnavailable>> {
        self.history.votes(scope, identity, since_s)
    }
}

fn ask(sender: &Sender, history: &PlainHistory, now_s: i64) -> Standing {
    block_on(standing(sender, &mailbox(), history, now_s)).unwrap()
}

fn one_of(sender: &Sender, age_s: i64, is_junk: bool) -> PlainHistory {
    let mut history = PlainHistory::new();
    history.label(&mailbox(), sender, NOW_S - age_s, 0, is_junk);
    history
}

#[test]
fn of_somebody_unknown_eighteen_questions_are_asked_and_none_twice() {
    let history = PlainHistory::new();
    let watched = Watched::new(&history);
    let found = block_on(standing(&whole(), &mailbox(), &watched, NOW_S)).unwrap();
    assert_eq!(
        (found.method, found.verdict, found.is_conclusive),
        (Method::None, None, false)
    );
    let mut asked = watched.asked.into_inner().unwrap();
    assert_eq!((asked.len(), found.walk.len()), (QUESTIONS_MAX, QUESTIONS_MAX));
    let rows: Vec<u8> = found.walk.iter().map(|step| step.row).collect();
    assert_eq!(rows, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10, 10, 10, 10, 11, 11, 11]);
    // Nine ask about the author, so three signatures are asked about: of those who signed last.
    assert!(asked.contains(&format!("{:?}", Identity::Dkim(domain("c.example")))));
    assert_eq!(
        found.walk[11].concluded.as_str(),
        "nothing is asked of 7 more who signed"
    );
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), QUESTIONS_MAX);
}

#[test]
fn a_proven_author_or_none_leaves_room_for_more_signatures() {
    for (author, signatures) in [(ann(true).author, 6), (None, 10)] {
        let sender = Sender { author, ..whole() };
        let found = ask(&sender, &PlainHistory::new(), NOW_S);
        let signed = |step: &&Step| step.asked.as_str().starts_with("mail signed by");
        assert_eq!(found.walk.iter().filter(signed).count(), signatures);
    }
}

#[test]
fn the_walk_ends_with_the_row_that_decides() {
    let history = one_of(&ann(true), DAY_S, false);
    let watched = Watched::new(&history);
    let found = block_on(standing(&ann(true), &mailbox(), &watched, NOW_S)).unwrap();
    assert_eq!(watched.count(), 1);
    assert_eq!(found.to_string(), "not junk, conclusive (msgfromfull)");
    assert_eq!(
        found.walk[0].to_string(),
        "mail of ann@www.shop.example, proven, of the last 3 years: 1, of which 0 junk; the newest is not junk: not \
         junk, conclusive"
    );
}

#[test]
fn a_question_that_nobody_answers_ends_the_walk() {
    let history = PlainHistory::new();
    for fails_at in 0..QUESTIONS_MAX {
        let watched = Watched {
            fails_at,
            ..Watched::new(&history)
        };
        let found = block_on(standing(&whole(), &mailbox(), &watched, NOW_S));
        assert_eq!(found, down());
        assert_eq!(watched.count(), fails_at + 1);
    }
}

/// What is left of a sender, and how far back the question reaches that knows it by that.
fn reaches() -> Vec<(Sender, Sender, i64)> {
    let other = |local: &'static str, name: &str| {
        let mut sender = ann(true);
        let author = sender.author.as_mut().unwrap();
        (author.local, author.domain) = (Line::literal(local), domain(name));
        sender
    };
    let (mut signed, mut path, mut helo, mut near) = (Sender::default(), Sender::default(), whole(), whole());
    signed.dkim = vec![domain("a.example")];
    path.reverse_path = whole().reverse_path;
    (helo.author, helo.reverse_path, helo.dkim, helo.networks) = (None, None, Vec::new(), [None; 3]);
    (near.author, near.reverse_path, near.helo, near.dkim) = (None, None, None, Vec::new());
    let mut widest = near.clone();
    widest.networks = networks("192.0.6.1".parse().unwrap()).map(Some);
    vec![
        (ann(true), ann(true), 3 * YEAR_S),
        (ann(false), ann(false), 3 * YEAR_S),
        (ann(false), ann(true), 3 * YEAR_S),
        (ann(true), other("bob", "www.shop.example"), 2 * YEAR_S),
        (ann(false), other("bob", "www.shop.example"), 2 * YEAR_S),
        (ann(true), other("ann", "eu.shop.example"), 2 * YEAR_S),
        (ann(false), other("ann", "eu.shop.example"), 2 * YEAR_S),
        (signed.clone(), signed, YEAR_S / 2),
        (path.clone(), path, YEAR_S / 2),
        (helo.clone(), helo, YEAR_S / 2),
        (near.clone(), near.clone(), YEAR_S / 4),
        (near, widest, YEAR_S / 4),
    ]
}

#[test]
fn a_windows_edge_is_within_it() {
    for (now, then, window_s) in reaches() {
        let method = |age_s| ask(&now, &one_of(&then, age_s, false), NOW_S).method;
        assert_ne!(method(window_s), Method::None, "{then:?}");
        assert_eq!(method(window_s + 1), Method::None, "{then:?}");
        // A clock that jumped back: what came after now counts.
        assert_ne!(method(-YEAR_S), Method::None, "{then:?}");
    }
}

#[test]
fn the_window_of_sent_mail_has_its_edge_within_too() {
    let sent = |local, name: &str, age_s| {
        let mut history = PlainHistory::new();
        let organization = domain("shop.example");
        history.send(
            &mailbox(),
            &Line::literal(local),
            &domain(name),
            &organization,
            NOW_S - age_s,
        );
        ask(&ann(false), &history, NOW_S).method
    };
    for (local, name, window_s, method, later) in [
        ("Ann", "www.shop.example", 3 * YEAR_S, Method::MsgToFull, Method::None),
        (
            "Ann",
            "www.shop.example",
            2 * YEAR_S,
            Method::MsgToFull,
            Method::MsgToFull,
        ),
        // Addresses that were written to are compared as text.
        ("ann", "www.shop.example", 2 * YEAR_S, Method::MsgToDomain, Method::None),
        (
            "bob",
            "eu.shop.example",
            2 * YEAR_S,
            Method::MsgToOrgDomain,
            Method::None,
        ),
    ] {
        assert_eq!(sent(local, name, window_s), method);
        assert_eq!(sent(local, name, window_s + 1), later);
    }
}

#[test]
fn of_equal_times_the_higher_number_is_newer() {
    for (numbers, verdict) in [([0, 1, 2], Repute::Junk), ([2, 1, 0], Repute::NotJunk)] {
        let mut history = PlainHistory::new();
        for (number, is_junk) in numbers.into_iter().zip([false, true, true]) {
            history.label(&mailbox(), &ann(true), NOW_S - DAY_S, number, is_junk);
        }
        let found = ask(&ann(true), &history, NOW_S);
        assert_eq!(found.verdict, Some(verdict));
    }
}

#[test]
fn no_mailbox_knows_what_another_one_remembers() {
    let history = one_of(&whole(), DAY_S, true);
    let other = MailboxId::try_from("you@home.example".to_owned()).unwrap();
    let found = block_on(standing(&whole(), &other, &history, NOW_S)).unwrap();
    assert_eq!(found.method, Method::None);
}

#[test]
fn the_most_messages_of_any_signature_count() {
    // The original counts those of the last signature, so that their order decided.
    let signed = |names: &[&str]| Sender {
        dkim: names.iter().map(|name| domain(name)).collect(),
        ..Sender::default()
    };
    let mut history = one_of(&signed(&["once.example"]), DAY_S, true);
    for number in 1..3 {
        history.label(&mailbox(), &signed(&["twice.example"]), NOW_S - DAY_S, number, true);
    }
    for names in [["once.example", "twice.example"], ["twice.example", "once.example"]] {
        let found = ask(&signed(&names), &history, NOW_S);
        assert_eq!(found.to_string(), "junk, conclusive (dkimspf)");
        let last = found.walk.last().unwrap().concluded.as_str();
        assert_eq!(last, "a bad sign; in all 0 good, 2 bad, 0 undecided: junk, conclusive");
    }
}

#[test]
fn a_standing_reads_back_as_it_was() {
    let mut history = one_of(&whole(), DAY_S, true);
    history.label(&mailbox(), &whole(), NOW_S - 2, 7, false);
    let mut stranger = whole();
    stranger.author = None;
    for sender in [whole(), stranger, ann(true)] {
        let found = ask(&sender, &history, NOW_S);
        let stored = serde_json::to_string(&found).unwrap();
        assert_eq!(serde_json::from_str::<Standing>(&stored).unwrap(), found);
        let stored = serde_json::to_string(&sender).unwrap();
        assert_eq!(serde_json::from_str::<Sender>(&stored).unwrap(), sender);
    }
    for method in Method::ALL {
        assert_eq!(serde_json::to_string(&method).unwrap(), format!("\"{method}\""));
    }
}

#[test]
fn a_step_tells_of_ten_rows_at_most() {
    let mut history = PlainHistory::new();
    for number in 0..60 {
        history.label(&mailbox(), &whole(), NOW_S - DAY_S, number, true);
    }
    let mut stranger = whole();
    stranger.author = None;
    let found = ask(&stranger, &history, NOW_S);
    let Answer::Messages { found, junk, newest } = &found.walk[0].answer else {
        panic!("{found:?}");
    };
    assert_eq!((*found, *junk, newest.len(), newest[0].number), (50, 50, 10, 59));
}

/// Otherwise the properties below would say little.
#[test]
fn chance_reaches_every_method_and_all_that_each_can_say() {
    let mut runner = TestRunner::deterministic();
    let mut reached = HashMap::<Method, HashSet<_>>::new();
    for _ in 0..4000 {
        let memory = a_memory().new_tree(&mut runner).unwrap().current();
        let sender = a_sender().new_tree(&mut runner).unwrap().current();
        let (verdict, is_conclusive, method) = model::standing(&memory, &sender);
        reached.entry(method).or_default().insert((verdict, is_conclusive));
    }
    // A name that was written to is welcome for certain; of what is unknown nothing is said.
    for (method, ways) in Method::ALL.map(|method| match method {
        Method::MsgFromFull => (method, 4),
        Method::MsgToFull | Method::MsgToDomain | Method::MsgToOrgDomain | Method::None => (method, 1),
        Method::MsgFromDomain | Method::MsgFromOrgDomain | Method::DkimSpf => (method, 4),
        Method::Ip1 | Method::Ip2 | Method::Ip3 => (method, 5),
    }) {
        let found = reached.get(&method).map_or(0, HashSet::len);
        assert_eq!(found, ways, "{method}: {:?}", reached.get(&method));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn the_table_equals_a_second_reading_of_it(memory in a_memory(), sender in a_sender()) {
        let found = ask(&sender, &memory.history(), model::NOW_S);
        let expected = model::standing(&memory, &sender);
        prop_assert_eq!((found.verdict, found.is_conclusive, found.method), expected);
    }

    #[test]
    fn what_is_conclusive_has_a_verdict_and_few_questions(memory in a_memory(), sender in a_sender()) {
        let history = memory.history();
        let watched = Watched::new(&history);
        let found = block_on(standing(&sender, &mailbox(), &watched, model::NOW_S)).unwrap();
        prop_assert!(found.verdict.is_some() || !found.is_conclusive);
        prop_assert!(watched.count() <= QUESTIONS_MAX);
        prop_assert_eq!(watched.count(), found.walk.len());
        let is_decided = found.method != Method::None;
        let decides = |step: &Step| step.concluded.as_str().ends_with("conclusive");
        let deciding = found.walk.iter().filter(|step| decides(step)).count();
        prop_assert_eq!(deciding, usize::from(is_decided));
        prop_assert!(found.walk.last().is_none_or(|step| decides(step) == is_decided));
    }

    #[test]
    fn the_order_in_which_it_was_remembered_changes_nothing(
        memory in a_memory(),
        mut sender in a_sender(),
        turn in 0usize..50,
    ) {
        let found = ask(&sender, &memory.history(), model::NOW_S);
        let mut turned = memory.clone();
        turned.rows.reverse();
        let turn = turn.min(turned.rows.len());
        turned.rows.rotate_left(turn);
        turned.sent.reverse();
        let again = ask(&sender, &turned.history(), model::NOW_S);
        prop_assert_eq!(&again, &found);
        // Neither does that of up to three signatures, which are all asked about.
        sender.dkim.truncate(3);
        let found = ask(&sender, &memory.history(), model::NOW_S);
        sender.dkim.reverse();
        let again = ask(&sender, &memory.history(), model::NOW_S);
        prop_assert_eq!(
            (again.verdict, again.is_conclusive, again.method),
            (found.verdict, found.is_conclusive, found.method)
        );
    }

    #[test]
    fn no_time_is_too_far_away(now_s in any::<i64>(), received_s in any::<i64>(), sent_s in any::<i64>()) {
        let mut history = PlainHistory::new();
        history.label(&mailbox(), &whole(), received_s, u64::MAX, true);
        history.send(&mailbox(), &Line::default(), &domain("shop.example"), &domain("shop.example"), sent_s);
        let found = ask(&whole(), &history, now_s);
        prop_assert!(found.verdict.is_some() || !found.is_conclusive);
        let empty = Memory::default();
        prop_assert_eq!(ask(&whole(), &empty.history(), now_s).method, Method::None);
    }
}
