//! What is known of a store from outside: what was asked of it, and what it acknowledged; and the count against what is
//! there.
//!
//! What was asked and not acknowledged may have taken place or not. But once somebody has looked, it is settled: what
//! was there stays, and what was not there never comes.

use crate::child::{Said, Word};
use crate::common::{NOW_S, ending, id, key, record};
use crate::op::{LONG_S, Op, everybody, learnt, lesson, mailbox, recipients, request, sent};
use judge::reputation::Correspondent;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use store::{
    GreylistKey, KeptLesson, LESSONS_MAX, Label, LabelRequest, MailwardId, Outcome, Reader, Remembered, Sent, Store,
};

#[derive(Debug, Default, Clone)]
pub struct Known {
    records: BTreeMap<u64, Fate>,
    endings: BTreeMap<u64, Ending>,
    labels: BTreeMap<u64, Register<Option<Label>>>,
    /// Of which messages the label of what time is taught.
    taught: BTreeMap<u64, u64>,
    sent: BTreeMap<u64, Register<()>>,
    cursors: BTreeMap<u8, Register<()>>,
    greylist: BTreeMap<u8, Tries>,
    ledger: BTreeMap<u8, bool>,
    /// Batches that were not acknowledged.
    batches: Vec<(Range<u64>, u64)>,
    /// Before which messages and times history is being let go.
    expiring: Option<u64>,
    /// Whether records, and with them the greylist, may have gone.
    shrinks: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Begun,
    Acknowledged,
    Gone,
}

/// What became of a message, which is written lazily.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The process that lives was told.
    Told,
    /// One that is dead was told.
    Left,
    /// It must be there.
    Written,
}

/// What was said of one thing, by time; of which the last counts.
#[derive(Debug, Clone)]
struct Register<T> {
    begun: BTreeMap<u64, T>,
    acknowledged: Option<u64>,
    expiry: Expiry,
}

/// Whether it was let go, because it is old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expiry {
    No,
    /// It may be gone, and must be once that is acknowledged.
    Begun,
    /// It may be gone; or it was said meanwhile.
    Crossed,
    /// It must be gone.
    Acknowledged,
}

#[derive(Debug, Default, Clone)]
struct Tries {
    begun: u32,
    acknowledged: u32,
    passes_begun: BTreeSet<u64>,
    pass_acknowledged: Option<u64>,
}

impl<T> Default for Register<T> {
    fn default() -> Self {
        Register {
            begun: BTreeMap::new(),
            acknowledged: None,
            expiry: Expiry::No,
        }
    }
}

impl<T> Register<T> {
    fn begin(&mut self, at: u64, what: T) {
        self.begun.insert(at, what);
        if self.expiry != Expiry::No {
            self.expiry = Expiry::Crossed;
        }
    }

    fn acknowledge(&mut self, at: u64) {
        self.acknowledged = self.acknowledged.max(Some(at));
    }

    fn begin_expiry(&mut self) {
        let is_settled = self.acknowledged.as_ref() == self.begun.keys().last();
        self.expiry = if is_settled { Expiry::Begun } else { Expiry::Crossed };
    }

    fn acknowledge_expiry(&mut self) {
        if self.expiry == Expiry::Begun {
            self.expiry = Expiry::Acknowledged;
        }
    }

    /// Settles it: what was found, or why that cannot be.
    fn settle(&mut self, found: Option<u64>) -> Result<(), String> {
        let wrong = match (found, self.acknowledged, self.expiry) {
            (Some(at), ..) if !self.begun.contains_key(&at) => Some("nobody said so"),
            (Some(_), _, Expiry::Acknowledged) => Some("it was let go"),
            (Some(at), Some(acknowledged), _) if at < acknowledged => Some("something later was acknowledged"),
            (None, Some(_), Expiry::No) => Some("it was acknowledged"),
            _ => None,
        };
        if let Some(why) = wrong {
            let (begun, acknowledged, expiry) = (self.begun.keys(), self.acknowledged, self.expiry);
            return Err(format!(
                "found {found:?}, but {why}: {begun:?} {acknowledged:?} {expiry:?}"
            ));
        }
        self.begun.retain(|at, _| Some(*at) == found);
        (self.acknowledged, self.expiry) = (found, Expiry::No);
        Ok(())
    }
}

impl Known {
    /// Hears what a child said.
    pub fn hear(&mut self, said: &Said) {
        match said.word {
            Word::Before => self.begin(&said.op),
            Word::Acknowledged => self.acknowledge(&said.op),
        }
    }

    /// Asks, and knows.
    pub async fn ask(&mut self, store: &Store, op: Op) {
        self.begin(&op);
        op.ask(store).await;
        self.acknowledge(&op);
    }

