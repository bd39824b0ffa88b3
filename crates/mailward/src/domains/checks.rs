//! `checks/`: which checks a domain switches on, and what shall follow.
//!
//! A file's name switches its check on, whatever it holds (`touch`, `echo yes >`, a directory). If it holds TOML, its
//! keys say what follows:
//!
//! ```toml
//! action = "file"     # reject (the default), tag, file, hold, defer, discard
//! folder = "Junk"     # with action = "file"
//! soft = true         # evidence only
//! shadow = true       # judge and record as if, then let pass
//! domains = ["a.example"]   # checks/dkim: domains that always sign
//! ```
//!
//! `all` and `recommended` switch sets on; their keys hold for each check of the set, `all` outranks `recommended`,
//! and a file of a check's own outranks both. A key that is wrong keeps its default and is reported as a [`Fault`].

use super::names::nearest;
use super::tree::{Kind, Text, Tree, Unreadable, Way};
use super::{Fault, Severity};
use judge::policy::{Action, CHECKS, Checks, Folder, Recommended, Rule};
use mail::Domain;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The set of the original.
pub(super) const ALL: &str = "all";
/// Our set.
pub(super) const RECOMMENDED: &str = "recommended";

const ACTIONS: [&str; 6] = ["reject", "tag", "file", "hold", "defer", "discard"];
const KEYS: [&str; 4] = ["action", "folder", "soft", "shadow"];
/// Keys of the specification that this version does not act on yet.
const LATER: [&str; 2] = ["known", "forged"];

/// What one file says. `None`: nothing, so a default holds.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    action: Option<Action>,
    soft: Option<bool>,
    shadow: Option<bool>,
    domains: Option<Vec<Domain>>,
}

/// Whether `name` is a check or a set.
pub(super) fn is_known(name: &str) -> bool {
    known().any(|known| known == name)
}

/// Every name that may stand in `checks/`.
pub(super) fn known() -> impl Iterator<Item = &'static str> {
    CHECKS.iter().map(|check| check.name).chain([ALL, RECOMMENDED])
}

/// Reads `checks/` of the domain at `top`; faults come with the file that has them.
pub(super) fn read(tree: &mut Tree, top: &Path) -> Result<(Checks, Vec<(PathBuf, Fault)>), Unreadable> {
    let dir = top.join("checks");
    let (mut files, mut faults) = (Vec::new(), Vec::new());
    if tree.subdir(top, "checks")?.is_some()
        && let Some(listing) = tree.list(&dir, Way::Listing)?
    {
        for entry in &listing.entries {
            let Some(name) = entry.name.to_str().filter(|name| is_known(name)) else {
                continue;
            };
            let settings = match tree.kind(&dir, entry)? {
                None => continue,
                Some(Kind::Dir) => Settings::default(),
                Some(_) => {
                    let Some(text) = tree.text(&dir, OsStr::new(name))? else {
                        continue;
                    };
                    let (settings, found) = parse(name, &text);
                    faults.extend(found.into_iter().map(|fault| (dir.join(name), fault)));
                    settings
                }
            };
            files.push((name.to_owned(), settings));
        }
    }
    Ok((combine(&files), faults))
}

/// The rules that follow from all files together.
fn combine(files: &[(String, Settings)]) -> Checks {
    let file = |name: &str| {
        files
            .iter()
            .find(|(file, _)| file == name)
            .map(|(_, settings)| settings)
    };
    let mut checks = Checks::default();
    for check in CHECKS {
        let of_all = file(ALL)
            .filter(|_| check.in_all)
            .map(|settings| settings.over(Rule::default()));
        let of_recommended = match check.recommended {
            Recommended::No => None,
            Recommended::Acts => file(RECOMMENDED).map(|settings| settings.over(Rule::default())),
            Recommended::Evidence => file(RECOMMENDED).map(|settings| settings.over(Rule::soft())),
        };
        let own = file(check.name).map(|settings| settings.over(Rule::default()));
        if let Some(rule) = checks.rule_mut(check.name) {
            *rule = own.or(of_all).or(of_recommended);
        }
    }
    checks.dkim_domains = file("dkim").and_then(|settings| settings.domains.clone());
    checks
}

impl Settings {
    fn over(&self, rule: Rule) -> Rule {
        Rule {
            action: self.action.clone().unwrap_or(rule.action),
            soft: self.soft.unwrap_or(rule.soft),
            shadow: self.shadow.unwrap_or(rule.shadow),
        }
    }
}

