//! A process that works with a store, says what it does, and is killed.
//!
//! It kills itself, with SIGKILL, at the point that it is told: nobody else could meet a point so exactly, and the
//! kernel asks nobody who sent that signal. What lies inside of a single intent is met by some microseconds of busy
//! work between a point and the kill, drawn by chance.

use crate::op::{Op, is_shown};
use rustix::process::{Signal, getpid, kill_process};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use store::Store;

/// Tells a child that it is one, and what to do.
const CHILD: &str = "MAILWARD_CRASH_CHILD";

/// What a child does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Errand {
    pub path: PathBuf,
    pub scene: Scene,
    /// Where it begins to count.
    pub first: u64,
    pub death: Death,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scene {
    /// Several tasks label, relabel and forget, so that groups form.
    Labels,
    /// Batches.
    Learn,
    /// Sent mail, greylist, cursors, ledger.
    Small,
    ExpireHistory,
    ExpireSize,
    Rebuild,
    Compact,
    /// The same batches each time.
    Import,
    /// Records with endings, and a clean end.
    Close,
    /// Opens, and hardly more.
    Open,
}

/// When it shall die: when it has said `word point` so many times, and then so many more lines, and then has worked
/// for so long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    pub word: Word,
    pub point: String,
    pub times: u64,
    pub lines: u64,
    pub busy_us: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    Before,
    Acknowledged,
}

/// One thing that a child said.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Said {
    pub word: Word,
    pub op: Op,
}

impl Errand {
    /// The command that does it: this binary's one test [`child_that_is_killed`].
    pub fn command(&self) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["child::child_that_is_killed", "--exact", "--nocapture"])
            .env(CHILD, serde_json::to_string(self).unwrap());
        command
    }
}

/// What a child said until it died. The harness speaks on the same pipe.
pub fn read(stdout: &[u8]) -> Vec<Said> {
    let text = String::from_utf8_lossy(stdout);
    // A line that the kill cut off says nothing.
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

static DEATH: OnceLock<Mutex<Death>> = OnceLock::new();

fn say(word: Word, op: &Op) {
    let said = Said { word, op: op.clone() };
    let line = format!("{}\n", serde_json::to_string(&said).unwrap());
    std::io::stdout().write_all(line.as_bytes()).unwrap();
    let mut death = DEATH.get().unwrap().lock().unwrap_or_else(PoisonError::into_inner);
    if death.times > 0 && death.word == word && death.point == op.point() {
        death.times -= 1;
    } else if death.times == 0 && death.lines > 0 {
        death.lines -= 1;
    }
    if death.times == 0 && death.lines == 0 {
        die_after(death.busy_us);
    }
}

fn die_after(busy_us: u64) {
    if busy_us == 0 {
        return die();
    }
    std::thread::spawn(move || {
        let until = Instant::now() + Duration::from_micros(busy_us);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        die();
    });
}

fn die() {
    kill_process(getpid(), Signal::KILL).unwrap();
}

/// Counts numbers of messages and times.
struct Child {
    path: PathBuf,
    next: AtomicU64,
    /// The message that some task labelled last.
    last: AtomicU64,
}

impl Child {
    fn next(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    async fn act(&self, store: &Store, op: Op) {
        say(Word::Before, &op);
        op.ask(store).await;
        say(Word::Acknowledged, &op);
    }

    fn open(&self) -> Arc<Store> {
        say(Word::Before, &Op::Open);
        let store = crate::open(&self.path);
        say(Word::Acknowledged, &Op::Open);
        Arc::new(store)
    }

    async fn learn(&self, store: &Store, count: u64) {
        let from = self.next.fetch_add(count, Ordering::Relaxed);
        let (to, at) = (from + count, self.next());
        self.act(store, Op::Learn { from, to, at }).await;
    }

    async fn label(&self, store: &Store) -> u64 {
        let n = self.next();
        self.act(store, Op::Begin(n)).await;
        let (at, junk) = (self.next(), n.is_multiple_of(2));
        self.act(store, Op::Label { n, at, junk }).await;
        if is_shown(n) {
            self.act(store, Op::Teach { n, at, junk }).await;
        }
        n
    }
}

/// Does its errand. A child that is not killed ends by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn child_that_is_killed() {
    let Some(errand) = std::env::var_os(CHILD) else { return };
    let errand: Errand = serde_json::from_str(errand.to_str().unwrap()).unwrap();
    println!();
    DEATH.set(Mutex::new(errand.death)).unwrap();
    let child = Arc::new(Child {
        path: errand.path,
        next: AtomicU64::new(errand.first),
        last: AtomicU64::new(0),
    });
    match errand.scene {
        Scene::Labels => many(&child, 6, labels).await,
        Scene::Learn => many(&child, 2, learn).await,
        Scene::Small => many(&child, 6, small).await,
        Scene::ExpireHistory => many(&child, 2, expire_history).await,
        Scene::ExpireSize => many(&child, 2, expire_size).await,
        Scene::Rebuild => rebuild(&child).await,
        Scene::Compact => compact(&child).await,
        Scene::Import => import(&child).await,
        Scene::Close => close(&child).await,
        Scene::Open => {
            child.label(&child.open()).await;
        }
    }
}

/// Several tasks that do the same, each told apart by its number.
async fn many<F: Future<Output = ()> + Send + 'static>(
    child: &Arc<Child>,
    tasks: u64,
    task: fn(Arc<Child>, Arc<Store>, u64) -> F,
) {
    let store = child.open();
    let start = |n| tokio::spawn(task(Arc::clone(child), Arc::clone(&store), n));
    for task in (0..tasks).map(start).collect::<Vec<_>>() {
        task.await.unwrap();
    }
    child.act(&store, Op::Close).await;
}

