//! What the embedded back-end promises of its file: who may open it, what a crash leaves, what a full disk does.

mod common;

use common::{NOW_S, ending, features, id, key, open, record};
use judge::reputation::{History, Identity, Scope};
use mail::{Domain, Line, MailboxId};
use rusqlite::Connection;
use rustix::process::{Resource, Rlimit, setrlimit};
use std::collections::HashSet;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use store::{Label, LabelRequest, MailwardId, OpenError, Outcome, Remembered, Said, Sent, Store, StoreError};
use tempfile::TempDir;

/// Tells a child that it is one, and where its store is.
const CHILD: &str = "MAILWARD_STORE_TEST_CHILD";

fn db(dir: &TempDir) -> PathBuf {
    dir.path().join("mailward.db")
}

fn log_of(path: &Path) -> PathBuf {
    path.with_extension("db-wal")
}

/// A command that runs one test of this binary on a store.
fn child(test: &str, path: &Path) -> Command {
    // A file size limit shall give an error, not a signal.
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]).env(CHILD, path);
    command
}

#[tokio::test]
async fn the_file_is_for_its_owner_only() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a/b/mailward.db");
    let store = Store::open(&path).unwrap();
    store.begin(record(id(1), NOW_S, 1)).await.unwrap();
    for (path, mode) in [
        (&path, 0o600),
        (&log_of(&path), 0o600),
        (&dir.path().join("a/b"), 0o700),
    ] {
        assert_eq!(
            fs::metadata(path).unwrap().permissions().mode() & 0o777,
            mode,
            "{path:?}"
        );
    }
    drop(store);
    assert!(!log_of(&path).exists());
    // Without a writer a reader does as well.
    assert!(
        Store::open_read_only(&path)
            .unwrap()
            .find(id(1))
            .await
            .unwrap()
            .is_some()
    );
}

#[test]
fn a_second_writer_is_refused_until_the_first_is_gone() {
    let dir = TempDir::new().unwrap();
    let first = Store::open(&db(&dir)).unwrap();
    assert!(matches!(Store::open(&db(&dir)), Err(OpenError::InUse)));
    drop(first);
    Store::open(&db(&dir)).unwrap();
}

#[test]
fn a_newer_layout_is_refused_with_what_to_do_and_left_as_it_is() {
    let dir = TempDir::new().unwrap();
    drop(Store::open(&db(&dir)).unwrap());
    Connection::open(db(&dir))
        .unwrap()
        .execute_batch("PRAGMA user_version = 99")
        .unwrap();
    let before = fs::read(db(&dir)).unwrap();
    let why = Store::open(&db(&dir)).unwrap_err();
    assert_eq!(
        why.to_string(),
        "the store has layout 99, this version knows layouts up to 5"
    );
    assert!(why.hint().unwrap().starts_with("run the version that wrote it"));
    assert!(matches!(
        Store::open_read_only(&db(&dir)),
        Err(OpenError::NewerLayout { .. })
    ));
    assert_eq!(fs::read(db(&dir)).unwrap(), before);
}

/// Layout 1, as the versions before reputation made it. Never to be changed: such files are out there.
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
    PRAGMA user_version = 1;
";

#[tokio::test]
async fn a_store_of_layout_1_is_brought_up_to_date_with_all_its_records() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(&db(&dir)).unwrap();
    for n in 0..50 {
        store.begin(record(id(n), NOW_S, 2)).await.unwrap();
        store.finish(id(n), ending(2)).await.unwrap();
    }
    store.ledger_add(key(1), vec!["a".into()], NOW_S).await.unwrap();
    drop(store);
    // Rows have not changed since; so they are taken from a new store.
    let old_path = dir.path().join("old.db");
    let old = Connection::open(&old_path).unwrap();
    old.execute_batch(LAYOUT_1).unwrap();
    old.execute("ATTACH ?1 AS new", [db(&dir).to_str().unwrap()]).unwrap();
    for table in ["messages", "recipients", "endings", "policies", "ledger"] {
        let sql = format!("INSERT INTO main.{table} SELECT * FROM new.{table}");
        assert!(old.execute(&sql, []).unwrap() > 0);
    }
    drop(old);
    let why = Store::open_read_only(&old_path).unwrap_err();
    assert!(matches!(why, OpenError::OlderLayout { found: 1, known: 5 }), "{why}");
    for _ in 0..2 {
        let store = Store::open(&old_path).unwrap();
        for n in 0..50 {
            let found = store.find(id(n)).await.unwrap().unwrap();
            assert_eq!((found.record, found.ending), (record(id(n), NOW_S, 2), Some(ending(2))));
        }
        assert_eq!(store.ledger_delivered(key(1), NOW_S).await, ["a"]);
        // And what it lacked is there.
        store.label(label(3, Label::Junk)).await.unwrap();
        let stats = store.reader().stats().await.unwrap();
        assert_eq!((stats.layout, stats.messages, stats.junk, stats.history), (5, 50, 1, 1));
        assert_eq!(store.reader().verify().await.unwrap().faults_count, 0);
    }
}

