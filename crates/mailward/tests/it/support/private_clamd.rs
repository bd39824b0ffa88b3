//! A clamd of our own, on a Unix socket and on a loopback port: configuration, log and signatures in a temporary
//! directory. It knows nothing of the machine's own ClamAV, and of one virus only: the test file that all scanners know.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::PATIENCE;
use super::outside::find_program;

/// The programs that [`PrivateClamd`] runs.
pub const PROGRAMS: [&str; 1] = ["clamd"];

/// What it calls the test file; clamd marks signatures that are not ClamAV's own.
pub const VIRUS: &str = "Mailward.Test.Eicar.UNOFFICIAL";

/// The EICAR test file, put together here, so that no scanner finds it in the repository.
pub fn eicar() -> String {
    [
        "X5O!P%@AP[4\\PZX54(P^)",
        "7CC)7}$EICAR-STANDARD-",
        "ANTIVIRUS-TEST-FILE!$H+H*",
    ]
    .concat()
}

pub struct PrivateClamd {
    dir: TempDir,
    port: u16,
    master: Child,
}

impl PrivateClamd {
    /// Starts and waits until it answers. `settings` are more lines for its configuration: `StreamMaxLength 1M`.
    pub fn start(settings: &str) -> Self {
        let dir = TempDir::with_prefix("mailward-clamd-").expect("a temporary directory");
        let database = dir.path().join("database");
        fs::create_dir(&database).expect("a new directory");
        // NAME:TARGET:OFFSET:SIGNATURE: in any file, anywhere.
        let hex: String = eicar().bytes().map(|octet| format!("{octet:02x}")).collect();
        let name = VIRUS.strip_suffix(".UNOFFICIAL").expect("clamd adds it");
        fs::write(database.join("test.ndb"), format!("{name}:0:*:{hex}\n")).expect("signatures");
        // It takes no port 0. The port was free a moment ago.
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .expect("a free port")
            .port();
        let config = dir.path().join("clamd.conf");
        fs::write(&config, configuration(dir.path(), port, settings)).expect("a configuration");
        let master = Command::new(find_program("clamd").expect("clamd is installed"))
            .arg("--config-file")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(dir.path().join("clamd.err")).expect("a new file"))
            .spawn()
            .expect("clamd can be run");
        let mut clamd = Self { dir, port, master };
        clamd.await_answering();
        clamd
    }

    fn await_answering(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while ping(&self.socket()).is_err() {
            let ended = self.master.try_wait().expect("clamd is our child");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "clamd does not answer ({ended:?}):\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("clamd.ctl")
    }

    /// Its Unix socket, as in the configuration.
    pub fn address(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    /// Its port, as in the configuration.
    pub fn tcp_address(&self) -> String {
        format!("tcp:{}", SocketAddr::from(([127, 0, 0, 1], self.port)))
    }

    /// What it logged, and what it said of its configuration before it had a log.
    pub fn log(&self) -> String {
        ["clamd.err", "clamd.log"]
            .map(|name| fs::read_to_string(self.dir.path().join(name)).unwrap_or_default())
            .concat()
    }
}

impl Drop for PrivateClamd {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.master), Signal::TERM);
        let _ = self.master.wait();
        if std::thread::panicking() {
            eprintln!("--- clamd's log\n{}---", self.log());
        }
    }
}

/// It listens before it has read its signatures; what answers, has.
fn ping(socket: &Path) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"zPING\0")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    match answer == b"PONG\0" {
        true => Ok(()),
        false => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn configuration(dir: &Path, port: u16, settings: &str) -> String {
    let dir = dir.display();
    format!(
        "Foreground yes\n\
         LocalSocket {dir}/clamd.ctl\n\
         LocalSocketMode 666\n\
         TCPSocket {port}\n\
         TCPAddr 127.0.0.1\n\
         DatabaseDirectory {dir}/database\n\
         TemporaryDirectory {dir}\n\
         LogFile {dir}/clamd.log\n\
         LogVerbose yes\n\
         SelfCheck 86400\n\
         {settings}\n"
    )
}
