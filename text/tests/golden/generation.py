"""What Hugging Face's transformers (5.24, with torch 2.15) does with the bundled GPT-2 of text/assets/moby_dick: scores of the next
token after all rules of generation (scores.safetensors), and the texts that it writes, drawn ones included (texts.json).

    python text/tests/golden/generation.py
"""

import json
import pathlib

import torch
from safetensors.torch import save_file
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

HERE = pathlib.Path(__file__).parent
MODEL = HERE.parent.parent / "assets" / "moby_dick"

PROMPTS = ["The white whale", '"Where is the captain?" cried']

# Of GenerationConfig; tokens are drawn from all unless top_k says otherwise.
RULES = [
    {"temperature": 0.7},
    {"top_k": 20},
    {"top_p": 0.8},
    {"min_p": 0.05},
    {"repetition_penalty": 1.3},
    {"temperature": 1.4, "top_k": 100, "top_p": 0.9},
    {"repetition_penalty": 1.2, "temperature": 0.8, "top_k": 40, "top_p": 0.7, "min_p": 0.02},
]

TEXTS = [
    {"do_sample": False},
    {"do_sample": False, "repetition_penalty": 1.2},
    {"do_sample": False, "num_beams": 4, "no_repeat_ngram_size": 3},
    {"do_sample": True},
    {"do_sample": True, "top_k": 0},
    {"do_sample": True, "temperature": 0.8, "top_p": 0.9},
    {"do_sample": True, "temperature": 0.9, "top_k": 0, "min_p": 0.05, "num_return_sequences": 3},
    {"do_sample": True, "repetition_penalty": 1.2, "top_k": 20},
    {"do_sample": True, "num_beams": 3, "top_k": 30, "temperature": 0.9},
]


def main():
    # The defaults that GenerationConfig has had for years, said explicitly.
    defaults = {"do_sample": True, "top_k": 50, "top_p": 1.0, "temperature": 1.0, "use_cache": True}
    model = GPT2LMHeadModel.from_pretrained(MODEL, dtype=torch.float32).eval()
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(MODEL / "tokenizer.json"))
    end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    ends = {"eos_token_id": end, "pad_token_id": end}

    scores = {}
    for p, prompt in enumerate(PROMPTS):
        ids = torch.tensor([tokenizer.encode(prompt)])
        scores[f"ids.{p}"] = ids[0]
        for r, rules in enumerate(RULES):
            torch.manual_seed(0)
            settings = defaults | {"top_k": 0} | rules | ends
            out = model.generate(
                ids, max_new_tokens=1, output_scores=True, output_logits=True, return_dict_in_generate=True, **settings
            )
            scores[f"logits.{p}"] = out.logits[0][0].float()
            scores[f"scores.{p}.{r}"] = out.scores[0][0].float().clone()
    save_file(scores, HERE / "scores.safetensors", {"rules": json.dumps(RULES)})

    texts = []
    for i, settings in enumerate(TEXTS):
        for seed in range(2 if settings["do_sample"] else 1):
            # Several texts at once, the shorter one behind padding.
            batch = [tokenizer.encode(prompt) for prompt in (PROMPTS if i % 2 else PROMPTS[:1])]
            longest = max(map(len, batch))
            ids = torch.tensor([[end] * (longest - len(row)) + row for row in batch])
            mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in batch])
            torch.manual_seed(seed)
            out = model.generate(ids, attention_mask=mask, max_new_tokens=40, **(defaults | settings | ends))
            texts.append(
                {
                    "seed": seed,
                    "settings": {"max_new_tokens": 40} | settings | ends,
                    "input_ids": ids.tolist(),
                    "attention_mask": mask.tolist(),
                    "output": out.tolist(),
                }
            )
            print(settings, seed, tokenizer.decode(out[0]), sep="\n  ")
    lines = ",\n".join(json.dumps(text) for text in texts)
    (HERE / "texts.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
