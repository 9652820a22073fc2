//! Environments side by side: the same in any number of threads, and as they were after a mistake.

#![allow(clippy::unwrap_used)]

use flambeau_rl::render::Frame;
use flambeau_rl::wrappers::StickyAction;
use flambeau_rl::{Env, Episode, Pcg64, Space, Step, Value, VecEnv, envs};
use flambeau_tensor::{Result, bail};

fn make(id: &'static str) -> impl FnMut() -> Result<Box<dyn Env>> {
    move || Ok(Box::new(StickyAction::new(envs::make(id)?, 0.1)?) as Box<dyn Env>)
}

/// Everything that is seen of 120 steps by chance, and the state after them.
type Seen = (Vec<Vec<f32>>, Vec<Episode>, serde_json::Value);

fn play(mut all: VecEnv, mut between: impl FnMut(usize, VecEnv) -> VecEnv) -> Seen {
    let mut rng = Pcg64::new(1);
    let (mut seen, mut finished) = (Vec::new(), Vec::new());
    for i in 0..120 {
        all = between(i, all);
        let actions: Vec<Value> = (0..all.len())
            .map(|_| all.action_space().sample(&mut rng))
            .collect();
        let step = all.step(&actions).unwrap();
        seen.extend([
            step.next_observations.clone(),
            step.rewards.clone(),
            all.observations().to_vec(),
        ]);
        seen.push(step.dones().map(f32::from).collect());
        finished.extend(all.take_finished());
    }
    let state = all.state().unwrap();
    (seen, finished, state)
}

#[test]
fn threads_change_nothing() {
    for id in ["CartPole-v1", "Pendulum-v1", "Taxi-v4", "Breakout-v0"] {
        let all = || VecEnv::new(7, 4, make(id)).unwrap();
        let expected = play(all(), |_, all| all);
        for threads in [1, 2, 3, 7, 20] {
            let seen = play(all().with_threads(threads).unwrap(), |_, all| all);
            assert!(seen == expected, "{id}, {threads} threads");
        }
        let seen = play(all(), |i, all| all.with_threads(1 + i % 3).unwrap());
        assert!(seen == expected, "{id}, another number of threads at each step");
        // What one number of threads left another one goes on with.
        let seen = play(all().with_threads(3).unwrap(), |i, all| match i {
            60 => {
                let mut other = VecEnv::new(7, 99, make(id)).unwrap().with_threads(2).unwrap();
                other.set_state(all.state().unwrap()).unwrap();
                other
            }
            _ => all,
        });
        assert!(seen == expected, "{id}, gone on with");
    }
    assert!(
        VecEnv::new(2, 0, make("Taxi-v4"))
            .unwrap()
            .with_threads(0)
            .is_err()
    );
}

#[test]
fn after_a_wrong_action_everything_is_as_before() {
    for threads in [1, 2] {
        let mut all = VecEnv::new(3, 0, make("Pendulum-v1")).unwrap();
        all = all.with_threads(threads).unwrap();
        let (before, right) = (all.state().unwrap(), Value::Box(vec![1.0]));
        let mut refused = |wrong: &[Value]| {
            let error = all.step(wrong).unwrap_err().to_string();
            assert_eq!(all.state().unwrap(), before);
            error
        };
        assert_eq!(
            refused(&[right.clone(), vec![f32::NAN].into(), right.clone()]),
            "environment 1: VecEnv: expected an action of Box(-2, 2, [1]), got Box([NaN])"
        );
        let error = refused(&[right.clone(), right.clone(), 0.into()]);
        assert!(
            error.contains("environment 2: ") && error.contains("Discrete(0)"),
            "{error}"
        );
        assert_eq!(refused(&[right]), "VecEnv: expected 3 actions, got 1");

        let other = VecEnv::new(2, 0, make("Pendulum-v1")).unwrap().state().unwrap();
        let error = all.set_state(other).unwrap_err().to_string();
        assert_eq!(
            error,
            "set_state: expected the state of 3 environments, got that of 2"
        );
        assert_eq!(all.state().unwrap(), before);
    }
}

/// Fails, or panics, at a step.
struct Faulty {
    steps: usize,
    panics: bool,
}

impl Env for Faulty {
    fn observation_space(&self) -> Space {
        Space::discrete(2)
    }

    fn action_space(&self) -> Space {
        Space::discrete(2)
    }

    fn reset(&mut self, _seed: Option<u64>) -> Result<Value> {
        Ok(0.into())
    }

    fn step(&mut self, _action: &Value) -> Result<Step> {
        self.steps += 1;
        match self.steps {
            3 if self.panics => panic!("the simulator is broken (a test makes it so)"),
            3 => bail!(Value, "the simulator is gone"),
            _ => Ok(Step {
                observation: 1.into(),
                reward: 0.0,
                terminated: false,
                truncated: false,
            }),
        }
    }

    fn render(&self) -> Frame {
        Frame::new(1, 1, [0; 3])
    }

    fn state(&self) -> Result<serde_json::Value> {
        Ok(self.steps.into())
    }

    fn set_state(&mut self, _state: serde_json::Value) -> Result<()> {
        Ok(())
    }
}

#[test]
fn an_environment_that_fails_is_heard_of() {
    let outcomes = |threads: usize, panics: bool| {
        let mut made = 0;
        let make = || {
            made += 1;
            let steps = if made == 4 { 0 } else { 10 };
            Ok(Box::new(Faulty { steps, panics }) as Box<dyn Env>)
        };
        let mut all = VecEnv::new(4, 0, make).unwrap().with_threads(threads).unwrap();
        let actions = vec![Value::Discrete(0); 4];
        [(); 4].map(|()| all.step(&actions).map(|_| ()).map_err(|error| error.to_string()))
    };
    for threads in [1, 4] {
        let outcomes = outcomes(threads, false);
        assert_eq!(outcomes[1..3], [Ok(()), Err("the simulator is gone".to_string())]);
        assert!(outcomes[3].is_ok());
    }
    let [_, second, third, fourth] = outcomes(4, true);
    assert!(second.is_ok());
    assert!(third.unwrap_err().contains("an environment panicked"));
    assert!(
        fourth
            .unwrap_err()
            .contains("expected 4 environments, 3 are left")
    );
}
