/*
 * A libpurple user interface without a screen, to drive an unmodified pidgin-sipe (protocol "prpl-sipe") from a test.
 *
 * It signs on when started. Commands come on standard input, one per line; what its user would see goes to standard
 * output as events, one JSON object per line. Text that the plugin gives as HTML is passed on as "html" and, without
 * entities, as "text". "at" is CLOCK_MONOTONIC in seconds, "sent_at" a Unix time in whole seconds.
 *
 *   rooms                   room ..., roomlist_progress
 *   join URI                chat_joined, user_joined ..., chat_message ... (history)
 *   say ID HTML             chat_message once the server sends it back; ID is the number in chat_joined
 *   users ID                users
 *   leave ID                chat_left, and part_confirmed: only then the plugin can join the room again
 *   disconnect              signed_off
 *   connect                 signed_on, group_chat_ready
 *   quit                    signed_off, and the program ends; the end of input does the same
 *
 * PLUGIN_DIR, the directory of pidgin-sipe's libsipe.so, is given when compiling: it need not be libpurple's own.
 * After what a command does at once comes the event "done" with an "error" or null.
 */
#include <glib-unix.h>
#include <glib.h>
#include <purple.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "events.h"
#include "window.h"

#define UI_ID "sipgw-test"
#define PROTOCOL "prpl-sipe"
#define MAX_LOG (64 * 1024 * 1024) /* octets: a client gone wild must not fill the disk */
#define SECONDS_TO_QUIT 5

static GMainLoop *loop;
static PurpleAccount *account;
static FILE *sip_log;

static struct {
    char *user, *login, *password, *server, *transport, *authentication, *confdir, *ca_dir, *sip_log;
    char **settings;
} flags;

/* ---- libpurple's main loop ---- */

typedef struct {
    PurpleInputFunction function;
    gpointer data;
} Watch;

static gboolean on_ready(int fd, GIOCondition condition, gpointer data)
{
    const Watch *watch = data;
    PurpleInputCondition ready = 0;

    if (condition & (G_IO_IN | G_IO_HUP | G_IO_ERR))
        ready |= PURPLE_INPUT_READ;
    if (condition & (G_IO_OUT | G_IO_ERR))
        ready |= PURPLE_INPUT_WRITE;
    watch->function(watch->data, fd, ready);
    return G_SOURCE_CONTINUE;
}

static guint add_input(int fd, PurpleInputCondition wanted, PurpleInputFunction function, gpointer data)
{
    Watch *watch = g_new(Watch, 1);
    GIOCondition condition = G_IO_HUP | G_IO_ERR;

    watch->function = function;
    watch->data = data;
    if (wanted & PURPLE_INPUT_READ)
        condition |= G_IO_IN;
    if (wanted & PURPLE_INPUT_WRITE)
        condition |= G_IO_OUT;
    return g_unix_fd_add_full(G_PRIORITY_DEFAULT, fd, condition, on_ready, watch, g_free);
}

static PurpleEventLoopUiOps loop_ops = {
    .timeout_add = g_timeout_add,
    .timeout_remove = g_source_remove,
    .input_add = add_input,
    .input_remove = g_source_remove,
    .timeout_add_seconds = g_timeout_add_seconds,
};

/* ---- the log of SIP messages, and what only they tell ---- */

static gboolean is_reply(const char *text, const char *quoted_id)
{
    return strstr(text, "<rpl ") != NULL && strstr(text, quoted_id) != NULL; /* said in a chat it is &lt;rpl */
}

/* The plugin logs a message before it acts on it, and no command comes in between. */
static void watch_message(const char *text)
{
    if (strstr(text, "MESSAGE START <<<<") != NULL) {
        set_in_history(is_reply(text, "\"rpl:bccontext\""));
        if (is_reply(text, "\"rpl:part\""))
            emit(event("part_confirmed"));
    } else if (strstr(text, "MESSAGE START >>>>") != NULL && strstr(text, "<cmd id=\"cmd:getinv\"") != NULL) {
        emit(event("group_chat_ready")); /* always the last request of the way into the chat service */
    }
}

static void on_debug(PurpleDebugLevel level G_GNUC_UNUSED, const char *category, const char *text)
{
    if (g_strcmp0(category, "sipe") == 0)
        watch_message(text);
    if (sip_log == NULL)
        return;
    fprintf(sip_log, "%.6f %s: %s", g_get_monotonic_time() / 1e6, category ? category : "-", text);
    fflush(sip_log);
    if (ftell(sip_log) > MAX_LOG) {
        fputs("The log is full.\n", sip_log);
        fclose(sip_log);
        sip_log = NULL;
        emit(event("log_full"));
    }
}

static gboolean wants_debug(PurpleDebugLevel level G_GNUC_UNUSED, const char *category G_GNUC_UNUSED)
{
    return TRUE;
}

static PurpleDebugUiOps debug_ops = {.print = on_debug, .is_enabled = wants_debug};

