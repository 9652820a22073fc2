//! Random numbers: a seeded [`Generator`] whose streams are those of PyTorch's CPU generator.
//!
//! `Generator::new(seed)` is `torch.manual_seed(seed)`; every method then draws what the operation of that name draws in
//! PyTorch, in the same order, and leaves the generator where PyTorch would. Integers, masks and uniform numbers are the
//! same bits; so are normal numbers up to the last bit of the system's `log`, `sin` and `cos`.
//!
//! The words of the stream are drawn serially and only their transformation is spread over threads, so the numbers
//! never depend on the number of threads.
//!
//! - `mt19937`: the engine
//! - `uniform`: uniform floats and integers, Bernoulli masks, permutations
//! - `normal`: normal and log-normal numbers
//! - `distributions`: exponential, Cauchy, geometric, Poisson, binomial, gamma
//! - `multinomial`: draws from rows of weights

mod distributions;
mod mt19937;
mod multinomial;
mod normal;
mod number;
mod uniform;

use mt19937::Mt19937;

pub use mt19937::{Mt19937State, STATE_WORDS};
pub use multinomial::MultinomialError;
pub use number::{RandomFloat, RandomNumber};

/// The seed of a generator that nobody has seeded (PyTorch's default).
pub const DEFAULT_SEED: u64 = 67_280_421_310_721;

/// The length of [`Generator::to_bytes`], that of `torch.get_rng_state()`.
pub const STATE_BYTES: usize = 5056;

/// A seeded stream of random numbers: MT19937, and the half of a pair of normal numbers that awaits its use.
#[derive(Clone, Debug)]
pub struct Generator {
    seed: u64,
    engine: Mt19937,
    next_normal: Option<f64>,
}

/// Everything that determines what a [`Generator`] will draw.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneratorState {
    /// The seed that the stream began with. Only its low 32 bits matter to the stream.
    pub seed: u64,
    /// The engine's state.
    pub engine: Mt19937State,
    /// The second number of the last pair of normal numbers, if unused.
    pub next_normal: Option<f64>,
}

/// Why a saved state can't be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateError {
    /// The bytes have this length instead of [`STATE_BYTES`].
    Length(usize),
    /// The engine was never seeded, or its counters contradict each other.
    Invalid,
}

impl std::fmt::Display for StateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Length(len) => write!(f, "generator state: expected {STATE_BYTES} bytes, got {len}"),
            Self::Invalid => write!(f, "generator state: the Mersenne Twister's counters are invalid"),
        }
    }
}

impl std::error::Error for StateError {}

impl Default for Generator {
    fn default() -> Self {
        Self::new(DEFAULT_SEED)
    }
}

