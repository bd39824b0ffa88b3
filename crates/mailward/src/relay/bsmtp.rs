//! Delivery into a program that reads an SMTP session from its standard input, as `rsmtp -bS` of Exim does.
//!
//! The program is started for each message, without a shell and with an environment of nothing but `PATH`. Only when
//! it has read the message to its end and then ended with status 0 is the message taken; anything else is a temporary
//! failure, as the original has it. What the pipe has taken the program need not have read, so the pipe is asked for what
//! is left in it. What it prints is logged, up to a bound, and never shown to the sender. It may
//! neither read nor end nor stop printing: it is killed in time.

use super::blocks::Blocks;
use super::connection::Trouble;
use super::next_hop::Program;
use super::{Delay, Delivery, Durable, Parcel};
use mail::smtp::client::{Extensions, write_mail, write_rcpt};
use mail::smtp::command::MailParams;
use mail::{ForwardPath, Line};
use std::io::{self, PipeReader};
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::Sender;
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

/// Octets that are kept of each of the program's two outputs, to be logged; the rest is read and thrown away.
const OUTPUT_OCTETS_MAX: usize = 2048;
/// How long to go on reading what an ended program printed. It is there already, unless a child of the program has
/// inherited the pipe.
const OUTPUT_GRACE: Duration = Duration::from_millis(100);
/// What comes behind the message. A program that ends at the message's end need not read it.
const QUIT: &[u8] = b"QUIT\r\n";

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Settings {
    pub program: Program,
    /// Our own name.
    pub helo: String,
    /// Programs that run at one time.
    pub runs_max: usize,
    /// Time for one run.
    pub time: Duration,
}

/// A program, and how many of it may run.
#[derive(Debug)]
pub(super) struct Runner {
    settings: Settings,
    room: Semaphore,
}

/// A program that runs, and its standard input: our end to write to, and the other one, to see what is left unread.
struct Run {
    child: Child,
    stdin: Sender,
    unread: PipeReader,
}

/// How a run ended.
enum Ended {
    Status {
        status: ExitStatus,
        /// It read the message up to the final dot.
        has_read: bool,
    },
    Late,
    Failed(io::Error),
}

impl Runner {
    pub(super) fn new(settings: Settings) -> Runner {
        let room = Semaphore::new(settings.runs_max);
        Runner { settings, room }
    }

    /// One answer, the same for each recipient.
    pub(super) async fn deliver(&self, parcel: Parcel<'_>) -> Vec<Delivery> {
        let envelope = match self.envelope(&parcel) {
            Ok(envelope) => envelope,
            Err(Trouble::Answered(reply)) => return parcel.all(|| Delivery::Refused(reply.clone())),
            Err(_) => return parcel.all(|| Delivery::Later(Delay::literal("the envelope cannot be written"))),
        };
        let Ok(_room) = timeout(self.settings.time, self.room.acquire()).await else {
            return parcel.all(|| Delivery::Later(Delay::literal("all delivery programs are busy")));
        };
        let (ended, output) = self.run(&envelope, &parcel).await;
        let (program, output) = (&self.settings.program, Line::clean(&output, 2 * OUTPUT_OCTETS_MAX));
        match verdict(&ended) {
            Ok(()) => {
                tracing::debug!(%program, %output, "the delivery program took a message");
                let text = Line::literal("taken by the delivery program");
                parcel.all(|| Delivery::Taken(Durable(()), text.clone()))
            }
            Err(why) => {
                tracing::warn!(%program, %output, why = %why.words, "a message was not delivered");
                parcel.all(|| Delivery::Later(why.clone()))
            }
        }
    }

    /// HELO, not EHLO: nobody answers what is offered. So no parameters, and no internationalised addresses.
    fn envelope(&self, parcel: &Parcel<'_>) -> Result<Vec<u8>, Trouble> {
        let mut out = format!("HELO {}\r\n", self.settings.helo).into_bytes();
        let nothing = Extensions::default();
        write_mail(parcel.reverse_path, MailParams::default(), nothing, &mut out)?;
        for to in parcel.recipients {
            write_rcpt(&ForwardPath::Address(to.address.clone()), nothing, &mut out)?;
        }
        out.extend_from_slice(b"DATA\r\n");
        Ok(out)
    }

