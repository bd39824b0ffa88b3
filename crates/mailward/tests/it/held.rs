//! The quarantine behind the gateway: trouble with its disk, its budgets, and release.

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs;
use std::io::Read;
use std::process::Output;

use crate::support::boxes;
use crate::support::client::{Client, Mail, Reply};
use crate::support::gateway::{Gateway, Setup};
use crate::support::outside::SmallDisk;
use crate::support::sink::{Act, Script, Sink, Stage};

fn setup(sink: &Sink) -> Setup {
    let srv = [
        "example.com/users/valid/foo",
        "example.com/users/valid/bar",
        "example.com/checks/helo",
    ];
    Setup::new().srv(&srv).before_sink(sink)
}

fn send(gateway: &Gateway, mail: &Mail) -> Reply {
    let answers = Client::deliver(gateway.addr(), mail).expect("the session is kept up to QUIT");
    answers.decisive().clone()
}

/// Refused for its content.
fn unqualified(rcpts: &[&str]) -> Mail {
    Mail {
        helo: "localhost".into(),
        ..Mail::new("1@load.example", rcpts)
    }
}

fn unknown() -> Mail {
    Mail::new("1@load.example", &["nobody@example.com"])
}

fn good() -> Mail {
    Mail::new("1@load.example", &["foo@example.com"])
}

fn held(gateway: &Gateway) -> usize {
    boxes::held(&gateway.spam()).len()
}

#[test]
fn a_full_disk_defers_what_would_be_kept_and_lets_good_mail_pass() {
    const TEST: &str = "a_full_disk_defers_what_would_be_kept_and_lets_good_mail_pass";
    let sink = Sink::start();
    let setup = setup(&sink).set("limits.quarantine_free", "0");
    // Declared first, so that its directory goes after the disk in it.
    let gateway;
    let Some(disk) = SmallDisk::mount(TEST, &setup.dir().join("spam"), "256k") else {
        return;
    };
    gateway = setup.start();
    assert_eq!(send(&gateway, &unknown()).code, 550);
    disk.fill();
    for mail in [
        unqualified(&["foo@example.com"]),
        unknown(),
        unqualified(&["foo@example.com"]).padded(50_000),
    ] {
        let reply = send(&gateway, &mail);
        assert_eq!((reply.code, &reply.text()[..5]), (451, "4.3.0"), "{reply:?}");
        assert_eq!(held(&gateway), 1);
    }
    assert_eq!(send(&gateway, &good()).code, 250);
    disk.empty();
    assert_eq!(send(&gateway, &unqualified(&["foo@example.com"])).code, 550);
    assert_eq!((held(&gateway), sink.taken().len()), (2, 1));
}

#[test]
fn a_disk_that_became_read_only_defers_what_would_be_kept() {
    const TEST: &str = "a_disk_that_became_read_only_defers_what_would_be_kept";
    let sink = Sink::start();
    let setup = setup(&sink).set("limits.quarantine_free", "0");
    // Declared first, so that its directory goes after the disk in it.
    let gateway;
    let Some(disk) = SmallDisk::mount(TEST, &setup.dir().join("spam"), "256k") else {
        return;
    };
    gateway = setup.start();
    // Nothing may hold a file open for writing, or it could not be made read-only.
    disk.read_only(true);
    assert_eq!(send(&gateway, &unqualified(&["foo@example.com"])).code, 451);
    assert_eq!(send(&gateway, &unknown()).code, 451);
    assert_eq!(send(&gateway, &good()).code, 250);
    disk.read_only(false);
    assert_eq!(send(&gateway, &unknown()).code, 550);
    assert_eq!(held(&gateway), 1);
}

#[test]
fn a_file_in_place_of_the_quarantine_defers_what_would_be_kept() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let (spam, away) = (gateway.spam(), gateway.dir().join("away"));
    fs::rename(&spam, &away).expect("a directory");
    fs::write(&spam, "in the way").expect("a file");
    assert_eq!(send(&gateway, &unqualified(&["foo@example.com"])).code, 451);
    let mixed = Mail::new("2@load.example", &["foo@example.com", "nobody@example.com"]);
    assert_eq!(
        send(&gateway, &mixed).code,
        451,
        "what cannot be kept for one defers all"
    );
    assert!(sink.taken().is_empty(), "and nothing is relayed before");
    assert_eq!(send(&gateway, &good()).code, 250);
    fs::remove_file(&spam).expect("a file");
    fs::rename(&away, &spam).expect("back");
    assert_eq!(send(&gateway, &mixed).code, 250);
    assert_eq!((held(&gateway), sink.taken().len()), (1, 2));
}