#[tokio::test]
async fn a_store_of_layout_2_learns_from_its_labels_what_mailboxes_tell_each_other() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(&db(&dir)).unwrap();
    let labels = (0..9).map(|n| Remembered::Label(label(n, if n < 8 { Label::Junk } else { Label::NotJunk })));
    store.remember(labels.collect()).await.unwrap();
    drop(store);
    // Layout 2 lacked these tables, and nothing else has changed since.
    let old = Connection::open(db(&dir)).unwrap();
    old.execute_batch(
        "DROP TABLE secrets; DROP TABLE shared; DROP TABLE kept;
             DROP TABLE contents; DROP TABLE lessons; DROP TABLE lesson_features;
             DROP TABLE leases; PRAGMA user_version = 2;",
    )
    .unwrap();
    drop(old);
    let why = Store::open_read_only(&db(&dir)).unwrap_err();
    assert!(matches!(why, OpenError::OlderLayout { found: 2, known: 5 }), "{why}");
    let store = Store::open(&db(&dir)).unwrap();
    let identity = &label(0, Label::Junk).identities[0];
    let votes = store.reader().votes(&Scope::Server, identity, 0).await.unwrap();
    assert_eq!((votes.junk, votes.not_junk), (0, 1), "the newest counts");
    assert_eq!(store.reader().verify().await.unwrap().faults, Vec::<String>::new());
}

