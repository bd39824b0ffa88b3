//! Messages by BDAT (RFC 3030): the same octets arrive as by DATA, however they are divided.

use crate::support::client::{Client, Mail, Reply};
use crate::support::gateway::{Gateway, Setup};
use crate::support::sink::Sink;

fn setup(sink: &Sink) -> Setup {
    Setup::new().srv(&["example.com/users/valid/*"]).before_sink(sink)
}

fn mail(message: &[u8]) -> Mail {
    Mail {
        message: message.to_vec(),
        ..Mail::new("", &["foo@example.com"])
    }
}

/// One transaction by BDAT in chunks of these sizes.
fn by_bdat(gateway: &Gateway, message: &[u8], chunks: &[usize]) -> Reply {
    let mut client = Client::greeted(gateway.addr());
    client.begin(&mail(message));
    let reply = client.bdat(message, chunks).expect("replies");
    assert_eq!(client.command("QUIT").expect("a reply").code, 221);
    reply
}

/// What arrived last, without what names the try: our trace and id.
fn arrived(sink: &Sink) -> Vec<u8> {
    let message = sink.taken().pop().expect("it is delivered").message;
    let mut lines = message.split_inclusive(|&b| b == b'\n').peekable();
    while lines
        .next_if(|line| line.starts_with(b"Received: ") || line.starts_with(b"\t"))
        .is_some()
    {}
    assert!(lines.next().expect("a line").starts_with(b"X-Mailward-Id: "));
    lines.collect::<Vec<_>>().concat()
}

const MESSAGES: [&[u8]; 6] = [
    b"Subject: a\r\nFrom: a@b.example\r\n\r\nplain\r\n",
    b"Subject: a\r\n\r\n.\r\n..\r\n...a\r\n\r\n.\r\n",
    b"Subject: a\r\n\r\nno line end",
    b"Subject: a\r\n\r\ntext\r\n.\r\nMAIL FROM:<evil@attacker.example>\r\n.\r\nmore\r\n",
    b"\r\n\r\n.\r\n",
    b"Subject: \xff\xfe\r\n\r\nnul \0 and 8 bits \x80\r\n",
];

#[test]
fn data_and_bdat_deliver_the_same_octets_however_they_are_divided() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    for message in MESSAGES {
        let by_data = Client::deliver(gateway.addr(), &mail(message)).expect("a session");
        assert_eq!(by_data.decisive().code, 250, "{by_data:?}");
        let expected = arrived(&sink);
        let halves: Vec<Vec<usize>> = (0..=message.len()).map(|cut| vec![cut]).collect();
        let others = [vec![], vec![0, 0], vec![1; message.len()], vec![message.len(), 0]];
        for chunks in halves.iter().chain(&others) {
            let reply = by_bdat(&gateway, message, chunks);
            assert_eq!(reply.code, 250, "{chunks:?}: {reply:?}");
            assert!(
                arrived(&sink) == expected,
                "{:?} in {chunks:?}",
                String::from_utf8_lossy(message)
            );
        }
    }
}

#[test]
fn an_end_of_data_in_a_chunk_is_text_of_one_message() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let message = b"Subject: a\r\n\r\none\r\n.\r\nQUIT\r\n.\r\ntwo\r\n";
    assert_eq!(by_bdat(&gateway, message, &[]).code, 250);
    let taken = sink.taken();
    assert_eq!(taken.len(), 1);
    assert!(taken[0].message.ends_with(b"\r\n\r\none\r\n.\r\nQUIT\r\n.\r\ntwo\r\n"));
}

#[test]
fn a_whole_session_of_both_kinds_in_one_write_is_answered_in_order() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let begin = "MAIL FROM:<a@b.example>\r\nRCPT TO:<foo@example.com>\r\n";
    let session = format!(
        "EHLO c.example\r\n{begin}BDAT 12\r\nSubject: 1\r\nBDAT 5 LAST\r\n\r\n1\r\n\
         {begin}DATA\r\nSubject: 2\r\n\r\n2\r\n.\r\n\
         {begin}BDAT 17 LAST\r\nSubject: 3\r\n\r\n3\r\nQUIT\r\n"
    );
    let mut client = Client::connect(gateway.addr()).expect("a connection");
    client.send(session.as_bytes()).expect("the gateway reads");
    let said = String::from_utf8(client.rest()).expect("text");
    let last = |line: &&str| line.as_bytes().get(3) == Some(&b' ');
    let codes: Vec<&str> = said.lines().filter(last).map(|line| &line[..3]).collect();
    let expected = "220 250 250 250 250 250 250 250 354 250 250 250 250 221";
    assert_eq!(codes.join(" "), expected, "{said}");
    let bodies: Vec<u8> = sink
        .taken()
        .iter()
        .map(|taken| taken.message[taken.message.len() - 3])
        .collect();
    assert_eq!(bodies, b"123");
}

