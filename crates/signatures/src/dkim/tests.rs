//! Signatures made here and read again: what passes, what does not, and which word it has.

use crate::Sealed;
use crate::fixture::*;
use judge::auth::dkim::DkimResult;
use judge::resolver::{Security, Trouble};
use mail::Message;
use proptest::prelude::*;
use std::sync::atomic::Ordering;

const MESSAGE: &str = "From: Ann <ann@news.example>\r\nTo: joe@site.example\r\nSubject: one\r\n\ttwo  three\r\n\
                       Date: Thu, 1 Jan 2026 00:00:00 +0000\r\n\r\nHello  Joe,\r\nhow are you?\r\n\r\n";

fn zone() -> Zone {
    Zone::default().with_keys("news.example")
}

/// The one result: its word and its reason.
fn one(message: &str, zone: &Zone) -> (&'static str, String) {
    let found = verify(message.as_bytes(), zone);
    assert_eq!(found.len(), 1, "{found:?}");
    (found[0].result.word(), found[0].why.to_string())
}

fn signed(change: impl FnOnce(&mut Signing)) -> String {
    let mut signing = Signing::default();
    change(&mut signing);
    sign(MESSAGE, &signing)
}

#[test]
fn what_was_signed_passes() {
    for (header, body) in [(true, true), (true, false), (false, true), (false, false)] {
        for selector in ["rsa", "ed"] {
            let message = signed(|signing| {
                (signing.forms, signing.selector) = ((header, body), selector.to_owned());
            });
            let found = &verify(message.as_bytes(), &zone())[0];
            assert_eq!(found.result, DkimResult::Pass, "{found:?}");
            assert_eq!(found.domain.as_ref().unwrap().as_str(), "news.example");
            assert_eq!(found.selector.as_str(), selector);
            assert_eq!(found.key_bits, (selector == "rsa").then_some(2048));
            assert_eq!(found.start.as_str().len(), 8);
            assert_eq!(found.security, Security::Secure);
            assert_eq!((found.identity.as_ref(), found.is_testing), (None, false));
        }
    }
    let (_, why) = one(&signed(|_| {}), &zone());
    assert_eq!(
        why,
        "signature of news.example, selector rsa: verifies with the 2048-bit RSA key at rsa._domainkey.news.example"
    );
}

#[test]
fn what_was_changed_fails_and_says_what() {
    let message = signed(|_| {});
    let (word, why) = one(&message.replace("Hello", "Hullo"), &zone());
    assert_eq!(word, "fail");
    assert_eq!(
        why,
        "signature of news.example, selector rsa: the body was changed after it was signed"
    );
    let (word, why) = one(&message.replace("one", "two"), &zone());
    assert_eq!(word, "fail");
    assert!(why.contains("the header was changed after it was signed"), "{why}");
    // Another key than the one that signed.
    let other = Zone::default().with("rsa._domainkey.news.example", &[RSA_1024]);
    assert_eq!(one(&message, &other).0, "fail");
}

#[test]
fn what_canonical_forms_pass_over_may_change() {
    let message = signed(|_| {});
    let changed = message
        .replace("Subject: one\r\n\ttwo  three\r\n", "SUBJECT :\tone two\r\n three \r\n")
        .replace("Hello  Joe,", "Hello \t Joe, ")
        .replace("you?\r\n\r\n", "you?\r\n\r\n \r\n\r\n");
    assert_eq!(one(&changed, &zone()).0, "pass");
    let message = signed(|signing| signing.forms = (false, false));
    assert_eq!(one(&format!("{message}\r\n\r\n"), &zone()).0, "pass");
    assert_eq!(one(&message.replace("two  three", "two three"), &zone()).0, "fail");
    assert_eq!(one(&message.replace("Hello  Joe", "Hello Joe"), &zone()).0, "fail");
}

#[test]
fn a_signature_without_what_it_needs_is_a_permerror() {
    let message = signed(|_| {});
    for (tag, other) in [
        ("v=1; ", ""),
        (" d=news.example;", ""),
        (" s=rsa;", ""),
        ("a=rsa-sha256; ", ""),
        ("h=From:To:Subject;", ""),
        (" bh=", " xx="),
        (" b=", " xb="),
    ] {
        let (word, why) = one(&message.replacen(tag, other, 1), &zone());
        assert_eq!(word, "permerror", "{tag}: {why}");
        assert!(why.contains("is missing"), "{why}");
    }
    let (word, why) = one(&message.replacen("s=rsa;", "s=rsa; s=rsa;", 1), &zone());
    assert_eq!(
        (word, why.as_str()),
        ("permerror", "signature of nobody: its tag s= is there twice")
    );
    let (word, why) = one(&signed(|signing| signing.names = "To:Subject".to_owned()), &zone());
    assert_eq!(word, "permerror");
    assert!(why.ends_with("it does not sign From (h=)"), "{why}");
}

