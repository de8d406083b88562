/* Events: one JSON object per line. */
#include "events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static FILE *output;

void open_events(void)
{
    output = fdopen(dup(STDOUT_FILENO), "w");
    if (output == NULL || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
        perror("standard output");
        exit(1);
    }
}

static void put_quoted(GString *json, const char *text)
{
    char *valid = g_utf8_make_valid(text, -1);
    const char *next;

    g_string_append_c(json, '"');
    for (next = valid; *next; next++) {
        if (*next == '"' || *next == '\\')
            g_string_append_printf(json, "\\%c", *next);
        else if ((unsigned char)*next < 0x20)
            g_string_append_printf(json, "\\u%04x", *next);
        else
            g_string_append_c(json, *next);
    }
    g_string_append_c(json, '"');
    g_free(valid);
}

static void put_comma(GString *json)
{
    if (strchr("{[", json->str[json->len - 1]) == NULL)
        g_string_append_c(json, ',');
}

void put_key(GString *json, const char *key)
{
    put_comma(json);
    put_quoted(json, key);
    g_string_append_c(json, ':');
}

void put_text(GString *json, const char *key, const char *value)
{
    put_key(json, key);
    if (value != NULL)
        put_quoted(json, value);
    else
        g_string_append(json, "null");
}

void put_number(GString *json, const char *key, gint64 value)
{
    put_key(json, key);
    g_string_append_printf(json, "%" G_GINT64_FORMAT, value);
}

void put_bool(GString *json, const char *key, gboolean value)
{
    put_key(json, key);
    g_string_append(json, value ? "true" : "false");
}

GString *event(const char *name)
{
    GString *json = g_string_new("{");
    gint64 now = g_get_monotonic_time(); /* microseconds */

    put_text(json, "event", name);
    put_key(json, "at");
    g_string_append_printf(json, "%" G_GINT64_FORMAT ".%06d", now / 1000000, (int)(now % 1000000));
    return json;
}

void emit(GString *json)
{
    if (fprintf(output, "%s}\n", json->str) < 0 || fflush(output) != 0)
        exit(1); /* nobody listens */
    g_string_free(json, TRUE);
}

