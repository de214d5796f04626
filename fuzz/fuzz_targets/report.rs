//! Fuzzes the codec of reports: see `ashiato_fuzz::report`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ashiato_fuzz::report(bytes));
