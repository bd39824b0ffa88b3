//! What is taught is known, what is untaught was never there.

use super::*;
use mail::Line;
use proptest::prelude::*;

/// So small that many features share a slot.
const SMALL: Size = Size { words: 50, pairs: 20 };

fn message(text: &str) -> Vec<u8> {
    format!("Subject: {text}\n\n{text} and more\n").into_bytes()
}

fn features(text: &str) -> Features {
    Features::read(&message(text))
}

#[test]
fn a_dozen_lessons_tell_junk_from_wanted_mail() {
    let mut learner = Learner::new(Size::MAILBOX);
    assert!((learner.model().classify(&features("cheap pills")).probability() - 0.5).abs() < 1e-9);
    for n in 0..6 {
        assert!(!learner.model().classify(&features("x")).is_significant());
        learner.teach(features(&format!("cheap pills offer{n}")), true);
        learner.teach(features(&format!("lunch with anna{n}")), false);
    }
    let of = |text: &str| learner.model().classify(&features(text));
    assert!(
        of("cheap pills today").probability() > 0.8,
        "{:?}",
        of("cheap pills today")
    );
    assert!(of("lunch with bob").probability() < 0.2, "{:?}", of("lunch with bob"));
    assert!(of("x").is_significant());
}

#[test]
fn reasons_name_what_moved_the_score() {
    let mut model = Model::default();
    for _ in 0..5 {
        model.train(&features("cheap pills"), true);
        model.train(&features("lunch anna"), false);
    }
    let (features, names) = Features::read_named(&message("cheap lunch"));
    let pulls = Filter::of(&model).pulls(&features, &names, 4);
    let texts: Vec<(&str, bool)> = pulls.iter().map(|pull| (pull.text.as_str(), pull.milli > 0)).collect();
    // Each word is told once, wherever it stands; of two that moved it as far, the order says nothing.
    for (word, is_junk) in [("cheap", true), ("lunch", false)] {
        let of_word = texts.iter().filter(|(text, _)| text.contains(word));
        assert_eq!(
            of_word.map(|(_, is_junk)| *is_junk).collect::<Vec<_>>(),
            [is_junk],
            "{texts:?}"
        );
    }
    let all = Filter::of(&model).pulls(&features, &names, 1_000);
    assert!(all.iter().all(|pull| pull.milli != 0) && all.len() >= 2);
}

#[test]
fn words_that_stand_together_are_told_together() {
    let mut model = Model::default();
    let message = |text: &str| format!("Subject: x\n\n{text}\n").into_bytes();
    for n in 0..5 {
        model.train(
            &Features::read(&message(&format!("please send a wire transfer n{n}"))),
            true,
        );
        model.train(&Features::read(&message(&format!("please send the notes n{n}"))), false);
    }
    let (features, names) = Features::read_named(&message("a wire transfer"));
    let texts: Vec<Line> = Filter::of(&model)
        .pulls(&features, &names, 3)
        .into_iter()
        .map(|reason| reason.text)
        .collect();
    assert!(
        texts.iter().any(|text| text.as_str() == "words `wire transfer`"),
        "{texts:?}"
    );
    for word in ["wire", "transfer"] {
        assert_eq!(
            texts.iter().filter(|text| text.as_str().contains(word)).count(),
            1,
            "{texts:?}"
        );
    }
}

/// A hundred thousand copies from a stream of labels must not make counts overflow, or undo inexact.
#[test]
fn copies_of_one_message_are_counted_a_few_times_only() {
    let (junk, wanted) = (features("cheap pills"), features("lunch anna"));
    let mut model = Model::default();
    let lessons: Vec<Lesson> = (0..70_000)
        .flat_map(|_| [model.train(&junk, true), model.train(&wanted, false)])
        .collect();
    assert!(model.counted.junk < 1_000, "{:?}", model.counted);
    for (at, lesson) in lessons.into_iter().enumerate() {
        model.untrain(if at % 2 == 0 { &junk } else { &wanted }, lesson);
    }
    assert_eq!(model, Model::default());
}

/// What each lesson amounts to, after all that were gone over again.
fn teach_all(model: &mut Model, room: usize, texts: &[(String, bool)]) -> Vec<(Features, Lesson)> {
    let (mut recent, mut kept) = (Recent::new(room), Vec::<(Features, Lesson)>::new());
    for (name, (text, is_junk)) in texts.iter().enumerate() {
        let rehearsed = recent.rehearsed(model.taught());
        let again = kept.iter_mut().enumerate().filter(|(at, _)| rehearsed.contains(at));
        let again = again.map(|(_, (features, lesson))| (&*features, lesson));
        let features = features(text);
        let lesson = model.teach(&features, *is_junk, again);
        kept.push((features, lesson));
        recent.push(name);
    }
    kept
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn untraining_in_any_order_restores_the_table_bit_for_bit(
        texts in proptest::collection::vec(("[a-f]{1,2} [a-f]{1,2}", any::<bool>()), 1..30),
        order in any::<u64>(), room in 0usize..8,
    ) {
        let mut model = Model::new(SMALL);
        let (before, rest) = texts.split_at(texts.len() / 2);
        teach_all(&mut model, room, before);
        let snapshot = model.clone();
        // Lessons of before are not gone over again, so the snapshot is what is left.
        let mut kept = teach_all(&mut model, room, rest);
        kept.sort_by_key(|(_, lesson)| (i64::from(lesson.step).wrapping_mul(order as i64 | 1), lesson.is_junk));
        for (features, lesson) in kept {
            model.untrain(&features, lesson);
        }
        prop_assert!(model == snapshot);
    }

    #[test]
    fn a_model_is_the_sum_of_its_lessons_in_any_order(
        texts in proptest::collection::vec(("[a-f]{1,2} [a-f]{1,2}", any::<bool>()), 0..30), room in 0usize..8) {
        let mut model = Model::new(SMALL);
        let kept = teach_all(&mut model, room, &texts);
        let mut summed = Model::new(SMALL);
        kept.iter().rev().for_each(|(features, lesson)| summed.add(features, *lesson));
        prop_assert!(summed == model);
    }

    #[test]
    fn classifying_changes_nothing_and_says_the_same(
        texts in proptest::collection::vec(("[a-f]{1,2} [a-f]{1,2}", any::<bool>()), 0..20), asked in "[a-f]{1,2}") {
        let mut model = Model::new(SMALL);
        teach_all(&mut model, 4, &texts);
        let (before, asked) = (model.clone(), features(&asked));
        let score = model.classify(&asked);
        prop_assert_eq!(model.classify(&asked), score);
        prop_assert!((0.0..=1.0).contains(&score.probability()));
        prop_assert!(model == before);
    }
}
