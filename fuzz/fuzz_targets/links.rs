//! See `fuzz_targets::links`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fuzz_targets::links(octets));
