//! What surrounds reputation, from the outside: greylisting, strangers, rates, allowed lists, what others here say, and the
//! copies that are kept of what memory keeps out.

use serde_json::Value;

use crate::origin::{BANK, STRANGER, World, bank, mail_from, reverse};
use crate::support::boxes;
use crate::support::client::{Mail, Reply};
use crate::support::daemon::said;
use crate::support::gateway::Gateway;
use crate::support::private_dns::{Zone, is_there};

const ANN: &str = "ann@bank.example";
/// A domain that says softly who may send for it: not the stranger.
const SOFT: &str = "eve@soft.example";
const GREYLISTED: &str = "4.7.1 Greylisting in effect - please try again later";
/// Whoever comes again in the next second passes.
const GREYLISTING: &str = "example.com/checks/greylisting=delay_s = 1\nwindow_s = 3600\n";
const DEFERRED: &str = "4.7.1 deferred by the recipient's mail policy, please try again later";
const REFUSED: &str = "5.7.1 refused by the recipient's mail policy";

fn world(files: &[&str]) -> World {
    let soft = Zone::new("soft.example", "@ TXT \"v=spf1 ip4:203.0.113.1 ~all\"\n");
    World::start(&[bank("v=DMARC1; p=none"), reverse(), soft], files)
}

/// One of several messages of an author.
fn numbered(n: u32, author: &str) -> Mail {
    let mail = mail_from(author);
    let text = String::from_utf8(mail.message).expect("text");
    Mail {
        message: text.replace("<1@", &format!("<{n}@")).into_bytes(),
        ..mail
    }
}

fn to(rcpts: &[&str], mail: Mail) -> Mail {
    let rcpts = rcpts.iter().map(|&rcpt| rcpt.to_owned()).collect();
    Mail { rcpts, ..mail }
}

#[track_caller]
fn is_told(reply: &Reply, code: u16, text: &str) {
    let id = reply.id().expect("the reply names the message");
    assert_eq!((reply.code, reply.text()), (code, format!("{text} (id {id})")));
}

