#include "grammar.h"
#include "parse_priv.h"

/*
 * Text -> tokens, one at a time. Made into C by re2c.
 *
 * The text was checked to be UTF-8 without NUL, so a NUL is its end and the
 * generated code never asks whether there is more. Where the language has no
 * such thing (single quotes, "==", "&&"), the lexer still knows the token, to
 * say what to write instead. Keywords are lower case and may not be names of
 * properties by themselves ("set", "by"); within a dotted name they may.
 *
 * A word is a function when "(" follows it: so a property may be called
 * "count", and "cnt(" is a function that does not exist, not a name.
 */

static bool opens(const uint8_t *cursor)
{
    while (*cursor == ' ' || *cursor == '\t' || *cursor == '\r' || *cursor == '\n') {
        cursor++;
    }
    return *cursor == '(';
}

/*!re2c
    re2c:define:YYCTYPE = uint8_t;
    re2c:define:YYCURSOR = cursor;
    re2c:define:YYMARKER = marker;
    re2c:yyfill:enable = 0;

    space = [ \t\r\n]+ | "#" [^\n\x00]*;
    word = [A-Za-z_] [A-Za-z0-9_]*;
    name = word ("." word)*;
    digits = [0-9]+;
    date = [0-9]{4} "-" [0-9]{1,2} "-" [0-9]{1,2};
    instant = date ([Tt] [0-9:.]* ([Zz] | [+-] [0-9:]+)?)?;
    open_text = ["] ([^"\\\n\x00] | [\\] [^\n\x00])*;
    quote = ['`] | "\u201c" | "\u201d" | "\u201e" | "\u2018" | "\u2019" | "\u00ab" | "\u00bb";
*/

static int scan(const uint8_t **begin, const uint8_t **end)
{
    const uint8_t *cursor = *end;
    const uint8_t *marker = NULL;
    int token = 0;
again:
    *begin = cursor;
    /*!re2c
        space { goto again; }
        [\x00] { *end = *begin; return 0; }
        "and" { token = RULE_TOKEN_AND; goto found; }
        "or" { token = RULE_TOKEN_OR; goto found; }
        "not" { token = RULE_TOKEN_NOT; goto found; }
        "in" { token = RULE_TOKEN_IN; goto found; }
        "contains" { token = RULE_TOKEN_CONTAINS; goto found; }
        "starts_with" { token = RULE_TOKEN_STARTS_WITH; goto found; }
        "is" { token = RULE_TOKEN_IS; goto found; }
        "set" { token = RULE_TOKEN_SET; goto found; }
        "true" { token = RULE_TOKEN_TRUE; goto found; }
        "false" { token = RULE_TOKEN_FALSE; goto found; }
        "where" { token = RULE_TOKEN_WHERE; goto found; }
        "by" { token = RULE_TOKEN_BY; goto found; }
        "within" { token = RULE_TOKEN_WITHIN; goto found; }
        "after" { token = RULE_TOKEN_AFTER; goto found; }
        word { token = opens(cursor) ? RULE_TOKEN_FUNCTION : RULE_TOKEN_NAME; goto found; }
        name { token = RULE_TOKEN_NAME; goto found; }
        digits ("." digits)? { token = RULE_TOKEN_NUMBER; goto found; }
        digits ("." digits)? word { token = RULE_TOKEN_DURATION; goto found; }
        instant { token = RULE_TOKEN_INSTANT; goto found; }
        open_text ["] { token = RULE_TOKEN_TEXT; goto found; }
        open_text { token = RULE_LEX_OPEN_TEXT; goto found; }
        "=" { token = RULE_TOKEN_EQ; goto found; }
        "!=" { token = RULE_TOKEN_NE; goto found; }
        "<" { token = RULE_TOKEN_LT; goto found; }
        "<=" { token = RULE_TOKEN_LE; goto found; }
        ">" { token = RULE_TOKEN_GT; goto found; }
        ">=" { token = RULE_TOKEN_GE; goto found; }
        "~=" { token = RULE_TOKEN_LIKE; goto found; }
        "+" { token = RULE_TOKEN_PLUS; goto found; }
        "-" { token = RULE_TOKEN_MINUS; goto found; }
        "*" { token = RULE_TOKEN_TIMES; goto found; }
        "/" { token = RULE_TOKEN_OVER; goto found; }
        "(" { token = RULE_TOKEN_LP; goto found; }
        ")" { token = RULE_TOKEN_RP; goto found; }
        "[" { token = RULE_TOKEN_LB; goto found; }
        "]" { token = RULE_TOKEN_RB; goto found; }
        "," { token = RULE_TOKEN_COMMA; goto found; }
        "==" | "===" | "!==" | "&&" | "||" | "<>" | "=>" | "=<" | "=~" | "!" | "&" | "|" | quote {
            token = RULE_LEX_WRONG;
            goto found;
        }
        [^] { token = RULE_LEX_WRONG; goto found; }
        * { token = RULE_LEX_WRONG; goto found; }
    */
found:
    *end = cursor;
    return token;
}

int rule_lex(struct rule_parser *parser, struct rule_span *out_span)
{
    const uint8_t *text = (const uint8_t *)parser->begin;
    const uint8_t *begin = NULL;
    const uint8_t *end = (const uint8_t *)parser->cursor;
    int token = scan(&begin, &end);
    struct rule_span span = { (uint32_t)(begin - text), (uint32_t)(end - text) };
    parser->cursor = parser->begin + span.end;
    parser->previous = parser->token;
    parser->token = span;
    if (token == RULE_LEX_OPEN_TEXT) {
        rule_parser_open_text(parser, span);
        return -1;
    }
    if (token == RULE_LEX_WRONG) {
        rule_parser_wrong_sign(parser, span);
        return -1;
    }
    *out_span = span;
    return token;
}
