//! Draws the curves as an SVG for light and dark pages.

use std::fmt::Write;

use crate::sim::Outcome;

/// The size of one chart.
const WIDTH: f64 = 700.0;
const HEIGHT: f64 = 130.0;
const LEFT: f64 = 76.0;
const TOP: f64 = 78.0;
/// The distance between the tops of two charts.
const PITCH: f64 = 220.0;

/// For each policy: its name, the class of its line, and the width of its name in the legend.
const LINES: [(&str, &str, f64); 3] = [
    ("AWS SDK for JavaScript v2", "a", 200.0),
    ("AWS SDKs, standard mode", "b", 204.0),
    ("this library", "c", 86.0),
];

/// The largest distance, in pixels, between a line and a point that it omits.
const TOLERANCE: f64 = 0.8;

// The picture has its own background: the page of an `<img>` can be light while the picture is
// dark.
const STYLE: &str = "\
text{font:15px system-ui,sans-serif;fill:#333}.t{font-size:16px;font-weight:600}\
.bg{fill:#fff;stroke:#d0d7de}.g{stroke:#d8dee4;fill:none}.o{fill:#eaeef2}\
.q{stroke:#6e7781;stroke-width:1.5;stroke-dasharray:5 4;fill:none}\
.l{fill:none;stroke-width:1.8;stroke-linejoin:round}.a{stroke:#c2410c}.b{stroke:#7c3aed}\
.c{stroke:#15803d;stroke-width:4}\
@media(prefers-color-scheme:dark){text{fill:#ddd}.bg{fill:#0d1117;stroke:#30363d}.g{stroke:#30363d}\
.o{fill:#21262d}.q{stroke:#9198a1}.a{stroke:#fb923c}.b{stroke:#c4b5fd}.c{stroke:#4ade80}}";

/// An axis with its marks.
struct Axis {
    from: f64,
    to: f64,
    marks: Vec<(f64, String)>,
    logarithmic: bool,
}

impl Axis {
    fn linear(from: f64, to: f64, parts: u32, label: impl Fn(f64) -> String) -> Self {
        let mark = |part| from + (to - from) * f64::from(part) / f64::from(parts);
        let marks = (0..=parts).map(|part| (mark(part), label(mark(part)))).collect();
        Self { from, to, marks, logarithmic: false }
    }

    /// Creates an axis of powers of ten that contains the values from `least` to `most`.
    fn logarithmic(least: f64, most: f64) -> Self {
        let (low, high) = (least.log10().floor() as i32, most.log10().ceil() as i32);
        let marks = (low..=high).map(|power| 10_f64.powi(power)).map(|mark| (mark, number(mark)));
        let (from, to) = (10_f64.powi(low), 10_f64.powi(high));
        Self { from, to, marks: marks.collect(), logarithmic: true }
    }

    /// Returns the position of a value on the axis, from 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let place = if self.logarithmic {
            (value.max(self.from) / self.from).ln() / (self.to / self.from).ln()
        } else {
            (value - self.from) / (self.to - self.from)
        };
        place.clamp(0.0, 1.0)
    }
}

struct Chart {
    svg: String,
    top: f64,
    x: Axis,
    y: Axis,
}

impl Chart {
    fn new(number: u8, title: &str, x: Axis, y: Axis, x_label: &str) -> Self {
        let top = TOP + f64::from(number) * PITCH;
        let mut chart = Self { svg: String::new(), top, x, y };
        let (right, bottom, middle) = (LEFT + WIDTH, top + HEIGHT, LEFT + WIDTH / 2.0);
        chart.text(20.0, top - 16.0, "start", " class=\"t\"", title);
        chart.text(middle, bottom + 41.0, "middle", "", x_label);
        let mut grid = String::new();
        for (value, label) in std::mem::take(&mut chart.x.marks) {
            let at = chart.left(value);
            write!(grid, "M{at:.0} {top}V{bottom}").unwrap();
            chart.text(at, bottom + 20.0, "middle", "", &label);
        }
        for (value, label) in std::mem::take(&mut chart.y.marks) {
            let at = chart.height(value);
            write!(grid, "M{LEFT} {at:.0}H{right}").unwrap();
            chart.text(LEFT - 8.0, at + 5.0, "end", "", &label);
        }
        chart.path("g", &grid);
        chart
    }

