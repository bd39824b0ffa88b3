//! Writing: one thread owns the only handle of the back-end that writes, and a queue stands before it.
//!
//! While one group is synced the next one gathers, so a busy store syncs once for many writes and an idle one at
//! once. Each job holds a place in its queue until it is done; so the queues are bounded, and lazy work that piles
//! up behind a full disk takes no place from synced work.

use crate::back_end::BackEnd;
use crate::error::{OpenError, StoreError};
use crate::greylist::{GreylistKey, Greylisted};
use crate::history::SentRow;
use crate::id::MailwardId;
use crate::kept::{Kept, KeptKey};
use crate::label::{LabelRow, Labelled};
use crate::ledger::LedgerKey;
use crate::lesson::Taught;
use crate::rows::{EndingRow, RecordRows};
use mail::MailboxId;
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

/// The handle that callers have.
#[derive(Debug)]
pub(crate) struct Writer {
    jobs: mpsc::Sender<Job>,
    synced: Arc<Semaphore>,
    lazy: Arc<Semaphore>,
    trouble: watch::Receiver<Trouble>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Why the last group could not be written, if it could not.
pub(crate) type Trouble = Option<String>;

/// Where the result of a synced job goes.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// One thing to write.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) work: Work,
    _place: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
pub(crate) enum Work {
    Begin(RecordRows, Answer<()>),
    /// Lazy.
    Finish(MailwardId, EndingRow),
    /// Makes the disk's entries equal those in memory.
    LedgerSync(Vec<LedgerKey>, Answer<()>),
    /// The same, lazy.
    LedgerDrop(LedgerKey),
    /// Each is told apart what came of it.
    Remember(Vec<Memory>, Answer<Vec<Told>>),
    /// Folds what is still to be folded.
    Settle(Answer<()>),
    /// Makes what is derived anew.
    Rebuild(Answer<()>),
    GreylistSeen(GreylistKey, GreylistTimes, Answer<Greylisted>),
    GreylistPass(GreylistKey, GreylistTimes, Answer<Option<Greylisted>>),
    /// Puts a row, and removes the oldest ones of its mailbox past a number.
    Keep(Box<Kept>, u32, Answer<Vec<Kept>>),
    /// Lazy: whoever got the message has it already.
    KeptTake(MailboxId, KeptKey, Answer<Vec<Kept>>),
    /// One step of removing those that end at this time or before.
    KeptExpire(i64, Answer<Vec<Kept>>),
    /// Of a mailbox, what a model has of its lessons.
    Teach(String, Vec<Taught>, Answer<Vec<bool>>),
    /// One step of letting the oldest lessons of a mailbox fade, past so many. Gives how many did.
    Fade(String, u32, Answer<u64>),
    /// `None` removes it.
    Cursor(String, Option<Vec<u8>>, Answer<()>),
    /// One step of forgetting. Gives the number of things that went.
    Expire(Expire, Answer<u64>),
    Close(Option<Answer<()>>),
}

/// What is forgotten in steps.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expire {
    /// Messages below the id.
    Records(MailwardId),
    /// The oldest things, if more than so many octets are used.
    ToSize(u64),
    /// Labels of messages that came before this time, and mail that was sent before it.
    History(i64),
    /// Greylist entries that end at this time or before.
    Greylist(i64),
}

/// One thing that makes history.
#[derive(Debug)]
pub(crate) enum Memory {
    /// Of a delivery that was recorded here, or is labelled already.
    Label(LabelRow, MailboxId),
    /// Of whatever delivery.
    Learnt(LabelRow),
    Sent(SentRow),
}

/// What came of a [`Memory`].
#[derive(Debug)]
pub(crate) enum Told {
    Labelled(Labelled),
    Failed(StoreError),
    Kept,
}

/// When a greylist entry was touched, and how long it lives then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GreylistTimes {
    pub(crate) now_s: i64,
    pub(crate) expires_s: i64,
}

/// What came of one job of a group, to be told once the group is synced.
#[derive(Debug)]
pub(crate) enum Done {
    Written,
    IdTaken,
    Expired(u64),
    Told(Vec<Told>),
    Greylisted(Option<Greylisted>),
    Kept(Vec<Kept>),
    Taught(Vec<bool>),
}

impl Work {
    pub(crate) fn is_lazy(&self) -> bool {
        matches!(self, Work::Finish(..) | Work::LedgerDrop(_) | Work::KeptTake(..))
    }

