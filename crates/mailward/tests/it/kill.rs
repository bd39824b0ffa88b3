//! kill -9 at random moments under load, and then the count: what was answered with 250 is delivered or held, what was
//! refused is held, and nothing comes twice that was sent once.
//!
//! The moment of a kill is drawn by chance: so many more answers, and a few microseconds on top; now and then in the
//! middle of a start. So kills fall into work, on a fast machine and on a slow one, and no assertion knows a clock.
//! `MAILWARD_SEED` repeats a run's dice (not the threads' interleaving).

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::support::boxes;
use crate::support::client::{Client, Mail};
use crate::support::gateway::{Gateway, Setup};
use crate::support::outside;
use crate::support::sink::{Act, Script, Sink, Stage};
use crate::support::{Dice, PATIENCE};

const CLIENTS: u64 = 6;

/// Recipients who exist; every other local part is unknown, and its mail is held.
const USERS: [&str; 2] = ["foo@example.com", "bar@example.com"];

/// What a message may be addressed to: accepted, refused, and mixtures.
const MIXTURES: [&[&str]; 6] = [
    &["foo@example.com"],
    &["bar@example.com"],
    &["nobody@example.com"],
    &["foo@example.com", "bar@example.com"],
    &["foo@example.com", "nobody@example.com"],
    &["nobody@example.com", "bar@example.com", "noone@example.com"],
];

#[test]
fn two_hundred_kills_lose_nothing_before_an_smtp_next_hop() {
    const TEST: &str = "two_hundred_kills_lose_nothing_before_an_smtp_next_hop";
    if !outside::full_run(TEST) {
        return;
    }
    let sink = Sink::start();
    let mut gateway = setup().before_sink(&sink).start();
    let sent = load_with_kills(&mut gateway, 200, Dice::seed(1));
    let mut delivered = Copies::default();
    for taken in sink.taken() {
        taken.rcpts.iter().for_each(|rcpt| delivered.add(rcpt, &taken.message));
    }
    settle(&sent, &delivered, &gateway);
}

#[test]
fn a_hundred_kills_lose_nothing_before_an_lmtp_next_hop_that_fails_in_part() {
    const TEST: &str = "a_hundred_kills_lose_nothing_before_an_lmtp_next_hop_that_fails_in_part";
    if !outside::full_run(TEST) {
        return;
    }
    // Everybody exists for the gateway; it is the next hop that refuses some, and defers each seventh, after the dot.
    let others = ["nobody@example.com", "noone@example.com"];
    let script = Script::default().flaky(7);
    let script = others
        .iter()
        .fold(script, |script, rcpt| script.end(rcpt, "550 5.2.1 disabled"));
    let sink = Sink::lmtp(script);
    let setup = setup().srv(&["example.com/users/valid/nobody", "example.com/users/valid/noone"]);
    let mut gateway = setup.before_sink(&sink).start();
    let sent = load_with_kills(&mut gateway, 100, Dice::seed(3));
    let mut delivered = Copies::default();
    for taken in sink.taken() {
        taken.rcpts.iter().for_each(|rcpt| delivered.add(rcpt, &taken.message));
    }
    settle(&sent, &delivered, &gateway);
}

#[test]
fn sixty_kills_lose_nothing_before_next_hops_that_die_at_each_stage() {
    const TEST: &str = "sixty_kills_lose_nothing_before_next_hops_that_die_at_each_stage";
    if !outside::full_run(TEST) {
        return;
    }
    for sink in [Sink::start(), Sink::lmtp(Script::default())] {
        let mut gateway = setup().before_sink(&sink).start();
        let over = AtomicBool::new(false);
        let sent = std::thread::scope(|scope| {
            scope.spawn(|| die_again_and_again(&sink, &over));
            let ending = Flag(&over);
            let sent = load_with_kills(&mut gateway, 30, Dice::seed(4));
            drop(ending);
            sent
        });
        let mut delivered = Copies::default();
        for taken in sink.taken() {
            taken.rcpts.iter().for_each(|rcpt| delivered.add(rcpt, &taken.message));
        }
        settle(&sent, &delivered, &gateway);
    }
}

