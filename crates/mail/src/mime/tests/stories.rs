//! `testdata/mime`: messages as data, and the parts that are found in them.

use super::*;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// One line for each part.
fn told(message: &str) -> String {
    let octets = message.replace('\n', "\r\n");
    let message = Message::parse(octets.as_bytes());
    let mut out = String::new();
    for part in parts(&message) {
        let form = format!("{:?}", part.form()).to_lowercase();
        write!(out, "{} {} {form}", part.depth, part.media).unwrap();
        for (is_so, word) in [
            (part.is_attachment, "attachment"),
            (part.is_foreign, "foreign"),
            (part.is_other, "other"),
        ] {
            if is_so {
                write!(out, " {word}").unwrap();
            }
        }
        if !part.is_container() {
            write!(out, ": {}", part.text().trim_end().replace("\r\n", "|").escape_debug()).unwrap();
        }
        out.push('\n');
    }
    out
}

#[test]
fn each_message_has_the_parts_that_are_written_above_it() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/mime");
    let mut files: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "test"));
    files.sort();
    assert!(files.len() > 40);
    let mut faults = String::new();
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let (head, message) = text.split_once("--- message\n").unwrap();
        let (story, expected) = head.split_once('\n').unwrap();
        assert!(story.starts_with("# "), "{}", path.display());
        let found = told(message);
        if found != expected {
            let name = path.file_stem().unwrap().to_string_lossy();
            writeln!(faults, "=== {name}\n{found}").unwrap();
        }
    }
    assert!(faults.is_empty(), "found instead:\n{faults}");
}
