//! How parts are found: one pass over a message under one reading of it.

use super::list::List;
use super::reading::Reading;
use super::{DEPTH_MAX, Part};
use crate::message::{Field, Message, read_past_lines};
use memchr::memmem;
use std::borrow::Cow;

/// Steps that all readings but the first may take together.
const STEPS_MAX: usize = 100_000_000;
/// What a part costs in steps: without fields, and with them.
const BARE_STEPS: usize = 100;
const PART_STEPS: usize = 200;
/// Octets of messages and multiparts that all readings but the first may decode together.
const DECODED_OCTETS_MAX: usize = 128 << 20;

/// How much work may still be done. A step is the comparison of a line with a boundary, or costs as much.
pub(super) struct Budget {
    pub steps: usize,
    /// Messages and multiparts within one another may be encoded at every level.
    octets: usize,
    /// Something was left out: for want of this, or because it is nested too deep.
    pub is_cut: bool,
}

impl Budget {
    /// For the reading that most readers have, of a message of so many octets. Base64 shrinks from level to level.
    pub fn first(octets: usize) -> Budget {
        Budget {
            steps: usize::MAX,
            octets: octets.saturating_mul(16).saturating_add(1 << 16),
            is_cut: false,
        }
    }

    /// For all others together.
    pub fn others() -> Budget {
        Budget {
            steps: STEPS_MAX,
            octets: DECODED_OCTETS_MAX,
            is_cut: false,
        }
    }

    fn step(&mut self, steps: usize) {
        self.steps = self.steps.saturating_sub(steps);
        self.is_cut |= self.steps == 0;
    }
}

/// The parts under one reading, the whole first; and in what other readings would differ.
pub(super) fn walk<'a>(
    message: &Message<'a>,
    reading: Reading,
    budget: &mut Budget,
    doubts: &mut Reading,
) -> Vec<Part<'a>> {
    let mut walk = Walk::new(reading, budget, doubts);
    let (fields, body) = walk.header(message);
    walk.whole(&fields, body, 0);
    let mut list = walk.list;
    while budget.octets > 0 && list.iter().any(Part::holds_encoded) {
        let mut opened = List::default();
        for part in list.into_parts(budget) {
            if part.holds_encoded() && budget.octets > 0 {
                decode(part, &mut opened, reading, budget, doubts);
            } else {
                opened.push(part);
            }
        }
        list = opened;
    }
    let mut parts = list.into_parts(budget);
    mark_foreign(&mut parts);
    parts
}

/// Puts a part in the list, and those that stand in it once it is decoded.
fn decode<'a>(mut part: Part<'a>, list: &mut List<'a>, reading: Reading, budget: &mut Budget, doubts: &mut Reading) {
    budget.octets = budget.octets.saturating_sub(part.body.len());
    budget.is_cut |= budget.octets == 0;
    let octets = part.octets().into_owned();
    let mut walk = Walk::new(reading, budget, doubts);
    if part.is_message() {
        let (fields, body) = walk.header(&Message::parse(&octets));
        walk.whole(&fields, body, part.depth + 1);
    } else {
        walk.multipart(part.boundary.take().unwrap_or_default(), &octets, &part);
    }
    let within = walk.list.into_parts(budget);
    if !within.is_empty() {
        part.body = Cow::Borrowed(&[]);
    }
    list.push(part);
    within.into_iter().for_each(|part| list.push(part.into_owned()));
}

/// Marks what belongs to somebody else: what stands in an attached message. A message that is nothing but another one
/// shows that one.
fn mark_foreign(parts: &mut [Part<'_>]) {
    let (mut is_whole, mut outer) = (true, None);
    for part in parts {
        outer = outer.filter(|depth| part.depth > *depth);
        part.is_foreign = outer.is_some();
        is_whole &= part.is_container() && part.is_message();
        if !is_whole && outer.is_none() && part.is_container() && part.is_message() {
            outer = Some(part.depth);
        }
    }
}

/// A delimiter that is awaited, and the parts that it parts.
struct Boundary {
    text: Vec<u8>,
    depth: usize,
    is_digest: bool,
    /// No part has begun behind it yet.
    is_fresh: bool,
}

/// Where a part begins, and what is known of it before it is read.
struct Start<'a> {
    rest: &'a [u8],
    depth: usize,
    is_in_digest: bool,
}

