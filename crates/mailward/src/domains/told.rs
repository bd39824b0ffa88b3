//! What was logged of files and directories: once for each change, however often it is met.

use super::audit::Fault;
use super::tree::Unreadable;
use mail::{Domain, Line};
use std::path::{Path, PathBuf};

/// Longest path or message that is logged, in characters.
const LOGGED_CHARS_MAX: usize = 1000;

/// What the log says holds now.
#[derive(Debug, Default)]
pub(super) struct Told {
    faults: Vec<(PathBuf, Fault)>,
    trouble: Option<Unreadable>,
}

impl Told {
    /// Logs those of `found` that were not there before. Faults of files for which `is_read` does not hold stay.
    pub(super) fn faults(&mut self, found: Vec<(PathBuf, Fault)>, is_read: impl Fn(&Path) -> bool) {
        let mut before = std::mem::take(&mut self.faults);
        found.iter().filter(|fault| !before.contains(fault)).for_each(log);
        before.retain(|fault| !is_read(&fault.0) && !found.contains(fault));
        self.faults = before;
        self.faults.extend(found);
    }

    /// Logs that a domain, or all of them, cannot be read, and that they can be again.
    pub(super) fn trouble(&mut self, domain: Option<&Domain>, now: Option<&Unreadable>) {
        if self.trouble.as_ref() == now {
            return;
        }
        let domain = domain.map_or("all", Domain::as_str);
        match now {
            Some(Unreadable { path, why }) => {
                let (path, why) = (clean(&path.to_string_lossy()), clean(why));
                tracing::error!(domain, %path, %why, "cannot be read; mail for it is deferred");
            }
            None => tracing::info!(domain, "can be read again"),
        }
        self.trouble = now.cloned();
    }
}

fn log((path, fault): &(PathBuf, Fault)) {
    let line = fault.line.unwrap_or(1);
    let hint = clean(fault.hint.as_deref().unwrap_or_default());
    tracing::warn!(path = %clean(&path.to_string_lossy()), line, %hint, "{}", clean(&fault.message));
}

fn clean(text: &str) -> Line {
    Line::clean(text.as_bytes(), LOGGED_CHARS_MAX)
}
