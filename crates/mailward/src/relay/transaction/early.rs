//! What a next hop says while the end of a message waits for room in the socket: the message is one block here, and the
//! buffers between both sides are far smaller than it.

use super::*;
use crate::body::{Body, Content};
use crate::relay::connection::{Endpoint, Settings};
use crate::relay::{Deadline, Octets, tls};
use mail::{Address, ReversePath};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::SockRef;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

/// A block that is the whole message.
const OCTETS: usize = 60_000;
/// Far less than a block, whatever the system makes of it.
const ROOM: usize = 4096;

/// Both ways, and blocking.
trait Wire: Read + Write + Send + 'static {}
impl<T: Read + Write + Send + 'static> Wire for T {}

fn tcp() -> (Box<dyn Octets>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    SockRef::from(&listener).set_recv_buffer_size(ROOM).unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    SockRef::from(&near).set_send_buffer_size(ROOM).unwrap();
    near.set_nonblocking(true).unwrap();
    let near = tokio::net::TcpStream::from_std(near).unwrap();
    (Box::new(near), listener.accept().unwrap().0)
}

fn unix() -> (Box<dyn Octets>, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    SockRef::from(&near).set_send_buffer_size(ROOM).unwrap();
    near.set_nonblocking(true).unwrap();
    (Box::new(tokio::net::UnixStream::from_std(near).unwrap()), far)
}

async fn encrypted() -> (Box<dyn Octets>, StreamOwned<ServerConnection, TcpStream>) {
    let (near, mut far) = tcp();
    let client = tls::Client::new(&tls::Policy::Offer).unwrap().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["sink.example".into()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let mut server = ServerConnection::new(Arc::new(config)).unwrap();
    let shaken = spawn(move || {
        while server.is_handshaking() {
            server.complete_io(&mut far).unwrap();
        }
        StreamOwned::new(server, far)
    });
    let near = client.secure(near, "sink.example").await.unwrap();
    (near, shaken.join().unwrap())
}

/// Says `words` at the first octet of the message, and reads on to the end of the connection, or of the message: then it
/// says `last` and gives true.
fn next_hop(mut far: impl Wire, words: &'static str, last: &'static str) -> JoinHandle<bool> {
    spawn(move || {
        let (mut read, mut octets) = (Vec::new(), [0; 1000]);
        far.read_exact(&mut octets[..1]).unwrap();
        read.push(octets[0]);
        far.write_all(words.as_bytes()).unwrap();
        far.flush().unwrap();
        while !read.ends_with(b"\r\n.\r\n") {
            match far.read(&mut octets) {
                Ok(0) | Err(_) => return false,
                Ok(count) => read.extend_from_slice(&octets[..count]),
            }
        }
        let _ = far.write_all(last.as_bytes()).and_then(|()| far.flush());
        true
    })
}

/// What becomes of a message for three recipients, a letter each, and what broke.
async fn finish(stream: Box<dyn Octets>, dialect: Dialect) -> (String, Option<io::Error>) {
    let settings = Settings {
        dialect,
        endpoint: Endpoint::tcp("sink.example", 25),
        helo: "gateway.example".into(),
        tls: tls::Policy::Off,
        connections_max: 1,
        connect: Duration::from_secs(60),
        reply: Duration::from_secs(60),
    };
    let mut connection = Connection::over(stream, &Arc::new(settings));
    let address = Address::parse("ann@example.com").unwrap();
    let to = Destination {
        address: &address,
        maildir: None,
        folder: None,
    };
    let text = b"text\r\n".repeat(OCTETS / 6);
    let parcel = Parcel {
        reverse_path: &ReversePath::Null,
        recipients: &[to; 3],
        origin: None,
        content: &Arc::new(Content::new(b"A: b\r\n\r\n".to_vec(), Arc::new(Body::from(text)), 0)),
        deadline: Deadline::within(Instant::now(), Duration::from_secs(90)),
        body_8bit: false,
        smtputf8: false,
    };
    let replies = vec![Reply::passed_on(250, None, vec![Line::literal("ok")]); 3];
    let next = Next::Message;
    let (deliveries, broken) = connection.finish(&parcel, Envelope { replies, next }).await;
    let letter = |delivery: &Delivery| match delivery {
        Delivery::Taken(..) => 'T',
        Delivery::Refused(_) => 'R',
        Delivery::Later(_) => 'L',
    };
    (deliveries.iter().map(letter).collect(), broken)
}

/// The same over each kind of connection: what becomes of the message, what broke, and whether its end came.
fn over_each(dialect: Dialect, words: &'static str, last: &'static str, check: impl Fn(&str, Option<io::Error>, bool)) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(async {
        for kind in 0..3 {
            let (stream, end) = match kind {
                0 => {
                    let (near, far) = tcp();
                    (near, next_hop(far, words, last))
                }
                1 => {
                    let (near, far) = unix();
                    (near, next_hop(far, words, last))
                }
                _ => {
                    let (near, far) = encrypted().await;
                    (near, next_hop(far, words, last))
                }
            };
            let (became, broken) = finish(stream, dialect).await;
            check(&became, broken, end.join().unwrap());
        }
    });
}

/// The end of data stood in the write that waited when the next hop spoke: nobody looked again before it was sent, and
/// the early 250 was taken for the acknowledgement.
#[test]
fn what_is_said_while_the_end_of_data_waits_is_no_acknowledgement() {
    for (dialect, words) in [
        (Dialect::Smtp, "250 2.0.0 early\r\n"),
        (Dialect::Smtp, "250-2.0.0 ear"),
        (Dialect::Smtp, "554 5.7.1 no\r\n"),
        (Dialect::Lmtp, "250 2.0.0 early\r\n"),
        (
            Dialect::Lmtp,
            "250 2.0.0 early\r\n250 2.0.0 early\r\n250 2.0.0 early\r\n",
        ),
    ] {
        over_each(dialect, words, "", |became, broken, is_whole| {
            let broken = broken.expect("it broke").to_string();
            assert!(became == "LLL" && !is_whole, "{words:?}: {became} {broken}");
            assert!(broken.starts_with("it spoke out of turn: "), "{words:?}: {broken}");
        });
    }
}

/// Nothing else wakes the sending side but room in the socket.
#[test]
fn a_message_that_is_larger_than_the_room_for_it_goes_out_to_its_end() {
    for (dialect, last) in [
        (Dialect::Smtp, "250 2.0.0 taken\r\n"),
        (
            Dialect::Lmtp,
            "250 2.0.0 taken\r\n250 2.0.0 taken\r\n250 2.0.0 taken\r\n",
        ),
    ] {
        over_each(dialect, "", last, |became, broken, is_whole| {
            assert!(became == "TTT" && broken.is_none() && is_whole, "{became} {broken:?}");
        });
    }
}
