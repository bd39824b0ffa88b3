//! The real binary, in directories of its own.
//!
//! [`Setup`] lays out the tree and the configuration, [`Gateway`] runs on it: it can be stopped, killed, and started
//! again on the same directories. It listens on a port that the system picks, and may pick another one after a restart.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::PATIENCE;
use super::sink::Sink;

/// The key that bounds every wait for the next hop, in seconds: tests with a next hop that hangs set it low.
pub const NEXT_HOP_TIMEOUT: &str = "limits.next_hop_reply_s";

/// Values in TOML's own notation, by section and key.
type Settings = BTreeMap<String, BTreeMap<String, String>>;

/// A gateway's directories and configuration, before it runs.
pub struct Setup {
    dir: TempDir,
    settings: Settings,
}

impl Setup {
    /// Empty directories and a configuration in which the machine's load does not matter, and which asks no DNS: what
    /// the machine's own servers say, and how long they take, is for no test.
    pub fn new() -> Self {
        let dir = TempDir::with_prefix("mailward-").expect("a temporary directory");
        let mut setup = Self {
            dir,
            settings: BTreeMap::new(),
        };
        for (key, sub) in [
            ("domains", "domains"),
            ("spam", "spam"),
            ("state", "state"),
            ("blacklist_d", "bl.d"),
        ] {
            let path = setup.dir.path().join(sub);
            fs::create_dir(&path).expect("a new directory");
            setup = setup.set(&format!("paths.{key}"), &quoted(&path.to_string_lossy()));
        }
        setup
            .set("smtp.listen", r#"["127.0.0.1:0"]"#)
            .set("smtp.hostname", r#""mx.example.com""#)
            .set("limits.load", "1000")
            .set("dns.enabled", "false")
    }

    /// Creates empty files below the domain root, with their directories.
    pub fn srv(self, paths: &[&str]) -> Self {
        paths.iter().fold(self, |setup, path| setup.file(path, ""))
    }

    /// Creates a file below the domain root. `/etc/blacklist.d/X` goes where the configuration has that directory.
    pub fn file(self, path: &str, content: &str) -> Self {
        let file = match path.strip_prefix("/etc/blacklist.d/") {
            Some(name) => self.dir.path().join("bl.d").join(name),
            None => self.dir.path().join("domains").join(path),
        };
        fs::create_dir_all(file.parent().expect("a file has a directory")).expect("directories");
        fs::write(file, content).expect("a new file");
        self
    }

    /// Sets `section.key` to a value in TOML's own notation.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        put(&mut self.settings, name, value);
        self
    }

    /// The directory that holds all the others.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn before_sink(self, sink: &Sink) -> Self {
        self.before(&sink.target())
    }

    /// Delivers into Maildirs `mail/DOMAIN/LOCAL` ([`Gateway::maildir`]).
    pub fn before_maildirs(self) -> Self {
        let target = format!("maildir:{}/mail/{{domain}}/{{local}}", self.dir.path().display());
        self.set("deliver.to", &quoted(&target))
    }

    /// Delivers and relays to `smtp:HOST:PORT`.
    pub fn before(self, target: &str) -> Self {
        self.set("deliver.to", &quoted(target)).set("relay.to", &quoted(target))
    }

    /// Writes the configuration and starts; panics with the log if the gateway does not listen.
    pub fn start(self) -> Gateway {
        let mut gateway = self.stopped();
        gateway.start_again();
        gateway
    }

    /// Writes the configuration and starts nothing.
    pub fn stopped(self) -> Gateway {
        let config = self.dir.path().join("mailward.toml");
        fs::write(&config, written(&self.settings)).expect("a configuration file");
        Gateway {
            dir: self.dir,
            config,
            settings: self.settings,
            process: None,
        }
    }
}

fn put(settings: &mut Settings, name: &str, value: &str) {
    let (section, key) = name.split_once('.').expect("a setting is section.key");
    settings
        .entry(section.into())
        .or_default()
        .insert(key.into(), value.into());
}

fn written(settings: &Settings) -> String {
    let mut text = String::new();
    for (section, keys) in settings {
        text.push_str(&format!("[{section}]\n"));
        for (key, value) in keys {
            text.push_str(&format!("{key} = {value}\n"));
        }
    }
    text
}

/// A gateway that runs, or did. Dropping it kills it; its log is printed if the test failed.
pub struct Gateway {
    dir: TempDir,
    config: PathBuf,
    settings: Settings,
    process: Option<Process>,
}