#[test]
fn a_file_in_place_of_a_domains_part_defers_that_domain_only() {
    let sink = Sink::start();
    let gateway = setup(&sink).srv(&["other.example/users/valid/foo"]).start();
    assert_eq!(send(&gateway, &unknown()).code, 550);
    let day = fs::read_dir(gateway.spam())
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.is_dir() && !path.is_symlink())
        .expect("today");
    fs::remove_dir_all(day.join("example.com")).expect("a directory");
    fs::write(day.join("example.com"), "in the way").expect("a file");
    assert_eq!(send(&gateway, &unknown()).code, 451);
    assert_eq!(
        send(&gateway, &Mail::new("2@load.example", &["nobody@other.example"])).code,
        550
    );
}

#[test]
fn past_its_budget_unknown_users_are_noted_and_content_is_deferred() {
    for budget in ["quarantine_size", "quarantine_domain_size", "quarantine_client_size"] {
        let sink = Sink::start();
        let gateway = setup(&sink).set(&format!("limits.{budget}"), "\"8 KiB\"").start();
        let mut rounds = 0;
        // Every refusal of an unknown user goes out, kept or not.
        while send(&gateway, &unqualified(&["foo@example.com"])).code == 550 {
            rounds += 1;
            assert!(rounds < 20, "{budget}: there is no end to it");
        }
        assert!(rounds > 1, "{budget}: {rounds}");
        let full = held(&gateway);
        let lines = boxes::index(&gateway.spam()).len();
        let reply = send(&gateway, &unqualified(&["foo@example.com"]));
        assert_eq!((reply.code, &reply.text()[..5]), (452, "4.3.1"), "{budget}: {reply:?}");
        let reply = send(&gateway, &unknown());
        assert_eq!((reply.code, &reply.text()[..5]), (550, "5.1.1"), "{budget}: {reply:?}");
        assert_eq!(held(&gateway), full, "{budget}");
        let index = boxes::index(&gateway.spam());
        assert_eq!(index.len(), lines + 1, "{budget}: metadata of the unknown user");
        assert_eq!(index[lines].field("recipient"), "nobody@example.com");
        assert_eq!(send(&gateway, &good()).code, 250, "{budget}");
        for _ in 0..60 {
            assert_eq!(send(&gateway, &unknown()).code, 550, "{budget}");
        }
        let octets: u64 = fs_size(&gateway);
        assert!(
            octets < 32 * 1024,
            "{budget}: notes stop too, at twice the budget: {octets}"
        );
    }
}

/// Octets of all files of the quarantine.
fn fs_size(gateway: &Gateway) -> u64 {
    let files = boxes::everything(&gateway.spam());
    let sizes = files
        .iter()
        .filter_map(|file| fs::symlink_metadata(gateway.spam().join(file)).ok());
    sizes.filter(fs::Metadata::is_file).map(|meta| meta.len()).sum()
}

#[test]
fn one_clients_budget_is_not_anothers() {
    let sink = Sink::start();
    let gateway = setup(&sink).set("limits.quarantine_client_size", "\"8 KiB\"").start();
    while send(&gateway, &unqualified(&["foo@example.com"])).code == 550 {}
    let mut other =
        Client::connect_from("127.7.7.7".parse().expect("an address"), gateway.addr()).expect("a connection");
    other.reply().expect("a greeting");
    other.command("EHLO localhost").expect("a reply");
    let answers = other
        .transaction(&unqualified(&["foo@example.com"]))
        .expect("a transaction");
    assert_eq!(answers.decisive().code, 550);
}

