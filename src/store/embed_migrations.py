#!/usr/bin/env python3
"""Writes migrations.c: every migrations/NNNN-slug.sql as bytes.

Bytes and not string literals: C17 promises only 4095 characters of those.
"""

import pathlib
import re
import sys

NAME = re.compile(r"^(\d{4})-([a-z0-9-]+)\.sql$")


def main(out_path, sources):
    steps = []
    for path in map(pathlib.Path, sources):
        match = NAME.match(path.name)
        if not match:
            sys.exit(f"{path.name}: a migration is called NNNN-slug.sql")
        steps.append((int(match[1]), match[2], path.read_bytes()))
    steps.sort()
    if [number for number, _, _ in steps] != list(range(1, len(steps) + 1)):
        sys.exit("migrations are numbered from 0001 without a gap")
    with open(out_path, "w", encoding="ascii") as out:
        out.write('#include "store/migrate.h"\n\n')
        for number, _, sql in steps:
            if b"\0" in sql:
                sys.exit(f"migration {number} has a NUL byte")
            out.write(f"static const char sql_{number}[] = {{\n")
            for at in range(0, len(sql), 24):
                # Signed, as char is: a byte past 127 is written as itself - 256.
                row = (byte - 256 if byte > 127 else byte for byte in sql[at : at + 24])
                out.write("    " + ", ".join(map(str, row)) + ",\n")
            out.write("    0,\n};\n\n")
        out.write("const struct migration migrations[] = {\n")
        for number, slug, _ in steps:
            out.write(f'    {{ {number}, "{slug}", sql_{number} }},\n')
        out.write("    { 0, NULL, NULL },\n};\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
