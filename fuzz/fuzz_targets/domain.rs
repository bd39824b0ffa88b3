//! See `fuzz_targets::domain`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fuzz_targets::domain(octets));
