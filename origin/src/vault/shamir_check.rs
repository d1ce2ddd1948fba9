//! Dealing and combining held against a second Shamir implementation, subset by subset, and the
//! coefficients held against the uniform distribution.

use super::collector::Collector;
use super::entropy::Entropy;
use super::secret::{Key32, UnsealKey};
use super::shamir::{Quorum, combine, deal};
use super::share::{SetId, Share};
use super::share_set::ShareSet;
use super::testing::Seeded;

const SET: SetId = SetId([2; 16]);

/// GF(256) modulo x^8 + x^4 + x^3 + x^2 + 1, bit by bit: no tables, nothing of the library.
mod gf256 {
    pub(super) fn multiply(mut a: u8, mut b: u8) -> u8 {
        let mut product = 0;
        while b != 0 {
            if b & 1 == 1 {
                product ^= a;
            }
            a = if a & 0x80 == 0 { a << 1 } else { a << 1 ^ 0x1d };
            b >>= 1;
        }
        product
    }

    /// a^254, the inverse by Fermat.
    pub(super) fn invert(a: u8) -> u8 {
        (0..254).fold(1, |power, _| multiply(power, a))
    }

    pub(super) fn interpolate_at_zero(points: &[(u8, u8)]) -> u8 {
        points.iter().fold(0, |sum, (x, y)| {
            let others = points.iter().filter(|(other, _)| other != x);
            let weight = others.fold(1, |w, (other, _)| multiply(w, multiply(*other, invert(other ^ x))));
            sum ^ multiply(weight, *y)
        })
    }

    /// Coefficients from the constant upwards.
    pub(super) fn evaluate(polynomial: &[u8], x: u8) -> u8 {
        polynomial.iter().rev().fold(0, |value, coefficient| multiply(value, x) ^ coefficient)
    }
}

fn secret(seed: u64) -> UnsealKey {
    UnsealKey(Key32::random(&mut Seeded::new(seed)).unwrap())
}

fn dealt(secret: &UnsealKey, threshold: u8, total: u8, seed: u64) -> (ShareSet, Vec<Share>) {
    deal(secret, Quorum::new(threshold, total).unwrap(), SET, 0, &mut Seeded::new(seed)).unwrap()
}

fn copy(share: &Share) -> Share {
    let y = Key32::from_array(*share.y().expose());
    Share::new(share.set_id(), share.generation(), share.index(), y).unwrap()
}

fn subsets(total: u8, size: u8) -> Vec<Vec<usize>> {
    let all = 0..1_u32 << total;
    let chosen = all.filter(|mask| mask.count_ones() == u32::from(size));
    chosen.map(|mask| (0..usize::from(total)).filter(|at| mask >> at & 1 == 1).collect()).collect()
}

fn second_implementation(shares: &[Share], chosen: &[usize]) -> Vec<u8> {
    let byte = |at: usize| {
        let points: Vec<_> = chosen.iter().map(|i| (shares[*i].index(), shares[*i].y().expose()[at])).collect();
        gf256::interpolate_at_zero(&points)
    };
    (0..32).map(byte).collect()
}

const QUORUMS: [(u8, u8); 9] = [(2, 2), (2, 3), (3, 3), (3, 5), (4, 7), (5, 9), (2, 16), (15, 16), (16, 16)];

#[test]
fn all_subsets_of_t_open_and_both_implementations_agree() {
    for (threshold, total) in QUORUMS {
        let key = secret(u64::from(total));
        let (set, shares) = dealt(&key, threshold, total, 5);
        for chosen in subsets(total, threshold) {
            let mut collector = Collector::new(set.clone());
            for at in &chosen {
                collector.submit(copy(&shares[*at])).unwrap();
            }
            assert_eq!(collector.combine().as_ref(), Some(&key), "{threshold} of {total}: {chosen:?}");
            assert_eq!(second_implementation(&shares, &chosen), key.0.expose(), "{threshold} of {total}: {chosen:?}");
        }
    }
}

