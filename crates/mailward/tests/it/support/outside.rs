//! What a test needs from outside the repository: real servers, and the shared acceptance cases.
//!
//! On a developer's machine a test without them is passed over with a printed line. Under `CI=true` it fails, so that
//! no run counts as green that did not run.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Prints a line at once. The test harness keeps back what `eprintln!` prints in a test that passes; but that a test
/// did not run, or what it counted, is for those who read a green run.
pub fn say(line: &str) {
    // Nobody to tell is no reason to fail.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// `MAILWARD_TEST=quick` leaves out the kill test and the real servers.
pub fn quick() -> bool {
    std::env::var("MAILWARD_TEST").is_ok_and(|v| v == "quick")
}

fn ci() -> bool {
    std::env::var("CI").is_ok_and(|v| v == "true")
}

/// Says that `test` does not run, and why; fails instead under `CI=true`.
fn missing(test: &str, why: &str) {
    assert!(!ci(), "{test}: {why}");
    say(&format!("passed over: {test}: {why}"));
}

/// Is this a full run? In a quick one, says that `test` is left out.
pub fn full_run(test: &str) -> bool {
    if quick() {
        say(&format!("passed over: {test}: MAILWARD_TEST=quick"));
    }
    !quick()
}

/// A file of the shared directory beside the repository (or at `MAILWARD_SHARED`), when there is one.
pub fn shared(test: &str, file: &str) -> Option<PathBuf> {
    let dir = match std::env::var_os("MAILWARD_SHARED") {
        Some(dir) => PathBuf::from(dir),
        None => workspace().join("../shared"),
    };
    let path = dir.join(file);
    if !path.is_file() {
        missing(test, &format!("there is no {}", path.display()));
        return None;
    }
    Some(path)
}

/// Can these programs be run, as root? (Postfix starts as root only.)
pub fn servers(test: &str, programs: &[&str]) -> bool {
    if !full_run(test) {
        return false;
    }
    if !rustix::process::geteuid().is_root() {
        missing(test, "real servers need root");
        return false;
    }
    match programs.iter().find(|name| find_program(name).is_none()) {
        None => true,
        Some(name) => {
            missing(test, &format!("`{name}` is not installed"));
            false
        }
    }
}

/// A small file system of its own at a directory, until dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts a tmpfs of `size` (`256k`) at `dir`; `None`, and a printed line, where that cannot be.
    pub fn mount(test: &str, dir: &Path, size: &str) -> Option<Self> {
        let size = format!("size={size},mode=755");
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(dir)
            .output();
        if done.is_ok_and(|output| output.status.success()) {
            return Some(Self(dir.to_owned()));
        }
        missing(test, "a file system of our own needs root");
        None
    }

    /// Fills it to the last octet.
    pub fn fill(&self) {
        let mut file = std::fs::File::create(self.0.join("filler")).expect("a new file");
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    pub fn empty(&self) {
        std::fs::remove_file(self.0.join("filler")).expect("it was filled");
    }

    /// From now on nothing can be written.
    pub fn read_only(&self, on: bool) {
        let how = if on { "remount,ro" } else { "remount,rw" };
        let done = Command::new("mount").args(["-o", how]).arg(&self.0).output();
        assert!(done.is_ok_and(|output| output.status.success()), "{how}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the gateway may still run. What is left is a mount in a directory of /tmp.
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

/// Is what a test needs there? If not, says so and passes the test over; fails instead under `CI=true`.
pub fn need(test: &str, is_there: bool, why: &str) -> bool {
    if !is_there {
        missing(test, why);
    }
    is_there
}

/// A file of the Debian packages that are unpacked under `target/debian/`, since they cannot be installed.
pub fn unpacked(test: &str, file: &str) -> Option<PathBuf> {
    let path = workspace().join("target/debian").join(file);
    need(test, path.is_file(), &format!("there is no target/debian/{file}")).then_some(path)
}

/// As [`unpacked`], a program that may be installed instead.
pub fn unpacked_program(name: &str) -> Option<PathBuf> {
    let files = ["usr/sbin", "usr/bin"].map(|dir| workspace().join("target/debian").join(dir).join(name));
    files.into_iter().find(|file| file.is_file())
}

/// A user's number.
pub fn user(name: &str) -> Option<u32> {
    let users = std::fs::read_to_string("/etc/passwd").expect("the machine has users");
    let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
    line.split(':').nth(2)?.parse().ok()
}

/// The program's path; Postfix's tools are in `/usr/sbin`, which an ordinary user's PATH may lack.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/bin")])
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// Without `..` in it: some servers refuse such paths.
fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).expect("the package lies in crates/")
}
