//! The tree of plain files: a change counts from the next message on, in open sessions too, without a restart.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::boxes;
use crate::support::client::{Client, Mail, Reply};
use crate::support::gateway::{Gateway, Setup};
use crate::support::sink::Sink;

/// A gateway and a session that stays open while the tree changes.
struct Scene {
    sink: Sink,
    gateway: Gateway,
    client: Client,
    sent: u32,
}

impl Scene {
    fn new(srv: &[&str]) -> Self {
        let sink = Sink::start();
        let gateway = Setup::new().srv(srv).before_sink(&sink).start();
        let client = Client::greeted(gateway.addr());
        Self {
            sink,
            gateway,
            client,
            sent: 0,
        }
    }

    /// The decisive reply to one more message.
    fn send(&mut self, to: &str) -> Reply {
        self.sent += 1;
        let mail = Mail::new(&format!("{}@load.example", self.sent), &[to]);
        let answers = self.client.transaction(&mail).expect("a transaction");
        self.client.command("RSET").expect("a reply");
        answers.decisive().clone()
    }

    fn write(&self, path: &str, content: &str) {
        write(&self.gateway.domains().join(path), content);
    }

    fn remove(&self, path: &str) {
        fs::remove_file(self.gateway.domains().join(path)).expect("a file");
    }
}

fn write(file: &Path, content: &str) {
    fs::create_dir_all(file.parent().expect("a directory")).expect("directories");
    fs::write(file, content).expect("a file");
}

fn said(reply: &Reply) -> (u16, String) {
    let text = reply.text();
    let text = text.split(" (id ").next().unwrap_or_default().to_owned();
    (reply.code, text)
}

#[test]
fn a_user_who_comes_or_goes_counts_from_the_next_message_on() {
    let mut scene = Scene::new(&["example.com/users/valid/foo"]);
    let unknown = (550, "5.1.1 Mail for ann not accepted at example.com".to_owned());
    assert_eq!(said(&scene.send("ann@example.com")), unknown);
    scene.write("example.com/users/valid/ann", "");
    assert_eq!(scene.send("ann@example.com").code, 250);
    scene.write("example.com/users/invalid/ann", "");
    assert_eq!(said(&scene.send("ann@example.com")), unknown);
    scene.remove("example.com/users/invalid/ann");
    scene.remove("example.com/users/valid/ann");
    assert_eq!(said(&scene.send("ann@example.com")), unknown);
    scene.write("example.com/users/valid/*", "");
    assert_eq!(scene.send("ann@example.com").code, 250);
}

#[test]
fn a_check_that_is_touched_counts_from_the_next_message_on() {
    let mut scene = Scene::new(&["example.com/users/valid/foo"]);
    let mut no_date = Mail::new("x@load.example", &["foo@example.com"]);
    no_date.message = b"From: a@b.example\r\n\r\nx\r\n".to_vec();
    let send = |scene: &mut Scene| {
        let answers = scene.client.transaction(&no_date).expect("a transaction");
        said(answers.decisive())
    };
    assert_eq!(send(&mut scene).0, 250);
    scene.write("example.com/checks/date", "");
    assert_eq!(send(&mut scene), (550, "5.7.1 Missing header - Date:".into()));
    scene.write("example.com/checks/date", "action = \"defer\"\n");
    assert_eq!(send(&mut scene), (451, "4.7.1 Missing header - Date:".into()));
    scene.remove("example.com/checks/date");
    assert_eq!(send(&mut scene).0, 250);
    scene.write("example.com/checks/all", "");
    assert_eq!(send(&mut scene).0, 550);
    scene.write("example.com/shadow", "");
    assert_eq!(send(&mut scene).0, 250);
}

#[test]
fn lists_count_from_the_next_message_on() {
    let mut scene = Scene::new(&["example.com/users/valid/foo"]);
    let foo = "foo@example.com";
    let lists = [
        (
            "example.com/blacklisted/senders/Alice@Sender.Example",
            "5.7.1 Mail not accepted, sender alice@sender.example.",
        ),
        (
            "example.com/blacklisted/domains/sender.example",
            "5.7.1 Mail not accepted, domain sender.example.",
        ),
        (
            "example.com/blacklisted/ips/127.0.0.1",
            "5.7.1 IP address 127.0.0.1 locally blacklisted",
        ),
        (
            "_global_/blacklisted/senders/alice@sender.example",
            "5.7.1 Mail not accepted, sender alice@sender.example.",
        ),
    ];
    for (path, text) in lists {
        assert_eq!(scene.send(foo).code, 250, "before {path}");
        scene.write(path, "");
        assert_eq!(said(&scene.send(foo)), (550, text.into()), "{path}");
        scene.write("example.com/whitelisted/recipients/foo", "");
        assert_eq!(scene.send(foo).code, 250, "whitelisted: {path}");
        scene.remove("example.com/whitelisted/recipients/foo");
        scene.remove(path);
    }
    let everywhere = scene.gateway.dir().join("bl.d/127.0.0.1");
    write(&everywhere, "");
    let text = "5.7.1 IP address 127.0.0.1 locally blacklisted";
    assert_eq!(said(&scene.send(foo)), (550, text.into()));
    fs::remove_file(everywhere).expect("a file");
    assert_eq!(scene.send(foo).code, 250);
}

