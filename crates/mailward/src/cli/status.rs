//! `mailward status`: how the daemon fares.

use super::daemon::Daemon;
use super::desk::{Desk, Out};
use super::explain::line;
use super::{Trouble, harmless_json};
use crate::domains::Missing;
use crate::judgement::Judgement;
use crate::metrics::{HopHealth, METRICS};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::time::Duration;

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub(super) struct Options {
    /// One JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(desk: &Desk, options: &Options, out: &mut Out<'_>) -> Result<u8, Trouble> {
    let daemon = desk.daemon()?;
    // What cannot be told must not keep back the rest.
    let missing = desk.missing().unwrap_or_default();
    let text = match options.json {
        true => harmless_json(&serde_json::to_string_pretty(&json(daemon, &missing)).map_err(Trouble::new)?) + "\n",
        false => text(daemon, &missing),
    };
    out.text.write_all(text.as_bytes())?;
    Ok(0)
}

fn text(daemon: &Daemon, missing: &[Missing]) -> String {
    let runtime = daemon.runtime();
    let mut out = format!(
        "mailward {}, up for {}, process {} ({})\n",
        env!("CARGO_PKG_VERSION"),
        span(daemon.uptime()),
        std::process::id(),
        daemon.parts()
    );
    if let Some(now) = daemon.connections() {
        let (came, turned_away) = METRICS.visitors();
        line(
            &mut out,
            "clients",
            format_args!("{now} now; since the start {came} came in, {turned_away} were turned away"),
        );
        refusals(&mut out);
        let words: Vec<_> = METRICS
            .by_disposition()
            .map(|(word, n)| format!("{word} {n}"))
            .collect();
        let words = if words.is_empty() {
            "none since the start".into()
        } else {
            words.join(", ")
        };
        line(&mut out, "messages", words);
        let (begun, failed) = METRICS.store_begins();
        let path = runtime.config.store_path();
        let store = format!("{}: {begun} messages recorded, {failed} could not be", path.display());
        line(&mut out, "store", store);
    }
    line(&mut out, "dns", dns_text(&runtime.judgement));
    for (zone, why) in runtime.judgement.zones().switched_off() {
        line(&mut out, "list off", format_args!("{zone}: {why}"));
    }
    let hops = METRICS.hops.health();
    if hops.is_empty() {
        line(&mut out, "next hop", "no message since the start");
    }
    for (name, health) in &hops {
        line(&mut out, "next hop", hop_text(name, health));
    }
    let (used, limits) = (runtime.quarantine.used_octets(), &runtime.config.limits);
    let mut quarantine = format!("{} of {}", octets(used), octets(limits.quarantine_size));
    if runtime.quarantine.notes_unwritten() > 0 {
        let _ = write!(
            quarantine,
            "; refusals without even a line: {}",
            runtime.quarantine.notes_unwritten()
        );
    }
    line(&mut out, "held", quarantine);
    match runtime.domains.names().len() {
        0 => line(&mut out, "domains", "NONE: all mail is deferred until there is one"),
        count => line(&mut out, "domains", count),
    }
    for missing in missing {
        line(&mut out, "missing", format_args!("{missing}; {}", missing.hint()));
    }
    out
}

/// Who was turned away, and what sessions refused, where there is something to tell.
fn refusals(out: &mut String) {
    let (_, turned_away) = METRICS.visitors();
    if turned_away > 0 {
        let reasons = METRICS.by_turned_away().map(|(word, n)| (turned_away_by(word), n));
        line(out, "turned away", format_args!("{turned_away} ({})", counts(reasons)));
    }
    let refused: u64 = METRICS.by_refusal().map(|(_, n)| n).sum();
    if refused > 0 {
        let reasons = counts(METRICS.by_refusal());
        line(out, "refused", format_args!("{refused} by sessions ({reasons})"));
    }
}

