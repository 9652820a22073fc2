//! Reading a case file: tensors by name and the JSON list of cases.

use std::path::Path;

use flambeau_tensor::{Element, Error, Result, Tensor, bail};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value as Json;

/// An open case file.
pub(super) struct CaseFile {
    bytes: Vec<u8>,
    /// The cases as they stand in the file's metadata.
    pub(super) cases: Vec<Json>,
}

impl CaseFile {
    /// Reads the file at `path`.
    pub(super) fn open(path: &Path) -> Result<CaseFile> {
        let format = |what: String| Error::Format(format!("{}: {what}", path.display()));
        let bytes = std::fs::read(path).map_err(|e| Error::Io(format!("{}: {e}", path.display())))?;
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| format(e.to_string()))?;
        let text = metadata.metadata().as_ref().and_then(|m| m.get("cases"));
        let text = text.ok_or_else(|| format("no `cases` in the metadata".into()))?;
        let cases = serde_json::from_str(text).map_err(|e| format(e.to_string()))?;
        Ok(CaseFile { bytes, cases })
    }

    /// All tensors, ready to be looked up.
    pub(super) fn tensors(&self) -> Result<SafeTensors<'_>> {
        SafeTensors::deserialize(&self.bytes).map_err(|e| Error::Format(e.to_string()))
    }
}

/// The tensor called `name`.
pub(super) fn tensor(tensors: &SafeTensors<'_>, name: &str) -> Result<Tensor> {
    let view = tensors
        .tensor(name)
        .map_err(|e| Error::Key(format!("{name}: {e}")))?;
    let (data, shape) = (view.data(), view.shape());
    fn read<T: Element, const N: usize>(
        data: &[u8],
        shape: &[usize],
        from: fn([u8; N]) -> T,
    ) -> Result<Tensor> {
        let (chunks, _) = data.as_chunks::<N>();
        Tensor::from_vec(chunks.iter().map(|&chunk| from(chunk)).collect(), shape)
    }
    match view.dtype() {
        Dtype::BOOL => read(data, shape, |b: [u8; 1]| b[0] != 0),
        Dtype::U8 => read(data, shape, u8::from_le_bytes),
        Dtype::I8 => read(data, shape, i8::from_le_bytes),
        Dtype::I16 => read(data, shape, i16::from_le_bytes),
        Dtype::I32 => read(data, shape, i32::from_le_bytes),
        Dtype::I64 => read(data, shape, i64::from_le_bytes),
        Dtype::F16 => read(data, shape, half::f16::from_le_bytes),
        Dtype::BF16 => read(data, shape, half::bf16::from_le_bytes),
        Dtype::F32 => read(data, shape, f32::from_le_bytes),
        Dtype::F64 => read(data, shape, f64::from_le_bytes),
        other => bail!(Unsupported, "{name}: element type {other:?}"),
    }
}
