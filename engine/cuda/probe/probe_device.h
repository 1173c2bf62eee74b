/* probe_device.h - the CUDA device that is probed, and what can be asked of it.
 *
 * A handle for the files of the probe: one device, its streams, the clocks as the driver's
 * management library tells them (where there is one).
 *
 * Threads: one owner. */
#ifndef PROBE_DEVICE_H
#define PROBE_DEVICE_H

#include <stdint.h>

#include "probe_rows.h"
#include "status.h"

typedef struct probe_device probe_device;

/* Opens device number `index` and says what it is in *machine (all but cublaslt).
 * ST_NOT_FOUND: no driver, or no such device. ST_VERSION: a driver that is too old, or a device
 * that the probe was not compiled for. ST_BUSY: other programs work on it. ST_IO. */
MUST_USE status probe_device_open(probe_device **out, probe_machine *machine, int index,
                                  errbuf *err);

/* d may be NULL. */
void probe_device_close(probe_device *d);

/* The SM clock now; 0: not known. */
uint32_t probe_device_sm_clock_mhz(const probe_device *d);

/* Fills device memory with bf16 numbers that are evenly spread over [-1, 1), on the default
 * stream. ST_IO. */
MUST_USE status probe_fill_random(void *memory, uint64_t n_bytes, uint64_t seed, errbuf *err);

#endif
