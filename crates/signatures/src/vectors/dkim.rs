//! DKIM messages of others, with the keys that came with them. What a suite expects stands beside what is found; where
//! the two differ, [`clause`] says by which clause.

use super::mailbox::{Table, crlf, file_names, read_crlf, verify_arc, verify_dkim, words};
use super::support::vectors;
use judge::auth::arc::ArcResult;
use judge::auth::dkim::Dkim;
use judge::resolver::Trouble;
use std::path::Path;

/// All messages of mail-dkim were there by then, and those of the others that have a date in the future.
const NOW_S: i64 = 1_700_000_000;

/// `t/corpus` of Mail::DKIM: the file, what `t/verifier.t` expects, what we find, and what our reason has in it. The
/// suite's words are `pass`, `fail` (it does not stand) and `invalid` (it cannot be tried).
const MAIL_DKIM: [(&str, &str, &str, &str); 79] = [
    ("bad_1.txt", "fail", "permerror", NO_VERSION),
    ("bad_1878954.txt", "fail", "permerror", SHA1),
    ("bad_dk_1.txt", "invalid", "none", ""),
    ("bad_dk_2.txt", "invalid", "none", ""),
    ("bad_dk_3.txt", "invalid", "none", ""),
    ("bad_dk_4.txt", "invalid", "none", ""),
    ("bad_dk_5.txt", "invalid", "none", ""),
    ("bad_ietf01_1.txt", "fail", "permerror", NO_VERSION),
    ("bad_ietf01_2.txt", "fail", "permerror", NO_VERSION),
    ("bad_ietf01_3.txt", "fail", "permerror", NO_VERSION),
    (
        "badkey1_ed25519.txt",
        "invalid",
        "permerror",
        "holds no Ed25519 key of 32 octets",
    ),
    ("badkey2_ed25519.txt", "fail", "fail", "the header was changed"),
    ("badkey3_ed25519.txt", "fail", "fail", "the body was changed"),
    ("badkey4_ed25519.txt", "invalid", "permerror", "there is no key at"),
    ("badkey5_ed25519.txt", "invalid", "permerror", "is no list of tags"),
    ("badkey_1.txt", "invalid", "neutral", DRAFT),
    ("badkey_10.txt", "invalid", "permerror", SHA1),
    ("badkey_11.txt", "invalid", "permerror", "does not allow SHA-256"),
    ("badkey_12.txt", "invalid", "permerror", SHA1),
    ("badkey_13.txt", "invalid", "permerror", SHA1),
    ("badkey_14.txt", "invalid", "permerror", SHA1),
    ("badkey_15.txt", "invalid", "permerror", SHA1),
    ("badkey_2.txt", "invalid", "neutral", DRAFT),
    ("badkey_3.txt", "invalid", "neutral", DRAFT),
    ("badkey_4.txt", "invalid", "neutral", DRAFT),
    ("badkey_5.txt", "invalid", "neutral", DRAFT),
    ("badkey_6.txt", "invalid", "neutral", DRAFT),
    ("badkey_7.txt", "invalid", "neutral", DRAFT),
    ("badkey_8.txt", "invalid", "permerror", SHA1),
    ("badkey_9.txt", "invalid", "permerror", SHA1),
    ("dk_headers_1.txt", "pass", "none", ""),
    ("dk_headers_2.txt", "pass", "none", ""),
    ("dk_multiple_1.txt", "pass", "none", ""),
    ("good_1878523.txt", "pass", "permerror", SHA1),
    ("good_83176.txt", "pass", "permerror", SHA1),
    ("good_dk_1.txt", "pass", "none", ""),
    ("good_dk_2.txt", "pass", "none", ""),
    ("good_dk_3.txt", "pass", "none", ""),
    ("good_dk_4.txt", "pass", "none", ""),
    ("good_dk_5.txt", "pass", "none", ""),
    ("good_dk_6.txt", "pass", "none", ""),
    ("good_dk_7.txt", "pass", "none", ""),
    ("good_dk_gmail.txt", "pass", "none", ""),
    ("good_dk_yahoo.txt", "pass", "none", ""),
    ("good_ietf00_1.txt", "pass", "permerror", NO_VERSION),
    ("good_ietf00_2.txt", "pass", "permerror", NO_VERSION),
    ("good_ietf00_3.txt", "pass", "permerror", NO_VERSION),
    ("good_ietf00_4.txt", "pass", "permerror", NO_VERSION),
    ("good_ietf00_5.txt", "pass", "permerror", NO_VERSION),
    ("good_ietf01_1.txt", "pass", "permerror", NO_VERSION),
    ("good_ietf01_2.txt", "pass", "permerror", NO_VERSION),
    ("good_qp_1.txt", "pass", "permerror", SHA1),
    ("good_qp_2.txt", "pass", "permerror", SHA1),
    ("good_qp_3.txt", "pass", "permerror", SHA1),
    ("good_rfc4871_3.txt", "pass", "permerror", SHA1),
    ("good_rfc4871_4.txt", "pass", "permerror", SHA1),
    ("goodkey_1.txt", "pass", "permerror", SHA1),
    ("goodkey_2.txt", "pass", "permerror", SHA1),
    ("goodkey_3.txt", "pass", "permerror", SHA1),
    ("goodkey_4.txt", "pass", "permerror", SHA1),
    ("goodkey_ed25519.txt", "pass", "pass", "verifies with the Ed25519 key"),
    ("ignore_1.txt", "invalid", "neutral", "it is of another version"),
    ("ignore_2.txt", "invalid", "neutral", DRAFT),
    ("ignore_3.txt", "invalid", "neutral", DRAFT),
    ("ignore_4.txt", "invalid", "neutral", DRAFT),
    ("ignore_5.txt", "invalid", "neutral", "its q= knows no way"),
    ("ignore_6.txt", "invalid", "neutral", "its q= knows no way"),
    ("ignore_7.txt", "invalid", "permerror", SHA1),
    ("ignore_8.txt", "invalid", "permerror", SHA1),
    ("mine_ietf01_1.txt", "pass", "permerror", NO_VERSION),
    ("mine_ietf01_2.txt", "pass", "permerror", NO_VERSION),
    ("mine_ietf01_3.txt", "pass", "permerror", NO_VERSION),
    ("mine_ietf01_4.txt", "pass", "permerror", NO_VERSION),
    ("mine_ietf05_1.txt", "pass", "neutral", DRAFT),
    (
        "multiple_1.txt",
        "pass",
        "permerror permerror permerror permerror",
        NO_VERSION,
    ),
    ("multiple_2.txt", "pass", "permerror permerror permerror neutral", SHA1),
    ("no_body_1.txt", "pass", "neutral", DRAFT),
    ("no_body_2.txt", "pass", "neutral", DRAFT),
    ("no_body_3.txt", "pass", "neutral", DRAFT),
];

