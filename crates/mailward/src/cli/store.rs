//! `mailward store`: how large the store is, whether it is sound, and what makes history out of it and into it.
//!
//! `stats`, `verify` and `export` read beside a running daemon. `import`, `rebuild` and `compact` write, and there is
//! one writer: the daemon must be stopped for them.

use super::{Trouble, complain, harmless_json, load};
use ::store::{Reader, Remembered, Store};
use clap::{Args, Subcommand};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Lines of one transaction.
const BATCH: usize = 500;
/// The longest line that is read, in octets.
const LINE_OCTETS_MAX: u64 = 1 << 20;

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say how much there is of everything
    Stats {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Check the file, and whether history is what the labels make
    Verify {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Write labels and sent mail, one JSON object a line
    Export,
    /// Take labels and sent mail as `export` writes them; twice changes nothing. The daemon must be stopped
    Import {
        /// The file; without one, standard input
        file: Option<PathBuf>,
    },
    /// Make history anew from the labels. The daemon must be stopped
    Rebuild,
    /// Give free space back to the file system. The daemon must be stopped
    Compact,
}

pub(super) fn run(path: Option<&Path>, options: &Options) -> Result<ExitCode, Trouble> {
    let store_path = load(path)?.store_path();
    let tokio = tokio::runtime::Builder::new_current_thread().build()?;
    let mut out = io::stdout().lock();
    let read = || Store::open_read_only(&store_path).map_err(|error| Trouble::store(&store_path, &error));
    let write = || open_existing(&store_path);
    match &options.action {
        Action::Stats { json } => stats(&tokio.block_on(read()?.stats()).map_err(Trouble::new)?, *json, &mut out)?,
        Action::Verify { json } => {
            let verified = tokio.block_on(read()?.verify()).map_err(Trouble::new)?;
            show_verified(&verified, *json, &mut out)?;
            return Ok(ExitCode::from(u8::from(verified.faults_count > 0)));
        }
        Action::Export => tokio.block_on(export(&read()?, &mut out))?,
        Action::Import { file } => {
            let input: Box<dyn Read> = match file {
                Some(file) => {
                    Box::new(File::open(file).map_err(|error| Trouble::new(format!("{}: {error}", file.display())))?)
                }
                None => Box::new(io::stdin()),
            };
            let store = write()?;
            let (taken, outranked) = tokio.block_on(import(&store, BufReader::new(input)))?;
            tokio.block_on(store.close()).map_err(Trouble::new)?;
            writeln!(
                out,
                "{taken} lines taken, {outranked} of them outranked by what is known already"
            )?;
        }
        Action::Rebuild => {
            let store = write()?;
            tokio.block_on(store.rebuild()).map_err(Trouble::new)?;
            let stats = tokio.block_on(store.reader().stats()).map_err(Trouble::new)?;
            tokio.block_on(store.close()).map_err(Trouble::new)?;
            let labels = stats.junk + stats.not_junk;
            writeln!(out, "{} rows of history from {labels} labels", stats.history)?;
        }
        Action::Compact => {
            let (before, after) = Store::compact(&store_path).map_err(|error| Trouble::store(&store_path, &error))?;
            writeln!(out, "{before} octets before, {after} after")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Never creates a store: a mistyped configuration shall not leave an empty one behind.
fn open_existing(path: &Path) -> Result<Store, Trouble> {
    if !path.exists() {
        return Err(Trouble::store(path, &::store::OpenError::Missing));
    }
    Store::open(path).map_err(|error| Trouble::store(path, &error))
}

fn stats(stats: &::store::Stats, json: bool, out: &mut impl Write) -> Result<(), Trouble> {
    if json {
        return print_json(stats, out);
    }
    let lines = [
        ("octets used", stats.used_octets),
        ("layout", u64::from(stats.layout)),
        ("messages", stats.messages),
        ("deliveries", stats.deliveries),
        ("mailboxes", stats.mailboxes),
        ("labels: junk", stats.junk),
        ("labels: not junk", stats.not_junk),
        ("labels: forgotten", stats.forgotten),
        ("rows of history", stats.history),
        ("lessons of content", stats.lessons),
        ("octets of lessons", stats.lesson_octets),
        ("addresses written to", stats.sent),
        ("correspondents", stats.correspondents),
        ("greylist entries", stats.greylist),
        ("votes for others to hear", stats.shared),
        ("copies of refused mail", stats.kept),
        ("cursors", stats.cursors),
    ];
    for (name, count) in lines {
        writeln!(out, "{name:<24} {count}")?;
    }
    Ok(())
}

fn show_verified(verified: &::store::Verified, json: bool, out: &mut impl Write) -> Result<(), Trouble> {
    if json {
        return print_json(verified, out);
    }
    for fault in &verified.faults {
        writeln!(out, "{}", super::harmless(fault))?;
    }
    let (labels, lessons) = (verified.labels, verified.lessons);
    let (history, sent) = (verified.history, verified.sent);
    writeln!(
        out,
        "{labels} labels, {lessons} lessons, {history} rows of history, {sent} addresses written to"
    )?;
    match verified.faults_count {
        0 => writeln!(out, "nothing wrong")?,
        count => {
            writeln!(out, "{count} faults")?;
            complain(
                "hint: `mailward store rebuild` makes history anew; of faults in the database itself, export what can be read",
            );
        }
    }
    Ok(())
}

fn print_json(value: &impl serde::Serialize, out: &mut impl Write) -> Result<(), Trouble> {
    let json = serde_json::to_string(value).map_err(Trouble::new)?;
    writeln!(out, "{}", harmless_json(&json))?;
    Ok(())
}

async fn export(reader: &Reader, out: &mut impl Write) -> Result<(), Trouble> {
    let mut from = None;
    loop {
        let page = reader.export(from, BATCH).await.map_err(Trouble::new)?;
        for one in &page.remembered {
            print_json(one, out)?;
        }
        from = page.next;
        if from.is_none() {
            out.flush()?;
            return Ok(());
        }
    }
}

/// Lines that were taken, and how many of them were outranked. Stops at the first line that is wrong; what was taken
/// before it stays.
async fn import(store: &Store, mut input: impl BufRead) -> Result<(u64, u64), Trouble> {
    let (mut taken, mut outranked, mut number) = (0, 0, 0u64);
    let mut batch: Vec<Remembered> = Vec::new();
    loop {
        let mut line = Vec::new();
        let octets = input.by_ref().take(LINE_OCTETS_MAX).read_until(b'\n', &mut line)?;
        number += 1;
        let wrong = |why: String| {
            let hint = format!("{taken} lines before it were taken; to import the whole file again does no harm");
            Trouble::hint(format!("line {number}: {why}"), hint)
        };
        if octets as u64 == LINE_OCTETS_MAX {
            return Err(wrong(format!("longer than {LINE_OCTETS_MAX} octets")));
        }
        if !line.trim_ascii().is_empty() {
            batch.push(serde_json::from_slice(&line).map_err(|error| wrong(error.to_string()))?);
        }
        if batch.len() == BATCH || octets == 0 {
            taken += batch.len() as u64;
            outranked += store.remember(std::mem::take(&mut batch)).await.map_err(Trouble::new)?;
        }
        if octets == 0 {
            return Ok((taken, outranked));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::store::MemoryDisk;

    const LINES: &str = r#"{"label":{"mailbox":"ann@example.com","id":"0E8AG0000001","said":{"label":"junk","at_s":1795262460,"source":"imap","by":"7"},"received_s":1795262400,"author_local":"bob","identities":[{"author":{"local":"bob","domain":"shop.example","validated":true}},{"dkim":"shop.example"}]}}
{"label":{"mailbox":"ann@example.com","id":"0E8AG0000002","said":{"label":null,"at_s":1795262460,"source":"imap","by":"8"},"received_s":1795262400,"author_local":"","identities":[]}}
{"sent":{"mailbox":"ann@example.com","local":"bob","domain":"shop.example","organization":"shop.example","at_s":1795262400}}
"#;

    /// The form is documented in docs/store.md, and what one version exports the next one imports.
    #[tokio::test]
    async fn what_is_imported_is_exported_as_it_was() {
        let store = Store::open_in_memory(&MemoryDisk::new()).unwrap();
        assert_eq!(import(&store, LINES.as_bytes()).await.unwrap(), (3, 0));
        assert_eq!(import(&store, LINES.as_bytes()).await.unwrap(), (3, 0));
        let earlier = LINES.replace("1795262460", "1795262459");
        assert_eq!(import(&store, earlier.as_bytes()).await.unwrap(), (3, 2));
        let mut out = Vec::new();
        export(store.reader(), &mut out).await.unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), LINES);
    }

    #[tokio::test]
    async fn a_line_that_is_wrong_is_named() {
        let store = Store::open_in_memory(&MemoryDisk::new()).unwrap();
        let why = import(&store, format!("{LINES}\n{{\"label\":7}}\n").as_bytes())
            .await
            .unwrap_err();
        assert!(why.text().starts_with("error: line 5: invalid type"), "{}", why.text());
        let endless = vec![b' '; LINE_OCTETS_MAX as usize + 7];
        let why = import(&store, &endless[..]).await.unwrap_err();
        assert!(why.text().starts_with("error: line 1: longer than"), "{}", why.text());
    }
}
