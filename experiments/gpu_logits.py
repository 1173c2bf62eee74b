#!/usr/bin/env python3
"""gpu_logits.py - logits of the CUDA engine beside those of transformers in 16 bit.

usage: gpu_logits.py DUMP_FOLDER [GOLDEN_FOLDER]     (golden beside this file)

`gpu_checks models --dump DUMP_FOLDER` writes NAME.bf16.f32 and NAME.fp16.f32 for each golden model:
[n_rows, vocab] float32, little endian, rows as in the logits.f32 of the model. What both are held
to is that logits.f32: transformers in float32 on the weights as stored. The engine passes where
its distance (relative L2 over all rows) is at most 1.5 times that of transformers itself in the
same 16 bits, on a CPU. Exit status: 0 passed, 1 not, 2 misuse, 77 no torch or transformers here.
"""
import json
import math
import pathlib
import sys

try:
    import torch
    import transformers
    from transformers import AutoModelForCausalLM
except ImportError as missing:
    print(f"gpu_logits.py: skipped, {missing}", file=sys.stderr)
    sys.exit(77)

RATIO_MAX = 1.5
GOLDEN = pathlib.Path(__file__).parent / "golden"  # in the bundle
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def read_rows(path, vocab):
    rows = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.float32)
    return rows.view(-1, vocab).double()


@torch.no_grad()
def rows_in(folder, sequences, dtype):
    """What transformers computes in dtype: [n_rows, vocab]."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager",
                                                 local_files_only=True).eval()
    return torch.cat([model(torch.tensor([tokens]), use_cache=False).logits[0]
                      for tokens in sequences]).double()


def distance(rows, reference):
    """Relative L2 over all rows, and of the worst row."""
    difference = rows - reference
    worst = (difference.norm(dim=1) / reference.norm(dim=1)).max()
    return (difference.norm() / reference.norm()).item(), worst.item()


def check(path, golden):
    """One line about one dump; its error as a multiple of transformers', inf if it is unusable."""
    name, dtype, _ = path.name.rsplit(".", 2)
    folder = golden / name
    about = json.loads((folder / "golden.json").read_text())
    reference = read_rows(folder / "logits.f32", about["vocab"])
    engine = read_rows(path, about["vocab"])
    if engine.shape != reference.shape:
        print(f"{name:13} {dtype}: {tuple(engine.shape)} logits, not {tuple(reference.shape)}")
        return math.inf
    ours, ours_worst = distance(engine, reference)
    theirs, theirs_worst = distance(rows_in(folder, about["sequences"], DTYPES[dtype]), reference)
    same = (engine.argmax(dim=1) == reference.argmax(dim=1)).double().mean().item()
    ratio = ours / theirs if math.isfinite(ours) else math.inf
    passed = ratio <= RATIO_MAX
    print(f"{name:13} {dtype}: engine {ours:.2e} (worst row {ours_worst:.2e}), transformers "
          f"{theirs:.2e} ({theirs_worst:.2e}), ratio {ratio:.2f}, best token as in float32 "
          f"{100 * same:.0f} %{'' if passed else '  FAILED'}")
    return ratio


def main():
    if not 2 <= len(sys.argv) <= 3 or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    dump = pathlib.Path(sys.argv[1])
    golden = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else GOLDEN)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    paths = sorted(p for p in dump.glob("*.f32") if p.name.rsplit(".", 2)[1] in DTYPES)
    if not paths:
        print(f"gpu_logits.py: no NAME.bf16.f32 or NAME.fp16.f32 in {dump}", file=sys.stderr)
        return 1
    ratios = [check(path, golden) for path in paths]
    passed = sum(ratio <= RATIO_MAX for ratio in ratios)
    print(f"{passed} of {len(paths)} within {RATIO_MAX} times the error of transformers "
          f"{transformers.__version__}, torch {torch.__version__}; at most {max(ratios):.2f}")
    return 0 if passed == len(paths) else 1


if __name__ == "__main__":
    sys.exit(main())