    pub fn begin(&mut self, op: &Op) {
        if let Some((n, at, label)) = op.saying() {
            let register = self.labels.entry(n).or_default();
            register.begin(at, label);
            if self.expiring.is_some_and(|below| n < below) {
                register.expiry = Expiry::Crossed;
            }
        }
        match *op {
            Op::Begin(n) => drop(self.records.entry(n).or_insert(Fate::Begun)),
            Op::Open => self.endings_become(Ending::Told, Ending::Left),
            Op::Finish(n) => drop(self.endings.insert(n, Ending::Told)),
            Op::Learn { from, to, at } => {
                for n in from..to {
                    self.labels.entry(n).or_default().begin(at, learnt(n));
                }
                for to in recipients(from..to) {
                    self.sent.entry(to).or_default().begin(at, ());
                }
                self.batches.push((from..to, at));
            }
            Op::Sent { to, at } => self.sent.entry(to).or_default().begin(at, ()),
            Op::Seen(key) => self.greylist.entry(key).or_default().begun += 1,
            Op::Pass { key, at } => drop(self.greylist.entry(key).or_default().passes_begun.insert(at)),
            Op::Cursor { name, value } => self.cursors.entry(name).or_default().begin(value, ()),
            Op::Ledger(n) => drop(self.ledger.entry(n).or_default()),
            Op::ExpireHistory(below) => {
                self.expiring = Some(below);
                // Parts of a batch may go.
                self.batches.retain(|(numbers, _)| numbers.start >= below);
                let old = self.labels.range_mut(..below);
                old.for_each(|(_, label)| label.begin_expiry());
                let is_old = |sent: &&mut Register<()>| sent.acknowledged.is_none_or(|at| at < below);
                self.sent.values_mut().filter(is_old).for_each(Register::begin_expiry);
            }
            Op::ExpireSize(_) => self.shrinks = true,
            Op::Rebuild => self.taught.clear(),
            _ => {}
        }
    }

    pub fn acknowledge(&mut self, op: &Op) {
        if let Some((n, at, _)) = op.saying() {
            self.labels.entry(n).or_default().acknowledge(at);
        }
        match *op {
            Op::Begin(n) => drop(self.records.insert(n, Fate::Acknowledged)),
            Op::Teach { n, at, .. } => drop(self.taught.insert(n, at)),
            Op::Learn { from, to, at } => {
                for n in from..to {
                    self.labels.entry(n).or_default().acknowledge(at);
                }
                for to in recipients(from..to) {
                    self.sent.entry(to).or_default().acknowledge(at);
                }
                self.batches.retain(|batch| *batch != (from..to, at));
            }
            Op::Sent { to, at } => self.sent.entry(to).or_default().acknowledge(at),
            Op::Seen(key) => self.greylist.entry(key).or_default().acknowledged += 1,
            Op::Pass { key, at } => {
                let tries = self.greylist.entry(key).or_default();
                tries.pass_acknowledged = tries.pass_acknowledged.max(Some(at));
            }
            Op::Cursor { name, value } => self.cursors.entry(name).or_default().acknowledge(value),
            Op::Ledger(n) => drop(self.ledger.insert(n, true)),
            Op::ExpireHistory(_) => {
                self.expiring = None;
                self.labels.values_mut().for_each(Register::acknowledge_expiry);
                self.sent.values_mut().for_each(Register::acknowledge_expiry);
            }
            // What was lazy is written by then.
            Op::Close => self.endings_become(Ending::Told, Ending::Written),
            _ => {}
        }
    }

    fn endings_become(&mut self, before: Ending, after: Ending) {
        let endings = self.endings.values_mut().filter(|ending| **ending == before);
        endings.for_each(|ending| *ending = after);
    }

    /// Counts, and says what is wrong.
    pub async fn count(&mut self, store: &Store) -> Vec<String> {
        let mut faults = Vec::new();
        let reader = store.reader();
        let (labels, sent) = everything(reader).await;
        self.count_batches(&labels, &sent, &mut faults);
        self.count_lessons(reader, &labels, &mut faults).await;
        self.count_labels(reader, labels, &mut faults).await;
        self.count_sent(reader, sent, &mut faults).await;
        self.count_records(store, &mut faults).await;
        self.count_small(store, &mut faults).await;
        (self.expiring, self.shrinks) = (None, false);
        match reader.verify().await {
            Ok(verified) => faults.extend(verified.faults),
            Err(why) => faults.push(why.to_string()),
        }
        faults
    }

