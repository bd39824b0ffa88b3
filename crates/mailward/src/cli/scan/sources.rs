//! Where messages come from: files, mboxes, Maildirs, folders of files, standard input. One message is in memory at a
//! time.

use super::Trouble;
use mail::is_mbox_separator;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Folders deeper than this are not looked into.
const DEPTH_MAX: usize = 16;

/// One message.
pub(in crate::cli) struct Found {
    /// Its file, with a number where the file holds several.
    pub name: String,
    pub octets: Vec<u8>,
    /// It is larger than the limit; the rest was passed over.
    pub is_cut: bool,
}

/// All messages of some places, in order.
pub(in crate::cli) struct Sources {
    files: VecDeque<PathBuf>,
    mbox: Option<Mbox>,
    size_max: u64,
    single: bool,
}

/// A file of several messages, each behind a line that begins with `From `.
struct Mbox {
    name: String,
    reader: Box<dyn BufRead>,
    number: u64,
    /// The first line of the next message's `From ` line was read already.
    pending: bool,
}

impl Sources {
    pub fn new(paths: &[PathBuf], size_max: u64) -> Result<Sources, Trouble> {
        let mut files = VecDeque::new();
        for path in paths {
            if path == Path::new("-") {
                files.push_back(path.clone());
                continue;
            }
            let kind = std::fs::metadata(path).map_err(|error| Trouble::new(format!("{}: {error}", path.display())))?;
            if kind.is_dir() {
                walk(path, 0, &mut files)?
            } else {
                files.push_back(path.clone())
            }
        }
        if paths.is_empty() {
            files.push_back("-".into());
        }
        let single = files.len() == 1 && !is_mbox_of_many(&files[0]);
        Ok(Sources {
            files,
            mbox: None,
            size_max,
            single,
        })
    }

    /// Passes over some of the files.
    pub fn leave_out(&mut self, is_out: impl Fn(&Path) -> bool) {
        self.files.retain(|file| !is_out(file));
    }

    /// Whether there is one message only, which is then shown in full.
    pub fn is_single(&self) -> bool {
        self.single
    }

    pub fn next_message(&mut self) -> Option<Result<Found, String>> {
        loop {
            if let Some(mbox) = &mut self.mbox {
                match mbox.next_message(self.size_max) {
                    Ok(Some(found)) => return Some(Ok(found)),
                    Ok(None) => self.mbox = None,
                    Err(error) => {
                        let name = mbox.name.clone();
                        self.mbox = None;
                        return Some(Err(format!("{name}: {error}")));
                    }
                }
                continue;
            }
            let path = self.files.pop_front()?;
            let name = path.display().to_string();
            match self.open(&path) {
                Ok(Some(found)) => return Some(Ok(found)),
                Ok(None) => {}
                Err(error) => return Some(Err(format!("{name}: {error}"))),
            }
        }
    }

    /// A message, or `None` where the file turned out to be an mbox, which is then the source.
    fn open(&mut self, path: &Path) -> io::Result<Option<Found>> {
        let (name, mut reader): (String, Box<dyn BufRead>) = if path == Path::new("-") {
            ("standard input".into(), Box::new(BufReader::new(io::stdin())))
        } else {
            (
                path.display().to_string(),
                Box::new(BufReader::with_capacity(64 * 1024, File::open(path)?)),
            )
        };
        if is_mbox_separator(reader.fill_buf()?) {
            self.mbox = Some(Mbox {
                name,
                reader,
                number: 0,
                pending: false,
            });
            return Ok(None);
        }
        let mut octets = Vec::new();
        reader.take(self.size_max.saturating_add(1)).read_to_end(&mut octets)?;
        let is_cut = octets.len() as u64 > self.size_max;
        Ok(Some(Found { name, octets, is_cut }))
    }
}

impl Mbox {
    /// The lines up to the next `From ` line that stands behind a blank line (the "mboxo" and "mboxrd" forms).
    fn next_message(&mut self, size_max: u64) -> io::Result<Option<Found>> {
        let mut octets = Vec::new();
        let mut line = Vec::new();
        let (mut is_cut, mut blank, mut begun) = (false, true, std::mem::take(&mut self.pending));
        loop {
            line.clear();
            let room = size_max.saturating_add(1);
            if (&mut self.reader).take(room).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            if blank && is_mbox_separator(&line) {
                if begun {
                    self.pending = true;
                    break;
                }
                begun = true;
                continue;
            }
            blank = line.trim_ascii_end().is_empty();
            if octets.len() as u64 + line.len() as u64 > size_max {
                is_cut = true;
            } else {
                octets.extend_from_slice(unquoted(&line));
            }
        }
        self.number += 1;
        let is_only = self.number == 1 && !self.pending;
        let name = if is_only {
            self.name.clone()
        } else {
            format!("{}#{}", self.name, self.number)
        };
        Ok(begun.then_some(Found { name, octets, is_cut }))
    }
}

