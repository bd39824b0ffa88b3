//! See `fuzz_targets::mime_peers`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fuzz_targets::mime_peers(octets));
