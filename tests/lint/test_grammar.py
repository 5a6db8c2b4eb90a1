"""The grammar that GET /v1/names serves is the one that the parser's header
states: people write rules by it."""

import os
import re

from test_architecture import ROOT, read


def of_header(text):
    lines = []
    for line in text.splitlines():
        found = re.match(r" \*   (.*)$", line)
        if found and (lines or found.group(1).startswith("expression = ")):
            lines.append(found.group(1))
        elif lines:
            break
    return lines


def of_source(text):
    body = re.search(r"GRAMMAR\[\] =(.*?);\n\n", text, re.S).group(1)
    joined = "".join(re.findall(r'"((?:\\.|[^"\\])*)"', body))
    return joined.encode().decode("unicode_escape").splitlines()


def test_readers_read():
    assert of_header(" * x\n *   expression = or\n *   or = and\n *\n") == ["expression = or",
                                                                          "or = and"]
    assert of_source('GRAMMAR[] = "a\\n"\n "b \\"c\\"\\n";\n\n') == ["a", 'b "c"']


def test_grammar():
    header = of_header(read(os.path.join(ROOT, "include/core/rule/expression.h")))
    source = of_source(read(os.path.join(ROOT, "src/api/resource_name.c")))
    assert len(header) > 20
    assert source == header
