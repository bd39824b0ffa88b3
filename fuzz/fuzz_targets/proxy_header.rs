//! See `fuzz_targets::proxy_header`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fuzz_targets::proxy_header(octets));
