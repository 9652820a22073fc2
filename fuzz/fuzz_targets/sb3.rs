//! What Stable-Baselines3 saved: whole archives, and pickles that are put into the file of the weights in one; with what is read,
//! policies are made.

#![no_main]

use std::io::{Cursor, Write};
use std::sync::LazyLock;

use flambeau_fuzz::file_of;
use flambeau_rl::policies::{Activation, ActorCriticPolicy, DqnPolicy, SacPolicy};
use flambeau_rl::{Space, envs, sb3};
use libfuzzer_sys::fuzz_target;
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

/// Observations and actions of an environment with few actions and of one with a torque.
static SPACES: LazyLock<[(Space, Space); 2]> = LazyLock::new(|| {
    ["CartPole-v1", "Pendulum-v1"].map(|name| {
        let env = envs::make(name).expect("an environment that there is");
        (env.observation_space(), env.action_space())
    })
});

fn archive(entries: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    for (name, bytes) in entries {
        archive.start_file(*name, options).expect("a new name");
        archive.write_all(bytes).expect("memory takes everything");
    }
    archive.finish().expect("memory takes everything").into_inner()
}

fuzz_target!(|bytes: &[u8]| {
    let path = if bytes.starts_with(b"PK") {
        file_of("sb3", bytes)
    } else {
        // The last byte says how the archive is packed.
        let Some((&how, pickle)) = bytes.split_last() else {
            return;
        };
        let method = match how & 1 {
            0 => CompressionMethod::Stored,
            _ => CompressionMethod::Deflated,
        };
        let storages = [("a/data.pkl", pickle), ("a/data/0", &[7; 1024][..]), ("a/data/1", &[0; 256])];
        let weights = archive(&storages, CompressionMethod::Stored);
        file_of("sb3", &archive(&[("data", b"{}"), ("policy.pth", &weights)], method))
    };
    let Ok(weights) = sb3::load(path) else {
        return;
    };
    for (observations, actions) in SPACES.iter() {
        let _ = DqnPolicy::from_state_dict(observations, actions, &weights);
        let _ = SacPolicy::from_state_dict(observations, actions, &weights);
        let _ = ActorCriticPolicy::from_state_dict(observations, actions, Activation::Tanh, &weights);
    }
});
