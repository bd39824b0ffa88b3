//! What the tests of the quarantine share.

use super::{Budget, Copy, Quarantine, Settings};
use jiff::Zoned;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use mail::{Address, Domain, Line, ReversePath};
use std::path::Path;
use std::sync::LazyLock;

pub const MESSAGE: &[&[u8]] = &[b"Subject: Hello\r\n", b"\r\n", b"Hi there.\r\n"];

static RECIPIENT: LazyLock<Address> = LazyLock::new(|| Address::parse("Ann@Example.com").unwrap());
static DOMAIN: LazyLock<Domain> = LazyLock::new(|| Domain::parse("example.com").unwrap());
static REVERSE_PATH: LazyLock<ReversePath> = LazyLock::new(|| ReversePath::parse("Bob@b.example").unwrap());
static HELO: Line = Line::literal("b.example");
static REASON: Line = Line::literal("HELO should be qualified");

/// A small message.
pub fn copy() -> Copy<'static> {
    Copy {
        id: "7QK2M9",
        recipient: &RECIPIENT,
        domain: &DOMAIN,
        client: "192.0.2.1".parse().unwrap(),
        host: "client.b.example",
        helo: &HELO,
        reverse_path: &REVERSE_PATH,
        reason: &REASON,
        next_hop: None,
        evidence: &[],
        plugin: Some("checks/helo"),
        subject: Some(b"Hello"),
        message_id: None,
        disposition: "reject",
        message: MESSAGE,
        tail: None,
    }
}

/// A zone with summer time, as POSIX writes it: tests must not need the system's zone files.
pub fn zone() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
}

/// Twelve o'clock.
pub fn noon(date: &str) -> Zoned {
    at(date, 12)
}

/// A full hour.
pub fn at(date: &str, hour: i8) -> Zoned {
    date.parse::<Date>()
        .unwrap()
        .at(hour, 0, 0, 0)
        .to_zoned(zone())
        .unwrap()
}

pub const UNLIMITED: Budget = Budget {
    total_octets: u64::MAX,
    per_domain_octets: u64::MAX,
    per_client_network_octets: u64::MAX,
    free_floor_octets: 0,
};

pub fn open_with(root: &Path, budget: Budget) -> Quarantine {
    let settings = Settings {
        root: root.to_owned(),
        hostname: "mx.example".into(),
        budget,
        zero_based_days: false,
    };
    Quarantine::open(settings).unwrap()
}

pub fn open(root: &Path) -> Quarantine {
    open_with(root, UNLIMITED)
}
