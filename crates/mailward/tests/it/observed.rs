//! Every case recorded from the original system, driven over a socket against the real binary.
//!
//! Compared, as the cases' own page says: the class of each reply and a refusal's reason, the quarantine's index, how
//! much is stored, and what reaches the next hop with which added fields. Not compared: a code's last digits and the
//! wording of 2xx replies. Where `judgement.md` departs from the original, so does this file:
//!
//! - a copy for several recipients carries neither `X-RCPT-TO` nor `X-LOCALPART`;
//! - `X-REMOTE-HOST` may be `Unknown`;
//! - our own `X-Mailward-*` fields come on top.
//!
//! Cases on reverse names need a name server and are passed over.

use std::fmt::Write as _;
use std::fs;

use serde_json::{Map, Value};

use crate::support::boxes;
use crate::support::client::{Client, Reply};
use crate::support::gateway::{Gateway, Setup};
use crate::support::outside;
use crate::support::sink::{Sink, Taken};

#[test]
fn the_original_systems_observed_cases_hold() {
    const TEST: &str = "the_original_systems_observed_cases_hold";
    let Some(path) = outside::shared(TEST, "acceptance/ms-lite-observed.json") else {
        return;
    };
    let text = fs::read_to_string(path).expect("the cases can be read");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("the cases are JSON");
    let (mut held, mut passed_over, mut failures) = (0, 0, String::new());
    for case in &cases {
        let case = Case(case);
        if let Some(path) = case.reverse_name_path() {
            outside::say(&format!("passed over: {}: `{path}` needs reverse names", case.id()));
            passed_over += 1;
            continue;
        }
        match case.run() {
            faults if faults.is_empty() => held += 1,
            faults => write!(failures, "{}:\n  {}\n", case.id(), faults.join("\n  ")).expect("a String"),
        }
    }
    outside::say(&format!(
        "observed cases: {} in all, {held} hold, {passed_over} passed over",
        cases.len()
    ));
    assert!(failures.is_empty(), "{failures}");
    assert!(held > 0, "the file holds no case");
}

/// One case of the file; its keys are read where they are used.
struct Case<'a>(&'a Value);

impl Case<'_> {
    fn id(&self) -> &str {
        self.0["id"].as_str().expect("a case has an id")
    }

    /// (path, content) of each file to create.
    fn srv(&self) -> Vec<(&str, &str)> {
        list(&self.0["srv"])
            .iter()
            .map(|entry| match entry.as_array() {
                Some(pair) => (text(&pair[0]), text(&pair[1])),
                None => (text(entry), ""),
            })
            .collect()
    }

    fn reverse_name_path(&self) -> Option<&str> {
        let by_name = ["/blacklisted/hosts/", "/blacklisted/tld/", "/checks/rdns"];
        self.srv()
            .into_iter()
            .map(|(path, _)| path)
            .find(|path| by_name.iter().any(|n| path.contains(n)))
    }

    /// Plays the case; what differs, in words.
    fn run(&self) -> Vec<String> {
        let sink = Sink::start();
        let setup = Setup::new().before_sink(&sink);
        let gateway = self
            .srv()
            .into_iter()
            .fold(setup, |setup, (path, content)| setup.file(path, content))
            .start();
        let observed = &self.0["observed"];
        let mails = list(&self.0["mails"]);
        let replies = list(&observed["replies"]);
        let mut faults = Vec::new();
        if mails.len() != replies.len() {
            faults.push(format!("{} mails, but {} recorded replies", mails.len(), replies.len()));
        }
        for (mail, recorded) in mails.iter().zip(replies) {
            let mail = OneMail::of(mail);
            let got = mail.send(text(&self.0["ip"]), &gateway);
            compare_replies(recorded, &got, &mut faults);
        }
        compare_quarantine(observed, &gateway, &mut faults);
        compare_deliveries(list(&observed["delivered"]), &sink.taken(), &mut faults);
        faults
    }
}

