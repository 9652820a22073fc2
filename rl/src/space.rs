//! Spaces of observations and actions (`gymnasium.spaces`), and values in them.

use flambeau_tensor::{Result, ensure};
use serde::{Deserialize, Serialize};

use crate::Pcg64;

/// Which observations or actions there are.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Space {
    /// The integers from 0 to below `n`.
    Discrete {
        /// How many there are.
        n: usize,
    },
    /// Arrays of a shape, each element within bounds of its own.
    Box {
        /// The smallest elements, in row-major order.
        low: Vec<f32>,
        /// The largest elements.
        high: Vec<f32>,
        /// The shape of the arrays.
        shape: Vec<usize>,
    },
    /// Several values, each in a space of its own.
    Tuple(Vec<Space>),
}

/// An observation or an action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Value {
    /// In [`Space::Discrete`].
    Discrete(usize),
    /// In [`Space::Box`]: the elements in row-major order.
    Box(Vec<f32>),
    /// In [`Space::Tuple`].
    Tuple(Vec<Value>),
}

impl Space {
    /// The integers from 0 to below `n`.
    pub fn discrete(n: usize) -> Space {
        Space::Discrete { n }
    }

    /// Vectors between `low` and `high`; bounds may be infinite.
    pub fn bounded(low: &[f32], high: &[f32]) -> Space {
        Space::Box {
            low: low.to_vec(),
            high: high.to_vec(),
            shape: vec![low.len()],
        }
    }

    /// Arrays of this shape with elements between 0 and 1, such as planes of pixels.
    pub fn unit(shape: &[usize]) -> Space {
        let len = shape.iter().product();
        Space::Box {
            low: vec![0.0; len],
            high: vec![1.0; len],
            shape: shape.to_vec(),
        }
    }

    /// Whether the value is one of this space.
    pub fn contains(&self, value: &Value) -> bool {
        match (self, value) {
            (Space::Discrete { n }, Value::Discrete(i)) => i < n,
            (Space::Box { low, high, .. }, Value::Box(x)) => {
                x.len() == low.len()
                    && x.iter()
                        .zip(low.iter().zip(high))
                        .all(|(x, (low, high))| low <= x && x <= high)
            }
            (Space::Tuple(spaces), Value::Tuple(values)) => {
                spaces.len() == values.len()
                    && spaces
                        .iter()
                        .zip(values)
                        .all(|(space, value)| space.contains(value))
            }
            _ => false,
        }
    }

    /// A random value: uniform between finite bounds, exponential beyond a single bound, normal without bounds.
    pub fn sample(&self, rng: &mut Pcg64) -> Value {
        match self {
            Space::Discrete { n } => Value::Discrete(rng.below(*n as u32) as usize),
            Space::Box { low, high, .. } => {
                let bounds = low.iter().zip(high);
                Value::Box(
                    bounds
                        .map(|(&low, &high)| sample_between(low, high, rng))
                        .collect(),
                )
            }
            Space::Tuple(spaces) => Value::Tuple(spaces.iter().map(|space| space.sample(rng)).collect()),
        }
    }

    /// How many numbers a network sees of a value: `n` for [`Space::Discrete`], of which one is 1 (`flatdim`).
    pub fn flat_dim(&self) -> usize {
        match self {
            Space::Discrete { n } => *n,
            Space::Box { low, .. } => low.len(),
            Space::Tuple(spaces) => spaces.iter().map(Space::flat_dim).sum(),
        }
    }

    /// Appends what a network sees of a value (`gymnasium.spaces.flatten`).
    ///
    /// # Errors
    /// `Value` if the value is of another kind or size.
    pub fn flatten(&self, value: &Value, out: &mut Vec<f32>) -> Result<()> {
        match (self, value) {
            (Space::Discrete { n }, Value::Discrete(i)) if i < n => {
                out.extend((0..*n).map(|j| if j == *i { 1.0 } else { 0.0 }));
            }
            (Space::Box { low, .. }, Value::Box(x)) if x.len() == low.len() => out.extend_from_slice(x),
            (Space::Tuple(spaces), Value::Tuple(values)) if spaces.len() == values.len() => {
                for (space, value) in spaces.iter().zip(values) {
                    space.flatten(value, out)?;
                }
            }
            _ => flambeau_tensor::bail!(Value, "flatten: expected a value of {self}, got {value:?}"),
        }
        Ok(())
    }

