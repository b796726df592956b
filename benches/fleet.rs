//! Simulates a fleet of devices against Cognito's quotas, in virtual time. The same seed gives the
//! same result.
//!
//! It compares this library with the AWS SDK for JavaScript v2 and with the standard mode of the
//! AWS SDKs, in two situations: all devices start at the same time, and a day with an outage.
//!
//! ```sh
//! cargo bench --bench fleet --features _bench
//! cargo bench --bench fleet --features _bench -- --devices 50000 --quota 100 --get-id-quota 10 \
//!     --seed 7
//! cargo bench --bench fleet --features _bench -- --svg docs/fleet.svg
//! PICTURES=write cargo test --features testing --test it pictures
//! ```
//!
//! `--svg` writes the picture of the guide and no tables. The test then copies it into the API
//! documentation.
//!
//! By default there are two fleets: one with the given quotas, and one with ten times the quotas.
//! `--devices` simulates only one fleet of this size. Any other argument is a filter: nothing runs
//! if the name `fleet` does not contain it.
//!
//! The model:
//!
//! * Each operation of the service has a token bucket that holds the calls of one second. A call
//!   that finds no token is rejected with `TooManyRequestsException`. An answer takes 20 to 80 ms.
//!   In an outage, every call fails with status 500. Credentials live for one hour.
//! * The power of each device returns at a random moment of one minute. Its program calls `get()`
//!   at once or after a random delay, and then before an upload each minute. If `get()` fails, a
//!   *patient* program calls it again after 10 s, an *eager* one after 1 s. One that calls it *as
//!   told* waits for `status().next_attempt_in`.
//! * *JavaScript*: 3 retries, after a random part of 100, 200 and 400 ms. It refreshes in the last
//!   15 s. It remembers no failure, and outside a browser it stores no identity.
//! * *Standard*: the standard mode of the AWS SDKs, with the cache of the SDK for Rust. It makes 2
//!   retries, after a random part of 1 and 2 s if throttled, or of 50 and 100 ms after a server
//!   error. A retry takes 5 or 14 tokens from a retry quota of 500, and a success returns them. It
//!   refreshes 5 to 10 s before the end, and stores no identity.
//! * The service can send `Retry-After` with each throttled answer: as seconds, or as a date that
//!   is the same for all devices. The library spreads the waits until a date. Otherwise all devices
//!   return in the same second, and the start takes up to ten times the quota's time.
//! * *This library*: its own functions for delays, cooldowns, pauses and windows. Before each run,
//!   a provider on a manual clock and a simulated device get the same answers and random numbers.
//!   They must make their calls at the same nanoseconds.
//!
//! Without a random delay, twice the devices with twice the quotas give about the same result. With
//! the delay, a larger fleet is throttled less, because the bucket grows with the quota, and random
//! peaks are relatively smaller. For new guests, 35 % of the calls are throttled with 100,000
//! devices, and 14 % with 1,000,000.
//!
//! For the million devices, the bench simulates the day with this library only, because it takes
//! long. The smaller fleet shows the other policies.
//!
//! *Without* in the tables is the time from the first call of `get()` until the program has
//! credentials.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    missing_docs,
    reason = "a benchmark fails by panicking, and its numbers are small"
)]

#[path = "fleet/curves.rs"]
mod curves;
#[path = "fleet/device.rs"]
mod device;
#[path = "fleet/equivalence.rs"]
mod equivalence;
#[path = "fleet/queue.rs"]
mod queue;
#[path = "fleet/sim.rs"]
mod sim;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use device::{Again, LIBRARY, Policy, SECOND, Window, throttling, windows};
use sim::{Outcome, Period, Quotas, RetryAfter, Scenario, Start};