/// Set when dropped, whatever went wrong before.
struct Flag<'a>(&'a AtomicBool);

impl Drop for Flag<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Breaks at one stage after the other, with a while of health in between; an acknowledgement may be lost too.
fn die_again_and_again(sink: &Sink, over: &AtomicBool) {
    use Stage::*;
    let stages = [
        Connect,
        Greeting,
        Ehlo,
        Mail,
        Rcpt,
        Data,
        Body,
        Dot,
        Ack,
        End(0),
        End(1),
    ];
    for n in 0.. {
        let act = if n % 2 == 0 { Act::Reset } else { Act::Close };
        sink.play(Script::default().at(stages[n % stages.len()], act));
        std::thread::sleep(Duration::from_millis(5));
        sink.play(Script::default());
        std::thread::sleep(Duration::from_millis(10));
        if over.load(Ordering::Relaxed) {
            return;
        }
    }
}

#[test]
fn sixty_kills_lose_nothing_before_maildirs() {
    const TEST: &str = "sixty_kills_lose_nothing_before_maildirs";
    if !outside::full_run(TEST) {
        return;
    }
    let mut gateway = setup().before_maildirs().start();
    let sent = load_with_kills(&mut gateway, 60, Dice::seed(2));
    let mut delivered = Copies::default();
    for user in USERS {
        let (local, domain) = user.split_once('@').expect("an address");
        boxes::maildir(&gateway.maildir(domain, local))
            .iter()
            .for_each(|copy| delivered.add(user, copy));
    }
    settle(&sent, &delivered, &gateway);
}

fn setup() -> Setup {
    let users = ["example.com/users/valid/foo", "example.com/users/valid/bar"];
    Setup::new().srv(&users).set("limits.connections_per_client", "100")
}

/// What one client knows of one message.
#[derive(Debug)]
struct Sent {
    id: String,
    rcpts: &'static [&'static str],
    /// How many times its transaction was begun.
    attempts: u32,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// 250.
    Accepted,
    /// 5xx.
    Refused,
    /// 4xx, or no answer, and the client gave up.
    Open,
}

/// What the clients and the killer share.
#[derive(Default)]
struct Load {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Where the gateway listens; absent while it is down.
    addr: Option<SocketAddr>,
    answers: u64,
    over: bool,
    sent: Vec<Sent>,
}

impl Load {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }

    /// Waits until the gateway is up.
    fn addr(&self) -> SocketAddr {
        let state = self.state.lock().unwrap();
        let wait = self
            .changed
            .wait_timeout_while(state, PATIENCE, |state| state.addr.is_none());
        wait.unwrap().0.addr.expect("the gateway is started again")
    }

    /// Waits until the clients got `more` answers.
    fn await_answers(&self, more: u64) {
        let state = self.state.lock().unwrap();
        let enough = state.answers + more;
        let wait = self
            .changed
            .wait_timeout_while(state, PATIENCE, |state| state.answers < enough);
        assert!(!wait.unwrap().1.timed_out(), "no answer to any client for {PATIENCE:?}");
    }

    fn over(&self) -> bool {
        self.state.lock().unwrap().over
    }
}

