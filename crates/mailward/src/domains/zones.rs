//! `zones` of a domain or of `_global_`: the DNS lists that are asked. What its lines say is [`judge::dnsbl`]'s to know.

use super::Fault;
use super::names::nearest;
use super::tree::{TEXT_OCTETS_MAX, Text, Tree, Unreadable};
use judge::dnsbl::{BadLine, WORDS, Zone, parse_zones};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file's name.
pub(super) const ZONES: &str = "zones";

/// What the file says, and what is wrong in it, by file. `None` where there is none.
pub(super) type Found = (Option<Arc<Vec<Zone>>>, Vec<(PathBuf, Fault)>);

/// Reads `zones` in `top`, whose listing the tree holds. A bad line is a fault and left out: it never stops mail.
pub(super) fn read(tree: &mut Tree, top: &Path) -> Result<Found, Unreadable> {
    let Some(text) = tree.text(top, OsStr::new(ZONES))? else {
        return Ok((None, Vec::new()));
    };
    let (zones, faults) = parse(&text);
    let path = top.join(ZONES);
    let faults = faults.into_iter().map(|fault| (path.clone(), fault)).collect();
    Ok((Some(Arc::new(zones)), faults))
}

fn parse(text: &Text) -> (Vec<Zone>, Vec<Fault>) {
    let mut octets = &text.octets[..];
    let mut faults = Vec::new();
    if text.is_cut {
        // The last line may be cut, and half a name is another name.
        let whole = octets.iter().rposition(|&octet| octet == b'\n').map_or(0, |at| at + 1);
        octets = &octets[..whole];
        let message = format!(
            "longer than {} KiB: what is past that is left out",
            TEXT_OCTETS_MAX / 1024
        );
        faults.push(Fault::warning(message));
    }
    // Old comments may be of any character set; what is no UTF-8 in a name is a fault of its line.
    let (zones, bad) = parse_zones(&String::from_utf8_lossy(octets));
    faults.extend(bad.into_iter().map(fault));
    (zones, faults)
}

fn fault(line: BadLine) -> Fault {
    let right = line.word.as_ref().and_then(|word| nearest(word.as_str(), WORDS));
    Fault::warning(line.message.to_string())
        .at(Some(line.number))
        .hint_word(right)
}

/// A domain's own zones, then those of `_global_` that it does not name; none for a domain without a file of its own.
pub(super) fn together(own: Option<&Arc<Vec<Zone>>>, global: &[Zone]) -> Arc<Vec<Zone>> {
    let Some(own) = own else {
        return Arc::default();
    };
    let is_new = |zone: &&Zone| own.iter().all(|own| own.name != zone.name);
    let more: Vec<Zone> = global.iter().filter(is_new).cloned().collect();
    match more.is_empty() {
        true => Arc::clone(own),
        false => Arc::new(own.iter().cloned().chain(more).collect()),
    }
}
