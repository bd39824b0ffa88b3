//! A sender never chooses a route: `user%elsewhere@ours` and its like end at RCPT, and with the README's listener in a
//! real Postfix nothing leaves for elsewhere, though the first wall fell.

use std::net::SocketAddr;
use std::path::Path;

use crate::support::client::{Client, Mail, Reply};
use crate::support::gateway::{Gateway, Setup, quoted};
use crate::support::outside::servers;
use crate::support::private_postfix::{PROGRAMS, PrivatePostfix};
use crate::support::sink::Sink;

/// Local parts that some server takes for a way to `elsewhere.example`.
const ROUTES: [&str; 15] = [
    "victim%elsewhere.example",
    "elsewhere.example!victim",
    "ours.example!elsewhere.example!victim",
    r#""victim@elsewhere.example""#,
    r#""victim\@elsewhere.example""#,
    r#""victim%elsewhere.example""#,
    r#""elsewhere.example!victim""#,
    r#""@elsewhere.example:victim""#,
    "ann+x%elsewhere.example",
    r#""ann+x@elsewhere.example""#,
    "ann+elsewhere.example!x",
    "postmaster%elsewhere.example",
    "victim%elsewhere.example%example.com",
    "%elsewhere.example",
    "IMCEASMTP-victim+40elsewhere+2Eexample",
];

/// Appears from outside: PROXY names the client.
fn outside(gateway: &Gateway) -> Client {
    let mut client = Client::connect(gateway.addr_of("smtp, PROXY")).expect("a connection");
    client
        .send(b"PROXY TCP4 203.0.113.5 192.0.2.99 40000 25\r\n")
        .expect("the kernel takes it");
    assert_eq!(client.reply().expect("a greeting").code, 220);
    assert_eq!(client.command("EHLO mx.sender.example").expect("a reply").code, 250);
    client
}

