//! The daemon's end: a socket of which there is one for each state directory, and a thread for each question.

use super::wire::{AnyRequest, PIECE_OCTETS, Piece, REQUEST_OCTETS_MAX, Request, VERSION, line};
use crate::cli::Trouble;
use crate::cli::ask;
use crate::cli::daemon::Daemon;
use crate::cli::desk::{Caller, Desk, Out};
use crate::front::smtp::Stop;
use std::cell::RefCell;
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};

/// Questions at one time; whoever comes later waits.
const QUESTIONS_MAX: u32 = 16;
/// Those of them that others than root and the daemon's user may ask: the operator always gets an answer.
const OWNERS_QUESTIONS_MAX: usize = 8;
/// For a request to arrive.
const REQUEST_TIME: Duration = Duration::from_secs(5);
/// For a piece of the answer to be taken.
const PIECE_TIME: Duration = Duration::from_secs(30);
/// For the whole answer: releasing many messages to a slow next hop takes long.
const ANSWER_TIME: Duration = Duration::from_secs(900);
/// Pieces that wait for the client.
const PIECES_QUEUED: usize = 4;
/// Pause after the system could not accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Group may connect; the daemon's group is the operator's choice.
const SOCKET_MODE: u32 = 0o660;

/// The socket, while this process holds it.
pub(in crate::cli) struct Socket {
    listener: UnixListener,
    path: PathBuf,
    places: Arc<Semaphore>,
    owners_places: Arc<Semaphore>,
    /// Held as long as the socket is ours; the kernel lets go of it even after a crash.
    _lock: File,
}

