//! Name servers of our own on loopback ports: an NSD that serves zones written by the test, signed or not, and an Unbound
//! that validates. Neither asks anything outside of the machine: for every name that no zone holds, the NSD says that
//! there is no such name.
//!
//! Keys are made and zones are signed when a test starts. All files lie in a temporary directory; no user of their own
//! and no root is needed.

use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::outside::{find_program, full_run, need, unpacked_program};
use super::{Dice, PATIENCE};

/// How often a server is begun anew: its port, free a moment ago, may have been taken meanwhile.
const STARTS_MAX: u32 = 5;

/// Tells the servers of one run apart.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// One zone, and what it holds.
pub struct Zone {
    name: String,
    records: String,
    seal: Seal,
}

/// Whether a zone is signed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seal {
    None,
    Whole,
    /// Every signature is wrong, so whoever validates calls the zone bogus.
    Broken,
}

impl Zone {
    /// An unsigned zone. `records` are lines of a master file below `$ORIGIN name`; SOA and NS are added.
    pub fn new(name: &str, records: &str) -> Self {
        Self {
            name: name.to_owned(),
            records: records.to_owned(),
            seal: Seal::None,
        }
    }

    /// Signed, with its key known to the validating server.
    pub fn signed(self) -> Self {
        Self {
            seal: Seal::Whole,
            ..self
        }
    }

    /// The same, with signatures that do not fit.
    pub fn broken(self) -> Self {
        Self {
            seal: Seal::Broken,
            ..self
        }
    }

    fn text(&self) -> String {
        format!(
            "$ORIGIN {}.\n$TTL 60\n\
             @ SOA ns.root.invalid. hostmaster.root.invalid. 1 3600 600 86400 60\n\
             @ NS ns.root.invalid.\n{}\n",
            self.name, self.records
        )
    }
}

/// The servers; dropping them ends them.
pub struct PrivateDns {
    dir: TempDir,
    authority: Server,
    validator: Server,
}

/// Can they be run?
pub fn is_there(test: &str) -> bool {
    let missing = ["nsd", "unbound", "ldns-keygen", "ldns-signzone"]
        .into_iter()
        .find(|name| program(name).is_none());
    full_run(test)
        && need(
            test,
            missing.is_none(),
            &format!("`{}` is not there", missing.unwrap_or_default()),
        )
}

impl PrivateDns {
    /// Signs, writes and serves the zones.
    pub fn start(zones: &[Zone]) -> Self {
        let dir = TempDir::with_prefix("mailward-dns-").expect("a temporary directory");
        fs::create_dir(dir.path().join("zones")).expect("a new directory");
        let anchors: String = zones.iter().map(|zone| write_zone(dir.path(), zone)).collect();
        write_zone(dir.path(), &root());
        let names: Vec<&str> = zones.iter().map(|zone| zone.name.as_str()).collect();
        let authority = Server::start("nsd", dir.path(), |addr| nsd_conf(dir.path(), addr, &names));
        let unread = names.iter().find(|name| !authority.has(name));
        assert!(
            unread.is_none(),
            "nsd could not read {unread:?}:\n{}",
            log(dir.path(), "nsd")
        );
        let validator = Server::start("unbound", dir.path(), |addr| {
            unbound_conf(dir.path(), addr, authority.addr, &names, &anchors)
        });
        Self {
            dir,
            authority,
            validator,
        }
    }

    /// The validating server.
    pub fn addr(&self) -> SocketAddr {
        self.validator.addr
    }

    /// The same as `[dns] servers` wants it.
    pub fn servers(&self) -> String {
        format!("[\"{}\"]", self.addr())
    }
}

impl Drop for PrivateDns {
    fn drop(&mut self) {
        self.validator.end();
        self.authority.end();
        if std::thread::panicking() {
            for name in ["nsd", "unbound"] {
                eprintln!("--- {name}'s log\n{}---", log(self.dir.path(), name));
            }
        }
    }
}

/// What is in no zone does not exist.
fn root() -> Zone {
    Zone::new("", "ns.root.invalid. A 127.0.0.1")
}

