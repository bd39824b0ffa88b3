//! SPF, of the HELO name and of the reverse-path apart, and those who forward mail.

use super::{BANK, STRANGER, World, bank, field, mail_from, reverse};
use crate::support::client::Mail;
use crate::support::private_dns::{Zone, is_there};

fn zones() -> Vec<Zone> {
    let eleven: String = (0..11).map(|n| format!(" a:h{n}.bank.example")).collect();
    vec![
        bank("v=DMARC1; p=none"),
        reverse(),
        Zone::new("soft.example", "@ TXT \"v=spf1 ~all\"\n"),
        Zone::new("mute.example", "@ TXT \"v=spf1 ?all\"\n"),
        Zone::new("broken.example", "@ TXT \"v=spf1 ip4:192.0.2.999 -all\"\n"),
        Zone::new("eleven.example", &format!("@ TXT \"v=spf1{eleven} +all\"\n")),
        Zone::new(
            "told.example",
            "@ TXT \"v=spf1 exp=why.told.example -all\"\nwhy TXT \"%{i} is none of ours\"\n",
        ),
        Zone::new("iki.fi", "mx A 198.51.100.77\n"),
        Zone::new(
            "forward.example",
            "mx A 198.51.100.78\nmx TXT \"v=spf1 a -all\"\nout TXT \"v=spf1 ip4:198.51.100.66 -all\"\n",
        ),
        Zone::new(
            "100.51.198.in-addr.arpa",
            "77 PTR mx.iki.fi.\n78 PTR mx.forward.example.\n",
        ),
    ]
}

#[test]
fn the_check_spf_refuses_what_the_owner_refuses() {
    if !is_there("the_check_spf_refuses_what_the_owner_refuses") {
        return;
    }
    let world = World::start(&zones(), &["example.com/checks/spf"]);
    let result = |author: &str, addr: &str| {
        let reply = world.send(addr, &mail_from(author));
        let spf = world.proof(&reply, "spf_mail_from");
        (reply.code, spf["result"].as_str().unwrap_or_default().to_owned())
    };
    let is = |code: u16, word: &str| (code, word.to_owned());
    assert_eq!(result("ann@bank.example", BANK), is(250, "pass"));
    assert_eq!(result("ann@bank.example", STRANGER), is(550, "fail"));
    assert_eq!(result("ann@soft.example", STRANGER), is(250, "softfail"));
    assert_eq!(result("ann@mute.example", STRANGER), is(250, "neutral"));
    assert_eq!(result("ann@silent.example", STRANGER), is(250, "none"));
    assert_eq!(result("ann@broken.example", STRANGER), is(550, "permerror"));
    assert_eq!(result("ann@eleven.example", STRANGER), is(550, "permerror"));
    let said = world.refused(STRANGER, &mail_from("Ann@bank.example"));
    assert!(said.contains("SPF failure ann@bank.example - fail - "), "{said}");
    let said = world.refused(STRANGER, &mail_from("ann@told.example"));
    assert!(said.contains("198.51.100.66 is none of ours"), "{said}");
}

#[test]
fn helo_and_reverse_path_are_kept_apart() {
    if !is_there("helo_and_reverse_path_are_kept_apart") {
        return;
    }
    let world = World::start(&zones(), &["example.com/checks/spf"]);
    let proofs = |mail: &Mail, addr: &str| {
        let reply = world.send(addr, mail);
        let of = |name: &str| {
            world.proof(&reply, name)["result"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        (reply.code, of("spf_helo"), of("spf_mail_from"))
    };
    let is = |code: u16, helo: &str, from: &str| (code, helo.to_owned(), from.to_owned());
    // A HELO name that is not the client's is no reason to refuse.
    let mut mail = mail_from("ann@soft.example");
    mail.helo = "mx.bank.example".into();
    assert_eq!(proofs(&mail, STRANGER), is(250, "fail", "softfail"));
    let mut mail = mail_from("ann@bank.example");
    mail.helo = "mx.silent.example".into();
    assert_eq!(proofs(&mail, BANK), is(250, "none", "pass"));
    // A notification has the HELO name instead of a sender; nobody else's wish makes it refused.
    let mut mail = mail_from("ann@bank.example");
    mail.from.clear();
    assert_eq!(proofs(&mail, BANK), is(250, "pass", "pass"));
    assert_eq!(proofs(&mail, STRANGER), is(250, "fail", "fail"));
    let received = field(&world.last(), "Received-SPF");
    assert!(
        received.starts_with("fail ") && received.contains("domain of mx.bank.example"),
        "{received}"
    );
}

#[test]
fn those_who_forward_mail_are_excused() {
    if !is_there("those_who_forward_mail_are_excused") {
        return;
    }
    let files = [
        "example.com/checks/spf",
        "own.example/users/valid/foo",
        "own.example/checks/spf",
        "own.example/forwarders/.forward.example",
        "own.example/forwarders/198.51.100.90",
    ];
    let world = World::start(&zones(), &files);
    let send = |addr: &str, helo: &str, rcpt: &str| {
        let mut mail = mail_from("ann@bank.example");
        mail.helo = helo.into();
        mail.rcpts = vec![rcpt.into()];
        world.send(addr, &mail)
    };
    // The usual one, by its proven name.
    let reply = send("198.51.100.77", "x.iki.example", "foo@example.com");
    assert_eq!(reply.code, 250, "{reply:?}");
    let why = world.why(&reply);
    assert!(
        why.contains("SPF fail for ann@bank.example, but mx.iki.fi forwards mail"),
        "{why}"
    );
    assert_eq!(send("198.51.100.78", "mx.forward.example", "foo@example.com").code, 550);
    // A list of one's own replaces it.
    assert_eq!(send("198.51.100.78", "mx.forward.example", "foo@own.example").code, 250);
    assert_eq!(
        send("198.51.100.90", "x.example", "foo@own.example").code,
        250,
        "by its address"
    );
    assert_eq!(send("198.51.100.77", "mx.iki.fi", "foo@own.example").code, 550);
    // By the HELO name only where its owner says that it is the client's. It was enough that no owner said no, so anybody
    // who said a name below iki.fi passed.
    assert_eq!(send(STRANGER, "out.forward.example", "foo@own.example").code, 250);
    assert_eq!(send(STRANGER, "b.forward.example", "foo@own.example").code, 550);
    assert_eq!(send(STRANGER, "mx.forward.example", "foo@own.example").code, 550);
    assert_eq!(send(STRANGER, "mail.iki.fi", "foo@example.com").code, 550);
    // A list for all domains replaces the usual one too, and holds beside a domain's own.
    drop(world);
    let files = [
        "_global_/forwarders/mx.forward.example",
        "example.com/checks/spf",
        "own.example/users/valid/foo",
        "own.example/checks/spf",
        "own.example/forwarders/198.51.100.90",
    ];
    let world = World::start(&zones(), &files);
    let send = |addr: &str, rcpt: &str| {
        let mut mail = mail_from("ann@bank.example");
        mail.rcpts = vec![rcpt.into()];
        world.send(addr, &mail).code
    };
    assert_eq!(send("198.51.100.78", "foo@example.com"), 250);
    assert_eq!(send("198.51.100.77", "foo@example.com"), 550);
    assert_eq!(send("198.51.100.78", "foo@own.example"), 250);
    assert_eq!(send("198.51.100.90", "foo@own.example"), 250);
}
