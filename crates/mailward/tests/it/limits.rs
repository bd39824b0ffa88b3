//! Every documented limit of the SMTP door, reached over a socket.

use std::time::{Duration, Instant};

use crate::support::client::{Client, Mail, Reply};
use crate::support::gateway::{Gateway, Setup};
use crate::support::sink::Sink;

const MIB: usize = 1 << 20;

fn setup(sink: &Sink) -> Setup {
    Setup::new().srv(&["example.com/users/valid/*"]).before_sink(sink)
}

fn codes(replies: &[Reply]) -> Vec<u16> {
    replies.iter().map(|reply| reply.code).collect()
}

fn send(gateway: &Gateway, mail: &Mail) -> Reply {
    let answers = Client::deliver(gateway.addr(), mail).expect("the session is kept up to QUIT");
    answers.decisive().clone()
}

#[test]
fn recipients_past_the_limit_are_asked_to_come_again_and_the_others_get_the_message() {
    let sink = Sink::start();
    let gateway = setup(&sink).set("limits.recipients", "2").start();
    let rcpts = ["a@example.com", "b@example.com", "c@example.com", "d@example.com"];
    let answers = Client::deliver(gateway.addr(), &Mail::new("1@load.example", &rcpts)).expect("a session");
    assert_eq!(codes(&answers.rcpts), [250, 250, 452, 452]);
    assert_eq!(answers.rcpts[2].text(), "4.5.3 Too many recipients");
    assert_eq!(answers.decisive().code, 250);
    assert_eq!(sink.taken()[0].rcpts, ["a@example.com", "b@example.com"]);
}

#[test]
fn a_hundred_recipients_are_taken_by_default() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let rcpts: Vec<String> = (0..100).map(|n| format!("u{n}@example.com")).collect();
    let rcpts: Vec<&str> = rcpts.iter().map(String::as_str).collect();
    let reply = send(&gateway, &Mail::new("1@load.example", &rcpts));
    assert_eq!(reply.code, 250, "{reply:?}");
    assert_eq!(sink.taken()[0].rcpts, rcpts);
}

#[test]
fn a_declared_size_past_the_limit_is_refused_before_the_message() {
    let sink = Sink::start();
    let gateway = setup(&sink).set("limits.message_size", "65536").start();
    let mut client = Client::connect(gateway.addr()).expect("a connection");
    client.reply().expect("a greeting");
    let hello = client.command("EHLO mx.sender.example").expect("a reply");
    assert!(hello.lines.iter().any(|line| line == "SIZE 65536"), "{hello:?}");
    let reply = client.command("MAIL FROM:<a@b.example> SIZE=65537").expect("a reply");
    assert_eq!((reply.code, &reply.text()[..5]), (552, "5.3.4"));
    assert_eq!(
        client
            .command("MAIL FROM:<a@b.example> SIZE=65536")
            .expect("a reply")
            .code,
        250
    );
}

#[test]
fn a_message_of_60_mb_is_refused_at_its_end_and_costs_little_memory() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let mut client = Client::greeted(gateway.addr());
    client.begin_data(&Mail::new("1@load.example", &["foo@example.com"]));
    let chunk = b"The quick brown fox jumps over the lazy dog, and once more over the dog.\r\n".repeat(14_000);
    let mut sent = 0;
    let mut most = 0;
    while sent < 60 * MIB {
        client.send(&chunk).expect("it is read to its end");
        sent += chunk.len();
        most = most.max(gateway.rss_kb());
    }
    client.send(b".\r\n").expect("it is read to its end");
    let reply = client.reply().expect("an answer");
    assert_eq!((reply.code, &reply.text()[..5]), (552, "5.3.4"), "{reply:?}");
    // Past the limit nothing is kept.
    assert!(most < 160 * 1024, "{most} KB");
    assert!(gateway.rss_kb() < 100 * 1024, "{} KB", gateway.rss_kb());
    assert_eq!(client.command("NOOP").expect("the session goes on").code, 250);
    assert!(sink.taken().is_empty());
}

#[test]
fn a_message_of_40_mb_arrives_as_it_was_sent() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let mail = Mail::new("1@load.example", &["foo@example.com"]).padded(40 * MIB);
    assert_eq!(send(&gateway, &mail).code, 250);
    let taken = &sink.taken()[0].message;
    let body = mail.message.windows(4).position(|w| w == b"\r\n\r\n").expect("a body");
    assert!(taken.ends_with(&mail.message[body..]));
}

