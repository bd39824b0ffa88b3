//! `mailward report`: what the records say in sum. `report shadow` answers what an operator wants to know before a
//! shadow mode is taken off: what would have been refused, by which check, and was that mail really junk?
//!
//! Each delivery with a reason in shadow is judged again, on the facts and the policy that were stored with it, but
//! with all shadow modes off. Where that changes nothing (another reason refused it all the same), it is counted
//! apart. Memory is bounded by the number of checks, not by the number of messages.

use super::desk::{Desk, Out};
use super::{Trouble, harmless_json};
use clap::{Args, Subcommand};
use judge::reason::Effect;
use judge::verdict::conclude;
use mail::{Domain, Line};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use store::{MailwardId, RecipientRecord, Record, Since, Which};

/// Messages that are looked at in one question to the store: some milliseconds.
const PAGE_MESSAGES: usize = 500;
/// The longest bar, in columns.
const BAR_COLUMNS: u64 = 30;

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub(super) struct Options {
    #[command(subcommand)]
    report: Report,
}

#[derive(Debug, Clone, Subcommand, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Report {
    /// What would have been refused, if the shadow modes were off
    Shadow(Shadow),
}

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
struct Shadow {
    /// How far back: 90m, 36h, 7d, 2w
    #[arg(long, value_name = "TIME", default_value = "1d")]
    since: String,
    /// Only mail for this domain
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// Examples of each check, the newest first
    #[arg(long, value_name = "N", default_value_t = 3)]
    samples: usize,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(desk: &Desk, options: &Options, out: &mut Out<'_>) -> Result<u8, Trouble> {
    let Report::Shadow(options) = &options.report;
    let seconds = seconds(&options.since)?;
    let domain = options.domain.as_deref().map(Domain::parse).transpose();
    let mut tally = Tally {
        from_s: jiff::Timestamp::now().as_second().saturating_sub(seconds),
        domain: domain.map_err(|error| Trouble::new(format!("--domain: {error}")))?,
        samples_max: options.samples,
        ..Tally::default()
    };
    let reader = desk.reader()?;
    let mut since = Since {
        from_s: tally.from_s,
        below: None,
        messages_max: PAGE_MESSAGES,
        which: Which::Shadowed,
    };
    loop {
        let page = desk.wait(reader.since(since)).map_err(Trouble::new)?;
        (tally.messages, tally.deliveries) = (tally.messages + page.messages, tally.deliveries + page.deliveries);
        tally.unreadable += page.unreadable;
        page.found.iter().for_each(|stored| tally.add(&stored.record));
        out.is_wanted()?;
        since.below = page.next;
        if since.below.is_none() {
            break;
        }
    }
    let text = match options.json {
        true => harmless_json(&serde_json::to_string_pretty(&tally.json()).map_err(Trouble::new)?) + "\n",
        false => tally.text(),
    };
    out.text.write_all(text.as_bytes())?;
    Ok(0)
}

/// A number with `m`, `h`, `d` or `w`.
fn seconds(text: &str) -> Result<i64, Trouble> {
    const UNITS: [(char, i64); 4] = [('m', 60), ('h', 3600), ('d', 24 * 3600), ('w', 7 * 24 * 3600)];
    let unit = UNITS
        .iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(*unit)?, seconds)));
    unit.and_then(|(digits, seconds)| {
        let is_plain = digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse::<i64>().ok().filter(|_| is_plain)?.checked_mul(*seconds)
    })
    .ok_or_else(|| Trouble::hint(format!("not a time: `{text}`"), "write `90m`, `36h`, `7d` or `2w`"))
}

/// What was found.
#[derive(Debug, Default)]
struct Tally {
    from_s: i64,
    domain: Option<Domain>,
    samples_max: usize,
    messages: u64,
    deliveries: u64,
    unreadable: u64,
    /// Deliveries that a shadow mode let pass.
    passed: u64,
    /// Deliveries with a reason in shadow that ended as they would have without.
    same: u64,
    checks: BTreeMap<String, Counted>,
}

/// The deliveries that one check would have decided.
#[derive(Debug, Default)]
struct Counted {
    count: u64,
    dispositions: BTreeMap<&'static str, u64>,
    samples: Vec<Sample>,
}

#[derive(Debug)]
struct Sample {
    received_s: i64,
    id: MailwardId,
    from: Line,
    to: Line,
    disposition: &'static str,
    reason: String,
}

impl Tally {
    fn add(&mut self, record: &Record) {
        for recipient in &record.recipients {
            let is_shadowed = |r: &judge::reason::Reason| r.effect == Effect::Shadowed;
            let address = &recipient.facts.address;
            let is_asked_for = self.domain.is_none() || self.domain.as_ref() == address.domain();
            if is_asked_for && recipient.verdict.reasons.iter().any(is_shadowed) {
                self.add_shadowed(record, recipient);
            }
        }
    }

