//! Fuzzes messages and documents between domains: see `ashiato_fuzz::rid`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ashiato_fuzz::rid(bytes));
