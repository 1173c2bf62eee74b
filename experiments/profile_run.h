/* profile_run.h - `profile` without `import`: the microbenchmarks of a backend. */
#ifndef PROFILE_RUN_H
#define PROFILE_RUN_H

/* Measures, stores, prints a table; returns the exit status. */
int profile_run_main(int argc, char **argv);

#endif
