//! See `fuzz_targets::header`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fuzz_targets::header(octets));
