//! See `fuzz_targets::dmarc_record`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fuzz_targets::dmarc_record(octets));
