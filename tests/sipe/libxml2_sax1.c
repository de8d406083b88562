/*
 * xmlSAXUserParseMemory() for a libxml2 that hears no SAX1 callbacks.
 *
 * pidgin-sipe parses all its XML with SAX1 callbacks (startElement, endElement) in a handler that calls itself SAX2.
 * libxml2 2.9.14, as in Debian 12, takes the second at its word and never calls the first: every document looks empty,
 * and the client stays silent for ever after the look-up of the chat server.
 *
 * The plugin finds this function before the library's own, because it is part of the program (which must be linked with
 * -rdynamic). It does with libxml2's public parser what the library's own does, and calls a handler without SAX2
 * callbacks what it is.
 */
#include <libxml/parser.h>
#include <libxml/parserInternals.h>
#include <libxml/xmlerror.h>

/* Any value but XML_SAX2_MAGIC. */
#define SAX1 1

static int is_sax1_only(const xmlSAXHandler *handler)
{
    return handler->startElementNs == NULL && handler->endElementNs == NULL && handler->startElement != NULL;
}

int xmlSAXUserParseMemory(xmlSAXHandlerPtr handler, void *user_data, const char *buffer, int size)
{
    xmlParserCtxtPtr parser = xmlCreateMemoryParserCtxt(buffer, size);
    int result;

    if (parser == NULL)
        return -1;
    if (handler != NULL) {
        *parser->sax = *handler; /* a copy: the caller's is const in all but its type */
        if (is_sax1_only(handler))
            parser->sax->initialized = SAX1;
    }
    if (user_data != NULL)
        parser->userData = user_data;

    xmlParseDocument(parser);
    if (parser->wellFormed)
        result = 0;
    else
        result = parser->errNo != XML_ERR_OK ? parser->errNo : -1;

    if (parser->myDoc != NULL) { /* only the default handler builds a tree */
        xmlFreeDoc(parser->myDoc);
        parser->myDoc = NULL;
    }
    xmlFreeParserCtxt(parser);
    return result;
}
