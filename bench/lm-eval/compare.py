"""Compares two folders of lm-evaluation-harness results of one model, task by task and item by item.

    python compare.py RESULTS/lm-eval/MODEL HARNESS_OUTPUT/MODEL

The first is pare's, the second the harness's own; a task there may be called pare_NAME. Items are paired by doc_id.
"""

import glob
import json
import math
import os
import sys

from lm_eval.utils import get_file_task_name, make_table


def read(folder):
    newest = max(glob.glob(os.path.join(folder, "results_*.json")))
    samples = {}
    for file in sorted(glob.glob(os.path.join(folder, "samples_*.jsonl"))):
        with open(file, encoding="utf-8") as lines:
            name = get_file_task_name(os.path.basename(file)).removeprefix("pare_")
            samples[name] = {line["doc_id"]: line for line in map(json.loads, lines)}
    with open(newest, encoding="utf-8") as file:
        results = json.load(file)
    return {name.removeprefix("pare_"): figures for name, figures in results["results"].items()}, samples, results


def likelihoods(sample):
    return [float(response[0][0]) for response in sample["resps"]]


def hashes(a, b):
    return [sum(x[kind] != y[kind] for x, y in zip(a, b)) for kind in ("doc_hash", "prompt_hash", "target_hash")]


def compare(a, b):
    """What differs between two lists of samples of the same items."""
    found = "hashes that differ (doc, prompt, target): %d, %d, %d" % tuple(hashes(a, b))
    if isinstance(a[0]["resps"][0][0], str):
        # SentencePiece's leading space aside, which the two decoders treat differently.
        different = [x["doc_id"] for x, y in zip(a, b) if x["resps"][0][0].strip() != y["resps"][0][0].strip()]
        return f"answers that differ: {len(different)} {different or ''}; {found}"
    pairs = [(x, y) for one, other in zip(a, b) for x, y in zip(likelihoods(one), likelihoods(other), strict=True)]
    greedy = sum(x["resps"][i][0][1] != y["resps"][i][0][1] for x, y in zip(a, b) for i in range(len(x["resps"])))
    largest = max(abs(x - y) for x, y in pairs)
    return f"largest difference of {len(pairs)} log-likelihoods: {largest:.1e}; is_greedy differs: {greedy}; {found}"


mine, my_samples, whole = read(sys.argv[1])
theirs, their_samples, _ = read(sys.argv[2])
print(make_table(whole))
for task in sorted(my_samples.keys() & their_samples.keys()):
    shared = sorted(my_samples[task].keys() & their_samples[task].keys())
    print(f"{task}: {len(shared)} items")
    print("  " + compare(*([samples[task][i] for i in shared] for samples in (my_samples, their_samples))))
    for metric in (key for key in mine[task] if "," in key and key in theirs[task]):
        ours, other = mine[task][metric], theirs[task][metric]
        equal = ours == other if "N/A" in (ours, other) else math.isclose(ours, other, rel_tol=1e-12)
        print(f"  {metric:28} {ours!s:22} {other!s:22}{'' if equal else '   <-- differs'}")
