//! A next hop inside the test process, by SMTP or LMTP. It takes every message, unless its [`Script`] says otherwise for a stage of the
//! session or for a recipient: refuse, hang, reset, close.
//!
//! It records a transaction just before it acknowledges it, so that nothing acknowledged is missing from the record.
//! The script is read anew at every stage and may be changed under an open connection.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::SockRef;

/// Where in a session something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The connection is accepted, nothing is said yet.
    Connect,
    Greeting,
    /// EHLO and HELO.
    Ehlo,
    /// The reply to STARTTLS.
    StartTls,
    /// After a positive reply to STARTTLS.
    Handshake,
    Xclient,
    Mail,
    /// Every recipient that the script does not name.
    Rcpt,
    Data,
    /// After the first octets of the message; what is answered here is said too early, and the session goes on.
    Early,
    /// After the first octets of the message.
    Body,
    /// After the final dot, before the message is taken.
    Dot,
    /// The message is taken, but its acknowledgement is lost.
    Ack,
    /// By LMTP: after so many replies to the final dot.
    End(usize),
}

/// What happens there instead of the usual answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// A reply line, without CRLF. After 421 the connection is closed, as RFC 5321 §3.8 has it.
    Answer(&'static str),
    /// Says nothing until the other side leaves.
    Hang,
    /// Neither reads nor speaks, so that the other side's writes come to a stop too; until [`Sink::hang_up`].
    Stall,
    /// Gives the usual answer so many milliseconds late.
    Late(u64),
    /// Breaks the connection with RST.
    Reset,
    /// Closes the connection.
    Close,
}

#[derive(Debug, Clone, Default)]
pub struct Script {
    acts: Vec<(Stage, Act)>,
    rcpts: Vec<(String, &'static str)>,
    ends: Vec<(String, &'static str)>,
    flaky: Option<usize>,
    extensions_off: bool,
    offers: Vec<&'static str>,
    xclient_once: bool,
    is_lax: bool,
    tls: Option<Arc<ServerConfig>>,
}

impl Script {
    pub fn at(mut self, stage: Stage, act: Act) -> Self {
        self.acts.push((stage, act));
        self
    }

    /// Answers `reply` to RCPT for this address, in any case.
    pub fn rcpt(mut self, address: &str, reply: &'static str) -> Self {
        self.rcpts.push((address.to_lowercase(), reply));
        self
    }

    /// By LMTP: answers `reply` to the final dot for this address, in any case.
    pub fn end(mut self, address: &str, reply: &'static str) -> Self {
        self.ends.push((address.to_lowercase(), reply));
        self
    }

    /// By LMTP: defers each `n`-th recipient after the final dot.
    pub fn flaky(mut self, n: usize) -> Self {
        self.flaky = Some(n);
        self
    }

    /// Names another extension in the answer to EHLO.
    pub fn offering(mut self, line: &'static str) -> Self {
        self.offers.push(line);
        self
    }

    /// As Postfix, which does not trust the client that XCLIENT named as it trusted us.
    pub fn offering_xclient_once(mut self) -> Self {
        self.xclient_once = true;
        self
    }

    /// Takes for the end of a message whatever any server was ever seen to take for it: a dot on a line of its own,
    /// whether lines end in CRLF, LF or CR.
    pub fn lax(mut self) -> Self {
        self.is_lax = true;
        self
    }

    /// Offers STARTTLS.
    pub fn starttls(mut self, server: Arc<ServerConfig>) -> Self {
        self.tls = Some(server);
        self
    }

    /// EHLO names no extension at all: no PIPELINING, no 8BITMIME.
    pub fn without_extensions(mut self) -> Self {
        self.extensions_off = true;
        self
    }
}

/// One acknowledged transaction; by LMTP, one acknowledged recipient.
#[derive(Debug, Clone)]
pub struct Taken {
    /// Which connection brought it, counted from 0.
    pub connection: usize,
    /// The reverse-path, without brackets.
    pub from: String,
    /// The forward-paths, without brackets, as sent.
    pub rcpts: Vec<String>,
    /// Without dot-stuffing and final dot.
    pub message: Vec<u8>,
    /// Whether it came by TLS.
    pub is_secure: bool,
    /// The last XCLIENT command of the connection.
    pub xclient: Option<String>,
    /// The last EHLO, HELO or LHLO.
    pub hello: String,
}

pub struct Sink {
    addr: SocketAddr,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    is_lmtp: bool,
    script: Mutex<Script>,
    taken: Mutex<Vec<Taken>>,
    open: Mutex<HashMap<usize, TcpStream>>,
    connections: AtomicUsize,
    /// Replies to final dots so far, for the flaky.
    ends: AtomicUsize,
    /// Counts [`Sink::hang_up`]s, for those who stall.
    hang_ups: (Mutex<u64>, Condvar),
    over: AtomicBool,
}

impl Sink {
    /// A next hop that takes everything.
    pub fn start() -> Self {
        Self::scripted(Script::default())
    }

    pub fn scripted(script: Script) -> Self {
        Self::with(script, false)
    }

    /// A next hop that speaks LMTP (RFC 2033).
    pub fn lmtp(script: Script) -> Self {
        Self::with(script, true)
    }

    fn with(script: Script, is_lmtp: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let addr = listener.local_addr().expect("a bound socket has an address");
        let inner = Arc::new(Inner {
            is_lmtp,
            script: Mutex::new(script),
            ..Inner::default()
        });
        let shared = Arc::clone(&inner);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let inner = Arc::clone(&shared);
                std::thread::spawn(move || Session::run(inner, stream));
            }
        });
        Self { addr, inner }
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// As a next hop in the configuration.
    pub fn target(&self) -> String {
        format!("{}:{}", if self.inner.is_lmtp { "lmtp" } else { "smtp" }, self.addr)
    }

