//! Uploads a file to S3, or downloads one. From 1 MiB on, it shows a progress bar. It blocks, signs
//! with the presigned URLs of `rusty-s3`, and does not keep the file in memory. If S3 answers
//! `ExpiredToken`, it gets new credentials and tries once more.
//!
//! ```sh
//! export AWS_COGNITO_IDENTITY_POOL_ID=…
//! s3() { cargo run --manifest-path examples/s3/Cargo.toml -- "$@"; }
//! s3 put picture.jpg s3://bucket/pictures/1.jpg
//! s3 get s3://bucket/pictures/1.jpg picture.jpg
//! ```
//!
//! | variable | meaning |
//! |---|---|
//! | `AWS_COGNITO_IDENTITY_POOL_ID` | the pool; the other variables are in `Builder::from_env` |
//! | `AWS_S3_REGION` | the bucket's region; default: the pool's region |
//! | `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL` | an emulator, or another S3 service; default: AWS |
//! | `RUST_LOG` | the log filter of `env_logger`; default: `warn` |
//!
//! S3 accepts at most 5 GiB in one request. A larger file must be uploaded in parts. `rusty-s3` can
//! do that, but this program does not.

use std::env;
use std::error::Error;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, SystemTime};

use cognito_identity_credentials::{Builder, CognitoIdentityCredentials};
use env_logger::Env;
use jiff::Timestamp;
use rusty_s3::actions::{GetObject, PutObject};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body, SendBody};

const MEBIBYTE: u64 = 1024 * 1024;

/// The most that S3 accepts in one request.
const MAX_OBJECT: u64 = 5 * 1024 * MEBIBYTE;

/// Smaller files have no progress bar.
const LARGE: u64 = MEBIBYTE;

/// The longest time from the signature to the arrival of the request at S3.
const VALID: Duration = Duration::from_secs(300);

const USAGE: &str = "usage: s3 put FILE s3://BUCKET/KEY | get s3://BUCKET/KEY FILE";

fn main() {
    env_logger::Builder::from_env(Env::default().default_filter_or("warn"))
        // At trace level, ureq logs whole URLs, and a presigned URL holds the session token.
        .filter_module("ureq", log::LevelFilter::Warn)
        .init();
    if let Err(error) = run() {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let (file, object) = match arguments.as_slice() {
        ["put", file, object] | ["get", object, file] => (Path::new(file), object),
        _ => return Err(USAGE.into()),
    };
    let (bucket, key) =
        object.strip_prefix("s3://").and_then(|path| path.split_once('/')).ok_or(USAGE)?;
    let store = Store {
        credentials: Builder::from_env()?.build()?,
        bucket: bucket_named(bucket)?,
        agent: agent(),
    };
    if arguments.first() == Some(&"put") { store.put(file, key) } else { store.get(key, file) }
}

fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0) // the signature is for one host
        .timeout_connect(Some(Duration::from_secs(10)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .build()
        .into()
}

fn bucket_named(name: &str) -> Result<Bucket, Box<dyn Error>> {
    let region = env::var("AWS_S3_REGION").or_else(|_| {
        env::var("AWS_COGNITO_IDENTITY_POOL_ID")
            .map(|pool| pool.split(':').next().unwrap_or_default().to_owned())
            .map_err(|_| "neither AWS_S3_REGION nor a pool is set")
    })?;
    let elsewhere = env::var("AWS_ENDPOINT_URL_S3").or_else(|_| env::var("AWS_ENDPOINT_URL"));
    let (endpoint, style) = match elsewhere {
        Ok(url) => (url, UrlStyle::Path),
        Err(_) => (format!("https://s3.{region}.amazonaws.com"), UrlStyle::VirtualHost),
    };
    Ok(Bucket::new(endpoint.parse()?, style, name.to_owned(), region)?)
}

struct Store {
    credentials: CognitoIdentityCredentials,
    bucket: Bucket,
    agent: Agent,
}

impl Store {
    fn put(&self, path: &Path, key: &str) -> Result<(), Box<dyn Error>> {
        let size = fs::metadata(path)?.len();
        if size > MAX_OBJECT {
            return Err("S3 accepts at most 5 GiB in one request".into());
        }
        self.send_signed(|signer, time| {
            let url = PutObject::new(&self.bucket, Some(signer), key).sign_with_time(VALID, time);
            let request = self.agent.put(url.as_str()).header("Content-Length", size);
            let mut body = Watched::new(File::open(path)?, size);
            Ok(request.send(SendBody::from_reader(&mut body))?)
        })?;
        println!("uploaded {size} bytes");
        Ok(())
    }

    /// If the download fails, the old file is unchanged, and a file that ends in `.part` is left.
    fn get(&self, key: &str, path: &Path) -> Result<(), Box<dyn Error>> {
        let answer = self.send_signed(|signer, time| {
            let url = GetObject::new(&self.bucket, Some(signer), key).sign_with_time(VALID, time);
            Ok(self.agent.get(url.as_str()).call()?)
        })?;
        let size = answer.headers().get("Content-Length").and_then(|size| size.to_str().ok());
        let size = size.ok_or("the answer has no Content-Length")?.parse()?;
        let mut body = answer.into_body();
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let mut file = File::create(&part)?;
        let copied = io::copy(&mut Watched::new(body.as_reader(), size), &mut file)?;
        if copied != size {
            return Err(format!("only {copied} of {size} bytes arrived").into());
        }
        file.sync_all()?;
        fs::rename(&part, path)?;
        println!("downloaded {size} bytes");
        Ok(())
    }

    /// Sends a request that `send` signs. If S3 answers `ExpiredToken`, it gets new credentials and
    /// calls `send` once more.
    fn send_signed(
        &self,
        send: impl Fn(&Credentials, &Timestamp) -> Result<Response<Body>, Box<dyn Error>>,
    ) -> Result<Response<Body>, Box<dyn Error>> {
        let mut retried = false;
        loop {
            // Before each request, because only `get` knows when the credentials must be refreshed.
            let keys = self.credentials.get()?;
            let signer = Credentials::new_with_token(
                keys.access_key_id(),
                keys.secret_access_key(),
                keys.session_token(),
            );
            // The device's clock may be wrong.
            let time = self.credentials.service_time().unwrap_or_else(SystemTime::now);
            match accepted(send(&signer, &Timestamp::try_from(time)?)?) {
                Ok(answer) => return Ok(answer),
                Err(rejection) if rejection.code == "ExpiredToken" && !retried => {
                    log::warn!("{rejection}; trying once more with new credentials");
                    self.credentials.invalidate(keys.access_key_id());
                    retried = true;
                }
                Err(rejection) => return Err(rejection.into()),
            }
        }
    }
}

/// An error of S3, without the rest of its document, which can repeat the session token.
#[derive(Debug)]
struct Rejection {
    status: StatusCode,
    code: String,
    message: String,
}

impl Error for Rejection {}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3: {}: {}: {}", self.status, self.code, self.message)
    }
}

