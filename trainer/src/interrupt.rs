//! Ctrl-C as a question that a loop asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flambeau_tensor::{Error, Result};
use signal_hook::consts::SIGINT;
use signal_hook::flag;

/// Whether the user pressed Ctrl-C. The loop asks after each step, saves, and leaves; who presses it a second time does
/// not wait for that.
///
/// ```
/// use flambeau_trainer::Interrupt;
///
/// let interrupt = Interrupt::new()?;
/// for step in 0..3 {
///     // … one training step …
///     if interrupt.requested() {
///         println!("stopping after step {step}");
///         break;
///     }
/// }
/// # Ok::<(), flambeau_tensor::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Interrupt {
    requested: Arc<AtomicBool>,
}

impl Interrupt {
    /// From now on Ctrl-C is noted, and ends the process (status 130) only if it had been pressed before.
    ///
    /// # Errors
    /// `Io` if the system refuses the signal handler.
    pub fn new() -> Result<Interrupt> {
        let requested = Arc::new(AtomicBool::new(false));
        let register = || {
            // In this order: the first press finds the flag unset.
            flag::register_conditional_shutdown(SIGINT, 130, requested.clone())?;
            flag::register(SIGINT, requested.clone())
        };
        register().map_err(|error| Error::Io(format!("Interrupt: Ctrl-C can't be caught: {error}")))?;
        Ok(Interrupt { requested })
    }

    /// Whether Ctrl-C was pressed.
    pub fn requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signal_is_noted_and_the_process_lives_on() {
        let interrupt = Interrupt::new().unwrap();
        assert!(!interrupt.requested());
        signal_hook::low_level::raise(SIGINT).unwrap();
        assert!(interrupt.requested());
    }
}
