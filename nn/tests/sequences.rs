//! Recurrent layers, attention and the Transformer: names, printing, packed batches, copies, masks, errors.

#![allow(clippy::unwrap_used)]

use flambeau_autograd::Backward;
use flambeau_nn::utils::rnn::{
    PaddingSide, pack_padded_sequence, pack_sequence, pad_packed_sequence, pad_sequence, unpack_sequence,
    unpad_sequence,
};
use flambeau_nn::*;
use flambeau_tensor::{DType, Tensor};

/// Numbers between -1 and 1 that differ from element to element.
fn wave(shape: &[usize]) -> Tensor {
    let len: usize = shape.iter().product();
    let values: Vec<f32> = (0..len).map(|i| (i as f32 * 0.7 + len as f32).sin()).collect();
    Tensor::from_vec(values, shape).unwrap()
}

fn assert_close(a: &Tensor, b: &Tensor) {
    assert_eq!(a.shape(), b.shape());
    let (a, b) = (a.to_vec_f64().unwrap(), b.to_vec_f64().unwrap());
    for (a, b) in a.iter().zip(&b) {
        assert!((a - b).abs() < 1e-5, "{a} and {b}");
    }
}

/// Every parameter gets a gradient from the sum of the outputs.
fn assert_learns(module: &impl Module, outputs: &[&Tensor]) {
    let mut loss = Tensor::scalar(0.0f32);
    for output in outputs {
        loss = loss.add(&output.square().unwrap().sum().unwrap()).unwrap();
    }
    loss.backward().unwrap();
    for (name, parameter) in module.named_parameters() {
        assert!(parameter.grad().is_some(), "{name}");
    }
}

const DEEP: RnnOptions = RnnOptions {
    num_layers: 2,
    bias: true,
    batch_first: false,
    dropout: 0.0,
    bidirectional: true,
};

#[test]
fn recurrent_layers_print_as_in_pytorch() {
    let options = RnnOptions {
        bias: false,
        batch_first: true,
        dropout: 0.5,
        ..DEEP
    };
    assert_eq!(
        LSTM::with_projection(3, 4, 2, options).unwrap().repr(),
        "LSTM(3, 4, proj_size=2, num_layers=2, bias=False, batch_first=True, dropout=0.5, bidirectional=True)"
    );
    let rnn = RNN::new(3, 4, RnnNonlinearity::Relu, RnnOptions::default()).unwrap();
    assert_eq!(rnn.repr(), "RNN(3, 4)");
    let cell = RNNCell::new(3, 4, false, RnnNonlinearity::Relu).unwrap();
    assert_eq!(cell.repr(), "RNNCell(3, 4, bias=False, nonlinearity=relu)");
    assert_eq!(LSTMCell::new(3, 4, true).unwrap().repr(), "LSTMCell(3, 4)");
    assert_eq!(
        GRUCell::new(3, 4, false).unwrap().repr(),
        "GRUCell(3, 4, bias=False)"
    );
}

#[test]
fn parameters_have_pytorchs_names_in_its_order() {
    let options = RnnOptions {
        num_layers: 1,
        ..DEEP
    };
    let lstm = LSTM::with_projection(3, 4, 2, options).unwrap();
    let names: Vec<String> = lstm
        .named_parameters()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let own = [
        "weight_ih_l0",
        "weight_hh_l0",
        "bias_ih_l0",
        "bias_hh_l0",
        "weight_hr_l0",
    ];
    let mut expected: Vec<String> = own.iter().map(|name| name.to_string()).collect();
    expected.extend(own.iter().map(|name| format!("{name}_reverse")));
    assert_eq!(names, expected);
    assert_eq!(lstm.weights(0, true).unwrap().weight_hh.shape(), [16, 2]);
    assert!(lstm.weights(1, false).is_none());
    let cell = GRUCell::new(3, 4, true).unwrap();
    assert_eq!(cell.named_parameters()[2].0, "bias_ih");
}

