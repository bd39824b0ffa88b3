//! What the store costs: `scripts/bench-store` runs this.
//!
//! - `store-bench fill FILE ROWS`: makes a store with so many rows of history.
//! - `store-bench walk FILE ROUNDS`: what reputation's questions cost there.
//! - `store-bench begin FILE RECORDS`: synced records from 50 clients.
//! - `store-bench features FILE RECORDS`: the same with what the messages are made of.
//! - `store-bench label FILE RECORDS`: labels of such records, one by one.
//! - `store-bench storm FILE`: the same until it is killed.
//! - `store-bench open FILE`: opening it, say after a crash.
//!
//! Prints CPU microseconds of the whole process, threads included.

#[path = "../tests/common/mod.rs"]
mod common;

use judge::content::Features;
use judge::reputation::{Correspondent, History, Identity};
use judge::resolver::BoxFuture;
use mail::{Domain, Line, MailboxId};
use rustix::time::{ClockId, clock_gettime};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use store::{Label, LabelRequest, MailwardId, Remembered, Said, Sent, Store};

/// Rows that one label makes.
const IDENTITIES: u64 = 10;
/// Labels in one transaction.
const BATCH: u64 = 1000;
/// Mailboxes that share the history.
const MAILBOXES: u64 = 200;
/// The age of the oldest message, in seconds: three years.
const SPAN_S: i64 = 3 * 365 * 24 * 60 * 60;
const CLIENTS: u64 = 50;
/// Walks at one time, where the reading thread shall find no rest. With one at a time each walk wakes it from sleep,
/// which may cost more than the walk.
const WALKERS: usize = 8;

#[tokio::main(worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |n: usize| arguments.get(n).and_then(|text| text.parse().ok()).unwrap_or(0);
    let path = Path::new(arguments.get(1).map_or("", String::as_str));
    match arguments.first().map(String::as_str) {
        Some("fill") => fill(path, number(2)).await,
        Some("walk") => walk(path, number(2)).await,
        Some("begin") => begin(path, number(2), false).await,
        Some("features") => begin(path, number(2), true).await,
        Some("label") => label(path, number(2)).await,
        Some("storm") => storm(path).await,
        Some("open") => open(path).await,
        _ => eprintln!("usage: store-bench fill|walk|begin|features|label|storm|open FILE [NUMBER]"),
    }
}

async fn fill(path: &Path, rows: u64) {
    let store = Store::open(path).unwrap();
    let (labels, begun, cpu) = (rows / IDENTITIES, Instant::now(), cpu_us());
    for first in (0..labels).step_by(BATCH as usize) {
        let batch = (first..labels.min(first + BATCH)).flat_map(|n| {
            let message = Message::new(n, labels);
            let sent = (n % 10 == 0).then(|| Remembered::Sent(message.answer()));
            [Remembered::Label(message.label(n))].into_iter().chain(sent)
        });
        store.remember(batch.collect()).await.unwrap();
    }
    let cpu = (cpu_us() - cpu) / labels as f64;
    store.close().await.unwrap();
    let octets = std::fs::metadata(path).unwrap().len() as f64 / rows as f64;
    let took = begun.elapsed().as_secs_f64();
    println!(
        "fill: {rows} rows, {cpu:.0} us a label of {IDENTITIES} rows, {octets:.0} octets a row with its share of the label, {took:.0} s"
    );
}

/// One labelled message, and who sent it.
struct Message {
    mailbox: MailboxId,
    received_s: i64,
    local: Line,
    domain: Domain,
    organization: Domain,
    address: [u8; 4],
}