/* ---- commands ---- */

static PurpleConversation *find_chat(const char *id)
{
    PurpleConnection *connection = purple_account_get_connection(account);

    return connection != NULL ? purple_find_chat(connection, atoi(id)) : NULL;
}

/* What follows runs one command each and returns what went wrong, or NULL. */

static const char *list_rooms(void)
{
    /* the plugin owns the list, the window sees what comes into it */
    return purple_roomlist_get_list(purple_account_get_connection(account)) != NULL ? NULL : "no chat service";
}

static const char *join(const char *uri)
{
    GHashTable *components = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

    g_hash_table_insert(components, g_strdup("uri"), g_strdup(uri));
    serv_join_chat(purple_account_get_connection(account), components);
    g_hash_table_destroy(components);
    return NULL;
}

static const char *sign_on(void)
{
    if (!purple_account_is_disconnected(account))
        return "connected already";
    purple_account_set_password(account, flags.password); /* forgotten at each disconnect */
    purple_account_connect(account);
    return NULL;
}

static const char *sign_off(void)
{
    if (purple_account_is_disconnected(account))
        return "not connected";
    purple_account_disconnect(account);
    return NULL;
}

static const char *quit(void)
{
    alarm(SECONDS_TO_QUIT); /* a plugin that hangs must not leave a process behind */
    purple_core_quit();
    g_main_loop_quit(loop);
    return NULL;
}

static const char *run_in_chat(const char *name, const char *id, const char *html)
{
    PurpleConversation *chat = id != NULL ? find_chat(id) : NULL;

    if (chat == NULL)
        return "no such command, or no such chat";
    if (strcmp(name, "say") == 0 && html != NULL)
        purple_conv_chat_send(PURPLE_CONV_CHAT(chat), html);
    else if (strcmp(name, "users") == 0)
        show_users(chat);
    else if (strcmp(name, "leave") == 0)
        purple_conversation_destroy(chat);
    else
        return "no such command";
    return NULL;
}

static const char *run(const char *name, const char *argument, const char *html)
{
    if (strcmp(name, "connect") == 0)
        return sign_on();
    if (strcmp(name, "disconnect") == 0)
        return sign_off();
    if (strcmp(name, "quit") == 0)
        return quit();
    if (!purple_account_is_connected(account))
        return "not signed on";
    if (strcmp(name, "rooms") == 0)
        return list_rooms();
    if (strcmp(name, "join") == 0 && argument != NULL)
        return join(argument);
    return run_in_chat(name, argument, html);
}

static void on_command(const char *line)
{
    char **words = g_strsplit(line, " ", 3);
    guint count = g_strv_length(words);
    const char *error = count > 0 ? run(words[0], words[1], count > 2 ? words[2] : NULL) : "no command";
    GString *json = event("done");

    put_text(json, "command", line);
    put_text(json, "error", error);
    emit(json);
    g_strfreev(words);
}

static gboolean on_input(GIOChannel *input, GIOCondition condition G_GNUC_UNUSED, gpointer data G_GNUC_UNUSED)
{
    char *line = NULL;
    gsize end;
    GIOStatus status = g_io_channel_read_line(input, &line, NULL, &end, NULL);

    if (status == G_IO_STATUS_NORMAL) {
        line[end] = '\0';
        on_command(line);
        g_free(line);
    } else if (status != G_IO_STATUS_AGAIN) {
        quit();
        return G_SOURCE_REMOVE;
    }
    return G_SOURCE_CONTINUE;
}

static void listen_to_commands(void)
{
    GIOChannel *input = g_io_channel_unix_new(STDIN_FILENO);

    g_io_channel_set_encoding(input, NULL, NULL); /* bytes: what is not UTF-8 is the caller's business */
    g_io_channel_set_flags(input, G_IO_FLAG_NONBLOCK, NULL);
    g_io_add_watch(input, G_IO_IN | G_IO_HUP, on_input, NULL);
}

/* ---- the account ---- */

static void fail(const char *format, const char *detail)
{
    fprintf(stderr, format, detail);
    fputc('\n', stderr);
    exit(2);
}

static PurpleAccountOption *find_option(const PurplePlugin *protocol, const char *key)
{
    GList *item = PURPLE_PLUGIN_PROTOCOL_INFO(protocol)->protocol_options;

    for (; item != NULL; item = item->next)
        if (g_strcmp0(purple_account_option_get_setting(item->data), key) == 0)
            return item->data;
    return NULL;
}

static void set(const PurplePlugin *protocol, const char *key, const char *value)
{
    PurpleAccountOption *option = find_option(protocol, key);

    if (option == NULL)
        fail("%s: no setting of pidgin-sipe", key);
    switch (purple_account_option_get_type(option)) {
    case PURPLE_PREF_BOOLEAN:
        purple_account_set_bool(account, key, strcmp(value, "true") == 0);
        break;
    case PURPLE_PREF_INT:
        purple_account_set_int(account, key, atoi(value));
        break;
    default:
        purple_account_set_string(account, key, value);
    }
}