    fn left(&self, value: f64) -> f64 {
        LEFT + WIDTH * self.x.place(value)
    }

    fn height(&self, value: f64) -> f64 {
        self.top + HEIGHT * (1.0 - self.y.place(value))
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, more: &str, text: &str) {
        let place = format!("x=\"{x:.0}\" y=\"{y:.0}\" text-anchor=\"{anchor}\"");
        writeln!(self.svg, "<text {place}{more}>{text}</text>").unwrap();
    }

    fn path(&mut self, class: &str, path: &str) {
        writeln!(self.svg, "<path class=\"{class}\" d=\"{path}\"/>").unwrap();
    }

    fn line(&mut self, class: &str, points: impl Iterator<Item = (f64, f64)>) {
        let points: Vec<_> = points.map(|(x, y)| (self.left(x), self.height(y))).collect();
        let mut path = String::new();
        for (x, y) in simplified(&points) {
            let command = if path.is_empty() { 'M' } else { 'L' };
            write!(path, "{command}{x:.0} {y:.0}").unwrap();
        }
        self.path(class, &path);
    }

    /// Draws the lines of the policies. The last one is the widest and is drawn first, below the
    /// others.
    fn lines(&mut self, lines: impl DoubleEndedIterator<Item = Vec<(f64, f64)>>) {
        for ((_, class, _), points) in LINES.iter().rev().zip(lines.rev()) {
            self.line(&format!("l {class}"), points.into_iter());
        }
    }
}

/// Returns the points that keep the shape of the line (the Douglas-Peucker algorithm).
fn simplified(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let (Some(&first), Some(&last)) = (points.first(), points.last()) else { return Vec::new() };
    let (across, down) = (last.0 - first.0, last.1 - first.1);
    let distance = |point: &(f64, f64)| {
        (across * (first.1 - point.1) - (first.0 - point.0) * down).abs() / across.hypot(down)
    };
    let farthest = points.iter().map(distance).enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
    match farthest {
        Some((middle, distance)) if distance > TOLERANCE => {
            let mut kept = simplified(&points[..=middle]);
            kept.pop();
            kept.extend(simplified(&points[middle..]));
            kept
        }
        _ => vec![first, last],
    }
}

fn number(value: f64) -> String {
    match value as u64 {
        thousands @ 1_000..1_000_000 => format!("{},{:03}", thousands / 1_000, thousands % 1_000),
        millions @ 1_000_000.. => format!("{} million", millions / 1_000_000),
        small => format!("{small}"),
    }
}

/// Returns the mean of `figure` for each `width` seconds, with the middle of that time.
fn buckets<T>(
    seconds: &[T],
    from: usize,
    to: usize,
    width: usize,
    figure: impl Fn(&T) -> f64,
) -> Vec<(f64, f64)> {
    (from..to.min(seconds.len()))
        .step_by(width)
        .map(|start| {
            let bucket = &seconds[start..(start + width).min(seconds.len())];
            let sum: f64 = bucket.iter().map(&figure).sum();
            ((start - from) as f64 + width as f64 / 2.0, sum / bucket.len() as f64)
        })
        .collect()
}

/// Returns the sum of `figure` up to each second.
fn running<T>(seconds: &[T], figure: impl Fn(&T) -> f64) -> Vec<f64> {
    let mut sum = 0.0;
    seconds
        .iter()
        .map(|second| {
            sum += figure(second);
            sum
        })
        .collect()
}

