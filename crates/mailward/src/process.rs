//! The daemon as a process: what it may use, and whom it becomes.
//!
//! Root is needed for ports below 1024 and for nothing else. So the listeners are opened first, then root is given up
//! for good, and only then anything of the outside is read. If any step of that fails, the daemon does not start.

use crate::config::Process;
use nix::unistd::{Gid, Group, Uid, User, getresgid, getresuid, initgroups, setresgid, setresuid};
use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal, getrlimit, set_dumpable_behavior, setrlimit};
use std::ffi::CString;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};

/// Whom the daemon becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    user: User,
    gid: Gid,
}

/// Why the daemon cannot be whom it shall be. The operator's to mend.
#[derive(Debug)]
#[non_exhaustive]
pub enum IdentityError {
    /// No such user.
    NoUser(String),
    /// No such group.
    NoGroup(String),
    /// The system's lists of users cannot be read.
    Unreadable(nix::Error),
    /// Somebody else than root started it, and not the user it shall become.
    NotRoot(String),
    /// A step failed.
    Failed {
        /// Which.
        step: &'static str,
        /// The system's words.
        why: nix::Error,
    },
    /// Every step seemed to succeed, and root could be had back.
    StillRoot,
    /// The user it became cannot write where it must.
    CannotWrite {
        /// Who.
        user: String,
        /// Where.
        path: PathBuf,
    },
}

impl IdentityError {
    /// What to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            IdentityError::NoUser(user) => Some(format!("run `useradd --system {user}`, or set `[process] user`")),
            IdentityError::NoGroup(_) => Some("set `[process] group`, or leave it out for the user's own".into()),
            IdentityError::NotRoot(_) => Some("start it as root, or leave `[process] user` out".into()),
            IdentityError::CannotWrite { user, path } => Some(format!("run `chown -R {user} {}`", path.display())),
            _ => None,
        }
    }
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IdentityError::NoUser(user) => write!(f, "`[process] user`: no such user: `{user}`"),
            IdentityError::NoGroup(group) => write!(f, "`[process] group`: no such group: `{group}`"),
            IdentityError::Unreadable(why) => write!(f, "the system's users cannot be looked up: {why}"),
            IdentityError::NotRoot(user) => write!(f, "only root can become the user `{user}`"),
            IdentityError::Failed { step, why } => write!(f, "root could not be given up: {step}: {why}"),
            IdentityError::StillRoot => f.write_str("root could not be given up: it could be had back"),
            IdentityError::CannotWrite { user, path } => {
                write!(f, "the user `{user}` cannot write to {}", path.display())
            }
        }
    }
}

impl std::error::Error for IdentityError {}

impl Identity {
    /// Whom the configuration names; `None` for the one who started it.
    pub fn of(process: &Process) -> Result<Option<Identity>, IdentityError> {
        let Some(name) = &process.user else {
            return Ok(None);
        };
        let user = User::from_name(name)
            .map_err(IdentityError::Unreadable)?
            .ok_or_else(|| IdentityError::NoUser(name.clone()))?;
        let gid = match &process.group {
            None => user.gid,
            Some(group) => {
                Group::from_name(group)
                    .map_err(IdentityError::Unreadable)?
                    .ok_or_else(|| IdentityError::NoGroup(group.clone()))?
                    .gid
            }
        };
        let now = Uid::effective();
        if !now.is_root() && now != user.uid {
            return Err(IdentityError::NotRoot(name.clone()));
        }
        Ok(Some(Identity { user, gid }))
    }

