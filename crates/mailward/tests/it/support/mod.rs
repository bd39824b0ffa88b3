//! What the integration tests stand on.
//!
//! - [`gateway`]: the real binary with directories of its own: start, stop, kill, start again.
//! - [`client`], [`wire`]: an SMTP client that can also misbehave, with TLS and without.
//! - [`daemon`]: the binary once more, with any arguments and environment, as whichever user.
//! - [`sink`]: a next hop inside the test process that refuses, hangs or breaks wherever it is told to.
//! - [`boxes`]: reading Maildirs, the quarantine, and headers.
//! - [`outside`]: what may be absent on a developer's machine (real servers, the shared cases) and must be there in CI.
//! - [`private_postfix`], [`private_dovecot`], [`private_exim`], [`private_clamd`], [`private_dns`]: servers of our own
//!   in temporary directories.
//! - [`certificates`]: an authority, and what it vouches for.
//! - [`dkim`]: signs messages.

// Each module offers a whole tool; a test file more or less may leave one of its parts idle.
#![allow(dead_code)]

pub mod boxes;
pub mod certificates;
pub mod client;
pub mod daemon;
pub mod dkim;
pub mod gateway;
pub mod outside;
pub mod private_clamd;
pub mod private_dns;
pub mod private_dovecot;
pub mod private_exim;
pub mod private_postfix;
pub mod sink;
pub mod wire;

use std::time::Duration;

/// No wait on another process is longer: a test that would wait for ever fails instead.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Small repeatable chance (xorshift64*): the seed is printed, so that a failing run can be had again.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        // The generator has one fixed point, zero.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The seed from `MAILWARD_SEED`, else `default`.
    pub fn seed(default: u64) -> u64 {
        match std::env::var("MAILWARD_SEED") {
            Ok(text) => text.parse().expect("MAILWARD_SEED is a number"),
            Err(_) => default,
        }
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % end
    }
}