    /// How it ended, and what it printed.
    async fn run(&self, envelope: &[u8], parcel: &Parcel<'_>) -> (Ended, Vec<u8>) {
        let Run {
            mut child,
            stdin,
            unread,
        } = match self.start() {
            Ok(run) => run,
            Err(error) => return (Ended::Failed(error), Vec::new()),
        };
        let (mut said, mut complained) = (Vec::new(), Vec::new());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let ended = {
            let mut output = pin!(async {
                tokio::join!(capture(stdout, &mut said), capture(stderr, &mut complained));
            });
            let work = async {
                let mut work = pin!(work(&mut child, stdin, &unread, envelope, parcel));
                tokio::select! {
                    biased;
                    ended = &mut work => {
                        // What it printed last; one that ended in time is not late for it.
                        let _ = timeout(OUTPUT_GRACE, &mut output).await;
                        ended
                    }
                    () = &mut output => work.await,
                }
            };
            timeout(self.settings.time, work).await.unwrap_or(Ended::Late)
        };
        if let (Ended::Late, Err(error)) = (&ended, child.kill().await) {
            tracing::error!(program = %self.settings.program, %error, "a delivery program cannot be killed");
        }
        said.extend_from_slice(b" ");
        said.extend_from_slice(&complained);
        (ended, said)
    }

    fn start(&self) -> io::Result<Run> {
        let program = &self.settings.program;
        let mut command = Command::new(program.path());
        command.args(program.arguments()).env_clear().current_dir("/");
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        let (unread, stdin) = io::pipe()?;
        command
            .stdin(unread.try_clone()?)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // A Ctrl-C on the daemon's terminal is for the daemon, which then drains.
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        let stdin = Sender::from_owned_fd(stdin.into())?;
        Ok(Run { child, stdin, unread })
    }
}

/// Feeds the program until it has all or ends, and waits for its end.
async fn work(child: &mut Child, stdin: Sender, unread: &PipeReader, envelope: &[u8], parcel: &Parcel<'_>) -> Ended {
    let mut is_fed = false;
    let waited = {
        let mut feed = pin!(feed(stdin, envelope, parcel, &mut is_fed));
        tokio::select! {
            // What it was given before it ended counts, so that is looked at first.
            biased;
            () = &mut feed => child.wait().await,
            status = child.wait() => status,
        }
    };
    match waited {
        Ok(status) => Ended::Status {
            status,
            has_read: is_fed && rustix::io::ioctl_fionread(unread).is_ok_and(|left| left <= QUIT.len() as u64),
        },
        Err(error) => Ended::Failed(error),
    }
}

/// Writes the session; `is_fed` once the final dot is written. That the program does not want the rest is no error
/// here: its exit status says what that means. Ends with the end of its input.
async fn feed(mut stdin: Sender, envelope: &[u8], parcel: &Parcel<'_>, is_fed: &mut bool) {
    let write = async {
        stdin.write_all(envelope).await?;
        let (mut blocks, mut block) = (Blocks::of(parcel.content), Vec::new());
        while blocks.next(&mut block).await? {
            if blocks.is_at_end() && Instant::now() >= parcel.deadline.commit {
                // The end of its input might be an end of the message for it; it is killed instead.
                std::future::pending::<()>().await;
            }
            stdin.write_all(&block).await?;
        }
        *is_fed = true;
        stdin.write_all(QUIT).await
    };
    if let Err(error) = write.await {
        tracing::debug!(%error, "the delivery program closed its input");
    }
}

/// Reads to the end, so that the program is never held up, and keeps the beginning.
async fn capture(from: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut from) = from else {
        return;
    };
    let mut octets = [0; 1024];
    while let Ok(count @ 1..) = from.read(&mut octets).await {
        let room = OUTPUT_OCTETS_MAX.saturating_sub(kept.len());
        kept.extend_from_slice(&octets[..count.min(room)]);
    }
}

fn verdict(ended: &Ended) -> Result<(), Delay> {
    let text = match ended {
        Ended::Status { status, has_read: true } if status.success() => return Ok(()),
        Ended::Status { status, .. } if status.success() => "ended before it had read the message".into(),
        Ended::Status { status, .. } => match (status.code(), status.signal()) {
            (Some(code), _) => format!("ended with status {code}"),
            (None, Some(signal)) => format!("was ended by signal {signal}"),
            (None, None) => "ended in an unknown way".into(),
        },
        Ended::Late => "did not end in time".into(),
        Ended::Failed(error) => return Err(Delay::failed("the delivery program cannot be run", error)),
    };
    let words = Line::reason(format!("the delivery program {text}").as_bytes());
    let told = words.clone();
    Err(Delay { words, told })
}