    /// Tells the one who waits, if somebody does.
    pub(crate) fn answer(self, done: Result<Done, StoreError>) {
        fn tell<T>(answer: Answer<T>, result: Result<T, StoreError>) {
            // Nobody waits any more: not an error.
            let _ = answer.send(result);
        }
        match self {
            Work::Begin(_, answer) => tell(
                answer,
                done.and_then(|done| match done {
                    Done::IdTaken => Err(StoreError::IdTaken),
                    _ => Ok(()),
                }),
            ),
            Work::LedgerSync(_, answer) | Work::Settle(answer) | Work::Rebuild(answer) | Work::Cursor(_, _, answer) => {
                tell(answer, done.map(|_| ()))
            }
            Work::Remember(_, answer) => tell(
                answer,
                done.map(|done| match done {
                    Done::Told(told) => told,
                    _ => Vec::new(),
                }),
            ),
            Work::GreylistSeen(_, times, answer) => tell(
                answer,
                done.map(|done| match done {
                    Done::Greylisted(Some(entry)) => entry,
                    _ => Greylisted::new(times),
                }),
            ),
            Work::GreylistPass(_, _, answer) => tell(
                answer,
                done.map(|done| match done {
                    Done::Greylisted(entry) => entry,
                    _ => None,
                }),
            ),
            Work::Keep(_, _, answer) | Work::KeptTake(_, _, answer) | Work::KeptExpire(_, answer) => tell(
                answer,
                done.map(|done| match done {
                    Done::Kept(kept) => kept,
                    _ => Vec::new(),
                }),
            ),
            Work::Teach(_, _, answer) => tell(
                answer,
                done.map(|done| match done {
                    Done::Taught(taken) => taken,
                    _ => Vec::new(),
                }),
            ),
            Work::Expire(_, answer) | Work::Fade(_, _, answer) => tell(
                answer,
                done.map(|done| match done {
                    Done::Expired(count) => count,
                    _ => 0,
                }),
            ),
            Work::Finish(..) | Work::LedgerDrop(_) | Work::Close(_) => {}
        }
    }
}