static void make_account(void)
{
    PurplePlugin *protocol = purple_find_prpl(PROTOCOL);
    char *name = flags.login != NULL ? g_strconcat(flags.user, ",", flags.login, NULL) : g_strdup(flags.user);
    PurpleProxyInfo *proxy = purple_proxy_info_new();
    char **setting;

    if (protocol == NULL)
        fail("no plugin " PROTOCOL " in %s", PLUGIN_DIR);
    account = purple_account_new(name, PROTOCOL);
    g_free(name);
    purple_proxy_info_set_type(proxy, PURPLE_PROXY_NONE); /* whatever the environment says */
    purple_account_set_proxy_info(account, proxy);
    set(protocol, "server", flags.server);
    set(protocol, "transport", flags.transport);
    set(protocol, "authentication", flags.authentication);
    for (setting = flags.settings; setting != NULL && *setting != NULL; setting++) {
        char *equals = strchr(*setting, '=');

        if (equals == NULL)
            fail("--set %s: must be KEY=VALUE", *setting);
        *equals = '\0';
        set(protocol, *setting, equals + 1);
    }
    purple_accounts_add(account);
    purple_account_set_password(account, flags.password);
    purple_account_set_enabled(account, UI_ID, TRUE); /* signs on */
}

/* ---- start ---- */

static PurpleCoreUiOps core_ops = {.ui_init = show_window};

static void discard(const char *text G_GNUC_UNUSED)
{
}

static void start_purple(void)
{
    purple_util_set_user_dir(flags.confdir);
    purple_debug_set_enabled(TRUE); /* or the plugin tells no SIP messages */
    purple_debug_set_unsafe(TRUE);  /* or it leaves their text out */
    g_set_print_handler(discard);   /* the other place that they go to */
    purple_debug_set_ui_ops(&debug_ops);
    purple_core_set_ui_ops(&core_ops);
    purple_eventloop_set_ui_ops(&loop_ops);
    purple_plugins_add_search_path(PLUGIN_DIR);
    if (!purple_core_init(UI_ID))
        fail("libpurple does not start%s", "");
    if (flags.ca_dir != NULL)
        purple_certificate_add_ca_search_path(flags.ca_dir);
    purple_network_force_online(); /* loopback will do; do not ask the desktop */
    purple_set_blist(purple_blist_new());
    purple_prefs_set_bool("/purple/logging/log_chats", FALSE);
    listen_to_signals();
}

static void parse_flags(int argc, char **argv)
{
    const GOptionEntry entries[] = {
        {"user", 0, 0, G_OPTION_ARG_STRING, &flags.user, "SIP address without sip:", "USER@DOMAIN"},
        {"login", 0, 0, G_OPTION_ARG_STRING, &flags.login, "account to authenticate as", "LOGIN"},
        {"password", 0, 0, G_OPTION_ARG_STRING, &flags.password, "never empty", "PASSWORD"},
        {"server", 0, 0, G_OPTION_ARG_STRING, &flags.server, "where to connect", "HOST:PORT"},
        {"transport", 0, 0, G_OPTION_ARG_STRING, &flags.transport, "tcp or tls", "TRANSPORT"},
        {"authentication", 0, 0, G_OPTION_ARG_STRING, &flags.authentication, "ntlm, krb5 or tls-dsk", "SCHEME"},
        {"set", 0, 0, G_OPTION_ARG_STRING_ARRAY, &flags.settings, "any other account setting", "KEY=VALUE"},
        {"confdir", 0, 0, G_OPTION_ARG_FILENAME, &flags.confdir, "libpurple's own files; one for each client", "DIR"},
        {"ca-dir", 0, 0, G_OPTION_ARG_FILENAME, &flags.ca_dir, "certificates of authorities, *.pem", "DIR"},
        {"sip-log", 0, 0, G_OPTION_ARG_FILENAME, &flags.sip_log, "SIP messages and the client's remarks", "FILE"},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    GOptionContext *context = g_option_context_new("- pidgin-sipe without a screen");
    GError *error = NULL;

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error))
        fail("%s", error->message);
    g_option_context_free(context);
    if (!flags.user || !flags.password || !flags.server || !flags.transport || !flags.authentication || !flags.confdir)
        fail("needed: %s", "--user --password --server --transport --authentication --confdir");
}

int main(int argc, char **argv)
{
    parse_flags(argc, argv);
    open_events();
    signal(SIGPIPE, SIG_IGN); /* libpurple writes to connections that are gone */
    if (flags.sip_log != NULL && (sip_log = fopen(flags.sip_log, "w")) == NULL)
        fail("%s: cannot be written", flags.sip_log);
    start_purple();
    make_account();
    listen_to_commands();
    loop = g_main_loop_new(NULL, FALSE);
    g_main_loop_run(loop);
    return 0;
}
