/* device_file.h - a device that a JSON file describes: a listed one with other limits.
 *
 * {"like": "h100-80g", "name": "h20", "n_sms": 78, "peak_flops": 148e12, ...}: "like" names the
 * listed device whose values hold where the file says nothing, and whose generation of kernels
 * it has. Keys and units are those of `adaptivellm devices --json`. */
#ifndef DEVICE_FILE_H
#define DEVICE_FILE_H

#include "device_spec.h"
#include "status.h"

typedef struct device_file device_file;

/* ST_FORMAT with file and key: not such an object, a key that it does not have, a value that no
 * device has, or the name of a listed device. ST_IO; ST_NO_MEMORY. On error *out is not
 * written. */
MUST_USE status device_file_open(device_file **out, const char *path, errbuf *err);

/* The same of text[0..n); path stands in messages. */
MUST_USE status device_file_parse(device_file **out, const char *text, size_t n,
                                  const char *path, errbuf *err);

/* f may be NULL. */
void device_file_close(device_file *f);

const device_spec *device_file_spec(const device_file *f);

#endif
