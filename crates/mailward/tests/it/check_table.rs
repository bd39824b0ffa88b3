//! The table of checks, held against the specification's order and sets.

use crate::support::outside::shared;
use judge::checks::{Check, InAll, Recommended, table};
use std::collections::BTreeMap;

/// Where the table is not yet what the specification says, each with the reason. What makes it true takes the line away.
const DIFFERENT: [(&str, &str); 2] = [
    (
        "address",
        "acts on bounces without From too: evidence only for those comes later",
    ),
    (
        "spf",
        "acts where DMARC passes and on permanent errors too: sparing those comes later",
    ),
];

/// Checks that the specification names and this version does not have.
const NOT_BUILT: [&str; 5] = ["own_domain", "nxdomain", "facts", "crowd", "networks"];

/// The words of a list: names of checks, with whether a star follows. What stands in parentheses is no name.
fn names(text: &str) -> BTreeMap<String, bool> {
    let mut plain = String::new();
    let mut depth = 0;
    for c in text.chars() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        if depth == 0 && c != ')' {
            plain.push(c);
        }
    }
    let plain = plain.replace("as in `all`", "");
    let words = plain.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '*'));
    words
        .filter(|word| !word.is_empty() && !["and", "with"].contains(word))
        .map(|word| (word.trim_end_matches('*').to_owned(), word.ends_with('*')))
        .collect()
}

/// The text between two others.
fn between<'a>(page: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = page
        .split_once(start)
        .unwrap_or_else(|| panic!("the page has no {start:?}"));
    rest.split_once(end)
        .unwrap_or_else(|| panic!("nothing ends with {end:?}"))
        .0
}

#[test]
fn the_table_says_what_the_specification_says() {
    let Some(path) = shared("the_table_says_what_the_specification_says", "spec/judgement.md") else {
        return;
    };
    let page = std::fs::read_to_string(path).expect("the page");
    let order = between(&page, "## 3. One order, for every door\n", "\n- A whitelist hit");
    for spec in table() {
        let number = spec.place as u8;
        let place = between(order, &format!("{number} "), if number == 11 { ">\n" } else { " >" }).to_lowercase();
        let word = match number {
            5 => "plain checks",
            6 => "rate",
            8 => "virus",
            9 => "dmarc",
            10 => "reputation",
            11 => "spf (soft)fail and reverse name without history",
            12 => "greylisting",
            _ => "content and links",
        };
        assert!(
            place.contains(word),
            "place {number} is {place:?}, and `{}` stands there",
            spec.name
        );
    }
    let all = names(between(&page, "for ever the list of ms-lite: ", ";"));
    let ours = |kind: InAll| {
        table()
            .iter()
            .filter(move |spec| spec.in_all == kind)
            .map(|spec| spec.name)
    };
    assert_eq!(
        all.keys()
            .map(String::as_str)
            .collect::<std::collections::BTreeSet<_>>(),
        ours(InAll::Always).collect()
    );
    for added in ["rdns", "clamav"] {
        assert!(ours(InAll::IfAdded).any(|name| name == added), "{added}");
    }
    recommended_is_as_specified(&names(between(&page, "- `recommended` = ", "; * = evidence only")));
}

fn recommended_is_as_specified(wanted: &BTreeMap<String, bool>) {
    for (name, is_evidence) in wanted {
        // A missing Date is all that `date` looks at.
        let is_evidence = *is_evidence || name == "date";
        // `clamav` is in the set only where the configuration adds it.
        if NOT_BUILT.contains(&name.as_str()) || name == "clamav" {
            continue;
        }
        let check = Check::by_name(name).unwrap_or_else(|| panic!("the specification names `{name}`"));
        let expected = match is_evidence {
            true => Recommended::Evidence,
            false => Recommended::Acts,
        };
        let is_different = DIFFERENT.iter().any(|(different, _)| different == name);
        // A plain name may still be qualified in words: those are listed as different, and act.
        let found = check.spec().recommended;
        assert!(
            found == expected || is_different && found == Recommended::Acts,
            "`{name}`: {found:?}"
        );
    }
    for spec in table() {
        let is_wanted = wanted.contains_key(spec.name) && spec.name != "clamav";
        assert_eq!(spec.recommended != Recommended::No, is_wanted, "`{}`", spec.name);
    }
    for name in NOT_BUILT {
        assert!(wanted.contains_key(name), "`{name}` is not in the specification");
        assert_eq!(Check::by_name(name), None, "`{name}` is built: take it out of the list");
    }
    for (name, why) in DIFFERENT {
        assert!(wanted.contains_key(name), "`{name}` ({why})");
    }
}