const PATIENT: Again = Again::After(10 * SECOND);
const EAGER: Again = Again::After(SECOND);
const DAY: u64 = 24 * 3600 * SECOND;
/// Each outage takes ten minutes. They begin at six points of the hour: half a day after a common
/// start, many devices still refresh together, so one point would favor some policies.
const OUTAGES: [(u64, u64); 6] = [outage(0), outage(1), outage(2), outage(3), outage(4), outage(5)];

const fn outage(number: u64) -> (u64, u64) {
    let ten_minutes = 600 * SECOND;
    let from = 12 * 3600 * SECOND + number * ten_minutes;
    (from, from + ten_minutes)
}

const POLICIES: [(&str, Policy); 4] = [
    ("AWS SDK for JavaScript v2", Policy::JavaScript),
    ("AWS SDKs, standard mode", Policy::Standard),
    ("this library, with a fixed cooldown", FIXED_COOLDOWN),
    ("**this library**", LIBRARY),
];

const FIXED_COOLDOWN: Policy = throttling(0);

struct Options {
    devices: Option<u32>,
    quotas: Quotas,
    seed: u64,
    svg: Option<String>,
}

impl Options {
    /// Returns `None` if the filters exclude this bench.
    fn parse() -> Option<Self> {
        let mut filters = Vec::new();
        let mut options = Self {
            devices: None,
            quotas: Quotas { credentials: 200.0, get_id: 25.0 },
            seed: 1,
            svg: None,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().unwrap_or_else(|| panic!("{argument}: no value"));
            match argument.as_str() {
                "--devices" => options.devices = Some(value().parse().unwrap()),
                "--quota" => options.quotas.credentials = value().parse().unwrap(),
                "--get-id-quota" => options.quotas.get_id = value().parse().unwrap(),
                "--seed" => options.seed = value().parse().unwrap(),
                "--svg" => options.svg = Some(value()),
                // cargo passes these.
                "--bench" | "--test" => {}
                option if option.starts_with('-') => panic!("{option}: no such option"),
                _ => filters.push(argument),
            }
        }
        let wanted = filters.is_empty() || filters.iter().any(|f| "fleet".contains(f.as_str()));
        wanted.then_some(options)
    }
}

/// All devices start at the same time, with stored identities and patient programs.
fn power_up(options: &Options, devices: u32, policy: Policy) -> Scenario {
    Scenario {
        devices,
        quotas: options.quotas,
        stored: true,
        start: Start::PowerUp { delay: 0 },
        policy,
        again: PATIENT,
        retry_after: RetryAfter::None,
        day: 0,
        outage: None,
        seed: options.seed,
    }
}

/// The seconds that the quota needs to serve all devices.
fn ideal(scenario: &Scenario) -> f64 {
    let Quotas { credentials, get_id } = scenario.quotas;
    let least = if scenario.stored { credentials } else { get_id.min(credentials) };
    f64::from(scenario.devices) / least
}

/// Runs the scenarios on two threads. Each scenario has its own random numbers, so the order does
/// not matter.
fn run_all(scenarios: &[Scenario]) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(vec![None; scenarios.len()]);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let index = scenarios.iter().position(|other| std::ptr::eq(other, scenario));
                    let outcome = sim::run(scenario);
                    outcomes.lock().unwrap()[index.unwrap()] = Some(outcome);
                }
            });
        }
    });
    outcomes.into_inner().unwrap().into_iter().map(Option::unwrap).collect()
}

fn power_up_row(scenario: &Scenario, name: &str, outcome: &Outcome) -> String {
    let Scenario { devices, stored, start, again, .. } = *scenario;
    let delay = match start {
        Start::PowerUp { delay: 1.. } => "random",
        _ => "none",
    };
    let period = &outcome.power_up;
    format!(
        "| {} | {delay} | {} | {name} | {:.0} s | {:.0} s | {:.0} s | {:.2} | {:.1} | {:.1} % | {} | {:.0} s |",
        if stored { "stored" } else { "not stored" },
        again_name(again),
        outcome.half,
        outcome.most,
        outcome.all,
        outcome.all / ideal(scenario),
        period.calls as f64 / f64::from(devices),
        100.0 * period.throttled_share(),
        period.minted,
        period.without / f64::from(devices),
    )
}

