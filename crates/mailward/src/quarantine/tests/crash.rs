//! Torn indexes, full disks, many threads, several processes.

use super::super::fixture::{MESSAGE, copy, noon, open};
use super::super::{Copy, Filter, KeepError};
use super::{DAY, entries, files, find, store};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use tempfile::tempdir;

/// Names the root for the tests that are other processes of other tests; without it they do nothing.
const ROOT: &str = "MAILWARD_TEST_QUARANTINE";

#[test]
fn an_index_torn_at_any_octet_spoils_one_entry_at_most() {
    let root = tempdir().unwrap();
    let quarantine = open(root.path());
    let first = store(&quarantine, DAY);
    let dir = root.path().join("212/example.com");
    let whole = [
        std::fs::read(dir.join("index.json")).unwrap(),
        std::fs::read(dir.join("index")).unwrap(),
    ];
    let torn = store(&quarantine, DAY);
    let line = std::fs::read(dir.join("index.json")).unwrap().len() - whole[0].len();
    for left in 0..line {
        for (name, whole) in ["index.json", "index"].iter().zip(&whole) {
            let mut octets = std::fs::read(dir.join(name)).unwrap();
            octets.truncate((whole.len() + left).min(octets.len()));
            std::fs::write(dir.join(name), octets).unwrap();
        }
        assert!(open(root.path()).used_octets() > 0);
        let listing = quarantine.list(&Filter::default(), &noon(DAY)).unwrap();
        // Torn just before its end, the line is whole.
        let survives = usize::from(left == line - 1);
        assert_eq!(
            (listing.entries.len(), listing.damaged),
            (1 + survives, u64::from(left > 0 && survives == 0))
        );

        let next = store(&quarantine, DAY);
        assert_eq!(find(&quarantine, &next).len(), 1, "after {left} octets");
        assert_eq!(find(&quarantine, &first).len(), 1, "after {left} octets");
        let text = std::fs::read_to_string(dir.join("index")).unwrap();
        assert_eq!(
            text.lines().last().unwrap().split('\t').next_back(),
            next.rsplit('/').next()
        );

        // As before, for the next cut.
        for (name, whole) in ["index.json", "index"].iter().zip(&whole) {
            std::fs::write(dir.join(name), whole).unwrap();
        }
        std::fs::remove_file(dir.join("new").join(next.rsplit('/').next().unwrap())).unwrap();
        let name = torn.rsplit('/').next().unwrap();
        let record = copy().record(super::super::FileName::parse(name).as_ref(), &noon(DAY));
        for (name, line) in [("index.json", record.json_line()), ("index", record.text_line())] {
            std::fs::OpenOptions::new()
                .append(true)
                .open(dir.join(name))
                .unwrap()
                .write_all(&line)
                .unwrap();
        }
    }
}

#[test]
fn a_crash_before_the_index_leaves_a_file_that_nothing_shows() {
    let root = tempdir().unwrap();
    let quarantine = open(root.path());
    let reference = store(&quarantine, DAY);
    for name in ["index.json", "index"] {
        std::fs::write(root.path().join("212/example.com").join(name), "").unwrap();
    }
    assert!(entries(&quarantine).is_empty() && find(&quarantine, &reference).is_empty());
    assert_eq!(open(root.path()).used_octets(), 0);
}

#[test]
fn garbage_in_an_index_is_counted_and_passed_over() {
    let root = tempdir().unwrap();
    let quarantine = open(root.path());
    let reference = store(&quarantine, DAY);
    let path = root.path().join("212/example.com/index.json");
    let good = std::fs::read(&path).unwrap();
    let evil: &[&[u8]] = &[
        b"\xff\0\x1b[31m\n",
        b"[]\n",
        b"{\"recipient\":\"a@example.com\",\"filename\":\"../../../etc/passwd\"}\n",
        b"{\"recipient\":\"a@example.com\",\"filename\":\"1.P1M1Q1.not-there.example.com\"}\n",
        b"{}\n",
        b"{\"size\":-1}\n",
        &[b'['; 100_000],
        b"\n\n\n",
        &good,
    ];
    std::fs::write(&path, evil.concat()).unwrap();
    let listing = quarantine.list(&Filter::default(), &noon(DAY)).unwrap();
    assert_eq!(listing.entries.len(), 1);
    assert_eq!(listing.damaged, 6);
    assert_eq!(find(&quarantine, &reference).len(), 1);
    assert!(open(root.path()).used_octets() > 0);
}

#[test]
fn eight_threads_store_into_one_domain_and_lose_nothing() {
    let root = tempdir().unwrap();
    let quarantine = open(root.path());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..25).for_each(|_| drop(store(&quarantine, DAY))));
        }
    });
    check_all(root.path(), 200);
    assert_eq!(open(root.path()).ledger.snapshot(), quarantine.ledger.snapshot());
}

/// Each stored message has its file and one whole line in each index.
fn check_all(root: &std::path::Path, count: usize) {
    let quarantine = open(root);
    let listing = quarantine
        .list(
            &Filter {
                limit: 10_000,
                ..Filter::default()
            },
            &noon(DAY),
        )
        .unwrap();
    assert_eq!((listing.entries.len(), listing.damaged), (count, 0));
    assert_eq!(files(root, "212/example.com/new").len(), count);
    assert!(files(root, "212/example.com/tmp").is_empty());
    let text = std::fs::read_to_string(root.join("212/example.com/index")).unwrap();
    assert_eq!(text.lines().filter(|line| line.split('\t').count() == 4).count(), count);
}

