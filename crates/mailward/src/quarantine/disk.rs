//! Directories and files, opened one step at a time below an open directory.
//!
//! No step follows a symbolic link: a link planted anywhere below the root is an error or is passed over, never a
//! way out. Names are single components; their types prove it, or they are literals.

use super::error::{KeepError, Trouble};
use rustix::fs::{self, AtFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long to wait for another process's lock, in seconds. Ours are held for microseconds, except by a process
/// that is stopped; a transaction must not hang with it.
pub const LOCK_WAIT_S: u64 = 10;
/// The original made directories of mode 0775. What lies here is private mail, so others get nothing; the group
/// may read, so that a viewer or a backup need not be root.
const DIR_MODE: Mode = Mode::from_bits_truncate(0o750);
/// As [`DIR_MODE`], for files.
const FILE_MODE: Mode = Mode::from_bits_truncate(0o640);

/// An open directory.
#[derive(Debug)]
pub(super) struct Dir {
    fd: OwnedFd,
    /// For messages only; nothing is opened by it.
    path: PathBuf,
}

/// What a directory entry is, without following links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    pub kind: FileType,
    pub inode: u64,
    pub octets: u64,
    /// Seconds since 1970 of the last change of its content.
    pub modified_s: i64,
}

impl From<fs::Stat> for Stat {
    fn from(stat: fs::Stat) -> Stat {
        Stat {
            kind: FileType::from_raw_mode(stat.st_mode),
            inode: stat.st_ino,
            octets: u64::try_from(stat.st_size).unwrap_or(0),
            modified_s: stat.st_mtime,
        }
    }
}

impl Dir {
    /// Opens the root. Here alone a link is followed: the operator may have made the root one.
    pub fn open_root(path: &Path) -> Result<Dir, Trouble> {
        let fd = fs::open(
            path,
            OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|why| trouble("open", path.to_owned(), why))?;
        Ok(Dir {
            fd,
            path: path.to_owned(),
        })
    }