/// What callers hear when a thread of the store is gone.
pub(crate) fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn over(back_end: BackEnd) -> Result<Writer, OpenError> {
        let (jobs, queue) = mpsc::channel();
        let (tell, trouble) = watch::channel(None);
        let work = move || {
            let mut thread = WriterThread { back_end, tell };
            thread.run(queue);
        };
        let thread = thread::Builder::new().name("store-write".to_owned()).spawn(work)?;
        Ok(Writer {
            jobs,
            synced: Arc::new(Semaphore::new(SYNCED_MAX)),
            lazy: Arc::new(Semaphore::new(LAZY_MAX)),
            trouble,
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(crate) async fn begin(&self, rows: RecordRows) -> Result<(), StoreError> {
        self.synced(|answer| Work::Begin(rows, answer)).await
    }

    pub(crate) async fn finish(&self, id: MailwardId, row: EndingRow) -> Result<(), StoreError> {
        self.lazy(Work::Finish(id, row)).await
    }

    pub(crate) async fn ledger_sync(&self, keys: Vec<LedgerKey>) -> Result<(), StoreError> {
        self.synced(|answer| Work::LedgerSync(keys, answer)).await
    }

    pub(crate) async fn ledger_drop(&self, key: LedgerKey) -> Result<(), StoreError> {
        self.lazy(Work::LedgerDrop(key)).await
    }

    pub(crate) async fn remember(&self, memories: Vec<Memory>) -> Result<Vec<Told>, StoreError> {
        self.synced(|answer| Work::Remember(memories, answer)).await
    }

    pub(crate) async fn kept_take(&self, mailbox: MailboxId, key: KeptKey) -> Result<Option<Kept>, StoreError> {
        let (answer, wait) = oneshot::channel();
        self.lazy(Work::KeptTake(mailbox, key, answer)).await?;
        let mut kept = wait.await.unwrap_or_else(|_| Err(closed()))?;
        Ok(kept.pop())
    }

    pub(crate) async fn expire(&self, what: Expire) -> Result<u64, StoreError> {
        self.in_steps(|answer| Work::Expire(what, answer)).await
    }

    /// Until a step removes nothing.
    pub(crate) async fn in_steps(&self, step: impl Fn(Answer<u64>) -> Work) -> Result<u64, StoreError> {
        let mut total = 0;
        loop {
            match self.synced(&step).await? {
                0 => return Ok(total),
                some => total += some,
            }
        }
    }

    /// Synced and lazy jobs that hold a place.
    pub(crate) fn queued(&self) -> (usize, usize) {
        let taken = |max: usize, places: &Semaphore| max.saturating_sub(places.available_permits());
        (taken(SYNCED_MAX, &self.synced), taken(LAZY_MAX, &self.lazy))
    }

    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        let closed = self.synced(|answer| Work::Close(Some(answer))).await;
        self.join();
        closed
    }

    pub(crate) async fn synced<T>(&self, work: impl FnOnce(Answer<T>) -> Work) -> Result<T, StoreError> {
        let place = Arc::clone(&self.synced).acquire_owned().await.map_err(|_| closed())?;
        let (answer, wait) = oneshot::channel();
        self.send(work(answer), Some(place))?;
        // Without an answer the thread is gone.
        wait.await.unwrap_or_else(|_| Err(closed()))
    }

    async fn lazy(&self, work: Work) -> Result<(), StoreError> {
        let place = match Arc::clone(&self.lazy).try_acquire_owned() {
            Ok(place) => place,
            Err(_) => self.lazy_place().await?,
        };
        self.send(work, Some(place))
    }

    /// Waits for a place, but not for a disk that is full.
    async fn lazy_place(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        let mut trouble = self.trouble.clone();
        tokio::select! {
            biased;
            place = Arc::clone(&self.lazy).acquire_owned() => place.map_err(|_| closed()),
            why = trouble.wait_for(Option::is_some) => match why {
                Ok(why) => Err(StoreError::Unavailable(why.clone().unwrap_or_default())),
                Err(_) => Err(closed()),
            },
        }
    }

    fn send(&self, work: Work, place: Option<OwnedSemaphorePermit>) -> Result<(), StoreError> {
        self.jobs.send(Job { work, _place: place }).map_err(|_| closed())
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
        let _ = self.send(Work::Close(None), None);
        self.join();
    }
}

struct WriterThread {
    back_end: BackEnd,
    tell: watch::Sender<Trouble>,
}

impl WriterThread {
    /// Runs until it is closed.
    fn run(&mut self, queue: mpsc::Receiver<Job>) {
        let mut group: Vec<Job> = Vec::new();
        // Goes before the group does, also in a panic: whoever gets a place that is freed then finds the queue closed.
        let queue = queue;
        let mut lazy_until = None;
        loop {
            let closing = self.gather(&queue, &mut group, lazy_until);
            let now = Instant::now();
            let due = closing.is_some() || lazy_until.is_some_and(|until| until <= now);
            if due || group.iter().any(|job| !job.work.is_lazy()) {
                // In trouble, lazy work is tried again in its own time, not with each message that is answered 451.
                let held = match &*self.tell.borrow() {
                    Some(_) if !due => group.extract_if(.., |job| job.work.is_lazy()).collect(),
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

    /// Waits for one job, or until lazy work is due, and takes what else is there. `Some` means to close.
    fn gather(
        &self,
        queue: &mpsc::Receiver<Job>,
        group: &mut Vec<Job>,
        lazy_until: Option<Instant>,
    ) -> Option<Option<Answer<()>>> {
        let first = match lazy_until {
            None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(until) => queue.recv_timeout(until.saturating_duration_since(Instant::now())),
        };
        let first = match first {
            Ok(job) => job,
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => return Some(None),
        };
        for job in std::iter::once(first).chain(queue.try_iter().take(GROUP_MAX - 1)) {
            match job.work {
                Work::Close(answer) => return Some(answer),
                _ => group.push(job),
            }
        }
        None
    }

    /// Writes a group. What is lazy and cannot be written stays in it, in its order.
    fn write(&mut self, group: &mut Vec<Job>) {
        let trouble = self.back_end.write(group);
        self.tell.send_if_modified(|before| {
            let changed = *before != trouble;
            *before = trouble;
            changed
        });
    }

    fn close(&mut self, left: &[Job], answer: Option<Answer<()>>) {
        let result = match (&*self.tell.borrow(), left) {
            (Some(why), [_, ..]) => Err(StoreError::Unavailable(why.clone())),
            _ => self.back_end.close(),
        };
        if let Some(answer) = answer {
            // Nobody waits any more: not an error.
            let _ = answer.send(result);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> EndingRow {
        EndingRow {
            took_ms: 1,
            reply: "{}".to_owned(),
            outcomes: "[]".to_owned(),
        }
    }

    /// A writer whose thread takes `jobs` jobs and then panics.
    fn doomed(jobs_taken: usize) -> Writer {
        let (jobs, queue) = mpsc::channel::<Job>();
        let (tell, trouble) = watch::channel(None);
        let thread = thread::spawn(move || {
            let _tell = tell;
            let _taken: Vec<Job> = queue.iter().take(jobs_taken).collect();
            drop(queue);
            std::panic::resume_unwind(Box::new("doomed"));
        });
        Writer {
            jobs,
            synced: Arc::new(Semaphore::new(SYNCED_MAX)),
            lazy: Arc::new(Semaphore::new(1)),
            trouble,
            thread: Mutex::new(Some(thread)),
        }
    }

    #[tokio::test]
    async fn a_dead_thread_is_unavailable_to_all_and_hangs_nobody() {
        let id = MailwardId::new(0, 0);
        let writer = doomed(1);
        assert_eq!(writer.expire(Expire::Records(id)).await, Err(closed()));
        assert_eq!(writer.expire(Expire::Records(id)).await, Err(closed()));
        assert_eq!(writer.close().await, Err(closed()));

        // One waits for a place that the thread took with it.
        let writer = doomed(2);
        writer.finish(id, row()).await.unwrap();
        let (second, third) = tokio::join!(writer.finish(id, row()), writer.expire(Expire::Records(id)));
        assert_eq!((second, third), (Err(closed()), Err(closed())));
    }
}