    /// Lets it be reached by a Unix socket too.
    pub fn open_socket(&self, path: &Path) {
        let listener = UnixListener::bind(path).expect("a socket in our own directory");
        let (to, inner) = (self.addr, Arc::clone(&self.inner));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if inner.over.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(near), Ok(far)) = (stream, TcpStream::connect(to)) else {
                    continue;
                };
                join(near, far);
            }
        });
    }

    /// From now on, in open connections too.
    pub fn play(&self, script: Script) {
        *self.inner.script.lock().unwrap() = script;
    }

    /// The transactions so far.
    pub fn taken(&self) -> Vec<Taken> {
        self.inner.taken.lock().unwrap().clone()
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> usize {
        self.inner.connections.load(Ordering::SeqCst)
    }

    /// How many connections are open now.
    pub fn open_connections(&self) -> usize {
        self.inner.open.lock().unwrap().len()
    }

    /// Says something on every open connection, unasked.
    pub fn say(&self, line: &str) {
        for mut stream in self.inner.open.lock().unwrap().values() {
            stream
                .write_all(format!("{line}\r\n").as_bytes())
                .expect("the other side is there");
        }
    }

    /// Closes every open connection, as a server does with idle ones.
    pub fn hang_up(&self) {
        for stream in self.inner.open.lock().unwrap().values() {
            // The other side may have been faster.
            let _ = stream.shutdown(Shutdown::Both);
        }
        *self.inner.hang_ups.0.lock().unwrap() += 1;
        self.inner.hang_ups.1.notify_all();
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.inner.over.store(true, Ordering::SeqCst);
        self.hang_up();
        // Wakes the accepting thread, so that it sees that it is over.
        let _ = TcpStream::connect_timeout(&self.addr, Duration::from_secs(1));
    }
}

impl Inner {
    fn act(&self, stage: Stage) -> Option<Act> {
        let script = self.script.lock().unwrap();
        script.acts.iter().find(|(s, _)| *s == stage).map(|(_, act)| *act)
    }

    fn rcpt_reply(&self, address: &str) -> Option<&'static str> {
        let script = self.script.lock().unwrap();
        let address = address.to_lowercase();
        script
            .rcpts
            .iter()
            .find(|(a, _)| *a == address)
            .map(|(_, reply)| *reply)
    }

    fn end_reply(&self, address: &str) -> &'static str {
        let script = self.script.lock().unwrap();
        let address = address.to_lowercase();
        if let Some((_, reply)) = script.ends.iter().find(|(a, _)| *a == address) {
            return reply;
        }
        let count = self.ends.fetch_add(1, Ordering::SeqCst) + 1;
        match script.flaky {
            Some(n) if count.is_multiple_of(n) => "451 4.2.0 this one comes again",
            _ => "250 2.0.0 Taken",
        }
    }
}

