//! The client of the virus scanner against the real one. It is called itself, since from outside of the gateway its answers
//! cannot all be told apart.

use std::sync::Arc;
use std::time::Duration;

use mailward::body::{Body, HEAD_OCTETS, Spooler};
use mailward::virus::{Clamd, VirusScan};

use crate::support::PATIENCE;
use crate::support::outside::{find_program, full_run, need};
use crate::support::private_clamd::{PROGRAMS, PrivateClamd, VIRUS, eicar};

/// Is clamd there? It needs no root, unlike other servers.
fn has_clamd(test: &str) -> bool {
    let is_there = || PROGRAMS.iter().all(|program| find_program(program).is_some());
    full_run(test) && need(test, is_there(), "`clamd` is not installed")
}

fn scan(address: &str, size_max: u64, message: &str) -> Result<VirusScan, String> {
    let clamd = Clamd {
        address: address.parse().expect("an address that the client reads"),
        size_max,
        timeout: PATIENCE,
    };
    let (head, tail) = message.as_bytes().split_at(message.len().min(HEAD_OCTETS));
    let mut body = Body::from(head.to_vec());
    if !tail.is_empty() {
        let mut spooler = Spooler::new(&std::env::temp_dir()).expect("a spool file");
        spooler.write(tail).expect("room for it");
        body.tail = Some(spooler.finish());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let found = runtime.block_on(clamd.scan(&Arc::new(body)));
    found.map_err(|why| why.to_string())
}

fn message(text: &str) -> String {
    format!("From: a@a.example\r\nTo: b@b.example\r\nSubject: x\r\n\r\n{text}\r\n")
}

#[test]
fn clamd_finds_a_virus_wherever_it_lies_and_nothing_in_other_mail() {
    if !has_clamd("clamd_finds_a_virus_wherever_it_lies_and_nothing_in_other_mail") {
        return;
    }
    let clamd = PrivateClamd::start("");
    let infected = Ok(VirusScan::Infected(mail::Line::literal(VIRUS)));
    let padding = "nothing to see here\r\n".repeat(HEAD_OCTETS / 10);
    for address in [clamd.address(), clamd.tcp_address()] {
        let found = |text: &str| scan(&address, u64::MAX, &message(text));
        assert_eq!(found("hello"), Ok(VirusScan::Clean));
        assert_eq!(found(&padding), Ok(VirusScan::Clean));
        assert_eq!(found(&eicar()), infected);
        assert_eq!(found(&format!("{padding}{}", eicar())), infected);
    }
    // What is past the limit is not looked at, so nothing is said of it.
    let octets = message(&eicar()).len() as u64;
    let found = scan(&clamd.address(), octets - 1, &message(&eicar()));
    assert_eq!(found, Ok(VirusScan::TooLarge { octets }));
}

#[test]
fn a_message_that_is_too_large_for_clamd_is_said_to_be() {
    if !has_clamd("a_message_that_is_too_large_for_clamd_is_said_to_be") {
        return;
    }
    let clamd = PrivateClamd::start("StreamMaxLength 1M");
    let large = message(&"x".repeat(8_000_000));
    let octets = large.len() as u64;
    for address in [clamd.address(), clamd.tcp_address()] {
        for _ in 0..20 {
            assert_eq!(scan(&address, u64::MAX, &large), Ok(VirusScan::TooLarge { octets }));
        }
        assert_eq!(scan(&address, u64::MAX, &message("x")), Ok(VirusScan::Clean));
    }
}

#[test]
fn a_clamd_that_is_gone_is_an_error_with_its_address() {
    if !has_clamd("a_clamd_that_is_gone_is_an_error_with_its_address") {
        return;
    }
    let clamd = PrivateClamd::start("");
    // Only by its socket: somebody else may listen at the port by now.
    let address = clamd.address();
    drop(clamd);
    let why = scan(&address, u64::MAX, &message("x")).expect_err("nobody is there");
    assert!(
        why.starts_with(&format!("clamd at {address}: cannot connect: ")),
        "{why}"
    );
    // A scanner that hangs: the listener's queue takes the connection, and nobody speaks.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let clamd = Clamd {
        address: silent
            .local_addr()
            .expect("it has one")
            .to_string()
            .parse()
            .expect("an address"),
        size_max: u64::MAX,
        timeout: Duration::from_millis(50),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let body = Arc::new(Body::from(message("x").into_bytes()));
    let why = runtime
        .expect("a runtime")
        .block_on(clamd.scan(&body))
        .expect_err("silence");
    assert!(why.as_str().ends_with("no answer within 50ms"), "{why}");
}
