/* machine.h - on what a run was made, for its provenance. */
#ifndef MACHINE_H
#define MACHINE_H

/* A JSON object: cpu, cores, kernel, compiler; null for what cannot be told. No host name. To
 * be freed; NULL without memory. */
char *machine_describe(void);

#endif
