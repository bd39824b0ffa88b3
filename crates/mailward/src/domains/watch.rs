//! Which files changed since the last look, told by the kernel (inotify).
//!
//! There is no thread: [`Watcher::drain`] takes what the kernel has queued, in one system call without disk access,
//! and writes it on the [`Marks`] of those who asked. So whoever drains before a lookup sees every change that was
//! made before it. A change to a file is told by its directory; a change by another of the file's names (a hard link)
//! only by the file, if that is watched. Not told are writes through a memory map, and a file system mounted over what
//! was read; after that, [`Watcher::reset`] helps.
//!
//! Never fails: where a watch cannot be had (another system, the limit of watches, a file system whose changes are
//! made by other machines), [`Watcher::names`] and [`Watcher::whole`] answer `None`, and the caller compares
//! timestamps instead. When the kernel's queue overflows, everything is marked as changed.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::lock;

/// Changes kept one by one; past this number the reader takes everything as changed. A bulk load of users into a
/// domain that gets no mail must not fill memory.
const MARKS_MAX: usize = 4096;

/// What changed for one reader since it last asked.
#[derive(Debug, Default)]
pub(super) struct Marks {
    any: AtomicBool,
    set: Mutex<MarkSet>,
}

/// The changes themselves.
#[derive(Debug, Default)]
pub(super) struct MarkSet {
    /// Nothing that was read before can be relied on.
    pub(super) all: bool,
    /// What stands at these paths and below them may be something else now.
    pub(super) replaced: HashSet<PathBuf>,
    /// Directories in which a name came or went.
    pub(super) listings: HashSet<PathBuf>,
}

/// One thing that is watched for one reader. To be given back to [`Watcher::release`].
#[derive(Debug)]
pub(super) struct Hold {
    generation: u64,
    id: u64,
    watch: i32,
    name: Option<Box<OsStr>>,
}

/// The queue and who waits for what.
#[derive(Debug)]
pub(super) struct Watcher(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    queue: Option<sys::Queue>,
    watches_max: usize,
    /// Grows when everything is dropped, so that holds from before are known as void.
    generation: u64,
    last_id: u64,
    watches: HashMap<i32, Watch>,
}

/// Who waits for changes of one directory.
#[derive(Debug, Default)]
struct Watch {
    whole: Vec<Interest>,
    names: HashMap<Box<OsStr>, Vec<Interest>>,
}

#[derive(Debug)]
struct Interest {
    id: u64,
    marks: Arc<Marks>,
    /// The path by which the reader knows what is watched.
    at: Arc<Path>,
}

/// One event, in our words.
struct Event<'a> {
    watch: i32,
    name: Option<&'a OsStr>,
    /// A name came or went; else what stands under the name changed.
    listing: bool,
    /// The kernel dropped the watch.
    ended: bool,
}

/// The kernel lost events.
struct Overflow;

impl Marks {
    /// Takes what was marked; `None` when nothing was, which costs one load.
    pub(super) fn take(&self) -> Option<MarkSet> {
        self.any
            .swap(false, Ordering::AcqRel)
            .then(|| std::mem::take(&mut *lock(&self.set)))
    }

    /// Whether nothing is marked; what is marked stays.
    pub(super) fn is_empty(&self) -> bool {
        !self.any.load(Ordering::Acquire)
    }

    fn mark(&self, change: impl FnOnce(&mut MarkSet)) {
        let mut set = lock(&self.set);
        change(&mut set);
        if set.replaced.len() + set.listings.len() > MARKS_MAX {
            *set = MarkSet {
                all: true,
                ..MarkSet::default()
            };
        }
        self.any.store(true, Ordering::Release);
    }
}

impl Watcher {
    /// Watches by inotify where the system has it, as much as the system's limit allows.
    pub(super) fn new() -> Watcher {
        Watcher::at_most(usize::MAX)
    }

    /// Watches nothing, so that every reader compares timestamps.
    pub(super) fn none() -> Watcher {
        Watcher::at_most(0)
    }

    /// Watches no more than so many directories.
    pub(super) fn at_most(watches_max: usize) -> Watcher {
        Watcher(Mutex::new(Inner {
            queue: (watches_max > 0).then(sys::Queue::new).flatten(),
            watches_max,
            generation: 0,
            last_id: 0,
            watches: HashMap::new(),
        }))
    }

