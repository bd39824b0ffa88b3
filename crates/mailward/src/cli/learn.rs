//! `mailward learn`: history from mail that came before the gateway did.
//!
//! The command reads the messages, with the rights of whoever runs it, and shows them to the store (or to the daemon that
//! has it) in batches. Twice changes nothing: a message is known again by what hosts and its sender wrote into its header.
//! What a person has said of a message stands above what is learnt of it.
//!
//! - `lesson`: what the store is told, and what it makes of that. - `page`: what is read off one message.
//! - `tally`: counts, and how they are told. - `progress`: how far it is, on a terminal.

mod lesson;
mod page;
mod progress;
mod tally;

pub(super) use lesson::LearnAsk;

use super::ask::{Ask, Counter, columns};
use super::desk::Out;
use super::scan::sources::Sources;
use super::{Trouble, complain, harmless, load};
use crate::config::Config;
use clap::Args;
use judge::reputation::Trust;
use lesson::{Answered, BATCH_OCTETS_MAX, Marked, Posted};
use mail::limits::HEADER_OCTETS_MAX;
use mail::{Address, MailboxId, Message};
use page::{Page, Skipped};
use progress::Progress;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use store::Label;
use tally::Tally;

/// So much of a message is read: its header, with the line that an mbox puts before it, and what tells its content.
const READ_OCTETS_MAX: u64 = HEADER_OCTETS_MAX as u64 + 64 * 1024;
/// Messages that could not be read, of which each is named; the others are counted.
const NAMED_MAX: u64 = 20;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Whose mail it is
    #[arg(long, value_name = "ADDRESS")]
    mailbox: String,
    /// A Maildir, a folder of messages, an mbox or a message that the owner sent
    #[arg(long, value_name = "DIR", required_unless_present_any = ["junk", "notjunk"])]
    sent: Vec<PathBuf>,
    /// The same of what is junk
    #[arg(long, value_name = "DIR")]
    junk: Vec<PathBuf>,
    /// The same of what is welcome
    #[arg(long, value_name = "DIR")]
    notjunk: Vec<PathBuf>,
    /// A server that took mail for us: its name in Received and Authentication-Results; `*.` and a name, or an address
    #[arg(long, value_name = "HOST")]
    trust: Vec<String>,
    /// The same of one that writes its results beneath its Received field, and takes out those that others write in its
    /// name
    #[arg(long, value_name = "HOST")]
    trust_beneath: Vec<String>,
    /// Another address of the owner, as whom they sent mail
    #[arg(long, value_name = "ADDRESS")]
    sent_as: Vec<String>,
    /// Say what would be learnt, and learn nothing
    #[arg(long)]
    dry_run: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Learns, and says what.
pub(super) fn run(config: Option<&Path>, options: &Options) -> Result<ExitCode, Trouble> {
    let config = load(config)?;
    let places = Places::of(options)?;
    let trust = trust(&config, options)?;
    let sent_as = sent_as(options)?;
    let mut reading = Reading {
        options,
        places: &places,
        trust,
        sent_as,
        counter: Counter::open(config)?,
        mailbox: None,
        batch: Batch::default(),
        tally: Tally::default(),
        progress: Progress::new(),
        is_first_look: false,
    };
    // Whether it may be at all, before much is read.
    reading.flush()?;
    reading.labels()?;
    reading.posted()?;
    reading.flush()?;
    let Reading {
        tally,
        mut progress,
        mailbox,
        ..
    } = reading;
    progress.end();
    tally.tell(mailbox.as_ref(), options.dry_run, options.json)?;
    Ok(ExitCode::from(u8::from(tally.unreadable > 0)))
}

/// Where the messages lie, as paths that can be compared.
struct Places {
    sent: Vec<PathBuf>,
    junk: Vec<PathBuf>,
    notjunk: Vec<PathBuf>,
}

