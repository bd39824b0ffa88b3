//! Verifying a chain (RFC 8617 §5.2, steps 4 to 6).

use super::chain::{Chain, Set, Whole};
use crate::Sealed;
use crate::dkim::{
    BodyHashes, Canonicalization, Keys, Refusal, Sha256, check_authors, check_body, check_header, check_length, shown,
};
use judge::auth::arc::{Arc, ArcResult, ArcSet};
use judge::auth::dkim::DkimResult;
use judge::resolver::Resolver;
use mail::{Field, Line};

/// Verifies the ARC chain of a message.
///
/// `bodies` comes from [`Sealed::hasher`] of the same message. `now_s` is Unix time, when the message was received. All
/// keys are asked for at the same time, each once. The newest signature and every seal must verify; whether a sealer is
/// to be believed is for others to say.
pub async fn verify(sealed: &Sealed<'_>, bodies: &BodyHashes, now_s: i64, resolver: &dyn Resolver) -> Arc {
    let whole = match &sealed.chain {
        Chain::None => return told(ArcResult::None, &[], "there are no ARC fields"),
        Chain::Broken(why) => return told(ArcResult::Fail, &[], why),
        Chain::Whole(whole) => whole,
    };
    if let Some(why) = &whole.fault {
        return told(ArcResult::Fail, &whole.sets, why);
    }
    let mut names: Vec<_> = whole.sets.iter().map(|set| set.seal.key_name.clone()).collect();
    names.extend(
        whole
            .newest
            .as_ref()
            .ok()
            .map(|(signature, _)| signature.key_name.clone()),
    );
    let keys = Keys::fetch(names, resolver).await;
    let count = whole.sets.len();
    let newest = check_newest(whole, &Asked { sealed, bodies, now_s }, &keys).map_err(|refusal| {
        (
            refusal.result,
            format!("ARC set {count}: of its signature, {}", refusal.why),
        )
    });
    let found = match newest {
        Err((result, why)) if result != DkimResult::TempError => Err((result, why)),
        // A seal that can never verify says more than a key that could not be had.
        newest => check_seals(&whole.sets, &keys).and(newest),
    };
    match found {
        Ok(()) => {
            let sealer = whole.sets.last().and_then(|set| set.told.sealer.as_ref());
            let sealer = sealer.map_or("", |domain| domain.as_str());
            let sets = if count == 1 { "set verifies" } else { "sets verify" };
            let why = format!("{count} ARC {sets}, the newest of {}", shown(sealer.as_bytes()));
            told(ArcResult::Pass, &whole.sets, &why)
        }
        Err((DkimResult::TempError, why)) => told(ArcResult::TempError, &whole.sets, &why),
        Err((_, why)) => told(ArcResult::Fail, &whole.sets, &why),
    }
}

struct Asked<'a> {
    sealed: &'a Sealed<'a>,
    bodies: &'a BodyHashes,
    now_s: i64,
}

/// Of a chain that does not verify only the sealers are told: nobody may believe what it claims, and it would be kept.
fn told(result: ArcResult, sets: &[Set<'_>], why: &str) -> Arc {
    let of_set = |set: &Set<'_>| match result {
        ArcResult::Pass => set.told.clone(),
        ArcResult::None | ArcResult::Fail | ArcResult::TempError => ArcSet {
            sealer: set.told.sealer.clone(),
            selector: set.told.selector.clone(),
            ..ArcSet::default()
        },
    };
    Arc {
        result,
        sets: sets.iter().map(of_set).collect(),
        why: Line::reason(why.as_bytes()),
    }
}

/// Step 4: the newest ARC-Message-Signature, as if it were a DKIM-Signature.
fn check_newest(whole: &Whole<'_>, asked: &Asked<'_>, keys: &Keys) -> Result<(), Refusal> {
    let (signature, coverage) = whole.newest.as_ref().map_err(Clone::clone)?;
    coverage.check_expiry(asked.now_s)?;
    let key = keys.find(&signature.key_name, signature.algorithm)?;
    let octets = check_body(coverage, asked.bodies)?;
    check_header(signature, coverage, &key, &asked.sealed.index)?;
    check_length(coverage, octets)?;
    check_authors(coverage, asked.sealed.froms)
}

/// Step 6: every seal. Each covers all sets up to its own, so what is hashed grows set by set; the first fault from the
/// newest on is told.
fn check_seals(sets: &[Set<'_>], keys: &Keys) -> Result<(), (DkimResult, String)> {
    let (mut hash, mut scratch, mut fault) = (Sha256::new(), Vec::with_capacity(2048), None);
    for (instance, set) in (1_usize..).zip(sets) {
        let found = check_seal(set, hash_set(&mut hash, &mut scratch, set), keys);
        if let Err(refusal) = found {
            let is_temporary = |fault: &Option<(DkimResult, String)>| {
                fault
                    .as_ref()
                    .is_none_or(|(result, _)| *result == DkimResult::TempError)
            };
            if refusal.result != DkimResult::TempError || is_temporary(&fault) {
                fault = Some((
                    refusal.result,
                    format!("ARC set {instance}: of its seal, {}", refusal.why),
                ));
            }
        }
    }
    fault.map_or(Ok(()), Err)
}

/// RFC 8617 §5.1.1: results, signature and seal of each set, relaxed; of the seal's own set, the seal without its `b=`
/// and its line end. What is returned is that; `hash` goes on with the whole set.
fn hash_set(hash: &mut Sha256, scratch: &mut Vec<u8>, set: &Set<'_>) -> Sha256 {
    let mut add = |field: &Field<'_>, hash: &mut Sha256| {
        scratch.clear();
        Canonicalization::Relaxed.field(field, scratch);
        hash.update(scratch);
    };
    add(&set.results, hash);
    add(&set.message, hash);
    let mut own = hash.clone();
    add(&set.seal.field, hash);
    scratch.clear();
    Canonicalization::Relaxed.signature_field(&set.seal.field, set.seal.blank.clone(), scratch);
    own.update(scratch);
    own
}

fn check_seal(set: &Set<'_>, hash: Sha256, keys: &Keys) -> Result<(), Refusal> {
    let key = keys.find(&set.seal.key_name, set.seal.algorithm)?;
    key.check_size()?;
    if key.public.has_signed(&hash.finish(), &set.seal.octets) {
        return Ok(());
    }
    let at = shown(set.seal.key_name.as_str().as_bytes());
    let why = format!(
        "the sets were changed after they were sealed, or not sealed with the {} at {at}",
        key.kind()
    );
    Err(Refusal::new(DkimResult::Fail, why))
}