/// `>From ` at the start of a line is `From ` that was quoted.
fn unquoted(line: &[u8]) -> &[u8] {
    let quotes = line.iter().take_while(|&&b| b == b'>').count();
    if quotes > 0 && line[quotes..].starts_with(b"From ") {
        &line[1..]
    } else {
        line
    }
}

/// All message files below a folder, by name. Maildirs' `tmp` and the files of mail programs are passed over; links
/// are not followed.
fn walk(folder: &Path, depth: usize, files: &mut VecDeque<PathBuf>) -> Result<(), Trouble> {
    let trouble = |error: io::Error| Trouble::new(format!("{}: {error}", folder.display()));
    if depth > DEPTH_MAX {
        return Err(Trouble::new(format!("{}: too deep", folder.display())));
    }
    let is_maildir = folder.join("cur").is_dir() && folder.join("new").is_dir();
    let mut entries: Vec<_> = std::fs::read_dir(folder)
        .map_err(trouble)?
        .collect::<Result<_, _>>()
        .map_err(trouble)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let kind = entry.file_type().map_err(trouble)?;
        if kind.is_dir() && !(is_maildir && name == "tmp") {
            walk(&entry.path(), depth + 1, files)?;
        } else if kind.is_file() && !is_maildir && !name.starts_with('.') && !name.starts_with("dovecot") {
            files.push_back(entry.path());
        }
    }
    Ok(())
}

/// Whether the file has a second message; only the start of a large one is looked at. What a pipe gives can be read
/// only once, so nothing is known of it beforehand.
fn is_mbox_of_many(path: &Path) -> bool {
    const LOOKED_AT: u64 = 4 << 20;
    if !std::fs::metadata(path).is_ok_and(|meta| meta.is_file()) {
        return false;
    }
    let mut octets = Vec::new();
    let Ok(file) = File::open(path) else { return false };
    if file.take(LOOKED_AT).read_to_end(&mut octets).is_err() || !is_mbox_separator(&octets) {
        return false;
    }
    octets.len() as u64 == LOOKED_AT
        || octets.windows(7).any(|w| w == b"\n\nFrom ")
        || octets.windows(9).any(|w| w == b"\r\n\r\nFrom ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_and_octets(path: &Path) -> Vec<(String, Vec<u8>, bool)> {
        let mut sources = Sources::new(&[path.into()], 40).unwrap_or_else(|_| panic!("{}", path.display()));
        let mut all = Vec::new();
        while let Some(found) = sources.next_message() {
            let found = found.unwrap();
            let name = found.name.rsplit('/').next().unwrap().to_owned();
            all.push((name, found.octets, found.is_cut));
        }
        all
    }

    #[test]
    fn an_mbox_is_split_at_from_lines_behind_blank_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("box");
        std::fs::write(
            &path,
            "From a Mon\nA: 1\n\nx\nFrom here\n>From q\n\nFrom b Tue\nB: 2\n\ny\n",
        )
        .unwrap();
        let found = names_and_octets(&path);
        assert_eq!(found.len(), 2);
        assert_eq!(
            found[0],
            ("box#1".into(), b"A: 1\n\nx\nFrom here\nFrom q\n\n".to_vec(), false)
        );
        assert_eq!(found[1], ("box#2".into(), b"B: 2\n\ny\n".to_vec(), false));
    }

    #[test]
    fn a_message_past_the_limit_is_cut_and_said_to_be() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), [b'x'; 41]).unwrap();
        std::fs::write(dir.path().join("b"), [b'x'; 40]).unwrap();
        let cut: Vec<_> = names_and_octets(dir.path())
            .into_iter()
            .map(|(name, _, cut)| (name, cut))
            .collect();
        assert_eq!(cut, [("a".into(), true), ("b".into(), false)]);
    }

    #[test]
    fn a_maildir_gives_what_is_in_cur_and_new() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["cur/1", "new/2", "tmp/3", "dovecot.index"] {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "A: b\n").unwrap();
        }
        let names: Vec<_> = names_and_octets(dir.path()).into_iter().map(|found| found.0).collect();
        assert_eq!(names, ["1", "2"]);
    }
}
