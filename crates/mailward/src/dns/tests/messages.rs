//! What is relied on `hickory-proto` for, and what our reading of messages promises.

use super::server::{name, record, with};
use super::wire::{Found, Query, Read};
use super::*;
use hickory_proto::op::{Message, MessageType, OpCode};
use hickory_proto::rr::rdata::{PTR, TXT};
use hickory_proto::rr::{Name as WireName, RData, RecordType};
use proptest::prelude::*;

fn query(text: &str, kind: Kind) -> Query {
    Query::new(&Name::parse(text).unwrap(), kind, true).unwrap()
}

fn found(query: &Query, message: &Message) -> Found {
    match query.read(message.metadata.id, &message.to_vec().unwrap()) {
        Read::Reply(reply) => reply.found,
        _ => panic!("no answer: {message}"),
    }
}

#[test]
fn queries_are_as_servers_expect_them() {
    let sent = query("_DMARC.example.", Kind::Txt).octets(0x1234);
    let message = Message::from_vec(&sent).unwrap();
    let header = &message.metadata;
    assert_eq!(
        (header.id, header.message_type, header.op_code),
        (0x1234, MessageType::Query, OpCode::Query)
    );
    assert!(header.recursion_desired && header.authentic_data && !header.checking_disabled);
    assert_eq!(message.queries[0].name, name("_dmarc.example."));
    assert_eq!(message.queries[0].query_type, RecordType::TXT);
    let edns = message.edns.unwrap();
    assert_eq!(
        (edns.max_payload(), edns.version(), edns.flags().dnssec_ok),
        (1232, 0, false)
    );
    let untrusting = Query::new(&Name::parse("a").unwrap(), Kind::A, false)
        .unwrap()
        .octets(0);
    assert!(!Message::from_vec(&untrusting).unwrap().metadata.authentic_data);
}

#[test]
fn labels_are_octets_and_nothing_else() {
    // What a reader of text would take for escapes, wildcards, or something to translate.
    for text in [
        "a\\046b.example",
        "*.example",
        "a\"b;(c).example",
        "xn--zckzah.example",
        "%{d}._spf.example",
    ] {
        let sent = query(text, Kind::A).octets(0);
        let mut expected = Vec::new();
        for label in text.split('.') {
            expected.push(u8::try_from(label.len()).unwrap());
            expected.extend_from_slice(label.as_bytes());
        }
        expected.push(0);
        assert_eq!(sent[12..][..expected.len()], expected, "{text}");
    }
    let longest = [&*"a".repeat(63), &*"b".repeat(63), &*"c".repeat(63), &*"d".repeat(61)].join(".");
    assert_eq!(query(&longest, Kind::A).octets(0)[12..].len(), 255 + 4 + 11);
}

#[test]
fn names_that_are_no_text_are_left_out() {
    let asked = query("a.example", Kind::Ptr);
    let sent = Message::from_vec(&asked.octets(7)).unwrap();
    let named = |labels: &[&[u8]]| {
        let mut record = record("a.example. 60 PTR x.");
        record.data = RData::PTR(PTR(WireName::from_labels(labels.iter().copied()).unwrap()));
        record
    };
    let odd: [&[&[u8]]; 5] = [
        &[b"x.y", b"example"],
        &[b"\0"],
        &[b"a b"],
        &[b"\xc3\xa4", b"example"],
        &[],
    ];
    let mut reply = with(&sent, &[]);
    reply.add_answers(odd.map(named));
    assert!(matches!(found(&asked, &reply), Found::NoRecords));
    reply.answers.insert(2, named(&[b"Good\\One", b"Example"]));
    let Found::Records(records) = found(&asked, &reply) else {
        panic!("no records");
    };
    assert_eq!(records[..], [Record::Ptr(Name::parse("good\\one.example").unwrap())]);
}

#[test]
fn octets_of_a_text_stay_as_they_are() {
    let asked = query("a.example", Kind::Txt);
    let sent = Message::from_vec(&asked.octets(7)).unwrap();
    let mut reply = with(&sent, &["a.example. 60 TXT x"]);
    let octets: Vec<u8> = (0..=255).collect();
    let strings = vec![&octets[..255], &octets[255..], &[]];
    reply.answers[0].data = RData::TXT(TXT::from_bytes(strings));
    let Found::Records(records) = found(&asked, &reply) else {
        panic!("no records");
    };
    assert_eq!(records[..], [Record::Txt(octets.into())]);
}

#[test]
fn a_name_that_points_at_itself_is_garbage() {
    let asked = query("a.example", Kind::A);
    let sent = asked.octets(7);
    let question_end = 12 + 11 + 4;
    let mut octets = sent[..question_end].to_vec();
    octets[2] |= 0x80;
    // One record in the answer section, none in the additional one, and a name that never ends.
    octets[6..12].copy_from_slice(&[0, 1, 0, 0, 0, 0]);
    let at = u16::try_from(question_end).unwrap() | 0xc000;
    octets.extend_from_slice(&at.to_be_bytes());
    octets.extend_from_slice(&[0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
    assert!(matches!(asked.read(7, &octets), Read::Garbage));
    // The same with the name of the question is an answer.
    octets[question_end..][..2].copy_from_slice(&[0xc0, 12]);
    assert!(matches!(asked.read(7, &octets), Read::Reply(_)));
    // Room is not made for questions that are not there.
    octets[4..6].copy_from_slice(&[0xff, 0xff]);
    assert!(matches!(asked.read(7, &octets), Read::Garbage));
}

proptest! {
    #[test]
    fn any_octets_are_read_without_harm(octets in prop::collection::vec(any::<u8>(), 0..600)) {
        let asked = query("a.example", Kind::Mx);
        asked.read(u16::from_be_bytes([0, 7]), &octets);
        asked.read(7, &[&[0, 7, 0x80, 0, 0, 1][..], &octets].concat());
    }

    #[test]
    fn a_damaged_answer_is_read_without_harm(
        damage in prop::collection::vec((2usize..150, any::<u8>()), 0..6),
        end in 12usize..200,
    ) {
        let asked = query("a.example", Kind::Txt);
        let sent = Message::from_vec(&asked.octets(7)).unwrap();
        let reply = with(&sent, &["a.example. 60 CNAME b.example.", "b.example. 60 TXT one|two", "b.example. 60 MX 1 x."]);
        let mut octets = reply.to_vec().unwrap();
        octets.truncate(end);
        for (at, octet) in damage {
            if let Some(place) = octets.get_mut(at) {
                *place = octet;
            }
        }
        if let Read::Reply(reply) = asked.read(7, &octets) && let Found::Records(records) = reply.found {
            prop_assert!(records.iter().all(|record| record.kind() == Kind::Txt));
        }
    }
}
