//! The line between one agent and the collector, where a fault will cut it: a relay in the run's control
//! namespace. While it is cut, connections break and new ones find nobody.

use super::space;
use anyhow::{Context, Result, anyhow};
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often the relay looks for callers.
const GLANCE: Duration = Duration::from_millis(5);

/// A relay. Its connections break when this is dropped.
#[derive(Debug)]
pub(crate) struct Line {
    /// Where the agent calls.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    end: AtomicBool,
    cut: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Both ends of every connection.
    open: Vec<TcpStream>,
    /// When the first connection came about after the last cut.
    back: Option<Instant>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // No step under the lock leaves it half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hang_up(&self) {
        for stream in self.state().open.drain(..) {
            // One that is closed already is what was wanted.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Line {
    /// A line to a collector, from the loopback of a namespace.
    ///
    /// # Errors
    /// When nobody can listen there.
    pub(crate) fn open(space: &Path, collector: SocketAddr) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let (opened, opens) = mpsc::channel();
        let (space, relay) = (space.to_path_buf(), shared.clone());
        let work = move || {
            let listen = || {
                space::enter(&space)?;
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
                listener.set_nonblocking(true)?;
                Ok((listener.local_addr()?, listener))
            };
            let listening: Result<_> = listen();
            match listening {
                Ok((address, listener)) => {
                    let _ = opened.send(Ok(address));
                    serve(&listener, collector, &relay);
                }
                Err(e) => drop(opened.send(Err(e))),
            }
        };
        let thread = thread::Builder::new().name("line".into()).spawn(work);
        let thread = Some(thread.context("no thread for a line to the collector")?);
        let said = opens.recv().unwrap_or_else(|_| Err(anyhow!("it broke off")));
        let address = said.context("cannot make a line to the collector")?;
        Ok(Self { address, shared, thread })
    }

    /// Cuts it.
    pub(crate) fn cut(&self) {
        self.shared.cut.store(true, Ordering::SeqCst);
        self.shared.state().back = None;
        self.shared.hang_up();
    }

    /// Mends it.
    pub(crate) fn mend(&self) {
        self.shared.cut.store(false, Ordering::SeqCst);
    }

    /// When the agent was back after the last cut.
    pub(crate) fn back(&self) -> Option<Instant> {
        self.shared.state().back
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.shared.end.store(true, Ordering::SeqCst);
        self.shared.hang_up();
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been printed already.
            let _ = thread.join();
        }
    }
}

fn serve(listener: &TcpListener, collector: SocketAddr, shared: &Arc<Shared>) {
    while !shared.end.load(Ordering::SeqCst) {
        match listener.accept() {
            Ok((agent, _)) if !shared.cut.load(Ordering::SeqCst) => {
                if let Err(e) = join(agent, collector, shared) {
                    tracing::debug!("a caller did not reach the collector: {e}");
                }
            }
            // Whoever calls a cut line is hung up on.
            Ok(_) => {}
            Err(_) => thread::sleep(GLANCE),
        }
    }
    shared.hang_up();
}

/// Joins an agent's connection with one to the collector, until either end closes.
fn join(agent: TcpStream, collector: SocketAddr, shared: &Arc<Shared>) -> io::Result<()> {
    agent.set_nonblocking(false)?;
    let there = TcpStream::connect(collector)?;
    agent.set_nodelay(true)?;
    there.set_nodelay(true)?;
    let mut state = shared.state();
    if shared.cut.load(Ordering::SeqCst) {
        return Ok(());
    }
    state.back.get_or_insert_with(Instant::now);
    state.open.extend([agent.try_clone()?, there.try_clone()?]);
    drop(state);
    for (from, to) in [(agent.try_clone()?, there.try_clone()?), (there, agent)] {
        thread::Builder::new().name("line copies".into()).spawn(move || copy(from, to))?;
    }
    Ok(())
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    // However it ends, the other direction ends with it.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn a_cut_line_breaks_and_a_mended_one_carries_again() {
        let there = TcpListener::bind("127.0.0.1:0").unwrap();
        let mine = Path::new("/proc/thread-self/ns/net");
        let line = Line::open(mine, there.local_addr().unwrap()).unwrap();
        let speak = |word: &[u8]| {
            let mut near = TcpStream::connect(line.address).unwrap();
            let (mut far, _) = there.accept().unwrap();
            near.write_all(word).unwrap();
            let mut heard = vec![0; word.len()];
            far.read_exact(&mut heard).unwrap();
            assert_eq!(heard, word);
            (near, far)
        };
        let (mut near, mut far) = speak(b"before");
        line.cut();
        assert_eq!(near.read(&mut [0; 1]).unwrap_or(0) + far.read(&mut [0; 1]).unwrap_or(0), 0);
        let mut refused = TcpStream::connect(line.address).unwrap();
        assert_eq!(refused.read(&mut [0; 1]).unwrap_or(0), 0);
        assert!(line.back().is_none());
        line.mend();
        let _both = speak(b"after");
        assert!(line.back().is_some());
    }
}
