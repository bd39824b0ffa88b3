//! See `fuzz_targets::command`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fuzz_targets::command(octets));
