//! What a model keeps of the tokens it has read, so that each is read once.

use flambeau_tensor::{Result, Tensor, ensure};

/// What a model keeps between the tokens of a text.
pub trait Cache: Default {
    /// Takes these rows of the batch, in this order, some of them several times perhaps.
    ///
    /// # Errors
    /// `Index` for a row that the batch has not.
    fn reorder(&mut self, rows: &Tensor) -> Result<()>;
}

/// Keys and values of all layers.
#[derive(Clone, Debug, Default)]
pub struct KvCache {
    /// `[batch, heads, time, dim]` each.
    layers: Vec<(Tensor, Tensor)>,
}

impl KvCache {
    /// How many tokens have been read.
    pub fn len(&self) -> usize {
        self.layers.first().map_or(0, |(key, _)| key.shape()[2])
    }

    /// Whether none has been.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Learns the keys and values of new tokens in a layer; returns those of all tokens.
    ///
    /// # Errors
    /// `Shape` if they do not continue what is there; `Value` unless layers come in their order.
    pub fn update(&mut self, layer: usize, key: Tensor, value: Tensor) -> Result<(Tensor, Tensor)> {
        ensure!(
            layer <= self.layers.len(),
            Value,
            "KvCache: layer {layer} comes before layer {}",
            self.layers.len()
        );
        if layer == self.layers.len() {
            self.layers.push((key, value));
        } else {
            let (keys, values) = &mut self.layers[layer];
            *keys = Tensor::cat(&[&*keys, &key], 2)?;
            *values = Tensor::cat(&[&*values, &value], 2)?;
        }
        Ok(self.layers[layer].clone())
    }
}

impl Cache for KvCache {
    fn reorder(&mut self, rows: &Tensor) -> Result<()> {
        for (key, value) in &mut self.layers {
            *key = key.index_select(0, rows)?;
            *value = value.index_select(0, rows)?;
        }
        Ok(())
    }
}
