//! Threads that step environments. Each is handed some of them together with their actions, and gives them back: between two steps
//! they lie in one place, whose states are read and written without a word to a thread.

use std::sync::mpsc::{Receiver, Sender, channel};

use flambeau_tensor::{Error, Result};

use crate::{Env, Step, Value};

/// A step of one environment, and how the next episode begins if it ended one.
pub(super) struct Stepped {
    pub(super) step: Step,
    pub(super) next: Option<Value>,
}

impl Stepped {
    /// What is seen from now on.
    pub(super) fn seen(&self) -> &Value {
        self.next.as_ref().unwrap_or(&self.step.observation)
    }
}

/// Acts in an environment, and begins the next episode if this one ended.
fn act(env: &mut dyn Env, action: &Value) -> Result<Stepped> {
    let step = env.step(action)?;
    let next = step.done().then(|| env.reset(None)).transpose()?;
    Ok(Stepped { step, next })
}

/// Acts in environments, one after the other.
fn act_in_all(envs: &mut [Box<dyn Env>], actions: &[Value]) -> Vec<Result<Stepped>> {
    let pairs = envs.iter_mut().zip(actions);
    pairs.map(|(env, action)| act(&mut **env, action)).collect()
}

struct Job {
    envs: Vec<Box<dyn Env>>,
    actions: Vec<Value>,
}

struct Done {
    envs: Vec<Box<dyn Env>>,
    steps: Vec<Result<Stepped>>,
}

/// Where a thread gets its work and leaves it. It ends when the sender is dropped.
struct Worker {
    jobs: Sender<Job>,
    done: Receiver<Done>,
}

impl Worker {
    fn new() -> Result<Worker> {
        let (jobs, todo) = channel::<Job>();
        let (results, done) = channel();
        std::thread::Builder::new()
            .name("flambeau-env".to_string())
            .spawn(move || {
                for Job { mut envs, actions } in todo {
                    let steps = act_in_all(&mut envs, &actions);
                    if results.send(Done { envs, steps }).is_err() {
                        break;
                    }
                }
            })
            .map_err(|error| Error::Io(format!("VecEnv: a thread can't be started: {error}")))?;
        Ok(Worker { jobs, done })
    }
}

fn ended() -> Error {
    Error::Backend("VecEnv: a thread has ended, as an environment panicked in it".to_string())
}

/// The threads beside the one that calls.
#[derive(Default)]
pub(super) struct Workers {
    workers: Vec<Worker>,
}

impl Workers {
    /// So many threads, of which the calling one is the first.
    pub(super) fn new(threads: usize) -> Result<Workers> {
        let workers = (1..threads).map(|_| Worker::new()).collect::<Result<_>>()?;
        Ok(Workers { workers })
    }

    /// Acts in all environments; the outcomes are in their order, whichever thread they come from.
    pub(super) fn step(
        &self,
        envs: &mut Vec<Box<dyn Env>>,
        actions: &[Value],
    ) -> Result<Vec<Result<Stepped>>> {
        // The first ones stay here, of the others each thread gets as many or one less.
        let (count, threads) = (envs.len(), self.workers.len() + 1);
        let start = |i: usize| (i * count).div_ceil(threads);
        for (i, worker) in self.workers.iter().enumerate().rev() {
            let job = Job {
                envs: envs.split_off(start(i + 1)),
                actions: actions[start(i + 1)..start(i + 2)].to_vec(),
            };
            worker.jobs.send(job).map_err(|_| ended())?;
        }
        let mut steps = act_in_all(envs, actions);
        // All are waited for: whose environment did not panic gives back what it has.
        for worker in &self.workers {
            match worker.done.recv() {
                Ok(done) => {
                    envs.extend(done.envs);
                    steps.extend(done.steps);
                }
                Err(_) => steps.push(Err(ended())),
            }
        }
        Ok(steps)
    }
}
