//! A limit of the size of files (`ulimit -f`, `LimitFSIZE`): a file that would grow past it is an error, as a full disk
//! is one, and not the end of the daemon, as SIGXFSZ would have it.

use std::fs;
use std::process::Command;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::nexthop::{delivered, held, send};
use crate::support::boxes;
use crate::support::client::Mail;
use crate::support::gateway::{Gateway, Setup};
use crate::support::sink::Sink;

const FOO: &str = "example.com/users/valid/foo";

/// From now on, for the running daemon; `None` lifts it.
fn limit(gateway: &Gateway, octets: Option<u64>) {
    let pid = Pid::from_raw(i32::try_from(gateway.pid()).expect("an id")).expect("a process");
    let limit = Rlimit {
        current: octets,
        maximum: None,
    };
    prlimit(Some(pid), Resource::Fsize, limit).expect("it is our child");
}

/// `mail` is deferred with `code` under a limit of `octets`, and taken without one, by the same process.
fn is_deferred(gateway: &mut Gateway, octets: u64, mail: &Mail, code: u16, then: u16) {
    limit(gateway, Some(octets));
    for _ in 0..2 {
        let reply = send(gateway, mail);
        assert_eq!(reply.code, code, "{reply:?}");
        assert!(!reply.text().contains("os error"), "{reply:?}");
    }
    assert!(!gateway.has_ended());
    assert_eq!(held(gateway), [""; 0]);
    limit(gateway, None);
    let reply = send(gateway, mail);
    assert_eq!(reply.code, then, "{reply:?}");
    assert!(!gateway.has_ended());
}

fn large(octets: usize) -> Mail {
    Mail::new("large@load.example", &["foo@example.com"]).padded(octets)
}

/// The daemon was killed by the message, and by its next try, and so on.
#[test]
fn a_message_larger_than_files_may_be_is_deferred_and_the_daemon_lives() {
    let sink = Sink::start();
    let mut gateway = Setup::new().srv(&[FOO]).before_sink(&sink).start();
    is_deferred(&mut gateway, 2_000_000, &large(8_000_000), 452, 250);
    assert_eq!(delivered(&sink), ["foo@example.com"]);
}

/// What is past its start lies in a file that may be so large; the whole message may not.
#[test]
fn a_mailbox_that_cannot_take_so_large_a_file_defers_the_message() {
    let mut gateway = Setup::new().srv(&[FOO]).before_maildirs().start();
    is_deferred(&mut gateway, 2_000_000, &large(2_100_000), 451, 250);
    let maildir = gateway.maildir("example.com", "foo");
    assert_eq!(boxes::maildir(&maildir).len(), 1);
    assert_eq!(fs::read_dir(maildir.join("tmp")).expect("a Maildir").count(), 0);
}

#[test]
fn a_quarantine_that_cannot_take_so_large_a_file_defers_the_message() {
    let sink = Sink::start();
    let mut gateway = Setup::new()
        .srv(&[FOO, "example.com/checks/helo"])
        .before_sink(&sink)
        .start();
    let mail = Mail {
        helo: "nodot".into(),
        ..large(2_100_000)
    };
    is_deferred(&mut gateway, 2_000_000, &mail, 451, 550);
    assert_eq!(held(&gateway), ["foo@example.com"]);
}

#[test]
fn a_store_that_may_not_grow_defers_the_message() {
    let sink = Sink::start();
    let mut gateway = Setup::new().srv(&[FOO]).before_sink(&sink).start();
    is_deferred(&mut gateway, 1, &large(0), 451, 250);
    assert_eq!(delivered(&sink), ["foo@example.com"]);
}

#[test]
fn a_command_outlives_the_limit_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("said");
    fs::write(&path, "x".repeat(2048)).expect("a new file");
    let script = format!(
        "ulimit -f 1; exec {} --help >>{}",
        env!("CARGO_BIN_EXE_mailward"),
        path.display()
    );
    let status = Command::new("/bin/sh").args(["-c", &script]).status().expect("a shell");
    assert!(status.code().is_some(), "it was ended by a signal: {status:?}");
}
