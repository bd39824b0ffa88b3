//! What a crash costs the embedded store: nothing that was acknowledged.
//!
//! - `op`: what is asked of a store, as data.
//! - `child`: a process that asks, says so at labelled points (`before` and `acknowledged` of each question), and is
//!   killed with SIGKILL at one of them, or some microseconds of work after it.
//! - `known`: what was asked and acknowledged, counted against what is there.
//! - `torn`: logs and files that were cut or damaged.
//!
//! No assertion knows a clock: wherever a kill falls, the count must come out. `MAILWARD_SEED` repeats a run's dice.

mod child;
#[path = "../common/mod.rs"]
mod common;
mod known;
mod op;
mod torn;

use child::{Death, Errand, Scene, Word, imported};
use common::{id, open, record};
use known::{Known, everything};
use op::Op;
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::Instant;
use store::{OpenError, Store};
use tempfile::TempDir;

/// How far each round counts on.
const ROUND: u64 = 100_000;
/// Kills of each sort at each point.
const EXACT: u64 = 1;
const LATER: u64 = 2;
const INSIDE: u64 = 10;

/// Small repeatable chance (xorshift64*).
struct Dice(u64);

impl Dice {
    /// The seed from `MAILWARD_SEED`, else `default`; printed where a fault is.
    fn seed(default: u64) -> u64 {
        let seed = std::env::var("MAILWARD_SEED").map(|text| text.parse().expect("MAILWARD_SEED is a number"));
        seed.unwrap_or(default)
    }

    fn new(seed: u64) -> Dice {
        // The generator has one fixed point, zero.
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % end
    }

    /// Up to some 16 ms, mostly much less: intents take from 0.1 ms to 10 ms.
    fn microseconds(&mut self) -> u64 {
        let bits = 5 + self.below(10);
        self.below(1 << bits)
    }
}

fn db(dir: &Path) -> PathBuf {
    dir.join("mailward.db")
}

/// A store that processes work with, and are killed.
struct Test {
    dice: Dice,
    seed: u64,
    dir: TempDir,
    known: Known,
    round: u64,
    kills: u64,
    acknowledged: u64,
    begun: Instant,
}

impl Test {
    fn new(default_seed: u64) -> Test {
        let seed = Dice::seed(default_seed);
        Test {
            dice: Dice::new(seed),
            seed,
            dir: TempDir::new().unwrap(),
            known: Known::default(),
            round: 0,
            kills: 0,
            acknowledged: 0,
            begun: Instant::now(),
        }
    }

    fn path(&self) -> PathBuf {
        db(self.dir.path())
    }

    /// Kills at each point: exactly there, a few lines after it, and, where something was just begun, in the middle
    /// of it.
    async fn kill_at(&mut self, scene: Scene, points: &[&str]) {
        for point in points {
            self.dir = TempDir::new().unwrap();
            self.known = Known::default();
            for word in [Word::Before, Word::Acknowledged] {
                let inside = if word == Word::Before { INSIDE } else { 0 };
                for n in 0..EXACT + LATER + inside {
                    let death = Death {
                        word,
                        point: (*point).to_owned(),
                        times: 1 + self.dice.below(3),
                        lines: if n < EXACT { 0 } else { self.dice.below(9) },
                        busy_us: if n < EXACT + LATER { 0 } else { self.dice.microseconds() },
                    };
                    self.kill(scene, death).await;
                }
            }
        }
        assert!(self.kills > 0);
        self.summary(&format!("{scene:?}"));
    }

    fn summary(&self, what: &str) {
        let (kills, acknowledged, seconds) = (self.kills, self.acknowledged, self.begun.elapsed().as_secs_f64());
        let line = format!("crash test: {what}: {kills} kills, {acknowledged} acknowledged, {seconds:.1} s\n");
        // The harness keeps back what `eprintln!` prints in a test that passes.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    /// One process and its death, perhaps some more in the middle of the recovery, and the count.
    async fn kill(&mut self, scene: Scene, death: Death) {
        self.round += 1;
        // Every scene reaches each point once; one that ended before it could be killed is killed there.
        let first = Death {
            times: 1,
            lines: 0,
            busy_us: 0,
            ..death.clone()
        };
        if !self.run(scene, death) {
            self.round += 1;
            assert!(self.run(scene, first.clone()), "{scene:?} never reaches {first:?}");
        }
        while self.dice.below(3) == 0 {
            let death = Death {
                word: Word::Before,
                point: "open".to_owned(),
                times: 1,
                lines: self.dice.below(3),
                busy_us: self.dice.microseconds(),
            };
            self.round += 1;
            self.run(Scene::Open, death);
        }
        self.count().await;
    }

    /// Whether it was killed; it may also be too fast for that.
    fn run(&mut self, scene: Scene, death: Death) -> bool {
        let errand = Errand {
            path: self.path(),
            scene,
            first: self.round * ROUND,
            death,
        };
        let output = errand.command().output().unwrap();
        let heard = child::read(&output.stdout);
        heard.iter().for_each(|said| self.known.hear(said));
        let acknowledged = heard.iter().filter(|said| said.word == Word::Acknowledged);
        self.acknowledged += acknowledged.count() as u64;
        let killed = output.status.signal() == Some(9);
        let text = || String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            killed || output.status.success(),
            "seed {}: {errand:?}: {}",
            self.seed,
            text()
        );
        self.kills += u64::from(killed);
        killed
    }

