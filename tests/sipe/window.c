/* What the client's user would see, as events. */
#include "window.h"

#include <purple.h>
#include <string.h>

#include "events.h"

static gboolean in_history;

void set_in_history(gboolean now)
{
    in_history = now;
}

static GString *chat_event(const char *name, PurpleConversation *conversation)
{
    GString *json = event(name);

    put_text(json, "conv", purple_conversation_get_name(conversation));
    put_number(json, "id", purple_conv_chat_get_id(PURPLE_CONV_CHAT(conversation)));
    return json;
}

/* ---- popups ---- */

static void *on_notify_message(PurpleNotifyMsgType type, const char *title, const char *primary, const char *secondary)
{
    static const char *const kinds[] = {"error", "warning", "info"};
    GString *json = event("notify");

    put_text(json, "kind", kinds[type]);
    put_text(json, "title", title);
    put_text(json, "primary", primary);
    put_text(json, "secondary", secondary);
    emit(json);
    return NULL;
}

static void *on_notify_formatted(const char *title, const char *primary, const char *secondary, const char *text)
{
    GString *json = event("notify");

    put_text(json, "kind", "formatted");
    put_text(json, "title", title);
    put_text(json, "primary", primary);
    put_text(json, "secondary", secondary);
    put_text(json, "html", text);
    emit(json);
    return NULL;
}

static PurpleNotifyUiOps notify_ops = {.notify_message = on_notify_message, .notify_formatted = on_notify_formatted};

/* ---- questions: all are refused, so nothing is trusted or accepted that the settings do not say ---- */

static void emit_request(const char *title, const char *primary, const char *secondary, const char *answer)
{
    GString *json = event("request");

    put_text(json, "title", title);
    put_text(json, "primary", primary);
    put_text(json, "secondary", secondary);
    put_text(json, "answer", answer);
    emit(json);
}

static gboolean is_refusal(const char *label)
{
    static const char *const refusals[] = {"reject", "cancel", "decline", "deny", "no"};
    size_t i;

    label += strspn(label, "_");
    for (i = 0; i < G_N_ELEMENTS(refusals); i++)
        if (g_ascii_strcasecmp(label, refusals[i]) == 0)
            return TRUE;
    return FALSE;
}

static void *on_request_action(const char *title, const char *primary, const char *secondary,
                               int default_action G_GNUC_UNUSED, PurpleAccount *asking G_GNUC_UNUSED,
                               const char *who G_GNUC_UNUSED, PurpleConversation *conversation G_GNUC_UNUSED,
                               void *user_data, size_t count, va_list actions)
{
    const char *answer = NULL;
    PurpleRequestActionCb refuse = NULL;
    int index = 0;
    size_t i;

    for (i = 0; i < count; i++) {
        const char *label = va_arg(actions, const char *);
        PurpleRequestActionCb callback = va_arg(actions, PurpleRequestActionCb);

        if (answer == NULL && is_refusal(label)) {
            answer = label;
            refuse = callback;
            index = (int)i;
        }
    }
    emit_request(title, primary, secondary, answer);
    if (refuse != NULL)
        refuse(user_data, index);
    return NULL;
}

static void *on_request_fields(const char *title, const char *primary, const char *secondary,
                               PurpleRequestFields *fields, const char *ok G_GNUC_UNUSED,
                               GCallback on_ok G_GNUC_UNUSED, const char *cancel, GCallback on_cancel,
                               PurpleAccount *asking G_GNUC_UNUSED, const char *who G_GNUC_UNUSED,
                               PurpleConversation *conversation G_GNUC_UNUSED, void *user_data)
{
    emit_request(title, primary, secondary, cancel);
    if (on_cancel != NULL)
        ((PurpleRequestFieldsCb)on_cancel)(user_data, fields);
    return NULL;
}

static void *on_request_input(const char *title, const char *primary, const char *secondary,
                              const char *proposed G_GNUC_UNUSED, gboolean multiline G_GNUC_UNUSED,
                              gboolean masked G_GNUC_UNUSED, char *hint G_GNUC_UNUSED, const char *ok G_GNUC_UNUSED,
                              GCallback on_ok G_GNUC_UNUSED, const char *cancel, GCallback on_cancel,
                              PurpleAccount *asking G_GNUC_UNUSED, const char *who G_GNUC_UNUSED,
                              PurpleConversation *conversation G_GNUC_UNUSED, void *user_data)
{
    emit_request(title, primary, secondary, cancel);
    if (on_cancel != NULL)
        ((PurpleRequestInputCb)on_cancel)(user_data, NULL);
    return NULL;
}

static PurpleRequestUiOps request_ops = {
    .request_action = on_request_action,
    .request_fields = on_request_fields,
    .request_input = on_request_input,
};

/* ---- rooms ---- */

static void put_field(GString *json, const PurpleRoomlistField *field, gpointer value)
{
    if (field->type == PURPLE_ROOMLIST_FIELD_STRING)
        put_text(json, field->name, value);
    else if (field->type == PURPLE_ROOMLIST_FIELD_BOOL)
        put_bool(json, field->name, GPOINTER_TO_INT(value));
    else
        put_number(json, field->name, GPOINTER_TO_INT(value));
}

static void on_room(PurpleRoomlist *list, PurpleRoomlistRoom *room)
{
    GString *json = event("room");
    GList *field = purple_roomlist_get_fields(list);
    GList *value = purple_roomlist_room_get_fields(room);

    put_text(json, "name", purple_roomlist_room_get_name(room));
    for (; field != NULL && value != NULL; field = field->next, value = value->next)
        put_field(json, field->data, value->data); /* uri, users, description ... */
    emit(json);
}

