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
//! known = "pass"            # passed over for senders whom the mailbox knows and welcomes
//! unavailable = "defer"     # what follows when DNS or the scanner does not answer: pass or defer
//! domains = ["a.example"]   # checks/dkim: domains that always sign; checks/tls: domains that always encrypt
//! confirmed = true          # checks/rdns: the reverse name must lead back to the client
//! quarantine = "tag"        # checks/dmarc: what follows where the owner asks for suspicion; `none` is nothing
//! trusted_sealers = ["list.example"]   # checks/dmarc: whose ARC results may mend a failure
//! messages_minute = 500     # checks/rate: what one address may send to one mailbox, within a minute and within a day;
//! messages_day = 10000      # the network around it three times as much, a wider one nine times
//! mebibytes_minute = 1000
//! mebibytes_day = 3000
//! delay_s = 300             # checks/greylisting: who comes again sooner still waits
//! window_s = 172800         # who comes again later begins anew
//! lifetime_s = 3024000      # for how long whoever passed is not asked again
//! threshold = 0.95          # checks/junk: from which probability on a message is junk,
//! strict_threshold = 0.75   # and from which, where something else speaks against it
//! threshold = 10            # checks/links: from this weight of its links on a message fails
//! shorteners = ["go.example"]        # hosts that hide where a link leads, beside those that are generally known
//! ignore = ["click.shop.example"]    # hosts whose links are held against nobody
//! ```
//!
//! `all` and `recommended` switch sets on; their keys hold for each check of the set, `all` outranks `recommended`,
//! and a file of a check's own outranks both. `reputation` brings `rate` and `strangers` along, which then run in shadow
//! or as evidence where it does. A key that is wrong keeps its default and is reported as a [`Fault`].

use super::names::nearest;
use super::tree::{Kind, Text, Tree, Unreadable, Way};
use super::{Fault, Severity};
use judge::checks::{Check, InAll, Keys, Recommended, Spec, table};
use judge::greylist::GreylistTimes;
use judge::junk::JunkRules;
use judge::links::LinkSettings;
use judge::policy::{Action, CheckSettings, Checks, DmarcQuarantine, Folder, OnTrouble, Rule};
use judge::rates::RateLimits;
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
const KEYS: [&str; 6] = ["action", "folder", "soft", "shadow", "unavailable", "known"];

/// What one file says. `None`: nothing, so a default holds.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    action: Option<Action>,
    soft: Option<bool>,
    shadow: Option<bool>,
    unavailable: Option<OnTrouble>,
    known_passes: Option<bool>,
    domains: Option<Vec<Domain>>,
    confirmed: Option<bool>,
    quarantine: Option<DmarcQuarantine>,
    sealers: Option<Vec<Domain>>,
    rates: Option<RateLimits>,
    greylist: Option<GreylistTimes>,
    junk: Option<JunkRules>,
    links: Option<LinkSettings>,
}

/// Whether `name` is a check or a set.
pub(super) fn is_known(name: &str) -> bool {
    known().any(|known| known == name)
}

/// Every name that may stand in `checks/`.
pub(super) fn known() -> impl Iterator<Item = &'static str> {
    table().iter().map(|spec| spec.name).chain([ALL, RECOMMENDED])
}

/// Reads `checks/` of the domain at `top`; faults come with the file that has them.
/// `all_adds` are checks that `all` implies beside its own.
pub(super) fn read(
    tree: &mut Tree,
    top: &Path,
    all_adds: &[String],
) -> Result<(Checks, Vec<(PathBuf, Fault)>), Unreadable> {
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
    Ok((combine(&files, all_adds), faults))
}

/// The rules that follow from all files together.
fn combine(files: &[(String, Settings)], all_adds: &[String]) -> Checks {
    let file = |name: &str| {
        let named = files.iter().find(|(file, _)| file == name);
        named.map(|(_, settings)| settings)
    };
    let own = |check: Check| file(check.name());
    let all = |spec: &Spec| {
        let is_in = match spec.in_all {
            InAll::Always => true,
            InAll::IfAdded => all_adds.iter().any(|name| name == spec.name),
            InAll::Never => false,
        };
        file(ALL).filter(|_| is_in)
    };
    let mut checks = Checks::default();
    for spec in table() {
        let rule = rule_of(spec, all(spec), file(RECOMMENDED), own(spec.check));
        checks.rules.set(spec.check, rule);
    }
    for spec in table() {
        let Some(bringer) = spec.brought_by else { continue };
        let is_said = own(spec.check).or(all(spec)).is_some();
        let brings = own(bringer).and(checks.rules.get(bringer)).filter(|_| !is_said);
        let brought = brings.map(|brings| Rule {
            soft: brings.soft,
            shadow: brings.shadow,
            ..checks
                .rules
                .get(spec.check)
                .cloned()
                .unwrap_or_else(|| spec.default_rule())
        });
        if brought.is_some() {
            checks.rules.set(spec.check, brought);
        }
    }
    checks.settings = settings(own);
    checks
}

