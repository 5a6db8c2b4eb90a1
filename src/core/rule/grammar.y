/*
 * The grammar of the rule language (core/rule/expression.h says it in EBNF),
 * made into C by lemon.
 *
 * Actions build nodes and nothing else; names and types are check.c's. The
 * engine lives on the stack of rule_grammar_run and has a fixed depth, so text
 * that nests too deep is an error like any other and nothing is allocated. It
 * is generated without default reductions (-c): an error is found at the very
 * token, and what would have been accepted there can be asked of the table.
 *
 * A literal in parentheses and a list of literals begin alike; the first comma
 * decides. "-5" is one literal wherever it stands, so a list may hold it and a
 * comparison has it as its constant.
 */
%name rule_grammar
%token_prefix RULE_TOKEN_
%token_type {struct rule_span}
%extra_argument {struct rule_parser *parser}
%stack_size 600
%start_symbol rule

%include {
#define NDEBUG 1 /* the engine's own tracing wants a FILE */
#include "parse_priv.h"

#define rule_grammar_ENGINEALWAYSONSTACK 1
}

%token OR AND NOT EQ NE LT LE GT GE LIKE IN CONTAINS STARTS_WITH IS SET PLUS MINUS TIMES OVER.
%token TEXT NUMBER DURATION INSTANT TRUE FALSE NAME FUNCTION LP RP LB RB COMMA.
%token WHERE BY WITHIN AFTER.

%syntax_error {
    uint64_t accepted = 0;
    for (int token = 0; token < YYNTOKEN; token++) {
        YYACTIONTYPE action =
            yy_find_shift_action((YYCODETYPE)token, yypParser->yytos->stateno);
        if (action != YY_ERROR_ACTION) {
            accepted |= UINT64_C(1) << token;
        }
    }
    rule_parser_unexpected(parser, yymajor, TOKEN, accepted);
}

%stack_overflow {
    rule_parser_too_deep(parser);
}

%type expression {struct rule_node *}
%type conjunction {struct rule_node *}
%type negation {struct rule_node *}
%type comparison {struct rule_node *}
%type sum {struct rule_node *}
%type product {struct rule_node *}
%type unary {struct rule_node *}
%type primary {struct rule_node *}
%type literal {struct rule_node *}
%type list {struct rule_node *}
%type item {struct rule_node *}
%type items {struct rule_items}
%type call {struct rule_node *}
%type arguments {struct rule_arguments}
%type clauses {struct rule_aggregation *}
%type where {struct rule_node *}
%type within {struct rule_node *}
%type after {struct rule_node *}

rule ::= expression(B). { parser->root = B; }

expression(A) ::= conjunction(B). { A = B; }
expression(A) ::= expression(B) OR conjunction(C). {
    A = rule_node_binary(parser, RULE_OP_OR, B, C);
}

conjunction(A) ::= negation(B). { A = B; }
conjunction(A) ::= conjunction(B) AND negation(C). {
    A = rule_node_binary(parser, RULE_OP_AND, B, C);
}

negation(A) ::= comparison(B). { A = B; }
negation(A) ::= NOT(T) negation(B). { A = rule_node_unary(parser, RULE_OP_NOT, T, B); }

comparison(A) ::= sum(B). { A = B; }
comparison(A) ::= sum(B) EQ sum(C). { A = rule_node_binary(parser, RULE_OP_EQ, B, C); }
comparison(A) ::= sum(B) NE sum(C). { A = rule_node_binary(parser, RULE_OP_NE, B, C); }
comparison(A) ::= sum(B) LT sum(C). { A = rule_node_binary(parser, RULE_OP_LT, B, C); }
comparison(A) ::= sum(B) LE sum(C). { A = rule_node_binary(parser, RULE_OP_LE, B, C); }
comparison(A) ::= sum(B) GT sum(C). { A = rule_node_binary(parser, RULE_OP_GT, B, C); }
comparison(A) ::= sum(B) GE sum(C). { A = rule_node_binary(parser, RULE_OP_GE, B, C); }
comparison(A) ::= sum(B) LIKE sum(C). { A = rule_node_binary(parser, RULE_OP_LIKE, B, C); }
comparison(A) ::= sum(B) IN sum(C). { A = rule_node_binary(parser, RULE_OP_IN, B, C); }
comparison(A) ::= sum(B) CONTAINS sum(C). {
    A = rule_node_binary(parser, RULE_OP_CONTAINS, B, C);
}
comparison(A) ::= sum(B) STARTS_WITH sum(C). {
    A = rule_node_binary(parser, RULE_OP_STARTS_WITH, B, C);
}
comparison(A) ::= sum(B) IS SET(T). { A = rule_node_is_set(parser, B, false, T); }
comparison(A) ::= sum(B) IS NOT SET(T). { A = rule_node_is_set(parser, B, true, T); }

