//! kill -9 while people label their mail, and then the count: what a command has said with exit code 0 is in the store,
//! and of several sayings about one message the last one holds.
//!
//! Commands go on whatever becomes of the daemon: beside it through its socket, and while it is down by themselves. So
//! they are also at work while it starts. `MAILWARD_SEED` repeats a run's dice.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::boxes;
use crate::support::client::{Client, Mail};
use crate::support::daemon::output;
use crate::support::gateway::{Gateway, Setup};
use crate::support::outside;
use crate::support::sink::Sink;
use crate::support::{Dice, PATIENCE};

const KILLS: u64 = 100;
const CLIENTS: u64 = 3;
const PEOPLE: u64 = 3;
const FOO: &str = "foo@example.com";

#[test]
fn a_hundred_kills_lose_no_label_and_no_sent_mail_that_a_command_has_acknowledged() {
    const TEST: &str = "a_hundred_kills_lose_no_label_and_no_sent_mail_that_a_command_has_acknowledged";
    if !outside::full_run(TEST) {
        return;
    }
    let sink = Sink::start();
    let mut gateway = Setup::new()
        .srv(&["example.com/users/valid/foo"])
        // Each label is a lesson, too.
        .file("example.com/checks/junk", "shadow = true")
        .set("limits.connections_per_client", "100")
        .before_sink(&sink)
        .start();
    let seed = Dice::seed(5);
    let begun = Instant::now();
    let world = World::default();
    world.change(|state| state.addr = Some(gateway.addr()));
    let config = gateway.config().to_owned();
    std::thread::scope(|scope| {
        for n in 0..CLIENTS {
            let world = &world;
            scope.spawn(move || world.send(n));
        }
        for n in 0..PEOPLE {
            let (world, config) = (&world, &config);
            scope.spawn(move || world.label(config, n, Dice::new(seed * 1000 + n)));
        }
        // Whatever goes wrong here, the others must hear that it is over, or the scope would wait for ever.
        let ending = Ending(&world);
        kill_again_and_again(&world, &mut gateway, Dice::new(seed));
        drop(ending);
    });
    assert!(gateway.stop().success());
    let state = world.state.into_inner().unwrap();
    let said: usize = state.said.values().map(Vec::len).sum();
    outside::say(&format!(
        "label kill test: seed {seed}: {KILLS} kills, {} messages, {said} sayings and {} addresses, {} acknowledged, \
         {:.1} s",
        state.accepted.len(),
        state.sent.len(),
        state.acknowledged,
        begun.elapsed().as_secs_f64()
    ));
    settle(&state, &sink, &gateway, seed);
}

fn kill_again_and_again(world: &World, gateway: &mut Gateway, mut dice: Dice) {
    for _ in 0..KILLS {
        world.await_acknowledged(1 + dice.below(5));
        // Into the next command, most of which is the start of a process.
        let bits = 5 + dice.below(11);
        std::thread::sleep(Duration::from_micros(dice.below(1 << bits)));
        world.change(|state| state.addr = None);
        gateway.kill();
        if dice.below(6) == 0 {
            gateway.start_and_kill(Duration::from_micros(dice.below(20_000)));
        }
        gateway.start_again();
        world.change(|state| state.addr = Some(gateway.addr()));
    }
    world.await_acknowledged(PEOPLE);
}

struct Ending<'a>(&'a World);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.change(|state| state.over = true);
    }
}

/// What clients, people and the killer share.
#[derive(Default)]
struct World {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Where the gateway listens; absent while it is down.
    addr: Option<SocketAddr>,
    over: bool,
    /// Ids and Message-IDs of what was answered with 250.
    accepted: Vec<(String, String)>,
    /// Of each message what was said, in its order.
    said: HashMap<String, Vec<Saying>>,
    /// To whom somebody wrote, and whether that was acknowledged.
    sent: Vec<(String, bool)>,
    acknowledged: u64,
}

#[derive(Debug, Clone, Copy)]
struct Saying {
    what: &'static str,
    acknowledged: bool,
}

