//! How far the reading is: one line on standard error that is written again a few times a second, if that is a terminal.

use crate::cli::harmless;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Between two writings.
const PAUSE: Duration = Duration::from_millis(250);
/// Characters of a folder's name, from its end.
const PLACE_CHARS_MAX: usize = 40;

/// A line, while there is something to tell.
pub(super) struct Progress {
    is_shown: bool,
    is_written: bool,
    what: &'static str,
    place: String,
    count: u64,
    begun: Instant,
    written: Instant,
}

impl Progress {
    pub fn new() -> Progress {
        let now = Instant::now();
        Progress {
            is_shown: std::io::stderr().is_terminal(),
            is_written: false,
            what: "",
            place: String::new(),
            count: 0,
            begun: now,
            written: now,
        }
    }

    /// Another folder.
    pub fn begin(&mut self, what: &'static str, place: &Path) {
        let name = harmless(place.display()).to_string();
        let passed_over = name.chars().count().saturating_sub(PLACE_CHARS_MAX);
        self.what = what;
        self.place = name.chars().skip(passed_over).collect();
        self.count = 0;
        self.begun = Instant::now();
    }

    /// One message more.
    pub fn step(&mut self) {
        self.count += 1;
        if !self.is_shown {
            return;
        }
        let now = Instant::now();
        if now.duration_since(self.written) < PAUSE {
            return;
        }
        self.written = now;
        self.is_written = true;
        let line = line(self.what, &self.place, self.count, now.duration_since(self.begun));
        // Whether or not somebody reads it. The line is cleared to its end.
        let _ = write!(std::io::stderr(), "\r{line}\x1b[K");
    }

    /// Makes room for other lines.
    pub fn end(&mut self) {
        if std::mem::take(&mut self.is_written) {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(what: &str, place: &str, count: u64, took: Duration) -> String {
    let rate = count as f64 / took.as_secs_f64().max(0.001);
    format!("{what}: {place}: {count} messages, {rate:.0} a second")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_folder_count_and_rate() {
        let of = |count, ms| line("junk", "Maildir/.Junk", count, Duration::from_millis(ms));
        assert_eq!(of(1200, 4000), "junk: Maildir/.Junk: 1200 messages, 300 a second");
        assert_eq!(of(1, 0), "junk: Maildir/.Junk: 1 messages, 1000 a second");
    }
}
