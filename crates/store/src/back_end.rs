//! What rules stand on: rows of one back-end or another, and how an intent is carried out there.
//!
//! An intent is a future over [`Rows`]. With the embedded back-end each answer is there at once, on the caller's thread for
//! whoever reads; whoever writes is run on the thread that writes, with others in one transaction. A distributed back-end
//! runs it where it is, and may be asked by several gateways at one time.

use crate::audit::{Stats, Verified};
use crate::error::{OpenError, StoreError};
use crate::greylist::GreylistKey;
use crate::history::SentRow;
use crate::id::MailwardId;
use crate::kept::KeptKey;
use crate::ledger::{Entry, LedgerKey};
use crate::memory::{self, MemoryDisk, MemoryTable};
use crate::policy::PolicyDigest;
use crate::shared::Secret;
use crate::sqlite::{self, SqlTable};
use crate::table::{Change, Condition, Found, LessonRow, Table};
use judge::junk::Seen;
use judge::resolver::BoxFuture;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use tokio::sync::oneshot;

/// A table of every back-end.
pub(crate) trait Stored: Table + SqlTable + MemoryTable {}

impl<T: Table + SqlTable + MemoryTable> Stored for T {}

/// The rows of a store.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rows<'a> {
    Sqlite(&'a sqlite::Rows),
    Memory(&'a memory::Rows),
}

/// Something that is done with rows.
pub(crate) trait Intent: Send + Sync + 'static {
    type Answer: Send + 'static;
    /// It may be written a little later, with something else, and is kept and tried again while nothing can be written.
    const IS_LAZY: bool = false;

    /// Does it. May be done again, if what it did was undone.
    fn run<'a>(&'a self, rows: Rows<'a>) -> BoxFuture<'a, Result<Self::Answer, StoreError>>;
}

/// Where a store is.
#[derive(Debug, Clone)]
pub(crate) enum Location {
    Sqlite(PathBuf),
    Memory(MemoryDisk),
}

/// A store that is open for writing.
#[derive(Debug)]
pub(crate) enum BackEnd {
    Sqlite(sqlite::Writer),
    Memory(MemoryWriter),
}

/// What a reader has.
#[derive(Debug)]
pub(crate) enum View {
    Sqlite(Box<sqlite::Rows>),
    Memory(memory::Rows),
}

impl Location {
    /// For writing. `at_ends` is done when the store is opened and when it is closed; `derive` where it lacks what is
    /// derived.
    pub(crate) fn open(&self, at_ends: Duty, derive: Duty) -> Result<BackEnd, OpenError> {
        Ok(match self {
            Location::Sqlite(path) => {
                let duties = sqlite::Duties {
                    at_ends: Box::new(move |rows| do_at_once(at_ends, rows)),
                    derive: Box::new(move |rows| do_at_once(derive, rows)),
                };
                BackEnd::Sqlite(sqlite::Writer::open(path, duties)?)
            }
            Location::Memory(disk) => BackEnd::Memory(MemoryWriter::open(disk, at_ends)?),
        })
    }

    /// For reading.
    pub(crate) fn view(&self) -> Result<View, OpenError> {
        Ok(match self {
            Location::Sqlite(path) => View::Sqlite(Box::new(sqlite::view(path)?)),
            Location::Memory(disk) => View::Memory(memory::Rows::new(disk, true)),
        })
    }
}

/// What is to be done with all rows at some times.
pub(crate) type Duty = for<'a> fn(Rows<'a>) -> BoxFuture<'a, Result<(), StoreError>>;

/// What goes wrong is with the rows.
fn do_at_once(duty: Duty, rows: &sqlite::Rows) {
    let _ = at_once(duty(Rows::Sqlite(rows)));
}

/// Waits for an answer on a thread that has nothing else to do.
pub(crate) fn wait_for<T>(mut future: BoxFuture<'_, T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => std::thread::yield_now(),
        }
    }
}

/// The answer of a future that waits for nothing.
fn at_once<T>(future: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => Err(StoreError::Unavailable("a rule waited for something else".to_owned())),
    }
}

/// As [`crate::Store::compact`].
pub(crate) fn compact(path: &Path, derive: Duty) -> Result<(u64, u64), OpenError> {
    sqlite::compact(path, &|rows| do_at_once(derive, rows))
}

