//! The figures, against counting by hand.

use super::beside::{Comparison, Other};
use super::figures::{Figures, Judged};
use super::ranking::Ranking;
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
    Figures::of(&judged(list), &Cost::default(), 1.0, None)
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
    assert_eq!(Ranking::of(&judged(&list)).curve().first(), Some(&(1.0, 0.0)));
    assert_eq!(Ranking::of(&judged(&list)).curve().last(), Some(&(0.0, 1.0)));
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

/// Compared with what another filter scored the same mail.
fn beside(ours: &[(bool, f64)], theirs: &[(bool, f64)]) -> Comparison {
    let other = Other {
        name: "other".into(),
        judged: judged(theirs),
    };
    Comparison::of(&judged(ours), &other).unwrap()
}

#[test]
fn messages_count_as_often_as_they_are_drawn() {
    // By rising score: wanted, junk, wanted and junk on a par, junk.
    let list = [(false, 0.1), (true, 0.2), (false, 0.5), (true, 0.5), (true, 0.9)];
    let ranking = Ranking::of(&judged(&list));
    let of = |times: [u32; 5]| {
        let times = |at: usize| times[at];
        (ranking.above_curve(times), ranking.missed(0.001, times))
    };
    // Of six pairs one and a half are wrong; all wanted mail is kept above 0.5, where two of three junk are missed.
    assert_eq!(of([1, 1, 1, 1, 1]), (Some(25.0), Some(200.0 / 3.0)));
    // The wanted message at 0.5 alone: wrong with the junk at 0.2 (twice) and half with that at 0.5: 2.5 of 4.
    assert_eq!(of([0, 2, 1, 1, 1]), (Some(62.5), Some(75.0)));
    // Without it nothing is wrong, and the lowest junk may be the threshold.
    assert_eq!(of([2, 1, 0, 1, 1]), (Some(0.0), Some(0.0)));
    assert_eq!((of([1, 0, 1, 0, 0]), of([0, 1, 0, 1, 0])), ((None, None), (None, None)));
}

#[test]
fn a_filter_beside_itself_differs_by_nothing() {
    let list: Vec<(bool, f64)> = (0..60).map(|n| (n % 3 == 0, f64::from(n * 7 % 31) / 31.0)).collect();
    let same = beside(&list, &list);
    assert_eq!(
        (same.above_curve.difference, same.above_curve.interval),
        (0.0, [0.0; 2])
    );
    assert_eq!(
        (same.above_curve.better_percent, same.missed.better_percent),
        (50.0, 50.0)
    );
    assert!(same.missed_later.is_none());
}

#[test]
fn what_both_find_hard_does_not_widen_the_difference() {
    // Ours is right wherever theirs is, and of ten hard wanted messages it has one more right. Whichever messages are
    // drawn, it is never worse.
    let theirs: Vec<(bool, f64)> = (0..200).map(|n| (n < 100, if n < 110 { 0.9 } else { 0.1 })).collect();
    let mut ours = theirs.clone();
    ours[105].1 = 0.1;
    let found = beside(&ours, &theirs).above_curve;
    // Ten, then nine, of a hundred wanted messages tie with all junk.
    assert!(
        (found.theirs - 5.0).abs() < 1e-9 && (found.ours - 4.5).abs() < 1e-9,
        "{found:?}"
    );
    assert!(
        (found.difference + 0.5).abs() < 1e-9 && found.interval[0] >= -2.5 && found.interval[1] <= 0.0,
        "{found:?}"
    );
    // It is drawn in 63 of 100 draws; in the others both are the same.
    assert!((found.better_percent - 81.6).abs() < 4.0, "{found:?}");
    // Each filter by itself may well be twice as good or as bad.
    let [low, high] = figures(&ours).unwrap().interval_percent;
    assert!(
        high - low > 2.0 * (found.interval[1] - found.interval[0]),
        "{low} {high} {found:?}"
    );
}

#[test]
fn a_curve_of_much_mail_is_a_short_path() {
    let list: Vec<(bool, f64)> = (0..20_000)
        .map(|n| (n % 2 == 0, f64::from(n * 7919 % 20_011)))
        .collect();
    let other = Other {
        name: "<b>&".into(),
        judged: judged(&list),
    };
    let svg = page::svg(&judged(&list), Some(&other));
    assert!(
        svg.len() < 24 * 1024 && !svg.contains("<b>") && !svg.contains('&'),
        "{}",
        svg.len()
    );
}