/// Waits until the clock shows another second: memory counts whole ones.
fn next_second() {
    let now_s = || jiff::Timestamp::now().as_second();
    let before_s = now_s();
    while now_s() == before_s {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

fn stats(gateway: &Gateway) -> Value {
    serde_json::from_str(&said(gateway, &["store", "stats", "--json"])).expect("JSON")
}

/// Waits until so many copies are left: a delivered message's copy goes a moment after the reply.
#[track_caller]
pub fn await_copies(world: &World, count: usize) {
    let begun = std::time::Instant::now();
    while boxes::held(&world.gateway.spam()).len() != count {
        let held = boxes::held(&world.gateway.spam());
        assert!(
            begun.elapsed() < crate::support::PATIENCE,
            "{count} copies are wanted: {held:?}"
        );
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn a_stranger_is_asked_to_come_again_and_then_let_in() {
    if !is_there("a_stranger_is_asked_to_come_again_and_then_let_in") {
        return;
    }
    let world = world(&[GREYLISTING]);
    let eve = numbered(1, "eve@unknown.example");
    let first = world.send(STRANGER, &eve);
    is_told(&first, 452, GREYLISTED);
    let why = world.why(&first);
    assert!(
        why.contains("known as <eve@unknown.example> from the network 198.51.100.64: try 1"),
        "{why}"
    );
    assert!(why.contains("; a copy in the quarantine: "), "{why}");
    let held = boxes::held(&world.gateway.spam());
    assert_eq!(held.len(), 1);
    assert_eq!(
        boxes::header(&held[0].message, "X-REJECT-PLUGIN").as_deref(),
        Some("checks/greylisting")
    );
    // At once is too early, unless the second has just changed; either way there is one copy at most.
    let again = world.send(STRANGER, &eve);
    if again.code == 452 {
        await_copies(&world, 1);
        next_second();
        next_second();
        let third = world.send(STRANGER, &eve);
        assert_eq!(third.code, 250, "{}", world.why(&third));
    }
    // What came through needs no copy.
    await_copies(&world, 0);
    assert_eq!(stats(&world.gateway)["kept"], 0);
    // Whoever has passed is let in at once, from the same network.
    assert_eq!(
        world.send("198.51.100.70", &numbered(2, "eve@unknown.example")).code,
        250
    );
    assert_eq!(
        world.send("198.51.100.130", &numbered(3, "eve@unknown.example")).code,
        452,
        "another network"
    );
    assert_eq!(world.sink.taken().len(), 2);
}

#[test]
fn a_released_copy_does_not_come_twice() {
    if !is_there("a_released_copy_does_not_come_twice") {
        return;
    }
    let world = world(&["example.com/checks/greylisting"]);
    let eve = numbered(1, "eve@unknown.example");
    is_told(&world.send(STRANGER, &eve), 452, GREYLISTED);
    // The one copy is had by the id of any try: which one the sender tells of, nobody knows.
    let reply = world.send(STRANGER, &eve);
    is_told(&reply, 452, GREYLISTED);
    let id = reply.id().expect("an id");
    let text = said(&world.gateway, &["quarantine", "release", &id]);
    assert!(text.contains("delivered to foo@example.com"), "{text}");
    let text = said(&world.gateway, &["quarantine", "release", &id]);
    assert!(text.contains("was released before"), "{text}");
    assert_eq!(world.sink.taken().len(), 1);
    // Whenever the sender comes again, it is done.
    let again = world.send(STRANGER, &eve);
    assert_eq!(again.code, 250, "{again:?}");
    assert!(world.why(&again).contains("delivered before"), "{}", world.why(&again));
    assert_eq!(world.sink.taken().len(), 1);
    // The copy stays as it was released.
    assert_eq!(boxes::held(&world.gateway.spam()).len(), 1);
}

#[test]
fn only_strangers_wait_and_a_proven_domain_is_one_whatever_its_server() {
    if !is_there("only_strangers_wait_and_a_proven_domain_is_one_whatever_its_server") {
        return;
    }
    let two = Zone::new("two.example", "@ TXT \"v=spf1 ip4:192.0.2.80 ip4:203.0.113.80 -all\"\n");
    let world = World::start(
        &[bank("v=DMARC1; p=none"), reverse(), two],
        &[
            GREYLISTING,
            "example.com/users/valid/bar",
            "example.com/whitelisted/ips/192.0.2.99",
        ],
    );
    // Whoever the owner wrote to is welcome; his neighbour did not write.
    said(&world.gateway, &["sent", "foo@example.com", "pat@pats.example"]);
    assert_eq!(world.send(STRANGER, &numbered(1, "pat@pats.example")).code, 250);
    let to_bar = to(&["bar@example.com"], numbered(1, "pat@pats.example"));
    assert_eq!(world.send(STRANGER, &to_bar).code, 452);
    assert_eq!(
        world.send("192.0.2.99", &numbered(2, "eve@else.example")).code,
        250,
        "whitelisted"
    );

    let ann = numbered(1, "ann@two.example");
    let first = world.send("192.0.2.80", &ann);
    is_told(&first, 452, GREYLISTED);
    assert!(
        world
            .why(&first)
            .contains("known as two.example, which is proven: try 1")
    );
    next_second();
    next_second();
    // From the other side of the Internet, with another reverse-path.
    let other = Mail {
        from: "bounces@two.example".into(),
        ..ann
    };
    assert_eq!(world.send("203.0.113.80", &other).code, 250);
    // One who waits makes all wait, and nobody gets anything meanwhile.
    let before = world.sink.taken().len();
    let both = to(&["foo@example.com", "bar@example.com"], numbered(7, "pat@pats.example"));
    assert_eq!(world.send("198.51.100.7", &both).code, 452);
    assert_eq!(world.sink.taken().len(), before);
}

#[test]
fn a_large_message_of_a_stranger_waits_without_a_copy() {
    if !is_there("a_large_message_of_a_stranger_waits_without_a_copy") {
        return;
    }
    let world = world(&[GREYLISTING]);
    let large = numbered(1, "eve@unknown.example").padded(300_000);
    is_told(&world.send(STRANGER, &large), 452, GREYLISTED);
    assert_eq!(boxes::held(&world.gateway.spam()).len(), 0);
    next_second();
    next_second();
    assert_eq!(world.send(STRANGER, &large).code, 250);
}

/// Once only what earlier messages had used was counted, so one message for many had as many copies as recipients.
#[test]
fn one_message_for_many_has_no_more_room_than_many_messages() {
    if !is_there("one_message_for_many_has_no_more_room_than_many_messages") {
        return;
    }
    // A hundredth of it is 300,000 octets.
    let world = World::start_with(
        &[bank("v=DMARC1; p=none"), reverse()],
        &["wild.example/users/valid/*", "wild.example/checks/greylisting"],
        |setup| setup.set("limits.quarantine_size", "30000000"),
    );
    let rcpts: Vec<String> = (0..9).map(|n| format!("u{n}@wild.example")).collect();
    let large = Mail {
        rcpts,
        ..numbered(1, "eve@unknown.example").padded(100_000)
    };
    is_told(&world.send(STRANGER, &large), 452, GREYLISTED);
    assert_eq!(boxes::held(&world.gateway.spam()).len(), 2);
}

#[test]
fn strangers_are_remembered_though_the_gateway_is_killed() {
    if !is_there("strangers_are_remembered_though_the_gateway_is_killed") {
        return;
    }
    let mut world = world(&[GREYLISTING]);
    let eve = numbered(1, "eve@unknown.example");
    is_told(&world.send(STRANGER, &eve), 452, GREYLISTED);
    world.gateway.kill();
    next_second();
    next_second();
    world.gateway.start_again();
    assert_eq!(world.send(STRANGER, &eve).code, 250);
    await_copies(&world, 0);
}

#[test]
fn spf_speaks_against_strangers_only() {
    if !is_there("spf_speaks_against_strangers_only") {
        return;
    }
    let world = world(&[
        "example.com/checks/reputation",
        "strict.example/users/valid/foo",
        "strict.example/checks/strangers=action = \"reject\"\n",
        "off.example/users/valid/foo",
        "off.example/checks/reputation",
        "off.example/checks/strangers=soft = true\n",
    ]);
    let eve = numbered(1, SOFT);
    let reply = world.send(STRANGER, &eve);
    is_told(&reply, 451, DEFERRED);
    let why = world.why(&reply);
    assert!(
        why.contains("Check `strangers` says: SPF softfail for eve@soft.example, and this mailbox does not know the sender (this decided)."),
        "{why}"
    );
    // Each try leaves the one copy as it is.
    is_told(&world.send(STRANGER, &eve), 451, DEFERRED);
    let held = boxes::held(&world.gateway.spam());
    assert_eq!(held.len(), 1, "{held:?}");
    is_told(
        &world.send(STRANGER, &to(&["foo@strict.example"], eve.clone())),
        550,
        REFUSED,
    );
    assert_eq!(world.send(STRANGER, &to(&["foo@off.example"], eve.clone())).code, 250);
    // Once the owner has written to her she is no stranger, and the copy goes with her letter.
    said(&world.gateway, &["sent", "foo@example.com", SOFT]);
    assert_eq!(world.send(STRANGER, &eve).code, 250);
    await_copies(&world, 1);
    assert_eq!(boxes::held(&world.gateway.spam())[0].recipient, "foo@strict.example");
}

#[test]
fn what_others_here_say_is_a_mild_signal() {
    if !is_there("what_others_here_say_is_a_mild_signal") {
        return;
    }
    let boxes = ["a", "b", "c"].map(|name| format!("{name}@example.com"));
    let mut files = vec![
        "example.com/checks/reputation",
        "other.example/users/valid/foo",
        "other.example/checks/reputation",
    ];
    files.extend([
        "example.com/users/valid/a",
        "example.com/users/valid/b",
        "example.com/users/valid/c",
    ]);
    let mut world = world(&files);
    let label = |mailbox: &str, n: u32| {
        let reply = world.send(BANK, &to(&[mailbox], numbered(n, ANN)));
        assert_eq!(reply.code, 250, "{}", world.why(&reply));
        said(&world.gateway, &["label", "junk", &reply.id().expect("an id")]);
    };
    label(&boxes[0], 1);
    label(&boxes[1], 2);
    let of_others = "other mailboxes have seen junk of the sender";
    let why = |world: &World, mailbox: &str, n: u32| {
        let reply = world.send(BANK, &to(&[mailbox], numbered(n, ANN)));
        assert_eq!(reply.code, 250, "never conclusive: {reply:?}");
        world.why(&reply)
    };
    assert!(
        !why(&world, "foo@example.com", 3).contains(of_others),
        "two say nothing"
    );
    label(&boxes[2], 4);
    let text = why(&world, "foo@example.com", 5);
    assert!(
        text.contains("other mailboxes have seen junk of the sender: mail of ann@bank.example, by mailboxes of example.com (3 of 3 say junk) (evidence only)"),
        "{text}"
    );
    let text = why(&world, "foo@other.example", 6);
    assert!(text.contains("by mailboxes here (3 of 3 say junk)"), "{text}");
    let told = said(&world.gateway, &["reputation", "foo@example.com", ANN]);
    assert!(
        told.contains(
            "others: junk, a mild signal: mail of ann@bank.example, by mailboxes of example.com: 3 of 3 say junk"
        ),
        "{told}"
    );

    world.gateway.set("reputation.shared", "false");
    assert_eq!(world.gateway.reload(), crate::support::gateway::Reloaded::Yes);
    assert!(!why(&world, "foo@example.com", 7).contains(of_others));
}

#[test]
fn without_a_reverse_name_the_junk_that_others_saw_counts() {
    if !is_there("without_a_reverse_name_the_junk_that_others_saw_counts") {
        return;
    }
    // Nobody answers for the reverse name of 192.0.2.28.
    let world = world(&[
        "example.com/checks/reputation",
        "example.com/users/valid/a",
        "example.com/users/valid/b",
        "example.com/users/valid/c",
    ]);
    for (n, name) in [(1, "a"), (2, "b"), (3, "c")] {
        let reply = world.send(
            "192.0.2.28",
            &to(&[&format!("{name}@example.com")], numbered(n, "eve@else.example")),
        );
        assert_eq!(reply.code, 250, "{}", world.why(&reply));
        said(&world.gateway, &["label", "junk", &reply.id().expect("an id")]);
    }
    let reply = world.send("192.0.2.28", &numbered(4, "mal@third.example"));
    is_told(&reply, 451, DEFERRED);
    let why = world.why(&reply);
    assert!(
        why.contains("the client has no confirmed reverse name, and junk is known of it (mail from 192.0.2.28, by mailboxes of example.com)"),
        "{why}"
    );
}

#[test]
fn one_network_may_not_send_without_end() {
    if !is_there("one_network_may_not_send_without_end") {
        return;
    }
    let world = world(&[
        "example.com/checks/rate=messages_minute = 2\n",
        "example.com/users/valid/bar",
        "example.com/whitelisted/senders/vip@else.example",
    ]);
    for n in 1..=2 {
        assert_eq!(world.send(STRANGER, &numbered(n, "eve@else.example")).code, 250);
    }
    let reply = world.send(STRANGER, &numbered(3, "eve@else.example"));
    is_told(
        &reply,
        452,
        "4.2.2 Too much mail from your network for this mailbox, please try again later",
    );
    let why = world.why(&reply);
    assert!(
        why.contains("Check `rate` says: too much mail for this mailbox from 198.51.100.66/32 within a minute: 2 messages, of 2 (this decided)."),
        "{why}"
    );
    assert_eq!(boxes::held(&world.gateway.spam()).len(), 0, "no copy");
    // Another mailbox, a neighbour of the client, and whom the operator lets in.
    assert_eq!(
        world
            .send(STRANGER, &to(&["bar@example.com"], numbered(3, "eve@else.example")))
            .code,
        250
    );
    assert_eq!(world.send("198.51.100.67", &numbered(4, "eve@else.example")).code, 250);
    assert_eq!(world.send(STRANGER, &numbered(5, "vip@else.example")).code, 250);
    // The network around may send three times as much: six, of which three came.
    for (n, last) in (6..).zip(68..=70) {
        assert_eq!(
            world
                .send(&format!("198.51.100.{last}"), &numbered(n, "eve@else.example"))
                .code,
            250
        );
    }
    let reply = world.send("198.51.100.71", &numbered(9, "eve@else.example"));
    assert_eq!(reply.code, 452);
    assert!(
        world
            .why(&reply)
            .contains("from 198.51.100.64/26 within a minute: 6 messages, of 6")
    );
}

#[test]
fn a_list_may_write_in_the_name_of_its_members() {
    if !is_there("a_list_may_write_in_the_name_of_its_members") {
        return;
    }
    let list = Zone::new(
        "list.example",
        "@ TXT \"v=spf1 ip4:198.51.100.66 -all\"\nmx TXT \"v=spf1 ip4:198.51.100.66 -all\"\n",
    );
    let zones = [bank("v=DMARC1; p=reject"), reverse(), list];
    let files = [
        "example.com/checks/dmarc",
        GREYLISTING,
        "example.com/lists/list.example",
        "plain.example/users/valid/foo",
        "plain.example/checks/dmarc",
        "helo.example/users/valid/foo",
        "helo.example/checks/helo",
        "helo.example/lists/list.example",
    ];
    let world = World::start(&zones, &files);
    // DMARC breaks, because the list sends in Ann's name.
    let post = Mail {
        helo: "mx.list.example".into(),
        from: "bounces@list.example".into(),
        ..mail_from(ANN)
    };
    let reply = world.send(STRANGER, &post);
    assert_eq!(reply.code, 250, "{}", world.why(&reply));
    let why = world.why(&reply);
    assert!(
        why.contains("The directory `lists` says: The list list.example may write to this domain, and SPF proves its reverse-path (this decided)."),
        "{why}"
    );
    assert!(
        why.contains("but the list list.example may write to this domain (evidence only)"),
        "{why}"
    );
    assert_eq!(
        world.send(STRANGER, &to(&["foo@plain.example"], post.clone())).code,
        550
    );
    // The operator's own checks hold for lists too.
    let bad = Mail {
        helo: "nodot".into(),
        ..to(&["foo@helo.example"], post.clone())
    };
    assert!(world.refused(STRANGER, &bad).contains("HELO"));
    // A notification has no reverse-path, so its HELO name proves no list.
    let notification = Mail {
        from: String::new(),
        ..post.clone()
    };
    assert_eq!(world.send(STRANGER, &notification).code, 550);
    // Whoever only claims to be the list is none.
    let reply = world.send("198.51.100.99", &post);
    assert_eq!(reply.code, 550, "{}", world.why(&reply));
}

#[test]
fn what_reputation_refuses_is_kept_once_and_goes_when_it_is_let_in() {
    if !is_there("what_reputation_refuses_is_kept_once_and_goes_when_it_is_let_in") {
        return;
    }
    let world = World::start_with(
        &[bank("v=DMARC1; p=none"), reverse()],
        &["example.com/checks/reputation"],
        |setup| setup.set("quarantine.rejects_max", "2"),
    );
    let ids: Vec<String> = (1..=2)
        .map(|n| {
            let reply = world.send(BANK, &numbered(n, ANN));
            assert_eq!(reply.code, 250);
            reply.id().expect("an id")
        })
        .collect();
    said(&world.gateway, &["label", "junk", &ids[0], &ids[1]]);
    let refused = numbered(3, ANN);
    let replies = [(); 2].map(|()| world.send(BANK, &refused));
    for reply in &replies {
        is_told(reply, 550, REFUSED);
    }
    let held = boxes::held(&world.gateway.spam());
    assert_eq!(held.len(), 1, "{held:?}");
    // Both tries lead to the one copy.
    let place = |reply: &Reply| {
        let why = world.why(reply);
        let line = why
            .lines()
            .find(|line| line.contains(&held[0].file_name))
            .map(str::to_owned);
        line.unwrap_or_else(|| panic!("{why}"))
    };
    assert_eq!(place(&replies[0]), place(&replies[1]));
    // The same Message-ID with other words is another message.
    let text = String::from_utf8(refused.message.clone()).expect("text");
    let other = Mail {
        message: text.replace("ready", "not ready").into_bytes(),
        ..refused.clone()
    };
    is_told(&world.send(BANK, &other), 550, REFUSED);
    assert_eq!(boxes::held(&world.gateway.spam()).len(), 2);
    // The third displaces the oldest.
    next_second();
    is_told(&world.send(BANK, &numbered(4, ANN)), 550, REFUSED);
    await_copies(&world, 2);
    let ids_left: Vec<_> = boxes::held(&world.gateway.spam())
        .iter()
        .map(|copy| boxes::message_id(&copy.message))
        .collect();
    assert!(ids_left.contains(&"4@bank.example".to_owned()), "{ids_left:?}");

    said(&world.gateway, &["label", "forget", &ids[0], &ids[1]]);
    assert_eq!(world.send(BANK, &numbered(4, ANN)).code, 250);
    await_copies(&world, 1);
    assert_eq!(stats(&world.gateway)["kept"], 1);
}

/// Who holds a copy, in the order of the alphabet.
fn holders(world: &World) -> Vec<String> {
    let mut all: Vec<String> = boxes::held(&world.gateway.spam())
        .into_iter()
        .map(|copy| copy.recipient)
        .collect();
    all.sort_unstable();
    all
}

/// All who are listed nowhere share a mailbox, and are different people. Once a copy of a message for one of them took the
/// place of another's, and a delivery to one took away what was held for another, though its sender was told 250.
#[test]
fn those_who_share_a_mailbox_have_copies_of_their_own() {
    if !is_there("those_who_share_a_mailbox_have_copies_of_their_own") {
        return;
    }
    let world = world(&[
        "wild.example/users/valid/*",
        "wild.example/checks/strangers=action = \"reject\"\n",
        "wild.example/whitelisted/recipients/x",
    ]);
    let eve = numbered(1, SOFT);
    let send = |rcpts: &[&str]| world.send(STRANGER, &to(rcpts, eve.clone()));
    is_told(&send(&["a@wild.example", "b@wild.example"]), 550, REFUSED);
    is_told(&send(&["c@wild.example"]), 550, REFUSED);
    is_told(&send(&["b@wild.example"]), 550, REFUSED);
    assert_eq!(holders(&world), ["a@wild.example", "b@wild.example", "c@wild.example"]);

    let other = numbered(2, SOFT);
    let reply = world.send(STRANGER, &to(&["x@wild.example", "d@wild.example"], other));
    assert_eq!(reply.code, 250, "{}", world.why(&reply));
    assert_eq!(world.sink.taken().len(), 1);
    // What a delivery takes away is gone a moment later.
    next_second();
    next_second();
    assert!(holders(&world).contains(&"d@wild.example".to_owned()));
}

/// Once a thousand refused messages, which anybody can send, made a copy go whose sender had been told 250.
#[test]
fn what_is_held_for_others_sake_is_not_displaced() {
    if !is_there("what_is_held_for_others_sake_is_not_displaced") {
        return;
    }
    let soft = Zone::new("soft.example", "@ TXT \"v=spf1 ip4:203.0.113.1 ~all\"\n");
    let world = World::start_with(
        &[bank("v=DMARC1; p=none"), reverse(), soft],
        &[
            "example.com/checks/strangers=action = \"reject\"\n",
            "example.com/users/valid/bar",
            "example.com/whitelisted/recipients/bar",
        ],
        |setup| setup.set("quarantine.rejects_max", "1"),
    );
    let held = || -> Vec<String> {
        let mut ids: Vec<String> = boxes::held(&world.gateway.spam())
            .iter()
            .map(|copy| boxes::message_id(&copy.message))
            .collect();
        ids.sort_unstable();
        ids
    };
    is_told(&world.send(STRANGER, &numbered(1, SOFT)), 550, REFUSED);
    let both = to(&["foo@example.com", "bar@example.com"], numbered(1, SOFT));
    let reply = world.send(STRANGER, &both);
    assert_eq!(reply.code, 250, "{}", world.why(&reply));
    // The copy of the earlier try is not needed any more.
    await_copies(&world, 1);
    for n in 2..=3 {
        is_told(&world.send(STRANGER, &numbered(n, SOFT)), 550, REFUSED);
    }
    await_copies(&world, 2);
    assert_eq!(held(), ["1@soft.example", "3@soft.example"]);
}

#[test]
fn who_has_a_released_copy_needs_no_other_while_the_rest_must_wait() {
    if !is_there("who_has_a_released_copy_needs_no_other_while_the_rest_must_wait") {
        return;
    }
    let world = world(&["example.com/checks/strangers", "example.com/users/valid/bar"]);
    let both = to(&["foo@example.com", "bar@example.com"], numbered(1, SOFT));
    is_told(&world.send(STRANGER, &both), 451, DEFERRED);
    let list = said(
        &world.gateway,
        &["quarantine", "list", "--to", "foo@example.com", "--json"],
    );
    let entry: Value = serde_json::from_str(&list).expect("JSON");
    let text = |name: &str| entry[name].as_str().expect("text").to_owned();
    let reference = format!("{}/{}/{}", text("day"), text("domain"), text("filename"));
    said(&world.gateway, &["quarantine", "release", &reference]);
    let again = world.send(STRANGER, &both);
    is_told(&again, 451, DEFERRED);
    assert!(world.why(&again).contains("delivered before"), "{}", world.why(&again));
    assert_eq!(holders(&world), ["bar@example.com", "foo@example.com"]);
    assert_eq!(world.sink.taken().len(), 1);
}
