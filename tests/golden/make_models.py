#!/usr/bin/env python3
"""make_models.py - tiny random models and what Hugging Face transformers computes with them.

usage: make_models.py [FOLDER]          writes the models below FOLDER (default: beside this file)
       make_models.py --check [FOLDER]  makes them anew and compares with those of FOLDER

One folder per architecture: config.json and safetensors as save_pretrained writes them, and
  golden.json  sequences, greedy continuations, and how they came about
  logits.f32   [n_rows, vocab] float32, little endian: of each sequence the logits at every
               position, in the order of golden.json
The reference computes in float32 from the weights as stored (also where these are 16 bits wide).

A seed is taken only if the model can tell a right engine from a wrong one: greedy tokens are far
from ties and vary, and every weight tensor moves the logits. See README.md.
"""
import argparse
import copy
import json
import pathlib
import sys
import tempfile

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM
from transformers import LlamaConfig, MistralConfig, OPTConfig, Qwen2Config, Qwen3Config

SEQUENCE_LENGTHS = (1, 7, 17, 64)  # one token, less than a block, one more than a block, several
PROMPT_LENGTHS = (1, 13, 30)
N_CONTINUED = 32
MARGIN_MIN = 0.02     # best logit minus the second: 1000 times what float32 rounding moves them
DISTINCT_MIN = 12     # tokens of a continuation: a constant one would hide a wrong position
EFFECT_MIN = 1e-3     # relative change of the logits when one tensor is changed
ROUNDING_MAX = 2e-6   # float32 from float64, relative, in the worst row
N_SEEDS = 2000

# Sizes are odd where they can be: nothing may rely on multiples of 4, 8 or 16.
COMMON = dict(vocab_size=193, num_hidden_layers=2, max_position_embeddings=128,
              bos_token_id=1, eos_token_id=2, pad_token_id=None)


def llama3_config():
    """Wavelengths of head_dim 16 lie on both sides of the two limits (64 and 16 tokens)."""
    rope = dict(rope_type="llama3", rope_theta=10000.0, factor=4.0, low_freq_factor=1.0,
                high_freq_factor=4.0, original_max_position_embeddings=64)
    return LlamaConfig(**COMMON | dict(num_hidden_layers=3), hidden_size=64, intermediate_size=88,
                       num_attention_heads=4, num_key_value_heads=1, rms_norm_eps=1e-5,
                       rope_parameters=rope)


def mistral_config():
    """The window is as long as the model, and thus none."""
    rope = dict(rope_type="linear", rope_theta=5000.0, factor=2.0)
    return MistralConfig(**COMMON, hidden_size=64, intermediate_size=100, num_attention_heads=8,
                         num_key_value_heads=2, head_dim=8, sliding_window=128,
                         rope_parameters=rope)


def qwen2_config():
    return Qwen2Config(**COMMON, hidden_size=60, intermediate_size=90, num_attention_heads=6,
                       num_key_value_heads=2, tie_word_embeddings=True,
                       rope_parameters=dict(rope_type="default", rope_theta=1000000.0))


def qwen3_config():
    return Qwen3Config(**COMMON, hidden_size=52, intermediate_size=94, num_attention_heads=4,
                       num_key_value_heads=2, head_dim=16,
                       rope_parameters=dict(rope_type="default", rope_theta=1000000.0))


def opt_config():
    return OPTConfig(**COMMON | dict(pad_token_id=1), hidden_size=60, ffn_dim=120,
                     num_attention_heads=5, word_embed_proj_dim=60, dropout=0.0)


def llama_biased_config():
    """What Llama's class allows and its models seldom have: biases everywhere, a tied head."""
    return LlamaConfig(**COMMON, hidden_size=40, intermediate_size=56, num_attention_heads=5,
                       num_key_value_heads=5, attention_bias=True, mlp_bias=True,
                       tie_word_embeddings=True, rms_norm_eps=1e-5,
                       rope_parameters=dict(rope_type="default", rope_theta=10000.0))


def opt_post_norm_config():
    """Norms after attention and MLP (opt-350m), no biases, a head of its own."""
    return OPTConfig(**COMMON | dict(pad_token_id=1), hidden_size=48, ffn_dim=100,
                     num_attention_heads=4, word_embed_proj_dim=48, dropout=0.0,
                     do_layer_norm_before=False, enable_bias=False, tie_word_embeddings=False)


