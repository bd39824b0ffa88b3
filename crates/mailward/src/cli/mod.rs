//! The command line. Exit codes: 0 done (for `scan`: accepted), 1 not accepted or faults found, 2 trouble.
//!
//! What is said goes through [`say`] and [`complain`]: whoever stops reading stops nothing.

mod ask;
mod check;
mod control;
mod daemon;
mod desk;
mod domains;
mod evaluate;
mod explain;
mod label;
mod learn;
mod parts;
mod quarantine;
mod report;
mod reputation;
mod scan;
mod serve;
mod sockets;
mod status;
mod store;
mod why;

use crate::config::{Config, Fault};
use ask::Ask;
use clap::{Parser, Subcommand};
use mail::Line;
use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Where everything is when there is no configuration.
const FIRST_RUN_ROOT: &str = "mailward-data";

/// Longest text of a message to people, in characters.
const SAID_CHARS_MAX: usize = 4096;

/// An anti-spam gateway that stands at the door of a mail server.
#[derive(Debug, Parser)]
#[command(
    name = "mailward",
    version,
    about,
    after_help = "Start with `mailward serve`: without a configuration it keeps everything below ./mailward-data/."
)]
struct Cli {
    /// Configuration file; without one, everything is below ./mailward-data/
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Stand at the door: take mail, judge it, deliver, refuse or hold it
    Serve(serve::Options),
    /// Say how the daemon that runs fares
    Status(status::Options),
    /// Have the daemon that runs read its configuration again
    Reload,
    /// List the domains and what of them is missing; or say that what is missing is gone for good
    Domains(domains::Options),
    /// Judge messages from files, Maildirs, mboxes or standard input
    Scan(scan::Options),
    /// Say why a message got its verdict, and judge it again; without an id, list the last messages
    Why(why::Options),
    /// Look for mistakes in the configuration and the domains' files
    Check(check::Options),
    /// List, show, search, release or expire what was refused or held
    Quarantine(quarantine::Options),
    /// Sum up what was recorded
    Report(report::Options),
    /// Say what a message is: junk, notjunk; or forget what was said
    Label(label::Options),
    /// Say to whom a mailbox's owner wrote, so that answers are welcome
    Sent(label::SentOptions),
    /// Learn from mail that came before the gateway did: what was junk, what was not, and whom the owner wrote to
    Learn(learn::Options),
    /// Measure how well the content filter tells junk from wanted mail, on mail of which that is known
    Evaluate(evaluate::Options),
    /// Say what a mailbox's history makes of a sender; or check what the table makes of cases from a file
    Reputation(reputation::Options),
    /// Look after the store: its size, its soundness, and what makes history
    Store(store::Options),
}

/// What stops a command: said on standard error, exit code 2.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// A sentence, and what to do.
    Said(String, Option<String>),
    /// Faults of the configuration.
    Config(Vec<Fault>),
    /// As the daemon said it, `error:` and `hint:` included.
    Whole(String),
    /// Somebody closed the pipe that we write to; nothing is said.
    Quiet,
}

impl Trouble {
    pub(crate) fn new(message: impl ToString) -> Trouble {
        Trouble::Said(message.to_string(), None)
    }

    pub(crate) fn hint(message: impl ToString, hint: impl ToString) -> Trouble {
        Trouble::Said(message.to_string(), Some(hint.to_string()))
    }

    /// A store that cannot be opened.
    fn store(path: &Path, error: &::store::OpenError) -> Trouble {
        Trouble::Said(format!("{}: {error}", path.display()), error.hint().map(str::to_owned))
    }

    /// As it is shown, in whole lines.
    pub(crate) fn text(&self) -> String {
        match self {
            Trouble::Said(message, None) => format!("error: {}\n", harmless(message)),
            Trouble::Said(message, Some(hint)) => format!("error: {}\nhint: {}\n", harmless(message), harmless(hint)),
            Trouble::Config(faults) => faults.iter().map(harmless_lines).collect(),
            Trouble::Whole(text) => text.clone(),
            Trouble::Quiet => String::new(),
        }
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Trouble {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Trouble::Quiet,
            _ => Trouble::new(error),
        }
    }
}

