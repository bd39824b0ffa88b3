//! A message on its way out, in blocks of bounded size: however large it is, no second copy of it is made.

use crate::body::Content;
use mail::smtp::client::DotStuffer;
use std::io;
use std::sync::Arc;

/// Octets of the message in one block. Dots and line ends that are added can double them, no more.
const BLOCK: usize = 64 * 1024;

/// A message, dot-stuffed and with its final dot.
pub(super) struct Blocks {
    content: Arc<Content>,
    /// How much of the pieces, and of the tail, was given.
    given: [usize; 2],
    tail_given: u64,
    stuffer: Option<DotStuffer>,
}

impl Blocks {
    pub(super) fn of(content: &Arc<Content>) -> Blocks {
        Blocks {
            content: content.clone(),
            given: [0; 2],
            tail_given: 0,
            stuffer: Some(DotStuffer::default()),
        }
    }

    /// Replaces what `block` holds by the next block; false once there is none. Only the last one may be small, so a
    /// small message leaves in one piece.
    pub(super) async fn next(&mut self, block: &mut Vec<u8>) -> io::Result<bool> {
        block.clear();
        let Some(stuffer) = &mut self.stuffer else {
            return Ok(false);
        };
        let mut room = BLOCK;
        for (piece, given) in self.content.pieces().iter().zip(&mut self.given) {
            let rest = piece.get(*given..).unwrap_or_default();
            let (now, _) = rest.split_at(rest.len().min(room));
            stuffer.feed(now, block);
            *given += now.len();
            room -= now.len();
        }
        if room > 0
            && !self.tail(block).await?
            && let Some(stuffer) = self.stuffer.take()
        {
            stuffer.end(block);
        }
        Ok(true)
    }

    /// Whether the block that was given last holds the end of the message.
    pub(super) fn is_at_end(&self) -> bool {
        self.stuffer.is_none()
    }

    /// Adds a block of what lies in a file, read where waiting for the disk holds nobody up; false if there is none.
    async fn tail(&mut self, block: &mut Vec<u8>) -> io::Result<bool> {
        if self.content.tail().is_none_or(|tail| self.tail_given >= tail.octets()) {
            return Ok(false);
        }
        let (content, at) = (self.content.clone(), self.tail_given);
        let read = move || {
            let mut octets = Vec::new();
            content
                .tail()
                .map_or(Ok(false), |tail| tail.read_block(at, &mut octets))?;
            io::Result::Ok(octets)
        };
        let octets = tokio::task::spawn_blocking(read).await.map_err(io::Error::other)??;
        self.tail_given += octets.len() as u64;
        if let Some(stuffer) = &mut self.stuffer {
            stuffer.feed(&octets, block);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::{Body, Spooler};
    use mail::smtp::client::write_dot_stuffed;

    fn blocks_of(content: Content) -> Vec<Vec<u8>> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut blocks, mut block, mut found) = (Blocks::of(&Arc::new(content)), Vec::new(), Vec::new());
            while blocks.next(&mut block).await.unwrap() {
                found.push(block.clone());
            }
            found
        })
    }

    fn blocks(parts: [&[u8]; 2]) -> Vec<Vec<u8>> {
        blocks_of(Content::new(
            parts[0].to_vec(),
            Arc::new(Body::from(parts[1].to_vec())),
            0,
        ))
    }

    #[test]
    fn what_lies_in_a_file_comes_behind_what_is_in_memory() {
        let dir = tempfile::tempdir().unwrap();
        let tail = b".line\r\n".repeat(BLOCK / 3);
        let mut spooler = Spooler::new(dir.path()).unwrap();
        spooler.write(&tail).unwrap();
        let body = Body {
            head: b"xxhead\r".to_vec(),
            tail: Some(spooler.finish()),
        };
        let mut whole = Vec::new();
        write_dot_stuffed(&[&b"A: b\r\n\r\nhead\r"[..], &tail].concat(), &mut whole);
        let found = blocks_of(Content::new(b"A: b\r\n\r\n".to_vec(), Arc::new(body), 2));
        assert!(found.concat() == whole && found.len() > 2);
    }

    #[test]
    fn a_small_message_is_one_block() {
        assert_eq!(blocks([b"A: b\r\n\r\n", b".\r\n"]), [b"A: b\r\n\r\n..\r\n.\r\n"]);
        assert_eq!(blocks([b"", b""]), [b".\r\n"]);
    }

    #[test]
    fn the_blocks_of_a_large_message_are_the_message_and_none_is_large() {
        let header = b"A: b\r\n".repeat(BLOCK / 5);
        for line in [&b"\r\n"[..], b".\r\n", b".\n", b"\r", b"abcdefg.\r\n", b"x"] {
            let body = line.repeat(3 * BLOCK / line.len() + 7);
            let mut whole = Vec::new();
            write_dot_stuffed(&[&header[..], &body].concat(), &mut whole);
            let found = blocks([&header, &body]);
            assert!(found.concat() == whole, "{line:?}");
            assert!(found.len() > 3 && found.iter().all(|block| block.len() <= 3 * BLOCK));
        }
    }
}
