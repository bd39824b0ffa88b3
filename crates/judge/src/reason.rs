//! Why: each reason names who says it, what it says, and what came of it.

use crate::checks::Check;
use mail::Line;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Who gives a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The users of the domain.
    Recipient,
    /// A blacklist.
    BlackList,
    /// A whitelist.
    WhiteList,
    /// The mailing lists that may write to the domain.
    List,
    /// A plain check.
    Check(Check),
}

/// What came of a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It decided.
    Decisive,
    /// Another reason outranked it.
    Overruled,
    /// Its check is soft: evidence only.
    Evidence,
    /// It would have decided, but its check, the domain or the server is in shadow mode.
    Shadowed,
}

/// One reason of a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Who says it.
    pub source: Source,
    /// What it says; the text that senders and quarantine show.
    pub text: Line,
    /// What came of it.
    pub effect: Effect,
}

/// As in `X-REJECT-PLUGIN`: `checks/helo`, `global/black_list`.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Recipient => f.write_str("global/test_recipient"),
            Source::BlackList => f.write_str("global/black_list"),
            Source::WhiteList => f.write_str("global/white_list"),
            Source::List => f.write_str("global/lists"),
            Source::Check(check) => write!(f, "checks/{}", check.name()),
        }
    }
}

impl Reason {
    /// A whole sentence for people.
    pub fn sentence(&self) -> String {
        let text = self.text.as_str().trim_end_matches('.');
        let who = match self.source {
            Source::Recipient => "The list of users says".to_owned(),
            Source::BlackList => "A blacklist says".to_owned(),
            Source::WhiteList => "A whitelist says".to_owned(),
            Source::List => "The directory `lists` says".to_owned(),
            Source::Check(check) => format!("Check `{}` says", check.name()),
        };
        let effect = match self.effect {
            Effect::Decisive => "this decided",
            Effect::Overruled => "overruled by a reason of higher rank",
            Effect::Evidence => "evidence only",
            Effect::Shadowed => "would have decided, but runs in shadow mode",
        };
        format!("{who}: {text} ({effect}).")
    }
}
