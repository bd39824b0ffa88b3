//! What one mailbox learned.

use judge::content::Features;
use judge::junk::{EPOCH, LESSONS_KEPT, Lesson, Model, Recent};
use mail::MailboxId;
use std::collections::BTreeMap;
use store::{KeptLesson, LESSONS_MAX, Label, MailwardId, Store, StoreError, Taught};

/// How often lessons are settled anew because others changed them meanwhile.
const TRIES_MAX: usize = 5;

/// A mailbox's model, and which of its lessons are the last ones. Begins unloaded.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    is_loaded: bool,
    /// What it was last about to learn was not waited for.
    is_broken_off: bool,
    /// None before the first lesson.
    model: Option<Model>,
    recent: Recent<MailwardId>,
}

/// What some lessons amounted to before, and now.
type Changes = BTreeMap<MailwardId, (Option<Lesson>, Option<Lesson>)>;

impl Mailbox {
    pub fn is_loaded(&self) -> bool {
        self.is_loaded
    }

    /// None where nothing was learned.
    pub fn model(&self) -> Option<&Model> {
        self.model.as_ref()
    }

    /// Octets of its tables.
    pub fn octets(&self) -> usize {
        self.model.as_ref().map_or(0, Model::octets)
    }

    /// What it learned is added up anew when it is asked next.
    pub fn unload(&mut self) {
        *self = Mailbox {
            is_broken_off: self.is_broken_off,
            ..Mailbox::default()
        };
    }

    /// Adds up its lessons, unless that is done already, and learns what is still to be learned. How many lessons that
    /// were.
    pub async fn load(&mut self, store: &Store, mailbox: &MailboxId) -> Result<usize, StoreError> {
        match self.is_loaded {
            true => Ok(0),
            false => self.settle(store, mailbox).await,
        }
    }

    /// Learns what labels say, takes back what they say no longer, and keeps what each lesson amounts to. How many lessons
    /// that were.
    pub async fn settle(&mut self, store: &Store, mailbox: &MailboxId) -> Result<usize, StoreError> {
        if self.is_broken_off {
            // What was being written then may still be on its way, and is written when this is.
            store.teach(mailbox, Vec::new()).await?;
        }
        // Who waits for this may give up at any moment, and what is learned by halves is no model.
        let broken_off = Mailbox {
            is_broken_off: true,
            ..Mailbox::default()
        };
        let mut own = std::mem::replace(self, broken_off);
        if !own.is_loaded {
            own = Mailbox::sum(store, mailbox).await?;
        }
        let settled = own.settle_all(store, mailbox).await?;
        *self = own;
        Ok(settled)
    }

    /// What was taught, added up.
    async fn sum(store: &Store, mailbox: &MailboxId) -> Result<Mailbox, StoreError> {
        let mut sum = Mailbox {
            is_loaded: true,
            ..Mailbox::default()
        };
        let mut after = None;
        loop {
            let lessons = store.reader().lessons(mailbox, after, LESSONS_MAX).await?;
            let Some(last) = lessons.last() else { return Ok(sum) };
            after = Some(last.id);
            for KeptLesson {
                id, taught, features, ..
            } in &lessons
            {
                if let Some(taught) = taught {
                    sum.model.get_or_insert_default().add(features, *taught);
                    sum.recent.push(*id);
                }
            }
        }
    }

    async fn settle_all(&mut self, store: &Store, mailbox: &MailboxId) -> Result<usize, StoreError> {
        let (mut settled, mut failed) = (0, 0);
        loop {
            let open = store.reader().open_lessons(mailbox, LESSONS_MAX).await?;
            if open.is_empty() {
                if !self.is_full() {
                    return Ok(settled);
                }
                // The oldest epoch goes; what was taught of it is open now.
                if store.fade(mailbox, LESSONS_KEPT - EPOCH).await? == 0 {
                    return Ok(settled);
                }
                continue;
            }
            settled += open.len();
            let changes = self.teach_all(store, mailbox, open).await?;
            let taught = changes
                .into_iter()
                .map(|(id, (before, after))| Taught { id, before, after });
            let taken = store.teach(mailbox, taught.collect()).await?;
            if !taken.iter().all(|taken| *taken) {
                // What is in memory is not what the store has.
                failed += 1;
                if failed == TRIES_MAX {
                    return Err(StoreError::Unavailable(
                        "lessons change faster than they are learned".into(),
                    ));
                }
                *self = Mailbox::sum(store, mailbox).await?;
            }
        }
    }

    fn is_full(&self) -> bool {
        self.model.as_ref().is_some_and(|model| {
            let taught = model.taught();
            taught.junk.saturating_add(taught.wanted) > LESSONS_KEPT
        })
    }

    async fn teach_all(
        &mut self,
        store: &Store,
        mailbox: &MailboxId,
        open: Vec<KeptLesson>,
    ) -> Result<Changes, StoreError> {
        let mut changes = Changes::new();
        for lesson in open {
            // It may have been gone over again just now.
            let now = changes.get(&lesson.id).map_or(lesson.taught, |(_, after)| *after);
            if let Some(taught) = now {
                self.model.get_or_insert_default().untrain(&lesson.features, taught);
                self.recent.remove(&lesson.id);
            }
            let after = match lesson.said {
                Some(said) => Some(self.teach(store, mailbox, &lesson.features, said, &mut changes).await?),
                None => None,
            };
            changes.entry(lesson.id).or_insert((lesson.taught, None)).1 = after;
            if after.is_some() {
                self.recent.push(lesson.id);
            }
        }
        Ok(changes)
    }

    /// Teaches one message, and goes over some of the last lessons again.
    async fn teach(
        &mut self,
        store: &Store,
        mailbox: &MailboxId,
        features: &Features,
        said: Label,
        changes: &mut Changes,
    ) -> Result<Lesson, StoreError> {
        let model = self.model.get_or_insert_default();
        let names = self.recent.rehearsed(model.taught());
        let mut rehearsed: Vec<(MailwardId, Features, Lesson, Lesson)> = Vec::with_capacity(names.len());
        for held in store.reader().lessons_of(mailbox, names).await? {
            // What was changed just now is not yet in the store.
            let now = match changes.get(&held.id) {
                Some((_, after)) => *after,
                None => held.taught,
            };
            // One that waits to be taken back, or taught otherwise, is left alone.
            let said = held.said.map(|said| said == Label::Junk);
            if let Some(now) = now.filter(|now| said == Some(now.is_junk)) {
                rehearsed.push((held.id, held.features, now, now));
            }
        }
        let again = rehearsed.iter_mut().map(|(_, features, _, after)| (&*features, after));
        let lesson = model.teach(features, said == Label::Junk, again);
        for (id, _, before, after) in rehearsed {
            if before != after {
                changes.entry(id).or_insert((Some(before), None)).1 = Some(after);
            }
        }
        Ok(lesson)
    }
}