#[test]
fn a_packed_batch_gives_what_its_sequences_give_alone() {
    let lengths = [2, 5, 3];
    let sequences: Vec<Tensor> = lengths.iter().map(|&n| wave(&[n, 3])).collect();
    let packed = pack_sequence(&sequences, false).unwrap();
    let (h0, c0) = (wave(&[4, 3, 2]), wave(&[4, 3, 6]));
    let lstm = LSTM::with_projection(3, 6, 2, DEEP).unwrap();
    let (out, (h_n, c_n)) = lstm.forward_packed(&packed, Some((&h0, &c0))).unwrap();
    let gru = GRU::new(3, 2, DEEP).unwrap();
    let (gru_out, gru_h) = gru.forward_packed(&packed, Some(&h0)).unwrap();
    let (outs, gru_outs) = (unpack_sequence(&out).unwrap(), unpack_sequence(&gru_out).unwrap());
    for (i, x) in sequences.iter().enumerate() {
        let one = |state: &Tensor| state.select(1, i as isize).unwrap();
        let (alone, (h, c)) = lstm.forward(x, Some((&one(&h0), &one(&c0)))).unwrap();
        assert_close(&outs[i], &alone);
        assert_close(&one(&h_n), &h);
        assert_close(&one(&c_n), &c);
        let (alone, h) = gru.forward(x, Some(&one(&h0))).unwrap();
        assert_close(&gru_outs[i], &alone);
        assert_close(&one(&gru_h), &h);
    }
    assert_learns(&lstm, &[&out.data, &h_n, &c_n]);
    assert_learns(&gru, &[&gru_out.data, &gru_h]);
}

#[test]
fn a_cell_is_one_step_of_its_layer() {
    let (x, h, c) = (wave(&[1, 2, 3]), wave(&[1, 2, 4]), wave(&[1, 2, 4]));
    let row = |x: &Tensor| x.select(0, 0).unwrap();
    let lstm = LSTM::new(3, 4, RnnOptions::default()).unwrap();
    let cell = LSTMCell {
        weights: lstm.weights(0, false).unwrap().clone(),
    };
    let (_, (h_n, c_n)) = lstm.forward(&x, Some((&h, &c))).unwrap();
    let (new_h, new_c) = cell.forward(&row(&x), Some((&row(&h), &row(&c)))).unwrap();
    assert_close(&row(&h_n), &new_h);
    assert_close(&row(&c_n), &new_c);
    assert_learns(&cell, &[&new_h, &new_c]);
    let state = cell.forward(&wave(&[3]), None).unwrap();
    assert_eq!(state.0.shape(), [4]);
}

#[test]
fn packing_and_padding_are_inverse() {
    let x = Tensor::new([[1i64, 2, 0], [3, 0, 0], [4, 5, 6]]).unwrap();
    let packed = pack_padded_sequence(&x, &[2, 1, 3], true, false).unwrap();
    assert_eq!(packed.data.to_vec::<i64>().unwrap(), [4, 1, 3, 5, 2, 6]);
    assert_eq!(packed.batch_sizes, [3, 2, 1]);
    let order = |t: &Option<Tensor>| t.as_ref().unwrap().to_vec::<i64>().unwrap();
    assert_eq!(order(&packed.sorted_indices), [2, 0, 1]);
    assert_eq!(order(&packed.unsorted_indices), [1, 2, 0]);
    let (padded, lengths) = pad_packed_sequence(&packed, true, -1.0, Some(4)).unwrap();
    assert_eq!(lengths, [2, 1, 3]);
    assert_eq!(
        padded.to_vec::<i64>().unwrap(),
        [1, 2, -1, -1, 3, -1, -1, -1, 4, 5, 6, -1]
    );
    let sequences = unpad_sequence(&x, &[2, 1, 3], true).unwrap();
    assert_eq!(sequences[0].to_vec::<i64>().unwrap(), [1, 2]);
    let left = pad_sequence(&sequences, true, 0.0, PaddingSide::Left).unwrap();
    assert_eq!(left.to_vec::<i64>().unwrap(), [0, 1, 2, 0, 0, 3, 4, 5, 6]);
    for wrong in [
        pack_padded_sequence(&x, &[2, 1, 3], true, true).unwrap_err(),
        pack_padded_sequence(&x, &[2, 1], true, false).unwrap_err(),
        pack_padded_sequence(&x, &[4, 1, 1], true, false).unwrap_err(),
        pad_packed_sequence(&packed, true, 0.0, Some(2)).unwrap_err(),
    ] {
        assert!(wrong.to_string().contains("pa"), "{wrong}");
    }
}

