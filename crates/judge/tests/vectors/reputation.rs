//! The acceptance cases for reputation: what the table says in each, or what is recommended instead.

use crate::support::{missing, shared_dir};
use judge::reputation::{Case, Outcome, QUESTIONS_MAX};
use pollster::block_on;

/// As many cases as there were when this was written; there may be more.
const CASES: usize = 53;

#[test]
fn every_case_for_reputation_holds() {
    let path = shared_dir().join("acceptance/reputation-cases.json");
    if !path.is_file() {
        return missing("every_case_for_reputation_holds", &path);
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let cases: Vec<Case> = serde_json::from_str(&text).unwrap();
    assert!(cases.len() >= CASES, "only {} cases", cases.len());
    let mut faults = Vec::new();
    for case in &cases {
        assert_eq!(case.unknown_keys(), [], "{}", case.id);
        let standing = block_on(case.play()).unwrap();
        assert!(standing.walk.len() <= QUESTIONS_MAX);
        let (found, expected) = (Outcome::from(&standing), case.expected());
        if found != expected {
            faults.push(format!(
                "{}: {found}, not {expected}: {}\n{standing:?}",
                case.id, case.title
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // The two quirks for which another reading is recommended.
    let original = |case: &&Case| case.original().is_some_and(|original| original != case.expected());
    assert!(cases.iter().filter(original).count() >= 2);
}
