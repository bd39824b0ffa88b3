//! One connection to a mail server, up to where transactions can begin: greeting, EHLO or LHLO, STARTTLS, XCLIENT.
//!
//! SMTP and LMTP (RFC 2033) are one client here with a [`Dialect`]: they differ in the name of one command, and in how
//! many replies follow a message.

use super::{Octets, tls};
use mail::smtp::client::{Answer, Extensions, NeedsSmtputf8, Origin, ReplyParser, XclientOffer, write_xclient};
use mail::{Line, Reply, Severity};
use std::future::poll_fn;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{timeout, timeout_at};

/// How long to wait for the rest of what a server says when it should say nothing.
const OUT_OF_TURN: Duration = Duration::from_millis(100);

/// Which protocol a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Dialect {
    /// RFC 5321: one reply for the message, whoever it is for.
    Smtp,
    /// RFC 2033: a reply for each recipient that was accepted.
    Lmtp,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Endpoint {
    Tcp { host: String, port: u16 },
    Socket(PathBuf),
}

/// All that decides how a server is talked to. Connections of equal settings can stand in for each other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Settings {
    pub dialect: Dialect,
    pub endpoint: Endpoint,
    /// Our own name.
    pub helo: String,
    pub tls: tls::Policy,
    pub connections_max: usize,
    /// Time for connecting, and for the TLS handshake.
    pub connect: Duration,
    /// Time for each reply, and for each block of a message to be taken.
    pub reply: Duration,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) settings: Arc<Settings>,
    stream: Box<dyn Octets>,
    parser: ReplyParser,
    /// Octets that were read and not yet parsed.
    unread: Vec<u8>,
    pub(super) extensions: Extensions,
    /// What the server takes by XCLIENT. Postfix offers that once only, unless it trusts the client just named too.
    xclient: XclientOffer,
    /// The XCLIENT command that holds; without one the server knows us as the client.
    introduced: Option<Vec<u8>>,
    used: Instant,
    /// Transactions so far.
    pub(super) transactions: u32,
    /// When a transaction that goes on must be over; then what it said so far counts.
    pub(super) until: Option<tokio::time::Instant>,
    /// Something went wrong after which nobody knows what the next reply would answer.
    pub(super) is_spoilt: bool,
}

/// Why a connection or a transaction came to no end.
pub(super) enum Trouble {
    /// The connection is of no use any more.
    Broken(io::Error),
    /// It could not be encrypted.
    Unsafe(io::Error),
    /// The server answered the whole transaction at once.
    Answered(Reply),
}

/// RFC 6531 §3.5: such mail cannot go to a server that does not offer SMTPUTF8.
impl From<NeedsSmtputf8> for Trouble {
    fn from(_: NeedsSmtputf8) -> Trouble {
        let text = Line::literal("the next hop does not take internationalised addresses");
        Trouble::Answered(Reply::new(550, (5, 6, 7), text))
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Broken(error)
    }
}

/// How far a part of a message came.
enum Written {
    /// All of it was handed to the socket.
    Whole,
    /// The server said something, or closed, before.
    Interrupted,
}

impl Endpoint {
    pub(super) fn tcp(host: &str, port: u16) -> Endpoint {
        let host = host.to_owned();
        Endpoint::Tcp { host, port }
    }

    async fn connect(&self) -> io::Result<Box<dyn Octets>> {
        match self {
            Endpoint::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Endpoint::Socket(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Endpoint::Tcp { host, port } => write!(f, "{host}:{port}"),
            Endpoint::Socket(path) => path.display().fmt(f),
        }
    }
}

impl Connection {
    /// Connects, and says hello; encrypted if `client` is there and the server can.
    pub(super) async fn open(settings: &Arc<Settings>, client: Option<&tls::Client>) -> Result<Connection, Trouble> {
        let stream = timeout(settings.connect, settings.endpoint.connect())
            .await
            .map_err(|_| late("connect"))??;
        let mut connection = Connection::over(stream, settings);
        positive(connection.reply("greeting").await?)?;
        connection.hello().await?;
        match (client, &settings.endpoint) {
            // Nobody listens on a Unix socket, and there is no name to verify.
            (None, _) | (_, Endpoint::Socket(_)) => Ok(connection),
            (Some(client), Endpoint::Tcp { host, .. }) => connection.secured(client, host).await,
        }
    }

    /// A connection on which nothing was said yet.
    pub(super) fn over(stream: Box<dyn Octets>, settings: &Arc<Settings>) -> Connection {
        Connection {
            settings: settings.clone(),
            stream,
            parser: ReplyParser::default(),
            unread: Vec::new(),
            extensions: Extensions::default(),
            xclient: XclientOffer::default(),
            introduced: None,
            used: Instant::now(),
            transactions: 0,
            until: None,
            is_spoilt: false,
        }
    }

    /// Says hello as ourselves.
    async fn hello(&mut self) -> Result<(), Trouble> {
        let name = self.settings.helo.clone();
        self.hello_as(&name).await.and_then(positive)?;
        self.xclient = self.extensions.xclient;
        Ok(())
    }