# name -> configuration, type of the stored weights, most bytes of a file
MODELS = {
    "llama": (llama3_config, torch.float32, "120KB"),
    "mistral": (mistral_config, torch.bfloat16, "1GB"),
    "qwen2": (qwen2_config, torch.float16, "1GB"),
    "qwen3": (qwen3_config, torch.bfloat16, "60KB"),
    "opt": (opt_config, torch.float16, "1GB"),
    "llama_biased": (llama_biased_config, torch.float16, "1GB"),
    "opt_post_norm": (opt_post_norm_config, torch.bfloat16, "1GB"),
}
OLD_SPELLING = ("llama", "mistral")  # also config_old.json, as transformers 4 wrote it


def init_weights(model, seed):
    """Normal weights that keep activations near 1, with norms and biases that matter.

    A tied head votes for the token it is given, so that greedy decoding repeats it for ever;
    unless the layers outweigh the embedding.
    """
    tied = model.config.tie_word_embeddings
    embedding, matrix, query_key = (0.5, 1.5, 2.0) if tied else (1.0, 1.0, 1.4)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.normal_(generator=random)
            if "embed" in name:
                weight.mul_(embedding)
            elif weight.dim() == 2:
                sharp = ".q_proj" in name or ".k_proj" in name
                weight.mul_((query_key if sharp else matrix) * weight.shape[1] ** -0.5)
            elif "norm" in name and name.endswith("weight"):
                weight.mul_(0.3).add_(1.0)
            else:
                weight.mul_(0.3)


def tokens_of(vocab, seed, n):
    random = torch.Generator().manual_seed(seed)
    return torch.randint(vocab, (n,), generator=random).tolist()


@torch.no_grad()
def logits_of(model, tokens):
    """[n_tokens, vocab] of one forward pass without a cache."""
    return model(torch.tensor([tokens]), use_cache=False).logits[0]


def continue_greedily(model, prompt):
    """The next N_CONTINUED tokens and the smallest gap between the best two logits."""
    tokens, margin = list(prompt), float("inf")
    for _ in range(N_CONTINUED):
        best = logits_of(model, tokens)[-1].topk(2)
        tokens.append(best.indices[0].item())
        margin = min(margin, (best.values[0] - best.values[1]).item())
    return tokens[len(prompt):], margin


def distance(a, b):
    """Relative L2, in float64."""
    a, b = a.double(), b.double()
    return ((a - b).norm() / b.norm()).item()


def without_effect(config, name):
    """OPT adds the bias of K to all keys alike, and softmax takes no notice of a constant."""
    return config.model_type == "opt" and name.endswith("k_proj.bias")


def least_effect(model, tokens):
    """Smallest change of the logits over weight tensors, each with two entries changed places."""
    reference, least = logits_of(model, tokens), float("inf")
    for name, weight in model.named_parameters():
        if without_effect(model.config, name):
            continue
        kept = weight.detach().clone()
        with torch.no_grad():
            weight.copy_(kept.roll(1, dims=-1))
        least = min(least, distance(logits_of(model, tokens), reference))
        with torch.no_grad():
            weight.copy_(kept)
    return least


def float64_distance(model, sequences, rows):
    """How far float32 is from float64 in the worst row: what an engine cannot be held to."""
    exact = copy.deepcopy(model).double()
    exact = torch.cat([logits_of(exact, tokens) for tokens in sequences])
    return max(distance(row, other) for row, other in zip(rows, exact, strict=True))


def continuations_of(model):
    """One per prompt; None if one is too close to a tie or too monotonous."""
    continuations = []
    for n in PROMPT_LENGTHS:
        prompt = tokens_of(model.config.vocab_size, 200 + n, n)
        tokens, margin = continue_greedily(model, prompt)
        if margin < MARGIN_MIN or len(set(tokens)) < DISTINCT_MIN:
            return None
        continuations.append(dict(prompt=prompt, tokens=tokens, margin=round(margin, 4)))
    return continuations


