//! Anomaly detection (`torch.autograd.detect_anomaly`): errors of backward name the operation and where it was recorded.

use flambeau_tensor::graph::set_anomaly_enabled;

/// Runs `f` with anomaly detection: operations recorded meanwhile keep a backtrace (set `RUST_BACKTRACE=1` for line
/// numbers), and backward through them fails as soon as a rule makes a NaN, naming operation and place. Slow: for
/// debugging only. The switch is the whole process's.
pub fn detect_anomaly<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            set_anomaly_enabled(self.0);
        }
    }
    let _restore = Restore(set_anomaly_enabled(true));
    f()
}

#[cfg(test)]
mod tests {
    use flambeau_tensor::Tensor;

    use super::*;
    use crate::Backward;

    #[test]
    fn a_nan_gradient_names_its_origin() {
        let x = Tensor::new(0.0f32).unwrap().requires_grad(true).unwrap();
        // d/dx (0·log x) at 0 is 0·inf.
        let y = detect_anomaly(|| x.log().unwrap().mul(0.0)).unwrap();
        let error = detect_anomaly(|| y.backward()).unwrap_err().to_string();
        assert!(
            error.contains("backward of") && error.contains("NaN") && error.contains("recorded at"),
            "{error}"
        );
    }
}