/// What one client sends, with the defaults of the cases' page filled in.
struct OneMail {
    pre: Vec<String>,
    helo: String,
    from: String,
    rcpts: Vec<String>,
    message: Vec<u8>,
}

impl OneMail {
    fn of(mail: &Value) -> Self {
        let mail = mail.as_object().expect("a mail is an object");
        for key in mail.keys() {
            let known = ["pre", "helo", "from", "rcpt", "headers", "body"];
            assert!(
                known.contains(&key.as_str()),
                "this runner does not know the key `{key}` of a mail"
            );
        }
        let string = |key: &str, default: &str| mail.get(key).map_or(default, text).to_owned();
        let strings = |key: &str, default: &[&str]| match mail.get(key) {
            Some(value) => list(value).iter().map(|v| text(v).to_owned()).collect(),
            None => default.iter().map(|&v| v.to_owned()).collect::<Vec<_>>(),
        };
        let body = string("body", "Hello there.\r\n");
        let message = format!("{}\r\n{body}", header_block(mail.get("headers")));
        Self {
            pre: strings("pre", &[]),
            helo: string("helo", "mx.sender.example"),
            from: string("from", "alice@sender.example"),
            rcpts: strings("rcpt", &["foo@example.com"]),
            message: message.into_bytes(),
        }
    }

    fn send(&self, ip: &str, gateway: &Gateway) -> Got {
        let mut got = Got::default();
        let ip = ip.parse().expect("the client has an address");
        let mut client = Client::connect_from(ip, gateway.addr()).expect("the gateway accepts a connection");
        // A connection that the gateway closes leaves the later replies absent; the comparison will say so.
        let _ = self.converse(&mut client, &mut got);
        got
    }

    fn converse(&self, client: &mut Client, got: &mut Got) -> std::io::Result<()> {
        got.banner = Some(client.reply()?);
        for command in &self.pre {
            got.pre.push(client.command(command)?);
        }
        got.helo = Some(client.command(&format!("EHLO {}", self.helo))?);
        got.mail = Some(client.command(&format!("MAIL FROM:<{}>", self.from))?);
        for rcpt in &self.rcpts {
            got.rcpt.push(client.command(&format!("RCPT TO:<{rcpt}>"))?);
        }
        let data = client.command("DATA")?;
        let open = data.code == 354;
        got.data = Some(data);
        if open {
            got.end = Some(client.data(&self.message)?);
        }
        client.command("QUIT").map(drop)
    }
}

/// The replies to one mail; absent where the session did not get so far.
#[derive(Default)]
struct Got {
    pre: Vec<Reply>,
    banner: Option<Reply>,
    helo: Option<Reply>,
    mail: Option<Reply>,
    rcpt: Vec<Reply>,
    data: Option<Reply>,
    end: Option<Reply>,
}

fn header_block(headers: Option<&Value>) -> String {
    let usual = [
        ("From", "Alice <alice@sender.example>"),
        ("To", "foo@example.com"),
        ("Date", "Mon, 02 Nov 2026 10:00:00 +0000"),
        ("Subject", "hello"),
        ("Message-Id", "<1@sender.example>"),
    ];
    let given: Option<&Map<String, Value>> = headers.map(|h| h.as_object().expect("headers are an object"));
    match given {
        Some(fields) => fields
            .iter()
            .map(|(name, value)| format!("{name}: {}\r\n", text(value)))
            .collect(),
        None => usual
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect(),
    }
}

fn compare_replies(recorded: &Value, got: &Got, faults: &mut Vec<String>) {
    let one = [
        ("banner", &got.banner),
        ("helo", &got.helo),
        ("mail", &got.mail),
        ("data", &got.data),
        ("end", &got.end),
    ];
    for (stage, reply) in one {
        compare_reply(stage, recorded.get(stage), reply.as_ref(), faults);
    }
    for (stage, replies) in [("rcpt", &got.rcpt), ("pre", &got.pre)] {
        for (i, recorded) in recorded.get(stage).map(list).unwrap_or_default().iter().enumerate() {
            compare_reply(stage, Some(recorded), replies.get(i), faults);
        }
    }
}