#[test]
fn the_last_unrecognized_command_ends_the_connection_with_the_known_words() {
    let sink = Sink::start();
    let gateway = setup(&sink).set("limits.unrecognized_commands", "2").start();
    let mut client = Client::greeted(gateway.addr());
    assert_eq!(client.command("FOO").expect("a reply").code, 500);
    client.command("RSET").expect("a reply");
    let reply = client.command("BAR baz").expect("a reply");
    assert_eq!(reply.code, 521);
    let words = "Closing connection. 2 unrecognized commands.  Perhaps you should read RFC 2821?";
    assert_eq!(reply.text(), words);
    assert!(client.closed());
}

#[test]
fn too_many_errors_or_commands_end_the_connection() {
    let sink = Sink::start();
    let gateway = setup(&sink)
        .set("limits.errors", "3")
        .set("limits.commands", "12")
        .start();
    let mut client = Client::greeted(gateway.addr());
    for _ in 0..3 {
        assert_eq!(client.command("RCPT TO:<foo@example.com>").expect("a reply").code, 503);
    }
    assert_eq!(client.command("DATA").expect("a reply").code, 503);
    assert_eq!(
        client.reply().expect("the last word").text(),
        "4.7.0 Too many errors, closing connection"
    );
    assert!(client.closed());

    let mut client = Client::greeted(gateway.addr());
    for _ in 0..11 {
        assert_eq!(client.command("NOOP").expect("a reply").code, 250);
    }
    assert_eq!(client.command("NOOP").expect("a reply").code, 421);
    assert!(client.closed());
}

#[test]
fn connections_in_all_and_of_one_network_are_counted_and_given_back() {
    let sink = Sink::start();
    let gateway = setup(&sink)
        .set("limits.connections", "4")
        .set("limits.connections_per_client", "2")
        .start();
    let _one = Client::greeted_from("127.0.0.1", gateway.addr());
    let two = Client::greeted_from("127.0.0.9", gateway.addr());
    let refused = |source: &str| {
        let mut client =
            Client::connect_from(source.parse().expect("an address"), gateway.addr()).expect("a connection");
        let reply = client.reply().expect("a reply");
        assert!(client.closed());
        (reply.code, reply.text()[..5].to_owned())
    };
    assert_eq!(refused("127.0.0.77"), (421, "4.7.0".into()), "the same /24");
    let _three = Client::greeted_from("127.0.1.1", gateway.addr());
    let _four = Client::greeted_from("127.0.2.1", gateway.addr());
    assert_eq!(refused("127.0.3.1"), (421, "4.3.2".into()), "the whole house");
    drop(two);
    // The gateway notices the end of a connection a moment later.
    let started = Instant::now();
    loop {
        let source = "127.0.0.8".parse().expect("an address");
        let mut client = Client::connect_from(source, gateway.addr()).expect("a connection");
        if client.reply().expect("a reply").code == 220 {
            break;
        }
        assert!(
            started.elapsed() < crate::support::PATIENCE,
            "the place was not given back"
        );
    }
}

/// A gateway that waits a second for a command, and as long as told for a session.
fn hasty(sink: &Sink, session_s: u32) -> Gateway {
    setup(sink)
        .set("limits.command_timeout_s", "1")
        .set("limits.session_timeout_s", &session_s.to_string())
        .start()
}

/// The last reply of a connection that the gateway ends.
fn farewell(client: &mut Client) -> String {
    let said = String::from_utf8_lossy(&client.rest()).into_owned();
    said.lines().last().unwrap_or_default().to_owned()
}

const TIMEOUT: &str = "421 4.4.2 Timeout, closing connection";

#[test]
fn a_silent_client_is_sent_off_before_and_in_a_message() {
    let sink = Sink::start();
    let gateway = hasty(&sink, 60);
    let mut silent = Client::greeted(gateway.addr());
    let mut in_message = Client::greeted(gateway.addr());
    in_message.begin_data(&Mail::new("1@load.example", &["foo@example.com"]));
    in_message.send(b"Subject: x\r\n").expect("it is read");
    assert_eq!(farewell(&mut silent), TIMEOUT);
    assert_eq!(farewell(&mut in_message), TIMEOUT);
    assert!(sink.taken().is_empty());
}