/// Lets clients send, kills the gateway `kills` times, and stops it once every client is done.
fn load_with_kills(gateway: &mut Gateway, kills: u64, seed: u64) -> Vec<Sent> {
    outside::say(&format!(
        "kill test: {kills} kills, seed {seed} (MAILWARD_SEED repeats it)"
    ));
    let begun = Instant::now();
    let load = Load::default();
    load.change(|state| state.addr = Some(gateway.addr()));
    std::thread::scope(|scope| {
        for n in 0..CLIENTS {
            let load = &load;
            scope.spawn(move || Sender::new(load, n, seed).run());
        }
        // Whatever goes wrong here, the clients must hear that it is over, or the scope would wait for ever.
        let ending = Ending(&load);
        let mut dice = Dice::new(seed);
        for _ in 0..kills {
            load.await_answers(dice.below(24));
            std::thread::sleep(Duration::from_micros(dice.below(3000)));
            load.change(|state| state.addr = None);
            gateway.kill();
            if dice.below(8) == 0 {
                gateway.start_and_kill(Duration::from_micros(dice.below(20_000)));
            }
            gateway.start_again();
            load.change(|state| state.addr = Some(gateway.addr()));
        }
        load.await_answers(CLIENTS);
        drop(ending);
    });
    let status = gateway.stop();
    assert!(status.success(), "the gateway ended with {status}");
    outside::say(&format!(
        "kill test: {kills} kills in {:.1} s",
        begun.elapsed().as_secs_f64()
    ));
    load.state.into_inner().unwrap().sent
}

struct Ending<'a>(&'a Load);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.change(|state| state.over = true);
    }
}

/// One client: a message after the other, each with an id of its own, over a kept session when it has one.
struct Sender<'a> {
    load: &'a Load,
    name: String,
    dice: Dice,
    session: Option<Client>,
}

impl<'a> Sender<'a> {
    fn new(load: &'a Load, n: u64, seed: u64) -> Self {
        Self {
            load,
            name: format!("{seed}.{n}"),
            dice: Dice::new(seed * 1000 + n + 1),
            session: None,
        }
    }

    fn run(mut self) {
        let mut count = 0;
        while !self.load.over() {
            count += 1;
            let sent = self.one_message(&format!("{}.{count}@load.example", self.name));
            self.load.change(|state| state.sent.push(sent));
        }
    }

    /// Sends one message. Half of them are given up after one attempt; the others are sent until they are answered,
    /// as mail servers do.
    fn one_message(&mut self, id: &str) -> Sent {
        let rcpts = MIXTURES[self.dice.below(MIXTURES.len() as u64) as usize];
        let patient = self.dice.below(2) == 0;
        // Most are small; a few are past the size up to which bodies are kept in memory.
        let octets = [100, 100, 2_000, 2_000, 20_000, 20_000, 20_000, 400_000][self.dice.below(8) as usize];
        let mut mail = Mail::new(id, rcpts).padded(octets);
        mail.message.extend_from_slice(last_line(id).as_bytes());
        if self.dice.below(4) == 0 {
            self.session = None;
        }
        let mut sent = Sent {
            id: id.to_owned(),
            rcpts,
            attempts: 0,
            fate: Fate::Open,
        };
        for tries in 1_u32.. {
            let code = self.attempt(&mail, &mut sent.attempts);
            match code {
                Some(200..=299) => sent.fate = Fate::Accepted,
                Some(500..=599) => sent.fate = Fate::Refused,
                _ => self.session = None,
            }
            if code.is_some() {
                self.load.change(|state| state.answers += 1);
            }
            let done = sent.fate != Fate::Open || (!patient && sent.attempts > 0);
            // The test is over, and the gateway does not recover: patience ends too.
            if done || (tries > 1000 && self.load.over()) {
                break;
            }
        }
        sent
    }

    /// One attempt; the decisive code, if one came. It counts once a session stands.
    fn attempt(&mut self, mail: &Mail, attempts: &mut u32) -> Option<u16> {
        if self.session.is_none() {
            self.session = open_session(self.load.addr());
        }
        let session = self.session.as_mut()?;
        *attempts += 1;
        Some(session.transaction(mail).ok()?.decisive().code)
    }
}

fn open_session(addr: SocketAddr) -> Option<Client> {
    let mut client = Client::connect(addr).ok()?;
    let welcome = client.reply().ok()?.code == 220;
    (welcome && client.command("EHLO mx.sender.example").ok()?.code == 250).then_some(client)
}

