//! ARC chains of others.

use super::mailbox::{Table, crlf, file_names, read_crlf, verify_arc};
use super::support::vectors;
use std::path::Path;
use yaml_rust2::{Yaml, YamlLoader};

/// All messages are older.
const NOW_S: i64 = 1_700_000_000;

/// What we say otherwise than the validation suite, and by which clause.
const DEVIATIONS: [(&str, &str, &str); 2] = [
    (
        "ams_fields_c_na",
        "fail",
        "RFC 8617 §4.1.2 takes over the c= of DKIM, which is simple/simple by default (RFC 6376 §3.5); the suite signed relaxed",
    ),
    (
        "ams_fields_h_empty",
        "fail",
        "RFC 8617 §4.1.2 takes over the h= of DKIM, of which RFC 6376 §5.4 says that From MUST be signed",
    ),
];

/// Tests of one name would be one; each gets the number of its line.
fn with_own_names(text: &str) -> String {
    let mut out = String::new();
    for (number, line) in text.lines().enumerate() {
        let name = line
            .strip_prefix("  ")
            .map(str::trim_end)
            .and_then(|line| line.strip_suffix(':'));
        match name.filter(|name| !name.contains([' ', '.'])) {
            Some(name) => out += &format!("  {name}@{number}:\n"),
            None => out += &format!("{line}\n"),
        }
    }
    out
}

/// Runs all of a file: of how many the suite expects `pass`, `fail` and `none`.
fn run(path: &Path) -> [usize; 3] {
    let text = std::fs::read_to_string(path).unwrap();
    let (mut counts, mut deviations) = ([0; 3], Vec::new());
    for scenario in YamlLoader::load_from_str(&with_own_names(&text)).unwrap() {
        let records = scenario["txt-records"].as_hash();
        let records = records
            .into_iter()
            .flatten()
            .filter_map(|(name, text)| name.as_str().zip(text.as_str()));
        let table = records.fold(Table::default(), |table, (name, text)| table.with(name, text));
        for (name, test) in scenario["tests"].as_hash().unwrap() {
            let name = name.as_str().unwrap().split('@').next().unwrap();
            let expected = match &test["cv"] {
                // Three where a seal says cv=fail: the suite leaves open what is then said. RFC 8617 §5.2: fail.
                Yaml::String(word) if word.trim().is_empty() => "fail".to_owned(),
                Yaml::String(word) => word.trim().to_ascii_lowercase(),
                other => panic!("{name}: {other:?}"),
            };
            counts[["pass", "fail", "none"]
                .iter()
                .position(|word| *word == expected)
                .unwrap()] += 1;
            let message = test["message"].as_str().unwrap_or_default();
            let found = verify_arc(&crlf(message.as_bytes()), NOW_S, &table);
            let known = DEVIATIONS.iter().find(|(deviation, ..)| *deviation == name);
            deviations.extend(known.map(|(name, ..)| *name));
            let expected = known.map_or(&*expected, |(_, word, _)| word);
            assert_eq!(found.result.word(), expected, "{name}: {found:?}");
        }
    }
    assert_eq!(deviations.len(), DEVIATIONS.len());
    counts
}

#[test]
fn arc_test_suite_validation() {
    let Some(dir) = vectors("arc_test_suite_validation") else {
        return;
    };
    let counts = run(&dir.join("arc_test_suite/tests/arc-draft-validation-tests.yml"));
    assert_eq!(counts.iter().sum::<usize>(), 175);
    assert_eq!(counts, [58, 112, 5]);
    // mailauth keeps a copy.
    assert_eq!(
        run(&dir.join("mailauth/test/fixtures/arc/arc-draft-validation-tests.yml")),
        counts
    );
}

/// Messages of mailauth that Google sealed, with the key that mail-auth keeps in its own tests. Which of them pass is
/// in their names, and else by `test/arc`.
const MAILAUTH: [(&str, &str, &str); 13] = [
    ("arc-fail.eml", "fail", "ARC set 2: of its seal, the sets were changed"),
    ("arc-fail2.eml", "fail", "ARC set 2: of its seal, the sets were changed"),
    (
        "arc-fail3.eml",
        "fail",
        "ARC set 2: its sealer found the chain broken (cv=fail)",
    ),
    ("arc-pass.eml", "pass", "2 ARC sets verify, the newest of google.com"),
    ("arc-pass2.eml", "pass", "2 ARC sets verify"),
    ("authtest.eml", "pass", "1 ARC set verifies"),
    ("bimi.eml", "pass", "1 ARC set verifies"),
    ("message1.eml", "none", ""),
    ("message2.eml", "none", ""),
    ("message3.eml", "pass", "1 ARC set verifies"),
    ("message4.eml", "none", ""),
    ("zbimi.eml", "pass", "1 ARC set verifies"),
    ("zproov.eml", "none", ""),
];

#[test]
fn mailauth_chains() {
    let Some(dir) = vectors("mailauth_chains") else { return };
    let table = mailauth_keys(dir);
    let dir = dir.join("mailauth/test/fixtures");
    let messages = file_names(&dir).into_iter().filter(|name| name.ends_with(".eml"));
    assert_eq!(messages.collect::<Vec<_>>(), MAILAUTH.map(|(name, ..)| name));
    for (name, expected, reason) in MAILAUTH {
        let found = verify_arc(&read_crlf(&dir.join(name)), NOW_S, &table);
        assert_eq!(found.result.word(), expected, "{name}: {found:?}");
        assert!(found.why.as_str().contains(reason), "{name}: {found:?}");
    }
}

/// The keys of those who sealed them.
fn mailauth_keys(vectors: &Path) -> Table {
    let text = std::fs::read_to_string(vectors.join("mail-auth/resources/arc/001.txt")).unwrap();
    let keys = text.split_once("\n\n").unwrap().0.lines();
    let pairs = keys.filter_map(|line| line.split_once(' '));
    pairs.fold(Table::default(), |table, (name, text)| table.with(name, text))
}

/// What Google says in a seal, as it comes; of a seal that does not verify nobody shall believe it.
#[test]
fn what_sealers_say_is_read() {
    let Some(dir) = vectors("what_sealers_say_is_read") else {
        return;
    };
    let message = read_crlf(&dir.join("mailauth/test/fixtures/zbimi.eml"));
    let found = verify_arc(&message, NOW_S, &Table::default());
    let [set] = &found.sets[..] else { panic!("{found:?}") };
    assert_eq!(
        (set.sealer.is_some(), &set.dmarc_pass, set.dkim_pass.len()),
        (true, &None, 0)
    );
    let found = verify_arc(&message, NOW_S, &mailauth_keys(dir));
    let [set] = &found.sets[..] else { panic!("{found:?}") };
    assert_eq!(set.sealer.as_ref().unwrap().as_str(), "google.com");
    assert_eq!(set.dmarc_pass.as_ref().unwrap().as_str(), "zone.ee");
    assert_eq!(set.spf_pass.as_ref().unwrap().as_str(), "zone.ee");
    assert_eq!(
        set.dkim_pass.iter().map(|domain| domain.as_str()).collect::<Vec<_>>(),
        ["zone.ee"]
    );
}
