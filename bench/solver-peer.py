"""The same solve by PyTorch: REFERENCE.PY WEIGHT HESSIAN ROWS COLUMNS. REFERENCE.PY has
prune_sparsegpt(weight, hessian, sparsity, n, m), which changes the weight in place. Prints one JSON object."""
import importlib.util
import json
import os
import resource
import sys
import time

import numpy as np
import torch

reference, weight_file, hessian_file = sys.argv[1:4]
rows, columns = map(int, sys.argv[4:6])
spec = importlib.util.spec_from_file_location("reference", reference)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
torch.set_num_threads(os.cpu_count())
weight = torch.from_numpy(np.fromfile(weight_file, dtype=np.float32).reshape(rows, columns))
hessian = torch.from_numpy(np.fromfile(hessian_file, dtype=np.float32).reshape(columns, columns))
start = time.perf_counter()
with torch.no_grad():
    module.prune_sparsegpt(weight, hessian, 0.5, None, None)
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps({"seconds": seconds, "zeros": (weight == 0).float().mean().item(), "peak": peak}))
