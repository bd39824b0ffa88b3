//! See `fuzz_targets::spf_record`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fuzz_targets::spf_record(octets));
