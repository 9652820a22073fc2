//! What a file's content has to be.

use std::fmt;

use flambeau_tensor::{Result, ensure};
use ring::digest::{Context, SHA256};

/// The checksum of a file, in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// SHA-256.
    Sha256(String),
    /// MD5, which older datasets are published with. It tells damage from wholeness, and a forger from nobody.
    Md5(String),
}

impl Checksum {
    /// An error unless it has as many digits as its kind has, all of them small.
    pub(super) fn check(&self) -> Result<()> {
        let (digits, expected) = match self {
            Checksum::Sha256(digits) => (digits, 64),
            Checksum::Md5(digits) => (digits, 32),
        };
        let is_hex = digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        ensure!(
            digits.len() == expected && is_hex,
            Value,
            "hub: {digits:?} is no {}: {expected} digits of 0 to 9 and a to f are expected",
            self.kind()
        );
        Ok(())
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Checksum::Sha256(_) => "SHA-256",
            Checksum::Md5(_) => "MD5",
        }
    }

    /// A sum of the same kind, of nothing yet.
    pub(super) fn begin(&self) -> Sum {
        match self {
            Checksum::Sha256(_) => Sum::Sha256(Context::new(&SHA256)),
            Checksum::Md5(_) => Sum::Md5(md5::Context::new()),
        }
    }
}

/// The digits.
impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Checksum::Sha256(digits) | Checksum::Md5(digits) => f.write_str(digits),
        }
    }
}

/// The checksum of what has come so far.
#[derive(Clone)]
pub(super) enum Sum {
    Sha256(Context),
    Md5(md5::Context),
}

impl Sum {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Sum::Sha256(context) => context.update(bytes),
            Sum::Md5(context) => context.consume(bytes),
        }
    }

    pub(super) fn finish(self) -> Checksum {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        match self {
            Sum::Sha256(context) => Checksum::Sha256(hex(context.finish().as_ref())),
            Sum::Md5(context) => Checksum::Md5(hex(&context.finalize().0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_standards() {
        let empty = [
            Checksum::Sha256("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".into()),
            Checksum::Md5("d41d8cd98f00b204e9800998ecf8427e".into()),
        ];
        let abc = [
            Checksum::Sha256("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".into()),
            Checksum::Md5("900150983cd24fb0d6963f7d28e17f72".into()),
        ];
        for (empty, abc) in empty.into_iter().zip(abc) {
            let mut sum = empty.begin();
            assert_eq!(sum.clone().finish(), empty);
            sum.update(b"a");
            sum.update(b"bc");
            assert_eq!(sum.finish(), abc);
            assert!(abc.check().is_ok());
        }
        let error = Checksum::Md5("D41D".into()).check().unwrap_err().to_string();
        assert!(error.contains("\"D41D\" is no MD5"), "{error}");
    }
}
