//! What each intent asks and changes, as `docs/store.md` tells whoever builds another back-end.

use crate::common::{NOW_S, ending, id, key, record};
use crate::history::{JUNK, mailbox, request};
use judge::reputation::{Correspondent, History, Identity, Scope};
use mail::{Domain, Line};
use std::collections::BTreeMap;
use store::{GreylistKey, Kept, KeptKey, LabelRequest, LedgerKey, MemoryDisk, Sent, Store};

const PAGE: &str = include_str!("../../../../docs/store.md");

/// The rows of the table: an intent, and how many partitions of which table.
fn told() -> BTreeMap<String, BTreeMap<String, usize>> {
    let rows = PAGE.lines().skip_while(|line| *line != "| intent | partitions |");
    let rows = rows.skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|line| {
        let mut cells = line.trim_matches('|').split('|');
        let name = cells.next().unwrap().split('`').nth(1).unwrap().to_owned();
        let counted = cells.next().unwrap().split(',').map(|part| {
            let (table, count) = part.trim().rsplit_once(' ').unwrap();
            (table.to_owned(), count.parse().unwrap())
        });
        (name, counted.collect())
    })
    .collect()
}

fn domain() -> Domain {
    Domain::parse("shop.example").unwrap()
}

fn label() -> LabelRequest {
    LabelRequest {
        identities: vec![Identity::Dkim(domain()), Identity::Helo(domain())],
        ..request(0, JUNK, 1)
    }
}

fn kept() -> Kept {
    Kept {
        mailbox: mailbox(0),
        key: KeptKey::new([1; 16]),
        at_s: NOW_S,
        expires_s: NOW_S + 60,
        octets: 1,
        is_deferred: false,
        source: Line::literal("junk"),
        ledger: LedgerKey::new([1; 32]),
        recipient: "user0@example.com".to_owned(),
        reference: "1".to_owned(),
    }
}

/// Does what an intent is for.
async fn perform(store: &Store, name: &str) {
    let reader = store.reader();
    let tried = GreylistKey::new([1; 16]);
    let one = KeptKey::new([1; 16]);
    match name {
        "begin" => store.begin(record(id(0), NOW_S, 2)).await.unwrap(),
        "finish" => store.finish(id(0), ending(2)).await.unwrap(),
        "find" => drop(store.find(id(0)).await.unwrap().unwrap()),
        "label" => drop(store.label(label()).await.unwrap()),
        "newest" => drop(
            reader
                .newest(&mailbox(0), &Identity::Dkim(domain()), 0, 9)
                .await
                .unwrap(),
        ),
        "votes" => drop(
            reader
                .votes(&Scope::Server, &Identity::Dkim(domain()), 0)
                .await
                .unwrap(),
        ),
        "wrote_to" => drop(
            reader
                .wrote_to(&mailbox(0), &Correspondent::Domain(domain()), 0)
                .await
                .unwrap(),
        ),
        "sent" => {
            let sent = Sent {
                mailbox: mailbox(0),
                local: Line::literal("bob"),
                domain: domain(),
                organization: Some(domain()),
                at_s: NOW_S,
            };
            store.sent(vec![sent]).await.unwrap();
        }
        "teach" => drop(
            store
                .teach(&mailbox(0), vec![crate::lessons::taught(0, None, None)])
                .await,
        ),
        "lessons_of" => drop(reader.lessons_of(&mailbox(0), vec![id(0)]).await.unwrap()),
        "greylist_seen" => drop(store.greylist_seen(tried, NOW_S, NOW_S + 9).await.unwrap()),
        "greylist_pass" => drop(store.greylist_pass(tried, NOW_S, NOW_S + 9).await.unwrap()),
        "ledger_add" => store.ledger_add(key(1), vec!["a".to_owned()], NOW_S).await.unwrap(),
        "ledger_delivered" => drop(store.ledger_delivered(key(1), NOW_S).await),
        "keep" => drop(store.keep(kept(), 1).await.unwrap()),
        "kept" => drop(reader.kept(&mailbox(0), one).await.unwrap()),
        "kept_take" => drop(store.kept_take(&mailbox(0), one).await.unwrap()),
        "set_cursor" => store.set_cursor("a", Some(vec![1])).await.unwrap(),
        "cursor" => drop(reader.cursor("a").await.unwrap()),
        "lease" => drop(store.lease("expiry", "one", NOW_S, NOW_S + 60).await.unwrap()),
        other => panic!("`{other}` is told of, and nobody knows how to do it"),
    }
}

#[tokio::test]
async fn each_intent_touches_the_partitions_that_the_page_tells() {
    let told = told();
    assert_eq!(told.len(), 20, "an intent is missing on the page, or here");
    let disk = MemoryDisk::new();
    disk.fold_at_once();
    let store = Store::open_in_memory(&disk).unwrap();
    // What others need is there first.
    for first in [
        "begin",
        "finish",
        "label",
        "sent",
        "greylist_seen",
        "ledger_add",
        "keep",
    ] {
        disk.partitions_touched();
        perform(&store, first).await;
        check(&disk, first, &told[first]);
    }
    for (name, expected) in told {
        if name == "begin" {
            continue;
        }
        disk.partitions_touched();
        // A label that holds already asks for less.
        if name == "label" {
            continue;
        }
        perform(&store, &name).await;
        check(&disk, &name, &expected);
    }
}

fn check(disk: &MemoryDisk, name: &str, expected: &BTreeMap<String, usize>) {
    let touched = disk.partitions_touched().into_iter();
    let touched: BTreeMap<String, usize> = touched.map(|(table, count)| (table.to_owned(), count)).collect();
    assert_eq!(touched, *expected, "{name}");
}