/// Reads the file `name`. Text that is no TOML counts as empty; where it looks as if it were meant to be TOML, that
/// is a fault.
pub(super) fn parse(name: &str, text: &Text) -> (Settings, Vec<Fault>) {
    let empty = |fault| (Settings::default(), Vec::from_iter(fault));
    if text.is_cut {
        let message = format!(
            "longer than {} KiB, so it counts as empty",
            super::tree::TEXT_OCTETS_MAX / 1024
        );
        return empty(Some(Fault::warning(message)));
    }
    let Ok(text) = std::str::from_utf8(&text.octets) else {
        return empty(Some(Fault::warning("not UTF-8, so it counts as empty".into())));
    };
    let table = match DeTable::parse(text) {
        Ok(table) => table.into_inner(),
        // `yes` is no mistake; `action = reject` is.
        Err(_) if !text.contains('=') => return empty(None),
        Err(error) => {
            let line = error.span().map(|span| line_of(text, span.start));
            let message = format!("not TOML, so it counts as empty: {}", error.message());
            return empty(Some(Fault::warning(message).at(line)));
        }
    };
    let mut reader = Reader {
        check: name,
        text,
        faults: Vec::new(),
    };
    let settings = reader.settings(&table);
    (settings, reader.faults)
}

struct Reader<'a> {
    check: &'a str,
    text: &'a str,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn settings(&mut self, table: &DeTable<'_>) -> Settings {
        let mut settings = Settings::default();
        let mut folder = None;
        for (key, value) in table {
            match (&**key.get_ref(), self.check) {
                ("action", _) => settings.action = self.action(value),
                ("folder", _) => folder = Some((key, self.folder(value))),
                ("soft", _) => settings.soft = self.switch("soft", value),
                ("shadow", _) => settings.shadow = self.switch("shadow", value),
                ("domains", "dkim") => settings.domains = self.domains(value),
                (unknown, _) => self.unknown_key(unknown, key),
            }
        }
        match (&mut settings.action, folder) {
            (Some(Action::File(action)), Some((_, Some(folder)))) => *action = folder,
            (Some(Action::File(_)), _) | (_, None | Some((_, None))) => {}
            (_, Some((key, Some(_)))) => {
                let fault = Fault::warning("`folder` has no effect without `action = \"file\"`".into());
                self.fault(key.span().start, fault);
            }
        }
        settings
    }

    fn unknown_key(&mut self, unknown: &str, key: &Spanned<std::borrow::Cow<'_, str>>) {
        let own = (self.check == "dkim").then_some("domains");
        let fault = match LATER.contains(&unknown) {
            true => Fault::note(format!("`{unknown}` is not used by this version yet")),
            false => Fault::warning(format!("unknown key: `{unknown}`"))
                .hint_word(nearest(unknown, KEYS.into_iter().chain(own))),
        };
        self.fault(key.span().start, fault);
    }

    fn action(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Action> {
        let DeValue::String(word) = value.get_ref() else {
            return self.wrong(value, "`action` is not a word in quotes".into(), Some("reject"));
        };
        Some(match &**word {
            "reject" => Action::Reject,
            "tag" => Action::Tag,
            "file" => Action::File(Folder::junk()),
            "hold" => Action::Hold,
            "defer" => Action::Defer,
            "discard" => Action::Discard,
            other => return self.wrong(value, format!("unknown action: `{other}`"), nearest(other, ACTIONS)),
        })
    }

    fn folder(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Folder> {
        let folder = match value.get_ref() {
            DeValue::String(name) => Folder::parse(name),
            _ => None,
        };
        folder.or_else(|| self.wrong(value, "`folder` is not the name of a mail folder".into(), Some("Junk")))
    }

    fn switch(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<bool> {
        match value.get_ref() {
            DeValue::Boolean(on) => Some(*on),
            _ => self.wrong(value, format!("`{key}` is neither `true` nor `false`"), None),
        }
    }

    /// A list of which no entry is a domain keeps the default; an empty list is an answer.
    fn domains(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Vec<Domain>> {
        let DeValue::Array(entries) = value.get_ref() else {
            let message = "`domains` is not a list: write `domains = [\"a.example\"]`".into();
            return self.wrong(value, message, None);
        };
        let mut domains = Vec::new();
        for entry in entries.iter() {
            match entry.get_ref() {
                DeValue::String(name) if let Ok(domain) = Domain::parse(name) => domains.push(domain),
                _ => drop(self.wrong::<()>(entry, "not a domain in quotes, so it is left out".into(), None)),
            }
        }
        (!domains.is_empty() || entries.is_empty()).then_some(domains)
    }

    fn wrong<T>(&mut self, value: &Spanned<DeValue<'_>>, message: String, right: Option<&str>) -> Option<T> {
        self.fault(value.span().start, Fault::warning(message).hint_word(right));
        None
    }

    fn fault(&mut self, offset: usize, fault: Fault) {
        debug_assert!(fault.severity != Severity::Error, "a bad check file never stops mail");
        self.faults.push(fault.at(Some(line_of(self.text, offset))));
    }
}

fn line_of(text: &str, offset: usize) -> u32 {
    let before = text.as_bytes().get(..offset).unwrap_or_default();
    1 + before.iter().filter(|&&octet| octet == b'\n').count() as u32
}