#[test]
fn wrong_input_of_recurrent_layers_says_what_was_expected() {
    let lstm = LSTM::new(3, 4, RnnOptions::default()).unwrap();
    let said = |error: Error| error.to_string();
    let wrong = said(lstm.forward(&wave(&[2, 5, 2]), None).unwrap_err());
    assert!(wrong.contains("LSTM: expected inputs of 3 features"), "{wrong}");
    let wrong = said(lstm.forward(&wave(&[3]), None).unwrap_err());
    assert!(wrong.contains("[time, batch, 3]"), "{wrong}");
    let (h, c) = (wave(&[1, 5, 4]), wave(&[1, 5, 3]));
    let wrong = said(lstm.forward(&wave(&[2, 5, 3]), Some((&h, &c))).unwrap_err());
    assert!(
        wrong.contains("expected a state of [1, 5, 4], got [1, 5, 3]"),
        "{wrong}"
    );
    let wide = wave(&[2, 5, 3]).to_dtype(DType::F64).unwrap();
    let wrong = said(lstm.forward(&wide, None).unwrap_err());
    assert!(wrong.contains("type float32, got float64"), "{wrong}");
    assert!(LSTM::with_projection(3, 4, 4, RnnOptions::default()).is_err());
    assert!(GRU::new(0, 4, RnnOptions::default()).is_err());
    let wrong = said(
        GRUCell::new(3, 4, true)
            .unwrap()
            .forward(&wave(&[2, 2]), None)
            .unwrap_err(),
    );
    assert!(
        wrong.contains("GRUCell: expected an input [batch, 3] or [3]"),
        "{wrong}"
    );
}

#[test]
fn attention_refuses_what_does_not_fit() {
    assert!(MultiheadAttention::new(4, 3, MultiheadAttentionOptions::default()).is_err());
    let attention = MultiheadAttention::new(4, 2, MultiheadAttentionOptions::default()).unwrap();
    let (x, options) = (wave(&[3, 2, 4]), AttentionOptions::default());
    let wrong = attention
        .forward(&x, &x, &wave(&[3, 2, 5]), &options)
        .unwrap_err();
    assert!(
        wrong
            .to_string()
            .contains("of [4, 4, 4] features, got [[3, 2, 4], [3, 2, 4], [3, 2, 5]]"),
        "{wrong}"
    );
    let causal = AttentionOptions {
        is_causal: true,
        ..options
    };
    let wrong = attention.forward(&x, &x, &x, &causal).unwrap_err();
    assert!(
        wrong.to_string().contains("generate_square_subsequent_mask"),
        "{wrong}"
    );
    let (out, weights) = attention.forward(&x, &x, &x, &options).unwrap();
    assert_eq!(weights.unwrap().shape(), [2, 3, 3]);
    assert_learns(&attention, &[&out]);
}

/// Output, attention weights and the gradients of queries, memory and parameters, with the batch first in all of them.
fn attend(options: MultiheadAttentionOptions, call: &AttentionOptions<'_>) -> Vec<Tensor> {
    // Other tests draw from the default generator meanwhile.
    let attention = flambeau_tensor::random::fork(3, || MultiheadAttention::new(6, 2, options)).unwrap();
    let leaf = |shape: &[usize]| wave(shape).requires_grad(true).unwrap();
    let (x, memory) = (leaf(&[3, 4, 6]), leaf(&[3, 5, 6]));
    let turned = |x: &Tensor| x.transpose(0, 1).unwrap().contiguous().unwrap();
    let (out, weights) = if options.batch_first {
        attention.forward(&x, &memory, &memory, call).unwrap()
    } else {
        let (x, memory) = (turned(&x), turned(&memory));
        let (out, weights) = attention.forward(&x, &memory, &memory, call).unwrap();
        (turned(&out), weights)
    };
    out.square().unwrap().sum().unwrap().backward().unwrap();
    let parameters = attention.named_parameters();
    let gradients = parameters.iter().map(|(_, parameter)| parameter.grad());
    let gradients = gradients.chain([x.grad(), memory.grad()]).map(Option::unwrap);
    [out].into_iter().chain(weights).chain(gradients).collect()
}

