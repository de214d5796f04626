//! Fuzzes maps and cases as JSON, and reconstruction over such maps: see `ashiato_fuzz::map`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ashiato_fuzz::map(bytes));
