//! Fuzzes scenario files, up to the plan: see `ashiato_fuzz::scenario`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ashiato_fuzz::scenario(bytes));
