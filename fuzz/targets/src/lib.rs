//! What must hold for any octets. Each target is a function that takes octets and panics where a promise is broken.
//!
//! `fuzz/fuzz_targets/` hands them to libFuzzer, which searches by coverage; `tests/corpus.rs` runs them over the kept
//! corpus and over mutations of it, as part of `./test`. Where a target needs numbers besides the octets it judges
//! (how many at once, which limits), it takes them from the front: see [`Input`].
//!
//! What is expected is told in the plainest way, by models that see all octets at once and do not share code with what
//! they judge.
//!
//! - `session`: whole dialogues. `messages`: what ends a message and what is in it. `replies`: what next hops answer.
//! - `peers`: what trusted peers say of a client. `header`: fields, facts, and what old ones prove. `names`: addresses, domains, lines.
//! - `auth`: what proves who sent a message.
//! - `spf`: what any zone makes of an SPF check.
//! - `dkim`: signatures and seals.
//! - `content`: what a message shows, what is learned from it, and where its links lead. `page`: what a page shows, beside
//!   the tree that html5ever makes of it.
//! - `mime_peers`: the parts of a message, beside two other readers of MIME.
//! - `model`: the plain models. `observer`: a reader of the wire, who finds the messages on it.

mod auth;
mod content;
mod dkim;
mod header;
mod messages;
mod mime_peers;
mod model;
mod names;
mod observer;
mod page;
mod peers;
mod replies;
mod session;
mod spf;

pub use auth::{auth_results, author, dmarc_record};
pub use content::{content, links};
pub use dkim::dkim_message;
pub use header::{header, letter, received};
pub use messages::{bdat_decoder, data_decoder, dot_stuffing};
pub use mime_peers::mime_peers;
pub use names::{address, command, domain, line};
pub use page::page;
pub use peers::{proxy_header, xclient};
pub use replies::client_replies;
pub use session::smtp_session;
pub use spf::spf_record;

/// A target.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: [(&str, Target); 23] = [
    ("smtp_session", smtp_session),
    ("data_decoder", data_decoder),
    ("bdat_decoder", bdat_decoder),
    ("dot_stuffing", dot_stuffing),
    ("client_replies", client_replies),
    ("proxy_header", proxy_header),
    ("xclient", xclient),
    ("command", command),
    ("header", header),
    ("received", received),
    ("letter", letter),
    ("address", address),
    ("domain", domain),
    ("line", line),
    ("auth_results", auth_results),
    ("spf_record", spf_record),
    ("dkim_message", dkim_message),
    ("author", author),
    ("dmarc_record", dmarc_record),
    ("content", content),
    ("page", page),
    ("links", links),
    ("mime_peers", mime_peers),
];

/// Octets from which numbers are taken at the front, so that what is judged stands at the end as it is.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// The next octet as a number; 0 when there is none.
    fn number(&mut self) -> usize {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                usize::from(*first)
            }
            None => 0,
        }
    }

    /// The octets that are left.
    fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// Cuts octets in pieces: all at once, one by one, and of a size between.
fn in_pieces(octets: &[u8], size: usize) -> [std::slice::Chunks<'_, u8>; 3] {
    [
        octets.chunks(octets.len().max(1)),
        octets.chunks(1),
        octets.chunks(size.max(1)),
    ]
}
