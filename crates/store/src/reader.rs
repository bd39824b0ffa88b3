//! Reading: a thread with a view of its own, so that no task waits on a disk.

use crate::back_end::View;
use crate::error::{OpenError, StoreError};
use crate::writer::closed;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use tokio::sync::{Semaphore, oneshot};

/// Questions that wait for their turn; whoever comes later waits before the queue.
const QUESTIONS_MAX: usize = 256;

type Question = Box<dyn FnOnce(&mut View) + Send>;

/// A thread that answers questions.
#[derive(Debug)]
pub(crate) struct Asker {
    /// `None` only while it is dropped.
    questions: Option<mpsc::Sender<Question>>,
    places: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
}

impl Asker {
    pub(crate) fn over(mut view: View) -> Result<Asker, OpenError> {
        let (questions, queue) = mpsc::channel::<Question>();
        let thread = thread::Builder::new().name("store-read".to_owned()).spawn(move || {
            for question in queue {
                // A walk is somebody else's code; its panic is answered to whoever asked, and ends nothing but it.
                if catch_unwind(AssertUnwindSafe(|| question(&mut view))).is_err() {
                    view.end_any_moment();
                }
            }
        })?;
        Ok(Asker {
            questions: Some(questions),
            places: Arc::new(Semaphore::new(QUESTIONS_MAX)),
            thread: Some(thread),
        })
    }

    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut View) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| closed())?;
        let (answer, wait) = oneshot::channel();
        let question: Question = Box::new(move |view| {
            drop(place);
            // Nobody waits any more: not an error.
            let _ = answer.send(question(view));
        });
        let questions = self.questions.as_ref().ok_or_else(closed)?;
        questions.send(question).map_err(|_| closed())?;
        wait.await.map_err(|_| closed())?
    }
}

/// Ends the thread before the store counts as closed, so that the file can be moved or opened anew.
impl Drop for Asker {
    fn drop(&mut self) {
        self.questions = None;
        if let Some(thread) = self.thread.take() {
            // A panic of that thread was answered to whoever asked.
            let _ = thread.join();
        }
    }
}
