//! The command line's end: asks the daemon, if one answers.

use super::wire::{LINE_OCTETS_MAX, Piece, Request, VERSION, line};
use crate::cli::Trouble;
use crate::cli::ask::Ask;
use crate::cli::desk::Out;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Longest silence of the daemon: it may be waiting for a next hop, or reading a large store.
const SILENCE_MAX: Duration = Duration::from_secs(900);
const WRITE_MAX: Duration = Duration::from_secs(10);

/// A daemon that answered the knock.
pub(in crate::cli) struct Daemon(UnixStream);

/// Knocks; `None` where no daemon is, or this user may not knock: then the command opens the files itself, as far as
/// it may.
pub(in crate::cli) fn connect(socket: &Path) -> Result<Option<Daemon>, Trouble> {
    match UnixStream::connect(socket) {
        Ok(stream) => {
            stream.set_read_timeout(Some(SILENCE_MAX))?;
            stream.set_write_timeout(Some(WRITE_MAX))?;
            Ok(Some(Daemon(stream)))
        }
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::PermissionDenied => Ok(None),
            // A path that is too long for a socket has none.
            ErrorKind::InvalidInput | ErrorKind::NotADirectory => Ok(None),
            _ => Err(Trouble::new(format!(
                "cannot ask the daemon at {}: {error}",
                socket.display()
            ))),
        },
    }
}

impl Daemon {
    /// Has the daemon do it; the exit code.
    pub(in crate::cli) fn answer(mut self, ask: Ask, out: &mut Out<'_>) -> Result<u8, Trouble> {
        let request = Request {
            mailward: VERSION,
            columns: out.columns,
            ask,
        };
        let request = line(&request).map_err(Trouble::new)?;
        // A daemon that refuses at once may have closed already; its answer says why.
        let sent = self.0.write_all(request.as_bytes());
        let mut lines = BufReader::new(self.0);
        loop {
            let mut line = String::new();
            let read = lines.by_ref().take(LINE_OCTETS_MAX).read_line(&mut line);
            match read.map_err(lost)? {
                0 => {
                    sent.map_err(lost)?;
                    return Err(lost("it ended in the middle"));
                }
                _ => match serde_json::from_str(&line).map_err(lost)? {
                    Piece::Text(text) => out.text.write_all(text.as_bytes())?,
                    Piece::Octets(text) => out.text.write_all(&Piece::octets(&text))?,
                    Piece::Error(text) => out.errors.write_all(text.as_bytes())?,
                    Piece::Exit(exit) => return Ok(exit),
                    Piece::Failed(text) => return Err(Trouble::Whole(text)),
                },
            }
        }
    }
}

fn lost(why: impl std::fmt::Display) -> Trouble {
    Trouble::hint(
        format!("the daemon's answer was lost: {why}"),
        "look into its log, and ask again",
    )
}
