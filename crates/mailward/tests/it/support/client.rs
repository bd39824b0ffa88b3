//! A blocking SMTP client for tests: from a chosen loopback address, line by line, byte by byte, or raw; encrypted or not.
//!
//! It keeps no rules of its own beyond dot-stuffing in [`Client::data`]: what a test wants on the wire goes on the
//! wire. Every wait ends at [`PATIENCE`], as an error.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Instant;

use socket2::{Domain, Socket, Type};

use super::PATIENCE;
use super::wire::{TlsClient, Wire};

/// A reply of one or more lines, without codes and line ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    pub lines: Vec<String>,
}

impl Reply {
    /// 2, 3, 4 or 5.
    pub fn class(&self) -> u16 {
        self.code / 100
    }

    pub fn text(&self) -> String {
        self.lines.join(" ")
    }

    /// The message id of `… (id ID)`.
    pub fn id(&self) -> Option<String> {
        let text = self.text();
        let (_, rest) = text.rsplit_once("(id ")?;
        Some(rest.split_once(')')?.0.to_owned())
    }
}

/// What a client sends in one transaction. `message` holds no dot-stuffing and no final dot.
#[derive(Debug, Clone)]
pub struct Mail {
    pub helo: String,
    pub from: String,
    pub rcpts: Vec<String>,
    pub message: Vec<u8>,
}

impl Mail {
    /// An ordinary message from `alice@sender.example`; the Message-ID is its name.
    pub fn new(message_id: &str, rcpts: &[&str]) -> Self {
        let message = format!(
            "From: Alice <alice@sender.example>\r\nTo: foo@example.com\r\n\
             Date: Mon, 02 Nov 2026 10:00:00 +0000\r\nSubject: hello\r\nMessage-Id: <{message_id}>\r\n\
             \r\nHello there.\r\n"
        );
        Self {
            helo: "mx.sender.example".into(),
            from: "alice@sender.example".into(),
            rcpts: rcpts.iter().map(|&r| r.to_owned()).collect(),
            message: message.into_bytes(),
        }
    }

    /// Adds `octets` of text to the body.
    pub fn padded(mut self, octets: usize) -> Self {
        let line = b"The quick brown fox jumps over the lazy dog, and once more over the dog.\r\n";
        let end = self.message.len() + octets;
        while self.message.len() < end {
            self.message.extend_from_slice(line);
        }
        self
    }
}

/// The replies to one transaction, as far as it got. `data` is absent if it was never sent.
#[derive(Debug, Default)]
pub struct Answers {
    pub mail: Option<Reply>,
    pub rcpts: Vec<Reply>,
    pub data: Option<Reply>,
    pub end: Option<Reply>,
}

impl Answers {
    /// The reply that decides for the sender: the last one of the transaction, except that of several refused
    /// recipients the first counts.
    pub fn decisive(&self) -> &Reply {
        let last = self.end.as_ref().or(self.data.as_ref()).or(self.rcpts.first());
        last.or(self.mail.as_ref()).expect("a transaction has an answer")
    }
}

pub struct Client {
    stream: BufReader<Wire>,
}

impl Client {
    /// Connects from 127.0.0.1, without reading the greeting.
    pub fn connect(to: SocketAddr) -> io::Result<Self> {
        Self::connect_from(IpAddr::V4(Ipv4Addr::LOCALHOST), to)
    }

