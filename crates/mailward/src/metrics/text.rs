//! The counts as Prometheus text (exposition format 0.0.4): for each metric its help, its type and its samples.

use super::{Counter, DECIDERS, DISPOSITIONS, Histogram, Metrics, TURNED_AWAY};
use judge::checks::table;
use mail::smtp::refusal::Refusal;
use std::fmt::{Display, Write as _};

/// What is not counted but read when somebody asks. `None` is what this process has nothing to do with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Readings {
    /// What the door has to do at this moment.
    pub door: Option<Door>,
    /// Octets in the quarantine.
    pub quarantine_octets: u64,
    /// Refusals of which not even a line was kept.
    pub notes_unwritten: u64,
    /// How often the domains' tree was read from disk.
    pub domains_disk_accesses: u64,
    /// When the process began, in seconds since 1970.
    pub started_s: i64,
    /// What was asked of DNS; `None` where it is not asked.
    pub dns: Option<crate::dns::Stats>,
    /// DNS lists that are switched off.
    pub zones_off: usize,
}

/// What waits or works at the door for mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Door {
    /// SMTP connections.
    pub connections: u32,
    /// Octets of messages that are being received.
    pub body_octets: u64,
    /// Synced and lazy writes that wait for the store.
    pub store_queued: (usize, usize),
}