#[tokio::test]
async fn a_store_of_layout_3_keeps_its_labels_and_its_votes_and_takes_lessons() {
    let dir = TempDir::new().unwrap();
    let store = open(&db(&dir));
    store.begin(record(id(0), NOW_S, 1)).await.unwrap();
    let labels = (0..9).map(|n| Remembered::Label(label(n, Label::Junk)));
    store.remember(labels.collect()).await.unwrap();
    let identity = &label(0, Label::Junk).identities[0];
    drop(store);
    let old = Connection::open(db(&dir)).unwrap();
    old.execute_batch(
        "DROP TABLE contents; DROP TABLE lessons; DROP TABLE lesson_features; DROP TABLE leases;
         DELETE FROM secrets WHERE name = 'models'; PRAGMA user_version = 3;",
    )
    .unwrap();
    let secret: Vec<u8> = old
        .query_row("SELECT value FROM secrets", [], |row| row.get(0))
        .unwrap();
    drop(old);
    let why = Store::open_read_only(&db(&dir)).unwrap_err();
    assert!(matches!(why, OpenError::OlderLayout { found: 3, known: 5 }), "{why}");
    for _ in 0..2 {
        let store = open(&db(&dir));
        let votes = store.reader().votes(&Scope::Server, identity, 0).await.unwrap();
        assert_eq!((votes.junk, votes.not_junk), (1, 0));
        assert_ne!(store.reader().model_secret().await.unwrap().to_vec(), secret);
        // Labels of before have no lessons until their messages are shown.
        store.label(shown(0)).await.unwrap();
        let stats = store.reader().stats().await.unwrap();
        assert_eq!((stats.layout, stats.messages, stats.junk, stats.lessons), (5, 1, 9, 1));
        assert_eq!(store.reader().verify().await.unwrap().faults, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_store_of_layout_4_keeps_its_labels_and_grants_leases() {
    let dir = TempDir::new().unwrap();
    let store = open(&db(&dir));
    store.remember(vec![Remembered::Label(shown(0))]).await.unwrap();
    drop(store);
    let old = Connection::open(db(&dir)).unwrap();
    old.execute_batch("DROP TABLE leases; PRAGMA user_version = 4;")
        .unwrap();
    drop(old);
    let why = Store::open_read_only(&db(&dir)).unwrap_err();
    assert!(matches!(why, OpenError::OlderLayout { found: 4, known: 5 }), "{why}");
    for token in 1..3 {
        let store = open(&db(&dir));
        // The process before is gone, though it said until when it would be there.
        let holder = format!("process {token}");
        assert_eq!(store.lease("expiry", &holder, 0, 60).await, Ok(Some(token)));
        assert_eq!(store.lease("expiry", &holder, 30, 90).await, Ok(Some(token)));
        let stats = store.reader().stats().await.unwrap();
        assert_eq!((stats.layout, stats.junk, stats.lessons), (5, 1, 1));
        assert_eq!(store.reader().verify().await.unwrap().faults, Vec::<String>::new());
    }
}

/// A label of a message that is shown.
fn shown(n: u64) -> LabelRequest {
    LabelRequest {
        features: Some(features(n)),
        ..label(n, Label::Junk)
    }
}

/// A store with lessons of the first five messages: one of a later version of the filter, one that is damaged, one of
/// an earlier version, and two that are sound. Of the sixth message the features are recorded; of the next two, such as
/// no version reads.
async fn store_with_strange_lessons(dir: &TempDir) -> Store {
    let store = open(&db(dir));
    for n in 5..8 {
        store
            .begin_with(record(id(n), NOW_S, 1), Some(&features(n)))
            .await
            .unwrap();
    }
    store
        .remember((0..5).map(|n| Remembered::Label(shown(n))).collect())
        .await
        .unwrap();
    drop(store);
    let raw = Connection::open(db(dir)).unwrap();
    let of = |n: u64| {
        let sql = "SELECT features FROM lessons WHERE id = ?1";
        raw.query_row(sql, [number(id(n))], |row| row.get::<_, i64>(0)).unwrap()
    };
    let change = |sql: &str, n: i64| assert_eq!(raw.execute(sql, [n]).unwrap(), 1, "{sql}");
    change("UPDATE lesson_features SET version = 99 WHERE n = ?1", of(0));
    change("UPDATE lesson_features SET features = x'ffff' WHERE n = ?1", of(1));
    change("UPDATE lesson_features SET version = 0 WHERE n = ?1", of(2));
    change("UPDATE contents SET version = 99 WHERE id = ?1", number(id(6)));
    change("UPDATE contents SET features = x'ffff' WHERE id = ?1", number(id(7)));
    drop(raw);
    open(&db(dir))
}

/// Which messages have lessons that can be read.
async fn readable(store: &Store) -> Vec<i64> {
    let mailbox = label(0, Label::Junk).mailbox;
    let found = store.reader().lessons(&mailbox, None, 99).await.unwrap();
    found.iter().map(|lesson| number(lesson.id) - number(id(0))).collect()
}

#[tokio::test]
async fn lessons_that_are_damaged_or_of_another_version_are_passed_over() {
    let dir = TempDir::new().unwrap();
    let store = store_with_strange_lessons(&dir).await;
    let mailbox = label(0, Label::Junk).mailbox;
    assert_eq!(readable(&store).await, [3, 4]);
    // A page is filled with what can be read.
    let page = store.reader().open_lessons(&mailbox, 2).await.unwrap();
    assert_eq!(page.len(), 2);
    let all = (0..5).map(id).collect();
    assert_eq!(store.reader().lessons_of(&mailbox, all).await.unwrap().len(), 2);
    let faults = store.reader().verify().await.unwrap().faults;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].ends_with("has features that are damaged"), "{faults:?}");
    // What is recorded and cannot be read makes no lesson, and the label holds.
    for n in 5..8 {
        store.label(label(n, Label::Junk)).await.unwrap();
    }
    assert_eq!(readable(&store).await, [3, 4, 5]);
}

#[tokio::test]
async fn a_lesson_of_another_version_is_replaced_when_its_message_is_shown_and_goes_when_it_is_forgotten() {
    let dir = TempDir::new().unwrap();
    let store = store_with_strange_lessons(&dir).await;
    // The opposite label does not make one readable; the message does, when it is shown.
    let said = |n, at_s| {
        let mut request = label(n, Label::NotJunk);
        request.said.at_s = at_s;
        request
    };
    store.label(said(2, NOW_S + 1)).await.unwrap();
    assert_eq!(readable(&store).await, [3, 4]);
    let mut again = shown(0);
    again.said.at_s += 1;
    store.label(again).await.unwrap();
    assert_eq!(readable(&store).await, [0, 3, 4]);
    store.rebuild().await.unwrap();
    assert_eq!(store.reader().verify().await.unwrap().faults, Vec::<String>::new());
    // The one of another version is still there, for the version that reads it.
    assert_eq!(store.reader().stats().await.unwrap().lessons, 4);
    // Forgetting takes that along, too.
    let mut forget = said(2, NOW_S + 2);
    forget.said.label = None;
    store.label(forget).await.unwrap();
    assert_eq!(store.reader().stats().await.unwrap().lessons, 3);
}

/// A label by user 0 of the `n`th message.
fn label(n: u64, label: Label) -> LabelRequest {
    LabelRequest {
        mailbox: MailboxId::try_from("user0@example.com".to_owned()).unwrap(),
        id: id(n),
        said: Said {
            label: Some(label),
            at_s: NOW_S,
            source: Line::literal("command"),
            by: Line::default(),
        },
        received_s: NOW_S,
        author_local: Line::literal("bob"),
        identities: vec![Identity::Dkim(Domain::parse("sender.example").unwrap())],
        features: None,
    }
}

#[tokio::test]
async fn a_log_that_is_torn_anywhere_keeps_the_labels_that_were_acknowledged_before() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(&db(&dir)).unwrap();
    let mut acked_at = Vec::new();
    for n in 0..30 {
        store
            .begin_with(record(id(n), NOW_S, 1), Some(&features(n)))
            .await
            .unwrap();
        store.label(label(n, Label::Junk)).await.unwrap();
        acked_at.push(fs::metadata(log_of(&db(&dir))).unwrap().len());
    }
    let (main, log) = (fs::read(db(&dir)).unwrap(), fs::read(log_of(&db(&dir))).unwrap());
    drop(store);
    for cut in (0..=log.len()).step_by(5273) {
        for rest in [0, log.len() - cut] {
            let dir = TempDir::new().unwrap();
            fs::write(db(&dir), &main).unwrap();
            fs::write(log_of(&db(&dir)), [&log[..cut], &vec![0; rest]].concat()).unwrap();
            let store = Store::open(&db(&dir)).unwrap();
            let acked = acked_at.iter().filter(|end| **end <= cut as u64).count();
            for n in 0..acked as u64 {
                let found = store
                    .reader()
                    .label(&label(n, Label::Junk).mailbox, id(n))
                    .await
                    .unwrap();
                assert_eq!(found, Some(label(n, Label::Junk)), "label {n}, cut at {cut}");
            }
            // A label and what it made are there both, or neither is.
            let verified = store.reader().verify().await.unwrap();
            assert_eq!(verified.faults, Vec::<String>::new(), "cut at {cut}");
            assert!(verified.labels >= acked as u64);
            assert_eq!(verified.lessons, verified.labels, "cut at {cut}");
        }
    }
}

