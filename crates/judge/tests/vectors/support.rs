//! What is shared beside the repository: the archive of vectors, which is unpacked once below `target/`, and its directory.
//! The unit tests of `signatures` have this file, too.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The directory `vectors/` of the archive, where there is one. `test` is named where not.
pub fn vectors(test: &str) -> Option<&'static Path> {
    static UNPACKED: OnceLock<Option<PathBuf>> = OnceLock::new();
    let dir = UNPACKED.get_or_init(unpack).as_deref();
    if dir.is_none() {
        missing(test, &archive());
    }
    dir
}

/// Says that a test is passed over.
pub fn missing(test: &str, path: &Path) {
    let is_ci = std::env::var("CI").is_ok_and(|v| v == "true");
    assert!(!is_ci, "{test}: there is no {}", path.display());
    // Nobody to tell is no reason to fail.
    let _ = writeln!(std::io::stderr(), "passed over: {test}: there is no {}", path.display());
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The shared directory.
pub fn shared_dir() -> PathBuf {
    let shared = std::env::var_os("MAILWARD_SHARED").map(PathBuf::from);
    shared.unwrap_or_else(|| workspace().join("../shared"))
}

fn archive() -> PathBuf {
    shared_dir().join("vectors.tar.zst")
}

/// Unpacks into a directory of its own and gives that its name at the end, so that no run sees half of it.
fn unpack() -> Option<PathBuf> {
    let archive = archive();
    if !archive.is_file() {
        return None;
    }
    // Ours is `target/PROFILE/deps/NAME`, be it of unit tests, for which Cargo names no directory, or of others.
    let own = std::env::current_exe().unwrap();
    let target = own.ancestors().nth(3).unwrap().join("tmp");
    let (whole, part) = (
        target.join("vectors"),
        target.join(format!("vectors.{}", std::process::id())),
    );
    if !whole.is_dir() {
        std::fs::create_dir_all(&part).unwrap();
        let status = Command::new("tar")
            .arg("--zstd")
            .arg("-xf")
            .arg(&archive)
            .arg("-C")
            .arg(&part)
            .status()
            .unwrap();
        assert!(status.success(), "tar cannot unpack {}", archive.display());
        // Another run may have been first.
        let _ = std::fs::rename(part.join("vectors"), &whole);
        let _ = std::fs::remove_dir_all(&part);
    }
    Some(whole)
}

#[test]
fn the_archive_holds_the_suites() {
    let Some(dir) = vectors("the_archive_holds_the_suites") else {
        return;
    };
    for suite in ["spf", "mail-dkim", "dkimpy", "mailauth", "arc_test_suite", "mail-auth"] {
        assert!(dir.join(suite).is_dir(), "{suite}");
    }
}
