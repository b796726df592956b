//! The tables that `race` prints: medians, and ratios to the program of comparison.

use crate::relay::Counts;
use crate::trips::Trips;
use crate::{Program, Run, Runs};

/// The limits for the round trips of this library, in the order of [`steps`].
const MAX_ROUND_TRIPS: [u32; 4] = [4, 3, 1, 3];

/// Returns the middle value, or the mean of the two in the middle.
fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    let upper = *values.get(half)?;
    Some(if values.len() % 2 == 0 { f64::midpoint(upper, *values.get(half - 1)?) } else { upper })
}

/// Returns the median of the ratios within each round. A change of the machine's speed affects it
/// least.
fn ratio(own: &[f64], base: &[f64]) -> Option<f64> {
    median(own.iter().zip(base).map(|(own, base)| own / base))
}

pub fn print(programs: &[Program], runs: &[Runs]) {
    println!(
        "| program | wall (ms) | CPU (ms) | peak (KiB) | size (KiB) | crates | connections \
         | handshakes | sent (bytes) | received | cached get (ns) | by 2 threads |"
    );
    println!("|{}", "---|".repeat(12));
    for (program, own) in programs.iter().zip(runs) {
        let base = programs.iter().zip(runs).find(|(other, _)| other.name == program.base);
        let fetch = |digits: usize, field: fn(&Run) -> f64| {
            let all = |runs: &Runs| runs.fetches.iter().map(field).collect::<Vec<_>>();
            let own = all(own);
            cell(median(own.clone()), digits, base.and_then(|(_, base)| ratio(&own, &all(base))))
        };
        let seen = |field: fn(&Run) -> f64| cell(median(own.fetches.iter().map(field)), 0, None);
        let get = |threads: usize| {
            let Some(own) = own.gets.get(&threads) else {
                return "–".to_owned();
            };
            let times = base.and_then(|(_, base)| ratio(own, base.gets.get(&threads)?));
            cell(median(own.iter().copied()), 0, times)
        };
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            program.name,
            fetch(2, |run| run.wall),
            fetch(2, |run| run.cpu),
            fetch(0, |run| run.peak),
            cell(
                Some(kibibytes(program.size)),
                0,
                base.map(|(other, _)| { kibibytes(program.size) / kibibytes(other.size) })
            ),
            program.crates,
            seen(|run| run.connections),
            handshakes(own),
            seen(|run| run.sent),
            seen(|run| run.received),
            get(1),
            get(2),
        );
    }
}

/// Prints the round trips: one for each TCP connection, and one for each answer of the service.
pub fn print_trips(programs: &[Program], runs: &[Runs]) {
    println!(
        "\n| program | round trips of a first fetch | with a stored identity | of a refresh \
         | after the service has hung up | bytes of that: sent | received |"
    );
    println!("|{}", "---|".repeat(7));
    for (program, trips) in trips(programs, runs) {
        let [first, stored, kept, closed] = steps(trips).map(|counts| counts.round_trips);
        let Counts { sent, received, .. } = trips.closed;
        let name = &program.name;
        println!("| {name} | {first} | {stored} | {kept} | {closed} | {sent} | {received} |");
    }
}

fn trips<'a>(
    programs: &'a [Program],
    runs: &'a [Runs],
) -> impl Iterator<Item = (&'a Program, &'a Trips)> {
    programs.iter().zip(runs).filter_map(|(program, own)| Some((program, own.trips.as_ref()?)))
}

fn steps(trips: &Trips) -> [Counts; 4] {
    [trips.first, trips.restarted, trips.kept, trips.closed]
}

/// Prints the targets of this library, if the programs for them ran. Returns whether all targets
/// that do not depend on time are met.
pub fn targets(programs: &[Program], runs: &[Runs]) -> bool {
    let find = |name: &str| programs.iter().zip(runs).find(|(program, _)| program.name == name);
    let compare = |own: &str, other: &str, of: fn(&Program, &Runs) -> Vec<f64>| {
        let (own, beside) = (find(own)?, find(other)?);
        ratio(&of(own.0, own.1), &of(beside.0, beside.1))
    };
    let check =
        |what: &str, own: &str, other: &str, most: f64, of: fn(&Program, &Runs) -> Vec<f64>| {
            compare(own, other, of).is_none_or(|ratio| {
                let verdict = if ratio <= most { "met" } else { "missed" };
                println!("- {what} beside {other}: {ratio:.3}, at most {most:.2}: {verdict}");
                ratio <= most
            })
        };
    let cpu = |_: &Program, runs: &Runs| runs.fetches.iter().map(|run| run.cpu).collect();
    let peak = |_: &Program, runs: &Runs| runs.fetches.iter().map(|run| run.peak).collect();
    let wall = |_: &Program, runs: &Runs| runs.fetches.iter().map(|run| run.wall).collect();
    let size = |program: &Program, _: &Runs| vec![kibibytes(program.size)];
    let mut met = true;
    println!();
    for (own, other) in [("ours, size", "bare, size"), ("ours, speed", "bare, speed")] {
        check("CPU time", own, other, 1.10, cpu);
        met &= check("peak memory", own, other, 1.10, peak);
    }
    let (sdk, most) = ("aws-ring, size", 0.5);
    let small = check("size", "ours, size", sdk, most, size);
    // The size of `bare` is the minimum for this library too. If `bare` did not run, nothing is
    // checked.
    match compare("bare, size", sdk, size) {
        Some(least) if least > most => println!(
            "  which is out of reach: bare ureq, rustls and serde_json alone are {least:.3} of it"
        ),
        Some(_) => met &= small,
        None => {}
    }
    met &= check("peak memory", "ours, size", sdk, 0.75, peak);
    for (program, trips) in trips(programs, runs) {
        if program.name.starts_with("ours") {
            let own = steps(trips).map(|counts| counts.round_trips);
            let few = own.iter().zip(MAX_ROUND_TRIPS).all(|(own, most)| *own <= most);
            let verdict = if few { "met" } else { "missed" };
            println!("- round trips: {own:?}, at most {MAX_ROUND_TRIPS:?}: {verdict}");
            met &= few;
        }
    }
    for program in programs {
        let name = &*program.name;
        if !["ours", "bare"].iter().any(|ours| name.starts_with(ours)) && !name.ends_with("size") {
            check("wall time", "ours, speed", name, 1.0, wall);
        }
    }
    met
}

fn handshakes(own: &Runs) -> String {
    let of = |field: fn(&Run) -> f64| median(own.fetches.iter().map(field)).unwrap_or_default();
    match (of(|run| run.full), of(|run| run.resumed)) {
        (full, 0.0) => full.to_string(),
        (full, resumed) => format!("{full}, {resumed} resumed"),
    }
}

fn kibibytes(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes / 1024).unwrap_or(u32::MAX))
}

fn cell(value: Option<f64>, digits: usize, ratio: Option<f64>) -> String {
    match (value, ratio) {
        (None, _) => "–".to_owned(),
        (Some(value), None) => format!("{value:.digits$}"),
        (Some(value), Some(ratio)) => format!("{value:.digits$} ({ratio:.2})"),
    }
}
