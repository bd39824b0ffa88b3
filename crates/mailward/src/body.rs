//! A message as received: its start in memory, and what is past it in an unlinked file.
//!
//! A connection holds at most [`HEAD_OCTETS`] of its message in memory, and a little more while octets are on their way
//! to the file; so many large messages cost disk, not memory. The file has no name: when the process ends, however it
//! ends, it is gone. It is no promise to anyone; what shall outlive a crash is written elsewhere.

use rustix::fs::{CWD, Mode, OFlags, openat, unlinkat};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much of a message stays in memory. Larger than any header that is taken, so that header fields are always there.
pub const HEAD_OCTETS: usize = 256 * 1024;
/// How much of a spool file is read at once.
pub const BLOCK_OCTETS: usize = 64 * 1024;

/// A whole message.
#[derive(Debug, Default)]
pub struct Body {
    /// The header and the start of the body; all of it for most messages.
    pub head: Vec<u8>,
    /// What is past it.
    pub tail: Option<Spool>,
}

/// One copy of a message as it leaves: a header block of ours, and the body that came.
#[derive(Debug, Default)]
pub struct Content {
    header: Vec<u8>,
    body: Arc<Body>,
    /// Where the body begins in the message's head.
    from: usize,
}

/// Octets in an unlinked file, complete.
#[derive(Debug)]
pub struct Spool {
    file: File,
    octets: u64,
    digest: blake3::Hash,
    is_blank: bool,
}

/// Octets on their way into an unlinked file.
#[derive(Debug)]
pub struct Spooler {
    file: File,
    octets: u64,
    hasher: Box<blake3::Hasher>,
    is_blank: bool,
}

impl Body {
    /// Octets of all of it.
    pub fn octets(&self) -> u64 {
        self.head.len() as u64 + self.tail.as_ref().map_or(0, Spool::octets)
    }

    /// Names its content: equal messages have equal digests, if they are divided at [`HEAD_OCTETS`].
    pub fn digest(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.head);
        if let Some(tail) = &self.tail {
            hasher.update(tail.digest.as_bytes());
        }
        hasher.finalize()
    }
}

impl From<Vec<u8>> for Body {
    fn from(head: Vec<u8>) -> Body {
        Body { head, tail: None }
    }
}

impl Content {
    /// `header` with its blank line, and what stands in `body` behind the first `from` octets.
    pub fn new(header: Vec<u8>, body: Arc<Body>, from: usize) -> Content {
        Content { header, body, from }
    }

    /// What is in memory, in order.
    pub fn pieces(&self) -> [&[u8]; 2] {
        [&self.header, self.body.head.get(self.from..).unwrap_or_default()]
    }

    /// What comes behind them.
    pub fn tail(&self) -> Option<&Spool> {
        self.body.tail.as_ref()
    }

    /// Octets of all of it.
    pub fn octets(&self) -> u64 {
        let pieces: u64 = self.pieces().iter().map(|piece| piece.len() as u64).sum();
        pieces + self.tail().map_or(0, Spool::octets)
    }
}

impl Spooler {
    /// A file without a name in `dir`.
    pub fn new(dir: &Path) -> io::Result<Spooler> {
        let file = unnamed(dir)?;
        Ok(Spooler {
            file,
            octets: 0,
            hasher: Box::default(),
            is_blank: true,
        })
    }

    /// Appends.
    pub fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.file.write_all(octets)?;
        self.octets += octets.len() as u64;
        self.hasher.update(octets);
        self.is_blank = self.is_blank && octets.iter().all(u8::is_ascii_whitespace);
        Ok(())
    }

    /// Octets so far.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// All of it is there.
    pub fn finish(self) -> Spool {
        let Spooler {
            file,
            octets,
            hasher,
            is_blank,
        } = self;
        Spool {
            file,
            octets,
            digest: hasher.finalize(),
            is_blank,
        }
    }
}