impl World {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }

    /// Waits until commands acknowledged `more`.
    fn await_acknowledged(&self, more: u64) {
        let state = self.state.lock().unwrap();
        let enough = state.acknowledged + more;
        let wait = self
            .changed
            .wait_timeout_while(state, PATIENCE, |state| state.acknowledged < enough);
        assert!(!wait.unwrap().1.timed_out(), "no command succeeds");
    }

    /// One message after the other; what is not accepted is given up.
    fn send(&self, client: u64) {
        for n in 0.. {
            let state = self.state.lock().unwrap();
            let wait = |state: &mut State| state.addr.is_none() && !state.over;
            let state = self.changed.wait_timeout_while(state, PATIENCE, wait).unwrap().0;
            let Some(addr) = state.addr.filter(|_| !state.over) else {
                return;
            };
            drop(state);
            let message_id = format!("{client}.{n}@load.example");
            let Ok(answers) = Client::deliver(addr, &Mail::new(&message_id, &[FOO])) else {
                continue;
            };
            let reply = answers.decisive();
            if let (250, Some(id)) = (reply.code, reply.id()) {
                self.change(|state| state.accepted.push((id, message_id)));
            }
        }
    }

    /// Labels one message or another of those that are this person's, and now and then writes to somebody.
    fn label(&self, config: &Path, person: u64, mut dice: Dice) {
        for n in 0.. {
            let state = self.state.lock().unwrap();
            let count = |state: &State| (state.accepted.len() as u64 / PEOPLE).min(20);
            let wait = self
                .changed
                .wait_timeout_while(state, PATIENCE, |state| count(state) == 0 && !state.over);
            let state = wait.unwrap().0;
            if state.over {
                return;
            }
            let which = dice.below(count(&state)) * PEOPLE + person;
            let id = state.accepted[which as usize].0.clone();
            drop(state);
            if dice.below(4) == 0 {
                let to = format!("friend{person}.{n}@pats.example");
                let done = succeeds(config, &["sent", FOO, &to]);
                self.change(|state| {
                    state.sent.push((to, done));
                    state.acknowledged += u64::from(done);
                });
            } else {
                let what = ["junk", "notjunk", "forget"][dice.below(3) as usize];
                let acknowledged = succeeds(config, &["label", what, &id]);
                self.change(|state| {
                    state.said.entry(id).or_default().push(Saying { what, acknowledged });
                    state.acknowledged += u64::from(acknowledged);
                });
            }
        }
    }
}

/// Whether a command ends with exit code 0.
fn succeeds(config: &Path, args: &[&str]) -> bool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailward"));
    command.args(args).arg("--config").arg(config);
    output(command).status.success()
}

/// What the store has: labels by id, in the command's words, and to whom somebody wrote.
fn exported(gateway: &Gateway) -> (HashMap<String, &'static str>, HashSet<String>) {
    let (mut labels, mut sent) = (HashMap::new(), HashSet::new());
    let export = gateway.command(&["store", "export"]);
    for line in String::from_utf8(export.stdout).expect("text").lines() {
        let one: Value = serde_json::from_str(line).expect("a line of JSON");
        if let Some(local) = one["sent"]["local"].as_str() {
            sent.insert(format!("{local}@pats.example"));
            continue;
        }
        let what = match one["label"]["said"]["label"].as_str() {
            Some("junk") => "junk",
            Some("not_junk") => "notjunk",
            None => "forget",
            Some(other) => panic!("no label: {other}"),
        };
        labels.insert(one["label"]["id"].as_str().expect("an id").to_owned(), what);
    }
    (labels, sent)
}

/// Counts what was acknowledged against what is there.
fn settle(state: &State, sink: &Sink, gateway: &Gateway, seed: u64) {
    let mut faults = Vec::new();
    let there: HashSet<String> = sink
        .taken()
        .iter()
        .map(|taken| boxes::message_id(&taken.message))
        .collect();
    let lost = state
        .accepted
        .iter()
        .filter(|(_, message_id)| !there.contains(message_id));
    faults.extend(lost.map(|(id, message_id)| format!("message {id}, {message_id}, is lost")));

    let (mut labels, sent) = exported(gateway);
    for (id, said) in &state.said {
        let last = said.iter().rposition(|saying| saying.acknowledged);
        // What failed after it may have taken effect.
        let may_hold = &said[last.unwrap_or(0)..];
        let fits = match labels.remove(id) {
            Some(found) => may_hold.iter().any(|saying| saying.what == found),
            None => last.is_none(),
        };
        if !fits {
            faults.push(format!("the label of {id} is not what was said: {said:?}"));
        }
    }
    faults.extend(labels.keys().map(|id| format!("nobody labelled {id}")));
    let lost = state
        .sent
        .iter()
        .filter(|(to, acknowledged)| *acknowledged && !sent.contains(to));
    faults.extend(lost.map(|(to, _)| format!("that somebody wrote to {to} is lost")));

    let verify = gateway.command(&["store", "verify"]);
    let text = String::from_utf8(verify.stdout).expect("text");
    if !verify.status.success() || text.lines().last() != Some("nothing wrong") {
        faults.push(text);
    }
    let stats = gateway.command(&["store", "stats", "--json"]);
    let stats: Value = serde_json::from_slice(&stats.stdout).expect("JSON");
    let [lessons, junk, notjunk] = ["lessons", "junk", "not_junk"].map(|name| stats[name].as_u64().expect("a number"));
    if lessons != junk + notjunk || lessons == 0 {
        faults.push(format!("{lessons} lessons of {junk} junk and {notjunk} wanted"));
    }
    assert!(
        faults.is_empty(),
        "seed {seed}: {} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
    assert!(
        state.acknowledged > KILLS && state.said.len() > 10,
        "the load did not run"
    );
}
