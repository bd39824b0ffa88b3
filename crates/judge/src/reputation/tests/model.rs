//! A second reading of the table: straight from its text, over a plain list of messages, with fractions as floating
//! point numbers. And chance: small histories in which nearly everything meets.

use super::super::*;
use super::{DAY_S, YEAR_S, domain, mailbox};
use mail::{Domain, Line};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use std::collections::BTreeSet;
use std::net::IpAddr;

pub const NOW_S: i64 = 0;

/// What is remembered.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    pub rows: Vec<Row>,
    pub sent: Vec<SentTo>,
}

#[derive(Debug, Clone)]
pub struct Row {
    sender: Sender,
    received_s: i64,
    number: u64,
    is_junk: bool,
}

#[derive(Debug, Clone)]
pub struct SentTo {
    local: Line,
    domain: Domain,
    organization: Domain,
    sent_s: i64,
}

impl Memory {
    pub fn history(&self) -> PlainHistory {
        let mut history = PlainHistory::new();
        for row in &self.rows {
            history.label(&mailbox(), &row.sender, row.received_s, row.number, row.is_junk);
        }
        for sent in &self.sent {
            history.send(&mailbox(), &sent.local, &sent.domain, &sent.organization, sent.sent_s);
        }
        history
    }

    fn newest(&self, window_s: i64, max: usize, fits: impl Fn(&Sender) -> bool) -> Vec<&Row> {
        let is_in = |row: &&Row| fits(&row.sender) && row.received_s >= NOW_S - window_s;
        let mut found: Vec<&Row> = self.rows.iter().filter(is_in).collect();
        found.sort_by_key(|row| (-row.received_s, u64::MAX - row.number));
        found.truncate(max);
        found
    }

    fn wrote(&self, window_s: i64, fits: impl Fn(&SentTo) -> bool) -> bool {
        self.sent
            .iter()
            .any(|sent| fits(sent) && sent.sent_s >= NOW_S - window_s)
    }
}

/// Whether two authors are alike.
type Same = fn(&AuthorClaim, &AuthorClaim) -> bool;
type Answered = (Option<Repute>, bool, Method);

fn junk(is_junk: bool) -> Option<Repute> {
    Some(if is_junk { Repute::Junk } else { Repute::NotJunk })
}

fn last2junk(rows: &[&Row]) -> bool {
    rows[0].is_junk && (rows.len() == 1 || rows[1].is_junk)
}

fn share(rows: &[&Row]) -> f64 {
    rows.iter().filter(|row| row.is_junk).count() as f64 / rows.len() as f64
}

pub fn standing(memory: &Memory, sender: &Sender) -> Answered {
    by_author(memory, sender)
        .or_else(|| by_signs(memory, sender))
        .or_else(|| by_network(memory, sender))
        .unwrap_or((None, false, Method::None))
}

fn by_author(memory: &Memory, sender: &Sender) -> Option<Answered> {
    let new = sender.author.as_ref()?;
    let like = |v: bool, same: Same| {
        move |old: &Sender| {
            let old = old.author.as_ref();
            old.is_some_and(|old| old.is_validated == v && same(old, new))
        }
    };
    let v = new.is_validated;
    let address = |a: &AuthorClaim, b: &AuthorClaim| a.local == b.local && a.domain == b.domain;
    let own = memory.newest(3 * YEAR_S, 2, like(v, address));
    if !own.is_empty() {
        return Some((junk(last2junk(&own)), v, Method::MsgFromFull));
    }
    let real = memory.newest(3 * YEAR_S, 2, like(true, address));
    if !v && !real.is_empty() {
        return Some((junk(true), last2junk(&real), Method::MsgFromFull));
    }
    if memory.wrote(3 * YEAR_S, |to| to.local == new.written && to.domain == new.domain) {
        return Some((junk(false), true, Method::MsgToFull));
    }
    let wider: [(Same, Method, Method); 2] = [
        (|a, b| a.domain == b.domain, Method::MsgFromDomain, Method::MsgToDomain),
        (
            |a, b| a.organization == b.organization,
            Method::MsgFromOrgDomain,
            Method::MsgToOrgDomain,
        ),
    ];
    for (same, from, to) in wider {
        let rows = memory.newest(2 * YEAR_S, 20, like(v, same));
        if !rows.is_empty() {
            let good = rows.iter().filter(|row| !row.is_junk).count();
            if 100 * good / rows.len() > 80 {
                return Some((junk(false), true, from));
            }
            if good > 0 {
                return Some((None, false, from));
            }
            let local = |row: &&Row| row.sender.author.as_ref().unwrap().local.as_str().to_owned();
            let locals: BTreeSet<String> = rows.iter().map(local).collect();
            return Some((junk(true), locals.len() >= 3, from));
        }
        let real = memory.newest(2 * YEAR_S, 2, like(true, same));
        if !v && !real.is_empty() {
            return Some((junk(true), last2junk(&real), from));
        }
        let is_whom = |sent: &SentTo| match to {
            Method::MsgToDomain => sent.domain == new.domain,
            _ => sent.organization == new.organization,
        };
        if memory.wrote(2 * YEAR_S, is_whom) {
            return Some((junk(false), true, to));
        }
    }
    None
}

