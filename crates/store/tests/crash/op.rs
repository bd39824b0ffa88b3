//! What is asked of a store, as data: so that a child can say what it is about to ask, and what was acknowledged.

use crate::common::{NOW_S, ending, features, id, key, record};
use judge::junk::Lesson;
use judge::reputation::Identity;
use mail::{Domain, Line, MailboxId};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use store::{GreylistKey, Label, LabelRequest, Remembered, Said, Sent, Store, Taught};

/// Greylist entries live longer than any test.
pub const LONG_S: i64 = 1 << 40;

/// One question, or one thing that a process does with a store. Numbers of messages and times are drawn from one
/// count, so that what was drawn later is later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    Open,
    Begin(u64),
    /// Lazy.
    Finish(u64),
    /// The first that is said of a delivery.
    Label {
        n: u64,
        at: u64,
        junk: bool,
    },
    /// The opposite of what was said before.
    Relabel {
        n: u64,
        at: u64,
        junk: bool,
    },
    Forget {
        n: u64,
        at: u64,
    },
    /// What the label of that time says of a message that was shown is taught, for the first time.
    Teach {
        n: u64,
        at: u64,
        junk: bool,
    },
    /// A batch: labels of the messages, and for each fifth that somebody of its number was written to.
    Learn {
        from: u64,
        to: u64,
        at: u64,
    },
    Sent {
        to: u64,
        at: u64,
    },
    Seen(u8),
    Pass {
        key: u8,
        at: u64,
    },
    Cursor {
        name: u8,
        value: u64,
    },
    Ledger(u8),
    /// Of messages before the number, and of mail before that time.
    ExpireHistory(u64),
    ExpireSize(u64),
    Rebuild,
    Compact,
    Close,
}

impl Op {
    /// Its name, which with `before` or `acknowledged` is a labelled point.
    pub fn point(&self) -> &'static str {
        match self {
            Op::Open => "open",
            Op::Begin(_) => "begin",
            Op::Finish(_) => "finish",
            Op::Label { .. } => "label",
            Op::Relabel { .. } => "relabel",
            Op::Forget { .. } => "forget",
            Op::Teach { .. } => "teach",
            Op::Learn { .. } => "learn",
            Op::Sent { .. } => "sent",
            Op::Seen(_) => "seen",
            Op::Pass { .. } => "pass",
            Op::Cursor { .. } => "cursor",
            Op::Ledger(_) => "ledger",
            Op::ExpireHistory(_) => "expire-history",
            Op::ExpireSize(_) => "expire-size",
            Op::Rebuild => "rebuild",
            Op::Compact => "compact",
            Op::Close => "close",
        }
    }

    /// Of which message, when and what, where something is said of one.
    pub fn saying(&self) -> Option<(u64, u64, Option<Label>)> {
        let label = |junk| Some(if junk { Label::Junk } else { Label::NotJunk });
        match *self {
            Op::Label { n, at, junk } | Op::Relabel { n, at, junk } => Some((n, at, label(junk))),
            Op::Forget { n, at } => Some((n, at, None)),
            _ => None,
        }
    }

    /// Asks, and panics unless it is acknowledged. Whether a process opens or compacts a store is its own affair.
    pub async fn ask(&self, store: &Store) {
        let time = |at: u64| NOW_S + at.cast_signed();
        let greylist = |key: u8| GreylistKey::new([key; 16]);
        match *self {
            Op::Open | Op::Compact => {}
            Op::Begin(n) => {
                let recorded = is_shown(n).then(|| features(n));
                let begun = store.begin_with(record(id(n), NOW_S, 2), recorded.as_ref());
                begun.await.unwrap();
            }
            Op::Finish(n) => store.finish(id(n), ending(2)).await.unwrap(),
            Op::Label { .. } | Op::Relabel { .. } | Op::Forget { .. } => {
                let (n, at, label) = self.saying().unwrap();
                store.label(request(n, at, label)).await.unwrap();
            }
            Op::Teach { n, junk, .. } => {
                let taught = Taught {
                    id: id(n),
                    before: None,
                    after: Some(lesson(n, junk)),
                };
                let taken = store.teach(&mailbox(n), vec![taught]).await.unwrap();
                assert_eq!(taken, [is_shown(n)], "{n}");
            }
            Op::Learn { from, to, at } => {
                store.remember(batch(from..to, at)).await.unwrap();
            }
            Op::Sent { to, at } => store.sent(vec![sent(to, at)]).await.unwrap(),
            Op::Seen(key) => {
                store.greylist_seen(greylist(key), NOW_S, NOW_S + LONG_S).await.unwrap();
            }
            Op::Pass { key, at } => {
                let passed = store.greylist_pass(greylist(key), time(at), NOW_S + LONG_S).await;
                assert!(passed.unwrap().is_some(), "nobody seen: {key}");
            }
            Op::Cursor { name, value } => {
                let value = value.to_string().into_bytes();
                store.set_cursor(&name.to_string(), Some(value)).await.unwrap();
            }
            Op::Ledger(n) => store.ledger_add(key(n), vec!["a".into()], NOW_S).await.unwrap(),
            Op::ExpireHistory(below) => {
                store.expire_history(time(below)).await.unwrap();
            }
            Op::ExpireSize(octets) => {
                store.expire_to_size(octets).await.unwrap();
            }
            Op::Rebuild => store.rebuild().await.unwrap(),
            Op::Close => store.close().await.unwrap(),
        }
    }
}

