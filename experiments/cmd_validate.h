/* cmd_validate.h - `compare --validate`: a measured run beside its simulation. */
#ifndef CMD_VALIDATE_H
#define CMD_VALIDATE_H

#include <stdbool.h>

/* Is this command line of `compare` for here? With --results it is about stored runs. */
bool is_validate(int argc, char **argv);

/* As the commands of commands.h. */
int validate_main(int argc, char **argv);

#endif
