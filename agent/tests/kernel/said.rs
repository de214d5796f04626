//! What the agent logs, gathered for tests that look for it.

use std::io;
use std::sync::{Mutex, Once};
use std::time::Duration;

static SAID: Mutex<Vec<u8>> = Mutex::new(vec![]);
static START: Once = Once::new();

struct Ear;

impl io::Write for Ear {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        SAID.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Begins to listen.
pub(crate) fn listen() {
    START.call_once(|| tracing_subscriber::fmt().with_ansi(false).with_writer(|| Ear).init());
}

/// Whether a line with all these words was logged, or is within a second.
pub(crate) fn said(words: &[&str]) -> bool {
    (0..100).any(|n| {
        std::thread::sleep(Duration::from_millis(if n == 0 { 0 } else { 10 }));
        let text = String::from_utf8_lossy(&SAID.lock().unwrap()).into_owned();
        text.lines().any(|line| words.iter().all(|word| line.contains(word)))
    })
}