    /// Marks all that changed since the last call.
    pub(super) fn drain(&self) {
        let mut inner = lock(&self.0);
        let Inner { queue, watches, .. } = &mut *inner;
        let Some(open) = queue else { return };
        if open.drain(|event| tell(watches, &event)).is_err() {
            inner.reset();
        }
    }

    /// Watches `name` in `dir`: its coming, going and being replaced, and with `content` its changes too. Told as
    /// `at` being replaced.
    pub(super) fn names(
        &self,
        dir: &Path,
        name: &OsStr,
        content: bool,
        marks: &Arc<Marks>,
        at: &Arc<Path>,
    ) -> Option<Hold> {
        self.hold(dir, Some(name.into()), content, marks, at)
    }

    /// Watches a directory and all in it, or one file. Told by the names below `at`.
    pub(super) fn whole(&self, path: &Path, marks: &Arc<Marks>, at: &Arc<Path>) -> Option<Hold> {
        self.hold(path, None, true, marks, at)
    }

    fn hold(
        &self,
        path: &Path,
        name: Option<Box<OsStr>>,
        content: bool,
        marks: &Arc<Marks>,
        at: &Arc<Path>,
    ) -> Option<Hold> {
        let mut inner = lock(&self.0);
        let queue = inner.queue.as_ref()?;
        let watch = queue.watch(path, content)?;
        if inner.watches.len() >= inner.watches_max && !inner.watches.contains_key(&watch) {
            queue.forget(watch);
            return None;
        }
        inner.last_id += 1;
        let (id, generation) = (inner.last_id, inner.generation);
        let interest = Interest {
            id,
            marks: Arc::clone(marks),
            at: Arc::clone(at),
        };
        let entry = inner.watches.entry(watch).or_default();
        match &name {
            Some(name) => entry.names.entry(name.clone()).or_default().push(interest),
            None => entry.whole.push(interest),
        }
        Some(Hold {
            generation,
            id,
            watch,
            name,
        })
    }

    /// Gives holds back; a watch that nobody holds any more is dropped.
    pub(super) fn release(&self, holds: Vec<Hold>) {
        if holds.is_empty() {
            return;
        }
        let mut inner = lock(&self.0);
        for hold in holds {
            inner.release(&hold);
        }
    }

    /// Marks everything as changed, as if the kernel's queue had overflowed.
    pub(super) fn reset(&self) {
        lock(&self.0).reset();
    }

    /// How many directories are watched.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        lock(&self.0).watches.len()
    }
}

impl Inner {
    fn release(&mut self, hold: &Hold) {
        if hold.generation != self.generation {
            return;
        }
        let Some(watch) = self.watches.get_mut(&hold.watch) else {
            return;
        };
        match &hold.name {
            Some(name) => {
                if let Some(waiting) = watch.names.get_mut(name) {
                    waiting.retain(|interest| interest.id != hold.id);
                    if waiting.is_empty() {
                        watch.names.remove(name);
                    }
                }
            }
            None => watch.whole.retain(|interest| interest.id != hold.id),
        }
        if watch.whole.is_empty() && watch.names.is_empty() {
            self.watches.remove(&hold.watch);
            if let Some(queue) = &self.queue {
                queue.forget(hold.watch);
            }
        }
    }

    /// Events were lost: every reader starts anew, on a new queue.
    fn reset(&mut self) {
        for (_, watch) in self.watches.drain() {
            for interest in watch.whole.into_iter().chain(watch.names.into_values().flatten()) {
                interest.marks.mark(|set| set.all = true);
            }
        }
        self.generation += 1;
        self.queue = self.queue.take().and_then(|_| sys::Queue::new());
    }
}