/// Carries octets both ways until both sides are done.
fn join(near: UnixStream, far: TcpStream) {
    let (Ok(mut near_reader), Ok(mut far_writer)) = (near.try_clone(), far.try_clone()) else {
        return;
    };
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut near_reader, &mut far_writer);
        let _ = far_writer.shutdown(Shutdown::Write);
    });
    let (mut near, mut far) = (near, far);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut far, &mut near);
        let _ = near.shutdown(Shutdown::Both);
    });
}

/// What a session reads and writes.
enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Wire {
    fn tcp(&self) -> &TcpStream {
        match self {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => stream.get_ref(),
        }
    }
}

impl Read for Wire {
    fn read(&mut self, octets: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.read(octets),
            Wire::Tls(stream) => stream.read(octets),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.write(octets),
            Wire::Tls(stream) => stream.write(octets),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Wire::Plain(stream) => stream.flush(),
            Wire::Tls(stream) => stream.flush(),
        }
    }
}

/// The connection is finished, by the script or by the other side.
struct Over;

impl From<std::io::Error> for Over {
    fn from(_: std::io::Error) -> Self {
        Over
    }
}

struct Session {
    inner: Arc<Inner>,
    stream: BufReader<Wire>,
    number: usize,
    /// EHLO is due: after STARTTLS and XCLIENT nothing that was said before counts.
    is_fresh: bool,
    xclient: Option<String>,
    hello: String,
    from: Option<String>,
    rcpts: Vec<String>,
}

impl Session {
    fn run(inner: Arc<Inner>, stream: TcpStream) {
        let number = inner.connections.fetch_add(1, Ordering::SeqCst);
        let Ok(handle) = stream.try_clone() else {
            return;
        };
        let _ = stream.set_nodelay(true);
        inner.open.lock().unwrap().insert(number, handle);
        let mut session = Self {
            inner: Arc::clone(&inner),
            stream: BufReader::new(Wire::Plain(stream)),
            number,
            is_fresh: false,
            xclient: None,
            hello: String::new(),
            from: None,
            rcpts: Vec::new(),
        };
        let _ = session.converse();
        // RST needs the last handle gone: first ours in the list, then the session's.
        inner.open.lock().unwrap().remove(&number);
    }

    fn converse(&mut self) -> Result<(), Over> {
        if self.inner.act(Stage::Connect).is_some() {
            self.play(Stage::Connect, "421 not now")?;
            return Err(Over);
        }
        if self.play(Stage::Greeting, "220 sink.example ESMTP")? != 220 {
            return Err(Over);
        }
        loop {
            let line = self.line()?;
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_uppercase();
            match verb.as_str() {
                "EHLO" | "HELO" if !self.inner.is_lmtp => self.hello(line)?,
                "LHLO" if self.inner.is_lmtp => self.hello(line)?,
                "STARTTLS" => self.start_tls()?,
                "XCLIENT" => self.xclient(&line)?,
                "MAIL" => self.mail(&line)?,
                "RCPT" => self.rcpt(&line)?,
                "DATA" => self.data()?,
                "RSET" => {
                    self.reset();
                    self.answer("250 2.0.0 Ok")?;
                }
                "NOOP" => drop(self.answer("250 2.0.0 Ok")?),
                "QUIT" => {
                    self.answer("221 2.0.0 Bye")?;
                    return Err(Over);
                }
                _ => drop(self.answer("502 5.5.2 Unknown command")?),
            }
        }
    }

    fn hello(&mut self, line: String) -> Result<(), Over> {
        self.reset();
        self.hello = line;
        self.is_fresh = false;
        let mut lines = vec!["sink.example"];
        let script = self.inner.script.lock().unwrap().clone();
        if !script.extensions_off {
            lines.extend([
                "PIPELINING",
                "SIZE 100000000",
                "8BITMIME",
                "SMTPUTF8",
                "ENHANCEDSTATUSCODES",
            ]);
        }
        if script.tls.is_some() && !self.is_secure() {
            lines.push("STARTTLS");
        }
        let is_over = script.xclient_once && self.xclient.is_some();
        lines.extend(
            script
                .offers
                .iter()
                .filter(|offer| !(is_over && offer.starts_with("XCLIENT"))),
        );
        let last = lines.len() - 1;
        let usual: Vec<String> = lines
            .iter()
            .enumerate()
            .map(|(n, line)| format!("250{}{line}", if n == last { ' ' } else { '-' }))
            .collect();
        self.play(Stage::Ehlo, &usual.join("\r\n")).map(drop)
    }

