//! The ARC sets of a header: each field in its place (RFC 8617 §4.2, §5.2 steps 1 to 3).

use super::results;
use crate::dkim::{Coverage, Refusal, Signature, field_tags, number, require, shown};
use judge::auth::arc::ArcSet;
use mail::auth_results::arc_instance;
use mail::{Field, Line, Message};

/// RFC 8617 §4.2.1.
const SETS_MAX: usize = 50;

/// What the header holds of ARC.
pub(crate) enum Chain<'a> {
    /// No field of it.
    None,
    /// No chain; why not.
    Broken(String),
    /// A chain in good order, or one that its last sealer calls broken.
    Whole(Box<Whole<'a>>),
}

/// A chain in good order.
pub(crate) struct Whole<'a> {
    /// From instance 1 on.
    pub sets: Vec<Set<'a>>,
    /// The newest ARC-Message-Signature.
    pub newest: Result<(Signature<'a>, Coverage<'a>), Refusal>,
    /// What its sealers say of the chain is wrong.
    pub fault: Option<String>,
}

/// One set.
pub(crate) struct Set<'a> {
    /// ARC-Authentication-Results.
    pub results: Field<'a>,
    /// ARC-Message-Signature.
    pub message: Field<'a>,
    /// ARC-Seal.
    pub seal: Signature<'a>,
    pub told: ArcSet,
}

/// The fields of one instance, with their places in the header.
#[derive(Clone, Copy, Default)]
struct Slot<'a> {
    results: Option<(Field<'a>, usize)>,
    message: Option<(Field<'a>, usize)>,
    seal: Option<(Field<'a>, usize)>,
}

/// RFC 8617 §4.1.3, `cv=`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Validation {
    None,
    Pass,
    Fail,
}

impl<'a> Chain<'a> {
    pub fn read(message: &Message<'a>) -> Chain<'a> {
        match slots(message) {
            Ok(slots) if slots.is_empty() => Chain::None,
            Ok(slots) => match Whole::read(&slots) {
                Ok(whole) => Chain::Whole(Box::new(whole)),
                Err(why) => Chain::Broken(why),
            },
            Err(why) => Chain::Broken(why),
        }
    }

    /// What the newest signature speaks of, if it can be verified.
    pub fn coverage(&self) -> Option<&Coverage<'a>> {
        match self {
            Chain::Whole(whole) if whole.fault.is_none() => whole.newest.as_ref().ok().map(|(_, coverage)| coverage),
            Chain::Whole(_) | Chain::None | Chain::Broken(_) => None,
        }
    }
}

/// Sorts the fields by instance.
fn slots<'a>(message: &Message<'a>) -> Result<Vec<Slot<'a>>, String> {
    let mut slots: Vec<Slot<'a>> = Vec::new();
    for (place, field) in message.fields().iter().enumerate() {
        let name = ["ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results"]
            .into_iter()
            .find(|name| field.is(name));
        let Some(name) = name else { continue };
        let found = if name == "ARC-Authentication-Results" {
            arc_instance(&field.value()).ok().map(u64::from)
        } else {
            let tags = field_tags(field).map_err(|error| format!("an {name}: {}", Refusal::from(error).why))?;
            tags.value("i").and_then(number)
        };
        let found = found.and_then(|instance| usize::try_from(instance).ok());
        let at = found.and_then(|instance| instance.checked_sub(1));
        let at = at.ok_or_else(|| format!("an {name} does not say of which set it is (i=)"))?;
        if at >= SETS_MAX {
            return Err(format!(
                "ARC set {}: a chain has at most {SETS_MAX}",
                at.saturating_add(1)
            ));
        }
        if slots.len() <= at {
            slots.resize(at + 1, Slot::default());
        }
        let Some(slot) = slots.get_mut(at) else { continue };
        let own = match name {
            "ARC-Seal" => &mut slot.seal,
            "ARC-Message-Signature" => &mut slot.message,
            _ => &mut slot.results,
        };
        if own.replace((*field, place)).is_some() {
            return Err(format!("ARC set {}: there are two {name} fields", at + 1));
        }
    }
    Ok(slots)
}

