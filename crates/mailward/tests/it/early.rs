//! A next hop that speaks before it is asked: what it said before it had the message is no acknowledgement of it.

use crate::hop_tls;
use crate::nexthop::{self, delivered, held, send};
use crate::support::certificates::Authority;
use crate::support::client::Mail;
use crate::support::gateway::{Gateway, Setup};
use crate::support::sink::{Act, Script, Sink, Stage};
use rustix::io::ioctl_fionread;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};

const THREE: [&str; 3] = ["foo@example.com", "bar@example.com", "baz@example.com"];

/// More than the buffers of a connection hold: the end of such a message cannot be sent before its beginning was read.
const LARGE: usize = 20_000_000;

/// What the next hop does when it has the message, or before: in none of these cases has it taken it.
const ENDS: [Option<(Stage, Act)>; 6] = [
    None,
    Some((Stage::Body, Act::Reset)),
    Some((Stage::Body, Act::Close)),
    Some((Stage::Dot, Act::Reset)),
    Some((Stage::Dot, Act::Close)),
    Some((Stage::Dot, Act::Answer("554 5.7.1 never from you"))),
];

fn with(script: Script, end: Option<(Stage, Act)>) -> Script {
    match end {
        Some((stage, act)) => script.at(stage, act),
        None => script,
    }
}

/// `mail` is deferred and nobody has it; the next try, with the next hop well again, brings it to each once.
fn is_deferred_then_delivered(gateway: &Gateway, sink: &Sink, well: Script, mail: &Mail, what: &str) {
    let before = delivered(sink).len();
    let reply = send(gateway, mail);
    assert_eq!(reply.code, 451, "{what}: {reply:?}");
    assert_eq!(delivered(sink).len(), before, "{what}: taken after all");
    assert_eq!(held(gateway), [""; 0], "{what}: a 4xx leaves nothing held");
    sink.play(well);
    let reply = send(gateway, mail);
    assert_eq!(reply.code, 250, "the retry after {what}: {reply:?}");
    assert_eq!(
        delivered(sink).len(),
        before + mail.rcpts.len(),
        "the retry after {what}"
    );
}

/// The next hop said `354 go` and at once `250 early`, and never took the message; the sender heard 250.
#[test]
fn what_is_said_before_the_message_is_no_acknowledgement() {
    let sink = Sink::start();
    let gateway = nexthop::gateway(&sink);
    for early in [
        "354 go\r\n250 2.0.0 early",
        "354 go\r\n354 go",
        "354 go\r\n250",
        "354 go\r\n554 5.7.1 no",
    ] {
        for end in ENDS {
            for octets in [0, 300_000] {
                let what = format!("{early:?} {end:?} {octets}");
                let mail = Mail::new(&what.replace(['"', ' ', '<', '>', '\\'], "_"), &["foo@example.com"]);
                sink.play(with(Script::default().at(Stage::Data, Act::Answer(early)), end));
                is_deferred_then_delivered(&gateway, &sink, Script::default(), &mail.padded(octets), &what);
            }
        }
    }
    gateway.await_log("it spoke out of turn: 250 2.0.0 early");
}

#[test]
fn what_is_said_while_the_message_is_sent_is_no_acknowledgement() {
    let sink = Sink::start();
    let gateway = nexthop::gateway(&sink);
    for end in ENDS.into_iter().filter(|end| !matches!(end, Some((Stage::Body, _)))) {
        let what = format!("{end:?}");
        let mail = Mail::new("1@load.example", &["foo@example.com"]).padded(LARGE);
        sink.play(with(
            Script::default().at(Stage::Early, Act::Answer("250 2.0.0 early")),
            end,
        ));
        is_deferred_then_delivered(&gateway, &sink, Script::default(), &mail, &what);
    }
}

