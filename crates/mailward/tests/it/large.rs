//! Large messages: past their first 256 KiB they lie in files without names, on the way in and on the way out. So many
//! of them cost disk, not memory, and their octets arrive exactly.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use tempfile::TempDir;

use crate::nexthop::delivered;
use crate::support::boxes;
use crate::support::client::{Client, Mail, Reply, stuffed};
use crate::support::gateway::{Gateway, Setup};
use crate::support::outside::SmallDisk;
use crate::support::sink::{Script, Sink};

const MIB: usize = 1 << 20;
const LARGE: usize = 45 * MIB;
/// What several large messages at one time may add to the gateway's memory.
const GROWTH_KB: u64 = 64 * 1024;

fn setup() -> Setup {
    Setup::new().srv(&["example.com/users/valid/foo", "example.com/users/valid/bar"])
}

/// A message whose every line is different and some of which begin with dots.
fn large(name: &str, rcpts: &[&str], octets: usize) -> Mail {
    let mut mail = Mail::new(name, rcpts);
    mail.message.reserve(octets + 100);
    for n in 0_u64.. {
        if mail.message.len() >= octets {
            break;
        }
        let dots = &"...."[..(n % 5) as usize];
        let line = format!(
            "{dots}{n:x} {:x} of {name} and so on and so forth\r\n",
            n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        );
        mail.message.extend_from_slice(line.as_bytes());
    }
    mail
}

/// The body with the blank line before it.
fn body(message: &[u8]) -> &[u8] {
    let at = message
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .expect("a header ends");
    &message[at..]
}

fn unix_body(message: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(body(message))
        .replace("\r\n", "\n")
        .into_bytes()
}

/// Not `assert_eq`: it would print both.
fn assert_ends(message: &[u8], end: &[u8], what: &str) {
    assert!(
        message.ends_with(end),
        "{what}: other octets ({} of them)",
        message.len()
    );
}

fn by_data(to: SocketAddr, mail: &Mail) -> Reply {
    Client::deliver(to, mail).expect("a session").decisive().clone()
}

fn by_bdat(to: SocketAddr, mail: &Mail) -> Reply {
    let mut client = Client::greeted(to);
    client.begin(mail);
    client.bdat(&mail.message, &[MIB; 44]).expect("replies")
}

/// Nothing in the state directory but what is always there.
fn assert_no_spool(gateway: &Gateway) {
    let stray: Vec<String> = boxes::everything(&gateway.state())
        .into_iter()
        .filter(|name| name.contains("spool") || name.ends_with(".new"))
        .collect();
    assert_eq!(stray, [""; 0]);
}

#[test]
fn four_of_45_mb_at_one_time_arrive_exactly_and_cost_little_memory() {
    let sink = Sink::start();
    let gateway = setup().before_sink(&sink).start();
    let before = gateway.rss_kb();
    let mail = large("1@load.example", &["foo@example.com"], LARGE);
    std::thread::scope(|scope| {
        for n in 0..4 {
            let (to, mail) = (gateway.addr(), &mail);
            scope.spawn(move || {
                let reply = if n % 2 == 0 {
                    by_data(to, mail)
                } else {
                    by_bdat(to, mail)
                };
                assert_eq!(reply.code, 250, "{reply:?}");
            });
        }
    });
    let peak = gateway.peak_kb();
    assert!(peak < before + GROWTH_KB, "{before} KB before, {peak} KB at the most");
    let taken = sink.taken();
    assert_eq!(taken.len(), 4);
    for taken in &taken {
        assert_ends(&taken.message, body(&mail.message), "by SMTP");
    }
    assert_no_spool(&gateway);
}

#[test]
fn by_lmtp_into_maildirs_and_into_a_program_it_arrives_exactly() {
    let mail = large("1@load.example", &["foo@example.com", "bar@example.com"], LARGE);
    let sink = Sink::lmtp(Script::default());
    let gateway = setup().before_sink(&sink).start();
    let before = gateway.rss_kb();
    assert_eq!(by_bdat(gateway.addr(), &mail).code, 250);
    assert!(
        gateway.peak_kb() < before + GROWTH_KB,
        "by LMTP: {} KB",
        gateway.peak_kb()
    );
    for taken in sink.taken() {
        assert_ends(&taken.message, body(&mail.message), "by LMTP");
    }
    assert_eq!(delivered(&sink).len(), 2);

    let gateway = setup().before_maildirs().start();
    let before = gateway.rss_kb();
    assert_eq!(by_data(gateway.addr(), &mail).code, 250);
    assert!(
        gateway.peak_kb() < before + GROWTH_KB,
        "into Maildirs: {} KB",
        gateway.peak_kb()
    );
    for local in ["foo", "bar"] {
        let found = boxes::maildir(&gateway.maildir("example.com", local));
        assert_eq!(found.len(), 1);
        assert_ends(&found[0], &unix_body(&mail.message), "into a Maildir");
    }

    let dir = TempDir::with_prefix("mailward-program-").expect("a temporary directory");
    fs::write(dir.path().join("script"), "cat > $1/session").expect("a script");
    let target = format!("bsmtp:/bin/sh {0}/script {0}", dir.path().display());
    let gateway = setup().before(&target).start();
    let before = gateway.rss_kb();
    assert_eq!(by_bdat(gateway.addr(), &mail).code, 250);
    assert!(
        gateway.peak_kb() < before + GROWTH_KB,
        "into a program: {} KB",
        gateway.peak_kb()
    );
    let session = fs::read(dir.path().join("session")).expect("the program left it");
    let end = [&stuffed(body(&mail.message))[..], b"QUIT\r\n"].concat();
    assert_ends(&session, &end, "into a program");
    assert_no_spool(&gateway);
}

