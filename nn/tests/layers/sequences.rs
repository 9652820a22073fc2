//! Recurrent layers, attention, the Transformer.

use flambeau_nn::*;

use crate::table::{Case, case, one, unary, x};

const OPTIONS: RnnOptions = RnnOptions {
    num_layers: 2,
    bias: true,
    batch_first: true,
    dropout: 0.5,
    bidirectional: true,
};

fn layer() -> TransformerLayerOptions {
    TransformerLayerOptions {
        dim_feedforward: 16,
        batch_first: true,
        ..TransformerLayerOptions::default()
    }
}

fn both<T>(outputs: Result<(Tensor, T)>, state: impl FnOnce(T) -> Vec<Tensor>) -> Result<Vec<Tensor>> {
    let (output, rest) = outputs?;
    Ok([vec![output], state(rest)].concat())
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case(
            "RNN",
            || RNN::new(3, 4, RnnNonlinearity::Tanh, OPTIONS),
            |rnn| both(rnn.forward(&x(&[2, 5, 3]), None), |h| vec![h]),
            |rnn| both(rnn.forward(&x(&[2, 5, 4]), None), |h| vec![h]),
            "RNN: expected inputs of 3 features, got [2, 5, 4]",
        ),
        case(
            "GRU",
            || GRU::new(3, 4, OPTIONS),
            |rnn| both(rnn.forward(&x(&[2, 5, 3]), None), |h| vec![h]),
            |rnn| both(rnn.forward(&x(&[2, 5, 3]), Some(&x(&[4, 1, 4]))), |h| vec![h]),
            "GRU: expected a state of [4, 2, 4], got [4, 1, 4]",
        ),
        case(
            "LSTM",
            || LSTM::new(3, 4, OPTIONS),
            |rnn| both(rnn.forward(&x(&[2, 5, 3]), None), |(h, c)| vec![h, c]),
            |rnn| both(rnn.forward(&x(&[5]), None), |(h, c)| vec![h, c]),
            "LSTM: expected an input [time, batch, 3] (the batch first if so made) or",
        ),
        case(
            "RNNCell",
            || RNNCell::new(3, 4, true, RnnNonlinearity::Tanh),
            |cell| one(cell.forward(&x(&[2, 3]), Some(&x(&[2, 4])))),
            |cell| one(cell.forward(&x(&[2, 4]), None)),
            "RNNCell: expected an input [batch, 3] or [3], got [2, 4]",
        ),
        case(
            "GRUCell",
            || GRUCell::new(3, 4, true),
            |cell| one(cell.forward(&x(&[2, 3]), Some(&x(&[2, 4])))),
            |cell| one(cell.forward(&x(&[2, 3]), Some(&x(&[2, 3])))),
            "GRUCell: expected a state [2, 4], got [2, 3]",
        ),
        case(
            "LSTMCell",
            || LSTMCell::new(3, 4, true),
            |cell| {
                both(cell.forward(&x(&[2, 3]), Some((&x(&[2, 4]), &x(&[2, 4])))), |c| {
                    vec![c]
                })
            },
            |cell| both(cell.forward(&x(&[2, 4]), None), |c| vec![c]),
            "LSTMCell: expected an input [batch, 3] or [3], got [2, 4]",
        ),
        case(
            "MultiheadAttention",
            || MultiheadAttention::new(8, 2, MultiheadAttentionOptions::default()),
            |attention| {
                let outputs = attention.forward(
                    &x(&[3, 2, 8]),
                    &x(&[4, 2, 8]),
                    &x(&[4, 2, 8]).neg()?,
                    &AttentionOptions::default(),
                );
                both(outputs, |weights| weights.into_iter().collect())
            },
            |attention| {
                let x = x(&[3, 2, 6]);
                let outputs = attention.forward(&x, &x, &x, &AttentionOptions::default());
                both(outputs, |weights| weights.into_iter().collect())
            },
            "the last of [8, 8, 8] features",
        ),
        unary(
            "TransformerEncoderLayer",
            || TransformerEncoderLayer::new(8, 2, layer()),
            &[2, 3, 8],
            x(&[2, 3, 6]),
            "the last of [8, 8, 8] features",
        ),
        case(
            "TransformerDecoderLayer",
            || TransformerDecoderLayer::new(8, 2, layer()),
            |l| {
                one(l.forward(
                    &x(&[2, 3, 8]),
                    &x(&[2, 4, 8]),
                    AttentionMasks::default(),
                    AttentionMasks::default(),
                ))
            },
            |l| {
                one(l.forward(
                    &x(&[2, 3, 8]),
                    &x(&[2, 4, 6]),
                    AttentionMasks::default(),
                    AttentionMasks::default(),
                ))
            },
            "the last of [8, 8, 8] features",
        ),
        unary(
            "TransformerEncoder",
            || {
                let norm = LayerNorm::new(&[8], LayerNormOptions::default())?;
                TransformerEncoder::new(&TransformerEncoderLayer::new(8, 2, layer())?, 2, Some(norm))
            },
            &[2, 3, 8],
            x(&[2, 3, 6]),
            "the last of [8, 8, 8] features",
        ),
        case(
            "TransformerDecoder",
            || TransformerDecoder::new(&TransformerDecoderLayer::new(8, 2, layer())?, 1, None),
            |l| {
                one(l.forward(
                    &x(&[2, 3, 8]),
                    &x(&[2, 4, 8]),
                    AttentionMasks::default(),
                    AttentionMasks::default(),
                ))
            },
            |l| {
                one(l.forward(
                    &x(&[2, 3, 6]),
                    &x(&[2, 4, 8]),
                    AttentionMasks::default(),
                    AttentionMasks::default(),
                ))
            },
            "the last of [8, 8, 8] features",
        ),
        case(
            "Transformer",
            || {
                let options = TransformerOptions {
                    num_encoder_layers: 1,
                    num_decoder_layers: 2,
                    layer: layer(),
                };
                Transformer::new(8, 2, options)
            },
            |t| one(t.forward(&x(&[2, 4, 8]), &x(&[2, 3, 8]), &TransformerMasks::default())),
            |t| one(t.forward(&x(&[2, 4, 8]), &x(&[3, 3, 8]), &TransformerMasks::default())),
            "Transformer: expected sequences of 8 features and one batch, got src [2,",
        ),
    ]
}