/// What the keys of the files say that only some checks have; `file` is a check's own one.
fn settings<'a>(file: impl Fn(Check) -> Option<&'a Settings>) -> CheckSettings {
    let domains = |check| file(check).and_then(|settings| settings.domains.clone());
    let confirmed = |check| file(check).and_then(|settings| settings.confirmed) == Some(true);
    let dmarc = file(Check::Dmarc);
    CheckSettings {
        rdns_confirmed: [Check::Rdns, Check::Rdns4, Check::Rdns6].into_iter().any(confirmed),
        dkim_domains: domains(Check::Dkim),
        tls_domains: domains(Check::Tls),
        dmarc_quarantine: dmarc.and_then(|file| file.quarantine.clone()).unwrap_or_default(),
        dmarc_sealers: dmarc.and_then(|file| file.sealers.clone()).unwrap_or_default(),
        rate_limits: file(Check::Rate).and_then(|file| file.rates).unwrap_or_default(),
        greylist_times: file(Check::Greylisting)
            .and_then(|file| file.greylist)
            .unwrap_or_default(),
        junk_rules: file(Check::Junk).and_then(|file| file.junk).unwrap_or_default(),
        link_settings: file(Check::Links)
            .and_then(|file| file.links.clone())
            .unwrap_or_default(),
    }
}

/// The rule of one check, where a file switches it on.
fn rule_of(
    spec: &Spec,
    all: Option<&Settings>,
    recommended: Option<&Settings>,
    own: Option<&Settings>,
) -> Option<Rule> {
    let of_recommended = match spec.recommended {
        Recommended::No => None,
        Recommended::Acts => recommended.map(|settings| settings.over(spec.default_rule())),
        // Who writes `soft = false` wants all of the set to act.
        Recommended::ActsInPart => recommended.map(|settings| Rule {
            as_recommended: settings.soft != Some(false),
            ..settings.over(spec.default_rule())
        }),
        Recommended::Evidence => recommended.map(|settings| {
            settings.over(Rule {
                soft: true,
                ..spec.default_rule()
            })
        }),
    };
    own.or(all)
        .map(|settings| settings.over(spec.default_rule()))
        .or(of_recommended)
}

