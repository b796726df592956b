//! Runs the programs in turn against the fake service, checks their results, counts round trips,
//! and prints the tables.
//!
//! `race LIST URL CA_FILE COUNTS_PORT RUNS SEED`. LIST has one line for each program, with fields
//! that are separated by tabs:
//!
//! * its name, and the name of the program that it is compared with
//! * its size in bytes, and the number of its crates
//! * the number of rounds in which it gets credentials
//! * `1,2` or `-`: the numbers of threads for the cached get, which is measured in RUNS rounds
//! * `steps` or `-`: whether its round trips are counted
//! * its path and its first arguments; `race` adds URL and `CA_FILE`, and then the number of
//!   threads or `steps`
//!
//! If a program fails or takes too long, the status is 1. If all programs ran, but a target that
//! does not depend on time is missed, the status is 2.

use std::collections::HashMap;
use std::error::Error;
use std::io::Read;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};

mod child;
mod relay;
mod table;
mod trips;

use relay::Relay;
use trips::Trips;

/// Much more than a fetch takes on a busy machine. `CACHED` is for a fetch with the cached gets.
const FETCH: Duration = Duration::from_secs(30);
const CACHED: Duration = Duration::from_mins(1);

type Fallible<T> = Result<T, Box<dyn Error>>;

pub struct Program {
    pub name: String,
    pub base: String,
    pub size: u64,
    pub crates: String,
    rounds: usize,
    threads: Vec<usize>,
    steps: bool,
    command: Vec<String>,
}

/// The figures of one process.
#[derive(Clone, Copy, Default)]
pub struct Run {
    /// Milliseconds from the start to the line with the key.
    pub wall: f64,
    /// Milliseconds of CPU time until the end.
    pub cpu: f64,
    /// Kibibytes.
    pub peak: f64,
    pub connections: f64,
    pub full: f64,
    pub resumed: f64,
    pub sent: f64,
    pub received: f64,
}

/// The figures of all rounds of one program.
#[derive(Default)]
pub struct Runs {
    pub fetches: Vec<Run>,
    /// Nanoseconds for a cached get, by the number of threads.
    pub gets: HashMap<usize, Vec<f64>>,
    pub trips: Option<Trips>,
}

struct Service {
    url: String,
    ca_file: String,
    port: u16,
    /// The file for the stderr of a program.
    stderr_file: PathBuf,
}

fn main() -> ExitCode {
    match race() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether all targets that do not depend on time are met.
fn race() -> Fallible<bool> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("LIST URL CA_FILE COUNTS_PORT RUNS SEED");
    let list = PathBuf::from(next()?);
    let stderr_file = list.with_extension("stderr");
    let list = std::fs::read_to_string(list)?;
    let service = Service { url: next()?, ca_file: next()?, port: next()?.parse()?, stderr_file };
    let (rounds, seed): (usize, u64) = (next()?.parse()?, next()?.parse()?);
    let programs = list.lines().map(parse).collect::<Fallible<Vec<_>>>()?;
    let mut random = fastrand::Rng::with_seed(seed);
    let mut runs: Vec<Runs> = programs.iter().map(|_| Runs::default()).collect();

    // The first round only fills the caches of the machine.
    for round in 0..=programs.iter().map(|program| program.rounds).max().unwrap_or(0) {
        let all = programs.iter().zip(&mut runs);
        let mut order: Vec<_> = all.filter(|(program, _)| round <= program.rounds).collect();
        random.shuffle(&mut order);
        for (program, runs) in order {
            let (run, _) = service.run(program, None)?;
            if round > 0 {
                runs.fetches.push(run);
            }
        }
    }
    for _ in 0..rounds {
        let mut order: Vec<_> = programs.iter().zip(&mut runs).collect();
        random.shuffle(&mut order);
        for (program, runs) in order {
            for &threads in &program.threads {
                let (_, get) = service.run(program, Some(threads))?;
                let get = get.ok_or_else(|| format!("{} printed no time", program.name))?;
                runs.gets.entry(threads).or_default().push(get);
            }
        }
    }
    let port = service.url.rsplit(':').next().ok_or("a URL without a port")?;
    let relay = Relay::start(port.parse()?)?;
    let url = format!("https://localhost:{}", relay.port);
    for (program, runs) in programs.iter().zip(&mut runs).filter(|(program, _)| program.steps) {
        let mut command = service.command(program, &url)?;
        let counted = trips::count(command.arg("steps"), &service.stderr_file, &relay);
        runs.trips = Some(counted.map_err(|error| format!("{}: {error}", program.name))?);
    }
    table::print(&programs, &runs);
    table::print_trips(&programs, &runs);
    Ok(table::targets(&programs, &runs))
}

