"""Times vectors of sentences in PyTorch, as the example embed makes them: a BERT by transformers, its tokeniser, the mean of hidden
states, lengths of 1.

    python sentences.py FOLDER SENTENCES.txt BATCH_SIZE [THREADS]
"""

import sys
import time

import torch
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast
from transformers.utils import logging


def main():
    folder, file, batch_size = sys.argv[1], sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(int(sys.argv[4]) if len(sys.argv) > 4 else 2)
    logging.set_verbosity_error()
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=f"{folder}/tokenizer.json", pad_token="[PAD]")
    # The folder's config.json may be the pooling's, so the sizes are said here: those of all-MiniLM-L6-v2.
    config = BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
    model = BertModel.from_pretrained(folder, config=config, add_pooling_layer=False, dtype=torch.float32).eval()
    with open(file) as lines:
        sentences = [line.strip() for line in lines]

    def embed(some):
        batch = tokenizer(some, padding=True, truncation=True, max_length=256, return_tensors="pt")
        states = model(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(2).to(states.dtype)
        return torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1)

    with torch.inference_mode():
        embed(sentences[:batch_size])
        begin = time.perf_counter()
        vectors = [embed(sentences[i : i + batch_size]) for i in range(0, len(sentences), batch_size)]
        seconds = time.perf_counter() - begin
    vectors = torch.cat(vectors)
    print(f"{len(sentences) / seconds:.1f} sentences per second, cosine of the first two {vectors[0] @ vectors[1]:.5f}")


if __name__ == "__main__":
    main()
