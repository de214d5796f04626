//! Fuzzes capture files, pcap and pcapng: see `ashiato_fuzz::capture`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ashiato_fuzz::capture(bytes));
