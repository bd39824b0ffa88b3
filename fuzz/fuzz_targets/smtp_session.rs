//! See `fuzz_targets::smtp_session`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fuzz_targets::smtp_session(octets));