impl Gateway {
    pub fn addr(&self) -> SocketAddr {
        self.process.as_ref().expect("the gateway runs").addr
    }

    /// The address of the first listener of a kind, as in `listening on ADDRESS (KIND)`: `smtp, TLS`.
    pub fn addr_of(&self, kind: &str) -> SocketAddr {
        let process = self.process.as_ref().expect("the gateway runs");
        let found = process.listeners.iter().find(|(_, other)| other == kind);
        found
            .unwrap_or_else(|| panic!("no {kind:?} among {:?}", process.listeners))
            .0
    }

    /// As [`Self::addr_of`], all of them.
    pub fn addresses_of(&self, kind: &str) -> Vec<SocketAddr> {
        let process = self.process.as_ref().expect("the gateway runs");
        let found = process.listeners.iter().filter(|(_, other)| other == kind);
        found.map(|(addr, _)| *addr).collect()
    }

    /// As [`Self::await_log`], for what the log says only when something is done again and again.
    pub fn await_log_while(&self, text: &str, again: impl Fn()) {
        let deadline = std::time::Instant::now() + PATIENCE;
        while !self.log().contains(text) {
            assert!(std::time::Instant::now() < deadline, "not in the log: {text}");
            again();
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The most memory that the gateway ever had since it started.
    pub fn peak_kb(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// Waits until it has this many sockets open, or more: a connection that it has accepted is one. Other files come and
    /// go by themselves.
    pub fn await_sockets(&self, count: usize) {
        let deadline = std::time::Instant::now() + PATIENCE;
        while self.sockets() < count {
            assert!(std::time::Instant::now() < deadline, "{} sockets open", self.sockets());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// How many sockets it has open.
    pub fn sockets(&self) -> usize {
        let fds = fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("the gateway runs");
        let is_socket = |path: PathBuf| fs::read_link(path).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"));
        fds.filter(|fd| is_socket(fd.as_ref().expect("a file").path())).count()
    }

    /// How many files it has open.
    pub fn open_files(&self) -> usize {
        let fds = fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("the gateway runs");
        fds.count()
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("the gateway runs").child.id()
    }

    /// SIGTERM, and waits until it has drained and ended.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    pub fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().expect("the gateway runs");
        kill_process(Pid::from_child(&process.child), signal).expect("the signal reaches the gateway");
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self) -> ExitStatus {
        self.process.take().expect("the gateway runs").wait()
    }

    /// Changes a setting in the configuration file; [`Self::reload`] or a restart brings it about.
    pub fn set(&mut self, name: &str, value: &str) {
        put(&mut self.settings, name, value);
        self.write_config(&written(&self.settings));
    }

    /// Replaces the whole configuration file.
    pub fn write_config(&self, text: &str) {
        fs::write(&self.config, text).expect("a configuration file");
    }

    /// SIGHUP, and waits until the log says once more what came of it.
    pub fn reload(&self) -> Reloaded {
        let count = |log: &str, text: &str| log.matches(text).count();
        let before = self.log();
        self.signal(Signal::HUP);
        let came = |log: &str| {
            let more = |text| count(log, text) > count(&before, text);
            if more("configuration reloaded") {
                return Some(Reloaded::Yes);
            }
            more("the configuration is not reloaded").then_some(Reloaded::No)
        };
        self.process.as_ref().expect("the gateway runs").log.wait(came)
    }

    /// Waits until the log holds `text`.
    pub fn await_log(&self, text: &str) {
        let process = self.process.as_ref().expect("the gateway runs");
        process.log.wait(|log| log.contains(text).then_some(()))
    }

    /// Waits until the log holds `text` so many times.
    pub fn await_log_times(&self, text: &str, times: usize) {
        let process = self.process.as_ref().expect("the gateway runs");
        process
            .log
            .wait(|log| (log.matches(text).count() >= times).then_some(()));
    }

    /// Resident memory now.
    pub fn rss_kb(&self) -> u64 {
        self.memory("VmRSS:")
    }

    fn memory(&self, what: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the gateway runs");
        let line = status.lines().find_map(|line| line.strip_prefix(what));
        let number = line.and_then(|rest| rest.trim().split(' ').next()?.parse().ok());
        number.expect("Linux tells memory in kB")
    }

    /// Did the process end by itself?
    pub fn has_ended(&mut self) -> bool {
        let process = self.process.as_mut().expect("the gateway runs");
        process.child.try_wait().expect("it is our child").is_some()
    }

    /// SIGKILL: no goodbye, no flush.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("the gateway runs");
        process.child.kill().expect("SIGKILL reaches the gateway");
        process.wait();
    }

    /// Starts again on the same directories, after [`Self::stop`] or [`Self::kill`].
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "the gateway runs already");
        self.process = Some(Process::spawn(&mut serve(&self.config)));
    }

    /// As [`Self::start_again`], with a standard error of the caller's, which is not kept as the log.
    pub fn start_logging_to(&mut self, stderr: Stdio) {
        assert!(self.process.is_none(), "the gateway runs already");
        let mut process = Process::launch_with(&mut serve(&self.config), Stdio::piped(), stderr);
        process.await_listening();
        self.process = Some(process);
    }

    /// As [`Self::start_again`], with a standard output of the caller's; so it is not known when it listens at `addr`.
    pub fn start_saying_to(&mut self, stdout: Stdio, addr: SocketAddr) {
        assert!(self.process.is_none(), "the gateway runs already");
        let mut process = Process::launch_with(&mut serve(&self.config), stdout, Stdio::piped());
        process.addr = addr;
        self.process = Some(process);
    }

    /// Starts, and kills it after `wait`, wherever its start has got to.
    pub fn start_and_kill(&mut self, wait: Duration) {
        assert!(self.process.is_none(), "the gateway runs already");
        let mut process = Process::launch(&mut serve(&self.config));
        std::thread::sleep(wait);
        process.child.kill().expect("SIGKILL reaches the gateway");
        process.wait();
    }

    /// What the process wrote to standard error since it started.
    pub fn log(&self) -> String {
        self.process.as_ref().expect("the gateway runs").log.text()
    }

    /// Runs another `mailward` command with this gateway's configuration, to its end.
    pub fn command(&self, args: &[&str]) -> Output {
        self.command_with(args, b"")
    }

    /// As [`Self::command`], with something on standard input.
    pub fn command_with(&self, args: &[&str], input: &[u8]) -> Output {
        let mut command = Command::new(binary());
        command.args(args).arg("--config").arg(&self.config);
        run(&mut command, input)
    }

    /// As [`Self::command`], with a standard output of the caller's.
    pub fn command_saying_to(&self, stdout: Stdio, args: &[&str]) -> ExitStatus {
        let mut command = Command::new(binary());
        command.args(args).arg("--config").arg(&self.config).stdout(stdout);
        command.status().expect("the binary can be run")
    }

    /// The configuration file.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The directory that holds all the others.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn domains(&self) -> PathBuf {
        self.dir.path().join("domains")
    }

