//! Character references: by number, and the names that mail uses.

use memchr::memchr;

/// A reference is not longer than this, `&` and `;` included.
const REFERENCE_OCTETS_MAX: usize = 12;

/// Letters with accents, by the first letter and the rest of the name.
const NAMES: [(&str, char); 61] = [
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
    let is_ended = inside.get(len) == Some(&b';');
    let octets = 1 + len + usize::from(is_ended);
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return Some((char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), octets));
    }
    let (_, c) = NAMES.iter().find(|(known, _)| *known == name).filter(|_| is_ended)?;
    Some((*c, octets))
}
