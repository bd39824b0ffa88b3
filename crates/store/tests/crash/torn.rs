//! Torn writes: a log that is cut or damaged anywhere, and a database file that is cut anywhere.
//!
//! SQLite sums up its log frame by frame, so damage costs what stands behind it, and nothing before it.

use crate::Dice;
use crate::common::{NOW_S, id, record};
use crate::known::Known;
use crate::op::{Op, everybody, is_shown, mailbox};
use crate::{db, open};
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
        let store = open(&path);
        for op in everything(0) {
            op.ask(&store).await;
            acknowledged.push((op, 0));
        }
        drop(store);
        let store = open(&path);
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
        let store = open(&path);
        no_faults(known.count(&store).await, what);
        for op in opposites(5000) {
            known.ask(&store, op).await;
        }
        drop(store);
        no_faults(known.count(&open(&path)).await, what);
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
    if is_shown(n) {
        let taught = Op::Teach { n, at: n, junk: true };
        all.insert(2, taught);
    }
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

/// What came of a file that was cut.
#[derive(Debug, PartialEq, Eq)]
enum Cut {
    Refused,
    /// It opens, and `verify` tells, or the record that is not whole.
    Told,
    /// Nothing is missing.
    Sound,
}

/// Never a panic, a wait without end, or a wrong answer of which `verify` does not tell.
async fn cut(written: &Written, main: &[u8], log: &[u8], what: &str) -> Cut {
    let dir = TempDir::new().unwrap();
    let path = db(dir.path());
    fs::write(&path, main).unwrap();
    if !log.is_empty() {
        fs::write(log_of(&path), log).unwrap();
    }
    let store = match Store::open(&path) {
        Ok(store) => store,
        Err(why) => {
            assert!(why.hint().is_some(), "{what}: {why}: and what to do?");
            // A log that is whole is moved into it all the same, and so kept.
            assert!(
                !log.is_empty() || fs::read(&path).unwrap() == main,
                "{what}: it was changed"
            );
            return Cut::Refused;
        }
    };
    let verified = store.reader().verify().await;
    let mut is_sound = verified.is_ok_and(|verified| verified.faults_count == 0);
    for (op, _) in &written.acknowledged {
        // A record that is not whole says so itself.
        if let Op::Begin(n) = op {
            is_sound &= store.find(id(*n)).await.is_ok();
        }
    }
    if is_sound {
        let mut known = written.known(usize::MAX);
        no_faults(known.count(&store).await, what);
        return Cut::Sound;
    }
    // Whatever is answered, it is answered.
    let reader = store.reader();
    for n in 0..4 {
        let _ = reader.newest(&mailbox(n), &everybody(), NOW_S, 99).await;
        let _ = reader.label(&mailbox(n), id(n)).await;
        let _ = store.find(id(n)).await;
        let _ = reader.cursor(&n.to_string()).await;
    }
    let _ = (
        reader.export(None, 500).await,
        reader.stats().await,
        reader.recent(9).await,
    );
    let last = record(id(9999), NOW_S, 1);
    let _ = (store.begin(last).await, store.rebuild().await, store.close().await);
    Cut::Told
}

#[tokio::test]
async fn a_file_that_is_cut_anywhere_is_refused_with_what_to_do_or_verify_tells() {
    let written = Written::new().await;
    let seed = Dice::seed(22);
    let mut dice = Dice::new(seed);
    let mut count = [0; 3];
    // With the log, and with the same in one file.
    let whole = {
        let dir = TempDir::new().unwrap();
        fs::write(db(dir.path()), &written.main).unwrap();
        fs::write(log_of(&db(dir.path())), &written.log).unwrap();
        drop(open(&db(dir.path())));
        fs::read(db(dir.path())).unwrap()
    };
    let none: &[u8] = &[];
    for (main, log) in [(&written.main, &written.log[..]), (&whole, none)] {
        let inside = (0..200).map(|_| dice.below(main.len() as u64) as usize);
        let places: Vec<usize> = (PAGE..main.len()).step_by(PAGE).chain(inside).collect();
        for place in places.into_iter().chain([1, 100, 511, 512]) {
            let what = format!("seed {seed}: cut at {place} of {}, log of {}", main.len(), log.len());
            count[cut(&written, &main[..place], log, &what).await as usize] += 1;
        }
    }
    // Each of these was met, or the test proves less than it says.
    assert!(count.iter().all(|count| *count > 0), "{count:?}");
}

/// SQLite would take it for a new database, and delete the log.
#[tokio::test]
async fn a_file_that_is_cut_to_nothing_does_not_cost_its_log() {
    let written = Written::new().await;
    assert_eq!(cut(&written, &[], &written.log, "cut to nothing").await, Cut::Refused);
    let dir = TempDir::new().unwrap();
    let path = db(dir.path());
    fs::write(&path, b"").unwrap();
    fs::write(log_of(&path), &written.log).unwrap();
    let why = Store::open_read_only(&path).unwrap_err();
    assert_eq!(
        why.to_string(),
        "the store is damaged: its file is empty, and the log beside it is not"
    );
    assert!(Store::open(&path).is_err() && Store::compact(&path).is_err());
    assert_eq!(fs::read(log_of(&path)).unwrap(), written.log);
}