impl Message {
    /// The `n`th of `all`: many from few senders, few from many.
    fn new(n: u64, all: u64) -> Message {
        let skewed = |salt: u64, count: u64| {
            let unit = (mix(n * 31 + salt) >> 11) as f64 / (1u64 << 53) as f64;
            (unit * unit * unit * count as f64) as u64
        };
        let sender = skewed(1, 400_000);
        let address = skewed(2, 200_000) as u32 + (192 << 24);
        Message {
            mailbox: mailbox(mix(n) % MAILBOXES),
            received_s: common::NOW_S - SPAN_S + (n as f64 / all as f64 * SPAN_S as f64) as i64,
            local: Line::clean(format!("user{sender}").as_bytes(), 99),
            domain: domain(&format!("mail.site{}.example", sender % 40_000)),
            organization: domain(&format!("site{}.example", sender % 40_000)),
            address: address.to_be_bytes(),
        }
    }

    fn identities(&self, validated: bool) -> Vec<Identity> {
        let domain = self.domain.clone();
        let network = |width, bits: u32| Identity::Network {
            width,
            address: std::net::Ipv4Addr::from(u32::from_be_bytes(self.address) & bits).into(),
        };
        vec![
            Identity::Author {
                local: self.local.clone(),
                domain: domain.clone(),
                validated,
            },
            Identity::AuthorDomain {
                domain: domain.clone(),
                validated,
            },
            Identity::AuthorOrganization {
                domain: self.organization.clone(),
                validated,
            },
            Identity::Dkim(domain.clone()),
            Identity::ReversePath {
                local: self.local.clone(),
                domain: domain.clone(),
            },
            Identity::ReversePathDomain(domain.clone()),
            Identity::Helo(domain),
            network(1, !0),
            network(2, !63),
            network(3, !2047),
        ]
    }

    fn label(&self, n: u64) -> LabelRequest {
        LabelRequest {
            mailbox: self.mailbox.clone(),
            id: MailwardId::new(self.received_s, mix(n + 7)),
            said: Said {
                label: Some(if n.is_multiple_of(3) {
                    Label::Junk
                } else {
                    Label::NotJunk
                }),
                at_s: self.received_s + 60,
                source: Line::literal("imap"),
                by: Line::literal("1"),
            },
            received_s: self.received_s,
            author_local: self.local.clone(),
            identities: self.identities(true),
            features: None,
        }
    }

    fn answer(&self) -> Sent {
        Sent {
            mailbox: self.mailbox.clone(),
            local: self.local.clone(),
            domain: self.domain.clone(),
            organization: Some(self.organization.clone()),
            at_s: self.received_s + 60,
        }
    }
}

/// The questions of one walk, in the order in which they are asked.
async fn questions(history: &dyn History, message: &Message, reads: usize) -> usize {
    let domain = message.domain.clone();
    let to = [
        Correspondent::Address {
            local: message.local.clone(),
            domain: domain.clone(),
        },
        Correspondent::Domain(domain.clone()),
        Correspondent::Organization(message.organization.clone()),
    ];
    let validated = message.identities(true);
    let forged = message.identities(false);
    let more = [
        Identity::Dkim(message.organization.clone()),
        Identity::Dkim(self::domain("list.example")),
    ];
    // Nine of the author and whom the owner wrote to, three signatures, three of SPF, three networks.
    let mut asked: Vec<(&Identity, u32)> = vec![(&validated[0], 2), (&forged[0], 2)];
    asked.extend([
        (&validated[1], 20),
        (&forged[1], 2),
        (&validated[2], 20),
        (&forged[2], 2),
    ]);
    asked.extend([(&validated[3], 50), (&more[0], 50), (&more[1], 50)]);
    asked.extend(validated[4..10].iter().map(|identity| (identity, 50)));
    let mut found = 0;
    for (identity, limit) in asked.into_iter().take(reads) {
        let since_s = common::NOW_S - SPAN_S;
        let rows = history.newest(&message.mailbox, identity, since_s, limit).await;
        found += rows.unwrap().len();
    }
    for correspondent in to.iter().take(reads.saturating_sub(15)) {
        let wrote = history.wrote_to(&message.mailbox, correspondent, 0).await;
        found += usize::from(wrote.unwrap());
    }
    found
}