#[test]
fn what_cannot_be_read_here_is_neutral() {
    let message = signed(|_| {});
    for (tag, other) in [
        ("v=1", "v=2"),
        ("a=rsa-sha256", "a=rsa-md5"),
        ("c=relaxed/relaxed", "c=nofws"),
        ("d=news.example", "d=example"),
        ("d=news.example", "d=news(.example"),
        ("s=rsa", "s=a..b"),
        ("s=rsa", "q=http; s=rsa"),
        ("s=rsa", "s=rsa; l=-1"),
        ("s=rsa", "s=rsa; t=now"),
        ("s=rsa", "s=rsa; i=nobody"),
        ("s=rsa", "s=rsa;; t=1"),
        ("bh=", "bh=AAAA"),
        (" b=", " b=*"),
    ] {
        let (word, why) = one(&message.replacen(tag, other, 1), &zone());
        assert_eq!(word, "neutral", "{other}: {why}");
    }
}

/// RFC 8301 §3.1.
#[test]
fn rsa_sha1_is_never_tried() {
    let zone = zone();
    let (word, why) = one(&signed(|_| {}).replacen("rsa-sha256", "rsa-sha1", 1), &zone);
    assert_eq!(word, "permerror");
    assert!(why.contains("rsa-sha1 proves nothing any more"), "{why}");
    assert_eq!(zone.asked.load(Ordering::Relaxed), 0);
}

#[test]
fn the_identity_must_be_of_the_domain() {
    for (identity, word) in [
        ("i=ann@news.example;", "pass"),
        ("i=@NEWS.example;", "pass"),
        ("i=an=6E@sub.news=2Eexample;", "pass"),
        ("i=ann@badnews.example;", "permerror"),
        ("i=ann@example;", "neutral"),
        ("i=ann@other.example;", "permerror"),
    ] {
        let message = signed(|signing| signing.others = format!(" {identity}"));
        assert_eq!(one(&message, &zone()).0, word, "{identity}");
    }
    let message = signed(|signing| signing.others = " i=ann=2Bx@sub.news.example;".to_owned());
    let found = &verify(message.as_bytes(), &zone())[0];
    assert_eq!(found.identity.as_ref().unwrap().as_str(), "ann+x@sub.news.example");
    let strict = Zone::default().with("rsa._domainkey.news.example", &[&format!("{}; t=y:s", rsa_record())]);
    let (word, why) = one(&message, &strict);
    assert_eq!(word, "permerror");
    assert!(why.contains("(t=s)"), "{why}");
}

#[test]
fn time_is_looked_at() {
    let times = |others: &str| one(&signed(|signing| signing.others = format!(" {others}")), &zone());
    let (word, why) = times("t=1699999000; x=1699999999;");
    assert_eq!(word, "fail");
    assert!(why.contains("it expired 1 seconds before the message came"), "{why}");
    assert_eq!(times("x=1700000000;").0, "pass");
    assert_eq!(times("t=1700000001; x=1700000001;").0, "permerror");
    assert_eq!(times("x=99999999999999999999999999999;").0, "pass");
    let (word, why) = times("t=1700003600;");
    assert_eq!(word, "pass");
    assert!(why.ends_with("dated 3600 seconds ahead"), "{why}");
}

/// RFC 6376 §8.2.
#[test]
fn a_body_signed_in_part_is_a_matter_of_policy() {
    let whole = canonical_body(MESSAGE.split_once("\r\n\r\n").unwrap().1, true).len();
    let part = |length: usize| signed(|signing| signing.length = Some(length));
    assert_eq!(one(&part(whole), &zone()).0, "pass");
    let (word, why) = one(&part(5), &zone());
    assert_eq!(word, "policy");
    assert!(
        why.ends_with(&format!(
            "only the first 5 of {whole} octets of the body are signed (l=)"
        )),
        "{why}"
    );
    assert_eq!(one(&part(0), &zone()).0, "policy");
    assert_eq!(one(&(part(whole) + "more"), &zone()).0, "policy");
    assert_eq!(one(&part(5).replace("Hello", "Hullo"), &zone()).0, "fail");
    let (word, why) = one(&part(whole + 1), &zone());
    assert_eq!(word, "fail");
    assert!(why.contains(&format!("which has only {whole}")), "{why}");
    // Nothing is signed of nothing.
    let (header, _) = MESSAGE.split_once("\r\n\r\n").unwrap();
    let empty = sign(
        &format!("{header}\r\n\r\n"),
        &Signing {
            length: Some(0),
            ..Signing::default()
        },
    );
    assert_eq!(one(&empty, &zone()).0, "pass");
}

