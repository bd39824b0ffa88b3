//! A test that no statement is compiled twice on one connection.

use crate::{
    Ending, GreylistKey, Kept, KeptKey, Label, LabelRequest, LedgerKey, MailwardId, RecipientRecord, Record,
    Remembered, Said, SealedPolicy, Sent, Since, Store, Which,
};
use judge::evidence::{MessageFacts, RecipientFacts, UserStanding};
use judge::policy::Policy;
use judge::reputation::{Correspondent, History, Identity, Scope};
use judge::verdict::{Disposition, Verdict};
use mail::{Address, Domain, Line, MailboxId, Reply, ReversePath};
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use rusqlite::{Connection, StatementStatus};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Statements that were compiled again.
static AGAIN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

pub(super) fn watch(db: &mut Connection) {
    db.trace_v2(TraceEventCodes::SQLITE_TRACE_PROFILE, Some(note))
        .expect("tracing");
}

/// A PRAGMA is run only once however it is prepared; those that are asked while messages come are few.
fn note(event: TraceEvent<'_>) {
    if let TraceEvent::Profile(statement, _) = event
        && statement.get_status(StatementStatus::RePrepare) > 0
        && !statement.sql().starts_with("PRAGMA")
    {
        let mut again = AGAIN.lock().unwrap_or_else(PoisonError::into_inner);
        again.insert(statement.sql().into_owned());
    }
}

fn domain() -> Domain {
    Domain::parse("shop.example").unwrap()
}

fn label(mailbox: &MailboxId, number: u64, at_s: i64) -> LabelRequest {
    let identity = Identity::AuthorDomain {
        domain: domain(),
        validated: true,
    };
    LabelRequest {
        mailbox: mailbox.clone(),
        id: MailwardId::new(60, number),
        said: Said {
            label: Some(if at_s % 2 == 0 { Label::Junk } else { Label::NotJunk }),
            at_s,
            source: Line::literal("command"),
            by: Line::literal("ann"),
        },
        received_s: 60,
        author_local: Line::literal("bob"),
        identities: vec![identity, Identity::Dkim(domain())],
        features: Some(judge::content::Features::read(b"Subject: Offer\r\n\r\nread on\r\n")),
    }
}

fn record(number: u64) -> Record {
    let recipient = Address::parse("ann@example.com").unwrap();
    let mailbox = MailboxId::new(recipient.local(), recipient.domain().unwrap());
    Record {
        id: MailwardId::new(60, number),
        facts: MessageFacts::unasked(60, "192.0.2.9".parse().unwrap(), Line::default(), ReversePath::Null),
        recipients: vec![RecipientRecord {
            facts: RecipientFacts::unasked(recipient, mailbox, UserStanding::Valid),
            verdict: Verdict {
                disposition: Disposition::Accept,
                reasons: Vec::new(),
            },
            policy: SealedPolicy::new(Policy::default()).unwrap(),
        }],
        code_version: "0.1.0".to_owned(),
    }
}

/// What a message, a label and a try write.
async fn write(store: &Store, mailbox: &MailboxId, n: u8) {
    let (number, at_s) = (u64::from(n), i64::from(n));
    let id = MailwardId::new(60, number);
    let features = judge::content::Features::read(b"Subject: Offer\r\n\r\n");
    store.begin_with(record(number), Some(&features)).await.unwrap();
    let ending = Ending {
        outcomes: Vec::new(),
        reply: Reply::new(250, (2, 0, 0), Line::literal("ok")),
        took_ms: 1,
    };
    store.finish(id, ending).await.unwrap();
    let sent = Sent {
        mailbox: mailbox.clone(),
        local: Line::literal("bob"),
        domain: domain(),
        organization: Some(domain()),
        at_s,
    };
    store.sent(vec![sent]).await.unwrap();
    let labels = [0, at_s].map(|at_s| Remembered::Label(label(mailbox, number % 2, at_s)));
    store.remember(labels.to_vec()).await.unwrap();
    let taught = store.reader().open_lessons(mailbox, 9).await.unwrap();
    assert!(!taught.is_empty() || n > 0);
    store.teach(mailbox, Vec::new()).await.unwrap();
    let key = GreylistKey::new([n; 16]);
    store.greylist_seen(key, at_s, 99).await.unwrap();
    store.greylist_pass(key, at_s, 99).await.unwrap();
    let kept = Kept {
        mailbox: mailbox.clone(),
        key: KeptKey::new([n; 16]),
        at_s,
        expires_s: 99,
        octets: 1,
        is_deferred: false,
        source: Line::literal("junk"),
        ledger: LedgerKey::new([n; 32]),
        recipient: "ann@example.com".to_owned(),
        reference: n.to_string(),
    };
    store.keep(kept, 2).await.unwrap();
}

/// What they ask.
async fn ask(store: &Store, mailbox: &MailboxId, n: u8) {
    let (id, at_s) = (MailwardId::new(60, u64::from(n)), i64::from(n));
    let reader = store.reader();
    reader.kept(mailbox, KeptKey::new([n; 16])).await.unwrap();
    reader.kept_at(mailbox, n.to_string()).await.unwrap();
    store.kept_take(mailbox, KeptKey::new([n; 16])).await.unwrap();
    store
        .ledger_add(LedgerKey::new([n; 32]), vec!["a".to_owned()], at_s)
        .await
        .unwrap();
    store.set_cursor("c", Some(vec![n])).await.unwrap();
    reader.cursor("c").await.unwrap();
    reader.label(mailbox, id).await.unwrap();
    reader.lessons(mailbox, None, 9).await.unwrap();
    reader.lessons_of(mailbox, vec![id]).await.unwrap();
    let (identity, who) = (Identity::Dkim(domain()), Correspondent::Domain(domain()));
    History::newest(reader, mailbox, &identity, 0, 9).await.unwrap();
    History::wrote_to(reader, mailbox, &who, 0).await.unwrap();
    History::votes(reader, &Scope::Server, &identity, 0).await.unwrap();
    reader.find(id).await.unwrap();
    reader.recent(9).await.unwrap();
    let all = Since {
        from_s: 0,
        below: None,
        messages_max: 9,
        which: Which::All,
    };
    reader.since(all).await.unwrap();
    reader.used_octets().await.unwrap();
}

/// Again and again.
#[tokio::test]
async fn no_statement_is_compiled_twice() {
    let dir = tempfile::TempDir::new().unwrap();
    let store = Store::open(&dir.path().join("mailward.db")).unwrap();
    let mailbox = MailboxId::try_from("ann@example.com".to_owned()).unwrap();
    for n in 0..4_u8 {
        write(&store, &mailbox, n).await;
        ask(&store, &mailbox, n).await;
    }
    store.close().await.unwrap();
    let again = AGAIN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(again, BTreeSet::new());
}
