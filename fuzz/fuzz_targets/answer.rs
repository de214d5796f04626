//! Fuzzes what routers answer, used by schemes that ask: see `ashiato_fuzz::answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ashiato_fuzz::answer(bytes));
