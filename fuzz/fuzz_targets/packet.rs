//! Fuzzes frames through every scheme's router and observer: see `ashiato_fuzz::packet`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ashiato_fuzz::packet(bytes));