    /// Becomes it, for good, with all threads. Does nothing where it already is.
    pub fn assume(&self) -> Result<(), IdentityError> {
        let failed = |step| move |why| IdentityError::Failed { step, why };
        if !Uid::effective().is_root() || self.user.uid.is_root() {
            return Ok(());
        }
        // Groups first, while root may still change them; the user last.
        let name = CString::new(self.user.name.as_str()).map_err(|_| IdentityError::NoUser(self.user.name.clone()))?;
        initgroups(&name, self.gid).map_err(failed("initgroups"))?;
        setresgid(self.gid, self.gid, self.gid).map_err(failed("setresgid"))?;
        setresuid(self.user.uid, self.user.uid, self.user.uid).map_err(failed("setresuid"))?;
        let (users, groups) = (
            getresuid().map_err(failed("getresuid"))?,
            getresgid().map_err(failed("getresgid"))?,
        );
        let is_whole = [users.real, users.effective, users.saved] == [self.user.uid; 3]
            && [groups.real, groups.effective, groups.saved] == [self.gid; 3];
        let root = Uid::from_raw(0);
        if !is_whole || setresuid(root, root, root).is_ok() {
            return Err(IdentityError::StillRoot);
        }
        Ok(())
    }

    /// Whether it, being it, can write into a directory.
    pub fn check_writable(&self, path: &Path) -> Result<(), IdentityError> {
        use rustix::fs::{Access, access};
        access(path, Access::WRITE_OK | Access::EXEC_OK).map_err(|_| IdentityError::CannotWrite {
            user: self.user.name.clone(),
            path: path.to_owned(),
        })
    }
}

/// Makes a directory that is missing, and gives it to `owner`. One that is there stays as it is. What is missing
/// above it is made too, and stays ours.
pub fn make_dir(path: &Path, mode: u32, owner: Option<&Identity>) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match std::fs::DirBuilder::new().mode(mode).create(path) {
        // Its name shall outlive a crash as what is kept in it does.
        Ok(()) => sync_parent(path)?,
        // Another process of the daemon was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
        Err(error) => return Err(error),
    }
    match owner {
        Some(owner) if Uid::effective().is_root() => {
            chown(path, Some(owner.user.uid.as_raw()), Some(owner.gid.as_raw()))
        }
        _ => Ok(()),
    }
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// A connection is a file; the usual soft limit of 1,024 is less than `[limits] connections`.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays");
    }
}

/// Makes a file that would grow past its limit (`ulimit -f`, `LimitFSIZE`) an error of the one write, EFBIG, as a full
/// disk is one. Else SIGXFSZ would end the process. A handler is set for that, as tokio does it, which outlives the
/// runtime that sets it; programs that we start have the signal's usual meaning again.
pub fn outlive_file_size_limit() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _inside = runtime.enter();
    signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).map(drop)
}

/// Forbids core files: they would hold mail and keys. Programs that we start inherit it.
pub fn forbid_core_files() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "a crash may write a core file, which would hold mail");
    }
}

/// Lets a crash write a core file also after root was given up, where the limit allows one.
pub fn allow_core_files() {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::Dumpable) {
        tracing::warn!(%error, "a crash will write no core file");
    }
}

/// Whether we are root.
pub fn is_root() -> bool {
    Uid::effective().is_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(user: Option<&str>, group: Option<&str>) -> Result<Option<Identity>, IdentityError> {
        Identity::of(&Process {
            user: user.map(str::to_owned),
            group: group.map(str::to_owned),
            core_dumps: false,
        })
    }

    #[test]
    fn an_unknown_user_or_group_is_a_fault_with_a_hint() {
        assert_eq!(of(None, None).unwrap(), None);
        let error = of(Some("no-such-user"), None).unwrap_err();
        assert!(matches!(error, IdentityError::NoUser(_)) && error.hint().is_some());
        let error = of(Some("root"), Some("no-such-group")).unwrap_err();
        assert!(matches!(error, IdentityError::NoGroup(_)) && error.hint().is_some());
    }

    #[test]
    fn a_directory_that_is_there_keeps_its_owner_and_mode() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let place = tempfile::TempDir::new().unwrap();
        let path = place.path().join("a/b");
        make_dir(&path, 0o710, None).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o710);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        make_dir(&path, 0o710, None).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o755);
    }
}
