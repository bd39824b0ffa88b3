//! Character references: by number, and the names that mail uses.

use memchr::memchr;

/// A reference is not longer than this, `&` and `;` included. Numbers may begin with any number of zeros.
const REFERENCE_OCTETS_MAX: usize = 40;

/// The names that mail uses; of the others those that hide what an address is.
const NAMES: [(&str, char); 71] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", '\u{a0}'),
    ("copy", '©'),
    ("reg", '®'),
    ("trade", '™'),
    ("euro", '€'),
    ("pound", '£'),
    ("yen", '¥'),
    ("cent", '¢'),
    ("sect", '§'),
    ("bull", '•'),
    ("middot", '·'),
    ("hellip", '…'),
    ("ndash", '–'),
    ("mdash", '—'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("ldquo", '“'),
    ("rdquo", '”'),
    ("laquo", '«'),
    ("raquo", '»'),
    ("shy", '\u{ad}'),
    ("zwnj", '\u{200c}'),
    ("zwj", '\u{200d}'),
    ("ensp", '\u{2002}'),
    ("emsp", '\u{2003}'),
    ("thinsp", '\u{2009}'),
    ("auml", 'ä'),
    ("ouml", 'ö'),
    ("uuml", 'ü'),
    ("Auml", 'Ä'),
    ("Ouml", 'Ö'),
    ("Uuml", 'Ü'),
    ("szlig", 'ß'),
    ("eacute", 'é'),
    ("egrave", 'è'),
    ("ecirc", 'ê'),
    ("euml", 'ë'),
    ("agrave", 'à'),
    ("aacute", 'á'),
    ("acirc", 'â'),
    ("aring", 'å'),
    ("aelig", 'æ'),
    ("ccedil", 'ç'),
    ("iacute", 'í'),
    ("icirc", 'î'),
    ("iuml", 'ï'),
    ("ntilde", 'ñ'),
    ("oacute", 'ó'),
    ("ocirc", 'ô'),
    ("otilde", 'õ'),
    ("oslash", 'ø'),
    ("uacute", 'ú'),
    ("ugrave", 'ù'),
    ("ucirc", 'û'),
    ("atilde", 'ã'),
    ("times", '×'),
    ("Tab", '\t'),
    ("NewLine", '\n'),
    ("colon", ':'),
    ("sol", '/'),
    ("bsol", '\\'),
    ("period", '.'),
    ("commat", '@'),
    ("quest", '?'),
    ("num", '#'),
    ("percnt", '%'),
];

/// Adds a text with its references decoded. One that nobody knows stays as it stands.
pub(super) fn decode_into(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = memchr(b'&', rest.as_bytes()) {
        let (before, from) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.push_str(before);
        let (c, octets) = reference(from).unwrap_or(('&', 1));
        out.push(c);
        rest = from.get(octets..).unwrap_or_default();
    }
    out.push_str(rest);
}

/// The character that a reference at the start stands for, and its length. The `;` may be missing, as browsers allow.
fn reference(from: &str) -> Option<(char, usize)> {
    let is_inside = |b: &u8| b.is_ascii_alphanumeric() || *b == b'#';
    let inside = from.as_bytes().get(1..)?;
    let len = inside
        .iter()
        .take(REFERENCE_OCTETS_MAX)
        .take_while(|b| is_inside(b))
        .count();
    let name = from.get(1..=len)?;
    if let Some(number) = name.strip_prefix('#') {
        // It ends with its digits, whatever stands behind them.
        let (digits, radix) = match number.strip_prefix(['x', 'X']) {
            Some(hex) => (hex, 16),
            None => (number, 10),
        };
        let end = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
        let code = u32::from_str_radix(digits.get(..end)?, radix).ok()?;
        let len = len - (digits.len() - end);
        let octets = 1 + len + usize::from(inside.get(len) == Some(&b';'));
        return Some((char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), octets));
    }
    let is_ended = inside.get(len) == Some(&b';');
    let octets = 1 + len + usize::from(is_ended);
    let (_, c) = NAMES.iter().find(|(known, _)| *known == name).filter(|_| is_ended)?;
    Some((*c, octets))
}
