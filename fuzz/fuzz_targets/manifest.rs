//! Fuzzes manifests and beacons: see `ashiato_fuzz::manifest`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ashiato_fuzz::manifest(bytes));