struct Walk<'a, 'w> {
    list: List<'a>,
    boundaries: Vec<Boundary>,
    /// None comes any more, so that it need not be looked for behind each delimiter.
    has_no_blank_line: bool,
    reading: Reading,
    budget: &'w mut Budget,
    doubts: &'w mut Reading,
}

impl<'a, 'w> Walk<'a, 'w> {
    fn new(reading: Reading, budget: &'w mut Budget, doubts: &'w mut Reading) -> Walk<'a, 'w> {
        Walk {
            list: List::default(),
            boundaries: Vec::new(),
            has_no_blank_line: false,
            reading,
            budget,
            doubts,
        }
    }

    /// All parts of an entity.
    fn whole(&mut self, fields: &[Field<'a>], body: &'a [u8], depth: usize) {
        let start = Start {
            rest: body,
            depth,
            is_in_digest: false,
        };
        let next = self.entity(fields, &start);
        self.all(next);
    }

    /// All parts of a multipart whose body was decoded; none if its first delimiter never comes.
    fn multipart(&mut self, text: Vec<u8>, body: &'a [u8], part: &Part<'_>) {
        self.push_boundary(text, part);
        let (_, next) = self.next_delimiter(body);
        self.all(next);
    }

    fn all(&mut self, mut next: Option<Start<'a>>) {
        while let Some(start) = next {
            if self.budget.steps == 0 {
                break;
            }
            let (fields, body) = self.header(&Message::parse(start.rest));
            next = self.entity(&fields, &Start { rest: body, ..start });
        }
    }

    /// The header of a part. Some readers go on behind a line that is no field.
    fn header(&mut self, message: &Message<'a>) -> (Vec<Field<'a>>, &'a [u8]) {
        let (octets, body) = (message.octets(), message.body());
        let header = octets.get(..octets.len().saturating_sub(body.len()));
        let header = header.unwrap_or_default();
        self.budget.step(header.len());
        let is_ended = body.is_empty() || ends_blank(header);
        self.doubts.note(Reading::PAST_LINES, !is_ended);
        if is_ended || !self.reading.has(Reading::PAST_LINES) || self.has_no_blank_line {
            return (message.fields().to_vec(), body);
        }
        let past = read_past_lines(octets);
        let read = octets.len() - past.as_ref().map_or(0, |(_, body)| body.len());
        self.has_no_blank_line |= past.is_none();
        self.budget.step(2 * read);
        past.unwrap_or_else(|| (message.fields().to_vec(), body))
    }

    /// Takes in one part whose fields are read; where the next one begins.
    fn entity(&mut self, fields: &[Field<'a>], start: &Start<'a>) -> Option<Start<'a>> {
        let (depth, body) = (start.depth, start.rest);
        self.budget
            .step(if fields.is_empty() { BARE_STEPS } else { PART_STEPS });
        let mut part = Part::read(fields, start.is_in_digest, self.reading, self.doubts);
        part.depth = depth;
        let may_nest = self.boundaries.len() < DEPTH_MAX && depth < DEPTH_MAX;
        self.budget.is_cut |= !may_nest && (part.boundary.is_some() || part.is_message());
        if let Some(text) = part.boundary.clone().filter(|_| may_nest) {
            self.push_boundary(text, &part);
            // Without the first delimiter there is no multipart, whatever it says; so people see its source.
            let (before, after) = self.next_delimiter(body);
            if after.as_ref().is_some_and(|start| start.depth == depth + 1) {
                part.boundary = None;
            } else {
                self.boundaries.retain(|b| b.depth <= depth);
                part.body = Cow::Borrowed(before);
            }
            self.list.push(part);
            return after;
        }
        if part.is_message() && may_nest && !part.is_encoded(body) {
            self.list.push(part);
            return Some(Start {
                rest: body,
                depth: depth + 1,
                is_in_digest: false,
            });
        }
        let (before, after) = self.next_delimiter(body);
        part.body = Cow::Borrowed(before);
        self.list.push(part);
        after
    }

    fn push_boundary(&mut self, text: Vec<u8>, part: &Part<'_>) {
        self.boundaries.push(Boundary {
            text,
            depth: part.depth + 1,
            is_digest: part.media == "multipart/digest",
            is_fresh: true,
        });
    }

    /// What stands before the next delimiter, and what behind it if another part begins there.
    fn next_delimiter(&mut self, octets: &'a [u8]) -> (&'a [u8], Option<Start<'a>>) {
        let (mut at, mut before) = (0, None);
        while !self.boundaries.is_empty() && self.budget.steps > 0 {
            let Some(rest) = octets.get(at..) else { break };
            let Some(start) = next_dashes(octets, rest, at) else {
                break;
            };
            let line = octets.get(start..).unwrap_or_default();
            let end = memchr::memchr(b'\n', line).map_or(line.len(), |end| end + 1);
            let (line, after) = line.split_at_checked(end).unwrap_or((line, &[]));
            at = start + end;
            let Some((index, mut is_last)) = self.matching(line) else {
                continue;
            };
            // Who goes by the beginning takes even a last delimiter for the first one.
            if is_last && self.boundaries.get(index).is_some_and(|boundary| boundary.is_fresh) {
                self.doubts.note(Reading::PREFIX, true);
                is_last = !self.reading.has(Reading::PREFIX);
            }
            before.get_or_insert(start);
            self.boundaries.truncate(if is_last { index } else { index + 1 });
            if let Some(boundary) = self.boundaries.last_mut().filter(|_| !is_last) {
                boundary.is_fresh = false;
                let start = Start {
                    rest: after,
                    depth: boundary.depth,
                    is_in_digest: boundary.is_digest,
                };
                return (without_line_end(octets.get(..before.unwrap_or_default())), Some(start));
            }
        }
        match before {
            Some(end) => (without_line_end(octets.get(..end)), None),
            None => (octets, None),
        }
    }

    /// Which boundary a line is, the innermost first, and whether it is its last.
    fn matching(&mut self, line: &[u8]) -> Option<(usize, bool)> {
        self.budget.step(self.boundaries.len());
        let text = line.get(2..)?.trim_ascii_end();
        let mut begun = None;
        for (index, boundary) in self.boundaries.iter().enumerate().rev() {
            match text.strip_prefix(boundary.text.as_slice()) {
                Some(b"") => return Some((index, false)),
                Some(b"--") => return Some((index, true)),
                Some(rest) if begun.is_none() => begun = Some((index, rest.starts_with(b"--"))),
                _ => {}
            }
        }
        self.doubts.note(Reading::PREFIX, begun.is_some());
        begun.filter(|_| self.reading.has(Reading::PREFIX))
    }
}

/// Whether a header is ended by a blank line.
fn ends_blank(header: &[u8]) -> bool {
    let line = header.strip_suffix(b"\n").unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    header.ends_with(b"\n") && (line.is_empty() || line.ends_with(b"\n") || is_blank_line(line))
}

fn is_blank_line(octets: &[u8]) -> bool {
    let last = octets.rsplit(|&b| b == b'\n').next().unwrap_or_default();
    last.trim_ascii_end().is_empty()
}

/// Where the next line that begins with `--` stands, from a place on.
fn next_dashes(octets: &[u8], rest: &[u8], at: usize) -> Option<usize> {
    let is_line_start = at == 0 || octets.get(at - 1) == Some(&b'\n');
    if is_line_start && rest.starts_with(b"--") {
        return Some(at);
    }
    memmem::find(rest, b"\n--").map(|found| at + found + 1)
}

/// RFC 2046 §5.1.1: the line end before a delimiter belongs to it.
fn without_line_end(octets: Option<&[u8]>) -> &[u8] {
    let octets = octets.unwrap_or_default();
    let octets = octets.strip_suffix(b"\n").unwrap_or(octets);
    octets.strip_suffix(b"\r").unwrap_or(octets)
}
