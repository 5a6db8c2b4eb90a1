"""Writes embedded.c: the OpenAPI file and the pages made from it, as bytes.

Arguments: output, openapi.yaml.
"""
import sys

sys.dont_write_bytecode = True  # the source tree stays as it was checked out

import docs_page


def as_array(name, data):
    rows = []
    for at in range(0, len(data), 20):
        rows.append("    " + ", ".join(str(byte) for byte in data[at:at + 20]) + ",")
    return (f"const unsigned char {name}[] = {{\n" + "\n".join(rows) + "\n};\n"
            f"const size_t {name}_size = sizeof({name});\n")


def main():
    output, description = sys.argv[1:]
    with open(description, "rb") as file:
        text = file.read()
    page = docs_page.render(text.decode("utf-8")).encode("utf-8")
    with open(output, "w", encoding="ascii") as file:
        file.write('#include "api/embedded.h"\n\n')
        file.write(as_array("embedded_openapi", text))
        file.write("\n")
        file.write(as_array("embedded_docs", page))


if __name__ == "__main__":
    main()