fn by_signs(memory: &Memory, sender: &Sender) -> Option<Answered> {
    let half = YEAR_S / 2;
    let mut groups: Vec<Vec<&Row>> = Vec::new();
    // Eighteen questions, of which rows 1 to 9 take nine (six where V holds), and SPF and networks six.
    let room = match &sender.author {
        Some(author) if author.is_validated => 6,
        Some(_) => 3,
        None => 12,
    };
    for signer in sender.dkim.iter().take(room) {
        groups.push(memory.newest(half, 50, |old| old.dkim.contains(signer)));
    }
    let mut spf = Vec::new();
    if let Some(path) = sender.reverse_path.as_ref().filter(|path| path.is_validated) {
        let same = |old: &ReversePathClaim| old.local == path.local && old.domain == path.domain;
        spf = memory.newest(half, 50, |old| old.reverse_path.as_ref().is_some_and(same));
        if spf.is_empty() {
            let same = |old: &ReversePathClaim| old.domain == path.domain;
            spf = memory.newest(half, 50, |old| old.reverse_path.as_ref().is_some_and(same));
        }
    }
    if let Some(helo) = sender.helo.as_ref().filter(|helo| helo.is_validated && spf.is_empty()) {
        let same = |old: &HeloClaim| old.domain == helo.domain;
        spf = memory.newest(half, 50, |old| old.helo.as_ref().is_some_and(same));
    }
    groups.push(spf);
    groups.retain(|group| !group.is_empty());
    let most = groups.iter().map(Vec::len).max()?;
    let good = groups.iter().filter(|group| share(group) < 0.1).count();
    let bad = groups.iter().filter(|group| share(group) > 0.9).count();
    Some(match (good > 0, bad > 0) {
        (true, false) => (junk(false), true, Method::DkimSpf),
        (false, true) => (junk(true), most > 1, Method::DkimSpf),
        _ => (None, false, Method::DkimSpf),
    })
}

fn by_network(memory: &Memory, sender: &Sender) -> Option<Answered> {
    for (place, (need, method)) in [(2, Method::Ip1), (5, Method::Ip2), (10, Method::Ip3)]
        .into_iter()
        .enumerate()
    {
        let Some(network) = sender.networks[place] else {
            continue;
        };
        let rows = memory.newest(YEAR_S / 4, 50, |old| old.networks[place] == Some(network));
        if rows.is_empty() {
            continue;
        }
        let p = share(&rows);
        let verdict = match p {
            p if p < 0.25 => junk(false),
            p if p > 0.75 => junk(true),
            _ => None,
        };
        return Some((verdict, rows.len() >= need && (p <= 0.1 || p >= 0.9), method));
    }
    None
}