sum(A) ::= product(B). { A = B; }
sum(A) ::= sum(B) PLUS product(C). { A = rule_node_binary(parser, RULE_OP_ADD, B, C); }
sum(A) ::= sum(B) MINUS product(C). { A = rule_node_binary(parser, RULE_OP_SUBTRACT, B, C); }

product(A) ::= unary(B). { A = B; }
product(A) ::= product(B) TIMES unary(C). { A = rule_node_binary(parser, RULE_OP_MULTIPLY, B, C); }
product(A) ::= product(B) OVER unary(C). { A = rule_node_binary(parser, RULE_OP_DIVIDE, B, C); }

unary(A) ::= primary(B). { A = B; }
unary(A) ::= MINUS(T) unary(B). { A = rule_node_unary(parser, RULE_OP_NEGATE, T, B); }

primary(A) ::= literal(B). { A = B; }
primary(A) ::= list(B). { A = B; }
primary(A) ::= call(B). { A = B; }
primary(A) ::= NAME(T). { A = rule_node_name(parser, T); }
primary(A) ::= LP(S) expression(B) RP(E). { A = rule_node_group(B, S, E); }

literal(A) ::= TEXT(T). { A = rule_node_text(parser, T); }
literal(A) ::= NUMBER(T). { A = rule_node_number(parser, T); }
literal(A) ::= DURATION(T). { A = rule_node_duration(parser, T); }
literal(A) ::= INSTANT(T). { A = rule_node_instant(parser, T); }
literal(A) ::= TRUE(T). { A = rule_node_bool(parser, T, true); }
literal(A) ::= FALSE(T). { A = rule_node_bool(parser, T, false); }

list(A) ::= LP(S) items(B) COMMA item(C) RP(E). {
    A = rule_node_list(parser, rule_items_add(parser, B, C), S, E);
}
list(A) ::= LB(S) items(B) RB(E). { A = rule_node_list(parser, B, S, E); }
list(A) ::= LB(S) RB(E). { A = rule_node_list(parser, (struct rule_items){ NULL, 0 }, S, E); }
items(A) ::= item(B). {
    A = rule_items_add(parser, (struct rule_items){ NULL, 0 }, B);
}
items(A) ::= items(B) COMMA item(C). { A = rule_items_add(parser, B, C); }
item(A) ::= literal(B). { A = B; }
item(A) ::= MINUS(S) NUMBER(T). {
    A = rule_node_unary(parser, RULE_OP_NEGATE, S, rule_node_number(parser, T));
}

call(A) ::= FUNCTION(F) LP arguments(B) clauses(C) RP(E). {
    A = rule_node_call(parser, F, B, C, E);
}
arguments(A) ::= expression(B). {
    A = rule_arguments_add((struct rule_arguments){ NULL, NULL, 0 }, B);
}
arguments(A) ::= arguments(B) COMMA expression(C). { A = rule_arguments_add(B, C); }
clauses(A) ::= where(B) by(C) within(D) after(E). {
    A = rule_clauses(parser, B, C, D, E);
}
where(A) ::= . { A = NULL; }
where(A) ::= WHERE expression(B). { A = B; }
by(A) ::= . { A = (struct rule_span){ 0, 0 }; }
by(A) ::= BY NAME(T). { A = T; }
within(A) ::= . { A = NULL; }
within(A) ::= WITHIN DURATION(T). { A = rule_node_duration(parser, T); }
after(A) ::= . { A = NULL; }
after(A) ::= AFTER sum(B). { A = B; }

%code {
void rule_grammar_run(struct rule_parser *parser)
{
    yyParser engine;
    rule_grammarInit(&engine);
    struct rule_span span = { 0, 0 };
    int token = 0;
    do {
        token = rule_lex(parser, &span);
        if (token >= 0) {
            rule_grammar(&engine, token, span, parser);
            rule_parser_took(parser, token);
        }
    } while (token > 0 && !parser->has_failed);
    rule_grammarFinalize(&engine);
}
}