/// One server and where it listens, by UDP and TCP.
struct Server {
    child: Child,
    addr: SocketAddr,
}

impl Server {
    /// Writes the configuration that `written` makes for an address, starts, and waits for the first answer.
    fn start(name: &str, dir: &Path, written: impl Fn(SocketAddr) -> String) -> Self {
        let config = dir.join(format!("{name}.conf"));
        for _ in 0..STARTS_MAX {
            let addr = free_address();
            fs::write(&config, written(addr)).expect("our own directory");
            let child = Command::new(program(name).expect("it is installed"))
                .arg("-c")
                .arg(&config)
                .arg("-d")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("it can be run");
            let mut server = Self { child, addr };
            if server.await_answer() {
                return server;
            }
            server.end();
        }
        panic!("{name} does not start:\n{}", log(dir, name));
    }

    /// Asks until it answers; `false` if it has ended.
    fn await_answer(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.child.try_wait().expect("it is our child").is_some() {
                return false;
            }
            match self.has_soa("") {
                Ok(true) => return true,
                Ok(false) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(_) => {}
            }
        }
        false
    }

    /// Whether it serves a zone. It runs, so an answer is late at most.
    fn has(&self, zone: &str) -> bool {
        let tries = std::iter::repeat_with(|| self.has_soa(zone)).take(100);
        tries.flatten().next() == Some(true)
    }

    /// Whether the SOA of a zone is answered (RFC 1035 §4.1).
    fn has_soa(&self, zone: &str) -> std::io::Result<bool> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        socket.connect(self.addr)?;
        // An id, RD, one question.
        let mut query = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in zone.split('.').filter(|label| !label.is_empty()) {
            query.push(u8::try_from(label.len()).expect("a label is short"));
            query.extend(label.bytes());
        }
        // The root, SOA, IN.
        query.extend([0, 0, 6, 0, 1]);
        socket.send(&query)?;
        let mut answer = [0; 512];
        let size = socket.recv(&mut answer)?;
        // QR is set, and RCODE is NOERROR.
        Ok(size > 4 && answer[2] & 0x80 != 0 && answer[3] & 15 == 0)
    }

    fn end(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

fn log(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(format!("{name}.log"))).unwrap_or_default()
}

/// A program of Debian's, installed or unpacked.
fn program(name: &str) -> Option<PathBuf> {
    find_program(name).or_else(|| unpacked_program(name))
}

/// A port that is free now for UDP and TCP, and none of those that the system gives to others meanwhile, which begin at
/// 32,768.
fn free_address() -> SocketAddr {
    // Apart from those of the test's Postfix.
    let mut dice = Dice::new(u64::from(std::process::id()) << 33 | u64::from(NEXT.fetch_add(1, Ordering::Relaxed)));
    let candidates = std::iter::repeat_with(|| SocketAddr::from(([127, 0, 0, 1], 10_000 + dice.below(10_000) as u16)));
    let is_free = |addr: &SocketAddr| TcpListener::bind(addr).is_ok() && UdpSocket::bind(addr).is_ok();
    candidates.take(1000).find(is_free).expect("a free port below 20,000")
}

/// Writes the file that is served, signed if it shall be; what the validating server must know of it.
fn write_zone(dir: &Path, zone: &Zone) -> String {
    let served = zone_file(dir, &zone.name);
    fs::write(&served, zone.text()).expect("our own directory");
    if zone.seal == Seal::None {
        return String::new();
    }
    let key = run(dir, "ldns-keygen", &["-a", "ECDSAP256SHA256", "-k", &zone.name]);
    let plain = dir.join("unsigned");
    fs::rename(&served, &plain).expect("our own directory");
    let files = [&served, &plain].map(|path| path.to_str().expect("a plain path").to_owned());
    run(
        dir,
        "ldns-signzone",
        &["-o", &zone.name, "-f", &files[0], &files[1], &key],
    );
    if zone.seal == Seal::Broken {
        let text = fs::read_to_string(&served).expect("our own file");
        fs::write(&served, spoiled(&text)).expect("our own file");
    }
    let ds = fs::read_to_string(dir.join(format!("{key}.ds"))).expect("ldns-keygen writes it");
    let ds: Vec<&str> = ds.split_whitespace().collect();
    format!("  trust-anchor: \"{}\"\n", ds.join(" "))
}

