//! What a mailbox remembers, from the outside: labels, whom its owner wrote to, and what follows for the next message.
//!
//! The bank's own server proves that it is the bank; everybody else who uses the name does not.

use std::fs;
use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use serde_json::{Value, json};

use crate::control::{NOBODY, for_users};
use crate::origin::{BANK, STRANGER, World, bank, mail_from, reverse};
use crate::strangers::await_copies;
use crate::support::boxes;
use crate::support::client::{Client, Mail, Reply};
use crate::support::daemon::{mailward_as, output, said};
use crate::support::gateway::{Gateway, Reloaded};
use crate::support::private_dns::{Zone, is_there};

const FOO: &str = "foo@example.com";
const ANN: &str = "ann@bank.example";
/// What the sender is told of the mailbox's memory.
const PRIVATE: &str = "refused by the recipient's mail policy";
const DEFERRED: &str = "deferred by the recipient's mail policy, please try again later";
/// A check that a known sender may fail.
const LENIENT_HELO: &str = "example.com/checks/helo=known = \"pass\"\n";

/// The bank asks nothing of those who receive its mail, so that only memory speaks.
fn world(files: &[&str]) -> World {
    World::start(&[bank("v=DMARC1; p=none"), reverse()], files)
}

/// What a command says: standard output, standard error, exit code.
fn run(gateway: &Gateway, args: &[&str]) -> (String, String, Option<i32>) {
    told(&gateway.command(args))
}

fn told(output: &Output) -> (String, String, Option<i32>) {
    let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).expect("text");
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

/// Standard error of a command that fails with `exit` and says nothing else.
fn fails(gateway: &Gateway, args: &[&str], exit: i32) -> String {
    let (text, error, code) = run(gateway, args);
    assert_eq!((text.as_str(), code), ("", Some(exit)), "{args:?}: {error}");
    error
}

fn id(reply: &Reply) -> String {
    reply.id().expect("the reply names the message")
}

/// Sends a message that must be welcome; its id.
fn welcome(world: &World, addr: &str, mail: &Mail) -> String {
    let reply = world.send(addr, mail);
    assert_eq!(reply.code, 250, "{reply:?}\n{}", world.why(&reply));
    id(&reply)
}

/// Two proven messages of the bank to somebody, labelled; their ids.
fn labelled(world: &World, what: &str, to: &str) -> [String; 2] {
    let ids = [(); 2].map(|()| welcome(world, BANK, &to_mailboxes(&[to])));
    said(&world.gateway, &["label", what, &ids[0], &ids[1]]);
    ids
}

fn to_mailboxes(rcpts: &[&str]) -> Mail {
    Mail {
        rcpts: rcpts.iter().map(|&rcpt| rcpt.to_owned()).collect(),
        ..mail_from(ANN)
    }
}

/// The same with a HELO name that the check refuses.
fn bad_helo(mail: Mail) -> Mail {
    Mail {
        helo: "nodot".into(),
        ..mail
    }
}