/// Sends one octet, again and again, until the connection ends; how long that took.
fn drip(client: &mut Client) -> Duration {
    let started = Instant::now();
    let mut sender = client.sender();
    let said = std::thread::scope(|scope| {
        let writer = scope.spawn(move || {
            use std::io::Write;
            while started.elapsed() < Duration::from_secs(20) && sender.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let said = farewell(client);
        let took = started.elapsed();
        writer.join().expect("the writer does not panic");
        (said, took)
    });
    assert_eq!(said.0, TIMEOUT);
    said.1
}

#[test]
fn a_command_that_drips_in_has_no_more_time_than_one_that_is_not_sent() {
    // Each octet was given the time of a whole command, so one command could last as long as the session.
    let sink = Sink::start();
    let gateway = hasty(&sink, 60);
    let took = drip(&mut Client::greeted(gateway.addr()));
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_session_has_its_own_end_however_busy_it_is() {
    let sink = Sink::start();
    let gateway = hasty(&sink, 2);
    let mut busy = Client::greeted(gateway.addr());
    busy.begin_data(&Mail::new("1@load.example", &["foo@example.com"]));
    let took = drip(&mut busy);
    assert!(took < Duration::from_secs(12), "{took:?}");
    assert!(sink.taken().is_empty());
}

#[test]
fn a_client_that_never_reads_does_not_hold_its_place_for_ever() {
    let sink = Sink::start();
    let gateway = hasty(&sink, 60);
    let client = Client::greeted(gateway.addr());
    let mut sender = client.sender();
    let started = Instant::now();
    // Replies pile up until the gateway cannot write; then it gives up, which ends our writing too.
    use std::io::Write;
    while sender.write_all(&b"HELP\r\n".repeat(1000)).is_ok() {
        assert!(
            started.elapsed() < crate::support::PATIENCE,
            "the gateway reads on and on"
        );
    }
    assert!(gateway.rss_kb() < 100 * 1024);
}

#[test]
fn who_talks_before_the_greeting_is_answered_in_order() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let mut client = Client::connect(gateway.addr()).expect("a connection");
    client
        .send(b"EHLO early.example\r\nNOOP\r\n")
        .expect("the kernel takes it");
    let codes: Vec<u16> = (0..3).map(|_| client.reply().expect("a reply").code).collect();
    assert_eq!(codes, [220, 250, 250]);
}

#[test]
fn a_whole_session_in_one_write_is_answered_command_by_command() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let mut client = Client::connect(gateway.addr()).expect("a connection");
    let one = "MAIL FROM:<a@b.example>\r\nRCPT TO:<foo@example.com>\r\nDATA\r\nFrom: a@b.example\r\nDate: x\r\n\r\nx\r\n.\r\n";
    let session = format!("EHLO c.example\r\n{one}{one}QUIT\r\n");
    client.send(session.as_bytes()).expect("the gateway reads");
    let said = String::from_utf8(client.rest()).expect("text");
    let codes: Vec<&str> = said
        .lines()
        .filter(|line| &line[3..4] == " ")
        .map(|line| &line[..3])
        .collect();
    assert_eq!(
        codes,
        [
            "220", "250", "250", "250", "354", "250", "250", "250", "354", "250", "221"
        ]
    );
    assert_eq!(sink.taken().len(), 2);
}

#[test]
fn past_the_memory_for_messages_a_message_gets_452_and_others_go_on() {
    let sink = Sink::start();
    let gateway = setup(&sink).set("limits.body_memory", "\"1 MiB\"").start();
    // What is past the start of a message lies in a file and counts nothing; so a few that are received at one time fill
    // the memory.
    let mut begun: Vec<Client> = (0..4).map(|_| Client::greeted(gateway.addr())).collect();
    for client in &mut begun {
        client.begin_data(&Mail::new("1@load.example", &["foo@example.com"]));
        client.send(&b"0123456789\r\n".repeat(MIB / 12)).expect("it is read");
    }
    let large = Mail::new("2@load.example", &["foo@example.com"]).padded(3 * MIB);
    // What was sent may still lie in the sockets; each try gives the gateway time to read more of it.
    let mut tries = (0..200)
        .map(|_| send(&gateway, &large))
        .skip_while(|reply| reply.code == 250);
    let reply = tries.next().expect("the memory is full at last");
    assert_eq!((reply.code, &reply.text()[..5]), (452, "4.3.1"));
    drop(begun);
    let small = Mail::new("3@load.example", &["foo@example.com"]);
    assert_eq!(send(&gateway, &small).code, 250);
}

#[test]
fn a_message_that_was_given_up_gives_its_memory_back_at_once() {
    // The share of a message that was given up stayed taken until its end had come: whoever let it never come kept
    // everybody's mail out.
    let sink = Sink::start();
    let gateway = setup(&sink)
        .set("limits.body_memory", "\"3 MiB\"")
        .set("limits.message_size", "\"2 MiB\"")
        .start();
    let mut hostile = Client::greeted(gateway.addr());
    hostile.begin_data(&Mail::new("1@load.example", &["foo@example.com"]));
    hostile
        .send(&b"0123456789\r\n".repeat(3 * MIB / 12))
        .expect("it is read");
    // Whether all of it was read shows a second command's answer; there is none in a message, so memory tells.
    let mail = Mail::new("2@load.example", &["foo@example.com"]).padded(MIB + MIB / 2);
    let started = Instant::now();
    while send(&gateway, &mail).code != 250 {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "the memory was not given back"
        );
    }
}