impl Places {
    fn of(options: &Options) -> Result<Places, Trouble> {
        let all = |paths: &[PathBuf]| paths.iter().map(|path| place(path)).collect::<Result<_, _>>();
        Ok(Places {
            sent: all(&options.sent)?,
            junk: all(&options.junk)?,
            notjunk: all(&options.notjunk)?,
        })
    }

    /// Whether a file below a place belongs to another one: one that is named by itself (`Maildir/.Junk`, where `Maildir`
    /// is named too), or a Maildir's folder that is not named, for that may be the bin.
    fn is_elsewhere(&self, place: &Path, file: &Path) -> bool {
        let mut all = [&self.sent, &self.junk, &self.notjunk].into_iter().flatten();
        let is_named = all.any(|other| other != place && other.starts_with(place) && file.starts_with(other));
        let is_hidden = |below: &Path| {
            let mut parts = below.components();
            parts.any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."))
        };
        let is_folder = file.strip_prefix(place).is_ok_and(is_hidden);
        is_named || is_folder
    }
}

/// Whatever is read may be read twice, and has an end.
fn place(path: &Path) -> Result<PathBuf, Trouble> {
    let trouble = |error: std::io::Error| Trouble::new(format!("{}: {error}", path.display()));
    let kind = std::fs::metadata(path).map_err(trouble)?;
    match kind.is_dir() || kind.is_file() {
        true => std::fs::canonicalize(path).map_err(trouble),
        false => Err(Trouble::new(format!("neither a folder nor a file: {}", path.display()))),
    }
}

fn trust(config: &Config, options: &Options) -> Result<Trust, Trouble> {
    let mut trust = Trust::default();
    // A name that is none, as `localhost` of a first start may be, is not to be met.
    for own in [config.smtp.hostname.as_str(), config.authserv_id()] {
        let _ = trust.host(own);
    }
    let wrong = |text: &String| {
        Trouble::hint(
            format!("neither a name nor an address: `{text}`"),
            "`mx.example.com`, `*.example.com` for all below it, or `192.0.2.1`",
        )
    };
    for text in &options.trust {
        trust.host(text).ok_or_else(|| wrong(text))?;
    }
    for text in &options.trust_beneath {
        trust.host_with_results_beneath(text).ok_or_else(|| wrong(text))?;
    }
    Ok(trust)
}

fn sent_as(options: &Options) -> Result<HashSet<String>, Trouble> {
    let folded = |text: &String| {
        let address = Address::parse(text).map_err(|error| Trouble::new(format!("{error}: `{text}`")))?;
        Ok(address.folded())
    };
    options.sent_as.iter().map(folded).collect()
}

/// What was read and not yet told.
#[derive(Default)]
struct Batch {
    labels: Vec<Marked>,
    sent: Vec<Posted>,
    octets: usize,
}

/// The work, and how far it is.
struct Reading<'a> {
    options: &'a Options,
    places: &'a Places,
    trust: Trust,
    sent_as: HashSet<String>,
    counter: Counter,
    /// As the daemon knows it; none before it was asked.
    mailbox: Option<MailboxId>,
    batch: Batch,
    tally: Tally,
    progress: Progress,
    /// What is read now will be read again, and counted then.
    is_first_look: bool,
}

