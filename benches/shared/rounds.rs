//! Ratios that do not depend on the machine's load: what is compared is timed by turns, and each
//! ratio is the median of those within a round.

use std::time::Instant;

const ROUNDS: usize = 31;

/// Nanoseconds for each of so many calls.
pub(crate) fn time(calls: u32, mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..calls {
        call();
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
}

/// What was timed by turns, in nanoseconds.
pub(crate) struct Rounds<const N: usize>(Vec<[f64; N]>);

impl<const N: usize> Rounds<N> {
    pub(crate) fn run(round: impl FnMut() -> [f64; N]) -> Self {
        Self(std::iter::repeat_with(round).take(ROUNDS).collect())
    }

    pub(crate) fn ns(&self, which: usize) -> f64 {
        self.median(|round| round[which])
    }

    pub(crate) fn ratio(&self, which: usize, to: usize) -> f64 {
        self.median(|round| round[which] / round[to])
    }

    fn median(&self, figure: impl Fn(&[f64; N]) -> f64) -> f64 {
        let mut figures: Vec<_> = self.0.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures[ROUNDS / 2]
    }
}

/// Whether the benches are to be run once, with their assertions, and not to be timed.
pub(crate) fn only_tested() -> bool {
    std::env::args().any(|argument| argument == "--test")
}