/// A next hop at a Unix socket that says `words` when the end of the message waits for room in the socket; it reads
/// to the end, and closes without a word.
fn speaks_while_the_end_waits(stream: UnixStream, words: &str) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::with_capacity(1, &stream);
    writer.write_all(b"220 sink.example LMTP\r\n")?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 && line != "DATA\r\n" {
        writer.write_all(b"250 Ok\r\n")?;
        line.clear();
    }
    writer.write_all(b"354 Go ahead\r\n")?;
    // Three blocks of 64 KiB lie in the socket and a part of the fourth, which is the last.
    while ioctl_fionread(&stream)? <= 3 * 64 * 1024 {
        std::thread::yield_now();
    }
    writer.write_all(words.as_bytes())?;
    reader.read_to_end(&mut Vec::new())?;
    Ok(())
}

/// The end of data stood in the write that waited when the next hop spoke: nobody looked again before it was sent, and the
/// early 250 was taken for the acknowledgement. The sender heard 250, and the message was lost.
#[test]
fn rfc2033_4_2_no_recipient_is_answered_while_the_end_of_data_waits_to_be_sent() {
    let room = std::fs::read_to_string("/proc/sys/net/core/wmem_default").unwrap();
    if room.trim().parse::<usize>().unwrap() > 212_992 {
        // The unit test of the same name has a socket that holds nothing.
        eprintln!("passed over: sockets of this system hold the whole message");
        return;
    }
    let setup = Setup::new().srv(&["example.com/users/valid/*"]);
    let path = setup.dir().join("lmtp");
    let listener = UnixListener::bind(&path).unwrap();
    let gateway = setup.before(&format!("lmtp:{}", path.display())).start();
    for words in [
        "250 2.0.0 early\r\n",
        "250 2.0.0 early\r\n250 2.0.0 early\r\n250 2.0.0 early\r\n",
        "554 5.7.1 no\r\n",
    ] {
        for (octets, rcpts) in [(245_000, &THREE[..1]), (250_000, &THREE[..])] {
            let reply = std::thread::scope(|scope| {
                scope.spawn(|| speaks_while_the_end_waits(listener.accept()?.0, words));
                send(&gateway, &Mail::new("1@load.example", rcpts).padded(octets))
            });
            assert_eq!(reply.code, 451, "{words:?} {octets}: {reply:?}");
        }
    }
    gateway.await_log("it spoke out of turn: 250 2.0.0 early");
}

#[test]
fn rfc2033_4_2_by_lmtp_no_recipient_is_answered_before_the_message() {
    let sink = Sink::lmtp(Script::default());
    let gateway = nexthop::gateway(&sink);
    for early in [
        "354 go\r\n250 2.0.0 early",
        "354 go\r\n250 2.0.0 early\r\n250 2.0.0 early",
        "354 go\r\n250 2.0.0 early\r\n550 5.1.1 no\r\n250 2.0.0 early",
        "354 go\r\n250 2.0.0 early\r\n250 2.0.0 early\r\n250 2.0.0 early\r\n250 2.0.0 early",
    ] {
        for end in ENDS {
            let what = format!("{early:?} {end:?}");
            let mail = Mail::new(&what.replace(['"', ' ', '<', '>', '\\'], "_"), &THREE);
            sink.play(with(Script::default().at(Stage::Data, Act::Answer(early)), end));
            is_deferred_then_delivered(&gateway, &sink, Script::default(), &mail, &what);
        }
    }
}

#[test]
fn under_tls_what_is_said_before_the_message_is_no_acknowledgement() {
    let authority = Authority::new();
    let well = || hop_tls::script(&authority, "127.0.0.1");
    for sink in [Sink::scripted(well()), Sink::lmtp(well())] {
        let gateway = nexthop::gateway(&sink);
        for end in ENDS {
            let mail = Mail::new(
                &format!("{}@load.example", delivered(&sink).len()),
                &["foo@example.com"],
            );
            sink.play(with(
                well().at(Stage::Data, Act::Answer("354 go\r\n250 2.0.0 early")),
                end,
            ));
            is_deferred_then_delivered(&gateway, &sink, well(), &mail, &format!("{end:?}"));
        }
        let early = well().at(Stage::Early, Act::Answer("250 2.0.0 early"));
        sink.play(early.at(Stage::Dot, Act::Reset));
        let mail = Mail::new("large@load.example", &["foo@example.com"]).padded(LARGE);
        is_deferred_then_delivered(&gateway, &sink, well(), &mail, "large");
        assert!(sink.taken().iter().all(|taken| taken.is_secure));
    }
}

