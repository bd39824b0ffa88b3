//! See `fuzz_targets::letter`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fuzz_targets::letter(octets));