/// The signatures of everything but the key itself, each with its first characters changed.
fn spoiled(zone: &str) -> String {
    let line = |line: &str| {
        let (head, signature) = line.rsplit_once(' ').unwrap_or((line, ""));
        let is_sealed = line.contains("\tRRSIG\t") && !line.contains("\tRRSIG\tDNSKEY");
        match (is_sealed, signature.split_at_checked(4)) {
            (true, Some((first, rest))) => {
                let other = if first == "AAAA" { "BBBB" } else { "AAAA" };
                format!("{head} {other}{rest}\n")
            }
            _ => format!("{line}\n"),
        }
    };
    zone.lines().map(line).collect()
}

fn zone_file(dir: &Path, name: &str) -> PathBuf {
    dir.join("zones").join(format!("{name}.zone"))
}

/// Runs one of the tools in `dir`; what it prints.
fn run(dir: &Path, name: &str, args: &[&str]) -> String {
    let mut command = Command::new(program(name).expect("it is installed"));
    let output = command.args(args).current_dir(dir).output().expect("it can be run");
    assert!(output.status.success(), "{name} {args:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

fn nsd_conf(dir: &Path, addr: SocketAddr, names: &[&str]) -> String {
    let (path, ip, port) = (dir.display(), addr.ip(), addr.port());
    let zone = |name: &&str| {
        let file = zone_file(dir, name);
        let name = if name.is_empty() { "." } else { name };
        format!("zone:\n  name: \"{name}\"\n  zonefile: \"{}\"\n", file.display())
    };
    let zones: String = names.iter().chain(&[""]).map(zone).collect();
    format!(
        "server:\n\
         \x20 ip-address: {ip}@{port}\n\
         \x20 username: \"\"\n\
         \x20 zonesdir: \"{path}/zones\"\n\
         \x20 database: \"\"\n\
         \x20 pidfile: \"{path}/nsd.pid\"\n\
         \x20 xfrdfile: \"{path}/xfrd.state\"\n\
         \x20 xfrdir: \"{path}\"\n\
         \x20 zonelistfile: \"{path}/zone.list\"\n\
         \x20 logfile: \"{path}/nsd.log\"\n\
         \x20 server-count: 1\n\
         \x20 rrl-ratelimit: 0\n\
         remote-control:\n\
         \x20 control-enable: no\n\
         {zones}"
    )
}

fn unbound_conf(dir: &Path, addr: SocketAddr, authority: SocketAddr, names: &[&str], anchors: &str) -> String {
    let (path, ip, port) = (dir.display(), addr.ip(), addr.port());
    let to = format!("{}@{}", authority.ip(), authority.port());
    let stub = |name: &&str| format!("stub-zone:\n  name: \"{name}.\"\n  stub-addr: {to}\n  stub-prime: no\n");
    let stubs: String = names.iter().chain(&[""]).map(stub).collect();
    format!(
        "server:\n\
         \x20 interface: {ip}\n\
         \x20 port: {port}\n\
         \x20 outgoing-interface: {ip}\n\
         \x20 do-ip6: no\n\
         \x20 do-not-query-localhost: no\n\
         \x20 username: \"\"\n\
         \x20 chroot: \"\"\n\
         \x20 directory: \"{path}\"\n\
         \x20 pidfile: \"{path}/unbound.pid\"\n\
         \x20 use-syslog: no\n\
         \x20 logfile: \"{path}/unbound.log\"\n\
         \x20 do-daemonize: no\n\
         \x20 num-threads: 1\n\
         \x20 module-config: \"validator iterator\"\n\
         \x20 unblock-lan-zones: yes\n\
         \x20 insecure-lan-zones: yes\n\
         \x20 local-zone: \"test.\" nodefault\n\
         \x20 local-zone: \"invalid.\" nodefault\n\
         \x20 local-zone: \"127.in-addr.arpa.\" nodefault\n\
         {anchors}\
         remote-control:\n\
         \x20 control-enable: no\n\
         {stubs}"
    )
}
