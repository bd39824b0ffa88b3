//! Runs the dialogues of `testdata/smtp`, each with its input in pieces of several sizes.
//!
//! A file holds a line each:
//!
//! - `# ...`: a comment; `set NAME NUMBER`: a setting (`bare_lf` 0 refuses, 1 normalizes); `tls`, `xclient`: STARTTLS is offered, XCLIENT is trusted.
//! - `C: ...`: a line of the client, sent with CRLF; `c: ...`: octets of the client, sent as they are. Both know `\r`,
//!   `\n`, `\\`, `\xNN` and `\{x*N}` (N times x). Lines in a row are sent together: what stands behind STARTTLS is
//!   thrown away by the driver.
//! - `S: ...`: a line of the server. The lines behind those of the client are all that it says, no more and no less.
//! - `M: FROM TO,TO OCTETS BODY`: a message that was handed to the gateway; BODY with escapes, if it is to be compared.
//! - `F: WHY OCTETS BODY`: a message that is refused though it is whole.
//! - `R: STAGE WHY SENDER RECIPIENT COUNT`: a refusal that ends something; `-` for what is not known.
//! - `X: ...`: what XCLIENT said, in its own words.
//! - `timeout`, `shutdown`, `refuse`: what the driver does. `command`, `data`, `closed`: what the session now expects.
//!
//! The opinions of the gateway are those of [`super::replay`].

use super::data::BareLf;
use super::nul::Nul;
use super::refusal::{Refusal, Refused};
use super::replay::{Bodies, Manner, Replay};
use super::server::{Expects, Settings, Transaction};
use super::xclient::XclientAttributes;
use crate::address::ForwardPath;
use crate::reply::Reply;
use crate::text::Line;
use std::path::Path;

pub(super) fn settings() -> Settings {
    Settings {
        hostname: Line::literal("mx.example"),
        size_max: 100_000,
        recipients_max: 5,
        commands_max: 100,
        unrecognized_max: 3,
        errors_max: 20,
        text_line_max: 1000,
        bare_lf: BareLf::Refuse,
        bdat_bare_lf: BareLf::Normalize,
        nul: Nul::Replace,
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = &rest[at + 1..];
        let (octets, used) = match escape.as_bytes()[0] {
            b'r' => (vec![b'\r'], 1),
            b'n' => (vec![b'\n'], 1),
            b'\\' => (vec![b'\\'], 1),
            b'x' => (vec![u8::from_str_radix(&escape[1..3], 16).unwrap()], 3),
            b'{' => {
                let end = escape.find('}').unwrap();
                let (what, count) = escape[1..end].rsplit_once('*').unwrap();
                (unescape(what).repeat(count.parse().unwrap()), end + 1)
            }
            other => panic!("unknown escape {other} in {text:?}"),
        };
        out.extend(octets);
        rest = &escape[used..];
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

fn set(settings: &mut Settings, name: &str, number: &str) {
    let n: u64 = number.parse().unwrap();
    match name {
        "size_max" => settings.size_max = n,
        "recipients_max" => settings.recipients_max = n as usize,
        "commands_max" => settings.commands_max = n as u32,
        "unrecognized_max" => settings.unrecognized_max = n as u32,
        "errors_max" => settings.errors_max = n as u32,
        "text_line_max" => settings.text_line_max = n as usize,
        "bare_lf" => settings.bare_lf = bare_lf(n),
        "bdat_bare_lf" => settings.bdat_bare_lf = bare_lf(n),
        other => panic!("no such setting: {other}"),
    }
}

fn bare_lf(n: u64) -> BareLf {
    if n == 0 { BareLf::Refuse } else { BareLf::Normalize }
}

/// One step of a dialogue: what is done, then what must have come of it.
#[derive(Default)]
struct Step<'a> {
    line: usize,
    sent: Vec<u8>,
    action: Option<&'a str>,
    said: String,
    messages: Vec<&'a str>,
    clients: Vec<&'a str>,
    faulty: Vec<&'a str>,
    refused: Vec<&'a str>,
    expects: Option<Expects>,
}

/// What a file says of the session, and its steps.
struct Dialogue<'a> {
    settings: Settings,
    offers_tls: bool,
    trusts_xclient: bool,
    steps: Vec<Step<'a>>,
}

