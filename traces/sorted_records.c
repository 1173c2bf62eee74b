#include "sorted_records.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef struct entry {
    trace_record record;
    uint64_t place;    /* in the file */
    uint64_t first_id; /* its prefix ids: ids[first_id, first_id + n_prefix_ids) */
} entry;

struct sorted_records {
    entry *entries; /* [n] */
    uint64_t *ids;  /* [n_ids] prefix ids of all records */
    size_t n, room, n_ids, ids_room, next;
};

/* Makes room for n elements; false when there is no memory, with the array as it was. */
static bool grow(void **array, size_t *room, size_t n, size_t element_bytes) {
    if (n <= *room) return true;
    size_t wanted = n + n / 2 + 1024;
    void *larger = realloc(*array, wanted * element_bytes);
    if (!larger) return false;
    *array = larger;
    *room = wanted;
    return true;
}

static status append(sorted_records *s, const trace_record *record, errbuf *err) {
    void *entries = s->entries, *ids = s->ids;
    bool fits = grow(&entries, &s->room, s->n + 1, sizeof(*s->entries)) &&
                grow(&ids, &s->ids_room, s->n_ids + record->n_prefix_ids, sizeof(*s->ids));
    s->entries = entries;
    s->ids = ids;
    if (!fits) return fail(err, ST_NO_MEMORY, "not enough memory to sort the trace");
    s->entries[s->n] = (entry){*record, s->n, s->n_ids};
    if (record->n_prefix_ids)
        memcpy(s->ids + s->n_ids, record->prefix_ids, record->n_prefix_ids * sizeof(*s->ids));
    s->n++;
    s->n_ids += record->n_prefix_ids;
    return ST_OK;
}

static int by_time_and_place(const void *left, const void *right) {
    const entry *a = left, *b = right;
    if (a->record.time_ns != b->record.time_ns)
        return a->record.time_ns < b->record.time_ns ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

status sorted_records_read(sorted_records **out, trace_reader *r, errbuf *err) {
    sorted_records *s = calloc(1, sizeof(*s));
    if (!s) return fail(err, ST_NO_MEMORY, "not enough memory to sort the trace");
    status st;
    trace_record record;
    while ((st = trace_reader_next(r, &record, err)) == ST_OK)
        if ((st = append(s, &record, err)) != ST_OK) break;
    if (st != ST_END) {
        sorted_records_destroy(s);
        return st;
    }
    if (s->n) qsort(s->entries, s->n, sizeof(*s->entries), by_time_and_place);
    *out = s;
    return ST_OK;
}

void sorted_records_destroy(sorted_records *s) {
    if (!s) return;
    free(s->entries);
    free(s->ids);
    free(s);
}

status sorted_records_next(sorted_records *s, trace_record *out) {
    if (s->next == s->n) return ST_END;
    const entry *e = &s->entries[s->next++];
    *out = e->record;
    if (out->n_prefix_ids) out->prefix_ids = s->ids + e->first_id;
    return ST_OK;
}

void sorted_records_rewind(sorted_records *s) {
    s->next = 0;
}
