/* import_names.h - what the sources of measured tables call devices and models, in our words.
 *
 * Names come from columns, from the path of a table, or from the user. A name that is not known
 * here is kept as it is, in small letters: it can be stored and fitted, not simulated. */
#ifndef IMPORT_NAMES_H
#define IMPORT_NAMES_H

#include <stdbool.h>
#include <stdint.h>

enum { IMPORT_NAME_MAX = 63 }; /* letters of a name; longer ones are refused */

/* What a path says; "" and 0: nothing. */
typedef struct import_names {
    char device[IMPORT_NAME_MAX + 1], model[IMPORT_NAME_MAX + 1];
    uint32_t tp;
} import_names;

/* Where the path of a table says of what it is. */
typedef enum import_path {
    IMPORT_PATH_FOLDER,        /* .../DEVICE/.../TABLE.csv; nothing about a model */
    IMPORT_PATH_MODEL,         /* .../DEVICE/.../MODEL[_tpN]_TABLE.csv, or
                                  .../DEVICE/.../MODEL/[NUMBERS/][tpN/]TABLE.csv */
    IMPORT_PATH_DEVICE_IN_FILE /* .../DEVICE_TABLE.csv */
} import_path;

/* Translates a name; false: it is empty or longer than IMPORT_NAME_MAX. */
bool import_device_name(char out[IMPORT_NAME_MAX + 1], const char *name);
bool import_model_name(char out[IMPORT_NAME_MAX + 1], const char *name);

/* Reads what the path says; table is the word that ends the file's name ("mlp"). */
void import_names_of_path(import_names *out, const char *path, const char *table,
                          import_path kind);

#endif