impl Settings {
    fn over(&self, rule: Rule) -> Rule {
        Rule {
            action: self.action.clone().unwrap_or(rule.action),
            soft: self.soft.unwrap_or(rule.soft),
            shadow: self.shadow.unwrap_or(rule.shadow),
            unavailable: self.unavailable.unwrap_or(rule.unavailable),
            known_passes: self.known_passes.unwrap_or(rule.known_passes),
            as_recommended: rule.as_recommended,
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
    // The sets have no keys of their own.
    let keys = Check::by_name(name).map_or(Keys::None, |check| check.spec().keys);
    let mut reader = Reader {
        keys,
        text,
        faults: Vec::new(),
    };
    let settings = reader.settings(&table);
    (settings, reader.faults)
}

struct Reader<'a> {
    keys: Keys,
    text: &'a str,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn settings(&mut self, table: &DeTable<'_>) -> Settings {
        let mut settings = Settings::default();
        let mut folder = None;
        for (key, value) in table {
            match &**key.get_ref() {
                "action" => settings.action = self.action(value),
                "folder" => folder = Some((key, self.folder(value))),
                "soft" => settings.soft = self.switch("soft", value),
                "shadow" => settings.shadow = self.switch("shadow", value),
                "unavailable" => settings.unavailable = self.unavailable(value),
                "known" => settings.known_passes = self.known(value),
                name if self.keys.names().contains(&name) => self.own_key(name, value, &mut settings),
                unknown => self.unknown_key(unknown, key),
            }
        }
        if self.keys == Keys::Greylisting {
            self.greylisting(table, &mut settings);
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

    /// A key that only some checks have.
    fn own_key(&mut self, name: &str, value: &Spanned<DeValue<'_>>, settings: &mut Settings) {
        match self.keys {
            Keys::None => {}
            Keys::Confirmed => settings.confirmed = self.switch(name, value),
            Keys::Domains => settings.domains = self.domains(name, value),
            Keys::Rate => self.rate(name, value, settings),
            Keys::Dmarc => match name {
                "quarantine" => settings.quarantine = self.quarantine(value),
                _ => settings.sealers = self.domains(name, value),
            },
            Keys::Greylisting => self.greylist(name, value, settings),
            Keys::Junk => self.junk(name, value, settings),
            Keys::Links => self.links(name, value, settings),
        }
    }

    /// Whoever is greylisted is asked to come again, and can.
    fn greylisting(&mut self, table: &DeTable<'_>, settings: &mut Settings) {
        let at = |name: &str| {
            table
                .iter()
                .find(|(key, _)| key.get_ref() == name)
                .map(|(key, _)| key.span().start)
        };
        if settings.action.take().is_some() {
            let text = "`action` has no effect: strangers are asked to come again";
            self.fault(at("action").unwrap_or(0), Fault::warning(text.into()));
        }
        if let Some(times) = settings.greylist.filter(|times| times.delay_s >= times.window_s) {
            settings.greylist = None;
            let text = format!(
                "nobody could ever pass: `delay_s` ({}) is not less than `window_s` ({})",
                times.delay_s, times.window_s
            );
            self.fault(at("delay_s").or(at("window_s")).unwrap_or(0), Fault::warning(text));
        }
    }

    fn unknown_key(&mut self, unknown: &str, key: &Spanned<std::borrow::Cow<'_, str>>) {
        let own = self.keys.names().iter().copied();
        let fault = Fault::warning(format!("unknown key: `{unknown}`"))
            .hint_word(nearest(unknown, KEYS.into_iter().chain(own)));
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

    fn unavailable(&mut self, value: &Spanned<DeValue<'_>>) -> Option<OnTrouble> {
        match value.get_ref() {
            DeValue::String(word) if word == "pass" => Some(OnTrouble::Pass),
            DeValue::String(word) if word == "defer" => Some(OnTrouble::Defer),
            _ => self.wrong(
                value,
                "`unavailable` is neither `\"pass\"` nor `\"defer\"`".into(),
                None,
            ),
        }
    }

    fn known(&mut self, value: &Spanned<DeValue<'_>>) -> Option<bool> {
        match value.get_ref() {
            DeValue::String(word) if word == "pass" => Some(true),
            _ => self.wrong(value, "`known` can only be `\"pass\"`".into(), None),
        }
    }

    fn quarantine(&mut self, value: &Spanned<DeValue<'_>>) -> Option<DmarcQuarantine> {
        match value.get_ref() {
            DeValue::String(word) if word == "none" => Some(DmarcQuarantine::Nothing),
            _ => self.action(value).map(DmarcQuarantine::Act),
        }
    }

    fn rate(&mut self, key: &str, value: &Spanned<DeValue<'_>>, settings: &mut Settings) {
        let Some(number) = self.count(key, value).map(u64::from) else {
            return;
        };
        let RateLimits { minute, day } = settings.rates.get_or_insert_default();
        match key {
            "messages_minute" => minute.messages = number,
            "messages_day" => day.messages = number,
            "mebibytes_minute" => minute.octets = number << 20,
            _ => day.octets = number << 20,
        }
    }

    fn greylist(&mut self, key: &str, value: &Spanned<DeValue<'_>>, settings: &mut Settings) {
        let Some(number) = self.count(key, value) else {
            return;
        };
        let times = settings.greylist.get_or_insert_default();
        match key {
            "delay_s" => times.delay_s = number,
            "window_s" => times.window_s = number,
            _ => times.lifetime_s = number,
        }
    }

    fn junk(&mut self, key: &str, value: &Spanned<DeValue<'_>>, settings: &mut Settings) {
        let Some(milli) = self.probability(key, value) else {
            return;
        };
        let rules = settings.junk.get_or_insert_default();
        match key {
            "threshold" => rules.threshold_milli = milli,
            _ => rules.strict_milli = milli,
        }
    }

    /// In thousandths. Never 0, which would be all mail.
    fn probability(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<u16> {
        let number = match value.get_ref() {
            DeValue::Float(number) => number.as_str().parse::<f64>().ok(),
            DeValue::Integer(number) => number.as_str().parse::<f64>().ok(),
            _ => None,
        };
        let milli = number.map(|number| (number * 1000.0).round());
        match milli.filter(|milli| (1.0..=1000.0).contains(milli)) {
            Some(milli) => Some(milli as u16),
            None => self.wrong(
                value,
                format!("`{key}` is not a probability from 0.001 to 1"),
                Some("0.95"),
            ),
        }
    }

    fn links(&mut self, key: &str, value: &Spanned<DeValue<'_>>, settings: &mut Settings) {
        let mut links = settings.links.take().unwrap_or_default();
        match key {
            "threshold" => links.threshold = self.count(key, value).unwrap_or(links.threshold),
            "shorteners" => links.shorteners = self.domains(key, value).unwrap_or_default(),
            _ => links.ignore = self.domains(key, value).unwrap_or_default(),
        }
        settings.links = Some(links);
    }

    /// A number from 1 on.
    fn count(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<u32> {
        let number = match value.get_ref() {
            DeValue::Integer(number) => u32::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        number
            .filter(|number| *number > 0)
            .or_else(|| self.wrong(value, format!("`{key}` is not a number from 1 to {}", u32::MAX), None))
    }

    /// A list of which no entry is a domain keeps the default; an empty list is an answer.
    fn domains(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Vec<Domain>> {
        let DeValue::Array(entries) = value.get_ref() else {
            let message = format!("`{key}` is not a list: write `{key} = [\"a.example\"]`");
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