/// This test's other process: stores fifty messages into the tree that the environment names.
#[test]
fn another_process_that_stores() {
    let Some(root) = std::env::var_os(ROOT) else {
        return;
    };
    let quarantine = open(std::path::Path::new(&root));
    for _ in 0..50 {
        drop(store(&quarantine, DAY));
    }
}

#[test]
fn two_processes_store_into_one_domain_and_lose_nothing() {
    let root = tempdir().unwrap();
    let run = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "quarantine::tests::crash::another_process_that_stores"]);
        command.env(ROOT, root.path()).stdout(Stdio::null()).spawn().unwrap()
    };
    for mut child in [run(), run(), run()] {
        assert!(child.wait().unwrap().success());
    }
    check_all(root.path(), 150);
}

/// This test's other process: stores until it is killed, and says what is held.
#[test]
fn another_process_that_is_killed() {
    let Some(root) = std::env::var_os(ROOT) else {
        return;
    };
    let quarantine = open(std::path::Path::new(&root));
    loop {
        let line = format!("held {}\n", store(&quarantine, DAY));
        std::io::stdout().write_all(line.as_bytes()).unwrap();
    }
}

#[test]
fn what_was_held_before_a_kill_is_there_after_it() {
    let root = tempdir().unwrap();
    let mut held = Vec::new();
    for kill in 1..=12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "quarantine::tests::crash::another_process_that_is_killed",
                "--nocapture",
            ])
            .env(ROOT, root.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = || lines.next().map(Result::unwrap);
        let reference = |line: String| Some(line.split_once("held ")?.1.to_owned());
        let mut count = 0;
        while count < kill * 3 {
            let reference = reference(said().unwrap());
            count += usize::from(reference.is_some());
            held.extend(reference);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said between the last line read and its end; a line cut short has no whole name.
        let rest: Vec<String> = std::iter::from_fn(&mut said).filter_map(reference).collect();
        held.extend(
            rest.into_iter()
                .filter(|name| name.ends_with(".mx.example.example.com")),
        );
    }
    let quarantine = open(root.path());
    assert!(held.len() >= 200);
    for reference in &held {
        assert_eq!(find(&quarantine, reference).len(), 1, "{reference}");
    }
    assert!(find(&quarantine, &store(&quarantine, DAY)).len() == 1);
}

/// This test's other process, which may write files of 4 KiB at most: tells whether a large message is refused and
/// leaves nothing, and then goes on with small ones until an index is full.
#[test]
fn another_process_that_fills_its_disk() {
    let Some(root) = std::env::var_os(ROOT) else {
        return;
    };
    let root = std::path::Path::new(&root);
    let quarantine = open(root);
    let large = vec![b'x'; 10_000];
    let pieces: &[&[u8]] = &[MESSAGE[0], b"\r\n", &large];
    assert!(matches!(
        quarantine.store(
            &Copy {
                message: pieces,
                ..copy()
            },
            &noon(DAY)
        ),
        Err(KeepError::Io(_))
    ));
    assert!(files(root, "212/example.com/tmp").is_empty() && files(root, "212/example.com/new").is_empty());
    assert_eq!(quarantine.used_octets(), 0);
    let mut stored = 0;
    let error = loop {
        match quarantine.store(&copy(), &noon(DAY)) {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, KeepError::Io(_)) && stored > 0, "{error}");
    check_all(root, stored);
    let index = std::fs::read(root.join("212/example.com/index.json")).unwrap();
    assert_eq!(index.last(), Some(&b'\n'), "the torn line was cut off again");
    assert!(quarantine.note(&copy(), &noon(DAY)).is_err());
}

#[test]
fn a_full_disk_is_an_error_and_leaves_nothing_half_made() {
    // A limit on the size of files stands in for a full disk: a write stops half way and says so. The shell sets
    // it, and ignores the signal that comes with it. Some shells count in blocks of 512 octets, others in 1024.
    let root = tempdir().unwrap();
    let status = Command::new("sh")
        .args(["-c", "trap '' 25; ulimit -f 4; exec \"$0\" --exact quarantine::tests::crash::another_process_that_fills_its_disk"])
        .arg(std::env::current_exe().unwrap())
        .env(ROOT, root.path())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn a_store_waits_while_another_process_holds_the_lock() {
    use rustix::fs::{FlockOperation, flock};
    let root = tempdir().unwrap();
    let quarantine = open(root.path());
    drop(store(&quarantine, DAY));
    let index = std::fs::File::open(root.path().join("212/example.com/index.json")).unwrap();
    flock(&index, FlockOperation::LockExclusive).unwrap();
    let held = std::thread::scope(|scope| {
        let waits = scope.spawn(|| quarantine.store(&copy(), &noon(DAY)));
        while files(root.path(), "212/example.com/new").len() < 2 {
            std::thread::yield_now();
        }
        flock(&index, FlockOperation::Unlock).unwrap();
        waits.join().unwrap()
    });
    assert!(held.is_ok());
    check_all(root.path(), 2);
}