#[test]
fn the_two_kinds_do_not_mix_within_one_message() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let mut client = Client::greeted(gateway.addr());
    client.begin(&mail(b""));
    client.send(b"BDAT 14\r\nSubject: a\r\n\r\n").expect("it is read");
    assert_eq!(client.reply().expect("a reply").code, 250);
    assert_eq!(client.command("DATA").expect("a reply").code, 503);
    assert_eq!(client.command("RCPT TO:<bar@example.com>").expect("a reply").code, 503);
    assert_eq!(client.command("NOOP").expect("a reply").code, 250);
    client.send(b"BDAT 3 LAST\r\nx\r\n").expect("it is read");
    assert_eq!(client.reply().expect("a reply").code, 250);
    // Given up between two chunks: nothing of it is left.
    client.begin(&mail(b""));
    client.send(b"BDAT 14\r\nSubject: b\r\n\r\n").expect("it is read");
    assert_eq!(client.reply().expect("a reply").code, 250);
    assert_eq!(client.command("RSET").expect("a reply").code, 250);
    client.begin(&mail(b""));
    assert_eq!(
        client.bdat(b"Subject: c\r\n\r\nx\r\n", &[5]).expect("a reply").code,
        250
    );
    let taken = sink.taken();
    assert_eq!(taken.len(), 2);
    assert!(!taken[1].message.windows(10).any(|w| w == b"Subject: b"));
}

#[test]
fn chunks_out_of_order_are_read_and_refused() {
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    let mut client = Client::greeted(gateway.addr());
    let bdat = |client: &mut Client| {
        client.send(b"BDAT 6 LAST\r\nQUIT\r\n").expect("it is read");
        client.reply().expect("a reply").code
    };
    assert_eq!(bdat(&mut client), 503, "no MAIL");
    client.command("MAIL FROM:<a@b.example>").expect("a reply");
    assert_eq!(bdat(&mut client), 503, "no RCPT");
    client.command("RSET").expect("a reply");
    client.command("MAIL FROM:<a@b.example>").expect("a reply");
    client.command("RCPT TO:<x@elsewhere.example>").expect("a reply");
    assert_eq!(bdat(&mut client), 554, "none was taken");
    assert_eq!(client.command("HELO c.example").expect("a reply").code, 250);
    client.begin(&mail(b""));
    assert_eq!(bdat(&mut client), 503, "HELO offers none");
    assert_eq!(client.command("NOOP").expect("the session goes on").code, 250);
    let reply = client.command("BDAT x").expect("a reply");
    assert_eq!(reply.class(), 5, "{reply:?}");
    assert!(client.closed(), "nobody knows how much follows");
    assert!(sink.taken().is_empty());
}

#[test]
fn the_limits_of_a_message_are_those_of_data() {
    const SIZE: usize = 64 * 1024;
    let sink = Sink::start();
    let gateway = setup(&sink)
        .set("limits.message_size", &SIZE.to_string())
        .set("limits.text_line_length", "1000")
        .set("limits.command_timeout_s", "1")
        .start();
    let mut fits = [&b"A: b\r\n\r\n"[..], &b"0123456789\r\n".repeat(SIZE / 12)].concat();
    fits.truncate(SIZE - 2);
    fits.truncate(fits.iter().rposition(|&b| b == b'\n').expect("a line ends") + 1);
    fits.resize(SIZE - 2, b'x');
    fits.extend_from_slice(b"\r\n");
    assert_eq!(by_bdat(&gateway, &fits, &[400]).code, 250);
    let over = [&fits[..], b"x\r\n"].concat();
    for chunks in [&[][..], &[400], &[SIZE - 1], &[SIZE], &[SIZE + 1, 1]] {
        let reply = by_bdat(&gateway, &over, chunks);
        assert_eq!(
            (reply.code, &reply.text()[..5]),
            (552, "5.3.4"),
            "{chunks:?}: {reply:?}"
        );
    }
    let long = [&b"A: b\r\n\r\n"[..], &[b'x'; 1100], b"\r\n"].concat();
    for chunks in [&[][..], &[60], &[1000, 100]] {
        let reply = by_bdat(&gateway, &long, chunks);
        assert_eq!(
            (reply.code, &reply.text()[..5]),
            (554, "5.6.0"),
            "{chunks:?}: {reply:?}"
        );
    }
    // Of a size past the limit nothing is kept, but it is read; what no connection lives to carry is not waited for.
    let mut client = Client::greeted(gateway.addr());
    client.begin(&mail(b""));
    client.send(b"BDAT 999999999 LAST\r\n").expect("it is read");
    client.send(&[b'x'; 100_000]).expect("it is read");
    let reply = client.command("NOOP").expect("a last word");
    assert_eq!(reply.code, 421, "all that follows is the chunk's: {reply:?}");
    assert_eq!(sink.taken().len(), 1);
}

#[test]
fn a_chunk_of_a_length_past_any_number_is_answered_at_once() {
    // Its octets were waited for until the time was over.
    let sink = Sink::start();
    let gateway = setup(&sink).start();
    for octets in [
        "18446744073709551617",
        "18446744073709551615",
        "99999999999999999999999999",
    ] {
        let mut client = Client::greeted(gateway.addr());
        client.begin(&mail(b""));
        let reply = client.command(&format!("BDAT {octets} LAST")).expect("a reply");
        assert_eq!((reply.code, &reply.text()[..5]), (552, "5.3.4"), "{reply:?}");
        assert!(client.closed());
    }
}
