//! Fuzzes messages between agents, collector and operators: see `ashiato_fuzz::wire`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ashiato_fuzz::wire(bytes));