#[test]
fn attention_is_the_same_with_the_batch_first() {
    let padding = Tensor::from_vec((0..15).map(|i| i % 5 == 4).collect::<Vec<bool>>(), (3, 5)).unwrap();
    for (appended, need_weights, key_padding_mask) in [
        (false, false, None),
        (true, false, None),
        (false, true, Some(&padding)),
    ] {
        let options = MultiheadAttentionOptions {
            add_bias_kv: appended,
            add_zero_attn: appended,
            ..MultiheadAttentionOptions::default()
        };
        let call = AttentionOptions {
            need_weights,
            key_padding_mask,
            ..AttentionOptions::default()
        };
        let want = attend(options, &call);
        let batch_first = MultiheadAttentionOptions {
            batch_first: true,
            ..options
        };
        let got = attend(batch_first, &call);
        assert_eq!(got.len(), want.len());
        assert_eq!(got[0].to_vec_f64().unwrap(), want[0].to_vec_f64().unwrap());
        got.iter()
            .zip(&want)
            .for_each(|(got, want)| assert_close(got, want));
    }
}

fn small() -> TransformerLayerOptions {
    TransformerLayerOptions {
        dim_feedforward: 8,
        batch_first: true,
        activation: Tensor::gelu,
        ..TransformerLayerOptions::default()
    }
}

#[test]
fn stacks_hold_copies_of_the_layer() {
    let layer = TransformerEncoderLayer::new(4, 2, small()).unwrap();
    let stack = TransformerEncoder::new(&layer, 2, None).unwrap();
    let before = layer.linear1.weight.to_vec::<f32>().unwrap();
    init::zeros_(&stack.layers[0].linear1.weight).unwrap();
    assert_eq!(layer.linear1.weight.to_vec::<f32>().unwrap(), before);
    assert_eq!(stack.layers[1].linear1.weight.to_vec::<f32>().unwrap(), before);
    stack.layers[0].eval();
    assert!(stack.layers[1].is_training() && layer.is_training());
    assert_eq!(stack.named_parameters()[0].0, "layers.0.self_attn.in_proj_weight");
    assert!(TransformerEncoder::new(&layer, 0, None).is_err());
}

#[test]
fn a_causal_mask_hides_the_future() {
    let transformer = Transformer::new(
        4,
        2,
        TransformerOptions {
            num_encoder_layers: 1,
            num_decoder_layers: 2,
            layer: small(),
        },
    )
    .unwrap();
    transformer.eval();
    let (src, tgt) = (wave(&[2, 5, 4]), wave(&[2, 3, 4]));
    let mask = generate_square_subsequent_mask(3, DType::F32).unwrap();
    assert_eq!(
        mask.to_vec::<f32>().unwrap()[..5],
        [0.0, f32::NEG_INFINITY, f32::NEG_INFINITY, 0.0, 0.0]
    );
    let masked = |is_causal| TransformerMasks {
        tgt: AttentionMasks {
            mask: Some(&mask),
            is_causal,
            ..AttentionMasks::default()
        },
        ..TransformerMasks::default()
    };
    let whole = transformer.forward(&src, &tgt, &masked(None)).unwrap();
    assert_close(
        &whole,
        &transformer.forward(&src, &tgt, &masked(Some(false))).unwrap(),
    );
    let first = tgt.narrow(1, 0, 2).unwrap();
    let short = generate_square_subsequent_mask(2, DType::F32).unwrap();
    let masks = TransformerMasks {
        tgt: AttentionMasks {
            mask: Some(&short),
            ..AttentionMasks::default()
        },
        ..TransformerMasks::default()
    };
    let part = transformer.forward(&src, &first, &masks).unwrap();
    assert_close(&whole.narrow(1, 0, 2).unwrap(), &part);
    assert_learns(&transformer, &[&whole]);
    let wrong = transformer.forward(&src, &wave(&[3, 3, 4]), &TransformerMasks::default());
    assert!(wrong.unwrap_err().to_string().contains("one batch"));
}
