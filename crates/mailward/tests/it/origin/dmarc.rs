//! DMARC: the author domain's owner is asked, and his wish is followed as far as the operator lets it.

use super::{BANK, STRANGER, World, bank, field, fields, mail_from, reverse, signed_mail_from};
use crate::support::boxes;
use crate::support::client::Mail;
use crate::support::dkim;
use crate::support::gateway::Reloaded;
use crate::support::private_dns::{Zone, is_there};

const CHECK: &str = "example.com/checks/dmarc";

/// Domains whose owners wish for this and that.
fn zones() -> Vec<Zone> {
    let only = |name: &str, record: &str| Zone::new(name, &format!("_dmarc TXT \"{record}\"\n"));
    vec![
        bank("v=DMARC1; p=reject"),
        reverse(),
        only("suspect.example", "v=DMARC1; p=quarantine"),
        only("watch.example", "v=DMARC1; p=none"),
        Zone::new(
            "tree.example",
            "_dmarc TXT \"v=DMARC1; p=none; sp=quarantine; np=reject\"\nnews A 192.0.2.80\n",
        ),
        Zone::new("mailer.example", "@ TXT \"v=spf1 ip4:198.51.100.66 -all\"\n"),
    ]
}

/// A message of an author whose name is borrowed by a stranger with a domain of his own.
fn forged(author: &str) -> Mail {
    Mail {
        helo: "mx.mailer.example".into(),
        from: "eve@mailer.example".into(),
        ..mail_from(author)
    }
}

/// With another From field.
fn by(mail: Mail, from: &str) -> Mail {
    let text = String::from_utf8(mail.message).expect("text");
    let (_, rest) = text.split_once("\r\n").expect("a From field comes first");
    Mail {
        message: format!("{from}{rest}").into_bytes(),
        ..mail
    }
}

#[test]
fn a_forged_author_is_refused_and_a_proven_one_is_not() {
    if !is_there("a_forged_author_is_refused_and_a_proven_one_is_not") {
        return;
    }
    let world = World::start(&zones(), &[CHECK]);
    let said = world.send(STRANGER, &forged("ann@bank.example"));
    let text = said.text();
    assert!(said.code == 550 && text.starts_with("5.7.26 "), "{said:?}");
    assert!(
        text.contains("DMARC: not authenticated as from bank.example, whose owner asks to refuse such mail"),
        "{text}"
    );
    let copy = boxes::held(&world.gateway.spam()).remove(0).message;
    let results = field(&copy, "Authentication-Results");
    assert!(
        results.contains("spf=pass") && results.contains("dmarc=fail") && results.contains("header.from=bank.example"),
        "{results}"
    );
    let why = world.why(&said);
    assert!(why.contains("_dmarc.bank.example"), "the record is named: {why}");

    // Aligned by SPF; by DKIM, from anywhere.
    for (addr, mail) in [
        (BANK, mail_from("ann@bank.example")),
        (STRANGER, signed_mail_from("ann@bank.example")),
    ] {
        let message = world.deliver(addr, &mail);
        assert!(field(&message, "Authentication-Results").contains("dmarc=pass"));
    }
    // Without a record nobody asks for anything.
    assert_eq!(world.send(STRANGER, &forged("ann@silent.example")).code, 250);
}

#[test]
fn milder_wishes_are_followed_too() {
    if !is_there("milder_wishes_are_followed_too") {
        return;
    }
    let files = [
        CHECK,
        "tag.example/users/valid/foo",
        "tag.example/checks/dmarc=quarantine = \"tag\"",
        "none.example/users/valid/foo",
        "none.example/checks/dmarc=quarantine = \"none\"",
    ];
    let world = World::start(&zones(), &files);
    let to = |author: &str, rcpt: &str| {
        let mut mail = forged(author);
        mail.rcpts = vec![rcpt.into()];
        let message = world.deliver(STRANGER, &mail);
        let marks = ["X-Mailward-Folder", "X-Spam-Flag"].map(|name| fields(&message, name).concat());
        marks.map(|mark| mark.to_owned())
    };
    let marks = |folder: &str, flag: &str| [folder.to_owned(), flag.to_owned()];
    assert_eq!(to("ann@suspect.example", "foo@example.com"), marks("Junk", "YES"));
    assert_eq!(to("ann@suspect.example", "foo@tag.example"), marks("", "YES"));
    assert_eq!(to("ann@suspect.example", "foo@none.example"), marks("", ""));
    assert_eq!(to("ann@watch.example", "foo@example.com"), marks("", ""));
    // A subdomain that exists, and one that does not.
    assert_eq!(to("ann@news.tree.example", "foo@example.com"), marks("Junk", "YES"));
    let said = world.refused(STRANGER, &forged("ann@nosuch.tree.example"));
    assert!(said.starts_with("5.7.26 "), "{said}");
}