fn compare_reply(stage: &str, recorded: Option<&Value>, got: Option<&Reply>, faults: &mut Vec<String>) {
    // The original left some commands unanswered (ms-lite 3.3); an answer is better.
    let Some(recorded) = recorded.and_then(Value::as_str) else {
        return;
    };
    let Some(got) = got else {
        return faults.push(format!("{stage}: no reply, expected `{recorded}`"));
    };
    let (code, reason) = recorded.split_at(3.min(recorded.len()));
    let refused = !code.starts_with(['2', '3']);
    if !code.starts_with(&got.class().to_string()) || (refused && !got.text().contains(reason.trim())) {
        faults.push(format!("{stage}: `{} {}`, expected `{recorded}`", got.code, got.text()));
    }
}

fn compare_quarantine(observed: &Value, gateway: &Gateway, faults: &mut Vec<String>) {
    const FIELDS: [&str; 6] = ["recipient", "reason", "from", "helo", "ip", "subject"];
    let line = |domain: &str, field: &dyn Fn(&str) -> String| {
        let fields: Vec<String> = FIELDS.iter().map(|name| format!("{name}={}", field(name))).collect();
        format!("{domain}: {}", fields.join(" "))
    };
    let mut expected: Vec<String> = list(&observed["quarantined"])
        .iter()
        .map(|held| line(text(&held["domain"]), &|name| text(&held[name]).to_owned()))
        .collect();
    let index = boxes::index(&gateway.spam());
    let mut got: Vec<String> = index
        .iter()
        .map(|held| line(&held.domain, &|name| held.field(name)))
        .collect();
    expected.sort();
    got.sort();
    if got != expected {
        faults.push(format!("index.json: {got:#?}, expected {expected:#?}"));
    }
    let copies = boxes::held(&gateway.spam());
    if Some(copies.len() as u64) != observed["stored"].as_u64() {
        faults.push(format!(
            "{} copies stored, expected {}",
            copies.len(),
            observed["stored"]
        ));
    }
    for held in &index {
        let name = held.field("filename");
        if !copies
            .iter()
            .any(|copy| copy.file_name == name && copy.recipient == held.field("recipient"))
        {
            faults.push(format!("no copy `{name}` for {}", held.field("recipient")));
        }
    }
}

fn compare_deliveries(expected: &[Value], taken: &[Taken], faults: &mut Vec<String>) {
    if expected.len() != taken.len() {
        return faults.push(format!("{} deliveries, expected {}", taken.len(), expected.len()));
    }
    for (expected, taken) in expected.iter().zip(taken) {
        let rcpts: Vec<&str> = list(&expected["rcpt"]).iter().map(|line| address(text(line))).collect();
        if taken.rcpts != rcpts {
            faults.push(format!("delivered to {:?}, expected {rcpts:?}", taken.rcpts));
        }
        let wanted: Vec<(&str, &str)> = list(&expected["x"])
            .iter()
            .map(|line| text(line).split_once(':').expect("a field has a colon"))
            .map(|(name, value)| (name, value.trim()))
            .filter(|(name, _)| rcpts.len() == 1 || !matches!(*name, "X-RCPT-TO" | "X-LOCALPART"))
            .collect();
        let got: Vec<(String, String)> = boxes::headers(&taken.message)
            .into_iter()
            .filter(|(name, _)| name.starts_with("X-") && !name.starts_with("X-Mailward-"))
            .collect();
        let same = |((name, value), wanted): (&(String, String), &(&str, &str))| {
            name == wanted.0 && (value == wanted.1 || (name == "X-REMOTE-HOST" && value == "Unknown"))
        };
        if got.len() != wanted.len() || !got.iter().zip(&wanted).all(same) {
            faults.push(format!("delivered with {got:?}, expected {wanted:?}"));
        }
    }
}

/// The address of a recorded `RCPT TO:<ADDRESS>`.
fn address(line: &str) -> &str {
    let inner = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.map_or(line, |(address, _)| address)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("an array")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}