const POWER_UP_HEAD: &str = "\
| identity | delay | program | policy | 50 % hold | 99 % hold | 100 % hold | of the quota's time | calls per device | throttled | minted | without, mean |
|---|---|---|---|---|---|---|---|---|---|---|---|";

/// Averages several days of the same fleet.
fn day_row(devices: u32, name: &str, days: &[Period]) -> String {
    let runs = f64::from(devices) * days.len() as f64;
    let sum = |figure: fn(&Period) -> f64| days.iter().map(figure).sum::<f64>();
    let (calls, throttled) = (sum(|day| day.calls as f64), sum(|day| day.throttled as f64));
    format!(
        "| {name} | {:.2} | {:.2} % | {:.1} % | {:.1} s | {:.0} s |",
        calls / runs,
        100.0 * throttled / calls,
        100.0 * sum(|day| day.hit as f64) / runs,
        sum(|day| day.without) / runs,
        days.iter().map(|day| day.worst).fold(0.0, f64::max),
    )
}

const DAY_HEAD: &str = "\
| policy | calls per device | throttled | devices without for over a second | without, mean | without, worst |
|---|---|---|---|---|---|";

fn again_name(again: Again) -> &'static str {
    match again {
        PATIENT => "patient",
        EAGER => "eager",
        Again::AsTold => "as told",
        Again::After(_) => "other",
    }
}

/// Prints the tables of one fleet. A large fleet omits what does not depend on the size.
fn report(options: &Options, devices: u32, large: bool) {
    let Quotas { credentials, get_id } = options.quotas;
    println!(
        "\n## {devices} devices, GetCredentialsForIdentity {credentials}/s, GetId {get_id}/s, \
         seed {}\n",
        options.seed
    );
    let mut rows = Vec::new();
    for stored in [true, false] {
        for delayed in [false, true] {
            for again in [PATIENT, EAGER, Again::AsTold] {
                for (name, policy) in POLICIES {
                    let left_out = match again {
                        EAGER => large || !(stored || delayed),
                        Again::AsTold => large || policy != LIBRARY,
                        Again::After(_) => false,
                    };
                    if left_out || (large && policy == FIXED_COOLDOWN) {
                        continue;
                    }
                    let mut scenario = power_up(options, devices, policy);
                    (scenario.stored, scenario.again) = (stored, again);
                    if delayed {
                        let delay = (ideal(&scenario) * SECOND as f64) as u64;
                        scenario.start = Start::PowerUp { delay };
                    }
                    rows.push((name, scenario));
                }
            }
        }
    }
    println!(
        "Power-up within a minute (the random delay is up to the quota's time):\n\n{POWER_UP_HEAD}"
    );
    print_rows(&rows);

    println!(
        "\nThe day after a power-up with stored identities, with an outage of 10 minutes (the mean of \
         {} days, whose outages begin at as many points of the hour):\n\n{DAY_HEAD}",
        OUTAGES.len()
    );
    for (name, policy) in POLICIES {
        if large && policy != LIBRARY {
            continue;
        }
        let scenario = power_up(options, devices, policy);
        let scenarios =
            OUTAGES.map(|outage| Scenario { day: DAY, outage: Some(outage), ..scenario });
        let days: Vec<_> = run_all(&scenarios).into_iter().map(|outcome| outcome.day).collect();
        println!("{}", day_row(devices, name, &days));
    }
    if large {
        return;
    }
    server_waits(options, devices);

    println!(
        "\nA day without an outage, but all credentials end in the same second at \
         first:\n\n{DAY_HEAD}"
    );
    let mut policies = POLICIES.to_vec();
    policies.push((
        "this library, `advisory_window` random, 15 to 30 min",
        windows(Window::Set(900, 1800)),
    ));
    let scenarios: Vec<_> = policies
        .iter()
        .map(|&(_, policy)| {
            let scenario = power_up(options, devices, policy);
            Scenario { day: DAY, start: Start::Lockstep, ..scenario }
        })
        .collect();
    for ((name, _), outcome) in policies.iter().zip(run_all(&scenarios)) {
        println!("{}", day_row(devices, name, &[outcome.day]));
    }
}

