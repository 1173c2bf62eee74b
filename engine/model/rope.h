/* rope.h - rotary positions: pairs (i, i + head_dim / 2) turn by position * frequency i.
 *
 * Source: Su et al., RoFormer, 2021, with the pairing and the fp32 angles of Hugging Face
 * transformers (rotate_half); scaling as in its modeling_rope_utils.py. */
#ifndef ROPE_H
#define ROPE_H

#include "model_config.h"

/* Writes the head_dim / 2 frequencies of a model, its scaling applied. */
void rope_frequencies(float *out, const model_config *c);

/* Cosines and sines of a position, n frequencies. */
void rope_angles(float *cosines, float *sines, const float *frequencies, uint32_t n,
                 uint32_t position);

/* Turns one head of 2 n dimensions. */
void rope_turn(float *head, const float *cosines, const float *sines, uint32_t n);

#endif
