//! The table of checks, held against the specification's order and sets.

use crate::support::outside::shared;
use judge::checks::{Check, InAll, Recommended, table};
use std::collections::BTreeMap;

/// Checks that the specification names and this version does not have.
const NOT_BUILT: [&str; 5] = ["own_domain", "nxdomain", "facts", "crowd", "networks"];

/// The words of a list: names of checks, each with what it makes of its check. What stands in parentheses is no name: it
/// says what of a check is evidence or left alone.
fn names(text: &str) -> BTreeMap<String, Recommended> {
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
        .map(|word| {
            let name = word.trim_end_matches('*');
            let kind = match word.ends_with('*') {
                true => Recommended::Evidence,
                false if text.contains(&format!("{name} (")) => Recommended::ActsInPart,
                false => Recommended::Acts,
            };
            (name.to_owned(), kind)
        })
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

fn recommended_is_as_specified(wanted: &BTreeMap<String, Recommended>) {
    for (name, kind) in wanted {
        // `clamav` is in the set only where the configuration adds it.
        if NOT_BUILT.contains(&name.as_str()) || name == "clamav" {
            continue;
        }
        let check = Check::by_name(name).unwrap_or_else(|| panic!("the specification names `{name}`"));
        let expected = match name.as_str() {
            // A missing Date is all that `date` looks at.
            "date" => Recommended::Evidence,
            _ => *kind,
        };
        assert_eq!(check.spec().recommended, expected, "`{name}`");
    }
    for spec in table() {
        let is_wanted = wanted.contains_key(spec.name) && spec.name != "clamav";
        assert_eq!(spec.recommended != Recommended::No, is_wanted, "`{}`", spec.name);
    }
    for name in NOT_BUILT {
        assert!(wanted.contains_key(name), "`{name}` is not in the specification");
        assert_eq!(Check::by_name(name), None, "`{name}` is built: take it out of the list");
    }
}
