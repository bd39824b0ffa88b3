//! See `fuzz_targets::data_decoder`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fuzz_targets::data_decoder(octets));