impl Socket {
    /// Takes the place of a socket that a crash left, never that of a living daemon.
    pub(in crate::cli) fn bind(path: &Path) -> Result<Socket, Trouble> {
        let cannot = |error: io::Error| Trouble::new(format!("cannot listen on {}: {error}", path.display()));
        let lock = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path.with_extension("lock"))
            .map_err(cannot)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Trouble::hint(
                    format!("another daemon answers at {}", path.display()),
                    "stop it, or start this one with `--only` and without `control`",
                ));
            }
            Err(TryLockError::Error(error)) => return Err(cannot(error)),
        }
        remove_stale(path).map_err(cannot)?;
        let listener = UnixListener::bind(path).map_err(cannot)?;
        std::fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE)).map_err(cannot)?;
        Ok(Socket {
            listener,
            path: path.to_owned(),
            places: Arc::new(Semaphore::new(QUESTIONS_MAX as usize)),
            owners_places: Arc::new(Semaphore::new(OWNERS_QUESTIONS_MAX)),
            _lock: lock,
        })
    }

    /// Answers until `stop` says so, then ends what was asked before within `drain`.
    pub(in crate::cli) async fn serve(self, daemon: Arc<Daemon>, mut stop: watch::Receiver<Stop>, drain: Duration) {
        loop {
            let Ok(place) = self.places.clone().acquire_owned().await else {
                return;
            };
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                _ = stop.wait_for(|stop| *stop != Stop::No) => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    let visit = Visit::of(&stream, place, &self.owners_places);
                    let daemon = daemon.clone();
                    tokio::spawn(async move {
                        let answered = match visit {
                            Ok(visit) => answer(stream, daemon, visit).await,
                            Err(error) => Err(error),
                        };
                        if let Err(error) = answered {
                            tracing::debug!(%error, "a control connection broke");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a control connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        // Whoever knocks now finds no daemon.
        let _ = std::fs::remove_file(&self.path);
        let _ = timeout(drain, self.places.acquire_many(QUESTIONS_MAX)).await;
    }
}

/// Who asks, and the places that the question takes until it has been worked off, whether or not anybody still waits
/// for it: threads that nobody waits for must not add up.
struct Visit {
    uid: u32,
    is_crowded: bool,
    _places: [Option<OwnedSemaphorePermit>; 2],
}

impl Visit {
    fn of(stream: &UnixStream, place: OwnedSemaphorePermit, owners_places: &Arc<Semaphore>) -> io::Result<Visit> {
        let uid = stream.peer_cred()?.uid();
        let is_operator = uid == 0 || uid == own_uid();
        let owners = if is_operator {
            None
        } else {
            owners_places.clone().try_acquire_owned().ok()
        };
        Ok(Visit {
            uid,
            is_crowded: !is_operator && owners.is_none(),
            _places: [Some(place), owners],
        })
    }
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Only a socket is removed; anything else there is somebody's file.
fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(there) if there.file_type().is_socket() => std::fs::remove_file(path),
        Ok(_) => Err(io::Error::new(
            ErrorKind::AlreadyExists,
            "something else is there, and no socket",
        )),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

async fn answer(stream: UnixStream, daemon: Arc<Daemon>, visit: Visit) -> io::Result<()> {
    let (mut from, mut to) = stream.into_split();
    let request = if visit.is_crowded {
        // Told without waiting for the request, so that the place is free at once.
        Err("too many users ask at this time; ask again".to_owned())
    } else {
        match timeout(REQUEST_TIME, request(&mut from)).await {
            Ok(request) => request?,
            Err(_) => Err("no request came in time".to_owned()),
        }
    };
    let request = match request {
        Ok(request) => request,
        Err(why) => return write(&mut to, &Piece::Failed(Trouble::new(why).text())).await,
    };
    let (pieces, queue) = mpsc::channel(PIECES_QUEUED);
    let tokio = tokio::runtime::Handle::current();
    // Not waited for: a thread whose reader is gone ends at its next piece.
    tokio::task::spawn_blocking(move || work(&daemon, &visit, tokio, &request, pieces));
    let pass = pass_on(queue, &mut from, &mut to);
    timeout(ANSWER_TIME, pass)
        .await
        .unwrap_or(Err(ErrorKind::TimedOut.into()))
}

/// The request; or, within `Ok`, why it is none.
async fn request(from: &mut OwnedReadHalf) -> io::Result<Result<Request, String>> {
    let mut line = Vec::new();
    BufReader::new(from)
        .take(REQUEST_OCTETS_MAX)
        .read_until(b'\n', &mut line)
        .await?;
    if !line.ends_with(b"\n") {
        return Ok(Err(format!("no request of at most {REQUEST_OCTETS_MAX} octets")));
    }
    Ok(match serde_json::from_slice::<AnyRequest>(&line) {
        Ok(AnyRequest { mailward }) if mailward != VERSION => Err(format!(
            "the daemon, version {}, does not understand this command's version; restart it",
            env!("CARGO_PKG_VERSION")
        )),
        Ok(_) | Err(_) => serde_json::from_slice(&line).map_err(|error| format!("not understood: {error}")),
    })
}

/// Writes pieces until there are no more, or the client is gone.
async fn pass_on(
    mut queue: mpsc::Receiver<Piece>,
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
) -> io::Result<()> {
    loop {
        let mut octet = [0];
        let piece = tokio::select! {
            piece = queue.recv() => piece,
            // One request a connection: whatever comes after it, or its end, ends the answer.
            _ = from.read(&mut octet) => return Ok(()),
        };
        let Some(piece) = piece else {
            return to.shutdown().await;
        };
        write(to, &piece).await?;
    }
}

async fn write(to: &mut OwnedWriteHalf, piece: &Piece) -> io::Result<()> {
    let line = line(piece)?;
    timeout(PIECE_TIME, to.write_all(line.as_bytes())).await?
}

/// Runs a question on a thread that may block.
fn work(
    daemon: &Arc<Daemon>,
    visit: &Visit,
    tokio: tokio::runtime::Handle,
    request: &Request,
    pieces: mpsc::Sender<Piece>,
) {
    let runtime = daemon.runtime();
    let uid = visit.uid;
    let pen = RefCell::new(Pen::new(pieces));
    let answer = Caller::of(uid, own_uid(), &runtime).and_then(|caller| {
        tracing::debug!(uid, ?caller, "a question at the control socket");
        let desk = Desk::lent(daemon.clone(), caller, tokio);
        let (mut text, mut errors) = (Stroke(&pen, Side::Text), Stroke(&pen, Side::Errors));
        let mut out = Out {
            text: &mut text,
            errors: &mut errors,
            columns: request.columns,
        };
        ask::answer(&desk, &request.ask, &mut out)
    });
    let last = match answer {
        Ok(exit) => Piece::Exit(exit),
        Err(Trouble::Quiet) => return,
        Err(trouble) => Piece::Failed(trouble.text()),
    };
    let mut pen = pen.into_inner();
    if pen.flush().is_ok() {
        // The client may have gone.
        let _ = pen.pieces.blocking_send(last);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Text,
    Errors,
}

/// Gathers what a command writes into pieces, both sides in their order.
struct Pen {
    pieces: mpsc::Sender<Piece>,
    side: Side,
    held: Vec<u8>,
}

impl Pen {
    fn new(pieces: mpsc::Sender<Piece>) -> Pen {
        Pen {
            pieces,
            side: Side::Text,
            held: Vec::with_capacity(PIECE_OCTETS),
        }
    }

    fn write(&mut self, side: Side, octets: &[u8]) -> io::Result<usize> {
        if self.side != side || self.held.len() >= PIECE_OCTETS {
            self.flush()?;
        }
        self.side = side;
        let taken = octets.len().min(PIECE_OCTETS - self.held.len());
        self.held.extend_from_slice(&octets[..taken]);
        Ok(taken)
    }

    /// Tells, too, whether the client is still there.
    fn flush(&mut self) -> io::Result<()> {
        if self.pieces.is_closed() {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if self.held.is_empty() {
            return Ok(());
        }
        let piece = match self.side {
            Side::Text => Piece::of(&self.held),
            Side::Errors => Piece::Error(String::from_utf8_lossy(&self.held).into_owned()),
        };
        self.held.clear();
        self.pieces
            .blocking_send(piece)
            .map_err(|_| ErrorKind::BrokenPipe.into())
    }
}

/// One side of a [`Pen`].
struct Stroke<'a>(&'a RefCell<Pen>, Side);

impl Write for Stroke<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(self.1, octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.borrow_mut().flush()
    }
}
