//! `mailward reputation replay`: what is said of a file of cases, and the exit code.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::gateway::mailward;
use crate::support::outside;

fn replay(args: &[&str]) -> (String, String, i32) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let output = mailward(dir.path(), &[&["reputation", "replay"], args].concat(), b"");
    let left = fs::read_dir(dir.path()).expect("a directory").count();
    assert_eq!(left, 0, "it leaves nothing behind");
    let text = |octets: Vec<u8>| String::from_utf8(octets).expect("UTF-8");
    let code = output.status.code().expect("it ended by itself");
    (text(output.stdout), text(output.stderr), code)
}

fn ours() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/reputation/cases.json");
    path.to_str().expect("a path in UTF-8").to_owned()
}

/// Each case as JSON.
fn cases(path: &str) -> (Vec<Value>, i32) {
    let (said, _, code) = replay(&["--json", path]);
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    (said.lines().map(parse).collect(), code)
}

#[test]
fn our_cases_for_reputation_hold_and_reach_every_method() {
    let (said, errors, code) = replay(&[&ours()]);
    assert_eq!((code, &*errors), (0, ""), "{said}");
    assert!(said.ends_with("\n\n23 cases, all as expected\n"), "{said}");
    let (cases, code) = cases(&ours());
    assert_eq!((cases.len(), code), (23, 0));
    for method in judge::reputation::Method::ALL {
        let is_reached = cases.iter().any(|case| case["found"]["method"] == method.word());
        assert!(is_reached, "{method}");
    }
    assert!(
        cases
            .iter()
            .all(|case| case["same"] == true && case["found"] == case["expected"])
    );
    let recommended = cases.iter().filter(|case| case["original"].is_object()).count();
    assert_eq!(recommended, 1);
}

#[test]
fn the_shared_cases_for_reputation_hold() {
    let Some(path) = outside::shared(
        "the_shared_cases_for_reputation_hold",
        "acceptance/reputation-cases.json",
    ) else {
        return;
    };
    let (cases, code) = cases(path.to_str().expect("a path in UTF-8"));
    let differing: Vec<&Value> = cases.iter().filter(|case| case["same"] != true).collect();
    assert_eq!(code, 0, "{differing:?}");
    assert!(differing.is_empty() && cases.len() >= 53, "{} cases", cases.len());
    outside::say(&format!("cases for reputation: {} in all, all hold", cases.len()));
}

#[test]
fn a_case_that_ends_otherwise_is_told_with_its_walk() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("cases.json");
    let path = path.to_str().expect("a path in UTF-8");
    let text = fs::read_to_string(ours()).expect("our own file");
    let expected = |conclusive| format!("\"conclusive\": {conclusive}, \"method\": \"msgtofull\"");
    let text = text.replace(&expected(true), &expected(false));
    fs::write(
        path,
        text.replace("\"title\": \"The owner wrote to him", "\"titel\": \"x"),
    )
    .expect("a file");
    let (said, errors, code) = replay(&[path]);
    assert_eq!(code, 1, "{said}");
    assert_eq!(
        errors,
        format!("warning: {path}: case `answered`: no such key: `titel`\n")
    );
    let at = said.find("DIFFERS").expect("a case that differs");
    let lines: Vec<&str> = said[at..].lines().map(str::trim).collect();
    let said_of_it = [
        "DIFFERS  answered            not junk, conclusive (msgtofull)",
        "expected: not junk, inconclusive (msgtofull)",
        "row 1   mail of bob@mill.example, not proven, of the last 3 years: none; go on",
        "row 2   mail of bob@mill.example, proven, of the last 3 years: none; go on",
        "row 3   mail to bob@mill.example in the last 3 years: yes; the owner of the mailbox wrote to them: not junk, \
         conclusive",
    ];
    assert_eq!(lines[..5], said_of_it);
    assert!(said.ends_with("\n\n23 cases, 1 ends otherwise\n"), "{said}");
    let (cases, code) = cases(path);
    assert_eq!(
        (cases.iter().filter(|case| case["same"] == false).count(), code),
        (1, 1)
    );
}

#[test]
fn a_file_that_holds_no_cases_is_refused_with_the_place() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("cases\x1b[31m.json");
    let path = path.to_str().expect("a path in UTF-8");
    let shown = path.replace('\x1b', " ");
    let text = fs::read_to_string(ours()).expect("our own file");
    for (octets, told) in [
        (
            text.replacen("192.0.2.7", "192.0.2.777", 1).into_bytes(),
            ":5:167: invalid IP address syntax: `192.0.2.777`",
        ),
        (b"[".to_vec(), ":1:1: EOF while parsing a list"),
        (
            b"[\n  7\n]".to_vec(),
            ":2:3: invalid type: integer `7`, expected a case",
        ),
        (b"[]".to_vec(), ": there is no case in it"),
        (b"[\xff]".to_vec(), ": not UTF-8, from octet 1 on"),
    ] {
        fs::write(path, &octets).expect("a file");
        let (said, errors, code) = replay(&[path]);
        assert_eq!((code, &*said), (2, ""));
        let hint = "hint: `mailward reputation replay --help` says how a case is written";
        assert_eq!(errors, format!("error: {shown}{told}\n{hint}\n"));
    }
    let (_, errors, code) = replay(&["/no/such/file"]);
    assert_eq!(code, 2);
    assert!(errors.starts_with("error: /no/such/file: No such file"), "{errors}");
    let (_, errors, code) = replay(&["/dev/zero"]);
    assert_eq!(code, 2);
    assert!(errors.contains("more than 67108864 octets"), "{errors}");
}
