//! Maildirs as next hop: whose box, which folder, what stands in the file; and nothing half-written.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::boxes;
use crate::support::client::{Client, Mail, Reply};
use crate::support::daemon::{Daemon, mailward, open_to_all};
use crate::support::gateway::{Gateway, Setup};
use crate::support::outside::SmallDisk;

fn setup() -> Setup {
    let users = [
        "example.com/users/valid/foo",
        "example.com/users/valid/bar",
        "open.example/users/valid/*",
    ];
    Setup::new().srv(&users).before_maildirs()
}

fn send(gateway: &Gateway, mail: &Mail) -> Reply {
    let answers = Client::deliver(gateway.addr(), mail).expect("the session is kept up to QUIT");
    answers.decisive().clone()
}

#[test]
fn a_message_lies_in_new_with_unix_line_ends_and_its_envelope() {
    let gateway = setup().start();
    let mut mail = Mail::new("1@load.example", &["Foo@Example.com"]);
    mail.message.extend_from_slice(b".dot\r\n\r\nlast");
    let reply = send(&gateway, &mail);
    assert_eq!(reply.code, 250);
    let dir = gateway.maildir("example.com", "foo");
    let files: Vec<_> = fs::read_dir(dir.join("new")).expect("a Maildir").collect();
    assert_eq!(files.len(), 1);
    assert_eq!(fs::read_dir(dir.join("tmp")).expect("a Maildir").count(), 0);
    let path = files[0].as_ref().expect("an entry").path();
    let octets = fs::read(&path).expect("a message");
    let name = path.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(name.ends_with(&format!(".mx.example.com,S={}", octets.len())), "{name}");
    let text = String::from_utf8(octets).expect("text");
    assert!(!text.contains('\r'));
    assert!(text.starts_with(
        "Return-Path: <alice@sender.example>\nDelivered-To: Foo@Example.com\nReceived: from mx.sender.example"
    ));
    assert!(text.contains(&format!("\nX-Mailward-Id: {} ", reply.id().expect("an id"))));
    assert!(text.ends_with("Hello there.\n.dot\n\nlast\n"), "{text}");
    let mode = fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_message_for_several_lies_in_each_box_under_its_own_name_only() {
    let gateway = setup().start();
    let rcpts = ["foo@example.com", "bar@example.com", "x@open.example", "y@open.example"];
    let mut mail = Mail::new("1@load.example", &rcpts);
    mail.message = b"From: a@b.example\r\nDate: x\r\n\r\nx\r\n".to_vec();
    assert_eq!(send(&gateway, &mail).code, 250);
    for local in ["foo", "bar"] {
        let found = boxes::maildir(&gateway.maildir("example.com", local));
        assert_eq!(found.len(), 1);
        let text = String::from_utf8_lossy(&found[0]).into_owned();
        for name in ["foo", "bar"] {
            assert_eq!(
                text.contains(name),
                name == local,
                "{name} in the box of {local}:\n{text}"
            );
        }
    }
    // Whoever shares a box sees the mail of all of them, each under its own name.
    let shared = boxes::maildir(&gateway.maildir("open.example", "_others_"));
    let mut to: Vec<String> = shared.iter().filter_map(|m| boxes::header(m, "Delivered-To")).collect();
    to.sort();
    assert_eq!(to, ["x@open.example", "y@open.example"]);
}

#[test]
fn strangers_names_share_one_box_and_a_listed_one_has_its_own() {
    let gateway = setup().start();
    for name in ["a1", "a2", "a3+x", "\"a 4\""] {
        let mail = Mail::new(name, &[&format!("{name}@open.example")]);
        assert_eq!(send(&gateway, &mail).code, 250);
    }
    let names: Vec<_> = fs::read_dir(gateway.dir().join("mail/open.example"))
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(names, ["_others_"]);
    assert_eq!(boxes::maildir(&gateway.maildir("open.example", "_others_")).len(), 4);
    fs::write(gateway.domains().join("open.example/users/valid/a1"), "").expect("a user");
    assert_eq!(send(&gateway, &Mail::new("5", &["a1@open.example"])).code, 250);
    assert_eq!(boxes::maildir(&gateway.maildir("open.example", "a1")).len(), 1);
}

#[test]
fn filed_mail_lies_in_its_folder_and_tagged_mail_in_the_inbox() {
    let gateway = setup()
        .file("example.com/checks/helo", "action = \"file\"")
        .file("open.example/checks/helo", "action = \"file\"\nfolder = \"Lists.Ads\"")
        .start();
    let unqualified = |to: &str| Mail {
        helo: "localhost".into(),
        ..Mail::new("1@load.example", &[to])
    };
    assert_eq!(send(&gateway, &unqualified("foo@example.com")).code, 250);
    assert_eq!(send(&gateway, &unqualified("x@open.example")).code, 250);
    let junk = boxes::maildir(&gateway.maildir("example.com", "foo").join(".Junk"));
    assert_eq!(boxes::header(&junk[0], "X-Spam-Flag").as_deref(), Some("YES"));
    assert_eq!(
        boxes::maildir(&gateway.maildir("open.example", "_others_").join(".Lists.Ads")).len(),
        1
    );
    assert!(boxes::maildir(&gateway.maildir("example.com", "foo")).is_empty());
    fs::write(gateway.domains().join("example.com/checks/helo"), "action = \"tag\"").expect("a check");
    assert_eq!(send(&gateway, &unqualified("foo@example.com")).code, 250);
    assert_eq!(boxes::maildir(&gateway.maildir("example.com", "foo")).len(), 1);
}

#[test]
fn a_box_that_cannot_be_written_defers_the_message_and_the_retry_delivers_to_each_once() {
    let gateway = setup().start();
    fs::create_dir_all(gateway.maildir("example.com", "")).expect("a directory");
    let file = gateway.maildir("example.com", "bar");
    fs::write(&file, "in the way").expect("a file");
    let mail = Mail::new("1@load.example", &["foo@example.com", "bar@example.com"]);
    assert_eq!(send(&gateway, &mail).code, 451);
    fs::remove_file(&file).expect("a file");
    assert_eq!(send(&gateway, &mail).code, 250);
    for local in ["foo", "bar"] {
        assert_eq!(
            boxes::maildir(&gateway.maildir("example.com", local)).len(),
            1,
            "{local}"
        );
    }
}

/// `new` was opened for its sync only when the message had its name in it: the sender was told to come again, and the
/// message was there.
#[test]
fn a_delivery_does_not_fail_after_the_message_has_its_name() {
    const NOBODY: u32 = 65534;
    let is_root = rustix::process::geteuid().is_root();
    let setup = setup();
    let (state, spam) = (setup.dir().join("var/state"), setup.dir().join("var/spam"));
    let setup = setup
        .set("paths.state", &format!("{:?}", state.display().to_string()))
        .set("paths.spam", &format!("{:?}", spam.display().to_string()));
    // Root may read what it likes.
    let setup = match is_root {
        true => setup.set("process.user", "\"nobody\""),
        false => setup,
    };
    let gateway = setup.stopped();
    open_to_all(&gateway);
    let maildir = gateway.maildir("example.com", "foo");
    for name in ["tmp", "new", "cur"] {
        let directory = maildir.join(name);
        fs::create_dir_all(&directory).expect("a directory");
        if is_root {
            std::os::unix::fs::chown(&directory, Some(NOBODY), None).expect("our own directory");
        }
    }
    // A name can be made there, and nobody can read which there are.
    let mode = |mode| fs::set_permissions(maildir.join("new"), fs::Permissions::from_mode(mode)).expect("our own");
    mode(0o333);
    let daemon = Daemon::start(mailward(&gateway, &["serve"]));
    let mail = Mail::new("1@load.example", &["foo@example.com"]);
    for code in [451, 451, 250] {
        if code == 250 {
            mode(0o777);
        }
        let answers = Client::deliver(daemon.addr("smtp"), &mail).expect("a session");
        assert_eq!(answers.decisive().code, code, "{answers:?}");
    }
    mode(0o777);
    assert_eq!(boxes::maildir(&maildir).len(), 1);
    assert_eq!(fs::read_dir(maildir.join("tmp")).expect("a Maildir").count(), 0);
}

#[test]
fn a_full_disk_defers_the_message_and_leaves_nothing_behind() {
    const TEST: &str = "a_full_disk_defers_the_message_and_leaves_nothing_behind";
    let setup = setup();
    let mail_dir = setup.dir().join("mail");
    fs::create_dir(&mail_dir).expect("a directory");
    // Declared first, so that its directory goes after the disk in it.
    let gateway;
    let Some(disk) = SmallDisk::mount(TEST, &mail_dir, "128k") else {
        return;
    };
    gateway = setup.start();
    assert_eq!(
        send(&gateway, &Mail::new("1@load.example", &["foo@example.com"])).code,
        250
    );
    disk.fill();
    let mail = Mail::new("2@load.example", &["foo@example.com"]).padded(20_000);
    let reply = send(&gateway, &mail);
    assert_eq!(reply.code, 451, "{reply:?}");
    let dir = gateway.maildir("example.com", "foo");
    assert_eq!(fs::read_dir(dir.join("tmp")).expect("a Maildir").count(), 0);
    disk.empty();
    assert_eq!(send(&gateway, &mail).code, 250);
    assert_eq!(boxes::maildir(&dir).len(), 2);
}
