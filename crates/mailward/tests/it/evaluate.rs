//! `mailward evaluate`, as somebody runs it who has an index and mail.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::gateway::mailward;

/// Ten messages of a team and ten that sell, by turns.
fn index() -> TempDir {
    let dir = TempDir::new().expect("a temporary directory");
    let mut lines = String::new();
    for n in 0..10 {
        let wanted = format!(
            "From: Ann <ann@team.example>\r\nSubject: minutes {n}\r\n\r\nThe meeting is on Monday, bring the plan.\r\n"
        );
        let junk = format!(
            "From: Win <win{n}@shop{n}.example>\r\nSubject: you won\r\n\r\nClaim your money now, cheap pills.\r\n"
        );
        fs::write(dir.path().join(format!("wanted{n}")), wanted).expect("our own directory");
        fs::write(dir.path().join(format!("junk{n}")), junk).expect("our own directory");
        lines += &format!("ham wanted{n}\nspam junk{n}\n");
    }
    fs::write(dir.path().join("index"), lines).expect("our own directory");
    dir
}

/// Standard output, standard error and exit code.
fn evaluate(dir: &Path, args: &[&str]) -> (String, String, Option<i32>) {
    let output = mailward(dir, &[&["evaluate"], args].concat(), b"");
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

#[test]
fn figures_scores_and_the_curve_are_of_the_same_mail() {
    let dir = index();
    let (text, errors, code) = evaluate(dir.path(), &["index", "--scores", "scores", "--svg", "curve.svg"]);
    assert_eq!(code, Some(0), "{errors}");
    for wanted in [
        "messages       20 (10 junk, 10 wanted)",
        "1-ROCA ",
        "junk missed ",
        "model          0.9 MiB",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    let scores = fs::read_to_string(dir.path().join("scores")).expect("scores");
    assert_eq!(
        scores.lines().filter(|line| line.starts_with("ham ")).count(),
        10,
        "{scores}"
    );
    assert_eq!(scores.lines().count(), 20);
    let svg = fs::read_to_string(dir.path().join("curve.svg")).expect("a curve");
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{svg}");

    // What was learned of the first sixteen is enough for the last four; and each run is like the others.
    let batch = || {
        let (text, errors, code) = evaluate(dir.path(), &["index", "--batch", "16", "--json"]);
        assert_eq!(code, Some(0), "{errors}");
        serde_json::from_str::<Value>(&text).expect("JSON")
    };
    let figures = batch();
    assert_eq!(
        (&figures["messages"], &figures["above_curve_percent"]),
        (&4.into(), &0.0.into())
    );
    assert_eq!(batch()["thresholds"], figures["thresholds"]);
}

#[test]
fn another_filters_scores_are_compared_message_by_message() {
    let dir = index();
    // One that ranks all mail the wrong way round.
    let scores: String = (0..20).map(|n| ["ham 1\n", "spam -1\n"][n % 2]).collect();
    fs::write(dir.path().join("worse"), &scores).expect("our own directory");
    let (text, errors, code) = evaluate(dir.path(), &["index", "--beside", "worse=worse", "--svg", "both.svg"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(
        text.contains("beside worse: ") && text.contains("better in 100.0 % of draws"),
        "{text}"
    );
    let svg = fs::read_to_string(dir.path().join("both.svg")).expect("a curve");
    assert!(
        svg.contains(">worse</text>") && svg.contains(">mailward</text>"),
        "{svg}"
    );
    let (json, errors, code) = evaluate(dir.path(), &["index", "--beside", "worse", "--json"]);
    assert_eq!(code, Some(0), "{errors}");
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["beside"]["above_curve"]["theirs"], 100.0, "{json}");

    for (scores, told) in [
        ("ham 1\n".to_owned(), "worse: 1 scores for 20 messages"),
        (
            scores.replacen("ham", "spam", 1),
            "worse:1: `spam 1`, but the index says ham",
        ),
        (
            scores.replacen("-1", "NaN", 1),
            "worse:2: neither `spam SCORE` nor `ham SCORE`: `spam NaN`",
        ),
        (scores.replacen("ham 1", "ham", 1), "worse:1: neither"),
    ] {
        fs::write(dir.path().join("worse"), scores).expect("our own directory");
        let (said, errors, code) = evaluate(dir.path(), &["index", "--beside", "worse"]);
        assert_eq!((said.as_str(), code), ("", Some(2)), "{errors}");
        assert!(errors.contains(told) && errors.contains("hint: "), "{told}: {errors}");
    }
}

#[test]
fn what_is_exported_is_what_was_read() {
    let dir = index();
    let (_, errors, code) = evaluate(dir.path(), &["index", "--hide", "subject", "--export", "shown"]);
    assert_eq!(code, Some(0), "{errors}");
    let index = fs::read_to_string(dir.path().join("shown/index")).expect("an index");
    assert!(
        index.starts_with("ham 000000.eml\nspam 000001.eml\n") && index.lines().count() == 20,
        "{index}"
    );
    let first = fs::read_to_string(dir.path().join("shown/000000.eml")).expect("a message");
    assert_eq!(
        first,
        "From: Ann <ann@team.example>\r\n\r\nThe meeting is on Monday, bring the plan.\r\n"
    );
    // Nothing is written over what is there.
    let (_, errors, code) = evaluate(dir.path(), &["index", "--export", "shown"]);
    assert!(code == Some(2) && errors.contains("shown: File exists"), "{errors}");
}

#[test]
fn what_is_no_index_is_named_with_its_line() {
    let dir = index();
    for (text, told) in [
        ("junk x\n", "other:1: neither `spam PATH` nor `ham PATH`: `junk x`"),
        ("ham wanted1\nspam nowhere\n", "nowhere: No such file"),
        ("ham wanted1\n", "both junk and wanted mail are needed"),
        ("", "both junk and wanted mail are needed"),
    ] {
        fs::write(dir.path().join("other"), text).expect("our own directory");
        let (said, errors, code) = evaluate(dir.path(), &["other"]);
        assert_eq!((said.as_str(), code), ("", Some(2)), "{text:?}: {errors}");
        assert!(errors.contains(told), "{text:?}: {errors}");
    }
    assert_eq!(evaluate(dir.path(), &["none"]).2, Some(2));
}
