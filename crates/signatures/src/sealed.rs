//! The signatures and ARC sets of a message, read from its header before its body and its keys are known.

use crate::arc::Chain;
use crate::dkim::{BodyHasher, HeaderIndex, Reading, Refusal, tell_apart};
use judge::auth::dkim::DkimResult;
use mail::Message;

/// RFC 6376 §6.1 lets a verifier stop somewhere. Mail that passed several lists has five.
const VERIFIED_MAX: usize = 10;
/// Signatures past this number are not even told of.
const TOLD_MAX: usize = 50;

/// The signatures and ARC sets of a message; says which body hashes are needed.
///
/// The first ten DKIM signatures are verified, the next forty told of as `policy`, and the rest passed over. All that
/// is hashed of the header for one signature is at most the header.
pub struct Sealed<'a> {
    /// How many From fields there are.
    pub(crate) froms: usize,
    pub(crate) index: HeaderIndex<'a>,
    pub(crate) signatures: Vec<Reading<'a>>,
    pub(crate) chain: Chain<'a>,
}

impl<'a> Sealed<'a> {
    /// Reads the header. Asks nobody, never fails: what is wrong is told by what verifies.
    pub fn read(message: &'a Message<'a>) -> Sealed<'a> {
        let mut signatures: Vec<Reading<'a>> = Vec::new();
        for (place, field) in message.fields().iter().enumerate() {
            if signatures.len() == TOLD_MAX {
                break;
            }
            if field.is("DKIM-Signature") {
                let mut reading = Reading::new(*field, place);
                if signatures.len() >= VERIFIED_MAX {
                    let why = format!("not verified, since the message has more than {VERIFIED_MAX}");
                    reading.refuse(Refusal::new(DkimResult::Policy, why));
                }
                signatures.push(reading);
            }
        }
        tell_apart(&mut signatures);
        let mut sealed = Sealed {
            froms: message.fields().iter().filter(|field| field.is("From")).count(),
            index: HeaderIndex::default(),
            signatures,
            chain: Chain::read(message),
        };
        if !sealed.is_empty() {
            sealed.index = HeaderIndex::new(message);
        }
        sealed
    }

    /// A hasher for the body, for all that is asked of it by a signature that can be verified.
    pub fn hasher(&self) -> BodyHasher {
        let signatures = self
            .signatures
            .iter()
            .filter_map(|reading| reading.signature.as_ref().ok());
        let of_dkim = signatures.map(|signature| &signature.coverage);
        let of_both = of_dkim.chain(self.chain.coverage());
        BodyHasher::new(of_both.map(|coverage| (coverage.body, coverage.length)))
    }

    /// The places in the header of the fields that a signature covers (RFC 6376 §5.4.2); signatures are counted from 0, as
    /// [`dkim::verify`](crate::dkim::verify) tells of them. None where it cannot be read.
    pub fn covered(&self, signature: usize) -> Vec<usize> {
        let reading = self.signatures.get(signature);
        let signature = reading.and_then(|reading| reading.signature.as_ref().ok());
        signature.map_or_else(Vec::new, |signature| {
            self.index.places(&signature.coverage.names, signature.common.place)
        })
    }

    /// How many signatures there are, as far as they are told of.
    pub fn signatures(&self) -> usize {
        self.signatures.len()
    }

    /// Whether there is nothing to verify: no signature and no ARC set.
    pub fn is_empty(&self) -> bool {
        self.signatures.is_empty() && matches!(self.chain, Chain::None)
    }
}
