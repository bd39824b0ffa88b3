//! A name server on loopback that says what a test wants, by UDP and TCP on one port.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, MX, PTR, SOA, TXT};
use hickory_proto::rr::{Name, RData, Record};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// How a query came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Udp,
    Tcp,
}

/// What is sent back: so many messages, or none.
type Answers = dyn Fn(&Message, Way) -> Vec<Vec<u8>> + Send + Sync;

pub struct Server {
    pub address: SocketAddr,
    /// What was asked, with a blank between name, type and way.
    seen: Arc<Mutex<Vec<String>>>,
    /// Each answer takes a permit.
    pub permits: Arc<Semaphore>,
    tasks: Vec<JoinHandle<()>>,
}

struct Answering {
    answers: Box<Answers>,
    seen: Arc<Mutex<Vec<String>>>,
    permits: Arc<Semaphore>,
}

impl Server {
    pub async fn start(answers: impl Fn(&Message, Way) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Server {
        let (udp, tcp) = sockets().await;
        let address = udp.local_addr().unwrap();
        let (seen, permits) = (Arc::default(), Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)));
        let answering = Arc::new(Answering {
            answers: Box::new(answers),
            seen: Arc::clone(&seen),
            permits: Arc::clone(&permits),
        });
        let tasks = vec![
            tokio::spawn(serve_udp(udp, answering.clone())),
            tokio::spawn(serve_tcp(tcp, answering)),
        ];
        Server {
            address,
            seen,
            permits,
            tasks,
        }
    }

    /// One that answers each query with one message.
    pub async fn replying(reply: impl Fn(&Message, Way) -> Message + Send + Sync + 'static) -> Server {
        Server::start(move |query, way| vec![reply(query, way).to_vec().unwrap()]).await
    }

    /// From now on it answers so many times only; until there are more permits.
    pub fn hold(&self) {
        self.permits.forget_permits(usize::MAX);
    }

    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Both with one port.
async fn sockets() -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
    panic!("no port that is free for UDP and TCP");
}

impl Answering {
    async fn answer(&self, octets: &[u8], way: Way) -> Vec<Vec<u8>> {
        let query = Message::from_vec(octets).unwrap();
        let asked = &query.queries[0];
        let seen = format!("{} {} {way:?}", asked.name, asked.query_type);
        self.seen.lock().unwrap().push(seen);
        self.permits.acquire().await.unwrap().forget();
        (self.answers)(&query, way)
    }
}

async fn serve_udp(socket: UdpSocket, answering: Arc<Answering>) {
    let socket = Arc::new(socket);
    let mut buffer = vec![0; 4096];
    loop {
        // Errors are those of earlier answers to sockets that are closed.
        let Ok((length, peer)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let (octets, socket, answering) = (buffer[..length].to_vec(), socket.clone(), answering.clone());
        tokio::spawn(async move {
            for answer in answering.answer(&octets, Way::Udp).await {
                socket.send_to(&answer, peer).await.unwrap();
            }
        });
    }
}

async fn serve_tcp(listener: TcpListener, answering: Arc<Answering>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let answering = answering.clone();
        tokio::spawn(async move {
            let mut octets = vec![0; stream.read_u16().await.unwrap().into()];
            stream.read_exact(&mut octets).await.unwrap();
            for answer in answering.answer(&octets, Way::Tcp).await {
                stream.write_u16(answer.len().try_into().unwrap()).await.unwrap();
                stream.write_all(&answer).await.unwrap();
            }
        });
    }
}

/// An answer without anything in it.
pub fn empty(query: &Message, code: ResponseCode) -> Message {
    let mut reply = Message::response(query.metadata.id, query.metadata.op_code);
    reply.metadata.recursion_available = true;
    reply.metadata.response_code = code;
    reply.add_query(query.queries[0].clone());
    reply
}

/// An answer with records of `NAME TTL TYPE DATA`, the types being A, MX, PTR, TXT (its strings cut at `|`) and CNAME.
pub fn with(query: &Message, records: &[&str]) -> Message {
    let mut reply = empty(query, ResponseCode::NoError);
    reply.add_answers(records.iter().map(|text| record(text)));
    reply
}

/// A denial, with an SOA of this TTL and minimum.
pub fn denial(query: &Message, code: ResponseCode, ttl_s: u32, minimum_s: u32) -> Message {
    let mut reply = empty(query, code);
    let soa = SOA::new(name("ns.example."), name("root.example."), 1, 1, 1, 1, minimum_s);
    reply.add_authority(Record::from_rdata(name("example."), ttl_s, RData::SOA(soa)));
    reply
}

pub fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

pub fn record(text: &str) -> Record {
    let mut words = text.splitn(4, ' ');
    let mut next = || words.next().unwrap();
    let (owner, ttl_s, kind, data) = (name(next()), next().parse().unwrap(), next(), next());
    let data = match kind {
        "A" => RData::A(A(data.parse().unwrap())),
        "MX" => {
            let (preference, host) = data.split_once(' ').unwrap();
            RData::MX(MX::new(preference.parse().unwrap(), name(host)))
        }
        "PTR" => RData::PTR(PTR(name(data))),
        "TXT" => RData::TXT(TXT::from_bytes(data.split('|').map(str::as_bytes).collect())),
        "CNAME" => RData::CNAME(CNAME(name(data))),
        _ => panic!("a type that this server does not know: {kind}"),
    };
    Record::from_rdata(owner, ttl_s, data)
}
