/* What the client's user would see, as events. */
#ifndef WINDOW_H
#define WINDOW_H

#include <glib.h>
#include <purple.h>

/* To be called when libpurple asks for its user interface, and once it is up. */
void show_window(void);
void listen_to_signals(void);

/* Whether messages that are shown from now on are a room's history. */
void set_in_history(gboolean now);

void show_users(PurpleConversation *conversation);

#endif