impl BackEnd {
    /// Carries out an intent, and answers once it is synced.
    pub(crate) async fn perform<I: Intent>(&self, intent: I) -> Result<I::Answer, StoreError> {
        match self {
            BackEnd::Sqlite(writer) => {
                let (answer, wait) = oneshot::channel();
                let pending = Pending {
                    intent,
                    done: None,
                    answer: Some(answer),
                };
                writer.queue(Box::new(pending)).await?;
                // Without an answer the thread is gone.
                wait.await.unwrap_or_else(|_| Err(StoreError::closed()))
            }
            BackEnd::Memory(writer) => {
                writer.write_left().await?;
                intent.run(Rows::Memory(&writer.rows)).await
            }
        }
    }

    /// Carries out a lazy intent, and waits only for a place in its queue.
    pub(crate) async fn perform_later<I: Intent<Answer = ()>>(&self, intent: I) -> Result<(), StoreError> {
        match self {
            BackEnd::Sqlite(writer) => {
                let pending = Pending {
                    intent,
                    done: None,
                    answer: None,
                };
                writer.queue(Box::new(pending)).await
            }
            BackEnd::Memory(writer) => {
                writer.check_open()?;
                writer.lock().push(Box::new(intent));
                // What cannot be written now is written later.
                let _ = writer.write_left().await;
                Ok(())
            }
        }
    }

    /// How many synced and how many lazy writes wait.
    pub(crate) fn queued(&self) -> (usize, usize) {
        match self {
            BackEnd::Sqlite(writer) => writer.queued(),
            BackEnd::Memory(writer) => (0, writer.lock().len()),
        }
    }

    /// What a clean end does last.
    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        match self {
            BackEnd::Sqlite(writer) => writer.close().await,
            BackEnd::Memory(writer) => {
                writer.write_left().await?;
                writer.end().await
            }
        }
    }
}

/// An intent that waits for its turn.
struct Pending<I: Intent> {
    intent: I,
    done: Option<Result<I::Answer, StoreError>>,
    answer: Option<oneshot::Sender<Result<I::Answer, StoreError>>>,
}

impl<I: Intent> sqlite::Job for Pending<I> {
    fn is_lazy(&self) -> bool {
        I::IS_LAZY
    }

    fn run(&mut self, rows: &sqlite::Rows) {
        self.done = Some(at_once(self.intent.run(Rows::Sqlite(rows))));
    }

    fn answer(self: Box<Self>, written: Result<(), StoreError>) {
        let Some(answer) = self.answer else { return };
        let done = self.done.unwrap_or_else(|| Err(StoreError::closed()));
        // Nobody waits any more: not an error.
        let _ = answer.send(written.and(done));
    }
}

/// A handle of a store in memory.
pub(crate) struct MemoryWriter {
    rows: memory::Rows,
    disk: MemoryDisk,
    /// What is lazy and is not written yet.
    left: Mutex<Vec<Box<dyn Later>>>,
    at_ends: Duty,
    is_closed: AtomicBool,
}

impl std::fmt::Debug for MemoryWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.rows.fmt(f)
    }
}

/// A lazy intent of any kind.
trait Later: Send + Sync {
    fn run_later<'a>(&'a self, rows: Rows<'a>) -> BoxFuture<'a, Result<(), StoreError>>;
}

impl<I: Intent<Answer = ()>> Later for I {
    fn run_later<'a>(&'a self, rows: Rows<'a>) -> BoxFuture<'a, Result<(), StoreError>> {
        self.run(rows)
    }
}

impl MemoryWriter {
    fn open(disk: &MemoryDisk, at_ends: Duty) -> Result<MemoryWriter, OpenError> {
        let writer = MemoryWriter {
            rows: memory::Rows::new(disk, false),
            disk: disk.clone(),
            left: Mutex::new(Vec::new()),
            at_ends,
            is_closed: AtomicBool::new(false),
        };
        if disk.begin_writing() {
            let settled = wait_for(at_ends(Rows::Memory(&writer.rows)));
            settled.map_err(|why| OpenError::Database(why.to_string()))?;
        }
        Ok(writer)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Box<dyn Later>>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_open(&self) -> Result<(), StoreError> {
        match self.is_closed.load(Ordering::Relaxed) {
            true => Err(StoreError::closed()),
            false => Ok(()),
        }
    }

    /// The last one leaves nothing that only a model in memory needs.
    async fn end(&self) -> Result<(), StoreError> {
        self.is_closed.store(true, Ordering::Relaxed);
        match self.disk.end_writing() {
            true => (self.at_ends)(Rows::Memory(&self.rows)).await,
            false => Ok(()),
        }
    }

    async fn write_left(&self) -> Result<(), StoreError> {
        self.check_open()?;
        let left = std::mem::take(&mut *self.lock());
        for (at, intent) in left.iter().enumerate() {
            if let Err(why) = intent.run_later(Rows::Memory(&self.rows)).await {
                let unwritten = left.into_iter().skip(at);
                self.lock().splice(0..0, unwritten);
                return Err(why);
            }
        }
        Ok(())
    }
}

/// Writes what is left, where that can be written.
impl Drop for MemoryWriter {
    fn drop(&mut self) {
        if !self.is_closed.load(Ordering::Relaxed) {
            let end = async {
                self.write_left().await?;
                self.end().await
            };
            // What cannot be written is lost, as it would be on a disk.
            let _ = wait_for(Box::pin(end));
        }
    }
}

impl View {
    pub(crate) fn rows(&self) -> Rows<'_> {
        match self {
            View::Sqlite(rows) => Rows::Sqlite(rows),
            View::Memory(rows) => Rows::Memory(rows),
        }
    }