    pub fn spam(&self) -> PathBuf {
        self.dir.path().join("spam")
    }

    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// The Maildir of a mailbox, with [`Setup::before_maildirs`].
    pub fn maildir(&self, domain: &str, local: &str) -> PathBuf {
        self.dir.path().join("mail").join(domain).join(local)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let Some(process) = &mut self.process else {
            return;
        };
        // It may have ended by itself.
        let _ = process.child.kill();
        let _ = process.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the gateway's log\n{}---", process.log.text());
        }
    }
}

/// What came of a reload.
#[derive(Debug, PartialEq, Eq)]
pub enum Reloaded {
    Yes,
    /// The configuration has a fault; what held goes on holding.
    No,
}

/// `mailward serve` in `dir` and without a configuration. It listens on port 2525 of loopback, which another run of
/// these tests on this machine may hold for a moment; so it is tried until that is free.
pub struct FirstRun {
    process: Process,
    pub printed: String,
}

impl FirstRun {
    /// Starts, and reads what is printed up to the line that holds `last`.
    pub fn start(dir: &Path, last: &str) -> Self {
        let started = std::time::Instant::now();
        loop {
            let mut process = Process::launch(Command::new(binary()).arg("serve").current_dir(dir));
            let mut printed = String::new();
            while !printed.lines().any(|line| line.contains(last)) {
                match process.lines.recv_timeout(PATIENCE) {
                    Ok(line) => printed = printed + &line + "\n",
                    Err(_) => break,
                }
            }
            if printed.contains(last) {
                return Self { process, printed };
            }
            let _ = process.child.kill();
            process.wait();
            let log = process.log.text();
            let taken = log.contains("cannot listen on") && started.elapsed() < PATIENCE;
            assert!(
                taken,
                "the first run failed; it printed:\n{printed}\nand logged:\n{log}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub fn stop(&mut self, signal: Signal) -> ExitStatus {
        kill_process(Pid::from_child(&self.process.child), signal).expect("the signal reaches it");
        self.process.wait()
    }
}

impl Drop for FirstRun {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.child.kill();
        let _ = self.process.child.wait();
    }
}

/// Runs any `mailward` command in `dir`, without a configuration.
pub fn mailward(dir: &Path, args: &[&str], input: &[u8]) -> Output {
    run(Command::new(binary()).args(args).current_dir(dir), input)
}

fn run(command: &mut Command, input: &[u8]) -> Output {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary can be run");
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // A command that reads nothing may have ended.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().expect("it ends")
    })
}

