//! See `fuzz_targets::address`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fuzz_targets::address(octets));