#[test]
fn no_subset_of_t_minus_1_opens() {
    for (threshold, total) in QUORUMS {
        let key = secret(u64::from(total));
        let (set, shares) = dealt(&key, threshold, total, 6);
        for chosen in subsets(total, threshold - 1) {
            let mut collector = Collector::new(set.clone());
            for at in &chosen {
                collector.submit(copy(&shares[*at])).unwrap();
            }
            assert!(collector.combine().is_none());
            // Nor does the mathematics give it to who goes round the collector.
            assert_ne!(second_implementation(&shares, &chosen), key.0.expose(), "{threshold} of {total}: {chosen:?}");
        }
    }
}

/// With t − 1 shares in hand, every secret is still possible: for each candidate byte there is a
/// polynomial through it and the shares.
#[test]
fn t_minus_1_shares_exclude_no_secret() {
    let (_, shares) = dealt(&secret(1), 3, 5, 9);
    let known: Vec<_> = shares[..2].iter().map(|share| (share.index(), share.y().expose()[0])).collect();
    let mut seen = [false; 256];
    for missing in 0..=255 {
        let points = [known.as_slice(), &[(3, missing)]].concat();
        seen[usize::from(gf256::interpolate_at_zero(&points))] = true;
    }
    assert!(seen.iter().all(|possible| *possible));
}

#[test]
fn shares_dealt_by_the_second_implementation_combine_here() {
    for (threshold, total) in QUORUMS {
        let mut entropy = Seeded::new(u64::from(threshold) << 8 | u64::from(total));
        let mut polynomials = vec![vec![0; usize::from(threshold)]; 32];
        polynomials.iter_mut().for_each(|polynomial| entropy.fill(polynomial).unwrap());
        let key: Vec<u8> = polynomials.iter().map(|polynomial| polynomial[0]).collect();
        // The last t of them; also indices that our own dealing never gives.
        let indices = (total - threshold + 1..=total).map(|index| if total == 16 { index * 15 } else { index });
        let shares: Vec<Share> = indices
            .map(|x| {
                let y: Vec<u8> = polynomials.iter().map(|polynomial| gf256::evaluate(polynomial, x)).collect();
                Share::new(SET, 0, x, Key32::from_slice(&y).unwrap()).unwrap()
            })
            .collect();
        let combined = combine(Quorum::new(threshold, total).unwrap(), &shares).unwrap();
        assert_eq!(combined.0.expose().as_slice(), key, "{threshold} of {total}");
    }
}

/// Counts the coefficient of x over many dealings of 2 shares: (y1 − y2) / (x1 − x2).
fn coefficients(dealings: u64) -> [u64; 256] {
    let key = secret(1);
    let quorum = Quorum::new(2, 2).unwrap();
    let mut entropy = Seeded::new(2026);
    let difference = gf256::invert(1 ^ 2);
    let mut counts = [0; 256];
    for _ in 0..dealings {
        let (_, shares) = deal(&key, quorum, SET, 0, &mut entropy).unwrap();
        for (y1, y2) in shares[0].y().expose().iter().zip(shares[1].y().expose()) {
            counts[usize::from(gf256::multiply(y1 ^ y2, difference))] += 1;
        }
    }
    counts
}

fn chi_squared(counts: &[u64]) -> f64 {
    let total: u64 = counts.iter().sum();
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let (total, cells) = (total as f64, counts.len() as f64);
    let expected = total / cells;
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let terms = counts.iter().map(|count| (*count as f64 - expected).powi(2) / expected);
    terms.sum()
}

#[test]
fn coefficients_are_uniform_zero_included() {
    let counts = coefficients(32_000);
    assert_eq!(counts.iter().sum::<u64>(), 1_024_000);
    let statistic = chi_squared(&counts);
    println!("chi-squared of 1,024,000 coefficients: {statistic:.1} (255 degrees of freedom)");
    // 255 degrees of freedom: 1 in 10^4 of uniform samples is above 347, 1 in 10^4 below 178.
    assert!((178.0..347.0).contains(&statistic), "{statistic}");

    // What RUSTSEC-2024-0398 did (never a zero) is far outside: the test can fail.
    let mut biased = counts;
    biased[0] = 0;
    assert!(chi_squared(&biased) > 1000.0);
}