fn print_rows(rows: &[(&str, Scenario)]) {
    let scenarios: Vec<_> = rows.iter().map(|row| row.1).collect();
    for ((name, scenario), outcome) in rows.iter().zip(run_all(&scenarios)) {
        println!("{}", power_up_row(scenario, name, &outcome));
    }
}

/// Compares limits for the doubling of the cooldown.
fn alternatives(options: &Options, devices: u32) {
    let Quotas { credentials, get_id } = options.quotas;
    println!(
        "\nAlternative answers to throttling, with {devices} devices, GetCredentialsForIdentity \
         {credentials}/s, GetId {get_id}/s:\n\n{POWER_UP_HEAD}"
    );
    let policies: Vec<_> = (0..=6)
        .map(|times| (format!("{times} doublings, {} s", 5 << times), throttling(times)))
        .collect();
    let mut rows = Vec::new();
    for (stored, again) in [(true, PATIENT), (true, EAGER), (false, PATIENT)] {
        for (name, policy) in &policies {
            let scenario = power_up(options, devices, *policy);
            rows.push((name.as_str(), Scenario { stored, again, ..scenario }));
        }
    }
    print_rows(&rows);
}

/// The values of `Retry-After` in throttled answers. A date at the next full minute is not here: it
/// costs up to 1.16 times the quota's time, because a minute is an eighth of that time.
const WAITS: [(&str, RetryAfter); 7] = [
    ("nothing", RetryAfter::None),
    ("1 s", RetryAfter::Seconds(1)),
    ("5 s", RetryAfter::Seconds(5)),
    ("30 s", RetryAfter::Seconds(30)),
    ("60 s", RetryAfter::Seconds(60)),
    ("until the next full 5 s", RetryAfter::Until(5)),
    ("until the next full 30 s", RetryAfter::Until(30)),
];

/// Shows the effect of a `Retry-After` in each throttled answer.
fn server_waits(options: &Options, devices: u32) {
    println!(
        "\nPower-up with stored identities, by the `Retry-After` of a throttled answer (in place \
         of the policy):\n\n{POWER_UP_HEAD}"
    );
    let mut rows = Vec::new();
    for (name, retry_after) in WAITS {
        for again in [PATIENT, EAGER, Again::AsTold] {
            let scenario = power_up(options, devices, LIBRARY);
            rows.push((name, Scenario { again, retry_after, ..scenario }));
        }
    }
    print_rows(&rows);
}

/// Checks the goals in every run. After a start with stored identities, all devices have
/// credentials within 1.15 times the quota's time, with any `Retry-After`. In a day, under 1 % of
/// the calls are throttled.
fn assert_targets(options: &Options, devices: u32) {
    let mut scenarios = Vec::new();
    for (_, retry_after) in WAITS {
        for again in [PATIENT, EAGER, Again::AsTold] {
            let scenario = power_up(options, devices, LIBRARY);
            scenarios.push(Scenario { again, retry_after, ..scenario });
        }
    }
    for (scenario, outcome) in scenarios.iter().zip(run_all(&scenarios)) {
        let case = (again_name(scenario.again), scenario.retry_after);
        let ideal = ideal(scenario);
        assert!(outcome.all <= 1.15 * ideal, "{case:?}: {:.0} s of {ideal:.0} s", outcome.all);
    }
    let scenarios: Vec<_> = [PATIENT, EAGER, Again::AsTold]
        .map(|again| Scenario { again, day: DAY, ..power_up(options, devices, LIBRARY) })
        .into();
    for (scenario, outcome) in scenarios.iter().zip(run_all(&scenarios)) {
        let again = again_name(scenario.again);
        let (ideal, share) = (ideal(scenario), outcome.day.throttled_share());
        assert!(outcome.all >= 0.9 * ideal, "{again}: faster than the quota allows");
        assert!(share < 0.01, "{again}: {share:.4} of a day's calls are throttled");
        assert_eq!(outcome.day.hit, 0, "{again}: no device is without credentials in a steady day");
        assert_eq!(outcome.power_up.minted, 0, "{again}");
        println!(
            "{devices} devices, {again}: all hold credentials after {:.2} of the quota's time, {:.1} \
             calls each; {:.2} % of a steady day's calls are throttled",
            outcome.all / ideal,
            outcome.power_up.calls as f64 / f64::from(devices),
            100.0 * share,
        );
    }
}