/// One walk, to be run on the thread that reads.
fn walker(message: Message, reads: usize) -> impl for<'a> FnOnce(&'a dyn History) -> BoxFuture<'a, usize> + Send {
    move |history| Box::pin(async move { questions(history, &message, reads).await })
}

async fn walk(path: &Path, rounds: u64) {
    let store = Arc::new(Store::open(path).unwrap());
    let labels = store.reader().stats().await.unwrap();
    let labels = labels.junk + labels.not_junk;
    // Of every kind of sender; and one whom nobody knows, in a mailbox with history.
    let known = |n: u64| Message::new(mix(n) % labels, labels);
    let unknown = |n: u64| Message {
        local: Line::clean(format!("stranger{n}").as_bytes(), 99),
        domain: domain(&format!("mail.unknown{n}.example")),
        organization: domain(&format!("unknown{n}.example")),
        address: [198, 51, (n >> 8) as u8, n as u8],
        ..known(n)
    };
    for n in 0..rounds / 10 {
        questions(store.reader(), &known(n), 18).await;
    }
    type Pick<'a> = &'a (dyn Fn(u64) -> Message + Sync);
    let cases: [(&str, Pick<'_>, usize); 4] = [
        ("first question answers", &known, 1),
        ("first question, a stranger", &unknown, 1),
        ("all 18 reads, rows in most", &known, 18),
        ("all 18 reads, a stranger", &unknown, 18),
    ];
    for at_once in [1, WALKERS] {
        println!("walk: {at_once} at once");
        for (name, pick, reads) in cases {
            let mut shares: Vec<Vec<Message>> = (0..at_once).map(|_| Vec::new()).collect();
            (0..rounds).for_each(|n| shares[n as usize % at_once].push(pick(n)));
            let (cpu, begun, mut found) = (cpu_us(), Instant::now(), 0);
            let walkers: Vec<_> = shares
                .into_iter()
                .map(|share| tokio::spawn(consult(Arc::clone(&store), share, reads)))
                .collect();
            for walker in walkers {
                found += walker.await.unwrap();
            }
            report(name, cpu, begun, rounds, found);
        }
    }
    let messages: Vec<Message> = (0..rounds).map(known).collect();
    let (cpu, begun, mut found) = (cpu_us(), Instant::now(), 0);
    for message in &messages {
        found += questions(store.reader(), message, 18).await;
    }
    report("all 18 reads, a change of threads for each", cpu, begun, rounds, found);
    println!("anonymous memory: {}", anonymous());
}

async fn consult(store: Arc<Store>, messages: Vec<Message>, reads: usize) -> usize {
    let mut found = 0;
    for message in messages {
        found += store.reader().consult(walker(message, reads)).await.unwrap();
    }
    found
}

fn report(name: &str, cpu: f64, begun: Instant, rounds: u64, found: usize) {
    let each = |total: f64| total / rounds as f64;
    println!(
        "  {name}: {:.0} us CPU, {:.0} us wall, {:.1} rows",
        each(cpu_us() - cpu),
        each(begun.elapsed().as_secs_f64() * 1e6),
        each(found as f64)
    );
}

async fn begin(path: &Path, records: u64, with_features: bool) {
    let store = Arc::new(Store::open(path).unwrap());
    let salt = mix(std::process::id().into());
    let all: Vec<_> = (0..records)
        .map(|n| common::record(MailwardId::new(common::NOW_S, mix(n ^ salt)), common::NOW_S, 1))
        .collect();
    let mut shares: Vec<Vec<store::Record>> = (0..CLIENTS).map(|_| Vec::new()).collect();
    for (n, record) in all.into_iter().enumerate() {
        shares[n % CLIENTS as usize].push(record);
    }
    let some: Arc<Vec<Features>> = Arc::new((0..if with_features { 16 } else { 0 }).map(features).collect());
    let before = anonymous();
    let (cpu, begun) = (cpu_us(), Instant::now());
    let clients: Vec<_> = shares
        .into_iter()
        .map(|share| {
            let (store, some) = (Arc::clone(&store), Arc::clone(&some));
            tokio::spawn(async move {
                for (n, record) in (0..).zip(share) {
                    let features = some.get(n % some.len().max(1));
                    store.begin_with(record, features).await.unwrap();
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    let took = begun.elapsed().as_secs_f64();
    let what = if with_features { " with features" } else { "" };
    println!(
        "begin: {:.0} us CPU a synced record{what}, {:.0} a second from {CLIENTS} clients; anonymous memory: {before} of records to come, then {}",
        (cpu_us() - cpu) / records as f64,
        records as f64 / took,
        anonymous()
    );
}

/// Labels of messages that were recorded, each in a group with those of other clients.
async fn label(path: &Path, records: u64) {
    let store = Arc::new(Store::open(path).unwrap());
    for with_features in [false, true] {
        let salt = mix(u64::from(std::process::id()) << 1 | u64::from(with_features));
        let message = move |n: u64| {
            let mut message = Message::new(n, records);
            message.mailbox = mailbox(0);
            let id = MailwardId::new(common::NOW_S + 1200, mix(n ^ salt));
            LabelRequest { id, ..message.label(n) }
        };
        for n in 0..records {
            let features = with_features.then(|| features(n));
            let record = common::record(message(n).id, common::NOW_S, 1);
            store.begin_with(record, features.as_ref()).await.unwrap();
        }
        let (cpu, begun) = (cpu_us(), Instant::now());
        let client = |client: u64| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for n in (client..records).step_by(CLIENTS as usize) {
                    store.label(message(n)).await.unwrap();
                }
            })
        };
        for client in (0..CLIENTS).map(client).collect::<Vec<_>>() {
            client.await.unwrap();
        }
        println!(
            "label: {:.0} us CPU a synced label of {IDENTITIES} identities {} a lesson, {:.0} us wall from {CLIENTS} clients",
            (cpu_us() - cpu) / records as f64,
            if with_features { "with" } else { "without" },
            begun.elapsed().as_secs_f64() * 1e6 / records as f64,
        );
    }
    let lessons = store.reader().stats().await.unwrap().lessons;
    assert!(lessons >= records, "{lessons} lessons of {records}");
}

/// As of a usual message: eight hundred features in two octets each.
fn features(salt: u64) -> Features {
    let distance = |n: u64| 128 + mix(n ^ salt << 32) % 4900;
    let octets = (0..800).flat_map(|n| [distance(n) as u8 | 0x80, (distance(n) >> 7) as u8]);
    Features::from_octets(&octets.collect::<Vec<u8>>()).unwrap()
}

async fn storm(path: &Path) {
    let store = Arc::new(Store::open(path).unwrap());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                // A storm that nobody ends does so itself.
                for n in 0..100_000 {
                    let id = MailwardId::new(common::NOW_S + 600, mix(client << 32 | n));
                    store.begin(common::record(id, common::NOW_S, 1)).await.unwrap();
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
}

async fn open(path: &Path) {
    let begun = Instant::now();
    let store = Store::open(path).unwrap();
    let opened = begun.elapsed();
    store.reader().cursor("none").await.unwrap();
    let answered = begun.elapsed();
    println!(
        "open: {:.1} ms, first answer after {:.1} ms",
        opened.as_secs_f64() * 1e3,
        answered.as_secs_f64() * 1e3
    );
}

fn mailbox(n: u64) -> MailboxId {
    MailboxId::try_from(format!("user{n}@example.com")).unwrap()
}

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

/// SplitMix64: the same numbers in each run.
fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn cpu_us() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

/// What is not the page cache's.
fn anonymous() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.unwrap_or("unknown").trim().to_owned()
}
