//! A Postfix of our own: configuration, queue, log and Maildirs in a temporary directory, one loopback port. It knows
//! nothing of the machine's own Postfix, whose `main.cf` need not even exist.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::outside::{find_program, user};
use super::{Dice, PATIENCE, boxes};

/// The programs that [`PrivatePostfix`] and the tests around it run.
pub const PROGRAMS: [&str; 3] = ["postfix", "swaks", "smtp-source"];

/// `nobody` on Debian: the owner of the Maildirs. Postfix's `virtual` delivers as no user below 100.
const MAIL_OWNER: u32 = 65534;

/// Tells the servers of one run apart.
static NEXT: AtomicU32 = AtomicU32::new(0);

pub struct PrivatePostfix {
    dir: TempDir,
    addr: SocketAddr,
    running: bool,
}

impl PrivatePostfix {
    /// Starts with a mailbox in `example.com` for each local part; every other is unknown there. `settings` are more
    /// lines for `main.cf`; of one that stands there twice, Postfix takes the last.
    pub fn start(locals: &[&str], settings: &str) -> Self {
        Self::listening_as(locals, settings, |addr| format!("{addr} inet n - n - - smtpd"))
    }

    /// As [`Self::start`], with the lines of `master.cf` that make the listener at the address.
    pub fn listening_as(locals: &[&str], settings: &str, listener: impl FnOnce(SocketAddr) -> String) -> Self {
        let dir = TempDir::with_prefix("mailward-postfix-").expect("a temporary directory");
        // Its daemons run as `postfix` and must be able to enter.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("our own directory");
        for sub in ["etc", "queue", "data", "mail"] {
            fs::create_dir(dir.path().join(sub)).expect("a new directory");
        }
        chown(dir.path().join("data"), user("postfix"), None).expect("root may chown");
        chown(dir.path().join("mail"), Some(MAIL_OWNER), Some(MAIL_OWNER)).expect("root may chown");
        let addr = free_address();
        fs::write(dir.path().join("etc/main.cf"), main_cf(dir.path(), locals, settings)).expect("main.cf");
        fs::write(dir.path().join("etc/master.cf"), master_cf(&listener(addr))).expect("master.cf");
        let mut postfix = Self {
            dir,
            addr,
            running: false,
        };
        postfix.start_again();
        postfix
    }

    pub fn start_again(&mut self) {
        let ok = self.control("start");
        assert!(ok, "postfix does not start:\n{}", self.log());
        self.running = true;
    }

    pub fn stop(&mut self) {
        let ok = self.control("stop");
        assert!(ok, "postfix does not stop:\n{}", self.log());
        self.running = false;
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// As a next hop in the configuration.
    pub fn target(&self) -> String {
        format!("smtp:{}", self.addr)
    }

    /// The messages in a mailbox, once there are `count` of them: Postfix delivers from its queue, after its 250.
    pub fn await_mail(&self, local: &str, count: usize) -> Vec<Vec<u8>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mail = boxes::maildir(&self.dir.path().join("mail").join(local));
            if mail.len() >= count {
                return mail;
            }
            assert!(
                Instant::now() < deadline,
                "{} of {count} messages for {local}:\n{}",
                mail.len(),
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn control(&self, verb: &str) -> bool {
        let mut command = Command::new(find_program("postfix").expect("postfix is installed"));
        command.arg("-c").arg(self.dir.path().join("etc")).arg(verb);
        // It complains on standard error; what matters is in its log.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().expect("postfix can be run").success()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("mail.log")
    }
}

impl Drop for PrivatePostfix {
    fn drop(&mut self) {
        if self.running {
            self.control("stop");
        }
        if std::thread::panicking() {
            eprintln!("--- postfix's log\n{}---", self.log());
        }
    }
}

fn main_cf(dir: &Path, locals: &[&str], settings: &str) -> String {
    let dir = dir.display();
    let boxes: String = locals
        .iter()
        .map(|local| format!(" {{{local}@example.com = {local}/}}"))
        .collect();
    format!(
        "compatibility_level = 3.6\n\
         queue_directory = {dir}/queue\n\
         data_directory = {dir}/data\n\
         maillog_file = {dir}/mail.log\n\
         maillog_file_prefixes = {dir}\n\
         myhostname = nexthop.example.net\n\
         mydestination =\n\
         mynetworks = 127.0.0.0/8\n\
         inet_interfaces = 127.0.0.1\n\
         inet_protocols = ipv4\n\
         alias_maps =\n\
         alias_database =\n\
         virtual_mailbox_domains = example.com\n\
         virtual_mailbox_base = {dir}/mail\n\
         virtual_mailbox_maps = inline:{{{boxes} }}\n\
         virtual_uid_maps = static:{MAIL_OWNER}\n\
         virtual_gid_maps = static:{MAIL_OWNER}\n\
         smtpd_relay_restrictions = reject_unauth_destination\n\
         smtpd_peername_lookup = no\n\
         smtpd_tls_security_level = none\n\
         {settings}\n"
    )
}

/// The services that receiving and delivering need, none in a chroot.
fn master_cf(listener: &str) -> String {
    format!(
        "{listener}\n\
         postlog unix-dgram n - n - 1 postlogd\n\
         pickup unix n - n 60 1 pickup\n\
         cleanup unix n - n - 0 cleanup\n\
         qmgr unix n - n 300 1 qmgr\n\
         rewrite unix - - n - - trivial-rewrite\n\
         bounce unix - - n - 0 bounce\n\
         defer unix - - n - 0 bounce\n\
         trace unix - - n - 0 bounce\n\
         proxymap unix - - n - - proxymap\n\
         smtp unix - - n - - smtp\n\
         error unix - - n - - error\n\
         retry unix - - n - - error\n\
         virtual unix - n n - - virtual\n\
         tlsmgr unix - - n 1000? 1 tlsmgr\n\
         anvil unix - - n - 1 anvil\n"
    )
}

/// A port that is free now. Postfix takes no port 0, and stays down for a while in some tests; so the port is none of
/// those that the system gives to others meanwhile, which begin at 32,768.
fn free_address() -> SocketAddr {
    let mut dice = Dice::new(u64::from(std::process::id()) << 32 | u64::from(NEXT.fetch_add(1, Ordering::Relaxed)));
    let candidates = std::iter::repeat_with(|| SocketAddr::from(([127, 0, 0, 1], 20_000 + dice.below(12_000) as u16)));
    let free = candidates.take(1000).find(|addr| TcpListener::bind(addr).is_ok());
    free.expect("a free port below 32,000")
}
