//! How a failed check counts: the action that follows, whether it is evidence only or in shadow mode, and what follows
//! when what the check needs cannot be had.

use serde::{Deserialize, Serialize};

/// What happens to a message that fails a check.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Refuse it; a copy goes to the quarantine. The default.
    #[default]
    Reject,
    /// Deliver it with a mark in its header.
    Tag,
    /// Deliver it into a folder.
    File(Folder),
    /// Accept it and keep it in the quarantine.
    Hold,
    /// Ask the sender to try again later.
    Defer,
    /// Accept it and throw it away after the retention time.
    Discard,
}

/// The name of a mail folder, `Junk` or `Lists.Ads`: letters, digits, `-`, `_`, blanks, and `.` between levels.
/// Harmless as a path component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Folder(String);

impl Folder {
    /// Where `action = "file"` puts mail unless the check names another folder.
    pub fn junk() -> Folder {
        Folder("Junk".into())
    }

    /// `None` if the name has other characters, is empty, too long (100 octets), or has an empty level.
    pub fn parse(name: &str) -> Option<Folder> {
        let harmless = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | ' ');
        let level = |l: &str| !l.is_empty() && l.trim() == l && l.chars().all(harmless);
        (name.len() <= 100 && name.split('.').all(level)).then(|| Folder(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Folder {
    type Error = &'static str;
    fn try_from(name: String) -> Result<Folder, &'static str> {
        Folder::parse(&name).ok_or("not a folder name")
    }
}

impl From<Folder> for String {
    fn from(folder: Folder) -> String {
        folder.0
    }
}

/// How a failed check counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rule {
    /// What follows.
    pub action: Action,
    /// The failure is kept as evidence and has no consequence by itself.
    pub soft: bool,
    /// Judge and record as if, then let pass.
    pub shadow: bool,
    /// What follows when what the check needs cannot be had.
    #[serde(default)]
    pub unavailable: OnTrouble,
    /// A failure is passed over for senders whom the mailbox knows and welcomes (`known = "pass"`).
    #[serde(default)]
    pub known_passes: bool,
    /// `checks/recommended` switched the check on, and nothing else: it leaves alone what that set spares. Policies of older
    /// versions do not have it, so their verdicts stay what they were.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub as_recommended: bool,
}

/// What follows when DNS or a scanner does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnTrouble {
    /// The check is passed over, and the verdict says so. The default of all checks that ask DNS: who attacks it shall
    /// not stop mail.
    #[default]
    Pass,
    /// The sender is asked to try again later.
    Defer,
}

impl Rule {
    /// A failure is evidence only.
    pub fn soft() -> Rule {
        Rule {
            soft: true,
            ..Rule::default()
        }
    }

    /// A failure refuses the message. What most checks do.
    pub fn rejects() -> Rule {
        Rule::default()
    }

    /// A failure refuses the message, and where the check cannot be made the sender is asked to try again: what is refused
    /// for what it is must not come in because the store or the scanner is down.
    pub fn rejects_or_waits() -> Rule {
        Rule {
            unavailable: OnTrouble::Defer,
            ..Rule::default()
        }
    }

    /// A failure defers the message: what the check objects to may be otherwise when the sender comes again.
    pub fn defers() -> Rule {
        Rule {
            action: Action::Defer,
            ..Rule::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Policies are stored by their digest: one that older versions wrote reads as it was meant, and is written as it was.
    #[test]
    fn a_rule_of_older_versions_stays_as_it_is() {
        let text = r#"{"action":"reject","soft":false,"shadow":false,"unavailable":"pass","known_passes":false}"#;
        let rule: Rule = serde_json::from_str(text).unwrap();
        assert_eq!(rule, Rule::rejects());
        assert_eq!(serde_json::to_string(&rule).unwrap(), text);
        let recommended = Rule {
            as_recommended: true,
            ..rule
        };
        let text = serde_json::to_string(&recommended).unwrap();
        assert_eq!(serde_json::from_str::<Rule>(&text).unwrap(), recommended);
    }

    #[test]
    fn a_folder_never_leaves_its_directory() {
        for name in ["Junk", "Lists.Ads", "Über uns"] {
            assert!(Folder::parse(name).is_some(), "{name}");
        }
        for name in ["", ".", "..", "a/b", "a..b", ".a", " a", "a\0", "a\nb"] {
            assert!(Folder::parse(name).is_none(), "{name:?}");
        }
    }
}
