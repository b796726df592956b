//! One exchange with the service: sends the request and reads the whole answer.

use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{mem, process, ptr, thread};

use ureq::http::Uri;
use ureq::{Agent, Body};
use zeroize::Zeroizing;

use super::certificates::Certificates;
use super::connection::LastExchange;
use super::connector::{Connector, NoAddresses};
use super::deadline::MAX_TIMEOUT;
use super::dns::{Family, Resolver};
use super::error::{NetworkError, Stage};
use super::log_guard::{self, LogGuard};
use super::proxy::Route;
use super::tls::{FlooredTime, Tls};
use crate::secret::read_to_end;
use crate::transport::{HttpRequest, HttpResponse, MAX_BODY, TransportError, TransportErrorKind};

const BUFFER: usize = 16 * 1024;

thread_local! {
    /// The address of the client that sends on this thread. 0 if none does.
    static SENDING: Cell<usize> = const { Cell::new(0) };
}

/// The settings of a transport, and the agent that belongs to this process.
pub(super) struct HttpClient {
    pub(super) certificates: Arc<Certificates>,
    pub(super) time: Arc<FlooredTime>,
    pub(super) route: Arc<Route>,
    pub(super) families: &'static [Family],
    pub(super) connect_timeout: Option<Duration>,
    pub(super) user_agent: String,
    pub(super) resolver: &'static Resolver,
    pub(super) agent: Mutex<Option<ProcessAgent>>,
}

/// An agent with its connections and TLS sessions. A forked process makes its own agent: two
/// processes on one connection would get each other's answers.
#[derive(Clone)]
pub(super) struct ProcessAgent {
    process: u32,
    agent: Agent,
    last_exchange: LastExchange,
}

impl HttpClient {
    pub(super) fn send(&self, request: &HttpRequest) -> Result<HttpResponse, TransportError> {
        let start = Instant::now();
        let _reentry_guard = ReentryGuard::enter(self)?;
        let url: Uri = request
            .url()
            .parse()
            .map_err(|error| TransportError::new(TransportErrorKind::Other, error))?;
        let _log_guard = LogGuard::begin();
        // The clock is the program's code. Read it before ureq takes the lock of its pool.
        let boot = self.time.boot();
        let agent = self.agent();
        agent.last_exchange.set(boot);
        exchange(&agent.agent, request).map_err(|(error, stage)| {
            let proxy = self.route.proxy_for(&url);
            NetworkError::from_ureq(error, stage).report(&url, proxy, start.elapsed())
        })
    }

    fn agent(&self) -> ProcessAgent {
        let process = process::id();
        let mut current = self.agent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = current.as_ref().filter(|agent| agent.process == process) {
            return agent.clone();
        }
        let agent = self.make_agent(process);
        // Dropping the agent of the parent process closes this process's copies of its sockets. It
        // sends no byte, because rustls sends `close_notify` only on request.
        let other = current.replace(agent.clone());
        drop(current);
        drop(other);
        agent
    }

    fn make_agent(&self, process: u32) -> ProcessAgent {
        let last_exchange = LastExchange::default();
        let connector = Connector {
            resolver: self.resolver,
            families: self.families,
            route: self.route.clone(),
            tls: Tls::new(self.certificates.clone(), self.time.clone()),
            user_agent: self.user_agent.clone(),
            last_exchange: last_exchange.clone(),
        };
        let config = Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(self.user_agent.as_str())
            .accept("")
            .timeout_connect(self.connect_timeout.map(|limit| limit.min(MAX_TIMEOUT)))
            .input_buffer_size(BUFFER)
            // A head that fills the buffer would leave no room to read into. ureq would take that
            // for the end of the connection, and the call would be retried.
            .max_response_header_size(BUFFER - 1)
            .output_buffer_size(BUFFER)
            .build();
        let agent = Agent::with_parts(config, connector, NoAddresses);
        ProcessAgent { process, agent, last_exchange }
    }
}

