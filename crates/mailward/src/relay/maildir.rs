//! Delivery into Maildirs: written in `tmp`, synced, linked into `new`, and the directory synced, before it counts.

use super::next_hop::MaildirTemplate;
use super::{Delay, Delivery, Destination, Durable, Parcel};
use crate::body::Content;
use crate::domains::BoxName;
use mail::{Domain, Line, Reply};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::timeout_at;

/// Private mail: nobody but the owner reads it.
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
const BUFFER_OCTETS: usize = 64 * 1024;

/// What one recipient's file is made of.
struct Job {
    maildir: PathBuf,
    /// A folder of it, where the message goes instead.
    folder: Option<String>,
    name: String,
    /// What the final delivery writes above the message.
    top: String,
    content: Arc<Content>,
    gate: Gate,
}

/// Writes one file for each recipient, on a thread where waiting for the disk holds nobody up.
pub(super) async fn deliver(template: &MaildirTemplate, parcel: Parcel<'_>, hostname: &str) -> Vec<Delivery> {
    let mut deliveries = Vec::with_capacity(parcel.recipients.len());
    for to in parcel.recipients {
        let job = job(template, &parcel, to, hostname);
        let gate = job.as_ref().map(|job| job.gate.clone()).unwrap_or_default();
        let mut written = tokio::task::spawn_blocking(move || run(job));
        let in_time = timeout_at(parcel.deadline.answer, &mut written).await;
        let joined = match in_time {
            Err(_) if gate.close() => {
                deliveries.push(Delivery::Later(Delay::literal("the mailbox is too slow")));
                continue;
            }
            // It got its name in time, or gets it just now: its end must be known.
            Err(_) => written.await,
            Ok(joined) => joined,
        };
        deliveries.push(joined.unwrap_or_else(|_| Delivery::Later(Delay::literal("mailbox not written"))));
    }
    deliveries
}

/// Whether a file may still get its name. The writer passes it, or the deadline closes it; whoever comes first.
#[derive(Clone, Default)]
struct Gate(Arc<AtomicBool>);

impl Gate {
    fn pass(&self) -> io::Result<()> {
        let late = || io::Error::new(io::ErrorKind::TimedOut, "it took too long");
        self.close().then_some(()).ok_or_else(late)
    }

