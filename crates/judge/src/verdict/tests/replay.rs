//! Verdicts that older versions stored: `testdata/replay/README.md` says how they were made.

use crate::evidence::{MessageFacts, RecipientFacts};
use crate::policy::Policy;
use crate::verdict::{Verdict, conclude};
use serde::Deserialize;
use std::path::Path;

/// One stored verdict, with what it was made of.
#[derive(Deserialize)]
struct Stored {
    message: MessageFacts,
    recipient: RecipientFacts,
    policy: Policy,
    verdict: Verdict,
}

/// Facts and policies as 0.1.0 wrote them are read, and lead to the verdict that 0.1.0 came to, reason by reason.
#[test]
fn what_0_1_0_stored_replays_as_it_was() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/replay/0.1.0.jsonl");
    let text = std::fs::read_to_string(file).unwrap();
    let mut count = 0;
    for (number, line) in text.lines().enumerate() {
        let stored: Stored = serde_json::from_str(line).unwrap_or_else(|error| panic!("line {}: {error}", number + 1));
        let replayed = conclude(&stored.message, &stored.recipient, &stored.policy);
        assert_eq!(replayed, stored.verdict, "line {}", number + 1);
        count += 1;
    }
    assert_eq!(count, 84);
}
