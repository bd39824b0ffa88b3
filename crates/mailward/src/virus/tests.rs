//! The client against a scanner of our own that errs in every way it is told to.

use super::*;
use crate::body::Spooler;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::mpsc;
use std::thread::JoinHandle;
use tempfile::TempDir;

/// Long enough for any machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A scanner for one connection.
struct Fake {
    dir: TempDir,
    thread: JoinHandle<Vec<u8>>,
}

impl Fake {
    fn new(play: impl FnOnce(&mut std::os::unix::net::UnixStream) -> Vec<u8> + Send + 'static) -> Fake {
        let dir = TempDir::new().unwrap();
        let listener = UnixListener::bind(dir.path().join("clamd")).unwrap();
        let thread = std::thread::spawn(move || play(&mut listener.accept().unwrap().0));
        Fake { dir, thread }
    }

    /// Reads the whole message and gives an answer.
    fn answering(answer: &'static [u8]) -> Fake {
        Fake::new(move |stream| {
            let got = read_stream(stream);
            stream.write_all(answer).unwrap();
            got
        })
    }

    fn clamd(&self) -> Clamd {
        Clamd {
            address: ClamdAddress::Unix(self.dir.path().join("clamd")),
            size_max: u64::MAX,
            timeout: PATIENCE,
        }
    }
}

/// The message, as the protocol has it: chunks behind their lengths.
fn read_stream(stream: &mut impl Read) -> Vec<u8> {
    let mut command = [0; 10];
    stream.read_exact(&mut command).unwrap();
    assert_eq!(&command, b"zINSTREAM\0");
    let mut all = Vec::new();
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length).unwrap();
        let length = u32::from_be_bytes(length) as usize;
        assert!(length <= 64 * 1024, "{length}");
        if length == 0 {
            return all;
        }
        let start = all.len();
        all.resize(start + length, 0);
        stream.read_exact(&mut all[start..]).unwrap();
    }
}

fn scan(clamd: &Clamd, body: Body) -> Result<VirusScan, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let scan = runtime.block_on(clamd.scan(&Arc::new(body)));
    scan.map_err(|why| why.to_string().replace(&clamd.address.to_string(), "X"))
}

fn small() -> Body {
    Body::from(b"Subject: x\r\n\r\nhello\r\n".to_vec())
}

/// A message of which most lies in a file.
fn large(octets: usize) -> (Body, Vec<u8>) {
    let all: Vec<u8> = (0..=250u8).cycle().take(octets).collect();
    let (head, tail) = all.split_at(octets / 5);
    let mut spooler = Spooler::new(&std::env::temp_dir()).unwrap();
    spooler.write(tail).unwrap();
    let body = Body {
        head: head.to_vec(),
        tail: Some(spooler.finish()),
    };
    (body, all)
}

#[test]
fn answers_are_read_as_clamd_gives_them() {
    let infected = |name: &str| Ok(VirusScan::Infected(Line::reason(name.as_bytes())));
    let odd = |text: &str| {
        Err(format!("clamd at X: an answer that is none of a scan: {text}")
            .trim()
            .to_owned())
    };
    let octets = small().octets();
    let table: [(&[u8], Result<VirusScan, String>); 12] = [
        (b"stream: OK\0", Ok(VirusScan::Clean)),
        (b"stream: Win.Test-1 FOUND\0", infected("Win.Test-1")),
        (b"stream: two words FOUND\0", infected("two words")),
        (b"stream: a\r\nb FOUND\0", infected("a b")),
        (
            b"INSTREAM size limit exceeded. ERROR\0",
            Ok(VirusScan::TooLarge { octets }),
        ),
        (
            b"stream: Can't allocate memory ERROR\0",
            odd("stream: Can't allocate memory ERROR"),
        ),
        (b"stream: FOUND\0", odd("stream: FOUND")),
        (b"UNKNOWN COMMAND\0", odd("UNKNOWN COMMAND")),
        (b"\xff\x01\0", odd("\u{fffd}")),
        (b"\0", odd("")),
        (
            b"stream: OK",
            Err("clamd at X: closed the connection without an answer".into()),
        ),
        (b"", Err("clamd at X: closed the connection without an answer".into())),
    ];
    for (answer, expected) in table {
        let fake = Fake::answering(answer);
        assert_eq!(scan(&fake.clamd(), small()), expected, "{}", answer.escape_ascii());
        assert_eq!(fake.thread.join().unwrap(), small().head);
    }
}

#[test]
fn a_large_message_is_sent_whole_and_an_empty_one_is_no_chunk() {
    for octets in [0, 1, 64 * 1024, 64 * 1024 + 1, 5 * 64 * 1024, 3_000_000] {
        let fake = Fake::answering(b"stream: OK\0");
        let (body, all) = large(octets);
        assert_eq!(scan(&fake.clamd(), body), Ok(VirusScan::Clean));
        assert!(fake.thread.join().unwrap() == all, "{octets}");
    }
}

