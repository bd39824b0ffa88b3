//! Standard error behind a queue, so that whoever logs neither fails nor waits for a reader.
//!
//! Lines are queued in memory, and a thread of their own writes them. While nobody reads, or nothing can be written,
//! lines past [`QUEUED_OCTETS_MAX`] are dropped and counted, and so are those that the system does not take. As soon as
//! lines are taken again, one of them says how many are missing.

use std::cell::Cell;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use tracing_subscriber::fmt::MakeWriter;

/// Octets that may wait to be written: some thousand lines, while a reader of the log is restarted.
const QUEUED_OCTETS_MAX: usize = 1 << 20;

thread_local! {
    /// This thread is the one that writes: what it says of missing lines always finds room.
    static IS_WRITER: Cell<bool> = const { Cell::new(false) };
}

/// Where lines are left to be written.
#[derive(Debug, Clone, Default)]
pub(super) struct Lines(Arc<Queue>);

/// One line on its way into the queue.
#[derive(Debug)]
pub(super) struct OneLine<'a>(&'a Queue);

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    octets: Vec<u8>,
    dropped: u64,
    /// What was taken out of the queue is still being written.
    is_writing: bool,
}

impl Lines {
    /// Starts the thread that writes to `to`. It calls `missing` with the number of lines that were lost, once others
    /// were taken after them; what that logs is queued whatever waits there.
    pub fn start(to: impl Write + Send + 'static, missing: impl Fn(&Lines, u64) + Send + 'static) -> io::Result<Lines> {
        let lines = Lines::default();
        let queue = lines.clone();
        thread::Builder::new().name("log".into()).spawn(move || {
            IS_WRITER.set(true);
            queue.write_all(to, missing);
        })?;
        Ok(lines)
    }

    /// Waits until all is written, but no longer than `wait`.
    pub fn flush(&self, wait: Duration) {
        let Queue { changed, .. } = &*self.0;
        let is_busy = |state: &mut State| state.is_writing || !state.octets.is_empty();
        // A reader that stands still is no reason to.
        let _ = changed.wait_timeout_while(self.0.lock(), wait, is_busy);
    }

    fn write_all(&self, mut to: impl Write, missing: impl Fn(&Lines, u64)) {
        let (mut lost, mut is_torn) = (0, false);
        loop {
            let (octets, dropped) = self.0.take();
            lost += dropped;
            // A line that the system took a part of must not swallow the next one.
            let begun = !is_torn || to.write(b"\n").is_ok_and(|n| n == 1);
            let written = if begun { write(&mut to, &octets) } else { 0 };
            let (taken, left) = octets.split_at(written);
            is_torn = taken.last().map_or(is_torn && !begun, |&last| last != b'\n');
            lost += left.iter().filter(|&&b| b == b'\n').count() as u64;
            if left.is_empty() && lost > 0 {
                missing(self, std::mem::take(&mut lost));
            }
        }
    }
}

/// How many octets the system took.
fn write(to: &mut impl Write, octets: &[u8]) -> usize {
    let mut written = 0;
    while let Some(left) = octets.get(written..).filter(|left| !left.is_empty()) {
        match to.write(left) {
            Ok(0) => break,
            Ok(some) => written += some,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    written.min(octets.len())
}

impl Queue {
    /// Held for the copying of a line, never while anything is written.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for lines, and takes all there are.
    fn take(&self) -> (Vec<u8>, u64) {
        let mut state = self.lock();
        state.is_writing = false;
        self.changed.notify_all();
        let empty = |state: &mut State| state.octets.is_empty();
        let mut state = match self.changed.wait_while(state, empty) {
            Ok(state) => state,
            Err(poisoned) => poisoned.into_inner(),
        };
        state.is_writing = true;
        (std::mem::take(&mut state.octets), std::mem::take(&mut state.dropped))
    }

    fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.octets.len().saturating_add(line.len()) > QUEUED_OCTETS_MAX && !IS_WRITER.get() {
            state.dropped += 1;
            return;
        }
        state.octets.extend_from_slice(line);
        drop(state);
        self.changed.notify_all();
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = OneLine<'a>;

    fn make_writer(&'a self) -> OneLine<'a> {
        OneLine(&self.0)
    }
}

/// The subscriber writes each line at once.
impl Write for OneLine<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Takes what it is allowed to, and shows it.
    struct Gate {
        open: mpsc::Receiver<io::Result<usize>>,
        seen: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Gate {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            // Whoever dropped the other end lets everything pass.
            let allowed = self.open.recv().unwrap_or(Ok(usize::MAX))?;
            let some = octets.len().min(allowed);
            let _ = self.seen.send(octets[..some].to_vec());
            Ok(some)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (Lines, mpsc::Sender<io::Result<usize>>, mpsc::Receiver<Vec<u8>>) {
        let (allow, open) = mpsc::channel();
        let (seen, shown) = mpsc::channel();
        let missing = |lines: &Lines, n: u64| lines.0.push(format!("{n} missing\n").as_bytes());
        (Lines::start(Gate { open, seen }, missing).unwrap(), allow, shown)
    }

    fn log(lines: &Lines, text: &str) {
        lines.make_writer().write_all(text.as_bytes()).unwrap();
    }

    /// All that is written, once everything may be.
    fn rest(lines: &Lines, shown: &mpsc::Receiver<Vec<u8>>) -> String {
        lines.flush(Duration::from_secs(60));
        String::from_utf8(shown.try_iter().flatten().collect()).unwrap()
    }

    #[test]
    fn a_reader_that_stands_still_stops_nobody_and_hears_later_what_is_missing() {
        let (lines, allow, shown) = gated();
        log(&lines, "first\n");
        while !lines.0.lock().octets.is_empty() {
            thread::yield_now();
        }
        let line = format!("{}\n", "x".repeat(1023));
        for _ in 0..QUEUED_OCTETS_MAX / 1024 + 5 {
            log(&lines, &line);
        }
        lines.flush(Duration::from_millis(1));
        drop(allow);
        let all = rest(&lines, &shown);
        assert_eq!(all.matches(&line).count(), QUEUED_OCTETS_MAX / 1024);
        assert!(all.starts_with("first\nxxx") && all.ends_with("xxx\n5 missing\n"));
    }

    #[test]
    fn what_the_system_does_not_take_is_counted_and_a_torn_line_ends() {
        let (lines, allow, shown) = gated();
        allow.send(Ok(2)).unwrap();
        allow.send(Err(io::ErrorKind::StorageFull.into())).unwrap();
        log(&lines, "first\n");
        lines.flush(Duration::from_secs(60));
        drop(allow);
        log(&lines, "second\n");
        assert_eq!(rest(&lines, &shown), "fi\nsecond\n1 missing\n");
    }
}
