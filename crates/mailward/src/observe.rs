//! What the daemon says of its work: one line for each message and recipient, and for each refusal that a session gives
//! by itself, as text or JSON.
//!
//! Foreign text comes as [`mail::Line`] or is quoted with escapes, so no sender can write log lines. Subjects and bodies
//! are never logged.
//!
//! Logging never fails and never waits: a full disk behind standard error, or a reader of it that stands still, costs
//! log lines and nothing else.
//!
//! - `writer`: standard error behind a queue.

mod writer;

use crate::config::{Log, LogFormat, LogLevel};
use crate::metrics::METRICS;
use judge::reason::Effect;
use judge::verdict::Verdict;
use mail::smtp::refusal::{Refusal, Refused};
use mail::{Line, Reply};
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal};
use std::net::IpAddr;
use std::panic::PanicHookInfo;
use std::time::Duration;
use store::MailwardId;
use tracing::Level;
use writer::Lines;

/// How long the end of the program waits for the last lines to be read.
const FLUSH_WAIT: Duration = Duration::from_secs(1);
/// Longest message of a panic, in characters.
const PANIC_CHARS_MAX: usize = 1000;

/// The log of this process. Dropped at its end, it waits a moment for lines that are not written yet.
#[derive(Debug)]
#[must_use = "dropped at once, it says nothing of the end"]
pub struct Logging(Lines);

/// Begins to log, on standard error.
///
/// # Errors
/// The system gives no thread.
pub fn init(log: &Log) -> io::Result<Logging> {
    let level = match log.level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
    };
    let missing = |_: &Lines, lines| tracing::error!(lines, "lines are missing here: standard error took none");
    let lines = Lines::start(io::stderr(), missing)?;
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .log_internal_errors(false)
        .with_writer(lines.clone());
    // A second call keeps the first one's form; tests start more than one daemon in a process.
    let begun = match log.format {
        LogFormat::Text => builder.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    if begun.is_ok() {
        // The usual hook writes to standard error itself, and waits there for a reader.
        std::panic::set_hook(Box::new(log_panic));
    }
    Ok(Logging(lines))
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let text = Line::clean(panic.payload_as_str().unwrap_or("no text").as_bytes(), PANIC_CHARS_MAX);
    let at = panic.location().map(ToString::to_string).unwrap_or_default();
    // Only with RUST_BACKTRACE set.
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => tracing::error!(at, %backtrace, "panicked: {text}"),
        _ => tracing::error!(at, "panicked: {text}"),
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.0.flush(FLUSH_WAIT);
    }
}

/// One message for one recipient.
#[derive(Debug)]
pub struct Disposed<'a> {
    /// Its id.
    pub id: MailwardId,
    /// Who connected.
    pub client: IpAddr,
    /// The HELO name.
    pub helo: &'a Line,
    /// What MAIL FROM carried, with brackets.
    pub reverse_path: &'a Line,
    /// What RCPT TO carried.
    pub recipient: &'a str,
    /// What became of it, in a word.
    pub disposition: &'a str,
    /// Why; absent for mail that was not judged.
    pub verdict: Option<&'a Verdict>,
    /// What the next hop said, where it was asked.
    pub next_hop: Option<&'a Line>,
    /// What the sender was told.
    pub reply: &'a Reply,
    /// From the last octet to the reply.
    pub took_ms: u32,
}

impl Disposed<'_> {
    /// Writes the line and counts.
    pub fn log(&self) {
        let decider = self.verdict.and_then(Verdict::decisive).map(|reason| reason.source);
        METRICS.disposed(self.disposition, decider);
        let (mut reasons, mut evidence) = (Vec::new(), Vec::new());
        for reason in self.verdict.iter().flat_map(|verdict| &verdict.reasons) {
            let texts = match reason.effect {
                Effect::Evidence => &mut evidence,
                Effect::Decisive | Effect::Overruled | Effect::Shadowed => &mut reasons,
            };
            texts.push(format!("{}: {}", reason.source, reason.text));
        }
        tracing::info!(
            id = %self.id,
            client = %self.client,
            helo = self.helo.as_str(),
            reverse_path = self.reverse_path.as_str(),
            recipient = Line::reason(self.recipient.as_bytes()).as_str(),
            disposition = self.disposition,
            reply = self.reply.code(),
            next_hop = self.next_hop.map(Line::as_str),
            reasons = reasons.join("; "),
            evidence = (!evidence.is_empty()).then(|| evidence.join("; ")),
            took_ms = self.took_ms,
            "message"
        );
    }
}

/// Something that was refused before any check could say a word.
#[derive(Debug)]
pub struct Turned<'a> {
    /// Why.
    pub why: Refusal,
    /// The command, or what the client was about.
    pub stage: &'a str,
    /// Who connected.
    pub client: IpAddr,
    /// The HELO name.
    pub helo: Option<&'a Line>,
    /// What MAIL FROM carried, with brackets.
    pub reverse_path: Option<&'a Line>,
    /// The recipient that is refused.
    pub recipient: Option<&'a Line>,
    /// How many recipients were accepted before.
    pub recipients: usize,
    /// The first of them.
    pub first_recipients: &'a [Line],
    /// What the client was told, if there was a way to tell it.
    pub reply: Option<&'a Reply>,
    /// What was wrong, where no reply says it.
    pub error: Option<String>,
    /// The id, and what became of the copy, of a whole message.
    pub message: Option<(MailwardId, &'a str)>,
}

impl<'a> Turned<'a> {
    /// Nothing but who and why.
    pub fn new(why: Refusal, stage: &'a str, client: IpAddr) -> Turned<'a> {
        Turned {
            why,
            stage,
            client,
            helo: None,
            reverse_path: None,
            recipient: None,
            recipients: 0,
            first_recipients: &[],
            reply: None,
            error: None,
            message: None,
        }
    }

    /// What a session told.
    pub fn of(refused: &'a Refused, client: IpAddr) -> Turned<'a> {
        Turned {
            helo: refused.helo.as_ref(),
            reverse_path: refused.reverse_path.as_ref(),
            recipient: refused.recipient.as_ref(),
            recipients: refused.recipients,
            first_recipients: &refused.first_recipients,
            reply: Some(&refused.reply),
            ..Turned::new(refused.why, refused.stage, client)
        }
    }

    /// Writes the line and counts.
    pub fn log(&self) {
        METRICS.refused(self.why);
        let to: Vec<&str> = self.first_recipients.iter().map(Line::as_str).collect();
        tracing::info!(
            id = self.message.map(|(id, _)| tracing::field::display(id)),
            client = %self.client,
            helo = self.helo.map(Line::as_str),
            reverse_path = self.reverse_path.map(Line::as_str),
            recipient = self.recipient.map(Line::as_str),
            recipients = self.recipients,
            to = (!to.is_empty()).then(|| to.join(", ")),
            stage = self.stage,
            reason = self.why.word(),
            reply = self.reply.map(Reply::code),
            text = self.reply.map(|reply| Line::reason(reply.to_string().as_bytes()).to_string()),
            error = self.error,
            copy = self.message.map(|(_, copy)| copy),
            "refused"
        );
    }
}
