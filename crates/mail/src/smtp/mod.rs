//! SMTP (RFC 5321) without sockets, clock or chance: octets in, decisions asked for, octets out.
//!
//! - [`command`]: the grammar of commands; what is no command is a fact, not a sentence.
//! - [`data`]: the message behind DATA, read so that nothing but `CRLF . CRLF` ends it. [`bdat`]: the one behind BDAT.
//! - [`nul`]: what becomes of NUL octets in either, and where they stood.
//! - [`xclient`]: what a trusted proxy says of the client behind it.
//! - [`server`]: the session of a server, which asks the gateway where a decision is due.
//! - [`refusal`]: why a server refuses, for logs and counts.
//! - [`conduct`]: how a client kept to the order of speech, as facts.
//! - [`client`]: what a relaying client writes, and how it reads the replies.
//! - [`replay`]: a session driven by rote, for tests and fuzz targets.
//! - `line`: lines that end in CRLF, within a limit. `replies`: the words of the server. `incoming`: the message that
//!   is being received.

pub mod bdat;
pub mod client;
pub mod command;
pub mod conduct;
pub mod data;
mod incoming;
mod line;
pub mod nul;
pub mod refusal;
pub mod replay;
mod replies;
pub mod server;
#[cfg(test)]
mod transcripts;
pub mod xclient;
