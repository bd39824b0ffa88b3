//! Which of all that moved a score is told.

use crate::content::Name;
use std::collections::HashMap;

/// Reasons worth reading, of all that pulled: whatever a message speaks of is told once, by what pulled most. Two words
/// that stand together say more than each of them, so they are told instead of one or both, unless they pulled little.
pub(super) fn told(mut pulls: Vec<(&Name, f64)>, count_max: usize) -> Vec<(&Name, f64)> {
    // What pulled about as far is told by the longest name, for two words say more than one.
    let about = |pull: &f64| pull.abs().to_bits() >> 50;
    pulls.sort_by(|(a, a_pull), (b, b_pull)| {
        let by_pull = about(b_pull).cmp(&about(a_pull));
        let by_words = b.about().count().cmp(&a.about().count());
        let by_length = b.as_str().len().cmp(&a.as_str().len());
        by_pull
            .then(by_words)
            .then(by_length)
            .then_with(|| a.as_str().cmp(b.as_str()))
    });
    let mut reasons: Vec<(&Name, f64)> = Vec::new();
    // Which reason tells of what.
    let mut tellers: HashMap<u64, usize> = HashMap::new();
    for (name, pull) in pulls {
        let mut found: Vec<usize> = name.about().filter_map(|about| tellers.get(&about).copied()).collect();
        found.dedup();
        let index = match found.first() {
            None => {
                reasons.push((name, pull));
                reasons.len() - 1
            }
            Some(&first) if found.iter().all(|&index| gives_way(reasons.get(index), name, pull)) => {
                let mut sum = pull;
                for index in found {
                    sum += reasons
                        .get_mut(index)
                        .map_or(0.0, |(_, of_word)| std::mem::take(of_word));
                }
                if let Some(reason) = reasons.get_mut(first) {
                    *reason = (name, sum);
                }
                first
            }
            Some(_) => continue,
        };
        tellers.extend(name.about().map(|about| (about, index)));
    }
    reasons.sort_by(|(a, a_pull), (b, b_pull)| {
        let by_pull = b_pull.abs().total_cmp(&a_pull.abs());
        by_pull.then_with(|| a.as_str().cmp(b.as_str()))
    });
    reasons.retain(|(_, pull)| *pull != 0.0);
    reasons.truncate(count_max);
    reasons
}

/// Whether a reason is one word, and two words may be told instead of it, which pulled so far.
fn gives_way(reason: Option<&(&Name, f64)>, words: &Name, pull: f64) -> bool {
    /// Two words that pulled less than this part of one of them tell nothing more.
    const PART: f64 = 0.125;
    let Some((word, of_word)) = reason else { return false };
    words.about().count() == 2 && word.about().count() == 1 && pull * of_word.signum() >= of_word.abs() * PART
}