impl<'a> Whole<'a> {
    fn read(slots: &[Slot<'a>]) -> Result<Whole<'a>, String> {
        let (mut sets, mut fault, mut newest) = (Vec::with_capacity(slots.len()), None, None);
        for (instance, slot) in (1_usize..).zip(slots) {
            let missing = |name: &str| format!("ARC set {instance}: there is no {name}");
            let results = slot.results.ok_or_else(|| missing("ARC-Authentication-Results"))?.0;
            let message = slot.message.ok_or_else(|| missing("ARC-Message-Signature"))?;
            let seal = slot.seal.ok_or_else(|| missing("ARC-Seal"))?;
            let (seal, validation, selector) =
                read_seal(seal).map_err(|why| format!("ARC set {instance}: in its seal, {}", why.why))?;
            if let Some(why) = order(instance, slots.len(), validation) {
                fault = fault.or(Some(why));
            }
            let mut told = ArcSet {
                sealer: Some(seal.domain.clone()),
                selector,
                ..ArcSet::default()
            };
            results::read(&results.value(), &mut told);
            newest = Some(message);
            sets.push(Set {
                results,
                message: message.0,
                seal,
                told,
            });
        }
        let newest = newest.map(|(field, place)| read_message(field, place));
        Ok(Whole {
            sets,
            newest: newest.unwrap_or_else(|| Err(Refusal::neutral("there is none"))),
            fault,
        })
    }
}

/// RFC 8617 §5.2, steps 2 and 3: only the first seal says `none`, and the others `pass`.
fn order(instance: usize, count: usize, validation: Validation) -> Option<String> {
    let wanted = if instance == 1 {
        Validation::None
    } else {
        Validation::Pass
    };
    if validation == Validation::Fail && instance == count {
        return Some(format!(
            "ARC set {instance}: its sealer found the chain broken (cv=fail)"
        ));
    }
    (validation != wanted).then(|| match validation {
        Validation::None => format!("ARC set {instance}: its seal says that there was no chain before it (cv=none)"),
        Validation::Pass => format!("ARC set {instance}: its seal speaks of a chain before the first (cv=pass)"),
        Validation::Fail => {
            format!("ARC set {instance}: its sealer found the chain broken, and others went on (cv=fail)")
        }
    })
}

fn read_seal<'a>((field, place): (Field<'a>, usize)) -> Result<(Signature<'a>, Validation, Line), Refusal> {
    let tags = field_tags(&field)?;
    require(&tags, &["a", "b", "cv", "d", "s"])?;
    // RFC 8617 §4.1.3: a seal always covers the same.
    if tags.get("h").is_some() {
        return Err(Refusal::permanent("there is a tag h=, which a seal must not have"));
    }
    let validation = match tags.value("cv").unwrap_or_default() {
        text if text.eq_ignore_ascii_case(b"none") => Validation::None,
        text if text.eq_ignore_ascii_case(b"pass") => Validation::Pass,
        text if text.eq_ignore_ascii_case(b"fail") => Validation::Fail,
        other => return Err(Refusal::neutral(format!("cv= is unknown: `{}`", shown(other)))),
    };
    let selector = Line::reason(tags.value("s").unwrap_or_default());
    Ok((Signature::read(field, place, &tags)?, validation, selector))
}

fn read_message<'a>(field: Field<'a>, place: usize) -> Result<(Signature<'a>, Coverage<'a>), Refusal> {
    let tags = field_tags(&field)?;
    require(&tags, &["a", "b", "bh", "d", "h", "s"])?;
    let coverage = Coverage::read(&tags)?;
    // RFC 8617 §4.1.2: as in a DKIM-Signature.
    coverage.check_from()?;
    // RFC 8617 §4.1.2: none of the ARC fields must be signed here. Departs from it for the other two, which sealers of
    // the drafts sign and which break nothing.
    if coverage.count("ARC-Seal") > 0 {
        return Err(Refusal::permanent("it signs ARC-Seal, which it must not (h=)"));
    }
    Ok((Signature::read(field, place, &tags)?, coverage))
}