/// RFC 6376 §8.15.
#[test]
fn a_second_author_that_is_not_signed_spoils_it() {
    let message = signed(|_| {});
    for at in ["To: joe", "DKIM-Signature"] {
        // The lowest is the one that is signed.
        let forged = message.replacen(at, &format!("From: boss@bank.example\r\n{at}"), 1);
        let word = one(&forged, &zone()).0;
        assert_eq!(word, if at == "DKIM-Signature" { "policy" } else { "fail" });
    }
    let over = signed(|signing| signing.names = "From:To:Subject:From".to_owned());
    assert_eq!(one(&over, &zone()).0, "pass");
    assert_eq!(one(&format!("From: boss@bank.example\r\n{over}"), &zone()).0, "fail");
}

/// RFC 6376 §5.4.2: from the bottom, and never the signature itself.
#[test]
fn fields_are_taken_from_the_bottom() {
    let message = format!("X: 1\r\nX: 2\r\nX: 3\r\n{MESSAGE}");
    let names = |names: &str| Signing {
        names: names.to_owned(),
        ..Signing::default()
    };
    let two = sign(&message, &names("x:From:X"));
    assert_eq!(one(&two, &zone()).0, "pass");
    assert_eq!(one(&two.replace("X: 1\r\n", ""), &zone()).0, "pass");
    assert_eq!(one(&two.replace("X: 2\r\n", ""), &zone()).0, "fail");
    assert_eq!(
        one(&two.replace("X: 2\r\nX: 3\r\n", "X: 3\r\nX: 2\r\n"), &zone()).0,
        "fail"
    );
    let signed_twice = sign(
        &sign(&message, &names("From")),
        &names("From:DKIM-Signature:DKIM-Signature:nothing:"),
    );
    let words: Vec<_> = verify(signed_twice.as_bytes(), &zone())
        .iter()
        .map(|found| found.result.word())
        .collect();
    assert_eq!(words, ["pass", "pass"]);
}

const RSA_512: &str = "p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAOJRZKczcGBWg3uo2mKqHmNFrUlR9EvMh4r4cK5i8zHbQNJU\
                       Vi6Zymyp4pZSxic5lHnsr/vREsanoQVgJh7SRssCAwEAAQ==";
const RSA_1024: &str = "v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCjVMW8mnulFTzEEhMWC09gtnyaxz9EAC/6JlicSjGx\
                        S0DRk+VmpXgwhF5bj47PEgcDzmeWCwcfwLgISmHxXUWXidQZoqovW4BeK8gR6olk8ymgSOO+HynHjvCG\
                        OTTcm5DWv5JywndedVd7re3UtKMz87MtcyzPsDFXHelniytFsQIDAQAB";

