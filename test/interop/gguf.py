"""Converts tiny random models with llama.cpp's own converter and compares what pare reads and writes, tensor by tensor.

    npm run build && python test/interop/gguf.py MODELS --llama-cpp FOLDER [--dist dist]

MODELS is a folder of model folders (PARE_ORACLES/models/tiny-random); FOLDER is a checkout of llama.cpp. Needs torch,
transformers and what the converter asks for. The converter's tokenizer part is left out: the models have none. Where llama_cpp
(the Python package llama-cpp-python) is there, the logits of the file that pare writes are compared with transformers'.
"""

import argparse
import json
import logging
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors.torch import load_file

LOGITS = 0.02  # llama.cpp rounds activations of some products to float16
TOLERANCE = 3e-7  # 1 is added to some norms and subtracted again


def convert(folder, output, scratch):
    """A model as llama.cpp's converter writes it, in float32."""
    from conversion import get_model_architecture, get_model_class
    from conversion.base import ModelBase, ModelType, gguf

    model = pathlib.Path(scratch) / folder.name
    shutil.copytree(folder, model)
    (model / "expected.safetensors").unlink(missing_ok=True)
    config = json.loads((model / "config.json").read_text())
    if config["model_type"] == "gpt2":
        config.setdefault("n_ctx", config["n_positions"])
    (model / "config.json").write_text(json.dumps(config))
    if config["model_type"] == "gemma3_text":
        vocab = {str(i): i for i in range(config["vocab_size"])}
        (model / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocab}, "added_tokens": []}))
    load = ModelBase.load_hparams

    def with_old_names(path, is_mistral_format):
        found = load(path, is_mistral_format)
        if config["model_type"] == "gpt_neox":
            found.setdefault("rotary_pct", config.get("rope_parameters", {}).get("partial_rotary_factor", 0.25))
        if config["model_type"] == "falcon" and not config.get("new_decoder_architecture"):
            found["num_kv_heads"] = 1
        return found

    ModelBase.load_hparams = staticmethod(with_old_names)
    try:
        with torch.inference_mode():
            kind = get_model_class(get_model_architecture(ModelBase.load_hparams(model, False), ModelType.TEXT))
            kind.set_vocab = lambda self: None
            kind(model, gguf.LlamaFileType.ALL_F32, output).write()
    finally:
        ModelBase.load_hparams = staticmethod(load)


def differences(ours, theirs):
    """What two GGUF files say differently: names, types, shapes and values of tensors; metadata that both have."""
    from gguf import GGUFReader

    a, b = GGUFReader(ours), GGUFReader(theirs)
    found = []
    first, second = ({t.name: t for t in reader.tensors} for reader in (a, b))
    found += [f"{name} is in one of them" for name in first.keys() ^ second.keys()]
    for name in first.keys() & second.keys():
        x, y = first[name], second[name]
        if x.tensor_type != y.tensor_type or list(x.shape) != list(y.shape):
            found.append(f"{name}: {x.tensor_type.name} {list(x.shape)}, theirs {y.tensor_type.name} {list(y.shape)}")
        elif np.abs(x.data.astype(np.float64) - y.data).max() > TOLERANCE:
            found.append(f"{name}: differs by {np.abs(x.data.astype(np.float64) - y.data).max()}")
    for key in a.fields.keys() & b.fields.keys():
        if key.startswith("GGUF.") or key.startswith("general."):
            continue
        x, y = a.fields[key].contents(), b.fields[key].contents()
        if x != y:
            found.append(f"{key}: {x}, theirs {y}")
    return found


def llama_cpp_logits(path, ids):
    """What llama.cpp computes of a file, [tokens, vocabulary]; None where the package is not there."""
    try:
        import llama_cpp
    except ImportError:
        return None
    # Keys and values in float32: the rest is llama.cpp's own rounding.
    exact = {"type_k": 0, "type_v": 0, "flash_attn": False}
    model = llama_cpp.Llama(str(path), n_ctx=64, logits_all=True, verbose=False, **exact)
    model.eval(ids)
    return np.array(model.scores[: len(ids)], dtype=np.float64)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=pathlib.Path)
    parser.add_argument("--llama-cpp", type=pathlib.Path, required=True)
    parser.add_argument("--dist", default="dist")
    options = parser.parse_args()
    sys.path[:0] = [str(options.llama_cpp), str(options.llama_cpp / "gguf-py")]
    logging.disable(logging.WARNING)
    driver = pathlib.Path(__file__).with_suffix(".mjs")
    failed = 0
    for folder in sorted(path.parent for path in options.models.glob("*/config.json")):
        with tempfile.TemporaryDirectory() as scratch:
            theirs, ours = pathlib.Path(scratch) / "theirs.gguf", pathlib.Path(scratch) / "ours.gguf"
            try:
                convert(folder, theirs, scratch)
            except NotImplementedError as error:
                print(f"{folder.name:20} skipped: {error}")
                continue
            command = ["node", str(driver), str(folder), str(theirs), str(ours), "f32", options.dist]
            run = subprocess.run(command, text=True, capture_output=True)
            if run.returncode != 0:
                failed += 1
                print(f"{folder.name:20} FAILED: {run.stderr.strip().splitlines()[-1:]} {run.stderr[:300]}")
                continue
            result = json.loads(run.stdout)
            found = differences(ours, theirs)
            failed += result["difference"] > TOLERANCE
            print(f"{folder.name:20} {result['tensors']} tensors, difference {result['difference']:.0e}", flush=True)
            refused = [f"refused: {result['refused']}"] if result["refused"] else []
            if not refused:
                expected = load_file(folder / "expected.safetensors")
                ids = expected["input_ids"][0].tolist()[: result["context"]]
                logits = llama_cpp_logits(ours, ids)
                if logits is None:
                    print(f"{'':20}   llama_cpp is not installed: its logits are not compared")
                else:
                    theirs = expected["logits"][0].double().numpy()[: len(ids)]
                    worst = np.abs(logits - theirs).max() / theirs.std()
                    failed += worst > LOGITS
                    print(f"{'':20}   llama.cpp's logits differ by {worst:.0e} of their spread", flush=True)
            for line in [*found, *refused]:
                print(f"{'':20}   {line}")
    sys.exit(f"{failed} failed" if failed else 0)


if __name__ == "__main__":
    main()
