//! Fuzzes domains' policies, up to what they let out: see `ashiato_fuzz::policy`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ashiato_fuzz::policy(bytes));
