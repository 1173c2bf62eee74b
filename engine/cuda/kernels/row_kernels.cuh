/* row_kernels.cuh - kernels over rows: embedding, norms, rotary positions and the KV store,
 * activations, gathering.
 *
 * A row is a token; a matrix is [n_rows, width] without gaps, in bfloat16 or half. Arrays are
 * on the device, and n_rows is at most ROWS_MAX. Numbers go by 16 bytes where the width is a
 * multiple of 8 and the arrays are aligned to 16 bytes, else one by one; the result is the
 * same bits. The bits of a row depend on no other row.
 *
 * Rounding follows transformers in 16 bit: what it stores in 16 bit between two operations is
 * rounded here too; sums and positions are float.
 *
 * Launchers never synchronise or allocate and may be captured. n_rows 0 launches nothing.
 * Errors of all: ST_INVALID names the value; ST_IO: the launch failed. */
#ifndef ROW_KERNELS_CUH
#define ROW_KERNELS_CUH

#include "kernel_types.cuh"

enum { ROWS_MAX = 1 << 20, HEAD_DIM_MAX = 256 };

/* x[r] = embedding[tokens[r]] (+ positions_table[positions[r] + position_offset]).
 * rows.tokens, and rows.positions where there is a table. */
typedef struct embed_args {
    void *x;                     /* [n_rows, hidden] */
    const void *embedding;       /* [n_vocabulary, hidden] */
    const void *positions_table; /* [n_positions, hidden]; NULL: none (rotary) */
    uint32_t position_offset, hidden;
    device_rows rows;
} embed_args;

MUST_USE status embed_rows(cudaStream_t stream, device_dtype dtype, const embed_args *args,
                           errbuf *err);

/* x += delta, rounded; then h = norm(x). With shift a LayerNorm, rounded at its end; without
 * an RMSNorm, rounded before the scale and after. */
typedef struct add_norm_args {
    void *x;           /* [n_rows, hidden] */
    void *h;           /* [n_rows, hidden]; may be x */
    const void *delta; /* [n_rows, hidden]; NULL: x stays */
    const void *scale; /* [hidden]; NULL: only the sum */
    const void *shift; /* [hidden]; NULL: RMSNorm */
    float eps;
    uint32_t n_rows, hidden;
} add_norm_args;

MUST_USE status add_norm_rows(cudaStream_t stream, device_dtype dtype,
                              const add_norm_args *args, errbuf *err);

/* Gives Q and K their positions and stores K and V: a row of qkv holds n_heads heads of Q,
 * n_kv_heads of K and n_kv_heads of V, head_dim numbers each (the last two from the arena).
 * Q stays in place; K and V go to the arena, in block blocks[first_block[r] + p /
 * block_tokens] at token p % block_tokens, p = positions[r]. Rows must differ in where they
 * store. head_dim is even and at most HEAD_DIM_MAX. */
typedef struct place_args {
    void *qkv;            /* [n_rows, (n_heads + 2 * n_kv_heads) * head_dim] */
    const float *cosines; /* [n_positions, head_dim / 2]; NULL, as sines: no rotary positions */
    const float *sines;   /* number i turns with number i + head_dim / 2 */
    const void *q_scale;  /* [head_dim] RMSNorm of each head of Q before; NULL: none */
    const void *k_scale;  /* the same for K; both or neither */
    float eps;
    uint32_t n_heads, layer;
    device_rows rows; /* all but tokens */
    kv_arena arena;
    const uint32_t *stopped; /* nothing is written where it is not 0; NULL: never */
} place_args;

MUST_USE status place_and_store_rows(cudaStream_t stream, device_dtype dtype,
                                     const place_args *args, errbuf *err);

/* out = silu(gate) * up, [n_rows, n_ffn]; gate_up [n_rows, gate n_ffn | up n_ffn]. silu is
 * rounded before the product. */
MUST_USE status gate_rows(cudaStream_t stream, device_dtype dtype, void *out,
                          const void *gate_up, uint32_t n_rows, uint32_t n_ffn, errbuf *err);

/* out[i] = x[indices[i]]; out [n_rows, width], indices [n_rows]; out is not x. */
MUST_USE status gather_rows(cudaStream_t stream, device_dtype dtype, void *out, const void *x,
                            const uint32_t *indices, uint32_t n_rows, uint32_t width,
                            errbuf *err);

#endif
