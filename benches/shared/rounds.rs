//! Ratios that do not depend on the load of the machine: the candidates are timed in turn, and each
//! ratio is the median of the ratios within a round.

use std::time::Instant;

const ROUNDS: usize = 31;

/// Returns the nanoseconds for each call.
pub(crate) fn time(calls: u32, mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..calls {
        call();
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
}

/// The times of all rounds, in nanoseconds.
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

/// Returns `true` if the benches only run once, for their assertions.
pub(crate) fn only_tested() -> bool {
    std::env::args().any(|argument| argument == "--test")
}
