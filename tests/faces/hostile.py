"""Sixty texts that would like to be more than text, and what a page of them is compared by."""

import re
from html.parser import HTMLParser

STRINGS = (
    # Markup, and out of markup.
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "</svg><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    "</pre></details></td></table><h1>x</h1>",
    "</style><style>*{display:none}</style>",
    "<!--",
    "--><b>x</b>",
    "<![CDATA[<b>x</b>]]>",
    "]]><b>x</b>",
    "<?xml version='1.0'?>",
    "<!DOCTYPE html>",
    "<b>bold",
    "<a href='//evil.example'>click</a>",
    "<form action=//evil.example><input name=csrfmiddlewaretoken>",
    "<base href=//evil.example>",
    "<meta http-equiv=refresh content=0;url=//evil.example>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<math><mi//xlink:href='data:x,<script>alert(1)</script>'>",
    "<use href='#x'/><foreignObject><b>x</b></foreignObject>",
    "<div style='position:fixed;inset:0'>x</div>",
    "<plaintext>",
    # Out of an attribute.
    '"><script>alert(1)</script>',
    "'><script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "' onmouseover='alert(1)",
    '" autofocus onfocus=alert(1) x="',
    "` onmouseover=alert(1) x=`",
    'x" style="color:red',
    '\\"><b>x</b>',
    # Addresses.
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "//evil.example/x",
    "http://evil.example/?a=b&c=d",
    "/admin/logout/",
    "../../../etc/passwd",
    "?live=1&next=//evil.example",
    # Entities, templates, formats.
    "&lt;b&gt;x&lt;/b&gt;",
    "&#60;b&#62;",
    "&amp;",
    "{{ settings.SECRET_KEY }}",
    "{% load static %}{% debug %}",
    "{0.__class__.__mro__}{}{x}",
    "%(x)s %s %d %",
    "$input.secret ${x} #{x}",
    # Lines, and what looks like headers.
    "line\r\nSet-Cookie: a=b\r\n\r\n<b>x</b>",
    "line\nBcc: all@example.com",
    "id: 1\ndata: {}\n\nevent: end",
    "\t<b>tab</b>\u000b\u000c",
    # Letters of all kinds.
    "\u202egpj.<b>exe",
    "\u200b\u2028\u2029<b>x</b>",
    "\ufeff\ud7ff\ufffd<b>",
    "Ünï©ødé 検査 🎉<b>x</b>",
    "\uff1cscript\uff1ealert(1)\uff1c/script\uff1e",
    "'; DROP TABLE django_workflows_workflowexecution; --",
)


def harmless(text):
    """Return a text of the same shape and size, that is words and nothing else."""
    return "".join(sign if sign.isspace() or not sign.isascii() else "x" for sign in text)


class Structure(HTMLParser):
    """
    Elements and the names of their attributes, without any text; and what breaks the policy.

    Of a picture only what kinds of elements it is made of, and of rows alike only one: how many
    there are depends on widths and times.
    """

    #: Attributes that lead somewhere.
    ADDRESSES = ("href", "src", "action", "formaction", "data-live-url", "xlink:href")

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.elements = []
        self.drawn = set()
        self.broken = []
        self.depth = 0  # of pictures
        self.inside = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.inside = tag
        self.depth += tag == "svg"
        shape = (tag, *sorted(name for name, _ in attrs))
        if self.depth:
            self.drawn.add(tag)
        else:
            self.elements.append(shape)
        for name, value in attrs:
            if name == "style" or name.startswith("on"):
                self.broken.append(f"<{tag} {name}>")
            if name in self.ADDRESSES and not is_own(value or ""):
                self.broken.append(f"<{tag} {name}={value!r}>")
        if tag in {"style", "base", "iframe", "object", "embed", "foreignobject"}:
            self.broken.append(f"<{tag}>")

    def handle_endtag(self, tag):
        self.inside = ""
        if not self.depth:
            self.elements.append(f"/{tag}")
            if tag == "tr":
                self.forget_same_row()
        self.depth -= tag == "svg"

    def forget_same_row(self):
        """Drop the row that has just ended where the one before it looks the same."""
        begins = [place for place, one in enumerate(self.elements) if one[0] == "tr"][-2:]
        if len(begins) == 2 and self.elements[begins[0] : begins[1]] == self.elements[begins[1] :]:
            del self.elements[begins[1] :]

    def handle_data(self, data):
        if self.inside == "script" and data.strip():
            self.broken.append(f"<script> with {data[:60]!r}")

    def handle_comment(self, data):
        self.elements.append("comment")

    def handle_decl(self, decl):
        self.elements.append(("declaration", decl))

    def unknown_decl(self, data):
        self.elements.append("unknown declaration")

    def handle_pi(self, data):
        self.elements.append("instruction")


def is_own(address):
    """Say whether an address stays on this site."""
    plain = "".join(sign for sign in address if sign > " ").lower()
    first = re.split(r"[/?#]", plain, maxsplit=1)[0]
    return ":" not in first and not plain.startswith(("//", "\\\\", "/\\"))
