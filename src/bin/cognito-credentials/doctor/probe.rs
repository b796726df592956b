//! The network steps of the command `doctor`. They use a separate connection, because the library
//! does not show addresses, TLS details and certificates.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use dns_lookup::{AddrFamily, AddrInfoHints, SockType, getaddrinfo};
use serde_json::json;
use ureq::Proxy;
use ureq::http::Uri;
use zeroize::Zeroizing;

use crate::doctor::report::{Report, Step};
use crate::doctor::tls_probe::{self, Stream};
use crate::messages::failure::NETWORK;
use crate::options::arguments::Options;
use crate::transport;

// These are files of the library, so that the command and the library choose proxies and find this
// machine by the same rules.
#[path = "../../../loopback.rs"]
#[expect(dead_code, reason = "the command needs no parser of addresses")]
mod loopback;
#[path = "../../../transport/ureq/no_proxy.rs"]
mod no_proxy;

use loopback::{is_localhost, is_loopback};
use no_proxy::{no_proxy_covers, normalized_host};

/// The time limit of a look-up, of a connection to one address, and of an answer.
const LIMIT: Duration = Duration::from_secs(5);
/// After one address family has an answer, the wait for the other one.
const SECOND_ANSWER: Duration = Duration::from_millis(300);
/// The most bytes that are read before the end of an HTTP header.
const MAX_HEAD: usize = 16 * 1024;

pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    host: String,
}

/// Connects to the service, and reports each step.
pub(crate) fn connect(report: &Report, options: &Options, url: &str) -> Option<Connection> {
    let uri: Uri = url.parse().ok()?;
    let host = normalized_host(uri.host()?);
    let is_https = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
    let proxy = proxy_for(options, host, port, is_https);
    let (next_host, next_port) =
        proxy.as_ref().map_or((host, port), |proxy| (normalized_host(proxy.host()), proxy.port()));
    // A limit of zero is an error, which the step `settings` reports.
    let limit = options.timeout.filter(|limit| !limit.is_zero()).map_or(LIMIT, |it| it.min(LIMIT));
    let addresses = addresses(report, next_host, next_port, limit)?;
    let mut stream = dial(report, &addresses, limit)?;
    if let Some(proxy) = &proxy {
        let text = format!("{next_host}:{next_port}");
        let details = json!({ "host": next_host, "port": next_port });
        if proxy.uri().scheme_str() == Some("https") {
            report.add(Step::ok("proxy", text).details(details));
            report.add(Step::skipped("TLS", "the way through an https proxy is not shown"));
            return None;
        }
        let target =
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        if let Err(error) = open_tunnel(&mut stream, proxy, &target) {
            let text = format!("{text}: no tunnel to {target}: {error}");
            report.add(Step::bad("proxy", NETWORK, text).details(details));
            return None;
        }
        report.add(Step::ok("proxy", text).details(details));
    }
    let host = host.to_owned();
    if !is_https {
        report.add(Step::skipped("TLS", "the endpoint is plain http, without TLS"));
        return Some(Connection { stream: Box::new(stream), host });
    }
    let stream = tls_probe::handshake(report, options, stream, &host)?;
    Some(Connection { stream, host })
}

impl Connection {
    /// Sends a request without content, and returns the time in the answer.
    pub(crate) fn service_time(mut self) -> Option<SystemTime> {
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {}\r\nUser-Agent: cognito-credentials\r\nConnection: close\r\n\r\n",
            self.host
        );
        self.stream.write_all(request.as_bytes()).and_then(|()| self.stream.flush()).ok()?;
        let head = read_head(&mut self.stream).ok()?;
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut answer = httparse::Response::new(&mut headers);
        answer.parse(&head).ok()?;
        let date = answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case("date"))?;
        httpdate::parse_http_date(std::str::from_utf8(date.value).ok()?).ok()
    }
}

/// Returns the proxy that the library uses for this host.
fn proxy_for(options: &Options, host: &str, port: u16, is_https: bool) -> Option<Proxy> {
    let variable = |names: &[&str]| {
        let set = |name: &&str| std::env::var(name).ok().filter(|value| !value.is_empty());
        names.iter().find_map(set)
    };
    let exceptions = variable(&["no_proxy", "NO_PROXY"]).unwrap_or_default();
    if is_loopback(host) || no_proxy_covers(&exceptions, host, port) {
        return None;
    }
    // The step `settings` reports a proxy that cannot be read.
    let url = match transport::proxy(options).ok()? {
        Some(url) => url,
        // The variables are only for HTTPS.
        None if is_https => Zeroizing::new(variable(&transport::PROXY_VARIABLES)?),
        None => return None,
    };
    Proxy::new(&url).ok()
}

