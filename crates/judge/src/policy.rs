//! What one domain's operator switched on, and what shall follow. A [`Policy`] is stored once by its digest, so that
//! each verdict can be replayed under the policy it was made with.

use crate::dnsbl::Zone;
use crate::greylist::GreylistTimes;
use crate::junk::JunkRules;
use crate::links::LinkSettings;
use crate::rates::RateLimits;
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
    /// What follows when what the check needs cannot be had.
    #[serde(default)]
    pub unavailable: OnTrouble,
    /// A failure is passed over for senders whom the mailbox knows and welcomes (`known = "pass"`).
    #[serde(default)]
    pub known_passes: bool,
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
    /// `checks/dnsbl`: what follows from a listing; without the file a refusal. The file `zones` switches it on.
    pub dnsbl: Option<Rule>,
    /// `checks/rdns`.
    pub rdns: Option<Rule>,
    /// `checks/rdns4`: the same for IPv4 clients only.
    pub rdns4: Option<Rule>,
    /// `checks/rdns6`: the same for IPv6 clients only.
    pub rdns6: Option<Rule>,
    /// `confirmed` in one of them: the name must lead back to the client.
    pub rdns_confirmed: bool,
    /// `checks/dkim`.
    pub dkim: Option<Rule>,
    /// `domains` in `checks/dkim`: domains that always sign; exact. `None` is the list of first labels of the
    /// original (`amazon`, `paypal`, ...).
    pub dkim_domains: Option<Vec<Domain>>,
    /// `checks/dkim_check`.
    pub dkim_check: Option<Rule>,
    /// `checks/spf`.
    pub spf: Option<Rule>,
    /// `checks/tls`.
    pub tls: Option<Rule>,
    /// `domains` in `checks/tls`: those that always encrypt, and all below them. `None` is every domain.
    pub tls_domains: Option<Vec<Domain>>,
    /// `checks/clamav`.
    pub clamav: Option<Rule>,
    /// `checks/dmarc`.
    pub dmarc: Option<Rule>,
    /// `quarantine` in `checks/dmarc`: what follows where the owner asks for suspicion only.
    pub dmarc_quarantine: DmarcQuarantine,
    /// `trusted_sealers` in `checks/dmarc`: whose ARC results may mend a failure, beside the server's.
    pub dmarc_sealers: Vec<Domain>,
    /// `checks/rate`.
    pub rate: Option<Rule>,
    /// Keys of `checks/rate`: how much one network may send.
    pub rate_limits: RateLimits,
    /// `checks/reputation`.
    pub reputation: Option<Rule>,
    /// `checks/strangers`.
    pub strangers: Option<Rule>,
    /// `checks/greylisting`.
    pub greylisting: Option<Rule>,
    /// Keys of `checks/greylisting`: how long strangers wait.
    pub greylist_times: GreylistTimes,
    /// `checks/junk`.
    pub junk: Option<Rule>,
    /// Keys of `checks/junk`: from which probabilities on a message is junk.
    pub junk_rules: JunkRules,
    /// `checks/links`.
    pub links: Option<Rule>,
    /// Keys of `checks/links`: from what weight on, and which hosts.
    pub link_settings: LinkSettings,
}

/// What follows where a domain's owner asks to treat what fails DMARC with suspicion (`p=quarantine`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DmarcQuarantine {
    /// This. Filing it as junk by default.
    Act(Action),
    /// It is kept as evidence.
    Nothing,
}

impl Default for DmarcQuarantine {
    fn default() -> DmarcQuarantine {
        DmarcQuarantine::Act(Action::File(Folder::junk()))
    }
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
    /// The DNS lists of the file `zones`, and those of `_global_`.
    pub zones: Vec<Zone>,
    /// Whose ARC results may mend a broken DMARC, for all domains.
    pub trusted_sealers: Vec<Domain>,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            shadow: false,
            whitelist_unknown_users: true,
            checks: Checks::default(),
            zones: Vec::new(),
            trusted_sealers: Vec::new(),
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
    check("dnsbl", false, Recommended::No, true),
    check("helo", true, Recommended::Evidence, true),
    check("rdns", false, Recommended::Evidence, true),
    check("rdns4", false, Recommended::No, true),
    check("rdns6", false, Recommended::No, true),
    check("protocol", false, Recommended::Evidence, true),
    check("date", true, Recommended::Acts, true),
    check("mailman", true, Recommended::Acts, true),
    check("address", true, Recommended::Acts, true),
    check("mailers", true, Recommended::Acts, true),
    check("empty_body", true, Recommended::Acts, true),
    check("dkim", true, Recommended::Acts, true),
    check("dkim_check", true, Recommended::Acts, true),
    check("spf", true, Recommended::Acts, true),
    check("tls", false, Recommended::No, true),
    check("rate", false, Recommended::Acts, true),
    check("clamav", false, Recommended::No, true),
    check("dmarc", false, Recommended::Acts, true),
    check("reputation", false, Recommended::Acts, true),
    check("strangers", false, Recommended::Acts, true),
    check("greylisting", false, Recommended::No, true),
    check("junk", false, Recommended::Acts, true),
    check("links", false, Recommended::Acts, true),
    check("crowd", false, Recommended::Acts, false),
];

/// The check that surrounds what it decides with others: where it acts, they do.
pub const SURROUNDED: &str = "reputation";
/// Those that it brings along, unless a file of their own says what they shall do.
pub const SURROUNDING: [&str; 2] = ["rate", "strangers"];

/// The rule of a check whose file says nothing. The original's `dkim_check` never refuses.
pub fn default_rule(name: &str) -> Rule {
    match name {
        "dkim_check" => Rule::soft(),
        // What is refused for what it is shall not come in because the store or the scanner is down.
        "clamav" | "reputation" => Rule {
            unavailable: OnTrouble::Defer,
            ..Rule::default()
        },
        // What they object to may be otherwise when the sender comes again.
        "rate" | "strangers" | "greylisting" => Rule {
            action: Action::Defer,
            ..Rule::default()
        },
        _ => Rule::default(),
    }
}

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
            "dnsbl" => &mut self.dnsbl,
            "rdns" => &mut self.rdns,
            "rdns4" => &mut self.rdns4,
            "rdns6" => &mut self.rdns6,
            "dkim" => &mut self.dkim,
            "dkim_check" => &mut self.dkim_check,
            "spf" => &mut self.spf,
            "tls" => &mut self.tls,
            "clamav" => &mut self.clamav,
            "dmarc" => &mut self.dmarc,
            "rate" => &mut self.rate,
            "reputation" => &mut self.reputation,
            "strangers" => &mut self.strangers,
            "greylisting" => &mut self.greylisting,
            "junk" => &mut self.junk,
            "links" => &mut self.links,
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
