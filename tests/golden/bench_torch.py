#!/usr/bin/env python3
"""bench_torch.py - tokens per second of PyTorch on the CPU, beside which bench_forward is read.

usage: bench_torch.py [--threads N] [--prompt N] [--batch N] [--context N] [MODEL_FOLDER]

Float32, scaled_dot_product_attention, whichever cache of transformers is the faster. Without a
folder the model is a random Llama of the shape that bench_forward makes. The timed window of a prefill is
one forward pass over a prompt, with logits of its last token; that of a decode is one pass that
gives each of a batch of sequences its next token, after `context` tokens in the cache. Loading,
filling the cache and sampling are outside. Prints CSV: the best and the median over repeats.
"""
import argparse
import statistics
import time

import torch
import transformers
from transformers import AutoModelForCausalLM, DynamicCache, LlamaConfig, StaticCache

N_REPEATS_PREFILL = 7
N_REPEATS_DECODE = 32
N_WARM = 2


def default_model():
    config = LlamaConfig(vocab_size=8000, hidden_size=768, intermediate_size=3072,
                         num_hidden_layers=12, num_attention_heads=12, tie_word_embeddings=True,
                         max_position_embeddings=2048)
    torch.manual_seed(1)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32,
                                            attn_implementation="sdpa")


def open_model(folder):
    if not folder:
        return default_model().eval()
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True,
                                                attn_implementation="sdpa").eval()


def timed(step, n_repeats):
    """Seconds of each repeat, after N_WARM that do not count."""
    seconds = []
    for _ in range(N_WARM + n_repeats):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return seconds[N_WARM:]


def prefill_s(model, n_prompt):
    prompt = torch.arange(n_prompt).remainder(model.config.vocab_size).unsqueeze(0)
    return timed(lambda: model(prompt, use_cache=True, logits_to_keep=1), N_REPEATS_PREFILL)


def decode_s(model, n_batch, n_context, cache):
    tokens = torch.arange(n_batch * n_context).remainder(model.config.vocab_size)
    model(tokens.view(n_batch, n_context), past_key_values=cache, logits_to_keep=1)
    step = torch.ones(n_batch, 1, dtype=torch.long)
    return timed(lambda: model(step, past_key_values=cache, logits_to_keep=1), N_REPEATS_DECODE)


def caches(model, n_context):
    yield DynamicCache(config=model.config)
    yield StaticCache(config=model.config, max_cache_len=n_context + N_WARM + N_REPEATS_DECODE)


def print_row(op, threads, n_tokens, seconds):
    print(f"torch,{op},{threads},{n_tokens / min(seconds):.1f},"
          f"{n_tokens / statistics.median(seconds):.1f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--context", type=int, default=512)
    a = parser.parse_args()
    transformers.utils.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(a.threads)
    with torch.inference_mode():
        model = open_model(a.folder)
        print("engine,op,threads,best_tokens_per_s,median_tokens_per_s")
        print_row("prefill", a.threads, a.prompt, prefill_s(model, a.prompt))
        runs = [decode_s(model, a.batch, a.context, cache) for cache in caches(model, a.context)]
        print_row("decode", a.threads, a.batch, min(runs, key=statistics.median))


if __name__ == "__main__":
    main()