/// Replies that nobody asked for move all that come after them: each is taken for that to the next command, and in the
/// end one to RCPT for that to the message.
#[test]
fn one_reply_too_many_anywhere_is_never_an_acknowledgement() {
    let authority = Authority::new();
    let tls = || hop_tls::script(&authority, "127.0.0.1");
    let extra = [
        (Stage::Greeting, "220 sink.example\r\n250 more"),
        (Stage::Ehlo, "250-sink.example\r\n250 PIPELINING\r\n250 more"),
        (Stage::Ehlo, "250 sink.example\r\n250 more"),
        (Stage::StartTls, "220 go ahead\r\n250 more"),
        (Stage::Mail, "250 2.1.0 Ok\r\n250 more"),
        (Stage::Rcpt, "250 2.1.5 Ok\r\n250 more"),
        (Stage::Rcpt, "550 5.1.1 no\r\n250 more"),
        (Stage::Data, "250 more\r\n354 go"),
    ];
    for (stage, reply) in extra {
        for base in [Script::default(), Script::default().without_extensions(), tls()] {
            for rcpts in [&THREE[..1], &THREE[..]] {
                for is_lmtp in [false, true] {
                    let script = base.clone().at(stage, Act::Answer(reply)).at(Stage::Dot, Act::Reset);
                    let sink = if is_lmtp {
                        Sink::lmtp(script)
                    } else {
                        Sink::scripted(script)
                    };
                    let gateway = nexthop::gateway(&sink);
                    for n in 0..2 {
                        let answer = send(&gateway, &Mail::new(&format!("{n}@load.example"), rcpts));
                        let what = format!("{stage:?} {reply:?} {} LMTP {is_lmtp}: {answer:?}", rcpts.len());
                        assert!(matches!(answer.class(), 4 | 5), "{what}");
                        assert!(sink.taken().is_empty(), "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_reply_too_many_behind_the_message_says_nothing_of_the_next_one() {
    for is_lmtp in [false, true] {
        for reply in [
            "250 2.0.0 Taken\r\n250 2.0.0 Taken",
            "250 2.0.0 Taken\r\n250 2.0.0 Taken\r\n250 2.0.0",
        ] {
            let script = Script::default().at(Stage::Dot, Act::Answer(reply));
            let sink = if is_lmtp {
                Sink::lmtp(script)
            } else {
                Sink::scripted(script)
            };
            let gateway = nexthop::gateway(&sink);
            assert_eq!(send(&gateway, &Mail::new("1@load.example", &THREE[..1])).code, 250);
            sink.play(Script::default().at(Stage::Dot, Act::Reset));
            assert_eq!(
                send(&gateway, &Mail::new("2@load.example", &THREE[..1])).code,
                451,
                "{reply:?}"
            );
            assert_eq!(sink.connections(), 2, "{reply:?}: the connection is not used again");
        }
    }
}

#[test]
fn a_connection_on_which_the_next_hop_said_something_meanwhile_is_not_used_again() {
    let sink = Sink::start();
    let gateway = Setup::new()
        .srv(&["example.com/users/valid/*"])
        .before_sink(&sink)
        .start();
    assert_eq!(send(&gateway, &Mail::new("1@load.example", &THREE[..1])).code, 250);
    sink.say("250 2.0.0 still there");
    sink.play(Script::default().at(Stage::Dot, Act::Answer("554 5.7.1 no")));
    assert_eq!(send(&gateway, &Mail::new("2@load.example", &THREE[..1])).code, 554);
    assert_eq!((sink.connections(), sink.taken().len()), (2, 1));
}
