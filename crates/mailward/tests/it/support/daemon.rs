//! The binary with any arguments and environment, as whichever user: for what [`super::gateway`] does not vary.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};

use rustix::process::{Pid, Signal, kill_process};

use super::PATIENCE;
use super::gateway::Gateway;

/// The line that `serve` prints last.
const LAST_LINE: &str = "records ";

/// A daemon that has said where it listens. Dropping it kills it; its log is printed if the test failed.
pub struct Daemon {
    child: Child,
    /// What it said of itself.
    pub printed: Vec<String>,
    log: Receiver<String>,
    logged: std::cell::RefCell<String>,
}

/// `mailward ARGS --config ...` on the directories of a gateway.
pub fn mailward(gateway: &Gateway, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailward"));
    command
        .args(args)
        .arg("--config")
        .arg(gateway.config())
        .stdin(Stdio::null());
    command
}

/// What a command says in the end.
pub fn output(mut command: Command) -> Output {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    start(command).wait_with_output().expect("it ends")
}

/// Starts a command.
pub fn start(mut command: Command) -> Child {
    let started = std::time::Instant::now();
    loop {
        match command.spawn() {
            // A process that another test is just starting holds the copy of `open_to_all` open for writing, until it
            // becomes what it shall be.
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy && started.elapsed() < PATIENCE => {
                std::thread::yield_now();
            }
            done => return done.expect("the binary can be run"),
        }
    }
}

/// Standard output of a command that succeeds.
pub fn said(gateway: &Gateway, args: &[&str]) -> String {
    let output = output(mailward(gateway, args));
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// Standard error of a command that ends with `exit`.
pub fn refused(command: Command, exit: i32) -> String {
    let output = output(command);
    assert_eq!(output.status.code(), Some(exit), "{output:?}");
    String::from_utf8(output.stderr).expect("text")
}

/// A copy of the binary, and directories, that other users can reach.
pub fn open_to_all(gateway: &Gateway) -> PathBuf {
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our own file");
    mode(gateway.dir(), 0o711);
    mode(gateway.config(), 0o644);
    let copy = gateway.dir().join("mailward");
    fs::copy(env!("CARGO_BIN_EXE_mailward"), &copy).expect("a copy");
    mode(&copy, 0o755);
    copy
}

/// As [`mailward`], by another user; [`open_to_all`] made `binary`.
pub fn mailward_as(uid: u32, binary: &Path, gateway: &Gateway, args: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command
        .args(args)
        .arg("--config")
        .arg(gateway.config())
        .stdin(Stdio::null());
    command.uid(uid).gid(uid).current_dir("/");
    command
}

impl Daemon {
    /// Starts, and waits until it has said where it listens.
    pub fn start(mut command: Command) -> Daemon {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary can be run");
        let lines = lines_of(child.stdout.take().expect("a pipe"));
        let log = lines_of(child.stderr.take().expect("a pipe"));
        let mut daemon = Daemon {
            child,
            printed: Vec::new(),
            log,
            logged: String::new().into(),
        };
        while !daemon.printed.last().is_some_and(|line| line.starts_with(LAST_LINE)) {
            match lines.recv_timeout(PATIENCE) {
                Ok(line) => daemon.printed.push(line),
                Err(error) => panic!("it did not start ({error}):\n{}", daemon.log()),
            }
        }
        daemon
    }

    /// Where it listens for `part`.
    pub fn addr(&self, part: &str) -> SocketAddr {
        let end = format!(" ({part})");
        let address = |line: &String| Some(line.strip_prefix("listening on ")?.strip_suffix(&end)?.parse().unwrap());
        let found = self.printed.iter().find_map(address);
        found.unwrap_or_else(|| panic!("it does not listen for {part}: {:?}", self.printed))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is our child");
    }

    /// SIGTERM, and waits until it has ended.
    pub fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.child.wait().expect("it is our child")
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        let mut logged = self.logged.borrow_mut();
        for line in self.log.try_iter() {
            *logged = format!("{logged}{line}\n");
        }
        logged.clone()
    }

    /// A value of `/proc/PID/status`.
    pub fn proc_status(&self, key: &str) -> Vec<String> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        let words = line.expect("the kernel tells").split_whitespace();
        words.map(str::to_owned).collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the daemon's log\n{}---", self.log());
        }
    }
}

/// Reads to the end even when nobody listens any more: a full pipe would stop the process.
fn lines_of(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        let from = BufReader::new(from).lines().map_while(Result::ok);
        from.for_each(|line| drop(sender.send(line)));
    });
    lines
}