/// The text.
pub fn exposition(metrics: &Metrics, readings: &Readings) -> String {
    let mut out = Text(String::with_capacity(8 * 1024));
    out.head("mailward_build_info", "gauge", "The version that runs.");
    out.sample("mailward_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    messages(&mut out, metrics);
    doors(&mut out, metrics, readings);
    next_hops(&mut out, metrics);
    disks(&mut out, metrics, readings);
    dns(&mut out, readings);
    process(&mut out, readings);
    out.0
}

fn messages(out: &mut Text, metrics: &Metrics) {
    let words = DISPOSITIONS.map(|word| word.replace(' ', "_"));
    out.family(
        "mailward_dispositions_total",
        "What became of messages, one for each recipient.",
        "disposition",
        words.iter().map(String::as_str).zip(&metrics.dispositions),
    );
    let deciders = DECIDERS.into_iter().chain(table().iter().map(|spec| spec.name));
    out.family(
        "mailward_decisions_total",
        "Who gave the decisive reason, one for each recipient; `none` where nothing spoke against a message.",
        "check",
        deciders.zip(&metrics.deciders),
    );
    out.family(
        "mailward_replies_total",
        "Replies to whole messages.",
        "class",
        ["2xx", "4xx", "5xx"].into_iter().zip(&metrics.replies),
    );
    out.counter(
        "mailward_message_octets_total",
        "Octets of whole messages.",
        &metrics.message_octets,
    );
    out.histogram(
        "mailward_message_seconds",
        "From the last octet of a message to its reply.",
        &metrics.message_time,
    );
}

fn doors(out: &mut Text, metrics: &Metrics, readings: &Readings) {
    if let Some(door) = &readings.door {
        out.gauge("mailward_connections", "SMTP connections now.", door.connections);
        out.gauge(
            "mailward_body_octets",
            "Octets of messages that are being received now.",
            door.body_octets,
        );
        let (synced, lazy) = door.store_queued;
        out.head("mailward_store_queued", "gauge", "Writes that wait for the store now.");
        out.sample("mailward_store_queued", &[("sort", "synced")], synced);
        out.sample("mailward_store_queued", &[("sort", "lazy")], lazy);
    }
    out.counter(
        "mailward_connections_total",
        "SMTP connections that were let in.",
        &metrics.connections,
    );
    out.family(
        "mailward_turned_away_total",
        "SMTP connections that were answered 421 at once.",
        "reason",
        TURNED_AWAY.into_iter().zip(&metrics.turned_away),
    );
    out.family(
        "mailward_refusals_total",
        "What SMTP sessions refused by themselves, before any check: commands, messages, connections.",
        "reason",
        Refusal::ALL.iter().map(|why| why.word()).zip(&metrics.refusals),
    );
}

fn next_hops(out: &mut Text, metrics: &Metrics) {
    let hops = &metrics.hops;
    out.family(
        "mailward_next_hop_deliveries_total",
        "Answers of next hops, one for each recipient.",
        "outcome",
        [
            ("taken", &hops.taken),
            ("refused", &hops.refused),
            ("later", &hops.later),
        ],
    );
    out.counter(
        "mailward_next_hop_connect_failures_total",
        "Connections to next hops that failed or were not greeted.",
        &hops.connect_failures,
    );
}

fn disks(out: &mut Text, metrics: &Metrics, readings: &Readings) {
    out.histogram(
        "mailward_store_begin_seconds",
        "Recording an intent, its sync included.",
        &metrics.store_begin_time,
    );
    out.counter(
        "mailward_store_begin_failures_total",
        "Intents that could not be recorded; their messages were deferred.",
        &metrics.store_begin_failures,
    );
    out.gauge(
        "mailward_quarantine_octets",
        "Octets used of the quarantine's budget.",
        readings.quarantine_octets,
    );
    out.number(
        "mailward_quarantine_notes_unwritten_total",
        "counter",
        "Refusals of which not even a line could be kept.",
        readings.notes_unwritten,
    );
    out.number(
        "mailward_domains_disk_accesses_total",
        "counter",
        "How often the domains' files were read; stands still while nothing changes.",
        readings.domains_disk_accesses,
    );
}

fn dns(out: &mut Text, readings: &Readings) {
    if let Some(stats) = &readings.dns {
        let crate::dns::Stats {
            asked,
            cached,
            shared,
            queried,
            timed_out,
            failed,
        } = stats;
        out.head(
            "mailward_dns_questions_total",
            "counter",
            "Questions about names, by how they were answered; `queried` ones that came to nothing also count as `timed_out` or `failed`.",
        );
        let counts = [
            ("cached", cached),
            ("shared", shared),
            ("queried", queried),
            ("timed_out", timed_out),
            ("failed", failed),
        ];
        for (answer, n) in counts {
            out.sample("mailward_dns_questions_total", &[("answer", answer)], n);
        }
        out.number(
            "mailward_dns_asked_total",
            "counter",
            "Questions about names in all.",
            asked,
        );
    }
    out.gauge(
        "mailward_dns_lists_off",
        "DNS lists that are switched off, because they do not work.",
        readings.zones_off,
    );
}

fn process(out: &mut Text, readings: &Readings) {
    out.gauge(
        "process_start_time_seconds",
        "When the process began, in seconds since 1970.",
        readings.started_s,
    );
    if let Some(octets) = resident_octets() {
        out.gauge("process_resident_memory_bytes", "Resident memory.", octets);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // Reading the directory takes one itself.
        out.gauge(
            "process_open_fds",
            "Open file descriptors.",
            open.count().saturating_sub(1),
        );
    }
}

/// The second number of `/proc/self/statm` is pages.
fn resident_octets() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Labels and their values are ours, so nothing in them needs an escape.
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.0, "{name}");
        for (n, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"{text}\"", if n == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn number(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.head(name, kind, help);
        self.sample(name, &[], value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.number(name, "gauge", help, value);
    }

    fn counter(&mut self, name: &str, help: &str, counter: &Counter) {
        self.number(name, "counter", help, counter.count());
    }

    fn family<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        counters: impl IntoIterator<Item = (&'a str, &'a Counter)>,
    ) {
        self.head(name, "counter", help);
        for (value, counter) in counters {
            self.sample(name, &[(label, value)], counter.count());
        }
    }

    /// Buckets add up, and the one without bound equals the count.
    fn histogram<const BOUNDS: usize>(&mut self, name: &str, help: &str, histogram: &Histogram<BOUNDS>) {
        self.head(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        let mut sum = 0;
        for (bound, within) in histogram.bounds_s.iter().zip(&histogram.within) {
            sum += within.count();
            self.sample(&bucket, &[("le", &bound.to_string())], sum);
        }
        // Counted last and read last, so it is never below the buckets.
        let count = histogram.count.count().max(sum);
        self.sample(&bucket, &[("le", "+Inf")], count);
        self.sample(&format!("{name}_sum"), &[], histogram.sum_us.count() as f64 / 1e6);
        self.sample(&format!("{name}_count"), &[], count);
    }
}
