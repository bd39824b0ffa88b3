//! Messages with links of all sorts, and what is found in them.

mod pictures;

use super::*;
use crate::auth::author;
use crate::evidence::{Fact, Origin};
use mail::ReversePath;
use proptest::prelude::*;

fn read(message: &str) -> Links {
    Links::read(message.as_bytes(), &PublicSuffixes::BuiltIn, &pictures::drawn)
}

fn page(html: &str) -> Links {
    read(&["From: ann@ann.com\nContent-Type: text/html; charset=utf-8\n\n", html].concat())
}

fn anchor(target: &str, shown: &str) -> Links {
    page(&format!("<a href=\"{target}\">{shown}</a>"))
}

fn attached(html: &str) -> Links {
    let head = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nsee\n--b\n\
        Content-Type: application/octet-stream; name=invoice.HTML\nContent-Disposition: attachment\n\n";
    read(&[head, html, "\n--b--\n"].concat())
}

fn signs(links: &Links) -> Vec<Sign> {
    let mut signs: Vec<Sign> = links
        .findings
        .iter()
        .flat_map(|finding| finding.signs.clone())
        .collect();
    signs.sort();
    signs.dedup();
    signs
}

fn texts(links: &Links) -> Vec<&str> {
    links.findings.iter().map(|finding| finding.text.as_str()).collect()
}

#[test]
fn what_is_shown_and_where_it_leads() {
    use Sign::*;
    for (target, shown, expected) in [
        ("https://shop.com/x", "https://www.shop.com/", &[][..]),
        ("https://click.shop.com/x", "www.shop.com", &[]),
        ("https://click.esp.com/x", "https://shop.com/y", &[ShowsAddress]),
        ("https://click.esp.com/x", "see HTTPS://shop.com/y.", &[ShowsAddress]),
        ("https://evil.com/x", "h<b>tt</b>ps://ba&#8203;nk.com/", &[ShowsAddress]),
        ("https://click.esp.com/x", "Shop.com", &[ShowsName]),
        ("https://click.esp.com/x", "read on", &[]),
        ("https://click.esp.com/x", "index.html", &[]),
        ("https://click.esp.com/x", "ann@shop.com", &[]),
        ("https://shop.co.uk/", "https://bank.co.uk/", &[ShowsAddress]),
        ("https://evil.github.io/", "https://bank.github.io/", &[ShowsAddress]),
        // A gateway that looks at links when they are followed.
        (
            "https://urldefense.com/v3/__https://shop.com__",
            "https://shop.com/",
            &[],
        ),
        ("mailto:ann@evil.com", "https://bank.com/", &[]),
        ("#top", "https://bank.com/", &[]),
        ("http://203.0.113.5/", "https://bank.com/", &[ShowsAddress, Address]),
        ("http://203.0.113.5/", "here", &[Address]),
        ("http://192.168.1.1/", "here", &[PrivateAddress]),
        ("http://[2001:db8::1]/", "here", &[Address]),
        ("http://0x7f.1/", "https://app.com/", &[PrivateAddress]),
        ("http://100.64.0.1/", "https://app.com/", &[PrivateAddress]),
        ("http://100.128.0.1/", "here", &[Address]),
        ("http://printer/", "www.printer.com", &[]),
        ("http://localhost:3000/", "https://app.com/", &[]),
        ("http://nas.local/", "https://nas.com/", &[]),
        ("http://box.home.arpa/", "https://box.com/", &[]),
        ("http://nas.local.evil.com/", "https://nas.com/", &[ShowsAddress]),
        // Browsers read the octets in octal, and what they find is somebody else's.
        ("http://010.0.0.1/", "here", &[ObscuredAddress]),
        ("http://[::ffff:127.0.0.1]/", "here", &[PrivateAddress]),
        ("http://bit.ly/x", "here", &[Shortener]),
        ("http://www.bit.ly/x", "here", &[Shortener]),
        ("http://rabbit.ly/x", "here", &[]),
    ] {
        assert_eq!(signs(&anchor(target, shown)), expected, "{target} {shown}");
    }
}

