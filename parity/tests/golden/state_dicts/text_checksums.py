"""Checksums of the keys of Hugging Face's language models in small configurations: for each, how many entries its state has and
the CRC-32 of lines `key dtype d0,d1,…`, one an entry, in their order. Made with transformers 5.24.

    python text_checksums.py > text_checksums.json
"""

import json
import zlib

import transformers

SIZES = {"vocab_size": 50}
LONG = SIZES | {
    "max_position_embeddings": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 16, "intermediate_size": 32,
}
FAMILIES = {
    "Albert": LONG | {"embedding_size": 8},
    "Bert": LONG,
    "DebertaV2": LONG
    | {"relative_attention": True, "position_buckets": 8, "pos_att_type": ["c2p", "p2c"], "type_vocab_size": 0},
    "DistilBert": SIZES | {"max_position_embeddings": 40, "n_layers": 2, "n_heads": 4, "dim": 16, "hidden_dim": 32},
    "Electra": LONG | {"embedding_size": 8},
    "Roberta": LONG | {"type_vocab_size": 1},
    "XLNet": SIZES | {"d_model": 16, "n_layer": 2, "n_head": 4, "d_inner": 32},
    "GPT2": SIZES | {"n_positions": 40, "n_embd": 16, "n_layer": 2, "n_head": 4},
    "Llama": LONG | {"num_key_value_heads": 2},
}
HEADS = ["ForMaskedLM", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering", "Model"]
OTHERS = {
    "XLNet": ["LMHeadModel", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnsweringSimple", "Model"],
    "GPT2": ["LMHeadModel", "ForSequenceClassification", "Model"],
    "Llama": ["ForCausalLM", "Model"],
}

if __name__ == "__main__":
    checksums = {}
    for family, sizes in FAMILIES.items():
        for head in OTHERS.get(family, HEADS):
            labels = {"num_labels": 3} if "Classification" in head else {}
            config = getattr(transformers, family + "Config")(**sizes, **labels)
            state = getattr(transformers, family + head)(config).state_dict()
            lines = [
                f"{key} {str(value.dtype).removeprefix('torch.')} {','.join(map(str, value.shape))}\n"
                for key, value in state.items()
            ]
            checksums[f"hf.{family}{head}.tiny"] = [len(lines), zlib.crc32("".join(lines).encode())]
    print("{\n" + ",\n".join(f' "{name}": {json.dumps(pair)}' for name, pair in checksums.items()) + "\n}")
