//! `mailward reputation`: what a mailbox's history makes of a sender; and `replay`, which plays a file of cases through
//! the table, so that anybody can check it, and needs no configuration, no store and no daemon.

use super::ask::{self, Ask};
use super::desk::{Desk, Out};
use super::{Trouble, complain, harmless, harmless_json};
use crate::judgement::reputation_of;
use clap::{Args, Subcommand};
use judge::reputation::{Case, Outcome, Standing};
use mail::Address;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::runtime::Runtime;

/// Larger files are refused rather than read.
const FILE_OCTETS_MAX: u64 = 64 * 1024 * 1024;
const HINT: &str = "`mailward reputation replay --help` says how a case is written";

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Options {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    question: Option<Question>,
}

/// What a mailbox's history makes of a sender.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub(super) struct Question {
    /// Whose history
    mailbox: String,
    /// The author
    sender: String,
    /// As if this address had connected
    #[arg(long)]
    ip: Option<IpAddr>,
    /// As if neither SPF nor DKIM proved the author
    #[arg(long)]
    unproven: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Question {
    /// Walks the table, and shows each question on the way.
    pub(super) fn answer(&self, desk: &Desk, out: &mut Out<'_>) -> Result<u8, Trouble> {
        let mailbox = desk.mailbox_of(&self.mailbox)?;
        if !desk.may_see(&mailbox) {
            return Err(Trouble::new(format!("{mailbox} is not your mailbox")));
        }
        let parsed = Address::parse(&self.sender);
        let address = parsed.map_err(|error| Trouble::new(format!("{error}: `{}`", self.sender)))?;
        let supposed = desk.judgement()?.supposed(&address, self.ip, !self.unproven);
        let sender = supposed.ok_or_else(|| Trouble::new(format!("no domain: `{}`", self.sender)))?;
        let now_s = jiff::Timestamp::now().as_second();
        let (of, reader) = (mailbox.clone(), desk.reader()?);
        let asks_others = desk.config().reputation.shared;
        let walked = desk.wait(reader.consult(move |history| {
            Box::pin(async move { reputation_of(&sender, &of, history, now_s, asks_others).await })
        }));
        let standing = walked
            .map_err(Trouble::new)?
            .map_err(|unavailable| Trouble::new(unavailable.0))?;
        if self.json {
            let text = serde_json::to_string_pretty(&standing).map_err(Trouble::new)?;
            writeln!(out.text, "{}", harmless_json(&text))?;
            return Ok(0);
        }
        writeln!(out.text, "{} to {mailbox}: {standing}", harmless(&address))?;
        for step in &standing.walk {
            writeln!(out.text, "  {:>2}  {}", step.row, harmless(step))?;
        }
        if let Some(shared) = &standing.shared {
            writeln!(out.text, "  others: {}", harmless(shared))?;
        }
        Ok(0)
    }
}

#[derive(Debug, Subcommand)]
enum What {
    /// Play a file of cases, and name those that end otherwise than they expect
    #[command(after_long_help = FORMAT)]
    Replay(Replay),
}

#[derive(Debug, Args)]
struct Replay {
    /// The cases, as JSON
    file: PathBuf,
    /// One JSON object a case
    #[arg(long)]
    json: bool,
}

const FORMAT: &str = "\
A file is a JSON list of cases. What may be left out stands in brackets.

  id           the case's name
  [title]      what it is about
  [history]    messages that came before: each as `message`, with `junk` or `notjunk` true as it was labelled (both: junk;
               neither, or `expunged` true: it is not seen). Of those of one age the later in the list is the newer
  [sent]       whom the owner wrote to, from whichever mailbox: age_seconds, localpart, domain, [org_domain]
  message      the new message
  expect       junk (true, false, or null for no verdict), conclusive, method
  [recommended]  the same, and counts instead, where something better than the original's answer is recommended

A message has:

  mailbox, age_seconds            a number for the mailbox; seconds before the case is played
  [msg_from_localpart, msg_from_domain, msg_from_org_domain, msg_from_validated]    From, and whether it is proven
  [mail_from_localpart, mail_from_domain, mail_from_validated, ehlo_domain, ehlo_validated]
  [dkim_domains]                  whose signatures verify
  [remote_ip, ip1, ip2, ip3]      the client, and its address under the three masks

Values are compared as they stand. An empty text is no value. Masks and organizational domains that are left out are
made of the address and the domain.

Exit codes: 0 all ended as expected, 1 some did not, 2 the file cannot be read.";

pub(super) fn run(config: Option<&Path>, options: Options) -> Result<ExitCode, Trouble> {
    match (options.what, options.question) {
        (Some(What::Replay(options)), _) => replay(&options),
        (None, Some(question)) => ask::run(config, Ask::Reputation(question)),
        (None, None) => Err(Trouble::hint(
            "a mailbox and a sender are wanted",
            "mailward reputation ann@example.com bob@sender.example",
        )),
    }
}

