//! The listener for Prometheus: the text is what the format says, and the numbers are those of what happened.

use std::collections::{BTreeMap, HashSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::support::PATIENCE;
use crate::support::client::{Client, Mail};
use crate::support::daemon::{Daemon, mailward, refused};
use crate::support::gateway::Setup;
use crate::support::sink::{Act, Script, Sink, Stage};

/// What one request is answered: status line, header, body.
fn ask(addr: SocketAddr, request: &[u8]) -> (String, String) {
    let mut stream = TcpStream::connect(addr).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    // One that is answered before it is whole may break.
    let _ = stream.write_all(request);
    let mut response = String::new();
    let _ = stream.read_to_string(&mut response);
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or((&response, ""));
    (head.to_owned(), body.to_owned())
}

/// The samples of a scrape by name and labels, after the format was checked line by line.
fn scrape(addr: SocketAddr) -> BTreeMap<String, f64> {
    let (head, text) = ask(addr, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("Content-Type: text/plain; version=0.0.4"), "{head}");
    parse(&text).unwrap_or_else(|why| panic!("{why}:\n{text}"))
}

/// Prometheus' exposition format 0.0.4, as strict as its own linter.
fn parse(text: &str) -> Result<BTreeMap<String, f64>, String> {
    if !text.ends_with('\n') {
        return Err("the last line has no end".into());
    }
    let (mut samples, mut families) = (BTreeMap::new(), HashSet::new());
    let (mut family, mut kind, mut helped) = (String::new(), String::new(), String::new());
    for line in text.lines() {
        let wrong = |why: &str| format!("{why}: {line}");
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').ok_or_else(|| wrong("no help"))?;
            if !is_name(name) || help.is_empty() || !families.insert(name.to_owned()) {
                return Err(wrong("a bad or second HELP"));
            }
            helped = name.into();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, of) = rest.split_once(' ').ok_or_else(|| wrong("no type"))?;
            if name != helped || !["counter", "gauge", "histogram"].contains(&of) {
                return Err(wrong("a TYPE without its HELP, or of no type"));
            }
            if (of == "counter") != name.ends_with("_total") {
                return Err(wrong("only counters end in _total"));
            }
            (family, kind) = (name.into(), of.into());
        } else {
            let (name, value) = line.rsplit_once(' ').ok_or_else(|| wrong("no value"))?;
            let (base, labels) = match name.split_once('{') {
                Some((base, labels)) => (base, labels.strip_suffix('}').ok_or_else(|| wrong("open labels"))?),
                None => (name, ""),
            };
            let suffix = base
                .strip_prefix(family.as_str())
                .ok_or_else(|| wrong("a sample outside of its family"))?;
            let suffixes: &[&str] = if kind == "histogram" {
                &["_bucket", "_sum", "_count"]
            } else {
                &[""]
            };
            if !suffixes.contains(&suffix) || !labels.is_empty() && !labels.split(',').all(is_label) {
                return Err(wrong("a bad name or label"));
            }
            let value: f64 = value.parse().map_err(|_| wrong("no number"))?;
            if !(value.is_finite() && value >= 0.0) || samples.insert(name.to_owned(), value).is_some() {
                return Err(wrong("a bad or second value"));
            }
        }
    }
    histograms(&samples)?;
    Ok(samples)
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn is_label(label: &str) -> bool {
    let Some((name, value)) = label.split_once('=') else {
        return false;
    };
    let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    is_name(name) && value.is_some_and(|v| !v.is_empty() && !v.contains(['"', '\\', '\n']))
}

/// Buckets grow with their bounds, and the last of them is the count.
fn histograms(samples: &BTreeMap<String, f64>) -> Result<(), String> {
    let names: HashSet<&str> = samples
        .keys()
        .filter_map(|name| Some(name.split_once("_bucket{")?.0))
        .collect();
    for name in names {
        let bound = |key: &str| {
            let le = key
                .strip_prefix(&format!("{name}_bucket{{le=\""))?
                .strip_suffix("\"}")?;
            if le == "+Inf" {
                Some(f64::INFINITY)
            } else {
                le.parse::<f64>().ok()
            }
        };
        let mut buckets: Vec<(f64, f64)> = samples.iter().filter_map(|(key, n)| Some((bound(key)?, *n))).collect();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let count = samples.get(&format!("{name}_count"));
        if !buckets.is_sorted_by(|a, b| a.1 <= b.1) || buckets.last().map(|(_, n)| n) != count {
            return Err(format!("{name} does not add up: {buckets:?}, {count:?}"));
        }
        samples
            .get(&format!("{name}_sum"))
            .ok_or_else(|| format!("{name} has no sum"))?;
    }
    Ok(())
}