fn parse(line: &str) -> Fallible<Program> {
    let mut fields = line.split('\t').map(str::to_owned);
    let mut next = || fields.next().ok_or("a line of the list is too short");
    Ok(Program {
        name: next()?,
        base: next()?,
        size: next()?.parse()?,
        crates: next()?,
        rounds: next()?.parse()?,
        threads: next()?.split(',').filter_map(|count| count.parse().ok()).collect(),
        steps: next()? == "steps",
        command: fields.collect(),
    })
}

impl Service {
    /// Returns the counts of the service. Waits until all connections are closed.
    fn counts(&self) -> Fallible<HashMap<String, f64>> {
        for _ in 0..500 {
            let mut text = String::new();
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.read_to_string(&mut text)?;
            let counts: HashMap<_, f64> = text
                .lines()
                .filter_map(|line| line.split_once(' '))
                .filter_map(|(name, count)| Some((name.to_owned(), count.parse().ok()?)))
                .collect();
            if counts.get("open") == Some(&0.0) {
                return Ok(counts);
            }
            thread::sleep(Duration::from_millis(2));
        }
        Err("a connection stays open".into())
    }

    /// A program gets no environment variables except those that Node needs.
    fn command(&self, program: &Program, url: &str) -> Fallible<Command> {
        let (path, first) = program.command.split_first().ok_or("a program without a path")?;
        let mut command = Command::new(path);
        command
            .args(first)
            .args([url, &self.ca_file])
            .env_clear()
            .env("NODE_EXTRA_CA_CERTS", &self.ca_file)
            .env("NODE_NO_WARNINGS", "1")
            .env("AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE", "1");
        Ok(command)
    }

    fn run(&self, program: &Program, threads: Option<usize>) -> Fallible<(Run, Option<f64>)> {
        let before = self.counts()?;
        let mut command = self.command(program, &self.url)?;
        command.args(threads.map(|count| count.to_string()));
        let limit = if threads.is_some() { CACHED } else { FETCH };
        let spent = cpu_of_children()?;
        let ended = child::run(&mut command, &self.stderr_file, limit)?.ok_or_else(|| {
            format!("{} took longer than {} s, and was killed", program.name, limit.as_secs())
        })?;
        let cpu = cpu_of_children()? - spent;

        let after = self.counts()?;
        let count = |name: &str| {
            let value = |counts: &HashMap<String, f64>| counts.get(name).copied();
            Some(value(&after)? - value(&before)?)
        };
        let printed = |name: &str| {
            ended
                .output
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::trim))
        };
        let number = |name: &str| printed(name).and_then(|value| value.parse::<f64>().ok());
        let issued = format!("ASIA{:0>16}", after.get("issued").copied().unwrap_or_default());
        let did_the_job = ended.status.success()
            && printed("key") == Some(&*issued)
            && count("issued") == Some(1.0)
            && count("requests") == Some(2.0);
        if !did_the_job {
            return Err(format!(
                "{} did not do the job: {}, {} requests, {issued} was issued\n{}{}",
                program.name,
                ended.status,
                count("requests").unwrap_or_default(),
                ended.output,
                ended.stderr
            )
            .into());
        }
        let seen =
            |name: &str| count(name).ok_or_else(|| format!("the service has no count {name}"));
        let run = Run {
            wall: ended.wall,
            cpu,
            peak: number("peak").ok_or_else(|| format!("{} printed no peak", program.name))?,
            connections: seen("connections")?,
            full: seen("full")?,
            resumed: seen("resumed")?,
            sent: seen("received")?,
            received: seen("sent")?,
        };
        Ok((run, number("ns")))
    }
}

/// Returns the user and system time of all ended child processes, in milliseconds.
fn cpu_of_children() -> Fallible<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let time = usage.user_time() + usage.system_time();
    let micros = i32::try_from(time.tv_usec())?;
    Ok(f64::from(i32::try_from(time.tv_sec())?) * 1e3 + f64::from(micros) / 1e3)
}
