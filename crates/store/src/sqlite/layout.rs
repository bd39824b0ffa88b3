//! Tables, versions, and how a file is opened.

use super::db::Db;
use super::rows::Rows;
use crate::error::OpenError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Marks the file as ours: `MWrd`.
const APPLICATION_ID: i32 = 0x4d57_7264;
/// Layout n is what the first n steps make; `user_version` tells how many were taken. A step that was ever released
/// is never changed: a new one is added.
const STEPS: &[&str] = &[LAYOUT_1, LAYOUT_2, LAYOUT_3, LAYOUT_4, LAYOUT_5];
/// The layouts that have labels, and lack a table that is derived from them.
const UNDERIVED: std::ops::Range<u32> = 2..3;
/// The layout that this version reads and writes.
const LAYOUT: u32 = STEPS.len() as u32;
/// How long a statement waits for a lock that another process holds: a reader that recovers the log after a crash.
const BUSY_MAX: Duration = Duration::from_secs(5);
/// Pages (of 4 KiB) in the log after which a commit moves them to the database: few enough to open fast after a
/// crash, many enough to move a page once for many changes of it.
const CHECKPOINT_PAGES: u32 = 2000;
/// The log is cut to this after it grew, in octets; say because a reader kept it from being moved.
const LOG_OCTETS_KEPT: u32 = 16 << 20;
/// The smallest page of a database, in octets.
const DATABASE_OCTETS_MIN: u64 = 512;
/// Memory for pages of one connection that reads, in KiB: the inner pages of ten million rows of history.
const READ_CACHE_KIB: u32 = 16 << 10;
/// Distinct statements of one connection; more than there are.
const STATEMENTS: usize = 96;