#[test]
fn several_authors_or_none_are_refused() {
    if !is_there("several_authors_or_none_are_refused") {
        return;
    }
    let world = World::start(&zones(), &[CHECK]);
    let send = |from: &str| world.send(BANK, &by(mail_from("ann@bank.example"), from));
    let refused = |from: &str, text: &str| {
        let reply = send(from);
        assert!(
            reply.code == 550 && reply.text().starts_with("5.7.26 ") && reply.text().contains(text),
            "{from:?}: {reply:?}"
        );
    };
    refused(
        "From: ann@bank.example, eve@other.example\r\n",
        "the message names several authors",
    );
    refused(
        "From: ann@bank.example\r\nFrom: eve@other.example\r\n",
        "the message names several authors",
    );
    refused("", "the message names no author");
    refused("From: undisclosed\r\n", "DMARC: ");
    let reply = send("From: ann@bank.example, Bob <bob@BANK.example>\r\n");
    assert_eq!(reply.code, 250, "{reply:?}");
}

#[test]
fn a_whitelist_entry_by_name_does_not_cover_a_forged_name() {
    if !is_there("a_whitelist_entry_by_name_does_not_cover_a_forged_name") {
        return;
    }
    let files = [
        CHECK,
        "example.com/whitelisted/senders/ann@bank.example",
        "example.com/whitelisted/ips/198.51.100.99",
        "spf.example/users/valid/foo",
        "spf.example/checks/spf",
        "spf.example/whitelisted/senders/ann@bank.example",
        "own.example/users/valid/foo",
        "own.example/checks/spf",
        "own.example/whitelisted/senders/ann@bank.example=forged = \"pass\"",
    ];
    let world = World::start(&zones(), &files);
    let said = world.refused(STRANGER, &mail_from("ann@bank.example"));
    assert!(said.starts_with("5.7.26 "), "{said}");
    // The author proves itself, and yet the entry goes by the reverse-path, which SPF disproves: with a known address there,
    // anybody's mail was let in.
    let mut signed = signed_mail_from("ann@bank.example");
    signed.rcpts = vec!["foo@spf.example".into()];
    let said = world.refused(STRANGER, &signed);
    assert!(said.contains("SPF failure ann@bank.example - fail"), "{said}");
    assert_eq!(world.send(BANK, &signed).code, 250);
    // An entry's own file may say otherwise.
    signed.rcpts = vec!["foo@own.example".into()];
    assert_eq!(world.send(STRANGER, &signed).code, 250);
    // Addresses are not forged.
    assert_eq!(world.send("198.51.100.99", &mail_from("ann@bank.example")).code, 250);
}

#[test]
fn a_policy_is_mended_by_those_who_are_trusted_to_seal() {
    if !is_there("a_policy_is_mended_by_those_who_are_trusted_to_seal") {
        return;
    }
    let mut all = zones();
    all.push(Zone::new("list.example", &dkim::key_record("arc")));
    let world = World::start_with(
        &all,
        &[CHECK, "other.example/users/valid/foo", "other.example/checks/dmarc"],
        |setup| setup.file("example.com/checks/dmarc", "trusted_sealers = [\"list.example\"]"),
    );
    let mail = signed_mail_from("ann@bank.example");
    let listed = [mail.message.as_slice(), b"____\r\nThe list\r\n"].concat();
    let results = "dmarc=pass header.from=bank.example; dkim=pass header.d=bank.example";
    let sealed = Mail {
        message: dkim::sealed(&listed, "list.example", "arc", results),
        from: "bounces@list.example".into(),
        helo: "mx.list.example".into(),
        ..mail.clone()
    };
    let reply = world.send(STRANGER, &sealed);
    assert_eq!(reply.code, 250, "{}", world.why(&reply));
    let results = field(&world.last(), "Authentication-Results");
    assert!(
        results.contains("arc=pass") && results.contains("dmarc=fail"),
        "{results}"
    );
    assert!(
        world
            .why(&reply)
            .contains("the trusted sealer list.example says that it passed before")
    );
    let mut elsewhere = sealed.clone();
    elsewhere.rcpts = vec!["foo@other.example".into()];
    assert_eq!(world.send(STRANGER, &elsewhere).code, 550, "this domain trusts nobody");
    let unsealed = Mail {
        message: listed,
        ..sealed
    };
    assert_eq!(world.send(STRANGER, &unsealed).code, 550);
    // For the whole server.
    drop(world);
    let world = World::start_with(&all, &[CHECK], |setup| {
        setup.set("auth.trusted_sealers", "[\"list.example\"]")
    });
    elsewhere.rcpts = vec!["foo@example.com".into()];
    assert_eq!(world.send(STRANGER, &elsewhere).code, 250);
}