fn replay(options: &Replay) -> Result<ExitCode, Trouble> {
    let text = read(&options.file)?;
    let cases = parse(&options.file, &text)?;
    for (case, key) in cases
        .iter()
        .flat_map(|case| case.unknown_keys().into_iter().map(move |key| (case, key)))
    {
        let file = options.file.display();
        complain(format_args!(
            "warning: {}",
            harmless(format_args!("{file}: case `{}`: no such key: `{key}`", case.id))
        ));
    }
    let runtime = runtime()?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut differing = 0_usize;
    for case in &cases {
        let played = Played::of(case, &runtime)?;
        differing += usize::from(!played.is_same());
        let text = match options.json {
            true => harmless_json(&played.json().to_string()) + "\n",
            false => played.text(),
        };
        out.write_all(text.as_bytes())?;
    }
    if !options.json {
        writeln!(out, "\n{}", summary(cases.len(), differing))?;
    }
    out.flush()?;
    Ok(match differing {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(1),
    })
}

fn read(path: &Path) -> Result<String, Trouble> {
    let trouble = |what: &dyn std::fmt::Display| Trouble::new(format!("{}: {what}", path.display()));
    let file = File::open(path).map_err(|error| trouble(&error))?;
    let mut octets = Vec::new();
    let mut start = file.take(FILE_OCTETS_MAX + 1);
    start.read_to_end(&mut octets).map_err(|error| trouble(&error))?;
    if octets.len() as u64 > FILE_OCTETS_MAX {
        return Err(Trouble::hint(
            format!("{}: more than {FILE_OCTETS_MAX} octets", path.display()),
            "split it into several files",
        ));
    }
    String::from_utf8(octets).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Trouble::hint(format!("{}: not UTF-8, from octet {at} on", path.display()), HINT)
    })
}

/// All cases, or where the first one that is none stands.
fn parse(path: &Path, text: &str) -> Result<Vec<Case>, Trouble> {
    // Editors of Windows begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let cases: Vec<Case> = serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let message = error.to_string();
        let place = format!(" at line {line} column {column}");
        let message = message.strip_suffix(&place).unwrap_or(&message);
        Trouble::hint(format!("{}:{line}:{column}: {message}", path.display()), HINT)
    })?;
    match cases.is_empty() {
        true => Err(Trouble::hint(
            format!("{}: there is no case in it", path.display()),
            HINT,
        )),
        false => Ok(cases),
    }
}

fn summary(cases: usize, differing: usize) -> String {
    let word = if cases == 1 { "case" } else { "cases" };
    match (cases, differing) {
        (1, 0) => format!("1 {word}, as expected"),
        (_, 0) => format!("{cases} {word}, all as expected"),
        (_, 1) => format!("{cases} {word}, 1 ends otherwise"),
        _ => format!("{cases} {word}, {differing} end otherwise"),
    }
}

fn runtime() -> Result<Runtime, Trouble> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.build().map_err(Trouble::new)
}

/// A case, and what came of it.
struct Played<'a> {
    case: &'a Case,
    standing: Standing,
}