#[test]
fn a_domain_that_comes_or_goes_counts_from_the_next_message_on() {
    let mut scene = Scene::new(&["example.com/users/valid/foo"]);
    let relay = (550, "5.7.1 Relay attempt for new.example".to_owned());
    assert_eq!(said(&scene.send("ann@new.example")), relay);
    scene.write("new.example/users/valid/ann", "");
    assert_eq!(scene.send("ann@new.example").code, 250);
    let (old, new) = (
        scene.gateway.domains().join("new.example"),
        scene.gateway.dir().join("away"),
    );
    fs::rename(&old, &new).expect("a directory");
    // It was ours a moment ago.
    assert_eq!(scene.send("ann@new.example").code, 451);
    assert!(
        scene
            .gateway
            .command(&["domains", "forget", "new.example"])
            .status
            .success()
    );
    assert_eq!(said(&scene.send("ann@new.example")), relay);
    symlink(scene.gateway.domains().join("example.com"), &old).expect("a link");
    assert_eq!(
        scene.send("foo@new.example").code,
        250,
        "a link to a domain is a domain"
    );
}

#[test]
fn a_deliver_file_sends_a_domains_mail_elsewhere() {
    let mut scene = Scene::new(&["example.com/users/valid/foo"]);
    let other = Sink::start();
    assert_eq!(scene.send("foo@example.com").code, 250);
    scene.write(
        "example.com/deliver",
        &format!("# our own server\n{}\n", other.target()),
    );
    assert_eq!(scene.send("foo@example.com").code, 250);
    assert_eq!((scene.sink.taken().len(), other.taken().len()), (1, 1));
    let template = format!("maildir:{}/mail/{{domain}}/{{local}}", scene.gateway.dir().display());
    scene.write("example.com/deliver", &template);
    assert_eq!(scene.send("foo@example.com").code, 250);
    assert_eq!(boxes::maildir(&scene.gateway.maildir("example.com", "foo")).len(), 1);
    scene.remove("example.com/deliver");
    assert_eq!(scene.send("foo@example.com").code, 250);
    assert_eq!((scene.sink.taken().len(), other.taken().len()), (2, 1));
}

#[test]
fn a_wrong_deliver_file_makes_mail_wait_rather_than_go_elsewhere() {
    let mut scene = Scene::new(&["example.com/users/valid/foo"]);
    for wrong in [
        "",
        "smtp:nowhere",
        "bsmtp:/usr/sbin/rsmtp",
        "|/bin/sh",
        "smtp:a:25\nsmtp:b:25\n",
        "\0\u{1}",
    ] {
        scene.write("example.com/deliver", wrong);
        assert_eq!(scene.send("foo@example.com").code, 451, "{wrong:?}");
    }
    scene.remove("example.com/deliver");
    assert_eq!(scene.send("foo@example.com").code, 250);
    assert_eq!(scene.sink.taken().len(), 1);
}

#[test]
fn mail_of_an_alias_lands_in_its_owners_box() {
    let setup = Setup::new().srv(&["example.com/users/valid/ann", "example.com/users/valid/shop"]);
    let gateway = setup
        .file("example.com/mailboxes/shop", "ann@example.com\n")
        .before_maildirs()
        .start();
    let mut client = Client::greeted(gateway.addr());
    for to in [
        "ann@example.com",
        "shop@example.com",
        "Ann+list@Example.com",
        "shop+x@example.com",
    ] {
        let answers = client
            .transaction(&Mail::new("1@load.example", &[to]))
            .expect("a transaction");
        assert_eq!(answers.decisive().code, 250, "{to}");
    }
    assert_eq!(boxes::maildir(&gateway.maildir("example.com", "ann")).len(), 4);
    assert!(!gateway.maildir("example.com", "shop").exists());
    fs::remove_file(gateway.domains().join("example.com/mailboxes/shop")).expect("a file");
    let answers = client
        .transaction(&Mail::new("2@load.example", &["shop@example.com"]))
        .expect("a transaction");
    assert_eq!(answers.decisive().code, 250);
    assert_eq!(boxes::maildir(&gateway.maildir("example.com", "shop")).len(), 1);
}