    /// Opens, counts, writes anew and counts again; every other time of a copy, so that the next process finds the
    /// store as the crash left it.
    async fn count(&mut self) {
        let copy = (self.dice.below(2) == 0).then(|| copy_of(self.dir.path()));
        let path = copy.as_ref().map_or_else(|| self.path(), |copy| db(copy.path()));
        // A command may be the first to come after a crash.
        match Store::open_read_only(&path) {
            Ok(_) | Err(OpenError::Missing | OpenError::OlderLayout { .. }) => {}
            Err(why) => panic!("seed {}, round {}: {why}", self.seed, self.round),
        }
        let store = open(&path);
        let mut known = self.known.clone();
        self.no_faults(known.count(&store).await);
        if copy.is_none() {
            let n = self.round * ROUND + ROUND / 2;
            let (key, name) = ((self.round % 20) as u8, (self.round % 5) as u8);
            for op in [
                Op::Begin(n),
                Op::Label { n, at: n, junk: true },
                Op::Relabel {
                    n,
                    at: n + 1,
                    junk: false,
                },
                Op::Forget { n, at: n + 2 },
                Op::Sent { to: n, at: n },
                Op::Seen(key),
                Op::Pass { key, at: n },
                Op::Cursor { name, value: n },
                Op::Ledger(key),
            ] {
                known.ask(&store, op).await;
            }
            self.no_faults(known.count(&store).await);
            self.known = known;
        }
    }

    fn no_faults(&self, faults: Vec<String>) {
        let (seed, round) = (self.seed, self.round);
        assert!(faults.is_empty(), "seed {seed}, round {round}:\n{}", faults.join("\n"));
    }
}

fn copy_of(dir: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    for file in std::fs::read_dir(dir).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    copy
}

#[tokio::test]
async fn killed_while_many_label_no_saying_is_lost_and_nothing_forgotten_speaks() {
    let points = ["open", "begin", "label", "teach", "relabel", "forget"];
    Test::new(1).kill_at(Scene::Labels, &points).await;
}

#[tokio::test]
async fn killed_while_batches_are_learnt_each_is_there_whole_or_not_at_all() {
    Test::new(2).kill_at(Scene::Learn, &["learn"]).await;
}

#[tokio::test]
async fn killed_among_sent_mail_greylist_cursors_and_ledger_nothing_is_lost() {
    let points = ["sent", "seen", "pass", "cursor", "ledger"];
    Test::new(3).kill_at(Scene::Small, &points).await;
}

#[tokio::test]
async fn killed_while_history_expires_what_is_young_stays_and_what_went_is_gone() {
    let points = ["expire-history", "learn"];
    Test::new(4).kill_at(Scene::ExpireHistory, &points).await;
}

#[tokio::test]
async fn killed_while_records_expire_to_size_the_youngest_stay() {
    Test::new(5).kill_at(Scene::ExpireSize, &["expire-size"]).await;
}

#[tokio::test]
async fn killed_while_history_is_made_anew_it_is_the_old_one() {
    Test::new(6).kill_at(Scene::Rebuild, &["rebuild"]).await;
}

#[tokio::test]
async fn killed_while_it_is_compacted_the_store_is_whole() {
    let points = ["compact", "close", "open"];
    Test::new(7).kill_at(Scene::Compact, &points).await;
}

#[tokio::test]
async fn killed_at_a_clean_end_what_was_lazy_is_there_once_that_is_acknowledged() {
    let points = ["close", "finish"];
    Test::new(8).kill_at(Scene::Close, &points).await;
}

#[tokio::test]
async fn an_import_that_was_killed_can_be_begun_anew() {
    let mut test = Test::new(9);
    test.kill_at(Scene::Import, &["learn", "open", "close"]).await;
    let store = open(&test.path());
    let alone = TempDir::new().unwrap();
    let alone = open(&db(alone.path()));
    for op in imported() {
        op.ask(&store).await;
        op.ask(&alone).await;
    }
    let (wanted, found) = (everything(alone.reader()).await, everything(store.reader()).await);
    // Beside it stand the labels and the mail of the processes that were killed while they opened.
    let ids: BTreeSet<_> = wanted.0.iter().map(|label| label.id).collect();
    let labels: Vec<_> = found.0.into_iter().filter(|label| ids.contains(&label.id)).collect();
    let mail: Vec<_> = found.1.into_iter().filter(|sent| wanted.1.contains(sent)).collect();
    assert_eq!((labels, mail), wanted);
}

#[tokio::test]
async fn killed_while_an_old_store_is_brought_up_to_date_it_is_the_old_one_or_the_new() {
    let old = old_store().await;
    let mut test = Test::new(10);
    for n in 0..40 {
        (test.dir, test.known) = (copy_of(old.path()), Known::default());
        for n in 0..30 {
            test.known.begin(&Op::Begin(n));
            test.known.acknowledge(&Op::Begin(n));
        }
        let death = Death {
            word: if n == 1 { Word::Acknowledged } else { Word::Before },
            point: "open".to_owned(),
            times: 1,
            lines: 0,
            busy_us: if n < 2 { 0 } else { test.dice.microseconds() },
        };
        test.kill(Scene::Open, death).await;
    }
    test.summary("Open, an old store");
}

/// A store of the first layout, with thirty records: a new one without the tables that came later.
async fn old_store() -> TempDir {
    const FIRST: [&str; 5] = ["messages", "recipients", "endings", "policies", "ledger"];
    let dir = TempDir::new().unwrap();
    let store = open(&db(dir.path()));
    for n in 0..30 {
        store.begin(record(id(n), common::NOW_S, 2)).await.unwrap();
    }
    drop(store);
    let raw = Connection::open(db(dir.path())).unwrap();
    let tables: Vec<String> = raw
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    for table in tables.iter().filter(|table| !FIRST.contains(&table.as_str())) {
        raw.execute_batch(&format!("DROP TABLE {table}")).unwrap();
    }
    raw.execute_batch("PRAGMA user_version = 1").unwrap();
    dir
}