#[test]
fn key_records_are_read_as_rfc6376_says() {
    let message = signed(|_| {});
    let at = "rsa._domainkey.news.example";
    let key = rsa_record();
    let p = key.split_once("p=").unwrap().1;
    let cases: [(&[&str], &str, &str); 22] = [
        (&[&rsa_record_bare()], "pass", ""),
        (&[&format!("p={p}; x1=unknown; g=nobody; n=a note")], "pass", ""),
        (
            &[&format!("v=DKIM1; k=rsa; h=sha1:sha256; s=email; t=z; p={p}")],
            "pass",
            "",
        ),
        (&[&format!("s=chat : * ; p={}", p.replace('A', "A "))], "pass", ""),
        (&["v=spf1 -all", &key], "pass", ""),
        (&[&key, "p=; x=1"], "pass", ""),
        (&[&ed25519_record(), &key], "pass", ""),
        (
            &[&format!("v=DKIM2; p={p}")],
            "permerror",
            "is of another version: `DKIM2`",
        ),
        (
            &[&format!("k=rsa; v=DKIM1; p={p}")],
            "permerror",
            "is of another version",
        ),
        (&[&format!("v=dkim1; p={p}")], "permerror", "is of another version"),
        (&[&format!("h=sha1; p={p}")], "permerror", "does not allow SHA-256"),
        (&[&format!("s=chat; p={p}")], "permerror", "is not for mail"),
        (&[&format!("k=dsa; p={p}")], "permerror", "is for `dsa`, not for rsa"),
        (&[&ed25519_record()], "permerror", "is for `ed25519`, not for rsa"),
        (&["v=DKIM1; p="], "permerror", "says that the key is revoked"),
        (&["v=DKIM1; k=rsa"], "permerror", "has no key (p=)"),
        (&["p=***"], "permerror", "has a key that is no base64"),
        (&["p=aGVsbG8="], "permerror", "holds no RSA key"),
        (&["k=rsa; t; p=x"], "permerror", "is no list of tags: `t`"),
        (&["p=a; p=b"], "permerror", "has the tag p= twice"),
        (&[""], "permerror", "has no key (p=)"),
        (
            &[&format!("p={p}; n={}", "x".repeat(9000))],
            "permerror",
            "is longer than 8192 octets",
        ),
    ];
    for (texts, word, reason) in cases {
        let (found, why) = one(&message, &Zone::default().with(at, texts));
        assert_eq!(found, word, "{texts:?}: {why}");
        assert!(why.contains(reason), "{why}");
    }
    let (word, why) = one(&message, &Zone::default());
    assert_eq!(word, "permerror");
    assert!(why.ends_with("there is no key at rsa._domainkey.news.example"), "{why}");
    let (word, why) = one(&message, &Zone::default().with_trouble(at, Trouble::Timeout));
    assert_eq!(word, "temperror");
    assert!(
        why.ends_with("could not be had: no name server answered in time"),
        "{why}"
    );
    let ed = signed(|signing| signing.selector = "ed".to_owned());
    let short = Zone::default().with("ed._domainkey.news.example", &["k=ed25519; p=aGVsbG8="]);
    assert_eq!(one(&ed, &short).0, "permerror");
}

/// RFC 6376 §3.6.1, `t=y`: said, and left to whoever decides.
#[test]
fn a_key_that_is_tested_is_told() {
    let zone = Zone::default().with("rsa._domainkey.news.example", &[&format!("{}; t=y", rsa_record())]);
    for message in [signed(|_| {}), signed(|_| {}).replace("Hello", "Hullo")] {
        assert!(verify(message.as_bytes(), &zone)[0].is_testing);
    }
}

/// `RSAPublicKey` of a modulus that is not prime, with so many bits.
fn fake_rsa(bits: usize) -> String {
    let length = |octets: usize| match octets {
        0..=127 => vec![octets as u8],
        128..=255 => vec![0x81, octets as u8],
        _ => vec![0x82, (octets >> 8) as u8, octets as u8],
    };
    let mut modulus = vec![0xff; bits.div_ceil(8)];
    modulus[0] = 0xff >> ((8 - bits % 8) % 8);
    let modulus = [vec![0], modulus].concat();
    let numbers = [vec![2], length(modulus.len()), modulus, vec![2, 3, 1, 0, 1]].concat();
    let key = [vec![0x30], length(numbers.len()), numbers].concat();
    format!("p={}", data_encoding::BASE64.encode(&key))
}

/// RFC 8301 §3.2.
#[test]
fn keys_of_other_sizes_never_pass() {
    let message = signed(|_| {});
    for (record, bits) in [
        (RSA_512.to_owned(), 512),
        (fake_rsa(1016), 1016),
        (fake_rsa(8200), 8200),
    ] {
        let zone = Zone::default().with("rsa._domainkey.news.example", &[&record]);
        let found = &verify(message.as_bytes(), &zone)[0];
        assert_eq!(
            (found.result, found.key_bits),
            (DkimResult::Policy, Some(bits)),
            "{found:?}"
        );
        assert!(found.why.as_str().contains(&format!("{bits} bits")), "{found:?}");
    }
    for bits in [1024, 8192] {
        let zone = Zone::default().with("rsa._domainkey.news.example", &[&fake_rsa(bits)]);
        assert_eq!(one(&message, &zone).0, "fail");
    }
    let zone = Zone::default().with("rsa._domainkey.news.example", &[&fake_rsa(20_000)]);
    assert_eq!(one(&message, &zone).0, "permerror");
}

