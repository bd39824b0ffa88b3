//! Every target over its kept corpus and over mutations of it. The mutations are the same in each run, so that a
//! failure can be had again; a new one is what the coverage-guided runs are for (`scripts/fuzz`).

use fuzz_targets::{TARGETS, Target};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Mutations of each target, shared out among its seeds.
const MUTATIONS: usize = 4000;
/// A mutated input is not longer than this.
const OCTETS_MAX: usize = 4096;
/// All of the kept corpus.
const CORPUS_OCTETS_MAX: u64 = 200 * 1024;
/// What breaks parsers.
const WORDS: [&[u8]; 16] = [
    b"\r\n",
    b"\r",
    b"\n",
    b"\r\n.\r\n",
    b".",
    b"\0",
    b"\xff",
    b"\xc1",
    b" ",
    b"=",
    b"@",
    b"<>",
    b"\"",
    b"\\",
    b"+2B",
    "\u{130}".as_bytes(),
];

fn fuzz() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The kept files of a target, in the order of their names.
fn seeds(target: &str) -> Vec<PathBuf> {
    let dir = fuzz().join("corpus").join(target);
    let entries = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    found.sort();
    assert!(!found.is_empty(), "no seeds for {target}");
    found
}

/// Marsaglia's xorshift64.
struct Chance(u64);

impl Chance {
    /// Below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }

    fn mutate(&mut self, octets: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.below(4) {
            let at = self.below(octets.len() + 1);
            let end = at + self.below(octets.len() - at + 1).min(40);
            match self.below(7) {
                0 => octets.insert(at, self.below(256) as u8),
                1 if at < octets.len() => octets[at] = self.below(256) as u8,
                2 if at < octets.len() => octets[at] ^= 1 << self.below(8),
                3 => drop(octets.drain(at..end)),
                4 => {
                    let copy = octets[at..end].to_vec();
                    let to = self.below(octets.len() + 1);
                    drop(octets.splice(to..to, copy));
                }
                5 => {
                    let cut = self.below(other.len() + 1);
                    octets.truncate(at);
                    octets.extend_from_slice(&other[cut..]);
                }
                _ => {
                    let word = WORDS[self.below(WORDS.len())];
                    drop(octets.splice(at..at, word.iter().copied()));
                }
            }
        }
        octets.truncate(OCTETS_MAX);
    }
}

/// The input must be seen with the failure, because it is nowhere else.
fn run(name: &str, target: Target, octets: &[u8], origin: &Path) {
    if let Err(why) = catch_unwind(AssertUnwindSafe(|| target(octets))) {
        eprintln!(
            "{name} fails on a mutation of {}: b\"{}\"",
            origin.display(),
            octets.escape_ascii()
        );
        std::panic::resume_unwind(why);
    }
}

#[test]
fn every_target_holds_over_its_corpus_and_mutations_of_it() {
    for (n, (name, target)) in TARGETS.into_iter().enumerate() {
        let seeds = seeds(name);
        let texts: Vec<Vec<u8>> = seeds.iter().map(|path| fs::read(path).expect("a seed")).collect();
        for (path, text) in seeds.iter().zip(&texts) {
            run(name, target, text, path);
            for cut in 0..text.len().min(300) {
                run(name, target, &text[..cut], path);
            }
        }
        let mut chance = Chance(0x9e37_79b9_7f4a_7c15 + n as u64);
        for round in 0..MUTATIONS {
            let at = round % seeds.len();
            let mut octets = texts[at].clone();
            let other = &texts[chance.below(texts.len())];
            chance.mutate(&mut octets, other);
            run(name, target, &octets, &seeds[at]);
        }
    }
}

#[test]
fn each_target_is_one_of_cargo_fuzz_and_has_a_small_corpus() {
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).expect("the manifest");
    let mut octets = 0;
    for (name, _) in TARGETS {
        let source = fs::read_to_string(fuzz().join("fuzz_targets").join(format!("{name}.rs"))).expect("a binary");
        assert!(source.contains(&format!("fuzz_targets::{name}(")), "{name}");
        assert!(manifest.contains(&format!("\nname = \"{name}\"\n")), "{name}");
        octets += seeds(name)
            .iter()
            .map(|path| fs::metadata(path).expect("a seed").len())
            .sum::<u64>();
    }
    assert!(octets <= CORPUS_OCTETS_MAX, "{octets} octets");
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
    let corpora = fs::read_dir(fuzz().join("corpus")).expect("the corpus").count();
    assert_eq!(corpora, TARGETS.len());
}
