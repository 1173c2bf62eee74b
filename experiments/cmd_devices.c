#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "commands.h"
#include "device_spec.h"

static void print_usage(FILE *out) {
    fprintf(
        out,
        "usage: adaptivellm devices [--json]\n\n"
        "Lists the devices that can be simulated, with the limits that their times\n"
        "follow from. Sources stand in base/core/device_spec.c. Another device is one\n"
        "of these with other limits: --device FILE.json, with the keys of --json, as in\n"
        "\n"
        "  {\"like\": \"h100-80g\", \"name\": \"h20\", \"n_sms\": 78, \"peak_flops\": 148e12,\n"
        "   \"memory_bytes\": 102.6e9, \"memory_bytes_per_s\": 4.0e12}\n\n"
        "  --json   print an array of objects, values in SI units\n"
        "  --help   print this\n");
}

static void print_table(const device_spec *devices, size_t n) {
    printf("%-13s %4s %8s %7s %7s %6s %6s %7s %6s %7s  %s\n", "device", "SMs", "TFLOP/s", "GiB",
           "GB/s", "link", "both", "copy us", "peer", "peer us", "name");
    for (size_t i = 0; i < n; i++) {
        const device_spec *d = &devices[i];
        printf("%-13s %4u %8.1f %7.1f %7.0f %6.0f %6.0f %7.1f %6.0f %7.0f  %s\n", d->name,
               (unsigned)d->n_sms, d->peak_flops / 1e12, d->memory_bytes / (1 << 30),
               d->memory_bytes_per_s / 1e9, d->link_bytes_per_s / 1e9,
               d->link_both_bytes_per_s / 1e9, d->copy_launch_s * 1e6,
               d->peer_bytes_per_s / 1e9, d->peer_latency_s * 1e6, d->full_name);
    }
    printf("\nTFLOP/s: dense bf16. link, both: host link in GB/s one way, both ways together.\n"
           "copy: launch of one copy. peer: all-reduce between devices, GB/s and latency.\n");
}

static bool print_json(const device_spec *devices, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < n; i++) {
        const device_spec *d = &devices[i];
        json_t *entry = json_pack(
            "{s:s, s:s, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "name", d->name,
            "full_name", d->full_name, "n_sms", (int)d->n_sms, "peak_flops", d->peak_flops,
            "memory_bytes", d->memory_bytes, "memory_bytes_per_s", d->memory_bytes_per_s,
            "link_bytes_per_s", d->link_bytes_per_s, "link_both_bytes_per_s",
            d->link_both_bytes_per_s, "copy_launch_s", d->copy_launch_s, "peer_bytes_per_s",
            d->peer_bytes_per_s, "peer_latency_s", d->peer_latency_s);
        if (json_array_append_new(list, entry) != 0) {
            json_decref(list);
            return false;
        }
    }
    bool written = list && json_dumpf(list, stdout, JSON_INDENT(2)) == 0 && puts("") >= 0;
    json_decref(list);
    return written;
}

int cmd_devices(int argc, char **argv) {
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
    bool as_json = false;
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (c == 'h') {
            print_usage(stdout);
            return EXIT_DONE;
        }
        if (c != 'j') return EXIT_MISUSE; /* getopt has said why */
        as_json = true;
    }
    if (optind < argc) {
        fprintf(stderr, "adaptivellm devices: takes no argument, so '%s' is too many\n",
                argv[optind]);
        return EXIT_MISUSE;
    }
    size_t n;
    const device_spec *devices = device_specs(&n);
    if (!as_json) print_table(devices, n);
    if (as_json && !print_json(devices, n)) {
        fprintf(stderr, "adaptivellm devices: out of memory, or standard output is closed\n");
        return EXIT_FAILED;
    }
    return EXIT_DONE;
}