/// Passes one event on to those who wait for it.
fn tell(watches: &mut HashMap<i32, Watch>, event: &Event<'_>) {
    let Some(watch) = watches.get(&event.watch) else { return };
    let replaced = |interest: &Interest, path: PathBuf| {
        interest.marks.mark(|set| {
            set.replaced.insert(path);
        });
    };
    match event.name {
        Some(name) => {
            for interest in &watch.whole {
                replaced(interest, interest.at.join(name));
                if event.listing {
                    interest.marks.mark(|set| {
                        set.listings.insert(interest.at.to_path_buf());
                    });
                }
            }
            for interest in watch.names.get(name).into_iter().flatten() {
                replaced(interest, interest.at.to_path_buf());
            }
        }
        // The directory itself was moved, removed or changed.
        None => {
            for interest in watch.whole.iter().chain(watch.names.values().flatten()) {
                replaced(interest, interest.at.to_path_buf());
            }
        }
    }
    if event.ended {
        watches.remove(&event.watch);
    }
}

#[cfg(target_os = "linux")]
mod sys {
    //! inotify(7).

    use super::{Event, Overflow};
    use rustix::fd::OwnedFd;
    use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
    use rustix::io::Errno;
    use std::ffi::OsStr;
    use std::mem::MaybeUninit;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    /// Room for some dozens of events a read; an event has at most 272 octets.
    const BUFFER_OCTETS: usize = 8 * 1024;

    /// File systems that other machines or programs change without this kernel knowing: NFS, SMB, CIFS, FUSE, 9p,
    /// Ceph, AFS (statfs(2)).
    const REMOTE: [u32; 8] = [
        0x6969,
        0x517b,
        0xff53_4d42,
        0xfe53_4d42,
        0x6573_5546,
        0x0102_1997,
        0x00c3_6400,
        0x5346_414f,
    ];

    /// An inotify queue that never blocks.
    #[derive(Debug)]
    pub(super) struct Queue(OwnedFd);

    impl Queue {
        pub(super) fn new() -> Option<Queue> {
            inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)
                .ok()
                .map(Queue)
        }

        /// Adds to what is watched of a directory or file.
        pub(super) fn watch(&self, path: &Path, content: bool) -> Option<i32> {
            let kind = rustix::fs::statfs(path).ok()?.f_type as u32;
            if REMOTE.contains(&kind) {
                return None;
            }
            let names = WatchFlags::CREATE
                | WatchFlags::DELETE
                | WatchFlags::MOVE
                | WatchFlags::DELETE_SELF
                | WatchFlags::MOVE_SELF
                | WatchFlags::MASK_ADD;
            let flags = match content {
                true => names | WatchFlags::MODIFY | WatchFlags::ATTRIB,
                false => names,
            };
            inotify::add_watch(&self.0, path, flags).ok()
        }

        pub(super) fn forget(&self, watch: i32) {
            // The watch may be gone already, with its directory.
            let _ = inotify::remove_watch(&self.0, watch);
        }

        pub(super) fn drain(&self, mut each: impl FnMut(Event<'_>)) -> Result<(), Overflow> {
            let mut buffer = [MaybeUninit::uninit(); BUFFER_OCTETS];
            let mut reader = inotify::Reader::new(&self.0, &mut buffer);
            loop {
                let event = match reader.next() {
                    Ok(event) => event,
                    Err(Errno::AGAIN) => return Ok(()),
                    Err(Errno::INTR) => continue,
                    Err(_) => return Err(Overflow),
                };
                let flags = event.events();
                if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                    return Err(Overflow);
                }
                each(Event {
                    watch: event.wd(),
                    name: event.file_name().map(|name| OsStr::from_bytes(name.to_bytes())),
                    listing: flags.intersects(
                        ReadFlags::CREATE | ReadFlags::DELETE | ReadFlags::MOVED_FROM | ReadFlags::MOVED_TO,
                    ),
                    ended: flags.contains(ReadFlags::IGNORED),
                });
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod sys {
    //! No queue: readers compare timestamps.

    use super::{Event, Overflow};
    use std::path::Path;

    #[derive(Debug)]
    pub(super) enum Queue {}

    impl Queue {
        pub(super) fn new() -> Option<Queue> {
            None
        }

        pub(super) fn watch(&self, _: &Path, _: bool) -> Option<i32> {
            match *self {}
        }

        pub(super) fn forget(&self, _: i32) {
            match *self {}
        }

        pub(super) fn drain(&self, _: impl FnMut(Event<'_>)) -> Result<(), Overflow> {
            match *self {}
        }
    }
}