/// Each of these leads a browser to a bare address or to `evil.com`, whatever a filter takes it for.
#[test]
fn addresses_are_read_as_browsers_read_them() {
    use Sign::*;
    for target in [
        "http://0xcb.1/",
        "http://0xcb007105/",
        "http://3405803781/",
        "http://0313.0.0161.05/",
        "http://%32%30%33.0.113.5/",
        "http://２０３.0.113.5/",
        "http://203。0。113。5/",
        "http:/0xcb.0.0161.5",
        "http:\\\\0xcb.0.0161.5\\",
        " \t http://0xcb.\n0.0161.5/",
    ] {
        assert_eq!(signs(&anchor(target, "here")), [ObscuredAddress], "{target}");
    }
    for target in [
        "http://evil.com/",
        "HTTP://EVIL.COM./",
        "http:evil.com",
        "http:///evil.com",
        "https:\\/evil.com\\x",
        "ht\ntp://ev\til.com/",
        "http://%65vil.com/",
        "http://ｅｖｉｌ。ｃｏｍ/",
        "http://evil.com:8080/",
        "http://user:word@evil.com/",
        "//evil.com/",
        "www.evil.com/x",
        "&#x68;ttp&colon;//evil&period;com",
        "http://ev\u{ad}il.com/",
    ] {
        let links = anchor(target, "https://bank.com");
        assert_eq!(signs(&links), [ShowsAddress], "{target}");
        assert_eq!(
            links.findings[0].organization.as_ref().map(Domain::as_str),
            Some("evil.com"),
            "{target}"
        );
    }
    // Numbers of versions that a program took for links; and what a person sees deceives nobody.
    assert_eq!(signs(&anchor("http://4.1.2/", "4.1.2")), [Address]);
    assert_eq!(
        signs(&page("<base href='http://203.0.113.5/'><a href='x'>y</a>")),
        [Address]
    );
    assert_eq!(signs(&page("<a href='x'>https://bank.com</a>")), []);
}

#[test]
fn logins_redirects_and_programs() {
    use Sign::*;
    for (target, expected) in [
        ("https://www.bank.com@evil.com/", &[LoginAsHost][..]),
        ("https://www.bank.com:443@evil.com/", &[LoginAsHost]),
        ("https://www.bank.com%2Flogin@evil.com/", &[LoginAsHost]),
        ("https://bank.com@evil.com/", &[LoginAsHost]),
        ("https://bank.co.uk@evil.com/", &[LoginAsHost]),
        ("https://www.bank.li@evil.com/", &[LoginAsHost]),
        ("https://bank.li%2Flogin@evil.com/", &[LoginAsHost]),
        ("https://bank.li:443@evil.com/", &[LoginAsHost]),
        ("https://bank.com@www.bank.com/", &[]),
        // Whoever is called so logs in by that name.
        ("https://wei.li@git.com/", &[LoginLikeHost]),
        ("https://wei.li:secret@git.com/", &[LoginLikeHost]),
        ("https://ann@evil.com/", &[]),
        ("https://a.com/?to=https://b.com/", &[]),
        ("https://a.com/?to=https://b.com/?to=https://c.com", &[Redirects]),
        (
            "https://a.com/?to=https%3A%2F%2Fb.com%2F%3Fto%3Dhttps%253A%252F%252Fc.com",
            &[Redirects],
        ),
        ("https://a.com/http:/b.com/https:/c.com", &[Redirects]),
        ("https://a.com/?to=https://a.com/&from=https://a.com", &[]),
        ("javascript:void(0)", &[Script]),
        ("JavaScript:x()", &[Script]),
        (" \u{1}java\nscript&colon;x()", &[ObscuredScript]),
        ("&#0000106avascript&#x3a;x()", &[Script]),
        ("vb&Tab;script:x", &[ObscuredScript]),
        ("data:text/html;base64,PGI+", &[Data]),
        ("data:image/svg+xml,<svg/>", &[Data]),
        ("data:image/png;base64,AAAA", &[]),
        ("data:,x", &[]),
        ("cid:x", &[]),
        ("tel:+1", &[]),
        ("http://", &[]),
        ("http://a b/", &[]),
        ("", &[]),
    ] {
        assert_eq!(signs(&anchor(target, "here")), expected, "{target}");
    }
}

