//! What a message shows, and what a filter learns from it.

use judge::auth::org::PublicSuffixes;
use judge::content::{FEATURES_MAX, Features};
use judge::junk::{Filter, Model};
use judge::links::{Friends, LinkSettings, Links};
use mail::mime::{DEPTH_MAX, PARTS_MAX, decode_words, parts};
use mail::{Message, REASON_CHARS_MAX};

/// Parts are slices of the body, in order and apart, as most readers find them; features are few, each once, the same with names as without; and a
/// lesson that is taken back was never there.
pub fn content(octets: &[u8]) {
    let message = Message::parse(octets);
    let (others, parts): (Vec<_>, Vec<_>) = parts(&message).into_iter().partition(|part| part.is_other);
    assert!(!parts.is_empty() && parts.len() <= PARTS_MAX && others.len() <= PARTS_MAX);
    let body = message.body().as_ptr_range();
    let mut end = body.start as usize;
    for part in parts.iter().chain(&others) {
        assert!(part.depth <= DEPTH_MAX && part.octets().len() <= part.raw().len() + 3);
        // What was decoded to be found stands elsewhere.
        if !part.raw().is_empty() && !part.is_other && body.contains(&part.raw().as_ptr()) {
            let start = part.raw().as_ptr() as usize;
            assert!(start >= end, "octets belong to two parts");
            end = start + part.raw().len();
        }
        // Of an octet no more than one character of three octets is made; of a few, one more for what is cut off.
        assert!(part.text().len() <= 3 * part.octets().len() + 3);
    }
    for field in message.fields() {
        assert!(decode_words(&field.value()).len() <= 3 * field.value().len() + 3);
    }
    let (features, names) = Features::read_named(octets);
    assert_eq!(Features::read(octets), features);
    assert!(features.len() <= FEATURES_MAX && features.iter().is_sorted_by(|a, b| a < b));
    learned(octets, &features, &names);
}

fn learned(octets: &[u8], features: &Features, names: &judge::content::Names) {
    // A table is large, so it is filled seldom.
    if octets.first().is_some_and(|first| first % 16 != 0) {
        return;
    }
    let mut model = Model::default();
    let other = model.train(&Features::read(b"Subject: other\n\nother"), true);
    let before = model.clone();
    let mut lesson = model.train(features, false);
    model.rehearse(features, &mut lesson);
    assert!((0.0..=1.0).contains(&model.classify(features).probability()));
    for pull in Filter::of(&model).pulls(features, names, 10) {
        assert!(pull.text.as_str().chars().count() <= REASON_CHARS_MAX && pull.milli != 0);
    }
    model.untrain(features, lesson);
    assert!(model == before, "a lesson left something behind");
    model.untrain(&Features::read(b"Subject: other\n\nother"), other);
    assert!(model == Model::default());
}

/// Few links are told of, as a message and as a picture, what is told has one line, and proofs of who sent it never make
/// it weigh more.
pub fn links(octets: &[u8]) {
    for octets in [octets, &[b"Content-Type: image/png\n\n", octets].concat()] {
        let links = Links::read(octets, &PublicSuffixes::BuiltIn, &pictures::qr_codes);
        assert!(links.findings.len() <= 20 && links.hosts.len() <= 50);
        assert!(links.findings.iter().all(|finding| !finding.signs.is_empty()));
        let settings = LinkSettings::default();
        let (best, worst) = (
            links.weigh(&Friends::All, &settings),
            links.weigh(&Friends::Nobody, &settings),
        );
        assert!(best <= worst);
        let told = links.told(&settings);
        assert_eq!(told.is_some(), worst > 0);
        assert!(told.is_none_or(|line| line.as_str().chars().count() <= REASON_CHARS_MAX));
        let stored = serde_json::to_string(&links).expect("it can be stored");
        assert_eq!(serde_json::from_str::<Links>(&stored).expect("and read back"), links);
    }
}
