//! See `fuzz_targets::received`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fuzz_targets::received(octets));