/// Waits until a message that comes is newer than those before it: memory counts whole seconds.
fn next_second() {
    let now_s = || jiff::Timestamp::now().as_second();
    let before_s = now_s();
    while now_s() == before_s {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What the mailbox thinks of the bank's Ann.
fn standing(gateway: &Gateway, mailbox: &str, flags: &[&str]) -> String {
    let text = said(gateway, &[&["reputation", mailbox, ANN], flags].concat());
    text.lines().next().expect("a line").to_owned()
}

#[test]
fn a_sender_known_for_junk_is_refused_until_the_labels_are_forgotten() {
    if !is_there("a_sender_known_for_junk_is_refused_until_the_labels_are_forgotten") {
        return;
    }
    let world = world(&["example.com/checks/recommended"]);
    let ids = [(); 2].map(|()| welcome(&world, BANK, &mail_from(ANN)));
    // Nobody has labelled anything, so there is no history.
    let done = said(&world.gateway, &["label", "junk", &ids[0], &ids[1]]);
    assert_eq!(
        done,
        format!("{} for {FOO}: junk\n{} for {FOO}: junk\n", ids[0], ids[1])
    );

    let reply = world.send(BANK, &mail_from(ANN));
    let third = id(&reply);
    assert_eq!(
        (reply.code, reply.text()),
        (550, format!("5.7.1 {PRIVATE} (id {third})"))
    );
    let reason =
        format!("this mailbox knows the sender for junk: mail of {ANN}, proven, of the last 3 years (msgfromfull)");
    let why = world.why(&reply);
    assert!(
        why.contains(&format!("Check `reputation` says: {reason} (this decided).")),
        "{why}"
    );
    assert!(why.contains("  history   junk, conclusive (msgfromfull)\n"), "{why}");
    assert!(
        why.contains("  verdict   reject: refused (550 5.7.1), a copy kept in the quarantine\n"),
        "{why}"
    );
    assert!(
        why.contains("2, of which 2 junk; the two newest are junk: junk, conclusive"),
        "the walk: {why}"
    );
    world.gateway.await_log(&reason);

    // The copy says all of it, and can be released.
    let held = boxes::held(&world.gateway.spam());
    assert_eq!(held.len(), 1, "{held:?}");
    let copy = String::from_utf8_lossy(&held[0].message)
        .replace("\r\n\t", " ")
        .replace("\r\n ", " ");
    assert!(copy.contains("this mailbox knows the sender for junk"), "{copy}");
    assert_eq!(
        boxes::header(&held[0].message, "X-REJECT-PLUGIN").as_deref(),
        Some("checks/reputation")
    );
    let list: Value =
        serde_json::from_str(&said(&world.gateway, &["quarantine", "list", "--json"])).expect("one line of JSON");
    assert!(
        list.to_string().contains("this mailbox knows the sender for junk"),
        "{list}"
    );
    let before = world.sink.taken().len();
    said(&world.gateway, &["quarantine", "release", &third]);
    assert_eq!(world.sink.taken().len(), before + 1);

    let done = said(&world.gateway, &["label", "forget", &ids[0], &ids[1]]);
    assert!(done.ends_with(&format!("{} for {FOO}: forgotten\n", ids[1])), "{done}");
    welcome(&world, BANK, &mail_from(ANN));
    // As if the labels had never been.
    assert!(standing(&world.gateway, FOO, &[]).ends_with("no verdict, inconclusive (none)"));
}

#[test]
fn one_mistake_costs_nothing_and_the_refused_message_itself_can_be_labelled() {
    if !is_there("one_mistake_costs_nothing_and_the_refused_message_itself_can_be_labelled") {
        return;
    }
    let world = world(&["example.com/checks/reputation"]);
    for what in ["notjunk", "junk", "junk"] {
        let one = welcome(&world, BANK, &mail_from(ANN));
        said(&world.gateway, &["label", what, &one]);
        next_second();
    }
    let reply = world.send(BANK, &mail_from(ANN));
    assert_eq!(reply.code, 550, "{reply:?}");
    // Somebody finds it in the quarantine, and says so.
    said(&world.gateway, &["label", "notjunk", &id(&reply)]);
    welcome(&world, BANK, &mail_from(ANN));
    // The opposite label is as good as that label alone.
    said(&world.gateway, &["label", "junk", &id(&reply)]);
    assert_eq!(world.send(BANK, &mail_from(ANN)).code, 550);
}

#[test]
fn what_is_told_to_the_sender_is_the_same_whatever_the_action() {
    if !is_there("what_is_told_to_the_sender_is_the_same_whatever_the_action") {
        return;
    }
    let world = world(&[
        "example.com/checks/reputation=action = \"defer\"\n",
        "tag.example/users/valid/foo",
        "tag.example/checks/reputation=action = \"tag\"\n",
        "helo.example/users/valid/foo",
        "helo.example/checks/reputation",
        "helo.example/checks/helo",
    ]);
    for to in [FOO, "foo@tag.example", "foo@helo.example"] {
        labelled(&world, "junk", to);
    }
    let reply = world.send(BANK, &mail_from(ANN));
    assert_eq!(
        (reply.code, reply.text()),
        (451, format!("4.7.1 {DEFERRED} (id {})", id(&reply)))
    );
    // The recipient may know.
    let message = world.deliver(BANK, &to_mailboxes(&["foo@tag.example"]));
    let mark = boxes::header(&message, "X-Mailward-Verdict").expect("a mark");
    assert!(mark.contains("this mailbox knows the sender for junk"), "{mark}");
    // A check of higher rank decides, and says what it always says.
    let said = world.refused(BANK, &bad_helo(to_mailboxes(&["foo@helo.example"])));
    assert!(said.contains("HELO") && !said.contains(PRIVATE), "{said}");
}

#[test]
fn a_known_sender_may_fail_a_check_that_says_so() {
    if !is_there("a_known_sender_may_fail_a_check_that_says_so") {
        return;
    }
    let world = world(&[
        LENIENT_HELO,
        "example.com/checks/reputation",
        "strict.example/users/valid/foo",
        "strict.example/checks/helo",
        "strict.example/checks/reputation",
    ]);
    let friend = bad_helo(mail_from(ANN));
    assert!(world.refused(BANK, &friend).contains("HELO"), "not known yet");
    labelled(&world, "notjunk", FOO);
    let reply = world.send(BANK, &friend);
    assert_eq!(reply.code, 250, "{}", world.why(&reply));
    let why = world.why(&reply);
    assert!(why.contains("but this mailbox knows the sender"), "{why}");
    assert!(
        why.contains("this mailbox knows the sender and welcomes him: mail of ann@bank.example, proven"),
        "{why}"
    );
    assert!(
        world
            .refused(STRANGER, &bad_helo(mail_from("eve@other.example")))
            .contains("HELO"),
        "a stranger"
    );
    // Without `known = "pass"` the check stands before all memory.
    labelled(&world, "notjunk", "foo@strict.example");
    let strict = bad_helo(to_mailboxes(&["foo@strict.example"]));
    assert!(world.refused(BANK, &strict).contains("HELO"));
}

#[test]
fn lists_say_nothing_of_a_known_sender() {
    if !is_there("lists_say_nothing_of_a_known_sender") {
        return;
    }
    let list = Zone::new("bl.example", "2.0.0.127 A 127.0.0.2\n25.2.0.192 A 127.0.0.2\n");
    let world = World::start(
        &[bank("v=DMARC1; p=none"), reverse(), list],
        &[
            "example.com/zones=bl.example score\n",
            "example.com/checks/reputation",
            "plain.example/users/valid/foo",
            "plain.example/zones=bl.example\n",
            "plain.example/checks/dnsbl=known = \"pass\"\n",
            "plain.example/checks/reputation",
        ],
    );
    let listed = "listed in DNS blacklist bl.example";
    let why = world.why(&world.send(BANK, &mail_from(ANN)));
    assert!(why.contains(listed), "{why}");
    labelled(&world, "notjunk", FOO);
    let why = world.why(&world.send(BANK, &mail_from(ANN)));
    assert!(!why.contains(listed), "{why}");

    // What is listed is refused there, unless the owner wrote first.
    let to_plain = to_mailboxes(&["foo@plain.example"]);
    assert!(world.refused(BANK, &to_plain).contains(listed));
    said(&world.gateway, &["sent", "foo@plain.example", ANN]);
    welcome(&world, BANK, &to_plain);
}

#[test]
fn a_good_name_without_proof_opens_no_door_and_shuts_none() {
    if !is_there("a_good_name_without_proof_opens_no_door_and_shuts_none") {
        return;
    }
    let world = world(&[LENIENT_HELO, "example.com/checks/reputation"]);
    labelled(&world, "notjunk", FOO);
    let forged = mail_from(ANN);
    let reply = world.send(STRANGER, &forged);
    assert_eq!(reply.code, 250, "evidence only: {reply:?}");
    let why = world.why(&reply);
    assert!(
        why.contains(
            "this is not proven, and this mailbox knows the real sender: mail of ann@bank.example, proven, of the \
             last 3 years (msgfromfull) (evidence only)"
        ),
        "{why}"
    );
    assert!(!why.contains("has seen junk"), "the friend never sent any: {why}");
    assert!(world.refused(STRANGER, &bad_helo(forged.clone())).contains("HELO"));
    assert_eq!(
        standing(&world.gateway, FOO, &["--unproven"]),
        format!("{ANN} to {FOO}: junk, inconclusive (msgfromfull)")
    );

    // Who uses the name of one whose mail is junk anyway is refused.
    next_second();
    labelled(&world, "junk", FOO);
    let reply = world.send(STRANGER, &forged);
    assert_eq!(reply.code, 550, "{}", world.why(&reply));
    assert!(reply.text().contains(PRIVATE), "{reply:?}");
}

#[test]
fn an_answer_to_mail_of_the_owner_is_welcome() {
    if !is_there("an_answer_to_mail_of_the_owner_is_welcome") {
        return;
    }
    let world = world(&[
        LENIENT_HELO,
        "example.com/checks/reputation",
        "example.com/users/valid/bar",
    ]);
    let answer = bad_helo(mail_from("pat@pats.example"));
    assert_eq!(world.send(STRANGER, &answer).code, 550);
    let done = said(&world.gateway, &["sent", FOO, "pat@pats.example", "pat@mill.example"]);
    assert_eq!(done, format!("{FOO} wrote to 2 addresses\n"));
    let reply = world.send(STRANGER, &answer);
    assert_eq!(reply.code, 250, "{}", world.why(&reply));
    let why = world.why(&reply);
    assert!(
        why.contains("mail to pat@pats.example in the last 3 years (msgtofull)"),
        "{why}"
    );
    // Whoever else is there is of the same domain; a neighbour's mailbox knows nobody.
    let other = world.send(STRANGER, &bad_helo(mail_from("eve@pats.example")));
    assert!(world.why(&other).contains("(msgtodomain)"), "{}", world.why(&other));
    let neighbour = Mail {
        rcpts: vec!["bar@example.com".into()],
        ..answer
    };
    assert_eq!(world.send(STRANGER, &neighbour).code, 550);

    let (done, error, code) = run(&world.gateway, &["sent", FOO, "pat@[192.0.2.1]", "a@b.example"]);
    assert_eq!(
        (done, error.as_str(), code),
        (
            format!("{FOO} wrote to 1 address\n"),
            "error: no domain: `pat@[192.0.2.1]`\n",
            Some(1)
        )
    );
    for (args, told) in [
        (&["sent", FOO][..], "<RECIPIENTS>..."),
        (&["sent", FOO, "nobody"], "`nobody`"),
        (
            &["sent", "foo@elsewhere.example", "a@b.example"],
            "no domain of ours: `foo@elsewhere.example`",
        ),
    ] {
        let error = fails(&world.gateway, args, 2);
        assert!(error.contains(told), "{args:?}: {error}");
    }
}

/// A Maildir of the test's own with one message.
fn maildir(world: &World, name: &str, message: &[u8]) -> PathBuf {
    let dir = world.gateway.dir().join(name);
    for sub in ["new", "cur", "tmp"] {
        fs::create_dir_all(dir.join(sub)).expect("our own directory");
    }
    fs::write(dir.join("cur/1.m:2,S"), message).expect("our own directory");
    dir
}

#[test]
fn a_message_is_known_by_the_field_that_the_gateway_sealed() {
    if !is_there("a_message_is_known_by_the_field_that_the_gateway_sealed") {
        return;
    }
    let world = world(&["example.com/checks/reputation"]);
    let copies = [(); 2].map(|()| world.deliver(BANK, &mail_from(ANN)));
    let field = boxes::header(&copies[0], "X-Mailward-Id").expect("a field");
    let (one, _) = field.split_once(' ').expect("id and seal");

    let box_of_ours = maildir(&world, "box", &copies[0]);
    let path = box_of_ours.to_str().expect("a plain path");
    assert_eq!(
        said(&world.gateway, &["label", "junk", path]),
        format!("{one} for {FOO}: junk\n")
    );
    let done = told(&world.gateway.command_with(&["label", "junk"], &copies[1]));
    assert!(done.0.ends_with(": junk\n") && done.2 == Some(0), "{done:?}");
    assert_eq!(world.send(BANK, &mail_from(ANN)).code, 550);

    // The seal of one id under another one.
    let other = boxes::header(&copies[1], "X-Mailward-Id").expect("a field");
    let text = String::from_utf8_lossy(&copies[0]).into_owned();
    let seal = |field: &str| field.split_once(' ').expect("id and seal").1.to_owned();
    let forged = text.replace(&seal(&field), &seal(&other));
    let path = maildir(&world, "forged", forged.as_bytes());
    let path = path.to_str().expect("a plain path");
    let error = fails(&world.gateway, &["label", "notjunk", path], 1);
    assert!(
        error.contains("forged/cur/1.m:2,S: its X-Mailward-Id is not sealed by this gateway"),
        "{error}"
    );
    let error = told(
        &world
            .gateway
            .command_with(&["label", "junk"], b"From: <a@b.example>\r\n\r\nhi\r\n"),
    );
    assert!(
        error
            .1
            .contains("no X-Mailward-Id field, so it did not come through the gateway")
            && error.2 == Some(1),
        "{error:?}"
    );
    // One that cannot be labelled keeps no other from it.
    let (done, error, code) = run(&world.gateway, &["label", "forget", "000000000000", one]);
    assert_eq!((done, code), (format!("{one} for {FOO}: forgotten\n"), Some(1)));
    assert!(
        error.contains("error: 000000000000: no record of this id for a mailbox of yours"),
        "{error}"
    );
}

#[test]
fn mail_for_several_mailboxes_is_labelled_for_one() {
    if !is_there("mail_for_several_mailboxes_is_labelled_for_one") {
        return;
    }
    let world = world(&["example.com/checks/reputation", "example.com/users/valid/bar"]);
    let both = to_mailboxes(&[FOO, "bar@example.com"]);
    let ids = [(); 2].map(|()| welcome(&world, BANK, &both));
    let error = fails(&world.gateway, &["label", "junk", &ids[0]], 1);
    assert!(
        error.contains("it came for several mailboxes: say which with `--mailbox`"),
        "{error}"
    );
    let error = fails(
        &world.gateway,
        &["label", "junk", &ids[0], "--mailbox", "baz@example.com"],
        1,
    );
    assert!(error.contains("no record of this id"), "{error}");
    let error = fails(
        &world.gateway,
        &["label", "junk", &ids[0], "--mailbox", "foo@else.example"],
        2,
    );
    assert!(error.contains("no domain of ours: `foo@else.example`"), "{error}");
    for one in &ids {
        said(
            &world.gateway,
            &["label", "junk", one, "--mailbox", "Foo+x@example.com"],
        );
    }

    // Of one mailbox's history the other knows nothing.
    assert_eq!(world.send(BANK, &mail_from(ANN)).code, 550);
    let to_bar = to_mailboxes(&["bar@example.com"]);
    welcome(&world, BANK, &to_bar);
    assert!(standing(&world.gateway, FOO, &[]).ends_with("junk, conclusive (msgfromfull)"));
    assert!(standing(&world.gateway, "bar@example.com", &[]).ends_with("no verdict, inconclusive (none)"));
    // Mail for both: one gets it, of the other's a copy is kept, and the sender learns of neither.
    let reply = world.send(BANK, &both);
    assert_eq!(
        (reply.code, reply.text()),
        (250, format!("2.0.0 accepted (id {})", id(&reply)))
    );
    assert_eq!(world.sink.taken().last().expect("a message").rcpts, ["bar@example.com"]);
    // The one of the earlier try goes a moment later.
    await_copies(&world, 1);
    assert_eq!(boxes::held(&world.gateway.spam())[0].recipient, FOO);
}

#[test]
fn what_a_command_has_said_outlives_a_kill() {
    if !is_there("what_a_command_has_said_outlives_a_kill") {
        return;
    }
    let mut world = world(&["example.com/checks/reputation"]);
    let ids = [(); 2].map(|()| welcome(&world, BANK, &mail_from(ANN)));
    said(&world.gateway, &["label", "junk", &ids[0]]);
    world.gateway.kill();
    // Without a daemon the commands open the store themselves.
    assert!(standing(&world.gateway, FOO, &[]).ends_with(": junk, conclusive (msgfromfull)"));
    assert_eq!(
        said(&world.gateway, &["label", "junk", &ids[1]]),
        format!("{} for {FOO}: junk\n", ids[1])
    );
    said(&world.gateway, &["sent", FOO, "pat@pats.example"]);
    world.gateway.start_again();
    assert_eq!(world.send(BANK, &mail_from(ANN)).code, 550);
    said(&world.gateway, &["label", "forget", &ids[0], &ids[1]]);
    world.gateway.kill();
    let stats: Value = serde_json::from_str(&said(&world.gateway, &["store", "stats", "--json"])).expect("JSON");
    assert_eq!((&stats["history"], &stats["sent"]), (&json!(0), &json!(1)), "{stats}");
    let (text, error, code) = run(&world.gateway, &["store", "verify"]);
    assert_eq!((text.lines().last(), code), (Some("nothing wrong"), Some(0)), "{error}");
    world.gateway.start_again();
    welcome(&world, BANK, &mail_from(ANN));
}

#[test]
fn a_user_labels_their_own_mail_and_nobody_elses() {
    const TEST: &str = "a_user_labels_their_own_mail_and_nobody_elses";
    let Some((_sink, gateway, daemon, binary)) = for_users(TEST, true) else {
        return;
    };
    let send = |name: &str, rcpts: &[&str]| {
        let answers = Client::deliver(daemon.addr("smtp"), &Mail::new(name, rcpts)).expect("a session");
        id(answers.decisive())
    };
    let own = send("1@load.example", &["nobody@example.com"]);
    let both = send("2@load.example", &["nobody@example.com", "daemon@example.com"]);
    let foreign = send("3@load.example", &["daemon@example.com"]);
    let run = |args: &[&str]| told(&output(mailward_as(NOBODY, &binary, &gateway, args)));

    let (text, error, code) = run(&["label", "junk", &own, &both]);
    let done = format!("{own} for nobody@example.com: junk\n{both} for nobody@example.com: junk\n");
    assert_eq!((text, error.as_str(), code), (done, "", Some(0)));
    // Foreign mail is as if it were not there.
    let at_daemon = ["--mailbox", "daemon@example.com"];
    for args in [&[][..], &at_daemon] {
        let (_, error, code) = run(&[&["label", "junk", &foreign], args].concat());
        let (_, of_none, _) = run(&[&["label", "junk", "000000000000"], args].concat());
        assert_eq!((error.replace(&foreign, "000000000000"), code), (of_none, Some(1)));
    }
    let (_, error, code) = run(&[&["label", "junk", &both], &at_daemon[..]].concat());
    assert!(error.contains("no record of this id") && code == Some(1), "{error}");
    for args in [
        ["sent", "daemon@example.com", "pat@pats.example"],
        ["reputation", "daemon@example.com", "alice@sender.example"],
    ] {
        let (text, error, code) = run(&args);
        assert_eq!((text.as_str(), code), ("", Some(2)), "{error}");
        assert!(error.contains("daemon@example.com is not your mailbox"), "{error}");
    }
    let (text, error, _) = run(&["reputation", "nobody@example.com", "alice@sender.example", "--unproven"]);
    assert!(text.contains(": junk, inconclusive (msgfromfull)"), "{text}{error}");
    assert_eq!(run(&["sent", "webmaster@example.com", "pat@pats.example"]).2, Some(0));
    let (_, error, code) = run(&["store", "export"]);
    assert!(code == Some(2), "the store is the operator's: {error}");
    let all = said(&gateway, &["store", "export"]);
    assert_eq!(all.lines().count(), 3, "{all}");
    assert!(!all.contains("daemon@example.com"), "{all}");
}

#[test]
fn nobody_is_a_forger_because_dns_is_down() {
    if !is_there("nobody_is_a_forger_because_dns_is_down") {
        return;
    }
    let mut world = World::start_with(
        &[bank("v=DMARC1; p=none"), reverse()],
        &["example.com/checks/reputation", "example.com/users/valid/bar"],
        |setup| setup.set("dns.timeout_ms", "1000").set("dns.message_s", "2"),
    );
    labelled(&world, "notjunk", FOO);
    labelled(&world, "junk", "bar@example.com");
    assert_eq!(world.send(BANK, &to_mailboxes(&["bar@example.com"])).code, 550);
    // The system gives no such port to anybody by itself.
    world.gateway.set("dns.servers", "[\"127.0.0.1:1\"]");
    assert_eq!(world.gateway.reload(), Reloaded::Yes);
    let standing = |reply: &Reply| {
        let json: Value = serde_json::from_str(&said(&world.gateway, &["why", "--json", &id(reply)])).expect("JSON");
        json["recipients"][0]["facts"]["standing"].clone()
    };
    let friend = world.send(BANK, &to_mailboxes(&[FOO]));
    assert_eq!(friend.code, 250, "{friend:?}");
    let why = world.why(&friend);
    assert!(!why.contains("Check `reputation` says"), "{why}");
    assert_eq!(
        standing(&friend),
        json!({"Skipped": "it could not be proven who sent it"})
    );
    // Whose address is known for junk waits until it can be proven who he is: else he would make DNS fail himself.
    let known = world.send(BANK, &to_mailboxes(&["bar@example.com"]));
    assert_eq!(
        (known.code, known.text()),
        (
            451,
            format!(
                "4.3.0 The check reputation cannot be made now, please try again later (id {})",
                id(&known)
            )
        )
    );
    assert_eq!(
        standing(&known),
        json!({"Unavailable": "it could not be proven who sent it, and this mailbox knows junk of the same origin (ip1)"})
    );
}

#[test]
fn a_senders_standing_is_told_step_by_step() {
    if !is_there("a_senders_standing_is_told_step_by_step") {
        return;
    }
    let world = world(&["example.com/checks/reputation"]);
    labelled(&world, "junk", FOO);
    let text = said(&world.gateway, &["reputation", FOO, ANN]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], format!("{ANN} to {FOO}: junk, conclusive (msgfromfull)"));
    assert!(
        lines.len() == 2
            && lines[1]
                == "   1  mail of ann@bank.example, proven, of the last 3 years: 2, of which 2 junk; the two newest are junk: junk, conclusive",
        "{text}"
    );
    let text = said(
        &world.gateway,
        &["reputation", FOO, "eve@else.example", "--unproven", "--ip", BANK],
    );
    assert!(
        text.starts_with("eve@else.example to foo@example.com: junk, conclusive (ip1)\n"),
        "{text}"
    );
    let json: Value = serde_json::from_str(&said(&world.gateway, &["reputation", FOO, ANN, "--json"])).expect("JSON");
    assert_eq!(
        (
            &json["verdict"],
            &json["is_conclusive"],
            &json["method"],
            &json["walk"][0]["row"]
        ),
        (&json!("junk"), &json!(true), &json!("msgfromfull"), &json!(1)),
        "{json}"
    );

    for (args, wanted) in [
        (&["reputation"][..], "<SENDER>"),
        (&["reputation", FOO], "<SENDER>"),
        (
            &["reputation", "foo@else.example", ANN],
            "no domain of ours: `foo@else.example`",
        ),
        (&["reputation", FOO, "ann"], "`ann`"),
        (&["reputation", FOO, "ann@[192.0.2.1]"], "no domain: `ann@[192.0.2.1]`"),
        (&["reputation", FOO, ANN, "--ip", "here"], "--ip"),
        (&["label"], "<WHAT>"),
        (
            &["label", "spam", "000000000000"],
            "[possible values: junk, notjunk, forget]",
        ),
        (
            &["label", "junk", "nowhere.eml"],
            "neither an id nor a file: `nowhere.eml`\nhint: an id has 12 characters",
        ),
        (&["label", "junk", "000000000000", "--mailbox", "foo"], "`foo`"),
    ] {
        let error = fails(&world.gateway, args, 2);
        assert!(error.contains(wanted), "{args:?}: {error}");
    }
}