#[tokio::test]
async fn history_that_does_not_fit_its_labels_is_found_and_rebuilt() {
    let dir = TempDir::new().unwrap();
    let damages = [
        "DELETE FROM history WHERE number = (SELECT min(number) FROM history)",
        "UPDATE history SET is_junk = 0",
        "INSERT INTO history SELECT mailbox, identity, received_s + 1, number, is_junk, author_local FROM history",
        "UPDATE correspondents SET at_s = at_s + 1",
        "DELETE FROM correspondents",
        "DELETE FROM shared WHERE voter = (SELECT min(voter) FROM shared)",
        "UPDATE shared SET is_junk = 0",
        "INSERT INTO shared SELECT identity, x'00', received_s, number, is_junk FROM shared",
        "UPDATE lessons SET said = 0",
        "UPDATE lessons SET said = NULL, taught = NULL",
        "UPDATE lessons SET features = features + 9",
        "UPDATE lessons SET features = (SELECT min(n) FROM lesson_features)",
        "UPDATE lesson_features SET features = x'80'",
        "DELETE FROM lesson_features",
        "DELETE FROM lessons WHERE id = (SELECT min(id) FROM lessons)",
        "DELETE FROM labels; DELETE FROM history; DELETE FROM shared",
        "INSERT INTO lessons SELECT mailbox + 9, id, 0, 1, NULL, 0, 0, features + 9 FROM lessons",
    ];
    for damage in damages {
        let store = open(&db(&dir));
        let sent = Sent {
            mailbox: label(0, Label::Junk).mailbox,
            local: Line::literal("bob"),
            domain: Domain::parse("sender.example").unwrap(),
            organization: None,
            at_s: NOW_S,
        };
        let all = (0..3).map(|n| Remembered::Label(shown(n)));
        store
            .remember(all.chain([Remembered::Sent(sent)]).collect())
            .await
            .unwrap();
        drop(store);
        Connection::open(db(&dir)).unwrap().execute_batch(damage).unwrap();
        let store = open(&db(&dir));
        assert!(store.reader().verify().await.unwrap().faults_count > 0, "{damage}");
        store.rebuild().await.unwrap();
        assert_eq!(store.reader().verify().await.unwrap().faults_count, 0, "{damage}");
    }
}