    fn is_secure(&self) -> bool {
        matches!(self.stream.get_ref(), Wire::Tls(_))
    }

    fn start_tls(&mut self) -> Result<(), Over> {
        let Some(server) = self.inner.script.lock().unwrap().tls.clone() else {
            return self.answer("502 5.5.2 Unknown command").map(drop);
        };
        if self.play(Stage::StartTls, "220 2.0.0 Go ahead")? != 220 {
            return Ok(());
        }
        if self.inner.act(Stage::Handshake).is_some() {
            self.play(Stage::Handshake, "")?;
            return Err(Over);
        }
        let connection = ServerConnection::new(server).map_err(|_| Over)?;
        let stream = StreamOwned::new(connection, self.stream.get_ref().tcp().try_clone()?);
        self.stream = BufReader::new(Wire::Tls(Box::new(stream)));
        self.reset();
        self.is_fresh = true;
        Ok(())
    }

    fn xclient(&mut self, line: &str) -> Result<(), Over> {
        if self.from.is_some() {
            return self.answer("503 5.5.1 MAIL transaction in progress").map(drop);
        }
        if self.play(Stage::Xclient, "220 sink.example ESMTP")? == 220 {
            self.reset();
            self.xclient = Some(line.to_owned());
            self.is_fresh = true;
        }
        Ok(())
    }

    fn mail(&mut self, line: &str) -> Result<(), Over> {
        self.reset();
        if self.is_fresh {
            return self.answer("503 5.5.1 EHLO first").map(drop);
        }
        if self.play(Stage::Mail, "250 2.1.0 Ok")? == 250 {
            self.from = Some(path(line));
        }
        Ok(())
    }

    fn rcpt(&mut self, line: &str) -> Result<(), Over> {
        if self.from.is_none() {
            return self.answer("503 5.5.1 MAIL first").map(drop);
        }
        let address = path(line);
        let code = match self.inner.rcpt_reply(&address) {
            Some(reply) => self.answer(reply)?,
            None => self.play(Stage::Rcpt, "250 2.1.5 Ok")?,
        };
        if code == 250 {
            self.rcpts.push(address);
        }
        Ok(())
    }

    fn data(&mut self) -> Result<(), Over> {
        if self.rcpts.is_empty() {
            // RFC 2033 §4.2 names this code for LMTP.
            return self.answer("503 5.5.1 No valid recipients").map(drop);
        }
        if self.play(Stage::Data, "354 Go ahead")? != 354 {
            return Ok(());
        }
        if let Some(Act::Answer(early)) = self.inner.act(Stage::Early) {
            self.stream.fill_buf()?;
            self.answer(early)?;
        }
        if self.inner.act(Stage::Body).is_some() {
            self.stream.fill_buf()?;
            self.play(Stage::Body, "421 enough")?;
            return Err(Over);
        }
        let message = self.message()?;
        let taken = Taken {
            connection: self.number,
            from: self.from.clone().unwrap_or_default(),
            rcpts: std::mem::take(&mut self.rcpts),
            message,
            is_secure: self.is_secure(),
            xclient: self.xclient.clone(),
            hello: self.hello.clone(),
        };
        self.reset();
        if self.inner.is_lmtp && self.inner.act(Stage::Dot).is_none() && self.inner.act(Stage::Ack).is_none() {
            return self.ends(&taken);
        }
        let ends = if self.inner.is_lmtp { taken.rcpts.len() } else { 1 };
        let refused = match self.inner.act(Stage::Dot) {
            Some(Act::Answer(reply)) => !reply.starts_with('2'),
            Some(Act::Late(_)) => false,
            act => act.is_some(),
        };
        if !refused {
            self.inner.taken.lock().unwrap().push(taken);
            if self.inner.act(Stage::Ack).is_some() {
                return self.play(Stage::Ack, "421 forgotten").map(drop);
            }
        }
        (0..ends).try_for_each(|_| self.play(Stage::Dot, "250 2.0.0 Taken").map(drop))
    }