#[test]
fn names_of_one_script_are_what_people_write() {
    use Sign::*;
    for (host, expected) in [
        ("пример.рф", &[International][..]),
        ("президент.рф", &[International]),
        ("bücher.de", &[International]),
        ("日本語.jp", &[International]),
        ("sushi日本.jp", &[International]),
        ("παράδειγμα.gr", &[International]),
        ("p\u{430}ypal.com", &[MixedScripts]),
        ("www.p\u{430}ypal.com.evil.com", &[MixedScripts]),
        ("аррӏе.com", &[Alike]),
        ("сора.рф", &[International]),
        ("xn--pypal-4ve.com", &[MixedScripts]),
        ("xn--zzzzzz-.com", &[]),
        ("paypal.com", &[]),
    ] {
        let links = anchor(&format!("https://{host}/"), "here");
        assert_eq!(signs(&links), expected, "{host}");
    }
    let links = anchor("https://p\u{430}ypal.com/", "https://paypal.com/");
    assert_eq!(
        texts(&links),
        ["shows paypal.com, leads to p\u{430}ypal.com (xn--pypal-4ve.com) (letters of scripts that look alike)"]
    );
}

#[test]
fn forms_and_attached_pages() {
    use Sign::*;
    assert_eq!(signs(&page("<form action=https://a.com/><input name=q>")), [Form]);
    assert_eq!(
        signs(&page(
            "<form><input type=password><button formaction=http://203.0.113.5/>"
        )),
        [Address, Form, Password]
    );
    let links = attached("<form action='https://a.com/x.php'><input type=password></form>");
    assert_eq!(signs(&links), [Form, Password]);
    assert!(links.findings.iter().all(|finding| finding.place == Place::Attachment));
    assert_eq!(
        signs(&attached("<script>document.write(atob('PGI+'))</script>")),
        [Unpacks]
    );
    assert_eq!(signs(&attached("<script>document.write(1)</script>")), []);
    assert_eq!(
        signs(&attached("<meta http-equiv=refresh content='0;url=data:text/html,x'>")),
        [Data]
    );
    assert_eq!(
        signs(&read(
            "Content-Type: image/svg+xml\n\n<svg><script>eval(unescape('x'))</script></svg>"
        )),
        [Unpacks]
    );
}

#[test]
fn plain_text_shows_what_it_is_and_other_peoples_mail_is_theirs() {
    use Sign::*;
    let links = read("\nsee http://203.0.113.5/x, (https://bit.ly/a) or www.ann.com.\n");
    assert_eq!(signs(&links), [Address, Shortener]);
    assert_eq!(
        links.hosts.iter().map(Domain::as_str).collect::<Vec<_>>(),
        ["bit.ly", "www.ann.com"]
    );
    let inner = "Content-Type: text/html\n\n<a href='http://203.0.113.5/'>https://bank.com</a>";
    // A message that is nothing but another one shows that one.
    let whole = read(&["Content-Type: message/rfc822\n\n", inner].concat());
    assert_eq!(signs(&whole), [ShowsAddress, Address]);
    let both = format!(
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\n{inner}\n--b\n\n\
        https://bit.ly/a\n--b--\n"
    );
    assert_eq!(signs(&read(&both)), [Shortener]);
}

fn weight(links: &Links, author: &str) -> u32 {
    let from = format!("From: {author}\n\n");
    let origin = Origin {
        author: Fact::Found(author::read(&Message::parse(from.as_bytes()))),
        ..Origin::default()
    };
    links.weigh(&Friends::of(&origin, &ReversePath::Null), &LinkSettings::default())
}

