//! Blackjack against a dealer, with cards that are put back (Sutton & Barto, *Reinforcement learning*, example 5.1).

use flambeau_tensor::Result;
use serde::{Deserialize, Serialize};

use crate::env::fields_are_the_state;
use crate::render::{Frame, Rgb};
use crate::{Env, Pcg64, Space, Step, Value};

/// Aces count 1 or 11, pictures 10.
const DECK: [usize; 13] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10, 10];

/// `Blackjack-v1`, with the rules of Sutton and Barto's book: an ace and a ten win at once.
///
/// Observation: the player's sum, the dealer's open card, and whether an ace counts 11. Actions: 0 sticks, 1 takes a card.
/// Winning gives 1, losing −1.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Blackjack {
    player: Vec<usize>,
    dealer: Vec<usize>,
    over: bool,
    rng: Pcg64,
}

impl Blackjack {
    /// A table whose episodes begin with seed 0 until they are seeded.
    pub fn new() -> Blackjack {
        Blackjack {
            player: vec![10, 2],
            dealer: vec![10, 7],
            over: false,
            rng: Pcg64::new(0),
        }
    }

    fn draw(&mut self) -> usize {
        DECK[self.rng.below(13) as usize]
    }

    fn observation(&self) -> Value {
        let (sum, ace) = sum(&self.player);
        let dealer = self.dealer.first().copied().unwrap_or_default();
        Value::Tuple(vec![sum.into(), dealer.into(), usize::from(ace).into()])
    }
}

impl Default for Blackjack {
    fn default() -> Self {
        Blackjack::new()
    }
}

/// A hand's sum, and whether an ace in it counts 11.
fn sum(hand: &[usize]) -> (usize, bool) {
    let sum = hand.iter().sum();
    let ace = hand.contains(&1) && sum + 10 <= 21;
    (if ace { sum + 10 } else { sum }, ace)
}

/// A hand's sum, 0 above 21.
fn score(hand: &[usize]) -> usize {
    match sum(hand).0 {
        sum @ 0..=21 => sum,
        _ => 0,
    }
}

/// An ace and a ten.
fn natural(hand: &[usize]) -> bool {
    matches!(hand, [1, 10] | [10, 1])
}

impl Env for Blackjack {
    fn observation_space(&self) -> Space {
        Space::Tuple([32, 11, 2].map(Space::discrete).to_vec())
    }

    fn action_space(&self) -> Space {
        Space::discrete(2)
    }

    fn reset(&mut self, seed: Option<u64>) -> Result<Value> {
        if let Some(seed) = seed {
            self.rng = Pcg64::new(seed);
        }
        self.over = false;
        self.dealer = vec![self.draw(), self.draw()];
        self.player = vec![self.draw(), self.draw()];
        // Gymnasium draws how the dealer's open card looks: its suit, and which of the three pictures a ten is.
        self.rng.below(4);
        if self.dealer[0] == 10 {
            self.rng.below(3);
        }
        Ok(self.observation())
    }

    fn step(&mut self, action: &Value) -> Result<Step> {
        self.action_space().check_action("Blackjack", action)?;
        let (reward, terminated) = if *action == Value::Discrete(1) {
            let card = self.draw();
            self.player.push(card);
            let bust = sum(&self.player).0 > 21;
            (if bust { -1.0 } else { 0.0 }, bust)
        } else {
            while sum(&self.dealer).0 < 17 {
                let card = self.draw();
                self.dealer.push(card);
            }
            let reward = if natural(&self.player) && !natural(&self.dealer) {
                1.0
            } else {
                match score(&self.player).cmp(&score(&self.dealer)) {
                    std::cmp::Ordering::Greater => 1.0,
                    std::cmp::Ordering::Less => -1.0,
                    std::cmp::Ordering::Equal => 0.0,
                }
            };
            (reward, true)
        };
        self.over |= terminated;
        Ok(Step {
            observation: self.observation(),
            reward,
            terminated,
            truncated: false,
        })
    }

    fn render(&self) -> Frame {
        let mut frame = Frame::new(400, 300, [40, 110, 70]);
        // Each card shows as many spots as it counts. The dealer's second card is hidden until the end.
        let spots: Rgb = [40; 3];
        let dealer_shows = if self.over { usize::MAX } else { 1 };
        for (hand, top, open) in [
            (&self.dealer, 20.0, dealer_shows),
            (&self.player, 160.0, usize::MAX),
        ] {
            for (i, &card) in hand.iter().enumerate() {
                let left = 20.0 + 75.0 * i as f64;
                let is_open = i < open;
                frame.rectangle(
                    left,
                    top,
                    65.0,
                    110.0,
                    if is_open { [250; 3] } else { [120, 40, 40] },
                );
                for spot in 0..if is_open { card } else { 0 } {
                    let (row, column) = (spot / 2, spot % 2);
                    frame.circle(
                        (left + 22.0 + 21.0 * column as f64, top + 16.0 + 20.0 * row as f64),
                        6.0,
                        spots,
                    );
                }
            }
        }
        frame
    }

    fields_are_the_state!();
}