const NO_VERSION: &str = "its tag v= is missing";
const DRAFT: &str = "it is of another version: v=0.5";
const SHA1: &str = "rsa-sha1 proves nothing any more";

/// Why a message does not have the result that its suite expects; empty where there is no reason.
fn clause(found: &str, reason: &str) -> &'static str {
    match reason {
        // Signatures of drafts, before there was a version 1.
        NO_VERSION => "RFC 6376 §3.5: v= is REQUIRED",
        DRAFT => "RFC 6376 §3.5: v= MUST have the value 1",
        SHA1 => "RFC 8301 §3.1: rsa-sha1 MUST NOT be used for verifying",
        _ if found == "none" => "RFC 4870 is historic since RFC 4871; RFC 6376 knows DKIM-Signature only",
        _ => "",
    }
}

/// A result in the words of Mail::DKIM.
fn in_suite_words(found: &str) -> &'static str {
    match found {
        found if found.split(' ').any(|word| word == "pass") => "pass",
        "fail" => "fail",
        "none" => "none",
        _ => "invalid",
    }
}

/// The names of `FAKE_DNS.dat`: a name and a text on each line.
fn fake_dns(path: &Path) -> Table {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once(char::is_whitespace));
    pairs.fold(Table::default(), |table, (name, text)| match text.trim() {
        "NXDOMAIN" => table,
        "~~Query timed out~~" => table.with_trouble(name, Trouble::Timeout),
        "~~SERVFAIL~~" => table.with_trouble(name, Trouble::ServerFailure),
        text => table.with(name, text),
    })
}

#[test]
fn mail_dkim_corpus() {
    let Some(dir) = vectors("mail_dkim_corpus") else { return };
    let dir = dir.join("mail-dkim/t");
    let table = fake_dns(&dir.join("FAKE_DNS.dat"));
    let listed: Vec<&str> = MAIL_DKIM.iter().map(|(name, ..)| *name).collect();
    assert_eq!(file_names(&dir.join("corpus")), listed, "each file is listed");
    let mut agreed = 0;
    for (name, suite, expected, reason) in MAIL_DKIM {
        let found = verify_dkim(&read_crlf(&dir.join("corpus").join(name)), NOW_S, &table);
        assert_eq!(words(&found), expected, "{name}: {found:?}");
        check_reason(name, &found, reason);
        if in_suite_words(expected) == suite {
            agreed += 1;
        } else {
            assert_ne!(clause(expected, reason), "", "{name}: a deviation without a clause");
        }
    }
    assert_eq!(agreed, AGREED);
}

