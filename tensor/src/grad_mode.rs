//! Whether operations are recorded: a switch per thread, as `torch.no_grad` and its kin set it.

use std::cell::Cell;

thread_local!(static ENABLED: Cell<bool> = const { Cell::new(true) });

/// Whether operations on tracked tensors are recorded on this thread now.
#[inline]
pub fn is_grad_enabled() -> bool {
    ENABLED.get()
}

/// Switches recording on this thread on or off and returns what it was.
pub fn set_grad_enabled(enabled: bool) -> bool {
    ENABLED.replace(enabled)
}

struct Restore(bool);

impl Drop for Restore {
    fn drop(&mut self) {
        ENABLED.set(self.0);
    }
}

fn with_mode<R>(enabled: bool, f: impl FnOnce() -> R) -> R {
    let _restore = Restore(ENABLED.replace(enabled));
    f()
}

/// Runs `f` without recording (`torch.no_grad`), also when `f` returns early or panics.
pub fn no_grad<R>(f: impl FnOnce() -> R) -> R {
    with_mode(false, f)
}

/// Runs `f` with recording on (`torch.enable_grad`), inside [`no_grad`] too.
pub fn enable_grad<R>(f: impl FnOnce() -> R) -> R {
    with_mode(true, f)
}

/// The same as [`no_grad`]: copy-on-write storage has no version counters that inference mode could save.
pub fn inference_mode<R>(f: impl FnOnce() -> R) -> R {
    with_mode(false, f)
}
