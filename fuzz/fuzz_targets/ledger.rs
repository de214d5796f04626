//! Fuzzes every scheme's ledger, decoded, merged and used to rebuild paths: see `ashiato_fuzz::ledger`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ashiato_fuzz::ledger(bytes));