/// Draws three charts of a fleet: a start with stored identities, the calls per second, and an
/// outage. Each policy has several runs, each with the second in which its outage begins.
pub(crate) fn draw(runs: &[Vec<(usize, Outcome)>; 3], devices: u32, quota: f64) -> String {
    let outcomes = runs.each_ref().map(|runs| &runs[0].1);
    let devices = f64::from(devices);
    let ideal = devices / quota;
    let longest = outcomes.iter().map(|outcome| outcome.all).fold(ideal, f64::max);
    let end = ((longest * 1.1 / 100.0).ceil() * 100.0) as usize;
    let seconds = |value: f64| format!("{value:.0}");
    let time = || Axis::linear(0.0, end as f64, (end / 100) as u32, seconds);
    let percent = |value: f64| format!("{value:.0} %");

    let title =
        format!("{} devices power up within a minute: share with credentials", number(devices));
    let y = Axis::linear(0.0, 100.0, 2, percent);
    let mut held = Chart::new(0, &title, time(), y, "seconds since the power-up");
    held.lines(outcomes.iter().map(|outcome| {
        let served = running(&outcome.seconds, |second| f64::from(second.served));
        buckets(&served, 0, end, 4, |served| 100.0 * served / devices)
    }));
    held.line("q", [(0.0, 0.0), (ideal, 100.0)].into_iter());

    let most = outcomes.iter().flat_map(|outcome| outcome.seconds.iter().take(end));
    let most = f64::from(most.map(|second| second.calls).max().unwrap_or(1));
    let y = Axis::logarithmic(quota / 10.0, most);
    let title = "Calls per second of all these devices (logarithmic scale)";
    let mut calls = Chart::new(1, title, time(), y, "seconds since the power-up");
    calls.lines(
        outcomes
            .iter()
            .map(|outcome| buckets(&outcome.seconds, 0, end, 4, |second| f64::from(second.calls))),
    );
    calls.line("q", [(0.0, quota), (end as f64, quota)].into_iter());

    let before = 300;
    let without: Vec<Vec<_>> = runs
        .iter()
        .map(|runs| {
            let mut mean: Vec<(f64, f64)> = Vec::new();
            for (outage, outcome) in runs {
                let without = running(&outcome.seconds, |second| second.without as f64);
                let share = |without: &f64| 100.0 * without / devices / runs.len() as f64;
                let points = buckets(&without, outage - before, outage + 1500, 10, share);
                mean.resize(points.len(), (0.0, 0.0));
                for (sum, (x, y)) in mean.iter_mut().zip(points) {
                    *sum = (x - before as f64, sum.1 + y);
                }
            }
            mean
        })
        .collect();
    let most = without.iter().flatten().map(|point| point.1).fold(1.0, f64::max);
    let top = (most / 10.0).ceil() * 10.0;
    let minutes = |value: f64| format!("{:.0}", value / 60.0);
    let x = Axis::linear(-300.0, 1500.0, 6, minutes);
    let y = Axis::linear(0.0, top, (top / 10.0) as u32, percent);
    let title = "An outage of ten minutes: share that needs credentials and has none";
    let label = "minutes since the outage began (mean of six outages)";
    let mut outage = Chart::new(2, title, x, y, label);
    let (begin, end) = (outage.left(0.0), outage.left(600.0));
    let area = format!("M{begin:.0} {}H{end:.0}V{}H{begin:.0}Z", outage.top, outage.top + HEIGHT);
    outage.svg.insert_str(0, &format!("<path class=\"o\" d=\"{area}\"/>\n"));
    outage.text(begin + 8.0, outage.top + 20.0, "start", "", "outage");
    outage.lines(without.into_iter());

    let (width, height) = (LEFT + WIDTH + 24.0, TOP + 2.0 * PITCH + HEIGHT + 56.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>Simulated devices and the quotas of Cognito</title>\n<style>{STYLE}</style>\n\
         <rect class=\"bg\" x=\".5\" y=\".5\" width=\"{}\" height=\"{}\" rx=\"6\"/>\n",
        width - 1.0,
        height - 1.0
    );
    let mut x = 20.0;
    for (name, class, name_width) in LINES {
        writeln!(svg, "<path class=\"l {class}\" d=\"M{x} 25h24\"/>").unwrap();
        writeln!(svg, "<text x=\"{}\" y=\"30\">{name}</text>", x + 30.0).unwrap();
        x += 52.0 + name_width;
    }
    writeln!(svg, "<path class=\"q\" d=\"M{x} 25h24\"/>").unwrap();
    writeln!(svg, "<text x=\"{}\" y=\"30\">quota</text>", x + 30.0).unwrap();
    for chart in [held, calls, outage] {
        svg.push_str(&chart.svg);
    }
    svg.push_str("</svg>\n");
    svg
}