/// Reasons with their numbers.
fn counts(reasons: impl Iterator<Item = (&'static str, u64)>) -> String {
    let told: Vec<String> = reasons
        .map(|(word, n)| format!("{} {n}", word.replace('_', " ")))
        .collect();
    told.join(", ")
}

fn turned_away_by(word: &'static str) -> &'static str {
    match word {
        "load" => "system load",
        "connections" => "connections in all",
        "client_network" => "connections of one network",
        other => other,
    }
}

fn dns_text(judgement: &Judgement) -> String {
    let Some(dns) = judgement.dns() else {
        return "not asked (`[dns] enabled = false`)".into();
    };
    let stats = dns.stats();
    format!(
        "{} questions: {} answered from memory, {} shared, {} sent, of which {} timed out and {} failed",
        stats.asked, stats.cached, stats.shared, stats.queried, stats.timed_out, stats.failed
    )
}

fn hop_text(name: &str, health: &HopHealth) -> String {
    let HopHealth {
        taken, refused, later, ..
    } = health;
    let mut text = format!("{name}: took {taken}, refused {refused}, deferred {later}");
    match &health.trouble {
        Some((at, why)) if !health.is_well() => {
            let _ = write!(text, "; IN TROUBLE, last {} ago: {why}", span(at.elapsed()));
        }
        Some((at, _)) => {
            let _ = write!(text, "; last trouble {} ago", span(at.elapsed()));
        }
        None => {}
    }
    text
}

fn json(daemon: &Daemon, missing: &[Missing]) -> serde_json::Value {
    let runtime = daemon.runtime();
    let (came, turned_away) = METRICS.visitors();
    let (begun, failed) = METRICS.store_begins();
    let hop = |(name, health): (String, HopHealth)| {
        serde_json::json!({
            "next_hop": name,
            "is_well": health.is_well(),
            "taken": health.taken,
            "refused": health.refused,
            "later": health.later,
            "taken_ago_s": health.taken_at.map(|at| at.elapsed().as_secs()),
            "trouble_ago_s": health.trouble.as_ref().map(|(at, _)| at.elapsed().as_secs()),
            "trouble": health.trouble.as_ref().map(|(_, why)| why.as_str()),
        })
    };
    serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "started_s": daemon.started_s(),
        "uptime_s": daemon.uptime().as_secs(),
        "parts": daemon.parts().to_string().split(", ").collect::<Vec<_>>(),
        "connections": {
            "now": daemon.connections(),
            "total": came,
            "turned_away": turned_away,
            "turned_away_by": METRICS.by_turned_away().collect::<std::collections::BTreeMap<_, _>>(),
        },
        "refusals": METRICS.by_refusal().collect::<std::collections::BTreeMap<_, _>>(),
        "messages": METRICS.by_disposition().collect::<std::collections::BTreeMap<_, _>>(),
        "next_hops": METRICS.hops.health().into_iter().map(hop).collect::<Vec<_>>(),
        "quarantine": {
            "octets": runtime.quarantine.used_octets(),
            "octets_max": runtime.config.limits.quarantine_size,
            "notes_unwritten": runtime.quarantine.notes_unwritten(),
        },
        "store": {"path": runtime.config.store_path(), "recorded": begun, "failures": failed},
        "domains": runtime.domains.names().len(),
        "missing": missing.iter().map(|missing| serde_json::json!({
            "domain": missing.domain.as_str(),
            "what": missing.what(),
            "since_s": missing.since_s,
            "until_s": missing.until_s(),
            "hint": missing.hint(),
        })).collect::<Vec<_>>(),
        "dns": runtime.judgement.dns().map(|dns| {
            let stats = dns.stats();
            serde_json::json!({
                "asked": stats.asked,
                "cached": stats.cached,
                "shared": stats.shared,
                "queried": stats.queried,
                "timed_out": stats.timed_out,
                "failed": stats.failed,
            })
        }),
        "lists_off": runtime.judgement.zones().switched_off().iter().map(|(zone, why)| {
            serde_json::json!({"zone": zone.as_str(), "why": why.as_str()})
        }).collect::<Vec<_>>(),
    })
}

/// The two largest units of a time.
fn span(time: Duration) -> String {
    let s = time.as_secs();
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        3600..86400 => format!("{} h {} min", s / 3600, s % 3600 / 60),
        _ => format!("{} d {} h", s / 86400, s % 86400 / 3600),
    }
}

fn octets(octets: u64) -> String {
    let units = [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.iter().find(|(_, factor)| octets >= *factor) {
        Some((unit, factor)) => format!("{:.1} {unit}", octets as f64 / *factor as f64),
        None => format!("{octets} octets"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_have_two_significant_units() {
        let of = |s| span(Duration::from_secs(s));
        assert_eq!(
            [of(59), of(61), of(7260), of(90000)],
            ["59 s", "1 min 1 s", "2 h 1 min", "1 d 1 h"]
        );
        assert_eq!(
            [octets(1023), octets(1536), octets(10 << 30)],
            ["1023 octets", "1.5 KiB", "10.0 GiB"]
        );
    }
}
