#include "probe_rows.h"

#include <string.h>

/* Fields are not quoted. */
static void print_field(FILE *out, const char *text) {
    for (; *text; text++) fputc(strchr(",\"\r\n", *text) ? ' ' : *text, out);
}

void probe_rows_begin(FILE *out, const probe_machine *m, const char *date, const char *mode) {
    fputs("# cuda-probe 1: ", out);
    print_field(out, m->device);
    fprintf(out, "; driver %d.%d; runtime %d.%d; cuBLASLt %lu", m->driver / 1000,
            m->driver % 1000 / 10, m->runtime / 1000, m->runtime % 1000 / 10, m->cublaslt);
    if (m->sm_clock_max_mhz)
        fprintf(out, "; clocks up to %u MHz (memory %u MHz)", (unsigned)m->sm_clock_max_mhz,
                (unsigned)m->memory_clock_max_mhz);
    fprintf(out, "; L2 %.1f MiB; %s; date ", (double)m->l2_bytes / (1024 * 1024), mode);
    print_field(out, *date ? date : "not given");
    fputs("\ndevice,model,op,method,shape,bytes,n_segments,n_blocks,other_direction_busy,"
          "compute_busy,n_tokens,gemm_n,gemm_k,median_us,mean_us,min_us,deviation_us,"
          "half_width_us,n_repeats,issue_us,sm_clock_mhz\n",
          out);
}

static void print_times(FILE *out, const repeat_summary *t, const probe_remark *remark) {
    fprintf(out, ",%.4f,%.4f,%.4f,%.4f,%.4f,%u,", t->median_s * 1e6, t->mean_s * 1e6,
            t->min_s * 1e6, t->deviation_s * 1e6, t->half_width_s * 1e6,
            (unsigned)t->n_repeats);
    if (remark->issue_s > 0) fprintf(out, "%.4f", remark->issue_s * 1e6);
    fputc(',', out);
    if (remark->sm_clock_mhz) fprintf(out, "%u", (unsigned)remark->sm_clock_mhz);
    fputc('\n', out);
}

static void print_copy(FILE *out, const probe_machine *m, const copy_point *p,
                       const char *model, const repeat_summary *times,
                       const probe_remark *remark) {
    print_field(out, m->device);
    fprintf(out, ",%s,%s,%s,,%llu,%u,", model,
            p->direction == LINK_TO_HOST ? "swap_out" : "swap_in", copy_method_name(p->method),
            (unsigned long long)p->bytes, (unsigned)p->n_segments);
    if (p->n_blocks) fprintf(out, "%u", (unsigned)p->n_blocks);
    fprintf(out, ",%d,%d,,,", p->other_direction_busy, p->compute_busy);
    print_times(out, times, remark);
}

void probe_rows_copy(FILE *out, const probe_machine *m, const copy_point *p,
                     const repeat_summary *times, const probe_remark *remark) {
    const char *model;
    if (p->n_blocks == 0) print_copy(out, m, p, "", times, remark);
    for (size_t i = 0; p->n_blocks && (model = copy_block_model(p->block_bytes, i)); i++)
        print_copy(out, m, p, model, times, remark);
}

void probe_rows_gemm(FILE *out, const probe_machine *m, const gemm_shape *shape,
                     uint32_t n_tokens, const repeat_summary *times,
                     const probe_remark *remark) {
    print_field(out, m->device);
    fputs(",,gemm,", out);
    print_field(out, remark->method);
    fprintf(out, ",%s %s,,,,,%d,%u,%u,%u", shape->model, shape->part, 0, (unsigned)n_tokens,
            (unsigned)shape->n, (unsigned)shape->k);
    print_times(out, times, remark);
}
