//! Verdicts as data: each `testdata/verdict/NAME.test` is a message, the zones of those whom it names, and what
//! `mailward scan` must make of it. How a file is laid out, and how the messages were signed, stands in
//! `testdata/verdict/README.md`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::gateway::{Gateway, Setup};

/// Everything one file says.
struct Fixture {
    name: String,
    /// `key: value`, in their order.
    head: Vec<(String, String)>,
    zone: String,
    /// With CRLF.
    message: String,
}

impl Fixture {
    fn read(path: &Path) -> Self {
        let name = path.file_stem().expect("a file").to_string_lossy().into_owned();
        let text = fs::read_to_string(path).expect("our own file");
        let (head, rest) = text.split_once("\n--- zone\n").expect("a head, and a zone");
        let (zone, message) = rest.split_once("\n--- message\n").expect("a zone, and a message");
        let pair = |line: &str| {
            let (key, value) = line.split_once(": ").unwrap_or_else(|| panic!("{name}: {line:?}"));
            assert!(KEYS.contains(&key), "{name}: unknown key {key:?}");
            (key.to_owned(), value.to_owned())
        };
        let lines = head.lines().filter(|line| !line.starts_with('#'));
        let head = lines.map(pair).collect();
        Self {
            name,
            head,
            zone: zone.to_owned(),
            message: message.replace('\n', "\r\n"),
        }
    }

    fn all<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a str> {
        let of_key = self.head.iter().filter(move |(other, _)| other == key);
        of_key.map(|(_, value)| value.as_str())
    }

    fn one(&self, key: &str) -> &str {
        let values: Vec<&str> = self.all(key).collect();
        assert_eq!(values.len(), 1, "{}: `{key}` is wanted once", self.name);
        values[0]
    }

    /// What `mailward scan` says of it, in a domain tree of its own.
    fn scanned(&self) -> Value {
        let gateway = self.all("srv").fold(Setup::new(), srv).stopped();
        let zone = written(&gateway, "zone", &self.zone);
        let message = written(&gateway, "message", &self.message);
        let mut args = vec!["scan", "--json", "--dns", &zone];
        for (option, key) in [
            ("--client-ip", "client"),
            ("--helo", "helo"),
            ("--from", "from"),
            ("--rcpt", "rcpt"),
            ("--time", "time"),
        ] {
            args.extend([option, self.one(key)]);
        }
        args.push(&message);
        let output = gateway.command(&args);
        let said = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&said).unwrap_or_else(|_| panic!("{}: {output:?}", self.name))
    }

    /// What is otherwise than expected.
    fn faults(&self) -> Vec<String> {
        let json = self.scanned();
        let mut faults = Vec::new();
        let mut want = |is_so: bool, what: String| {
            if !is_so {
                faults.push(format!("{}: {what}", self.name));
            }
        };
        let disposition = text(&json["disposition"]);
        let expected = self.one("expect");
        want(
            disposition == expected,
            format!("{disposition}, not {expected}: {}", json["reason"]),
        );
        let reasons = json["verdict"]["reasons"].to_string();
        for reason in self.all("expect-reason") {
            want(reasons.contains(reason), format!("no reason {reason:?} in {reasons}"));
        }
        let origin = &json["facts"]["origin"];
        for why in self.all("expect-why") {
            want(origin.to_string().contains(why), format!("no {why:?} in {origin}"));
        }
        for expected in self.all("expect-fact") {
            let (fact, expected) = expected.split_once('=').expect("`expect-fact: NAME=VALUE`");
            let found = value(&json, fact);
            want(
                found == expected,
                format!("{fact} is {found:?}, not {expected:?}: {origin}"),
            );
        }
        faults
    }
}

const KEYS: [&str; 10] = [
    "client",
    "helo",
    "from",
    "rcpt",
    "time",
    "srv",
    "expect",
    "expect-reason",
    "expect-why",
    "expect-fact",
];

/// `PATH` is an empty file below the domains root, `PATH=CONTENT` one that holds this.
fn srv(setup: Setup, line: &str) -> Setup {
    let (path, content) = line.split_once('=').unwrap_or((line, ""));
    setup.file(path, content)
}

fn written(gateway: &Gateway, name: &str, text: &str) -> String {
    let path = gateway.dir().join(name);
    fs::write(&path, text).expect("our own directory");
    path.to_string_lossy().into_owned()
}

/// A fact by the name that it has in fixtures; several values with commas between them.
fn value(json: &Value, name: &str) -> String {
    let origin = &json["facts"]["origin"];
    let found = |proof: &str| &origin[proof]["Found"];
    if let Some(proof) = name.strip_prefix("security-of-") {
        let proof = if proof == "spf" { "spf_mail_from" } else { proof };
        let of_first = &found(proof)[0]["security"];
        let of_one = &found(proof)["security"];
        return text(if of_one.is_null() { of_first } else { of_one });
    }
    match name {
        "spf" => text(&found("spf_mail_from")["result"]),
        "spf_helo" | "iprev" | "arc" | "dmarc" => text(&found(name)["result"]),
        "dkim" => texts(found("dkim"), |signature| text(&signature["result"])),
        "testing" => texts(found("dkim"), |signature| signature["is_testing"].to_string()),
        "wish" | "published" | "organization" => text(&found("dmarc")[name]),
        "aligned-dkim" => texts(&found("dmarc")["aligned_dkim"], text),
        "aligned-spf" => text(&found("dmarc")["aligned_spf"]),
        "forwarder" => text(&json["recipient"]["forwarder"]["name"]),
        "rejection" => text(&json["verdict"]["disposition"]["reject"]),
        "folder" => text(&json["verdict"]["disposition"]["file"]),
        _ => panic!("unknown fact {name:?}"),
    }
}

fn texts(values: &Value, of: impl Fn(&Value) -> String) -> String {
    let values = values.as_array().map(Vec::as_slice).unwrap_or_default();
    values.iter().map(of).collect::<Vec<_>>().join(",")
}

/// What is absent is empty.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn paths() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/verdict");
    let mut paths: Vec<PathBuf> = fs::read_dir(dir)
        .expect("the fixtures are there")
        .map(|entry| entry.expect("our own directory").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "test"))
        .collect();
    paths.sort();
    paths
}

#[test]
fn every_fixture_is_judged_as_it_says() {
    let fixtures: Vec<Fixture> = paths().iter().map(|path| Fixture::read(path)).collect();
    assert!(fixtures.len() >= 50, "only {} fixtures", fixtures.len());
    let faults: Vec<String> = fixtures.iter().flat_map(Fixture::faults).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