    /// The path, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn trouble(&self, doing: &'static str, name: &str) -> impl FnOnce(Errno) -> Trouble {
        let path = self.path.join(name);
        move |why| trouble(doing, path, why)
    }

    /// Opens a directory; an error if it is a link.
    pub fn open(&self, name: &str) -> Result<Dir, Trouble> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        let fd = fs::openat(&self.fd, name, flags, Mode::empty()).map_err(self.trouble("open", name))?;
        Ok(Dir {
            fd,
            path: self.path.join(name),
        })
    }

    /// Opens a directory; `None` if there is no such name.
    pub fn find(&self, name: &str) -> Result<Option<Dir>, Trouble> {
        absent_is_none(self.open(name))
    }

    /// Opens a directory, made if absent; the flag says whether it was.
    pub fn make(&self, name: &str) -> Result<(Dir, bool), Trouble> {
        let made = match fs::mkdirat(&self.fd, name, DIR_MODE) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(why) => return Err(self.trouble("make", name)(why)),
        };
        Ok((self.open(name)?, made))
    }

    /// Makes a directory if there is no such name. What is there may be a link, so this is for the root alone.
    pub fn make_through(&self, name: &str) -> Result<(), Trouble> {
        match fs::mkdirat(&self.fd, name, DIR_MODE) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(why) => Err(self.trouble("make", name)(why)),
        }
    }

    /// Makes a file that must not exist yet.
    pub fn create_new(&self, name: &str) -> Result<File, Trouble> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
        let fd = fs::openat(&self.fd, name, flags, FILE_MODE).map_err(self.trouble("create", name))?;
        Ok(File::from(fd))
    }

    /// Opens a plain file for reading; `None` if there is no such name.
    pub fn find_file(&self, name: &str) -> Result<Option<File>, Trouble> {
        absent_is_none(self.plain_file(name, OFlags::RDONLY))
    }

    /// Opens a plain file for appending and reading, made if absent; the flag says whether it was.
    pub fn append(&self, name: &str) -> Result<(File, bool), Trouble> {
        let flags = OFlags::RDWR | OFlags::APPEND;
        if let Some(file) = absent_is_none(self.plain_file(name, flags))? {
            return Ok((file, false));
        }
        Ok((self.plain_file(name, flags | OFlags::CREATE)?, true))
    }

    /// `NONBLOCK`, so that a pipe planted under the name cannot hold us up before it is recognised.
    fn plain_file(&self, name: &str, flags: OFlags) -> Result<File, Trouble> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = fs::openat(&self.fd, name, flags, FILE_MODE).map_err(self.trouble("open", name))?;
        let stat = fs::fstat(&fd).map_err(self.trouble("open", name))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            let why = io::Error::new(io::ErrorKind::InvalidInput, "not a plain file");
            return Err(Trouble {
                doing: "open",
                path: self.path.join(name),
                why,
            });
        }
        Ok(File::from(fd))
    }

    /// What a name is; `None` if there is no such name.
    pub fn stat(&self, name: &str) -> Result<Option<Stat>, Trouble> {
        match fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat.into())),
            Err(Errno::NOENT) => Ok(None),
            Err(why) => Err(self.trouble("look at", name)(why)),
        }
    }

    /// What the directory itself is.
    pub fn stat_self(&self) -> Result<Stat, Trouble> {
        fs::fstat(&self.fd).map(Stat::from).map_err(self.trouble("look at", ""))
    }

    /// Octets that an ordinary user may still write on this file system.
    pub fn free_octets(&self) -> Result<u64, Trouble> {
        let stat = fs::fstatvfs(&self.fd).map_err(self.trouble("look at", ""))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Calls `see` for each name, `.` and `..` apart, until it says to stop. Names that are no UTF-8 are never ours:
    /// they come as an empty text.
    pub fn each(&self, mut see: impl FnMut(&str) -> Result<bool, Trouble>) -> Result<(), Trouble> {
        let listing = fs::Dir::read_from(&self.fd).map_err(self.trouble("list", ""))?;
        for item in listing {
            let item = match item {
                Ok(item) => item,
                // The directory was removed under us: nothing more is in it.
                Err(Errno::NOENT) => return Ok(()),
                Err(why) => return Err(self.trouble("list", "")(why)),
            };
            let name = item.file_name().to_str().unwrap_or("");
            if name != "." && name != ".." && !see(name)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// All names at once, for directories that are small by their nature; sorted.
    pub fn names(&self) -> Result<Vec<String>, Trouble> {
        let mut names = Vec::new();
        self.each(|name| {
            names.push(name.to_owned());
            Ok(true)
        })?;
        names.sort_unstable();
        Ok(names)
    }

    /// Renames, never over something that exists.
    pub fn rename_new(&self, old: &str, to: &Dir, new: &str) -> Result<(), Trouble> {
        match fs::renameat_with(&self.fd, old, &to.fd, new, RenameFlags::NOREPLACE) {
            // A file system that cannot promise this: look first. Names are unique anyway.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) if to.stat(new)?.is_none() => {
                fs::renameat(&self.fd, old, &to.fd, new).map_err(to.trouble("rename to", new))
            }
            result => result.map_err(to.trouble("rename to", new)),
        }
    }

    /// Renames within the directory, over what is there.
    pub fn replace(&self, old: &str, new: &str) -> Result<(), Trouble> {
        fs::renameat(&self.fd, old, &self.fd, new).map_err(self.trouble("rename to", new))
    }

    /// Removes a file or a link; the flag says whether there was one.
    pub fn remove(&self, name: &str) -> Result<bool, Trouble> {
        match fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(why) => Err(self.trouble("remove", name)(why)),
        }
    }

    /// Removes a directory if it is empty; the flag says whether it is gone.
    pub fn remove_dir(&self, name: &str) -> Result<bool, Trouble> {
        match fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(true),
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => Ok(false),
            Err(why) => Err(self.trouble("remove", name)(why)),
        }
    }

    /// Makes `name` a link to `target`, over a link that is there.
    pub fn link(&self, target: &str, name: &str) -> Result<(), Trouble> {
        let new = format!(".{name}.{}", std::process::id());
        self.remove(&new)?;
        fs::symlinkat(target, &self.fd, &new).map_err(self.trouble("link", &new))?;
        self.replace(&new, name)
    }

    /// Where a link leads; `None` if it is none, or not UTF-8.
    pub fn link_target(&self, name: &str) -> Option<String> {
        fs::readlinkat(&self.fd, name, Vec::new()).ok()?.into_string().ok()
    }

    /// Brings the directory's names to stable storage.
    pub fn sync(&self) -> Result<(), Trouble> {
        fs::fsync(&self.fd).map_err(self.trouble("sync", ""))
    }

    /// Locks the directory against other processes and threads, until the guard is dropped.
    pub fn lock(&self) -> Result<Dir, KeepError> {
        // A lock belongs to what one `open` gave, so the guard is opened anew.
        let guard = self.open(".")?;
        lock(&guard.fd, &self.path)?;
        Ok(guard)
    }
}

/// Takes an exclusive lock, which the closing of `file` gives back.
pub(super) fn lock(file: impl AsFd, path: &Path) -> Result<(), KeepError> {
    lock_within(file, path, Duration::from_secs(LOCK_WAIT_S))
}

fn lock_within(file: impl AsFd, path: &Path, wait: Duration) -> Result<(), KeepError> {
    let start = Instant::now();
    let mut pause = Duration::from_micros(200);
    loop {
        match fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::WOULDBLOCK | Errno::INTR) => {}
            Err(why) => return Err(trouble("lock", path.to_owned(), why).into()),
        }
        if start.elapsed() >= wait {
            return Err(KeepError::Busy { path: path.to_owned() });
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

fn trouble(doing: &'static str, path: PathBuf, why: Errno) -> Trouble {
    Trouble {
        doing,
        path,
        why: why.into(),
    }
}

fn absent_is_none<T>(result: Result<T, Trouble>) -> Result<Option<T>, Trouble> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(trouble) if trouble.why.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(trouble) => Err(trouble),
    }
}

/// For errors that the standard library gives.
pub(super) fn failed(doing: &'static str, path: PathBuf) -> impl FnOnce(io::Error) -> Trouble {
    move |why| Trouble { doing, path, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_never_given_back_is_an_error_in_the_end() {
        let root = tempfile::tempdir().unwrap();
        let dir = Dir::open_root(root.path()).unwrap();
        let guard = dir.lock().unwrap();
        let again = dir.open(".").unwrap();
        let busy = lock_within(&again.fd, root.path(), Duration::ZERO);
        assert!(matches!(busy, Err(KeepError::Busy { path }) if path == root.path()));
        drop(guard);
        assert!(dir.lock().is_ok());
    }
}
