//! See `fuzz_targets::bdat_decoder`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fuzz_targets::bdat_decoder(octets));
