//! Messages to systemd, as `sd_notify` sends them. Without systemd, nothing is sent.

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

pub struct Systemd {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl Systemd {
    pub fn from_env() -> io::Result<Self> {
        let socket = env::var("NOTIFY_SOCKET").ok().map(|name| connect(&name)).transpose()?;
        let watchdog = env::var("WATCHDOG_USEC").ok().and_then(|time| time.parse().ok());
        let watchdog = watchdog.filter(|time| *time > 0).map(Duration::from_micros);
        Ok(Self { socket, watchdog })
    }

    /// How long systemd waits for the next sign of life.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    pub fn ready(&self) {
        self.send("READY=1");
    }

    /// Gives a sign of life. Call it only between steps that have a time limit.
    pub fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// It never blocks: if systemd does not read, it still has earlier messages.
    fn send(&self, message: &str) {
        if let Some(socket) = &self.socket {
            let _ = socket.send(message.as_bytes());
        }
    }
}

/// `name` is a path, or a name that begins with `@` and is not in the file system.
fn connect(name: &str) -> io::Result<UnixDatagram> {
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect_addr(&address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(listener: &UnixDatagram, name: &str) -> String {
        let systemd = Systemd { socket: Some(connect(name).unwrap()), watchdog: None };
        systemd.ready();
        let mut buffer = [0; 64];
        let length = listener.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn both_forms_of_a_socket_name_work() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        assert_eq!(received(&listener, path.to_str().unwrap()), "READY=1");

        let name = format!("sensor-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let listener = UnixDatagram::bind_addr(&address).unwrap();
        assert_eq!(received(&listener, &format!("@{name}")), "READY=1");
    }

    #[test]
    fn a_listener_that_does_not_read_blocks_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let _listener = UnixDatagram::bind(&path).unwrap();
        let socket = Some(connect(path.to_str().unwrap()).unwrap());
        let systemd = Systemd { socket, watchdog: None };
        for _ in 0..10_000 {
            systemd.alive();
        }
    }
}
