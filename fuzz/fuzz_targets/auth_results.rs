//! See `fuzz_targets::auth_results`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fuzz_targets::auth_results(octets));
