//! What the rows that were found come to. All thresholds stand here, as integers, so that nothing is rounded.

use super::history::HistoryRow;
use super::history::Repute;
use std::collections::HashSet;

/// More than so many percent of a domain's mail must be good.
const GOOD_PERCENT: usize = 80;
/// A domain whose mail is all junk is bad for certain, once so many of its people have sent some.
const JUNK_AUTHORS: usize = 3;
/// Networks need so many messages before what they say is certain, the narrowest first.
const NETWORK_ROWS: [usize; 3] = [2, 5, 10];

/// Some rows, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    pub rows: usize,
    pub junk: usize,
}

/// What one proven domain's history says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Good,
    Bad,
    Undecided,
}

impl Count {
    pub(super) fn of(rows: &[HistoryRow]) -> Count {
        Count {
            rows: rows.len(),
            junk: rows.iter().filter(|row| row.is_junk).count(),
        }
    }

    /// Good if less than a tenth is junk, bad if more than nine tenths are.
    pub(super) fn sign(self) -> Sign {
        if 10 * self.junk < self.rows {
            Sign::Good
        } else if 10 * self.junk > 9 * self.rows {
            Sign::Bad
        } else {
            Sign::Undecided
        }
    }

    /// What a network says; `narrowness` is 0 for the narrowest mask.
    pub(super) fn of_network(self, narrowness: usize) -> (Option<Repute>, bool) {
        let repute = if 4 * self.junk < self.rows {
            Some(Repute::NotJunk)
        } else if 4 * self.junk > 3 * self.rows {
            Some(Repute::Junk)
        } else {
            None
        };
        let needed = NETWORK_ROWS.get(narrowness).copied().unwrap_or(usize::MAX);
        let is_clear = 10 * self.junk <= self.rows || 10 * self.junk >= 9 * self.rows;
        (repute, self.rows >= needed && is_clear)
    }
}

/// The newest is junk, and so is the one before, if there is one.
pub(super) fn is_lately_junk(rows: &[HistoryRow]) -> bool {
    !rows.is_empty() && rows.iter().take(2).all(|row| row.is_junk)
}

/// What the mail of a domain says of one more message from it.
pub(super) fn of_domain(rows: &[HistoryRow]) -> (Option<Repute>, bool) {
    let count = Count::of(rows);
    let good = count.rows - count.junk;
    // Whole percents: 4 of 5 is not more than 80, 5 of 6 is.
    if 100 * good / count.rows.max(1) > GOOD_PERCENT {
        (Some(Repute::NotJunk), true)
    } else if good == 0 {
        let authors: HashSet<&str> = rows.iter().map(|row| row.author_local.as_str()).collect();
        (Some(Repute::Junk), authors.len() >= JUNK_AUTHORS)
    } else {
        (None, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::Line;

    fn rows(good: usize, junk: usize, authors: usize) -> Vec<HistoryRow> {
        let row = |n: usize| HistoryRow {
            received_s: 0,
            number: 0,
            is_junk: n >= good,
            author_local: Line::reason(format!("a{}", n % authors).as_bytes()),
        };
        (0..good + junk).map(row).collect()
    }

    #[test]
    fn a_domain_is_good_past_four_fifths_in_whole_percents() {
        for (good, junk, expected) in [
            (4, 1, (None, false)),
            (16, 4, (None, false)),
            (5, 1, (Some(Repute::NotJunk), true)),
            (13, 3, (Some(Repute::NotJunk), true)),
            (1, 0, (Some(Repute::NotJunk), true)),
            (1, 19, (None, false)),
            (0, 20, (Some(Repute::Junk), false)),
        ] {
            assert_eq!(of_domain(&rows(good, junk, 2)), expected, "{good} good, {junk} junk");
        }
        assert_eq!(of_domain(&rows(0, 3, 3)), (Some(Repute::Junk), true));
        assert_eq!(of_domain(&rows(0, 2, 3)), (Some(Repute::Junk), false));
    }

    #[test]
    fn signs_are_strict_and_networks_inclusive() {
        let count = |junk, rows| Count { rows, junk };
        for (junk, rows, sign) in [
            (0, 1, Sign::Good),
            (1, 10, Sign::Undecided),
            (1, 11, Sign::Good),
            (9, 10, Sign::Undecided),
            (10, 11, Sign::Bad),
            (1, 1, Sign::Bad),
        ] {
            assert_eq!(count(junk, rows).sign(), sign, "{junk} of {rows}");
        }
        for (junk, rows, narrowness, expected) in [
            (0, 1, 0, (Some(Repute::NotJunk), false)),
            (0, 2, 0, (Some(Repute::NotJunk), true)),
            (1, 4, 0, (None, false)),
            (1, 5, 0, (Some(Repute::NotJunk), false)),
            (3, 4, 0, (None, false)),
            (4, 5, 0, (Some(Repute::Junk), false)),
            (1, 10, 2, (Some(Repute::NotJunk), true)),
            (9, 10, 2, (Some(Repute::Junk), true)),
            (4, 4, 1, (Some(Repute::Junk), false)),
            (5, 5, 1, (Some(Repute::Junk), true)),
            (9, 9, 2, (Some(Repute::Junk), false)),
        ] {
            assert_eq!(count(junk, rows).of_network(narrowness), expected, "{junk} of {rows}");
        }
    }

    #[test]
    fn the_two_newest_decide_about_an_address() {
        let mut newest = rows(1, 1, 1);
        assert!(!is_lately_junk(&newest) && !is_lately_junk(&[]));
        newest.reverse();
        assert!(!is_lately_junk(&newest) && is_lately_junk(&newest[..1]));
        assert!(is_lately_junk(&rows(0, 2, 1)));
    }
}
