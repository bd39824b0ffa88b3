//! Writing: one thread owns the only connection that writes, and a queue stands before it.
//!
//! While one group is synced the next one gathers, so a busy store syncs once for many intents and an idle one at
//! once. Each job holds a place in its queue until it is done; so the queues are bounded, and lazy work that piles
//! up behind a full disk takes no place from synced work.

use super::layout;
use super::rows::Rows;
use crate::error::{OpenError, StoreError};
use rusqlite::ErrorCode;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

/// Synced jobs that wait for their turn; whoever comes later waits before the queue.
const SYNCED_MAX: usize = 1024;
/// Lazy jobs that are not yet written.
const LAZY_MAX: usize = 4096;
/// Jobs in one transaction, so that the first of them does not wait for ever.
const GROUP_MAX: usize = 256;
/// How long lazy work waits for synced work to be written with.
const LAZY_WAIT: Duration = Duration::from_millis(100);
/// How long lazy work waits after a write failed.
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// One thing to write.
pub(crate) trait Job: Send {
    /// It need not be written at once, and is kept and tried again while nothing can be written.
    fn is_lazy(&self) -> bool;

    /// Runs it, within a transaction, and remembers what came of it. It may be run again if the transaction is undone.
    fn run(&mut self, rows: &Rows);

    /// Tells whoever waits: what came of it, once that is synced, or that it could not be written.
    fn answer(self: Box<Self>, written: Result<(), StoreError>);
}

/// What is done with rules that stand above, each in a transaction.
pub(crate) struct Duties {
    /// When the database is opened and when it is closed: no model is in memory.
    pub(crate) at_ends: Box<dyn Fn(&Rows) + Send>,
    /// When the database lacks what is derived.
    pub(crate) derive: Box<dyn Fn(&Rows) + Send>,
}

/// The handle that callers have.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Queued>,
    synced: Arc<Semaphore>,
    lazy: Arc<Semaphore>,
    trouble: watch::Receiver<Trouble>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Why the last group could not be written, if it could not.
type Trouble = Option<String>;

enum Queued {
    Job(Box<dyn Job>, OwnedSemaphorePermit),
    Close(Option<oneshot::Sender<Result<(), StoreError>>>),
}

impl Writer {
    /// Locks and opens the database, and starts the thread.
    pub(crate) fn open(path: &Path, duties: Duties) -> Result<Writer, OpenError> {
        let lock = layout::lock(path)?;
        let mut database = Database {
            rows: Some(layout::open(path, &duties.derive)?),
            path: path.to_owned(),
            duties,
            _lock: lock,
        };
        database.settle().map_err(OpenError::Database)?;
        let (queue, jobs) = mpsc::channel();
        let (tell, trouble) = watch::channel(None);
        let work = move || WriterThread { database, tell }.run(jobs);
        let thread = thread::Builder::new().name("store-write".to_owned()).spawn(work)?;
        Ok(Writer {
            queue,
            synced: Arc::new(Semaphore::new(SYNCED_MAX)),
            lazy: Arc::new(Semaphore::new(LAZY_MAX)),
            trouble,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Queues a job. Waits for a place; lazy work does not wait for a disk that is full.
    pub(crate) async fn queue(&self, job: Box<dyn Job>) -> Result<(), StoreError> {
        let places = if job.is_lazy() { &self.lazy } else { &self.synced };
        let place = match Arc::clone(places).try_acquire_owned() {
            Ok(place) => place,
            Err(_) if job.is_lazy() => self.lazy_place().await?,
            Err(_) => Arc::clone(places)
                .acquire_owned()
                .await
                .map_err(|_| StoreError::closed())?,
        };
        self.queue
            .send(Queued::Job(job, place))
            .map_err(|_| StoreError::closed())
    }

    async fn lazy_place(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        let mut trouble = self.trouble.clone();
        tokio::select! {
            biased;
            place = Arc::clone(&self.lazy).acquire_owned() => place.map_err(|_| StoreError::closed()),
            why = trouble.wait_for(Option::is_some) => match why {
                Ok(why) => Err(StoreError::Unavailable(why.clone().unwrap_or_default())),
                Err(_) => Err(StoreError::closed()),
            },
        }
    }

    /// Synced and lazy jobs that hold a place.
    pub(crate) fn queued(&self) -> (usize, usize) {
        let taken = |max: usize, places: &Semaphore| max.saturating_sub(places.available_permits());
        (taken(SYNCED_MAX, &self.synced), taken(LAZY_MAX, &self.lazy))
    }

    /// Writes what is queued, and closes the database.
    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        let (answer, wait) = oneshot::channel();
        self.queue
            .send(Queued::Close(Some(answer)))
            .map_err(|_| StoreError::closed())?;
        // Without an answer the thread is gone.
        let closed = wait.await.unwrap_or_else(|_| Err(StoreError::closed()));
        self.join();
        closed
    }

    fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic of that thread was answered to all who waited.
            let _ = thread.join();
        }
    }
}

