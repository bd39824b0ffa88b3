//! The parts of the daemon, which one process may run together or several apart: `serve --only smtp,control`.
//!
//! What they share on disk they may share between processes. The quarantine's tree has locks for that; the store has
//! one writer, which is the process with `smtp`, so that one also lets go of old records.

use super::Trouble;
use crate::config::nearest;
use std::fmt;

/// A part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The door for mail, with the store behind it.
    Smtp,
    /// Expiry of the quarantine.
    Quarantine,
    /// The listener for Prometheus.
    Metrics,
    /// `control.sock`.
    Control,
}

const PARTS: [(&str, Part); 4] = [
    ("smtp", Part::Smtp),
    ("quarantine", Part::Quarantine),
    ("metrics", Part::Metrics),
    ("control", Part::Control),
];

/// Which parts a process runs. Never none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parts(Vec<Part>);

impl Parts {
    /// All, or those of a list with commas.
    pub(super) fn parse(only: Option<&str>) -> Result<Parts, Trouble> {
        let Some(only) = only else {
            return Ok(Parts(PARTS.map(|(_, part)| part).into()));
        };
        let mut parts = Vec::new();
        for word in only.split(',').map(str::trim) {
            let Some((_, part)) = PARTS.iter().find(|(name, _)| *name == word) else {
                let hint = match nearest(word, PARTS.iter().map(|(name, _)| *name)) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => format!("the parts are: {}", PARTS.map(|(name, _)| name).join(", ")),
                };
                return Err(Trouble::hint(format!("no part of the daemon: `{word}`"), hint));
            };
            if !parts.contains(part) {
                parts.push(*part);
            }
        }
        Ok(Parts(parts))
    }

    /// Whether it is among them.
    pub(super) fn has(&self, part: Part) -> bool {
        self.0.contains(&part)
    }
}

/// With commas.
impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = PARTS.iter().filter(|(_, part)| self.has(*part)).map(|(name, _)| *name);
        f.write_str(&names.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_all_or_those_that_are_named() {
        let parse = |only| Parts::parse(only).unwrap().to_string();
        assert_eq!(parse(None), "smtp, quarantine, metrics, control");
        assert_eq!(parse(Some("control, smtp,smtp")), "smtp, control");
    }

    #[test]
    fn an_unknown_part_is_told_the_nearest_word() {
        let trouble = |only| Parts::parse(Some(only)).unwrap_err().text();
        assert_eq!(
            trouble("smtp,quarantin"),
            "error: no part of the daemon: `quarantin`\nhint: did you mean `quarantine`?\n"
        );
        assert_eq!(
            trouble(""),
            "error: no part of the daemon: ``\nhint: the parts are: smtp, quarantine, metrics, control\n"
        );
    }
}