#[test]
fn over_tcp_it_is_the_same() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let got = read_stream(&mut stream);
        stream.write_all(b"stream: OK\0").unwrap();
        got
    });
    let clamd = Clamd {
        address: address.to_string().parse().unwrap(),
        size_max: u64::MAX,
        timeout: PATIENCE,
    };
    let (body, all) = large(1_000_000);
    assert_eq!(scan(&clamd, body), Ok(VirusScan::Clean));
    assert!(thread.join().unwrap() == all);
}

/// The scanner's side of a message that is too large for it: it answers and closes, with octets unread.
fn refuse(stream: &mut (impl Read + Write), answer: &[u8]) -> Vec<u8> {
    let mut some = vec![0; 100_000];
    stream.read_exact(&mut some).unwrap();
    stream.write_all(answer).unwrap();
    Vec::new()
}

#[test]
fn an_answer_in_the_middle_of_a_message_is_read() {
    for (answer, expected) in [
        (
            &b"INSTREAM size limit exceeded. ERROR\0"[..],
            Ok(VirusScan::TooLarge { octets: 8_000_000 }),
        ),
        (b"stream: Bad FOUND\0", Ok(VirusScan::Infected(Line::literal("Bad")))),
        (
            b"stream: OK\0",
            Err("clamd at X: found nothing before it had the whole message".into()),
        ),
    ] {
        let fake = Fake::new(move |stream| refuse(stream, answer));
        assert_eq!(scan(&fake.clamd(), large(8_000_000).0), expected);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || refuse(&mut listener.accept().unwrap().0, answer));
        let clamd = Clamd {
            address: ClamdAddress::Tcp("127.0.0.1".into(), address.port()),
            ..fake.clamd()
        };
        assert_eq!(scan(&clamd, large(8_000_000).0), expected);
        thread.join().unwrap();
    }
}

#[test]
fn a_scanner_that_breaks_off_in_the_middle_is_no_answer() {
    let fake = Fake::new(|stream| {
        let mut some = [0; 1000];
        stream.read_exact(&mut some).unwrap();
        Vec::new()
    });
    let why = scan(&fake.clamd(), large(8_000_000).0).unwrap_err();
    // Which of the two directions is seen to break first is chance.
    assert!(
        ["cannot be sent", "no answer", "without an answer"]
            .iter()
            .any(|words| why.contains(words)),
        "{why}"
    );
}

#[test]
fn an_answer_without_end_is_cut() {
    let fake = Fake::new(|stream| {
        read_stream(stream);
        // Until the client has had enough.
        while stream.write_all(&[b'x'; 1000]).is_ok() {}
        Vec::new()
    });
    let why = scan(&fake.clamd(), small()).unwrap_err();
    assert_eq!(why, "clamd at X: an answer of more than 4096 octets");
    fake.thread.join().unwrap();
}

#[test]
fn a_scanner_that_says_nothing_or_reads_nothing_is_given_up() {
    for body in [small(), large(8_000_000).0] {
        let (done, wait) = mpsc::channel::<()>();
        let fake = Fake::new(move |_| {
            // Holds the connection open until the client has given up.
            let _ = wait.recv();
            Vec::new()
        });
        let clamd = Clamd {
            timeout: Duration::from_millis(50),
            ..fake.clamd()
        };
        assert_eq!(scan(&clamd, body), Err("clamd at X: no answer within 50ms".into()));
        drop(done);
        fake.thread.join().unwrap();
    }
}

#[test]
fn a_message_past_the_limit_is_not_scanned() {
    let clamd = Clamd {
        address: ClamdAddress::Unix("/nonexistent".into()),
        size_max: small().octets() - 1,
        timeout: PATIENCE,
    };
    let octets = small().octets();
    assert_eq!(scan(&clamd, small()), Ok(VirusScan::TooLarge { octets }));
    let clamd = Clamd {
        size_max: octets,
        ..clamd
    };
    let why = scan(&clamd, small()).unwrap_err();
    assert!(why.starts_with("clamd at X: cannot connect: No such file"), "{why}");
}

#[test]
fn a_finding_reads_back_as_it_was_stored() {
    for (scan, json) in [
        (VirusScan::Clean, r#""clean""#),
        (VirusScan::Infected(Line::literal("Bad")), r#"{"infected":"Bad"}"#),
        (VirusScan::TooLarge { octets: 5 }, r#"{"too_large":{"octets":5}}"#),
    ] {
        assert_eq!(serde_json::to_string(&scan).unwrap(), json);
        assert_eq!(serde_json::from_str::<VirusScan>(json).unwrap(), scan);
    }
}
