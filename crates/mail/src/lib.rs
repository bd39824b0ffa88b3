//! The mail standards as types: octets in, types out, and back.
//!
//! Nothing here touches a network, a disk, a clock or chance, and nothing here panics on input:
//! what cannot be parsed is an `Err` that says where it broke.
//!
//! - [`domain`], [`address`]: names (RFC 5321, RFC 5890), compared the way the gateway compares them.
//! - [`reply`]: SMTP replies; the only place that makes reply octets.
//! - [`text`]: foreign text made safe for one line of a log, a reply, a header or a terminal.
//! - [`message`]: header and body of a message, as received (RFC 5322).
//! - [`mime`]: its parts, decoded (RFC 2045); [`html`]: what a page shows, and what it hides.
//! - [`auth_results`]: what was proven of a message, as a header field (RFC 8601).
//! - [`received`]: who gave a message to whom, as hosts on its way wrote it (RFC 5321 §4.4).
//! - [`proxy`]: the header by which a balancer names the client.
//! - [`smtp`]: command grammar, the server's session and the client's, without sockets.
//! - [`limits`]: the sizes that bound all of it.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod address;
pub mod auth_results;
mod domain;
pub mod html;
pub mod limits;
mod message;
pub mod mime;
pub mod proxy;
pub mod received;
mod reply;
pub mod smtp;
mod text;

pub use address::{Address, AddressError, ForwardPath, Host, LocalPart, MailboxId, ReversePath};
pub use domain::{Domain, DomainError, canonical_ip};
pub use message::{Field, Message, is_mbox_separator, mbox_lines};
pub use reply::{Reply, Severity};
pub use text::{Line, REASON_CHARS_MAX, is_ignorable, is_invisible};
