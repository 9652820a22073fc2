//! The Mersenne Twister MT19937 (Matsumoto and Nishimura, 1998): 32-bit words, one block of 624 at a time.
//!
//! The recurrence runs over a whole block at once and so does the tempering, both in loops that vectorise; drawing a
//! word is a read from the tempered block.

use crate::simd;

/// Words in the state.
pub const STATE_WORDS: usize = 624;
const MIDDLE: usize = 397;

/// What a Mersenne Twister is in the middle of a stream, in the terms that PyTorch saves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mt19937State {
    /// The untempered words of the current block.
    pub words: [u32; STATE_WORDS],
    /// Draws left until a new block is made, counting that draw itself: 1 to 624.
    pub left: u32,
    /// The next word to read; ignored while `left` is 1.
    pub next: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Mt19937 {
    state: Mt19937State,
    tempered: [u32; STATE_WORDS],
}

impl Mt19937 {
    /// The stream of a 32-bit seed.
    pub(super) fn new(seed: u32) -> Self {
        let mut words = [0u32; STATE_WORDS];
        words[0] = seed;
        for j in 1..STATE_WORDS {
            let previous = words[j - 1];
            words[j] = 1_812_433_253u32
                .wrapping_mul(previous ^ (previous >> 30))
                .wrapping_add(j as u32);
        }
        Self::from_state(Mt19937State {
            words,
            left: 1,
            next: 0,
        })
    }

    /// Goes on from a saved state, whose `left` and `next` must agree: `left + next` = 625 unless `left` is 1.
    pub(super) fn from_state(state: Mt19937State) -> Self {
        let mut tempered = [0; STATE_WORDS];
        temper(&state.words, &mut tempered);
        Self { state, tempered }
    }

    pub(super) fn state(&self) -> &Mt19937State {
        &self.state
    }

    fn next_block(&mut self) {
        twist(&mut self.state.words);
        temper(&self.state.words, &mut self.tempered);
        self.state.next = 0;
        self.state.left = STATE_WORDS as u32 + 1;
    }

    /// The next word of the stream.
    #[inline]
    pub(super) fn next_u32(&mut self) -> u32 {
        if self.state.left == 1 {
            self.next_block();
        }
        let word = self.tempered[self.state.next as usize];
        self.state.next += 1;
        self.state.left -= 1;
        word
    }

    /// The next `out.len()` words of the stream.
    pub(super) fn fill(&mut self, mut out: &mut [u32]) {
        while !out.is_empty() {
            if self.state.left == 1 {
                self.next_block();
            }
            let start = self.state.next as usize;
            let count = out.len().min(STATE_WORDS - start);
            let (piece, rest) = out.split_at_mut(count);
            piece.copy_from_slice(&self.tempered[start..start + count]);
            self.state.next += count as u32;
            self.state.left -= count as u32;
            out = rest;
        }
    }
}

#[inline(always)]
fn mix(upper: u32, lower: u32) -> u32 {
    let word = (upper & 0x8000_0000) | (lower & 0x7fff_ffff);
    (word >> 1) ^ ((lower & 1).wrapping_neg() & 0x9908_b0df)
}

simd! {
    /// Advances the state by one block.
    fn twist(words: &mut [u32; STATE_WORDS]) {
        for j in 0..STATE_WORDS - MIDDLE {
            words[j] = words[j + MIDDLE] ^ mix(words[j], words[j + 1]);
        }
        for j in STATE_WORDS - MIDDLE..STATE_WORDS - 1 {
            words[j] = words[j + MIDDLE - STATE_WORDS] ^ mix(words[j], words[j + 1]);
        }
        words[STATE_WORDS - 1] = words[MIDDLE - 1] ^ mix(words[STATE_WORDS - 1], words[0]);
    }

    fn temper(words: &[u32; STATE_WORDS], out: &mut [u32; STATE_WORDS]) {
        for (o, &w) in out.iter_mut().zip(words) {
            let mut y = w;
            y ^= y >> 11;
            y ^= (y << 7) & 0x9d2c_5680;
            y ^= (y << 15) & 0xefc6_0000;
            y ^= y >> 18;
            *o = y;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_published_one() {
        // The C++ standard fixes the 10,000th word of the default seed 5489.
        let mut engine = Mt19937::new(5489);
        assert_eq!(engine.next_u32(), 3_499_211_612);
        let mut words = vec![0; 9_998];
        engine.fill(&mut words);
        assert_eq!(engine.next_u32(), 4_123_659_995);
    }

    #[test]
    fn bulk_and_single_draws_agree() {
        let (mut a, mut b) = (Mt19937::new(7), Mt19937::new(7));
        for count in [0, 1, 3, 623, 624, 625, 2000] {
            let mut bulk = vec![0; count];
            a.fill(&mut bulk);
            assert!(bulk.iter().all(|&w| w == b.next_u32()));
            assert_eq!(a.state(), b.state());
        }
    }
}
