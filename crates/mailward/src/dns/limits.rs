//! What bounds the resolver.

use std::time::Duration;

/// How many CNAMEs are followed for one question, as in `judge::zone`.
pub(super) const ALIASES_MAX: usize = 8;
/// How many records of one answer are kept, the first ones. Nobody who judges looks at more; octets are bounded by the
/// DNS itself, at 64 KiB for one answer.
pub(super) const RECORDS_MAX: usize = 1024;
/// Largest answer that is wanted by UDP: what is never cut into fragments (RFC 9715 §3.2 and the DNS Flag Day of 2020).
pub(super) const UDP_PAYLOAD_OCTETS: u16 = 1232;
/// Largest that is read: some servers send more than was asked for.
pub(super) const UDP_OCTETS_MAX: usize = 4096;

/// What says that it does not hold at all holds for this long: one message may ask it twice.
pub(super) const TTL_MIN_S: u32 = 1;
/// No answer holds longer.
pub(super) const TTL_MAX_S: u32 = 24 * 60 * 60;
/// No denial holds longer: a domain that was just set up shall not be refused for hours.
pub(super) const NEGATIVE_TTL_MAX_S: u32 = 15 * 60;
/// For how long trouble is remembered, so that a broken domain does not cost each message its time.
pub(super) const TROUBLE_TTL_S: u32 = 5;

/// Longest time for one question that an operator can set; senders wait for it.
pub(super) const TIMEOUT_MAX_MS: u64 = 60_000;

/// Queries that may be on the network at once; each holds a socket or a few.
pub(super) const QUERIES_MAX: usize = 1024;
/// Different questions that may be under way, those that wait for a socket included.
pub(super) const FLIGHTS_MAX: usize = 16 * QUERIES_MAX;
/// How often each server is asked within one query.
pub(super) const ROUNDS_MAX: usize = 3;
/// In how many parts the time of a query is cut: after one, the next server is asked as well. When one has said that it
/// cannot answer, the others have two to know better.
pub(super) const TIME_PARTS: u32 = 8;
/// As many of the system's servers are used, as other programs do (resolv.conf(5), MAXNS).
pub(super) const SERVERS_MAX: usize = 3;

/// After as many queries that nobody answered, which one message of a quiet site makes ...
pub(super) const SILENT_MAX: u32 = 5;
/// ... within this time, the DNS is taken to be down.
pub(super) const SILENT_WITHIN: Duration = Duration::from_secs(60);
/// Questions of one message, for one purpose, that are under way at one time: so that one message full of dead names does
/// not fill all places.
pub(super) const AT_ONCE_MAX: usize = 16;
/// The same of all messages of one client network: an eighth of [`QUERIES_MAX`].
pub(super) const CLIENT_AT_ONCE_MAX: usize = 128;
/// How often it is tried again while it is down.
pub(super) const PROBE_EVERY: Duration = Duration::from_secs(1);