/// Looks up the addresses of a host. Reports the name servers, the addresses and the time it took.
fn addresses(report: &Report, host: &str, port: u16, limit: Duration) -> Option<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Some(vec![(address, port).into()]);
    }
    if is_localhost(host) {
        let both = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
        return Some(both.map(|address| (address, port).into()).to_vec());
    }
    let servers = name_servers();
    let shown = if servers.is_empty() {
        "of the system".to_owned()
    } else {
        format!("{} (/etc/resolv.conf)", servers.join(", "))
    };
    report.add(Step::ok("resolver", shown).details(json!({ "name_servers": servers })));
    let begun = Instant::now();
    let found = look_up(host, limit);
    let took = begun.elapsed();
    let mut ips = found.as_ref().cloned().unwrap_or_default();
    ips.dedup();
    let details = json!({ "host": host, "addresses": ips, "seconds": took.as_secs_f64() });
    match found {
        Ok(found) if !found.is_empty() => {
            let ips = ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let text = format!("{host}: {ips} in {} ms", took.as_millis());
            report.add(Step::ok("address", text).details(details));
            Some(found.into_iter().map(|address| (address, port).into()).collect())
        }
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            let text = format!("{host}: no answer within {} ms", took.as_millis());
            report.add(Step::skipped("address", text).details(details));
            None
        }
        found => {
            let reason =
                found.err().map_or("it has no address".to_owned(), |error| error.to_string());
            let text = format!("{host}: {reason} after {} ms", took.as_millis());
            report.add(Step::bad("address", NETWORK, text).details(details));
            None
        }
    }
}

/// Looks up IPv6 and IPv4 addresses separately, as the library does. So a name server that answers
/// only one of the two questions causes no delay. Threads are needed because the limit of the
/// system can be a minute.
fn look_up(host: &str, limit: Duration) -> io::Result<Vec<IpAddr>> {
    let begun = Instant::now();
    let (sender, receiver) = mpsc::channel();
    let mut running = 0;
    for family in [AddrFamily::Inet6, AddrFamily::Inet] {
        let (sender, name) = (sender.clone(), host.to_owned());
        let task = move || sender.send(look_up_family(&name, family));
        match thread::Builder::new().spawn(task) {
            Ok(_) => running += 1,
            Err(_) => return Ok((host, 0).to_socket_addrs()?.map(|found| found.ip()).collect()),
        }
    }
    drop(sender);
    let mut found = Vec::new();
    let mut outcome = Ok(());
    while running > 0 {
        let longest = if found.is_empty() { limit } else { SECOND_ANSWER };
        match receiver.recv_timeout(longest.min(limit.saturating_sub(begun.elapsed()))) {
            Ok(Ok(addresses)) => found.extend(addresses),
            Ok(Err(error)) => outcome = Err(error),
            Err(_) => break,
        }
        running -= 1;
    }
    match outcome {
        _ if !found.is_empty() => Ok(found),
        Err(error) if running == 0 => Err(error),
        Ok(()) if running == 0 => Ok(found),
        _ => Err(io::ErrorKind::TimedOut.into()),
    }
}

fn look_up_family(host: &str, family: AddrFamily) -> io::Result<Vec<IpAddr>> {
    let hints = AddrInfoHints {
        address: family.into(),
        socktype: SockType::Stream.into(),
        ..AddrInfoHints::default()
    };
    let found = getaddrinfo(Some(host), None, Some(hints)).map_err(io::Error::from)?;
    Ok(found.flatten().map(|info| info.sockaddr.ip()).collect())
}

fn name_servers() -> Vec<String> {
    let Ok(file) = fs::File::open("/etc/resolv.conf") else { return Vec::new() };
    let mut text = Vec::new();
    let _ = file.take(64 * 1024).read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text);
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == "nameserver").then(|| words.next().map(str::to_owned))?
    });
    servers.collect()
}

fn dial(report: &Report, addresses: &[SocketAddr], limit: Duration) -> Option<TcpStream> {
    let mut faults = Vec::new();
    for address in addresses {
        let begun = Instant::now();
        let opened = TcpStream::connect_timeout(address, limit).and_then(|stream| {
            stream.set_read_timeout(Some(limit))?;
            stream.set_write_timeout(Some(limit))?;
            Ok(stream)
        });
        let took = begun.elapsed();
        match opened {
            Ok(stream) => {
                let text = format!("{address} in {} ms", took.as_millis());
                let details =
                    json!({ "address": address.to_string(), "seconds": took.as_secs_f64() });
                report.add(Step::ok("connection", text).details(details));
                return Some(stream);
            }
            Err(error) => faults.push(format!("{address}: {error}")),
        }
    }
    report.add(Step::bad("connection", NETWORK, faults.join("; ")));
    None
}

fn open_tunnel(stream: &mut TcpStream, proxy: &Proxy, target: &str) -> io::Result<()> {
    let mut request = Zeroizing::new(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"));
    if proxy.username().or(proxy.password()).is_some() {
        let (user, password) = (proxy.username().unwrap_or(""), proxy.password().unwrap_or(""));
        let pair = Zeroizing::new(format!("{user}:{password}"));
        let encoded = Zeroizing::new(BASE64_STANDARD.encode(pair.as_bytes()));
        request.push_str("Proxy-Authorization: Basic ");
        request.push_str(&encoded);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes())?;
    let head = read_head(stream)?;
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut answer = httparse::Response::new(&mut headers);
    match (answer.parse(&head), answer.code) {
        (Ok(_), Some(200..=299)) => Ok(()),
        (Ok(_), Some(status)) => Err(io::Error::other(format!("it answered with status {status}"))),
        _ => Err(io::Error::other("its answer is not HTTP")),
    }
}

/// Reads one byte at a time, because the bytes after the header belong to the tunnel.
fn read_head(stream: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while head.len() < MAX_HEAD && !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            break;
        }
        head.extend(byte);
    }
    Ok(head)
}
