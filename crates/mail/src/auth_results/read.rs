//! Reading the fields of others (RFC 8601 §2.2, RFC 8617 §4.1.1).

use super::token::{AuthResultsError, Cursor, is_loose};
use super::{PROPERTIES_MAX, RESULTS_MAX, VALUE_OCTETS_MAX};
use crate::text::Line;

/// RFC 8617 §5: a chain has at most 50 sets.
const INSTANCE_MAX: u32 = 50;

/// What a field says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedResults {
    /// Who says it, as written, without quotes.
    pub authserv_id: Line,
    /// The version of the format; `None` where not said, which means 1.
    pub version: Option<u32>,
    /// The results in their order, at most [`RESULTS_MAX`]; none for `none`.
    pub results: Vec<ParsedResult>,
}

/// One result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedResult {
    /// `dkim`, lower-cased.
    pub method: Line,
    /// The version of the method; `None` where not said, which means 1.
    pub version: Option<u32>,
    /// `pass`, lower-cased.
    pub result: Line,
    /// The first comment behind the result.
    pub comment: Option<Line>,
    /// `reason=`.
    pub reason: Option<Line>,
    /// What was looked at, in its order, at most [`PROPERTIES_MAX`].
    pub properties: Vec<Property>,
}

/// `ptype.name=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// `smtp`, `header`, `body`, `policy`, lower-cased. Empty for `action=none`, which large receivers write.
    pub ptype: Line,
    /// `mailfrom`, lower-cased.
    pub name: Line,
    /// The value without quotes, but with those of a local part.
    pub value: Line,
}

impl ParsedResult {
    /// The value of a property. None where it is there twice with different values, because then nobody can say which
    /// is meant.
    pub fn property(&self, ptype: &str, name: &str) -> Option<&Line> {
        let is_asked = |p: &&Property| p.ptype.as_str() == ptype && p.name.as_str() == name;
        let mut values = self.properties.iter().filter(is_asked).map(|p| &p.value);
        let first = values.next()?;
        values.all(|value| value == first).then_some(first)
    }
}

/// Reads the value of an Authentication-Results field, with or without its line ends.
///
/// Departs from RFC 8601 §2.2, as fields in the wild do: values need no quotes where it is clear where they end, a
/// property needs no `ptype`, and a semicolon may stand at the end.
///
/// # Errors
/// If any part cannot be read. A field that is read in part could say the opposite of what was meant.
pub fn parse(value: &[u8]) -> Result<ParsedResults, AuthResultsError> {
    payload(Cursor::new(value))
}

/// Reads the value of an ARC-Authentication-Results field (RFC 8617 §4.1.1): its instance, and what it says.
///
/// # Errors
/// As [`parse`], and if the instance is missing or not 1 to 50.
pub fn parse_arc(value: &[u8]) -> Result<(u32, ParsedResults), AuthResultsError> {
    let (instance, cursor) = instance(value)?;
    Ok((instance, payload(cursor)?))
}

/// The instance of an ARC-Authentication-Results field, whatever it says (RFC 8617 §4.2.1).
///
/// # Errors
/// If the instance is missing or not 1 to 50.
pub fn arc_instance(value: &[u8]) -> Result<u32, AuthResultsError> {
    instance(value).map(|(instance, _)| instance)
}

/// The instance; the cursor stands behind its semicolon.
pub(super) fn instance(value: &[u8]) -> Result<(u32, Cursor<'_>), AuthResultsError> {
    let mut cursor = Cursor::new(value);
    cursor.skip_cfws()?;
    let is_instance = cursor.keyword() == "i";
    cursor.skip_cfws()?;
    let is_instance = is_instance && cursor.take(b'=');
    cursor.skip_cfws()?;
    let instance = number(&mut cursor).filter(|i| is_instance && (1..=INSTANCE_MAX).contains(i));
    cursor.skip_cfws()?;
    match instance {
        Some(instance) if cursor.take(b';') => Ok((instance, cursor)),
        _ => Err(AuthResultsError::Instance),
    }
}

fn payload(mut cursor: Cursor<'_>) -> Result<ParsedResults, AuthResultsError> {
    let (authserv_id, version) = head(&mut cursor)?;
    let mut results = Vec::new();
    while cursor.take(b';') {
        cursor.skip_cfws()?;
        if cursor.is_at_end() || cursor.peek() == Some(b';') {
            continue;
        }
        if results.len() == RESULTS_MAX {
            return Err(AuthResultsError::TooMany);
        }
        results.extend(result(&mut cursor)?);
    }
    if !cursor.is_at_end() {
        return Err(AuthResultsError::Result);
    }
    Ok(ParsedResults {
        authserv_id: Line::clean(&authserv_id, VALUE_OCTETS_MAX),
        version,
        results,
    })
}

