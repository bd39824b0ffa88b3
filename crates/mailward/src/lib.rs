//! Mailward: an anti-spam gateway that stands at the door of a mail server and judges each message while the sender is
//! still on the line.
//!
//! - [`front`]: the doors. - [`gateway`]: one message: gather, decide, act. - [`relay`]: next hops.
//! - [`body`]: a message as received, large ones in files.
//! - [`zones`]: which DNS lists work. - [`virus`]: the virus scanner.
//! - [`domains`]: the tree of plain files that decides. - [`quarantine`]: what was refused or held.
//! - [`config`]: what an operator can set. - [`observe`]: logs. - [`metrics`]: counts. - [`cli`]: the commands.
//! - [`judgement`]: one judgement for every way in; asks what a verdict needs: [`dns`], DNS lists ([`zones`]), the
//!   scanner ([`virus`]). [`client`]: who sent a message here.
//! - [`process`]: what the daemon may, and whom it becomes. - [`notify`]: what systemd is told of it.

// They panic when nobody reads any more; `cli::say` does not.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

pub mod body;
pub mod cli;
pub mod client;
pub mod config;
pub mod dns;
pub mod domains;
pub mod filter;
pub mod front;
pub mod gateway;
pub mod judgement;
#[cfg(test)]
mod log_of_tests;
pub mod metrics;
pub mod notify;
pub mod observe;
pub mod process;
pub mod quarantine;
pub mod relay;
pub mod virus;
pub mod zones;
