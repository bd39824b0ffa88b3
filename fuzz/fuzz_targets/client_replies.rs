//! See `fuzz_targets::client_replies`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fuzz_targets::client_replies(octets));
