//! DNS messages (RFC 1035 §4): our questions as octets, and octets as answers.
//!
//! The only file that knows hickory's types. Of hickory, `hickory-proto` reads and writes messages; that is all that is
//! relied on, and `tests::messages` pins it. Its resolver (`hickory-resolver` 0.26.3) is not used, because it
//! - sets neither AD nor, without validating by itself, DO in a query, so a validating server would not tell;
//! - throws the header of negative answers away, so that nobody knows whether a denial is proven;
//! - answers `localhost` and `127.in-addr.arpa` from built-in tables.
//!
//! Names are labels of any octets on the wire. They become a [`Name`] only if that can hold them; a record that names
//! something else is left out.

use super::limits::{ALIASES_MAX, RECORDS_MAX, TTL_MAX_S, TTL_MIN_S, UDP_PAYLOAD_OCTETS};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query as Asked, ResponseCode};
use hickory_proto::rr::{DNSClass, Name as WireName, RData, Record as WireRecord, RecordType};
use judge::resolver::{Kind, Name, Record};
use std::sync::Arc;

/// Octets of a header (RFC 1035 §4.1.1).
const HEADER_OCTETS: usize = 12;
/// QR, in the third octet of a header.
const IS_RESPONSE: u8 = 0x80;
/// TC, in the same octet.
const IS_TRUNCATED: u8 = 0x02;

/// One query, ready to be sent as often as needed.
pub(super) struct Query {
    asked: Asked,
    /// The message with the id 0.
    octets: Vec<u8>,
    wants_proof: bool,
}

/// What a message is to a [`Query`].
pub(super) enum Read {
    /// Nothing that answers it: late, forged or an accident.
    NotOurs,
    /// Cut; the whole of it must be fetched otherwise.
    Truncated,
    /// No message.
    Garbage,
    /// The server cannot or will not answer.
    Failure,
    /// An answer.
    Reply(Reply),
}

/// An answer.
pub(super) struct Reply {
    pub(super) found: Found,
    /// How long it holds, in seconds; not bounded yet.
    pub(super) ttl_s: u32,
    /// AD: the server has found all of it to be authentic (RFC 4035 §3.2.3).
    pub(super) is_authentic: bool,
}

/// What an answer says.
pub(super) enum Found {
    /// The records, CNAMEs followed.
    Records(Arc<[Record]>),
    /// None of the kind.
    NoRecords,
    /// RFC 6604 §3: of the name at which CNAMEs end.
    NoName,
    /// After so many CNAMEs the server knows no more; the next name must be asked for.
    Elsewhere { next: Query, followed: usize },
    /// More CNAMEs than anyone follows.
    Circle,
}

impl Query {
    /// For records of a name. With `wants_proof`, AD asks for an answer with AD (RFC 6840 §5.7). `None` is no name that
    /// could be written, which no [`Name`] is.
    pub(super) fn new(name: &Name, kind: Kind, wants_proof: bool) -> Option<Query> {
        // As raw octets: nothing in a name is an escape or to be translated.
        let labels = name.as_str().split('.').map(str::as_bytes);
        let name = WireName::from_labels(labels).ok()?;
        Query::of(Asked::query(name, record_type(kind)), wants_proof)
    }

    /// What any server answers, or refuses to: the name servers of the root.
    pub(super) fn root() -> Option<Query> {
        Query::of(Asked::query(WireName::root(), RecordType::NS), false)
    }

    fn of(asked: Asked, wants_proof: bool) -> Option<Query> {
        let mut message = Message::new(0, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.metadata.authentic_data = wants_proof;
        message.add_query(asked.clone());
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_PAYLOAD_OCTETS);
        message.set_edns(edns);
        Some(Query {
            octets: message.to_vec().ok()?,
            asked,
            wants_proof,
        })
    }

    /// The message.
    pub(super) fn octets(&self, id: u16) -> Vec<u8> {
        let mut octets = self.octets.clone();
        octets[..2].copy_from_slice(&id.to_be_bytes());
        octets
    }

    /// What was received after [`Self::octets`] had been sent.
    pub(super) fn read(&self, id: u16, octets: &[u8]) -> Read {
        if !octets.starts_with(&id.to_be_bytes()) {
            return Read::NotOurs;
        }
        let Some(header) = octets.first_chunk::<HEADER_OCTETS>() else {
            return Read::Garbage;
        };
        if header[2] & IS_RESPONSE == 0 {
            return Read::NotOurs;
        }
        if header[2] & IS_TRUNCATED != 0 {
            return Read::Truncated;
        }
        // Room for all questions is made before they are read.
        if u16::from_be_bytes([header[4], header[5]]) > 1 {
            return Read::Garbage;
        }
        let Ok(message) = Message::from_vec(octets) else {
            return Read::Garbage;
        };
        let is_ours = message.queries.first() == Some(&self.asked);
        match message.metadata.response_code {
            _ if message.metadata.op_code != OpCode::Query => Read::Garbage,
            ResponseCode::NoError | ResponseCode::NXDomain if is_ours => self.reply(&message),
            // Who does not understand a query may leave its question out.
            ResponseCode::NoError | ResponseCode::NXDomain => Read::NotOurs,
            _ if is_ours || message.queries.is_empty() => Read::Failure,
            _ => Read::NotOurs,
        }
    }

