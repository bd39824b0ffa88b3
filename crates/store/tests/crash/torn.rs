//! Torn writes: a log that is cut or damaged anywhere.
//!
//! SQLite sums up its log frame by frame, so damage costs what stands behind it, and nothing before it.

use crate::Dice;
use crate::db;
use crate::known::Known;
use crate::op::Op;
use std::fs;
use std::path::{Path, PathBuf};
use store::Store;
use tempfile::TempDir;

/// Octets before the first frame of a log, and of the head of each frame.
const HEAD: usize = 32;
const FRAME_HEAD: usize = 24;
const PAGE: usize = 4096;

/// A store as it lies on disk, and what it acknowledged.
struct Written {
    main: Vec<u8>,
    log: Vec<u8>,
    /// What was asked, and where the log ended when it was acknowledged; 0 for what is in the database file.
    acknowledged: Vec<(Op, usize)>,
}

impl Written {
    /// Everything, some of which is in the database file and some in the log.
    async fn new() -> Written {
        let dir = TempDir::new().unwrap();
        let path = db(dir.path());
        let mut acknowledged = Vec::new();
        let store = Store::open(&path).unwrap();
        for op in everything(0) {
            op.ask(&store).await;
            acknowledged.push((op, 0));
        }
        drop(store);
        let store = Store::open(&path).unwrap();
        for op in everything(1) {
            op.ask(&store).await;
            acknowledged.push((op, end_of(&fs::read(log_of(&path)).unwrap())));
        }
        let (main, log) = (fs::read(&path).unwrap(), fs::read(log_of(&path)).unwrap());
        let log = log[..end_of(&log)].to_vec();
        Written {
            main,
            log,
            acknowledged,
        }
    }

    /// What must be there when the log is whole up to a place.
    fn known(&self, whole: usize) -> Known {
        let mut known = Known::default();
        for (op, end) in &self.acknowledged {
            known.begin(op);
            if *end <= whole {
                known.acknowledge(op);
            }
        }
        known
    }

    /// Where frames begin, and where the last one ends.
    fn frames(&self) -> impl Iterator<Item = usize> {
        (HEAD..=self.log.len()).step_by(FRAME_HEAD + PAGE)
    }

    /// Opens what a log that is whole up to a place leaves, counts, writes, and counts again, also once reopened.
    async fn opens(&self, log: &[u8], whole: usize, what: &str) {
        let dir = TempDir::new().unwrap();
        let path = db(dir.path());
        fs::write(&path, &self.main).unwrap();
        fs::write(log_of(&path), log).unwrap();
        let mut known = self.known(whole);
        let store = Store::open(&path).unwrap_or_else(|why| panic!("{what}: {why}"));
        no_faults(known.count(&store).await, what);
        for op in opposites(5000) {
            known.ask(&store, op).await;
        }
        drop(store);
        no_faults(known.count(&Store::open(&path).unwrap()).await, what);
    }
}

fn no_faults(faults: Vec<String>, what: &str) {
    assert!(faults.is_empty(), "{what}:\n{}", faults.join("\n"));
}

fn log_of(path: &Path) -> PathBuf {
    path.with_extension("db-wal")
}

/// Where the frames of a log end that were written since it began anew: they carry the salt of its head.
fn end_of(log: &[u8]) -> usize {
    let salt = &log[16..24];
    let frames = log[HEAD..].chunks(FRAME_HEAD + PAGE);
    let whole = frames.take_while(|frame| frame.len() == FRAME_HEAD + PAGE && frame[8..16] == *salt);
    HEAD + whole.count() * (FRAME_HEAD + PAGE)
}

/// Some of each, in the `part`th range of numbers.
fn everything(part: u64) -> Vec<Op> {
    let first = part * 1000;
    let mut all = vec![Op::Learn {
        from: first + 100,
        to: first + 130,
        at: first + 100,
    }];
    for n in (first..first + 5).map(|n| n + 1) {
        all.extend(opposites(n));
    }
    all
}

/// A message that is labelled, relabelled and perhaps forgotten, and what else happens.
fn opposites(n: u64) -> Vec<Op> {
    let (key, name) = ((n % 4) as u8, (n % 3) as u8);
    let mut all = vec![
        Op::Begin(n),
        Op::Label { n, at: n, junk: true },
        Op::Sent { to: n % 4, at: n },
        Op::Relabel {
            n,
            at: n + 10,
            junk: false,
        },
        Op::Seen(key),
        Op::Pass { key, at: n },
        Op::Cursor { name, value: n },
        Op::Ledger(key),
    ];
    if n.is_multiple_of(2) {
        all.push(Op::Forget { n, at: n + 20 });
    }
    all
}

#[tokio::test]
async fn a_log_that_is_cut_at_any_frame_or_inside_of_one_keeps_what_was_acknowledged_before() {
    let written = Written::new().await;
    let seed = Dice::seed(20);
    let mut dice = Dice::new(seed);
    let frames: Vec<usize> = written.frames().collect();
    assert!(frames.len() > 60, "{}", frames.len());
    let inside = (0..40).map(|_| dice.below(written.log.len() as u64) as usize);
    for (n, cut) in frames.iter().copied().chain(inside.collect::<Vec<_>>()).enumerate() {
        // After a power loss the rest may also be there, but empty.
        let rest = if n % 2 == 0 { 0 } else { written.log.len() - cut };
        let log = [&written.log[..cut], &vec![0; rest]].concat();
        let what = format!("seed {seed}: cut at {cut}, {rest} zeros behind");
        written.opens(&log, cut, &what).await;
    }
}

#[tokio::test]
async fn a_log_that_is_damaged_anywhere_keeps_what_was_acknowledged_before() {
    let written = Written::new().await;
    let seed = Dice::seed(21);
    let mut dice = Dice::new(seed);
    for n in 0..80 {
        let mut log = written.log.clone();
        let place = if n == 0 {
            0
        } else {
            dice.below(log.len() as u64) as usize
        };
        if n % 2 == 0 {
            let end = log.len().min(place + PAGE);
            log[place..end].fill(0);
        } else {
            let end = log.len().min(place + 1 + dice.below(200) as usize);
            for octet in &mut log[place..end] {
                *octet ^= 1 << dice.below(8);
            }
        }
        written
            .opens(&log, place, &format!("seed {seed}: {n}: damaged at {place}"))
            .await;
    }
}