impl Reading<'_> {
    /// Junk and not junk. What is said to be both is neither, so where both are given, one is read twice.
    fn labels(&mut self) -> Result<(), Trouble> {
        let Places { junk, notjunk, .. } = self.places;
        let mut welcome = HashSet::new();
        if !junk.is_empty() {
            self.is_first_look = true;
            self.each("looked through", notjunk, |reading, message| {
                welcome.extend(reading.page(&message).map(|page| page.hash));
                Ok(())
            })?;
            self.is_first_look = false;
        }
        let (mut seen, mut both) = (HashSet::new(), HashSet::new());
        self.each("junk", junk, |reading, message| {
            let Some(page) = reading.page(&message) else {
                return reading.skip(Skipped::NoDate);
            };
            if welcome.contains(&page.hash) {
                reading.tally.contradictory += u64::from(both.insert(page.hash));
                return Ok(());
            }
            reading.mark(page, &message, Label::Junk, &mut seen)
        })?;
        drop(welcome);
        self.each("not junk", notjunk, |reading, message| match reading.page(&message) {
            None => reading.skip(Skipped::NoDate),
            Some(page) if both.contains(&page.hash) => Ok(()),
            Some(page) => reading.mark(page, &message, Label::NotJunk, &mut seen),
        })
    }

    fn skip(&mut self, why: Skipped) -> Result<(), Trouble> {
        self.tally.skip(why);
        Ok(())
    }

    fn posted(&mut self) -> Result<(), Trouble> {
        self.each("sent", &self.places.sent, |reading, message| {
            match page::posted(&message, &reading.sent_as) {
                Ok(all) => all.into_iter().try_for_each(|posted| {
                    reading.make_room(&posted)?;
                    reading.batch.sent.push(posted);
                    Ok(())
                }),
                Err(why) => reading.skip(why),
            }
        })
    }

    /// Every message of some places.
    fn each(
        &mut self,
        what: &'static str,
        places: &[PathBuf],
        mut work: impl FnMut(&mut Self, Message<'_>) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        for place in places {
            self.progress.begin(what, place);
            let mut sources = match Sources::new(std::slice::from_ref(place), READ_OCTETS_MAX) {
                Ok(sources) => sources,
                Err(trouble) => {
                    self.unreadable(trouble.text().trim_end().trim_start_matches("error: "));
                    continue;
                }
            };
            sources.leave_out(|file| self.places.is_elsewhere(place, file));
            while let Some(found) = sources.next_message() {
                self.progress.step();
                match found {
                    Ok(found) => work(self, Message::parse(&found.octets))?,
                    Err(trouble) => self.unreadable(&trouble),
                }
            }
        }
        Ok(())
    }

    fn unreadable(&mut self, trouble: &str) {
        if self.is_first_look {
            return;
        }
        self.tally.unreadable += 1;
        if self.tally.unreadable <= NAMED_MAX {
            self.progress.end();
            complain(format_args!("error: {}", harmless(trouble)));
        }
    }

    fn page(&self, message: &Message<'_>) -> Option<Page> {
        Page::read(message, &self.trust, self.mailbox.as_ref())
    }

    fn mark(
        &mut self,
        page: Page,
        message: &Message<'_>,
        label: Label,
        seen: &mut HashSet<u64>,
    ) -> Result<(), Trouble> {
        if !seen.insert(page.hash) {
            self.tally.twice += 1;
            return Ok(());
        }
        self.tally.see(&page.opened);
        let marked = page.marked(message, label);
        self.make_room(&marked)?;
        self.batch.labels.push(marked);
        Ok(())
    }

    /// Makes room for what comes next: a batch is one question, and questions are bounded.
    fn make_room(&mut self, next: &impl serde::Serialize) -> Result<(), Trouble> {
        let octets = serde_json::to_string(next).map_err(Trouble::new)?.len() + 1;
        let count = self.batch.labels.len() + self.batch.sent.len();
        if self.batch.octets + octets > BATCH_OCTETS_MAX || count == lesson::BATCH_MAX {
            self.flush()?;
        }
        self.batch.octets += octets;
        Ok(())
    }

    /// Tells what was read.
    fn flush(&mut self) -> Result<(), Trouble> {
        let Batch { labels, sent, .. } = std::mem::take(&mut self.batch);
        if labels.is_empty() && sent.is_empty() && self.mailbox.is_some() {
            return Ok(());
        }
        let ask = LearnAsk::new(&self.options.mailbox, self.options.dry_run, labels, sent);
        let (mut text, mut errors) = (Vec::new(), std::io::stderr());
        let mut out = Out {
            text: &mut text,
            errors: &mut errors,
            columns: columns(),
        };
        self.counter.ask(Ask::Learn(ask), &mut out)?;
        let answered: Answered = serde_json::from_slice(&text).map_err(Trouble::new)?;
        self.tally.add(&answered);
        self.mailbox = Some(answered.mailbox);
        Ok(())
    }
}
