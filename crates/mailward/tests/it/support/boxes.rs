//! Reading what the gateway leaves: Maildirs, the quarantine with its index, and header fields.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The messages of a Maildir (`new` and `cur`). A Maildir that does not exist is empty.
pub fn maildir(dir: &Path) -> Vec<Vec<u8>> {
    ["new", "cur"]
        .iter()
        .flat_map(|sub| files(&dir.join(sub)))
        .map(|file| fs::read(&file).expect("a message in the Maildir can be read"))
        .collect()
}

/// One copy in the quarantine.
#[derive(Debug, Clone)]
pub struct Held {
    pub domain: String,
    pub file_name: String,
    /// The address of the first line, `Recipient: ADDRESS`.
    pub recipient: String,
    /// What follows the first line.
    pub message: Vec<u8>,
}

/// One line of an `index.json`. A line that is not JSON (cut off by a crash) has no `fields`.
#[derive(Debug, Clone)]
pub struct IndexLine {
    pub domain: String,
    pub fields: Option<Value>,
}

impl IndexLine {
    /// A field as text; absent is empty.
    pub fn field(&self, name: &str) -> String {
        let value = self.fields.as_ref().and_then(|f| f.get(name)).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    }
}

/// Every copy below `spam/DAY/DOMAIN/{new,cur}`.
pub fn held(spam: &Path) -> Vec<Held> {
    let mut found = Vec::new();
    for (domain, dir) in quarantine_dirs(spam) {
        for file in ["new", "cur"].iter().flat_map(|sub| files(&dir.join(sub))) {
            let octets = fs::read(&file).expect("a copy in the quarantine can be read");
            let end = octets
                .iter()
                .position(|&b| b == b'\n')
                .expect("a copy has a first line");
            let first = String::from_utf8_lossy(&octets[..end]).trim_end().to_owned();
            let recipient = first
                .strip_prefix("Recipient: ")
                .unwrap_or_else(|| panic!("{} begins with {first:?}, not with its recipient", file.display()));
            found.push(Held {
                domain: domain.clone(),
                file_name: file
                    .file_name()
                    .expect("a file has a name")
                    .to_string_lossy()
                    .into_owned(),
                recipient: recipient.to_owned(),
                message: octets[end + 1..].to_vec(),
            });
        }
    }
    found
}

/// Waits until the quarantine has this many copies: one that is not needed any more goes after the answer.
pub fn await_held(spam: &Path, count: usize) {
    let begun = std::time::Instant::now();
    while held(spam).len() != count {
        let held: Vec<String> = held(spam).into_iter().map(|held| held.recipient).collect();
        assert!(begun.elapsed() < super::PATIENCE, "{count} copies expected: {held:?}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Every line of every `spam/DAY/DOMAIN/index.json`, in the order of the file.
pub fn index(spam: &Path) -> Vec<IndexLine> {
    let mut lines = Vec::new();
    for (domain, dir) in quarantine_dirs(spam) {
        let text = fs::read(dir.join("index.json")).unwrap_or_default();
        for line in String::from_utf8_lossy(&text).lines() {
            lines.push(IndexLine {
                domain: domain.clone(),
                fields: serde_json::from_str(line).ok(),
            });
        }
    }
    lines
}

/// The header fields in order, unfolded, each value trimmed.
pub fn headers(message: &[u8]) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in String::from_utf8_lossy(message).split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            break;
        }
        match (line.starts_with([' ', '\t']), fields.last_mut()) {
            (true, Some((_, value))) => {
                value.push(' ');
                value.push_str(line.trim());
            }
            _ => {
                let (name, value) = line.split_once(':').unwrap_or((line, ""));
                fields.push((name.to_owned(), value.trim().to_owned()));
            }
        }
    }
    fields
}

/// The first field of a name, in any case.
pub fn header(message: &[u8], name: &str) -> Option<String> {
    headers(message)
        .into_iter()
        .find(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// The Message-ID without its angle brackets; empty when there is none.
pub fn message_id(message: &[u8]) -> String {
    header(message, "Message-Id")
        .unwrap_or_default()
        .trim_matches(['<', '>'])
        .to_owned()
}

/// Every file and directory below `root`, by its path from there, sorted; links are not followed.
pub fn everything(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![root.to_path_buf()];
    while let Some(dir) = left.pop() {
        for path in entries(&dir) {
            let name = path.strip_prefix(root).expect("it is below");
            found.push(name.to_string_lossy().into_owned());
            if path.is_dir() && !path.is_symlink() {
                left.push(path);
            }
        }
    }
    found.sort();
    found
}

/// (domain, directory) for each `DAY/DOMAIN`. The links `today` and `yesterday` are not days.
fn quarantine_dirs(spam: &Path) -> Vec<(String, PathBuf)> {
    let mut dirs = Vec::new();
    for day in entries(spam) {
        let name = day.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_digit()) {
            continue;
        }
        for dir in entries(&day).into_iter().filter(|d| d.is_dir()) {
            let domain = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
            dirs.push((domain, dir));
        }
    }
    dirs
}

fn files(dir: &Path) -> Vec<PathBuf> {
    entries(dir).into_iter().filter(|path| path.is_file()).collect()
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let Ok(listing) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = listing
        .map(|e| e.expect("a directory entry can be read").path())
        .collect();
    paths.sort();
    paths
}