#[tokio::test]
async fn compacting_gives_the_space_back_and_keeps_the_rest() {
    let dir = TempDir::new().unwrap();
    assert!(matches!(Store::compact(&db(&dir)), Err(OpenError::Missing)));
    let store = Store::open(&db(&dir)).unwrap();
    for n in 0..500 {
        store.begin(record(id(n), NOW_S, 2)).await.unwrap();
    }
    store.label(label(7, Label::Junk)).await.unwrap();
    store.expire_to_size(140_000).await.unwrap();
    assert!(matches!(Store::compact(&db(&dir)), Err(OpenError::InUse)));
    let left = store.reader().stats().await.unwrap();
    drop(store);
    let (before, after) = Store::compact(&db(&dir)).unwrap();
    assert!(after <= 190_000 && before > 4 * after, "{before} {after}");
    assert_eq!(fs::metadata(db(&dir)).unwrap().len(), after);
    let found = Store::open(&db(&dir)).unwrap().reader().stats().await.unwrap();
    assert_eq!((found.messages, found.junk), (left.messages, 1));
}

#[test]
fn what_is_no_store_is_refused_and_left_as_it_is() {
    let dir = TempDir::new().unwrap();
    assert!(matches!(Store::open_read_only(&db(&dir)), Err(OpenError::Missing)));
    assert!(!db(&dir).exists());
    for text in ["x".to_owned(), "not a database\n".repeat(1000)] {
        fs::write(db(&dir), &text).unwrap();
        assert!(matches!(Store::open(&db(&dir)), Err(OpenError::NotADatabase)));
        assert!(matches!(Store::open_read_only(&db(&dir)), Err(OpenError::NotADatabase)));
        assert_eq!(fs::read_to_string(db(&dir)).unwrap(), text);
    }
    fs::remove_file(db(&dir)).unwrap();
    Connection::open(db(&dir))
        .unwrap()
        .execute_batch("CREATE TABLE notes (text)")
        .unwrap();
    assert!(matches!(Store::open(&db(&dir)), Err(OpenError::Foreign)));
    assert!(matches!(
        Store::open(dir.path()),
        Err(OpenError::Database(_) | OpenError::Io(_))
    ));
}

#[tokio::test]
async fn facts_of_another_version_are_an_error_that_says_so() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(&db(&dir)).unwrap();
    for n in 1..=5 {
        store.begin(record(id(n), NOW_S, 1)).await.unwrap();
        store.finish(id(n), ending(1)).await.unwrap();
    }
    drop(store);
    let raw = Connection::open(db(&dir)).unwrap();
    let strange = |sql: &str, n| raw.execute(sql, [String::from(id(n)).parse::<MailwardId>().map(number).unwrap()]);
    strange(
        "UPDATE messages SET code_version = '9.1.0', facts = '{}' WHERE id = ?1",
        1,
    )
    .unwrap();
    strange("UPDATE recipients SET facts = '[' WHERE id = ?1", 2).unwrap();
    strange(
        "UPDATE recipients SET verdict = '{\"disposition\":\"vanish\"}' WHERE id = ?1",
        3,
    )
    .unwrap();
    strange("UPDATE endings SET outcomes = '[\"sold\"]' WHERE id = ?1", 4).unwrap();
    strange("UPDATE recipients SET policy = zeroblob(16) WHERE id = ?1", 5).unwrap();
    let store = Store::open(&db(&dir)).unwrap();
    for n in 1..=5 {
        let why = store.find(id(n)).await.unwrap_err();
        assert!(matches!(why, StoreError::Unreadable { .. }), "{why}");
    }
    let why = store.find(id(1)).await.unwrap_err().to_string();
    assert!(
        why.starts_with("record 0E8AG0000001 was written by version 9.1.0"),
        "{why}"
    );
    // The list still has all five; it shows what it can.
    let list = store.recent(10).await.unwrap();
    assert_eq!(list.len(), 5);
    assert_eq!(list.iter().filter(|line| line.judged.is_none()).count(), 3);
}

