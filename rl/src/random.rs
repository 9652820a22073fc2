//! NumPy's generator of random numbers (`np.random.Generator(np.random.PCG64(seed))`), from which Gymnasium's environments
//! draw: with the same seed, an episode here begins as it begins there.
//!
//! O'Neill, *PCG: A family of simple fast space-efficient statistically good algorithms for random number generation* (2014).

use serde::{Deserialize, Serialize};

/// The multiplier of PCG's 128-bit linear congruential generator.
const MULTIPLIER: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;

/// NumPy's default generator, PCG64, with the draws that environments need.
///
/// ```
/// use flambeau_rl::Pcg64;
///
/// // np.random.default_rng(123).uniform(-0.05, 0.05)
/// assert_eq!(Pcg64::new(123).uniform(-0.05, 0.05), 0.018235186324814343);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pcg64 {
    /// The state and the increment, each as its high and its low half: JSON has no integers of 128 bits.
    state: [u64; 2],
    increment: [u64; 2],
    /// The half of a 64-bit number that a 32-bit draw has left over.
    left_over: Option<u32>,
}

impl Pcg64 {
    /// `np.random.default_rng(seed)`.
    pub fn new(seed: u64) -> Pcg64 {
        let [a, b, c, d] = seed_sequence(seed);
        let increment = (join([c, d]) << 1) | 1;
        let state = increment
            .wrapping_add(join([a, b]))
            .wrapping_mul(MULTIPLIER)
            .wrapping_add(increment);
        Pcg64 {
            state: halves(state),
            increment: halves(increment),
            left_over: None,
        }
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let state = join(self.state)
            .wrapping_mul(MULTIPLIER)
            .wrapping_add(join(self.increment));
        self.state = halves(state);
        (self.state[0] ^ self.state[1]).rotate_right((self.state[0] >> 58) as u32)
    }

    /// 32 random bits; two draws share one of 64.
    pub fn next_u32(&mut self) -> u32 {
        if let Some(high) = self.left_over.take() {
            return high;
        }
        let bits = self.next_u64();
        self.left_over = Some((bits >> 32) as u32);
        bits as u32
    }

    /// A number in `[0, 1)`.
    pub fn random(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number in `[low, high)`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.random()
    }

    /// An integer in `0..n` (`Generator.integers`, and the index that `Generator.choice` draws); 0 if `n` is 0.
    pub fn below(&mut self, n: u32) -> u32 {
        // One possibility takes no draw. Lemire, *Fast random integer generation in an interval* (2019).
        if n <= 1 {
            return 0;
        }
        let mut product = u64::from(self.next_u32()) * u64::from(n);
        if (product as u32) < n {
            let threshold = n.wrapping_neg() % n;
            while (product as u32) < threshold {
                product = u64::from(self.next_u32()) * u64::from(n);
            }
        }
        (product >> 32) as u32
    }

    /// The first index whose cumulated probability is above a draw (Gymnasium's `categorical_sample`).
    pub fn categorical(&mut self, probabilities: impl IntoIterator<Item = f64>) -> usize {
        let draw = self.random();
        let mut sum = 0.0;
        let found = probabilities.into_iter().position(|p| {
            sum += p;
            sum > draw
        });
        found.unwrap_or(0)
    }
}

fn join([high, low]: [u64; 2]) -> u128 {
    u128::from(high) << 64 | u128::from(low)
}

fn halves(x: u128) -> [u64; 2] {
    [(x >> 64) as u64, x as u64]
}

/// `np.random.SeedSequence(seed).generate_state(4, np.uint64)`: a pool of four words into which the seed is hashed.
fn seed_sequence(seed: u64) -> [u64; 4] {
    let entropy = [seed as u32, (seed >> 32) as u32];
    let words = if entropy[1] == 0 { 1 } else { 2 };
    let mut constant = 0x43b0_d7e5u32;
    let mut hash = |value: u32| {
        let value = value ^ constant;
        constant = constant.wrapping_mul(0x931e_8875);
        let value = value.wrapping_mul(constant);
        value ^ (value >> 16)
    };
    let mix = |x: u32, y: u32| {
        let mixed = x
            .wrapping_mul(0xca01_f9dd)
            .wrapping_sub(y.wrapping_mul(0x4973_f715));
        mixed ^ (mixed >> 16)
    };
    let mut pool = [0u32; 4];
    for (i, word) in pool.iter_mut().enumerate() {
        *word = hash(if i < words { entropy[i] } else { 0 });
    }
    for source in 0..4 {
        for target in 0..4 {
            if source != target {
                pool[target] = mix(pool[target], hash(pool[source]));
            }
        }
    }
    let mut constant = 0x8b51_f9ddu32;
    let mut word = |i: usize| {
        let value = pool[i % 4] ^ constant;
        constant = constant.wrapping_mul(0x58f3_8ded);
        let value = value.wrapping_mul(constant);
        u64::from(value ^ (value >> 16))
    };
    std::array::from_fn(|i| {
        let low = word(2 * i);
        low | word(2 * i + 1) << 32
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_streams_are_those_of_numpy() {
        // rng = np.random.default_rng(seed): rng.random(), rng.integers(13) three times, rng.random(), rng.integers(2**31).
        let draw = |seed| {
            let mut rng = Pcg64::new(seed);
            let first = rng.random();
            let cards = [(); 3].map(|()| rng.below(13));
            (first, cards, rng.random(), rng.below(1 << 31))
        };
        assert_eq!(draw(0), DRAWS[0]);
        assert_eq!(draw(12_345_678_901_234_567_890), DRAWS[1]);
    }

    const DRAWS: [(f64, [u32; 3], f64, u32); 2] = [
        (0.6369616873214543, [6, 3, 4], 0.016527635528529094, 87989972),
        (0.004224879795573511, [6, 8, 10], 0.9843050417988058, 1305413438),
    ];

    #[test]
    fn a_saved_state_goes_on() {
        let mut rng = Pcg64::new(5);
        rng.next_u32();
        let saved = serde_json::to_value(&rng).unwrap();
        let mut other: Pcg64 = serde_json::from_value(saved).unwrap();
        assert_eq!(
            [other.next_u32(), other.next_u32()],
            [rng.next_u32(), rng.next_u32()]
        );
    }
}