#[test]
fn what_is_filed_or_only_watched_is_told_from_what_is_refused() {
    if !is_there("what_is_filed_or_only_watched_is_told_from_what_is_refused") {
        return;
    }
    let files = [
        CHECK,
        "watch.test/users/valid/foo",
        "watch.test/shadow",
        "watch.test/checks/dmarc",
    ];
    let world = World::start_with(&zones(), &files, |setup| setup.before_maildirs());
    let boxes_of = |domain: &str, sub: &str| boxes::maildir(&world.gateway.maildir(domain, "foo").join(sub)).len();
    let to = |author: &str, rcpt: &str| Mail {
        rcpts: vec![rcpt.into()],
        ..forged(author)
    };
    assert_eq!(
        world.send(STRANGER, &to("ann@suspect.example", "foo@example.com")).code,
        250
    );
    assert_eq!((boxes_of("example.com", ".Junk"), boxes_of("example.com", "")), (1, 0));
    let reply = world.send(STRANGER, &to("ann@bank.example", "foo@watch.test"));
    assert_eq!(reply.code, 250, "{reply:?}");
    assert_eq!((boxes_of("watch.test", ".Junk"), boxes_of("watch.test", "")), (0, 1));
    let report = crate::support::daemon::said(&world.gateway, &["report", "shadow"]);
    assert!(report.contains("checks/dmarc"), "{report}");
    assert!(world.why(&reply).contains("whose owner asks to refuse such mail"));
}

#[test]
fn the_operators_list_of_public_suffixes_replaces_the_one_built_in() {
    if !is_there("the_operators_list_of_public_suffixes_replaces_the_one_built_in") {
        return;
    }
    // Two houses below one suffix. Those who live in one may not speak for the other.
    let town = Zone::new(
        "town.example",
        &format!(
            "red TXT \"v=spf1 ip4:{BANK} -all\"\n_dmarc.blue TXT \"v=DMARC1; p=reject\"\n\
             _dmarc.red TXT \"v=DMARC1; p=reject\"\nbounce.red TXT \"v=spf1 ip4:{BANK} -all\"\n"
        ),
    );
    let mail = |from: &str, author: &str| Mail {
        from: from.into(),
        ..mail_from(author)
    };
    let across = mail("eve@red.town.example", "ann@blue.town.example");
    let within = mail("b@bounce.red.town.example", "ann@red.town.example");
    let world = World::start(&[town], &[CHECK]);
    assert_eq!(
        world.send(BANK, &across).code,
        250,
        "one organization, by the list built in"
    );
    assert_eq!(world.send(BANK, &within).code, 250);
    let mut world = world;
    let file = world.gateway.dir().join("suffixes");
    std::fs::write(&file, "// ours\nexample\ntown.example\n").expect("our own directory");
    let path = crate::support::gateway::quoted(&file.to_string_lossy());
    world.gateway.set("auth.public_suffix_file", &path);
    assert_eq!(world.gateway.reload(), Reloaded::Yes);
    assert_eq!(world.send(BANK, &across).code, 550);
    assert_eq!(world.send(BANK, &within).code, 250);
    // One that cannot be read changes nothing.
    std::fs::write(&file, "no..list\n").expect("our own directory");
    assert_eq!(world.gateway.reload(), Reloaded::No);
    assert_eq!(world.send(BANK, &across).code, 550);
}
