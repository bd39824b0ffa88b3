//! What one domain's operator switched on, and what shall follow. A [`Policy`] is stored once by its digest, so that
//! each verdict can be replayed under the policy it was made with.

pub use crate::rule::{Action, Folder, OnTrouble, Rule};
pub use crate::settings::{CheckSettings, DmarcQuarantine};

use crate::checks::Check;
use crate::dnsbl::Zone;
use mail::Domain;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The checks of a domain: which are switched on, and what their files say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Checks {
    /// How a failure of each counts.
    #[serde(flatten)]
    pub rules: Rules,
    /// The keys of their files.
    #[serde(flatten)]
    pub settings: CheckSettings,
}

/// A rule for each check that is switched on. Stored by the checks' names: one that this version does not know is passed
/// over, and one that an older version did not know is switched off.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules([Option<Rule>; Check::ALL.len()]);

impl Rules {
    /// The rule of a check; `None` if it is switched off.
    pub fn get(&self, check: Check) -> Option<&Rule> {
        self.0.get(check as usize)?.as_ref()
    }

    /// Whether a check is switched on.
    pub fn has(&self, check: Check) -> bool {
        self.get(check).is_some()
    }

    /// Switches a check on, or off.
    pub fn set(&mut self, check: Check, rule: Option<Rule>) {
        if let Some(place) = self.0.get_mut(check as usize) {
            *place = rule;
        }
    }

    /// All that are switched on.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Rule> {
        self.0.iter_mut().flatten()
    }

    /// What a set of checks implies, each by its default rule.
    pub fn of_set(is_in: impl Fn(Check) -> bool) -> Rules {
        let mut rules = Rules::default();
        for check in Check::ALL.into_iter().filter(|check| is_in(*check)) {
            rules.set(check, Some(check.spec().default_rule()));
        }
        rules
    }
}

impl Serialize for Rules {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for check in Check::ALL {
            if let Some(rule) = self.get(check) {
                map.serialize_entry(check.name(), rule)?;
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Rules {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Rules, D::Error> {
        struct ByName;
        impl<'de> Visitor<'de> for ByName {
            type Value = Rules;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("rules by the names of their checks")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Rules, A::Error> {
                let mut rules = Rules::default();
                while let Some(name) = map.next_key::<String>()? {
                    match Check::by_name(&name) {
                        Some(check) => rules.set(check, map.next_value()?),
                        None => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(rules)
            }
        }
        deserializer.deserialize_map(ByName)
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
    /// The checks.
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
        for rule in policy.checks.rules.iter_mut() {
            rule.shadow = false;
        }
        policy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_shadow_every_rule_acts() {
        let shadowed = Rule {
            shadow: true,
            action: Action::Hold,
            ..Rule::default()
        };
        let mut policy = Policy {
            shadow: true,
            ..Policy::default()
        };
        for check in Check::ALL {
            policy.checks.rules.set(check, Some(shadowed.clone()));
        }
        let acting = policy.without_shadow();
        assert!(!acting.shadow);
        for check in Check::ALL {
            let rule = acting.checks.rules.get(check).unwrap();
            assert!(!rule.shadow && rule.action == Action::Hold, "{}", check.name());
        }
    }

    #[test]
    fn rules_are_stored_by_name_and_what_is_unknown_is_passed_over() {
        let mut checks = Checks::default();
        checks.rules.set(Check::Helo, Some(Rule::soft()));
        checks.settings.rdns_confirmed = true;
        let text = serde_json::to_string(&checks).unwrap();
        assert_eq!(serde_json::from_str::<Checks>(&text).unwrap(), checks);
        // As versions before this table wrote it: all checks by name, `null` for those that are off.
        let old = r#"{"sender":null,"helo":{"action":"reject","soft":true,"shadow":false},"rdns_confirmed":true,
            "invented_later":{"action":"reject","soft":false,"shadow":false}}"#;
        assert_eq!(serde_json::from_str::<Checks>(old).unwrap(), checks);
    }
}
