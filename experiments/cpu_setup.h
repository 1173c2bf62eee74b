/* cpu_setup.h - this machine as a device, and a model's directory as its model: what a run must
 * know of them, and the executor.
 *
 * Only the shape is read until an executor is asked for. */
#ifndef CPU_SETUP_H
#define CPU_SETUP_H

#include "executor.h"
#include "output_log.h"
#include "run.h"
#include "scheduler.h"

/* Name of the device and of the backend. */
#define CPU_DEVICE "cpu"

typedef struct cpu_setup cpu_setup;

/* Reads dir/config.json. ST_INVALID: dir is not there; ST_FORMAT, ST_IO, ST_NO_MEMORY. */
MUST_USE status cpu_setup_open(cpu_setup **out, const char *dir, errbuf *err);

/* c may be NULL; its executors must be gone. */
void cpu_setup_close(cpu_setup *c);

/* Named CPU_DEVICE, with the memory that is available. Its rates are no more than orders of
 * magnitude. */
const device_spec *cpu_setup_device(const cpu_setup *c);

/* Named for the last part of the directory; values of 4 bytes, as the engine's KV has them. */
const model_spec *cpu_setup_model(const cpu_setup *c);

/* Opens the model, if that is not done yet, and makes an executor with the pools and limits of
 * config. Outputs go to the log, which may be NULL. ST_NO_MEMORY, before anything is loaded:
 * the pools and weights are more than there is, with both figures. Errors of model_open() and
 * cpu_executor_create(). */
MUST_USE status cpu_setup_executor(executor *out, cpu_setup *c, const scheduler_config *config,
                                   const run_settings *settings, output_log *outputs,
                                   errbuf *err);

#endif
