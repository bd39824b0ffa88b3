//! The commands that the daemon answers at its socket while it runs, and that otherwise open the files themselves.

use super::control::client;
use super::desk::{Caller, Desk, Out};
use super::{Trouble, domains, label, learn, load, quarantine, report, reputation, status, why};
use crate::config::Config;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What is asked; with its options as the command line has them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ask {
    Status(status::Options),
    Reload,
    Domains(domains::Options),
    Why(why::Options),
    Quarantine(quarantine::Options),
    Report(report::Options),
    Label(label::LabelAsk),
    Sent(label::SentOptions),
    Learn(learn::LearnAsk),
    Reputation(reputation::Question),
}

impl Ask {
    /// Whether a user of the machine may ask it, of mail of their own.
    fn is_for_owners(&self) -> bool {
        match self {
            Ask::Why(_) | Ask::Label(_) | Ask::Sent(_) | Ask::Learn(_) | Ask::Reputation(_) => true,
            Ask::Quarantine(options) => options.is_for_owners(),
            Ask::Status(_) | Ask::Reload | Ask::Domains(_) | Ask::Report(_) => false,
        }
    }

    /// Whether its work goes on when nobody reads of it any more, and its exit code tells how it went.
    fn is_ended_unread(&self) -> bool {
        match self {
            Ask::Quarantine(options) => options.is_ended_unread(),
            Ask::Domains(options) => options.is_ended_unread(),
            Ask::Reload | Ask::Label(_) | Ask::Sent(_) | Ask::Learn(_) => true,
            Ask::Why(_) | Ask::Status(_) | Ask::Report(_) | Ask::Reputation(_) => false,
        }
    }
}

/// Where a daemon with this configuration answers.
pub(super) fn socket(config: &Config) -> PathBuf {
    config.paths.state.join("control.sock")
}

/// Runs a command: through the daemon if one answers, else alone.
pub(super) fn run(path: Option<&Path>, ask: Ask) -> Result<ExitCode, Trouble> {
    let config = load(path)?;
    let is_ended_unread = ask.is_ended_unread();
    let (mut text, mut errors) = (
        Stream(std::io::stdout().lock(), is_ended_unread),
        Stream(std::io::stderr().lock(), is_ended_unread),
    );
    let mut out = Out {
        text: &mut text,
        errors: &mut errors,
        columns: columns(),
    };
    let exit = Counter::open(config)?.ask(ask, &mut out)?;
    out.text.flush()?;
    Ok(ExitCode::from(exit))
}

/// Who answers all questions of one command: the daemon, if one answers, else a desk of its own.
pub(super) enum Counter {
    /// At this socket; and a connection that nothing was asked over yet.
    Daemon(PathBuf, Cell<Option<client::Daemon>>),
    Alone(Box<Desk>),
}

impl Counter {
    pub(super) fn open(config: Config) -> Result<Counter, Trouble> {
        let socket = socket(&config);
        Ok(match client::connect(&socket)? {
            Some(daemon) => Counter::Daemon(socket, Cell::new(Some(daemon))),
            None => Counter::Alone(Box::new(Desk::alone(config)?)),
        })
    }

    /// The exit code.
    pub(super) fn ask(&self, ask: Ask, out: &mut Out<'_>) -> Result<u8, Trouble> {
        let (socket, knocked) = match self {
            Counter::Daemon(socket, knocked) => (socket, knocked),
            Counter::Alone(desk) => return answer(desk, &ask, out),
        };
        let daemon = match knocked.take() {
            Some(daemon) => Some(daemon),
            None => client::connect(socket)?,
        };
        match daemon {
            Some(daemon) => daemon.answer(ask, out),
            None => Err(Trouble::hint(
                "the daemon has gone",
                "what it confirmed is kept; run the command again",
            )),
        }
    }
}

/// Where a command says what it did. Of work that is ended unread, what nobody takes is lost; otherwise that nobody
/// does ends the command.
struct Stream<W>(W, bool);

impl<W: Write> Write for Stream<W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self.1 {
            true => {
                let _ = self.0.write_all(octets);
                Ok(octets.len())
            }
            false => self.0.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.flush() {
            Err(_) if self.1 => Ok(()),
            flushed => flushed,
        }
    }
}

/// Answers; the exit code for the command line.
pub(super) fn answer(desk: &Desk, ask: &Ask, out: &mut Out<'_>) -> Result<u8, Trouble> {
    if let Caller::Owner(mailbox) = desk.caller()
        && !ask.is_for_owners()
    {
        return Err(Trouble::hint(
            format!("only root and the daemon's user may ask this; you may ask about mail for {mailbox}"),
            "`mailward why`, `label`, `sent`, `learn`, `reputation` and `quarantine list`, `search`, `show` and `release` are yours",
        ));
    }
    match ask {
        Ask::Status(options) => status::run(desk, options, out),
        Ask::Reload => reload(desk, out),
        Ask::Domains(options) => domains::run(desk, options, out),
        Ask::Why(options) => why::run(desk, options, out),
        Ask::Quarantine(options) => quarantine::run(desk, options, out),
        Ask::Report(options) => report::run(desk, options, out),
        Ask::Label(label) => label.answer(desk, out),
        Ask::Sent(options) => label::sent(desk, options, out),
        Ask::Learn(learn) => learn.answer(desk, out),
        Ask::Reputation(question) => question.answer(desk, out),
    }
}

fn reload(desk: &Desk, out: &mut Out<'_>) -> Result<u8, Trouble> {
    let kept = desk.daemon()?.reload()?;
    for line in kept.iter().map(String::as_str).chain(["configuration reloaded"]) {
        writeln!(out.text, "{line}")?;
    }
    Ok(0)
}

/// How wide the terminal is, by what it says itself: shells do not export `COLUMNS`. Nothing for what goes into a pipe or a
/// file, which is not cut.
pub(super) fn columns() -> Option<usize> {
    let out = std::io::stdout();
    out.is_terminal().then(|| {
        let size = rustix::termios::tcgetwinsize(&out).ok();
        let columns = size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0);
        columns.unwrap_or(crate::quarantine::print::COLUMNS)
    })
}