#[test]
fn what_it_weighs() {
    let newsletter = anchor("https://click.esp.com/x", "https://shop.com/y");
    for (name, links, expected) in [
        ("a counter of clicks", newsletter.clone(), 3),
        (
            "many of them",
            page(&"<a href='https://click.esp.com/x'>https://shop.com/</a>".repeat(30)),
            3,
        ),
        ("a shortener", anchor("https://bit.ly/x", "here"), 1),
        (
            "a shortener instead",
            anchor("https://bit.ly/x", "https://shop.com/"),
            7,
        ),
        ("a bare address", anchor("http://203.0.113.5/", "here"), 7),
        (
            "a bare address instead",
            anchor("http://203.0.113.5/", "https://bank.com/"),
            13,
        ),
        ("instead of a name", anchor("http://203.0.113.5/", "bank.com"), 11),
        (
            "a bare address that is seen",
            anchor("http://203.0.113.5/", "http://203.0.113.5/"),
            0,
        ),
        ("a hidden address", anchor("http://0xcb.1/", "here"), 10),
        ("mixed scripts", anchor("https://p\u{430}ypal.com/", "here"), 10),
        ("all alike", anchor("https://аррӏе.com/", "here"), 6),
        (
            "all alike instead",
            anchor("https://аррӏе.com/", "https://apple.com/"),
            12,
        ),
        ("a name of its own script", anchor("https://пример.рф/", "here"), 0),
        ("a login", anchor("https://bank.com@evil.com/", "here"), 10),
        ("a page within", anchor("data:text/html,x", "here"), 10),
        ("a program", anchor("javascript:void(0)", "here"), 1),
        ("an obscured program", anchor("java\nscript:x", "here"), 10),
        ("a search form", page("<form action=https://a.com/>"), 1),
        (
            "secure mail in an attached page",
            attached("<form action=https://a.com/><input type=password></form><script>eval(unescape(x))</script>"),
            5,
        ),
    ] {
        assert_eq!(weight(&links, "ann@ann.com"), expected, "{name}");
        assert_eq!(links.told(&LinkSettings::default()).is_some(), expected > 0, "{name}");
    }
}

#[test]
fn private_networks_weigh_nothing_and_logins_of_persons_little() {
    for (name, links, expected) in [
        ("a private one", anchor("http://10.0.0.1/", "here"), 0),
        ("as a device writes it", anchor("http://192.168.001.050/", "here"), 0),
        (
            "a private one instead",
            anchor("http://10.0.0.1/", "https://router.com/"),
            0,
        ),
        (
            "a private one behind a login",
            anchor("http://www.router.com@10.0.0.1/", "here"),
            0,
        ),
        (
            "a login like that of a person",
            anchor("https://wei.li@git.com/", "here"),
            4,
        ),
        (
            "the same, and it is what is shown",
            anchor("https://bank.li@evil.com/", "https://bank.li/"),
            13,
        ),
        (
            "the same, and it is all that is shown",
            anchor("https://wei.li@git.com/x", "https://wei.li@git.com/x"),
            4,
        ),
    ] {
        assert_eq!(weight(&links, "ann@ann.com"), expected, "{name}");
    }
}

/// The clone address that `wei.li` copies from a web page was refused, since `.li` is the ending of a country.
#[test]
fn a_login_is_deceit_if_it_names_the_author_whom_nothing_proves() {
    let links = anchor("https://bank.li@evil.com/", "here");
    let friends = |author: &str, proven: &str| Friends::Known {
        authors: Domain::parse(author).into_iter().collect(),
        proven: Domain::parse(proven).into_iter().collect(),
        is_asked: true,
        is_author_proven: author == proven,
    };
    for (author, proven, expected) in [
        ("bank.li", "", 10),
        ("bank.li", "spammer.com", 10),
        ("bank.li", "bank.li", 4),
        ("ann.com", "", 4),
        ("evil.com", "evil.com", 0),
    ] {
        let weight = links.weigh(&friends(author, proven), &LinkSettings::default());
        assert_eq!(weight, expected, "{author} {proven}");
    }
}

