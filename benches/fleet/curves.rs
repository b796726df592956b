//! The curves as an SVG, legible on light and on dark.

use std::fmt::Write;

use crate::sim::Outcome;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 70.0;
/// From the top of one chart to the top of the next.
const PITCH: f64 = 350.0;

/// What a policy is called, and the class of its line.
const LINES: [(&str, &str); 4] = [
    ("JavaScript (v2)", "a"),
    ("AWS SDKs, standard mode", "b"),
    ("ours, before", "c"),
    ("ours", "d"),
];

const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#333}.t{font-size:15px;font-weight:600}\
.bg{fill:#fff}.g{stroke:#8884;fill:none}.q{stroke:#888;stroke-dasharray:5 4;fill:none}\
.l{fill:none;stroke-width:1.6}.a{stroke:#c2410c}.b{stroke:#7c3aed}.c{stroke:#0891b2}\
.d{stroke:#15803d;stroke-width:3}\
@media(prefers-color-scheme:dark){text{fill:#ddd}.bg{fill:#0d1117}.a{stroke:#fb923c}\
.b{stroke:#c4b5fd}.c{stroke:#67e8f9}.d{stroke:#4ade80}}";

/// One axis: from where to where, the marks on it, and whether it is logarithmic.
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

    /// Powers of ten that enclose everything from `least` to `most`.
    fn logarithmic(least: f64, most: f64) -> Self {
        let (low, high) = (least.log10().floor() as i32, most.log10().ceil() as i32);
        let marks = (low..=high).map(|power| 10_f64.powi(power)).map(|mark| (mark, number(mark)));
        let (from, to) = (10_f64.powi(low), 10_f64.powi(high));
        Self { from, to, marks: marks.collect(), logarithmic: true }
    }

    /// Where a value lies between the ends, from 0 to 1.
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
    fn new(number: u8, title: &str, x: Axis, y: Axis, x_label: &str, y_label: &str) -> Self {
        let top = TOP + f64::from(number) * PITCH;
        let mut chart = Self { svg: String::new(), top, x, y };
        let (right, bottom, middle) = (LEFT + WIDTH, top + HEIGHT, LEFT + WIDTH / 2.0);
        chart.text(LEFT, top - 14.0, "start", " class=\"t\"", title);
        chart.text(middle, bottom + 36.0, "middle", "", x_label);
        let turned = format!(" transform=\"rotate(-90 16 {})\"", top + HEIGHT / 2.0);
        chart.text(16.0, top + HEIGHT / 2.0, "middle", &turned, y_label);
        let mut grid = String::new();
        for (value, label) in std::mem::take(&mut chart.x.marks) {
            let at = chart.left(value);
            write!(grid, "M{at:.0} {top}V{bottom}").unwrap();
            chart.text(at, bottom + 17.0, "middle", "", &label);
        }
        for (value, label) in std::mem::take(&mut chart.y.marks) {
            let at = chart.height(value);
            write!(grid, "M{LEFT} {at:.0}H{right}").unwrap();
            chart.text(LEFT - 8.0, at + 4.0, "end", "", &label);
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
        let mut path = String::new();
        let mut last = (0.0, f64::NAN);
        let mut skipped = false;
        for (x, y) in points {
            let point = (self.left(x), self.height(y));
            // A flat piece needs its ends alone.
            let flat = (point.1 - last.1).abs() < 0.05;
            if !flat && skipped {
                write!(path, "L{:.0} {:.1}", last.0, last.1).unwrap();
            }
            if !flat {
                let command = if path.is_empty() { 'M' } else { 'L' };
                write!(path, "{command}{:.0} {:.1}", point.0, point.1).unwrap();
            }
            skipped = flat;
            last = (point.0, if flat { last.1 } else { point.1 });
        }
        if skipped {
            write!(path, "L{:.0} {:.1}", last.0, last.1).unwrap();
        }
        self.path(class, &path);
    }

    /// The policies' lines, of which each may end early.
    fn lines(&mut self, lines: impl Iterator<Item = Vec<(f64, f64)>>) {
        for ((_, class), points) in LINES.iter().zip(lines) {
            self.line(&format!("l {class}"), points.into_iter());
        }
    }
}

fn number(value: f64) -> String {
    match value as u64 {
        thousands @ 1_000..1_000_000 => format!("{},{:03}", thousands / 1_000, thousands % 1_000),
        millions @ 1_000_000.. => format!("{} million", millions / 1_000_000),
        small => format!("{small}"),
    }
}

/// The sum of a figure for each bucket of some seconds, with the middle of the bucket.
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

/// How a sum goes on, as one value for each second.
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

/// Three charts of the same fleet: a power-up with stored identities, the calls that it makes, and
/// an outage, of which each policy has several runs, with the second in which it begins.
pub(crate) fn draw(runs: &[Vec<(usize, Outcome)>; 4], devices: u32, quota: f64) -> String {
    let outcomes = runs.each_ref().map(|runs| &runs[0].1);
    let devices = f64::from(devices);
    let ideal = devices / quota;
    let longest = outcomes.iter().map(|outcome| outcome.all).fold(ideal, f64::max);
    let end = ((longest * 1.1 / 100.0).ceil() * 100.0) as usize;
    let seconds = |value: f64| format!("{value:.0}");
    let time = || Axis::linear(0.0, end as f64, (end / 100) as u32, seconds);
    let percent = |value: f64| format!("{value:.0} %");

    let title =
        format!("{} devices power up in one minute: who holds credentials", number(devices));
    let y = Axis::linear(0.0, 100.0, 5, percent);
    let mut held = Chart::new(0, &title, time(), y, "seconds since the power-up", "devices");
    held.lines(outcomes.iter().map(|outcome| {
        let served = running(&outcome.seconds, |second| f64::from(second.served));
        buckets(&served, 0, end, 4, |served| 100.0 * served / devices)
    }));
    held.line("q", [(0.0, 0.0), (ideal, 100.0)].into_iter());

    let most = outcomes.iter().flat_map(|outcome| outcome.seconds.iter().take(end));
    let most = f64::from(most.map(|second| second.calls).max().unwrap_or(1));
    let y = Axis::logarithmic(quota / 10.0, most);
    let title = "The calls that it makes";
    let mut calls =
        Chart::new(1, title, time(), y, "seconds since the power-up", "calls per second");
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
    let top = (most / 5.0).ceil() * 5.0;
    let minutes = |value: f64| format!("{:.0}", value / 60.0);
    let x = Axis::linear(-300.0, 1500.0, 6, minutes);
    let y = Axis::linear(0.0, top, (top / 5.0) as u32, percent);
    let title = "Ten minutes' outage: who wants credentials and has none (mean of six such days)";
    let label = "minutes since the outage began";
    let mut outage = Chart::new(2, title, x, y, label, "devices");
    outage.lines(without.into_iter());
    outage.line("q", [(0.0, 0.0), (0.0, top)].into_iter());
    outage.line("q", [(600.0, 0.0), (600.0, top)].into_iter());

    let (width, height) = (LEFT + WIDTH + 30.0, TOP + 3.0 * PITCH - 20.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>A fleet of devices against Cognito's quotas</title>\n<style>{STYLE}</style>\n\
         <rect class=\"bg\" width=\"{width}\" height=\"{height}\"/>\n"
    );
    let mut x = LEFT;
    for (name, class) in LINES {
        writeln!(svg, "<path class=\"l {class}\" d=\"M{x} 20h24\"/>").unwrap();
        writeln!(svg, "<text x=\"{}\" y=\"24\">{name}</text>", x + 30.0).unwrap();
        x += 52.0 + 6.6 * name.len() as f64;
    }
    writeln!(svg, "<path class=\"q\" d=\"M{x} 20h24\"/>").unwrap();
    writeln!(svg, "<text x=\"{}\" y=\"24\">quota</text>", x + 30.0).unwrap();
    for chart in [held, calls, outage] {
        svg.push_str(&chart.svg);
    }
    svg.push_str("</svg>\n");
    svg
}
