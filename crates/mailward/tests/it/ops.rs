//! The daemon among other processes: its parts, its user, its supervisor.

use std::fs;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::support::PATIENCE;
use crate::support::client::{Client, Mail};
use crate::support::daemon::{Daemon, mailward, mailward_as, open_to_all, output, refused, said};
use crate::support::gateway::Setup;
use crate::support::outside;
use crate::support::sink::Sink;

fn is_root(test: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        outside::say(&format!("passed over: {test}: it needs root"));
    }
    is_root
}

#[test]
fn parts_run_apart_in_processes_of_their_own() {
    let sink = Sink::start();
    let gateway = Setup::new()
        .srv(&["example.com/users/valid/*", "example.com/checks/helo"])
        .set("metrics.listen", r#"["127.0.0.1:0"]"#)
        .before_sink(&sink)
        .stopped();
    // Without the door nobody writes to the store, and nobody makes it.
    let keeper = Daemon::start(mailward(&gateway, &["serve", "--only", "quarantine"]));
    assert_eq!(
        keeper.printed[0],
        format!("mailward {} is up (quarantine)", env!("CARGO_PKG_VERSION"))
    );
    assert!(!gateway.state().join("mailward.db").exists());
    let teller = Daemon::start(mailward(&gateway, &["serve", "--only", "control, metrics"]));
    let door = Daemon::start(mailward(&gateway, &["serve", "--only", "smtp"]));
    let mut mail = Mail::new("1@load.example", &["ann@example.com"]);
    let answers = Client::deliver(door.addr("smtp"), &mail).expect("a session");
    assert_eq!(answers.decisive().code, 250);
    mail.helo = "nodot".into();
    let answers = Client::deliver(door.addr("smtp"), &mail).expect("a session");
    let id = answers.decisive().id().expect("an id");
    // The process at the socket reads the store beside the one that writes, and releases by its own connections.
    assert!(said(&gateway, &["why", &id]).contains("checks/helo") || said(&gateway, &["why", &id]).contains("`helo`"));
    assert!(said(&gateway, &["quarantine", "release", &id]).contains("delivered"));
    assert_eq!(sink.taken().iter().map(|t| t.connection).collect::<Vec<_>>(), [0, 1]);
    let status = said(&gateway, &["status"]);
    assert!(
        status.contains("(metrics, control)") && !status.contains("clients"),
        "{status}"
    );
    teller.addr("metrics");
    for daemon in [keeper, teller, door] {
        assert!(daemon.stop().success());
    }
    let two = Daemon::start(mailward(&gateway, &["serve", "--only", "smtp"]));
    let error = refused(mailward(&gateway, &["serve", "--only", "smtp"]), 2);
    assert!(error.contains("another process writes to the store"), "{error}");
    drop(two);
}

#[test]
fn an_unknown_part_is_told_the_nearest_word() {
    let gateway = Setup::new().stopped();
    let error = refused(mailward(&gateway, &["serve", "--only", "smpt"]), 2);
    assert_eq!(
        error,
        "error: no part of the daemon: `smpt`\nhint: did you mean `smtp`?\n"
    );
}

#[test]
fn root_is_given_up_for_good_and_mail_flows() {
    if !is_root("root_is_given_up_for_good_and_mail_flows") {
        return;
    }
    let sink = Sink::start();
    let setup = Setup::new()
        .srv(&["example.com/users/valid/*", "example.com/checks/helo"])
        .set("process.user", "\"nobody\"")
        .set("process.group", "\"mail\"")
        .before_sink(&sink);
    let (state, spam) = (setup.dir().join("var/state"), setup.dir().join("var/spam"));
    let gateway = setup
        .set("paths.state", &format!("{:?}", state.display().to_string()))
        .set("paths.spam", &format!("{:?}", spam.display().to_string()))
        .stopped();
    open_to_all(&gateway);
    let daemon = Daemon::start(mailward(&gateway, &["serve"]));
    assert_eq!(daemon.proc_status("Uid"), ["65534"; 4]);
    assert_eq!(daemon.proc_status("Gid"), ["8"; 4]);
    assert!(
        daemon
            .proc_status("Groups")
            .iter()
            .all(|group| group == "8" || group == "65534")
    );
    assert_eq!(daemon.proc_status("CapEff"), ["0000000000000000"]);
    assert_eq!(daemon.proc_status("CapPrm"), ["0000000000000000"]);
    for thread in fs::read_dir(format!("/proc/{}/task", daemon.pid())).expect("it runs") {
        let status = fs::read_to_string(thread.expect("a thread").path().join("status")).expect("it runs");
        assert!(status.contains("\nUid:\t65534\t65534\t65534\t65534\n"), "{status}");
    }
    for (path, mode) in [(&state, 0o710), (&spam, 0o750)] {
        let meta = fs::metadata(path).expect("it was made");
        assert_eq!(
            (meta.uid(), meta.gid(), meta.mode() & 0o777),
            (65534, 8, mode),
            "{}",
            path.display()
        );
    }
    let mut mail = Mail::new("1@load.example", &["ann@example.com"]);
    let answers = Client::deliver(daemon.addr("smtp"), &mail).expect("a session");
    assert_eq!(answers.decisive().code, 250);
    mail.helo = "nodot".into();
    let answers = Client::deliver(daemon.addr("smtp"), &mail).expect("a session");
    assert_eq!(answers.decisive().code, 550);
    assert_eq!(said(&gateway, &["quarantine", "list", "--json"]).lines().count(), 1);
    assert_eq!(fs::metadata(state.join("mailward.db")).expect("a store").uid(), 65534);
    assert!(said(&gateway, &["reload"]).contains("reloaded"));
    assert!(daemon.stop().success());
}

#[test]
fn a_daemon_that_cannot_be_whom_it_shall_be_does_not_start() {
    if !is_root("a_daemon_that_cannot_be_whom_it_shall_be_does_not_start") {
        return;
    }
    let start = |user: &str| Setup::new().set("process.user", user).stopped();
    let error = refused(mailward(&start("\"no-such-user\""), &["serve"]), 2);
    assert!(
        error.contains("`[process] user`: no such user: `no-such-user`"),
        "{error}"
    );
    // Its directories are root's.
    let gateway = start("\"nobody\"");
    open_to_all(&gateway);
    let error = refused(mailward(&gateway, &["serve"]), 2);
    assert!(
        error.contains("the user `nobody` cannot write to ") && error.contains("hint: run `chown -R nobody "),
        "{error}"
    );
    // Not root, and not that user.
    let gateway = start("\"daemon\"");
    let binary = open_to_all(&gateway);
    let error = refused(mailward_as(65534, &binary, &gateway, &["serve"]), 2);
    assert!(error.contains("only root can become the user `daemon`"), "{error}");
}

#[test]
fn a_crash_writes_no_core_file_unless_that_is_wanted() {
    let limit = |daemon: &Daemon| {
        let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).expect("it runs");
        let line = limits.lines().find(|line| line.starts_with("Max core file size"));
        line.expect("the kernel tells")
            .split_whitespace()
            .nth(5)
            .expect("a hard limit")
            .to_owned()
    };
    let gateway = Setup::new().stopped();
    let daemon = Daemon::start(mailward(&gateway, &["serve"]));
    assert_eq!(limit(&daemon), "0");
    daemon.kill();
    let own = fs::read_to_string("/proc/self/limits").expect("Linux");
    if own
        .lines()
        .any(|line| line.starts_with("Max core file size") && line.contains("unlimited"))
    {
        let gateway = Setup::new().set("process.core_dumps", "true").stopped();
        assert_eq!(limit(&Daemon::start(mailward(&gateway, &["serve"]))), "unlimited");
    }
}