/// Encrypted mail of a bank weighed 9, so that any newsletter's counter of clicks beside it was refused.
#[test]
fn an_encrypted_attachment_of_a_proven_author_weighs_little() {
    let head = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\n\
        <a href='https://click.esp.com/x'>portal.com</a> <a href='javascript:help()'>help</a>\n--b\n\
        Content-Type: text/html; name=secure.html\nContent-Disposition: attachment\n\n";
    let sealed = "<form action=https://a.com/><input type=password></form><script>eval(unescape(x))</script>";
    let links = read(&[head, sealed, "\n--b--\n"].concat());
    let friends = |is_asked, is_author_proven| Friends::Known {
        authors: Domain::parse("bank.com").into_iter().collect(),
        proven: Domain::parse("other.com").into_iter().collect(),
        is_asked,
        is_author_proven,
    };
    let weight = |friends| links.weigh(&friends, &LinkSettings::default());
    assert_eq!(weight(friends(true, true)), 7);
    assert_eq!(weight(friends(false, false)), 7, "nobody is held to have failed");
    assert_eq!(weight(friends(true, false)), 11);
    // A page that is shown runs in no browser: nothing in it is encrypted.
    let shown = page("<form action=https://a.com/><input type=password></form>");
    assert_eq!(shown.weigh(&friends(true, true), &LinkSettings::default()), 6);
}

#[test]
fn what_an_operator_says_of_hosts_counts() {
    let newsletter = anchor("https://click.esp.com/x", "https://shop.com/y");
    assert_eq!(weight(&newsletter, "ann@esp.com"), 0, "its own counter");
    let settings = |text: &str| LinkSettings {
        ignore: vec![Domain::parse(text).unwrap()],
        ..LinkSettings::default()
    };
    assert_eq!(newsletter.weigh(&Friends::Nobody, &settings("esp.com")), 0);
    assert_eq!(newsletter.weigh(&Friends::Nobody, &settings("sp.com")), 7);
    assert_eq!(
        anchor("http://203.0.113.5/", "here").weigh(&Friends::Nobody, &settings("203.0.113.5")),
        0
    );
    let named = LinkSettings {
        shorteners: vec![Domain::parse("esp.com").unwrap()],
        ..LinkSettings::default()
    };
    assert_eq!(newsletter.weigh(&Friends::Nobody, &named), 3 + 4 + 1 + 3);
    let plain = anchor("https://go.esp.com/x", "here");
    assert_eq!(plain.weigh(&Friends::All, &named), 1);
    assert_eq!(
        plain.told(&named).as_ref().map(Line::as_str),
        Some("leads to go.esp.com (a shortener)")
    );
}

#[test]
fn what_is_grave_is_not_hidden_behind_trifles() {
    let trifles: String = (0..200)
        .map(|n| format!("<a href='http://a{n}.com/'>https://b{n}.com/</a>"))
        .collect();
    let grave = "<a href='http://0xcb.1/'>here</a>";
    for html in [[grave, &trifles].concat(), [&trifles, grave].concat()] {
        let links = page(&html);
        assert_eq!((links.findings.len(), links.hosts.len()), (FINDINGS_MAX, HOSTS_MAX));
        assert!(signs(&links).contains(&Sign::ObscuredAddress));
        assert!(
            links
                .told(&LinkSettings::default())
                .unwrap()
                .as_str()
                .starts_with("leads to 203.0.0.1")
        );
    }
}

/// Work is counted, so that no clock is needed: links, findings and text have their limits whatever comes.
#[test]
fn no_message_costs_more_than_its_share() {
    let links = |count: usize| {
        (0..count)
            .map(|n| format!("<a href='http://0xcb.{n}/'>https://b{n}.com/</a>"))
            .collect::<String>()
    };
    let part = |n: usize| format!("--b\nContent-Type: text/html\n\n{}\n", links(n));
    for message in [
        ["Content-Type: text/html\n\n", &links(10_000)].concat(),
        ["Content-Type: text/html\n\n", &"<div>".repeat(100_000), &links(10)].concat(),
        format!("\n{}", "http://0xcb.1/ ".repeat(100_000)),
        format!("\n{}", "w ".repeat(1_000_000)),
        format!("\n{}", "://".repeat(100_000)),
        format!("\n{}", "www.".repeat(100_000)),
        [
            "Content-Type: multipart/mixed; boundary=b\n\n".to_owned(),
            part(100).repeat(400),
        ]
        .concat(),
        format!("Content-Type: text/html\n\n{}", "data:image/png;base64,".repeat(20_000)),
        format!(
            "Content-Type: text/html\n\n<a href='http://a.com/{}'>x</a>",
            "%25".repeat(100_000)
        ),
        format!(
            "Content-Type: text/html\n\n<a href='http://a.com/{}'>x</a>",
            "http://b.com/".repeat(500)
        ),
        format!(
            "Content-Type: text/html\n\n<a href='http://{}'>x</a>",
            "xn--a.".repeat(300)
        ),
    ] {
        let found = read(&message);
        assert!(found.findings.len() <= FINDINGS_MAX && found.hosts.len() <= HOSTS_MAX);
        let octets = serde_json::to_string(&found).unwrap().len();
        assert!(octets < 32 * 1024, "{octets}");
    }
}

