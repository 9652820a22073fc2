//! Models of sound, a file a family; [`list`] has them all, [`create`] finds them by name.
//!
//! Each maps one tensor to one ([`Forward`](flambeau_nn::Forward)); what more it can do are methods of its own. A new family
//! is a file with a table `MODELS`, and a line in `registry.rs`.

mod crepe;
mod ds_cnn;
mod lstm_ctc;
mod m5;
mod registry;
mod silero_vad;

pub use crepe::{CREPE_SAMPLE_RATE, Crepe, CrepeCapacity, CrepeDecoder, Pitch};
pub use ds_cnn::{DepthwiseSeparable, DsCnn, DsCnnOptions};
pub use lstm_ctc::{LstmCtc, LstmCtcOptions};
pub use m5::M5;
pub use registry::{Entry, create, entry, list};
pub use silero_vad::{SileroVad, SpeechOptions, VAD_SAMPLE_RATE, VAD_WINDOW, VadState};
