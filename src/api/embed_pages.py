"""Writes embedded.c: the OpenAPI file, the pages made from it, and the scripts for
shops' pages, as bytes.

Arguments: output, openapi.yaml, collect.js, shopify_pixel.js.
"""
import sys

sys.dont_write_bytecode = True  # the source tree stays as it was checked out

import docs_page
import shrink_script


def as_array(name, data):
    rows = []
    for at in range(0, len(data), 20):
        rows.append("    " + ", ".join(str(byte) for byte in data[at:at + 20]) + ",")
    return (f"const unsigned char {name}[] = {{\n" + "\n".join(rows) + "\n};\n"
            f"const size_t {name}_size = sizeof({name});\n")


def main():
    output, description, *scripts = sys.argv[1:]
    with open(description, "rb") as file:
        text = file.read()
    page = docs_page.render(text.decode("utf-8")).encode("utf-8")
    with open(output, "w", encoding="ascii") as file:
        file.write('#include "api/embedded.h"\n\n')
        file.write(as_array("embedded_openapi", text))
        file.write("\n")
        file.write(as_array("embedded_docs", page))
        for name, path in zip(["embedded_collect", "embedded_pixel"], scripts, strict=True):
            with open(path, encoding="utf-8") as script:
                text = script.read()
            # The pixel is pasted by people, who may read what they paste.
            shown = shrink_script.shrink(text) if name == "embedded_collect" else text
            file.write("\n" + as_array(name, shown.encode("utf-8")))


if __name__ == "__main__":
    main()