    fn reply(&self, message: &Message) -> Read {
        let reply = |found, ttl_s| {
            Read::Reply(Reply {
                found,
                ttl_s,
                is_authentic: message.metadata.authentic_data,
            })
        };
        let mut name = &self.asked.name;
        let mut ttl_s = TTL_MAX_S;
        for followed in 0..=ALIASES_MAX {
            let in_class = |record: &&WireRecord| record.dns_class == DNSClass::IN && record.name == *name;
            let of_name = || message.answers.iter().filter(in_class);
            let is_asked = |record: &&WireRecord| record.data.record_type() == self.asked.query_type;
            if of_name().any(|record| is_asked(&record)) {
                let records = of_name().filter(is_asked).take(RECORDS_MAX);
                let ttl_s = records.clone().map(ttl).fold(ttl_s, u32::min);
                let records: Arc<[Record]> = records.filter_map(|record| convert(&record.data)).collect();
                return match records.is_empty() {
                    true => reply(Found::NoRecords, ttl_s),
                    false => reply(Found::Records(records), ttl_s),
                };
            }
            let alias = of_name().find_map(|record| match &record.data {
                RData::CNAME(target) => Some((&target.0, ttl(record))),
                _ => None,
            });
            let Some((target, alias_ttl_s)) = alias else {
                return match self.denial(message, name, followed) {
                    Some((found, denial_ttl_s)) => reply(found, ttl_s.min(denial_ttl_s)),
                    None => Read::Failure,
                };
            };
            name = target;
            ttl_s = ttl_s.min(alias_ttl_s);
        }
        reply(Found::Circle, ttl_s)
    }

    /// What an answer says that has nothing for the name at which its CNAMEs end. `None`: nothing at all.
    fn denial(&self, message: &Message, name: &WireName, followed: usize) -> Option<(Found, u32)> {
        // RFC 2308 §5: the lesser of both. Without SOA it is not to be kept.
        let soa_ttl_s = message.authorities.iter().find_map(|record| match &record.data {
            RData::SOA(soa) => Some(ttl(record).min(soa.minimum)),
            _ => None,
        });
        let ttl_s = soa_ttl_s.unwrap_or(TTL_MIN_S);
        let header = &message.metadata;
        if header.response_code == ResponseCode::NXDomain {
            return Some((Found::NoName, ttl_s));
        }
        if soa_ttl_s.is_none() && followed > 0 {
            // RFC 2308 §2.2 wants an SOA for a denial; so this one stopped where its knowledge ended.
            let next = Asked::query(name.clone(), self.asked.query_type);
            let next = Query::of(next, self.wants_proof)?;
            return Some((Found::Elsewhere { next, followed }, TTL_MAX_S));
        }
        let delegates = message
            .authorities
            .iter()
            .any(|record| matches!(record.data, RData::NS(_)));
        if soa_ttl_s.is_none() && delegates && !header.recursion_available && !header.authoritative {
            // A referral (RFC 2308 §2.2): this server does not resolve for us.
            return None;
        }
        Some((Found::NoRecords, ttl_s))
    }
}

/// RFC 2181 §8: with the highest bit it counts as 0.
fn ttl(record: &WireRecord) -> u32 {
    i32::try_from(record.ttl).map_or(0, |_| record.ttl)
}

fn record_type(kind: Kind) -> RecordType {
    match kind {
        Kind::A => RecordType::A,
        Kind::Aaaa => RecordType::AAAA,
        Kind::Mx => RecordType::MX,
        Kind::Ptr => RecordType::PTR,
        Kind::Txt => RecordType::TXT,
    }
}

fn convert(data: &RData) -> Option<Record> {
    Some(match data {
        RData::A(ip) => Record::A(ip.0),
        RData::AAAA(ip) => Record::Aaaa(ip.0),
        // RFC 7505.
        RData::MX(mx) if mx.exchange.is_root() => Record::Mx(mx.preference, None),
        RData::MX(mx) => Record::Mx(mx.preference, Some(to_name(&mx.exchange)?)),
        RData::PTR(host) => Record::Ptr(to_name(&host.0)?),
        RData::TXT(text) => Record::Txt(text.txt_data.concat().into_boxed_slice()),
        _ => return None,
    })
}

/// A name that is text, if it is.
fn to_name(name: &WireName) -> Option<Name> {
    let mut text = String::new();
    for label in name.iter() {
        if label.contains(&b'.') {
            return None;
        }
        text.push_str(std::str::from_utf8(label).ok()?);
        text.push('.');
    }
    Name::parse(&text).ok()
}
