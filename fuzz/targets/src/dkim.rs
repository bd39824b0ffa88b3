//! Signatures and seals of any message, with a key that has signed some of the seeds.

use crate::in_pieces;
use judge::auth::arc::{Arc, ArcResult};
use judge::auth::dkim::{Dkim, DkimResult};
use judge::resolver::{Answer, BoxFuture, Outcome, Question, Record, Resolver, Security};
use mail::Message;
use signatures::{BodyHashes, Sealed, arc, dkim};

/// When all messages come.
const NOW_S: i64 = 1_700_000_000;
/// Parts the record of one key from the message; it is part of no UTF-8 text.
const PART: u8 = 0xc1;
/// RFC 8463 §A.2.
const ED25519: &[u8] = b"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
/// Somebody's key of 2048 bits, which has signed nothing here.
const RSA: &[u8] = b"k=rsa; p=\
    MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAsFC9OZtQHF88saQ7Ws/eFn3+vTtKFc7/WOBzIIU7JitBKh2+SKm3jqyy\
    6aTv320A8aH+V2005H+8tYcAIPV+EROpW1nqA+yo9/9ciJxKJAAMKxbgaD6KjXU0///fSRA6zLRe46cqd2NuOaEXJCAzIEBSh/Vz\
    rEj/SNuxgXT1E8mlYxGhQ3NvTI/yFByTLqUnk1iuqc7VtOjl8uXT/K3gWfFfVwbOycQ5irwIlWsxNJsO1/J79EXSPOQHGWBj21Bi\
    5YDOgZG2PyhjwGNEgsMj5zpWLFK+cHd5D1bzJV+IKPO3cmG3/Svxu+6oQdcSNwqwp67k+/jPUQJTMI4H5/ZVcwIDAQAB";

/// Names that begin with the selectors `ed`, `rsa` and `x`; others have no key.
struct Keys<'a>(&'a [u8]);

impl Resolver for Keys<'_> {
    fn ask(&self, question: Question) -> BoxFuture<'_, Answer> {
        let text = match question.name.as_str().split('.').next() {
            Some("ed") => Some(ED25519),
            Some("rsa") => Some(RSA),
            Some("x") => Some(self.0),
            _ => None,
        };
        let outcome = text.map_or(Outcome::NoName, |text| {
            Outcome::Records([Record::Txt(text.into())].into())
        });
        let security = Security::Insecure;
        Box::pin(std::future::ready(Answer { outcome, security }))
    }
}

/// Results are few and bounded, the same with the body in pieces of any size, and none passes any more once the body
/// is longer or there is another author.
pub fn dkim_message(octets: &[u8]) {
    let (record, text) = match octets.iter().position(|&octet| octet == PART) {
        Some(at) => (&octets[..at], &octets[at + 1..]),
        None => (&b""[..], octets),
    };
    let keys = Keys(record);
    let message = Message::parse(text);
    let [whole, single, sized] = in_pieces(message.body(), 7).map(|pieces| judge(&message, pieces, &keys));
    assert_eq!(single, whole);
    assert_eq!(sized, whole);
    check(&whole);

    let longer = [text, b"x"].concat();
    let second = [b"From: boss@bank.example\r\n", text].concat();
    for changed in [&longer, &second] {
        // With a header that has no end, what is put behind it is no body.
        let message = Message::parse(changed);
        let found = judge(&message, message.body().chunks(4096), &keys);
        assert!(!passes(&found), "{found:?}");
    }
}

type Found = (Vec<Dkim>, Arc);

fn judge<'a>(message: &Message<'_>, pieces: impl Iterator<Item = &'a [u8]>, keys: &Keys<'_>) -> Found {
    let sealed = Sealed::read(message);
    let mut hasher = sealed.hasher();
    pieces.for_each(|piece| hasher.update(piece));
    let bodies: BodyHashes = hasher.finish();
    let found = (
        pollster::block_on(dkim::verify(&sealed, &bodies, NOW_S, keys)),
        pollster::block_on(arc::verify(&sealed, &bodies, NOW_S, keys)),
    );
    let is_found = !found.0.is_empty() || found.1.result != ArcResult::None;
    assert_eq!(sealed.is_empty(), !is_found);
    found
}

fn passes((signatures, chain): &Found) -> bool {
    chain.result == ArcResult::Pass || signatures.iter().any(|found| found.result == DkimResult::Pass)
}

fn check((signatures, chain): &Found) {
    assert!(signatures.len() <= 50 && chain.sets.len() <= 50);
    let lines = signatures
        .iter()
        .flat_map(|found| [&found.why, &found.selector, &found.algorithm, &found.start])
        .chain(signatures.iter().filter_map(|found| found.identity.as_ref()))
        .chain(chain.sets.iter().map(|set| &set.selector))
        .chain([&chain.why]);
    for line in lines {
        assert!(line.as_str().chars().count() <= 200);
        assert!(!line.as_str().contains(char::is_control));
    }
    for found in signatures {
        assert!(!found.why.as_str().is_empty());
        assert!(found.result != DkimResult::Pass || found.domain.is_some());
        assert!(found.key_bits.is_none_or(|bits| bits >= 1024) || found.result != DkimResult::Pass);
    }
    assert!(chain.sets.iter().all(|set| set.dkim_pass.len() <= 10));
    let stored = serde_json::to_vec(&(signatures, chain)).expect("results can be stored");
    let again: (Vec<Dkim>, Arc) = serde_json::from_slice(&stored).expect("results read back");
    assert_eq!((&again.0, &again.1), (signatures, chain));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Else the corpus would say nothing of what passes.
    #[test]
    fn seeds_pass() {
        for (seed, pass, chain) in [
            (
                &include_bytes!("../../corpus/dkim_message/pass-relaxed")[..],
                1,
                ArcResult::None,
            ),
            (
                include_bytes!("../../corpus/dkim_message/pass-simple"),
                1,
                ArcResult::None,
            ),
            (
                include_bytes!("../../corpus/dkim_message/two-signatures"),
                2,
                ArcResult::None,
            ),
            (include_bytes!("../../corpus/dkim_message/arc-two"), 0, ArcResult::Pass),
        ] {
            let message = Message::parse(seed);
            let found = judge(&message, message.body().chunks(3), &Keys(b""));
            let is_pass = |found: &&Dkim| found.result == DkimResult::Pass;
            assert_eq!(
                (found.0.iter().filter(is_pass).count(), found.1.result),
                (pass, chain),
                "{found:?}"
            );
        }
    }
}