/// Whose the `n`th message is. Each record is for both.
pub fn mailbox(n: u64) -> MailboxId {
    MailboxId::try_from(format!("user{}@example.com", n % 2)).unwrap()
}

/// By what all messages are known.
pub fn everybody() -> Identity {
    Identity::Dkim(Domain::parse("sender.example").unwrap())
}

/// Whether the `n`th message is shown with its labels, and so makes a lesson.
pub fn is_shown(n: u64) -> bool {
    !n.is_multiple_of(3)
}

/// What a model has of the `n`th message.
pub fn lesson(n: u64, is_junk: bool) -> Lesson {
    Lesson {
        is_junk,
        is_counted: n.is_multiple_of(2),
        step: n as i32,
    }
}

pub fn request(n: u64, at: u64, label: Option<Label>) -> LabelRequest {
    let helo = Domain::parse(&format!("host{}.sender.example", n % 7)).unwrap();
    let (author_local, identities) = match label {
        Some(_) => (Line::literal("bob"), vec![everybody(), Identity::Helo(helo)]),
        None => (Line::default(), Vec::new()),
    };
    LabelRequest {
        mailbox: mailbox(n),
        id: id(n),
        said: Said {
            label,
            at_s: NOW_S + at.cast_signed(),
            source: Line::literal("command"),
            by: Line::literal("ann"),
        },
        received_s: NOW_S + n.cast_signed(),
        author_local,
        identities,
        features: (label.is_some() && is_shown(n)).then(|| features(n)),
    }
}

pub fn sent(to: u64, at: u64) -> Sent {
    Sent {
        mailbox: mailbox(to),
        local: Line::clean(format!("friend{to}").as_bytes(), 99),
        domain: Domain::parse("shop.example").unwrap(),
        organization: None,
        at_s: NOW_S + at.cast_signed(),
    }
}

/// To whom a batch says that somebody wrote.
pub fn recipients(numbers: Range<u64>) -> impl Iterator<Item = u64> {
    numbers.filter(|n| n.is_multiple_of(5))
}

/// What is said of the `n`th message of a batch.
pub fn learnt(n: u64) -> Option<Label> {
    Some(if n.is_multiple_of(3) {
        Label::NotJunk
    } else {
        Label::Junk
    })
}

fn batch(numbers: Range<u64>, at: u64) -> Vec<Remembered> {
    let labels = numbers.clone().map(|n| Remembered::Label(request(n, at, learnt(n))));
    let sent = recipients(numbers).map(|to| Remembered::Sent(sent(to, at)));
    labels.chain(sent).collect()
}
