//! The file `zones`: a line for each list.
//!
//! ```text
//! ZONE [WORD...]     # comment
//! ```
//!
//! The zone's name comes first, the words in any order: `score`, `allow`, `domain`, and the answers that count
//! (`127.0.0.2`, `127.0.0.0/28`, `127.0.0.4-7`). A line that is wrong is reported and left out: refusing by half of what
//! somebody wrote would refuse mail that nobody meant.

use super::{CodeRange, Codes, Effect, Target, Zone, is_refusal};
use crate::resolver::Name;
use mail::{Domain, Line};
use std::fmt;
use std::net::Ipv4Addr;

/// Most zones of one file. Each is a query for each message.
pub const ZONES_MAX: usize = 64;
/// The words that may follow a zone's name, answers aside.
pub const WORDS: [&str; 3] = ["score", "allow", "domain"];

/// Most answers that one line names.
const CODES_MAX: usize = 32;
/// Most lines that are reported; whoever feeds us another file by mistake sees that from the first.
const BAD_LINES_MAX: usize = 64;
/// Before the name of a zone of addresses go 32 nibbles with their dots, and names end at 253 octets (RFC 1035 §2.3.4).
const NAME_OCTETS_MAX: usize = 253 - 64;

/// A line that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Counted from 1.
    pub number: u32,
    /// What is wrong with it.
    pub message: Line,
    /// A word that is unknown and may be one of [`WORDS`], misspelt.
    pub word: Option<Line>,
}

/// Reads the file. Where a zone stands twice, the first line counts.
pub fn parse_zones(text: &str) -> (Vec<Zone>, Vec<BadLine>) {
    let (mut zones, mut bad) = (Vec::<Zone>::new(), Vec::new());
    let text = text.trim_start_matches('\u{feff}');
    for (number, line) in (1..).zip(text.lines()) {
        let fault = match parse_line(line) {
            Ok(None) => continue,
            Ok(Some(zone)) if zones.iter().any(|first| first.name == zone.name) => {
                Fault::new(format!("`{}` stands here twice: the first line counts", zone.name))
            }
            Ok(Some(_)) if zones.len() >= ZONES_MAX => {
                Fault::new(format!("more than {ZONES_MAX} zones: this one is left out"))
            }
            Ok(Some(zone)) => {
                zones.push(zone);
                continue;
            }
            Err(fault) => fault,
        };
        if bad.len() < BAD_LINES_MAX {
            bad.push(fault.at(number));
        }
    }
    (zones, bad)
}

/// What is wrong, before it is known in which line.
struct Fault {
    message: String,
    word: Option<String>,
}

impl Fault {
    fn new(message: String) -> Fault {
        Fault { message, word: None }
    }

    fn at(self, number: u32) -> BadLine {
        BadLine {
            number,
            message: Line::reason(self.message.as_bytes()),
            word: self.word.map(|word| Line::reason(word.as_bytes())),
        }
    }
}

/// `None` for a line that says nothing.
fn parse_line(line: &str) -> Result<Option<Zone>, Fault> {
    let mut words = line.split_whitespace().take_while(|word| !word.starts_with('#'));
    let Some(name) = words.next() else {
        return Ok(None);
    };
    let name = zone_name(name)?;
    let (mut target, mut effect, mut ranges) = (Target::Client, None, Vec::new());
    for word in words {
        let folded = word.to_lowercase();
        let said = match &*folded {
            "domain" => {
                target = Target::Domain;
                continue;
            }
            "score" => Effect::Score,
            "allow" => Effect::Allow,
            code if code.starts_with(|c: char| c.is_ascii_digit()) => {
                ranges.push(code_range(code)?);
                continue;
            }
            _ => {
                return Err(Fault {
                    message: format!("unknown word: `{word}`"),
                    word: Some(folded),
                });
            }
        };
        if effect.is_some_and(|before| before != said) {
            return Err(Fault::new(
                "both `score` and `allow`: a listing cannot mean both".into(),
            ));
        }
        effect = Some(said);
    }
    if ranges.len() > CODES_MAX {
        return Err(Fault::new(format!("more than {CODES_MAX} answers")));
    }
    Ok(Some(Zone {
        name,
        target,
        effect: effect.unwrap_or(Effect::Refuse),
        codes: match ranges.is_empty() {
            true => Codes::Usual,
            false => Codes::Only(ranges),
        },
    }))
}

fn zone_name(word: &str) -> Result<Name, Fault> {
    let domain = Domain::parse(word).map_err(|_| Fault::new(format!("not the name of a zone: `{word}`")))?;
    if !domain.as_str().contains('.') {
        let message = match WORDS.contains(&domain.as_str()) {
            true => format!("begins with `{word}`, where the zone's name should stand"),
            false => format!("not the whole name of a zone: `{word}`"),
        };
        return Err(Fault::new(message));
    }
    if is_number(domain.last_label()) {
        return Err(Fault::new(format!("begins with an address, not with a zone: `{word}`")));
    }
    if domain.as_str().len() > NAME_OCTETS_MAX {
        return Err(Fault::new("a name so long that no address fits in front of it".into()));
    }
    Ok(Name::from(&domain))
}

/// No name ends in a label that is a number (RFC 1123 §2.1, RFC 3696 §2).
pub(super) fn is_number(label: &str) -> bool {
    label.bytes().all(|octet| octet.is_ascii_digit())
}

/// `127.0.0.2`, `127.0.0.0/28` or `127.0.0.4-7`.
fn code_range(word: &str) -> Result<CodeRange, Fault> {
    let no_range = || {
        Fault::new(format!(
            "not an answer, a network or a range of the last octet: `{word}`"
        ))
    };
    let address = |text: &str| text.parse::<Ipv4Addr>().map_err(|_| no_range());
    let (first, last) = if let Some((first, bits)) = word.split_once('/') {
        let first = address(first)?;
        let bits: u32 = bits.parse().ok().filter(|bits| *bits <= 32).ok_or_else(no_range)?;
        let rest = u32::MAX.checked_shr(bits).unwrap_or(0);
        let start = Ipv4Addr::from_bits(first.to_bits() & !rest);
        if start != first {
            return Err(Fault::new(format!(
                "`{word}` is no network: it begins at `{start}/{bits}`"
            )));
        }
        (first, Ipv4Addr::from_bits(first.to_bits() | rest))
    } else if let Some((first, last)) = word.split_once('-') {
        let first = address(first)?;
        let last: u8 = last.parse().map_err(|_| no_range())?;
        let [a, b, c, _] = first.octets();
        (first, Ipv4Addr::new(a, b, c, last))
    } else {
        let only = address(word)?;
        (only, only)
    };
    if first > last {
        return Err(Fault::new(format!("an empty range: `{word}`")));
    }
    if !first.is_loopback() || !last.is_loopback() {
        return Err(Fault::new(format!("no list answers outside of 127.0.0.0/8: `{word}`")));
    }
    if is_refusal(first) {
        let message = format!("not a listing, but how lists refuse to answer: `{word}`");
        return Err(Fault::new(message));
    }
    Ok(CodeRange { first, last })
}

/// The line that reads back as this zone.
impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)?;
        match self.effect {
            Effect::Refuse => {}
            Effect::Score => f.write_str(" score")?,
            Effect::Allow => f.write_str(" allow")?,
        }
        if self.target == Target::Domain {
            f.write_str(" domain")?;
        }
        match &self.codes {
            Codes::Usual => Ok(()),
            Codes::Only(ranges) => ranges.iter().try_for_each(|range| write!(f, " {range}")),
        }
    }
}