    fn add_shadowed(&mut self, record: &Record, recipient: &RecipientRecord) {
        let policy = recipient.policy.policy().without_shadow();
        let would = conclude(&record.facts, &recipient.facts, &policy);
        let Some(reason) = would
            .decisive()
            .filter(|_| would.disposition != recipient.verdict.disposition)
        else {
            self.same += 1;
            return;
        };
        self.passed += 1;
        let counted = self.checks.entry(reason.source.to_string()).or_default();
        counted.count += 1;
        *counted.dispositions.entry(would.disposition.word()).or_default() += 1;
        let sample = Sample {
            received_s: record.facts.received_s,
            id: record.id,
            from: Line::reason(format!("<{}>", record.facts.reverse_path).as_bytes()),
            to: Line::reason(format!("<{}>", recipient.facts.address).as_bytes()),
            disposition: would.disposition.word(),
            reason: reason.text.to_string(),
        };
        // Within a minute ids do not tell which is newer, so the place is looked for.
        let place = counted
            .samples
            .partition_point(|other| (other.received_s, other.id) > (sample.received_s, sample.id));
        if place < self.samples_max {
            counted.samples.insert(place, sample);
            counted.samples.truncate(self.samples_max);
        }
    }

    /// The most frequent first.
    fn by_count(&self) -> Vec<(&String, &Counted)> {
        let mut checks: Vec<_> = self.checks.iter().collect();
        checks.sort_by_key(|(_, counted)| std::cmp::Reverse(counted.count));
        checks
    }

    fn text(&self) -> String {
        let of = self
            .domain
            .as_ref()
            .map_or(String::new(), |domain| format!(" for {domain}"));
        let mut out = format!(
            "since {}: {} of {} deliveries{} passed only because of a shadow mode\n",
            local_time(self.from_s, "%d %b %Y %H:%M"),
            self.passed,
            self.deliveries,
            if of.is_empty() {
                String::new()
            } else {
                format!(" (those{of})")
            },
        );
        let checks = self.by_count();
        let most = checks.first().map_or(1, |(_, counted)| counted.count).max(1);
        let digits = most.to_string().len();
        let name_columns = checks.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, counted) in &checks {
            let bar = "█".repeat(usize::try_from((counted.count * BAR_COLUMNS).div_ceil(most)).unwrap_or(0));
            let words: Vec<_> = counted
                .dispositions
                .iter()
                .map(|(word, n)| format!("{word} {n}"))
                .collect();
            let _ = writeln!(
                out,
                "  {:>digits$}  {name:<name_columns$}  {bar}  {}",
                counted.count,
                words.join(", ")
            );
        }
        for (name, counted) in checks.iter().filter(|(_, counted)| !counted.samples.is_empty()) {
            let _ = writeln!(out, "\n{name}, the newest:");
            for sample in &counted.samples {
                let Sample {
                    received_s,
                    id,
                    from,
                    to,
                    disposition,
                    reason,
                } = sample;
                let time = local_time(*received_s, "%d %b %H:%M");
                let _ = writeln!(out, "  {id}  {time}  {disposition:<7}  {from} to {to}  {reason}");
            }
        }
        self.notes(&mut out);
        out
    }

    fn notes(&self, out: &mut String) {
        if self.same > 0 {
            let _ = writeln!(out, "\nwould have ended the same without a shadow mode: {}", self.same);
        }
        if self.unreadable > 0 {
            let _ = writeln!(
                out,
                "\nwritten by another version and not counted: {} messages",
                self.unreadable
            );
        }
    }

    fn json(&self) -> serde_json::Value {
        let sample = |sample: &Sample| {
            serde_json::json!({
                "id": sample.id.to_string(),
                "received_s": sample.received_s,
                "from": sample.from.as_str(),
                "to": sample.to.as_str(),
                "disposition": sample.disposition,
                "reason": sample.reason,
            })
        };
        let check = |(name, counted): (&String, &Counted)| {
            serde_json::json!({
                "check": name,
                "count": counted.count,
                "dispositions": counted.dispositions,
                "samples": counted.samples.iter().map(sample).collect::<Vec<_>>(),
            })
        };
        serde_json::json!({
            "since_s": self.from_s,
            "domain": self.domain.as_ref().map(Domain::as_str),
            "messages": self.messages,
            "deliveries": self.deliveries,
            "passed": self.passed,
            "same": self.same,
            "unreadable": self.unreadable,
            "checks": self.by_count().into_iter().map(check).collect::<Vec<_>>(),
        })
    }
}

fn local_time(second: i64, form: &str) -> String {
    let time = jiff::Timestamp::from_second(second).unwrap_or_default();
    time.to_zoned(jiff::tz::TimeZone::system()).strftime(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_with_a_unit() {
        let read = |text| seconds(text).ok();
        assert_eq!(read("90m"), Some(5400));
        assert_eq!(read("36h"), Some(36 * 3600));
        assert_eq!((read("7d"), read("1w")), (Some(7 * 86400), Some(7 * 86400)));
        for text in [
            "",
            "d",
            "7",
            "7 d",
            "-1d",
            "+1d",
            "1.5h",
            "99999999999999999w",
            "1dd",
            "7D",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
