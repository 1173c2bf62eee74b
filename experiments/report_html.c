#include "report_html.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char head[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\">\n"
    "<head>\n"
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<title>AdaptiveLLM: runs side by side</title>\n"
    "<style>\n"
    "body { font: 15px/1.45 system-ui, sans-serif; color: #1a1a1a; background: #fff;\n"
    "  max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }\n"
    "h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }\n"
    ".wide { overflow-x: auto; }\n"
    "table { border-collapse: collapse; font-variant-numeric: tabular-nums; }\n"
    "th, td { padding: .22rem .7rem; text-align: left; border-bottom: 1px solid #e2e2e2;\n"
    "  white-space: nowrap; vertical-align: bottom; }\n"
    "td.n, th.n { text-align: right; } td.r { text-align: right; color: #666; }\n"
    "p.warning { border-left: 4px solid #d55e00; padding: .3rem .8rem; background: #fdf3ec; }\n"
    "img { max-width: 100%; height: auto; } pre { overflow-x: auto; font-size: .85rem; }\n"
    "</style>\n"
    "</head>\n"
    "<body>\n"
    "<h1>Runs side by side</h1>\n";

/* Text as it is to be read, whatever is in it. */
static void put_text(FILE *out, const char *text) {
    if (!text || !*text) text = "-";
    for (; *text; text++) {
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            fputc(*text, out);
        }
    }
}

static void put_cell(FILE *out, const char *tag, const char *class, const char *text) {
    fprintf(out, class ? "<%s class=\"%s\">" : "<%s>", tag, class);
    put_text(out, text);
    fprintf(out, "</%s>", tag);
}

/* The warnings of a comparison, one per line. */
static status put_warnings(FILE *out, const stored_run *runs, size_t n) {
    char *text = NULL;
    size_t size = 0;
    FILE *lines = open_memstream(&text, &size);
    if (!lines) return ST_IO;
    compare_print_warnings(lines, "", runs, n, &(compare_view){.all = true});
    if (fclose(lines) != 0) {
        free(text);
        return ST_IO;
    }
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        fputs("<p class=\"warning\">", out);
        put_text(out, line);
        fputs("</p>\n", out);
    }
    free(text);
    return ST_OK;
}

static void put_runs(FILE *out, const stored_run *runs, size_t n) {
    fputs("<h2>What they are</h2>\n<div class=\"wide\"><table>\n<tr><th>run</th>", out);
    for (size_t c = 0; compare_run_column(c, NULL); c++)
        put_cell(out, "th", NULL, compare_run_column(c, NULL));
    fputs("<th class=\"n\">seed</th></tr>\n", out);
    for (size_t i = 0; i < n; i++) {
        fprintf(out, "<tr><td>%" PRId64 "</td>", runs[i].id);
        for (size_t c = 0; compare_run_column(c, NULL); c++)
            put_cell(out, "td", NULL, compare_run_column(c, &runs[i]));
        fprintf(out, "<td class=\"n\">%" PRIu64 "</td></tr>\n", runs[i].seed);
    }
    fputs("</table></div>\n", out);
}

static void put_figures(FILE *out, const stored_run *runs, size_t n) {
    fprintf(out,
            "<h2>Figures</h2>\n<p>Ratios are to run %" PRId64
            ".</p>\n<div class=\"wide\"><table>\n<tr><th></th>",
            runs[0].id);
    for (size_t i = 0; i < n; i++) {
        fprintf(out, "<th class=\"n\">run %" PRId64 "<br>", runs[i].id);
        put_text(out, runs[i].policy);
        fputs(i ? "</th><th class=\"n\">ratio</th>" : "</th>", out);
    }
    fputs("</tr>\n", out);
    for (int id = 0; id < N_FIGURES; id++) {
        if (!compare_any_knows(runs, n, (figure_id)id)) continue;
        fputs("<tr>", out);
        put_cell(out, "td", NULL, figure_text((figure_id)id));
        for (size_t i = 0; i < n; i++) {
            char value[COMPARE_TEXT_SIZE], ratio[COMPARE_TEXT_SIZE];
            compare_value_text(value, &runs[i], (figure_id)id);
            compare_ratio_text(ratio, &runs[0], &runs[i], (figure_id)id, false);
            put_cell(out, "td", "n", value);
            if (i > 0) put_cell(out, "td", "r", ratio);
        }
        fputs("</tr>\n", out);
    }
    fputs("</table></div>\n", out);
}

/* How each can be made again. */
static void put_settings(FILE *out, const stored_run *runs, size_t n) {
    fputs("<h2>Settings</h2>\n", out);
    for (size_t i = 0; i < n; i++) {
        fprintf(out, "<details><summary>run %" PRId64 "</summary>\n<pre>", runs[i].id);
        put_text(out, runs[i].settings);
        fputs("\ncommit ", out);
        put_text(out, runs[i].commit_hash);
        fputs("\nmachine ", out);
        put_text(out, runs[i].machine);
        fputs("</pre></details>\n", out);
    }
}

status report_write_html(FILE *out, const stored_run *runs, size_t n, const char *const *images,
                         size_t n_images) {
    fputs(head, out);
    TRY(put_warnings(out, runs, n));
    put_runs(out, runs, n);
    for (size_t i = 0; i < n_images; i++) {
        fprintf(out, "<p><img src=\"%s\" alt=\"", images[i]);
        put_text(out, images[i]);
        fputs("\"></p>\n", out);
    }
    put_figures(out, runs, n);
    put_settings(out, runs, n);
    fputs("</body>\n</html>\n", out);
    return ferror(out) ? ST_IO : ST_OK;
}
