//! The doors: what speaks a protocol with the outside and asks the gateway. Doors know no checks.

mod intake;
pub mod smtp;
pub mod tls;
mod wire;