#[test]
fn root_without_a_user_is_warned() {
    if !is_root("root_without_a_user_is_warned") {
        return;
    }
    let gateway = Setup::new().start();
    gateway.await_log("running as root");
}

/// What a supervisor hears.
struct Ear(UnixDatagram);

impl Ear {
    fn bind(address: &SocketAddr) -> Ear {
        let socket = UnixDatagram::bind_addr(address).expect("a free name");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Ear(socket)
    }

    /// Listens until something is said, passing over the other things.
    fn hear(&self, wanted: &str) -> String {
        loop {
            let mut octets = [0; 4096];
            let read = self.0.recv(&mut octets).expect("it speaks in time");
            let text = String::from_utf8_lossy(&octets[..read]).into_owned();
            if text.lines().any(|line| line == wanted) {
                return text;
            }
        }
    }
}

#[test]
fn the_supervisor_is_told_of_start_reload_life_and_end() {
    let gateway = Setup::new().stopped();
    let path = gateway.dir().join("notify");
    let by_path = SocketAddr::from_pathname(&path).expect("a short path");
    let name = format!("mailward-test-{}", std::process::id());
    let abstract_name = SocketAddr::from_abstract_name(&name).expect("a short name");
    for (address, variable) in [
        (by_path, path.display().to_string()),
        (abstract_name, format!("@{name}")),
    ] {
        let ear = Ear::bind(&address);
        let mut command = mailward(&gateway, &["serve"]);
        command.env("NOTIFY_SOCKET", &variable).env("WATCHDOG_USEC", "100000");
        let daemon = Daemon::start(command);
        ear.hear("READY=1");
        ear.hear("WATCHDOG=1");
        ear.hear("WATCHDOG=1");
        daemon.signal(Signal::HUP);
        let reloading = ear.hear("RELOADING=1");
        assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
        ear.hear("READY=1");
        daemon.signal(Signal::TERM);
        ear.hear("STOPPING=1");
        assert!(daemon.stop().success());
    }
    // A watchdog that is meant for another process is none, and an ear that is deaf hurts nobody.
    let mut command = mailward(&gateway, &["serve"]);
    command
        .env("NOTIFY_SOCKET", "/nowhere/at/all")
        .env("WATCHDOG_USEC", "1")
        .env("WATCHDOG_PID", "1");
    assert!(Daemon::start(command).stop().success());
}

