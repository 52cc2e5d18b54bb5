"""Compresses tiny random models with pare, opens the results in transformers and compares logits.

    npm run build && python test/interop/families.py MODELS [--dist dist] [--golden test/golden/families.json]

MODELS is a folder of model folders (PARE_ORACLES/models/tiny-random), each with an expected.safetensors that holds
input_ids. Needs torch, transformers and safetensors. Every method and target must give logits that transformers, in
float64, finds too; what it found is written as the golden file that test/golden/families.test.ts compares with.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, __version__

METHODS = ["magnitude", "wanda", "sparsegpt"]
TARGETS = {"0.5": {"sparsity": 0.5}, "2of4": {"pattern": "2:4"}}
TOLERANCE = 2e-5  # transformers keeps norms, softmax and rotations in float32 even so
COLUMNS = 8  # of the last position's logits that are kept


def logits_of(folder, ids):
    eager = {"attn_implementation": "eager", "experts_implementation": "eager"}
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, **eager).eval()
    with torch.no_grad():
        return model(ids, use_cache=False).logits.double().numpy()


def zeros_of(folder):
    return sum(int((tensor == 0).sum()) for tensor in load_file(folder / "model.safetensors").values())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=pathlib.Path)
    parser.add_argument("--dist", default="dist")
    parser.add_argument("--golden", type=pathlib.Path)
    options = parser.parse_args()
    driver = pathlib.Path(__file__).with_suffix(".mjs")
    golden, failed = {}, 0
    for model in sorted(path.parent for path in options.models.glob("*/config.json")):
        ids = load_file(model / "expected.safetensors")["input_ids"]
        job = {"windows": ids.tolist(), "methods": METHODS, "targets": TARGETS}
        golden[model.name] = {}
        with tempfile.TemporaryDirectory() as output:
            command = ["node", str(driver), str(model), output, options.dist]
            subprocess.run(command, input=json.dumps(job), text=True, check=True)
            for name in (f"{method}-{target}" for method in METHODS for target in TARGETS):
                folder = pathlib.Path(output) / name
                theirs = logits_of(folder, ids)
                ours = np.fromfile(f"{folder}.f32", dtype=np.float32).reshape(theirs.shape)
                difference = float(np.abs(ours - theirs).max())
                failed += difference > TOLERANCE
                golden[model.name][name] = {
                    "zeros": zeros_of(folder),
                    "meanAbsoluteLogit": round(float(np.abs(theirs).mean()), 7),
                    "logits": [round(float(value), 6) for value in theirs[-1, -1, :COLUMNS]],
                }
                print(f"{model.name:20} {name:16} {difference:.1e}{' FAILED' if difference > TOLERANCE else ''}", flush=True)
    if options.golden and not failed:
        made = f"test/interop/families.py, transformers {__version__}, torch {torch.__version__}"
        options.golden.write_text(json.dumps({"made": made, "models": golden}, indent=1) + "\n")
    sys.exit(f"{failed} differ by more than {TOLERANCE}" if failed else 0)


if __name__ == "__main__":
    main()