static void on_rooms_progress(PurpleRoomlist *list G_GNUC_UNUSED, gboolean in_progress)
{
    GString *json = event("roomlist_progress");

    put_bool(json, "in_progress", in_progress);
    emit(json);
}

static PurpleRoomlistUiOps roomlist_ops = {.add_room = on_room, .in_progress = on_rooms_progress};

/* ---- connection ---- */

static void on_connection_error(PurpleConnection *connection G_GNUC_UNUSED, PurpleConnectionError reason,
                                const char *text)
{
    static const char *const names[] = {
        "network_error", "invalid_username", "authentication_failed", "authentication_impossible",
        "no_ssl_support", "encryption_error", "name_in_use", "invalid_settings",
        "cert_not_provided", "cert_untrusted", "cert_expired", "cert_not_activated",
        "cert_hostname_mismatch", "cert_fingerprint_mismatch", "cert_self_signed", "cert_other_error",
        "other_error",
    };
    GString *json = event("connection_error");

    put_text(json, "reason", reason < G_N_ELEMENTS(names) ? names[reason] : "unknown");
    put_text(json, "text", text);
    emit(json);
}

static PurpleConnectionUiOps connection_ops = {.report_disconnect_reason = on_connection_error};

static void on_signed_on(PurpleConnection *connection)
{
    GString *json = event("signed_on");

    put_text(json, "user", purple_account_get_username(purple_connection_get_account(connection)));
    emit(json);
}

static void on_signed_off(PurpleConnection *connection G_GNUC_UNUSED)
{
    emit(event("signed_off"));
}

/* ---- conversations ---- */

static void on_chat_joined(PurpleConversation *conversation)
{
    emit(chat_event("chat_joined", conversation));
}

static void on_chat_left(PurpleConversation *conversation)
{
    emit(chat_event("chat_left", conversation));
}

/* Everything a room's window shows: messages, and lines of the program itself. */
static void on_wrote(PurpleAccount *writing G_GNUC_UNUSED, const char *who, const char *html,
                     PurpleConversation *conversation, PurpleMessageFlags flags)
{
    gboolean said = (flags & (PURPLE_MESSAGE_SYSTEM | PURPLE_MESSAGE_ERROR)) == 0;
    GString *json = chat_event(said ? "chat_message" : "conversation_write", conversation);
    GList *newest = purple_conversation_get_message_history(conversation);
    char *text = purple_unescape_html(html);

    put_text(json, "sender", who);
    put_text(json, "text", text);
    put_text(json, "html", html);
    if (said) {
        put_bool(json, "history", in_history);
        put_bool(json, "own", (flags & PURPLE_MESSAGE_SEND) != 0);
    } else {
        put_text(json, "kind", flags & PURPLE_MESSAGE_ERROR ? "error" : "system");
    }
    put_number(json, "flags", flags);
    if (newest != NULL)
        put_number(json, "sent_at", purple_conversation_message_get_timestamp(newest->data));
    emit(json);
    g_free(text);
}

static void on_user_joined(PurpleConversation *conversation, const char *user, PurpleConvChatBuddyFlags flags,
                           gboolean is_new)
{
    GString *json = chat_event("user_joined", conversation);

    put_text(json, "user", user);
    put_bool(json, "operator", (flags & PURPLE_CBFLAGS_OP) != 0);
    put_bool(json, "new", is_new);
    emit(json);
}

static void on_user_left(PurpleConversation *conversation, const char *user, const char *reason)
{
    GString *json = chat_event("user_left", conversation);

    put_text(json, "user", user);
    put_text(json, "reason", reason);
    emit(json);
}

static void on_topic(PurpleConversation *conversation, const char *who, const char *topic)
{
    GString *json = chat_event("topic", conversation);

    put_text(json, "who", who);
    put_text(json, "topic", topic);
    emit(json);
}

void show_users(PurpleConversation *conversation)
{
    GString *json = chat_event("users", conversation);
    GList *users = purple_conv_chat_get_users(PURPLE_CONV_CHAT(conversation));

    put_key(json, "users"); /* to whether they are operators */
    g_string_append_c(json, '{');
    for (; users != NULL; users = users->next) {
        const char *name = purple_conv_chat_cb_get_name(users->data);

        put_bool(json, name, purple_conv_chat_user_get_flags(PURPLE_CONV_CHAT(conversation), name) & PURPLE_CBFLAGS_OP);
    }
    g_string_append_c(json, '}');
    emit(json);
}

void show_window(void)
{
    purple_notify_set_ui_ops(&notify_ops);
    purple_request_set_ui_ops(&request_ops);
    purple_roomlist_set_ui_ops(&roomlist_ops);
    purple_connections_set_ui_ops(&connection_ops);
}

void listen_to_signals(void)
{
    static int handle;
    void *connections = purple_connections_get_handle();
    void *conversations = purple_conversations_get_handle();

    purple_signal_connect(connections, "signed-on", &handle, PURPLE_CALLBACK(on_signed_on), NULL);
    purple_signal_connect(connections, "signed-off", &handle, PURPLE_CALLBACK(on_signed_off), NULL);
    purple_signal_connect(conversations, "chat-joined", &handle, PURPLE_CALLBACK(on_chat_joined), NULL);
    purple_signal_connect(conversations, "chat-left", &handle, PURPLE_CALLBACK(on_chat_left), NULL);
    purple_signal_connect(conversations, "wrote-chat-msg", &handle, PURPLE_CALLBACK(on_wrote), NULL);
    purple_signal_connect(conversations, "chat-buddy-joined", &handle, PURPLE_CALLBACK(on_user_joined), NULL);
    purple_signal_connect(conversations, "chat-buddy-left", &handle, PURPLE_CALLBACK(on_user_left), NULL);
    purple_signal_connect(conversations, "chat-topic-changed", &handle, PURPLE_CALLBACK(on_topic), NULL);
}