/// `messages` are never changed after they were written; their ids are clustered by time. `policies.used_day` is
/// the day (since 2026) of the youngest id that needs the policy, so that nobody has to look for references.
/// A second layout that keeps `facts` readable is easier than one that changes it: columns hold what is searched.
const LAYOUT_1: &str = "
    PRAGMA application_id = 0x4d577264;
    CREATE TABLE messages (
        id INTEGER PRIMARY KEY,
        received_s INTEGER NOT NULL,
        code_version TEXT NOT NULL,
        facts TEXT NOT NULL
    ) STRICT;
    CREATE TABLE recipients (
        id INTEGER NOT NULL REFERENCES messages ON DELETE CASCADE,
        n INTEGER NOT NULL,
        policy BLOB NOT NULL,
        facts TEXT NOT NULL,
        verdict TEXT NOT NULL,
        PRIMARY KEY (id, n)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE endings (
        id INTEGER PRIMARY KEY REFERENCES messages ON DELETE CASCADE,
        took_ms INTEGER NOT NULL,
        reply TEXT NOT NULL,
        outcomes TEXT NOT NULL
    ) STRICT;
    CREATE TABLE policies (
        digest BLOB PRIMARY KEY,
        used_day INTEGER NOT NULL,
        text TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE ledger (
        key BLOB PRIMARY KEY,
        expires_s INTEGER NOT NULL,
        recipients TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// What a mailbox's owner said, and whom he wrote to; and, derived from it, `history` and `correspondents`.
///
/// Both of these are clustered by their question: the newest rows of an identity are one short range, the last time
/// that somebody was written to is one row. `labels` has one register for each delivery, with `label` null when it was
/// forgotten. Mailboxes are numbered, because rows are many and names are long.
const LAYOUT_2: &str = "
    CREATE TABLE mailboxes (
        n INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE
    ) STRICT;
    CREATE TABLE labels (
        mailbox INTEGER NOT NULL,
        id INTEGER NOT NULL,
        said_s INTEGER NOT NULL,
        source TEXT NOT NULL,
        said_by TEXT NOT NULL,
        label INTEGER,
        received_s INTEGER NOT NULL,
        author_local TEXT NOT NULL,
        identities TEXT NOT NULL,
        PRIMARY KEY (mailbox, id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX labels_by_age ON labels (received_s);
    CREATE TABLE history (
        mailbox INTEGER NOT NULL,
        identity BLOB NOT NULL,
        received_s INTEGER NOT NULL,
        number INTEGER NOT NULL,
        is_junk INTEGER NOT NULL,
        author_local TEXT NOT NULL,
        PRIMARY KEY (mailbox, identity, received_s DESC, number DESC)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE sent (
        mailbox INTEGER NOT NULL,
        domain TEXT NOT NULL,
        local TEXT NOT NULL,
        organization TEXT NOT NULL,
        at_s INTEGER NOT NULL,
        PRIMARY KEY (mailbox, domain, local, organization)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX sent_by_age ON sent (at_s);
    CREATE TABLE correspondents (
        mailbox INTEGER NOT NULL,
        who BLOB NOT NULL,
        at_s INTEGER NOT NULL,
        PRIMARY KEY (mailbox, who)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX correspondents_by_age ON correspondents (at_s);
    CREATE TABLE greylist (
        key BLOB PRIMARY KEY,
        first_s INTEGER NOT NULL,
        last_s INTEGER NOT NULL,
        tries INTEGER NOT NULL,
        passed_s INTEGER,
        expires_s INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX greylist_by_end ON greylist (expires_s);
    CREATE TABLE cursors (
        name TEXT PRIMARY KEY,
        value BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// What mailboxes tell each other, derived from labels: for each identity in each scope the newest message of each
/// voter; the key of its hashes. And the copies in the quarantine that a sender may come back about.
const LAYOUT_3: &str = "
    CREATE TABLE secrets (
        name TEXT PRIMARY KEY,
        value BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    INSERT INTO secrets (name, value) VALUES ('shared', randomblob(32));
    CREATE TABLE shared (
        identity BLOB NOT NULL,
        voter BLOB NOT NULL,
        received_s INTEGER NOT NULL,
        number INTEGER NOT NULL,
        is_junk INTEGER NOT NULL,
        PRIMARY KEY (identity, voter)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE kept (
        mailbox INTEGER NOT NULL,
        key BLOB NOT NULL,
        at_s INTEGER NOT NULL,
        expires_s INTEGER NOT NULL,
        octets INTEGER NOT NULL,
        is_deferred INTEGER NOT NULL,
        source TEXT NOT NULL,
        ledger BLOB NOT NULL,
        recipient TEXT NOT NULL,
        reference TEXT NOT NULL,
        PRIMARY KEY (mailbox, key)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX kept_by_age ON kept (mailbox, at_s);
    CREATE INDEX kept_by_end ON kept (expires_s);
";

/// What messages are made of, lessons of the content filter, and the key of hashes in models that mailboxes share. A
/// lesson's features are too long for a row of an index. Few rows are open, and none after a restart.
const LAYOUT_4: &str = "
    CREATE TABLE contents (
        id INTEGER PRIMARY KEY REFERENCES messages ON DELETE CASCADE,
        version INTEGER NOT NULL,
        features BLOB NOT NULL
    ) STRICT;
    CREATE TABLE lesson_features (
        n INTEGER PRIMARY KEY,
        version INTEGER NOT NULL,
        features BLOB NOT NULL
    ) STRICT;
    CREATE TABLE lessons (
        mailbox INTEGER NOT NULL,
        id INTEGER NOT NULL,
        received_s INTEGER NOT NULL,
        said INTEGER,
        taught INTEGER,
        step INTEGER NOT NULL,
        counted INTEGER NOT NULL,
        features INTEGER NOT NULL,
        PRIMARY KEY (mailbox, id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX lessons_open ON lessons (mailbox, id, said, taught) WHERE said IS NOT taught;
    CREATE INDEX lessons_of_mailbox ON lessons (mailbox, received_s, id, said) WHERE said IS NOT NULL;
    CREATE INDEX lessons_by_age ON lessons (received_s);
    INSERT INTO secrets (name, value) VALUES ('models', randomblob(32));
";

/// Who may do what only one may do.
const LAYOUT_5: &str = "
    CREATE TABLE leases (
        name TEXT PRIMARY KEY,
        holder TEXT NOT NULL,
        until_s INTEGER NOT NULL,
        token INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// Opens a store for writing; creates file and directory where there are none. `derive` makes anew what is derived.
pub(super) fn open(path: &Path, derive: &dyn Fn(&Rows)) -> Result<Rows, OpenError> {
    create(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let has_log = beside(path, "-wal") > 0;
    let db = connect(path, flags)?;
    // Before anything is changed: the file may be somebody else's.
    let found = layout(&db)?;
    if !has_log {
        is_whole(path, &db)?;
    }
    let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(OpenError::Database(format!(
            "no write-ahead log on this file system: {mode}"
        )));
    }
    db.execute_batch(&format!(
        "PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};
         PRAGMA journal_size_limit = {LOG_OCTETS_KEPT};"
    ))?;
    let rows = Rows::over(db);
    if found < LAYOUT {
        migrate(&rows, found, derive)?;
    }
    let db = rows.lock();
    // What a step asked was asked of other tables.
    db.connection.flush_prepared_statement_cache();
    // What a crash left in the log is moved and synced first. After a sync that failed nobody knows how much of the
    // log is on disk, so nothing new shall stand behind it.
    db.connection
        .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    drop(db);
    Ok(rows)
}

/// Opens a store for reading.
pub(super) fn open_read_only(path: &Path) -> Result<Connection, OpenError> {
    if !path.try_exists()? {
        return Err(OpenError::Missing);
    }
    let db = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    match layout(&db)? {
        0 => Err(OpenError::Missing),
        LAYOUT => {
            db.execute_batch(&format!("PRAGMA cache_size = -{READ_CACHE_KIB}"))?;
            Ok(db)
        }
        found => Err(OpenError::OlderLayout { found, known: LAYOUT }),
    }
}

/// Writes a store anew without the space that is free, and syncs it. Octets of the file before and after. Needs as
/// much free space as the store has, for a while.
pub(crate) fn compact(path: &Path, derive: &dyn Fn(&Rows)) -> Result<(u64, u64), OpenError> {
    if !path.try_exists()? {
        return Err(OpenError::Missing);
    }
    let _lock = lock(path)?;
    let rows = open(path, derive)?;
    let before = path.metadata()?.len();
    rows.lock()
        .connection
        .execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);")?;
    Ok((before, path.metadata()?.len()))
}

/// Locks a store for the one process that writes. The lock ends with the file that is given, also on a crash.
/// It is a file of its own, because closing any handle of the database would drop SQLite's locks.
pub(super) fn lock(path: &Path) -> Result<File, OpenError> {
    create_parent(path)?;
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(PathBuf::from(name))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse),
        Err(TryLockError::Error(why)) => Err(OpenError::Io(why)),
    }
}

fn create_parent(path: &Path) -> Result<(), OpenError> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => {
            DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Makes an empty file, which SQLite takes for an empty database. Its name is synced, since SQLite does not.
fn create(path: &Path) -> Result<(), OpenError> {
    match OpenOptions::new().create_new(true).write(true).mode(0o600).open(path) {
        Ok(_) => {
            let parent = path
                .parent()
                .filter(|p| !p.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            File::open(parent)?.sync_all()?;
            Ok(())
        }
        Err(why) if why.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(why) => Err(OpenError::Io(why)),
    }
}

/// Octets of a file whose name goes on behind the database's.
fn beside(path: &Path, end: &str) -> u64 {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    std::fs::metadata(PathBuf::from(name)).map_or(0, |metadata| metadata.len())
}

/// SQLite notices pages that are missing, but what is missing of the last one it takes for zeros. Not where there is a
/// log, in which that page may be. The length is asked by name, since closing a handle would drop SQLite's locks.
fn is_whole(path: &Path, db: &Connection) -> Result<(), OpenError> {
    let number = |pragma: &str| db.query_row(pragma, [], |row| row.get::<_, u32>(0));
    let whole = u64::from(number("PRAGMA page_count")?) * u64::from(number("PRAGMA page_size")?);
    let octets = path.metadata()?.len();
    if octets < whole {
        return Err(OpenError::Damaged(format!("its file has {octets} octets of {whole}")));
    }
    Ok(())
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, OpenError> {
    // SQLite would take so small a file for an empty database, and write over it.
    match path.metadata()?.len() {
        // It would take the log of an empty file for somebody else's, and delete it. It begins a file before its log.
        0 if beside(path, "-wal") > 0 => {
            let why = "its file is empty, and the log beside it is not";
            return Err(OpenError::Damaged(why.to_owned()));
        }
        1..DATABASE_OCTETS_MIN => return Err(OpenError::NotADatabase),
        _ => {}
    }
    #[cfg_attr(not(test), expect(unused_mut, reason = "a test watches"))]
    let mut db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(BUSY_MAX)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    // Else each statement whose parameters may matter to its plan is compiled at each use, since its bindings are cleared
    // when it goes back to the cache.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    #[cfg(test)]
    super::compiled::watch(&mut db);
    Ok(db)
}

/// The layout of a file; 0 for an empty one.
fn layout(db: &Connection) -> Result<u32, OpenError> {
    let number = |pragma: &str| db.query_row(pragma, [], |row| row.get::<_, i32>(0));
    let version = number("PRAGMA user_version")?;
    let application = number("PRAGMA application_id")?;
    if application == 0 && version == 0 && number("SELECT count(*) FROM sqlite_schema")? == 0 {
        return Ok(0);
    }
    let found = u32::try_from(version).unwrap_or(0);
    if application != APPLICATION_ID || found == 0 {
        return Err(OpenError::Foreign);
    }
    if found > LAYOUT {
        return Err(OpenError::NewerLayout { found, known: LAYOUT });
    }
    Ok(found)
}

/// Takes the steps that the file lacks, all of them or none.
fn migrate(rows: &Rows, found: u32, derive: &dyn Fn(&Rows)) -> Result<(), OpenError> {
    let steps = |rows: &Rows| {
        let take = |db: &mut Db| {
            for step in STEPS.iter().skip(found as usize) {
                db.connection.execute_batch(step)?;
            }
            db.connection.execute_batch(&format!("PRAGMA user_version = {LAYOUT}"))
        };
        if rows.ask(take).is_ok() && UNDERIVED.contains(&found) {
            derive(rows);
        }
    };
    Ok(rows.in_transaction(steps)?)
}

impl From<rusqlite::Error> for OpenError {
    fn from(why: rusqlite::Error) -> OpenError {
        match why.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => OpenError::NotADatabase,
            // Without a code it is not SQLite that complains, but a row is not what it should be.
            Some(ErrorCode::DatabaseCorrupt) | None => OpenError::Damaged(why.to_string()),
            _ => OpenError::Database(why.to_string()),
        }
    }
}