#[test]
fn the_floor_of_free_space_counts_like_a_budget() {
    let sink = Sink::start();
    let gateway = setup(&sink).set("limits.quarantine_free", "\"4096 TiB\"").start();
    assert_eq!(send(&gateway, &unqualified(&["foo@example.com"])).code, 452);
    assert_eq!(send(&gateway, &unknown()).code, 550);
    assert_eq!(send(&gateway, &good()).code, 250);
    assert_eq!(held(&gateway), 0);
}

#[test]
fn a_store_that_cannot_be_written_defers_all_mail_until_it_can() {
    const TEST: &str = "a_store_that_cannot_be_written_defers_all_mail_until_it_can";
    let sink = Sink::start();
    let setup = setup(&sink);
    // Declared first, so that its directory goes after the disk in it.
    let gateway;
    let Some(disk) = SmallDisk::mount(TEST, &setup.dir().join("state"), "2m") else {
        return;
    };
    gateway = setup.start();
    assert_eq!(send(&gateway, &good()).code, 250);
    disk.fill();
    let mut deferred = 0;
    // A record or two may still fit into what the store has.
    for _ in 0..200 {
        let reply = send(&gateway, &good());
        assert!(matches!(reply.code, 250 | 451), "{reply:?}");
        deferred += u32::from(reply.code == 451);
    }
    assert!(deferred > 100, "{deferred} of 200");
    assert_eq!(
        sink.taken().len(),
        1 + 200 - deferred as usize,
        "what is deferred is not relayed"
    );
    disk.empty();
    let reply = send(&gateway, &good());
    assert_eq!(reply.code, 250, "{reply:?}");
    let why = gateway.command(&["why", &reply.id().expect("an id")]);
    assert!(why.status.success(), "{why:?}");
}

fn release(gateway: &Gateway, args: &[&str]) -> Output {
    gateway.command(&[&["quarantine", "release"], args].concat())
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

#[test]
fn release_delivers_unjudged_and_without_our_reasons() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let mut mail = unqualified(&["foo@example.com"]);
    mail.message.extend_from_slice(b".dot\r\nFrom here\r\n\xe9\r\n");
    let id = send(&gateway, &mail).id().expect("an id");
    let output = release(&gateway, &[&id]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        text(&output.stdout).contains("delivered to foo@example.com"),
        "{output:?}"
    );
    let taken = sink.taken();
    assert_eq!(
        (taken.len(), &*taken[0].from, &*taken[0].rcpts[0]),
        (1, "alice@sender.example", "foo@example.com")
    );
    let header = boxes::headers(&taken[0].message);
    assert!(
        !header
            .iter()
            .any(|(name, _)| name.to_uppercase().starts_with("X-REJECT") || name == "Recipient")
    );
    assert_eq!(boxes::message_id(&taken[0].message), "1@load.example");
    assert!(
        boxes::header(&taken[0].message, "X-Mailward-Id")
            .expect("our id")
            .starts_with(&id)
    );
    assert!(
        taken[0]
            .message
            .ends_with(b"\r\n\r\nHello there.\r\n.dot\r\nFrom here\r\n\xe9\r\n")
    );

    let again = release(&gateway, &[&id]);
    assert!(text(&again.stdout).contains("released before"), "{again:?}");
    assert_eq!(sink.taken().len(), 1);
    assert_eq!(release(&gateway, &["--again", &id]).status.code(), Some(0));
    assert_eq!(sink.taken().len(), 2);
    assert_eq!(held(&gateway), 1, "it expires as before");
}

#[test]
fn release_of_a_message_for_several_delivers_to_each_alone() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let id = send(&gateway, &unqualified(&["foo@example.com", "bar@example.com"]))
        .id()
        .expect("an id");
    assert_eq!(release(&gateway, &[&id]).status.code(), Some(0));
    let mut rcpts: Vec<Vec<String>> = sink.taken().into_iter().map(|taken| taken.rcpts).collect();
    rcpts.sort();
    assert_eq!(rcpts, [["bar@example.com"], ["foo@example.com"]]);
}

#[test]
fn release_before_a_next_hop_that_does_not_take_it_keeps_it() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let id = send(&gateway, &unqualified(&["foo@example.com"])).id().expect("an id");
    for answer in ["451 4.3.0 later", "550 5.7.1 never"] {
        sink.play(Script::default().at(Stage::Dot, Act::Answer(answer)));
        let output = release(&gateway, &[&id]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(text(&output.stderr).contains("was not delivered"), "{output:?}");
    }
    sink.play(Script::default());
    assert_eq!(release(&gateway, &[&id]).status.code(), Some(0));
    assert_eq!(sink.taken().len(), 1);
}