def golden_of(model):
    """What golden.json holds of a model, and all rows of logits.f32.

    None if the model would not tell a right engine from a wrong one.
    """
    continuations = continuations_of(model)
    if not continuations:
        return None
    vocab = model.config.vocab_size
    sequences = [tokens_of(vocab, 100 + n, n) for n in SEQUENCE_LENGTHS]
    rows = torch.cat([logits_of(model, tokens) for tokens in sequences])
    golden = dict(vocab=vocab, sequences=sequences, continuations=continuations,
                  least_effect=least_effect(model, sequences[-1]),
                  float64_distance=float64_distance(model, sequences, rows))
    if golden["least_effect"] < EFFECT_MIN or golden["float64_distance"] > ROUNDING_MAX:
        return None
    return golden, rows


def save_model(folder, config, seed, dtype, max_shard_size):
    """Writes the model and returns it as read back: the stored weights, in float32."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    init_weights(model, seed)
    model.to(dtype).save_pretrained(folder, max_shard_size=max_shard_size)
    (folder / "generation_config.json").unlink(missing_ok=True)
    return open_model(folder)


def open_model(folder, dtype=torch.float32):
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation="eager", local_files_only=True).eval()


def write_old_spelling(folder):
    """config_old.json, which says the same in the words of transformers 4."""
    config = json.loads((folder / "config.json").read_text())
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    if rope["rope_type"] == "linear":
        rope["type"] = rope.pop("rope_type")
    config["rope_scaling"] = rope
    config["torch_dtype"] = config.pop("dtype")
    config["transformers_version"] = "4.40.0"
    (folder / "config_old.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def check_old_spelling(folder, tokens, reference):
    """The reference reads both spellings alike."""
    config = folder / "config.json"
    kept = config.read_text()
    config.write_text((folder / "config_old.json").read_text())
    try:
        assert torch.equal(logits_of(open_model(folder), tokens), reference), folder
    finally:
        config.write_text(kept)


def write_golden(folder, golden, rows):
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in golden.items()]
    (folder / "golden.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    (folder / "logits.f32").write_bytes(rows.contiguous().numpy().astype("<f4").tobytes())


def first_telling(folder, name):
    """Writes the model of the first seed that gives a telling one."""
    make_config, dtype, max_shard_size = MODELS[name]
    for seed in range(N_SEEDS):
        found = golden_of(save_model(folder, make_config(), seed, dtype, max_shard_size))
        if found:
            golden, rows = found
            return golden | dict(seed=seed), rows
    return sys.exit(f"{name}: none of {N_SEEDS} seeds tells a right engine from a wrong one")


def make_model(root, name):
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    golden, rows = first_telling(folder, name)
    golden |= dict(torch=torch.__version__, transformers=transformers.__version__)
    write_golden(folder, golden, rows)
    if name in OLD_SPELLING:
        write_old_spelling(folder)
        n_last = len(golden["sequences"][-1])
        check_old_spelling(folder, golden["sequences"][-1], rows[-n_last:])
    return golden


def check_model(root, name):
    """Makes the model again elsewhere; tokens must be equal and logits within rounding."""
    with tempfile.TemporaryDirectory() as work:
        golden = make_model(pathlib.Path(work), name)
        committed = json.loads((root / name / "golden.json").read_text())
        for key in ("seed", "vocab", "sequences"):
            assert golden[key] == committed[key], (name, key)
        for new, old in zip(golden["continuations"], committed["continuations"], strict=True):
            assert new["tokens"] == old["tokens"], (name, "continuations")
        rows = [torch.frombuffer(bytearray((r / name / "logits.f32").read_bytes()), dtype=torch.float32)
                for r in (pathlib.Path(work), root)]
        assert distance(*rows) < 1e-5, (name, "logits")
        return golden


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", nargs="?", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    for name in MODELS:
        golden = (check_model if arguments.check else make_model)(arguments.folder, name)
        print(f"{name:13} seed {golden['seed']:4} margin "
              f"{min(c['margin'] for c in golden['continuations']):.3f} distinct "
              f"{min(len(set(c['tokens'])) for c in golden['continuations'])} least effect "
              f"{golden['least_effect']:.1e} to float64 {golden['float64_distance']:.1e}", flush=True)


if __name__ == "__main__":
    main()