/// Says something of a message and then the opposite, forgets it, and now and then contradicts another task about a
/// message of that one's: whoever speaks last is right.
async fn labels(child: Arc<Child>, store: Arc<Store>, _: u64) {
    for round in 0..12 {
        let n = child.label(&store).await;
        let others = child.last.swap(n, Ordering::Relaxed);
        let (at, junk) = (child.next(), !n.is_multiple_of(2));
        child.act(&store, Op::Relabel { n, at, junk }).await;
        if round % 2 == 0 {
            let at = child.next();
            child.act(&store, Op::Forget { n, at }).await;
        }
        if round % 3 == 0 && others > 0 {
            let (n, at, junk) = (others, child.next(), round % 2 == 0);
            child.act(&store, Op::Relabel { n, at, junk }).await;
        }
    }
}

async fn learn(child: Arc<Child>, store: Arc<Store>, _: u64) {
    for _ in 0..12 {
        child.learn(&store, 40).await;
    }
}

async fn small(child: Arc<Child>, store: Arc<Store>, task: u64) {
    for round in 0..40 {
        let key = (round % 20) as u8;
        match task {
            0 | 1 => child.act(&store, Op::Seen(key)).await,
            2 => {
                child.act(&store, Op::Seen(key)).await;
                let at = child.next();
                child.act(&store, Op::Pass { key, at }).await;
            }
            3 => {
                let at = child.next();
                child.act(&store, Op::Sent { to: round % 20, at }).await;
            }
            4 => {
                let (name, value) = (key % 5, child.next());
                child.act(&store, Op::Cursor { name, value }).await;
            }
            _ => child.act(&store, Op::Ledger(key)).await,
        }
    }
}

/// One task learns and forgets what is old, in several steps; another one labels meanwhile.
async fn expire_history(child: Arc<Child>, store: Arc<Store>, task: u64) {
    if task > 0 {
        for _ in 0..100 {
            child.label(&store).await;
        }
        return;
    }
    for _ in 0..3 {
        // What a task that labels is in the middle of is younger: it does not take as long as three batches.
        let below = child.next() - 60;
        for _ in 0..3 {
            child.learn(&store, 150).await;
        }
        child.act(&store, Op::ExpireHistory(below)).await;
    }
}

/// One task begins messages and lets go of the oldest; another one writes mail meanwhile.
async fn expire_size(child: Arc<Child>, store: Arc<Store>, task: u64) {
    for _ in 0..3 {
        for _ in 0..40 {
            match task {
                0 => {
                    let n = child.next();
                    child.act(&store, Op::Begin(n)).await;
                }
                _ => {
                    let at = child.next();
                    child.act(&store, Op::Sent { to: at % 20, at }).await;
                }
            }
        }
        if task == 0 {
            child.act(&store, Op::ExpireSize(200_000)).await;
        }
    }
}

async fn rebuild(child: &Child) {
    let store = child.open();
    child.learn(&store, 200).await;
    for _ in 0..6 {
        child.act(&store, Op::Rebuild).await;
        child.label(&store).await;
    }
}

async fn compact(child: &Child) {
    for _ in 0..4 {
        let store = child.open();
        child.learn(&store, 100).await;
        for _ in 0..4 {
            child.label(&store).await;
        }
        let below = child.next() - 50;
        child.act(&store, Op::ExpireHistory(below)).await;
        child.act(&store, Op::Close).await;
        drop(store);
        say(Word::Before, &Op::Compact);
        Store::compact(&child.path).unwrap();
        say(Word::Acknowledged, &Op::Compact);
    }
}

async fn import(child: &Child) {
    let store = child.open();
    for op in imported() {
        child.act(&store, op).await;
    }
    child.act(&store, Op::Close).await;
}

/// What [`Scene::Import`] takes.
pub fn imported() -> impl Iterator<Item = Op> {
    (0..6).map(|n| Op::Learn {
        from: n * 60,
        to: n * 60 + 60,
        at: n * 60,
    })
}

async fn close(child: &Child) {
    for _ in 0..4 {
        let store = child.open();
        for _ in 0..5 {
            let n = child.label(&store).await;
            child.act(&store, Op::Finish(n)).await;
        }
        child.act(&store, Op::Close).await;
    }
}
