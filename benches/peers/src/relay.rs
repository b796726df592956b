//! A relay between a program and the service. It counts round trips and bytes, and can close the
//! connections as a service does.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::ops::Sub;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

#[derive(Clone, Copy, Default)]
pub struct Counts {
    /// One for each connection, and one for each answer to what the program sent.
    pub round_trips: u32,
    pub sent: u32,
    pub received: u32,
}

impl Sub for Counts {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            round_trips: self.round_trips - before.round_trips,
            sent: self.sent - before.sent,
            received: self.received - before.received,
        }
    }
}

#[derive(Default)]
struct State {
    counts: Counts,
    open: Vec<TcpStream>,
}

pub struct Relay {
    pub port: u16,
    state: Arc<Mutex<State>>,
}

impl Relay {
    /// Listens on loopback, and connects to this port of the service.
    pub fn start(service: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        thread::spawn(move || {
            for program in listener.incoming().flatten() {
                if let Err(error) = connect(program, service, &shared) {
                    eprintln!("the relay: {error}");
                }
            }
        });
        Ok(Self { port, state })
    }

    pub fn counts(&self) -> Counts {
        lock(&self.state).counts
    }

    pub fn hang_up(&self) {
        for stream in lock(&self.state).open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn connect(program: TcpStream, service: u16, state: &Arc<Mutex<State>>) -> io::Result<()> {
    let service = TcpStream::connect((Ipv4Addr::LOCALHOST, service))?;
    program.set_nodelay(true)?;
    service.set_nodelay(true)?;
    let mut shared = lock(state);
    shared.counts.round_trips += 1;
    shared.open.extend([program.try_clone()?, service.try_clone()?]);
    drop(shared);

    let asked = Arc::new(AtomicBool::new(false));
    let (from, to, counting, asks) =
        (program.try_clone()?, service.try_clone()?, state.clone(), asked.clone());
    thread::spawn(move || {
        forward(from, to, |bytes| {
            asks.store(true, Ordering::SeqCst);
            lock(&counting).counts.sent += bytes;
        });
    });
    let counting = state.clone();
    thread::spawn(move || {
        forward(service, program, |bytes| {
            let mut shared = lock(&counting);
            shared.counts.received += bytes;
            shared.counts.round_trips += u32::from(asked.swap(false, Ordering::SeqCst));
        });
    });
    Ok(())
}

/// Copies until one side closes its connection, then closes both.
fn forward(mut from: TcpStream, mut to: TcpStream, count: impl Fn(u32)) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        count(u32::try_from(length).unwrap_or(u32::MAX));
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    for stream in [from, to] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}
