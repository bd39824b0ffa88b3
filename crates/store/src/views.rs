//! Reading: views of the back-end, lent to whoever asks, on the caller's own thread.
//!
//! A question costs microseconds where its pages are in memory, less than handing it to another thread. What takes long is
//! asked apart, on a thread of its own.

use crate::back_end::{Intent, Location, Rows, View, wait_for};
use crate::error::{OpenError, StoreError};
use judge::resolver::BoxFuture;
use std::sync::{Mutex, PoisonError};
use std::thread;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

/// Views at most, whatever the machine has: each has a memory of pages.
const VIEWS_MAX: usize = 4;

/// The views of one reader. Whoever comes when all are lent waits for one.
#[derive(Debug)]
pub(crate) struct Views {
    location: Location,
    idle: Mutex<Vec<View>>,
    places: Semaphore,
}

/// A view, until it goes back.
#[derive(Debug)]
pub(crate) struct Lent<'a> {
    views: &'a Views,
    /// `None` only while it goes back.
    view: Option<View>,
    _place: SemaphorePermit<'a>,
}

impl Views {
    /// Opens the first, so that what is wrong with the store is known at once.
    pub(crate) fn over(location: Location) -> Result<Views, OpenError> {
        let first = location.view()?;
        let views_max = thread::available_parallelism().map_or(1, |cores| cores.get().min(VIEWS_MAX));
        Ok(Views {
            location,
            idle: Mutex::new(vec![first]),
            places: Semaphore::new(views_max),
        })
    }

    /// Whoever has one must not wait for another.
    pub(crate) async fn lend(&self) -> Result<Lent<'_>, StoreError> {
        let place = self.places.acquire().await.map_err(|_| StoreError::closed())?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let view = match idle {
            Some(view) => view,
            None => self.another()?,
        };
        Ok(Lent {
            views: self,
            view: Some(view),
            _place: place,
        })
    }

    /// Asks what takes long, of a view and on a thread of its own.
    pub(crate) async fn ask_apart<I: Intent>(&self, question: I) -> Result<I::Answer, StoreError> {
        let view = self.another()?;
        let (answer, wait) = oneshot::channel();
        let work = move || {
            // Nobody waits any more: not an error.
            let _ = answer.send(wait_for(question.run(view.rows())));
        };
        let name = "store-read".to_owned();
        let thread = thread::Builder::new().name(name).spawn(work);
        thread.map_err(|why| StoreError::Unavailable(why.to_string()))?;
        wait.await.map_err(|_| StoreError::closed())?
    }

    /// Asks before there is anybody who could wait.
    pub(crate) fn at_once<T>(
        &self,
        question: impl for<'a> FnOnce(Rows<'a>) -> BoxFuture<'a, Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        wait_for(question(self.another()?.rows()))
    }

    fn another(&self) -> Result<View, StoreError> {
        let view = self.location.view();
        view.map_err(|why| StoreError::Unavailable(why.to_string()))
    }
}

impl Lent<'_> {
    /// `None` only while it goes back.
    pub(crate) fn rows(&self) -> Result<Rows<'_>, StoreError> {
        self.view.as_ref().map(View::rows).ok_or_else(StoreError::closed)
    }

    /// From now on all questions are as of this moment, where the back-end has such.
    pub(crate) fn begin_moment(&self) -> Result<(), StoreError> {
        self.view
            .as_ref()
            .map_or_else(|| Err(StoreError::closed()), View::begin_moment)
    }
}

/// Puts the view back, with no moment begun. One of a question that broke is closed.
impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(view) = self.view.take()
            && !thread::panicking()
            && view.end_moment()
        {
            let mut idle = self.views.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push(view);
        }
    }
}
