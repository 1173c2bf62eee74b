#include "figures.h"

#include <assert.h>

static const struct {
    const char *name, *text;
    bool whole;
} figures[N_FIGURES] = {
#define X(name, whole, text) {#name, text, whole},
    FIGURE_SCALARS(X)
#undef X
#define X(name, text)                                                                          \
    {#name "_mean", text ", mean", false}, {#name "_p50", text ", p50", false},                \
        {#name "_p90", text ", p90", false}, {#name "_p99", text ", p99", false},              \
        {#name "_max", text ", max", false},
        FIGURE_DISTRIBUTIONS(X)
#undef X
};

const char *figure_name(figure_id id) {
    assert(id < N_FIGURES);
    return figures[id].name;
}

const char *figure_text(figure_id id) {
    assert(id < N_FIGURES);
    return figures[id].text;
}

bool figure_is_whole(figure_id id) {
    assert(id < N_FIGURES);
    return figures[id].whole;
}
