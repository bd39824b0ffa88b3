//! Why a message is thought to be junk, in words: `testdata/junk/README.md` says how its files are written.

use super::{Filter, Learner, Model, Size};
use crate::content::Features;
use std::fs;
use std::path::{Path, PathBuf};

/// So many reasons are told of each message.
const REASONS: usize = 8;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/junk")
}

fn trained() -> Model {
    let text = fs::read_to_string(folder().join("training.txt")).expect("training.txt");
    let mut learner = Learner::new(Size::MAILBOX);
    let messages = text.split("\n--- ").skip(1);
    for message in messages {
        let (label, octets) = message.split_once('\n').expect("a label on a line");
        assert!(["junk", "wanted"].contains(&label), "{label}");
        learner.teach(Features::read(octets.as_bytes()), label == "junk");
    }
    let taught = learner.model().taught();
    assert_eq!((taught.junk, taught.wanted), (12, 12));
    learner.model().clone()
}

/// What is expected, as it stands above a message.
fn told(model: &Model, octets: &[u8]) -> String {
    let word = |is_junk| if is_junk { "junk" } else { "wanted" };
    let (features, names) = Features::read_named(octets);
    let mut text = format!("expect: {}\n", word(model.classify(&features).probability() >= 0.5));
    for pull in Filter::of(model).pulls(&features, &names, REASONS) {
        text += &format!("reason: {:<8}{}\n", word(pull.milli > 0), pull.text);
    }
    text
}

#[test]
fn messages_are_judged_for_reasons_that_a_postmaster_understands() {
    let model = trained();
    let mut count = 0;
    for entry in fs::read_dir(folder()).expect("testdata/junk") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "test") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a test");
        let (above, octets) = text.split_once("--- message\n").expect("a message");
        let (story, expected): (Vec<&str>, Vec<&str>) = above.lines().partition(|line| line.starts_with('#'));
        let told = told(&model, octets.as_bytes());
        if std::env::var_os("MAILWARD_TELL_AGAIN").is_some() {
            let text = format!("{}\n{told}--- message\n{octets}", story.join("\n"));
            fs::write(&path, text).expect("our own file");
        } else {
            assert_eq!(told.lines().collect::<Vec<_>>(), expected, "{}", path.display());
        }
        count += 1;
    }
    assert_eq!(count, 10, "messages in testdata/junk");
}
