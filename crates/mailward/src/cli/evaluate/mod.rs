//! `mailward evaluate`: how well the content filter tells junk from wanted mail, on mail of which that is known.
//!
//! The test is online, as filters are compared: each message is classified by what was learned from those before it, and
//! then learned from. It starts from nothing, and writes nothing but what it is asked for.

mod beside;
mod figures;
mod mailboxes;
mod page;
mod ranking;
#[cfg(test)]
mod tests;

use super::{Trouble, harmless_json};
use beside::{Other, Source};
use clap::Args;
use figures::{Figures, Judged};
use judge::content::{Features, OCTETS_MAX};
use mail::Message;
use mailboxes::Mailboxes;
use rustix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// An index is not longer than this.
const INDEX_OCTETS_MAX: u64 = 256 * 1024 * 1024;
/// How many messages pass between two lines of progress.
const PROGRESS_EVERY: usize = 200;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Lines `spam PATH` and `ham PATH`, in the order in which the mail came; paths are relative to the file
    index: PathBuf,
    /// Learn from the first N messages without classifying them, then classify the rest without learning
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Stop after N messages
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Deal the messages out to N mailboxes in turn, each with a model of its own and the votes of all behind it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    mailboxes: u16,
    /// Take these header fields out of each message first: what tells a collection's junk apart rather than junk
    #[arg(long, value_name = "HEADER,...", value_delimiter = ',')]
    hide: Vec<String>,
    /// Write a line `spam SCORE` or `ham SCORE` for each message classified
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,
    /// Compare with the scores that another filter gave the same messages, in the same order
    #[arg(long, value_name = "[NAME=]FILE")]
    beside: Option<Source>,
    /// Write the messages as they are read, with an index, so that another filter can be given the same
    #[arg(long, value_name = "FOLDER")]
    export: Option<PathBuf>,
    /// Draw the curve of junk missed against wanted mail lost
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// A line of an index.
struct Entry {
    is_junk: bool,
    path: PathBuf,
}

/// What classifying and learning cost, in seconds of one processor.
#[derive(Default)]
struct Cost {
    classified: usize,
    classify_s: f64,
    taught: usize,
    train_s: f64,
}

