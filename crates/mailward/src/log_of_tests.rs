//! What a test's own thread logs.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Once;

thread_local! {
    /// What this thread logged.
    static LOGGED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Writes what a thread logs into its own memory. One for the whole process: a subscriber that is only set for a while
/// misses what was first logged elsewhere while there was none.
struct Log;

impl Write for Log {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        LOGGED.with_borrow_mut(|log| log.extend_from_slice(octets));
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lines that this thread logs while `run` runs, from `info` on.
pub(crate) fn logged(run: impl FnOnce()) -> Vec<String> {
    static SET: Once = Once::new();
    SET.call_once(|| {
        let builder = tracing_subscriber::fmt()
            .with_ansi(false)
            .without_time()
            .with_target(false);
        builder.with_writer(|| Log).try_init().expect("nobody else sets one");
    });
    LOGGED.take();
    run();
    let text = String::from_utf8(LOGGED.take()).unwrap();
    text.lines().map(|line| line.trim().to_owned()).collect()
}
