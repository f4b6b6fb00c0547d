//! The comparison of signatures takes no longer the better a guess is: Welch's t-test over interleaved measurements
//! of two kinds of guesses (the method of "Dude, is my code constant time?", Reparaz, Balasch, Verbauwhede, 2017).
//!
//! The same test finds a comparison that ends at the first difference: else it would prove nothing.

use std::hint::black_box;
use std::time::Instant;

use super::*;

/// Beyond this, the two kinds surely take different times.
const T_MAX: f64 = 4.5;
const SAMPLES: usize = 60_000;
/// Comparisons of one measurement: one alone is below what a clock tells.
const REPEATS: usize = 8;
/// A busy machine may spoil a run for reasons of its own; a leak spoils every run.
const RUNS: usize = 5;

/// Mean and variance of the times, without the slowest tenth: that is the machine's doing.
fn moments(times: &mut [f64]) -> (f64, f64, f64) {
    times.sort_by(f64::total_cmp);
    let kept = &times[..times.len() * 9 / 10];
    let count = kept.len() as f64;
    let mean = kept.iter().sum::<f64>() / count;
    let variance = kept.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, variance, count)
}

/// Welch's t of the times that `compare` takes for guesses right up to the last byte, and wrong from the first.
fn t_of(compare: impl Fn(&[u8; 32]) -> bool, right: &[u8; 32]) -> f64 {
    let (mut near, mut far) = (*right, *right);
    near[31] ^= 1;
    far[0] ^= 1;
    let mut times = [Vec::with_capacity(SAMPLES), Vec::with_capacity(SAMPLES)];
    let mut random = fastrand::Rng::with_seed(0xD0DE);
    for _ in 0..SAMPLES {
        let kind = random.usize(0..2);
        let guess = if kind == 0 { near } else { far };
        let began = Instant::now();
        for _ in 0..REPEATS {
            assert!(!black_box(compare(black_box(&guess))));
        }
        times[kind].push(began.elapsed().as_nanos() as f64);
    }
    let [near, far] = &mut times;
    let ((mean, variance, count), (other_mean, other_variance, other_count)) = (moments(near), moments(far));
    (mean - other_mean) / (variance / count + other_variance / other_count).sqrt()
}

#[test]
fn a_better_guess_takes_no_longer() {
    let verifier = Verifier::new(&[Product::Tracking], Secrets::new(vec!["0123456789abcdef".to_owned()]));
    let body = b"{}";
    let right = {
        let mut mac = keyed_with("0123456789abcdef");
        mac.update(body);
        <[u8; 32]>::from(mac.finalize().into_bytes())
    };
    let verify = |digest: &[u8; 32]| verifier.verify(&Claim { digest: *digest, foreign: None }, body).is_ok();
    assert!(verify(&right));

    let ts: Vec<f64> = (0..RUNS).map(|_| t_of(verify, &right).abs()).collect();

    println!("|t| of {RUNS} runs: {ts:.2?}");
    assert!(ts.iter().any(|t| *t < T_MAX), "every run tells a good guess from a bad one: {ts:?}");
}

#[test]
fn a_comparison_that_ends_at_the_first_difference_is_found() {
    let right = [7; 32];
    let naive = |guess: &[u8; 32]| {
        for (one, other) in guess.iter().zip(&right) {
            if black_box(one) != black_box(other) {
                return false;
            }
        }
        true
    };

    let ts: Vec<f64> = (0..RUNS).map(|_| t_of(naive, &right).abs()).collect();

    println!("|t| of {RUNS} runs: {ts:.2?}");
    assert!(ts.iter().all(|t| *t > T_MAX), "{ts:?}");
}
