//! What is proven goes on top, what only we may say is taken out, and nothing that a stranger writes breaks it.

use super::{BANK, STRANGER, World, bank, field, fields, mail_from, reverse, session, signed_mail_from};
use crate::support::boxes;
use crate::support::client::Mail;
use crate::support::dkim;
use crate::support::private_dns::{Zone, is_there};

#[test]
fn proofs_stand_on_top_and_those_that_claim_to_be_ours_are_removed() {
    if !is_there("proofs_stand_on_top_and_those_that_claim_to_be_ours_are_removed") {
        return;
    }
    let world = World::start(&[bank("v=DMARC1; p=reject"), reverse()], &[]);
    let mut mail = signed_mail_from("ann@bank.example");
    let forged = "Authentication-Results: mx.example.com; dmarc=pass header.from=forged.example\r\n\
         authentication-results: MX.Example.COM 1;\r\n\tspf=pass smtp.mailfrom=forged.example\r\n\
         Authentication-Results: (a comment) \"mx.example.com\"; none\r\n\
         Authentication-Results: mx.bank.example; auth=pass smtp.auth=ann\r\n\
         X-DKIM-Result: pass\r\n\
         Received-SPF: pass (from elsewhere)\r\n";
    mail.message = [forged.as_bytes(), &mail.message].concat();
    let message = world.deliver(BANK, &mail);
    let all = boxes::headers(&message);
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(&names[..3], ["Authentication-Results", "Received-SPF", "Received"]);
    let results = fields(&message, "Authentication-Results");
    assert_eq!(results.len(), 2, "{results:?}");
    assert!(
        results[1].starts_with("mx.bank.example; auth=pass"),
        "a stranger's is kept: {results:?}"
    );
    let ours = &results[0];
    assert!(ours.starts_with("mx.example.com;"), "{ours}");
    for said in [
        "iprev=pass",
        "policy.iprev=192.0.2.25",
        "spf=pass",
        "smtp.mailfrom=ann@bank.example",
        "smtp.helo=mx.bank.example",
        "dkim=pass",
        "header.d=bank.example",
        "header.s=s1",
        "dmarc=pass",
        "header.from=bank.example",
    ] {
        assert!(ours.contains(said), "no {said} in {ours}");
    }
    assert!(!ours.contains("forged.example"));
    assert_eq!(field(&message, "X-DKIM-RESULT"), "pass");
    let spf = fields(&message, "Received-SPF").remove(0);
    assert!(
        spf.starts_with("pass ") && spf.contains("client-ip=192.0.2.25"),
        "{spf}"
    );
}

#[test]
fn a_field_that_claims_to_be_ours_is_known_however_it_is_written() {
    if !is_there("a_field_that_claims_to_be_ours_is_known_however_it_is_written") {
        return;
    }
    let world = World::start(&[bank("v=DMARC1; p=none")], &[]);
    let mail = mail_from("ann@bank.example");
    for (claim, is_ours) in [
        ("Authentication-Results:mx.example.com;claim=1", true),
        ("Authentication-Results:\r\n mx.example.com; claim=1", true),
        ("Authentication-Results : mx.example.com; claim=1", true),
        ("authentication-RESULTS\t: MX.example.com; claim=1", true),
        (
            "Authentication-Results: (a (nested) \\) comment) mx.example.com (b) 1 (c); claim=1",
            true,
        ),
        ("Authentication-Results: \"mx.example.com\"; claim=1", true),
        ("Authentication-Results: \"mx.exa\\mple.com\"; claim=1", true),
        ("Authentication-Results: mx.example.com.; claim=1", true),
        ("Authentication-Results: mx.example.com", true),
        ("Authentication-Results: mx.example.com claim=1", true),
        ("Authentication-Results: other.example.com; claim=1", false),
        ("Authentication-Results: mx.example.com.other.example; claim=1", false),
        ("Authentication-Results: ;(x); mx.example.com; claim=1", true),
        ("Received-SPF: pass (x) receiver=\"mx.exa\\mple.com\"; claim=1", true),
        ("ARC-Authentication-Results: i=1; mx.example.com; claim=1", true),
        ("ARC-Authentication-Results: i=1; other.example.com; claim=1", false),
    ] {
        let claimed = Mail {
            message: [claim.as_bytes(), b"\r\n", &mail.message].concat(),
            ..mail.clone()
        };
        let message = world.deliver(BANK, &claimed);
        let said = message_has(&message, claim);
        assert_eq!(!said, is_ours, "{claim:?}");
    }
}

/// Whether a field came through as it was written.
fn message_has(message: &[u8], field: &str) -> bool {
    String::from_utf8_lossy(message).contains(&format!("{field}\r\n"))
}

#[test]
fn our_name_is_the_one_that_the_configuration_gives() {
    if !is_there("our_name_is_the_one_that_the_configuration_gives") {
        return;
    }
    let world = World::start_with(&[bank("v=DMARC1; p=none")], &[], |setup| {
        setup.set("auth.authserv_id", "\"ours.example\"")
    });
    let mut mail = mail_from("ann@bank.example");
    let claimed = "Authentication-Results: ours.example; spf=pass\r\nAuthentication-Results: mx.example.com; none\r\n";
    mail.message = [claimed.as_bytes(), &mail.message].concat();
    let results = fields(&world.deliver(BANK, &mail), "Authentication-Results");
    assert!(
        results.len() == 2 && results[0].starts_with("ours.example;"),
        "{results:?}"
    );
    assert_eq!(results[1], "mx.example.com; none");
}