pub(super) fn run(options: &Options) -> Result<ExitCode, Trouble> {
    let mut entries = index(&options.index)?;
    entries.truncate(options.limit.unwrap_or(usize::MAX));
    let other = match &options.beside {
        Some(source) => Some(Other::read(source, &entries, options.batch.unwrap_or(0))?),
        None => None,
    };
    if let Some(folder) = &options.export {
        export(folder, &entries, &options.hide)?;
    }
    let begun = Instant::now();
    let (judged, cost) = judge_all(&entries, options)?;
    let took_s = begun.elapsed().as_secs_f64();
    if let Some(path) = &options.scores {
        write(path, &page::scores(&judged))?;
    }
    let Some(figures) = Figures::of(&judged, &cost, took_s, other.as_ref()) else {
        return Err(Trouble::hint(
            "both junk and wanted mail are needed among the messages classified",
            "each line of an index is `spam PATH` or `ham PATH`",
        ));
    };
    if let Some(path) = &options.svg {
        write(path, &page::svg(&judged, other.as_ref()))?;
    }
    let text = match options.json {
        true => harmless_json(&serde_json::to_string_pretty(&figures).map_err(Trouble::new)?) + "\n",
        false => figures.to_string(),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn judge_all(entries: &[Entry], options: &Options) -> Result<(Vec<Judged>, Cost), Trouble> {
    let (mut mailboxes, mut cost) = (Mailboxes::new(usize::from(options.mailboxes)), Cost::default());
    let mut judged = Vec::with_capacity(entries.len());
    let shows_progress = std::io::stderr().is_terminal();
    for (number, entry) in entries.iter().enumerate() {
        let octets = message(&entry.path, &options.hide)?;
        let begun_s = cpu_s();
        let features = Features::read(&octets);
        if options.batch.is_none_or(|batch| number >= batch) {
            let score = mailboxes.classify(number, &features);
            cost.classified += 1;
            cost.classify_s += cpu_s() - begun_s;
            judged.push(Judged {
                is_junk: entry.is_junk,
                probability: score.probability(),
                number,
            });
        }
        if options.batch.is_none_or(|batch| number < batch) {
            let begun_s = cpu_s();
            mailboxes.teach(number, features, entry.is_junk);
            cost.taught += 1;
            cost.train_s += cpu_s() - begun_s;
        }
        if shows_progress && number % PROGRESS_EVERY == 0 {
            let _ = write!(std::io::stderr(), "\r{number} of {} messages\x1b[K", entries.len());
        }
    }
    if shows_progress {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    Ok((judged, cost))
}

fn cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// What was read of a list as text, unless it is longer than any.
fn text_of(octets: Vec<u8>, path: &Path) -> Result<String, Trouble> {
    if octets.len() as u64 > INDEX_OCTETS_MAX {
        return Err(Trouble::new(format!("{}: too large for a list", path.display())));
    }
    Ok(String::from_utf8_lossy(&octets).into_owned())
}

fn index(path: &Path) -> Result<Vec<Entry>, Trouble> {
    let text = text_of(read(path, INDEX_OCTETS_MAX + 1)?, path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(at, line)| entry(folder, line).ok_or_else(|| wrong_line(path, at + 1, line)))
        .collect()
}

fn entry(folder: &Path, line: &str) -> Option<Entry> {
    let (label, path) = line.split_once(char::is_whitespace)?;
    let is_junk = match label.to_ascii_lowercase().as_str() {
        "spam" => true,
        "ham" => false,
        _ => return None,
    };
    Some(Entry {
        is_junk,
        path: folder.join(path.trim()),
    })
}

fn wrong_line(path: &Path, number: usize, line: &str) -> Trouble {
    let path = path.display();
    Trouble::hint(
        format!("{path}:{number}: neither `spam PATH` nor `ham PATH`: `{line}`"),
        "mailward evaluate --help",
    )
}

/// The beginning of a message, without the fields that are hidden.
fn message(path: &Path, hide: &[String]) -> Result<Vec<u8>, Trouble> {
    let octets = read(path, OCTETS_MAX as u64)?;
    if hide.is_empty() {
        return Ok(octets);
    }
    let message = Message::parse(&octets);
    let mut left = Vec::with_capacity(octets.len());
    for field in message
        .fields()
        .iter()
        .filter(|field| !hide.iter().any(|name| field.is(name.trim())))
    {
        left.extend_from_slice(field.raw());
    }
    left.extend_from_slice(b"\r\n");
    left.extend_from_slice(message.body());
    Ok(left)
}

/// Into a folder that is not there yet, so that nothing is mixed with what is.
fn export(folder: &Path, entries: &[Entry], hide: &[String]) -> Result<(), Trouble> {
    let trouble = |error| Trouble::new(format!("{}: {error}", folder.display()));
    std::fs::create_dir(folder).map_err(trouble)?;
    let mut lines = String::new();
    for (number, entry) in entries.iter().enumerate() {
        let name = format!("{number:06}.eml");
        let path = folder.join(&name);
        let octets = message(&entry.path, hide)?;
        std::fs::write(&path, octets).map_err(|error| Trouble::new(format!("{}: {error}", path.display())))?;
        let label = if entry.is_junk { "spam" } else { "ham" };
        lines += &format!("{label} {name}\n");
    }
    write(&folder.join("index"), &lines)
}

fn read(path: &Path, octets_max: u64) -> Result<Vec<u8>, Trouble> {
    let trouble = |error| Trouble::new(format!("{}: {error}", path.display()));
    let mut octets = Vec::new();
    File::open(path)
        .map_err(trouble)?
        .take(octets_max)
        .read_to_end(&mut octets)
        .map_err(trouble)?;
    Ok(octets)
}

fn write(path: &Path, text: &str) -> Result<(), Trouble> {
    std::fs::write(path, text).map_err(|error| Trouble::new(format!("{}: {error}", path.display())))
}
