"""The same measurement by transformers: MODEL BATCH PROMPT_TOKENS NEW_TOKENS. Prints one JSON object."""
import json
import os
import sys
import time

import torch
from transformers import AutoModelForCausalLM

folder, batch, prompt_tokens, new_tokens = sys.argv[1], *map(int, sys.argv[2:5])
torch.set_num_threads(os.cpu_count())
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
ids = torch.tensor(
    [[1000 + ((p + 1) * (i + 17) * 37) % 20000 for i in range(prompt_tokens)] for p in range(batch)]
)


@torch.inference_mode()
def continued(count):
    """Seconds to the first token and from there to the last."""
    options = dict(attention_mask=torch.ones_like(ids), do_sample=False, pad_token_id=0, eos_token_id=None)
    begin = time.perf_counter()
    model.generate(ids, max_new_tokens=1, min_new_tokens=1, **options)
    first = time.perf_counter() - begin
    begin = time.perf_counter()
    model.generate(ids, max_new_tokens=count, min_new_tokens=count, **options)
    return first, time.perf_counter() - begin - first


continued(4)
first, rest = continued(new_tokens)
print(json.dumps({"prompt": batch * prompt_tokens / first, "decode": batch * (new_tokens - 1) / rest}))