impl Played<'_> {
    fn of<'a>(case: &'a Case, runtime: &Runtime) -> Result<Played<'a>, Trouble> {
        // Only a store can be down, and there is none here.
        let standing = runtime.block_on(case.play()).map_err(|error| Trouble::new(error.0))?;
        Ok(Played { case, standing })
    }

    fn outcome(&self) -> Outcome {
        Outcome::from(&self.standing)
    }

    fn is_same(&self) -> bool {
        self.outcome() == self.case.expected()
    }

    /// A line; of a case that ends otherwise, the walk too.
    fn text(&self) -> String {
        let (id, title) = (harmless(&self.case.id), harmless(&self.case.title));
        let word = if self.is_same() { "same" } else { "DIFFERS" };
        // As wide as the longest outcome.
        let found = self.outcome().to_string();
        let mut text = format!("{word:<7}  {id:<18}  {found:<43}  {title}\n");
        if self.is_same() {
            return text;
        }
        let expected = self.case.expected();
        let by = match self.case.original() {
            Some(original) => format!(" (recommended; the original: {original})"),
            None => String::new(),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "         expected: {expected}{by}");
        for step in &self.standing.walk {
            let _ = writeln!(text, "         row {:<2}  {}", step.row, harmless(step));
        }
        text
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "id": self.case.id,
            "title": self.case.title,
            "same": self.is_same(),
            "found": self.outcome(),
            "expected": self.case.expected(),
            "original": self.case.original(),
            "walk": self.standing.walk,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CASES: &str = include_str!("../../../../testdata/reputation/cases.json");

    fn cases(text: &str) -> Result<Vec<Case>, String> {
        parse(Path::new("cases.json"), text).map_err(|trouble| trouble.text())
    }

    fn fault(text: &str) -> String {
        cases(text).unwrap_err().lines().next().unwrap_or_default().to_owned()
    }

    #[test]
    fn a_fault_is_told_with_its_place() {
        let expect = r#""expect": {"junk": null, "conclusive": false, "method": "none"}"#;
        for (text, told) in [
            ("", "1:0: EOF while parsing a value"),
            ("{}", "1:0: invalid type: map, expected a sequence"),
            ("[{}]", "1:3: missing field `id`"),
            (
                r#"[{"id": "a", "message": {"mailbox": 1}}]"#,
                "1:38: missing field `age_seconds`",
            ),
            (
                &format!("[{{\"id\": \"a\",\n\"message\": {{\"mailbox\": 1.5, \"age_seconds\": 0}}, {expect}}}]"),
                "2:26: invalid type: floating point `1.5`, expected i64",
            ),
            (
                r#"[{"message": {"mailbox": 1, "age_seconds": 0, "ehlo_domain": "a..b"}}]"#,
                "1:68: the domain is not a host name: `a..b`",
            ),
            (
                r#"[{"message": {"mailbox": 1, "age_seconds": 0, "ip2": "192.0.2"}}]"#,
                "1:63: invalid IP address syntax: `192.0.2`",
            ),
            (
                r#"[{"expect": {"conclusive": false, "method": "none"}}]"#,
                "1:51: missing field `junk`",
            ),
        ] {
            assert_eq!(fault(text), format!("error: cases.json:{told}"), "{text}");
        }
        let method = fault(r#"[{"expect": {"junk": null, "conclusive": false, "method": "msgfromful"}}]"#);
        assert!(
            method.starts_with("error: cases.json:1:70: unknown variant `msgfromful`, expected one of `msgfromfull`"),
            "{method}"
        );
        assert_eq!(fault("[]"), "error: cases.json: there is no case in it");
        let deep = "[".repeat(100_000);
        for (key, told) in [("note", "EOF while parsing"), ("nothing", "recursion limit exceeded")] {
            let fault = fault(&format!("[{{\"{key}\": {deep}"));
            assert!(fault.contains(told), "{fault}");
        }
    }

    #[test]
    fn a_mistyped_key_is_told() {
        let text = CASES.replacen("\"msg_from_localpart\"", "\"msg_from_locallpart\"", 1);
        let keys = cases(&text).unwrap().iter().flat_map(Case::unknown_keys).count();
        assert_eq!(keys, 1);
    }

    /// Changes one value of a JSON text to another, wherever it is.
    fn changed(text: &str, at: usize, with: &serde_json::Value) -> String {
        let mut json: serde_json::Value = serde_json::from_str(text).unwrap();
        let mut left = vec![&mut json];
        let mut count = 0;
        while let Some(value) = left.pop() {
            if count == at {
                *value = with.clone();
                break;
            }
            count += 1;
            match value {
                serde_json::Value::Array(values) => left.extend(values),
                serde_json::Value::Object(values) => left.extend(values.values_mut()),
                _ => {}
            }
        }
        json.to_string()
    }

    fn a_value() -> impl Strategy<Value = serde_json::Value> {
        prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            prop_oneof![Just(i64::MIN), Just(i64::MAX)].prop_map(Into::into),
            any::<u64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            "\\PC{0,80}".prop_map(Into::into),
            "[a-z.]{0,300}".prop_map(Into::into),
            Just(serde_json::json!([])),
            Just(serde_json::json!({})),
        ]
    }

    /// Whatever it is: all is told, nothing panics.
    fn play(text: &str) {
        let runtime = runtime().unwrap();
        for case in cases(text).unwrap_or_default() {
            case.unknown_keys();
            let played = Played::of(&case, &runtime).unwrap();
            let text = played.text();
            assert!(text.ends_with('\n') && !text.chars().any(|c| c.is_control() && c != '\n'));
            assert_eq!(played.json()["same"], played.is_same());
        }
    }

    proptest! {
        #[test]
        fn a_file_with_any_other_value_in_it_is_played_or_refused(at in 0usize..400, with in a_value()) {
            play(&changed(CASES, at, &with));
        }

        #[test]
        fn a_file_with_any_octets_changed_is_played_or_refused(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            cut in any::<prop::sample::Index>(),
            is_cut: bool,
        ) {
            let mut octets = CASES.as_bytes().to_vec();
            for (at, octet) in changes {
                let at = at.index(octets.len());
                octets[at] = octet;
            }
            if is_cut {
                octets.truncate(cut.index(octets.len()));
            }
            play(&String::from_utf8_lossy(&octets));
        }
    }
}
