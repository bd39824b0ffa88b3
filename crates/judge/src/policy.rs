//! What one domain's operator switched on, and what shall follow. A [`Policy`] is stored once by its digest, so that
//! each verdict can be replayed under the policy it was made with.

use mail::Domain;
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
}

impl Rule {
    /// Evidence only.
    pub fn soft() -> Rule {
        Rule {
            soft: true,
            ..Rule::default()
        }
    }
}

/// The plain checks of a domain; `None` is switched off.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Checks {
    /// `checks/sender`.
    pub sender: Option<Rule>,
    /// `checks/helo`.
    pub helo: Option<Rule>,
    /// `checks/protocol`.
    pub protocol: Option<Rule>,
    /// `checks/date`.
    pub date: Option<Rule>,
    /// `checks/mailman`.
    pub mailman: Option<Rule>,
    /// `checks/address`.
    pub address: Option<Rule>,
    /// `checks/mailers`.
    pub mailers: Option<Rule>,
    /// `checks/empty_body`.
    pub empty_body: Option<Rule>,
    /// `checks/dkim`.
    pub dkim: Option<Rule>,
    /// `domains` in `checks/dkim`: domains that always sign; exact. `None` is the list of first labels of the
    /// original (`amazon`, `paypal`, ...).
    pub dkim_domains: Option<Vec<Domain>>,
}

/// What holds for one domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Judge and record as if, then let pass; the server's or the domain's switch.
    pub shadow: bool,
    /// Whether a whitelist entry other than one of `recipients/` lets mail for unknown users pass.
    /// True is the original's behaviour.
    pub whitelist_unknown_users: bool,
    /// The plain checks.
    pub checks: Checks,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            shadow: false,
            whitelist_unknown_users: true,
            checks: Checks::default(),
        }
    }
}

impl Policy {
    /// The same rules with all shadow modes off: what a verdict would have been made under.
    pub fn without_shadow(&self) -> Policy {
        let mut policy = Policy {
            shadow: false,
            ..self.clone()
        };
        for check in CHECKS {
            if let Some(Some(rule)) = policy.checks.rule_mut(check.name) {
                rule.shadow = false;
            }
        }
        policy
    }
}

/// One name that may stand in `checks/`.
#[derive(Debug, Clone, Copy)]
pub struct CheckName {
    /// The file's name.
    pub name: &'static str,
    /// Whether `checks/all` implies it.
    pub in_all: bool,
    /// Whether `checks/recommended` implies it, and as what.
    pub recommended: Recommended,
    /// Whether this version acts on it.
    pub built: bool,
}

/// What `checks/recommended` makes of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recommended {
    /// Nothing.
    No,
    /// It acts.
    Acts,
    /// It is evidence.
    Evidence,
}

const fn check(name: &'static str, in_all: bool, recommended: Recommended, built: bool) -> CheckName {
    CheckName {
        name,
        in_all,
        recommended,
        built,
    }
}

/// Every check there is, in the order in which they are asked. The set `all` is for ever that of the original.
pub const CHECKS: &[CheckName] = &[
    check("sender", true, Recommended::Acts, true),
    check("greylisting", false, Recommended::No, false),
    check("helo", true, Recommended::Evidence, true),
    check("rdns", false, Recommended::Evidence, false),
    check("rdns4", false, Recommended::No, false),
    check("rdns6", false, Recommended::No, false),
    check("protocol", false, Recommended::Evidence, true),
    check("date", true, Recommended::Acts, true),
    check("mailman", true, Recommended::Acts, true),
    check("address", true, Recommended::Acts, true),
    check("mailers", true, Recommended::Acts, true),
    check("empty_body", true, Recommended::Acts, true),
    check("dkim", true, Recommended::Acts, true),
    check("dkim_check", true, Recommended::Acts, false),
    check("spf", true, Recommended::Acts, false),
    check("clamav", false, Recommended::No, false),
    check("dmarc", false, Recommended::Acts, false),
    check("tls", false, Recommended::No, false),
    check("reputation", false, Recommended::Acts, false),
    check("junk", false, Recommended::Acts, false),
    check("links", false, Recommended::Acts, false),
    check("crowd", false, Recommended::Acts, false),
];

impl Checks {
    /// The rule of a check by its file's name; `None` for a name without one.
    pub fn rule_mut(&mut self, name: &str) -> Option<&mut Option<Rule>> {
        Some(match name {
            "sender" => &mut self.sender,
            "helo" => &mut self.helo,
            "protocol" => &mut self.protocol,
            "date" => &mut self.date,
            "mailman" => &mut self.mailman,
            "address" => &mut self.address,
            "mailers" => &mut self.mailers,
            "empty_body" => &mut self.empty_body,
            "dkim" => &mut self.dkim,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_and_the_rules_name_the_same_checks() {
        for check in CHECKS {
            assert_eq!(
                Checks::default().rule_mut(check.name).is_some(),
                check.built,
                "{}",
                check.name
            );
        }
    }

    #[test]
    fn without_shadow_every_rule_acts() {
        let mut policy = Policy {
            shadow: true,
            ..Policy::default()
        };
        let shadowed = Rule {
            shadow: true,
            action: Action::Hold,
            ..Rule::default()
        };
        for check in CHECKS.iter().filter(|check| check.built) {
            *policy.checks.rule_mut(check.name).unwrap() = Some(shadowed.clone());
        }
        let mut acting = policy.without_shadow();
        assert!(!acting.shadow);
        for check in CHECKS.iter().filter(|check| check.built) {
            let rule = acting.checks.rule_mut(check.name).unwrap().clone().unwrap();
            assert!(!rule.shadow && rule.action == Action::Hold, "{}", check.name);
        }
    }

    #[test]
    fn all_is_the_set_of_the_original() {
        let all: Vec<_> = CHECKS.iter().filter(|c| c.in_all).map(|c| c.name).collect();
        assert_eq!(
            all,
            [
                "sender",
                "helo",
                "date",
                "mailman",
                "address",
                "mailers",
                "empty_body",
                "dkim",
                "dkim_check",
                "spf"
            ]
        );
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
