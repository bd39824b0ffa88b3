//! Reading: a thread with a connection of its own, so that no task waits on a disk.

use super::{closed, layout};
use crate::error::{OpenError, StoreError};
use crate::id::MailwardId;
use crate::policy::PolicyDigest;
use crate::record::{Since, Summary, Which};
use crate::rows::{EndingRow, FoundRecipient, FoundRows, PageRows, judged};
use rusqlite::{Connection, OptionalExtension, Row};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use tokio::sync::{Semaphore, oneshot};

/// Questions that wait for their turn; whoever comes later waits before the queue.
const QUESTIONS_MAX: usize = 256;

/// What the text of a verdict with a reason in shadow mode holds. In the texts of senders quotes are escaped.
const SHADOWED: &str = "\"effect\":\"shadowed\"";

type Question = Box<dyn FnOnce(&mut Connection) + Send>;

#[derive(Debug)]
pub(crate) struct Reader {
    /// `None` only while it is dropped.
    questions: Option<mpsc::Sender<Question>>,
    places: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    pub(crate) fn open(path: &Path) -> Result<Reader, OpenError> {
        let mut db = layout::open_read_only(path)?;
        let (questions, queue) = mpsc::channel::<Question>();
        let thread = thread::Builder::new().name("store-read".to_owned()).spawn(move || {
            for question in queue {
                question(&mut db);
            }
        })?;
        Ok(Reader {
            questions: Some(questions),
            places: Arc::new(Semaphore::new(QUESTIONS_MAX)),
            thread: Some(thread),
        })
    }

    pub(crate) async fn find(&self, id: MailwardId) -> Result<Option<FoundRows>, StoreError> {
        self.ask(move |db| find(db, id)).await
    }

    pub(crate) async fn recent(&self, limit: usize) -> Result<Vec<Summary>, StoreError> {
        self.ask(move |db| recent(db, limit)).await
    }

    pub(crate) async fn since(&self, since: Since) -> Result<PageRows, StoreError> {
        self.ask(move |db| page(db, since)).await
    }

    pub(crate) async fn used_octets(&self) -> Result<u64, StoreError> {
        // As of one moment.
        self.ask(|db| layout::used_octets(&*db.transaction()?)).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| closed())?;
        let (answer, wait) = oneshot::channel();
        let question: Question = Box::new(move |db| {
            drop(place);
            // Nobody waits any more: not an error.
            let _ = answer.send(question(db));
        });
        let questions = self.questions.as_ref().ok_or_else(closed)?;
        questions.send(question).map_err(|_| closed())?;
        let answer = wait.await.map_err(|_| closed())?;
        answer.map_err(|why| StoreError::Unavailable(why.to_string()))
    }
}

/// Ends the thread before the store counts as closed, so that the file can be moved or opened anew.
impl Drop for Reader {
    fn drop(&mut self) {
        self.questions = None;
        if let Some(thread) = self.thread.take() {
            // A panic of that thread was answered to whoever asked.
            let _ = thread.join();
        }
    }
}

/// All rows of one message as of one moment.
fn find(db: &mut Connection, id: MailwardId) -> Result<Option<FoundRows>, rusqlite::Error> {
    whole(&*db.transaction()?, id)
}

fn whole(moment: &Connection, id: MailwardId) -> Result<Option<FoundRows>, rusqlite::Error> {
    let message = moment
        .prepare_cached("SELECT code_version, facts FROM messages WHERE id = ?1")?
        .query_row([id.number()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((code_version, facts)) = message else {
        return Ok(None);
    };
    let recipients = moment
        .prepare_cached(
            "SELECT r.facts, r.verdict, r.policy, p.text FROM recipients r
             LEFT JOIN policies p ON p.digest = r.policy WHERE r.id = ?1 ORDER BY r.n",
        )?
        .query_map([id.number()], recipient)?
        .collect::<Result<_, _>>()?;
    let ending = moment
        .prepare_cached("SELECT took_ms, reply, outcomes FROM endings WHERE id = ?1")?
        .query_row([id.number()], ending)
        .optional()?;
    Ok(Some(FoundRows {
        id,
        code_version,
        facts,
        recipients,
        ending,
    }))
}

fn recipient(row: &Row<'_>) -> Result<FoundRecipient, rusqlite::Error> {
    Ok(FoundRecipient {
        facts: row.get(0)?,
        verdict: row.get(1)?,
        digest: PolicyDigest(row.get(2)?),
        // A policy that is missing reads as no JSON, and is reported as such.
        policy: row.get::<_, Option<String>>(3)?.unwrap_or_default(),
    })
}

fn ending(row: &Row<'_>) -> Result<EndingRow, rusqlite::Error> {
    Ok(EndingRow {
        took_ms: row.get(0)?,
        reply: row.get(1)?,
        outcomes: row.get(2)?,
    })
}

/// Ids tell the minute; within it `received_s` does. So the minute of the last line is read whole.
fn recent(db: &mut Connection, limit: usize) -> Result<Vec<Summary>, rusqlite::Error> {
    db.prepare_cached(
        "SELECT m.id, m.received_s, m.facts, r.facts, r.verdict
         FROM (SELECT id, received_s, facts FROM messages
               WHERE id >= (SELECT min(id) FROM (SELECT id FROM messages ORDER BY id DESC LIMIT ?1)) & ~0x7ffffffff
               ORDER BY received_s DESC, id DESC LIMIT ?1) m
         JOIN recipients r ON r.id = m.id
         ORDER BY m.received_s DESC, m.id DESC, r.n LIMIT ?1",
    )?
    .query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
        let text = |column| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
        Ok(Summary {
            id: MailwardId::from_number(row.get(0)?),
            received_s: row.get(1)?,
            judged: judged(text(2)?, text(3)?, text(4)?),
        })
    })?
    .collect()
}

/// The next messages below an id. Ids tell the minute, `received_s` tells which of its messages came too early.
fn page(db: &mut Connection, since: Since) -> Result<PageRows, rusqlite::Error> {
    let moment = db.transaction()?;
    let first = MailwardId::first_of(since.from_s).number();
    let below = since.below.map_or(i64::MAX, MailwardId::number);
    let limit = i64::try_from(since.messages_max.max(1)).unwrap_or(i64::MAX);
    let ids: Vec<(i64, i64)> = moment
        .prepare_cached("SELECT id, received_s FROM messages WHERE id >= ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3")?
        .query_map([first, below, limit], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut page = PageRows {
        next: (ids.len() as i64 == limit)
            .then(|| ids.last().map(|(id, _)| MailwardId::from_number(*id)))
            .flatten(),
        ..PageRows::default()
    };
    for (id, _) in ids.into_iter().filter(|(_, received_s)| *received_s >= since.from_s) {
        page.messages += 1;
        let (deliveries, shadowed): (u32, bool) = moment
            .prepare_cached("SELECT count(*), coalesce(max(instr(verdict, ?2) > 0), 0) FROM recipients WHERE id = ?1")?
            .query_row((id, SHADOWED), |row| Ok((row.get(0)?, row.get(1)?)))?;
        page.deliveries += u64::from(deliveries);
        if since.which == Which::All || shadowed {
            page.found.extend(whole(&moment, MailwardId::from_number(id))?);
        }
    }
    Ok(page)
}
