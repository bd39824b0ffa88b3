//! Where features are collected.

use super::{FEATURES_MAX, Feature, Features, Kind, Name, Names};
use xxhash_rust::xxh3::xxh3_64;

/// So many words before a word are paired with it. Five are usual (OSB); those farther off gave nothing here.
const WINDOW: usize = 2;

pub(super) struct Sink {
    found: Vec<Feature>,
    names: Option<Names>,
    text: String,
    /// The last words of the running text, the newest first.
    before: [u64; WINDOW],
    /// The same in words, if names are asked for.
    before_words: [String; WINDOW],
}

impl Sink {
    pub fn new() -> Sink {
        Sink {
            found: Vec::with_capacity(2048),
            names: None,
            text: String::new(),
            before: [0; WINDOW],
            before_words: Default::default(),
        }
    }

    pub fn with_names() -> Sink {
        Sink {
            names: Some(Names::new()),
            ..Sink::new()
        }
    }

    /// A word of a place: `subject`, `from`; the empty place is the visible text.
    pub fn word(&mut self, place: &str, word: &str) {
        self.add(Kind::Word, place, word);
    }

    /// Something about how the message is made.
    pub fn shape(&mut self, what: &str, value: &str) {
        self.add(Kind::Shape, what, value);
    }

    /// A word of running text, which stands together with those before it.
    pub fn running(&mut self, place: &str, word: &str) {
        let hash = self.add(Kind::Word, place, word);
        for (at, kind) in [Kind::Pair, Kind::Apart].into_iter().enumerate() {
            let before = self.before.get(at).copied().unwrap_or_default();
            if before == 0 || self.is_full() {
                continue;
            }
            let feature = Feature::new(kind, pair(kind, before, hash));
            self.found.push(feature);
            if let Some(names) = &mut self.names {
                let before = self.before_words.get(at).map_or("", String::as_str);
                names
                    .entry(feature)
                    .or_insert_with(|| Name::pair(place, before, word, kind == Kind::Apart));
            }
        }
        self.before.rotate_right(1);
        if let Some(first) = self.before.first_mut() {
            *first = hash;
        }
        if self.names.is_some() {
            self.before_words.rotate_right(1);
            if let Some(first) = self.before_words.first_mut() {
                word.clone_into(first);
            }
        }
    }

    /// What follows stands together with nothing before it.
    pub fn break_off(&mut self) {
        self.before = [0; WINDOW];
    }

    /// Whether nothing more is taken.
    pub fn is_full(&self) -> bool {
        self.found.len() >= FEATURES_MAX
    }

    pub fn finish(self) -> (Features, Names) {
        let mut found = self.found;
        found.sort_unstable();
        found.dedup();
        (Features(found.into_boxed_slice()), self.names.unwrap_or_default())
    }

    fn add(&mut self, kind: Kind, place: &str, word: &str) -> u64 {
        self.text.clear();
        self.text.push_str(place);
        self.text.push('\0');
        self.text.push_str(word);
        let hash = xxh3_64(self.text.as_bytes());
        if self.is_full() {
            return hash;
        }
        let feature = Feature::new(kind, hash);
        self.found.push(feature);
        if let Some(names) = &mut self.names {
            names.entry(feature).or_insert_with(|| match kind {
                Kind::Shape => Name::shape(place, word),
                _ => Name::word(place, word),
            });
        }
        hash
    }
}

/// What a word is to its place, as a number.
pub(super) fn hash_of(place: &str, word: &str) -> u64 {
    xxh3_64([place, "\0", word].concat().as_bytes())
}

/// Two words and how far apart they are, mixed so that all bits of all three decide (the finalizer of splitmix64).
fn pair(kind: Kind, before: u64, word: u64) -> u64 {
    let mut mixed = before.rotate_left(kind as u32) ^ word.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// A number's size, roughly.
pub(super) fn magnitude(number: usize) -> String {
    match number {
        0..=3 => number.to_string(),
        _ => format!("2^{}", number.ilog2()),
    }
}