proptest! {
    #[test]
    fn any_octets_have_few_findings(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
        let links = Links::read(&octets, &PublicSuffixes::BuiltIn, &pictures::drawn);
        prop_assert!(links.findings.len() <= FINDINGS_MAX);
    }

    #[test]
    fn better_proofs_never_weigh_more(pieces in proptest::collection::vec(prop_oneof![
        Just("<a href='"), Just("'>"), Just("</a>"), Just("http://"), Just("https://bank.com/"), Just("evil.com"),
        Just("bit.ly"), Just("0x7f.1"), Just("0xcb.1"), Just("wei.li"), Just("www."), Just("203.0.113.5"), Just("@"), Just("/"), Just("javascript:"), Just("x"),
        Just("p\u{430}y.com"), Just("<form action="), Just("<input type=password>"), Just(" "), Just("%3a")], 0..30)) {
        let links = page(&pieces.concat());
        let settings = LinkSettings::default();
        let (best, worst) = (links.weigh(&Friends::All, &settings), links.weigh(&Friends::Nobody, &settings));
        let known = weight(&links, "ann@bank.com");
        prop_assert!(best <= known && known <= worst, "{} {} {}", best, known, worst);
        prop_assert_eq!(worst > 0, links.told(&settings).is_some());
        let stored = serde_json::to_string(&links).unwrap();
        prop_assert_eq!(serde_json::from_str::<Links>(&stored).unwrap(), links);
    }
}

/// Each of these shows the same deceiving link to whoever opens it, and was no page and no text to the check.
#[test]
fn links_are_seen_in_every_kind_that_is_shown() {
    let page = "<a href=\"http://3405803781/\">open</a>";
    let xml = "<svg xmlns=\"http://www.w3.org/2000/svg\"><a href=\"http://3405803781/\"><text>open</text></a></svg>";
    let event = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDESCRIPTION:see http://34058\n 03781/ now\nEND:VEVENT\nEND:VCALENDAR";
    let alternative = "BEGIN:VCALENDAR\nX-ALT-DESC;FMTTYPE=text/html:<a href=\"http://3405803781/\">open</a>\n";
    for (fields, body) in [
        ("Content-Type: application/xhtml+xml", page),
        ("Content-Type: text/x-amp-html", page),
        ("Content-Type: image/svg+xml", xml),
        ("Content-Type: application/octet-stream; name=\"a.xht\"", page),
        ("Content-Type: application/octet-stream; name=\"a.html.\"", page),
        (
            "Content-Type: text/plain\nContent-Disposition: attachment; filename=\"a.svg \"",
            xml,
        ),
        ("Content-Type: text/calendar; method=REQUEST", event),
        ("Content-Type: text/calendar\nContent-Disposition: attachment", event),
        ("Content-Type: application/octet-stream; name=invite.ics", event),
        ("Content-Type: text/calendar", alternative),
        (
            "Content-Type: message/rfc822",
            "Content-Type: text/html\n\n<a href='http://3405803781/'>open</a>",
        ),
        ("Content-Type: multipart/mixed", "see http://3405803781/"),
        ("Content-Type: text/x-unknown", "see http://3405803781/"),
        // Some readers go by the last field.
        ("Content-Type: image/png\nContent-Type: text/html", page),
    ] {
        let links = read(&format!("From: ann@ann.com\n{fields}\n\n{body}\n"));
        assert_eq!(signs(&links), [Sign::ObscuredAddress], "{fields}");
    }
}