#[test]
fn many_signatures_are_bounded() {
    let mut message = MESSAGE.to_owned();
    for _ in 0..60 {
        message = sign(&message, &Signing::default());
    }
    let zone = zone();
    let found = verify(message.as_bytes(), &zone);
    let count = |result| found.iter().filter(|found| found.result == result).count();
    assert_eq!(found.len(), 50);
    assert_eq!((count(DkimResult::Pass), count(DkimResult::Policy)), (10, 40));
    assert!(
        found[10]
            .why
            .as_str()
            .ends_with("not verified, since the message has more than 10")
    );
    // One name, so one question.
    assert_eq!(zone.asked.load(Ordering::Relaxed), 1);
}

#[test]
fn signatures_are_told_apart() {
    let message = signed(|_| {});
    let value = message.split_once(" b=").unwrap().1.split_once("\r\n").unwrap().0;
    let other = format!("{}{}", &value[..20], "A".repeat(value.len() - 20));
    let twice = format!(
        "{}{message}",
        message.split_once("From: ").unwrap().0.replace(value, &other)
    );
    let found = verify(twice.as_bytes(), &zone());
    assert_ne!(found[0].start, found[1].start);
    assert!(
        found[0]
            .start
            .as_str()
            .starts_with(found[1].start.as_str().get(..20).unwrap())
    );
}

#[test]
fn what_is_huge_is_bounded() {
    let names = |count: usize| signed(|signing| signing.names = "From:".repeat(count) + "To");
    assert_eq!(one(&names(999), &zone()).0, "pass");
    let (word, why) = one(&names(10_000), &zone());
    assert_eq!(word, "permerror");
    assert!(why.contains("more than 1000 fields"), "{why}");
    let tags: String = (0..20_000).map(|n| format!(" t{n}=;")).collect();
    assert_eq!(one(&signed(|signing| signing.others = tags), &zone()).0, "neutral");
    let long = "x".repeat(200_000);
    for tag in ["v", "a", "b", "bh", "c", "d", "h", "i", "l", "q", "s", "t", "x"] {
        let found = verify(format!("DKIM-Signature: {tag}={long}\r\n{MESSAGE}").as_bytes(), &zone());
        assert_eq!(found.len(), 1, "{tag}");
        assert!(found[0].why.as_str().chars().count() <= 200);
    }
    // Many fields of one name, asked for often.
    let many = format!("{}{MESSAGE}", "X: y\r\n".repeat(9_000));
    let all = Signing {
        names: "X:".repeat(990) + "From",
        ..Signing::default()
    };
    assert_eq!(one(&sign(&many, &all), &zone()).0, "pass");
}

#[test]
fn a_message_without_signatures_needs_nothing() {
    let message = Message::parse(MESSAGE.as_bytes());
    let sealed = Sealed::read(&message);
    assert!(sealed.is_empty());
    assert!(verify(MESSAGE.as_bytes(), &Zone::default()).is_empty());
    let old = format!("DomainKey-Signature: a=rsa-sha1; q=dns; c=nofws; s=x; d=news.example; b=AAAA\r\n{MESSAGE}");
    assert!(verify(old.as_bytes(), &Zone::default()).is_empty());
}

/// Whoever judges moves between threads while keys are asked for.
#[test]
fn all_of_it_may_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    let message = Message::parse(MESSAGE.as_bytes());
    let sealed = Sealed::read(&message);
    let hasher = sealed.hasher();
    is_send(&hasher);
    let (bodies, zone) = (hasher.finish(), zone());
    is_send(&sealed);
    is_send(&super::verify(&sealed, &bodies, NOW_S, &zone));
    is_send(&crate::arc::verify(&sealed, &bodies, NOW_S, &zone));
}

/// Hashes of another message do not speak of this one.
#[test]
fn a_body_that_was_not_hashed_is_neutral() {
    let text = signed(|_| {});
    let (message, other) = (Message::parse(text.as_bytes()), Message::parse(b"A: b\r\n\r\n"));
    let sealed = Sealed::read(&message);
    let bodies = Sealed::read(&other).hasher().finish();
    let found = pollster::block_on(super::verify(&sealed, &bodies, NOW_S, &zone()));
    assert_eq!(found[0].result, DkimResult::Neutral);
}

