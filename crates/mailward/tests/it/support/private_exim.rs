//! An Exim of our own: configuration, spool, log and Maildirs in a temporary directory; a daemon on a loopback port, and
//! the program that takes batches from its standard input.
//!
//! Debian's Exim cannot be installed beside Postfix, so its files are unpacked under `target/debian/` (`./test` does).
//! It runs as root with a configuration of its own (`-C`), which Exim trusts from root; and its user `Debian-exim` must
//! exist, since that name is compiled in.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::client::Client;
use super::outside::{self, user};
use super::{PATIENCE, boxes};

/// The user that is compiled into Debian's Exim.
const USER: &str = "Debian-exim";

pub struct PrivateExim {
    dir: TempDir,
    program: PathBuf,
    addr: SocketAddr,
    daemon: Child,
}

/// Can Exim be run, as root?
pub fn is_there(test: &str) -> bool {
    outside::servers(test, &[])
        && outside::unpacked(test, PROGRAM).is_some()
        && outside::need(test, user(USER).is_some(), "there is no user `Debian-exim`")
}

const PROGRAM: &str = "usr/sbin/exim4";

impl PrivateExim {
    /// Starts with a mailbox in `example.com` for each local part; every other is unknown there.
    pub fn start(test: &str, locals: &[&str]) -> Self {
        let program = outside::unpacked(test, PROGRAM).expect("exim is unpacked");
        let dir = TempDir::with_prefix("mailward-exim-").expect("a temporary directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("our own directory");
        let uid = user(USER).expect("exim has its user");
        for sub in ["spool", "log", "mail"] {
            fs::create_dir(dir.path().join(sub)).expect("a new directory");
            chown(dir.path().join(sub), Some(uid), None).expect("root may chown");
        }
        // It takes no port 0. The port was free a moment ago.
        let addr = TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .expect("a free port");
        let config = dir.path().join("exim.conf");
        fs::write(&config, configuration(dir.path(), &program, addr, locals)).expect("a configuration");
        let daemon = Command::new(&program)
            .arg("-C")
            .arg(&config)
            .arg("-bdf")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("exim can be run");
        let mut exim = Self {
            dir,
            program,
            addr,
            daemon,
        };
        exim.await_listening();
        exim
    }

    fn await_listening(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while Client::connect(self.addr).is_err() {
            let ended = self.daemon.try_wait().expect("exim is our child");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "exim does not listen ({ended:?}):\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// As a next hop in the configuration, by SMTP.
    pub fn target(&self) -> String {
        format!("smtp:{}", self.addr)
    }

    /// As a next hop in the configuration, by a program as the original runs it (`rsmtp -bS`).
    pub fn batch_target(&self) -> String {
        let config = self.dir.path().join("exim.conf");
        format!("bsmtp:{} -C {} -bS", self.program.display(), config.display())
    }

    /// The messages in a mailbox, once there are `count` of them: Exim delivers after its 250.
    pub fn await_mail(&self, local: &str, count: usize) -> Vec<Vec<u8>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mail = boxes::maildir(&self.dir.path().join("mail").join(local));
            if mail.len() >= count {
                return mail;
            }
            let found = mail.len();
            assert!(
                Instant::now() < deadline,
                "{found} of {count} messages for {local}:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn log(&self) -> String {
        ["mainlog", "paniclog"]
            .map(|name| fs::read_to_string(self.dir.path().join("log").join(name)).unwrap_or_default())
            .concat()
    }
}

impl Drop for PrivateExim {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.daemon), Signal::TERM);
        let _ = self.daemon.wait();
        if std::thread::panicking() {
            eprintln!("--- exim's log\n{}---", self.log());
        }
    }
}

fn configuration(dir: &Path, program: &Path, addr: SocketAddr, locals: &[&str]) -> String {
    let (dir, program, ip, port, locals) = (
        dir.display(),
        program.display(),
        addr.ip(),
        addr.port(),
        locals.join(" : "),
    );
    format!(
        "exim_path = {program}\n\
         primary_hostname = nexthop.example.net\n\
         spool_directory = {dir}/spool\n\
         log_file_path = {dir}/log/%slog\n\
         pid_file_path = {dir}/exim.pid\n\
         local_interfaces = {ip}\n\
         daemon_smtp_ports = {port}\n\
         tls_advertise_hosts =\n\
         host_lookup =\n\
         rfc1413_hosts =\n\
         keep_environment =\n\
         deliver_drop_privilege = true\n\
         acl_smtp_rcpt = recipients\n\
         begin acl\n\
         recipients:\n\
         \x20 require domains = example.com\n\
         \x20 require verify = recipient\n\
         \x20 accept\n\
         begin routers\n\
         known:\n\
         \x20 driver = accept\n\
         \x20 domains = example.com\n\
         \x20 local_parts = {locals}\n\
         \x20 transport = maildirs\n\
         begin transports\n\
         maildirs:\n\
         \x20 driver = appendfile\n\
         \x20 maildir_format\n\
         \x20 directory = {dir}/mail/$local_part_data\n\
         \x20 return_path_add\n\
         \x20 envelope_to_add\n\
         \x20 user = {USER}\n"
    )
}
