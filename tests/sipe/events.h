/* Events: one JSON object per line. Made with event(), filled with put_...(), written and freed with emit(). */
#ifndef EVENTS_H
#define EVENTS_H

#include <glib.h>

/* Keeps standard output for events: what a library prints goes to standard error from now on. */
void open_events(void);

GString *event(const char *name);
void put_key(GString *json, const char *key);
void put_text(GString *json, const char *key, const char *value); /* NULL: null */
void put_number(GString *json, const char *key, gint64 value);
void put_bool(GString *json, const char *key, gboolean value);
void emit(GString *json);

#endif
