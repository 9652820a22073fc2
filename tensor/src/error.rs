//! The error type of the whole workspace: few kinds, each with a message that names the operation (or the file), what
//! came and what was expected.

/// What went wrong. `Display` gives the full message, e.g.
/// `matmul: lhs [2, 3] and rhs [4, 5]: inner dimensions 3 and 4 differ`.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Shapes that do not fit the operation.
    #[error("{0}")]
    Shape(String),
    /// Shapes that cannot be broadcast together.
    #[error("{0}")]
    Broadcast(String),
    /// A dimension that the tensor does not have, or named twice.
    #[error("{0}")]
    Dim(String),
    /// An element type that the operation does not take.
    #[error("{0}")]
    DType(String),
    /// A device that the operation does not run on, or tensors on different devices.
    #[error("{0}")]
    Device(String),
    /// An index outside its dimension.
    #[error("{0}")]
    Index(String),
    /// An argument with an invalid value.
    #[error("{0}")]
    Value(String),
    /// A name that is missing, unexpected or given twice.
    #[error("{0}")]
    Key(String),
    /// A misuse of gradients.
    #[error("{0}")]
    Autograd(String),
    /// A combination that is valid but not offered.
    #[error("{0}")]
    Unsupported(String),
    /// A file or text that does not follow its format.
    #[error("{0}")]
    Format(String),
    /// The operating system's refusal, with the path.
    #[error("{0}")]
    Io(String),
    /// An error of a library underneath.
    #[error("{0}")]
    Backend(String),
}

impl Error {
    /// The same error with `place` before its message: the file, or the key in it, that it is about.
    pub fn context(mut self, place: impl std::fmt::Display) -> Error {
        let (Error::Shape(message)
        | Error::Broadcast(message)
        | Error::Dim(message)
        | Error::DType(message)
        | Error::Device(message)
        | Error::Index(message)
        | Error::Value(message)
        | Error::Key(message)
        | Error::Autograd(message)
        | Error::Unsupported(message)
        | Error::Format(message)
        | Error::Io(message)
        | Error::Backend(message)) = &mut self;
        *message = format!("{place}: {message}");
        self
    }
}

/// `std::result::Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Returns early with an error: `bail!(Shape, "stack: tensors {a:?} and {b:?} differ in shape")`.
#[macro_export]
macro_rules! bail {
    ($kind:ident, $($message:tt)+) => { return Err($crate::Error::$kind(format!($($message)+))) };
}

/// Returns early with an error unless the condition holds: `ensure!(n > 0, Value, "chunk: chunks must be positive")`.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $kind:ident, $($message:tt)+) => {
        if $condition {
        } else {
            $crate::bail!($kind, $($message)+)
        }
    };
}
