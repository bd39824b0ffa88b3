//! Whole dialogues: DATA, BDAT, XCLIENT and STARTTLS, in pieces of any size.

use crate::Input;
use crate::observer::observe;
use mail::smtp::data::BareLf;
use mail::smtp::replay::{Bodies, Manner, Record, narrow_settings, run};
use mail::smtp::server::Settings;

/// Parts inputs that arrive together; it is part of no UTF-8 text.
const PART: u8 = 0xc1;
/// So much of the octets is judged, so that no line of commands is endless.
const OCTETS_MAX: usize = 32 * 1024;
/// A reply of several lines, the longest of which lists what we offer.
const REPLY_OCTETS_MAX: usize = 1024;
/// Chunks of this many octets do not count as commands.
const LARGE_CHUNK_OCTETS: usize = 1024;

/// A dialogue comes to the same in pieces of any size; each command gets one reply, and the messages are those that
/// stand on the wire.
pub fn smtp_session(octets: &[u8]) {
    let mut input = Input(octets);
    let (piece, bits) = (input.number(), input.number());
    let rest = input.rest();
    let rest = &rest[..rest.len().min(OCTETS_MAX)];
    let inputs: Vec<&[u8]> = rest.split(|&octet| octet == PART).collect();
    let settings = settings(bits);
    let play = |piece, bodies| run(settings.clone(), inputs.iter().copied(), Manner { piece, bodies });
    let record = play(usize::MAX, Bodies::Left);
    assert_eq!(play(1, Bodies::Taken), record);
    assert_eq!(play(piece.max(1), Bodies::Taken), record);
    assert_eq!(play(piece.max(1), Bodies::Left), record);

    let output_max = (settings.commands_max as usize + 3 + rest.len() / LARGE_CHUNK_OCTETS) * REPLY_OCTETS_MAX;
    assert!(record.output.len() <= output_max, "{} octets", record.output.len());
    check_envelopes(&record, &settings);
    observe(&inputs, &record, &settings);
}

/// Narrow limits, so that short input reaches them, or wide ones, so that it gets far.
fn settings(bits: usize) -> Settings {
    // The plain model refuses what is bare.
    let narrow = Settings {
        bdat_bare_lf: BareLf::Refuse,
        ..narrow_settings()
    };
    if bits & 1 == 0 {
        return narrow;
    }
    Settings {
        size_max: 2000,
        recipients_max: 100,
        commands_max: 10_000,
        unrecognized_max: 10_000,
        errors_max: 10_000,
        text_line_max: 1000,
        ..narrow
    }
}

fn check_envelopes(record: &Record, settings: &Settings) {
    for (transaction, _) in &record.messages {
        assert!((1..=settings.recipients_max).contains(&transaction.recipients.len()));
        for path in &transaction.recipients {
            let path = path.to_string();
            let local = path.split('@').next().unwrap_or_default();
            assert!(
                !["unknown", "later", "overload"].contains(&local),
                "a refused recipient"
            );
            assert!(path.is_ascii() || transaction.params.smtputf8);
        }
        assert!(transaction.reverse_path.to_string().is_ascii() || transaction.params.smtputf8);
    }
}