impl Spool {
    /// How many octets there are.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// Whether there is nothing but white space.
    pub fn is_blank(&self) -> bool {
        self.is_blank
    }

    /// Lets `see` have all octets, block by block. Several may read at one time. Blocks on the disk.
    pub fn each_block<E: From<io::Error>>(&self, mut see: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut block = Vec::new();
        let mut at = 0;
        while self.read_block(at, &mut block)? {
            at += block.len() as u64;
            see(&block)?;
        }
        Ok(())
    }

    /// Appends octets from the start on, until `octets` has so many or there are no more. Blocks on the disk.
    pub fn read_start(&self, octets: &mut Vec<u8>, octets_max: u64) -> io::Result<()> {
        let left = octets_max.saturating_sub(octets.len() as u64).min(self.octets);
        let from = octets.len();
        octets.resize(from.saturating_add(usize::try_from(left).unwrap_or(usize::MAX)), 0);
        self.file.read_exact_at(&mut octets[from..], 0)
    }

    /// Fills `block` with the octets from `at` on, [`BLOCK_OCTETS`] at most; false at the end. Blocks on the disk.
    pub fn read_block(&self, at: u64, block: &mut Vec<u8>) -> io::Result<bool> {
        let left = usize::try_from(self.octets.saturating_sub(at)).unwrap_or(usize::MAX);
        block.resize(left.min(BLOCK_OCTETS), 0);
        self.file.read_exact_at(block, at)?;
        Ok(!block.is_empty())
    }
}

/// Linux makes files without names; elsewhere a name is made and taken away at once.
fn unnamed(dir: &Path) -> io::Result<File> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let private = Mode::RUSR | Mode::WUSR;
    #[cfg(target_os = "linux")]
    match openat(CWD, dir, OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, private) {
        Ok(fd) => return Ok(File::from(fd)),
        // Not every file system can.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR) => {}
        Err(error) => return Err(error.into()),
    }
    let name = format!(
        "spool.{}.{}",
        std::process::id(),
        COUNTER.fetch_add(1, Ordering::Relaxed)
    );
    let path = dir.join(name);
    let fd = openat(
        CWD,
        &path,
        OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC,
        private,
    )?;
    unlinkat(CWD, &path, rustix::fs::AtFlags::empty())?;
    Ok(File::from(fd))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spooled_reads_back_and_leaves_no_name() {
        let dir = tempfile::tempdir().unwrap();
        let mut spooler = Spooler::new(dir.path()).unwrap();
        let piece: Vec<u8> = (0..=255u8).cycle().take(100_000).collect();
        for _ in 0..3 {
            spooler.write(&piece).unwrap();
        }
        let spool = spooler.finish();
        let mut back = Vec::new();
        spool
            .each_block(|block| {
                back.extend_from_slice(block);
                io::Result::Ok(())
            })
            .unwrap();
        assert_eq!(back, piece.repeat(3));
        let mut start = b"head".to_vec();
        spool.read_start(&mut start, 10).unwrap();
        assert_eq!(start, [b"head", &piece[..6]].concat());
        spool.read_start(&mut start, 5).unwrap();
        assert_eq!(start.len(), 10);
        let mut all = Vec::new();
        spool.read_start(&mut all, u64::MAX).unwrap();
        assert_eq!(all, back);
        assert!(!spool.is_blank());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn digests_tell_messages_apart_by_all_of_them() {
        let dir = tempfile::tempdir().unwrap();
        let body = |tail: &[u8]| {
            let mut spooler = Spooler::new(dir.path()).unwrap();
            spooler.write(tail).unwrap();
            Body {
                head: b"head".to_vec(),
                tail: Some(spooler.finish()),
            }
        };
        assert_eq!(body(b"a").digest(), body(b"a").digest());
        assert_ne!(body(b"a").digest(), body(b"b").digest());
        assert_ne!(body(b"").digest(), Body::from(b"head".to_vec()).digest());
        assert!(body(b" \r\n").tail.unwrap().is_blank());
    }
}