/// People report what they got as an attached message, and servers bounce it: encoded or not, it is not theirs.
#[test]
fn links_of_attached_messages_are_nobody_elses_fault() {
    let report = |fields: &str, message: &str| {
        let head = "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nsee\n--b\n";
        read(&format!("{head}{fields}\n\n{message}\n--b--\n"))
    };
    let message = "Content-Type: text/html\n\n<a href='http://3405803781/'>open</a>\n";
    assert_eq!(signs(&report("Content-Type: message/rfc822", message)), []);
    assert_eq!(signs(&report("Content-Type: message/global", message)), []);
    let coded = data_encoding::BASE64.encode(message.as_bytes());
    let encoded = "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64";
    assert_eq!(signs(&report(encoded, &coded)), []);
    let header = "List-Unsubscribe: <http://3405803781/>";
    assert_eq!(signs(&report("Content-Type: text/rfc822-headers", header)), []);
}

/// A link that plain text showed first was taken for told, and weighed no more in the page where it is hidden.
#[test]
fn a_link_in_plain_text_does_not_excuse_the_same_link_in_a_page() {
    let message = |text: &str| {
        let head = "From: ann@ann.com\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\n";
        let page = "--b\nContent-Type: text/html\n\n<a href='http://3405803781/'>open</a>\n--b--\n";
        read(&format!("{head}{text}\n{page}"))
    };
    let (alone, both) = (message("hello"), message("see http://3405803781/"));
    assert_eq!(weight(&alone, "ann@ann.com"), 10);
    assert_eq!(weight(&both, "ann@ann.com"), 10);
}

/// Five kB of empty parts in front of a page, and nobody looked at it.
#[test]
fn a_page_is_looked_at_behind_however_many_parts() {
    let message = |before: String| {
        let head = "From: ann@ann.com\nContent-Type: multipart/alternative; boundary=b\n\n";
        let page = "--b\nContent-Type: text/html\n\n<a href='http://0xc0.2.7/'>open</a>\n--b--\n";
        read(&format!("{head}{before}{page}"))
    };
    assert_eq!(signs(&message("--b\n\n\n".repeat(5_000))), [Sign::ObscuredAddress]);
    let many = message((0..10_000).map(|n| format!("--b\n\n{n}\n")).collect());
    assert_eq!(signs(&many), [Sign::ObscuredAddress, Sign::Unread]);
    let told = many.told(&LinkSettings::default()).unwrap();
    assert!(
        told.as_str()
            .ends_with("has more parts, or deeper ones, than are looked at")
    );
}

/// Two thousand links to nowhere, or a long address, and nobody looked at what came behind.
#[test]
fn a_link_is_looked_at_behind_however_many_others() {
    let grave = "<a href='http://0xc0.2.7/'>open</a>";
    let numbers = |what: &str| -> String { (0..5_000).map(|n| what.replace('#', &n.to_string())).collect() };
    for before in [
        "www.a.com ".repeat(5_000),
        numbers("http://a.com/# "),
        numbers("<a href='http://a.com/#'>x</a>"),
        numbers("<form action='#'>"),
        ["<!--", &"x".repeat(TEXT_OCTETS_MAX), "-->"].concat(),
    ] {
        for html in [[&before, grave].concat(), [grave, &before].concat()] {
            assert!(
                signs(&page(&html)).contains(&Sign::ObscuredAddress),
                "{}",
                &before[..20]
            );
        }
        let text = read(&format!("\n{before} http://0xc0.2.7/ "));
        assert!(signs(&text).contains(&Sign::ObscuredAddress), "{}", &before[..20]);
    }
    let both = [
        numbers("http://a.com/# "),
        numbers("http://b.com/# "),
        numbers("http://c.com/# "),
    ]
    .concat();
    assert_eq!(signs(&page(&both)), [Sign::Unread]);
    let shown = "https://www.bank.com/login";
    for target in [
        format!("{}https://bit.ly/a", " ".repeat(2_500)),
        format!("https:{}bit.ly/a", "/".repeat(2_500)),
        format!("https://{}@bit.ly/a", "x".repeat(2_500)),
        format!("https://{}bit.ly/a", "&shy;".repeat(2_500)),
        format!("https://{}bit.ly/a", "%C2%AD".repeat(2_500)),
    ] {
        let found = anchor(&target, &["&#847; ".repeat(200), shown.to_owned()].concat());
        assert_eq!(
            signs(&found),
            [Sign::ShowsAddress, Sign::Shortener],
            "{}",
            &target[..20]
        );
    }
}

