//! A Dovecot of our own that speaks LMTP, on a loopback port and on a Unix socket: configuration, log and Maildirs in a
//! temporary directory. It knows nothing of the machine's own Dovecot.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::client::Client;
use super::outside::find_program;
use super::{PATIENCE, boxes};

/// The programs that [`PrivateDovecot`] runs.
pub const PROGRAMS: [&str; 1] = ["dovecot"];

/// `nobody` on Debian: the owner of the Maildirs.
const MAIL_OWNER: u32 = 65534;

pub struct PrivateDovecot {
    dir: TempDir,
    addr: SocketAddr,
    master: Child,
}

impl PrivateDovecot {
    /// Starts with a mailbox for each local part of `locals`, and one without any room for each of `full`; every other
    /// is unknown. `settings` are more lines for its configuration.
    pub fn start(locals: &[&str], full: &[&str], settings: &str) -> Self {
        let dir = TempDir::with_prefix("mailward-dovecot-").expect("a temporary directory");
        // Its processes run as several users and must be able to enter.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("our own directory");
        fs::create_dir(dir.path().join("mail")).expect("a new directory");
        chown(dir.path().join("mail"), Some(MAIL_OWNER), Some(MAIL_OWNER)).expect("root may chown");
        let home = dir.path().join("mail");
        let user = |local: &&str, extra: &str| {
            format!(
                "{local}::{MAIL_OWNER}:{MAIL_OWNER}::{}/{local}::{extra}\n",
                home.display()
            )
        };
        let users = locals.iter().map(|local| user(local, ""));
        let users: String = users
            .chain(full.iter().map(|local| user(local, "userdb_quota_rule=*:bytes=10")))
            .collect();
        fs::write(dir.path().join("users"), users).expect("the list of users");
        // It takes no port 0. The port was free a moment ago.
        let addr = TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .expect("a free port");
        let config = dir.path().join("dovecot.conf");
        fs::write(&config, configuration(dir.path(), addr, settings)).expect("a configuration");
        let master = Command::new(find_program("dovecot").expect("dovecot is installed"))
            .arg("-F")
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("dovecot can be run");
        let mut dovecot = Self { dir, addr, master };
        dovecot.await_listening();
        dovecot
    }

    fn await_listening(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while Client::connect(self.addr).is_err() {
            let ended = self.master.try_wait().expect("dovecot is our child");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "dovecot does not listen ({ended:?}):\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// As a next hop in the configuration, over TCP.
    pub fn target(&self) -> String {
        format!("lmtp:{}", self.addr)
    }

    /// As a next hop in the configuration, by its Unix socket.
    pub fn socket_target(&self) -> String {
        format!("lmtp:{}", self.dir.path().join("lmtp").display())
    }

    /// The messages in a mailbox. By LMTP they are there once they are acknowledged.
    pub fn mail(&self, local: &str) -> Vec<Vec<u8>> {
        boxes::maildir(&self.dir.path().join("mail").join(local).join("Maildir"))
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("dovecot.log")
    }
}

impl Drop for PrivateDovecot {
    fn drop(&mut self) {
        // The master ends its own processes.
        let _ = kill_process(Pid::from_child(&self.master), Signal::TERM);
        let _ = self.master.wait();
        if std::thread::panicking() {
            eprintln!("--- dovecot's log\n{}---", self.log());
        }
    }
}

fn configuration(dir: &Path, addr: SocketAddr, settings: &str) -> String {
    let (dir, ip, port) = (dir.display(), addr.ip(), addr.port());
    format!(
        "base_dir = {dir}/run\n\
         state_dir = {dir}/state\n\
         log_path = {dir}/dovecot.log\n\
         protocols = lmtp\n\
         listen = {ip}\n\
         hostname = nexthop.example.net\n\
         postmaster_address = postmaster@example.net\n\
         ssl = no\n\
         first_valid_uid = 1\n\
         auth_username_format = %Ln\n\
         mail_home = {dir}/mail/%Ln\n\
         mail_location = maildir:~/Maildir\n\
         mail_plugins = quota\n\
         plugin {{\n  quota = maildir:User quota\n  quota_grace = 0\n}}\n\
         passdb {{\n  driver = passwd-file\n  args = {dir}/users\n}}\n\
         userdb {{\n  driver = passwd-file\n  args = {dir}/users\n}}\n\
         service lmtp {{\n\
         inet_listener lmtp {{\n  address = {ip}\n  port = {port}\n}}\n\
         unix_listener {dir}/lmtp {{\n  mode = 0666\n}}\n}}\n\
         {settings}\n"
    )
}