    /// Of a batch all is there, or nothing.
    fn count_batches(&mut self, labels: &[LabelRequest], sent: &[Sent], faults: &mut Vec<String>) {
        for (numbers, at) in std::mem::take(&mut self.batches) {
            let at_s = NOW_S + at.cast_signed();
            let ids: BTreeSet<MailwardId> = numbers.clone().map(id).collect();
            let labelled = labels.iter().filter(|l| l.said.at_s == at_s && ids.contains(&l.id));
            let written = sent.iter().filter(|sent| sent.at_s == at_s);
            let found = labelled.count() + written.count();
            let all = ids.len() + recipients(numbers.clone()).count();
            if found != 0 && found != all {
                faults.push(format!("of the batch {numbers:?} of {all} things {found} are there"));
            }
        }
    }

    /// Lessons are the labels that hold of messages that were shown. Those that were taught, and of which nothing else was
    /// said since, are taught; of the others nothing is, once the store was opened.
    async fn count_lessons(&mut self, reader: &Reader, labels: &[LabelRequest], faults: &mut Vec<String>) {
        let mut expected: BTreeMap<MailwardId, &LabelRequest> = labels
            .iter()
            .filter_map(|label| label.features.as_ref().map(|_| (label.id, label)))
            .collect();
        let taught = self
            .taught
            .iter()
            .map(|(n, at)| (id(*n), (*n, NOW_S + at.cast_signed())));
        let taught: BTreeMap<MailwardId, (u64, i64)> = taught.collect();
        for user in 0..2 {
            for kept in lessons(reader, user).await {
                let Some(label) = expected.remove(&kept.id).filter(|label| label.said.label == kept.said) else {
                    faults.push(format!("a lesson that no label makes: {kept:?}"));
                    continue;
                };
                let known = taught.get(&kept.id).filter(|(_, at_s)| *at_s == label.said.at_s);
                match (known, kept.taught) {
                    (Some((n, _)), found) if found != Some(lesson(*n, kept.said == Some(Label::Junk))) => {
                        faults.push(format!("lesson {n} is not taught as was acknowledged: {found:?}"));
                    }
                    (None, Some(found)) if Some(found.is_junk) != kept.said.map(|said| said == Label::Junk) => {
                        faults.push(format!("what was taught of {} is not what is said: {found:?}", kept.id));
                    }
                    _ => {}
                }
            }
        }
        faults.extend(expected.keys().map(|id| format!("the label of {id} lacks its lesson")));
    }

    async fn count_labels(&mut self, reader: &Reader, labels: Vec<LabelRequest>, faults: &mut Vec<String>) {
        let mut found: BTreeMap<MailwardId, LabelRequest> = labels.into_iter().map(|l| (l.id, l)).collect();
        let mut speaks: [BTreeSet<(i64, bool)>; 2] = Default::default();
        for (&n, register) in &mut self.labels {
            let label = found.remove(&id(n));
            let at = label.as_ref().map(|label| (label.said.at_s - NOW_S).cast_unsigned());
            let said = at.and_then(|at| Some((at, *register.begun.get(&at)?)));
            if let Err(why) = register.settle(at) {
                faults.push(format!("label {n}: {why}"));
            }
            let Some((at, what)) = said else { continue };
            if label != Some(request(n, at, what)) {
                faults.push(format!("label {n}: not as it was said at {at}: {label:?}"));
            }
            if let Some(what) = what {
                speaks[n as usize % 2].insert((NOW_S + n.cast_signed(), what == Label::Junk));
            }
        }
        faults.extend(
            found
                .values()
                .map(|label| format!("a label that nobody said: {label:?}")),
        );
        // What history says is what the labels that hold say, and no other one speaks.
        for (n, speaks) in (0..).zip(&speaks) {
            let rows = reader
                .newest(&mailbox(n), &everybody(), i64::MIN, 10_000)
                .await
                .unwrap();
            let heard: BTreeSet<(i64, bool)> = rows.iter().map(|row| (row.received_s, row.is_junk)).collect();
            if heard != *speaks || rows.len() != speaks.len() {
                let odd: Vec<_> = heard.symmetric_difference(speaks).collect();
                faults.push(format!("history and labels of {} differ: {odd:?}", mailbox(n)));
            }
        }
    }

    async fn count_sent(&mut self, reader: &Reader, all: Vec<Sent>, faults: &mut Vec<String>) {
        let mut found: BTreeMap<String, Sent> = all.into_iter().map(|s| (s.local.to_string(), s)).collect();
        for (&to, register) in &mut self.sent {
            let asked = sent(to, 0);
            let there = found.remove(asked.local.as_str());
            let at_s = there.as_ref().map(|sent| sent.at_s);
            if let Err(why) = register.settle(at_s.map(|at_s| (at_s - NOW_S).cast_unsigned())) {
                faults.push(format!("sent to {to}: {why}"));
            }
            let who = Correspondent::Address {
                local: asked.local,
                domain: asked.domain,
            };
            let since_s = at_s.unwrap_or(i64::MIN);
            let wrote = reader.wrote_to(&asked.mailbox, &who, since_s).await.unwrap();
            if wrote != at_s.is_some() {
                faults.push(format!("sent to {to}: known is {at_s:?}, and the answer is {wrote}"));
            }
        }
        faults.extend(found.values().map(|sent| format!("nobody was written to: {sent:?}")));
    }

