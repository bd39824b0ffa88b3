//! Index files read line by line, forwards or from the newest line back, in bounded memory.
//!
//! A line past the limit is given as [`IndexLine::TooLong`] without its octets. The last line may lack its end: a
//! crash tore it, or it is being written just now.

use super::entry::LINE_OCTETS_MAX;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::FileExt;

/// How much is read from the disk at once, in octets.
const CHUNK_OCTETS: usize = 64 * 1024;

/// One line without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum IndexLine {
    Whole(Vec<u8>),
    TooLong,
}

/// Lines from the last to the first.
#[derive(Debug)]
pub(super) struct Backwards {
    file: File,
    /// Where in the file `held` begins.
    at: u64,
    /// What was read and not yet given.
    held: Vec<u8>,
    /// The line that `held` ends in was past the limit; its end was dropped.
    too_long: bool,
}

impl Backwards {
    /// Begins at the end that the file has now.
    pub fn new(file: File) -> io::Result<Backwards> {
        let at = file.metadata()?.len();
        let mut lines = Backwards {
            file,
            at,
            held: Vec::new(),
            too_long: false,
        };
        lines.fill()?;
        if lines.held.last() == Some(&b'\n') {
            lines.held.pop();
        }
        Ok(lines)
    }

    /// Reads one more chunk in front of what is held.
    fn fill(&mut self) -> io::Result<()> {
        let octets = self.at.min(CHUNK_OCTETS as u64);
        let mut chunk = vec![0; octets as usize];
        self.file.read_exact_at(&mut chunk, self.at - octets)?;
        chunk.append(&mut self.held);
        self.held = chunk;
        self.at -= octets;
        Ok(())
    }

    /// The next line, which is the one before the last given. Empty lines are passed over.
    pub fn next(&mut self) -> io::Result<Option<IndexLine>> {
        loop {
            if let Some(end) = self.held.iter().rposition(|b| *b == b'\n') {
                let line = self.held.split_off(end + 1);
                self.held.truncate(end);
                match self.finish(line) {
                    Some(line) => return Ok(Some(line)),
                    None => continue,
                }
            }
            if self.at == 0 {
                let line = std::mem::take(&mut self.held);
                return Ok(self.finish(line));
            }
            if self.held.len() > LINE_OCTETS_MAX {
                self.held.clear();
                self.too_long = true;
            }
            self.fill()?;
        }
    }

    fn finish(&mut self, line: Vec<u8>) -> Option<IndexLine> {
        if std::mem::take(&mut self.too_long) || line.len() > LINE_OCTETS_MAX {
            return Some(IndexLine::TooLong);
        }
        (!line.is_empty()).then_some(IndexLine::Whole(line))
    }
}

/// Calls `see` with each line from the first to the last, and with its octets, its end included. Empty lines are
/// passed over.
pub(super) fn forwards(file: File, mut see: impl FnMut(IndexLine, usize)) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(CHUNK_OCTETS, file);
    let (mut line, mut length) = (Vec::new(), 0_usize);
    loop {
        let chunk = reader.fill_buf()?;
        let end = chunk.iter().position(|b| *b == b'\n');
        let part = &chunk[..end.unwrap_or(chunk.len())];
        length += part.len();
        if length <= LINE_OCTETS_MAX {
            line.extend_from_slice(part);
        } else {
            line.clear();
        }
        let (used, last) = (part.len() + usize::from(end.is_some()), chunk.is_empty());
        reader.consume(used);
        if end.is_some() || last {
            let (whole, length) = (std::mem::take(&mut line), std::mem::take(&mut length));
            if length > LINE_OCTETS_MAX {
                see(IndexLine::TooLong, length + 1);
            } else if length > 0 {
                see(IndexLine::Whole(whole), length + 1);
            }
        }
        if last {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn file(octets: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(octets).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        file
    }

    fn backwards(octets: &[u8]) -> Vec<IndexLine> {
        let mut lines = Backwards::new(file(octets)).unwrap();
        std::iter::from_fn(|| lines.next().unwrap()).collect()
    }

    fn forwards_all(octets: &[u8]) -> Vec<IndexLine> {
        let mut lines = Vec::new();
        forwards(file(octets), |line, _| lines.push(line)).unwrap();
        lines
    }

    #[test]
    fn lines_past_the_limit_are_said_to_be_and_cost_no_memory() {
        let long = vec![b'x'; LINE_OCTETS_MAX + 1];
        let just = vec![b'y'; LINE_OCTETS_MAX];
        let octets = [b"a\n", &long[..], b"\n", &just, b"\n", &long, &long, &long, b"\nb\n"].concat();
        let expected = || {
            let whole = |text: &[u8]| IndexLine::Whole(text.to_vec());
            vec![
                whole(b"a"),
                IndexLine::TooLong,
                whole(&just),
                IndexLine::TooLong,
                whole(b"b"),
            ]
        };
        assert_eq!(forwards_all(&octets), expected());
        assert!(backwards(&octets).into_iter().eq(expected().into_iter().rev()));
    }

    proptest! {
        #[test]
        fn both_directions_give_the_same_lines(
            octets in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'a'), Just(b'b')], 0..200),
            stretch in prop_oneof![Just(1_usize), Just(997)],
        ) {
            let octets: Vec<u8> =
                octets.iter().flat_map(|b| std::iter::repeat_n(*b, if *b == b'\n' { 1 } else { stretch })).collect();
            let plain: Vec<IndexLine> = octets.split(|b| *b == b'\n').filter(|line| !line.is_empty())
                .map(|line| if line.len() > LINE_OCTETS_MAX { IndexLine::TooLong } else { IndexLine::Whole(line.to_vec()) })
                .collect();
            prop_assert_eq!(&forwards_all(&octets), &plain);
            prop_assert!(backwards(&octets).into_iter().eq(plain.into_iter().rev()));
        }
    }
}
