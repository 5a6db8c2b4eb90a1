"""Makes a script small without changing a word of it: comments and white space
that separate nothing go, strings stay.

Knows just enough JavaScript for ours: statements end with a semicolon, no
regular expression holds a quote, a space or a slash within.
"""
import re

TOKEN = re.compile(r"""
    /\*.*?\*/ | //[^\n]*                                  # comments
  | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' | `(?:\\.|[^`\\])*`
  | \s+
  | [\w$]+
  | .
""", re.X | re.S)


def is_word(character):
    return character.isalnum() or character in "_$"


def shrink(text):
    kept = []
    gap = False
    for token in TOKEN.findall(text):
        if token.isspace() or token.startswith(("/*", "//")):
            gap = True
            continue
        if gap and kept and is_word(kept[-1][-1]) and is_word(token[0]):
            kept.append(" ")
        kept.append(token)
        gap = False
    return "".join(kept) + "\n"