/// Shows that a copy is whole.
fn last_line(id: &str) -> String {
    format!("end of {id}\r\n")
}

/// How many copies of a message a recipient has.
#[derive(Default)]
struct Copies {
    count: HashMap<(String, String), u32>,
    faults: Vec<String>,
}

impl Copies {
    fn add(&mut self, rcpt: &str, message: &[u8]) {
        let id = boxes::message_id(message);
        let text = String::from_utf8_lossy(message).replace("\r\n", "\n");
        if !text.ends_with(&last_line(&id).replace("\r\n", "\n")) {
            self.faults.push(format!("the copy of {id} for {rcpt} is not whole"));
        }
        *self.count.entry((id, rcpt.to_owned())).or_default() += 1;
    }

    fn of(&self, id: &str, rcpt: &str) -> u32 {
        self.count.get(&(id.to_owned(), rcpt.to_owned())).copied().unwrap_or(0)
    }
}

/// Counts what was promised against what is there.
fn settle(sent: &[Sent], delivered: &Copies, gateway: &Gateway) {
    let mut held = Copies::default();
    for copy in boxes::held(&gateway.spam()) {
        held.add(&copy.recipient, &copy.message);
    }
    print_summary(sent, delivered, &held, gateway);
    let mut faults = [&delivered.faults[..], &held.faults].concat();
    for message in sent {
        settle_message(message, delivered, &held, &mut faults);
    }
    let ids: HashSet<&str> = sent.iter().map(|message| message.id.as_str()).collect();
    for (id, rcpt) in delivered.count.keys().chain(held.count.keys()) {
        if !ids.contains(id.as_str()) {
            faults.push(format!("a copy of `{id}` for {rcpt}, which nobody sent"));
        }
    }
    let count = faults.len();
    assert!(faults.is_empty(), "{count} faults:\n{}", faults.join("\n"));
    let some = |fate| sent.iter().any(|message| message.fate == fate);
    assert!(some(Fate::Accepted) && some(Fate::Refused), "the load did not run");
}

fn settle_message(message: &Sent, delivered: &Copies, held: &Copies, faults: &mut Vec<String>) {
    for &rcpt in message.rcpts {
        let (there, elsewhere) = match USERS.contains(&rcpt) {
            true => (delivered.of(&message.id, rcpt), held.of(&message.id, rcpt)),
            false => (held.of(&message.id, rcpt), delivered.of(&message.id, rcpt)),
        };
        let lost = message.fate != Fate::Open && there == 0;
        // SMTP cannot avoid a second copy where a client never heard of the first; but it can any other.
        let too_many = there > message.attempts;
        if lost || too_many || elsewhere > 0 {
            faults.push(format!(
                "{rcpt} has {there} copies, and {elsewhere} where none belongs: {message:?}"
            ));
        }
    }
}

fn print_summary(sent: &[Sent], delivered: &Copies, held: &Copies, gateway: &Gateway) {
    let fate = |fate| sent.iter().filter(|message| message.fate == fate).count();
    outside::say(&format!(
        "kill test: {} messages: {} accepted, {} refused, {} left open",
        sent.len(),
        fate(Fate::Accepted),
        fate(Fate::Refused),
        fate(Fate::Open),
    ));
    let copies = |copies: &Copies| copies.count.values().sum::<u32>();
    let repeated = |copies: &Copies| copies.count.values().filter(|&&count| count > 1).count();
    let index = boxes::index(&gateway.spam());
    let listed: HashSet<String> = index.iter().map(|line| line.field("filename")).collect();
    let files = boxes::held(&gateway.spam());
    outside::say(&format!(
        "kill test: {} copies delivered ({} more than once), {} held ({} more than once); \
         index.json: {} copies not listed, {} lines cut off",
        copies(delivered),
        repeated(delivered),
        copies(held),
        repeated(held),
        files.iter().filter(|copy| !listed.contains(&copy.file_name)).count(),
        index.iter().filter(|line| line.fields.is_none()).count(),
    ));
}