fn setup() -> Setup {
    Setup::new()
        .srv(&["example.com/users/valid/*", "listed.example/users/valid/ann"])
        .set("smtp.listener", r#"[{ address = "127.0.0.1:0", proxy = true }]"#)
        .set("limits.errors", "1000")
}

fn rcpt(client: &mut Client, path: &str) -> Reply {
    client.command(&format!("RCPT TO:<{path}>")).expect("a reply")
}

fn refuses(reply: &Reply, path: &str) {
    let text = "5.7.1 Relay attempt: the local part names a route, and no user here";
    assert_eq!((reply.code, reply.text().as_str()), (550, text), "{path}");
}

/// A server behind that obeys such words made the pair an open relay: for anybody where the domain takes mail for
/// anyone, and behind the extension of a listed user.
#[test]
fn a_local_part_that_names_a_route_is_refused_whatever_stands_behind() {
    let sink = Sink::start();
    let gateway = setup().before_sink(&sink).start();
    let mut client = outside(&gateway);
    client.command("MAIL FROM:<bob@sender.example>").expect("a reply");
    for domain in ["example.com", "listed.example", "EXAMPLE.com."] {
        for local in ROUTES {
            let path = format!("{local}@{domain}");
            refuses(&rcpt(&mut client, &path), &path);
            let path = format!("@a.example,@b.example:{local}@{domain}");
            refuses(&rcpt(&mut client, &path), &path);
        }
    }
    let elsewhere = rcpt(&mut client, "@example.com:victim@elsewhere.example");
    assert_eq!(elsewhere.text(), "5.7.1 Relay attempt for elsewhere.example");
    for path in [
        "victim@elsewhere.example@example.com",
        "@a.example:@elsewhere.example:x@example.com",
    ] {
        assert_eq!(rcpt(&mut client, path).class(), 5, "{path}");
    }
    client.command("RSET").expect("a reply");
    let utf8 = client
        .command("MAIL FROM:<bob@sender.example> SMTPUTF8")
        .expect("a reply");
    assert_eq!(utf8.code, 250);
    for local in ["victim\u{ff05}elsewhere.example", "victim\u{ff20}elsewhere.example"] {
        let path = format!("{local}@example.com");
        refuses(&rcpt(&mut client, &path), &path);
    }
    let plain = [
        "ann+elsewhere.example@listed.example",
        "SRS0=HHH=TT=elsewhere.example=victim@example.com",
        "@a.example,@b.example:ann@listed.example",
        "bounces+ann=elsewhere.example@example.com",
    ];
    for path in plain {
        assert_eq!(rcpt(&mut client, path).code, 250, "{path}");
    }
    assert!(sink.taken().is_empty());
}

#[test]
fn an_operator_who_needs_such_a_local_part_names_it() {
    let sink = Sink::start();
    let gateway = setup()
        .srv(&["listed.example/users/valid/fax%12", "listed.example/mailboxes/old!box"])
        .file("listed.example/whitelisted/recipients/white%list", "")
        .before_sink(&sink)
        .start();
    let mut client = outside(&gateway);
    client.command("MAIL FROM:<bob@sender.example>").expect("a reply");
    for path in [
        "fax%12@listed.example",
        "Fax%12@Listed.Example",
        r#""fax\%12"@listed.example"#,
    ] {
        assert_eq!(rcpt(&mut client, path).code, 250, "{path}");
    }
    for path in [
        "fax%12+x@listed.example",
        "fax%12@example.com",
        "x%fax%12@listed.example",
        "old!box@listed.example",
        "white%list@listed.example",
    ] {
        refuses(&rcpt(&mut client, path), path);
    }
}

/// Our own users' mail goes where they say; but no route leads through one of our domains.
#[test]
fn our_own_networks_name_no_route_through_our_domains_either() {
    let (inside, out) = (Sink::start(), Sink::start());
    let gateway = setup()
        .before_sink(&inside)
        .set("smtp.relay_networks", r#"["127.0.5.0/24"]"#)
        .set("relay.to", &quoted(&out.target()))
        .start();
    let mut client = Client::greeted_from("127.0.5.9", gateway.addr());
    client.command("MAIL FROM:<ann@example.com>").expect("a reply");
    refuses(&rcpt(&mut client, "victim%elsewhere.example@example.com"), "ours");
    assert_eq!(rcpt(&mut client, "victim%x@elsewhere.example").code, 250);
}

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
    std::fs::read_to_string(path).expect("a page of ours")
}

/// The README's lines for `master.cf`, as they stand there.
fn recipe() -> String {
    let readme = page("README.md");
    let blocks = readme.split("```text\n").skip(1);
    let block = blocks
        .filter_map(|rest| rest.split("```").next())
        .find(|block| block.contains(" inet ") && block.contains("smtpd"));
    let block = block.expect("the README has a listener for Postfix").to_owned();
    assert!(readme.contains("to = \"smtp:127.0.0.1:10025\""), "and sends mail to it");
    assert!(block.starts_with("127.0.0.1:10025 inet "), "{block}");
    block
}

/// The recipe in a Postfix for `example.com` that would take everything amiss which the recipe switches off, and whose
/// mail for elsewhere goes to `out`. Only the port is another: that of the README may be taken here.
fn postfix_by_the_book(recipe: &str, out: &Sink) -> PrivatePostfix {
    let settings = format!(
        "mydestination = example.com\nvirtual_mailbox_domains =\nlocal_transport = virtual\n\
         local_recipient_maps = $virtual_mailbox_maps\nrelayhost = [127.0.0.1]:{}\nrecipient_delimiter = +\n\
         smtpd_relay_restrictions = reject\nsmtpd_client_restrictions = reject\nsmtpd_helo_restrictions = reject\n\
         smtpd_sender_restrictions = reject\nsmtpd_data_restrictions = reject\n\
         smtpd_end_of_data_restrictions = reject\nsmtpd_milters = inet:127.0.0.1:1\n\
         smtpd_soft_error_limit = 1\nsmtpd_error_sleep_time = 30s\nsmtpd_delay_reject = no",
        out.addr().port()
    );
    PrivatePostfix::listening_as(&["ann"], &settings, |addr: SocketAddr| {
        recipe.replace("127.0.0.1:10025", &addr.to_string())
    })
}

/// By the README of before, `victim%elsewhere@ours` left Postfix for elsewhere; and with XCLIENT, as another page
/// advised, Postfix refused all mail for good.
#[test]
fn the_readmes_postfix_takes_mail_for_ours_and_none_for_elsewhere() {
    let name = "the_readmes_postfix_takes_mail_for_ours_and_none_for_elsewhere";
    if !servers(name, &PROGRAMS) {
        return;
    }
    let whole = recipe();
    let xclient = "  -o smtpd_authorized_xclient_hosts=127.0.0.1\n";
    assert!(whole.contains(xclient), "{whole}");
    for (recipe, offers_xclient) in [(whole.clone(), true), (whole.replace(xclient, ""), false)] {
        let out = Sink::start();
        let postfix = postfix_by_the_book(&recipe, &out);
        let gateway = setup().before(&postfix.target()).start();
        let to = |path: &str| {
            let mail = Mail::new("1@load.example", &[path]);
            outside(&gateway)
                .transaction(&mail)
                .expect("a transaction")
                .decisive()
                .clone()
        };
        let reply = to("ann@example.com");
        assert_eq!(reply.code, 250, "{reply:?}\n{}", postfix.log());
        assert_eq!(postfix.await_mail("ann", 1).len(), 1);
        assert_eq!(
            postfix.log().contains("203.0.113.5"),
            offers_xclient,
            "{}",
            postfix.log()
        );
        let unknown = to("nobody@example.com");
        assert_eq!(unknown.code, 550, "{unknown:?}\n{}", postfix.log());
        // Without the first wall, as the gateway was: the client of the listener is on loopback.
        let mut client = Client::greeted(postfix.addr());
        client.command("MAIL FROM:<bob@sender.example>").expect("a reply");
        for path in ROUTES
            .map(|local| format!("{local}@example.com"))
            .into_iter()
            .chain(["victim@elsewhere.example".into()])
        {
            assert_eq!(to(&path).class(), 5, "{path}");
            let reply = rcpt(&mut client, &path);
            assert_eq!(reply.class(), 5, "{path}: {reply:?}\n{}", postfix.log());
        }
        let last = to("ann@example.com");
        assert_eq!(last.code, 250, "{last:?}\n{}", postfix.log());
        postfix.await_mail("ann", 2);
        assert!(
            out.taken().is_empty(),
            "something left for elsewhere:\n{}",
            postfix.log()
        );
    }
}

#[test]
fn the_page_on_operation_explains_each_option_of_the_readmes_listener() {
    let operation = page("docs/operation.md");
    let recipe = recipe();
    let options: Vec<&str> = recipe.split_whitespace().filter(|word| word.contains('=')).collect();
    assert_eq!(options.len(), 10, "{options:?}");
    for option in options {
        assert!(operation.contains(&format!("| `{option}` |")), "{option}");
    }
}
