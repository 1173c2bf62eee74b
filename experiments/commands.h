/* commands.h - the sub-commands of the binary.
 *
 * Each takes its own argv (argv[0] is its name), prints its errors and returns an exit status.
 */
#ifndef COMMANDS_H
#define COMMANDS_H

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_MISUSE = 2 };

int cmd_replay(int argc, char **argv);
int cmd_compare(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_trace(int argc, char **argv);
int cmd_profile(int argc, char **argv);
int cmd_fit(int argc, char **argv);
int cmd_predict(int argc, char **argv);
int cmd_policies(int argc, char **argv);
int cmd_devices(int argc, char **argv);
int cmd_models(int argc, char **argv);

#endif