#[test]
fn release_follows_the_domains_own_next_hop_and_into_maildirs() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let id = send(&gateway, &unqualified(&["foo@example.com"])).id().expect("an id");
    let template = format!("maildir:{}/mail/{{domain}}/{{local}}", gateway.dir().display());
    fs::write(gateway.domains().join("example.com/deliver"), template).expect("a file");
    assert_eq!(release(&gateway, &[&id]).status.code(), Some(0));
    let found = boxes::maildir(&gateway.maildir("example.com", "foo"));
    assert_eq!(boxes::message_id(&found[0]), "1@load.example");
    assert!(sink.taken().is_empty());
}

#[test]
fn release_of_nothing_is_trouble() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    for name in ["0E8WS473BB3B", "../../etc/passwd", "1/example.com/../../x", ""] {
        let output = release(&gateway, &[name]);
        assert_eq!(output.status.code(), Some(2), "{name}: {output:?}");
        let said = text(&output.stderr);
        assert!(said.starts_with("error: ") && said.contains("\nhint: "), "{said}");
    }
}

#[test]
fn expire_touches_nothing_foreign_and_keeps_today() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    send(&gateway, &unknown());
    fs::create_dir(gateway.spam().join("notes")).expect("a directory");
    fs::write(gateway.spam().join("notes/mine"), "").expect("a file");
    fs::write(gateway.spam().join("README"), "").expect("a file");
    let before = boxes::everything(&gateway.spam());
    let output = gateway.command(&["quarantine", "expire", "--verbose"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(boxes::everything(&gateway.spam()), before);
    assert_eq!(
        fs::read_link(gateway.spam().join("today"))
            .expect("a link")
            .components()
            .count(),
        1
    );
}

/// What a command says to a terminal of this width, or to one that does not say.
fn said_to_terminal(gateway: &Gateway, columns: u16, args: &[&str]) -> String {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&master).expect("access to it");
    unlockpt(&master).expect("it is unlocked");
    let name = ptsname(&master, Vec::new()).expect("its name");
    let terminal = fs::File::options()
        .read(true)
        .write(true)
        .open(name.to_str().expect("a path"));
    let terminal = terminal.expect("its other end");
    let size = Winsize {
        ws_row: 24,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&terminal, size).expect("a size");
    // Read while the command writes: it would wait for room.
    let reader = std::thread::spawn(move || {
        let (mut master, mut said) = (fs::File::from(master), Vec::new());
        // The last end that is closed makes an error of the end (EIO).
        let _ = master.read_to_end(&mut said);
        String::from_utf8(said).expect("UTF-8")
    });
    assert!(gateway.command_saying_to(terminal.into(), args).success());
    reader.join().expect("what was said")
}

/// Tables were cut to 100 columns in a pipe and on every terminal, since shells do not export `COLUMNS`.
#[test]
fn a_table_fits_the_terminal_and_is_whole_in_a_pipe() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let sender = format!("{}@sender.example", "a".repeat(60));
    let mail = Mail {
        from: sender.clone(),
        ..unqualified(&["foo@example.com"])
    };
    assert_eq!(send(&gateway, &mail).code, 550);
    let args = ["quarantine", "list"];
    for (columns, widest) in [(80, 80), (170, 170), (0, 100)] {
        let table = said_to_terminal(&gateway, columns, &args);
        let wide = table.lines().map(|line| line.trim_end().chars().count()).max();
        assert!(wide.is_some_and(|wide| wide <= widest), "{columns}: {table}");
        assert_eq!(table.contains(&sender), columns == 170, "{columns}: {table}");
    }
    let output = gateway.command(&args);
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.contains(&format!("<{sender}>  foo@example.com")), "{table}");
    // The date, not the day of the year.
    let date = table
        .lines()
        .nth(1)
        .and_then(|line| line.split(' ').next())
        .unwrap_or_default();
    assert!(date.len() == 10 && date.matches('-').count() == 2, "{table}");
}