#[test]
fn the_numbers_are_those_of_what_happened_and_the_text_is_what_the_format_says() {
    let sink = Sink::start();
    let gateway = Setup::new()
        .srv(&[
            "example.com/users/valid/*",
            "example.com/checks/helo",
            "example.com/blacklisted/senders/eve@evil.example",
        ])
        .set("metrics.listen", r#"["127.0.0.1:0"]"#)
        .set("limits.connections_per_client", "1")
        .before_sink(&sink)
        .stopped();
    let daemon = Daemon::start(mailward(&gateway, &["serve"]));
    let (smtp, metrics) = (daemon.addr("smtp"), daemon.addr("metrics"));
    let before = scrape(metrics);
    assert_eq!(
        (before["mailward_connections"], before["mailward_connections_total"]),
        (0.0, 0.0)
    );
    assert_eq!(before["mailward_decisions_total{check=\"helo\"}"], 0.0);

    let mut mail = Mail::new("1@load.example", &["ann@example.com", "bob@example.com"]);
    let mut client = Client::greeted(smtp);
    assert_eq!(client.transaction(&mail).expect("a transaction").decisive().code, 250);
    mail.from = "eve@evil.example".into();
    assert_eq!(client.transaction(&mail).expect("a transaction").decisive().code, 550);
    client.command("EHLO nodot").expect("a reply");
    mail.from = "alice@sender.example".into();
    assert_eq!(client.transaction(&mail).expect("a transaction").decisive().code, 550);
    // A second connection of the same network.
    assert_eq!(
        Client::connect(smtp)
            .expect("a connection")
            .reply()
            .expect("a reply")
            .code,
        421
    );

    let after = scrape(metrics);
    let is = |name: &str, value: f64| assert_eq!(after[name], value, "{name}");
    is("mailward_dispositions_total{disposition=\"accept\"}", 2.0);
    is("mailward_dispositions_total{disposition=\"reject\"}", 4.0);
    is("mailward_decisions_total{check=\"none\"}", 2.0);
    is("mailward_decisions_total{check=\"helo\"}", 2.0);
    is("mailward_decisions_total{check=\"black_list\"}", 2.0);
    is("mailward_replies_total{class=\"2xx\"}", 1.0);
    is("mailward_replies_total{class=\"5xx\"}", 2.0);
    is("mailward_message_seconds_count", 3.0);
    is("mailward_store_begin_seconds_count", 3.0);
    is("mailward_store_begin_failures_total", 0.0);
    is("mailward_message_octets_total", 3.0 * mail.message.len() as f64);
    is("mailward_connections", 1.0);
    is("mailward_connections_total", 1.0);
    is("mailward_turned_away_total{reason=\"client_network\"}", 1.0);
    is("mailward_next_hop_deliveries_total{outcome=\"taken\"}", 2.0);
    for grown in ["process_resident_memory_bytes", "process_open_fds"] {
        assert!(after[grown] > 0.0, "{grown}");
    }
    assert!(after.contains_key("mailward_quarantine_octets"));
    assert!(after["mailward_domains_disk_accesses_total"] > 0.0);
    let foreign = ["evil", "alice", "nodot", "example"];
    assert!(
        !after.keys().any(|name| foreign.iter().any(|text| name.contains(text))),
        "no foreign text in labels"
    );
}

#[test]
fn a_next_hop_in_trouble_is_counted() {
    let sink = Sink::scripted(Script::default().at(Stage::Greeting, Act::Close));
    let gateway = Setup::new()
        .srv(&["example.com/users/valid/*"])
        .set("metrics.listen", r#"["127.0.0.1:0"]"#)
        .before_sink(&sink)
        .stopped();
    let daemon = Daemon::start(mailward(&gateway, &["serve"]));
    let mail = Mail::new("1@load.example", &["ann@example.com"]);
    let answers = Client::deliver(daemon.addr("smtp"), &mail).expect("a session");
    assert_eq!(answers.decisive().code, 451);
    let numbers = scrape(daemon.addr("metrics"));
    assert_eq!(numbers["mailward_next_hop_deliveries_total{outcome=\"later\"}"], 1.0);
    assert_eq!(numbers["mailward_next_hop_connect_failures_total"], 1.0);
    assert_eq!(numbers["mailward_dispositions_total{disposition=\"defer\"}"], 1.0);
}

#[test]
fn whatever_else_is_asked_gets_a_bounded_answer_and_stops_nobody() {
    let gateway = Setup::new().set("metrics.listen", r#"["127.0.0.1:0"]"#).stopped();
    let daemon = Daemon::start(mailward(&gateway, &["serve", "--only", "metrics"]));
    let addr = daemon.addr("metrics");
    let status = |request: &[u8]| ask(addr, request).0.lines().next().unwrap_or_default().to_owned();
    assert_eq!(status(b"GET / HTTP/1.1\r\n\r\n"), "HTTP/1.1 404 Not Found");
    assert_eq!(status(b"DELETE /metrics HTTP/1.1\r\n\r\n"), "HTTP/1.1 404 Not Found");
    assert_eq!(status(b"\xff\r\n\r\n"), "HTTP/1.1 400 Bad Request");
    // One that never ends is cut off. Closing with octets unread may reset, and then nothing of the answer arrives.
    let endless = [b"GET /".as_slice(), &[b'x'; 100_000]].concat();
    assert!(["HTTP/1.1 400 Bad Request", ""].contains(&status(&endless).as_str()));
    // As many silent ones as there are places: the next one is served when their time is over.
    let _silent: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(addr).expect("it listens")).collect();
    let numbers = scrape(addr);
    assert!(
        !numbers.contains_key("mailward_connections"),
        "this process has no door"
    );
}

#[test]
fn other_listeners_than_loopback_must_be_wanted() {
    let gateway = Setup::new().set("metrics.listen", r#"["0.0.0.0:0"]"#).stopped();
    let error = refused(mailward(&gateway, &["serve"]), 2);
    assert!(
        error.contains("hint: listen on 127.0.0.1 or ::1, or set `[metrics] public = true`"),
        "{error}"
    );
    let gateway = Setup::new()
        .set("metrics.listen", r#"["0.0.0.0:0"]"#)
        .set("metrics.public", "true")
        .stopped();
    let daemon = Daemon::start(mailward(&gateway, &["serve"]));
    let port = daemon.addr("metrics").port();
    scrape(SocketAddr::from(([127, 0, 0, 1], port)));
}

#[test]
fn the_page_on_operation_names_every_metric() {
    let gateway = Setup::new().set("metrics.listen", r#"["127.0.0.1:0"]"#).stopped();
    let daemon = Daemon::start(mailward(&gateway, &["serve"]));
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operation.md")).expect("a page");
    let missing: HashSet<String> = scrape(daemon.addr("metrics"))
        .into_keys()
        .map(|name| name.split('{').next().unwrap_or_default().to_owned())
        .map(|name| {
            ["_bucket", "_sum", "_count"]
                .iter()
                .fold(name, |name, end| name.trim_end_matches(end).to_owned())
        })
        .filter(|name| !page.contains(name.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_checker_of_the_format_finds_faults() {
    let good = "# HELP a_total x\n# TYPE a_total counter\na_total{b=\"c\"} 1\n";
    assert!(parse(good).is_ok());
    for bad in [
        "a_total 1\n",
        "# HELP a_total x\n# TYPE a_total counter\na_total 1",
        "# HELP a x\n# TYPE a counter\na 1\n",
        "# HELP a_total x\n# TYPE a_total counter\nb_total 1\n",
        "# HELP a_total x\n# TYPE a_total counter\na_total{b=c} 1\n",
        "# HELP a_total x\n# TYPE a_total counter\na_total x\n",
        "# HELP a x\n# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n",
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}