const ACTIVATE: &str = "systemd-socket-activate";

/// An address of loopback that is free now, and still so in a moment: the other tests are on 127.0.0.1.
fn free_address() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.77.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound socket has an address")
}

/// `serve`, started by what starts it at the first connection to `listen`.
fn activated(config: &Path, listen: std::net::SocketAddr) -> Command {
    let mut command = Command::new(outside::find_program(ACTIVATE).expect("it is installed"));
    command
        .arg("-l")
        .arg(listen.to_string())
        .arg(env!("CARGO_BIN_EXE_mailward"));
    command.args(["serve", "--config"]).arg(config).stdin(Stdio::null());
    command
}

#[test]
fn a_socket_that_systemd_passes_takes_the_place_of_the_configured_one() {
    const TEST: &str = "a_socket_that_systemd_passes_takes_the_place_of_the_configured_one";
    if !outside::servers(TEST, &[ACTIVATE]) {
        return;
    }
    let sink = Sink::start();
    let listen = free_address();
    let gateway = Setup::new()
        .srv(&["example.com/users/valid/*"])
        .set("smtp.listen", &format!("[\"{listen}\", \"127.0.0.1:0\"]"))
        .before_sink(&sink)
        .stopped();
    let mut command = activated(gateway.config(), listen);
    // The first connection starts it, and is served.
    let first = std::thread::spawn(move || {
        let started = std::time::Instant::now();
        loop {
            match Client::connect(listen) {
                Ok(mut client) => return client.reply().expect("a greeting").code,
                Err(_) if started.elapsed() < PATIENCE => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
    });
    command.env_remove("NOTIFY_SOCKET");
    let daemon = Daemon::start(command);
    assert_eq!(first.join().expect("it ends"), 220);
    assert_eq!(daemon.addr("smtp"), listen);
    let also = daemon.printed.iter().filter(|line| line.ends_with(" (smtp)")).count();
    assert_eq!(also, 2, "the other address is opened as ever: {:?}", daemon.printed);
    let mail = Mail::new("1@load.example", &["ann@example.com"]);
    let answers = Client::deliver(listen, &mail).expect("a session");
    assert_eq!(answers.decisive().code, 250);
    assert!(daemon.stop().success());

    // One that no listener is configured for.
    let listen = free_address();
    let gateway = Setup::new().stopped();
    let knock = std::thread::spawn(move || {
        let started = std::time::Instant::now();
        while Client::connect(listen).is_err() && started.elapsed() < PATIENCE {
            std::thread::yield_now();
        }
    });
    let error = output(activated(gateway.config(), listen));
    knock.join().expect("it ends");
    let error = String::from_utf8_lossy(&error.stderr).into_owned();
    assert!(
        error.contains(&format!(
            "systemd passed a socket that nothing is configured for: {listen}"
        )),
        "{error}"
    );
}