/// As the column has it: Crockford's digits as one number.
fn number(id: MailwardId) -> i64 {
    let digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    id.to_string()
        .chars()
        .fold(0, |sum, c| sum * 32 + digits.find(c).unwrap() as i64)
}

#[tokio::test]
async fn a_log_that_is_torn_anywhere_keeps_what_was_acknowledged_before() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(&db(&dir)).unwrap();
    let mut acked_at = Vec::new();
    for n in 0..40 {
        store.begin(record(id(n), NOW_S, 1)).await.unwrap();
        acked_at.push(fs::metadata(log_of(&db(&dir))).unwrap().len());
    }
    let (main, log) = (fs::read(db(&dir)).unwrap(), fs::read(log_of(&db(&dir))).unwrap());
    drop(store);
    // A prime step meets pages everywhere. After a power loss the rest may also be there, but empty.
    for cut in (0..=log.len()).step_by(4217) {
        for rest in [0, log.len() - cut] {
            let dir = TempDir::new().unwrap();
            fs::write(db(&dir), &main).unwrap();
            fs::write(log_of(&db(&dir)), [&log[..cut], &vec![0; rest]].concat()).unwrap();
            let store = Store::open(&db(&dir)).unwrap();
            for (n, &end) in (0..).zip(&acked_at) {
                if end <= cut as u64 {
                    let found = store.find(id(n)).await.unwrap().unwrap();
                    assert_eq!(found.record, record(id(n), NOW_S, 1), "record {n}, cut at {cut}");
                }
            }
            store.begin(record(id(1000), NOW_S, 1)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_torn_database_is_refused_or_answers_with_errors() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(&db(&dir)).unwrap();
    for n in 0..40 {
        store.begin(record(id(n), NOW_S, 1)).await.unwrap();
    }
    drop(store);
    let main = fs::read(db(&dir)).unwrap();
    for cut in (1..main.len()).step_by(4217) {
        fs::write(db(&dir), &main[..cut]).unwrap();
        if let Ok(store) = Store::open(&db(&dir)) {
            // Whatever is answered, it is answered.
            let _ = (
                store.find(id(7)).await,
                store.recent(5).await,
                store.begin(record(id(99), NOW_S, 1)).await,
            );
        }
    }
}

/// Begins and labels records in eight tasks, and says so, until it is killed.
#[tokio::test(flavor = "multi_thread")]
async fn child_that_begins_records() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let store = Arc::new(Store::open(Path::new(&path)).unwrap());
    let next = Arc::new(AtomicU64::new(RandomState::new().hash_one(0)));
    let work = |_| {
        let (store, next) = (Arc::clone(&store), Arc::clone(&next));
        tokio::spawn(async move {
            // A child that nobody kills ends in time.
            for _ in 0..100_000 {
                let id = id(next.fetch_add(1, Ordering::Relaxed));
                store.begin(record(id, NOW_S, 2)).await.unwrap();
                println!("begun {id}");
                store.finish(id, ending(2)).await.unwrap();
                let label = LabelRequest {
                    id,
                    ..label(0, Label::Junk)
                };
                store.label(label).await.unwrap();
                println!("labelled {id}");
            }
        })
    };
    for task in (0..8).map(work).collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn what_was_acknowledged_outlives_kill_9() {
    let dir = TempDir::new().unwrap();
    let (mut acked, mut labelled) = (HashSet::new(), HashSet::new());
    for round in 0..25u64 {
        let mut child = child("child_that_begins_records", &db(&dir))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let kill_after = RandomState::new().hash_one(round) % 400;
        let mut ids = Vec::new();
        for line in lines {
            // Lines still come from the pipe after the kill; all of them count.
            let line = line.unwrap();
            let id_after = |word| line.strip_prefix(word).and_then(|id| id.parse::<MailwardId>().ok());
            ids.extend(id_after("begun "));
            labelled.extend(id_after("labelled "));
            if ids.len() as u64 >= kill_after {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        // A command may be the first to come after a crash.
        let reader = Store::open_read_only(&db(&dir)).ok();
        let store = Store::open(&db(&dir)).unwrap();
        for &id in &ids {
            let found = store.find(id).await.unwrap().unwrap();
            assert_eq!(found.record, record(id, NOW_S, 2));
            assert!(matches!(found.outcome(1), Outcome::Unknown | Outcome::Delivered { .. }));
            assert_eq!(
                reader.as_ref().unwrap().find(id).await.unwrap().unwrap().record,
                found.record
            );
        }
        acked.extend(ids);
    }
    let store = Store::open(&db(&dir)).unwrap();
    let mailbox = label(0, Label::Junk).mailbox;
    for &id in &labelled {
        assert!(store.reader().label(&mailbox, id).await.unwrap().is_some(), "{id}");
    }
    let verified = store.reader().verify().await.unwrap();
    assert_eq!(verified.faults, Vec::<String>::new());
    assert!(
        verified.labels >= labelled.len() as u64 && labelled.len() > 50,
        "{}",
        labelled.len()
    );
    for &id in &acked {
        assert!(store.find(id).await.unwrap().is_some());
    }
    assert!(acked.len() > 100, "{}", acked.len());
}

/// Works against a limit on file sizes, as against a full disk, and then without.
#[tokio::test]
async fn child_with_a_full_disk() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let limit = |octets| {
        setrlimit(
            Resource::Fsize,
            Rlimit {
                current: octets,
                maximum: None,
            },
        )
        .unwrap()
    };
    let store = Store::open(Path::new(&path)).unwrap();
    store.begin(record(id(5000), NOW_S, 1)).await.unwrap();
    let labelled = LabelRequest {
        id: id(5000),
        ..label(0, Label::Junk)
    };
    store.label(labelled.clone()).await.unwrap();
    limit(Some(200_000));
    let mut acked = 0;
    let why = loop {
        match store.begin(record(id(acked), NOW_S, 1)).await {
            Ok(()) => acked += 1,
            Err(why) => break why,
        }
    };
    assert!(matches!(why, StoreError::Unavailable(_)), "{why}");
    assert!(acked > 5);
    // A small write may still find room, the more so the longer this takes; now none does.
    limit(Some(4096));
    // Lazy work is taken and kept, until there is too much of it; then it fails at once.
    let mut kept = 0;
    while store.finish(id(kept), ending(1)).await.is_ok() {
        kept += 1;
        store.begin(record(id(acked), NOW_S, 1)).await.unwrap_err();
        assert!(kept < 10_000);
    }
    // A label that cannot be written is refused, and the one that was acknowledged stays.
    let mut opposite = LabelRequest {
        id: id(5000),
        ..label(0, Label::NotJunk)
    };
    opposite.said.at_s += 1;
    let refused = store.label(opposite.clone()).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    let held = store.reader().label(&labelled.mailbox, id(5000)).await.unwrap();
    assert_eq!(held, Some(labelled));
    assert!(store.ledger_add(key(1), vec!["a".into()], NOW_S).await.is_err());
    assert_eq!(store.ledger_delivered(key(1), NOW_S).await, ["a"]);
    limit(None);
    // The first one shows that there is space again, the second takes with it what is lazy.
    store.begin(record(id(acked), NOW_S, 1)).await.unwrap();
    store.begin(record(id(acked + 1), NOW_S, 1)).await.unwrap();
    store.label(opposite).await.unwrap();
    assert_eq!(store.reader().verify().await.unwrap().faults, Vec::<String>::new());
    for n in 0..acked {
        assert!(
            store.find(id(n)).await.unwrap().unwrap().ending.is_some(),
            "{n} of {acked}"
        );
    }
    store.close().await.unwrap();
}

#[test]
fn a_full_disk_is_unavailable_and_the_store_goes_on_when_there_is_space() {
    let dir = TempDir::new().unwrap();
    let output = child("child_with_a_full_disk", &db(&dir)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
