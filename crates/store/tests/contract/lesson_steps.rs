//! Whatever happens to lessons, in whatever order: they are the labels that hold, and what is taught is what a model has.

use crate::common::features;
use crate::history::{JUNK, NOT_JUNK, any_request, mailbox};
use crate::lessons::{learn, lesson, lessons, number};
use crate::{Place, block_on};
use judge::junk::Lesson;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use store::{KeptLesson, Label, LabelRequest, MailwardId, Said, Store, Taught};

/// What may happen to a mailbox, in any order.
#[derive(Debug, Clone)]
enum Step {
    Say(LabelRequest),
    /// Whoever has a model does some of what is open.
    Teach(u32),
    Fade(usize, u32),
    Reopen,
    Rebuild,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any_request().prop_map(Step::Say),
        4 => (1..4_u32).prop_map(Step::Teach),
        1 => (0..2_usize, 0..3_u32).prop_map(|(user, keep)| Step::Fade(user, keep)),
        1 => Just(Step::Reopen),
        1 => Just(Step::Rebuild),
    ]
}

type Key = (usize, MailwardId);

/// What is expected: for each delivery the greatest saying, and those of them that are lessons; and what a model has.
#[derive(Default)]
struct Expected {
    held: BTreeMap<Key, LabelRequest>,
    lessons: BTreeMap<Key, Option<Label>>,
    model: BTreeMap<Key, Lesson>,
}

impl Expected {
    fn say(&mut self, request: &LabelRequest) {
        fn rank(said: &Said) -> (i64, &str, &str, Option<Label>) {
            (said.at_s, said.source.as_str(), said.by.as_str(), said.label)
        }
        let key = (usize::from(request.mailbox == mailbox(1)), request.id);
        if let Some(held) = self.held.get(&key)
            && rank(&held.said) > rank(&request.said)
        {
            return;
        }
        self.held.insert(key, request.clone());
        if request.said.label.is_none() {
            self.lessons.remove(&key);
        } else if request.features.is_some() || self.lessons.contains_key(&key) {
            self.lessons.insert(key, request.said.label);
        }
    }

    fn fade(&mut self, user: usize, keep: u32) {
        let of_user = self.lessons.keys().filter(|key| key.0 == user);
        let mut newest: Vec<Key> = of_user.copied().collect();
        newest.sort_by_key(|key| std::cmp::Reverse((self.held[key].received_s, key.1)));
        for key in newest.iter().skip(keep as usize) {
            self.lessons.remove(key);
        }
    }

    /// Takes back and teaches as the labels say; what it adds depends on what came before.
    async fn teach(&mut self, store: &Store, limit: u32) {
        for user in 0..2 {
            let open = store.reader().open_lessons(&mailbox(user), limit).await.unwrap();
            let before = self.model.len() as i32;
            let teach = |(kept, n): (&KeptLesson, i32)| Taught {
                id: kept.id,
                before: kept.taught,
                after: kept.said.map(|said| lesson(said == Label::Junk, before * 10 + n)),
            };
            let all: Vec<Taught> = open.iter().zip(1..).map(teach).collect();
            let taken = store.teach(&mailbox(user), all.clone()).await.unwrap();
            assert!(taken.iter().all(|taken| *taken));
            for taught in all {
                let had = match taught.after {
                    Some(lesson) => self.model.insert((user, taught.id), lesson),
                    None => self.model.remove(&(user, taught.id)),
                };
                assert_eq!(had, taught.before);
            }
        }
    }

    /// The lessons are those that are expected, and what is taught is what the model has.
    async fn compare(&self, store: &Store) {
        let (mut said, mut model) = (BTreeMap::new(), BTreeMap::new());
        for user in 0..2 {
            for kept in lessons(store.reader(), &mailbox(user)).await {
                let (key, n) = ((user, kept.id), number(kept.id));
                assert_eq!(kept.features, features(n));
                assert!(kept.said.is_some() || kept.taught.is_some());
                if kept.said.is_some() {
                    assert_eq!(kept.received_s, self.held[&key].received_s);
                    said.insert(key, kept.said);
                }
                model.extend(kept.taught.map(|taught| (key, taught)));
            }
        }
        assert_eq!((&said, &model), (&self.lessons, &self.model));
        store.settle().await.unwrap();
        assert_eq!(store.reader().verify().await.unwrap().faults, Vec::<String>::new());
    }

    /// What a new model is loaded from: only what the labels say.
    async fn load(&mut self, store: &Store) {
        self.model.clear();
        for user in 0..2 {
            for kept in lessons(store.reader(), &mailbox(user)).await {
                let taught = kept.taught.map(|taught| (taught.is_junk, taught));
                if let Some((is_junk, taught)) = taught {
                    assert_eq!(kept.said, if is_junk { JUNK } else { NOT_JUNK });
                    self.model.insert((user, kept.id), taught);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn lessons_are_the_labels_that_hold_whatever_is_taught_meanwhile(steps in vec(any_step(), 0..32)) {
        for place in Place::each() {
            block_on(async {
                let (mut store, mut expected) = (place.open(), Expected::default());
                for step in &steps {
                    match step {
                        Step::Say(request) => {
                            learn(&store, [request.clone()]).await;
                            expected.say(request);
                        }
                        Step::Teach(limit) => expected.teach(&store, *limit).await,
                        Step::Fade(user, keep) => {
                            store.fade(&mailbox(*user), *keep).await.unwrap();
                            expected.fade(*user, *keep);
                        }
                        Step::Reopen => {
                            drop(store);
                            store = place.open();
                            expected.load(&store).await;
                        }
                        Step::Rebuild => {
                            store.rebuild().await.unwrap();
                            expected.model.clear();
                        }
                    }
                    expected.compare(&store).await;
                }
            });
        }
    }
}
