"""Renders openapi/shopbell.yaml as one readable HTML page.

No script and nothing fetched from elsewhere: the page works behind any
firewall, prints well, and says exactly what the served description says.
"""
import html
import json
import re

import yaml

METHODS = ["get", "post", "put", "patch", "delete"]

STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881;--accent:#0a6b4f}
@media(prefers-color-scheme:dark){:root{--accent:#5fd0a8}}
*{box-sizing:border-box}
body{font:16px/1.55 system-ui,sans-serif;margin:0;display:grid;grid-template-columns:17rem 1fr}
nav{position:sticky;top:0;height:100vh;overflow:auto;padding:1.5rem 1rem;border-right:1px solid var(--line);font-size:.86rem}
nav h2{font-size:.86rem;margin:1.2rem 0 .2rem}
nav a{display:block;color:inherit;text-decoration:none;padding:.1rem 0}
nav a:hover{text-decoration:underline}
main{padding:1.5rem 2.5rem 6rem;max-width:60rem;min-width:0}
h1{margin-top:0}h2{border-bottom:1px solid var(--line);padding-bottom:.3rem;margin-top:3rem}
h3{margin-top:2.4rem;font-size:1.05rem}
code,pre{font:.86em/1.5 ui-monospace,monospace}
code{background:var(--soft);padding:.05em .3em;border-radius:.2em}
pre{background:var(--soft);border:1px solid var(--line);border-radius:.4em;padding:.8em 1em;overflow:auto;max-height:32rem}
pre code{background:none;padding:0}
table{border-collapse:collapse;width:100%;margin:.6rem 0;font-size:.92rem}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0;border-bottom:1px solid var(--line)}
.method{display:inline-block;min-width:4.2rem;color:var(--accent);font-weight:600;font-family:ui-monospace,monospace}
.scope{font-size:.86rem;opacity:.8}
summary{cursor:pointer}
@media(max-width:50rem){body{display:block}nav{position:static;height:auto;border:0}main{padding:1rem}}
"""


def inline(text):
    """Paragraphs, `code` and nothing else."""
    escaped = html.escape(" ".join(text.split()) if "\n\n" not in text else text.strip())
    escaped = re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped)
    return "".join(f"<p>{part}</p>" for part in escaped.split("\n\n"))


def span(text):
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(" ".join(str(text).split())))


class Page:
    def __init__(self, description):
        self.document = yaml.safe_load(description)
        self.out = []

    def resolve(self, node):
        while isinstance(node, dict) and "$ref" in node:
            target = self.document
            for part in node["$ref"].lstrip("#/").split("/"):
                target = target[part]
            node = target
        return node

    def type_of(self, schema):
        if "$ref" in schema:
            name = schema["$ref"].split("/")[-1]
            return f'<a href="#schema-{name}">{name}</a>'
        kind = schema.get("type", "any")
        kind = " or ".join(kind) if isinstance(kind, list) else kind
        if kind == "array":
            return "list of " + self.type_of(schema.get("items", {}))
        if "enum" in schema:
            return " ".join(f"<code>{html.escape(json.dumps(v))}</code>" for v in schema["enum"])
        if "oneOf" in schema:
            return " or ".join(self.type_of(one) for one in schema["oneOf"])
        return html.escape(kind)

    def example(self, media):
        if "example" in media:
            value = media["example"]
        elif "examples" in media:
            value = self.resolve(next(iter(media["examples"].values())))["value"]
        else:
            value = self.resolve(media.get("schema", {})).get("example")
        if value is None:
            return
        text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
        self.out.append(f"<pre><code>{html.escape(text)}</code></pre>")

    def parameters(self, operation, shared):
        rows = [self.resolve(p) for p in shared + operation.get("parameters", [])]
        if not rows:
            return
        self.out.append("<table><tr><th>parameter</th><th>in</th><th></th></tr>")
        for row in rows:
            self.out.append(f"<tr><td><code>{html.escape(row['name'])}</code></td>"
                            f"<td>{row['in']}</td><td>{span(row.get('description', ''))}</td></tr>")
        self.out.append("</table>")

    def contents(self, title, node):
        for kind, media in node.get("content", {}).items():
            schema = media.get("schema", {})
            name = self.type_of(schema) if schema else ""
            self.out.append(f"<p><b>{title}</b> <code>{html.escape(kind)}</code> {name}</p>")
            self.example(media)

    def operation(self, path, method, operation, shared):
        anchor = operation["operationId"]
        self.out.append(f'<h3 id="{anchor}"><span class="method">{method.upper()}</span> '
                        f"<code>{html.escape(path)}</code></h3>")
        self.out.append(inline(operation["summary"] + "."))
        if operation.get("description"):
            self.out.append(inline(operation["description"]))
        scopes = operation.get("x-scopes")
        if scopes:
            listed = " or ".join(f"<code>{html.escape(s)}</code>" for s in scopes)
            self.out.append(f'<p class="scope">Key with scope {listed}.</p>')
        self.parameters(operation, shared)
        if "requestBody" in operation:
            self.contents("Request", self.resolve(operation["requestBody"]))
        for code, response in operation["responses"].items():
            response = self.resolve(response)
            if str(code).startswith(("2", "3")):
                self.contents(f"{code}", response)
                if not response.get("content"):
                    self.out.append(f"<p><b>{code}</b> {span(response['description'])}</p>")
        others = [f"<b>{code}</b> {span(self.resolve(response)['description'])}"
                  for code, response in operation["responses"].items()
                  if not str(code).startswith(("2", "3"))]
        if others:
            self.out.append("<p class=\"scope\">" + "<br>".join(others) + "</p>")

    def schemas(self):
        self.out.append('<h2 id="schemas">Schemas</h2>')
        for name, schema in self.document["components"]["schemas"].items():
            self.out.append(f'<h3 id="schema-{name}">{name}</h3>')
            if schema.get("description"):
                self.out.append(inline(schema["description"]))
            needed = set(schema.get("required", []))
            members = dict(schema.get("properties", {}))
            for part in schema.get("allOf", []):
                members.update(self.resolve(part).get("properties", {}))
            if not members:
                self.out.append(f"<p>{self.type_of(schema)}</p>")
                continue
            self.out.append("<table>")
            for member, child in members.items():
                mark = " <b>needed</b>" if member in needed else ""
                self.out.append(f"<tr><td><code>{html.escape(member)}</code></td>"
                                f"<td>{self.type_of(child)}{mark}</td>"
                                f"<td>{span(child.get('description', ''))}</td></tr>")
            self.out.append("</table>")

    def operations(self):
        for path, item in self.document["paths"].items():
            for method in METHODS:
                if method in item:
                    yield path, method, item[method], item.get("parameters", [])

    def render(self):
        info = self.document["info"]
        tags = self.document["tags"]
        self.out.append("<nav><b>Shopbell</b>")
        for tag in tags:
            self.out.append(f"<h2>{html.escape(tag['name'])}</h2>")
            for path, method, operation, _ in self.operations():
                if operation["tags"][0] == tag["name"]:
                    self.out.append(f'<a href="#{operation["operationId"]}">'
                                    f"{html.escape(operation['summary'])}</a>")
        self.out.append('<h2>Reference</h2><a href="#schemas">Schemas</a>'
                        '<a href="/openapi.yaml">openapi.yaml</a></nav><main>')
        self.out.append(f"<h1>{html.escape(info['title'])}</h1>" + inline(info["description"]))
        for tag in tags:
            self.out.append(f"<h2>{html.escape(tag['name'])}</h2>" + inline(tag["description"]))
            for path, method, operation, shared in self.operations():
                if operation["tags"][0] == tag["name"]:
                    self.operation(path, method, operation, shared)
        self.schemas()
        self.out.append("</main>")
        return ("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                "<meta name=\"viewport\" content=\"width=device-width\">"
                f"<title>{html.escape(info['title'])}</title><style>{STYLE}</style></head><body>"
                + "\n".join(self.out) + "</body></html>\n")


def render(description):
    return Page(description).render()
