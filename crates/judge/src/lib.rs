//! The judgement: facts in, verdict out.
//!
//! Nothing here touches a disk, a clock or chance, and DNS only through the trait [`resolver::Resolver`]. The same facts
//! under the same policy give the same verdict, so a stored verdict can be replayed.
//!
//! - [`evidence`]: what is known of a message and of each recipient's mailbox.
//! - [`resolver`]: DNS as the judgement asks it; [`zone`]: the same from a zone file.
//! - [`auth`]: who really sent it; what DKIM and ARC say of it comes from the crate `signatures`.
//! - [`dnsbl`]: DNS lists of addresses and domains.
//! - [`reputation`]: what a mailbox remembers of whoever writes to it.
//! - [`content`]: what a message shows and how it is made, as features; [`junk`]: the learner that counts them.
//! - [`rates`]: how much mail a network may send; [`greylist`]: how strangers are asked to come again.
//! - [`virus`]: what a virus scanner says.
//! - [`policy`]: what one domain's operator switched on, and what shall follow.
//! - [`checks`]: the plain checks, each a function of what it needs.
//! - [`lists`]: blacklists and whitelists.
//! - [`verdict`]: [`verdict::decide`] makes the verdict, in the one order that every door shares.
//! - [`reason`]: why, in plain sentences.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod auth;
pub mod checks;
pub mod content;
mod disposition;
pub mod dnsbl;
pub mod evidence;
mod fact;
pub mod greylist;
pub mod junk;
pub mod links;
pub mod lists;
mod origin;
pub mod policy;
pub mod rates;
pub mod reason;
pub mod reputation;
pub mod resolver;
mod rule;
mod settings;
pub mod verdict;
pub mod virus;
pub mod zone;