    /// From now on all questions are as of this moment, where the back-end has such.
    pub(crate) fn begin_moment(&self) -> Result<(), StoreError> {
        match self {
            View::Sqlite(rows) => rows.begin_moment(),
            View::Memory(_) => Ok(()),
        }
    }

    /// Whether a moment that was begun, if one was, is over.
    pub(crate) fn end_moment(&self) -> bool {
        match self {
            View::Sqlite(rows) => rows.end_moment(),
            View::Memory(_) => true,
        }
    }
}

impl Rows<'_> {
    /// Nobody else changes anything before an intent is carried out to its end, and all of it is synced or nothing.
    pub(crate) fn is_alone(self) -> bool {
        matches!(self, Rows::Sqlite(_))
    }

    /// What is derived is made with what it is derived from, and not left for later.
    pub(crate) fn folds_at_once(self) -> bool {
        match self {
            Rows::Sqlite(_) => true,
            Rows::Memory(rows) => rows.folds_at_once(),
        }
    }

    /// A row.
    pub(crate) async fn get<T: Stored>(
        self,
        partition: &T::Partition,
        key: &T::Key,
    ) -> Result<Option<T::Row>, StoreError> {
        match self {
            Rows::Sqlite(rows) => rows.get::<T>(partition, key),
            Rows::Memory(rows) => rows.get::<T>(partition, key).await,
        }
    }

    /// The first rows of a partition.
    pub(crate) async fn first<T: Stored>(self, partition: &T::Partition, limit: u32) -> Result<Found<T>, StoreError> {
        match self {
            Rows::Sqlite(rows) => rows.first::<T>(partition, limit),
            Rows::Memory(rows) => rows.first::<T>(partition, limit).await,
        }
    }

    /// How many rows a partition has.
    pub(crate) async fn count<T: Stored>(self, partition: &T::Partition) -> Result<u32, StoreError> {
        match self {
            Rows::Sqlite(rows) => rows.count::<T>(partition),
            Rows::Memory(rows) => rows.count::<T>(partition).await,
        }
    }

    /// Changes rows of a partition, all or none. Whether the condition held.
    pub(crate) async fn commit<T: Stored>(
        self,
        partition: &T::Partition,
        condition: &Condition<T>,
        changes: &[Change<T>],
    ) -> Result<bool, StoreError> {
        match self {
            Rows::Sqlite(rows) => rows.commit(partition, condition, changes),
            Rows::Memory(rows) => rows.commit(partition, condition, changes).await,
        }
    }

    /// Puts a row, or removes it, whatever stands there with a lower stamp.
    pub(crate) async fn set<T: Stored>(
        self,
        partition: &T::Partition,
        key: T::Key,
        row: Option<T::Row>,
        stamp: i64,
    ) -> Result<(), StoreError> {
        let change: Change<T> = Change { key, row, stamp };
        self.commit(partition, &Condition::Always, &[change]).await.map(|_| ())
    }

    /// Puts or removes the only row of a partition, if it is as it was read. Whether it was.
    pub(crate) async fn swap<T: Stored>(
        self,
        partition: &T::Partition,
        key: T::Key,
        before: Option<T::Row>,
        row: Option<T::Row>,
    ) -> Result<bool, StoreError> {
        let condition: Condition<T> = Condition::Unchanged(key.clone(), before);
        let change = Change { key, row, stamp: 0 };
        self.commit(partition, &condition, &[change]).await
    }

    /// Deliveries whose label is not folded yet.
    pub(crate) async fn unfolded(self) -> Result<Vec<(String, MailwardId)>, StoreError> {
        match self {
            Rows::Sqlite(_) => Ok(Vec::new()),
            Rows::Memory(rows) => rows.unfolded().await,
        }
    }

    /// Takes away what only damage leaves.
    pub(crate) fn mend(self) -> Result<(), StoreError> {
        match self {
            Rows::Sqlite(rows) => rows.mend(),
            Rows::Memory(_) => Ok(()),
        }
    }

    /// What the back-end says of its own soundness.
    pub(crate) async fn verify_layout(self, verified: &mut Verified) -> Result<(), StoreError> {
        match self {
            Rows::Sqlite(rows) => rows.verify_layout(verified),
            Rows::Memory(rows) => rows.verify_layout(verified).await,
        }
    }
}