/// Writes what is queued, and waits for it.
impl Drop for Writer {
    fn drop(&mut self) {
        // Already closed: nothing to do.
        let _ = self.queue.send(Queued::Close(None));
        self.join();
    }
}

struct Waiting {
    job: Box<dyn Job>,
    _place: OwnedSemaphorePermit,
}

struct WriterThread {
    database: Database,
    tell: watch::Sender<Trouble>,
}

type Closing = Option<oneshot::Sender<Result<(), StoreError>>>;

impl WriterThread {
    /// Runs until it is closed.
    fn run(&mut self, queue: mpsc::Receiver<Queued>) {
        let mut group: Vec<Waiting> = Vec::new();
        // Goes before the group does, also in a panic: whoever gets a place that is freed then finds the queue closed.
        let queue = queue;
        let mut lazy_until = None;
        loop {
            let closing = gather(&queue, &mut group, lazy_until);
            let now = Instant::now();
            let due = closing.is_some() || lazy_until.is_some_and(|until| until <= now);
            if due || group.iter().any(|waiting| !waiting.job.is_lazy()) {
                // In trouble, lazy work is tried again in its own time, not with each message that is answered 451.
                let held = match &*self.tell.borrow() {
                    Some(_) if !due => group.extract_if(.., |waiting| waiting.job.is_lazy()).collect(),
                    _ => Vec::new(),
                };
                if held.is_empty() {
                    lazy_until = None;
                }
                self.write(&mut group);
                group.splice(0..0, held);
            }
            if let Some(answer) = closing {
                return self.close(&group, answer);
            }
            if !group.is_empty() && lazy_until.is_none() {
                let wait = if self.tell.borrow().is_some() {
                    RETRY_WAIT
                } else {
                    LAZY_WAIT
                };
                lazy_until = Some(now + wait);
            }
        }
    }

    /// Writes a group and answers all who wait. What is lazy and cannot be written stays in it, in its order.
    fn write(&mut self, group: &mut Vec<Waiting>) {
        let trouble = match self.database.transact(group) {
            Ok(()) => {
                group.drain(..).for_each(|waiting| waiting.job.answer(Ok(())));
                None
            }
            Err(why) => {
                for waiting in group.extract_if(.., |waiting| !waiting.job.is_lazy()) {
                    waiting.job.answer(Err(StoreError::Unavailable(why.clone())));
                }
                Some(why)
            }
        };
        self.tell.send_if_modified(|before| {
            let changed = *before != trouble;
            *before = trouble;
            changed
        });
    }

    fn close(&mut self, left: &[Waiting], answer: Closing) {
        let result = match (&*self.tell.borrow(), left) {
            (Some(why), [_, ..]) => Err(StoreError::Unavailable(why.clone())),
            _ => self.database.close(),
        };
        if let Some(answer) = answer {
            // Nobody waits any more: not an error.
            let _ = answer.send(result);
        }
    }
}

/// Waits for one job, or until lazy work is due, and takes what else is there. `Some` means to close.
fn gather(queue: &mpsc::Receiver<Queued>, group: &mut Vec<Waiting>, lazy_until: Option<Instant>) -> Option<Closing> {
    let first = match lazy_until {
        None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
        Some(until) => queue.recv_timeout(until.saturating_duration_since(Instant::now())),
    };
    let first = match first {
        Ok(queued) => queued,
        Err(RecvTimeoutError::Timeout) => return None,
        Err(RecvTimeoutError::Disconnected) => return Some(None),
    };
    for queued in std::iter::once(first).chain(queue.try_iter().take(GROUP_MAX - 1)) {
        match queued {
            Queued::Close(answer) => return Some(answer),
            Queued::Job(job, place) => group.push(Waiting { job, _place: place }),
        }
    }
    None
}

/// The database, as the thread that writes has it.
struct Database {
    path: PathBuf,
    /// `None` after trouble that a new connection may mend.
    rows: Option<Rows>,
    duties: Duties,
    /// Held as long as the database is open.
    _lock: File,
}