    /// RFC 5321 §3.2: EHLO, and HELO for servers that do not know it. RFC 2033 §4.1: LHLO, and nothing else. Gives the
    /// server's answer.
    async fn hello_as(&mut self, name: &str) -> Result<Reply, Trouble> {
        let verb = match self.settings.dialect {
            Dialect::Smtp => "EHLO",
            Dialect::Lmtp => "LHLO",
        };
        self.extensions = Extensions::default();
        self.send(format!("{verb} {name}\r\n").as_bytes()).await?;
        let hello = self.answer(verb).await?;
        if hello.code / 100 == 2 {
            self.extensions = Extensions::parse(&hello);
        } else if self.settings.dialect == Dialect::Smtp {
            return self.ask(&format!("HELO {name}\r\n"), "HELO").await;
        }
        Ok(hello.into_reply())
    }

    /// RFC 3207 §4: STARTTLS, the handshake, and EHLO again, since nothing that was said in plaintext counts.
    async fn secured(mut self, client: &tls::Client, host: &str) -> Result<Connection, Trouble> {
        let is_strict = self.settings.tls.is_strict();
        if !self.extensions.starttls {
            return match is_strict {
                true => Err(io::Error::other("it offers no STARTTLS").into()),
                false => Ok(self),
            };
        }
        let reply = self.ask("STARTTLS\r\n", "STARTTLS").await?;
        if reply.severity() != Severity::Positive {
            if is_strict || reply.code() == 421 {
                return Err(io::Error::other(format!("it said to STARTTLS: {}", reply.one_line())).into());
            }
            tracing::debug!(next_hop = %self.settings.endpoint, %reply, "STARTTLS was offered and refused");
            return Ok(self);
        }
        if !self.unread.is_empty() {
            // Whoever can write on the line could have replies of his own taken for encrypted ones.
            let text = "octets in plaintext stand behind its reply to STARTTLS";
            return Err(Trouble::Unsafe(io::Error::new(io::ErrorKind::InvalidData, text)));
        }
        let handshake = timeout(self.settings.connect, client.secure(self.stream, host)).await;
        self.stream = handshake
            .unwrap_or_else(|_| Err(late("TLS handshake")))
            .map_err(|error| Trouble::Unsafe(io::Error::new(error.kind(), format!("TLS: {error}"))))?;
        self.parser = ReplyParser::default();
        self.hello().await?;
        Ok(self)
    }

    /// Whether the client of the next transaction is the one that the server knows already.
    pub(super) fn knows(&self, origin: Option<&Origin<'_>>) -> bool {
        self.introduction(origin) == self.introduced
    }

    /// Whether the server can be told of this client. It cannot be told to take us for the client again.
    pub(super) fn can_be_told_of(&self, origin: Option<&Origin<'_>>) -> bool {
        self.introduced.is_none() || (origin.is_some() && !self.is_bound())
    }

    /// Whether it can serve one client only, the one that the server knows.
    pub(super) fn is_bound(&self) -> bool {
        self.introduced.is_some() && !self.extensions.xclient.is_any()
    }

    /// The XCLIENT command for a client; nothing if the server does not take it from us.
    fn introduction(&self, origin: Option<&Origin<'_>>) -> Option<Vec<u8>> {
        let mut command = Vec::new();
        write_xclient(origin?, self.xclient, &mut command);
        (!command.is_empty()).then_some(command)
    }

    /// Tells the server for whom we speak (Postfix's XCLIENT_README): it begins its session anew, with 220 and EHLO.
    pub(super) async fn introduce(&mut self, origin: Option<&Origin<'_>>) -> Result<(), Trouble> {
        let command = self.introduction(origin);
        let (Some(origin), Some(octets)) = (origin, command.as_deref()) else {
            return Ok(());
        };
        if command == self.introduced {
            return Ok(());
        }
        self.send(octets).await?;
        let reply = self.reply("XCLIENT").await?;
        if reply.severity() == Severity::Positive {
            self.introduced = command;
            return self.hello_for(origin).await;
        }
        if reply.code() == 421 || self.introduced.is_some() {
            // It closes, or it would take this client's mail for that of the one before.
            return Err(io::Error::other(format!("it said to XCLIENT: {}", reply.one_line())).into());
        }
        tracing::debug!(next_hop = %self.settings.endpoint, %reply, "XCLIENT was offered and refused");
        self.xclient = XclientOffer::default();
        Ok(())
    }

    /// The name in this EHLO is what the server writes into Received and judges, whatever XCLIENT said of it. So it is
    /// the client's, unless it is no name at all, or one that the server does not take.
    async fn hello_for(&mut self, origin: &Origin<'_>) -> Result<(), Trouble> {
        if is_helo_name(origin.helo) && self.hello_as(origin.helo).await?.severity() == Severity::Positive {
            return Ok(());
        }
        let name = self.settings.helo.clone();
        self.hello_as(&name).await.and_then(positive).map(drop)
    }

    pub(super) fn idle_time(&self) -> Duration {
        self.used.elapsed()
    }

    pub(super) fn touch(&mut self) {
        self.used = Instant::now();
    }

