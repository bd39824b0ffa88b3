//! See `fuzz_targets::dkim_message`.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fuzz_targets::dkim_message(octets));