fn an_author() -> impl Strategy<Value = AuthorClaim> {
    let locals = select(vec!["ann", "bob", "cat", ""]);
    let domains = select(vec![
        "www.shop.example",
        "eu.shop.example",
        "shop.example",
        "other.example",
    ]);
    (locals, domains, any::<bool>()).prop_map(|(local, name, is_validated)| AuthorClaim {
        local: Line::literal(local),
        written: Line::literal(local),
        domain: domain(name),
        organization: domain(if name == "other.example" { name } else { "shop.example" }),
        is_validated,
    })
}

/// Of a few addresses, of one network, or of a wider one.
fn a_client() -> impl Strategy<Value = IpAddr> {
    let few = ["192.0.2.1", "192.0.2.200", "2001:db8::1", "2001:db8:0:1::1"];
    prop_oneof![
        2 => select(few.to_vec()).prop_map(|text| text.parse().unwrap()),
        2 => (1..60_u8).prop_map(|last| IpAddr::from([192, 0, 2, last])),
        1 => (0..8_u8).prop_map(|third| IpAddr::from([192, 0, third, 1])),
    ]
}

/// Now and then only its address is known.
pub fn a_sender() -> impl Strategy<Value = Sender> {
    let bare = a_client().prop_map(|client| Sender {
        networks: networks(client).map(Some),
        ..Sender::default()
    });
    prop_oneof![4 => a_whole_sender(), 1 => bare]
}

fn a_whole_sender() -> impl Strategy<Value = Sender> {
    let path = (
        select(vec!["a", "b", ""]),
        select(vec!["esp.example", "rare.example"]),
        any::<bool>(),
    );
    let helo = (select(vec!["mx.esp.example", "mx.rare.example"]), any::<bool>());
    let signers: Vec<Domain> = (0..5).map(|n| domain(&format!("signer{n}.example"))).collect();
    (
        proptest::option::weighted(0.6, an_author()),
        proptest::option::of(path),
        proptest::option::of(helo),
        subsequence(signers, 0..=5).prop_shuffle(),
        proptest::option::weighted(0.9, a_client()),
    )
        .prop_map(|(author, path, helo, dkim, client)| Sender {
            author,
            reverse_path: path.map(|(local, name, is_validated)| ReversePathClaim {
                local: Line::literal(local),
                domain: domain(name),
                is_validated,
            }),
            helo: helo.map(|(name, is_validated)| HeloClaim {
                domain: domain(name),
                is_validated,
            }),
            dkim,
            networks: client.map_or([None; 3], |client| networks(client).map(Some)),
        })
}

/// Ages on the edges of windows, around them, and in between.
fn an_age() -> impl Strategy<Value = i64> {
    let edges = vec![YEAR_S / 4, YEAR_S / 2, 2 * YEAR_S, 3 * YEAR_S];
    prop_oneof![
        3 => (0..20_i64).prop_map(|days| days * DAY_S),
        1 => (select(edges), -1..=1_i64).prop_map(|(edge, off)| edge + off),
        1 => 0..4 * YEAR_S,
        1 => -DAY_S..0,
    ]
}

pub fn a_memory() -> impl Strategy<Value = Memory> {
    // Often nearly all junk or nearly all good, because thresholds lie there.
    let share = select(vec![0.0, 0.05, 0.15, 0.5, 0.9, 1.0]);
    let rows = share.prop_flat_map(|share| {
        let row = || (a_sender(), an_age(), proptest::bool::weighted(share));
        prop_oneof![3 => vec(row(), 0..8), 2 => vec(row(), 0..70)]
    });
    let sent = vec((an_author(), an_age()), 0..2);
    (rows, sent).prop_map(|(rows, sent)| Memory {
        rows: rows
            .into_iter()
            .zip(0..)
            .map(|((sender, age_s, is_junk), number)| Row {
                sender,
                received_s: NOW_S - age_s,
                number,
                is_junk,
            })
            .collect(),
        sent: sent
            .into_iter()
            .map(|(author, age_s)| SentTo {
                local: author.written,
                domain: author.domain,
                organization: author.organization,
                sent_s: NOW_S - age_s,
            })
            .collect(),
    })
}