    /// Connects from `source`: on Linux every address of 127.0.0.0/8 is ours.
    pub fn connect_from(source: IpAddr, to: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
        socket.connect_timeout(&to.into(), PATIENCE)?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(Wire::Plain(stream)),
        })
    }

    /// The handshake, with whatever stands behind the reply to STARTTLS unread.
    pub fn encrypt(&mut self, tls: &TlsClient) -> io::Result<()> {
        assert!(
            self.stream.buffer().is_empty(),
            "plaintext behind the reply to STARTTLS"
        );
        self.stream.get_mut().encrypt(tls)
    }

    /// STARTTLS and the handshake; EHLO is the caller's.
    pub fn start_tls(&mut self, tls: &TlsClient) {
        let reply = self.command("STARTTLS").expect("a reply to STARTTLS");
        assert_eq!(reply.code, 220, "{reply:?}");
        self.encrypt(tls).expect("a handshake");
    }

    /// The certificate that the server showed.
    pub fn certificate(&self) -> Option<Vec<u8>> {
        self.stream.get_ref().certificate()
    }

    /// Our own address.
    pub fn local_addr(&self) -> SocketAddr {
        self.stream.get_ref().tcp().local_addr().expect("it is connected")
    }

    /// Waits until the other side has read all that was sent: then what is sent next is read apart from it.
    pub fn await_read(&self) {
        let tcp = self.stream.get_ref().tcp();
        let (here, there) = (tcp.local_addr(), tcp.peer_addr());
        let key = format!(
            " {} {} ",
            proc_form(there.expect("it is connected")),
            proc_form(here.expect("it is connected"))
        );
        let deadline = Instant::now() + PATIENCE;
        loop {
            let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux tells its sockets");
            let line = table.lines().find(|line| line.contains(&key));
            // STATE SENT:READ: what the other side's socket holds and its program has not read.
            let unread = line.and_then(|line| line.split_whitespace().nth(4)?.split_once(':'));
            if unread.is_none_or(|(_, unread)| unread == "00000000") {
                return;
            }
            assert!(Instant::now() < deadline, "the other side does not read");
        }
    }

    /// Connects, reads the greeting and says EHLO; panics unless both are welcome.
    pub fn greeted(to: SocketAddr) -> Self {
        let mut client = Self::connect(to).expect("the gateway accepts a connection");
        let greeting = client.reply().expect("a greeting");
        assert_eq!(greeting.code, 220, "{greeting:?}");
        let hello = client.command("EHLO mx.sender.example").expect("a reply to EHLO");
        assert_eq!(hello.code, 250, "{hello:?}");
        client
    }

    /// As [`Self::greeted`], from another address.
    pub fn greeted_from(source: &str, to: SocketAddr) -> Self {
        let source = source.parse().expect("an address");
        let mut client = Self::connect_from(source, to).expect("the gateway accepts a connection");
        assert_eq!(client.reply().expect("a greeting").code, 220);
        assert_eq!(client.command("EHLO mx.sender.example").expect("a reply").code, 250);
        client
    }

    /// One whole session: greeting, EHLO, the transaction, QUIT.
    pub fn deliver(to: SocketAddr, mail: &Mail) -> io::Result<Answers> {
        let mut client = Self::connect(to)?;
        client.reply()?;
        client.command(&format!("EHLO {}", mail.helo))?;
        let answers = client.transaction(mail)?;
        client.command("QUIT")?;
        Ok(answers)
    }

    /// MAIL, RCPTs and, if a recipient stands, DATA with the message.
    pub fn transaction(&mut self, mail: &Mail) -> io::Result<Answers> {
        let mut answers = Answers::default();
        let reply = self.command(&format!("MAIL FROM:<{}>", mail.from))?;
        let welcome = reply.class() == 2;
        answers.mail = Some(reply);
        if !welcome {
            return Ok(answers);
        }
        for rcpt in &mail.rcpts {
            answers.rcpts.push(self.command(&format!("RCPT TO:<{rcpt}>"))?);
        }
        if !answers.rcpts.iter().any(|r| r.class() == 2) {
            return Ok(answers);
        }
        let go_ahead = self.command("DATA")?;
        let open = go_ahead.code == 354;
        answers.data = Some(go_ahead);
        if open {
            answers.end = Some(self.data(&mail.message)?);
        }
        Ok(answers)
    }

    /// Sends a message dot-stuffed, and the final dot; returns the reply.
    pub fn data(&mut self, message: &[u8]) -> io::Result<Reply> {
        self.send(&stuffed(message))?;
        self.reply()
    }

    /// One command line (without CRLF) and its reply.
    pub fn command(&mut self, line: &str) -> io::Result<Reply> {
        self.send(format!("{line}\r\n").as_bytes())?;
        self.reply()
    }

    pub fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(octets)?;
        self.stream.get_mut().flush()
    }

    /// Each octet in a write of its own; with Nagle's algorithm off that is mostly a segment of its own.
    pub fn send_bytewise(&mut self, octets: &[u8]) -> io::Result<()> {
        octets.chunks(1).try_for_each(|octet| self.send(octet))
    }

    /// Reads one reply, all its lines.
    pub fn reply(&mut self) -> io::Result<Reply> {
        let mut lines = Vec::new();
        loop {
            let mut raw = Vec::new();
            self.stream.read_until(b'\n', &mut raw)?;
            if !raw.ends_with(b"\r\n") {
                let why = format!("the line ended in the middle: {:?}", String::from_utf8_lossy(&raw));
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
            }
            let line = String::from_utf8_lossy(&raw[..raw.len() - 2]).into_owned();
            let (code, more, text) = split_reply_line(&line)
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("no reply line: {line:?}")))?;
            lines.push(text.to_owned());
            if !more {
                return Ok(Reply { code, lines });
            }
        }
    }

    /// MAIL, the recipients and DATA, all of which must be welcome: what follows is the message.
    pub fn begin_data(&mut self, mail: &Mail) {
        self.begin(mail);
        let reply = self.command("DATA").expect("a reply");
        assert_eq!(reply.code, 354, "{reply:?}");
    }

    /// Sends `message` by BDAT in chunks of these sizes, the rest in the last one; the reply to that.
    pub fn bdat(&mut self, message: &[u8], chunks: &[usize]) -> io::Result<Reply> {
        let mut rest = message;
        for &size in chunks {
            let (chunk, after) = rest.split_at(size.min(rest.len()));
            rest = after;
            self.send(&[format!("BDAT {}\r\n", chunk.len()).as_bytes(), chunk].concat())?;
            let reply = self.reply()?;
            if reply.code != 250 {
                return Ok(reply);
            }
        }
        self.send(&[format!("BDAT {} LAST\r\n", rest.len()).as_bytes(), rest].concat())?;
        self.reply()
    }

    /// MAIL and the recipients, all of which must be welcome.
    pub fn begin(&mut self, mail: &Mail) {
        let from = self.command(&format!("MAIL FROM:<{}>", mail.from)).expect("a reply");
        assert_eq!(from.code, 250, "{from:?}");
        for rcpt in &mail.rcpts {
            let reply = self.command(&format!("RCPT TO:<{rcpt}>")).expect("a reply");
            assert_eq!(reply.code, 250, "{reply:?}");
        }
    }

    /// Everything up to the end of the connection.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        // A reset ends it too; what came before counts.
        let _ = self.stream.read_to_end(&mut all);
        all
    }

    /// Says that nothing more will be sent.
    pub fn finish(&self) {
        // The other side may have been faster.
        let _ = self.stream.get_ref().tcp().shutdown(std::net::Shutdown::Write);
    }

    /// A second handle on the connection, to send from another thread.
    pub fn sender(&self) -> TcpStream {
        self.stream.get_ref().tcp().try_clone().expect("a handle")
    }

    /// Has the other side closed? Waits until it does or speaks.
    pub fn closed(&mut self) -> bool {
        match self.stream.fill_buf() {
            Ok(octets) => octets.is_empty(),
            Err(e) => e.kind() == io::ErrorKind::ConnectionReset,
        }
    }
}

/// An address as `/proc/net/tcp` writes it.
fn proc_form(addr: SocketAddr) -> String {
    match addr.ip() {
        IpAddr::V4(ip) => format!("{:08X}:{:04X}", u32::from_le_bytes(ip.octets()), addr.port()),
        IpAddr::V6(_) => panic!("only IPv4 is looked up"),
    }
}

/// Code, whether more lines follow, text.
fn split_reply_line(line: &str) -> Option<(u16, bool, &str)> {
    let code = line.get(..3)?.parse().ok()?;
    match line.get(3..) {
        Some("") => Some((code, false, "")),
        Some(rest) if rest.starts_with('-') => Some((code, true, &rest[1..])),
        Some(rest) if rest.starts_with(' ') => Some((code, false, &rest[1..])),
        _ => None,
    }
}

/// RFC 5321 §4.5.2: a line that begins with a dot gets another; a line that holds nothing but a dot ends the message.
pub fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 8);
    for line in message.split_inclusive(|&b| b == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    if !out.is_empty() && !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}