fn serve(config: &Path) -> Command {
    let mut command = Command::new(binary());
    command.args(["serve", "--config"]).arg(config);
    command
}

/// What a process wrote to standard error so far.
#[derive(Default)]
struct Log {
    text: Mutex<String>,
    grown: Condvar,
}

impl Log {
    fn text(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    fn push(&self, line: &str) {
        let mut text = self.text.lock().unwrap();
        text.push_str(line);
        text.push('\n');
        self.grown.notify_all();
    }

    /// Waits until `wanted` finds something.
    fn wait<T>(&self, wanted: impl Fn(&str) -> Option<T>) -> T {
        let mut text = self.text.lock().unwrap();
        loop {
            if let Some(found) = wanted(&text) {
                return found;
            }
            let timeout;
            (text, timeout) = self.grown.wait_timeout(text, PATIENCE).unwrap();
            if timeout.timed_out() {
                // The log is printed by whoever drops the gateway, and must not be locked then.
                drop(text);
                panic!("what was waited for is not in the log");
            }
        }
    }
}

struct Process {
    child: Child,
    /// The first plain one.
    addr: SocketAddr,
    /// Every listener with its kind.
    listeners: Vec<(SocketAddr, String)>,
    /// Lines of standard output. It ends when the process does.
    lines: Receiver<String>,
    log: Arc<Log>,
    log_reader: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts the gateway and waits until it listens.
    fn spawn(command: &mut Command) -> Self {
        let mut process = Self::launch(command);
        process.await_listening();
        process
    }

    fn launch(command: &mut Command) -> Self {
        Self::launch_with(command, Stdio::piped(), Stdio::piped())
    }

    fn launch_with(command: &mut Command, stdout: Stdio, stderr: Stdio) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .expect("the binary can be run");
        let (sender, lines) = channel();
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                // Reads to the end even when nobody listens any more: a full pipe would stop the gateway.
                BufReader::new(stdout)
                    .lines()
                    .map_while(Result::ok)
                    .for_each(|line| drop(sender.send(line)));
            });
        }
        let log = Arc::new(Log::default());
        let log_reader = child.stderr.take().map(|stderr| {
            let log = Arc::clone(&log);
            std::thread::spawn(move || keep(stderr, &log))
        });
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            child,
            addr: nowhere,
            listeners: Vec::new(),
            lines,
            log,
            log_reader,
        }
    }

    /// Waits for every `listening on ADDRESS (KIND)`; `domains` stands behind the last one.
    fn await_listening(&mut self) {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.starts_with("domains ") => break,
                Ok(line) => {
                    let listener = line
                        .strip_prefix("listening on ")
                        .and_then(|rest| rest.split_once(" ("));
                    if let Some((address, kind)) = listener
                        && let Ok(address) = address.parse()
                    {
                        self.listeners.push((address, kind.trim_end_matches(')').to_owned()));
                    }
                }
                Err(error) => {
                    let _ = self.child.kill();
                    let status = self.wait();
                    let log = self.log.text();
                    panic!("no listening line ({error}); the gateway ended with {status}:\n{log}");
                }
            }
        }
        let plain = self.listeners.iter().find(|(_, kind)| kind == "smtp");
        self.addr = plain.map_or(self.addr, |(address, _)| *address);
    }

    /// Waits until the process has ended, by the end of its output.
    fn wait(&mut self) -> ExitStatus {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    let _ = self.child.kill();
                    panic!("the gateway has not ended:\n{}", self.log.text());
                }
            }
        }
        if let Some(reader) = self.log_reader.take() {
            reader.join().expect("the log's reader does not panic");
        }
        self.child.wait().expect("the gateway is our child")
    }
}

/// The binary under test: the one just built, or an installed one at `MAILWARD_BIN`.
fn binary() -> PathBuf {
    let built = || PathBuf::from(env!("CARGO_BIN_EXE_mailward"));
    std::env::var_os("MAILWARD_BIN").map_or_else(built, PathBuf::from)
}

fn keep(stderr: impl Read, log: &Log) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        log.push(&line);
    }
}

/// A TOML basic string.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