#[test]
fn hostile_words_stay_within_their_field() {
    if !is_there("hostile_words_stay_within_their_field") {
        return;
    }
    // What the owner of a record, a key, or a message writes.
    let evil = Zone::new(
        "evil.example",
        "@ TXT \"v=spf1 exp=why.evil.example -all\"\n\
         why TXT \"no\\013\\010X-Evil: 1\\013\\010\\013\\010)(; dmarc=pass\\\\ \\000\\127\"\n\
         s1._domainkey TXT \"v=DKIM1; n=\\013\\010X-Evil: 1; p=\"\n\
         _dmarc TXT \"v=DMARC1; p=none; rua=\\013\\010X-Evil: 1\"\n",
    );
    let world = World::start(&[evil, bank("v=DMARC1; p=none")], &[]);
    let senders = [
        ("ann@evil.example", "mx.evil.example"),
        ("\"a;dmarc=pass(\"@evil.example", "mx;dmarc=pass.example"),
        ("\"x\\\"; y\"@evil.example", "[192.0.2.1]"),
        ("a=b;spf=pass@evil.example", "x)dkim=pass(y"),
        ("ann@evil.example", "\"quoted\\\""),
    ];
    let plain = mail_from("ann@evil.example");
    let field_of = |value: &str| format!("DKIM-Signature: {value}\r\n");
    let signatures = [
        field_of("v=1; a=rsa-sha256; d=evil.example; s=s1; h=from; bh=AAAA; b=BBBB"),
        field_of("v=1; a=rsa-sha256; d=evil.example; s=a)(;dmarc=pass; h=from; bh=AAAA; b=\");spf=pass"),
        field_of("v=1; a=x;\r\n\ty=\u{202e}\u{7}; d=\"evil.example\"; i=\")@evil.example"),
        field_of("=;;=;v=2;\r\n d=;s=;b=;bh=;h=:::"),
    ];
    let mut delivered = 0;
    for (from, helo) in senders {
        for signature in &signatures {
            let mail = Mail {
                from: from.into(),
                helo: helo.into(),
                message: [signature.as_bytes(), &plain.message].concat(),
                ..plain.clone()
            };
            // A HELO name that the door itself refuses is not of interest here.
            let mut client = session(world.gateway.addr(), STRANGER, "mx.evil.example");
            if client.command(&format!("EHLO {helo}")).expect("a reply").code != 250 {
                continue;
            }
            let answers = client.transaction(&mail).expect("a transaction");
            let reply = answers.decisive();
            if answers.mail.as_ref().is_some_and(|reply| reply.code != 250) {
                continue;
            }
            assert_eq!(reply.code, 250, "{from} {helo}: {reply:?}");
            delivered += 1;
            is_intact(&world.last());
            let why = world.why(reply);
            assert!(!why.contains(['\u{7}', '\u{202e}', '\r']), "{why:?}");
        }
    }
    assert!(delivered >= 3 * signatures.len(), "only {delivered} came that far");
}

/// Every line of the header is short enough, is a field or goes on with one, and none is a stranger's invention.
fn is_intact(message: &[u8]) {
    let text = String::from_utf8_lossy(message);
    let (header, _) = text.split_once("\r\n\r\n").expect("a header and a body");
    for line in header.split("\r\n") {
        let name = line.split_once(':').map_or("", |(name, _)| name);
        let is_field = !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_graphic());
        assert!(line.starts_with([' ', '\t']) || is_field, "{line:?} in {header}");
        assert!(line.len() <= 998, "{} octets", line.len());
    }
    assert!(boxes::header(message, "X-Evil").is_none(), "{header}");
    assert!(
        text.contains("\r\n\r\nThe minutes are ready."),
        "the body begins where it began"
    );
    let results = fields(message, "Authentication-Results");
    assert_eq!(results.len(), 1, "{results:?}");
    let outside = without_comments_and_quotes(&results[0]);
    let words: Vec<&str> = outside.split(';').map(str::trim).collect();
    let said = |method: &str| words.iter().filter(|word| word.starts_with(method)).count();
    assert!(
        !words
            .iter()
            .any(|word| word.starts_with("dmarc=pass") || word.starts_with("spf=pass")),
        "{results:?}"
    );
    assert!(said("dmarc=") == 1 && said("spf=") <= 2, "{results:?}");
    let spf = fields(message, "Received-SPF");
    assert_eq!(spf.len(), 1, "{spf:?}");
}

/// RFC 5322 §3.2: what stands in comments and quoted strings is no structure.
fn without_comments_and_quotes(value: &str) -> String {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    let mut outside = String::new();
    for c in value.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted || depth > 0 => escaped = true,
            '"' if depth == 0 => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted && depth > 0 => depth -= 1,
            _ if quoted || depth > 0 => {}
            _ => outside.push(c),
        }
    }
    assert!(depth == 0 && !quoted, "something is open at the end: {value}");
    outside
}

#[test]
fn a_signature_is_verified_over_what_came_and_not_over_what_we_wrote() {
    if !is_there("a_signature_is_verified_over_what_came_and_not_over_what_we_wrote") {
        return;
    }
    // A gateway behind a gateway: our own fields do not break the author's signature.
    let world = World::start(&[bank("v=DMARC1; p=reject"), reverse()], &[]);
    let mail = signed_mail_from("ann@bank.example");
    let once = world.deliver(BANK, &mail);
    let again = Mail { message: once, ..mail };
    let twice = world.deliver(STRANGER, &again);
    let results = fields(&twice, "Authentication-Results");
    assert!(results.len() == 1 && results[0].contains("dkim=pass"), "{results:?}");
    // Whatever else the signer covered is his.
    let oversigned = dkim::signed(&again.message, "bank.example", "s1");
    let message = world.deliver(
        STRANGER,
        &Mail {
            message: oversigned,
            ..again
        },
    );
    assert_eq!(field(&message, "X-DKIM-RESULT"), "pass");
}
