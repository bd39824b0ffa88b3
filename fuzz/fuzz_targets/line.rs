//! See `fuzz_targets::line`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fuzz_targets::line(octets));