    /// Whether another transaction may follow: the server owes us nothing, and has said nothing that was not asked.
    pub(super) fn is_quiet(&mut self) -> bool {
        !self.is_spoilt && self.unread.is_empty() && !self.stream.has_more()
    }

    pub(super) async fn ask(&mut self, command: &str, stage: &str) -> Result<Reply, Trouble> {
        self.send(command.as_bytes()).await?;
        self.reply(stage).await
    }

    /// Sends commands. Whatever they are, the server has nothing to say before it has them: a reply that lies unread
    /// now would be taken for the one to them. RFC 2920 §3.1: those to the first of a group may come before the last
    /// was sent.
    pub(super) async fn send(&mut self, octets: &[u8]) -> Result<(), Trouble> {
        if !self.unread.is_empty() || self.stream.has_more() {
            return Err(self.out_of_turn().await);
        }
        let late_at = self.late_at();
        let write = async {
            self.stream.write_all(octets).await?;
            // What TLS has encrypted may still stand in its buffers.
            self.stream.flush().await
        };
        Ok(timeout_at(late_at, write).await.map_err(|_| late("write"))??)
    }

    /// Sends a part of a message. Until the server has its end, it has nothing to say: what it says before would be
    /// taken for its acknowledgement.
    pub(super) async fn send_text(&mut self, octets: &[u8]) -> Result<(), Trouble> {
        let (late_at, mut rest) = (self.late_at(), octets);
        let written = poll_fn(|context| self.poll_text(context, &mut rest));
        match timeout_at(late_at, written).await.map_err(|_| late("write"))?? {
            Written::Whole => Ok(()),
            Written::Interrupted => Err(self.out_of_turn().await),
        }
    }

    /// Looks for words of the server before each time that something is handed to the socket, and while the socket
    /// takes nothing: the last octets of the message may be among those that wait.
    fn poll_text(&mut self, context: &mut Context<'_>, rest: &mut &[u8]) -> Poll<io::Result<Written>> {
        while !rest.is_empty() || !self.stream.is_flushed() {
            if !self.unread.is_empty() || self.stream.has_more() {
                return Poll::Ready(Ok(Written::Interrupted));
            }
            match self.stream.poll_write_once(context, rest) {
                Poll::Ready(count) => *rest = rest.get(count?..).unwrap_or_default(),
                Poll::Pending => return self.stream.poll_more(context).map(|()| Ok(Written::Interrupted)),
            }
        }
        Poll::Ready(Ok(Written::Whole))
    }

    /// What it said out of turn, or how it closed, for the log. Either is there to be read, unless it is not whole.
    async fn out_of_turn(&mut self) -> Trouble {
        let words = match timeout(OUT_OF_TURN, self.answer("a time when it had nothing to say")).await {
            Ok(Ok(answer)) => answer.into_reply().one_line().to_string(),
            Ok(Err(trouble)) => return trouble,
            Err(_) => "no whole reply".into(),
        };
        io::Error::new(io::ErrorKind::InvalidData, format!("it spoke out of turn: {words}")).into()
    }

    /// How long to wait for the next octet.
    fn late_at(&self) -> tokio::time::Instant {
        let late_at = tokio::time::Instant::now() + self.settings.reply;
        self.until.map_or(late_at, |until| until.min(late_at))
    }

    /// A reply to anything but DATA. There, 354 would ask for a message that nobody announced: replies and commands
    /// have lost each other.
    pub(super) async fn reply(&mut self, stage: &str) -> Result<Reply, Trouble> {
        let answer = self.answer(stage).await?;
        if answer.code / 100 == 3 {
            let text = format!("it said {} to {stage}", answer.code);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text).into());
        }
        Ok(answer.into_reply())
    }

    pub(super) async fn answer(&mut self, stage: &str) -> Result<Answer, Trouble> {
        loop {
            let mut input = self.unread.as_slice();
            let parsed = self.parser.feed(&mut input);
            let left = input.len();
            self.unread.drain(..self.unread.len() - left);
            match parsed {
                Ok(Some(answer)) => {
                    self.is_spoilt |= answer.code == 421;
                    return Ok(answer);
                }
                Ok(None) => {}
                Err(error) => {
                    let text = format!("no SMTP at {stage}: {error:?}");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text).into());
                }
            }
            let read = timeout_at(self.late_at(), self.stream.read_buf(&mut self.unread))
                .await
                .map_err(|_| late(stage))??;
            if read == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("closed at {stage}")).into());
            }
        }
    }
}

/// RFC 5321 §4.1.1.1: a domain or an address literal, roughly: nothing that could be read as more than one word.
fn is_helo_name(name: &str) -> bool {
    let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || b".-_:[]".contains(&octet);
    (1..=255).contains(&name.len()) && name.bytes().all(is_plain)
}

/// A server that refuses to talk at all is taken to be out of order, whatever its code says: its refusal is about us,
/// not about the message.
fn positive(reply: Reply) -> Result<Reply, Trouble> {
    if reply.severity() == Severity::Positive {
        Ok(reply)
    } else {
        Err(io::Error::other(format!("it said: {}", reply.one_line())).into())
    }
}

fn late(stage: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer at {stage}"))
}