/// How many of the corpus have the result that Mail::DKIM gives them: the rest is older than RFC 6376 or RFC 8301.
const AGREED: usize = 29;

/// One of the signatures says so.
fn check_reason(name: &str, found: &[Dkim], reason: &str) {
    let is_said = found.iter().any(|found| found.why.as_str().contains(reason));
    assert!(found.is_empty() || is_said, "{name}: {found:?}");
}

/// Where Google published the keys of gmail.com, until it took them back.
const GMAIL_2012: &str = "k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA1Kd87/UeJjenpabgbFwh\
    +eBCsSTrqmwIYYvywlbhbqoo2DymndFkbjOVIPIldNs/m40KF+yzMn1skyoxcTUGCQs8g3FgD2Ap3ZB5DekAo5wMmk4wimDO+U8QzI3SD07y2+07\
    wlNWwIt8svnxgdxGkVbbhzY8i+RQ9DpSVpPbF7ykQxtKXkv/ahW3KjViiAH+ghvvIhkx4xYSIc9oSwVmAl5OctMEeWUwg8Istjqz8BZeTWbf41fb\
    Nhte7Y+YqZOwq1Sd0DbvYAD9NOZK9vlfuac0598HY+vtSBczUiKERHv1yRbcaQtZFh5wtiRrN04BLUTD21MycBX5jYchHjPY/wIDAQAB";
const GMAIL_2016: &str = "k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAviPGBk4ZB64UfSqWyAic\
    dR7lodhytae+EYRQVtKDhM+1mXjEqRtP/pDT3sBhazkmA48n2k5NJUyMEoO8nc2r6sUA+/Dom5jRBZp6qDKJOwjJ5R/OpHamlRG+YRJQqRtqEgSi\
    JWG7h7efGYWmh4URhFM9k9+rmG/CwCgwx7Et+c8OMlngaLl04/bPmfpjdEyLWyNimk761CX6KymzYiRDNz1MOJOJ7OzFaS4PFbVLn0m5mf0HVNtB\
    pPwWuCNvaFVflUYxEyblbB6h/oWOPGbzoSgtRA47SHV53SwZjIsVpbq4LxUW9IxAEwYzGcSgZ4n5Q8X8TndowsDUzoccPFGhdwIDAQAB";
/// RFC 8463 §A.2.
const BRISBANE: &str = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

/// Signed messages of dkimpy: the file, what `test_dkim.py` expects of all together, what we find, and a reason.
const DKIMPY: [(&str, bool, &str, &str); 7] = [
    (
        "ed25519test2.msg",
        true,
        "pass",
        "Ed25519 key at sed._domainkey.test.ex",
    ),
    // Its key is nowhere any more; that the body is right is seen with another.
    ("message.mbox", false, "fail", "the header was changed"),
    ("rfc6376.signed.msg", true, "pass pass", "1024-bit RSA key"),
    ("rfc6376.signed.no_t.msg", false, "fail", "the header was changed"),
    ("rfc6376.signed.rsa.msg", true, "pass", "1024-bit RSA key"),
    ("test.message.baddomain", false, "neutral", "its d= is no domain name"),
    (
        "test2.message",
        true,
        "pass",
        "2048-bit RSA key at 20120113._domainkey.gmail.com",
    ),
];

/// Key records of dkimpy, at the name that signed `rfc6376.signed.rsa.msg`: the file, what is found, a reason.
const DKIMPY_KEYS: [(&str, &str, &str); 10] = [
    ("1024_testkey_wo_markers.pub.rsa.txt", "fail", "1024-bit RSA key"),
    ("1024_testkey_wo_markers.pub.txt", "fail", "1024-bit RSA key"),
    ("2048_testkey_PKCS8.key.pub.txt", "fail", "2048-bit RSA key"),
    ("2048_testkey_wo_markers.pub.rsa.txt", "fail", "2048-bit RSA key"),
    ("2048_testkey_wo_markers.pub.txt", "fail", "2048-bit RSA key"),
    ("badk.txt", "permerror", "is for `ed25519-sha256`, not for rsa"),
    ("badversion.txt", "permerror", "is of another version: `DKIM1: g=*`"),
    ("test.txt", "pass", ""),
    // Without k=.
    ("test2.txt", "pass", ""),
    ("test_tlsrpt.txt", "permerror", "is not for mail"),
];