/// Exists while a client sends on this thread. ureq calls the program's logger while it holds the
/// lock of its pool. A logger that sends with the same client would wait forever. After a panic of
/// the logger, the pool cannot be used again.
struct ReentryGuard<'a> {
    client: &'a HttpClient,
    outer: usize,
}

impl<'a> ReentryGuard<'a> {
    fn enter(client: &'a HttpClient) -> Result<Self, TransportError> {
        let address = ptr::from_ref(client).addr();
        let outer = SENDING.get();
        if outer == address {
            let text = "the transport was used from inside itself, by a logger or a clock";
            return Err(TransportError::described(TransportErrorKind::Other, text.into(), None));
        }
        SENDING.set(address);
        Ok(Self { client, outer })
    }
}

impl Drop for ReentryGuard<'_> {
    fn drop(&mut self) {
        SENDING.set(self.outer);
        if thread::panicking() {
            let agent = self.client.agent.lock().unwrap_or_else(PoisonError::into_inner).take();
            drop(agent);
        }
    }
}

fn exchange(agent: &Agent, request: &HttpRequest) -> Result<HttpResponse, (ureq::Error, Stage)> {
    let mut post = agent.post(request.url());
    for (name, value) in request.headers() {
        post = post.header(name, value);
    }
    let answer = post
        .config()
        .timeout_global(Some(request.timeout().min(MAX_TIMEOUT)))
        .build()
        .send(request.body())
        .map_err(|error| (error, Stage::BeforeAnswer))?;
    let (parts, body) = answer.into_parts();
    let mut body = read(body).map_err(|error| (error, Stage::InBody))?;
    let mut response = HttpResponse::new(parts.status.as_u16(), mem::take(&mut *body));
    for (name, value) in &parts.headers {
        if let Ok(value) = value.to_str() {
            response = response.with_header(name.as_str(), value);
        }
    }
    Ok(response)
}

