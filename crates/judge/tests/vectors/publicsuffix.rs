//! The public suffix list and its own tests (<https://publicsuffix.org>).

use crate::support::vectors;
use judge::auth::org::PublicSuffixes;
use mail::Domain;
use std::fs;

/// The cases are `name registrable-domain`, with `null` for none.
#[test]
fn the_lists_own_tests_hold() {
    let Some(dir) = vectors("the_lists_own_tests_hold") else {
        return;
    };
    let dir = dir.join("lists/publicsuffix");
    let list = PublicSuffixes::parse(&fs::read_to_string(dir.join("public_suffix_list.dat")).unwrap()).unwrap();
    let cases = fs::read_to_string(dir.join("tests/tests.txt")).unwrap();
    let mut run = 0;
    for case in cases.lines().filter(|line| !line.starts_with("//")) {
        let Some((name, expected)) = case.split_once(' ') else {
            continue;
        };
        let Ok(name) = Domain::parse(name) else {
            // `.example.com` is no domain.
            assert_eq!(expected, "null", "{case}");
            continue;
        };
        for list in [&list, &PublicSuffixes::BuiltIn] {
            match Domain::parse(expected).ok().filter(|_| expected != "null") {
                Some(expected) => assert_eq!(list.organizational(&name), expected, "{case}"),
                None => assert!(list.is_public_suffix(&name), "{case}"),
            }
        }
        run += 1;
    }
    assert!(run > 60, "{run}");
}

/// The built-in list is of another day; so a few names may differ, and only a few.
#[test]
fn built_in_and_file_agree_on_all_rules() {
    let Some(dir) = vectors("built_in_and_file_agree_on_all_rules") else {
        return;
    };
    let text = fs::read_to_string(dir.join("lists/publicsuffix/public_suffix_list.dat")).unwrap();
    let list = PublicSuffixes::parse(&text).unwrap();
    let (mut same, mut different) = (0, Vec::new());
    for rule in text.lines().filter(|line| !line.is_empty() && !line.starts_with("//")) {
        let rule = rule.trim_start_matches('!').replace('*', "star");
        for name in [rule.clone(), format!("a.{rule}"), format!("b.a.{rule}")] {
            let name = Domain::parse(&name).unwrap();
            match list.organizational(&name) == PublicSuffixes::BuiltIn.organizational(&name) {
                true => same += 1,
                false => different.push(name.to_string()),
            }
        }
    }
    assert!(same > 25_000, "{same}");
    assert!(
        different.len() * 50 < same,
        "{} of {same}: {different:?}",
        different.len()
    );
}