/// Other files: private keys, what is to be signed, and records that only differ from others.
const DKIMPY_OTHERS: [&str; 16] = [
    "1024_testkey.key",
    "2048_testkey.key",
    "2048_testkey_PKCS8.key",
    "ed25519test.dns",
    "ed25519test.key",
    "ed25519test.msg",
    "eximtest.dns",
    "rfc6376.msg",
    "rfc6376.w1258.msg",
    "rfc8032_7_1.key",
    "test.message",
    "test.private",
    "test2.private",
    "test_bad.txt",
    "test_extra.message",
    "test_nofrom.message",
];

fn line(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap().trim().to_owned()
}

#[test]
fn dkimpy_data() {
    let Some(dir) = vectors("dkimpy_data") else { return };
    let dir = dir.join("dkimpy/dkim/tests/data");
    let mut listed: Vec<&str> = DKIMPY_OTHERS.to_vec();
    listed.extend(DKIMPY.iter().map(|(name, ..)| *name));
    listed.extend(DKIMPY_KEYS.iter().map(|(name, ..)| *name));
    listed.sort_unstable();
    assert_eq!(file_names(&dir), listed, "each file is listed");
    let key = line(&dir.join("test.txt"));
    let table = Table::default()
        .with("test._domainkey.football.example.com", &key)
        .with("test._domainkey.legitimate.com(.attacker.com", &key)
        .with("2007-00._domainkey.kitterman.com", &key)
        .with("20120113._domainkey.gmail.com", GMAIL_2012)
        .with("brisbane._domainkey.football.example.com", BRISBANE)
        .with("sed._domainkey.test.ex", &line(&dir.join("eximtest.dns")));
    for (name, verifies, expected, reason) in DKIMPY {
        let found = verify_dkim(&read_crlf(&dir.join(name)), NOW_S, &table);
        assert_eq!(words(&found), expected, "{name}: {found:?}");
        assert_eq!(in_suite_words(expected) == "pass", verifies, "{name}");
        check_reason(name, &found, reason);
    }
    let message = read_crlf(&dir.join("rfc6376.signed.rsa.msg"));
    for (name, expected, reason) in DKIMPY_KEYS {
        let table = Table::default().with("test._domainkey.football.example.com", &line(&dir.join(name)));
        let found = verify_dkim(&message, NOW_S, &table);
        assert_eq!(words(&found), expected, "{name}: {found:?}");
        check_reason(name, &found, reason);
    }
    // Another exponent, which is even: no key at all.
    let table = Table::default().with("test._domainkey.football.example.com", &line(&dir.join("test_bad.txt")));
    let found = verify_dkim(&message, NOW_S, &table);
    assert_eq!(words(&found), "permerror");
    check_reason("test_bad.txt", &found, "holds no RSA key");
    // A record without a version, of another key than the one that signed.
    let table = Table::default().with("sed._domainkey.test.ex", &line(&dir.join("ed25519test.dns")));
    let found = verify_dkim(&read_crlf(&dir.join("ed25519test2.msg")), NOW_S, &table);
    assert_eq!(words(&found), "fail");
}

/// Messages of mail-auth begin with their key records, up to an empty line. `src/dkim/verify.rs` expects that the last
/// signature passes, `src/arc/verify.rs` that the chain does and one of the signatures.
const MAIL_AUTH: [(&str, &str, ArcResult); 8] = [
    ("arc/001.txt", "pass pass fail", ArcResult::Pass),
    ("arc/002.txt", "pass", ArcResult::Pass),
    ("dkim/001.txt", "pass pass", ArcResult::None),
    ("dkim/002.txt", "pass", ArcResult::None),
    ("dkim/003.txt", "pass pass", ArcResult::None),
    ("dkim/004.txt", "pass", ArcResult::None),
    ("dkim/005.txt", "pass", ArcResult::None),
    ("dkim/006.txt", "pass", ArcResult::None),
];