#[test]
fn its_copies_in_the_quarantine_are_exact_and_can_be_released() {
    let gateway = setup().before_maildirs().start();
    let before = gateway.rss_kb();
    let mail = large("1@load.example", &["nobody@example.com", "noone@example.com"], LARGE);
    let reply = by_bdat(gateway.addr(), &mail);
    assert_eq!((reply.code, &reply.text()[..5]), (550, "5.1.1"), "{reply:?}");
    assert!(gateway.peak_kb() < before + GROWTH_KB, "{} KB", gateway.peak_kb());
    let held = boxes::held(&gateway.spam());
    assert_eq!(held.len(), 2);
    let unix = unix_body(&mail.message);
    for copy in &held {
        // Copies keep the line ends they came with, or those of the system.
        let is_whole = copy.message.ends_with(body(&mail.message)) || copy.message.ends_with(&unix);
        assert!(is_whole, "other octets");
    }
    for local in ["nobody", "noone"] {
        fs::write(gateway.domains().join("example.com/users/valid").join(local), "").expect("a new file");
    }
    let id = reply.id().expect("the reply names the message");
    let output = gateway.command(&["quarantine", "release", &id]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found = ["nobody", "noone"].map(|local| boxes::maildir(&gateway.maildir("example.com", local)));
    assert!(found.iter().any(|found| found.len() == 1), "released");
    for message in found.iter().flatten() {
        assert_ends(message, &unix, "released");
    }
}

#[test]
fn the_ledger_knows_a_large_message_however_the_network_divided_it() {
    // Where a message is divided between memory and file hung on how its octets came, and so did its name in the ledger:
    // those who had it got it again with the sender's next try.
    let sink = Sink::lmtp(Script::default().end("bar@example.com", "451 4.2.0 busy"));
    let gateway = setup().before_sink(&sink).start();
    let both = ["foo@example.com", "bar@example.com"];
    for octets in [256 * 1024 - 10, 256 * 1024 + 3, 300_000, 1_000_000] {
        let before = delivered(&sink).len();
        let mail = large(&format!("{octets}@load.example"), &both, octets);
        assert_eq!(by_data(gateway.addr(), &mail).code, 451);
        assert_eq!(delivered(&sink).len(), before + 1);
        // Again, in pieces of another size, and by BDAT.
        let mut client = Client::greeted(gateway.addr());
        client.begin_data(&mail);
        for piece in stuffed(&mail.message).chunks(50_021) {
            client.send(piece).expect("it is read");
            client.await_read();
        }
        assert_eq!(client.reply().expect("an answer").code, 451);
        let mut client = Client::greeted(gateway.addr());
        client.begin(&mail);
        assert_eq!(client.bdat(&mail.message, &[70_001; 3]).expect("an answer").code, 451);
        assert_eq!(delivered(&sink).len(), before + 1, "{octets} octets");
        sink.play(Script::default());
        assert_eq!(by_data(gateway.addr(), &mail).code, 250);
        assert_eq!(delivered(&sink).len(), before + 2, "{octets} octets");
        sink.play(Script::default().end("bar@example.com", "451 4.2.0 busy"));
    }
}

#[test]
fn when_the_file_system_for_spooling_is_full_it_is_452_and_the_gateway_lives() {
    const TEST: &str = "when_the_file_system_for_spooling_is_full_it_is_452_and_the_gateway_lives";
    let sink = Sink::start();
    let setup = setup().before_sink(&sink);
    let Some(_disk) = SmallDisk::mount(TEST, &setup.dir().join("state"), "12m") else {
        return;
    };
    let mut gateway = setup.start();
    let small = Mail::new("small@load.example", &["foo@example.com"]);
    let mail = large("1@load.example", &["foo@example.com"], LARGE);
    for n in 0..3 {
        let reply = match n {
            1 => by_bdat(gateway.addr(), &mail),
            _ => by_data(gateway.addr(), &mail),
        };
        assert_eq!((reply.code, &reply.text()[..5]), (452, "4.3.1"), "{reply:?}");
        assert_eq!(by_data(gateway.addr(), &small).code, 250, "there is room again at once");
    }
    assert!(gateway.log().contains("cannot be spooled"), "the log says why");
    assert!(!gateway.has_ended());
    assert_eq!(delivered(&sink).len(), 3);
    assert_no_spool(&gateway);
}

#[test]
fn a_client_that_goes_away_in_the_middle_leaves_no_file() {
    let sink = Sink::start();
    let gateway = setup().before_sink(&sink).start();
    let files = gateway.open_files();
    let mail = large("1@load.example", &["foo@example.com"], 4 * MIB);
    for _ in 0..10 {
        let mut client = Client::greeted(gateway.addr());
        client.begin_data(&mail);
        client.send(&mail.message).expect("it is read");
        client.await_read();
    }
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    // One may be open for a next hop.
    while gateway.open_files() > files + 1 {
        assert!(
            std::time::Instant::now() < deadline,
            "{} files are open",
            gateway.open_files()
        );
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_no_spool(&gateway);
    assert!(spooled_files(gateway.pid()).is_empty());
    assert!(sink.taken().is_empty());
}

/// Deleted files that the process still has open.
fn spooled_files(pid: u32) -> Vec<String> {
    let links = fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fd")).expect("it runs");
    let names = links.flatten().filter_map(|link| fs::read_link(link.path()).ok());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name.ends_with("(deleted)")).collect()
}
