//! Tells systemd (`Type=notify`) when the endpoint is ready and when it stops.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::logger;

pub(super) fn ready(uri: &str) {
    send(&format!("READY=1\nSTATUS=Serving {uri}\n"));
}

pub(super) fn stopping() {
    send("STOPPING=1\n");
}

fn send(state: &str) {
    let Some(socket) = env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else {
        return;
    };
    if let Err(error) = send_to(&socket, state) {
        logger::warn(format_args!("NOTIFY_SOCKET: systemd cannot be told: {error}"));
    }
}

fn send_to(socket: &OsStr, state: &str) -> io::Result<()> {
    let address = match socket.as_encoded_bytes().strip_prefix(b"@") {
        Some(name) => abstract_address(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let sender = UnixDatagram::unbound()?;
    // systemd may be busy, and the endpoint must still end within 2 s.
    sender.set_write_timeout(Some(Duration::from_secs(1)))?;
    sender.send_to_addr(state.as_bytes(), &address).map(drop)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    #[cfg(target_os = "android")]
    use std::os::android::net::SocketAddrExt as _;
    #[cfg(target_os = "linux")]
    use std::os::linux::net::SocketAddrExt as _;

    SocketAddr::from_abstract_name(name)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn abstract_address(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}