impl Generator {
    /// The stream of `torch.manual_seed(seed)`.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            engine: Mt19937::new(seed as u32),
            next_normal: None,
        }
    }

    /// Begins the stream of `seed` anew.
    pub fn manual_seed(&mut self, seed: u64) {
        *self = Self::new(seed);
    }

    /// Begins a stream that can't be foreseen (`torch.seed`) and returns its seed.
    pub fn seed(&mut self) -> u64 {
        use std::hash::{BuildHasher, RandomState};
        // The keys of `RandomState` are the standard library's only source of the system's randomness.
        let seed = RandomState::new().hash_one(std::time::SystemTime::now());
        self.manual_seed(seed);
        seed
    }

    /// The seed that the stream began with.
    pub fn initial_seed(&self) -> u64 {
        self.seed
    }

    /// What determines everything that this generator will draw.
    pub fn state(&self) -> GeneratorState {
        GeneratorState {
            seed: self.seed,
            engine: self.engine.state().clone(),
            next_normal: self.next_normal,
        }
    }

    /// Goes on from a saved state.
    ///
    /// # Errors
    /// When the engine's counters contradict each other; the generator is then unchanged.
    pub fn set_state(&mut self, state: GeneratorState) -> Result<(), StateError> {
        let Mt19937State { left, next, .. } = state.engine;
        let words = STATE_WORDS as u32;
        let exhausted = left == 1 && next <= words;
        let amid = (2..=words).contains(&left) && next == words + 1 - left;
        if !(exhausted || amid) {
            return Err(StateError::Invalid);
        }
        self.seed = state.seed;
        self.engine = Mt19937::from_state(state.engine);
        self.next_normal = state.next_normal;
        Ok(())
    }

    /// The state in the layout of `torch.get_rng_state()`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let engine = self.engine.state();
        let mut bytes = Vec::with_capacity(STATE_BYTES);
        bytes.extend(self.seed.to_le_bytes());
        bytes.extend(engine.left.to_le_bytes());
        bytes.extend(1u32.to_le_bytes());
        bytes.extend(u64::from(engine.next).to_le_bytes());
        for &word in &engine.words {
            bytes.extend(u64::from(word).to_le_bytes());
        }
        bytes.extend(0f64.to_le_bytes());
        bytes.extend(self.next_normal.unwrap_or(0.0).to_le_bytes());
        bytes.extend(0f64.to_le_bytes());
        bytes.extend(u64::from(self.next_normal.is_some()).to_le_bytes());
        // A cached single-precision normal number, which no CPU operation of PyTorch uses.
        bytes.extend(0u64.to_le_bytes());
        bytes
    }

    /// Goes on from the bytes of [`Self::to_bytes`] or of `torch.get_rng_state()`.
    ///
    /// # Errors
    /// When the length or the engine's counters are wrong; the generator is then unchanged.
    pub fn set_bytes(&mut self, bytes: &[u8]) -> Result<(), StateError> {
        if bytes.len() != STATE_BYTES {
            return Err(StateError::Length(bytes.len()));
        }
        let word = |i: usize| {
            let mut eight = [0; 8];
            eight.copy_from_slice(&bytes[8 * i..8 * i + 8]);
            u64::from_le_bytes(eight)
        };
        let (counters, next) = (word(1), word(2));
        if counters >> 32 != 1 || next > STATE_WORDS as u64 {
            return Err(StateError::Invalid);
        }
        let after = 3 + STATE_WORDS;
        let cached = word(after + 3) as u32 != 0;
        self.set_state(GeneratorState {
            seed: word(0),
            engine: Mt19937State {
                words: std::array::from_fn(|i| word(3 + i) as u32),
                left: counters as u32,
                next: next as u32,
            },
            next_normal: cached.then(|| f64::from_bits(word(after + 1))),
        })
    }

    /// The next 32 random bits.
    #[inline]
    pub fn next_u32(&mut self) -> u32 {
        self.engine.next_u32()
    }

    /// The next 64 random bits: two words, the high half first.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        let high = self.engine.next_u32();
        u64::from(high) << 32 | u64::from(self.engine.next_u32())
    }

    /// A number in [0, 1) with 53 random bits.
    #[inline]
    pub fn next_f64(&mut self) -> f64 {
        uniform::unit_f64(self.next_u64())
    }

    /// A number in [0, 1) with 24 random bits.
    #[inline]
    pub fn next_f32(&mut self) -> f32 {
        uniform::unit_f32(self.next_u32())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_state_replays_the_stream() {
        let mut generator = Generator::new(11);
        generator.next_normal();
        generator.next_u32();
        let (state, bytes) = (generator.state(), generator.to_bytes());
        let ahead: Vec<f64> = (0..700).map(|_| generator.next_normal()).collect();
        let mut from_state = Generator::default();
        from_state.set_state(state).unwrap();
        let mut from_bytes = Generator::default();
        from_bytes.set_bytes(&bytes).unwrap();
        assert_eq!(from_bytes.initial_seed(), 11);
        for &x in &ahead {
            assert_eq!(x, from_state.next_normal());
            assert_eq!(x, from_bytes.next_normal());
        }
    }

    #[test]
    fn the_bytes_are_those_of_pytorch() {
        // torch.manual_seed(3); torch.randn(1); torch.get_rng_state()
        let mut generator = Generator::new(3);
        assert_eq!(
            generator.to_bytes()[..20],
            [3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
        );
        generator.next_normal();
        let bytes = generator.to_bytes();
        assert_eq!(bytes.len(), STATE_BYTES);
        assert_eq!(
            bytes[8..28],
            [
                0x6d, 2, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0x92, 0xc2, 0x15, 0x87
            ]
        );
        assert_eq!(
            bytes[5024..5032],
            [0x52, 0xf4, 0x30, 0xcd, 0xf0, 0x60, 0xc6, 0x3f]
        );
        assert_eq!(bytes[5040], 1);
    }

    #[test]
    fn a_damaged_state_is_refused() {
        let mut generator = Generator::new(1);
        assert_eq!(generator.set_bytes(&[0; 8]), Err(StateError::Length(8)));
        assert_eq!(generator.set_bytes(&[0; STATE_BYTES]), Err(StateError::Invalid));
        let mut state = generator.state();
        state.engine.left = 600;
        assert_eq!(generator.set_state(state), Err(StateError::Invalid));
        assert_eq!(generator.next_u32(), Generator::new(1).next_u32());
    }

    #[test]
    fn unforeseen_seeds_differ() {
        let mut generator = Generator::default();
        assert_ne!(generator.seed(), generator.seed());
    }
}