#[test]
fn domains_with_other_next_hops_take_turns_in_transactions_of_their_own() {
    let (first, second) = (Sink::start(), Sink::start());
    let gateway = Setup::new()
        .srv(&[
            "a.example/users/valid/*",
            "b.example/users/valid/*",
            "c.example/users/valid/*",
        ])
        .file("b.example/deliver", &second.target())
        .before_sink(&first)
        .start();
    let mut client = Client::greeted(gateway.addr());
    let rcpts = ["x@a.example", "x@b.example", "x@c.example", "y@b.example"];
    let answers = client
        .transaction(&Mail::new("1@load.example", &rcpts))
        .expect("a transaction");
    let codes: Vec<u16> = answers.rcpts.iter().map(|reply| reply.code).collect();
    assert_eq!(codes, [250, 452, 250, 452]);
    assert_eq!(&answers.rcpts[1].text()[..5], "4.5.3");
    assert_eq!(answers.decisive().code, 250);
    let rest = Mail::new("1@load.example", &["x@b.example", "y@b.example"]);
    assert_eq!(client.transaction(&rest).expect("a transaction").decisive().code, 250);
    assert_eq!(first.taken()[0].rcpts, ["x@a.example", "x@c.example"]);
    assert_eq!(second.taken()[0].rcpts, ["x@b.example", "y@b.example"]);
}

#[test]
fn what_cannot_be_read_defers_its_domain_and_no_other() {
    // Root reads everything, so the trouble is a circle of links.
    let mut scene = Scene::new(&["example.com/users/valid/foo", "other.example/users/valid/foo"]);
    let domains = scene.gateway.domains();
    let circle = domains.join("circle.example");
    symlink(&circle, &circle).expect("a link");
    let reply = scene.send("foo@circle.example");
    let text = "4.3.5 circle.example cannot be looked up now, please try again later";
    assert_eq!(said(&reply), (451, text.into()));
    for part in ["users/valid", "checks", "blacklisted/ips", "deliver"] {
        let path = domains.join("other.example").join(part);
        let away = scene.gateway.dir().join("away");
        let was = fs::rename(&path, &away).is_ok();
        fs::create_dir_all(path.parent().expect("a directory")).expect("directories");
        symlink(&path, &path).expect("a link");
        assert_eq!(scene.send("foo@other.example").code, 451, "{part}");
        assert_eq!(scene.send("foo@example.com").code, 250, "beside {part}");
        fs::remove_file(&path).expect("a link");
        if was {
            fs::rename(&away, &path).expect("back");
        }
        assert_eq!(scene.send("foo@other.example").code, 250, "after {part}");
    }
}

#[test]
fn a_file_in_place_of_a_domain_is_no_domain() {
    let mut scene = Scene::new(&["example.com/users/valid/foo", "file.example"]);
    let relay = "5.7.1 Relay attempt for file.example".to_owned();
    assert_eq!(said(&scene.send("foo@file.example")), (550, relay));
}

#[test]
fn a_root_that_vanishes_defers_all_mail_until_it_is_back() {
    let mut scene = Scene::new(&["example.com/users/valid/foo"]);
    assert_eq!(scene.send("foo@example.com").code, 250);
    let (root, away) = (scene.gateway.domains(), scene.gateway.dir().join("away"));
    fs::rename(&root, &away).expect("a directory");
    assert_eq!(scene.send("foo@example.com").code, 451);
    fs::rename(&away, &root).expect("a directory");
    assert_eq!(scene.send("foo@example.com").code, 250);
}

#[test]
fn a_user_whose_name_is_that_of_the_shared_box_has_no_maildir_and_a_copy_is_kept() {
    let users = ["example.com/users/valid/_others_", "example.com/users/valid/*"];
    let gateway = Setup::new().srv(&users).before_maildirs().start();
    let mail = Mail::new("1@load.example", &["_others_@example.com"]);
    let answers = Client::deliver(gateway.addr(), &mail).expect("a session");
    let no_box = (550, "5.1.1 no mailbox for this recipient".to_owned());
    assert_eq!(said(answers.decisive()), no_box);
    assert_eq!(boxes::held(&gateway.spam()).len(), 1);
    assert!(!gateway.maildir("example.com", "_others_").exists());
}