    /// False if somebody was there before.
    fn close(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

fn job(template: &MaildirTemplate, parcel: &Parcel<'_>, to: &Destination<'_>, hostname: &str) -> Option<Job> {
    let (domain, local) = to.maildir?;
    Some(Job {
        maildir: path(template, domain, local),
        // Maildir++: folders are directories with a leading dot.
        folder: to.folder.map(|folder| format!(".{}", folder.as_str())),
        name: unique_name(hostname),
        // RFC 5321 §4.4: the server that makes the final delivery adds Return-Path.
        top: format!("Return-Path: <{}>\nDelivered-To: {}\n", parcel.reverse_path, to.address),
        content: parcel.content.clone(),
        gate: Gate::default(),
    })
}

/// The path of one mailbox. Both parts are harmless as path components by their types.
fn path(template: &MaildirTemplate, domain: &Domain, local: &BoxName) -> PathBuf {
    let mut path = String::with_capacity(template.as_str().len() + 64);
    let mut rest = template.as_str();
    // One pass, so that a local part that holds `{domain}` stays as it is.
    while let Some(at) = rest.find('{') {
        let (before, after) = rest.split_at(at);
        path.push_str(before);
        if let Some(after) = after.strip_prefix("{domain}") {
            path.push_str(domain.as_str());
            rest = after;
        } else if let Some(after) = after.strip_prefix("{local}") {
            path.push_str(local.as_str());
            rest = after;
        } else {
            path.push('{');
            rest = &after[1..];
        }
    }
    path.push_str(rest);
    PathBuf::from(path)
}

fn run(job: Option<Job>) -> Delivery {
    let Some(job) = job else {
        let text = Line::literal("no mailbox for this recipient");
        return Delivery::Refused(Reply::new(550, (5, 1, 1), text));
    };
    match job.write() {
        Ok(()) => Delivery::Taken(Durable(()), Line::literal("written to the mailbox")),
        Err(error) => {
            tracing::warn!(maildir = %job.maildir.display(), %error, "cannot write to a mailbox");
            Delivery::Later(Delay::failed("the mailbox cannot be written now", &error))
        }
    }
}

impl Job {
    /// Nothing half-written stays behind, and nothing that is not known to be on stable storage.
    fn write(&self) -> io::Result<()> {
        self.write_with(|path| File::open(path))
    }

    fn write_with(&self, open_directory: impl FnOnce(&Path) -> io::Result<File>) -> io::Result<()> {
        make_maildir(&self.maildir)?;
        let maildir = match &self.folder {
            None => self.maildir.clone(),
            Some(folder) => make_folder(&self.maildir.join(folder))?,
        };
        let tmp = maildir.join("tmp").join(&self.name);
        let written = self.write_synced(&tmp).and_then(|octets| {
            let new = maildir.join("new");
            let file = new.join(format!("{},S={octets}", self.name));
            // Whatever can fail fails before the message has its name, but for the one sync.
            let directory = open_directory(&new)?;
            self.gate.pass()?;
            std::fs::rename(&tmp, &file)?;
            settle(&file, || directory.sync_all())
        });
        if written.is_err() {
            let _ = std::fs::remove_file(&tmp);
        }
        written
    }

    /// How many octets it came to.
    fn write_synced(&self, path: &Path) -> io::Result<u64> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(path)?;
        let mut out = UnixLines {
            out: BufWriter::with_capacity(BUFFER_OCTETS, file),
            held_cr: false,
        };
        out.write(self.top.as_bytes())?;
        for piece in self.content.pieces() {
            out.write(piece)?;
        }
        if let Some(tail) = self.content.tail() {
            tail.each_block(|block| out.write(block))?;
        }
        let file = out.end()?;
        file.sync_all()?;
        Ok(file.metadata()?.len())
    }
}

/// Makes the name of a delivered file outlive a crash. If the system cannot say that it does, the file goes again and the
/// sender, told to come again, brings it once more: what may be lost after 250 is worse than what may come twice. It does
/// come twice only where a mail program has taken the file meanwhile.
fn settle(file: &Path, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    sync().inspect_err(|_| {
        let _ = std::fs::remove_file(file);
    })
}

/// Mail programs expect bare LF in Maildirs; the received message has CRLF throughout.
struct UnixLines<W: Write> {
    out: BufWriter<W>,
    /// A CR at the end of what was written so far, which may belong to a CRLF.
    held_cr: bool,
}

impl<W: Write> UnixLines<W> {
    fn write(&mut self, mut octets: &[u8]) -> io::Result<()> {
        if octets.is_empty() {
            return Ok(());
        }
        if std::mem::take(&mut self.held_cr) && octets[0] != b'\n' {
            self.out.write_all(b"\r")?;
        }
        while let Some(at) = memchr::memchr(b'\r', octets) {
            self.out.write_all(&octets[..at])?;
            octets = &octets[at + 1..];
            match octets.first() {
                None => self.held_cr = true,
                Some(b'\n') => {}
                Some(_) => self.out.write_all(b"\r")?,
            }
        }
        self.out.write_all(octets)
    }