/// A link of a picture was taken for told where plain text shows its address, which weighs nothing there.
#[test]
fn a_link_that_shows_nothing_is_another_one_than_in_plain_text() {
    let head = "From: ann@ann.com\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\nsee http://203.0.113.5/\n";
    let page = "--b\nContent-Type: text/html\n\n<a href='http://203.0.113.5/'><img src=x></a>\n--b--\n";
    assert_eq!(weight(&read(&[head, page].concat()), "ann@ann.com"), 7);
}

/// Thunderbird reads a page as if its Content-Base or Content-Location stood in it.
#[test]
fn a_part_may_say_what_its_links_are_relative_to() {
    let page = "\n<a href='x'>https://www.bank.com/</a><a href='//evil.com/'>y</a>";
    for (field, page, expected) in [
        (
            "Content-Base: http://192.0.2.7/",
            page,
            vec![Sign::ShowsAddress, Sign::Address],
        ),
        (
            "Content-Location: \"http://192.0.\n 2.7/\"",
            page,
            vec![Sign::ShowsAddress, Sign::Address],
        ),
        (
            "Content-Location: http://192.0.2.7/",
            "\n<base href='http://bank.com/'><a href=x>bank.com</a>",
            vec![],
        ),
        ("Content-Location: x", page, vec![]),
    ] {
        let found = read(&format!("Content-Type: text/html\n{field}\n{page}"));
        assert_eq!(signs(&found), expected, "{field}");
    }
}

/// Mail programs send a form when its button is pressed, and the button may show any address.
#[test]
fn the_button_of_a_form_may_show_somebody_else() {
    for html in [
        "<form action='https://bit.ly/a'><input type=submit value='https://www.bank.com/login'></form>",
        "<form action='https://bit.ly/a'><button>https://www.bank.com/login</button></form>",
        "<form><button formaction='https://bit.ly/a'>https://www.bank.com/login</button></form>",
    ] {
        let found = page(html);
        assert_eq!(
            signs(&found),
            [Sign::ShowsAddress, Sign::Shortener, Sign::Form],
            "{html}"
        );
        assert_eq!(
            texts(&found),
            ["a form shows www.bank.com, and goes to bit.ly (a shortener)"]
        );
    }
    let own = "<form action='https://a.bank.com/'><button>https://www.bank.com/login</button></form>";
    assert_eq!(signs(&page(own)), [Sign::Form]);
}

/// Readers that lose NUL octets, or stand behind servers that do, show the link.
#[test]
fn nul_octets_hide_no_link() {
    let page = "<a href='http://0xc0.2.7/'>x</a>";
    for message in [
        format!("Content-Type: text/h\0tml\n\n{page}"),
        format!("Content-\0Type: text/html\n\n{page}"),
        format!("Content-Type: multipart/mixed; boundary=B\n\n--\0B\nContent-Type: text/html\n\n{page}\n--B--\n"),
        format!("Content-Type: text/html\n\n{}", page.replace("<a", "<\0a")),
        format!("Content-Type: text/html\n\n{}", page.replace("0xc0", "0\0xc0")),
        format!(
            "Content-Type: text/html\nContent-Transfer-Encoding: base64\n\n{}",
            data_encoding::BASE64.encode(page.replace("hr", "h\0r").as_bytes())
        ),
    ] {
        assert_eq!(signs(&read(&message)), [Sign::ObscuredAddress], "{message:?}");
    }
}