/// What is asked over many partitions, of whichever back-end there is.
macro_rules! scans {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {
        impl Rows<'_> {
            $($(#[$doc])*
            pub(crate) async fn $name(self, $($argument: $kind),*) -> Result<$answer, StoreError> {
                match self {
                    Rows::Sqlite(rows) => rows.$name($($argument),*),
                    Rows::Memory(rows) => rows.$name($($argument),*).await,
                }
            })*
        }
    };
}

scans! {
    /// Messages with ids from one on and below another, the highest first, and when they came.
    messages(from: MailwardId, below: Option<MailwardId>, limit: u32) -> Vec<(MailwardId, i64)>;
    /// Messages below an id, the lowest first.
    oldest_messages(below: Option<MailwardId>, limit: u32) -> Vec<MailwardId>;
    /// The day that stands with a policy.
    policy_day(digest: PolicyDigest) -> Option<i64>;
    /// Policies that no record of a day or later needs.
    policies_before(day: i64) -> Vec<PolicyDigest>;
    /// Labels of messages that came before a time, the oldest first.
    oldest_labels(before_s: i64, limit: u32) -> Vec<(String, MailwardId)>;
    /// Mail that was sent before a time, the oldest first; of those that were sent at one time all or none.
    oldest_sent(before_s: i64, limit: u32) -> Vec<SentRow>;
    /// Lessons of the oldest messages.
    oldest_lessons(limit: u32) -> Vec<(String, MailwardId)>;
    /// Lessons of a mailbox that say something, past the newest.
    lessons_past(mailbox: &str, keep: u32, limit: u32) -> Vec<MailwardId>;
    /// Lessons that were taught and say something else by now, or nothing.
    stale_lessons(limit: u32) -> Vec<(String, MailwardId)>;
    /// Lessons of a mailbox past an id, in order of ids.
    lessons(mailbox: &str, after: Option<MailwardId>, limit: u32) -> Vec<(MailwardId, LessonRow)>;
    /// The same, only those of which a model has something else than they say.
    open_lessons(mailbox: &str, after: Option<MailwardId>, limit: u32) -> Vec<(MailwardId, LessonRow)>;
    /// Mailboxes past a name with lessons that say something, in order of names: how many say what.
    learners(after: &str, limit: u32) -> Vec<(String, Seen)>;
    /// Entries of the greylist that end at a time or before, those that end first.
    ended_greylist(now_s: i64, limit: u32) -> Vec<GreylistKey>;
    /// Copies that end at a time or before, those that end first.
    ended_copies(now_s: i64, limit: u32) -> Vec<(String, KeptKey)>;
    /// Octets of all copies that a check kept.
    copies_octets(source: &str) -> u64;
    /// All of who has a message that will come again.
    delivered() -> Vec<(LedgerKey, Entry)>;
    /// The mailbox past a name that has, or had, rows.
    mailbox_after(name: &str) -> Option<String>;
    /// Deliveries of a mailbox past an id of which something was said, in order of ids.
    labelled(mailbox: &str, after: Option<MailwardId>, limit: u32) -> Vec<MailwardId>;
    /// Mail that a mailbox's owner sent, past a domain, local part and organization.
    sent(mailbox: &str, after: [&str; 3], limit: u32) -> Vec<SentRow>;
    /// Takes away all that is derived.
    clear_derived() -> ();
    /// A key that was made with the store.
    secret(name: &'static str) -> Secret;
    /// As [`crate::Store::used_octets`].
    used_octets() -> u64;
    /// How much there is of everything.
    stats() -> Stats;
}