fn parse(text: &str) -> Dialogue<'_> {
    let (mut settings, mut steps) = (settings(), vec![Step::default()]);
    let (mut offers_tls, mut trusts_xclient) = (false, false);
    for (n, line) in text.lines().enumerate() {
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        let last = steps.last().unwrap();
        let told =
            !last.said.is_empty() || !last.messages.is_empty() || !last.clients.is_empty() || last.expects.is_some();
        let acts = matches!(kind, "C:" | "c:" | "timeout" | "shutdown" | "refuse");
        if acts && (told || last.action.is_some() || last.line == 0) {
            steps.push(Step {
                line: n + 1,
                ..Step::default()
            });
        }
        let step = steps.last_mut().unwrap();
        match kind {
            "" | "#" => {}
            "set" => {
                let (name, number) = rest.split_once(' ').unwrap();
                set(&mut settings, name, number);
            }
            "C:" => step.sent.extend([&unescape(rest)[..], b"\r\n"].concat()),
            "c:" => step.sent.extend(unescape(rest)),
            "S:" => step.said.extend([rest, "\r\n"]),
            "M:" => step.messages.push(rest),
            "X:" => step.clients.push(rest),
            "F:" => step.faulty.push(rest),
            "R:" => step.refused.push(rest),
            "tls" => offers_tls = true,
            "xclient" => trusts_xclient = true,
            "timeout" | "shutdown" | "refuse" => step.action = Some(kind),
            "command" => step.expects = Some(Expects::Command),
            "data" => step.expects = Some(Expects::Data),
            "closed" => step.expects = Some(Expects::Close),
            other => panic!("line {}: unknown kind {other:?}", n + 1),
        }
    }
    Dialogue {
        settings,
        offers_tls,
        trusts_xclient,
        steps,
    }
}

fn check_message(expected: &str, message: &(Transaction, Vec<u8>), place: &str) {
    let (transaction, body) = message;
    let mut words = expected.splitn(4, ' ');
    let mut word = || words.next().unwrap_or_default();
    let to: Vec<_> = transaction.recipients.iter().map(ForwardPath::to_string).collect();
    assert_eq!(word(), format!("<{}>", transaction.reverse_path), "{place}");
    assert_eq!(word(), to.join(","), "{place}");
    assert_eq!(word(), body.len().to_string(), "{place}");
    let text = unescape(word());
    if !text.is_empty() {
        assert_eq!(&text, body, "{place}");
    }
}

fn faulty((why, body): (Refusal, Vec<u8>)) -> String {
    let text = String::from_utf8(body).unwrap();
    let escaped = text.replace('\r', "\\r").replace('\n', "\\n");
    format!("{} {} {escaped}", why.word(), text.len())
}

fn told(refused: &Refused) -> String {
    let or_none = |line: &Option<Line>| line.as_ref().map_or("-", Line::as_str).to_owned();
    format!(
        "{} {} {} {} {}",
        refused.stage,
        refused.why.word(),
        or_none(&refused.reverse_path),
        or_none(&refused.recipient),
        refused.recipients
    )
}

fn run(path: &Path, text: &str, manner: Manner) {
    let dialogue = parse(text);
    let mut driver = Replay::new(dialogue.settings);
    if dialogue.offers_tls {
        driver.session.offer_tls();
    }
    if dialogue.trusts_xclient {
        driver.session.trust_xclient();
    }
    for step in &dialogue.steps {
        let place = format!("{}:{}, {manner:?}", path.display(), step.line);
        match step.action {
            Some("timeout") => driver.session.timed_out(),
            Some("shutdown") => driver.session.shutdown(),
            Some("refuse") => driver
                .session
                .refuse(&Reply::new(421, (4, 3, 2), Line::literal("Too busy"))),
            _ if step.line == 0 && step.said.is_empty() => continue,
            _ => driver.session.greet(),
        }
        driver.feed(&step.sent, manner);
        let said = String::from_utf8(std::mem::take(&mut driver.output)).unwrap();
        assert_eq!(said, step.said, "{place}");
        assert_eq!(driver.messages.len(), step.messages.len(), "{place}");
        for (expected, message) in step.messages.iter().zip(&driver.messages) {
            check_message(expected, message, &place);
        }
        driver.messages.clear();
        let clients: Vec<_> = step
            .clients
            .iter()
            .map(|text| XclientAttributes::parse(text.as_bytes()).unwrap())
            .collect();
        assert_eq!(driver.clients, clients, "{place}");
        driver.clients.clear();
        let faulty: Vec<String> = std::mem::take(&mut driver.faulty).into_iter().map(faulty).collect();
        if !step.faulty.is_empty() {
            assert_eq!(faulty, step.faulty, "{place}");
        }
        let refused = std::mem::take(&mut driver.refused);
        let refused: Vec<String> = refused.iter().filter(|one| one.is_final).map(told).collect();
        if !step.refused.is_empty() {
            assert_eq!(refused, step.refused, "{place}");
        }
        if let Some(expects) = step.expects {
            assert_eq!(driver.session.expects(), expects, "{place}");
        }
    }
}

#[test]
fn every_dialogue_goes_as_it_is_written_in_pieces_of_any_size() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/smtp");
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for piece in [1, 2, 3, 7, 64, 1_000_000] {
            for bodies in [Bodies::Left, Bodies::Taken] {
                run(&path, &text, Manner { piece, bodies });
            }
        }
        count += 1;
    }
    assert!(count >= 10, "only {count} dialogues in {}", folder.display());
}
