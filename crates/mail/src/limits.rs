//! The sizes that bound parsing, with their sources. Limits an operator may set live in the configuration.

/// RFC 5321 §4.5.3.1.2: a domain has at most 255 octets; 253 as text without the final dot.
pub const DOMAIN_OCTETS_MAX: usize = 253;
/// RFC 1035 §2.3.4.
pub const LABEL_OCTETS_MAX: usize = 63;
/// RFC 5321 §4.5.3.1.1 says 64; bounce addresses of large senders (VERP, SRS) are longer in practice,
/// and refusing them would lose wanted mail.
pub const LOCAL_PART_OCTETS_MAX: usize = 255;
/// RFC 5321 §4.5.3.1.4 says 512 with CRLF; extensions add to it (RFC 1870, RFC 6531, RFC 3461).
pub const COMMAND_OCTETS_MAX: usize = 2048;
/// A peer that sends this much without a CRLF, where lines are due, is not read further.
pub const SKIPPED_OCTETS_MAX: usize = 64 * 1024;
/// A chunk (RFC 3030) with fewer octets counts as a command of its connection.
pub const CHUNK_OCTETS_UNCOUNTED: u64 = 1024;
/// A HELO name is judged, not only parsed, so it may be odd; but not longer than this.
pub const HELO_OCTETS_MAX: usize = 255;
/// XCLIENT bounds no login; a longer one is no one's.
pub const LOGIN_OCTETS_MAX: usize = 255;
/// A header of the PROXY protocol, version 2, with all that follows its addresses. Version 1 has a limit of its own.
pub const PROXY_HEADER_OCTETS_MAX: usize = 4096;
/// A header block longer than this is not read further; the message is refused (554 5.6.0).
/// Less than what a gateway keeps of a message in memory, so that a header is there whole or known to be too large.
pub const HEADER_OCTETS_MAX: usize = 250 * 1024;
/// Header fields past this number are not looked at by any check; the message is refused (554 5.6.0).
pub const HEADER_FIELDS_MAX: usize = 10_000;
/// Reply lines that a next hop may send for one command.
pub const REPLY_LINES_MAX: usize = 128;
/// RFC 5321 §4.5.3.1.5 says 512; next hops are allowed more.
pub const REPLY_LINE_OCTETS_MAX: usize = 4096;
/// A chunk (RFC 3030) past this size, and past that of a message, is not waited for: no connection lives to carry it.
pub const CHUNK_OCTETS_READ_MAX: u64 = 4 << 30;
/// Refusals that a session holds until its driver asks for them. One read of a driver holds no more short commands.
pub const REFUSALS_HELD_MAX: usize = 8192;