    /// RFC 2033 §4.2: a reply for each recipient, in order.
    fn ends(&mut self, taken: &Taken) -> Result<(), Over> {
        for (n, rcpt) in taken.rcpts.iter().enumerate() {
            let reply = self.inner.end_reply(rcpt);
            if self.inner.act(Stage::End(n)).is_some() {
                self.play(Stage::End(n), "421 enough")?;
                continue;
            }
            if reply.starts_with('2') {
                let one = Taken {
                    rcpts: vec![rcpt.clone()],
                    ..taken.clone()
                };
                self.inner.taken.lock().unwrap().push(one);
            }
            self.answer(reply)?;
        }
        Ok(())
    }

    /// The octets up to the final dot, dot-stuffing removed.
    fn message(&mut self) -> Result<Vec<u8>, Over> {
        let mut message = Vec::new();
        if self.inner.script.lock().unwrap().is_lax {
            return self.lax_message();
        }
        loop {
            let line = self.line()?;
            if line == b".\r\n" {
                return Ok(message);
            }
            message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
    }

    /// As [`Self::message`], for a server that knows every wrong end there is; nothing is removed.
    fn lax_message(&mut self) -> Result<Vec<u8>, Over> {
        const ENDS: [&[u8]; 7] = [
            b"\r\n.\r\n",
            b"\n.\n",
            b"\n.\r\n",
            b"\r\n.\n",
            b"\r.\r\n",
            b"\r.\n",
            b"\r.\r",
        ];
        // The message may begin with the dot.
        let mut read = b"\r\n".to_vec();
        let mut octet = [0];
        loop {
            self.stream.read_exact(&mut octet)?;
            read.push(octet[0]);
            if let Some(end) = ENDS.iter().find(|end| read.ends_with(end)) {
                return Ok(read[2..read.len() - end.len().min(read.len() - 2)].to_vec());
            }
        }
    }

    /// Does what the script has for the stage, else gives the usual answer; the code that was sent.
    fn play(&mut self, stage: Stage, usual: &str) -> Result<u16, Over> {
        match self.inner.act(stage) {
            None => self.answer(usual),
            Some(Act::Answer(reply)) => self.answer(reply),
            Some(Act::Late(milliseconds)) => {
                std::thread::sleep(Duration::from_millis(milliseconds));
                self.answer(usual)
            }
            Some(Act::Hang) => {
                // Swallows what comes, as a stuck server's socket buffers do, until the other side leaves.
                let mut octets = [0; 4096];
                while self.stream.read(&mut octets)? > 0 {}
                Err(Over)
            }
            Some(Act::Stall) => {
                let turn = self.inner.hang_ups.0.lock().unwrap();
                let now = *turn;
                drop(self.inner.hang_ups.1.wait_while(turn, |turn| *turn == now));
                Err(Over)
            }
            Some(Act::Reset) => {
                SockRef::from(self.stream.get_ref().tcp()).set_linger(Some(Duration::ZERO))?;
                Err(Over)
            }
            Some(Act::Close) => {
                self.stream.get_ref().tcp().shutdown(Shutdown::Both)?;
                Err(Over)
            }
        }
    }

    fn answer(&mut self, reply: &str) -> Result<u16, Over> {
        self.stream.get_mut().write_all(format!("{reply}\r\n").as_bytes())?;
        self.stream.get_mut().flush()?;
        let code = reply
            .get(..3)
            .and_then(|c| c.parse().ok())
            .expect("a script's reply has a code");
        if code == 421 { Err(Over) } else { Ok(code) }
    }

    fn line(&mut self) -> Result<Vec<u8>, Over> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        if line.ends_with(b"\n") { Ok(line) } else { Err(Over) }
    }

    fn reset(&mut self) {
        self.from = None;
        self.rcpts.clear();
    }
}

/// What stands between the first `<` and its `>`.
fn path(line: &str) -> String {
    let inner = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.map(|(path, _)| path.to_owned()).unwrap_or_default()
}