    /// Refuses an action that is not in this space. An array may leave its bounds, as in Gymnasium: environments clip.
    ///
    /// # Errors
    /// `Value` that names the environment, the action and the space.
    pub fn check_action(&self, env: &str, action: &Value) -> Result<()> {
        let valid = match (self, action) {
            (Space::Box { low, .. }, Value::Box(x)) => {
                x.len() == low.len() && x.iter().all(|x| x.is_finite())
            }
            _ => self.contains(action),
        };
        ensure!(
            valid,
            Value,
            "{env}: expected an action of {self}, got {action:?}"
        );
        Ok(())
    }
}

fn sample_between(low: f32, high: f32, rng: &mut Pcg64) -> f32 {
    let exponential = |rng: &mut Pcg64| -(1.0 - rng.random()).ln() as f32;
    match (low.is_finite(), high.is_finite()) {
        (true, true) => rng.uniform(f64::from(low), f64::from(high)) as f32,
        (true, false) => low + exponential(rng),
        (false, true) => high - exponential(rng),
        // Box and Muller.
        (false, false) => {
            let radius = (-2.0 * (1.0 - rng.random()).ln()).sqrt();
            (radius * (std::f64::consts::TAU * rng.random()).cos()) as f32
        }
    }
}

impl std::fmt::Display for Space {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Space::Discrete { n } => write!(f, "Discrete({n})"),
            Space::Box { low, high, shape } => {
                let least = low.iter().copied().fold(f32::INFINITY, f32::min);
                let most = high.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                write!(f, "Box({least}, {most}, {shape:?})")
            }
            Space::Tuple(spaces) => {
                f.write_str("Tuple(")?;
                for (i, space) in spaces.iter().enumerate() {
                    write!(f, "{}{space}", if i > 0 { ", " } else { "" })?;
                }
                f.write_str(")")
            }
        }
    }
}

impl From<usize> for Value {
    fn from(i: usize) -> Value {
        Value::Discrete(i)
    }
}

impl From<Vec<f32>> for Value {
    fn from(x: Vec<f32>) -> Value {
        Value::Box(x)
    }
}

impl Value {
    /// The integer of a value of [`Space::Discrete`].
    pub fn as_discrete(&self) -> Option<usize> {
        match self {
            Value::Discrete(i) => Some(*i),
            _ => None,
        }
    }

    /// The elements of a value of [`Space::Box`].
    pub fn as_box(&self) -> Option<&[f32]> {
        match self {
            Value::Box(x) => Some(x),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_is_inside_and_flattens() {
        let inf = f32::INFINITY;
        let space = Space::Tuple(vec![
            Space::discrete(3),
            Space::bounded(&[-1.0, 0.0, -inf, -inf], &[1.0, inf, 0.0, inf]),
        ]);
        let mut rng = Pcg64::new(1);
        for _ in 0..100 {
            let value = space.sample(&mut rng);
            assert!(space.contains(&value), "{value:?}");
            let mut flat = Vec::new();
            space.flatten(&value, &mut flat).unwrap();
            assert_eq!(flat.len(), space.flat_dim());
            assert_eq!(flat[..3].iter().sum::<f32>(), 1.0);
        }
        assert_eq!(space.to_string(), "Tuple(Discrete(3), Box(-inf, inf, [4]))");
    }

    #[test]
    fn other_values_are_refused() {
        let space = Space::bounded(&[-2.0], &[2.0]);
        assert!(!space.contains(&Value::Discrete(0)));
        assert!(!space.contains(&vec![3.0].into()));
        space.check_action("Pendulum-v1", &vec![3.0].into()).unwrap();
        let error = space
            .check_action("Pendulum-v1", &vec![f32::NAN].into())
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "Pendulum-v1: expected an action of Box(-2, 2, [1]), got Box([NaN])"
        );
        assert!(space.flatten(&Value::Discrete(0), &mut Vec::new()).is_err());
    }
}
