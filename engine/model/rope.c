/* rope.c - rotary positions. See rope.h. */
#include "rope.h"

#include <math.h>

static float llama3_frequency(const rope_scaling *s, float frequency) {
    const float pi = 3.14159265358979f;
    float wavelength = 2 * pi / frequency, factor = (float)s->factor;
    float low = (float)s->low_freq_factor, high = (float)s->high_freq_factor;
    float original = (float)s->original_max_positions;
    if (wavelength < original / high) return frequency;
    if (wavelength > original / low) return frequency / factor;
    float smooth = (original / wavelength - low) / (high - low);
    return (1 - smooth) * frequency / factor + smooth * frequency;
}

void rope_frequencies(float *out, const model_config *c) {
    for (uint32_t i = 0; i < c->head_dim / 2; i++) {
        float exponent = (float)(2 * i) / (float)c->head_dim;
        float frequency = 1.0f / powf((float)c->rope_theta, exponent);
        if (c->rope.kind == ROPE_LINEAR) frequency /= (float)c->rope.factor;
        if (c->rope.kind == ROPE_LLAMA3) frequency = llama3_frequency(&c->rope, frequency);
        out[i] = frequency;
    }
}

void rope_angles(float *cosines, float *sines, const float *frequencies, uint32_t n,
                 uint32_t position) {
    for (uint32_t i = 0; i < n; i++) {
        float angle = (float)position * frequencies[i];
        cosines[i] = cosf(angle);
        sines[i] = sinf(angle);
    }
}

void rope_turn(float *head, const float *cosines, const float *sines, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        float a = head[i], b = head[i + n];
        head[i] = a * cosines[i] - b * sines[i];
        head[i + n] = b * cosines[i] + a * sines[i];
    }
}
