//! What is missing is trouble, not an answer: a domain that was there a moment ago, its users, links that lead nowhere,
//! and a tree without a domain make mail wait. Only a person says sooner than in 24 hours that it is gone for good.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::client::{Client, Mail, Reply};
use crate::support::gateway::{Gateway, Reloaded, Setup};
use crate::support::sink::Sink;

const TREE: [&str; 3] = [
    "a.example/users/valid/ann",
    "b.example/users/valid/bob",
    "none.example/checks/date",
];

/// The decisive reply to a message, in a session of its own.
fn send(gateway: &Gateway, to: &str) -> Reply {
    let mail = Mail::new("1@load.example", &[to]);
    Client::deliver(gateway.addr(), &mail)
        .expect("a session")
        .decisive()
        .clone()
}

fn waits(gateway: &Gateway, to: &str) {
    let reply = send(gateway, to);
    let domain = to.split('@').nth(1).unwrap_or_default();
    let text = format!("4.3.5 {domain} cannot be looked up now, please try again later");
    assert_eq!((reply.code, reply.text()), (451, text), "{to}");
}

fn is_foreign(gateway: &Gateway, to: &str) {
    let reply = send(gateway, to);
    let domain = to.split('@').nth(1).unwrap_or_default();
    assert_eq!(
        (reply.code, reply.text()),
        (550, format!("5.7.1 Relay attempt for {domain}")),
        "{to}"
    );
}

fn is_unknown(gateway: &Gateway, to: &str) {
    let reply = send(gateway, to);
    assert_eq!((reply.code, &reply.text()[..5]), (550, "5.1.1"), "{to}: {reply:?}");
}

fn is_taken(gateway: &Gateway, to: &str) {
    let reply = send(gateway, to);
    assert_eq!(reply.code, 250, "{to}: {reply:?}");
}

/// Exit code and all that was printed.
fn run(gateway: &Gateway, args: &[&str]) -> (i32, String) {
    let output = gateway.command(args);
    let said = [output.stdout, output.stderr].concat();
    let code = output.status.code().expect("it ended by itself");
    (code, String::from_utf8_lossy(&said).into_owned())
}

fn forget(gateway: &Gateway, args: &[&str]) -> String {
    let (code, said) = run(gateway, &[&["domains", "forget"], args].concat());
    assert_eq!(code, 0, "{said}");
    said
}

fn start() -> (Sink, Gateway) {
    let sink = Sink::start();
    let gateway = Setup::new().srv(&TREE).before_sink(&sink).start();
    (sink, gateway)
}

fn rename(from: &Path, to: &Path) {
    fs::rename(from, to).expect("both are ours");
}

/// Six messages were bounced for good while a deploy had a domain's directory away for two seconds.
#[test]
fn mail_for_a_domain_that_is_missing_waits_until_it_is_back_or_forgotten() {
    let (_sink, mut gateway) = start();
    let (top, away) = (gateway.domains().join("a.example"), gateway.dir().join("away"));
    // It got no mail before.
    rename(&top, &away);
    waits(&gateway, "ann@a.example");
    is_taken(&gateway, "bob@b.example");
    is_foreign(&gateway, "ann@never.example");
    rename(&away, &top);
    is_taken(&gateway, "ann@a.example");
    rename(&top, &away);
    waits(&gateway, "ann@a.example");
    gateway.await_log_times("the domain's directory is missing", 2);
    assert_eq!(
        gateway.log().matches("the domain's directory is missing").count(),
        2,
        "once each"
    );
    for _ in 0..2 {
        assert_eq!(gateway.reload(), Reloaded::Yes);
        waits(&gateway, "ann@a.example");
    }
    gateway.stop();
    gateway.start_again();
    waits(&gateway, "ann@a.example");
    gateway.kill();
    gateway.start_again();
    waits(&gateway, "ann@a.example");
    let said = forget(&gateway, &["A.Example."]);
    assert_eq!(said, "forgotten: a.example\n");
    is_foreign(&gateway, "ann@a.example");
    gateway.stop();
    gateway.start_again();
    is_foreign(&gateway, "ann@a.example");
    rename(&away, &top);
    is_taken(&gateway, "ann@a.example");
}

/// A domain that came while the daemon ran, and went before it looked around.
#[test]
fn a_domain_that_came_a_moment_ago_is_missed_too() {
    let (_sink, gateway) = start();
    let new = gateway.domains().join("new.example");
    is_foreign(&gateway, "x@new.example");
    fs::create_dir_all(new.join("users/valid")).expect("directories");
    fs::write(new.join("users/valid/x"), "").expect("a file");
    is_taken(&gateway, "x@new.example");
    fs::remove_dir_all(&new).expect("it is ours");
    waits(&gateway, "x@new.example");
}