/// The authserv-id and the version; the cursor stands at a semicolon or the end.
pub(super) fn head(cursor: &mut Cursor<'_>) -> Result<(Vec<u8>, Option<u32>), AuthResultsError> {
    cursor.skip_cfws()?;
    let id = match cursor.peek() {
        Some(b'"') => cursor.quoted()?,
        _ => cursor.take_while(|b| is_loose(b) && b != b'=').to_vec(),
    };
    if id.trim_ascii().is_empty() || id.iter().any(|b| b.is_ascii_control() && *b != b'\t') {
        return Err(AuthResultsError::Id);
    }
    if id.len() > VALUE_OCTETS_MAX {
        return Err(AuthResultsError::TooMany);
    }
    cursor.skip_cfws()?;
    let version = number(cursor);
    cursor.skip_cfws()?;
    match cursor.peek() {
        None | Some(b';') => Ok((id, version)),
        Some(_) => Err(AuthResultsError::Id),
    }
}

fn number(cursor: &mut Cursor<'_>) -> Option<u32> {
    let digits = cursor.take_while(|b| b.is_ascii_digit());
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// One result; nothing for `none` (RFC 8601 §2.2 `no-result`).
fn result(cursor: &mut Cursor<'_>) -> Result<Option<ParsedResult>, AuthResultsError> {
    let method = keyword(cursor)?;
    cursor.skip_cfws()?;
    if method == "none" && matches!(cursor.peek(), None | Some(b';')) {
        return Ok(None);
    }
    let mut version = None;
    if cursor.take(b'/') {
        cursor.skip_cfws()?;
        version = Some(number(cursor).ok_or(AuthResultsError::Result)?);
        cursor.skip_cfws()?;
    }
    if !cursor.take(b'=') {
        return Err(AuthResultsError::Result);
    }
    cursor.skip_cfws()?;
    let mut parsed = ParsedResult {
        method: Line::from(method),
        version,
        result: Line::from(keyword(cursor)?),
        comment: cursor.skip_cfws()?,
        reason: None,
        properties: Vec::new(),
    };
    while !matches!(cursor.peek(), None | Some(b';')) {
        property(cursor, &mut parsed)?;
        cursor.skip_cfws()?;
    }
    Ok(Some(parsed))
}

fn keyword(cursor: &mut Cursor<'_>) -> Result<String, AuthResultsError> {
    let word = cursor.keyword();
    if word.is_empty() || word.len() > VALUE_OCTETS_MAX {
        return Err(AuthResultsError::Result);
    }
    Ok(word)
}

/// `reason=value`, `ptype.name=value` or `name=value`.
fn property(cursor: &mut Cursor<'_>, into: &mut ParsedResult) -> Result<(), AuthResultsError> {
    let mut ptype = String::new();
    let mut name = keyword(cursor)?;
    cursor.skip_cfws()?;
    while cursor.take(b'.') {
        cursor.skip_cfws()?;
        // A name may have dots of its own.
        if !ptype.is_empty() {
            ptype.push('.');
        }
        ptype.push_str(&name);
        name = keyword(cursor)?;
        cursor.skip_cfws()?;
    }
    if let Some((first, rest)) = ptype.split_once('.') {
        name = format!("{rest}.{name}");
        ptype = first.to_owned();
    }
    if !cursor.take(b'=') || ptype.len() + name.len() > VALUE_OCTETS_MAX {
        return Err(AuthResultsError::Result);
    }
    let value = value(cursor)?;
    if ptype.is_empty() && name == "reason" {
        into.reason.get_or_insert(Line::reason(&value));
        return Ok(());
    }
    if into.properties.len() == PROPERTIES_MAX || value.len() > VALUE_OCTETS_MAX {
        return Err(AuthResultsError::TooMany);
    }
    into.properties.push(Property {
        ptype: Line::from(ptype),
        name: Line::from(name),
        // An escape is ten characters at most.
        value: Line::clean(&value, 10 * VALUE_OCTETS_MAX),
    });
    Ok(())
}

/// RFC 8601 §2.2 `pvalue`. A quoted string before `@` is a local part and keeps its quotes: `"a@b"@c` is not `a@b@c`.
fn value(cursor: &mut Cursor<'_>) -> Result<Vec<u8>, AuthResultsError> {
    cursor.skip_cfws()?;
    if cursor.peek() != Some(b'"') {
        return Ok(cursor.take_while(is_loose).to_vec());
    }
    let before = cursor.rest();
    let text = cursor.quoted()?;
    match cursor.peek() {
        Some(b'@') => cursor.take_while(is_loose),
        Some(octet) if is_loose(octet) || octet == b'"' => return Err(AuthResultsError::Result),
        _ => return Ok(text),
    };
    let end = before.len() - cursor.rest().len();
    Ok(before.get(..end).unwrap_or_default().to_vec())
}