impl Database {
    /// Runs a group in one transaction.
    fn transact(&mut self, group: &mut [Waiting]) -> Result<(), String> {
        self.in_transaction(|rows, _| {
            for waiting in group.iter_mut() {
                waiting.job.run(rows);
                // Nothing of a transaction that has failed counts.
                if rows.lock().trouble.is_some() {
                    return;
                }
            }
        })
    }

    fn settle(&mut self) -> Result<(), String> {
        self.in_transaction(|rows, duties| (duties.at_ends)(rows))
    }

    fn in_transaction(&mut self, work: impl FnOnce(&Rows, &Duties)) -> Result<(), String> {
        let rows = match self.rows.take() {
            Some(rows) => rows,
            None => layout::open(&self.path, &self.duties.derive).map_err(|why| why.to_string())?,
        };
        match rows.in_transaction(|rows| work(rows, &self.duties)) {
            Ok(()) => {
                self.rows = Some(rows);
                Ok(())
            }
            Err(why) => {
                self.rows = recovered(rows, &why);
                Err(why.to_string())
            }
        }
    }

    /// Forgets what only a model in memory needs, moves the log into the database and syncs it.
    fn close(&mut self) -> Result<(), StoreError> {
        if self.rows.is_none() {
            return Ok(());
        }
        self.settle().map_err(StoreError::Unavailable)?;
        let checkpoint = |rows: &Rows| {
            rows.ask(|db| {
                db.connection
                    .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
            })
        };
        self.rows.as_ref().map_or(Ok(()), checkpoint)
    }
}

/// Ends the transaction that failed. The connection is kept where it can be: it knows how far the log was synced,
/// and writes over the rest, while a new one would take unsynced pages of the log for good.
fn recovered(rows: Rows, why: &rusqlite::Error) -> Option<Rows> {
    let is_broken = matches!(
        why.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::CannotOpen | ErrorCode::ReadOnly)
    );
    // Some errors have already ended it.
    let is_ended = {
        let mut db = rows.lock();
        db.forget_unwritten();
        db.connection.is_autocommit() || db.connection.execute_batch("ROLLBACK").is_ok()
    };
    (is_ended && !is_broken).then_some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Lost(bool, Option<oneshot::Sender<Result<(), StoreError>>>);

    impl Job for Lost {
        fn is_lazy(&self) -> bool {
            self.0
        }

        fn run(&mut self, _: &Rows) {}

        fn answer(mut self: Box<Self>, written: Result<(), StoreError>) {
            if let Some(answer) = self.1.take() {
                let _ = answer.send(written);
            }
        }
    }

    /// A writer whose thread takes `jobs` jobs and then panics.
    fn doomed(jobs_taken: usize) -> Writer {
        let (queue, jobs) = mpsc::channel::<Queued>();
        let (tell, trouble) = watch::channel(None);
        let thread = thread::spawn(move || {
            let _tell = tell;
            let _taken: Vec<Queued> = jobs.iter().take(jobs_taken).collect();
            drop(jobs);
            std::panic::resume_unwind(Box::new("doomed"));
        });
        Writer {
            queue,
            synced: Arc::new(Semaphore::new(SYNCED_MAX)),
            lazy: Arc::new(Semaphore::new(1)),
            trouble,
            thread: Mutex::new(Some(thread)),
        }
    }

    async fn write(writer: &Writer) -> Result<(), StoreError> {
        let (answer, wait) = oneshot::channel();
        writer.queue(Box::new(Lost(false, Some(answer)))).await?;
        wait.await.unwrap_or_else(|_| Err(StoreError::closed()))
    }

    #[tokio::test]
    async fn a_dead_thread_is_unavailable_to_all_and_hangs_nobody() {
        let writer = doomed(1);
        assert_eq!(write(&writer).await, Err(StoreError::closed()));
        assert_eq!(write(&writer).await, Err(StoreError::closed()));
        assert_eq!(writer.close().await, Err(StoreError::closed()));

        // One waits for a place that the thread took with it.
        let writer = doomed(2);
        writer.queue(Box::new(Lost(true, None))).await.unwrap();
        let lazy = writer.queue(Box::new(Lost(true, None)));
        let (second, third) = tokio::join!(lazy, write(&writer));
        assert_eq!((second, third), (Err(StoreError::closed()), Err(StoreError::closed())));
    }
}
