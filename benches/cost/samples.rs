//! Times of one thing that was done often.

use std::time::Duration;

/// The times of single rounds, in any order.
#[derive(Default)]
pub struct Samples(Vec<Duration>);

impl Samples {
    pub fn push(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    /// In microseconds; `part` of all samples are not longer.
    pub fn percentile(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = ((sorted.len() - 1) as f64 * part).round() as usize;
        tenths(micros(sorted[at]))
    }

    /// In microseconds.
    pub fn median(&self) -> f64 {
        self.percentile(0.5)
    }
}

pub fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// More places than that say nothing.
pub fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

pub fn hundredths(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
