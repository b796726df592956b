//! Uploads a file to S3, or downloads one, with a progress bar for all but small ones. Blocking, with
//! presigned requests of `rusty-s3`; the file passes through without being held in memory.
//!
//! ```sh
//! export AWS_COGNITO_IDENTITY_POOL_ID=…
//! cargo run --example s3_upload -- put picture.jpg s3://bucket/pictures/1.jpg
//! cargo run --example s3_upload -- get s3://bucket/pictures/1.jpg picture.jpg
//! ```
//!
//! | variable | meaning |
//! |---|---|
//! | `AWS_COGNITO_IDENTITY_POOL_ID` | the pool; `Builder::from_env` lists what else is read for the credentials, but for the region |
//! | `AWS_S3_REGION` | the bucket's region; without it, the pool's |
//! | `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL` | an emulator, or another service that speaks S3; without them, AWS |
//!
//! S3 takes at most 5 GiB in one request. What is larger has to go up in parts, which `rusty-s3` can
//! do too, and this program does not.

use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, SystemTime};

use cognito_identity_credentials::{Builder, CognitoIdentityCredentials};
use jiff::Timestamp;
use rusty_s3::actions::{GetObject, PutObject};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use ureq::Agent;
use ureq::http::Response;

const MEBIBYTE: u64 = 1024 * 1024;

/// The most that S3 takes in one request.
const LARGEST: u64 = 5 * 1024 * MEBIBYTE;

/// Smaller files come and go without a progress bar.
const LARGE: u64 = MEBIBYTE;

/// How long a request may take from its signature to its start.
const VALID: Duration = Duration::from_secs(300);

const USAGE: &str = "usage: s3_upload put FILE s3://BUCKET/KEY | get s3://BUCKET/KEY FILE";

fn main() {
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
        // The SDKs' region is the bucket's.
        credentials: Builder::from_variables(|name| {
            (!["AWS_REGION", "AWS_DEFAULT_REGION"].contains(&name)).then(|| env::var_os(name))?
        })?
        .build()?,
        bucket: bucket_named(bucket)?,
        agent: Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0) // the signature is for one host
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .build()
            .into(),
    };
    if arguments.first() == Some(&"put") { store.put(file, key) } else { store.get(key, file) }
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
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        if size > LARGEST {
            return Err("S3 takes at most 5 GiB in one request".into());
        }
        let (credentials, time) = self.signer()?;
        let url =
            PutObject::new(&self.bucket, Some(&credentials), key).sign_with_time(VALID, &time);
        let mut body = Watched::new(file, size);
        let request = self.agent.put(url.as_str()).header("Content-Length", size);
        accepted(request.send(ureq::SendBody::from_reader(&mut body))?)?;
        println!("uploaded {size} bytes");
        Ok(())
    }

    /// What breaks off leaves a file behind that ends in `.part`, and the old one as it was.
    fn get(&self, key: &str, path: &Path) -> Result<(), Box<dyn Error>> {
        let (credentials, time) = self.signer()?;
        let url =
            GetObject::new(&self.bucket, Some(&credentials), key).sign_with_time(VALID, &time);
        let answer = accepted(self.agent.get(url.as_str()).call()?)?;
        let size = answer.headers().get("Content-Length").and_then(|size| size.to_str().ok());
        let size = size.ok_or("the answer does not tell its length")?.parse()?;
        let mut body = answer.into_body();
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let mut file = File::create(&part)?;
        let copied = io::copy(&mut Watched::new(body.as_reader(), size), &mut file)?;
        if copied != size {
            return Err(format!("{copied} of {size} bytes came").into());
        }
        file.sync_all()?;
        fs::rename(&part, path)?;
        println!("downloaded {size} bytes");
        Ok(())
    }

    /// What to sign the next request with: asked for each time, for only `get()` knows when the
    /// credentials must be renewed. The time is the service's, should the device's be wrong.
    fn signer(&self) -> Result<(Credentials, Timestamp), Box<dyn Error>> {
        let keys = self.credentials.get()?;
        let time = self.credentials.service_time().unwrap_or_else(SystemTime::now);
        let token = keys.session_token();
        let signer =
            Credentials::new_with_token(keys.access_key_id(), keys.secret_access_key(), token);
        Ok((signer, Timestamp::try_from(time)?))
    }
}

/// What S3 says about a failure, but for the token that it repeats in some.
fn accepted(mut answer: Response<ureq::Body>) -> Result<Response<ureq::Body>, Box<dyn Error>> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let document = answer.body_mut().read_to_string().unwrap_or_default();
    let element = |name: &str| {
        let (_, rest) = document.split_once(&format!("<{name}>"))?;
        Some(rest.split_once("</")?.0)
    };
    let (code, message) = (element("Code"), element("Message"));
    Err(format!("S3: {status}: {}: {}", code.unwrap_or("-"), message.unwrap_or("-")).into())
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
