/* engine_setup.h - an engine of this machine as a device, and a model's directory as its model:
 * what a run must know of them, and the executor.
 *
 * Only the shape is read until an executor is asked for. */
#ifndef ENGINE_SETUP_H
#define ENGINE_SETUP_H

#include "executor.h"
#include "output_log.h"
#include "run.h"
#include "scheduler.h"

/* Names of devices and of their backends. */
#define CPU_DEVICE  "cpu"
#define CUDA_DEVICE "cuda"

typedef struct engine_setup engine_setup;

/* True of the two names above. */
bool engine_setup_is_device(const char *name);

/* Takes the shape of --model: of dir/config.json, or, with --weights random, of a name that
 * `adaptivellm models` lists. ST_INVALID: neither is there, with what to give; ST_FORMAT,
 * ST_IO, ST_NO_MEMORY. If the run computes on a CUDA device, errors of cuda_device_open(). */
MUST_USE status engine_setup_open(engine_setup **out, const char *device,
                                  const run_settings *settings, errbuf *err);

/* s may be NULL; its executors must be gone. */
void engine_setup_close(engine_setup *s);

/* Named for itself, with the memory that is available. Its rates are no more than orders of
 * magnitude. */
const device_spec *engine_setup_device(const engine_setup *s);

/* Named for the last part of the directory; values as the engine's KV has them: 4 bytes on the
 * CPU, 2 on a CUDA device. */
const model_spec *engine_setup_model(const engine_setup *s);

/* Opens the model, if that is not done yet, and makes an executor with the pools and limits of
 * config. Outputs go to the log, which may be NULL. What a CUDA engine finds out about its
 * products is kept in settings->profile, if there is one. ST_NO_MEMORY, before anything is
 * loaded: the pools and weights are more than there is, with the figures. Errors of
 * model_open(), cpu_executor_create() and cuda_executor_create(). */
MUST_USE status engine_setup_executor(executor *out, engine_setup *s,
                                      const scheduler_config *config,
                                      const run_settings *settings, output_log *outputs,
                                      errbuf *err);

#endif