    async fn count_records(&mut self, store: &Store, faults: &mut Vec<String>) {
        // The oldest go first, so that nothing is gone behind one that is there.
        let mut oldest = None;
        for (&n, fate) in &mut self.records {
            let found = store.find(id(n)).await.unwrap();
            match (&found, *fate) {
                (Some(_), Fate::Gone) => faults.push(format!("record {n} was gone, and is there")),
                (Some(found), _) if found.record != record(id(n), NOW_S, 2) => {
                    faults.push(format!("record {n} is another one: {found:?}"));
                }
                (None, Fate::Acknowledged) if !self.shrinks || oldest.is_some() => {
                    faults.push(format!("record {n} is lost"));
                }
                _ => {}
            }
            let ended = found.as_ref().is_some_and(|found| found.ending.is_some());
            match self.endings.remove(&n) {
                Some(Ending::Written) if found.is_some() && !ended => faults.push(format!("the ending of {n} is lost")),
                None if ended => faults.push(format!("record {n} has an ending")),
                _ => {}
            }
            if let Some(found) = found.as_ref().filter(|_| ended) {
                let same = found.ending == Some(ending(2)) && matches!(found.outcome(1), Outcome::Delivered { .. });
                faults.extend((!same).then(|| format!("the ending of {n} is another one")));
                self.endings.insert(n, Ending::Written);
            }
            oldest = oldest.or(found.as_ref().map(|_| n));
            *fate = found.map_or(Fate::Gone, |_| Fate::Acknowledged);
        }
    }

    async fn count_small(&mut self, store: &Store, faults: &mut Vec<String>) {
        for (name, register) in &mut self.cursors {
            let value = store.reader().cursor(&name.to_string()).await.unwrap();
            let value = value.map(|value| String::from_utf8(value).unwrap().parse().unwrap());
            if let Err(why) = register.settle(value) {
                faults.push(format!("cursor {name}: {why}"));
            }
        }
        for (&n, there) in &mut self.ledger {
            let found = store.ledger_delivered(key(n), NOW_S).await == ["a"];
            if *there && !found {
                faults.push(format!("ledger {n} is lost"));
            }
            *there = found;
        }
        self.ledger.retain(|_, there| *there);
        for (&key, tries) in &mut self.greylist {
            // To ask is to try.
            let entry = store.greylist_seen(GreylistKey::new([key; 16]), NOW_S, NOW_S + LONG_S);
            let entry = entry.await.unwrap();
            let before = entry.tries - 1;
            let passed = entry.passed_s.map(|at_s| (at_s - NOW_S).cast_unsigned());
            let known = passed.is_none_or(|at| tries.passes_begun.contains(&at));
            let is_whole = tries.acknowledged <= before && tries.pass_acknowledged <= passed;
            // A flood of strangers shall not cost records only.
            let is_new = self.shrinks && before == 0;
            if !(is_whole || is_new) || before > tries.begun || !known {
                faults.push(format!("greylist {key}: {entry:?} of {tries:?}"));
            }
            (tries.begun, tries.acknowledged, tries.pass_acknowledged) = (entry.tries, entry.tries, passed);
            tries.passes_begun.retain(|at| Some(*at) == passed);
        }
    }
}

async fn lessons(reader: &Reader, user: u64) -> Vec<KeptLesson> {
    let mut all: Vec<KeptLesson> = Vec::new();
    loop {
        let after = all.last().map(|lesson| lesson.id);
        match reader.lessons(&mailbox(user), after, LESSONS_MAX).await.unwrap() {
            page if page.is_empty() => return all,
            page => all.extend(page),
        }
    }
}

/// All labels, and all that was sent.
pub async fn everything(reader: &Reader) -> (Vec<LabelRequest>, Vec<Sent>) {
    let (mut labels, mut sent, mut from) = (Vec::new(), Vec::new(), None);
    loop {
        let page = reader.export(from, 500).await.unwrap();
        for one in page.remembered {
            match one {
                Remembered::Label(label) => labels.push(label),
                Remembered::Sent(one) => sent.push(one),
            }
        }
        from = page.next;
        if from.is_none() {
            return (labels, sent);
        }
    }
}