#[test]
fn mail_auth_resources() {
    let Some(dir) = vectors("mail_auth_resources") else {
        return;
    };
    let dir = dir.join("mail-auth/resources");
    let of = |sub: &str| {
        file_names(&dir.join(sub))
            .into_iter()
            .map(|name| format!("{sub}/{name}"))
            .collect::<Vec<_>>()
    };
    let listed: Vec<&str> = MAIL_AUTH.iter().map(|(name, ..)| *name).collect();
    assert_eq!([of("arc"), of("dkim")].concat(), listed, "each file is listed");
    for (name, expected, arc) in MAIL_AUTH {
        let text = std::fs::read_to_string(dir.join(name)).unwrap();
        let (zone, message) = text.split_once("\n\n").unwrap();
        let pairs = zone.lines().filter_map(|line| line.split_once(' '));
        let table = pairs.fold(Table::default(), |table, (name, text)| table.with(name, text));
        let message = crlf(message.as_bytes());
        // dkim/005.txt expires; the suite's own clock.
        let now_s = 1_667_843_664;
        let found = verify_dkim(&message, now_s, &table);
        assert_eq!(words(&found), expected, "{name}: {found:?}");
        let found = verify_arc(&message, now_s, &table);
        assert_eq!(found.result, arc, "{name}: {found:?}");
    }
}

/// Signed messages of authheaders, with the key `test.txt` of example.com. `test_authentication.py` expects `dkim=pass`
/// of the first two, and verifies no others: those were changed after they were signed, for DMARC's sake.
const AUTHHEADERS: [(&str, &str, &str); 7] = [
    ("test.message_signed", "pass", "1024-bit RSA key"),
    ("testcomma.message", "pass", "1024-bit RSA key"),
    ("test.message_multi", "fail", "the header was changed"),
    ("test.message_multi2", "fail", "the header was changed"),
    (
        "test.message_np1",
        "permerror",
        "there is no key at test._domainkey.example.biz",
    ),
    (
        "test.message_np2",
        "permerror",
        "there is no key at test._domainkey.example.biz",
    ),
    ("test.message_sub", "fail", "the header was changed"),
];

#[test]
fn authheaders_messages() {
    let Some(dir) = vectors("authheaders_messages") else {
        return;
    };
    let dir = dir.join("authheaders/authheaders/test");
    let table = Table::default().with("test._domainkey.example.com", &line(&dir.join("test.txt")));
    let mut signed = 0;
    for name in file_names(&dir) {
        let found = verify_dkim(&read_crlf(&dir.join(&name)), NOW_S, &table);
        let row = AUTHHEADERS.iter().find(|(listed, ..)| *listed == name);
        let (expected, reason) = row.map_or(("none", ""), |(_, expected, reason)| (*expected, *reason));
        assert_eq!(words(&found), expected, "{name}: {found:?}");
        check_reason(&name, &found, reason);
        signed += usize::from(!found.is_empty());
    }
    assert_eq!((signed, file_names(&dir).len()), (7, 14));
}

/// Messages of mailauth whose keys were only ever in the real DNS: with any key the body can be verified, since its hash
/// stands in the signature. Each signature must fail for the header, and none for the body.
const MAILAUTH: [(&str, usize); 12] = [
    ("arc-fail.eml", 2),
    ("arc-fail2.eml", 2),
    ("arc-fail3.eml", 1),
    ("arc-pass.eml", 1),
    ("arc-pass2.eml", 2),
    ("authtest.eml", 1),
    ("bimi.eml", 2),
    ("message1.eml", 0),
    ("message2.eml", 1),
    ("message3.eml", 2),
    ("message4.eml", 1),
    ("zbimi.eml", 1),
];

#[test]
fn mailauth_fixtures() {
    let Some(dir) = vectors("mailauth_fixtures") else {
        return;
    };
    let dir = dir.join("mailauth/test/fixtures");
    let message = read_crlf(&dir.join("zproov.eml"));
    let table = Table::default().with("20161025._domainkey.gmail.com", GMAIL_2016);
    assert_eq!(words(&verify_dkim(&message, NOW_S, &table)), "pass");
    let mut table = Table::default();
    for name in [
        "oct2016._domainkey.zonevs.eu",
        "oct2016._domainkey.srs3.zonevs.eu",
        "default._domainkey.ekiri.ee",
        "smtp._domainkey.out.srv.dev",
        "krs._domainkey.eu.mailgun.org",
        "smtp._domainkey.mail.projectpending.com",
        "pic._domainkey.cronweekly.ma.ttias.be",
        "zone._domainkey.zone.ee",
    ] {
        table = table.with(name, GMAIL_2016);
    }
    let messages = file_names(&dir)
        .into_iter()
        .filter(|name| name.ends_with(".eml") && name != "zproov.eml");
    assert_eq!(messages.collect::<Vec<_>>(), MAILAUTH.map(|(name, _)| name));
    for (name, count) in MAILAUTH {
        let found = verify_dkim(&read_crlf(&dir.join(name)), NOW_S, &table);
        assert_eq!(found.len(), count, "{name}");
        for found in found {
            assert!(
                found.why.as_str().contains("the header was changed"),
                "{name}: {found:?}"
            );
        }
    }
}
