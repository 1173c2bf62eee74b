/* cmd_models.h - the commands of `adaptivellm models` on directories; see commands.h. */
#ifndef CMD_MODELS_H
#define CMD_MODELS_H

int cmd_models_init(int argc, char **argv);
int cmd_models_show(int argc, char **argv);

#endif
