//! Crowds at the door: a thousand that say nothing and a thousand that say an octet now and then leave the others
//! undisturbed.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::client::{Client, Mail};
use crate::support::gateway::Setup;
use crate::support::sink::Sink;

const CROWD: usize = 1000;
/// Long, for a busy machine and a program that is not optimised; far less than any of them would wait.
const SOON: Duration = Duration::from_secs(10);

/// Both ends of every connection are open in this process or the gateway.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).expect("up to the hard limit");
}

/// Connects from an address of its own network.
fn connect(kind: u8, n: usize, to: SocketAddr) -> Client {
    let source = IpAddr::from([127, kind, (n / 250) as u8, (n % 250) as u8 + 1]);
    Client::connect_from(source, to).expect("a connection")
}

#[test]
fn a_thousand_silent_and_a_thousand_slow_clients_leave_the_others_undisturbed() {
    raise_file_limit();
    let sink = Sink::start();
    let gateway = Setup::new()
        .srv(&["example.com/users/valid/*"])
        .before_sink(&sink)
        .set("limits.connections", "5000")
        .set("limits.connections_per_client", "500")
        .start();
    let before = gateway.rss_kb();
    let silent: Vec<Client> = (0..CROWD).map(|n| connect(10, n, gateway.addr())).collect();
    let mut slow: Vec<Client> = (0..CROWD).map(|n| connect(20, n, gateway.addr())).collect();
    for (n, client) in slow.iter_mut().enumerate() {
        assert_eq!(client.reply().expect("a greeting").code, 220);
        client.command("EHLO slow.example").expect("a reply");
        // A part of them in a command, a part in a message.
        if n % 2 == 0 {
            client.begin_data(&Mail::new("slow@load.example", &["foo@example.com"]));
            client.send(b"Subject: x\r\n").expect("it is read");
        }
    }
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                for client in &mut slow {
                    let _ = client.send(b"x");
                }
            }
        });
        for n in 0..20 {
            let started = Instant::now();
            let mail = Mail::new(&format!("{n}@load.example"), &["foo@example.com"]).padded(20_000);
            let answers = Client::deliver(gateway.addr(), &mail);
            let took = started.elapsed();
            if answers.as_ref().map_or(0, |answers| answers.decisive().code) != 250 || took > SOON {
                over.store(true, Ordering::Relaxed);
                panic!("message {n} took {took:?}: {answers:?}");
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(sink.taken().len(), 20);
    let after = gateway.rss_kb();
    assert!(after < before + 64 * 1024, "{before} KB before, {after} KB after");
    assert!(gateway.open_files() >= 2 * CROWD, "they are all there");
    drop((silent, slow));
}
