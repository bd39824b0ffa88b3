//! See `fuzz_targets::content`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fuzz_targets::content(octets));
