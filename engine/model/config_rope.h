/* config_rope.h - the rotary fields of a config.json: base and scaling, in both spellings. */
#ifndef CONFIG_ROPE_H
#define CONFIG_ROPE_H

#include "json_fields.h"
#include "model_config.h"

/* Sets rope_theta and rope. ST_FORMAT: a field is wrong, two spellings contradict each other,
 * or a scaling other than linear and llama3 is asked for. */
MUST_USE status config_rope_parse(model_config *c, const json_fields *f, errbuf *err);

#endif
