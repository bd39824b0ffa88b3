//! The figures, against counting by hand.

use super::figures::{Figures, Judged, curve};
use super::*;

fn judged(list: &[(bool, f64)]) -> Vec<Judged> {
    let one = |(number, (is_junk, probability)): (usize, &(bool, f64))| Judged {
        is_junk: *is_junk,
        probability: *probability,
        number,
    };
    list.iter().enumerate().map(one).collect()
}

fn figures(list: &[(bool, f64)]) -> Option<Figures> {
    Figures::of(&judged(list), &Cost::default(), 1.0)
}

#[test]
fn the_area_is_the_share_of_pairs_in_the_wrong_order() {
    for (list, percent) in [
        (&[(true, 0.9), (false, 0.1)][..], 0.0),
        (&[(true, 0.1), (false, 0.9)], 100.0),
        (&[(true, 0.5), (false, 0.5)], 50.0),
        // Of six pairs one is wrong and one is a tie.
        (
            &[(true, 0.9), (true, 0.4), (true, 0.7), (false, 0.4), (false, 0.5)],
            25.0,
        ),
    ] {
        assert_eq!(figures(list).unwrap().above_curve_percent, percent, "{list:?}");
    }
    assert!(figures(&[(true, 0.5)]).is_none() && figures(&[]).is_none());
}

#[test]
fn mistakes_are_counted_at_each_threshold() {
    let list = [(true, 0.96), (true, 0.4), (false, 0.92), (false, 0.2)];
    let figures = figures(&list).unwrap();
    let at = |probability: f64| {
        figures
            .thresholds
            .iter()
            .find(|at| at.probability == probability)
            .unwrap()
    };
    assert_eq!((at(0.5).lost_percent, at(0.5).missed_percent), (50.0, 50.0));
    assert_eq!((at(0.95).lost_percent, at(0.95).missed_percent), (0.0, 50.0));
    assert_eq!((at(0.1).lost_percent, at(0.1).missed_percent), (100.0, 0.0));
    assert_eq!((figures.missed_percent, figures.missed_later_percent), (50.0, None));
    assert_eq!(figures.lam_percent, 50.0);
    assert_eq!(curve(&judged(&list)).first(), Some(&(1.0, 0.0)));
    assert_eq!(curve(&judged(&list)).last(), Some(&(0.0, 1.0)));
    let [low, high] = figures.interval_percent;
    assert!(low <= figures.above_curve_percent && figures.above_curve_percent <= high);
}

#[test]
fn lines_of_an_index_are_labels_and_paths() {
    let of = |line| entry(Path::new("/set"), line).map(|entry| (entry.is_junk, entry.path));
    assert_eq!(of("spam data/a b"), Some((true, "/set/data/a b".into())));
    assert_eq!(of("HAM ../x"), Some((false, "/set/../x".into())));
    assert_eq!((of("spam"), of("junk x"), of("")), (None, None, None));
}