    fn end(mut self) -> io::Result<W> {
        if self.held_cr {
            self.out.write_all(b"\r")?;
        }
        self.out.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

/// Unique on this host: time, process, and a counter.
fn unique_name(hostname: &str) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, micros, process) = (now.as_secs(), now.subsec_micros(), std::process::id());
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let harmless = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    let host: String = hostname.chars().map(|c| if harmless(c) { c } else { '_' }).collect();
    format!("{seconds}.M{micros}P{process}Q{count}.{host}")
}

/// Makes the Maildir and what is missing above it, syncing each parent that got a new entry.
fn make_maildir(maildir: &Path) -> io::Result<()> {
    for name in ["tmp", "cur", "new"] {
        let directory = maildir.join(name);
        if !directory.is_dir() {
            make_directory(&directory)?;
        }
    }
    Ok(())
}

/// Makes a folder; the empty file says that it is one (Maildir++).
fn make_folder(folder: &Path) -> io::Result<PathBuf> {
    make_maildir(folder)?;
    let mark = folder.join("maildirfolder");
    if !mark.exists() {
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(mark)?;
    }
    Ok(folder.to_owned())
}

fn make_directory(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path
        .ancestors()
        .take_while(|p| !p.as_os_str().is_empty() && !p.is_dir())
        .collect();
    for directory in missing.into_iter().rev() {
        match DirBuilder::new().mode(DIRECTORY_MODE).create(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        if let Some(parent) = directory.parent() {
            File::open(if parent.as_os_str().is_empty() {
                Path::new(".")
            } else {
                parent
            })?
            .sync_all()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::Body;

    fn unix_lines(pieces: &[&[u8]]) -> Vec<u8> {
        let mut lines = UnixLines {
            out: BufWriter::new(Vec::new()),
            held_cr: false,
        };
        for piece in pieces {
            lines.write(piece).unwrap();
        }
        lines.end().unwrap()
    }

    #[test]
    fn line_ends_become_those_of_the_system_wherever_the_pieces_divide_them() {
        assert_eq!(unix_lines(&[b"a\r\nb\r\n", b"\r\nc\rd\n"]), b"a\nb\n\nc\rd\n");
        assert_eq!(unix_lines(&[b"a\r", b"\nb\r", b"", b"c\r"]), b"a\nb\rc\r");
    }

    #[test]
    fn a_maildir_is_made_with_all_above_it_and_nothing_stays_in_tmp() {
        let root = tempfile::tempdir().unwrap();
        let content = Content::new(b"A: b\r\n\r\n".to_vec(), Arc::new(Body::from(b"x\r\n".to_vec())), 0);
        let job = Job {
            maildir: root.path().join("a/b"),
            folder: Some(".Junk".into()),
            name: unique_name("mx/.."),
            top: "Return-Path: <>\n".into(),
            content: Arc::new(content),
            gate: Gate::default(),
        };
        job.write().unwrap();
        let folder = root.path().join("a/b/.Junk");
        let file = folder.join("new").join(format!("{},S=24", job.name));
        assert_eq!(std::fs::read(file).unwrap(), b"Return-Path: <>\nA: b\n\nx\n");
        assert_eq!(std::fs::read_dir(folder.join("tmp")).unwrap().count(), 0);
        assert!(folder.join("maildirfolder").exists() && root.path().join("a/b/cur").is_dir());
    }

    fn job_in(root: &Path) -> Job {
        Job {
            maildir: root.to_owned(),
            folder: None,
            name: unique_name("mx"),
            top: String::new(),
            content: Arc::default(),
            gate: Gate::default(),
        }
    }

    fn is_empty(root: &Path) -> bool {
        let count = |name| std::fs::read_dir(root.join(name)).unwrap().count();
        ["new", "tmp", "cur"].into_iter().all(|name| count(name) == 0)
    }

    /// The directory was opened for its sync after the file had its name: when that failed, the sender was told to come
    /// again, and the message was there twice.
    #[test]
    fn a_directory_that_cannot_be_opened_fails_the_delivery_before_the_file_has_its_name() {
        let root = tempfile::tempdir().unwrap();
        let error = job_in(root.path()).write_with(|new| {
            assert_eq!(std::fs::read_dir(new).unwrap().count(), 0);
            Err(io::Error::from_raw_os_error(24))
        });
        assert_eq!(error.unwrap_err().raw_os_error(), Some(24));
        assert!(is_empty(root.path()));
    }

    #[test]
    fn a_file_whose_name_is_not_known_to_last_goes_again() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        for is_there in [true, false] {
            if is_there {
                std::fs::write(&file, "mail").unwrap();
            }
            let error = settle(&file, || Err(io::Error::from_raw_os_error(5)));
            assert_eq!(error.unwrap_err().raw_os_error(), Some(5));
            assert!(!file.exists());
        }
        std::fs::write(&file, "mail").unwrap();
        settle(&file, || Ok(())).unwrap();
        assert!(file.exists());
    }

    #[test]
    fn what_was_given_up_gets_no_name_any_more() {
        // The thread that wrote went on after the deadline: the sender was told to come again, and the message was there
        // twice.
        let root = tempfile::tempdir().unwrap();
        let job = job_in(root.path());
        assert!(job.gate.close());
        assert_eq!(job.write().unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(is_empty(root.path()));
    }
}