fn accepted(mut answer: Response<Body>) -> Result<Response<Body>, Rejection> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let document = answer.body_mut().read_to_string().unwrap_or_default();
    let element = |name: &str| {
        let (_, rest) = document.split_once(&format!("<{name}>")).unwrap_or_default();
        rest.split_once("</").map_or("-", |(text, _)| text).to_owned()
    };
    Err(Rejection { status, code: element("Code"), message: element("Message") })
}

/// Draws a bar on stderr while it is read.
struct Watched<R> {
    inner: R,
    size: u64,
    read: u64,
    percent: Option<u64>,
}

impl<R> Watched<R> {
    fn new(inner: R, size: u64) -> Self {
        Self { inner, size, read: 0, percent: None }
    }

    fn draw(&mut self) {
        let percent = self.read * 100 / self.size;
        if self.percent.replace(percent) == Some(percent) {
            return;
        }
        let done = "#".repeat(usize::try_from(percent / 2).unwrap_or_default());
        let end = if percent >= 100 { "\n" } else { "" };
        eprint!("\r[{done:<50}] {percent:>3} % of {} MiB{end}", self.size / MEBIBYTE);
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.read += length as u64;
        if self.size >= LARGE {
            self.draw();
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};

    use cognito_identity_credentials::testing::FakeCognito;

    const EXPIRED: &str = "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.\
        </Message><Token-0>secret</Token-0></Error>";

    /// Answers `ExpiredToken` to the first requests and accepts the others. Returns the first line
    /// and the body of each request.
    fn serve(listener: TcpListener, answers: Vec<&'static str>) -> JoinHandle<Vec<String>> {
        let answer = move |(status, body): (&str, &str)| {
            let mut stream = listener.accept().unwrap().0;
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let lines = reader.by_ref().lines().map(Result::unwrap);
            let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
            let length = head.iter().find_map(|line| {
                line.to_lowercase().strip_prefix("content-length: ")?.parse().ok()
            });
            let mut content = String::new();
            reader.take(length.unwrap()).read_to_string(&mut content).unwrap();
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).unwrap();
            format!("{} {content}", head[0])
        };
        thread::spawn(move || {
            let status = |body: &str| if body.is_empty() { "200 OK" } else { "400 Bad Request" };
            answers.into_iter().map(|body| answer((status(body), body))).collect()
        })
    }

    /// Uploads a file to a server with these answers.
    fn upload(name: &str, answers: Vec<&'static str>) -> (Result<(), String>, Vec<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = serve(listener, answers);
        let bucket = Bucket::new(url.parse().unwrap(), UrlStyle::Path, "files", "us-east-1");
        let credentials = CognitoIdentityCredentials::builder()
            .identity_pool_id(FakeCognito::POOL_ID)
            .transport(FakeCognito::new())
            .build();
        let store =
            Store { credentials: credentials.unwrap(), bucket: bucket.unwrap(), agent: agent() };
        let path = env::temp_dir().join(format!("s3-test-{}-{name}", std::process::id()));
        fs::write(&path, "20.5").unwrap();
        let outcome = store.put(&path, "file").map_err(|error| error.to_string());
        fs::remove_file(&path).unwrap();
        (outcome, server.join().unwrap())
    }

    /// The access key ID in a presigned URL.
    fn signed_by(request: &str) -> &str {
        let (_, rest) = request.split_once("X-Amz-Credential=").unwrap();
        rest.split_once("%2F").unwrap().0
    }

    #[test]
    fn an_expired_token_costs_one_more_request_with_new_credentials() {
        let (outcome, requests) = upload("once", vec![EXPIRED, ""]);
        assert_eq!(outcome, Ok(()));
        assert_ne!(signed_by(&requests[0]), signed_by(&requests[1]));
        assert!(requests.iter().all(|request| request.ends_with(" 20.5")));
    }

    #[test]
    fn a_second_expired_token_is_an_error_that_does_not_repeat_the_token() {
        let (outcome, _) = upload("twice", vec![EXPIRED, EXPIRED]);
        let expected = "S3: 400 Bad Request: ExpiredToken: The provided token has expired.";
        assert_eq!(outcome, Err(expected.to_owned()));
    }
}