/// Text that has everything canonical forms look at.
fn text(max: usize) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => "[a-z0-9]{1,6}".boxed(),
        2 => Just(" ".to_owned()).boxed(),
        1 => Just("\t ".to_owned()).boxed(),
        2 => Just("\r\n".to_owned()).boxed(),
        1 => Just(":;=.".to_owned()).boxed(),
    ];
    proptest::collection::vec(piece, 0..max).prop_map(|pieces| pieces.concat())
}

prop_compose! {
    fn signed_message()(subject in text(12), body in text(40), forms in any::<(bool, bool)>(), is_rsa in any::<bool>(),
        extra in 0usize..4) -> String {
        let folded = subject.replace("\r\n", "\r\n ");
        let extra: String = (0..extra).map(|n| format!("X-Note: {n}\r\n")).collect();
        let message = format!("From: a@news.example\r\n{extra}Subject: {folded}.\r\nTo : b@site.example\r\n\r\n{body}");
        let selector = if is_rsa { "rsa" } else { "ed" };
        sign(&message, &Signing {
            selector: selector.to_owned(),
            forms,
            names: "From:Subject:To:X-Note:X-Note:X-Note:From:DKIM-Signature".to_owned(),
            ..Signing::default()
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_signed_verifies_and_what_is_changed_does_not(message in signed_message(), at in any::<prop::sample::Index>(), to in 0u8..36) {
        let zone = zone();
        let found = verify(message.as_bytes(), &zone);
        prop_assert_eq!(found[0].result, DkimResult::Pass, "{:?} {:?}", found, message);
        let places: Vec<usize> = message.bytes().enumerate().filter(|(_, octet)| octet.is_ascii_alphanumeric()).map(|(at, _)| at).collect();
        let at = places[at.index(places.len())];
        let to = b"abcdefghijklmnopqrstuvwxyz0123456789"[usize::from(to)];
        let mut changed = message.clone().into_bytes();
        // The last character of b= has bits that mean nothing.
        let end = message.find("\r\nFrom:").unwrap();
        let is_free = (end - 4..end).contains(&at) || changed[at].eq_ignore_ascii_case(&to);
        changed[at] = to;
        let passes = verify(&changed, &zone).iter().any(|found| found.result == DkimResult::Pass);
        prop_assert!(is_free || !passes, "{:?}", String::from_utf8_lossy(&changed));
    }

    #[test]
    fn what_is_inserted_into_the_signed_part_does_not_pass(message in signed_message(), at in any::<prop::sample::Index>()) {
        let at = at.index(message.len() + 1);
        let mut changed = message.clone().into_bytes();
        changed.insert(at, b'x');
        let passes = verify(&changed, &zone()).iter().any(|found| found.result == DkimResult::Pass);
        prop_assert!(!passes, "{:?}", String::from_utf8_lossy(&changed));
    }

    /// Without a field that is told to be covered the signature fails, and without any other it stands.
    #[test]
    fn what_is_covered_is_what_cannot_be_taken_away(message in signed_message()) {
        let zone = zone();
        let message = ["X-Late: 1\r\nX-Later: 2\r\n", &message].concat();
        let parsed = Message::parse(message.as_bytes());
        let sealed = Sealed::read(&parsed);
        prop_assert_eq!((sealed.signatures(), sealed.covered(1)), (1, vec![]));
        let covered = sealed.covered(0);
        for (place, field) in parsed.fields().iter().enumerate() {
            let rest = message.replacen(std::str::from_utf8(field.raw()).unwrap(), "", 1);
            let passes = verify(rest.as_bytes(), &zone).iter().any(|found| found.result == DkimResult::Pass);
            prop_assert_eq!(passes, !covered.contains(&place) && !field.is("DKIM-Signature"), "{}", place);
        }
    }

    #[test]
    fn any_octets_are_read(octets in proptest::collection::vec(
        prop_oneof![Just(b'\r'), Just(b'\n'), Just(b':'), Just(b' '), Just(b';'), Just(b'='), Just(b'a'), any::<u8>()], 0..300)) {
        let zone = zone();
        for name in ["DKIM-Signature", "ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results"] {
            let message = [name.as_bytes(), b": ", &octets, b"\r\n", MESSAGE.as_bytes()].concat();
            prop_assert!(verify(&message, &zone).iter().all(|found| found.result != DkimResult::Pass));
            let found = verify_arc(&message, &zone);
            prop_assert!(found.result != judge::auth::arc::ArcResult::Pass);
        }
        verify(&octets, &zone);
        verify_arc(&octets, &zone);
    }
}