/// Runs the command that the arguments name.
pub fn run() -> ExitCode {
    // Without it such a file ends us, which costs no more than what was not answered yet.
    let _ = crate::process::outlive_file_size_limit();
    let cli = Cli::parse();
    let config = cli.config.as_deref();
    let done = match cli.command {
        Command::Serve(options) => serve::run(config, &options),
        Command::Scan(options) => scan::run(config, &options),
        Command::Check(options) => check::run(config, &options),
        Command::Store(options) => store::run(config, &options),
        Command::Status(options) => ask::run(config, Ask::Status(options)),
        Command::Domains(options) => ask::run(config, Ask::Domains(options)),
        Command::Reload => ask::run(config, Ask::Reload),
        Command::Why(options) => ask::run(config, Ask::Why(options)),
        Command::Quarantine(options) => ask::run(config, Ask::Quarantine(options)),
        Command::Report(options) => ask::run(config, Ask::Report(options)),
        Command::Label(options) => label::run(config, &options),
        Command::Sent(options) => ask::run(config, Ask::Sent(options)),
        Command::Learn(options) => learn::run(config, &options),
        Command::Evaluate(options) => evaluate::run(&options),
        Command::Reputation(options) => reputation::run(config, options),
    };
    done.unwrap_or_else(|trouble| {
        // Whether or not somebody reads it.
        let _ = std::io::stderr().write_all(trouble.text().as_bytes());
        ExitCode::from(2)
    })
}

/// A line on standard output for work that goes on whether or not somebody reads of it.
fn say(line: impl Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A line on standard error, whether or not somebody reads it.
fn complain(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Names of files and texts of messages, as one line that no terminal obeys.
fn harmless(text: impl Display) -> Line {
    Line::clean(text.to_string().as_bytes(), SAID_CHARS_MAX)
}

/// The same of text that has lines of its own.
fn harmless_lines(text: impl Display) -> String {
    let text = text.to_string();
    text.lines().map(|line| format!("{}\n", harmless(line))).collect()
}

/// JSON that says the same, with everything that a terminal obeys or hides as an escape. Such characters stand in
/// strings only, and below U+0020 they are escaped already, but for the line ends between.
fn harmless_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        let mut octets = [0; 4];
        let text = &*c.encode_utf8(&mut octets);
        if c != '\x7f' && c.is_ascii() || Line::clean(text.as_bytes(), 1).as_str() == text {
            out.push(c);
        } else {
            let mut units = [0; 2];
            out.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    out
}

/// The configuration file's content, or what holds without one.
fn load(path: Option<&Path>) -> Result<Config, Trouble> {
    match path {
        Some(path) => Config::load(path).map_err(Trouble::Config),
        None => {
            let here =
                std::env::current_dir().map_err(|error| Trouble::new(format!("no current directory: {error}")))?;
            Ok(Config::first_run(&here.join(FIRST_RUN_ROOT)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_for_a_terminal_reads_back_as_it_was() {
        let texts = [
            "plain \"ä\" \u{1f600}",
            "\u{202e}\u{9b}2J\u{7f}\u{2028}\u{a0}",
            "\x1b[31m\n",
            "\u{e0041}",
        ];
        let json = serde_json::to_string_pretty(&texts).unwrap();
        let shown = harmless_json(&json);
        assert_eq!(serde_json::from_str::<[String; 4]>(&shown).unwrap(), texts);
        assert!(shown.contains("ä") && shown.contains("\u{1f600}"));
        for hidden in ['\u{202e}', '\u{9b}', '\u{7f}', '\u{2028}', '\u{e0041}', '\x1b'] {
            assert!(!shown.contains(hidden), "{shown}");
        }
    }
}