fn main() {
    let started = Instant::now();
    let Some(options) = Options::parse() else { return };
    if let Some(path) = &options.svg {
        let devices = options.devices.unwrap_or(100_000);
        std::fs::write(path, draw(&options, devices)).unwrap();
        return;
    }
    let test = std::env::args().any(|argument| argument == "--test")
        || !std::env::args().any(|argument| argument == "--bench");
    let (seeds, hours) = if test { (60, 6) } else { (300, 12) };
    let same = equivalence::assert_same(seeds, hours);
    assert!(same.failures_seen > 1000 && same.refreshes_failed > 100, "{same:?}");
    assert!(same.longest_cooldown > Duration::from_secs(20), "the cooldown did not grow: {same:?}");
    println!(
        "the simulated device makes the library's calls, to the nanosecond: {} calls, {} failures of \
         get(), {seeds} seeds of {hours} hours",
        same.calls, same.failures_seen
    );

    let small = Quotas { credentials: 20.0, get_id: 2.5 };
    let small = Options { quotas: small, svg: None, ..options };
    let (a, b) = (power_up(&small, 1_000, LIBRARY), power_up(&small, 1_000, LIBRARY));
    let (a, b) = (sim::run(&a), sim::run(&b));
    assert_eq!((a.all.to_bits(), a.power_up.calls), (b.all.to_bits(), b.power_up.calls));
    assert_targets(&small, 10_000);
    if test {
        let curves = draw(&small, 2_000);
        assert!(curves.len() < 12_000 && curves.ends_with("</svg>\n"));
        return;
    }

    if let Some(devices) = options.devices {
        report(&options, devices, false);
        alternatives(&options, devices);
    } else {
        let Quotas { credentials, get_id } = options.quotas;
        let times = |factor| {
            let (credentials, get_id) = (credentials * factor, get_id * factor);
            Options { quotas: Quotas { credentials, get_id }, svg: None, ..options }
        };
        report(&options, 100_000, false);
        // There is no random delay here, so a tenth of the devices and quotas gives about the same
        // result.
        alternatives(&times(0.1), 10_000);
        report(&times(10.0), 1_000_000, true);
    }
    println!("\n{:.0} s", started.elapsed().as_secs_f64());
}

fn draw(options: &Options, devices: u32) -> String {
    let runs = [Policy::JavaScript, Policy::Standard, LIBRARY].map(|policy| {
        let scenario = power_up(options, devices, policy);
        let scenarios = OUTAGES.map(|outage| Scenario {
            day: outage.1 + 3600 * SECOND,
            outage: Some(outage),
            ..scenario
        });
        let begins = OUTAGES.map(|outage| usize::try_from(outage.0 / SECOND).unwrap());
        let outcomes = run_all(&scenarios).into_iter().zip(begins);
        outcomes.map(|(outcome, begin)| (outcome.all as usize + begin, outcome)).collect()
    });
    curves::draw(&runs, devices, options.quotas.credentials)
}