fn read(mut body: Body) -> Result<Zeroizing<Vec<u8>>, ureq::Error> {
    // The program may have raised the level while its logger handled ureq's line about the head.
    log_guard::lower();
    let expected = usize::try_from(body.content_length().unwrap_or(0)).unwrap_or(usize::MAX);
    if expected > MAX_BODY {
        return Err(ureq::Error::BodyExceedsLimit(MAX_BODY as u64));
    }
    let reader = body.with_config().limit(MAX_BODY as u64).reader();
    Ok(read_to_end(reader, expected)?)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{self, Receiver};
    use std::time::SystemTime;

    use super::*;
    use crate::clock::Clock;
    use crate::transport::ureq::server::{Request, listen};
    use crate::transport::ureq::tls::Time;

    type Action = Box<dyn Fn() + Send>;

    /// A clock whose boot time the test sets. The next reading of the boot time runs the action.
    #[derive(Clone, Default)]
    struct TestClock {
        boot: Arc<Mutex<Duration>>,
        action: Arc<Mutex<Option<Action>>>,
    }

    impl Clock for TestClock {
        fn wall(&self) -> SystemTime {
            SystemTime::now()
        }

        fn boot(&self) -> Duration {
            let action = self.action.lock().unwrap().take();
            if let Some(action) = action {
                action();
            }
            *self.boot.lock().unwrap()
        }

        fn sleep(&self, _: Duration) {}
    }

    fn client(clock: &TestClock, resolver: &'static Resolver) -> HttpClient {
        let time = Time { clock: Arc::new(clock.clone()), ..Time::default() };
        HttpClient {
            certificates: Arc::default(),
            time: Arc::new(FlooredTime::new(time)),
            route: Arc::default(),
            families: &[Family::V4],
            connect_timeout: None,
            user_agent: String::new(),
            resolver,
            agent: Mutex::default(),
        }
    }

    fn post(client: &HttpClient, port: u16) {
        let url = format!("http://service.example:{port}/");
        let mut request = HttpRequest::new(&url, Vec::new(), Zeroizing::new(b"{}".to_vec()));
        request.set_timeout(Duration::from_secs(60));
        assert_eq!(client.send(&request).unwrap().status(), 200);
    }

    /// Answers this number of requests on each connection and closes it. Then it sends `()` on the
    /// channel.
    fn server(requests: usize) -> (u16, Receiver<()>) {
        let (sender, closed) = mpsc::channel();
        let address = listen(move |mut stream| {
            for _ in 0..requests {
                if Request::read(&mut stream).is_none() {
                    break;
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            }
            drop(stream);
            let _ = sender.send(());
        });
        (address.port(), closed)
    }

    #[test]
    fn a_name_is_looked_up_only_for_a_new_connection() {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        static RESOLVER: Resolver = Resolver::new(|host, _| {
            assert_eq!(host, "service.example");
            COUNT.fetch_add(1, Ordering::SeqCst);
            Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))])
        });
        let (port, closed) = server(3);
        let client = client(&TestClock::default(), &RESOLVER);
        for request in 0..7 {
            post(&client, port);
            assert_eq!(COUNT.load(Ordering::SeqCst), 1 + request / 3, "request {request}");
            if request % 3 == 2 {
                closed.recv().unwrap();
            }
        }
    }

    /// ureq measures the age of connections on the monotonic clock, which stops while a device
    /// sleeps. In that time, a gateway forgets the connection.
    #[test]
    fn a_connection_that_was_idle_too_long_on_the_boot_clock_is_not_used_again() {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        static RESOLVER: Resolver = Resolver::new(|_, _| {
            COUNT.fetch_add(1, Ordering::SeqCst);
            Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))])
        });
        let (port, _closed) = server(usize::MAX);
        let clock = TestClock::default();
        let client = client(&clock, &RESOLVER);
        let rows =
            [(0, 1), (15_000, 1), (15_000, 1), (15_001, 2), (1, 2), (40 * 60_000, 3), (0, 3)];
        for (row, (idle, connections)) in rows.into_iter().enumerate() {
            *clock.boot.lock().unwrap() += Duration::from_millis(idle);
            post(&client, port);
            assert_eq!(COUNT.load(Ordering::SeqCst), connections, "row {row}: {idle} ms");
        }
    }

    #[test]
    fn a_reentrant_send_is_an_error_and_the_client_works_after_a_panic() {
        static RESOLVER: Resolver =
            Resolver::new(|_, _| Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))]));
        let (port, _closed) = server(usize::MAX);
        let clock = TestClock::default();
        let client = Arc::new(client(&clock, &RESOLVER));

        let (inner, (sender, said)) = (client.clone(), mpsc::channel());
        *clock.action.lock().unwrap() = Some(Box::new(move || {
            let request =
                HttpRequest::new("http://service.example/", Vec::new(), Vec::new().into());
            sender.send(inner.send(&request).unwrap_err().to_string()).unwrap();
        }));
        post(&client, port);
        assert_eq!(
            said.recv().unwrap(),
            "the transport was used from inside itself, by a logger or a clock"
        );

        *clock.action.lock().unwrap() = Some(Box::new(|| panic!("planned by the test")));
        let panicking = std::panic::AssertUnwindSafe(|| post(&client, port));
        assert!(std::panic::catch_unwind(panicking).is_err());
        assert!(client.agent.lock().unwrap().is_none(), "its pool may be poisoned");
        post(&client, port);
    }

    #[test]
    fn an_agent_of_another_process_is_not_used() {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        static RESOLVER: Resolver = Resolver::new(|_, _| {
            COUNT.fetch_add(1, Ordering::SeqCst);
            Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))])
        });
        let (port, closed) = server(usize::MAX);
        let client = client(&TestClock::default(), &RESOLVER);
        post(&client, port);
        post(&client, port);
        assert_eq!(COUNT.load(Ordering::SeqCst), 1, "one connection");
        client.agent.lock().unwrap().as_mut().unwrap().process += 1;
        post(&client, port);
        assert_eq!(COUNT.load(Ordering::SeqCst), 2, "its own connection");
        closed.recv().unwrap();
    }
}
