/* gemm_record.cu - algorithms as text:
 *   n_out n_in float bias relu bucket dtype deterministic version algo device
 * where algo is 128 hexadecimal digits and device the rest of the line. See gemm.cuh. */
#include <stdio.h>
#include <string.h>

#include "gemm.cuh"

enum { ALGO_BYTES = 64 };

void gemm_record_write(char *text, const gemm_algo_record *r) {
    char algo[2 * ALGO_BYTES + 1];
    for (int i = 0; i < ALGO_BYTES; i++) snprintf(algo + 2 * i, 3, "%02x", r->algo[i]);
    const gemm_product *p = &r->product;
    snprintf(text, GEMM_RECORD_TEXT_BYTES, "%u %u %d %d %d %u %s %d %llu %s %s", p->n_out,
             p->n_in, p->float_out, p->bias, p->relu, r->bucket,
             r->dtype == DEVICE_BF16 ? "bf16" : "fp16", r->deterministic,
             (unsigned long long)r->version, algo, r->device);
}

static bool is_flag(unsigned x) {
    return x <= 1;
}

/* Both digits of a byte; false: they are none. */
static bool read_byte(unsigned char *out, const char *digits) {
    static const char all[] = "0123456789abcdef";
    const char *high = strchr(all, digits[0]), *low = strchr(all, digits[1]);
    if (!digits[0] || !digits[1] || !high || !low) return false;
    *out = (unsigned char)((high - all) * 16 + (low - all));
    return true;
}

status gemm_record_read(gemm_algo_record *out, const char *text, errbuf *err) {
    gemm_algo_record r;
    memset(&r, 0, sizeof(r));
    unsigned is_float, bias, relu, deterministic;
    unsigned long long version;
    char dtype[5], algo[2 * ALGO_BYTES + 1];
    int n = 0;
    int n_read = sscanf(text, "%u %u %u %u %u %u %4s %u %llu %128s %n", &r.product.n_out,
                        &r.product.n_in, &is_float, &bias, &relu, &r.bucket, dtype,
                        &deterministic, &version, algo, &n);
    if (n_read != 10 || n == 0 || strlen(text + n) >= sizeof(r.device) ||
        strlen(algo) != 2 * ALGO_BYTES)
        return fail(err, ST_FORMAT, "not the record of an algorithm: %.100s", text);
    bool bf16 = strcmp(dtype, "bf16") == 0;
    if (!is_flag(is_float) || !is_flag(bias) || !is_flag(relu) || !is_flag(deterministic) ||
        (!bf16 && strcmp(dtype, "fp16") != 0))
        return fail(err, ST_FORMAT, "the record of an algorithm has bad flags: %.100s", text);
    for (int i = 0; i < ALGO_BYTES; i++)
        if (!read_byte(&r.algo[i], algo + 2 * i))
            return fail(err, ST_FORMAT, "the record of an algorithm has bad digits: %s", algo);
    r.product.float_out = is_float;
    r.product.bias = bias;
    r.product.relu = relu;
    r.dtype = bf16 ? DEVICE_BF16 : DEVICE_FP16;
    r.deterministic = deterministic;
    r.version = version;
    snprintf(r.device, sizeof(r.device), "%s", text + n);
    *out = r;
    return ST_OK;
}
