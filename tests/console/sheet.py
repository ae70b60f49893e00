"""One page with all pictures, for a person who looks at them."""

import html

HEAD = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Danube's console</title>
<style>body{font:14px system-ui;margin:2rem;background:#ddd;color:#111}section{display:flex;gap:1rem;align-items:start;
flex-wrap:wrap}figure{margin:0 0 2rem}img{display:block;border:1px solid #999;max-height:900px;max-width:640px}
figcaption{padding:.3rem 0}</style><h1>Danube's console</h1>
"""


def write(pictures, names):
    """Groups of one page in one state, side by side."""
    groups = {}
    for name in names:
        groups.setdefault(name.rsplit("-", 2)[0], []).append(html.escape(name))
    parts = [HEAD]
    for group, members in groups.items():
        figures = "".join(
            f'<figure><figcaption>{name}</figcaption>'
            f'<a href="{name}"><img loading="lazy" src="{name}" alt=""></a></figure>'
            for name in members
        )
        parts.append(f"<h2>{html.escape(group)}</h2><section>{figures}</section>\n")
    (pictures / "index.html").write_text("".join(parts))