#[test]
fn what_is_missing_is_told_with_what_to_do() {
    let (_sink, mut gateway) = start();
    rename(&gateway.domains().join("a.example"), &gateway.dir().join("away"));
    fs::remove_file(gateway.domains().join("b.example/users/valid/bob")).expect("a file");
    let told = |gateway: &Gateway, args: &[&str], code: i32| {
        let (ended, said) = run(gateway, args);
        assert_eq!(ended, code, "{said}");
        for text in [
            "a.example: directory missing since 20",
            "b.example: users missing since 20",
            "`mailward domains forget a.example`",
            "`mailward domains forget b.example --users`",
        ] {
            assert!(said.contains(text), "{args:?}: {text}: {said}");
        }
        said
    };
    told(&gateway, &["status"], 0);
    told(&gateway, &["check"], 1);
    let listed = told(&gateway, &["domains", "list"], 0);
    assert!(listed.starts_with("b.example\nnone.example\na.example: "), "{listed}");
    let (_, json) = run(&gateway, &["status", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["domains"], 2);
    let missing = json["missing"].as_array().expect("a list");
    let shown: Vec<_> = missing
        .iter()
        .map(|one| (one["domain"].as_str(), one["what"].as_str()))
        .collect();
    assert_eq!(
        shown,
        [
            (Some("a.example"), Some("directory")),
            (Some("b.example"), Some("users"))
        ]
    );
    let day = |one: &serde_json::Value| one["until_s"].as_i64().zip(one["since_s"].as_i64()).map(|(u, s)| u - s);
    assert_eq!(day(&missing[0]), Some(86_400));
    gateway.stop();
    told(&gateway, &["check"], 1);
    told(&gateway, &["domains", "list"], 0);
}

#[test]
fn what_is_there_is_not_forgotten_and_commands_need_no_daemon() {
    let (_sink, mut gateway) = start();
    for args in [
        &["a.example"][..],
        &["a.example", "--users"],
        &["never.example"],
        &["no domain"],
    ] {
        let (code, said) = run(&gateway, &[&["domains", "forget"], args].concat());
        assert!(code == 2 && said.starts_with("error: "), "{said}");
    }
    let (top, away) = (gateway.domains().join("a.example"), gateway.dir().join("away"));
    is_taken(&gateway, "ann@a.example");
    gateway.stop();
    rename(&top, &away);
    forget(&gateway, &["a.example"]);
    gateway.start_again();
    is_foreign(&gateway, "ann@a.example");
    is_taken(&gateway, "bob@b.example");
}

/// A mount point without its file system is an empty directory: all mail was refused for good, and nothing said so.
#[test]
fn a_tree_without_a_domain_makes_all_mail_wait_and_says_so() {
    let (_sink, mut gateway) = start();
    let (root, away) = (gateway.domains(), gateway.dir().join("away"));
    is_taken(&gateway, "ann@a.example");
    rename(&root, &away);
    fs::create_dir_all(root.join("lost+found")).expect("an empty file system");
    for to in ["ann@a.example", "bob@b.example", "ann@never.example"] {
        waits(&gateway, to);
    }
    let said = |gateway: &Gateway| {
        let text = "ERROR there is no domain; all mail is deferred";
        gateway.await_log(text);
        gateway.log().matches(text).count()
    };
    assert_eq!(said(&gateway), 1, "once a minute: {}", gateway.log());
    let (_, status) = run(&gateway, &["status"]);
    assert!(status.contains("NONE: all mail is deferred"), "{status}");
    let (code, check) = run(&gateway, &["check"]);
    assert!(
        code == 1 && check.contains("no domain in it: all mail is deferred"),
        "{check}"
    );
    assert_eq!(gateway.reload(), Reloaded::Yes);
    waits(&gateway, "ann@a.example");
    gateway.stop();
    gateway.start_again();
    waits(&gateway, "ann@a.example");
    assert_eq!(said(&gateway), 1, "{}", gateway.log());
    fs::remove_dir_all(&root).expect("it is ours");
    rename(&away, &root);
    is_taken(&gateway, "ann@a.example");
    is_foreign(&gateway, "ann@never.example");
}

/// Directory by directory, as `rsync` brings them back.
#[test]
fn domains_that_come_back_one_by_one_are_missed_until_they_are_there() {
    let (_sink, gateway) = start();
    let (root, away) = (gateway.domains(), gateway.dir().join("away"));
    rename(&root, &away);
    fs::create_dir(&root).expect("an empty file system");
    waits(&gateway, "ann@a.example");
    rename(&away.join("b.example"), &root.join("b.example"));
    is_taken(&gateway, "bob@b.example");
    waits(&gateway, "ann@a.example");
    is_foreign(&gateway, "ann@never.example");
}

#[test]
fn a_first_start_without_a_domain_makes_mail_wait_until_there_is_one() {
    let sink = Sink::start();
    let gateway = Setup::new().before_sink(&sink).start();
    waits(&gateway, "ann@a.example");
    let valid = gateway.domains().join("a.example/users/valid");
    fs::create_dir_all(&valid).expect("directories");
    fs::write(valid.join("ann"), "").expect("a file");
    is_taken(&gateway, "ann@a.example");
    is_foreign(&gateway, "ann@never.example");
}

#[test]
fn mail_for_users_who_are_all_missing_waits_until_they_are_back_or_forgotten() {
    let (_sink, mut gateway) = start();
    let (valid, away) = (
        gateway.domains().join("a.example/users/valid"),
        gateway.dir().join("away"),
    );
    let users = gateway.domains().join("a.example/users");
    for (gone, put_back) in [(&valid, &valid), (&users, &users)] {
        rename(gone, &away);
        waits(&gateway, "ann@a.example");
        waits(&gateway, "zoe@a.example");
        is_taken(&gateway, "bob@b.example");
        // A domain that never had users is as it was.
        is_unknown(&gateway, "ann@none.example");
        rename(&away, put_back);
        is_taken(&gateway, "ann@a.example");
        is_unknown(&gateway, "zoe@a.example");
    }
    fs::remove_file(valid.join("ann")).expect("a file");
    waits(&gateway, "ann@a.example");
    assert_eq!(gateway.reload(), Reloaded::Yes);
    waits(&gateway, "ann@a.example");
    gateway.stop();
    gateway.start_again();
    waits(&gateway, "ann@a.example");
    assert_eq!(
        forget(&gateway, &["a.example", "--users"]),
        "forgotten: the users of a.example\n"
    );
    is_unknown(&gateway, "ann@a.example");
    gateway.stop();
    gateway.start_again();
    is_unknown(&gateway, "ann@a.example");
    fs::write(valid.join("ann"), "").expect("a file");
    is_taken(&gateway, "ann@a.example");
}

#[test]
fn a_link_that_leads_nowhere_is_missed_wherever_it_stands() {
    let (_sink, gateway) = start();
    let domains = gateway.domains();
    let link = |at: &str| symlink("/nowhere/at/all", domains.join(at)).expect("a link");
    let away = gateway.dir().join("away");
    // A domain that never led anywhere, and one that did.
    link("link.example");
    waits(&gateway, "ann@link.example");
    forget(&gateway, &["link.example"]);
    is_foreign(&gateway, "ann@link.example");
    rename(&domains.join("a.example"), &away);
    symlink(&away, domains.join("a.example")).expect("a link");
    is_taken(&gateway, "ann@a.example");
    rename(&away, &gateway.dir().join("further"));
    waits(&gateway, "ann@a.example");
    rename(&gateway.dir().join("further"), &away);
    is_taken(&gateway, "ann@a.example");
    fs::remove_file(domains.join("a.example")).expect("a link");
    rename(&away, &domains.join("a.example"));
    // Users, and one user's own entry.
    for at in ["a.example/users", "a.example/users/valid"] {
        rename(&domains.join(at), &away);
        link(at);
        waits(&gateway, "ann@a.example");
        forget(&gateway, &["a.example", "--users"]);
        is_unknown(&gateway, "ann@a.example");
        fs::remove_file(domains.join(at)).expect("a link");
        rename(&away, &domains.join(at));
        is_taken(&gateway, "ann@a.example");
    }
    link("a.example/users/valid/eve");
    waits(&gateway, "eve@a.example");
    waits(&gateway, "eve+x@a.example");
    is_taken(&gateway, "ann@a.example");
    is_unknown(&gateway, "zoe@a.example");
    forget(&gateway, &["a.example", "--users"]);
    is_unknown(&gateway, "eve@a.example");
    fs::remove_file(domains.join("a.example/users/valid/eve")).expect("a link");
    // What would refuse for good, or file wrongly, without what it leads to.
    for at in ["whitelisted", "mailboxes", "deliver"] {
        link(&format!("a.example/{at}"));
        waits(&gateway, "ann@a.example");
        fs::remove_file(domains.join("a.example").join(at)).expect("a link");
        is_taken(&gateway, "ann@a.example");
    }
}

#[test]
fn a_damaged_list_of_domains_stops_a_start_with_what_to_do() {
    let (_sink, mut gateway) = start();
    gateway.stop();
    let list = gateway.state().join("domains.json");
    let good = fs::read(&list).expect("the list");
    for (text, said) in [("{", "is damaged"), ("{\"version\":99}", "has version 99")] {
        fs::write(&list, text).expect("a file");
        let (code, errors) = run(&gateway, &["serve"]);
        assert!(
            code == 2 && errors.contains(said) && errors.contains("hint: "),
            "{errors}"
        );
        let (code, check) = run(&gateway, &["check"]);
        assert!(code == 1 && check.contains(said), "{check}");
    }
    fs::write(&list, good).expect("a file");
    gateway.start_again();
    is_taken(&gateway, "ann@a.example");
}

#[test]
fn the_unit_waits_for_what_its_directories_are_mounted_from() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/mailward.service");
    let unit = fs::read_to_string(path).expect("the unit");
    let (before, _) = unit.split_once("[Service]").expect("sections");
    assert!(
        before.contains("\nRequiresMountsFor=/srv /spam /var/lib/mailward\n"),
        "{unit}"
    );
}
