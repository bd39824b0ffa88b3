//! The resolver against a name server on loopback that says what each test wants.

mod answers;
mod messages;
mod server;
mod sharing;
mod trouble;

use super::*;
use judge::resolver::{Kind, Name, Record};
use server::Server;

/// Long enough that nothing times out on a busy machine.
const PATIENT_MS: u64 = 20_000;
/// Long enough for a packet or two on loopback, for tests in which nobody answers.
const IMPATIENT_MS: u64 = 80;

fn settings(servers: &[&Server], timeout_ms: u64) -> Settings {
    Settings {
        servers: servers.iter().map(|server| server.address).collect(),
        enabled: true,
        trust_ad: false,
        timeout_ms,
        cache_entries: 1000,
    }
}

fn dns(servers: &[&Server], timeout_ms: u64) -> Dns {
    Dns::open(&settings(servers, timeout_ms)).unwrap()
}

fn question(name: &str, kind: Kind) -> Question {
    Question {
        name: Name::parse(name).unwrap(),
        kind,
    }
}

async fn ask(dns: &Dns, name: &str, kind: Kind) -> Answer {
    dns.ask(question(name, kind)).await
}

fn trouble(trouble: Trouble) -> Answer {
    Answer::unavailable(trouble)
}

fn unproven(outcome: Outcome) -> Answer {
    Answer {
        outcome,
        security: Security::Unknown,
    }
}

fn records<const N: usize>(records: [Record; N]) -> Answer {
    unproven(Outcome::Records(Arc::new(records)))
}

fn address(ip: [u8; 4]) -> Answer {
    records([Record::A(ip.into())])
}
