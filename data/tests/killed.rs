//! A program that is killed in the midst of an epoch, and one that goes on from the state that the first had saved.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use flambeau_data::{DataLoader, Dataset, LoaderState};
use flambeau_tensor::{DType, Error, Result, Tensor};

/// Where the program that is to be killed saves its states; set for that program alone.
const STATES: &str = "FLAMBEAU_TEST_STATES";
/// The number of its workers.
const WORKERS: &str = "FLAMBEAU_TEST_WORKERS";

/// 40 numbers in random order with noise of their own, in batches of 4.
fn loader(workers: usize) -> Result<DataLoader<(Tensor, Tensor)>> {
    let numbers = (0..40i64).collect::<Vec<_>>();
    let noisy = numbers.map(|x| Ok((x, Tensor::rand(2, DType::F32)?)));
    let builder = DataLoader::builder(noisy).batch_size(4).shuffle(true).seed(9);
    builder.num_workers(workers).build()
}

/// Every bit of a batch.
fn described(batch: Result<(Tensor, Tensor)>) -> Result<String> {
    let (numbers, noise) = batch?;
    let bits: Vec<u32> = noise.to_vec::<f32>()?.into_iter().map(f32::to_bits).collect();
    Ok(format!("{:?} {bits:?}", numbers.to_vec::<i64>()?))
}

/// The program that is to be killed: in its second epoch, it saves a state and prints the batch for each one it takes,
/// and then waits for ever after the fourth. Does nothing where it is run as an ordinary test.
#[test]
fn program() -> Result<()> {
    let (Some(states), Some(workers)) = (std::env::var_os(STATES), std::env::var_os(WORKERS)) else {
        return Ok(());
    };
    let workers = workers.to_string_lossy().parse();
    let loader = loader(workers.map_err(|_| Error::Value(WORKERS.to_string()))?)?;
    for batch in &loader {
        batch?;
    }
    let mut batches = loader.iter();
    for taken in 1..=4 {
        let batch = described(batches.next().unwrap())?;
        let state = serde_json::to_string(&batches.state()).unwrap();
        let saved = std::fs::write(PathBuf::from(&states).join(taken.to_string()), state);
        saved.map_err(|error| Error::Io(error.to_string()))?;
        println!("\nbatch {batch}");
    }
    loop {
        std::thread::park();
    }
}

#[test]
fn an_epoch_goes_on_where_a_killed_program_stopped() {
    for workers in [0, 2] {
        let states = std::env::temp_dir().join(format!("flambeau-killed-{}-{workers}", std::process::id()));
        std::fs::create_dir_all(&states).unwrap();
        let mut killed = Command::new(std::env::current_exe().unwrap())
            .args(["program", "--exact", "--nocapture"])
            .env(STATES, &states)
            .env(WORKERS, workers.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(killed.stdout.take().unwrap()).lines();
        let printed = lines.map_while(|line| line.ok());
        let mut batches: Vec<String> = printed
            .filter_map(|line| line.strip_prefix("batch ").map(str::to_string))
            .take(4)
            .collect();
        killed.kill().unwrap();
        assert!(!killed.wait().unwrap().success());
        assert_eq!(batches.len(), 4);

        let saved = std::fs::read_to_string(states.join("4")).unwrap();
        std::fs::remove_dir_all(&states).unwrap();
        let state: LoaderState = serde_json::from_str(&saved).unwrap();
        assert_eq!((state.epoch(), state.batches()), (1, 4));
        // As many workers as before, or others.
        for workers in [workers, 1, 4] {
            let uninterrupted = loader(0).unwrap();
            assert_eq!(uninterrupted.iter().count(), 10);
            let expected: Vec<String> = uninterrupted
                .iter()
                .map(|batch| described(batch).unwrap())
                .collect();
            let resumed = loader(workers).unwrap();
            batches.truncate(4);
            batches.extend(
                resumed
                    .resume(&state)
                    .unwrap()
                    .map(|batch| described(batch).unwrap()),
            );
            assert_eq!(batches, expected);
        }
    }
}
